/*-------------------------------------------------------------------------
 *
 * stat.h
 *		What is counted, and what can be seen of running turns.
 *
 * IDENTIFICATION
 *		src/stat/stat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_STAT_H
#define ACTOR_STAT_H

#include "base/base.h"
#include "nodes/pg_list.h"

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

/* an entry of the counters; with generation 0 it is to be looked for */
typedef struct ActorStatRef
{
	int			slot;
	uint64		generation;
} ActorStatRef;

extern void actor_stats_init(void);
extern void actor_stats_request(void);
extern void actor_stats_attach(void);
extern void actor_stat_waited(const ActorRef *actor, const text *method, double ms,
							  int sqlstate);
extern void actor_stat_refused(const ActorRef *actor, const text *method);
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

extern void actor_worker_stat_start(ActorWorkerKind kind, int slot, Oid role);
extern void actor_worker_stat_active(void);
extern void actor_worker_stat_looked(int64 backlog, TimestampTz oldest_due);
extern void actor_worker_stat_fired(double late_ms, bool failed);

/* activity.c */

extern void actor_activity_init(void);
extern void actor_activity_held(const ActorRef *actor, const text *method);
extern void actor_activity_holds(int count);
extern void actor_activity_waits_not(void);
extern void actor_activity_end(void);
extern void actor_activity_push(ActorFrame *frame);
extern void actor_activity_pop(const ActorFrame *frame);
extern void actor_activity_ran(const ActorFrame *frame, ActorStatRef *ref, bool failed);
extern bool actor_activity_wait(const ActorRef *actor, const text *method,
								instr_time *since);
extern void actor_activity_waited(const ActorRef *actor, const text *method,
								  const instr_time *since, int sqlstate);

/* turns of this database */
typedef struct ActorTurnCounts
{
	int			waiting;		/* processes that wait for one */
	int			held;			/* turns that transactions have */
	double		held_seconds;	/* for how long, the oldest of these */
	int			open;			/* turns that are open between transactions */
} ActorTurnCounts;

extern void actor_activity_turns(ActorTurnCounts *counts);

/* visible.c */

/* what the current user may see of the statistics */
typedef struct ActorVisible
{
	bool		all;			/* is of pg_monitor */
	HTAB	   *owned;			/* names of the types it owns */
} ActorVisible;

extern void actor_visible_init(ActorVisible *visible);
extern bool actor_visible_type(const ActorVisible *visible, const char *type);

#endif							/* ACTOR_STAT_H */
