/*-------------------------------------------------------------------------
 *
 * http.h
 *		What more than one file of actor-http needs, by file.
 *
 * IDENTIFICATION
 *		http/http.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_H
#define ACTOR_HTTP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <libpq-fe.h>

#define ACTOR_HTTP_VERSION	"1.0.0"

#define lengthof(array)		(sizeof(array) / sizeof((array)[0]))

struct MHD_Connection;

/* util.c: memory, text, log, clock -------------------------------------- */

/* a text that grows; always ends in a zero byte once something is in it */
typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		capacity;
} Buffer;

extern void *xmalloc(size_t size);
extern void *xrealloc(void *pointer, size_t size);
extern char *xstrdup(const char *string);
extern char *xstrndup(const char *string, size_t length);
extern char *xprintf(const char *format,...) __attribute__((format(printf, 1, 2)));
extern bool buffer_append(Buffer *buffer, const char *bytes, size_t length);
extern void buffer_text(Buffer *buffer, const char *string);
extern void buffer_free(Buffer *buffer);
extern void log_line(const char *format,...) __attribute__((format(printf, 1, 2)));
_Noreturn extern void die(const char *format,...) __attribute__((format(printf, 1, 2)));
extern int64_t now_ms(void);

/* json.c: reads JSON without changing it -------------------------------- */

/* a part of a document, as it was sent */
typedef struct JsonSpan
{
	const char *start;
	size_t		length;
} JsonSpan;

typedef struct JsonMember
{
	JsonSpan	name;			/* with its quotes */
	JsonSpan	value;
} JsonMember;

/* the outermost level of a document */
typedef struct JsonDocument
{
	char		kind;			/* first character of the value */
	JsonMember *members;		/* of an object */
	size_t		count;
} JsonDocument;

typedef struct JsonError
{
	size_t		offset;
	const char *problem;
} JsonError;

extern bool json_read(const char *text, size_t length, JsonDocument *document,
					  JsonError *error);
extern void json_release(JsonDocument *document);
extern const JsonSpan *json_member(const JsonDocument *document, const char *name);
extern char *json_text(const JsonSpan *string);
extern bool span_is_null(const JsonSpan *value);
extern bool utf8_valid(const char *text, size_t length);
extern void text_position(const char *text, size_t offset, int *line, int *column);

/* path.c: the parts of a request's target ------------------------------- */

#define PATH_MAX_PARTS	6

/* raw parts between slashes, and the query */
typedef struct Path
{
	JsonSpan	parts[PATH_MAX_PARTS];	/* the last one has the rest */
	int			count;
	JsonSpan	query;
} Path;

extern void path_split(const char *target, Path *path);
extern char *percent_decode(const char *text, size_t length, size_t *decoded_length);
extern char *path_resolve(char *path);
extern bool name_allowed(const char *name, size_t length);
extern bool method_allowed(const char *name, size_t length);
extern char *query_value(const JsonSpan *query, const char *name);

/* options.c ------------------------------------------------------------- */

/* a token that clients show, and the database and role they get for it */
typedef struct Token
{
	char	   *secret;
	char	   *database;
} Token;

typedef struct Options
{
	char	   *listen;
	long		port;
	char	   *database;
	char	   *app_id;
	char	   *api_token;
	char	   *host_config;
	long		pool_size;
	long		threads;
	long		body_limit;
	long		max_connections;
	long		idle_timeout;	/* seconds */
	long		request_timeout;	/* seconds */
	long		queue_timeout;	/* seconds */
	long		drain_timeout;	/* seconds */
	Token	   *tokens;
	size_t		ntokens;
} Options;

extern Options options;

extern void options_read(int argc, char **argv);
extern void options_free(void);

/* config.c -------------------------------------------------------------- */

/* one row of the table of options */
typedef struct OptionRow
{
	const char *name;			/* as in the file; --with-dashes as a flag */
	const char *argument;		/* for the help */
	const char *help;
	char	  **text;			/* NULL: a number */
	long	   *number;
	long		min;
	long		max;
	bool		secret;			/* no flag, which others could see */
} OptionRow;

extern const OptionRow option_rows[];
extern const size_t option_count;

extern char *file_read(const char *name, size_t *length);
extern void config_read(const char *name);
extern void json_file_check(const char *name, const char *text, size_t length);

/* pool.c ---------------------------------------------------------------- */

struct Request;
struct Session;

/* sessions of one database and role, a thread each */
typedef struct Pool
{
	const char *database;		/* connection string */
	pthread_t  *threads;
	struct Session *sessions;

	pthread_mutex_t lock;		/* protects what follows */
	pthread_cond_t work;
	struct Request *first;		/* requests that wait for a session */
	struct Request *last;
	int			idle;			/* threads that wait for work */
	bool		stopping;
	bool		down;			/* the last attempt to connect has failed */
	int64_t		down_until;		/* no other attempt before that */
	char	   *down_reason;
	json_t	   *actors;			/* of the metadata; NULL: not known */
	int64_t		actors_at;
} Pool;

