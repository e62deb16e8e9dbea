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
 * Connections are in pipeline mode.  Where the server does not keep the session
 * clean by itself, behind the statement of a request goes, in a transaction of its
 * own, the one that removes what methods have left behind, so the server finds it
 * when it is done with the first, without being woken for it, and the client has its
 * answer meanwhile.
 *
 * A transaction that outlasts a statement, that of a method which an application
 * runs, is entered and left by its caller.  Within it each statement of a request
 * has a savepoint, so that one that fails takes nothing else with it.
 *
 * Statements are prepared when they are first used on a connection.  If they turn
 * out to be gone, which a method can bring about, or a pooler, that connection
 * does without, and what has not begun for that reason is sent once more.
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

#include "result.h"
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

/*
 * Notices do not matter, but for the last words of a server.
 */
static void
take_notice(void *arg, const PGresult *result)
{
	Session    *session = arg;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	session->ended = session->ended ||
		(severity != NULL && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0));
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
	session->nprepared = 0;
	session->clean_prepared = session->unprepared = session->kept_clean = false;
	session->cleaner = CLEAN_KEEP;
	session->cleaning = session->used = false;
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
 * Finds the schema of our functions; NULL with a reason if there is none.
 */
static char *
find_schema(Session *session, char **reason)
{
	PGconn	   *connection = session->connection;
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
		"fallback_application_name", "connect_timeout", "keepalives_idle", "options",
		"dbname", "client_encoding", NULL
	};
	const char *values[] = {
		"actor-http", "5", "60", session->database->settings, session->database->conninfo, "UTF8", NULL
	};
	PGcancel   *cancel;

	session->connection = PQconnectdbParams(names, values, 1);
	if (PQstatus(session->connection) != CONNECTION_OK)
		*reason = connection_message(session->connection);
	else
		session->schema = find_schema(session, reason);
	if (session->schema == NULL)
	{
		note_connection(session->database, xstrdup(*reason));
		session_close(session);
		return false;
	}
	session->ended = false;
	PQsetNoticeReceiver(session->connection, take_notice, session);
	(void) PQenterPipelineMode(session->connection);
	cancel = PQgetCancel(session->connection);
	pthread_mutex_lock(&session->database->lock);
	session->cancel = cancel;
	pthread_mutex_unlock(&session->database->lock);
	note_connection(session->database, NULL);
	return true;
}

/*
 * Whether an idle connection still works, as far as that can be seen from here: a
 * server that ends says so, perhaps together with its last answer, and closes it.
 */
static bool
still_open(Session *session)
{
	PGconn	   *connection = session->connection;
	struct pollfd readable = {.fd = PQsocket(connection),.events = POLLIN};

	(void) PQisBusy(connection);	/* reads what has come */
	while (!session->ended && PQstatus(connection) == CONNECTION_OK && poll(&readable, 1, 0) > 0)
	{
		if (PQconsumeInput(connection) == 0)
			return false;
		(void) PQisBusy(connection);
	}
	return !session->ended && PQstatus(connection) == CONNECTION_OK;
}

