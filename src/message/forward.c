/*-------------------------------------------------------------------------
 *
 * forward.c
 *		Taking messages from outboxes to their receivers.
 *
 * The scheduler reads the outboxes of the actors that its server has, what was sent
 * first before the rest, and passes what it has read in one transaction for each
 * server of receivers, which so commits on one server; then it removes that from the
 * outboxes, in another one.  See outbox.c for why each message comes once, and in
 * order.
 *
 * A server that cannot be reached holds up what is for its actors, and nothing else: it
 * is tried again after a while, and messages for it are left out until then.  In the same
 * way a message that cannot be written holds up what is for the same actor, which
 * must not come before it.  So does one that somebody else has in the outbox, for a
 * moment; the scheduler waits for none of these rows.  One that it has passed and cannot
 * remove for that is removed by who has it, or found again, as one that was passed.
 *
 * A row of actor.forwarded must stay as long as somebody may pass the message again:
 * who finds it in an outbox, and who has found it there before it was removed.  The
 * first is asked of all servers; of the others it is known that they pass only what
 * they have read a short while ago, and that the row is older than that.
 *
 * On one server there can be messages in outboxes that were restored.
 *
 * IDENTIFICATION
 *		src/message/forward.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "message/message.h"

/* most messages that are read at once, and most rows that are forgotten */
#define BATCH_MAX			500
/* and bytes of their payloads, as they are stored, before the last one */
#define BATCH_SIZE			(4 * 1024 * 1024)
#define FORGET_MAX			1000
/* most messages in outboxes that have been there for long and that are asked for */
#define LEFT_MAX			10000
/* what was read longer ago is read again, in microseconds */
#define READ_US				(60 * USECS_PER_SEC)
/* what takes longer is passed in several transactions, in microseconds */
#define PASS_US				(2 * USECS_PER_SEC)
/* how long it is kept what was passed, in microseconds; much longer, for the sake of clocks */
#define KEEP_US				(600 * USECS_PER_SEC)
/* how often to look for what is kept no longer, in microseconds */
#define FORGET_US			(10 * USECS_PER_SEC)
/* how soon a server is tried again, in microseconds, and how often that doubles */
#define AGAIN_US			USECS_PER_SEC
#define AGAIN_DOUBLES		5
/* and a message that somebody has, in microseconds */
#define LOCKED_US			(100 * INT64CONST(1000))
/* how much later than its server a message is tried that may be what it has failed by */
#define BESIDE_US			(10 * USECS_PER_SEC)
/* most receivers that are left out; if there are more, it is their server */
#define BLOCKED_MAX			100

/* what tells an actor from others, or from most of them */
#define RECEIVER \
	"receiver_type OPERATOR(pg_catalog.||) ' ' OPERATOR(pg_catalog.||) receiver_id"

/*
 * In the parts, and for the actors, that are not left out; the first ones up to a number
 * and a size, and one at least.
 */
static ActorQuery read_outboxes = {
	"SELECT " ACTOR_OUTGOING_COLUMNS
	"  FROM (SELECT f.*, pg_catalog.sum(f.size) OVER (ORDER BY f.message_id"
	"                 ROWS UNBOUNDED PRECEDING) AS until"
	"          FROM (SELECT *, COALESCE(pg_catalog.pg_column_size(payload), 0) AS size"
	"                  FROM actor.outbox"
	"                 WHERE NOT pg_catalog.width_bucket(pg_catalog.hashtext(receiver_id), $1)"
	"                       OPERATOR(pg_catalog.=) ANY ($2)"
	"                   AND (" RECEIVER ") OPERATOR(pg_catalog.<>) ALL ($5)"
	"                 ORDER BY message_id LIMIT $3) f) w"
	" WHERE w.until OPERATOR(pg_catalog.-) w.size OPERATOR(pg_catalog.<) $4"
	" ORDER BY message_id",
	5, {INT4ARRAYOID, INT4ARRAYOID, INT8OID, INT8OID, TEXTARRAYOID}, false, true
};

