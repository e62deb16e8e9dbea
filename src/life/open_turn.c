/*-------------------------------------------------------------------------
 *
 * open_turn.c
 *		Opening and closing the turn of an actor to a chain of calls.
 *
 * Who may enter an open turn, and how others wait for its end, is in lease.c.
 *
 * Lock order: the actor's turn, then its row.
 *
 * IDENTIFICATION
 *		src/life/open_turn.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "type/type.h"
#include "turn/turn.h"
#include "life/life.h"

PG_FUNCTION_INFO_V1(actor_open_turn);
PG_FUNCTION_INFO_V1(actor_close_turn);


static ActorQuery open_turn = {
	"UPDATE actor.activation SET reentrancy_id = $3, turn_expires_at = $4,"
	"  last_used_at = $5"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2",
	5, {TEXTOID, TEXTOID, UUIDOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/*
 * The time for which a turn is opened, in microseconds.
 */
static int64
ttl_argument(FunctionCallInfo fcinfo, int number)
{
	Interval   *ttl;
	int64		us;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "ttl")));
	ttl = PG_GETARG_INTERVAL_P(number);
	us = actor_interval_us(ttl);
	if (us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be greater than zero")));
	if (us > (int64) actor_max_open_turn * 1000)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must not be longer than %d ms", actor_max_open_turn),
				 errhint("\"%s\" limits it.", "actor.max_open_turn")));
	return us;
}

/*
 * Finds the type of an actor whose turn the current user may open.
 */
static ActorType *
type_to_open(const ActorRef *actor)
{
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_lookup(actor->type);
	actor_type_check_usage(type);
	/* methods of an application need no other right than that to the schema */
	if (!type->row.hosted && !actor_method_any_writing(type))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for actor type \"%s\"", type->name),
				 errdetail("Opening a turn needs the right to call a writing method of the type.")));
	if (!actor_type_reentrant(type) && !type->row.leases)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot open a turn of actor type \"%s\", which is not reentrant",
						type->name),
				 errhint("Register the type with reentrancy => true to allow it.")));
	return type;
}

/*
 * Refuses what writes where nothing can be written.
 */
static void
check_can_write(const char *function, const char *action)
{
	PreventCommandIfReadOnly(function);
	actor_frame_check_writing(function);
	PreventCommandIfParallelMode(function);
	actor_turn_check_isolation(action);
}

/*
 * Writes who has the turn open; an id of NULL stands for nobody.
 */
static void
write_open_turn(const ActorRef *actor, const pg_uuid_t *id, TimestampTz expires_at)
{
	ActorActivation seen;
	ActorBookkeeping bookkeeping;
	Datum		values[5];
	char		nulls[5] = {' ', ' ', ' ', ' ', ' '};

	actor_activation_look(actor, &seen);
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(id);
	values[3] = TimestampTzGetDatum(expires_at);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (id == NULL)
		nulls[2] = nulls[3] = 'n';
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&open_turn, values, nulls);
	actor_bookkeeping_end(&bookkeeping);

	seen.opened = id != NULL;
	if (id != NULL)
		seen.reentrancy_id = *id;
	seen.turn_expires_at = expires_at;
	actor_turn_know(actor, &seen);
}

Datum
actor_open_turn(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	ActorType  *type;
	uint64		generation = actor_catalog_generation();
	int64		ttl;
	pg_uuid_t  *id;

	actor_ref_arguments(&actor, fcinfo);
	ttl = ttl_argument(fcinfo, 2);
	if (actor_frame_current() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot open a turn inside a method"),
				 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
	type = type_to_open(&actor);
	check_can_write("actor_open_turn()", "open a turn");

	if (actor_lease_enter(&actor, NULL, actor_type_call_timeout(type), NULL))
		type = type_to_open(&actor);
	/* this transaction keeps itself from waiting */
	if (actor_lease_is_open(&actor))
		actor_lease_refuse_open(&actor, NULL);
	actor_pause_check(&actor, NULL);
	/* looking at the actor may have shown that something has changed */
	if (generation != actor_catalog_generation())
		type = type_to_open(&actor);
	if (actor_activate(&actor, type, generation))
		(void) type_to_open(&actor);

	id = DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
	write_open_turn(&actor, id, GetCurrentTimestamp() + ttl);
	PG_RETURN_UUID_P(id);
}

Datum
actor_close_turn(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	pg_uuid_t  *id = PG_ARGISNULL(2) ? NULL : PG_GETARG_UUID_P(2);
	uint64		generation = actor_catalog_generation();
	int			timeout;

	actor_ref_arguments(&actor, fcinfo);
	AcceptInvalidationMessages();
	/* whoever has the id has the right */
	if (id == NULL)
		actor_type_require_owner(actor.type);
	else
		actor_type_require(actor.type);
	check_can_write("actor_close_turn()", "close a turn");

	/* before the turn is taken, so that a stranger cannot hold up the actor */
	if (!actor_lease_is_open_to(&actor, id))
		PG_RETURN_BOOL(false);
	timeout = actor_type_call_timeout(actor_type_get(actor.type));
	(void) actor_turn_enter(&actor, NULL, timeout);
	/* somebody elsewhere may have closed it until it was claimed */
	if (!actor_lease_is_open_to(&actor, id) ||
		(actor_turn_claim(&actor, NULL, timeout) && !actor_lease_is_open_to(&actor, id)))
	{
		actor_turn_leave(&actor);
		PG_RETURN_BOOL(false);
	}
	/* who was the owner before the wait need not be it after it */
	AcceptInvalidationMessages();
	if (id == NULL && generation != actor_catalog_generation())
		actor_type_require_owner(actor.type);
	actor_turn_set_entered(&actor);
	write_open_turn(&actor, NULL, 0);
	actor_lease_ended(&actor);
	PG_RETURN_BOOL(true);
}
