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
 *		src/worker/launcher.c
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
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "worker/internal.h"

/* how long one database may hold up the look into the others, in milliseconds */
#define LOOK_MS				5000

/* a database that needs a scheduler */
typedef struct Waiting
{
	int			slot;
	TimestampTz left_at;
} Waiting;

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

		if (database->datallowconn && !database->datistemplate &&
			database->datconnlimit != ACTOR_DATABASE_INVALID)
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
 * Whether there still is a database, and if so, whether one can connect to it.
 */
static bool
database_exists(Oid oid, bool *connectable)
{
	MemoryContext context = CurrentMemoryContext;
	HeapTuple	tuple;
	bool		exists;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(oid));
	exists = HeapTupleIsValid(tuple);
	*connectable = exists && ((Form_pg_database) GETSTRUCT(tuple))->datallowconn &&
		((Form_pg_database) GETSTRUCT(tuple))->datconnlimit != ACTOR_DATABASE_INVALID;
	if (exists)
		ReleaseSysCache(tuple);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return exists;
}

/*
 * Starts the scheduler of a waiting database.  False if too many workers run.
 */
static bool
start_scheduler(int slot)
{
	ActorDatabase *database = &actor_shared->databases[slot];
	BackgroundWorker worker;
	ActorSchedulerStart start;

	if (!actor_database_begin_start(database))
		return false;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_function_name, "actor_scheduler_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "actor scheduler for database %u", database->oid);
	strlcpy(worker.bgw_type, "actor scheduler", BGW_MAXLEN);
	start.slot = slot;
	start.generation = database->generation;
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "scheduler's arguments do not fit");
	memcpy(worker.bgw_extra, &start, sizeof(start));
	if (handles[slot] != NULL)
		pfree(handles[slot]);
	handles[slot] = NULL;
	if (!actor_worker_register(&worker, &handles[slot]))
		actor_database_start_failed(database);
	return true;
}

/*
 * Takes note of a scheduler that has ended without having started.
 */
static void
check_started(int slot)
{
	pid_t		pid;

	if (handles[slot] == NULL ||
		GetBackgroundWorkerPid(handles[slot], &pid) != BGWH_STOPPED)
		return;
	pfree(handles[slot]);
	handles[slot] = NULL;
	actor_database_start_failed(&actor_shared->databases[slot]);
	ConditionVariableBroadcast(&actor_shared->worker_ended);
}

static int
compare_waiting(const ListCell *a, const ListCell *b)
{
	const Waiting *first = lfirst(a);
	const Waiting *second = lfirst(b);

	if (first->left_at != second->left_at)
		return first->left_at < second->left_at ? -1 : 1;
	return first->slot - second->slot;
}

/*
 * The databases that need a scheduler now, in the order in which they get one;
 * lowers "next" to the time when another one will.
 */
static List *
find_waiting(TimestampTz *next)
{
	List	   *result = NIL;

	for (int slot = 0; slot < actor_shared->ndatabases; slot++)
	{
		ActorDatabase *database = &actor_shared->databases[slot];
		TimestampTz start_at;
		TimestampTz left_at;
		bool		connectable;

		check_started(slot);
		start_at = actor_database_start_time(database, &left_at);
		if (start_at > GetCurrentTimestamp())
			*next = Min(*next, start_at);
		else if (!database_exists(database->oid, &connectable))
			actor_database_forget(database);
		else if (!connectable)
		{
			/* whoever allows connections sets our latch */
			actor_database_postpone(database,
									TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
																ACTOR_REREAD_MS));
			*next = Min(*next, database->start_after);
		}
		else
		{
			Waiting    *waiting = palloc(sizeof(Waiting));

			waiting->slot = slot;
			waiting->left_at = left_at;
			result = lappend(result, waiting);
		}
	}
	list_sort(result, compare_waiting);
	return result;
}

/*
 * Starts what waits, and returns when to try again, or DT_NOEND.
 */
