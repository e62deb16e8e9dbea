/*-------------------------------------------------------------------------
 *
 * outbox.c
 *		Messages that are still with their sender.
 *
 * Where actors are on several servers, a method that sends to an actor of another part
 * of the tables leaves the message in actor.outbox, with the rows of the sender.  So the
 * turn commits on one server, and depends on no other one.  The scheduler of the server
 * that has the sender takes the message to its receiver afterwards; see forward.c.
 * What is sent to an actor of the same part, or not by a method, is inserted at
 * once.
 *
 * A message is passed in a transaction that commits on the server of the receiver, and
 * leaves the outbox in another one after that.  Whatever ends the one who does it in
 * between, or if two do it at once, it is passed again.  So a row of actor.forwarded is
 * inserted with each message, under the same number, and the message only if that row
 * is new; who comes while somebody else does the same waits for him.  That row goes
 * when no server has the message in its outbox any more.
 *
 * In what order?  The messages of one sender to one receiver are passed in the order of
 * their numbers, and each transaction passes all that it has found before the one that
 * it passes; so none of them can be seen by the receiver before an earlier one is
 * committed there.  Which messages are left in the outbox depends on the two actors
 * only, with one exception: a message with a request id is inserted at once, because
 * the sender is told whether there was another one under that id.  Then its transaction
 * passes, before it, what the outbox has from that sender to that receiver.
 *
 * A message that is still in the outbox is cancelled by its row in actor.forwarded alone,
 * in the turn of the receiver: then it is not passed any more.
 *
 * Lock order: rows of actor.outbox, then of actor.forwarded in the order of their
 * numbers.  A method can send with request ids to several
 * receivers in any order, so there is no order for rows of actor.outbox: the scheduler
 * waits for none of them, neither to pass messages nor to remove them, but leaves to
 * whoever has one what he is about to pass.
 * Who cancels messages has rows of actor.forwarded in an order of his own, and can meet
 * the scheduler there; it gives up after a while, and leaves out what goes to the same
 * actor.
 *
 * IDENTIFICATION
 *		src/message/outbox.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "message/message.h"

/* how long the scheduler gathers messages before it passes them, in microseconds */
#define GATHER_US			(20 * INT64CONST(1000))

/* columns of actor.outbox */
enum
{
	COL_TYPE,
	COL_ID,
	COL_MESSAGE_ID,
	COL_RECEIVER_TYPE,
	COL_RECEIVER_ID,
	COL_METHOD,
	COL_PAYLOAD,
	COL_DUE_AT,
	COL_ROLE_NAME,
	COL_SENT_AT,
	COL_TRACEPARENT,
	COL_FAILURE_POLICY,
	COL_SETTINGS,
	COL_COUNT
};

static ActorTable outbox_table = {"outbox", 3};

static ActorQuery insert_row = {
	"INSERT INTO actor.outbox (" ACTOR_OUTGOING_COLUMNS ")"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
	COL_COUNT, {TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, JSONBOID,
	TIMESTAMPTZOID, NAMEOID, TIMESTAMPTZOID, TEXTOID, JSONBOID, JSONBOID}
};

static ActorQuery insert_forwarded = {
	"INSERT INTO actor.forwarded (actor_type, actor_id, message_id, forwarded_at)"
	" VALUES ($1, $2, $3, $4)"
	" ON CONFLICT (actor_type, actor_id, message_id) DO NOTHING",
	4, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID}
};

static ActorQuery insert_message = {
	"INSERT INTO actor.message (actor_type, actor_id, message_id, method, payload, due_at,"
	"  next_try_at, queued, role_name, sent_at, traceparent, failure_policy, settings,"
	"  hosted, attempt, deferrals) OVERRIDING SYSTEM VALUE"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, false, 1, 0)",
	13, {TEXTOID, TEXTOID, INT8OID, TEXTOID, JSONBOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, BOOLOID, NAMEOID, TIMESTAMPTZOID, TEXTOID, JSONBOID, JSONBOID}
};

#define OF_PAIR \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND receiver_type OPERATOR(pg_catalog.=) $3" \
	"   AND receiver_id OPERATOR(pg_catalog.=) $4"

static ActorQuery lock_pair = {
	"SELECT " ACTOR_OUTGOING_COLUMNS " FROM actor.outbox" OF_PAIR
	" ORDER BY message_id FOR UPDATE",
	4, {TEXTOID, TEXTOID, TEXTOID, TEXTOID}
};

/* a message as it was read */
#define OUTGOING \
	"SELECT 1 FROM actor.outbox WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND message_id OPERATOR(pg_catalog.=) $3" \
	"   AND receiver_type OPERATOR(pg_catalog.=) $4" \
	"   AND role_name OPERATOR(pg_catalog.=) $5"

