/*-------------------------------------------------------------------------
 *
 * shared.c
 *		The shared memory of the background workers.
 *
 * It only speeds things up: what is due is in the tables, and after a restart
 * the launcher looks into every database.
 *
 * IDENTIFICATION
 *		src/shared/shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "base/base.h"
#include "shared/shared.h"

/* what lasts is logged again after so long, in milliseconds */
#define COMPLAIN_MS			3600000

ActorShared *actor_shared = NULL;

/* shared memory --------------------------------------------------------- */

static Size
shared_size(void)
{
	Size		databases = add_size(offsetof(ActorShared, databases),
									 mul_size(ACTOR_MAX_DATABASES, sizeof(ActorDatabase)));
	Size		executors = mul_size(actor_max_workers, sizeof(ActorExecutor));
	Size		holds = mul_size(actor_max_workers, sizeof(ActorHold));
	Size		traces = mul_size(actor_max_workers, sizeof(ActorTrace));

	return add_size(add_size(MAXALIGN(databases), MAXALIGN(executors)),
					add_size(MAXALIGN(holds), traces));
}

void
actor_shared_request(void)
{
	RequestAddinShmemSpace(shared_size());
	RequestNamedLWLockTranche("actor", 1);
}

/*
 * actor_shared_attach
 *		Finds or makes it; the caller has AddinShmemInitLock.
 */
void
actor_shared_attach(void)
{
	bool		found;

	actor_shared = ShmemInitStruct("actor", shared_size(), &found);
	if (!found)
	{
		memset(actor_shared, 0, shared_size());
		actor_shared->lock = &(GetNamedLWLockTranche("actor"))->lock;
		actor_shared->nslots = actor_max_workers;
		ConditionVariableInit(&actor_shared->worker_ended);
		for (int i = 0; i < ACTOR_TURN_CLOSED_COUNT; i++)
			ConditionVariableInit(&actor_shared->turn_closed[i]);
		for (int i = 0; i < ACTOR_HOST_WAKE_COUNT; i++)
		{
			ConditionVariableInit(&actor_shared->hosts[i].changed);
			pg_atomic_init_u64(&actor_shared->hosts[i].changes, 0);
		}
		for (int i = 0; i < ACTOR_RESULT_COUNT; i++)
			ConditionVariableInit(&actor_shared->results[i]);
		for (int i = 0; i < ACTOR_JOINED_COUNT; i++)
			pg_atomic_init_u64(&actor_shared->joined[i], 0);
		for (int i = 0; i < ACTOR_UNFLUSHED_COUNT; i++)
			pg_atomic_init_u32(&actor_shared->unflushed[i], 0);
		for (int i = 0; i < lengthof(actor_shared->active); i++)
			pg_atomic_init_u32(&actor_shared->active[i], 0);
		pg_atomic_init_u64(&actor_shared->last_number, 0);
		pg_atomic_init_u64(&actor_shared->complained_slots, 0);
		pg_atomic_init_u64(&actor_shared->complained_workers, 0);
		actor_shared->executors = (ActorExecutor *)
			((char *) actor_shared +
			 MAXALIGN(offsetof(ActorShared, databases) +
					  ACTOR_MAX_DATABASES * sizeof(ActorDatabase)));
		actor_shared->holds = (ActorHold *)
			((char *) actor_shared->executors +
			 MAXALIGN(actor_max_workers * sizeof(ActorExecutor)));
		actor_shared->traces = (ActorTrace *)
			((char *) actor_shared->holds +
			 MAXALIGN(actor_max_workers * sizeof(ActorHold)));
		for (int i = 0; i < ACTOR_LOGGED_COUNT; i++)
			SpinLockInit(&actor_shared->logged[i].mutex);
		for (int i = 0; i < ACTOR_MAX_DATABASES; i++)
			pg_atomic_init_u64(&actor_shared->databases[i].next_look, DT_NOEND);
		for (int i = 0; i < actor_shared->nslots; i++)
		{
			pg_atomic_init_u64(&actor_shared->executors[i].busy_since, 0);
			pg_atomic_init_u64(&actor_shared->executors[i].wanted_at, 0);
			pg_atomic_init_u64(&actor_shared->executors[i].reported, DT_NOEND);
			pg_atomic_init_u64(&actor_shared->traces[i].cancel_run, 0);
			pg_atomic_init_u64(&actor_shared->traces[i].cancel_at, 0);
			SpinLockInit(&actor_shared->traces[i].mutex);
		}
		actor_suspects_attach();
	}
}

/*
 * actor_require_preload
 *		Raises object_not_in_prerequisite_state when nothing could fire here;
 *		"what" says what needs that.
 */
void
actor_require_preload(const char *what)
{
	if (actor_shared != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s need the library \"%s\" to be preloaded", what, "actor"),
			 errdetail("Without it no background worker fires them."),
			 errhint("Add \"%s\" to \"%s\" and restart the server.",
					 "actor", "shared_preload_libraries")));
}

/* what lasts ------------------------------------------------------------ */

/*
 * actor_database_held
 *		Whether no worker may start in a database now.  The caller has the
 *		lock.
 */
bool
actor_database_held(Oid database)
{
	for (int i = 0; i < actor_shared->nslots; i++)
		if (actor_shared->holds[i].holder != 0 &&
			actor_shared->holds[i].database == database)
			return true;
	return false;
}

/*
 * actor_complain_again
 *		Whether something that lasts is to be logged now, and not only that it
 *		still lasts.
 */
bool
actor_complain_again(pg_atomic_uint64 *complained_at)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		before = pg_atomic_read_u64(complained_at);

	return (before == 0 ||
			TimestampDifferenceExceeds((TimestampTz) before, now, COMPLAIN_MS)) &&
		pg_atomic_compare_exchange_u64(complained_at, &before, (uint64) now);
}
