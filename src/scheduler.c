/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *		The scheduler: one process a database, which finds the roles that have
 *		due rows and starts executors for them.
 *
 * It reads the extension's tables only, and runs no user code.  It sleeps
 * until the earliest row for which there is no executor yet, less the time it
 * takes to start one.  It leaves when no rows are pending at all.
 *
 * See workers.c for why no wake-up is lost.
 *
 * IDENTIFICATION
 *		src/scheduler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "actor.h"
#include "compat.h"
#include "workers.h"

/* a role that has rows pending */
typedef struct RoleDue
{
	NameData	name;
	Oid			oid;			/* invalid: no worker can connect as it */
	TimestampTz next;
} RoleDue;

/* what is remembered of a role between two looks */
typedef struct RoleMemory
{
	NameData	name;			/* hash key */
	bool		complained;		/* that it cannot be used */
	TimestampTz start_after;	/* no executor is started before */
} RoleMemory;

/* the earliest row of each role, by skipping from role to role in the index */
static ActorQuery read_roles = {
	"WITH RECURSIVE r AS ("
	"  (SELECT role_name, next_try_at FROM actor.reminder"
	"    ORDER BY role_name, next_try_at LIMIT 1)"
	"  UNION ALL"
	"  SELECT n.role_name, n.next_try_at FROM r CROSS JOIN LATERAL"
	"    (SELECT m.role_name, m.next_try_at FROM actor.reminder m"
	"      WHERE m.role_name OPERATOR(pg_catalog.>) r.role_name"
	"      ORDER BY m.role_name, m.next_try_at LIMIT 1) n)"
	" SELECT role_name, next_try_at FROM r ORDER BY next_try_at",
	0, {0}
};

static int	my_slot;
static ActorDatabase *my_database;
static HTAB *memory;
static BackgroundWorkerHandle **handles;	/* of executors, by slot */

/* coming and going ------------------------------------------------------ */

/*
 * However the process ends: unless it has left in order, the launcher starts
 * another one after a while.
 */
static void
scheduler_exit(int code, Datum arg)
{
	Latch	   *launcher;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (my_database->state == DATABASE_STARTING ||
		(my_database->state == DATABASE_RUNNING && my_database->latch == MyLatch))
	{
		my_database->state = DATABASE_WAITING;
		my_database->pid = 0;
		my_database->latch = NULL;
		my_database->start_after = actor_database_held(my_database->oid) ? 0 :
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ACTOR_RESTART_MS);
	}
	launcher = actor_shared->launcher_latch;
	LWLockRelease(actor_shared->lock);
	ConditionVariableBroadcast(&actor_shared->worker_ended);
	if (launcher != NULL)
		SetLatch(launcher);
}

/*
 * Leaves for good, unless something has been reported meanwhile.
 */
static void
leave_if_idle(void)
{
	bool		idle;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	idle = pg_atomic_read_u64(&my_database->next_look) == (uint64) DT_NOEND;
	if (idle)
	{
		my_database->oid = InvalidOid;
		my_database->state = DATABASE_FREE;
		my_database->pid = 0;
		my_database->latch = NULL;
	}
	LWLockRelease(actor_shared->lock);
	if (idle)
		proc_exit(0);
}

/*
 * Tells who we are, unless the database is being held.
 */
static Oid
begin(void)
{
	Oid			oid;
	bool		held;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	oid = my_database->oid;
	held = actor_database_held(oid);
	my_database->pid = MyProcPid;
	LWLockRelease(actor_shared->lock);
	if (held)
		proc_exit(1);
	return oid;
}

static void
announce(void)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	my_database->state = DATABASE_RUNNING;
	my_database->latch = MyLatch;
	LWLockRelease(actor_shared->lock);
}

/* looking --------------------------------------------------------------- */

/*
 * Reads the roles that have rows pending, earliest first, into the current
 * memory context.
 */
