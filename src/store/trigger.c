/*-------------------------------------------------------------------------
 *
 * trigger.c
 *		Triggers on our tables.
 *
 * They would run as the owner of the extension, who is a superuser, and a
 * deferred one as whoever happens to commit.  So nothing is written to a table
 * that has one whose code belongs to anybody but that owner or a superuser; a
 * foreign key counts as the code of whoever owns the other table.  That is looked
 * at when the lock is held with which the table is written: no trigger can be
 * made from then on.
 *
 * direct.c writes no table with triggers at all.
 *
 * IDENTIFICATION
 *		src/store/trigger.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/reltrigger.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "store/store.h"

/* more tables than the extension has */
#define MAX_TABLES		32

/* tables that were found to have no such trigger, as long as nothing changes */
static Oid	checked[MAX_TABLES];
static int	nchecked = 0;
static uint64 checked_generation = 0;

static Oid
owner_of_function(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static Oid
owner_of_relation(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

/*
 * actor_trigger_foreign
 *		The first trigger of a table of ours that may run code of a role that is
 *		neither the owner of the table nor a superuser, and that role; NULL if
 *		there is none.  The name is that of the open relation.
 */
const char *
actor_trigger_foreign(Relation relation, Oid *role)
{
	TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];
		Oid			owners[2] = {owner_of_function(trigger->tgfoid),
			OidIsValid(trigger->tgconstrrelid) ?
		owner_of_relation(trigger->tgconstrrelid) : relation->rd_rel->relowner};

		if (trigger->tgenabled == TRIGGER_DISABLED)
			continue;
		for (int j = 0; j < lengthof(owners); j++)
			if (owners[j] != relation->rd_rel->relowner && !superuser_arg(owners[j]))
			{
				*role = owners[j];
				return trigger->tgname;
			}
	}
	return NULL;
}

/*
 * actor_trigger_check
 *		Locks a table of ours for writing, and raises
 *		object_not_in_prerequisite_state if it has a trigger of somebody else.
 *		Returns false if there is no such table any more.
 */
bool
actor_trigger_check(Oid table)
{
	Relation	relation;
	const char *trigger;
	Oid			role;

	LockRelationOid(table, RowExclusiveLock);
	if (checked_generation != actor_catalog_generation())
		nchecked = 0;
	for (int i = 0; i < nchecked; i++)
		if (checked[i] == table)
			return true;

	/* before the look, so that what changes meanwhile is not missed */
	checked_generation = actor_catalog_generation();
	relation = try_relation_open(table, NoLock);
	if (relation == NULL)
		return false;
	trigger = actor_trigger_foreign(relation, &role);
	if (trigger != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot write to table \"actor.%s\" because it has a trigger of another role",
						RelationGetRelationName(relation)),
				 errdetail("Trigger \"%s\" can run code of role \"%s\".",
						   trigger, GetUserNameFromId(role, false)),
				 errhint("Drop the trigger, and revoke all but SELECT on the tables of the extension.")));
	relation_close(relation, NoLock);
	if (nchecked < MAX_TABLES)
		checked[nchecked++] = table;
	return true;
}

/*
 * actor_trigger_forget
 *		A table has changed; InvalidOid stands for all.
 */
void
actor_trigger_forget(Oid table)
{
	for (int i = nchecked - 1; i >= 0; i--)
		if (!OidIsValid(table) || checked[i] == table)
			checked[i] = checked[--nchecked];
}