static bool
make_ready(Session *session, char **reason)
{
	Database   *database = session->database;
	bool		too_early;

	if (session->connection != NULL && still_open(session))
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

/* sending --------------------------------------------------------------- */

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
 * The number of a statement on this connection, after those that are prepared if
 * it is not; -1 if it is to be sent as it is.
 */
static int
statement_number(const Session *session, const char *sql)
{
	if (session->unprepared)
		return -1;
	for (int i = 0; i < session->nprepared; i++)
		if (session->prepared[i].sql == sql)
			return i;
	return session->nprepared < (int) lengthof(session->prepared) ? session->nprepared : -1;
}

/*
 * Sends a statement, and before it what prepares it, if it is to be and is not.
 * Says whether that was so.
 */
static bool
send_one(Session *session, const Statement *statement, const char *traceparent, bool *prepares)
{
	/* no trace has the text of another */
	int			number = traceparent == NULL && !statement->once ?
		statement_number(session, statement->sql) : -1;
	char	   *text = NULL;
	char	   *name = number >= 0 ? session->prepared[number].name : NULL;
	bool		sent = true;

	*prepares = (number >= 0 && number == session->nprepared);
	if (number < 0 || *prepares)
		text = complete_sql(session, statement->sql, traceparent);
	if (number < 0)
	{
		sent = PQsendQueryParams(session->connection, text, statement->nvalues, NULL,
								 statement->values, statement->lengths,
								 statement->formats, 0) != 0;
		session->clean_prepared = false;
	}
	else if (*prepares)
	{
		snprintf(name, sizeof(session->prepared[0].name), "actor_http_%d", number);
		sent = PQsendPrepare(session->connection, name, text, statement->nvalues, NULL) != 0;
		session->prepared[session->nprepared++].sql = statement->sql;
	}
	if (sent && number >= 0)
		sent = PQsendQueryPrepared(session->connection, name, statement->nvalues,
								   statement->values, statement->lengths,
								   statement->formats, 0) != 0;
	free(text);
	return sent;
}

/*
 * Whether a transaction that has ended, and has run code of users, has left something
 * behind, as far as that is known.
 */
static bool
is_unclean(const Session *session)
{
	const char *told = session->kept_clean ?
		PQparameterStatus(session->connection, "actor.session") : NULL;

	return told == NULL || strcmp(told, "clean") != 0;
}

/*
 * Sends a statement, which becomes a transaction of its own.
 */
static bool
send_statement(Session *session, const char *sql, const char *traceparent, int nvalues,
			   const char *const *values)
{
	Statement	statement = {.sql = sql,.nvalues = nvalues,.values = values};
	bool		prepares;

	return send_one(session, &statement, traceparent, &prepares) &&
		PQpipelineSync(session->connection) != 0;
}

/*
 * Sends what removes what methods have left behind.
 *
 * This is DISCARD ALL without DISCARD PLANS: plans are nobody's secret, and
 * methods would have to be planned anew at each call.  The extension has functions
 * for it, of which the first lets the server do most of that from then on.  Where they
 * are missing, or must not be used, commands do the same at ten times the price, and
 * drop all that is prepared.
 *
 * A function is called by the statement without a name, the one that no method
 * can replace by another.
 */
static bool
send_cleaning(Session *session)
{
	static const char *const functions[] = {
		"SELECT actor.keep_session_clean()", "SELECT actor.clean_session()"
	};
	static const char *const commands[] = {
		"SET SESSION AUTHORIZATION DEFAULT", "RESET ROLE", "RESET ALL", "CLOSE ALL",
		"UNLISTEN *", "DEALLOCATE ALL", "SELECT pg_catalog.pg_advisory_unlock_all()",
		"DISCARD TEMP", "DISCARD SEQUENCES"
	};

	session->cleaning = true;
	if (session->cleaner != CLEAN_COMMANDS)
	{
		bool		prepared = session->clean_prepared ||
			PQsendPrepare(session->connection, "", functions[session->cleaner], 0, NULL) != 0;

		session->clean_prepared = true;
		return prepared &&
			PQsendQueryPrepared(session->connection, "", 0, NULL, NULL, NULL, 0) != 0 &&
			PQpipelineSync(session->connection) != 0;
	}
	for (size_t i = 0; i < lengthof(commands); i++)
		if (PQsendQueryParams(session->connection, commands[i], 0, NULL, NULL, NULL, NULL, 0) == 0)
			return false;
	return PQpipelineSync(session->connection) != 0;
}

/* receiving ------------------------------------------------------------- */

/*
 * Whether a result says what has become of a transaction.  Without the end only an
 * error of the server does; and one that ends a session which is committing may
 * come after that.
 */
static bool
is_known(const Session *session, const PGresult *result, bool complete)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (sqlstate == NULL)
		return complete;
	return !session->failed_late || strncmp(sqlstate, "57P", 3) != 0;
}

