/*-------------------------------------------------------------------------
 *
 * placement.c
 *		Placements: which host has an actor.
 *
 * An actor of a hosted type is placed at a host before the first call reaches
 * the application of that, by a row that is committed: whatever crashes then, the
 * next host of the application knows what that may have in its memory.  The row
 * stays until the actor is deactivated there.
 *
 *	 none --host_place--> placed --host_enter--> entered
 *	  ^                     |<-- actor_deactivate--|
 *	  ^                     |                      |
 *	  |<----- host_end, host_forget_all -----------+
 *
 * When the host is dead the next host_place writes over it, and leaves a row of
 * actor.leftover: the application of the dead host may live, and have the actor
 * in its memory when another host joins for it.
 *
 * Who writes a row need not have the turn of the actor.  He who does believes it
 * only if he has read it in the turn, and it can change under him in one way: his
 * own host is dead, and the actor has been placed somewhere else, where its next
 * call waits for his turn to end.
 *
 * The token says whether what the application has in its memory is true.  It
 * changes with every change of the actor's state that the application has not
 * made itself, in the transaction that makes the change.  Whoever enters the
 * turn compares it.
 *
 * Timers live as long as an actor does at one host.  They are removed in the first
 * turn of the actor at another one, and before that nobody fires them.
 *
 * Lock order: the actor's turn, then its row, which is never waited for by
 * somebody who has no turn.
 *
 * IDENTIFICATION
 *		src/host/placement.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "life/life.h"
#include "fire/fire.h"
#include "host/internal.h"

PG_FUNCTION_INFO_V1(actor_host_place);
PG_FUNCTION_INFO_V1(actor_host_left_behind);
PG_FUNCTION_INFO_V1(actor_host_moving);
PG_FUNCTION_INFO_V1(actor_host_forget_all);

/* columns of actor.placement, for reading it without SQL */
#define PLACEMENT_KEYS		2
#define PLACEMENT_HOST_ID	3
#define PLACEMENT_TOKEN		4
#define PLACEMENT_ENTERED	5

static ActorTable placement_table = {"placement", PLACEMENT_KEYS};

#define OF_ACTOR \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2"

static ActorQuery read_placement = {
	"SELECT host_id, token, entered FROM actor.placement" OF_ACTOR,
	2, {TEXTOID, TEXTOID}
};

