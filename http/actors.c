/*-------------------------------------------------------------------------
 *
 * actors.c
 *		Methods, state and the life of actors: each request is one statement.
 *
 * IDENTIFICATION
 *		http/actors.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "actors.h"
#include "answer.h"
#include "call.h"
#include "self.h"

/* of actor_invoke, after the first one */
#define INVOKE_ARGUMENTS \
	" $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.jsonb, $5::pg_catalog.uuid," \
	" $6::pg_catalog.text)"

/*
 * The id of the chain that a request belongs to, which the answer has as well.
 * Returns false, and has answered, if it is no uuid.
 */
static bool
take_reentrancy_id(Request *request, const char **value)
{
	*value = request->reentrancy_id;
	if (*value == NULL)
		return true;
	answer_header(request, "Dapr-Reentrancy-Id", *value);
	if (is_uuid(*value))
		return true;
	answer_error(request, 400, "ERR_BAD_REQUEST", "Dapr-Reentrancy-Id must be a uuid");
	return false;
}

/*
 * Calls a method.  The body is the payload; the result is the body of the
 * answer, and null if there is none, because SDKs read it as JSON.
 *
 * A method that only reads takes no request id and needs none.  Whether it does
 * is known to the database only, so it is called again without one, in a
 * transaction that cannot write: it may be another method by now.
 */
void
handle_method(Request *request, Session *session)
{
	const char *values[6] = {request->actor_type, request->actor_id, request->name};
	PGresult   *result;

	if (!read_payload(request, &values[3]) || !take_reentrancy_id(request, &values[4]))
		return;
	values[5] = request->request_id;

	result = call_database(request, session,
						   "SELECT @.actor_invoke($1::pg_catalog.text," INVOKE_ARGUMENTS,
						   6, values);
	if (result == NULL && request->request_id != NULL && strcmp(request->refusal, "0A000") == 0)
	{
		values[5] = NULL;
		result = call_database(request, session,
							   "SELECT @.actor_invoke(CASE WHEN"
							   " pg_catalog.set_config('transaction_read_only', 'on', true)"
							   " OPERATOR(pg_catalog.=) 'on' THEN $1::pg_catalog.text END,"
							   INVOKE_ARGUMENTS, 6, values);
	}
	if (result == NULL)
		return;
	if (PQgetisnull(result, 0, 0))
		answer_bytes(request, 200, "application/json", "null", strlen("null"));
	else
		answer_bytes(request, 200, "application/json", PQgetvalue(result, 0, 0),
					 (size_t) PQgetlength(result, 0, 0));
	PQclear(result);
}

/*
 * Reads a key: 204 if there is none.
 */
void
handle_state_get(Request *request, Session *session)
{
	const char *values[3] = {request->actor_type, request->actor_id, request->name};
	PGresult   *result;

	result = call_database(request, session,
						   "SELECT value, pg_catalog.to_char(pg_catalog.timezone('UTC', expires_at),"
						   " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
						   " FROM @.actor_get_state($1::pg_catalog.text, $2::pg_catalog.text,"
						   " $3::pg_catalog.text)", 3, values);
	if (result == NULL)
		return;
	if (PQgetisnull(result, 0, 0))
		answer_empty(request, 204);
	else
	{
		answer_bytes(request, 200, "application/json", PQgetvalue(result, 0, 0),
					 (size_t) PQgetlength(result, 0, 0));
		if (!PQgetisnull(result, 0, 1))
			answer_header(request, "metadata.ttlExpireTime", PQgetvalue(result, 0, 1));
	}
	PQclear(result);
}

/*
 * Changes keys, all or none.
 */
void
handle_state_transaction(Request *request, Session *session)
{
	const char *values[4] = {request->actor_type, request->actor_id, request->body.data};
	JsonDocument document;
	bool		is_array;

	if (!read_body(request, &document))
		return;
	is_array = (document.kind == '[');
	json_release(&document);
	if (!is_array)
	{
		answer_error(request, 400, "ERR_MALFORMED_REQUEST",
					 "the body must be an array of operations");
		return;
	}
	if (!take_reentrancy_id(request, &values[3]))
		return;
	call_without_result(request, session,
						"SELECT @.actor_transact($1::pg_catalog.text, $2::pg_catalog.text,"
						" $3::pg_catalog.jsonb, $4::pg_catalog.uuid)", 4, values);
}

/*
 * Deactivates an actor, whether or not it is active.
 */
void
handle_deactivate(Request *request, Session *session)
{
	const char *values[2] = {request->actor_type, request->actor_id};

	call_without_result(request, session,
						"SELECT @.actor_deactivate($1::pg_catalog.text, $2::pg_catalog.text)",
						2, values);
}

/*
 * What a type can do, in the form of OpenAPI.
 */
void
handle_openapi(Request *request, Session *session)
{
	const char *values[1] = {request->name};
	PGresult   *result;

	result = call_database(request, session,
						   "SELECT @.actor_openapi($1::pg_catalog.text)", 1, values);
	if (result == NULL)
		return;
	if (PQgetisnull(result, 0, 0))
		answer_error(request, 404, "ERR_ACTOR_NO_ADDRESS",
					 "actor type \"%s\" does not exist", request->name);
	else
		answer_bytes(request, 200, "application/json", PQgetvalue(result, 0, 0),
					 (size_t) PQgetlength(result, 0, 0));
	PQclear(result);
}
