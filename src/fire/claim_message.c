/*-------------------------------------------------------------------------
 *
 * claim_message.c
 *		Claiming the row of a message.
 *
 * As in claim.c: the row is locked if it is as it was seen, and passed over if
 * somebody else has locked it.  A message is delivered only if it is the first of its
 * queue then; that is claimed without a statement where that makes no difference, see
 * first.c.
 *
 * IDENTIFICATION
 *		src/fire/claim_message.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "call/call.h"
#include "reminder/reminder.h"
#include "message/message.h"
#include "fire/internal.h"

typedef ActorMessageClaim Claim;

/* what is read of a row, in the order of the statement */
enum
{
	READ_METHOD,
	READ_PAYLOAD,
	READ_DEFERRALS,
	READ_TRACEPARENT,
	READ_FAILURE_POLICY,
	READ_REQUEST_ID,
	READ_SETTINGS,
	READ_COUNT
};

static const ActorMessageColumn columns[] = {
	[READ_METHOD] = MESSAGE_METHOD,[READ_PAYLOAD] = MESSAGE_PAYLOAD,
	[READ_DEFERRALS] = MESSAGE_DEFERRALS,[READ_TRACEPARENT] = MESSAGE_TRACEPARENT,
	[READ_FAILURE_POLICY] = MESSAGE_FAILURE_POLICY,[READ_REQUEST_ID] = MESSAGE_REQUEST_ID,
	[READ_SETTINGS] = MESSAGE_SETTINGS
};

#define OF_ACTOR \
	" actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2"

#define CLAIM_MESSAGE(condition) \
	"SELECT method, payload, deferrals, traceparent, failure_policy, request_id, settings" \
	"  FROM actor.message" \
	" WHERE" OF_ACTOR " AND message_id OPERATOR(pg_catalog.=) $3" \
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
	CLAIM_MESSAGE(" AND (queued OR next_try_at OPERATOR(pg_catalog.>) $9)"
				  " AND NOT EXISTS (SELECT FROM actor.message WHERE" OF_ACTOR
				  "  AND queued AND message_id OPERATOR(pg_catalog.>=) $8"
				  "  AND message_id OPERATOR(pg_catalog.<) $3)"
				  " AND NOT EXISTS (SELECT FROM actor.message WHERE" OF_ACTOR
				  "  AND NOT queued AND next_try_at OPERATOR(pg_catalog.>) $9"
				  "  AND next_try_at OPERATOR(pg_catalog.<=) $7)"),
	9, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, NAMEOID, TIMESTAMPTZOID,
	INT8OID, TIMESTAMPTZOID}
};

/* a row that is to be claimed */
typedef struct Wanted
{
	const ActorDue *due;
	const NameData *role;
	int64		message_id;
	const ActorLook *look;		/* NULL: it need not be the first */
	TimestampTz now;			/* as of when it must be that */
	Claim	   *claim;
	MemoryContext context;		/* of what is claimed */
} Wanted;

static text *
copy_text(Datum value, bool isnull)
{
	return isnull ? NULL : DatumGetTextPCopy(value);
}

static Jsonb *
copy_document(Datum value, bool isnull)
{
	return isnull ? NULL : DatumGetJsonbPCopy(value);
}

/*
 * Copies what was read of a row.
 */
static void
take_claim(const Wanted *wanted, const Datum *row, const bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(wanted->context);
	Claim	   *claim = wanted->claim;

	claim->method = copy_text(row[READ_METHOD], false);
	claim->payload = copy_document(row[READ_PAYLOAD], isnull[READ_PAYLOAD]);
	claim->deferrals = DatumGetInt32(row[READ_DEFERRALS]);
	claim->traceparent = copy_text(row[READ_TRACEPARENT], isnull[READ_TRACEPARENT]);
	actor_message_policy_parse(isnull[READ_FAILURE_POLICY] ? NULL :
							   DatumGetJsonbP(row[READ_FAILURE_POLICY]),
							   &claim->policy, &claim->passes);
	claim->request_id = copy_text(row[READ_REQUEST_ID], isnull[READ_REQUEST_ID]);
	claim->settings = copy_document(row[READ_SETTINGS], isnull[READ_SETTINGS]);
	MemoryContextSwitchTo(old);
}

