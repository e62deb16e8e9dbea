/*-------------------------------------------------------------------------
 *
 * invoke.c
 *		actor_invoke: the order of the steps of a call.
 *
 * IDENTIFICATION
 *		src/call/invoke.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "stat/stat.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/internal.h"

PG_FUNCTION_INFO_V1(actor_invoke);

ActorBeginLife actor_begin_life = NULL;

/*
 * actor_check_can_write
 *		Refuses a writing method where nothing can be written.
 */
void
actor_check_can_write(const ActorRef *actor, const text *method)
{
	const ActorFrame *frame = actor_frame_current();

	if (XactReadOnly || (frame != NULL && !frame->writing))
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot call writing method \"%s\" of actor type \"%s\" %s",
						text_to_cstring(method), text_to_cstring(actor->type),
						RecoveryInProgress() ? "during recovery" :
						frame != NULL && !frame->writing ? "from a read-only method" :
						"in a read-only transaction"),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 frame != NULL && !frame->writing && !RecoveryInProgress() ?
				 errhint("Declare method \"%s\" VOLATILE if it is to write, or method \"%s\" STABLE if it is not.",
						 text_to_cstring(frame->method), text_to_cstring(method)) :
				 errhint("Methods that do not write are declared STABLE or IMMUTABLE.")));
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot call writing method \"%s\" of actor type \"%s\" in a transaction with isolation level %s",
						text_to_cstring(method), text_to_cstring(actor->type),
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("Use READ COMMITTED. The snapshot of the transaction is older than the turn, "
						 "and turns are serial for each actor at every level.")));
}

/*
 * Finds the method and makes sure that the current user may call it.
 */
static ActorMethod *
resolve(const text *type_name, const text *method_name, ActorType **type)
{
	ActorMethod *method;

	AcceptInvalidationMessages();
	*type = actor_type_lookup(type_name);
	actor_type_check_usage(*type);
	method = actor_method_lookup(*type, method_name);
	actor_method_check_acl(method);
	return method;
}

/*
 * actor_choose_method
 *		The name of the method of that name, or of another one if a type has only
 *		that.  Raises what a call by the current user would raise before the
 *		method is looked for.
 */
text *
actor_choose_method(const text *type_name, text *name, const char *other)
{
	ActorType  *type;
	text	   *other_name;

	AcceptInvalidationMessages();
	type = actor_type_lookup(type_name);
	actor_type_check_usage(type);
	if (actor_method_exists(type, name))
		return name;
	other_name = cstring_to_text(other);
	return actor_method_exists(type, other_name) ? other_name : name;
}

/*
 * actor_check_call
 *		Raises what a call of that method with that payload by the current user
 *		would raise before anything runs.  Returns the schema of the type, and
 *		sets whether the method is one of an application.  The id is that of the
 *		actor; NULL: it is not known yet.
 */
Oid
actor_check_call(const text *type_name, const text *id, text *method_name, Jsonb *payload,
				 bool *hosted)
{
	ActorType  *type;
	ActorMethod *method;
	Oid			schema;

	AcceptInvalidationMessages();
	type = actor_type_lookup(type_name);
	schema = type->schema_oid;
	actor_type_check_usage(type);
	*hosted = actor_method_is_hosted(type, method_name);
	if (*hosted)
	{
		/* only the application knows which methods it has, and what they take */
		actor_check_text(method_name, false, "method", ACTOR_MAX_NAME_LEN);
		if (id != NULL)
			actor_hosted_check_name(id, "actor id");
		return schema;
	}
	method = actor_method_lookup(type, method_name);
	actor_method_check_acl(method);
	actor_payload_check(actor_method_function(method), payload);
	return schema;
}

/*
 * actor_frame_run
 *		Runs a method, or a hook, in a frame that is filled in.  The result is
 *		NULL for SQL NULL.
 */
