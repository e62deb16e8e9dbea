/*-------------------------------------------------------------------------
 *
 * each.c
 *		A message to each actor of a type.
 *
 * A row of actor.each says what is sent, and how far that is.  The scheduler
 * walks through the actors of the type in the order of their ids, and sends a
 * batch of messages and moves the row on in one transaction; so whatever ends
 * it, each actor has its message once.  Nobody has to wait for an actor.  Who
 * is there all the time is passed once; who comes or goes meanwhile, perhaps.
 *
 * The scheduler has other things to do, for other roles too.  So it sends so many
 * messages at a time at most, and of each type those that were asked for first.
 *
 * The messages are those of the role that has asked for them, whose right to
 * call the method was asked for then, and will be at delivery.
 *
 * Lock order: the type, the name of the role, the row.
 *
 * IDENTIFICATION
 *		src/message/each.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/uuid.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "call/call.h"
#include "reminder/reminder.h"
#include "message/message.h"

PG_FUNCTION_INFO_V1(actor_each);
PG_FUNCTION_INFO_V1(actor_each_stop);

/* most messages that may wait before there are more */
#define BATCH_MAX			100000
/* most actors of a type that get their message at a time */
#define STEP_MAX			1000
/* when to look again whether the last batch was delivered, in microseconds */
#define LOOK_AGAIN_US		(100 * INT64CONST(1000))
/* the same after an error, or when somebody has locked what it takes */
#define TRY_AGAIN_US		USECS_PER_SEC
/* how long the scheduler waits for a type, in milliseconds */
#define TYPE_WAIT			1

static ActorQuery insert_each = {
	"INSERT INTO actor.each (actor_type, each_id, method, payload, batch, role_name,"
	"  started_at, traceparent, settings, sent)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)",
	9, {TEXTOID, UUIDOID, TEXTOID, JSONBOID, INT4OID, NAMEOID, TIMESTAMPTZOID, TEXTOID, JSONBOID}
};

static ActorQuery delete_old = {
	"DELETE FROM actor.each d USING"
	"  (SELECT e.actor_type, e.each_id FROM actor.each e"
	"    WHERE e.actor_type OPERATOR(pg_catalog.=) $1"
	"      AND e.finished_at OPERATOR(pg_catalog.<) $2 FOR UPDATE SKIP LOCKED) o"
	" WHERE d.actor_type OPERATOR(pg_catalog.=) o.actor_type"
	"   AND d.each_id OPERATOR(pg_catalog.=) o.each_id",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static ActorQuery read_type_of = {
	"SELECT actor_type FROM actor.each"
	" WHERE each_id OPERATOR(pg_catalog.=) $1 AND finished_at IS NULL",
	1, {UUIDOID}
};

static ActorQuery delete_each = {
	"DELETE FROM actor.each WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND each_id OPERATOR(pg_catalog.=) $2 AND finished_at IS NULL",
	2, {TEXTOID, UUIDOID}
};

static ActorQuery read_unfinished = {
	"SELECT DISTINCT ON (actor_type) actor_type, each_id, role_name FROM actor.each"
	" WHERE finished_at IS NULL ORDER BY actor_type, started_at",
	0, {0}
};

static ActorQuery read_unfinished_of_role = {
	"SELECT actor_type, each_id, role_name FROM actor.each"
	" WHERE finished_at IS NULL AND role_name OPERATOR(pg_catalog.=) $1"
	"   AND started_at OPERATOR(pg_catalog.<=) $2 ORDER BY actor_type, started_at",
	2, {NAMEOID, TIMESTAMPTZOID}
};

static ActorQuery lock_each = {
	"SELECT method, payload, batch, traceparent, settings, last_id FROM actor.each"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND each_id OPERATOR(pg_catalog.=) $2"
	"   AND role_name OPERATOR(pg_catalog.=) $3"
	"   AND finished_at IS NULL FOR UPDATE SKIP LOCKED",
	3, {TEXTOID, UUIDOID, NAMEOID}
};

/* the indexes on what is due are one for workers, and one for hosts */
static ActorQuery count_waiting = {
	"SELECT pg_catalog.count(*) FROM"
	" ((SELECT 1 FROM actor.message WHERE NOT hosted"
	"     AND role_name OPERATOR(pg_catalog.=) $1"
	"     AND next_try_at OPERATOR(pg_catalog.<=) $3 LIMIT $4)"
	"  UNION ALL"
	"  (SELECT 1 FROM actor.message WHERE hosted"
	"     AND actor_type OPERATOR(pg_catalog.=) $2"
	"     AND next_try_at OPERATOR(pg_catalog.<=) $3 LIMIT $4)) w",
	4, {NAMEOID, TEXTOID, TIMESTAMPTZOID, INT4OID},.generic = true
};

/*
 * The ids of a batch, each found as the next one after the one before it, so that
 * it costs the same however many actors and keys there are.  What else is asked
 * of a row is written such that no index has it: those on other columns would
 * have all of their rows sorted by id for each one.
 */
#define NEXT_IN(relation, condition, from) \
	"(SELECT actor_id FROM " relation \
	"  WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"    AND actor_id OPERATOR(pg_catalog.>) " from condition \
	"  ORDER BY actor_id LIMIT 1)"
