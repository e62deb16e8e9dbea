/*-------------------------------------------------------------------------
 *
 * firing.c
 *		Turning due rows into turns, exactly once.
 *
 * A firing takes the actor's turn, claims the row, calls the method in a
 * subtransaction, and writes what has become of the row, all in one
 * transaction, which several firings may share.  Effect and bookkeeping commit
 * together or not at all.
 *
 * The scan that finds due rows takes no locks and proves nothing.  The claim
 * does: it locks the row if it still has the generation, the instant and the
 * attempt that were seen.  A row that somebody else has locked, or waits for, is
 * passed over; see row_lock.c.
 * While it is claimed nobody else changes the row, except the method itself,
 * which may delete or replace its own reminder; then the outcome matches no
 * row, and is dropped.
 *
 * Lock order: the actor's turn, then the row.
 *
 * IDENTIFICATION
 *		src/fire/firing.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "fire/internal.h"

/* what is late by less than that is never left out, in microseconds */
#define SKIP_LATE_US		USECS_PER_SEC

typedef ActorFiringClaim Claim;
typedef ActorFiringRun Run;

/*
 * Reminders and timers are alike, but for what they do not do: timers have
 * neither a policy for missed firings nor one for failures.
 */
#define WHERE_KEY \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND name OPERATOR(pg_catalog.=) $3" \
	"   AND generation OPERATOR(pg_catalog.=) $4"

#define FINISH_ROW(table) \
	{"DELETE FROM " table WHERE_KEY, \
	4, {TEXTOID, TEXTOID, TEXTOID, INT8OID}}

static ActorQuery finish_row[] = {
	FINISH_ROW("actor.reminder"),
	FINISH_ROW("actor.timer")
};

/* how a call went, which only reminders remember; what is null stays as it is */
#define RUN_COLUMNS \
	", fired = fired OPERATOR(pg_catalog.+) $9," \
	"  last_fired_at = COALESCE($10, last_fired_at)," \
	"  last_ok_at = COALESCE($11, last_ok_at), last_ms = COALESCE($12, last_ms)"

#define RUN_TYPES			INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, FLOAT8OID
#define OUTCOME_VALUES		12

#define ADVANCE_ROW(table, run) \
	{"UPDATE " table " SET firing = $5, scheduled_at = $6, next_try_at = $6," \
	"  remaining = $7, attempt = 1, deferrals = 0, last_error = $8" run WHERE_KEY, \
	OUTCOME_VALUES, {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT8OID, \
	TEXTOID, RUN_TYPES}}

static ActorQuery advance_row[] = {
	ADVANCE_ROW("actor.reminder", RUN_COLUMNS),
	ADVANCE_ROW("actor.timer", "")
};

/* columns of the same, for doing it without a statement */
typedef struct AdvanceColumns
{
	int			generation;
	int			firing;			/* and the six after it */
	int			fired;			/* and the three after it; 0: there are none */
} AdvanceColumns;

#define DUE_KEYS			3
#define ADVANCE_COLUMNS		11

static ActorTable due_tables[] = {{"reminder", DUE_KEYS}, {"timer", DUE_KEYS}};
static const AdvanceColumns advance_columns[] = {{12, 19, 28}, {10, 17, 0}};

#define RETRY_ROW(table, run) \
	{"UPDATE " table " SET next_try_at = $5, attempt = $6, deferrals = $7," \
	"  last_error = $8" run WHERE_KEY, \
	OUTCOME_VALUES, {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID, \
	TEXTOID, RUN_TYPES}}

static ActorQuery retry_row[] = {
	RETRY_ROW("actor.reminder", RUN_COLUMNS),
	RETRY_ROW("actor.timer", "")
};

#define PUT_OFF_ROW(table) \
	{"UPDATE " table " SET next_try_at = 'infinity'" WHERE_KEY, \
	4, {TEXTOID, TEXTOID, TEXTOID, INT8OID}}

