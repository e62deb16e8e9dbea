/*-------------------------------------------------------------------------
 *
 * actors.h
 *		Methods, state and the life of actors.
 *
 * IDENTIFICATION
 *		http/actors.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_ACTORS_H
#define ACTOR_HTTP_ACTORS_H

#include "request.h"
#include "session.h"

extern void handle_method(Request *request, Session *session);
extern void handle_state_get(Request *request, Session *session);
extern void handle_state_transaction(Request *request, Session *session);
extern void handle_openapi(Request *request, Session *session);
extern void handle_deactivate(Request *request, Session *session);

#endif							/* ACTOR_HTTP_ACTORS_H */
