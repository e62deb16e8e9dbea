/*-------------------------------------------------------------------------
 *
 * reminder.c
 *		SQL functions of reminders and timers: registering, reading, deleting.
 *
 * A reminder is a row of actor.reminder.  Registering one is an upsert that
 * commits or rolls back with its transaction; the workers find it after the
 * commit.  The generation of a row is a random number of the registration, so
 * that a firing under way never mistakes a replaced reminder for its own.
 *
 * A timer is the same in actor.timer, but lives only as long as its actor is
 * active: registering one takes the turn and activates.
 *
 * Lock order: the row is locked last, after any turn; see row_lock.c.
 *
 * IDENTIFICATION
 *		src/reminder/reminder.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "reminder/reminder.h"

PG_FUNCTION_INFO_V1(actor_set_reminder);
PG_FUNCTION_INFO_V1(actor_set_reminder_at);
PG_FUNCTION_INFO_V1(actor_set_reminder_in);
PG_FUNCTION_INFO_V1(actor_set_reminder_text);
PG_FUNCTION_INFO_V1(actor_get_reminder);
PG_FUNCTION_INFO_V1(actor_delete_reminder);
PG_FUNCTION_INFO_V1(actor_set_timer);
PG_FUNCTION_INFO_V1(actor_set_timer_at);
PG_FUNCTION_INFO_V1(actor_set_timer_in);
PG_FUNCTION_INFO_V1(actor_set_timer_text);
PG_FUNCTION_INFO_V1(actor_get_timer);
PG_FUNCTION_INFO_V1(actor_delete_timer);

/* arguments of actor_set_reminder and actor_set_timer, after type and id */
enum
{
	ARG_NAME = 2,
	ARG_DUE_TIME,
	ARG_PERIOD,
	ARG_TTL,
	ARG_DATA,
	ARG_METHOD,
	ARG_FAILURE_POLICY,
	ARG_CATCH_UP,
	ARG_OVERWRITE,
	ARG_FIRINGS,				/* of the forms with intervals */
	ARG_TIMER_OVERWRITE = ARG_FAILURE_POLICY,
	ARG_TIMER_FIRINGS
};

/* the writing statements take the columns in this order */
enum
{
	COL_TYPE,
	COL_ID,
	COL_NAME,
	COL_METHOD,
	COL_DATA,
	COL_DUE_TIME,
	COL_PERIOD,
	COL_TTL,
	COL_CATCH_UP,
	COL_FAILURE_POLICY,
	COL_ROLE_NAME,
	COL_GENERATION,
	COL_REGISTERED_AT,
	COL_FIRST_AT,
	COL_STEP,
	COL_FIRINGS,
	COL_TIME_ZONE,
	COL_EXPIRES_AT,
	COL_REMAINING,
	COL_TRACEPARENT,
	COL_HOSTED,
	COL_SETTINGS,
	COL_COUNT
};

/* random numbers that are made together */
#define GENERATIONS_AT_ONCE	32

#define COLUMN_TYPES \
	{TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TEXTOID, TEXTOID, \
	TEXTOID, JSONBOID, NAMEOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, \
	INTERVALOID, INT4OID, TEXTOID, TIMESTAMPTZOID, INT8OID, TEXTOID, BOOLOID, JSONBOID}

#define WHERE_KEY \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND name OPERATOR(pg_catalog.=) $3"

/* by ActorDueKind; a timer has no policies, whose values are ignored then */
#define INSERT_ROW(table, policies, policy_values) \
	{"INSERT INTO " table " (actor_type, actor_id, name, method, data," \
	"  due_time, period, ttl, " policies "role_name, generation," \
	"  registered_at, first_at, step, firings, time_zone, expires_at, remaining," \
	"  traceparent, hosted, settings, firing, scheduled_at, next_try_at, attempt, deferrals)" \
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, " policy_values "$11, $12, $13, $14," \
	"  $15, $16, $17, $18, $19, $20, $21, $22, 0, $14, $14, 1, 0)" \
	" ON CONFLICT (actor_type, actor_id, name) DO NOTHING", \
	COL_COUNT, COLUMN_TYPES}

