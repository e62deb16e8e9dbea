/*-------------------------------------------------------------------------
 *
 * due.c
 *		What is due, and when: rows, and how many.
 *
 * However many reminders, timers and messages there are, only so many are looked
 * at: those an index leads to, up to a limit for each role or hosted type, and
 * beyond that a sample.  The rows of a role are found by its name, those that
 * hosts run by their type: each of these is a source here.
 *
 * IDENTIFICATION
 *		src/view/due.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "stat/stat.h"
#include "view/internal.h"

PG_FUNCTION_INFO_V1(actor_due);
PG_FUNCTION_INFO_V1(actor_due_counts);

/* rows that are counted exactly in a table, shared by its sources */
#define COUNTED_MAX			2000
#define COUNTED_MIN			100
/*
 * Rows of a source that are looked at where not all of them are wanted, or may be
 * seen; all sources of a table share so many
 */
#define LOOKED_MAX			5000
#define LOOKED_SUM			50000
/* steps that are counted at a time */
#define STEPS_MAX			10000
#define ROWS_MAX			100000
/*
 * Of a table that is larger so many bytes are looked at, of pages here and there,
 * which are the same each time: somebody asks again and again, and others would have
 * to be read from the disk
 */
#define SAMPLE_BYTES		4194304.0

/* the share that $6 bytes are of a table */
#define SAMPLED_SHARE(table) \
	"LEAST(1, $6 OPERATOR(pg_catalog./)" \
	" GREATEST(1, pg_catalog.pg_relation_size('" table "'::pg_catalog.regclass)))::pg_catalog.float8"

/* $1: now, $2: seconds of a step, $3: number of steps; late: -1 */
#define STEP_OF(at) \
	"CASE WHEN " at " OPERATOR(pg_catalog.<=) $1 THEN -1 ELSE LEAST($3 OPERATOR(pg_catalog.-) 1," \
	" pg_catalog.floor(pg_catalog.date_part('epoch', " at " OPERATOR(pg_catalog.-) $1)" \
	"  OPERATOR(pg_catalog./) $2)::pg_catalog.int4) END"

#define ROLE_SOURCE			"NOT r.hosted AND r.role_name OPERATOR(pg_catalog.=) "
#define TYPE_SOURCE			"r.hosted AND r.actor_type OPERATOR(pg_catalog.=) "

/* the roles that have rows, each found by a step in the index */
#define READ_ROLES(table) \
	{"WITH RECURSIVE roles AS (" \
	"  (SELECT r.role_name FROM " table " r WHERE NOT r.hosted ORDER BY r.role_name LIMIT 1)" \
	"   UNION ALL" \
	"  SELECT (SELECT r.role_name FROM " table " r" \
	"           WHERE NOT r.hosted AND r.role_name OPERATOR(pg_catalog.>) o.role_name" \
	"           ORDER BY r.role_name LIMIT 1)" \
	"    FROM roles o WHERE o.role_name IS NOT NULL)" \
	" SELECT role_name FROM roles WHERE role_name IS NOT NULL", 0, {0}, false, true}

/* $1: the source, $2: before then, $3: the number of rows before the one that is read */
#define READ_LIMIT(table, source, type) \
	{"SELECT r.next_try_at FROM " table " r WHERE " source "$1" \
	"    AND r.next_try_at OPERATOR(pg_catalog.<) $2" \
	"  ORDER BY r.next_try_at OFFSET $3 LIMIT 1", \
	3, {type, TIMESTAMPTZOID, INT8OID}, false, true}

/* $4: the source, $5: before then */
#define COUNT_ROWS(table, source, type) \
	{"SELECT c.actor_type, c.step, pg_catalog.count(*)::pg_catalog.float8" \
	"  FROM (SELECT r.actor_type, " STEP_OF("r.next_try_at") " AS step FROM " table " r" \
	"         WHERE " source "$4 AND r.next_try_at OPERATOR(pg_catalog.<) $5) c" \
	" GROUP BY c.actor_type, c.step", \
	5, {TIMESTAMPTZOID, FLOAT8OID, INT4OID, type, TIMESTAMPTZOID}, false, true}

/* $4: the source, $5: from then, $6: bytes to look at, $7: before then */
#define SAMPLE_ROWS(table, source, type) \
	{"SELECT c.actor_type, c.step," \
	"        pg_catalog.count(*) OPERATOR(pg_catalog./) " SAMPLED_SHARE(table) \
	"  FROM (SELECT r.actor_type, " STEP_OF("r.next_try_at") " AS step" \
	"          FROM " table " r TABLESAMPLE pg_catalog.system" \
	"           (100 OPERATOR(pg_catalog.*) " SAMPLED_SHARE(table) ") REPEATABLE (1)" \
	"         WHERE " source "$4 AND r.next_try_at OPERATOR(pg_catalog.>=) $5" \
	"           AND r.next_try_at OPERATOR(pg_catalog.<) $7) c" \
	" GROUP BY c.actor_type, c.step", \
	7, {TIMESTAMPTZOID, FLOAT8OID, INT4OID, type, TIMESTAMPTZOID, FLOAT8OID, TIMESTAMPTZOID}}

