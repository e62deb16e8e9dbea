/*-------------------------------------------------------------------------
 *
 * insert.c
 *		Inserting rows into the extension's tables without SQL; see direct.c.
 *
 * IDENTIFICATION
 *		src/store/insert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "nodes/primnodes.h"
#include "storage/lmgr.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/internal.h"

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

	if (!actor_direct_writes(relation) || tupdesc->natts != ncolumns ||
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
	return kept != NULL && kept->relation == actor_direct_oid(table) ? NoLock : RowExclusiveLock;
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
	relation = actor_direct_open(table, insertion_lock(table));
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
