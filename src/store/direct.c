/*-------------------------------------------------------------------------
 *
 * direct.c
 *		Reading, writing or locking one row of the extension's tables by its key,
 *		without SQL.
 *
 * A statement costs several times what it takes to find the row: a plan is
 * checked, an executor is set up, and the result is put into a table of
 * tuples.  Here the index is scanned with the snapshot that the statement
 * would use, so what is seen is the same.  Nothing is locked but the table,
 * as the statement does, and no code of a user runs: the columns of the keys
 * have the type text and the collation "C".
 *
 * A row is written as the executor would.  What it does beyond that, it does
 * for tables that are not plain, or when somebody else has written the row: then
 * nothing is done here.
 *
 * A library that checks or logs what statements read and write has a hook for it,
 * which is called with their tables.  It would see nothing of what is done here,
 * so nothing is while there is such a library.
 *
 * It is for plain local tables only.  One that has triggers, or is not a heap,
 * or has been made something else, such as a distributed table, is left to
 * SQL: every caller has a statement for that, too.  What is here of a distributed
 * table can be a plain one, for whoever has a turn; see shard.c.
 *
 * IDENTIFICATION
 *		src/store/direct.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "nodes/primnodes.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/internal.h"

/*
 * actor_direct_is_plain
 *		Whether a table is as it was created, so that its rows are all there is.  A
 * standby has no rows of unlogged tables, which SQL explains.
 */
bool
actor_direct_is_plain(Relation relation)
{
	Form_pg_class class = relation->rd_rel;

	return class->relkind == RELKIND_RELATION && class->relam == HEAP_TABLE_AM_OID &&
		!class->relhassubclass && relation->trigdesc == NULL && !class->relhasrules &&
		!class->relforcerowsecurity &&
		(class->relpersistence == RELPERSISTENCE_PERMANENT || !RecoveryInProgress());
}

/*
 * actor_direct_writes
 *		Whether nothing but its indexes and columns decides what can be written to
 *		a plain table.
 */
bool
actor_direct_writes(Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	return !relation->rd_rel->relispartition &&
		(constr == NULL || (constr->num_check == 0 && !actor_has_generated(constr)));
}

/*
 * actor_direct_oid
 *		The oid of a table or sequence; invalid if there is none.
 */
Oid
actor_direct_oid(ActorTable *table)
{
	uint64		current = actor_catalog_generation();

	/* what is looked up may itself bring news */
	if (table->generation != current)
	{
		Oid			oid = actor_catalog_relation(table->name);

		if (oid != table->oid)
			table->lockmode = NoLock;
		table->oid = oid;
		table->generation = current;
	}
	return table->oid;
}

/*
 * Whether columns and primary key of a table are what callers count on, and its
 * rows are in it.
 */
static bool
has_shape(ActorTable *table, Relation relation)
{
	uint64		generation = actor_shape_generation();

	if (table->shape_generation != generation)
	{
		table->fits = actor_shape_fits(relation, table->name, table->nkeys) &&
			!actor_is_distributed(RelationGetRelid(relation));
		table->shape_generation = generation;
	}
	return table->fits;
}

/*
 * Locks a table, unless that was done before and lasts.  The current owner may end
 * before that, see lock.c.
 */
static void
lock_table(ActorTable *table, LOCKMODE lockmode)
{
	ResourceOwner owner = CurrentResourceOwner;

	if (table->lockmode >= lockmode && actor_span_lasts(&table->locked))
		return;
	CurrentResourceOwner = CurTransactionResourceOwner;
	LockRelationOid(table->oid, lockmode);
	CurrentResourceOwner = owner;
	actor_span_begin(&table->locked);
	table->lockmode = lockmode;
}

/*
 * Opens a table that may be gone by now.  try_relation_open would look for it in
 * the catalog each time.
 */
static Relation
open_table(ActorTable *table, LOCKMODE lockmode)
{
	Relation	relation;

	if (lockmode != NoLock)
		lock_table(table, lockmode);
	relation = RelationIdGetRelation(table->oid);
	if (RelationIsValid(relation))
		pgstat_init_relation(relation);
	return relation;
}

