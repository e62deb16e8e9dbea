/*-------------------------------------------------------------------------
 *
 * pool.c
 *		Pools of sessions, one for each database and role that clients can get,
 *		with a thread for each session and a queue of requests.
 *
 * A thread runs one request at a time, so at most pool_size requests of a role
 * are in the database; the others wait here.  Of those for one actor only some
 * are in the database at a time, because they may all wait for the turn of that
 * actor: those behind them go first then.
 *
 * Of the threads that wait for work the one gets it that was busy last: what its
 * session has planned and read, and the processor has in its caches, is the freshest.
 *
 * IDENTIFICATION
 *		http/pool.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "options.h"
#include "pool.h"
#include "self.h"
#include "turn.h"
#include "types.h"
#include "util.h"

/*
 * The page for operators has few users, and none of them is to wait for long.  All that
 * it shows is found by indexes, up to a limit; a plan for all rows, or compiling, would
 * cost more, whatever the statistics are.
 */
#define DASHBOARD_SESSIONS	4
#define DASHBOARD_SETTINGS	"-c lock_timeout=5s -c statement_timeout=30s -c jit=off" \
	" -c enable_seqscan=off -c enable_bitmapscan=off"

static Pool *pools;				/* the first one is the default, that of the page the last */
static size_t pool_count;

/* threads --------------------------------------------------------------- */

static uint64_t
hash_text(uint64_t hash, const char *text)
{
	do
		hash = (hash ^ (unsigned char) *text) * UINT64_C(0x100000001B3);
	while (*text++ != '\0');
	return hash;
}

/*
 * The hash only saves comparisons.
 */
static bool
same_actor(const Request *a, const Request *b)
{
	return a->actor_id != NULL && b->actor_id != NULL && a->actor_hash == b->actor_hash &&
		strcmp(a->actor_id, b->actor_id) == 0 && strcmp(a->actor_type, b->actor_type) == 0;
}

/*
 * Whether a request may go to the database now.  The pool is locked.
 */
static bool
is_runnable(const Pool *pool, const Request *request)
{
	long		count = 0;
	HostedType	type;
	long		limit = options.actor_limit;

	/* others wait for it */
	if (request->job != NULL)
		return true;
	if (options.app != NULL && request->actor_id != NULL &&
		request->operation->route == ROUTE_METHOD)
	{
		/* its turn is one of our application */
		if (turn_must_wait(request->actor_type, request->actor_id))
			return false;
		/* nor is one of its calls to wait while another opens its turn */
		if (type_find(request->actor_type, &type) && type.lease)
			limit = 1;
	}

	for (const Request *other = pool->running; other != NULL; other = other->next)
		count += same_actor(request, other);
	return count < limit;
}

/*
 * Finds the oldest request that may run, and the one before it in the queue;
 * NULL if there is none.  The pool is locked.
 */
static Request *
find_runnable(const Pool *pool, Request **before)
{
	*before = NULL;
	for (Request *request = pool->first; request != NULL; request = request->next)
	{
		if (is_runnable(pool, request))
			return request;
		*before = request;
	}
	return NULL;
}

/*
 * Takes a request out of the queue.  The pool is locked.
 */
static void
unqueue(Pool *pool, Request *before, Request *request)
{
	if (before != NULL)
		before->next = request->next;
	else
		pool->first = request->next;
	if (pool->last == request)
		pool->last = before;
	request->next = NULL;
}

/*
 * Takes a thread that waits for work, if there is one, which is to be woken once.  The
 * pool is locked; the thread is woken when that is not so any more, lest it wakes only
 * to wait for the lock.
 */
static Worker *
take_waiting(Pool *pool)
{
	Worker	   *worker = pool->waiting;

	if (worker != NULL)
	{
		pool->waiting = worker->next;
		pool->idle--;
	}
	return worker;
}

static void
wake(Worker *worker)
{
	if (worker != NULL)
		(void) sem_post(&worker->work);
}

/*
 * Wakes all threads that wait for work.  The pool is locked.
 */
static void
wake_all(Pool *pool)
{
	while (pool->waiting != NULL)
		wake(take_waiting(pool));
}

/*
 * Waits until there may be work.  The pool is locked, but for that time.  A condition
 * would leave the lock as if others waited for it.
 */
static void
wait_for_work(Pool *pool, Worker *worker)
{
	worker->next = pool->waiting;
	pool->waiting = worker;
	pool->idle++;
	pthread_mutex_unlock(&pool->lock);
	while (sem_wait(&worker->work) != 0)
		;
	pthread_mutex_lock(&pool->lock);
}