/*
 * $1: the source, $2: from then, $3: until then, $4: among so many, $5: that have this
 * attempt at least; columns of actor.pending
 */
#define READ_ROWS(kind, table, name, scheduled_at, source, type) \
	{"SELECT '" kind "'::pg_catalog.text, r.actor_type, r.actor_id, " name ", r.method," \
	"        r.role_name, " scheduled_at ", r.next_try_at, r.attempt, r.deferrals" \
	"  FROM (SELECT * FROM " table " r WHERE " source "$1" \
	"           AND r.next_try_at OPERATOR(pg_catalog.>=) $2" \
	"           AND r.next_try_at OPERATOR(pg_catalog.<=) $3" \
	"         ORDER BY r.next_try_at LIMIT $4) r" \
	" WHERE r.attempt OPERATOR(pg_catalog.>=) $5" \
	" ORDER BY r.next_try_at", \
	5, {type, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID}, false, true}

#define ROW_TYPE			2
#define ROW_TIME			8

/* in each pair: of roles, and of hosted types */
typedef struct DueTable
{
	const char *kind;
	bool		unlogged;
	ActorQuery	read_roles;
	ActorQuery	read_limit[2];
	ActorQuery	count_rows[2];
	ActorQuery	sample_rows[2];
	ActorQuery	read_rows[2];
} DueTable;

#define DUE_TABLE(kind, table, unlogged, name, scheduled_at) \
	{kind, unlogged, READ_ROLES(table), \
	 {READ_LIMIT(table, ROLE_SOURCE, NAMEOID), READ_LIMIT(table, TYPE_SOURCE, TEXTOID)}, \
	 {COUNT_ROWS(table, ROLE_SOURCE, NAMEOID), COUNT_ROWS(table, TYPE_SOURCE, TEXTOID)}, \
	 {SAMPLE_ROWS(table, ROLE_SOURCE, NAMEOID), SAMPLE_ROWS(table, TYPE_SOURCE, TEXTOID)}, \
	 {READ_ROWS(kind, table, name, scheduled_at, ROLE_SOURCE, NAMEOID), \
	  READ_ROWS(kind, table, name, scheduled_at, TYPE_SOURCE, TEXTOID)}}

static DueTable tables[] =

{
	DUE_TABLE("reminder", "actor.reminder", false, "r.name", "r.scheduled_at"),
	DUE_TABLE("timer", "actor.timer", true, "r.name", "r.scheduled_at"),
	DUE_TABLE("message", "actor.message", false, "r.message_id::pg_catalog.text", "r.due_at")
};

static ActorQuery read_hosted = {
	"SELECT t.actor_type FROM actor.type t WHERE t.hosted",
	0, {0}
};

/* rows of a table that one index leads to */
typedef struct Source
{
	bool		hosted;
	NameData	role;			/* unless they are hosted */
	text	   *type;			/* if they are */
	TimestampTz limit;			/* rows from then on are too many to be
								 * counted */
} Source;

/* who asks */
typedef struct Asker
{
	Oid			user;
	ActorVisible visible;
} Asker;

/* what is counted in a table */
typedef struct Count
{
	const Asker *asker;
	bool		own;			/* the source is of a role that the user has */
	bool		sampled;
	double	   *rows;			/* of each step, what is late first */
	bool	   *estimated;
} Count;

/* rows that are due */
typedef struct Found
{
	const Asker *asker;
	bool		own;
	int			max;
	int			min_attempt;
	TimestampTz until;			/* what comes later is not among the first */
	List	   *rows;			/* of FoundRow */
	int			count;			/* of this source */
	MemoryContext context;
} Found;

typedef struct FoundRow
{
	TimestampTz at;
	HeapTuple	tuple;
} FoundRow;

static void
ask(Asker *asker)
{
	asker->user = GetUserId();
	actor_visible_init(&asker->visible);
}

/* sources --------------------------------------------------------------- */

static void *
read_role(uint64 row)
{
	Source	   *source = palloc0(sizeof(Source));
	bool		isnull;

	source->role = *DatumGetName(actor_query_result(row, 1, &isnull));
	return source;
}

