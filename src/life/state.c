/*-------------------------------------------------------------------------
 *
 * state.c
 *		State of an actor: rows of actor.state, one a key.
 *
 * In a writing frame the actor's turn is held, so nobody else changes its
 * state, and every statement sees what was written before it.  In a read-only
 * frame everything is read on the snapshot of the frame.
 *
 * The owner of a type may also read and change the state of its actors from
 * outside their methods; a change takes the turn as a call does.
 *
 * Conversions between SQL values and jsonb can run user code; they are done
 * before or after the bookkeeping, never within.
 *
 * IDENTIFICATION
 *		src/life/state.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/numeric.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"

PG_FUNCTION_INFO_V1(actor_get);
PG_FUNCTION_INFO_V1(actor_get_typed);
PG_FUNCTION_INFO_V1(actor_set);
PG_FUNCTION_INFO_V1(actor_remove);
PG_FUNCTION_INFO_V1(actor_state);
PG_FUNCTION_INFO_V1(actor_transact);
PG_FUNCTION_INFO_V1(actor_get_state);
PG_FUNCTION_INFO_V1(actor_transact_on);

static ActorQuery read_key = {
	"SELECT value, expires_at FROM actor.state"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND key OPERATOR(pg_catalog.=) $3"
	"   AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $4)",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ActorQuery read_keys = {
	"SELECT pg_catalog.jsonb_object_agg(key, value) FROM actor.state"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $3)",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

static ActorQuery update_key = {
	"UPDATE actor.state SET value = $4, updated_at = $5, expires_at = $6"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND key OPERATOR(pg_catalog.=) $3",
	6, {TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* an upsert, because a row may appear that no turn has written, by a restore */
