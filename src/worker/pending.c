/*-------------------------------------------------------------------------
 *
 * pending.c
 *		Which roles of a database have something to do, and when.
 *
 * A role has rows that it has registered, and actors that become idle if it
 * owns their type.  However many there are, only the earliest of each role is
 * read, and those that are due are counted only as far as that matters.
 *
 * Rows that are gone leave entries in the index until nobody can see them any
 * more, which may take as long as a dump does.  A look everywhere walks over all
 * of them.  When that has become dear, the scheduler remembers, for each role and
 * table, where it has found the earliest row, and begins there the next time.
 * What can turn up before such a bound?
 *
 * 1. A row whose writer has reported its time.  The scheduler takes the earliest
 *	  time that was reported before it looks, and lowers all bounds to it.  It need
 *	  not matter how late the writer commits, as the report comes after that and
 *	  has the time that the row has; nor whether a subtransaction was rolled back,
 *	  which only makes the report earlier than necessary.
 * 2. A row whose writer has reported nothing, because the next look was early
 *	  enough: its time is not before that of the look, which bounds are lowered to
 *	  as well.
 * 3. A row that some transaction was about to move or to remove, and that is still
 *	  there after all: it was visible all the time, so the bound is not behind it.
 *	  This is also true of prepared transactions.
 * 4. A row that a worker has written, and whose executor may go away.  A firing
 *	  goes on to a later time as a rule; who sets an earlier one reports it, when
 *	  what was missed during retries is made up for, or the clock was set back.
 * 5. Rows whose writer does not know their times: after COMMIT PREPARED, COPY,
 *	  actor_resume, actor_reassign and ALTER EXTENSION.  These report the
 *	  beginning of time, and the next look is one everywhere.
 * 6. Rows of a role without bounds.  The gaps between the names with bounds are
 *	  looked through, and if there is somebody the look is one everywhere.  Who has
 *	  bounds keeps them as long as such a look is dear, so that his entries are not
 *	  walked over in a gap; and when that is dear, everybody gets them.
 * 7. Rows written by others than the library, by hand or by logical replication,
 *	  or moved by a clock that is set back: for these everything is looked at once
 *	  a minute, as before.
 *
 * When actors are on several servers, others write what is on this one, and report
 * nothing here.  Then every look is one everywhere, in what this server has.
 *
 * What was reported stays in force until a look has come to its end, and the
 * scheduler never leaves before a look everywhere has found nothing.  It passes on
 * to executors what was reported, which begin their looks in the same way; see
 * round.c.
 *
 * IDENTIFICATION
 *		src/worker/pending.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/instrument.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "fire/fire.h"
#include "worker/internal.h"

/*
 * What hosts run is not in the indexes on roles, so every statement that is to use
 * these asks for rows that are not hosted.
 */

/* the earliest row of each role, by skipping from role to role in the index */
#define ROLES_OF(table, name) \
	name " AS (" \
	"  (SELECT role_name, next_try_at FROM " table " WHERE NOT hosted" \
	"    ORDER BY role_name, next_try_at LIMIT 1)" \
	"  UNION ALL" \
	"  SELECT n.role_name, n.next_try_at FROM " name " r CROSS JOIN LATERAL" \
	"    (SELECT m.role_name, m.next_try_at FROM " table " m" \
	"      WHERE NOT m.hosted AND m.role_name OPERATOR(pg_catalog.>) r.role_name" \
	"      ORDER BY m.role_name, m.next_try_at LIMIT 1) n)"

static ActorQuery read_roles = {
	"WITH RECURSIVE " ROLES_OF("actor.reminder", "reminders") ", "
	ROLES_OF("actor.timer", "timers") ", " ROLES_OF("actor.message", "messages")
	" SELECT role_name, 0, next_try_at FROM reminders"
	"  UNION ALL SELECT role_name, 1, next_try_at FROM timers"
	"  UNION ALL SELECT role_name, 2, next_try_at FROM messages"
	"  ORDER BY 1",
	0, {0}, false, true
};

