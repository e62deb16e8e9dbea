/*-------------------------------------------------------------------------
 *
 * gauges.c
 *		The metrics that can go down.
 *
 * They come from several sources, since whoever wants one need not pay for the
 * others.  However many rows there are, only so many are counted for a type.
 *
 * IDENTIFICATION
 *		src/view/gauges.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "view/internal.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(actor_get_gauges);

/* rows of a type that are counted in a table */
#define COUNTED_MAX			"100000"

#define COUNT_OF_TYPE(table) \
	"(SELECT pg_catalog.count(*)::pg_catalog.float8 FROM (SELECT FROM " table " r" \
	"  WHERE r.actor_type OPERATOR(pg_catalog.=) t.actor_type LIMIT " COUNTED_MAX ") c)"

#define SECONDS_SINCE(time) \
	"pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) " time ")"

/* columns after the type: those of row_gauges */
static ActorQuery count_rows = {
	/* the roles that have reminders, each found by a step in the index */
	"WITH RECURSIVE roles AS ("
	"  (SELECT role_name FROM actor.reminder WHERE NOT hosted ORDER BY role_name LIMIT 1)"
	"   UNION ALL"
	"  SELECT (SELECT r.role_name FROM actor.reminder r"
	"           WHERE NOT r.hosted AND r.role_name OPERATOR(pg_catalog.>) o.role_name"
	"           ORDER BY r.role_name LIMIT 1)"
	"    FROM roles o WHERE o.role_name IS NOT NULL),"
	" due AS (SELECT d.actor_type, pg_catalog.count(*)::pg_catalog.float8 AS reminders"
	"   FROM (SELECT w.actor_type FROM roles o CROSS JOIN LATERAL"
	"    (SELECT r.actor_type FROM actor.reminder r"
	"      WHERE NOT r.hosted AND r.role_name OPERATOR(pg_catalog.=) o.role_name"
	"        AND r.next_try_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
	"      LIMIT " COUNTED_MAX ") w"
	"   UNION ALL"
	"   SELECT w.actor_type FROM actor.type h CROSS JOIN LATERAL"
	"    (SELECT r.actor_type FROM actor.reminder r"
	"      WHERE r.hosted AND r.actor_type OPERATOR(pg_catalog.=) h.actor_type"
	"        AND r.next_try_at OPERATOR(pg_catalog.<=) pg_catalog.clock_timestamp()"
	"      LIMIT " COUNTED_MAX ") w WHERE h.hosted) d"
	"  GROUP BY d.actor_type)"
	"SELECT t.actor_type, " COUNT_OF_TYPE("actor.reminder") ", COALESCE(d.reminders, 0), m.messages, m.due, m.age, "
	COUNT_OF_TYPE("actor.pause") ", " COUNT_OF_TYPE("actor.failure") ", "
	COUNT_OF_TYPE("actor.subscription") ", e.events, e.expired, f.fan_outs, f.age, r.runs, r.still"
	"  FROM actor.type t"
	"  LEFT JOIN due d ON d.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	" CROSS JOIN LATERAL"
	"  (SELECT pg_catalog.count(*)::pg_catalog.float8 AS messages,"
	"          (pg_catalog.count(*) FILTER"
	"            (WHERE c.age OPERATOR(pg_catalog.>=) 0))::pg_catalog.float8 AS due,"
	"          GREATEST(0, pg_catalog.max(c.age)) AS age"
	"     FROM (SELECT pg_catalog.date_part('epoch',"
	"                    pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) r.due_at) AS age"
	"             FROM actor.message r"
	"            WHERE r.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"            LIMIT " COUNTED_MAX ") c) m"
	" CROSS JOIN LATERAL"
	"  (SELECT pg_catalog.count(*)::pg_catalog.float8 AS events,"
	"          (pg_catalog.count(*) FILTER (WHERE c.expires_at OPERATOR(pg_catalog.<=)"
	"             pg_catalog.clock_timestamp()))::pg_catalog.float8 AS expired"
	"     FROM (SELECT v.expires_at FROM actor.event v"
	"            WHERE v.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"            LIMIT " COUNTED_MAX ") c) e"
	" CROSS JOIN LATERAL"
	"  (SELECT pg_catalog.count(*)::pg_catalog.float8 AS fan_outs,"
	"          GREATEST(0, pg_catalog.max(" SECONDS_SINCE("c.published_at") ")) AS age"
	"     FROM (SELECT o.published_at FROM actor.fan_out o"
	"            WHERE o.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"            LIMIT " COUNTED_MAX ") c) f"
	" CROSS JOIN LATERAL"
	"  (SELECT pg_catalog.count(*)::pg_catalog.float8 AS runs,"
	"          GREATEST(0, pg_catalog.max("
	SECONDS_SINCE("COALESCE(h.moved_at, h.started_at)") ")) AS still"
	"     FROM actor.each h"
	"    WHERE h.actor_type OPERATOR(pg_catalog.=) t.actor_type AND h.finished_at IS NULL) r"
	" ORDER BY t.actor_type",
	0, {0}, false, true
};

