/*-------------------------------------------------------------------------
 *
 * chain.c
 *		A chain of calls that the application runs in one transaction.
 *
 * The chain has a session and the thread of that, which waits for the answers of
 * the application and for what that asks for meanwhile.  What belongs to the chain
 * comes to its inbox and is run on the session, one thing after the other.
 *
 * A call within the chain begins with a savepoint, see undo.c.
 *
 * To tell who has called, each call gets an id of its own in Dapr-Reentrancy-Id.
 *
 * What the application still runs when the chain ends goes to late.c.
 *
 * IDENTIFICATION
 *		http/chain.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "actors.h"
#include "answer.h"
#include "app.h"
#include "chain.h"
#include "instance.h"
#include "options.h"
#include "types.h"
#include "undo.h"
#include "util.h"

/* how often a call within a chain tries to find where the actor is */
#define MAX_PLACINGS		100

/* what one thread has for all its chains, one after the other */
typedef struct Tools
{
	CURLM	   *multi;
	Session		aside;			/* for what is to be committed meanwhile */
} Tools;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t tools_key;

static void
free_tools(void *arg)
{
	Tools	   *tools = arg;

	transfers_free(tools->multi);
	if (tools->aside.database != NULL)
		session_close(&tools->aside);
	free(tools);
}

static void
create_key(void)
{
	if (pthread_key_create(&tools_key, free_tools) != 0)
		die("there is no room for what belongs to a thread");
}

/*
 * What this thread has; it ends with that.
 */
static Tools *
own_tools(void)
{
	Tools	   *tools;

	pthread_once(&once, create_key);
	tools = pthread_getspecific(tools_key);
	if (tools == NULL)
	{
		tools = xmalloc(sizeof(Tools));
		memset(tools, 0, sizeof(*tools));
		pthread_setspecific(tools_key, tools);
	}
	if (tools->multi == NULL)
		tools->multi = transfers_create();
	return tools;
}

/* who has called -------------------------------------------------------- */

static Call *
outermost(Chain *chain)
{
	Call	   *call = chain->open;

	while (call != NULL && call->number != 0)
		call = call->next;
	return call;
}

static bool
is_about(const Request *request, const Call *call)
{
	return request->actor_id != NULL && strcmp(call->id, request->actor_id) == 0 &&
		strcmp(call->type, request->actor_type) == 0;
}

/*
 * The call that a request has come from: it may be known by its id, and that of the chain
 * is for the outermost one.  NULL if that call has ended, or the application does not run
 * a method of the actor that it asks something about.
 */
static Call *
find_caller(Chain *chain, const Request *request)
{
	bool		by_id = turn_is_by_id(request);
	const char *call_id = request->hop == HOP_CHAIN ? request->chain_id :
		by_id ? request->reentrancy_id : NULL;

	for (Call *call = chain->open; call != NULL; call = call->next)
		if ((call_id == NULL || strcasecmp(chain->inbox.ids[call->id_number], call_id) == 0) &&
			(by_id || is_about(request, call)) &&
			(request->hop != HOP_CHAIN || strcmp(call->type, request->host_type) == 0))
			return call;
	return by_id && request->hop != HOP_CHAIN && strcasecmp(call_id, chain->id) == 0 ?
		outermost(chain) : NULL;
}

/* the end of a call ----------------------------------------------------- */

/*
 * Ends a call within the chain that was answered with success.  What it has done is
 * committed with the chain.
 */
static void
end_good(Chain *chain, Call *call)
{
	Request    *request = call->request;

	call_unlink(chain, call);
	answer_transfer(request, call->transfer);
	if (call->work.with_id)
		answer_header(request, "Dapr-Reentrancy-Id", request->reentrancy_id);
	transfer_free(call->transfer, chain->multi);
	call->transfer = NULL;
	call->next = chain->ended;
	chain->ended = call;
	call->request = NULL;
	request_done(request);
}

/*
 * A call within the chain has come to an end, or is given up.
 */
