/*-------------------------------------------------------------------------
 *
 * topic.c
 *		Topics: how they are named, whose they are, and whether their events are
 *		kept.
 *
 * A topic is the name of something that an actor, or a type, publishes.  It need
 * not be made.  One that belongs to a type has an empty id, which no actor has.
 *
 * IDENTIFICATION
 *		src/event/topic.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "reminder/reminder.h"
#include "event/internal.h"

PG_FUNCTION_INFO_V1(actor_keep_events);

static ActorQuery read_retention = {
	"SELECT retention FROM actor.topic WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND topic OPERATOR(pg_catalog.=) $2",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery write_retention = {
	"INSERT INTO actor.topic (actor_type, topic, retention) VALUES ($1, $2, $3)"
	" ON CONFLICT (actor_type, topic) DO UPDATE SET retention = EXCLUDED.retention",
	3, {TEXTOID, TEXTOID, INTERVALOID}
};

static ActorQuery delete_retention = {
	"DELETE FROM actor.topic WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND topic OPERATOR(pg_catalog.=) $2",
	2, {TEXTOID, TEXTOID}
};

/*
 * actor_topic_init
 *		Makes a topic of that name; the texts are not copied.
 */
void
actor_topic_init(ActorTopic *topic, text *type, text *id, text *name)
{
	actor_ref_init(&topic->owner, type, id);
	topic->name = name;
	topic->hash = actor_hash_slice(name, topic->owner.hash);
}

/*
 * actor_topic_arguments
 *		The topic that arguments name: its name, and type and id of whom it belongs
 *		to, which are next to each other.  Without a type it is the running actor.
 *
 * Raises null_value_not_allowed, invalid_parameter_value.
 */
void
actor_topic_arguments(ActorTopic *topic, FunctionCallInfo fcinfo, int name_number,
					  int type_number)
{
	ActorFrame *frame = actor_frame_current();
	int			id_number = type_number + 1;
	text	   *name = actor_text_argument(fcinfo, name_number, "topic", ACTOR_MAX_NAME_LEN);
	text	   *type;
	text	   *id;

	if (PG_ARGISNULL(type_number) && (frame == NULL || !PG_ARGISNULL(id_number)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("topic_type must not be null"),
				 errdetail("Only in a method, and without topic_id, it stands for the running actor.")));
	if (PG_ARGISNULL(type_number))
	{
		actor_topic_init(topic, frame->actor.type, frame->actor.id, name);
		return;
	}
	type = actor_text_argument(fcinfo, type_number, "topic type", ACTOR_MAX_TYPE_LEN);
	id = PG_ARGISNULL(id_number) ? cstring_to_text("") :
		actor_text_argument(fcinfo, id_number, "topic id", ACTOR_MAX_NAME_LEN);
	actor_topic_init(topic, type, id, name);
}

/*
 * actor_topic_values
 *		The values by which statements find a topic.
 */
void
actor_topic_values(const ActorTopic *topic, Datum *values)
{
	values[0] = PointerGetDatum(topic->owner.type);
	values[1] = PointerGetDatum(topic->owner.id);
	values[2] = PointerGetDatum(topic->name);
}

/*
 * actor_topic_describe
 *		A topic, for messages.
 */
char *
actor_topic_describe(const ActorTopic *topic)
{
	char	   *name = text_to_cstring(topic->name);
	char	   *type = text_to_cstring(topic->owner.type);

	if (VARSIZE_ANY_EXHDR(topic->owner.id) == 0)
		return psprintf("topic \"%s\" of actor type \"%s\"", name, type);
	return psprintf("topic \"%s\" of actor \"%s\" of type \"%s\"", name,
					text_to_cstring(topic->owner.id), type);
}

/*
 * actor_topic_retention
 *		For how long events of a topic are kept; NULL if they are not.
 */
Interval *
actor_topic_retention(const ActorTopic *topic)
{
	MemoryContext context = CurrentMemoryContext;
	ActorFrame *frame = actor_frame_current();
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {PointerGetDatum(topic->owner.type), PointerGetDatum(topic->name)};
	Interval   *result = NULL;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_read(&read_retention, values, NULL,
						 frame != NULL ? frame->snapshot : NULL) > 0)
	{
		result = MemoryContextAlloc(context, sizeof(Interval));
		*result = *DatumGetIntervalP(actor_query_result(0, 1, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/* a topic whose lock is waited for */
static void
wait_for_topic(const void *arg)
{
	const ActorTopic *topic = arg;

	(void) actor_lock(ACTOR_LOCK_TOPIC, topic->hash, ExclusiveLock, true);
}

/*
 * actor_topic_lock
 *		Takes a topic until the end of the (sub)transaction, so that nobody else
 *		publishes there, if its events are kept.  Waits as long as a call of the
 *		type would wait for a turn, and raises lock_not_available then.
 */
void
actor_topic_lock(const ActorTopic *topic)
{
	int			timeout = actor_type_call_timeout(actor_type_lookup(topic->owner.type));

	if (actor_lock_try(ACTOR_LOCK_TOPIC, topic->hash))
		return;
	if (!actor_lock_waiting_allowed())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("%s is not free", actor_topic_describe(topic)),
				 errdetail("Another transaction has published there and is not over.")));
	if (!actor_lock_within(timeout, 0, wait_for_topic, topic))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("%s was not free within %d ms", actor_topic_describe(topic), timeout),
				 errdetail("Another transaction has published there and is not over."),
				 errhint("\"%s\" limits the wait.", "actor.call_timeout")));
}

/*
 * actor_keep_events
 *		Says for how long events of that name are kept which a type or its actors
 *		publish from now on.
 */
Datum
actor_keep_events(PG_FUNCTION_ARGS)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	text	   *name = actor_text_argument(fcinfo, 1, "topic", ACTOR_MAX_NAME_LEN);
	uint64		generation = actor_catalog_generation();
	ActorBookkeeping bookkeeping;
	Datum		values[3] = {PointerGetDatum(type), PointerGetDatum(name)};

	if (!PG_ARGISNULL(2))
	{
		Interval   *retention = PG_GETARG_INTERVAL_P(2);

		if (actor_interval_us(retention) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("retention must be greater than zero")));
		values[2] = IntervalPGetDatum(retention);
	}
	AcceptInvalidationMessages();
	actor_type_require_owner(type);
	actor_due_check_write("actor_keep_events()");
	PreventCommandIfParallelMode("actor_keep_events()");
	if (actor_type_share(type, actor_type_call_timeout(actor_type_get(type)), generation))
		actor_type_require_owner(type);
	actor_bookkeeping_begin(&bookkeeping);
	if (PG_ARGISNULL(2))
		(void) actor_query_run(&delete_retention, values, NULL);
	else
		actor_query_write_one(&write_retention, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	PG_RETURN_VOID();
}
