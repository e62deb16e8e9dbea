/*-------------------------------------------------------------------------
 *
 * first.c
 *		Locking and removing the first message of a queue without a statement.
 *
 * It is the same as what claim_first of claim_message.c and remove_message of queue.c
 * do, on one snapshot, and so what the heads of queue.c and look.c say holds: the
 * rows are those of the same indexes.  Whatever is not plain is left to
 * the statements: a table that is not as it was made, a message that is not where it
 * is looked for, and a row that somebody has changed since the snapshot was taken.
 *
 * IDENTIFICATION
 *		src/message/first.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/base.h"
#include "store/store.h"
#include "message/message.h"

static ActorTable message_table = {"message", 3};

/* the queue, and what has not joined it, by the time it is tried */
static ActorOrder queued = {MESSAGE_ID + 1, MESSAGE_QUEUED + 1, true};
static ActorOrder delayed = {MESSAGE_NEXT_TRY_AT + 1, MESSAGE_QUEUED + 1, false};

/* whether queued or not */
static ActorOrder all = {MESSAGE_ID + 1, 0, false};

static int64
id_of(TupleTableSlot *slot)
{
	bool		isnull;

	return DatumGetInt64(slot_getattr(slot, MESSAGE_ID + 1, &isnull));
}

/*
 * A message is not in the queue where it is looked for.  One that has not joined, or
 * that was behind the place where the look began, is left to the statement; but most are
 * gone, since somebody else has delivered them.
 */
static ActorDirectResult
look_whether_gone(ActorWalk *walk, const ActorRef *actor, int64 message_id, bool *gone)
{
	if (!actor_walk(walk, &all, actor, message_id, message_id, NULL, NULL) ||
		!TTS_EMPTY(walk->slot))
		return ACTOR_DIRECT_BY_SQL;
	*gone = true;
	return ACTOR_DIRECT_ABSENT;
}

/*
 * Whether a message is the first one of its queue, and all that are due have joined
 * that.  Then it is the last row of the walk.
 */
static ActorDirectResult
look_at_first(ActorWalk *walk, const ActorRef *actor, int64 message_id, const ActorLook *look,
			  TimestampTz now, bool *gone)
{
	if (!actor_walk(walk, &delayed, actor, look->from.due_at + 1, now, NULL, NULL))
		return ACTOR_DIRECT_BY_SQL;
	if (!TTS_EMPTY(walk->slot))
		return ACTOR_DIRECT_ABSENT;
	if (!actor_walk(walk, &queued, actor, look->from.id, message_id, NULL, NULL))
		return ACTOR_DIRECT_BY_SQL;
	if (TTS_EMPTY(walk->slot))
		return look_whether_gone(walk, actor, message_id, gone);
	return id_of(walk->slot) == message_id ? ACTOR_DIRECT_DONE : ACTOR_DIRECT_ABSENT;
}

/*
 * actor_queue_lock_first
 *		Locks a message, if it is the first one of its queue, all that are due by that
 *		time have joined the queue, it passes the test and nobody else has locked it,
 *		and calls a function with it.  Otherwise it is as good as absent; says whether
 *		there is none any more.
 */
ActorDirectResult
actor_queue_lock_first(const ActorRef *actor, int64 message_id, const ActorLook *look,
					   TimestampTz now, ActorRowTest test, ActorRowReader reader, void *arg,
					   bool *gone)
{
	ActorDirectResult result;
	ActorWalk	walk;

	*gone = false;
	if (!actor_walk_begin(&walk, &message_table, false))
		return ACTOR_DIRECT_BY_SQL;
	result = look_at_first(&walk, actor, message_id, look, now, gone);
	if (result == ACTOR_DIRECT_DONE)
		result = test(walk.slot, arg) ? actor_walk_lock(&walk) : ACTOR_DIRECT_ABSENT;
	if (result == ACTOR_DIRECT_DONE)
		reader(walk.slot, arg);
	actor_walk_end(&walk);
	return result;
}

/* a message that is to leave the queue, and what follows it */
typedef struct Leaving
{
	int64		message_id;
	bool		found;
	ItemPointerData tid;
	ActorQueueStep *step;
} Leaving;

static bool
see_next(TupleTableSlot *slot, void *arg)
{
	Leaving    *leaving = arg;
	ActorQueueStep *step = leaving->step;
	bool		isnull;

	if (!leaving->found)
	{
		leaving->found = id_of(slot) == leaving->message_id;
		leaving->tid = slot->tts_tid;
		return leaving->found;
	}
	step->next = id_of(slot);
	step->hidden =
		TIMESTAMP_IS_NOEND(DatumGetTimestampTz(slot_getattr(slot, MESSAGE_NEXT_TRY_AT + 1, &isnull)));
	if (step->hidden)
	{
		step->hosted = DatumGetBool(slot_getattr(slot, MESSAGE_HOSTED + 1, &isnull));
		step->attempt = DatumGetInt32(slot_getattr(slot, MESSAGE_ATTEMPT + 1, &isnull));
		step->due_at = DatumGetTimestampTz(slot_getattr(slot, MESSAGE_DUE_AT + 1, &isnull));
		step->role_name = *DatumGetName(slot_getattr(slot, MESSAGE_ROLE_NAME + 1, &isnull));
	}
	return false;
}

/*
 * actor_queue_delete
 *		Deletes a message whose row is locked, and says which one of the queue follows
 *		it, and if that is hidden what it is like.  Returns false, and has done nothing,
 *		if it takes a statement to do that; then no step is told.
 */
bool
actor_queue_delete(const ActorRef *actor, int64 message_id, ActorQueueStep *step)
{
	Leaving		leaving = {.message_id = message_id,.step = step};
	ActorWalk	walk;
	bool		deleted;

	memset(step, 0, sizeof(*step));
	if (!actor_walk_begin(&walk, &message_table, true))
		return false;
	deleted = actor_walk(&walk, &queued, actor, message_id, PG_INT64_MAX, see_next, &leaving) &&
		leaving.found && actor_walk_delete(&walk, &leaving.tid);
	actor_walk_end(&walk);
	if (!deleted)
		memset(step, 0, sizeof(*step));
	return deleted;
}
