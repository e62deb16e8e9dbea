/*-------------------------------------------------------------------------
 *
 * row_lock.c
 *		Locking the row of a reminder or timer outside of its firing.
 *
 * A reminder that is due all the time is locked by one firing after the other,
 * and whoever only waits for its row loses it to the next firing again and
 * again.  So he makes it known first that the row is wanted, by a shared lock
 * of a class of its own; a firing that would begin finds that out, without
 * waiting, and passes over the row.  Then only the firing under way is waited
 * for, and nobody but that row is kept from firing.  As soon as the row itself
 * is locked the other lock is given back.
 *
 * Only who has the right to change a row may get this far: the callers see to
 * that.
 *
 * Lock order: that the row is wanted, then the row; both after any turn.
 *
 * IDENTIFICATION
 *		src/reminder/row_lock.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "type/type.h"
#include "reminder/reminder.h"

#define LOCK_ROW(table) \
	{"SELECT role_name FROM " table \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND name OPERATOR(pg_catalog.=) $3 FOR UPDATE", \
	3, {TEXTOID, TEXTOID, TEXTOID}}

static ActorQuery lock_row[] = {
	LOCK_ROW("actor.reminder"),
	LOCK_ROW("actor.timer")
};

/* a wait for a row, and what has come of it */
typedef struct RowWait
{
	ActorDueKind kind;
	const ActorRef *actor;
	const text *name;
	NameData   *registrant;
	bool		found;
} RowWait;

static uint64
row_key(const ActorRef *actor, const text *name)
{
	return actor_hash_slice(name, actor->hash);
}

/*
 * actor_due_is_wanted
 *		Whether somebody waits for a row, which must not fire then.  Called by who
 *		has the actor's turn.
 */
bool
actor_due_is_wanted(const ActorRef *actor, const text *name)
{
	uint64		key = row_key(actor, name);

	if (actor_lock(ACTOR_LOCK_ROW, key, ExclusiveLock, false) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	actor_unlock(ACTOR_LOCK_ROW, key, ExclusiveLock);
	return false;
}

static void
wait_for_row(const void *arg)
{
	RowWait    *wait = unconstify(void *, arg);
	uint64		key = row_key(wait->actor, wait->name);
	ActorBookkeeping bookkeeping;
	Datum		values[3] = {PointerGetDatum(wait->actor->type), PointerGetDatum(wait->actor->id),
	PointerGetDatum(wait->name)};
	bool		isnull;

	(void) actor_lock(ACTOR_LOCK_ROW, key, ShareLock, true);
	actor_bookkeeping_begin(&bookkeeping);
	wait->found = actor_query_run(&lock_row[wait->kind], values, NULL) > 0;
	if (wait->found)
		*wait->registrant = *DatumGetName(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	actor_unlock(ACTOR_LOCK_ROW, key, ShareLock);
}

/*
 * actor_due_lock
 *		Locks the row of a reminder or timer and returns who has registered it;
 *		false if there is none.
 *
 * Waits for the firing under way, but at most for the call_timeout of the type;
 * raises lock_not_available then.  Who had the right to change it before need not
 * have it any more, and can find out.
 */
bool
actor_due_lock(ActorDueKind kind, const ActorRef *actor, const text *name,
			   NameData *registrant)
{
	ActorType  *type = actor_type_find(actor->type);
	int			timeout = type != NULL ? actor_type_call_timeout(type) :
	actor_call_timeout_default;
	RowWait		wait = {kind, actor, name, registrant, false};

	if (!actor_lock_within(timeout, 0, wait_for_row, &wait))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("%s \"%s\" of actor \"%s\" of type \"%s\" was not free within %d ms",
						actor_due_word(kind), text_to_cstring(name),
						text_to_cstring(actor->id), text_to_cstring(actor->type), timeout),
				 errdetail("It fires, or another transaction has changed it."),
				 errhint("\"%s\" or the type's call_timeout limit the wait.",
						 "actor.call_timeout")));
	AcceptInvalidationMessages();
	return wait.found;
}
