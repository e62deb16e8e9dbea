/*-------------------------------------------------------------------------
 *
 * message.h
 *		Messages and their queues.
 *
 * IDENTIFICATION
 *		src/message/message.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_MESSAGE_H
#define ACTOR_MESSAGE_H

#include "base/base.h"

/* queue.c */

/* who guards what is hidden of a queue; all zero: nobody yet */
typedef struct ActorQueueGuard
{
	int64		guard;
	bool		guarded;
	bool		hidden;
} ActorQueueGuard;

extern bool actor_queue_first(const ActorRef *actor, int64 *message_id,
							  TimestampTz *next_try_at);
extern bool actor_queue_join(const ActorRef *actor, TimestampTz now);
extern uint64 actor_queue_show(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_hide(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_hide_from(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_hide_or_guard(ActorQueueGuard *queue, const ActorRef *actor,
										int64 message_id);
extern void actor_queue_put_off(const ActorRef *actor, int64 message_id);
extern bool actor_queue_remove_locked(const ActorRef *actor, int64 message_id);
extern bool actor_queue_remove(const ActorRef *actor, int64 message_id);

/* message.c */

extern void actor_message_again(const ActorRef *actor, const text *method,
								const Jsonb *payload, const NameData *role_name);

#endif							/* ACTOR_MESSAGE_H */
