/*-------------------------------------------------------------------------
 *
 * calendar.c
 *		The instants of a cron expression.
 *
 * Two kinds of numbers are used here, both of seconds and counted from the
 * same day: instants, and what a clock of the time zone shows.  An expression
 * chooses among the latter.  The clock is put forward and back at times:
 *
 * An expression that names hours fires when the clock first shows one of its
 * times, or a later one.  So a time that is left out, because the clock is put
 * forward, fires at the end of this gap, and one that comes twice fires once.
 * What falls on the same instant is one firing.
 *
 * An expression of all hours follows the clock: it goes on while this shows an
 * hour for the second time, and leaves out what it does not show.
 *
 * IDENTIFICATION
 *		src/time/calendar.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "time/internal.h"

#define DAY_SECONDS		((int64) SECS_PER_DAY)

/* of the Gregorian calendar, weekdays and rules of time zones included */
#define CYCLE_DAYS		146097
#define CYCLE			(CYCLE_DAYS * DAY_SECONDS)
/* the year 2500, from which on time zones have nothing but rules */
#define CYCLES_START	(182622 * DAY_SECONDS)

/* no two times that a clock shows are further apart, for the same instant */
#define CLOCK_RANGE		(15 * DAY_SECONDS)

/* from the epoch of Unix to that of the server */
#define EPOCH_DISTANCE	((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * DAY_SECONDS)

#define ALL_HOURS		0xffffff

/* Instants between which the clock is not put; the end does not belong to them */
typedef struct Stretch
{
	int64		start;
	int64		end;
	int64		offset;			/* what the clock is ahead of the instant */
} Stretch;

static int64
floor_divide(int64 dividend, int64 divisor)
{
	return dividend / divisor - (dividend % divisor < 0 ? 1 : 0);
}

/* dates ----------------------------------------------------------------- */

static bool
date_matches(const ActorCalendar *calendar, int64 day)
{
	int			julian = (int) (day + POSTGRES_EPOCH_JDATE);
	int			year;
	int			month;
	int			mday;
	bool		by_day;
	bool		by_weekday;

	j2date(julian, &year, &month, &mday);
	if (!(calendar->months & (1 << month)))
		return false;
	by_day = (calendar->days >> mday) & 1;
	by_weekday = (calendar->weekdays >> j2day(julian)) & 1;
	/* where both are restricted, either will do */
	return calendar->any_day || calendar->any_weekday ?
		by_day && by_weekday : by_day || by_weekday;
}

/* the first day of the month that follows the one of this day */
static int64
next_month(int64 day)
{
	int			year;
	int			month;
	int			mday;

	j2date((int) (day + POSTGRES_EPOCH_JDATE), &year, &month, &mday);
	return day + day_tab[isleap(year)][month - 1] - mday + 1;
}

static bool
month_matches(const ActorCalendar *calendar, int64 day)
{
	int			year;
	int			month;
	int			mday;

	j2date((int) (day + POSTGRES_EPOCH_JDATE), &year, &month, &mday);
	return (calendar->months & (1 << month)) != 0;
}

/*
 * Finds the first day, this one or a later one, that matches; false if there is none
 * before the end of time.
 */
static bool
find_date(const ActorCalendar *calendar, int64 *day)
{
	/* the longest wait is for 29 February, from 1896 to 1904 and the like */
	int64		limit = Min(*day + 9 * 366, END_TIMESTAMP / USECS_PER_DAY + 1);

	while (*day < limit)
	{
		if (date_matches(calendar, *day))
			return true;
		*day = month_matches(calendar, *day) ? *day + 1 : next_month(*day);
	}
	return false;
}

/*
 * The number of days that match, from the first one to the one before "end".
 */
static int64
count_dates(const ActorCalendar *calendar, int64 day, int64 end)
{
	int64		cycles = (end - day) / CYCLE_DAYS;
	int64		count = 0;

	if (cycles > 0)
	{
		count = count_dates(calendar, day, day + CYCLE_DAYS - 1) +
			(date_matches(calendar, day + CYCLE_DAYS - 1) ? 1 : 0);
		count *= cycles;
		day += cycles * CYCLE_DAYS;
	}
	while (day < end)
	{
		if (!month_matches(calendar, day))
			day = next_month(day);
		else
			count += date_matches(calendar, day++) ? 1 : 0;
	}
	return count;
}

