/*-------------------------------------------------------------------------
 *
 * shard.c
 *		The parts of distributed tables that are on this server.
 *
 * Whoever has the turn of an actor on several servers has written its row in
 * actor.activation.  If that was done on this server, in a table that is one part of the
 * distributed one, all other rows of the actor are here, too, in the parts that go with
 * that one, and they stay here until the transaction ends: a move waits for it.  So these
 * parts can be read and written directly, as tables of one server are; statements,
 * which Citus runs in this process then, see the same.
 *
 * Which parts belong together is looked up once a session, and again after each change
 * of the distributed tables, such as a move, or of one of the parts.  Which part of
 * actor.activation an actor is in is told by where.c; so the turn can be taken
 * without a statement, and rows be read that nobody has the turn of.
 *
 * IDENTIFICATION
 *		src/store/shard.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "store/internal.h"

#define LEADER			"activation_"

/* the part of actor.activation in which this transaction has the turn of an actor */
Oid			(*actor_shard_of_turn) (const ActorRef *actor) = NULL;

typedef struct ShardKey
{
	const ActorTable *table;
	uint64		leader;			/* oid of the part of actor.activation */
} ShardKey;

/* the part of a table that goes with a leader */
typedef struct Shard
{
	ShardKey	key;			/* hash key */
	Oid			oid;			/* invalid: cannot be used */
} Shard;

static HTAB *shards = NULL;
static uint64 shards_generation = 0;	/* of shapes; 0: to be looked up anew */

/*
 * actor_shard_changed
 *		One of the parts may have changed.  There are many, and this is rare.
 */
void
actor_shard_changed(Oid relation)
{
	HASH_SEQ_STATUS status;
	Shard	   *shard;

	if (shards == NULL || shards_generation == 0)
		return;
	hash_seq_init(&status, shards);
	while ((shard = hash_seq_search(&status)) != NULL)
		if (!OidIsValid(relation) || shard->oid == relation ||
			shard->key.leader == (uint64) relation)
			shards_generation = 0;
}

/*
 * Forgets what is out of date.
 */
