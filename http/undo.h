/*-------------------------------------------------------------------------
 *
 * undo.h
 *		What of a chain of calls stays, and what is undone alone.
 *
 * IDENTIFICATION
 *		http/undo.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_UNDO_H
#define ACTOR_HTTP_UNDO_H

#include <stdbool.h>

#include "app_call.h"

extern void undo_mix(Chain *chain, const Call *call);
extern bool undo_to(Chain *chain, int number, PGresult **error);
extern bool undo_keep(Chain *chain, const Call *call, PGresult **error);
extern void undo_call(Chain *chain, const Call *call, const PGresult *error);

#endif							/* ACTOR_HTTP_UNDO_H */