/* times of a day, in seconds -------------------------------------------- */

/* the first member of the set from that number on; -1 if there is none */
static int
next_member(uint64 set, int from)
{
	set &= ~UINT64CONST(0) << from;
	return set == 0 ? -1 : pg_rightmost_one_pos64(set);
}

static int
count_below(uint64 set, int end)
{
	return pg_popcount64(set & ~(~UINT64CONST(0) << end));
}

/*
 * The first time that matches, this one or a later one; -1 if there is none.
 */
static int
next_time(const ActorCalendar *calendar, int time)
{
	int			minute = time / SECS_PER_MINUTE % MINS_PER_HOUR;
	int			hour = time / SECS_PER_HOUR;
	int			s = next_member(calendar->seconds, time % SECS_PER_MINUTE);
	int			m = next_member(calendar->minutes, s < 0 ? minute + 1 : minute);
	int			h = next_member(calendar->hours, m < 0 ? hour + 1 : hour);

	if (h < 0)
		return -1;
	if (h > hour)
		m = next_member(calendar->minutes, 0);
	if (h > hour || m > minute)
		s = next_member(calendar->seconds, 0);
	return h * SECS_PER_HOUR + m * SECS_PER_MINUTE + s;
}

/*
 * The number of times before that one which match.
 */
static int64
count_times(const ActorCalendar *calendar, int time)
{
	int			second = time % SECS_PER_MINUTE;
	int			minute = time / SECS_PER_MINUTE % MINS_PER_HOUR;
	int			hour = time / SECS_PER_HOUR;
	int64		seconds = pg_popcount64(calendar->seconds);
	int64		count = seconds * pg_popcount64(calendar->minutes) *
	count_below(calendar->hours, hour);

	if ((calendar->hours >> hour) & 1)
	{
		count += seconds * count_below(calendar->minutes, minute);
		if ((calendar->minutes >> minute) & 1)
			count += count_below(calendar->seconds, second);
	}
	return count;
}

/* what the clock shows -------------------------------------------------- */

/*
 * Finds the first time of the clock, this one or a later one, that matches;
 * false if there is none before the end of time.
 */
static bool
find_clock(const ActorCalendar *calendar, int64 *clock)
{
	int64		day = floor_divide(*clock, DAY_SECONDS);
	int			time = -1;

	if (date_matches(calendar, day))
		time = next_time(calendar, (int) (*clock - day * DAY_SECONDS));
	if (time < 0)
	{
		day++;
		if (!find_date(calendar, &day))
			return false;
		time = next_time(calendar, 0);
	}
	*clock = day * DAY_SECONDS + time;
	return true;
}

/*
 * The number of times of the clock that match, both ends included; none if
 * "first" comes after "last".
 */
static int64
count_clocks(const ActorCalendar *calendar, int64 first, int64 last)
{
	int64		day = floor_divide(first, DAY_SECONDS);
	int64		end = floor_divide(last + 1, DAY_SECONDS);
	int64		count;

	if (first > last)
		return 0;
	count = count_dates(calendar, day, end) *
		pg_popcount64(calendar->seconds) * pg_popcount64(calendar->minutes) *
		pg_popcount64(calendar->hours);
	if (date_matches(calendar, day))
		count -= count_times(calendar, (int) (first - day * DAY_SECONDS));
	if (date_matches(calendar, end))
		count += count_times(calendar, (int) (last + 1 - end * DAY_SECONDS));
	return count;
}

/* the clock and instants ------------------------------------------------ */

/*
 * The stretch that the instant belongs to, from this instant on.
 */
static Stretch
stretch_from(pg_tz *zone, int64 instant)
{
	pg_time_t	time = instant + EPOCH_DISTANCE;
	pg_time_t	boundary;
	long int	before_offset = 0;
	long int	after_offset;
	int			before_isdst;
	int			after_isdst;
	int			found = pg_next_dst_boundary(&time, &before_offset, &before_isdst,
											 &boundary, &after_offset, &after_isdst, zone);
	Stretch		stretch = {instant, PG_INT64_MAX, before_offset};

	if (found > 0)
		stretch.end = boundary - EPOCH_DISTANCE;
	return stretch;
}

/*
 * The latest time that the clock has shown until the instant, at it included.
 */
