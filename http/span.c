/*-------------------------------------------------------------------------
 *
 * span.c
 *		Spans of OpenTelemetry: what requests and calls of the application took, sent
 *		to a collector as OTLP over HTTP, in JSON.
 *
 * Whoever ends a span puts it into a queue, and goes on; a thread sends what is
 * there.  The queue has a limit, so a collector that is slow or away costs spans,
 * which are counted, and never a request its time.
 *
 * IDENTIFICATION
 *		http/span.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <curl/curl.h>
#include <jansson.h>

#include "options.h"
#include "span.h"
#include "util.h"

/* spans that wait; as many are on their way at most */
#define QUEUE_MAX			2048
/* so many are sent at once, or those of so much time */
#define BATCH_MIN			512
#define BATCH_MS			1000
#define SEND_MS				5000
#define CONNECT_MS			2000
#define MAX_ATTRIBUTES		8

#define TRACE_SIZE			16
#define SPAN_SIZE			8

struct Span
{
	SpanKind	kind;
	char		trace[2 * TRACE_SIZE + 1];
	char		id[2 * SPAN_SIZE + 1];
	char		parent[2 * SPAN_SIZE + 1];	/* empty: none */
	int64_t		began;			/* nanoseconds since 1970 */
	int64_t		ended;
	char	   *name;
	int			status;			/* of HTTP; 0: there was no answer */
	char	   *problem;		/* NULL: it went well */
	int			nattributes;
	const char *names[MAX_ATTRIBUTES];
	char	   *values[MAX_ATTRIBUTES];
	struct Span *next;
};

static pthread_t sender;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static pthread_cond_t work;
static Span *first;
static Span **last = &first;
static int	queued;
static bool stopping;

static atomic_uint_fast64_t sent;
static atomic_uint_fast64_t dropped;

/* spans ----------------------------------------------------------------- */

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

/*
 * A random id of so many bytes, in hexadecimal digits, and not all of them zero.
 */
static void
make_id(char *text, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[TRACE_SIZE];

	if (getrandom(bytes, size, 0) != (ssize_t) size)
		die("there are no random numbers");
	bytes[0] |= 1;
	for (size_t i = 0; i < size; i++)
	{
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * size] = '\0';
}

/*
 * span_begin
 *		Begins a span below a traceparent, which is a valid one, or a trace of its own
 *		without one.  NULL if spans are not wanted, at all or in that trace.
 */
Span *
span_begin(SpanKind kind, const char *parent)
{
	Span	   *span;

	if (options.otlp_endpoint == NULL ||
		(parent != NULL && (strtoul(parent + 53, NULL, 16) & 1) == 0))
		return NULL;
	span = xmalloc(sizeof(Span));
	memset(span, 0, sizeof(*span));
	span->kind = kind;
	span->began = now_ns();
	make_id(span->id, SPAN_SIZE);
	if (parent == NULL)
		make_id(span->trace, TRACE_SIZE);
	else
	{
		memcpy(span->trace, parent + 3, 2 * TRACE_SIZE);
		memcpy(span->parent, parent + 36, 2 * SPAN_SIZE);
	}
	return span;
}

/*
 * span_traceparent
 *		Writes the traceparent of what happens below a span.
 */
void
span_traceparent(const Span *span, char *text)
{
	char	   *traceparent = xprintf("00-%s-%s-01", span->trace, span->id);

	memcpy(text, traceparent, TRACEPARENT_SIZE);
	free(traceparent);
}

/*
 * span_attribute
 *		Adds to what is said about a span, which can be NULL.  The name is a constant,
 *		the value a text, or NULL for nothing.
 */
void
span_attribute(Span *span, const char *name, const char *value)
{
	if (span == NULL || value == NULL || span->nattributes == MAX_ATTRIBUTES)
		return;
	span->names[span->nattributes] = name;
	span->values[span->nattributes++] = xstrdup(value);
}

static void
span_free(Span *span)
{
	for (int i = 0; i < span->nattributes; i++)
		free(span->values[i]);
	free(span->name);
	free(span->problem);
	free(span);
}

/*
 * span_end
 *		Ends a span, which can be NULL and is gone after this.
 */
void
span_end(Span *span, const char *name, int status, const char *problem)
{
	bool		fits;

	if (span == NULL)
		return;
	span->ended = now_ns();
	span->name = xstrdup(name);
	span->status = status;
	if (problem != NULL)
		span->problem = xstrdup(problem);
	pthread_mutex_lock(&lock);
	fits = queued < QUEUE_MAX;
	if (fits)
	{
		*last = span;
		last = &span->next;
		queued++;
		if (queued == BATCH_MIN)
			pthread_cond_signal(&work);
	}
	pthread_mutex_unlock(&lock);
	if (fits)
		return;
	atomic_fetch_add(&dropped, 1);
	span_free(span);
}

/* sending --------------------------------------------------------------- */

static json_t *
attribute(const char *name, json_t *value)
{
	return json_pack("{s:s, s:o}", "key", name, "value", value);
}

static json_t *
text_attribute(const char *name, const char *value)
{
	/* what is no UTF-8 cannot be sent */
	json_t	   *text = json_string(value);

	return attribute(name, json_pack("{s:o}", "stringValue", text != NULL ? text : json_string("?")));
}

