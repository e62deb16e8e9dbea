/*-------------------------------------------------------------------------
 *
 * duration.c
 *		Durations as SDKs write them.
 *
 * Those of several languages print what their types hold, and so send a zero
 * for what is absent, a little less than zero for what is due already, and ISO
 * 8601 in lower case or with a "T" that nothing follows.  The database takes
 * none of that.  Whatever else is wrong with a duration is left for it to say.
 *
 * IDENTIFICATION
 *		http/duration.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "duration.h"

#define DIGITS				"0123456789"

static const char *const go_units[] = {
	"h", "m", "s", "ms", "us", "\xC2\xB5s", "\xCE\xBCs", "ns", NULL
};
static const char *const iso_date_units[] = {"Y", "M", "W", "D", NULL};
static const char *const iso_time_units[] = {"H", "M", "S", NULL};

/*
 * duration_mend
 *		Puts ISO 8601 into upper case, and removes a "T" at its end, in place.
 *		There may be a number of repetitions in front.
 */
void
duration_mend(char *text)
{
	char	   *duration = text;
	size_t		length;

	if (text[0] == 'R')
	{
		duration += 1 + strspn(text + 1, DIGITS);
		if (*duration++ != '/')
			return;
	}
	if (toupper((unsigned char) duration[0]) != 'P')
		return;
	for (char *c = duration; *c != '\0'; c++)
		*c = (char) toupper((unsigned char) *c);
	length = strlen(duration);
	if (length > 2 && duration[length - 1] == 'T')
		duration[length - 1] = '\0';
}

/*
 * Goes past one of the units; returns whether there was one.
 */
static bool
take_unit(const char **at, const char *const *units)
{
	size_t		longest = 0;

	for (; *units != NULL; units++)
		if (strncmp(*at, *units, strlen(*units)) == 0 && strlen(*units) > longest)
			longest = strlen(*units);
	*at += longest;
	return longest > 0;
}

/*
 * Goes past a number with a sign or none; says which sign it has, 0 for zero.
 * Returns whether there was one.
 */
static bool
take_number(const char **at, int *sign)
{
	const char *start;
	size_t		digits;

	*sign = 1;
	if (**at == '-' || **at == '+')
		*sign = *(*at)++ == '-' ? -1 : 1;
	start = *at;
	digits = strspn(*at, DIGITS);
	*at += digits;
	if (**at == '.')
	{
		size_t		fraction = strspn(*at + 1, DIGITS);

		digits += fraction;
		*at += fraction + 1;
	}
	if (strspn(start, "0.") >= (size_t) (*at - start))
		*sign = 0;
	return digits > 0;
}

/*
 * duration_sign
 *		-1 for a duration of less than nothing, 0 for none, and 1 for any other
 *		and for what is no duration.
 *
 * In "-1h59m59s995ms", as Python has it for -5 ms, and in "0h0m0s-5ms", as .NET
 * has it, the first number that is not zero has the sign of the whole.
 */
int
duration_sign(const char *text)
{
	const char *const *units = go_units;
	const char *at = text;
	bool		negative = (at[0] == '-');
	int			sign = 0;

	if (strcmp(at + strspn(at, "+-"), "0") == 0)
		return 0;
	if (negative && at[1] == 'P')
		at++;
	if (at[0] == 'P')
	{
		units = iso_date_units;
		at++;
	}
	do
	{
		int			part;

		if (*at == 'T' && units == iso_date_units)
		{
			units = iso_time_units;
			at++;
		}
		if (!take_number(&at, &part) || !take_unit(&at, units))
			return 1;
		if (sign == 0)
			sign = part;
	} while (*at != '\0');
	return sign != 0 && negative ? -1 : sign;
}
