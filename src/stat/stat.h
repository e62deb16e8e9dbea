/*-------------------------------------------------------------------------
 *
 * stats.h
 *		What is counted, and what can be seen of running turns.
 *
 * IDENTIFICATION
 *		src/stat/stat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_STATS_H
#define ACTOR_STATS_H

#include "base/base.h"
#include "storage/lwlock.h"

/* histogram.c */

/* four buckets for each power of two, from microseconds to a day */
#define ACTOR_HISTOGRAM_BUCKETS	144

/* bounds that histograms are shown with: powers of two, in microseconds */
#define ACTOR_BOUND_FIRST		4
#define ACTOR_BOUND_LAST		26
#define ACTOR_BOUND_STEP		2

/* durations in milliseconds; whoever has it protects it */
typedef struct ActorHistogram
{
	uint64		count;
	double		sum;
	double		min;
	double		max;
	uint64		buckets[ACTOR_HISTOGRAM_BUCKETS];
} ActorHistogram;

extern void actor_histogram_add(ActorHistogram *histogram, double ms);
extern double actor_histogram_quantile(const ActorHistogram *histogram, double share);
extern uint64 actor_histogram_below(const ActorHistogram *histogram, int exponent);

/* stats.c */

/* what a row of counters is about */
typedef enum ActorStatKind
{
	STAT_METHOD,				/* a method of a type */
	STAT_FIRING					/* the callbacks of a type; has no method */
} ActorStatKind;

typedef struct ActorStatCounters
{
	uint64		calls;
	uint64		errors;
	uint64		deadlocks;
	uint64		reentries_refused;
	double		wait_ms;
	ActorHistogram time;		/* of calls, or lateness of callbacks */
} ActorStatCounters;

/* a copy of the counters, with what they are about */
typedef struct ActorStatRow
{
	char		type[NAMEDATALEN];
	char		method[NAMEDATALEN];
	ActorStatCounters counters;
} ActorStatRow;

extern bool actor_stats_collected(void);
extern List *actor_stats_copy(ActorStatKind kind);
extern void actor_stat_fired(const ActorRef *actor, TimestampTz due_at,
							 TimestampTz fired_at, bool failed);

/* workerstat.c */

typedef enum ActorWorkerKind
{
	WORKER_LAUNCHER,
	WORKER_SCHEDULER,
	WORKER_EXECUTOR
} ActorWorkerKind;

extern Size actor_worker_stats_size(void);
extern void actor_worker_stats_attach(void);
extern void actor_worker_stat_start(ActorWorkerKind kind, int slot, Oid role);
extern void actor_worker_stat_active(void);
extern void actor_worker_stat_looked(int64 backlog, TimestampTz oldest_due);
extern void actor_worker_stat_fired(double late_ms, bool failed);

/* activity.c */

extern Size actor_activity_size(void);
extern void actor_activity_attach(void);
extern int	actor_activity_waiting(void);

/* hot.c */

extern Size actor_hot_size(void);
extern void actor_hot_attach(LWLock *lock);
extern void actor_hot_reset(void);
extern void actor_hot_waited(const ActorRef *actor, double ms);

/* visible.c */

/* what the current user may see of the statistics */
typedef struct ActorVisible
{
	bool		all;			/* is of pg_monitor */
	HTAB	   *owned;			/* names of the types it owns */
} ActorVisible;

extern void actor_visible_init(ActorVisible *visible);
extern bool actor_visible_type(const ActorVisible *visible, const char *type);

#endif							/* ACTOR_STATS_H */