static ActorQuery put_off_row[] = {
	PUT_OFF_ROW("actor.reminder"),
	PUT_OFF_ROW("actor.timer")
};

#define HAND_OVER_ROW(table) \
	{"UPDATE " table " SET hosted = $5" WHERE_KEY, \
	5, {TEXTOID, TEXTOID, TEXTOID, INT8OID, BOOLOID}}

static ActorQuery hand_over_row[] = {
	HAND_OVER_ROW("actor.reminder"),
	HAND_OVER_ROW("actor.timer")
};

/* outcomes -------------------------------------------------------------- */

static void
key_values(const ActorDue *due, Datum *values)
{
	values[0] = PointerGetDatum(due->actor.type);
	values[1] = PointerGetDatum(due->actor.id);
	values[2] = PointerGetDatum(due->name);
	values[3] = Int64GetDatum(due->generation);
}

/*
 * Runs a statement that writes the row of the claim, which the method may have
 * deleted or replaced.
 */
static void
write_outcome(ActorQuery *query, Datum *values, const char *nulls)
{
	ActorBookkeeping bookkeeping;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(query, values, nulls);
	if (rows > 1)
		elog(ERROR, "outcome of a firing was written to " UINT64_FORMAT " rows", rows);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Values of RUN_COLUMNS; the call has just ended, if there was one.
 */
static void
run_values(const Run *run, Datum *values, char *nulls)
{
	bool		called = run->started_at != 0;

	values[8] = Int32GetDatum(called ? 1 : 0);
	nulls[8] = ' ';
	values[9] = values[10] = TimestampTzGetDatum(run->fired_at);
	nulls[9] = called ? ' ' : 'n';
	nulls[10] = called && run->ok ? ' ' : 'n';
	values[11] = Float8GetDatum((GetCurrentTimestamp() - run->started_at) / 1000.0);
	nulls[11] = nulls[9];
}

/* firings left from this one on; -1: no limit */
static int64
firings_left(const ActorSchedule *schedule, int64 firing)
{
	return schedule->count == 0 ? -1 : Max(schedule->count - firing, 0);
}

/* the row of a claim, to be written without a statement */
typedef struct Advance
{
	const ActorDue *due;
	const AdvanceColumns *at;
	ActorColumn columns[ADVANCE_COLUMNS];
	int			count;
	ActorColumn *fired;			/* to be counted up; NULL: does not change */
} Advance;

static ActorColumn *
set_column(Advance *row, int number, Datum value, bool isnull)
{
	ActorColumn *column = &row->columns[row->count++];

	column->number = number;
	column->value = value;
	column->isnull = isnull;
	return column;
}

/*
 * Whether a row is still that of the claim.
 */
static bool
is_claimed(TupleTableSlot *slot, void *arg)
{
	Advance    *row = arg;
	bool		isnull;

	if (DatumGetInt64(slot_getattr(slot, row->at->generation, &isnull)) != row->due->generation)
		return false;
	if (row->fired != NULL)
		row->fired->value =
			Int64GetDatum(DatumGetInt64(slot_getattr(slot, row->at->fired, &isnull)) + 1);
	return true;
}

/*
 * Does what advance_row does, with its values, without a statement; false if it
 * takes one.
 */
static bool
advance_directly(const ActorDue *due, const Datum *values, const char *nulls, const Run *run)
{
	const AdvanceColumns *at = &advance_columns[due->kind];
	Advance		row = {.due = due,.at = at};

	set_column(&row, at->firing, values[4], false);
	set_column(&row, at->firing + 1, values[5], false); /* scheduled_at */
	set_column(&row, at->firing + 2, values[5], false); /* next_try_at */
	set_column(&row, at->firing + 3, values[6], nulls[6] == 'n');	/* remaining */
	set_column(&row, at->firing + 4, Int32GetDatum(1), false);	/* attempt */
	set_column(&row, at->firing + 5, Int32GetDatum(0), false);	/* deferrals */
	set_column(&row, at->firing + 6, values[7], nulls[7] == 'n');	/* last_error */
	if (at->fired != 0 && run->started_at != 0)
	{
		row.fired = set_column(&row, at->fired, (Datum) 0, false);
		set_column(&row, at->fired + 1, values[9], false);	/* last_fired_at */
		if (run->ok)
			set_column(&row, at->fired + 2, values[10], false); /* last_ok_at */
		set_column(&row, at->fired + 3, values[11], false); /* last_ms */
	}
	return actor_direct_update(&due_tables[due->kind], values, DUE_KEYS,
							   row.columns, row.count, is_claimed,
							   &row) != ACTOR_DIRECT_BY_SQL;
}

/*
 * Does what finish_row does in the same way.
 */
static bool
finish_directly(const ActorDue *due, const Datum *values)
{
	Advance		row = {.due = due,.at = &advance_columns[due->kind]};

	return actor_direct_delete(&due_tables[due->kind], values, DUE_KEYS, is_claimed,
							   &row) != ACTOR_DIRECT_BY_SQL;
}

/*
 * A row is to be tried at another time, which the executor sees to itself.  But
 * looks of the scheduler count on it that no row is moved to an earlier time
 * without being reported; see pending.c.
 */
static void
report_earlier(const ActorDue *due, TimestampTz at)
{
	if (at < due->next_try_at)
		actor_wake_at(at);
}

/*
 * Goes on to another firing, or ends the reminder if that is -1.
 */
static void
advance(const ActorDue *due, const ActorSchedule *schedule, int64 firing,
		TimestampTz at, const Run *run, const text *last_error)
{
	Datum		values[OUTCOME_VALUES];
	char		nulls[OUTCOME_VALUES] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	int64		left = firings_left(schedule, firing);

	key_values(due, values);
	if (firing < 0)
	{
		if (!finish_directly(due, values))
			write_outcome(&finish_row[due->kind], values, NULL);
		return;
	}
	values[4] = Int64GetDatum(firing);
	values[5] = TimestampTzGetDatum(at);
	values[6] = Int64GetDatum(left);
	nulls[6] = left < 0 ? 'n' : ' ';
	values[7] = PointerGetDatum(last_error);
	nulls[7] = last_error == NULL ? 'n' : ' ';
	report_earlier(due, at);
	run_values(run, values, nulls);
	if (!advance_directly(due, values, nulls, run))
		write_outcome(&advance_row[due->kind], values, nulls);
}

/*
 * Leaves the row where no scan comes by, until its actor is resumed.
 */
static void
put_off(const ActorDue *due)
{
	Datum		values[4];

	key_values(due, values);
	write_outcome(&put_off_row[due->kind], values, NULL);
}

static void
park(const ActorDue *due, const Claim *claimed, const NameData *role, ErrorData *error)
{
	ActorFailure failure;

	failure.kind = actor_due_word(due->kind);
	failure.name = claimed->name;
	failure.method = claimed->method;
	failure.payload = claimed->data;
	failure.settings = claimed->settings;
	failure.scheduled_at = due->scheduled_at;
	failure.attempts = due->attempt;
	actor_failure_write(&due->actor, &failure, role, error);
}

/*
 * Parks the claimed firing, and goes on to the next one.
 */
static void
give_up(const ActorDue *due, const Claim *claimed, const NameData *role, ErrorData *error,
		const Run *run, TimestampTz now)
{
	TimestampTz at;
	int64		missed;
	int64		next = actor_schedule_next(&claimed->schedule, claimed->firing, due->scheduled_at,
										   claimed->catch_up, now,
										   &at, &missed);

	park(due, claimed, role, error);
	advance(due, &claimed->schedule, next, at, run, actor_error_text(error->message));
}

/*
 * Writes down that the claimed firing has failed.
 */
static void
record_failure(const ActorDue *due, const Claim *claimed, const NameData *role,
			   ErrorData *error, const Run *run, TimestampTz now)
{
	ActorRetry	retry = {.attempt = due->attempt,.deferrals = claimed->deferrals};
	ActorCause	cause = {actor_due_word(due->kind), claimed->name,.attempt = due->attempt};
	Datum		values[OUTCOME_VALUES];
	char		nulls[OUTCOME_VALUES] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};
	bool		again;

	again = !actor_retry_is_vain(&due->actor, claimed->method, claimed->data, error) &&
		actor_retry_plan(&claimed->policy, error, run->started_at, now, &retry);
	actor_failure_log(MyBackendType == B_BG_WORKER ? LOG : WARNING, &due->actor,
					  actor_due_word(due->kind), due->name, claimed->method, error,
					  actor_retry_outcome(&claimed->policy, due->attempt, again));
	if (run->started_at != 0)
		actor_record_failure(&due->actor, claimed->method, &cause, role, run->started_at, error);
	if (!again)
	{
		give_up(due, claimed, role, error, run, now);
		return;
	}
	key_values(due, values);
	values[4] = TimestampTzGetDatum(retry.at);
	values[5] = Int32GetDatum(retry.attempt);
	values[6] = Int32GetDatum(retry.deferrals);
	values[7] = PointerGetDatum(actor_error_text(error->message ? error->message : ""));
	report_earlier(due, retry.at);
	run_values(run, values, nulls);
	write_outcome(&retry_row[due->kind], values, nulls);
}

