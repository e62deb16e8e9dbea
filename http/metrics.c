/*-------------------------------------------------------------------------
 *
 * metrics.c
 *		What is counted of requests, and /metrics: that, the pools, and what the
 *		database has to say, as Prometheus reads it.
 *
 * Each counter is a number that threads add to without a lock, so a page of
 * metrics may be a request or two ahead of itself.  Numbers of different names
 * have no limit that clients could reach: there is one for each operation.
 *
 * Nobody waits behind requests that wait for turns to be told how many there
 * are: without an idle session there is nothing of the database on the page.
 *
 * IDENTIFICATION
 *		http/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "answer.h"
#include "feed.h"
#include "metrics.h"
#include "options.h"
#include "pool.h"
#include "util.h"

#define STATUS_MIN			200
#define STATUS_COUNT		400

/* the names that operations have, by Route */
static const char *const names[] = {
	[ROUTE_NONE] = "none",[ROUTE_METHOD] = "method",[ROUTE_STATE] = "state",
	[ROUTE_STATE_KEY] = "state_key",[ROUTE_REMINDER] = "reminder",[ROUTE_TIMER] = "timer",
	[ROUTE_REMINDERS] = "reminders",[ROUTE_TIMERS] = "timers",[ROUTE_MESSAGES] = "messages",
	[ROUTE_MESSAGE] = "message",[ROUTE_RESULT] = "result",[ROUTE_PROMISE] = "promise",
	[ROUTE_OPENAPI] = "openapi",
	[ROUTE_ACTOR] = "actor",[ROUTE_HEALTH] = "health",
	[ROUTE_HEALTH_OUTBOUND] = "health_outbound",[ROUTE_METADATA] = "metadata",
	[ROUTE_METADATA_KEY] = "metadata_key",[ROUTE_METRICS] = "metrics",
	[ROUTE_TOPIC] = "topic",[ROUTE_TYPE_TOPIC] = "type_topic",
	[ROUTE_SUBSCRIPTIONS] = "subscriptions",[ROUTE_SUBSCRIPTION] = "subscription",
	[ROUTE_PAGE] = "page",[ROUTE_VIEW] = "view"
};

/* upper bounds of the histogram, in microseconds */
static const int64_t bounds[] = {
	250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000, 30000000
};

typedef struct Counted
{
	atomic_uint_fast64_t answered[STATUS_COUNT];
	atomic_uint_fast64_t took[lengthof(bounds) + 1];
	atomic_uint_fast64_t microseconds;
} Counted;

static Counted counted[lengthof(names)];
static atomic_int_fast64_t in_progress;

/* counting -------------------------------------------------------------- */

static int64_t
now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/*
 * metrics_begin
 *		A request has come.
 */
void
metrics_begin(Request *request)
{
	request->began_at = now_us();
	atomic_fetch_add(&in_progress, 1);
}

/*
 * The span of a method has its name, others that of the operation.
 */
static void
end_span(Request *request, const char *operation)
{
	char	   *name;
	char	   *problem;

	if (request->span == NULL)
		return;
	if (request->operation->route == ROUTE_METHOD && request->name != NULL)
		name = xprintf("%s.%s", request->actor_type, request->name);
	else
		name = xstrdup(operation);
	problem = request->status >= 500 || request->status == 0 ?
		xprintf("the answer was %d", request->status) : NULL;
	span_end(request->span, name, request->status, problem);
	request->span = NULL;
	free(problem);
	free(name);
}

/*
 * metrics_end
 *		A request that has begun is over; without a status it was not answered.
 */
void
metrics_end(Request *request)
{
	Route		route = request->operation != NULL ? request->operation->route : ROUTE_NONE;
	Counted    *counter = &counted[route];
	int64_t		took = now_us() - request->began_at;
	size_t		i = 0;

	end_span(request, names[route]);
	atomic_fetch_sub(&in_progress, 1);
	if (request->status < STATUS_MIN || request->status >= STATUS_MIN + STATUS_COUNT)
		return;
	while (i < lengthof(bounds) && took > bounds[i])
		i++;
	atomic_fetch_add(&counter->answered[request->status - STATUS_MIN], 1);
	/* a stream takes as long as its client likes */
	if (request->streams)
		return;
	atomic_fetch_add(&counter->took[i], 1);
	atomic_fetch_add(&counter->microseconds, (uint64_t) took);
}

/* showing --------------------------------------------------------------- */

static void
add_line(Buffer *buffer, char *line)
{
	buffer_text(buffer, line);
	free(line);
}

static void
add_family(Buffer *buffer, const char *name, const char *kind, const char *help)
{
	add_line(buffer, xprintf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind));
}

static void
add_number(Buffer *buffer, const char *name, const char *labels, long long value)
{
	add_line(buffer, xprintf("%s%s %lld\n", name, labels, value));
}

static void
add_requests(Buffer *buffer)
{
	add_family(buffer, "actor_http_requests_total", "counter", "Requests that were answered.");
	for (size_t route = 0; route < lengthof(names); route++)
		for (int i = 0; i < STATUS_COUNT; i++)
		{
			unsigned long long count = atomic_load(&counted[route].answered[i]);

			if (count > 0)
				add_line(buffer, xprintf("actor_http_requests_total{operation=\"%s\",status=\"%d\"} %llu\n",
										 names[route], i + STATUS_MIN, count));
		}
}

