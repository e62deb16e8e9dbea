/*-------------------------------------------------------------------------
 *
 * query.c
 *		Statements over the extension's own tables.
 *
 * They run between actor_bookkeeping_begin and _end, over built-in types and
 * operators only.  Every name in them is qualified, so no search_path has a say
 * in them; it is nevertheless the reason why a plan may be made anew after it
 * has changed.
 *
 * IDENTIFICATION
 *		src/store/query.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "jit/jit.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "store/store.h"

/* of optimizer/cost.h, whose prototypes our warnings refuse before 16 */
extern PGDLLIMPORT bool enable_seqscan;
extern PGDLLIMPORT bool enable_bitmapscan;
extern PGDLLIMPORT bool enable_indexscan;
extern PGDLLIMPORT bool enable_indexonlyscan;
extern PGDLLIMPORT bool enable_nestloop;

/* rows of a long result that are kept at a time */
#define ROWS_AT_ONCE		1000

/* settings of a session that our statements do not take from it */
typedef struct PlanSettings
{
	bool		seqscan;
	bool		bitmapscan;
	bool		indexscan;
	bool		indexonlyscan;
	bool		nestloop;
	bool		jit;
	bool		print_parse;
	bool		print_rewritten;
	bool		print_plan;
} PlanSettings;

/*
 * Whoever has other plans in mind for statements of his own must not make ours
 * slow, or have them compiled or printed each time.  These are the variables
 * themselves: no user code runs meanwhile, and settings cost more.
 */
static void
plan_settings_begin(PlanSettings *saved)
{
	saved->seqscan = enable_seqscan;
	saved->bitmapscan = enable_bitmapscan;
	saved->indexscan = enable_indexscan;
	saved->indexonlyscan = enable_indexonlyscan;
	saved->nestloop = enable_nestloop;
	saved->jit = jit_enabled;
	saved->print_parse = Debug_print_parse;
	saved->print_rewritten = Debug_print_rewritten;
	saved->print_plan = Debug_print_plan;
	enable_seqscan = jit_enabled = false;
	enable_bitmapscan = enable_indexscan = enable_indexonlyscan = enable_nestloop = true;
	Debug_print_parse = Debug_print_rewritten = Debug_print_plan = false;
}

static void
plan_settings_end(const PlanSettings *saved)
{
	enable_seqscan = saved->seqscan;
	enable_bitmapscan = saved->bitmapscan;
	enable_indexscan = saved->indexscan;
	enable_indexonlyscan = saved->indexonlyscan;
	enable_nestloop = saved->nestloop;
	jit_enabled = saved->jit;
	Debug_print_parse = saved->print_parse;
	Debug_print_rewritten = saved->print_rewritten;
	Debug_print_plan = saved->print_plan;
}

/*
 * Whether a statement has one plan for all values; over many shards another one each
 * time would be dear.
 */
static bool
is_generic(const ActorQuery *query)
{
	return query->generic || query->own_version != 0;
}

/*
 * Prepares a statement when it is used for the first time in this backend.
 */
static void
prepare_query(ActorQuery *query)
{
	SPIPlanPtr volatile plan = NULL;
	PlanSettings saved;
	const char *sql = query->own ? actor_own_sql(query) : query->sql;

	if (query->plan != NULL)
		return;
	Assert(query->nargs <= ACTOR_QUERY_MAX_ARGS);
	plan_settings_begin(&saved);
	PG_TRY();
	{
		plan = SPI_prepare_cursor(sql, query->nargs, query->argtypes,
								  is_generic(query) ? CURSOR_OPT_GENERIC_PLAN : 0);
	}
	PG_FINALLY();
	{
		plan_settings_end(&saved);
	}
	PG_END_TRY();
	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s",
			 query->sql, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "SPI_keepplan failed");
	query->plan = plan;
}

/*
 * Runs the plan of a statement, which is made here when it is needed.
 *
 * Every statement finds its rows by an index.  A plan lasts for as long as
 * nothing tells the server to make another one, and the table may have been
 * tiny when it was made, so that reading all of it would seem best.
 */
static int
execute_plan(ActorQuery *query, Datum *values, const char *nulls, bool read_only)
{
	volatile int result = 0;
	PlanSettings saved;

	plan_settings_begin(&saved);
	PG_TRY();
	{
		/* a plan for all values would rather sort what an index has in order */
		if (is_generic(query))
			enable_bitmapscan = false;
		result = SPI_execute_plan(query->plan, values, nulls, read_only, 0);
	}
	PG_FINALLY();
	{
		plan_settings_end(&saved);
	}
	PG_END_TRY();
	/* a table may have changed before the statement locked it */
	if (!actor_shapes_checked)
		(void) actor_shapes_check(ERROR);
	return result;
}

/*
 * Makes sure that the tables a query writes have no triggers of others; false
 * if there is one that is gone.
 */
static bool
check_targets(Query *query)
{
	ListCell   *cell;

	if (query->resultRelation > 0)
	{
		Oid			table = rt_fetch(query->resultRelation, query->rtable)->relid;

		if (!actor_trigger_check(table))
			return false;
		if (query->commandType == CMD_INSERT)
			actor_insert_check(table);
	}
	foreach(cell, query->cteList)
		if (!check_targets(castNode(Query, ((CommonTableExpr *) lfirst(cell))->ctequery)))
		return false;
	return true;
}

