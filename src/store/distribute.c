/*-------------------------------------------------------------------------
 *
 * distribute.c
 *		Putting actors on several servers.
 *
 * Citus does that, which is talked to by SQL only.  Tables of actors are split by the
 * id of the actor, all in the same way, so that what belongs to an actor is on one
 * server; what calls need of types is on each.
 *
 * A change of the table of types shows in the caches of this server only.  So it
 * replaces a function as well, which Citus does on all servers in the same
 * transaction, and which is what their sessions look for.  The function is made here
 * and is no member of the extension, since Citus leaves what is one to whoever
 * installs that.
 *
 * IDENTIFICATION
 *		src/store/distribute.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/base.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(actor_distribute);

/* the others that are split go with the first one that is */
const ActorDistributed actor_distributed_tables[] = {
	{"type", true},
	{"role", true},
	{"pause", true},
	{"state", false},
	{"activation", false},
	{"request", false},
	{"reminder", false},
	{"timer", false},
	{"message", false},
	{"outbox", false},
	{"forwarded", false},
	{"failure", false},
	{NULL, false}
};

/* what would be left behind; see actor_insert_check */
static const char *const must_be_empty[] = {
	"promise", "history", "placement", "host"
};

/*
 * Lets this transaction change all shards of a table over one connection to each
 * server, over which functions are replaced, too.
 */
static void
go_one_by_one(void)
{
	actor_cluster_run("SET LOCAL citus.multi_shard_modify_mode TO 'sequential'");
}

/*
 * actor_distribute_types_changed
 *		Makes the sessions of all servers look up types again once this transaction
 *		has committed.  Refused but on the coordinator, which alone can do that.
 */
void
actor_distribute_types_changed(void)
{
	ActorBookkeeping bookkeeping;

	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_check_coordinator("change actor types or pauses");
	actor_cluster_run("CREATE OR REPLACE FUNCTION actor.types_changed() RETURNS pg_catalog.void"
					  " LANGUAGE sql AS ''");
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor_distribute_lock_out
 *		If actors are on several servers, waits for all turns to end, and for those
 *		who register reminders or send, and lets no other one begin before the transaction
 *		ends.
 */
void
actor_distribute_lock_out(void)
{
	ActorBookkeeping bookkeeping;

	if (!actor_on_several_servers())
		return;
	actor_bookkeeping_begin(&bookkeeping);
	go_one_by_one();
	actor_cluster_run("LOCK TABLE actor.activation, actor.reminder, actor.message, actor.outbox IN SHARE ROW EXCLUSIVE MODE");
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor_own_copy_begin
 *		Lets tables that are whole on each server be read by a function that Citus
 *		may run for a part of a distributed table, and others by what comes after the
 *		statement that another server has sent.  Returns what actor_own_copy_end takes;
 *		an error ends it, too.
 */
int
actor_own_copy_begin(void)
{
	int			nestlevel;

	if (!actor_on_several_servers())
		return 0;
	nestlevel = NewGUCNestLevel();
	(void) set_config_option("citus.allow_nested_distributed_execution", "on",
							 PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

void
actor_own_copy_end(int nestlevel)
{
	if (nestlevel > 0)
		AtEOXact_GUC(false, nestlevel);
}

/*
 * Refuses to leave rows behind that only one server would know.
 */
static void
check_empty(void)
{
	for (int i = 0; i < (int) lengthof(must_be_empty); i++)
	{
		actor_cluster_run(psprintf("SELECT FROM actor.%s LIMIT 1", must_be_empty[i]));
		if (SPI_processed > 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot distribute actors, because table \"%s.%s\" has rows",
							"actor", must_be_empty[i]),
					 errdetail("Promises, histories and hosts do not work on several servers.")));
	}
	actor_cluster_run("SELECT FROM actor.type WHERE hosted");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot distribute actors, because there are hosted types"),
				 errdetail("Hosts find their actors on one server only.")));
	actor_cluster_run("SELECT nodename, nodeport FROM pg_catalog.run_command_on_workers("
					  "'SELECT pg_catalog.count(*) FROM actor.type') WHERE NOT success OR result OPERATOR(pg_catalog.<>) '0'");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot distribute actors, because server %s:%s has types of its own",
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1),
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2)),
				 errhint("Unregister them there.")));
}

