/*-------------------------------------------------------------------------
 *
 * dashboard.h
 *		What the page for operators shows and does.
 *
 * IDENTIFICATION
 *		http/dashboard.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_DASHBOARD_H
#define ACTOR_HTTP_DASHBOARD_H

#include "request.h"
#include "session.h"

extern void handle_view(Request *request, Session *session);
extern void handle_command(Request *request, Session *session);

#endif							/* ACTOR_HTTP_DASHBOARD_H */