#define OF_ACTOR \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND message_id OPERATOR(pg_catalog.=) ANY ($3)"

static ActorQuery lock_rows = {
	"SELECT actor_type, actor_id, message_id FROM actor.outbox" OF_ACTOR " FOR UPDATE SKIP LOCKED",
	3, {TEXTOID, TEXTOID, INT8ARRAYOID}
};

static ActorQuery delete_rows = {
	"DELETE FROM actor.outbox" OF_ACTOR,
	3, {TEXTOID, TEXTOID, INT8ARRAYOID}
};

static ActorQuery read_old = {
	"SELECT actor_type, actor_id, message_id FROM actor.forwarded"
	" WHERE forwarded_at OPERATOR(pg_catalog.<=) $1"
	" ORDER BY forwarded_at LIMIT $2",
	2, {TIMESTAMPTZOID, INT8OID}, false, true
};

static ActorQuery delete_old = {
	"DELETE FROM actor.forwarded" OF_ACTOR,
	3, {TEXTOID, TEXTOID, INT8ARRAYOID}
};

/* an outbox has them, so that is asked again after the same time */
static ActorQuery keep_old = {
	"UPDATE actor.forwarded SET forwarded_at = $4" OF_ACTOR,
	4, {TEXTOID, TEXTOID, INT8ARRAYOID, TIMESTAMPTZOID}
};

/* of all servers */
static ActorQuery read_left = {
	"SELECT message_id FROM actor.outbox"
	" WHERE message_id OPERATOR(pg_catalog.<=) $1"
	" ORDER BY message_id LIMIT $2",
	2, {INT8OID, INT8OID}
};

/* a server that could not be reached, or is suspected of that */
typedef struct Unreached
{
	int			server;
	int			failures;
	TimestampTz again;
} Unreached;

static List *unreached = NIL;	/* in TopMemoryContext */

/* an actor to which a message could not be passed */
typedef struct Blocked
{
	text	   *receiver;		/* as in RECEIVER */
	int			failures;
	TimestampTz again;
} Blocked;

static List *blocked = NIL;		/* in TopMemoryContext */

/* the number of a message of an actor */
typedef struct Number
{
	ActorRef	actor;
	int64		id;
} Number;

/* numbers of an actor --------------------------------------------------- */

