/*-------------------------------------------------------------------------
 *
 * server.c
 *		The HTTP side: takes requests from libmicrohttpd, checks them, and
 *		sends the answers.
 *
 * The threads of libmicrohttpd never wait for the database.  A request that
 * needs it has its connection suspended and goes to a pool; the thread that
 * has run it resumes the connection, whereupon the answer is sent from here.
 * A client that goes away meanwhile is noticed only then: what it has asked
 * for is done nevertheless.
 *
 * A request that will be refused is read to its end, unless it is far too
 * long, because a client that is still sending would not see the answer.
 *
 * IDENTIFICATION
 *		http/server.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "http.h"

/* how much more than a body may have is read and thrown away */
#define DISCARD_FACTOR		16
/*
 * How many bodies of the largest size fit into memory at a time.  What
 * libmicrohttpd has read of a body it hands over at once, so this counts all
 * of them, complete or not.
 */
#define BODIES_IN_MEMORY	64

static struct MHD_Daemon *daemon_handle;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static pthread_cond_t all_done;
static int	suspended;			/* requests that are in a pool */
static int	unanswered;			/* those, and those whose answers are being sent */
static bool draining;
static size_t body_bytes;		/* in the bodies of all requests */

/* life of a request ----------------------------------------------------- */

/*
 * Called with the target as it was sent, before anything else is known.
 */
static void *
request_create(void *arg, const char *uri, struct MHD_Connection *connection)
{
	Request    *request = xmalloc(sizeof(Request));

	(void) arg;
	memset(request, 0, sizeof(*request));
	request->connection = connection;
	request->target = xstrdup(uri);
	request->started = now_ms();
	return request;
}

/*
 * Takes one off a counter; whoever waits for both to be zero is told.
 */
static void
count_down(int *counter)
{
	pthread_mutex_lock(&lock);
	--*counter;
	if (suspended == 0 && unanswered == 0)
		pthread_cond_broadcast(&all_done);
	pthread_mutex_unlock(&lock);
}

static void
release_body(Request *request)
{
	pthread_mutex_lock(&lock);
	body_bytes -= request->body.length;
	pthread_mutex_unlock(&lock);
	buffer_free(&request->body);
}

static void
request_free(void *arg, struct MHD_Connection *connection, void **con_cls,
			 enum MHD_RequestTerminationCode reason)
{
	Request    *request = *con_cls;

	(void) arg;
	(void) connection;
	(void) reason;
	if (request == NULL)
		return;
	*con_cls = NULL;
	if (request->state == REQUEST_ANSWERED)
		count_down(&unanswered);
	release_body(request);
	while (request->headers != NULL)
	{
		Header	   *next = request->headers->next;

		free(request->headers->value);
		free(request->headers);
		request->headers = next;
	}
	free(request->target);
	free(request->actor_type);
	free(request->actor_id);
	free(request->name);
	free(request->reentrancy_id);
	free(request->request_id);
	free(request->traceparent);
	free(request->content);
	free(request);
}

/* checks ---------------------------------------------------------------- */

static const char *
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

static void
take_headers(Request *request)
{
	const char *value;

	if ((value = header_value(request, "Dapr-Reentrancy-Id")) != NULL)
		request->reentrancy_id = xstrdup(value);
	if ((value = header_value(request, "Idempotency-Key")) != NULL)
		request->request_id = xstrdup(value);
	if ((value = header_value(request, "traceparent")) != NULL)
	{
		answer_header(request, "traceparent", value);
		if (is_traceparent(value))
			request->traceparent = xstrdup(value);
	}
	if ((value = header_value(request, "tracestate")) != NULL)
		answer_header(request, "tracestate", value);
}

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
		case ROUTE_METADATA_KEY:
			request->name = decode_part(request, 2, &length);
			return request->name != NULL;
		case ROUTE_REMINDER:
			return take_name(request, 5, "name of the reminder", &request->name);
		case ROUTE_TIMER:
			return take_name(request, 5, "name of the timer", &request->name);
		default:
			return true;
	}
}

static bool
is_health(Route route)
{
	return route == ROUTE_HEALTH || route == ROUTE_HEALTH_OUTBOUND;
}

/*
 * Finds out what a request wants before its body is read.  One that gets an
 * answer here is refused, or done.
 */