/*
 * Does that for a statement, which is prepared anew if it is about tables of an
 * extension that was dropped.
 */
static void
check_triggers(ActorQuery *query)
{
	ListCell   *source;
	ListCell   *cell;

	foreach(source, SPI_plan_get_plan_sources(query->plan))
		foreach(cell, ((CachedPlanSource *) lfirst(source))->query_list)
		if (!check_targets(lfirst_node(Query, cell)))
	{
		SPI_freeplan(query->plan);
		query->plan = NULL;
		prepare_query(query);
		check_triggers(query);
		return;
	}
}

/*
 * actor_query_run
 *		Runs a statement on a fresh snapshot and returns the number of rows it
 *		processed; rows it returned are read by actor_query_result.
 */
uint64
actor_query_run(ActorQuery *query, Datum *values, const char *nulls)
{
	int			result;

	prepare_query(query);
	check_triggers(query);
	result = execute_plan(query, values, nulls, false);
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s",
			 query->sql, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * actor_query_read
 *		Runs a SELECT on the given snapshot, or on a fresh one if that is NULL,
 *		and returns the number of rows.
 */
uint64
actor_query_read(ActorQuery *query, Datum *values, const char *nulls,
				 Snapshot snapshot)
{
	int			result;

	if (snapshot == NULL)
		return actor_query_run(query, values, nulls);

	prepare_query(query);
	PushActiveSnapshot(snapshot);
	result = execute_plan(query, values, nulls, true);
	PopActiveSnapshot();
	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s",
			 query->sql, SPI_result_code_string(result));
	return SPI_processed;
}

/*
 * actor_query_latest
 *		Runs a SELECT on the latest snapshot, whatever the isolation level, and
 *		returns the number of rows.  For what is cached beyond the transaction,
 *		or checked against what others have just committed.
 *
 * In a parallel query it is the snapshot of that, because no other one can be
 * taken; so what is found then must not be kept.
 */
uint64
actor_query_latest(ActorQuery *query, Datum *values)
{
	if (IsInParallelMode())
		return actor_query_read(query, values, NULL, GetActiveSnapshot());
	CommandCounterIncrement();
	return actor_query_read(query, values, NULL, GetLatestSnapshot());
}

/*
 * actor_query_row
 *		Runs a statement and reads so many values of its first row, if it has one, which
 *		last until the end of the bookkeeping; returns the number of rows.
 */
uint64
actor_query_row(ActorQuery *query, Datum *values, int columns, Datum *row, bool *isnull)
{
	uint64		rows = actor_query_run(query, values, NULL);

	for (int i = 0; rows > 0 && i < columns; i++)
		row[i] = actor_query_result(0, i + 1, &isnull[i]);
	return rows;
}

/*
 * actor_query_count
 *		Runs a statement, with the bookkeeping around it, and returns the number of
 *		rows; what they have is gone.
 */
uint64
actor_query_count(ActorQuery *query, Datum *values)
{
	ActorBookkeeping bookkeeping;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(query, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	return rows;
}

/*
 * actor_query_for_actor
 *		The same for a statement about an actor, whose other values are filled in.
 */
uint64
actor_query_for_actor(ActorQuery *query, const ActorRef *actor, Datum *values)
{
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	return actor_query_count(query, values);
}

/*
 * actor_query_write_one
 *		Runs a statement that must write exactly one row.
 */
void
actor_query_write_one(ActorQuery *query, Datum *values, const char *nulls)
{
	uint64		rows = actor_query_run(query, values, nulls);

	if (rows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not write one row of an actor"),
				 errdetail("The statement wrote " UINT64_FORMAT " rows.", rows)));
}

/*
 * actor_query_list
 *		Runs a statement, with the bookkeeping around it, and returns what a
 *		function makes of each row, as a list.
 *
 * List and members are in the current memory context.  The function gets the
 * number of the row, and may do what is allowed between actor_bookkeeping_begin
 * and actor_bookkeeping_end.
 */
List *
actor_query_list(ActorQuery *query, Datum *values, void *(*read_row) (uint64 row))
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	List	   *result = NIL;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(query, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);

		result = lappend(result, read_row(i));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/*
 * actor_query_each
 *		Runs a SELECT on the active snapshot, with the bookkeeping around it, and
 *		calls a function with each row, of which only a few are kept at a time.
 *
 * The function reads the row with actor_query_result, and may do what is allowed
 * between actor_bookkeeping_begin and actor_bookkeeping_end.
 */
void
actor_query_each(ActorQuery *query, Datum *values, ActorRowTaker take, void *arg)
{
	ActorBookkeeping bookkeeping;
	PlanSettings saved;
	Portal volatile portal = NULL;

	actor_bookkeeping_begin(&bookkeeping);
	prepare_query(query);
	plan_settings_begin(&saved);
	PG_TRY();
	{
		portal = SPI_cursor_open(NULL, query->plan, values, NULL, true);
	}
	PG_FINALLY();
	{
		plan_settings_end(&saved);
	}
	PG_END_TRY();
	for (;;)
	{
		SPI_cursor_fetch(portal, true, ROWS_AT_ONCE);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
			take(i, arg);
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor_query_result
 *		One value of the last result, valid until actor_bookkeeping_end.
 *		Columns count from 1.
 */
Datum
actor_query_result(uint64 row, int column, bool *isnull)
{
	Assert(row < SPI_processed);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
						 column, isnull);
}
