/*-------------------------------------------------------------------------
 *
 * logged.c
 *		Log lines that come again and again, by any worker.
 *
 * Those that are alike, whose key is the same, are logged once a minute with a
 * count of those that were left out.  There is one place for each of many keys,
 * which the next one with another key takes over; then a line more is logged.
 *
 * IDENTIFICATION
 *		src/shared/logged.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "shared/shared.h"

/* how seldom it is logged, in milliseconds */
#define LOG_AGAIN_MS		60000


/*
 * actor_log_again
 *		Whether a line is to be logged now, and how many like it were left out
 *		since the last one.
 */
bool
actor_log_again(uint64 key, int64 *left_out)
{
	ActorLogged *entry = &actor_shared->logged[key % ACTOR_LOGGED_COUNT];
	TimestampTz now = GetCurrentTimestamp();
	bool		again;

	SpinLockAcquire(&entry->mutex);
	/* a time to come is one from before the clock was set back */
	again = entry->key != key || entry->logged_at == 0 || entry->logged_at > now ||
		TimestampDifferenceExceeds(entry->logged_at, now, LOG_AGAIN_MS);
	*left_out = again && entry->key == key ? entry->left_out : 0;
	if (again)
	{
		entry->key = key;
		entry->logged_at = now;
		entry->left_out = 0;
	}
	else
		entry->left_out++;
	SpinLockRelease(&entry->mutex);
	return again;
}

/*
 * actor_log_vain
 *		Says what a worker could not do, unless something was only not free.  It is
 *		tried again and again, which is logged now and then.
 */
void
actor_log_vain(const char *what, const ErrorData *error)
{
	int64		left_out;

	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		!actor_log_again(actor_hash_slice(cstring_to_text(what), (uint64) error->sqlerrcode),
						 &left_out))
		return;
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg_internal("%s: %s", what, error->message ? error->message : ""),
			 left_out > 0 ?
			 errdetail(INT64_FORMAT " like that were left out here since the last one.", left_out) : 0));
}
