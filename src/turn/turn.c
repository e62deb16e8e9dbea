/*-------------------------------------------------------------------------
 *
 * turn.c
 *		Turns.
 *
 * A turn is a transaction's exclusive access to one actor.  It is a
 * transaction-level advisory lock in a lock class of our own, taken by the
 * first writing method and released by the server when the transaction, or
 * the subtransaction it was taken in, ends, however that happens.  It works
 * behind a transaction pooler, and PREPARE TRANSACTION keeps it.
 *
 * Backend-local state, which is not needed to release anything: the actors
 * whose turn this transaction has, in the order they were taken, each with its
 * subtransaction; see subxact_callback.  The list saves lock manager calls and
 * counts against the limit.
 *
 * A turn is taken first, and entered when it is clear that no other chain of
 * calls has opened it; see lease.c.  One that must not be entered is given
 * back at once.  So a turn that is held has been entered, as soon as whoever
 * took it is done, and that stays true as long as it is held: only those who
 * have the turn open or close it.  The exception is a turn that is kept for what
 * concerns no chain, such as the order of messages: it can be open to one.
 *
 * Identity is always compared in full.  Two actors whose hashes collide share
 * a lock, and at worst wait for one another.
 *
 * Lock order: turn locks, then rows of the extension's tables, never the
 * reverse.  Turns are taken in the order of the calls; crossing transactions
 * are found by the server's deadlock detector.
 *
 * How a turn is taken is known to lock_turn, and how it is given back to
 * actor_turn_leave only.  Where other servers give turns, too, it takes a row as
 * well; see row.c.
 *
 * IDENTIFICATION
 *		src/turn/turn.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "store/store.h"
#include "stat/stat.h"
#include "type/type.h"
#include "turn/internal.h"

/* held turns up to this number are searched one by one */
#define LINEAR_SEARCH_MAX	16

typedef struct HeldTurn
{
	ActorRef	actor;			/* texts in TopTransactionContext */
	SubTransactionId subid;
	bool		entered;
	bool		kept;			/* not to be given back, entered or not */
	bool		early;			/* its type wants it to be released early */

	/* what is known of the actor's activation, and to which subtransaction */
	SubTransactionId known_subid;	/* invalid: nothing is */
	ActorActivation known;

	/*
	 * where its row was written on this server, see row.c, and in which
	 * subtransaction
	 */
	SubTransactionId shard_subid;	/* invalid: elsewhere */
	Oid			shard;

	/* the use is written down if it ends after that; 0: there was none */
	TimestampTz touch_after;
} HeldTurn;

/* where a held turn is */
typedef struct HeldIndexEntry
{
	ActorRef	actor;			/* hash key */
	int			position;
} HeldIndexEntry;

static HeldTurn *held = NULL;	/* in TopMemoryContext */
static int	held_count = 0;
static int	held_space = 0;
static HTAB *held_index = NULL; /* of the actors, when there are many */

/*
 * Those behind the held ones which this (sub)transaction has had until now: its
 * locks are about to be released.  Of them only the hashes can be used.
 */
static int	leaving_count = 0;

/* whether what the server says of a wait is to have the call chain */
static bool explain_wait = false;

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);
static void release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level,
							 void *arg);

void
actor_turn_init(void)
{
	RegisterResourceReleaseCallback(release_callback, NULL);
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	actor_type_forget_activations = actor_turn_forget_known;
	actor_shard_of_turn = actor_turn_shard;
}

/* held turns ------------------------------------------------------------ */

static void
index_held_turn(int position)
{
	HeldIndexEntry *entry = hash_search(held_index, &held[position].actor, HASH_ENTER, NULL);

	entry->position = position;
}

/*
 * Starts the index of the held turns.
 */
static void
build_held_index(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.entrysize = sizeof(HeldIndexEntry);
	ctl.hcxt = TopTransactionContext;
	held_index = actor_ref_table("held turns", &ctl);
	for (int i = 0; i < held_count; i++)
		index_held_turn(i);
}

/*
 * The turn of an actor, if this transaction has it; otherwise NULL.  A call asks
 * for the same one several times, most often for the last one that was taken.
 */
