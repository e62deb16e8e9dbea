/*-------------------------------------------------------------------------
 *
 * server.c
 *		Between libmicrohttpd and the rest: takes requests, and sends the
 *		answers.
 *
 * The threads of libmicrohttpd never wait for the database.  A request that
 * needs it has its connection suspended and goes to a pool; the thread that
 * has run it resumes the connection, whereupon the answer is sent from here.
 * A client that goes away meanwhile is noticed only then: what it has asked
 * for is done nevertheless.
 *
 * IDENTIFICATION
 *		http/server.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>

#include "answer.h"
#include "body.h"
#include "dispatch.h"
#include "examine.h"
#include "feed.h"
#include "metrics.h"
#include "options.h"
#include "pool.h"
#include "server.h"
#include "turn.h"
#include "util.h"
#include "wire.h"

/* connections that wait to be accepted */
#define LISTEN_BACKLOG		1024
/* how much of a stream is sent at a time */
#define STREAM_BLOCK		16384
/* of the page for operators */
#define DASHBOARD_CONNECTIONS	64

/* a port, and who serves what comes to it */
typedef struct Door
{
	struct MHD_Daemon *daemon;	/* NULL: it is not open */
	bool		dashboard;		/* it is that of the page for operators */
} Door;

static Door api_door;
static Door page_door = {.dashboard = true};
static bool quiet;				/* no connections are accepted; of the main thread */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static pthread_cond_t all_done;
static int	suspended;			/* requests that are in a pool */
static int	unanswered;			/* those, and those whose answers are being sent */
static bool draining;

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

/* called by libmicrohttpd ----------------------------------------------- */

