/*-------------------------------------------------------------------------
 *
 * app.c
 *		The application: its addresses, and whether it is still the one that was
 *		there.
 *
 * An application that was started anew knows none of the actors that it had, and
 * must not be told to deactivate them.  One on this machine is known by the socket
 * it listens on, which the kernel has given a number that is not used again.  So
 * each new connection is followed by a look whether that is still the same: what
 * is sent on it then reaches the process that we mean.  Of one elsewhere nothing
 * can be seen but whether it takes connections.
 *
 * A new one gets nothing before the host has another id, and nothing in a turn that
 * was taken under the old one: nobody would remember that it has the actor.
 *
 * IDENTIFICATION
 *		http/app.c
 *
 *-------------------------------------------------------------------------
 */
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app.h"
#include "options.h"
#include "path.h"
#include "self.h"

/* sockets that one application may listen on */
#define MAX_LISTENERS		16
/* of the kernel's linux/tcp_states.h, which programs do not get */
#define STATE_LISTEN		10
#define FETCH_MS			5000L
/* harmless wherever it is */
#define PROBE_METHOD		"toString"

/* who listens where the application should be */
typedef struct Listeners
{
	int			count;			/* -1: that cannot be seen */
	unsigned	inodes[MAX_LISTENERS];
} Listeners;

static bool is_local;			/* on this machine; not changed after the start */
static unsigned port;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Listeners seen;			/* count 0: nobody that counts */
static Listeners looked_at;		/* by the thread of the host */

/* addresses ------------------------------------------------------------- */

/*
 * actor_path
 *		"/actors/TYPE/ID", to be freed.
 */
char *
actor_path(const char *type, const char *id)
{
	Buffer		path = {0};

	buffer_text(&path, "/actors/");
	path_append(&path, type, "");
	buffer_text(&path, "/");
	path_append(&path, id, "");
	return path.data;
}

/*
 * Finds out where the application is.
 */
static void
parse_url(void)
{
	CURLU	   *url = curl_url();
	char	   *host = NULL;
	char	   *text = NULL;

	if (url == NULL || curl_url_set(url, CURLUPART_URL, options.app, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
		curl_url_get(url, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) != CURLUE_OK)
		die("--app is not a valid URL: \"%s\"", options.app);
	is_local = strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
		strcmp(host, "[::1]") == 0;
	port = (unsigned) atoi(text);
	curl_free(host);
	curl_free(text);
	curl_url_cleanup(url);
}

/* who listens ----------------------------------------------------------- */

/*
 * Asks the kernel for all sockets of a family that listen.
 */
static bool
ask_kernel(int netlink, int family)
{
	struct
	{
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	}			question;
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	memset(&question, 0, sizeof(question));
	question.header.nlmsg_len = sizeof(question);
	question.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	question.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	question.request.sdiag_family = (unsigned char) family;
	question.request.sdiag_protocol = IPPROTO_TCP;
	question.request.idiag_states = 1 << STATE_LISTEN;
	return sendto(netlink, &question, sizeof(question), 0, (struct sockaddr *) &kernel,
				  sizeof(kernel)) == (ssize_t) sizeof(question);
}

/*
 * Whether a socket gets what is sent to this machine's own address.
 */
static bool
is_reached(const struct inet_diag_msg *message)
{
	const struct in6_addr *address = (const struct in6_addr *) message->id.idiag_src;
	uint32_t	v4 = ntohl(message->id.idiag_src[message->idiag_family == AF_INET ? 0 : 3]);

	if (message->idiag_family == AF_INET || IN6_IS_ADDR_V4MAPPED(address))
		return v4 == INADDR_ANY || v4 >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_LOOPBACK(address);
}

static void
note_listener(Listeners *listeners, const struct nlmsghdr *header)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);

	if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(*message)) &&
		ntohs(message->id.idiag_sport) == port && is_reached(message) &&
		listeners->count < MAX_LISTENERS)
		listeners->inodes[listeners->count++] = message->idiag_inode;
}

/*
 * Reads the answer.  Returns false if there is none.
 */
