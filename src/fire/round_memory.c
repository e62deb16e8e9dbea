/*-------------------------------------------------------------------------
 *
 * round_memory.c
 *		What an executor remembers from one round to the next: who was busy,
 *		and which rows run alone.
 *
 * All of it may be forgotten at any time: then a busy actor is tried once more
 * without need, and a row that should run alone is found out again.
 *
 * IDENTIFICATION
 *		src/fire/round_memory.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "shared/shared.h"
#include "fire/internal.h"

/* first pause of what was busy, in microseconds */
#define BUSY_MIN_US			(5 * INT64CONST(1000))
/* what is remembered is forgotten when it becomes too much */
#define MEMORY_MAX			10000

/*
 * An actor or partition that was busy, or a row that is broken.  The key is a
 * hash, or the generation of the row, only: what shares it waits a little
 * without need.
 */
typedef struct Busy
{
	uint64		key;
	int64		pause;
	TimestampTz retry_at;
} Busy;

static HTAB *busy = NULL;
static HTAB *loners = NULL;
static HTAB *held_up = NULL;

static void
restart_memory(HTAB **memory, const char *name, Size keysize, Size entrysize)
{
	HASHCTL		ctl;

	if (*memory != NULL)
		hash_destroy(*memory);
	*memory = NULL;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = keysize;
	ctl.entrysize = entrysize;
	*memory = hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

static void
restart_busy(void)
{
	restart_memory(&busy, "busy actors", sizeof(uint64), sizeof(Busy));
}

static void
restart_loners(void)
{
	restart_memory(&loners, "lone reminders", sizeof(int64), sizeof(ActorLoner));
}

static void
restart_held_up(void)
{
	restart_memory(&held_up, "queues that are held up", sizeof(uint64), sizeof(uint64));
}

/*
 * actor_round_memory_start
 *		Called once by an executor, before its first round.
 */
void
actor_round_memory_start(void)
{
	restart_busy();
	restart_loners();
	restart_held_up();
}

/*
 * actor_round_memory_limit
 *		Forgets what has become too much.
 */
void
actor_round_memory_limit(void)
{
	if (hash_get_num_entries(busy) > MEMORY_MAX)
		restart_busy();
	if (hash_get_num_entries(loners) > MEMORY_MAX)
		restart_loners();
}

/* busy ------------------------------------------------------------------ */

/*
 * actor_busy_note
 *		Leaves an actor, a partition or a row alone for a while, each time for
 *		longer, up to a limit in microseconds.  Returns until when.
 *
 * Many rows of an actor may find it busy at a time: that is once.
 */
TimestampTz
actor_busy_note(uint64 key, int64 limit)
{
	bool		found;
	Busy	   *entry = hash_search(busy, &key, HASH_ENTER, &found);
	TimestampTz now = GetCurrentTimestamp();

	if (found && now < entry->retry_at && now >= entry->retry_at - entry->pause)
		return entry->retry_at;
	entry->pause = found ? Min(entry->pause * 2, limit) : BUSY_MIN_US;
	entry->retry_at = now + entry->pause;
	return entry->retry_at;
}

/*
 * actor_busy_until
 *		Until when something is left alone, which may be over; 0 if it was not
 *		busy.
 */
TimestampTz
actor_busy_until(uint64 key)
{
	Busy	   *entry = hash_search(busy, &key, HASH_FIND, NULL);
	TimestampTz until;

	if (entry == NULL)
		return 0;
	until = actor_pause_end(entry->retry_at, entry->pause);
	/* not 0, which stands for something else */
	return Max(until, 1);
}

/*
 * actor_busy_forget
 *		Something is busy no longer.
 */
void
actor_busy_forget(uint64 key)
{
	hash_search(busy, &key, HASH_REMOVE, NULL);
}

/*
 * actor_busy_forget_all
 *		Nothing is busy any more.
 */
void
actor_busy_forget_all(void)
{
	if (hash_get_num_entries(busy) > 0)
		restart_busy();
}

/* queues ---------------------------------------------------------------- */

/*
 * actor_queue_hold_up
 *		What follows a message in its queue is left alone in this round, too: it is not
 *		the first one, and would be hidden, with all that follow it.
 */
void
actor_queue_hold_up(const ActorDue *due)
{
	if (due->kind == DUE_MESSAGE)
		(void) hash_search(held_up, &due->actor.hash, HASH_ENTER, NULL);
}

/*
 * actor_queue_is_held_up
 *		Whether that was said of a message before this one.
 */
bool
actor_queue_is_held_up(const ActorDue *due)
{
	return due->kind == DUE_MESSAGE && hash_get_num_entries(held_up) > 0 &&
		hash_search(held_up, &due->actor.hash, HASH_FIND, NULL) != NULL;
}

/*
 * actor_queues_go_on
 *		Begins another round.
 */
void
actor_queues_go_on(void)
{
	if (hash_get_num_entries(held_up) > 0)
		restart_held_up();
}

/* alone ----------------------------------------------------------------- */

/*
 * actor_loner_note
 *		A row runs alone from now on, if it does not yet.  The result is valid
 *		until the row, or all, is forgotten.
 */
ActorLoner *
actor_loner_note(int64 generation)
{
	bool		found;
	ActorLoner *loner = hash_search(loners, &generation, HASH_ENTER, &found);

	if (!found)
	{
		loner->for_good = false;
		loner->turn_wait = 0;
		loner->tried_at = 0;
	}
	return loner;
}

/*
 * actor_loner_is
 *		Whether a row runs alone: it was noted, or was running when the server crashed.
 */
bool
actor_loner_is(int64 generation)
{
	return hash_search(loners, &generation, HASH_FIND, NULL) != NULL ||
		actor_suspect_crashes(MyDatabaseId, generation) >= 0;
}

/*
 * actor_loner_forget
 *		A row need not run alone any more.
 */
void
actor_loner_forget(int64 generation)
{
	hash_search(loners, &generation, HASH_REMOVE, NULL);
}