static void
note_connection(void *arg, struct MHD_Connection *connection, void **socket_context,
				enum MHD_ConnectionNotificationCode code)
{
	(void) arg;
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		*socket_context =
			wire_open(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	else if (*socket_context != NULL)
		wire_close(*socket_context);
}

/*
 * NULL if the connection has none.
 */
static Wire *
wire_of(struct MHD_Connection *connection)
{
	return MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void *
begin_request(void *arg, const char *target, struct MHD_Connection *connection)
{
	const Door *door = arg;
	Request    *request = request_create(target, connection);

	request->dashboard = door->dashboard;
	return request;
}

static void
end_request(void *arg, struct MHD_Connection *connection, void **con_cls,
			enum MHD_RequestTerminationCode reason)
{
	Request    *request = *con_cls;

	(void) arg;
	(void) reason;
	if (request == NULL)
		return;
	*con_cls = NULL;
	if (wire_of(connection) != NULL)
		wire_answered(wire_of(connection));
	if (request->state == REQUEST_ANSWERED)
		count_down(&unanswered);
	if (request->begun)
		metrics_end(request);
	/* whose answer was not even begun */
	if (request->stream != NULL)
		stream_close(request->stream);
	body_release(request);
	request_free(request);
}

/* answering ------------------------------------------------------------- */

static bool
is_draining(void)
{
	bool		result;

	pthread_mutex_lock(&lock);
	result = draining;
	pthread_mutex_unlock(&lock);
	return result;
}

static ssize_t
read_stream(void *arg, uint64_t position, char *bytes, size_t size)
{
	(void) position;
	return stream_read(arg, bytes, size);
}

static void
close_stream(void *arg)
{
	stream_close(arg);
}

/*
 * The response of libmicrohttpd to a request, whose content belongs to it then; NULL
 * if there is no memory.
 */
static struct MHD_Response *
make_response(Request *request)
{
	struct MHD_Response *response;

	if (request->stream != NULL)
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream,
													 request->stream, close_stream);
	else
		response = MHD_create_response_from_buffer(request->content_length, request->content,
												   MHD_RESPMEM_MUST_FREE);
	if (response == NULL)
		return NULL;
	if (request->streams)
		free(request->content);
	request->content = NULL;
	request->stream = NULL;
	return response;
}

static enum MHD_Result
send_answer(Request *request)
{
	struct MHD_Response *response = make_response(request);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	if (request->content_type != NULL)
		MHD_add_response_header(response, "Content-Type", request->content_type);
	for (Header *header = request->headers; header != NULL; header = header->next)
		MHD_add_response_header(response, header->name, header->value);
	if (is_draining())
		MHD_add_response_header(response, "Connection", "close");
	result = MHD_queue_response(request->connection, (unsigned int) request->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool
answered_at_once(Request *request)
{
	return request->operation->at_once != NULL && request->operation->at_once(request);
}

/*
 * Hands a request to its pool, unless the server is about to end.
 */
static bool
begin_running(Request *request)
{
	bool		accepted;

	bool		was_draining;

	pthread_mutex_lock(&lock);
	was_draining = draining;
	/* turns that are under way want to come to their end */
	accepted = !draining || (options.app != NULL &&
							 (request->actor_type != NULL || turn_is_by_id(request)));
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
	dispatch(request, was_draining);
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
	(void) url;
	(void) version;
	if (!request->begun)
	{
		if (wire_of(connection) == NULL)
			return MHD_NO;
		wire_request(wire_of(connection));
		request->begun = true;
		metrics_begin(request);
		request->connection = connection;
		examine(request, method);
		return body_begin(request) ? MHD_YES : send_answer(request);
	}
	if (*upload_data_size > 0)
	{
		if (!body_take(request, upload_data, *upload_data_size))
			return MHD_NO;
		*upload_data_size = 0;
		return MHD_YES;
	}
	if (request->state == REQUEST_READING && request->status == 0 &&
		!answered_at_once(request))
	{
		request->queued_at = now_ms();
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
find_address(const char *name, long number)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC,.ai_socktype = SOCK_STREAM,.ai_flags = AI_PASSIVE};
	struct addrinfo *address;
	char		port[16];
	int			error;

	snprintf(port, sizeof(port), "%ld", number);
	error = getaddrinfo(name, port, &hints, &address);
	if (error != 0)
		die("could not use the address \"%s\": %s", name, gai_strerror(error));
	return address;
}

/*
 * A socket that listens, to be had by one program at a time.  The port becomes
 * the one that it has got.  Ends the program if that is not possible.
 */
static int
listen_at(const struct addrinfo *address, const char *name, long *port)
{
	int			listening = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int			on = 1;
	struct sockaddr_storage bound;
	socklen_t	length = sizeof(bound);

	/* connections of a program that has ended do not keep the port */
	if (listening < 0 ||
		(address->ai_family == AF_INET6 &&
		 setsockopt(listening, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0) ||
		setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(listening, address->ai_addr, address->ai_addrlen) != 0 ||
		listen(listening, LISTEN_BACKLOG) != 0 ||
		getsockname(listening, (struct sockaddr *) &bound, &length) != 0)
		die("could not listen on %s, port %ld: %s", name, *port, strerror(errno));
	*port = ntohs(bound.ss_family == AF_INET6 ?
				  ((struct sockaddr_in6 *) &bound)->sin6_port :
				  ((struct sockaddr_in *) &bound)->sin_port);
	return listening;
}

/*
 * Listens and serves in threads of its own.  Ends the program if it cannot.
 */
static void
open_door(Door *door, const char *name, long *port, long threads, long connections)
{
	struct addrinfo *address = find_address(name, *port);
	unsigned int flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME |
		MHD_USE_ERROR_LOG;
	int			listening = listen_at(address, name, port);

	if (address->ai_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	door->daemon =
		MHD_start_daemon(flags, (uint16_t) *port, NULL, NULL, handle_request, NULL,
						 MHD_OPTION_EXTERNAL_LOGGER, ignore_log, NULL,
						 MHD_OPTION_LISTEN_SOCKET, listening,
						 MHD_OPTION_THREAD_POOL_SIZE, (unsigned int) threads,
						 MHD_OPTION_CONNECTION_LIMIT, (unsigned int) connections,
						 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int) options.idle_timeout,
						 MHD_OPTION_NOTIFY_CONNECTION, note_connection, NULL,
						 MHD_OPTION_URI_LOG_CALLBACK, begin_request, door,
						 MHD_OPTION_NOTIFY_COMPLETED, end_request, NULL,
						 MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
						 MHD_OPTION_END);
	if (door->daemon == NULL)
		die("could not serve on %s, port %ld: %s", name, *port, strerror(errno));
	freeaddrinfo(address);
}

/*
 * server_start
 *		Serves at the port of clients, and at that of the page for operators, if
 *		there is to be one.
 */
void
server_start(void)
{
	condition_init(&all_done);
	wires_start();
	open_door(&api_door, options.listen, &options.port, options.threads, options.max_connections);
	if (options.dashboard)
		open_door(&page_door, options.dashboard_listen, &options.dashboard_port,
				  1, DASHBOARD_CONNECTIONS);
}

/*
 * server_refuse
 *		Accepts nothing new, but for what belongs to turns that are under way.
 */
void
server_refuse(void)
{
	pthread_mutex_lock(&lock);
	draining = true;
	pthread_mutex_unlock(&lock);
}

/*
 * Accepts no more connections.
 */
static void
close_door(Door *door)
{
	MHD_socket	listening;

	if (door->daemon == NULL)
		return;
	listening = MHD_quiesce_daemon(door->daemon);
	if (listening != MHD_INVALID_SOCKET)
		close(listening);
}

/*
 * server_drain
 *		Accepts no connections and waits until all answers are sent, but not longer
 *		than that.  Returns whether they are.
 */
bool
server_drain(int seconds)
{
	struct timespec deadline;
	bool		done;

	server_refuse();
	if (!quiet)
	{
		quiet = true;
		close_door(&api_door);
		close_door(&page_door);
	}
	pthread_mutex_lock(&lock);
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
	MHD_stop_daemon(api_door.daemon);
	if (page_door.daemon != NULL)
		MHD_stop_daemon(page_door.daemon);
	wires_stop();
}
