/*-------------------------------------------------------------------------
 *
 * own.c
 *		What of our tables this server has, when actors are on several.
 *
 * A worker sees to what is on its own server, and so do those who count there.  So
 * statements that look for something, without a lock, can be marked as ones about
 * what is here: then each name of a table of ours in their text stands for the
 * shards of it that this server has, which are tables here, and for rows of a plain
 * UNION ALL, which the planner treats like the one table.  What is written, or
 * locked, is written by the name of the table, and so finds its way.
 *
 * What is found that way proves nothing: a shard that has moved away stays readable
 * until it is dropped.  Whoever finds a row claims it by the name of the table.
 *
 * Which shards are here is looked up again when Citus says that it has changed, which
 * it does by throwing away what is cached of the table, and after a while.  A plan
 * is kept for one list of shards.  Nobody drops a shard between that look and its
 * use, as it is locked; one that is gone already is left out.
 *
 * IDENTIFICATION
 *		src/store/own.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "store/store.h"

/* for how long what was found is believed, in milliseconds */
#define BELIEVED_MS		500

#define START_OF_SERVER	"pg_catalog.pg_postmaster_start_time()"

/* of Citus; 1: can be used */
static ActorQuery read_shards = {
	"SELECT c.relname::pg_catalog.text, s.shardid"
	"  FROM pg_catalog.pg_dist_local_group g"
	"  JOIN pg_catalog.pg_dist_placement p ON p.groupid OPERATOR(pg_catalog.=) g.groupid"
	"  JOIN pg_catalog.pg_dist_shard s ON s.shardid OPERATOR(pg_catalog.=) p.shardid"
	"  JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) s.logicalrelid::pg_catalog.oid"
	" WHERE p.shardstate OPERATOR(pg_catalog.=) 1"
	"   AND c.relnamespace OPERATOR(pg_catalog.=) $1"
	" ORDER BY 1, 2",
	1, {OIDOID}
};

static ActorQuery read_group = {
	"SELECT groupid FROM pg_catalog.pg_dist_local_group",
	0, {0}
};

/* a shard that is here */
typedef struct OwnShard
{
	int			table;			/* of actor_distributed_tables */
	Oid			oid;
	int64		id;
} OwnShard;

static List *shards = NIL;
static MemoryContext shards_context = NULL;
static uint64 version = 0;		/* of the list; 0: there is none */
static uint64 read_generation = 0;
static TimestampTz read_at = 0;

/*
 * Number of a table of ours that is distributed; -1: it is not.
 */
static int
table_number(const char *name, size_t len)
{
	for (int i = 0; actor_distributed_tables[i].name != NULL; i++)
		if (strlen(actor_distributed_tables[i].name) == len &&
			memcmp(actor_distributed_tables[i].name, name, len) == 0)
			return i;
	return -1;
}

/*
 * Adds the shard of a row of the result to a list, if it is one of ours, and there.
 */
static List *
add_shard(List *list, uint64 row, Oid schema)
{
	bool		isnull;
	char	   *table = TextDatumGetCString(actor_query_result(row, 1, &isnull));
	int64		id = DatumGetInt64(actor_query_result(row, 2, &isnull));
	int			number = table_number(table, strlen(table));
	Oid			oid = get_relname_relid(psprintf("%s_" INT64_FORMAT, table, id), schema);
	OwnShard   *shard;

	if (number < 0 || !OidIsValid(oid))
		return list;
	shard = MemoryContextAlloc(shards_context, sizeof(OwnShard));
	shard->table = number;
	shard->oid = oid;
	shard->id = id;
	return lappend(list, shard);
}

static bool
is_same_list(const List *a, const List *b)
{
	ListCell   *cell;
	int			i = 0;

	if (list_length(a) != list_length(b))
		return false;
	foreach(cell, a)
	{
		const OwnShard *shard = lfirst(cell);

		if (shard->oid != ((OwnShard *) list_nth(b, i++))->oid)
			return false;
	}
	return true;
}

/*
 * Reads which shards are here.  A list that is as before keeps its version.
 */
static void
read_list(void)
{
	ActorBookkeeping bookkeeping;
	MemoryContext former = shards_context;
	List	   *found = NIL;
	Oid			schema = get_namespace_oid("actor", false);
	Datum		values[1] = {ObjectIdGetDatum(schema)};
	uint64		generation = actor_shape_generation();
	uint64		rows;

	shards_context = AllocSetContextCreate(TopMemoryContext, "own shards",
										   ALLOCSET_SMALL_SIZES);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_shards, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(shards_context);

		found = add_shard(found, i, schema);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);

	if (version == 0 || !is_same_list(found, shards))
	{
		if (former != NULL)
			MemoryContextDelete(former);
		shards = found;
		version++;
	}
	else
	{
		MemoryContextDelete(shards_context);
		shards_context = former;
	}
	/* what is looked up may itself bring news */
	read_generation = generation;
	read_at = GetCurrentTimestamp();
}

