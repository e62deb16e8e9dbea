/*-------------------------------------------------------------------------
 *
 * fire.h
 *		Turning due rows into turns.
 *
 * IDENTIFICATION
 *		src/fire/fire.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_FIRE_H
#define ACTOR_FIRE_H

#include "base/base.h"
#include "nodes/pg_list.h"
#include "message/message.h"
#include "reminder/reminder.h"
#include "shared/shared.h"
#include "time/time.h"

/* firing.c */

/*
 * A due row as it was seen; whether it still is like that shows the claim.  An
 * idle actor has the name of its hook, the time of its last use as the instant
 * it is scheduled at, and a generation that is always the same.
 */
typedef struct ActorDue
{
	ActorDueKind kind;
	ActorRef	actor;
	text	   *name;
	int64		generation;
	TimestampTz scheduled_at;
	TimestampTz next_try_at;
	int32		attempt;
} ActorDue;

typedef enum ActorFiringResult
{
	FIRING_DONE,				/* the method ran */
	FIRING_SKIPPED,				/* it did not have to run, or must not now */
	FIRING_FAILED,				/* the method failed, which is written down */
	FIRING_BUSY,				/* somebody else has the actor or the row, or
								 * the row is not as it was seen */
	FIRING_OPEN,				/* a chain of calls has the actor's turn open */
	FIRING_STOPPED,				/* the method was made to end, or its type has
								 * lost its schema */
	FIRING_WOULD_WAIT,			/* the method would have to wait, or for
								 * longer */
	FIRING_SLOW					/* the method took too long for a batch */
} ActorFiringResult;

/* what is claimed of a reminder or timer */
typedef struct ActorFiringClaim
{
	text	   *name;			/* of what a retry was registered for, or its
								 * own */
	text	   *method;
	Jsonb	   *data;			/* NULL: none */
	text	   *traceparent;	/* NULL: none */
	Jsonb	   *settings;		/* NULL: none */
	ActorSchedule schedule;
	int64		firing;
	ActorCatchUp catch_up;
	ActorRetryPolicy policy;
	int32		deferrals;
} ActorFiringClaim;

/* what is claimed of a message */
typedef struct ActorMessageClaim
{
	text	   *method;
	Jsonb	   *payload;		/* NULL: none */
	int32		deferrals;
	text	   *traceparent;	/* NULL: none */
	text	   *request_id;		/* NULL: none */
	Jsonb	   *settings;		/* NULL: none */
	ActorRetryPolicy policy;
	bool		passes;			/* others pass it until it is tried again */
} ActorMessageClaim;

/* how a call of the method went */
typedef struct ActorFiringRun
{
	TimestampTz fired_at;
	TimestampTz started_at;		/* the same by the clock; 0: nothing was
								 * called */
	bool		ok;
} ActorFiringRun;

/*
 * A row that is claimed, and what is to be called for it.  Whoever claims it fills
 * in the row and its role; all else is zero before.
 */
typedef struct ActorFiring
{
	const ActorDue *due;
	const NameData *role;
	text	   *method;
	Jsonb	   *data;			/* NULL: none */
	text	   *traceparent;	/* NULL: none */
	Jsonb	   *settings;		/* NULL: none */
	ActorCause	cause;
	Jsonb	   *result;			/* of the method; NULL: SQL NULL */

	/*
	 * where to say what follows a message that was delivered, if it is
	 * hidden; NULL: it is shown
	 */
	ActorQueueStep *step;

	/* of firing.c and delivery.c */
	ActorFiringClaim claim;
	ActorMessageClaim message;
	ActorFiringRun run;
	int64		next;			/* firing; -1: there is none */
	TimestampTz next_at;
} ActorFiring;

extern ActorFiringResult actor_firing_claim(ActorFiring *firing, bool by_host,
											TimestampTz clock);
extern void actor_firing_done(ActorFiring *firing);
extern void actor_firing_failed(ActorFiring *firing, ErrorData *error, TimestampTz now);
extern bool actor_fire_failed(const ActorDue *due, const NameData *role, ErrorData *error,
							  TimestampTz started_at);

/* delivery.c */

extern int64 actor_message_generation(const ActorRef *actor, int64 message_id,
									  TimestampTz due_at);

/* queues.c */

extern uint64 actor_messages_hide(List *due_list);

/* idle.c */

/* somebody who has actors that may become idle */
typedef struct ActorIdleOwner
{
	NameData	name;
	TimestampTz next;			/* when to look for idle ones */
} ActorIdleOwner;

/* whether hosts see to the idle actors of a type; see host/, which fills this in */
typedef bool (*ActorIdleByHosts) (const text *type);

extern ActorIdleByHosts actor_idle_by_hosts;

extern List *actor_idle_owners(void);
extern List *actor_idle_scan(const NameData *owner, int limit);
extern void actor_idle_looked(const NameData *owner);
extern bool actor_idle_deactivate(const ActorDue *due, const NameData *role,
								  const ErrorData *error);
extern void actor_idle_forget_starts(void);

/* round.c */

extern void actor_rounds_start(const ActorExecutorStart *executor);
extern int	actor_round(TimestampTz *retry_at);
extern TimestampTz actor_round_next_due(void);

/* callback.c */

extern void actor_callback_start(int slot);
extern void actor_callback_exit(void);
extern bool actor_callback_take_death(ActorDue *due, Oid *role, bool *itself);

#endif							/* ACTOR_FIRE_H */
