/*-------------------------------------------------------------------------
 *
 * metrics.c
 *		actor_metrics: the counters in the text format of Prometheus.
 *
 * The only labels are type and method, so the number of series does not grow
 * with the number of actors.
 *
 * IDENTIFICATION
 *		src/view/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(actor_metrics);
PG_FUNCTION_INFO_V1(actor_get_gauges);

static ActorQuery count_failures = {
	"SELECT actor_type, pg_catalog.count(*) FROM actor.failure"
	" GROUP BY actor_type ORDER BY actor_type",
	0, {0}
};

/* which of the counters a family of metrics shows */
typedef double (*CounterOf) (const ActorStatCounters *counters);

static double
calls_of(const ActorStatCounters *counters)
{
	return counters->calls;
}

static double
errors_of(const ActorStatCounters *counters)
{
	return counters->errors;
}

static double
wait_of(const ActorStatCounters *counters)
{
	return counters->wait_ms / 1000.0;
}

static double
deadlocks_of(const ActorStatCounters *counters)
{
	return counters->deadlocks;
}

static double
refused_of(const ActorStatCounters *counters)
{
	return counters->reentries_refused;
}

static void
append_family(StringInfo buf, const char *name, const char *kind, const char *help)
{
	appendStringInfo(buf, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* whatever the settings of the session are */
static void
append_number(StringInfo buf, double value)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(value, digits);
	appendStringInfoString(buf, digits);
}

static void
append_label(StringInfo buf, const char *name, const char *value)
{
	appendStringInfo(buf, "%s=\"", name);
	for (const char *at = value; *at != '\0'; at++)
	{
		if (*at == '\n')
			appendStringInfoString(buf, "\\n");
		else
		{
			if (*at == '\\' || *at == '"')
				appendStringInfoChar(buf, '\\');
			appendStringInfoChar(buf, *at);
		}
	}
	appendStringInfoChar(buf, '"');
}

/*
 * One line; without a bound (NULL) or a method (empty) there is no such label.
 */
static void
append_sample(StringInfo buf, const char *name, const char *suffix,
			  const ActorStatRow *row, const char *bound, double value)
{
	appendStringInfo(buf, "%s%s{", name, suffix);
	append_label(buf, "type", row->type);
	if (row->method[0] != '\0')
	{
		appendStringInfoChar(buf, ',');
		append_label(buf, "method", row->method);
	}
	if (bound != NULL)
	{
		appendStringInfoChar(buf, ',');
		append_label(buf, "le", bound);
	}
	appendStringInfoString(buf, "} ");
	append_number(buf, value);
	appendStringInfoChar(buf, '\n');
}

static void
append_counters(StringInfo buf, List *rows, const char *name, CounterOf counter,
				const char *help)
{
	ListCell   *cell;

	append_family(buf, name, "counter", help);
	foreach(cell, rows)
	{
		ActorStatRow *row = lfirst(cell);

		append_sample(buf, name, "", row, NULL, counter(&row->counters));
	}
}

static void
append_histograms(StringInfo buf, List *rows, const char *name, const char *help)
{
	ListCell   *cell;

	append_family(buf, name, "histogram", help);
	foreach(cell, rows)
	{
		ActorStatRow *row = lfirst(cell);
		ActorHistogram *time = &row->counters.time;

		for (int i = ACTOR_BOUND_FIRST; i <= ACTOR_BOUND_LAST; i += ACTOR_BOUND_STEP)
		{
			StringInfoData bound;

			initStringInfo(&bound);
			append_number(&bound, (double) (UINT64CONST(1) << i) / 1e6);
			append_sample(buf, name, "_bucket", row, bound.data,
						  actor_histogram_below(time, i));
		}
		append_sample(buf, name, "_bucket", row, "+Inf", time->count);
		append_sample(buf, name, "_sum", row, NULL, time->sum / 1000.0);
		append_sample(buf, name, "_count", row, NULL, time->count);
	}
}

/* gauges ---------------------------------------------------------------- */

typedef struct Gauge
{
	const char *name;
	const char *help;
	char		type[NAMEDATALEN];	/* empty: is about all of the database */
	double		value;
} Gauge;

static Gauge *
add_gauge(List **gauges, const char *name, double value, const char *help)
{
	Gauge	   *gauge = palloc0(sizeof(Gauge));

	gauge->name = name;
	gauge->help = help;
	gauge->value = value;
	*gauges = lappend(*gauges, gauge);
	return gauge;
}

/*
 * The workers of this database.
 */
static void
add_workers(List **gauges)
{
	bool		launcher = false;
	int			schedulers = 0;
	int			executors = 0;

	if (actor_shared != NULL)
	{
		LWLockAcquire(actor_shared->lock, LW_SHARED);
		launcher = actor_shared->launcher_latch != NULL;
		for (int i = 0; i < actor_shared->ndatabases; i++)
			if (actor_shared->databases[i].oid == MyDatabaseId &&
				actor_shared->databases[i].state == DATABASE_RUNNING)
				schedulers++;
		for (int i = 0; i < actor_shared->nslots; i++)
			if (actor_shared->executors[i].database == MyDatabaseId)
				executors++;
		LWLockRelease(actor_shared->lock);
	}
	add_gauge(gauges, "actor_workers_launcher", launcher, "Whether the launcher runs.");
	add_gauge(gauges, "actor_workers_schedulers", schedulers, "Schedulers of this database.");
	add_gauge(gauges, "actor_workers_executors", executors, "Executors of this database.");
}

static void
add_failures(List **gauges)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&count_failures, NULL, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;
		Gauge	   *gauge;

		gauge = add_gauge(gauges, "actor_failures_recorded",
						  DatumGetInt64(actor_query_result(i, 2, &isnull)),
						  "Calls given up that nobody has retried or discarded.");
		strlcpy(gauge->type, TextDatumGetCString(actor_query_result(i, 1, &isnull)),
				sizeof(gauge->type));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
}

