/*-------------------------------------------------------------------------
 *
 * hosted.h
 *		Methods that an application has.
 *
 * IDENTIFICATION
 *		http/hosted.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_HOSTED_H
#define ACTOR_HTTP_HOSTED_H

#include <stdbool.h>

#include "chain.h"
#include "entry.h"
#include "request.h"
#include "session.h"

extern void handle_call(Request *request, Session *session);
extern bool turn_begin(Session *session, const char *traceparent, Statement *statements,
					   int *count, char **reason);
extern bool turn_commit(Request *request, Session *session, const Statement *last);
extern void turn_roll_back(Session *session);

#endif							/* ACTOR_HTTP_HOSTED_H */
