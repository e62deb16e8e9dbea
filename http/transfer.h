/*-------------------------------------------------------------------------
 *
 * transfer.h
 *		A request that we send, to the application or to another host.
 *
 * IDENTIFICATION
 *		http/transfer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_TRANSFER_H
#define ACTOR_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>

#include <curl/curl.h>

#include "header.h"
#include "span.h"
#include "util.h"

/* most bytes of headers that an application may answer with */
#define APP_HEAD_LIMIT		16384

typedef enum TransferState
{
	TRANSFER_UNDERWAY,
	TRANSFER_ANSWERED,
	TRANSFER_NOT_SENT,			/* nobody is there, so nothing has happened */
	TRANSFER_LOST				/* the connection broke, or the answer is none */
} TransferState;

typedef struct Transfer
{
	void	   *owner;			/* for whom it runs */
	/* whether a connection that is new leads to where it should; NULL: it does */
	bool		(*is_right) (const struct Transfer *transfer);
	char		host_id[37];	/* of the host for whom it is, see app.c; empty: any */
	/* begins what follows an answer, which is thrown away then; NULL: nothing does */
	bool		(*goes_on) (struct Transfer *transfer, CURLM *multi);
	bool		probing;		/* see app.c */
	char	   *url;			/* of what follows */
	Span	   *span;			/* ends with it; NULL: none */
	char	   *span_name;
	TransferState state;
	char		problem[CURL_ERROR_SIZE];	/* unless there was an answer */

	/* the answer */
	int			status;
	Buffer		content;
	Header	   *headers;		/* end-to-end ones, in their order */

	/* private */
	CURL	   *easy;
	const char *refusal;		/* why the answer is none; NULL: libcurl knows */
	struct curl_slist *lines;
	char	   *owned_body;
	bool		sent;
	bool		is_new;			/* the connection is */
	bool		is_spoiled;		/* the connection is, and nothing was sent */
	int			socket;			/* of the connection; -1: none is known */
	Buffer		named;			/* in Connection */
	bool		has_head;		/* what comes as headers now are trailers */
	size_t		head_limit;		/* most bytes of headers, so that clients can get them */
	size_t		head_length;
	int			lengths;		/* headers about where the answer ends */
	int			codings;
	Header	  **last;
} Transfer;

extern void transfers_start(void);
extern void transfers_stop(void);
extern CURLM *transfers_create(void);
extern void transfers_free(CURLM *multi);
extern Transfer *transfer_create(void *owner);
extern void transfer_header(Transfer *transfer, const char *name, const char *value);
extern void transfer_headers(Transfer *transfer, const Header *headers);
extern void transfer_begin(Transfer *transfer, CURLM *multi, const char *verb, const char *url,
						   const char *body, size_t body_length);
extern void transfer_own_body(Transfer *transfer, char *body);
extern Transfer *transfers_ended(CURLM *multi);
extern void transfers_wait(CURLM *multi, int64_t left, struct curl_waitfd *other);
extern bool transfer_succeeded(const Transfer *transfer);
extern void transfer_reset(Transfer *transfer, CURLM *multi);
extern int	transfer_socket(const Transfer *transfer);
extern void transfer_finish(Transfer *transfer, CURLM *multi);
extern void transfer_free(Transfer *transfer, CURLM *multi);

#endif							/* ACTOR_HTTP_TRANSFER_H */
