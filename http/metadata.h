/*-------------------------------------------------------------------------
 *
 * metadata.h
 *		Health and metadata.
 *
 * IDENTIFICATION
 *		http/metadata.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_METADATA_H
#define ACTOR_HTTP_METADATA_H

#include <stdbool.h>

#include "request.h"
#include "session.h"

extern void metadata_start(void);
extern void metadata_stop(void);
extern void handle_health(Request *request, Session *session);
extern bool health_at_once(Request *request);
extern void handle_metadata(Request *request, Session *session);
extern bool metadata_at_once(Request *request);
extern bool label_at_once(Request *request);

#endif							/* ACTOR_HTTP_METADATA_H */
