/*-------------------------------------------------------------------------
 *
 * delivery.c
 *		The queues of messages, and delivering what is first in them.
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
 *	  follows it, and shows that if it is hidden.
 *
 * By 2 and 3 whatever was hidden behind a message is seen by who removes it, and
 * by 3 not two of them are removed by different transactions at once.  A sender
 * that commits meanwhile has a message that is shown, by 1, so nothing is lost
 * between it and the delivery of what was the last message.  Hiding needs no
 * turn, and does not wait for locks.
 *
 * All messages of a paused actor are hidden when they are found, the first one,
 * too.  Resuming shows all that are hidden; see pause.c.
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
 *		src/fire/delivery.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "fire/fire.h"
#include "shared/shared.h"

/* messages of an actor that are hidden, shown, or join the queue at once */
#define HIDE_MAX			1000
#define SHOW_MAX			100
#define JOIN_MAX			1000

/* pause when a message cannot be given up now, in microseconds */
#define GIVE_UP_AGAIN_US	USECS_PER_SEC

/* ten tries */
static const ActorRetryPolicy retry_policy = {
	.initial = USECS_PER_SEC,
	.max = 60 * USECS_PER_SEC,
	.exponential = true,
	.max_retries = 9
};

/* a claimed row */
typedef struct Claim
{
	text	   *method;
	Jsonb	   *payload;		/* NULL: none */
	int32		deferrals;
	text	   *traceparent;	/* NULL: none */
} Claim;

/* a queue among what is due; the hash of the actor is enough of a name here */
typedef struct Queue
{
	uint64		actor;			/* hash key */
	int64		guard;
	bool		guarded;
	bool		hidden;
} Queue;

#define OF_ACTOR \
	" actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2"

#define WHERE_KEY \
	" WHERE" OF_ACTOR " AND message_id OPERATOR(pg_catalog.=) $3"

#define HIDDEN_AT "'infinity'::pg_catalog.timestamptz"

#define CLAIM_MESSAGE(condition) \
	"SELECT method, payload, deferrals, traceparent FROM actor.message" WHERE_KEY \
	"   AND due_at OPERATOR(pg_catalog.=) $4" \
	"   AND attempt OPERATOR(pg_catalog.=) $5" \
	"   AND role_name OPERATOR(pg_catalog.=) $6" \
	condition \
	"   FOR UPDATE SKIP LOCKED"

static ActorQuery claim_message = {
	CLAIM_MESSAGE(""),
	6, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, NAMEOID}
};

/* only if it is the first of the queue, and all that are due have joined that */
static ActorQuery claim_first = {
	CLAIM_MESSAGE(" AND NOT EXISTS (SELECT FROM actor.message WHERE" OF_ACTOR
				  "  AND queued AND message_id OPERATOR(pg_catalog.<) $3)"
				  " AND NOT EXISTS (SELECT FROM actor.message WHERE" OF_ACTOR
				  "  AND NOT queued AND due_at OPERATOR(pg_catalog.<=) $7)"),
	7, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, NAMEOID, TIMESTAMPTZOID}
};

/*
 * No statement joins the table with itself: the planner, which may know nothing
 * about a table whose contents come and go, sees no harm in looking at all
 * messages of an actor for each of them.
 */
static ActorQuery lock_joining = {
	"SELECT message_id FROM actor.message WHERE" OF_ACTOR
	"   AND NOT queued AND due_at OPERATOR(pg_catalog.<=) $3"
	" ORDER BY due_at LIMIT $4 FOR UPDATE SKIP LOCKED",
	4, {TEXTOID, TEXTOID, TIMESTAMPTZOID, INT8OID}
};

