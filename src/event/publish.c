/*-------------------------------------------------------------------------
 *
 * publish.c
 *		Publishing an event.
 *
 * It becomes one message for each subscriber, in the transaction that publishes,
 * so it is delivered if and only if that commits, once, and in the order in which
 * the events of a topic were published.  If there are many subscribers, the event
 * is a row of actor.fan_out, and the scheduler sends the messages; and so it is
 * when an earlier event of the topic has such a row, which it must not overtake.
 *
 * A method of an actor publishes in the topics of that actor and of its type; the
 * owner of a type, whoever may act as such, in all topics of the type and its
 * actors.
 *
 * IDENTIFICATION
 *		src/event/publish.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "reminder/reminder.h"
#include "event/internal.h"

PG_FUNCTION_INFO_V1(actor_publish);

/*
 * Refuses who may not publish in a topic.
 */
static void
check_right(const ActorTopic *topic)
{
	ActorFrame *frame = actor_frame_current();
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_lookup(topic->owner.type);
	if (frame != NULL && actor_text_equal(frame->actor.type, topic->owner.type) &&
		(VARSIZE_ANY_EXHDR(topic->owner.id) == 0 || actor_ref_equal(&frame->actor, &topic->owner)))
		return;
	if (actor_type_owned(topic->owner.type))
		return;
	actor_type_check_usage(type);
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to publish in %s", actor_topic_describe(topic)),
			 errdetail("Methods publish in topics of their own actor and of its type, the owner of the type in all of them.")));
}

/*
 * Sends an event to the subscribers, or leaves that to the scheduler.
 */
static void
send_event(const ActorTopic *topic, const Jsonb *payload)
{
	Jsonb	   *settings = actor_carried();
	List	   *subscribers = NIL;
	bool		waits = actor_fan_out_waits(topic);

	if (!waits)
		subscribers = actor_subscribers(topic, 0, PG_INT64_MAX,
										(int64) actor_publish_limit + 1, 0);
	if (waits || list_length(subscribers) > actor_publish_limit)
		actor_fan_out_later(topic, payload, settings);
	else
		actor_hand_out(topic, subscribers, payload, settings);
}

/*
 * actor_publish
 *		Publishes an event; its number if it is kept, NULL otherwise.
 */
Datum
actor_publish(PG_FUNCTION_ARGS)
{
	ActorTopic	topic;
	Jsonb	   *payload = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	uint64		generation = actor_catalog_generation();
	Interval   *retention;
	int64		number = 0;

	actor_topic_arguments(&topic, fcinfo, 0, 2);
	actor_due_check_write("actor_publish()");
	PreventCommandIfParallelMode("actor_publish()");
	actor_require_preload("events");
	check_right(&topic);
	if (actor_type_share(topic.owner.type,
						 actor_type_call_timeout(actor_type_lookup(topic.owner.type)),
						 generation))
		check_right(&topic);

	/*
	 * with the lock that it takes the order of the numbers is that of the
	 * commits
	 */
	retention = actor_topic_retention(&topic);
	if (retention != NULL)
		number = actor_stream_append(&topic, payload, retention);
	send_event(&topic, payload);
	if (retention == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT64(number);
}
