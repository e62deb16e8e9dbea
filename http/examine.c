/*-------------------------------------------------------------------------
 *
 * examine.c
 *		Finds out what a request wants, and refuses it if that is nothing we
 *		have.
 *
 * IDENTIFICATION
 *		http/examine.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <microhttpd.h>

#include "answer.h"
#include "examine.h"
#include "json.h"
#include "options.h"
#include "page.h"
#include "path.h"
#include "pool.h"
#include "route.h"
#include "self.h"
#include "turn.h"
#include "types.h"
#include "util.h"

/* before the paths of what hosts want of each other */
#define HOST_PREFIX			"/actor-host"

/*
 * header_value
 *		A header of a request; NULL if it has none of that name.
 */
const char *
header_value(const Request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/*
 * Whether a text is a traceparent of W3C, version 00, as the server accepts it;
 * it is harmless in SQL.
 */
static bool
is_traceparent(const char *text)
{
	if (strlen(text) != 55 || strncmp(text, "00-", 3) != 0 ||
		strspn(text + 3, "0") >= 32 || strspn(text + 36, "0") >= 16)
		return false;
	for (int i = 0; i < 55; i++)
	{
		bool		dash = (i == 2 || i == 35 || i == 52);

		if (dash ? text[i] != '-' : strchr("0123456789abcdef", text[i]) == NULL)
			return false;
	}
	return true;
}

/*
 * The token of a request; NULL if it has none.  Metrics are asked for with the
 * header of HTTP, too, which is what Prometheus can send, and so is what the page
 * for operators shows; elsewhere that is the business of applications.
 */
static const char *
token_of(const Request *request)
{
	const char *token = header_value(request, "dapr-api-token");
	const char *authorization = header_value(request, "Authorization");

	if (token == NULL && authorization != NULL &&
		(request->dashboard || route_find(request) == ROUTE_METRICS) &&
		strncasecmp(authorization, "Bearer ", 7) == 0)
		token = authorization + 7;
	return token;
}

static void
take_headers(Request *request)
{
	const char *value;

	if ((value = header_value(request, "Dapr-Reentrancy-Id")) != NULL)
		request->reentrancy_id = xstrdup(value);
	if ((value = header_value(request, "Idempotency-Key")) != NULL)
		request->request_id = xstrdup(value);
	if ((value = header_value(request, "Last-Event-ID")) != NULL)
		request->last_event_id = xstrdup(value);
	value = header_value(request, "Accept");
	request->wants_stream = value != NULL && strstr(value, "text/event-stream") != NULL;
	if ((value = header_value(request, "traceparent")) != NULL)
	{
		answer_header(request, "traceparent", value);
		if (is_traceparent(value))
			request->traceparent = xstrdup(value);
	}
	if ((value = header_value(request, "tracestate")) != NULL)
		answer_header(request, "tracestate", value);
}

bool
is_health(Route route)
{
	return route == ROUTE_HEALTH || route == ROUTE_HEALTH_OUTBOUND;
}

/* of applications and other hosts --------------------------------------- */

/* what is kept of a request for an application */
typedef struct Kept
{
	Header	  **last;
	Buffer		named;			/* in Connection */
} Kept;

/*
 * Keeps a header of a request that may go on to an application.  What is said to
 * this program is not passed on.
 */
static enum MHD_Result
keep_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	static const char *const own[] = {"dapr-api-token", "dapr-reentrancy-id"};
	Kept	   *kept = arg;
	Header	   *header;

	(void) kind;
	if (value == NULL)
		value = "";
	if (strcasecmp(name, "connection") == 0)
	{
		buffer_text(&kept->named, ",");
		buffer_text(&kept->named, value);
	}
	if (!is_end_to_end(name, strlen(name)) || strncasecmp(name, "actor-host-", 11) == 0)
		return MHD_YES;
	for (size_t i = 0; i < lengthof(own); i++)
		if (strcasecmp(name, own[i]) == 0)
			return MHD_YES;
	header = header_create(name, strlen(name), value, strlen(value));
	*kept->last = header;
	kept->last = &header->next;
	return MHD_YES;
}

static void
keep_headers(Request *request)
{
	Kept		kept = {.last = &request->passed};

	(void) MHD_get_connection_values(request->connection, MHD_HEADER_KIND, keep_header, &kept);
	if (kept.named.length > 0)
		headers_remove(&request->passed, kept.named.data);
	buffer_free(&kept.named);
}

