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
 * Actors are on several servers when all tables are distributed that a call needs;
 * see distribute.c, which does that.  Then turns are rows, statements do without the
 * start of a server, and nothing is inserted into tables that are not distributed:
 * what is there would be known to one server only.
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
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "store/store.h"

/* how long rows from other servers wait to be seen, in milliseconds */
#define ELSEWHERE_MS	500

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

/*
 * Whether all tables are distributed that calls write.
 */
static bool
tables_distributed(void)
{
	for (const ActorDistributed *table = actor_distributed_tables; table->name != NULL; table++)
		if (!actor_is_distributed(actor_catalog_relation(table->name)))
			return false;
	return true;
}

/*
 * actor_on_several_servers
 *		Whether actors are on several servers.
 */
bool
actor_on_several_servers(void)
{
	static uint64 generation = 0;
	static bool several;
	uint64		current = actor_shape_generation();

	if (generation == current)
		return several;
	several = actor_shape_distributed() != NULL && tables_distributed();
	/* what is looked up may itself bring news */
	generation = current;
	return several;
}

/*
 * actor_next_from_elsewhere
 *		When to look for rows that sessions of other servers may have written, about
 *		which nobody is told here; DT_NOEND if they cannot.
 *
 * The tables of a server become distributed without a word to its workers, too, so
 * that is where Citus is.
 */
TimestampTz
actor_next_from_elsewhere(void)
{
	if (!OidIsValid(get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE)))
		return DT_NOEND;
	return TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ELSEWHERE_MS);
}

/*
 * actor_activation_start
 *		The start of the server that activations are of.  On several servers they
 *		are of none, and outlast it.
 */
TimestampTz
actor_activation_start(void)
{
	return actor_on_several_servers() ? 0 : PgStartTime;
}

/*
 * actor_insert_check
 *		Refuses to insert into a table that is on this server only, while actors
 *		are on several.
 */
void
actor_insert_check(Oid table)
{
	static Oid	known[16];		/* distributed ones */
	static int	nknown = 0;
	static uint64 generation = 0;

	if (!actor_on_several_servers())
		return;
	if (generation != actor_shape_generation())
		nknown = 0;
	generation = actor_shape_generation();
	for (int i = 0; i < nknown; i++)
		if (known[i] == table)
			return;
	if (!actor_is_distributed(table))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to table \"%s.%s\", because actors are on several servers",
						"actor", get_rel_name(table)),
				 errdetail("Methods, state, request ids, reminders, timers and messages work there. "
						   "Events, promises, histories and hosted actors do not.")));
	if (nknown < (int) lengthof(known))
		known[nknown++] = table;
}