static HeldTurn *
find_held_turn(const ActorRef *actor)
{
	HeldIndexEntry *entry;

	if (held_index == NULL)
	{
		for (int i = held_count - 1; i >= 0; i--)
			if (actor_ref_equal(&held[i].actor, actor))
				return &held[i];
		return NULL;
	}
	if (held_count > 0 && actor_ref_equal(&held[held_count - 1].actor, actor))
		return &held[held_count - 1];
	entry = hash_search(held_index, actor, HASH_FIND, NULL);
	return entry != NULL ? &held[entry->position] : NULL;
}

/*
 * Makes room for one more held turn, before its lock is taken.
 */
static void
reserve_held_turn(void)
{
	if (held_count < held_space)
		return;
	if (held == NULL)
	{
		held = MemoryContextAlloc(TopMemoryContext, LINEAR_SEARCH_MAX * sizeof(HeldTurn));
		held_space = LINEAR_SEARCH_MAX;
	}
	else
	{
		held = repalloc_huge(held, 2 * (Size) held_space * sizeof(HeldTurn));
		held_space *= 2;
	}
}

static void
remember_held_turn(const ActorRef *actor, const text *method)
{
	ActorType  *type = actor_type_find(actor->type);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	HeldTurn   *turn = &held[held_count];

	turn->actor.type = (text *) pg_detoast_datum_copy((struct varlena *) actor->type);
	turn->actor.id = (text *) pg_detoast_datum_copy((struct varlena *) actor->id);
	turn->actor.hash = actor->hash;
	turn->subid = GetCurrentSubTransactionId();
	turn->entered = turn->kept = false;
	turn->early = type != NULL && actor_type_early_release(type);
	turn->known_subid = turn->shard_subid = InvalidSubTransactionId;
	turn->touch_after = 0;
	if (held_index != NULL)
		index_held_turn(held_count);
	held_count++;
	if (held_index == NULL && held_count > LINEAR_SEARCH_MAX)
		build_held_index();
	MemoryContextSwitchTo(old);
	actor_early_look(actor);
	actor_activity_held(actor, method);
}

static void
forget_last_turn(void)
{
	held_count--;
	if (held_index != NULL)
		hash_search(held_index, &held[held_count].actor, HASH_REMOVE, NULL);
	actor_activity_holds(held_count);
}

/*
 * Writes down that actors were in use until now, if they were for long: they are
 * idle from the end of a use on, not from its beginning.  A method that has
 * failed has used its actor as well.
 */
static void
touch_used(void)
{
	TimestampTz now;
	bool		begun = false;
	int			nestlevel = 0;

	if (held_count == 0)
		return;
	now = GetCurrentTimestamp();
	for (int i = 0; i < held_count; i++)
	{
		if (held[i].touch_after == 0 || held[i].touch_after > now)
			continue;
		if (!begun && !actor_catalog_installed())
			return;
		if (!begun)
		{
			PushActiveSnapshot(GetTransactionSnapshot());
			nestlevel = actor_own_copy_begin();
		}
		begun = true;
		actor_activation_touch(&held[i].actor, now);
	}
	if (begun)
	{
		actor_own_copy_end(nestlevel);
		PopActiveSnapshot();
	}
}

/*
 * Writes what is left until the end of a transaction; also if it was made read-only after
 * its calls, which have been promised that.
 */
static void
settle_turns(void)
{
	bool		read_only = XactReadOnly;

	XactReadOnly = false;
	touch_used();
	actor_row_settle();
	XactReadOnly = read_only;
}

/*
 * actor_turn_held_count
 *		Number of turns that this transaction has.
 */
int
actor_turn_held_count(void)
{
	return held_count;
}

/*
 * actor_turn_held_hash
 *		What names the lock of one of them.
 */
uint64
actor_turn_held_hash(int number)
{
	return held[number].actor.hash;
}

/*
 * actor_turn_all_early
 *		Whether there are any, all of types whose turns are given back early.
 */
bool
actor_turn_all_early(void)
{
	for (int i = 0; i < held_count; i++)
		if (!held[i].early)
			return false;
	return held_count > 0;
}

