/*-------------------------------------------------------------------------
 *
 * walk.c
 *		Looking at rows of an actor in the order of an index, without SQL; see
 *		direct.c.
 *
 * This is for tables of which an actor has many rows, and for what depends on
 * several of them.  All that is done between actor_walk_begin and actor_walk_end has
 * one snapshot, as a statement has.
 *
 * The indexes are those that the extension has made, found by what they are on: one
 * that was made anew has another name meanwhile.  They have rows for which a column
 * is true or false, so no code of a user runs here either.
 *
 * IDENTIFICATION
 *		src/store/walk.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/internal.h"

/*
 * actor_walk_begin
 *		Opens a table, to look at rows and lock or delete them; false, and nothing is
 *		done, if it takes a statement to do that.
 */
bool
actor_walk_begin(ActorWalk *walk, ActorTable *table, bool to_delete)
{
	actor_catalog_require();
	walk->relation = actor_direct_open(table, to_delete ? RowExclusiveLock : RowShareLock);
	if (walk->relation == NULL)
		return false;
	if (to_delete)
	{
		if (!actor_direct_writes(walk->relation))
		{
			relation_close(walk->relation, NoLock);
			return false;
		}
		/* does it publish what cannot be replicated? */
		CheckCmdReplicaIdentity(walk->relation, CMD_DELETE);
	}

	/* as SPI does before a statement */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	walk->slot = table_slot_create(walk->relation, NULL);
	return true;
}

/*
 * Finds the index of an order; invalid if there is none.
 */
static Oid
find_order(Relation relation, const ActorOrder *order)
{
	int			of_actor[] = {1, 2, order->column};
	int			of_role[] = {order->role, order->column, order->next};

	if (order->role == 0)
		return actor_shape_order(relation, of_actor, 3, order->condition, order->holds);
	return actor_shape_order(relation, of_role, order->next != 0 ? 3 : 2, order->condition,
							 order->holds);
}

/*
 * actor_order_open
 *		Opens the index of an order, or returns NULL if there is none that can be used
 *		for every snapshot.
 */
Relation
actor_order_open(Relation relation, ActorOrder *order)
{
	Relation	index;

	if (order->shape_generation != actor_shape_generation())
	{
		/* before the look, which may itself bring news, or fail */
		uint64		generation = actor_shape_generation();

		order->index = find_order(relation, order);
		order->shape_generation = generation;
	}
	if (!OidIsValid(order->index))
		return NULL;
	index = index_open(order->index, AccessShareLock);
	if (index->rd_index->indisvalid && !index->rd_index->indcheckxmin)
		return index;
	index_close(index, NoLock);
	return NULL;
}

/*
 * Sets the keys of a scan for the rows of an actor in a range.
 */
static void
set_keys(ScanKeyData *keys, Oid type, const ActorRef *actor, int64 from, int64 to)
{
	bool		instants = type == TIMESTAMPTZOID;

	/* the collation is "C" already */
	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(actor->type));
	ScanKeyInit(&keys[1], 2, BTEqualStrategyNumber, F_TEXTEQ, PointerGetDatum(actor->id));
	ScanKeyInit(&keys[2], 3, BTGreaterEqualStrategyNumber,
				instants ? F_TIMESTAMPTZ_GE : F_INT8GE, Int64GetDatum(from));
	ScanKeyInit(&keys[3], 3, BTLessEqualStrategyNumber,
				instants ? F_TIMESTAMPTZ_LE : F_INT8LE, Int64GetDatum(to));
}

/*
 * actor_walk
 *		Looks at the rows of an actor in an order, from one value of its column to
 *		another one, until a function says that it need not go on.  It must not run
 *		user code; without one the first row is the last.
 *
 * Returns false if it takes a statement to look at them.
 */
bool
actor_walk(ActorWalk *walk, ActorOrder *order, const ActorRef *actor, int64 from, int64 to,
		   ActorRowTest goes_on, void *arg)
{
	Relation	index = actor_order_open(walk->relation, order);
	ScanKeyData keys[4];
	IndexScanDesc scan;
	bool		found;

	ExecClearTuple(walk->slot);
	if (index == NULL)
		return false;
	set_keys(keys, TupleDescAttr(RelationGetDescr(walk->relation), order->column - 1)->atttypid,
			 actor, from, to);
	scan = actor_index_beginscan(walk->relation, index, GetActiveSnapshot(), lengthof(keys));
	index_rescan(scan, keys, lengthof(keys), NULL, 0);
	do
	{
		CHECK_FOR_INTERRUPTS();
		found = index_getnext_slot(scan, ForwardScanDirection, walk->slot);
	} while (found && goes_on != NULL && goes_on(walk->slot, arg));
	index_endscan(scan);
	index_close(index, NoLock);
	return true;
}

/*
 * actor_walk_lock
 *		Locks the last row that was looked at, and reads it again, unless somebody
 *		else has it: then it is absent.
 */
ActorDirectResult
actor_walk_lock(ActorWalk *walk)
{
	return actor_direct_lock_found(walk->relation, GetActiveSnapshot(), walk->slot);
}

/*
 * actor_walk_delete
 *		Deletes a row that was looked at, and that is locked.  Returns false, and has
 *		done nothing, if it is not as it was any more.
 */
bool
actor_walk_delete(ActorWalk *walk, ItemPointer tid)
{
	TM_FailureData failure;

	return table_tuple_delete(walk->relation, tid, GetCurrentCommandId(true),
							  GetActiveSnapshot(), InvalidSnapshot, true, &failure,
							  false) == TM_Ok;
}

/*
 * actor_walk_end
 *		Closes the table; what was deleted is gone for the next statement.
 */
void
actor_walk_end(ActorWalk *walk)
{
	ExecDropSingleTupleTableSlot(walk->slot);
	PopActiveSnapshot();
	CommandCounterIncrement();
	relation_close(walk->relation, NoLock);
}
