/*-------------------------------------------------------------------------
 *
 * firing.h
 *		Turning due rows into turns.
 *
 * IDENTIFICATION
 *		src/firing.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_FIRING_H
#define ACTOR_FIRING_H

#include "actor.h"
#include "schedule.h"

/* A due row as it was seen; whether it still is like that shows the claim. */
typedef struct ActorDue
{
	ActorRef	actor;
	text	   *name;
	int64		generation;
	TimestampTz scheduled_at;
	int32		attempt;
} ActorDue;

typedef enum ActorFiringResult
{
	FIRING_DONE,				/* the method ran, or the firing was skipped */
	FIRING_FAILED,				/* the method failed, which is written down */
	FIRING_BUSY					/* somebody else has the actor or the row, or
								 * the row is not as it was seen */
} ActorFiringResult;

extern bool actor_catch_up_from_text(const text *word, ActorCatchUp *policy);
extern void actor_retry_policy_parse(Jsonb *document, ActorRetryPolicy *policy);

extern List *actor_due_scan(const NameData *role, TimestampTz until, int limit);
extern TimestampTz actor_due_next(const NameData *role);
extern ActorFiringResult actor_fire(const ActorDue *due, const NameData *role);
extern bool actor_fire_failed(const ActorDue *due, const NameData *role, ErrorData *error,
							  TimestampTz started_at);

#endif							/* ACTOR_FIRING_H */