static ActorQuery insert_key = {
	"INSERT INTO actor.state (actor_type, actor_id, key, value, updated_at, expires_at)"
	" VALUES ($1, $2, $3, $4, $5, $6)"
	" ON CONFLICT (actor_type, actor_id, key) DO UPDATE SET"
	"  value = EXCLUDED.value,"
	"  updated_at = EXCLUDED.updated_at,"
	"  expires_at = EXCLUDED.expires_at",
	6, {TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

/* returns whether the key was visible, not only whether there was a row */
static ActorQuery delete_key = {
	"DELETE FROM actor.state"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND key OPERATOR(pg_catalog.=) $3"
	" RETURNING expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $4",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* one operation of actor_transact */
typedef struct StateOperation
{
	text	   *key;
	Jsonb	   *value;			/* NULL: delete */
	TimestampTz expires_at;		/* DT_NOEND: never */
} StateOperation;

/* what a key has */
typedef struct StateValue
{
	Jsonb	   *value;			/* NULL: it is absent */
	TimestampTz expires_at;		/* DT_NOEND: never */
} StateValue;

/* columns of actor.state, for reading and updating it without SQL */
#define STATE_KEYS				3
#define STATE_VALUE				4
#define STATE_UPDATED_AT		5
#define STATE_EXPIRES_AT		6

static ActorTable state_table = {"state", STATE_KEYS};

ActorStateChanged actor_state_changed = NULL;

/* reading --------------------------------------------------------------- */

/*
 * Takes value and expiry out of a row of actor.state, if it has not expired.
 */
static void
take_value(TupleTableSlot *slot, void *arg)
{
	StateValue *found = arg;
	Datum		datum;
	bool		isnull;

	datum = slot_getattr(slot, STATE_EXPIRES_AT, &isnull);
	if (!isnull && DatumGetTimestampTz(datum) <= GetCurrentTimestamp())
		return;
	found->expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(datum);
	found->value = DatumGetJsonbPCopy(slot_getattr(slot, STATE_VALUE, &isnull));
}

/*
 * Reads a key of an actor, on a snapshot or on a fresh one, into the current
 * memory context; NULL if it is absent.  The expiry is DT_NOEND if it has none.
 */
static Jsonb *
read_value(const ActorRef *actor, Snapshot snapshot, text *key, TimestampTz *expires_at)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	StateValue	found = {NULL, DT_NOEND};
	Jsonb	   *value = NULL;

	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(key);
	if (actor_direct_read(&state_table, values, STATE_KEYS, snapshot, take_value, &found))
	{
		*expires_at = found.expires_at;
		return found.value;
	}

	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_read(&read_key, values, NULL, snapshot) > 0)
	{
		bool		isnull;
		Datum		datum = actor_query_result(0, 1, &isnull);
		MemoryContext old = MemoryContextSwitchTo(context);

		value = DatumGetJsonbPCopy(datum);
		MemoryContextSwitchTo(old);
		datum = actor_query_result(0, 2, &isnull);
		*expires_at = isnull ? DT_NOEND : DatumGetTimestampTz(datum);
	}
	actor_bookkeeping_end(&bookkeeping);
	return value;
}

Datum
actor_get(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = actor_frame_required();
	text	   *key = actor_text_argument(fcinfo, 0, "key", ACTOR_MAX_NAME_LEN);
	TimestampTz expires_at;
	Jsonb	   *value = read_value(&frame->actor, frame->snapshot, key, &expires_at);

	if (value == NULL)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(value);
}

static void
key_error_context(void *arg)
{
	errcontext("key \"%s\" of the state", text_to_cstring(arg));
}

/*
 * Both forms with a default: the type of the result is that of the default.
 */
Datum
actor_get_typed(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = actor_frame_required();
	text	   *key = actor_text_argument(fcinfo, 0, "key", ACTOR_MAX_NAME_LEN);
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	Jsonb	   *value;
	TimestampTz expires_at;
	JsonbValue	scalar;
	ErrorContextCallback errcallback;
	int			nestlevel;
	Datum		result;
	bool		isnull;

	if (!OidIsValid(type))
		elog(ERROR, "could not determine the type of the default value");
	value = read_value(&frame->actor, frame->snapshot, key, &expires_at);
	if (value == NULL)
	{
		if (PG_ARGISNULL(1))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(1));
	}

	actor_jsonb_scalar(value, &scalar);
	errcallback.callback = key_error_context;
	errcallback.arg = key;
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	nestlevel = actor_conversion_begin();
	result = actor_from_jsonb(&scalar, type, &isnull);
	actor_conversion_end(nestlevel);
	error_context_stack = errcallback.previous;

	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

Datum
actor_state(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = actor_frame_required();
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	Datum		datum;
	bool		isnull;
	Jsonb	   *state = NULL;

	values[0] = PointerGetDatum(frame->actor.type);
	values[1] = PointerGetDatum(frame->actor.id);
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_read(&read_keys, values, NULL, frame->snapshot);
	datum = actor_query_result(0, 1, &isnull);
	if (!isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		state = DatumGetJsonbPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);

	if (state == NULL)
	{
		JsonbParseState *empty = NULL;

		pushJsonbValue(&empty, WJB_BEGIN_OBJECT, NULL);
		state = JsonbValueToJsonb(pushJsonbValue(&empty, WJB_END_OBJECT, NULL));
	}
	PG_RETURN_JSONB_P(state);
}

/* writing --------------------------------------------------------------- */

/*
 * The frame whose actor's state is about to be written.
 */
static ActorFrame *
writing_frame(const char *function)
{
	ActorFrame *frame = actor_frame_required();

	PreventCommandIfReadOnly(function);
	actor_frame_check_writing(function);
	return frame;
}

/*
 * Writes a key by statements.  An upsert costs twice as much as an update, and
 * most keys are there.
 */
static void
write_by_sql(Datum *values, const char *nulls, bool absent)
{
	ActorBookkeeping bookkeeping;

	actor_bookkeeping_begin(&bookkeeping);
	if (absent || actor_query_run(&update_key, values, nulls) == 0)
		actor_query_write_one(&insert_key, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Whether setting a key has left it as it was.
 */
static bool
same_value(const Jsonb *old_value, TimestampTz old_expires_at,
		   const Jsonb *value, TimestampTz expires_at)
{
	return old_value != NULL && old_expires_at == expires_at &&
		VARSIZE_ANY_EXHDR(old_value) == VARSIZE_ANY_EXHDR(value) &&
		memcmp(VARDATA_ANY(old_value), VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value)) == 0;
}

static void
write_value(ActorFrame *frame, text *key, Jsonb *value, TimestampTz expires_at)
{
	bool		forever = TIMESTAMP_IS_NOEND(expires_at);
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[6] = {
		PointerGetDatum(frame->actor.type), PointerGetDatum(frame->actor.id),
		PointerGetDatum(key), JsonbPGetDatum(value), TimestampTzGetDatum(now),
		TimestampTzGetDatum(expires_at)
	};
	char		nulls[6] = {' ', ' ', ' ', ' ', ' ', forever ? 'n' : ' '};
	ActorColumn columns[3] = {
		{STATE_VALUE, values[3], false},
		{STATE_UPDATED_AT, values[4], false},
		{STATE_EXPIRES_AT, values[5], forever}
	};
	ActorDirectResult result;
	Jsonb	   *old_value = NULL;
	TimestampTz old_expires_at = DT_NOEND;

	if (frame->history == ACTOR_HISTORY_CHANGES)
		old_value = read_value(&frame->actor, NULL, key, &old_expires_at);
	result = actor_direct_update(&state_table, values, STATE_KEYS,
								 columns, lengthof(columns), NULL, NULL);
	if (result != ACTOR_DIRECT_DONE)
		write_by_sql(values, nulls, result == ACTOR_DIRECT_ABSENT);

	actor_type_check_same(frame->actor.type, frame->schema, frame->generation);
	if (frame->cached)
		actor_state_changed(&frame->actor);
	if (!forever)
		actor_wake_at(actor_purge_time(expires_at));
	if (frame->history == ACTOR_HISTORY_CHANGES &&
		!same_value(old_value, old_expires_at, value, expires_at))
		actor_record_change(frame, key, old_value, old_expires_at, value, expires_at);
}

/*
 * Removes a key; returns whether it was there for a reader.
 */
static bool
remove_value(ActorFrame *frame, text *key)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	bool		visible = false;
	Jsonb	   *old_value = NULL;
	TimestampTz old_expires_at = DT_NOEND;

	if (frame->history == ACTOR_HISTORY_CHANGES)
		old_value = read_value(&frame->actor, NULL, key, &old_expires_at);
	values[0] = PointerGetDatum(frame->actor.type);
	values[1] = PointerGetDatum(frame->actor.id);
	values[2] = PointerGetDatum(key);
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp());

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&delete_key, values, NULL) > 0)
	{
		bool		isnull;

		visible = DatumGetBool(actor_query_result(0, 1, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	if (frame->cached)
		actor_state_changed(&frame->actor);
	if (old_value != NULL)
		actor_record_change(frame, key, old_value, old_expires_at, NULL, DT_NOEND);
	return visible;
}

/*
 * When a key that is set now expires.
 */
static TimestampTz
expiry(const Interval *ttl)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires_at;

	expires_at = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
														 TimestampTzGetDatum(now),
														 IntervalPGetDatum(ttl)));
	if (expires_at <= now)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ttl must be greater than zero")));
	return expires_at;
}

