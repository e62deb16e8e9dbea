/*-------------------------------------------------------------------------
 *
 * running.c
 *		Asking running callbacks to end.
 *
 * What executors run is in the traces of shared memory, which callback.c
 * leaves.  Whoever wants callbacks to end says so here; the executor sees to
 * it.
 *
 * IDENTIFICATION
 *		src/shared/running.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/base.h"
#include "shared/shared.h"

/* that of this process; NULL: not an executor */
ActorTrace *actor_my_trace = NULL;


/*
 * actor_callback_ask_to_end
 *		Asks the callback of a trace, whose mutex is held, to end in the time that its
 *		type has for that.
 */
void
actor_callback_ask_to_end(ActorTrace *other, TimestampTz now)
{
	pg_atomic_write_u64(&other->cancel_at,
						TimestampTzPlusMilliseconds(now, other->drain_timeout));
	pg_write_barrier();
	pg_atomic_write_u64(&other->cancel_run, other->run);
}

/*
 * actor_callback_drain
 *		Asks the running callbacks of this database, or of one type, to end,
 *		and gives each the time its type has for that.
 *
 * That the callbacks of the type must end is known to others before; see
 * heed_drain.
 */
void
actor_callback_drain(const text *type)
{
	TimestampTz now = GetCurrentTimestamp();

	for (int slot = 0; actor_shared != NULL && slot < actor_shared->nslots; slot++)
	{
		ActorTrace *other = &actor_shared->traces[slot];

		SpinLockAcquire(&other->mutex);
		if (other != actor_my_trace &&
			other->state == TRACE_RUNNING && other->database == MyDatabaseId &&
			(type == NULL ||
			 (other->type_len == VARSIZE_ANY_EXHDR(type) &&
			  memcmp(other->type, VARDATA_ANY(type), other->type_len) == 0)) &&
			pg_atomic_read_u64(&other->cancel_run) != other->run)
			actor_callback_ask_to_end(other, now);
		SpinLockRelease(&other->mutex);
	}
}
