/*-------------------------------------------------------------------------
 *
 * feed.h
 *		Streams of events to clients, as they come.
 *
 * IDENTIFICATION
 *		http/feed.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_FEED_H
#define ACTOR_HTTP_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool.h"
#include "request.h"

struct MHD_Connection;
typedef struct Stream Stream;

/* what a client wants to see of a topic */
typedef struct StreamWish
{
	const char *type;			/* whose topic */
	const char *id;				/* NULL: it is one of the type */
	const char *topic;
	const char *notified;		/* what a notification of it has */
	int64_t		after;			/* the event behind which it begins */
	int64_t		seen;			/* the one that the client has seen last; 0: none */
	bool		fresh;			/* it has seen none, and begins now */
} StreamWish;

extern void feeds_start(void);
extern void feeds_end(void);
extern void feeds_stop(void);
extern void feeds_count(long *streams, long *bytes);
extern Stream *stream_open(Pool *pool, struct MHD_Connection *connection, const StreamWish *wish);
extern ssize_t stream_read(Stream *stream, char *bytes, size_t size);
extern void stream_close(Stream *stream);

#endif							/* ACTOR_HTTP_FEED_H */
