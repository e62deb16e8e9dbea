/*-------------------------------------------------------------------------
 *
 * gate.c
 *		Waiting for a turn: first before the lock's queue, then in it.
 *
 * The queue of a lock is strict: who gives the lock back gives it to the first
 * one in the queue, who sleeps.  Until that one runs nobody has any use of the
 * turn, not even a process that runs already.  Where many want one actor, or the
 * processors are busy, most of the time goes by in that way.
 *
 * So who finds a turn taken waits before the queue for a while.  One of those does
 * so with his eyes open, since to sleep and to be woken takes longer than a short
 * turn.  Whoever gives the turn back wakes the first one, unless one is awake
 * already, and the turn belongs to who takes it first.  Who has waited for the time
 * of GATE_MS, or a part of the time that he can wait at most, goes into the queue.
 * As long as anybody is there nobody overtakes him, since the lock is not to be had
 * without queueing then.  So everybody gets the turn, and what the server does for
 * those in the queue, such as finding deadlocks, is only a little later.
 *
 * Who waits is in a list of shared memory until he has the turn or gives up,
 * together with those of other actors whose hash leads to the same list:
 *
 *	 asleep --who gives the turn back--> woken --has tried in vain--> asleep
 *	 asleep, woken --the time is over--> queued
 *
 * A wake-up is lost nowhere: who waits is in the list before he tries to take the
 * turn for the last time before he sleeps, and who gives it back looks at the list
 * after that.  While one is awake or queued nobody else needs to be woken, and when
 * such a one gives up he wakes the next.  If one were lost all the same, as COMMIT
 * PREPARED wakes nobody, the wait would be as long as GATE_MS.
 *
 * The spinlock of a list is held for a few instructions and nothing is taken in it.
 *
 * IDENTIFICATION
 *		src/turn/gate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/s_lock.h"
#include "storage/spin.h"

#include "base/base.h"
#include "base/compat.h"
#include "shared/shared.h"
#include "turn/internal.h"

/* lists, a power of two */
#define GATES			1024
/* how long somebody may be overtaken, and which part of a limit to his wait */
#define GATE_MS			50
#define GATE_SHARE		4
/* how long one of them looks before he sleeps, with so many pauses at a time */
#define SPIN_US			80
#define SPIN_PAUSES		20
/* at most one time in two to the power of that he does so all the same */
#define SPIN_IN_VAIN_MAX	4

typedef enum WaiterState
{
	WAITER_ASLEEP,
	WAITER_WOKEN,				/* and about to try */
	WAITER_QUEUED				/* in the queue of the lock */
} WaiterState;

/* By number of the process; protected by the mutex of the list it is in. */
typedef struct Waiter
{
	dlist_node	node;
	uint64		hash;			/* of the actor */
	Oid			database;
	WaiterState state;
	Latch	   *latch;
} Waiter;

typedef struct Gate
{
	slock_t		mutex;
	dlist_head	waiters;		/* who has come first is first */
	Waiter	   *spinner;		/* who looks all the time, or NULL */
	pg_atomic_uint32 opened;	/* how often a turn was given back */
	pg_atomic_uint32 count;		/* of them; read without the mutex */
} Gate;

static Gate *gates = NULL;
static Waiter *waiters = NULL;	/* behind the gates */

/* the list this process is in */
static Gate *my_gate = NULL;

/* shared memory --------------------------------------------------------- */

static Size
gates_size(void)
{
	return add_size(MAXALIGN(GATES * sizeof(Gate)), mul_size(ACTOR_MAX_BACKENDS, sizeof(Waiter)));
}

void
actor_gate_request(void)
{
	RequestAddinShmemSpace(gates_size());
}

/*
 * actor_gate_attach
 *		Finds or makes the lists; the caller has AddinShmemInitLock.
 */
