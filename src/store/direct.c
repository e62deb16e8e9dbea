/*-------------------------------------------------------------------------
 *
 * direct.c
 *		Reading, updating or inserting one row of the extension's tables by its
 *		key, without SQL.
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
 * SQL: every caller has a statement for that, too.
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
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"

/*
 * Whether a table is as it was created, so that its rows are all there is.  A
 * standby has no rows of unlogged tables, which SQL explains.
 */
static bool
is_plain(Relation relation)
{
	Form_pg_class class = relation->rd_rel;

	return class->relkind == RELKIND_RELATION && class->relam == HEAP_TABLE_AM_OID &&
		!class->relhassubclass && !class->relhastriggers && !class->relhasrules &&
		!class->relforcerowsecurity &&
		(class->relpersistence == RELPERSISTENCE_PERMANENT || !RecoveryInProgress());
}

/*
 * Whether nothing but its indexes and columns decides what can be written to
 * a plain table.
 */
static bool
is_plain_to_write(Relation relation)
{
	TupleConstr *constr = RelationGetDescr(relation)->constr;

	return !relation->rd_rel->relispartition &&
		(constr == NULL || (constr->num_check == 0 && !actor_has_generated(constr)));
}

static Oid
find_oid(ActorTable *table)
{
	if (table->generation != actor_catalog_generation())
	{
		table->oid = actor_catalog_relation(table->name);
		table->generation = actor_catalog_generation();
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
 * Opens a table, or returns NULL if it is not a plain one that is as it was
 * created, or somebody is to see all statements.  The lock is kept until the
 * transaction ends, as that of a statement is; NoLock says that it is held.
 */
static Relation
open_plain(ActorTable *table, LOCKMODE lockmode)
{
	Relation	relation;

	if (ExecutorCheckPerms_hook != NULL || !OidIsValid(find_oid(table)))
		return NULL;
	relation = try_relation_open(table->oid, lockmode);
	if (relation != NULL && !(is_plain(relation) && has_shape(table, relation)))
	{
		relation_close(relation, NoLock);
		return NULL;
	}
	return relation;
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
			  TupleTableSlot *slot)
{
	ScanKeyData keys[ACTOR_DIRECT_MAX_KEYS];
	IndexScanDesc scan;
	ItemPointer tid;
	bool		found = false;

	/* the collation is "C" already */
	for (int i = 0; i < nkeys; i++)
		ScanKeyInit(&keys[i], i + 1, BTEqualStrategyNumber, F_TEXTEQ, key[i]);
	scan = actor_index_beginscan(relation, index, GetActiveSnapshot(), nkeys);
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
 * Looks for the row of a plain table with a primary key of texts, on the active
 * snapshot: done, absent, or by SQL if it cannot be found that way.  The slot
 * keeps the row, and its page, until the slot is dropped.
 */
static ActorDirectResult
find_row(Relation relation, const Datum *key, int nkeys, bool to_update, TupleTableSlot *slot)
{
	Oid			primary_key = actor_primary_key_index(relation);
	Relation	index;
	bool		found;

	Assert(nkeys <= ACTOR_DIRECT_MAX_KEYS);
	if (!OidIsValid(primary_key))
		return ACTOR_DIRECT_BY_SQL;
	if (actor_location_fetch(relation, key, nkeys, to_update, slot))
		return ACTOR_DIRECT_DONE;
	index = open_primary_key(primary_key, nkeys);
	if (index == NULL)
		return ACTOR_DIRECT_BY_SQL;
	found = find_by_index(relation, index, key, nkeys, slot);
	index_close(index, NoLock);
	return found ? ACTOR_DIRECT_DONE : ACTOR_DIRECT_ABSENT;
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
	Relation	relation = open_plain(table, AccessShareLock);
	TupleTableSlot *slot;
	ActorDirectResult result;

	if (relation == NULL)
		return false;

	/* as SPI does before a statement */
	if (snapshot == NULL)
	{
		CommandCounterIncrement();
		snapshot = GetTransactionSnapshot();
	}
	PushActiveSnapshot(snapshot);

	slot = table_slot_create(relation, NULL);
	result = find_row(relation, key, nkeys, false, slot);
	if (result == ACTOR_DIRECT_DONE)
		reader(slot, arg);
	ExecDropSingleTupleTableSlot(slot);

	PopActiveSnapshot();
	relation_close(relation, NoLock);
	return result != ACTOR_DIRECT_BY_SQL;
}

/* updating -------------------------------------------------------------- */

/*
 * Puts a row with some columns changed into a virtual slot, which refers to
 * the old one.  Returns false if a column may not have that value.
 */
static bool
change_row(TupleTableSlot *old, TupleTableSlot *new, const ActorColumn *columns, int ncolumns)
{
	TupleDesc	tupdesc = new->tts_tupleDescriptor;

	slot_getallattrs(old);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		new->tts_values[i] = old->tts_values[i];
		new->tts_isnull[i] = old->tts_isnull[i] || TupleDescAttr(tupdesc, i)->attisdropped;
	}
	for (int i = 0; i < ncolumns; i++)
	{
		int			attribute = columns[i].number - 1;

		if (columns[i].isnull && TupleDescAttr(tupdesc, attribute)->attnotnull)
			return false;
		new->tts_values[attribute] = columns[i].value;
		new->tts_isnull[attribute] = columns[i].isnull;
	}
	ExecStoreVirtualTuple(new);
	return true;
}

/*
 * Makes the index entries of a new version of a row.  Somebody may have added
 * an index with a function, which runs with the identity that a statement has.
 */
static void
insert_index_entries(Relation relation, TupleTableSlot *slot, ActorUpdatedIndexes updated)
{
	ActorBookkeeping bookkeeping;
	EState	   *estate;
	ResultRelInfo *result;

	actor_identity_begin(&bookkeeping);
	estate = CreateExecutorState();
	result = makeNode(ResultRelInfo);
	InitResultRelInfo(result, relation, 0, NULL, 0);
	ExecOpenIndices(result, false);
	/* a constraint to be checked later has a trigger, so there is none */
	(void) actor_insert_index_tuples(result, slot, estate, updated);
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	actor_identity_end(&bookkeeping);
}

/*
 * Replaces a row that the active snapshot sees, as the current command.
 * Returns false, and has done nothing, if somebody else has changed it.
 */
static bool
replace_row(Relation relation, TupleTableSlot *old, TupleTableSlot *new)
{
	TM_FailureData failure;
	LockTupleMode lockmode;
	ActorUpdatedIndexes updated;

	if (table_tuple_update(relation, &old->tts_tid, new, GetCurrentCommandId(true),
						   GetActiveSnapshot(), InvalidSnapshot, true,
						   &failure, &lockmode, &updated) != TM_Ok)
		return false;
	if (updated)
		insert_index_entries(relation, new, updated);
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
	relation = open_plain(table, RowExclusiveLock);
	if (relation == NULL)
		return result;

	if (is_plain_to_write(relation))
	{
		TupleTableSlot *old = table_slot_create(relation, NULL);
		TupleTableSlot *new = MakeSingleTupleTableSlot(RelationGetDescr(relation),
													   &TTSOpsVirtual);

		/* does it publish what cannot be replicated? */
		CheckCmdReplicaIdentity(relation, CMD_UPDATE);

		/* as SPI does before a statement, and after it */
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		result = find_row(relation, key, nkeys, true, old);
		if (result == ACTOR_DIRECT_DONE && test != NULL && !test(old, arg))
			result = ACTOR_DIRECT_ABSENT;
		if (result == ACTOR_DIRECT_DONE &&
			!(change_row(old, new, columns, ncolumns) && replace_row(relation, old, new)))
			result = ACTOR_DIRECT_BY_SQL;
		PopActiveSnapshot();
		CommandCounterIncrement();

		ExecDropSingleTupleTableSlot(new);
		ExecDropSingleTupleTableSlot(old);
	}
	relation_close(relation, NoLock);
	return result;
}

/* inserting ------------------------------------------------------------- */

/* new rows in a row after which the next one is expected to be new, too */
#define LOOK_FIRST	32

/*
 * Whether a row of these columns is what an INSERT of them would write.  The
 * caller has drawn the number of an identity.
 */
static bool
takes_row(Relation relation, const bool *isnull, int ncolumns)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	if (!is_plain_to_write(relation) || tupdesc->natts != ncolumns ||
		(tupdesc->constr != NULL && tupdesc->constr->num_defval > 0))
		return false;
	for (int i = 0; i < ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (attribute->attisdropped || (attribute->attnotnull && isnull[i]))
			return false;
	}
	return true;
}

/*
 * What it takes to insert rows into a table.  It is kept, as it takes a good
 * part of the time; indexes are opened for each row.
 *
 * An index that is being made, or made anew, without locking out writers is not
 * written yet, and who makes it waits for those who have locked the table since
 * before it is.  So this may be kept as long as the lock and no longer: until
 * the (sub)transaction ends that it was made in, if that is rolled back.
 */
typedef struct Insertion
{
	Oid			relation;		/* it and the indexes are locked */
	List	   *indexes;
	EState	   *estate;
	ResultRelInfo *result;
	MemoryContextCallback forget;
} Insertion;

/* the last one, if nobody uses it */
static Insertion *kept = NULL;

static void
forget_insertion(void *arg)
{
	if (kept == arg)
		kept = NULL;
}

/*
 * Locks a table and its indexes as long as what is made for them is kept.  The
 * current owner may end before, see lock.c.
 */
static void
lock_for_insertion(Oid relation, List *indexes)
{
	ResourceOwner owner = CurrentResourceOwner;
	ListCell   *cell;

	CurrentResourceOwner = CurTransactionResourceOwner;
	LockRelationOid(relation, RowExclusiveLock);
	foreach(cell, indexes)
		LockRelationOid(lfirst_oid(cell), RowExclusiveLock);
	CurrentResourceOwner = owner;
}

/*
 * The lock with which a table is opened to insert into it.
 */
static LOCKMODE
insertion_lock(ActorTable *table)
{
	return kept != NULL && kept->relation == find_oid(table) ? NoLock : RowExclusiveLock;
}

/*
 * Makes what it takes to insert rows into a table, in the context of the
 * (sub)transaction, and opens its indexes.
 */
static Insertion *
make_insertion(Relation relation, List *indexes)
{
	MemoryContext old = MemoryContextSwitchTo(CurTransactionContext);
	EState	   *estate = CreateExecutorState();
	Insertion  *insertion;

	lock_for_insertion(RelationGetRelid(relation), indexes);
	MemoryContextSwitchTo(estate->es_query_cxt);
	insertion = palloc0(sizeof(Insertion));
	insertion->relation = RelationGetRelid(relation);
	insertion->indexes = list_copy(indexes);
	insertion->estate = estate;
	insertion->result = makeNode(ResultRelInfo);
	InitResultRelInfo(insertion->result, relation, 0, NULL, 0);
	ExecOpenIndices(insertion->result, true);
	insertion->forget.func = forget_insertion;
	insertion->forget.arg = insertion;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, &insertion->forget);
	MemoryContextSwitchTo(old);
	return insertion;
}