static ActorQuery share_outgoing = {
	OUTGOING " FOR SHARE SKIP LOCKED",
	5, {TEXTOID, TEXTOID, INT8OID, TEXTOID, NAMEOID}
};

static ActorQuery find_outgoing = {
	OUTGOING,
	5, {TEXTOID, TEXTOID, INT8OID, TEXTOID, NAMEOID}
};

static ActorQuery delete_pair = {
	"DELETE FROM actor.outbox" OF_PAIR " AND message_id OPERATOR(pg_catalog.<=) $5",
	5, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID}
};

/* whoever the sender is, so all servers are asked */
static ActorQuery find_row = {
	"SELECT role_name FROM actor.outbox"
	" WHERE message_id OPERATOR(pg_catalog.=) $1"
	"   AND receiver_type OPERATOR(pg_catalog.=) $2"
	"   AND receiver_id OPERATOR(pg_catalog.=) $3",
	3, {INT8OID, TEXTOID, TEXTOID}
};

/* sending --------------------------------------------------------------- */

/*
 * actor_outbox_sender
 *		The actor in whose outbox a message to a receiver is left, that is sent now;
 *		NULL if it is inserted at once.
 */
const ActorRef *
actor_outbox_sender(const ActorRef *receiver)
{
	ActorFrame *frame = actor_frame_current();

	if (frame == NULL || !actor_on_several_servers() ||
		actor_map_part(frame->actor.id) == actor_map_part(receiver->id))
		return NULL;
	return &frame->actor;
}

static Datum
null_if_absent(const void *value, char *isnull)
{
	*isnull = value == NULL ? 'n' : ' ';
	return PointerGetDatum(value);
}

/*
 * actor_outbox_add
 *		Leaves a message in the outbox of its sender.
 */
void
actor_outbox_add(const ActorOutgoing *message)
{
	ActorBookkeeping bookkeeping;
	Datum		values[COL_COUNT];
	char		nulls[COL_COUNT];
	bool		isnull[COL_COUNT];

	memset(nulls, ' ', sizeof(nulls));
	values[COL_TYPE] = PointerGetDatum(message->sender.type);
	values[COL_ID] = PointerGetDatum(message->sender.id);
	values[COL_MESSAGE_ID] = Int64GetDatum(message->id);
	values[COL_RECEIVER_TYPE] = PointerGetDatum(message->receiver.type);
	values[COL_RECEIVER_ID] = PointerGetDatum(message->receiver.id);
	values[COL_METHOD] = PointerGetDatum(message->method);
	values[COL_PAYLOAD] = null_if_absent(message->payload, &nulls[COL_PAYLOAD]);
	values[COL_DUE_AT] = TimestampTzGetDatum(message->due_at);
	values[COL_ROLE_NAME] = NameGetDatum(&message->role_name);
	values[COL_SENT_AT] = TimestampTzGetDatum(message->sent_at);
	values[COL_TRACEPARENT] = null_if_absent(message->traceparent, &nulls[COL_TRACEPARENT]);
	values[COL_FAILURE_POLICY] = null_if_absent(message->failure_policy,
												&nulls[COL_FAILURE_POLICY]);
	values[COL_SETTINGS] = null_if_absent(message->settings, &nulls[COL_SETTINGS]);
	for (int i = 0; i < COL_COUNT; i++)
		isnull[i] = nulls[i] == 'n';
	if (!actor_direct_insert(&outbox_table, values, isnull, COL_COUNT, false))
	{
		actor_bookkeeping_begin(&bookkeeping);
		actor_query_write_one(&insert_row, values, nulls);
		actor_bookkeeping_end(&bookkeeping);
	}
	actor_wake_at(GetCurrentTimestamp() + GATHER_US);
}

/* passing --------------------------------------------------------------- */

/*
 * actor_outgoing_read
 *		A row of a result with the columns of actor.outbox, as an ActorOutgoing in the
 *		current memory context.
 */
void *
actor_outgoing_read(uint64 row)
{
	ActorOutgoing *message = palloc0(sizeof(ActorOutgoing));
	bool		isnull;

	actor_ref_init(&message->sender, actor_copy_text(row, COL_TYPE + 1),
				   actor_copy_text(row, COL_ID + 1));
	actor_ref_init(&message->receiver, actor_copy_text(row, COL_RECEIVER_TYPE + 1),
				   actor_copy_text(row, COL_RECEIVER_ID + 1));
	message->id = DatumGetInt64(actor_query_result(row, COL_MESSAGE_ID + 1, &isnull));
	message->method = actor_copy_text(row, COL_METHOD + 1);
	message->payload = actor_copy_jsonb(row, COL_PAYLOAD + 1);
	message->due_at = DatumGetTimestampTz(actor_query_result(row, COL_DUE_AT + 1, &isnull));
	message->role_name = *DatumGetName(actor_query_result(row, COL_ROLE_NAME + 1, &isnull));
	message->sent_at = DatumGetTimestampTz(actor_query_result(row, COL_SENT_AT + 1, &isnull));
	message->traceparent = actor_copy_text(row, COL_TRACEPARENT + 1);
	message->failure_policy = actor_copy_jsonb(row, COL_FAILURE_POLICY + 1);
	message->settings = actor_copy_jsonb(row, COL_SETTINGS + 1);
	return message;
}

