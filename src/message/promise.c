/*-------------------------------------------------------------------------
 *
 * promise.c
 *		Promises: a method makes a token, and whoever has it answers the actor,
 *		once, with a message.
 *
 * A promise is a row of actor.promise.  Who settles it deletes the row and sends
 * the message in one transaction; so of several who try at once the others wait
 * for the row, and find it gone or have their turn.  Nobody needs the turn of the
 * actor for that.  Those that expire are settled by the scheduler, which waits
 * for nobody and looks again, and takes so many of each type at a time: those of a
 * type that is not free keep no others waiting.
 *
 * The message is that of the role that made the promise, whose right to call the
 * method was asked for then, and will be at delivery.
 *
 * Lock order: the type, the name of the role, the row.
 *
 * IDENTIFICATION
 *		src/message/promise.c
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
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "reminder/reminder.h"
#include "message/message.h"

PG_FUNCTION_INFO_V1(actor_promise);
PG_FUNCTION_INFO_V1(actor_resolve);
PG_FUNCTION_INFO_V1(actor_reject);

/* most promises of a type that are looked for at once when they have expired */
#define EXPIRE_MAX			1000
/* how soon one is looked at again that somebody has locked, in microseconds */
#define EXPIRE_AGAIN_US		USECS_PER_SEC

static ActorQuery insert_promise = {
	"INSERT INTO actor.promise (actor_type, actor_id, token, method, data, role_name,"
	"  created_at, expires_at, traceparent, settings)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
	10, {TEXTOID, TEXTOID, UUIDOID, TEXTOID, JSONBOID, NAMEOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
	TEXTOID, JSONBOID}
};

/* what has expired is no promise any more for those who would answer it */
#define OPEN_PROMISE \
	" token OPERATOR(pg_catalog.=) $1 AND CASE WHEN $2" \
	"  THEN expires_at OPERATOR(pg_catalog.<=) $3" \
	"  ELSE expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $3 END"

static ActorQuery read_promise = {
	"SELECT actor_type, role_name FROM actor.promise WHERE" OPEN_PROMISE,
	3, {UUIDOID, BOOLOID, TIMESTAMPTZOID}
};

/* by whether to wait for the row */
#define LOCK_PROMISE(skip) \
	{"SELECT actor_id, method, traceparent, settings FROM actor.promise WHERE" OPEN_PROMISE \
	"   AND actor_type OPERATOR(pg_catalog.=) $4" \
	"   AND role_name OPERATOR(pg_catalog.=) $5" \
	"   FOR UPDATE" skip, \
	5, {UUIDOID, BOOLOID, TIMESTAMPTZOID, TEXTOID, NAMEOID}}

static ActorQuery lock_promise[] = {
	LOCK_PROMISE(""),
	LOCK_PROMISE(" SKIP LOCKED")
};

static ActorQuery delete_promise = {
	"DELETE FROM actor.promise WHERE token OPERATOR(pg_catalog.=) $1"
	" RETURNING pg_catalog.jsonb_build_object('promise'::pg_catalog.text, token,"
	"  'state'::pg_catalog.text, $2, 'value'::pg_catalog.text, $3)"
	"  OPERATOR(pg_catalog.||) CASE WHEN data IS NULL THEN '{}'::pg_catalog.jsonb"
	"   ELSE pg_catalog.jsonb_build_object('data'::pg_catalog.text, data) END",
	3, {UUIDOID, TEXTOID, JSONBOID}
};

/* the types that have promises which expire, each found by a step in the index */
#define EXPIRING_TYPES \
	"WITH RECURSIVE types AS (" \
	"  (SELECT actor_type FROM actor.promise WHERE expires_at IS NOT NULL" \
	"    ORDER BY actor_type LIMIT 1)" \
	"  UNION ALL" \
	"  SELECT n.actor_type FROM types t CROSS JOIN LATERAL" \
	"    (SELECT p.actor_type FROM actor.promise p WHERE p.expires_at IS NOT NULL" \
	"        AND p.actor_type OPERATOR(pg_catalog.>) t.actor_type" \
	"      ORDER BY p.actor_type LIMIT 1) n)"

static ActorQuery read_next_expiry = {
	EXPIRING_TYPES
	" SELECT pg_catalog.min(n.expires_at) FROM types t CROSS JOIN LATERAL"
	"  (SELECT p.expires_at FROM actor.promise p WHERE p.expires_at IS NOT NULL"
	"      AND p.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"    ORDER BY p.expires_at LIMIT 1) n",
	0, {0}
};

static ActorQuery read_expired = {
	EXPIRING_TYPES
	" SELECT t.actor_type, e.token FROM types t CROSS JOIN LATERAL"
	"  (SELECT p.token FROM actor.promise p"
	"    WHERE p.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"      AND p.expires_at OPERATOR(pg_catalog.<=) $1"
	"    ORDER BY p.expires_at LIMIT $2) e",
	2, {TIMESTAMPTZOID, INT8OID}
};

