/*-------------------------------------------------------------------------
 *
 * session.h
 *		A connection to the database.
 *
 * IDENTIFICATION
 *		http/session.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_SESSION_H
#define ACTOR_HTTP_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

/* what all sessions of one database and role know about it */
typedef struct Database
{
	const char *conninfo;
	const char *settings;		/* options for the server; NULL: none */

	pthread_mutex_t lock;		/* protects what follows, and cancel below */
	bool		down;			/* the last attempt to connect has failed */
	int64_t		down_until;		/* no other attempt before that */
	char	   *down_reason;
} Database;

/* what removes what methods have left behind; the later ones are for older servers */
typedef enum SessionCleaner
{
	CLEAN_KEEP,					/* actor.keep_session_clean() */
	CLEAN_FUNCTION,				/* actor.clean_session() */
	CLEAN_COMMANDS
} SessionCleaner;

/* used by one thread, except for cancelling */
typedef struct Session
{
	Database   *database;
	PGconn	   *connection;		/* NULL: none */
	PGcancel   *cancel;
	char	   *schema;			/* of the functions, quoted */
	bool		cleaning;		/* that has been sent */
	bool		failed_late;	/* the last statement had run when it failed */
	bool		clean_prepared; /* what cleans is the statement without a name */
	bool		unprepared;		/* nothing else is to be prepared */
	SessionCleaner cleaner;
	bool		kept_clean;		/* the server cleans it, and says when it does not */
	bool		within;			/* in a transaction that outlasts a statement */
	bool		used;			/* that has run code of users */
	bool		ended;			/* the server has said so, without being asked */
	int			nprepared;
	struct
	{
		const char *sql;
		char		name[32];
	}			prepared[64];	/* statements */
} Session;

/* one of several statements that are sent together */
typedef struct Statement
{
	const char *sql;			/* a constant, unless it is not to be prepared */
	bool		once;			/* it is not to be prepared */
	bool		commits;		/* the transaction, when it is over */
	int			nvalues;
	const char *const *values;
	const int  *lengths;		/* of binary values; NULL: all are text */
	const int  *formats;
} Statement;

typedef enum QueryOutcome
{
	QUERY_ANSWERED,				/* there is a result, perhaps an error */
	QUERY_NOT_SENT,				/* no connection, so nothing has happened */
	QUERY_LOST					/* the connection broke before the answer */
} QueryOutcome;

extern void database_init(Database *database, const char *conninfo);
extern void database_free(Database *database);
extern QueryOutcome session_query(Session *session, const char *sql, const char *traceparent,
								  bool runs_users_code, int nvalues,
								  const char *const *values, PGresult **result,
								  char **reason);
extern QueryOutcome session_statements(Session *session, const Statement *statements, int count,
									   PGresult **results, char **reason);
extern bool session_enter(Session *session, char **reason);
extern void session_leave(Session *session);
extern bool session_alive(Session *session);
extern bool session_not_begun(const Session *session, const PGresult *result);
extern void session_open(Session *session);
extern void session_clean(Session *session);
extern void session_cancel(Session *session);
extern void session_close(Session *session);

#endif							/* ACTOR_HTTP_SESSION_H */