/*
 * Forgets what ends with this start of the server, in a table that outlasts starts from
 * now on: shards of others cannot be moved.
 */
static void
end_lives(const char *table)
{
	actor_cluster_run(psprintf("DELETE FROM actor.%s", table));
	if (!actor_is_distributed(actor_catalog_relation(table)))
		actor_cluster_run(psprintf("ALTER TABLE actor.%s SET LOGGED", table));
}

/*
 * Distributes one table; the leader is that which it goes with.
 */
static void
distribute_table(const ActorDistributed *table, const char *leader, int shard_count)
{
	if (table->everywhere)
		actor_cluster_run(psprintf("SELECT pg_catalog.create_reference_table('actor.%s')", table->name));
	else if (leader == NULL)
		actor_cluster_run(psprintf("SELECT pg_catalog.create_distributed_table('actor.%s', 'actor_id',"
								   " colocate_with => 'none', shard_count => %d)",
								   table->name, shard_count));
	else
		actor_cluster_run(psprintf("SELECT pg_catalog.create_distributed_table('actor.%s', 'actor_id',"
								   " colocate_with => 'actor.%s')", table->name, leader));
}

/*
 * Lets calls run on the server that has the actor, where they can; see
 * call/delegate.c.  Nothing depends on it.
 */
static void
delegate_functions(void)
{
	actor_cluster_run(
					  "SELECT pg_catalog.create_distributed_function("
					  "         p.oid::pg_catalog.regprocedure, '$2', 'actor.state')"
					  "  FROM pg_catalog.pg_proc p"
					  "  JOIN pg_catalog.pg_depend d"
					  "    ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass"
					  "   AND d.objid OPERATOR(pg_catalog.=) p.oid"
					  "  JOIN pg_catalog.pg_extension e"
					  "    ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass"
					  "   AND d.refobjid OPERATOR(pg_catalog.=) e.oid"
					  " WHERE e.extname OPERATOR(pg_catalog.=) 'actor'"
					  "   AND p.proargnames[2] OPERATOR(pg_catalog.=) 'actor_id'"
					  "   AND p.proname OPERATOR(pg_catalog.=) ANY (ARRAY['actor_invoke', 'actor_transact',"
					  "         'actor_get_state', 'actor_deactivate', 'actor_delete'])");
}

/*
 * actor_distribute
 *		Puts the actors of this database on the servers of a Citus cluster, in so
 *		many shards; for superusers, on the coordinator.
 */
Datum
actor_distribute(PG_FUNCTION_ARGS)
{
	ActorBookkeeping bookkeeping;
	const char *leader = NULL;
	int			shard_count = PG_ARGISNULL(0) ? 0 : PG_GETARG_INT32(0);

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to distribute actors")));
	if (shard_count < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero", "shard_count")));
	PreventCommandIfReadOnly("actor_distribute()");
	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_check_release();
	if (actor_on_several_servers())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actors are distributed already")));

	/*
	 * nobody has a turn from here on, or registers something, and no worker
	 * looks; see block.c
	 */
	go_one_by_one();
	actor_cluster_run("LOCK TABLE actor.activation, actor.reminder, actor.message, actor.outbox IN ACCESS EXCLUSIVE MODE");
	check_empty();
	end_lives("timer");
	end_lives("activation");
	for (const ActorDistributed *table = actor_distributed_tables; table->name != NULL; table++)
	{
		/* somebody may have begun with it, which cannot be undone */
		if (!actor_is_distributed(actor_catalog_relation(table->name)))
			distribute_table(table, leader, shard_count);
		if (!table->everywhere && leader == NULL)
			leader = table->name;
	}
	delegate_functions();
	actor_bookkeeping_end(&bookkeeping);
	actor_distribute_types_changed();
	PG_RETURN_VOID();
}
