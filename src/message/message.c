/*-------------------------------------------------------------------------
 *
 * message.c
 *		SQL functions of messages: sending and cancelling.
 *
 * A message is a row of actor.message.  Sending inserts it, and that is all: it
 * takes no turn, and locks and changes nothing that another sender or a
 * delivery has, so it never waits.  The row commits or rolls back with its
 * transaction, and the workers find it after the commit.  What becomes of it
 * then is in delivery.c.  Where actors are on several servers, what a method sends to
 * an actor of another part of the tables stays with the sender at first; see outbox.c.
 *
 * Cancelling takes the turn of the actor, because only in its turn a row leaves
 * the queue.
 *
 * IDENTIFICATION
 *		src/message/message.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "reminder/reminder.h"
#include "message/message.h"

PG_FUNCTION_INFO_V1(actor_send);
PG_FUNCTION_INFO_V1(actor_send_at);
PG_FUNCTION_INFO_V1(actor_send_in);
PG_FUNCTION_INFO_V1(actor_cancel_message);

/* arguments of actor_send, after type and id */
enum
{
	ARG_METHOD = 2,
	ARG_PAYLOAD,
	ARG_DUE_TIME,
	ARG_REQUEST_ID,
	ARG_FAILURE_POLICY
};

/* the writing statements take the columns in this order */
enum
{
	COL_TYPE,
	COL_ID,
	COL_METHOD,
	COL_PAYLOAD,
	COL_DUE_AT,
	COL_NEXT_TRY_AT,
	COL_QUEUED,
	COL_ROLE_NAME,
	COL_SENT_AT,
	COL_TRACEPARENT,
	COL_FAILURE_POLICY,
	COL_HOSTED,
	COL_REQUEST_ID,
	COL_SETTINGS,
	COL_MESSAGE_ID,
	COL_COUNT
};

#define COLUMNS \
	"actor_type, actor_id, method, payload, due_at, next_try_at, queued, role_name," \
	" sent_at, traceparent, failure_policy, hosted, request_id, settings, attempt, deferrals"
#define COLUMN_VALUES "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, 0"
#define COLUMN_TYPES \
	TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, \
	NAMEOID, TIMESTAMPTZOID, TEXTOID, JSONBOID, BOOLOID, TEXTOID, JSONBOID

static ActorQuery insert_message = {
	"INSERT INTO actor.message (" COLUMNS ") VALUES (" COLUMN_VALUES ")"
	" RETURNING message_id",
	COL_MESSAGE_ID, {COLUMN_TYPES}
};

static ActorQuery insert_reserved = {
	"INSERT INTO actor.message (" COLUMNS ", message_id) OVERRIDING SYSTEM VALUE"
	" VALUES (" COLUMN_VALUES ", $15) RETURNING message_id",
	COL_COUNT, {COLUMN_TYPES, INT8OID}
};

static ActorTable message_table = {"message", 3};
static ActorTable message_ids = {"message_message_id_seq"};

static ActorQuery read_sender = {
	"SELECT role_name, request_id FROM actor.message"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND message_id OPERATOR(pg_catalog.=) $3",
	3, {TEXTOID, TEXTOID, INT8OID}
};

/* sending --------------------------------------------------------------- */

/*
 * When a message is due that is sent now.
 */
static TimestampTz
due_instant(const ActorWhen *due, TimestampTz now)
{
	ActorPeriod period;
	ActorWhen	ttl;
	ActorSchedule schedule;

	if (due->kind == ACTOR_WHEN_ABSENT)
		return now;
	actor_parse_period(NULL, &period);
	actor_parse_ttl(NULL, &ttl);
	actor_schedule_make(&schedule, due, &period, &ttl, now, session_timezone);
	return schedule.first_at;
}

/*
 * Inserts a message without a statement; false if it takes one.
 */
static bool
insert_directly(const Datum *values, const char *nulls)
{
	static const int column_of[] = {
		[COL_TYPE] = MESSAGE_TYPE,[COL_ID] = MESSAGE_ACTOR_ID,[COL_METHOD] = MESSAGE_METHOD,
		[COL_PAYLOAD] = MESSAGE_PAYLOAD,[COL_DUE_AT] = MESSAGE_DUE_AT,
		[COL_NEXT_TRY_AT] = MESSAGE_NEXT_TRY_AT,[COL_QUEUED] = MESSAGE_QUEUED,
		[COL_ROLE_NAME] = MESSAGE_ROLE_NAME,[COL_SENT_AT] = MESSAGE_SENT_AT,
		[COL_TRACEPARENT] = MESSAGE_TRACEPARENT,[COL_FAILURE_POLICY] = MESSAGE_FAILURE_POLICY,
		[COL_HOSTED] = MESSAGE_HOSTED,[COL_REQUEST_ID] = MESSAGE_REQUEST_ID,
		[COL_SETTINGS] = MESSAGE_SETTINGS,[COL_MESSAGE_ID] = MESSAGE_ID
	};
	Datum		row[MESSAGE_COLUMNS];
	bool		isnull[MESSAGE_COLUMNS] = {false};

	for (int i = 0; i < COL_COUNT; i++)
	{
		row[column_of[i]] = values[i];
		isnull[column_of[i]] = nulls[i] == 'n';
	}
	row[MESSAGE_ATTEMPT] = Int32GetDatum(1);
	row[MESSAGE_DEFERRALS] = Int32GetDatum(0);
	row[MESSAGE_LAST_ERROR] = (Datum) 0;
	isnull[MESSAGE_LAST_ERROR] = true;
	return actor_direct_insert(&message_table, row, isnull, MESSAGE_COLUMNS, false);
}

