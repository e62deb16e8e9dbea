/*-------------------------------------------------------------------------
 *
 * turn.c
 *		The turns that are under way, and who gets what is asked in them.
 *
 * What an application asks for about an actor whose method it runs belongs to the
 * transaction of that method.  It need not bring an id, so the turn is found by type
 * and id.  Calls of other actors belong to the chain whose id they bring, and so does
 * what is sent, published or settled.
 *
 * A turn that its chain has given up stays here until the application has answered
 * or is gone: what it still asks for is refused, instead of landing in the next
 * turn.
 *
 * IDENTIFICATION
 *		http/turn.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "instance.h"
#include "turn.h"
#include "util.h"

#define TURN_BUCKETS		1024

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Inbox *inboxes;
static Turn *buckets[TURN_BUCKETS];
static int	waiting;			/* threads that wait for the end of one */
static pthread_cond_t one_ended = PTHREAD_COND_INITIALIZER;

/* inboxes --------------------------------------------------------------- */

/*
 * inbox_open
 *		A chain begins.
 */
void
inbox_open(Inbox *inbox, const char *chain_id, CURLM *multi)
{
	memset(inbox, 0, sizeof(*inbox));
	inbox->multi = multi;
	(void) inbox_add_id(inbox, chain_id);
	pthread_mutex_lock(&lock);
	inbox->next = inboxes;
	inboxes = inbox;
	pthread_mutex_unlock(&lock);
}

/*
 * inbox_add_id
 *		What brings that id belongs to the chain, too.  Returns its number.
 */
int
inbox_add_id(Inbox *inbox, const char *call_id)
{
	int			number;

	pthread_mutex_lock(&lock);
	number = inbox->nids++;
	inbox->ids = xrealloc(inbox->ids, (size_t) inbox->nids * sizeof(*inbox->ids));
	inbox->ids[number][0] = '\0';
	strncat(inbox->ids[number], call_id, UUID_SIZE - 1);
	pthread_mutex_unlock(&lock);
	return number;
}

/*
 * inbox_take
 *		The oldest request; NULL if there is none.
 */
Request *
inbox_take(Inbox *inbox, bool *cancelled)
{
	Request    *request;

	pthread_mutex_lock(&lock);
	*cancelled = inbox->cancelled;
	request = inbox->first;
	if (request != NULL)
	{
		inbox->first = request->next;
		request->next = NULL;
	}
	pthread_mutex_unlock(&lock);
	return request;
}

/*
 * inbox_count
 *		How many requests there are.
 */
int
inbox_count(Inbox *inbox)
{
	int			count = 0;

	pthread_mutex_lock(&lock);
	for (const Request *request = inbox->first; request != NULL; request = request->next)
		count++;
	pthread_mutex_unlock(&lock);
	return count;
}

/*
 * inbox_close
 *		A chain has ended.  Returns the requests that it has not taken.
 */
Request *
inbox_close(Inbox *inbox)
{
	Inbox	  **link = &inboxes;

	pthread_mutex_lock(&lock);
	while (*link != inbox)
		link = &(*link)->next;
	*link = inbox->next;
	pthread_mutex_unlock(&lock);
	free(inbox->ids);
	inbox->ids = NULL;
	return inbox->first;
}

/*
 * inboxes_cancel
 *		All chains are to come to an end.
 */
void
inboxes_cancel(void)
{
	pthread_mutex_lock(&lock);
	for (Inbox *inbox = inboxes; inbox != NULL; inbox = inbox->next)
	{
		inbox->cancelled = true;
		curl_multi_wakeup(inbox->multi);
	}
	pthread_mutex_unlock(&lock);
}

/*
 * Locked, so that the inbox stays.
 */
static void
put(Inbox *inbox, Request *request)
{
	request->next = NULL;
	if (inbox->first != NULL)
		inbox->last->next = request;
	else
		inbox->first = request;
	inbox->last = request;
	curl_multi_wakeup(inbox->multi);
}