/*
 * Reads what a transaction has come to, NULL if the connection broke before that
 * was known.  An error counts, even after rows: then the statement has run, and
 * its transaction could not be committed.  What was read of it is given up or
 * returned.
 */
static PGresult *
read_result(Session *session, PGresult *kept)
{
	PGresult   *more;
	bool		ended = false;	/* a NULL, which each statement ends with */

	session->failed_late = false;
	for (;;)
	{
		more = PQgetResult(session->connection);
		if (PQresultStatus(more) == PGRES_PIPELINE_SYNC)
			break;
		if (more == NULL && (ended || PQstatus(session->connection) != CONNECTION_OK))
			break;
		ended = (more == NULL);
		if (more == NULL)
			continue;
		if ((kept != NULL && PQresultStatus(kept) == PGRES_FATAL_ERROR) ||
			PQresultStatus(more) == PGRES_PIPELINE_ABORTED)
		{
			PQclear(more);
			continue;
		}
		session->failed_late = PQresultStatus(kept) == PGRES_TUPLES_OK &&
			PQresultStatus(more) == PGRES_FATAL_ERROR;
		PQclear(kept);
		kept = more;
	}
	if (!is_known(session, kept, more != NULL))
	{
		PQclear(kept);
		kept = NULL;
	}
	PQclear(more);
	return kept;
}

/*
 * session_clean
 *		Waits until the session is as if it were new.  If it cannot be, the next
 *		request gets one that is.
 */
void
session_clean(Session *session)
{
	while (session->cleaning)
	{
		PGresult   *result = read_result(session, NULL);
		bool		clean = PQresultStatus(result) == PGRES_TUPLES_OK ||
			PQresultStatus(result) == PGRES_COMMAND_OK;
		bool		again = false;

		session->cleaning = false;
		session->clean_prepared &= clean;
		if (!clean && !session->unprepared && result_is_stale(result))
			again = session->unprepared = true;
		else if (!clean && session->cleaner != CLEAN_COMMANDS && result_is_missing(result))
		{
			again = true;
			session->cleaner++;
			session->unprepared |= session->cleaner == CLEAN_COMMANDS;
		}
		session->kept_clean = clean && session->cleaner == CLEAN_KEEP;
		PQclear(result);
		if (!clean && (!again || !send_cleaning(session)))
			session_close(session);
	}
}

/*
 * Reads one result and the NULL behind it.  NULL if the connection broke.
 */
static PGresult *
read_one(Session *session)
{
	PGresult   *result = PQgetResult(session->connection);

	if (result != NULL)
		PQclear(PQgetResult(session->connection));
	return result;
}

/*
 * Reads the result of a statement.  If it could not be prepared it is as if that
 * had not been tried, nor for those behind it.
 */
static PGresult *
read_statement(Session *session, const char *sql, bool prepares)
{
	PGresult   *result;

	if (prepares)
	{
		result = read_one(session);
		if (PQresultStatus(result) != PGRES_COMMAND_OK)
		{
			for (int i = 0; i < session->nprepared; i++)
				if (session->prepared[i].sql == sql)
					session->nprepared = i;
			/* what would have run it is left out by the server, too */
			PQclear(read_one(session));
			return result;
		}
		PQclear(result);
	}
	return read_one(session);
}

/*
 * Sends statements together, and reads their results, as session_statements() does.
 */