/*
 * Both forms: the type of the value is taken from the call.
 */
Datum
actor_set(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = writing_frame("actor_set()");
	text	   *key = actor_text_argument(fcinfo, 0, "key", ACTOR_MAX_NAME_LEN);
	TimestampTz expires_at = DT_NOEND;
	Jsonb	   *value;

	if (!PG_ARGISNULL(2))
		expires_at = expiry(PG_GETARG_INTERVAL_P(2));
	if (PG_ARGISNULL(1))
	{
		JsonbValue	null;

		null.type = jbvNull;
		value = JsonbValueToJsonb(&null);
	}
	else
	{
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);

		if (!OidIsValid(type))
			elog(ERROR, "could not determine the type of the value");
		value = actor_to_jsonb(PG_GETARG_DATUM(1), type);
	}
	write_value(frame, key, value, expires_at);
	PG_RETURN_VOID();
}

Datum
actor_remove(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = writing_frame("actor_remove()");
	text	   *key = actor_text_argument(fcinfo, 0, "key", ACTOR_MAX_NAME_LEN);

	PG_RETURN_BOOL(remove_value(frame, key));
}

/* transactions of operations -------------------------------------------- */

static const ActorDocument operations_document = {"state operations", NULL};

/*
 * The expiry that "ttlInSeconds" asks for: a string or number, where 0 and -1
 * mean none.
 */
