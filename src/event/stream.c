/*-------------------------------------------------------------------------
 *
 * stream.c
 *		The events of a topic that are kept: writing and reading them.
 *
 * Numbers of a topic have no gaps, and are committed in their order, as each is
 * drawn with the lock of the topic, which is held until the commit.  So whoever
 * has read up to a number misses nothing if he goes on behind it.
 *
 * Each event is notified, so that readers need not look in vain.  Whoever wants
 * can listen, so a notification has nothing but the keyed hash of the topic,
 * which means something only to those who may read the events.
 *
 * IDENTIFICATION
 *		src/event/stream.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "event/internal.h"

PG_FUNCTION_INFO_V1(actor_events);
PG_FUNCTION_INFO_V1(actor_event_source);

static ActorQuery draw_number = {
	"INSERT INTO actor.stream AS s (actor_type, actor_id, topic, last_event)"
	" VALUES ($1, $2, $3, 1) ON CONFLICT (actor_type, actor_id, topic)"
	" DO UPDATE SET last_event = s.last_event OPERATOR(pg_catalog.+) 1"
	" RETURNING last_event",
	ACTOR_TOPIC_VALUES, {TEXTOID, TEXTOID, TEXTOID}
};

static ActorQuery insert_event = {
	"INSERT INTO actor.event (actor_type, actor_id, topic, event_id, payload, published_at,"
	"  expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
	7, {TEXTOID, TEXTOID, TEXTOID, INT8OID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static ActorQuery read_events = {
	"SELECT event_id, published_at, payload FROM actor.event WHERE" ACTOR_OF_TOPIC
	"   AND event_id OPERATOR(pg_catalog.>) $4"
	"   AND expires_at OPERATOR(pg_catalog.>) $5"
	" ORDER BY event_id LIMIT $6",
	6, {TEXTOID, TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT8OID}
};

static ActorQuery read_last = {
	"SELECT last_event FROM actor.stream WHERE" ACTOR_OF_TOPIC,
	ACTOR_TOPIC_VALUES, {TEXTOID, TEXTOID, TEXTOID}
};

/* writing --------------------------------------------------------------- */

static char *
notification(const ActorTopic *topic)
{
	return psprintf("%016llx", (unsigned long long) topic->hash);
}

static int64
next_number(const ActorTopic *topic)
{
	ActorBookkeeping bookkeeping;
	Datum		values[ACTOR_TOPIC_VALUES];
	int64		number;
	bool		isnull;

	actor_topic_values(topic, values);
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&draw_number, values, NULL);
	number = DatumGetInt64(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return number;
}

/*
 * actor_stream_append
 *		Keeps an event for a time; returns its number.  Nobody else publishes in
 *		the topic until the transaction ends.
 */
int64
actor_stream_append(const ActorTopic *topic, const Jsonb *payload, const Interval *retention)
{
	TimestampTz now;
	TimestampTz expires_at;
	int64		us = actor_interval_us(retention);
	ActorBookkeeping bookkeeping;
	Datum		values[7];
	char		nulls[7] = {' ', ' ', ' ', ' ', ' ', ' ', ' '};
	int64		number;

	actor_topic_lock(topic);
	number = next_number(topic);
	now = GetCurrentTimestamp();
	expires_at = us < END_TIMESTAMP - now ? now + us : DT_NOEND;
	actor_topic_values(topic, values);
	values[3] = Int64GetDatum(number);
	values[4] = PointerGetDatum(payload);
	nulls[4] = payload == NULL ? 'n' : ' ';
	values[5] = TimestampTzGetDatum(now);
	values[6] = TimestampTzGetDatum(expires_at);
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&insert_event, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	if (!TIMESTAMP_IS_NOEND(expires_at))
		actor_wake_at(actor_purge_time(expires_at));
	Async_Notify(ACTOR_EVENT_CHANNEL, notification(topic));
	return number;
}

/* reading --------------------------------------------------------------- */

/*
 * Refuses who may not use the schema of a topic.
 */
static void
check_right(const ActorTopic *topic)
{
	AcceptInvalidationMessages();
	actor_type_check_usage(actor_type_lookup(topic->owner.type));
}

static int64
limit_argument(FunctionCallInfo fcinfo, int number)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "max_rows")));
	if (PG_GETARG_INT32(number) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero", "max_rows")));
	return PG_GETARG_INT32(number);
}

/*
 * actor_events
 *		Reads events of a topic, after one of them.
 */
Datum
actor_events(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ActorFrame *frame = actor_frame_current();
	ActorBookkeeping bookkeeping;
	ActorTopic	topic;
	Datum		values[6];
	uint64		rows;

	actor_topic_arguments(&topic, fcinfo, 0, 1);
	if (PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "after")));
	actor_topic_values(&topic, values);
	values[3] = PG_GETARG_DATUM(3);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[5] = Int64GetDatum(limit_argument(fcinfo, 4));
	check_right(&topic);
	InitMaterializedSRF(fcinfo, 0);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_read(&read_events, values, NULL, frame != NULL ? frame->snapshot : NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		Datum		row[3];
		bool		nulls[3];

		for (int column = 0; column < 3; column++)
			row[column] = actor_query_result(i, column + 1, &nulls[column]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, nulls);
	}
	actor_bookkeeping_end(&bookkeeping);
	actor_early_look_everywhere();
	if (frame == NULL)
		actor_early_answer();
	return (Datum) 0;
}

/*
 * actor.event_source
 *		What a program must know that shows the events of a topic as they come.
 */
Datum
actor_event_source(PG_FUNCTION_ARGS)
{
	ActorBookkeeping bookkeeping;
	ActorTopic	topic;
	TupleDesc	tupdesc;
	Datum		key[ACTOR_TOPIC_VALUES];
	Datum		values[3];
	bool		nulls[3] = {false, false, false};
	int64		last = 0;
	bool		isnull;

	actor_topic_arguments(&topic, fcinfo, 0, 1);
	check_right(&topic);
	values[0] = BoolGetDatum(actor_topic_retention(&topic) != NULL);
	actor_topic_values(&topic, key);
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&read_last, key, NULL) > 0)
		last = DatumGetInt64(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	actor_early_look_everywhere();
	actor_early_answer();
	values[1] = Int64GetDatum(last);
	values[2] = CStringGetTextDatum(notification(&topic));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls));
}
