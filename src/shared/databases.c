/*-------------------------------------------------------------------------
 *
 * databases.c
 *		The slots of databases: which of them have something to do, and which
 *		have a scheduler.
 *
 * A database gets a slot when something is reported that is due there, and
 * loses it when its scheduler finds that nothing is.  There are far more slots
 * than schedulers, which are part of the workers that the server may have.
 * When a database waits for one, schedulers that have nothing to do soon, or
 * have run for a while, leave for its sake and come back when they are needed.
 * Who has been without one for the longest time comes first.
 *
 * The generation of a slot grows whenever a scheduler is asked for, so one that
 * comes too late knows that it is not wanted any more.
 *
 * Everything here is protected by the lock in shared memory, but for the time
 * of the next look; see wake.c.
 *
 * IDENTIFICATION
 *		src/shared/databases.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "base/base.h"
#include "shared/shared.h"

/* longest pause after failures, as a power of two of the first one */
#define MAX_FAILURES		6

/*
 * The slot of a database, or NULL.  The caller has the lock.
 */
static ActorDatabase *
find_database(Oid oid)
{
	for (int i = 0; i < actor_shared->ndatabases; i++)
		if (actor_shared->databases[i].oid == oid)
			return &actor_shared->databases[i];
	return NULL;
}

/*
 * Takes a slot for a database that has none; NULL if all are taken.  The
 * caller has the lock.
 */
static ActorDatabase *
take_slot(Oid oid)
{
	ActorDatabase *database = find_database(InvalidOid);

	if (database == NULL)
	{
		if (actor_shared->ndatabases == ACTOR_MAX_DATABASES)
			return NULL;
		database = &actor_shared->databases[actor_shared->ndatabases++];
	}
	database->oid = oid;
	database->state = DATABASE_WAITING;
	database->start_after = 0;
	database->left_at = 0;
	database->failures = 0;
	database->renew = false;
	database->complaints = 0;
	database->pid = 0;
	database->latch = NULL;
	database->wish = InvalidOid;
	pg_atomic_write_u64(&database->next_look, DT_NOEND);
	return database;
}

/*
 * Who has to know of something new in a database; NULL: nobody.
 */
static Latch *
latch_of(const ActorDatabase *database)
{
	switch (database->state)
	{
		case DATABASE_RUNNING:
			return database->latch;
		case DATABASE_OFF:
			return NULL;
		default:
			return actor_shared->launcher_latch;
	}
}

/* reports --------------------------------------------------------------- */

/*
 * actor_lower_next_look
 *		Lowers the time of the next look; false if it was early enough.
 */
bool
actor_lower_next_look(ActorDatabase *database, TimestampTz due)
{
	uint64		current = pg_atomic_read_u64(&database->next_look);

	while (due < (TimestampTz) current)
		if (pg_atomic_compare_exchange_u64(&database->next_look, &current, (uint64) due))
			return true;
	return false;
}

/*
 * actor_worker_report
 *		Something is due in a database at that time.  Must not raise an error,
 *		because it runs after the commit.
 */
void
actor_worker_report(Oid oid, TimestampTz due)
{
	ActorDatabase *database;
	Latch	   *latch = NULL;

	/*
	 * Mostly the scheduler runs and looks early enough.  Slots are only ever
	 * taken and freed under the lock, so having it in shared mode is enough
	 * to look at them.
	 */
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	database = find_database(oid);
	if (database != NULL)
	{
		if (actor_lower_next_look(database, due))
			latch = latch_of(database);
		LWLockRelease(actor_shared->lock);
	}
	else
	{
		LWLockRelease(actor_shared->lock);
		LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
		database = find_database(oid);
		if (database == NULL)
			database = take_slot(oid);
		if (database != NULL)
		{
			(void) actor_lower_next_look(database, due);
			latch = latch_of(database);
		}
		else
		{
			actor_shared->look_everywhere = true;
			latch = actor_shared->launcher_latch;
		}
		LWLockRelease(actor_shared->lock);
	}
	if (latch != NULL)
		SetLatch(latch);
}

