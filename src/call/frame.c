/*-------------------------------------------------------------------------
 *
 * frame.c
 *		Frames: beginning and ending methods, and what SQL sees of those that run.
 *
 * The frames of a session are the list of chain.c.  They live on the C stack.
 * A frame is popped by the function that pushed it, also when the method raises
 * an error; the callback for aborted subtransactions makes sure of it.
 *
 * IDENTIFICATION
 *		src/call/frame.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "stat/stat.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/internal.h"

PG_FUNCTION_INFO_V1(actor_type);
PG_FUNCTION_INFO_V1(actor_id);
PG_FUNCTION_INFO_V1(actor_method);
PG_FUNCTION_INFO_V1(actor_reentrancy_id);
PG_FUNCTION_INFO_V1(actor_call_chain);
PG_FUNCTION_INFO_V1(actor_cause);

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);

void
actor_frame_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/*
 * Counts a method of an application as failed, whose effects are rolled back.
 */
static void
count_failed(const ActorFrame *frame)
{
	ActorStatRef ref = {0, 0};

	if (frame->hosted)
		actor_activity_ran(frame, &ref, true);
}

/*
 * Nothing of a method is committed before the application has answered.
 */
static void
refuse_to_commit(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("method \"%s\" of actor \"%s\" of type \"%s\" has not ended",
					text_to_cstring(actor_current_frame->method),
					text_to_cstring(actor_current_frame->actor.id),
					text_to_cstring(actor_current_frame->actor.type)),
			 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL)),
			 errhint("A host ends it with %s before it commits.", "actor.host_exit()")));
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			if (actor_current_frame != NULL)
				refuse_to_commit();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			Assert(event == XACT_EVENT_ABORT || actor_current_frame == NULL);
			for (; actor_current_frame != NULL; actor_current_frame = actor_current_frame->caller)
				count_failed(actor_current_frame);
			actor_current_frame = NULL;
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	/*
	 * Frames on the C stack have been popped on the way here; be sure of it.
	 * Those of applications end with the savepoint.
	 */
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (actor_current_frame != NULL && actor_current_frame->subid >= subid)
		{
			count_failed(actor_current_frame);
			actor_frame_abandon(actor_current_frame);
		}
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
		for (ActorFrame *frame = actor_current_frame;
			 frame != NULL && frame->subid >= subid; frame = frame->caller)
			frame->subid = parent;
}

/*
 * actor_frame_check_reentry
 *		Refuses a call to an actor that has a writing frame on the stack:
 *		always, unless its type is reentrant; otherwise beyond a depth.
 *
 * Raises object_in_use or program_limit_exceeded.  Nothing has been taken.
 *
 * A writing frame is in the turn of its actor, which was entered before and lasts
 * longer.  So there is none where the turn was not entered, and a long chain of
 * different actors is not walked along at each of its calls.
 */
void
actor_frame_check_reentry(const ActorRef *actor, const ActorType *type, const text *method)
{
	int			depth = 0;
	bool		writing = false;

	if (actor_current_frame == NULL || !actor_turn_is_entered(actor))
		return;
	for (ActorFrame *frame = actor_current_frame; frame != NULL; frame = frame->caller)
	{
		if (!actor_ref_equal(&frame->actor, actor))
			continue;
		depth++;
		writing |= frame->writing;
	}
	if (!writing)
		return;

	if (!actor_type_reentrant(type) || depth >= actor_type_max_stack_depth(type))
		actor_stat_refused(actor, method);
	if (!actor_type_reentrant(type))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("actor \"%s\" of type \"%s\" is already in a call of this chain",
						text_to_cstring(actor->id), text_to_cstring(actor->type)),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("Register the type with reentrancy => true to allow it.")));
	if (depth >= actor_type_max_stack_depth(type))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg_plural("actor \"%s\" of type \"%s\" is on the call stack %d time already",
							   "actor \"%s\" of type \"%s\" is on the call stack %d times already",
							   depth,
							   text_to_cstring(actor->id), text_to_cstring(actor->type),
							   depth),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("The type's max_stack_depth or \"%s\" limit the depth.",
						 "actor.max_stack_depth")));
}

/* frames ---------------------------------------------------------------- */

/*
 * Whether the error that is being raised has a detail or a hint already.
 */
