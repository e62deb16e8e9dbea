/*-------------------------------------------------------------------------
 *
 * lease.h
 *		Calls whose turn is an open turn, not a transaction.
 *
 * IDENTIFICATION
 *		http/lease.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_LEASE_H
#define ACTOR_HTTP_LEASE_H

#include <stdbool.h>

#include "entry.h"
#include "request.h"
#include "session.h"

extern void leases_start(void);
extern void leases_stop(void);
extern bool lease_begin(Request *request, Session *session, EntryRequest *wanted, Entry *entry);

#endif							/* ACTOR_HTTP_LEASE_H */
