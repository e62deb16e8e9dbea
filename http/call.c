/*-------------------------------------------------------------------------
 *
 * call.c
 *		What the operations on actors share: a body that is JSON, and a
 *		statement of the database.
 *
 * IDENTIFICATION
 *		http/call.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "call.h"
#include "duration.h"
#include "util.h"

/*
 * read_body
 *		Checks the body.  Returns false, and has answered, if it is no JSON;
 *		otherwise the document is to be released.
 */
bool
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
 * read_object
 *		The same for a body that must be an object.
 */
bool
read_object(Request *request, JsonDocument *document)
{
	if (!read_body(request, document))
		return false;
	if (document->kind == '{')
		return true;
	json_release(document);
	answer_error(request, 400, "ERR_MALFORMED_REQUEST", "the body must be an object");
	return false;
}

/*
 * read_payload
 *		The body, which is JSON, or NULL if it is empty.  Returns false, and has
 *		answered, if it is neither.
 */
bool
read_payload(Request *request, const char **payload)
{
	JsonDocument document;

	*payload = NULL;
	if (request->body.length == 0)
		return true;
	if (!read_body(request, &document))
		return false;
	json_release(&document);
	*payload = request->body.data;
	return true;
}

/* members of a body ----------------------------------------------------- */

/*
 * malformed_member
 *		Refuses a request because of a member of its body.  Returns false.
 */
bool
malformed_member(Request *request, const char *name, const char *problem)
{
	answer_error(request, 400, "ERR_MALFORMED_REQUEST", "member \"%s\" %s", name, problem);
	return false;
}

/*
 * read_text_member
 *		A member that is a string, to be freed; left alone if there is none.
 *		Returns false, and has answered, if it is no string.
 */
bool
read_text_member(Request *request, const JsonDocument *document, const char *name, char **value)
{
	const JsonSpan *span = json_member(document, name);

	if (span == NULL || span_is_null(span))
		return true;
	if (span->start[0] != '"')
		return malformed_member(request, name, "must be a string");
	*value = json_text(span);
	return true;
}

/*
 * read_time_member
 *		The same for one that says when.
 */
bool
read_time_member(Request *request, const JsonDocument *document, const char *name, char **value)
{
	if (!read_text_member(request, document, name, value))
		return false;
	if (*value != NULL)
		duration_mend(*value);
	return true;
}

/*
 * copy_member
 *		A member as it is written, to be freed; NULL if there is none, and also for
 *		null unless that is wanted.
 */
char *
copy_member(const JsonDocument *document, const char *name, bool or_null)
{
	const JsonSpan *span = json_member(document, name);

	if (span == NULL || (span_is_null(span) && !or_null))
		return NULL;
	return xstrndup(span->start, span->length);
}

/* statements ------------------------------------------------------------ */

/*
 * Whether an error says that the server is going away.
 */
static bool
is_unavailable(const char *sqlstate)
{
	return sqlstate != NULL &&
		(strncmp(sqlstate, "57P01", 5) == 0 || strncmp(sqlstate, "57P02", 5) == 0 ||
		 strncmp(sqlstate, "57P03", 5) == 0);
}

/*
 * Whether a statement that has failed can be tried again on another connection.
 */
static bool
may_repeat(const Request *request, const Session *session, const PGresult *result)
{
	if (session_not_begun(session, result))
		return true;
	return request->operation->safe &&
		is_unavailable(PQresultErrorField(result, PG_DIAG_SQLSTATE));
}

/*
 * call_database
 *		Runs the statement of a request; "@" stands for the schema of the
 *		functions.  NULL if that has failed, in which case the request has been
 *		answered.
 *
 * Only what does no harm when it runs twice is repeated when the connection
 * breaks.  Anything is when nothing has run, because our own text was wrong, as
 * when the extension has moved, or what was prepared is gone.
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
		outcome = session_query(session, sql, request->traceparent, true, nvalues, values,
								&result, &reason);
		if (outcome == QUERY_ANSWERED)
		{
			if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
				return result;
			request->failed_late = session->failed_late;
			again = again && may_repeat(request, session, result);
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
			/* the reason names host and role; the log has it */
			answer_error(request, 503, unavailable, "could not use the database");
		free(reason);
		return NULL;
	}
}

/*
 * call_with_result
 *		Runs a statement that returns JSON, and answers with that; or with the
 *		error.
 */
void
call_with_result(Request *request, Session *session, const char *sql, int nvalues,
				 const char *const *values)
{
	PGresult   *result = call_database(request, session, sql, nvalues, values);

	if (result == NULL)
		return;
	answer_bytes(request, 200, "application/json", PQgetvalue(result, 0, 0),
				 (size_t) PQgetlength(result, 0, 0));
	PQclear(result);
}

/*
 * call_without_result
 *		Runs the statement of a request, whose answer is 204 if it succeeds.
 */
void
call_without_result(Request *request, Session *session, const char *sql, int nvalues,
					const char *const *values)
{
	PGresult   *result = call_database(request, session, sql, nvalues, values);

	if (result == NULL)
		return;
	answer_empty(request, 204);
	PQclear(result);
}
