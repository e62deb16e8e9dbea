/*-------------------------------------------------------------------------
 *
 * look.c
 *		What actorctl shows: types and actors, what is to come, and what has happened.
 *
 * IDENTIFICATION
 *		ctl/look.c
 *
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actorctl.h"

static volatile sig_atomic_t stopped = 0;

/* looking --------------------------------------------------------------- */

#define PENDING_COLUMNS \
	"kind, name, method, role_name AS role, date_trunc('second', scheduled_at) AS scheduled," \
	" CASE WHEN next_try_at = 'infinity' THEN 'held' WHEN next_try_at <= now() THEN 'late by ' || date_trunc('second', now() - next_try_at)" \
	"   ELSE 'in ' || date_trunc('second', next_try_at - now()) END AS due, attempt"
#define FAILURE_COLUMNS \
	"failure_id AS failure, kind, actor_type || '/' || actor_id AS actor, name, method," \
	" date_trunc('second', failed_at) AS failed, attempts, sqlstate"
#define TURN_COLUMNS \
	"actor_type || '/' || actor_id AS actor, t.state, t.pid, method, date_trunc('second', clock_timestamp() - since) AS since," \
	" a.usename AS role, a.state AS session, chain"

/*
 * Shows what a statement finds, whose functions are written as @.name.
 */
static int
show_functions(const char *title, const char *sql, int nvalues, const char *const *values)
{
	char	   *qualified = qualify(sql);
	int			rows = show_query(title, qualified, nvalues, values);

	free(qualified);
	return rows;
}

/* the functions take no higher number */
#define ROWS(number)	"LEAST(" number "::int8, 100000)::int4"

/* whoever may not look for actors of a type gets nothing, instead of an error */
#define FIND(prefix, after, rows) \
	"(SELECT $1::text AS type WHERE pg_has_role('pg_monitor', 'USAGE')" \
	"  OR EXISTS (SELECT FROM actor.owned_type o WHERE o.actor_type = $1)) w" \
	" CROSS JOIN LATERAL @.actor_find(w.type, " prefix ", " after ", " rows ") f"
#define FIND_COLUMNS \
	"CASE WHEN f.active THEN 'yes' ELSE '' END AS active, CASE WHEN f.paused THEN 'yes' ELSE '' END AS paused," \
	" CASE WHEN f.failed THEN 'yes' ELSE '' END AS failed"

/* a number that was counted up to a limit */
#define UP_TO(value)	"COALESCE(" value ", 0) || CASE WHEN " value " >= s.counted_max THEN '+' ELSE '' END"

int
run_list(int argc, char **argv)
{
	char	   *type;
	char	   *prefix;
	const char *values[4];
	int			rows;

	if (argc == 0)
		return show_query(NULL, "SELECT t.actor_type AS type, t.owner_name AS owner, " UP_TO("s.messages") " AS messages,"
						  " " UP_TO("s.due") " AS due, date_trunc('second', clock_timestamp() - s.oldest_due) AS age,"
						  " " UP_TO("s.failures") " AS failures,"
						  " CASE WHEN s.paused THEN 'the type' ELSE " UP_TO("s.pauses") " END AS paused"
						  " FROM actor.type t LEFT JOIN actor.type_status s ON s.actor_type = t.actor_type ORDER BY 1",
						  0, NULL) > 0 ? 0 : EXIT_ILL;
	split_actor(argv[0], &type, &prefix);
	values[0] = type;
	values[1] = prefix != NULL ? prefix : "";
	values[2] = limit;
	values[3] = after;
	rows = show_functions(NULL, "SELECT f.actor_id AS id, " FIND_COLUMNS " FROM " FIND("$2", "$4", ROWS("$3")), 4, values);
	if (rows > 0 && rows >= atoi(limit))
		fprintf(stderr, "There may be more: use --after with the last id, or -n.\n");
	return rows > 0 ? 0 : EXIT_ILL;
}