#define FIRST_IN(table, from) \
	"(SELECT next_try_at FROM " table \
	"  WHERE NOT hosted AND role_name OPERATOR(pg_catalog.=) $1" \
	"    AND next_try_at OPERATOR(pg_catalog.>=) " from \
	"  ORDER BY next_try_at LIMIT 1)"

static ActorQuery read_from_bounds = {
	"SELECT " FIRST_IN("actor.reminder", "$2") ", " FIRST_IN("actor.timer", "$3") ", "
	FIRST_IN("actor.message", "$4"),
	4, {NAMEOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID}
};

#define ANY_BETWEEN(table) \
	"(SELECT 1 FROM " table \
	"  WHERE NOT hosted AND role_name OPERATOR(pg_catalog.>) $1" \
	"    AND role_name OPERATOR(pg_catalog.<) $2" \
	"  ORDER BY role_name, next_try_at LIMIT 1)"

static ActorQuery read_gap = {
	ANY_BETWEEN("actor.reminder") " UNION ALL " ANY_BETWEEN("actor.timer")
	" UNION ALL " ANY_BETWEEN("actor.message") " LIMIT 1",
	2, {NAMEOID, NAMEOID}
};

#define DUE_IN(table, from) \
	"(SELECT 1 FROM " table \
	"  WHERE NOT hosted AND role_name OPERATOR(pg_catalog.=) $1" \
	"    AND next_try_at OPERATOR(pg_catalog.>=) " from \
	"    AND next_try_at OPERATOR(pg_catalog.<=) $2 LIMIT $3)"

static ActorQuery count_due = {
	"SELECT pg_catalog.count(*) FROM"
	" (" DUE_IN("actor.reminder", "$4") " UNION ALL " DUE_IN("actor.timer", "$5")
	" UNION ALL " DUE_IN("actor.message", "$6") ") d",
	6, {NAMEOID, TIMESTAMPTZOID, INT8OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID},
	false, true
};

#define COUNT_IN(table) \
	"(SELECT pg_catalog.count(*) FROM " table \
	"  WHERE NOT hosted AND role_name OPERATOR(pg_catalog.=) $1)"

static ActorQuery count_of_role = {
	"SELECT " COUNT_IN("actor.reminder") " OPERATOR(pg_catalog.+) " COUNT_IN("actor.timer")
	" OPERATOR(pg_catalog.+) " COUNT_IN("actor.message"),
	1, {NAMEOID}, false, true
};

/*
 * Pages that a look everywhere accesses, and some more for each role, before it is
 * dear.
 */
#define DEAR_PAGES			200
#define DEAR_PAGES_OF_ROLE	30

/* a role and before what it has no rows, by table */
typedef struct RoleBounds
{
	NameData	name;
	TimestampTz from[ACTOR_DUE_TABLES];
} RoleBounds;

/* by name; there are none when it is not dear to look everywhere */
static List *bounds = NIL;

/* the last look everywhere, and whether there was none after it */
static TimestampTz everywhere_at = DT_NOBEGIN;
static bool complete = false;

/* there are too many entries of roles without bounds, who shall have them, too */
static bool gaps_are_dear = false;

/*
 * Counts the due rows of a role, as far as that matters.
 */
static int64
count_backlog(ActorRoleDue *due, TimestampTz now)
{
	Datum		values[3 + ACTOR_DUE_TABLES];
	bool		isnull;

	values[0] = NameGetDatum(&due->name);
	values[1] = TimestampTzGetDatum(now);
	values[2] = Int64GetDatum((int64) ACTOR_ROWS_PER_EXECUTOR * actor_max_executors);
	for (int table = 0; table < ACTOR_DUE_TABLES; table++)
		values[3 + table] = TimestampTzGetDatum(due->first[table]);
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
	for (int table = 0; table < ACTOR_DUE_TABLES; table++)
		due->first[table] = DT_NOEND;
	*roles = lappend(*roles, due);
	return due;
}

/*
 * Adds the earliest row of a table to a role.
 */