static char *
copy_header(const Request *request, const char *name)
{
	const char *value = header_value(request, name);

	return value != NULL ? xstrdup(value) : NULL;
}

/*
 * Takes what another host says about its request, of which it has proved that it
 * is one.
 */
static bool
take_hop(Request *request)
{
	const char *hop = header_value(request, "actor-host-hop");

	if (hop != NULL && strcmp(hop, "call") == 0)
		request->hop = HOP_CALL;
	else if (hop != NULL && strcmp(hop, "turn") == 0)
		request->hop = HOP_TURN;
	else if (hop != NULL && strcmp(hop, "chain") == 0)
		request->hop = HOP_CHAIN;
	request->checked = true;
	request->chain_id = copy_header(request, "actor-host-chain");
	request->token = copy_header(request, "actor-host-token");
	request->origin = copy_header(request, "actor-host-origin");
	request->caller = copy_header(request, "actor-host-caller");
	request->stale = header_value(request, "actor-host-stale") != NULL;
	return request->hop != HOP_NONE && (request->hop == HOP_CALL || request->chain_id != NULL) &&
		(request->token == NULL || is_uuid(request->token));
}

/*
 * Whether a request is from a host of the type that it says.
 */
static bool
take_host(Request *request)
{
	const char *secret = header_value(request, "actor-host-secret");
	const char *type = header_value(request, "actor-host-type");
	size_t		length;

	if (secret == NULL || type == NULL)
		return false;
	request->host_type = percent_decode(type, strlen(type), &length);
	return request->host_type != NULL && type_accepts(request->host_type, secret);
}

/*
 * Whether another host may ask for what it does: for what its type is, or for what an
 * application of its type wants in a chain that is here.
 */
static bool
may_ask(const Request *request)
{
	if (request->hop == HOP_NONE)
		return true;
	if (request->hop == HOP_CHAIN)
		return request->actor_id != NULL || turn_is_by_id(request);
	return request->actor_id != NULL && strcmp(request->host_type, request->actor_type) == 0;
}

static void
refuse_host(Request *request)
{
	answer_error(request, 401, "ERR_UNAUTHORIZED", "only hosts of the type may ask for this");
}

/*
 * Finds whose session a request gets, and where its path begins.  Returns false,
 * and has answered, if it gets none.
 */
static bool
take_pool(Request *request)
{
	const char *path = path_start(request->target);

	if (options.app != NULL && !request->dashboard &&
		strncmp(path, HOST_PREFIX "/", strlen(HOST_PREFIX "/")) == 0)
	{
		path_split(path + strlen(HOST_PREFIX), &request->path);
		if (!take_host(request))
			refuse_host(request);
		else if (take_hop(request))
			request->pool = pool_default();
		else
			answer_error(request, 400, "ERR_BAD_REQUEST", "a host has not said what it wants");
		return request->pool != NULL;
	}
	path_split(request->target, &request->path);
	/* the files of the page show nothing; what it asks for does */
	if (request->dashboard)
		request->pool = route_find(request) == ROUTE_PAGE ? pool_default() :
			pool_for_dashboard(token_of(request));
	/* whoever watches us needs no token */
	else if (is_health(route_find(request)))
		request->pool = pool_default();
	else
		request->pool = pool_for_token(token_of(request));
	if (request->pool == NULL)
		answer_error(request, 401, "ERR_UNAUTHORIZED", "the header %s has no valid token",
					 request->dashboard ? "Authorization" : "dapr-api-token");
	return request->pool != NULL;
}

/* paths ----------------------------------------------------------------- */

/*
 * Decodes a part of the path.  NULL, and the request has been refused, if that
 * is not possible or the result is no text.
 */
static char *
decode_part(Request *request, int number, size_t *length)
{
	const JsonSpan *part = &request->path.parts[number];
	char	   *text = percent_decode(part->start, part->length, length);

	if (text != NULL && utf8_valid(text, *length) && strlen(text) == *length)
		return text;
	answer_error(request, 400, "ERR_BAD_REQUEST",
				 text == NULL ? "the path has a percent sign without two hexadecimal digits" :
				 "the path has characters that are not allowed");
	free(text);
	return NULL;
}

/*
 * Decodes a part of the path that is a name.
 */
static bool
take_name(Request *request, int number, const char *what, char **name)
{
	size_t		length;

	*name = decode_part(request, number, &length);
	if (*name == NULL)
		return false;
	if (name_allowed(*name, length))
		return true;
	answer_error(request, 400, "ERR_BAD_REQUEST",
				 "the %s is empty or has characters that are not allowed", what);
	return false;
}