/*
 * The transaction has ended, or is prepared: its locks are not ours any more.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			settle_turns();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			actor_activity_end();
			actor_gate_leave(false);
			leaving_count = event != XACT_EVENT_PREPARE ? held_count : 0;
			held_count = 0;
			held_index = NULL;	/* gone with TopTransactionContext */
			actor_row_end();
			break;
		default:
			break;
	}
}

/*
 * The turns taken in a subtransaction go to its parent when it commits, and
 * are lost when it aborts, as their locks are.  Those of the innermost
 * subtransaction are always the last ones.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	switch (event)
	{
		case SUBXACT_EVENT_COMMIT_SUB:
			for (int i = held_count - 1; i >= 0 && held[i].subid >= subid; i--)
				held[i].subid = parent;
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			leaving_count = 0;
			while (held_count > 0 && held[held_count - 1].subid >= subid)
			{
				forget_last_turn();
				leaving_count++;
			}
			actor_activity_waits_not();
			actor_gate_leave(false);
			break;
		default:
			break;
	}
}

/*
 * Locks were released: those who wait for the turns that went with them can have
 * them.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS)
		return;
	for (; leaving_count > 0; leaving_count--)
		actor_gate_open(held[held_count + leaving_count - 1].actor.hash);
	if (is_top_level && held_space > 1024)
	{
		pfree(held);
		held = NULL;
		held_space = 0;
	}
}

/* taking a turn --------------------------------------------------------- */

/*
 * actor_turn_explain_error
 *		Called in an error context: if shared memory has run out, says what this
 *		transaction has to do with it.
 */
void
actor_turn_explain_error(void)
{
	if (geterrcode() != ERRCODE_OUT_OF_MEMORY)
		return;
	errdetail_plural("This transaction holds the turn of %d actor.",
					 "This transaction holds the turns of %d actors.",
					 held_count, held_count);
	errhint("Hold fewer actors in one transaction, send messages with %s instead of calling, "
			"or raise \"%s\".",
			"actor_send()", "max_locks_per_transaction");
}

/*
 * actor_turn_error_context
 *		Says that it is about the turn of an actor.
 */
void
actor_turn_error_context(void *arg)
{
	const ActorRef *actor = arg;

	actor_turn_explain_error();
	errcontext("taking the turn of actor \"%s\" of type \"%s\"",
			   text_to_cstring(actor->id), text_to_cstring(actor->type));
	if (explain_wait)
	{
		text	   *traceparent = actor_traceparent();

		errcontext("call chain: %s", actor_call_chain_text(actor, NULL));
		if (traceparent != NULL)
			errcontext("trace: %s", text_to_cstring(traceparent));
	}
}

/*
 * Takes the lock that is the turn.  Returns false if it is not free and
 * "wait" is not set.
 */
static bool
lock_turn(const ActorRef *actor, bool wait)
{
	ErrorContextCallback errcallback;
	LockAcquireResult result;

	actor_turn_check_servers();
	errcallback.callback = actor_turn_error_context;
	errcallback.arg = unconstify(ActorRef *, actor);
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	result = actor_lock(ACTOR_LOCK_TURN, actor->hash, ExclusiveLock, wait);
	error_context_stack = errcallback.previous;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * actor_turn_refuse_to_wait
 *		Refuses somebody who would have to wait for a turn, and may not.
 */
void
actor_turn_refuse_to_wait(const ActorRef *actor)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("turn of actor \"%s\" of type \"%s\" is not free",
					text_to_cstring(actor->id), text_to_cstring(actor->type)),
			 errdetail("Call chain: %s.", actor_call_chain_text(actor, NULL))));
}

static bool
try_lock(const ActorRef *actor)
{
	return actor_lock(ACTOR_LOCK_TURN, actor->hash, ExclusiveLock, false) !=
		LOCKACQUIRE_NOT_AVAIL;
}

/*
 * Waits before the queue of the lock; see gate.c.
 */
static bool
wait_at_gate(const ActorRef *actor, int timeout, int *spent)
{
	ErrorContextCallback errcallback;
	bool		has_turn;

	errcallback.callback = actor_turn_error_context;
	errcallback.arg = unconstify(ActorRef *, actor);
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	has_turn = actor_gate_wait(actor, try_lock, actor_lock_limit(timeout), spent);
	error_context_stack = errcallback.previous;
	return has_turn;
}

