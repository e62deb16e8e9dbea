/*-------------------------------------------------------------------------
 *
 * host.h
 *		Hosts of applications, and the turns of what they host.
 *
 * IDENTIFICATION
 *		src/host/host.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HOST_H
#define ACTOR_HOST_H

#include "base/base.h"

/* gone.c */

extern TimestampTz actor_hosts_forget_gone(void);

/* placement.c */

extern void actor_placement_init(void);

#endif							/* ACTOR_HOST_H */
