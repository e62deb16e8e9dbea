/*-------------------------------------------------------------------------
 *
 * transfer.c
 *		Sends requests, by libcurl, and reads their answers.
 *
 * A request is sent once: if the connection breaks, nobody knows what the other
 * side has done, and libcurl is kept from trying again by itself.  A connection
 * is used again only when it was used a moment ago, because many servers close
 * silent ones after some seconds.
 *
 * An answer whose end is in doubt is none: what RFC 9112 lets a client refuse is
 * refused, so that nothing of one answer can become a part of another.
 *
 * A transfer belongs to the thread that drives its multi handle.
 *
 * IDENTIFICATION
 *		http/transfer.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "options.h"
#include "transfer.h"

/* how long a connection may be silent and still be used again */
#define REUSE_SECONDS		1
#define CONNECT_MS			5000
/* what other hosts may add to the headers of an application */
#define HEAD_LIMIT			4096
/* silent connections that a thread keeps */
#define KEPT_CONNECTIONS	4

/* a handle that this thread has used and uses again; a new one takes long to make */
static _Thread_local CURL *spare;
static pthread_key_t spare_key; /* only for its end */

/* where the application is, as a URL without a path and taken apart; not changed */
static char *app_place;
static CURLU *app_url;

/*
 * The socket of the connection that was made last from each local port, whoever has it.
 * libcurl tells of a connection that is about to be used only between what it is.
 */
static _Atomic int sockets[UINT16_MAX + 1];

static void
free_spare(void *easy)
{
	curl_easy_cleanup(easy);
}

/*
 * How much of a URL comes before its path.
 */
static size_t
place_length(const char *url)
{
	const char *authority = strstr(url, "://");

	if (authority == NULL)
		return strlen(url);
	return (size_t) (authority - url) + 3 + strcspn(authority + 3, "/");
}

/*
 * transfers_start
 *		Called before there are other threads.
 */
void
transfers_start(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
		pthread_key_create(&spare_key, free_spare) != 0)
		die("could not start libcurl");
	if (options.app == NULL)
		return;
	app_place = xstrndup(options.app, place_length(options.app));
	app_url = curl_url();
	if (app_url == NULL || curl_url_set(app_url, CURLUPART_URL, app_place, 0) != CURLUE_OK)
		die("--app is not a valid URL: \"%s\"", options.app);
}

void
transfers_stop(void)
{
	curl_url_cleanup(app_url);
	free(app_place);
	curl_global_cleanup();
}

/* called by libcurl ----------------------------------------------------- */

/*
 * Refuses an answer for a reason, a constant.  What libcurl will say of that is only that
 * it was told to end.
 */
static size_t
refuse(Transfer *transfer, const char *reason)
{
	transfer->refusal = reason;
	return 0;
}

static bool
is_token(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char) text[i]) && strchr("!#$%&'*+-.^_`|~", text[i]) == NULL)
			return false;
	return length > 0;
}

static bool
is_field_value(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (((unsigned char) text[i] < 0x20 && text[i] != '\t') || text[i] == 0x7F)
			return false;
	return true;
}

/*
 * Looks at a header that says where the answer ends.  Returns whether that is
 * beyond doubt.
 */
static bool
note_framing(Transfer *transfer, const Header *header)
{
	if (strcasecmp(header->name, "content-length") == 0)
	{
		size_t		digits = strspn(header->value, "0123456789");

		transfer->lengths++;
		if (digits == 0 || digits > 18 || header->value[digits] != '\0')
			return false;
	}
	else if (strcasecmp(header->name, "transfer-encoding") == 0)
	{
		transfer->codings++;
		if (strcasecmp(header->value, "chunked") != 0)
			return false;
	}
	return transfer->lengths + transfer->codings <= 1;
}

/*
 * Takes a line of the head of an answer, with its end.
 */
