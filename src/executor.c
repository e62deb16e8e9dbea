/*-------------------------------------------------------------------------
 *
 * executor.c
 *		The executor: a process bound to a database and a role, which fires
 *		the due reminders of that role.
 *
 * It is connected as the role, so that the methods run in a true session of
 * it: there is no other identity to return to.  Every firing is a transaction
 * of its own.  What a method sets is undone after it.
 *
 * A reminder whose actor is busy is passed over and tried again soon, first
 * after 5 ms, then twice as long each time, up to a second.
 *
 * IDENTIFICATION
 *		src/executor.c
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
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "actor.h"
#include "compat.h"
#include "firing.h"
#include "workers.h"

/* due rows read at once */
#define SCAN_LIMIT			100
/* pause before a busy actor is tried again, in microseconds */
#define BUSY_MIN_US			(5 * INT64CONST(1000))
#define BUSY_MAX_US			USECS_PER_SEC

/*
 * An actor that was busy.  The key is its hash only: an actor that shares it
 * waits a little without need.
 */
typedef struct BusyActor
{
	uint64		hash;
	int64		pause;
	TimestampTz retry_at;
} BusyActor;

static ActorExecutorStart start;
static NameData my_role;
static HTAB *busy;

static void
executor_exit(int code, Datum arg)
{
	ActorExecutor *executor = &actor_shared->executors[start.slot];

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (executor->database == start.database && executor->generation == start.generation)
	{
		executor->database = InvalidOid;
		executor->pid = 0;
		executor->latch = NULL;
	}
	LWLockRelease(actor_shared->lock);
	ConditionVariableBroadcast(&actor_shared->worker_ended);

	/* the postmaster tells the scheduler that started us, which may be gone */
	actor_worker_report(start.database, GetCurrentTimestamp());
}

/*
 * Tells who we are, unless the slot was given to another executor or the
 * database is being held.
 */
static void
begin(void)
{
	ActorExecutor *executor = &actor_shared->executors[start.slot];
	bool		wanted;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	wanted = executor->database == start.database &&
		executor->generation == start.generation;
	if (wanted)
		executor->pid = MyProcPid;
	wanted &= !actor_database_held(start.database);
	LWLockRelease(actor_shared->lock);
	if (!wanted)
		proc_exit(0);
}

static void
announce(void)
{
	ActorExecutor *executor = &actor_shared->executors[start.slot];

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	executor->latch = MyLatch;
	LWLockRelease(actor_shared->lock);
}

/* busy actors ----------------------------------------------------------- */

