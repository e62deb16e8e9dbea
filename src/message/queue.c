/*-------------------------------------------------------------------------
 *
 * queue.c
 *		The queues of messages.
 *
 * The queue of an actor is what this table has of it with "queued" set, in the
 * order of the ids.  A message that is due joins it when it is sent, one with a
 * due time when somebody looks at the queue after that.  Only the first of the
 * queue is delivered, in the actor's turn.
 *
 * Ids come from a sequence, so a message gets a higher one than all that were
 * committed before it was sent, and cannot come before them.  A transaction
 * that commits late leaves messages with lower ids than some that are there
 * already, or delivered already.  It ran at the same time as their senders, so
 * either order is right.  What is not committed is not there: it holds up
 * nobody.
 *
 * The scan for what is due must not meet all of a long queue that cannot move.
 * So messages that are found behind the first one are hidden: next_try_at
 * becomes infinity.  When a message leaves the queue, the next ones are shown
 * again, if they are hidden.  That no queue is ever left without its first
 * message being shown follows from these rules:
 *
 * 1. Sending only inserts, and what it inserts is shown.
 * 2. Who hides has a lock on the row of a message that comes before what is
 *	  hidden, and is shown itself.
 * 3. A message leaves the queue only in the actor's turn.  Who removes it has a
 *	  lock on its row first, then looks, on a new snapshot, at the one that
 *	  follows it.  If that is hidden, he shows it before he commits, or removes it,
 *	  too, and looks at what follows that.  Only one that is not the first
 *	  needs no such look: the first one stays, as nobody else has the turn.
 *
 * By 2 and 3 whatever was hidden behind a message is seen by who removes it, and
 * by 3 not two of them are removed by different transactions at once.  A sender
 * that commits meanwhile has a message that is shown, by 1, so nothing is lost
 * between it and the delivery of what was the last message.  Hiding needs no
 * turn, and does not wait for locks.
 *
 * Executors deliver what is hidden one behind the other, as far as it goes in one
 * transaction, and show only the one after that: to show a message is to write its
 * row and the entries of its indexes once more, only for it to be deleted next.
 *
 * Where looks at a queue begin is in look.c.
 *
 * All messages of a paused actor are hidden when they are found, the first one,
 * too.  Resuming shows all that are hidden; see pause.c.
 *
 * A message that others are to pass while it waits for a retry steps out: it
 * leaves the queue, as if it were removed, and joins it again like a delayed
 * one, with the id it has, when it is time for the next try.
 *
 *			  due at once				  it is first, and fails
 *	 sent ------------------> queued, shown <----------> queued, backing off
 *	  |						   |  ^	   |				   |
 *	  | due later			hide  show  | delivered			| the last try fails
 *	  v						   v  |	   v				   v
 *	 delayed --its time--> .. queued,	 gone			  gone, a row of
 *			   comes		  hidden				  actor.failure
 *
 * Lock order: the actor's turn, then rows of messages.
 *
 * IDENTIFICATION
 *		src/message/queue.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "message/message.h"

/* messages of an actor that are hidden, shown, or join the queue at once */
#define HIDE_MAX			1000
#define SHOW_MAX			100
#define JOIN_MAX			1000

#define OF_ACTOR \
	" actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2"

#define WHERE_KEY \
	" WHERE" OF_ACTOR " AND message_id OPERATOR(pg_catalog.=) $3"

#define WHERE_KEYS \
	" WHERE" OF_ACTOR " AND message_id OPERATOR(pg_catalog.=) ANY ($3)"

#define HIDDEN_AT "'infinity'::pg_catalog.timestamptz"

/*
 * No statement joins the table with itself: the planner, which may know nothing
 * about a table whose contents come and go, sees no harm in looking at all
 * messages of an actor for each of them.
 */
static ActorQuery lock_joining = {
	"SELECT message_id FROM actor.message WHERE" OF_ACTOR
	"   AND NOT queued AND next_try_at OPERATOR(pg_catalog.>) $3"
	"   AND next_try_at OPERATOR(pg_catalog.<=) $4"
	" ORDER BY next_try_at LIMIT $5 FOR UPDATE SKIP LOCKED",
	5, {TEXTOID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}
};

static ActorQuery join_queue = {
	"UPDATE actor.message SET queued = true" WHERE_KEYS,
	3, {TEXTOID, TEXTOID, INT8ARRAYOID}
};