/*
 * Takes the one that is kept if it fits, or makes one, with the indexes open.
 */
static Insertion *
begin_insertion(Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	Insertion  *insertion = kept;
	int			i = 0;
	ListCell   *cell;

	kept = NULL;
	if (insertion == NULL || insertion->relation != RelationGetRelid(relation) ||
		!equal(insertion->indexes, indexes))
	{
		if (insertion != NULL)
			FreeExecutorState(insertion->estate);
		return make_insertion(relation, indexes);
	}

	insertion->result->ri_RelationDesc = relation;
	foreach(cell, indexes)
		insertion->result->ri_IndexRelationDescs[i++] = index_open(lfirst_oid(cell), NoLock);
	list_free(indexes);
	return insertion;
}

/*
 * Whether the rows of a partial index are told by columns alone.
 */
static bool
asks_for_columns(List *predicate)
{
	ListCell   *cell;

	foreach(cell, predicate)
	{
		Node	   *clause = lfirst(cell);

		if (IsA(clause, BoolExpr) && ((BoolExpr *) clause)->boolop == NOT_EXPR)
			clause = linitial(((BoolExpr *) clause)->args);
		if (!IsA(clause, Var))
			return false;
	}
	return true;
}

/*
 * Whether no index has anything in it that counts on the end of a statement:
 * functions, or what an access method has kept, which refers to the index while
 * it is open.
 */