static List *
look(void)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;

	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, "looking for due reminders");
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (actor_catalog_installed())
	{
		ActorBookkeeping bookkeeping;
		uint64		rows;

		actor_bookkeeping_begin(&bookkeeping);
		rows = actor_query_run(&read_roles, NULL, NULL);
		for (uint64 i = 0; i < rows; i++)
		{
			MemoryContext old = MemoryContextSwitchTo(context);
			RoleDue    *due = palloc(sizeof(RoleDue));
			bool		isnull;

			due->name = *DatumGetName(actor_query_result(i, 1, &isnull));
			due->next = DatumGetTimestampTz(actor_query_result(i, 2, &isnull));
			due->oid = get_role_oid(NameStr(due->name), true);
			result = lappend(result, due);
			MemoryContextSwitchTo(old);
		}
		actor_bookkeeping_end(&bookkeeping);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(context);
	return result;
}

static RoleMemory *
remember(const RoleDue *due)
{
	bool		found;
	RoleMemory *role = hash_search(memory, &due->name, HASH_ENTER, &found);

	if (!found)
	{
		role->complained = false;
		role->start_after = 0;
	}
	return role;
}

/*
 * Whether a worker can connect as the role; says so once if not.
 */
static bool
role_is_usable(const RoleDue *due)
{
	MemoryContext context = CurrentMemoryContext;
	RoleMemory *role = remember(due);
	const char *reason;

	StartTransactionCommand();
	reason = actor_role_unusable(due->oid);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	if (reason != NULL && !role->complained)
		ereport(LOG,
				(errmsg("reminders of role \"%s\" cannot fire", NameStr(due->name)),
				 errdetail("%s", reason)));
	role->complained = (reason != NULL);
	return reason == NULL;
}

/* executors ------------------------------------------------------------- */

/*
 * Frees the slots of executors that have ended without having started.
 */
static void
check_started(void)
{
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];
		pid_t		pid;

		if (handles[slot] == NULL ||
			GetBackgroundWorkerPid(handles[slot], &pid) != BGWH_STOPPED)
			continue;
		pfree(handles[slot]);
		handles[slot] = NULL;
		LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
		if (executor->database == my_database->oid && executor->pid == 0)
			executor->database = InvalidOid;
		LWLockRelease(actor_shared->lock);
		ConditionVariableBroadcast(&actor_shared->worker_ended);
	}
}

/*
 * Wakes the executor of a role; false if there is none.  It may sleep for
 * longer than until the row that was just found, so it is woken whenever that
 * is due.  Takes one that is still starting for one that will look.
 */
static bool
wake_executor(const RoleDue *due)
{
	bool		found = false;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database != my_database->oid || executor->role != due->oid)
			continue;
		found = true;
		if (executor->latch != NULL)
			SetLatch(executor->latch);
	}
	LWLockRelease(actor_shared->lock);
	return found;
}

/*
 * Takes an executor's slot for a role; -1 if there is none.
 */
static int
take_slot(const RoleDue *due, uint32 *generation)
{
	int			mine = 0;
	int			result = -1;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database == my_database->oid)
			mine++;
		else if (!OidIsValid(executor->database) && result < 0)
			result = slot;
	}
	if (mine >= actor_max_executors || actor_workers_in_use() >= actor_max_workers ||
		actor_database_held(my_database->oid))
		result = -1;
	if (result >= 0)
	{
		ActorExecutor *executor = &actor_shared->executors[result];

		executor->database = my_database->oid;
		executor->role = due->oid;
		executor->pid = 0;
		executor->latch = NULL;
		*generation = ++executor->generation;
	}
	LWLockRelease(actor_shared->lock);
	return result;
}

/*
 * Starts an executor for a role; false if there is no slot for it.
 */