void
actor_gate_attach(void)
{
	bool		found;

	gates = ShmemInitStruct("actor gates", gates_size(), &found);
	waiters = (Waiter *) ((char *) gates + MAXALIGN(GATES * sizeof(Gate)));
	if (found)
		return;
	for (int i = 0; i < GATES; i++)
	{
		SpinLockInit(&gates[i].mutex);
		dlist_init(&gates[i].waiters);
		gates[i].spinner = NULL;
		pg_atomic_init_u32(&gates[i].opened, 0);
		pg_atomic_init_u32(&gates[i].count, 0);
	}
}

/* lists ----------------------------------------------------------------- */

static Gate *
find_gate(uint64 hash)
{
	return &gates[hash & (GATES - 1)];
}

static Waiter *
my_waiter(void)
{
	return &waiters[ACTOR_MY_PROC_NUMBER];
}

/*
 * Puts this process at the end of a list.
 */
static void
enter_list(Gate *gate, uint64 hash)
{
	Waiter	   *me = my_waiter();

	me->hash = hash;
	me->database = MyDatabaseId;
	me->state = WAITER_ASLEEP;
	me->latch = MyLatch;
	my_gate = gate;
	SpinLockAcquire(&gate->mutex);
	dlist_push_tail(&gate->waiters, &me->node);
	pg_atomic_fetch_add_u32(&gate->count, 1);
	SpinLockRelease(&gate->mutex);
}

static bool
waits_for(const Waiter *waiter, uint64 hash)
{
	return waiter->hash == hash && waiter->database == MyDatabaseId;
}

/*
 * Chooses who is to be woken for the turn of an actor, and notes that; NULL if
 * nobody waits, or somebody will try anyway.  The caller has the mutex.
 */
static Latch *
choose(Gate *gate, uint64 hash)
{
	dlist_iter	iter;

	if (gate->spinner != NULL && waits_for(gate->spinner, hash))
		return NULL;
	dlist_foreach(iter, &gate->waiters)
	{
		Waiter	   *waiter = dlist_container(Waiter, node, iter.cur);

		if (!waits_for(waiter, hash))
			continue;
		if (waiter->state != WAITER_ASLEEP)
			return NULL;
		waiter->state = WAITER_WOKEN;
		return waiter->latch;
	}
	return NULL;
}

/*
 * Takes this process out of its list.  If it goes without the turn, somebody else
 * is woken in its place.
 */
static void
leave_list(bool has_turn)
{
	Gate	   *gate = my_gate;
	Waiter	   *me = my_waiter();
	Latch	   *next = NULL;
	bool		counts;			/* nobody else was woken because of this one */

	SpinLockAcquire(&gate->mutex);
	dlist_delete(&me->node);
	pg_atomic_fetch_sub_u32(&gate->count, 1);
	counts = me->state != WAITER_ASLEEP || gate->spinner == me;
	if (gate->spinner == me)
		gate->spinner = NULL;
	if (!has_turn && counts)
		next = choose(gate, me->hash);
	SpinLockRelease(&gate->mutex);
	my_gate = NULL;
	if (next != NULL)
		SetLatch(next);
}

static void
set_state(WaiterState state)
{
	SpinLockAcquire(&my_gate->mutex);
	my_waiter()->state = state;
	SpinLockRelease(&my_gate->mutex);
}

/*
 * Whether somebody has woken this process for the turn.
 */
static bool
is_woken(void)
{
	bool		woken;

	SpinLockAcquire(&my_gate->mutex);
	woken = my_waiter()->state == WAITER_WOKEN;
	SpinLockRelease(&my_gate->mutex);
	return woken;
}

/* waiting --------------------------------------------------------------- */

static int
ms_since(const instr_time *since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *since);
	return (int) Min(INSTR_TIME_GET_MILLISEC(now), INT_MAX);
}

/*
 * Sleeps until this process is woken, or the time is over, after which it returns
 * false.
 */