/*
 * actor_direct_open
 *		Opens a table, or returns NULL if it is not a plain one that is as it was
 *		created, or somebody is to see all statements.
 *
 * The lock is kept until the transaction ends, as that of a statement is; NoLock
 * says that it is held.
 */
Relation
actor_direct_open(ActorTable *table, LOCKMODE lockmode)
{
	Relation	relation;

	if (ExecutorCheckPerms_hook != NULL || !OidIsValid(actor_direct_oid(table)))
		return NULL;
	relation = open_table(table, lockmode);
	if (relation != NULL && !(actor_direct_is_plain(relation) && has_shape(table, relation)))
	{
		relation_close(relation, NoLock);
		return NULL;
	}
	return relation;
}

/*
 * Opens the table that has the row with a key, as above; where actors are on several
 * servers that is a part of it, which is to be read on the snapshot, if there is one.
 */
static Relation
open_for_row(ActorTable *table, const Datum *key, LOCKMODE lockmode, Snapshot snapshot)
{
	if (!actor_on_several_servers())
		return actor_direct_open(table, lockmode);
	return ExecutorCheckPerms_hook == NULL ?
		actor_shard_open(table, key, lockmode, snapshot) : NULL;
}

/*
 * Opens the index of the primary key, whose first columns are wanted, or
 * returns NULL if it cannot be used for every snapshot.
 */
static Relation
open_primary_key(Oid oid, int nkeys)
{
	Relation	index = index_open(oid, AccessShareLock);

	if (index->rd_index->indcheckxmin ||
		IndexRelationGetNumberOfKeyAttributes(index) != nkeys)
	{
		index_close(index, NoLock);
		return NULL;
	}
	return index;
}

/*
 * Looks for a row in an index, and remembers where it was.
 */
static bool
find_by_index(Relation relation, Relation index, const Datum *key, int nkeys,
			  Snapshot snapshot, TupleTableSlot *slot)
{
	ScanKeyData keys[ACTOR_DIRECT_MAX_KEYS];
	IndexScanDesc scan;
	ItemPointer tid;
	bool		found = false;

	/* the collation is "C" already */
	for (int i = 0; i < nkeys; i++)
		ScanKeyInit(&keys[i], i + 1, BTEqualStrategyNumber, F_TEXTEQ, key[i]);
	scan = actor_index_beginscan(relation, index, snapshot, nkeys);
	index_rescan(scan, keys, nkeys, NULL, 0);
	while (!found && (tid = index_getnext_tid(scan, ForwardScanDirection)) != NULL)
	{
		/* the fetch goes on from there */
		ItemPointerData chain = *tid;

		found = index_fetch_heap(scan, slot);
		if (found)
			actor_location_note(relation, key, nkeys, &chain, slot);
	}
	index_endscan(scan);
	return found;
}

/*
 * Looks for the row of a plain table with a primary key of texts, on a snapshot:
 * done, absent, or by SQL if it cannot be found that way.  The slot keeps the row,
 * and its page, until the slot is dropped.
 */
static ActorDirectResult
find_row(Relation relation, const Datum *key, int nkeys, Snapshot snapshot, bool to_update,
		 TupleTableSlot *slot)
{
	Oid			primary_key;
	Relation	index;
	bool		found;

	Assert(nkeys <= ACTOR_DIRECT_MAX_KEYS);
	if (actor_location_fetch(relation, key, nkeys, snapshot, to_update, slot))
		return ACTOR_DIRECT_DONE;
	primary_key = actor_primary_key_index(relation);
	index = OidIsValid(primary_key) ? open_primary_key(primary_key, nkeys) : NULL;
	if (index == NULL)
		return ACTOR_DIRECT_BY_SQL;
	found = find_by_index(relation, index, key, nkeys, snapshot, slot);
	index_close(index, NoLock);
	return found ? ACTOR_DIRECT_DONE : ACTOR_DIRECT_ABSENT;
}

