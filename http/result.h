/*-------------------------------------------------------------------------
 *
 * result.h
 *		Results of the server, and what errors say about a session.
 *
 * IDENTIFICATION
 *		http/result.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_RESULT_H
#define ACTOR_HTTP_RESULT_H

#include <stdbool.h>

#include <libpq-fe.h>

extern bool result_is_stale(const PGresult *result);
extern bool result_is_missing(const PGresult *result);
extern void results_clear(PGresult **results, int count);
extern char *connection_message(const PGconn *connection);

#endif							/* ACTOR_HTTP_RESULT_H */
