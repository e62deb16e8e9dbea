/*-------------------------------------------------------------------------
 *
 * examine.h
 *		What a request wants, before its body is read.
 *
 * IDENTIFICATION
 *		http/examine.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_EXAMINE_H
#define ACTOR_HTTP_EXAMINE_H

#include <stdbool.h>

#include "request.h"

extern void examine(Request *request, const char *method);
extern const char *header_value(const Request *request, const char *name);
extern bool is_health(Route route);

#endif							/* ACTOR_HTTP_EXAMINE_H */
