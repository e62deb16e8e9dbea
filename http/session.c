/*-------------------------------------------------------------------------
 *
 * session.c
 *		A connection to the database: made when it is needed, checked before
 *		it is used, and given up when it breaks.
 *
 * A statement is sent once.  When the connection breaks before the answer is
 * there, nobody knows whether the transaction has committed, and the caller is
 * told so.
 *
 * IDENTIFICATION
 *		http/session.c
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "util.h"

/* after a failed attempt to connect, the others of a database wait this long */
#define RETRY_DELAY_MS		200

void
database_init(Database *database, const char *conninfo)
{
	memset(database, 0, sizeof(*database));
	database->conninfo = conninfo;
	pthread_mutex_init(&database->lock, NULL);
}

/*
 * database_free
 *		No session must be left.
 */
void
database_free(Database *database)
{
	pthread_mutex_destroy(&database->lock);
	free(database->down_reason);
}

/* connecting ------------------------------------------------------------ */

static void
ignore_notice(void *arg, const PGresult *result)
{
	(void) arg;
	(void) result;
}

/*
 * session_close
 *		Gives up the connection, if there is one.
 */
void
session_close(Session *session)
{
	PGcancel   *cancel;

	pthread_mutex_lock(&session->database->lock);
	cancel = session->cancel;
	session->cancel = NULL;
	pthread_mutex_unlock(&session->database->lock);
	PQfreeCancel(cancel);
	PQfinish(session->connection);
	session->connection = NULL;
	free(session->schema);
	session->schema = NULL;
	session->by_commands = false;
}

/*
 * Remembers for all sessions of the database whether the database can be reached.
 * Takes over the reason, which is NULL for success.
 */
static void
note_connection(Database *database, char *reason)
{
	bool		changed;

	pthread_mutex_lock(&database->lock);
	changed = (database->down != (reason != NULL));
	database->down = (reason != NULL);
	database->down_until = now_ms() + RETRY_DELAY_MS;
	free(database->down_reason);
	database->down_reason = reason;
	if (changed && reason != NULL)
		log_line("could not use the database: %s", reason);
	else if (changed)
		log_line("the database is back");
	pthread_mutex_unlock(&database->lock);
}

/*
 * One line of what libpq says.
 */