static int
compare_numbers(const ListCell *a, const ListCell *b)
{
	const Number *x = lfirst(a);
	const Number *y = lfirst(b);

	if (x->actor.hash != y->actor.hash)
		return x->actor.hash < y->actor.hash ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void *
read_number(uint64 row)
{
	Number	   *number = palloc(sizeof(Number));
	bool		isnull;

	actor_ref_init(&number->actor, actor_copy_text(row, 1), actor_copy_text(row, 2));
	number->id = DatumGetInt64(actor_query_result(row, 3, &isnull));
	return number;
}

/*
 * Runs a statement for each actor of a list of Number, which it sorts, with numbers of
 * that actor and the time.  What it returns is added to a list of Number, unless that is
 * NULL.
 */
static void
run_for_numbers(ActorQuery *query, List *numbers, List **result)
{
	int			count = list_length(numbers);
	Datum	   *ids = palloc(sizeof(Datum) * Max(count, 1));
	int			nids = 0;

	list_sort(numbers, compare_numbers);
	for (int i = 0; i < count; i++)
	{
		const Number *number = list_nth(numbers, i);
		Datum		values[4];

		ids[nids++] = Int64GetDatum(number->id);
		if (i + 1 < count &&
			actor_ref_equal(&number->actor, &((Number *) list_nth(numbers, i + 1))->actor))
			continue;
		CHECK_FOR_INTERRUPTS();
		values[0] = PointerGetDatum(number->actor.type);
		values[1] = PointerGetDatum(number->actor.id);
		values[2] = PointerGetDatum(construct_array(ids, nids, INT8OID, sizeof(int64),
													FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
		values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
		if (result != NULL)
			*result = list_concat(*result, actor_query_list(query, values, read_number));
		else
			(void) actor_query_count(query, values);
		nids = 0;
	}
}

/* servers that cannot be reached ---------------------------------------- */

static Unreached *
find_unreached(int server)
{
	ListCell   *cell;

	foreach(cell, unreached)
		if (((Unreached *) lfirst(cell))->server == server)
		return lfirst(cell);
	return NULL;
}

/*
 * The parts, counting from 1, of servers that are not to be tried yet; lowers the time
 * to that of the first one that is.
 */
static ArrayType *
parts_left_out(TimestampTz now, TimestampTz *again)
{
	int			count = actor_map_parts();
	Datum	   *parts = palloc(sizeof(Datum) * count);
	int			nparts = 0;

	for (int i = 0; i < count; i++)
	{
		const Unreached *server = find_unreached(actor_map_server(i));

		if (server == NULL || server->again <= now)
			continue;
		parts[nparts++] = Int32GetDatum(i + 1);
		*again = Min(*again, server->again);
	}
	return construct_array(parts, nparts, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

/*
 * What is remembered of a server, which may be tried as yet.
 */
static Unreached *
add_unreached(int number)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	Unreached  *server = palloc0(sizeof(Unreached));

	server->server = number;
	unreached = lappend(unreached, server);
	MemoryContextSwitchTo(old);
	return server;
}

/*
 * A server has answered.
 */
static void
forget_unreached(int number)
{
	Unreached  *server = find_unreached(number);

	if (server == NULL)
		return;
	unreached = list_delete_ptr(unreached, server);
	pfree(server);
}

/*
 * Leaves out what goes to a server, for the longer the more often that has failed.
 */
static void
leave_out_server(int number)
{
	Unreached  *server = find_unreached(number);

	if (server == NULL)
		server = add_unreached(number);
	server->again = GetCurrentTimestamp() + (AGAIN_US << server->failures);
	server->failures = Min(server->failures + 1, AGAIN_DOUBLES);
}

/* receivers that are left out ------------------------------------------- */

static text *
receiver_text(const ActorRef *actor)
{
	return cstring_to_text(psprintf("%s %s", text_to_cstring(actor->type),
									text_to_cstring(actor->id)));
}

static Blocked *
find_blocked(const ActorRef *receiver)
{
	text	   *name = blocked != NIL ? receiver_text(receiver) : NULL;
	ListCell   *cell;

	foreach(cell, blocked)
		if (actor_text_equal(((Blocked *) lfirst(cell))->receiver, name))
		return lfirst(cell);
	return NULL;
}

/*
 * Leaves out what goes to an actor until a time; if a message for it has failed, for the
 * longer the more often.  False if there are too many of them.
 */
static bool
leave_out_receiver(const ActorRef *receiver, TimestampTz until, bool failed)
{
	Blocked    *actor = find_blocked(receiver);

	if (actor == NULL)
	{
		text	   *name = receiver_text(receiver);
		MemoryContext old;

		if (list_length(blocked) >= BLOCKED_MAX)
			return false;
		old = MemoryContextSwitchTo(TopMemoryContext);
		actor = palloc0(sizeof(Blocked));
		actor->receiver = (text *) pg_detoast_datum_copy((struct varlena *) name);
		blocked = lappend(blocked, actor);
		MemoryContextSwitchTo(old);
	}
	actor->again = until + (failed ? AGAIN_US << actor->failures : 0);
	if (failed)
		actor->failures = Min(actor->failures + 1, AGAIN_DOUBLES);
	return true;
}

static void
leave_out_no_more(Blocked *actor)
{
	blocked = list_delete_ptr(blocked, actor);
	pfree(actor->receiver);
	pfree(actor);
}

/*
 * Forgets the actors that could have been tried for long, and that there was nothing
 * for any more.
 */
static void
forget_blocked(TimestampTz now)
{
	for (int i = list_length(blocked) - 1; i >= 0; i--)
	{
		Blocked    *actor = list_nth(blocked, i);

		if (actor->again + (AGAIN_US << AGAIN_DOUBLES) < now)
			leave_out_no_more(actor);
	}
}

/*
 * The actors that are not to be tried yet; lowers the time to that of the first one
 * that is.
 */
static ArrayType *
receivers_left_out(TimestampTz now, TimestampTz *again)
{
	Datum	   *receivers = palloc(sizeof(Datum) * Max(list_length(blocked), 1));
	int			count = 0;
	ListCell   *cell;

	forget_blocked(now);
	foreach(cell, blocked)
	{
		const Blocked *actor = lfirst(cell);

		if (actor->again <= now)
			continue;
		receivers[count++] = PointerGetDatum(actor->receiver);
		*again = Min(*again, actor->again);
	}
	return construct_array(receivers, count, TEXTOID, -1, false, TYPALIGN_INT);
}

/* what has become of it ------------------------------------------------- */

/*
 * Whether an error is one of a message, and not of its server or of the moment.
 */
static bool
is_of_message(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_INVALID_TRANSACTION_STATE:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return false;
		default:
			return true;
	}
}

/*
 * Whether an error is the end of a wait, which can have been for a row of the receiver or
 * for its server.
 */
static bool
is_of_wait(const ErrorData *error)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_QUERY_CANCELED:
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
			return true;
		default:
			return false;
	}
}

/*
 * Whether a message is the reason that forwarding has failed.  If it has waited in vain,
 * and nothing shows that its server answers, that is believed once: if it is the server,
 * the next attempt ends in the same way without that message.
 */
static bool
failed_by_message(const ActorForwarding *forwarding, const ErrorData *error)
{
	if (forwarding->current == NULL)
		return false;
	if (is_of_message(error) || (is_of_wait(error) && forwarding->answered))
	{
		forget_unreached(forwarding->server);
		return true;
	}
	if (!is_of_wait(error) || find_unreached(forwarding->server) != NULL)
		return false;
	(void) add_unreached(forwarding->server);
	return true;
}

/*
 * actor_forwarding_failed
 *		Messages could not be passed to a server.
 */
void
actor_forwarding_failed(const ActorForwarding *forwarding, const ErrorData *error)
{
	const ActorOutgoing *message = forwarding->current;

	if (failed_by_message(forwarding, error) &&
		leave_out_receiver(&message->receiver, GetCurrentTimestamp(), true))
	{
		actor_log_vain(psprintf("could not forward messages to actor \"%s\" of type \"%s\"",
								text_to_cstring(message->receiver.id),
								text_to_cstring(message->receiver.type)), error);
		return;
	}
	actor_log_vain(psprintf("could not forward messages to the server with number %d",
							forwarding->server), error);
	leave_out_server(forwarding->server);
	/* it may have been the message again, so it must not come first each time */
	if (message != NULL && is_of_wait(error))
		(void) leave_out_receiver(&message->receiver,
								  find_unreached(forwarding->server)->again + BESIDE_US, false);
}

/*
 * actor_forwarding_done
 *		They were passed, but for those that somebody has, or that have changed: the
 *		former are left out for a moment, the latter are to be read again.
 */
void
actor_forwarding_done(const ActorForwarding *forwarding)
{
	TimestampTz until = GetCurrentTimestamp() + LOCKED_US;
	ListCell   *cell;

	forget_unreached(forwarding->server);
	foreach(cell, forwarding->messages)
	{
		const ActorOutgoing *message = lfirst(cell);
		Blocked    *actor = message->left_out ? NULL : find_blocked(&message->receiver);

		if (actor != NULL)
			leave_out_no_more(actor);
	}
	foreach(cell, forwarding->messages)
	{
		const ActorOutgoing *message = lfirst(cell);

		if (message->locked && !leave_out_receiver(&message->receiver, until, false))
			leave_out_server(forwarding->server);
	}
}

/* forwarding ------------------------------------------------------------ */

/*
 * Adds a message to what goes to its server.
 */
static List *
add_message(List *forwardings, ActorOutgoing *message, TimestampTz now)
{
	int			server = actor_map_server(actor_map_part(message->receiver.id));
	ActorForwarding *forwarding;
	ListCell   *cell;

	foreach(cell, forwardings)
	{
		forwarding = lfirst(cell);
		if (forwarding->server != server)
			continue;
		forwarding->messages = lappend(forwarding->messages, message);
		return forwardings;
	}
	forwarding = palloc(sizeof(ActorForwarding));
	forwarding->server = server;
	forwarding->messages = list_make1(message);
	forwarding->read_at = now;
	forwarding->current = NULL;
	forwarding->answered = false;
	return lappend(forwardings, forwarding);
}

/*
 * actor_forwardings
 *		What is to be forwarded from this server, as a list of ActorForwarding in the
 *		current memory context.  Sets when to look again for what is left out now.
 */
List *
actor_forwardings(TimestampTz *again)
{
	TimestampTz now = GetCurrentTimestamp();
	List	   *result = NIL;
	List	   *messages;
	ListCell   *cell;
	Datum		values[5];

	*again = DT_NOEND;
	values[0] = PointerGetDatum(actor_map_starts());
	values[1] = PointerGetDatum(parts_left_out(now, again));
	values[2] = Int64GetDatum(BATCH_MAX);
	values[3] = Int64GetDatum(BATCH_SIZE);
	values[4] = PointerGetDatum(receivers_left_out(now, again));
	messages = actor_query_list(&read_outboxes, values, actor_outgoing_read);
	foreach(cell, messages)
		result = add_message(result, lfirst(cell), now);
	return result;
}

/*
 * Whether one of the first so many messages has the same receiver, and was left out.
 */
static bool
comes_after_left_out(const List *messages, int count)
{
	const ActorOutgoing *message = list_nth(messages, count);

	for (int i = 0; i < count; i++)
	{
		const ActorOutgoing *earlier = list_nth(messages, i);

		if (earlier->left_out && actor_ref_equal(&earlier->receiver, &message->receiver))
			return true;
	}
	return false;
}

/*
 * actor_forwarding_pass
 *		Passes what goes to one server, in a transaction of its own; leaves in the list
 *		what was passed, if that takes long, or could not be.
 */
void
actor_forwarding_pass(void *arg)
{
	ActorForwarding *forwarding = arg;
	TimestampTz began = GetCurrentTimestamp();
	bool		left_out = false;

	for (int i = 0; i < list_length(forwarding->messages); i++)
	{
		ActorOutgoing *message = list_nth(forwarding->messages, i);

		CHECK_FOR_INTERRUPTS();
		if (i > 0 && GetCurrentTimestamp() - began > PASS_US)
		{
			forwarding->messages = list_truncate(forwarding->messages, i);
			break;
		}
		/* on two servers it would be committed in two phases */
		if (actor_map_server(actor_map_part(message->receiver.id)) != forwarding->server)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("the receiver of a message has moved to another server")));
		if (GetCurrentTimestamp() - forwarding->read_at > READ_US)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("messages to be forwarded were read too long ago")));
		message->left_out = (left_out && comes_after_left_out(forwarding->messages, i)) ||
			!actor_outgoing_share(message);
		left_out |= message->left_out;
		if (message->left_out)
			continue;
		forwarding->current = message;
		actor_outgoing_pass(message);
		forwarding->current = NULL;
		forwarding->answered = true;
	}
}

