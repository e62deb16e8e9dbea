/*-------------------------------------------------------------------------
 *
 * record.c
 *		Writing down what has run, for types with a history.
 *
 * An entry is written when a method has returned, in the turn and the
 * transaction of the method, so that it is there if and only if what the method
 * did is.  So calls that fail leave none; attempts of callbacks that fail do,
 * because whoever fires them goes on.  Calls without a turn leave none, since
 * they change nothing.
 *
 * Changes are written at once, and go with a savepoint that is rolled back.  They
 * have the number of the entry, which is drawn for the first of them.  The turn
 * makes sure that changes of an actor have numbers in the order they were made.
 *
 * Nothing here costs anything for other types: callers look at frame->history.
 *
 * IDENTIFICATION
 *		src/call/record.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "call/call.h"

/* columns of actor.history */
enum
{
	ENTRY_TYPE,
	ENTRY_ID,
	ENTRY_HISTORY_ID,
	ENTRY_KIND,
	ENTRY_NAME,
	ENTRY_METHOD,
	ENTRY_ATTEMPT,
	ENTRY_RAN_AS,
	ENTRY_STARTED_AT,
	ENTRY_DURATION_MS,
	ENTRY_SQLSTATE,
	ENTRY_MESSAGE,
	ENTRY_TRACEPARENT,
	ENTRY_EXPIRES_AT,
	ENTRY_COUNT
};

/* columns of actor.history_change */
enum
{
	CHANGE_TYPE,
	CHANGE_ID,
	CHANGE_HISTORY_ID,
	CHANGE_CHANGE_ID,
	CHANGE_TURN,
	CHANGE_KEY,
	CHANGE_OLD_VALUE,
	CHANGE_OLD_EXPIRES_AT,
	CHANGE_NEW_VALUE,
	CHANGE_NEW_EXPIRES_AT,
	CHANGE_CHANGED_AT,
	CHANGE_COUNT
};

static ActorTable entry_table = {"history", 3};
static ActorTable entry_ids = {"history_history_id_seq"};
static ActorTable change_table = {"history_change", 4};
static ActorTable change_ids = {"history_change_change_id_seq"};

