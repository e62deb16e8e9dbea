/*-------------------------------------------------------------------------
 *
 * scheduler.c
 *		The scheduler: one process a database, which finds the roles that have
 *		due rows and starts executors for them.
 *
 * It runs no user code; what it does with the extension's tables is in
 * chores.c.  It sleeps until the earliest row for which there is no executor
 * yet, less the time it takes to start one.  It leaves when no rows are pending
 * at all.
 *
 * A role gets more executors when all it has are held up by one transaction, and
 * another one when more rows are due than those it has can deal with soon.  A role
 * without any goes first, the one that has waited longest before the others:
 * since its oldest row is due, or since an executor of its own has left for
 * the sake of another role.
 *
 * It also sees to it that running callbacks end when firing is disabled.
 *
 * See wake.c for why no wake-up is lost.
 *
 * IDENTIFICATION
 *		src/worker/scheduler.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "fire/fire.h"
#include "worker/internal.h"

/* how soon roles whose rows are due are looked at again, in milliseconds */
#define WATCH_MS			100
#define WATCH_MAX_MS		500
/* when other databases wait for a scheduler: how long this one stays that has
 * something to do, and that needs the slot of an executor, in milliseconds */
#define TERM_MS				1000
#define PATIENCE_MS			5000
/* longest pause for a role that cannot connect, as a power of two of the first */
#define MAX_FAILURES		6
/* roles that have nothing to do, beyond which those are forgotten */
#define ABSENT_MAX			100
/* how long the lock of a table is waited for at once */
#define LOCK_WAIT			"5s"

/* what is remembered of a role between two looks */
typedef struct RoleMemory
{
	NameData	name;			/* hash key */
	TimestampTz start_after;	/* no executor is started before */
	int			failures;		/* executors in a row that could not connect */
	TimestampTz yielded_at;		/* an executor has left for another role */
	TimestampTz disabled_until; /* firing is disabled for it */
	TimestampTz watched;		/* the row that was due at the last look */
	int			watched_free;	/* and how many executors were free */
	int			watch_pause;	/* ms until the next one */
	bool		present;		/* it had something to do at the last look */
} RoleMemory;

static ActorDatabase *my_database;
static TimestampTz started_at;
static TimestampTz configured_at;	/* the configuration was read after this */
static TimestampTz reported = DT_NOBEGIN;	/* since the last look */
static bool from_anywhere = false;	/* since the last look into outboxes */
static HTAB *memory;
static BackgroundWorkerHandle **handles;	/* of executors, by slot */

/* coming and going ------------------------------------------------------ */

static void
scheduler_exit(int code, Datum arg)
{
	actor_database_exit(my_database);
}

/*
 * Whether a command needs the database without us.
 */
static bool
database_held(void)
{
	bool		held;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	held = actor_database_held(my_database->oid);
	LWLockRelease(actor_shared->lock);
	return held;
}

/*
 * Ends the process, and leaves the slot in another state, if that is allowed.
 */
static void
leave(ActorDatabaseState state)
{
	if (actor_database_leave(my_database, state))
		proc_exit(0);
}

/*
 * Firing is disabled here, and nothing runs any more.  What is registered from
 * now on is nothing to come back for, but when the configuration was reloaded
 * after this process has read it, it may be wrong about that.
 */
static void
leave_disabled(void)
{
	bool		current;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	current = !ConfigReloadPending && configured_at > actor_shared->reloaded_at;
	LWLockRelease(actor_shared->lock);
	leave(current ? DATABASE_OFF : DATABASE_WAITING);
}

/*
 * Nothing is pending but something that is to be removed then: leaves, if that
 * is not soon, and comes back.
 */
static void
leave_until(TimestampTz wake)
{
	if (wake == DT_NOEND ||
		wake <= TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TERM_MS))
		return;
	(void) actor_lower_next_look(my_database, wake);
	leave(DATABASE_AWAY);
}

/*
 * Leaves if another database waits for that, and this one can spare us: it has
 * nothing to do soon, or has had us for a while.
 */
static void
leave_for_other(TimestampTz wake)
{
	TimestampTz now = GetCurrentTimestamp();
	int			term = OidIsValid(my_database->wish) ? PATIENCE_MS : TERM_MS;

	if ((wake > TimestampTzPlusMilliseconds(now, TERM_MS) ||
		 TimestampDifferenceExceeds(started_at, now, term)) &&
		actor_database_leave_for_other(my_database))
		proc_exit(0);
}

