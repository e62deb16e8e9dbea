/*-------------------------------------------------------------------------
 *
 * ending.c
 *		Dropping actors from the application, each in a turn: those that are idle,
 *		that move to another host, or that a host before this one has left behind.
 *
 * An actor that the application may not have is never dropped, because there are
 * applications that end at that.
 *
 * IDENTIFICATION
 *		http/ending.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "actors.h"
#include "answer.h"
#include "chain.h"
#include "ending.h"
#include "entry.h"
#include "instance.h"
#include "options.h"
#include "pool.h"
#include "request.h"
#include "self.h"
#include "transaction.h"
#include "types.h"
#include "util.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static pthread_cond_t one_done;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int	under_way;

static void
create_condition(void)
{
	condition_init(&one_done);
}

/*
 * Lets the application drop an actor whose turn is taken.  Returns whether it has.
 */
static bool
drop(Request *request, Session *session, Entry *entry)
{
	const char *frame[] = {entry->frame};
	const char *stale = entry_column(entry, "stale");
	const Statement last = {
		.sql = "SELECT actor.host_end($1::pg_catalog.int4)",.nvalues = 1,.values = frame
	};
	Work		work = {.type = request->actor_type,.id = request->actor_id};
	char		chain_id[UUID_SIZE];
	Chain		chain;
	CallEnd		end = CALL_ANSWERED;
	bool		held = instance_is_held(request->actor_type, request->actor_id);
	bool		good;

	uuid_create(chain_id);
	chain_open(&chain, session, chain_id);
	entry->stale = stale != NULL && stale[0] == 't';
	if (held)
		end = chain_run(&chain, &work, entry);
	if (end != CALL_ANSWERED && request->finish == NULL)
		answer_call_error(request, end, chain.answer, chain.undone);
	good = end == CALL_ANSWERED && turn_commit(request, session, &last, NULL);
	if (end != CALL_ANSWERED)
		turn_roll_back(session);
	chain_close(&chain, good);
	if (good)
		instance_forget(request->actor_type, request->actor_id);
	return good;
}

/*
 * Takes the turn of an actor and ends its life in the application.  Returns whether
 * it has ended; if not, a request of a client is answered.
 */
static bool
end_life(Request *request, Session *session, const char *host_id, bool if_idle)
{
	const char *values[] = {
		host_id, request->actor_type, request->actor_id, if_idle ? "true" : "false"
	};
	bool		done = false;
	Statement	statements[4];
	PGresult   *results[4];
	int			count;
	char	   *reason;
	Entry		entry;
	QueryOutcome outcome;

	if (!turn_begin(session, request->traceparent, statements, &count, &reason))
	{
		answer_error(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE", "could not use the database");
		free(reason);
		return false;
	}
	statements[count++] = (Statement)
	{
		.sql = "SELECT * FROM actor.host_enter_to_end($1::pg_catalog.uuid,"
			" $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.bool)",
			.nvalues = lengthof(values),.values = values
	};
	outcome = session_statements(session, statements, count, results, &reason);
	for (int i = 0; i < count - 1; i++)
		PQclear(results[i]);
	entry_read(&entry, host_id, outcome, results[count - 1], reason);
	/* the function has no action: that there is a frame says it all */
	if (entry.frame[0] != '\0' &&
		!turn_wait_free(request->actor_type, request->actor_id, host_id))
	{
		turn_roll_back(session);
		answer_error(request, 423, "ERR_ACTOR_BUSY",
					 "the application still runs a method of that actor whose turn was given up");
	}
	else if (entry.frame[0] != '\0' && session_alive(session))
		done = drop(request, session, &entry);
	else
	{
		turn_roll_back(session);
		if (outcome == QUERY_ANSWERED && PQresultStatus(entry.result) == PGRES_FATAL_ERROR)
			answer_sql_error(request, entry.result);
		else
			answer_error(request, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE", "could not use the database");
	}
	entry_clear(&entry);
	return done;
}

/*
 * handle_end
 *		Deactivates an actor for a client.  The application of another host learns of
 *		it before the next call.
 */
void
handle_end(Request *request, Session *session)
{
	char		host_id[UUID_SIZE];
	char		token[UUID_SIZE];

	if (options.app == NULL || request->pool != pool_default() ||
		!type_is_hosted(request->actor_type) || !self_id(host_id) ||
		(!instance_is_held(request->actor_type, request->actor_id) &&
		 !instance_token(request->actor_type, request->actor_id, token)))
		handle_deactivate(request, session);
	else if (turn_must_wait(request->actor_type, request->actor_id))
		answer_error(request, 423, "ERR_ACTOR_BUSY",
					 "the application still runs a method of that actor whose turn was given up");
	else if (end_life(request, session, host_id, false))
		answer_empty(request, 204);
}

/* in the background ----------------------------------------------------- */

static void
end_actor(Request *request, Session *session)
{
	char		host_id[UUID_SIZE];

	if (self_id(host_id) && !turn_must_wait(request->actor_type, request->actor_id))
		(void) end_life(request, session, host_id, request->name[0] == 't');
}

static void
end_job(Request *request)
{
	instance_unclaim_end(request->actor_type, request->actor_id);
	request_free(request);
	pthread_mutex_lock(&lock);
	under_way--;
	pthread_cond_signal(&one_done);
	pthread_mutex_unlock(&lock);
}

static const Operation ending_operation = {.handler = end_actor,.error_code = ""};

/*
 * endings_under_way
 *		How many are being dropped now.
 */
int
endings_under_way(void)
{
	int			result;

	pthread_mutex_lock(&lock);
	result = under_way;
	pthread_mutex_unlock(&lock);
	return result;
}

/*
 * endings_wait
 *		Waits until one has been dropped, but not longer than that.
 */
void
endings_wait(int64_t until)
{
	struct timespec deadline = {.tv_sec = until / 1000,.tv_nsec = until % 1000 * 1000000};

	pthread_once(&once, create_condition);
	pthread_mutex_lock(&lock);
	(void) pthread_cond_timedwait(&one_done, &lock, &deadline);
	pthread_mutex_unlock(&lock);
}

/*
 * ending_begin
 *		Has an actor dropped, or only if it is idle.  Returns false if that is under
 *		way.
 */
bool
ending_begin(const char *type, const char *id, bool if_idle)
{
	Request    *request;

	if (!instance_claim_end(type, id))
		return false;
	request = request_create("", NULL);
	request->operation = &ending_operation;
	request->actor_type = xstrdup(type);
	request->actor_id = xstrdup(id);
	request->name = xstrdup(if_idle ? "true" : "false");
	request->finish = end_job;
	request->queued_at = now_ms();
	pthread_once(&once, create_condition);
	pthread_mutex_lock(&lock);
	under_way++;
	pthread_mutex_unlock(&lock);
	pool_submit(pool_default(), request);
	return true;
}
