/*-------------------------------------------------------------------------
 *
 * row.c
 *		The row that is the turn where a lock of this server is not enough.
 *
 * With actor.turn_lock = row a turn is both: the lock of turn.c, and the row of the
 * actor in actor.activation, locked by writing it.  The lock orders those who come to
 * this server, with all that it brings: it can be tried and given back, it has a gate,
 * and it is seen by others.  The row decides; whoever comes from elsewhere, where
 * the lock is another one, meets the same row.  So nothing is wrong while some
 * sessions have one setting and some the other one, as long as all of them are of
 * one server.
 *
 * A lock on a row lasts until the (sub)transaction ends.  So it is taken, by
 * actor_turn_claim, when it is clear that the turn is to be entered or kept, and from
 * then on the turn is kept.  Somebody elsewhere may open the turn after that was found
 * out and before the row is locked, so what the row says is looked at once more.
 *
 * The row is written, and not only locked: a table that is distributed may move to
 * another server while rows of it are locked, but not while a transaction writes.
 * It is an upsert, because an update can miss a row that has just been moved, and
 * because an actor that is not active has none.  The row that is made for such a one
 * is of no start of the server, so nobody takes it for an activation; it goes at the
 * end of the transaction, if the actor is not active then.
 *
 * Where nothing is lost by locking a row of this server, because the lock for which a
 * move waits is taken otherwise, it is locked; see store/where.c.
 *
 * IDENTIFICATION
 *		src/turn/row.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "base/base.h"
#include "store/store.h"
#include "turn/internal.h"

/* what is set must be a constant or new, for any engine to do it */
static ActorQuery write_row = {
	"INSERT INTO actor.activation"
	"  (actor_type, actor_id, server_start, activated_at, last_used_at)"
	" VALUES ($1, $2, '-infinity', '-infinity', '-infinity')"
	" ON CONFLICT (actor_type, actor_id) DO UPDATE SET actor_type = EXCLUDED.actor_type"
	" RETURNING last_used_at, reentrancy_id, turn_expires_at, server_start, tableoid, ctid",
	2, {TEXTOID, TEXTOID}
};

#define OF_ACTOR \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2"

static ActorQuery try_row = {
	"SELECT FROM actor.activation" OF_ACTOR " FOR UPDATE SKIP LOCKED",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery find_row = {
	"SELECT FROM actor.activation" OF_ACTOR,
	2, {TEXTOID, TEXTOID}
};

static ActorQuery remove_row = {
	"DELETE FROM actor.activation" OF_ACTOR
	"   AND server_start OPERATOR(pg_catalog.=) '-infinity'",
	2, {TEXTOID, TEXTOID}
};

/* how long an attempt waits that is not to wait, in milliseconds */
#define HARDLY_MS	1

/* actors without an activation whose row was written; in TopTransactionContext */
static List *made = NIL;

/*
 * Remembers that a row was made which is no activation.
 */
static void
remember_made(const ActorRef *actor)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ActorRef   *copy = palloc(sizeof(ActorRef));

	actor_ref_init(copy, (text *) pg_detoast_datum_copy((struct varlena *) actor->type),
				   (text *) pg_detoast_datum_copy((struct varlena *) actor->id));
	made = lappend(made, copy);
	MemoryContextSwitchTo(old);
}

/*
 * Locks the row directly, after waiting for whoever has, if it is on this server, stays
 * there, and is that of an activation; takes note of what it says.
 */
static bool
take_row_here(const ActorRef *actor)
{
	ActorActivation seen;
	Oid			part = actor_where_to_write(actor);

	if (!OidIsValid(part) || !actor_activation_lock(actor, part, &seen))
		return false;
	actor_turn_know(actor, &seen);
	actor_turn_set_shard(actor, part);
	actor_untold_add(actor);
	return true;
}

/*
 * Writes the row, after waiting for whoever has, and takes note of what it says.
 */