/*
 * Whether one can still connect to this database; otherwise executors could
 * not.
 */
static bool
database_connectable(void)
{
	MemoryContext context = CurrentMemoryContext;
	HeapTuple	tuple;
	bool		connectable = false;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	if (HeapTupleIsValid(tuple))
	{
		connectable = ((Form_pg_database) GETSTRUCT(tuple))->datallowconn &&
			((Form_pg_database) GETSTRUCT(tuple))->datconnlimit != ACTOR_DATABASE_INVALID;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);
	return connectable;
}

/* roles ----------------------------------------------------------------- */

static RoleMemory *
remember(const NameData *name)
{
	bool		found;
	RoleMemory *role = hash_search(memory, name, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) role + sizeof(NameData), 0, sizeof(RoleMemory) - sizeof(NameData));
	}
	return role;
}

/*
 * Whether a worker can connect as the role; says so once if not.
 */
static bool
role_is_usable(const ActorRoleDue *due)
{
	MemoryContext context = CurrentMemoryContext;
	const char *reason;

	StartTransactionCommand();
	reason = actor_role_waits(&due->name);
	CommitTransactionCommand();
	MemoryContextSwitchTo(context);

	if (actor_database_complain(my_database,
								hash_bytes((const unsigned char *) NameStr(due->name),
										   strlen(NameStr(due->name))),
								reason != NULL))
		ereport(LOG,
				(errmsg("callbacks of role \"%s\" cannot run", NameStr(due->name)),
				 errdetail("%s", reason)));
	return reason == NULL;
}

/* executors ------------------------------------------------------------- */

/*
 * Frees the slots of executors that have ended without having started.
 */
static void
check_started(void)
{
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];
		pid_t		pid;

		if (handles[slot] == NULL ||
			GetBackgroundWorkerPid(handles[slot], &pid) != BGWH_STOPPED)
			continue;
		pfree(handles[slot]);
		handles[slot] = NULL;
		LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
		if (executor->database == my_database->oid && executor->pid == 0)
			executor->database = InvalidOid;
		LWLockRelease(actor_shared->lock);
		ConditionVariableBroadcast(&actor_shared->worker_ended);
	}
}

/*
 * Starts an executor for a role; false if there is no slot for it.
 */
static bool
start_executor(const ActorRoleDue *due)
{
	BackgroundWorker worker;
	ActorExecutorStart start;

	if (!actor_slot_take(due->oid, &start))
		return false;

	memset(&worker, 0, sizeof(worker));
	strlcpy(worker.bgw_function_name, "actor_executor_main", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "actor executor for role %u in database %u",
			 start.role, start.database);
	strlcpy(worker.bgw_type, "actor executor", BGW_MAXLEN);
	StaticAssertStmt(sizeof(start) <= BGW_EXTRALEN, "executor's arguments do not fit");
	memcpy(worker.bgw_extra, &start, sizeof(start));
	if (handles[start.slot] != NULL)
		pfree(handles[start.slot]);
	handles[start.slot] = NULL;
	if (actor_worker_register(&worker, &handles[start.slot]))
	{
		/* until it has connected, in case it cannot */
		remember(&due->name)->start_after =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ACTOR_RESTART_MS);
		return true;
	}
	actor_slot_free(&start);
	return false;
}

/*
 * Whether an executor of this database runs or starts.
 */
static bool
have_executors(void)
{
	bool		found = false;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
		found |= actor_shared->executors[slot].database == my_database->oid;
	LWLockRelease(actor_shared->lock);
	return found;
}

/*
 * Whether the executors of a role cannot cope.
 */
static bool
needs_executor(const ActorRoleDue *due, TimestampTz now)
{
	if (due->slots.executors == 0)
		return due->next - ACTOR_START_AHEAD_US <= now;
	return due->next <= now &&
		(due->slots.free == 0 || due->backlog >= ACTOR_ROWS_PER_EXECUTOR * due->slots.executors);
}

/*
 * How many executors a role that needs one gets at once: as many as there are
 * rows that nobody is busy with, if all it has are held up.
 */