static List *
read_gauges(void)
{
	List	   *gauges = NIL;
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz oldest = actor_pending_oldest(now);

	add_workers(&gauges);
	add_gauge(&gauges, "actor_turns_waiting", actor_activity_waiting(),
			  "Processes of this database that wait for a turn.");
	add_gauge(&gauges, "actor_due_oldest_seconds",
			  oldest == DT_NOEND ? 0.0 : (now - oldest) / 1e6,
			  "Age of the oldest due row; 0 when none is due.");
	add_failures(&gauges);
	return gauges;
}

static void
append_gauges(StringInfo buf)
{
	const char *family = "";
	ListCell   *cell;

	foreach(cell, read_gauges())
	{
		Gauge	   *gauge = lfirst(cell);

		if (strcmp(family, gauge->name) != 0)
			append_family(buf, gauge->name, "gauge", gauge->help);
		family = gauge->name;
		appendStringInfoString(buf, gauge->name);
		if (gauge->type[0] != '\0')
		{
			appendStringInfoChar(buf, '{');
			append_label(buf, "type", gauge->type);
			appendStringInfoChar(buf, '}');
		}
		appendStringInfoChar(buf, ' ');
		append_number(buf, gauge->value);
		appendStringInfoChar(buf, '\n');
	}
}

/* SQL functions --------------------------------------------------------- */

Datum
actor_get_gauges(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(cell, read_gauges())
	{
		Gauge	   *gauge = lfirst(cell);
		bool		typeless = gauge->type[0] == '\0';
		Datum		values[3];
		bool		nulls[3] = {false, typeless, false};

		values[0] = CStringGetTextDatum(gauge->name);
		values[1] = typeless ? (Datum) 0 : CStringGetTextDatum(gauge->type);
		values[2] = Float8GetDatum(gauge->value);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const ActorStatRow *first = lfirst(a);
	const ActorStatRow *second = lfirst(b);
	int			order = strcmp(first->type, second->type);

	return order != 0 ? order : strcmp(first->method, second->method);
}

Datum
actor_metrics(PG_FUNCTION_ARGS)
{
	StringInfoData buf;
	List	   *methods = actor_stats_copy(STAT_METHOD);
	List	   *firings = actor_stats_copy(STAT_FIRING);

	list_sort(methods, compare_rows);
	list_sort(firings, compare_rows);
	initStringInfo(&buf);
	append_counters(&buf, methods, "actor_calls_total", calls_of,
					"Calls that have ended, in whatever way.");
	append_counters(&buf, methods, "actor_call_errors_total", errors_of,
					"Calls that have failed.");
	append_histograms(&buf, methods, "actor_call_duration_seconds",
					  "Time that methods ran.");
	append_counters(&buf, methods, "actor_turn_wait_seconds_total", wait_of,
					"Time that calls waited for the turn.");
	append_counters(&buf, methods, "actor_deadlocks_total", deadlocks_of,
					"Calls that a deadlock has ended while they waited for the turn.");
	append_counters(&buf, methods, "actor_reentries_refused_total", refused_of,
					"Calls refused because the actor was in the chain already.");
	append_counters(&buf, firings, "actor_firing_runs_total", calls_of,
					"Callbacks that workers have run.");
	append_counters(&buf, firings, "actor_firing_errors_total", errors_of,
					"Callbacks that have failed.");
	append_histograms(&buf, firings, "actor_firing_lateness_seconds",
					  "Time from when callbacks were due to when they ran.");
	append_gauges(&buf);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}
