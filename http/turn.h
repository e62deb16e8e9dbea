/*-------------------------------------------------------------------------
 *
 * turn.h
 *		The turns that are under way, and who gets what is asked in them.
 *
 * IDENTIFICATION
 *		http/turn.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_TURN_H
#define ACTOR_HTTP_TURN_H

#include <stdbool.h>

#include <curl/curl.h>

#include "request.h"
#include "self.h"

/*
 * What a chain is asked for; its thread waits for it in the multi handle.  Each of
 * its calls has an id, so that it is known which of them asks; the first is that of
 * the chain.
 */
typedef struct Inbox
{
	char	  (*ids)[UUID_SIZE];
	int			nids;
	CURLM	   *multi;
	Request    *first;
	Request    *last;
	bool		cancelled;		/* it is to come to an end now */
	struct Inbox *next;
} Inbox;

/* a method that our application runs */
typedef struct Turn
{
	char	   *type;
	char	   *id;
	Inbox	   *inbox;			/* NULL: its chain is elsewhere, or has given it up */
	bool		is_lease;		/* and it holds no session */
	bool		discards;		/* what is written: an object that is not true is dropped */
	bool		answered;		/* with success; it is about to end */
	char	   *origin;			/* address of the host that has the chain */
	char	   *call_id;		/* by which that knows the call */
	char	   *chain_id;
	struct Turn *next;
} Turn;

typedef enum TurnFound
{
	TURN_NONE,					/* nothing of this request is under way */
	TURN_HERE,					/* the chain has got it */
	TURN_ELSEWHERE,				/* it is for the chain of another host */
	TURN_LATE,					/* its method is answered, or was given up */
	TURN_DISCARDED				/* it does not count, and is to be answered as done */
} TurnFound;

/* turns of an actor that are not of the chain which has the turn */
typedef enum TurnOthers
{
	TURN_FREE,					/* there are none */
	TURN_ENDING,				/* there is one, which comes to its end now */
	TURN_GIVEN_UP				/* the application still runs one that was given up */
} TurnOthers;

extern void inbox_open(Inbox *inbox, const char *chain_id, CURLM *multi);
extern int	inbox_add_id(Inbox *inbox, const char *call_id);
extern Request *inbox_take(Inbox *inbox, bool *cancelled);
extern int	inbox_count(Inbox *inbox);
extern Request *inbox_close(Inbox *inbox);
extern void inboxes_cancel(void);
extern bool inbox_deliver(const char *call_id, Request *request);
extern Turn *turn_open(const char *type, const char *id, Inbox *inbox, const char *chain_id,
					   bool discards);
extern Turn *turn_open_lease(const char *type, const char *id, Inbox *inbox,
							 const char *chain_id, bool discards);
extern Turn *turn_open_elsewhere(const char *type, const char *id, const char *origin,
								 const char *call_id, const char *chain_id, bool discards);
extern void turn_keep(Turn *turn);
extern void turn_answered(Turn *turn);
extern void turn_give_up(Turn *turn);
extern void turn_close(Turn *turn);
extern bool turn_must_wait(const char *type, const char *id);
extern TurnOthers turn_others(const char *type, const char *id, const char *chain_id);
extern bool turn_wait_free(const char *type, const char *id, const char *chain_id);
extern bool turn_may_have(const Request *request);
extern bool turn_is_by_id(const Request *request);
extern void turn_unsaved(const Request *request);
extern TurnFound turn_deliver(Request *request, char **origin, char **call_id);

#endif							/* ACTOR_HTTP_TURN_H */
