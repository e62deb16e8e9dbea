/*-------------------------------------------------------------------------
 *
 * reminder.h
 *		Reminders and timers, as far as others must know.
 *
 * IDENTIFICATION
 *		src/reminder/reminder.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_REMINDER_H
#define ACTOR_REMINDER_H

#include "base/base.h"

/* due.c */

/* What is due */
typedef enum ActorDueKind
{
	DUE_REMINDER,				/* these two are indexes, too */
	DUE_TIMER,
	DUE_DEACTIVATE,				/* an actor that has been idle for too long */
	DUE_MESSAGE
} ActorDueKind;

extern const char *actor_due_word(ActorDueKind kind);
extern const char *actor_due_receiver(ActorDueKind kind);
extern Jsonb *actor_due_payload(ActorDueKind kind, const text *name, const text *method,
								Jsonb *data);
extern Oid	actor_due_check_call(ActorDueKind kind, const ActorRef *actor, const text *name,
								 text *method, Jsonb *payload, bool *hosted);
extern void actor_due_check_write(const char *function);
extern void actor_due_check_role(ActorDueKind kind, Oid role, NameData *name);

/* row_lock.c */

extern bool actor_due_is_wanted(const ActorRef *actor, const text *name);
extern bool actor_due_lock(ActorDueKind kind, const ActorRef *actor, const text *name,
						   NameData *registrant);

/* reminder.c */

extern int64 actor_random_generation(void);

#endif							/* ACTOR_REMINDER_H */
