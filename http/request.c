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

void
request_free(Request *request)
{
	while (request->headers != NULL)
	{
		Header	   *next = request->headers->next;

		free(request->headers->value);
		free(request->headers);
		request->headers = next;
	}
	buffer_free(&request->body);
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