/*
 * Takes a fresh snapshot, as SPI does before a statement.
 *
 * To make it the active one takes a copy, which nothing here asks for.  Without that
 * it is good until the next one is taken, and as long as an older one is active, which
 * keeps what it sees from being removed; from 18 on the server checks that each one is
 * active or registered.  Returns whether it had to be made active.
 */
static bool
take_snapshot(Snapshot *snapshot)
{
	bool		push = ACTOR_SNAPSHOTS_ARE_CHECKED || !ActiveSnapshotSet();

	CommandCounterIncrement();
	*snapshot = GetTransactionSnapshot();
	if (push)
	{
		PushActiveSnapshot(*snapshot);
		*snapshot = GetActiveSnapshot();
	}
	return push;
}

static void
leave_snapshot(bool pushed)
{
	if (pushed)
		PopActiveSnapshot();
}

/*
 * actor_direct_read
 *		Looks for the row with a primary key of texts, on the given snapshot, or
 *		on a fresh one if that is NULL, and calls a function with it.
 *
 * Returns false, and has done nothing, if the table must be read by SQL.
 * The slot is only valid within the function, which must not run user code.
 */
bool
actor_direct_read(ActorTable *table, const Datum *key, int nkeys, Snapshot snapshot,
				  ActorRowReader reader, void *arg)
{
	Relation	relation;
	TupleTableSlot *slot;
	ActorDirectResult result;
	bool		pushed;

	relation = open_for_row(table, key, AccessShareLock, snapshot);
	if (relation == NULL)
		return false;

	pushed = snapshot == NULL && take_snapshot(&snapshot);
	slot = table_slot_create(relation, NULL);
	result = find_row(relation, key, nkeys, snapshot, false, slot);
	if (result == ACTOR_DIRECT_DONE)
		reader(slot, arg);
	ExecDropSingleTupleTableSlot(slot);
	leave_snapshot(pushed);

	/*
	 * Citus may connect to this server to alter a part of which only rows
	 * were read
	 */
	relation_close(relation, actor_on_several_servers() ? AccessShareLock : NoLock);
	return result != ACTOR_DIRECT_BY_SQL;
}

/* updating -------------------------------------------------------------- */

/*
 * Makes a row of the one in a slot, with some columns changed, in the current memory
 * context.  The slot then has the new values.  Returns NULL if a column may not have
 * its value.
 */
static HeapTuple
change_row(TupleTableSlot *slot, const ActorColumn *columns, int ncolumns)
{
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;

	slot_getallattrs(slot);
	for (int i = 0; i < tupdesc->natts; i++)
		slot->tts_isnull[i] |= TupleDescAttr(tupdesc, i)->attisdropped;
	for (int i = 0; i < ncolumns; i++)
	{
		int			attribute = columns[i].number - 1;

		if (columns[i].isnull && TupleDescAttr(tupdesc, attribute)->attnotnull)
			return NULL;
		slot->tts_values[attribute] = columns[i].value;
		slot->tts_isnull[attribute] = columns[i].isnull;
	}
	return heap_form_tuple(tupdesc, slot->tts_values, slot->tts_isnull);
}

/*
 * Makes the index entries of a new version of a row.  Somebody may have added
 * an index with a function, which runs with the identity that a statement has.
 */
static void
insert_index_entries(Relation relation, HeapTuple row, ActorUpdatedIndexes updated)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation),
													&TTSOpsHeapTuple);
	ActorBookkeeping bookkeeping;
	EState	   *estate;
	ResultRelInfo *result;

	ExecStoreHeapTuple(row, slot, false);
	actor_identity_begin(&bookkeeping);
	PushActiveSnapshot(GetTransactionSnapshot());
	estate = CreateExecutorState();
	result = makeNode(ResultRelInfo);
	InitResultRelInfo(result, relation, 0, NULL, 0);
	ExecOpenIndices(result, false);
	/* a constraint to be checked later has a trigger, so there is none */
	(void) actor_insert_index_tuples(result, slot, estate, updated);
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	PopActiveSnapshot();
	actor_identity_end(&bookkeeping);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Replaces the row in a slot, as the current command, in the way the access method
 * of the table does it; from another slot the new one would be made twice.  Returns
 * false, and has done nothing, if a column may not have its value, or if somebody
 * else has changed the row.
 */
