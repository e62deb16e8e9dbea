/*-------------------------------------------------------------------------
 *
 * transaction.h
 *		Transactions around what an application does.
 *
 * IDENTIFICATION
 *		http/transaction.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_TRANSACTION_H
#define ACTOR_HTTP_TRANSACTION_H

#include <stdbool.h>

#include "request.h"
#include "session.h"

/* most statements that begin one */
#define TURN_BEGIN_MAX		2

extern bool turn_begin(Session *session, const char *traceparent, Statement *statements,
					   int *count, char **reason);
extern bool turn_begin_entering(Session *session, const char *traceparent, Statement *statements,
								int *count, char **reason);
extern bool turn_commit(Request *request, Session *session, const Statement *last,
						PGresult **error);
extern void turn_roll_back(Session *session);

#endif							/* ACTOR_HTTP_TRANSACTION_H */