static ActorQuery count_hosts = {
	"WITH h AS MATERIALIZED (SELECT host_id, reachable,"
	"   actor.host_is_alive(host_id) AS alive FROM actor.host)"
	" SELECT (SELECT pg_catalog.count(*) FROM h WHERE alive)::pg_catalog.float8,"
	"  (SELECT pg_catalog.count(*) FROM h WHERE alive AND NOT reachable)::pg_catalog.float8,"
	"  (SELECT pg_catalog.count(*) FROM"
	"    (SELECT FROM actor.placement LIMIT " COUNTED_MAX ") c)::pg_catalog.float8,"
	"  (SELECT pg_catalog.count(*) FROM"
	"    (SELECT FROM h JOIN actor.placement p ON p.host_id OPERATOR(pg_catalog.=) h.host_id"
	"      WHERE NOT h.alive LIMIT " COUNTED_MAX ") c)::pg_catalog.float8",
	0, {0}
};

static ActorQuery count_outbox = {
	"SELECT (SELECT pg_catalog.count(*) FROM"
	"    (SELECT FROM actor.outbox LIMIT " COUNTED_MAX ") c)::pg_catalog.float8,"
	"  GREATEST(0, (SELECT " SECONDS_SINCE("o.sent_at") " FROM"
	"    (SELECT sent_at FROM actor.outbox ORDER BY message_id LIMIT 1) o))::pg_catalog.float8",
	0, {0}, false, true
};

static const struct
{
	const char *name;
	const char *help;
}			row_gauges[] =

{
	{"actor_rows_reminders", "Reminders, up to " COUNTED_MAX "."},
	{"actor_rows_reminders_due", "Those of them that are due, up to " COUNTED_MAX " of each role."},
	{"actor_rows_messages", "Messages that wait for delivery, up to " COUNTED_MAX "."},
	{"actor_rows_messages_due", "Those of them that are due."},
	{"actor_rows_messages_age_seconds", "For how long the oldest of these has been due; 0 when none is."},
	{"actor_rows_pauses", "Pauses of the type or of its actors."},
	{"actor_rows_failures", "Calls given up that nobody has retried or discarded, up to " COUNTED_MAX "."},
	{"actor_rows_subscriptions", "Subscriptions of actors of the type, up to " COUNTED_MAX "."},
	{"actor_rows_events", "Events of its topics that are kept, up to " COUNTED_MAX "."},
	{"actor_rows_events_expired", "Those of them whose time is over; they are removed soon."},
	{"actor_rows_fan_outs", "Events of its topics that the workers still hand out, up to " COUNTED_MAX "."},
	{"actor_rows_fan_outs_age_seconds", "How long ago the oldest of these was published; 0 when there is none."},
	{"actor_rows_each", "Runs of actor_each() of the type that are not finished."},
	{"actor_rows_each_still_seconds", "For how long one of these has sent nothing, the longest time; 0 when there is none."}
};

typedef struct TypeRows
{
	char	   *type;
	double		values[lengthof(row_gauges)];
} TypeRows;

static ActorGauge *
add_gauge(List **gauges, const char *name, double value, const char *help)
{
	ActorGauge *gauge = palloc0(sizeof(ActorGauge));

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
add_turns(List **gauges)
{
	ActorTurnCounts counts;

	actor_activity_turns(&counts);
	add_gauge(gauges, "actor_turns_waiting", counts.waiting,
			  "Processes of this database that wait for a turn.");
	add_gauge(gauges, "actor_turns_held", counts.held, "Turns that transactions have.");
	add_gauge(gauges, "actor_turns_held_oldest_seconds", counts.held_seconds,
			  "For how long a transaction has had a turn, the longest time; 0 when none has.");
	add_gauge(gauges, "actor_turns_open", counts.open,
			  "Turns that are open between transactions.");
}

static void
add_due(List **gauges)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz oldest = actor_pending_oldest(now);

	add_gauge(gauges, "actor_due_oldest_seconds",
			  oldest == DT_NOEND ? 0.0 : (now - oldest) / 1e6,
			  "Age of the oldest due row; 0 when none is due.");
}

static void *
read_type_rows(uint64 row)
{
	TypeRows   *rows = palloc(sizeof(TypeRows));
	bool		isnull;

	rows->type = TextDatumGetCString(actor_query_result(row, 1, &isnull));
	for (int i = 0; i < lengthof(row_gauges); i++)
		rows->values[i] = DatumGetFloat8(actor_query_result(row, i + 2, &isnull));
	return rows;
}