/*
 * actor_database_renew
 *		What workers of a database (of all: InvalidOid) have found out at their
 *		start may have changed: they leave, and others come.  Must not raise an
 *		error, because it runs after the commit.
 */
void
actor_database_renew(Oid oid)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < actor_shared->ndatabases; i++)
	{
		ActorDatabase *database = &actor_shared->databases[i];

		if (!OidIsValid(database->oid) || (OidIsValid(oid) && database->oid != oid))
			continue;
		(void) actor_lower_next_look(database, GetCurrentTimestamp());
		database->start_after = 0;
		if (database->state == DATABASE_OFF)
			database->state = DATABASE_WAITING;
		database->renew = database->state >= DATABASE_STARTING;
		if (database->state == DATABASE_RUNNING)
			SetLatch(database->latch);
	}
	for (int i = 0; i < actor_shared->nslots; i++)
	{
		ActorExecutor *executor = &actor_shared->executors[i];

		if (!OidIsValid(executor->database) ||
			(OidIsValid(oid) && executor->database != oid))
			continue;
		executor->renew = true;
		if (executor->latch != NULL)
			SetLatch(executor->latch);
	}
	if (actor_shared->launcher_latch != NULL)
		SetLatch(actor_shared->launcher_latch);
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_databases_look
 *		Makes the schedulers of all databases that have something to do look
 *		now.  Must not raise an error, because it runs after the commit.
 */
void
actor_databases_look(void)
{
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int i = 0; i < actor_shared->ndatabases; i++)
	{
		ActorDatabase *database = &actor_shared->databases[i];
		Latch	   *latch = NULL;

		if (OidIsValid(database->oid) &&
			actor_lower_next_look(database, GetCurrentTimestamp()))
			latch = latch_of(database);
		if (latch != NULL)
			SetLatch(latch);
	}
	LWLockRelease(actor_shared->lock);
}

/* launcher -------------------------------------------------------------- */

/*
 * actor_database_has_slot
 *		Whether a database is known to have something to do.
 */
bool
actor_database_has_slot(Oid oid)
{
	bool		found;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	found = find_database(oid) != NULL;
	LWLockRelease(actor_shared->lock);
	return found;
}

/*
 * actor_database_is_looked_into
 *		Whether the scheduler of a database has not had its first look yet.
 */
bool
actor_database_is_looked_into(Oid oid)
{
	ActorDatabase *database;
	bool		looking;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	database = find_database(oid);
	looking = database != NULL &&
		(database->state == DATABASE_STARTING ||
		 (database->state == DATABASE_RUNNING && !database->looked));
	LWLockRelease(actor_shared->lock);
	return looking;
}

/*
 * actor_databases_recover
 *		A new launcher does not know what became of schedulers that the one
 *		before has asked for: those that have not begun are asked for again.
 */
void
actor_databases_recover(void)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < actor_shared->ndatabases; i++)
	{
		ActorDatabase *database = &actor_shared->databases[i];

		if (database->state != DATABASE_STARTING || database->pid != 0)
			continue;
		database->generation++;
		database->state = DATABASE_WAITING;
	}
	actor_shared->schedulers_wanted = 0;
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_databases_enable
 *		Firing may have been enabled where it was not.
 */
void
actor_databases_enable(void)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	actor_shared->reloaded_at = GetCurrentTimestamp();
	for (int i = 0; i < actor_shared->ndatabases; i++)
		if (actor_shared->databases[i].state == DATABASE_OFF)
			actor_shared->databases[i].state = DATABASE_WAITING;
	actor_shared->look_everywhere = true;
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_database_start_time
 *		When a database needs a scheduler; DT_NOEND if it does not, or cannot
 *		have one.
 */
TimestampTz
actor_database_start_time(ActorDatabase *database, TimestampTz *left_at)
{
	TimestampTz result = DT_NOEND;
	TimestampTz pause_end;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	*left_at = database->left_at;
	/* whoever holds a database sets our latch at the end */
	if (actor_database_held(database->oid))
		result = DT_NOEND;
	else if (database->state == DATABASE_WAITING)
		result = actor_pause_end(database->start_after, ACTOR_PAUSE_MAX_US);
	else if (database->state == DATABASE_AWAY)
	{
		result = (TimestampTz) pg_atomic_read_u64(&database->next_look);
		if (!TIMESTAMP_NOT_FINITE(result))
			result -= ACTOR_START_AHEAD_US;
		pause_end = actor_pause_end(database->start_after, ACTOR_PAUSE_MAX_US);
		result = Max(result, pause_end);
	}
	LWLockRelease(actor_shared->lock);
	return result;
}

