/*-------------------------------------------------------------------------
 *
 * idle.c
 *		Finding and deactivating actors that nobody uses.
 *
 * The actors of a type are looked for at the points of a grid, whose step is
 * the type's scan_interval, and only when the oldest of them is past its
 * deadline.  The deadline allows for the lazy writing of the last use: no
 * actor is deactivated before it has been idle for the type's idle_timeout.
 *
 * Idle actors are due to the owner of their type, whose executors deactivate
 * them between reminders: see round.c.  An actor whose turn is not free, or
 * that has been used after all or is paused, is passed over until the next
 * point of the grid, and those of a type without a schema are not looked for.
 * The scheduler deactivates what belongs to an owner that cannot connect,
 * without running anything.
 *
 * Lock order: the actor's turn, then its rows, which are never waited for.
 *
 * IDENTIFICATION
 *		src/fire/idle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "type/type.h"
#include "turn/turn.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "fire/internal.h"

/* how long a look at idle actors waits while something is due, in microseconds */
#define WAIT_US		100000
/* owners without idle actors, beyond which those are forgotten */
#define ABSENT_MAX	100

/* the longest unused actor of each type, by skipping from type to type */
static ActorQuery read_types = {
	"WITH RECURSIVE r AS ("
	"  (SELECT actor_type, last_used_at FROM actor.activation"
	"    WHERE server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()"
	"    ORDER BY actor_type, last_used_at LIMIT 1)"
	"  UNION ALL"
	"  SELECT n.actor_type, n.last_used_at FROM r CROSS JOIN LATERAL"
	"    (SELECT a.actor_type, a.last_used_at FROM actor.activation a"
	"      WHERE a.server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()"
	"        AND a.actor_type OPERATOR(pg_catalog.>) r.actor_type"
	"      ORDER BY a.actor_type, a.last_used_at LIMIT 1) n)"
	" SELECT actor_type, last_used_at FROM r",
	0, {0}, false, true
};

static ActorQuery scan_idle = {
	"SELECT actor_id, last_used_at FROM actor.activation"
	" WHERE server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()"
	"   AND actor_type OPERATOR(pg_catalog.=) $1"
	"   AND last_used_at OPERATOR(pg_catalog.<=) $2"
	" ORDER BY last_used_at LIMIT $3",
	3, {TEXTOID, TIMESTAMPTZOID, INT8OID}, false, true
};

