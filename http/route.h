/*-------------------------------------------------------------------------
 *
 * route.h
 *		Which paths there are, and what each verb does there.
 *
 * IDENTIFICATION
 *		http/route.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_ROUTE_H
#define ACTOR_HTTP_ROUTE_H

#include <stddef.h>

#include "request.h"

extern Route route_find(const Request *request);
extern const Operation *route_operation(Route route, Verb verb);
extern void route_allowed(Route route, char *text, size_t size);
extern Verb verb_from_text(const char *text);

#endif							/* ACTOR_HTTP_ROUTE_H */
