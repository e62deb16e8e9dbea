/*-------------------------------------------------------------------------
 *
 * hosted.h
 *		Methods that an application has.
 *
 * IDENTIFICATION
 *		http/hosted.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_HOSTED_H
#define ACTOR_HTTP_HOSTED_H

#include <stdbool.h>

#include "request.h"
#include "session.h"

extern void handle_call(Request *request, Session *session);

#endif							/* ACTOR_HTTP_HOSTED_H */
