/*-------------------------------------------------------------------------
 *
 * turn.h
 *		Turns, open turns, and pauses.
 *
 * IDENTIFICATION
 *		src/turn/turn.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_TURN_H
#define ACTOR_TURN_H

#include "base/base.h"
#include "type/type.h"

/* activation.c */

/* what a transaction that has the turn knows of the actor's activation */
typedef struct ActorActivation
{
	bool		active;
	bool		used;			/* this transaction counts as a use */
	TimestampTz last_used_at;
	bool		opened;			/* by a chain; expired perhaps, see lease.c */
	pg_uuid_t	reentrancy_id;
	TimestampTz turn_expires_at;
} ActorActivation;

extern void actor_activation_look(const ActorRef *actor, ActorActivation *seen);
extern bool actor_activation_lazy(ActorType *type);
extern bool actor_is_active(const ActorRef *actor);
extern void actor_activation_touch(const ActorRef *actor, TimestampTz now);

/* turn.c */

extern void actor_turn_init(void);
extern bool actor_turn_enter(const ActorRef *actor, const text *method, int timeout);
extern bool actor_turn_try_enter(const ActorRef *actor, const text *method);
extern void actor_turn_leave(const ActorRef *actor);
extern int	actor_turn_held_count(void);
extern bool actor_turn_is_entered(const ActorRef *actor);
extern void actor_turn_set_entered(const ActorRef *actor);
extern void actor_turn_keep(const ActorRef *actor);
extern bool actor_turn_is_kept(const ActorRef *actor);
extern bool actor_turn_known(const ActorRef *actor, ActorActivation *known);
extern bool actor_turn_is_used(const ActorRef *actor);
extern bool actor_turn_is_active(const ActorRef *actor);
extern void actor_turn_know(const ActorRef *actor, const ActorActivation *known);
extern void actor_turn_used(const ActorRef *actor, TimestampTz touch_after);
extern void actor_turn_forget_known(const text *type);
extern void actor_turn_explain_error(void);

/* row.c */

extern bool actor_turn_claim(const ActorRef *actor, const text *method, int timeout);
extern bool actor_turn_try_claim(const ActorRef *actor);
extern bool actor_turn_try_keep(const ActorRef *actor);

/* gate.c */

extern void actor_gate_request(void);
extern void actor_gate_attach(void);

/* flush.c */

extern void actor_flush_request(void);
extern void actor_flush_attach(void);

/* early.c */

extern void actor_early_init(void);
extern void actor_early_look(const ActorRef *actor);
extern void actor_early_look_everywhere(void);
extern void actor_early_answer(void);

/* lease.c */

extern void actor_lease_init(void);
extern bool actor_lease_enter(const ActorRef *actor, const text *method, int timeout,
							  const pg_uuid_t *id);
extern void actor_turn_check_isolation(const char *action);
extern bool actor_lease_is_open(const ActorRef *actor);
extern bool actor_lease_pass(const ActorRef *actor);
extern void actor_lease_ended(const ActorRef *actor);
extern bool actor_lease_is_open_to(const ActorRef *actor, const pg_uuid_t *id);
extern void actor_lease_refuse_open(const ActorRef *actor, const text *method);

/* pause.c */

typedef enum ActorPaused
{
	ACTOR_NOT_PAUSED,
	ACTOR_PAUSED,
	ACTOR_PAUSE_CHANGING		/* somebody is about to resume it */
} ActorPaused;

extern void actor_pause_init(void);
extern void actor_pause_check(const ActorRef *actor, const text *method);
extern ActorPaused actor_pause_share(const ActorRef *actor);

#endif							/* ACTOR_TURN_H */
