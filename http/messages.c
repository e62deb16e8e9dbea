/*-------------------------------------------------------------------------
 *
 * messages.c
 *		Messages, what becomes of them, promises, and lists of what an actor has.
 *
 * The database writes the JSON of the answers; numbers and texts of users are
 * not touched here.
 *
 * IDENTIFICATION
 *		http/messages.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "call.h"
#include "duration.h"
#include "messages.h"
#include "util.h"

/* most members of a list */
#define LIST_MAX			"1000"

#define INSTANT(time) \
	"pg_catalog.to_char(pg_catalog.timezone('UTC', " time ")," \
	" 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"

/* what the body of a request asks for; NULL: absent */
typedef struct Message
{
	char	   *method;
	char	   *due_time;
	char	   *data;
	char	   *failure_policy;
} Message;

/*
 * Answers with the only value of a result, which is JSON, or with 204 if that is
 * null.  Takes over the result; NULL has been answered.
 */
static void
answer_value(Request *request, PGresult *result)
{
	if (result == NULL)
		return;
	if (PQgetisnull(result, 0, 0))
		answer_empty(request, 204);
	else
		answer_bytes(request, 200, "application/json", PQgetvalue(result, 0, 0),
					 (size_t) PQgetlength(result, 0, 0));
	PQclear(result);
}

/* sending --------------------------------------------------------------- */

/*
 * Reads the body.  Returns false, and has answered, if it is not as it should
 * be.  The message is to be released in any case.
 */
static bool
read_message(Request *request, Message *message)
{
	JsonDocument document;
	bool		complete;

	memset(message, 0, sizeof(*message));
	if (!read_object(request, &document))
		return false;
	complete = read_text_member(request, &document, "method", &message->method) &&
		read_time_member(request, &document, "dueTime", &message->due_time) &&
		(message->method != NULL || malformed_member(request, "method", "is missing"));
	if (complete)
	{
		message->data = copy_member(&document, "data", true);
		message->failure_policy = copy_member(&document, "failurePolicy", false);
	}
	json_release(&document);
	/* as SDKs write what is due already */
	if (complete && message->due_time != NULL && duration_sign(message->due_time) < 0)
	{
		free(message->due_time);
		message->due_time = NULL;
	}
	return complete;
}

static void
release_message(Message *message)
{
	free(message->method);
	free(message->due_time);
	free(message->data);
	free(message->failure_policy);
}

/*
 * Sends a message.  It is sent once for each request id.
 */
void
handle_send(Request *request, Session *session)
{
	Message		message;

	if (read_message(request, &message))
	{
		const char *values[] = {
			request->actor_type, request->actor_id, message.method, message.data,
			message.due_time, request->request_id, message.failure_policy
		};

		answer_value(request, call_database(request, session,
											"SELECT pg_catalog.json_build_object('id'::pg_catalog.text,"
											" @.actor_send($1::pg_catalog.text, $2::pg_catalog.text,"
											" $3::pg_catalog.text, $4::pg_catalog.jsonb, $5::pg_catalog.text,"
											" $6::pg_catalog.text, $7::pg_catalog.jsonb))",
											lengthof(values), values));
	}
	release_message(&message);
}

void
handle_cancel(Request *request, Session *session)
{
	const char *values[3] = {request->actor_type, request->actor_id, request->name};

	answer_value(request, call_database(request, session,
										"SELECT pg_catalog.json_build_object('cancelled'::pg_catalog.text,"
										" @.actor_cancel_message($1::pg_catalog.text, $2::pg_catalog.text,"
										" $3::pg_catalog.int8))", 3, values));
}

/* results --------------------------------------------------------------- */

#define SHOWN_RESULT \
	"SELECT CASE WHEN r.state IS NOT NULL THEN pg_catalog.json_build_object(" \
	" 'state'::pg_catalog.text, r.state, 'result'::pg_catalog.text, r.result," \
	" 'error'::pg_catalog.text, r.error," \
	" 'finishedAt'::pg_catalog.text, " INSTANT("r.finished_at") ") END"

/*
 * What has become of a message or call: 204 if there is none with that request
 * id.  Who wants to wait has the session for as long as he does.
 */
void
handle_result(Request *request, Session *session)
{
	char	   *wait = query_value(&request->path.query, "wait");
	const char *values[4] = {request->actor_type, request->actor_id, request->name, wait};

	if (wait == NULL)
		answer_value(request, call_database(request, session,
											SHOWN_RESULT " FROM @.actor_result($1::pg_catalog.text,"
											" $2::pg_catalog.text, $3::pg_catalog.text) AS r", 3, values));
	else
		answer_value(request, call_database(request, session,
											SHOWN_RESULT " FROM @.actor_wait($1::pg_catalog.text,"
											" $2::pg_catalog.text, $3::pg_catalog.text,"
											" $4::pg_catalog.interval) AS r", 4, values));
	free(wait);
}

/* promises -------------------------------------------------------------- */

/*
 * Settles a promise with the body, which is JSON or empty, as its value.
 */
static void
settle(Request *request, Session *session, const char *sql)
{
	const char *values[2] = {request->name};

	if (read_payload(request, &values[1]))
		answer_value(request, call_database(request, session, sql, 2, values));
}

