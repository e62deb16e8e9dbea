/*-------------------------------------------------------------------------
 *
 * lock.c
 *		Advisory locks of our own classes.
 *
 * They belong to the subtransaction that takes them, as held turns do.  In a
 * cursor the current owner is that of its portal, which can end with an inner
 * subtransaction although the cursor was opened in an outer one.
 *
 * IDENTIFICATION
 *		src/base/lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/resowner.h"

#include "base/base.h"

/* whether what is not free may be waited for */
static bool waiting_allowed = true;

static void
set_tag(LOCKTAG *tag, ActorLockClass class, uint64 key)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key, class);
}

/*
 * actor_span_begin
 *		Says that something holds as long as a lock that is taken now.  A
 *		transaction that has not written anything yet is none, as it has no number.
 */
void
actor_span_begin(ActorSpan *span)
{
	span->xid = GetTopTransactionIdIfAny();
	span->subid = GetCurrentSubTransactionId();
}

/*
 * actor_span_lasts
 *		Whether it still holds.
 */
bool
actor_span_lasts(const ActorSpan *span)
{
	return TransactionIdIsValid(span->xid) && span->xid == GetTopTransactionIdIfAny() &&
		SubTransactionIsActive(span->subid);
}

/*
 * actor_lock
 *		Takes a lock until the end of the subtransaction; waits for it if that
 *		is wanted, for as long as lock_timeout allows.
 */
LockAcquireResult
actor_lock(ActorLockClass class, uint64 key, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;
	ResourceOwner owner = CurrentResourceOwner;
	LockAcquireResult result;

	set_tag(&tag, class, key);
	CurrentResourceOwner = CurTransactionResourceOwner;
	result = LockAcquire(&tag, mode, false, !wait);
	CurrentResourceOwner = owner;
	return result;
}

/*
 * actor_lock_try
 *		Takes a lock alone until the end of the subtransaction, if it is free.
 */
bool
actor_lock_try(ActorLockClass class, uint64 key)
{
	return actor_lock(class, key, ExclusiveLock, false) != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * actor_unlock
 *		Releases a lock that was taken in this subtransaction.
 */
void
actor_unlock(ActorLockClass class, uint64 key, LOCKMODE mode)
{
	LOCKTAG		tag;
	ResourceOwner owner = CurrentResourceOwner;

	set_tag(&tag, class, key);
	CurrentResourceOwner = CurTransactionResourceOwner;
	(void) LockRelease(&tag, mode, false);
	CurrentResourceOwner = owner;
}

/*
 * actor_lock_limit
 *		How many milliseconds somebody waits at most who may wait for so many: no
 *		more than the caller's lock_timeout.  In each of them 0 is for ever.
 */
int
actor_lock_limit(int timeout)
{
	return LockTimeout > 0 && (timeout == 0 || LockTimeout < timeout) ? LockTimeout : timeout;
}

/*
 * actor_lock_within
 *		Calls a function that waits for a lock, for at most timeout milliseconds
 *		if that is not 0, and at most the caller's lock_timeout; so many of them
 *		have been spent already.
 *
 * Returns false if it was the timeout that has ended the wait, since the
 * server's own error would not say what was waited for; other errors are
 * raised.
 */
bool
actor_lock_within(int timeout, int spent, void (*wait) (const void *arg), const void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			saved_timeout = LockTimeout;
	bool		ours = timeout > 0 && (LockTimeout == 0 || timeout < LockTimeout);
	volatile bool within = true;

	PG_TRY();
	{
		if (ours)
			LockTimeout = timeout;
		if (LockTimeout > 0)
			LockTimeout = Max(LockTimeout - spent, 1);
		wait(arg);
		LockTimeout = saved_timeout;
	}
	PG_CATCH();
	{
		LockTimeout = saved_timeout;
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(context);
		if (!ours || geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		within = false;
	}
	PG_END_TRY();
	return within;
}

/*
 * actor_lock_allow_waiting
 *		Whether types and turns are waited for from now on; if not, one that is
 *		not free raises lock_not_available at once.  Lasts until it is changed
 *		again.
 */
void
actor_lock_allow_waiting(bool allowed)
{
	waiting_allowed = allowed;
}

/*
 * actor_lock_waiting_allowed
 *		Whether types and turns are waited for.
 */
bool
actor_lock_waiting_allowed(void)
{
	return waiting_allowed;
}
