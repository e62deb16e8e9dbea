/*-------------------------------------------------------------------------
 *
 * event.h
 *		Topics, their subscribers and their events.
 *
 * IDENTIFICATION
 *		src/event/event.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_EVENT_H
#define ACTOR_EVENT_H

#include "base/base.h"

/* fan_out.c */

extern TimestampTz actor_fan_outs_run(void);
extern bool actor_fan_outs_run_own(TimestampTz until);

#endif							/* ACTOR_EVENT_H */
