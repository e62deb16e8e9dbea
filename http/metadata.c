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
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer.h"
#include "app.h"
#include "metadata.h"
#include "options.h"
#include "pool.h"
#include "self.h"
#include "util.h"

/* how long an answer of the database is good */
#define CACHE_MS			1000
/* labels that clients may set */
#define MAX_LABELS			64
#define MAX_LABEL_BYTES		4096

/* what those who show one token see, and nobody else */
typedef struct Known
{
	json_t	   *actors;			/* what the database said; NULL: nothing yet */
	int64_t		actors_at;
	json_t	   *labels;
} Known;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Known *known;			/* one for each pool */

/*
 * metadata_start
 *		Called once there are pools, and before there are requests.
 */
void
metadata_start(void)
{
	known = xmalloc(pools_count() * sizeof(Known));
	memset(known, 0, pools_count() * sizeof(Known));
	for (size_t i = 0; i < pools_count(); i++)
		known[i].labels = json_object();
}

/*
 * metadata_stop
 *		Called when there are no more requests.
 */
void
metadata_stop(void)
{
	for (size_t i = 0; i < pools_count(); i++)
	{
		json_decref(known[i].actors);
		json_decref(known[i].labels);
	}
	free(known);
}

/* health ---------------------------------------------------------------- */

/*
 * health_at_once
 *		Answers for healthz what needs no database.  Returns whether it has.
 */
bool
health_at_once(Request *request)
{
	char	   *app_id = query_value(&request->path.query, "appid");
	bool		other = (app_id != NULL && strcmp(app_id, options.app_id) != 0);

	free(app_id);
	if (other)
		answer_error(request, 500, "ERR_HEALTH_APPID_NOT_MATCH",
					 "this is not the application with that id");
	else if (options.app != NULL && request->operation->route == ROUTE_HEALTH &&
			 (!self_is_ready() || !app_is_same()))
		answer_error(request, 500, request->operation->error_code,
					 "the application is not ready");
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
	QueryOutcome outcome = session_query(session, "SELECT 1", NULL, false, 0, NULL, &result, &reason);

	/* one that broke since the last request says nothing about a new one */
	if (outcome == QUERY_LOST)
	{
		free(reason);
		outcome = session_query(session, "SELECT 1", NULL, false, 0, NULL, &result, &reason);
	}
	if (outcome == QUERY_ANSWERED && PQresultStatus(result) == PGRES_TUPLES_OK)
		answer_empty(request, 204);
	/* whoever has no token learns nothing more; the log has the reason */
	else
		answer_error(request, 500, request->operation->error_code,
					 "the database cannot be used now");
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

	pthread_mutex_lock(&lock);
	extended = json_copy(known[request->pool->number].labels);
	pthread_mutex_unlock(&lock);

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
remember_actors(const Pool *pool, json_t *actors)
{
	Known	   *mine = &known[pool->number];

	pthread_mutex_lock(&lock);
	json_decref(mine->actors);
	mine->actors = actors;
	mine->actors_at = now_ms();
	pthread_mutex_unlock(&lock);
}

/*
 * A copy of what is remembered, if it is fresh enough or age does not matter;
 * otherwise NULL.
 */
static json_t *
recall_actors(const Pool *pool, bool any_age)
{
	const Known *mine = &known[pool->number];
	json_t	   *actors = NULL;

	pthread_mutex_lock(&lock);
	if (mine->actors != NULL && (any_age || now_ms() - mine->actors_at < CACHE_MS))
		actors = json_deep_copy(mine->actors);
	pthread_mutex_unlock(&lock);
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
						 false, 0, NULL, &result, &reason);
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

/*
 * metadata_at_once
 *		Answers from memory, so that nobody waits behind requests that wait for
 *		turns.  Returns whether it has.
 */
bool
metadata_at_once(Request *request)
{
	bool		idle = pool_has_idle(request->pool);
	json_t	   *actors = recall_actors(request->pool, !idle);

	if (actors == NULL && idle)
		return false;
	answer_metadata(request, actors);
	json_decref(actors);
	return true;
}

/* labels ---------------------------------------------------------------- */

/*
 * label_at_once
 *		Sets a label.  Always answers.
 */
bool
label_at_once(Request *request)
{
	const char *text = request->body.data != NULL ? request->body.data : "";
	json_t	   *labels = known[request->pool->number].labels;
	bool		full;

	if (request->body.length > MAX_LABEL_BYTES ||
		!utf8_valid(text, request->body.length) ||
		memchr(text, '\0', request->body.length))
	{
		answer_error(request, 400, "ERR_BAD_REQUEST",
					 "a label must be a text of at most %d bytes", MAX_LABEL_BYTES);
		return true;
	}
	pthread_mutex_lock(&lock);
	full = json_object_size(labels) >= MAX_LABELS &&
		json_object_get(labels, request->name) == NULL;
	if (!full)
		json_object_set_new(labels, request->name,
							json_stringn(text,
										 request->body.length));
	pthread_mutex_unlock(&lock);
	if (full)
		answer_error(request, 400, "ERR_BAD_REQUEST", "there are %d labels already", MAX_LABELS);
	else
		answer_empty(request, 204);
	return true;
}