static ActorQuery insert_row[] = {
	INSERT_ROW("actor.reminder", "catch_up, failure_policy, fired, ", "$9, $10, 0, "),
	INSERT_ROW("actor.timer", "", "")
};

/* columns of actor.reminder after those that are ordered as above */
enum
{
	ROW_FIRING = COL_EXPIRES_AT + 1,
	ROW_SCHEDULED_AT,
	ROW_NEXT_TRY_AT,
	ROW_REMAINING,
	ROW_ATTEMPT,
	ROW_DEFERRALS,
	ROW_LAST_ERROR,
	ROW_RETRY_OF,
	ROW_TRACEPARENT,
	ROW_FIRED,
	ROW_LAST_FIRED_AT,
	ROW_LAST_OK_AT,
	ROW_LAST_MS,
	ROW_HOSTED,
	ROW_SETTINGS,
	ROW_COUNT
};

static ActorTable reminder_table = {"reminder", COL_NAME + 1};

#define REPLACE_ROW(table, policies) \
	{"UPDATE " table " SET method = $4, data = $5, due_time = $6, period = $7," \
	"  ttl = $8, " policies "role_name = $11," \
	"  generation = $12, registered_at = $13, first_at = $14, step = $15," \
	"  firings = $16, time_zone = $17, expires_at = $18, remaining = $19," \
	"  traceparent = $20, hosted = $21, settings = $22, firing = 0, scheduled_at = $14, next_try_at = $14," \
	"  attempt = 1," \
	"  deferrals = 0, last_error = NULL" WHERE_KEY, \
	COL_COUNT, COLUMN_TYPES}

static ActorQuery replace_row[] = {
	REPLACE_ROW("actor.reminder", "catch_up = $9, failure_policy = $10, retry_of = NULL, fired = 0,"
				"  last_fired_at = NULL, last_ok_at = NULL, last_ms = NULL, "),
	REPLACE_ROW("actor.timer", "")
};

#define READ_ROLE(table) \
	{"SELECT role_name FROM " table WHERE_KEY, \
	3, {TEXTOID, TEXTOID, TEXTOID}}

static ActorQuery read_role[] = {
	READ_ROLE("actor.reminder"),
	READ_ROLE("actor.timer")
};

#define DELETE_ROW(table) \
	{"DELETE FROM " table WHERE_KEY, \
	3, {TEXTOID, TEXTOID, TEXTOID}}

static ActorQuery delete_row[] = {
	DELETE_ROW("actor.reminder"),
	DELETE_ROW("actor.timer")
};

#define READ_ROW(table, policies, condition, nargs) \
	{"SELECT role_name, pg_catalog.jsonb_build_object(" \
	"  'actor_type'::pg_catalog.text, actor_type, 'actor_id'::pg_catalog.text, actor_id," \
	"  'name'::pg_catalog.text, name, 'method'::pg_catalog.text, method," \
	"  'data'::pg_catalog.text, data, 'due_time'::pg_catalog.text, due_time," \
	"  'period'::pg_catalog.text, period, 'ttl'::pg_catalog.text, ttl," \
	policies \
	"  'role_name'::pg_catalog.text, role_name," \
	"  'registered_at'::pg_catalog.text, registered_at," \
	"  'scheduled_at'::pg_catalog.text, scheduled_at," \
	"  'next_try_at'::pg_catalog.text, next_try_at," \
	"  'expires_at'::pg_catalog.text, expires_at," \
	"  'remaining'::pg_catalog.text, remaining, 'attempt'::pg_catalog.text, attempt," \
	"  'last_error'::pg_catalog.text, last_error," \
	"  'traceparent'::pg_catalog.text, traceparent)" \
	"  FROM " table WHERE_KEY condition, \
	nargs, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}}

static ActorQuery read_row[] = {
	READ_ROW("actor.reminder",
			 "  'catch_up'::pg_catalog.text, catch_up,"
			 "  'failure_policy'::pg_catalog.text, failure_policy,"
			 "  'fired'::pg_catalog.text, fired, 'last_fired_at'::pg_catalog.text, last_fired_at,"
			 "  'last_ok_at'::pg_catalog.text, last_ok_at, 'last_ms'::pg_catalog.text, last_ms,",
			 "", 3),
	READ_ROW("actor.timer", "",
			 " AND EXISTS (SELECT FROM actor.activation a"
			 "  WHERE a.actor_type OPERATOR(pg_catalog.=) $1"
			 "    AND a.actor_id OPERATOR(pg_catalog.=) $2"
			 "    AND a.server_start OPERATOR(pg_catalog.=) $4)", 4)
};

