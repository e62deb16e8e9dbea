/*-------------------------------------------------------------------------
 *
 * answer.c
 *		Answers of applications to calls with a request id.
 *
 * As for calls of functions (see request.c), the row is looked for and written in
 * the actor's turn, in the transaction of the effect, and an id stands for one
 * call.  What is kept is what the application has answered: status, content
 * type, headers and body.
 *
 * IDENTIFICATION
 *		src/host/answer.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "host/internal.h"

static ActorQuery read_answer = {
	"SELECT method OPERATOR(pg_catalog.=) $4 AND payload_hash OPERATOR(pg_catalog.=) $5"
	"   AND role_name OPERATOR(pg_catalog.=) $6 AND status IS NOT NULL,"
	"  status, content_type, headers, body"
	" FROM actor.request"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND request_id OPERATOR(pg_catalog.=) $3"
	"   AND (finished_at IS NULL OR finished_at OPERATOR(pg_catalog.>) $7)",
	7, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, NAMEOID, TIMESTAMPTZOID}
};

/* there can be a row of that id: one that is kept no longer, or of a message */
static ActorQuery write_answer = {
	"INSERT INTO actor.request AS r (actor_type, actor_id, request_id, method,"
	"  payload_hash, role_name, created_at, finished_at, state, status, content_type,"
	"  headers, body)"
	" VALUES ($1, $2, $3, $4, $5, $6, $8, $8, 'done', $9, $10, $11, $12)"
	" ON CONFLICT (actor_type, actor_id, request_id) DO UPDATE SET"
	"  method = EXCLUDED.method,"
	"  payload_hash = EXCLUDED.payload_hash,"
	"  role_name = EXCLUDED.role_name,"
	"  result = NULL,"
	"  message_id = NULL,"
	"  created_at = EXCLUDED.created_at,"
	"  finished_at = EXCLUDED.finished_at,"
	"  state = EXCLUDED.state,"
	"  error = NULL,"
	"  status = EXCLUDED.status,"
	"  content_type = EXCLUDED.content_type,"
	"  headers = EXCLUDED.headers,"
	"  body = EXCLUDED.body"
	" WHERE r.finished_at OPERATOR(pg_catalog.<=) $7",
	12, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, NAMEOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, INT4OID, TEXTOID, JSONBOID, BYTEAOID}
};

/*
 * Values of both statements, as far as they have them in common.
 */
static void
fill_values(const ActorRef *actor, const ActorAnswerKey *key, Datum *values)
{
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(key->request_id);
	values[3] = PointerGetDatum(key->method);
	values[4] = PointerGetDatum(key->body_hash);
	values[5] = NameGetDatum(&key->caller);
	values[6] = TimestampTzGetDatum(GetCurrentTimestamp() -
									(int64) actor_request_retention * USECS_PER_SEC);
}

/*
 * actor_answer_find
 *		Looks for the answer to an earlier call with this request id, in the
 *		current memory context; false if there was none.
 *
 * Raises invalid_parameter_value if that was a different call, or a message.
 * The caller holds the turn.
 */
bool
actor_answer_find(const ActorRef *actor, const ActorAnswerKey *key, ActorAnswer *answer)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[7];
	bool		found;
	bool		same = false;
	bool		isnull;

	fill_values(actor, key, values);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_answer, values, NULL) > 0;
	if (found)
		same = DatumGetBool(actor_query_result(0, 1, &isnull));
	if (found && same)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum		datum;

		answer->status = DatumGetInt32(actor_query_result(0, 2, &isnull));
		datum = actor_query_result(0, 3, &isnull);
		answer->content_type = isnull ? NULL : DatumGetTextPCopy(datum);
		datum = actor_query_result(0, 4, &isnull);
		answer->headers = isnull ? NULL : DatumGetJsonbPCopy(datum);
		datum = actor_query_result(0, 5, &isnull);
		answer->body = isnull ? NULL : DatumGetByteaPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	if (found && !same)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request id \"%s\" of actor \"%s\" of type \"%s\" was used for another call",
						text_to_cstring(key->request_id), text_to_cstring(actor->id),
						text_to_cstring(actor->type)),
				 errdetail("Method, payload or role differ, or it was no call of an application."),
				 errhint("Use a new request id for every call that is not a repetition.")));
	return found;
}

/*
 * actor_answer_store
 *		Writes down the answer to a call under its id.
 *
 * Raises serialization_failure if a message with that id was sent meanwhile.
 */
void
actor_answer_store(const ActorRef *actor, const ActorAnswerKey *key, const ActorAnswer *answer)
{
	ActorBookkeeping bookkeeping;
	Datum		values[12];
	char		nulls[12];

	memset(nulls, ' ', sizeof(nulls));
	fill_values(actor, key, values);
	values[7] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[8] = Int32GetDatum(answer->status);
	values[9] = PointerGetDatum(answer->content_type);
	nulls[9] = answer->content_type == NULL ? 'n' : ' ';
	values[10] = PointerGetDatum(answer->headers);
	nulls[10] = answer->headers == NULL ? 'n' : ' ';
	values[11] = PointerGetDatum(answer->body);
	nulls[11] = answer->body == NULL ? 'n' : ' ';
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_answer, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(actor_purge_time(GetCurrentTimestamp() +
								   actor_request_retention * USECS_PER_SEC));
}