static bool
replace_row(Relation relation, TupleTableSlot *slot, const ActorColumn *columns, int ncolumns)
{
	HeapTuple	row = change_row(slot, columns, ncolumns);
	ActorUpdatedIndexes updated;

	if (row == NULL ||
		actor_heap_update(relation, &slot->tts_tid, row, GetCurrentCommandId(true),
						  &updated) != TM_Ok)
		return false;
	if (updated)
		insert_index_entries(relation, row, updated);
	heap_freetuple(row);
	return true;
}

/*
 * actor_direct_update
 *		Sets columns, which are not those of the key, of the row with a primary
 *		key of texts.
 *
 * For rows that are written in the turn of their actor, so that nobody else is
 * expected to change them; whoever does all the same makes this wait and then
 * leave the row to SQL, which knows what to do.  What was written is seen by
 * the next statement.  A row that does not pass the test, which must not run user
 * code, is as good as absent; without one every row does.
 */
ActorDirectResult
actor_direct_update(ActorTable *table, const Datum *key, int nkeys,
					const ActorColumn *columns, int ncolumns,
					ActorRowTest test, void *arg)
{
	ActorDirectResult result = ACTOR_DIRECT_BY_SQL;
	Relation	relation;

	actor_catalog_require();
	relation = open_for_row(table, key, RowExclusiveLock, NULL);
	if (relation == NULL)
		return result;

	if (actor_direct_writes(relation))
	{
		TupleTableSlot *slot = table_slot_create(relation, NULL);
		Snapshot	snapshot;
		bool		pushed;

		/* does it publish what cannot be replicated? */
		CheckCmdReplicaIdentity(relation, CMD_UPDATE);
		pushed = take_snapshot(&snapshot);
		result = find_row(relation, key, nkeys, snapshot, true, slot);
		if (result == ACTOR_DIRECT_DONE && test != NULL && !test(slot, arg))
			result = ACTOR_DIRECT_ABSENT;
		if (result == ACTOR_DIRECT_DONE && !replace_row(relation, slot, columns, ncolumns))
			result = ACTOR_DIRECT_BY_SQL;
		leave_snapshot(pushed);
		/* as SPI does after a statement */
		CommandCounterIncrement();
		ExecDropSingleTupleTableSlot(slot);
	}
	relation_close(relation, NoLock);
	return result;
}

/* locking and deleting -------------------------------------------------- */

/*
 * actor_direct_lock_found
 *		Locks a row that a snapshot sees, as FOR UPDATE SKIP LOCKED does, and reads it
 *		again.  What has changed since takes a statement.
 */
ActorDirectResult
actor_direct_lock_found(Relation relation, Snapshot snapshot, TupleTableSlot *slot)
{
	ItemPointerData tid = slot->tts_tid;
	TM_FailureData failure;

	ExecClearTuple(slot);
	switch (table_tuple_lock(relation, &tid, snapshot, slot,
							 GetCurrentCommandId(false), LockTupleExclusive, LockWaitSkip,
							 0, &failure))
	{
		case TM_Ok:
			return ACTOR_DIRECT_DONE;
		case TM_WouldBlock:
			return ACTOR_DIRECT_ABSENT;
		default:
			return ACTOR_DIRECT_BY_SQL;
	}
}

/*
 * actor_direct_lock
 *		Locks the row with a primary key of texts, if it passes the test and nobody
 *		else has locked it, and calls a function with it.  Otherwise it is as good as
 *		absent.
 */
ActorDirectResult
actor_direct_lock(ActorTable *table, const Datum *key, int nkeys,
				  ActorRowTest test, ActorRowReader reader, void *arg)
{
	ActorDirectResult result;
	Relation	relation;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	bool		pushed;

	actor_catalog_require();
	relation = actor_direct_open(table, RowShareLock);
	if (relation == NULL)
		return ACTOR_DIRECT_BY_SQL;

	pushed = take_snapshot(&snapshot);
	slot = table_slot_create(relation, NULL);
	result = find_row(relation, key, nkeys, snapshot, false, slot);
	if (result == ACTOR_DIRECT_DONE)
		result = test(slot, arg) ? actor_direct_lock_found(relation, snapshot, slot) :
			ACTOR_DIRECT_ABSENT;
	if (result == ACTOR_DIRECT_DONE)
		reader(slot, arg);
	ExecDropSingleTupleTableSlot(slot);
	leave_snapshot(pushed);
	relation_close(relation, NoLock);
	return result;
}

