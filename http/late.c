/*-------------------------------------------------------------------------
 *
 * late.c
 *		Methods whose turns were given up while the application runs them: waits
 *		until it has answered or is gone, and lets the next turn begin then.
 *
 * One thread waits for all of them.  Each comes with the multi handle that has
 * driven it, because a transfer cannot change that.
 *
 * IDENTIFICATION
 *		http/late.c
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "app.h"
#include "instance.h"
#include "late.h"
#include "pool.h"
#include "util.h"

/* how long the thread waits at most; libcurl has times of its own */
#define WAIT_MS				1000

/* those of one multi handle */
typedef struct Lot
{
	CURLM	   *multi;
	LateCall   *calls;
	struct Lot *next;
} Lot;

static pthread_t thread;
static int	wake = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Lot *handed_over;
static bool stopping;

/*
 * turn_end_of
 *		What is known of the object of an actor from how its call has ended, or its
 *		being dropped, whose effects are not there.
 */
InstanceEnd
turn_end_of(const Transfer *transfer, bool dropping)
{
	if (transfer->state == TRANSFER_NOT_SENT || (dropping && transfer->probing))
		return INSTANCE_AS_BEFORE;
	if (dropping && app_has_dropped(transfer))
		return INSTANCE_DROPPED;
	if (transfer->state == TRANSFER_LOST || app_may_have_none(transfer))
		return INSTANCE_DOUBTFUL;
	return INSTANCE_SPOILT;
}

/*
 * turn_ended
 *		The application does not run a method any more, so that the next turn of
 *		the actor can begin.
 */
void
turn_ended(Turn *turn, InstanceEnd end)
{
	bool		others_wait = turn->inbox == NULL || turn->is_lease;

	instance_end(turn->type, turn->id, turn->answered, end);
	turn_close(turn);
	if (others_wait)
		pools_wake();
}

/*
 * late_add
 *		Puts a call before others that will be handed over together.
 */
LateCall *
late_add(LateCall *calls, Transfer *transfer, Turn *turn, bool dropping)
{
	LateCall   *call = xmalloc(sizeof(LateCall));

	call->transfer = transfer;
	call->turn = turn;
	call->dropping = dropping;
	call->next = calls;
	transfer->owner = NULL;
	return call;
}

static void
wake_thread(void)
{
	const uint64_t one = 1;

	if (write(wake, &one, sizeof(one)) != sizeof(one))
		die("could not wake a thread");
}

/*
 * late_keep
 *		Takes over calls and the handle that drives them.
 */
void
late_keep(CURLM *multi, LateCall *calls)
{
	Lot		   *lot = xmalloc(sizeof(Lot));

	lot->multi = multi;
	lot->calls = calls;
	pthread_mutex_lock(&lock);
	lot->next = handed_over;
	handed_over = lot;
	pthread_mutex_unlock(&lock);
	wake_thread();
}

/*
 * late_end
 *		A call has come to its end, or is not waited for any more.  Returns the
 *		others.
 */
LateCall *
late_end(LateCall *calls, Transfer *transfer, CURLM *multi)
{
	LateCall  **link = &calls;
	LateCall   *call;
	InstanceEnd end;

	while ((*link)->transfer != transfer)
		link = &(*link)->next;
	call = *link;
	*link = call->next;
	transfer_finish(transfer, multi);
	end = turn_end_of(transfer, call->dropping);
	transfer_free(transfer, multi);
	/* one at another host has its turn there */
	if (call->turn != NULL)
		turn_ended(call->turn, end);
	free(call);
	return calls;
}

/*
 * Lets the calls go on, and returns those of which there are some left.
 */
static Lot *
advance(Lot *lots)
{
	Lot		  **link = &lots;
	Transfer   *transfer;

	while (*link != NULL)
	{
		Lot		   *lot = *link;

		while ((transfer = transfers_ended(lot->multi)) != NULL)
			lot->calls = late_end(lot->calls, transfer, lot->multi);
		if (lot->calls != NULL)
		{
			link = &lot->next;
			continue;
		}
		*link = lot->next;
		transfers_free(lot->multi);
		free(lot);
	}
	return lots;
}

/*
 * Waits until something can go on.
 */
static void
wait_for_any(const Lot *lots)
{
	size_t		count = 1;
	struct pollfd *sockets;
	uint64_t	ignored;

	for (const Lot *lot = lots; lot != NULL; lot = lot->next)
		for (const LateCall *call = lot->calls; call != NULL; call = call->next)
			count++;
	sockets = xmalloc(count * sizeof(struct pollfd));
	sockets[0] = (struct pollfd)
	{
		.fd = wake,.events = POLLIN
	};
	count = 1;
	for (const Lot *lot = lots; lot != NULL; lot = lot->next)
		for (const LateCall *call = lot->calls; call != NULL; call = call->next)
			sockets[count++] = (struct pollfd)
		{
			.fd = transfer_socket(call->transfer),.events = POLLIN
		};
	(void) poll(sockets, count, lots != NULL ? WAIT_MS : -1);
	if (sockets[0].revents != 0 && read(wake, &ignored, sizeof(ignored)) < 0)
		die("could not read what wakes a thread");
	free(sockets);
}

static void *
late_main(void *arg)
{
	Lot		   *lots = NULL;
	bool		stop = false;

	(void) arg;
	while (!stop)
	{
		wait_for_any(lots);
		pthread_mutex_lock(&lock);
		while (handed_over != NULL)
		{
			Lot		   *lot = handed_over;

			handed_over = lot->next;
			lot->next = lots;
			lots = lot;
		}
		stop = stopping;
		pthread_mutex_unlock(&lock);
		lots = advance(lots);
	}
	for (Lot *lot = lots; lot != NULL; lot = lot->next)
		while (lot->calls != NULL)
			lot->calls = late_end(lot->calls, lot->calls->transfer, lot->multi);
	(void) advance(lots);
	return NULL;
}

void
late_start(void)
{
	wake = eventfd(0, EFD_CLOEXEC);
	if (wake < 0 || pthread_create(&thread, NULL, late_main, NULL) != 0)
		die("could not start a thread");
}

/*
 * late_stop
 *		Gives up those that have not answered.  Called while there are pools.
 */
void
late_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_mutex_unlock(&lock);
	wake_thread();
	pthread_join(thread, NULL);
	close(wake);
}
