/*-------------------------------------------------------------------------
 *
 * round.h
 *		Rounds of an executor.
 *
 * IDENTIFICATION
 *		src/fire/round.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_ROUND_H
#define ACTOR_ROUND_H

#include "shared/shared.h"

/* round.c */

extern void actor_rounds_start(const ActorExecutorStart *executor);
extern int	actor_round(TimestampTz *retry_at);
extern TimestampTz actor_round_next_due(void);

/* round_memory.c */

/* a row that runs alone */
typedef struct ActorLoner
{
	int64		generation;		/* hash key */
	bool		for_good;		/* also when it has run */
	int			turn_wait;		/* ms it queues for the turn; 0: not yet */
	TimestampTz tried_at;		/* 0: has not run alone yet */
} ActorLoner;

extern void actor_round_memory_start(void);
extern void actor_round_memory_limit(void);
extern TimestampTz actor_busy_note(uint64 key, int64 limit);
extern TimestampTz actor_busy_until(uint64 key);
extern void actor_busy_forget(uint64 key);
extern void actor_busy_forget_all(void);
extern ActorLoner *actor_loner_note(int64 generation);
extern bool actor_loner_is(int64 generation);
extern void actor_loner_forget(int64 generation);

#endif							/* ACTOR_ROUND_H */