static bool
error_is_explained(void)
{
	MemoryContext old = MemoryContextSwitchTo(CurTransactionContext);
	ErrorData  *error = CopyErrorData();
	bool		explained = error->detail != NULL || error->hint != NULL;

	FreeErrorData(error);
	MemoryContextSwitchTo(old);
	return explained;
}

/*
 * Says why nothing can be written, if that is because of the running method and
 * not of the transaction.
 */
static void
explain_read_only(const ActorFrame *frame)
{
	const ActorFrame *outermost = frame;

	while (outermost->caller != NULL && !outermost->caller->writing)
		outermost = outermost->caller;
	if (frame->writing || outermost->saved_read_only || error_is_explained())
		return;
	errdetail("Method \"%s\" of actor type \"%s\" is declared STABLE or IMMUTABLE, so it must not write.",
			  text_to_cstring(frame->method), text_to_cstring(frame->actor.type));
	errhint("Declare it VOLATILE if it is to write.");
}

static void
frame_error_context(void *arg)
{
	ActorFrame *frame = arg;

	if (geterrcode() == ERRCODE_READ_ONLY_SQL_TRANSACTION && frame == actor_current_frame)
		explain_read_only(frame);
	errcontext("method \"%s\" of actor \"%s\" of type \"%s\"",
			   text_to_cstring(frame->method), text_to_cstring(frame->actor.id),
			   text_to_cstring(frame->actor.type));
}

/*
 * Finds the chain that a frame, which is about to be the innermost one, belongs
 * to.
 */
static void
begin_chain(ActorFrame *frame)
{
	frame->chain = frame;
	frame->has_id = frame->given_id != NULL;
	if (frame->has_id)
		frame->id = *frame->given_id;
	else if (actor_current_frame != NULL)
		frame->chain = actor_current_frame->chain;
}

/*
 * actor_frame_push
 *		Makes a method the running one, on a snapshot of its own.
 *
 * For a read-only method the transaction becomes read-only, whatever the
 * functions it calls are declared as, and all read-only frames of a chain see
 * the snapshot of the outermost one.
 */
void
actor_frame_push(ActorFrame *frame)
{
	frame->caller = actor_current_frame;
	frame->depth = actor_current_frame != NULL ? actor_current_frame->depth + 1 : 1;
	frame->subid = GetCurrentSubTransactionId();
	frame->saved_read_only = XactReadOnly;
	frame->snapshot = NULL;
	frame->hosted = false;

	if (!frame->writing && actor_current_frame != NULL && !actor_current_frame->writing)
	{
		PushActiveSnapshot(actor_current_frame->snapshot);
		frame->snapshot = actor_current_frame->snapshot;
	}
	else
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (!frame->writing)
			frame->snapshot = GetActiveSnapshot();
	}
	if (!frame->writing)
	{
		actor_early_look(&frame->actor);
		XactReadOnly = true;
	}

	begin_chain(frame);
	actor_current_frame = frame;
	actor_activity_push(frame);

	frame->errcallback.callback = frame_error_context;
	frame->errcallback.arg = frame;
	frame->errcallback.previous = error_context_stack;
	error_context_stack = &frame->errcallback;
}

/*
 * actor_frame_pop
 *		Ends a frame after its method has returned.
 */
void
actor_frame_pop(ActorFrame *frame)
{
	Assert(actor_current_frame == frame);
	PopActiveSnapshot();
	error_context_stack = frame->errcallback.previous;
	actor_frame_abandon(frame);
}

/*
 * actor_frame_abandon
 *		Ends a frame after an error.  The snapshot is popped by the abort that
 *		follows.
 */
void
actor_frame_abandon(ActorFrame *frame)
{
	actor_current_frame = frame->caller;
	actor_activity_pop(frame);
	if (!frame->writing)
		XactReadOnly = frame->saved_read_only;
}

/* methods of applications ------------------------------------------------ */

/*
 * actor_frame_begin_hosted
 *		Begins a method that an application runs, while the session does what the
 *		application asks for.
 *
 * The frame, which is filled in as for other methods, must last as long as the
 * transaction.  It ends with the subtransaction that it began in at the latest,
 * and has no snapshot and no place in the context of errors.
 */
void
actor_frame_begin_hosted(ActorFrame *frame)
{
	frame->caller = actor_current_frame;
	frame->depth = actor_current_frame != NULL ? actor_current_frame->depth + 1 : 1;
	frame->subid = GetCurrentSubTransactionId();
	frame->saved_read_only = XactReadOnly;
	frame->snapshot = NULL;
	frame->writing = frame->hosted = true;
	frame->cached = false;
	begin_chain(frame);
	actor_current_frame = frame;
	actor_activity_push(frame);
}

