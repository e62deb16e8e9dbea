/*-------------------------------------------------------------------------
 *
 * slots.c
 *		The slots of executors: who gets one, and who gives his up.
 *
 * A scheduler takes a slot for a role and starts an executor in it; the
 * executor frees it when it ends.  The last slot of a database, and of the
 * server, is for a role that has none: whoever keeps all others busy for long
 * does not keep the next role from firing.
 *
 * A role that finds no slot makes a wish, which an executor of another role
 * fulfils by leaving: at once if it has nothing to do, otherwise when it has
 * worked for a second and its callback has ended.  One wish makes one executor
 * leave.  If none has left after actor.drain_ongoing_call_timeout, the callback
 * of one is ended: of the role that has most executors, and there the one that
 * has begun last, so that the others of the role get on.  The times of types do
 * not matter here, because their owners choose them.
 *
 * Everything here is protected by the lock in shared memory, but the atomic
 * members of executors.
 *
 * IDENTIFICATION
 *		src/shared/slots.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"

#include "base/base.h"
#include "shared/shared.h"

/* an executor that has worked so long leaves when others wait */
#define TERM_MS				1000
/* one that is busy with one transaction for so long does not count as free */
#define OCCUPIED_MS			200

/* since when the executor of this process works */
static TimestampTz working_since;

static ActorExecutor *
slot_of(const ActorExecutorStart *start)
{
	return &actor_shared->executors[start->slot];
}

/*
 * Whether a slot still is that of this executor.  The caller has the lock.
 */
static bool
is_ours(const ActorExecutorStart *start)
{
	return slot_of(start)->database == start->database &&
		slot_of(start)->generation == start->generation;
}

/*
 * Whether a role that has so many executors in a database, which has so many in
 * all, may have another one.  The caller has the lock.
 */
static bool
may_have_another(int of_role, int of_database)
{
	int			reserved = of_role > 0 ? 1 : 0;

	/* a database that has no scheduler must be able to get one */
	return of_database + reserved < actor_max_executors &&
		actor_workers_in_use() + reserved < actor_max_workers &&
		actor_executors_in_use() + reserved < actor_max_workers - 1;
}

/*
 * actor_slot_take
 *		Takes a slot for a role of this database; false if there is none.
 */
bool
actor_slot_take(Oid role, ActorExecutorStart *start)
{
	int			of_database = 0;
	int			of_role = 0;

	start->database = MyDatabaseId;
	start->role = role;
	start->slot = -1;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database == MyDatabaseId)
		{
			of_database++;
			of_role += executor->role == role ? 1 : 0;
		}
		else if (!OidIsValid(executor->database) && start->slot < 0)
			start->slot = slot;
	}
	if (!may_have_another(of_role, of_database) || actor_database_held(MyDatabaseId))
		start->slot = -1;
	if (start->slot >= 0)
	{
		ActorExecutor *executor = slot_of(start);

		executor->database = executor->last_database = MyDatabaseId;
		executor->role = role;
		executor->pid = 0;
		executor->latch = NULL;
		executor->end = SLOT_ENDED;
		executor->renew = false;
		executor->yielded_to = -1;
		pg_atomic_write_u64(&executor->busy_since, 0);
		pg_atomic_write_u64(&executor->wanted_at, 0);
		pg_atomic_write_u64(&executor->reported, DT_NOEND);
		start->generation = ++executor->generation;
	}
	LWLockRelease(actor_shared->lock);
	return start->slot >= 0;
}

/*
 * actor_slot_free
 *		Gives a slot back, unless it has another executor already.
 */
void
actor_slot_free(const ActorExecutorStart *start)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (is_ours(start))
	{
		ActorExecutor *executor = slot_of(start);

		if (executor->pid != 0 && executor->latch == NULL &&
			!actor_database_held(start->database))
			executor->end = SLOT_UNCONNECTED;
		executor->database = InvalidOid;
		executor->pid = 0;
		executor->latch = NULL;
		if (executor->yielded_to >= 0 &&
			actor_shared->databases[executor->yielded_to].state == DATABASE_RUNNING)
			SetLatch(actor_shared->databases[executor->yielded_to].latch);
	}
	LWLockRelease(actor_shared->lock);
	ConditionVariableBroadcast(&actor_shared->worker_ended);
}

/*
 * actor_slot_begin
 *		The executor tells its pid; false if it is not wanted any more.
 */
bool
actor_slot_begin(const ActorExecutorStart *start)
{
	bool		wanted;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	wanted = is_ours(start);
	if (wanted)
		slot_of(start)->pid = MyProcPid;
	wanted &= !actor_database_held(start->database);
	LWLockRelease(actor_shared->lock);
	return wanted;
}

/*
 * actor_slot_announce
 *		The executor has connected.
 */
void
actor_slot_announce(const ActorExecutorStart *start)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	slot_of(start)->latch = MyLatch;
	LWLockRelease(actor_shared->lock);
	working_since = GetCurrentTimestamp();
}

