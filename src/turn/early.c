/*-------------------------------------------------------------------------
 *
 * early.c
 *		Giving turns back before the commit is on disk.
 *
 * The turn of an actor is a lock that lasts until the transaction ends, and a
 * commit waits for the disk before it lets go of its locks.  So the turns of one
 * actor are as many as there are flushes, one after the other.  With early
 * release a transaction commits asynchronously, gives its locks back, and then
 * waits for the disk, and for synchronous standbys, before the client is
 * answered.  Many of these waits are one flush.
 *
 * What is acknowledged is on disk, as ever: whoever builds on a turn that is not
 * on disk yet has a later place in the WAL, and waits until that is.  Who writes
 * nothing has no place of his own.  So whoever looks at an actor whose last
 * turns are not on disk remembers how far the WAL went when he looked, and is
 * answered when that is on disk: a read-only call at its end, everything else at
 * its commit.
 *
 * How that is found out: a counter for each slice of the actors says how many
 * transactions with early turns are about to become visible, or are visible and
 * not on disk.  It is raised before they commit, and lowered when they are on
 * disk; a look reads it after the snapshot was taken, or with the turn held, so
 * that nobody else's can become visible.  So whatever is seen was counted when the
 * counter was read, unless it is on disk.  What such a transaction has written
 * outside of its actors, such as reminders and messages of others, is looked for
 * in all slices.
 *
 *	 before the commit	synchronous_commit becomes off for this commit, counters
 *						are raised
 *	 commit				the record is written, others see it, synchronous_commit
 *						is what it was
 *	 locks are released
 *	 after that			wait, lower the counters
 *
 * A transaction that is prepared, or that ends before its commit, does none of
 * this.  Without shared memory there are no counters, and no turn is released
 * early.
 *
 * IDENTIFICATION
 *		src/turn/early.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "miscadmin.h"
#include "replication/syncrep.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"
#include "shared/shared.h"
#include "turn/internal.h"

/* whether the transaction that commits gives its turns back early */
static bool releasing = false;
static int	saved_synchronous_commit;

/* the slices whose counters this transaction has raised */
static int *raised = NULL;		/* in TopMemoryContext */
static int	raised_count = 0;
static int	raised_space = 0;

/* what this transaction may have seen reaches to here; 0: nothing to wait for */
static XLogRecPtr seen_up_to = InvalidXLogRecPtr;

/* counting -------------------------------------------------------------- */

static int
slice_of(uint64 hash)
{
	return (int) (hash % ACTOR_UNFLUSHED_COUNT);
}

/*
 * Raises the counters of all turns that are held.
 */
static void
raise_counters(void)
{
	int			count = actor_turn_held_count();

	if (count > raised_space)
	{
		if (raised == NULL)
			raised = MemoryContextAlloc(TopMemoryContext, count * sizeof(int));
		else
			raised = repalloc_huge(raised, count * sizeof(int));
		raised_space = count;
	}
	for (raised_count = 0; raised_count < count; raised_count++)
	{
		raised[raised_count] = slice_of(actor_turn_held_hash(raised_count));
		pg_atomic_fetch_add_u32(&actor_shared->unflushed[raised[raised_count]], 1);
	}
}

static void
lower_counters(void)
{
	while (raised_count > 0)
		pg_atomic_fetch_sub_u32(&actor_shared->unflushed[raised[--raised_count]], 1);
}

/* looking --------------------------------------------------------------- */

/*
 * The end of what has been written to the WAL so far.  Where that is the end of a
 * page, the server tells the first place on the next one that can have a record,
 * which nothing can be flushed up to.  The first page of a file has the long
 * header; on others the end of a record can be where that would end.
 */
static XLogRecPtr
end_of_wal(void)
{
	XLogRecPtr	end = GetXLogInsertRecPtr();
	uint32		in_file = XLogSegmentOffset(end, wal_segment_size);
	uint32		on_page = in_file % XLOG_BLCKSZ;

	if (on_page == (in_file < XLOG_BLCKSZ ? SizeOfXLogLongPHD : SizeOfXLogShortPHD))
		end -= on_page;
	return end;
}

static bool
is_raised(int slice)
{
	return pg_atomic_read_u32(&actor_shared->unflushed[slice]) > 0;
}

/*
 * actor_early_look
 *		Called when a snapshot has been taken to look at an actor, or its turn: if
 *		that may show what is not on disk yet, the answer will have to wait.
 */
void
actor_early_look(const ActorRef *actor)
{
	if (actor_shared == NULL)
		return;
	pg_read_barrier();
	if (is_raised(slice_of(actor->hash)))
		seen_up_to = end_of_wal();
}

/*
 * actor_early_look_everywhere
 *		The same for what methods of any actor may have written.
 */
void
actor_early_look_everywhere(void)
{
	if (actor_shared == NULL)
		return;
	pg_read_barrier();
	for (int i = 0; i < ACTOR_UNFLUSHED_COUNT; i++)
		if (is_raised(i))
		{
			seen_up_to = end_of_wal();
			break;
		}
}

/*
 * actor_early_answer
 *		Waits until what was seen is on disk, because the answer to the client
 *		does not wait for a commit.
 */
void
actor_early_answer(void)
{
	XLogRecPtr	up_to = seen_up_to;

	if (up_to == InvalidXLogRecPtr)
		return;
	seen_up_to = InvalidXLogRecPtr;
	if (synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
		actor_flush(up_to);
}

/* committing ------------------------------------------------------------ */

/*
 * Whether the transaction, which is about to commit, gives its turns back early.
 * As the server does, it waits for nothing if it has written nothing that lasts.
 */
static bool
can_release(void)
{
	return actor_shared != NULL && synchronous_commit > SYNCHRONOUS_COMMIT_OFF &&
		TransactionIdIsValid(GetTopTransactionIdIfAny()) && XactLastRecEnd != 0 &&
		actor_turn_all_early();
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			if (!can_release())
				break;
			raise_counters();
			saved_synchronous_commit = synchronous_commit;
			synchronous_commit = SYNCHRONOUS_COMMIT_OFF;
			releasing = true;
			break;
		case XACT_EVENT_COMMIT:
			if (releasing)
				synchronous_commit = saved_synchronous_commit;
			break;
		case XACT_EVENT_ABORT:
			if (releasing)
				synchronous_commit = saved_synchronous_commit;
			releasing = false;
			lower_counters();
			seen_up_to = InvalidXLogRecPtr;
			break;
		case XACT_EVENT_PREPARE:
			seen_up_to = InvalidXLogRecPtr;
			break;
		default:
			break;
	}
}

/*
 * Others see the commit and can have the turns.  Interrupts are held off; what the
 * server does with a cancel while it waits for a standby it does here, too.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	XLogRecPtr	up_to = seen_up_to;

	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level || !is_commit ||
		(!releasing && up_to == InvalidXLogRecPtr))
		return;
	seen_up_to = InvalidXLogRecPtr;
	if (releasing)
		up_to = Max(up_to, XactLastCommitEnd);
	releasing = false;
	if (synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
	{
		actor_flush(up_to);
		SyncRepWaitForLSN(up_to, true);
	}
	lower_counters();
}

/*
 * actor_early_init
 *		Registers for the end of transactions.  The last one to register for the
 *		release of resources is called first, so this comes before all that must
 *		not wait for the disk.
 */
void
actor_early_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}
