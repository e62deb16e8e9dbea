/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/view/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_VIEW_INTERNAL_H
#define ACTOR_VIEW_INTERNAL_H

/* rights.c: checks of the doctor; what is wrong, or NULL */

extern char *actor_check_grants(void);
extern char *actor_check_triggers(void);
extern char *actor_check_schema(void);
extern char *actor_check_sequences(void);

#endif							/* ACTOR_VIEW_INTERNAL_H */