static bool
has_simple_indexes(const ResultRelInfo *result)
{
	for (int i = 0; i < result->ri_NumIndices; i++)
	{
		const IndexInfo *index = result->ri_IndexRelationInfo[i];

		if (index->ii_Expressions != NIL || !asks_for_columns(index->ii_Predicate) ||
			index->ii_AmCache != NULL)
			return false;
	}
	return true;
}

/*
 * Closes the indexes, whose locks are kept as that of the table is, if what was
 * made is to be used again.
 */
static void
end_insertion(Insertion *insertion)
{
	if (!has_simple_indexes(insertion->result))
	{
		ExecCloseIndices(insertion->result);
		FreeExecutorState(insertion->estate);
		return;
	}
	for (int i = 0; i < insertion->result->ri_NumIndices; i++)
		index_close(insertion->result->ri_IndexRelationDescs[i], NoLock);
	ResetPerTupleExprContext(insertion->estate);
	kept = insertion;
}

/*
 * Writes a row into a table, which is a heap.  The slot would have it made twice.
 */
static void
put_row(Relation relation, TupleTableSlot *slot, int options, uint32 token)
{
	HeapTuple	row = heap_form_tuple(RelationGetDescr(relation), slot->tts_values,
									  slot->tts_isnull);

	row->t_tableOid = slot->tts_tableOid = RelationGetRelid(relation);
	if (options & HEAP_INSERT_SPECULATIVE)
		HeapTupleHeaderSetSpeculativeToken(row->t_data, token);
	heap_insert(relation, row, GetCurrentCommandId(true), options, NULL);
	slot->tts_tid = row->t_self;
	heap_freetuple(row);
}

