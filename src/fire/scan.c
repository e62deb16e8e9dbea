/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Finding what is due to a role.
 *
 * A scan takes no locks and proves nothing; the claim of a row does, see
 * firing.c.  It sees what is on this server, where actors are on several.
 *
 * It is done without a statement where that makes no difference: the three indexes
 * on what is due are read at once.  The result is that of the statement, except for
 * rows that are due at the very same time: of too many of those, either takes some.
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
#include "message/message.h"
#include "reminder/reminder.h"
#include "fire/internal.h"

/* where what is read is in the tables; columns count from 1 */
typedef struct DueColumns
{
	ActorDueKind kind;
	int			name;			/* 0: it is the number, as a text */
	int			scheduled_at;
	int			attempt;
} DueColumns;

/* in the order of the statement, whose numbers the kinds are */
static const DueColumns due_columns[] = {
	{DUE_REMINDER, 3, 20, 23},
	{DUE_TIMER, 3, 18, 21},
	{DUE_MESSAGE, 0, MESSAGE_DUE_AT + 1, MESSAGE_ATTEMPT + 1}
};

static ActorSource due_sources[] = {
	{{"reminder", 3}, {21, 32, false, 11}, 12},
	{{"timer", 3}, {19, 25, false, 9}, 10},
	{{"message", 3}, {MESSAGE_NEXT_TRY_AT + 1, MESSAGE_HOSTED + 1, false, MESSAGE_ROLE_NAME + 1,
	MESSAGE_ID + 1}, MESSAGE_ID + 1}
};

StaticAssertDecl(lengthof(due_columns) == lengthof(due_sources), "one for each table");

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

/* without a statement --------------------------------------------------- */

/* a row that was found, and its number among those of the same time */
typedef struct Found
{
	ActorDue   *due;
	int64		number;
} Found;

static Datum
column_of(const ActorMergeInput *row, int column)
{
	bool		isnull;

	return slot_getattr(row->slot, column, &isnull);
}

/*
 * Remembers where the row of a reminder is, which its claim looks for by its key.
 */
static void
note_location(ActorMergeInput *row, const ActorDue *due)
{
	Datum		key[] = {PointerGetDatum(due->actor.type), PointerGetDatum(due->actor.id),
	PointerGetDatum(due->name)};

	if (due->kind == DUE_REMINDER)
		actor_merge_note(row, key, lengthof(key));
}

/*
 * Copies a row that is due.
 */
static ActorDue *
copy_due(const ActorMergeInput *row, const DueColumns *columns)
{
	ActorDue   *due = palloc(sizeof(ActorDue));

	due->kind = columns->kind;
	actor_ref_init(&due->actor, DatumGetTextPCopy(column_of(row, 1)),
				   DatumGetTextPCopy(column_of(row, 2)));
	due->name = columns->name != 0 ? DatumGetTextPCopy(column_of(row, columns->name)) :
		cstring_to_text(psprintf(INT64_FORMAT, row->number));
	due->scheduled_at = DatumGetTimestampTz(column_of(row, columns->scheduled_at));
	due->generation = due->kind != DUE_MESSAGE ? row->number :
		actor_message_generation(&due->actor, row->number, due->scheduled_at);
	due->attempt = DatumGetInt32(column_of(row, columns->attempt));
	due->next_try_at = row->at;
	return due;
}

static int
compare_found(const void *a, const void *b)
{
	const Found *first = a;
	const Found *second = b;

	if (first->due->next_try_at != second->due->next_try_at)
		return first->due->next_try_at < second->due->next_try_at ? -1 : 1;
	return first->number < second->number ? -1 : first->number > second->number;
}

/*
 * Looks for what is due as above; false, and nothing is done, if it takes a
 * statement.
 */
static bool
scan_directly(const NameData *role, TimestampTz from, TimestampTz until, int limit, List **result)
{
	Found	   *found;
	ActorMerge	merge;
	ActorMergeInput *row;
	int			count = 0;

	if (!actor_merge_begin(&merge, due_sources, lengthof(due_sources), role, from, until))
		return false;
	found = palloc(limit * sizeof(Found));
	while (count < limit && (row = actor_merge_next(&merge)) != NULL)
	{
		found[count].due = copy_due(row, &due_columns[merge.current]);
		found[count].number = row->number;
		note_location(row, found[count].due);
		count++;
	}
	actor_merge_end(&merge);

	qsort(found, count, sizeof(Found), compare_found);
	for (int i = 0; i < count; i++)
		*result = lappend(*result, found[i].due);
	pfree(found);
	return true;
}

/*
 * Looks for the next time as above; false, and nothing is done, if it takes a
 * statement.
 */
static bool
next_directly(const NameData *role, TimestampTz after, TimestampTz *next)
{
	ActorMerge	merge;
	ActorMergeInput *row;

	if (!actor_merge_begin(&merge, due_sources, lengthof(due_sources), role, after + 1,
						   DT_NOEND))
		return false;
	row = actor_merge_next(&merge);
	*next = row != NULL ? row->at : DT_NOEND;
	actor_merge_end(&merge);
	return true;
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
	List	   *result = NIL;

	if (scan_directly(role, from, until, limit, &result))
		return result;
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
	TimestampTz found;
	Datum		next;
	bool		isnull;

	if (next_directly(role, after, &found))
		return found;
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&read_next, values, NULL);
	next = actor_query_result(0, 1, &isnull);
	actor_bookkeeping_end(&bookkeeping);
	return isnull ? DT_NOEND : DatumGetTimestampTz(next);
}
