/*-------------------------------------------------------------------------
 *
 * shared.h
 *		What processes share: shared memory, waking, slots, and what every worker does.
 *
 * IDENTIFICATION
 *		src/shared/shared.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_SHARED_H
#define ACTOR_SHARED_H

#include <signal.h>

#include "base/base.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/spin.h"

/* shared.c */

/* most databases that are known to have something to do */
#define ACTOR_MAX_DATABASES		1024
/* safety: due rows are looked for at least this often while any are pending */
#define ACTOR_REREAD_MS			60000
/* nothing pauses for longer than that */
#define ACTOR_PAUSE_MAX_US		(ACTOR_REREAD_MS * INT64CONST(1000))
/* no wait for a latch is longer, because its timeout is an int */
#define ACTOR_LONGEST_WAIT_MS	86400000
/* a worker that failed is not started again sooner than this */
#define ACTOR_RESTART_MS		1000
/* executors are started this long before they are needed */
#define ACTOR_START_AHEAD_US	(200 * INT64CONST(1000))

/*
 * One database with something to do.  All members but the atomic one are
 * protected by the lock.  Those below DATABASE_STARTING have no scheduler.
 *
 *	 free --report--> waiting --launcher--> starting --scheduler--> running
 *	  ^                ^  ^ ^                  |                     | | |
 *	  |                |  | +----- failed -----+---------------------+ | |
 *	  |                |  +-- next look -- away <-- another waits -----+ |
 *	  |                +-- reload -- off <------ firing is disabled -----+
 *	  +----------------------- nothing to do ----------------------------+
 */
typedef enum ActorDatabaseState
{
	DATABASE_FREE,				/* the slot is unused */
	DATABASE_OFF,				/* firing is disabled there */
	DATABASE_WAITING,			/* needs a scheduler */
	DATABASE_AWAY,				/* needs one when it is time to look */
	DATABASE_STARTING,			/* its scheduler was asked for */
	DATABASE_RUNNING			/* its scheduler is connected */
} ActorDatabaseState;

typedef struct ActorDatabase
{
	Oid			oid;
	ActorDatabaseState state;
	uint32		generation;		/* grows when a scheduler is asked for */
	TimestampTz start_after;	/* a scheduler is not started before */
	TimestampTz left_at;		/* the last scheduler has ended; 0: never */
	int			failures;		/* starts in a row without a look */
	bool		looked;			/* the scheduler has had its first look */
	bool		renew;			/* the scheduler must be replaced */
	uint64		complaints;		/* a bit for roles that were complained about */
	pid_t		pid;			/* of the scheduler once it has begun */
	Latch	   *latch;			/* of the running scheduler */
	Oid			wish;			/* role that needs an executor's slot */
	TimestampTz wished_at;		/* since when */

	/*
	 * The next time the scheduler looks for due rows, as a TimestampTz.
	 * Backends lower it, then set the latch.  See actor_wake_at.
	 */
	pg_atomic_uint64 next_look;
} ActorDatabase;

/* how an executor has ended, as far as its scheduler must know */
typedef enum ActorSlotEnd
{
	SLOT_ENDED,					/* nothing to know, or it is known */
	SLOT_LEFT,					/* it has left in order */
	SLOT_YIELDED,				/* it has left for the sake of another role */
	SLOT_DISABLED,				/* firing is disabled for its role */
	SLOT_UNCONNECTED			/* it could not connect */
} ActorSlotEnd;

/* One executor, from the time a scheduler asks for it; protected by the lock. */
typedef struct ActorExecutor
{
	Oid			database;		/* invalid: unused */
	Oid			role;
	uint32		generation;		/* grows when the slot is taken */
	pid_t		pid;			/* once it has begun */
	Latch	   *latch;			/* NULL: has not connected yet */
	bool		renew;			/* it must be replaced */
	int			yielded_to;		/* slot of the database whose wish it fulfils */

	/* what is left when the executor has ended */
	Oid			last_database;
	ActorSlotEnd end;

	/* begin of the transaction that fires, as a TimestampTz; 0: there is none */
	pg_atomic_uint64 busy_since;

	/*
	 * Until when it may go on with what it is doing, as a TimestampTz,
	 * because a role waits for its slot; DT_NOEND: to the end of the callback
	 * that runs; 0: nobody waits.
	 */
	pg_atomic_uint64 wanted_at;

	/* when rows are due, at the earliest, that it has not been looked for yet */
	pg_atomic_uint64 reported;
} ActorExecutor;

/* What an executor runs, or has run when its process ended; see callback.c. */
typedef enum ActorTraceState
{
	TRACE_NONE,
	TRACE_RUNNING,
	TRACE_ENDED_ITSELF,			/* the callback has ended the process */
	TRACE_WAS_ENDED				/* another process has */
} ActorTraceState;

/*
 * By slot of the executor.  The mutex protects all but the atomic members,
 * which are written under it and read without it by signal handlers.
 */
