/*-------------------------------------------------------------------------
 *
 * given_up.c
 *		Retrying and discarding what was given up: the rows of actor.failure.
 *
 * IDENTIFICATION
 *		src/fire/given_up.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "reminder/reminder.h"
#include "message/message.h"

PG_FUNCTION_INFO_V1(actor_retry);
PG_FUNCTION_INFO_V1(actor_discard);


static ActorQuery read_type_of_failure = {
	"SELECT actor_type FROM actor.failure"
	" WHERE failure_id OPERATOR(pg_catalog.=) $1",
	1, {INT8OID}
};

static ActorQuery take_failure = {
	"DELETE FROM actor.failure"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND failure_id OPERATOR(pg_catalog.=) $2"
	" RETURNING kind, actor_id, name, method, payload, scheduled_at, role_name,"
	"  traceparent, settings",
	2, {TEXTOID, INT8OID}
};

/* fires once, at once, and as if it were the firing that was given up */
static ActorQuery write_retry = {
	"INSERT INTO actor.reminder (actor_type, actor_id, name, method, data,"
	"  catch_up, role_name, generation, registered_at, first_at, firings, time_zone,"
	"  firing, scheduled_at, next_try_at, remaining, attempt, deferrals, retry_of,"
	"  traceparent, fired, hosted, settings)"
	" VALUES ($1, $2, $3, $4, $5, 'all', $6, $7, $8, $9, 1, $10, 0, $9, $8, 1, 1, 0, $11, $12, 0, $13, $14)"
	" ON CONFLICT (actor_type, actor_id, name) DO NOTHING",
	14, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, NAMEOID, INT8OID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, JSONBOID}
};

/* a failure that has been taken out of the table, for another try */
typedef struct TakenFailure
{
	text	   *kind;
	text	   *id;
	text	   *name;
	text	   *method;
	Jsonb	   *payload;		/* NULL: none */
	TimestampTz scheduled_at;
	NameData	role;
	text	   *traceparent;	/* NULL: none */
	Jsonb	   *settings;		/* NULL: none */
} TakenFailure;

/*
 * The type of the actor that failed; NULL if there is no such failure.
 */
static text *
type_of_failure(int64 failure_id)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {Int64GetDatum(failure_id)};
	text	   *type = NULL;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&read_type_of_failure, values, NULL) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;

		type = DatumGetTextPCopy(actor_query_result(0, 1, &isnull));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return type;
}

/*
 * Refuses somebody who owns no type, and so no failure.  An owner of types is
 * not told whether there is a failure that is not his.
 */
static void
refuse_stranger(void)
{
	if (!actor_type_any_owned())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for failures"),
				 errdetail("They belong to the owner of the type.")));
}

/*
 * Removes the failure of the argument into the current memory context, for an
 * owner of the type.  Returns the type; NULL if there is no such
 * failure of a type of the current user.
 */
static text *
take(FunctionCallInfo fcinfo, TakenFailure *failure, const char *function)
{
	MemoryContext context = CurrentMemoryContext;
	uint64		generation = actor_catalog_generation();
	ActorBookkeeping bookkeeping;
	Datum		values[2];
	text	   *type;
	bool		found;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("failure_id must not be null")));
	PreventCommandIfReadOnly(function);
	actor_frame_check_writing(function);
	PreventCommandIfParallelMode(function);
	type = type_of_failure(PG_GETARG_INT64(0));
	if (type == NULL || !actor_type_owned(type))
	{
		refuse_stranger();
		return NULL;
	}

	if (actor_type_share(type, actor_type_call_timeout(actor_type_get(type)), generation))
		actor_type_require_owner(type);

	values[0] = PointerGetDatum(type);
	values[1] = PG_GETARG_DATUM(0);
	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(&take_failure, values, NULL) > 0;
	if (found)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum		datum;
		bool		isnull;

		failure->kind = DatumGetTextPCopy(actor_query_result(0, 1, &isnull));
		failure->id = DatumGetTextPCopy(actor_query_result(0, 2, &isnull));
		failure->name = DatumGetTextPCopy(actor_query_result(0, 3, &isnull));
		failure->method = DatumGetTextPCopy(actor_query_result(0, 4, &isnull));
		datum = actor_query_result(0, 5, &isnull);
		failure->payload = isnull ? NULL : DatumGetJsonbPCopy(datum);
		failure->scheduled_at = DatumGetTimestampTz(actor_query_result(0, 6, &isnull));
		failure->role = *DatumGetName(actor_query_result(0, 7, &isnull));
		datum = actor_query_result(0, 8, &isnull);
		failure->traceparent = isnull ? NULL : DatumGetTextPCopy(datum);
		datum = actor_query_result(0, 9, &isnull);
		failure->settings = isnull ? NULL : DatumGetJsonbPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return found ? type : NULL;
}

