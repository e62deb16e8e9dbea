/*-------------------------------------------------------------------------
 *
 * callback.c
 *		Waits for reminders, timers and messages of hosted types that are due, and
 *		hands them to the pool.
 *
 * One thread waits in the database, which wakes it.  What it has found is in its
 * hands until the pool is done with it; what could not be done then is let alone for
 * a while, longer each time.
 *
 * IDENTIFICATION
 *		http/callback.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE				/* pthread_timedjoin_np */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "callback.h"
#include "ending.h"
#include "firing.h"
#include "instance.h"
#include "options.h"
#include "pool.h"
#include "self.h"
#include "session.h"
#include "util.h"

/* how long the thread waits in the database, or for this host */
#define WAIT_MS				10000
#define NOT_READY_MS		1000
/* after an error */
#define ERROR_MS			1000
/* how long a row is let alone, at first and at most */
#define PAUSE_MIN_MS		50
#define PAUSE_MAX_MS		10000

/* a row that is in our hands, or let alone */
typedef struct Flight
{
	int64_t		key;
	bool		in_hand;
	int			pauses;			/* one after the other */
	int64_t		until;			/* when it may be tried again */
	struct Flight *next;
} Flight;

static pthread_t thread;
static Database database;
static Session session;			/* of the thread, but for cancelling */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static pthread_cond_t one_done;
static Flight *flights;
static long in_hand;
static bool stopping;

/* rows in our hands ----------------------------------------------------- */

/*
 * How many rows may be in our hands: requests need sessions, too.
 */
static long
max_in_hand(void)
{
	return (options.pool_size + 1) / 2;
}

static Flight *
find_flight(int64_t key)
{
	Flight	   *flight = flights;

	while (flight != NULL && flight->key != key)
		flight = flight->next;
	return flight;
}

/*
 * Takes a row into our hands.  Returns false if it is, or is let alone.
 */
static bool
take_flight(int64_t key)
{
	Flight	   *flight;
	bool		taken;

	pthread_mutex_lock(&lock);
	flight = find_flight(key);
	if (flight == NULL)
	{
		flight = xmalloc(sizeof(Flight));
		memset(flight, 0, sizeof(*flight));
		flight->key = key;
		flight->next = flights;
		flights = flight;
	}
	taken = !flight->in_hand && flight->until <= now_ms();
	if (taken)
	{
		flight->in_hand = true;
		in_hand++;
	}
	pthread_mutex_unlock(&lock);
	return taken;
}

static void
remove_flight(Flight *flight)
{
	Flight	  **link = &flights;

	while (*link != flight)
		link = &(*link)->next;
	*link = flight->next;
	free(flight);
}

/*
 * The pool is done with a row.
 */
static void
end_firing(Request *request)
{
	Firing	   *firing = request->job;
	Flight	   *flight;

	pthread_mutex_lock(&lock);
	flight = find_flight(firing->key);
	flight->in_hand = false;
	in_hand--;
	if (firing->end == FIRING_DONE)
		remove_flight(flight);
	else
	{
		int64_t		pause = (int64_t) PAUSE_MIN_MS << (flight->pauses < 8 ? flight->pauses : 8);

		flight->pauses++;
		flight->until = now_ms() + (pause < PAUSE_MAX_MS ? pause : PAUSE_MAX_MS);
	}
	pthread_cond_signal(&one_done);
	pthread_mutex_unlock(&lock);
	free(firing->due);
	free(firing);
	request_free(request);
}

/*
 * Forgets rows that have not been seen for long after they could be tried again, and
 * says when the next one can be.
 */
static int64_t
next_try(void)
{
	int64_t		next = now_ms() + WAIT_MS;
	Flight	   *following;

	pthread_mutex_lock(&lock);
	for (Flight *flight = flights; flight != NULL; flight = following)
	{
		following = flight->next;
		if (flight->in_hand)
			continue;
		if (flight->until + 2 * PAUSE_MAX_MS < now_ms())
			remove_flight(flight);
		else if (flight->until > now_ms() && flight->until < next)
			next = flight->until;
	}
	pthread_mutex_unlock(&lock);
	return next;
}

/*
 * The keys of the rows that are not wanted, as an array of the database; to be
 * freed.
 */
static char *
skipped_keys(void)
{
	Buffer		text = {0};

	buffer_text(&text, "{");
	pthread_mutex_lock(&lock);
	for (Flight *flight = flights; flight != NULL; flight = flight->next)
		if (flight->in_hand || flight->until > now_ms())
		{
			char		key[32];

			snprintf(key, sizeof(key), "%s%lld", text.length > 1 ? "," : "",
					 (long long) flight->key);
			buffer_text(&text, key);
		}
	pthread_mutex_unlock(&lock);
	buffer_text(&text, "}");
	return text.data;
}

/* handing over ---------------------------------------------------------- */

static const Operation firing_operation = {.handler = handle_firing,.error_code = ""};

