/*-------------------------------------------------------------------------
 *
 * forward.c
 *		Requests between hosts.
 *
 * There are three:
 *
 *	call	a call of an actor that the other host has
 *	turn	a method that the other host is to let its application run, in a turn of
 *			a chain that is here
 *	chain	what our application wants in the turn of a chain that is there
 *
 * One thread sends the first and the last, and serves the second, which needs no
 * database.  So none of them takes a session from those that the other waits for.
 * It never waits for one of them.
 *
 * IDENTIFICATION
 *		http/forward.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "answer.h"
#include "app.h"
#include "forward.h"
#include "instance.h"
#include "late.h"
#include "options.h"
#include "pool.h"
#include "self.h"
#include "turn.h"
#include "types.h"
#include "util.h"

/* time between two attempts to find the host of an actor that moves */
#define AGAIN_MS			50
/* and to begin a turn while the one before it comes to its end */
#define SETTLE_MS			2
/* what a host may take for a call longer than it lets its application and queue */
#define GRACE_MS			30000

/* what a host says of a call of an actor that it does not have any more */
#define AGAIN_HEADER		"actor-host-again"
/* and what it says of an answer of its application */
#define OUTCOME_HEADER		"actor-host-outcome"

typedef enum ForwardKind
{
	FORWARD_CALL,
	FORWARD_TO_CHAIN,
	FORWARD_SERVE
} ForwardKind;

typedef struct Forward
{
	ForwardKind kind;
	Request    *request;
	Transfer   *transfer;		/* NULL: it is to be tried again at the deadline */
	Turn	   *turn;			/* of what is served */
	char		host_id[UUID_SIZE]; /* as whom we serve it */
	bool		dropping;		/* an object is being dropped before */
	bool		waits;			/* it is answered, but not all that was asked for in it */
	int64_t		deadline;
	struct Forward *next;
} Forward;

static pthread_t thread;
static CURLM *multi;
static Forward *active;			/* of the thread */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Forward *submitted;
static bool cancelled;
static bool stopping;

/* handing over ---------------------------------------------------------- */

static void
submit(Request *request, ForwardKind kind)
{
	Forward    *forward = xmalloc(sizeof(Forward));

	memset(forward, 0, sizeof(*forward));
	forward->kind = kind;
	forward->request = request;
	pthread_mutex_lock(&lock);
	forward->next = submitted;
	submitted = forward;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
}

static void
submit_call(Request *request)
{
	submit(request, FORWARD_CALL);
}

/*
 * forward_call
 *		The handler of a call has found out that another host has the actor, and is
 *		done with it.
 */
void
forward_call(Request *request, const char *address)
{
	if (request->hop == HOP_CALL)
	{
		/* the other one looks again, so that nothing goes round in a circle */
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED", "the actor is at another host now");
		answer_header(request, AGAIN_HEADER, "true");
		return;
	}
	free(request->origin);
	request->origin = xstrdup(address);
	request->then = submit_call;
}

/*
 * forward_to_chain
 *		Hands a request of our application to the chain that it belongs to; takes
 *		over both texts.
 */
void
forward_to_chain(Request *request, char *origin, char *call_id)
{
	request->origin = origin;
	request->chain_id = call_id;
	submit(request, FORWARD_TO_CHAIN);
}

/*
 * forward_serve
 *		Lets our application run a method in a turn of the chain of another host.
 */
void
forward_serve(Request *request)
{
	submit(request, FORWARD_SERVE);
}

static bool
only_reads(const Request *request)
{
	return request->verb == VERB_GET || request->verb == VERB_HEAD;
}

/* sending --------------------------------------------------------------- */

static const char *
verb_text(Verb verb)
{
	switch (verb)
	{
		case VERB_GET:
			return "GET";
		case VERB_HEAD:
			return "HEAD";
		case VERB_PUT:
			return "PUT";
		case VERB_DELETE:
			return "DELETE";
		default:
			return "POST";
	}
}

/*
 * Sends a request as it has come to the host that it is for.
 */
static void
send_on(Forward *forward)
{
	const Request *request = forward->request;
	const char *path = path_start(request->target);
	char	   *url = xprintf("%s/actor-host%s", request->origin, path);
	Transfer   *transfer = transfer_create(forward);

	transfer_headers(transfer, request->passed);
	if (request->reentrancy_id != NULL)
		transfer_header(transfer, "Dapr-Reentrancy-Id", request->reentrancy_id);
	type_prove(transfer, request->host_type != NULL ? request->host_type : request->actor_type);
	transfer_header(transfer, "actor-host-hop", forward->kind == FORWARD_CALL ? "call" : "chain");
	if (forward->kind == FORWARD_TO_CHAIN)
		transfer_header(transfer, "actor-host-chain", request->chain_id);
	if (request->caller != NULL)
		transfer_header(transfer, "actor-host-caller", request->caller);
	transfer_begin(transfer, multi, verb_text(request->verb), url, request->body.data,
				   request->body.length);
	forward->transfer = transfer;
	forward->deadline = now_ms() + GRACE_MS +
		(options.app_timeout + options.queue_timeout) * 1000;
	free(url);
}