extern void pools_start(void);
extern void pools_stop(void);
extern void pools_expire(void);
extern void pools_cancel(void);
extern Pool *pool_for_token(const char *token);
extern Pool *pool_default(void);
extern void pool_submit(Pool *pool, struct Request *request);
extern bool pool_has_idle(Pool *pool);

/* session.c ------------------------------------------------------------- */

/* a connection to the database, used by one thread */
typedef struct Session
{
	Pool	   *pool;
	PGconn	   *connection;		/* NULL: none */
	PGcancel   *cancel;			/* protected by the lock of the pool */
	char	   *schema;			/* of the functions, quoted */
} Session;

typedef enum QueryOutcome
{
	QUERY_ANSWERED,				/* there is a result, perhaps an error */
	QUERY_NOT_SENT,				/* no connection, so nothing has happened */
	QUERY_LOST					/* the connection broke before the answer */
} QueryOutcome;

extern QueryOutcome session_query(Session *session, const char *sql, const char *traceparent,
								  int nvalues, const char *const *values,
								  PGresult **result, char **reason);
extern void session_close(Session *session);

/* route.c --------------------------------------------------------------- */

typedef enum Verb
{
	VERB_GET = 1,
	VERB_HEAD = 2,
	VERB_POST = 4,
	VERB_PUT = 8,
	VERB_DELETE = 16,
	VERB_OPTIONS = 32,
	VERB_OTHER = 64
} Verb;

typedef enum Route
{
	ROUTE_NONE,
	ROUTE_METHOD,
	ROUTE_STATE,
	ROUTE_STATE_KEY,
	ROUTE_REMINDER,
	ROUTE_TIMER,
	ROUTE_ACTOR,
	ROUTE_HEALTH,
	ROUTE_HEALTH_OUTBOUND,
	ROUTE_METADATA,
	ROUTE_METADATA_KEY
} Route;

typedef void (*Handler) (struct Request *request, Session *session);

/* what a verb does at a route */
typedef struct Operation
{
	Route		route;
	int			verbs;
	Handler		handler;
	const char *error_code;		/* of errors that have no code of their own */
	bool		safe;			/* may be run again if the answer was lost */
} Operation;

extern Route route_find(const Path *path);
extern const Operation *route_operation(Route route, Verb verb);
extern void route_allowed(Route route, char *text, size_t size);
extern Verb verb_from_text(const char *text);

/* server.c -------------------------------------------------------------- */

typedef enum RequestState
{
	REQUEST_READING,
	REQUEST_RUNNING,			/* the connection is suspended */
	REQUEST_ANSWERED
} RequestState;

typedef struct Header
{
	const char *name;			/* a constant */
	char	   *value;
	struct Header *next;
} Header;

typedef struct Request
{
	struct MHD_Connection *connection;
	char	   *target;			/* as sent */
	bool		begun;
	RequestState state;
	Verb		verb;
	Path		path;
	const Operation *operation;
	Pool	   *pool;
	Buffer		body;
	size_t		received;		/* bytes of the body, also of a refused one */
	int64_t		started;

	/* decoded parts of the path */
	char	   *actor_type;
	char	   *actor_id;
	char	   *name;			/* method, key, reminder, timer or label */

	/* headers of the request; NULL: none */
	char	   *reentrancy_id;
	char	   *request_id;
	char	   *traceparent;

	/* the answer */
	int			status;
	char	   *content;
	size_t		content_length;
	const char *content_type;
	Header	   *headers;

	struct Request *next;		/* in the queue of the pool */
} Request;

extern void server_start(void);
extern bool server_drain(int seconds);
extern bool server_can_stop(void);
extern void server_stop(void);
extern bool server_draining(void);
extern void request_finished(Request *request);

/* answer.c -------------------------------------------------------------- */

extern void answer_empty(Request *request, int status);
extern void answer_bytes(Request *request, int status, const char *content_type,
						 const char *bytes, size_t length);
extern void answer_header(Request *request, const char *name, const char *value);
extern void answer_error(Request *request, int status, const char *code,
						 const char *format,...) __attribute__((format(printf, 4, 5)));
extern void answer_sql_error(Request *request, const PGresult *result);
extern bool sqlstate_is_unavailable(const char *sqlstate);

/* handlers.c, schedule.c, metadata.c ------------------------------------ */

extern PGresult *call_database(Request *request, Session *session, const char *sql,
							   int nvalues, const char *const *values);
extern void handle_method(Request *request, Session *session);
extern void handle_state_get(Request *request, Session *session);
extern void handle_state_transaction(Request *request, Session *session);
extern void handle_deactivate(Request *request, Session *session);
extern void handle_set_reminder(Request *request, Session *session);
extern void handle_get_reminder(Request *request, Session *session);
extern void handle_delete_reminder(Request *request, Session *session);
extern void handle_set_timer(Request *request, Session *session);
extern void handle_get_timer(Request *request, Session *session);
extern void handle_delete_timer(Request *request, Session *session);
extern void handle_health(Request *request, Session *session);
extern void handle_metadata(Request *request, Session *session);
extern void handle_metadata_label(Request *request, Session *session);
extern bool answer_without_database(Request *request);
extern void metadata_free(void);

#endif							/* ACTOR_HTTP_H */
