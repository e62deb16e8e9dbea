/*-------------------------------------------------------------------------
 *
 * request.c
 *		Request ids: the second call, or message, with the same id of the same
 *		actor returns what the first one returned, and does nothing.
 *
 * The row of a request is written in the transaction of its effect.  That of a
 * call is looked up with the actor's turn held, so two calls with one id that
 * arrive at once do not both run: the second waits for the turn, and then finds
 * the row.  Sending does not take the turn: there the second waits for the row
 * itself, as for any unique key.  A call that finds only after its method has
 * run that the id was used for a message meanwhile fails.
 *
 * An id stands for one call or message, not only for one name: the same id with
 * another method, payload or role is refused, and nothing of the stored row is
 * shown.
 *
 * The row of a message is kept while that waits, and gets its result, in the
 * transaction of its delivery; see message/result.c.
 *
 * IDENTIFICATION
 *		src/call/request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "call/call.h"

static ActorQuery read_request = {
	"SELECT method, payload_hash, role_name, result, message_id FROM actor.request"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND request_id OPERATOR(pg_catalog.=) $3"
	"   AND (finished_at IS NULL OR finished_at OPERATOR(pg_catalog.>) $4)",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

#define VALUES_OF_KEY_AND_CALL "$1, $2, $3, $4, $5, $6, "

/* there can be a row of that id: one that is kept no longer, or of a message */
static ActorQuery write_request = {
	"INSERT INTO actor.request AS r (actor_type, actor_id, request_id, method,"
	"  payload_hash, role_name, created_at, result, finished_at, state)"
	" VALUES (" VALUES_OF_KEY_AND_CALL "$7, $9, $7, 'done')"
	" ON CONFLICT (actor_type, actor_id, request_id) DO UPDATE SET"
	"  method = EXCLUDED.method,"
	"  payload_hash = EXCLUDED.payload_hash,"
	"  role_name = EXCLUDED.role_name,"
	"  result = EXCLUDED.result,"
	"  message_id = NULL,"
	"  created_at = EXCLUDED.created_at,"
	"  finished_at = EXCLUDED.finished_at,"
	"  state = EXCLUDED.state,"
	"  error = NULL,"
	"  status = NULL, content_type = NULL, headers = NULL, body = NULL"
	" WHERE r.finished_at OPERATOR(pg_catalog.<=) $8",
	9, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, NAMEOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, JSONBOID}
};

/*
 * In each pair: on one server, and on several, where the id is given, as a statement
 * draws none.
 */
#define NEXT_MESSAGE_ID \
	"pg_catalog.nextval('actor.message_message_id_seq'::pg_catalog.regclass)"

#define RESERVE_REQUEST(message_id, nargs) \
	{"INSERT INTO actor.request (actor_type, actor_id, request_id, method," \
	"  payload_hash, role_name, created_at, state, message_id)" \
	" VALUES (" VALUES_OF_KEY_AND_CALL "$7, 'pending', " message_id ")" \
	" ON CONFLICT (actor_type, actor_id, request_id) DO NOTHING" \
	" RETURNING message_id", \
	nargs, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, NAMEOID, TIMESTAMPTZOID, \
	TIMESTAMPTZOID, INT8OID}}

static ActorQuery reserve_request[] = {
	RESERVE_REQUEST(NEXT_MESSAGE_ID, 7), RESERVE_REQUEST("$9", 9)
};