static const char *
member(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value != NULL ? value : "";
}

/*
 * Hands something that is due to the pool.  Returns false if that is in our hands
 * already.
 */
static bool
hand_over(json_t *due)
{
	int64_t		key = json_integer_value(json_object_get(due, "key"));
	Firing	   *firing;
	Request    *request;

	if (strcmp(member(due, "kind"), "idle") == 0)
	{
		instance_note(member(due, "actor_type"), member(due, "actor_id"));
		return ending_begin(member(due, "actor_type"), member(due, "actor_id"), true);
	}
	if (!take_flight(key))
		return false;
	firing = xmalloc(sizeof(Firing));
	firing->key = key;
	firing->due = json_dumps(due, JSON_COMPACT);
	if (firing->due == NULL)
		die("out of memory");
	request = request_create("", NULL);
	request->operation = &firing_operation;
	request->actor_type = xstrdup(member(due, "actor_type"));
	request->actor_id = xstrdup(member(due, "actor_id"));
	request->name = xstrdup(member(due, "kind"));
	request->finish = end_firing;
	request->job = firing;
	request->queued_at = now_ms();
	pool_submit(pool_default(), request);
	return true;
}

/* waiting --------------------------------------------------------------- */

/*
 * Waits until then, or until a row has left our hands.
 */
static void
pause_until(int64_t until)
{
	struct timespec deadline = {.tv_sec = until / 1000,.tv_nsec = until % 1000 * 1000000};

	pthread_mutex_lock(&lock);
	if (!stopping)
		(void) pthread_cond_timedwait(&one_done, &lock, &deadline);
	pthread_mutex_unlock(&lock);
}

/*
 * Waits until there is room for a row.  Returns how much, 0 if the thread is to end.
 */
static long
wait_for_room(void)
{
	long		room;

	pthread_mutex_lock(&lock);
	while ((room = max_in_hand() - in_hand) <= 0 && !stopping)
		pthread_cond_wait(&one_done, &lock);
	if (stopping)
		room = 0;
	pthread_mutex_unlock(&lock);
	return room;
}

/*
 * Waits in the database for what is due.  NULL if that was not possible.
 */
static json_t *
wait_in_database(const char *host_id, long room)
{
	char		until[32];
	char		rows[32];
	char	   *skip = skipped_keys();
	const char *values[] = {host_id, until, skip, rows};
	const Statement statement = {
		.sql = "CALL actor.host_wait($1::pg_catalog.uuid,"
			" pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)"
			" pg_catalog.make_interval(secs => $2::pg_catalog.float8),"
			" $3::pg_catalog.int8[], $4::pg_catalog.int4, NULL)",
		.nvalues = 4,.values = values
	};
	PGresult   *result;
	char	   *reason;
	json_t	   *document = NULL;

	snprintf(until, sizeof(until), "%.3f", (double) (next_try() - now_ms()) / 1000);
	snprintf(rows, sizeof(rows), "%ld", room);
	(void) session_statements(&session, &statement, 1, &result, &reason);
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		document = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
	PQclear(result);
	free(reason);
	free(skip);
	return document;
}

static void *
callback_main(void *arg)
{
	char		host_id[UUID_SIZE];
	long		room;

	(void) arg;
	while ((room = wait_for_room()) > 0)
	{
		json_t	   *document;
		json_t	   *due;
		size_t		i;
		bool		any = false;

		if (!self_wait_ready(host_id, now_ms() + NOT_READY_MS))
		{
			if (self_is_leaving())
				break;
			continue;
		}
		document = wait_in_database(host_id, room);
		json_array_foreach(json_object_get(document, "due"), i, due)
			any |= hand_over(due);
		if (document == NULL)
			pause_until(now_ms() + ERROR_MS);
		/* nothing of this can be done yet */
		else if (!any && json_array_size(json_object_get(document, "due")) > 0)
			pause_until(now_ms() + PAUSE_MIN_MS);
		json_decref(document);
	}
	return NULL;
}

/*
 * callbacks_start
 *		Called once there are pools.
 */
void
callbacks_start(void)
{
	condition_init(&one_done);
	database_init(&database, options.database);
	session.database = &database;
	if (pthread_create(&thread, NULL, callback_main, NULL) != 0)
		die("could not start a thread");
}

/*
 * Waits a moment for the end of the thread.
 */
static int
timed_join(void)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_nsec += 100 * 1000000;
	if (deadline.tv_nsec >= 1000000000)
	{
		deadline.tv_sec++;
		deadline.tv_nsec -= 1000000000;
	}
	return pthread_timedjoin_np(thread, NULL, &deadline);
}

/*
 * callbacks_stop
 *		Takes nothing more.  What is in our hands goes on.
 */
void
callbacks_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_cond_broadcast(&one_done);
	pthread_mutex_unlock(&lock);
	/* it may be about to begin to wait */
	do
		session_cancel(&session);
	while (timed_join() != 0);
	session_close(&session);
}