static void
wait_for_lock(const void *actor)
{
	(void) lock_turn(actor, true);
}

/*
 * actor_turn_refuse_late
 *		Refuses somebody who has waited for a turn for too long.
 */
void
actor_turn_refuse_late(const ActorRef *actor, const text *method, int timeout)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("turn of actor \"%s\" of type \"%s\" was not free within %d ms",
					text_to_cstring(actor->id), text_to_cstring(actor->type), timeout),
			 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
			 errhint("Another transaction holds the actor. \"%s\" or the type's call_timeout limit the wait.",
					 "actor.call_timeout")));
}

/*
 * Waits for the turn, at most timeout milliseconds if that is not 0, and at
 * most the caller's lock_timeout.
 */
static void
wait_for_turn(const ActorRef *actor, const text *method, int timeout)
{
	bool		saved_log = log_lock_waits;
	volatile bool within = false;
	instr_time	since;
	int			spent;

	/* the server logs a long wait by itself, with the context of lock_turn */
	explain_wait = actor_activity_wait(actor, method, &since);
	log_lock_waits |= explain_wait;
	PG_TRY();
	{
		within = wait_at_gate(actor, timeout, &spent) ||
			actor_lock_within(timeout, spent, wait_for_lock, actor);
	}
	PG_CATCH();
	{
		actor_gate_leave(false);
		log_lock_waits = saved_log;
		explain_wait = false;
		actor_activity_waited(actor, method, &since, geterrcode());
		PG_RE_THROW();
	}
	PG_END_TRY();
	actor_gate_leave(within);
	log_lock_waits = saved_log;
	explain_wait = false;
	actor_activity_waited(actor, method, &since, within ? 0 : ERRCODE_LOCK_NOT_AVAILABLE);
	if (!within)
		actor_turn_refuse_late(actor, method, timeout);
}

static void
check_turn_limit(const ActorRef *actor, const text *method)
{
	if (held_count < actor_max_turns_per_transaction)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg_plural("transaction holds the turn of %d actor already",
						   "transaction holds the turns of %d actors already",
						   held_count, held_count),
			 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
			 errhint("Use several transactions, send messages with %s instead of calling, "
					 "or raise \"%s\" and, if need be, \"%s\".",
					 "actor_send()",
					 "actor.max_turns_per_transaction",
					 "max_locks_per_transaction")));
}

/*
 * actor_turn_enter
 *		Takes the turn of an actor until the end of the (sub)transaction,
 *		waiting for it up to timeout milliseconds, or for ever if that is 0.
 *		The method is for messages only.
 *
 * Returns whether what the caller knows about the type and the method may be
 * out of date, mostly because it had to wait.  Raises lock_not_available,
 * deadlock_detected, program_limit_exceeded.  Must come before the snapshot
 * the method reads with.
 */
bool
actor_turn_enter(const ActorRef *actor, const text *method, int timeout)
{
	uint64		generation = actor_catalog_generation();

	if (actor_turn_try_enter(actor, method))
		return generation != actor_catalog_generation();
	if (!actor_lock_waiting_allowed())
		actor_turn_refuse_to_wait(actor);
	actor_type_share_anew(actor->type, timeout);
	wait_for_turn(actor, method, timeout);
	remember_held_turn(actor, method);
	return true;
}

/*
 * actor_turn_try_enter
 *		Takes the turn if this transaction has it or nobody does.  The method,
 *		which can be NULL, is for messages only.
 */
bool
actor_turn_try_enter(const ActorRef *actor, const text *method)
{
	if (find_held_turn(actor) != NULL)
		return true;
	check_turn_limit(actor, method);
	reserve_held_turn();
	if (!actor_type_try_share(actor->type))
		return false;
	if (!lock_turn(actor, false))
	{
		actor_type_unshare(actor->type);
		return false;
	}
	remember_held_turn(actor, method);
	return true;
}

/*
 * actor_turn_leave
 *		Gives back the turn that was taken last, unless it has been entered or
 *		is kept.
 */
