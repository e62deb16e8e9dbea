/*-------------------------------------------------------------------------
 *
 * firing.h
 *		Turning due rows into turns.
 *
 * IDENTIFICATION
 *		src/firing.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_FIRING_H
#define ACTOR_FIRING_H

#include "actor.h"
#include "schedule.h"

/* A due row as it was seen; whether it still is like that shows the claim. */
typedef struct ActorDue
{
	ActorRef	actor;
	text	   *name;
	int64		generation;
	TimestampTz scheduled_at;
	TimestampTz next_try_at;
	int32		attempt;
} ActorDue;

/* How long a firing may wait; all zero: not at all, and for every lock. */
typedef struct ActorFireMode
{
	bool		in_batch;		/* what would have to wait is put off */
	int			turn_wait;		/* ms to queue for the turn, 0: not at all */
	int			lock_wait;		/* ms the method waits for a lock, 0: for ever */
	int			time_limit;		/* ms the method may take, 0: no limit */
} ActorFireMode;

typedef enum ActorFiringResult
{
	FIRING_DONE,				/* the method ran, or the firing was skipped */
	FIRING_FAILED,				/* the method failed, which is written down */
	FIRING_BUSY,				/* somebody else has the actor or the row, or
								 * the row is not as it was seen */
	FIRING_STOPPED,				/* the method was made to end */
	FIRING_WOULD_WAIT,			/* the method would have to wait */
	FIRING_SLOW					/* the method took too long for a batch */
} ActorFiringResult;

extern bool actor_catch_up_from_text(const text *word, ActorCatchUp *policy);
extern void actor_retry_policy_parse(Jsonb *document, ActorRetryPolicy *policy);

extern List *actor_due_scan(const NameData *role, TimestampTz until, int limit);
extern TimestampTz actor_due_next(const NameData *role);
extern ActorFiringResult actor_fire(const ActorDue *due, const NameData *role,
									const ActorFireMode *mode);
extern bool actor_fire_failed(const ActorDue *due, const NameData *role, ErrorData *error,
							  TimestampTz started_at);
extern bool actor_fire_give_up(const ActorDue *due, const NameData *role, ErrorData *error);

/* callback.c */

typedef enum ActorCallbackEnd
{
	CALLBACK_RAN,				/* to its end or to an error of its own */
	CALLBACK_STOPPED,			/* was made to end */
	CALLBACK_WOULD_WAIT,		/* for a lock, and must not */
	CALLBACK_SLOW				/* for its batch */
} ActorCallbackEnd;

extern void actor_callback_start(int slot);
extern bool actor_callback_leaving(void);
extern void actor_callback_exit(void);
extern bool actor_callback_take_death(ActorDue *due, Oid *role, bool *itself);
extern void actor_callback_begin(const ActorDue *due, const ActorFireMode *mode);
extern void actor_callback_settle(void);
extern ActorCallbackEnd actor_callback_end(bool failed);
extern void actor_callback_abandon(void);

/* session.c */

extern void actor_session_start(void);
extern void actor_session_begin(void);
extern bool actor_session_spoiled(void);
extern void actor_session_close(void);
extern void actor_session_forget(void);

#endif							/* ACTOR_FIRING_H */
