/*-------------------------------------------------------------------------
 *
 * location.c
 *		Where rows of the extension's tables were last seen.
 *
 * Going down an index costs more than all else that is done to find a row.
 * Most rows are where they were: an update that changes no index keeps a row
 * on its page, in a chain of versions that begins at the same line.  So the
 * begin of the chain and the buffer of its page are remembered for all
 * sessions.
 *
 * What is remembered may be wrong, and nothing depends on it.  The server says
 * whether the buffer still has the page, the snapshot which version of the
 * chain is to be seen, and the row itself whether it has the key.  A primary
 * key has one visible row, so that is the one the index would lead to.  Whoever
 * finds nothing asks the index.
 *
 * With actor.locate_rows off a session neither remembers nor asks; others may
 * go on, since what it writes makes their entries no more wrong than theirs do.
 *
 * The memory is a table of fixed size, in sets of two.  Nobody locks it: an
 * entry that is half of one row and half of another one is just wrong.
 *
 * IDENTIFICATION
 *		src/store/location.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/shmem.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"

/* rows that are remembered, a power of two; 2 MB */
#define LOCATIONS	131072

typedef struct Entry
{
	pg_atomic_uint64 row;		/* hash of table and key, block */
	pg_atomic_uint64 place;		/* buffer (InvalidBuffer: none), offset */
} Entry;

/* every which pin is one that counts as use of the page */
#define COUNT_EVERY	16

/* where a row was seen */
typedef struct Location
{
	BlockNumber block;
	Buffer		buffer;
	OffsetNumber offset;		/* where the chain of versions begins */
} Location;

static Entry *entries = NULL;

/* shared memory --------------------------------------------------------- */

void
actor_location_request(void)
{
	RequestAddinShmemSpace(LOCATIONS * sizeof(Entry));
}

/*
 * actor_location_attach
 *		Finds or makes the table; the caller has AddinShmemInitLock.
 */
void
actor_location_attach(void)
{
	bool		found;

	entries = ShmemInitStruct("actor locations", LOCATIONS * sizeof(Entry), &found);
	if (found)
		return;
	for (int i = 0; i < LOCATIONS; i++)
	{
		pg_atomic_init_u64(&entries[i].row, 0);
		pg_atomic_init_u64(&entries[i].place, 0);
	}
}

/* remembering ----------------------------------------------------------- */

static uint32
hash_row(Relation relation, const Datum *key, int nkeys)
{
	uint32		hash = hash_combine(murmurhash32(MyDatabaseId),
									murmurhash32(RelationGetRelid(relation)));

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
static inline Entry *
find_set(uint32 hash)
{
	return &entries[hash & (LOCATIONS - 1) & ~1];
}

static inline uint32
entry_hash(uint64 row)
{
	return (uint32) (row >> 32);
}

/*
 * actor_location_note
 *		Remembers that the row with a key of texts is in a slot, in the chain
 *		of versions to which the index has led.
 *
 * It becomes the first one of its set, and what was second makes way.
 */
void
actor_location_note(Relation relation, const Datum *key, int nkeys, ItemPointer chain,
					const TupleTableSlot *slot)
{
	Buffer		buffer = ((const BufferHeapTupleTableSlot *) slot)->buffer;
	uint32		hash;
	Entry	   *set;
	uint64		first;

	if (entries == NULL || !actor_locate_rows)
		return;
	hash = hash_row(relation, key, nkeys);
	set = find_set(hash);
	first = pg_atomic_read_u64(&set[0].row);
	if (entry_hash(first) != hash)
	{
		pg_atomic_write_u64(&set[1].row, first);
		pg_atomic_write_u64(&set[1].place, pg_atomic_read_u64(&set[0].place));
	}
	pg_atomic_write_u64(&set[0].row,
						(uint64) hash << 32 | ItemPointerGetBlockNumber(chain));
	pg_atomic_write_u64(&set[0].place,
						(uint64) (uint32) buffer << 32 | ItemPointerGetOffsetNumber(chain));
}

/* finding --------------------------------------------------------------- */

/*
 * Where the row with that hash was seen; false if nobody knows.
 */
static bool
find_location(uint32 hash, Location *location)
{
	Entry	   *set = find_set(hash);

	for (int i = 0; i < 2; i++)
	{
		uint64		row = pg_atomic_read_u64(&set[i].row);
		uint64		place = pg_atomic_read_u64(&set[i].place);

		location->block = (BlockNumber) row;
		location->buffer = (Buffer) (place >> 32);
		location->offset = (OffsetNumber) place;
		if (entry_hash(row) == hash && location->buffer != InvalidBuffer)
			return true;
	}
	return false;
}

/*
 * Pins the page of a location, if the buffer still has it.
 *
 * That does not count as use of the page: if nothing else were done those that
 * are used most would be the first ones to be evicted.  The other way takes
 * longer.  The page exists, as the lock on the table keeps it from being cut.
 */
static bool
pin_page(Relation relation, Location *location)
{
	static uint32 pins = 0;

	if (!actor_read_recent_buffer(relation, location->block, location->buffer))
		return false;
	if (++pins % COUNT_EVERY == 0)
	{
		ReleaseBuffer(location->buffer);
		location->buffer = ReadBuffer(relation, location->block);
	}
	return true;
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
 * Looks for the version that a snapshot sees in a chain of a page that is pinned.
 */
static bool
search_chain(Relation relation, const Location *location, Snapshot snapshot, HeapTuple tuple)
{
	ItemPointerData tid;
	bool		found;

	ItemPointerSet(&tid, location->block, location->offset);
	LockBuffer(location->buffer, BUFFER_LOCK_SHARE);
	found = heap_hot_search_buffer(&tid, relation, location->buffer, snapshot, tuple, NULL, true);
	LockBuffer(location->buffer, BUFFER_LOCK_UNLOCK);
	return found;
}

/*
 * The same.  Where the row is about to be updated old versions are removed
 * when their room is needed, not whenever the page is looked at, which would
 * cost more than the update.
 */
static bool
search_page(Relation relation, const Location *location, Snapshot snapshot, bool to_update,
			HeapTuple tuple)
{
	if (!search_chain(relation, location, snapshot, tuple))
		return false;
	if (!to_update || !is_short_of_room(BufferGetPage(location->buffer), tuple->t_len))
		return true;
	/* rows may move */
	heap_page_prune_opt(relation, location->buffer);
	return search_chain(relation, location, snapshot, tuple);
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
 *		Looks for the row with a key of texts, on a snapshot, where it was last
 *		seen.  The slot keeps it, and its page, until it is dropped.
 *
 * The relation is a heap.  Its primary key begins with the first columns, none
 * of which can be null.  Returns false if the row is not there, whether it is
 * somewhere else or not at all.
 */
bool
actor_location_fetch(Relation relation, const Datum *key, int nkeys, Snapshot snapshot,
					 bool to_update, TupleTableSlot *slot)
{
	HeapTuple	tuple = &((BufferHeapTupleTableSlot *) slot)->base.tupdata;
	Location	location;

	/* at this level the index has locks, which are needed */
	if (entries == NULL || !actor_locate_rows || IsolationIsSerializable())
		return false;
	if (!find_location(hash_row(relation, key, nkeys), &location) ||
		!pin_page(relation, &location))
		return false;
	if (!search_page(relation, &location, snapshot, to_update, tuple))
	{
		ReleaseBuffer(location.buffer);
		return false;
	}
	ExecStorePinnedBufferHeapTuple(tuple, slot, location.buffer);
	if (has_key(slot, key, nkeys))
		return true;
	ExecClearTuple(slot);
	return false;
}