/*
 * Inserts the row of a message that a role sends now, with the traceparent of
 * now, and wakes the workers.
 * The id is 0 for a message that has none yet.
 */
static int64
write_message(const ActorRef *actor, const text *method, const Jsonb *payload,
			  const Jsonb *failure_policy, const Jsonb *settings, const NameData *role_name,
			  TimestampTz due_at, TimestampTz now, const text *request_id, int64 message_id, bool hosted)
{
	TimestampTz next_try_at = Max(due_at, now);
	text	   *traceparent = actor_traceparent();
	ActorBookkeeping bookkeeping;
	Datum		values[COL_COUNT];
	char		nulls[COL_COUNT];
	bool		isnull;

	/* the transaction first, then its id and the clock: see look.c */
	(void) GetTopTransactionId();
	if (message_id == 0)
		message_id = actor_on_several_servers() ? actor_cluster_number() :
			actor_direct_nextval(&message_ids);

	memset(nulls, ' ', sizeof(nulls));
	values[COL_TYPE] = PointerGetDatum(actor->type);
	values[COL_ID] = PointerGetDatum(actor->id);
	values[COL_METHOD] = PointerGetDatum(method);
	values[COL_PAYLOAD] = PointerGetDatum(payload);
	nulls[COL_PAYLOAD] = payload == NULL ? 'n' : ' ';
	values[COL_DUE_AT] = TimestampTzGetDatum(due_at);
	values[COL_NEXT_TRY_AT] = TimestampTzGetDatum(next_try_at);
	values[COL_QUEUED] = BoolGetDatum(due_at <= GetCurrentTimestamp());
	values[COL_ROLE_NAME] = NameGetDatum(role_name);
	values[COL_SENT_AT] = TimestampTzGetDatum(now);
	values[COL_TRACEPARENT] = PointerGetDatum(traceparent);
	nulls[COL_TRACEPARENT] = traceparent == NULL ? 'n' : ' ';
	values[COL_FAILURE_POLICY] = PointerGetDatum(failure_policy);
	nulls[COL_FAILURE_POLICY] = failure_policy == NULL ? 'n' : ' ';
	values[COL_HOSTED] = BoolGetDatum(hosted);
	values[COL_REQUEST_ID] = PointerGetDatum(request_id);
	nulls[COL_REQUEST_ID] = request_id == NULL ? 'n' : ' ';
	values[COL_SETTINGS] = PointerGetDatum(settings);
	nulls[COL_SETTINGS] = settings == NULL ? 'n' : ' ';
	values[COL_MESSAGE_ID] = Int64GetDatum(message_id);
	if (message_id == 0 || !insert_directly(values, nulls))
	{
		actor_bookkeeping_begin(&bookkeeping);
		actor_query_write_one(message_id == 0 ? &insert_message : &insert_reserved,
							  values, nulls);
		message_id = DatumGetInt64(actor_query_result(0, 1, &isnull));
		actor_bookkeeping_end(&bookkeeping);
	}
	if (hosted)
		actor_wake_hosts(next_try_at);
	else
		actor_wake_at(next_try_at);
	actor_note(ACTOR_NOTE_MESSAGE, actor, NULL, message_id, 0);
	return message_id;
}

/*
 * actor_message_again
 *		Sends a message that was given up once more, as the role and with the
 *		request id it had.
 */
void
actor_message_again(const ActorRef *actor, int64 old_message_id, const text *method,
					const Jsonb *payload, const Jsonb *settings, const NameData *role_name)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorType  *type = actor_type_find(actor->type);
	int64		message_id = 0;
	text	   *request_id;

	/* before an id is drawn for it: see look.c */
	(void) GetTopTransactionId();
	request_id = actor_request_reopen(actor, old_message_id, &message_id);
	(void) write_message(actor, method, payload, NULL, settings, role_name, now, now, request_id,
						 message_id, type != NULL && actor_method_is_hosted(type, method));
}

