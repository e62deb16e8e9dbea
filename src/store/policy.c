/*-------------------------------------------------------------------------
 *
 * policy.c
 *		The functions that the policies and views of our tables ask: who owns a
 *		type, and which names of roles are those of the current user.
 *
 * They are called for every row that somebody reads.  So a function keeps, for
 * as long as its statement runs, what it has found out about each value, and
 * first looks whether the value is that of the row before.  They are no views
 * and no subqueries, because pg_dump lets no view be read in a policy, and tables
 * that are distributed have none with a subquery.
 *
 * IDENTIFICATION
 *		src/store/policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "base/base.h"
#include "store/store.h"

PG_FUNCTION_INFO_V1(actor_owns_type);
PG_FUNCTION_INFO_V1(actor_holds_role);

static ActorQuery read_type = {
	"SELECT schema_name, owner_name FROM actor.type"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

/* the answer for one value */
typedef struct Answer
{
	char		value[NAMEDATALEN]; /* hash key */
	bool		answer;
} Answer;

/* all answers of a statement, as long as nothing changes */
typedef struct Answers
{
	Oid			user;
	uint64		generation;
	HTAB	   *table;
	Answer	   *last;			/* of the row before; NULL: none */
} Answers;

/*
 * actor_type_owner
 *		The role that owns a type; InvalidOid if the type has lost its schema,
 *		and so belongs to superusers only, or if it does not exist.
 */
Oid
actor_type_owner(const text *type, bool *exists)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};
	NameData	schema_name;
	NameData	owner_name;
	Oid			schema;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	*exists = actor_query_latest(&read_type, values) > 0;
	if (*exists)
	{
		schema_name = *DatumGetName(actor_query_result(0, 1, &isnull));
		owner_name = *DatumGetName(actor_query_result(0, 2, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	return *exists ? actor_schema_holder(&schema_name, &owner_name, &schema) : InvalidOid;
}

/*
 * actor_type_owned
 *		Whether the current user has the rights of the type's owner; of one that
 *		has lost its schema only superusers have them.
 */
bool
actor_type_owned(const text *type)
{
	bool		exists;
	Oid			owner = actor_type_owner(type, &exists);

	return exists && (OidIsValid(owner) ? has_privs_of_role(GetUserId(), owner) :
					  superuser());
}

/*
 * The answers that are valid now.
 */
static Answers *
current_answers(FmgrInfo *flinfo)
{
	Answers    *answers = flinfo->fn_extra;
	HASHCTL		ctl;

	if (answers != NULL && answers->user == GetUserId() &&
		answers->generation == actor_catalog_generation())
		return answers;
	if (answers == NULL)
		answers = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Answers));
	else
		hash_destroy(answers->table);
	answers->table = NULL;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(Answer);
	ctl.hcxt = flinfo->fn_mcxt;
	answers->table = hash_create("answers of a policy", 16, &ctl,
								 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	answers->user = GetUserId();
	answers->generation = actor_catalog_generation();
	answers->last = NULL;
	flinfo->fn_extra = answers;
	return answers;
}

static bool
ask_type(const char *value)
{
	return actor_type_owned(cstring_to_text(value));
}

static bool
ask_role(const char *value)
{
	NameData	name;

	namestrcpy(&name, value);
	return actor_role_held(&name);
}

/*
 * The answer for a value, which is shorter than a name can be.
 */
static bool
answer(FmgrInfo *flinfo, const char *value, size_t len, bool (*ask) (const char *value))
{
	Answers    *answers = current_answers(flinfo);
	char		key[NAMEDATALEN];

	if (answers->last != NULL && memcmp(answers->last->value, value, len) == 0 &&
		answers->last->value[len] == '\0')
		return answers->last->answer;
	memcpy(key, value, len);
	key[len] = '\0';
	answers->last = hash_search(answers->table, key, HASH_FIND, NULL);
	if (answers->last == NULL)
	{
		int			nestlevel = actor_own_copy_begin();
		bool		found = ask(key);

		actor_own_copy_end(nestlevel);
		answers->last = hash_search(answers->table, key, HASH_ENTER, NULL);
		answers->last->answer = found;
	}
	return answers->last->answer;
}

/*
 * actor.owns_type
 *		Whether the current user has the rights of a type's owner.
 */
Datum
actor_owns_type(PG_FUNCTION_ARGS)
{
	text	   *type = PG_GETARG_TEXT_PP(0);

	if (VARSIZE_ANY_EXHDR(type) > ACTOR_MAX_TYPE_LEN)
		PG_RETURN_BOOL(false);
	PG_RETURN_BOOL(answer(fcinfo->flinfo, VARDATA_ANY(type), VARSIZE_ANY_EXHDR(type),
						  ask_type));
}

/*
 * actor.holds_role
 *		Whether the current user has the rights of the role that a name in our
 *		rows stands for.
 */
Datum
actor_holds_role(PG_FUNCTION_ARGS)
{
	Name		name = PG_GETARG_NAME(0);

	PG_RETURN_BOOL(answer(fcinfo->flinfo, NameStr(*name), strlen(NameStr(*name)), ask_role));
}