static bool
read_listeners(int netlink, Listeners *listeners)
{
	_Alignas(struct nlmsghdr) char bytes[16384];

	for (;;)
	{
		ssize_t		length = recvfrom(netlink, bytes, sizeof(bytes), 0, NULL, NULL);

		if (length <= 0)
			return false;
		for (struct nlmsghdr *header = (struct nlmsghdr *) bytes;
			 NLMSG_OK(header, (size_t) length); header = NLMSG_NEXT(header, length))
		{
			if (header->nlmsg_type == NLMSG_DONE)
				return true;
			if (header->nlmsg_type == NLMSG_ERROR)
				return false;
			note_listener(listeners, header);
		}
	}
}

static int
compare_inodes(const void *a, const void *b)
{
	unsigned	left = *(const unsigned *) a;
	unsigned	right = *(const unsigned *) b;

	return (left > right) - (left < right);
}

/*
 * Finds who listens on the port of the application.
 */
static Listeners
find_listeners(void)
{
	const int	families[] = {AF_INET, AF_INET6};
	Listeners	listeners = {0};
	struct timeval patience = {.tv_sec = 1};
	int			netlink;
	bool		seen_all = is_local;

	for (size_t i = 0; i < lengthof(families) && seen_all; i++)
	{
		netlink = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
		seen_all = netlink >= 0 &&
			setsockopt(netlink, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
			ask_kernel(netlink, families[i]) && read_listeners(netlink, &listeners);
		if (netlink >= 0)
			close(netlink);
	}
	if (!seen_all)
		listeners.count = -1;
	else
		qsort(listeners.inodes, (size_t) listeners.count, sizeof(unsigned), compare_inodes);
	return listeners;
}

static bool
same_listeners(const Listeners *a, const Listeners *b)
{
	return a->count == b->count &&
		(a->count <= 0 || memcmp(a->inodes, b->inodes, (size_t) a->count * sizeof(unsigned)) == 0);
}

/*
 * Whether something takes connections where the application should be.
 */
static bool
takes_connections(void)
{
	CURL	   *easy = curl_easy_init();
	CURLcode	code;

	if (easy == NULL)
		die("out of memory");
	curl_easy_setopt(easy, CURLOPT_URL, options.app);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, FETCH_MS);
	code = curl_easy_perform(easy);
	curl_easy_cleanup(easy);
	return code == CURLE_OK;
}

/*
 * app_look
 *		Looks who is there.  One that was not before gets nothing until it is accepted.
 *		Of one that cannot be seen it is not known whether it was started anew: then it
 *		may still have what it had.
 */
AppPresence
app_look(void)
{
	Listeners	now = find_listeners();
	AppPresence presence;

	if (now.count < 0 && !takes_connections())
		return APP_UNREACHABLE;
	pthread_mutex_lock(&lock);
	if (now.count == 0)
		presence = APP_GONE;
	else
		presence = same_listeners(&seen, &now) ? APP_SAME : APP_OTHER;
	if (presence != APP_SAME)
		memset(&seen, 0, sizeof(seen));
	pthread_mutex_unlock(&lock);
	looked_at = now;
	return presence;
}

/*
 * app_accept
 *		Who was there at the last look is our application from now on.
 */
void
app_accept(void)
{
	pthread_mutex_lock(&lock);
	seen = looked_at;
	pthread_mutex_unlock(&lock);
}

/*
 * app_is_same
 *		Whether the application is still the one that was remembered, as far as
 *		that can be seen.
 */
bool
app_is_same(void)
{
	Listeners	now = find_listeners();
	bool		same;

	pthread_mutex_lock(&lock);
	same = seen.count != 0 && same_listeners(&seen, &now);
	pthread_mutex_unlock(&lock);
	return same;
}

/*
 * Whether a transfer reaches the application that it is for.
 */
static bool
is_right(const Transfer *transfer)
{
	char		host_id[UUID_SIZE];

	/* in that order: the id has changed before another application is accepted */
	return app_is_same() &&
		(transfer->host_id[0] == '\0' ||
		 (self_id(host_id) && strcmp(host_id, transfer->host_id) == 0));
}

/*
 * app_missed
 *		A transfer has ended so: has the application looked for if it may be gone.
 */
void
app_missed(TransferState state)
{
	if (state == TRANSFER_NOT_SENT || (state == TRANSFER_LOST && !app_is_same()))
		self_missed();
	else if (state == TRANSFER_LOST)
		self_doubted();
}

