/*-------------------------------------------------------------------------
 *
 * http_load.c
 *		Calls a method over HTTP from many connections that are kept, and
 *		prints how many requests a second were answered, and the median and the
 *		99th percentile of the time to the answer.
 *
 *	http_load PORT PATH BODY CONNECTIONS ACTORS SECONDS
 *
 * %d in the path becomes a random number from 1 to ACTORS.  It goes on until the
 * time is over and there are as many answers as connections.  One thread waits for
 * all connections, so that the client takes little from the server.
 *
 * IDENTIFICATION
 *		bench/http_load.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define MAX_ANSWER 65536
/* no request takes longer, unless something is broken */
#define ANSWER_SECONDS 120

typedef struct Client
{
	int			socket;
	double		sent_at;
	size_t		received;
	char		answer[MAX_ANSWER + 1];
} Client;

static const char *path;
static const char *body;
static long actors;
static double *times;
static size_t count;
static size_t capacity;
static size_t failures;

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
send_request(Client *client)
{
	char		target[1024];
	char		request[8192];
	const char *mark = strstr(path, "%d");
	int			length;

	if (mark != NULL)
		snprintf(target, sizeof(target), "%.*s%ld%s", (int) (mark - path), path,
				 1 + random() % actors, mark + 2);
	else
		snprintf(target, sizeof(target), "%s", path);
	length = snprintf(request, sizeof(request),
					  "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n%s",
					  target, strlen(body), body);
	if (length >= (int) sizeof(request))
	{
		fprintf(stderr, "the body is too long\n");
		exit(1);
	}
	client->received = 0;
	client->sent_at = now();
	if (write(client->socket, request, (size_t) length) != length)
		fail("write");
}

static void
note(double time)
{
	if (count == capacity)
	{
		capacity = capacity * 2 + 65536;
		times = realloc(times, capacity * sizeof(double));
		if (times == NULL)
			fail("realloc");
	}
	times[count++] = time;
}

/*
 * Reads what has come; returns whether the answer is complete.
 */
static int
read_answer(Client *client)
{
	ssize_t		got = read(client->socket, client->answer + client->received,
						   MAX_ANSWER - client->received);
	const char *end;
	const char *length;

	if (got <= 0)
	{
		fprintf(stderr, "a connection was closed\n");
		exit(1);
	}
	client->received += (size_t) got;
	client->answer[client->received] = '\0';
	end = strstr(client->answer, "\r\n\r\n");
	length = strcasestr(client->answer, "\r\nContent-Length:");
	return end != NULL &&
		client->received >= (size_t) (end + 4 - client->answer) +
		(length != NULL && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

static void
open_client(Client *client, int epoll, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,.sin_port = htons((uint16_t) port)};
	struct epoll_event event = {.events = EPOLLIN,.data.ptr = client};
	int			on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	client->socket = socket(AF_INET, SOCK_STREAM, 0);
	if (client->socket < 0 ||
		connect(client->socket, (struct sockaddr *) &address, sizeof(address)) != 0)
		fail("connect");
	setsockopt(client->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	epoll_ctl(epoll, EPOLL_CTL_ADD, client->socket, &event);
	send_request(client);
}

static int
compare(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(int argc, char **argv)
{
	int			epoll = epoll_create1(0);
	int			connections;
	double		start;
	double		end;
	Client	   *clients;

	if (argc != 7)
	{
		fprintf(stderr, "usage: http_load PORT PATH BODY CONNECTIONS ACTORS SECONDS\n");
		return 2;
	}
	path = argv[2];
	body = argv[3];
	connections = atoi(argv[4]);
	actors = atol(argv[5]);
	if (connections <= 0 || actors <= 0)
	{
		fprintf(stderr, "there must be connections and actors\n");
		return 2;
	}
	clients = calloc((size_t) connections, sizeof(Client));
	start = now();
	end = start + atof(argv[6]);
	for (int i = 0; i < connections; i++)
		open_client(&clients[i], epoll, atoi(argv[1]));

	while (now() < end || count < (size_t) connections)
	{
		struct epoll_event events[256];
		int			ready = epoll_wait(epoll, events, 256, ANSWER_SECONDS * 1000);

		if (ready == 0)
		{
			fprintf(stderr, "there was no answer in %d seconds\n", ANSWER_SECONDS);
			return 1;
		}

		for (int i = 0; i < ready; i++)
		{
			Client	   *client = events[i].data.ptr;

			if (!read_answer(client))
				continue;
			if (strncmp(client->answer, "HTTP/1.1 200", 12) != 0 && failures++ == 0)
				fprintf(stderr, "%s\n", client->answer);
			note(now() - client->sent_at);
			send_request(client);
		}
	}
	end = now();
	qsort(times, count, sizeof(double), compare);
	printf("requests_per_second=%.0f p50_ms=%.3f p99_ms=%.3f requests=%zu failures=%zu\n",
		   count / (end - start), times[count / 2] * 1000,
		   times[(size_t) (count * 0.99)] * 1000, count, failures);
	return failures > 0;
}
