/*-------------------------------------------------------------------------
 *
 * request.h
 *		A request, from its first line to its answer.
 *
 * IDENTIFICATION
 *		http/request.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_REQUEST_H
#define ACTOR_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "path.h"
#include "span.h"
#include "transfer.h"
#include "util.h"

struct MHD_Connection;
struct Pool;
struct Request;
struct Session;
struct Stream;

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
	ROUTE_REMINDERS,
	ROUTE_TIMERS,
	ROUTE_MESSAGES,
	ROUTE_MESSAGE,
	ROUTE_RESULT,
	ROUTE_PROMISE,
	ROUTE_TOPIC,
	ROUTE_TYPE_TOPIC,
	ROUTE_SUBSCRIPTIONS,
	ROUTE_SUBSCRIPTION,
	ROUTE_OPENAPI,
	ROUTE_ACTOR,
	ROUTE_HEALTH,
	ROUTE_HEALTH_OUTBOUND,
	ROUTE_METADATA,
	ROUTE_METADATA_KEY,
	ROUTE_METRICS,
	/* of the page for operators */
	ROUTE_PAGE,
	ROUTE_VIEW
} Route;

/*
 * What a verb does at a route; route.c has the table of them.  Those above the
 * table call what it names, and so know no handler.
 */
typedef struct Operation
{
	Route		route;
	int			verbs;
	/* answers with a session, in the thread of that */
	void		(*handler) (struct Request *request, struct Session *session);
	/* answers what needs no session now, if it can; NULL: nothing does */
	bool		(*at_once) (struct Request *request);
	const char *error_code;		/* of errors that have no code of their own */
	bool		safe;			/* may be run again if the answer was lost */
} Operation;

typedef enum RequestState
{
	REQUEST_READING,
	REQUEST_RUNNING,			/* the connection is suspended */
	REQUEST_ANSWERED
} RequestState;

/* what another host has sent a request for */
typedef enum Hop
{
	HOP_NONE,					/* it comes from a client, or from the application */
	HOP_CALL,					/* a call of an actor that is here */
	HOP_TURN,					/* our application is to run a method of their chain */
	HOP_CHAIN					/* what its application wants of a chain that is here */
} Hop;

typedef struct Request
{
	struct MHD_Connection *connection;
	char	   *target;			/* as sent */
	bool		dashboard;		/* it has come to the port of the page for operators */
	bool		begun;
	RequestState state;
	Verb		verb;
	Path		path;
	const Operation *operation;
	struct Pool *pool;
	Buffer		body;
	size_t		received;		/* bytes of the body, also of a refused one */
	int64_t		queued_at;
	int64_t		began_at;		/* see metrics.c */

	/* decoded parts of the path */
	char	   *actor_type;
	char	   *actor_id;
	char	   *name;			/* method, key, reminder, timer or label */

	/* headers of the request; NULL: none */
	char	   *reentrancy_id;
	char	   *request_id;
	char	   *traceparent;	/* of what happens below our span, if there is one */
	Span	   *span;			/* NULL: none */
	char	   *last_event_id;
	bool		wants_stream;	/* of events, as they come */

	/* of what is for an application */
	Header	   *passed;			/* end-to-end headers of the request */
	Hop			hop;
	char	   *host_type;		/* type for which another host has proved to be one */
	char	   *chain_id;		/* of another host */
	char	   *token;			/* of the instance, as the other host knows it */
	bool		stale;			/* which knows that ours is out of date */
	char	   *origin;			/* address of the other host */
	bool		checked;		/* the rights of the caller were checked */
	char	   *caller;			/* the role that has them; NULL: that of the host */
	int64_t		ready_by;		/* until then it waits for the application; 0: it has not */

	/* its statement had run, but could not be committed */
	bool		failed_late;
	/* SQLSTATE of an error from before a method ran; empty: none */
	char		refusal[6];

	/* the answer */
	int			status;
	char	   *content;
	size_t		content_length;
	const char *content_type;
	Header	   *headers;
	struct Stream *stream;		/* that follows them instead of the content */
	bool		streams;		/* one does, or did */

	/* for the pool */
	uint64_t	actor_hash;
	struct Request *next;		/* in its queue, or among those that run */
	/* takes it over when the handler is done, which has not answered; or NULL */
	void		(*then) (struct Request *request);
	/* takes it when it is done, NULL: it is sent to the client */
	void		(*finish) (struct Request *request);
	void	   *job;			/* of what no client has sent */
} Request;

/* called by the thread that has answered a request, which it then lets alone */
typedef void (*RequestFinished) (Request *request);

extern Request *request_create(const char *target, struct MHD_Connection *connection);
extern Request *request_copy(const Request *request);
extern void request_free(Request *request);
extern void requests_start(RequestFinished sender);
extern void request_done(Request *request);

#endif							/* ACTOR_HTTP_REQUEST_H */