/* an actor whose turn others may enter is not idle */
static ActorQuery claim_idle = {
	"SELECT FROM actor.activation"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND server_start OPERATOR(pg_catalog.=) $5"
	"   AND last_used_at OPERATOR(pg_catalog.=) $3"
	"   AND (turn_expires_at IS NULL OR turn_expires_at OPERATOR(pg_catalog.<=) $4)"
	"   FOR UPDATE SKIP LOCKED",
	5, {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static ActorQuery read_timers = {
	"SELECT FROM actor.timer"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery lock_timers = {
	"SELECT FROM actor.timer"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   FOR UPDATE SKIP LOCKED",
	2, {TEXTOID, TEXTOID}
};

/* timers without an activation of this start of the server */
static ActorQuery forget_timers = {
	"DELETE FROM actor.timer d USING"
	"  (SELECT t.actor_type, t.actor_id, t.name FROM actor.timer t"
	"    WHERE NOT EXISTS (SELECT FROM actor.activation a"
	"      WHERE a.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"        AND a.actor_id OPERATOR(pg_catalog.=) t.actor_id"
	"        AND a.server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time())"
	"      FOR UPDATE OF t SKIP LOCKED) s"
	" WHERE d.actor_type OPERATOR(pg_catalog.=) s.actor_type"
	"   AND d.actor_id OPERATOR(pg_catalog.=) s.actor_id"
	"   AND d.name OPERATOR(pg_catalog.=) s.name",
	0, {0}
};

static ActorQuery forget_activations = {
	"DELETE FROM actor.activation d USING"
	"  (SELECT actor_type, actor_id FROM actor.activation"
	"    WHERE server_start OPERATOR(pg_catalog.<) pg_catalog.pg_postmaster_start_time()"
	"       OR server_start OPERATOR(pg_catalog.>) pg_catalog.pg_postmaster_start_time()"
	"      FOR UPDATE SKIP LOCKED) s"
	" WHERE d.actor_type OPERATOR(pg_catalog.=) s.actor_type"
	"   AND d.actor_id OPERATOR(pg_catalog.=) s.actor_id",
	0, {0}
};

/* a type with active actors */
typedef struct IdleType
{
	text	   *name;
	TimestampTz oldest;			/* earliest last use */
} IdleType;

/* until when the idle actors of an owner have been seen to */
typedef struct OwnerMemory
{
	NameData	name;			/* hash key */
	TimestampTz looked_at;
	bool		present;		/* has types with active actors */
} OwnerMemory;

ActorIdleByHosts actor_idle_by_hosts = NULL;

static HTAB *owners = NULL;

/* since when they are not looked for, as something is due; DT_NOEND: they are */
static TimestampTz waiting_since = DT_NOEND;

/*
 * an actor that is passed over until the look at those of its owner is over, or its
 * type has another one
 */
typedef struct PassedOver
{
	ActorRef	actor;			/* hash key */
	NameData	owner;
} PassedOver;

/* all of them, and their texts */
static HTAB *passed_over = NULL;
static MemoryContext passed_over_context = NULL;

/* the grid -------------------------------------------------------------- */

/*
 * Finds or adds what is remembered of an owner.
 */
static OwnerMemory *
remember(const NameData *owner)
{
	HASHCTL		ctl;
	OwnerMemory *memory;
	bool		found;

	if (owners == NULL)
	{
		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = sizeof(NameData);
		ctl.entrysize = sizeof(OwnerMemory);
		owners = hash_create("owners of idle actors", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	memory = hash_search(owners, owner, HASH_ENTER, &found);
	if (!found)
		memory->looked_at = 0;
	return memory;
}

/*
 * Forgets the owners that have no active actors, of a list of ActorIdleOwner, once they
 * are many.
 */
static void
forget_absent(List *present)
{
	HASH_SEQ_STATUS status;
	OwnerMemory *memory;
	ListCell   *cell;

	if (owners == NULL || hash_get_num_entries(owners) <= list_length(present) + ABSENT_MAX)
		return;
	hash_seq_init(&status, owners);
	while ((memory = hash_seq_search(&status)) != NULL)
		memory->present = false;
	foreach(cell, present)
		remember(&((ActorIdleOwner *) lfirst(cell))->name)->present = true;
	hash_seq_init(&status, owners);
	while ((memory = hash_seq_search(&status)) != NULL)
		if (!memory->present)
			(void) hash_search(owners, &memory->name, HASH_REMOVE, NULL);
}

/*
 * Until when the idle actors of an owner have been seen to.
 */
static TimestampTz
looked_at(const NameData *owner)
{
	OwnerMemory *memory = owners == NULL ? NULL :
	hash_search(owners, owner, HASH_FIND, NULL);

	return memory != NULL ? memory->looked_at : 0;
}

/*
 * When the idle actors of a type are to be looked for: not again at a point
 * of the grid that is over.
 */
static TimestampTz
next_look(const ActorType *type, TimestampTz oldest)
{
	return actor_grid_point(Max(actor_idle_limit(type, oldest),
								looked_at(&type->row.owner_name) + 1),
							actor_type_scan_interval(type));
}

/*
 * Forgets the actors of an owner that were passed over.
 */
static void
forget_passed_over(const NameData *owner)
{
	HASH_SEQ_STATUS status;
	PassedOver *entry;

	if (passed_over == NULL)
		return;
	hash_seq_init(&status, passed_over);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		ActorRef	actor = entry->actor;

		if (strcmp(NameStr(entry->owner), NameStr(*owner)) != 0)
			continue;
		(void) hash_search(passed_over, &actor, HASH_REMOVE, NULL);
		pfree(actor.type);
		pfree(actor.id);
	}
	/* what many of them have needed is given back */
	if (hash_get_num_entries(passed_over) == 0)
	{
		passed_over = NULL;
		MemoryContextDelete(passed_over_context);
	}
}

/*
 * Whether an actor of a type is passed over.
 */
static bool
is_passed_over(const ActorRef *actor, const ActorType *type)
{
	PassedOver *entry = passed_over == NULL ? NULL :
	hash_search(passed_over, actor, HASH_FIND, NULL);

	return entry != NULL &&
		strcmp(NameStr(entry->owner), NameStr(type->row.owner_name)) == 0;
}

/*
 * actor_idle_looked
 *		The idle actors of an owner have been seen to, or somebody else does
 *		that.
 */
void
actor_idle_looked(const NameData *owner)
{
	remember(owner)->looked_at = GetCurrentTimestamp();
	forget_passed_over(owner);
}

/* finding --------------------------------------------------------------- */

static void *
read_active_type(uint64 row)
{
	IdleType   *active = palloc(sizeof(IdleType));
	bool		isnull;

	active->name = DatumGetTextPCopy(actor_query_result(row, 1, &isnull));
	active->oldest = DatumGetTimestampTz(actor_query_result(row, 2, &isnull));
	return active;
}

/*
 * Reads the types with active actors that executors see to into the current memory
 * context.  What applications have is ended by hosts, while there are any.
 */
static List *
read_active_types(void)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, actor_query_list(&read_types, NULL, read_active_type))
	{
		IdleType   *active = lfirst(cell);
		ActorType  *type = actor_type_find(active->name);

		if (type == NULL || !type->row.hosted || !actor_idle_by_hosts(active->name))
			result = lappend(result, active);
	}
	return result;
}

/*
 * actor_idle_owners
 *		The owners of active actors, and when the first of these are to be
 *		deactivated, as a list of ActorIdleOwner in the current memory context.
 *		An owner may be there more than once.
 */
List *
actor_idle_owners(void)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, read_active_types())
	{
		IdleType   *active = lfirst(cell);
		ActorType  *type = actor_type_find(active->name);
		ActorIdleOwner *owner;

		if (type == NULL || type->pause == PAUSE_TYPE || !OidIsValid(type->schema_oid))
			continue;
		owner = palloc(sizeof(ActorIdleOwner));
		owner->name = type->row.owner_name;
		owner->next = next_look(type, active->oldest);
		result = lappend(result, owner);
	}
	forget_absent(result);
	return result;
}