/*
 * actor_message_post
 *		Sends a message as a role, whose name nobody makes stand for another one
 *		meanwhile.  Nothing is checked.
 */
void
actor_message_post(const ActorRef *actor, const text *method, const Jsonb *payload,
				   const Jsonb *failure_policy, const Jsonb *settings,
				   const NameData *role_name)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorType  *type = actor_type_find(actor->type);

	(void) write_message(actor, method, payload, failure_policy, settings, role_name, now, now,
						 NULL, 0, type != NULL && actor_method_is_hosted(type, method));
}

/*
 * Leaves a message, which a role sends now, with its sender; returns its id.
 */
static int64
leave_message(const ActorRef *sender, const ActorRef *receiver, text *method, Jsonb *payload,
			  Jsonb *failure_policy, Jsonb *settings, const NameData *role_name,
			  TimestampTz due_at, TimestampTz now)
{
	ActorOutgoing message = {
		.sender = *sender,.receiver = *receiver,.method = method,.payload = payload,
		.due_at = due_at,.role_name = *role_name,.sent_at = now,
		.traceparent = actor_traceparent(),.failure_policy = failure_policy,
		.settings = settings
	};

	message.id = actor_cluster_number();
	actor_outbox_add(&message);
	return message.id;
}

/*
 * Sends a message; everything but the due time is in the arguments.
 */
static Datum
send_message(FunctionCallInfo fcinfo, const ActorWhen *due)
{
	ActorRef	actor;
	text	   *method;
	text	   *request_id = NULL;
	Jsonb	   *payload = PG_ARGISNULL(ARG_PAYLOAD) ? NULL : PG_GETARG_JSONB_P(ARG_PAYLOAD);
	Jsonb	   *failure_policy = PG_ARGISNULL(ARG_FAILURE_POLICY) ? NULL :
	PG_GETARG_JSONB_P(ARG_FAILURE_POLICY);
	ActorRetryPolicy policy;
	bool		passes;
	uint64		generation = actor_catalog_generation();
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz due_at;
	NameData	role_name;
	Jsonb	   *settings = actor_carried();
	Oid			schema;
	bool		hosted;
	int64		message_id = 0;
	const ActorRef *sender;

	actor_ref_arguments(&actor, fcinfo);
	if (PG_ARGISNULL(ARG_METHOD))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("method must not be null")));
	method = PG_GETARG_TEXT_PP(ARG_METHOD);
	due_at = due_instant(due, now);
	if (!PG_ARGISNULL(ARG_REQUEST_ID))
		request_id = actor_text_argument(fcinfo, ARG_REQUEST_ID, "request id",
										 ACTOR_MAX_NAME_LEN);

	actor_message_policy_parse(failure_policy, &policy, &passes);

	actor_due_check_write("actor_send()");
	PreventCommandIfParallelMode("actor_send()");
	actor_require_preload("messages");
	schema = actor_check_call(actor.type, actor.id, method, payload, &hosted);
	if (hosted)
	{
		actor_hosted_check_method(method);
		actor_role_use(GetUserId(), &role_name);
	}
	else
		actor_due_check_role(DUE_MESSAGE, GetUserId(), &role_name);
	if (actor_type_share(actor.type, actor_type_call_timeout(actor_type_lookup(actor.type)),
						 generation))
		schema = actor_check_call(actor.type, actor.id, method, payload, &hosted);
	/* before an id is drawn for it: see look.c */
	(void) GetTopTransactionId();
	if (request_id != NULL &&
		!actor_request_reserve(&actor, request_id, method, payload, &message_id))
	{
		actor_early_look_everywhere();
		PG_RETURN_INT64(message_id);
	}

	sender = actor_outbox_sender(&actor);
	if (sender != NULL && request_id != NULL)
		actor_outbox_pass(sender, &actor);
	if (sender != NULL && request_id == NULL)
		message_id = leave_message(sender, &actor, method, payload, failure_policy, settings,
								   &role_name, due_at, now);
	else
		message_id = write_message(&actor, method, payload, failure_policy, settings,
								   &role_name, due_at, now, request_id, message_id, hosted);
	actor_type_check_same(actor.type, schema, generation);
	PG_RETURN_INT64(message_id);
}

/* each form of a due time */

Datum
actor_send(PG_FUNCTION_ARGS)
{
	ActorScheduleRequest request;

	actor_schedule_due_from_text(&request, fcinfo, ARG_DUE_TIME);
	return send_message(fcinfo, &request.due);
}

Datum
actor_send_at(PG_FUNCTION_ARGS)
{
	ActorWhen	due = {ACTOR_WHEN_ABSENT};

	if (!PG_ARGISNULL(ARG_DUE_TIME))
	{
		due.kind = ACTOR_WHEN_INSTANT;
		due.instant = PG_GETARG_TIMESTAMPTZ(ARG_DUE_TIME);
	}
	return send_message(fcinfo, &due);
}