/*
 * Reads them again if it is time to.
 */
static void
refresh_list(void)
{
	if (version == 0 || read_generation != actor_shape_generation() ||
		TimestampDifferenceExceeds(read_at, GetCurrentTimestamp(), BELIEVED_MS))
		read_list();
}

/*
 * Locks the shards of tables, a bit each, until the transaction ends; false if one
 * is gone.
 */
static bool
lock_shards(uint32 tables)
{
	ListCell   *cell;

	foreach(cell, shards)
	{
		const OwnShard *shard = lfirst(cell);

		if ((tables & (1U << shard->table)) == 0)
			continue;
		LockRelationOid(shard->oid, AccessShareLock);
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(shard->oid)))
			return false;
	}
	return true;
}

/* texts ----------------------------------------------------------------- */

/*
 * Adds what stands for a table: its shards, or its columns without a row.
 */
static void
append_shards(StringInfo sql, int table)
{
	const char *name = actor_distributed_tables[table].name;
	bool		first = true;
	ListCell   *cell;

	appendStringInfoChar(sql, '(');
	foreach(cell, shards)
	{
		const OwnShard *shard = lfirst(cell);

		if (shard->table != table)
			continue;
		appendStringInfo(sql, "%sSELECT * FROM actor.%s_" INT64_FORMAT,
						 first ? "" : " UNION ALL ", name, shard->id);
		first = false;
	}
	if (first)
		appendStringInfo(sql, "SELECT (NULL::actor.%s).* WHERE false", name);
	appendStringInfoChar(sql, ')');
}

/*
 * Adds what stands for the table whose name begins there, if it is one that is
 * distributed, and notes its number; returns what comes after it.  A name that the
 * statement gives it is in small letters, as keywords are not.
 */
static const char *
append_table(StringInfo sql, const char *from, uint32 *tables)
{
	const char *name = from + strlen("actor.");
	size_t		len = strspn(name, "abcdefghijklmnopqrstuvwxyz_");
	const char *rest = name + len;
	int			number = table_number(name, len);

	if (number < 0)
	{
		appendBinaryStringInfo(sql, from, rest - from);
		return rest;
	}
	*tables |= 1U << number;
	append_shards(sql, number);
	if (rest[0] != ' ' || rest[1] < 'a' || rest[1] > 'z')
		appendStringInfo(sql, " %.*s", (int) len, name);
	return rest;
}

/*
 * The text of a statement about what is here, in the current memory context, and the
 * tables that it is about.  Activations are of no start of a server.
 */
static const char *
text_for_shards(const char *sql, uint32 *tables)
{
	StringInfoData result;
	bool		inside = false; /* of a word or a quotation */

	*tables = 0;
	initStringInfo(&result);
	while (*sql != '\0')
	{
		if (!inside && strncmp(sql, "actor.", strlen("actor.")) == 0)
			sql = append_table(&result, sql, tables);
		else if (!inside && strncmp(sql, START_OF_SERVER, strlen(START_OF_SERVER)) == 0)
		{
			appendStringInfoString(&result, "'2000-01-01 00:00:00+00'::pg_catalog.timestamptz");
			sql += strlen(START_OF_SERVER);
		}
		else
		{
			inside = isalnum((unsigned char) *sql) || strchr("_.'\"", *sql) != NULL;
			appendStringInfoChar(&result, *sql++);
		}
	}
	return result.data;
}

/*
 * actor_own_sql
 *		The text of a statement about what is on this server, if there is no plan of it;
 *		that which it has, while actors are on one server.  A plan that was made for
 *		other shards is thrown away.
 *
 * The text is in the current memory context.  Locks the shards until the
 * transaction ends.
 */
const char *
actor_own_sql(ActorQuery *query)
{
	bool		several = actor_on_several_servers();
	const char *sql = query->sql;

	for (;;)
	{
		if (several)
			refresh_list();
		if (query->plan != NULL && query->own_version != (several ? version : 0))
		{
			SPI_freeplan(query->plan);
			query->plan = NULL;
		}
		query->own_version = several ? version : 0;
		if (!several)
			return sql;
		if (query->plan == NULL)
			sql = text_for_shards(query->sql, &query->own_tables);
		if (lock_shards(query->own_tables))
			return sql;
		/* one is gone */
		read_list();
	}
}

/*
 * actor_own_group
 *		The number that this server has among those of the cluster, which it keeps.
 */
int
actor_own_group(void)
{
	static int	group = -1;
	ActorBookkeeping bookkeeping;
	bool		isnull;

	if (group >= 0)
		return group;
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&read_group, NULL, NULL) > 0)
		group = DatumGetInt32(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return Max(group, 0);
}
