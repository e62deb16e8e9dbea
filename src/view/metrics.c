/*-------------------------------------------------------------------------
 *
 * metrics.c
 *		actor_metrics: the counters in the text format of Prometheus.
 *
 * The labels are the database, type, method and check, so the number of series
 * does not grow with the number of actors.
 *
 * IDENTIFICATION
 *		src/view/metrics.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "stat/stat.h"
#include "view/internal.h"

PG_FUNCTION_INFO_V1(actor_metrics);

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
 * The name of a metric, and the label that all of them have: what reads several
 * databases gets the same names from each.
 */
static void
begin_sample(StringInfo buf, const char *name, const char *suffix)
{
	appendStringInfo(buf, "%s%s{", name, suffix);
	append_label(buf, "datname", get_database_name(MyDatabaseId));
}

static void
end_sample(StringInfo buf, double value)
{
	appendStringInfoString(buf, "} ");
	append_number(buf, value);
	appendStringInfoChar(buf, '\n');
}

/*
 * One line; without a bound (NULL) or a method (empty) there is no such label.
 */
static void
append_sample(StringInfo buf, const char *name, const char *suffix,
			  const ActorStatRow *row, const char *bound, double value)
{
	begin_sample(buf, name, suffix);
	append_label(buf, ",type", row->type);
	if (row->method[0] != '\0')
		append_label(buf, ",method", row->method);
	if (bound != NULL)
		append_label(buf, ",le", bound);
	end_sample(buf, value);
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

static void
append_gauges(StringInfo buf)
{
	const char *family = "";
	ListCell   *cell;

	foreach(cell, actor_read_gauges(NULL))
	{
		ActorGauge *gauge = lfirst(cell);

		if (strcmp(family, gauge->name) != 0)
			append_family(buf, gauge->name, "gauge", gauge->help);
		family = gauge->name;
		begin_sample(buf, gauge->name, "");
		if (gauge->type != NULL)
			append_label(buf, ",type", gauge->type);
		if (gauge->check != NULL)
			append_label(buf, ",check", gauge->check);
		end_sample(buf, gauge->value);
	}
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