static void
add_durations(Buffer *buffer)
{
	const char *name = "actor_http_request_duration_seconds";

	add_family(buffer, name, "histogram",
			   "Time from the headers of a request to the end of its answer.");
	for (size_t route = 0; route < lengthof(names); route++)
	{
		unsigned long long count = 0;

		for (size_t i = 0; i <= lengthof(bounds); i++)
			count += atomic_load(&counted[route].took[i]);
		if (count == 0)
			continue;
		count = 0;
		for (size_t i = 0; i < lengthof(bounds); i++)
		{
			count += atomic_load(&counted[route].took[i]);
			add_line(buffer, xprintf("%s_bucket{operation=\"%s\",le=\"%g\"} %llu\n", name, names[route],
									 (double) bounds[i] / 1e6, count));
		}
		count += atomic_load(&counted[route].took[lengthof(bounds)]);
		add_line(buffer, xprintf("%s_bucket{operation=\"%s\",le=\"+Inf\"} %llu\n", name, names[route], count));
		add_line(buffer, xprintf("%s_sum{operation=\"%s\"} %.6f\n", name, names[route],
								 (double) atomic_load(&counted[route].microseconds) / 1e6));
		add_line(buffer, xprintf("%s_count{operation=\"%s\"} %llu\n", name, names[route], count));
	}
}

/*
 * The pool of the client: what others have is theirs.
 */
static void
add_pool(Buffer *buffer, Pool *pool)
{
	PoolNumbers numbers;
	long		streams;
	long		stream_bytes;

	pool_count_requests(pool, &numbers);
	feeds_count(&streams, &stream_bytes);
	add_family(buffer, "actor_http_in_progress", "gauge", "Requests that have begun and are not over.");
	add_number(buffer, "actor_http_in_progress", "", atomic_load(&in_progress));
	add_family(buffer, "actor_http_streams", "gauge", "Those of them that are streams of events.");
	add_number(buffer, "actor_http_streams", "", streams);
	add_family(buffer, "actor_http_stream_bytes", "gauge", "Bytes that wait in them for their clients.");
	add_number(buffer, "actor_http_stream_bytes", "", stream_bytes);
	add_family(buffer, "actor_http_sessions", "gauge",
			   "Sessions of the database that requests with this token can have.");
	add_number(buffer, "actor_http_sessions", "{state=\"busy\"}", numbers.running);
	add_number(buffer, "actor_http_sessions", "{state=\"idle\"}", numbers.idle);
	add_family(buffer, "actor_http_queue", "gauge", "Requests that wait for one.");
	add_number(buffer, "actor_http_queue", "", numbers.queued);
	add_family(buffer, "actor_http_queue_oldest_seconds", "gauge",
			   "For how long the first of these has waited; 0 when none does.");
	add_line(buffer, xprintf("actor_http_queue_oldest_seconds %.3f\n",
							 (double) numbers.oldest_ms / 1000));
}

static void
add_spans(Buffer *buffer)
{
	uint64_t	sent;
	uint64_t	dropped;

	if (options.otlp_endpoint == NULL)
		return;
	spans_count(&sent, &dropped);
	add_family(buffer, "actor_http_spans_total", "counter",
			   "Spans that the collector has taken, and those that were given up.");
	add_number(buffer, "actor_http_spans_total", "{result=\"sent\"}", (long long) sent);
	add_number(buffer, "actor_http_spans_total", "{result=\"dropped\"}", (long long) dropped);
}

/*
 * Answers with our own metrics, and those of the database, if they are there.
 */
static void
answer_metrics(Request *request, bool up, const char *database)
{
	Buffer		buffer = {0};

	add_requests(&buffer);
	add_durations(&buffer);
	add_pool(&buffer, request->pool);
	add_spans(&buffer);
	if (database != NULL || !up)
	{
		add_family(&buffer, "actor_http_database_up", "gauge", "Whether the database has answered.");
		add_number(&buffer, "actor_http_database_up", "", up);
	}
	if (database != NULL)
		buffer_text(&buffer, database);
	answer_bytes(request, 200, "text/plain; version=0.0.4; charset=utf-8", buffer.data, buffer.length);
	buffer_free(&buffer);
}

/*
 * metrics_at_once
 *		Answers without the database when all sessions are busy.  Returns whether
 *		it has.
 */
bool
metrics_at_once(Request *request)
{
	if (pool_has_idle(request->pool))
		return false;
	answer_metrics(request, true, NULL);
	return true;
}

void
handle_metrics(Request *request, Session *session)
{
	PGresult   *result;
	char	   *reason;
	QueryOutcome outcome;

	for (int attempt = 0;; attempt++)
	{
		outcome = session_query(session, "SELECT @.actor_metrics()", NULL, false, 0, NULL,
								&result, &reason);
		/* one that broke since the last request says nothing about a new one */
		if (outcome != QUERY_LOST || attempt > 0)
			break;
		free(reason);
	}
	if (outcome == QUERY_ANSWERED && PQresultStatus(result) == PGRES_TUPLES_OK)
		answer_metrics(request, true, PQgetvalue(result, 0, 0));
	else if (outcome == QUERY_ANSWERED)
		answer_sql_error(request, result);
	else
		answer_metrics(request, false, NULL);
	PQclear(result);
	free(reason);
}
