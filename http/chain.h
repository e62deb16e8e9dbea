/*-------------------------------------------------------------------------
 *
 * chain.h
 *		A chain of calls that the application runs in one transaction.
 *
 * IDENTIFICATION
 *		http/chain.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_CHAIN_H
#define ACTOR_HTTP_CHAIN_H

#include <stdbool.h>

#include "app_call.h"

extern void chain_open(Chain *chain, Session *session, const char *chain_id);
extern CallEnd chain_run(Chain *chain, const Work *work, const Entry *entry);
extern void chain_close(Chain *chain, bool good);
extern void chain_refuse(Request *request, int status, const char *code, const char *message);
extern Work work_of(Request *request, bool with_id);
extern char *request_manner(const Request *request);
extern void answer_transfer(Request *request, Transfer *transfer);
extern void answer_again(Request *request, const Entry *entry);
extern bool transfer_succeeded(const Transfer *transfer);

#endif							/* ACTOR_HTTP_CHAIN_H */