static ActorQuery insert_entry = {
	"INSERT INTO actor.history (actor_type, actor_id, history_id, kind, name, method,"
	"  attempt, ran_as, started_at, duration_ms, sqlstate, message, traceparent, expires_at)"
	" OVERRIDING SYSTEM VALUE"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
	ENTRY_COUNT, {TEXTOID, TEXTOID, INT8OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, NAMEOID,
	TIMESTAMPTZOID, FLOAT8OID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ActorQuery insert_change = {
	"INSERT INTO actor.history_change (actor_type, actor_id, history_id, change_id, turn, key,"
	"  old_value, old_expires_at, new_value, new_expires_at, changed_at)"
	" OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
	CHANGE_COUNT, {TEXTOID, TEXTOID, INT8OID, INT8OID, INT8OID, TEXTOID, JSONBOID,
	TIMESTAMPTZOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

static ActorQuery insert_removals = {
	"INSERT INTO actor.history_change (actor_type, actor_id, history_id, turn, key,"
	"  old_value, old_expires_at, changed_at)"
	" SELECT actor_type, actor_id, $3, $4, key, value, expires_at, $5 FROM actor.state"
	"  WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"    AND actor_id OPERATOR(pg_catalog.=) $2"
	"    AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $5)",
	5, {TEXTOID, TEXTOID, INT8OID, INT8OID, TIMESTAMPTZOID}
};

/* writing --------------------------------------------------------------- */

/*
 * Inserts a row, by a statement where it takes one.
 */
static void
insert_row(ActorTable *table, ActorQuery *query, Datum *values, const bool *isnull)
{
	ActorBookkeeping bookkeeping;
	char		nulls[ENTRY_COUNT];

	if (actor_direct_insert(table, values, isnull, query->nargs, false))
		return;
	for (int i = 0; i < query->nargs; i++)
		nulls[i] = isnull[i] ? 'n' : ' ';
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(query, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
}

static int64
draw_number(ActorTable *sequence)
{
	int64		number = actor_direct_nextval(sequence);

	if (number == 0)
		elog(ERROR, "sequence \"actor.%s\" does not exist", sequence->name);
	return number;
}

/*
 * Number that the changes of this transaction have in common, which may be that
 * of the change given.
 */
static int64
number_of_turn(int64 change_id)
{
	static TransactionId transaction = InvalidTransactionId;
	static int64 number;

	if (transaction != GetTopTransactionId())
	{
		transaction = GetTopTransactionId();
		number = change_id;
	}
	return number;
}

/*
 * The entry of a frame, which has just ended.
 */
static void
write_entry(ActorFrame *frame, const NameData *ran_as, const ErrorData *error)
{
	const ActorCause *cause = frame->cause;
	bool		fired = cause != NULL && cause->name != NULL;
	text	   *traceparent = actor_traceparent();
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires_at = now + frame->history_keep;
	Datum		values[ENTRY_COUNT];
	bool		isnull[ENTRY_COUNT] = {false};

	if (frame->history_id == 0)
		frame->history_id = draw_number(&entry_ids);
	values[ENTRY_TYPE] = PointerGetDatum(frame->actor.type);
	values[ENTRY_ID] = PointerGetDatum(frame->actor.id);
	values[ENTRY_HISTORY_ID] = Int64GetDatum(frame->history_id);
	values[ENTRY_KIND] = CStringGetTextDatum(cause != NULL ? cause->kind : "call");
	values[ENTRY_NAME] = PointerGetDatum(fired ? cause->name : NULL);
	isnull[ENTRY_NAME] = !fired;
	values[ENTRY_METHOD] = PointerGetDatum(frame->method);
	isnull[ENTRY_METHOD] = frame->method == NULL;
	values[ENTRY_ATTEMPT] = Int32GetDatum(fired ? cause->attempt : 0);
	isnull[ENTRY_ATTEMPT] = !fired;
	values[ENTRY_RAN_AS] = NameGetDatum(ran_as);
	values[ENTRY_STARTED_AT] = TimestampTzGetDatum(frame->history_start);
	values[ENTRY_DURATION_MS] = Float8GetDatum((now - frame->history_start) / 1000.0);
	values[ENTRY_SQLSTATE] = error == NULL ? (Datum) 0 :
		CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[ENTRY_MESSAGE] = PointerGetDatum(error == NULL ? NULL : actor_error_text(error->message));
	isnull[ENTRY_SQLSTATE] = error == NULL;
	isnull[ENTRY_MESSAGE] = error == NULL || error->message == NULL;
	values[ENTRY_TRACEPARENT] = PointerGetDatum(traceparent);
	isnull[ENTRY_TRACEPARENT] = traceparent == NULL;
	values[ENTRY_EXPIRES_AT] = TimestampTzGetDatum(expires_at);
	insert_row(&entry_table, &insert_entry, values, isnull);
	actor_note(ACTOR_NOTE_ENTRY, &frame->actor, NULL, frame->history_id, 0);
	actor_wake_at(actor_purge_time(expires_at));
}

/* frames ---------------------------------------------------------------- */

/*
 * actor_record_begin
 *		Fills in what a frame has for the history of its type, which has one, or
 *		is to have one meanwhile.  Called in the turn of the actor.
 */
void
actor_record_begin(ActorFrame *frame, const ActorType *type)
{
	frame->history = actor_noting ? ACTOR_HISTORY_CHANGES : type->row.history;
	frame->history_id = 0;
	frame->history_keep = actor_type_history_retention(type);
	frame->history_start = GetCurrentTimestamp();
}

/*
 * actor_record_end
 *		Writes the entry of a frame, which has been popped, or was never pushed.
 */
void
actor_record_end(ActorFrame *frame)
{
	NameData	ran_as;

	namestrcpy(&ran_as, GetUserNameFromId(GetUserId(), false));
	write_entry(frame, &ran_as, NULL);
}

/*
 * actor_record_failure
 *		Writes down that an attempt of a callback has failed, if its type has a
 *		history.
 */
void
actor_record_failure(const ActorRef *actor, const text *method, const ActorCause *cause,
					 const NameData *ran_as, TimestampTz started_at, const ErrorData *error)
{
	ActorType  *type = actor_type_find(actor->type);
	ActorFrame	frame;

	if (type == NULL || type->row.history == ACTOR_HISTORY_OFF)
		return;
	memset(&frame, 0, sizeof(frame));
	frame.actor = *actor;
	frame.method = method;
	frame.cause = cause;
	actor_record_begin(&frame, type);
	frame.history_start = started_at;
	write_entry(&frame, ran_as, error);
}

/* changes --------------------------------------------------------------- */

/*
 * actor_record_change
 *		Writes down that a key of the actor of a frame has been set or removed.  A
 *		value is NULL where the key is absent, an expiry DT_NOEND if there is none.
 */
void
actor_record_change(ActorFrame *frame, const text *key,
					const Jsonb *old_value, TimestampTz old_expires_at,
					const Jsonb *new_value, TimestampTz new_expires_at)
{
	Datum		values[CHANGE_COUNT];
	bool		isnull[CHANGE_COUNT] = {false};
	int64		change_id = draw_number(&change_ids);

	if (frame->history_id == 0)
		frame->history_id = draw_number(&entry_ids);
	values[CHANGE_TYPE] = PointerGetDatum(frame->actor.type);
	values[CHANGE_ID] = PointerGetDatum(frame->actor.id);
	values[CHANGE_HISTORY_ID] = Int64GetDatum(frame->history_id);
	values[CHANGE_CHANGE_ID] = Int64GetDatum(change_id);
	values[CHANGE_TURN] = Int64GetDatum(number_of_turn(change_id));
	values[CHANGE_KEY] = PointerGetDatum(key);
	values[CHANGE_OLD_VALUE] = PointerGetDatum(old_value);
	isnull[CHANGE_OLD_VALUE] = old_value == NULL;
	values[CHANGE_OLD_EXPIRES_AT] = TimestampTzGetDatum(old_expires_at);
	isnull[CHANGE_OLD_EXPIRES_AT] = old_value == NULL || TIMESTAMP_IS_NOEND(old_expires_at);
	values[CHANGE_NEW_VALUE] = PointerGetDatum(new_value);
	isnull[CHANGE_NEW_VALUE] = new_value == NULL;
	values[CHANGE_NEW_EXPIRES_AT] = TimestampTzGetDatum(new_expires_at);
	isnull[CHANGE_NEW_EXPIRES_AT] = new_value == NULL || TIMESTAMP_IS_NOEND(new_expires_at);
	values[CHANGE_CHANGED_AT] = TimestampTzGetDatum(GetCurrentTimestamp());
	insert_row(&change_table, &insert_change, values, isnull);
}

/*
 * actor_record_removals
 *		Writes down that all keys of the actor of a frame are about to be removed.
 */
void
actor_record_removals(ActorFrame *frame)
{
	ActorBookkeeping bookkeeping;
	Datum		values[5];

	if (frame->history_id == 0)
		frame->history_id = draw_number(&entry_ids);
	values[0] = PointerGetDatum(frame->actor.type);
	values[1] = PointerGetDatum(frame->actor.id);
	values[2] = Int64GetDatum(frame->history_id);
	values[3] = Int64GetDatum(number_of_turn(draw_number(&change_ids)));
	values[4] = TimestampTzGetDatum(GetCurrentTimestamp());
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&insert_removals, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}
