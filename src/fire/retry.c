/*-------------------------------------------------------------------------
 *
 * retry.c
 *		When what has failed is tried again.
 *
 * IDENTIFICATION
 *		src/fire/retry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/inval.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "type/type.h"
#include "call/call.h"
#include "fire/internal.h"


/* errors that are nobody's fault: first and longest pause, and how many */
#define DEFERRAL_MIN_US		(10 * INT64CONST(1000))
#define DEFERRAL_MAX_US		(10 * USECS_PER_SEC)
#define DEFERRALS_MAX		100

/*
 * Whether an error is nobody's fault: the same attempt is made again.  A
 * method that was cancelled because it ran too long is at fault.
 */
static bool
is_innocent(const ErrorData *error, TimestampTz started_at)
{
	switch (error->sqlerrcode)
	{
		case ERRCODE_T_R_DEADLOCK_DETECTED:
		case ERRCODE_T_R_SERIALIZATION_FAILURE:
		case ERRCODE_LOCK_NOT_AVAILABLE:
		case ERRCODE_OUT_OF_MEMORY:
			return true;
		case ERRCODE_QUERY_CANCELED:
			return !TimestampDifferenceExceeds(started_at, GetCurrentTimestamp(),
											   actor_callback_timeout) ||
				actor_callback_timeout == 0;
		default:
			return false;
	}
}

/*
 * Pause after so many innocent errors, with jitter so that two parties of a
 * deadlock do not meet again.
 */
static int64
deferral_delay(int32 deferrals)
{
	int64		delay = DEFERRAL_MIN_US << Min(deferrals, 10);

	delay = Min(delay, DEFERRAL_MAX_US);
	return delay / 2 + (int64) (actor_random_fraction() * (delay / 2));
}

/* a call that has failed */
typedef struct FailedCall
{
	const ActorRef *actor;
	text	   *method;
	Jsonb	   *payload;
} FailedCall;

static void
check_call(void *arg)
{
	FailedCall *call = arg;
	bool		hosted;

	(void) actor_check_call(call->actor->type, call->actor->id, call->method, call->payload,
							&hosted);
}

/*
 * actor_retry_is_excused
 *		Whether what has just failed waits, without having lost an attempt, since the
 *		type of its actor has lost its schema meanwhile.
 */
bool
actor_retry_is_excused(const ActorRef *actor)
{
	AcceptInvalidationMessages();
	return actor_type_is_lost(actor->type);
}

/*
 * actor_retry_is_vain
 *		Whether a call that has failed cannot succeed, as there is no such method, or
 *		the payload does not fit it whatever its values are.
 *
 * A method may have raised the same error for reasons of its own, so that is
 * found out anew.
 */
bool
actor_retry_is_vain(const ActorRef *actor, text *method, Jsonb *payload,
					const ErrorData *error)
{
	FailedCall	call = {actor, method, payload};
	ErrorData  *again;

	if (error->sqlerrcode != ERRCODE_UNDEFINED_FUNCTION &&
		error->sqlerrcode != ERRCODE_INVALID_PARAMETER_VALUE)
		return false;
	again = actor_attempt(check_call, &call);
	return again != NULL && again->sqlerrcode == error->sqlerrcode;
}

/*
 * actor_retry_plan
 *		When to try again what has failed, which is in "retry" as it was for
 *		the failed attempt; false if it is to be given up.
 */
bool
actor_retry_plan(const ActorRetryPolicy *policy, const ErrorData *error,
				 TimestampTz started_at, TimestampTz now, ActorRetry *retry)
{
	bool		innocent = is_innocent(error, started_at);
	int64		delay;

	if (innocent && retry->deferrals < DEFERRALS_MAX)
	{
		retry->at = now + deferral_delay(retry->deferrals);
		retry->deferrals++;
		return true;
	}
	delay = actor_retry_delay(policy, retry->attempt);
	if (delay < 0)
		return false;
	retry->at = now + delay;
	retry->attempt++;
	if (!innocent)
		retry->deferrals = 0;
	return true;
}

/*
 * actor_retry_outcome
 *		Says what becomes of a failed attempt, for the log.
 */
const char *
actor_retry_outcome(const ActorRetryPolicy *policy, int32 attempt, bool again)
{
	const char *outcome = again ? "It is tried again." : "It is given up.";

	if (policy->max_retries < 0 || policy->max_retries == PG_INT32_MAX)
		return psprintf("Attempt %d has failed. %s", attempt, outcome);
	return psprintf("Attempt %d of %d has failed. %s", attempt, policy->max_retries + 1, outcome);
}