static size_t
take_line(char *line, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		length = size * count;
	const char *colon;
	const char *value;
	size_t		value_length;
	Header	   *header;

	transfer->head_length += length;
	if (transfer->head_length > transfer->head_limit)
		return refuse(transfer, "the headers of the answer are too long");
	if (length < 2 || line[length - 2] != '\r')
		return refuse(transfer, "the answer has a line that does not end in CR LF");
	length -= 2;
	if (!transfer->has_head && length >= 5 && strncmp(line, "HTTP/", 5) == 0)
	{
		/* one for which others have made way, such as 100 */
		headers_free(transfer->headers);
		transfer->headers = NULL;
		transfer->last = &transfer->headers;
		transfer->lengths = transfer->codings = 0;
		buffer_free(&transfer->named);
		return size * count;
	}
	/* of no use to who cannot wait for the end of the body */
	if (transfer->has_head)
		return size * count;
	if (length == 0)
	{
		long		status = 0;

		curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
		transfer->has_head = (status >= 200);
		if (transfer->named.length > 0)
			headers_remove(&transfer->headers, transfer->named.data);
		return size * count;
	}
	colon = memchr(line, ':', length);
	if (colon == NULL || !is_token(line, (size_t) (colon - line)))
		return refuse(transfer, "the answer has a header without a valid name");
	value = colon + 1;
	value_length = (size_t) (line + length - value);
	while (value_length > 0 && (*value == ' ' || *value == '\t'))
		value++, value_length--;
	while (value_length > 0 && (value[value_length - 1] == ' ' || value[value_length - 1] == '\t'))
		value_length--;
	if (!is_field_value(value, value_length))
		return refuse(transfer, "the answer has a header with characters that are not allowed");
	header = header_create(line, (size_t) (colon - line), value, value_length);
	if (!note_framing(transfer, header))
	{
		headers_free(header);
		return refuse(transfer, "the end of the answer is in doubt");
	}
	if (strcasecmp(header->name, "connection") == 0)
	{
		buffer_text(&transfer->named, ",");
		buffer_text(&transfer->named, header->value);
	}
	if (is_end_to_end(header->name, strlen(header->name)))
	{
		*transfer->last = header;
		transfer->last = &header->next;
	}
	else
		headers_free(header);
	return size * count;
}

static size_t
take_content(char *bytes, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;

	if (transfer->content.length + size * count > (size_t) options.body_limit)
		return refuse(transfer, "the answer is longer than body_limit");
	if (!buffer_append(&transfer->content, bytes, size * count))
		return refuse(transfer, "there is no memory for the answer");
	return size * count;
}

/*
 * Called when a connection is to be made.
 */
static int
before_connecting(void *arg, curl_socket_t socket, curlsocktype purpose)
{
	Transfer   *transfer = arg;

	(void) purpose;
	transfer->is_new = true;
	transfer->socket = socket;
	return CURL_SOCKOPT_OK;
}

/*
 * Whether a socket has a connection from a port to there.
 */
static bool
is_connection(int socket, const char *to, int to_port, int from_port)
{
	union
	{
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	}			ends[2];
	int			ports[2];
	char		address[INET6_ADDRSTRLEN] = "";

	for (int i = 0; i < 2; i++)
	{
		socklen_t	length = sizeof(ends[i]);

		memset(&ends[i], 0, sizeof(ends[i]));
		if ((i == 0 ? getsockname(socket, &ends[i].any, &length) :
			 getpeername(socket, &ends[i].any, &length)) != 0)
			return false;
		ports[i] = ntohs(ends[i].any.sa_family == AF_INET6 ? ends[i].v6.sin6_port :
						 ends[i].v4.sin_port);
	}
	if (ends[1].any.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &ends[1].v6.sin6_addr, address, sizeof(address));
	else if (ends[1].any.sa_family == AF_INET)
		inet_ntop(AF_INET, &ends[1].v4.sin_addr, address, sizeof(address));
	return ports[0] == from_port && ports[1] == to_port && strcmp(address, to) == 0;
}

/*
 * Whether a connection that was used before is of no use any more: the other side has
 * closed it, or has sent what nobody has asked for, which would be taken for the
 * answer.  Not every libcurl looks before it uses one again, and none minds the latter.
 * With TLS there may be something to read at any time.
 */
