/*-------------------------------------------------------------------------
 *
 * messages.h
 *		Messages, what becomes of them, promises, and lists of what an actor has.
 *
 * IDENTIFICATION
 *		http/messages.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_MESSAGES_H
#define ACTOR_HTTP_MESSAGES_H

#include "request.h"
#include "session.h"

extern void handle_send(Request *request, Session *session);
extern void handle_cancel(Request *request, Session *session);
extern void handle_result(Request *request, Session *session);
extern void handle_resolve(Request *request, Session *session);
extern void handle_reject(Request *request, Session *session);
extern void handle_list_messages(Request *request, Session *session);
extern void handle_list_reminders(Request *request, Session *session);
extern void handle_list_timers(Request *request, Session *session);
extern void handle_list_keys(Request *request, Session *session);
extern void handle_list_subscriptions(Request *request, Session *session);

#endif							/* ACTOR_HTTP_MESSAGES_H */
