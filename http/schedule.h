/*-------------------------------------------------------------------------
 *
 * schedule.h
 *		Reminders and timers.
 *
 * IDENTIFICATION
 *		http/schedule.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_SCHEDULE_H
#define ACTOR_HTTP_SCHEDULE_H

#include "request.h"
#include "session.h"

extern void handle_set_reminder(Request *request, Session *session);
extern void handle_get_reminder(Request *request, Session *session);
extern void handle_delete_reminder(Request *request, Session *session);
extern void handle_set_timer(Request *request, Session *session);
extern void handle_get_timer(Request *request, Session *session);
extern void handle_delete_timer(Request *request, Session *session);

#endif							/* ACTOR_HTTP_SCHEDULE_H */
