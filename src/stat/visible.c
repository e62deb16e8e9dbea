/*-------------------------------------------------------------------------
 *
 * visible.c
 *		Who may see what of the statistics: roles with the rights of pg_monitor
 *		all of it, the owner of a type what is about its actors.
 *
 * IDENTIFICATION
 *		src/stat/visible.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "stat/internal.h"

static ActorQuery read_types = {
	"SELECT actor_type FROM actor.type",
	0, {0}
};

static void *
read_type(uint64 row)
{
	bool		isnull;

	return DatumGetTextPCopy(actor_query_result(row, 1, &isnull));
}

/*
 * Adds the types that the current user owns.
 */
static void
find_owned(HTAB *owned)
{
	ListCell   *cell;

	foreach(cell, actor_query_list(&read_types, NULL, read_type))
	{
		bool		exists;
		Oid			owner = actor_type_owner(lfirst(cell), &exists);

		if (OidIsValid(owner) && has_privs_of_role(GetUserId(), owner))
			hash_search(owned, text_to_cstring(lfirst(cell)), HASH_ENTER, NULL);
	}
}

/*
 * actor_visible_init
 *		Finds out what the current user may see.
 */
void
actor_visible_init(ActorVisible *visible)
{
	HASHCTL		ctl;

	visible->all = has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
	visible->owned = NULL;
	if (visible->all)
		return;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = NAMEDATALEN;
	ctl.hcxt = CurrentMemoryContext;
	visible->owned = hash_create("owned types", 16, &ctl,
								 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	find_owned(visible->owned);
}

/*
 * actor_visible_type
 *		Whether the current user may see what is about actors of a type.
 */
bool
actor_visible_type(const ActorVisible *visible, const char *type)
{
	return visible->all || hash_search(visible->owned, type, HASH_FIND, NULL) != NULL;
}
