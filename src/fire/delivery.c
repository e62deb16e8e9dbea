/*-------------------------------------------------------------------------
 *
 * delivery.c
 *		Delivering what is first in the queues of messages; see queue.c.
 *
 * Lock order: the actor's turn, then rows of messages.
 *
 * IDENTIFICATION
 *		src/fire/delivery.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "message/message.h"
#include "fire/internal.h"

/* pause when a message cannot be given up now, in microseconds */
#define GIVE_UP_AGAIN_US	USECS_PER_SEC

typedef ActorMessageClaim Claim;

#define WHERE_KEY \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND message_id OPERATOR(pg_catalog.=) $3"

static ActorQuery retry_message = {
	"UPDATE actor.message SET next_try_at = $4, attempt = $5, deferrals = $6,"
	"  last_error = $7" WHERE_KEY,
	7, {TEXTOID, TEXTOID, INT8OID, TIMESTAMPTZOID, INT4OID, INT4OID, TEXTOID}
};

static ActorQuery hand_over_message = {
	"UPDATE actor.message SET hosted = $4" WHERE_KEY,
	4, {TEXTOID, TEXTOID, INT8OID, BOOLOID}
};

/* identity -------------------------------------------------------------- */

/*
 * actor_message_generation
 *		A number that stands for a message outside of its table, and does not
 *		stand for another one if the extension is created anew.
 */
int64
actor_message_generation(const ActorRef *actor, int64 message_id, TimestampTz due_at)
{
	int64		parts[] = {(int64) actor->hash, message_id, due_at};

	return (int64) (hash_bytes_extended((const unsigned char *) parts, sizeof(parts), 0) &
					PG_INT64_MAX);
}

/*
 * actor_message_id
 *		The number of a message that is due.
 */
int64
actor_message_id(const ActorDue *due)
{
	return strtoll(text_to_cstring(due->name), NULL, 10);
}

static void
key_values(const ActorRef *actor, int64 message_id, Datum *values)
{
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = Int64GetDatum(message_id);
}

/* claiming -------------------------------------------------------------- */

/*
 * Called in the actor's turn for a message that cannot be claimed as the first
 * of the queue.  If others are before it, it is hidden, and has got on by that.
 */
static ActorFiringResult
stand_aside(const ActorDue *due, TimestampTz now)
{
	int64		message_id = actor_message_id(due);
	int64		first;
	TimestampTz next_try_at;

	if (!actor_queue_first(&due->actor, message_id, &first, &next_try_at) ||
		first > message_id)
	{
		/* has the clock been set back? */
		if (!actor_queue_is_delayed(&due->actor, message_id))
			return FIRING_BUSY;
		actor_look_forget(&due->actor);
		return actor_queue_join(&due->actor, message_id, now) ? FIRING_SKIPPED : FIRING_BUSY;
	}
	/* cannot be; but then nobody would look at this queue again */
	if (TIMESTAMP_IS_NOEND(next_try_at))
		return actor_queue_show(&due->actor, first) > 0 ? FIRING_SKIPPED : FIRING_BUSY;
	return actor_queue_hide(&due->actor, message_id) > 0 ? FIRING_SKIPPED : FIRING_BUSY;
}

/*
 * Hides a message of a paused actor, until that is resumed; see pause.c.
 */
static ActorFiringResult
put_off(const ActorDue *due, const NameData *role)
{
	Claim		claimed;

	if (!actor_claim_message(due, role, &claimed))
		return FIRING_BUSY;
	actor_queue_put_off(&due->actor, actor_message_id(due));
	return FIRING_SKIPPED;
}

/* outcomes -------------------------------------------------------------- */

static void
write_retry(const ActorDue *due, const ActorRetry *retry, const ErrorData *error)
{
	ActorBookkeeping bookkeeping;
	Datum		values[7];

	key_values(&due->actor, actor_message_id(due), values);
	values[3] = TimestampTzGetDatum(retry->at);
	values[4] = Int32GetDatum(retry->attempt);
	values[5] = Int32GetDatum(retry->deferrals);
	values[6] = PointerGetDatum(actor_error_text(error->message ? error->message : ""));
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&retry_message, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Parks a claimed message, in the actor's turn.
 */
static void
give_up(const ActorDue *due, const Claim *claimed, const NameData *role, ErrorData *error)
{
	ActorFailure failure;

	failure.kind = actor_due_word(due->kind);
	failure.name = due->name;
	failure.method = claimed->method;
	failure.payload = claimed->payload;
	failure.settings = claimed->settings;
	failure.scheduled_at = due->scheduled_at;
	failure.attempts = due->attempt;
	actor_failure_write(&due->actor, &failure, role, error);
	if (claimed->request_id != NULL)
		actor_request_failed(&due->actor, claimed->request_id, actor_message_id(due), error);
	(void) actor_queue_remove_locked(&due->actor, actor_message_id(due));
}

/*
 * Writes down that a claimed message could not be delivered.  The turn may not
 * be ours any more; without it the message cannot leave the queue, and is tried
 * once more.
 */
static void
record_failure(const ActorDue *due, const Claim *claimed, const NameData *role,
			   ErrorData *error, TimestampTz started_at, TimestampTz now)
{
	ActorRetry	retry = {.attempt = due->attempt,.deferrals = claimed->deferrals};
	ActorCause	cause = {actor_due_word(due->kind), due->name,.attempt = due->attempt};
	bool		again;

	again = !actor_retry_is_vain(&due->actor, claimed->method, claimed->payload, error) &&
		actor_retry_plan(&claimed->policy, error, started_at, now, &retry);
	actor_failure_log(MyBackendType == B_BG_WORKER ? LOG : WARNING, &due->actor,
					  actor_due_word(due->kind), due->name, claimed->method, error,
					  actor_retry_outcome(&claimed->policy, due->attempt, again));
	if (started_at != 0)
		actor_record_failure(&due->actor, claimed->method, &cause, role, started_at, error);
	if (!again)
	{
		if (actor_turn_try_keep(&due->actor))
		{
			give_up(due, claimed, role, error);
			return;
		}
		retry.at = now + GIVE_UP_AGAIN_US;
	}
	write_retry(due, &retry, error);
	actor_wake_at(retry.at);
	actor_wake_hosts(retry.at);
	if (claimed->passes && actor_turn_try_keep(&due->actor))
		actor_queue_step_out(&due->actor, actor_message_id(due));
	else
		(void) actor_queue_hide_from(&due->actor, actor_message_id(due) + 1);
}

/* delivering ------------------------------------------------------------ */

/*
 * Leaves a message to hosts, or to executors, since its method has turned out to be
 * theirs.
 */
static void
hand_over(const ActorDue *due, bool hosted)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];

	key_values(&due->actor, actor_message_id(due), values);
	values[3] = BoolGetDatum(hosted);
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&hand_over_message, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	if (hosted)
		actor_wake_hosts(due->next_try_at);
	else
		actor_wake_at(due->next_try_at);
}