static ActorQuery join_queue = {
	"UPDATE actor.message SET queued = true" WHERE_KEY,
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery read_first = {
	"SELECT message_id, next_try_at FROM actor.message"
	" WHERE" OF_ACTOR " AND queued ORDER BY message_id LIMIT 1",
	2, {TEXTOID, TEXTOID}
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

static ActorQuery hide_message = {
	"UPDATE actor.message SET next_try_at = " HIDDEN_AT WHERE_KEY,
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery show_window = {
	"UPDATE actor.message SET next_try_at = due_at" IN_WINDOW
	"   AND next_try_at OPERATOR(pg_catalog.=) " HIDDEN_AT,
	4, {TEXTOID, TEXTOID, INT8OID, INT8OID}
};

static ActorQuery lock_message = {
	"SELECT FROM actor.message" WHERE_KEY " FOR UPDATE",
	3, {TEXTOID, TEXTOID, INT8OID}
};

/* how many were removed, and the one that follows */
static ActorQuery remove_message = {
	"WITH d AS (DELETE FROM actor.message" WHERE_KEY " RETURNING 1)"
	" SELECT (SELECT pg_catalog.count(*) FROM d), n.message_id, n.next_try_at"
	"   FROM (SELECT) one LEFT JOIN"
	"    (SELECT message_id, next_try_at FROM actor.message WHERE" OF_ACTOR
	"        AND queued AND message_id OPERATOR(pg_catalog.>) $3"
	"      ORDER BY message_id LIMIT 1) n ON true",
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery retry_message = {
	"UPDATE actor.message SET next_try_at = $4, attempt = $5, deferrals = $6,"
	"  last_error = $7" WHERE_KEY,
	7, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID}
};

/* identity -------------------------------------------------------------- */

/*
 * actor_message_generation
 *		A number that stands for a message outside of its table, and does not
 *		stand for another one if the extension is created anew.
 */
int64
actor_message_generation(const ActorRef *actor, int64 message_id, TimestampTz due_at)
{
	int64		parts[] = {(int64) actor->hash, message_id, due_at};

	return (int64) (hash_bytes_extended((const unsigned char *) parts, sizeof(parts), 0) &
					PG_INT64_MAX);
}

static int64
message_id_of(const ActorDue *due)
{
	return strtoll(text_to_cstring(due->name), NULL, 10);
}

static void
key_values(const ActorRef *actor, int64 message_id, Datum *values)
{
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = Int64GetDatum(message_id);
}

/* the queue ------------------------------------------------------------- */

/*
 * Runs a statement that only writes.
 */
static uint64
run(ActorQuery *query, Datum *values)
{
	ActorBookkeeping bookkeeping;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(query, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	return rows;
}

/*
 * Finds the first message of a queue; false if it is empty.
 */
static bool
find_first(const ActorRef *actor, int64 *message_id, TimestampTz *next_try_at)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};
	bool		found;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_first, values, NULL) > 0;
	if (found)
	{
		*message_id = DatumGetInt64(actor_query_result(0, 1, &isnull));
		*next_try_at = DatumGetTimestampTz(actor_query_result(0, 2, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * Runs a statement that locks messages of an actor, and then one that writes for
 * each of them.  Returns how many.
 */
static uint64
write_each(ActorQuery *lock, Datum *values, ActorQuery *write)
{
	ActorBookkeeping bookkeeping;
	SPITupleTable *locked;
	Datum		keys[3] = {values[0], values[1]};
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(lock, values, NULL);
	locked = SPI_tuptable;
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		CHECK_FOR_INTERRUPTS();
		keys[2] = SPI_getbinval(locked->vals[i], locked->tupdesc, 1, &isnull);
		actor_query_write_one(write, keys, NULL);
	}
	actor_bookkeeping_end(&bookkeeping);
	return rows;
}

/*
 * Lets the messages of an actor that have become due join its queue; false if
 * there are none.  Needs no turn, and does not wait.
 */
static bool
let_join(const ActorRef *actor, TimestampTz now)
{
	Datum		values[4];

	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = TimestampTzGetDatum(now);
	values[3] = Int64GetDatum(JOIN_MAX);
	return write_each(&lock_joining, values, &join_queue) > 0;
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
 * Shows the next messages of a queue from this one on.  They may belong to
 * other roles, whose executors must be told.
 */
static uint64
show(const ActorRef *actor, int64 message_id)
{
	Datum		values[4];

	key_values(actor, message_id, values);
	values[3] = Int64GetDatum(end_of_window(actor, message_id, SHOW_MAX));
	actor_wake_at(GetCurrentTimestamp());
	return run(&show_window, values);
}

/*
 * Hides messages from this one on, which come after one that is locked.
 */
static uint64
hide_from(const ActorRef *actor, int64 message_id)
{
	Datum		values[4];

	key_values(actor, message_id, values);
	values[3] = Int64GetDatum(end_of_window(actor, message_id, HIDE_MAX));
	return write_each(&lock_window, values, &hide_message);
}

/*
 * Hides a message that is behind another one, and those that come next.  Returns
 * how many.  Needs no turn, and does not wait.
 */
static uint64
hide(const ActorDue *due)
{
	int64		message_id = message_id_of(due);
	int64		first;
	TimestampTz next_try_at;
	Datum		values[3];

	(void) let_join(&due->actor, GetCurrentTimestamp());
	if (!find_first(&due->actor, &first, &next_try_at) || first >= message_id)
		return 0;
	key_values(&due->actor, first, values);
	if (run(&lock_shown, values) == 0)
		return 0;
	return hide_from(&due->actor, message_id);
}

/*
 * Looks at another message of a queue.  The first one whose row can be locked,
 * and shows, guards the others: the very first may be under way.  Messages are
 * hidden from the next one on, once.  Returns how many.
 */
static uint64
hide_or_guard(Queue *queue, const ActorDue *due)
{
	int64		message_id = message_id_of(due);
	Datum		values[3];

	if (queue->hidden || (queue->guarded && message_id <= queue->guard))
		return 0;
	if (queue->guarded)
	{
		queue->hidden = true;
		return hide_from(&due->actor, message_id);
	}
	(void) let_join(&due->actor, GetCurrentTimestamp());
	key_values(&due->actor, message_id, values);
	queue->guarded = run(&lock_shown, values) > 0;
	queue->guard = message_id;
	return 0;
}

/*
 * actor_messages_hide
 *		Hides messages that have others of their actor before them, given a list
 *		of what is due, in its order.  Returns how many.
 */
uint64
actor_messages_hide(List *due_list)
{
	HASHCTL		ctl;
	HTAB	   *queues;
	uint64		hidden = 0;
	ListCell   *cell;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(Queue);
	ctl.hcxt = CurrentMemoryContext;
	queues = hash_create("queues of messages", 64, &ctl,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(cell, due_list)
	{
		ActorDue   *due = lfirst(cell);
		Queue	   *queue;
		bool		found;

		CHECK_FOR_INTERRUPTS();
		if (due->kind != DUE_MESSAGE)
			continue;
		queue = hash_search(queues, &due->actor.hash, HASH_ENTER, &found);
		if (!found)
			queue->guarded = queue->hidden = false;
		hidden += hide_or_guard(queue, due);
	}
	hash_destroy(queues);
	return hidden;
}

/*
 * Removes a message whose row is locked, in the actor's turn, and shows what
 * follows it.  Returns whether it was there.
 */
static bool
remove_locked(const ActorRef *actor, int64 message_id)
{
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	Datum		datum;
	int64		removed;
	int64		next;
	bool		hidden;
	bool		isnull;

	key_values(actor, message_id, values);
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&remove_message, values, NULL);
	removed = DatumGetInt64(actor_query_result(0, 1, &isnull));
	next = DatumGetInt64(actor_query_result(0, 2, &isnull));
	datum = actor_query_result(0, 3, &isnull);
	hidden = !isnull && TIMESTAMP_IS_NOEND(DatumGetTimestampTz(datum));
	actor_bookkeeping_end(&bookkeeping);

	if (removed > 1)
		elog(ERROR, "outcome of a delivery was written to " INT64_FORMAT " rows", removed);
	if (hidden)
		(void) show(actor, next);
	return removed == 1;
}

/*
 * actor_message_remove
 *		Removes a message, in the actor's turn; false if there is none.
 */
bool
actor_message_remove(const ActorRef *actor, int64 message_id)
{
	Datum		values[3];

	key_values(actor, message_id, values);
	if (run(&lock_message, values) == 0)
		return false;
	return remove_locked(actor, message_id);
}

/* claiming -------------------------------------------------------------- */

/*
 * Locks the row and reads it into the current memory context; false if it is
 * locked or not as it was seen, or, if a time is given, others are before it
 * then.
 */
static bool
claim(const ActorDue *due, const NameData *role, TimestampTz first_at, Claim *claimed)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[7];
	bool		found;

	key_values(&due->actor, message_id_of(due), values);
	values[3] = TimestampTzGetDatum(due->scheduled_at);
	values[4] = Int32GetDatum(due->attempt);
	values[5] = NameGetDatum(role);
	values[6] = TimestampTzGetDatum(first_at);

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(first_at != 0 ? &claim_first : &claim_message, values, NULL) == 1;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum		datum;
		bool		isnull;

		claimed->method = DatumGetTextPCopy(actor_query_result(0, 1, &isnull));
		datum = actor_query_result(0, 2, &isnull);
		claimed->payload = isnull ? NULL : DatumGetJsonbPCopy(datum);
		claimed->deferrals = DatumGetInt32(actor_query_result(0, 3, &isnull));
		datum = actor_query_result(0, 4, &isnull);
		claimed->traceparent = isnull ? NULL : DatumGetTextPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * Called in the actor's turn for a message that cannot be claimed as the first
 * of the queue.  If others are before it, it is hidden, and has got on by that.
 */
static ActorFiringResult
stand_aside(const ActorDue *due)
{
	int64		message_id = message_id_of(due);
	int64		first;
	TimestampTz next_try_at;

	if (!find_first(&due->actor, &first, &next_try_at) || first > message_id)
		return FIRING_BUSY;
	/* cannot be; but then nobody would look at this queue again */
	if (TIMESTAMP_IS_NOEND(next_try_at))
		return show(&due->actor, first) > 0 ? FIRING_SKIPPED : FIRING_BUSY;
	return hide(due) > 0 ? FIRING_SKIPPED : FIRING_BUSY;
}

/*
 * Hides a message of a paused actor, until that is resumed; see pause.c.
 */
static ActorFiringResult
put_off(const ActorDue *due, const NameData *role)
{
	Claim		claimed;
	Datum		values[3];

	if (!claim(due, role, 0, &claimed))
		return FIRING_BUSY;
	key_values(&due->actor, message_id_of(due), values);
	(void) run(&hide_message, values);
	return FIRING_SKIPPED;
}

/* outcomes -------------------------------------------------------------- */

static void
write_retry(const ActorDue *due, const ActorRetry *retry, const ErrorData *error)
{
	ActorBookkeeping bookkeeping;
	Datum		values[7];

	key_values(&due->actor, message_id_of(due), values);
	values[3] = TimestampTzGetDatum(retry->at);
	values[4] = Int32GetDatum(retry->attempt);
	values[5] = Int32GetDatum(retry->deferrals);
	values[6] = PointerGetDatum(actor_error_text(error->message ? error->message : ""));
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&retry_message, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Parks a claimed message, in the actor's turn.
 */
static void
give_up(const ActorDue *due, const Claim *claimed, const NameData *role, ErrorData *error)
{
	ActorFailure failure;

	failure.kind = actor_due_word(due->kind);
	failure.name = due->name;
	failure.method = claimed->method;
	failure.payload = claimed->payload;
	failure.scheduled_at = due->scheduled_at;
	failure.attempts = due->attempt;
	actor_failure_write(&due->actor, &failure, role, error);
	(void) remove_locked(&due->actor, message_id_of(due));
}

/*
 * Writes down that a claimed message could not be delivered.  The turn may not
 * be ours any more; without it the message cannot leave the queue, and is tried
 * once more.
 */
static void
record_failure(const ActorDue *due, const Claim *claimed, const NameData *role,
			   ErrorData *error, TimestampTz started_at, TimestampTz now)
{
	ActorRetry	retry = {.attempt = due->attempt,.deferrals = claimed->deferrals};

	actor_failure_log(MyBackendType == B_BG_WORKER ? LOG : WARNING, &due->actor,
					  actor_due_word(due->kind), due->name, error);
	if (!actor_retry_plan(&retry_policy, error, started_at, now, &retry))
	{
		if (actor_turn_try_enter(&due->actor, NULL))
		{
			give_up(due, claimed, role, error);
			return;
		}
		retry.at = now + GIVE_UP_AGAIN_US;
	}
	write_retry(due, &retry, error);
	actor_wake_at(retry.at);
	(void) hide_from(&due->actor, message_id_of(due) + 1);
}

/* delivering ------------------------------------------------------------ */

/* what is attempted in a subtransaction */
typedef struct Delivery
{
	const ActorDue *due;
	const Claim *claimed;
	const ActorCause *cause;
} Delivery;

static void
call_method(void *arg)
{
	Delivery   *delivery = arg;

	(void) actor_call(&delivery->due->actor, delivery->claimed->method,
					  delivery->claimed->payload, NULL, NULL, delivery->cause);
	actor_callback_settle();
}

/*
 * actor_message_fire
 *		Delivers a message in the actor's turn, as actor_fire does with other
 *		things that are due, if it is the first of the queue.
 */
ActorFiringResult
actor_message_fire(const ActorDue *due, const NameData *role, const ActorFireMode *mode)
{
	TimestampTz started_at = GetCurrentTimestamp();
	TimestampTz now = mode->clock != 0 ? mode->clock : started_at;
	Claim		claimed;
	ActorCause	cause;
	Delivery	delivery;
	ActorFiringResult result;
	int			nestlevel;
	ErrorData  *error;

	switch (actor_pause_share(&due->actor))
	{
		case ACTOR_PAUSE_CHANGING:
			return FIRING_BUSY;
		case ACTOR_PAUSED:
			return put_off(due, role);
		default:
			break;
	}
	if (!claim(due, role, now, &claimed) &&
		!(let_join(&due->actor, now) && claim(due, role, now, &claimed)))
		return stand_aside(due);

	cause.kind = actor_due_word(due->kind);
	cause.name = due->name;
	cause.scheduled_at = due->scheduled_at;
	cause.fired_at = now;
	cause.attempt = due->attempt;
	cause.missed = 0;
	cause.remaining = 0;

	delivery.due = due;
	delivery.claimed = &claimed;
	delivery.cause = &cause;
	nestlevel = actor_trace_begin(claimed.traceparent);
	result = actor_callback_run(due, mode, call_method, &delivery, &error);
	if (result == FIRING_FAILED)
		record_failure(due, &claimed, role, error, started_at,
					   mode->clock != 0 ? now : GetCurrentTimestamp());
	else if (result == FIRING_DONE)
		(void) remove_locked(&due->actor, message_id_of(due));
	actor_trace_end(nestlevel);
	return result;
}

/*
 * actor_message_failed
 *		As actor_fire_failed, for a message.
 */
bool
actor_message_failed(const ActorDue *due, const NameData *role, ErrorData *error,
					 TimestampTz started_at)
{
	Claim		claimed;
	int			nestlevel;

	if (!claim(due, role, 0, &claimed))
		return false;
	nestlevel = actor_trace_begin(claimed.traceparent);
	record_failure(due, &claimed, role, error, started_at, GetCurrentTimestamp());
	actor_trace_end(nestlevel);
	return true;
}

/*
 * actor_message_give_up
 *		As actor_fire_give_up, for a message.  False also if the turn of the
 *		actor is not free.
 */
bool
actor_message_give_up(const ActorDue *due, const NameData *role, ErrorData *error)
{
	Claim		claimed;
	int			nestlevel;

	if (!actor_turn_try_enter(&due->actor, NULL) ||
		!claim(due, role, 0, &claimed))
		return false;
	nestlevel = actor_trace_begin(claimed.traceparent);
	give_up(due, &claimed, role, error);
	actor_trace_end(nestlevel);
	return true;
}
