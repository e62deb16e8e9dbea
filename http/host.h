/*-------------------------------------------------------------------------
 *
 * host.h
 *		Joining the hosts, and leaving them.
 *
 * IDENTIFICATION
 *		http/host.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_HOST_H
#define ACTOR_HTTP_HOST_H

#include <stdbool.h>
#include <stdint.h>

extern void host_start(void);
extern bool host_leave(int64_t until);
extern void host_stop(void);

#endif							/* ACTOR_HTTP_HOST_H */