#define RESERVE_EXPIRED(message_id, nargs) \
	{"UPDATE actor.request SET method = $4, payload_hash = $5, role_name = $6," \
	"  created_at = $7, finished_at = NULL, state = 'pending', error = NULL, result = NULL, status = NULL, content_type = NULL," \
	"  headers = NULL, body = NULL, message_id = " message_id \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND request_id OPERATOR(pg_catalog.=) $3" \
	"   AND finished_at OPERATOR(pg_catalog.<=) $8" \
	" RETURNING message_id", \
	nargs, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, NAMEOID, TIMESTAMPTZOID, \
	TIMESTAMPTZOID, INT8OID}}

static ActorQuery reserve_expired[] = {
	RESERVE_EXPIRED(NEXT_MESSAGE_ID, 8), RESERVE_EXPIRED("$9", 9)
};

static ActorQuery finish_request = {
	"UPDATE actor.request SET state = $5, result = $6, finished_at = $7, error = $8"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND request_id OPERATOR(pg_catalog.=) $3"
	"   AND message_id OPERATOR(pg_catalog.=) $4",
	8, {TEXTOID, TEXTOID, TEXTOID, INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID, JSONBOID}
};

/* columns of actor.request, for doing it without a statement */
#define REQUEST_KEYS			3
#define REQUEST_RESULT			7
#define REQUEST_MESSAGE_ID		8
#define REQUEST_STATE			14
#define REQUEST_ERROR			15
#define REQUEST_FINISHED_AT		16

static ActorTable request_table = {"request", REQUEST_KEYS};

/* rare, and an actor has not many requests */
#define REOPEN_REQUEST(message_id, nargs) \
	{"UPDATE actor.request SET state = 'pending', error = NULL, finished_at = NULL," \
	"  message_id = " message_id \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND message_id OPERATOR(pg_catalog.=) $3" \
	"   AND state OPERATOR(pg_catalog.=) 'failed'" \
	" RETURNING message_id, request_id", \
	nargs, {TEXTOID, TEXTOID, INT8OID, INT8OID}}

static ActorQuery reopen_request[] = {
	REOPEN_REQUEST(NEXT_MESSAGE_ID, 3), REOPEN_REQUEST("$4", 4)
};

/* a call or message as it is compared and written */
typedef struct Request
{
	const ActorRef *actor;
	text	   *id;
	const text *method;
	bytea	   *payload_hash;
	NameData	role;
} Request;

/* what is known of an earlier one */
typedef struct StoredRequest
{
	bool		same;
	Jsonb	   *result;			/* of a call; NULL: SQL NULL */
	int64		message_id;		/* 0: a call */
} StoredRequest;

/*
 * SHA-256 of a payload; none has the hash of the empty string.
 */
static bytea *
payload_hash(Jsonb *payload)
{
	text	   *document;

	if (payload == NULL)
		document = cstring_to_text("");
	else
		document = cstring_to_text(JsonbToCString(NULL, &payload->root,
												  VARSIZE_ANY_EXHDR(payload)));
	return DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(document)));
}

/*
 * The oldest time of a request that is still kept.
 */
static TimestampTz
kept_since(void)
{
	return GetCurrentTimestamp() - (int64) actor_request_retention * USECS_PER_SEC;
}

static void
describe(Request *request, const ActorRef *actor, text *id, const text *method,
		 Jsonb *payload)
{
	request->actor = actor;
	request->id = id;
	request->method = method;
	request->payload_hash = payload_hash(payload);
	actor_role_use(GetUserId(), &request->role);
}

/*
 * Reads an earlier request of that id into the current memory context; false if
 * there is none.
 */
static bool
read_stored(const Request *request, StoredRequest *stored)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	bool		found;

	values[0] = PointerGetDatum(request->actor->type);
	values[1] = PointerGetDatum(request->actor->id);
	values[2] = PointerGetDatum(request->id);
	values[3] = TimestampTzGetDatum(kept_since());

	memset(stored, 0, sizeof(*stored));
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_request, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;
		Datum		datum;

		stored->same =
			actor_text_equal(DatumGetTextPP(actor_query_result(0, 1, &isnull)),
							 request->method) &&
			actor_text_equal((text *) DatumGetByteaPP(actor_query_result(0, 2, &isnull)),
							 (text *) request->payload_hash) &&
			strcmp(NameStr(*DatumGetName(actor_query_result(0, 3, &isnull))),
				   NameStr(request->role)) == 0;
		datum = actor_query_result(0, 4, &isnull);
		stored->result = isnull || !stored->same ? NULL : DatumGetJsonbPCopy(datum);
		datum = actor_query_result(0, 5, &isnull);
		stored->message_id = isnull ? 0 : DatumGetInt64(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

static void
refuse(const Request *request, const StoredRequest *stored)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("request id \"%s\" of actor \"%s\" of type \"%s\" was used for another call",
					text_to_cstring(request->id), text_to_cstring(request->actor->id),
					text_to_cstring(request->actor->type)),
			 stored->same ? errdetail("One of them is a call, the other a message.") :
			 errdetail("Method, payload or role differ."),
			 errhint("Use a new request id for every call that is not a repetition.")));
}