/* rights ---------------------------------------------------------------- */

/*
 * Whether the current user may read and change what that role registered, or
 * owns the type, or runs in a turn of the actor.
 */
static bool
has_right(const ActorRef *actor, const NameData *role_name)
{
	ActorFrame *frame = actor_frame_current();

	return (frame != NULL && actor_ref_equal(&frame->actor, actor)) ||
		actor_role_held(role_name) || actor_type_owned(actor->type);
}

/*
 * There is no such row.  Only somebody who could have one is told: others, who
 * may not use the type's schema, are refused as if there were one.
 */
static void
check_absent(const ActorRef *actor)
{
	ActorFrame *frame = actor_frame_current();

	if ((frame == NULL || !actor_ref_equal(&frame->actor, actor)) &&
		!actor_type_owned(actor->type))
		actor_type_check_usage(actor_type_lookup(actor->type));
}

/*
 * Refuses to touch a row without the right to.
 */
static void
check_right(ActorDueKind kind, const ActorRef *actor, const NameData *role_name)
{
	if (has_right(actor, role_name))
		return;
	check_absent(actor);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for %s of actor \"%s\" of type \"%s\"",
					actor_due_word(kind), text_to_cstring(actor->id), text_to_cstring(actor->type)),
			 errdetail("It belongs to the role that registered it and to the owner of the type.")));
}

/* registering ----------------------------------------------------------- */

/*
 * actor_random_generation
 *		A random number that no earlier registration had.
 */
int64
actor_random_generation(void)
{
	static int64 generations[GENERATIONS_AT_ONCE];
	static int	left = 0;

	/* asking for one costs as much as asking for many */
	if (left == 0)
	{
		if (!pg_strong_random(generations, sizeof(generations)))
			ereport(ERROR,
					(errcode(ERRCODE_INTERNAL_ERROR),
					 errmsg("could not generate a random number")));
		left = GENERATIONS_AT_ONCE;
	}
	return generations[--left] & PG_INT64_MAX;
}

static void
check_catch_up(const text *catch_up)
{
	ActorCatchUp policy;

	if (!actor_catch_up_from_text(catch_up, &policy))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("catch_up must be \"one\", \"all\" or \"skip\"")));
}

/*
 * Locks the row that has the key; false if there is none.  Somebody without
 * the right to change it does not get as far as the lock: he is refused, or
 * told that there is one if "exists_matters" is set.
 */
static bool
lock_row(ActorDueKind kind, const ActorRef *actor, Datum *values, bool exists_matters)
{
	NameData	registrant;

	if (!actor_role_of_row(&read_role[kind], values, &registrant))
		return false;
	if (exists_matters && !has_right(actor, &registrant))
		return true;
	check_right(kind, actor, &registrant);
	if (!actor_due_lock(kind, actor, DatumGetTextPP(values[2]), &registrant))
		return false;
	if (!exists_matters)
		check_right(kind, actor, &registrant);
	return true;
}

/*
 * Inserts a reminder without a statement; false if it takes one.
 */
