/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of time/ share.
 *
 * IDENTIFICATION
 *		src/time/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_TIME_INTERNAL_H
#define ACTOR_TIME_INTERNAL_H

#include "time/time.h"

#define DIGITS			"0123456789"

/* A text that is being read */
typedef struct Input
{
	const char *what;			/* the parameter it was given for */
	const char *hint;			/* the forms that it may have */
	const char *text;
	const char *at;				/* first byte not read yet */
} Input;

/* when.c */

_Noreturn extern void actor_input_refuse(const Input *input, const char *at,
										 const char *subject, const char *predicate);

/* cron.c */

extern bool actor_cron_starts(const char *text);
extern char *actor_cron_zone(Input *input);
extern void actor_cron_read(Input *input, ActorCalendar *calendar);

/* calendar.c */

extern bool actor_calendar_never(const ActorCalendar *calendar);
extern bool actor_calendar_next(const ActorCalendar *calendar, pg_tz *zone,
								TimestampTz after, TimestampTz *at);
extern int64 actor_calendar_count(const ActorCalendar *calendar, pg_tz *zone,
								  TimestampTz after, TimestampTz until);

#endif							/* ACTOR_TIME_INTERNAL_H */
