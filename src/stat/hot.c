/*-------------------------------------------------------------------------
 *
 * hot.c
 *		The actors that calls wait for most.
 *
 * A fixed number of entries in shared memory.  An actor that finds no entry
 * takes over the one with the fewest waits, and goes on counting from there:
 * so whoever is really waited for stays, and a count is too high by what was
 * taken over at most, which is shown.  (This is the "space saving" algorithm.)
 *
 * Only calls that have waited come here, so calls of actors that nobody else
 * wants cost nothing.  All is protected by one lightweight lock.
 *
 * IDENTIFICATION
 *		src/stat/hot.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "stat/internal.h"

PG_FUNCTION_INFO_V1(actor_get_hot_actors);

#define HOT_MAX				256

typedef struct HotActor
{
	Oid			database;		/* invalid: unused */
	uint64		hash;
	int			type_len;
	int			id_len;
	char		type[ACTOR_MAX_TYPE_LEN];
	char		id[ACTOR_MAX_NAME_LEN];
	uint64		waits;
	uint64		taken_over;		/* of these, perhaps those of others */
	double		wait_ms;		/* of its own */
} HotActor;

typedef struct HotShared
{
	LWLock	   *lock;
	HotActor	actors[HOT_MAX];
} HotShared;

static HotShared *shared = NULL;

Size
actor_hot_size(void)
{
	return sizeof(HotShared);
}

/*
 * actor_hot_attach
 *		Finds or makes the entries; the caller has AddinShmemInitLock.
 */
void
actor_hot_attach(LWLock *lock)
{
	bool		found;

	shared = ShmemInitStruct("actor hot actors", sizeof(HotShared), &found);
	if (found)
		return;
	memset(shared, 0, sizeof(HotShared));
	shared->lock = lock;
}

/*
 * actor_hot_reset
 *		Forgets the actors of this database.
 */
void
actor_hot_reset(void)
{
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < HOT_MAX; i++)
		if (shared->actors[i].database == MyDatabaseId)
			memset(&shared->actors[i], 0, sizeof(HotActor));
	LWLockRelease(shared->lock);
}

static bool
is_actor(const HotActor *hot, const ActorRef *actor)
{
	return hot->database == MyDatabaseId && hot->hash == actor->hash &&
		hot->type_len == VARSIZE_ANY_EXHDR(actor->type) &&
		hot->id_len == VARSIZE_ANY_EXHDR(actor->id) &&
		memcmp(hot->type, VARDATA_ANY(actor->type), hot->type_len) == 0 &&
		memcmp(hot->id, VARDATA_ANY(actor->id), hot->id_len) == 0;
}

/*
 * actor_hot_waited
 *		A call has waited for the turn of an actor.  Raises no error.
 */
void
actor_hot_waited(const ActorRef *actor, double ms)
{
	HotActor   *hot;

	if (shared == NULL || VARSIZE_ANY_EXHDR(actor->type) > ACTOR_MAX_TYPE_LEN ||
		VARSIZE_ANY_EXHDR(actor->id) > ACTOR_MAX_NAME_LEN)
		return;
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	hot = &shared->actors[0];
	for (int i = 0; i < HOT_MAX; i++)
	{
		HotActor   *candidate = &shared->actors[i];

		if (is_actor(candidate, actor))
		{
			hot = candidate;
			break;
		}
		/* one that is unused has no waits */
		if (candidate->waits < hot->waits)
			hot = candidate;
	}
	if (!is_actor(hot, actor))
	{
		hot->database = MyDatabaseId;
		hot->hash = actor->hash;
		hot->type_len = VARSIZE_ANY_EXHDR(actor->type);
		hot->id_len = VARSIZE_ANY_EXHDR(actor->id);
		memcpy(hot->type, VARDATA_ANY(actor->type), hot->type_len);
		memcpy(hot->id, VARDATA_ANY(actor->id), hot->id_len);
		hot->taken_over = hot->waits;
		hot->wait_ms = 0;
	}
	hot->waits++;
	hot->wait_ms += Max(ms, 0.0);
	LWLockRelease(shared->lock);
}

Datum
actor_get_hot_actors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorVisible visible;
	HotShared  *copy;

	InitMaterializedSRF(fcinfo, 0);
	if (shared == NULL)
		return (Datum) 0;
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	actor_visible_init(&visible);
	copy = palloc(sizeof(HotShared));
	LWLockAcquire(shared->lock, LW_SHARED);
	memcpy(copy, shared, sizeof(HotShared));
	LWLockRelease(shared->lock);

	for (int i = 0; i < HOT_MAX; i++)
	{
		HotActor   *hot = &copy->actors[i];
		Datum		values[5];
		bool		nulls[5] = {false};

		if (hot->database != MyDatabaseId ||
			!actor_visible_type(&visible, pnstrdup(hot->type, hot->type_len)))
			continue;
		values[0] = PointerGetDatum(cstring_to_text_with_len(hot->type, hot->type_len));
		values[1] = PointerGetDatum(cstring_to_text_with_len(hot->id, hot->id_len));
		values[2] = Int64GetDatum((int64) hot->waits);
		values[3] = Int64GetDatum((int64) hot->taken_over);
		values[4] = Float8GetDatum(hot->wait_ms);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