int
run_show(int argc, char **argv)
{
	char	   *type;
	char	   *id;
	const char *values[3];
	int			rows = 0;

	(void) argc;
	split_actor(argv[0], &type, &id);
	require_id(id);
	values[0] = type;
	values[1] = id;
	values[2] = limit;
#define OF_ACTOR " WHERE actor_type = $1 AND actor_id = $2"
	rows += show_functions("Actor", "SELECT " FIND_COLUMNS ", date_trunc('second', a.activated_at) AS active_since,"
						   " date_trunc('second', a.last_used_at) AS last_used, s.keys, s.bytes"
						   " FROM " FIND("$2", "NULL", "1")
						   " LEFT JOIN actor.get_activations($1, $2) a ON true"
						   " LEFT JOIN (SELECT count(*) AS keys, sum(pg_column_size(value)) AS bytes FROM actor.state" OF_ACTOR
						   "  AND (expires_at IS NULL OR expires_at > now())) s ON EXISTS (SELECT FROM actor.owned_type WHERE actor_type = $1)"
						   " WHERE f.actor_id = $2", 2, values);
	rows += show_query("\nPaused", "SELECT CASE actor_id WHEN '' THEN 'the type' ELSE 'the actor' END AS what,"
					   " date_trunc('second', paused_at) AS since, role_name AS role FROM actor.pause"
					   " WHERE actor_type = $1 AND actor_id IN ('', $2)", 2, values);
	rows += show_query("\nTurn", "SELECT " TURN_COLUMNS " FROM actor.turn t LEFT JOIN pg_stat_activity a ON a.pid = t.pid"
					   OF_ACTOR " ORDER BY t.state, since", 2, values);
	rows += show_query("\nState", "SELECT key, value, date_trunc('second', updated_at) AS updated,"
					   " date_trunc('second', expires_at) AS expires FROM actor.state" OF_ACTOR
					   " AND (expires_at IS NULL OR expires_at > now()) ORDER BY key LIMIT $3::int8", 3, values);
	/*
	 * Not the view alone, for which all timers that there are would be read.  Errors are
	 * looked up for what is shown only, by keys that policies let an index be used for.
	 */
#define COMING "kind, name, method, role_name, scheduled_at, next_try_at, attempt"
#define OF_KIND(kind, key, column) \
	"(SELECT " COMING ", (SELECT w.last_error FROM actor." kind " w" \
	"   WHERE w.actor_type = $1 AND w.actor_id = $2 AND w." column " = p.key)" \
	" FROM (SELECT " COMING ", " key " AS key FROM (SELECT * FROM actor.pending" OF_ACTOR " AND kind = '" kind "' LIMIT 1000) o" \
	"        ORDER BY next_try_at, key LIMIT $3::int8) p)"
	rows += show_query("\nTo come", "SELECT " PENDING_COLUMNS ", last_error FROM"
					   " (" OF_KIND("reminder", "name", "name") " UNION ALL " OF_KIND("message", "name::int8", "message_id")
					   "  UNION ALL SELECT 'timer', name, method, role_name, scheduled_at, next_try_at, attempt, NULL"
					   "   FROM actor.get_timers($1, $2)) p (" COMING ", last_error)"
					   " ORDER BY next_try_at, scheduled_at LIMIT $3::int8", 3, values);
	rows += show_query("\nFailures", "SELECT g.failure_id AS failure, g.kind, g.name, g.method,"
					   " date_trunc('second', g.failed_at) AS failed, g.attempts, g.sqlstate, f.message"
					   " FROM actor.given_up g LEFT JOIN actor.failure f USING (actor_type, actor_id, failure_id)"
					   " WHERE g.actor_type = $1 AND g.actor_id = $2 ORDER BY 1 DESC LIMIT $3::int8", 3, values);
	rows += show_query("\nHistory", "SELECT date_trunc('second', started_at) AS started, kind, method, name, ran_as,"
					   " round(duration_ms::numeric, 1) AS ms, sqlstate, message FROM actor.history" OF_ACTOR
					   " ORDER BY history_id DESC LIMIT $3::int8", 3, values);
	if (rows == 0)
		fprintf(stderr, "There is nothing of this actor that you may see.\n");
	return rows > 0 ? 0 : EXIT_ILL;
}

int
run_turns(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	(void) show_query(NULL, "SELECT " TURN_COLUMNS " FROM actor.turn t LEFT JOIN pg_stat_activity a ON a.pid = t.pid"
					  " ORDER BY actor, t.state, since", 0, NULL);
	return 0;
}

int
run_late(int argc, char **argv)
{
	const char *values[1] = {limit};

	(void) argc;
	(void) argv;
	/* what is late, what is held, and what has failed before; some is both */
	(void) show_functions(NULL, "SELECT actor_type || '/' || actor_id AS actor, " PENDING_COLUMNS
						  " FROM (SELECT * FROM @.actor_due(now(), " ROWS("$1") ")"
						  "  UNION SELECT * FROM @.actor_due('infinity', " ROWS("$1") ", since => 'infinity')"
						  "  UNION SELECT * FROM @.actor_due('infinity', " ROWS("$1") ", min_attempt => 2)) p"
						  " ORDER BY scheduled_at LIMIT $1::int8",
						  1, values);
	return 0;
}

int
run_failures(int argc, char **argv)
{
	const char *values[2] = {limit, argc > 0 ? argv[0] : NULL};

	(void) show_query(NULL, "SELECT " FAILURE_COLUMNS " FROM actor.given_up WHERE $2::text IS NULL OR actor_type = $2"
					  " ORDER BY failure_id DESC LIMIT $1::int8", 2, values);
	return 0;
}

/*
 * What the workers still send: events to subscribers, and to each actor of a type.
 */