/* firing ---------------------------------------------------------------- */

/* what is attempted in a subtransaction */
typedef struct Attempt
{
	const ActorDue *due;
	int			turn_wait;
} Attempt;

static void
queue_for_turn(void *arg)
{
	Attempt    *attempt = arg;

	(void) actor_turn_enter(&attempt->due->actor, NULL, attempt->turn_wait);
}

static void
call_method(void *arg)
{
	ActorFiring *firing = arg;
	int			nestlevel = actor_carried_begin(firing->settings);
	Jsonb	   *payload = firing->data;

	if (firing->due->kind != DUE_MESSAGE)
		payload = actor_due_payload(firing->due->kind, firing->cause.name, firing->method,
									payload);
	firing->result = actor_call(&firing->due->actor, firing->method, payload, NULL, NULL,
								&firing->cause);
	actor_callback_settle();
	actor_trace_end(nestlevel);
}

/*
 * Takes the actor's turn as the mode says.  If it is not free, sets "error"
 * only if a client would have got it: after the type's call_timeout.
 */
static bool
take_turn(const ActorDue *due, const ActorFireMode *mode, ErrorData **error)
{
	ActorType  *type;
	Attempt		attempt;
	int			limit;
	int			timeout;

	*error = NULL;
	if (actor_turn_try_enter(&due->actor, NULL))
		return true;
	if (mode->turn_wait == 0)
		return false;

	type = actor_type_find(due->actor.type);
	limit = type != NULL ? actor_type_call_timeout(type) : 0;
	timeout = limit > 0 ? Min(limit, mode->turn_wait) : mode->turn_wait;
	attempt.due = due;
	attempt.turn_wait = timeout;
	*error = actor_attempt(queue_for_turn, &attempt);
	if (*error != NULL && (*error)->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(*error);
	if (*error == NULL)
		return true;
	if (timeout != limit)
		*error = NULL;
	return false;
}

/*
 * Leaves a row to hosts, or to executors, since its method has turned out to be
 * theirs.
 */
static void
hand_over(const ActorDue *due, bool hosted)
{
	Datum		values[5];

	key_values(due, values);
	values[4] = BoolGetDatum(hosted);
	write_outcome(&hand_over_row[due->kind], values, NULL);
	if (hosted)
		actor_wake_hosts(due->next_try_at);
	else
		actor_wake_at(due->next_try_at);
}

/*
 * actor_firing_claim
 *		Claims a row, in the actor's turn, for a host or an executor, as of that
 *		time (0: now).  Returns FIRING_DONE if its method is to be called now;
 *		otherwise that is over, and what there was to do is done.
 *
 * What is claimed is in the current memory context.
 */
ActorFiringResult
actor_firing_claim(ActorFiring *firing, bool by_host, TimestampTz clock)
{
	const ActorDue *due = firing->due;
	Claim	   *claimed = &firing->claim;
	ActorType  *type;
	ActorPaused paused;
	TimestampTz now;
	int64		missed;

	if (due->kind == DUE_MESSAGE)
		return actor_message_claim(firing, by_host, clock);
	if (actor_due_is_wanted(&due->actor, due->name) || !actor_claim(due, firing->role, claimed))
		return FIRING_BUSY;
	paused = actor_pause_share(&due->actor);
	if (paused == ACTOR_PAUSE_CHANGING)
		return FIRING_BUSY;
	if (paused == ACTOR_PAUSED)
	{
		put_off(due);
		return FIRING_SKIPPED;
	}

	/*
	 * left by an earlier start of the server, in a transaction that was
	 * prepared
	 */
	if (due->kind == DUE_TIMER && !actor_is_active(&due->actor))
	{
		advance(due, &claimed->schedule, -1, 0, &firing->run, NULL);
		return FIRING_SKIPPED;
	}
	type = actor_type_find(due->actor.type);
	if (type != NULL && actor_method_is_hosted(type, claimed->method) != by_host)
	{
		hand_over(due, !by_host);
		return FIRING_SKIPPED;
	}

	now = clock != 0 ? clock : GetCurrentTimestamp();
	firing->next = actor_schedule_next(&claimed->schedule, claimed->firing, due->scheduled_at,
									   claimed->catch_up, now, &firing->next_at, &missed);

	/*
	 * only what is on the grid: a firing late by a period is left out, unless
	 * that is so short that there would never be one in time
	 */
	if (claimed->catch_up == ACTOR_CATCH_UP_SKIP && claimed->schedule.periodic &&
		missed > 0 && due->attempt == 1 && now - due->scheduled_at >= SKIP_LATE_US)
	{
		advance(due, &claimed->schedule, firing->next, firing->next_at, &firing->run, NULL);
		return FIRING_SKIPPED;
	}

	firing->method = claimed->method;
	firing->data = claimed->data;
	firing->traceparent = claimed->traceparent;
	firing->settings = claimed->settings;
	firing->cause.kind = actor_due_word(due->kind);
	firing->cause.name = claimed->name;
	firing->cause.scheduled_at = due->scheduled_at;
	firing->cause.fired_at = now;
	firing->cause.attempt = due->attempt;
	firing->cause.missed = missed;
	firing->cause.remaining = firing->next < 0 ? 0 :
		firings_left(&claimed->schedule, firing->next);
	firing->run.fired_at = now;
	firing->run.started_at = clock != 0 ? GetCurrentTimestamp() : now;
	return FIRING_DONE;
}

/*
 * actor_firing_done
 *		The method of a claimed row has returned.
 */
void
actor_firing_done(ActorFiring *firing)
{
	if (firing->due->kind == DUE_MESSAGE)
	{
		actor_message_done(firing);
		return;
	}
	firing->run.ok = true;
	advance(firing->due, &firing->claim.schedule, firing->next, firing->next_at,
			&firing->run, NULL);
}

/*
 * actor_firing_failed
 *		The method of a claimed row has failed, at that time.
 */
void
actor_firing_failed(ActorFiring *firing, ErrorData *error, TimestampTz now)
{
	if (firing->due->kind == DUE_MESSAGE)
		actor_message_ran_badly(firing, error, now);
	else
		record_failure(firing->due, &firing->claim, firing->role, error, &firing->run, now);
}

/*
 * actor_fire
 *		Fires what is due as the current user, which must be the role that
 *		registered it, or the owner of the type of an idle actor.
 *
 * Never waits for the row, and for the actor as the mode says.  An error of
 * the method is written down; other errors are raised, and nothing has
 * happened then.  If a step is given and a message was delivered, sets the step to
 * what follows in its queue; if that is hidden, the caller fires it in the same
 * transaction, or shows it.
 */
ActorFiringResult
actor_fire(const ActorDue *due, const NameData *role, const ActorFireMode *mode,
		   ActorQueueStep *step)
{
	ActorFiring firing = {.due = due,.role = role,.step = step};
	ActorFiringResult result;
	int			nestlevel;
	ErrorData  *error;

	/* nobody can repair what has failed because of that */
	if (actor_type_is_lost(due->actor.type))
		return FIRING_STOPPED;
	if (due->kind == DUE_DEACTIVATE)
		return actor_idle_fire(due, mode);
	if (!take_turn(due, mode, &error))
	{
		if (error == NULL)
			return FIRING_BUSY;
		/* nobody is to blame for the calls of a chain that has the turn open */
		if (actor_lease_is_open(&due->actor))
			return FIRING_OPEN;
		return actor_fire_failed(due, role, error, 0) ? FIRING_FAILED : FIRING_BUSY;
	}
	if (!actor_lease_pass(&due->actor))
		return FIRING_OPEN;
	result = actor_firing_claim(&firing, false, mode->clock);
	if (result != FIRING_DONE)
		return result;

	nestlevel = actor_trace_begin(firing.traceparent);
	result = actor_callback_run(due, mode, call_method, &firing, &error);
	if (result == FIRING_FAILED && actor_retry_is_excused(&due->actor))
		result = FIRING_STOPPED;
	if (result == FIRING_FAILED)
		actor_firing_failed(&firing, error,
							mode->clock != 0 ? firing.cause.fired_at : GetCurrentTimestamp());
	else if (result == FIRING_DONE)
		actor_firing_done(&firing);
	actor_trace_end(nestlevel);
	return result;
}

/*
 * actor_fire_failed
 *		Writes down that a firing has failed in a way that has cost it its
 *		transaction, such as an error at commit.  False if the row is not as it
 *		was any more.
 */
bool
actor_fire_failed(const ActorDue *due, const NameData *role, ErrorData *error,
				  TimestampTz started_at)
{
	Run			run = {.fired_at = started_at,.started_at = started_at};
	Claim		claimed;
	int			nestlevel;

	if (due->kind == DUE_DEACTIVATE)
		return actor_idle_deactivate(due, role, error);
	if (due->kind == DUE_MESSAGE)
		return actor_message_failed(due, role, error, started_at);
	if (!actor_claim(due, role, &claimed))
		return false;
	nestlevel = actor_trace_begin(claimed.traceparent);
	record_failure(due, &claimed, role, error, &run, GetCurrentTimestamp());
	actor_trace_end(nestlevel);
	return true;
}

/*
 * actor_fire_give_up
 *		Parks a firing that must not be tried again.  False if the row is not as
 *		it was any more.
 */
bool
actor_fire_give_up(const ActorDue *due, const NameData *role, ErrorData *error)
{
	Run			run = {0};
	Claim		claimed;
	int			nestlevel;

	if (due->kind == DUE_DEACTIVATE)
		return actor_idle_deactivate(due, role, error);
	if (due->kind == DUE_MESSAGE)
		return actor_message_give_up(due, role, error);
	if (!actor_claim(due, role, &claimed))
		return false;
	nestlevel = actor_trace_begin(claimed.traceparent);
	give_up(due, &claimed, role, error, &run, GetCurrentTimestamp());
	actor_trace_end(nestlevel);
	return true;
}