static void
end_nested(Chain *chain, Call *call, CallEnd end)
{
	Request    *request = call->request;
	PGresult   *error = NULL;

	/* in a transaction that will be rolled back nothing may run any more */
	if (end == CALL_ANSWERED && (chain->undone != NULL || undo_keep(chain, call, &error)))
	{
		end_good(chain, call);
		return;
	}
	if (error != NULL)
		answer_sql_error(request, error);
	else if (end == CALL_ANSWERED)
		chain->end = end = CALL_NO_SESSION;
	if ((chain->end == CALL_UNDERWAY || chain->end == CALL_ANSWERED) && chain->undone == NULL)
		undo_call(chain, call, error);
	PQclear(error);
	call_unlink(chain, call);
	if (end != CALL_ANSWERED)
		answer_call_error(request, end, call->transfer, chain->undone);
	if (call->transfer->state == TRANSFER_UNDERWAY)
		call_give_up(call);
	call_end_turn(call, false);
	transfer_free(call->transfer, chain->multi);
	call_free(call);
	request_done(request);
}

/*
 * What has become of a transfer that has ended.  Of another host's answer, that
 * host says whether it is one of its application.
 */
static CallEnd
how_ended(const Call *call)
{
	const Transfer *transfer = call->transfer;
	const char *outcome;

	if (transfer->state == TRANSFER_NOT_SENT)
		return CALL_NOT_SENT;
	if (transfer->state == TRANSFER_LOST)
		return CALL_LOST;
	/* those who answer with an error did not have it, or have dropped it before */
	if (call->dropping)
		return app_has_dropped(transfer) ? CALL_ANSWERED : CALL_REFUSED;
	outcome = call->address != NULL ? headers_value(transfer->headers, "actor-host-outcome") : NULL;
	if (call->address != NULL && (outcome == NULL || strcmp(outcome, "answered") != 0))
		return CALL_REFUSED;
	return transfer_succeeded(transfer) ? CALL_ANSWERED : CALL_REFUSED;
}

/* what the application asks for ----------------------------------------- */

/*
 * chain_refuse
 *		Answers a request that came to a chain with an error.
 */
void
chain_refuse(Request *request, int status, const char *code, const char *message)
{
	answer_message(request, status, code, message);
	turn_unsaved(request);
	request_done(request);
}

/*
 * Refuses what has come after the end of what it belongs to.
 */
static void
refuse_late(Request *request)
{
	bool		is_call = request->operation->route == ROUTE_METHOD;

	chain_refuse(request, is_call ? 500 : 400,
				 is_call ? "ERR_ACTOR_INVOKE_METHOD" : "ERR_ACTOR_INSTANCE_MISSING",
				 "the turn that this belongs to has ended");
}

/*
 * work_of
 *		What a request wants from the application.
 */
Work
work_of(Request *request, bool with_id)
{
	Work		work = {
		.type = request->actor_type,.id = request->actor_id,.prefix = "",
		.method = request->name,.query = request->path.query,.headers = request->passed,
		.body = request->body.data,.body_length = request->body.length,.lender = request,
		.with_id = with_id
	};

	return work;
}

/*
 * request_manner
 *		What must be the same in a request that is repeated, besides its body; to be
 *		freed, NULL if it is not one that can be.
 */
char *
request_manner(const Request *request)
{
	const char *content_type = headers_value(request->passed, "Content-Type");

	if (request->request_id == NULL)
		return NULL;
	return xprintf("%s\n%.*s", content_type != NULL ? content_type : "",
				   (int) request->path.query.length, request->path.query.start);
}

/*
 * Finds out where the actor of a call is, or places it, with another connection,
 * because that must be committed before the application hears of it.
 */
static void
place_aside(Chain *chain, const char *host_id, const Request *request, Entry *entry)
{
	Session    *aside = &own_tools()->aside;

	aside->database = chain->session->database;
	entry_place(aside, host_id, request->actor_type, request->actor_id, entry);
	if (entry->action == ENTRY_RUN)
		instance_place(request->actor_type, request->actor_id, entry->token);
}

/*
 * Takes the turn of the actor of a call within the chain, behind a savepoint of
 * that number.  If that is not taken, or not needed, the savepoint is gone.
 */