/*
 * Number of schedulers, and of all workers.  The caller has the lock.
 */
static void
count_workers(int *schedulers, int *workers)
{
	*schedulers = 0;
	for (int i = 0; i < actor_shared->ndatabases; i++)
		if (actor_shared->databases[i].state >= DATABASE_STARTING)
			(*schedulers)++;
	*workers = *schedulers;
	for (int i = 0; i < actor_shared->nslots; i++)
		if (OidIsValid(actor_shared->executors[i].database))
			(*workers)++;
}

/*
 * actor_workers_in_use
 *		Number of schedulers and executors.  The caller has the lock.
 */
int
actor_workers_in_use(void)
{
	int			schedulers;
	int			workers;

	count_workers(&schedulers, &workers);
	return workers;
}

/*
 * actor_executors_in_use
 *		Number of executors.  The caller has the lock.
 */
int
actor_executors_in_use(void)
{
	int			schedulers;
	int			workers;

	count_workers(&schedulers, &workers);
	return workers - schedulers;
}

/*
 * actor_database_begin_start
 *		A scheduler is being asked for; false if there are too many workers.
 */
bool
actor_database_begin_start(ActorDatabase *database)
{
	int			schedulers;
	int			workers;
	bool		allowed;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	count_workers(&schedulers, &workers);
	/* schedulers must leave slots for the executors they start */
	allowed = workers < actor_max_workers && schedulers < Max(actor_max_workers / 2, 1);
	if (allowed)
	{
		database->state = DATABASE_STARTING;
		database->pid = 0;
		database->looked = false;
		database->renew = false;
		database->generation++;
	}
	LWLockRelease(actor_shared->lock);
	return allowed;
}

/*
 * Without its scheduler a database needs no executor's slot.  The caller has the
 * lock.
 */
static void
forget_wish(ActorDatabase *database)
{
	if (!OidIsValid(database->wish))
		return;
	database->wish = InvalidOid;
	actor_slots_publish();
}

/*
 * Lets a database wait for another scheduler after one has failed.  The more
 * have failed before they could look, the longer.  The caller has the lock.
 */
static void
wait_after_failure(ActorDatabase *database)
{
	int64		pause = (int64) ACTOR_RESTART_MS << database->failures;

	database->state = DATABASE_WAITING;
	database->pid = 0;
	database->latch = NULL;
	forget_wish(database);
	database->left_at = GetCurrentTimestamp();
	database->start_after = actor_database_held(database->oid) ? 0 :
		TimestampTzPlusMilliseconds(database->left_at, Min(pause, ACTOR_REREAD_MS));
}

/*
 * actor_database_start_failed
 *		A scheduler that was asked for has not come, which is not the fault of
 *		the database.
 */
void
actor_database_start_failed(ActorDatabase *database)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (database->state == DATABASE_STARTING)
	{
		database->generation++;
		wait_after_failure(database);
	}
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_database_forget
 *		A waiting database is gone.
 */
void
actor_database_forget(ActorDatabase *database)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (database->state < DATABASE_STARTING)
	{
		database->oid = InvalidOid;
		database->state = DATABASE_FREE;
	}
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_database_postpone
 *		Nobody can connect to a waiting database for now.
 */
void
actor_database_postpone(ActorDatabase *database, TimestampTz until)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database->start_after = until;
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_databases_want
 *		So many databases wait for a scheduler that another one must give up.
 *		Wakes those, so that they may.
 */
void
actor_databases_want(int count)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	actor_shared->schedulers_wanted = count;
	for (int i = 0; count > 0 && i < actor_shared->ndatabases; i++)
		if (actor_shared->databases[i].state == DATABASE_RUNNING)
			SetLatch(actor_shared->databases[i].latch);
	LWLockRelease(actor_shared->lock);
}

