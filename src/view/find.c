/*-------------------------------------------------------------------------
 *
 * find.c
 *		Types and actors, for those who look for one.
 *
 * Actors are found by steps in the keys of our tables, all of which begin with
 * type and id, so what it costs depends on how many are asked for, not on how
 * many there are.
 *
 * IDENTIFICATION
 *		src/view/find.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "stat/stat.h"
#include "type/type.h"
#include "view/internal.h"

PG_FUNCTION_INFO_V1(actor_find);
PG_FUNCTION_INFO_V1(actor_get_type_status);

#define FOUND_MAX			100000
/* rows of a type that are counted in a table; fewer if there are many types */
#define COUNTED_MAX			10000
#define COUNTED_MIN			1000
#define COUNTED_SUM			100000

/* actors -------------------------------------------------------------- */

/* $1: type, $2: an id, $3: whether that one counts, too */
#define NEXT_IN(table) \
	"(SELECT r.actor_id FROM " table " r WHERE r.actor_type OPERATOR(pg_catalog.=) $1" \
	"    AND r.actor_id OPERATOR(pg_catalog.>) $2 ORDER BY r.actor_id LIMIT 1)"
#define THIS_IN(table) \
	"(SELECT r.actor_id FROM " table " r WHERE r.actor_type OPERATOR(pg_catalog.=) $1" \
	"    AND r.actor_id OPERATOR(pg_catalog.=) $2 LIMIT 1)"
#define LOGGED(look) \
	look("actor.state") " UNION ALL " look("actor.reminder") " UNION ALL " \
	look("actor.message") " UNION ALL " look("actor.failure") " UNION ALL " \
	look("actor.pause") " UNION ALL " look("actor.placement") " UNION ALL " \
	look("actor.history") " UNION ALL " look("actor.stream") " UNION ALL " \
	look("actor.subscription")
#define UNLOGGED(look) \
	look("actor.activation") " UNION ALL " look("actor.timer")

#define FIRST_OF(ids) \
	{"SELECT pg_catalog.min(i.actor_id) FROM (" ids ") i", 2, {TEXTOID, TEXTOID}, true, true}

/* in each pair: those of a standby, and those of others */
static ActorQuery read_this[] = {
	FIRST_OF(LOGGED(THIS_IN)), FIRST_OF(LOGGED(THIS_IN) " UNION ALL " UNLOGGED(THIS_IN))
};
static ActorQuery read_next[] = {
	FIRST_OF(LOGGED(NEXT_IN)), FIRST_OF(LOGGED(NEXT_IN) " UNION ALL " UNLOGGED(NEXT_IN))
};

#define IS_IN(table) \
	"EXISTS (SELECT FROM " table " r WHERE r.actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND r.actor_id OPERATOR(pg_catalog.=) $2"
#define LOOK_AT(active) \
	{"SELECT $2, " active ", " IS_IN("actor.pause") "), " IS_IN("actor.failure") ")", \
	2, {TEXTOID, TEXTOID}, true, true}

/* the columns that are shown */
static ActorQuery look_at[] = {
	LOOK_AT("NULL::pg_catalog.bool"),
	LOOK_AT(IS_IN("actor.activation")
			" AND r.server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time())")
};

static void
show_row(uint64 row, void *arg)
{
	tuplestore_puttuple(((ReturnSetInfo *) arg)->setResult, SPI_tuptable->vals[row]);
}

/*
 * The first id that a statement finds, NULL for none; in the current memory context.
 */
static text *
read_id(ActorQuery *query, const text *type, const text *id)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		values[2] = {PointerGetDatum(type), PointerGetDatum(id)};
	ActorBookkeeping bookkeeping;
	text	   *result = NULL;
	Datum		datum;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(query, values, NULL);
	datum = actor_query_result(0, 1, &isnull);
	if (!isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		result = DatumGetTextPCopy(datum);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

static bool
begins_with(const text *id, const text *prefix)
{
	return VARSIZE_ANY_EXHDR(id) >= VARSIZE_ANY_EXHDR(prefix) &&
		memcmp(VARDATA_ANY(id), VARDATA_ANY(prefix), VARSIZE_ANY_EXHDR(prefix)) == 0;
}

static int
compare_ids(const text *a, const text *b)
{
	int			result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b),
								Min(VARSIZE_ANY_EXHDR(a), VARSIZE_ANY_EXHDR(b)));

	return result != 0 ? result : (int) VARSIZE_ANY_EXHDR(a) - (int) VARSIZE_ANY_EXHDR(b);
}

/*
 * The ids that begin with a prefix, those of a page that begins after some id.
 * Ids compare bytewise, so they stand together behind the prefix itself.
 */