/*
 * The next request, or NULL when the pool is stopped.
 */
static Request *
take_request(Pool *pool, Worker *worker)
{
	Request    *request;
	Request    *before;

	pthread_mutex_lock(&pool->lock);
	while ((request = find_runnable(pool, &before)) == NULL && !pool->stopping)
		wait_for_work(pool, worker);
	if (request != NULL)
	{
		unqueue(pool, before, request);
		request->next = pool->running;
		pool->running = request;
	}
	pthread_mutex_unlock(&pool->lock);
	return request;
}

/*
 * A request does not need the database any more, and another one for the same
 * actor may run.
 */
static void
end_running(Pool *pool, Request *request)
{
	Request   **link = &pool->running;
	Worker	   *woken;

	pthread_mutex_lock(&pool->lock);
	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	request->next = NULL;
	woken = pool->first != NULL ? take_waiting(pool) : NULL;
	pthread_mutex_unlock(&pool->lock);
	wake(woken);
}

/*
 * Takes the oldest request, if it has waited for too long; otherwise NULL.
 */
static Request *
take_overdue(Pool *pool)
{
	Request    *request;

	pthread_mutex_lock(&pool->lock);
	request = pool->first;
	if (request != NULL && request->job == NULL &&
		now_ms() - request->queued_at > options.queue_timeout * 1000)
		unqueue(pool, NULL, request);
	else
		request = NULL;
	pthread_mutex_unlock(&pool->lock);
	return request;
}

/*
 * Refuses a request that has waited for too long, and says for what.
 */
static void
refuse_overdue(Pool *pool, Request *request)
{
	PoolNumbers numbers;

	pool_count_requests(pool, &numbers);
	if (options.app != NULL && numbers.running >= options.pool_size)
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED",
					 "all %ld connections of --pool-size were taken for too long; a method that calls"
					 " without Dapr-Reentrancy-Id needs one more for each call", options.pool_size);
	else
		answer_error(request, 503, "ERR_ACTOR_OVERLOADED",
					 "no connection to the database was free in time, for this actor or at all");
	request_done(request);
}

/*
 * pools_expire
 *		Refuses requests that have waited for queue_timeout.
 */
void
pools_expire(void)
{
	Request    *request;

	for (size_t i = 0; i < pool_count; i++)
		while ((request = take_overdue(&pools[i])) != NULL)
			refuse_overdue(&pools[i], request);
}

static void *
session_main(void *arg)
{
	Worker	   *worker = arg;
	Session    *session = &worker->session;
	Request    *request;
	void		(*then) (Request *request);

	if (worker == worker->pool->workers)
		session_open(session);
	while ((request = take_request(worker->pool, worker)) != NULL)
	{
		request->operation->handler(request, session);
		end_running(worker->pool, request);
		then = request->then != NULL ? request->then : request_done;
		request->then = NULL;
		then(request);
		session_clean(session);
	}
	session_close(session);
	return NULL;
}

/*
 * pool_submit
 *		Queues a request.  Some thread answers it, perhaps before this returns.
 */
void
pool_submit(Pool *pool, Request *request)
{
	Worker	   *woken;

	if (request->actor_id != NULL)
		request->actor_hash = hash_text(hash_text(0, request->actor_type), request->actor_id);
	pthread_mutex_lock(&pool->lock);
	if (pool->last != NULL)
		pool->last->next = request;
	else
		pool->first = request;
	pool->last = request;
	woken = take_waiting(pool);
	pthread_mutex_unlock(&pool->lock);
	wake(woken);
}

/*
 * pools_wake
 *		Requests that could not run may be able to now.
 */
void
pools_wake(void)
{
	for (size_t i = 0; i < pool_count; i++)
	{
		pthread_mutex_lock(&pools[i].lock);
		wake_all(&pools[i]);
		pthread_mutex_unlock(&pools[i].lock);
	}
}

/*
 * pool_has_idle
 *		Whether a request that is for no actor would run at once.
 */
bool
pool_has_idle(Pool *pool)
{
	bool		has_idle;
	Request    *before;

	pthread_mutex_lock(&pool->lock);
	has_idle = pool->idle > 0 && find_runnable(pool, &before) == NULL;
	pthread_mutex_unlock(&pool->lock);
	return has_idle;
}

/*
 * pool_count_requests
 *		What a pool is doing, in numbers.
 */
