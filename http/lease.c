/*-------------------------------------------------------------------------
 *
 * lease.c
 *		Calls whose turn is an open turn, not a transaction: for methods that take
 *		long.  While the application runs one, no session is taken and no
 *		transaction is open.
 *
 *	 pool: opens the turn --> thread: calls the application --> pool: commits
 *								|  ^
 *								v  |
 *							  pool: what the application asks for meanwhile
 *
 * What the method writes is tried in a transaction that is rolled back, and
 * remembered; what it reads is read in one in which all it has written was done
 * before.  In the end all is done in one that also closes the turn, and that
 * commits only if the turn is still open and the actor where it was.
 *
 * A lease belongs to the thread.  While it is busy, what it has collected belongs to
 * a worker of the pool.
 *
 * IDENTIFICATION
 *		http/lease.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "app.h"
#include "call.h"
#include "chain.h"
#include "instance.h"
#include "late.h"
#include "lease.h"
#include "options.h"
#include "pool.h"
#include "transaction.h"
#include "util.h"

/* how much longer than a call its turn may be open */
#define GRACE_SECONDS		30

/* something that a method has written */
typedef struct Collected
{
	Request    *request;
	struct Collected *next;
} Collected;

typedef struct Lease
{
	Request    *request;		/* NULL: it is answered */
	char	   *type;
	char	   *id;
	char		chain_id[UUID_SIZE];
	char		host_id[UUID_SIZE];
	char		token[UUID_SIZE];
	Inbox		inbox;
	Turn	   *turn;
	Transfer   *transfer;
	bool		dropping;		/* an object is being dropped before */
	int64_t		deadline;
	CallEnd		outcome;		/* what has become of the transfer */
	CallEnd		end;			/* and of the call, once the pool is told */
	Collected  *collected;
	Collected **last;
	const Operation *operation; /* of the request, before its end is one */
	bool		busy;			/* a worker has it; protected by the lock */
	bool		done;			/* the request is answered; the same */
	struct Lease *next;
} Lease;

/* what the application asks for, and what it was before it came to the lease */
typedef struct Step
{
	Lease	   *lease;
	const Operation *operation;
} Step;

static pthread_t thread;
static CURLM *multi;
static Lease *active;			/* of the thread */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Lease *submitted;
static bool stopping;

static void begin_anew(Request *request);

/* in a session of the pool ---------------------------------------------- */

/*
 * Enters the turn of a lease, in a transaction.  Returns false, and has answered, if
 * that is not open any more, or the actor is not where it was.
 */