static bool
start_executor(const RoleDue *due)
{
	BackgroundWorker worker;
	ActorExecutorStart start;

	start.database = my_database->oid;
	start.role = due->oid;
	start.slot = take_slot(due, &start.generation);
	if (start.slot < 0)
		return false;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_function_name, "actor_executor_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "actor executor for role %u in database %u",
			 start.role, start.database);
	strlcpy(worker.bgw_type, "actor executor", BGW_MAXLEN);
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "executor's arguments do not fit");
	memcpy(worker.bgw_extra, &start, sizeof(start));
	if (handles[start.slot] != NULL)
		pfree(handles[start.slot]);
	handles[start.slot] = NULL;
	if (actor_worker_register(&worker, &handles[start.slot]))
	{
		remember(due)->start_after = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
																 ACTOR_RESTART_MS);
		return true;
	}

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	actor_shared->executors[start.slot].database = InvalidOid;
	LWLockRelease(actor_shared->lock);
	return false;
}

/*
 * Sees to one role, and returns when it must be seen to again; DT_NOEND if its
 * executor does that by itself.
 */
static TimestampTz
serve_role(const RoleDue *due)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz start_at = due->next - ACTOR_START_AHEAD_US;

	if (TIMESTAMP_IS_NOEND(due->next))
		return DT_NOEND;
	if (wake_executor(due))
		return DT_NOEND;
	if (start_at > now)
		return start_at;
	if (!role_is_usable(due))
		return DT_NOEND;
	if (remember(due)->start_after > now)
		return remember(due)->start_after;
	if (!start_executor(due))
		return TimestampTzPlusMilliseconds(now, ACTOR_RESTART_MS);
	return DT_NOEND;
}

/*
 * Whether an executor of this database runs or starts.
 */
static bool
have_executors(void)
{
	bool		found = false;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
		found |= actor_shared->executors[slot].database == my_database->oid;
	LWLockRelease(actor_shared->lock);
	return found;
}

/* main ------------------------------------------------------------------ */

static void
start_up(void)
{
	HASHCTL		ctl;

	BackgroundWorkerInitializeConnectionByOid(begin(), InvalidOid, 0);
	actor_worker_settings();
	SetConfigOption("search_path", "", PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_appname("actor scheduler");

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(NameData);
	ctl.entrysize = sizeof(RoleMemory);
	memory = hash_create("actor roles", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	handles = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(BackgroundWorkerHandle *) * actor_shared->nslots);
	announce();
}

/*
 * One look: sees to all roles, and returns when to look again; DT_NOEND if
 * there is nothing to wait for.
 */
static TimestampTz
run_once(void)
{
	List	   *roles = actor_enabled ? look() : NIL;
	TimestampTz wake = DT_NOEND;
	ListCell   *cell;

	check_started();
	foreach(cell, roles)
		wake = Min(wake, serve_role(lfirst(cell)));
	if (roles == NIL && !have_executors())
		return DT_NOEND;
	return Min(wake, TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ACTOR_REREAD_MS));
}

/*
 * The launcher waits for the first look before it goes to the next database.
 */
static void
report_first_look(void)
{
	Latch	   *launcher;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	launcher = actor_shared->launcher_latch;
	LWLockRelease(actor_shared->lock);
	if (launcher != NULL)
		SetLatch(launcher);
}

/*
 * actor_scheduler_main
 *		Entry point.
 */
void
actor_scheduler_main(Datum arg)
{
	MemoryContext loop_context;
	bool		first = true;

	my_slot = DatumGetInt32(arg);
	my_database = &actor_shared->databases[my_slot];
	actor_worker_prepare();
	before_shmem_exit(scheduler_exit, (Datum) 0);
	start_up();

	loop_context = AllocSetContextCreate(TopMemoryContext, "actor scheduler",
										 ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz wake;

		MemoryContextSwitchTo(loop_context);
		MemoryContextReset(loop_context);

		(void) pg_atomic_exchange_u64(&my_database->next_look, (uint64) DT_NOEND);
		wake = run_once();
		if (wake == DT_NOEND)
			leave_if_idle();

		/* later reports than this need not wake us; earlier ones have */
		(void) actor_lower_next_look(my_database, wake);
		wake = (TimestampTz) pg_atomic_read_u64(&my_database->next_look);
		if (first)
			report_first_look();
		first = false;
		(void) actor_worker_wait(actor_wait_ms(GetCurrentTimestamp(), wake),
								 ACTOR_WAIT_EVENT("ActorSchedulerMain"));
	}
}
