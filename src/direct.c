/*-------------------------------------------------------------------------
 *
 * direct.c
 *		Reading one row of the extension's tables by its key, without SQL.
 *
 * A statement costs several times what it takes to find the row: a plan is
 * checked, an executor is set up, and the result is put into a table of
 * tuples.  Here the index is scanned with the snapshot that the statement
 * would use, so what is seen is the same.  Nothing is locked but the table,
 * as a SELECT does, and no code of a user runs: the columns of the keys have
 * the type text and the collation "C".
 *
 * It is for plain local tables only.  One that has triggers, or is not a heap,
 * or has been made something else, such as a distributed table, is left to
 * SQL: every caller has a statement for that, too.
 *
 * IDENTIFICATION
 *		src/direct.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_class.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "actor.h"
#include "compat.h"

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
 * Opens a table, or returns NULL if it is not a plain one.  The lock is kept
 * until the transaction ends, as that of a statement is.
 */
static Relation
open_plain(ActorTable *table)
{
	Relation	relation;

	if (table->generation != actor_catalog_generation())
	{
		table->oid = actor_catalog_relation(table->name);
		table->generation = actor_catalog_generation();
	}
	if (!OidIsValid(table->oid))
		return NULL;
	relation = try_relation_open(table->oid, AccessShareLock);
	if (relation != NULL && !is_plain(relation))
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
open_primary_key(Relation relation, int nkeys)
{
	Oid			oid = actor_primary_key_index(relation);
	Relation	index;

	if (!OidIsValid(oid))
		return NULL;
	index = index_open(oid, AccessShareLock);
	if (index->rd_index->indcheckxmin ||
		IndexRelationGetNumberOfKeyAttributes(index) != nkeys)
	{
		index_close(index, NoLock);
		return NULL;
	}
	return index;
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
	ScanKeyData keys[ACTOR_DIRECT_MAX_KEYS];
	Relation	relation = open_plain(table);
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;

	Assert(nkeys <= ACTOR_DIRECT_MAX_KEYS);
	if (relation == NULL)
		return false;
	index = open_primary_key(relation, nkeys);
	if (index == NULL)
	{
		relation_close(relation, NoLock);
		return false;
	}

	/* as SPI does before a statement */
	if (snapshot == NULL)
	{
		CommandCounterIncrement();
		snapshot = GetTransactionSnapshot();
	}
	PushActiveSnapshot(snapshot);

	/* the collation is "C" already */
	for (int i = 0; i < nkeys; i++)
		ScanKeyInit(&keys[i], i + 1, BTEqualStrategyNumber, F_TEXTEQ, key[i]);
	slot = table_slot_create(relation, NULL);
	scan = actor_index_beginscan(relation, index, GetActiveSnapshot(), nkeys);
	index_rescan(scan, keys, nkeys, NULL, 0);
	if (index_getnext_slot(scan, ForwardScanDirection, slot))
		reader(slot, arg);
	index_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);

	PopActiveSnapshot();
	index_close(index, NoLock);
	relation_close(relation, NoLock);
	return true;
}