typedef struct ActorTrace
{
	slock_t		mutex;
	ActorTraceState state;
	uint64		run;			/* number of this run; only the executor
								 * changes it */
	Oid			database;
	Oid			role;
	int			drain_timeout;	/* ms the callback gets when it must end */
	int			kind;			/* an ActorDueKind */
	int64		generation;
	TimestampTz scheduled_at;
	int32		attempt;
	int			type_len;
	int			id_len;
	int			name_len;
	char		type[ACTOR_MAX_TYPE_LEN];
	char		id[ACTOR_MAX_NAME_LEN];
	char		name[ACTOR_MAX_NAME_LEN];

	/* the run that must end, and when, as a TimestampTz */
	pg_atomic_uint64 cancel_run;
	pg_atomic_uint64 cancel_at;
} ActorTrace;

/* A command that needs a database without workers; see hold.c. */
typedef struct ActorHold
{
	pid_t		holder;			/* 0: unused */
	Oid			database;
} ActorHold;

/* what is logged again and again, and is left out for a while; see logged.c */
#define ACTOR_LOGGED_COUNT		1024

typedef struct ActorLogged
{
	slock_t		mutex;
	uint64		key;
	TimestampTz logged_at;		/* 0: unused */
	int64		left_out;		/* since then */
} ActorLogged;

/* number of counters of turns that are not on disk, which are found by a hash */
#define ACTOR_UNFLUSHED_COUNT	1024

/* number of condition variables of open turns, which are found by a hash */
#define ACTOR_TURN_CLOSED_COUNT	64
/* number of counts of messages that have joined a queue, found by a hash */
#define ACTOR_JOINED_COUNT	256

/* groups of types with bits for their actors, see active.c, in words of 32 bits */
#define ACTOR_ACTIVE_GROUPS		64
#define ACTOR_ACTIVE_WORDS		512

/* number of places where hosts wait, which are found by a hash of the host */
#define ACTOR_HOST_WAKE_COUNT	64

/* what is due sooner than that wakes hosts, which look twice as often themselves */
#define ACTOR_HOST_LOOK_MS		60000

/* number of condition variables of results, which are found by a hash */
#define ACTOR_RESULT_COUNT		64

typedef struct ActorHostWake
{
	ConditionVariable changed;
	pg_atomic_uint64 changes;	/* grows before it is signalled */
} ActorHostWake;

typedef struct ActorShared
{
	LWLock	   *lock;
	Latch	   *launcher_latch; /* NULL: the launcher does not run */
	bool		look_everywhere;	/* a database found no slot */
	TimestampTz reloaded_at;	/* the launcher has reloaded the configuration */
	int			schedulers_wanted;	/* databases that wait for one to leave */
	ConditionVariable worker_ended;
	ConditionVariable turn_closed[ACTOR_TURN_CLOSED_COUNT]; /* see lease.c */
	pg_atomic_uint32 unflushed[ACTOR_UNFLUSHED_COUNT];	/* see early.c */
	pg_atomic_uint64 joined[ACTOR_JOINED_COUNT];	/* see look.c */
	pg_atomic_uint32 active[ACTOR_ACTIVE_GROUPS * ACTOR_ACTIVE_WORDS];	/* see active.c */
	ActorHostWake hosts[ACTOR_HOST_WAKE_COUNT]; /* see wake.c */
	ConditionVariable results[ACTOR_RESULT_COUNT];	/* see wake.c */
	pg_atomic_uint64 last_number;	/* see number.c */
	int			ndatabases;		/* slots that have ever been used */
	int			nslots;			/* of each array but the databases */

	/* when something was logged that may last, as a TimestampTz; 0: never */
	pg_atomic_uint64 complained_slots;
	pg_atomic_uint64 complained_workers;

	ActorLogged logged[ACTOR_LOGGED_COUNT]; /* by key, see logged.c */

	ActorExecutor *executors;	/* behind the databases */
	ActorHold  *holds;			/* behind the executors */
	ActorTrace *traces;			/* behind the holds */
	ActorDatabase databases[FLEXIBLE_ARRAY_MEMBER];
} ActorShared;

extern ActorShared *actor_shared;

extern void actor_shared_request(void);
extern void actor_shared_attach(void);
extern void actor_require_preload(const char *what);
extern bool actor_database_held(Oid database);
extern bool actor_complain_again(pg_atomic_uint64 *complained_at);

/* wake.c */

extern void actor_wake_init(void);
extern void actor_wake_at(TimestampTz due);
extern void actor_wake_hosts(TimestampTz due);
extern void actor_hosts_changed(void);
extern TimestampTz actor_wake_noted(void);
extern void actor_wake_waiters(uint64 actor_hash);
extern TimestampTz actor_purge_time(TimestampTz expires_at);

/* process.c */

extern volatile sig_atomic_t actor_worker_cancellable;