static ActorQuery lock_placement = {
	"SELECT host_id FROM actor.placement" OF_ACTOR " FOR UPDATE SKIP LOCKED",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery insert_placement = {
	"INSERT INTO actor.placement (actor_type, actor_id, host_id, token, entered, placed_at)"
	" VALUES ($1, $2, $3, $4, false, $5)"
	" ON CONFLICT (actor_type, actor_id) DO NOTHING",
	5, {TEXTOID, TEXTOID, UUIDOID, UUIDOID, TIMESTAMPTZOID}
};

static ActorQuery replace_placement = {
	"UPDATE actor.placement SET host_id = $3, token = $4, entered = false, placed_at = $5"
	OF_ACTOR,
	5, {TEXTOID, TEXTOID, UUIDOID, UUIDOID, TIMESTAMPTZOID}
};

static ActorQuery write_leftover = {
	"INSERT INTO actor.leftover (actor_type, actor_id, host_id) VALUES ($1, $2, $3)"
	" ON CONFLICT (actor_type, actor_id, host_id) DO NOTHING",
	3, {TEXTOID, TEXTOID, UUIDOID}
};

static ActorQuery delete_leftover = {
	"DELETE FROM actor.leftover" OF_ACTOR " AND host_id OPERATOR(pg_catalog.=) $3",
	3, {TEXTOID, TEXTOID, UUIDOID}
};

static ActorQuery enter_placement = {
	"UPDATE actor.placement SET entered = true" OF_ACTOR,
	2, {TEXTOID, TEXTOID}
};

static ActorQuery leave_placement = {
	"UPDATE actor.placement SET entered = false, placed_at = '-infinity'" OF_ACTOR " AND entered",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery change_token = {
	"UPDATE actor.placement SET token = $3" OF_ACTOR,
	3, {TEXTOID, TEXTOID, UUIDOID}
};

static ActorQuery delete_placement = {
	"DELETE FROM actor.placement" OF_ACTOR,
	2, {TEXTOID, TEXTOID}
};

static ActorQuery read_of_host = {
	"SELECT actor_type, actor_id FROM actor.placement"
	" WHERE host_id OPERATOR(pg_catalog.=) $1",
	1, {UUIDOID}
};

static ActorQuery read_left_by_host = {
	"SELECT actor_type, actor_id FROM actor.placement"
	" WHERE host_id OPERATOR(pg_catalog.=) $1"
	" UNION ALL"
	" SELECT actor_type, actor_id FROM actor.leftover"
	" WHERE host_id OPERATOR(pg_catalog.=) $1",
	1, {UUIDOID}
};

static ActorQuery delete_timers_of_host = {
	"DELETE FROM actor.timer d USING"
	"  (SELECT t.actor_type, t.actor_id, t.name FROM actor.placement p"
	"     JOIN actor.timer t ON t.actor_type OPERATOR(pg_catalog.=) p.actor_type"
	"      AND t.actor_id OPERATOR(pg_catalog.=) p.actor_id"
	"    WHERE p.host_id OPERATOR(pg_catalog.=) $1"
	"      FOR UPDATE OF t SKIP LOCKED) s"
	" WHERE d.actor_type OPERATOR(pg_catalog.=) s.actor_type"
	"   AND d.actor_id OPERATOR(pg_catalog.=) s.actor_id"
	"   AND d.name OPERATOR(pg_catalog.=) s.name",
	1, {UUIDOID}
};

static ActorQuery delete_of_host = {
	"DELETE FROM actor.placement WHERE host_id OPERATOR(pg_catalog.=) $1",
	1, {UUIDOID}
};

static ActorQuery delete_left_by_host = {
	"DELETE FROM actor.leftover WHERE host_id OPERATOR(pg_catalog.=) $1",
	1, {UUIDOID}
};

/*
 * The actor whose token this transaction has changed last, which need not be
 * changed again before somebody has read it.
 */
static ActorRef changed;		/* texts in TopTransactionContext */
static bool any_changed = false;

static void state_changed(const ActorRef *actor);
static void life_ended(const ActorRef *actor);
static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);

void
actor_placement_init(void)
{
	actor_state_changed = state_changed;
	actor_life_ended = life_ended;
	actor_idle_by_hosts = actor_hosts_have_type;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* rows -------------------------------------------------------------------- */

/* what is found of an actor */
typedef struct Found
{
	ActorPlacement *placement;
	bool		found;
} Found;

static void
take_placement(TupleTableSlot *slot, void *arg)
{
	Found	   *found = arg;
	bool		isnull;

	found->found = true;
	found->placement->host = *DatumGetUUIDP(slot_getattr(slot, PLACEMENT_HOST_ID, &isnull));
	found->placement->token = *DatumGetUUIDP(slot_getattr(slot, PLACEMENT_TOKEN, &isnull));
	found->placement->entered = DatumGetBool(slot_getattr(slot, PLACEMENT_ENTERED, &isnull));
}

/*
 * actor_placement_read
 *		Where an actor is; false if it is nowhere.
 */
bool
actor_placement_read(const ActorRef *actor, ActorPlacement *placement)
{
	Datum		values[2] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};
	Found		found = {placement, false};
	ActorBookkeeping bookkeeping;
	bool		isnull;

	if (actor_direct_read(&placement_table, values, PLACEMENT_KEYS, NULL,
						  take_placement, &found))
		return found.found;
	actor_bookkeeping_begin(&bookkeeping);
	found.found = actor_query_run(&read_placement, values, NULL) > 0;
	if (found.found)
	{
		placement->host = *DatumGetUUIDP(actor_query_result(0, 1, &isnull));
		placement->token = *DatumGetUUIDP(actor_query_result(0, 2, &isnull));
		placement->entered = DatumGetBool(actor_query_result(0, 3, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	return found.found;
}

/*
 * actor_placement_set_entered
 *		Writes that the host of an actor, whose turn is held, has had a turn of it.
 */
void
actor_placement_set_entered(const ActorRef *actor)
{
	Datum		values[2];

	(void) actor_query_for_actor(&enter_placement, actor, values);
}

/*
 * actor_placement_remove
 *		The actor, whose turn is held, is nowhere any more.
 */
void
actor_placement_remove(const ActorRef *actor)
{
	Datum		values[2];

	(void) actor_query_for_actor(&delete_placement, actor, values);
}

/* the token --------------------------------------------------------------- */

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		any_changed = false;
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		any_changed = false;
}

/*
 * actor_placement_forget_changed
 *		Somebody has read a token: the next change of state needs another one.
 */
void
actor_placement_forget_changed(void)
{
	any_changed = false;
}

/*
 * The state of an actor of a hosted type, whose turn is held, was changed by
 * somebody else than its application.
 */
static void
state_changed(const ActorRef *actor)
{
	MemoryContext old;
	Datum		values[3];

	if (any_changed && actor_ref_equal(&changed, actor))
		return;
	values[2] = UUIDPGetDatum(actor_new_uuid());
	(void) actor_query_for_actor(&change_token, actor, values);
	old = MemoryContextSwitchTo(TopTransactionContext);
	changed.type = (text *) pg_detoast_datum_copy((struct varlena *) actor->type);
	changed.id = (text *) pg_detoast_datum_copy((struct varlena *) actor->id);
	changed.hash = actor->hash;
	MemoryContextSwitchTo(old);
	any_changed = true;
}

/*
 * An actor of a hosted type, whose turn is held, was deactivated: its host is to let
 * the application forget it.
 */
static void
life_ended(const ActorRef *actor)
{
	Datum		values[2];

	if (actor_query_for_actor(&leave_placement, actor, values) > 0)
		actor_wake_hosts(0);
}

/* placing ----------------------------------------------------------------- */

/*
 * actor_placement_host
 *		The host of a list where an actor is, if that lives, has its type and reaches
 *		its application; otherwise NULL: the actor is to be placed anew.
 *
 * A host that does not reach its application keeps in mind what that has, and lets
 * it forget an actor that comes back.
 */
const ActorHost *
actor_placement_host(List *hosts, const ActorRef *actor, const ActorPlacement *placement)
{
	const ActorHost *host = actor_hosts_find(hosts, &placement->host);

	return host != NULL && host->alive && host->reachable &&
		actor_host_has_type(host, actor->type) ? host : NULL;
}

static void
refuse_without_host(const ActorRef *actor)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("no host for actor type \"%s\"", text_to_cstring(actor->type)),
			 errdetail("No host that lives, and reaches its application, has joined with that type."),
			 errhint("Start actor-http with --app, or look at actor.host.")));
}