#define NEXT_AFTER(from) \
	"LEAST(" \
	NEXT_IN("actor.state", " AND (expires_at IS NULL OR expires_at" \
			" OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())", from) ", " \
	NEXT_IN("actor.activation", " AND server_start" \
			" OPERATOR(pg_catalog.-) pg_catalog.pg_postmaster_start_time()" \
			" OPERATOR(pg_catalog.=) '0'::pg_catalog.interval", from) ", " \
	NEXT_IN("actor.placement", "", from) ")"

static ActorQuery read_actors = {
	"WITH RECURSIVE walk (next_id, number) AS"
	"  (SELECT " NEXT_AFTER("$2") ", 1"
	"   UNION ALL"
	"   SELECT " NEXT_AFTER("w.next_id") ", w.number OPERATOR(pg_catalog.+) 1 FROM walk w"
	"    WHERE w.next_id IS NOT NULL AND w.number OPERATOR(pg_catalog.<) $3)"
	" SELECT next_id FROM walk WHERE next_id IS NOT NULL ORDER BY number",
	3, {TEXTOID, TEXTOID, INT4OID},.generic = true
};

static ActorQuery move_on = {
	"UPDATE actor.each SET last_id = coalesce($3, last_id), moved_at = $6,"
	"  sent = sent OPERATOR(pg_catalog.+) $4, finished_at = $5"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 AND each_id OPERATOR(pg_catalog.=) $2",
	6, {TEXTOID, UUIDOID, TEXTOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* a row of actor.each that is not finished */
typedef struct Each
{
	text	   *type;
	pg_uuid_t	id;
	NameData	role_name;
	text	   *method;
	Jsonb	   *payload;		/* NULL: none */
	int32		batch;
	text	   *traceparent;	/* NULL: none */
	Jsonb	   *settings;		/* NULL: none */
	text	   *last_id;		/* empty: none has its message yet */
	int			type_wait;		/* how long the type is waited for, in
								 * milliseconds */
	bool		waits_for_name; /* that is waited for, too */
	bool		went_on;		/* a batch was sent, or it is finished */
	TimestampTz again;			/* when to see to it again */
} Each;

/* asking ---------------------------------------------------------------- */

static int32
batch_argument(FunctionCallInfo fcinfo, int number)
{
	int32		batch;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("batch must not be null")));
	batch = PG_GETARG_INT32(number);
	if (batch < 1 || batch > BATCH_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch must be between 1 and %d", BATCH_MAX)));
	return batch;
}

/*
 * Writes a row for the type, and removes those that are kept no longer.
 */
static void
write_each(const Each *each, TimestampTz now)
{
	ActorBookkeeping bookkeeping;
	Datum		values[9];
	char		nulls[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	actor_bookkeeping_begin(&bookkeeping);
	values[0] = PointerGetDatum(each->type);
	values[1] = TimestampTzGetDatum(now - actor_failure_retention * USECS_PER_SEC);
	(void) actor_query_run(&delete_old, values, NULL);

	values[1] = UUIDPGetDatum(&each->id);
	values[2] = PointerGetDatum(each->method);
	values[3] = PointerGetDatum(each->payload);
	nulls[3] = each->payload == NULL ? 'n' : ' ';
	values[4] = Int32GetDatum(each->batch);
	values[5] = NameGetDatum(&each->role_name);
	values[6] = TimestampTzGetDatum(now);
	values[7] = PointerGetDatum(each->traceparent);
	nulls[7] = each->traceparent == NULL ? 'n' : ' ';
	values[8] = PointerGetDatum(each->settings);
	nulls[8] = each->settings == NULL ? 'n' : ' ';
	actor_query_write_one(&insert_each, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor_each
 *		Has a message sent to each actor of a type; returns by what id the
 *		progress is known.
 */
Datum
actor_each(PG_FUNCTION_ARGS)
{
	Each		each = {.traceparent = actor_traceparent(),.settings = actor_carried()};
	TimestampTz now = GetCurrentTimestamp();
	uint64		generation = actor_catalog_generation();
	pg_uuid_t  *result;
	Oid			schema;
	bool		hosted;

	each.type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("method must not be null")));
	each.method = PG_GETARG_TEXT_PP(1);
	each.payload = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	each.batch = batch_argument(fcinfo, 3);

	actor_due_check_write("actor_each()");
	PreventCommandIfParallelMode("actor_each()");
	actor_require_preload("messages");
	AcceptInvalidationMessages();
	actor_type_require_owner(each.type);
	schema = actor_check_call(each.type, NULL, each.method, each.payload, &hosted);
	if (hosted)
	{
		actor_hosted_check_method(each.method);
		actor_role_use(GetUserId(), &each.role_name);
	}
	else
		actor_due_check_role(DUE_MESSAGE, GetUserId(), &each.role_name);
	if (actor_type_share(each.type, actor_type_call_timeout(actor_type_lookup(each.type)),
						 generation))
	{
		actor_type_require_owner(each.type);
		schema = actor_check_call(each.type, NULL, each.method, each.payload, &hosted);
	}
	result = DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	each.id = *result;
	write_each(&each, now);
	actor_type_check_same(each.type, schema, generation);
	actor_wake_at(now);
	PG_RETURN_UUID_P(result);
}

static void *
read_first_text(uint64 row)
{
	return actor_copy_text(row, 1);
}

/*
 * actor_each_stop
 *		Forgets a row that is not finished; true if there was one.  What was sent
 *		stays sent.
 */
Datum
actor_each_stop(PG_FUNCTION_ARGS)
{
	Datum		values[2];
	List	   *types;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("each_id must not be null")));
	actor_due_check_write("actor_each_stop()");
	PreventCommandIfParallelMode("actor_each_stop()");
	AcceptInvalidationMessages();
	values[0] = PG_GETARG_DATUM(0);
	types = actor_query_list(&read_type_of, values, read_first_text);
	/* nobody guesses an id, so it tells nobody anything that there is one */
	if (types == NIL)
		PG_RETURN_BOOL(false);
	actor_type_require_owner(linitial(types));

	values[0] = PointerGetDatum(linitial(types));
	values[1] = PG_GETARG_DATUM(0);
	PG_RETURN_BOOL(actor_query_count(&delete_each, values) > 0);
}