static void
write_row_of(const ActorRef *actor)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};
	ActorActivation seen;
	TimestampTz start;
	Oid			table;
	ItemPointerData tid;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_row, values, NULL);
	table = DatumGetObjectId(actor_query_result(0, 5, &isnull));
	tid = *(ItemPointer) DatumGetPointer(actor_query_result(0, 6, &isnull));
	start = DatumGetTimestampTz(actor_query_result(0, 4, &isnull));
	memset(&seen, 0, sizeof(seen));
	if (start == actor_activation_start())
		actor_activation_result(&seen);
	actor_bookkeeping_end(&bookkeeping);

	actor_turn_know(actor, &seen);
	if (actor_on_several_servers() && actor_shard_has_written(table, &tid, actor))
	{
		actor_turn_set_shard(actor, table);
		actor_untold_told();
	}
	if (start == DT_NOBEGIN)
		remember_made(actor);
}

/*
 * Takes the row, after waiting for whoever has.
 */
static void
take_row(const ActorRef *actor)
{
	if (!actor_on_several_servers() || !take_row_here(actor))
		write_row_of(actor);
}

static void
wait_for_row(const void *actor)
{
	take_row(actor);
}

/* whether a wait for a row of another server has been long enough */
static volatile sig_atomic_t too_late = false;

/*
 * Ends the wait as the server ends one for a lock.
 */
static void
end_wait(void)
{
	too_late = true;
	(void) kill(MyProcPid, SIGINT);
}

/*
 * Writes the row of an actor that another server may have, where no timeout of this
 * one for locks is known.  Returns false if so many milliseconds were not enough, after
 * which the caller must raise an error.
 */
static bool
take_row_within(const ActorRef *actor, int limit)
{
	static TimeoutId timeout = MAX_TIMEOUTS;
	MemoryContext context = CurrentMemoryContext;
	volatile bool within = true;

	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, end_wait);
	too_late = false;
	enable_timeout_after(timeout, limit);
	PG_TRY();
	{
		take_row(actor);
		disable_timeout(timeout, false);
		/* the end of the wait and of the time may have met */
		CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		disable_timeout(timeout, false);
		MemoryContextSwitchTo(context);
		if (!too_late || geterrcode() != ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		within = false;
	}
	PG_END_TRY();
	return within;
}

/*
 * Writes the row, and waits for it up to timeout milliseconds, or for ever if that is
 * 0, and at most for the caller's lock_timeout.
 */
static void
wait_within(const ActorRef *actor, const text *method, int timeout)
{
	int			limit = actor_lock_limit(timeout);
	bool		within;

	if (limit > 0 && actor_on_several_servers())
	{
		within = take_row_within(actor, limit);
		timeout = limit;
	}
	else
		within = actor_lock_within(timeout, 0, wait_for_row, actor);
	if (!within)
		actor_turn_refuse_late(actor, method, timeout);
}

static void
take_row_at_once(void *actor)
{
	if (!actor_lock_within(HARDLY_MS, 0, wait_for_row, actor))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("row of actor \"%s\" is not free",
						text_to_cstring(((ActorRef *) actor)->id))));
}

/*
 * Writes the row if nobody else has it.
 */
static bool
take_row_if_free(const ActorRef *actor)
{
	Datum		values[2];
	ErrorData  *error;

	if (actor_query_for_actor(&try_row, actor, values) > 0)
	{
		take_row(actor);
		return true;
	}
	/* there is one, so somebody has it */
	if (actor_query_for_actor(&find_row, actor, values) > 0)
		return false;

	/*
	 * whoever is about to make it is not seen; only then this may have to
	 * wait
	 */
	error = actor_attempt(take_row_at_once, unconstify(ActorRef *, actor));
	if (error != NULL && error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	return error == NULL;
}

/*
 * actor_turn_by_row
 *		Whether turns are rows.
 */
bool
actor_turn_by_row(void)
{
	return actor_turn_lock == ACTOR_TURN_LOCK_ROW ||
		(actor_turn_lock == ACTOR_TURN_LOCK_AUTO && actor_on_several_servers());
}

/*
 * actor_turn_check_servers
 *		Refuses turns where another server would give them, too.
 */
void
actor_turn_check_servers(void)
{
	const char *table = actor_shape_distributed();

	if (table == NULL || (actor_on_several_servers() && actor_turn_by_row()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot take a turn, because table \"%s.%s\" is distributed", "actor", table),
			 errdetail("A turn is a lock of one server, and the table is served by several."),
			 actor_on_several_servers() ?
			 errhint("Set \"%s\" to \"%s\".", "actor.turn_lock", "auto") :
			 errhint("Distribute the other tables as well with %s.", "actor_distribute()")));
}

