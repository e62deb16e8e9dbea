/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/fire/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_FIRE_INTERNAL_H
#define ACTOR_FIRE_INTERNAL_H

#include "fire/fire.h"
#include "time/time.h"

/* firing.c */

/* How long a firing may wait; all zero: not at all, and for every lock. */
typedef struct ActorFireMode
{
	bool		in_batch;		/* what would have to wait is put off */
	int			turn_wait;		/* ms to queue for the turn, 0: not at all */
	int			lock_wait;		/* ms until a lock the method waits for is
								 * refused to it, 0: never */
	int			patience;		/* ms the method may wait for a lock until it
								 * is put off, 0: for ever */
	int			time_limit;		/* ms the method may take, 0: no limit */
	TimestampTz clock;			/* what to take for the current time, 0: that */
} ActorFireMode;

extern List *actor_due_scan(const NameData *role, TimestampTz from, TimestampTz until,
							int limit);
extern TimestampTz actor_due_next(const NameData *role, TimestampTz after);
extern ActorFiringResult actor_fire(const ActorDue *due, const NameData *role,
									const ActorFireMode *mode, ActorQueueStep *step);
extern bool actor_fire_give_up(const ActorDue *due, const NameData *role, ErrorData *error);

/* claim.c */

extern bool actor_claim(const ActorDue *due, const NameData *role, ActorFiringClaim *claim);

/* claim_message.c */

extern bool actor_claim_message(const ActorDue *due, const NameData *role,
								ActorMessageClaim *claim);
extern bool actor_claim_first(const ActorDue *due, const NameData *role, TimestampTz clock,
							  TimestampTz now, ActorMessageClaim *claim, bool *gone);

/* transaction.c */

extern void actor_firing_begin(const char *activity);
extern void actor_firing_commit(MemoryContext context);
extern ErrorData *actor_firing_abort(MemoryContext context);

/* partition.c */

extern uint64 actor_partition_of(const ActorRef *actor);

/* retry.c */

/* a retry of what has failed */
typedef struct ActorRetry
{
	TimestampTz at;
	int32		attempt;
	int32		deferrals;		/* failures in a row that do not count */
} ActorRetry;

extern const char *actor_retry_outcome(const ActorRetryPolicy *policy, int32 attempt,
									   bool again);
extern bool actor_retry_is_excused(const ActorRef *actor);
extern bool actor_retry_is_vain(const ActorRef *actor, text *method, Jsonb *payload,
								const ErrorData *error);
extern bool actor_retry_plan(const ActorRetryPolicy *policy, const ErrorData *error,
							 TimestampTz started_at, TimestampTz now,
							 ActorRetry *retry);

/* idle.c */

extern TimestampTz actor_idle_next(const NameData *owner);
extern List *actor_idle_scan_beside(const NameData *owner, int limit, bool anything_due);
extern void actor_idle_scan_next(void);
extern ActorFiringResult actor_idle_fire(const ActorDue *due, const ActorFireMode *mode);

/* delivery.c */

extern int64 actor_message_id(const ActorDue *due);
extern ActorFiringResult actor_message_claim(ActorFiring *firing, bool by_host,
											 TimestampTz clock);
extern void actor_message_done(ActorFiring *firing);
extern void actor_message_ran_badly(ActorFiring *firing, ErrorData *error, TimestampTz now);
extern bool actor_message_failed(const ActorDue *due, const NameData *role,
								 ErrorData *error, TimestampTz started_at);
extern bool actor_message_give_up(const ActorDue *due, const NameData *role,
								  ErrorData *error);

/* queues.c */

extern void actor_messages_in_order(List *due_list);
extern ActorDue *actor_message_follow(const ActorDue *delivered, const ActorQueueStep *step,
									  const NameData *role);
extern void actor_message_show(const ActorDue *due);

/* callback.c */

extern bool actor_callback_leaving(void);
extern ActorFiringResult actor_callback_run(const ActorDue *due, const ActorFireMode *mode,
											void (*body) (void *arg), void *arg,
											ErrorData **error);
extern void actor_callback_settle(void);
extern void actor_callback_abandon(void);

/* window.c */

extern List *actor_window_scan(const NameData *role, TimestampTz now, int limit);
extern void actor_window_begin(TimestampTz at);
extern TimestampTz actor_window_before(void);

/* round_memory.c */

/* a row that runs alone */
typedef struct ActorLoner
{
	int64		generation;		/* hash key */
	bool		for_good;		/* also when it has run */
	int			turn_wait;		/* ms it queues for the turn; 0: not yet */
	TimestampTz tried_at;		/* 0: has not run alone yet */
} ActorLoner;

extern void actor_round_memory_start(void);
extern void actor_round_memory_limit(void);
extern TimestampTz actor_busy_note(uint64 key, int64 limit);
extern TimestampTz actor_busy_until(uint64 key);
extern void actor_busy_forget(uint64 key);
extern void actor_busy_forget_all(void);
extern void actor_queue_hold_up(const ActorDue *due);
extern bool actor_queue_is_held_up(const ActorDue *due);
extern void actor_queues_go_on(void);
extern ActorLoner *actor_loner_note(int64 generation);
extern bool actor_loner_is(int64 generation);
extern void actor_loner_forget(int64 generation);

#endif							/* ACTOR_FIRE_INTERNAL_H */
