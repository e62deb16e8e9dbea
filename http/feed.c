/*-------------------------------------------------------------------------
 *
 * feed.c
 *		Streams of events to clients, as they come.
 *
 * For each pool with streams there is a feed: a thread with one session, which
 * listens to the notifications of all topics and reads what has been notified, once
 * for all streams that have come as far.  It does so as the role of the pool, so
 * who loses his right to a topic gets nothing more of it.  While nothing is
 * published nobody asks the database for anything, however many streams there are.
 *
 * A stream has the number of the last event in its buffer.  When that is full, since
 * the client does not read, the stream is passed over until it has room; the events
 * are read for it then.  So it misses nothing, and needs little memory.
 *
 * Events are read page by page, each for the stream that has waited for longest, and
 * for those that are as far.  So one that has much to catch up with does not hold up
 * others, neither of its topic nor of other ones.
 *
 * While a stream has nothing to send its connection is suspended, so that a client
 * that is gone is not noticed.  Therefore each gets a comment now and then.
 *
 * A source, which is a topic with its streams, belongs to the thread of the feed,
 * which alone removes it.
 *
 * IDENTIFICATION
 *		http/feed.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <microhttpd.h>

#include "feed.h"
#include "options.h"
#include "session.h"
#include "util.h"

/* a stream gets no more events while it has so many bytes to send */
#define BUFFER_LIMIT		(64 * 1024)
/* events that are read at a time */
#define PAGE_ROWS			50
/* each stream gets something within that time */
#define BEAT_MS				15000
/* after an error of the database */
#define RETRY_MS			1000

/* what the thread is to do for a source */
typedef struct Source
{
	char	   *type;
	char	   *id;				/* NULL: a topic of the type */
	char	   *topic;
	char	   *notified;
	Stream	   *streams;
	bool		news;			/* a stream may be behind */
	struct Source *next;
} Source;

typedef struct Feed
{
	Pool	   *pool;
	pthread_t	thread;
	bool		started;
	int			wake;			/* descriptor that the thread waits for */
	Session		session;		/* of the thread, but for cancelling */
	int			listening;		/* process of the server that notifies it; 0: none */
	uint64_t	pages;			/* that were read */
	Source	   *sources;
} Feed;

struct Stream
{
	Feed	   *feed;
	Source	   *source;
	struct MHD_Connection *connection;
	int64_t		last;			/* the last event that is in the buffer, or was */
	Buffer		buffer;
	size_t		sent;			/* bytes of it that are sent */
	bool		suspended;
	bool		full;			/* some events were passed over */
	bool		behind;			/* there may be events that it has not got */
	uint64_t	served_at;		/* the page that it has got last */
	bool		ended;			/* nothing comes after what is in the buffer */
	int64_t		beat_at;		/* when something was sent last */
	Stream	   *next;
	Stream	  **link;			/* that points to this one */
};

static Feed *feeds;				/* one for each pool */

/* protects all sources and streams, and what follows */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long stream_count;
static bool ending;				/* no stream goes on */
static bool stopping;			/* nor does a thread */

/* streams --------------------------------------------------------------- */

