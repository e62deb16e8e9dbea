/*-------------------------------------------------------------------------
 *
 * schedule.c
 *		When reminders, timers and delayed messages are due.
 *
 * Pure functions: they read no table, no clock and no shared memory, and "now"
 * is always an argument, so that month ends, summer time and missed firings can
 * be tested without waiting for them.
 *
 * actor_schedule_make checks the values that when.c has read, or that came as
 * SQL values, and resolves them to instants.  The others walk over the grid
 * that is left: firing k is at the first instant plus k periods.  A cron
 * expression has no grid but a calendar, see calendar.c.
 *
 * Months and days are calendar units, counted in the time zone of the
 * schedule, by the rules of timestamptz + interval: months first, with the
 * day clamped to the end of the month, then days in local time, then
 * microseconds of elapsed time.  The grid never runs backwards, because no
 * time zone jumps by more than a day.  Where one skips a whole day, two
 * firings have the same instant.
 *
 * IDENTIFICATION
 *		src/time/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "time/internal.h"

/* smallest step of a grid, in microseconds */
#define GRID_STEP_MIN		(100 * INT64CONST(1000))

static bool span_is_absurd(const Interval *span);
_Noreturn static void refuse_instant(const char *what, const char *text,
									 TimestampTz instant, const char *detail);
_Noreturn static void refuse_span(const char *what, const char *text,
								  const Interval *span, const char *detail);
static bool add_span(TimestampTz base, const Interval *span, int64 times,
					 pg_tz *zone, TimestampTz *result);
static bool add_days(TimestampTz *instant, int32 months, int32 days,
					 pg_tz *zone);
_Noreturn static void refuse_calendar(const ActorPeriod *period, const char *detail);
static void resolve_period(ActorSchedule *schedule, const ActorPeriod *period,
						   bool from_due);
static bool exists(const ActorSchedule *schedule, int64 k, TimestampTz at);
static bool grid_instant(const ActorSchedule *schedule, int64 k,
						 TimestampTz *at);
static bool is_past(const ActorSchedule *schedule, int64 k,
					TimestampTz limit);
static int64 first_past(const ActorSchedule *schedule, int64 k,
						TimestampTz limit);


/*
 * actor_schedule_make
 *		Checks a due time, a period and a ttl and resolves them to instants.
 *
 * The values may have been read from text or have come as SQL values; all
 * checks on values are made here.  Spans count from now (due time) and from
 * the first firing (ttl).  The time zone of a cron expression stands for the one
 * given.  Raises invalid_parameter_value.  The zone is kept, not copied.
 */
void
actor_schedule_make(ActorSchedule *schedule, const ActorWhen *due,
					const ActorPeriod *period, const ActorWhen *ttl,
					TimestampTz now, pg_tz *zone)
{
	memset(schedule, 0, sizeof(*schedule));
	schedule->first_at = now;
	schedule->count = 1;
	schedule->expires_at = DT_NOEND;
	schedule->zone = zone;
	if (period->zone_name != NULL)
	{
		zone = schedule->zone = pg_tzset(period->zone_name);
		if (zone == NULL || !pg_tz_acceptable(zone))
			refuse_calendar(period, psprintf("Time zone \"%s\" is not known.",
											 actor_clip(period->zone_name,
														strlen(period->zone_name))));
	}

	if (!IS_VALID_TIMESTAMP(now))
		refuse_instant("time of registration", NULL, now, "It is out of range.");

	if (due->kind == ACTOR_WHEN_INSTANT)
	{
		if (!IS_VALID_TIMESTAMP(due->instant))
			refuse_instant("due_time", due->text, due->instant, "It is out of range.");
		schedule->first_at = due->instant;
	}
	else if (due->kind == ACTOR_WHEN_SPAN)
	{
		if (!add_span(now, &due->span, 1, zone, &schedule->first_at))
			refuse_span("due_time", due->text, &due->span,
						"The first firing would be out of range.");
		if (schedule->first_at < now)
			refuse_span("due_time", due->text, &due->span,
						"A due time must not be negative.");
	}

	if (!period->absent)
		resolve_period(schedule, period, due->kind != ACTOR_WHEN_ABSENT);

	if (ttl->kind == ACTOR_WHEN_INSTANT)
	{
		if (!IS_VALID_TIMESTAMP(ttl->instant))
			refuse_instant("ttl", ttl->text, ttl->instant, "It is out of range.");
		if (ttl->instant <= schedule->first_at)
			refuse_instant("ttl", ttl->text, ttl->instant,
						   "The schedule would end before its first firing.");
		schedule->expires_at = ttl->instant;
	}
	else if (ttl->kind == ACTOR_WHEN_SPAN)
	{
		if (!add_span(schedule->first_at, &ttl->span, 1, zone,
					  &schedule->expires_at))
			refuse_span("ttl", ttl->text, &ttl->span,
						"The expiry would be out of range.");
		if (schedule->expires_at <= schedule->first_at)
			refuse_span("ttl", ttl->text, &ttl->span,
						"A ttl must be longer than zero.");
	}
}

