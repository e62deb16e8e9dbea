/*-------------------------------------------------------------------------
 *
 * subscribe.c
 *		Subscribing to topics, and ending that.
 *
 * A subscription is a row of actor.subscription.  It takes neither a turn nor a
 * lock of the topic, so it never waits for who publishes: an event is for those
 * whose row is committed when it is published.  Numbers of subscriptions tell
 * that later; see fan_out.c.
 *
 * Events are messages of the role that has subscribed.  It needs EXECUTE on the
 * method then, and again at delivery; and USAGE of the schema of the topic's type
 * whenever something is published there.
 *
 * Lock order: the types, the name of the role, the row.
 *
 * IDENTIFICATION
 *		src/event/subscribe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "reminder/reminder.h"
#include "event/internal.h"

PG_FUNCTION_INFO_V1(actor_subscribe);
PG_FUNCTION_INFO_V1(actor_unsubscribe);

/* arguments of actor_subscribe; those of the other one are not in these places */
enum
{
	ARG_TOPIC,
	ARG_TYPE,
	ARG_ID,
	ARG_METHOD,
	ARG_TOPIC_TYPE,
	ARG_TOPIC_ID,
	ARG_FAILURE_POLICY
};

#define ARG_END_TOPIC_TYPE	3

/* the values of the key, which come first */
#define KEY_VALUES	5
#define KEY_TYPES	TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID
#define WHERE_KEY \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND topic_type OPERATOR(pg_catalog.=) $3 AND topic_id OPERATOR(pg_catalog.=) $4" \
	"   AND topic OPERATOR(pg_catalog.=) $5"

static ActorQuery insert_subscription = {
	"INSERT INTO actor.subscription (actor_type, actor_id, topic_type, topic_id, topic,"
	"  method, failure_policy, role_name, subscribed_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
	9, {KEY_TYPES, TEXTOID, JSONBOID, NAMEOID, TIMESTAMPTZOID}
};

static ActorQuery read_subscription = {
	"SELECT role_name FROM actor.subscription" WHERE_KEY,
	KEY_VALUES, {KEY_TYPES}
};

static ActorQuery lock_subscription = {
	"SELECT role_name FROM actor.subscription" WHERE_KEY " FOR UPDATE",
	KEY_VALUES, {KEY_TYPES}
};

static ActorQuery update_subscription = {
	"UPDATE actor.subscription"
	" SET method = $6, failure_policy = $7, role_name = $8, subscribed_at = $9" WHERE_KEY,
	9, {KEY_TYPES, TEXTOID, JSONBOID, NAMEOID, TIMESTAMPTZOID}
};

static ActorQuery delete_subscription = {
	"DELETE FROM actor.subscription" WHERE_KEY,
	KEY_VALUES, {KEY_TYPES}
};

static void
key_values(const ActorRef *actor, const ActorTopic *topic, Datum *values)
{
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	actor_topic_values(topic, values + 2);
}

/*
 * Refuses who may not call the method, or may not use the schema of the topic.
 * Returns whether the method is one of an application.
 */
static bool
check_rights(const ActorRef *actor, text *method, const ActorTopic *topic)
{
	ActorType  *type;
	bool		hosted;

	AcceptInvalidationMessages();
	actor_type_check_usage(actor_type_lookup(topic->owner.type));
	type = actor_type_lookup(actor->type);
	actor_type_check_usage(type);
	hosted = actor_method_is_hosted(type, method);
	if (hosted)
	{
		actor_check_text(method, false, "method", ACTOR_MAX_NAME_LEN);
		actor_hosted_check_method(method);
		actor_hosted_check_name(actor->id, "actor id");
	}
	else
		actor_method_check_acl(actor_method_lookup(type, method));
	return hosted;
}

/*
 * Shares the locks of the types of a subscription; returns whether what is known
 * of them since a generation may be out of date.
 */
static bool
share_types(const ActorRef *actor, const ActorTopic *topic, uint64 generation)
{
	bool		changed = actor_share_patiently(actor->type, 0, generation);

	return actor_share_patiently(topic->owner.type, 0, generation) || changed;
}

/*
 * Whether the current user may change whatever subscriptions an actor has.
 */
static bool
may_change_all(const ActorRef *actor)
{
	ActorFrame *frame = actor_frame_current();

	return (frame != NULL && actor_ref_equal(&frame->actor, actor)) ||
		actor_type_owned(actor->type);
}

static void
refuse(const ActorRef *actor, const ActorTopic *topic)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for the subscription of actor \"%s\" of type \"%s\" to %s",
					text_to_cstring(actor->id), text_to_cstring(actor->type),
					actor_topic_describe(topic)),
			 errdetail("It belongs to the role that has subscribed and to the owner of the type.")));
}

/*
 * Writes a subscription; returns whether there was none.
 */
