/*-------------------------------------------------------------------------
 *
 * where.c
 *		Which part of actor.activation an actor is in, if it is on this server.
 *
 * Citus puts the rows of an actor into the part whose range has the hash of its id,
 * by the hash function of the type.  Which parts are here, and what their ranges are,
 * is read once, and again after each change of the distributed tables, such as a move.
 * Before a part is used the first time, Citus is asked whether it would look for the
 * actor there, too.
 *
 * A move waits for those who write a shard, and they for it, by a lock that
 * a statement takes before it looks where the shard is.  Whoever takes the same lock, by
 * the function that servers call for each other, and sees then that nothing has changed,
 * knows that the shard stays until the end of the transaction.
 *
 * Who only reads takes no such lock, as statements do not.  What is read is what is
 * there as long as this server has not been told of a move.  A row that has been
 * moved here is seen by snapshots that are not older than the look at what is here.
 *
 * IDENTIFICATION
 *		src/store/where.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "store/internal.h"

/* of Citus; a shard with a single place, which can be used (1) */
#define PARTS \
	"SELECT s.shardid, s.shardminvalue::pg_catalog.int4, s.shardmaxvalue::pg_catalog.int4" \
	"  FROM pg_catalog.pg_dist_local_group g" \
	"  JOIN pg_catalog.pg_dist_placement p ON p.groupid OPERATOR(pg_catalog.=) g.groupid" \
	"  JOIN pg_catalog.pg_dist_shard s ON s.shardid OPERATOR(pg_catalog.=) p.shardid" \
	" WHERE p.shardstate OPERATOR(pg_catalog.=) 1" \
	"   AND s.logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=)" \
	"       'actor.activation'::pg_catalog.regclass::pg_catalog.oid" \
	"   AND NOT EXISTS" \
	"       (SELECT FROM pg_catalog.pg_dist_placement o" \
	"         WHERE o.shardid OPERATOR(pg_catalog.=) s.shardid" \
	"           AND o.placementid OPERATOR(pg_catalog.<>) p.placementid)"

static ActorQuery ask = {
	"SELECT pg_catalog.get_shard_id_for_distribution_column("
	"'actor.activation'::pg_catalog.regclass, $1)",
	1, {TEXTOID}
};

static ActorTable activation = {"activation", 2};

/* a part of actor.activation that is here */
typedef struct Part
{
	int64		id;
	int32		min;			/* range of hashes */
	int32		max;
	Oid			oid;
	bool		checked;		/* by asking Citus */
} Part;

static Part *parts = NULL;
static int	part_count = 0;
static MemoryContext parts_context = NULL;
static uint64 parts_generation = 0; /* of shapes */

/* what a snapshot was like that was taken when they were known */
static TransactionId known_xmax = InvalidTransactionId;
static uint32 known_running = 0;

static FmgrInfo lock_function;
static FmgrInfo *hash_function = NULL;

/*
 * The function by which servers take the locks of shards for each other; false if there
 * is none.
 */
static bool
find_lock_function(void)
{
	Oid			types[2] = {INT4OID, INT8ARRAYOID};
	Oid			function = LookupFuncName(list_make2(makeString("pg_catalog"),
													 makeString("lock_shard_metadata")),
										  2, types, true);

	if (!OidIsValid(function))
		return false;
	fmgr_info_cxt(function, &lock_function, parts_context);
	return true;
}

/*
 * Reads the parts that are here.
 */
static void
read_parts(void)
{
	ActorBookkeeping bookkeeping;
	Snapshot	snapshot;
	uint64		generation = actor_shape_generation();

	if (parts_context == NULL)
		parts_context = AllocSetContextCreate(TopMemoryContext, "places of actors",
											  ALLOCSET_SMALL_SIZES);
	parts_generation = 0;
	part_count = 0;
	MemoryContextReset(parts_context);
	hash_function = &lookup_type_cache(TEXTOID, TYPECACHE_HASH_PROC_FINFO)->hash_proc_finfo;
	if (find_lock_function())
	{
		actor_bookkeeping_begin(&bookkeeping);
		actor_cluster_run(PARTS);
		parts = MemoryContextAlloc(parts_context, sizeof(Part) * (SPI_processed + 1));
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			Part	   *part = &parts[part_count];
			bool		isnull[3];

			part->id = DatumGetInt64(actor_query_result(i, 1, &isnull[0]));
			part->min = DatumGetInt32(actor_query_result(i, 2, &isnull[1]));
			part->max = DatumGetInt32(actor_query_result(i, 3, &isnull[2]));
			part->oid = actor_catalog_relation(psprintf("activation_" INT64_FORMAT, part->id));
			part->checked = false;
			if (!isnull[1] && !isnull[2] && OidIsValid(part->oid))
				part_count++;
		}
		actor_bookkeeping_end(&bookkeeping);
	}
	snapshot = GetLatestSnapshot();
	known_xmax = snapshot->xmax;
	known_running = snapshot->xcnt;
	/* what is looked up may itself bring news */
	parts_generation = generation;
}

