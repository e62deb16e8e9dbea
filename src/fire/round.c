/*-------------------------------------------------------------------------
 *
 * round.c
 *		One round of an executor: what is due is fired, in batches or alone.
 *
 * A batch is one transaction for several firings, each in a subtransaction of
 * its own, so that they share one flush of the WAL.  Inside a batch nothing
 * waits, because the turns it has keep others waiting.  A firing that would
 * have to, or that keeps the others from committing, is rolled back and runs
 * alone later, when it may wait like a client.  When the transaction itself
 * fails, all its members run alone: one of them is to blame, and then it can
 * be told which.
 *
 * A firing that runs alone and waits for a lock holds up the others of its role if
 * no other executor is free.  So it is put off after a second, rolled back, and
 * tried again when the others had their turn.  The method does not see that.
 *
 * A reminder whose actor is busy is passed over and tried again soon, first
 * after 5 ms, then twice as long each time, up to a second.  When it is a
 * second late it queues for the turn, but only for a short time, so that the
 * others need not wait for long: all executors may queue for one actor.
 *
 * What belongs to a type that has lost its schema is passed over, and stays due
 * until the type has one again.
 *
 * The executors of a role share its due rows: each prefers its own slice by
 * the hash of the actor, and takes others when it has none of its own.  The
 * rows of a type with partitions are fired under a lock of their partition, so
 * that only one executor at a time drains it.
 *
 * What is remembered of all this from one round to the next is in
 * round_memory.c.
 *
 * IDENTIFICATION
 *		src/fire/round.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/instrument.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "message/message.h"
#include "fire/internal.h"

/* due rows read at once, and when many of them must be passed over */
#define SCAN_LIMIT			200
#define SCAN_LIMIT_MAX		6400
/* firings that share a transaction: no more subtransactions than all sessions can see at a glance */
#define BATCH_MAX			60
/* how long one of them may take when others are in the batch, in milliseconds */
#define COMPANY_MS			100
/* firings that run alone are run in a row for so long, in milliseconds */
#define LONERS_MS			10
/* how long the last free executor of a role waits for anything, in milliseconds */
#define LAST_FREE_MS		1000
/* a pause of busy actors in which nothing else is looked for, in microseconds */
#define MOMENT_US			(10 * INT64CONST(1000))
/* longest pause before a busy actor is tried again, in microseconds */
#define BUSY_MAX_US			USECS_PER_SEC
/* longest pause of a row whose outcome cannot be written, in microseconds */
#define BROKEN_MAX_US		(60 * USECS_PER_SEC)
/* pause of what belongs to a type without a schema, in microseconds */
#define LOST_US				(10 * USECS_PER_SEC)
/* a busy actor is queued for when the firing is so late */
#define LATE_MS				1000
#define QUEUE_MIN_MS		100
#define QUEUE_MAX_MS		250

/* a due row, and what is to be done with it */
typedef struct Candidate
{
	ActorDue   *due;
	uint64		partition;		/* hash of type and partition, 0: has none */
	uint64		busy_key;
	bool		queued;			/* it has queued for its actor */
	bool		lost;			/* its type has lost its schema */
	TimestampTz tried_at;		/* when it was last fired */
} Candidate;

/* candidates that are fired in one transaction */
typedef struct Batch
{
	int			taken;			/* of the list; others follow in queues */
	int			count;
	Candidate  *members[BATCH_MAX];
	ActorFiringResult results[BATCH_MAX];
} Batch;

static const ActorExecutorStart *start;
static NameData role;
static MemoryContext round_context;
static int	scan_limit = SCAN_LIMIT;
static bool on_several_servers;

/* the last round: up to when it has looked, and when to try again who was busy */
static TimestampTz scanned_at;
static TimestampTz earliest_retry;

/*
 * Leaves an actor, a partition or a row alone for a while.
 */
static void
note_busy(uint64 key, int64 limit)
{
	TimestampTz retry_at = actor_busy_note(key, limit);

	earliest_retry = Min(earliest_retry, retry_at);
}