static void
enter(Chain *chain, const Request *request, int number, Entry *entry)
{
	char		host_id[UUID_SIZE];
	char		token[UUID_SIZE];
	char	   *savepoint = xprintf("SAVEPOINT actor_call_%d", number);
	char	   *manner = request_manner(request);
	const Statement before[] = {{.sql = savepoint,.once = true}};

	for (int i = 0;; i++)
	{
		bool		known = instance_token(request->actor_type, request->actor_id, token);
		EntryRequest wanted = {
			.type = request->actor_type,.id = request->actor_id,
			.method = request->name,.token = known ? token : NULL,.chain_id = chain->id,
			.request_id = request->request_id,
			.body = request->body.data,.body_length = request->body.length,
			.manner = manner,.caller = request->caller
		};
		Entry		place;

		(void) self_id(host_id);
		wanted.host_id = host_id;
		entry_enter(chain->session, &wanted, before, 1, entry);
		if (entry->action == ENTRY_RUN &&
			!turn_wait_free(request->actor_type, request->actor_id, chain->own_id))
			entry->action = ENTRY_BUSY;
		/* whoever has ended the session may have ended the turn, too */
		else if ((entry->action == ENTRY_RUN || entry->action == ENTRY_ELSEWHERE) &&
				 !session_alive(chain->session))
			entry->action = ENTRY_UNAVAILABLE;
		if (entry->action == ENTRY_RUN || entry->action == ENTRY_ELSEWHERE ||
			entry->action == ENTRY_UNAVAILABLE)
			break;
		if (!undo_to(chain, number, NULL))
		{
			entry->action = ENTRY_UNAVAILABLE;
			break;
		}
		if (entry->action != ENTRY_UNPLACED || i == MAX_PLACINGS)
			break;
		instance_unplace(request->actor_type, request->actor_id);
		entry_clear(entry);
		place_aside(chain, host_id, request, &place);
		if (place.action == ENTRY_ERROR || place.action == ENTRY_UNAVAILABLE)
		{
			*entry = place;
			break;
		}
		entry_clear(&place);
	}
	free(savepoint);
	free(manner);
}

/*
 * answer_again
 *		Answers with what was answered to the same request before.
 */
void
answer_again(Request *request, const Entry *entry)
{
	const char *status = entry_column(entry, "status");
	const char *body = entry_column(entry, "body");
	size_t		length = 0;
	unsigned char *bytes = body != NULL ?
		PQunescapeBytea((const unsigned char *) body, &length) : NULL;

	answer_bytes(request, status != NULL ? atoi(status) : 200, NULL,
				 bytes != NULL ? (char *) bytes : "", length);
	if (entry_column(entry, "content_type") != NULL)
		answer_header(request, "Content-Type", entry_column(entry, "content_type"));
	PQfreemem(bytes);
}

/*
 * What a request does in the database belongs to the chain, whichever of its calls
 * has asked for it.
 */
static void
adopt(Chain *chain, Request *request)
{
	if (request->reentrancy_id == NULL)
		return;
	free(request->reentrancy_id);
	request->reentrancy_id = xstrdup(chain->id);
}

/*
 * A call within the chain.
 */
static void
begin_nested(Chain *chain, Request *request)
{
	Call	   *caller = find_caller(chain, request);
	char		call_id[UUID_SIZE];
	int			number;
	Entry		entry;

	undo_mix(chain, caller);
	adopt(chain, request);
	call_id_create(chain->id, call_id);
	number = inbox_add_id(&chain->inbox, call_id);
	enter(chain, request, number, &entry);
	switch (entry.action)
	{
		case ENTRY_RUN:
		case ENTRY_ELSEWHERE:
			{
				Work		work = work_of(request, true);
				Call	   *call = call_create(chain, &work, &entry);

				call->request = request;
				call->number = call->id_number = number;
				call->parent = caller;
				call_begin(chain, call);
				entry_clear(&entry);
				return;
			}
		case ENTRY_FUNCTION:
			chain->session->used = true;
			handle_method(request, chain->session);
			break;
		case ENTRY_ANSWERED:
			answer_again(request, &entry);
			break;
		case ENTRY_ERROR:
			answer_sql_error(request, entry.result);
			break;
		case ENTRY_UNAVAILABLE:
			chain->end = CALL_NO_SESSION;
			answer_call_error(request, CALL_NO_SESSION, NULL, NULL);
			break;
		case ENTRY_BUSY:
			answer_message(request, 423, "ERR_ACTOR_BUSY",
						   "the application still runs a method of that actor whose turn was given up");
			break;
		default:
			answer_message(request, 503, "ERR_ACTOR_OVERLOADED", "the actor could not be placed");
			break;
	}
	entry_clear(&entry);
	request_done(request);
}