/*
 * Inserts a row unless there is one with its primary key.  As for ON CONFLICT,
 * it is withdrawn if one turns up.  Looking for one before leaves no dead row
 * then, but is not needed.
 */
static bool
insert_unless_there(Relation relation, Oid primary_key, TupleTableSlot *slot,
					Insertion *insertion, bool look_first)
{
	List	   *arbiters = list_make1_oid(primary_key);
	ItemPointerData other;
	bool		conflict = false;
	uint32		token;

	if (look_first &&
		!actor_check_index_constraints(insertion->result, slot, insertion->estate, &other,
									   arbiters))
		return false;

	token = SpeculativeInsertionLockAcquire(GetCurrentTransactionId());
	put_row(relation, slot, HEAP_INSERT_SPECULATIVE, token);
	(void) actor_insert_index_tuples_once(insertion->result, slot, insertion->estate,
										  &conflict, arbiters);
	if (conflict)
		heap_abort_speculative(relation, &slot->tts_tid);
	else
		heap_finish_speculative(relation, &slot->tts_tid);
	SpeculativeInsertionLockRelease(GetCurrentTransactionId());
	return !conflict;
}

/*
 * Inserts a row whose key no other one should have.
 */
static void
insert_new(Relation relation, TupleTableSlot *slot, Insertion *insertion)
{
	put_row(relation, slot, 0, 0);
	(void) actor_insert_new_index_tuples(insertion->result, slot, insertion->estate);
}

/*
 * Either of these.  Nobody looks before while many new rows come in a row.
 */
static bool
insert_row(Relation relation, Oid primary_key, TupleTableSlot *slot, bool unless_there)
{
	static int	look_first = LOOK_FIRST;
	ActorBookkeeping bookkeeping;
	Insertion  *volatile insertion;
	volatile bool inserted = true;
	bool		needs_snapshot;

	/* for functions of indexes, as above */
	actor_identity_begin(&bookkeeping);
	insertion = begin_insertion(relation);
	/* nothing else asks for it */
	needs_snapshot = !ActiveSnapshotSet() || !has_simple_indexes(insertion->result);
	if (needs_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	PG_TRY();
	{
		if (unless_there)
			inserted = insert_unless_there(relation, primary_key, slot, insertion,
										   look_first > 0);
		else
			insert_new(relation, slot, insertion);
	}
	PG_CATCH();
	{
		/*
		 * Nothing in it is half done.  Rows that fail must not each leave one
		 * behind until the transaction ends.
		 */
		if (has_simple_indexes(insertion->result))
			kept = insertion;
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (needs_snapshot)
		PopActiveSnapshot();
	if (unless_there)
		look_first = inserted ? Max(look_first - 1, 0) : LOOK_FIRST;
	end_insertion(insertion);
	actor_identity_end(&bookkeeping);
	return inserted;
}

/*
 * actor_direct_insert
 *		Inserts a row, of all columns; if that is wanted, unless there is one with
 *		its primary key.
 *
 * Returns false, and has done nothing, if there is, or if it takes a statement
 * to insert it.  Otherwise raises unique_violation if there is one.
 */
bool
actor_direct_insert(ActorTable *table, const Datum *values, const bool *isnull, int ncolumns,
					bool unless_there)
{
	Relation	relation;
	Oid			primary_key;
	bool		inserted = false;

	actor_catalog_require();
	/* the statement finds out whether that may be */
	if (actor_on_several_servers())
		return false;
	relation = open_plain(table, insertion_lock(table));
	if (relation == NULL)
		return false;

	primary_key = actor_primary_key_index(relation);
	if (OidIsValid(primary_key) && takes_row(relation, isnull, ncolumns))
	{
		TupleDesc	tupdesc = RelationGetDescr(relation);
		TupleTableSlot *slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);

		memcpy(slot->tts_values, values, ncolumns * sizeof(Datum));
		memcpy(slot->tts_isnull, isnull, ncolumns * sizeof(bool));
		ExecStoreVirtualTuple(slot);

		/* as SPI does before a statement, and after it */
		CommandCounterIncrement();
		inserted = insert_row(relation, primary_key, slot, unless_there);
		CommandCounterIncrement();
		ExecDropSingleTupleTableSlot(slot);
	}
	relation_close(relation, NoLock);
	return inserted;
}

/*
 * actor_direct_nextval
 *		Draws the next number of a sequence, whoever may use it; 0 if there is
 *		none.
 */
int64
actor_direct_nextval(ActorTable *sequence)
{
	actor_catalog_require();
	return OidIsValid(find_oid(sequence)) ? nextval_internal(sequence->oid, false) : 0;
}