/*
 * The numbers of messages that were passed, as a list of Number.
 */
static List *
passed_numbers(const List *messages)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, messages)
	{
		const ActorOutgoing *message = lfirst(cell);
		Number	   *number;

		if (message->left_out)
			continue;
		number = palloc(sizeof(Number));
		number->actor = message->sender;
		number->id = message->id;
		result = lappend(result, number);
	}
	return result;
}

/*
 * Marks the messages that were passed, but are not in a list of Number that are removed.
 */
static void
mark_locked(const List *messages, const List *removed)
{
	ListCell   *cell;

	foreach(cell, messages)
	{
		ActorOutgoing *message = lfirst(cell);
		ListCell   *other;

		message->locked |= !message->left_out;
		foreach(other, removed)
			if (((Number *) lfirst(other))->id == message->id)
			message->locked = false;
	}
}

/*
 * actor_forwarding_remove
 *		Removes from the outboxes what was passed, when that is committed; all but what
 *		somebody has there.
 *
 * Waits for no row: who has one may be about to wait for another one that was removed.
 */
void
actor_forwarding_remove(void *arg)
{
	ActorForwarding *forwarding = arg;
	List	   *passed = passed_numbers(forwarding->messages);
	List	   *removed = NIL;

	run_for_numbers(&lock_rows, passed, &removed);
	run_for_numbers(&delete_rows, removed, NULL);
	if (list_length(removed) < list_length(passed))
		mark_locked(forwarding->messages, removed);
}