static void
start_busy(void)
{
	HASHCTL		ctl;

	if (busy != NULL)
		hash_destroy(busy);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(BusyActor);
	busy = hash_create("busy actors", 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

static void
note_busy(const ActorDue *due)
{
	bool		found;
	BusyActor  *actor = hash_search(busy, &due->actor.hash, HASH_ENTER, &found);

	actor->pause = found ? Min(actor->pause * 2, BUSY_MAX_US) : BUSY_MIN_US;
	actor->retry_at = GetCurrentTimestamp() + actor->pause;
}

/*
 * Until when an actor is left alone; 0: it is not.
 */
static TimestampTz
busy_until(const ActorDue *due)
{
	BusyActor  *actor = hash_search(busy, &due->actor.hash, HASH_FIND, NULL);

	return actor != NULL && actor->retry_at > GetCurrentTimestamp() ? actor->retry_at : 0;
}

/* transactions ---------------------------------------------------------- */

static void
begin_transaction(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	debug_query_string = activity;
	pgstat_report_activity(STATE_RUNNING, activity);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_transaction(MemoryContext context)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	debug_query_string = NULL;
	pgstat_report_stat(false);
	MemoryContextSwitchTo(context);
}

/*
 * Fires in a transaction whose settings end with it.
 */
static ActorFiringResult
fire_in_transaction(const ActorDue *due, MemoryContext context)
{
	ActorFiringResult result;
	int			nestlevel;

	begin_transaction(psprintf("reminder \"%s\" of actor \"%s\" of type \"%s\"",
							   text_to_cstring(due->name),
							   text_to_cstring(due->actor.id),
							   text_to_cstring(due->actor.type)));
	nestlevel = NewGUCNestLevel();
	if (actor_callback_timeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, actor_callback_timeout);
	result = actor_fire(due, &my_role);
	disable_timeout(STATEMENT_TIMEOUT, false);
	AtEOXact_GUC(false, nestlevel);
	end_transaction(context);
	return result;
}

/*
 * Fires a due reminder.  An error that has cost the transaction is logged and
 * written down in another one; an error there ends the process.
 */
static ActorFiringResult
fire(const ActorDue *due)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz started_at = GetCurrentTimestamp();
	ErrorData  *volatile error = NULL;
	volatile ActorFiringResult result = FIRING_FAILED;

	PG_TRY();
	{
		result = fire_in_transaction(due, context);
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		disable_timeout(STATEMENT_TIMEOUT, false);
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	if (error != NULL)
	{
		begin_transaction("recording a failed reminder");
		(void) actor_fire_failed(due, &my_role, error, started_at);
		end_transaction(context);
	}
	return result;
}

/* main ------------------------------------------------------------------ */

/*
 * Reminders name their role: those of a role that was renamed or dropped are
 * not ours any more.
 */
static bool
role_is_as_before(void)
{
	char	   *name = GetUserNameFromId(start.role, true);

	return name != NULL && strcmp(name, NameStr(my_role)) == 0;
}

static List *
scan(int limit)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;

	begin_transaction("looking for due reminders");
	MemoryContextSwitchTo(context);
	if (!role_is_as_before())
		proc_exit(0);
	if (actor_catalog_installed())
		result = actor_due_scan(&my_role, GetCurrentTimestamp(), limit);
	end_transaction(context);
	return result;
}

/*
 * Fires what is due, once.  Returns how many rows it got on with, and when the
 * first busy actor is to be tried again.
 */
static int
fire_due(int *limit, TimestampTz *retry_at)
{
	List	   *due_list = scan(*limit);
	int			fired = 0;
	int			passed_over = 0;
	ListCell   *cell;

	*retry_at = DT_NOEND;
	foreach(cell, due_list)
	{
		ActorDue   *due = lfirst(cell);
		TimestampTz until;

		CHECK_FOR_INTERRUPTS();
		until = busy_until(due);
		if (until == 0 && fire(due) == FIRING_BUSY)
		{
			note_busy(due);
			until = busy_until(due);
		}
		if (until == 0)
			fired++;
		else
		{
			passed_over++;
			*retry_at = Min(*retry_at, until);
		}
	}

	/* rows behind many busy ones must not have to wait for them */
	if (passed_over >= *limit)
	{
		*limit *= 2;
		*retry_at = GetCurrentTimestamp();
	}
	else if (passed_over == 0)
	{
		*limit = SCAN_LIMIT;
		if (hash_get_num_entries(busy) > 0)
			start_busy();
	}
	return fired;
}

static TimestampTz
next_due(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz next = DT_NOEND;

	begin_transaction("looking for the next reminder");
	if (actor_catalog_installed())
		next = actor_due_next(&my_role);
	end_transaction(context);
	return next;
}

static void
start_up(void)
{
	BackgroundWorkerInitializeConnectionByOid(start.database, start.role,
											  ACTOR_CONNECT_FLAGS);
	actor_worker_settings();
	pgstat_report_appname("actor executor");
	StartTransactionCommand();
	namestrcpy(&my_role, GetUserNameFromId(start.role, false));
	CommitTransactionCommand();
	start_busy();
	announce();
}

/*
 * actor_executor_main
 *		Entry point.
 */
void
actor_executor_main(Datum arg)
{
	MemoryContext loop_context;
	TimestampTz idle_since;
	int			limit = SCAN_LIMIT;

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	actor_worker_prepare();
	before_shmem_exit(executor_exit, (Datum) 0);
	begin();
	start_up();

	loop_context = AllocSetContextCreate(TopMemoryContext, "actor executor",
										 ALLOCSET_DEFAULT_SIZES);
	idle_since = GetCurrentTimestamp();
	while (actor_enabled)
	{
		TimestampTz retry_at;
		TimestampTz until;
		TimestampTz now;

		MemoryContextSwitchTo(loop_context);
		MemoryContextReset(loop_context);
		ResetLatch(MyLatch);
		if (fire_due(&limit, &retry_at) > 0)
		{
			idle_since = GetCurrentTimestamp();
			continue;
		}

		/* nothing that can be fired now */
		until = Min(retry_at, next_due());
		now = GetCurrentTimestamp();
		if (retry_at == DT_NOEND)
		{
			TimestampTz leave_at = TimestampTzPlusMilliseconds(idle_since,
															   actor_executor_linger);

			if (leave_at <= now && until > now)
				break;
			until = Min(until, leave_at);
		}
		pgstat_report_stat(true);
		pgstat_report_activity(STATE_IDLE, NULL);
		actor_worker_wait(actor_wait_ms(now, until), ACTOR_WAIT_EVENT("ActorExecutorMain"));
	}
	proc_exit(0);
}
