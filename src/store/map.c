/*-------------------------------------------------------------------------
 *
 * map.c
 *		Which server has which actors, when they are on several.
 *
 * Citus puts an actor into the part of the tables whose range has the hash of its id,
 * and a part on a server.  What is read of that is kept until a distributed table
 * changes.  It can be out of date nevertheless, so it only says what is likely: a
 * statement finds its way by itself.  Which actors are in one part is another matter,
 * that changes only when somebody splits it.
 *
 * On one server all actors are in one part.
 *
 * IDENTIFICATION
 *		src/store/map.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "store/store.h"

static ActorQuery read_map = {
	"SELECT s.shardminvalue::pg_catalog.int4, p.groupid"
	"  FROM pg_catalog.pg_dist_shard s"
	"  JOIN pg_catalog.pg_dist_placement p ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
	" WHERE s.logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=)"
	"       'actor.message'::pg_catalog.regclass::pg_catalog.oid"
	"   AND p.shardstate OPERATOR(pg_catalog.=) 1"
	" ORDER BY 1",
	0, {0}
};

/* a part: the first hash of its range, and the server that has it */
typedef struct Part
{
	int32		start;
	int			server;
} Part;

static Part *parts = NULL;
static int	nparts = 0;
static uint64 parts_generation = 0;

static void *
read_part(uint64 row)
{
	Part	   *part = palloc(sizeof(Part));
	bool		isnull;

	part->start = DatumGetInt32(actor_query_result(row, 1, &isnull));
	part->server = DatumGetInt32(actor_query_result(row, 2, &isnull));
	return part;
}

/*
 * Reads the map again if it may have changed.
 */
static void
refresh(void)
{
	uint64		generation = actor_shape_generation();
	List	   *found = NIL;
	ListCell   *cell;
	Part	   *fresh;
	int			n = 0;

	if (parts != NULL && parts_generation == generation)
		return;
	if (actor_on_several_servers())
		found = actor_query_list(&read_map, NULL, read_part);
	fresh = MemoryContextAlloc(TopMemoryContext, sizeof(Part) * (list_length(found) + 1));
	fresh[n++] = (Part)
	{
		PG_INT32_MIN, 0
	};
	foreach(cell, found)
	{
		Part	   *part = lfirst(cell);

		/* the first one begins with the first hash, too */
		if (part->start != fresh[n - 1].start)
			n++;
		fresh[n - 1] = *part;
	}
	list_free_deep(found);
	if (parts != NULL)
		pfree(parts);
	parts = fresh;
	nparts = n;
	/* what is looked up may itself bring news */
	parts_generation = generation;
}

/*
 * actor_map_part
 *		The part that has the actors of an id, counting from 0.
 */
int
actor_map_part(const text *actor_id)
{
	int32		hash = DatumGetInt32(DirectFunctionCall1Coll(hashtext, C_COLLATION_OID,
															 PointerGetDatum(actor_id)));
	int			from = 0;
	int			to;

	refresh();
	to = nparts - 1;
	while (from < to)
	{
		int			middle = (from + to + 1) / 2;

		if (parts[middle].start <= hash)
			from = middle;
		else
			to = middle - 1;
	}
	return from;
}

/*
 * actor_map_parts
 *		How many parts there are.
 */
int
actor_map_parts(void)
{
	refresh();
	return nparts;
}

/*
 * actor_map_server
 *		The number of the server that has a part.
 */
int
actor_map_server(int part)
{
	return part < actor_map_parts() ? parts[part].server : 0;
}

/*
 * actor_map_starts
 *		The first hash of each part, as an array for statements.
 */
ArrayType *
actor_map_starts(void)
{
	Datum	   *starts;

	refresh();
	starts = palloc(sizeof(Datum) * nparts);
	for (int i = 0; i < nparts; i++)
		starts[i] = Int32GetDatum(parts[i].start);
	return construct_array(starts, nparts, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}
