/*-------------------------------------------------------------------------
 *
 * stats.c
 *		Counters by database, type and method, in shared memory.
 *
 * They work as those of pg_stat_statements do: a fixed number of entries,
 * found by a hash table under a lightweight lock; when all are in use the
 * least used ones of the types that have most make room.  They count what
 * happened, whether or not the transaction commits, and begin from zero when the
 * server starts.
 *
 * A call that was made before takes no lock but the spinlock of its entry: the
 * method remembers number and generation of the entry.  The generation changes
 * whenever an entry is taken or given back, so nobody counts in one that has
 * become somebody else's.
 *
 * The lock protects the hash table, the list of free entries and the keys; it
 * is taken in exclusive mode to change them.  The spinlock of an entry
 * protects its counters and its generation.
 *
 * Nothing here raises an error while it counts, because that happens while
 * other errors are dealt with.
 *
 * IDENTIFICATION
 *		src/stat/stats.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "stat/internal.h"

PG_FUNCTION_INFO_V1(actor_get_method_stats);
PG_FUNCTION_INFO_V1(actor_get_firing_stats);
PG_FUNCTION_INFO_V1(actor_stat_reset);

/* so much of the entries makes room at once, but at least so many */
#define EVICT_PERCENT		5
#define EVICT_MIN			10
/* what uses of long ago are still worth each time some make room */
#define USAGE_DECAY			0.99

typedef struct StatKey
{
	Oid			database;
	int			kind;			/* an ActorStatKind */
	char		type[NAMEDATALEN];	/* padded with zeros, as the method is */
	char		method[NAMEDATALEN];
} StatKey;

typedef struct StatEntry
{
	StatKey		key;
	slock_t		mutex;
	uint64		generation;		/* grows when the entry is taken or given back */
	bool		in_use;
	double		usage;
	ActorStatCounters counters;
} StatEntry;

/* where an entry is */
typedef struct StatIndexEntry
{
	StatKey		key;			/* hash key */
	int			slot;
} StatIndexEntry;

typedef struct StatShared
{
	LWLock	   *lock;
	int			nfree;
	int		   *free;			/* behind the entries */
	StatEntry	entries[FLEXIBLE_ARRAY_MEMBER];
} StatShared;

/* an entry in the order in which entries make room */
typedef struct Eviction
{
	int			slot;
	Oid			database;
	const char *type;
	int			rank;			/* entries of the type that are used more */
	double		usage;
} Eviction;

/* settings */
static bool track = true;
static int	stat_max = 1000;

static StatShared *shared = NULL;
static HTAB *stat_index = NULL;

/* shared memory --------------------------------------------------------- */

/*
 * actor_stats_init
 *		Defines the settings.
 */
