/*-------------------------------------------------------------------------
 *
 * session.c
 *		What a callback leaves behind in the session of its executor, and
 *		getting rid of it.
 *
 * The next callback must find a session as if it were the first.  Settings are
 * undone by callback.c.  Here go cursors, registrations of LISTEN, temporary
 * tables, prepared statements and session-level advisory locks.  The first
 * three belong to transactions, and are dropped in the subtransaction of the
 * callback, so that they are gone exactly if it counts.  The others survive a
 * rollback, and are dropped however it ended.
 *
 * SET CONSTRAINTS lasts until the end of the transaction and cannot be undone;
 * whoever uses it has the transaction to himself from then on.
 *
 * IDENTIFICATION
 *		src/fire/session.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/async.h"
#include "commands/prepare.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "utils/portal.h"

#include "base/base.h"
#include "fire/internal.h"

/* SET CONSTRAINTS was used in this transaction */
static bool constraints_changed = false;

/*
 * actor_session_command
 *		Called before a command runs.
 */
void
actor_session_command(Node *stmt)
{
	if (IsA(stmt, ConstraintsSetStmt))
		constraints_changed = true;
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
