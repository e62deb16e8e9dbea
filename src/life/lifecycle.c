/*-------------------------------------------------------------------------
 *
 * lifecycle.c
 *		Life of an actor: activation, hooks, deactivation, deletion.
 *
 * An actor is active while it has a row in actor.activation that was made
 * since this server was started.  The table is unlogged, so a crash or a
 * failover empties it; rows that have survived an orderly restart show by the
 * start of the server they carry, which is compared for equality only.  Timers
 * live in another unlogged table, and only as long as their actor is active:
 * whoever writes one has the turn, and has activated the actor in it.
 *
 *	 none --first call that takes the turn--> active (on_activate runs)
 *	 active --idle, actor_deactivate, actor_delete--> none (on_deactivate runs)
 *	 active --crash, restart, failover--> none
 *
 * Both ways are gone in the actor's turn, in the transaction of whoever takes
 * it, and are undone with it.  So what is known of a held turn is enough to
 * look at the row only once in a transaction; see actor_turn_known.
 *
 * The time of the last use is written lazily: not more often than twice in an
 * interval of the scan for idle actors, which allows for that; see idle.c.
 *
 * Lock order: the actor's turn, then its rows.
 *
 * IDENTIFICATION
 *		src/life/lifecycle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"

PG_FUNCTION_INFO_V1(actor_deactivate);
PG_FUNCTION_INFO_V1(actor_delete);

static ActorQuery write_activation = {
	"INSERT INTO actor.activation"
	"  (actor_type, actor_id, server_start, activated_at, last_used_at)"
	" VALUES ($1, $2, $4, $3, $3)"
	" ON CONFLICT (actor_type, actor_id) DO UPDATE SET"
	"  server_start = EXCLUDED.server_start,"
	"  activated_at = EXCLUDED.activated_at,"
	"  last_used_at = EXCLUDED.last_used_at,"
	"  reentrancy_id = NULL,"
	"  turn_expires_at = NULL",
	4, {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

#define DELETE_FROM(table) \
	{"DELETE FROM " table \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2", \
	2, {TEXTOID, TEXTOID}}

static ActorQuery read_timers = {
	"SELECT FROM actor.timer"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2 LIMIT 1",
	2, {TEXTOID, TEXTOID}
};

/* what ends with the activation, and what only with the actor */
static ActorQuery delete_timers = DELETE_FROM("actor.timer");
static ActorQuery delete_activation = DELETE_FROM("actor.activation");

static ActorQuery delete_lasting[] = {
	DELETE_FROM("actor.state"),
	DELETE_FROM("actor.reminder"),
	DELETE_FROM("actor.pause"),
	DELETE_FROM("actor.promise"),
	DELETE_FROM("actor.subscription"),
	DELETE_FROM("actor.event")
};

/* what a request id stands for outlives the actor */
static ActorQuery delete_messages = {
	"DELETE FROM actor.message"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	" RETURNING message_id, request_id",
	2, {TEXTOID, TEXTOID}
};

/* a message that is deleted */
typedef struct DeletedMessage
{
	int64		id;
	text	   *request_id;		/* NULL: none */
} DeletedMessage;

ActorLifeEnded actor_life_ended = NULL;

/* idle time ------------------------------------------------------------- */

/*
 * actor_idle_limit
 *		When an actor that is not used again has been idle for long enough.
 */
TimestampTz
actor_idle_limit(const ActorType *type, TimestampTz last_used_at)
{
	return last_used_at + actor_type_idle_timeout(type) +
		actor_type_scan_interval(type) / 2;
}

/*
 * actor_idle_deadline
 *		When an actor that is not used again will be found to be idle.
 */
TimestampTz
actor_idle_deadline(const ActorType *type, TimestampTz last_used_at)
{
	return actor_grid_point(actor_idle_limit(type, last_used_at), actor_type_scan_interval(type));
}

/* hooks ----------------------------------------------------------------- */

/*
 * actor_hook_run
 *		Runs a hook as the current user, in a frame of its own; nothing happens
 *		if the type has none.  The turn is held.
 */
