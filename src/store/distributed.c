/*-------------------------------------------------------------------------
 *
 * distributed.c
 *		Whether a table of ours is distributed over several servers.
 *
 * Citus turns a table into an empty shell, whose rows are elsewhere, and on its
 * worker nodes nothing of the shell itself shows that.  Statements are led to
 * where the rows are; direct access would read and write the shell.  What says
 * so is a table of Citus in pg_catalog, which is all that is known of it here:
 * every table that is named there is somebody else's to reach.
 *
 * Whoever distributes a table has its cached description thrown away, in all
 * sessions of the node, so what is found out lasts for a generation of shapes.
 *
 * IDENTIFICATION
 *		src/store/distributed.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_namespace_d.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "store/store.h"

/*
 * Whether a row of the table names that relation.
 */
static bool
is_named(Relation partitions, AttrNumber column, Oid relation)
{
	SysScanDesc scan = systable_beginscan(partitions, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		found = false;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		value = fastgetattr(tuple, column, RelationGetDescr(partitions), &isnull);

		found = !isnull && DatumGetObjectId(value) == relation;
	}
	systable_endscan(scan);
	return found;
}

/*
 * actor_is_distributed
 *		Whether the rows of a relation are to be had by SQL only, because it is a
 *		distributed one.
 */
bool
actor_is_distributed(Oid relation)
{
	Oid			table = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	AttrNumber	column = OidIsValid(table) ? get_attnum(table, "logicalrelid") : InvalidAttrNumber;
	Relation	partitions;
	bool		found;

	if (column == InvalidAttrNumber)
		return false;
	partitions = try_relation_open(table, AccessShareLock);
	if (partitions == NULL)
		return false;
	found = is_named(partitions, column, relation);
	relation_close(partitions, AccessShareLock);
	return found;
}
