/*-------------------------------------------------------------------------
 *
 * cron.c
 *		Reading cron expressions, in the grammar of Go's robfig/cron.
 *
 * Five fields are minute, hour, day of the month, month and day of the week;
 * a sixth one in front of them is the second.  A field is a list of ranges with
 * steps.  There are words for the usual expressions, and a prefix that names a
 * time zone.
 *
 * IDENTIFICATION
 *		src/time/cron.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/base.h"
#include "time/internal.h"

#define BLANKS			" \t"
#define FIELD_CHARACTERS	DIGITS "*?,-/"

/* A field of an expression */
typedef struct Field
{
	const char *name;
	int			low;
	int			high;
	int			last;			/* where a step without an end goes to */
	const char *const *words;	/* for low and what follows it; NULL: none */
} Field;

static const char *const month_words[] = {
	"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", NULL
};
static const char *const day_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};

/* Sunday is 0, and 7 as well */
static const Field fields[] = {
	{"The second", 0, 59, 59, NULL},
	{"The minute", 0, 59, 59, NULL},
	{"The hour", 0, 23, 23, NULL},
	{"The day of the month", 1, 31, 31, NULL},
	{"The month", 1, 12, 12, month_words},
	{"The day of the week", 0, 7, 6, day_words}
};

#define SUNDAY_TOO		7

static const struct
{
	const char *word;
	const char *expression;
}			usual[] =

{
	{"@yearly", "0 0 1 1 *"},
	{"@annually", "0 0 1 1 *"},
	{"@monthly", "0 0 1 * *"},
	{"@weekly", "0 0 * * 0"},
	{"@daily", "0 0 * * *"},
	{"@midnight", "0 0 * * *"},
	{"@hourly", "0 * * * *"}
};

static size_t
zone_prefix_length(const char *text)
{
	if (strncmp(text, "CRON_TZ=", 8) == 0)
		return 8;
	return strncmp(text, "TZ=", 3) == 0 ? 3 : 0;
}

/*
 * actor_cron_starts
 *		Is this text a cron expression, well-formed or not?
 *
 * It is if it starts with a prefix or a word for one, or with a field that
 * has a character which no duration has, or with one that another field follows:
 * behind the number of an interval comes a letter, behind a date a time with
 * colons.
 */
bool
actor_cron_starts(const char *text)
{
	size_t		length;
	const char *next;

	if (*text == '@' || zone_prefix_length(text) > 0)
		return true;
	text	  +=strspn(text, BLANKS);

	length = strspn(text, FIELD_CHARACTERS);
	if (strcspn(text, "*?,/") < length)
		return true;
	next = text +length + strspn(text +length, BLANKS);
	return length > 0 && next > text +length && strchr(DIGITS "*?", *next) != NULL &&
			   *next != '\0' && next[strspn(next, DIGITS)] != ':';
}

/*
 * actor_cron_zone
 *		Reads the prefix that names a time zone, and the blanks behind it; NULL
 *		if there is none.  The name is a copy.
 */
char *
actor_cron_zone(Input *input)
{
	const char *name = input->at + zone_prefix_length(input->at);
	size_t		length;

	if (name == input->at)
		return NULL;
	length = strcspn(name, BLANKS);
	if (length == 0)
		actor_input_refuse(input, name, "A time zone is expected", "");
	input->at = name + length;
	input->at += strspn(input->at, BLANKS);
	return pnstrdup(name, length);
}

static int
read_number(Input *input, const char *name, int low, int high)
{
	const char *start = input->at;
	int			value = 0;

	if (strspn(start, DIGITS) == 0)
		actor_input_refuse(input, start, "A number is expected", "");
	for (; *input->at >= '0' && *input->at <= '9'; input->at++)
		value = Min(value * 10 + (*input->at - '0'), high + 1);
	if (value < low || value > high)
		actor_input_refuse(input, start, name,
						   psprintf(" must be from %d to %d", low, high));
	return value;
}

/*
 * A number or, where the field has words for its values, one of these.
 */
