/*-------------------------------------------------------------------------
 *
 * topics.h
 *		Publishing events, and reading those that are kept.
 *
 * IDENTIFICATION
 *		http/topics.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_TOPICS_H
#define ACTOR_HTTP_TOPICS_H

#include "request.h"
#include "session.h"

extern void handle_publish(Request *request, Session *session);
extern void handle_subscribe(Request *request, Session *session);
extern void handle_unsubscribe(Request *request, Session *session);
extern void handle_events(Request *request, Session *session);

#endif							/* ACTOR_HTTP_TOPICS_H */