static bool
has_id(const Inbox *inbox, const char *call_id)
{
	for (int i = 0; i < inbox->nids; i++)
		if (strcasecmp(inbox->ids[i], call_id) == 0)
			return true;
	return false;
}

/*
 * Locked.
 */
static Inbox *
find_inbox(const char *call_id)
{
	Inbox	   *inbox = inboxes;

	while (inbox != NULL && !has_id(inbox, call_id))
		inbox = inbox->next;
	return inbox;
}

/*
 * inbox_deliver
 *		Hands a request to the chain that has a call with that id, if there is one.
 */
bool
inbox_deliver(const char *call_id, Request *request)
{
	Inbox	   *inbox;

	pthread_mutex_lock(&lock);
	inbox = find_inbox(call_id);
	if (inbox != NULL)
		put(inbox, request);
	pthread_mutex_unlock(&lock);
	return inbox != NULL;
}

/* turns ----------------------------------------------------------------- */

static Turn **
bucket_of(const char *type, const char *id)
{
	uint32_t	hash = 5381;

	for (const char *c = type; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char) *c;
	for (const char *c = id; *c != '\0'; c++)
		hash = hash * 33 + (unsigned char) *c;
	return &buckets[hash % TURN_BUCKETS];
}

/*
 * The turn of an actor that was opened last, of those whose method is not answered if
 * there is one; NULL if there is none.  Locked.
 */
static Turn *
find_turn(const char *type, const char *id)
{
	Turn	   *found = NULL;

	for (Turn *turn = *bucket_of(type, id); turn != NULL; turn = turn->next)
		if (strcmp(turn->id, id) == 0 && strcmp(turn->type, type) == 0 &&
			(found == NULL || (found->answered && !turn->answered)))
			found = turn;
	return found;
}

/*
 * Takes over the texts after the inbox.
 */
static Turn *
add_turn(const char *type, const char *id, Inbox *inbox, bool is_lease, char *origin,
		 char *call_id, char *chain_id, bool discards)
{
	Turn	   *turn = xmalloc(sizeof(Turn));
	Turn	  **bucket = bucket_of(type, id);

	turn->type = xstrdup(type);
	turn->id = xstrdup(id);
	turn->inbox = inbox;
	turn->origin = origin;
	turn->call_id = call_id;
	turn->chain_id = chain_id;
	turn->is_lease = is_lease;
	turn->discards = discards;
	turn->answered = false;
	pthread_mutex_lock(&lock);
	turn->next = *bucket;
	*bucket = turn;
	pthread_mutex_unlock(&lock);
	return turn;
}

/*
 * turn_open
 *		Our application is about to run a method of a chain that is here.  What it
 *		writes can be thrown away: it comes from an object then that is dropped because
 *		it is out of date.  It is not refused, as there are applications that end at
 *		that.
 */
Turn *
turn_open(const char *type, const char *id, Inbox *inbox, const char *chain_id, bool discards)
{
	return add_turn(type, id, inbox, false, NULL, NULL, xstrdup(chain_id), discards);
}

/*
 * turn_open_lease
 *		The same where the turn is an open one, so that nothing waits for it in the
 *		database that can wait here.
 */
Turn *
turn_open_lease(const char *type, const char *id, Inbox *inbox, const char *chain_id,
				bool discards)
{
	return add_turn(type, id, inbox, true, NULL, NULL, xstrdup(chain_id), discards);
}

/*
 * turn_open_elsewhere
 *		The same for a chain that is at another host, which knows the call by that
 *		id.
 */
Turn *
turn_open_elsewhere(const char *type, const char *id, const char *origin,
					const char *call_id, const char *chain_id, bool discards)
{
	return add_turn(type, id, NULL, false, xstrdup(origin), xstrdup(call_id), xstrdup(chain_id),
					discards);
}

/*
 * turn_keep
 *		What the application writes in a turn is not thrown away any more.
 */
void
turn_keep(Turn *turn)
{
	pthread_mutex_lock(&lock);
	turn->discards = false;
	pthread_mutex_unlock(&lock);
}

/*
 * turn_answered
 *		The application has answered the method.  What it has asked for until now is a
 *		part of the turn, and what it asks for from now on is not.
 */
