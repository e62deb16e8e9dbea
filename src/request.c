/*-------------------------------------------------------------------------
 *
 * request.c
 *		Request ids: the second call with the same id of the same actor returns
 *		what the first one returned, and runs nothing.
 *
 * The row of a request is written in the transaction of its effect and looked
 * up with the actor's turn held, so two calls with one id that arrive at once
 * do not both run: the second waits for the turn, and then finds the row.
 *
 * An id stands for one call, not only for one name: the same id with another
 * method, payload or role is refused, and nothing of the stored row is shown.
 *
 * IDENTIFICATION
 *		src/request.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "actor.h"
#include "workers.h"

static ActorQuery read_request = {
	"SELECT method, payload_hash, role_name, result FROM actor.request"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND request_id OPERATOR(pg_catalog.=) $3"
	"   AND created_at OPERATOR(pg_catalog.>) $4",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* there can be a row of that id: one that is kept no longer */
static ActorQuery write_request = {
	"INSERT INTO actor.request (actor_type, actor_id, request_id, method,"
	"  payload_hash, role_name, result, created_at)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
	" ON CONFLICT (actor_type, actor_id, request_id) DO UPDATE SET"
	"  method = EXCLUDED.method,"
	"  payload_hash = EXCLUDED.payload_hash,"
	"  role_name = EXCLUDED.role_name,"
	"  result = EXCLUDED.result,"
	"  created_at = EXCLUDED.created_at",
	8, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, NAMEOID, JSONBOID, TIMESTAMPTZOID}
};

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

/*
 * actor_request_find
 *		Looks for an earlier call with this request id.  Returns whether there
 *		was one, with its result, NULL for SQL NULL, in the current memory
 *		context.
 *
 * Raises invalid_parameter_value if that was a different call.  The caller
 * holds the turn.
 */
bool
actor_request_find(const ActorRef *actor, text *request_id, const text *method,
				   Jsonb *payload, Jsonb **result)
{
	MemoryContext context = CurrentMemoryContext;
	bytea	   *hash = payload_hash(payload);
	char	   *role = GetUserNameFromId(GetUserId(), false);
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	bool		found;
	bool		same = false;

	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(request_id);
	values[3] = TimestampTzGetDatum(kept_since());

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_request, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;
		Datum		datum;

		same = actor_text_equal(DatumGetTextPP(actor_query_result(0, 1, &isnull)), method) &&
			actor_text_equal((text *) DatumGetByteaPP(actor_query_result(0, 2, &isnull)),
							 (text *) hash) &&
			strcmp(NameStr(*DatumGetName(actor_query_result(0, 3, &isnull))), role) == 0;
		datum = actor_query_result(0, 4, &isnull);
		*result = isnull || !same ? NULL : DatumGetJsonbPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);

	if (found && !same)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request id \"%s\" of actor \"%s\" of type \"%s\" was used for another call",
						text_to_cstring(request_id), text_to_cstring(actor->id),
						text_to_cstring(actor->type)),
				 errdetail("Method, payload or role differ."),
				 errhint("Use a new request id for every call that is not a repetition.")));
	return found;
}

/*
 * actor_request_store
 *		Writes down the result of a call, NULL for SQL NULL, under its id.
 */
void
actor_request_store(const ActorRef *actor, text *request_id, const text *method,
					Jsonb *payload, Jsonb *result)
{
	ActorBookkeeping bookkeeping;
	NameData	role;
	Datum		values[8];
	char		nulls[8] = {' ', ' ', ' ', ' ', ' ', ' ', ' ', ' '};

	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(request_id);
	values[3] = PointerGetDatum(method);
	values[4] = PointerGetDatum(payload_hash(payload));
	values[5] = NameGetDatum(&role);
	values[6] = PointerGetDatum(result);
	nulls[6] = result == NULL ? 'n' : ' ';
	values[7] = TimestampTzGetDatum(GetCurrentTimestamp());

	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_request, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(actor_purge_time(GetCurrentTimestamp() +
								   actor_request_retention * USECS_PER_SEC));
}