/* how a promise is to be settled */
typedef struct Settlement
{
	pg_uuid_t	token;
	const char *state;
	Jsonb	   *value;			/* NULL: none */
	bool		expired;		/* by the scheduler */
	TimestampTz now;
	bool		type_busy;		/* result: that is why it was not settled */
} Settlement;

/* a promise that has expired */
typedef struct Expired
{
	text	   *type;
	pg_uuid_t	token;
} Expired;

/* making ---------------------------------------------------------------- */

/*
 * A payload as the message will have it, to find out whether it fits.
 */
static Jsonb *
sample_payload(Jsonb *data)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"promise\": null, \"state\": null, \"value\": null");
	if (data != NULL)
		appendStringInfoString(&buf, ", \"data\": null");
	appendStringInfoChar(&buf, '}');
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

/*
 * When a promise expires that is made now; DT_NOEND for never, and for what is
 * beyond the end of time.
 */
static TimestampTz
expiry_argument(FunctionCallInfo fcinfo, int number, TimestampTz now)
{
	int64		us;

	if (PG_ARGISNULL(number))
		return DT_NOEND;
	us = actor_interval_us(PG_GETARG_INTERVAL_P(number));
	if (us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be greater than zero")));
	return us < END_TIMESTAMP - now ? now + us : DT_NOEND;
}

Datum
actor_promise(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = actor_frame_required();
	ActorBookkeeping bookkeeping;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires_at;
	NameData	role_name;
	text	   *method;
	text	   *traceparent = actor_traceparent();
	Jsonb	   *data = PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2);
	pg_uuid_t  *token;
	bool		hosted;
	Jsonb	   *settings = actor_carried();
	Datum		values[10];
	char		nulls[10] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("method must not be null")));
	method = PG_GETARG_TEXT_PP(0);
	expires_at = expiry_argument(fcinfo, 1, now);
	actor_due_check_write("actor_promise()");
	PreventCommandIfParallelMode("actor_promise()");
	actor_require_preload("promises");
	(void) actor_check_call(frame->actor.type, frame->actor.id, method, sample_payload(data),
							&hosted);
	if (hosted)
		actor_role_use(GetUserId(), &role_name);
	else
		actor_due_check_role(DUE_MESSAGE, GetUserId(), &role_name);

	token = DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	values[0] = PointerGetDatum(frame->actor.type);
	values[1] = PointerGetDatum(frame->actor.id);
	values[2] = UUIDPGetDatum(token);
	values[3] = PointerGetDatum(method);
	values[4] = PointerGetDatum(data);
	nulls[4] = data == NULL ? 'n' : ' ';
	values[5] = NameGetDatum(&role_name);
	values[6] = TimestampTzGetDatum(now);
	values[7] = TimestampTzGetDatum(expires_at);
	nulls[7] = TIMESTAMP_IS_NOEND(expires_at) ? 'n' : ' ';
	values[8] = PointerGetDatum(traceparent);
	nulls[8] = traceparent == NULL ? 'n' : ' ';
	values[9] = PointerGetDatum(settings);
	nulls[9] = settings == NULL ? 'n' : ' ';
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&insert_promise, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(expires_at);
	PG_RETURN_UUID_P(token);
}

/* settling -------------------------------------------------------------- */

static void
key_values(const Settlement *settlement, Datum *values)
{
	values[0] = UUIDPGetDatum(&settlement->token);
	values[1] = BoolGetDatum(settlement->expired);
	values[2] = TimestampTzGetDatum(settlement->now);
}

/*
 * Reads of which type a promise is, and of which role; false if there is none
 * that is to be settled.
 */
static bool
find_promise(const Settlement *settlement, text **type, NameData *role_name)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	bool		found;

	key_values(settlement, values);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_promise, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;

		*type = actor_copy_text(0, 1);
		*role_name = *DatumGetName(actor_query_result(0, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * Deletes a promise, and sends its message; false if it is not as it was found any
 * more, or somebody has locked it and it is not to be waited for.
 */
static bool
answer_promise(const Settlement *settlement, text *type, NameData *role_name)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	ActorRef	actor;
	text	   *method;
	text	   *traceparent;
	Jsonb	   *payload;
	Jsonb	   *settings;
	Datum		values[5];
	char		nulls[3] = {' ', ' ', ' '};
	MemoryContext old;
	int			nestlevel;

	key_values(settlement, values);
	values[3] = PointerGetDatum(type);
	values[4] = NameGetDatum(role_name);
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&lock_promise[settlement->expired], values, NULL) == 0)
	{
		actor_bookkeeping_end(&bookkeeping);
		return false;
	}
	old = MemoryContextSwitchTo(context);
	actor_ref_init(&actor, type, actor_copy_text(0, 1));
	method = actor_copy_text(0, 2);
	traceparent = actor_copy_text(0, 3);
	settings = actor_copy_jsonb(0, 4);
	MemoryContextSwitchTo(old);

	values[1] = CStringGetTextDatum(settlement->state);
	values[2] = PointerGetDatum(settlement->value);
	nulls[2] = settlement->value == NULL ? 'n' : ' ';
	actor_query_write_one(&delete_promise, values, nulls);
	old = MemoryContextSwitchTo(context);
	payload = actor_copy_jsonb(0, 1);
	MemoryContextSwitchTo(old);
	actor_bookkeeping_end(&bookkeeping);

	nestlevel = actor_trace_begin(traceparent);
	actor_message_post(&actor, method, payload, NULL, settings, role_name);
	actor_trace_end(nestlevel);
	return true;
}

