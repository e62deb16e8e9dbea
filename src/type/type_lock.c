/*-------------------------------------------------------------------------
 *
 * type_lock.c
 *		Keeping a type from being unregistered or renamed while its actors are written.
 *
 * Whoever writes rows of an actor shares a lock on its type first, until the
 * end of the (sub)transaction; unregistering and renaming take it alone.  So when that looks
 * for data, nobody is writing any, and nobody will before it has committed.
 * Other types are not concerned.
 *
 * What was known of a type before its lock was taken may be out of date after
 * that, even without a wait, so invalidations are accepted then.
 *
 * Whoever unregisters a type and wants its callbacks to end says so by a second
 * lock, before he looks for those that run: a callback that has shared the type
 * before that, and begins after it, finds that lock taken.
 *
 * Lock order: the lock that a type is leaving, the lock of a type, then the turns
 * of its actors.
 *
 * IDENTIFICATION
 *		src/type/type_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "type/type.h"

/* the type that was shared last, and how long that lasts */
static struct
{
	int			len;
	char		name[ACTOR_MAX_TYPE_LEN];
	ActorSpan	span;
}			shared;

/*
 * Takes the lock of a type; false if it is not free and "wait" is not set.
 */
static bool
lock_type(const text *type, LOCKMODE mode, bool wait)
{
	LockAcquireResult result = actor_lock(ACTOR_LOCK_TYPE, actor_hash_type(type), mode, wait);

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
 *		Undoes one sharing in this subtransaction, not one by actor_type_share,
 *		after which nothing was written.
 */
void
actor_type_unshare(const text *type)
{
	actor_unlock(ACTOR_LOCK_TYPE, actor_hash_type(type), ShareLock);
}

/*
 * Whether a type is the one that was shared last, and still is.
 */
static bool
is_shared(const text *type)
{
	return VARSIZE_ANY_EXHDR(type) == shared.len && actor_span_lasts(&shared.span) &&
		memcmp(VARDATA_ANY(type), shared.name, shared.len) == 0;
}

static void
remember_shared(const text *type)
{
	/* no type has a longer name */
	if (VARSIZE_ANY_EXHDR(type) > sizeof(shared.name))
		return;
	shared.len = VARSIZE_ANY_EXHDR(type);
	memcpy(shared.name, VARDATA_ANY(type), shared.len);
	actor_span_begin(&shared.span);
}

static void
wait_to_share(const void *type)
{
	(void) lock_type(type, ShareLock, true);
}

/*
 * actor_type_share_anew
 *		Shares the lock of a type once more, so that this can be undone, waiting for
 *		that up to timeout milliseconds, or for ever if that is 0.
 *
 * Raises lock_not_available.
 */
void
actor_type_share_anew(const text *type, int timeout)
{
	if (actor_type_try_share(type))
		return;
	if (!actor_lock_waiting_allowed())
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("actor type \"%s\" is not free", text_to_cstring(type)),
				 errdetail("Somebody is about to unregister or rename it.")));
	if (!actor_lock_within(timeout, 0, wait_to_share, type))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("actor type \"%s\" was not free within %d ms",
						text_to_cstring(type), timeout),
				 errdetail("Somebody is about to unregister or rename it.")));
}

/*
 * actor_type_share
 *		The same until the end of the subtransaction, unless that was done last.
 *		It must not be undone: who comes later may rely on it.
 *
 * Returns whether what the caller knows of the type may be out of date, which he
 * has found out when the generation of the catalog was that, or later.
 */
bool
actor_type_share(const text *type, int timeout, uint64 generation)
{
	if (is_shared(type))
		return false;
	actor_type_share_anew(type, timeout);
	remember_shared(type);
	return generation != actor_catalog_generation();
}

/*
 * actor_type_lock
 *		Takes the lock of a type alone, waiting for that as long as it takes.  If
 *		actors are on several servers, all turns end, and none begins meanwhile.
 */
void
actor_type_lock(const text *type)
{
	(void) lock_type(type, ExclusiveLock, true);
	actor_distribute_lock_out();
}

/*
 * actor_type_set_leaving
 *		Lets it be known, until the end of the (sub)transaction, that the
 *		callbacks of a type must end.
 */
void
actor_type_set_leaving(const text *type)
{
	(void) actor_lock(ACTOR_LOCK_LEAVING, actor_hash_type(type), ExclusiveLock, true);
}

/*
 * actor_type_is_leaving
 *		Whether somebody else has done that.
 */
bool
actor_type_is_leaving(const text *type)
{
	if (actor_lock(ACTOR_LOCK_LEAVING, actor_hash_type(type), ShareLock, false) ==
		LOCKACQUIRE_NOT_AVAIL)
		return true;
	actor_unlock(ACTOR_LOCK_LEAVING, actor_hash_type(type), ShareLock);
	return false;
}
