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
#include "store/store.h"

/* columns of actor.message; those of a slot count from 1 */
typedef enum ActorMessageColumn
{
	MESSAGE_TYPE,
	MESSAGE_ACTOR_ID,
	MESSAGE_ID,
	MESSAGE_METHOD,
	MESSAGE_PAYLOAD,
	MESSAGE_DUE_AT,
	MESSAGE_NEXT_TRY_AT,
	MESSAGE_QUEUED,
	MESSAGE_ATTEMPT,
	MESSAGE_DEFERRALS,
	MESSAGE_ROLE_NAME,
	MESSAGE_SENT_AT,
	MESSAGE_LAST_ERROR,
	MESSAGE_TRACEPARENT,
	MESSAGE_FAILURE_POLICY,
	MESSAGE_HOSTED,
	MESSAGE_REQUEST_ID,
	MESSAGE_SETTINGS,
	MESSAGE_COLUMNS
} ActorMessageColumn;

/* look.c */

/* before it nothing is queued, and nothing is due that has not joined */
typedef struct ActorPlace
{
	int64		id;
	TimestampTz due_at;
} ActorPlace;

typedef struct ActorQueueMemory ActorQueueMemory;

/* a look at a queue; only "from" is for others */
typedef struct ActorLook
{
	ActorPlace	from;
	int64		seen_id;
	bool		remembers;
	const ActorQueueMemory *memory; /* that it begins with; NULL: none */
	uint64		generation;
	uint64		joined;
	TimestampTz began_at;
	TransactionId next;
	TransactionId xmin;
	TransactionId xmax;
	int			nrunning;
	TransactionId *running;
} ActorLook;

extern void actor_look_begin(ActorLook *look, const ActorRef *actor, int64 message_id);
extern void actor_look_end(ActorLook *look, const ActorRef *actor, int64 first_id,
						   TimestampTz due_at);
extern void actor_look_joining(const ActorRef *actor);
extern void actor_look_forget(const ActorRef *actor);

/* first.c */

/* what follows a message that was removed */
typedef struct ActorQueueStep
{
	bool		stays;			/* it was not: others are before it */
	int64		next;			/* 0: nothing */
	bool		hidden;
	bool		hosted;
	int32		attempt;
	TimestampTz due_at;
	NameData	role_name;
} ActorQueueStep;

extern ActorDirectResult actor_queue_lock_first(const ActorRef *actor, int64 message_id,
												const ActorLook *look, TimestampTz now,
												ActorRowTest test, ActorRowReader reader,
												void *arg, bool *gone);
extern bool actor_queue_delete(const ActorRef *actor, int64 message_id, ActorQueueStep *step);

/* queue.c */

/* who guards what is hidden of a queue; all zero: nobody yet */
typedef struct ActorQueueGuard
{
	int64		guard;
	bool		guarded;
	bool		hidden;
} ActorQueueGuard;

extern bool actor_queue_first(const ActorRef *actor, int64 seen_id, int64 *message_id,
							  TimestampTz *next_try_at);
extern bool actor_queue_join(const ActorRef *actor, int64 seen_id, TimestampTz now);
extern bool actor_queue_is_delayed(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_show(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_show_one(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_hide(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_hide_from(const ActorRef *actor, int64 message_id);
extern uint64 actor_queue_hide_or_guard(ActorQueueGuard *queue, const ActorRef *actor,
										int64 message_id);
extern void actor_queue_put_off(const ActorRef *actor, int64 message_id);
extern bool actor_queue_remove_locked(const ActorRef *actor, int64 message_id);
extern void actor_queue_leave(const ActorRef *actor, int64 message_id, ActorQueueStep *step);
extern bool actor_queue_remove(const ActorRef *actor, int64 message_id);
extern void actor_queue_step_out(const ActorRef *actor, int64 message_id);

/* message.c */

extern void actor_message_post(const ActorRef *actor, const text *method,
							   const Jsonb *payload, const Jsonb *failure_policy,
							   const Jsonb *settings, const NameData *role_name);
extern void actor_message_again(const ActorRef *actor, int64 old_message_id,
								const text *method, const Jsonb *payload,
								const Jsonb *settings, const NameData *role_name);

/* outbox.c */

/* a message that is still with its sender */
typedef struct ActorOutgoing
{
	ActorRef	sender;
	ActorRef	receiver;
	int64		id;
	text	   *method;
	Jsonb	   *payload;		/* NULL: none */
	TimestampTz due_at;
	NameData	role_name;
	TimestampTz sent_at;
	text	   *traceparent;	/* NULL: none */
	Jsonb	   *failure_policy; /* NULL: the usual one */
	Jsonb	   *settings;		/* NULL: none */
	bool		left_out;		/* it was not passed */
	bool		locked;			/* it stays in the outbox, as somebody has it
								 * there */
} ActorOutgoing;

/* the columns of actor.outbox, in the order of actor_outgoing_read */
#define ACTOR_OUTGOING_COLUMNS \
	"actor_type, actor_id, message_id, receiver_type, receiver_id, method, payload," \
	" due_at, role_name, sent_at, traceparent, failure_policy, settings"

extern const ActorRef *actor_outbox_sender(const ActorRef *receiver);
extern void actor_outbox_add(const ActorOutgoing *message);
extern void *actor_outgoing_read(uint64 row);
extern bool actor_outgoing_share(ActorOutgoing *message);
extern void actor_outgoing_pass(const ActorOutgoing *message);
extern void actor_outbox_pass(const ActorRef *sender, const ActorRef *receiver);
extern bool actor_outbox_find(const ActorRef *receiver, int64 message_id, NameData *role_name);
extern bool actor_outbox_cancel(const ActorRef *receiver, int64 message_id);

/* forward.c */

/* messages for one server */
typedef struct ActorForwarding
{
	int			server;
	List	   *messages;		/* ActorOutgoing, by id */
	TimestampTz read_at;		/* they were there then */
	ActorOutgoing *current;		/* the one that is passed just now, NULL: none */
	bool		answered;		/* one of them could be passed */
} ActorForwarding;

extern List *actor_forwardings(TimestampTz *again);
extern void actor_forwarding_pass(void *arg);
extern void actor_forwarding_remove(void *arg);
extern void actor_forwarding_failed(const ActorForwarding *forwarding, const ErrorData *error);
extern void actor_forwarding_done(const ActorForwarding *forwarding);
extern List *actor_forwarded_old(TimestampTz *again);
extern void actor_forwarded_forget(void *arg);

/* promise.c */

extern TimestampTz actor_promises_expire(void);

/* each.c */

extern TimestampTz actor_each_go_on(void);
extern bool actor_each_go_on_own(const NameData *role_name, TimestampTz until);

#endif							/* ACTOR_MESSAGE_H */