static int64
executors_wanted(const ActorRoleDue *due)
{
	if (due->slots.executors == 0 || due->slots.free > 0)
		return 1;
	return Max(due->backlog - due->slots.executors, 1);
}

/*
 * When to look again at a role whose executors work on what is due: the longer
 * nothing changes, the later.
 */
static TimestampTz
watch_at(const ActorRoleDue *due, TimestampTz now)
{
	RoleMemory *role = remember(&due->name);

	if (role->watched == due->next && role->watched_free == due->slots.free)
		role->watch_pause = Min(role->watch_pause * 2, WATCH_MAX_MS);
	else
		role->watch_pause = WATCH_MS;
	role->watched = due->next;
	role->watched_free = due->slots.free;
	return TimestampTzPlusMilliseconds(now, role->watch_pause);
}

/*
 * Sees to one role, and returns when it must be seen to again; DT_NOEND if its
 * executor does that by itself.  A role that needs a slot, and has none, is
 * returned in "waiting", if no other is.
 */
static TimestampTz
serve_role(ActorRoleDue *due, Oid *waiting)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz soon = TimestampTzPlusMilliseconds(now, WATCH_MS);
	TimestampTz pause_end;
	bool		first = due->slots.executors == 0;
	bool		started = false;

	if (TIMESTAMP_IS_NOEND(due->next))
		return DT_NOEND;
	if (!needs_executor(due, now))
	{
		if (due->slots.executors == 0)
			return due->next - ACTOR_START_AHEAD_US;
		return due->next <= now ? watch_at(due, now) : DT_NOEND;
	}
	if (!role_is_usable(due))
		return actor_chore_deactivate(due);
	pause_end = actor_pause_end(remember(&due->name)->disabled_until, ACTOR_PAUSE_MAX_US);
	if (pause_end > now)
		return pause_end;
	pause_end = actor_pause_end(remember(&due->name)->start_after, ACTOR_PAUSE_MAX_US);
	if (pause_end > now)
		return due->slots.executors > 0 ? soon : pause_end;

	/* others go before a role that has an executor */
	if (!first && OidIsValid(*waiting))
		return watch_at(due, now);
	for (int64 wanted = executors_wanted(due); wanted > 0 && start_executor(due); wanted--)
		started = true;
	if (started)
		return soon;
	if (!first)
		return watch_at(due, now);
	if (!OidIsValid(*waiting))
		*waiting = due->oid;
	/* whoever gives up a slot wakes us */
	return TimestampTzPlusMilliseconds(now, ACTOR_RESTART_MS);
}

static int
compare_roles(const ListCell *a, const ListCell *b)
{
	const ActorRoleDue *first = lfirst(a);
	const ActorRoleDue *second = lfirst(b);

	if ((first->slots.executors == 0) != (second->slots.executors == 0))
		return first->slots.executors == 0 ? -1 : 1;
	if (first->waits_since != second->waits_since)
		return first->waits_since < second->waits_since ? -1 : 1;
	return 0;
}

/*
 * Takes note of how executors of this database have ended.
 */
static void
note_ends(List *roles)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorSlotEnd end;
	Oid			oid;

	while (OidIsValid(oid = actor_slot_take_end(&end)))
	{
		ListCell   *cell;

		foreach(cell, roles)
		{
			ActorRoleDue *due = lfirst(cell);
			RoleMemory *role = remember(&due->name);

			if (due->oid != oid)
				continue;
			if (end != SLOT_UNCONNECTED)
				role->start_after = role->failures = 0;
			if (end == SLOT_YIELDED)
				role->yielded_at = now;
			else if (end == SLOT_DISABLED)
				role->disabled_until = TimestampTzPlusMilliseconds(now, ACTOR_REREAD_MS);
			else if (end == SLOT_UNCONNECTED)
			{
				/* for a reason that we do not know: the more often, the later */
				int64		pause = (int64) ACTOR_RESTART_MS << role->failures;

				role->start_after =
					TimestampTzPlusMilliseconds(now, Min(pause, ACTOR_REREAD_MS));
				role->failures = Min(role->failures + 1, MAX_FAILURES);
			}
		}
	}
}

/*
 * Forgets roles that have nothing to do and need not wait for anything, once they are
 * many: names come and go, with rows that are restored and with tenants.
 */
