/*-------------------------------------------------------------------------
 *
 * actorctl.c
 *		Looking at actors and operating them from a terminal.
 *
 * Each command is a statement or two over the views and functions of the
 * extension, as the role that connects: nobody sees or does more than with SQL.
 *
 * What is shown comes from others, so control characters are never written to
 * the terminal.  Looking is done with pg_catalog as search_path; methods run
 * with the one that the role has.
 *
 * IDENTIFICATION
 *		ctl/actorctl.c
 *
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

/* exit codes */
#define EXIT_ILL			1		/* the doctor has found something, or nothing was done */
#define EXIT_FAILED			2		/* the command was wrong, or refused */

/* bytes of a value that are shown in a table */
#define SHOWN_MAX			100

static PGconn *connection;
static char *schema;			/* of the functions, quoted */
static volatile sig_atomic_t stopped = 0;

static const char *conninfo = "";
static const char *limit = "100";
static const char *after = NULL;
static const char *due = NULL;

/* a command gets its arguments, and returns an exit code */
typedef struct Command
{
	const char *name;
	int			min;
	int			max;			/* -1: any number */
	int			(*run) (int argc, char **argv);
	const char *arguments;
	const char *help;
} Command;

/* basics ---------------------------------------------------------------- */

_Noreturn static void die(const char *format,...) __attribute__((format(printf, 1, 2)));
static char *format_text(const char *format,...) __attribute__((format(printf, 1, 2)));