Datum
actor_send_in(PG_FUNCTION_ARGS)
{
	ActorWhen	due = {ACTOR_WHEN_ABSENT};

	if (!PG_ARGISNULL(ARG_DUE_TIME))
	{
		due.kind = ACTOR_WHEN_SPAN;
		due.span = *PG_GETARG_INTERVAL_P(ARG_DUE_TIME);
	}
	return send_message(fcinfo, &due);
}

/* cancelling ------------------------------------------------------------ */

/*
 * Reads who has sent a message that has not been delivered, and its request id,
 * NULL if it has none; false if there is no such message in the queue of the actor.
 */
static bool
read_message(const ActorRef *actor, int64 message_id, NameData *role_name, text **request_id)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	bool		found;

	*request_id = NULL;
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = Int64GetDatum(message_id);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&read_sender, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;
		Datum		datum;

		*role_name = *DatumGetName(actor_query_result(0, 1, &isnull));
		datum = actor_query_result(0, 2, &isnull);
		*request_id = isnull ? NULL : DatumGetTextPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * The same for a message that may still be with its sender.  It comes before it leaves the
 * outbox, so one that was in neither place has come in between.
 */
static bool
find_message(const ActorRef *actor, int64 message_id, NameData *role_name, text **request_id)
{
	if (read_message(actor, message_id, role_name, request_id))
		return true;
	return actor_on_several_servers() &&
		(actor_outbox_find(actor, message_id, role_name) ||
		 read_message(actor, message_id, role_name, request_id));
}

/*
 * Removes a message from the queue of its actor, whose turn is held, or has it not come
 * there; false if there is none.
 */
static bool
remove_message(const ActorRef *actor, int64 message_id, bool exists)
{
	if (actor_queue_remove(actor, message_id))
		return true;
	if (!exists || !actor_on_several_servers())
		return false;

	/*
	 * if it cannot be kept from coming any more, it has come, or was
	 * cancelled
	 */
	return actor_outbox_cancel(actor, message_id) || actor_queue_remove(actor, message_id);
}

/*
 * Refuses to touch a message that is not the current user's, and to tell those
 * who may not use the type's schema whether there is one.  Returns false if
 * there is none.
 */
static bool
check_right(const ActorRef *actor, int64 message_id)
{
	ActorFrame *frame = actor_frame_current();
	ActorType  *type;
	NameData	role_name;
	text	   *request_id;
	bool		exists;

	if (frame != NULL && actor_ref_equal(&frame->actor, actor))
		return true;
	if (actor_type_owned(actor->type))
		return true;
	exists = find_message(actor, message_id, &role_name, &request_id);
	if (exists && actor_role_held(&role_name))
		return true;
	type = actor_type_lookup(actor->type);
	actor_type_check_usage(type);
	if (!exists)
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for message " INT64_FORMAT " of actor \"%s\" of type \"%s\"",
					message_id, text_to_cstring(actor->id), text_to_cstring(actor->type)),
			 errdetail("It belongs to the role that sent it and to the owner of the type.")));
}

Datum
actor_cancel_message(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	ActorType  *type;
	uint64		generation = actor_catalog_generation();
	int			timeout;
	int64		message_id;
	NameData	role_name;
	text	   *request_id;
	bool		exists;

	actor_ref_arguments(&actor, fcinfo);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("message_id must not be null")));
	message_id = PG_GETARG_INT64(2);
	AcceptInvalidationMessages();
	actor_type_require(actor.type);
	actor_due_check_write("actor_cancel_message()");
	PreventCommandIfParallelMode("actor_cancel_message()");
	if (!check_right(&actor, message_id))
	{
		actor_early_look_everywhere();
		PG_RETURN_BOOL(false);
	}

	actor_turn_check_isolation("cancel a message");
	type = actor_type_find(actor.type);
	timeout = type != NULL ? actor_type_call_timeout(type) : 0;
	(void) actor_turn_enter(&actor, NULL, timeout);
	(void) actor_turn_claim(&actor, NULL, timeout);
	/* for the order of the queue only, whoever has it open */
	actor_turn_keep(&actor);
	/* who had the right before the wait need not have it after it */
	AcceptInvalidationMessages();
	if (generation != actor_catalog_generation() && !check_right(&actor, message_id))
		PG_RETURN_BOOL(false);
	exists = find_message(&actor, message_id, &role_name, &request_id);
	if (!remove_message(&actor, message_id, exists))
		PG_RETURN_BOOL(false);
	if (exists && request_id != NULL)
		actor_request_cancelled(&actor, request_id, message_id);
	PG_RETURN_BOOL(true);
}
