/*-------------------------------------------------------------------------
 *
 * workers.c
 *		Shared memory of the background workers, and the waking of them.
 *
 * Shared memory only speeds things up: what is due is in the tables, and after
 * a restart the launcher looks into every database.
 *
 * No wake-up is lost.  A scheduler takes next_look and sets it to "never"
 * before it takes the snapshot it looks with, and afterwards lowers it to the
 * time it will look again.  A backend lowers it after its commit has become
 * visible, and then sets the latch.  If it finds a value that is early enough
 * it need do nothing: the scheduler has not taken that value yet, so its next
 * snapshot will be younger than the commit.
 *
 * IDENTIFICATION
 *		src/shared/workers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "shared/shared.h"

/* what lasts is logged again after so long, in milliseconds */
#define COMPLAIN_MS			3600000

ActorShared *actor_shared = NULL;

/* whether others may cancel what this worker does; read by a signal handler */
volatile sig_atomic_t actor_worker_cancellable = false;

/* earliest due time this transaction has made; reported when it commits */
static TimestampTz pending_due = DT_NOEND;

/* the same of the transaction that is being committed */
static TimestampTz committed_due = DT_NOEND;

static void xact_callback(XactEvent event, void *arg);
static void release_callback(ResourceReleasePhase phase, bool is_commit,
							 bool is_top_level, void *arg);

/* shared memory --------------------------------------------------------- */

static Size
shared_size(void)
{
	Size		databases = add_size(offsetof(ActorShared, databases),
									 mul_size(ACTOR_MAX_DATABASES, sizeof(ActorDatabase)));
	Size		executors = mul_size(actor_max_workers, sizeof(ActorExecutor));
	Size		holds = mul_size(actor_max_workers, sizeof(ActorHold));
	Size		traces = mul_size(actor_max_workers, sizeof(ActorTrace));

	return add_size(add_size(MAXALIGN(databases), MAXALIGN(executors)),
					add_size(MAXALIGN(holds), traces));
}

void
actor_shared_request(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestAddinShmemSpace(actor_location_size());
	RequestNamedLWLockTranche("actor", 1);
}

void
actor_shared_attach(void)
{
	bool		found;

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	actor_shared = ShmemInitStruct("actor", shared_size(), &found);
	if (!found)
	{
		memset(actor_shared, 0, shared_size());
		actor_shared->lock = &(GetNamedLWLockTranche("actor"))->lock;
		actor_shared->nslots = actor_max_workers;
		ConditionVariableInit(&actor_shared->worker_ended);
		for (int i = 0; i < ACTOR_TURN_CLOSED_COUNT; i++)
			ConditionVariableInit(&actor_shared->turn_closed[i]);
		pg_atomic_init_u64(&actor_shared->complained_slots, 0);
		pg_atomic_init_u64(&actor_shared->complained_workers, 0);
		actor_shared->executors = (ActorExecutor *)
			((char *) actor_shared +
			 MAXALIGN(offsetof(ActorShared, databases) +
					  ACTOR_MAX_DATABASES * sizeof(ActorDatabase)));
		actor_shared->holds = (ActorHold *)
			((char *) actor_shared->executors +
			 MAXALIGN(actor_max_workers * sizeof(ActorExecutor)));
		actor_shared->traces = (ActorTrace *)
			((char *) actor_shared->holds +
			 MAXALIGN(actor_max_workers * sizeof(ActorHold)));
		for (int i = 0; i < ACTOR_MAX_DATABASES; i++)
			pg_atomic_init_u64(&actor_shared->databases[i].next_look, DT_NOEND);
		for (int i = 0; i < actor_shared->nslots; i++)
		{
			pg_atomic_init_u64(&actor_shared->executors[i].busy_since, 0);
			pg_atomic_init_u64(&actor_shared->traces[i].cancel_run, 0);
			pg_atomic_init_u64(&actor_shared->traces[i].cancel_at, 0);
			SpinLockInit(&actor_shared->traces[i].mutex);
		}
		actor_suspects_attach();
	}
	actor_location_attach();
	LWLockRelease(AddinShmemInitLock);
}

void
actor_workers_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}

/*
 * actor_require_preload
 *		Raises object_not_in_prerequisite_state when nothing could fire here;
 *		"what" says what needs that.
 */
void
actor_require_preload(const char *what)
{
	if (actor_shared != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s need the library \"%s\" to be preloaded", what, "actor"),
			 errdetail("Without it no background worker fires them."),
			 errhint("Add \"%s\" to \"%s\" and restart the server.",
					 "actor", "shared_preload_libraries")));
}

/* waking ---------------------------------------------------------------- */

/*
 * actor_wake_at
 *		Makes sure that, if this transaction commits, somebody looks for due
 *		rows at that time.
 */
void
actor_wake_at(TimestampTz due)
{
	pending_due = Min(pending_due, due);
}

/*
 * Subtransactions are ignored: a look for something that was rolled back does
 * no harm.  What is prepared becomes visible elsewhere, and is found when that
 * has happened; see commands.c.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			committed_due = pending_due;
			pending_due = DT_NOEND;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending_due = DT_NOEND;
			break;
		default:
			break;
	}
}

/*
 * The transaction has ended so far that others have been told what to
 * invalidate: whoever is woken now does not work with what was true before.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	TimestampTz due = committed_due;

	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level || due == DT_NOEND)
		return;
	committed_due = DT_NOEND;
	if (actor_shared != NULL)
		actor_worker_report(MyDatabaseId, due);
}

/* roles ----------------------------------------------------------------- */

/*
 * actor_role_unusable
 *		Why no worker can connect as this role to this database; NULL if it
 *		can.
 */
const char *
actor_role_unusable(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can_login;

	if (!HeapTupleIsValid(tuple))
		return "The role does not exist.";
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (ACTOR_WORKER_NEEDS_LOGIN && !can_login)
		return "Before PostgreSQL 17 a worker needs a role with the LOGIN attribute.";
	if (actor_database_aclcheck(MyDatabaseId, role) != ACLCHECK_OK)
		return "The role does not have the CONNECT privilege on this database.";
	return NULL;
}

/* workers --------------------------------------------------------------- */

/*
 * actor_database_held
 *		Whether no worker may start in a database now.  The caller has the
 *		lock.
 */
bool
actor_database_held(Oid database)
{
	for (int i = 0; i < actor_shared->nslots; i++)
		if (actor_shared->holds[i].holder != 0 &&
			actor_shared->holds[i].database == database)
			return true;
	return false;
}

/*
 * actor_complain_again
 *		Whether something that lasts is to be logged now, and not only that it
 *		still lasts.
 */
bool
actor_complain_again(pg_atomic_uint64 *complained_at)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		before = pg_atomic_read_u64(complained_at);

	return (before == 0 ||
			TimestampDifferenceExceeds((TimestampTz) before, now, COMPLAIN_MS)) &&
		pg_atomic_compare_exchange_u64(complained_at, &before, (uint64) now);
}

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
 *		so a worker that waits, for whatever, does not hold up a shutdown.
 */
void
actor_worker_prepare(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	actor_worker_signal(SIGINT, handle_sigint);
	BackgroundWorkerUnblockSignals();
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
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return actor_worker_reload();
}
