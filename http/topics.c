/*-------------------------------------------------------------------------
 *
 * topics.c
 *		Publishing events in topics of actors and types, subscribing to these, and
 *		reading events that are kept: as a list, or as a stream that goes on.
 *
 * IDENTIFICATION
 *		http/topics.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "call.h"
#include "feed.h"
#include "topics.h"
#include "util.h"

/* most events of a list */
#define LIST_MAX			"1000"

/* publishing ------------------------------------------------------------ */

/*
 * Publishes the body, which is JSON or empty.
 */
void
handle_publish(Request *request, Session *session)
{
	const char *values[4] = {request->name, NULL, request->actor_type, request->actor_id};

	if (read_payload(request, &values[1]))
		call_with_result(request, session,
						 "SELECT pg_catalog.json_build_object('id'::pg_catalog.text,"
						 " @.actor_publish($1::pg_catalog.text, $2::pg_catalog.jsonb,"
						 " $3::pg_catalog.text, $4::pg_catalog.text))", 4, values);
}

/* subscribing ----------------------------------------------------------- */

/* what the body of a request asks for; NULL: absent */
typedef struct Subscription
{
	char	   *method;
	char	   *topic_type;
	char	   *topic_id;
	char	   *failure_policy;
} Subscription;

/*
 * Reads the body.  Returns false, and has answered, if it is not as it should be.  The
 * subscription is to be released in any case.
 */
static bool
read_subscription(Request *request, Subscription *subscription)
{
	JsonDocument document;
	bool		complete;

	memset(subscription, 0, sizeof(*subscription));
	if (!read_object(request, &document))
		return false;
	complete = read_text_member(request, &document, "method", &subscription->method) &&
		read_text_member(request, &document, "topicType", &subscription->topic_type) &&
		read_text_member(request, &document, "topicId", &subscription->topic_id) &&
		(subscription->method != NULL || malformed_member(request, "method", "is missing"));
	if (complete)
		subscription->failure_policy = copy_member(&document, "failurePolicy", false);
	json_release(&document);
	return complete;
}

/*
 * Lets an actor get the events of a topic; says whether it did not before.
 */
void
handle_subscribe(Request *request, Session *session)
{
	Subscription subscription;

	if (read_subscription(request, &subscription))
	{
		const char *values[] = {
			request->name, request->actor_type, request->actor_id, subscription.method,
			subscription.topic_type, subscription.topic_id, subscription.failure_policy
		};

		call_with_result(request, session,
						 "SELECT pg_catalog.json_build_object('created'::pg_catalog.text,"
						 " @.actor_subscribe($1::pg_catalog.text, $2::pg_catalog.text,"
						 " $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text,"
						 " $6::pg_catalog.text, $7::pg_catalog.jsonb))",
						 lengthof(values), values);
	}
	free(subscription.method);
	free(subscription.topic_type);
	free(subscription.topic_id);
	free(subscription.failure_policy);
}

/*
 * Ends that; says whether there was a subscription.
 */
void
handle_unsubscribe(Request *request, Session *session)
{
	char	   *topic_type = query_value(&request->path.query, "topicType");
	char	   *topic_id = query_value(&request->path.query, "topicId");
	const char *values[] = {
		request->name, request->actor_type, request->actor_id, topic_type, topic_id
	};

	call_with_result(request, session,
					 "SELECT pg_catalog.json_build_object('ended'::pg_catalog.text,"
					 " @.actor_unsubscribe($1::pg_catalog.text, $2::pg_catalog.text,"
					 " $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text))",
					 lengthof(values), values);
	free(topic_type);
	free(topic_id);
}

/* reading --------------------------------------------------------------- */

/*
 * The event that the client has seen last, as it says; NULL if it does not.  Returns
 * false, and has answered, if that is no number.  To be freed.
 */
static bool
read_position(Request *request, char **after)
{
	char	   *end;

	*after = request->last_event_id != NULL ? xstrdup(request->last_event_id) :
		query_value(&request->path.query, "after");
	if (*after == NULL)
		return true;
	errno = 0;
	if ((*after)[0] != '\0' && strspn(*after, "0123456789") == strlen(*after) &&
		strtoll(*after, &end, 10) >= 0 && errno == 0)
		return true;
	answer_error(request, 400, "ERR_MALFORMED_REQUEST",
				 "Last-Event-ID and the parameter \"after\" must be the number of an event");
	return false;
}

static void
answer_list(Request *request, Session *session, const char *after)
{
	const char *values[4] = {request->name, request->actor_type, request->actor_id, after};

	call_with_result(request, session,
					 "SELECT COALESCE(pg_catalog.json_agg(pg_catalog.json_build_object("
					 " 'id'::pg_catalog.text, e.event_id, 'publishedAt'::pg_catalog.text,"
					 " pg_catalog.to_char(pg_catalog.timezone('UTC', e.published_at),"
					 " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), 'data'::pg_catalog.text, e.payload)),"
					 " '[]'::pg_catalog.json)"
					 " FROM @.actor_events($1::pg_catalog.text, $2::pg_catalog.text,"
					 " $3::pg_catalog.text, COALESCE($4::pg_catalog.int8, 0), " LIST_MAX ") AS e",
					 4, values);
}

/*
 * Begins a stream of the events after that one, or of those to come.
 */
static void
answer_stream(Request *request, Session *session, const char *after)
{
	const char *values[3] = {request->name, request->actor_type, request->actor_id};
	PGresult   *result;
	StreamWish	wish;

	result = call_database(request, session,
						   "SELECT s.kept, s.last_event, s.notified, pg_catalog.pg_is_in_recovery()"
						   " FROM actor.event_source($1::pg_catalog.text, $2::pg_catalog.text,"
						   " $3::pg_catalog.text) AS s", 3, values);
	if (result == NULL)
		return;
	memset(&wish, 0, sizeof(wish));
	wish.type = request->actor_type;
	wish.id = request->actor_id;
	wish.topic = request->name;
	wish.notified = PQgetvalue(result, 0, 2);
	wish.after = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
	wish.fresh = (after == NULL);
	if (after != NULL)
		wish.seen = strtoll(after, NULL, 10);
	/* a database that was restored has not got as far */
	if (after != NULL && wish.seen < wish.after)
		wish.after = wish.seen;
	if (PQgetvalue(result, 0, 3)[0] == 't')
		answer_error(request, 503, "ERR_ACTOR_READ_ONLY", "a standby does not tell of events as they come");
	else if (PQgetvalue(result, 0, 0)[0] != 't')
		answer_error(request, 404, "ERR_ACTOR_TOPIC_GET",
					 "events of topic \"%s\" are not kept", request->name);
	else if ((request->stream = stream_open(request->pool, request->connection, &wish)) == NULL)
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED", "there are too many streams");
	else
	{
		answer_bytes(request, 200, "text/event-stream", "", 0);
		answer_header(request, "Cache-Control", "no-store");
		/* proxies must not wait for more of it */
		answer_header(request, "X-Accel-Buffering", "no");
		request->streams = true;
	}
	PQclear(result);
}

/*
 * Events of a topic: a list, or a stream if the client accepts one.
 */
void
handle_events(Request *request, Session *session)
{
	char	   *after;

	if (read_position(request, &after))
	{
		if (request->wants_stream && request->verb == VERB_GET)
			answer_stream(request, session, after);
		else
			answer_list(request, session, after);
	}
	free(after);
}
