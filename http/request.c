/*-------------------------------------------------------------------------
 *
 * request.c
 *		The memory of a request.
 *
 * One thread at a time owns a request, so it has no lock: a thread of
 * libmicrohttpd, or, while the connection is suspended, one of a pool.
 *
 * IDENTIFICATION
 *		http/request.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "request.h"
#include "util.h"

static RequestFinished send_answer;

/*
 * requests_start
 *		Answers are sent by that function.
 */
void
requests_start(RequestFinished sender)
{
	send_answer = sender;
}

/*
 * request_done
 *		A request is answered, and not touched any more after this.
 */
void
request_done(Request *request)
{
	if (request->finish != NULL)
		request->finish(request);
	else
		send_answer(request);
}

/*
 * request_create
 *		A request of which only the target is known, as it was sent.
 */
Request *
request_create(const char *target, struct MHD_Connection *connection)
{
	Request    *request = xmalloc(sizeof(Request));

	memset(request, 0, sizeof(*request));
	request->connection = connection;
	request->target = xstrdup(target);
	return request;
}

static char *
copy_text(const char *text)
{
	return text != NULL ? xstrdup(text) : NULL;
}

/*
 * request_copy
 *		What a request wants, so that it can be done once more.  It has no answer, and
 *		nobody waits for that.
 */
Request *
request_copy(const Request *request)
{
	Request    *copy = request_create(request->target, NULL);

	path_split(copy->target, &copy->path);
	copy->verb = request->verb;
	copy->operation = request->operation;
	copy->pool = request->pool;
	copy->actor_type = copy_text(request->actor_type);
	copy->actor_id = copy_text(request->actor_id);
	copy->name = copy_text(request->name);
	copy->request_id = copy_text(request->request_id);
	copy->traceparent = copy_text(request->traceparent);
	if (request->body.data != NULL &&
		!buffer_append(&copy->body, request->body.data, request->body.length))
		die("out of memory");
	return copy;
}

void
request_free(Request *request)
{
	headers_free(request->headers);
	headers_free(request->passed);
	buffer_free(&request->body);
	free(request->target);
	free(request->actor_type);
	free(request->actor_id);
	free(request->name);
	free(request->reentrancy_id);
	free(request->request_id);
	free(request->traceparent);
	free(request->last_event_id);
	free(request->host_type);
	free(request->chain_id);
	free(request->token);
	free(request->origin);
	free(request->caller);
	free(request->content);
	free(request);
}