/*
 * Values of the statements that write, as far as they have them in common.
 */
static void
fill_values(const Request *request, Datum *values)
{
	values[0] = PointerGetDatum(request->actor->type);
	values[1] = PointerGetDatum(request->actor->id);
	values[2] = PointerGetDatum(request->id);
	values[3] = PointerGetDatum(request->method);
	values[4] = PointerGetDatum(request->payload_hash);
	values[5] = NameGetDatum(&request->role);
	values[6] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[7] = TimestampTzGetDatum(kept_since());
}

/*
 * actor_request_find
 *		Looks for an earlier call with this request id.  Returns whether there
 *		was one, with its result, NULL for SQL NULL, in the current memory
 *		context.
 *
 * Raises invalid_parameter_value if that was a different call, or a message.
 * The caller holds the turn.
 */
bool
actor_request_find(const ActorRef *actor, text *request_id, const text *method,
				   Jsonb *payload, Jsonb **result)
{
	Request		request;
	StoredRequest stored;

	describe(&request, actor, request_id, method, payload);
	if (!read_stored(&request, &stored))
		return false;
	if (!stored.same || stored.message_id != 0)
		refuse(&request, &stored);
	*result = stored.result;
	return true;
}

/*
 * actor_request_store
 *		Writes down the result of a call, NULL for SQL NULL, under its id.
 *
 * Raises serialization_failure if a message with that id was sent meanwhile.
 */
void
actor_request_store(const ActorRef *actor, text *request_id, const text *method,
					Jsonb *payload, Jsonb *result)
{
	ActorBookkeeping bookkeeping;
	Request		request;
	Datum		values[9];
	char		nulls[9] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	describe(&request, actor, request_id, method, payload);
	fill_values(&request, values);
	values[8] = PointerGetDatum(result);
	nulls[8] = result == NULL ? 'n' : ' ';

	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_request, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(actor_purge_time(GetCurrentTimestamp() +
								   actor_request_retention * USECS_PER_SEC));
}

/*
 * Writes the row of a message, unless there is one of that id that is kept;
 * waits for whoever is writing that.
 */
static bool
reserve(const Request *request, int64 *message_id)
{
	ActorBookkeeping bookkeeping;
	bool		several = actor_on_several_servers();
	Datum		values[9];
	bool		reserved;
	bool		isnull;

	fill_values(request, values);
	if (several)
		values[8] = Int64GetDatum(actor_cluster_number());
	actor_bookkeeping_begin(&bookkeeping);
	reserved = actor_query_run(&reserve_request[several], values, NULL) > 0 ||
		actor_query_run(&reserve_expired[several], values, NULL) > 0;
	if (reserved)
		*message_id = DatumGetInt64(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return reserved;
}

/*
 * actor_request_reserve
 *		Makes sure that only one message is sent under this request id.  Returns
 *		true with the id of the message that the caller is to send, or false
 *		with the id of the one that was sent.
 *
 * Raises invalid_parameter_value if that was a different one, or a call.
 */
bool
actor_request_reserve(const ActorRef *actor, text *request_id, const text *method,
					  Jsonb *payload, int64 *message_id)
{
	Request		request;
	StoredRequest stored;

	describe(&request, actor, request_id, method, payload);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (reserve(&request, message_id))
			return true;
	} while (!read_stored(&request, &stored));	/* gone meanwhile */
	if (!stored.same || stored.message_id == 0)
		refuse(&request, &stored);
	*message_id = stored.message_id;
	return false;
}

/* what becomes of messages ---------------------------------------------- */

/*
 * Whether a row is that of a message.
 */
static bool
is_of_message(TupleTableSlot *slot, void *arg)
{
	bool		isnull;
	Datum		message_id = slot_getattr(slot, REQUEST_MESSAGE_ID, &isnull);

	return !isnull && DatumGetInt64(message_id) == *(const int64 *) arg;
}

/*
 * Does what finish_request does, with its values, without a statement; false if it
 * takes one.
 */