/* firing ---------------------------------------------------------------- */

static void
log_error(ErrorData *error)
{
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not commit the firing of reminders: %s", error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0));
}

/*
 * Fires one reminder in the current transaction, see actor_fire.  Only one executor at
 * a time queues for an actor; the others have better things to do.
 */
static ActorFiringResult
fire(Candidate *candidate, const ActorFireMode *mode, ActorQueueStep *step)
{
	ActorFireMode actual = *mode;

	candidate->busy_key = candidate->due->actor.hash;
	candidate->tried_at = GetCurrentTimestamp();
	if (!actor_type_try_share(candidate->due->actor.type))
		return FIRING_BUSY;
	if (candidate->partition != 0 && !actor_lock_try(ACTOR_LOCK_PARTITION, candidate->partition))
	{
		candidate->busy_key = candidate->partition;
		return FIRING_BUSY;
	}
	candidate->queued = mode->turn_wait > 0 &&
		actor_lock_try(ACTOR_LOCK_QUEUE, candidate->due->actor.hash);
	if (!candidate->queued)
		actual.turn_wait = 0;
	return actor_fire(candidate->due, &role, &actual, step);
}

/*
 * Takes note of the result of a firing that is committed.  Returns whether it
 * has got on.
 */
static bool
take_note(const Candidate *candidate, ActorFiringResult result)
{
	if (result == FIRING_DONE || result == FIRING_FAILED)
		actor_stat_fired(&candidate->due->actor, candidate->due->next_try_at,
						 candidate->tried_at, result == FIRING_FAILED);
	switch (result)
	{
		case FIRING_DONE:
		case FIRING_SKIPPED:
		case FIRING_FAILED:
			actor_busy_forget(candidate->busy_key);
			return true;
		case FIRING_BUSY:
		case FIRING_OPEN:
		case FIRING_STOPPED:
			note_busy(candidate->busy_key, BUSY_MAX_US);
			return false;
		case FIRING_WOULD_WAIT:
			(void) actor_loner_note(candidate->due->generation);
			return true;
		case FIRING_SLOW:
			actor_loner_note(candidate->due->generation)->for_good = true;
			return true;
	}
	return false;
}

/*
 * Whether the transaction should end although there is more to do.
 */
static bool
must_end(void)
{
	return ProcDiePending || ConfigReloadPending || !PostmasterIsAlive() ||
		actor_callback_leaving() || actor_session_spoiled() || actor_slot_is_wanted(start);
}

/*
 * Whether a transaction has room for one more firing.  Methods may enter other actors
 * too, and all of these count against the limit of the transaction: half of it is set
 * aside for whoever comes last.
 */
static bool
has_room(void)
{
	return actor_turn_held_count() <= actor_max_turns_per_transaction / 2;
}

/*
 * The hidden message that follows a delivered one, to be fired next; NULL: none is, or
 * it was shown.
 */
static Candidate *
follow(const Candidate *delivered, const ActorQueueStep *step)
{
	MemoryContext old;
	Candidate  *result;
	ActorDue   *due;

	if (!step->hidden)
		return NULL;
	/* if it is shown, it is found there by the next scan */
	actor_window_begin(step->due_at);
	old = MemoryContextSwitchTo(round_context);
	due = actor_message_follow(delivered->due, step, &role);
	result = palloc(sizeof(Candidate));
	*result = *delivered;
	result->due = due;
	MemoryContextSwitchTo(old);
	return due != NULL ? result : NULL;
}

/*
 * Takes the next candidate of a list that is not held up; NULL if there is none.
 */
static Candidate *
next_member(List *candidates, int first, Batch *batch)
{
	while (first + batch->taken < list_length(candidates))
	{
		Candidate  *candidate = list_nth(candidates, first + batch->taken++);

		if (!actor_queue_is_held_up(candidate->due))
			return candidate;
	}
	return NULL;
}

/*
 * Fires the next candidates of a list, for a while, in the current
 * transaction; counts them as it goes.
 *
 * What is hidden behind a message is fired next: it would come first if it was shown.
 * When the transaction ends, at the latest, it is.
 */
