/*-------------------------------------------------------------------------
 *
 * when.c
 *		Reading due times, periods and ttls.
 *
 * Pure functions: each takes a text apart and refuses what is written wrongly,
 * with its position.  Whether the values make sense together is checked by
 * actor_schedule_make in schedule.c.
 *
 * Digits below a microsecond are dropped, as the server's clock drops them.
 *
 * IDENTIFICATION
 *		src/time/when.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/int.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "time/internal.h"

/* longest piece of a refused text that a message repeats, in bytes */
#define ECHO_LIMIT		64

#define WHEN_HINT \
	"Write an RFC 3339 timestamp with time zone (\"2030-01-31T09:00:00Z\"), " \
	"a Go duration (\"1h30m\"), an ISO 8601 duration (\"P1DT2H\") " \
	"or an interval (\"5 minutes\")."
#define PERIOD_HINT \
	"Write a Go duration (\"1h30m\"), an ISO 8601 duration (\"P1DT2H\"), " \
	"the same with a number of firings (\"R5/PT10S\"), " \
	"an interval (\"5 minutes\") " \
	"or a cron expression (\"30 9 * * MON-FRI\", \"@daily\")."

#define DURATION_HINT \
	"Write a Go duration (\"1h30m\"), an ISO 8601 duration (\"P1DT2H\") " \
	"or an interval (\"5 minutes\")."

/* An unsigned decimal number as written */
typedef struct Number
{
	const char *at;				/* where it starts */
	int64		whole;
	int64		fraction;		/* digits after the point, ... */
	double		scale;			/* ... to be divided by this */
	bool		point;
} Number;

/* A unit of time, and the field of an interval that it counts in */
typedef struct Unit
{
	const char *name;
	enum
	{
		SPAN_MONTHS,
		SPAN_DAYS,
		SPAN_TIME
	}			field;
	int64		factor;
} Unit;

/* Units of Go durations, which are summed up in nanoseconds */
static const Unit go_units[] = {
	{"ns", SPAN_TIME, 1},
	{"us", SPAN_TIME, 1000},
	{"ms", SPAN_TIME, 1000000},
	{"s", SPAN_TIME, 1000 * USECS_PER_SEC},
	{"m", SPAN_TIME, 1000 * USECS_PER_MINUTE},
	{"h", SPAN_TIME, 1000 * USECS_PER_HOUR},
	{"\xc2\xb5s", SPAN_TIME, 1000}, /* micro sign in UTF-8 */
	{"\xce\xbcs", SPAN_TIME, 1000}, /* Greek mu in UTF-8 */
	{NULL}
};

#define GO_ASCII_UNITS	0x3f	/* one bit a unit, lowest first */
#define GO_UTF8_UNITS	0xff

/* Designators of ISO 8601 durations, in the order they must have */
static const Unit iso_units[] = {
	{"Y", SPAN_MONTHS, MONTHS_PER_YEAR},
	{"M", SPAN_MONTHS, 1},
	{"W", SPAN_DAYS, 7},
	{"D", SPAN_DAYS, 1},
	{"H", SPAN_TIME, USECS_PER_HOUR},
	{"M", SPAN_TIME, USECS_PER_MINUTE},
	{"S", SPAN_TIME, USECS_PER_SEC},
	{NULL}
};

#define ISO_DATE_UNITS	0x0f
#define ISO_TIME_UNITS	0x70

/* Words of the interval form */
static const Unit interval_units[] = {
	{"microsecond", SPAN_TIME, 1}, {"microseconds", SPAN_TIME, 1},
	{"millisecond", SPAN_TIME, 1000}, {"milliseconds", SPAN_TIME, 1000},
	{"second", SPAN_TIME, USECS_PER_SEC}, {"seconds", SPAN_TIME, USECS_PER_SEC},
	{"minute", SPAN_TIME, USECS_PER_MINUTE},
	{"minutes", SPAN_TIME, USECS_PER_MINUTE},
	{"sec", SPAN_TIME, USECS_PER_SEC}, {"secs", SPAN_TIME, USECS_PER_SEC},
	{"min", SPAN_TIME, USECS_PER_MINUTE}, {"mins", SPAN_TIME, USECS_PER_MINUTE},
	{"hour", SPAN_TIME, USECS_PER_HOUR}, {"hours", SPAN_TIME, USECS_PER_HOUR},
	{"day", SPAN_DAYS, 1}, {"days", SPAN_DAYS, 1},
	{"week", SPAN_DAYS, 7}, {"weeks", SPAN_DAYS, 7},
	{"mon", SPAN_MONTHS, 1}, {"mons", SPAN_MONTHS, 1},
	{"month", SPAN_MONTHS, 1}, {"months", SPAN_MONTHS, 1},
	{"year", SPAN_MONTHS, MONTHS_PER_YEAR},
	{"years", SPAN_MONTHS, MONTHS_PER_YEAR},
	{NULL}
};