static TimestampTz
operation_expiry(JsonbValue *ttl, const char *path)
{
	int32		seconds;
	Interval	interval;

	if (ttl == NULL)
		return DT_NOEND;
	if (ttl->type == jbvString)
	{
		char	   *string = actor_document_string(&operations_document, ttl, path);
		char	   *digits = string + (string[0] == '-' ? 1 : 0);

		if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits) ||
			strlen(digits) > 10)
			actor_document_refuse(&operations_document, path,
								  "is not a whole number from -1 to 2147483647");
		ttl->type = jbvNumeric;
		ttl->val.numeric = int64_to_numeric(strtoll(string, NULL, 10));
	}
	seconds = actor_document_integer(&operations_document, ttl, path, -1);
	if (seconds <= 0)
		return DT_NOEND;
	memset(&interval, 0, sizeof(interval));
	interval.time = seconds * USECS_PER_SEC;
	return expiry(&interval);
}

/*
 * Checks one element of the array and makes an operation of it.
 */
static void
parse_operation(JsonbValue *element, const char *path, StateOperation *operation)
{
	static const ActorDocument *const document = &operations_document;
	static const char *const operation_members[] = {"operation", "request", NULL};
	static const char *const request_members[] = {"key", "value", "metadata", NULL};
	static const char *const metadata_members[] = {"ttlInSeconds", NULL};
	JsonbContainer *object = actor_document_object(document, element, path);
	char	   *kind_path = actor_document_path(path, "operation");
	char	   *request_path = actor_document_path(path, "request");
	char	   *key_path = actor_document_path(request_path, "key");
	char	   *metadata_path = actor_document_path(request_path, "metadata");
	JsonbValue *metadata;
	char	   *kind;

	actor_document_check_members(document, object, path, operation_members);
	kind = actor_document_string(document, actor_document_member(object, "operation"),
								 kind_path);
	if (strcmp(kind, "upsert") != 0 && strcmp(kind, "delete") != 0)
		actor_document_refuse(document, kind_path, "is neither \"upsert\" nor \"delete\"");

	object = actor_document_object(document, actor_document_member(object, "request"),
								   request_path);
	actor_document_check_members(document, object, request_path, request_members);
	operation->key = cstring_to_text(actor_document_string(document,
														   actor_document_member(object, "key"),
														   key_path));
	actor_check_text(operation->key, false, "key", ACTOR_MAX_NAME_LEN);

	metadata = actor_document_member(object, "metadata");
	operation->expires_at = DT_NOEND;
	if (metadata != NULL)
	{
		JsonbContainer *members = actor_document_object(document, metadata, metadata_path);

		actor_document_check_members(document, members, metadata_path, metadata_members);
		operation->expires_at =
			operation_expiry(actor_document_member(members, "ttlInSeconds"),
							 actor_document_path(metadata_path, "ttlInSeconds"));
	}

	operation->value = NULL;
	if (strcmp(kind, "upsert") == 0)
	{
		JsonbValue *value = actor_document_member(object, "value");
		JsonbValue	null;

		null.type = jbvNull;
		operation->value = JsonbValueToJsonb(value != NULL ? value : &null);
	}
}

/*
 * Applies an array of operations to the state of the actor of a frame.
 * Everything is checked before anything is done; what fails later rolls back
 * with the statement.
 */
static void
transact(ActorFrame *frame, Jsonb *jsonb)
{
	JsonbValue	document;
	JsonbContainer *array;
	StateOperation *operations;
	int			count;

	actor_jsonb_scalar(jsonb, &document);
	array = actor_document_array(&operations_document, &document, "");

	count = JsonContainerSize(array);
	operations = palloc_extended(sizeof(StateOperation) * Max(count, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		parse_operation(getIthJsonbValueFromContainer(array, i),
						psprintf("[%d]", i), &operations[i]);
	}

	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (operations[i].value != NULL)
			write_value(frame, operations[i].key, operations[i].value,
						operations[i].expires_at);
		else
			(void) remove_value(frame, operations[i].key);
	}
}

static Jsonb *
operations_argument(FunctionCallInfo fcinfo, int number)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("operations must not be null")));
	return PG_GETARG_JSONB_P(number);
}

