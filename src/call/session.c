/*-------------------------------------------------------------------------
 *
 * session.c
 *		What methods leave behind in a session, and getting rid of it.
 *
 * Whoever shares a session with others must find it as if he were the first:
 * the next callback of an executor, and the next request of a pool of
 * connections.  An executor has the settings undone by callback.c, and drops
 * here cursors, registrations of LISTEN, temporary tables, prepared statements
 * and session-level advisory locks.  The first three belong to transactions, and
 * are dropped in the subtransaction of the callback, so that they are gone
 * exactly if it counts.  The others survive a rollback, and are dropped however
 * it ended.
 *
 * SET CONSTRAINTS lasts until the end of the transaction and cannot be undone;
 * whoever uses it has the transaction to himself from then on.
 *
 * A pool has all of it removed by one function, in a transaction of its own.
 * Plans are nobody's secret, so they stay, and with them the statements that the
 * client itself has prepared by the protocol.
 *
 * IDENTIFICATION
 *		src/call/session.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "commands/sequence.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/portal.h"

#include "call/call.h"

static ProcessUtility_hook_type previous_utility = NULL;

/* SET CONSTRAINTS was used in this transaction */
static bool constraints_changed = false;

/* PREPARE was used in this session, and what it has made may still be there */
static bool statements_prepared = false;

/*
 * Takes note of commands that leave something behind which cannot be seen from
 * outside, before they run.
 */
static void
utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	if (IsA(pstmt->utilityStmt, ConstraintsSetStmt))
		constraints_changed = true;
	else if (IsA(pstmt->utilityStmt, PrepareStmt))
		statements_prepared = true;
	if (previous_utility)
		previous_utility(pstmt, query_string, read_only_tree, context, params,
						 query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								query_env, dest, qc);
}

void
actor_session_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	/* nobody has looked before, if this session has loaded the library */
	statements_prepared = !process_shared_preload_libraries_in_progress;
}

/*
 * actor_session_begin
 *		A transaction has begun.
 */
void
actor_session_begin(void)
{
	constraints_changed = false;
}

/*
 * actor_session_spoiled
 *		Whether this transaction is not what another callback expects.
 */
bool
actor_session_spoiled(void)
{
	return constraints_changed;
}

/*
 * actor_session_close
 *		Drops what belongs to transactions.  Called in the subtransaction of a
 *		callback after it has succeeded; raises what dropping raises.
 */
void
actor_session_close(void)
{
	PortalHashTableDeleteAll();
	Async_UnlistenAll();
	if (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE)
		ResetTempTableNamespace();
}

/*
 * actor_session_forget
 *		Drops what survives transactions.
 */
void
actor_session_forget(void)
{
	DropAllPreparedStatements();
	LockReleaseSession(USER_LOCKMETHOD);
}

/* for pools ------------------------------------------------------------- */

/*
 * Drops the statements that PREPARE has made.
 */
static void
drop_statements(void)
{
	SPITupleTable *table;

	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute("SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql",
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the prepared statements");
	table = SPI_tuptable;
	for (uint64 i = 0; i < table->numvals; i++)
		DropPreparedStatement(SPI_getvalue(table->vals[i], table->tupdesc, 1), false);
	SPI_finish();
}

/*
 * actor.clean_session()
 *		Makes the session of the caller as it was after connecting, but for
 *		plans and for statements that were prepared by the protocol.
 *
 * This is what DISCARD ALL does without these, in the same order.  What belongs to
 * transactions is gone when that of the caller has committed.  Raises what
 * dropping raises, and what SET SESSION AUTHORIZATION raises in a function with
 * other rights.
 */
PG_FUNCTION_INFO_V1(actor_clean_session);
Datum
actor_clean_session(PG_FUNCTION_ARGS)
{
	PortalHashTableDeleteAll();
	SetPGVariable("session_authorization", NIL, false);
	/* one that the role is given when it connects comes back */
	SetPGVariable("role", NIL, false);
	ResetAllOptions();
	if (statements_prepared)
		drop_statements();
	statements_prepared = false;
	Async_UnlistenAll();
	LockReleaseSession(USER_LOCKMETHOD);
	ResetTempTableNamespace();
	ResetSequenceCaches();
	PG_RETURN_VOID();
}
