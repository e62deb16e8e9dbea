/*-------------------------------------------------------------------------
 *
 * app_call.c
 *		A call of the application: how it is sent, what has become of it, and the
 *		end of its turn here.
 *
 * It belongs to a chain, whose thread does all of this; see chain.c.
 *
 * IDENTIFICATION
 *		http/app_call.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "app.h"
#include "app_call.h"
#include "instance.h"
#include "options.h"
#include "self.h"
#include "types.h"
#include "util.h"

/* how long a call waits for an application that it has not found */
#define READY_MS			5000

/* answers --------------------------------------------------------------- */

/*
 * call_error
 *		What has become of a call that has failed, in words; to be freed.
 */
char *
call_error(CallEnd end, const Transfer *answer)
{
	switch (end)
	{
		case CALL_REFUSED:
			return xprintf("error invoke actor method: error from actor service: (%d) %s",
						   answer->status, answer->content.data != NULL ? answer->content.data : "");
		case CALL_NOT_SENT:
			return xprintf("error invoke actor method: the application cannot be reached: %s",
						   answer != NULL ? answer->problem : "it is not there");
		case CALL_LOST:
			return xprintf("error invoke actor method: error from actor service: %s",
						   answer->problem);
		case CALL_LATE:
			return xprintf("error invoke actor method: the application has not answered in %ld seconds",
						   options.app_timeout);
		case CALL_CANCELLED:
			return xstrdup("error invoke actor method: the call was cancelled");
		case CALL_NO_SESSION:
			return xstrdup("error invoke actor method: the transaction of the call was ended by the database");
		default:
			return xstrdup("error invoke actor method");
	}
}

/*
 * answer_call_error
 *		Answers for a call that has failed; why the whole chain will be undone, if
 *		so, is said, too.
 */
