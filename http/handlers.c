/*-------------------------------------------------------------------------
 *
 * handlers.c
 *		Methods, state and the life of actors: each request is one statement.
 *
 * IDENTIFICATION
 *		http/handlers.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "http.h"

/*
 * Whether a statement that has failed can be tried again on another connection.
 */
static bool
may_repeat(const Request *request, const PGresult *result)
{
	if (PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION) != NULL)
		return true;
	return request->operation->safe &&
		sqlstate_is_unavailable(PQresultErrorField(result, PG_DIAG_SQLSTATE));
}

/*
 * call_database
 *		Runs the statement of a request; "@" stands for the schema of the
 *		functions.  NULL if that has failed, in which case the request has been
 *		answered.
 *
 * Only what does no harm when it runs twice is repeated when the connection
 * breaks.  Anything is when our own text was wrong, because nothing has run
 * then: the extension has moved, and the new connection finds it.
 */
PGresult *
call_database(Request *request, Session *session, const char *sql, int nvalues,
			  const char *const *values)
{
	const char *const unavailable = "ERR_ACTOR_DATABASE_UNAVAILABLE";
	bool		first = true;

	for (;;)
	{
		char	   *reason;
		PGresult   *result;
		QueryOutcome outcome;
		bool		again = first;

		first = false;
		outcome = session_query(session, sql, request->traceparent, nvalues, values,
								&result, &reason);
		if (outcome == QUERY_ANSWERED)
		{
			if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
				return result;
			again = again && may_repeat(request, result);
			if (!again)
				answer_sql_error(request, result);
			PQclear(result);
			if (again)
				continue;
			return NULL;
		}
		if (outcome == QUERY_LOST && again && request->operation->safe)
		{
			free(reason);
			continue;
		}
		if (outcome == QUERY_LOST)
			answer_error(request, 503, unavailable,
						 "the connection to the database broke; it is not known whether the request took effect: %s",
						 reason);
		else
			answer_error(request, 503, unavailable, "could not use the database: %s", reason);
		free(reason);
		return NULL;
	}
}

static bool
is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		bool		dash = (i == 8 || i == 13 || i == 18 || i == 23);

		if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return false;
	}
	return true;
}

/*
 * Checks the body.  Returns false, and has answered, if it is no JSON.
 */
static bool
read_body(Request *request, JsonDocument *document)
{
	JsonError	error;
	int			line;
	int			column;

	if (json_read(request->body.data != NULL ? request->body.data : "",
				  request->body.length, document, &error))
		return true;
	text_position(request->body.data, error.offset, &line, &column);
	answer_error(request, 400, "ERR_MALFORMED_REQUEST",
				 "the body is not valid JSON: line %d, column %d: %s",
				 line, column, error.problem);
	return false;
}

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
 * answer, empty for NULL.
 */
void
handle_method(Request *request, Session *session)
{
	const char *values[6] = {request->actor_type, request->actor_id, request->name};
	JsonDocument document;
	PGresult   *result;

	if (request->body.length > 0)
	{
		if (!read_body(request, &document))
			return;
		json_release(&document);
		values[3] = request->body.data;
	}
	if (!take_reentrancy_id(request, &values[4]))
		return;
	values[5] = request->request_id;

	result = call_database(request, session,
						   "SELECT @.actor_invoke($1::pg_catalog.text, $2::pg_catalog.text,"
						   " $3::pg_catalog.text, $4::pg_catalog.jsonb, $5::pg_catalog.uuid,"
						   " $6::pg_catalog.text)", 6, values);
	if (result == NULL)
		return;
	if (PQgetisnull(result, 0, 0))
		answer_empty(request, 200);
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
	PGresult   *result;

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
	result = call_database(request, session,
						   "SELECT @.actor_transact($1::pg_catalog.text, $2::pg_catalog.text,"
						   " $3::pg_catalog.jsonb, $4::pg_catalog.uuid)", 4, values);
	if (result == NULL)
		return;
	answer_empty(request, 204);
	PQclear(result);
}

/*
 * Deactivates an actor, whether or not it is active.
 */
void
handle_deactivate(Request *request, Session *session)
{
	const char *values[2] = {request->actor_type, request->actor_id};
	PGresult   *result;

	result = call_database(request, session,
						   "SELECT @.actor_deactivate($1::pg_catalog.text, $2::pg_catalog.text)",
						   2, values);
	if (result == NULL)
		return;
	answer_empty(request, 204);
	PQclear(result);
}