static void
forget_absent(List *roles)
{
	TimestampTz now = GetCurrentTimestamp();
	HASH_SEQ_STATUS status;
	RoleMemory *role;
	ListCell   *cell;

	if (hash_get_num_entries(memory) <= list_length(roles) + ABSENT_MAX)
		return;
	hash_seq_init(&status, memory);
	while ((role = hash_seq_search(&status)) != NULL)
		role->present = false;
	foreach(cell, roles)
		remember(&((ActorRoleDue *) lfirst(cell))->name)->present = true;
	hash_seq_init(&status, memory);
	while ((role = hash_seq_search(&status)) != NULL)
		if (!role->present && role->start_after <= now && role->disabled_until <= now)
			(void) hash_search(memory, &role->name, HASH_REMOVE, NULL);
}

/*
 * Finds out what executors the roles have, and brings them into the order in
 * which they get slots.
 */
static void
sort_roles(List *roles)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell   *cell;

	note_ends(roles);
	forget_absent(roles);
	foreach(cell, roles)
	{
		ActorRoleDue *due = lfirst(cell);
		RoleMemory *role = remember(&due->name);

		if (OidIsValid(due->oid))
			actor_slots_of_role(due->oid, reported, &due->slots);
		if (due->slots.connected)
			role->start_after = role->failures = 0;
		/* who has been woken will look */
		if (due->slots.connected && due->idle_next <= now)
			actor_idle_looked(&due->name);
		due->waits_since = Max(due->next, role->yielded_at);
	}
	list_sort(roles, compare_roles);
}

/*
 * Sees to all roles, and returns when to do that again.
 */
static TimestampTz
serve_roles(List *roles)
{
	TimestampTz wake = DT_NOEND;
	Oid			waiting = InvalidOid;
	ListCell   *cell;

	sort_roles(roles);
	foreach(cell, roles)
	{
		/* Min evaluates twice what it chooses */
		TimestampTz role_wake = serve_role(lfirst(cell), &waiting);

		wake = Min(wake, role_wake);
	}
	actor_slot_wish(my_database, waiting);
	return wake;
}

/*
 * The configuration was reloaded: roles for which firing was disabled may have
 * it enabled now.
 */
static void
forget_disabled(void)
{
	HASH_SEQ_STATUS status;
	RoleMemory *role;
	ActorSlotEnd end;

	hash_seq_init(&status, memory);
	while ((role = hash_seq_search(&status)) != NULL)
		role->disabled_until = 0;
	while (OidIsValid(actor_slot_take_end(&end)))
		continue;
}

/* main ------------------------------------------------------------------ */

static void
start_up(void)
{
	HASHCTL		ctl;

	BackgroundWorkerInitializeConnectionByOid(my_database->oid, InvalidOid, 0);
	actor_worker_settings();
	SetConfigOption("search_path", "", PGC_SUSET, PGC_S_OVERRIDE);
	/* who locks our tables for long must not keep us from leaving */
	SetConfigOption("lock_timeout", LOCK_WAIT, PGC_SUSET, PGC_S_OVERRIDE);
	pgstat_report_appname("actor scheduler");

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(NameData);
	ctl.entrysize = sizeof(RoleMemory);
	memory = hash_create("roles with something to do", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	handles = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(BackgroundWorkerHandle *) * actor_shared->nslots);
	actor_database_announce(my_database);
}

/*
 * Shows what a look has found.
 */
static void
report_look(List *roles, TimestampTz now)
{
	TimestampTz oldest = DT_NOEND;
	int64		backlog = 0;
	ListCell   *cell;

	foreach(cell, roles)
	{
		ActorRoleDue *due = lfirst(cell);

		backlog += due->backlog;
		if (due->next <= now)
			oldest = Min(oldest, due->next);
	}
	actor_worker_stat_looked(backlog, oldest);
}

/*
 * One look: sees to all roles, and returns when to look again; DT_NOEND if
 * there is nothing to wait for.
 */
