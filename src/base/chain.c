/*-------------------------------------------------------------------------
 *
 * chain.c
 *		The running methods, as data: frames and call chains.
 *
 * The frames of a session are a list, innermost first.  Frames are made and
 * ended by frame.c; everything below it only looks at them here.
 *
 * Every frame belongs to a chain of calls, which begins with the outermost
 * call, or with one that brings a reentrancy id of its own.  The id of a chain
 * is made when it is first asked for.
 *
 * IDENTIFICATION
 *		src/base/chain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/base.h"

/* calls shown at each end of a long chain */
#define CHAIN_ENDS_SHOWN	10

ActorFrame *actor_current_frame = NULL;


static void
append_call(StringInfo buf, const ActorRef *actor, const text *method)
{
	if (buf->len > 0)
		appendStringInfoString(buf, " -> ");
	appendStringInfo(buf, "%s/%s", text_to_cstring(actor->type),
					 text_to_cstring(actor->id));
	if (method != NULL)
		appendStringInfo(buf, ".%s", text_to_cstring(method));
}

/* the frames from the outermost inwards, but the middle of a long chain */
static void
append_frames(StringInfo buf, const ActorFrame *frame, int depth)
{
	if (frame == NULL)
		return;
	/* skip the middle, so that neither stack nor text grow with the chain */
	if (frame->depth == depth - CHAIN_ENDS_SHOWN)
	{
		int			skipped = 0;

		while (frame->depth > CHAIN_ENDS_SHOWN)
		{
			frame = frame->caller;
			skipped++;
		}
		append_frames(buf, frame, 0);
		if (skipped > 0)
			appendStringInfo(buf, " -> (%d more)", skipped);
		return;
	}
	append_frames(buf, frame->caller, depth);
	append_call(buf, &frame->actor, frame->method);
}

/*
 * actor_call_chain_text
 *		The running calls, followed by one that is about to be made (a method
 *		of NULL is left out), for the detail of an error.
 */
char *
actor_call_chain_text(const ActorRef *actor, const text *method)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_frames(&buf, actor_current_frame, actor_current_frame ? actor_current_frame->depth : 0);
	if (actor != NULL)
		append_call(&buf, actor, method);
	return buf.data;
}

/*
 * actor_chain_id
 *		The reentrancy id of the running chain; NULL if nothing runs, or nobody
 *		has asked for it.
 */
const pg_uuid_t *
actor_chain_id(void)
{
	if (actor_current_frame == NULL || !actor_current_frame->chain->has_id)
		return NULL;
	return &actor_current_frame->chain->id;
}

/*
 * actor_frame_current
 *		The innermost running method, or NULL.
 */
ActorFrame *
actor_frame_current(void)
{
	return actor_current_frame;
}

/*
 * actor_frame_required
 *		The innermost running method; outside of one
 *		object_not_in_prerequisite_state is raised.
 */
ActorFrame *
actor_frame_required(void)
{
	if (actor_current_frame == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no actor is running"),
				 errdetail("The state of an actor can only be used by its methods."),
				 errhint("Call the method with actor_invoke().")));
	return actor_current_frame;
}

/*
 * actor_frame_of_application
 *		The method of an actor that an application runs, if whoever asks is an
 *		application; NULL if there is none.
 *
 * What an application asks for does not come from the innermost of its methods:
 * they may run at the same time.
 */
ActorFrame *
actor_frame_of_application(const ActorRef *actor)
{
	if (actor_current_frame == NULL || !actor_current_frame->hosted)
		return NULL;
	for (ActorFrame *frame = actor_current_frame; frame != NULL; frame = frame->caller)
		if (frame->hosted && actor_ref_equal(&frame->actor, actor))
			return frame;
	return NULL;
}

/*
 * actor_frame_check_writing
 *		Raises read_only_sql_transaction in a read-only method.  The server does
 *		so too, but before 16 a method can reset transaction_read_only.
 */
void
actor_frame_check_writing(const char *function)
{
	if (actor_current_frame == NULL || actor_current_frame->writing)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("cannot execute %s in a read-only method", function),
			 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
}