static void
die(const char *format,...)
{
	va_list		arguments;

	fprintf(stderr, "actorctl: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	exit(EXIT_FAILED);
}

static char *
format_text(const char *format,...)
{
	va_list		arguments;
	char	   *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		die("out of memory");
	va_end(arguments);
	return text;
}

/*
 * Splits TYPE/ID at the first slash.  The id is NULL if there is none.
 */
static void
split_actor(char *text, char **type, char **id)
{
	char	   *slash = strchr(text, '/');

	*type = text;
	*id = slash != NULL ? slash + 1 : NULL;
	if (slash != NULL)
		*slash = '\0';
}

static void
require_id(const char *id)
{
	if (id == NULL)
		die("an actor is written as TYPE/ID");
}

/* the database ---------------------------------------------------------- */

/*
 * Runs a statement; ends the program if it fails.
 */
static PGresult *
query(const char *sql, int nvalues, const char *const *values)
{
	PGresult   *result = PQexecParams(connection, sql, nvalues, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
	{
		fputs(PQresultErrorMessage(result), stderr);
		exit(EXIT_FAILED);
	}
	return result;
}

/*
 * Puts the schema of the functions in place of each @; the caller frees it.
 */
static char *
qualify(const char *sql)
{
	char	   *text;
	size_t		size;
	FILE	   *stream = open_memstream(&text, &size);

	if (stream == NULL)
		die("out of memory");
	for (; *sql != '\0'; sql++)
		if (*sql == '@')
			fputs(schema, stream);
		else
			fputc(*sql, stream);
	if (fclose(stream) != 0)
		die("out of memory");
	return text;
}

/*
 * Looking is done with settings of its own; what runs methods has those of the role.
 */
static void
leave_looking(void)
{
	PQclear(query("RESET ALL", 0, NULL));
}

static void
connect_database(void)
{
	PGresult   *result;

	connection = PQconnectdb(conninfo);
	if (PQstatus(connection) != CONNECTION_OK)
		die("%s", PQerrorMessage(connection));
	/* what is shown is found by indexes, whatever the statistics are, and compiles nothing */
	PQclear(query("SET search_path = pg_catalog", 0, NULL));
	PQclear(query("SET enable_seqscan = off", 0, NULL));
	PQclear(query("SET enable_bitmapscan = off", 0, NULL));
	PQclear(query("SET jit = off", 0, NULL));
	result = query("SELECT quote_ident(n.nspname) FROM pg_extension e"
				   " JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'actor'", 0, NULL);
	if (PQntuples(result) == 0)
		die("database \"%s\" does not have the extension \"actor\"", PQdb(connection));
	schema = format_text("%s", PQgetvalue(result, 0, 0));
	PQclear(result);
}

/* showing --------------------------------------------------------------- */

/*
 * Writes a text without what a terminal would obey; returns how wide it is.
 */
static int
show_text(FILE *file, const char *text, int max)
{
	int			width = 0;

	for (const unsigned char *at = (const unsigned char *) text; *at != '\0'; at++)
	{
		bool		first = (*at & 0xC0) != 0x80;

		if (first && max > 0 && width >= max)
		{
			if (file != NULL)
				fputs("...", file);
			return width + 3;
		}
		/* C1 controls are two bytes in UTF-8, of which the first is 0xC2 */
		if (*at < 0x20 || *at == 0x7F || (*at == 0xC2 && at[1] >= 0x80 && at[1] < 0xA0))
		{
			if (file != NULL)
				fputc('?', file);
			if (*at == 0xC2)
				at++;
			width++;
			continue;
		}
		if (file != NULL)
			fputc(*at, file);
		width += first;
	}
	return width;
}

static void
show_padded(const char *text, int width, bool last)
{
	int			shown = show_text(stdout, text, SHOWN_MAX);

	if (!last)
		printf("%*s", width - shown + 2, "");
}

/*
 * Shows a result as a table with a title, if there is a row.  Returns how many.
 */
static int
show_table(const char *title, const PGresult *result)
{
	int			rows = PQntuples(result);
	int			columns = PQnfields(result);
	int		   *widths;

	if (rows == 0)
		return 0;
	widths = calloc((size_t) columns, sizeof(int));
	for (int column = 0; column < columns; column++)
	{
		widths[column] = (int) strlen(PQfname(result, column));
		for (int row = 0; row < rows; row++)
		{
			int			width = show_text(NULL, PQgetvalue(result, row, column), SHOWN_MAX);

			if (width > widths[column])
				widths[column] = width;
		}
	}
	if (title != NULL)
		printf("%s\n", title);
	for (int row = -1; row < rows; row++)
	{
		for (int column = 0; column < columns; column++)
			show_padded(row < 0 ? PQfname(result, column) : PQgetvalue(result, row, column),
						widths[column], column == columns - 1);
		putchar('\n');
	}
	free(widths);
	return rows;
}

static int
show_query(const char *title, const char *sql, int nvalues, const char *const *values)
{
	PGresult   *result = query(sql, nvalues, values);
	int			rows = show_table(title, result);

	PQclear(result);
	return rows;
}

/*
 * Runs a statement with one value as a result, which is shown as it is.
 */
static void
show_value(const char *sql, int nvalues, const char *const *values)
{
	PGresult   *result = query(sql, nvalues, values);

	if (PQntuples(result) > 0 && !PQgetisnull(result, 0, 0))
	{
		/* JSON has no control characters but line ends between its parts */
		char	   *copy = format_text("%s", PQgetvalue(result, 0, 0));

		for (char *line = strtok(copy, "\n"); line != NULL; line = strtok(NULL, "\n"))
		{
			(void) show_text(stdout, line, 0);
			putchar('\n');
		}
		free(copy);
	}
	PQclear(result);
}

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

static int
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

static int
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

static int
run_turns(int argc, char **argv)
{
	(void) argc;
	(void) argv;
	(void) show_query(NULL, "SELECT " TURN_COLUMNS " FROM actor.turn t LEFT JOIN pg_stat_activity a ON a.pid = t.pid"
					  " ORDER BY actor, t.state, since", 0, NULL);
	return 0;
}

static int
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

static int
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
static int
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

static int
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
static int
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

/* doing ----------------------------------------------------------------- */

/*
 * Runs a function of the extension with texts as arguments, with the search_path
 * of the role, and shows what it returns.
 */
static void
run_function(const char *call, int nvalues, const char *const *values)
{
	char	   *sql = format_text("SELECT %s.%s", schema, call);

	leave_looking();
	show_value(sql, nvalues, values);
	free(sql);
}

static int
call_method(int argc, char **argv, const char *call)
{
	char	   *type;
	char	   *id;
	const char *values[5];

	split_actor(argv[0], &type, &id);
	require_id(id);
	values[0] = type;
	values[1] = id;
	values[2] = argv[1];
	values[3] = argc > 2 ? argv[2] : NULL;
	values[4] = due;
	run_function(call, strstr(call, "$5") != NULL ? 5 : 4, values);
	return 0;
}

static int
run_call(int argc, char **argv)
{
	return call_method(argc, argv, "actor_invoke($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.jsonb)");
}

static int
run_send(int argc, char **argv)
{
	return call_method(argc, argv, "actor_send($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.jsonb, $5::pg_catalog.text)");
}

static int
run_explain(int argc, char **argv)
{
	call_method(argc, argv, "actor_explain($1::pg_catalog.text, $2::pg_catalog.text, $3::pg_catalog.text, $4::pg_catalog.jsonb)");
	return 0;
}

/*
 * Runs a function that says whether something has changed for an actor or type.
 */
static int
change(char *target, const char *function, bool of_type)
{
	char	   *type;
	char	   *id;
	const char *values[2];
	char	   *sql;
	PGresult   *result;
	bool		changed;

	split_actor(target, &type, &id);
	if (!of_type)
		require_id(id);
	values[0] = type;
	values[1] = id;
	sql = format_text("SELECT %s.%s($1::pg_catalog.text, $2::pg_catalog.text)", schema, function);
	leave_looking();
	result = query(sql, 2, values);
	changed = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	free(sql);
	puts(changed ? "done" : "nothing to do");
	return changed ? 0 : EXIT_ILL;
}

static int
run_pause(int argc, char **argv)
{
	(void) argc;
	return change(argv[0], "actor_pause", true);
}

static int
run_resume(int argc, char **argv)
{
	(void) argc;
	return change(argv[0], "actor_resume", true);
}

static int
run_deactivate(int argc, char **argv)
{
	(void) argc;
	return change(argv[0], "actor_deactivate", false);
}

/*
 * Runs a function for each failure, those that are named or all of a type, each in
 * a transaction of its own; shows how far it has got.
 */
static int
for_failures(int argc, char **argv, const char *function)
{
	char	   *sql = format_text("SELECT %s.%s($1::pg_catalog.int8)", schema, function);
	PGresult   *ids = NULL;
	int			count = argc;
	int			done = 0;

	if (argc == 1 && argv[0][strspn(argv[0], "0123456789")] != '\0')
	{
		const char *values[1] = {argv[0]};

		ids = query("SELECT failure_id FROM actor.given_up WHERE actor_type = $1 ORDER BY failure_id", 1, values);
		count = PQntuples(ids);
	}
	leave_looking();
	for (int i = 0; i < count; i++)
	{
		const char *values[1] = {ids != NULL ? PQgetvalue(ids, i, 0) : argv[i]};
		PGresult   *result = query(sql, 1, values);

		done += PQgetvalue(result, 0, 0)[0] == 't';
		PQclear(result);
		if (isatty(STDERR_FILENO) && count > 1)
			fprintf(stderr, "\r%d of %d", i + 1, count);
	}
	if (isatty(STDERR_FILENO) && count > 1)
		fputc('\n', stderr);
	printf("%d of %d failures\n", done, count);
	if (ids != NULL)
		PQclear(ids);
	free(sql);
	return done == count && count > 0 ? 0 : EXIT_ILL;
}

static int
run_retry(int argc, char **argv)
{
	return for_failures(argc, argv, "actor_retry");
}

static int
run_discard(int argc, char **argv)
{
	return for_failures(argc, argv, "actor_discard");
}

/* the program ----------------------------------------------------------- */

static const Command commands[] = {
	{"list", 0, 1, run_list, "[TYPE[/PREFIX]]", "types, or actors of a type"},
	{"show", 1, 1, run_show, "TYPE/ID", "all there is of an actor"},
	{"turns", 0, 0, run_turns, "", "who has turns, and who waits for them"},
	{"late", 0, 0, run_late, "", "what should have run, and what is held"},
	{"failures", 0, 1, run_failures, "[TYPE]", "what was given up"},
	{"sending", 0, 1, run_sending, "[TYPE]", "what workers still send to many"},
	{"doctor", 0, 0, run_doctor, "", "what keeps actors from working"},
	{"tail", 0, 1, run_tail, "[TYPE[/ID]]", "follows history and failures"},
	{"call", 2, 3, run_call, "TYPE/ID METHOD [JSON]", "calls a method"},
	{"explain", 2, 3, run_explain, "TYPE/ID METHOD [JSON]", "says what a call would do"},
	{"send", 2, 3, run_send, "TYPE/ID METHOD [JSON]", "sends a message"},
	{"pause", 1, 1, run_pause, "TYPE[/ID]", "pauses an actor, or a type"},
	{"resume", 1, 1, run_resume, "TYPE[/ID]", "ends that"},
	{"deactivate", 1, 1, run_deactivate, "TYPE/ID", "deactivates an actor"},
	{"retry", 1, -1, run_retry, "FAILURE... | TYPE", "makes calls again that were given up"},
	{"discard", 1, -1, run_discard, "FAILURE... | TYPE", "removes failures"},
};

static void
show_help(void)
{
	printf("actorctl looks at actors in PostgreSQL and operates them.\n\n"
		   "Usage: actorctl [OPTION]... COMMAND [ARGUMENT]...\n\n");
	for (size_t i = 0; i < lengthof(commands); i++)
		printf("  %-10s %-24s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
	printf("\n  -d CONNINFO   connection string or URI of the database; what it lacks comes\n"
		   "                from the variables of libpq\n"
		   "  -n NUMBER     rows of a table at most (100)\n"
		   "  --after ID    actors behind that one only, for the next page of a list\n"
		   "  --due TEXT    when a message is due that is sent\n"
		   "  --help, --version\n");
}

static const char *
option_value(int argc, char **argv, int *i)
{
	if (*i + 1 >= argc)
		die("option %s needs a value", argv[*i]);
	return argv[++*i];
}

int
main(int argc, char **argv)
{
	int			i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++)
	{
		if (strcmp(argv[i], "--help") == 0)
		{
			show_help();
			return 0;
		}
		if (strcmp(argv[i], "--version") == 0)
		{
			printf("actorctl %s\n", ACTORCTL_VERSION);
			return 0;
		}
		if (strcmp(argv[i], "-d") == 0)
			conninfo = option_value(argc, argv, &i);
		else if (strcmp(argv[i], "-n") == 0)
			limit = option_value(argc, argv, &i);
		else if (strcmp(argv[i], "--after") == 0)
			after = option_value(argc, argv, &i);
		else if (strcmp(argv[i], "--due") == 0)
			due = option_value(argc, argv, &i);
		else
			die("there is no option \"%s\"; see --help", argv[i]);
	}
	if (limit[0] == '\0' || limit[strspn(limit, "0123456789")] != '\0')
		die("-n must be a whole number");
	if (i == argc)
		die("no command; see --help");
	for (size_t c = 0; c < lengthof(commands); c++)
	{
		int			given = argc - i - 1;
		int			status;

		if (strcmp(commands[c].name, argv[i]) != 0)
			continue;
		if (given < commands[c].min || (commands[c].max >= 0 && given > commands[c].max))
			die("use: actorctl %s %s", commands[c].name, commands[c].arguments);
		connect_database();
		status = commands[c].run(given, argv + i + 1);
		PQfinish(connection);
		return status;
	}
	die("there is no command \"%s\"; see --help", argv[i]);
}
