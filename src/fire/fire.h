/*-------------------------------------------------------------------------
 *
 * fire.h
 *		Turning due rows into turns.
 *
 * IDENTIFICATION
 *		src/fire/fire.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_FIRE_H
#define ACTOR_FIRE_H

#include "base/base.h"
#include "nodes/pg_list.h"
#include "reminder/reminder.h"
#include "shared/shared.h"

/* firing.c */

/*
 * A due row as it was seen; whether it still is like that shows the claim.  An
 * idle actor has the name of its hook, the time of its last use as the instant
 * it is scheduled at, and a generation that is always the same.
 */
typedef struct ActorDue
{
	ActorDueKind kind;
	ActorRef	actor;
	text	   *name;
	int64		generation;
	TimestampTz scheduled_at;
	TimestampTz next_try_at;
	int32		attempt;
} ActorDue;

extern bool actor_fire_failed(const ActorDue *due, const NameData *role, ErrorData *error,
							  TimestampTz started_at);

/* idle.c */

/* somebody who has actors that may become idle */
typedef struct ActorIdleOwner
{
	NameData	name;
	TimestampTz next;			/* when to look for idle ones */
} ActorIdleOwner;

extern List *actor_idle_owners(void);
extern List *actor_idle_scan(const NameData *owner, int limit);
extern void actor_idle_looked(const NameData *owner);
extern bool actor_idle_deactivate(const ActorDue *due, const NameData *role,
								  const ErrorData *error);
extern void actor_idle_forget_starts(void);

/* round.c */

extern void actor_rounds_start(const ActorExecutorStart *executor);
extern int	actor_round(TimestampTz *retry_at);
extern TimestampTz actor_round_next_due(void);

/* callback.c */

extern void actor_callback_start(int slot);
extern void actor_callback_exit(void);
extern bool actor_callback_take_death(ActorDue *due, Oid *role, bool *itself);

#endif							/* ACTOR_FIRE_H */