void
actor_hook_run(const ActorRef *actor, ActorHookKind kind)
{
	static const ActorCause causes[] = {{"activate"}, {"deactivate"}};
	ActorFrame	frame;
	ActorType  *type;
	ActorMethod *hook;

	frame.generation = actor_catalog_generation();
	type = actor_type_lookup(actor->type);
	hook = actor_hook_lookup(type, kind);
	if (hook == NULL)
		return;
	frame.actor = *actor;
	frame.method = cstring_to_text(actor_hook_name(kind));
	frame.writing = actor_method_writes(hook);
	frame.cause = &causes[kind];
	frame.given_id = NULL;
	frame.schema = type->schema_oid;
	frame.cached = type->row.hosted;
	frame.history = ACTOR_HISTORY_OFF;
	if (type->row.history != ACTOR_HISTORY_OFF || actor_noting)
		actor_record_begin(&frame, type);
	(void) actor_frame_run(&frame, hook, NULL);
}

/*
 * The role that runs a hook for somebody who does not call a method of the
 * actor: the current user, but never a superuser for an owner who is none, since
 * to repair the state of an actor, or to end its life, is not to ask for code of
 * its type's owner.
 */
static Oid
hook_role(const ActorType *type)
{
	return !superuser() || superuser_arg(type->owner_oid) ? GetUserId() : type->owner_oid;
}

/*
 * Runs a hook as a role.  For another one than the current user it is a
 * security-restricted operation, as index functions are when a superuser
 * maintains somebody's table: nothing can be put off until the superuser is
 * back.  After an error, the abort of the (sub)transaction restores all of this.
 */
static void
run_hook_as(const ActorRef *actor, ActorHookKind kind, Oid role)
{
	Oid			userid;
	int			sec_context;
	int			nestlevel;

	GetUserIdAndSecContext(&userid, &sec_context);
	if (role == userid)
	{
		actor_hook_run(actor, kind);
		return;
	}
	SetUserIdAndSecContext(role, sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	actor_hook_run(actor, kind);
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, sec_context);
}

/*
 * actor_hook_exists
 *		Whether the type of an actor has a hook that can be run.
 */
bool
actor_hook_exists(const ActorRef *actor, ActorHookKind kind)
{
	ActorType  *type = actor_type_find(actor->type);

	return type != NULL && actor_hook_lookup(type, kind) != NULL;
}

/* activation ------------------------------------------------------------ */

/*
 * actor_remove_timers
 *		Removes the timers of an actor, whose turn is held.  The lock on the table that comes with that
 *		would hold up whoever unregisters a type, so it is only taken if need be.
 */
void
actor_remove_timers(const ActorRef *actor)
{
	Datum		values[2];

	if (actor_query_for_actor(&read_timers, actor, values) > 0)
		(void) actor_query_for_actor(&delete_timers, actor, values);
}

static void
activation_error_context(void *arg)
{
	const ActorRef *actor = arg;

	actor_turn_explain_error();
	errcontext("activating actor \"%s\" of type \"%s\"",
			   text_to_cstring(actor->id), text_to_cstring(actor->type));
}

/*
 * Makes an actor active, or resets its idle clock.  Returns whether it was not
 * active before.  A use of an actor that needs no life may leave it without.
 */
static bool
enter_life(const ActorRef *actor, ActorType *type, bool needed)
{
	ActorActivation seen;
	TimestampTz now;
	Datum		values[4];
	ErrorContextCallback errcallback;
	bool		activated;

	errcallback.callback = activation_error_context;
	errcallback.arg = unconstify(ActorRef *, actor);
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	actor_activation_look(actor, &seen);
	activated = !seen.active && (needed || !actor_activation_lazy(type));

	/*
	 * worth a write only now and then; at the end of the transaction, which
	 * is the end of the use, and whatever becomes of the method
	 */
	if (seen.active)
		actor_turn_used(actor, seen.last_used_at + actor_type_scan_interval(type) / 2);
	if (activated)
	{
		actor_active_note(actor);
		now = GetCurrentTimestamp();
		values[2] = TimestampTzGetDatum(now);
		values[3] = TimestampTzGetDatum(actor_activation_start());
		(void) actor_query_for_actor(&write_activation, actor, values);
		/* those of an earlier start of the server must not come to life again */
		actor_remove_timers(actor);
		actor_turn_used(actor, now + actor_type_scan_interval(type) / 2);
		actor_wake_at(actor_idle_deadline(type, now));
		memset(&seen, 0, sizeof(seen));
		seen.active = true;
		seen.last_used_at = now;
	}
	seen.used = true;
	actor_turn_know(actor, &seen);
	error_context_stack = errcallback.previous;
	return activated;
}

