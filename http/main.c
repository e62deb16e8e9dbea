/*-------------------------------------------------------------------------
 *
 * main.c
 *		Starts actor-http and ends it.
 *
 * On SIGTERM or SIGINT it accepts nothing new, lets running requests end, and
 * cancels them after drain_timeout or at a second signal.
 *
 * IDENTIFICATION
 *		http/main.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "app.h"
#include "config.h"
#include "feed.h"
#include "forward.h"
#include "host.h"
#include "late.h"
#include "lease.h"
#include "metadata.h"
#include "options.h"
#include "pool.h"
#include "self.h"
#include "server.h"
#include "session.h"
#include "span.h"
#include "transfer.h"
#include "turn.h"
#include "util.h"

/* how long cancelled requests may take to end */
#define CANCEL_SECONDS		5

/*
 * Applies a Dapr host configuration before anything is served.
 */
static void
apply_host_config(const char *name)
{
	Database	database;
	Session		session = {.database = &database};
	size_t		length;
	char	   *text = file_read(name, &length);
	const char *values[1] = {text};
	PGresult   *result;
	char	   *reason;

	json_file_check(name, text, length);
	database_init(&database, options.database);
	(void) session_query(&session, "SELECT @.actor_configure($1::pg_catalog.jsonb)", NULL,
						 false, 1, values, &result, &reason);
	if (result == NULL)
		die("could not apply \"%s\": %s", name, reason);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);

		die("could not apply \"%s\": %s%s%s", name,
			PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
			detail != NULL ? ": " : "", detail != NULL ? detail : "");
	}
	PQclear(result);
	session_close(&session);
	database_free(&database);
	free(text);
	log_line("applied \"%s\"", name);
}

/*
 * Makes room for the connections of clients, as far as that is allowed.
 */
static void
raise_file_limit(void)
{
	struct rlimit limit;
	rlim_t		wanted = (rlim_t) (options.max_connections +
								   (options.pool_size + 2) * (long) (options.ntokens + 1) + 192);

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ?
		wanted : limit.rlim_max;
	(void) setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < wanted)
		log_line("there can be fewer than %ld connections: the limit on open files is %ld",
				 options.max_connections, (long) limit.rlim_cur);
}

static bool
is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0 ||
		strcmp(address, "localhost") == 0;
}

static void
cancel_all(void)
{
	if (options.app != NULL)
	{
		inboxes_cancel();
		forwards_cancel();
	}
	pools_cancel();
}

/*
 * Where other hosts reach this one, unless the operator has said that.
 */
static char *
find_address(void)
{
	char		name[256] = "";

	if (options.address != NULL)
		return xstrdup(options.address);
	/* all addresses of the machine: it has a name */
	if ((strcmp(options.listen, "0.0.0.0") == 0 || strcmp(options.listen, "::") == 0) &&
		gethostname(name, sizeof(name) - 1) == 0 && name[0] != '\0')
		return xprintf("http://%s:%ld", name, options.port);
	return xprintf(strchr(options.listen, ':') != NULL ? "http://[%s]:%ld" : "http://%s:%ld",
				   options.listen, options.port);
}

/*
 * Begins to serve the application, once requests are.
 */
static void
start_hosting(void)
{
	char	   *address = find_address();

	self_set_address(address);
	free(address);
	host_start();
}

/*
 * Lets running requests end, however long that may take.
 */
static void
drain(const sigset_t *signals)
{
	int64_t		deadline = now_ms() + options.drain_timeout * 1000;
	struct timespec no_time = {0};
	bool		impatient = false;

	/* the application can still ask for what belongs to its methods */
	server_refuse();
	feeds_end();
	while (options.app != NULL && !impatient && now_ms() < deadline &&
		   !host_leave(now_ms() + 1000))
	{
		pools_expire();
		impatient = sigtimedwait(signals, NULL, &no_time) > 0;
	}
	while (!server_drain(1))
	{
		pools_expire();
		if (impatient || now_ms() >= deadline || sigtimedwait(signals, NULL, &no_time) > 0)
		{
			log_line("cancelling the requests that are running");
			cancel_all();
			if (server_drain(CANCEL_SECONDS) || server_can_stop())
				break;
			log_line("requests did not end");
			_exit(1);
		}
	}
}

int
main(int argc, char **argv)
{
	sigset_t	signals;
	struct timespec one_second = {.tv_sec = 1};

	options_read(argc, argv);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	/* threads inherit the mask, so only this one gets them */
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();

	if (options.host_config != NULL)
		apply_host_config(options.host_config);
	requests_start(request_finished);
	transfers_start();
	if (options.otlp_endpoint != NULL)
		spans_start();
	if (options.app != NULL)
	{
		app_start();
		self_start();
		late_start();
		forwards_start();
		leases_start();
	}
	pools_start();
	feeds_start();
	metadata_start();
	server_start();
	if (options.app != NULL)
		start_hosting();
	if (options.dashboard)
		log_line("the dashboard is at http://%s:%ld/", options.dashboard_listen, options.dashboard_port);
	log_line("listening on %s, port %ld", options.listen, options.port);
	if (!is_loopback(options.listen) && options.api_token == NULL && options.ntokens == 0)
		log_line("everybody who can reach %s may use it, since there is no token", options.listen);

	while (sigtimedwait(&signals, NULL, &one_second) < 0)
		pools_expire();
	log_line("shutting down");
	drain(&signals);
	server_stop();
	if (options.app != NULL)
	{
		forwards_stop();
		leases_stop();
		late_stop();
	}
	feeds_stop();
	pools_stop();
	if (options.app != NULL)
	{
		host_stop();
		self_stop();
	}
	if (options.otlp_endpoint != NULL)
		spans_stop();
	transfers_stop();
	metadata_stop();
	options_free();
	log_line("ended");
	return 0;
}
