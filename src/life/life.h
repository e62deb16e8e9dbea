/*-------------------------------------------------------------------------
 *
 * life.h
 *		Life of an actor, and its state.
 *
 * IDENTIFICATION
 *		src/life/life.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_LIFE_H
#define ACTOR_LIFE_H

#include "base/base.h"
#include "type/type.h"

/* lifecycle.c */

extern void actor_lifecycle_init(void);
extern TimestampTz actor_idle_limit(const ActorType *type, TimestampTz last_used_at);
extern TimestampTz actor_idle_deadline(const ActorType *type, TimestampTz last_used_at);
extern bool actor_activate(const ActorRef *actor, ActorType *type, uint64 generation);
extern bool actor_use(const ActorRef *actor, ActorType *type, uint64 generation);
extern void actor_hook_run(const ActorRef *actor, ActorHookKind kind);
extern bool actor_hook_exists(const ActorRef *actor, ActorHookKind kind);
extern void actor_remove_timers(const ActorRef *actor);
extern bool actor_end_life(ActorRef *actor);

/* tells hosts that the application of a hosted type need not have an actor any more */
typedef void (*ActorLifeEnded) (const ActorRef *actor);

extern ActorLifeEnded actor_life_ended;

extern void actor_deactivated(const ActorRef *actor, const NameData *role,
							  TimestampTz scheduled_at, const ErrorData *error);

/* state.c */

/* tells the application of a hosted type that what it has in its memory is old */
typedef void (*ActorStateChanged) (const ActorRef *actor);

extern ActorStateChanged actor_state_changed;

/* failure.c */

/* something that was given up, for the record */
typedef struct ActorFailure
{
	const char *kind;			/* "reminder", "timer", "message",
								 * "deactivate" */
	const text *name;
	const text *method;
	const Jsonb *payload;		/* NULL: none */
	const Jsonb *settings;		/* NULL: none */
	TimestampTz scheduled_at;
	int32		attempts;
} ActorFailure;

extern void actor_failure_log(int elevel, const ActorRef *actor, const char *what,
							  const text *name, const text *method,
							  const ErrorData *error, const char *outcome);
extern void actor_failure_write(const ActorRef *actor, const ActorFailure *failure,
								const NameData *role, const ErrorData *error);

#endif							/* ACTOR_LIFE_H */
