/*-------------------------------------------------------------------------
 *
 * lease.c
 *		Open turns, which outlive a transaction.
 *
 * A chain of calls that consists of several transactions opens the turn of an
 * actor.  The row of the actor in actor.activation then has the reentrancy id
 * of the chain, and the time at which the open turn ends by itself.  It is
 * written with the turn held, and everybody who takes the turn later looks at
 * it before anything else: who does not bring the id gives the turn back.  So
 * the row decides who enters, and the turn's lock that only one at a time
 * does, also within the chain.
 *
 *	 closed --actor_open_turn--> open (once that has committed)
 *	 open --actor_close_turn, actor_deactivate, actor_delete--> closed
 *	 open --time is over--> closed
 *	 open --crash, restart, failover--> closed, since the actor is not active
 *
 * An id that is not that of the open turn only tells which chain a call belongs
 * to: it enters a turn that is not open, and waits for one that is open to
 * another chain.
 *
 * A transaction that has entered stays in, whether it closes the turn or the
 * time is over, until it ends.
 *
 * Whoever must wait for an open turn holds no lock on the actor meanwhile.  He
 * looks at the row now and then, more and more seldom, and if the library is
 * preloaded he is woken at once by the transaction that closes it.
 *
 * Lock order: the actor's turn, then its row.
 *
 * IDENTIFICATION
 *		src/turn/lease.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "turn/internal.h"

/* pauses between two looks of somebody who waits, in milliseconds */
#define LOOK_MIN_MS			10
#define LOOK_MAX_MS			250

/*
 * Turns this transaction has closed, by the number of their condition
 * variable.  Those of a subtransaction that was rolled back stay: whoever is
 * woken without need looks at the row, and waits on.
 */
static bool closed[ACTOR_TURN_CLOSED_COUNT];
static bool any_closed = false;

static void xact_callback(XactEvent event, void *arg);

void
actor_lease_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
}

/* who may enter --------------------------------------------------------- */

/*
 * Whether a chain has the turn open now.
 */
static bool
is_open(const ActorActivation *activation)
{
	return activation->opened && activation->turn_expires_at > GetCurrentTimestamp();
}

static bool
same_id(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return a != NULL && b != NULL && memcmp(a->data, b->data, UUID_LEN) == 0;
}

/*
 * actor_lease_is_open
 *		Whether a chain has the turn of an actor open.  If the turn is not held
 *		that need not be true any more.
 */
bool
actor_lease_is_open(const ActorRef *actor)
{
	ActorActivation seen;

	actor_activation_look(actor, &seen);
	return is_open(&seen);
}

/*
 * actor_lease_is_open_to
 *		Whether the turn of an actor is open, to the chain of that id if it is not
 *		NULL.
 */
bool
actor_lease_is_open_to(const ActorRef *actor, const pg_uuid_t *id)
{
	ActorActivation seen;

	actor_activation_look(actor, &seen);
	return is_open(&seen) && (id == NULL || same_id(&seen.reentrancy_id, id));
}

/*
 * actor_lease_pass
 *		Enters a turn that was taken, for somebody who belongs to no chain.  If
 *		one has it open, gives the turn back and returns false.
 */
bool
actor_lease_pass(const ActorRef *actor)
{
	if (actor_turn_is_entered(actor))
		return true;
	/* somebody elsewhere may have opened it until it was claimed */
	if (actor_lease_is_open(actor) || !actor_turn_try_claim(actor) || actor_lease_is_open(actor))
	{
		actor_turn_leave(actor);
		return false;
	}
	actor_turn_set_entered(actor);
	return true;
}

/*
 * actor_lease_refuse_open
 *		Refuses a writer who cannot wait until the turn is closed: he holds
 *		other turns, for which the chain may wait, or this one.
 */
void
actor_lease_refuse_open(const ActorRef *actor, const text *method)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("turn of actor \"%s\" of type \"%s\" is open to another chain of calls",
					text_to_cstring(actor->id), text_to_cstring(actor->type)),
			 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
			 errhint("It ends with actor_close_turn(), or when its time is over.")));
}

/*
 * Whether a call that brings an id, or belongs to the running chain, belongs
 * to the one that has opened the turn.
 */