Datum
actor_transact(PG_FUNCTION_ARGS)
{
	ActorFrame *frame = writing_frame("actor_transact()");

	transact(frame, operations_argument(fcinfo, 0));
	PG_RETURN_VOID();
}

/* from outside the methods of the actor --------------------------------- */

/*
 * Whether the running method belongs to that actor.
 */
static bool
in_method_of(const ActorRef *actor)
{
	const ActorFrame *frame = actor_frame_current();

	return (frame != NULL && actor_ref_equal(&frame->actor, actor)) ||
		actor_frame_of_application(actor) != NULL;
}

/*
 * Reads a key of any actor, for the owner of its type or a method of that
 * actor.  Takes no turn, so it waits for nobody.
 */
Datum
actor_get_state(PG_FUNCTION_ARGS)
{
	const ActorFrame *frame = actor_frame_current();
	ActorRef	actor;
	text	   *key;
	Jsonb	   *value;
	TimestampTz expires_at = DT_NOEND;
	TupleDesc	tupdesc;
	Datum		values[2];
	bool		nulls[2];

	actor_ref_arguments(&actor, fcinfo);
	key = actor_text_argument(fcinfo, 2, "key", ACTOR_MAX_NAME_LEN);
	if (!in_method_of(&actor))
		actor_type_require_owner(actor.type);
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	value = read_value(&actor, frame != NULL ? frame->snapshot : NULL, key, &expires_at);
	actor_early_look(&actor);
	if (frame == NULL)
		actor_early_answer();
	nulls[0] = (value == NULL);
	nulls[1] = TIMESTAMP_IS_NOEND(expires_at);
	values[0] = JsonbPGetDatum(value);
	values[1] = TimestampTzGetDatum(expires_at);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/*
 * Takes the turn of an actor and makes sure that the actor is active, as the
 * call of a writing method would, and fills in a frame for it.  That is not
 * put on the stack, because no method runs.
 */
static void
enter_to_transact(const ActorRef *actor, const pg_uuid_t *reentrancy_id, ActorFrame *frame)
{
	static const ActorCause cause = {"transact"};
	ActorType  *type;

	memset(frame, 0, sizeof(*frame));
	frame->actor = *actor;
	frame->cause = &cause;
	frame->generation = actor_catalog_generation();

	AcceptInvalidationMessages();
	actor_type_require_owner(actor->type);
	PreventCommandIfReadOnly("actor_transact()");
	actor_frame_check_writing("actor_transact()");
	PreventCommandIfParallelMode("actor_transact()");
	actor_turn_check_isolation("change the state of an actor");

	type = actor_type_lookup(actor->type);
	actor_frame_check_reentry(actor, type, NULL);
	(void) actor_lease_enter(actor, NULL, actor_type_call_timeout(type), reentrancy_id);
	if (!actor_turn_is_used(actor))
		actor_pause_check(actor, NULL);

	/*
	 * what was true before the wait, or the look at the actor, need not be
	 * true now
	 */
	AcceptInvalidationMessages();
	if (frame->generation != actor_catalog_generation())
	{
		actor_type_require_owner(actor->type);
		type = actor_type_lookup(actor->type);
	}
	if (actor_use(actor, type, frame->generation))
		type = actor_type_lookup(actor->type);
	frame->schema = type->schema_oid;
	frame->cached = type->row.hosted;
	if (type->row.history != ACTOR_HISTORY_OFF || actor_noting)
		actor_record_begin(frame, type);
}

/*
 * actor_transact for an actor that is named, for the owner of its type or a
 * method of that actor.
 */
Datum
actor_transact_on(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	ActorFrame	frame;
	ActorFrame *application;
	Jsonb	   *operations;

	actor_ref_arguments(&actor, fcinfo);
	operations = operations_argument(fcinfo, 2);
	application = actor_frame_of_application(&actor);
	if (application != NULL)
		transact(application, operations);
	else if (in_method_of(&actor))
		transact(writing_frame("actor_transact()"), operations);
	else
	{
		enter_to_transact(&actor, PG_ARGISNULL(3) ? NULL : PG_GETARG_UUID_P(3), &frame);
		transact(&frame, operations);
		if (frame.history != ACTOR_HISTORY_OFF)
			actor_record_end(&frame);
	}
	PG_RETURN_VOID();
}