/*
 * actor_idle_next
 *		When the next idle actors of an owner are to be deactivated; DT_NOEND
 *		if there are none.
 */
TimestampTz
actor_idle_next(const NameData *owner)
{
	TimestampTz next = DT_NOEND;
	ListCell   *cell;

	foreach(cell, actor_idle_owners())
	{
		ActorIdleOwner *other = lfirst(cell);

		if (strcmp(NameStr(other->name), NameStr(*owner)) == 0)
			next = Min(next, other->next);
	}
	return next;
}

/*
 * Adds the idle actors of a type to a list of ActorDue, up to a limit.
 */
static List *
scan_type(List *result, const ActorType *type, text *name, int limit)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = GetCurrentTimestamp();
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	uint64		rows;

	values[0] = PointerGetDatum(name);
	values[1] = TimestampTzGetDatum(now - (actor_idle_limit(type, now) - now));
	values[2] = Int64GetDatum((int64) limit +
							  (passed_over != NULL ? hash_get_num_entries(passed_over) : 0));
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&scan_idle, values, NULL);
	for (uint64 i = 0; i < rows && list_length(result) < limit; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		ActorDue   *due = palloc0(sizeof(ActorDue));
		bool		isnull;

		due->kind = DUE_DEACTIVATE;
		actor_ref_init(&due->actor, name, DatumGetTextPCopy(actor_query_result(i, 1, &isnull)));
		due->name = cstring_to_text(actor_hook_name(HOOK_DEACTIVATE));
		due->generation = (int64) (due->actor.hash >> 1);
		due->scheduled_at = DatumGetTimestampTz(actor_query_result(i, 2, &isnull));
		due->next_try_at = actor_idle_limit(type, due->scheduled_at);
		due->attempt = 1;
		if (!is_passed_over(&due->actor, type))
			result = lappend(result, due);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/*
 * actor_idle_scan
 *		The actors of an owner's types that are to be deactivated now, as a
 *		list of ActorDue in the current memory context.  Takes no locks.
 *
 * As long as it returns any it is to be called again; the look is over when it
 * returns none.
 */
List *
actor_idle_scan(const NameData *owner, int limit)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *result = NIL;
	bool		looked = false;
	ListCell   *cell;

	foreach(cell, read_active_types())
	{
		IdleType   *active = lfirst(cell);
		ActorType  *type = actor_type_find(active->name);

		if (type == NULL || type->pause == PAUSE_TYPE || !OidIsValid(type->schema_oid) ||
			strcmp(NameStr(type->row.owner_name), NameStr(*owner)) != 0 ||
			next_look(type, active->oldest) > now)
			continue;
		looked = true;
		result = scan_type(result, type, active->name, limit);
	}
	if (looked && result == NIL)
		actor_idle_looked(owner);
	return result;
}

