/*-------------------------------------------------------------------------
 *
 * handout.c
 *		Sending an event to the subscribers of its topic.
 *
 * Each gets a message of the role that has subscribed.  What is read of the
 * subscriptions must be true when the messages are written: nobody renames or
 * unregisters the types meanwhile, nor makes the names of the roles stand for
 * others.  So their locks are shared, and if anything has changed until then
 * the subscriptions are read again.  The rows themselves are not locked: who
 * unsubscribes at the same time waits for nobody.
 *
 * Nothing is sent for a role that is gone, or may not use the schema of the
 * topic any more.
 *
 * IDENTIFICATION
 *		src/event/handout.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "type/type.h"
#include "message/message.h"
#include "event/internal.h"

/* in the order of their numbers, and so of when they have subscribed */
static ActorQuery read_subscribers = {
	"SELECT subscription_id, actor_type, actor_id, method, failure_policy, role_name"
	"  FROM actor.subscription"
	" WHERE topic_type OPERATOR(pg_catalog.=) $1 AND topic_id OPERATOR(pg_catalog.=) $2"
	"   AND topic OPERATOR(pg_catalog.=) $3 AND subscription_id OPERATOR(pg_catalog.>) $4"
	"   AND subscription_id OPERATOR(pg_catalog.<) $5"
	" ORDER BY subscription_id LIMIT $6",
	6, {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID}
};

static ActorSubscriber *
read_subscriber(uint64 row)
{
	ActorSubscriber *subscriber = palloc(sizeof(ActorSubscriber));
	bool		isnull;

	subscriber->id = DatumGetInt64(actor_query_result(row, 1, &isnull));
	actor_ref_init(&subscriber->actor, actor_copy_text(row, 2), actor_copy_text(row, 3));
	subscriber->method = actor_copy_text(row, 4);
	subscriber->failure_policy = actor_copy_jsonb(row, 5);
	subscriber->role_name = *DatumGetName(actor_query_result(row, 6, &isnull));
	return subscriber;
}

/*
 * Reads subscribers as they are now, whatever the isolation level.
 */
static List *
read_all(Datum *values)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	List	   *result = NIL;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_latest(&read_subscribers, values);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		result = lappend(result, read_subscriber(i));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/*
 * actor_share_patiently
 *		Shares the lock of a type, which is waited for that many milliseconds, or as
 *		long as its calls wait if that is 0.  Returns whether what the caller knows
 *		of it since a generation of the catalog may be out of date.  Raises
 *		lock_not_available.
 */
bool
actor_share_patiently(const text *name, int patience, uint64 generation)
{
	ActorType  *type = patience > 0 ? NULL : actor_type_find(name);

	return actor_type_share(name, patience > 0 ? patience :
							type != NULL ? actor_type_call_timeout(type) :
							actor_call_timeout_default, generation);
}

/*
 * Shares the locks of the types and of the names of the roles of subscribers.
 */
static void
share_all(List *subscribers, int patience)
{
	ActorSubscriber *last = NULL;
	ListCell   *cell;

	foreach(cell, subscribers)
	{
		ActorSubscriber *subscriber = lfirst(cell);

		if (last == NULL || !actor_text_equal(last->actor.type, subscriber->actor.type))
			(void) actor_share_patiently(subscriber->actor.type, patience,
										 actor_catalog_generation());
		if (last == NULL || strcmp(NameStr(last->role_name), NameStr(subscriber->role_name)) != 0)
		{
			Oid			role = actor_role_find(&subscriber->role_name);
			NameData	name;

			if (OidIsValid(role))
				actor_role_use(role, &name);
		}
		last = subscriber;
	}
}

/*
 * actor_subscribers
 *		The subscribers of a topic with numbers between these two, up to a limit,
 *		as a list of ActorSubscriber in the current memory context, which is true
 *		until the end of the (sub)transaction.
 *
 * Types are waited for that many milliseconds, or as long as their calls wait if
 * that is 0.  Raises lock_not_available.
 */
List *
actor_subscribers(const ActorTopic *topic, int64 after, int64 before, int64 limit, int patience)
{
	Datum		values[ACTOR_TOPIC_VALUES + 3];
	List	   *result;
	uint64		generation;

	actor_topic_values(topic, values);
	values[ACTOR_TOPIC_VALUES] = Int64GetDatum(after);
	values[ACTOR_TOPIC_VALUES + 1] = Int64GetDatum(before);
	values[ACTOR_TOPIC_VALUES + 2] = Int64GetDatum(limit);
	do
	{
		CHECK_FOR_INTERRUPTS();
		AcceptInvalidationMessages();
		generation = actor_catalog_generation();
		result = read_all(values);
		share_all(result, patience);
		AcceptInvalidationMessages();
	} while (generation != actor_catalog_generation());
	return result;
}

/*
 * Whether a role may have what is published in a topic.
 */
static bool
may_listen(const ActorSubscriber *subscriber, Oid schema)
{
	Oid			role = actor_role_find(&subscriber->role_name);

	return OidIsValid(role) && OidIsValid(schema) &&
		actor_schema_aclcheck(schema, role) == ACLCHECK_OK;
}

/*
 * actor_hand_out
 *		Sends an event to subscribers that actor_subscribers has found.
 */
void
actor_hand_out(const ActorTopic *topic, List *subscribers, const Jsonb *payload,
			   const Jsonb *settings)
{
	ActorType  *type = actor_type_find(topic->owner.type);
	Oid			schema = type != NULL ? type->schema_oid : InvalidOid;
	ActorSubscriber *last = NULL;
	bool		listens = false;
	ListCell   *cell;

	foreach(cell, subscribers)
	{
		ActorSubscriber *subscriber = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (last == NULL || strcmp(NameStr(last->role_name), NameStr(subscriber->role_name)) != 0)
			listens = may_listen(subscriber, schema);
		last = subscriber;
		if (listens)
			actor_message_post(&subscriber->actor, subscriber->method, payload,
							   subscriber->failure_policy, settings, &subscriber->role_name);
	}
}