/*
 * Shows the frames down to one of them again, after that has left from below.
 */
static void
show_again(ActorFrame *frame, const ActorFrame *last)
{
	instr_time	started = frame->started;

	if (frame->caller != last)
		show_again(frame->caller, last);
	frame->depth--;
	actor_activity_push(frame);
	frame->started = started;
}

/*
 * actor_frame_end_hosted
 *		Ends a method of an application, which has returned.  It need not be the
 *		innermost one, since an application may run several at a time.
 */
void
actor_frame_end_hosted(ActorFrame *frame)
{
	ActorFrame *inner = actor_current_frame;

	actor_activity_pop(frame);
	if (inner == frame)
	{
		actor_current_frame = frame->caller;
		return;
	}
	show_again(inner, frame);
	while (inner->caller != frame)
		inner = inner->caller;
	inner->caller = frame->caller;
}

/* SQL functions --------------------------------------------------------- */

Datum
actor_type(PG_FUNCTION_ARGS)
{
	if (actor_current_frame == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pg_detoast_datum_copy((struct varlena *) actor_current_frame->actor.type));
}

Datum
actor_id(PG_FUNCTION_ARGS)
{
	if (actor_current_frame == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pg_detoast_datum_copy((struct varlena *) actor_current_frame->actor.id));
}

Datum
actor_method(PG_FUNCTION_ARGS)
{
	if (actor_current_frame == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pg_detoast_datum_copy((struct varlena *) actor_current_frame->method));
}

Datum
actor_reentrancy_id(PG_FUNCTION_ARGS)
{
	ActorFrame *chain;
	pg_uuid_t  *result;

	if (actor_current_frame == NULL)
		PG_RETURN_NULL();
	chain = actor_current_frame->chain;
	if (!chain->has_id)
	{
		chain->id = *DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
		chain->has_id = true;
	}
	result = palloc(sizeof(pg_uuid_t));
	*result = chain->id;
	PG_RETURN_UUID_P(result);
}

Datum
actor_call_chain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorFrame **frames;
	int			depth = actor_current_frame != NULL ? actor_current_frame->depth : 0;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	frames = palloc(sizeof(ActorFrame *) * Max(depth, 1));
	for (ActorFrame *frame = actor_current_frame; frame != NULL; frame = frame->caller)
		frames[frame->depth - 1] = frame;

	for (int i = 0; i < depth; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = PointerGetDatum(frames[i]->actor.type);
		values[2] = PointerGetDatum(frames[i]->actor.id);
		values[3] = PointerGetDatum(frames[i]->method);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
push_member(JsonbParseState **state, const char *key, JsonbValue *value)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &name);
	pushJsonbValue(state, WJB_VALUE, value);
}

static void
push_text_member(JsonbParseState **state, const char *key, char *bytes, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = bytes;
	value.val.string.len = len;
	push_member(state, key, &value);
}

static void
push_integer_member(JsonbParseState **state, const char *key, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	push_member(state, key, &value);
}

static void
push_time_member(JsonbParseState **state, const char *key, TimestampTz time)
{
	Jsonb	   *jsonb = actor_to_jsonb(TimestampTzGetDatum(time), TIMESTAMPTZOID);
	JsonbValue	value;

	actor_jsonb_scalar(jsonb, &value);
	push_member(state, key, &value);
}

Datum
actor_cause(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	const ActorCause *cause;

	if (actor_current_frame == NULL)
		PG_RETURN_NULL();
	cause = actor_current_frame->cause;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (cause == NULL)
		push_text_member(&state, "kind", "call", strlen("call"));
	else
		push_text_member(&state, "kind", unconstify(char *, cause->kind),
						 strlen(cause->kind));
	if (cause != NULL && cause->name != NULL)
	{
		push_text_member(&state, "name", VARDATA_ANY(cause->name),
						 VARSIZE_ANY_EXHDR(cause->name));
		push_time_member(&state, "scheduled_at", cause->scheduled_at);
		push_time_member(&state, "fired_at", cause->fired_at);
		push_integer_member(&state, "attempt", cause->attempt);
		push_integer_member(&state, "missed", cause->missed);
		if (cause->remaining >= 0)
			push_integer_member(&state, "remaining", cause->remaining);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