int
run_sending(int argc, char **argv)
{
	const char *values[2] = {limit, argc > 0 ? argv[0] : NULL};
	int			rows;

	rows = show_query("Events", "SELECT actor_type || COALESCE('/' || NULLIF(actor_id, ''), '') AS of, topic,"
					  " date_trunc('second', published_at) AS published,"
					  " subscribers_left FROM actor.fan_out_status WHERE $2::text IS NULL OR actor_type = $2"
					  " ORDER BY published_at, fan_out_id LIMIT $1::int8", 2, values);
	rows += show_query(rows > 0 ? "\nTo each actor" : "To each actor", "SELECT actor_type AS type, each_id AS id, method, role_name AS role,"
					   " date_trunc('second', started_at) AS started, sent,"
					   " last_id AS last, date_trunc('second', now() - COALESCE(moved_at, started_at)) AS still_for"
					   " FROM actor.each_status WHERE finished_at IS NULL AND ($2::text IS NULL OR actor_type = $2)"
					   " ORDER BY started_at LIMIT $1::int8", 2, values);
	return rows > 0 ? 0 : EXIT_ILL;
}

int
run_doctor(int argc, char **argv)
{
	char	   *sql = format_text("SELECT check_name AS check, CASE WHEN ok THEN 'ok' ELSE 'NOT OK' END AS result,"
								  " detail, hint FROM %s.actor_doctor()", schema);
	PGresult   *result = query(sql, 0, NULL);
	int			ill = 0;

	(void) argc;
	(void) argv;
	for (int row = 0; row < PQntuples(result); row++)
	{
		bool		ok = strcmp(PQgetvalue(result, row, 1), "ok") == 0;

		ill += !ok;
		printf("%-12s %s\n", PQgetvalue(result, row, 0), PQgetvalue(result, row, 1));
		for (int column = 2; column < 4 && !ok; column++)
		{
			fputs("             ", stdout);
			(void) show_text(stdout, PQgetvalue(result, row, column), 0);
			putchar('\n');
		}
	}
	PQclear(result);
	free(sql);
	return ill > 0 ? EXIT_ILL : 0;
}

/* following ------------------------------------------------------------- */

static void
stop(int signo)
{
	(void) signo;
	stopped = 1;
}

/*
 * Shows what has come since the last look: entries of the history, and failures.
 * Entries of turns that commit later may have lower numbers than those that were
 * seen, so the last ones are looked at again, and shown once.
 */
int
run_tail(int argc, char **argv)
{
	char	   *type = NULL;
	char	   *id = NULL;
	PGresult   *result;
	const char *values[4];
	char	   *since;

	if (argc > 0)
		split_actor(argv[0], &type, &id);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	result = query("SELECT now()", 0, NULL);
	since = format_text("%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	/* no index leads to what is new */
	PQclear(query("RESET enable_seqscan", 0, NULL));
	PQclear(query("CREATE TEMP TABLE seen (kind text, number int8, PRIMARY KEY (kind, number))", 0, NULL));
	while (!stopped)
	{
		values[0] = type;
		values[1] = id;
		values[2] = since;
		result = query("WITH new AS (SELECT 'history' AS source, h.history_id AS number, h.started_at + h.duration_ms * interval '1 ms' AS at,"
					   "  concat_ws(' ', h.actor_type || '/' || h.actor_id, h.kind, h.name, h.method, round(h.duration_ms::numeric, 1) || ' ms',"
					   "    CASE WHEN h.sqlstate IS NOT NULL THEN 'failed: ' || h.sqlstate || ' ' || h.message END) AS line"
					   "  FROM actor.history h WHERE ($1::text IS NULL OR h.actor_type = $1) AND ($2::text IS NULL OR h.actor_id = $2)"
					   "   AND h.started_at >= $3::timestamptz - interval '1 hour'"
					   "   AND h.started_at + h.duration_ms * interval '1 ms' >= $3::timestamptz"
					   " UNION ALL SELECT 'failure', f.failure_id, f.failed_at,"
					   "  concat_ws(' ', f.actor_type || '/' || f.actor_id, f.kind, f.name, f.method, 'given up after', f.attempts, 'attempts:', f.sqlstate)"
					   "  FROM actor.given_up f WHERE ($1::text IS NULL OR f.actor_type = $1) AND ($2::text IS NULL OR f.actor_id = $2)"
					   "   AND f.failed_at >= $3::timestamptz),"
					   " shown AS (INSERT INTO pg_temp.seen SELECT source, number FROM new ON CONFLICT DO NOTHING RETURNING kind, number)"
					   " SELECT date_trunc('millisecond', at), line FROM new JOIN shown ON source = kind AND new.number = shown.number"
					   " ORDER BY at, new.number", 3, values);
		for (int row = 0; row < PQntuples(result); row++)
		{
			printf("%s  ", PQgetvalue(result, row, 0));
			(void) show_text(stdout, PQgetvalue(result, row, 1), 0);
			putchar('\n');
		}
		fflush(stdout);
		PQclear(result);
		if (!stopped)
			sleep(1);
	}
	free(since);
	return 0;
}
