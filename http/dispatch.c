/*-------------------------------------------------------------------------
 *
 * dispatch.c
 *		Who serves a request: a pool, or a turn that is under way.
 *
 * Only those who show the host's own token, or need none, are taken for the
 * application.
 *
 * IDENTIFICATION
 *		http/dispatch.c
 *
 *-------------------------------------------------------------------------
 */
#include <stddef.h>

#include "answer.h"
#include "dispatch.h"
#include "forward.h"
#include "options.h"
#include "pool.h"
#include "self.h"
#include "turn.h"
#include "types.h"

static bool
only_reads(const Request *request)
{
	return request->verb == VERB_GET || request->verb == VERB_HEAD;
}

/*
 * Whether a method has asked for it that a host has begun.
 */
static bool
is_of_method(const Request *request)
{
	return request->reentrancy_id != NULL && id_is_of_hosts(request->reentrancy_id);
}

static void
refuse(Request *request)
{
	answer_error(request, 400, "ERR_ACTOR_INSTANCE_MISSING",
				 "the application does not run a method of that actor now");
	turn_unsaved(request);
	request_done(request);
}

/*
 * Hands on what belongs to a turn that is under way, or would have to.  Returns
 * false if it does not.
 */
static bool
is_of_turn(Request *request)
{
	Route		route = request->operation->route;
	char	   *origin;
	char	   *call_id;

	switch (turn_deliver(request, &origin, &call_id))
	{
		case TURN_HERE:
			return true;
		case TURN_ELSEWHERE:
			forward_to_chain(request, origin, call_id);
			return true;
		case TURN_DISCARDED:
			answer_empty(request, 204);
			request_done(request);
			return true;
		case TURN_LATE:
			if (only_reads(request))
				return false;
			refuse(request);
			return true;
		case TURN_NONE:
			/* what a method of it still wants must not have an effect of its own */
			if (turn_is_by_id(request) && is_of_method(request))
			{
				answer_error(request, 409, "ERR_ACTOR_CONFLICT",
							 "the chain of calls that this belongs to has ended");
				request_done(request);
				return true;
			}
			/* what an application saves belongs to a method */
			if (only_reads(request) ||
				!(is_of_method(request) ||
				  (route == ROUTE_STATE && type_is_hosted(request->actor_type))))
				return false;
			refuse(request);
			return true;
	}
	return false;
}

/*
 * Whether somebody has got a request who needs no new session for it.
 */
static bool
is_served(Request *request)
{
	if (options.app == NULL)
		return false;
	switch (request->hop)
	{
		case HOP_TURN:
			if (request->operation->route == ROUTE_METHOD)
				forward_serve(request);
			else
				refuse(request);
			return true;
		case HOP_CHAIN:
			if (!turn_may_have(request) || !inbox_deliver(request->chain_id, request))
				refuse(request);
			return true;
		case HOP_CALL:
			return false;
		case HOP_NONE:
			return (request->actor_id != NULL || turn_is_by_id(request)) &&
				request->pool == pool_default() && turn_may_have(request) &&
				is_of_turn(request);
	}
	return false;
}

/*
 * dispatch
 *		Hands a request to who serves it.  While the server drains only what belongs
 *		to something that is under way is served.
 */
void
dispatch(Request *request, bool draining)
{
	if (is_served(request))
		return;
	if (!draining)
	{
		pool_submit(request->pool, request);
		return;
	}
	answer_error(request, 503, "ERR_ACTOR_RUNTIME_CLOSED", "the server is shutting down");
	if (request->hop == HOP_CALL)
		answer_header(request, "actor-host-again", "true");
	request_done(request);
}