static bool
insert_directly(const Datum *values, const char *nulls)
{
	Datum		row[ROW_COUNT];
	bool		isnull[ROW_COUNT] = {false};

	memset(row, 0, sizeof(row));
	for (int i = 0; i <= COL_EXPIRES_AT; i++)
	{
		row[i] = values[i];
		isnull[i] = nulls[i] == 'n';
	}
	row[ROW_FIRING] = Int64GetDatum(0);
	row[ROW_SCHEDULED_AT] = row[ROW_NEXT_TRY_AT] = values[COL_FIRST_AT];
	row[ROW_REMAINING] = values[COL_REMAINING];
	isnull[ROW_REMAINING] = nulls[COL_REMAINING] == 'n';
	row[ROW_ATTEMPT] = Int32GetDatum(1);
	row[ROW_DEFERRALS] = Int32GetDatum(0);
	row[ROW_FIRED] = Int64GetDatum(0);
	isnull[ROW_LAST_ERROR] = isnull[ROW_RETRY_OF] = isnull[ROW_LAST_FIRED_AT] =
		isnull[ROW_LAST_OK_AT] = isnull[ROW_LAST_MS] = true;
	row[ROW_TRACEPARENT] = values[COL_TRACEPARENT];
	isnull[ROW_TRACEPARENT] = nulls[COL_TRACEPARENT] == 'n';
	row[ROW_HOSTED] = values[COL_HOSTED];
	row[ROW_SETTINGS] = values[COL_SETTINGS];
	isnull[ROW_SETTINGS] = nulls[COL_SETTINGS] == 'n';
	return actor_direct_insert(&reminder_table, row, isnull, ROW_COUNT, true);
}

/*
 * Inserts the row, or replaces the one of that name if its owner lets us.
 */
static void
upsert(ActorDueKind kind, const ActorRef *actor, Datum *values, const char *nulls, bool overwrite)
{
	if (kind == DUE_REMINDER && insert_directly(values, nulls))
		return;
	for (;;)
	{
		ActorBookkeeping bookkeeping;
		bool		inserted;

		CHECK_FOR_INTERRUPTS();
		actor_bookkeeping_begin(&bookkeeping);
		inserted = actor_query_run(&insert_row[kind], values, nulls) > 0;
		actor_bookkeeping_end(&bookkeeping);
		if (inserted)
			return;
		if (!lock_row(kind, actor, values, !overwrite))
			continue;			/* gone meanwhile */
		if (!overwrite)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("%s \"%s\" of actor \"%s\" of type \"%s\" already exists",
							actor_due_word(kind), TextDatumGetCString(values[COL_NAME]),
							text_to_cstring(actor->id), text_to_cstring(actor->type)),
					 errhint("Use overwrite => true to replace it.")));
		actor_bookkeeping_begin(&bookkeeping);
		actor_query_write_one(&replace_row[kind], values, nulls);
		actor_bookkeeping_end(&bookkeeping);
		return;
	}
}

/*
 * Takes the turn of the actor that a timer is for, and activates it.  What the
 * caller has found out about the type and the method, at the generation, may
 * be out of date after that.
 */
static void
enter_for_timer(const ActorRef *actor, uint64 generation)
{
	ActorType  *type = actor_type_lookup(actor->type);

	actor_turn_check_isolation("register a timer");
	if (actor_lease_enter(actor, NULL, actor_type_call_timeout(type), NULL))
	{
		AcceptInvalidationMessages();
		type = actor_type_lookup(actor->type);
	}
	if (!actor_turn_is_active(actor))
		actor_pause_check(actor, NULL);
	(void) actor_activate(actor, type, generation);
}

/*
 * Checks the arguments that only reminders have, and makes values of them.
 */
static void
policy_values(FunctionCallInfo fcinfo, Datum *values, char *nulls)
{
	ActorRetryPolicy policy;

	if (PG_ARGISNULL(ARG_CATCH_UP))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "catch_up")));
	check_catch_up(PG_GETARG_TEXT_PP(ARG_CATCH_UP));
	actor_retry_policy_parse(PG_ARGISNULL(ARG_FAILURE_POLICY) ? NULL :
							 PG_GETARG_JSONB_P(ARG_FAILURE_POLICY), &policy);
	values[COL_CATCH_UP] = PG_GETARG_DATUM(ARG_CATCH_UP);
	nulls[COL_CATCH_UP] = ' ';
	values[COL_FAILURE_POLICY] = PG_GETARG_DATUM(ARG_FAILURE_POLICY);
	nulls[COL_FAILURE_POLICY] = PG_ARGISNULL(ARG_FAILURE_POLICY) ? 'n' : ' ';
}

/*
 * Registers a reminder or timer; everything but the schedule is in the
 * arguments.
 */