/* without a statement --------------------------------------------------- */

static Datum
column_of(TupleTableSlot *slot, ActorMessageColumn column)
{
	bool		isnull;

	return slot_getattr(slot, column + 1, &isnull);
}

/*
 * Whether a row is as it was seen.
 */
static bool
is_wanted(TupleTableSlot *slot, void *arg)
{
	const Wanted *wanted = arg;

	return DatumGetTimestampTz(column_of(slot, MESSAGE_DUE_AT)) == wanted->due->scheduled_at &&
		DatumGetInt32(column_of(slot, MESSAGE_ATTEMPT)) == wanted->due->attempt &&
		strcmp(NameStr(*DatumGetName(column_of(slot, MESSAGE_ROLE_NAME))),
			   NameStr(*wanted->role)) == 0;
}

static void
take_slot(TupleTableSlot *slot, void *arg)
{
	Datum		row[READ_COUNT];
	bool		isnull[READ_COUNT];

	for (int i = 0; i < READ_COUNT; i++)
		row[i] = slot_getattr(slot, columns[i] + 1, &isnull[i]);
	take_claim(arg, row, isnull);
}

/* by a statement -------------------------------------------------------- */

static bool
claim_by_sql(const Wanted *wanted)
{
	const ActorDue *due = wanted->due;
	const ActorLook *look = wanted->look;
	ActorBookkeeping bookkeeping;
	Datum		values[9] = {PointerGetDatum(due->actor.type), PointerGetDatum(due->actor.id),
		Int64GetDatum(wanted->message_id), TimestampTzGetDatum(due->scheduled_at),
	Int32GetDatum(due->attempt), NameGetDatum(wanted->role)};
	Datum		row[READ_COUNT];
	bool		isnull[READ_COUNT];
	bool		found;

	if (look != NULL)
	{
		values[6] = TimestampTzGetDatum(wanted->now);
		values[7] = Int64GetDatum(look->from.id);
		values[8] = TimestampTzGetDatum(look->from.due_at);
	}
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_row(look != NULL ? &claim_first : &claim_message, values, READ_COUNT, row,
							isnull) == 1;
	if (found)
		take_claim(wanted, row, isnull);
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * actor_claim_message
 *		Locks the row of a message, whatever its place in the queue, and reads it into
 *		the current memory context; false if it is locked or not as it was seen.
 */
bool
actor_claim_message(const ActorDue *due, const NameData *role, Claim *claim)
{
	Wanted		wanted = {due, role, actor_message_id(due),.claim = claim,.context = CurrentMemoryContext};

	return claim_by_sql(&wanted);
}

/*
 * actor_claim_first
 *		The same as the first of the queue, in the actor's turn, as of that time; false
 *		also if others are before it.  Says whether it is known that there is none any
 *		more.
 */
bool
actor_claim_first(const ActorDue *due, const NameData *role, TimestampTz clock,
				  TimestampTz now, Claim *claim, bool *gone)
{
	ActorLook	look;
	Wanted		wanted = {due, role, actor_message_id(due), &look, now, claim, CurrentMemoryContext};
	ActorDirectResult result;

	actor_look_begin(&look, &due->actor, wanted.message_id);
	result = actor_queue_lock_first(&due->actor, wanted.message_id, &look, now, is_wanted,
									take_slot, &wanted, gone);
	if (!*gone && (result == ACTOR_DIRECT_ABSENT ||
				   (result == ACTOR_DIRECT_BY_SQL && !claim_by_sql(&wanted))))
		return false;

	/*
	 * nothing was before it; a time to come says nothing of what is sent
	 * until then
	 */
	actor_look_end(&look, &due->actor, wanted.message_id, clock == 0 ? now : look.from.due_at);
	return !*gone;
}
