/*-------------------------------------------------------------------------
 *
 * type_lock.c
 *		Keeping a type from being unregistered while its actors are written.
 *
 * Whoever writes rows of an actor shares a lock on its type first, until the
 * end of the (sub)transaction; unregistering takes it alone.  So when it looks
 * for data, nobody is writing any, and nobody will before it has committed.
 * Other types are not concerned.
 *
 * What was known of a type before its lock was taken may be out of date after
 * that, even without a wait, so invalidations are accepted then.
 *
 * Lock order: the lock of a type before the turns of its actors.
 *
 * IDENTIFICATION
 *		src/type_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/resowner.h"

#include "actor.h"

/* class of these advisory locks; see turn.c for those in use */
#define TYPE_LOCK_CLASS		0x4AC9

static void
set_lock_tag(LOCKTAG *tag, const text *type)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) VARDATA_ANY(type),
										   VARSIZE_ANY_EXHDR(type), 0);

	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (hash >> 32), (uint32) hash,
						 TYPE_LOCK_CLASS);
}

/*
 * Takes the lock of a type; false if it is not free and "wait" is not set.
 */
static bool
lock_type(const text *type, LOCKMODE mode, bool wait)
{
	LOCKTAG		tag;
	ResourceOwner owner = CurrentResourceOwner;
	LockAcquireResult result;

	set_lock_tag(&tag, type);
	/* it belongs to the subtransaction, like a turn */
	CurrentResourceOwner = CurTransactionResourceOwner;
	result = LockAcquire(&tag, mode, false, !wait);
	CurrentResourceOwner = owner;
	if (result == LOCKACQUIRE_OK)
		AcceptInvalidationMessages();
	return result != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * actor_type_try_share
 *		Shares the lock of a type; false if somebody is about to unregister it.
 */
bool
actor_type_try_share(const text *type)
{
	return lock_type(type, ShareLock, false);
}

/*
 * actor_type_unshare
 *		Undoes one sharing in this subtransaction, after which nothing was
 *		written.
 */
void
actor_type_unshare(const text *type)
{
	LOCKTAG		tag;
	ResourceOwner owner = CurrentResourceOwner;

	set_lock_tag(&tag, type);
	CurrentResourceOwner = CurTransactionResourceOwner;
	(void) LockRelease(&tag, ShareLock, false);
	CurrentResourceOwner = owner;
}

/*
 * Waits for the lock, at most timeout milliseconds if that is not 0, and at
 * most the caller's lock_timeout.
 */
static void
wait_to_share(const text *type, int timeout)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			saved_timeout = LockTimeout;
	bool		ours = timeout > 0 && (LockTimeout == 0 || timeout < LockTimeout);

	PG_TRY();
	{
		if (ours)
			LockTimeout = timeout;
		(void) lock_type(type, ShareLock, true);
		LockTimeout = saved_timeout;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LockTimeout = saved_timeout;
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!ours || error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("actor type \"%s\" was not free within %d ms",
						text_to_cstring(type), timeout),
				 errdetail("Somebody is about to unregister it.")));
	}
	PG_END_TRY();
}

/*
 * actor_type_share
 *		Shares the lock of a type, waiting for that up to timeout milliseconds,
 *		or for ever if that is 0.
 *
 * Returns whether what the caller knows of the type may be out of date.
 * Raises lock_not_available.
 */
bool
actor_type_share(const text *type, int timeout)
{
	uint64		generation = actor_catalog_generation();

	if (!actor_type_try_share(type))
	{
		if (!actor_turn_waiting_allowed())
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("actor type \"%s\" is not free", text_to_cstring(type)),
					 errdetail("Somebody is about to unregister it.")));
		wait_to_share(type, timeout);
	}
	return generation != actor_catalog_generation();
}

/*
 * actor_type_lock
 *		Takes the lock of a type alone, waiting for that as long as it takes.
 */
void
actor_type_lock(const text *type)
{
	(void) lock_type(type, ExclusiveLock, true);
}