static bool
finish_directly(const Datum *values, const char *nulls, int64 message_id)
{
	ActorColumn columns[] = {
		{REQUEST_STATE, values[4], false}, {REQUEST_RESULT, values[5], nulls[5] == 'n'},
		{REQUEST_FINISHED_AT, values[6], false}, {REQUEST_ERROR, (Datum) 0, true}
	};

	return nulls[7] == 'n' &&
		actor_direct_update(&request_table, values, REQUEST_KEYS, columns, lengthof(columns),
							is_of_message, &message_id) != ACTOR_DIRECT_BY_SQL;
}

static void
push_text(JsonbParseState **state, JsonbIteratorToken token, const text *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = VARDATA_ANY(string);
	value.val.string.len = VARSIZE_ANY_EXHDR(string);
	(void) pushJsonbValue(state, token, &value);
}

static void
push_member(JsonbParseState **state, const char *key, const text *value)
{
	push_text(state, WJB_KEY, cstring_to_text(key));
	push_text(state, WJB_VALUE, value);
}

/*
 * What is shown of an error.
 */
static Jsonb *
error_document(const ErrorData *error)
{
	JsonbParseState *state = NULL;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_member(&state, "sqlstate", cstring_to_text(unpack_sql_state(error->sqlerrcode)));
	push_member(&state, "message",
				actor_error_text(error->message != NULL ? error->message : ""));
	if (error->detail != NULL)
		push_member(&state, "detail", actor_error_text(error->detail));
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Writes down what has become of a message, and wakes who waits for that; "error"
 * is of a message that was given up.
 */
static void
finish(const ActorRef *actor, const text *request_id, int64 message_id, const char *state,
	   Jsonb *result, const ErrorData *error)
{
	ActorBookkeeping bookkeeping;
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[8];
	char		nulls[8] = {' ', ' ', ' ', ' ', ' ', 'n', ' ', 'n'};

	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(request_id);
	values[3] = Int64GetDatum(message_id);
	values[4] = CStringGetTextDatum(state);
	values[5] = PointerGetDatum(result);
	nulls[5] = result == NULL ? 'n' : ' ';
	values[6] = TimestampTzGetDatum(now);
	if (error != NULL)
	{
		values[7] = JsonbPGetDatum(error_document(error));
		nulls[7] = ' ';
	}
	if (!finish_directly(values, nulls, message_id))
	{
		actor_bookkeeping_begin(&bookkeeping);
		(void) actor_query_run(&finish_request, values, nulls);
		actor_bookkeeping_end(&bookkeeping);
	}
	actor_wake_waiters(actor->hash);
	actor_wake_at(actor_purge_time(now + actor_request_retention * USECS_PER_SEC));
}

/*
 * actor_request_done
 *		A message with a request id was delivered; the result is NULL for SQL
 *		NULL.  Here and in the other two nothing happens if there is no such row.
 */
void
actor_request_done(const ActorRef *actor, const text *request_id, int64 message_id,
				   Jsonb *result)
{
	finish(actor, request_id, message_id, "done", result, NULL);
}

/*
 * actor_request_failed
 *		It was given up.
 */
void
actor_request_failed(const ActorRef *actor, const text *request_id, int64 message_id,
					 const ErrorData *error)
{
	finish(actor, request_id, message_id, "failed", NULL, error);
}

/*
 * actor_request_cancelled
 *		It was cancelled.
 */
void
actor_request_cancelled(const ActorRef *actor, const text *request_id, int64 message_id)
{
	finish(actor, request_id, message_id, "cancelled", NULL, NULL);
}

/*
 * actor_request_reopen
 *		A message that was given up is to be sent once more.  If it had a request
 *		id, returns that in the current memory context, and sets the id that the
 *		new message is to have; NULL if it had none.
 */
text *
actor_request_reopen(const ActorRef *actor, int64 old_message_id, int64 *message_id)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	bool		several = actor_on_several_servers();
	Datum		values[4];
	text	   *request_id = NULL;

	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = Int64GetDatum(old_message_id);
	if (several)
		values[3] = Int64GetDatum(actor_cluster_number());
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&reopen_request[several], values, NULL) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;

		*message_id = DatumGetInt64(actor_query_result(0, 1, &isnull));
		request_id = DatumGetTextPCopy(actor_query_result(0, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return request_id;
}
