/*-------------------------------------------------------------------------
 *
 * late.h
 *		Methods whose turns were given up while the application runs them.
 *
 * IDENTIFICATION
 *		http/late.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_LATE_H
#define ACTOR_HTTP_LATE_H

#include "instance.h"
#include "transfer.h"
#include "turn.h"

typedef struct LateCall
{
	Transfer   *transfer;
	Turn	   *turn;
	bool		dropping;		/* it is about to drop the object */
	struct LateCall *next;
} LateCall;

extern void late_start(void);
extern void late_stop(void);
extern LateCall *late_add(LateCall *calls, Transfer *transfer, Turn *turn, bool dropping);
extern void late_keep(CURLM *multi, LateCall *calls);
extern LateCall *late_end(LateCall *calls, Transfer *transfer, CURLM *multi);
extern InstanceEnd turn_end_of(const Transfer *transfer, bool dropping);
extern void turn_ended(Turn *turn, InstanceEnd end);

#endif							/* ACTOR_HTTP_LATE_H */