static bool
only_reads(const Request *request)
{
	return request->verb == VERB_GET || request->verb == VERB_HEAD;
}

/*
 * Serves something that belongs to the chain.
 */
static void
serve(Chain *chain, Request *request)
{
	Call	   *caller;

	if (chain->undone != NULL)
	{
		answer_call_error(request, CALL_UNDONE, NULL, chain->undone);
		request_done(request);
		return;
	}
	caller = find_caller(chain, request);
	if (caller == NULL && turn_is_by_id(request))
	{
		refuse_late(request);
		return;
	}
	if (caller == NULL)
	{
		chain_refuse(request, 400, "ERR_ACTOR_INSTANCE_MISSING",
					 "the application does not run a method of that actor now");
		return;
	}
	/* calls that it has begun may still run */
	if (caller->number == 0 && chain->end == CALL_ANSWERED)
	{
		refuse_late(request);
		return;
	}
	if (request->operation->route == ROUTE_METHOD && type_is_hosted(request->actor_type))
	{
		begin_nested(chain, request);
		return;
	}
	if (request->operation->route == ROUTE_METHOD)
		chain->session->used = true;
	if (!only_reads(request))
		undo_mix(chain, caller);
	adopt(chain, request);
	if (request->operation->route == ROUTE_METHOD)
		handle_method(request, chain->session);
	else
		request->operation->handler(request, chain->session);
	if (chain->session->connection == NULL)
		chain->end = CALL_NO_SESSION;
	turn_unsaved(request);
	request_done(request);
}

/* running --------------------------------------------------------------- */

/*
 * The time at which the next call has taken too long.
 */
static int64_t
next_deadline(const Chain *chain)
{
	int64_t		deadline = INT64_MAX;

	for (const Call *call = chain->open; call != NULL; call = call->next)
		if (call->deadline < deadline && call->transfer->state == TRANSFER_UNDERWAY)
			deadline = call->deadline;
	return deadline;
}

static void
end_overdue(Chain *chain)
{
	int64_t		now = now_ms();
	Call	   *call = chain->open;

	while (call != NULL && (call->deadline > now || call->transfer->state != TRANSFER_UNDERWAY))
		call = call->next;
	if (call == NULL)
		return;
	if (call->request != NULL)
		end_nested(chain, call, CALL_LATE);
	else
		chain->end = CALL_LATE;
}

/*
 * Whether the outermost call has come to its end, and those that it has begun, or
 * nothing can be committed any more.
 */
static bool
is_over(const Chain *chain)
{
	if (chain->end == CALL_UNDERWAY)
		return false;
	return chain->end != CALL_ANSWERED || chain->open->next == NULL;
}

/*
 * A call was answered with success.  What the application has sent before that, without
 * waiting for it, is a part of the call.
 */
static void
serve_waiting(Chain *chain, Call *call)
{
	bool		cancelled;
	Request    *request;

	if (call->turn != NULL)
		turn_answered(call->turn);
	for (int left = inbox_count(&chain->inbox); left > 0 && !is_over(chain); left--)
		if ((request = inbox_take(&chain->inbox, &cancelled)) != NULL)
			serve(chain, request);
}

/*
 * A transfer has ended.
 */
static void
take_answer(Chain *chain, Call *call)
{
	CallEnd		end = how_ended(call);

	if (call->address == NULL)
		app_missed(call->transfer->state);
	/* what a method saves is served, and what an object saves when it is dropped for good */
	if (end == CALL_ANSWERED && (!call->dropping || call->work.method == NULL))
		serve_waiting(chain, call);
	if (call->dropping && end == CALL_ANSWERED)
	{
		instance_dropped(call->type, call->id);
		if (call->work.method != NULL)
		{
			transfer_free(call->transfer, chain->multi);
			call_send_method(call);
			return;
		}
	}
	if (call->request != NULL)
	{
		end_nested(chain, call, end);
		return;
	}
	if (chain->end == CALL_UNDERWAY)
		chain->end = end;
	transfer_finish(call->transfer, chain->multi);
}

