/*-------------------------------------------------------------------------
 *
 * location.c
 *		Where rows of the extension's tables were last seen by this session.
 *
 * Going down an index costs more than all else that is done to find a row.
 * Most rows are where they were: an update that changes no index keeps a row
 * on its page, in a chain of versions that begins at the same line.  So a
 * session remembers the begin of the chain and the buffer of its page.
 *
 * What is remembered may be wrong, and nothing depends on it.  The server says
 * whether the buffer still has the page, the snapshot which version of the
 * chain is to be seen, and the row itself whether it has the key.  A primary
 * key has one visible row, so that is the one the index would lead to.  Whoever
 * finds nothing asks the index.
 *
 * The memory is a table of sets of two, which grows with the rows a session
 * uses up to a fixed size.
 *
 * IDENTIFICATION
 *		src/location.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "actor.h"
#include "compat.h"

/* rows that are remembered of a table, which must be powers of two */
#define MIN_LOCATIONS	256
#define MAX_LOCATIONS	32768

struct ActorLocation
{
	uint32		hash;			/* of the key */
	Buffer		buffer;			/* InvalidBuffer: nothing is remembered */
	BlockNumber block;
	OffsetNumber offset;		/* where the chain of versions begins */
};

/* remembering ----------------------------------------------------------- */

static uint32
hash_key(const Datum *key, int nkeys)
{
	uint32		hash = 0;

	for (int i = 0; i < nkeys; i++)
	{
		const text *value = (const text *) DatumGetPointer(key[i]);

		hash = hash_combine(hash, hash_bytes((const unsigned char *) VARDATA_ANY(value),
											 VARSIZE_ANY_EXHDR(value)));
	}
	return hash;
}

/*
 * The set in which a row with that hash is remembered.
 */
static inline ActorLocation *
find_set(const ActorLocations *locations, uint32 hash)
{
	return &locations->entries[hash & (locations->size - 1) & ~1];
}

/*
 * Puts a location first in its set, so that one that was second makes way.
 */
static void
put_first(ActorLocations *locations, const ActorLocation *location)
{
	ActorLocation *set = find_set(locations, location->hash);

	if (set[0].hash != location->hash)
	{
		if (set[1].hash != location->hash && set[1].buffer != InvalidBuffer)
			locations->displaced++;
		set[1] = set[0];
	}
	set[0] = *location;
}

/*
 * Makes room, at first and when many rows had to make way for others.
 */
static void
grow(ActorLocations *locations)
{
	ActorLocation *old = locations->entries;
	int			old_size = locations->size;

	locations->size = old_size == 0 ? MIN_LOCATIONS : 2 * old_size;
	locations->entries = MemoryContextAllocZero(TopMemoryContext,
												locations->size * sizeof(ActorLocation));
	for (int i = 0; i < old_size; i++)
		if (old[i].buffer != InvalidBuffer)
			put_first(locations, &old[i]);
	if (old != NULL)
		pfree(old);
	locations->displaced = 0;
}

/*
 * actor_location_note
 *		Remembers that the row with a key of texts is in a slot, in the chain
 *		of versions to which the index has led.
 */
void
actor_location_note(ActorLocations *locations, const Datum *key, int nkeys,
					ItemPointer chain, const TupleTableSlot *slot)
{
	ActorLocation location;

	if (locations->displaced >= locations->size / 4 && locations->size < MAX_LOCATIONS)
		grow(locations);
	location.hash = hash_key(key, nkeys);
	location.buffer = ((const BufferHeapTupleTableSlot *) slot)->buffer;
	location.block = ItemPointerGetBlockNumber(chain);
	location.offset = ItemPointerGetOffsetNumber(chain);
	put_first(locations, &location);
}

/* finding --------------------------------------------------------------- */

static ActorLocation *
find_location(const ActorLocations *locations, uint32 hash)
{
	ActorLocation *set;

	if (locations->size == 0)
		return NULL;
	set = find_set(locations, hash);
	for (int i = 0; i < 2; i++)
		if (set[i].hash == hash && set[i].buffer != InvalidBuffer)
			return &set[i];
	return NULL;
}

/*
 * Whether a page has hardly room for another version of a row of that length.
 */
static bool
is_short_of_room(Page page, Size length)
{
	return PageIsFull(page) || PageGetHeapFreeSpace(page) < 2 * MAXALIGN(length);
}

/*
 * Looks for the version that the active snapshot sees in a chain of a page
 * that is pinned.
 */
static bool
search_chain(Relation relation, Buffer buffer, const ActorLocation *location, HeapTuple tuple)
{
	ItemPointerData tid;
	bool		found;

	ItemPointerSet(&tid, location->block, location->offset);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, relation, buffer, GetActiveSnapshot(), tuple,
								   NULL, true);
	LockBuffer(buffer, BUFFER_LOCK_UNLOCK);
	return found;
}

/*
 * The same.  Where the row is about to be updated old versions are removed
 * when their room is needed, not whenever the page is looked at, which would
 * cost more than the update.
 */
static bool
search_page(Relation relation, Buffer buffer, const ActorLocation *location, bool to_update,
			HeapTuple tuple)
{
	if (!search_chain(relation, buffer, location, tuple))
		return false;
	if (!to_update || !is_short_of_room(BufferGetPage(buffer), tuple->t_len))
		return true;
	/* rows may move */
	heap_page_prune_opt(relation, buffer);
	return search_chain(relation, buffer, location, tuple);
}

/*
 * Whether a row has that key.
 */
static bool
has_key(TupleTableSlot *slot, const Datum *key, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		bool		isnull;
		text	   *value = DatumGetTextPP(slot_getattr(slot, i + 1, &isnull));

		if (!actor_text_equal(value, (const text *) DatumGetPointer(key[i])))
			return false;
	}
	return true;
}

/*
 * actor_location_fetch
 *		Looks for the row with a key of texts, on the active snapshot, where it
 *		was last seen.  The slot keeps it, and its page, until it is dropped.
 *
 * The relation is a heap.  Its primary key begins with the first columns, none
 * of which can be null.  Returns false if the row is not there, whether it is
 * somewhere else or not at all.
 */
bool
actor_location_fetch(const ActorLocations *locations, Relation relation, const Datum *key,
					 int nkeys, bool to_update, TupleTableSlot *slot)
{
	BufferHeapTupleTableSlot *buffer_slot = (BufferHeapTupleTableSlot *) slot;
	HeapTuple	tuple = &buffer_slot->base.tupdata;
	ActorLocation *location = find_location(locations, hash_key(key, nkeys));

	/* the index has the locks of this level */
	if (location == NULL || IsolationIsSerializable())
		return false;
	if (!actor_read_recent_buffer(relation, location->block, location->buffer))
		return false;
	if (!search_page(relation, location->buffer, location, to_update, tuple))
	{
		ReleaseBuffer(location->buffer);
		return false;
	}
	ExecStorePinnedBufferHeapTuple(tuple, slot, location->buffer);
	slot->tts_tableOid = RelationGetRelid(relation);
	if (has_key(slot, key, nkeys))
		return true;
	ExecClearTuple(slot);
	return false;
}