static void
send_method(Forward *forward)
{
	Request    *request = forward->request;
	Work		work = {
		.host_id = forward->host_id,
		.type = request->actor_type,.id = request->actor_id,.prefix = "",
		.method = request->name,.query = request->path.query,.headers = request->passed,
		.body = request->body.data,.body_length = request->body.length,
		.with_id = request->reentrancy_id != NULL
	};

	forward->dropping = false;
	turn_keep(forward->turn);
	forward->transfer = app_send_method(forward, multi, &work, request->reentrancy_id);
}

/*
 * Begins a method in a turn of another host's chain.  Returns false, and has
 * answered, if it cannot be run.
 */
static bool
begin_turn(Forward *forward)
{
	Request    *request = forward->request;

	if (request->chain_id == NULL || request->origin == NULL || request->token == NULL ||
		request->reentrancy_id == NULL)
	{
		answer_error(request, 400, "ERR_BAD_REQUEST", "a host has not said what it wants");
		return false;
	}
	if (!self_id(forward->host_id))
	{
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED", "the host of the actor has not joined now");
		return false;
	}
	switch (turn_others(request->actor_type, request->actor_id, request->chain_id))
	{
		case TURN_FREE:
			break;
		case TURN_ENDING:
			forward->deadline = now_ms() + SETTLE_MS;
			return true;
		case TURN_GIVEN_UP:
			answer_error(request, 423, "ERR_ACTOR_BUSY",
						 "the application still runs a method of that actor whose turn was given up");
			return false;
	}
	/* how long it may take is for the other host to say */
	forward->deadline = INT64_MAX;
	forward->dropping = instance_begin(request->actor_type, request->actor_id, request->token,
									   request->stale);
	forward->turn = turn_open_elsewhere(request->actor_type, request->actor_id,
										request->origin, request->reentrancy_id,
										request->chain_id, forward->dropping);
	if (forward->dropping)
		forward->transfer = app_send_drop(forward, multi, forward->host_id, request->actor_type,
										  request->actor_id,
										  instance_drop_begins(request->actor_type,
															   request->actor_id));
	else
		send_method(forward);
	return true;
}

/* ending ---------------------------------------------------------------- */

/*
 * Forgets a request that is answered, or goes on elsewhere.
 */
static void
end_forward(Forward *forward)
{
	Forward   **link = &active;

	while (*link != forward)
		link = &(*link)->next;
	*link = forward->next;
	transfer_free(forward->transfer, multi);
	free(forward);
}

/*
 * Whether the call is to be tried again: the actor has moved, or its host is gone
 * and the server may not know that yet.
 */
static bool
is_again(const Forward *forward)
{
	const Transfer *transfer = forward->transfer;

	if (forward->kind != FORWARD_CALL || self_is_leaving() ||
		now_ms() - forward->request->queued_at > options.queue_timeout * 1000)
		return false;
	return transfer->state == TRANSFER_NOT_SENT ||
		(transfer->state == TRANSFER_ANSWERED &&
		 headers_value(transfer->headers, AGAIN_HEADER) != NULL);
}

/*
 * Whether the answer of a call waits for something that our application has asked for in
 * it: not for what has no effect, and for a call within the chain only until that is
 * sent, since it may be a long one, for whose end the chain itself waits.
 */
static bool
holds_answer(const Forward *forward, const char *call_id)
{
	const Request *request = forward->request;

	if (forward->kind != FORWARD_TO_CHAIN || only_reads(request) ||
		strcasecmp(request->chain_id, call_id) != 0)
		return false;
	return request->operation->route != ROUTE_METHOD || forward->transfer == NULL ||
		!forward->transfer->sent;
}

static bool
any_holds_answer(const Forward *forwards, const char *call_id)
{
	while (forwards != NULL && !holds_answer(forwards, call_id))
		forwards = forwards->next;
	return forwards != NULL;
}

/*
 * Whether something that our application has asked for in a call is on its way to the
 * chain of that.
 */
static bool
is_on_its_way(const char *call_id)
{
	bool		is;

	pthread_mutex_lock(&lock);
	is = any_holds_answer(submitted, call_id);
	pthread_mutex_unlock(&lock);
	return is || any_holds_answer(active, call_id);
}

/*
 * Our application has come to the end of something that it runs for another host.
 * What it believes then is only true if that host commits, which is not known
 * here.  What it has asked for before goes to that host before the answer.
 */