void
handle_resolve(Request *request, Session *session)
{
	settle(request, session,
		   "SELECT pg_catalog.json_build_object('settled'::pg_catalog.text,"
		   " @.actor_resolve($1::pg_catalog.uuid, $2::pg_catalog.jsonb))");
}

void
handle_reject(Request *request, Session *session)
{
	settle(request, session,
		   "SELECT pg_catalog.json_build_object('settled'::pg_catalog.text,"
		   " @.actor_reject($1::pg_catalog.uuid, $2::pg_catalog.jsonb))");
}

/* lists ----------------------------------------------------------------- */

/*
 * Answers with a list that a statement makes: null if there is no such type.
 */
static void
answer_list(Request *request, Session *session, const char *sql)
{
	char	   *after = query_value(&request->path.query, "after");
	const char *values[3] = {request->actor_type, request->actor_id, after};
	PGresult   *result = call_database(request, session, sql, 3, values);

	free(after);
	if (result != NULL && PQgetisnull(result, 0, 0))
	{
		answer_error(request, 404, "ERR_ACTOR_NO_ADDRESS",
					 "actor type \"%s\" does not exist", request->actor_type);
		PQclear(result);
	}
	else
		answer_value(request, result);
}

/* the rows of a statement, if the type exists, in their order */
#define LIST(columns, rows) \
	"SELECT CASE WHEN EXISTS (SELECT FROM actor.type t" \
	"  WHERE t.actor_type OPERATOR(pg_catalog.=) $1::pg_catalog.text)" \
	" THEN (SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_strip_nulls(" \
	"   pg_catalog.json_build_object(" columns "))), '[]'::pg_catalog.json)" \
	"  FROM (" rows " LIMIT " LIST_MAX ") r) END"

#define OF_ACTOR \
	" actor_type OPERATOR(pg_catalog.=) $1::pg_catalog.text" \
	" AND actor_id OPERATOR(pg_catalog.=) $2::pg_catalog.text"

#define LIST_PENDING(kind, name, key, first, cast) \
	LIST("'" name "'::pg_catalog.text, r." key ", 'callback'::pg_catalog.text, r.method," \
		 " 'scheduledAt'::pg_catalog.text, " INSTANT("r.scheduled_at") "," \
		 " 'nextTryAt'::pg_catalog.text, " INSTANT("r.next_try_at") "," \
		 " 'attempt'::pg_catalog.text, r.attempt", \
		 "SELECT p.name" cast " AS " key ", p.method, p.scheduled_at, p.next_try_at, p.attempt" \
		 " FROM actor.pending p" \
		 " WHERE" OF_ACTOR " AND p.kind OPERATOR(pg_catalog.=) '" kind "'" \
		 "  AND p.name" cast " OPERATOR(pg_catalog.>) COALESCE($3, " first ")" cast \
		 " ORDER BY 1")

void
handle_list_messages(Request *request, Session *session)
{
	answer_list(request, session, LIST_PENDING("message", "id", "id", "'0'", "::pg_catalog.int8"));
}

void
handle_list_reminders(Request *request, Session *session)
{
	answer_list(request, session, LIST_PENDING("reminder", "name", "name", "''", "::pg_catalog.text COLLATE \"C\""));
}

void
handle_list_timers(Request *request, Session *session)
{
	answer_list(request, session, LIST_PENDING("timer", "name", "name", "''", "::pg_catalog.text COLLATE \"C\""));
}

/*
 * Keys without their values; those of others are not shown.
 */
void
handle_list_keys(Request *request, Session *session)
{
	answer_list(request, session,
				LIST("'key'::pg_catalog.text, r.key,"
					 " 'updatedAt'::pg_catalog.text, " INSTANT("r.updated_at") ","
					 " 'expiresAt'::pg_catalog.text, " INSTANT("r.expires_at"),
					 "SELECT s.key, s.updated_at, s.expires_at FROM actor.state s"
					 " WHERE" OF_ACTOR
					 "  AND s.key OPERATOR(pg_catalog.>) COALESCE($3, '')::pg_catalog.text"
					 "  AND (s.expires_at IS NULL OR"
					 "       s.expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp())"
					 " ORDER BY 1"));
}

void
handle_list_subscriptions(Request *request, Session *session)
{
	answer_list(request, session,
				LIST("'id'::pg_catalog.text, r.subscription_id, 'topic'::pg_catalog.text, r.topic,"
					 " 'topicType'::pg_catalog.text, r.topic_type,"
					 " 'topicId'::pg_catalog.text, NULLIF(r.topic_id, ''),"
					 " 'method'::pg_catalog.text, r.method,"
					 " 'failurePolicy'::pg_catalog.text, r.failure_policy,"
					 " 'subscribedAt'::pg_catalog.text, " INSTANT("r.subscribed_at"),
					 "SELECT s.* FROM actor.subscription s"
					 " WHERE" OF_ACTOR
					 "  AND s.subscription_id OPERATOR(pg_catalog.>) COALESCE($3, '0')::pg_catalog.int8"
					 " ORDER BY s.subscription_id"));
}
