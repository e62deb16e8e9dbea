/*-------------------------------------------------------------------------
 *
 * app_call.h
 *		Calls of the application, and the chains they belong to.
 *
 * IDENTIFICATION
 *		http/app_call.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_APP_CALL_H
#define ACTOR_HTTP_APP_CALL_H

#include <stdbool.h>

#include "app.h"
#include "entry.h"
#include "late.h"
#include "request.h"
#include "session.h"
#include "transfer.h"
#include "turn.h"

typedef enum CallEnd
{
	CALL_UNDERWAY,
	CALL_ANSWERED,				/* with 2xx */
	CALL_REFUSED,				/* with another status */
	CALL_NOT_SENT,				/* the application cannot be reached */
	CALL_LOST,					/* the connection broke */
	CALL_LATE,					/* app_timeout is over */
	CALL_CANCELLED,				/* this program ends */
	CALL_UNDONE,				/* a call that overlapped with others has failed */
	CALL_NO_SESSION				/* the transaction is lost */
} CallEnd;

/* a call of the application */
typedef struct Call
{
	struct Chain *chain;
	Request    *request;		/* to be answered; NULL: the caller of the chain is */
	Work		work;
	char	   *type;
	char	   *id;
	int			number;			/* the outermost has 0 */
	int			id_number;		/* of its id in the inbox */
	char		host_id[UUID_SIZE]; /* as whom we have the turn */
	char		token[UUID_SIZE];
	char		frame[24];
	bool		stale;			/* what the application has is out of date */
	char	   *address;		/* of the host that has the actor; NULL: it is here */
	struct Call *parent;		/* who has called; NULL: the caller of the chain */
	bool		mixed;			/* it cannot be undone alone */
	bool		dropping;		/* an object is being dropped before */
	Turn	   *turn;			/* NULL: it is at another host */
	Transfer   *transfer;
	int64_t		deadline;
	struct Call *next;
} Call;

typedef struct Chain
{
	Session    *session;
	char		id[UUID_SIZE];	/* in the database */
	char		own_id[UUID_SIZE];	/* the same, unless a client has made that */
	int			own_number;		/* of this in the inbox */
	Inbox		inbox;
	CURLM	   *multi;
	Call	   *open;			/* the one that was begun last is first */
	Call	   *ended;			/* those that have been answered with success */
	LateCall   *late;
	char	   *undone;			/* why all is to be undone; NULL: it is not */
	CallEnd		end;			/* of the outermost call */
	Transfer   *answer;			/* to that */
} Chain;

extern Call *call_create(Chain *chain, const Work *work, const Entry *entry);
extern void call_free(Call *call);
extern void call_unlink(Chain *chain, Call *call);
extern bool call_may_wait(Request *request);
extern void call_send_method(Call *call);
extern void call_begin(Chain *chain, Call *call);
extern void call_give_up(Call *call);
extern void call_end_turn(Call *call, bool good);
extern void calls_end_since(Chain *chain, int number, bool good);
extern char *call_error(CallEnd end, const Transfer *answer);
extern void answer_call_error(Request *request, CallEnd end, const Transfer *answer,
							  const char *undone);

#endif							/* ACTOR_HTTP_APP_CALL_H */