static void
examine(Request *request)
{
	Route		route;
	char		allowed[64];

	take_headers(request);
	path_split(request->target, &request->path);
	route = route_find(&request->path);
	/* whoever watches us needs no token */
	request->pool = is_health(route) ? pool_default() :
		pool_for_token(header_value(request, "dapr-api-token"));
	if (request->pool == NULL)
	{
		answer_error(request, 401, "ERR_UNAUTHORIZED", "the header dapr-api-token has no valid token");
		return;
	}
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
	if (request->path.count >= 4 &&
		(!take_name(request, 2, "actor type", &request->actor_type) ||
		 !take_name(request, 3, "actor id", &request->actor_id)))
		return;
	(void) take_last_name(request, route);
}

static void
refuse_body(Request *request)
{
	release_body(request);
	answer_error(request, 413, "ERR_BODY_TOO_LARGE",
				 "the body has more than %ld bytes", options.body_limit);
}

/*
 * Looks at the announced length.  Returns whether the rest of the request
 * should be read.
 */
static bool
check_length(Request *request)
{
	const char *length_text = header_value(request, "Content-Length");
	const char *expect = header_value(request, "Expect");
	unsigned long long length = length_text != NULL ? strtoull(length_text, NULL, 10) : 0;

	if (request->status == 0 && length > (unsigned long long) options.body_limit)
		refuse_body(request);
	/* such a client waits for the answer before it sends the body */
	if (request->status != 0 && expect != NULL && strcasecmp(expect, "100-continue") == 0)
		return false;
	return length <= (unsigned long long) options.body_limit * DISCARD_FACTOR;
}

/*
 * Takes a part of the body.  Returns whether the connection should go on.
 */
static bool
take_body(Request *request, const char *bytes, size_t length)
{
	bool		fits;

	request->received += length;
	if (now_ms() - request->started > options.request_timeout * 1000)
		return false;
	if (request->status != 0)
		return request->received <= (size_t) options.body_limit * DISCARD_FACTOR;
	if (request->received > (size_t) options.body_limit)
	{
		refuse_body(request);
		return true;
	}

	pthread_mutex_lock(&lock);
	fits = body_bytes + length <= (size_t) options.body_limit * BODIES_IN_MEMORY;
	if (fits)
		fits = buffer_append(&request->body, bytes, length);
	if (fits)
		body_bytes += length;
	pthread_mutex_unlock(&lock);
	if (!fits)
	{
		release_body(request);
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED",
					 "there is no memory for the body now");
	}
	return true;
}

/* answering ------------------------------------------------------------- */

static enum MHD_Result
send_answer(Request *request)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(request->content_length, request->content,
											   MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return MHD_NO;
	request->content = NULL;	/* belongs to the response now */
	if (request->content_type != NULL)
		MHD_add_response_header(response, "Content-Type", request->content_type);
	for (Header *header = request->headers; header != NULL; header = header->next)
		MHD_add_response_header(response, header->name, header->value);
	if (server_draining())
		MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(request->connection, (unsigned int) request->status, response);
	MHD_destroy_response(response);
	return result;
}

/*
 * Hands a request to its pool, unless the server is about to end.
 */
static bool
begin_running(Request *request)
{
	bool		accepted;

	pthread_mutex_lock(&lock);
	accepted = !draining;
	if (accepted)
	{
		suspended++;
		unanswered++;
	}
	pthread_mutex_unlock(&lock);
	if (!accepted)
	{
		answer_error(request, is_health(request->operation->route) ? 500 : 503,
					 is_health(request->operation->route) ? request->operation->error_code :
					 "ERR_ACTOR_RUNTIME_CLOSED", "the server is shutting down");
		return false;
	}
	request->state = REQUEST_RUNNING;
	MHD_suspend_connection(request->connection);
	pool_submit(request->pool, request);
	return true;
}

/*
 * request_finished
 *		Called by the thread that has run a request, which is not touched any
 *		more after that.
 */
void
request_finished(Request *request)
{
	request->state = REQUEST_ANSWERED;
	MHD_resume_connection(request->connection);
	/* only now, because the server must not be stopped within that */
	count_down(&suspended);
}

/*
 * Called by libmicrohttpd when the headers are there, for each part of the
 * body, at its end, and after the connection was resumed.
 */
