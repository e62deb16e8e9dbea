/*-------------------------------------------------------------------------
 *
 * claim.c
 *		Reminders, timers and messages that hosts run.
 *
 * A host takes what actor.host_wait has found (see wait.c), claims it as an executor
 * does, calls the application, and writes what has become of it, all in one
 * transaction:
 *
 *	 host_claim --> run, stale: a frame has begun; then a savepoint, and the call
 *						--> host_fired, COMMIT
 *						--> ROLLBACK TO, host_failed, COMMIT
 *						--> the application cannot be reached: ROLLBACK
 *				--> gone, failed: there is no more to do; COMMIT
 *				--> busy, elsewhere: later, or somebody else
 *				--> unplaced: as for a call, see hosted.c
 *
 * The claim proves that the row is as it was seen.  An error of the transaction
 * itself leaves all as it was; the host claims the row once more to write that down.
 *
 * Lock order: the actor's turn, then the row, which is never waited for.
 *
 * IDENTIFICATION
 *		src/host/claim.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "fire/fire.h"
#include "host/internal.h"

PG_FUNCTION_INFO_V1(actor_host_claim);
PG_FUNCTION_INFO_V1(actor_host_fired);
PG_FUNCTION_INFO_V1(actor_host_failed);

#define READ_SCHEDULE(table) \
	{"SELECT due_time, period FROM " table \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND name OPERATOR(pg_catalog.=) $3", \
	3, {TEXTOID, TEXTOID, TEXTOID}}

static ActorQuery read_schedule[] = {
	READ_SCHEDULE("actor.reminder"),
	READ_SCHEDULE("actor.timer")
};

static const ActorDocument due_document = {"due row", NULL};

/* what is due ------------------------------------------------------------- */

static int64
integer_member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = actor_document_member(object, name);

	if (value == NULL || value->type != jbvNumeric)
		actor_document_refuse(&due_document, name, "is not a number");
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, NumericGetDatum(value->val.numeric)));
}

static text *
text_member(JsonbContainer *object, const char *name, int limit)
{
	text	   *value = cstring_to_text(actor_document_string(&due_document,
															  actor_document_member(object, name),
															  name));

	actor_check_text(value, false, name, limit);
	return value;
}

static ActorDueKind
kind_member(JsonbContainer *object)
{
	static const ActorDueKind kinds[] = {DUE_REMINDER, DUE_TIMER, DUE_MESSAGE};
	char	   *word = actor_document_string(&due_document,
											 actor_document_member(object, "kind"), "kind");

	for (int i = 0; i < lengthof(kinds); i++)
		if (strcmp(word, actor_due_word(kinds[i])) == 0)
			return kinds[i];
	actor_document_refuse(&due_document, "kind", "is not a reminder, timer or message");
}

/*
 * The row that a host has been told is due, in the current memory context.
 */
static ActorDue *
due_argument(FunctionCallInfo fcinfo, int number, NameData **role)
{
	ActorDue   *due = palloc0(sizeof(ActorDue));
	JsonbValue	document;
	JsonbContainer *object;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("due row must not be null")));
	actor_jsonb_scalar(DatumGetJsonbPCopy(PG_GETARG_DATUM(number)), &document);
	object = actor_document_object(&due_document, &document, "");
	due->kind = kind_member(object);
	actor_ref_init(&due->actor, text_member(object, "actor_type", ACTOR_MAX_TYPE_LEN),
				   text_member(object, "actor_id", ACTOR_MAX_NAME_LEN));
	due->name = text_member(object, "name", ACTOR_MAX_NAME_LEN);
	due->generation = integer_member(object, "generation");
	due->scheduled_at = integer_member(object, "scheduled_at");
	due->next_try_at = integer_member(object, "next_try_at");
	due->attempt = (int32) Min(integer_member(object, "attempt"), PG_INT32_MAX);
	*role = palloc0(sizeof(NameData));
	namestrcpy(*role, actor_document_string(&due_document,
											actor_document_member(object, "role_name"),
											"role_name"));
	return due;
}

/* claiming ---------------------------------------------------------------- */