static ActorQuery read_first = {
	"SELECT message_id, next_try_at FROM actor.message"
	" WHERE" OF_ACTOR " AND queued AND message_id OPERATOR(pg_catalog.>=) $3"
	" ORDER BY message_id LIMIT 1",
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery read_delayed = {
	"SELECT FROM actor.message" WHERE_KEY " AND NOT queued",
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery lock_shown = {
	"SELECT FROM actor.message" WHERE_KEY
	"   AND next_try_at OPERATOR(pg_catalog.<) " HIDDEN_AT
	"   FOR UPDATE SKIP LOCKED",
	3, {TEXTOID, TEXTOID, INT8OID}
};

/* a limited number of messages, however many of them are hidden */
static ActorQuery read_window = {
	"SELECT message_id FROM actor.message WHERE" OF_ACTOR
	"   AND queued AND message_id OPERATOR(pg_catalog.>=) $3"
	" ORDER BY message_id LIMIT $4",
	4, {TEXTOID, TEXTOID, INT8OID, INT8OID}
};

#define IN_WINDOW \
	" WHERE" OF_ACTOR " AND queued AND message_id OPERATOR(pg_catalog.>=) $3" \
	"   AND message_id OPERATOR(pg_catalog.<=) $4"

static ActorQuery lock_window = {
	"SELECT message_id FROM actor.message" IN_WINDOW
	"   AND next_try_at OPERATOR(pg_catalog.<) " HIDDEN_AT
	"   FOR UPDATE SKIP LOCKED",
	4, {TEXTOID, TEXTOID, INT8OID, INT8OID}
};

static ActorQuery hide_messages = {
	"UPDATE actor.message SET next_try_at = " HIDDEN_AT WHERE_KEYS,
	3, {TEXTOID, TEXTOID, INT8ARRAYOID}
};

static ActorQuery put_off_message = {
	"UPDATE actor.message SET queued = true, next_try_at = " HIDDEN_AT WHERE_KEY,
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery show_window = {
	"UPDATE actor.message SET next_try_at = due_at" IN_WINDOW
	"   AND next_try_at OPERATOR(pg_catalog.=) " HIDDEN_AT
	" RETURNING next_try_at, hosted",
	4, {TEXTOID, TEXTOID, INT8OID, INT8OID}
};

static ActorQuery lock_message = {
	"SELECT FROM actor.message" WHERE_KEY " FOR UPDATE",
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery delete_message = {
	"DELETE FROM actor.message" WHERE_KEY,
	3, {TEXTOID, TEXTOID, INT8OID}
};

/* how many leave the queue, and the one that follows */
#define LEAVE_QUEUE(leave) \
	"WITH d AS (" leave WHERE_KEY " RETURNING 1)" \
	" SELECT (SELECT pg_catalog.count(*) FROM d), n.message_id, n.next_try_at" \
	"   FROM (SELECT) one LEFT JOIN" \
	"    (SELECT message_id, next_try_at FROM actor.message WHERE" OF_ACTOR \
	"        AND queued AND message_id OPERATOR(pg_catalog.>) $3" \
	"      ORDER BY message_id LIMIT 1) n ON true", \
	3, {TEXTOID, TEXTOID, INT8OID}

static ActorQuery remove_message = {
	LEAVE_QUEUE("DELETE FROM actor.message")
};

static ActorQuery step_out = {
	LEAVE_QUEUE("UPDATE actor.message SET queued = false")
};

static void
key_values(const ActorRef *actor, int64 message_id, Datum *values)
{
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = Int64GetDatum(message_id);
}

/*
 * actor_queue_first
 *		Finds the first message of a queue, looking at it for a message that has
 *		been seen; false if it is empty.
 */
bool
actor_queue_first(const ActorRef *actor, int64 seen_id, int64 *message_id,
				  TimestampTz *next_try_at)
{
	ActorBookkeeping bookkeeping;
	ActorLook	look;
	Datum		values[3];
	bool		found;
	bool		isnull;

	actor_look_begin(&look, actor, seen_id);
	key_values(actor, look.from.id, values);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_first, values, NULL) > 0;
	if (found)
	{
		*message_id = DatumGetInt64(actor_query_result(0, 1, &isnull));
		*next_try_at = DatumGetTimestampTz(actor_query_result(0, 2, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	actor_look_end(&look, actor, found ? *message_id : seen_id, look.from.due_at);
	return found;
}

/*
 * actor_queue_is_delayed
 *		Whether a message has not joined the queue.
 */
bool
actor_queue_is_delayed(const ActorRef *actor, int64 message_id)
{
	Datum		values[3];

	key_values(actor, message_id, values);
	return actor_query_count(&read_delayed, values) > 0;
}

/*
 * The numbers that the last statement has returned.
 */
static ArrayType *
returned_ids(uint64 rows)
{
	Datum	   *ids = palloc(sizeof(Datum) * rows);
	bool		isnull;

	for (uint64 i = 0; i < rows; i++)
		ids[i] = actor_query_result(i, 1, &isnull);
	return construct_array(ids, (int) rows, INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
						   TYPALIGN_DOUBLE);
}

/*
 * Runs a statement that locks messages of an actor, and then one that writes
 * them.  If an actor is given, they join its queue by that.  Returns how
 * many.
 */
static uint64
write_locked(ActorQuery *lock, Datum *values, const ActorRef *joining, ActorQuery *write)
{
	ActorBookkeeping bookkeeping;
	Datum		keys[3] = {values[0], values[1]};
	uint64		rows;
	uint64		written = 0;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(lock, values, NULL);
	if (rows > 0)
	{
		if (joining != NULL)
			actor_look_joining(joining);
		keys[2] = PointerGetDatum(returned_ids(rows));
		written = actor_query_run(write, keys, NULL);
	}
	actor_bookkeeping_end(&bookkeeping);
	if (written != rows)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not write messages that were locked"),
				 errdetail("The statement wrote " UINT64_FORMAT " of " UINT64_FORMAT " rows.",
						   written, rows)));
	return rows;
}

/*
 * actor_queue_join
 *		Lets the messages of an actor that have become due join its queue, looking at
 *		it for a message that has been seen; false if there are none.  Needs no turn,
 *		and does not wait.
 */
bool
actor_queue_join(const ActorRef *actor, int64 seen_id, TimestampTz now)
{
	ActorLook	look;
	Datum		values[5];

	actor_look_begin(&look, actor, seen_id);
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = TimestampTzGetDatum(look.from.due_at);
	values[3] = TimestampTzGetDatum(now);
	values[4] = Int64GetDatum(JOIN_MAX);
	return write_locked(&lock_joining, values, actor, &join_queue) > 0;
}

/*
 * The last one of so many messages of a queue, from this one on; it is before
 * the first if there are none.
 */
static int64
end_of_window(const ActorRef *actor, int64 message_id, int64 count)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	int64		last = message_id - 1;
	uint64		rows;
	bool		isnull;

	key_values(actor, message_id, values);
	values[3] = Int64GetDatum(count);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_window, values, NULL);
	if (rows > 0)
		last = DatumGetInt64(actor_query_result(rows - 1, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return last;
}

/*
 * Shows that many messages of a queue from this one on, as far as they are hidden.  They
 * may belong to other roles, whose executors must be told.
 */
static uint64
show_some(const ActorRef *actor, int64 message_id, int64 count)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	uint64		rows;

	key_values(actor, message_id, values);
	values[3] = Int64GetDatum(end_of_window(actor, message_id, count));
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&show_window, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;
		TimestampTz at = DatumGetTimestampTz(actor_query_result(i, 1, &isnull));

		if (DatumGetBool(actor_query_result(i, 2, &isnull)))
			actor_wake_hosts(at);
		else
			actor_wake_at(at);
	}
	actor_bookkeeping_end(&bookkeeping);
	return rows;
}

/*
 * actor_queue_show
 *		Shows the next messages of a queue from this one on.  Returns how many.
 */
uint64
actor_queue_show(const ActorRef *actor, int64 message_id)
{
	return show_some(actor, message_id, SHOW_MAX);
}

/*
 * actor_queue_show_one
 *		Shows this message, or the first one after it if it is gone; those that follow
 *		stay hidden.
 */
uint64
actor_queue_show_one(const ActorRef *actor, int64 message_id)
{
	return show_some(actor, message_id, 1);
}

/*
 * actor_queue_hide_from
 *		Hides messages from this one on, which come after one that is locked.
 */
uint64
actor_queue_hide_from(const ActorRef *actor, int64 message_id)
{
	Datum		values[4];

	key_values(actor, message_id, values);
	values[3] = Int64GetDatum(end_of_window(actor, message_id, HIDE_MAX));
	return write_locked(&lock_window, values, NULL, &hide_messages);
}

/*
 * actor_queue_hide
 *		Hides a message that is behind another one, and those that come next.  Returns
 *		how many.  Needs no turn, and does not wait.
 */
uint64
actor_queue_hide(const ActorRef *actor, int64 message_id)
{
	int64		first;
	TimestampTz next_try_at;
	Datum		values[3];

	(void) actor_queue_join(actor, message_id, GetCurrentTimestamp());
	if (!actor_queue_first(actor, message_id, &first, &next_try_at) || first >= message_id)
		return 0;
	/* who has been hidden since it was seen has those behind it hidden, too */
	key_values(actor, message_id, values);
	if (actor_query_count(&lock_shown, values) == 0)
		return 0;
	key_values(actor, first, values);
	if (actor_query_count(&lock_shown, values) == 0)
		return 0;
	return actor_queue_hide_from(actor, message_id);
}

/*
 * Lets a message whose row is locked leave the queue, in the actor's turn, and
 * shows what follows it.  Returns whether it was there.
 */
static bool
leave_queue(ActorQuery *query, const ActorRef *actor, int64 message_id)
{
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	Datum		datum;
	int64		left;
	int64		next;
	bool		hidden;
	bool		isnull;

	key_values(actor, message_id, values);
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(query, values, NULL);
	left = DatumGetInt64(actor_query_result(0, 1, &isnull));
	next = DatumGetInt64(actor_query_result(0, 2, &isnull));
	datum = actor_query_result(0, 3, &isnull);
	hidden = !isnull && TIMESTAMP_IS_NOEND(DatumGetTimestampTz(datum));
	actor_bookkeeping_end(&bookkeeping);

	if (left > 1)
		elog(ERROR, "outcome of a delivery was written to " INT64_FORMAT " rows", left);
	if (hidden)
		(void) actor_queue_show(actor, next);
	return left == 1;
}

/*
 * actor_queue_remove_locked
 *		Removes a message whose row is locked, in the actor's turn, and shows what
 *		follows it.  Returns whether it was there.
 */
bool
actor_queue_remove_locked(const ActorRef *actor, int64 message_id)
{
	ActorQueueStep step;

	if (!actor_queue_delete(actor, message_id, &step))
		return leave_queue(&remove_message, actor, message_id);
	if (step.hidden)
		(void) actor_queue_show(actor, step.next);
	return true;
}

/*
 * actor_queue_leave
 *		Removes a message whose row is locked, in the actor's turn, and says what follows
 *		it.  If that is hidden, the caller lets it leave the queue, too, in this
 *		transaction, or shows it.
 */
void
actor_queue_leave(const ActorRef *actor, int64 message_id, ActorQueueStep *step)
{
	if (!actor_queue_delete(actor, message_id, step))
		(void) leave_queue(&remove_message, actor, message_id);
}

/*
 * actor_queue_step_out
 *		Lets a message whose row is locked leave the queue until its next try, in the
 *		actor's turn, and shows what follows it.
 */
void
actor_queue_step_out(const ActorRef *actor, int64 message_id)
{
	(void) leave_queue(&step_out, actor, message_id);
}

/*
 * actor_queue_remove
 *		Removes a message, in the actor's turn; false if there is none.
 *
 * If it is not the first one, that one stays, as nobody else has the turn, and
 * whoever removes that shows what is hidden.
 */
bool
actor_queue_remove(const ActorRef *actor, int64 message_id)
{
	Datum		values[3];
	int64		first;
	TimestampTz next_try_at;

	key_values(actor, message_id, values);
	if (actor_query_count(&lock_message, values) == 0)
		return false;
	if (actor_queue_first(actor, message_id, &first, &next_try_at) && first < message_id)
		return actor_query_count(&delete_message, values) > 0;
	return actor_queue_remove_locked(actor, message_id);
}

/*
 * actor_queue_hide_or_guard
 *		Looks at another message of a queue.  The first one whose row can be locked,
 *		and shows, guards the others: the very first may be under way.  Messages are
 *		hidden from the next one on, once.  Returns how many.
 */
uint64
actor_queue_hide_or_guard(ActorQueueGuard *queue, const ActorRef *actor, int64 message_id)
{
	Datum		values[3];

	if (queue->hidden || (queue->guarded && message_id <= queue->guard))
		return 0;
	if (queue->guarded)
	{
		queue->hidden = true;
		return actor_queue_hide_from(actor, message_id);
	}
	(void) actor_queue_join(actor, message_id, GetCurrentTimestamp());
	key_values(actor, message_id, values);
	queue->guarded = actor_query_count(&lock_shown, values) > 0;
	queue->guard = message_id;
	return 0;
}

/*
 * actor_queue_put_off
 *		Hides a message whose row is locked, of an actor that is paused, until
 *		that is resumed; see pause.c.
 */
void
actor_queue_put_off(const ActorRef *actor, int64 message_id)
{
	Datum		values[3];

	/* it is due, and has joined when it is shown again */
	actor_look_joining(actor);
	key_values(actor, message_id, values);
	(void) actor_query_count(&put_off_message, values);
}
