/*-------------------------------------------------------------------------
 *
 * ending.h
 *		Dropping actors from the application.
 *
 * IDENTIFICATION
 *		http/ending.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_ENDING_H
#define ACTOR_HTTP_ENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "request.h"
#include "session.h"

extern void handle_end(Request *request, Session *session);
extern int	endings_under_way(void);
extern void endings_wait(int64_t until);
extern bool ending_begin(const char *type, const char *id, bool if_idle);

#endif							/* ACTOR_HTTP_ENDING_H */
