/*-------------------------------------------------------------------------
 *
 * chain.h
 *		A chain of calls that the application runs in one transaction.
 *
 * IDENTIFICATION
 *		http/chain.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_CHAIN_H
#define ACTOR_HTTP_CHAIN_H

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

/* takes over what is asked for in a turn */
typedef void (*ChainRequest) (struct Chain *chain, Request *request);

typedef struct Chain
{
	Session    *session;
	char		id[UUID_SIZE];
	Inbox		inbox;
	CURLM	   *multi;
	Call	   *open;			/* the one that was begun last is first */
	Call	   *ended;			/* those that have been answered with success */
	LateCall   *late;
	char	   *undone;			/* why all is to be undone; NULL: it is not */
	CallEnd		end;			/* of the outermost call */
	Transfer   *answer;			/* to that */
	ChainRequest serve;			/* NULL: the session of the chain does */
	void	   *data;			/* of that */
} Chain;

extern void chain_open(Chain *chain, Session *session, const char *chain_id);
extern CallEnd chain_run(Chain *chain, const Work *work, const Entry *entry);
extern void chain_close(Chain *chain, bool good);
extern void chain_refuse(Request *request, int status, const char *code, const char *message);
extern Work work_of(Request *request, bool with_id);
extern char *request_manner(const Request *request);
extern char *call_error(CallEnd end, const Transfer *answer);
extern void answer_call_error(Request *request, CallEnd end, const Transfer *answer,
							  const char *undone);
extern void answer_transfer(Request *request, Transfer *transfer);
extern void answer_again(Request *request, const Entry *entry);
extern bool transfer_succeeded(const Transfer *transfer);

#endif							/* ACTOR_HTTP_CHAIN_H */
