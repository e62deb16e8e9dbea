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
 * A session that fires what is due by itself hands out in the same way what is its
 * own.  A row is locked by who works on it, and others do not wait for that.
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

static ActorQuery read_first = {
	"SELECT fan_out_id, published_at, xmin FROM actor.fan_out"
	" WHERE" ACTOR_OF_TOPIC " ORDER BY fan_out_id LIMIT 1",
	ACTOR_TOPIC_VALUES, {TEXTOID, TEXTOID, TEXTOID}
};

#define OF_ROW " WHERE" ACTOR_OF_TOPIC " AND fan_out_id OPERATOR(pg_catalog.=) $4"

/* not the next one if the first one is locked, which must come before */
static ActorQuery lock_event = {
	"SELECT payload, done_to, traceparent, settings FROM actor.fan_out" OF_ROW
	" FOR UPDATE SKIP LOCKED",
	4, {TEXTOID, TEXTOID, TEXTOID, INT8OID}
};

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

/* the first event of a topic, as far as that is known without a lock */
typedef struct FirstEvent
{
	int64		id;
	TimestampTz published_at;
	TransactionId writer;
} FirstEvent;

/* what is done for a topic at once */
typedef struct Step
{
	ActorTopic *topic;
	int			patience;		/* see actor_subscribers */
	int64		limit;			/* messages that may be sent */
	TimestampTz until;			/* only what was published until then */
	bool		foreign;		/* also what other transactions have published */
	int64		done;			/* messages that were sent, and rows that are
								 * gone */
	bool		more;			/* a row may be left */
	bool		busy;			/* somebody else works on the first one */
} Step;

/* for who publishes ----------------------------------------------------- */

/*
 * actor_fan_out_waits
 *		Whether an event of a topic is with the scheduler now, whatever the
 *		isolation level: one that was published before must not be overtaken.
 */
bool
actor_fan_out_waits(const ActorTopic *topic)
{
	ActorBookkeeping bookkeeping;
	Datum		values[ACTOR_TOPIC_VALUES];
	bool		waits;

	actor_topic_values(topic, values);
	actor_bookkeeping_begin(&bookkeeping);
	waits = actor_query_latest(&read_waiting, values) > 0;
	actor_bookkeeping_end(&bookkeeping);
	return waits;
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

/* for who hands out ----------------------------------------------------- */

static void *
read_topic(uint64 row)
{
	ActorTopic *topic = palloc(sizeof(ActorTopic));

	actor_topic_init(topic, actor_copy_text(row, 1), actor_copy_text(row, 2),
					 actor_copy_text(row, 3));
	return topic;
}

/*
 * The topics with events that wait, up to a limit, as a list of ActorTopic in the
 * current memory context.
 */
static List *
read_topics(int64 limit)
{
	Datum		value = Int64GetDatum(limit);

	return actor_query_list(&read_firsts, &value, read_topic);
}

static void *
read_first_event(uint64 row)
{
	FirstEvent *first = palloc(sizeof(FirstEvent));
	bool		isnull;

	first->id = DatumGetInt64(actor_query_result(row, 1, &isnull));
	first->published_at = DatumGetTimestampTz(actor_query_result(row, 2, &isnull));
	first->writer = DatumGetTransactionId(actor_query_result(row, 3, &isnull));
	return first;
}

/*
 * The number of the first event of a topic; 0 if there is none that is to be handed
 * out.
 */
static int64
next_event(const Step *step)
{
	Datum		values[ACTOR_TOPIC_VALUES];
	FirstEvent *first;
	List	   *rows;

	actor_topic_values(step->topic, values);
	rows = actor_query_list(&read_first, values, read_first_event);
	if (rows == NIL)
		return 0;
	first = linitial(rows);
	if (first->published_at > step->until ||
		!(step->foreign || TransactionIdIsCurrentTransactionId(first->writer)))
		return 0;
	return first->id;
}

static void *
read_event(uint64 row)
{
	FanOut	   *event = palloc(sizeof(FanOut));
	bool		isnull;

	event->payload = actor_copy_jsonb(row, 1);
	event->done_to = DatumGetInt64(actor_query_result(row, 2, &isnull));
	event->traceparent = actor_copy_text(row, 3);
	event->settings = actor_copy_jsonb(row, 4);
	return event;
}

/*
 * Locks an event of a topic, and reads it into the current memory context; NULL if
 * somebody else has locked it, or it is gone.
 */
static FanOut *
take_event(const ActorTopic *topic, int64 id)
{
	Datum		values[ACTOR_TOPIC_VALUES + 1];
	FanOut	   *event;
	List	   *rows;

	actor_topic_values(topic, values);
	values[ACTOR_TOPIC_VALUES] = Int64GetDatum(id);
	rows = actor_query_list(&lock_event, values, read_event);
	if (rows == NIL)
		return NULL;
	event = linitial(rows);
	event->id = id;
	return event;
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
	int64		id;

	while (step->done < step->limit && !step->busy && (id = next_event(step)) != 0)
	{
		int64		left = Min(step->limit - step->done, BATCH_MAX);
		List	   *subscribers;
		FanOut	   *event;
		bool		over;
		int			nestlevel;

		CHECK_FOR_INTERRUPTS();
		(void) actor_share_patiently(step->topic->owner.type, step->patience,
									 actor_catalog_generation());
		event = take_event(step->topic, id);
		step->busy = event == NULL;
		if (step->busy)
			break;
		subscribers = actor_subscribers(step->topic, event->done_to, id, left, step->patience);
		over = list_length(subscribers) < left;
		nestlevel = actor_trace_begin(event->traceparent);
		actor_hand_out(step->topic, subscribers, event->payload, event->settings);
		actor_trace_end(nestlevel);
		write_step(step->topic, event, over ? NULL : llast(subscribers));
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
	List	   *topics = read_topics(TOPICS_MAX);
	int64		left = BATCH_MAX;
	bool		at_once = list_length(topics) == TOPICS_MAX;
	bool		later = false;
	ListCell   *cell;

	foreach(cell, topics)
	{
		Step		step = {
			.topic = lfirst(cell),.patience = TYPE_WAIT,.limit = left,
			.until = DT_NOEND,.foreign = true
		};
		ErrorData  *error;

		if (left <= 0)
			at_once = true;
		if (left <= 0)
			break;
		error = actor_attempt(hand_out_step, &step);
		later |= error != NULL || step.busy;
		if (error == NULL)
		{
			left -= step.done;
			at_once |= step.more;
			continue;
		}
		actor_log_vain(psprintf("could not hand out an event of %s",
								actor_topic_describe(step.topic)), error);
	}
	if (at_once && left < BATCH_MAX)
		return GetCurrentTimestamp();
	return later || at_once ? GetCurrentTimestamp() + AGAIN_US : DT_NOEND;
}

/*
 * actor_fan_outs_run_own
 *		Hands out, in the current transaction, what was published until a time in
 *		topics of types of the current user, and what this transaction has published
 *		in others.  Returns whether there was anything.
 *
 * What somebody else works on is left to him.  Raises lock_not_available.
 */
bool
actor_fan_outs_run_own(TimestampTz until)
{
	bool		any = false;
	ListCell   *cell;

	foreach(cell, read_topics(PG_INT64_MAX))
	{
		ActorTopic *topic = lfirst(cell);
		Step		step = {
			.topic = topic,.limit = PG_INT64_MAX,.until = until,
			.foreign = actor_type_owned(topic->owner.type)
		};

		hand_out_step(&step);
		any |= step.done > 0;
	}
	return any;
}