static char *
connection_message(const PGconn *connection)
{
	char	   *message = xstrdup(PQerrorMessage(connection));
	size_t		length;

	for (char *c = message; *c != '\0'; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	length = strlen(message);
	while (length > 0 && message[length - 1] == ' ')
		message[--length] = '\0';
	return message;
}

/*
 * Finds the schema of our functions; NULL with a reason if there is none.
 */
static char *
find_schema(PGconn *connection, char **reason)
{
	PGresult   *result;
	char	   *schema = NULL;

	result = PQexec(connection,
					"SELECT pg_catalog.quote_ident(n.nspname)"
					" FROM pg_catalog.pg_extension e"
					" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"
					" WHERE e.extname OPERATOR(pg_catalog.=) 'actor'");
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		*reason = connection_message(connection);
	else if (PQntuples(result) == 0)
		*reason = xprintf("database \"%s\" does not have the extension \"actor\"",
						  PQdb(connection));
	else
		schema = xstrdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return schema;
}

static bool
connect_now(Session *session, char **reason)
{
	/* those before the connection string can be changed by it */
	static const char *const names[] = {
		"fallback_application_name", "connect_timeout", "keepalives_idle",
		"dbname", "client_encoding", NULL
	};
	const char *values[] = {
		"actor-http", "5", "60", session->database->conninfo, "UTF8", NULL
	};
	PGcancel   *cancel;

	session->connection = PQconnectdbParams(names, values, 1);
	if (PQstatus(session->connection) != CONNECTION_OK)
		*reason = connection_message(session->connection);
	else
		session->schema = find_schema(session->connection, reason);
	if (session->schema == NULL)
	{
		note_connection(session->database, xstrdup(*reason));
		session_close(session);
		return false;
	}
	PQsetNoticeReceiver(session->connection, ignore_notice, NULL);
	cancel = PQgetCancel(session->connection);
	pthread_mutex_lock(&session->database->lock);
	session->cancel = cancel;
	pthread_mutex_unlock(&session->database->lock);
	note_connection(session->database, NULL);
	return true;
}

/*
 * Whether an idle connection still works, as far as that can be seen from here:
 * a server that has ended has closed it.
 */
static bool
still_open(PGconn *connection)
{
	struct pollfd readable = {.fd = PQsocket(connection),.events = POLLIN};

	while (PQstatus(connection) == CONNECTION_OK && poll(&readable, 1, 0) > 0)
	{
		if (PQconsumeInput(connection) == 0)
			return false;
		(void) PQisBusy(connection);	/* reads the message */
		/* what a server says before it closes comes shortly before that */
		if (PQstatus(connection) == CONNECTION_OK && poll(&readable, 1, 0) == 0)
			(void) poll(&readable, 1, 20);
	}
	return PQstatus(connection) == CONNECTION_OK;
}

static bool
make_ready(Session *session, char **reason)
{
	Database   *database = session->database;
	bool		too_early;

	if (session->connection != NULL && still_open(session->connection))
		return true;
	session_close(session);

	pthread_mutex_lock(&database->lock);
	too_early = database->down && now_ms() < database->down_until;
	if (too_early)
		*reason = xstrdup(database->down_reason);
	pthread_mutex_unlock(&database->lock);
	return !too_early && connect_now(session, reason);
}

/*
 * session_open
 *		Connects, so that the log says now whether that is possible.
 */
void
session_open(Session *session)
{
	char	   *reason = NULL;

	(void) make_ready(session, &reason);
	free(reason);
}

/* running --------------------------------------------------------------- */

/*
 * The statement with the schema in place of each "@", and with a traceparent:
 * as a comment, for those who look at the server, and, where it is a call of one
 * function, as the setting that is kept by what the function sends.  OFFSET 0
 * keeps the server from evaluating that later.
 */
static char *
complete_sql(const Session *session, const char *sql, const char *traceparent)
{
	Buffer		text = {0};
	bool		is_call = strncmp(sql, "SELECT @.", 9) == 0;

	for (;;)
	{
		size_t		length = strcspn(sql, "@");

		if (!buffer_append(&text, sql, length))
			die("out of memory");
		if (sql[length] == '\0')
			break;
		buffer_text(&text, session->schema);
		sql += length + 1;
	}
	if (traceparent != NULL && is_call)
	{
		buffer_text(&text, " FROM (SELECT pg_catalog.set_config('actor.traceparent', '");
		buffer_text(&text, traceparent);
		buffer_text(&text, "', true) OFFSET 0) trace");
	}
	if (traceparent != NULL)
	{
		buffer_text(&text, " /*traceparent='");
		buffer_text(&text, traceparent);
		buffer_text(&text, "'*/");
	}
	return text.data;
}

/*
 * Reads what a statement has come to, NULL if the connection broke before that
 * was known.  An error counts, even after rows: then the statement has run, and
 * its transaction could not be committed.
 */
static PGresult *
read_result(Session *session)
{
	PGresult   *kept = PQgetResult(session->connection);
	PGresult   *more;

	session->failed_late = false;
	while ((more = PQgetResult(session->connection)) != NULL)
	{
		if (PQresultStatus(kept) != PGRES_FATAL_ERROR &&
			PQresultStatus(more) == PGRES_FATAL_ERROR)
		{
			PQclear(kept);
			kept = more;
			session->failed_late = true;
		}
		else
			PQclear(more);
	}
	/* one of libpq, which does not know */
	if (PQresultStatus(kept) == PGRES_FATAL_ERROR &&
		PQresultErrorField(kept, PG_DIAG_SQLSTATE) == NULL)
	{
		PQclear(kept);
		kept = NULL;
	}
	return kept;
}

/*
 * session_query
 *		Runs one statement.  The result is NULL unless there was an answer; the
 *		reason is to be freed and NULL if there was one.
 *
 * A traceparent must be valid.
 */
QueryOutcome
session_query(Session *session, const char *sql, const char *traceparent, int nvalues,
			  const char *const *values, PGresult **result, char **reason)
{
	char	   *text;
	bool		sent;

	*result = NULL;
	*reason = NULL;
	if (!make_ready(session, reason))
		return QUERY_NOT_SENT;

	text = complete_sql(session, sql, traceparent);
	sent = PQsendQueryParams(session->connection, text, nvalues, NULL, values,
							 NULL, NULL, 0) != 0;
	free(text);
	if (sent)
		*result = read_result(session);
	if (*result == NULL)
	{
		*reason = connection_message(session->connection);
		session_close(session);
		return QUERY_LOST;
	}
	/* an error within our own text: the extension has moved or is gone */
	if (PQstatus(session->connection) != CONNECTION_OK ||
		PQresultErrorField(*result, PG_DIAG_STATEMENT_POSITION) != NULL)
		session_close(session);
	return QUERY_ANSWERED;
}

/*
 * Runs commands whose results do not matter.  Returns the SQLSTATE of an error,
 * an empty one if it is none of the database; NULL for success.
 */
static const char *
run_commands(Session *session, const char *sql, char sqlstate[6])
{
	PGresult   *result = PQexec(session->connection, sql);
	ExecStatusType status = PQresultStatus(result);
	const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	snprintf(sqlstate, 6, "%s", code != NULL ? code : "");
	PQclear(result);
	return status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK ? NULL : sqlstate;
}

/*
 * session_clean
 *		Removes what a method has left behind, so that the next request finds a
 *		session as if it were the first.  If that fails, it will be a new one.
 *
 * This is DISCARD ALL without DISCARD PLANS: plans are nobody's secret, and
 * methods would have to be planned anew at each call.  The extension has a
 * function for it; where that is missing, or must not be used, commands do the
 * same at ten times the price.
 */
void
session_clean(Session *session)
{
	char		buffer[6];
	const char *sqlstate;

	if (!session->used)
		return;
	session->used = false;
	if (session->connection == NULL)
		return;
	if (!session->by_commands)
	{
		sqlstate = run_commands(session, "SELECT actor.clean_session()", buffer);
		if (sqlstate == NULL)
			return;
		session->by_commands = strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "42501") == 0;
	}
	if (!session->by_commands ||
		run_commands(session,
					 "SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL;"
					 " UNLISTEN *; DEALLOCATE ALL; SELECT pg_catalog.pg_advisory_unlock_all();"
					 " DISCARD TEMP; DISCARD SEQUENCES", buffer) != NULL)
		session_close(session);
}

/*
 * session_cancel
 *		Cancels what another thread runs in the session, if anything.
 */
void
session_cancel(Session *session)
{
	char		message[256];

	pthread_mutex_lock(&session->database->lock);
	if (session->cancel != NULL)
		(void) PQcancel(session->cancel, message, sizeof(message));
	pthread_mutex_unlock(&session->database->lock);
}
