/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/call/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_CALL_INTERNAL_H
#define ACTOR_CALL_INTERNAL_H

#include "call/call.h"

/* frame.c */

extern void actor_frame_push(ActorFrame *frame);
extern void actor_frame_pop(ActorFrame *frame);
extern void actor_frame_abandon(ActorFrame *frame);

/* payload.c */

extern void actor_payload_check(const ActorFunction *function, Jsonb *payload);
extern Jsonb *actor_payload_call(const ActorFunction *function, Jsonb *payload);

#endif							/* ACTOR_CALL_INTERNAL_H */