static void
add_row(ActorRoleDue *due, int table, TimestampTz next_try_at)
{
	due->first[table] = next_try_at;
	due->next = Min(due->next, next_try_at);
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
 * Looks everywhere for roles that have rows, as a list of ActorRoleDue in the
 * current memory context, by name.
 */
static List *
look_everywhere(void)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	List	   *result = NIL;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_roles, NULL, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;
		NameData   *name = DatumGetName(actor_query_result(i, 1, &isnull));
		int			table = DatumGetInt32(actor_query_result(i, 2, &isnull));

		add_row(add_role(&result, name), table,
				DatumGetTimestampTz(actor_query_result(i, 3, &isnull)));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/*
 * Counts what is due of a list of roles.
 */
static void
count_backlogs(List *roles)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorBookkeeping bookkeeping;
	ListCell   *cell;

	actor_bookkeeping_begin(&bookkeeping);
	foreach(cell, roles)
	{
		ActorRoleDue *due = lfirst(cell);

		if (due->next <= now)
			due->backlog = count_backlog(due, now);
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor_pending_rows
 *		The roles that have rows pending, as a list of ActorRoleDue in the current
 *		memory context, by name; no more is found out of them than when these are
 *		due, since there may be many.
 */
List *
actor_pending_rows(void)
{
	/* a standby cannot read timers, and fires nothing */
	return RecoveryInProgress() ? NIL : look_everywhere();
}

/* bounds ---------------------------------------------------------------- */

/*
 * actor_pending_complete
 *		Whether the scheduler's last look was one everywhere.
 */
bool
actor_pending_complete(void)
{
	return complete;
}

static int
compare_bounds(const ListCell *a, const ListCell *b)
{
	return strcmp(NameStr(((RoleBounds *) lfirst(a))->name),
				  NameStr(((RoleBounds *) lfirst(b))->name));
}

/*
 * The bounds of a role, which are behind all rows if it had none.
 */
static RoleBounds *
bounds_of(const NameData *name)
{
	MemoryContext old;
	RoleBounds *role;
	ListCell   *cell;

	foreach(cell, bounds)
	{
		role = lfirst(cell);
		if (strcmp(NameStr(role->name), NameStr(*name)) == 0)
			return role;
	}
	old = MemoryContextSwitchTo(TopMemoryContext);
	role = palloc0(sizeof(RoleBounds));
	namestrcpy(&role->name, NameStr(*name));
	for (int table = 0; table < ACTOR_DUE_TABLES; table++)
		role->from[table] = DT_NOEND;
	bounds = lappend(bounds, role);
	MemoryContextSwitchTo(old);
	return role;
}

/*
 * Gives bounds to every name of a role that has ever had rows.
 */
static void
bound_all_names(void)
{
	ListCell   *cell;

	foreach(cell, actor_role_names())
		(void) bounds_of(lfirst(cell));
}

/*
 * Remembers what a look everywhere has found, if that was dear.
 */
static void
remember(List *roles, bool dear)
{
	ListCell   *cell;

	if (!dear)
	{
		list_free_deep(bounds);
		bounds = NIL;
		return;
	}
	foreach(cell, bounds)
	{
		RoleBounds *role = lfirst(cell);

		for (int table = 0; table < ACTOR_DUE_TABLES; table++)
			role->from[table] = DT_NOEND;
	}
	foreach(cell, roles)
	{
		ActorRoleDue *due = lfirst(cell);

		memcpy(bounds_of(&due->name)->from, due->first, sizeof(due->first));
	}
	if (gaps_are_dear)
		bound_all_names();
	list_sort(bounds, compare_bounds);
}

static int64
pages_accessed(void)
{
	return pgBufferUsage.shared_blks_hit + pgBufferUsage.shared_blks_read;
}

/*
 * actor_pending_none
 *		The scheduler has found that the extension is not there, and so no rows.
 */
void
actor_pending_none(void)
{
	complete = true;
}

static List *
look_everywhere_and_remember(void)
{
	TimestampTz now = GetCurrentTimestamp();
	int64		pages = pages_accessed();
	List	   *result = look_everywhere();

	pages = pages_accessed() - pages;
	remember(result, pages >= DEAR_PAGES + DEAR_PAGES_OF_ROLE * list_length(result) &&
			 !actor_on_several_servers());
	everywhere_at = now;
	complete = true;
	gaps_are_dear = false;
	return result;
}

/*
 * Whether the next look may begin at the bounds.
 */
static bool
bounds_will_do(TimestampTz reported)
{
	TimestampTz now = GetCurrentTimestamp();

	return bounds != NIL && !actor_on_several_servers() && reported != DT_NOBEGIN && now >= everywhere_at &&
		now - everywhere_at < ACTOR_PAUSE_MAX_US;
}

/*
 * Whether a role between these two has rows.
 */
static bool
gap_has_rows(const NameData *after, const NameData *before)
{
	Datum		values[2] = {NameGetDatum(after), NameGetDatum(before)};

	return actor_query_run(&read_gap, values, NULL) > 0;
}

/*
 * Whether a role without bounds has rows.
 */
static bool
strangers_have_rows(void)
{
	NameData	after;
	NameData	end;
	ListCell   *cell;

	/* before and behind all names */
	memset(&after, 0, sizeof(after));
	memset(&end, 0xFF, sizeof(end));
	NameStr(end)[NAMEDATALEN - 1] = '\0';
	foreach(cell, bounds)
	{
		RoleBounds *role = lfirst(cell);

		if (gap_has_rows(&after, &role->name))
			return true;
		after = role->name;
	}
	return gap_has_rows(&after, &end);
}

/*
 * Looks for the rows of a role from its bounds on, or from an earlier time that was
 * reported, and moves these; adds the role to a list if it has any.
 */
static void
look_from(RoleBounds *role, TimestampTz reported, List **result, MemoryContext context)
{
	ActorRoleDue *due = NULL;
	Datum		values[1 + ACTOR_DUE_TABLES];

	values[0] = NameGetDatum(&role->name);
	for (int table = 0; table < ACTOR_DUE_TABLES; table++)
		values[1 + table] = TimestampTzGetDatum(Min(role->from[table], reported));
	(void) actor_query_run(&read_from_bounds, values, NULL);
	for (int table = 0; table < ACTOR_DUE_TABLES; table++)
	{
		bool		isnull;
		Datum		next = actor_query_result(0, table + 1, &isnull);

		role->from[table] = isnull ? DT_NOEND : DatumGetTimestampTz(next);
		if (isnull)
			continue;
		if (due == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(context);

			due = add_role(result, &role->name);
			MemoryContextSwitchTo(old);
		}
		add_row(due, table, role->from[table]);
	}
}

/*
 * Looks for roles that have rows from the bounds on; false if that will not do.
 */
static bool
look_from_bounds(TimestampTz reported, List **result)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	ListCell   *cell;
	int64		pages;
	bool		strangers;

	if (!bounds_will_do(reported))
		return false;
	*result = NIL;
	actor_bookkeeping_begin(&bookkeeping);
	pages = pages_accessed();
	strangers = strangers_have_rows();
	gaps_are_dear = pages_accessed() - pages >=
		DEAR_PAGES + DEAR_PAGES_OF_ROLE * list_length(bounds);
	if (!strangers)
		foreach(cell, bounds)
			look_from(lfirst(cell), reported, result, context);
	actor_bookkeeping_end(&bookkeeping);
	complete = false;
	if (gaps_are_dear)
		everywhere_at = DT_NOBEGIN;
	return !strangers;
}

/*
 * Looks for roles that have rows, as a list of ActorRoleDue in a memory context.
 */
static List *
look(TimestampTz reported, MemoryContext context)
{
	MemoryContext old;
	List	   *result;

	if (RecoveryInProgress())
		return NIL;
	old = MemoryContextSwitchTo(context);
	if (!look_from_bounds(reported, &result))
		result = look_everywhere_and_remember();
	MemoryContextSwitchTo(old);
	count_backlogs(result);
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
 *
 * For the scheduler, which says what was reported since it has looked the last
 * time: rows may have turned up that are due then, or later; DT_NOBEGIN: anywhere.
 * It says so again if an error has ended the look.
 */
List *
actor_pending_roles(TimestampTz reported, MemoryContext context)
{
	return look_for_idle(look(reported, context), context);
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

	foreach(cell, actor_pending_rows())
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
