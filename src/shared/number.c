/*-------------------------------------------------------------------------
 *
 * number.c
 *		Numbers that are drawn on one server of many.
 *
 * A sequence is one of its own on each server.  So where actors are on several, a
 * number is made of the time and of the number that the server has among them.  It is
 * greater than all that were drawn here before, and about the same as those that
 * other servers draw at the same time.
 *
 * IDENTIFICATION
 *		src/shared/number.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/timestamp.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"

/* servers whose numbers differ for sure, as a power of two */
#define SERVER_BITS		10

/*
 * The time in microseconds, or what comes after the last one that somebody has got here.
 */
static uint64
next_instant(void)
{
	static uint64 last = 0;
	uint64		now = (uint64) GetCurrentTimestamp();

	if (actor_shared == NULL)
		return last = Max(last + 1, now);
	last = pg_atomic_read_u64(&actor_shared->last_number);
	while (!pg_atomic_compare_exchange_u64(&actor_shared->last_number, &last,
										   Max(last + 1, now)))
		continue;
	return Max(last + 1, now);
}

/*
 * actor_cluster_number
 *		A number that no other server of the cluster draws, greater than those of
 *		this one.
 */
int64
actor_cluster_number(void)
{
	uint64		server = (uint64) actor_own_group() & ((1 << SERVER_BITS) - 1);

	return (int64) (next_instant() << SERVER_BITS | server);
}