static void *
read_type(uint64 row)
{
	Source	   *source = palloc0(sizeof(Source));
	bool		isnull;

	source->hosted = true;
	source->type = DatumGetTextPCopy(actor_query_result(row, 1, &isnull));
	return source;
}

static List *
read_sources(DueTable *table)
{
	return list_concat(actor_query_list(&table->read_roles, NULL, read_role),
					   actor_query_list(&read_hosted, NULL, read_type));
}

static Datum
source_key(Source *source)
{
	return source->hosted ? PointerGetDatum(source->type) : NameGetDatum(&source->role);
}

/*
 * Whether the user may see all rows of a source because the role is his.
 */
static bool
is_own(const Asker *asker, const Source *source)
{
	return !source->hosted && !asker->visible.all &&
		actor_role_held_by(asker->user, &source->role);
}

/* counting -------------------------------------------------------------- */

/*
 * From when on rows of a source are too many to be counted, infinity for never; shards
 * are not sampled.
 */
static TimestampTz
find_limit(DueTable *table, Source *source, TimestampTz until, int64 max)
{
	Datum		values[3] = {source_key(source), TimestampTzGetDatum(until), Int64GetDatum(max)};
	TimestampTz limit = DT_NOEND;
	ActorBookkeeping bookkeeping;
	bool		isnull;

	if (actor_on_several_servers())
		return limit;
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&table->read_limit[source->hosted], values, NULL) > 0)
		limit = DatumGetTimestampTz(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return limit;
}

/*
 * Adds a group of rows to its step, if the user may see it.  The columns are the
 * type, the step and the number.
 */
static void
count_group(uint64 row, void *arg)
{
	Count	   *count = arg;
	bool		isnull;
	char	   *type = TextDatumGetCString(actor_query_result(row, 1, &isnull));
	int			step = DatumGetInt32(actor_query_result(row, 2, &isnull)) + 1;

	if (count->own || actor_visible_type(&count->asker->visible, type))
	{
		count->rows[step] += DatumGetFloat8(actor_query_result(row, 3, &isnull));
		count->estimated[step] |= count->sampled;
	}
	pfree(type);
}

/*
 * Counts each source exactly as far as that goes, so that none that is small
 * disappears behind others.
 */
static void
count_table(DueTable *table, const Asker *asker, TimestampTz now, double step, int steps,
			TimestampTz until, Count *count)
{
	List	   *sources = read_sources(table);
	Datum		values[7] = {TimestampTzGetDatum(now), Float8GetDatum(step), Int32GetDatum(steps)};
	int			cut = 0;
	ListCell   *cell;

	count->asker = asker;
	foreach(cell, sources)
	{
		Source	   *source = lfirst(cell);

		source->limit = find_limit(table, source, until,
								   Max(COUNTED_MIN, COUNTED_MAX / list_length(sources)));
		cut += source->limit < until;
	}
	values[6] = TimestampTzGetDatum(until);
	foreach(cell, sources)
	{
		Source	   *source = lfirst(cell);

		count->own = is_own(asker, source);
		count->sampled = false;
		values[3] = source_key(source);
		values[4] = TimestampTzGetDatum(Min(source->limit, until));
		actor_query_each(&table->count_rows[source->hosted], values, count_group, count);
		if (source->limit >= until)
			continue;
		count->sampled = true;
		values[5] = Float8GetDatum(SAMPLE_BYTES / cut);
		actor_query_each(&table->sample_rows[source->hosted], values, count_group, count);
	}
}

