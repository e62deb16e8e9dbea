/*-------------------------------------------------------------------------
 *
 * callback.c
 *		What surrounds a callback in an executor, and how it is stopped.
 *
 * Before a callback the executor leaves a trace in shared memory, which tells
 * others what runs, and whom to blame if the process ends with it.  While the
 * callback runs a timer ticks, which ends it when it
 *
 * - keeps the others of its batch from committing,
 * - waits for a lock while others of its role wait for its executor,
 * - has been asked to end, and the time it was given is over;
 * - holds an executor that another role has waited for for too long; or
 * - holds up a shutdown of the server for too long.
 *
 * SIGTERM acts as in every backend, except that a shutdown of the server gives
 * a running callback some time.  Only a callback that ends its own process is
 * to blame for that: the signal comes from ourselves, or there is none.
 *
 *	 none --begin--> running --end--> none
 *					 running --the process ends--> ended --scheduler--> none
 *
 * Others can only cancel a running callback: what they cancel is not the one
 * that happens to be next.
 *
 * In other processes, which fire for somebody who waits for it, none of this
 * happens.
 *
 * IDENTIFICATION
 *		src/fire/callback.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/timeout.h"

#include "base/base.h"
#include "time/time.h"
#include "shared/shared.h"
#include "type/type.h"
#include "call/call.h"
#include "reminder/reminder.h"
#include "fire/internal.h"

/* how often a running callback is looked at, in milliseconds */
#define WATCH_MS		100

/* why a callback was cancelled */
typedef enum Cut
{
	CUT_NOT,
	CUT_SLOW,					/* it held up its batch */
	CUT_WAITING,				/* it held up others, and did nothing but wait */
	CUT_STOPPED,				/* it was asked to end */
	CUT_UNFAIR					/* another role needs the executor */
} Cut;

/* who has ended the process */
typedef enum EndedBy
{
	ENDED_BY_ITSELF,
	ENDED_BY_SERVER,			/* a shutdown */
	ENDED_BY_OTHER				/* another process */
} EndedBy;

static ActorTrace *trace = NULL;	/* ours; NULL: not an executor */
static int	trace_slot;
static TimeoutId watch_timeout;

static bool in_batch;
static bool would_wait;
static int	guc_nestlevel;
static int	saved_lock_timeout;
static ErrorContextCallback errcallback;

/* read and written by signal handlers */
static volatile sig_atomic_t running = false;
static volatile sig_atomic_t cut = CUT_NOT;
static volatile sig_atomic_t ended_by = ENDED_BY_ITSELF;
static volatile TimestampTz quick_until = 0;
static volatile TimestampTz die_at = 0;
static volatile int patience = 0;
static LOCK *volatile waited_for = NULL;
static volatile TimestampTz waiting_since = 0;

/* signals --------------------------------------------------------------- */

static void
cancel(Cut why)
{
	cut = why;
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/*
 * Puts off a callback that has waited for one lock for too long.
 *
 * A lock_timeout would be an error that the method may catch, as if it had asked
 * for it; and the method has not.
 */
static void
watch_waiting(TimestampTz now)
{
	LOCK	   *lock = MyProc->waitLock;

	if (lock == NULL || lock != waited_for)
		waiting_since = now;
	else if (TimestampDifferenceExceeds(waiting_since, now, patience))
		cancel(CUT_WAITING);
	waited_for = lock;
}

/*
 * The timer has ticked.  Runs in a signal handler.
 */
static void
watch(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (!running)
		return;
	if (quick_until != 0 && now >= quick_until)
		cancel(CUT_SLOW);
	if (pg_atomic_read_u64(&trace->cancel_run) == trace->run)
	{
		pg_read_barrier();
		if (now >= (TimestampTz) pg_atomic_read_u64(&trace->cancel_at))
			cancel(CUT_STOPPED);
	}
	if (patience > 0)
		watch_waiting(now);
	if (now >= actor_slot_cut_at(trace_slot))
		cancel(CUT_UNFAIR);
	if (die_at != 0 && now >= die_at)
	{
		ended_by = ENDED_BY_SERVER;
		die(SIGTERM);
	}
	enable_timeout_after(watch_timeout, WATCH_MS);
}

/*
 * The postmaster sends its signal twice, to the process and to its group.
 */
static void
handle_sigterm(int signo, siginfo_t *info, void *context)
{
	int			save_errno = errno;

	if (running && info->si_pid == PostmasterPid)
	{
		if (die_at == 0)
			die_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												 actor_shutdown_timeout);
	}
	else
	{
		if (running)
			ended_by = info->si_pid == MyProcPid ? ENDED_BY_ITSELF : ENDED_BY_OTHER;
		die(signo);
	}
	errno = save_errno;
}

/*
 * actor_callback_start
 *		Called once by the executor of a slot, after it has connected.
 */
void
actor_callback_start(int slot)
{
	trace_slot = slot;
	trace = actor_my_trace = &actor_shared->traces[slot];
	watch_timeout = RegisterTimeout(USER_TIMEOUT, watch);

	actor_worker_signal(SIGTERM, handle_sigterm);
}

