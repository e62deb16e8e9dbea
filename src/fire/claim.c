/*-------------------------------------------------------------------------
 *
 * claim.c
 *		Claiming the row of a reminder or timer.
 *
 * A claim locks the row if it still has the generation, the instant and the attempt
 * that were seen, and belongs to the role.  A row that is locked is passed over.
 *
 * A reminder is claimed without a statement where that makes no difference.  One that
 * somebody has changed since the snapshot was taken is left to a statement, which
 * knows how to look at its latest version.
 *
 * IDENTIFICATION
 *		src/fire/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "reminder/reminder.h"
#include "fire/internal.h"

/* what is read of a row, in the order of the statement */
enum
{
	READ_METHOD,
	READ_DATA,
	READ_FIRST_AT,
	READ_STEP,
	READ_FIRINGS,
	READ_EXPIRES_AT,
	READ_TIME_ZONE,
	READ_FIRING,
	READ_DEFERRALS,
	READ_CATCH_UP,
	READ_FAILURE_POLICY,
	READ_NAME,
	READ_TRACEPARENT,
	READ_PERIOD,
	READ_SETTINGS,
	READ_COUNT
};

/* the cast keeps the index on the role, with all its due rows, out of the plan */
#define CLAIM_ROW(table, policies) \
	{"SELECT method, data, first_at, step, firings, expires_at, time_zone," \
	"  firing, deferrals, " policies ", traceparent, period, settings" \
	"  FROM " table \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND name OPERATOR(pg_catalog.=) $3" \
	"   AND generation OPERATOR(pg_catalog.=) $4" \
	"   AND scheduled_at OPERATOR(pg_catalog.=) $5" \
	"   AND attempt OPERATOR(pg_catalog.=) $6" \
	"   AND role_name::pg_catalog.text OPERATOR(pg_catalog.=) $7::pg_catalog.text" \
	"   FOR UPDATE SKIP LOCKED", \
	7, {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, NAMEOID}}

static ActorQuery claim_row[] = {
	CLAIM_ROW("actor.reminder", "catch_up, failure_policy, COALESCE(retry_of, name)"),
	CLAIM_ROW("actor.timer", "'one'::pg_catalog.text, NULL::pg_catalog.jsonb, name")
};

/* columns of actor.reminder, for doing it without a statement */
#define REMINDER_KEYS			3
#define REMINDER_ROLE_NAME		11
#define REMINDER_GENERATION		12
#define REMINDER_SCHEDULED_AT	20
#define REMINDER_ATTEMPT		23
#define REMINDER_RETRY_OF		26

static ActorTable reminder_table = {"reminder", REMINDER_KEYS};

static const int reminder_columns[] = {
	[READ_METHOD] = 4,[READ_DATA] = 5,[READ_FIRST_AT] = 14,[READ_STEP] = 15,
	[READ_FIRINGS] = 16,[READ_EXPIRES_AT] = 18,[READ_TIME_ZONE] = 17,[READ_FIRING] = 19,
	[READ_DEFERRALS] = 24,[READ_CATCH_UP] = 9,[READ_FAILURE_POLICY] = 10,[READ_NAME] = 3,
	[READ_TRACEPARENT] = 27,[READ_PERIOD] = 7,[READ_SETTINGS] = 33
};

/* a row that is to be claimed */
typedef struct Wanted
{
	const ActorDue *due;
	const NameData *role;
	ActorFiringClaim *claim;
	MemoryContext context;		/* of what is claimed */
} Wanted;

/*
 * The time zone of a schedule.  One that the server does not know any more
 * must not stop the firing.
 */
static pg_tz *
zone_from_text(const text *name)
{
	pg_tz	   *zone = pg_tzset(text_to_cstring(name));

	return zone != NULL ? zone : session_timezone;
}

/*
 * Reads the period of a row without a step, which is a cron expression if there is
 * one.
 */
static void
read_calendar(ActorSchedule *schedule, const text *text_of_period)
{
	ActorPeriod period;

	actor_parse_period(text_to_cstring(text_of_period), &period);
	schedule->periodic = schedule->by_calendar = period.by_calendar;
	schedule->calendar = period.calendar;
}

/*
 * Copies what was read of a row.
 */
static void
take_claim(const Wanted *wanted, const Datum *row, const bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(wanted->context);
	ActorFiringClaim *claim = wanted->claim;
	ActorSchedule *schedule = &claim->schedule;

	memset(schedule, 0, sizeof(*schedule));
	claim->method = DatumGetTextPCopy(row[READ_METHOD]);
	claim->data = isnull[READ_DATA] ? NULL : DatumGetJsonbPCopy(row[READ_DATA]);
	schedule->first_at = DatumGetTimestampTz(row[READ_FIRST_AT]);
	schedule->periodic = !isnull[READ_STEP];
	if (schedule->periodic)
		schedule->period = *DatumGetIntervalP(row[READ_STEP]);
	else if (!isnull[READ_PERIOD])
		read_calendar(schedule, DatumGetTextPP(row[READ_PERIOD]));
	schedule->count = DatumGetInt32(row[READ_FIRINGS]);
	schedule->expires_at = isnull[READ_EXPIRES_AT] ? DT_NOEND :
		DatumGetTimestampTz(row[READ_EXPIRES_AT]);
	schedule->zone = zone_from_text(DatumGetTextPP(row[READ_TIME_ZONE]));
	claim->firing = DatumGetInt64(row[READ_FIRING]);
	claim->deferrals = DatumGetInt32(row[READ_DEFERRALS]);
	(void) actor_catch_up_from_text(DatumGetTextPP(row[READ_CATCH_UP]), &claim->catch_up);
	actor_retry_policy_parse(isnull[READ_FAILURE_POLICY] ? NULL :
							 DatumGetJsonbP(row[READ_FAILURE_POLICY]), &claim->policy);
	claim->name = DatumGetTextPCopy(row[READ_NAME]);
	claim->traceparent = isnull[READ_TRACEPARENT] ? NULL :
		DatumGetTextPCopy(row[READ_TRACEPARENT]);
	claim->settings = isnull[READ_SETTINGS] ? NULL : DatumGetJsonbPCopy(row[READ_SETTINGS]);
	MemoryContextSwitchTo(old);
}

/*
 * Whether a row of actor.reminder is as it was seen.
 */
static bool
is_wanted(TupleTableSlot *slot, void *arg)
{
	const Wanted *wanted = arg;
	bool		isnull;

	return DatumGetInt64(slot_getattr(slot, REMINDER_GENERATION, &isnull)) ==
		wanted->due->generation &&
		DatumGetTimestampTz(slot_getattr(slot, REMINDER_SCHEDULED_AT, &isnull)) ==
		wanted->due->scheduled_at &&
		DatumGetInt32(slot_getattr(slot, REMINDER_ATTEMPT, &isnull)) == wanted->due->attempt &&
		strcmp(NameStr(*DatumGetName(slot_getattr(slot, REMINDER_ROLE_NAME, &isnull))),
			   NameStr(*wanted->role)) == 0;
}

static void
take_slot(TupleTableSlot *slot, void *arg)
{
	Datum		row[READ_COUNT];
	bool		isnull[READ_COUNT];
	Datum		retry_of;
	bool		none;

	for (int i = 0; i < READ_COUNT; i++)
		row[i] = slot_getattr(slot, reminder_columns[i], &isnull[i]);
	retry_of = slot_getattr(slot, REMINDER_RETRY_OF, &none);
	if (!none)
		row[READ_NAME] = retry_of;
	take_claim(arg, row, isnull);
}

static bool
claim_by_sql(Wanted *wanted, const Datum *key)
{
	const ActorDue *due = wanted->due;
	ActorBookkeeping bookkeeping;
	Datum		values[7] = {key[0], key[1], key[2], Int64GetDatum(due->generation),
	TimestampTzGetDatum(due->scheduled_at), Int32GetDatum(due->attempt), NameGetDatum(wanted->role)};
	Datum		row[READ_COUNT];
	bool		isnull[READ_COUNT];
	bool		found;

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_row(&claim_row[due->kind], values, READ_COUNT, row,
							isnull) == 1;
	if (found)
		take_claim(wanted, row, isnull);
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * actor_claim
 *		Locks the row and reads it into the current memory context; false if it is
 *		locked or not as it was seen.
 */
bool
actor_claim(const ActorDue *due, const NameData *role, ActorFiringClaim *claim)
{
	Wanted		wanted = {due, role, claim, CurrentMemoryContext};
	Datum		key[] = {PointerGetDatum(due->actor.type), PointerGetDatum(due->actor.id),
	PointerGetDatum(due->name)};
	ActorDirectResult result = ACTOR_DIRECT_BY_SQL;

	if (due->kind == DUE_REMINDER)
		result = actor_direct_lock(&reminder_table, key, REMINDER_KEYS, is_wanted, take_slot,
								   &wanted);
	return result == ACTOR_DIRECT_BY_SQL ? claim_by_sql(&wanted, key) :
		result == ACTOR_DIRECT_DONE;
}
