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

static ActorQuery read_owners = {
	"SELECT actor_type, owner_name FROM actor.type",
	0, {0}
};

/*
 * Adds the types that the current user owns.  Whom it has the rights of is
 * asked after the types are read, because meanwhile it is the extension's
 * owner.
 */
static void
find_owned(HTAB *owned)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	char	  **types;
	NameData   *owners;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_owners, NULL, NULL);
	types = MemoryContextAlloc(context, (rows + 1) * sizeof(char *));
	owners = MemoryContextAlloc(context, (rows + 1) * sizeof(NameData));
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;
		MemoryContext old = MemoryContextSwitchTo(context);

		types[i] = TextDatumGetCString(actor_query_result(i, 1, &isnull));
		owners[i] = *DatumGetName(actor_query_result(i, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);

	for (uint64 i = 0; i < rows; i++)
		if (actor_role_held(&owners[i]))
			hash_search(owned, types[i], HASH_ENTER, NULL);
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
