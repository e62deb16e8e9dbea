/*-------------------------------------------------------------------------
 *
 * metadata.c
 *		Health and metadata.
 *
 * SDKs ask for the metadata often, so what the database says about the actors
 * is kept for a second.  The document is served without a database, too.
 *
 * IDENTIFICATION
 *		http/metadata.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "http.h"

/* how long an answer of the database is good */
#define CACHE_MS			1000
/* labels that clients may set */
#define MAX_LABELS			64
#define MAX_LABEL_BYTES		4096

static pthread_mutex_t label_lock = PTHREAD_MUTEX_INITIALIZER;
static json_t *labels;			/* protected by that; NULL: none */

/* health ---------------------------------------------------------------- */

/*
 * Answers for healthz what needs no database.  Returns whether it has.
 */
static bool
answer_health(Request *request)
{
	char	   *app_id = query_value(&request->path.query, "appid");
	bool		other = (app_id != NULL && strcmp(app_id, options.app_id) != 0);

	free(app_id);
	if (other)
		answer_error(request, 500, "ERR_HEALTH_APPID_NOT_MATCH",
					 "this is not the application with that id");
	/* when all sessions are busy, the database serves us */
	else if (!pool_has_idle(request->pool))
		answer_empty(request, 204);
	else
		return false;
	return true;
}

void
handle_health(Request *request, Session *session)
{
	PGresult   *result;
	char	   *reason;
	QueryOutcome outcome = session_query(session, "SELECT 1", NULL, 0, NULL, &result, &reason);

	/* one that broke since the last request says nothing about a new one */
	if (outcome == QUERY_LOST)
	{
		free(reason);
		outcome = session_query(session, "SELECT 1", NULL, 0, NULL, &result, &reason);
	}
	if (outcome == QUERY_ANSWERED && PQresultStatus(result) == PGRES_TUPLES_OK)
		answer_empty(request, 204);
	else
		answer_error(request, 500, request->operation->error_code,
					 "could not use the database: %s",
					 reason != NULL ? reason : PQresultErrorMessage(result));
	PQclear(result);
	free(reason);
}

/* the document ---------------------------------------------------------- */

/*
 * Answers with the metadata.  The actors are an array, or NULL if the database
 * cannot say.
 */
static void
answer_metadata(Request *request, json_t *actors)
{
	json_t	   *shown = actors != NULL ? json_incref(actors) : json_array();
	json_t	   *document;
	json_t	   *extended;
	char	   *text;

	pthread_mutex_lock(&label_lock);
	extended = labels != NULL ? json_copy(labels) : json_object();
	pthread_mutex_unlock(&label_lock);

	document = json_pack("{s:s, s:s, s:[], s:O, s:[], s:[], s:[], s:o, s:{s:s, s:b, s:s, s:O}}",
						 "id", options.app_id,
						 "runtimeVersion", "actor-http " ACTOR_HTTP_VERSION,
						 "enabledFeatures",
						 "actors", shown,
						 "components", "subscriptions", "httpEndpoints",
						 "extended", extended,
						 "actorRuntime",
						 "runtimeStatus", actors != NULL ? "RUNNING" : "INITIALIZING",
						 "hostReady", actors != NULL,
						 "placement", "database",
						 "activeActors", shown);
	text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
	if (text == NULL)
		die("out of memory");
	answer_bytes(request, 200, "application/json", text, strlen(text));
	free(text);
	json_decref(document);
	json_decref(shown);
}

/*
 * Takes over a reference to the actors, and remembers them.
 */
static void
remember_actors(Pool *pool, json_t *actors)
{
	pthread_mutex_lock(&pool->lock);
	json_decref(pool->actors);
	pool->actors = actors;
	pool->actors_at = now_ms();
	pthread_mutex_unlock(&pool->lock);
}

/*
 * A copy of what is remembered, if it is fresh enough or age does not matter;
 * otherwise NULL.
 */
static json_t *
recall_actors(Pool *pool, bool any_age)
{
	json_t	   *actors = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->actors != NULL && (any_age || now_ms() - pool->actors_at < CACHE_MS))
		actors = json_deep_copy(pool->actors);
	pthread_mutex_unlock(&pool->lock);
	return actors;
}

static json_t *
actors_from_result(const PGresult *result)
{
	json_t	   *actors = json_array();

	for (int i = 0; i < PQntuples(result); i++)
		json_array_append_new(actors,
							  json_pack("{s:s, s:I}", "type", PQgetvalue(result, i, 0),
										"count", (json_int_t) strtoll(PQgetvalue(result, i, 1),
																	  NULL, 10)));
	return actors;
}

/*
 * The types and the number of their active actors, as far as the role may know.
 */
void
handle_metadata(Request *request, Session *session)
{
	PGresult   *result;
	char	   *reason;
	json_t	   *actors = NULL;

	(void) session_query(session,
						 "SELECT t.actor_type, (SELECT pg_catalog.count(*) FROM actor.activation a"
						 " WHERE a.actor_type OPERATOR(pg_catalog.=) t.actor_type"
						 " AND a.server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time())"
						 " FROM actor.type t ORDER BY t.actor_type", request->traceparent,
						 0, NULL, &result, &reason);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		actors = actors_from_result(result);
		remember_actors(request->pool, json_deep_copy(actors));
	}
	answer_metadata(request, actors);
	json_decref(actors);
	PQclear(result);
	free(reason);
}

/* labels ---------------------------------------------------------------- */

static void
set_label(Request *request)
{
	bool		full;

	if (request->body.length > MAX_LABEL_BYTES ||
		!utf8_valid(request->body.data != NULL ? request->body.data : "", request->body.length) ||
		memchr(request->body.data != NULL ? request->body.data : "", '\0', request->body.length))
	{
		answer_error(request, 400, "ERR_BAD_REQUEST",
					 "a label must be a text of at most %d bytes", MAX_LABEL_BYTES);
		return;
	}
	pthread_mutex_lock(&label_lock);
	if (labels == NULL)
		labels = json_object();
	full = json_object_size(labels) >= MAX_LABELS &&
		json_object_get(labels, request->name) == NULL;
	if (!full)
		json_object_set_new(labels, request->name,
							json_stringn(request->body.data != NULL ? request->body.data : "",
										 request->body.length));
	pthread_mutex_unlock(&label_lock);
	if (full)
		answer_error(request, 400, "ERR_BAD_REQUEST", "there are %d labels already", MAX_LABELS);
	else
		answer_empty(request, 204);
}

/*
 * Never run, since labels need no database.
 */
void
handle_metadata_label(Request *request, Session *session)
{
	(void) session;
	set_label(request);
}

void
metadata_free(void)
{
	json_decref(labels);
	labels = NULL;
}

/*
 * answer_without_database
 *		Answers a request that does not need the database, or not now.  Returns
 *		whether it has.
 */
bool
answer_without_database(Request *request)
{
	json_t	   *actors;

	switch (request->operation->route)
	{
		case ROUTE_HEALTH:
		case ROUTE_HEALTH_OUTBOUND:
			return answer_health(request);
		case ROUTE_METADATA_KEY:
			set_label(request);
			return true;
		case ROUTE_METADATA:
			/* not behind requests that wait for turns */
			actors = recall_actors(request->pool, !pool_has_idle(request->pool));
			if (actors == NULL && pool_has_idle(request->pool))
				return false;
			answer_metadata(request, actors);
			json_decref(actors);
			return true;
		default:
			return false;
	}
}