extern void actor_worker_signal(int signo, void (*handler) (int, siginfo_t *, void *));
extern bool actor_worker_register(BackgroundWorker *worker, BackgroundWorkerHandle **handle);
extern void actor_worker_prepare(void);
extern void actor_worker_settings(void);
extern TimestampTz actor_pause_end(TimestampTz until, int64 longest);
extern long actor_wait_ms(TimestampTz now, TimestampTz until);
extern bool actor_worker_reload(void);
extern void actor_worker_end_orphan(void);
extern bool actor_worker_wait(long ms, uint32 wait_event);
extern bool actor_worker_wait_until(TimestampTz until, uint32 wait_event);

/* databases.c */

/* what a scheduler is started with, in bgw_extra */
typedef struct ActorSchedulerStart
{
	int			slot;
	uint32		generation;
} ActorSchedulerStart;

extern bool actor_lower_next_look(ActorDatabase *database, TimestampTz due);
extern void actor_worker_report(Oid oid, TimestampTz due);
extern void actor_database_renew(Oid oid);
extern void actor_databases_look(void);
extern bool actor_database_has_slot(Oid oid);
extern bool actor_database_is_looked_into(Oid oid);
extern void actor_databases_recover(void);
extern void actor_databases_enable(void);
extern TimestampTz actor_database_start_time(ActorDatabase *database, TimestampTz *left_at);
extern int	actor_workers_in_use(void);
extern int	actor_executors_in_use(void);
extern bool actor_database_begin_start(ActorDatabase *database);
extern void actor_database_start_failed(ActorDatabase *database);
extern void actor_database_forget(ActorDatabase *database);
extern void actor_database_postpone(ActorDatabase *database, TimestampTz until);
extern void actor_databases_want(int count);
extern ActorDatabase *actor_database_begin(const ActorSchedulerStart *start);
extern void actor_database_announce(ActorDatabase *database);
extern void actor_database_looked(ActorDatabase *database);
extern bool actor_database_must_renew(const ActorDatabase *database);
extern bool actor_database_leave(ActorDatabase *database, ActorDatabaseState state);
extern bool actor_database_leave_for_other(ActorDatabase *database);
extern void actor_database_exit(ActorDatabase *database);
extern bool actor_database_complain(ActorDatabase *database, uint32 hash, bool wrong);

/* slots.c */

/* what an executor is started with, in bgw_extra */
typedef struct ActorExecutorStart
{
	Oid			database;
	Oid			role;
	int			slot;
	uint32		generation;
} ActorExecutorStart;

/* the executors of one role in one database */
typedef struct ActorRoleSlots
{
	int			executors;
	int			free;			/* not held up by one transaction */
	bool		connected;		/* one of them is */
} ActorRoleSlots;

extern bool actor_slot_take(Oid role, ActorExecutorStart *start);
extern void actor_slot_free(const ActorExecutorStart *start);
extern bool actor_slot_begin(const ActorExecutorStart *start);
extern void actor_slot_announce(const ActorExecutorStart *start);
extern void actor_slot_busy(const ActorExecutorStart *start, TimestampTz since);
extern void actor_slots_of_role(Oid role, TimestampTz reported, ActorRoleSlots *slots);
extern TimestampTz actor_slot_take_reported(const ActorExecutorStart *start);
extern bool actor_slot_rank(const ActorExecutorStart *start, int *rank, int *count);
extern void actor_slots_publish(void);
extern void actor_slot_wish(ActorDatabase *database, Oid role);
extern bool actor_slot_is_wanted(const ActorExecutorStart *start);
extern TimestampTz actor_slot_cut_at(int slot);
extern bool actor_slot_yield(const ActorExecutorStart *start, bool idle);
extern bool actor_slot_must_renew(const ActorExecutorStart *start);
extern void actor_slot_end(const ActorExecutorStart *start, ActorSlotEnd end);
extern Oid	actor_slot_take_end(ActorSlotEnd *end);

/* active.c */

extern void actor_active_note(const ActorRef *actor);
extern void actor_active_note_all(const text *type);
extern bool actor_active_possible(const ActorRef *actor);

/* logged.c */

extern bool actor_log_again(uint64 key, int64 *left_out);
extern void actor_log_vain(const char *what, const ErrorData *error);

/* number.c */

extern int64 actor_cluster_number(void);

/* running.c */

extern ActorTrace *actor_my_trace;

extern void actor_callback_ask_to_end(ActorTrace *other, TimestampTz now);
extern void actor_callback_drain(const text *type);

/* suspect.c */

/* a firing that was there when the server crashed so often is given up */
#define ACTOR_MAX_CRASHES		3

extern void actor_suspects_attach(void);
extern void actor_suspect_running(int slot, Oid database, int64 generation);
extern void actor_suspect_add(Oid database, int64 generation);
extern int	actor_suspect_crashes(Oid database, int64 generation);
extern void actor_suspect_clear(Oid database, int64 generation);

#endif							/* ACTOR_SHARED_H */