static bool
sleep_until_woken(const instr_time *since, int longest)
{
	while (!is_woken())
	{
		int			spent = ms_since(since);

		if (spent >= longest)
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 longest - spent, ACTOR_WAIT_EVENT("ActorTurn"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/*
 * Makes this process the one that looks all the time, or ends that.  False if there
 * is one already.
 */
static bool
set_spinner(Gate *gate, bool begins)
{
	Waiter	   *me = my_waiter();
	bool		changed;

	SpinLockAcquire(&gate->mutex);
	changed = gate->spinner == (begins ? NULL : me);
	if (changed)
		gate->spinner = begins ? me : NULL;
	SpinLockRelease(&gate->mutex);
	return changed;
}

/*
 * Looks for a short while whether the turn is given back, and tries to take it
 * then.
 */
static bool
look_for_turn(const ActorRef *actor, bool (*try) (const ActorRef *actor))
{
	Gate	   *gate = my_gate;
	uint32		opened = pg_atomic_read_u32(&gate->opened);
	instr_time	since;
	instr_time	spent;

	if (try(actor))
		return true;
	INSTR_TIME_SET_CURRENT(since);
	do
	{
		for (int i = 0; i < SPIN_PAUSES; i++)
			pg_spin_delay();
		if (opened != pg_atomic_read_u32(&gate->opened))
		{
			opened = pg_atomic_read_u32(&gate->opened);
			if (try(actor))
				return true;
		}
		INSTR_TIME_SET_CURRENT(spent);
		INSTR_TIME_SUBTRACT(spent, since);
	} while (INSTR_TIME_GET_MICROSEC(spent) < SPIN_US);
	return false;
}

/*
 * The same, for one process at a time.  One that has done it in vain again and
 * again, since turns take longer than that, does so more and more seldom.
 */
static bool
spin(const ActorRef *actor, bool (*try) (const ActorRef *actor))
{
	static int	in_vain = 0;
	static int	to_leave_out = 0;

	if (to_leave_out > 0)
	{
		to_leave_out--;
		return false;
	}
	if (!set_spinner(my_gate, true))
		return false;
	if (look_for_turn(actor, try))
	{
		in_vain = 0;
		return true;
	}
	(void) set_spinner(my_gate, false);
	in_vain = Min(in_vain + 1, SPIN_IN_VAIN_MAX);
	to_leave_out = (1 << in_vain) - 1;
	return false;
}

/*
 * actor_gate_wait
 *		Waits for the turn of an actor before the queue of its lock.  Calls a
 *		function that takes the turn if it is free.
 *
 * Returns whether that has succeeded.  If not, the caller goes into the queue, and
 * calls actor_gate_leave when he is done.  The limit is how many milliseconds he
 * can wait at most in all, or 0 for ever; sets how many have gone by.
 */
bool
actor_gate_wait(const ActorRef *actor, bool (*try) (const ActorRef *actor), int limit,
				int *spent)
{
	int			longest = limit == 0 ? GATE_MS : Min(GATE_MS, limit / GATE_SHARE);
	instr_time	since;

	*spent = 0;
	if (gates == NULL)
		return false;
	INSTR_TIME_SET_CURRENT(since);
	enter_list(find_gate(actor->hash), actor->hash);
	if (spin(actor, try))
		return true;
	do
	{
		if (try(actor))
			return true;
		/* who gives the turn back after that must know that one more sleeps */
		if (is_woken())
		{
			set_state(WAITER_ASLEEP);
			if (try(actor))
				return true;
		}
	} while (sleep_until_woken(&since, longest));
	set_state(WAITER_QUEUED);
	*spent = ms_since(&since);
	return false;
}

/*
 * actor_gate_leave
 *		The wait is over, whether with the turn or because of an error.
 */
void
actor_gate_leave(bool has_turn)
{
	if (my_gate != NULL)
		leave_list(has_turn);
}

/*
 * actor_gate_open
 *		Wakes somebody who waits for the turn of an actor, whose lock has just been
 *		released.
 */
void
actor_gate_open(uint64 hash)
{
	Gate	   *gate;
	Latch	   *latch;

	if (gates == NULL)
		return;
	gate = find_gate(hash);
	pg_atomic_fetch_add_u32(&gate->opened, 1);
	if (pg_atomic_read_u32(&gate->count) == 0)
		return;
	SpinLockAcquire(&gate->mutex);
	latch = choose(gate, hash);
	SpinLockRelease(&gate->mutex);
	if (latch != NULL)
		SetLatch(latch);
}