static bool
is_spoiled(const Transfer *transfer, const char *to, int to_port, int from_port)
{
	int			socket = sockets[(uint16_t) from_port];
	const char *scheme = NULL;
	ssize_t		got;
	char		byte;

	if (!is_connection(socket, to, to_port, from_port))
		return false;
	got = recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (got > 0)
		return curl_easy_getinfo(transfer->easy, CURLINFO_SCHEME, &scheme) == CURLE_OK &&
			scheme != NULL && strcasecmp(scheme, "http") == 0;
	return got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/*
 * Called when a connection is there.  The second time would be another attempt.
 */
static int
before_sending(void *arg, char *to, char *from, int to_port, int from_port)
{
	Transfer   *transfer = arg;

	(void) from;
	if (transfer->sent)
		return CURL_PREREQFUNC_ABORT;
	if (transfer->is_new)
		sockets[(uint16_t) from_port] = transfer->socket;
	else
	{
		transfer->socket = sockets[(uint16_t) from_port];
		transfer->is_spoiled = is_spoiled(transfer, to, to_port, from_port);
	}
	if (transfer->is_spoiled ||
		(transfer->is_new && transfer->is_right != NULL && !transfer->is_right(transfer)))
		return CURL_PREREQFUNC_ABORT;
	transfer->sent = true;
	return CURL_PREREQFUNC_OK;
}

/* transfers ------------------------------------------------------------- */

/*
 * transfers_create
 *		What drives the transfers of one thread, and keeps their connections.
 */
CURLM *
transfers_create(void)
{
	CURLM	   *multi = curl_multi_init();

	if (multi == NULL)
		die("out of memory");
	curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) KEPT_CONNECTIONS);
	return multi;
}

/*
 * transfers_wait
 *		Waits until something happens, or somebody wakes it, but at most so many
 *		milliseconds, and a minute at most; for another socket as well, unless that
 *		is NULL.
 */
void
transfers_wait(CURLM *multi, int64_t left, struct curl_waitfd *other)
{
	if (left > 0 &&
		curl_multi_poll(multi, other, other != NULL, left < 60000 ? (int) left : 60000,
						NULL) != CURLM_OK)
		die("could not use libcurl");
}

void
transfers_free(CURLM *multi)
{
	if (multi != NULL)
		curl_multi_cleanup(multi);
}

/*
 * transfer_create
 *		One that is not sent yet.
 */
Transfer *
transfer_create(void *owner)
{
	Transfer   *transfer = xmalloc(sizeof(Transfer));

	memset(transfer, 0, sizeof(*transfer));
	transfer->owner = owner;
	transfer->last = &transfer->headers;
	transfer->socket = -1;
	transfer->head_limit = HEAD_LIMIT + APP_HEAD_LIMIT;
	return transfer;
}

static void
add_line(Transfer *transfer, const char *line)
{
	struct curl_slist *lines = curl_slist_append(transfer->lines, line);

	if (lines == NULL)
		die("out of memory");
	transfer->lines = lines;
}

/*
 * transfer_header
 *		Adds a header to what will be sent.
 */
void
transfer_header(Transfer *transfer, const char *name, const char *value)
{
	/* an empty one has another form, since libcurl takes "name:" for none */
	char	   *line = value[0] != '\0' ? xprintf("%s: %s", name, value) : xprintf("%s;", name);

	add_line(transfer, line);
	free(line);
}

void
transfer_headers(Transfer *transfer, const Header *headers)
{
	for (; headers != NULL; headers = headers->next)
		transfer_header(transfer, headers->name, headers->value);
}

static bool
has_line(const Transfer *transfer, const char *name)
{
	size_t		length = strlen(name);

	for (struct curl_slist *line = transfer->lines; line != NULL; line = line->next)
		if (strncasecmp(line->data, name, length) == 0 &&
			(line->data[length] == ':' || line->data[length] == ';'))
			return true;
	return false;
}

/*
 * An easy handle with all that does not depend on the request.
 */