/* sending --------------------------------------------------------------- */

static void *
read_each(uint64 row)
{
	Each	   *each = palloc0(sizeof(Each));
	bool		isnull;

	each->type = actor_copy_text(row, 1);
	each->id = *DatumGetUUIDP(actor_query_result(row, 2, &isnull));
	each->role_name = *DatumGetName(actor_query_result(row, 3, &isnull));
	return each;
}

/*
 * Locks the row, and reads the rest of it; false if it is not as it was found any
 * more, or somebody has locked it.
 */
static bool
lock_row(Each *each)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	bool		found;

	values[0] = PointerGetDatum(each->type);
	values[1] = UUIDPGetDatum(&each->id);
	values[2] = NameGetDatum(&each->role_name);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&lock_each, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;

		each->method = actor_copy_text(0, 1);
		each->payload = actor_copy_jsonb(0, 2);
		each->batch = DatumGetInt32(actor_query_result(0, 3, &isnull));
		each->traceparent = actor_copy_text(0, 4);
		each->settings = actor_copy_jsonb(0, 5);
		each->last_id = actor_copy_text(0, 6);
		if (each->last_id == NULL)
			each->last_id = cstring_to_text("");
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * Whether a batch of messages of the role is still to be delivered, so that more
 * of them would only keep its other messages waiting.
 */