static void
show_counts(ReturnSetInfo *rsinfo, const char *kind, TimestampTz now, double step, int steps,
			const Count *count)
{
	for (int i = 0; i <= steps; i++)
	{
		Datum		values[5];
		bool		nulls[5] = {false};

		if (count->rows[i] == 0)
			continue;
		values[0] = CStringGetTextDatum(kind);
		values[1] = TimestampTzGetDatum(i == 0 ? DT_NOBEGIN :
										now + (TimestampTz) rint((i - 1) * step * USECS_PER_SEC));
		values[2] = TimestampTzGetDatum(now + (TimestampTz) rint(i * step * USECS_PER_SEC));
		values[3] = Int64GetDatum((int64) rint(count->rows[i]));
		values[4] = BoolGetDatum(count->estimated[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * Seconds of an interval that is a positive time.
 */
static double
seconds_of_step(const Interval *step)
{
	double		seconds = step->time / (double) USECS_PER_SEC +
	((double) step->month * DAYS_PER_MONTH + step->day) * SECS_PER_DAY;

	if (!(seconds >= 0.001 && seconds <= 366.0 * SECS_PER_DAY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step must be between one millisecond and a year")));
	return seconds;
}

static void
refuse_null(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

Datum
actor_due_counts(PG_FUNCTION_ARGS)
{
	TimestampTz now = GetCurrentTimestamp();
	Asker		asker;
	double		step;
	int			steps;

	refuse_null(fcinfo, 0, "step");
	refuse_null(fcinfo, 1, "steps");
	step = seconds_of_step(PG_GETARG_INTERVAL_P(0));
	steps = PG_GETARG_INT32(1);
	if (steps < 1 || steps > STEPS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps must be between 1 and %d", STEPS_MAX)));
	InitMaterializedSRF(fcinfo, 0);
	ask(&asker);
	for (int i = 0; i < lengthof(tables); i++)
	{
		Count		count = {0};

		if (tables[i].unlogged && RecoveryInProgress())
			continue;
		count.rows = palloc0((steps + 1) * sizeof(double));
		count.estimated = palloc0((steps + 1) * sizeof(bool));
		count_table(&tables[i], &asker, now, step, steps,
					now + (TimestampTz) rint(steps * step * USECS_PER_SEC), &count);
		show_counts((ReturnSetInfo *) fcinfo->resultinfo, tables[i].kind, now, step, steps, &count);
	}
	return (Datum) 0;
}

/* rows ------------------------------------------------------------------ */

static void
find_row(uint64 row, void *arg)
{
	Found	   *found = arg;
	MemoryContext old;
	FoundRow   *result;
	bool		isnull;
	char	   *type = TextDatumGetCString(actor_query_result(row, ROW_TYPE, &isnull));

	if (found->count < found->max &&
		(found->own || actor_visible_type(&found->asker->visible, type)))
	{
		old = MemoryContextSwitchTo(found->context);
		result = palloc(sizeof(FoundRow));
		result->at = DatumGetTimestampTz(actor_query_result(row, ROW_TIME, &isnull));
		result->tuple = heap_copytuple(SPI_tuptable->vals[row]);
		found->rows = lappend(found->rows, result);
		found->count++;
		MemoryContextSwitchTo(old);
	}
	pfree(type);
}

static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const FoundRow *left = lfirst(a);
	const FoundRow *right = lfirst(b);

	return (left->at > right->at) - (left->at < right->at);
}

/*
 * Keeps the first of the rows that were found, after which no source need look.
 */
static void
keep_first(Found *found)
{
	list_sort(found->rows, compare_rows);
	while (list_length(found->rows) > found->max)
	{
		FoundRow   *last = llast(found->rows);

		heap_freetuple(last->tuple);
		pfree(last);
		found->rows = list_delete_last(found->rows);
	}
	if (found->max > 0 && list_length(found->rows) == found->max)
		found->until = ((FoundRow *) llast(found->rows))->at;
}

/*
 * Finds the first rows of each source from that time on.
 */
static void
find_rows(DueTable *table, TimestampTz since, Found *found)
{
	List	   *sources = read_sources(table);
	int			looked = Min(LOOKED_MAX, LOOKED_SUM / Max(1, list_length(sources)));
	ListCell   *cell;

	foreach(cell, sources)
	{
		Source	   *source = lfirst(cell);
		Datum		values[5] = {source_key(source), TimestampTzGetDatum(since), TimestampTzGetDatum(found->until)};
		bool		all;

		CHECK_FOR_INTERRUPTS();
		found->own = is_own(found->asker, source);
		found->count = 0;
		all = (found->own || found->asker->visible.all) && found->min_attempt <= 1;
		values[3] = Int64GetDatum(all ? found->max : Max(found->max, looked));
		values[4] = Int32GetDatum(found->min_attempt);
		actor_query_each(&table->read_rows[source->hosted], values, find_row, found);
		if (found->count > 0)
			keep_first(found);
	}
}

Datum
actor_due(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	Asker		asker;
	Found		found = {&asker};
	ListCell   *cell;

	refuse_null(fcinfo, 0, "until");
	refuse_null(fcinfo, 1, "max_rows");
	refuse_null(fcinfo, 2, "since");
	refuse_null(fcinfo, 3, "min_attempt");
	found.until = PG_GETARG_TIMESTAMPTZ(0);
	found.max = PG_GETARG_INT32(1);
	found.min_attempt = PG_GETARG_INT32(3);
	found.context = CurrentMemoryContext;
	if (found.max < 0 || found.max > ROWS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be between 0 and %d", ROWS_MAX)));
	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	ask(&asker);
	for (int i = 0; i < lengthof(tables); i++)
		if (!tables[i].unlogged || !RecoveryInProgress())
			find_rows(&tables[i], PG_GETARG_TIMESTAMPTZ(2), &found);
	foreach(cell, found.rows)
		tuplestore_puttuple(rsinfo->setResult, ((FoundRow *) lfirst(cell))->tuple);
	return (Datum) 0;
}
