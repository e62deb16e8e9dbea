/*-------------------------------------------------------------------------
 *
 * slots.c
 *		The slots of executors: who gets one, and who gives his up.
 *
 * A scheduler takes a slot for a role and starts an executor in it; the
 * executor frees it when it ends.  A role that finds no slot makes a wish,
 * which an executor of another role fulfils by leaving: at once if it has
 * nothing to do, otherwise when it has worked for a second.  One wish makes
 * one executor leave.
 *
 * Everything here is protected by the lock in shared memory, but the time
 * since when an executor is busy with one transaction.
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
 * actor_slot_take
 *		Takes a slot for a role of this database; false if there is none.
 */
bool
actor_slot_take(Oid role, ActorExecutorStart *start)
{
	int			mine = 0;

	start->database = MyDatabaseId;
	start->role = role;
	start->slot = -1;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database == MyDatabaseId)
			mine++;
		else if (!OidIsValid(executor->database) && start->slot < 0)
			start->slot = slot;
	}
	/* a database that has no scheduler must be able to get one */
	if (mine >= actor_max_executors || actor_workers_in_use() >= actor_max_workers ||
		actor_executors_in_use() >= actor_max_workers - 1 ||
		actor_database_held(MyDatabaseId))
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

/*
 * actor_slots_of_role
 *		Counts the executors of a role in this database, and wakes them: each
 *		may sleep for longer than until the row that was just found.  One that
 *		is still starting counts as free: it will look.
 */
void
actor_slots_of_role(Oid role, ActorRoleSlots *slots)
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
		if (executor->latch != NULL)
			SetLatch(executor->latch);
	}
	LWLockRelease(actor_shared->lock);
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
	int			mine = 0;
	bool		last = true;

	*rank = *count = 0;
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	for (int slot = 0; slot < actor_shared->nslots; slot++)
	{
		ActorExecutor *executor = &actor_shared->executors[slot];

		if (executor->database != start->database)
			continue;
		mine++;
		if (executor->role != start->role)
			continue;
		(*count)++;
		if (slot < start->slot)
			(*rank)++;
		if (slot != start->slot && !is_occupied(executor, now))
			last = false;
	}
	if (mine < actor_max_executors && actor_workers_in_use() < actor_max_workers)
		last = false;
	LWLockRelease(actor_shared->lock);
	return last;
}

/* wishes ---------------------------------------------------------------- */

/*
 * actor_slot_wish
 *		A role needs a slot, and there is none: wakes executors that may leave.
 *		InvalidOid takes the wish back.
 */
void
actor_slot_wish(ActorDatabase *database, Oid role)
{
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database->wish = role;
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
	bool		full = actor_workers_in_use() >= actor_max_workers;

	for (int i = 0; i < actor_shared->ndatabases; i++)
	{
		ActorDatabase *database = &actor_shared->databases[i];

		if (database->state != DATABASE_RUNNING || !OidIsValid(database->wish))
			continue;
		if (database->oid == start->database ? database->wish != start->role : full)
			return database;
	}
	return NULL;
}

/*
 * actor_slot_yield
 *		Whether the executor should leave now for the sake of another role.
 */
bool
actor_slot_yield(const ActorExecutorStart *start, bool idle, TimestampTz working_since)
{
	ActorDatabase *database;

	if (!idle && !TimestampDifferenceExceeds(working_since, GetCurrentTimestamp(), TERM_MS))
		return false;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	database = find_wish(start);
	if (database != NULL)
	{
		database->wish = InvalidOid;
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
