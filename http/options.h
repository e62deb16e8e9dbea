/*-------------------------------------------------------------------------
 *
 * options.h
 *		What the operator has chosen.
 *
 * IDENTIFICATION
 *		http/options.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_OPTIONS_H
#define ACTOR_HTTP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "config.h"

typedef struct Options
{
	char	   *listen;
	long		port;
	char	   *database;
	char	   *app_id;
	char	   *api_token;
	char	   *host_config;
	char	   *app;			/* URL of the application; NULL: none */
	char	   *app_token;
	char	   *address;		/* URL for other hosts */
	long		app_timeout;	/* seconds */
	long		pool_size;
	long		actor_limit;
	long		threads;
	long		body_limit;
	long		max_connections;
	long		idle_timeout;	/* seconds */
	long		request_timeout;	/* seconds */
	long		queue_timeout;	/* seconds */
	long		drain_timeout;	/* seconds */
	char	   *otlp_endpoint;	/* URL; NULL: there are no spans */
	bool		dashboard;
	char	   *dashboard_listen;
	long		dashboard_port;
	char	   *dashboard_database; /* NULL: database */
	char	   *dashboard_token;
	Token	   *tokens;
	size_t		ntokens;
} Options;

/* set before any thread is started, and not changed after that */
extern Options options;

extern void options_read(int argc, char **argv);
extern void options_free(void);

#endif							/* ACTOR_HTTP_OPTIONS_H */