/*
 * Registers a reminder that makes the failed call once more.  Its own name is
 * made of the number of the failure, because the reminder that has failed may
 * still be there.
 */
static void
retry_as_reminder(const text *type, const TakenFailure *failure, int64 failure_id, bool hosted)
{
	char	   *name = psprintf("failure " INT64_FORMAT, failure_id);
	ActorBookkeeping bookkeeping;
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[14];
	char		nulls[14];
	bool		inserted;

	memset(nulls, ' ', sizeof(nulls));
	values[0] = PointerGetDatum(type);
	values[1] = PointerGetDatum(failure->id);
	values[2] = CStringGetTextDatum(name);
	values[3] = PointerGetDatum(failure->method);
	values[4] = PointerGetDatum(failure->payload);
	nulls[4] = failure->payload == NULL ? 'n' : ' ';
	values[5] = NameGetDatum(&failure->role);
	values[6] = Int64GetDatum(actor_random_generation());
	values[7] = TimestampTzGetDatum(now);
	values[8] = TimestampTzGetDatum(failure->scheduled_at);
	values[9] = CStringGetTextDatum(pg_get_timezone_name(session_timezone));
	values[10] = PointerGetDatum(failure->name);
	values[11] = PointerGetDatum(failure->traceparent);
	nulls[11] = failure->traceparent == NULL ? 'n' : ' ';
	values[12] = BoolGetDatum(hosted);
	values[13] = PointerGetDatum(failure->settings);
	nulls[13] = failure->settings == NULL ? 'n' : ' ';
	actor_bookkeeping_begin(&bookkeeping);
	inserted = actor_query_run(&write_retry, values, nulls) > 0;
	actor_bookkeeping_end(&bookkeeping);
	if (!inserted)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("reminder \"%s\" of actor \"%s\" of type \"%s\" already exists",
						name, text_to_cstring(failure->id), text_to_cstring(type))));
	if (hosted)
		actor_wake_hosts(now);
	else
		actor_wake_at(now);
}

/*
 * actor_retry
 *		Makes a call that was given up once more, with new attempts, as the role
 *		with the traceparent and the settings it had.
 */
Datum
actor_retry(PG_FUNCTION_ARGS)
{
	TakenFailure failure;
	text	   *type;
	bool		hosted;

	actor_require_preload("reminders");
	type = take(fcinfo, &failure, "actor_retry()");
	if (type == NULL)
		PG_RETURN_BOOL(false);
	if (strcmp(text_to_cstring(failure.kind), "deactivate") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot retry hook \"%s\"", text_to_cstring(failure.name)),
				 errdetail("The actor has been deactivated all the same."),
				 errhint("Remove the failure with actor_discard().")));
	hosted = actor_method_is_hosted(actor_type_get(type), failure.method);
	/* to an application a timer is something else than a reminder */
	if (hosted && strcmp(text_to_cstring(failure.kind), "timer") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot retry timer \"%s\" of an application",
						text_to_cstring(failure.name)),
				 errhint("Remove the failure with actor_discard().")));
	if (strcmp(text_to_cstring(failure.kind), "message") == 0)
	{
		ActorRef	actor;
		int			nestlevel = actor_trace_begin(failure.traceparent);

		actor_ref_init(&actor, type, failure.id);
		actor_message_again(&actor, strtoll(text_to_cstring(failure.name), NULL, 10),
							failure.method, failure.payload, failure.settings, &failure.role);
		actor_trace_end(nestlevel);
	}
	else
		retry_as_reminder(type, &failure, PG_GETARG_INT64(0), hosted);
	PG_RETURN_BOOL(true);
}

Datum
actor_discard(PG_FUNCTION_ARGS)
{
	TakenFailure failure;

	PG_RETURN_BOOL(take(fcinfo, &failure, "actor_discard()") != NULL);
}
