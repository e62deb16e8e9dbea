/*-------------------------------------------------------------------------
 *
 * run_due.c
 *		actor_run_due: firing what is due in a session, without workers.
 *
 * For tests of callbacks, which end with a rollback: what the transaction has
 * registered is seen, and what the callbacks do is there to look at.  Time is
 * taken to pass as far as the caller wants: each firing happens at the instant
 * it is due, or now if that is over.
 *
 * Lock order: as an executor does, the actor's turn, then the row.
 *
 * IDENTIFICATION
 *		src/fire/run_due.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "message/message.h"
#include "event/event.h"
#include "fire/internal.h"

PG_FUNCTION_INFO_V1(actor_run_due);

/*
 * The first due row of a list that is not among those that somebody else has;
 * NULL if there is none.
 */
static ActorDue *
first_free(List *due_list, List *taken)
{
	ListCell   *cell;

	foreach(cell, due_list)
	{
		ActorDue   *due = lfirst(cell);
		bool		is_taken = false;
		ListCell   *other;

		foreach(other, taken)
			is_taken |= ((ActorDue *) lfirst(other))->generation == due->generation;
		if (!is_taken)
			return due;
	}
	return NULL;
}

/*
 * Fires one row.  Waits for the turn like a client; nobody waits for the row.
 */
static ActorFiringResult
fire(const ActorDue *due, const NameData *role)
{
	ActorType  *type = actor_type_find(due->actor.type);
	ActorFireMode mode;

	(void) actor_lease_enter(&due->actor, NULL,
							 type != NULL ? actor_type_call_timeout(type) :
							 actor_call_timeout_default, NULL);
	memset(&mode, 0, sizeof(mode));
	mode.clock = Max(due->next_try_at, GetCurrentTimestamp());
	return actor_fire(due, role, &mode, NULL);
}

/*
 * Sends messages that a worker would send: those of events, or also those to each
 * actor of a type.  They are due now, and that is in time even if it is a moment after
 * the end.  Returns whether there were any.
 */
static bool
send_more(const NameData *role, bool of_events_only, TimestampTz *until)
{
	bool		any = actor_fan_outs_run_own(*until);

	if (!of_events_only)
		any |= actor_each_go_on_own(role, *until);
	if (any)
		*until = Max(*until, GetCurrentTimestamp());
	return any;
}

/*
 * actor_run_due
 *		Fires what is due until a time and was registered by the current user,
 *		in the order of time.  Returns how many methods were called, with or
 *		without success.
 *
 * Raises what taking a turn raises.  What somebody else has locked is left to
 * him.
 */
Datum
actor_run_due(PG_FUNCTION_ARGS)
{
	MemoryContext context;
	MemoryContext row_context;
	TimestampTz until;
	NameData	role;
	TimestampTz from = DT_NOBEGIN;
	List	   *taken = NIL;
	int64		count = 0;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("until must not be null")));
	until = PG_GETARG_TIMESTAMPTZ(0);
	if (TIMESTAMP_NOT_FINITE(until))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be finite")));
	PreventCommandIfReadOnly("actor_run_due()");
	PreventCommandIfParallelMode("actor_run_due()");
	if (actor_frame_current() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actor_run_due() cannot run inside a method"),
				 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
	actor_turn_check_isolation("fire what is due");
	if (actor_on_several_servers())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("actor_run_due() cannot run, because actors are on several servers"),
				 errdetail("What is due fires on the server that has it.")));
	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	/* what is under this name may be an earlier role's */
	if (actor_role_find(&role) != GetUserId())
		PG_RETURN_INT64(0);

	row_context = AllocSetContextCreate(CurrentMemoryContext, "actor_run_due",
										ALLOCSET_DEFAULT_SIZES);
	context = MemoryContextSwitchTo(row_context);
	(void) send_more(&role, false, &until);
	for (;;)
	{
		ActorDue   *due;
		TimestampTz noted;

		CHECK_FOR_INTERRUPTS();
		due = first_free(actor_due_scan(&role, from, until, list_length(taken) + 1), taken);
		if (due == NULL && from == DT_NOBEGIN && !send_more(&role, false, &until))
			break;
		if (due == NULL)
		{
			/* has anybody else committed something? */
			from = DT_NOBEGIN;
			continue;
		}
		/* what is under this name may be a later role's by now */
		if (!actor_role_hold(GetUserId(), &role))
			break;
		(void) actor_wake_noted();
		switch (fire(due, &role))
		{
			case FIRING_DONE:
			case FIRING_FAILED:
				count++;
				break;
			case FIRING_SKIPPED:
				break;
			default:
				MemoryContextSwitchTo(context);
				taken = lappend(taken, memcpy(palloc(sizeof(ActorDue)), due,
											  sizeof(ActorDue)));
				MemoryContextSwitchTo(row_context);
				break;
		}
		/* not over what is gone again; what was registered may be due before */
		noted = actor_wake_noted();
		if (noted != DT_NOEND)
		{
			(void) send_more(&role, true, &until);
			noted = Min(noted, actor_wake_noted());
		}
		from = Min(due->next_try_at, noted);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(row_context);
	PG_RETURN_INT64(count);
}
