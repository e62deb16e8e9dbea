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
#include "util.h"

struct MHD_Connection;
struct Pool;
struct Request;
struct Session;

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
	struct Pool *pool;
	Buffer		body;
	size_t		received;		/* bytes of the body, also of a refused one */
	int64_t		queued_at;

	/* decoded parts of the path */
	char	   *actor_type;
	char	   *actor_id;
	char	   *name;			/* method, key, reminder, timer or label */

	/* headers of the request; NULL: none */
	char	   *reentrancy_id;
	char	   *request_id;
	char	   *traceparent;

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

	/* for the pool */
	uint64_t	actor_hash;
	struct Request *next;		/* in its queue, or among those that run */
} Request;

extern Request *request_create(const char *target, struct MHD_Connection *connection);
extern void request_free(Request *request);

#endif							/* ACTOR_HTTP_REQUEST_H */