/*
 * Keeps a type from being unregistered; false if it is not free, and not to be
 * waited for.  Raises lock_not_available.
 */
static bool
share_type(Settlement *settlement, const text *type)
{
	ActorType  *known;

	if (settlement->expired)
	{
		settlement->type_busy = !actor_type_try_share(type);
		return !settlement->type_busy;
	}
	known = actor_type_find(type);
	(void) actor_type_share(type, known != NULL ? actor_type_call_timeout(known) : 0,
							actor_catalog_generation());
	return true;
}

/*
 * Settles a promise; false if there is none, or none that can be settled now.
 */
static bool
settle(Settlement *settlement)
{
	text	   *type;
	NameData	role_name;

	while (find_promise(settlement, &type, &role_name))
	{
		CHECK_FOR_INTERRUPTS();
		if (!share_type(settlement, type))
			return false;
		if (!actor_role_keep(&role_name, !settlement->expired))
			return false;
		if (answer_promise(settlement, type, &role_name))
			return true;
		if (settlement->expired)
			return false;
	}
	return false;
}

/*
 * The token in the first argument is settled with the value in the second one.
 */
static Datum
settle_argument(FunctionCallInfo fcinfo, const char *function, const char *state)
{
	Settlement	settlement = {.state = state,.now = GetCurrentTimestamp()};

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("token must not be null")));
	settlement.token = *PG_GETARG_UUID_P(0);
	settlement.value = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	actor_due_check_write(function);
	PreventCommandIfParallelMode(function);
	actor_require_preload("promises");
	AcceptInvalidationMessages();
	if (settle(&settlement))
		PG_RETURN_BOOL(true);
	actor_early_look_everywhere();
	PG_RETURN_BOOL(false);
}

/*
 * actor_resolve
 *		Answers the actor that has made a promise; true if it was open.
 */
Datum
actor_resolve(PG_FUNCTION_ARGS)
{
	return settle_argument(fcinfo, "actor_resolve()", "resolved");
}

/*
 * actor_reject
 *		The same, but that the answer is a refusal.
 */
Datum
actor_reject(PG_FUNCTION_ARGS)
{
	return settle_argument(fcinfo, "actor_reject()", "rejected");
}

/* expiring -------------------------------------------------------------- */

static void
settle_expired(void *arg)
{
	Settlement *settlement = arg;

	(void) settle(settlement);
}

static void *
read_expired_row(uint64 row)
{
	bool		isnull;
	Expired    *expired = palloc(sizeof(Expired));

	expired->type = actor_copy_text(row, 1);
	expired->token = *DatumGetUUIDP(actor_query_result(row, 2, &isnull));
	return expired;
}

/*
 * When the next promise expires, DT_NOEND if none does.
 */
static TimestampTz
next_expiry(void)
{
	ActorBookkeeping bookkeeping;
	Datum		next;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&read_next_expiry, NULL, NULL);
	next = actor_query_result(0, 1, &isnull);
	actor_bookkeeping_end(&bookkeeping);
	return isnull ? DT_NOEND : DatumGetTimestampTz(next);
}

/*
 * actor_promises_expire
 *		Settles promises that have expired, in the current transaction.  Returns
 *		when to look again, DT_NOEND if there is nothing to come.
 *
 * What is not free, or has failed, is tried again after a while.
 */
TimestampTz
actor_promises_expire(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = next_expiry();
	const text *busy = NULL;
	Datum		values[2];
	ListCell   *cell;

	if (next > now)
		return next;
	values[0] = TimestampTzGetDatum(now);
	values[1] = Int64GetDatum(EXPIRE_MAX);
	foreach(cell, actor_query_list(&read_expired, values, read_expired_row))
	{
		Expired    *expired = lfirst(cell);
		Settlement	settlement = {expired->token, "expired",.expired = true,.now = now};
		ErrorData  *error;

		if (busy != NULL && actor_text_equal(busy, expired->type))
			continue;
		error = actor_attempt(settle_expired, &settlement);
		if (error != NULL)
			actor_log_vain(psprintf("could not settle a promise of type \"%s\" that has expired",
									text_to_cstring(expired->type)), error);
		if (settlement.type_busy)
			busy = expired->type;
	}
	return Max(next_expiry(), now + EXPIRE_AGAIN_US);
}