/*
 * Whether the turn of an actor, which is held, takes its row as well, and that
 * is still to be taken.
 */
static bool
needs_row(const ActorRef *actor)
{
	return actor_turn_by_row() &&
		!actor_turn_is_entered(actor) && !actor_turn_is_kept(actor);
}

/*
 * actor_turn_claim
 *		Makes a turn that is held, and is to be entered or kept, the only one on all
 *		servers, waiting for that up to timeout milliseconds, or for ever if that is 0,
 *		and at most for the caller's lock_timeout.
 *
 * Returns whether what is known of the activation may be another one since.  Then the
 * turn is kept.  The method, which can be NULL, is for messages only.  Raises what
 * actor_turn_enter raises.  Must come before the snapshot the method reads with.
 */
bool
actor_turn_claim(const ActorRef *actor, const text *method, int timeout)
{
	ErrorContextCallback errcallback;

	if (!needs_row(actor))
		return false;
	errcallback.callback = actor_turn_error_context;
	errcallback.arg = unconstify(ActorRef *, actor);
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	if (!actor_lock_waiting_allowed())
	{
		if (!take_row_if_free(actor))
			actor_turn_refuse_to_wait(actor);
	}
	else
		wait_within(actor, method, timeout);
	error_context_stack = errcallback.previous;
	actor_turn_keep(actor);
	return true;
}

/*
 * actor_turn_try_claim
 *		The same if it is to be had without waiting; otherwise returns false.  What is
 *		known of the activation may be another one since.
 */
bool
actor_turn_try_claim(const ActorRef *actor)
{
	if (!needs_row(actor))
		return true;
	if (!take_row_if_free(actor))
		return false;
	actor_turn_keep(actor);
	return true;
}

/*
 * actor_turn_try_keep
 *		Takes the turn of an actor, and keeps it until the end of the
 *		(sub)transaction, if it is free; for what concerns no chain.
 */
bool
actor_turn_try_keep(const ActorRef *actor)
{
	if (!actor_turn_try_enter(actor, NULL))
		return false;
	if (!actor_turn_try_claim(actor))
	{
		actor_turn_leave(actor);
		return false;
	}
	actor_turn_keep(actor);
	return true;
}

/*
 * actor_row_settle
 *		Removes, at the end of a transaction, the rows it has made for actors that
 *		have not become active.
 */
void
actor_row_settle(void)
{
	ListCell   *cell;
	int			nestlevel;

	if (made == NIL || !actor_catalog_installed())
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	nestlevel = actor_own_copy_begin();
	foreach(cell, made)
	{
		ActorRef   *actor = lfirst(cell);
		ActorActivation known;
		Datum		values[2];

		/* its row went with the subtransaction that made it */
		if (!actor_turn_is_kept(actor))
			continue;
		if (!actor_turn_known(actor, &known) || !known.active)
			(void) actor_query_for_actor(&remove_row, actor, values);
	}
	actor_own_copy_end(nestlevel);
	PopActiveSnapshot();
}

/*
 * actor_row_end
 *		The transaction has ended.
 */
void
actor_row_end(void)
{
	made = NIL;					/* gone with TopTransactionContext */
}
