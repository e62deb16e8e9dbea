/*-------------------------------------------------------------------------
 *
 * role_settle.c
 *		What happens to the entries of roles in the course of time: those of
 *		restored rows are made, those of roles that are gone closed.
 *
 * IDENTIFICATION
 *		src/store/role_settle.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/acl.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "store/internal.h"
#include "store/store.h"

/* roles of restored rows are looked for again after so long, in microseconds */
#define SETTLE_AGAIN_US		(10 * USECS_PER_SEC)

static ActorQuery read_names = {
	"SELECT DISTINCT role_name FROM actor.role",
	0, {0}
};

/* the roles of other servers that have not been entered in this one */
static ActorQuery read_restored = {
	"SELECT DISTINCT r.role_name FROM actor.role r"
	" WHERE NOT EXISTS (SELECT FROM actor.role e"
	"   WHERE e.role_name OPERATOR(pg_catalog.=) r.role_name"
	"     AND e.system_identifier OPERATOR(pg_catalog.=) ANY (ARRAY[0, $1]))"
	"   AND EXISTS (SELECT FROM pg_catalog.pg_roles a"
	"   WHERE a.rolname OPERATOR(pg_catalog.=) r.role_name)",
	1, {INT8OID}, false, true
};

/*
 * That cannot come back, whatever gets the oid.  Who moves entries aside, and is
 * not over, must not keep the scheduler from its work; those are closed then.
 */
static ActorQuery close_gone = {
	"UPDATE actor.role d SET system_identifier = 0 FROM"
	"  (SELECT role_name, entry FROM actor.role r"
	"    WHERE system_identifier OPERATOR(pg_catalog.=) $1"
	"      AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles a"
	"        WHERE a.oid OPERATOR(pg_catalog.=) r.role_oid)"
	"    FOR UPDATE OF r SKIP LOCKED) s"
	" WHERE d.role_name OPERATOR(pg_catalog.=) s.role_name"
	"   AND d.entry OPERATOR(pg_catalog.=) s.entry",
	1, {INT8OID}
};

/* the same in two steps, as there is no such statement over several servers */
static ActorQuery read_here = {
	"SELECT role_name, entry, role_oid FROM actor.role"
	" WHERE system_identifier OPERATOR(pg_catalog.=) $1",
	1, {INT8OID}
};

static ActorQuery close_entry = {
	"UPDATE actor.role SET system_identifier = 0"
	" WHERE role_name OPERATOR(pg_catalog.=) $1 AND entry OPERATOR(pg_catalog.=) $2",
	2, {NAMEOID, INT8OID}
};

static void *
read_role_name(uint64 row)
{
	NameData   *name = palloc(sizeof(NameData));
	bool		isnull;

	*name = *DatumGetName(actor_query_result(row, 1, &isnull));
	return name;
}

/*
 * actor_role_names
 *		The names that rows of ours have had, and more, as a list in the current
 *		memory context.
 */
List *
actor_role_names(void)
{
	return actor_query_list(&read_names, NULL, read_role_name);
}

/* an entry of this server */
typedef struct Entry
{
	NameData	name;
	int64		number;
	Oid			role;
} Entry;

static void *
read_entry(uint64 row)
{
	Entry	   *entry = palloc(sizeof(Entry));
	bool		isnull;

	entry->name = *DatumGetName(actor_query_result(row, 1, &isnull));
	entry->number = DatumGetInt64(actor_query_result(row, 2, &isnull));
	entry->role = DatumGetObjectId(actor_query_result(row, 3, &isnull));
	return entry;
}

/*
 * Closes the entries of this server whose roles are gone; returns whether there were
 * any.
 */
static bool
close_entries(void)
{
	Datum		values[2] = {Int64GetDatum(actor_role_server())};
	uint64		closed = 0;
	ListCell   *cell;

	if (!actor_on_several_servers())
		return actor_query_count(&close_gone, values) > 0;
	foreach(cell, actor_query_list(&read_here, values, read_entry))
	{
		Entry	   *entry = lfirst(cell);

		if (SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(entry->role)))
			continue;
		values[0] = NameGetDatum(&entry->name);
		values[1] = Int64GetDatum(entry->number);
		closed += actor_query_count(&close_entry, values);
	}
	return closed > 0;
}

/*
 * actor_roles_settle
 *		Enters the roles of rows that were restored from another server, and
 *		closes the entries of roles that are gone.  For schedulers, whenever
 *		something may have changed, and after a while anyway, because nothing
 *		tells when a restore has come to these rows.
 */
void
actor_roles_settle(void)
{
	static uint64 settled = 0;
	static TimestampTz settled_at = 0;
	uint64		generation = actor_catalog_generation();
	TimestampTz now = GetCurrentTimestamp();
	Datum		values[1] = {Int64GetDatum(actor_role_server())};
	List	   *restored;
	ListCell   *cell;

	if (RecoveryInProgress() ||
		(settled == generation && now >= settled_at && now - settled_at < SETTLE_AGAIN_US))
		return;
	restored = actor_query_list(&read_restored, values, read_role_name);
	foreach(cell, restored)
	{
		Oid			role = get_role_oid(NameStr(*(NameData *) lfirst(cell)), true);

		if (OidIsValid(role))
			actor_role_enter(lfirst(cell), role);
	}
	/* entries of this server matter here only */
	if (close_entries() || restored != NIL)
		actor_catalog_altered();
	settled = generation;
	settled_at = now;
}