/*
 * actor_slot_busy
 *		The executor begins a transaction that fires, or (0) has ended it.
 */
void
actor_slot_busy(const ActorExecutorStart *start, TimestampTz since)
{
	pg_atomic_write_u64(&slot_of(start)->busy_since, (uint64) since);
}

static bool
is_occupied(ActorExecutor *executor, TimestampTz now)
{
	TimestampTz since = (TimestampTz) pg_atomic_read_u64(&executor->busy_since);

	return since != 0 && TimestampDifferenceExceeds(since, now, OCCUPIED_MS);
}

static void
lower(pg_atomic_uint64 *time, TimestampTz to)
{
	uint64		current = pg_atomic_read_u64(time);

	while (to < (TimestampTz) current &&
		   !pg_atomic_compare_exchange_u64(time, &current, (uint64) to))
		continue;
}

/*
 * actor_slots_of_role
 *		Counts the executors of a role in this database, and wakes them: each
 *		may sleep for longer than until the row that was just found.  One that
 *		is still starting counts as free: it will look.  They are told that rows may
 *		have turned up that are due at that time, or later.
 */
void
actor_slots_of_role(Oid role, TimestampTz reported, ActorRoleSlots *slots)
{
	TimestampTz now = GetCurrentTimestamp();

	memset(slots, 0, sizeof(*slots));
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database != MyDatabaseId || executor->role != role)
			continue;
		slots->executors++;
		slots->connected |= executor->latch != NULL;
		if (!is_occupied(executor, now))
			slots->free++;
		lower(&executor->reported, reported);
		if (executor->latch != NULL)
			SetLatch(executor->latch);
	}
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_slot_take_reported
 *		The earliest time that rows may have that have turned up since the executor
 *		has asked last; DT_NOEND if there are none.  Must be called before it takes the
 *		snapshot to look with.
 */
TimestampTz
actor_slot_take_reported(const ActorExecutorStart *start)
{
	return (TimestampTz) pg_atomic_exchange_u64(&actor_shared->executors[start->slot].reported,
												(uint64) DT_NOEND);
}

/*
 * actor_slot_rank
 *		The executor's place among those of its role, from 0, and their number;
 *		returns whether none of the others is free and there can be no more.
 */
bool
actor_slot_rank(const ActorExecutorStart *start, int *rank, int *count)
{
	TimestampTz now = GetCurrentTimestamp();
	int			of_database = 0;
	bool		last = true;

	*rank = *count = 0;
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database != start->database)
			continue;
		of_database++;
		if (executor->role != start->role)
			continue;
		(*count)++;
		if (slot < start->slot)
			(*rank)++;
		if (slot != start->slot && !is_occupied(executor, now))
			last = false;
	}
	if (may_have_another(*count, of_database))
		last = false;
	LWLockRelease(actor_shared->lock);
	return last;
}

/* wishes ---------------------------------------------------------------- */

static int
count_executors(Oid database, Oid role)
{
	int			count = 0;

	for (int slot = 0; slot < actor_shared->nslots; slot++)
		if (actor_shared->executors[slot].database == database &&
			(!OidIsValid(role) || actor_shared->executors[slot].role == role))
			count++;
	return count;
}

/*
 * Whether the wish of a database is fulfilled by the end of an executor.  The
 * caller has the lock.
 */
static bool
fulfils(const ActorDatabase *database, const ActorExecutor *executor)
{
	if (database->state != DATABASE_RUNNING || !OidIsValid(database->wish) ||
		!OidIsValid(executor->database))
		return false;
	if (executor->database == database->oid)
		return executor->role != database->wish;
	return actor_workers_in_use() >= actor_max_workers &&
		count_executors(database->oid, InvalidOid) < actor_max_executors;
}

/*
 * Whether the callback of an executor is rather to be ended than that of
 * another one.
 */
static bool
ends_before(ActorExecutor *executor, ActorExecutor *other)
{
	int			count = count_executors(executor->database, executor->role);
	int			other_count = count_executors(other->database, other->role);
	uint64		since = pg_atomic_read_u64(&executor->busy_since);
	uint64		other_since = pg_atomic_read_u64(&other->busy_since);

	if (count != other_count)
		return count > other_count;
	return count > 1 ? since > other_since : since < other_since;
}

/*
 * Lets the executors know which of them the wish of a database concerns.
 */
static void
publish_wish(const ActorDatabase *database)
{
	ActorExecutor *victim = NULL;
	TimestampTz cut_at;

	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (!fulfils(database, executor))
			continue;
		if (pg_atomic_read_u64(&executor->wanted_at) == 0)
			pg_atomic_write_u64(&executor->wanted_at, (uint64) DT_NOEND);
		if (victim == NULL || ends_before(executor, victim))
			victim = executor;
	}
	if (victim == NULL)
		return;
	cut_at = TimestampTzPlusMilliseconds(database->wished_at,
										 Max(actor_drain_timeout_default, TERM_MS));
	if (cut_at < (TimestampTz) pg_atomic_read_u64(&victim->wanted_at))
		pg_atomic_write_u64(&victim->wanted_at, (uint64) cut_at);
}