static bool
write_row(const ActorRef *actor, const ActorTopic *topic, Datum *values, const char *nulls)
{
	NameData	role_name;

	for (;;)
	{
		ActorBookkeeping bookkeeping;
		bool		done;

		CHECK_FOR_INTERRUPTS();
		actor_bookkeeping_begin(&bookkeeping);
		done = actor_query_run(&insert_subscription, values, nulls) > 0;
		actor_bookkeeping_end(&bookkeeping);
		if (done)
			return true;
		/* it may be gone by now */
		if (!actor_role_of_row(&lock_subscription, values, &role_name))
			continue;
		if (!may_change_all(actor) && !actor_role_held(&role_name))
			refuse(actor, topic);
		actor_bookkeeping_begin(&bookkeeping);
		actor_query_write_one(&update_subscription, values, nulls);
		actor_bookkeeping_end(&bookkeeping);
		return false;
	}
}

/*
 * actor_subscribe
 *		Lets an actor get the events of a topic, or get them in another way.
 */
Datum
actor_subscribe(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	ActorTopic	topic;
	text	   *method;
	Jsonb	   *policy = PG_ARGISNULL(ARG_FAILURE_POLICY) ? NULL :
	PG_GETARG_JSONB_P(ARG_FAILURE_POLICY);
	uint64		generation = actor_catalog_generation();
	ActorRetryPolicy parsed;
	bool		passes;
	bool		hosted;
	NameData	role_name;
	Datum		values[9];
	char		nulls[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	actor_topic_arguments(&topic, fcinfo, ARG_TOPIC, ARG_TOPIC_TYPE);
	actor_ref_init(&actor,
				   actor_text_argument(fcinfo, ARG_TYPE, "actor type", ACTOR_MAX_TYPE_LEN),
				   actor_text_argument(fcinfo, ARG_ID, "actor id", ACTOR_MAX_NAME_LEN));
	if (PG_ARGISNULL(ARG_METHOD))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("method must not be null")));
	method = PG_GETARG_TEXT_PP(ARG_METHOD);
	actor_message_policy_parse(policy, &parsed, &passes);
	actor_due_check_write("actor_subscribe()");
	PreventCommandIfParallelMode("actor_subscribe()");
	actor_require_preload("subscriptions");

	hosted = check_rights(&actor, method, &topic);
	if (share_types(&actor, &topic, generation))
		hosted = check_rights(&actor, method, &topic);
	if (hosted)
		actor_role_use(GetUserId(), &role_name);
	else
		actor_due_check_role(DUE_MESSAGE, GetUserId(), &role_name);

	key_values(&actor, &topic, values);
	values[5] = PointerGetDatum(method);
	values[6] = PointerGetDatum(policy);
	nulls[6] = policy == NULL ? 'n' : ' ';
	values[7] = NameGetDatum(&role_name);
	values[8] = TimestampTzGetDatum(GetCurrentTimestamp());
	PG_RETURN_BOOL(write_row(&actor, &topic, values, nulls));
}

/*
 * Whether there is a subscription, which a statement may lock.  Refuses who may not
 * end it; who may not use the schema of the type is not told whether there is one.
 */
static bool
check_end(ActorQuery *query, const ActorRef *actor, const ActorTopic *topic, Datum *values)
{
	NameData	role_name;
	bool		exists = actor_role_of_row(query, values, &role_name);

	if (may_change_all(actor) || actor_type_owned(topic->owner.type) ||
		(exists && actor_role_held(&role_name)))
		return exists;
	actor_type_check_usage(actor_type_lookup(actor->type));
	if (exists)
		refuse(actor, topic);
	return false;
}

/*
 * actor_unsubscribe
 *		Ends a subscription; false if there is none.  Events that are messages
 *		already stay under way.
 */
Datum
actor_unsubscribe(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	ActorTopic	topic;
	Datum		values[KEY_VALUES];
	bool		exists;

	actor_topic_arguments(&topic, fcinfo, ARG_TOPIC, ARG_END_TOPIC_TYPE);
	actor_ref_init(&actor,
				   actor_text_argument(fcinfo, ARG_TYPE, "actor type", ACTOR_MAX_TYPE_LEN),
				   actor_text_argument(fcinfo, ARG_ID, "actor id", ACTOR_MAX_NAME_LEN));
	AcceptInvalidationMessages();
	actor_type_require(actor.type);
	actor_due_check_write("actor_unsubscribe()");
	PreventCommandIfParallelMode("actor_unsubscribe()");
	key_values(&actor, &topic, values);

	/* strangers get no lock */
	(void) check_end(&read_subscription, &actor, &topic, values);
	(void) share_types(&actor, &topic, actor_catalog_generation());
	exists = check_end(&lock_subscription, &actor, &topic, values);
	if (!exists)
	{
		actor_early_look_everywhere();
		PG_RETURN_BOOL(false);
	}
	PG_RETURN_BOOL(actor_query_count(&delete_subscription, values) > 0);
}