Datum
actor_find(PG_FUNCTION_ARGS)
{
	bool		primary = !RecoveryInProgress();
	const text *type;
	const text *prefix;
	const text *after;
	text	   *id = NULL;
	int			max;

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i) && i != 2)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", i == 0 ? "actor type" : i == 1 ? "prefix" : "max_rows")));
	type = PG_GETARG_TEXT_PP(0);
	prefix = PG_GETARG_TEXT_PP(1);
	after = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	max = PG_GETARG_INT32(3);
	if (max < 0 || max > FOUND_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be between 0 and %d", FOUND_MAX)));
	if (!has_privs_of_role(GetUserId(), ROLE_PG_MONITOR))
		actor_type_require_owner(type);
	InitMaterializedSRF(fcinfo, 0);

	if (after == NULL || compare_ids(after, prefix) < 0)
	{
		/* the prefix itself can be an id */
		if (VARSIZE_ANY_EXHDR(prefix) > 0)
			id = read_id(&read_this[primary], type, prefix);
		after = prefix;
	}
	for (int i = 0; i < max; i++)
	{
		Datum		values[2] = {PointerGetDatum(type)};

		CHECK_FOR_INTERRUPTS();
		if (id == NULL)
			id = read_id(&read_next[primary], type, after);
		if (id == NULL || !begins_with(id, prefix))
			break;
		values[1] = PointerGetDatum(id);
		actor_query_each(&look_at[primary], values, show_row, fcinfo->resultinfo);
		after = id;
		id = NULL;
	}
	return (Datum) 0;
}

/* types ----------------------------------------------------------------- */

static ActorQuery read_types = {
	"SELECT t.actor_type FROM actor.type t ORDER BY t.actor_type",
	0, {0}
};

/* $1: type, $2: up to so many */
#define COUNT_IN(table) \
	"(SELECT pg_catalog.count(*) FROM (SELECT FROM " table " r" \
	"  WHERE r.actor_type OPERATOR(pg_catalog.=) $1 LIMIT $2) c)"
#define COUNT_TYPE(active, timers) \
	{"SELECT $1, " active ", " COUNT_IN("actor.reminder") ", " timers "," \
	"        m.messages, m.due, m.oldest_due, " COUNT_IN("actor.failure") "," \
	"        EXISTS (SELECT FROM actor.pause p WHERE p.actor_type OPERATOR(pg_catalog.=) $1" \
	"                   AND p.actor_id OPERATOR(pg_catalog.=) '')," \
	"        (SELECT pg_catalog.count(*) FROM (SELECT FROM actor.pause r" \
	"          WHERE r.actor_type OPERATOR(pg_catalog.=) $1" \
	"            AND r.actor_id OPERATOR(pg_catalog.>) '' LIMIT $2) c), $2" \
	"   FROM (SELECT pg_catalog.count(*) AS messages," \
	"                pg_catalog.count(*) FILTER (WHERE c.due) AS due," \
	"                pg_catalog.min(c.due_at) FILTER (WHERE c.due) AS oldest_due" \
	"           FROM (SELECT r.due_at, r.due_at OPERATOR(pg_catalog.<=)" \
	"                        pg_catalog.statement_timestamp() AS due" \
	"                   FROM actor.message r" \
	"                  WHERE r.actor_type OPERATOR(pg_catalog.=) $1 LIMIT $2) c) m", \
	2, {TEXTOID, INT8OID}, false, true}

static ActorQuery count_type[] = {
	COUNT_TYPE("NULL::pg_catalog.int8", "NULL::pg_catalog.int8"),
	COUNT_TYPE("(SELECT pg_catalog.count(*) FROM (SELECT FROM actor.activation r"
			   "  WHERE r.server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()"
			   "    AND r.actor_type OPERATOR(pg_catalog.=) $1 LIMIT $2) c)",
			   COUNT_IN("actor.timer"))
};

static void *
read_type(uint64 row)
{
	bool		isnull;

	return DatumGetTextPCopy(actor_query_result(row, 1, &isnull));
}

Datum
actor_get_type_status(PG_FUNCTION_ARGS)
{
	List	   *types = actor_query_list(&read_types, NULL, read_type);
	int64		most = Max(COUNTED_MIN, Min(COUNTED_MAX, COUNTED_SUM / Max(1, list_length(types))));
	ActorVisible visible;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	actor_visible_init(&visible);
	foreach(cell, types)
	{
		Datum		values[2] = {PointerGetDatum(lfirst(cell)), Int64GetDatum(most)};

		if (actor_visible_type(&visible, text_to_cstring(lfirst(cell))))
			actor_query_each(&count_type[!RecoveryInProgress()], values, show_row,
							 fcinfo->resultinfo);
	}
	return (Datum) 0;
}