/*
 * Resolves a period, when first_at is the due time or now.
 *
 * The first firing of a calendar is not before the due time, or after now.
 */
static void
resolve_period(ActorSchedule *schedule, const ActorPeriod *period, bool from_due)
{
	const Interval *span = &period->span;

	schedule->periodic = true;
	schedule->count = period->count;
	schedule->by_calendar = period->by_calendar;
	if (period->by_calendar)
	{
		schedule->calendar = period->calendar;
		if (actor_calendar_never(&schedule->calendar))
			refuse_calendar(period, "It never fires: there is no such date.");
		if (!actor_calendar_next(&schedule->calendar, schedule->zone,
								 schedule->first_at - (from_due ? 1 : 0), &schedule->first_at))
			refuse_calendar(period, "The first firing would be out of range.");
		return;
	}

	if (span_is_absurd(span))
		refuse_span("period", period->text, span, "It is out of range.");
	if (span->month < 0 || span->day < 0 || span->time < 0)
		refuse_span("period", period->text, span,
					"No part of a period can be negative.");
	if (span->month == 0 && span->day == 0 && span->time == 0)
		refuse_span("period", period->text, span, "A period must be longer than zero.");
	schedule->period = *span;
}

/*
 * Does firing k, which would be at that instant, happen?  It does not if the
 * count is used up or the schedule has expired.
 */
static bool
exists(const ActorSchedule *schedule, int64 k, TimestampTz at)
{
	return (schedule->count == 0 || k < schedule->count) && at < schedule->expires_at;
}

/*
 * actor_schedule_next
 *		Finds the firing that follows firing k, which was due at k_at and fired
 *		at now.
 *
 * Under "all" that is the next one of the grid, else the first one after now.
 * Sets *missed to how many firings, that would have happened, are jumped
 * over.  Returns the number and sets *at, or returns -1 if the schedule is
 * over; *missed is set then, too.  Takes few steps, however many firings lie
 * between.
 */
int64
actor_schedule_next(const ActorSchedule *schedule, int64 k, TimestampTz k_at,
					ActorCatchUp policy, TimestampTz now,
					TimestampTz *at, int64 *missed)
{
	/* what lies past now, the expiry or the count is not missed */
	TimestampTz limit = Min(now, schedule->expires_at - 1);
	TimestampTz instant;
	int64		next;
	bool		found;

	*missed = 0;
	if (k == PG_INT64_MAX || !schedule->periodic)
		return -1;
	next = k + 1;

	if (policy != ACTOR_CATCH_UP_ALL)
	{
		if (!schedule->by_calendar)
			next = first_past(schedule, next, limit);
		else if (limit > k_at)
			next += actor_calendar_count(&schedule->calendar, schedule->zone, k_at, limit);
		if (schedule->count > 0)
			next = Min(next, Max(schedule->count, k + 1));
		*missed = next - (k + 1);
	}
	if (schedule->by_calendar)
		found = actor_calendar_next(&schedule->calendar, schedule->zone,
									policy == ACTOR_CATCH_UP_ALL ? k_at : Max(k_at, limit),
									&instant);
	else
		found = grid_instant(schedule, next, &instant);
	if (!found || !exists(schedule, next, instant))
		return -1;
	*at = instant;
	return next;
}

/*
 * actor_retry_delay
 *		Computes how long to wait after a failed attempt, in microseconds.
 *
 * The first attempt is number 1.  Returns -1 when the retries are used up.
 * There is no jitter; who wants it adds it.
 */
int64
actor_retry_delay(const ActorRetryPolicy *policy, int32 attempt)
{
	int			doublings = Max(attempt, 1) - 1;

	if (attempt > policy->max_retries)
		return -1;
	if (!policy->exponential || policy->initial <= 0)
		return policy->initial;
	if (doublings >= 63 || policy->initial > policy->max >> doublings)
		return policy->max;
	return policy->initial << doublings;
}

/*
 * Is this span longer than any use of it?  More hours than fit into 32 bits
 * are 245,000 years, which PostgreSQL 14 cannot even print; the infinite
 * intervals that exist from 17 have them, too.
 */
static bool
span_is_absurd(const Interval *span)
{
	int64		hours = span->time / USECS_PER_HOUR;

	return hours < PG_INT32_MIN || hours > PG_INT32_MAX;
}

/*
 * Raise the error for a value that is not taken, with the text that it was
 * read from, if there is one.
 */
static void
refuse_instant(const char *what, const char *text, TimestampTz instant, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", what,
					text !=NULL ? actor_clip(text, strlen(text)) :
					timestamptz_to_str(instant)),
			 errdetail_internal("%s", detail)));
}

static void
refuse_span(const char *what, const char *text, const Interval *span, const char *detail)
{
	char	   *value;

	if (text !=NULL)
		value = actor_clip(text, strlen(text));
	else if (span_is_absurd(span))
		value = psprintf(INT64_FORMAT " microseconds", span->time);
	else
	{
		int			nestlevel = actor_conversion_begin();

		value = DatumGetCString(DirectFunctionCall1(interval_out,
													IntervalPGetDatum(span)));
		actor_conversion_end(nestlevel);
	}

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", what, value),
			 errdetail_internal("%s", detail)));
}