/*
 * actor_message_claim
 *		As actor_firing_claim, for a message: if it is the first of the queue.
 */
ActorFiringResult
actor_message_claim(ActorFiring *firing, bool by_host, TimestampTz clock)
{
	const ActorDue *due = firing->due;
	Claim	   *claimed = &firing->message;
	TimestampTz started_at = GetCurrentTimestamp();
	TimestampTz now = clock != 0 ? clock : started_at;
	ActorType  *type;
	bool		gone;

	switch (actor_pause_share(&due->actor))
	{
		case ACTOR_PAUSE_CHANGING:
			return FIRING_BUSY;
		case ACTOR_PAUSED:
			return put_off(due, firing->role);
		default:
			break;
	}
	if (!actor_claim_first(due, firing->role, clock, now, claimed, &gone) &&
		!(!gone && actor_queue_join(&due->actor, actor_message_id(due), now) &&
		  actor_claim_first(due, firing->role, clock, now, claimed, &gone)))
	{
		if (gone)
			return FIRING_SKIPPED;
		if (firing->step != NULL)
			firing->step->stays = true;
		return stand_aside(due, now);
	}
	type = actor_type_find(due->actor.type);
	if (type != NULL && actor_method_is_hosted(type, claimed->method) != by_host)
	{
		hand_over(due, !by_host);
		return FIRING_SKIPPED;
	}

	firing->method = claimed->method;
	firing->data = claimed->payload;
	firing->traceparent = claimed->traceparent;
	firing->settings = claimed->settings;
	firing->cause.kind = actor_due_word(due->kind);
	firing->cause.name = due->name;
	firing->cause.scheduled_at = due->scheduled_at;
	firing->cause.fired_at = now;
	firing->cause.attempt = due->attempt;
	firing->run.fired_at = now;
	firing->run.started_at = started_at;
	return FIRING_DONE;
}

/*
 * actor_message_done
 *		As actor_firing_done, for a message.
 */
void
actor_message_done(ActorFiring *firing)
{
	const ActorRef *actor = &firing->due->actor;
	int64		message_id = actor_message_id(firing->due);

	if (firing->message.request_id != NULL)
		actor_request_done(actor, firing->message.request_id, message_id, firing->result);
	if (firing->step != NULL)
		actor_queue_leave(actor, message_id, firing->step);
	else
		(void) actor_queue_remove_locked(actor, message_id);
}

/*
 * actor_message_ran_badly
 *		As actor_firing_failed, for a message.
 */
void
actor_message_ran_badly(ActorFiring *firing, ErrorData *error, TimestampTz now)
{
	record_failure(firing->due, &firing->message, firing->role, error,
				   firing->run.started_at, now);
}

/*
 * actor_message_failed
 *		As actor_fire_failed, for a message.
 */
bool
actor_message_failed(const ActorDue *due, const NameData *role, ErrorData *error,
					 TimestampTz started_at)
{
	Claim		claimed;
	int			nestlevel;

	if (!actor_claim_message(due, role, &claimed))
		return false;
	nestlevel = actor_trace_begin(claimed.traceparent);
	record_failure(due, &claimed, role, error, started_at, GetCurrentTimestamp());
	actor_trace_end(nestlevel);
	return true;
}

/*
 * actor_message_give_up
 *		As actor_fire_give_up, for a message.  False also if the turn of the
 *		actor is not free.
 */
bool
actor_message_give_up(const ActorDue *due, const NameData *role, ErrorData *error)
{
	Claim		claimed;
	int			nestlevel;

	if (!actor_turn_try_keep(&due->actor) ||
		!actor_claim_message(due, role, &claimed))
		return false;
	nestlevel = actor_trace_begin(claimed.traceparent);
	give_up(due, &claimed, role, error);
	actor_trace_end(nestlevel);
	return true;
}
