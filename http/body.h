/*-------------------------------------------------------------------------
 *
 * body.h
 *		Bodies of requests.
 *
 * IDENTIFICATION
 *		http/body.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_BODY_H
#define ACTOR_HTTP_BODY_H

#include <stdbool.h>

#include "request.h"

extern bool body_begin(Request *request);
extern bool body_take(Request *request, const char *bytes, size_t length);
extern void body_release(Request *request);

#endif							/* ACTOR_HTTP_BODY_H */