/*
 * actor_direct_lock_part
 *		Locks the row with a primary key of texts in a part of a distributed table, after
 *		waiting for whoever has, and calls a function with what is then there; by SQL
 *		also if Citus has to know of it.
 */
ActorDirectResult
actor_direct_lock_part(ActorTable *table, Oid part, const Datum *key,
					   ActorRowReader reader, void *arg)
{
	Relation	relation = actor_shard_open_with(table, part, RowExclusiveLock);
	ActorDirectResult result = ACTOR_DIRECT_BY_SQL;
	TupleTableSlot *slot;
	Snapshot	snapshot;
	bool		pushed;

	if (relation == NULL)
		return result;
	pushed = take_snapshot(&snapshot);
	slot = table_slot_create(relation, NULL);
	/* what was looked up were statements */
	if (actor_untold_possible())
		result = find_row(relation, key, table->nkeys, snapshot, false, slot);
	if (result == ACTOR_DIRECT_DONE)
	{
		ItemPointerData tid = slot->tts_tid;
		TM_FailureData failure;

		ExecClearTuple(slot);
		if (table_tuple_lock(relation, &tid, snapshot, slot, GetCurrentCommandId(false),
							 LockTupleExclusive, LockWaitBlock,
							 TUPLE_LOCK_FLAG_FIND_LAST_VERSION, &failure) == TM_Ok)
			reader(slot, arg);
		else
			result = ACTOR_DIRECT_BY_SQL;
	}
	ExecDropSingleTupleTableSlot(slot);
	leave_snapshot(pushed);
	relation_close(relation, NoLock);
	return result;
}

/*
 * actor_direct_delete
 *		Deletes the row with a primary key of texts, for which the same holds as for
 *		one that actor_direct_update writes, if it passes the test.
 */
ActorDirectResult
actor_direct_delete(ActorTable *table, const Datum *key, int nkeys,
					ActorRowTest test, void *arg)
{
	ActorDirectResult result = ACTOR_DIRECT_BY_SQL;
	Relation	relation;

	actor_catalog_require();
	relation = actor_direct_open(table, RowExclusiveLock);
	if (relation == NULL)
		return result;

	if (actor_direct_writes(relation))
	{
		TupleTableSlot *slot = table_slot_create(relation, NULL);
		TM_FailureData failure;
		Snapshot	snapshot;
		bool		pushed;

		CheckCmdReplicaIdentity(relation, CMD_DELETE);
		pushed = take_snapshot(&snapshot);
		result = find_row(relation, key, nkeys, snapshot, false, slot);
		if (result == ACTOR_DIRECT_DONE && !test(slot, arg))
			result = ACTOR_DIRECT_ABSENT;
		if (result == ACTOR_DIRECT_DONE &&
			table_tuple_delete(relation, &slot->tts_tid, GetCurrentCommandId(true),
							   snapshot, InvalidSnapshot, true, &failure, false) != TM_Ok)
			result = ACTOR_DIRECT_BY_SQL;
		leave_snapshot(pushed);
		/* as SPI does after a statement */
		CommandCounterIncrement();
		ExecDropSingleTupleTableSlot(slot);
	}
	relation_close(relation, NoLock);
	return result;
}

/* numbers -------------------------------------------------------------- */

/*
 * actor_direct_nextval
 *		Draws the next number of a sequence, whoever may use it; 0 if there is
 *		none.
 */
int64
actor_direct_nextval(ActorTable *sequence)
{
	actor_catalog_require();
	return OidIsValid(actor_direct_oid(sequence)) ? nextval_internal(sequence->oid, false) : 0;
}