/*
 * Makes sure that an actor, whose turn is held, is active, if that is needed or its
 * type does not leave it, and that this counts as a use of it.  The caller of a method
 * runs on_activate, for anything else the one who may.
 */
static bool
activate(const ActorRef *actor, ActorType *type, uint64 generation, bool for_call, bool needed)
{
	/* known before the hook runs, which may call methods of the actor itself */
	if (!enter_life(actor, type, needed))
		return false;
	actor_type_check_same(actor->type, type->schema_oid, generation);
	/* the type may have another owner by now */
	run_hook_as(actor, HOOK_ACTIVATE,
				for_call ? GetUserId() : hook_role(actor_type_lookup(actor->type)));
	return true;
}

/*
 * actor_activate
 *		Makes sure that an actor, whose turn is held, is active, and that this
 *		counts as a use of it, for something else than a call of a method.
 *
 * The type was found at the generation.  Returns whether the actor has been
 * activated by that, in which case what the caller knows about the type and
 * its methods may be out of date.  Raises what on_activate raises.
 */
bool
actor_activate(const ActorRef *actor, ActorType *type, uint64 generation)
{
	return !actor_turn_is_active(actor) &&
		activate(actor, type, generation, false, true);
}

/*
 * actor_use
 *		The same for what needs no activation: the actor stays without if that
 *		makes no difference to its type.
 */
bool
actor_use(const ActorRef *actor, ActorType *type, uint64 generation)
{
	return !actor_turn_is_used(actor) &&
		activate(actor, type, generation, false, false);
}

/*
 * The same for a call, which asks for code of the owner anyway.
 */
static bool
use_for_call(const ActorRef *actor, ActorType *type, uint64 generation)
{
	return !actor_turn_is_used(actor) && activate(actor, type, generation, true, false);
}

void
actor_lifecycle_init(void)
{
	actor_begin_life = use_for_call;
}

/* deactivation ---------------------------------------------------------- */

/*
 * actor_deactivated
 *		Ends the activation of an actor, whose turn is held, after its hook has
 *		run as a role, if it has one.  An error of the hook is logged and
 *		written down.
 */
void
actor_deactivated(const ActorRef *actor, const NameData *role, TimestampTz scheduled_at,
				  const ErrorData *error)
{
	static const ActorActivation none = {false};
	static const ActorCause cause = {"deactivate"};
	ActorType  *type = actor_type_find(actor->type);
	Datum		values[2];

	(void) actor_query_for_actor(&delete_activation, actor, values);
	actor_remove_timers(actor);
	actor_turn_know(actor, &none);
	actor_lease_ended(actor);
	if (type != NULL && type->row.hosted)
		actor_life_ended(actor);
	if (error != NULL)
	{
		ActorFailure failure;

		memset(&failure, 0, sizeof(failure));
		failure.kind = "deactivate";
		failure.name = failure.method = cstring_to_text(actor_hook_name(HOOK_DEACTIVATE));
		failure.scheduled_at = scheduled_at;
		failure.attempts = 1;
		actor_record_failure(actor, failure.method, &cause, role, GetCurrentTimestamp(), error);
		/* a client gets it too */
		actor_failure_log(MyBackendType == B_BG_WORKER ? LOG : WARNING, actor,
						  "hook", failure.name, failure.name, error,
						  "The actor was deactivated all the same.");
		actor_failure_write(actor, &failure, role, error);
	}
}

/* on_deactivate, for somebody who ends the life of an actor */
typedef struct Ending
{
	ActorRef   *actor;
	Oid			role;			/* that runs the hook */
} Ending;

static void
run_on_deactivate(void *arg)
{
	Ending	   *ending = arg;

	run_hook_as(ending->actor, HOOK_DEACTIVATE, ending->role);
}

/*
 * actor_end_life
 *		Deactivates an actor, whose turn is held; false if it is not active.
 */
bool
actor_end_life(ActorRef *actor)
{
	ErrorData  *error = NULL;
	Ending		ending = {actor, GetUserId()};
	NameData	role;

	if (!actor_is_active(actor))
		return false;
	if (actor_hook_exists(actor, HOOK_DEACTIVATE))
	{
		ending.role = hook_role(actor_type_lookup(actor->type));
		error = actor_attempt(run_on_deactivate, &ending);
	}
	/* whoever cancels the statement means all of it */
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	actor_role_use(ending.role, &role);
	actor_deactivated(actor, &role, GetCurrentTimestamp(), error);
	return true;
}