/*
 * actor_callback_leaving
 *		Whether the process ends as soon as its transaction has.
 */
bool
actor_callback_leaving(void)
{
	return die_at != 0;
}

/* traces ---------------------------------------------------------------- */

static void
leave_trace(const ActorDue *due)
{
	ActorType  *type = actor_type_find(due->actor.type);
	int			drain_timeout = type != NULL ? actor_type_drain_timeout(type) : 0;

	SpinLockAcquire(&trace->mutex);
	trace->state = TRACE_RUNNING;
	trace->run++;
	trace->database = MyDatabaseId;
	trace->role = GetUserId();
	trace->drain_timeout = drain_timeout;
	trace->kind = due->kind;
	trace->generation = due->generation;
	trace->scheduled_at = due->scheduled_at;
	trace->attempt = due->attempt;
	trace->type_len = VARSIZE_ANY_EXHDR(due->actor.type);
	trace->id_len = VARSIZE_ANY_EXHDR(due->actor.id);
	trace->name_len = VARSIZE_ANY_EXHDR(due->name);
	memcpy(trace->type, VARDATA_ANY(due->actor.type), trace->type_len);
	memcpy(trace->id, VARDATA_ANY(due->actor.id), trace->id_len);
	memcpy(trace->name, VARDATA_ANY(due->name), trace->name_len);
	SpinLockRelease(&trace->mutex);
	actor_suspect_running(trace_slot, MyDatabaseId, due->generation);
}

static void
end_trace(ActorTraceState state)
{
	SpinLockAcquire(&trace->mutex);
	trace->state = state;
	SpinLockRelease(&trace->mutex);
	actor_suspect_running(trace_slot, InvalidOid, 0);
}

/*
 * actor_callback_exit
 *		The executor ends.  If that has cut a callback short, leaves a trace
 *		for the scheduler.
 */
void
actor_callback_exit(void)
{
	bool		blame = running && ended_by != ENDED_BY_SERVER;

	if (!running)
		return;
	running = actor_worker_cancellable = false;
	end_trace(!blame ? TRACE_NONE :
			  ended_by == ENDED_BY_ITSELF ? TRACE_ENDED_ITSELF : TRACE_WAS_ENDED);
}

/*
 * actor_callback_take_death
 *		Finds a callback of this database that has ended with its process, in
 *		the current memory context, and forgets it.  The hash of the actor is
 *		not made, since its key may have to be read in a transaction.
 */
bool
actor_callback_take_death(ActorDue *due, Oid *role, bool *itself)
{
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorTrace *dead = &actor_shared->traces[slot];
		ActorTrace	copy;

		SpinLockAcquire(&dead->mutex);
		copy = *dead;
		if (dead->state >= TRACE_ENDED_ITSELF && dead->database == MyDatabaseId)
			dead->state = TRACE_NONE;
		SpinLockRelease(&dead->mutex);
		if (copy.state < TRACE_ENDED_ITSELF || copy.database != MyDatabaseId)
			continue;

		memset(due, 0, sizeof(*due));
		due->actor.type = cstring_to_text_with_len(copy.type, copy.type_len);
		due->actor.id = cstring_to_text_with_len(copy.id, copy.id_len);
		due->name = cstring_to_text_with_len(copy.name, copy.name_len);
		due->kind = copy.kind;
		due->generation = copy.generation;
		due->scheduled_at = copy.scheduled_at;
		due->attempt = copy.attempt;
		*role = copy.role;
		*itself = copy.state == TRACE_ENDED_ITSELF;
		return true;
	}
	return false;
}

/* one callback ---------------------------------------------------------- */

/*
 * Called for every message that is raised.  A method may catch the error that
 * tells that it would have to wait; that must not go unnoticed, because alone
 * it would have waited.  The same is true of limits that the firings of a
 * batch use up together.
 */
static void
notice_error(void *arg)
{
	switch (geterrcode())
	{
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_OUT_OF_MEMORY:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			would_wait = true;
			break;
		default:
			break;
	}
}

static void
start_timers(void)
{
	EnableTimeoutParams timers[2];
	int			count = 0;

	memset(timers, 0, sizeof(timers));
	timers[count].id = watch_timeout;
	timers[count].type = TMPARAM_AFTER;
	timers[count++].delay_ms = WATCH_MS;
	if (actor_callback_timeout > 0)
	{
		timers[count].id = STATEMENT_TIMEOUT;
		timers[count].type = TMPARAM_AFTER;
		timers[count++].delay_ms = actor_callback_timeout;
	}
	enable_timeouts(timers, count);
}

static void
stop_timers(void)
{
	DisableTimeoutParams timers[2];

	timers[0].id = watch_timeout;
	timers[0].keep_indicator = false;
	timers[1].id = STATEMENT_TIMEOUT;
	timers[1].keep_indicator = false;
	disable_timeouts(timers, 2);
}

/*
 * Asks the callback that begins to end, if somebody wants those of its type to
 * and has looked for them before there was a trace of this one.
 */