static void
fire_members(List *candidates, int first, Batch *batch)
{
	TimestampTz end_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), actor_batch_time);
	Candidate  *member = next_member(candidates, first, batch);
	Candidate  *follower = NULL;

	while (member != NULL)
	{
		ActorFiringResult *result = &batch->results[batch->count];
		bool		was_hidden = follower != NULL;
		ActorQueueStep step = {0};
		ActorFireMode mode;

		memset(&mode, 0, sizeof(mode));
		mode.in_batch = true;
		mode.lock_wait = 1;
		mode.time_limit = batch->count > 0 ? COMPANY_MS : 0;
		batch->members[batch->count++] = member;
		*result = fire(member, &mode, &step);
		if ((*result != FIRING_DONE && *result != FIRING_SKIPPED) || step.stays)
			actor_queue_hold_up(member->due);
		/* what has failed is not hidden any more */
		if (was_hidden && *result != FIRING_DONE && *result != FIRING_FAILED)
			actor_message_show(member->due);
		follower = follow(member, &step);
		if (batch->count >= BATCH_MAX || !has_room() || GetCurrentTimestamp() >= end_at ||
			must_end())
			break;
		member = follower != NULL ? follower : next_member(candidates, first, batch);
	}
	if (follower != NULL)
		actor_message_show(follower->due);
}

/*
 * Fires the next candidates of a list in one transaction.  Returns how many
 * of the list there were, and adds to those that have got on.
 */
static int
run_batch(List *candidates, int first, int *fired)
{
	Batch	   *batch = palloc0(sizeof(Batch));
	ErrorData  *volatile error = NULL;
	int			taken;

	CHECK_FOR_INTERRUPTS();
	actor_slot_busy(start, GetCurrentTimestamp());
	PG_TRY();
	{
		actor_firing_begin("firing due reminders");
		fire_members(candidates, first, batch);
		actor_firing_commit(round_context);
	}
	PG_CATCH();
	{
		error = actor_firing_abort(round_context);
	}
	PG_END_TRY();
	actor_slot_busy(start, 0);

	if (error != NULL)
		log_error(error);
	for (int i = 0; i < batch->count; i++)
	{
		if (error != NULL)
			actor_queue_hold_up(batch->members[i]->due);
		if (take_note(batch->members[i],
					  error == NULL ? batch->results[i] : FIRING_WOULD_WAIT))
			(*fired)++;
	}
	taken = batch->taken;
	pfree(batch);
	return taken;
}

/*
 * Writes down in a transaction of its own that a firing has failed, for good or
 * not.  When that fails, too, the row itself is broken: it is left alone for a
 * while, so that it does not keep others from firing.
 */
static bool
record(const ActorDue *due, ErrorData *error, TimestampTz started_at, bool for_good)
{
	ErrorData  *volatile second = NULL;
	volatile bool given_up = true;

	PG_TRY();
	{
		actor_firing_begin("recording a failed reminder");
		if (for_good)
			given_up = actor_fire_give_up(due, &role, error);
		else
			(void) actor_fire_failed(due, &role, error, started_at);
		actor_firing_commit(round_context);
	}
	PG_CATCH();
	{
		second = actor_firing_abort(round_context);
	}
	PG_END_TRY();
	if (second == NULL)
		return given_up;
	actor_loner_note(due->generation)->for_good = true;
	note_busy((uint64) due->generation, BROKEN_MAX_US);
	actor_failure_log(LOG, &due->actor, actor_due_word(due->kind), due->name,
					  due->name, second, NULL);
	return false;
}

/*
 * A firing that was running too often when the server crashed is given up.
 */
static ActorFiringResult
give_up_suspect(const ActorDue *due, int crashes)
{
	ErrorData	error;

	memset(&error, 0, sizeof(error));
	error.sqlerrcode = ERRCODE_CRASH_SHUTDOWN;
	error.message = "server crashed while the method was running";
	error.detail = psprintf("This has happened %d times.", crashes);
	if (!record(due, &error, 0, true))
		return FIRING_BUSY;
	actor_suspect_clear(MyDatabaseId, due->generation);
	return FIRING_FAILED;
}

