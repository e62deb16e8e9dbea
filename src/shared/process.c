/*-------------------------------------------------------------------------
 *
 * process.c
 *		What every worker process does: registering, signals, settings, waiting.
 *
 * IDENTIFICATION
 *		src/shared/process.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "shared/shared.h"

/* whether others may cancel what this worker does; read by a signal handler */
volatile sig_atomic_t actor_worker_cancellable = false;


/*
 * actor_worker_register
 *		Registers a dynamic worker that is never restarted by the postmaster
 *		and reports to this process.  The handle is the caller's to free.
 *		False: there is no slot, which is not logged each time.
 */
bool
actor_worker_register(BackgroundWorker *worker, BackgroundWorkerHandle **handle)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool		registered;

	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	worker->bgw_notify_pid = MyProcPid;
	strlcpy(worker->bgw_library_name, "actor", BGW_MAXLEN);
	registered = RegisterDynamicBackgroundWorker(worker, handle);
	MemoryContextSwitchTo(old);
	if (!registered && actor_complain_again(&actor_shared->complained_slots))
		ereport(LOG,
				(errmsg("could not register background worker \"%s\"", worker->bgw_name),
				 errhint("Raise \"%s\", or lower \"%s\".",
						 "max_worker_processes", "actor.max_workers")));
	return registered;
}

/*
 * Timeouts are signals from ourselves.  What others cancel is a callback, so
 * their signals are for nobody when none runs.
 */
static void
handle_sigint(int signo, siginfo_t *info, void *context)
{
	if (actor_worker_cancellable || info->si_pid == MyProcPid)
		StatementCancelHandler(signo);
}

/*
 * actor_worker_signal
 *		Installs a signal handler that is told who has sent the signal.
 */
void
actor_worker_signal(int signo, void (*handler) (int, siginfo_t *, void *))
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handler;
	action.sa_flags = SA_SIGINFO | SA_RESTART;
	sigemptyset(&action.sa_mask);
	sigaction(signo, &action, NULL);
}

/*
 * actor_worker_prepare
 *		What every worker does first: signals.  SIGTERM acts as in a backend,
 *		so a worker that waits, for whatever, does not hold up a shutdown.  Then
 *		the configuration is read, as a change could have been missed.
 */
void
actor_worker_prepare(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	actor_worker_signal(SIGINT, handle_sigint);
	BackgroundWorkerUnblockSignals();

	/* from the fork until now the server has let this process ignore SIGHUP */
	ProcessConfigFile(PGC_SIGHUP);
}

/*
 * actor_worker_settings
 *		Settings a worker depends on, whatever the server, database or role
 *		have for their sessions.
 */
void
actor_worker_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		/* an error of a method is no end of the process */
		{"exit_on_error", "off"},
#if PG_VERSION_NUM >= 170000
		{"transaction_timeout", "0"},
#endif
	};

	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/*
 * actor_pause_end
 *		The end of a pause of at most so many microseconds.  One that seems to
 *		take longer has begun before the clock was set back: it is over, and 0
 *		is returned.
 */
TimestampTz
actor_pause_end(TimestampTz until, int64 longest)
{
	return until > GetCurrentTimestamp() + longest ? 0 : until;
}

/*
 * actor_wait_ms
 *		Milliseconds from now until a time, rounded up, for WaitLatch.
 */
long
actor_wait_ms(TimestampTz now, TimestampTz until)
{
	if (until <= now)
		return 0;
	if (until - now > INT64CONST(1000) * ACTOR_LONGEST_WAIT_MS)
		return ACTOR_LONGEST_WAIT_MS;
	return (long) ((until - now + 999) / 1000);
}

/*
 * actor_worker_reload
 *		Reads the configuration again if that was asked for; returns whether it
 *		was.
 */
bool
actor_worker_reload(void)
{
	if (!ConfigReloadPending)
		return false;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
	return true;
}

/*
 * actor_worker_end_orphan
 *		Ends the process if the postmaster is gone.  Waiting for the latch does that
 *		too, but who always has something to do does not wait, and no server can be
 *		started until he has ended.
 */
void
actor_worker_end_orphan(void)
{
	if (!PostmasterIsAlive())
		proc_exit(1);
}

/*
 * What a worker has to do whenever it wakes up.
 */
static bool
woken_up(void)
{
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	actor_worker_end_orphan();
	return actor_worker_reload();
}

/*
 * actor_worker_wait
 *		Waits for the latch, at most so many milliseconds (-1: for ever), and
 *		does what a worker has to do whenever it wakes up.  Returns whether the
 *		configuration was read again.
 */
bool
actor_worker_wait(long ms, uint32 wait_event)
{
	(void) WaitLatch(MyLatch,
					 WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (ms >= 0 ? WL_TIMEOUT : 0),
					 ms, wait_event);
	return woken_up();
}

/*
 * Sleeps for what is left of a wait that WaitLatch has measured in milliseconds.  The
 * latch does not end that; it is less than one.
 */
static void
sleep_rest(TimestampTz until)
{
	TimestampTz now = GetCurrentTimestamp();

	if (until > now)
		pg_usleep((long) Min(until - now, 1000));
}

/*
 * actor_worker_wait_until
 *		Does that until a time, and ends the wait as exactly as the system can.
 */
bool
actor_worker_wait_until(TimestampTz until, uint32 wait_event)
{
	long		ms = actor_wait_ms(GetCurrentTimestamp(), until);

	if ((WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT, Max(ms - 1, 0),
				   wait_event) & WL_LATCH_SET) == 0)
		sleep_rest(until);
	return woken_up();
}