void
pool_count_requests(Pool *pool, PoolNumbers *numbers)
{
	memset(numbers, 0, sizeof(*numbers));
	pthread_mutex_lock(&pool->lock);
	for (const Request *request = pool->running; request != NULL; request = request->next)
		numbers->running++;
	numbers->idle = pool->idle;
	for (const Request *request = pool->first; request != NULL; request = request->next)
		numbers->queued++;
	if (pool->first != NULL)
		numbers->oldest_ms = now_ms() - pool->first->queued_at;
	pthread_mutex_unlock(&pool->lock);
}

/* tokens ---------------------------------------------------------------- */

/*
 * pool_for_token
 *		The pool that a client gets for its token, or for none; NULL if that
 *		opens no door.  All tokens are compared, whichever it is.
 */
Pool *
pool_for_token(const char *token)
{
	Pool	   *found = NULL;

	if (options.api_token == NULL && options.ntokens == 0)
		return &pools[0];
	if (token == NULL)
		return NULL;
	for (size_t i = 0; i < options.ntokens; i++)
		if (same_secret(options.tokens[i].secret, token))
			found = &pools[i + 1];
	if (options.api_token != NULL && same_secret(options.api_token, token))
		found = &pools[0];
	return found;
}

/*
 * pool_for_dashboard
 *		The pool of the page for operators; NULL if the token does not open it.
 */
Pool *
pool_for_dashboard(const char *token)
{
	if (token == NULL || !same_secret(options.dashboard_token, token))
		return NULL;
	return &pools[pool_count - 1];
}

size_t
pools_count(void)
{
	return pool_count;
}

Pool *
pool_default(void)
{
	return &pools[0];
}

Pool *
pool_number(size_t number)
{
	return &pools[number];
}

/* start and end --------------------------------------------------------- */

static void
start_pool(Pool *pool, size_t number, const char *conninfo, const char *settings, long size)
{
	pool->number = number;
	pool->size = size;
	database_init(&pool->database, conninfo);
	pool->database.settings = settings;
	pthread_mutex_init(&pool->lock, NULL);
	pool->workers = xmalloc((size_t) size * sizeof(Worker));
	memset(pool->workers, 0, (size_t) size * sizeof(Worker));
	for (long i = 0; i < size; i++)
	{
		Worker	   *worker = &pool->workers[i];

		worker->pool = pool;
		if (sem_init(&worker->work, 0, 0) != 0)
			die("could not start a thread");
		worker->session.database = &pool->database;
		if (pthread_create(&worker->thread, NULL, session_main, worker) != 0)
			die("could not start a thread");
	}
}

/*
 * pools_start
 *		Starts the threads of all pools.
 */
void
pools_start(void)
{
	pool_count = options.ntokens + (options.dashboard ? 2 : 1);
	pools = xmalloc(pool_count * sizeof(Pool));
	memset(pools, 0, pool_count * sizeof(Pool));
	start_pool(&pools[0], 0, options.database, NULL, options.pool_size);
	for (size_t i = 0; i < options.ntokens; i++)
		start_pool(&pools[i + 1], i + 1, options.tokens[i].database, NULL, options.pool_size);
	if (options.dashboard)
		start_pool(&pools[pool_count - 1], pool_count - 1,
				   options.dashboard_database != NULL ? options.dashboard_database : options.database,
				   DASHBOARD_SETTINGS, DASHBOARD_SESSIONS);
}

/*
 * pools_cancel
 *		Cancels what runs in the database, so that requests end with an error.
 */
void
pools_cancel(void)
{
	for (size_t i = 0; i < pool_count; i++)
		for (long j = 0; j < pools[i].size; j++)
			session_cancel(&pools[i].workers[j].session);
}

/*
 * pools_stop
 *		Ends all threads and connections.  No request must be left.
 */
void
pools_stop(void)
{
	for (size_t i = 0; i < pool_count; i++)
	{
		Pool	   *pool = &pools[i];

		pthread_mutex_lock(&pool->lock);
		pool->stopping = true;
		wake_all(pool);
		pthread_mutex_unlock(&pool->lock);
		for (long j = 0; j < pool->size; j++)
			pthread_join(pool->workers[j].thread, NULL);
		/* only now nobody wakes another */
		for (long j = 0; j < pool->size; j++)
			(void) sem_destroy(&pool->workers[j].work);
		pthread_mutex_destroy(&pool->lock);
		database_free(&pool->database);
		free(pool->workers);
	}
	free(pools);
}