/*
 * actor_idle_scan_beside
 *		The same for an executor that has found something due, or not.  What is due
 *		does not wait for a look at idle actors, for a while.
 */
List *
actor_idle_scan_beside(const NameData *owner, int limit, bool anything_due)
{
	TimestampTz now = GetCurrentTimestamp();

	if (anything_due && waiting_since == DT_NOEND)
		waiting_since = now;
	if (anything_due && now >= waiting_since && now - waiting_since < WAIT_US)
		return NIL;
	waiting_since = DT_NOEND;
	return actor_idle_scan(owner, limit);
}

/*
 * actor_idle_scan_next
 *		What is due could not be fired, so the next look is at idle actors, too.
 */
void
actor_idle_scan_next(void)
{
	waiting_since = 0;
}

/* deactivating ---------------------------------------------------------- */

/*
 * Leaves an actor alone until the next look at those of an owner.
 */
static void
pass_over(const ActorRef *actor, const NameData *owner)
{
	ActorRef	copy = *actor;
	PassedOver *entry;
	MemoryContext old;

	if (passed_over == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.entrysize = sizeof(PassedOver);
		ctl.hcxt = passed_over_context = AllocSetContextCreate(TopMemoryContext,
															   "busy idle actors",
															   ALLOCSET_SMALL_SIZES);
		passed_over = actor_ref_table("busy idle actors", &ctl);
	}
	entry = hash_search(passed_over, actor, HASH_FIND, NULL);
	if (entry == NULL)
	{
		/* the texts first, which the entry needs from its beginning */
		old = MemoryContextSwitchTo(passed_over_context);
		copy.type = (text *) pg_detoast_datum_copy((struct varlena *) actor->type);
		copy.id = (text *) pg_detoast_datum_copy((struct varlena *) actor->id);
		MemoryContextSwitchTo(old);
		entry = hash_search(passed_over, &copy, HASH_ENTER, NULL);
	}
	namestrcpy(&entry->owner, NameStr(*owner));
}

static int64
idle_timeout(const ActorRef *actor)
{
	ActorType  *type = actor_type_find(actor->type);

	return type != NULL ? actor_type_idle_timeout(type) : 0;
}

