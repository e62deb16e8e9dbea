/*-------------------------------------------------------------------------
 *
 * workerstat.c
 *		What each worker has done since it was started.
 *
 * There is an entry for the launcher, and one for every slot of a scheduler
 * and of an executor.  A worker writes its own entry under its spinlock and
 * begins from zero.  Entries of workers that have ended are found by nobody:
 * the view asks for pids that are there.
 *
 * IDENTIFICATION
 *		src/stat/workerstat.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/acl.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "shared/shared.h"
#include "stat/internal.h"

PG_FUNCTION_INFO_V1(actor_get_worker_stats);

typedef struct WorkerStat
{
	slock_t		mutex;
	pid_t		pid;
	ActorWorkerKind kind;
	Oid			role;			/* of an executor */
	TimestampTz last_active_at;
	uint64		fired;
	uint64		failed;
	int64		backlog;		/* -1: has not looked yet */
	TimestampTz oldest_due;		/* DT_NOEND: nothing was due */
} WorkerStat;

static WorkerStat *workers = NULL;
static ActorHistogram *latenesses = NULL;	/* of executors, by slot */
static WorkerStat *mine = NULL;
static ActorHistogram *my_lateness = NULL;	/* under my spinlock, too */

static int
worker_count(void)
{
	return 1 + ACTOR_MAX_DATABASES + actor_max_workers;
}

Size
actor_worker_stats_size(void)
{
	return add_size(mul_size(worker_count(), sizeof(WorkerStat)),
					mul_size(actor_max_workers, sizeof(ActorHistogram)));
}

/*
 * actor_worker_stats_attach
 *		Finds or makes the entries; the caller has AddinShmemInitLock.
 */
void
actor_worker_stats_attach(void)
{
	bool		found;

	workers = ShmemInitStruct("actor worker statistics", actor_worker_stats_size(), &found);
	latenesses = (ActorHistogram *) (workers + worker_count());
	if (found)
		return;
	memset(workers, 0, actor_worker_stats_size());
	for (int i = 0; i < worker_count(); i++)
		SpinLockInit(&workers[i].mutex);
}

/*
 * actor_worker_stat_start
 *		This process is a worker, in that slot of its kind.
 */
void
actor_worker_stat_start(ActorWorkerKind kind, int slot, Oid role)
{
	int			number;

	if (kind == WORKER_LAUNCHER)
		number = 0;
	else if (kind == WORKER_SCHEDULER)
		number = 1 + slot;
	else
		number = 1 + ACTOR_MAX_DATABASES + slot;
	mine = &workers[number];
	my_lateness = kind == WORKER_EXECUTOR ? &latenesses[slot] : NULL;
	SpinLockAcquire(&mine->mutex);
	mine->pid = MyProcPid;
	mine->kind = kind;
	mine->role = role;
	mine->last_active_at = GetCurrentTimestamp();
	mine->fired = mine->failed = 0;
	mine->backlog = -1;
	mine->oldest_due = DT_NOEND;
	if (my_lateness != NULL)
		memset(my_lateness, 0, sizeof(*my_lateness));
	SpinLockRelease(&mine->mutex);
}

/*
 * actor_worker_stat_active
 *		This worker has something to do.
 */
void
actor_worker_stat_active(void)
{
	TimestampTz now = GetCurrentTimestamp();

	if (mine == NULL)
		return;
	SpinLockAcquire(&mine->mutex);
	mine->last_active_at = now;
	SpinLockRelease(&mine->mutex);
}

/*
 * actor_worker_stat_looked
 *		This worker has seen so many due rows, the oldest of them due at that
 *		time (DT_NOEND: there are none).
 */
void
actor_worker_stat_looked(int64 backlog, TimestampTz oldest_due)
{
	TimestampTz now = GetCurrentTimestamp();

	if (mine == NULL)
		return;
	SpinLockAcquire(&mine->mutex);
	mine->last_active_at = now;
	mine->backlog = backlog;
	mine->oldest_due = oldest_due;
	SpinLockRelease(&mine->mutex);
}

/*
 * actor_worker_stat_fired
 *		This worker has run a callback, so many milliseconds late.
 */
void
actor_worker_stat_fired(double late_ms, bool failed)
{
	if (my_lateness == NULL)
		return;
	SpinLockAcquire(&mine->mutex);
	mine->fired++;
	if (failed)
		mine->failed++;
	actor_histogram_add(my_lateness, late_ms);
	SpinLockRelease(&mine->mutex);
}

/*
 * Whether the current user may see a worker: those of its own roles, or all.
 */
static bool
is_visible(const WorkerStat *worker)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_MONITOR) ||
		(worker->kind == WORKER_EXECUTOR && has_privs_of_role(GetUserId(), worker->role));
}

Datum
actor_get_worker_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	for (int i = 0; workers != NULL && i < worker_count(); i++)
	{
		WorkerStat	worker;
		ActorHistogram lateness;
		Datum		values[8];
		bool		nulls[8] = {false};
		bool		fires = i > ACTOR_MAX_DATABASES;

		lateness.count = 0;
		SpinLockAcquire(&workers[i].mutex);
		worker = workers[i];
		if (fires && worker.pid != 0)
			lateness = latenesses[i - 1 - ACTOR_MAX_DATABASES];
		SpinLockRelease(&workers[i].mutex);
		if (worker.pid == 0 || !is_visible(&worker))
			continue;
		values[0] = Int32GetDatum(worker.pid);
		values[1] = TimestampTzGetDatum(worker.last_active_at);
		values[2] = Int64GetDatum((int64) worker.fired);
		values[3] = Int64GetDatum((int64) worker.failed);
		nulls[2] = nulls[3] = !fires;
		values[4] = Int64GetDatum(worker.backlog);
		nulls[4] = worker.backlog < 0;
		values[5] = TimestampTzGetDatum(worker.oldest_due);
		nulls[5] = worker.oldest_due == DT_NOEND;
		nulls[6] = nulls[7] = lateness.count == 0;
		values[6] = Float8GetDatum(nulls[6] ? 0.0 : actor_histogram_quantile(&lateness, 0.50));
		values[7] = Float8GetDatum(nulls[7] ? 0.0 : actor_histogram_quantile(&lateness, 0.99));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