static void parse_when(Input *input, ActorWhen *when);
static bool starts_timestamp(const char *text);
static bool starts_interval(const char *text);
static TimestampTz parse_timestamp(Input *input);
static void parse_cron(Input *input, ActorPeriod *period);
static void parse_span(Input *input, Interval *span);
static void parse_go_duration(Input *input, Interval *span);
static void parse_iso_duration(Input *input, Interval *span);
static void parse_interval(Input *input, Interval *span);
static void require_positive(const Input *input, const char *start,
							 const Interval *span);
static void scan_number(Input *input, Number *number);
static const Unit *scan_unit(Input *input, const Unit *units, uint32 allowed,
							 const char *delimiters);
static int	scan_field(Input *input, const char *name, int width,
					   int low, int high);
static void expect(Input *input, char wanted);
static void add_number(const Input *input, Interval *span,
					   const Number *number, const Unit *unit);
static int64 fraction_of(const Number *number, int64 unit);


/*
 * actor_parse_due_time
 *		Reads the text of a due time.
 *
 * NULL and the empty text are ACTOR_WHEN_ABSENT.  A span is not negative.
 * Like the other two it raises invalid_parameter_value, with the position of
 * what is wrong, for everything it does not take.
 */
void
actor_parse_due_time(const char *string, ActorWhen *due)
{
	Input		input = {"due_time", WHEN_HINT, string, string};

	parse_when(&input, due);
}

/*
 * actor_parse_ttl
 *		Reads the text of a ttl.
 *
 * As actor_parse_due_time, but a span is longer than zero.
 */
void
actor_parse_ttl(const char *string, ActorWhen *ttl)
{
	Input		input = {"ttl", WHEN_HINT, string, string};

	parse_when(&input, ttl);
	if (ttl->kind == ACTOR_WHEN_SPAN)
		require_positive(&input, string, &ttl->span);
}

/*
 * actor_parse_period
 *		Reads the text of a period.
 *
 * NULL and the empty text are an absent period.  A span is longer than zero;
 * the count is 0 unless the text has one.  Of a time zone only the name is
 * read, so that what was taken once is taken by a server that knows others.
 */
void
actor_parse_period(const char *string, ActorPeriod *period)
{
	Input		input = {"period", PERIOD_HINT, string, string};
	const char *start = string;

	memset(period, 0, sizeof(*period));
	period->text = string;
	period->absent = (string == NULL || *string == '\0');
	if (period->absent)
		return;

	if (!actor_cron_starts(string) && starts_timestamp(string))
		actor_input_refuse(&input, string, "A timestamp", " is not accepted for a period");

	if (*string == 'R')
	{
		Number		count;

		input.at++;
		scan_number(&input, &count);
		if (count.point || count.whole < 1 || count.whole > PG_INT32_MAX)
			actor_input_refuse(&input, count.at, "The number of firings",
							   " must be a whole number from 1 to 2147483647");
		period->count = (int32) count.whole;

		expect(&input, '/');
		start = input.at;
		if (*start != 'P' && !actor_cron_starts(start))
			actor_input_refuse(&input, start,
							   "An ISO 8601 duration or a cron expression is expected", "");
	}

	if (actor_cron_starts(start))
	{
		parse_cron(&input, period);
		return;
	}
	parse_span(&input, &period->span);
	require_positive(&input, start, &period->span);
}

/*
 * Reads a cron expression to the end of the text.  "@every" is another way to
 * write a Go duration.
 */
static void
parse_cron(Input *input, ActorPeriod *period)
{
	period->zone_name = actor_cron_zone(input);
	if (strncmp(input->at, "@every ", 7) == 0)
	{
		const char *start = input->at += 7;

		parse_go_duration(input, &period->span);
		require_positive(input, start, &period->span);
		return;
	}
	period->by_calendar = true;
	actor_cron_read(input, &period->calendar);
}

/*
 * actor_parse_duration
 *		Reads a duration given for the parameter "what"; zero is one, too.
 */
void
actor_parse_duration(const char *string, const char *what, Interval *span)
{
	Input		input = {what, DURATION_HINT, string, string};

	if (starts_timestamp(string) || *string == '\0')
		actor_input_refuse(&input, string, "A duration is expected", "");
	parse_span(&input, span);
}

/*
 * Reads what a due time and a ttl have in common.
 */
