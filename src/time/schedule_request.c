/*-------------------------------------------------------------------------
 *
 * schedule_request.c
 *		Schedules as somebody asks for them, in arguments of SQL functions, and
 *		the preview of one.
 *
 * IDENTIFICATION
 *		src/time/schedule_request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"

PG_FUNCTION_INFO_V1(actor_schedule_preview);

/*
 * A text argument that may be absent; the empty string is absent too.
 */
static text *
optional_text(FunctionCallInfo fcinfo, int number)
{
	text	   *value;

	if (PG_ARGISNULL(number))
		return NULL;
	value = PG_GETARG_TEXT_PP(number);
	return VARSIZE_ANY_EXHDR(value) > 0 ? value : NULL;
}

static char *
optional_cstring(const text *value)
{
	return value != NULL ? text_to_cstring(value) : NULL;
}

/*
 * actor_schedule_due_from_text
 *		A due time given as text, in this argument.
 */
void
actor_schedule_due_from_text(ActorScheduleRequest *request, FunctionCallInfo fcinfo, int number)
{
	request->due_text = optional_text(fcinfo, number);
	actor_parse_due_time(optional_cstring(request->due_text), &request->due);
}

/*
 * actor_schedule_from_texts
 *		The three parts of a schedule given as text from argument "first" on.
 */
void
actor_schedule_from_texts(ActorScheduleRequest *request, FunctionCallInfo fcinfo, int first)
{
	actor_schedule_due_from_text(request, fcinfo, first);
	request->period_text = optional_text(fcinfo, first + 1);
	request->ttl_text = optional_text(fcinfo, first + 2);
	actor_parse_period(optional_cstring(request->period_text), &request->period);
	actor_parse_ttl(optional_cstring(request->ttl_text), &request->ttl);
}

/*
 * actor_interval_text
 *		Text of an interval, the same in every session.
 */
text *
actor_interval_text(Interval *interval)
{
	int			nestlevel = actor_conversion_begin();
	char	   *string = DatumGetCString(DirectFunctionCall1(interval_out,
															 IntervalPGetDatum(interval)));

	actor_conversion_end(nestlevel);
	return cstring_to_text(string);
}

/*
 * actor_schedule_from_intervals
 *		A period and a ttl given as intervals, in this argument and the next one.
 */
void
actor_schedule_from_intervals(ActorScheduleRequest *request, FunctionCallInfo fcinfo, int first)
{
	memset(request, 0, sizeof(*request));
	request->due.kind = ACTOR_WHEN_ABSENT;
	request->period.absent = PG_ARGISNULL(first);
	request->ttl.kind = PG_ARGISNULL(first + 1) ? ACTOR_WHEN_ABSENT : ACTOR_WHEN_SPAN;
	if (!PG_ARGISNULL(first))
	{
		request->period.span = *PG_GETARG_INTERVAL_P(first);
		request->period_text = actor_interval_text(&request->period.span);
	}
	if (!PG_ARGISNULL(first + 1))
	{
		request->ttl.span = *PG_GETARG_INTERVAL_P(first + 1);
		request->ttl_text = actor_interval_text(&request->ttl.span);
	}
}

/*
 * Puts an instant into the result, with what a clock shows then.
 */
static void
put_instant(ReturnSetInfo *rsinfo, const ActorSchedule *schedule, TimestampTz at)
{
	Datum		values[3] = {TimestampTzGetDatum(at)};
	bool		nulls[3] = {false, false, false};
	struct pg_tm tm;
	fsec_t		fsec;
	int			offset;
	Timestamp	local;

	nulls[1] = timestamp2tm(at, &offset, &tm, &fsec, NULL, schedule->zone) != 0 ||
		tm2timestamp(&tm, fsec, NULL, &local) != 0;
	if (!nulls[1])
		values[1] = TimestampGetDatum(local);
	values[2] = CStringGetTextDatum(pg_get_timezone_name(schedule->zone));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

Datum
actor_schedule_preview(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ActorScheduleRequest request;
	ActorSchedule schedule;
	int32		count;
	TimestampTz registered_at;
	TimestampTz at;
	int64		k = 0;
	int64		missed;

	if (PG_ARGISNULL(3) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", PG_ARGISNULL(3) ? "count" : "registered_at")));
	count = PG_GETARG_INT32(3);
	registered_at = PG_GETARG_TIMESTAMPTZ(4);
	if (count < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("count must not be negative")));
	if (TIMESTAMP_NOT_FINITE(registered_at))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("registered_at must be finite")));
	actor_schedule_from_texts(&request, fcinfo, 0);
	actor_schedule_make(&schedule, &request.due, &request.period, &request.ttl,
						registered_at, session_timezone);

	InitMaterializedSRF(fcinfo, 0);
	at = schedule.first_at;
	for (int32 n = 0; n < count && k >= 0; n++)
	{
		CHECK_FOR_INTERRUPTS();
		put_instant(rsinfo, &schedule, at);
		k = actor_schedule_next(&schedule, k, at, ACTOR_CATCH_UP_ALL, at, &at, &missed);
	}
	return (Datum) 0;
}
