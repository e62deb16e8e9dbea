/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Finding what is due to a role.
 *
 * A scan takes no locks and proves nothing; the claim of a row does, see
 * firing.c.  It sees what is on this server, where actors are on several.
 *
 * IDENTIFICATION
 *		src/fire/scan.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "fire/internal.h"

/* what hosts run is in other indexes */
#define SCAN_DUE(kind, columns, table, order) \
	"(SELECT " kind "::pg_catalog.int4, actor_type, actor_id, " columns "," \
	"  attempt, next_try_at" \
	"   FROM " table \
	"  WHERE NOT hosted AND role_name OPERATOR(pg_catalog.=) $1" \
	"    AND next_try_at OPERATOR(pg_catalog.>=) $2" \
	"    AND next_try_at OPERATOR(pg_catalog.<=) $3" \
	"  ORDER BY " order " LIMIT $4)"

/* messages that are tried at the same time are found in their order */
static ActorQuery scan_due = {
	SCAN_DUE("0", "name, generation, scheduled_at", "actor.reminder", "next_try_at")
	" UNION ALL "
	SCAN_DUE("1", "name, generation, scheduled_at", "actor.timer", "next_try_at")
	" UNION ALL "
	SCAN_DUE("3", "message_id::pg_catalog.text AS name, message_id AS generation, due_at", "actor.message",
			 "next_try_at, message_id")
	" ORDER BY next_try_at, generation LIMIT $4",
	4, {NAMEOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID}, true, true
};

#define READ_NEXT(table) \
	"(SELECT next_try_at FROM " table \
	"  WHERE NOT hosted AND role_name OPERATOR(pg_catalog.=) $1" \
	"    AND next_try_at OPERATOR(pg_catalog.>) $2" \
	"  ORDER BY next_try_at LIMIT 1)"

static ActorQuery read_next = {
	"SELECT LEAST(" READ_NEXT("actor.reminder") ", " READ_NEXT("actor.timer") ", "
	READ_NEXT("actor.message") ")",
	2, {NAMEOID, TIMESTAMPTZOID}, false, true
};

static void *
read_due(uint64 row)
{
	ActorDue   *due = palloc(sizeof(ActorDue));
	bool		isnull;

	due->kind = DatumGetInt32(actor_query_result(row, 1, &isnull));
	actor_ref_init(&due->actor,
				   DatumGetTextPCopy(actor_query_result(row, 2, &isnull)),
				   DatumGetTextPCopy(actor_query_result(row, 3, &isnull)));
	due->name = DatumGetTextPCopy(actor_query_result(row, 4, &isnull));
	due->generation = DatumGetInt64(actor_query_result(row, 5, &isnull));
	due->scheduled_at = DatumGetTimestampTz(actor_query_result(row, 6, &isnull));
	if (due->kind == DUE_MESSAGE)
		due->generation = actor_message_generation(&due->actor, due->generation,
												   due->scheduled_at);
	due->attempt = DatumGetInt32(actor_query_result(row, 7, &isnull));
	due->next_try_at = DatumGetTimestampTz(actor_query_result(row, 8, &isnull));
	return due;
}

/*
 * actor_due_scan
 *		The rows of a role that are due in a range of time, earliest first, as
 *		a list of ActorDue in the current memory context.  Takes no locks.
 */
List *
actor_due_scan(const NameData *role, TimestampTz from, TimestampTz until, int limit)
{
	Datum		values[4] = {NameGetDatum(role), TimestampTzGetDatum(from),
	TimestampTzGetDatum(until), Int64GetDatum(limit)};

	return actor_query_list(&scan_due, values, read_due);
}

/*
 * actor_due_next
 *		When the next row of a role is due after that time; DT_NOEND if none
 *		is.
 */
TimestampTz
actor_due_next(const NameData *role, TimestampTz after)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {NameGetDatum(role), TimestampTzGetDatum(after)};
	Datum		next;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&read_next, values, NULL);
	next = actor_query_result(0, 1, &isnull);
	actor_bookkeeping_end(&bookkeeping);
	return isnull ? DT_NOEND : DatumGetTimestampTz(next);
}