static void
parse_when(Input *input, ActorWhen *when)
{
	memset(when, 0, sizeof(*when));
	when->text = input->text;
	if (input->text == NULL || *input->text == '\0')
		when->kind = ACTOR_WHEN_ABSENT;
	else if (starts_timestamp(input->text))
	{
		when->kind = ACTOR_WHEN_INSTANT;
		when->instant = parse_timestamp(input);
	}
	else
	{
		when->kind = ACTOR_WHEN_SPAN;
		parse_span(input, &when->span);
	}
}

/*
 * Only a date has a hyphen behind its first digits.
 */
static bool
starts_timestamp(const char *text)
{
	size_t		digits = strspn(text, DIGITS);

	return digits > 0 && text[digits] == '-';
}

/*
 * Only the interval form has a space or a colon behind its first number.  (It
 * takes no sign, but the message is better if that is said there.)
 */
static bool
starts_interval(const char *text)
{
	size_t		length = strspn(text, DIGITS "+-.");

	return length > 0 && (text[length] == ' ' || text[length] == ':');
}

/*
 * Only hours have a colon behind them.
 */
static bool
starts_clock(const char *text)
{
	size_t		sign = (*text == '+' || *text == '-') ? 1 : 0;
	size_t		digits = strspn(text +sign, DIGITS);

	return digits > 0 && text[sign + digits] == ':';
}

/*
 * Reads an RFC 3339 timestamp, in its strictest form, to the end of the text; or
 * one as the server prints it, with a space and a zone that ends with its last
 * part that is not zero.
 *
 * All years of four digits are far inside the range of timestamptz, so
 * nothing can overflow.
 */