/*
 * Takes the turn of an actor and locks its rows, if the turn and all of them
 * are free and the actor has not been used since it was seen.
 */
static bool
claim(const ActorDue *due)
{
	ActorBookkeeping bookkeeping;
	Datum		values[5];
	bool		found;
	bool		claimed;

	/*
	 * what this transaction has done with it is a use, which is written at
	 * its end
	 */
	if (actor_turn_is_entered(&due->actor) ||
		!actor_turn_try_enter(&due->actor, due->name))
		return false;
	if (actor_pause_share(&due->actor) != ACTOR_NOT_PAUSED ||
		!actor_turn_try_claim(&due->actor))
	{
		actor_turn_leave(&due->actor);
		return false;
	}
	values[0] = PointerGetDatum(due->actor.type);
	values[1] = PointerGetDatum(due->actor.id);
	values[2] = TimestampTzGetDatum(due->scheduled_at);
	/* an open turn is a use until it ends, by itself perhaps */
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp() - idle_timeout(&due->actor));
	values[4] = TimestampTzGetDatum(actor_activation_start());
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&claim_idle, values, NULL) == 1;
	claimed = found &&
		actor_query_run(&read_timers, values, NULL) ==
		actor_query_run(&lock_timers, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	if (found)
		actor_turn_set_entered(&due->actor);
	else
		actor_turn_leave(&due->actor);
	return claimed;
}

/*
 * Whether the type of an actor, whose turn was just taken, still belongs to the current
 * user: otherwise the hook is somebody else's by now.
 */
static bool
is_owner(const ActorRef *actor)
{
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_find(actor->type);
	return type != NULL && type->owner_oid == GetUserId();
}

static void
run_hook(void *arg)
{
	actor_hook_run(arg, HOOK_DEACTIVATE);
	actor_callback_settle();
}

/*
 * actor_idle_fire
 *		Deactivates an idle actor as the current user, who owns its type.
 *
 * Never waits for the actor.  One that cannot be deactivated now is done with,
 * too, until the next look.
 */
ActorFiringResult
actor_idle_fire(const ActorDue *due, const ActorFireMode *mode)
{
	ActorFiringResult result = FIRING_DONE;
	ErrorData  *error = NULL;
	NameData	role;

	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	if (!claim(due) || !is_owner(&due->actor))
	{
		pass_over(&due->actor, &role);
		return FIRING_DONE;
	}
	if (actor_hook_exists(&due->actor, HOOK_DEACTIVATE))
		result = actor_callback_run(due, mode, run_hook,
									unconstify(ActorRef *, &due->actor), &error);
	if (result != FIRING_DONE && result != FIRING_FAILED)
		return result;
	actor_deactivated(&due->actor, &role, due->next_try_at, error);
	return result;
}

/*
 * actor_idle_deactivate
 *		Deactivates an idle actor without running its hook, for the reason that
 *		the error tells.  False if that cannot be done now.
 */
bool
actor_idle_deactivate(const ActorDue *due, const NameData *role, const ErrorData *error)
{
	if (!claim(due))
	{
		pass_over(&due->actor, role);
		return false;
	}
	/* without a hook nothing is lost */
	if (!actor_hook_exists(&due->actor, HOOK_DEACTIVATE))
		error = NULL;
	actor_deactivated(&due->actor, role, due->next_try_at, error);
	return true;
}

/* starting -------------------------------------------------------------- */

/*
 * actor_idle_forget_starts
 *		Removes what earlier starts of the server have left.  Called before
 *		anything fires; does not wait for those who are about to do the same
 *		with the actor they have entered.
 */
void
actor_idle_forget_starts(void)
{
	ActorBookkeeping bookkeeping;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&forget_activations, NULL, NULL);
	(void) actor_query_run(&forget_timers, NULL, NULL);
	actor_bookkeeping_end(&bookkeeping);
}
