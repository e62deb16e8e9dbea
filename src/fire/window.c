/*-------------------------------------------------------------------------
 *
 * window.c
 *		Where the scans of an executor begin.
 *
 * IDENTIFICATION
 *		src/fire/window.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/instrument.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "fire/internal.h"

/* microseconds after which one of many scans looks for earlier rows, too */
#define LOOK_EVERYWHERE_US	100000
/* pages that a scan accesses without much to find, if there is much to walk over */
#define DEAR_PAGES			500

/*
 * Where scans begin, and whether it is dear to look everywhere, because of what was
 * done and cannot be removed yet.
 */
static TimestampTz low_water = DT_NOBEGIN;
static bool dear = false;

/*
 * actor_window_begin
 *		The next scan must find what is due at that time.
 */
void
actor_window_begin(TimestampTz at)
{
	low_water = Min(low_water, at);
}

/*
 * actor_window_before
 *		When all is fired that was due until then, unless the scheduler tells.
 */
TimestampTz
actor_window_before(void)
{
	return dear && low_water != DT_NOBEGIN ? low_water - 1 : DT_NOBEGIN;
}

/*
 * actor_window_scan
 *		Reads what is due to a role by that time, from where the last scan has found
 *		something; as actor_due_scan does.
 *
 * Rows that were done have left entries in the index, which each scan would walk
 * over, more and more of them while there is much to do.  Rows with an earlier
 * time can turn up, by transactions that have taken their time to commit.  So a
 * scan that does not find as much as it wants looks everywhere, and one of those
 * that follow one another quickly does, too.  But if that is dear, scans begin
 * earlier only when the scheduler has told us so, and once a minute; see
 * pending.c for why nothing is missed by that.  It would not know of what comes from
 * other servers.
 */
List *
actor_window_scan(const NameData *role, TimestampTz now, int limit)
{
	static TimestampTz looked_at = DT_NOBEGIN;	/* everywhere */
	List	   *due_list = NIL;
	bool		begun = low_water != DT_NOBEGIN && looked_at != DT_NOBEGIN && now >= looked_at &&
	now - looked_at < (dear ? ACTOR_PAUSE_MAX_US : LOOK_EVERYWHERE_US);

	if (begun)
		due_list = actor_due_scan(role, low_water, now, limit);
	if (!begun || (!dear && list_length(due_list) < limit))
	{
		int64		pages = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;

		due_list = actor_due_scan(role, DT_NOBEGIN, now, limit);
		pages = pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read - pages;
		dear = pages >= DEAR_PAGES + list_length(due_list) && !actor_on_several_servers();
		looked_at = dear || list_length(due_list) >= limit ? now : DT_NOBEGIN;
	}
	low_water = due_list != NIL ? ((ActorDue *) linitial(due_list))->next_try_at : now;
	return due_list;
}