/*
 * Times are texts, because numbers of JSON are too short for them.
 */
static void
add_time(json_t *object, const char *name, int64_t time)
{
	char	   *text = xprintf("%lld", (long long) time);

	json_object_set_new(object, name, json_string(text));
	free(text);
}

static json_t *
span_json(const Span *span)
{
	json_t	   *object = json_pack("{s:s, s:s, s:i}", "traceId", span->trace, "spanId", span->id,
								   "kind", (int) span->kind);
	json_t	   *attributes = json_array();

	if (span->parent[0] != '\0')
		json_object_set_new(object, "parentSpanId", json_string(span->parent));
	json_object_set_new(object, "name", json_string(span->name));
	add_time(object, "startTimeUnixNano", span->began);
	add_time(object, "endTimeUnixNano", span->ended);
	for (int i = 0; i < span->nattributes; i++)
		json_array_append_new(attributes, text_attribute(span->names[i], span->values[i]));
	if (span->status != 0)
	{
		char	   *status = xprintf("%d", span->status);

		json_array_append_new(attributes, attribute("http.response.status_code",
													json_pack("{s:s}", "intValue", status)));
		free(status);
	}
	json_object_set_new(object, "attributes", attributes);
	if (span->problem != NULL)
		json_object_set_new(object, "status", json_pack("{s:i, s:s}", "code", 2, "message", span->problem));
	return object;
}

/*
 * A request with spans, to be freed; the spans are.
 */
static char *
batch_text(Span *spans, int *count)
{
	json_t	   *list = json_array();
	json_t	   *document;
	char	   *text;

	*count = 0;
	while (spans != NULL)
	{
		Span	   *span = spans;

		spans = span->next;
		json_array_append_new(list, span_json(span));
		span_free(span);
		++*count;
	}
	document = json_pack("{s:[{s:{s:[o]}, s:[{s:{s:s, s:s}, s:o}]}]}",
						 "resourceSpans",
						 "resource", "attributes", text_attribute("service.name", options.app_id),
						 "scopeSpans",
						 "scope", "name", "actor-http", "version", ACTOR_HTTP_VERSION,
						 "spans", list);
	text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
	if (text == NULL)
		die("out of memory");
	json_decref(document);
	return text;
}

static size_t
ignore_answer(char *bytes, size_t size, size_t count, void *arg)
{
	(void) bytes;
	(void) arg;
	return size * count;
}

/*
 * Whether the collector has taken a batch.  That it does not is logged when it
 * begins, and that it does again when that ends.
 */
static bool
send_batch(CURL *easy, const char *text)
{
	static bool troubled;
	long		status = 0;
	CURLcode	result;

	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, text);
	result = curl_easy_perform(easy);
	if (result == CURLE_OK)
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
	{
		if (troubled)
			log_line("spans are taken again");
		troubled = false;
		return true;
	}
	if (!troubled && result != CURLE_OK)
		log_line("could not send spans: %s", curl_easy_strerror(result));
	else if (!troubled)
		log_line("could not send spans: the answer was %ld", status);
	troubled = true;
	return false;
}

/*
 * All that waits, once that is enough or enough time is over; NULL at the end.
 */
static Span *
take_batch(void)
{
	Span	   *batch;
	struct timespec until;

	pthread_mutex_lock(&lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += BATCH_MS / 1000;
	while (!stopping && queued < BATCH_MIN)
		if (pthread_cond_timedwait(&work, &lock, &until) != 0)
		{
			if (queued > 0)
				break;
			clock_gettime(CLOCK_MONOTONIC, &until);
			until.tv_sec += BATCH_MS / 1000;
		}
	batch = first;
	first = NULL;
	last = &first;
	queued = 0;
	pthread_mutex_unlock(&lock);
	return batch;
}

static void *
sender_main(void *arg)
{
	CURL	   *easy = curl_easy_init();
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	Span	   *batch;

	(void) arg;
	if (easy == NULL || headers == NULL)
		die("out of memory");
	headers = curl_slist_append(headers, "Expect:");
	curl_easy_setopt(easy, CURLOPT_URL, options.otlp_endpoint);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, ignore_answer);
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) SEND_MS);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	while ((batch = take_batch()) != NULL)
	{
		int			count;
		char	   *text = batch_text(batch, &count);

		atomic_fetch_add(send_batch(easy, text) ? &sent : &dropped, (uint64_t) count);
		free(text);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(easy);
	return NULL;
}

/* start and end --------------------------------------------------------- */

/*
 * spans_start
 *		Called before there are requests, if spans are wanted.
 */
void
spans_start(void)
{
	condition_init(&work);
	if (pthread_create(&sender, NULL, sender_main, NULL) != 0)
		die("could not start a thread");
}

/*
 * spans_stop
 *		Sends what is left.  There must be no requests any more.
 */
void
spans_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_signal(&work);
	pthread_mutex_unlock(&lock);
	pthread_join(sender, NULL);
}

void
spans_count(uint64_t *sent_spans, uint64_t *dropped_spans)
{
	*sent_spans = atomic_load(&sent);
	*dropped_spans = atomic_load(&dropped);
}