/* scheduler ------------------------------------------------------------- */

/*
 * actor_database_begin
 *		The scheduler tells its pid.  Returns NULL if it is not wanted any more.
 */
ActorDatabase *
actor_database_begin(const ActorSchedulerStart *start)
{
	ActorDatabase *database = &actor_shared->databases[start->slot];
	bool		wanted;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	wanted = database->state == DATABASE_STARTING &&
		database->generation == start->generation;
	if (wanted)
		database->pid = MyProcPid;
	LWLockRelease(actor_shared->lock);
	return wanted ? database : NULL;
}

/*
 * actor_database_announce
 *		The scheduler has connected.  Executors that the one before has asked
 *		for, and that have not begun, must not do so any more: nobody would
 *		notice if they never did.
 */
void
actor_database_announce(ActorDatabase *database)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database->state = DATABASE_RUNNING;
	database->latch = MyLatch;
	for (int i = 0; i < actor_shared->nslots; i++)
		if (actor_shared->executors[i].database == database->oid &&
			actor_shared->executors[i].pid == 0)
			actor_shared->executors[i].database = InvalidOid;
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_database_looked
 *		The scheduler has had its first look, for which the launcher waits
 *		before it goes to the next database.
 */
void
actor_database_looked(ActorDatabase *database)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database->looked = true;
	database->failures = 0;
	if (actor_shared->launcher_latch != NULL)
		SetLatch(actor_shared->launcher_latch);
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_database_must_renew
 *		Whether the scheduler must be replaced.
 */
bool
actor_database_must_renew(const ActorDatabase *database)
{
	bool		renew;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	renew = database->renew;
	LWLockRelease(actor_shared->lock);
	return renew;
}

/*
 * actor_database_leave
 *		The scheduler leaves its slot in another state.  False if something has
 *		been reported meanwhile, and it must not be free or off.
 */
bool
actor_database_leave(ActorDatabase *database, ActorDatabaseState state)
{
	bool		leave;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	leave = (state != DATABASE_FREE && state != DATABASE_OFF) ||
		pg_atomic_read_u64(&database->next_look) == (uint64) DT_NOEND;
	if (leave)
	{
		if (state == DATABASE_FREE)
			database->oid = InvalidOid;
		database->state = state;
		database->pid = 0;
		database->latch = NULL;
		forget_wish(database);
		database->left_at = GetCurrentTimestamp();
	}
	LWLockRelease(actor_shared->lock);
	return leave;
}

/*
 * actor_database_leave_for_other
 *		The scheduler leaves if a database waits for that, and comes back when
 *		it is time for its next look.
 */
bool
actor_database_leave_for_other(ActorDatabase *database)
{
	bool		wanted;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	wanted = actor_shared->schedulers_wanted > 0;
	if (wanted)
		actor_shared->schedulers_wanted--;
	LWLockRelease(actor_shared->lock);
	return wanted && actor_database_leave(database, DATABASE_AWAY);
}

/*
 * actor_database_exit
 *		However the scheduler ends: unless it has left in order, the launcher
 *		starts another one after a while.
 */
void
actor_database_exit(ActorDatabase *database)
{
	Latch	   *launcher;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (database->state >= DATABASE_STARTING && database->pid == MyProcPid)
	{
		wait_after_failure(database);
		database->failures = Min(database->failures + 1, MAX_FAILURES);
	}
	launcher = actor_shared->launcher_latch;
	LWLockRelease(actor_shared->lock);
	ConditionVariableBroadcast(&actor_shared->worker_ended);
	if (launcher != NULL)
		SetLatch(launcher);
}

/*
 * actor_database_complain
 *		Whether something about a role of the database is to be logged now: once
 *		until it is over.  What has the same hash is taken for the same.
 */
bool
actor_database_complain(ActorDatabase *database, uint32 hash, bool wrong)
{
	uint64		bit = UINT64CONST(1) << (hash % 64);
	bool		first;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	first = (database->complaints & bit) == 0;
	if (wrong)
		database->complaints |= bit;
	else
		database->complaints &= ~bit;
	LWLockRelease(actor_shared->lock);
	return wrong && first;
}
