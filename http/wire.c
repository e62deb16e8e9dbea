/*-------------------------------------------------------------------------
 *
 * wire.c
 *		Watches what libmicrohttpd reads from clients, and ends connections
 *		with requests that are not valid or do not come to an end.
 *
 * The versions of libmicrohttpd that are in use cannot be told to refuse all
 * that RFC 9112 wants refused, and what they hand over does not show it any
 * more.  They read with recv().  This file has a function of that name, and
 * the dynamic linker prefers that of a program to that of the C library, so
 * the bytes of clients pass by here.  For other sockets, those of libpq, it
 * does what that of the C library does.  Should a library not call it one day,
 * the first request ends the program: wire_request().
 *
 * A request that is refused has not been seen by libmicrohttpd to its end, so
 * the answer is sent from here.  Requests before it on the same connection get
 * theirs first.
 *
 * A wire is used by the thread of libmicrohttpd that serves its connection.
 *
 * IDENTIFICATION
 *		http/wire.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "framing.h"
#include "options.h"
#include "util.h"
#include "wire.h"

/* how much of what a client has sent in vain is read before closing */
#define DRAIN_BYTES			(256 * 1024)
/* numbers of sockets, whatever the limit on open files is */
#define MAX_SOCKETS			(1 << 22)

typedef enum WireState
{
	WIRE_NEW,					/* nothing was read yet */
	WIRE_OPEN,
	WIRE_REFUSED,				/* what was read last is to be answered with 400 */
	WIRE_ENDED					/* nothing is read any more */
} WireState;

struct Wire
{
	int			socket;
	WireState	state;
	Framing		framing;
	int64_t		begun;			/* when the incomplete request did */
};

/* by number of the socket; NULL: not one of a client */
static _Atomic(Wire *) *wires;
static _Atomic(size_t) wire_count;

/*
 * wires_start
 *		Called before there are connections, once the limit on open files is
 *		what it will be.
 */
void
wires_start(void)
{
	struct rlimit limit;
	size_t		count = MAX_SOCKETS;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAX_SOCKETS)
		count = (size_t) limit.rlim_cur;
	/* all zero is no wire; of what is never used there is no memory */
	wires = calloc(count, sizeof(*wires));
	if (wires == NULL)
		die("out of memory");
	/* threads with sessions read already, so this comes last */
	atomic_store(&wire_count, count);
}

/*
 * wires_stop
 *		Called when no client is read from any more.  Sessions may still be, so the
 *		memory stays.
 */
void
wires_stop(void)
{
	atomic_store(&wire_count, 0);
}

/*
 * wire_open
 *		A client has connected, and nothing was read yet.  NULL if there are too
 *		many sockets.
 */
Wire *
wire_open(int socket)
{
	Wire	   *wire;

	if (socket < 0 || (size_t) socket >= wire_count)
		return NULL;
	wire = xmalloc(sizeof(Wire));
	memset(wire, 0, sizeof(*wire));
	wire->socket = socket;
	atomic_store(&wires[socket], wire);
	return wire;
}

/*
 * wire_close
 *		Called before the socket is closed.
 */
void
wire_close(Wire *wire)
{
	atomic_store(&wires[wire->socket], NULL);
	free(wire);
}

/*
 * wire_request
 *		Called when libmicrohttpd hands over a request.  Nothing may be served
 *		that was not checked.
 */
void
wire_request(const Wire *wire)
{
	if (wire->state == WIRE_NEW)
		die("libmicrohttpd does not read through recv(), so requests cannot be checked");
}

/*
 * wire_answered
 *		A request has ended.  The next one may have come long ago: its time
 *		begins now.
 */
void
wire_answered(Wire *wire)
{
	wire->begun = now_ms();
}

/*
 * Answers a request that was not read to its end, and makes the connection one
 * that the client has closed.
 */
static ssize_t
refuse(Wire *wire, const char *status, const char *code, const char *message)
{
	char	   *body = xprintf("{\"errorCode\":\"%s\",\"message\":\"%s\"}", code, message);
	char	   *answer = xprintf("HTTP/1.1 %s\r\nConnection: close\r\n"
								 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
								 status, strlen(body), body);
	char		bytes[8192];

	wire->state = WIRE_ENDED;
	(void) send(wire->socket, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
	(void) shutdown(wire->socket, SHUT_WR);
	free(answer);
	free(body);
	/* bytes that are left unread would reset the connection, and the answer */
	for (size_t count = 0; count < DRAIN_BYTES; count += sizeof(bytes))
		if (recvfrom(wire->socket, bytes, sizeof(bytes), MSG_DONTWAIT, NULL, NULL) <= 0)
			break;
	return 0;
}

static ssize_t
refuse_framing(Wire *wire)
{
	const char *problem = wire->framing.problem;
	char	   *message = xprintf("the request is not valid HTTP: %s", problem);

	for (char *c = message; *c != '\0'; c++)
		if (*c == '"')
			*c = '\'';
	(void) refuse(wire, "400 Bad Request", "ERR_BAD_REQUEST", message);
	free(message);
	return 0;
}

/*
 * Looks at what was read.  Returns how much of it may go on, 0 for none.
 */
static ssize_t
check(Wire *wire, const char *bytes, size_t length)
{
	bool		between = framing_between(&wire->framing);
	int64_t		now = now_ms();

	wire->state = WIRE_OPEN;
	if (!between && now - wire->begun > options.request_timeout * 1000)
		return refuse(wire, "408 Request Timeout", "ERR_REQUEST_TIMEOUT",
					  "the request did not come to its end in time");
	if (framing_read(&wire->framing, bytes, length))
	{
		if (between || wire->framing.complete > 0)
			wire->begun = now;
		return (ssize_t) length;
	}
	if (wire->framing.complete == 0)
		return refuse_framing(wire);

	/*
	 * The good requests first.  Without more to read, the thread would not come
	 * back after them; the end of what is sent is something to read.
	 */
	wire->state = WIRE_REFUSED;
	(void) shutdown(wire->socket, SHUT_RD);
	return (ssize_t) wire->framing.complete;
}

/*
 * recv
 *		As that of the C library; reads of clients pass by the checks.
 */
ssize_t
recv(int socket, void *buffer, size_t length, int flags)
{
	Wire	   *wire = socket >= 0 && (size_t) socket < wire_count ? atomic_load(&wires[socket]) : NULL;
	ssize_t		count;

	if (wire != NULL && wire->state == WIRE_REFUSED)
		return refuse_framing(wire);
	if (wire != NULL && wire->state == WIRE_ENDED)
		return 0;
	count = recvfrom(socket, buffer, length, flags, NULL, NULL);
	return wire != NULL && count > 0 ? check(wire, buffer, (size_t) count) : count;
}