/* forgetting ------------------------------------------------------------ */

static TimestampTz looked_for_old_at = 0;

static void *
read_id(uint64 row)
{
	int64	   *id = palloc(sizeof(int64));
	bool		isnull;

	*id = DatumGetInt64(actor_query_result(row, 1, &isnull));
	return id;
}

/*
 * actor_forwarded_old
 *		What this server has kept for long enough, for actor_forwarded_forget, in the
 *		current memory context; NIL if there is nothing, or it is not time to look.
 *		Sets when to look again.
 */
List *
actor_forwarded_old(TimestampTz *again)
{
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[2] = {TimestampTzGetDatum(now - KEEP_US), Int64GetDatum(FORGET_MAX)};
	List	   *result;

	*again = looked_for_old_at + FORGET_US;
	if (looked_for_old_at <= now && now < *again)
		return NIL;
	result = actor_query_list(&read_old, values, read_number);
	looked_for_old_at = now;
	*again = now + FORGET_US;
	return result;
}

/*
 * Whether a list of numbers, in their order, has one, or may have it because it is not
 * complete.
 */
static bool
is_left(const List *left, int64 id)
{
	int			from = 0;
	int			to = list_length(left);

	if (to == LEFT_MAX && id > *(int64 *) llast(left))
		return true;
	while (from < to)
	{
		int			middle = (from + to) / 2;

		if (*(int64 *) list_nth(left, middle) < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from < list_length(left) && *(int64 *) list_nth(left, from) == id;
}

/*
 * actor_forwarded_forget
 *		Forgets that these messages were passed, those excepted that an outbox has;
 *		raises an error if a server cannot be asked.
 */
void
actor_forwarded_forget(void *arg)
{
	List	   *old = arg;
	List	   *gone = NIL;
	List	   *kept = NIL;
	List	   *left;
	int64		last = 0;
	ListCell   *cell;
	Datum		values[2];

	foreach(cell, old)
		last = Max(last, ((Number *) lfirst(cell))->id);
	values[0] = Int64GetDatum(last);
	values[1] = Int64GetDatum(LEFT_MAX);
	left = actor_query_list(&read_left, values, read_id);
	foreach(cell, old)
	{
		Number	   *number = lfirst(cell);

		if (is_left(left, number->id))
			kept = lappend(kept, number);
		else
			gone = lappend(gone, number);
	}
	run_for_numbers(&delete_old, gone, NULL);
	run_for_numbers(&keep_old, kept, NULL);
	/* there may be more */
	looked_for_old_at = 0;
}
