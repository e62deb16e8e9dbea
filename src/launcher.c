/*-------------------------------------------------------------------------
 *
 * launcher.c
 *		The launcher: one process that starts a scheduler in every database
 *		that has something to do.
 *
 * It is connected to no database, so it never stands in the way of a DROP
 * DATABASE.  At its start it has a look into every database, one at a time, by
 * starting a scheduler there, which leaves at once if it finds nothing.  After
 * that it only acts on what backends report in shared memory.
 *
 * It is the only worker that the postmaster restarts: after errors, SIGTERM
 * and a crash-restart.  All others are started by it, or by a scheduler.
 *
 * IDENTIFICATION
 *		src/launcher.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "actor.h"
#include "compat.h"
#include "workers.h"

/* the schedulers this launcher has started, by slot */
static BackgroundWorkerHandle **handles;

/*
 * actor_launcher_register
 *		Registers the launcher, while libraries are preloaded.
 */
void
actor_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "actor", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "actor_launcher_main", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "actor launcher", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "actor launcher", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

static void
launcher_exit(int code, Datum arg)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (actor_shared->launcher_latch == MyLatch)
		actor_shared->launcher_latch = NULL;
	LWLockRelease(actor_shared->lock);
}

/*
 * The databases one can connect to, templates excepted, as a list of oids in
 * the current memory context.
 */
static List *
list_databases(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;
	Relation	relation;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (database->datallowconn && !database->datistemplate)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			result = lappend_oid(result, database->oid);
			MemoryContextSwitchTo(old);
		}
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return result;
}

/*
 * Whether a database that was reported still is there.
 */
static bool
database_exists(Oid oid)
{
	MemoryContext context = CurrentMemoryContext;
	bool		exists;

	StartTransactionCommand();
	exists = get_database_name(oid) != NULL;
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return exists;
}

static void
free_slot(ActorDatabase *database)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database->oid = InvalidOid;
	database->state = DATABASE_FREE;
	LWLockRelease(actor_shared->lock);
}

/*
 * Starts the scheduler of a waiting database, if there is a slot.
 */
static bool
start_scheduler(int slot)
{
	ActorDatabase *database = &actor_shared->databases[slot];
	BackgroundWorker worker;
	bool		allowed;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	/* schedulers must leave slots for the executors they start */
	allowed = actor_workers_in_use() < actor_max_workers &&
		actor_schedulers_in_use() < Max(actor_max_workers / 2, 1);
	if (allowed)
	{
		database->state = DATABASE_STARTING;
		database->pid = 0;
	}
	LWLockRelease(actor_shared->lock);
	if (!allowed)
		return false;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_function_name, "actor_scheduler_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "actor scheduler for database %u", database->oid);
	strlcpy(worker.bgw_type, "actor scheduler", BGW_MAXLEN);
	worker.bgw_main_arg = Int32GetDatum(slot);
	if (handles[slot] != NULL)
		pfree(handles[slot]);
	handles[slot] = NULL;
	if (actor_worker_register(&worker, &handles[slot]))
		return true;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database->state = DATABASE_WAITING;
	LWLockRelease(actor_shared->lock);
	return false;
}

/*
 * Takes note of schedulers that have ended without having started.
 */
static void
check_started(int slot)
{
	ActorDatabase *database = &actor_shared->databases[slot];
	pid_t		pid;

	if (handles[slot] == NULL ||
		GetBackgroundWorkerPid(handles[slot], &pid) != BGWH_STOPPED)
		return;
	pfree(handles[slot]);
	handles[slot] = NULL;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (database->state == DATABASE_STARTING)
	{
		database->state = DATABASE_WAITING;
		database->pid = 0;
		database->start_after = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															ACTOR_RESTART_MS);
	}
	LWLockRelease(actor_shared->lock);
	ConditionVariableBroadcast(&actor_shared->worker_ended);
}

/*
 * Starts what waits, and returns the milliseconds after which to try again,
 * or -1 if that is not needed.
 */
static long
start_waiting(void)
{
	long		wait = -1;

	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorDatabase *database = &actor_shared->databases[slot];
		TimestampTz now = GetCurrentTimestamp();
		ActorDatabaseState state;
		TimestampTz start_after;
		bool		held;
		long		retry = -1;

		check_started(slot);
		LWLockAcquire(actor_shared->lock, LW_SHARED);
		state = database->state;
		start_after = database->start_after;
		held = actor_database_held(database->oid);
		LWLockRelease(actor_shared->lock);

		/* whoever holds a database sets our latch at the end */
		if (state != DATABASE_WAITING || held)
			continue;

		if (!database_exists(database->oid))
			free_slot(database);
		else if (start_after > now)
			retry = actor_wait_ms(now, start_after);
		else if (!start_scheduler(slot))
			retry = ACTOR_RESTART_MS;
		if (retry >= 0)
			wait = wait < 0 ? retry : Min(wait, retry);
	}
	return wait;
}

/*
 * Whether the scheduler of a database has not had its first look yet.
 */
static bool
is_looking(Oid oid)
{
	bool		looking = false;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorDatabase *database = &actor_shared->databases[slot];

		if (database->oid == oid)
			looking = database->state == DATABASE_STARTING ||
				(database->state == DATABASE_RUNNING &&
				 pg_atomic_read_u64(&database->next_look) == (uint64) DT_NOEND);
	}
	LWLockRelease(actor_shared->lock);
	return looking;
}

/*
 * Has a look into every database, one after the other, so that this never
 * needs more than one worker that turns out to have nothing to do.
 */
static void
look_everywhere(void)
{
	List	   *databases = list_databases();
	ListCell   *cell;

	foreach(cell, databases)
	{
		Oid			oid = lfirst_oid(cell);

		actor_worker_report(oid, GetCurrentTimestamp());
		(void) start_waiting();
		while (is_looking(oid))
		{
			/* schedulers set our latch when they have looked */
			(void) actor_worker_wait(ACTOR_RESTART_MS, ACTOR_WAIT_EVENT("ActorLauncherLook"));
			(void) start_waiting();
		}
	}
	list_free(databases);
}

/*
 * actor_launcher_main
 *		Entry point.
 */
void
actor_launcher_main(Datum arg)
{
	actor_worker_prepare();
	pqsignal(SIGINT, SIG_IGN);
	before_shmem_exit(launcher_exit, (Datum) 0);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("actor launcher");
	handles = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(BackgroundWorkerHandle *) * actor_shared->nslots);

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	actor_shared->launcher_latch = MyLatch;
	actor_shared->look_everywhere = true;
	LWLockRelease(actor_shared->lock);
	ereport(LOG, (errmsg("actor launcher started")));

	for (;;)
	{
		bool		look;
		long		wait;

		LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
		look = actor_shared->look_everywhere;
		actor_shared->look_everywhere = false;
		LWLockRelease(actor_shared->lock);
		if (look)
			look_everywhere();

		wait = start_waiting();

		/* a database that found no slot is looked for again */
		LWLockAcquire(actor_shared->lock, LW_SHARED);
		if (actor_shared->look_everywhere)
			wait = ACTOR_RESTART_MS;
		LWLockRelease(actor_shared->lock);
		if (actor_worker_wait(wait, ACTOR_WAIT_EVENT("ActorLauncherMain")))
		{
			/* firing may have been enabled */
			LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
			actor_shared->look_everywhere = true;
			LWLockRelease(actor_shared->lock);
		}
	}
}
