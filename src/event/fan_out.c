/*-------------------------------------------------------------------------
 *
 * fan_out.c
 *		Events that the scheduler hands out, because there are many subscribers.
 *
 * Such an event is a row of actor.fan_out, committed by whoever publishes.  The
 * scheduler sends it to the next so many subscribers, and writes down how far it
 * has come in the same transaction; so each gets it once, whatever crashes.  The
 * last step removes the row.
 *
 * Who gets it?  The number of the row is drawn from the sequence that numbers
 * subscriptions.  So it is higher than those of all subscriptions that were
 * committed before the event was published, and lower than those that begin
 * later.  Of these the subscribers get it whose subscription is there when their
 * turn comes.
 *
 * In what order?  Only the first row of a topic is worked on.  Who publishes
 * while there is one adds another one behind it, however few subscribers there
 * are: he draws a higher number, as that of what was committed before is lower.
 * Who finds none has a snapshot in which all messages of earlier events are
 * committed, and so have lower numbers than his.
 *
 * IDENTIFICATION
 *		src/event/fan_out.c
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
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "event/internal.h"

/* most messages that are sent in one transaction */
#define BATCH_MAX			1000
/* most topics that are looked for at once */
#define TOPICS_MAX			100
/* how soon what somebody has locked is tried again, in microseconds */
#define AGAIN_US			USECS_PER_SEC
/* how long a type is waited for, in milliseconds */
#define TYPE_WAIT			1

static ActorQuery read_waiting = {
	"SELECT FROM actor.fan_out WHERE" ACTOR_OF_TOPIC " LIMIT 1",
	ACTOR_TOPIC_VALUES, {TEXTOID, TEXTOID, TEXTOID}
};

static ActorQuery insert_fan_out = {
	"INSERT INTO actor.fan_out (actor_type, actor_id, topic, fan_out_id, payload,"
	"  published_at, done_to, traceparent, settings)"
	" VALUES ($1, $2, $3,"
	"  pg_catalog.nextval('actor.subscription_subscription_id_seq'::pg_catalog.regclass),"
	"  $4, $5, 0, $6, $7)",
	7, {TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TEXTOID, JSONBOID}
};

/* the first row of each topic, by skipping from topic to topic; those of old events first */
static ActorQuery read_firsts = {
	"WITH RECURSIVE f AS ("
	"  (SELECT actor_type, actor_id, topic, fan_out_id FROM actor.fan_out"
	"    ORDER BY actor_type, actor_id, topic, fan_out_id LIMIT 1)"
	"  UNION ALL"
	"  SELECT n.actor_type, n.actor_id, n.topic, n.fan_out_id FROM f CROSS JOIN LATERAL"
	"    (SELECT o.actor_type, o.actor_id, o.topic, o.fan_out_id FROM actor.fan_out o"
	"      WHERE ROW(o.actor_type, o.actor_id, o.topic) OPERATOR(pg_catalog.>)"
	"            ROW(f.actor_type, f.actor_id, f.topic)"
	"      ORDER BY o.actor_type, o.actor_id, o.topic, o.fan_out_id LIMIT 1) n)"
	" SELECT actor_type, actor_id, topic FROM f ORDER BY fan_out_id LIMIT $1",
	1, {INT8OID}
};

static ActorQuery lock_first = {
	"SELECT fan_out_id, payload, done_to, traceparent, settings FROM actor.fan_out"
	" WHERE" ACTOR_OF_TOPIC " ORDER BY fan_out_id LIMIT 1 FOR UPDATE",
	ACTOR_TOPIC_VALUES, {TEXTOID, TEXTOID, TEXTOID}
};

#define OF_ROW " WHERE" ACTOR_OF_TOPIC " AND fan_out_id OPERATOR(pg_catalog.=) $4"

static ActorQuery write_progress = {
	"UPDATE actor.fan_out SET done_to = $5" OF_ROW,
	5, {TEXTOID, TEXTOID, TEXTOID, INT8OID, INT8OID}
};

static ActorQuery delete_fan_out = {
	"DELETE FROM actor.fan_out" OF_ROW,
	4, {TEXTOID, TEXTOID, TEXTOID, INT8OID}
};

/* an event that is being handed out */
typedef struct FanOut
{
	int64		id;
	int64		done_to;
	Jsonb	   *payload;		/* NULL: none */
	text	   *traceparent;	/* NULL: none */
	Jsonb	   *settings;		/* NULL: none */
} FanOut;

/* what is done for a topic at once */
typedef struct Step
{
	ActorTopic *topic;
	int64		limit;			/* messages that may be sent */
	int64		done;			/* those that were, and rows that are gone */
	bool		more;			/* a row may be left */
} Step;

/* for who publishes ----------------------------------------------------- */

/*
 * actor_fan_out_waits
 *		Whether an event of a topic is with the scheduler.
 */
bool
actor_fan_out_waits(const ActorTopic *topic)
{
	Datum		values[ACTOR_TOPIC_VALUES];

	actor_topic_values(topic, values);
	return actor_query_count(&read_waiting, values) > 0;
}