static TimestampTz
run_once(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz wake;
	TimestampTz again;
	TimestampTz purge;
	TimestampTz expiry;
	TimestampTz each;
	TimestampTz fan_out;
	TimestampTz hosts;
	TimestampTz outboxes;
	List	   *roles;

	from_anywhere |= reported == DT_NOBEGIN;
	check_started();
	if (!database_connectable())
	{
		actor_database_postpone(my_database,
								TimestampTzPlusMilliseconds(now, ACTOR_REREAD_MS));
		leave(DATABASE_WAITING);
	}
	actor_chore_record_deaths();
	if (!actor_enabled)
	{
		/* executors leave by themselves, if their callback lets them */
		actor_callback_drain(NULL);
		actor_slot_wish(my_database, InvalidOid);
		forget_disabled();
		return have_executors() ? TimestampTzPlusMilliseconds(now, ACTOR_RESTART_MS) :
			DT_NOEND;
	}
	actor_chore_forget_starts();
	roles = actor_chore_look(reported, &again);
	report_look(roles, now);
	wake = serve_roles(roles);
	wake = Min(wake, again);
	reported = DT_NOEND;
	purge = actor_chore_purge();
	wake = Min(wake, purge);
	expiry = actor_chore_expire();
	wake = Min(wake, expiry);
	each = actor_chore_each();
	wake = Min(wake, each);
	fan_out = actor_chore_fan_out();
	wake = Min(wake, fan_out);
	hosts = actor_chore_hosts();
	wake = Min(wake, hosts);
	outboxes = actor_chore_outboxes(from_anywhere);
	from_anywhere = false;
	wake = Min(wake, outboxes);
	if (roles == NIL && !have_executors())
	{
		/* who leaves must know that there is nothing */
		if (!actor_pending_complete())
		{
			reported = DT_NOBEGIN;
			return now;
		}
		leave_until(wake);
		return wake;
	}
	return Min(wake, TimestampTzPlusMilliseconds(now, ACTOR_REREAD_MS));
}

/*
 * The same, but when somebody keeps a table locked for long nothing has come
 * of it, and it is time for another look.
 */
static TimestampTz
run_patiently(void)
{
	static bool complained = false;
	MemoryContext context = CurrentMemoryContext;
	volatile TimestampTz wake = 0;

	PG_TRY();
	{
		wake = run_once();
		complained = false;
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		(void) actor_block_abort(context);
		if (!complained)
			ereport(LOG,
					(errmsg("actor scheduler waits for a lock in database %u", MyDatabaseId),
					 errdetail("No new reminder fires there meanwhile.")));
		complained = true;
		wake = GetCurrentTimestamp();
	}
	PG_END_TRY();
	return wake;
}

/*
 * actor_scheduler_main
 *		Entry point.
 */
void
actor_scheduler_main(Datum arg)
{
	MemoryContext loop_context;
	ActorSchedulerStart start;
	bool		first = true;

	configured_at = started_at = GetCurrentTimestamp();
	memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
	actor_worker_prepare();
	my_database = actor_database_begin(&start);
	if (my_database == NULL)
		proc_exit(0);
	before_shmem_exit(scheduler_exit, (Datum) 0);
	if (database_held())
		proc_exit(1);
	start_up();
	actor_worker_stat_start(WORKER_SCHEDULER, my_database - actor_shared->databases, InvalidOid);

	loop_context = AllocSetContextCreate(TopMemoryContext, "actor scheduler",
										 ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		TimestampTz taken;
		TimestampTz wake;
		TimestampTz now;

		MemoryContextSwitchTo(loop_context);
		MemoryContextReset(loop_context);

		if (actor_database_must_renew(my_database))
			leave(DATABASE_WAITING);
		taken = (TimestampTz) pg_atomic_exchange_u64(&my_database->next_look,
													 (uint64) DT_NOEND);
		reported = Min(reported, taken);
		wake = run_patiently();
		if (first)
			actor_database_looked(my_database);
		first = false;
		if (wake == DT_NOEND && !actor_enabled)
			leave_disabled();
		else if (wake == DT_NOEND)
			leave(DATABASE_FREE);

		/* later reports than this need not wake us; earlier ones have */
		(void) actor_lower_next_look(my_database, wake);
		wake = (TimestampTz) pg_atomic_read_u64(&my_database->next_look);
		leave_for_other(wake);
		now = GetCurrentTimestamp();
		if (actor_worker_wait(actor_wait_ms(now, wake), ACTOR_WAIT_EVENT("ActorSchedulerMain")))
		{
			configured_at = now;
			forget_disabled();
		}
	}
}
