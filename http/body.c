/*-------------------------------------------------------------------------
 *
 * body.c
 *		Reads bodies, within the limits on each and on all of them.
 *
 * A request that will be refused is read to its end, unless it is far too
 * long, because a client that is still sending would not see the answer.
 *
 * IDENTIFICATION
 *		http/body.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "answer.h"
#include "body.h"
#include "examine.h"
#include "options.h"
#include "util.h"

/* how much more than a body may have is read and thrown away */
#define DISCARD_FACTOR		16
/*
 * How many bodies of the largest size fit into memory at a time.  What
 * libmicrohttpd has read of a body it hands over at once, so this counts all
 * of them, complete or not.
 */
#define BODIES_IN_MEMORY	64

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static size_t body_bytes;		/* in the bodies of all requests, protected by that */

/*
 * body_release
 *		Frees the body of a request, which can be none.
 */
void
body_release(Request *request)
{
	pthread_mutex_lock(&lock);
	body_bytes -= request->body.length;
	pthread_mutex_unlock(&lock);
	buffer_free(&request->body);
}

static void
refuse_body(Request *request)
{
	body_release(request);
	answer_error(request, 413, "ERR_BODY_TOO_LARGE",
				 "the body has more than %ld bytes", options.body_limit);
}

/*
 * body_begin
 *		Looks at the announced length.  Returns whether the rest of the
 *		request should be read.
 */
bool
body_begin(Request *request)
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
 * body_take
 *		Takes a part of the body.  Returns whether the connection should go
 *		on.
 */
bool
body_take(Request *request, const char *bytes, size_t length)
{
	bool		fits;

	request->received += length;
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
		body_release(request);
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED",
					 "there is no memory for the body now");
	}
	return true;
}