/* what begins the life of an actor, in a subtransaction */
typedef struct Beginning
{
	ActorEntry *entry;
	ActorType  *type;
	uint64		generation;
} Beginning;

static void
begin_life(void *arg)
{
	Beginning  *beginning = arg;
	ActorEntry *entry = beginning->entry;
	const ActorDue *due = entry->firing->due;

	/* it may be older than what makes the type a hosted one */
	actor_hosted_check_name(entry->actor.id, "actor id");
	if (due->kind == DUE_MESSAGE)
		actor_hosted_check_method(entry->method);
	else
		actor_hosted_check_name(due->name, "name");
	entry->anew |= actor_begin_life(&entry->actor, beginning->type, beginning->generation);
}

/*
 * Writes that the method of a claimed row has failed.
 */
static void
write_failed(ActorFiring *firing, ErrorData *error)
{
	actor_firing_failed(firing, error, GetCurrentTimestamp());
	actor_stat_fired(&firing->due->actor, firing->due->next_try_at, firing->cause.fired_at, true);
	actor_wake_hosts(GetCurrentTimestamp());
}

/*
 * Claims the row of an entry, whose turn is entered, and says what to do if that is
 * not to call its method; otherwise returns NULL.
 */
static const char *
claim(ActorEntry *entry)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ActorFiringResult result = actor_firing_claim(entry->firing, true, 0);

	MemoryContextSwitchTo(old);
	return result == FIRING_DONE ? NULL : result == FIRING_BUSY ? "busy" : "gone";
}

/*
 * Does all that comes before the application is called for what is due.
 */
static void
enter(ActorEntry *entry)
{
	Beginning	beginning = {.entry = entry};
	ErrorData  *error;
	bool		placeable;

	beginning.generation = actor_catalog_generation();
	beginning.type = actor_hosted_type(entry->actor.type);
	actor_check_can_write(&entry->actor, NULL);
	entry->action = "busy";
	if (!actor_turn_try_enter(&entry->actor, NULL) || !actor_lease_pass(&entry->actor))
		return;

	/*
	 * an actor that no application can be asked for is nowhere, and any host
	 * says so
	 */
	placeable = actor_hosted_name_allowed(entry->actor.id);
	if (placeable)
		actor_hosted_look(entry);
	if (placeable && !entry->placed)
		entry->action = "unplaced";
	else if (placeable && !actor_same_uuid(&entry->placement.host, entry->host))
		entry->action = "elsewhere";
	else
		entry->action = claim(entry);
	if (entry->action != NULL)
		return;

	entry->method = entry->firing->method;
	error = actor_attempt(begin_life, &beginning);
	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	if (error != NULL)
	{
		write_failed(entry->firing, error);
		entry->action = "failed";
		return;
	}
	actor_hosted_begin(entry, actor_hosted_type(entry->actor.type), beginning.generation);
}

/*
 * When a reminder or timer is due, and how often, as its registration says.
 */
static void
read_texts(const ActorDue *due, Datum *values, bool *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		keys[3] = {PointerGetDatum(due->actor.type), PointerGetDatum(due->actor.id),
		PointerGetDatum(due->name)
	};

	nulls[0] = nulls[1] = true;
	if (due->kind == DUE_MESSAGE)
		return;
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&read_schedule[due->kind], keys, NULL) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		for (int i = 0; i < 2; i++)
		{
			Datum		value = actor_query_result(0, i + 1, &nulls[i]);

			if (!nulls[i])
				values[i] = PointerGetDatum(DatumGetTextPCopy(value));
		}
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor.host_claim
 *		Claims what is due, and begins the method that it calls.
 */
