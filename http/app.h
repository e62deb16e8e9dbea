/*-------------------------------------------------------------------------
 *
 * app.h
 *		The application: where it is, and whether it is still the same.
 *
 * IDENTIFICATION
 *		http/app.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_APP_H
#define ACTOR_HTTP_APP_H

#include <stdbool.h>

#include "json.h"
#include "transfer.h"
#include "util.h"

struct Request;

/* what the application is to run */
typedef struct Work
{
	const char *host_id;		/* under which the turn was taken */
	const char *type;
	const char *id;
	const char *prefix;			/* before the method: "remind/", "timer/" or none */
	const char *method;			/* NULL: the object is to be dropped */
	JsonSpan	query;
	const Header *headers;
	const char *traceparent;	/* NULL: it is among the headers, if there is one */
	const char *body;
	size_t		body_length;
	struct Request *lender;		/* to which the body belongs; or */
	char	   *owned_body;		/* it is this, and belongs to the call */
	bool		with_id;		/* the application is told the id of the call */
} Work;

typedef enum AppPresence
{
	APP_GONE,					/* nobody listens there */
	APP_UNREACHABLE,			/* it takes no connections, for whatever reason */
	APP_SAME,					/* it is the one that was there, as far as can be seen */
	APP_OTHER					/* it has been started anew */
} AppPresence;

extern void app_start(void);
extern char *actor_path(const char *type, const char *id);
extern Transfer *app_send_method(void *owner, CURLM *multi, const Work *work,
								 const char *call_id);
extern Transfer *app_send_drop(void *owner, CURLM *multi, const char *host_id,
							   const char *type, const char *id, bool unsure);
extern bool app_may_have_none(const Transfer *transfer);
extern bool app_has_dropped(const Transfer *transfer);
extern AppPresence app_look(void);
extern void app_accept(void);
extern bool app_is_same(void);
extern void app_missed(TransferState state);
extern char *app_identity(void);
extern Transfer *app_fetch(const char *path);

#endif							/* ACTOR_HTTP_APP_H */
