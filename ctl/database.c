/*-------------------------------------------------------------------------
 *
 * database.c
 *		The connection to the database, and showing what it answers.
 *
 * What is shown comes from others, so control characters are never written to
 * the terminal.  Looking is done with pg_catalog as search_path; methods run
 * with the one that the role has.
 *
 * IDENTIFICATION
 *		ctl/database.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "actorctl.h"

/* bytes of a value that are shown in a table */
#define SHOWN_MAX			100

static PGconn *connection;
char	   *schema;				/* of the functions, quoted */

const char *conninfo = "";

/* basics ---------------------------------------------------------------- */

void
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

char *
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
void
split_actor(char *text, char **type, char **id)
{
	char	   *slash = strchr(text, '/');

	*type = text;
	*id = slash != NULL ? slash + 1 : NULL;
	if (slash != NULL)
		*slash = '\0';
}

void
require_id(const char *id)
{
	if (id == NULL)
		die("an actor is written as TYPE/ID");
}

/* the database ---------------------------------------------------------- */

/*
 * Runs a statement; ends the program if it fails.
 */
PGresult *
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
char *
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
void
leave_looking(void)
{
	PQclear(query("RESET ALL", 0, NULL));
}

void
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
int
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

int
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
void
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

void
disconnect_database(void)
{
	PQfinish(connection);
}