static void
end_served(Forward *forward)
{
	Request    *request = forward->request;
	Transfer   *transfer = forward->transfer;

	if (forward->dropping && app_has_dropped(transfer))
	{
		instance_dropped(request->actor_type, request->actor_id);
		transfer_free(transfer, multi);
		send_method(forward);
		return;
	}
	if (transfer_succeeded(transfer))
		turn_answered(forward->turn);
	forward->waits = transfer_succeeded(transfer) && is_on_its_way(request->reentrancy_id);
	if (forward->waits)
		return;
	turn_ended(forward->turn, turn_end_of(transfer, forward->dropping));
	if (transfer->state == TRANSFER_ANSWERED)
	{
		answer_transfer(request, transfer);
		/* one that has not let go of its object has not run the method */
		if (!forward->dropping)
			answer_header(request, OUTCOME_HEADER, "answered");
	}
	else
	{
		app_missed(transfer->state);
		answer_error(request, 502, "ERR_ACTOR_INVOKE_METHOD", "%s", transfer->problem);
	}
	end_forward(forward);
	request_done(request);
}

/*
 * Looks again at what waits for that.
 */
static void
end_waiting(void)
{
	Forward    *next;

	for (Forward *forward = active; forward != NULL; forward = next)
	{
		next = forward->next;
		if (forward->waits)
			end_served(forward);
	}
}

/*
 * A request is answered, for which another host was asked.
 */
static void
done(Request *request)
{
	turn_unsaved(request);
	request_done(request);
}

/*
 * Answers with what the other host has answered.
 */
static void
take_answer(Forward *forward)
{
	Request    *request = forward->request;
	const Transfer *transfer = forward->transfer;

	if (is_again(forward))
	{
		transfer_free(forward->transfer, multi);
		forward->transfer = NULL;
		forward->deadline = now_ms() + AGAIN_MS;
		return;
	}
	if (transfer->state == TRANSFER_ANSWERED)
		answer_transfer(request, forward->transfer);
	else if (transfer->state == TRANSFER_NOT_SENT)
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED",
					 "the host that has the actor cannot be reached");
	else
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED",
					 "the connection to the host that has the actor broke; it is not known whether the request took effect");
	end_forward(forward);
	done(request);
}

/*
 * Ends a request that has waited for too long.
 */
static void
end_overdue(Forward *forward)
{
	Request    *request = forward->request;

	if (forward->transfer == NULL && forward->kind == FORWARD_SERVE)
	{
		if (begin_turn(forward))
			return;
		end_forward(forward);
		request_done(request);
		return;
	}
	if (forward->transfer == NULL)
	{
		/* the database says where the actor is now */
		end_forward(forward);
		pool_submit(pool_default(), request);
		return;
	}
	end_forward(forward);
	answer_error(request, 504, "ERR_ACTOR_TIMEOUT",
				 "the host that has the actor has not answered in time");
	done(request);
}

static void
end_all(void)
{
	while (active != NULL)
	{
		Request    *request = active->request;

		if (active->turn != NULL)
			turn_ended(active->turn, INSTANCE_SPOILT);
		end_forward(active);
		answer_error(request, 504, "ERR_ACTOR_TIMEOUT", "the request was cancelled");
		done(request);
	}
}

/* the thread ------------------------------------------------------------ */

/*
 * Begins what was handed over.  Returns whether the thread is to go on.
 */
static bool
take_submitted(void)
{
	Forward    *forward;
	bool		cancel;
	bool		stop;

	pthread_mutex_lock(&lock);
	forward = submitted;
	submitted = NULL;
	cancel = cancelled;
	cancelled = false;
	stop = stopping;
	pthread_mutex_unlock(&lock);
	while (forward != NULL)
	{
		Forward    *next = forward->next;
		Request    *request = forward->request;

		forward->next = active;
		active = forward;
		if (forward->kind != FORWARD_SERVE)
			send_on(forward);
		else if (!begin_turn(forward))
		{
			end_forward(forward);
			request_done(request);
		}
		forward = next;
	}
	if (cancel || stop)
		end_all();
	return !stop;
}

static int64_t
next_deadline(void)
{
	int64_t		deadline = INT64_MAX;

	for (const Forward *forward = active; forward != NULL; forward = forward->next)
		if (forward->deadline < deadline)
			deadline = forward->deadline;
	return deadline;
}

static void *
forward_main(void *arg)
{
	Transfer   *transfer;

	(void) arg;
	while (take_submitted())
	{
		Forward    *next;

		while ((transfer = transfers_ended(multi)) != NULL)
			if (((Forward *) transfer->owner)->kind == FORWARD_SERVE)
				end_served(transfer->owner);
			else
				take_answer(transfer->owner);
		for (Forward *forward = active; forward != NULL; forward = next)
		{
			next = forward->next;
			if (forward->deadline <= now_ms())
				end_overdue(forward);
		}
		end_waiting();
		transfers_wait(multi, next_deadline() - now_ms(), NULL);
	}
	return NULL;
}

void
forwards_start(void)
{
	multi = transfers_create();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 64L);
	if (pthread_create(&thread, NULL, forward_main, NULL) != 0)
		die("could not start a thread");
}

/*
 * forwards_cancel
 *		Requests that are under way come to an end now.
 */
void
forwards_cancel(void)
{
	pthread_mutex_lock(&lock);
	cancelled = true;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
}

/*
 * forwards_stop
 *		Called when no request is left.
 */
void
forwards_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
	pthread_join(thread, NULL);
	transfers_free(multi);
}