static void
heed_drain(const ActorDue *due)
{
	ActorType  *type;

	/* the trace first, then this look; whoever drains does it the other way */
	pg_memory_barrier();
	AcceptInvalidationMessages();
	type = actor_type_find(due->actor.type);
	if ((type == NULL || type->pause != PAUSE_TYPE) &&
		!actor_type_is_leaving(due->actor.type))
		return;
	SpinLockAcquire(&trace->mutex);
	if (pg_atomic_read_u64(&trace->cancel_run) != trace->run)
		actor_callback_ask_to_end(trace, GetCurrentTimestamp());
	SpinLockRelease(&trace->mutex);
}

/*
 * Called before the subtransaction of a callback.
 */
static void
begin(const ActorDue *due, const ActorFireMode *mode)
{
	if (trace == NULL)
		return;
	in_batch = mode->in_batch;
	would_wait = false;
	cut = CUT_NOT;
	ended_by = ENDED_BY_ITSELF;
	patience = mode->patience;
	waited_for = NULL;
	quick_until = mode->time_limit == 0 ? 0 :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), mode->time_limit);

	leave_trace(due);
	running = actor_worker_cancellable = true;
	guc_nestlevel = NewGUCNestLevel();
	saved_lock_timeout = LockTimeout;
	LockTimeout = mode->lock_wait;
	actor_lock_allow_waiting(!in_batch);
	errcallback.callback = notice_error;
	errcallback.arg = NULL;
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	start_timers();
	heed_drain(due);

	/* who sees this may cancel it */
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("%s \"%s\" of actor \"%s\" of type \"%s\"",
									actor_due_word(due->kind), text_to_cstring(due->name),
									text_to_cstring(due->actor.id),
									text_to_cstring(due->actor.type)));
}

/*
 * actor_callback_settle
 *		Called in the subtransaction after the method has returned: what
 *		deferred constraints have to say belongs to this firing, and nothing
 *		is left to the next one.
 */
void
actor_callback_settle(void)
{
	if (trace == NULL)
	{
		ConstraintsSetStmt *constraints = makeNode(ConstraintsSetStmt);

		constraints->deferred = false;
		AfterTriggerSetState(constraints);
		return;
	}

	AfterTriggerFireDeferred();
	actor_session_close();
	if (cut == CUT_SLOW || cut == CUT_WAITING || (in_batch && would_wait))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("reminder must run alone")));
}

/*
 * Undoes begin, as far as the end of the transaction does not.
 */
static void
clean_up(void)
{
	/* from now on nobody can cancel; what was to be cancelled is over */
	running = actor_worker_cancellable = false;
	stop_timers();
	QueryCancelPending = false;
	error_context_stack = errcallback.previous;
	actor_lock_allow_waiting(true);
	actor_session_forget();
	end_trace(TRACE_NONE);
}

/*
 * Called after the subtransaction, with whether it was rolled back.  Returns
 * what that means.
 */
static ActorFiringResult
end(bool failed)
{
	if (trace == NULL)
		return failed ? FIRING_FAILED : FIRING_DONE;
	clean_up();
	AtEOXact_GUC(false, guc_nestlevel);
	LockTimeout = saved_lock_timeout;
	if (!failed)
		return FIRING_DONE;
	if (cut == CUT_STOPPED || cut == CUT_UNFAIR)
		return FIRING_STOPPED;
	if (cut == CUT_SLOW)
		return FIRING_SLOW;
	if (cut == CUT_WAITING || (in_batch && would_wait))
		return FIRING_WOULD_WAIT;
	return FIRING_FAILED;
}

static void
log_unfair(const ActorDue *due)
{
	ereport(LOG,
			(errmsg("%s \"%s\" of actor \"%s\" of type \"%s\" was ended because another role waits for an executor",
					actor_due_word(due->kind), text_to_cstring(due->name),
					text_to_cstring(due->actor.id), text_to_cstring(due->actor.type)),
			 errdetail("It is run again later."),
			 errhint("Raise \"%s\" or \"%s\".", "actor.max_executors",
					 "actor.drain_ongoing_call_timeout")));
}

/*
 * actor_callback_run
 *		Runs a callback in a subtransaction.  Sets the error if that has failed,
 *		and returns FIRING_FAILED if the callback is to blame for it.
 */
ActorFiringResult
actor_callback_run(const ActorDue *due, const ActorFireMode *mode,
				   void (*body) (void *arg), void *arg, ErrorData **error)
{
	begin(due, mode);
	*error = actor_attempt(body, arg);
	if (trace != NULL && *error != NULL && cut == CUT_UNFAIR)
		log_unfair(due);
	/* whoever cancels the statement of a session means all of it */
	if (trace == NULL && *error != NULL && (*error)->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(*error);
	return end(*error != NULL);
}

/*
 * actor_callback_abandon
 *		Called when an error has cost the transaction, with it or after it.
 */
void
actor_callback_abandon(void)
{
	if (trace == NULL || !running)
		return;
	clean_up();
	LockTimeout = saved_lock_timeout;
}
