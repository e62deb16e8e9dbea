/*-------------------------------------------------------------------------
 *
 * active.c
 *		Which actors may be active: a bit for each slice of them.
 *
 * With actor.lazy_activation most actors have no row in actor.activation, and to
 * find that out would cost as much as to find the row that they write.  So whoever
 * makes an actor active sets a bit first, and where that is not set no actor is.
 *
 * A bit is set before the row is written, by whoever has the turn, so he who has
 * the turn next sees it.  It stays until the server ends, or crashes, and then there
 * are no activations either: the table is not logged, and a row of an earlier start
 * is none.  Bits of different databases are the same; that costs a look at most.
 *
 * The slices of a type are in one of several groups, so that a type whose actors are
 * all active leaves room to others.
 *
 * IDENTIFICATION
 *		src/shared/active.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/base.h"
#include "shared/shared.h"

#define BITS_OF_WORD	32

/*
 * The words of the group of a type.
 */
static pg_atomic_uint32 *
group_of(const text *type)
{
	uint32		hash = hash_bytes((const unsigned char *) VARDATA_ANY(type),
								  VARSIZE_ANY_EXHDR(type));

	return actor_shared->active + (hash % ACTOR_ACTIVE_GROUPS) * ACTOR_ACTIVE_WORDS;
}

static uint32
slice_of(const ActorRef *actor)
{
	return (uint32) (actor->hash % (ACTOR_ACTIVE_WORDS * BITS_OF_WORD));
}

/*
 * actor_active_note
 *		Called before an actor is made active.
 */
void
actor_active_note(const ActorRef *actor)
{
	uint32		slice = slice_of(actor);

	if (actor_shared != NULL)
		pg_atomic_fetch_or_u32(&group_of(actor->type)[slice / BITS_OF_WORD],
							   (uint32) 1 << slice % BITS_OF_WORD);
}

/*
 * actor_active_note_all
 *		The same for all actors of a type.
 */
void
actor_active_note_all(const text *type)
{
	for (int i = 0; actor_shared != NULL && i < ACTOR_ACTIVE_WORDS; i++)
		pg_atomic_fetch_or_u32(&group_of(type)[i], PG_UINT32_MAX);
}

/*
 * actor_active_possible
 *		Whether an actor may be active.  If its turn is not held, that may have
 *		changed since.
 */
bool
actor_active_possible(const ActorRef *actor)
{
	uint32		slice = slice_of(actor);

	return actor_shared == NULL ||
		(pg_atomic_read_u32(&group_of(actor->type)[slice / BITS_OF_WORD]) &
		 (uint32) 1 << slice % BITS_OF_WORD) != 0;
}