/*
 * Whether it would be seen that the application was started anew.
 */
static bool
is_visible(void)
{
	bool		visible;

	pthread_mutex_lock(&lock);
	visible = seen.count > 0;
	pthread_mutex_unlock(&lock);
	return visible;
}

/*
 * app_identity
 *		A text that is another one for each start of an application, as far as
 *		that can be seen; to be freed.  What was remembered counts.
 */
char *
app_identity(void)
{
	Buffer		text = {0};
	FILE	   *file = fopen("/proc/sys/kernel/random/boot_id", "r");
	char		boot[64] = "";
	struct stat net = {0};
	char	   *place;

	if (file != NULL && fgets(boot, sizeof(boot), file) != NULL)
		boot[strcspn(boot, "\n")] = '\0';
	if (file != NULL)
		fclose(file);
	(void) stat("/proc/self/ns/net", &net);
	buffer_text(&text, options.app);
	pthread_mutex_lock(&lock);
	for (int i = 0; i < seen.count; i++)
	{
		char	   *inode = xprintf("%c%u", i == 0 ? '#' : ',', seen.inodes[i]);

		buffer_text(&text, inode);
		free(inode);
	}
	pthread_mutex_unlock(&lock);
	if (is_local)
	{
		place = xprintf("@%lu@%s", (unsigned long) net.st_ino, boot);
		buffer_text(&text, place);
		free(place);
	}
	return text.data;
}

/* calls ----------------------------------------------------------------- */

static void
add_token(Transfer *transfer)
{
	if (options.app_token != NULL)
		transfer_header(transfer, "dapr-api-token", options.app_token);
}

/*
 * Adds the headers of a call, with the trace that it belongs to.  A span of its own
 * is below that of whoever has asked for it.
 */
static void
add_trace(Transfer *transfer, const Work *work)
{
	const char *parent = work->traceparent != NULL ? work->traceparent :
		headers_value(work->headers, "traceparent");
	char		traceparent[TRACEPARENT_SIZE];

	transfer->span = span_begin(SPAN_CLIENT, parent);
	if (transfer->span == NULL)
	{
		transfer_headers(transfer, work->headers);
		if (work->traceparent != NULL)
			transfer_header(transfer, "traceparent", work->traceparent);
		return;
	}
	for (const Header *header = work->headers; header != NULL; header = header->next)
		if (strcasecmp(header->name, "traceparent") != 0)
			transfer_header(transfer, header->name, header->value);
	span_traceparent(transfer->span, traceparent);
	transfer_header(transfer, "traceparent", traceparent);
	transfer->span_name = xprintf("%s.%s%s", work->type, work->prefix, work->method);
	span_attribute(transfer->span, "http.request.method", "PUT");
	span_attribute(transfer->span, "actor.type", work->type);
	span_attribute(transfer->span, "actor.id", work->id);
}

/*
 * Whether the slashes of a method may be those of the path: they do not lead out of
 * the actor, nor to what reminders and timers are called by.
 */
static bool
is_within_actor(const Work *work)
{
	const char *part = work->method;

	if (work->prefix[0] != '\0' || strncmp(part, "remind/", 7) == 0 ||
		strncmp(part, "timer/", 6) == 0)
		return false;
	for (;;)
	{
		size_t		length = strcspn(part, "/");

		if ((length == 1 || length == 2) && strncmp(part, "..", length) == 0)
			return false;
		if (part[length] == '\0')
			return true;
		part += length + 1;
	}
}

/*
 * app_send_method
 *		Sends a method to the application, and the id of the call if it is to know
 *		that.
 */
Transfer *
app_send_method(void *owner, CURLM *multi, const Work *work, const char *call_id)
{
	Transfer   *transfer = transfer_create(owner);
	char	   *path = actor_path(work->type, work->id);
	Buffer		url = {0};

	buffer_text(&url, options.app);
	buffer_text(&url, path);
	buffer_text(&url, "/method/");
	buffer_text(&url, work->prefix);
	path_append(&url, work->method, is_within_actor(work) ? "/" : "");
	if (work->query.length > 0)
	{
		buffer_text(&url, "?");
		if (!buffer_append(&url, work->query.start, work->query.length))
			die("out of memory");
	}
	transfer->is_right = is_right;
	transfer->head_limit = APP_HEAD_LIMIT;
	strncat(transfer->host_id, work->host_id, sizeof(transfer->host_id) - 1);
	add_trace(transfer, work);
	add_token(transfer);
	if (work->with_id)
		transfer_header(transfer, "Dapr-Reentrancy-Id", call_id);
	transfer_begin(transfer, multi, "PUT", url.data, work->body, work->body_length);
	buffer_free(&url);
	free(path);
	return transfer;
}