void
answer_call_error(Request *request, CallEnd end, const Transfer *answer, const char *undone)
{
	char	   *error = end == CALL_UNDONE ? xstrdup(undone) : call_error(end, answer);
	char	   *message = undone == NULL || end == CALL_UNDONE ? xstrdup(error) :
		xprintf("%s; %s", error, undone);

	if (answer != NULL && !utf8_valid(message, strlen(message)))
	{
		free(message);
		message = xprintf("error invoke actor method: error from actor service: (%d)", answer->status);
	}
	if (end == CALL_NO_SESSION)
		answer_message(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE", message);
	else
		answer_message(request, end == CALL_LATE || end == CALL_CANCELLED ? 504 : 500,
					   "ERR_ACTOR_INVOKE_METHOD", message);
	free(message);
	free(error);
}

/* an application that is not there ---------------------------------------- */

/*
 * call_may_wait
 *		Whether a call that has not found the application may wait for it.  The time
 *		for that begins when it asks first.
 */
bool
call_may_wait(Request *request)
{
	if (request->ready_by == 0)
		request->ready_by = now_ms() + READY_MS;
	return !self_is_leaving() && now_ms() < request->ready_by;
}

/* calls ----------------------------------------------------------------- */

Call *
call_create(Chain *chain, const Work *work, const Entry *entry)
{
	Call	   *call = xmalloc(sizeof(Call));

	memset(call, 0, sizeof(*call));
	call->chain = chain;
	call->work = *work;
	call->work.type = call->type = xstrdup(work->type);
	call->work.id = call->id = xstrdup(work->id);
	memcpy(call->host_id, entry->host_id, UUID_SIZE);
	call->work.host_id = call->host_id;
	memcpy(call->token, entry->token, UUID_SIZE);
	memcpy(call->frame, entry->frame, sizeof(call->frame));
	call->stale = entry->stale;
	if (entry->action == ENTRY_ELSEWHERE)
		call->address = xstrdup(entry->address);
	else
		entry_take_left(entry, work->type, work->id);
	call->deadline = now_ms() + options.app_timeout * 1000;
	return call;
}

void
call_free(Call *call)
{
	free(call->type);
	free(call->id);
	free(call->address);
	free(call->work.owned_body);
	free(call);
}

void
call_unlink(Chain *chain, Call *call)
{
	Call	  **link = &chain->open;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	call->next = NULL;
}

void
call_send_method(Call *call)
{
	call->dropping = false;
	turn_keep(call->turn);
	call->transfer = app_send_method(call, call->chain->multi, &call->work,
									 call->chain->inbox.ids[call->id_number]);
}

static void
send_drop(Call *call)
{
	call->dropping = true;
	call->transfer = app_send_drop(call, call->chain->multi, call->host_id, call->type, call->id,
								   instance_drop_begins(call->type, call->id));
}

/*
 * Lets the host that has the actor call its application.
 */
static void
send_elsewhere(Call *call)
{
	const Work *work = &call->work;
	Buffer		url = {0};
	char	   *path = actor_path(work->type, work->id);

	buffer_text(&url, call->address);
	buffer_text(&url, "/actor-host/v1.0");
	buffer_text(&url, path);
	buffer_text(&url, "/method/");
	path_append(&url, work->method, "/");
	if (work->query.length > 0)
	{
		buffer_text(&url, "?");
		if (!buffer_append(&url, work->query.start, work->query.length))
			die("out of memory");
	}
	call->transfer = transfer_create(call);
	transfer_headers(call->transfer, work->headers);
	type_prove(call->transfer, call->type);
	transfer_header(call->transfer, "actor-host-hop", "turn");
	transfer_header(call->transfer, "actor-host-chain", call->chain->own_id);
	transfer_header(call->transfer, "actor-host-token", call->token);
	if (call->stale)
		transfer_header(call->transfer, "actor-host-stale", "true");
	transfer_header(call->transfer, "actor-host-origin", self_address());
	transfer_header(call->transfer, "Dapr-Reentrancy-Id", call->chain->inbox.ids[call->id_number]);
	transfer_begin(call->transfer, call->chain->multi, "PUT", url.data, work->body,
				   work->body_length);
	buffer_free(&url);
	free(path);
}

/*
 * Begins a call whose turn is taken.
 */
void
call_begin(Chain *chain, Call *call)
{
	bool		drop;

	call->next = chain->open;
	chain->open = call;
	if (call->address != NULL)
	{
		send_elsewhere(call);
		return;
	}
	drop = instance_begin(call->type, call->id, call->token, call->stale);
	call->turn = turn_open(call->type, call->id, &chain->inbox, chain->own_id, drop);
	if (call->work.method == NULL || drop)
		send_drop(call);
	else
		call_send_method(call);
}

/*
 * Leaves a call that the application still runs to be waited for.
 */
void
call_give_up(Call *call)
{
	Request    *lender = call->work.lender;

	/* what the application has not got is not sent to it any more */
	if (!call->transfer->sent)
	{
		transfer_finish(call->transfer, call->chain->multi);
		return;
	}
	/* which is about to be answered */
	if (lender != NULL && lender->body.data != NULL)
	{
		transfer_own_body(call->transfer, lender->body.data);
		lender->body.data = NULL;
	}
	else if (call->work.owned_body != NULL)
		transfer_own_body(call->transfer, call->work.owned_body);
	call->work.owned_body = NULL;
	if (call->turn != NULL)
		turn_give_up(call->turn);
	call->chain->late = late_add(call->chain->late, call->transfer, call->turn,
								  call->dropping);
	call->transfer = NULL;
	call->turn = NULL;
}

/*
 * A call has ended here and in the database.
 */
void
call_end_turn(Call *call, bool good)
{
	const Transfer *transfer = call->transfer;
	InstanceEnd end = good ? INSTANCE_GOOD : INSTANCE_SPOILT;

	/* one that was answered with success before the end of its chain has none */
	if (transfer != NULL && !good)
		end = turn_end_of(transfer, call->dropping);
	else if (call->dropping)
		end = INSTANCE_DROPPED;
	if (call->turn != NULL)
		turn_ended(call->turn, end);
	call->turn = NULL;
}

/*
 * Forgets those that have been answered since a call began.  Their turns have ended
 * in the database, so whoever gets these waits here until what the application has is
 * known to be true or not.
 */
void
calls_end_since(Chain *chain, int number, bool good)
{
	Call	  **link = &chain->ended;

	while (*link != NULL)
	{
		Call	   *call = *link;

		if (call->number < number)
		{
			link = &call->next;
			continue;
		}
		*link = call->next;
		call_end_turn(call, good);
		call_free(call);
	}
}
