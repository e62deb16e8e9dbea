/*-------------------------------------------------------------------------
 *
 * pending.c
 *		Which roles of a database have something to do, and when.
 *
 * A role has rows that it has registered, and actors that become idle if it
 * owns their type.  However many there are, only the earliest of each role is
 * read, and those that are due are counted only as far as that matters.
 *
 * IDENTIFICATION
 *		src/worker/pending.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"

#include "base/base.h"
#include "store/store.h"
#include "fire/fire.h"
#include "worker/internal.h"

/* the earliest row of each role, by skipping from role to role in the index */
#define ROLES_OF(table, name) \
	name " AS (" \
	"  (SELECT role_name, next_try_at FROM " table \
	"    ORDER BY role_name, next_try_at LIMIT 1)" \
	"  UNION ALL" \
	"  SELECT n.role_name, n.next_try_at FROM " name " r CROSS JOIN LATERAL" \
	"    (SELECT m.role_name, m.next_try_at FROM " table " m" \
	"      WHERE m.role_name OPERATOR(pg_catalog.>) r.role_name" \
	"      ORDER BY m.role_name, m.next_try_at LIMIT 1) n)"

static ActorQuery read_roles = {
	"WITH RECURSIVE " ROLES_OF("actor.reminder", "reminders") ", "
	ROLES_OF("actor.timer", "timers") ", " ROLES_OF("actor.message", "messages")
	" SELECT role_name, pg_catalog.min(next_try_at)"
	"   FROM (SELECT * FROM reminders UNION ALL SELECT * FROM timers"
	"         UNION ALL SELECT * FROM messages) u"
	"  GROUP BY role_name ORDER BY role_name",
	0, {0}
};

#define DUE_IN(table) \
	"(SELECT 1 FROM " table \
	"  WHERE role_name OPERATOR(pg_catalog.=) $1" \
	"    AND next_try_at OPERATOR(pg_catalog.<=) $2 LIMIT $3)"

static ActorQuery count_due = {
	"SELECT pg_catalog.count(*) FROM"
	" (" DUE_IN("actor.reminder") " UNION ALL " DUE_IN("actor.timer")
	" UNION ALL " DUE_IN("actor.message") ") d",
	3, {NAMEOID, TIMESTAMPTZOID, INT8OID}
};

#define COUNT_IN(table) \
	"(SELECT pg_catalog.count(*) FROM " table \
	"  WHERE role_name OPERATOR(pg_catalog.=) $1)"

static ActorQuery count_of_role = {
	"SELECT " COUNT_IN("actor.reminder") " OPERATOR(pg_catalog.+) " COUNT_IN("actor.timer")
	" OPERATOR(pg_catalog.+) " COUNT_IN("actor.message"),
	1, {NAMEOID}
};

/*
 * Counts the due rows of a role, as far as that matters.
 */
static int64
count_backlog(ActorRoleDue *due, TimestampTz now)
{
	Datum		values[3];
	bool		isnull;

	values[0] = NameGetDatum(&due->name);
	values[1] = TimestampTzGetDatum(now);
	values[2] = Int64GetDatum((int64) ACTOR_ROWS_PER_EXECUTOR * actor_max_executors);
	(void) actor_query_run(&count_due, values, NULL);
	return DatumGetInt64(actor_query_result(0, 1, &isnull));
}

/*
 * Adds a role to a list, unless it is there; its oid is still to be found.
 */
static ActorRoleDue *
add_role(List **roles, const NameData *name)
{
	ActorRoleDue *due;
	ListCell   *cell;

	foreach(cell, *roles)
	{
		due = lfirst(cell);
		if (strcmp(NameStr(due->name), NameStr(*name)) == 0)
			return due;
	}
	due = palloc0(sizeof(ActorRoleDue));
	due->name = *name;
	due->next = due->idle_next = DT_NOEND;
	*roles = lappend(*roles, due);
	return due;
}

/*
 * Finds out which roles the names of a list stand for.
 */
static List *
find_roles(List *roles)
{
	ListCell   *cell;

	foreach(cell, roles)
	{
		ActorRoleDue *due = lfirst(cell);

		due->oid = actor_role_find(&due->name);
	}
	return roles;
}

/*
 * actor_pending_rows
 *		The roles that have rows pending, as a list of ActorRoleDue in a memory
 *		context, by name.
 */
List *
actor_pending_rows(MemoryContext context)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorBookkeeping bookkeeping;
	List	   *result = NIL;
	ListCell   *cell;
	uint64		rows;

	/* a standby cannot read timers, and fires nothing */
	if (RecoveryInProgress())
		return NIL;
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_roles, NULL, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;
		NameData   *name = DatumGetName(actor_query_result(i, 1, &isnull));

		add_role(&result, name)->next = DatumGetTimestampTz(actor_query_result(i, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	foreach(cell, result)
	{
		ActorRoleDue *due = lfirst(cell);

		if (due->next <= now)
			due->backlog = count_backlog(due, now);
	}
	actor_bookkeeping_end(&bookkeeping);
	return find_roles(result);
}

/*
 * Adds the roles that own actors which become idle.
 */
static List *
look_for_idle(List *roles, MemoryContext context)
{
	List	   *owners = actor_idle_owners();
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *cell;

	foreach(cell, owners)
	{
		ActorIdleOwner *owner = lfirst(cell);
		ActorRoleDue *due = add_role(&roles, &owner->name);

		due->idle_next = Min(due->idle_next, owner->next);
		due->next = Min(due->next, owner->next);
	}
	MemoryContextSwitchTo(old);
	return find_roles(roles);
}

/*
 * actor_pending_roles
 *		The roles that have something to do, as a list of ActorRoleDue in a
 *		memory context.
 */
List *
actor_pending_roles(MemoryContext context)
{
	return look_for_idle(actor_pending_rows(context), context);
}

/*
 * actor_pending_oldest
 *		Since when the oldest row is due; DT_NOEND if none is.
 */
TimestampTz
actor_pending_oldest(TimestampTz now)
{
	TimestampTz oldest = DT_NOEND;
	ListCell   *cell;

	foreach(cell, actor_pending_rows(CurrentMemoryContext))
		oldest = Min(oldest, ((ActorRoleDue *) lfirst(cell))->next);
	return oldest <= now ? oldest : DT_NOEND;
}

/*
 * actor_pending_of_role
 *		How many rows of a role are to fire.
 */
int64
actor_pending_of_role(const NameData *role)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {NameGetDatum(role)};
	int64		count;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&count_of_role, values, NULL);
	count = DatumGetInt64(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return count;
}