/*
 * actor_fan_out_later
 *		Leaves an event to the scheduler.
 */
void
actor_fan_out_later(const ActorTopic *topic, const Jsonb *payload, const Jsonb *settings)
{
	TimestampTz now = GetCurrentTimestamp();
	text	   *traceparent = actor_traceparent();
	ActorBookkeeping bookkeeping;
	Datum		values[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};

	actor_topic_values(topic, values);
	values[3] = PointerGetDatum(payload);
	nulls[3] = payload == NULL ? 'n' : ' ';
	values[4] = TimestampTzGetDatum(now);
	values[5] = PointerGetDatum(traceparent);
	nulls[5] = traceparent == NULL ? 'n' : ' ';
	values[6] = PointerGetDatum(settings);
	nulls[6] = settings == NULL ? 'n' : ' ';
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&insert_fan_out, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(now);
}

/* for the scheduler ----------------------------------------------------- */

static void *
read_topic(uint64 row)
{
	ActorTopic *topic = palloc(sizeof(ActorTopic));
	bool		isnull;

	actor_topic_init(topic, DatumGetTextPCopy(actor_query_result(row, 1, &isnull)),
					 DatumGetTextPCopy(actor_query_result(row, 2, &isnull)),
					 DatumGetTextPCopy(actor_query_result(row, 3, &isnull)));
	return topic;
}

/*
 * Locks the first event of a topic, and reads it into the current memory context;
 * false if there is none.
 */
static bool
take_first(const ActorTopic *topic, FanOut *event)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[ACTOR_TOPIC_VALUES];
	bool		found;

	actor_topic_values(topic, values);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&lock_first, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum		value;
		bool		isnull;

		event->id = DatumGetInt64(actor_query_result(0, 1, &isnull));
		value = actor_query_result(0, 2, &isnull);
		event->payload = isnull ? NULL : DatumGetJsonbPCopy(value);
		event->done_to = DatumGetInt64(actor_query_result(0, 3, &isnull));
		value = actor_query_result(0, 4, &isnull);
		event->traceparent = isnull ? NULL : DatumGetTextPCopy(value);
		value = actor_query_result(0, 5, &isnull);
		event->settings = isnull ? NULL : DatumGetJsonbPCopy(value);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * Writes down how far an event has come, or that it is over.
 */
static void
write_step(const ActorTopic *topic, const FanOut *event, const ActorSubscriber *last)
{
	ActorBookkeeping bookkeeping;
	Datum		values[5];

	actor_topic_values(topic, values);
	values[3] = Int64GetDatum(event->id);
	actor_bookkeeping_begin(&bookkeeping);
	if (last == NULL)
		actor_query_write_one(&delete_fan_out, values, NULL);
	else
	{
		values[4] = Int64GetDatum(last->id);
		actor_query_write_one(&write_progress, values, NULL);
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Hands out events of a topic, the first one first, to so many subscribers.
 */
static void
hand_out_step(void *arg)
{
	Step	   *step = arg;
	FanOut		event;

	(void) actor_type_share(step->topic->owner.type, TYPE_WAIT, actor_catalog_generation());
	while (step->done < step->limit && take_first(step->topic, &event))
	{
		int64		left = step->limit - step->done;
		List	   *subscribers = actor_subscribers(step->topic, event.done_to, event.id, left,
													TYPE_WAIT);
		bool		over = list_length(subscribers) < left;
		int			nestlevel = actor_trace_begin(event.traceparent);

		actor_hand_out(step->topic, subscribers, event.payload, event.settings);
		actor_trace_end(nestlevel);
		write_step(step->topic, &event, over ? NULL : llast(subscribers));
		step->done += list_length(subscribers) + (over ? 1 : 0);
	}
	/* then there may be more, or less */
	step->more = step->done >= step->limit;
}

/*
 * actor_fan_outs_run
 *		Hands out events to a limited number of subscribers, in the current
 *		transaction.  Returns when to do that again, DT_NOEND if none waits.
 *
 * A topic that is not free, or has failed, is tried again after a while.
 */
TimestampTz
actor_fan_outs_run(void)
{
	Datum		limit = Int64GetDatum(TOPICS_MAX);
	List	   *topics = actor_query_list(&read_firsts, &limit, read_topic);
	int64		left = BATCH_MAX;
	bool		at_once = list_length(topics) == TOPICS_MAX;
	bool		failed = false;
	ListCell   *cell;

	foreach(cell, topics)
	{
		Step		step = {.topic = lfirst(cell),.limit = left};
		ErrorData  *error;

		if (left <= 0)
			at_once = true;
		if (left <= 0)
			break;
		error = actor_attempt(hand_out_step, &step);
		if (error == NULL)
		{
			left -= step.done;
			at_once |= step.more;
			continue;
		}
		failed = true;
		actor_log_vain(psprintf("could not hand out an event of %s",
								actor_topic_describe(step.topic)), error);
	}
	if (at_once && left < BATCH_MAX)
		return GetCurrentTimestamp();
	return failed || at_once ? GetCurrentTimestamp() + AGAIN_US : DT_NOEND;
}
