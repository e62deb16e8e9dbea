/*-------------------------------------------------------------------------
 *
 * firing.h
 *		Turning due rows into turns.
 *
 * IDENTIFICATION
 *		src/fire/fire.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_FIRING_H
#define ACTOR_FIRING_H

#include "base/base.h"
#include "time/time.h"

/* What is due */
typedef enum ActorDueKind
{
	DUE_REMINDER,				/* these two are indexes, too */
	DUE_TIMER,
	DUE_DEACTIVATE,				/* an actor that has been idle for too long */
	DUE_MESSAGE
} ActorDueKind;

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

/* How long a firing may wait; all zero: not at all, and for every lock. */
typedef struct ActorFireMode
{
	bool		in_batch;		/* what would have to wait is put off */
	int			turn_wait;		/* ms to queue for the turn, 0: not at all */
	int			lock_wait;		/* ms the method waits for a lock, 0: for ever */
	int			time_limit;		/* ms the method may take, 0: no limit */
	TimestampTz clock;			/* what to take for the current time, 0: that */
} ActorFireMode;

typedef enum ActorFiringResult
{
	FIRING_DONE,				/* the method ran */
	FIRING_SKIPPED,				/* it did not have to run, or must not now */
	FIRING_FAILED,				/* the method failed, which is written down */
	FIRING_BUSY,				/* somebody else has the actor or the row, or
								 * the row is not as it was seen */
	FIRING_OPEN,				/* a chain of calls has the actor's turn open */
	FIRING_STOPPED,				/* the method was made to end */
	FIRING_WOULD_WAIT,			/* the method would have to wait */
	FIRING_SLOW					/* the method took too long for a batch */
} ActorFiringResult;

extern bool actor_catch_up_from_text(const text *word, ActorCatchUp *policy);
extern void actor_retry_policy_parse(Jsonb *document, ActorRetryPolicy *policy);

/* a retry of what has failed */
typedef struct ActorRetry
{
	TimestampTz at;
	int32		attempt;
	int32		deferrals;		/* failures in a row that do not count */
} ActorRetry;

extern bool actor_retry_plan(const ActorRetryPolicy *policy, const ErrorData *error,
							 TimestampTz started_at, TimestampTz now,
							 ActorRetry *retry);
extern List *actor_due_scan(const NameData *role, TimestampTz from, TimestampTz until,
							int limit);
extern TimestampTz actor_due_next(const NameData *role, TimestampTz after);
extern ActorFiringResult actor_fire(const ActorDue *due, const NameData *role,
									const ActorFireMode *mode);
extern bool actor_fire_failed(const ActorDue *due, const NameData *role, ErrorData *error,
							  TimestampTz started_at);
extern bool actor_fire_give_up(const ActorDue *due, const NameData *role, ErrorData *error);

/* idle.c */

/* somebody who has actors that may become idle */
typedef struct ActorIdleOwner
{
	NameData	name;
	TimestampTz next;			/* when to look for idle ones */
} ActorIdleOwner;

extern TimestampTz actor_grid_point(TimestampTz time, int64 step);
extern TimestampTz actor_idle_deadline(const ActorType *type, TimestampTz last_used_at);
extern List *actor_idle_owners(void);
extern List *actor_idle_scan(const NameData *owner, int limit);
extern TimestampTz actor_idle_next(const NameData *owner);
extern void actor_idle_looked(const NameData *owner);
extern ActorFiringResult actor_idle_fire(const ActorDue *due, const ActorFireMode *mode);
extern bool actor_idle_deactivate(const ActorDue *due, const NameData *role,
								  const ErrorData *error);
extern void actor_idle_forget_starts(void);

/* reminder.c */

extern void actor_due_check_write(const char *function);
extern void actor_due_check_role(ActorDueKind kind, Oid role, NameData *name);

/* delivery.c */

extern int64 actor_message_generation(const ActorRef *actor, int64 message_id,
									  TimestampTz due_at);
extern ActorFiringResult actor_message_fire(const ActorDue *due, const NameData *role,
											const ActorFireMode *mode);
extern bool actor_message_failed(const ActorDue *due, const NameData *role,
								 ErrorData *error, TimestampTz started_at);
extern bool actor_message_give_up(const ActorDue *due, const NameData *role,
								  ErrorData *error);
extern bool actor_message_remove(const ActorRef *actor, int64 message_id);
extern uint64 actor_messages_hide(List *due_list);

/* callback.c */

extern const char *actor_due_word(ActorDueKind kind);
extern void actor_callback_start(int slot);
extern bool actor_callback_leaving(void);
extern void actor_callback_exit(void);
extern bool actor_callback_take_death(ActorDue *due, Oid *role, bool *itself);
extern ActorFiringResult actor_callback_run(const ActorDue *due, const ActorFireMode *mode,
											void (*body) (void *arg), void *arg,
											ErrorData **error);
extern void actor_callback_settle(void);
extern void actor_callback_abandon(void);

/* session.c */

extern void actor_session_command(Node *stmt);
extern void actor_session_begin(void);
extern bool actor_session_spoiled(void);
extern void actor_session_close(void);
extern void actor_session_forget(void);

#endif							/* ACTOR_FIRING_H */