void
turn_answered(Turn *turn)
{
	bool		is_first;

	pthread_mutex_lock(&lock);
	is_first = !turn->answered;
	turn->answered = true;
	pthread_mutex_unlock(&lock);
	if (is_first)
		instance_answered(turn->type, turn->id);
}

/*
 * Locked.
 */
static void
give_up(Turn *turn)
{
	turn->inbox = NULL;
	free(turn->origin);
	turn->origin = NULL;
}

/*
 * turn_give_up
 *		The application still runs the method, but not in its turn any more.
 */
void
turn_give_up(Turn *turn)
{
	pthread_mutex_lock(&lock);
	give_up(turn);
	if (waiting > 0)
		pthread_cond_broadcast(&one_ended);
	pthread_mutex_unlock(&lock);
}

/*
 * turn_close
 *		The application does not run the method any more.
 */
void
turn_close(Turn *turn)
{
	Turn	  **link = bucket_of(turn->type, turn->id);

	pthread_mutex_lock(&lock);
	while (*link != turn)
		link = &(*link)->next;
	*link = turn->next;
	if (waiting > 0)
		pthread_cond_broadcast(&one_ended);
	pthread_mutex_unlock(&lock);
	free(turn->type);
	free(turn->id);
	free(turn->origin);
	free(turn->call_id);
	free(turn->chain_id);
	free(turn);
}

static bool
is_late(const Turn *turn)
{
	return turn->inbox == NULL && turn->origin == NULL;
}

/*
 * turn_must_wait
 *		Whether a call of an actor would only wait, because the application runs a
 *		method of it whose turn was given up, or is an open one.
 */
bool
turn_must_wait(const char *type, const char *id)
{
	bool		must_wait = false;

	pthread_mutex_lock(&lock);
	for (Turn *turn = *bucket_of(type, id); turn != NULL && !must_wait; turn = turn->next)
		must_wait = (is_late(turn) || turn->is_lease) &&
			strcmp(turn->id, id) == 0 && strcmp(turn->type, type) == 0;
	pthread_mutex_unlock(&lock);
	return must_wait;
}

/*
 * Locked.
 */
static TurnOthers
find_others(const char *type, const char *id, const char *chain_id)
{
	TurnOthers	others = TURN_FREE;

	for (Turn *turn = *bucket_of(type, id); turn != NULL; turn = turn->next)
	{
		if (strcmp(turn->id, id) != 0 || strcmp(turn->type, type) != 0)
			continue;
		/* the other host that had it cannot have it any more */
		if (turn->origin != NULL && strcasecmp(turn->chain_id, chain_id) != 0)
			give_up(turn);
		if (is_late(turn))
			return TURN_GIVEN_UP;
		if (strcasecmp(turn->chain_id, chain_id) != 0)
			others = TURN_ENDING;
	}
	return others;
}

/*
 * turn_others
 *		What there is of other chains, for the chain that has the turn of an actor in
 *		the database.  A turn that has ended there may not have here.
 */
TurnOthers
turn_others(const char *type, const char *id, const char *chain_id)
{
	TurnOthers	others;

	pthread_mutex_lock(&lock);
	others = find_others(type, id, chain_id);
	pthread_mutex_unlock(&lock);
	return others;
}

/*
 * turn_wait_free
 *		Waits until turns of other chains that have ended in the database have ended
 *		here, too.  Returns false if one of them was given up.
 */
bool
turn_wait_free(const char *type, const char *id, const char *chain_id)
{
	TurnOthers	others;

	pthread_mutex_lock(&lock);
	waiting++;
	while ((others = find_others(type, id, chain_id)) == TURN_ENDING)
		pthread_cond_wait(&one_ended, &lock);
	waiting--;
	pthread_mutex_unlock(&lock);
	return others == TURN_FREE;
}

/*
 * The turn of a chain elsewhere; NULL if there is none.  Locked.
 */
