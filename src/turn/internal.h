/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/turn/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_TURN_INTERNAL_H
#define ACTOR_TURN_INTERNAL_H

#include "turn/turn.h"

/* turn.c */

extern int	actor_turn_held_count(void);
extern uint64 actor_turn_held_hash(int number);
extern bool actor_turn_all_early(void);

#endif							/* ACTOR_TURN_INTERNAL_H */