static void
set_row(FunctionCallInfo fcinfo, ActorDueKind kind, const ActorRef *actor,
		ActorScheduleRequest *request)
{
	bool		is_timer = kind == DUE_TIMER;
	int			overwrite = is_timer ? ARG_TIMER_OVERWRITE : ARG_OVERWRITE;
	text	   *name = actor_text_argument(fcinfo, ARG_NAME,
										   is_timer ? "timer name" : "reminder name",
										   ACTOR_MAX_NAME_LEN);
	text	   *method_name = PG_ARGISNULL(ARG_METHOD) ? name : PG_GETARG_TEXT_PP(ARG_METHOD);
	Jsonb	   *payload;
	Jsonb	   *data = PG_ARGISNULL(ARG_DATA) ? NULL : PG_GETARG_JSONB_P(ARG_DATA);
	uint64		generation = actor_catalog_generation();
	TimestampTz now = GetCurrentTimestamp();
	text	   *traceparent = actor_traceparent();
	Jsonb	   *settings = actor_carried();
	ActorSchedule schedule;
	NameData	role_name;
	Oid			schema;
	bool		hosted;
	Datum		values[COL_COUNT];
	char		nulls[COL_COUNT];

	memset(values, 0, sizeof(values));
	memset(nulls, 'n', sizeof(nulls));
	if (kind == DUE_REMINDER)
		policy_values(fcinfo, values, nulls);
	if (PG_ARGISNULL(overwrite))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "overwrite")));
	actor_schedule_make(&schedule, &request->due, &request->period, &request->ttl,
						now, session_timezone);

	actor_due_check_write(is_timer ? "actor_set_timer()" : "actor_set_reminder()");
	actor_require_preload(is_timer ? "timers" : "reminders");
	if (PG_ARGISNULL(ARG_METHOD))
		method_name = actor_choose_method(actor->type, name, actor_due_receiver(kind));
	payload = actor_due_payload(kind, name, method_name, data);
	schema = actor_due_check_call(kind, actor, name, method_name, payload, &hosted);
	if (hosted)
		actor_role_use(GetUserId(), &role_name);
	else
		actor_due_check_role(kind, GetUserId(), &role_name);
	if (is_timer)
	{
		enter_for_timer(actor, generation);
		/* that may have taken its time */
		schema = actor_due_check_call(kind, actor, name, method_name, payload, &hosted);
		now = GetCurrentTimestamp();
		actor_schedule_make(&schedule, &request->due, &request->period, &request->ttl,
							now, session_timezone);
	}
	else if (actor_type_share(actor->type,
							  actor_type_call_timeout(actor_type_lookup(actor->type)),
							  generation))
		schema = actor_due_check_call(kind, actor, name, method_name, payload, &hosted);

#define SET(column, value, is_null) \
	values[column] = (value); \
	nulls[column] = (is_null) ? 'n' : ' '

	SET(COL_TYPE, PointerGetDatum(actor->type), false);
	SET(COL_ID, PointerGetDatum(actor->id), false);
	SET(COL_NAME, PointerGetDatum(name), false);
	SET(COL_METHOD, PointerGetDatum(method_name), false);
	SET(COL_DATA, PG_GETARG_DATUM(ARG_DATA), PG_ARGISNULL(ARG_DATA));
	SET(COL_DUE_TIME, PointerGetDatum(request->due_text), request->due_text == NULL);
	SET(COL_PERIOD, PointerGetDatum(request->period_text), request->period_text == NULL);
	SET(COL_TTL, PointerGetDatum(request->ttl_text), request->ttl_text == NULL);
	SET(COL_ROLE_NAME, NameGetDatum(&role_name), false);
	SET(COL_GENERATION, Int64GetDatum(actor_random_generation()), false);
	SET(COL_REGISTERED_AT, TimestampTzGetDatum(now), false);
	SET(COL_FIRST_AT, TimestampTzGetDatum(schedule.first_at), false);
	SET(COL_STEP, IntervalPGetDatum(&schedule.period), !schedule.periodic || schedule.by_calendar);
	SET(COL_FIRINGS, Int32GetDatum(schedule.count), false);
	SET(COL_TIME_ZONE, CStringGetTextDatum(pg_get_timezone_name(schedule.zone)), false);
	SET(COL_EXPIRES_AT, TimestampTzGetDatum(schedule.expires_at),
		TIMESTAMP_IS_NOEND(schedule.expires_at));
	SET(COL_REMAINING, Int64GetDatum(schedule.count), schedule.count == 0);
	SET(COL_TRACEPARENT, PointerGetDatum(traceparent), traceparent == NULL);
	SET(COL_HOSTED, BoolGetDatum(hosted), false);
	SET(COL_SETTINGS, PointerGetDatum(settings), settings == NULL);
