/*-------------------------------------------------------------------------
 *
 * hosted.c
 *		Calls of methods that an application has: each is a transaction around what
 *		the application does.
 *
 * A call that has come to a host which does not have the actor goes on to the one
 * that does, once.  Those of clients with tokens of their own are first asked
 * about in a session of the role that the token stands for, and run in one of the
 * host's then.
 *
 * IDENTIFICATION
 *		http/hosted.c
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actors.h"
#include "answer.h"
#include "app.h"
#include "call.h"
#include "forward.h"
#include "chain.h"
#include "entry.h"
#include "hosted.h"
#include "instance.h"
#include "lease.h"
#include "options.h"
#include "pool.h"
#include "transaction.h"
#include "types.h"
#include "util.h"

/* how long a call waits until the application tells of its type */
#define READY_MS			5000
/* how often a call tries to find where the actor is */
#define MAX_PLACINGS		100
/* time between two looks for another host */
#define AGAIN_MS			100

/* refusals -------------------------------------------------------------- */

static void
answer_unavailable(Request *request)
{
	answer_error(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE", "could not use the database");
}

/*
 * Answers with what has gone wrong before the application was called.
 */
static void
answer_entry(Request *request, const Entry *entry)
{
	if (entry->action == ENTRY_ERROR)
		answer_sql_error(request, entry->result);
	else if (entry->action == ENTRY_UNAVAILABLE)
		answer_unavailable(request);
	else
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED", "the actor could not be placed");
}

/*
 * Whether no host has the type now.
 */
static bool
has_no_host(const Entry *entry)
{
	const char *sqlstate = PQresultErrorField(entry->result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(entry->result, PG_DIAG_MESSAGE_PRIMARY);

	return entry->action == ENTRY_ERROR && sqlstate != NULL && strcmp(sqlstate, "55000") == 0 &&
		message != NULL && strstr(message, "host") != NULL;
}

/*
 * Whether the placement of the actor is being changed.
 */
static bool
is_not_free(const Entry *entry)
{
	const char *sqlstate = PQresultErrorField(entry->result, PG_DIAG_SQLSTATE);

	return entry->action == ENTRY_ERROR && sqlstate != NULL && strcmp(sqlstate, "55P03") == 0;
}

/*
 * Answers for a call whose application was not there in time.
 */
static void
answer_not_ready(Request *request)
{
	if (self_is_leaving())
		answer_error(request, 503, "ERR_ACTOR_RUNTIME_CLOSED", "the server is shutting down");
	else
		answer_error(request, 500, "ERR_ACTOR_INVOKE_METHOD",
					 "error invoke actor method: no application with that actor type is ready");
}

/* running --------------------------------------------------------------- */

/*
 * Ends a chain that was answered with success.
 */
static void
commit_chain(Request *request, Chain *chain, const Entry *entry)
{
	Transfer   *answer = chain->answer;
	bool		keeps = request->request_id != NULL;
	char		status[16];
	const char *values[] = {
		entry->frame, status, headers_value(answer->headers, "Content-Type"), NULL,
		!keeps ? NULL : answer->content.data != NULL ? answer->content.data : ""
	};
	const int	lengths[] = {0, 0, 0, 0, (int) answer->content.length};
	const int	formats[] = {0, 0, 0, 0, 1};
	const Statement last = {
		.sql = keeps ? HOST_KEEP_AND_COMMIT : HOST_EXIT_AND_COMMIT,.commits = true,
		.nvalues = keeps ? 5 : 1,.values = values,.lengths = lengths,.formats = formats
	};
	bool		good;

	if (keeps)
		snprintf(status, sizeof(status), "%d", answer->status);
	good = turn_commit(request, chain->session, &last, NULL);
	if (good)
		answer_transfer(request, answer);
	chain_close(chain, good);
}

/*
 * Lets the application run a method whose turn is taken.  Returns whether it has
 * got it; if not, nothing has happened.
 */
static bool
run_method(Request *request, Session *session, const char *chain_id, const Entry *entry)
{
	HostedType	type;
	bool		with_id = request->reentrancy_id != NULL ||
		(type_find(request->actor_type, &type) && type.reentrant);
	Work		work = work_of(request, with_id);
	Chain		chain;
	CallEnd		end;

	chain_open(&chain, session, chain_id);
	end = chain_run(&chain, &work, entry);
	if (request->reentrancy_id != NULL &&
		headers_value(request->headers, "Dapr-Reentrancy-Id") == NULL)
		answer_header(request, "Dapr-Reentrancy-Id", request->reentrancy_id);
	if (end == CALL_ANSWERED)
	{
		commit_chain(request, &chain, entry);
		return true;
	}
	turn_roll_back(session);
	answer_call_error(request, end, chain.answer, chain.undone);
	chain_close(&chain, false);
	return end != CALL_NOT_SENT;
}

/*
 * What was found out about a call.
 */
typedef enum CallStep
{
	STEP_DONE,					/* it is answered, or goes on elsewhere */
	STEP_AGAIN,					/* the actor was placed, or is to be */
	STEP_NOT_READY				/* the application is not there */
} CallStep;

static void
submit_again(Request *request)
{
	pool_submit(pool_default(), request);
}

/*
 * Takes the turn in a transaction, which is open if the application is to be called.
 */
static void
enter_transaction(Request *request, Session *session, const EntryRequest *wanted, Entry *entry)
{
	Statement	before[TURN_BEGIN_MAX];
	int			count;

	memset(entry, 0, sizeof(*entry));
	entry->action = ENTRY_UNAVAILABLE;
	if (!turn_begin_entering(session, request->traceparent, before, &count, &entry->reason))
		return;
	entry_enter(session, wanted, before, count, entry);
	/* the chain begins with this: what there is belongs to another one */
	if (entry->action == ENTRY_RUN &&
		!turn_wait_free(request->actor_type, request->actor_id, ""))
		entry->action = ENTRY_BUSY;

	/*
	 * whoever has ended the session may have ended the turn, too; this process may
	 * have stood still since the answer of the database
	 */
	else if (entry->action == ENTRY_RUN && session_alive(session))
		return;
	else if (entry->action == ENTRY_RUN)
		entry->action = ENTRY_UNAVAILABLE;
	turn_roll_back(session);
}

/*
 * Does what is to be done with a call; nothing if it has gone on without an entry.
 */
static CallStep
do_next(Request *request, Session *session, const EntryRequest *wanted, const Entry *entry)
{
	switch (entry != NULL ? entry->action : ENTRY_GONE)
	{
		case ENTRY_GONE:
			return STEP_DONE;
		case ENTRY_RUN:
			return run_method(request, session, wanted->chain_id, entry) ? STEP_DONE :
				STEP_NOT_READY;
		case ENTRY_BUSY:
			/* its turn comes when the application has answered */
			request->then = submit_again;
			return STEP_DONE;
		case ENTRY_ELSEWHERE:
			forward_call(request, entry->address);
			return STEP_DONE;
		case ENTRY_FUNCTION:
			handle_method(request, session);
			return STEP_DONE;
		case ENTRY_ANSWERED:
			answer_again(request, entry);
			return STEP_DONE;
		case ENTRY_UNPLACED:
			instance_unplace(request->actor_type, request->actor_id);
			return STEP_AGAIN;
		default:
			if (has_no_host(entry))
				return STEP_NOT_READY;
			answer_entry(request, entry);
			return STEP_DONE;
	}
}

/*
 * Takes the turn, and does what is to be done then.
 */
static CallStep
enter(Request *request, Session *session, const char *host_id, const char *token)
{
	HostedType	type;
	Entry		entry;
	CallStep	step;
	char		chain_id[UUID_SIZE];
	EntryRequest wanted = {
		.host_id = host_id,.type = request->actor_type,.id = request->actor_id,
		.method = request->name,.token = token,.chain_id = chain_id,
		.request_id = request->request_id,
		.body = request->body.data,.body_length = request->body.length,
		.caller = request->caller
	};
	char	   *manner = request_manner(request);

	wanted.manner = manner;
	if (request->reentrancy_id != NULL)
		memcpy(chain_id, request->reentrancy_id, UUID_SIZE);
	else
		chain_id_create(chain_id);
	if (type_find(request->actor_type, &type) && type.lease)
		step = do_next(request, session, &wanted,
					   lease_begin(request, session, &wanted, &entry) ? &entry : NULL);
	else
	{
		enter_transaction(request, session, &wanted, &entry);
		step = do_next(request, session, &wanted, &entry);
	}
	free(manner);
	entry_clear(&entry);
	return step;
}

/*
 * Finds out where the actor is, if that is not known.
 */
static CallStep
place(Request *request, Session *session, const char *host_id)
{
	CallStep	step = STEP_DONE;
	Entry		entry;

	entry_place(session, host_id, request->actor_type, request->actor_id, &entry);
	if (entry.action == ENTRY_RUN)
	{
		instance_place(request->actor_type, request->actor_id, entry.token);
		step = STEP_AGAIN;
	}
	else if (entry.action == ENTRY_ELSEWHERE)
		forward_call(request, entry.address);
	else if (has_no_host(&entry))
		step = STEP_NOT_READY;
	/* whoever has the turn changes where it is: wait for that turn */
	else if (is_not_free(&entry))
		step = enter(request, session, host_id, NULL);
	else
		answer_entry(request, &entry);
	entry_clear(&entry);
	return step;
}

/*
 * Waits until the application is there, which was not, or another host has the
 * type.  Returns false if that takes too long.
 */
static bool
wait_for_host(Request *request, char *host_id)
{
	bool		was_ready = self_is_ready();

	if (!call_may_wait(request) || !self_wait_ready(host_id, request->ready_by))
		return false;
	/* it is another host that is missing */
	if (was_ready)
		(void) poll(NULL, 0, AGAIN_MS);
	return true;
}

/*
 * A call of a hosted type, by somebody who may call it.
 */
static void
call_hosted(Request *request, Session *session)
{
	char		host_id[UUID_SIZE];
	char		token[UUID_SIZE];
	int			placings = 0;
	/* it has missed the application before, as a lease */
	bool		waits = request->ready_by != 0 && !self_is_ready();

	while ((!waits && self_id(host_id)) || wait_for_host(request, host_id))
	{
		CallStep	step;

		if (instance_token(request->actor_type, request->actor_id, token))
			step = enter(request, session, host_id, token);
		else
			step = place(request, session, host_id);
		if (step == STEP_DONE)
			return;
		waits = (step == STEP_NOT_READY);
		if (!waits && ++placings > MAX_PLACINGS)
			break;
	}
	answer_not_ready(request);
}

/* rights ---------------------------------------------------------------- */

/*
 * A request of another role goes on in a session of the host's.
 */
static void
run_as_host(Request *request)
{
	request->checked = true;
	pool_submit(pool_default(), request);
}

/*
 * Asks in a session of the caller's role who has the method, and whether the role
 * may call it.
 */
static void
call_as_other(Request *request, Session *session)
{
	const char *values[] = {request->actor_type, request->name};
	PGresult   *result = call_database(request, session,
									   "SELECT actor.host_may_call($1::pg_catalog.text,"
									   " $2::pg_catalog.text), CURRENT_USER", 2, values);

	if (result == NULL)
		return;
	if (strcmp(PQgetvalue(result, 0, 0), "hosted") == 0)
	{
		request->caller = xstrdup(PQgetvalue(result, 0, 1));
		request->then = run_as_host;
	}
	else
		handle_method(request, session);
	PQclear(result);
}

/*
 * A method of a type that is not known to be hosted.  The application may be about
 * to tell that it has it, or this host to learn that.
 */
static void
call_unknown(Request *request, Session *session)
{
	char		host_id[UUID_SIZE];
	int64_t		until = now_ms() + READY_MS;
	bool		was_ready = self_is_ready();

	handle_method(request, session);
	if (!was_ready &&
		(strcmp(request->refusal, "42704") == 0 || strcmp(request->refusal, "0A000") == 0) &&
		self_wait_ready(host_id, until) && type_is_hosted(request->actor_type))
	{
		request->refusal[0] = '\0';
		handle_call(request, session);
	}
}

/*
 * handle_call
 *		Calls a method, whoever has it.
 */
void
handle_call(Request *request, Session *session)
{
	if (options.app == NULL)
		handle_method(request, session);
	else if (!type_is_hosted(request->actor_type))
		call_unknown(request, session);
	else if (request->reentrancy_id != NULL && !is_uuid(request->reentrancy_id))
		answer_error(request, 400, "ERR_BAD_REQUEST", "Dapr-Reentrancy-Id must be a uuid");
	/* what may join a chain has been handed to it */
	else if (request->reentrancy_id != NULL && id_is_of_hosts(request->reentrancy_id))
		answer_error(request, 409, "ERR_ACTOR_CONFLICT",
					 "the chain of calls that this belongs to has ended");
	else if (request->pool != pool_default() && !request->checked)
		call_as_other(request, session);
	else
		call_hosted(request, session);
}