static int64
latest_clock(pg_tz *zone, int64 instant)
{
	int64		latest = PG_INT64_MIN;
	int64		at = instant - CLOCK_RANGE;

	for (;;)
	{
		Stretch		stretch = stretch_from(zone, at);

		latest = Max(latest, Min(stretch.end - 1, instant) + stretch.offset);
		if (stretch.end > instant)
			return latest;
		at = stretch.end;
	}
}

/*
 * The first instant after that one at which the clock shows a time that
 * matches, or goes past it for the first time.
 */
static bool
next_first_shown(const ActorCalendar *calendar, pg_tz *zone, int64 after, int64 *at)
{
	int64		clock = latest_clock(zone, after) + 1;
	Stretch		stretch;

	if (!find_clock(calendar, &clock))
		return false;
	stretch = stretch_from(zone, Max(after, clock - CLOCK_RANGE));
	while (clock - stretch.offset >= stretch.end)
		stretch = stretch_from(zone, stretch.end);
	*at = Max(clock - stretch.offset, stretch.start);
	return true;
}

/*
 * The first instant after that one at which the clock shows a time that matches.
 */
static bool
next_shown(const ActorCalendar *calendar, pg_tz *zone, int64 after, int64 *at)
{
	Stretch		stretch = stretch_from(zone, after + 1);

	for (;;)
	{
		int64		clock = stretch.start + stretch.offset;

		if (!find_clock(calendar, &clock))
			return false;
		*at = clock - stretch.offset;
		if (*at < stretch.end)
			return true;
		stretch = stretch_from(zone, stretch.end);
	}
}

static bool
follows_clock(const ActorCalendar *calendar)
{
	return calendar->hours == ALL_HOURS;
}

/*
 * The number of instants after the first one, up to the other one and with it.
 */
static int64
count_instants(const ActorCalendar *calendar, pg_tz *zone, int64 after, int64 until)
{
	int64		latest = latest_clock(zone, after);
	int64		count = 0;
	int64		start = after + 1;

	while (start <= until)
	{
		Stretch		stretch = stretch_from(zone, start);
		int64		first = start + stretch.offset;
		int64		last = Min(stretch.end - 1, until) + stretch.offset;

		if (!follows_clock(calendar))
		{
			/* all that the clock has been put past is one instant */
			if (count_clocks(calendar, latest + 1, first) > 0)
				count++;
			first = Max(first, latest) + 1;
			latest = Max(latest, last);
		}
		count += count_clocks(calendar, first, last);
		if (stretch.end > until)
			break;
		start = stretch.end;
	}
	return count;
}

/* for schedules --------------------------------------------------------- */

/*
 * actor_calendar_never
 *		Is there no date at all that matches?
 */
bool
actor_calendar_never(const ActorCalendar *calendar)
{
	int64		day = 0;

	return !find_date(calendar, &day);
}

/*
 * actor_calendar_next
 *		Finds the first instant of a calendar after that time.  Returns false, and
 *		leaves *at alone, if there is none before the end of time.
 */
bool
actor_calendar_next(const ActorCalendar *calendar, pg_tz *zone, TimestampTz after, TimestampTz *at)
{
	int64		instant = floor_divide(after, USECS_PER_SEC);

	bool		found;

	if (follows_clock(calendar))
		found = next_shown(calendar, zone, instant, &instant);
	else
		found = next_first_shown(calendar, zone, instant, &instant);
	if (!found || instant >= END_TIMESTAMP / USECS_PER_SEC)
		return false;
	*at = instant * USECS_PER_SEC;
	return true;
}

/*
 * actor_calendar_count
 *		The number of instants of a calendar after a time, up to another one and with
 *		it.  Takes some thousand steps at most, however much time lies between.
 */
int64
actor_calendar_count(const ActorCalendar *calendar, pg_tz *zone, TimestampTz after,
					 TimestampTz until)
{
	int64		start = floor_divide(after, USECS_PER_SEC);
	int64		end = floor_divide(Min(until, END_TIMESTAMP - 1), USECS_PER_SEC);
	int64		regular = Max(start, CYCLES_START);
	int64		cycles = (end - regular) / CYCLE;

	if (cycles <= 1)
		return count_instants(calendar, zone, start, end);
	return count_instants(calendar, zone, start, regular) +
		count_instants(calendar, zone, regular, regular + CYCLE) * cycles +
		count_instants(calendar, zone, regular + cycles * CYCLE, end);
}