/*
 * What there is of each type.
 */
static void
add_rows(List **gauges)
{
	List	   *types = actor_query_list(&count_rows, NULL, read_type_rows);

	for (int i = 0; i < lengthof(row_gauges); i++)
	{
		ListCell   *cell;

		foreach(cell, types)
		{
			TypeRows   *rows = lfirst(cell);

			add_gauge(gauges, row_gauges[i].name, rows->values[i],
					  row_gauges[i].help)->type = rows->type;
		}
	}
}

/*
 * The hosts of applications, and what they have.
 */
static void
add_hosts(List **gauges)
{
	ActorBookkeeping bookkeeping;
	double		values[4];
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&count_hosts, NULL, NULL);
	for (int i = 0; i < lengthof(values); i++)
		values[i] = DatumGetFloat8(actor_query_result(0, i + 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	add_gauge(gauges, "actor_hosts_alive", values[0], "Hosts of applications that live.");
	add_gauge(gauges, "actor_hosts_unreachable", values[1],
			  "Those of them whose application does not answer.");
	add_gauge(gauges, "actor_hosts_placements", values[2],
			  "Actors that are placed at hosts, up to " COUNTED_MAX ".");
	add_gauge(gauges, "actor_hosts_left", values[3],
			  "Those of them whose host is gone, up to " COUNTED_MAX ".");
}

/*
 * The shards of this server, if there are several, and what waits for others.
 */
static void
add_shards(List **gauges)
{
	ActorBookkeeping bookkeeping;
	double		shards;
	double		messages;
	double		age;
	bool		isnull;

	if (!actor_on_several_servers())
		return;
	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_run("SELECT pg_catalog.count(*) FROM pg_catalog.pg_dist_shard s"
					  "  JOIN pg_catalog.pg_dist_placement p"
					  "    ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
					  "  JOIN pg_catalog.pg_dist_local_group g"
					  "    ON g.groupid OPERATOR(pg_catalog.=) p.groupid"
					  " WHERE s.logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=)"
					  "       'actor.state'::pg_catalog.regclass::pg_catalog.oid");
	shards = atof(actor_cluster_value(0, 1));
	(void) actor_query_run(&count_outbox, NULL, NULL);
	messages = DatumGetFloat8(actor_query_result(0, 1, &isnull));
	age = DatumGetFloat8(actor_query_result(0, 2, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	add_gauge(gauges, "actor_servers_shards", shards, "Shards of actors on this server.");
	add_gauge(gauges, "actor_servers_outbox", messages,
			  "Messages of these actors that wait for another server, up to " COUNTED_MAX ".");
	add_gauge(gauges, "actor_servers_outbox_age_seconds", age,
			  "How long ago the oldest of these was sent; 0 when there is none.");
}

static void
add_checks(List **gauges)
{
	/* all are watched, and need not ask each other */
	bool		ask_others = !actor_on_several_servers() || actor_cluster_is_coordinator();
	ActorFinding finding;

	for (int i = 0; actor_doctor_look(i, ask_others, &finding); i++)
		if (ask_others || !finding.asks_others)
			add_gauge(gauges, "actor_doctor_ok", finding.detail == NULL,
					  "Whether actor_doctor() finds nothing.")->check = finding.check;
}

static const struct
{
	const char *name;
	void		(*add) (List **gauges);
}			sources[] =

{
	{"workers", add_workers},
	{"turns", add_turns},
	{"due", add_due},
	{"rows", add_rows},
	{"hosts", add_hosts},
	{"servers", add_shards},
	{"doctor", add_checks}
};

/*
 * actor_read_gauges
 *		The gauges of a source, or of all if that is NULL, as a list of ActorGauge
 *		in the current memory context; those of one name follow each other.
 */
List *
actor_read_gauges(const char *source)
{
	List	   *gauges = NIL;

	for (int i = 0; i < lengthof(sources); i++)
		if (source == NULL || strcmp(source, sources[i].name) == 0)
			sources[i].add(&gauges);
	return gauges;
}

Datum
actor_get_gauges(PG_FUNCTION_ARGS)
{
	const char *source = PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0));
	ReturnSetInfo *rsinfo;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	foreach(cell, actor_read_gauges(source))
	{
		ActorGauge *gauge = lfirst(cell);
		Datum		values[4] = {0};
		bool		nulls[4] = {false, gauge->type == NULL, gauge->check == NULL, false};

		values[0] = CStringGetTextDatum(gauge->name);
		if (gauge->type != NULL)
			values[1] = CStringGetTextDatum(gauge->type);
		if (gauge->check != NULL)
			values[2] = CStringGetTextDatum(gauge->check);
		values[3] = Float8GetDatum(gauge->value);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