#undef SET

	upsert(kind, actor, values, nulls, PG_GETARG_BOOL(overwrite));
	actor_type_check_same(actor->type, schema, generation);
	actor_note(is_timer ? ACTOR_NOTE_TIMER : ACTOR_NOTE_REMINDER, actor, name,
			   DatumGetInt64(values[COL_GENERATION]), 0);
	if (hosted)
		actor_wake_hosts(schedule.first_at);
	else
		actor_wake_at(schedule.first_at);
}

/* each form of a due time, for reminders and timers */

static Datum
set_from_texts(FunctionCallInfo fcinfo, ActorDueKind kind)
{
	ActorRef	actor;
	ActorScheduleRequest request;

	actor_ref_arguments(&actor, fcinfo);
	actor_schedule_from_texts(&request, fcinfo, ARG_DUE_TIME);
	set_row(fcinfo, kind, &actor, &request);
	PG_RETURN_VOID();
}

/*
 * Period, ttl and number of firings of the forms with intervals.
 */
static void
take_intervals(ActorScheduleRequest *request, FunctionCallInfo fcinfo, ActorDueKind kind)
{
	int			number = kind == DUE_TIMER ? ARG_TIMER_FIRINGS : ARG_FIRINGS;

	actor_schedule_from_intervals(request, fcinfo, ARG_PERIOD);
	if (PG_ARGISNULL(number))
		return;
	request->period.count = PG_GETARG_INT32(number);
	if (request->period.count < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be %d or greater", "firings", 1)));
	if (request->period.absent && request->period.count > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("firings needs a period"),
				 errdetail("Without one there is one firing.")));
}

static Datum
set_at(FunctionCallInfo fcinfo, ActorDueKind kind)
{
	ActorRef	actor;
	ActorScheduleRequest request;

	actor_ref_arguments(&actor, fcinfo);
	take_intervals(&request, fcinfo, kind);
	if (!PG_ARGISNULL(ARG_DUE_TIME))
	{
		char		buf[MAXDATELEN + 1];

		request.due.kind = ACTOR_WHEN_INSTANT;
		request.due.instant = PG_GETARG_TIMESTAMPTZ(ARG_DUE_TIME);
		if (!TIMESTAMP_NOT_FINITE(request.due.instant))
			JsonEncodeDateTime(buf, PG_GETARG_DATUM(ARG_DUE_TIME), TIMESTAMPTZOID, NULL);
		else
			strlcpy(buf, "infinity", sizeof(buf));	/* refused later */
		request.due_text = cstring_to_text(buf);
	}
	set_row(fcinfo, kind, &actor, &request);
	PG_RETURN_VOID();
}

static Datum
set_in(FunctionCallInfo fcinfo, ActorDueKind kind)
{
	ActorRef	actor;
	ActorScheduleRequest request;

	actor_ref_arguments(&actor, fcinfo);
	take_intervals(&request, fcinfo, kind);
	if (!PG_ARGISNULL(ARG_DUE_TIME))
	{
		request.due.kind = ACTOR_WHEN_SPAN;
		request.due.span = *PG_GETARG_INTERVAL_P(ARG_DUE_TIME);
		request.due_text = actor_interval_text(&request.due.span);
	}
	set_row(fcinfo, kind, &actor, &request);
	PG_RETURN_VOID();
}

/*
 * This form takes an untyped null, or a parameter without a type, as due time
 * beside an interval, where the other two would fit equally well.
 */
static Datum
set_text(FunctionCallInfo fcinfo, ActorDueKind kind)
{
	ActorRef	actor;
	ActorScheduleRequest request;

	actor_ref_arguments(&actor, fcinfo);
	take_intervals(&request, fcinfo, kind);
	actor_schedule_due_from_text(&request, fcinfo, ARG_DUE_TIME);
	set_row(fcinfo, kind, &actor, &request);
	PG_RETURN_VOID();
}