static QueryOutcome
run_statements(Session *session, const Statement *statements, int count, PGresult **results,
			   char **reason)
{
	bool		prepares[8];
	bool		complete = true;

	memset(results, 0, (size_t) count * sizeof(PGresult *));
	for (int i = 0; i < count && complete; i++)
		complete = send_one(session, &statements[i], NULL, &prepares[i]);
	complete = complete && PQpipelineSync(session->connection) != 0;
	for (int i = 0; i < count && complete; i++)
		complete = (results[i] = read_statement(session, statements[i].sql, prepares[i])) != NULL;
	if (complete)
		complete = (results[count - 1] = read_result(session, results[count - 1])) != NULL;
	if (complete && PQstatus(session->connection) == CONNECTION_OK)
		return QUERY_ANSWERED;
	*reason = connection_message(session->connection);
	results_clear(results, count);
	session_close(session);
	return QUERY_LOST;
}

/*
 * Whether one of the statements that were sent together was gone.  The last one may
 * have run before its error.
 */
static bool
is_one_stale(const Session *session, PGresult *const *results, int count)
{
	for (int i = 0; i < count; i++)
		if (result_is_stale(results[i]) && (i < count - 1 || !session->failed_late))
			return true;
	return false;
}

/*
 * session_statements
 *		Sends statements together.  Those behind one that fails are not run: their
 *		results are of status PGRES_PIPELINE_ABORTED.  All results are NULL unless
 *		there was an answer; the reason is to be freed and NULL if there was one.
 *
 * The caller has entered the session, or what is between BEGIN and COMMIT is all
 * in there.  If one of them was prepared and is gone, all are sent once more, unless
 * they belong to a transaction that had begun before.
 */
QueryOutcome
session_statements(Session *session, const Statement *statements, int count,
				   PGresult **results, char **reason)
{
	const Statement rollback = {.sql = "ROLLBACK"};
	QueryOutcome outcome;
	bool		begins;

	*reason = NULL;
	memset(results, 0, (size_t) count * sizeof(PGresult *));
	if (!session->within)
		session_clean(session);
	if (session->within ? session->connection == NULL : !make_ready(session, reason))
	{
		if (*reason == NULL)
			*reason = xstrdup("the connection is gone");
		return QUERY_NOT_SENT;
	}
	begins = PQtransactionStatus(session->connection) == PQTRANS_IDLE;
	outcome = run_statements(session, statements, count, results, reason);
	if (outcome != QUERY_ANSWERED || session->unprepared || !is_one_stale(session, results, count))
		return outcome;
	session->unprepared = true;
	if (!begins)
		return outcome;
	results_clear(results, count);
	/* those before it may have begun a transaction */
	if (PQtransactionStatus(session->connection) != PQTRANS_IDLE)
	{
		outcome = run_statements(session, &rollback, 1, results, reason);
		results_clear(results, 1);
	}
	return outcome != QUERY_ANSWERED ? outcome :
		run_statements(session, statements, count, results, reason);
}

/* transactions ---------------------------------------------------------- */

/*
 * session_enter
 *		The transaction that the caller begins now outlasts a statement: until
 *		session_leave() the connection is that one or none.
 */
bool
session_enter(Session *session, char **reason)
{
	*reason = NULL;
	session_clean(session);
	if (!make_ready(session, reason))
		return false;
	session->within = true;
	return true;
}

/*
 * session_leave
 *		The transaction has ended.  If that is not so, the connection is given up.
 */
void
session_leave(Session *session)
{
	session->within = false;
	if (session->connection == NULL)
		return;
	if (PQstatus(session->connection) != CONNECTION_OK ||
		PQtransactionStatus(session->connection) != PQTRANS_IDLE ||
		(session->used && is_unclean(session) && !send_cleaning(session)))
		session_close(session);
	session->used = false;
}

/*
 * session_alive
 *		Whether the connection still works, as far as that can be seen from here.
 */
bool
session_alive(Session *session)
{
	return session->connection != NULL && still_open(session);
}

/*
 * Undoes a statement of a request within a transaction.
 */