/*
 * Fires one reminder in a transaction of its own.  An error that costs the
 * transaction is written down in another one.
 */
static ActorFiringResult
run_alone(Candidate *candidate, const ActorFireMode *mode)
{
	TimestampTz started_at = GetCurrentTimestamp();
	int			crashes = actor_suspect_crashes(MyDatabaseId, candidate->due->generation);
	ErrorData  *volatile error = NULL;
	volatile ActorFiringResult result = FIRING_FAILED;

	CHECK_FOR_INTERRUPTS();
	if (crashes >= ACTOR_MAX_CRASHES)
		return give_up_suspect(candidate->due, crashes);

	actor_slot_busy(start, started_at);
	PG_TRY();
	{
		actor_firing_begin("firing a due reminder");
		result = fire(candidate, mode, NULL);
		actor_firing_commit(round_context);
	}
	PG_CATCH();
	{
		error = actor_firing_abort(round_context);
	}
	PG_END_TRY();
	if (error != NULL)
	{
		log_error(error);
		(void) record(candidate->due, error, started_at, false);
		result = FIRING_FAILED;
	}
	actor_slot_busy(start, 0);
	return result;
}

/*
 * Fires a reminder alone.  Returns whether it has got on; if its actor is busy
 * it will queue longer the next time.  Says if it is not in the way any more.
 */
static bool
run_loner(Candidate *candidate, bool last_free, bool *gone)
{
	ActorLoner *loner = actor_loner_note(candidate->due->generation);
	ActorFireMode mode;
	ActorFiringResult result;

	memset(&mode, 0, sizeof(mode));
	mode.turn_wait = last_free ? Min(loner->turn_wait, LAST_FREE_MS) : loner->turn_wait;
	mode.patience = last_free ? LAST_FREE_MS : 0;
	result = run_alone(candidate, &mode);
	*gone |= result == FIRING_DONE || result == FIRING_SKIPPED || result == FIRING_FAILED;

	loner->tried_at = GetCurrentTimestamp();
	if (result == FIRING_BUSY && candidate->queued)
	{
		loner->turn_wait = Min(loner->turn_wait * 2, QUEUE_MAX_MS);
		return true;
	}
	loner->turn_wait = 0;
	if (result == FIRING_WOULD_WAIT)
	{
		/* others come first for a while */
		note_busy((uint64) candidate->due->generation, BUSY_MAX_US);
		return true;
	}
	if (!loner->for_good && result != FIRING_STOPPED && result != FIRING_BUSY &&
		result != FIRING_OPEN)
		actor_loner_forget(candidate->due->generation);
	return take_note(candidate, result);
}

/* choosing -------------------------------------------------------------- */

/*
 * Reminders name their role: those of a role that was renamed or dropped are
 * not ours any more.
 */
static bool
role_is_as_before(void)
{
	return actor_role_find(&role) == start->role;
}

/*
 * Whether what was read is that of our role.  It is not if the name has gone to another
 * one meanwhile; if somebody is about to take the name it is looked for again.
 */
static bool
is_ours(void)
{
	if (actor_role_hold(start->role, &role))
		return true;
	if (!role_is_as_before())
		proc_exit(0);
	earliest_retry = scanned_at + BUSY_MAX_US;
	return false;
}

/*
 * Reads what is due, as a list of candidates.
 */
