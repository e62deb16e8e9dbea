/*-------------------------------------------------------------------------
 *
 * worker.h
 *		The processes, and what others may ask of them.
 *
 * IDENTIFICATION
 *		src/worker/worker.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_WORKER_H
#define ACTOR_WORKER_H

#include "base/base.h"
#include "nodes/pg_list.h"
#include "shared/shared.h"

/* launcher.c */

extern void actor_launcher_register(void);

/* hold.c */

extern void actor_hold_init(void);

/* commands.c */

extern void actor_commands_init(void);

/* pending.c */

/* the tables of what is due: reminders, timers and messages */
#define ACTOR_DUE_TABLES	3

/* a role that has rows pending */
typedef struct ActorRoleDue
{
	NameData	name;
	Oid			oid;			/* invalid: no worker can connect as it */
	TimestampTz next;
	TimestampTz first[ACTOR_DUE_TABLES];	/* its earliest rows */
	TimestampTz idle_next;		/* when to deactivate idle actors */
	TimestampTz waits_since;
	int64		backlog;		/* due rows, up to a limit */
	ActorRoleSlots slots;
} ActorRoleDue;

extern List *actor_pending_rows(void);
extern TimestampTz actor_pending_oldest(TimestampTz now);
extern int64 actor_pending_of_role(const NameData *role);

#endif							/* ACTOR_WORKER_H */