/*
 * Whether Citus would look for an actor in a part, too.
 */
static bool
is_confirmed(Part *part, const ActorRef *actor)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(actor->id)};
	Datum		answer;
	int64		id = part->id;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_row(&ask, values, 1, &answer, &isnull);
	actor_bookkeeping_end(&bookkeeping);
	return !isnull && DatumGetInt64(answer) == id;
}

/*
 * The part that an actor is in; NULL if it is none that is here, or this is not known.
 * What was looked up may have brought news.
 */
static Part *
find_part(const ActorRef *actor)
{
	int32		hash;

	if (parts_generation != actor_shape_generation())
		read_parts();
	if (part_count == 0)
		return NULL;
	hash = DatumGetInt32(FunctionCall1Coll(hash_function, C_COLLATION_OID,
										   PointerGetDatum(actor->id)));
	for (int i = 0; i < part_count; i++)
	{
		Part	   *part = &parts[i];

		if (hash < part->min || hash > part->max)
			continue;
		if (!part->checked)
		{
			if (!is_confirmed(part, actor) || parts_generation != actor_shape_generation())
				return NULL;
			part->checked = true;
		}
		return part;
	}
	return NULL;
}

/*
 * Takes the lock of a shard that keeps it where it is, as a statement that writes it
 * does.  Waits while it moves.
 */
static void
keep_in_place(int64 id)
{
	ActorBookkeeping bookkeeping;
	Datum		ids[1] = {Int64GetDatum(id)};
	ArrayType  *array = construct_array(ids, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
										TYPALIGN_DOUBLE);

	/* it asks whether the table is one of the caller */
	actor_identity_begin(&bookkeeping);
	(void) FunctionCall2(&lock_function, Int32GetDatum(ShareLock), PointerGetDatum(array));
	actor_identity_end(&bookkeeping);
	pfree(array);
}

/*
 * actor_where_to_write
 *		The part of actor.activation that an actor is in, which it stays in until the
 *		(sub)transaction ends; invalid if it takes a statement to find out, or to
 *		write there.
 */
Oid
actor_where_to_write(const ActorRef *actor)
{
	Part	   *part;
	ResourceOwner owner = CurrentResourceOwner;
	Oid			oid;
	uint64		generation;

	if (ExecutorCheckPerms_hook != NULL || XactReadOnly || IsolationUsesXactSnapshot() ||
		!actor_untold_possible() || !OidIsValid(actor_direct_oid(&activation)))
		return InvalidOid;
	part = find_part(actor);
	if (part == NULL || !actor_untold_possible())
		return InvalidOid;
	oid = part->oid;
	generation = parts_generation;
	/* the current owner may end before that, see lock.c */
	CurrentResourceOwner = CurTransactionResourceOwner;
	LockRelationOid(activation.oid, RowExclusiveLock);
	keep_in_place(part->id);
	CurrentResourceOwner = owner;
	AcceptInvalidationMessages();
	return generation == actor_shape_generation() ? oid : InvalidOid;
}

/*
 * Whether a snapshot sees all that was committed when the parts were read.
 */
static bool
is_recent(Snapshot snapshot)
{
	if (snapshot->snapshot_type != SNAPSHOT_MVCC || snapshot->takenDuringRecovery)
		return false;
	if (snapshot->xmax != known_xmax)
		return TransactionIdFollows(snapshot->xmax, known_xmax);
	/* with the same end, what was running can only have become less */
	return snapshot->xcnt <= known_running;
}

/*
 * actor_where_to_read
 *		The part of actor.activation that an actor is in, for reading on a snapshot,
 *		or, if that is NULL, on one that is taken after this; invalid if that takes a
 *		statement.
 */
Oid
actor_where_to_read(const ActorRef *actor, Snapshot snapshot)
{
	Part	   *part;

	if (!actor_untold_possible())
		return InvalidOid;
	part = find_part(actor);
	if (part == NULL || !actor_untold_possible() ||
		(snapshot != NULL && !is_recent(snapshot)))
		return InvalidOid;
	return part->oid;
}