static bool
reenter(Lease *lease, Request *request, Session *session, const char *request_id, Entry *entry)
{
	Statement	before[TURN_BEGIN_MAX];
	int			count;
	char	   *reason;
	char		host_id[UUID_SIZE];
	char	   *manner = request_id != NULL ? request_manner(request) : NULL;
	EntryRequest wanted = {
		.host_id = host_id,.type = lease->type,.id = lease->id,
		.method = lease->request->name,.token = lease->token,.chain_id = lease->chain_id,
		.request_id = request_id,.body = request->body.data,
		.body_length = request->body.length,.manner = manner,.caller = lease->request->caller
	};

	memset(entry, 0, sizeof(*entry));
	entry->action = ENTRY_UNAVAILABLE;
	(void) self_id(host_id);
	if (turn_begin(session, lease->request->traceparent, before, &count, &reason))
		entry_enter(session, &wanted, before, count, entry);
	else
		free(reason);
	free(manner);
	if (entry->action == ENTRY_RUN && strcmp(entry->token, lease->token) == 0)
		return true;
	turn_roll_back(session);
	if (entry->action == ENTRY_ERROR)
		answer_sql_error(request, entry->result);
	else if (entry->action == ENTRY_UNAVAILABLE)
		answer_error(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE", "could not use the database");
	else
		answer_error(request, 409, "ERR_ACTOR_CONFLICT", "the turn of the method was lost");
	return false;
}

/*
 * Does what the method has written.  Returns false, and has answered, if that is not
 * possible any more.
 */
static bool
replay(Lease *lease, Request *request, Session *session)
{
	for (const Collected *collected = lease->collected; collected != NULL;
		 collected = collected->next)
	{
		Request    *copy = collected->request;

		copy->operation->handler(copy, session);
		if (copy->status / 100 != 2)
		{
			answer_bytes(request, copy->status, "application/json", copy->content,
						 copy->content_length);
			return false;
		}
	}
	return true;
}

static bool
only_reads(const Request *request)
{
	return request->verb == VERB_GET || request->verb == VERB_HEAD;
}

static void
collect(Lease *lease, const Request *request)
{
	Collected  *collected = xmalloc(sizeof(Collected));

	collected->request = request_copy(request);
	collected->next = NULL;
	*lease->last = collected;
	lease->last = &collected->next;
}

/*
 * What is written now is written again in the end, and gets its number then.
 */
static void
forget_number(Request *request)
{
	static const char unknown[] = "{\"id\" : null}";

	if (request->operation->route == ROUTE_MESSAGES || request->operation->route == ROUTE_TOPIC)
		answer_bytes(request, request->status, "application/json", unknown, strlen(unknown));
}

/*
 * Answers what the application asks for.
 */
static void
run_step(Request *request, Session *session)
{
	Lease	   *lease = ((Step *) request->job)->lease;
	Entry		entry;

	request->operation = ((Step *) request->job)->operation;
	free(request->reentrancy_id);
	request->reentrancy_id = NULL;
	/* what it has not written is what everybody sees */
	if (only_reads(request) && lease->collected == NULL)
	{
		request->operation->handler(request, session);
		return;
	}
	if (reenter(lease, request, session, NULL, &entry))
	{
		if (replay(lease, request, session))
			request->operation->handler(request, session);
		turn_roll_back(session);
		if (request->status / 100 == 2 && !only_reads(request))
		{
			collect(lease, request);
			forget_number(request);
		}
	}
	turn_unsaved(request);
	entry_clear(&entry);
}

/*
 * Gives the turn back, whatever has become of it.
 */
static void
close_turn(Lease *lease, Session *session)
{
	const char *values[] = {lease->type, lease->id, lease->chain_id};
	PGresult   *result;
	char	   *reason;

	(void) session_query(session,
						 "SELECT @.actor_close_turn($1::pg_catalog.text, $2::pg_catalog.text,"
						 " $3::pg_catalog.uuid)", NULL, false, 3, values, &result, &reason);
	PQclear(result);
	free(reason);
}

/*
 * Closes the turn in the transaction that does what the method has written, if it
 * is still open, and commits.
 */
static bool
commit(Lease *lease, Session *session, const Entry *entry)
{
	Request    *request = lease->request;
	Transfer   *answer = lease->transfer;
	char		status[16];
	const char *exit_values[] = {
		entry->frame, status, headers_value(answer->headers, "Content-Type"), NULL,
		request->request_id == NULL ? NULL : answer->content.data != NULL ?
		answer->content.data : ""
	};
	const int	lengths[] = {0, 0, 0, 0, (int) answer->content.length};
	const int	formats[] = {0, 0, 0, 0, 1};
	const char *close_values[] = {lease->type, lease->id, lease->chain_id};
	const Statement statement = {
		.sql = HOST_EXIT,.nvalues = 5,.values = exit_values,.lengths = lengths,.formats = formats
	};
	/* an error, unless the turn was open */
	const Statement last = {
		.sql = "SELECT 1 OPERATOR(pg_catalog./) pg_catalog.int4(@.actor_close_turn("
			"$1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.uuid))",
		.nvalues = 3,.values = close_values
	};
	PGresult   *result;
	char	   *reason;
	bool		exited;

	snprintf(status, sizeof(status), "%d", answer->status);
	exited = session_statements(session, &statement, 1, &result, &reason) == QUERY_ANSWERED &&
		PQresultStatus(result) == PGRES_TUPLES_OK;
	if (!exited && result != NULL)
		answer_sql_error(request, result);
	else if (!exited)
		answer_error(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE", "could not use the database");
	PQclear(result);
	free(reason);
	if (!exited)
		turn_roll_back(session);
	else if (turn_commit(request, session, &last, &result))
		return true;
	else
	{
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (sqlstate != NULL && strcmp(sqlstate, "22012") == 0)
			answer_error(request, 409, "ERR_ACTOR_CONFLICT", "the turn of the method was lost");
		PQclear(result);
	}
	return false;
}

/*
 * Ends a call that the application has answered, or that has failed.
 */
static void
run_end(Request *request, Session *session)
{
	Lease	   *lease = request->job;
	Entry		entry = {0};
	bool		good = false;

	request->operation = lease->operation;
	if (lease->end == CALL_NOT_SENT && call_may_wait(request))
		request->then = begin_anew;
	else if (lease->end != CALL_ANSWERED)
		answer_call_error(request, lease->end, lease->transfer, NULL);
	else if (reenter(lease, request, session, request->request_id, &entry))
	{
		if (replay(lease, request, session))
			good = commit(lease, session, &entry);
		else
			turn_roll_back(session);
	}
	entry_clear(&entry);
	if (good)
		answer_transfer(request, lease->transfer);
	else
	{
		lease->end = lease->end == CALL_ANSWERED ? CALL_UNDONE : lease->end;
		close_turn(lease, session);
	}
}

/* handing over ---------------------------------------------------------- */

static const Operation step_operation = {.handler = run_step,.error_code = ""};
static const Operation end_operation = {.handler = run_end,.error_code = ""};

/*
 * A worker is done with something of the application.
 */
static void
step_done(Request *request)
{
	Step	   *step = request->job;
	Lease	   *lease = step->lease;

	request->finish = NULL;
	request->job = NULL;
	free(step);
	request_done(request);
	pthread_mutex_lock(&lock);
	lease->busy = false;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
}

/*
 * A worker has given back the turn of a call, which has no lease any more.
 */
static void
part(Request *request)
{
	Lease	   *lease = request->job;

	request->finish = NULL;
	request->job = NULL;
	pthread_mutex_lock(&lock);
	lease->busy = false;
	lease->done = true;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
}

/*
 * A worker has answered the call.
 */
static void
end_done(Request *request)
{
	part(request);
	request_done(request);
}

/*
 * The application was not there: the call begins anew, and waits for it.
 */
static void
begin_anew(Request *request)
{
	part(request);
	pool_submit(pool_default(), request);
}

static void
submit(Request *request)
{
	Lease	   *lease = request->job;

	pthread_mutex_lock(&lock);
	lease->next = submitted;
	submitted = lease;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
}

/*
 * Nothing is asked of a lease any more.  Answers what has come and was not served.
 */
static void
close_inbox(Lease *lease)
{
	Request    *rest = inbox_close(&lease->inbox);

	while (rest != NULL)
	{
		Request    *next = rest->next;

		rest->next = NULL;
		chain_refuse(rest, 400, "ERR_ACTOR_INSTANCE_MISSING",
					 "the turn that this belongs to has ended");
		rest = next;
	}
}

/*
 * The turn is open in the database once the transaction commits.
 */
static bool
open_lease(Request *request, Session *session, const EntryRequest *wanted, const Entry *entry)
{
	const Statement undo = {.sql = "ROLLBACK TO SAVEPOINT actor_lease"};
	Lease	   *lease = xmalloc(sizeof(Lease));

	memset(lease, 0, sizeof(*lease));
	lease->request = request;
	lease->type = xstrdup(request->actor_type);
	lease->id = xstrdup(request->actor_id);
	memcpy(lease->chain_id, wanted->chain_id, UUID_SIZE);
	memcpy(lease->host_id, entry->host_id, UUID_SIZE);
	memcpy(lease->token, entry->token, UUID_SIZE);
	lease->last = &lease->collected;
	lease->deadline = now_ms() + options.app_timeout * 1000;
	inbox_open(&lease->inbox, lease->chain_id, multi);
	entry_take_left(entry, lease->type, lease->id);
	lease->dropping = instance_begin(lease->type, lease->id, lease->token, entry->stale);
	lease->turn = turn_open_lease(lease->type, lease->id, &lease->inbox, lease->chain_id,
								  lease->dropping);
	if (turn_commit(request, session, &undo, NULL))
	{
		request->job = lease;
		request->then = submit;
		return true;
	}
	turn_ended(lease->turn, INSTANCE_AS_BEFORE);
	close_inbox(lease);
	free(lease->type);
	free(lease->id);
	free(lease);
	return false;
}

/*
 * lease_begin
 *		Opens the turn for a call and hands that over, or says why it cannot be.
 *		Returns false if there is nothing more to be done with the entry: the call
 *		goes on, or is answered.
 */
bool
lease_begin(Request *request, Session *session, EntryRequest *wanted, Entry *entry)
{
	char		ttl[32];
	const char *values[] = {request->actor_type, request->actor_id, ttl};
	Statement	statements[TURN_BEGIN_MAX + 2];
	PGresult   *results[TURN_BEGIN_MAX + 2];
	char		chain_id[UUID_SIZE] = "";
	int			count;
	char	   *reason;
	QueryOutcome outcome;

	snprintf(ttl, sizeof(ttl), "%ld", options.app_timeout + GRACE_SECONDS);
	memset(entry, 0, sizeof(*entry));
	entry->action = ENTRY_UNAVAILABLE;
	if (!turn_begin(session, request->traceparent, statements, &count, &entry->reason))
		return true;
	statements[count] = (Statement)
	{
		.sql = "SELECT @.actor_open_turn($1::pg_catalog.text, $2::pg_catalog.text,"
			" pg_catalog.make_interval(secs => $3::pg_catalog.float8))",
			.nvalues = 3,.values = values
	};
	statements[count + 1] = (Statement)
	{
		.sql = "SAVEPOINT actor_lease"
	};
	outcome = session_statements(session, statements, count + 2, results, &reason);
	if (outcome == QUERY_ANSWERED && PQresultStatus(results[count]) == PGRES_TUPLES_OK)
		strncat(chain_id, PQgetvalue(results[count], 0, 0), UUID_SIZE - 1);
	for (int i = 0; i < count + 2; i++)
		if (i != count)
			PQclear(results[i]);
	entry_read(entry, wanted->host_id, outcome, results[count], reason);
	if (chain_id[0] != '\0')
	{
		entry_clear(entry);
		wanted->chain_id = chain_id;
		entry_enter(session, wanted, NULL, 0, entry);
	}
	if (entry->action != ENTRY_RUN)
	{
		turn_roll_back(session);
		return true;
	}
	if (turn_wait_free(request->actor_type, request->actor_id, chain_id))
	{
		(void) open_lease(request, session, wanted, entry);
		return false;
	}
	turn_roll_back(session);
	entry->action = ENTRY_BUSY;
	return true;
}

/* in the thread --------------------------------------------------------- */

static void
send_method(Lease *lease)
{
	/* calls that it makes are not of its turn, so it gets no id for them */
	Work		work = work_of(lease->request, false);

	work.host_id = lease->host_id;
	lease->dropping = false;
	turn_keep(lease->turn);
	lease->transfer = app_send_method(lease, multi, &work, NULL);
}

static void
begin(Lease *lease)
{
	if (lease->dropping)
		lease->transfer = app_send_drop(lease, multi, lease->host_id, lease->type, lease->id,
										instance_drop_begins(lease->type, lease->id));
	else
		send_method(lease);
}

/*
 * Has a call that has come to its end answered by the pool.
 */
static void
finish(Lease *lease, CallEnd end)
{
	Request    *request = lease->request;

	lease->end = end;
	pthread_mutex_lock(&lock);
	lease->busy = true;
	pthread_mutex_unlock(&lock);
	request->job = lease;
	request->finish = end_done;
	request->queued_at = now_ms();
	lease->operation = request->operation;
	request->operation = &end_operation;
	pool_submit(pool_default(), request);
}

/*
 * The transfer of a lease has ended.
 */
static void
take_answer(Lease *lease)
{
	Transfer   *transfer = lease->transfer;

	if (lease->dropping && app_has_dropped(transfer))
	{
		instance_dropped(lease->type, lease->id);
		transfer_free(transfer, multi);
		send_method(lease);
		return;
	}
	transfer_finish(transfer, multi);
	app_missed(transfer->state);
	/* a worker may still serve what the application has not waited for */
	if (transfer->state == TRANSFER_ANSWERED)
		lease->outcome = transfer_succeeded(transfer) && !lease->dropping ? CALL_ANSWERED :
			CALL_REFUSED;
	else
		lease->outcome = transfer->state == TRANSFER_NOT_SENT ? CALL_NOT_SENT : CALL_LOST;
	if (lease->outcome == CALL_ANSWERED)
		turn_answered(lease->turn);
}

/*
 * Gives up a call that the application still runs.
 */
static void
give_up(Lease *lease, CallEnd end)
{
	Request    *request = lease->request;

	if (request->body.data != NULL)
	{
		transfer_own_body(lease->transfer, request->body.data);
		request->body.data = NULL;
	}
	turn_give_up(lease->turn);
	finish(lease, end);
}

/*
 * Serves what the application asks for.
 */
static void
serve(Lease *lease, Request *request)
{
	Step	   *step;

	if (request->operation->route == ROUTE_METHOD)
	{
		/* that is a transaction of its own */
		free(request->reentrancy_id);
		request->reentrancy_id = NULL;
		pool_submit(pool_default(), request);
		return;
	}
	step = xmalloc(sizeof(Step));
	step->lease = lease;
	step->operation = request->operation;
	pthread_mutex_lock(&lock);
	lease->busy = true;
	pthread_mutex_unlock(&lock);
	request->job = step;
	request->finish = step_done;
	request->queued_at = now_ms();
	request->operation = &step_operation;
	pool_submit(pool_default(), request);
}

/*
 * Forgets a lease that is answered, and that the application does not run any more.
 */
static void
end_lease(Lease *lease)
{
	Lease	  **link = &active;

	while (*link != lease)
		link = &(*link)->next;
	*link = lease->next;
	transfer_finish(lease->transfer, multi);
	turn_ended(lease->turn, lease->end == CALL_ANSWERED ? INSTANCE_GOOD :
			   turn_end_of(lease->transfer, lease->dropping));
	close_inbox(lease);
	transfer_free(lease->transfer, multi);
	while (lease->collected != NULL)
	{
		Collected  *collected = lease->collected;

		lease->collected = collected->next;
		request_free(collected->request);
		free(collected);
	}
	free(lease->type);
	free(lease->id);
	free(lease);
}

/*
 * Lets a lease go on.
 */
static void
advance(Lease *lease)
{
	Request    *request;
	bool		busy;
	bool		done;
	bool		cancelled = false;

	pthread_mutex_lock(&lock);
	busy = lease->busy;
	done = lease->done;
	pthread_mutex_unlock(&lock);
	if (done)
	{
		if (lease->transfer->state != TRANSFER_UNDERWAY)
			end_lease(lease);
		return;
	}
	if (busy || lease->end != CALL_UNDERWAY)
		return;
	/* what has come before the answer was sent before it, and is a part of the call */
	request = lease->outcome == CALL_UNDERWAY || lease->outcome == CALL_ANSWERED ?
		inbox_take(&lease->inbox, &cancelled) : NULL;
	if (request != NULL)
		serve(lease, request);
	else if (lease->outcome != CALL_UNDERWAY)
		finish(lease, lease->outcome);
	else if (cancelled)
		give_up(lease, CALL_CANCELLED);
	else if (lease->deadline <= now_ms())
		give_up(lease, CALL_LATE);
}

static bool
take_submitted(void)
{
	Lease	   *lease;
	bool		stop;

	pthread_mutex_lock(&lock);
	lease = submitted;
	submitted = NULL;
	stop = stopping;
	pthread_mutex_unlock(&lock);
	while (lease != NULL)
	{
		Lease	   *next = lease->next;

		lease->next = active;
		active = lease;
		begin(lease);
		lease = next;
	}
	return !stop;
}

static int64_t
next_deadline(void)
{
	int64_t		deadline = INT64_MAX;

	for (const Lease *lease = active; lease != NULL; lease = lease->next)
		if (lease->end == CALL_UNDERWAY && lease->deadline < deadline)
			deadline = lease->deadline;
	return deadline;
}

static void *
lease_main(void *arg)
{
	(void) arg;
	while (take_submitted())
	{
		Transfer   *transfer;
		Lease	   *next;
		int64_t		left;

		while ((transfer = transfers_ended(multi)) != NULL)
			take_answer(transfer->owner);
		for (Lease *lease = active; lease != NULL; lease = next)
		{
			next = lease->next;
			advance(lease);
		}
		left = next_deadline() - now_ms();
		transfers_wait(multi, left < 1 ? 1 : left, NULL);
	}
	while (active != NULL)
		end_lease(active);
	return NULL;
}

void
leases_start(void)
{
	multi = transfers_create();
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, 64L);
	if (pthread_create(&thread, NULL, lease_main, NULL) != 0)
		die("could not start a thread");
}

/*
 * leases_stop
 *		Called when no request is left.  What the application still runs is not waited
 *		for.
 */
void
leases_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_mutex_unlock(&lock);
	curl_multi_wakeup(multi);
	pthread_join(thread, NULL);
	transfers_free(multi);
}