static bool
is_backlogged(const Each *each)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	int64		waiting;
	bool		isnull;

	values[0] = NameGetDatum(&each->role_name);
	values[1] = PointerGetDatum(each->type);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = Int32GetDatum(each->batch);
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&count_waiting, values, NULL);
	waiting = DatumGetInt64(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return waiting >= each->batch;
}

/*
 * Writes down how far it is; the last one who got his message is NULL if nobody
 * did.
 */
static void
write_progress(const Each *each, const text *last_id, int sent, bool finished)
{
	ActorBookkeeping bookkeeping;
	Datum		values[6];
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', ' '};

	values[0] = PointerGetDatum(each->type);
	values[1] = UUIDPGetDatum(&each->id);
	values[2] = PointerGetDatum(last_id);
	nulls[2] = last_id == NULL ? 'n' : ' ';
	values[3] = Int64GetDatum(sent);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[4] = finished ? ' ' : 'n';
	values[5] = values[4];
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&move_on, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Sends a batch, or a part of it, unless the last one is not delivered yet.
 */
static void
send_batch(void *arg)
{
	Each	   *each = arg;
	Datum		values[3];
	int			limit;
	List	   *ids;
	ListCell   *cell;
	int			nestlevel;
	bool		finished;

	each->again = GetCurrentTimestamp() + TRY_AGAIN_US;
	(void) actor_type_share(each->type, each->type_wait, actor_catalog_generation());
	if (!actor_role_keep(&each->role_name, each->waits_for_name))
		return;
	if (!lock_row(each))
		return;
	if (is_backlogged(each))
	{
		each->again = GetCurrentTimestamp() + LOOK_AGAIN_US;
		return;
	}
	limit = Min(each->batch, STEP_MAX);
	values[0] = PointerGetDatum(each->type);
	values[1] = PointerGetDatum(each->last_id);
	values[2] = Int32GetDatum(limit);
	ids = actor_query_list(&read_actors, values, read_first_text);
	nestlevel = actor_trace_begin(each->traceparent);
	foreach(cell, ids)
	{
		ActorRef	actor;

		CHECK_FOR_INTERRUPTS();
		actor_ref_init(&actor, each->type, lfirst(cell));
		actor_message_post(&actor, each->method, each->payload, NULL, each->settings,
						   &each->role_name);
	}
	actor_trace_end(nestlevel);
	finished = list_length(ids) < limit;
	each->went_on = true;
	write_progress(each, ids == NIL ? NULL : llast(ids), list_length(ids), finished);
	each->again = finished ? DT_NOEND : GetCurrentTimestamp();
}

/*
 * actor_each_go_on
 *		Sends a batch of messages for each row that is not finished, in the
 *		current transaction.  Returns when to go on, DT_NOEND if there is nothing
 *		to come.
 *
 * What is not free, or has failed, is tried again after a while.
 */
TimestampTz
actor_each_go_on(void)
{
	TimestampTz again = DT_NOEND;
	ListCell   *cell;

	foreach(cell, actor_query_list(&read_unfinished, NULL, read_each))
	{
		Each	   *each = lfirst(cell);
		ErrorData  *error;

		each->type_wait = TYPE_WAIT;
		error = actor_attempt(send_batch, each);
		if (error != NULL)
		{
			each->again = GetCurrentTimestamp() + TRY_AGAIN_US;
			actor_log_vain(psprintf("could not send to each actor of type \"%s\"",
									text_to_cstring(each->type)), error);
		}
		again = Min(again, each->again);
	}
	return again;
}

/*
 * actor_each_go_on_own
 *		Sends a batch of messages for each row of a role that was asked for until a
 *		time and is not finished.  Returns whether anything was done.
 *
 * What somebody else works on is left to him.  Raises lock_not_available.
 */
bool
actor_each_go_on_own(const NameData *role_name, TimestampTz until)
{
	Datum		values[2] = {NameGetDatum(role_name), TimestampTzGetDatum(until)};
	bool		any = false;
	ListCell   *cell;

	foreach(cell, actor_query_list(&read_unfinished_of_role, values, read_each))
	{
		Each	   *each = lfirst(cell);
		ActorType  *type = actor_type_find(each->type);

		each->waits_for_name = true;
		each->type_wait = type != NULL ? actor_type_call_timeout(type) :
			actor_call_timeout_default;
		send_batch(each);
		any |= each->went_on;
	}
	return any;
}