/*
 * Writes that an actor is at a host from now on.  False if somebody else has
 * placed it meanwhile.
 */
static bool
write_placement(const ActorRef *actor, const ActorHost *host, bool exists,
				const ActorPlacement *seen, ActorPlacement *placement)
{
	Datum		values[5];
	Datum		leftover[3];
	ActorPlacement now;

	/* whoever asks after a crash must find it */
	ForceSyncCommit();
	placement->host = host->id;
	placement->token = *actor_new_uuid();
	placement->entered = false;
	values[2] = UUIDPGetDatum(&placement->host);
	values[3] = UUIDPGetDatum(&placement->token);
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	if (!exists)
		return actor_query_for_actor(&insert_placement, actor, values) > 0;

	/* who waited might wait for a turn that waits for him */
	if (actor_query_for_actor(&lock_placement, actor, values) == 0)
	{
		if (!actor_placement_read(actor, &now))
			return false;
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("placement of actor \"%s\" of type \"%s\" is not free",
						text_to_cstring(actor->id), text_to_cstring(actor->type)),
				 errdetail("A transaction that runs has changed the state of the actor, or places it.")));
	}
	if (!actor_placement_read(actor, &now) || !actor_same_uuid(&now.host, &seen->host))
		return false;
	leftover[2] = UUIDPGetDatum(&seen->host);
	(void) actor_query_for_actor(&write_leftover, actor, leftover);
	return actor_query_for_actor(&replace_placement, actor, values) > 0;
}

