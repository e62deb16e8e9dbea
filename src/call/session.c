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
 * A transaction for that costs as much as a short method, and most methods leave
 * nothing.  So a session can be kept clean: what needs no transaction to be removed
 * goes at the end of each, and whether anything else may be there is told to the
 * client as a parameter of the session, before it hears that the transaction is over.
 *
 *	 removed at the end		settings, session-level advisory locks, currval
 *	 told about				role and session user, temporary tables, LISTEN, cursors
 *							WITH HOLD, PREPARE
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
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/portal.h"
#include "utils/resowner.h"

#include "call/call.h"

static ProcessUtility_hook_type previous_utility = NULL;

/* SET CONSTRAINTS was used in this transaction */
static bool constraints_changed = false;

/* these were used in this session, and what they have made may still be there */
static bool statements_prepared = false;	/* PREPARE */
static bool left_open = false;	/* LISTEN, or DECLARE WITH HOLD */

/* a session that is kept clean */
static struct
{
	bool		on;
	bool		ending;			/* its transaction comes to its end */
	bool		cleaned;		/* and has removed everything */
	bool		told;			/* the client knows the following */
	bool		unclean;
	Oid			session_user;	/* of the session when it is clean */
	Oid			role;
}			kept;

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
	else if (IsA(pstmt->utilityStmt, ListenStmt) ||
			 (IsA(pstmt->utilityStmt, DeclareCursorStmt) &&
			  (castNode(DeclareCursorStmt, pstmt->utilityStmt)->options & CURSOR_OPT_HOLD) != 0))
		left_open = true;
	if (previous_utility)
		previous_utility(pstmt, query_string, read_only_tree, context, params,
						 query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								query_env, dest, qc);
}

/* kept clean ------------------------------------------------------------ */

/*
 * Tells the client whether there is something that only actor.clean_session()
 * removes, if that is news.
 */
static void
tell(bool unclean)
{
	StringInfoData message;

	if (whereToSendOutput != DestRemote || (kept.told && kept.unclean == unclean))
		return;
	kept.told = true;
	kept.unclean = unclean;
	pq_beginmessage(&message, 'S');
	pq_sendstring(&message, "actor.session");
	pq_sendstring(&message, unclean ? "unclean" : "clean");
	pq_endmessage(&message);
}

static void
xact_callback(XactEvent event, void *arg)
{
	kept.ending = kept.on && (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
							  event == XACT_EVENT_PREPARE);
}

/*
 * Removes at the end of a transaction what can be removed there.
 *
 * Settings become what they are after the transaction first, as otherwise one that
 * SET has changed could hide behind one of SET LOCAL.  That is all the server does
 * with them at the end of a transaction, a moment later; nothing else of it looks at
 * them in between.  After a rollback they are what they were before.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	bool		unclean = statements_prepared || left_open;
	bool		cleaned = kept.cleaned;

	if (!kept.ending || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	kept.ending = kept.cleaned = false;
	if (is_commit)
	{
		AtEOXact_GUC(true, 1);
		AtStart_GUC();
		ResetAllOptions();
		unclean |= (MyXactFlags & XACT_FLAGS_ACCESSEDTEMPNAMESPACE) != 0 ||
			GetSessionUserId() != kept.session_user || GetCurrentRoleId() != kept.role;
	}
	/* what was there before and was not removed is still there */
	if (!is_commit || !cleaned)
		unclean |= kept.unclean || !kept.told;
	LockReleaseSession(USER_LOCKMETHOD);
	ResetSequenceCaches();
	tell(unclean);
}

/*
 * actor_session_init
 *		Registers for commands, and for the end of transactions.  The first to
 *		register for the release of resources is called last, so settings are still
 *		those of the transaction for all others of the library.
 */
void
actor_session_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	/* nobody has looked before, if this session has loaded the library */
	statements_prepared = left_open = !process_shared_preload_libraries_in_progress;
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
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
 * Makes the session as it was after connecting, but for plans and for statements
 * that were prepared by the protocol.
 *
 * This is what DISCARD ALL does without these, in the same order.  What belongs to
 * transactions is gone when that of the caller has committed.  Raises what
 * dropping raises, and what SET SESSION AUTHORIZATION raises in a function with
 * other rights.
 */
static void
clean(void)
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
	/* a subtransaction can be rolled back without the rest */
	if (GetCurrentTransactionNestLevel() == 1)
	{
		left_open = false;
		kept.cleaned = true;
	}
}

/*
 * actor.clean_session()
 *		Removes what others have left in the session.
 */
PG_FUNCTION_INFO_V1(actor_clean_session);
Datum
actor_clean_session(PG_FUNCTION_ARGS)
{
	clean();
	PG_RETURN_VOID();
}

/*
 * actor.keep_session_clean()
 *		The same, and from now on at the end of each transaction, as far as that
 *		needs no transaction of its own; the client is told whether it does.
 */
PG_FUNCTION_INFO_V1(actor_keep_session_clean);
Datum
actor_keep_session_clean(PG_FUNCTION_ARGS)
{
	if (GetCurrentTransactionNestLevel() > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("actor.keep_session_clean() cannot run inside a subtransaction")));
	clean();
	kept.on = true;
	kept.session_user = GetSessionUserId();
	kept.role = GetCurrentRoleId();
	PG_RETURN_VOID();
}
