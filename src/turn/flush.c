/*-------------------------------------------------------------------------
 *
 * flush.c
 *		Waiting together until what was written is on disk.
 *
 * Where many wait for the disk at once the server wakes all of them after each
 * flush, and those it came too early for wait again: most of the processes that
 * are woken have been woken for nothing.  So those who have given their turns back
 * early wait in a list.  One of them, who leads, flushes what all have written until then.
 * He wakes the first one whom that was too early for, who leads next, and then
 * those whose place in the WAL is on disk.
 *
 * Nobody is interrupted while he waits here, as it is in the server.  The wait is one
 * for the semaphore of the process, which others may count up as well: what they
 * have counted is given back.
 *
 * IDENTIFICATION
 *		src/turn/flush.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/pg_sema.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "base/base.h"
#include "base/compat.h"
#include "turn/internal.h"

typedef enum FlusherState
{
	FLUSHER_ASLEEP,
	FLUSHER_WOKEN,				/* to lead, unless somebody does already */
	FLUSHER_DONE
} FlusherState;

/*
 * By number of the process; protected by the mutex.  One that is not done is in
 * the list.
 */
typedef struct Flusher
{
	dlist_node	node;
	XLogRecPtr	up_to;
	PGSemaphore semaphore;
	FlusherState state;
} Flusher;

typedef struct Flushing
{
	slock_t		mutex;
	bool		led;			/* somebody flushes, or is about to */
	dlist_head	waiting;
	Flusher		flushers[FLEXIBLE_ARRAY_MEMBER];
} Flushing;

static Flushing *flushing = NULL;

/* shared memory --------------------------------------------------------- */

static Size
flushing_size(void)
{
	return add_size(offsetof(Flushing, flushers), mul_size(ACTOR_MAX_BACKENDS, sizeof(Flusher)));
}

void
actor_flush_request(void)
{
	RequestAddinShmemSpace(flushing_size());
}

/*
 * actor_flush_attach
 *		Finds or makes the list; the caller has AddinShmemInitLock.
 */
void
actor_flush_attach(void)
{
	bool		found;

	flushing = ShmemInitStruct("actor flushing", flushing_size(), &found);
	if (found)
		return;
	SpinLockInit(&flushing->mutex);
	flushing->led = false;
	dlist_init(&flushing->waiting);
}

/* waiting --------------------------------------------------------------- */

/*
 * Begins to lead if nobody does; otherwise enters the list.  Returns whether this
 * process leads.
 */
static bool
lead_or_enter(Flusher *me, XLogRecPtr up_to)
{
	bool		leads;

	me->up_to = up_to;
	me->semaphore = MyProc->sem;
	me->state = FLUSHER_ASLEEP;
	SpinLockAcquire(&flushing->mutex);
	leads = !flushing->led;
	flushing->led = true;
	if (!leads)
		dlist_push_tail(&flushing->waiting, &me->node);
	SpinLockRelease(&flushing->mutex);
	return leads;
}

/* what somebody who has woken up does */
typedef enum Awake
{
	AWAKE_BY_CHANCE,			/* sleeps on: nobody has told him anything */
	AWAKE_TOO_LATE,				/* sleeps on: somebody else leads already */
	AWAKE_TO_LEAD,
	AWAKE_DONE
} Awake;

static Awake
look_around(Flusher *me)
{
	Awake		result = AWAKE_DONE;

	SpinLockAcquire(&flushing->mutex);
	if (me->state == FLUSHER_ASLEEP)
		result = AWAKE_BY_CHANCE;
	else if (me->state == FLUSHER_WOKEN && flushing->led)
	{
		me->state = FLUSHER_ASLEEP;
		result = AWAKE_TOO_LATE;
	}
	else if (me->state == FLUSHER_WOKEN)
	{
		flushing->led = true;
		dlist_delete(&me->node);
		result = AWAKE_TO_LEAD;
	}
	SpinLockRelease(&flushing->mutex);
	return result;
}

/*
 * Sleeps until this process leads, which is returned, or is done.
 */
static bool
sleep_until_told(Flusher *me)
{
	int			absorbed = 0;
	Awake		awake;

	pgstat_report_wait_start(WAIT_EVENT_WAL_SYNC);
	do
	{
		PGSemaphoreLock(MyProc->sem);
		awake = look_around(me);
		if (awake == AWAKE_BY_CHANCE)
			absorbed++;
	} while (awake < AWAKE_TO_LEAD);
	while (absorbed-- > 0)
		PGSemaphoreUnlock(MyProc->sem);
	pgstat_report_wait_end();
	return awake == AWAKE_TO_LEAD;
}

/*
 * Ends to lead, and chooses who is woken to do that next: the first of those whose
 * place is not on disk.  Somebody who comes may be faster.
 */
static PGSemaphore
choose_next(XLogRecPtr flushed)
{
	dlist_iter	iter;

	flushing->led = false;
	dlist_foreach(iter, &flushing->waiting)
	{
		Flusher    *flusher = dlist_container(Flusher, node, iter.cur);

		if (flusher->up_to <= flushed)
			continue;
		if (flusher->state == FLUSHER_WOKEN)
			return NULL;
		flusher->state = FLUSHER_WOKEN;
		return flusher->semaphore;
	}
	return NULL;
}

/*
 * Takes the first one whose place is on disk out of the list, and says whether
 * there was one.  Sets whom to wake, who may be on his way already.
 */
static bool
dismiss_first(XLogRecPtr flushed, PGSemaphore *semaphore)
{
	dlist_iter	iter;

	*semaphore = NULL;
	dlist_foreach(iter, &flushing->waiting)
	{
		Flusher    *flusher = dlist_container(Flusher, node, iter.cur);

		if (flusher->up_to > flushed)
			continue;
		if (flusher->state == FLUSHER_ASLEEP)
			*semaphore = flusher->semaphore;
		flusher->state = FLUSHER_DONE;
		dlist_delete(&flusher->node);
		return true;
	}
	return false;
}

/*
 * After a flush: wakes the next one first, so that the disk has work, and then
 * those who are done.
 */
static void
hand_on(XLogRecPtr flushed)
{
	PGSemaphore semaphore;
	bool		dismissed;

	SpinLockAcquire(&flushing->mutex);
	semaphore = choose_next(flushed);
	SpinLockRelease(&flushing->mutex);
	if (semaphore != NULL)
		PGSemaphoreUnlock(semaphore);
	do
	{
		SpinLockAcquire(&flushing->mutex);
		dismissed = dismiss_first(flushed, &semaphore);
		SpinLockRelease(&flushing->mutex);
		if (semaphore != NULL)
			PGSemaphoreUnlock(semaphore);
	} while (dismissed);
}

/*
 * actor_flush
 *		Waits until the WAL is on disk up to there.  Failing that is a panic.
 */
void
actor_flush(XLogRecPtr up_to)
{
	Flusher    *me;

	if (actor_flushed_up_to() >= up_to)
		return;
	if (flushing != NULL)
	{
		me = &flushing->flushers[ACTOR_MY_PROC_NUMBER];
		if (!lead_or_enter(me, up_to) && !sleep_until_told(me))
			return;
	}

	/* after an error nobody would wake the others */
	START_CRIT_SECTION();
	XLogFlush(up_to);
	END_CRIT_SECTION();
	if (flushing != NULL)
		hand_on(actor_flushed_up_to());
}