Datum
actor_host_claim(PG_FUNCTION_ARGS)
{
	ActorEntry	entry;
	ActorFiring *firing;
	ActorDue   *due;
	NameData   *role;
	MemoryContext old;
	TupleDesc	tupdesc;
	Datum		values[14] = {0};
	bool		nulls[14];

	memset(&entry, 0, sizeof(entry));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	entry.host = actor_uuid_argument(fcinfo, 0, "host id");
	entry.token = PG_ARGISNULL(1) ? NULL : PG_GETARG_UUID_P(1);
	old = MemoryContextSwitchTo(TopTransactionContext);
	due = due_argument(fcinfo, 2, &role);
	firing = palloc0(sizeof(ActorFiring));
	MemoryContextSwitchTo(old);
	firing->due = due;
	firing->role = role;
	entry.actor = due->actor;
	entry.firing = firing;
	(void) actor_hosted_type(entry.actor.type);
	actor_hosted_check("actor.host_claim()", entry.host, false);
	if (actor_frame_current() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot run inside a method", "actor.host_claim()"),
				 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
	enter(&entry);

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum(entry.action);
	nulls[0] = false;
	if (entry.placed)
	{
		values[2] = UUIDPGetDatum(&entry.placement.host);
		values[4] = UUIDPGetDatum(&entry.placement.token);
		values[5] = BoolGetDatum(entry.anew);
		values[6] = UUIDPGetDatum(&entry.held_from);
		nulls[2] = nulls[4] = nulls[5] = false;
		nulls[6] = !entry.held;
	}
	values[3] = PointerGetDatum(entry.address);
	nulls[3] = entry.address == NULL;
	if (entry.hosted != NULL)
	{
		values[1] = Int32GetDatum(entry.hosted->number);
		values[7] = PointerGetDatum(firing->method);
		values[8] = PointerGetDatum(firing->cause.name);
		values[9] = PointerGetDatum(firing->data);
		values[12] = PointerGetDatum(firing->traceparent);
		values[13] = Int32GetDatum(due->attempt);
		nulls[1] = nulls[7] = nulls[8] = nulls[13] = false;
		nulls[9] = firing->data == NULL;
		nulls[12] = firing->traceparent == NULL;
		read_texts(due, &values[10], &nulls[10]);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/* outcomes ---------------------------------------------------------------- */

/*
 * The frame of the first argument, which runs for something that was due.
 */
static ActorHostedFrame *
firing_argument(FunctionCallInfo fcinfo, const char *function)
{
	ActorHostedFrame *hosted = actor_hosted_argument(fcinfo, function);

	if (hosted->firing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("frame %d has not begun with %s", hosted->number,
						"actor.host_claim()")));
	return hosted;
}

/*
 * actor.host_fired
 *		The application has answered: what was due is done, or goes on to its next
 *		instant.
 */
Datum
actor_host_fired(PG_FUNCTION_ARGS)
{
	ActorHostedFrame *hosted = firing_argument(fcinfo, "actor.host_fired()");
	ActorFiring *firing = hosted->firing;

	actor_hosted_end(hosted, false);
	actor_firing_done(firing);
	actor_stat_fired(&firing->due->actor, firing->due->next_try_at, firing->cause.fired_at,
					 false);
	actor_wake_hosts(GetCurrentTimestamp());
	PG_RETURN_VOID();
}

/*
 * The SQLSTATE of an argument.
 */
static int
sqlstate_argument(FunctionCallInfo fcinfo, int number)
{
	char	   *code = PG_ARGISNULL(number) ? pstrdup("38000") :
	text_to_cstring(PG_GETARG_TEXT_PP(number));

	if (strlen(code) != 5 ||
		strspn(code, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid SQLSTATE \"%s\"", code)));
	return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
}

/*
 * actor.host_failed
 *		The application has failed, and what it has done is rolled back: tries
 *		again, or gives up, as the policy of what was due says.
 */
Datum
actor_host_failed(PG_FUNCTION_ARGS)
{
	ActorHostedFrame *hosted = firing_argument(fcinfo, "actor.host_failed()");
	ErrorData	error;

	memset(&error, 0, sizeof(error));
	error.elevel = ERROR;
	error.sqlerrcode = sqlstate_argument(fcinfo, 1);
	error.message = PG_ARGISNULL(2) ? pstrdup("application has failed") :
		text_to_cstring(PG_GETARG_TEXT_PP(2));
	error.detail = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));
	actor_hosted_end(hosted, true);
	write_failed(hosted->firing, &error);
	PG_RETURN_VOID();
}
