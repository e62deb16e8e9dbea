/*-------------------------------------------------------------------------
 *
 * rebalance.c
 *		Spreading the shards of actors evenly over the servers of a cluster.
 *
 * Citus does that, in the background, and tries a move again that a call has ended
 * by a deadlock.  It is only asked to move shards while calls go on.  What it does
 * otherwise copies a shard as it is seen at that moment: what a prepared transaction
 * has written, which nobody has finished yet, is not seen, and gone when it is.  A
 * move while calls go on begins by waiting for such transactions.
 *
 * IDENTIFICATION
 *		src/store/rebalance.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/base.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(actor_rebalance);

/*
 * Refuses what would fail in the background, where nobody sees it soon.
 */
static void
check_servers(void)
{
	actor_cluster_ask("SELECT pg_catalog.current_setting('wal_level')");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = actor_cluster_value(i, 1);
		char	   *level = actor_cluster_value(i, 3);

		if (strcmp(actor_cluster_value(i, 2), "true") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot move shards, because server %s does not answer", name),
					 errdetail("Trying it has led to: %s", level)));
		if (strcmp(level, "logical") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot move shards, because \"%s\" of server %s is \"%s\"",
							"wal_level", name, level),
					 errdetail("Shards are moved while calls go on, by logical replication."),
					 errhint("Set it to \"%s\" and restart that server.", "logical")));
	}
}

/*
 * Refuses a second one beside one that is not at its end.
 */
static void
check_running(void)
{
	actor_cluster_run("SELECT job_id FROM pg_catalog.pg_dist_background_job"
					  " WHERE job_type OPERATOR(pg_catalog.=) 'rebalance'"
					  "   AND state::pg_catalog.text OPERATOR(pg_catalog.<>)"
					  "       ALL (ARRAY['finished', 'cancelled', 'failed'])");
	if (SPI_processed > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("shards are moved already, by job %s", actor_cluster_value(0, 1)),
				 errhint("Watch it with citus_rebalance_status(), or wait for its end with citus_rebalance_wait().")));
}

/*
 * actor_rebalance
 *		Begins to spread shards evenly over the servers, in the background, once this
 *		transaction has committed; for superusers, on the coordinator.  Returns the
 *		number of the job, or NULL if there is nothing to move.
 */
Datum
actor_rebalance(PG_FUNCTION_ARGS)
{
	ActorBookkeeping bookkeeping;
	Datum		job = (Datum) 0;
	bool		isnull = true;

	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser to move shards")));
	PreventCommandIfReadOnly("actor_rebalance()");
	if (!actor_on_several_servers())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actors are not distributed"),
				 errhint("Use %s first.", "actor_distribute()")));
	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_check_coordinator("move shards");
	actor_cluster_check_release();
	check_running();
	check_servers();
	actor_cluster_run("SELECT pg_catalog.citus_rebalance_start(shard_transfer_mode => 'force_logical')");
	if (SPI_processed > 0)
		job = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	actor_bookkeeping_end(&bookkeeping);
	if (isnull)
		PG_RETURN_NULL();
	return job;
}
