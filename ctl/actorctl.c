/*-------------------------------------------------------------------------
 *
 * actorctl.c
 *		Looking at actors and operating them from a terminal.
 *
 * Each command is a statement or two over the views and functions of the
 * extension, as the role that connects: nobody sees or does more than with SQL.
 *
 * IDENTIFICATION
 *		ctl/actorctl.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "actorctl.h"

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

const char *limit = "100";
const char *after = NULL;
const char *due = NULL;

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
		disconnect_database();
		return status;
	}
	die("there is no command \"%s\"; see --help", argv[i]);
}