void
actor_turn_leave(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	if (turn == NULL || turn->entered || turn->kept)
		return;
	Assert(turn == &held[held_count - 1]);
	Assert(turn->subid == GetCurrentSubTransactionId());
	actor_unlock(ACTOR_LOCK_TURN, actor->hash, ExclusiveLock);
	actor_gate_open(actor->hash);
	actor_type_unshare(actor->type);
	forget_last_turn();
}

/*
 * actor_turn_is_entered
 *		Whether this transaction has entered the turn of an actor.
 */
bool
actor_turn_is_entered(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	return turn != NULL && turn->entered;
}

/*
 * actor_turn_set_entered
 *		Enters a turn that is held.
 */
void
actor_turn_set_entered(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	Assert(turn != NULL);
	turn->entered = true;
}

/*
 * actor_turn_keep
 *		Keeps a turn that is held until the end of the (sub)transaction it was
 *		taken in, without entering it.
 */
void
actor_turn_keep(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	Assert(turn != NULL);
	turn->kept = true;
}

/*
 * actor_turn_is_kept
 *		Whether this transaction keeps the turn of an actor, so that nobody else
 *		can get on with it before the transaction ends.
 */
bool
actor_turn_is_kept(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	return turn != NULL && turn->kept;
}

/*
 * actor_turn_known
 *		What this transaction knows of the activation of an actor; false if it
 *		does not have the turn, or knows nothing.
 *
 * Only what has been seen or done in a subtransaction that is still open
 * counts: it may have been undone with another one.  That one was released
 * perhaps, and then the actor is looked at once more than would be needed.
 */
bool
actor_turn_known(const ActorRef *actor, ActorActivation *known)
{
	HeldTurn   *turn = find_held_turn(actor);

	if (turn == NULL || turn->known_subid == InvalidSubTransactionId ||
		!SubTransactionIsActive(turn->known_subid))
		return false;
	*known = turn->known;
	return true;
}

/*
 * actor_turn_is_used
 *		Whether this transaction, which has the turn of the actor, knows that it
 *		counts as a use of it.
 */
bool
actor_turn_is_used(const ActorRef *actor)
{
	ActorActivation known;

	return actor_turn_known(actor, &known) && known.used;
}

/*
 * actor_turn_is_active
 *		The same, and that the actor is active, which a use does not need.
 */
bool
actor_turn_is_active(const ActorRef *actor)
{
	ActorActivation known;

	return actor_turn_known(actor, &known) && known.used && known.active;
}

/*
 * actor_turn_know
 *		Takes note of the activation of an actor, if its turn is held.
 */
void
actor_turn_know(const ActorRef *actor, const ActorActivation *known)
{
	HeldTurn   *turn = find_held_turn(actor);

	if (turn == NULL)
		return;
	turn->known_subid = GetCurrentSubTransactionId();
	turn->known = *known;
}

/*
 * actor_turn_set_shard
 *		The row of an actor, whose turn is held, was written on this server, in that part
 *		of actor.activation.
 */
void
actor_turn_set_shard(const ActorRef *actor, Oid shard)
{
	HeldTurn   *turn = find_held_turn(actor);

	Assert(turn != NULL);
	turn->shard_subid = GetCurrentSubTransactionId();
	turn->shard = shard;
}

/*
 * actor_turn_shard
 *		Where that was, if the turn is held and what was written still counts; as for
 *		what is known of the activation.  Otherwise invalid.
 */
Oid
actor_turn_shard(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	return turn != NULL && turn->shard_subid != InvalidSubTransactionId &&
		SubTransactionIsActive(turn->shard_subid) ? turn->shard : InvalidOid;
}

/*
 * actor_turn_used
 *		The actor, whose turn is held, is used.  Writes that down at the end of the
 *		transaction if that comes after a time.
 */
void
actor_turn_used(const ActorRef *actor, TimestampTz touch_after)
{
	HeldTurn   *turn = find_held_turn(actor);

	if (turn != NULL && turn->touch_after == 0)
		turn->touch_after = touch_after;
}

/*
 * actor_turn_forget_known
 *		Forgets what is known of the activations of a type, which are gone.
 */
void
actor_turn_forget_known(const text *type)
{
	for (int i = 0; i < held_count; i++)
		if (actor_text_equal(held[i].actor.type, type))
			held[i].known_subid = InvalidSubTransactionId;
}
