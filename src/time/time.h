/*-------------------------------------------------------------------------
 *
 * time.h
 *		When reminders, timers and delayed messages are due.
 *
 * IDENTIFICATION
 *		src/time/time.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_TIME_H
#define ACTOR_TIME_H

#include "datatype/timestamp.h"
#include "fmgr.h"
#include "pgtime.h"
#include "utils/jsonb.h"

/* A due time or ttl as written: nothing, an instant, or a span from a base */
typedef struct ActorWhen
{
	enum
	{
		ACTOR_WHEN_ABSENT,
		ACTOR_WHEN_INSTANT,
		ACTOR_WHEN_SPAN
	}			kind;
	TimestampTz instant;
	Interval	span;
	const char *text;			/* it was read from; NULL: a value */
} ActorWhen;

/* A cron expression: sets of numbers, one bit each */
typedef struct ActorCalendar
{
	uint64		seconds;
	uint64		minutes;
	uint32		hours;
	uint32		days;			/* of the month, from bit 1 */
	uint16		months;			/* from bit 1 */
	uint8		weekdays;		/* Sunday is bit 0 */
	bool		any_day;		/* the field has a star */
	bool		any_weekday;
} ActorCalendar;

/* A period as written */
typedef struct ActorPeriod
{
	bool		absent;
	bool		by_calendar;
	Interval	span;			/* unless by_calendar */
	ActorCalendar calendar;
	char	   *zone_name;		/* NULL: that of the session */
	int32		count;			/* total firings, 0: no limit */
	const char *text;			/* it was read from; NULL: a value */
} ActorPeriod;

/*
 * A schedule with everything resolved to instants.  Firing k, counted from 0,
 * is at first_at + k * period, so nothing drifts; or it is the k-th instant of
 * the calendar after first_at, which is one, too.
 */
typedef struct ActorSchedule
{
	TimestampTz first_at;
	bool		periodic;
	bool		by_calendar;	/* if periodic */
	Interval	period;			/* unless by_calendar */
	ActorCalendar calendar;
	int32		count;			/* total firings, 0: no limit; 1 for a
								 * one-shot */
	TimestampTz expires_at;		/* DT_NOEND: never */
	pg_tz	   *zone;			/* months and days are counted here */
} ActorSchedule;

/* What becomes of firings that were missed */
typedef enum ActorCatchUp
{
	ACTOR_CATCH_UP_ONE,
	ACTOR_CATCH_UP_ALL,
	ACTOR_CATCH_UP_SKIP
} ActorCatchUp;

/* How often and how soon a failed firing is tried again; drop: no retries */
typedef struct ActorRetryPolicy
{
	int64		initial;		/* us before the first retry */
	int64		max;			/* us, longest delay if exponential */
	bool		exponential;
	int32		max_retries;
} ActorRetryPolicy;

/* A schedule as somebody asked for it; the texts as given, NULL: absent */
typedef struct ActorScheduleRequest
{
	ActorWhen	due;
	ActorPeriod period;
	ActorWhen	ttl;
	text	   *due_text;
	text	   *period_text;
	text	   *ttl_text;
} ActorScheduleRequest;

/* when.c */

extern void actor_parse_due_time(const char *string, ActorWhen *due);
extern void actor_parse_ttl(const char *string, ActorWhen *ttl);
extern void actor_parse_period(const char *string, ActorPeriod *period);
extern void actor_parse_duration(const char *string, const char *what,
								 Interval *span);
extern char *actor_clip(const char *text, size_t length);

/* schedule.c */

extern void actor_schedule_make(ActorSchedule *schedule, const ActorWhen *due,
								const ActorPeriod *period,
								const ActorWhen *ttl, TimestampTz now,
								pg_tz *zone);
extern int64 actor_schedule_next(const ActorSchedule *schedule, int64 k,
								 TimestampTz k_at, ActorCatchUp policy,
								 TimestampTz now, TimestampTz *at, int64 *missed);

extern int64 actor_retry_delay(const ActorRetryPolicy *policy, int32 attempt);
extern TimestampTz actor_grid_point(TimestampTz time, int64 step);

/* policy.c */

extern bool actor_catch_up_from_text(const text *word, ActorCatchUp *policy);
extern void actor_retry_policy_parse(Jsonb *document, ActorRetryPolicy *policy);
extern void actor_message_policy_parse(Jsonb *document, ActorRetryPolicy *policy,
									   bool *passes);

/* schedule_request.c */

extern void actor_schedule_due_from_text(ActorScheduleRequest *request, FunctionCallInfo fcinfo,
										 int number);
extern void actor_schedule_from_texts(ActorScheduleRequest *request, FunctionCallInfo fcinfo,
									  int first);
extern void actor_schedule_from_intervals(ActorScheduleRequest *request, FunctionCallInfo fcinfo,
										  int first);
extern text *actor_interval_text(Interval *interval);

#endif							/* ACTOR_TIME_H */