static void
refuse_calendar(const ActorPeriod *period, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", "period",
					actor_clip(period->text, strlen(period->text))),
			 errdetail_internal("%s", detail)));
}

/*
 * Computes base + times * span in the zone.  Returns false if the result, or
 * a step on the way to it, is out of range.
 */
static bool
add_span(TimestampTz base, const Interval *span, int64 times, pg_tz *zone,
		 TimestampTz *result)
{
	int64		months;
	int64		days;
	int64		microseconds;

	if (span_is_absurd(span) ||
		pg_mul_s64_overflow(times, span->month, &months) ||
		pg_mul_s64_overflow(times, span->day, &days) ||
		pg_mul_s64_overflow(times, span->time, &microseconds) ||
		months < PG_INT32_MIN || months > PG_INT32_MAX ||
		days < PG_INT32_MIN || days > PG_INT32_MAX)
		return false;

	/* not in one step: that could differ if the months end in a DST gap */
	if ((months != 0 && !add_days(&base, (int32) months, 0, zone)) ||
		(days != 0 && !add_days(&base, 0, (int32) days, zone)))
		return false;
	return !pg_add_s64_overflow(base, microseconds, result) &&
		IS_VALID_TIMESTAMP(*result);
}

/*
 * Moves an instant by months and then days of local time.  A day that the
 * month does not have becomes its last; a local time that does not exist or
 * exists twice is taken as the server takes it.
 */
static bool
add_days(TimestampTz *instant, int32 months, int32 days, pg_tz *zone)
{
	struct pg_tm local;
	fsec_t		microsecond;
	int			offset;
	int64		month;			/* counted from January of the year 0 */
	int			julian;

	if (timestamp2tm(*instant, &offset, &local, &microsecond, NULL, zone) != 0)
		return false;

	month = (int64) local.tm_year * MONTHS_PER_YEAR + local.tm_mon - 1 + months;
	local.tm_year = (int) (month / MONTHS_PER_YEAR);
	local.tm_mon = (int) (month % MONTHS_PER_YEAR) + 1;
	if (local.tm_mon < 1)
	{
		/* division has rounded up */
		local.tm_mon += MONTHS_PER_YEAR;
		local.tm_year--;
	}
	local.tm_mday = Min(local.tm_mday,
						day_tab[isleap(local.tm_year)][local.tm_mon - 1]);
	if (!IS_VALID_JULIAN(local.tm_year, local.tm_mon, local.tm_mday))
		return false;

	/* the first day may start as day -1 in local time */
	julian = date2j(local.tm_year, local.tm_mon, local.tm_mday);
	if (pg_add_s32_overflow(julian, days, &julian) || julian < -1)
		return false;
	j2date(julian, &local.tm_year, &local.tm_mon, &local.tm_mday);

	offset = DetermineTimeZoneOffset(&local, zone);
	return tm2timestamp(&local, microsecond, &offset, instant) == 0;
}

/*
 * Computes the instant of point k of the grid, whether or not the schedule
 * gets that far.  Returns false if the grid has no such point.
 */
static bool
grid_instant(const ActorSchedule *schedule, int64 k, TimestampTz *at)
{
	*at = schedule->first_at;
	if (k == 0)
		return true;
	return k < PG_INT64_MAX &&
		add_span(schedule->first_at, &schedule->period, k, schedule->zone, at);
}

/*
 * Is point k of the grid after the limit?  So is one that does not exist.
 */
static bool
is_past(const ActorSchedule *schedule, int64 k, TimestampTz limit)
{
	TimestampTz at;

	return !grid_instant(schedule, k, &at) || at > limit;
}

/*
 * Finds the first point of the grid, k or a later one, that is after the
 * limit.
 *
 * Doubles its steps until it is past, then halves the interval.  The answer
 * is near as a rule, and then this takes a step or two.
 */
static int64
first_past(const ActorSchedule *schedule, int64 k, TimestampTz limit)
{
	int64		before = k;
	int64		past = PG_INT64_MAX;	/* no grid gets that far */
	int64		step;

	if (is_past(schedule, k, limit))
		return k;

	for (step = 1; step <= past - before; step *= 2)
	{
		if (is_past(schedule, before + step, limit))
		{
			past = before + step;
			break;
		}
		before += step;
	}

	while (past - before > 1)
	{
		int64		middle = before + (past - before) / 2;

		if (is_past(schedule, middle, limit))
			past = middle;
		else
			before = middle;
	}
	return past;
}

/* grids ----------------------------------------------------------------- */

/*
 * actor_grid_point
 *		The first multiple of a step, which is not taken too small, that is not
 *		before a time.
 */
TimestampTz
actor_grid_point(TimestampTz time, int64 step)
{
	int64		past;

	step = Max(step, GRID_STEP_MIN);
	past = time % step;
	return past == 0 ? time : time - past + (time > 0 ? step : 0);
}
