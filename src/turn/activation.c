/*-------------------------------------------------------------------------
 *
 * activation.c
 *		What the row of an actor in actor.activation says.
 *
 * An actor is active while it has a row there that was made since this server
 * was started; see lifecycle.c, which writes it.  The row also tells whether its
 * turn is open to a chain of calls; see lease.c.  Who has the turn of the actor
 * looks once, because only those who have it write the row.
 *
 * IDENTIFICATION
 *		src/turn/activation.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/uuid.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/internal.h"


/* columns of actor.activation, for reading it without SQL */
#define ACTIVATION_KEYS				2
#define ACTIVATION_SERVER_START		3
#define ACTIVATION_LAST_USED_AT		5
#define ACTIVATION_REENTRANCY_ID	6
#define ACTIVATION_TURN_EXPIRES_AT	7

static ActorTable activation_table = {"activation", ACTIVATION_KEYS};

static ActorQuery read_activation = {
	"SELECT last_used_at, reentrancy_id, turn_expires_at FROM actor.activation"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND server_start OPERATOR(pg_catalog.=) $3",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ActorQuery touch_activation = {
	"UPDATE actor.activation SET last_used_at = $3"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/*
 * actor_activation_result
 *		What the last result says of an actor that is active: last use, reentrancy
 *		id and end of an open turn.
 */
void
actor_activation_result(ActorActivation *seen)
{
	Datum		id;
	bool		isnull;

	seen->active = true;
	seen->last_used_at = DatumGetTimestampTz(actor_query_result(0, 1, &isnull));
	id = actor_query_result(0, 2, &isnull);
	seen->opened = !isnull;
	if (seen->opened)
	{
		seen->reentrancy_id = *DatumGetUUIDP(id);
		seen->turn_expires_at = DatumGetTimestampTz(actor_query_result(0, 3, &isnull));
	}
}

/*
 * Finds out what a row says about an activation, which is over if it is of
 * another start of the server.
 */
static void
take_activation(TupleTableSlot *slot, void *arg)
{
	ActorActivation *seen = arg;
	Datum		id;
	bool		isnull;

	if (DatumGetTimestampTz(slot_getattr(slot, ACTIVATION_SERVER_START, &isnull)) !=
		actor_activation_start())
		return;
	seen->active = true;
	seen->last_used_at = DatumGetTimestampTz(slot_getattr(slot, ACTIVATION_LAST_USED_AT, &isnull));
	id = slot_getattr(slot, ACTIVATION_REENTRANCY_ID, &isnull);
	seen->opened = !isnull;
	if (seen->opened)
	{
		seen->reentrancy_id = *DatumGetUUIDP(id);
		seen->turn_expires_at =
			DatumGetTimestampTz(slot_getattr(slot, ACTIVATION_TURN_EXPIRES_AT, &isnull));
	}
}

/*
 * actor_activation_lock
 *		Locks the row of an actor that is active in a part of actor.activation that is on
 *		this server, waiting for whoever has; otherwise returns false.
 */
bool
actor_activation_lock(const ActorRef *actor, Oid part, ActorActivation *seen)
{
	Datum		key[ACTIVATION_KEYS] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};

	memset(seen, 0, sizeof(*seen));
	return actor_direct_lock_part(&activation_table, part, key, take_activation,
								  seen) == ACTOR_DIRECT_DONE && seen->active;
}

/*
 * Finds out what the row says by SQL.
 */
static void
query_activation(Datum *values, ActorActivation *seen)
{
	ActorBookkeeping bookkeeping;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&read_activation, values, NULL) > 0)
		actor_activation_result(seen);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Whether actors are made active only by what needs it.  It takes bits that all
 * who write activations can see.
 */
static bool
may_be_lazy(void)
{
	return actor_lazy_activation && actor_shared != NULL && actor_shape_distributed() == NULL;
}

/*
 * actor_activation_lazy
 *		Whether a call leaves an actor of a type as it is, active or not, because
 *		nothing of the type happens at the begin or the end of its life.
 */
bool
actor_activation_lazy(ActorType *type)
{
	return may_be_lazy() && !type->row.hosted &&
		actor_hook_lookup(type, HOOK_ACTIVATE) == NULL &&
		actor_hook_lookup(type, HOOK_DEACTIVATE) == NULL;
}

/*
 * actor_activation_look
 *		Finds out about the activation of an actor.  If its turn is held that is
 *		remembered, so that the row is read once only.
 */
void
actor_activation_look(const ActorRef *actor, ActorActivation *seen)
{
	Datum		values[3] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};

	if (actor_turn_known(actor, seen))
		return;
	memset(seen, 0, sizeof(*seen));
	if (may_be_lazy() && !actor_active_possible(actor))
	{
		actor_turn_know(actor, seen);
		return;
	}
	if (!actor_direct_read(&activation_table, values, ACTIVATION_KEYS, NULL,
						   take_activation, seen))
	{
		values[2] = TimestampTzGetDatum(actor_activation_start());
		query_activation(values, seen);
	}
	actor_turn_know(actor, seen);
}

/*
 * actor_is_active
 *		Whether an actor, whose turn is held, is active.
 */
bool
actor_is_active(const ActorRef *actor)
{
	ActorActivation seen;

	actor_activation_look(actor, &seen);
	return seen.active;
}

/*
 * actor_activation_touch
 *		Writes that an actor, whose turn is held, is used now, if it is active.
 */
void
actor_activation_touch(const ActorRef *actor, TimestampTz now)
{
	Datum		values[3] = {[2] = TimestampTzGetDatum(now)};

	(void) actor_query_for_actor(&touch_activation, actor, values);
}
