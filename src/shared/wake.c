/*-------------------------------------------------------------------------
 *
 * wake.c
 *		Waking the workers.
 *
 * No wake-up is lost.  A scheduler takes next_look and sets it to "never"
 * before it takes the snapshot it looks with, and afterwards lowers it to the
 * time it will look again.  A backend lowers it after its commit has become
 * visible, and then sets the latch.  If it finds a value that is early enough
 * it need do nothing: the scheduler has not taken that value yet, so its next
 * snapshot will be younger than the commit.
 *
 * IDENTIFICATION
 *		src/shared/wake.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/resowner.h"

#include "base/base.h"
#include "time/time.h"
#include "shared/shared.h"

/* earliest due time this transaction has made; reported when it commits */
static TimestampTz pending_due = DT_NOEND;

/* the same since somebody has asked for that */
static TimestampTz noted_due = DT_NOEND;

/* the same of the transaction that is being committed */
static TimestampTz committed_due = DT_NOEND;

/* the same for rows that hosts run, when that is soon */
static bool pending_hosts = false;
static bool committed_hosts = false;

/* the same for those who wait for results, a bit for each variable */
static uint64 pending_results = 0;
static uint64 committed_results = 0;


/*
 * actor_wake_at
 *		Makes sure that, if this transaction commits, somebody looks for due
 *		rows at that time.
 *
 * A look may begin at the time that was reported.  So it must not be later than
 * what the rows have that were written; DT_NOBEGIN if that is not known.
 */
void
actor_wake_at(TimestampTz due)
{
	pending_due = Min(pending_due, due);
	/* then nobody knows whose rows they are, either */
	pending_hosts |= due == DT_NOBEGIN;
	noted_due = Min(noted_due, due);
}

/*
 * actor_wake_noted
 *		The earliest time that this session has passed to actor_wake_at since this
 *		was called last; DT_NOEND if it has not.
 */
TimestampTz
actor_wake_noted(void)
{
	TimestampTz due = noted_due;

	noted_due = DT_NOEND;
	return due;
}

/*
 * actor_wake_hosts
 *		Makes sure that, if this transaction commits, hosts look for due rows at
 *		that time.
 *
 * Whoever waits as a host takes the number of changes before he takes the snapshot
 * he looks with, and waits only while that stays as it was; and he looks twice
 * before something is due that nobody wakes him for.
 */
void
actor_wake_hosts(TimestampTz due)
{
	if (!pending_hosts)
		pending_hosts = due < TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
														  ACTOR_HOST_LOOK_MS);
}

/*
 * actor_hosts_changed
 *		Wakes all hosts, of whatever database.
 */
void
actor_hosts_changed(void)
{
	if (actor_shared == NULL)
		return;
	for (int i = 0; i < ACTOR_HOST_WAKE_COUNT; i++)
	{
		pg_atomic_fetch_add_u64(&actor_shared->hosts[i].changes, 1);
		ConditionVariableBroadcast(&actor_shared->hosts[i].changed);
	}
}

/*
 * actor_wake_waiters
 *		Makes sure that, if this transaction commits, those who wait for results
 *		of an actor look whether there are any.
 */
void
actor_wake_waiters(uint64 actor_hash)
{
	pending_results |= UINT64CONST(1) << (actor_hash % ACTOR_RESULT_COUNT);
}

/*
 * Subtransactions are ignored: a look for something that was rolled back does
 * no harm.  What is prepared becomes visible elsewhere, and is found when that
 * has happened; see commands.c.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			committed_due = pending_due;
			pending_due = DT_NOEND;
			committed_hosts = pending_hosts;
			pending_hosts = false;
			committed_results = pending_results;
			pending_results = 0;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending_due = DT_NOEND;
			pending_hosts = false;
			pending_results = 0;
			break;
		default:
			break;
	}
}

/*
 * The transaction has ended so far that others have been told what to
 * invalidate: whoever is woken now does not work with what was true before.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	TimestampTz due = committed_due;

	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level)
		return;
	if (committed_hosts)
		actor_hosts_changed();
	committed_hosts = false;
	for (int i = 0; committed_results != 0; i++, committed_results >>= 1)
		if ((committed_results & 1) && actor_shared != NULL)
			ConditionVariableBroadcast(&actor_shared->results[i]);
	if (due == DT_NOEND)
		return;
	committed_due = DT_NOEND;
	if (actor_shared != NULL)
		actor_worker_report(MyDatabaseId, due);
}

void
actor_wake_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}

/*
 * actor_purge_time
 *		When something is removed that expires then.
 */
TimestampTz
actor_purge_time(TimestampTz expires_at)
{
	return actor_grid_point(expires_at, actor_scan_interval_default * INT64CONST(1000));
}