/*
 * app_may_have_none
 *		Whether an application that has answered so may have no object, and end if it
 *		is told to drop that: one of the SDK for JavaScript, which answers errors so,
 *		and also when it could not activate the actor.  Others take it for nothing to
 *		be done.
 */
bool
app_may_have_none(const Transfer *transfer)
{
	const char *server = headers_value(transfer->headers, "X-Powered-By");

	return transfer->status == 500 && server != NULL && strcmp(server, "Express") == 0 &&
		transfer->content.length == 2 && memcmp(transfer->content.data, "{}", 2) == 0;
}

static void
begin_drop(Transfer *transfer, CURLM *multi)
{
	transfer->probing = false;
	add_token(transfer);
	transfer_begin(transfer, multi, "DELETE", transfer->url, NULL, 0);
}

/*
 * A probe was answered: there is an object, which can be dropped.  Returns false if
 * there is none.
 */
static bool
drop_probed(Transfer *transfer, CURLM *multi)
{
	/* the method cannot have failed */
	if (app_may_have_none(transfer))
		return false;
	transfer_reset(transfer, multi);
	begin_drop(transfer, multi);
	return true;
}

/*
 * app_send_drop
 *		Tells the application to drop the object of an actor.
 *
 * There are applications that end if they have none.  So where that is not sure, a
 * probe comes before: a call of a method that every object of JavaScript has, and no
 * other application.  It makes sure that there is an object, or shows that there
 * cannot be one.
 */
Transfer *
app_send_drop(void *owner, CURLM *multi, const char *host_id, const char *type, const char *id,
			  bool unsure)
{
	Transfer   *transfer = transfer_create(owner);
	char	   *path = actor_path(type, id);
	char	   *probe;

	transfer->is_right = is_right;
	transfer->head_limit = APP_HEAD_LIMIT;
	strncat(transfer->host_id, host_id, sizeof(transfer->host_id) - 1);
	transfer->url = xprintf("%s%s", options.app, path);
	if (unsure || !is_visible())
	{
		transfer->probing = true;
		transfer->goes_on = drop_probed;
		add_token(transfer);
		probe = xprintf("%s/method/" PROBE_METHOD, transfer->url);
		transfer_begin(transfer, multi, "PUT", probe, NULL, 0);
		free(probe);
	}
	else
		begin_drop(transfer, multi);
	free(path);
	return transfer;
}

/*
 * app_has_dropped
 *		Whether the application was told to drop an object, and has none any more.
 */
bool
app_has_dropped(const Transfer *transfer)
{
	return transfer->state == TRANSFER_ANSWERED && !transfer->probing;
}

/* questions ------------------------------------------------------------- */

/*
 * app_fetch
 *		Gets a document of the application, and waits for it.  The transfer is to
 *		be freed, without a multi handle.
 */
Transfer *
app_fetch(const char *path)
{
	CURLM	   *multi = transfers_create();
	Transfer   *transfer = transfer_create(NULL);
	char	   *url = xprintf("%s%s", options.app, path);
	int64_t		until = now_ms() + FETCH_MS;

	transfer->is_right = is_right;
	transfer->head_limit = APP_HEAD_LIMIT;
	add_token(transfer);
	transfer_begin(transfer, multi, "GET", url, NULL, 0);
	while (transfers_ended(multi) == NULL && now_ms() < until)
		(void) curl_multi_poll(multi, NULL, 0, 100, NULL);
	transfer_finish(transfer, multi);
	transfers_free(multi);
	free(url);
	return transfer;
}

/* start and end --------------------------------------------------------- */

/*
 * app_start
 *		Called before there are other threads.
 */
void
app_start(void)
{
	parse_url();
}
