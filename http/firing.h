/*-------------------------------------------------------------------------
 *
 * firing.h
 *		Runs a reminder, timer or message that is due.
 *
 * IDENTIFICATION
 *		http/firing.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_FIRING_H
#define ACTOR_HTTP_FIRING_H

#include <stdint.h>

#include "request.h"
#include "session.h"

typedef enum FiringEnd
{
	FIRING_DONE,				/* what has become of it is written down */
	FIRING_BUSY,				/* the turn is not free, or the row is not */
	FIRING_ELSEWHERE,			/* another host has the actor */
	FIRING_UNREACHABLE,			/* the application is not there, or has died of it */
	FIRING_ERROR				/* the database does not want it */
} FiringEnd;

/* what is due; of a request that no client has sent */
typedef struct Firing
{
	int64_t		key;
	char	   *due;			/* as the database has said it */
	FiringEnd	end;
} Firing;

extern void handle_firing(Request *request, Session *session);

#endif							/* ACTOR_HTTP_FIRING_H */
