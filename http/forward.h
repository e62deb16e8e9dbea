/*-------------------------------------------------------------------------
 *
 * forward.h
 *		Requests between hosts.
 *
 * IDENTIFICATION
 *		http/forward.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_FORWARD_H
#define ACTOR_HTTP_FORWARD_H

#include "request.h"

extern void forwards_start(void);
extern void forwards_stop(void);
extern void forwards_cancel(void);
extern void forward_call(Request *request, const char *address);
extern void forward_to_chain(Request *request, char *origin, char *call_id);
extern void forward_serve(Request *request);

#endif							/* ACTOR_HTTP_FORWARD_H */