void
actor_stats_init(void)
{
	DefineCustomBoolVariable("actor.track",
							 "Enables counting the calls of methods.",
							 "Has no effect unless the library is preloaded.",
							 &track, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("actor.stat_max",
								"Sets the maximum number of methods whose calls are counted.",
								"The least used ones of the types that have most make room for others.",
								&stat_max, 1000, 100, INT_MAX / 2,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

static Size
entries_size(void)
{
	return MAXALIGN(add_size(offsetof(StatShared, entries),
							 mul_size(stat_max, sizeof(StatEntry))));
}

static Size
stats_size(void)
{
	return add_size(entries_size(), mul_size(stat_max, sizeof(int)));
}

/*
 * actor_stats_request
 *		Asks for the shared memory of all that is counted and shown.
 */
void
actor_stats_request(void)
{
	RequestAddinShmemSpace(add_size(stats_size(),
									hash_estimate_size(stat_max, sizeof(StatIndexEntry))));
	RequestAddinShmemSpace(actor_worker_stats_size());
	RequestAddinShmemSpace(actor_activity_size());
	RequestAddinShmemSpace(actor_hot_size());
	RequestNamedLWLockTranche("actor_stats", 2);
}

/*
 * actor_stats_attach
 *		Finds or makes it; the caller has AddinShmemInitLock.
 */
void
actor_stats_attach(void)
{
	HASHCTL		ctl;
	bool		found;

	shared = ShmemInitStruct("actor statistics", stats_size(), &found);
	if (!found)
	{
		memset(shared, 0, stats_size());
		shared->lock = &(GetNamedLWLockTranche("actor_stats"))->lock;
		shared->free = (int *) ((char *) shared + entries_size());
		for (int slot = stat_max - 1; slot >= 0; slot--)
		{
			SpinLockInit(&shared->entries[slot].mutex);
			shared->free[shared->nfree++] = slot;
		}
	}
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(StatKey);
	ctl.entrysize = sizeof(StatIndexEntry);
	stat_index = ShmemInitHash("actor statistics hash", stat_max, stat_max, &ctl,
							   HASH_ELEM | HASH_BLOBS);
	actor_worker_stats_attach();
	actor_activity_attach();
	actor_hot_attach(&(GetNamedLWLockTranche("actor_stats"))[1].lock);
}

/* entries --------------------------------------------------------------- */

static void
fill_key(StatKey *key, ActorStatKind kind, const text *type, const text *method)
{
	memset(key, 0, sizeof(*key));
	key->database = MyDatabaseId;
	key->kind = kind;
	memcpy(key->type, VARDATA_ANY(type), Min(VARSIZE_ANY_EXHDR(type), NAMEDATALEN - 1));
	if (method != NULL)
		memcpy(key->method, VARDATA_ANY(method),
			   Min(VARSIZE_ANY_EXHDR(method), NAMEDATALEN - 1));
}

/*
 * Gives an entry back.  The caller has the lock in exclusive mode.
 */
static void
give_back(int slot)
{
	StatEntry  *entry = &shared->entries[slot];

	hash_search(stat_index, &entry->key, HASH_REMOVE, NULL);
	SpinLockAcquire(&entry->mutex);
	entry->generation++;
	entry->in_use = false;
	SpinLockRelease(&entry->mutex);
	shared->free[shared->nfree++] = slot;
}

static int
compare_types(const void *a, const void *b)
{
	const Eviction *first = a;
	const Eviction *second = b;
	int			order = memcmp(first->type, second->type, NAMEDATALEN);

	if (first->database != second->database)
		return first->database < second->database ? -1 : 1;
	if (order != 0)
		return order;
	return first->usage > second->usage ? -1 : first->usage < second->usage;
}

static int
compare_evictions(const void *a, const void *b)
{
	const Eviction *first = a;
	const Eviction *second = b;

	if (first->rank != second->rank)
		return first->rank > second->rank ? -1 : 1;
	return first->usage < second->usage ? -1 : first->usage > second->usage;
}

/*
 * Lists the entries in use, the type with most of them first: each by how many
 * of its type were used more.  So no type takes the entries of another one that
 * has fewer, however often it is called.
 */
static int
list_evictions(Eviction *list)
{
	int			count = 0;

	for (int slot = 0; slot < stat_max; slot++)
	{
		StatEntry  *entry = &shared->entries[slot];
		Eviction   *eviction = &list[count];

		if (!entry->in_use)
			continue;
		SpinLockAcquire(&entry->mutex);
		entry->usage *= USAGE_DECAY;
		eviction->usage = entry->usage;
		SpinLockRelease(&entry->mutex);
		eviction->slot = slot;
		eviction->database = entry->key.database;
		eviction->type = entry->key.type;
		count++;
	}
	qsort(list, count, sizeof(Eviction), compare_types);
	for (int i = 0; i < count; i++)
		list[i].rank = i > 0 && list[i].database == list[i - 1].database &&
			memcmp(list[i].type, list[i - 1].type, NAMEDATALEN) == 0 ?
			list[i - 1].rank + 1 : 0;
	qsort(list, count, sizeof(Eviction), compare_evictions);
	return count;
}

/*
 * Makes room.  The caller has the lock in exclusive mode.  Without memory for
 * the list of what is to go nothing goes.
 */
static void
evict(void)
{
	int			limit = Max(EVICT_MIN, (int) ((int64) stat_max * EVICT_PERCENT / 100));
	Eviction   *list = malloc(stat_max * sizeof(Eviction));
	int			count;

	if (list == NULL)
		return;
	count = list_evictions(list);
	for (int i = 0; i < Min(count, limit); i++)
		give_back(list[i].slot);
	free(list);
}

/*
 * Takes an entry for a key that has none.  The caller has the lock in
 * exclusive mode.  Returns -1 if there is no room.
 */
static int
take_entry(const StatKey *key)
{
	StatIndexEntry *found;
	StatEntry  *entry;
	int			slot;

	if (shared->nfree == 0)
		evict();
	if (shared->nfree == 0)
		return -1;
	found = hash_search(stat_index, key, HASH_ENTER_NULL, NULL);
	if (found == NULL)
		return -1;
	slot = found->slot = shared->free[--shared->nfree];
	entry = &shared->entries[slot];
	entry->key = *key;
	SpinLockAcquire(&entry->mutex);
	entry->generation++;
	entry->in_use = true;
	entry->usage = 1.0;
	memset(&entry->counters, 0, sizeof(entry->counters));
	SpinLockRelease(&entry->mutex);
	return slot;
}

/*
 * Finds the entry of a key, or takes one for it; false if there is no room.
 */
static bool
find_entry(const StatKey *key, ActorStatRef *ref)
{
	StatIndexEntry *found;
	int			slot = -1;

	LWLockAcquire(shared->lock, LW_SHARED);
	found = hash_search(stat_index, key, HASH_FIND, NULL);
	if (found == NULL)
	{
		LWLockRelease(shared->lock);
		LWLockAcquire(shared->lock, LW_EXCLUSIVE);
		found = hash_search(stat_index, key, HASH_FIND, NULL);
		if (found == NULL)
			slot = take_entry(key);
	}
	if (found != NULL)
		slot = found->slot;
	/* generations change under the lock only */
	if (slot >= 0)
	{
		ref->slot = slot;
		ref->generation = shared->entries[slot].generation;
	}
	LWLockRelease(shared->lock);
	return slot >= 0;
}

/*
 * Takes the spinlock of the entry that is remembered, or else of the one of
 * that key; NULL if there is none.
 */
static StatEntry *
lock_entry(ActorStatKind kind, const text *type, const text *method, ActorStatRef *ref)
{
	StatKey		key;
	StatEntry  *entry;

	if (ref->generation != 0)
	{
		entry = &shared->entries[ref->slot];
		SpinLockAcquire(&entry->mutex);
		if (entry->generation == ref->generation)
			return entry;
		SpinLockRelease(&entry->mutex);
	}

	/* somebody may take the entry as soon as it is found */
	fill_key(&key, kind, type, method);
	for (int tries = 0; tries < 3; tries++)
	{
		if (!find_entry(&key, ref))
			break;
		entry = &shared->entries[ref->slot];
		SpinLockAcquire(&entry->mutex);
		if (entry->generation == ref->generation)
			return entry;
		SpinLockRelease(&entry->mutex);
	}
	ref->generation = 0;
	return NULL;
}

/* counting -------------------------------------------------------------- */

/*
 * actor_stats_collected
 *		Whether there is anything to count with.
 */
bool
actor_stats_collected(void)
{
	return shared != NULL;
}

/*
 * actor_stat_called
 *		A method has returned, or failed, after so many milliseconds.  The
 *		method remembers its entry in "ref".
 */
void
actor_stat_called(const ActorFrame *frame, ActorStatRef *ref, double ms, bool failed)
{
	StatEntry  *entry;

	if (shared == NULL || !track)
		return;
	entry = lock_entry(STAT_METHOD, frame->actor.type, frame->method, ref);
	if (entry == NULL)
		return;
	entry->usage += 1.0;
	entry->counters.calls++;
	if (failed)
		entry->counters.errors++;
	actor_histogram_add(&entry->counters.time, ms);
	SpinLockRelease(&entry->mutex);
}

/*
 * actor_stat_waited
 *		A call has waited for the turn, with that SQLSTATE if it did not get it,
 *		else 0.  A worker that queues for its turn has no method yet.
 */
void
actor_stat_waited(const ActorRef *actor, const text *method, double ms, int sqlstate)
{
	ActorStatRef ref = {0, 0};
	StatEntry  *entry;

	if (shared == NULL || !track)
		return;
	actor_hot_waited(actor, ms);
	if (method == NULL)
		return;
	entry = lock_entry(STAT_METHOD, actor->type, method, &ref);
	if (entry == NULL)
		return;
	entry->usage += 1.0;
	entry->counters.wait_ms += Max(ms, 0.0);
	if (sqlstate != 0)
	{
		entry->counters.calls++;
		entry->counters.errors++;
	}
	if (sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED)
		entry->counters.deadlocks++;
	SpinLockRelease(&entry->mutex);
}

/*
 * actor_stat_refused
 *		Reentry was refused.
 */
void
actor_stat_refused(const ActorRef *actor, const text *method)
{
	ActorStatRef ref = {0, 0};
	StatEntry  *entry;

	if (shared == NULL || !track || method == NULL)
		return;
	entry = lock_entry(STAT_METHOD, actor->type, method, &ref);
	if (entry == NULL)
		return;
	entry->usage += 1.0;
	entry->counters.calls++;
	entry->counters.errors++;
	entry->counters.reentries_refused++;
	SpinLockRelease(&entry->mutex);
}

/*
 * actor_stat_fired
 *		A worker has run a callback of an actor that was due at that time.
 */
void
actor_stat_fired(const ActorRef *actor, TimestampTz due_at, TimestampTz fired_at, bool failed)
{
	ActorStatRef ref = {0, 0};
	double		late_ms = (fired_at - due_at) / 1000.0;
	StatEntry  *entry;

	actor_worker_stat_fired(late_ms, failed);
	if (shared == NULL || !track)
		return;
	entry = lock_entry(STAT_FIRING, actor->type, NULL, &ref);
	if (entry == NULL)
		return;
	entry->usage += 1.0;
	entry->counters.calls++;
	if (failed)
		entry->counters.errors++;
	actor_histogram_add(&entry->counters.time, late_ms);
	SpinLockRelease(&entry->mutex);
}

/* reading --------------------------------------------------------------- */

/*
 * actor_stats_copy
 *		The counters of this database, as a list of ActorStatRow in the current
 *		memory context.
 */
List *
actor_stats_copy(ActorStatKind kind)
{
	List	   *rows = NIL;

	if (shared == NULL)
		return NIL;
	LWLockAcquire(shared->lock, LW_SHARED);
	for (int slot = 0; slot < stat_max; slot++)
	{
		StatEntry  *entry = &shared->entries[slot];
		ActorStatRow *row;

		if (!entry->in_use || entry->key.database != MyDatabaseId ||
			entry->key.kind != (int) kind)
			continue;
		row = palloc(sizeof(ActorStatRow));
		memcpy(row->type, entry->key.type, NAMEDATALEN);
		memcpy(row->method, entry->key.method, NAMEDATALEN);
		SpinLockAcquire(&entry->mutex);
		row->counters = entry->counters;
		SpinLockRelease(&entry->mutex);
		rows = lappend(rows, row);
	}
	LWLockRelease(shared->lock);
	return rows;
}

/*
 * The bounds of a histogram in seconds, and how many durations are not longer.
 */
static void
show_histogram(const ActorHistogram *histogram, Datum *bounds, Datum *counts)
{
	Datum		bound[ACTOR_BOUND_LAST];
	Datum		count[ACTOR_BOUND_LAST];
	int			n = 0;

	for (int i = ACTOR_BOUND_FIRST; i <= ACTOR_BOUND_LAST; i += ACTOR_BOUND_STEP)
	{
		bound[n] = Float8GetDatum((double) (UINT64CONST(1) << i) / 1e6);
		count[n] = Int64GetDatum((int64) actor_histogram_below(histogram, i));
		n++;
	}
	*bounds = PointerGetDatum(construct_array(bound, n, FLOAT8OID, sizeof(float8),
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	*counts = PointerGetDatum(construct_array(count, n, INT8OID, sizeof(int64),
											  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Fills in a column that has no value without any duration.
 */
static void
set_duration(Datum *value, bool *isnull, const ActorHistogram *histogram, double ms)
{
	*isnull = histogram->count == 0;
	*value = Float8GetDatum(ms);
}

Datum
actor_get_method_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorVisible visible;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	actor_visible_init(&visible);
	foreach(cell, actor_stats_copy(STAT_METHOD))
	{
		ActorStatRow *row = lfirst(cell);
		ActorStatCounters *counters = &row->counters;
		ActorHistogram *time = &counters->time;
		Datum		values[17];
		bool		nulls[17] = {false};

		if (!actor_visible_type(&visible, row->type))
			continue;
		values[0] = CStringGetTextDatum(row->type);
		values[1] = CStringGetTextDatum(row->method);
		values[2] = Int64GetDatum((int64) counters->calls);
		values[3] = Int64GetDatum((int64) counters->errors);
		values[4] = Float8GetDatum(time->sum);
		set_duration(&values[5], &nulls[5], time, time->min);
		set_duration(&values[6], &nulls[6], time, time->max);
		set_duration(&values[7], &nulls[7], time, time->sum / Max(time->count, 1));
		set_duration(&values[8], &nulls[8], time, actor_histogram_quantile(time, 0.50));
		set_duration(&values[9], &nulls[9], time, actor_histogram_quantile(time, 0.95));
		set_duration(&values[10], &nulls[10], time, actor_histogram_quantile(time, 0.99));
		values[11] = Float8GetDatum(counters->wait_ms);
		values[12] = Int64GetDatum((int64) counters->deadlocks);
		values[13] = Int64GetDatum((int64) counters->reentries_refused);
		values[14] = Int64GetDatum((int64) time->count);
		show_histogram(time, &values[15], &values[16]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
actor_get_firing_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorVisible visible;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	actor_visible_init(&visible);
	foreach(cell, actor_stats_copy(STAT_FIRING))
	{
		ActorStatRow *row = lfirst(cell);
		ActorHistogram *late = &row->counters.time;
		Datum		values[8];
		bool		nulls[8] = {false};

		if (!actor_visible_type(&visible, row->type))
			continue;
		values[0] = CStringGetTextDatum(row->type);
		values[1] = Int64GetDatum((int64) row->counters.calls);
		values[2] = Int64GetDatum((int64) row->counters.errors);
		values[3] = Float8GetDatum(late->sum);
		set_duration(&values[4], &nulls[4], late, actor_histogram_quantile(late, 0.50));
		set_duration(&values[5], &nulls[5], late, actor_histogram_quantile(late, 0.99));
		show_histogram(late, &values[6], &values[7]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
actor_stat_reset(PG_FUNCTION_ARGS)
{
	if (shared == NULL)
		PG_RETURN_VOID();
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	for (int slot = 0; slot < stat_max; slot++)
		if (shared->entries[slot].in_use &&
			shared->entries[slot].key.database == MyDatabaseId)
			give_back(slot);
	LWLockRelease(shared->lock);
	actor_hot_reset();
	PG_RETURN_VOID();
}