Jsonb *
actor_frame_run(ActorFrame *frame, ActorMethod *method, Jsonb *payload)
{
	Jsonb	   *result = NULL;

	actor_frame_push(frame);
	PG_TRY();
	{
		result = actor_payload_call(actor_method_function(method), payload);
	}
	PG_CATCH();
	{
		actor_activity_ran(frame, actor_method_stat(method), true);
		actor_frame_abandon(frame);
		PG_RE_THROW();
	}
	PG_END_TRY();
	actor_activity_ran(frame, actor_method_stat(method), false);
	actor_frame_pop(frame);
	if (frame->history != ACTOR_HISTORY_OFF)
		actor_record_end(frame);
	/* what writes is answered by its commit */
	if (frame->caller == NULL && !frame->writing)
		actor_early_answer();
	return result;
}

/*
 * Refuses a request id where it has no use.
 */
static void
check_request(const ActorFrame *frame)
{
	if (frame->writing)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot use a request id with read-only method \"%s\" of actor type \"%s\"",
					text_to_cstring(frame->method), text_to_cstring(frame->actor.type)),
			 errhint("Read-only methods can be called again without harm.")));
}

/*
 * actor_call
 *		Calls a method of an actor, in its turn if it writes or if there is a
 *		cause, and returns the result, NULL for SQL NULL, in the current memory
 *		context.
 *
 * Rights are checked before any lock, so that a stranger cannot hold up an
 * actor.  The reentrancy id is NULL for a call that brings none, the request
 * id for one that is not repeatable, the cause for a plain call.
 */
Jsonb *
actor_call(const ActorRef *actor, const text *method_name, Jsonb *payload,
		   const pg_uuid_t *reentrancy_id, text *request_id,
		   const ActorCause *cause)
{
	ActorType  *type;
	ActorMethod *method;
	ActorFrame	frame;
	Jsonb	   *result;

	check_stack_depth();
	frame.actor = *actor;
	frame.method = method_name;
	frame.cause = cause;
	frame.given_id = reentrancy_id;
	frame.generation = actor_catalog_generation();

	method = resolve(actor->type, method_name, &type);
	actor_frame_check_reentry(actor, type, method_name);
	if (actor_method_writes(method) || cause != NULL)
	{
		actor_check_can_write(actor, method_name);

		/*
		 * what was true before the wait, or the hook, need not be true after
		 * it
		 */
		if (actor_lease_enter(actor, method_name, actor_type_call_timeout(type),
							  reentrancy_id))
			method = resolve(actor->type, method_name, &type);
		/* whoever fires has asked before, see firing.c */
		if (cause == NULL && !actor_turn_is_used(actor))
			actor_pause_check(actor, method_name);
		/* looking at the actor may have shown that something has changed */
		if (frame.generation != actor_catalog_generation())
			method = resolve(actor->type, method_name, &type);
		if (actor_begin_life(actor, type, frame.generation))
			method = resolve(actor->type, method_name, &type);
	}
	frame.schema = type->schema_oid;
	frame.cached = type->row.hosted;
	frame.writing = actor_method_writes(method);
	frame.history = ACTOR_HISTORY_OFF;
	if ((type->row.history != ACTOR_HISTORY_OFF || actor_noting) && (frame.writing || cause != NULL))
		actor_record_begin(&frame, type);
	if (request_id == NULL)
		return actor_frame_run(&frame, method, payload);

	check_request(&frame);
	if (!actor_request_find(actor, request_id, method_name, payload, &result))
	{
		result = actor_frame_run(&frame, method, payload);
		actor_request_store(actor, request_id, method_name, payload, result);
		actor_type_check_same(actor->type, frame.schema, frame.generation);
	}
	return result;
}

Datum
actor_invoke(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	text	   *method;
	Jsonb	   *payload = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	pg_uuid_t  *reentrancy_id = PG_ARGISNULL(4) ? NULL : PG_GETARG_UUID_P(4);
	text	   *request_id = NULL;
	Jsonb	   *result;

	actor_ref_arguments(&actor, fcinfo);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("method must not be null")));
	method = PG_GETARG_TEXT_PP(2);
	if (!PG_ARGISNULL(5))
		request_id = actor_text_argument(fcinfo, 5, "request id", ACTOR_MAX_NAME_LEN);
	PreventCommandIfParallelMode("actor_invoke()");

	result = actor_call(&actor, method, payload, reentrancy_id, request_id, NULL);
	if (result == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(result);
}