/*
 * Decodes the last part of the path as that route wants it.
 */
static bool
take_last_name(Request *request, Route route)
{
	size_t		length;

	switch (route)
	{
		case ROUTE_METHOD:
			request->name = decode_part(request, 5, &length);
			if (request->name == NULL)
				return false;
			if (method_allowed(request->name, length) &&
				path_resolve(request->name)[0] != '\0')
				return true;
			answer_error(request, 400, "ERR_BAD_REQUEST",
						 "the method is empty or has characters that are not allowed");
			return false;
		case ROUTE_STATE_KEY:
			/* any text can be a key */
			request->name = decode_part(request, 5, &length);
			return request->name != NULL;
		case ROUTE_MESSAGE:
		case ROUTE_RESULT:
			/* any text can be a request id */
			request->name = decode_part(request, 5, &length);
			return request->name != NULL;
		case ROUTE_PROMISE:
		case ROUTE_METADATA_KEY:
			request->name = decode_part(request, 2, &length);
			return request->name != NULL;
		case ROUTE_VIEW:
			request->name = decode_part(request, 1, &length);
			return request->name != NULL;
		case ROUTE_PAGE:
			request->name = decode_part(request, 0, &length);
			return request->name != NULL;
		case ROUTE_OPENAPI:
			return take_name(request, 2, "actor type", &request->name);
		case ROUTE_TOPIC:
		case ROUTE_SUBSCRIPTION:
			return take_name(request, 5, "topic", &request->name);
		case ROUTE_TYPE_TOPIC:
			return take_name(request, 2, "actor type", &request->actor_type) &&
				take_name(request, 3, "topic", &request->name);
		case ROUTE_REMINDER:
			return take_name(request, 5, "name of the reminder", &request->name);
		case ROUTE_TIMER:
			return take_name(request, 5, "name of the timer", &request->name);
		default:
			return true;
	}
}

/* spans ----------------------------------------------------------------- */

/*
 * Begins the span of a request, so that all that happens for it is below that.
 */
static void
begin_span(Request *request, const char *method, Route route)
{
	char		traceparent[TRACEPARENT_SIZE];

	if (request->dashboard || is_health(route) || route == ROUTE_METRICS)
		return;
	request->span = span_begin(SPAN_SERVER, request->traceparent);
	if (request->span == NULL)
		return;
	span_traceparent(request->span, traceparent);
	free(request->traceparent);
	request->traceparent = xstrdup(traceparent);
	span_attribute(request->span, "http.request.method", method);
}

/*
 * The same for what the application is told.
 */
static void
pass_span(Request *request)
{
	Header	   *header;

	if (request->span == NULL)
		return;
	headers_remove(&request->passed, "traceparent");
	header = header_create("traceparent", strlen("traceparent"),
						   request->traceparent, strlen(request->traceparent));
	header->next = request->passed;
	request->passed = header;
}

/*
 * examine
 *		Finds out what a request wants before its body is read.  One that gets an
 *		answer here is refused, or done.
 */
void
examine(Request *request, const char *method)
{
	Route		route;
	char		allowed[64];

	request->verb = verb_from_text(method);
	take_headers(request);
	if (request->dashboard)
		page_headers(request);
	if (!take_pool(request))
		return;
	route = route_find(request);
	if (route == ROUTE_NONE)
	{
		answer_error(request, 404, "ERR_NOT_FOUND", "there is nothing at this path");
		return;
	}
	request->operation = route_operation(route, request->verb);
	if (request->operation == NULL)
	{
		route_allowed(route, allowed, sizeof(allowed));
		if (request->verb == VERB_OPTIONS)
			answer_empty(request, 204);
		else
			answer_error(request, 405, "ERR_METHOD_NOT_ALLOWED", "use one of %s", allowed);
		answer_header(request, "Allow", allowed);
		return;
	}
	begin_span(request, method, route);
	if (request->path.count >= 4 && route != ROUTE_TYPE_TOPIC &&
		(!take_name(request, 2, "actor type", &request->actor_type) ||
		 !take_name(request, 3, "actor id", &request->actor_id)))
		return;
	if (!may_ask(request))
	{
		refuse_host(request);
		return;
	}
	span_attribute(request->span, "actor.type", request->actor_type);
	span_attribute(request->span, "actor.id", request->actor_id);
	if (options.app != NULL && (request->actor_id != NULL || turn_is_by_id(request)))
	{
		keep_headers(request);
		pass_span(request);
	}
	(void) take_last_name(request, route);
}