/*
 * Writes down that a message has come to its receiver; false if that was written
 * before.  Waits for whoever is about to.
 */
static bool
forwarded_first(const ActorRef *receiver, int64 message_id)
{
	Datum		values[4] = {PointerGetDatum(receiver->type), PointerGetDatum(receiver->id),
		Int64GetDatum(message_id), TimestampTzGetDatum(GetCurrentTimestamp())
	};

	return actor_query_count(&insert_forwarded, values) > 0;
}

/*
 * actor_outgoing_share
 *		Keeps a message in its outbox as it was read until the transaction ends; false if
 *		it is not like that any more, or somebody else has it just now, and tells which.
 *
 * Whoever has renamed its receiver, or given it to another role, since it was read, has
 * done so with what is in outboxes; who does it later waits for us, and finds it at its
 * receiver.
 */
bool
actor_outgoing_share(ActorOutgoing *message)
{
	Datum		values[5] = {PointerGetDatum(message->sender.type),
		PointerGetDatum(message->sender.id), Int64GetDatum(message->id),
		PointerGetDatum(message->receiver.type), NameGetDatum(&message->role_name)
	};

	if (actor_query_count(&share_outgoing, values) > 0)
		return true;
	message->locked = actor_query_count(&find_outgoing, values) > 0;
	return false;
}

/*
 * actor_outgoing_pass
 *		Gives a message, whose row in the outbox is locked, to its receiver, unless it
 *		has it, or it was cancelled.
 */
void
actor_outgoing_pass(const ActorOutgoing *message)
{
	TimestampTz next_try_at = Max(message->due_at, message->sent_at);
	ActorBookkeeping bookkeeping;
	Datum		values[13];
	char		nulls[13];

	if (!forwarded_first(&message->receiver, message->id))
		return;
	memset(nulls, ' ', sizeof(nulls));
	values[0] = PointerGetDatum(message->receiver.type);
	values[1] = PointerGetDatum(message->receiver.id);
	values[2] = Int64GetDatum(message->id);
	values[3] = PointerGetDatum(message->method);
	values[4] = null_if_absent(message->payload, &nulls[4]);
	values[5] = TimestampTzGetDatum(message->due_at);
	values[6] = TimestampTzGetDatum(next_try_at);
	values[7] = BoolGetDatum(message->due_at <= GetCurrentTimestamp());
	values[8] = NameGetDatum(&message->role_name);
	values[9] = TimestampTzGetDatum(message->sent_at);
	values[10] = null_if_absent(message->traceparent, &nulls[10]);
	values[11] = null_if_absent(message->failure_policy, &nulls[11]);
	values[12] = null_if_absent(message->settings, &nulls[12]);
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&insert_message, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(next_try_at);
}

/*
 * actor_outbox_pass
 *		Passes what the outbox of a sender has for a receiver, in this transaction; for
 *		what must not come before that.
 */
void
actor_outbox_pass(const ActorRef *sender, const ActorRef *receiver)
{
	Datum		values[5] = {PointerGetDatum(sender->type), PointerGetDatum(sender->id),
		PointerGetDatum(receiver->type), PointerGetDatum(receiver->id)
	};
	List	   *messages = actor_query_list(&lock_pair, values, actor_outgoing_read);
	ListCell   *cell;

	if (messages == NIL)
		return;
	foreach(cell, messages)
		actor_outgoing_pass(lfirst(cell));
	values[4] = Int64GetDatum(((ActorOutgoing *) llast(messages))->id);
	(void) actor_query_count(&delete_pair, values);
}

/* cancelling ------------------------------------------------------------ */

/*
 * actor_outbox_find
 *		Whether a message to a receiver is in an outbox, and who has sent it.
 */
bool
actor_outbox_find(const ActorRef *receiver, int64 message_id, NameData *role_name)
{
	Datum		values[3] = {Int64GetDatum(message_id), PointerGetDatum(receiver->type),
		PointerGetDatum(receiver->id)
	};

	return actor_on_several_servers() && actor_role_of_row(&find_row, values, role_name);
}

/*
 * actor_outbox_cancel
 *		Has a message that is in an outbox not passed to its receiver, whose turn is
 *		held; false if it was.
 */
bool
actor_outbox_cancel(const ActorRef *receiver, int64 message_id)
{
	return forwarded_first(receiver, message_id);
}
