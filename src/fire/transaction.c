/*-------------------------------------------------------------------------
 *
 * transaction.c
 *		The transactions of an executor.
 *
 * IDENTIFICATION
 *		src/fire/transaction.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "store/store.h"
#include "call/call.h"
#include "fire/internal.h"

/*
 * actor_firing_begin
 *		Begins a transaction of an executor, with that as its activity.
 */
void
actor_firing_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	debug_query_string = activity;
	pgstat_report_activity(STATE_RUNNING, activity);
	actor_block_begin();
	PushActiveSnapshot(GetTransactionSnapshot());
	actor_session_begin();
}

/*
 * actor_firing_commit
 *		Commits it, and returns to that memory context.
 *
 * If the server is being shut down, and only a callback was allowed
 * to go on, the process must not wait any more, but commit it must.
 */
void
actor_firing_commit(MemoryContext context)
{
	PopActiveSnapshot();
	if (actor_callback_leaving())
	{
		HOLD_INTERRUPTS();
		ProcDiePending = true;
		InterruptPending = true;
		actor_block_end();
		RESUME_INTERRUPTS();
		CHECK_FOR_INTERRUPTS();
	}
	else
		actor_block_end();
	debug_query_string = NULL;
	pgstat_report_stat(false);
	MemoryContextSwitchTo(context);
}

/*
 * actor_firing_abort
 *		Called in a PG_CATCH outside of any subtransaction: ends the transaction,
 *		and returns the error in that memory context.
 */
ErrorData *
actor_firing_abort(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	actor_callback_abandon();
	error = actor_block_abort(context);
	RESUME_INTERRUPTS();
	return error;
}