static CURL *
easy_create(void)
{
	CURL	   *easy = spare;

	if (easy != NULL)
	{
		spare = NULL;
		(void) pthread_setspecific(spare_key, NULL);
		return easy;
	}
	easy = curl_easy_init();
	if (easy == NULL)
		die("out of memory");
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	/* or it looks into the environment for each request */
	curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 10L);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) CONNECT_MS);
	curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long) REUSE_SECONDS);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_line);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_content);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, before_connecting);
	curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_sending);
	return easy;
}

/*
 * Takes back an easy handle that is in no multi handle.  Nothing of the request may be
 * known to it any more.
 */
static void
easy_release(CURL *easy)
{
	if (spare != NULL || pthread_setspecific(spare_key, easy) != 0)
	{
		curl_easy_cleanup(easy);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 0L);
	curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, NULL);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, NULL);
	/* which is the default, and has no body */
	curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
	spare = easy;
}

/*
 * Whether libcurl would send a path as it is.
 */
static bool
is_literal(const char *path)
{
	for (; *path != '\0'; path++)
		if ((unsigned char) *path <= 0x20 || *path == 0x7F || *path == '#')
			return false;
	return true;
}

/*
 * Sets where a request goes.  libcurl takes a URL apart and puts it together again,
 * character by character, so it gets the path apart from it, and that of the
 * application only once.
 */
static void
set_target(CURL *easy, const char *url)
{
	size_t		length = place_length(url);
	char	   *place;

	if (!is_literal(url + length))
		length = strlen(url);
	place = xstrndup(url, length);
	curl_easy_setopt(easy, CURLOPT_URL, place);
	curl_easy_setopt(easy, CURLOPT_CURLU,
					 app_place != NULL && strcmp(place, app_place) == 0 ? app_url : NULL);
	curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, url[length] != '\0' ? url + length : NULL);
	free(place);
}

/*
 * transfer_begin
 *		Sends a request.  The body must stay where it is until the transfer has
 *		ended.
 */
void
transfer_begin(Transfer *transfer, CURLM *multi, const char *verb, const char *url,
			   const char *body, size_t body_length)
{
	bool		has_body = body_length > 0 || strcmp(verb, "PUT") == 0 || strcmp(verb, "POST") == 0;
	CURL	   *easy = easy_create();

	transfer->easy = easy;
	/* what libcurl would add by itself */
	add_line(transfer, "Expect:");
	if (!has_line(transfer, "Accept"))
		add_line(transfer, "Accept:");
	if (has_body && !has_line(transfer, "Content-Type"))
		add_line(transfer, "Content-Type:");
	curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
	set_target(easy, url);
	/* HTTPGET ends that */
	if (strcmp(verb, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, verb);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, transfer->lines);
	if (has_body)
	{
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) body_length);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body_length > 0 ? body : "");
	}
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->problem);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
	if (curl_multi_add_handle(multi, easy) != CURLM_OK)
		die("could not use libcurl");
}

/*
 * transfer_own_body
 *		The body belongs to the transfer from now on.
 */
void
transfer_own_body(Transfer *transfer, char *body)
{
	transfer->owned_body = body;
}

/*
 * What has become of it ends the span of a transfer, if it has one.
 */
static void
end_span(Transfer *transfer)
{
	bool		answered = transfer->state == TRANSFER_ANSWERED;

	span_end(transfer->span, transfer->span_name, answered ? transfer->status : 0,
			 !answered ? transfer->problem : transfer->status >= 400 ? "the application has refused" : NULL);
	transfer->span = NULL;
}

/*
 * Begins a transfer anew, which was not sent because its connection is spoiled, with
 * one that is made for it.
 */
static void
begin_anew(Transfer *transfer, CURLM *multi)
{
	curl_multi_remove_handle(multi, transfer->easy);
	transfer->is_spoiled = false;
	transfer->problem[0] = '\0';
	curl_easy_setopt(transfer->easy, CURLOPT_FRESH_CONNECT, 1L);
	if (curl_multi_add_handle(multi, transfer->easy) != CURLM_OK)
		die("could not use libcurl");
}

