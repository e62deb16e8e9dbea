/*-------------------------------------------------------------------------
 *
 * dispatch.h
 *		Who serves a request.
 *
 * IDENTIFICATION
 *		http/dispatch.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_DISPATCH_H
#define ACTOR_HTTP_DISPATCH_H

#include <stdbool.h>

#include "request.h"

extern void dispatch(Request *request, bool draining);

#endif							/* ACTOR_HTTP_DISPATCH_H */
