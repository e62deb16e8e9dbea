/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/stat/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_STAT_INTERNAL_H
#define ACTOR_STAT_INTERNAL_H

#include "stat/stat.h"
#include "storage/lwlock.h"

/* stats.c */

extern bool actor_stats_collected(void);
extern void actor_stat_called(const ActorFrame *frame, ActorStatRef *ref, double ms,
							  bool failed);
extern void actor_stat_waited(const ActorRef *actor, const text *method, double ms,
							  int sqlstate);

/* workerstat.c */

extern Size actor_worker_stats_size(void);
extern void actor_worker_stats_attach(void);

/* activity.c */

extern Size actor_activity_size(void);
extern void actor_activity_attach(void);

/* hot.c */

extern Size actor_hot_size(void);
extern void actor_hot_attach(LWLock *lock);
extern void actor_hot_reset(void);
extern void actor_hot_waited(const ActorRef *actor, double ms);

#endif							/* ACTOR_STAT_INTERNAL_H */