/*
 * transfers_ended
 *		Lets transfers go on, without waiting, and returns one that has ended and
 *		was not returned before; NULL if there is none.
 */
Transfer *
transfers_ended(CURLM *multi)
{
	int			running;
	int			left;
	CURLMsg    *message;

	if (curl_multi_perform(multi, &running) != CURLM_OK)
		die("could not use libcurl");
	while ((message = curl_multi_info_read(multi, &left)) != NULL)
	{
		Transfer   *transfer;
		long		status = 0;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &transfer);
		if (transfer->is_spoiled)
		{
			begin_anew(transfer, multi);
			return transfers_ended(multi);
		}
		curl_easy_getinfo(message->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		transfer->status = (int) status;
		if (message->data.result == CURLE_OK && status >= 200)
			transfer->state = TRANSFER_ANSWERED;
		else
			transfer->state = transfer->sent ? TRANSFER_LOST : TRANSFER_NOT_SENT;
		if (transfer->refusal == NULL && transfer->problem[0] == '\0')
			transfer->refusal = curl_easy_strerror(message->data.result);
		if (transfer->state != TRANSFER_ANSWERED && transfer->refusal != NULL)
			strncpy(transfer->problem, transfer->refusal, sizeof(transfer->problem) - 1);
		end_span(transfer);
		if (transfer->state == TRANSFER_ANSWERED && transfer->goes_on != NULL &&
			transfer->goes_on(transfer, multi))
			return transfers_ended(multi);
		return transfer;
	}
	return NULL;
}

bool
transfer_succeeded(const Transfer *transfer)
{
	return transfer->state == TRANSFER_ANSWERED && transfer->status / 100 == 2;
}

/*
 * transfer_reset
 *		Makes one that has been answered one that is not sent yet, for its owner.
 */
void
transfer_reset(Transfer *transfer, CURLM *multi)
{
	transfer_finish(transfer, multi);
	curl_slist_free_all(transfer->lines);
	headers_free(transfer->headers);
	buffer_free(&transfer->content);
	transfer->lines = NULL;
	transfer->headers = NULL;
	transfer->last = &transfer->headers;
	transfer->state = TRANSFER_UNDERWAY;
	transfer->refusal = NULL;
	transfer->problem[0] = '\0';
	transfer->sent = transfer->is_new = transfer->is_spoiled = transfer->has_head = false;
	buffer_free(&transfer->named);
	transfer->lengths = transfer->codings = 0;
	transfer->socket = -1;
	transfer->head_length = 0;
	transfer->goes_on = NULL;
}

/*
 * transfer_socket
 *		The socket of a transfer that is under way; -1 if there is none.
 */
int
transfer_socket(const Transfer *transfer)
{
	return transfer->socket;
}

/*
 * transfer_finish
 *		Leaves of a transfer what has come of it; the connection of one that has
 *		not come to its end is closed.
 */
void
transfer_finish(Transfer *transfer, CURLM *multi)
{
	if (transfer->easy == NULL)
		return;
	curl_multi_remove_handle(multi, transfer->easy);
	easy_release(transfer->easy);
	transfer->easy = NULL;
	if (transfer->state == TRANSFER_UNDERWAY)
	{
		transfer->state = transfer->sent ? TRANSFER_LOST : TRANSFER_NOT_SENT;
		strncpy(transfer->problem, "there was no answer in time", sizeof(transfer->problem) - 1);
	}
	end_span(transfer);
}

/*
 * transfer_free
 *		The multi handle is not needed for one that is finished.
 */
void
transfer_free(Transfer *transfer, CURLM *multi)
{
	if (transfer == NULL)
		return;
	transfer_finish(transfer, multi);
	curl_slist_free_all(transfer->lines);
	headers_free(transfer->headers);
	buffer_free(&transfer->content);
	buffer_free(&transfer->named);
	free(transfer->owned_body);
	free(transfer->url);
	free(transfer->span_name);
	free(transfer);
}
