/*
 * A library to preload that logs each access to a table of the extension which
 * the executor asks about, as those that audit do.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static ExecutorCheckPerms_hook_type next_hook = NULL;

static void
log_access(Oid relation, AclMode wanted)
{
	char	   *schema = get_namespace_name(get_rel_namespace(relation));

	if (schema == NULL || strcmp(schema, "actor") != 0)
		return;
	ereport(LOG,
			(errmsg("audited: %s %s",
					wanted & ACL_INSERT ? "insert" : wanted & ACL_UPDATE ? "update" :
					wanted & ACL_DELETE ? "delete" : "read", get_rel_name(relation)),
			 errhidestmt(true), errhidecontext(true)));
}

static bool
#if PG_VERSION_NUM >= 160000
audit(List *tables, List *permissions, bool abort)
#else
audit(List *tables, bool abort)
#endif
{
	ListCell   *cell;

#if PG_VERSION_NUM >= 160000
	foreach(cell, permissions)
	{
		RTEPermissionInfo *table = lfirst(cell);

		log_access(table->relid, table->requiredPerms);
	}
	return next_hook == NULL || next_hook(tables, permissions, abort);
#else
	foreach(cell, tables)
	{
		RangeTblEntry *table = lfirst(cell);

		if (table->rtekind == RTE_RELATION)
			log_access(table->relid, table->requiredPerms);
	}
	return next_hook == NULL || next_hook(tables, abort);
#endif
}

void
_PG_init(void)
{
	next_hook = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = audit;
}