static void
wake(Feed *feed)
{
	uint64_t	one = 1;

	if (write(feed->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
		die("could not wake a thread: %s", strerror(errno));
}

/*
 * Something is to be sent, or the end has come.  Locked.
 */
static void
resume(Stream *stream)
{
	if (!stream->suspended)
		return;
	stream->suspended = false;
	MHD_resume_connection(stream->connection);
}

/*
 * Adds text to what is to be sent.  Locked.
 */
static void
push(Stream *stream, const char *text)
{
	buffer_text(&stream->buffer, text);
	stream->beat_at = now_ms();
	resume(stream);
}

static void
push_line(Stream *stream, char *text)
{
	push(stream, text);
	free(text);
}

static size_t
unsent(const Stream *stream)
{
	return stream->buffer.length - stream->sent;
}

static bool
has_room(const Stream *stream)
{
	return unsent(stream) < BUFFER_LIMIT;
}

/*
 * Makes room for what comes where there is what was sent.  What is moved is no more
 * than that, so each byte is moved once at most; and the buffer has no more than
 * twice what is to be sent, however long a client stays behind.  Locked.
 */
static void
forget_sent(Stream *stream)
{
	Buffer	   *buffer = &stream->buffer;
	size_t		left = unsent(stream);

	if (left > 0 && (stream->sent < BUFFER_LIMIT || stream->sent < left))
		return;
	/* what was large need not stay */
	if (left == 0 && buffer->capacity > BUFFER_LIMIT)
		buffer_free(buffer);
	else if (left > 0)
		memmove(buffer->data, buffer->data + stream->sent, left);
	buffer->length = left;
	stream->sent = 0;
}

/*
 * Says that events are gone which the client has not got.  Locked.
 */
static void
push_gap(Stream *stream, int64_t next)
{
	push_line(stream, xprintf("event: gap\ndata: {\"after\":%lld,\"next\":%lld}\n\n",
							  (long long) stream->last, (long long) next));
}

/*
 * Adds an event that comes after those the stream has.  JSON of the database has no
 * line breaks.  Locked.
 */
static void
push_event(Stream *stream, int64_t number, const char *data)
{
	if (number > stream->last + 1)
		push_gap(stream, number);
	push_line(stream, xprintf("id: %lld\ndata: ", (long long) number));
	push(stream, data);
	push(stream, "\n\n");
	stream->last = number;
}

/*
 * Says that the client has seen events which the database does not have, as it was
 * restored or has lost what was not replicated, and goes on behind the last one that
 * it has.  Locked.
 */
static void
push_reset(Stream *stream, int64_t seen, int64_t last)
{
	push_line(stream, xprintf("id: %lld\nevent: reset\ndata: {\"after\":%lld,\"last\":%lld}\n\n",
							  (long long) last, (long long) seen, (long long) last));
	stream->last = last;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/*
 * The source of a topic, which is made if there is none.  Locked.
 */
static Source *
source_of(Feed *feed, const StreamWish *wish)
{
	Source	   *source = feed->sources;

	while (source != NULL &&
		   !(strcmp(source->notified, wish->notified) == 0 &&
			 strcmp(source->type, wish->type) == 0 && same_text(source->id, wish->id) &&
			 strcmp(source->topic, wish->topic) == 0))
		source = source->next;
	if (source != NULL)
		return source;
	source = xmalloc(sizeof(Source));
	memset(source, 0, sizeof(*source));
	source->type = xstrdup(wish->type);
	source->id = wish->id != NULL ? xstrdup(wish->id) : NULL;
	source->topic = xstrdup(wish->topic);
	source->notified = xstrdup(wish->notified);
	source->next = feed->sources;
	feed->sources = source;
	return source;
}

static void *feed_main(void *arg);

/*
 * stream_open
 *		Begins a stream to a client; NULL if there are too many.
 */
Stream *
stream_open(Pool *pool, struct MHD_Connection *connection, const StreamWish *wish)
{
	Feed	   *feed = &feeds[pool->number];
	Stream	   *stream = NULL;

	pthread_mutex_lock(&lock);
	if (stream_count < (options.max_connections + 1) / 2)
	{
		if (!feed->started && !ending &&
			pthread_create(&feed->thread, NULL, feed_main, feed) != 0)
			die("could not start a thread");
		feed->started |= !ending;
		stream = xmalloc(sizeof(Stream));
		memset(stream, 0, sizeof(*stream));
		stream->feed = feed;
		stream->connection = connection;
		stream->last = wish->after;
		stream->ended = ending;
		stream->behind = true;
		stream->source = source_of(feed, wish);
		stream->source->news = true;
		stream->next = stream->source->streams;
		stream->link = &stream->source->streams;
		if (stream->next != NULL)
			stream->next->link = &stream->next;
		*stream->link = stream;
		stream_count++;
		push(stream, "retry: 1000\n");
		/* from where it goes on if the connection breaks before the first event */
		if (wish->fresh)
			push_line(stream, xprintf("id: %lld\n", (long long) wish->after));
		push(stream, "\n");
		if (wish->seen > wish->after)
			push_reset(stream, wish->seen, wish->after);
	}
	pthread_mutex_unlock(&lock);
	if (stream != NULL)
		wake(feed);
	return stream;
}

/*
 * stream_read
 *		Called by libmicrohttpd: what is to be sent.  If there is nothing, the
 *		connection is suspended.
 */
ssize_t
stream_read(Stream *stream, char *bytes, size_t size)
{
	ssize_t		count = 0;
	bool		had_no_room;

	pthread_mutex_lock(&lock);
	had_no_room = stream->full;
	if (unsent(stream) > 0)
	{
		count = (ssize_t) (unsent(stream) < size ? unsent(stream) : size);
		memcpy(bytes, stream->buffer.data + stream->sent, (size_t) count);
		stream->sent += (size_t) count;
		forget_sent(stream);
	}
	else if (stream->ended)
		count = MHD_CONTENT_READER_END_OF_STREAM;
	else
	{
		stream->suspended = true;
		MHD_suspend_connection(stream->connection);
	}
	if (had_no_room && has_room(stream))
	{
		stream->full = false;
		stream->source->news = true;
	}
	else
		had_no_room = false;
	pthread_mutex_unlock(&lock);
	if (had_no_room)
		wake(stream->feed);
	return count;
}

/*
 * stream_close
 *		Called when the connection does not need it any more.
 */
void
stream_close(Stream *stream)
{
	pthread_mutex_lock(&lock);
	*stream->link = stream->next;
	if (stream->next != NULL)
		stream->next->link = stream->link;
	stream_count--;
	pthread_mutex_unlock(&lock);
	buffer_free(&stream->buffer);
	free(stream);
}

/*
 * feeds_count
 *		How many streams there are, and how many bytes wait in them for their clients.
 */
void
feeds_count(long *streams, long *bytes)
{
	pthread_mutex_lock(&lock);
	*streams = stream_count;
	*bytes = 0;
	for (size_t i = 0; i < pools_count(); i++)
		for (Source *source = feeds[i].sources; source != NULL; source = source->next)
			for (Stream *stream = source->streams; stream != NULL; stream = stream->next)
				*bytes += (long) unsent(stream);
	pthread_mutex_unlock(&lock);
}

/* the thread of a feed -------------------------------------------------- */

/*
 * There may be events that no stream of a source has got.  Locked.
 */
static void
expect_events(Source *source)
{
	source->news = true;
	for (Stream *stream = source->streams; stream != NULL; stream = stream->next)
		stream->behind = true;
}

/*
 * Ends the streams of a source.  Locked.
 */
static void
end_streams(Source *source)
{
	for (Stream *stream = source->streams; stream != NULL; stream = stream->next)
	{
		stream->ended = true;
		resume(stream);
	}
}

/*
 * All topics may have events that nobody was told of.
 */
static void
expect_news(Feed *feed)
{
	pthread_mutex_lock(&lock);
	for (Source *source = feed->sources; source != NULL; source = source->next)
		expect_events(source);
	pthread_mutex_unlock(&lock);
}

/*
 * Makes sure that the session gets notifications.  Returns false if it does not.
 */
static bool
listen_to_all(Feed *feed)
{
	PGresult   *result;
	char	   *reason;
	bool		listens;

	if (feed->listening != 0 && session_alive(&feed->session) &&
		PQbackendPID(feed->session.connection) == feed->listening)
		return true;
	feed->listening = 0;
	(void) session_query(&feed->session, "LISTEN actor_event", NULL, false, 0, NULL,
						 &result, &reason);
	listens = PQresultStatus(result) == PGRES_COMMAND_OK;
	PQclear(result);
	free(reason);
	if (!listens)
		return false;
	feed->listening = PQbackendPID(feed->session.connection);
	expect_news(feed);
	return true;
}

/*
 * Whether an error says that there is nothing more to come: no right, no type, or
 * one that has lost its schema.
 */
static bool
is_final(const char *sqlstate)
{
	return sqlstate != NULL &&
		(strcmp(sqlstate, "42501") == 0 || strcmp(sqlstate, "42704") == 0 ||
		 strcmp(sqlstate, "55000") == 0);
}

/*
 * The stream of a source that has waited for longest among those that are behind and
 * have room; NULL if there is none.  Locked.
 */
static Stream *
next_stream(const Source *source)
{
	Stream	   *found = NULL;

	for (Stream *stream = source->streams; stream != NULL; stream = stream->next)
		if (stream->behind && !stream->ended && !stream->full &&
			(found == NULL || stream->served_at < found->served_at))
			found = stream;
	return found;
}

/*
 * Adds to a stream what it has not got of a page; false if it has no room for all of
 * that.  Locked.
 */
static bool
push_page(Stream *stream, const PGresult *page, int rows)
{
	for (int row = 0; row < rows; row++)
	{
		int64_t		number = strtoll(PQgetvalue(page, row, 0), NULL, 10);

		if (number <= stream->last)
			continue;
		/* it would miss those that it has no room for */
		if (!has_room(stream))
			return false;
		push_event(stream, number, PQgetvalue(page, row, 1));
	}
	return true;
}

/*
 * Hands a page of events that come after that one to the streams of a source that have
 * come as far and not farther.  If it is not full there is nothing behind it.  An empty
 * one, with a null in its only row, may be so because the numbers have gone back.
 */
static void
deliver(Feed *feed, Source *source, int64_t after, const PGresult *page)
{
	int			rows = PQgetisnull(page, 0, 0) ? 0 : PQntuples(page);
	int64_t		last = strtoll(PQgetvalue(page, 0, 2), NULL, 10);
	int64_t		end = rows > 0 ? strtoll(PQgetvalue(page, rows - 1, 0), NULL, 10) : after;

	pthread_mutex_lock(&lock);
	feed->pages++;
	for (Stream *stream = source->streams; stream != NULL; stream = stream->next)
	{
		if (stream->ended || stream->last < after || stream->last > end)
			continue;
		if (rows == 0 && last < after)
			push_reset(stream, after, last);
		stream->full = !push_page(stream, page, rows);
		stream->behind = stream->full || rows == PAGE_ROWS;
		stream->served_at = feed->pages;
	}
	pthread_mutex_unlock(&lock);
}

/*
 * Where the next page of a source begins, for which there is news then.  Returns false
 * if none is wanted.
 */
static bool
next_page(Source *source, int64_t *after)
{
	Stream	   *stream;

	pthread_mutex_lock(&lock);
	stream = ending ? NULL : next_stream(source);
	source->news = stream != NULL;
	if (stream != NULL)
		*after = stream->last;
	pthread_mutex_unlock(&lock);
	return stream != NULL;
}

/*
 * Reads a page of events of a source, if a stream wants one, and hands it out.  Returns
 * false if the database has to be asked again later.
 */
static bool
serve(Feed *feed, Source *source)
{
	char		after_text[24];
	char		rows[8];
	const char *values[] = {source->topic, source->type, source->id, after_text, rows};
	int64_t		after;
	PGresult   *result;
	char	   *reason;
	QueryOutcome outcome;
	bool		done;

	if (!next_page(source, &after))
		return true;
	snprintf(rows, sizeof(rows), "%d", PAGE_ROWS);
	snprintf(after_text, sizeof(after_text), "%lld", (long long) after);
	outcome = session_query(&feed->session,
							"SELECT e.event_id, COALESCE(e.payload, 'null'::pg_catalog.jsonb), s.last_event"
							" FROM actor.event_source($1::pg_catalog.text, $2::pg_catalog.text,"
							" $3::pg_catalog.text) AS s LEFT JOIN LATERAL"
							" @.actor_events($1::pg_catalog.text, $2::pg_catalog.text,"
							" $3::pg_catalog.text, $4::pg_catalog.int8, $5::pg_catalog.int4) AS e ON true",
							NULL, false, 5, values, &result, &reason);
	free(reason);
	done = outcome == QUERY_ANSWERED && PQresultStatus(result) == PGRES_TUPLES_OK;
	if (done)
		deliver(feed, source, after, result);
	else if (outcome == QUERY_ANSWERED && is_final(PQresultErrorField(result, PG_DIAG_SQLSTATE)))
	{
		pthread_mutex_lock(&lock);
		end_streams(source);
		pthread_mutex_unlock(&lock);
		done = true;
	}
	PQclear(result);
	return done;
}

static void
free_source(Source *source)
{
	free(source->type);
	free(source->id);
	free(source->topic);
	free(source->notified);
	free(source);
}

/*
 * The next source with news, which is the last one from then on; NULL if there is none.
 * Sources without streams are removed on the way.
 */
static Source *
take_source(Feed *feed)
{
	Source	  **link = &feed->sources;
	Source	   *found = NULL;

	pthread_mutex_lock(&lock);
	while (*link != NULL)
	{
		Source	   *source = *link;

		if (source->streams != NULL && (found != NULL || !source->news))
		{
			link = &source->next;
			continue;
		}
		*link = source->next;
		if (source->streams == NULL)
			free_source(source);
		else
			found = source;
	}
	if (found != NULL)
	{
		found->next = NULL;
		*link = found;
	}
	pthread_mutex_unlock(&lock);
	return found;
}

/*
 * Takes note of what was notified.  Returns whether there is news.
 */
static bool
take_notifications(Feed *feed)
{
	PGconn	   *connection = feed->session.connection;
	PGnotify   *notify;
	bool		news = false;

	if (connection == NULL)
		return false;
	(void) PQconsumeInput(connection);
	while ((notify = PQnotifies(connection)) != NULL)
	{
		pthread_mutex_lock(&lock);
		for (Source *source = feed->sources; source != NULL; source = source->next)
		{
			/* which can also be said of all */
			if (notify->extra[0] != '\0' && strcmp(source->notified, notify->extra) != 0)
				continue;
			expect_events(source);
			news = true;
		}
		pthread_mutex_unlock(&lock);
		PQfreemem(notify);
	}
	return news;
}

/*
 * Sends a comment to each stream that has got nothing for a while; returns how long
 * none needs one.
 */
static int
beat(Feed *feed)
{
	int64_t		now = now_ms();
	int64_t		next = now + BEAT_MS;

	pthread_mutex_lock(&lock);
	for (Source *source = feed->sources; source != NULL; source = source->next)
		for (Stream *stream = source->streams; stream != NULL; stream = stream->next)
		{
			if (stream->beat_at + BEAT_MS <= now && stream->suspended)
				push(stream, ":\n\n");
			if (stream->beat_at + BEAT_MS > now && stream->beat_at + BEAT_MS < next)
				next = stream->beat_at + BEAT_MS;
		}
	pthread_mutex_unlock(&lock);
	return (int) (next - now);
}

/*
 * Waits for notifications, for streams, or for that time.
 */
static void
wait_for_news(Feed *feed, int timeout)
{
	PGconn	   *connection = feed->session.connection;
	struct pollfd polled[2] = {
		{.fd = feed->wake,.events = POLLIN},
		{.fd = connection != NULL ? PQsocket(connection) : -1,.events = POLLIN}
	};
	uint64_t	count;

	(void) poll(polled, connection != NULL ? 2 : 1, timeout);
	if (read(feed->wake, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR)
		die("could not wait for events: %s", strerror(errno));
}

static bool
is_stopping(void)
{
	bool		result;

	pthread_mutex_lock(&lock);
	result = stopping;
	pthread_mutex_unlock(&lock);
	return result;
}

static void *
feed_main(void *arg)
{
	Feed	   *feed = arg;

	while (!is_stopping())
	{
		int			timeout = beat(feed);
		Source	   *source = NULL;
		bool		failed;

		(void) take_notifications(feed);
		failed = !listen_to_all(feed);
		if (!failed)
			source = take_source(feed);
		if (source != NULL)
			failed = !serve(feed, source);
		/* what came together with an answer has been read from the socket */
		if (failed || (source == NULL && !take_notifications(feed)))
			wait_for_news(feed, failed ? RETRY_MS : timeout);
	}
	session_close(&feed->session);
	return NULL;
}

/* start and end --------------------------------------------------------- */

/*
 * feeds_start
 *		Called once there are pools.  Threads are started when they are needed.
 */
void
feeds_start(void)
{
	feeds = xmalloc(pools_count() * sizeof(Feed));
	memset(feeds, 0, pools_count() * sizeof(Feed));
	for (size_t i = 0; i < pools_count(); i++)
	{
		feeds[i].pool = pool_number(i);
		feeds[i].session.database = &feeds[i].pool->database;
		feeds[i].wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (feeds[i].wake < 0)
			die("could not start a thread: %s", strerror(errno));
	}
}

/*
 * feeds_end
 *		Ends all streams, also those that are still to begin.
 */
void
feeds_end(void)
{
	pthread_mutex_lock(&lock);
	ending = true;
	for (size_t i = 0; i < pools_count(); i++)
		for (Source *source = feeds[i].sources; source != NULL; source = source->next)
			end_streams(source);
	pthread_mutex_unlock(&lock);
}

/*
 * feeds_stop
 *		Ends the threads.  There are no streams any more.
 */
void
feeds_stop(void)
{
	pthread_mutex_lock(&lock);
	stopping = true;
	pthread_mutex_unlock(&lock);
	for (size_t i = 0; i < pools_count(); i++)
	{
		Feed	   *feed = &feeds[i];

		if (feed->started)
		{
			session_cancel(&feed->session);
			wake(feed);
			pthread_join(feed->thread, NULL);
		}
		while (feed->sources != NULL)
		{
			Source	   *source = feed->sources;

			feed->sources = source->next;
			free_source(source);
		}
		close(feed->wake);
	}
	free(feeds);
}
