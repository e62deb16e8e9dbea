/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/worker/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_WORKER_INTERNAL_H
#define ACTOR_WORKER_INTERNAL_H

#include "worker/worker.h"

/* launcher.c, scheduler.c, executor.c: entry points */

extern PGDLLEXPORT void actor_launcher_main(Datum arg);
extern PGDLLEXPORT void actor_scheduler_main(Datum arg);
extern PGDLLEXPORT void actor_executor_main(Datum arg);

/* pending.c */

/* so many due rows keep an executor busy for a while */
#define ACTOR_ROWS_PER_EXECUTOR	500

extern List *actor_pending_roles(TimestampTz reported, MemoryContext context);
extern bool actor_pending_complete(void);
extern void actor_pending_none(void);

/* chores.c */

extern List *actor_chore_look(TimestampTz reported, TimestampTz *again);
extern void actor_chore_forget_starts(void);
extern TimestampTz actor_chore_purge(void);
extern TimestampTz actor_chore_expire(void);
extern TimestampTz actor_chore_each(void);
extern TimestampTz actor_chore_fan_out(void);
extern TimestampTz actor_chore_outboxes(bool from_anywhere);
extern TimestampTz actor_chore_hosts(void);
extern TimestampTz actor_chore_deactivate(const ActorRoleDue *due);
extern void actor_chore_record_deaths(void);

/* hold.c */

extern void actor_hold_command(Node *stmt);

/* purge.c */

extern bool actor_purge(int number, TimestampTz *again);

#endif							/* ACTOR_WORKER_INTERNAL_H */
