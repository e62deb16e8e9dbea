/*-------------------------------------------------------------------------
 *
 * hash.c
 *		Hashes of names, with a key that nobody knows.
 *
 * Whoever may choose the id of an actor, or the name of a type, must not be able
 * to choose one whose lock is that of another: so locks are named by SipHash-2-4
 * with a key of the database, which is made by CREATE EXTENSION and which nobody
 * can read.  The hashes themselves are no secret; pg_locks shows them.
 *
 * The formula is frozen, because libraries of two versions may serve one
 * server, and both take the locks:
 *
 *	 actor	SipHash-2-4 of type, a zero byte and id
 *	 type	SipHash-2-4 of the type
 *	 slice	SipHash-2-4 of type, a zero byte and eight bytes of its number, the
 *			lowest one first
 *
 * All numbers are 64 bits, in the order of bytes of the published algorithm.
 *
 * IDENTIFICATION
 *		src/base/hash.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base.h"

/* bytes that are hashed without allocating anything */
#define USUAL_BYTES		(ACTOR_MAX_TYPE_LEN + 1 + ACTOR_MAX_NAME_LEN)

ActorHashKey actor_hash_key = {{0, 0}, false};
void		(*actor_hash_key_load) (void) = NULL;

static inline uint64
rotate(uint64 word, int bits)
{
	return (word << bits) | (word >> (64 - bits));
}

static inline void
sip_rounds(uint64 *v, int rounds)
{
	while (rounds-- > 0)
	{
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

/*
 * Up to eight bytes as a number, the lowest one first.
 */
static inline uint64
read_word(const unsigned char *bytes, Size len)
{
	uint64		word = 0;

#ifndef WORDS_BIGENDIAN
	if (len == sizeof(word))
	{
		memcpy(&word, bytes, sizeof(word));
		return word;
	}
#endif
	while (len-- > 0)
		word = (word << 8) | bytes[len];
	return word;
}

static uint64
siphash(const unsigned char *bytes, Size len)
{
	const uint64 *key = actor_hash_key.words;
	uint64		v[4] = {
		key[0] ^ UINT64CONST(0x736f6d6570736575),
		key[1] ^ UINT64CONST(0x646f72616e646f6d),
		key[0] ^ UINT64CONST(0x6c7967656e657261),
		key[1] ^ UINT64CONST(0x7465646279746573)
	};
	uint64		last = (uint64) len << 56;
	uint64		word;

	for (; len >= sizeof(word); bytes += sizeof(word), len -= sizeof(word))
	{
		word = read_word(bytes, sizeof(word));
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
	}
	last |= read_word(bytes, len);
	v[3] ^= last;
	sip_rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/*
 * actor_hash_key_set
 *		Sets the key, of 16 bytes.
 */
void
actor_hash_key_set(const unsigned char *bytes)
{
	actor_hash_key.words[0] = read_word(bytes, sizeof(uint64));
	actor_hash_key.words[1] = read_word(bytes + sizeof(uint64), sizeof(uint64));
	actor_hash_key.ready = true;
}

/*
 * Hashes a text, and, if there are any, a zero byte and some more bytes.
 */
static uint64
hash_parts(const text *first, const void *rest, Size rest_len)
{
	unsigned char usual[USUAL_BYTES];
	unsigned char *bytes = usual;
	Size		len = VARSIZE_ANY_EXHDR(first);
	Size		total = rest != NULL ? len + 1 + rest_len : len;
	uint64		hash;

	if (!actor_hash_key.ready)
		actor_hash_key_load();
	/* only what nobody can pass to a function is longer */
	if (total > sizeof(usual))
		bytes = palloc(total);
	memcpy(bytes, VARDATA_ANY(first), len);
	if (rest != NULL)
	{
		bytes[len] = 0;
		memcpy(bytes + len + 1, rest, rest_len);
	}
	hash = siphash(bytes, total);
	if (bytes != usual)
		pfree(bytes);
	return hash;
}

/*
 * actor_hash_actor
 *		Names the turn of an actor.
 */
uint64
actor_hash_actor(const text *type, const text *id)
{
	return hash_parts(type, VARDATA_ANY(id), VARSIZE_ANY_EXHDR(id));
}

/*
 * actor_hash_type
 *		Names the locks of a type.
 */
uint64
actor_hash_type(const text *type)
{
	return hash_parts(type, NULL, 0);
}

/*
 * actor_hash_slice
 *		Names the lock of a slice of a type's due rows, or of something else that
 *		has a name and a number.
 */
uint64
actor_hash_slice(const text *type, uint64 number)
{
	unsigned char bytes[sizeof(number)];

	for (int i = 0; i < sizeof(number); i++)
		bytes[i] = (unsigned char) (number >> (8 * i));
	return hash_parts(type, bytes, sizeof(bytes));
}