static int
read_value(Input *input, const Field *field)
{
	for (int i = 0; field->words != NULL && field->words[i] != NULL; i++)
		if (pg_strncasecmp(input->at, field->words[i], strlen(field->words[i])) == 0)
		{
			input->at += strlen(field->words[i]);
			return field->low + i;
		}
	return read_number(input, field->name, field->low, field->high);
}

/*
 * Reads a range, perhaps with a step, and adds its values to the set.  Sets
 * *star if it is the whole field.
 */
static void
read_range(Input *input, const Field *field, uint64 *set, bool *star)
{
	const char *start = input->at;
	int			low = field->low;
	int			high = field->last;
	int			step = 1;
	bool		all = (*start == '*' || *start == '?');
	bool		single = false;

	if (all)
		input->at++;
	else
	{
		low = high = read_value(input, field);
		single = *input->at != '-';
		if (!single)
		{
			input->at++;
			high = read_value(input, field);
			if (high < low)
				actor_input_refuse(input, start, "The range", " ends before it begins");
		}
	}
	if (*input->at == '/')
	{
		input->at++;
		step = read_number(input, "The step", 1, PG_INT16_MAX);
		if (single)
			high = Max(low, field->last);
	}
	for (int value = low; value <= high; value += step)
		*set |= UINT64CONST(1) << value;
	*star = *star || (all && step == 1);
}

/*
 * Reads a field, which ends with a blank or the text.
 */
static uint64
read_field(Input *input, const Field *field, bool *star)
{
	uint64		set = 0;

	*star = false;
	input->at += strspn(input->at, BLANKS);
	for (;;)
	{
		read_range(input, field, &set, star);
		if (*input->at != ',')
			break;
		input->at++;
	}
	if (*input->at != '\0' && strchr(BLANKS, *input->at) == NULL)
		actor_input_refuse(input, input->at, "A blank is expected", "");
	return set;
}

static int
count_words(const char *text)
{
	int			words = 0;

	for (text +=strspn(text, BLANKS); *text !='\0'; text +=strspn(text, BLANKS))
	{
		words++;
		text	  +=strcspn(text, BLANKS);
	}
	return words;
}

static void
read_fields(Input *input, ActorCalendar *calendar)
{
	const Field *field = fields;
	int			words = count_words(input->at);
	bool		star;

	if (words != lengthof(fields) && words != lengthof(fields) - 1)
		actor_input_refuse(input, input->at, "A cron expression of five or six fields is expected",
						   psprintf(", not of %d", words));
	calendar->seconds = 1;
	if (words == lengthof(fields))
		calendar->seconds = read_field(input, field, &star);
	field++;
	calendar->minutes = read_field(input, field++, &star);
	calendar->hours = (uint32) read_field(input, field++, &star);
	calendar->days = (uint32) read_field(input, field++, &calendar->any_day);
	calendar->months = (uint16) read_field(input, field++, &star);
	calendar->weekdays = (uint8) read_field(input, field, &calendar->any_weekday);
	if (calendar->weekdays & (1 << SUNDAY_TOO))
		calendar->weekdays |= 1;
	calendar->weekdays &= (1 << SUNDAY_TOO) - 1;
}

/*
 * actor_cron_read
 *		Reads a cron expression, without a prefix, to the end of the text.
 */
void
actor_cron_read(Input *input, ActorCalendar *calendar)
{
	memset(calendar, 0, sizeof(*calendar));
	if (*input->at != '@')
	{
		read_fields(input, calendar);
		return;
	}
	for (int i = 0; i < lengthof(usual); i++)
	{
		size_t		length = strlen(usual[i].word);

		if (strncmp(input->at, usual[i].word, length) == 0 &&
			input->at[length + strspn(input->at + length, BLANKS)] == '\0')
		{
			Input		expression = {input->what, input->hint, usual[i].expression,
			usual[i].expression};

			read_fields(&expression, calendar);
			return;
		}
	}
	actor_input_refuse(input, input->at,
					   psprintf("Word \"%s\"", actor_clip(input->at, strcspn(input->at, BLANKS))),
					   " is not known");
}
