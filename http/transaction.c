/*-------------------------------------------------------------------------
 *
 * transaction.c
 *		Transactions around what an application does.
 *
 * IDENTIFICATION
 *		http/transaction.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "transaction.h"

/*
 * turn_begin
 *		Makes a session one for a transaction around an application, and fills in
 *		the statements that begin it: at most two, with values that live as long
 *		as the traceparent.  Returns false with a reason if there is no connection.
 */
bool
turn_begin(Session *session, const char *traceparent, Statement *statements, int *count,
		   char **reason)
{
	static _Thread_local const char *values[1];

	*count = 0;
	if (!session_enter(session, reason))
		return false;
	statements[(*count)++] = (Statement)
	{
		.sql = "BEGIN"
	};
	values[0] = traceparent;
	if (traceparent != NULL)
		statements[(*count)++] = (Statement)
	{
		.sql = "SELECT pg_catalog.set_config('actor.traceparent', $1, true)",
			.nvalues = 1,.values = values
	};
	return true;
}

/*
 * turn_begin_entering
 *		The same for what begins a transaction itself, if nothing has to come before.
 */
bool
turn_begin_entering(Session *session, const char *traceparent, Statement *statements,
					int *count, char **reason)
{
	if (!turn_begin(session, traceparent, statements, count, reason))
		return false;
	if (*count == 1)
		*count = 0;
	return true;
}

/*
 * turn_roll_back
 *		Ends the transaction, if there is still one.
 */
void
turn_roll_back(Session *session)
{
	const Statement rollback = {.sql = "ROLLBACK"};
	PGresult   *result;
	char	   *reason;

	if (session->connection != NULL &&
		PQtransactionStatus(session->connection) != PQTRANS_IDLE)
	{
		(void) session_statements(session, &rollback, 1, &result, &reason);
		PQclear(result);
		free(reason);
	}
	session_leave(session);
}

/*
 * Whether the last of the statements that end a transaction has done so.
 */
static bool
is_committed(const Session *session, const Statement *last, PGresult *result)
{
	if (last->commits)
		return PQresultStatus(result) == PGRES_TUPLES_OK &&
			PQtransactionStatus(session->connection) == PQTRANS_IDLE;
	return PQresultStatus(result) == PGRES_COMMAND_OK &&
		strcmp(PQcmdStatus(result), "COMMIT") == 0;
}

/*
 * turn_commit
 *		Runs the last statement of a transaction, and commits it, unless that
 *		statement does.  Returns false if that has failed: the request is answered, if
 *		there is one, and otherwise the error returned, NULL if nobody knows what has
 *		become of it.
 */
bool
turn_commit(Request *request, Session *session, const Statement *last, PGresult **error)
{
	const Statement statements[] = {*last, {.sql = "COMMIT"}};
	int			count = last->commits ? 1 : 2;
	PGresult   *results[2];
	PGresult   *failed = NULL;
	char	   *reason;
	bool		done = false;
	QueryOutcome outcome = session_statements(session, statements, count, results, &reason);

	if (outcome == QUERY_ANSWERED)
	{
		failed = PQresultStatus(results[0]) == PGRES_FATAL_ERROR ? results[0] : results[count - 1];
		done = is_committed(session, last, failed);
	}
	if (!done && failed != NULL && request != NULL)
	{
		request->failed_late = true;
		answer_sql_error(request, failed);
	}
	else if (!done && request != NULL)
		answer_error(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE",
					 "the connection to the database broke; it is not known whether the request took effect: %s",
					 reason);
	if (done)
		failed = NULL;
	for (int i = 0; i < count; i++)
		if (error == NULL || results[i] != failed)
			PQclear(results[i]);
	if (error != NULL)
		*error = failed;
	free(reason);
	if (done)
		session_leave(session);
	else
		turn_roll_back(session);
	return done;
}
