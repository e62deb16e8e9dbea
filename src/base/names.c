/*-------------------------------------------------------------------------
 *
 * names.c
 *		Names and references: the checks of arguments that all SQL functions
 * share, and the identity of an actor.
 *
 * IDENTIFICATION
 *		src/base/names.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"

#include "base/base.h"

/* arguments ------------------------------------------------------------- */

/*
 * actor_check_text
 *		Refuses NULL (22004) and what is empty or too long (22023); "what"
 *		names the argument in the message.
 */
void
actor_check_text(text *value, bool isnull, const char *what, int limit)
{
	int			len;

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	len = VARSIZE_ANY_EXHDR(value);
	if (len < 1 || len > limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have 1 to %d bytes", what, limit),
				 errdetail("It has %d bytes.", len)));
}

/*
 * actor_text_argument
 *		An argument of type text, checked and detoasted.
 */
text *
actor_text_argument(FunctionCallInfo fcinfo, int number, const char *what, int limit)
{
	text	   *value = NULL;

	/* no toast is fetched only to say that it is too long */
	if (!PG_ARGISNULL(number))
	{
		Datum		datum = PG_GETARG_DATUM(number);
		Size		len = toast_raw_datum_size(datum) - VARHDRSZ;

		if (len > (Size) limit)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must have 1 to %d bytes", what, limit),
					 errdetail("It has %zu bytes.", len)));
		value = PG_GETARG_TEXT_PP(number);
	}
	actor_check_text(value, value == NULL, what, limit);
	return value;
}

/*
 * actor_ref_arguments
 *		The actor that the first two arguments name.
 */
void
actor_ref_arguments(ActorRef *actor, FunctionCallInfo fcinfo)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	text	   *id = actor_text_argument(fcinfo, 1, "actor id", ACTOR_MAX_NAME_LEN);

	actor_ref_init(actor, type, id);
}

/*
 * actor_ref_init
 *		Makes a reference; the texts are not copied.
 */
void
actor_ref_init(ActorRef *actor, text *type, text *id)
{
	actor->type = type;
	actor->id = id;
	actor->hash = actor_hash_actor(type, id);
}

bool
actor_text_equal(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

bool
actor_text_is(const text *value, const char *string)
{
	size_t		len = VARSIZE_ANY_EXHDR(value);

	return strlen(string) == len && memcmp(VARDATA_ANY(value), string, len) == 0;
}

/*
 * actor_ref_equal
 *		Whether two references name the same actor, hash collisions or not.
 */
bool
actor_ref_equal(const ActorRef *a, const ActorRef *b)
{
	return a->hash == b->hash &&
		actor_text_equal(a->id, b->id) && actor_text_equal(a->type, b->type);
}

static uint32
hash_ref(const void *key, Size keysize)
{
	uint64		hash = ((const ActorRef *) key)->hash;

	return (uint32) (hash ^ (hash >> 32));
}

static int
match_refs(const void *a, const void *b, Size keysize)
{
	return actor_ref_equal(a, b) ? 0 : 1;
}

/*
 * actor_ref_table
 *		Makes a hash table of entries that begin with the actor they are about, whose
 *		size and memory context are given.  The texts of a key must last as long
 *		as the entry.
 */
HTAB *
actor_ref_table(const char *name, HASHCTL *ctl)
{
	ctl->keysize = sizeof(ActorRef);
	ctl->hash = hash_ref;
	ctl->match = match_refs;
	return hash_create(name, 64, ctl,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}
