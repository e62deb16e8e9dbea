/*-------------------------------------------------------------------------
 *
 * metrics.h
 *		What is counted of requests, and /metrics.
 *
 * IDENTIFICATION
 *		http/metrics.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_METRICS_H
#define ACTOR_HTTP_METRICS_H

#include <stdbool.h>

#include "request.h"
#include "session.h"

extern void metrics_begin(Request *request);
extern void metrics_end(Request *request);
extern bool metrics_at_once(Request *request);
extern void handle_metrics(Request *request, Session *session);

#endif							/* ACTOR_HTTP_METRICS_H */
