/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/turn/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_TURN_INTERNAL_H
#define ACTOR_TURN_INTERNAL_H

#include "access/xlogdefs.h"

#include "turn/turn.h"

/* turn.c */

extern uint64 actor_turn_held_hash(int number);
extern bool actor_turn_all_early(void);
extern void actor_turn_set_shard(const ActorRef *actor, Oid shard);
extern Oid	actor_turn_shard(const ActorRef *actor);
extern void actor_turn_error_context(void *arg);
_Noreturn extern void actor_turn_refuse_to_wait(const ActorRef *actor);
_Noreturn extern void actor_turn_refuse_late(const ActorRef *actor, const text *method,
											 int timeout);

/* activation.c */

extern void actor_activation_result(ActorActivation *seen);
extern bool actor_activation_lock(const ActorRef *actor, Oid part, ActorActivation *seen);

/* row.c */

extern bool actor_turn_by_row(void);
extern void actor_turn_check_servers(void);
extern void actor_row_settle(void);
extern void actor_row_end(void);

/* flush.c */

extern void actor_flush(XLogRecPtr up_to);

/* gate.c */

extern bool actor_gate_wait(const ActorRef *actor, bool (*try) (const ActorRef *actor),
							int limit, int *spent);
extern void actor_gate_leave(bool has_turn);
extern void actor_gate_open(uint64 hash);

#endif							/* ACTOR_TURN_INTERNAL_H */