Datum
actor_set_reminder(PG_FUNCTION_ARGS)
{
	return set_from_texts(fcinfo, DUE_REMINDER);
}

Datum
actor_set_reminder_at(PG_FUNCTION_ARGS)
{
	return set_at(fcinfo, DUE_REMINDER);
}

Datum
actor_set_reminder_in(PG_FUNCTION_ARGS)
{
	return set_in(fcinfo, DUE_REMINDER);
}

Datum
actor_set_reminder_text(PG_FUNCTION_ARGS)
{
	return set_text(fcinfo, DUE_REMINDER);
}

Datum
actor_set_timer(PG_FUNCTION_ARGS)
{
	return set_from_texts(fcinfo, DUE_TIMER);
}

Datum
actor_set_timer_at(PG_FUNCTION_ARGS)
{
	return set_at(fcinfo, DUE_TIMER);
}

Datum
actor_set_timer_in(PG_FUNCTION_ARGS)
{
	return set_in(fcinfo, DUE_TIMER);
}

Datum
actor_set_timer_text(PG_FUNCTION_ARGS)
{
	return set_text(fcinfo, DUE_TIMER);
}

/* reading and deleting -------------------------------------------------- */

/*
 * The key that the arguments name; the type must exist.
 */
static void
row_key(FunctionCallInfo fcinfo, ActorDueKind kind, ActorRef *actor, Datum *values)
{
	actor_ref_arguments(actor, fcinfo);
	values[2] = PointerGetDatum(actor_text_argument(fcinfo, ARG_NAME,
													psprintf("%s name", actor_due_word(kind)),
													ACTOR_MAX_NAME_LEN));
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	actor_type_require(actor->type);
}

static Datum
get_row(FunctionCallInfo fcinfo, ActorDueKind kind)
{
	MemoryContext context = CurrentMemoryContext;
	ActorFrame *frame = actor_frame_current();
	ActorRef	actor;
	ActorBookkeeping bookkeeping;
	NameData	registrant;
	Datum		values[4];
	Jsonb	   *document = NULL;

	row_key(fcinfo, kind, &actor, values);
	values[3] = TimestampTzGetDatum(actor_activation_start());
	/* a standby cannot read timers, and has none */
	if (kind == DUE_TIMER && RecoveryInProgress())
		PG_RETURN_NULL();
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_read(&read_row[kind], values, NULL,
						 frame != NULL ? frame->snapshot : NULL) > 0)
	{
		bool		isnull;
		Datum		datum = actor_query_result(0, 2, &isnull);
		MemoryContext old = MemoryContextSwitchTo(context);

		registrant = *DatumGetName(actor_query_result(0, 1, &isnull));
		document = DatumGetJsonbPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);

	actor_early_look_everywhere();
	if (frame == NULL)
		actor_early_answer();
	if (document == NULL)
	{
		check_absent(&actor);
		PG_RETURN_NULL();
	}
	check_right(kind, &actor, &registrant);
	PG_RETURN_JSONB_P(document);
}

static Datum
remove_row(FunctionCallInfo fcinfo, ActorDueKind kind)
{
	ActorRef	actor;
	ActorBookkeeping bookkeeping;
	Datum		values[3];

	row_key(fcinfo, kind, &actor, values);
	actor_due_check_write(psprintf("actor_delete_%s()", actor_due_word(kind)));
	if (!lock_row(kind, &actor, values, false))
	{
		check_absent(&actor);
		actor_early_look_everywhere();
		PG_RETURN_BOOL(false);
	}
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&delete_row[kind], values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	PG_RETURN_BOOL(true);
}

Datum
actor_get_reminder(PG_FUNCTION_ARGS)
{
	return get_row(fcinfo, DUE_REMINDER);
}

Datum
actor_get_timer(PG_FUNCTION_ARGS)
{
	return get_row(fcinfo, DUE_TIMER);
}

Datum
actor_delete_reminder(PG_FUNCTION_ARGS)
{
	return remove_row(fcinfo, DUE_REMINDER);
}

Datum
actor_delete_timer(PG_FUNCTION_ARGS)
{
	return remove_row(fcinfo, DUE_TIMER);
}
