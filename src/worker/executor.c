/*-------------------------------------------------------------------------
 *
 * executor.c
 *		The executor: a process bound to a database and a role, which fires
 *		the due reminders of that role.
 *
 * It is connected as the role, so that the methods run in a true session of
 * it: there is no other identity to return to.  What it does in a round is in
 * round.c, what surrounds a callback in callback.c.
 *
 * It leaves when it has had nothing to do for a while, and when a role that
 * has no executor needs its slot; see slots.c.
 *
 * IDENTIFICATION
 *		src/worker/executor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "base/compat.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "fire/fire.h"
#include "worker/internal.h"

static ActorExecutorStart start;

static void
executor_exit(int code, Datum arg)
{
	actor_callback_exit();
	if (code == 0)
		actor_slot_end(&start, SLOT_LEFT);
	actor_slot_free(&start);

	/*
	 * The scheduler writes down what has become of a callback, and starts
	 * another executor if one is needed.  The postmaster tells the scheduler
	 * that started us, but that may be gone.
	 */
	actor_worker_report(start.database, GetCurrentTimestamp());
}

static void
start_up(void)
{
	BackgroundWorkerInitializeConnectionByOid(start.database, start.role,
											  ACTOR_CONNECT_FLAGS);
	/* as in every session of the role */
	process_session_preload_libraries();
	actor_worker_settings();
	pgstat_report_appname("actor executor");
	actor_callback_start(start.slot);
	actor_rounds_start(&start);
	actor_worker_stat_start(WORKER_EXECUTOR, start.slot, start.role);
	actor_slot_announce(&start);
}

/*
 * Sleeps until there may be something to do; false if it is time to leave.
 */
static bool
wait_for_work(TimestampTz retry_at, TimestampTz idle_since)
{
	TimestampTz next_due = actor_round_next_due();
	TimestampTz until = Min(retry_at, next_due);
	TimestampTz now = GetCurrentTimestamp();

	if (until > now && actor_slot_yield(&start, true))
		return false;
	if (retry_at == DT_NOEND)
	{
		TimestampTz leave_at = TimestampTzPlusMilliseconds(idle_since, actor_executor_linger);

		if (leave_at <= now && until > now)
			return false;
		until = Min(until, leave_at);
	}
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	(void) actor_worker_wait_until(until, ACTOR_WAIT_EVENT("ActorExecutorMain"));
	return true;
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

	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	actor_worker_prepare();
	before_shmem_exit(executor_exit, (Datum) 0);
	if (!actor_slot_begin(&start))
		proc_exit(0);
	start_up();

	loop_context = AllocSetContextCreate(TopMemoryContext, "actor executor",
										 ALLOCSET_DEFAULT_SIZES);
	idle_since = GetCurrentTimestamp();
	if (!actor_enabled)
		actor_slot_end(&start, SLOT_DISABLED);
	while (actor_enabled && !actor_slot_must_renew(&start))
	{
		TimestampTz retry_at;
		bool		fired;

		MemoryContextSwitchTo(loop_context);
		MemoryContextReset(loop_context);
		ResetLatch(MyLatch);
		actor_worker_end_orphan();
		(void) actor_worker_reload();
		if (!actor_enabled)
			break;
		fired = actor_round(&retry_at) > 0;
		if (actor_slot_yield(&start, false))
			break;
		if (fired)
			idle_since = GetCurrentTimestamp();
		else if (!wait_for_work(retry_at, idle_since))
			break;
	}
	proc_exit(0);
}