static enum MHD_Result
handle_request(void *arg, struct MHD_Connection *connection, const char *url,
			   const char *method, const char *version, const char *upload_data,
			   size_t *upload_data_size, void **con_cls)
{
	Request    *request = *con_cls;

	(void) arg;
	(void) connection;
	(void) url;
	(void) version;
	if (!request->begun)
	{
		request->begun = true;
		request->verb = verb_from_text(method);
		request->connection = connection;
		examine(request);
		return check_length(request) ? MHD_YES : send_answer(request);
	}
	if (*upload_data_size > 0)
	{
		if (!take_body(request, upload_data, *upload_data_size))
			return MHD_NO;
		*upload_data_size = 0;
		return MHD_YES;
	}
	if (request->state == REQUEST_READING && request->status == 0 &&
		!answer_without_database(request))
	{
		request->started = now_ms();
		if (begin_running(request))
			return MHD_YES;
	}
	return send_answer(request);
}

/* start and end --------------------------------------------------------- */

/*
 * What libmicrohttpd has to say is about clients that misbehave.
 */
static void
ignore_log(void *arg, const char *format, va_list arguments)
{
	(void) arg;
	(void) format;
	(void) arguments;
}

/*
 * Paths are decoded by path.c, once.
 */
static size_t
leave_encoded(void *arg, struct MHD_Connection *connection, char *text)
{
	(void) arg;
	(void) connection;
	return strlen(text);
}

static struct addrinfo *
listen_address(void)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,.ai_socktype = SOCK_STREAM,.ai_flags = AI_PASSIVE};
	struct addrinfo *address;
	char		port[16];
	int			error;

	snprintf(port, sizeof(port), "%ld", options.port);
	error = getaddrinfo(options.listen, port, &hints, &address);
	if (error != 0)
		die("could not use the address \"%s\": %s", options.listen, gai_strerror(error));
	return address;
}

/*
 * server_start
 *		Listens and serves in threads of its own.  Ends the program if it
 *		cannot.
 */
void
server_start(void)
{
	struct addrinfo *address = listen_address();
	const union MHD_DaemonInfo *info;
	pthread_condattr_t attributes;
	unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
		MHD_USE_ERROR_LOG;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&all_done, &attributes);
	pthread_condattr_destroy(&attributes);

	if (address->ai_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	daemon_handle =
		MHD_start_daemon(flags, (uint16_t) options.port, NULL, NULL, handle_request, NULL,
						 MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
						 MHD_OPTION_SOCK_ADDR, address->ai_addr,
						 MHD_OPTION_THREAD_POOL_SIZE, (unsigned int) options.threads,
						 MHD_OPTION_CONNECTION_LIMIT, (unsigned int) options.max_connections,
						 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int) options.idle_timeout,
						 MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U,
						 MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024U,
						 MHD_OPTION_URI_LOG_CALLBACK, request_create, NULL,
						 MHD_OPTION_NOTIFY_COMPLETED, request_free, NULL,
						 MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
						 MHD_OPTION_END);
	if (daemon_handle == NULL)
		die("could not listen on %s, port %ld: %s", options.listen, options.port, strerror(errno));
	freeaddrinfo(address);
	info = MHD_get_daemon_info(daemon_handle, MHD_DAEMON_INFO_BIND_PORT);
	if (info != NULL)
		options.port = info->port;
}

bool
server_draining(void)
{
	bool		result;

	pthread_mutex_lock(&lock);
	result = draining;
	pthread_mutex_unlock(&lock);
	return result;
}

/*
 * server_drain
 *		Accepts nothing new and waits until all answers are sent, but not longer
 *		than that.  Returns whether they are.
 */
bool
server_drain(int seconds)
{
	struct timespec deadline;
	MHD_socket	listening;
	bool		done;

	pthread_mutex_lock(&lock);
	if (!draining)
	{
		draining = true;
		pthread_mutex_unlock(&lock);
		listening = MHD_quiesce_daemon(daemon_handle);
		if (listening != MHD_INVALID_SOCKET)
			close(listening);
		pthread_mutex_lock(&lock);
	}
	clock_gettime(CLOCK_MONOTONIC, &deadline);
	deadline.tv_sec += seconds;
	while ((suspended > 0 || unanswered > 0) &&
		   pthread_cond_timedwait(&all_done, &lock, &deadline) == 0)
		;
	done = (suspended == 0 && unanswered == 0);
	pthread_mutex_unlock(&lock);
	return done;
}

/*
 * server_can_stop
 *		Whether no request is running, although clients may be slow to read
 *		their answers.
 */
bool
server_can_stop(void)
{
	bool		result;

	pthread_mutex_lock(&lock);
	result = (suspended == 0);
	pthread_mutex_unlock(&lock);
	return result;
}

/*
 * server_stop
 *		Closes all connections.  No request must be running.
 */
void
server_stop(void)
{
	MHD_stop_daemon(daemon_handle);
}
