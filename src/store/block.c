/*-------------------------------------------------------------------------
 *
 * block.c
 *		Transactions of workers.
 *
 * On one server a worker begins and ends a transaction, and that is all.  When actors
 * are on several, Citus takes a statement outside of a block for a whole
 * transaction, and commits on other servers at once what it has done there.  So the
 * transaction is a block then, as after BEGIN.
 *
 * IDENTIFICATION
 *		src/store/block.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"

#include "store/store.h"

/*
 * Where tables may become distributed, lets nobody do that before the transaction is
 * over.  Who does it locks that table first, so neither waits for the other one while
 * that waits for him.
 */
static void
stay_as_it_is(void)
{
	Oid			activation = actor_catalog_relation("activation");

	if (OidIsValid(activation) && actor_next_from_elsewhere() != DT_NOEND)
		LockRelationOid(activation, AccessShareLock);
}

/*
 * actor_block_begin
 *		Begins a transaction.  Waits while somebody distributes the tables.
 */
void
actor_block_begin(void)
{
	StartTransactionCommand();
	stay_as_it_is();
	if (!actor_on_several_servers())
		return;
	BeginTransactionBlock();
	CommitTransactionCommand();
	StartTransactionCommand();
}

/*
 * actor_block_end
 *		Commits it.
 */
void
actor_block_end(void)
{
	if (IsTransactionBlock())
		(void) EndTransactionBlock(false);
	CommitTransactionCommand();
}

/*
 * actor_block_abort
 *		Called in a PG_CATCH outside of any subtransaction of ours: rolls it back, and
 *		returns the error in that memory context, which is the current one then.
 *
 * No interrupt may come between; the caller sees to it that what was to interrupt
 * this transaction only does not reach the next one.
 */
ErrorData *
actor_block_abort(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	if (IsTransactionBlock())
		AbortOutOfAnyTransaction();
	else
		AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	RESUME_INTERRUPTS();
	return error;
}