static List *
scan(void)
{
	List	   *due_list = NIL;
	List	   *result = NIL;
	ListCell   *cell;

	actor_window_begin(actor_slot_take_reported(start));
	scanned_at = GetCurrentTimestamp();
	actor_firing_begin("looking for due reminders");
	MemoryContextSwitchTo(round_context);
	if (!role_is_as_before())
		proc_exit(0);
	if (actor_catalog_installed())
	{
		on_several_servers = actor_on_several_servers();
		due_list = actor_window_scan(&role, scanned_at, scan_limit);
		due_list = list_concat(due_list, actor_idle_scan_beside(&role, scan_limit,
																due_list != NIL));
		actor_worker_stat_looked(list_length(due_list), due_list == NIL ? DT_NOEND :
								 ((ActorDue *) linitial(due_list))->next_try_at);
		actor_messages_in_order(due_list);
	}
	if (due_list != NIL && !is_ours())
		due_list = NIL;
	foreach(cell, due_list)
	{
		Candidate  *candidate = palloc(sizeof(Candidate));

		candidate->due = lfirst(cell);
		candidate->partition = actor_partition_of(&candidate->due->actor);
		candidate->busy_key = candidate->due->actor.hash;
		candidate->queued = false;
		candidate->lost = actor_type_is_lost(candidate->due->actor.type);
		result = lappend(result, candidate);
	}
	actor_firing_commit(round_context);
	return result;
}

/*
 * Until when a candidate is left alone; 0: it is not.
 */
static TimestampTz
busy_until(const Candidate *candidate, TimestampTz now)
{
	TimestampTz actor = actor_busy_until(candidate->due->actor.hash);
	TimestampTz row = actor_busy_until((uint64) candidate->due->generation);
	TimestampTz partition = 0;
	TimestampTz until;

	if (candidate->partition != 0)
		partition = actor_busy_until(candidate->partition);
	until = Max(Max(actor, row), partition);
	return until > now ? until : 0;
}

/*
 * Whether a candidate runs alone: because it has to, or because its actor has
 * been busy for so long that it must queue.
 */
static bool
runs_alone(const Candidate *candidate, TimestampTz now)
{
	ActorDue   *due = candidate->due;

	if (actor_busy_until(due->actor.hash) != 0 &&
		TimestampDifferenceExceeds(due->next_try_at, now, LATE_MS))
	{
		ActorLoner *loner = actor_loner_note(due->generation);

		loner->turn_wait = Max(loner->turn_wait, QUEUE_MIN_MS);
		return true;
	}
	return actor_loner_is(due->generation);
}

/*
 * The loner that has waited longest for its next try.
 */
static Candidate *
next_loner(List *candidates)
{
	Candidate  *result = NULL;
	TimestampTz earliest = 0;
	ListCell   *cell;

	foreach(cell, candidates)
	{
		Candidate  *candidate = lfirst(cell);
		TimestampTz tried_at = actor_loner_note(candidate->due->generation)->tried_at;

		if (result == NULL || tried_at < earliest)
		{
			result = candidate;
			earliest = tried_at;
		}
	}
	return result;
}

/*
 * Runs those that run alone for a little while, but at least one.  Returns how many
 * have got on, and says if one of them is not in the way any more.
 */
static int
run_loners(List *candidates, bool last_free, bool *gone)
{
	TimestampTz began_at = GetCurrentTimestamp();
	int			fired = 0;

	*gone = false;
	while (candidates != NIL && !must_end())
	{
		Candidate  *candidate = next_loner(candidates);

		if (run_loner(candidate, last_free, gone))
			fired++;
		candidates = list_delete_ptr(candidates, candidate);
		if (TimestampDifferenceExceeds(began_at, GetCurrentTimestamp(), LONERS_MS))
			break;
	}
	return fired;
}

/*
 * Runs a list of candidates in batches; those that turn out to have to run
 * alone are found by the next round.
 */
static int
run_batches(List *candidates)
{
	int			fired = 0;
	int			next = 0;

	while (next < list_length(candidates) && !must_end())
		next += run_batch(candidates, next, &fired);
	return fired;
}

/*
 * Takes messages that cannot be the next ones of their actor out of the way, and
 * returns how many.
 */
static uint64
hide_messages(List *candidates)
{
	List	   *due_list = NIL;
	uint64		hidden;
	ListCell   *cell;

	foreach(cell, candidates)
		due_list = lappend(due_list, ((Candidate *) lfirst(cell))->due);
	actor_firing_begin("looking through queues of messages");
	hidden = actor_messages_hide(due_list);
	actor_firing_commit(round_context);
	return hidden;
}