static bool
admits(const ActorActivation *activation, const pg_uuid_t *id)
{
	return same_id(&activation->reentrancy_id, id != NULL ? id : actor_chain_id());
}

/*
 * Whether a call may enter a turn, which is held, as far as chains are concerned.
 */
static bool
may_enter(const ActorRef *actor, const pg_uuid_t *id)
{
	ActorActivation seen;

	actor_activation_look(actor, &seen);
	return !is_open(&seen) || admits(&seen, id);
}

/*
 * Whether it is not worth a look at the row whether the turn of an actor is open, since
 * nothing opens turns of its type.  It may have been opened before that was so; then the
 * row says it when it is claimed.
 */
static bool
is_hardly_open(const ActorRef *actor)
{
	ActorType  *type;

	/* a look is cheap here */
	if (!actor_on_several_servers())
		return false;
	type = actor_type_find(actor->type);
	return type != NULL && !actor_type_reentrant(type) && !type->row.leases;
}

/*
 * actor_turn_check_isolation
 *		Refuses to do what needs a turn at isolation levels whose snapshot is
 *		older than the turn.
 */
void
actor_turn_check_isolation(const char *action)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s in a transaction with isolation level %s", action,
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Use READ COMMITTED. The snapshot of the transaction is older than the turn, "
						 "and turns are serial for each actor at every level.")));
}

/* waiting --------------------------------------------------------------- */

/*
 * What is signalled when the turn of an actor is closed; NULL if the library
 * is not preloaded.
 */
static ConditionVariable *
closed_variable(const ActorRef *actor)
{
	return actor_shared == NULL ? NULL :
		&actor_shared->turn_closed[actor->hash % ACTOR_TURN_CLOSED_COUNT];
}

/*
 * actor_lease_ended
 *		Wakes those who wait for the open turn of an actor to end, if this
 *		transaction commits.
 */
void
actor_lease_ended(const ActorRef *actor)
{
	closed[actor->hash % ACTOR_TURN_CLOSED_COUNT] = true;
	any_closed = true;
}

/*
 * A prepared transaction is committed by somebody else: those who wait find
 * out at their next look.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	if (!any_closed)
		return;
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			for (int i = 0; actor_shared != NULL && i < ACTOR_TURN_CLOSED_COUNT; i++)
				if (closed[i])
					ConditionVariableBroadcast(&actor_shared->turn_closed[i]);
			/* FALLTHROUGH */
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			memset(closed, 0, sizeof(closed));
			any_closed = false;
			break;
		default:
			break;
	}
}

/*
 * Sleeps until the variable is signalled or the time is over.
 */
