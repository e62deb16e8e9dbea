/*-------------------------------------------------------------------------
 *
 * undo.c
 *		What of a chain of calls stays, and what is undone alone.
 *
 * A call within a chain begins with a savepoint.  If it fails, and nothing else
 * has happened since but what it has done itself, that is undone, and its caller
 * may go on.  Calls that overlap in time are mixed in the transaction, so one of
 * them cannot be undone alone: the whole chain is, when it has come to its end.
 *
 * IDENTIFICATION
 *		http/undo.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>

#include "undo.h"
#include "util.h"

static bool
is_within(const Call *call, const Call *outer)
{
	while (call != NULL && call != outer)
		call = call->parent;
	return call != NULL;
}

/*
 * undo_mix
 *		Something is done for a call, the outermost one if it is NULL: those that it is
 *		no part of cannot be undone without it any more.
 */
void
undo_mix(Chain *chain, const Call *call)
{
	for (Call *other = chain->open; other != NULL; other = other->next)
		if (!is_within(call, other))
			other->mixed = true;
}

/*
 * Runs statements about a savepoint.  Returns false if that has failed, with the error
 * where it is wanted, which is to be cleared; NULL if the transaction is lost.
 */
static bool
run_simple(Chain *chain, const Statement *statements, int count, PGresult **error)
{
	PGresult   *results[2];
	PGresult   *failed = NULL;
	char	   *reason;
	bool		answered = session_statements(chain->session, statements, count, results,
											  &reason) == QUERY_ANSWERED;

	for (int i = 0; i < count; i++)
		if (answered && failed == NULL && PQresultStatus(results[i]) == PGRES_FATAL_ERROR)
			failed = results[i];
		else
			PQclear(results[i]);
	free(reason);
	if (error != NULL)
		*error = failed;
	else
		PQclear(failed);
	return answered && failed == NULL;
}

/*
 * undo_to
 *		Undoes all since a call has begun, or was about to.  Returns false if that has
 *		failed, with the error.
 */
bool
undo_to(Chain *chain, int number, PGresult **error)
{
	char	   *rollback = xprintf("ROLLBACK TO SAVEPOINT actor_call_%d", number);
	char	   *release = xprintf("RELEASE SAVEPOINT actor_call_%d", number);
	const Statement statements[] = {
		{.sql = rollback,.once = true}, {.sql = release,.once = true}
	};
	bool		done = run_simple(chain, statements, 2, error);

	free(rollback);
	free(release);
	return done;
}

/*
 * undo_keep
 *		A call within the chain was answered with success, and what it has done stays if
 *		those around it do.  Returns false if the database does not agree, with the error.
 */
bool
undo_keep(Chain *chain, const Call *call, PGresult **error)
{
	bool		is_last = (chain->open == call);
	char	   *release = xprintf("RELEASE SAVEPOINT actor_call_%d", call->number);
	char		status[16];
	const char *values[] = {
		call->frame, status, headers_value(call->transfer->headers, "Content-Type"), NULL,
		call->request->request_id != NULL && call->transfer->content.data != NULL ?
		call->transfer->content.data : NULL
	};
	const int	lengths[] = {0, 0, 0, 0, (int) call->transfer->content.length};
	const int	formats[] = {0, 0, 0, 0, 1};
	const Statement statements[] = {
		{
			.sql = HOST_EXIT,.nvalues = 5,.values = values,.lengths = lengths,.formats = formats
		},
		{.sql = release,.once = true}
	};
	bool		done;

	snprintf(status, sizeof(status), "%d", call->transfer->status);
	done = run_simple(chain, statements, is_last ? 2 : 1, error);
	if (done)
		undo_mix(chain, call);
	free(release);
	return done;
}

/*
 * The whole chain is to be undone.
 */
static void
undo_all(Chain *chain, const Call *call, const PGresult *error)
{
	if (chain->undone != NULL)
		return;
	chain->undone = error == NULL ?
		xstrdup("a call that overlapped with others of its chain has failed,"
				" so the whole chain is rolled back") :
		xprintf("method \"%s\" of actor \"%s\" of type \"%s\" could not be ended in the database,"
				" so the whole chain is rolled back: %s (SQLSTATE %s)",
				call->work.method, call->id, call->type,
				PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY),
				PQresultErrorField(error, PG_DIAG_SQLSTATE));
}

/*
 * undo_call
 *		A call within the chain has failed, perhaps with an error of the database.  It
 *		is undone alone if it can be.
 */
void
undo_call(Chain *chain, const Call *call, const PGresult *error)
{
	PGresult   *own = NULL;

	if (call->mixed || chain->open != call)
	{
		undo_mix(chain, call);
		undo_all(chain, call, error);
	}
	else if (undo_to(chain, call->number, &own))
		calls_end_since(chain, call->number, false);
	else if (own != NULL)
		undo_all(chain, call, own);
	else
		chain->end = CALL_NO_SESSION;
	PQclear(own);
}