static void
refresh(void)
{
	HASHCTL		ctl;

	if (shards != NULL && shards_generation == actor_shape_generation())
		return;
	if (shards != NULL)
		hash_destroy(shards);
	shards = NULL;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(ShardKey);
	ctl.entrysize = sizeof(Shard);
	ctl.hcxt = TopMemoryContext;
	shards = hash_create("shards of actors", 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	shards_generation = actor_shape_generation();
}

/*
 * The number of a part of actor.activation, by its name; NULL if it is none.
 */
static const char *
leader_number(Oid relation)
{
	char	   *name = get_rel_name(relation);
	const char *number;

	if (name == NULL || strncmp(name, LEADER, strlen(LEADER)) != 0 ||
		get_rel_namespace(relation) != get_namespace_oid("actor", true))
		return NULL;
	number = name + strlen(LEADER);
	return *number != '\0' && strspn(number, "0123456789") == strlen(number) ? number : NULL;
}

/*
 * Finds the part of a table that goes with a leader, and looks whether it can be used.
 */
static Oid
look_up(const ActorTable *table, Oid leader)
{
	const char *number = leader_number(leader);
	ActorBookkeeping bookkeeping;
	Oid			oid = InvalidOid;
	Relation	relation;
	bool		fits;

	if (number == NULL)
		return InvalidOid;
	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_run(psprintf(
							   "SELECT pg_catalog.format('%s_%%s', s.shardid)"
							   "  FROM pg_catalog.pg_dist_shard l"
							   "  JOIN pg_catalog.pg_dist_shard s"
							   "    ON s.shardminvalue OPERATOR(pg_catalog.=) l.shardminvalue"
							   "   AND s.shardmaxvalue OPERATOR(pg_catalog.=) l.shardmaxvalue"
							   "  JOIN pg_catalog.pg_dist_placement p"
							   "    ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
							   "  JOIN pg_catalog.pg_dist_local_group g"
							   "    ON g.groupid OPERATOR(pg_catalog.=) p.groupid"
							   " WHERE l.shardid OPERATOR(pg_catalog.=) %s"
							   "   AND s.logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=)"
							   "       'actor.%s'::pg_catalog.regclass::pg_catalog.oid",
							   table->name, number, table->name));
	if (SPI_processed == 1)
		oid = actor_catalog_relation(actor_cluster_value(0, 1));
	actor_bookkeeping_end(&bookkeeping);

	relation = OidIsValid(oid) ? try_relation_open(oid, AccessShareLock) : NULL;
	if (relation == NULL)
		return InvalidOid;
	fits = actor_direct_is_plain(relation) &&
		actor_shape_matches(relation, table->name, table->nkeys);
	relation_close(relation, NoLock);
	return fits ? oid : InvalidOid;
}

/*
 * The part of a table that goes with a leader; invalid if it cannot be used.
 */
static Oid
follower(const ActorTable *table, Oid leader)
{
	ShardKey	key;
	Shard	   *shard;
	Oid			oid;
	bool		known;

	refresh();
	memset(&key, 0, sizeof(key));
	key.table = table;
	key.leader = leader;
	shard = hash_search(shards, &key, HASH_FIND, &known);
	if (known)
		return shard->oid;
	oid = look_up(table, leader);
	/* that may have brought news */
	refresh();
	shard = hash_search(shards, &key, HASH_ENTER, &known);
	shard->oid = oid;
	return oid;
}

/*
 * actor_shard_open_with
 *		Opens the part of a table that goes with a leader; NULL if it cannot be used.
 */
Relation
actor_shard_open_with(const ActorTable *table, Oid leader, LOCKMODE lockmode)
{
	Oid			oid = follower(table, leader);
	Relation	relation;

	if (!OidIsValid(oid))
		return NULL;
	relation = try_relation_open(oid, lockmode);
	/* the lock may have brought news */
	if (relation != NULL && shards_generation != actor_shape_generation())
	{
		relation_close(relation, NoLock);
		return NULL;
	}
	return relation;
}

/*
 * actor_shard_open
 *		Opens the part of a table that has the rows of an actor, whose type and id are
 *		the first columns of the key; NULL if that takes a statement.
 *
 * A row can be read on the given snapshot, or, if that is NULL, on one that is taken
 * after this.  To be written, the turn must be held.
 */
Relation
actor_shard_open(const ActorTable *table, const Datum *key, LOCKMODE lockmode, Snapshot snapshot)
{
	ActorRef	actor;
	Oid			leader;

	/*
	 * a snapshot that is older than the turn may not see a row that has been
	 * moved
	 */
	if (IsolationUsesXactSnapshot())
		return NULL;
	actor_ref_init(&actor, (text *) DatumGetPointer(key[0]), (text *) DatumGetPointer(key[1]));
	leader = actor_shard_of_turn(&actor);
	if (!OidIsValid(leader) && lockmode != AccessShareLock)
		return NULL;
	if (!OidIsValid(leader) || snapshot != NULL)
	{
		Oid			here = actor_where_to_read(&actor, snapshot);

		if (!OidIsValid(here) || (OidIsValid(leader) && leader != here))
			return NULL;
		leader = here;
	}
	return actor_shard_open_with(table, leader, lockmode);
}

/*
 * Whether a row is one that this transaction has written for an actor.
 */
static bool
is_own_row(Relation relation, ItemPointer tid, const ActorRef *actor)
{
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	bool		own = false;

	if (ItemPointerGetBlockNumber(tid) < RelationGetNumberOfBlocks(relation) &&
		table_tuple_fetch_row_version(relation, tid, SnapshotSelf, slot))
	{
		bool		isnull;
		Datum		xmin = slot_getsysattr(slot, MinTransactionIdAttributeNumber, &isnull);

		own = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin)) &&
			actor_text_equal(DatumGetTextPP(slot_getattr(slot, 1, &isnull)), actor->type) &&
			actor_text_equal(DatumGetTextPP(slot_getattr(slot, 2, &isnull)), actor->id);
	}
	ExecDropSingleTupleTableSlot(slot);
	return own;
}

/*
 * actor_shard_has_written
 *		Whether the row of an actor in actor.activation, that a statement of this
 *		transaction has written in that table and place, is on this server.
 *
 * What the statement says can be of another one, where tables may well have the same
 * numbers, and rows the same places.  But only this transaction has its number here, and
 * an actor is in one place, so a row of it with that number is no other one.
 */
bool
actor_shard_has_written(Oid leader, ItemPointer tid, const ActorRef *actor)
{
	Relation	relation;
	bool		own;

	/* on another server it can be the number of anything */
	if (leader_number(leader) == NULL || !ConditionalLockRelationOid(leader, AccessShareLock))
		return false;
	relation = try_relation_open(leader, NoLock);
	if (relation == NULL)
		return false;
	own = is_own_row(relation, tid, actor);
	relation_close(relation, NoLock);
	return own;
}