static void
pause_for(ConditionVariable *variable, long ms)
{
	if (variable != NULL)
		(void) ConditionVariableTimedSleep(variable, ms, ACTOR_WAIT_EVENT("ActorOpenTurn"));
	else
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 ms, ACTOR_WAIT_EVENT("ActorOpenTurn"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Waits until no chain has the turn of an actor open, or a time has come
 * (DT_NOEND: none).  Returns whether it is closed.  The turn is not held.
 */
static bool
wait_until_closed(const ActorRef *actor, TimestampTz deadline)
{
	ConditionVariable *variable = closed_variable(actor);
	long		pause = LOOK_MIN_MS;
	bool		open;

	/* before the look, so that no signal is lost */
	if (variable != NULL)
		ConditionVariablePrepareToSleep(variable);
	for (;;)
	{
		ActorActivation seen;
		TimestampTz now;
		TimestampTz until;

		actor_activation_look(actor, &seen);
		now = GetCurrentTimestamp();
		open = is_open(&seen);
		if (!open || now >= deadline)
			break;
		until = Min(seen.turn_expires_at, deadline);
		pause_for(variable, Min(pause, actor_wait_ms(now, until)));
		pause = Min(pause * 2, LOOK_MAX_MS);
	}
	ConditionVariableCancelSleep();
	return !open;
}

/*
 * The same, seen and counted by others as a wait for the turn.
 */
static bool
wait_visibly(const ActorRef *actor, const text *method, TimestampTz deadline)
{
	instr_time	since;
	bool		is_closed;

	(void) actor_activity_wait(actor, method, &since);
	is_closed = wait_until_closed(actor, deadline);
	actor_activity_waited(actor, method, &since, is_closed ? 0 : ERRCODE_LOCK_NOT_AVAILABLE);
	return is_closed;
}

/*
 * When somebody who begins to wait now has waited long enough: like for a
 * lock, after timeout milliseconds, or the caller's lock_timeout if that is
 * shorter.  In either of them 0 is for ever.  Sets what it was.
 */
static TimestampTz
wait_deadline(int timeout, int *limit)
{
	*limit = actor_lock_limit(timeout);
	return *limit == 0 ? DT_NOEND :
		TimestampTzPlusMilliseconds(GetCurrentTimestamp(), *limit);
}

/*
 * Milliseconds that are left, at least 1, or 0 for ever.
 */
static int
time_left(TimestampTz deadline)
{
	long		left;

	if (deadline == DT_NOEND)
		return 0;

	/*
	 * once only: a second look may find that nothing is left, which is for
	 * ever
	 */
	left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
	return (int) Max(1, left);
}

/*
 * Enters a turn that nobody has, nor has opened to another chain, as most are.  One
 * that is a row takes more than that.
 */
static bool
enter_at_once(const ActorRef *actor, const text *method, const pg_uuid_t *id)
{
	if (actor_turn_by_row() || !actor_turn_try_enter(actor, method) || !may_enter(actor, id))
		return false;
	actor_turn_set_entered(actor);
	return true;
}

/*
 * actor_lease_enter
 *		Enters the turn of an actor for a call of the running chain, or for an
 *		outermost one.  The id is that which the call brings; NULL: none.  The
 *		method is for messages only, and can be NULL.
 *
 * Waits until the turn is free, and, unless it is a nested call, until it is
 * not open to another chain, for timeout milliseconds in all, or for ever if
 * that is 0.  Returns whether it had to wait, in which case what the caller
 * knows about the type and the method may be out of date.  Raises what
 * actor_turn_enter raises.  Must come before the snapshot the method reads with.
 */
bool
actor_lease_enter(const ActorRef *actor, const text *method, int timeout,
				  const pg_uuid_t *id)
{
	uint64		generation = actor_catalog_generation();
	TimestampTz deadline;
	int			limit;
	bool		waited = false;

	/* that of the running chain says nothing new */
	if (same_id(id, actor_chain_id()))
		id = NULL;
	if (id == NULL && actor_turn_is_entered(actor))
		return false;
	if (enter_at_once(actor, method, id))
		return generation != actor_catalog_generation();
	deadline = wait_deadline(timeout, &limit);
	for (;;)
	{
		int			left;

		/* who could not wait for the chain need not wait for one of its calls */
		if (actor_frame_current() != NULL && !actor_turn_try_enter(actor, method) &&
			!may_enter(actor, id))
			actor_lease_refuse_open(actor, method);
		left = waited ? time_left(deadline) : timeout;
		if (actor_turn_enter(actor, method, left))
			waited = true;
		/* claiming a turn looks again, but not if it is kept already */
		if ((id == NULL && !actor_turn_is_kept(actor) && is_hardly_open(actor)) ||
			may_enter(actor, id))
		{
			if (!actor_turn_claim(actor, method, left))
				break;

			/*
			 * that may have had to wait, and somebody have opened the turn
			 * meanwhile
			 */
			waited = true;
			if (may_enter(actor, id))
				break;
		}
		if (actor_frame_current() != NULL || !actor_lock_waiting_allowed() ||
			actor_turn_is_kept(actor) || actor_turn_is_entered(actor))
			actor_lease_refuse_open(actor, method);
		actor_turn_leave(actor);
		if (!wait_visibly(actor, method, deadline))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("turn of actor \"%s\" of type \"%s\" was not free within %d ms",
							text_to_cstring(actor->id), text_to_cstring(actor->type), limit),
					 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
					 errhint("Another chain of calls has opened it. It ends with actor_close_turn(), or when its time is over.")));
		waited = true;
	}
	actor_turn_set_entered(actor);
	return waited;
}
