/*-------------------------------------------------------------------------
 *
 * result.c
 *		What has become of messages, and waiting for it.
 *
 * The row of a request says it; see call/request.c.  Who waits takes no turn and
 * locks nothing: he looks, and sleeps until a transaction has committed that has
 * finished a message of an actor with the same hash.  What PREPARE TRANSACTION
 * has finished, and what a standby gets, signals nobody, so he also looks now
 * and then.
 *
 * IDENTIFICATION
 *		src/message/result.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "message/message.h"

PG_FUNCTION_INFO_V1(actor_result);
PG_FUNCTION_INFO_V1(actor_wait);

/* who waits looks at least that often */
#define LOOK_MS				1000

/* columns of the result of both functions */
enum
{
	COL_STATE,
	COL_RESULT,
	COL_ERROR,
	COL_FINISHED_AT,
	COL_COUNT
};

static ActorQuery read_outcome = {
	"SELECT state, result, error, finished_at, role_name, xmin FROM actor.request"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND request_id OPERATOR(pg_catalog.=) $3"
	"   AND (finished_at IS NULL OR finished_at OPERATOR(pg_catalog.>) $4)",
	4, {TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* What a request id stands for */
typedef struct Outcome
{
	bool		exists;
	bool		pending;
	bool		mine;			/* this transaction has written it */
	NameData	role_name;
	Datum		values[COL_COUNT];
	bool		nulls[COL_COUNT];
} Outcome;

/*
 * Reads an outcome into the current memory context.
 */
static void
read_row(const ActorRef *actor, text *request_id, Outcome *outcome)
{
	static const int16 lengths[COL_COUNT] = {-1, -1, -1, sizeof(TimestampTz)};
	MemoryContext context = CurrentMemoryContext;
	ActorFrame *frame = actor_frame_current();
	ActorBookkeeping bookkeeping;
	Datum		values[4];

	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = PointerGetDatum(request_id);
	values[3] = TimestampTzGetDatum(GetCurrentTimestamp() -
									(int64) actor_request_retention * USECS_PER_SEC);
	memset(outcome, 0, sizeof(*outcome));
	memset(outcome->nulls, true, sizeof(outcome->nulls));
	actor_bookkeeping_begin(&bookkeeping);
	outcome->exists = actor_query_read(&read_outcome, values, NULL,
									   frame != NULL ? frame->snapshot : NULL) > 0;
	if (outcome->exists)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		TransactionId writer;
		bool		isnull;

		for (int i = 0; i < COL_COUNT; i++)
		{
			Datum		value = actor_query_result(0, i + 1, &outcome->nulls[i]);

			if (!outcome->nulls[i])
				outcome->values[i] = datumCopy(value, i == COL_FINISHED_AT, lengths[i]);
		}
		outcome->pending = outcome->nulls[COL_FINISHED_AT];
		outcome->role_name = *DatumGetName(actor_query_result(0, COL_COUNT + 1, &isnull));
		writer = DatumGetTransactionId(actor_query_result(0, COL_COUNT + 2, &isnull));
		/* the number may be one of another server's */
		outcome->mine = !actor_on_several_servers() &&
			TransactionIdIsCurrentTransactionId(writer);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Refuses to show what is not the current user's, and to tell those who may not
 * use the type's schema whether there is anything.
 */
static void
check_right(const ActorRef *actor, text *request_id, const Outcome *outcome)
{
	ActorFrame *frame = actor_frame_current();

	if ((frame != NULL && actor_ref_equal(&frame->actor, actor)) ||
		actor_type_owned(actor->type) ||
		(outcome->exists && actor_role_held(&outcome->role_name)))
		return;
	actor_type_check_usage(actor_type_lookup(actor->type));
	if (outcome->exists)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for request id \"%s\" of actor \"%s\" of type \"%s\"",
						text_to_cstring(request_id), text_to_cstring(actor->id),
						text_to_cstring(actor->type)),
				 errdetail("Its result belongs to the role that called or sent and to the owner of the type.")));
}

/*
 * Reads an outcome that the current user may see.
 */
static void
look(const ActorRef *actor, text *request_id, Outcome *outcome)
{
	read_row(actor, request_id, outcome);
	actor_early_look_everywhere();
	check_right(actor, request_id, outcome);
}

static void
take_arguments(FunctionCallInfo fcinfo, ActorRef *actor, text **request_id)
{
	actor_ref_arguments(actor, fcinfo);
	*request_id = actor_text_argument(fcinfo, 2, "request id", ACTOR_MAX_NAME_LEN);
	AcceptInvalidationMessages();
	actor_type_require(actor->type);
}

static Datum
answer(FunctionCallInfo fcinfo, Outcome *outcome)
{
	TupleDesc	tupdesc;

	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (actor_frame_current() == NULL)
		actor_early_answer();
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), outcome->values,
											 outcome->nulls));
}

Datum
actor_result(PG_FUNCTION_ARGS)
{
	ActorRef	actor;
	text	   *request_id;
	Outcome		outcome;

	take_arguments(fcinfo, &actor, &request_id);
	look(&actor, request_id, &outcome);
	return answer(fcinfo, &outcome);
}

/* waiting --------------------------------------------------------------- */

/*
 * The argument that says how long to wait, in milliseconds.
 */
static int64
timeout_argument(FunctionCallInfo fcinfo, int number)
{
	int64		ms;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "timeout")));
	ms = actor_interval_ms(PG_GETARG_INTERVAL_P(number));
	if (ms < 0 || ms > PG_INT32_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("timeout must be from 0 to %d ms", PG_INT32_MAX)));
	return ms;
}

/*
 * Refuses to wait for what could not happen meanwhile.
 */
static void
check_can_wait(const ActorRef *actor)
{
	if (actor_frame_current() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for a result inside a method"),
				 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
	if (actor_turn_is_entered(actor))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for a result of actor \"%s\" of type \"%s\" in a transaction that has its turn",
						text_to_cstring(actor->id), text_to_cstring(actor->type)),
				 errhint("Commit, and wait then.")));
	actor_turn_check_isolation("wait for a result");
	actor_require_preload("results of messages");
}

Datum
actor_wait(PG_FUNCTION_ARGS)
{
	TimestampTz deadline = GetCurrentTimestamp();
	ConditionVariable *variable;
	ActorRef	actor;
	text	   *request_id;
	Outcome		outcome;

	take_arguments(fcinfo, &actor, &request_id);
	deadline += timeout_argument(fcinfo, 3) * 1000;
	check_can_wait(&actor);
	variable = &actor_shared->results[actor.hash % ACTOR_RESULT_COUNT];

	/* before the look, so that no signal is lost */
	ConditionVariablePrepareToSleep(variable);
	for (;;)
	{
		TimestampTz now;

		look(&actor, request_id, &outcome);
		now = GetCurrentTimestamp();
		if (!outcome.pending || now >= deadline)
			break;
		if (outcome.mine)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot wait for a message that this transaction has sent"),
					 errhint("Commit, and wait then.")));
		(void) ConditionVariableTimedSleep(variable,
										   Min(LOOK_MS, actor_wait_ms(now, deadline)),
										   ACTOR_WAIT_EVENT("ActorResult"));
	}
	ConditionVariableCancelSleep();
	return answer(fcinfo, &outcome);
}