/*
 * Finds where an actor is, or places it.  Returns its host, one of a list that
 * is made for that.
 */
static const ActorHost *
place(const ActorRef *actor, ActorPlacement *placement)
{
	for (;;)
	{
		List	   *hosts;
		const ActorHost *host;
		ActorPlacement seen;
		bool		exists;

		CHECK_FOR_INTERRUPTS();
		exists = actor_placement_read(actor, placement);
		hosts = actor_hosts_read();
		host = exists ? actor_placement_host(hosts, actor, placement) : NULL;
		if (host != NULL)
			return host;
		host = actor_hosts_choose(hosts, actor);
		if (host == NULL)
			refuse_without_host(actor);
		seen = *placement;
		if (write_placement(actor, host, exists, &seen, placement))
			return host;
	}
}

/*
 * actor.host_place
 *		Where an actor is, or is placed by this.
 */
Datum
actor_host_place(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");
	ActorRef	actor;
	ActorType  *type;
	ActorPlacement placement;
	const ActorHost *host;
	uint64		generation = actor_catalog_generation();
	TupleDesc	tupdesc;
	Datum		values[3];
	bool		nulls[3] = {false};

	actor_ref_init(&actor,
				   actor_text_argument(fcinfo, 1, "actor type", ACTOR_MAX_TYPE_LEN),
				   actor_text_argument(fcinfo, 2, "actor id", ACTOR_MAX_NAME_LEN));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	AcceptInvalidationMessages();
	type = actor_type_lookup(actor.type);
	actor_host_check_type(type);
	actor_hosted_check_name(actor.id, "actor id");
	actor_host_check_outside_block("actor.host_place()");
	PreventCommandIfReadOnly("actor.host_place()");
	PreventCommandIfParallelMode("actor.host_place()");
	actor_turn_check_isolation("place an actor");
	actor_host_require(id);
	if (actor_type_share(actor.type, actor_type_call_timeout(type), generation))
		actor_host_check_type(actor_type_lookup(actor.type));

	host = place(&actor, &placement);
	values[0] = UUIDPGetDatum(&placement.host);
	values[1] = PointerGetDatum(host->address);
	values[2] = UUIDPGetDatum(&placement.token);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* ending ------------------------------------------------------------------ */

/*
 * Whether the application beside a host is that of the other one, which is
 * gone.
 */
static bool
is_predecessor(const ActorHost *other, const ActorHost *host)
{
	return !other->alive && actor_text_equal(other->app_id, host->app_id) &&
		actor_text_equal(other->app_address, host->app_address);
}

/*
 * actor_placement_is_left
 *		Whether an actor that is placed at another host is so at one that is gone
 *		and was beside the same application as this one.
 */
bool
actor_placement_is_left(const ActorPlacement *placement, const pg_uuid_t *id)
{
	List	   *hosts = actor_hosts_read();
	const ActorHost *host = actor_hosts_find(hosts, id);
	const ActorHost *other = actor_hosts_find(hosts, &placement->host);

	return host != NULL && other != NULL && is_predecessor(other, host);
}

/*
 * actor_leftover_remove
 *		The application of a host has nothing of an actor, whose turn is held, from
 *		hosts before it, or will be told to forget that.  Returns whether it may
 *		have, with the id of one of those hosts.
 */
bool
actor_leftover_remove(const ActorRef *actor, const pg_uuid_t *id, pg_uuid_t *before)
{
	List	   *hosts = actor_hosts_read();
	const ActorHost *host = actor_hosts_find(hosts, id);
	bool		found = false;
	ListCell   *cell;

	foreach(cell, hosts)
	{
		const ActorHost *other = lfirst(cell);
		Datum		values[3];

		if (host == NULL || !is_predecessor(other, host))
			continue;
		values[2] = UUIDPGetDatum(&other->id);
		if (actor_query_for_actor(&delete_leftover, actor, values) == 0)
			continue;
		found = true;
		*before = other->id;
	}
	return found;
}

/* placements of a host ---------------------------------------------------- */

static void *
read_actor(uint64 row)
{
	ActorRef   *actor = palloc(sizeof(ActorRef));
	bool		isnull;

	actor_ref_init(actor, DatumGetTextPCopy(actor_query_result(row, 1, &isnull)),
				   DatumGetTextPCopy(actor_query_result(row, 2, &isnull)));
	return actor;
}

static List *
read_actors(ActorQuery *query, const pg_uuid_t *id)
{
	Datum		values[1] = {UUIDPGetDatum(id)};

	return actor_query_list(query, values, read_actor);
}

/*
 * Adds an actor to the result; of a host that is gone, if that is not NULL.
 */
static void
return_actor(FunctionCallInfo fcinfo, const ActorRef *actor, const pg_uuid_t *host)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum		values[3] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id),
		UUIDPGetDatum(host)
	};
	bool		nulls[3] = {false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * The hosts of a list that are gone and were beside the same application as one
 * of them.
 */
static List *
predecessors(List *hosts, const ActorHost *host)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, hosts)
	{
		ActorHost  *other = lfirst(cell);

		if (is_predecessor(other, host))
			result = lappend(result, other);
	}
	return result;
}