static TimestampTz
start_waiting(void)
{
	TimestampTz next = DT_NOEND;
	List	   *waiting = find_waiting(&next);
	int			count = list_length(waiting);
	ListCell   *cell;

	foreach(cell, waiting)
	{
		if (!start_scheduler(((Waiting *) lfirst(cell))->slot))
			break;
		count--;
	}
	actor_databases_want(count);
	if (count > 0 && actor_complain_again(&actor_shared->complained_workers))
		ereport(LOG,
				(errmsg("not all databases with pending reminders can have a scheduler at once"),
				 errdetail("They take turns."),
				 errhint("Raise \"%s\".", "actor.max_workers")));

	/* those that could not be registered, or found too many workers */
	foreach(cell, waiting)
	{
		Waiting    *other = lfirst(cell);
		TimestampTz start_at;

		start_at = actor_database_start_time(&actor_shared->databases[other->slot],
											 &other->left_at);
		if (start_at != DT_NOEND)
			next = Min(next, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														 ACTOR_RESTART_MS));
	}
	list_free_deep(waiting);
	return next;
}

/*
 * Waits until then, or for the latch.
 */
static void
wait_until(TimestampTz until)
{
	long		ms = until == DT_NOEND ? -1 : actor_wait_ms(GetCurrentTimestamp(), until);

	if (actor_worker_wait(ms, ACTOR_WAIT_EVENT("ActorLauncherMain")))
		actor_databases_enable();
}

/*
 * Has a look into every database, one after the other, so that this never
 * needs more than one worker that turns out to have nothing to do.  One that
 * cannot be looked into, because somebody has locked its tables for instance,
 * does not hold up the others for long.
 *
 * When there was no slot for some, only those are looked into.
 */
static void
look_everywhere(bool known)
{
	List	   *databases = list_databases();
	ListCell   *cell;

	foreach(cell, databases)
	{
		Oid			oid = lfirst_oid(cell);
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz until = TimestampTzPlusMilliseconds(now, LOOK_MS);

		if (!known && actor_database_has_slot(oid))
			continue;
		actor_worker_report(oid, now);
		(void) start_waiting();
		while (actor_database_is_looked_into(oid) && GetCurrentTimestamp() < until)
		{
			/* schedulers set our latch when they have looked */
			wait_until(TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ACTOR_RESTART_MS));
			(void) start_waiting();
		}
	}
	list_free(databases);
}

/*
 * Takes the order to look everywhere, if there is one.
 */
static bool
take_look(void)
{
	bool		look;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	look = actor_shared->look_everywhere;
	actor_shared->look_everywhere = false;
	LWLockRelease(actor_shared->lock);
	return look;
}

/*
 * actor_launcher_main
 *		Entry point.
 */
void
actor_launcher_main(Datum arg)
{
	MemoryContext loop_context;
	TimestampTz enabled_at = 0;
	TimestampTz look_at = 0;
	bool		known = true;

	actor_worker_prepare();
	pqsignal(SIGINT, SIG_IGN);
	before_shmem_exit(launcher_exit, (Datum) 0);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("actor launcher");
	actor_worker_stat_start(WORKER_LAUNCHER, 0, InvalidOid);
	handles = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(BackgroundWorkerHandle *) * ACTOR_MAX_DATABASES);
	loop_context = AllocSetContextCreate(TopMemoryContext, "actor launcher",
										 ALLOCSET_DEFAULT_SIZES);

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	actor_shared->launcher_latch = MyLatch;
	LWLockRelease(actor_shared->lock);
	actor_databases_recover();
	actor_databases_enable();
	ereport(LOG, (errmsg("actor launcher started")));

	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz next;

		MemoryContextSwitchTo(loop_context);
		MemoryContextReset(loop_context);
		if (enabled_at != actor_shared->reloaded_at)
		{
			enabled_at = actor_shared->reloaded_at;
			look_at = 0;
			known = true;
		}
		if (look_at <= now && take_look())
		{
			look_everywhere(known);
			/* a database that found no slot is looked for again */
			look_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ACTOR_REREAD_MS);
			known = false;
		}
		actor_worker_stat_active();
		next = start_waiting();
		if (actor_shared->look_everywhere)
			next = Min(next, look_at);
		wait_until(next);
	}
}