static QueryOutcome
undo_within(Session *session, char **reason)
{
	const Statement undo[] = {
		{"ROLLBACK TO SAVEPOINT actor_request"},
		{"RELEASE SAVEPOINT actor_request"}
	};
	bool		unprepared = session->unprepared;
	PGresult   *results[2];
	QueryOutcome outcome = session_statements(session, undo, 2, results, reason);

	results_clear(results, 2);
	/* the statement has removed what was prepared for this */
	if (outcome == QUERY_ANSWERED && session->unprepared != unprepared)
		return undo_within(session, reason);
	return outcome;
}

/*
 * Runs a statement of a request within a transaction.  If it fails nothing else
 * is lost.
 */
static QueryOutcome
query_within(Session *session, const char *sql, int nvalues, const char *const *values,
			 PGresult **result, char **reason)
{
	const Statement statements[] = {
		{"SAVEPOINT actor_request"},
		{.sql = sql,.nvalues = nvalues,.values = values},
		{"RELEASE SAVEPOINT actor_request"}
	};
	bool		unprepared = session->unprepared;
	bool		gone;
	PGresult   *results[3];
	QueryOutcome outcome = session_statements(session, statements, 3, results, reason);
	PGresult   *first = results[0];

	*result = results[1];
	PQclear(results[2]);
	if (outcome != QUERY_ANSWERED)
		return outcome;
	session->failed_late = false;
	/* it was itself, or has removed what was prepared for the last one */
	gone = session->unprepared != unprepared;
	if (PQresultStatus(*result) == PGRES_TUPLES_OK && !gone)
	{
		PQclear(first);
		return QUERY_ANSWERED;
	}
	/* the transaction had failed before */
	if (PQresultStatus(first) != PGRES_COMMAND_OK)
	{
		PQclear(*result);
		*result = first;
		return QUERY_ANSWERED;
	}
	PQclear(first);
	outcome = undo_within(session, reason);
	if (outcome == QUERY_ANSWERED && !gone)
		return QUERY_ANSWERED;
	PQclear(*result);
	*result = NULL;
	return outcome != QUERY_ANSWERED ? outcome :
		query_within(session, sql, nvalues, values, result, reason);
}

/*
 * session_not_begun
 *		Whether the error of a statement means that nothing has run, since what
 *		was known of the database is not true any more.  It can be sent again.
 */
bool
session_not_begun(const Session *session, const PGresult *result)
{
	return !session->failed_late &&
		(result_is_stale(result) || PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION) != NULL);
}

/*
 * session_query
 *		Runs one statement, a constant.  The result is NULL unless there was an
 *		answer; the reason is to be freed and NULL if there was one.
 *
 * A traceparent must be valid.  Where code of users may run, the session is to
 * be clean afterwards; if that takes a statement it is sent here, and session_clean()
 * waits for it.  Within a transaction both are left to who has entered it.
 */
QueryOutcome
session_query(Session *session, const char *sql, const char *traceparent, bool runs_users_code,
			  int nvalues, const char *const *values, PGresult **result, char **reason)
{
	bool		cleans;

	*result = NULL;
	*reason = NULL;
	if (session->within)
		return query_within(session, sql, nvalues, values, result, reason);
	session_clean(session);
	if (!make_ready(session, reason))
		return QUERY_NOT_SENT;

	/* without waiting, unless the answer says whether there is something to clean */
	cleans = runs_users_code && !session->kept_clean;
	if (send_statement(session, sql, traceparent, nvalues, values) &&
		(!cleans || send_cleaning(session)))
		*result = read_result(session, NULL);
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
	else if (!session->unprepared && !session->failed_late && result_is_stale(*result))
	{
		session->unprepared = true;
		PQclear(*result);
		return session_query(session, sql, traceparent, runs_users_code, nvalues, values,
							 result, reason);
	}
	if (session->connection != NULL && runs_users_code && !cleans &&
		is_unclean(session) && !send_cleaning(session))
		session_close(session);
	return QUERY_ANSWERED;
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