/*
 * actor_round
 *		Fires what is due, once.  Returns how many rows it has got on with, and
 *		when the first busy actor is to be tried again.  Everything is allocated
 *		in the current memory context.
 */
int
actor_round(TimestampTz *retry_at)
{
	TimestampTz now;
	List	   *candidates;
	List	   *mine = NIL;
	List	   *others = NIL;
	List	   *alone = NIL;
	int			fired;
	int			rank;
	int			count;
	bool		last_free;
	bool		fresh = false;	/* somebody is to run alone for the first time */
	bool		stuck;
	bool		gone;
	ListCell   *cell;

	round_context = CurrentMemoryContext;
	earliest_retry = DT_NOEND;
	actor_queues_go_on();
	candidates = scan();
	last_free = actor_slot_rank(start, &rank, &count);
	now = GetCurrentTimestamp();
	foreach(cell, candidates)
	{
		Candidate  *candidate = lfirst(cell);
		uint64		share = candidate->partition;
		TimestampTz until = busy_until(candidate, now);

		if (share == 0)
			share = candidate->due->actor.hash;
		if (candidate->lost)
			until = now + LOST_US;
		if (until != 0)
		{
			earliest_retry = Min(earliest_retry, until);
			/* there, only who follows it can get them all out of the way */
			if (!on_several_servers)
				actor_queue_hold_up(candidate->due);
		}
		else if (actor_queue_is_held_up(candidate->due))
			continue;
		else if (runs_alone(candidate, now))
		{
			alone = lappend(alone, candidate);
			fresh |= actor_loner_note(candidate->due->generation)->tried_at == 0;
			actor_queue_hold_up(candidate->due);
		}
		else if (count == 0 || share % count == rank)
			mine = lappend(mine, candidate);
		else
			others = lappend(others, candidate);
	}
	/* who is busy for a moment only is waited for */
	stuck = list_length(candidates) >= scan_limit && mine == NIL && others == NIL &&
		!fresh && earliest_retry - now > MOMENT_US;
	fired = run_batches(mine != NIL ? mine : others);

	/*
	 * rows behind many that cannot be fired now must not have to wait for
	 * them
	 */
	if (stuck && scan_limit < SCAN_LIMIT_MAX)
	{
		scan_limit *= 2;
		return 1;
	}
	fired += run_loners(alone, last_free, &gone);
	if (stuck && !gone && !must_end() && hide_messages(candidates) > 0)
		return 1;
	if (fired == 0 && candidates != NIL)
		actor_idle_scan_next();
	if (earliest_retry == DT_NOEND && alone == NIL)
	{
		/* nothing was passed over: starts afresh */
		scan_limit = SCAN_LIMIT;
		actor_busy_forget_all();
	}
	actor_round_memory_limit();
	*retry_at = earliest_retry;
	return fired;
}

/*
 * actor_round_next_due
 *		When the next row is due; DT_NOEND if none is.  Rows that the last
 *		round has passed over do not count.  No later than rows may have come from
 *		other servers.
 */
TimestampTz
actor_round_next_due(void)
{
	TimestampTz next_row = DT_NOEND;
	TimestampTz next_idle = DT_NOEND;

	round_context = CurrentMemoryContext;
	actor_firing_begin("looking for the next reminder");
	if (actor_catalog_installed())
	{
		/* others wake us for what turns up before */
		next_row = actor_due_next(&role, earliest_retry != DT_NOEND ? scanned_at :
								  actor_window_before());
		next_idle = actor_idle_next(&role);
		next_row = Min(next_row, actor_next_from_elsewhere());
	}
	actor_firing_commit(round_context);
	return Min(next_row, next_idle);
}

/*
 * actor_rounds_start
 *		Called once by an executor, after it has connected.
 */
void
actor_rounds_start(const ActorExecutorStart *executor)
{
	MemoryContext context = CurrentMemoryContext;

	start = executor;
	StartTransactionCommand();
	namestrcpy(&role, GetUserNameFromId(start->role, false));
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	actor_round_memory_start();
}
