/*-------------------------------------------------------------------------
 *
 * gone.c
 *		Hosts that are gone: forgetting what they have left.
 *
 * What the application of a host that is gone may have in its memory is kept for the
 * next host beside it.  There need not be one: the machine has been taken away, say.
 * So it is not kept for ever.  An application that has been without a host for longer
 * must be started anew before it gets one, as is documented.
 *
 * IDENTIFICATION
 *		src/host/gone.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "store/store.h"
#include "host/internal.h"

/* how long what a host has left is kept */
#define KEPT_DAYS			30
/* most rows of a table that are removed in one transaction */
#define FORGET_MAX			1000
/* when rows that others have locked are looked at again */
#define AGAIN_MS			60000

static ActorQuery write_gone = {
	"UPDATE actor.host SET gone_at = $2 WHERE host_id OPERATOR(pg_catalog.=) $1",
	2, {UUIDOID, TIMESTAMPTZOID}
};

/* whoever has the turn of an actor may have locked its row for long */
#define DELETE_LEFT(table) \
	"DELETE FROM " table " d USING" \
	"  (SELECT actor_type, actor_id FROM " table \
	"    WHERE host_id OPERATOR(pg_catalog.=) $1 LIMIT $2 FOR UPDATE SKIP LOCKED) s" \
	" WHERE d.actor_type OPERATOR(pg_catalog.=) s.actor_type" \
	"   AND d.actor_id OPERATOR(pg_catalog.=) s.actor_id" \
	"   AND d.host_id OPERATOR(pg_catalog.=) $1"

static ActorQuery delete_placements = {
	DELETE_LEFT("actor.placement"),
	2, {UUIDOID, INT8OID}
};

static ActorQuery delete_leftovers = {
	DELETE_LEFT("actor.leftover"),
	2, {UUIDOID, INT8OID}
};

static void
note_gone(const pg_uuid_t *id, TimestampTz now)
{
	Datum		values[2] = {UUIDPGetDatum(id), TimestampTzGetDatum(now)};
	ActorBookkeeping bookkeeping;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&write_gone, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Removes what a host has left, up to a limit, and then the host.  Returns whether
 * the limit was reached.
 */
static bool
forget(const pg_uuid_t *id)
{
	Datum		values[2] = {UUIDPGetDatum(id), Int64GetDatum(FORGET_MAX)};
	ActorBookkeeping bookkeeping;
	uint64		count;

	actor_bookkeeping_begin(&bookkeeping);
	count = actor_query_run(&delete_placements, values, NULL);
	count = Max(count, actor_query_run(&delete_leftovers, values, NULL));
	actor_bookkeeping_end(&bookkeeping);
	actor_host_remove_empty(id);
	return count >= FORGET_MAX;
}

/*
 * actor_hosts_forget_gone
 *		Forgets what hosts have left that have been gone for long, and notes which ones
 *		are gone.  Returns when to do that again.
 */
TimestampTz
actor_hosts_forget_gone(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = DT_NOEND;
	ListCell   *cell;

	foreach(cell, actor_hosts_read())
	{
		const ActorHost *host = lfirst(cell);
		TimestampTz at;

		if (host->alive)
			continue;
		if (host->gone_at == 0)
			note_gone(&host->id, now);
		at = (host->gone_at == 0 ? now : host->gone_at) + KEPT_DAYS * USECS_PER_DAY;
		if (at <= now)
			at = forget(&host->id) ? now : TimestampTzPlusMilliseconds(now, AGAIN_MS);
		next = Min(next, at);
	}
	return next;
}
