/*-------------------------------------------------------------------------
 *
 * duration.h
 *		Durations as SDKs write them.
 *
 * IDENTIFICATION
 *		http/duration.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_DURATION_H
#define ACTOR_HTTP_DURATION_H

extern void duration_mend(char *text);
extern int	duration_sign(const char *text);

#endif							/* ACTOR_HTTP_DURATION_H */
