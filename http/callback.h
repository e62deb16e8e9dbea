/*-------------------------------------------------------------------------
 *
 * callback.h
 *		Waits for reminders, timers and messages of hosted types.
 *
 * IDENTIFICATION
 *		http/callback.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_CALLBACK_H
#define ACTOR_HTTP_CALLBACK_H

extern void callbacks_start(void);
extern void callbacks_stop(void);

#endif							/* ACTOR_HTTP_CALLBACK_H */
