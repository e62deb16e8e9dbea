/*-------------------------------------------------------------------------
 *
 * server.h
 *		The HTTP side.
 *
 * IDENTIFICATION
 *		http/server.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_SERVER_H
#define ACTOR_HTTP_SERVER_H

#include <stdbool.h>

#include "request.h"

extern void server_start(void);
extern void server_refuse(void);
extern bool server_drain(int seconds);
extern bool server_can_stop(void);
extern void server_stop(void);
extern void request_finished(Request *request);

#endif							/* ACTOR_HTTP_SERVER_H */