static TimestampTz
parse_timestamp(Input *input)
{
	int			year;
	int			month;
	bool		printed;
	int64		result;

	year = scan_field(input, "The year", 4, 1, 9999);
	expect(input, '-');
	month = scan_field(input, "The month", 2, 1, MONTHS_PER_YEAR);
	expect(input, '-');
	result = date2j(year, month,
					scan_field(input, "The day", 2, 1,
							   day_tab[isleap(year)][month - 1]));
	result = (result - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	printed = *input->at == ' ';
	if (printed)
		input->at++;
	else
		expect(input, 'T');
	result += scan_field(input, "The hour", 2, 0, 23) * USECS_PER_HOUR;
	expect(input, ':');
	result += scan_field(input, "The minute", 2, 0, 59) * USECS_PER_MINUTE;
	expect(input, ':');
	result += scan_field(input, "The second", 2, 0, 59) * USECS_PER_SEC;

	if (*input->at == '.')
	{
		Number		fraction;

		if (strspn(input->at + 1, DIGITS) > 9)
			actor_input_refuse(input, input->at, "The fraction",
							   " has more than nine digits");
		scan_number(input, &fraction);
		result += fraction_of(&fraction, USECS_PER_SEC);
	}

	if (*input->at == 'Z')
		input->at++;
	else if (*input->at == '+' || *input->at == '-')
	{
		int			sign = (*input->at == '+') ? -1 : 1;

		input->at++;
		result += sign * USECS_PER_HOUR *
			scan_field(input, "The hour of the time zone", 2, 0, 23);
		if (!printed || *input->at != '\0')
		{
			expect(input, ':');
			result += sign * USECS_PER_MINUTE *
				scan_field(input, "The minute of the time zone", 2, 0, 59);
		}
		if (printed && *input->at != '\0')
		{
			expect(input, ':');
			result += sign * USECS_PER_SEC *
				scan_field(input, "The second of the time zone", 2, 0, 59);
		}
	}
	else
		actor_input_refuse(input, input->at,
						   "A time zone (\"Z\", \"+02:00\") is expected", "");

	if (*input->at != '\0')
		actor_input_refuse(input, input->at, "The end of the text is expected", "");
	return result;
}

/*
 * Reads a duration in any of its forms to the end of the text.
 */
static void
parse_span(Input *input, Interval *span)
{
	memset(span, 0, sizeof(*span));
	if (*input->at == 'P')
		parse_iso_duration(input, span);
	else if (starts_interval(input->at))
		parse_interval(input, span);
	else if (strchr(DIGITS "+-.", *input->at) != NULL)
		parse_go_duration(input, span);
	else
		actor_input_refuse(input, input->at, "The text", " starts none of the forms");
}

/*
 * Reads a duration as Go's time.ParseDuration does, down to its limit of 292
 * years and the way in which fractions are cut off.
 */
static void
parse_go_duration(Input *input, Interval *span)
{
	const char *start = input->at;
	uint32		units = GO_ASCII_UNITS;

	if (GetDatabaseEncoding() == PG_UTF8)
		units = GO_UTF8_UNITS;
	if (*start == '+' || *start == '-')
		input->at++;
	if (strcmp(input->at, "0") == 0)
		return;

	do
	{
		Number		number;

		scan_number(input, &number);
		add_number(input, span, &number,
				   scan_unit(input, go_units, units, DIGITS ". "));
	} while (*input->at != '\0');

	/* these were nanoseconds */
	if (*start == '-' && span->time != 0)
		actor_input_refuse(input, start, "The duration", " is negative");
	span->time /= 1000;
}

/*
 * Reads an ISO 8601 duration of whole numbers.  The caller has seen the P.
 */
static void
parse_iso_duration(Input *input, Interval *span)
{
	uint32		units = ISO_DATE_UNITS;
	bool		in_time = false;

	input->at++;
	do
	{
		Number		number;
		const Unit *unit;

		if (*input->at == 'T' && !in_time)
		{
			in_time = true;
			units = ISO_TIME_UNITS;
			input->at++;
		}
		scan_number(input, &number);
		if (number.point)
			actor_input_refuse(input, number.at, "The number", " must be whole");
		unit = scan_unit(input, iso_units, units, DIGITS "T");
		add_number(input, span, &number, unit);

		/* only the units behind this one may follow */
		units &= ~(uint32) 0 << (unit - iso_units + 1);
	} while (*input->at != '\0');
}

/*
 * Reads hours, minutes and seconds as the server prints them, to the end of the
 * text, after any days.
 */
static void
parse_clock(Input *input, Interval *span)
{
	static const Unit hour = {"", SPAN_TIME, USECS_PER_HOUR};
	static const Unit minute = {"", SPAN_TIME, USECS_PER_MINUTE};
	static const Unit second = {"", SPAN_TIME, USECS_PER_SEC};
	const char *start = input->at;
	Number		number;

	if (*start == '+' || *start == '-')
		input->at++;
	scan_number(input, &number);
	add_number(input, span, &number, &hour);
	expect(input, ':');
	number.whole = scan_field(input, "The minute", 2, 0, 59);
	add_number(input, span, &number, &minute);
	expect(input, ':');
	number.whole = scan_field(input, "The second", 2, 0, 59);
	add_number(input, span, &number, &second);
	if (*input->at == '.')
	{
		scan_number(input, &number);
		add_number(input, span, &number, &second);
	}
	if (*input->at != '\0')
		actor_input_refuse(input, input->at, "The end of the text is expected", "");
	if (*start == '-' && span->time != 0)
		actor_input_refuse(input, start, "The duration", " is negative");
}

/*
 * Reads a duration written as number, space and unit word, repeatedly, and
 * perhaps a time of day at the end.
 */
static void
parse_interval(Input *input, Interval *span)
{
	uint32		units = ~(uint32) 0;

	for (;;)
	{
		Number		number;
		const Unit *unit;

		/* where there was no time yet */
		if (span->time == 0 && starts_clock(input->at))
		{
			parse_clock(input, span);
			return;
		}
		scan_number(input, &number);
		expect(input, ' ');
		unit = scan_unit(input, interval_units, units, " ");
		if (number.point && unit->field != SPAN_TIME)
			actor_input_refuse(input, number.at, "The number",
							   " must be whole, as days, weeks, months and years are not divided");
		add_number(input, span, &number, unit);

		/* a unit has several names; none of them may follow */
		for (int i = 0; interval_units[i].name != NULL; i++)
		{
			if (interval_units[i].field == unit->field &&
				interval_units[i].factor == unit->factor)
				units &= ~((uint32) 1 << i);
		}

		if (*input->at == '\0')
			break;
		expect(input, ' ');
	}
}

/*
 * Refuses a duration without length.  Negative ones are refused already.
 */
static void
require_positive(const Input *input, const char *start, const Interval *span)
{
	if (span->month == 0 && span->day == 0 && span->time == 0)
		actor_input_refuse(input, start, "The duration",
						   " is shorter than a microsecond");
}

/*
 * Reads a decimal number; one of the parts before and after the point may be
 * missing.  Digits of the fraction that there is no room for are dropped.
 */
static void
scan_number(Input *input, Number *number)
{
	bool		digits = false;
	bool		full = false;

	memset(number, 0, sizeof(*number));
	number->at = input->at;
	number->scale = 1;

	for (; *input->at >= '0' && *input->at <= '9'; input->at++)
	{
		digits = true;
		if (pg_mul_s64_overflow(number->whole, 10, &number->whole) ||
			pg_add_s64_overflow(number->whole, *input->at - '0',
								&number->whole))
			actor_input_refuse(input, number->at, "The number", " is too large");
	}

	if (*input->at == '.')
	{
		number->point = true;
		input->at++;
		for (; *input->at >= '0' && *input->at <= '9'; input->at++)
		{
			int64		longer;

			digits = true;
			full = full ||
				pg_mul_s64_overflow(number->fraction, 10, &longer) ||
				pg_add_s64_overflow(longer, *input->at - '0', &longer);
			if (!full)
			{
				number->fraction = longer;
				number->scale *= 10;
			}
		}
	}

	if (!digits)
		actor_input_refuse(input, number->at, "A number is expected", "");
}

/*
 * Reads the name of one of the units, up to one of the delimiters.  Bit n of
 * "allowed" says whether the unit with index n may stand here.
 */
static const Unit *
scan_unit(Input *input, const Unit *units, uint32 allowed,
		  const char *delimiters)
{
	const char *name = input->at;
	size_t		length = strcspn(name, delimiters);
	const char *complaint = " is not known";

	if (length == 0)
		actor_input_refuse(input, name, "A unit is expected", "");

	for (int i = 0; units[i].name != NULL; i++)
	{
		if (strlen(units[i].name) != length ||
			memcmp(units[i].name, name, length) != 0)
			continue;
		if (allowed & ((uint32) 1 << i))
		{
			input->at += length;
			return &units[i];
		}
		complaint = " cannot stand there";
	}
	actor_input_refuse(input, name, psprintf("Unit \"%s\"", actor_clip(name, length)),
					   complaint);
}

/*
 * Reads a field of a timestamp, which has a fixed width and a range.
 */
static int
scan_field(Input *input, const char *name, int width, int low, int high)
{
	const char *start = input->at;
	int			value = 0;

	if (strspn(start, DIGITS) != width)
		actor_input_refuse(input, start, name, psprintf(" must have %d digits", width));
	while (input->at < start + width)
		value = value * 10 + (*input->at++ - '0');
	if (value < low || value > high)
		actor_input_refuse(input, start, name,
						   psprintf(" must be from %d to %d", low, high));
	return value;
}

/*
 * Reads one character.
 */
static void
expect(Input *input, char wanted)
{
	if (*input->at != wanted)
		actor_input_refuse(input, input->at,
						   wanted == ' ' ? "A space is expected" :
						   psprintf("\"%c\" is expected", wanted), "");
	input->at++;
}

/*
 * Adds a number of units to a span.
 */
static void
add_number(const Input *input, Interval *span, const Number *number,
		   const Unit *unit)
{
	int64		limit = (unit->field == SPAN_TIME) ? PG_INT64_MAX : PG_INT32_MAX;
	int64		sum;
	int64		part;

	if (unit->field == SPAN_TIME)
		sum = span->time;
	else
		sum = (unit->field == SPAN_DAYS) ? span->day : span->month;

	if (pg_mul_s64_overflow(number->whole, unit->factor, &part) ||
		pg_add_s64_overflow(part, fraction_of(number, unit->factor), &part) ||
		pg_add_s64_overflow(sum, part, &sum) || sum > limit)
		actor_input_refuse(input, number->at, "The duration gets too long", "");

	if (unit->field == SPAN_TIME)
		span->time = sum;
	else if (unit->field == SPAN_DAYS)
		span->day = (int32) sum;
	else
		span->month = (int32) sum;
}

/*
 * The fraction of a number in the parts of a unit, the rest cut off.
 */
static int64
fraction_of(const Number *number, int64 unit)
{
	return (int64) ((double) number->fraction *
					((double) unit / number->scale));
}

/*
 * actor_input_refuse
 *		Raises the error for a text that is not taken.  The detail is the subject,
 * the position in characters counted from 1, and the predicate.
 */
void
actor_input_refuse(const Input *input, const char *at, const char *subject,
				   const char *predicate)
{
	int			position = pg_mbstrlen_with_len(input->text,
												at - input->text) + 1;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s \"%s\"", input->what,
					actor_clip(input->text, strlen(input->text))),
			 errdetail_internal("%s at position %d%s.",
								subject, position, predicate),
			 errhint("%s", input->hint)));
}

/*
 * actor_clip
 *		Returns the text, or its beginning and dots if it is long for a message.
 */
char *
actor_clip(const char *text, size_t length)
{
	if (length <= ECHO_LIMIT)
		return pnstrdup(text, length);

	return psprintf("%.*s...",
					pg_mbcliplen(text, ECHO_LIMIT + 1, ECHO_LIMIT), text);
}
