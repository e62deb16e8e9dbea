/*-------------------------------------------------------------------------
 *
 * round.h
 *		Rounds of an executor.
 *
 * IDENTIFICATION
 *		src/round.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_ROUND_H
#define ACTOR_ROUND_H

#include "workers.h"

extern void actor_rounds_start(const ActorExecutorStart *executor);
extern int	actor_round(TimestampTz *retry_at);
extern TimestampTz actor_round_next_due(void);

#endif							/* ACTOR_ROUND_H */