/*
 * Refuses to end the life of an actor while that begins or ends.
 */
static void
check_not_in_hook(const ActorRef *actor)
{
	for (ActorFrame *frame = actor_frame_current(); frame != NULL; frame = frame->caller)
		if (frame->cause != NULL && frame->cause->name == NULL &&
			actor_ref_equal(&frame->actor, actor))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("actor \"%s\" of type \"%s\" is being activated or deactivated",
							text_to_cstring(actor->id), text_to_cstring(actor->type)),
					 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
}

/*
 * Takes the turn of the actor that the arguments name, for somebody who may
 * end its life: the owner of the type, or a method of the actor itself.
 */
static void
enter_to_end(ActorRef *actor, FunctionCallInfo fcinfo, const char *function)
{
	ActorFrame *frame = actor_frame_current();
	uint64		generation = actor_catalog_generation();
	ActorType  *type;
	bool		own_turn;
	int			timeout;

	actor_ref_arguments(actor, fcinfo);
	AcceptInvalidationMessages();
	own_turn = frame != NULL && actor_ref_equal(&frame->actor, actor);
	if (!own_turn)
		actor_type_require_owner(actor->type);
	check_not_in_hook(actor);
	PreventCommandIfReadOnly(function);
	actor_frame_check_writing(function);
	PreventCommandIfParallelMode(function);
	actor_turn_check_isolation("end the life of an actor");

	type = actor_type_get(actor->type);
	if (!own_turn)
		actor_frame_check_reentry(actor, type, NULL);
	timeout = actor_type_call_timeout(type);
	(void) actor_turn_enter(actor, NULL, timeout);
	(void) actor_turn_claim(actor, NULL, timeout);
	/* who was the owner before the wait need not be it after it */
	AcceptInvalidationMessages();
	if (!own_turn && generation != actor_catalog_generation())
		actor_type_require_owner(actor->type);
	/* also if a chain has opened it, which ends here */
	actor_turn_set_entered(actor);
}

Datum
actor_deactivate(PG_FUNCTION_ARGS)
{
	ActorRef	actor;

	enter_to_end(&actor, fcinfo, "actor_deactivate()");
	PG_RETURN_BOOL(actor_end_life(&actor));
}

static void *
read_deleted(uint64 row)
{
	DeletedMessage *message = palloc(sizeof(DeletedMessage));
	bool		isnull;
	Datum		value;

	message->id = DatumGetInt64(actor_query_result(row, 1, &isnull));
	value = actor_query_result(row, 2, &isnull);
	message->request_id = isnull ? NULL : DatumGetTextPCopy(value);
	return message;
}

/*
 * Deletes the messages to an actor; returns whether there were any.
 */
static bool
cancel_messages(const ActorRef *actor)
{
	Datum		values[2] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};
	List	   *deleted = actor_query_list(&delete_messages, values, read_deleted);
	ListCell   *cell;

	foreach(cell, deleted)
	{
		DeletedMessage *message = lfirst(cell);

		if (message->request_id != NULL)
			actor_request_cancelled(actor, message->request_id, message->id);
	}
	return deleted != NIL;
}

Datum
actor_delete(PG_FUNCTION_ARGS)
{
	static const ActorCause cause = {"delete"};
	ActorRef	actor;
	ActorFrame	frame;
	ActorType  *type;
	Datum		values[2];
	bool		found;

	enter_to_end(&actor, fcinfo, "actor_delete()");
	found = actor_end_life(&actor);
	memset(&frame, 0, sizeof(frame));
	frame.actor = actor;
	frame.cause = &cause;
	type = actor_type_get(actor.type);
	if (type->row.history != ACTOR_HISTORY_OFF || actor_noting)
		actor_record_begin(&frame, type);
	if (frame.history == ACTOR_HISTORY_CHANGES)
		actor_record_removals(&frame);
	for (int i = 0; i < lengthof(delete_lasting); i++)
		found |= actor_query_for_actor(&delete_lasting[i], &actor, values) > 0;
	found |= cancel_messages(&actor);
	if (found && frame.history != ACTOR_HISTORY_OFF)
		actor_record_end(&frame);
	PG_RETURN_BOOL(found);
}
