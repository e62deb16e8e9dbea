/*-------------------------------------------------------------------------
 *
 * workers.h
 *		What launcher, scheduler and executor share.
 *
 * IDENTIFICATION
 *		src/workers.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_WORKERS_H
#define ACTOR_WORKERS_H

#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"

/* safety: due rows are looked for at least this often while any are pending */
#define ACTOR_REREAD_MS			60000
/* a worker that failed is not started again sooner than this */
#define ACTOR_RESTART_MS		1000
/* executors are started this long before they are needed */
#define ACTOR_START_AHEAD_US	(200 * INT64CONST(1000))

/*
 * One database with something to do.  All members but the atomic one are
 * protected by the lock.
 *
 *	 free --report--> waiting --launcher--> starting --scheduler--> running
 *	  ^                  ^                     |                      |
 *	  |                  +------- failed ------+----------------------+
 *	  +------------------------- nothing to do -----------------------+
 */
typedef enum ActorDatabaseState
{
	DATABASE_FREE,				/* the slot is unused */
	DATABASE_WAITING,			/* needs a scheduler */
	DATABASE_STARTING,			/* its scheduler was asked for */
	DATABASE_RUNNING			/* its scheduler is connected */
} ActorDatabaseState;

typedef struct ActorDatabase
{
	Oid			oid;
	ActorDatabaseState state;
	TimestampTz start_after;	/* a scheduler is not started before */
	pid_t		pid;			/* of the scheduler once it has begun */
	Latch	   *latch;			/* of the running scheduler */

	/*
	 * The next time the scheduler looks for due rows, as a TimestampTz.
	 * Backends lower it, then set the latch.  See actor_wake_at.
	 */
	pg_atomic_uint64 next_look;
} ActorDatabase;

/* One executor, from the time a scheduler asks for it; protected by the lock. */
typedef struct ActorExecutor
{
	Oid			database;		/* invalid: unused */
	Oid			role;
	uint32		generation;		/* grows when the slot is taken */
	pid_t		pid;			/* once it has begun */
	Latch	   *latch;			/* NULL: has not connected yet */
} ActorExecutor;

/* A command that needs a database without workers; see hold.c. */
typedef struct ActorHold
{
	pid_t		holder;			/* 0: unused */
	Oid			database;
} ActorHold;

typedef struct ActorShared
{
	LWLock	   *lock;
	Latch	   *launcher_latch; /* NULL: the launcher does not run */
	bool		look_everywhere;	/* a database found no slot */
	ConditionVariable worker_ended;
	int			nslots;			/* of each array */
	ActorExecutor *executors;	/* behind the databases */
	ActorHold  *holds;			/* behind the executors */
	ActorDatabase databases[FLEXIBLE_ARRAY_MEMBER];
} ActorShared;

extern ActorShared *actor_shared;

extern void actor_require_preload(void);
extern const char *actor_role_unusable(Oid role);
extern void actor_wake_at(TimestampTz due);
extern bool actor_lower_next_look(ActorDatabase *database, TimestampTz due);
extern void actor_worker_report(Oid database, TimestampTz due);
extern int	actor_workers_in_use(void);
extern bool actor_database_held(Oid database);
extern bool actor_worker_register(BackgroundWorker *worker, BackgroundWorkerHandle **handle);
extern void actor_worker_prepare(void);
extern void actor_worker_settings(void);
extern long actor_wait_ms(TimestampTz now, TimestampTz until);
extern bool actor_worker_wait(long ms, uint32 wait_event);

/* launcher.c, scheduler.c, executor.c: entry points */
extern PGDLLEXPORT void actor_launcher_main(Datum arg);
extern PGDLLEXPORT void actor_scheduler_main(Datum arg);
extern PGDLLEXPORT void actor_executor_main(Datum arg);

/* what an executor is started with, in bgw_extra */
typedef struct ActorExecutorStart
{
	Oid			database;
	Oid			role;
	int			slot;
	uint32		generation;
} ActorExecutorStart;

#endif							/* ACTOR_WORKERS_H */