static Turn *
find_elsewhere(const char *call_id)
{
	for (int i = 0; i < TURN_BUCKETS; i++)
		for (Turn *turn = buckets[i]; turn != NULL; turn = turn->next)
			if (turn->origin != NULL && strcasecmp(turn->call_id, call_id) == 0)
				return turn;
	return NULL;
}

/*
 * turn_may_have
 *		Whether what a request wants can be a part of a turn.  Whoever ends the life of
 *		an actor, or waits for a result, waits for the end of its turns; and who reads
 *		events is to see what is committed.
 */
bool
turn_may_have(const Request *request)
{
	switch (request->operation->route)
	{
		case ROUTE_ACTOR:
		case ROUTE_RESULT:
			return false;
		case ROUTE_TOPIC:
			return request->verb != VERB_GET && request->verb != VERB_HEAD;
		default:
			return true;
	}
}

static bool
only_reads(const Request *request)
{
	return request->verb == VERB_GET || request->verb == VERB_HEAD;
}

/*
 * turn_is_by_id
 *		Whether the id that a request brings says which chain it belongs to, whatever
 *		it is about.
 */
bool
turn_is_by_id(const Request *request)
{
	switch (request->operation->route)
	{
		case ROUTE_METHOD:
			return true;
		case ROUTE_MESSAGES:
		case ROUTE_MESSAGE:
		case ROUTE_TOPIC:
		case ROUTE_TYPE_TOPIC:
		case ROUTE_PROMISE:
			return request->reentrancy_id != NULL && !only_reads(request);
		default:
			return false;
	}
}

/*
 * turn_unsaved
 *		A request of the application is answered.  If it is about state that was not
 *		saved, the object may believe that it was, so that is dropped before the next
 *		call.
 */
void
turn_unsaved(const Request *request)
{
	if (request->operation->route == ROUTE_STATE && !only_reads(request) &&
		request->status / 100 != 2)
		instance_spoil(request->actor_type, request->actor_id);
}

/*
 * Whether a turn is that of a call of which we have made the id.  Locked.
 */
static bool
has_call(const Turn *turn, const char *call_id)
{
	return turn->inbox != NULL ? has_id(turn->inbox, call_id) :
		ids_of_one_chain(turn->chain_id, call_id);
}

/*
 * turn_deliver
 *		Finds the chain that a request of the application belongs to.  If that is
 *		elsewhere, its address and the id of the call are to be freed, and the request
 *		knows the type for which we are a host of that chain.
 *
 * Some applications bring the id of the call with all that they ask for.  If it is not
 * one of the turn, it comes from a method that a host before this one has begun.
 */
TurnFound
turn_deliver(Request *request, char **origin, char **call_id)
{
	bool		is_call = request->operation->route == ROUTE_METHOD;
	bool		by_id = turn_is_by_id(request);
	const char *id = request->reentrancy_id;
	bool		knows_call = !by_id && id != NULL && id_is_of_hosts(id);
	Inbox	   *inbox = NULL;
	Turn	   *turn = NULL;
	TurnFound	found = TURN_NONE;

	pthread_mutex_lock(&lock);
	if (by_id && id != NULL)
	{
		inbox = find_inbox(id);
		if (inbox == NULL)
			turn = find_elsewhere(id);
	}
	else if (!by_id)
		turn = find_turn(request->actor_type, request->actor_id);
	if (turn != NULL)
		inbox = turn->inbox;
	if (turn != NULL && (turn->answered || (knows_call && !has_call(turn, id))))
		found = TURN_LATE;
	else if (turn != NULL && turn->discards && !is_call && !only_reads(request))
		found = TURN_DISCARDED;
	else if (inbox != NULL)
	{
		put(inbox, request);
		found = TURN_HERE;
	}
	else if (turn != NULL && turn->origin != NULL)
	{
		*origin = xstrdup(turn->origin);
		*call_id = xstrdup(turn->call_id);
		request->host_type = xstrdup(turn->type);
		found = TURN_ELSEWHERE;
	}
	else if (turn != NULL)
		found = TURN_LATE;
	pthread_mutex_unlock(&lock);
	return found;
}