static const ActorHost *
own_host(List *hosts, const pg_uuid_t *id)
{
	actor_host_require_own(id);
	return actor_hosts_find(hosts, id);
}

/*
 * actor.host_left_behind
 *		What the application of a host may have in its memory from before.
 */
Datum
actor_host_left_behind(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");
	List	   *hosts = actor_hosts_read();
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, predecessors(hosts, own_host(hosts, id)))
	{
		const pg_uuid_t *before = &((ActorHost *) lfirst(cell))->id;
		ListCell   *left;

		foreach(left, read_actors(&read_left_by_host, before))
			return_actor(fcinfo, lfirst(left), before);
	}
	return (Datum) 0;
}

/*
 * actor.host_moving
 *		What another host would get now, or what this one has no longer a type
 *		for.
 */
Datum
actor_host_moving(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");
	List	   *hosts = actor_hosts_read();
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	(void) own_host(hosts, id);
	foreach(cell, read_actors(&read_of_host, id))
	{
		const ActorHost *host = actor_hosts_choose(hosts, lfirst(cell));

		if (host != NULL && !actor_same_uuid(&host->id, id))
			return_actor(fcinfo, lfirst(cell), NULL);
	}
	return (Datum) 0;
}

/*
 * actor.host_forget_all
 *		The application of a host has nothing in its memory: neither of this host
 *		nor of those before it.
 *
 * No turn is taken.  What runs for the application now cannot have its answer any
 * more; a timer that it has set all the same goes with the next placement.
 */
Datum
actor_host_forget_all(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");
	List	   *hosts = actor_hosts_read();
	const ActorHost *host = own_host(hosts, id);
	List	   *emptied = lappend(predecessors(hosts, host), unconstify(ActorHost *, host));
	uint64		count = 0;
	ListCell   *cell;

	actor_host_check_outside_block("actor.host_forget_all()");
	PreventCommandIfReadOnly("actor.host_forget_all()");
	foreach(cell, emptied)
	{
		ActorBookkeeping bookkeeping;
		Datum		values[1] = {UUIDPGetDatum(&((ActorHost *) lfirst(cell))->id)};

		actor_bookkeeping_begin(&bookkeeping);
		(void) actor_query_run(&delete_timers_of_host, values, NULL);
		count += actor_query_run(&delete_of_host, values, NULL);
		(void) actor_query_run(&delete_left_by_host, values, NULL);
		actor_bookkeeping_end(&bookkeeping);
	}
	actor_wake_hosts(0);
	PG_RETURN_INT64((int64) count);
}