/*
 * Waits until there is something to do.
 */
static void
wait_for_any(Chain *chain)
{
	int64_t		left = next_deadline(chain) - now_ms();
	struct curl_waitfd server = {.events = CURL_WAIT_POLLIN};
	bool		watched = chain->session->connection != NULL;

	if (watched)
		server.fd = PQsocket(chain->session->connection);
	transfers_wait(chain->multi, left, watched ? &server : NULL);
	/* a transaction that was ended by the server cannot come to a good end */
	if (!watched || (server.revents != 0 && !session_alive(chain->session)))
		chain->end = CALL_NO_SESSION;
}

/*
 * chain_open
 *		Begins a chain on a session.  The transaction is that of the caller.
 */
void
chain_open(Chain *chain, Session *session, const char *chain_id)
{
	memset(chain, 0, sizeof(*chain));
	chain->session = session;
	strncat(chain->id, chain_id, UUID_SIZE - 1);
	memcpy(chain->own_id, chain->id, UUID_SIZE);
	chain->multi = own_tools()->multi;
	inbox_open(&chain->inbox, chain_id, chain->multi);
	/* other chains may have it, and what comes with it may be from the client */
	if (!id_is_of_hosts(chain->id))
	{
		call_id_create(chain->id, chain->own_id);
		chain->own_number = inbox_add_id(&chain->inbox, chain->own_id);
	}
}

/*
 * chain_run
 *		Lets the application run the outermost call, whose turn is taken, and all
 *		that it asks for.  Whatever comes of it, the transaction is left to the
 *		caller, who commits only after CALL_ANSWERED.  The answer of the application
 *		is in the chain.
 */
CallEnd
chain_run(Chain *chain, const Work *work, const Entry *entry)
{
	Call	   *call = call_create(chain, work, entry);
	Transfer   *transfer;
	Request    *request;
	bool		cancelled = false;

	call->id_number = chain->own_number;
	call_begin(chain, call);
	while (!is_over(chain))
	{
		while (!is_over(chain) && (transfer = transfers_ended(chain->multi)) != NULL)
			if (transfer->owner != NULL)
				take_answer(chain, transfer->owner);
			else
				chain->late = late_end(chain->late, transfer, chain->multi);
		while (!is_over(chain) && (request = inbox_take(&chain->inbox, &cancelled)) != NULL)
			serve(chain, request);
		if (is_over(chain))
			break;
		if (cancelled)
			chain->end = CALL_CANCELLED;
		else
		{
			wait_for_any(chain);
			if (chain->end == CALL_UNDERWAY || chain->end == CALL_ANSWERED)
				end_overdue(chain);
		}
	}
	chain->answer = call->transfer;
	if (chain->end == CALL_ANSWERED && chain->undone != NULL)
		return CALL_UNDONE;
	return chain->end;
}

/*
 * Answers what the chain was asked for and has not done.
 */
static void
refuse_rest(Request *request)
{
	while (request != NULL)
	{
		Request    *next = request->next;

		request->next = NULL;
		refuse_late(request);
		request = next;
	}
}

/*
 * chain_close
 *		Ends a chain whose transaction has ended, with COMMIT if that is good.  What
 *		the application still runs is waited for elsewhere.
 */
void
chain_close(Chain *chain, bool good)
{
	refuse_rest(inbox_close(&chain->inbox));
	while (chain->open != NULL)
	{
		Call	   *call = chain->open;

		call_unlink(chain, call);
		if (call->request != NULL)
			answer_call_error(call->request, CALL_CANCELLED, NULL, NULL);
		if (call->transfer->state == TRANSFER_UNDERWAY)
			call_give_up(call);
		if (call->request != NULL)
			request_done(call->request);
		call_end_turn(call, good);
		transfer_free(call->transfer, chain->multi);
		call_free(call);
	}
	calls_end_since(chain, 0, good);
	free(chain->undone);
	if (chain->late != NULL)
	{
		own_tools()->multi = NULL;
		late_keep(chain->multi, chain->late);
	}
}