/*
 * actor_slots_publish
 *		Lets the executors know which of them are wished to leave.  The caller
 *		has the lock, and has changed a wish.
 */
void
actor_slots_publish(void)
{
	for (int slot = 0; slot < actor_shared->nslots; slot++)
		pg_atomic_write_u64(&actor_shared->executors[slot].wanted_at, 0);
	for (int i = 0; i < actor_shared->ndatabases; i++)
		if (OidIsValid(actor_shared->databases[i].wish))
			publish_wish(&actor_shared->databases[i]);
}

/*
 * actor_slot_wish
 *		A role needs a slot, and there is none: wakes executors that may leave.
 *		InvalidOid takes the wish back.
 */
void
actor_slot_wish(ActorDatabase *database, Oid role)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (!OidIsValid(database->wish))
		database->wished_at = GetCurrentTimestamp();
	if (OidIsValid(database->wish) || OidIsValid(role))
	{
		database->wish = role;
		actor_slots_publish();
	}
	for (int slot = 0; OidIsValid(role) && slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (OidIsValid(executor->database) && executor->latch != NULL &&
			pg_atomic_read_u64(&executor->busy_since) == 0)
			SetLatch(executor->latch);
	}
	LWLockRelease(actor_shared->lock);
}

/*
 * Finds a wish that the end of this executor fulfils.  The caller has the
 * lock.
 */
static ActorDatabase *
find_wish(const ActorExecutorStart *start)
{
	for (int i = 0; i < actor_shared->ndatabases; i++)
		if (fulfils(&actor_shared->databases[i], slot_of(start)))
			return &actor_shared->databases[i];
	return NULL;
}

/*
 * actor_slot_is_wanted
 *		Whether the executor, which is busy, should leave for the sake of another
 *		role when its callback has ended.  Takes no lock.
 */
bool
actor_slot_is_wanted(const ActorExecutorStart *start)
{
	return pg_atomic_read_u64(&slot_of(start)->wanted_at) != 0 &&
		TimestampDifferenceExceeds(working_since, GetCurrentTimestamp(), TERM_MS);
}

/*
 * actor_slot_cut_at
 *		When the callback of the executor in a slot is to be ended for the sake of
 *		another role; DT_NOEND: not.  Called in signal handlers.
 */
TimestampTz
actor_slot_cut_at(int slot)
{
	uint64		wanted_at = pg_atomic_read_u64(&actor_shared->executors[slot].wanted_at);

	return wanted_at == 0 ? DT_NOEND : (TimestampTz) wanted_at;
}

/*
 * actor_slot_yield
 *		Whether the executor should leave now for the sake of another role.
 */
bool
actor_slot_yield(const ActorExecutorStart *start, bool idle)
{
	ActorDatabase *database;

	if (!idle && !actor_slot_is_wanted(start))
		return false;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database = find_wish(start);
	if (database != NULL)
	{
		database->wish = InvalidOid;
		actor_slots_publish();
		slot_of(start)->end = SLOT_YIELDED;
		slot_of(start)->yielded_to = database - actor_shared->databases;
	}
	LWLockRelease(actor_shared->lock);
	return database != NULL;
}

/*
 * actor_slot_must_renew
 *		Whether the executor must leave because it has started under other
 *		settings than hold now.
 */
bool
actor_slot_must_renew(const ActorExecutorStart *start)
{
	bool		renew;

	LWLockAcquire(actor_shared->lock, LW_SHARED);
	renew = slot_of(start)->renew;
	LWLockRelease(actor_shared->lock);
	return renew;
}

/*
 * actor_slot_end
 *		The executor, which has connected, leaves in order: for that reason,
 *		unless another one is known.
 */
void
actor_slot_end(const ActorExecutorStart *start, ActorSlotEnd end)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	if (is_ours(start) && slot_of(start)->latch != NULL &&
		slot_of(start)->end == SLOT_ENDED)
		slot_of(start)->end = end;
	LWLockRelease(actor_shared->lock);
}

/*
 * actor_slot_take_end
 *		Finds a role of this database whose executor has ended in a way that
 *		must be known, and forgets it; InvalidOid if there is none.
 */
Oid
actor_slot_take_end(ActorSlotEnd *end)
{
	Oid			role = InvalidOid;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int slot = 0; slot < actor_shared->nslots && !OidIsValid(role); slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->end == SLOT_ENDED || OidIsValid(executor->database) ||
			executor->last_database != MyDatabaseId)
			continue;
		*end = executor->end;
		executor->end = SLOT_ENDED;
		role = executor->role;
	}
	LWLockRelease(actor_shared->lock);
	return role;
}
