/*-------------------------------------------------------------------------
 *
 * options.c
 *		Options from the configuration file, the environment and flags; what
 *		comes later in this list wins.
 *
 * Tokens are no flags, because everybody on a machine sees those.
 *
 * IDENTIFICATION
 *		http/options.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "util.h"

Options		options = {
	.port = 3500,
	.pool_size = 10,
	.threads = 2,
	.body_limit = 4 * 1024 * 1024,
	.max_connections = 4096,
	.idle_timeout = 60,
	.request_timeout = 30,
	.queue_timeout = 30,
	.drain_timeout = 30,
	.app_timeout = 60,
	.dashboard_port = 3501,
};

static const OptionRow option_rows[] = {
	{"listen", "ADDRESS", "address to listen on (127.0.0.1)", &options.listen},
	{"port", "PORT", "port to listen on, 0 for any (3500)", NULL, &options.port, 0, 65535},
	{"database", "CONNINFO", "connection string or URI of the database", &options.database},
	{"app_id", "ID", "id that the metadata show (actor-http)", &options.app_id},
	{"api_token", "TOKEN", "token that clients must show", &options.api_token, .secret = true},
	{"host_config", "FILE", "Dapr host configuration to apply first", &options.host_config},
	{"app", "URL", "application with actors to host, as http://127.0.0.1:3000", &options.app},
	{"app_timeout", "SECONDS", "time that the application has for a call (60)",
	NULL, &options.app_timeout, 1, 86400},
	{"app_token", "TOKEN", "token that the application is shown", &options.app_token, .secret = true},
	{"address", "URL", "where other hosts reach this one (found out)", &options.address},
	{"pool_size", "NUMBER", "connections to the database, for each role (10)",
	NULL, &options.pool_size, 1, 1000},
	{"actor_limit", "NUMBER", "requests of one actor in the database (a quarter of the pool)",
	NULL, &options.actor_limit, 1, 1000},
	{"threads", "NUMBER", "threads that read requests (2)", NULL, &options.threads, 1, 64},
	{"body_limit", "BYTES", "largest body of a request (4194304)",
	NULL, &options.body_limit, 1, 1024L * 1024 * 1024},
	{"max_connections", "NUMBER", "most connections of clients (4096)",
	NULL, &options.max_connections, 1, 1000000},
	{"idle_timeout", "SECONDS", "time after which a silent connection is closed (60)",
	NULL, &options.idle_timeout, 1, 86400},
	{"request_timeout", "SECONDS", "time a client has to send a request (30)",
	NULL, &options.request_timeout, 1, 86400},
	{"queue_timeout", "SECONDS", "time a request waits for a connection to the database (30)",
	NULL, &options.queue_timeout, 1, 86400},
	{"drain_timeout", "SECONDS", "time that running requests get after SIGTERM (30)",
	NULL, &options.drain_timeout, 0, 86400},
	{"otlp_endpoint", "URL", "where spans go, as http://127.0.0.1:4318/v1/traces (nowhere)",
	&options.otlp_endpoint},
	{"dashboard", NULL, "serves a page for operators", .flag = &options.dashboard},
	{"dashboard_listen", "ADDRESS", "address to serve it on (127.0.0.1)", &options.dashboard_listen},
	{"dashboard_port", "PORT", "port to serve it on, 0 for any (3501)",
	NULL, &options.dashboard_port, 0, 65535},
	{"dashboard_database", "CONNINFO", "database, and role that it sees with (--database)",
	&options.dashboard_database},
	{"dashboard_token", "TOKEN", "token that its users must show", &options.dashboard_token, .secret = true},
};

/*
 * The name of an option as a flag, or as a variable of the environment.
 */
static char *
name_as(const OptionRow *row, const char *prefix, bool upper)
{
	char	   *name = xprintf("%s%s", prefix, row->name);

	for (char *c = name; *c != '\0'; c++)
		*c = upper ? (char) toupper((unsigned char) *c) : *c == '_' ? '-' : *c;
	return name;
}

static void
set_option(const OptionRow *row, const char *value, const char *source)
{
	char	   *end;
	long		number;

	if (row->text != NULL)
	{
		free(*row->text);
		*row->text = xstrdup(value);
		return;
	}
	if (row->flag != NULL)
	{
		if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
			die("%s must be on or off", source);
		*row->flag = strcmp(value, "on") == 0;
		return;
	}
	errno = 0;
	number = strtol(value, &end, 10);
	if (value[0] == '\0' || *end != '\0' || errno != 0 || number < row->min || number > row->max)
		die("%s must be a whole number from %ld to %ld", source, row->min, row->max);
	*row->number = number;
}

static void
show_help(void)
{
	printf("actor-http serves Dapr's actor HTTP API for actors in PostgreSQL.\n\n"
		   "Usage: actor-http [OPTION]...\n\n");
	for (size_t i = 0; i < lengthof(option_rows); i++)
	{
		char	   *flag = name_as(&option_rows[i], "--", false);
		bool		has_value = option_rows[i].flag == NULL;
		char	   *both = xprintf("%s%s%s", flag, has_value ? " " : "",
								   has_value ? option_rows[i].argument : "");

		if (!option_rows[i].secret)
			printf("  %-34s %s\n", both, option_rows[i].help);
		free(both);
		free(flag);
	}
	printf("  %-34s %s\n", "--config FILE", "JSON file with such options, and tokens");
	printf("  %-34s %s\n  %-34s %s\n", "--help", "shows this", "--version", "shows the version");
	printf("\nEach option can also be in the environment, --pool-size as ACTOR_HTTP_POOL_SIZE.\n"
		   "ACTOR_HTTP_API_TOKEN is the token that clients must show,\n"
		   "ACTOR_HTTP_APP_TOKEN the one that the application is shown, and\n"
		   "ACTOR_HTTP_DASHBOARD_TOKEN the one that users of the page must show.\n");
}

static void
add_token(const Token *token)
{
	options.tokens = xrealloc(options.tokens, (options.ntokens + 1) * sizeof(Token));
	options.tokens[options.ntokens++] = *token;
}

static void
read_environment(void)
{
	for (size_t i = 0; i < lengthof(option_rows); i++)
	{
		char	   *name = name_as(&option_rows[i], "ACTOR_HTTP_", true);
		const char *value = getenv(name);

		if (value != NULL)
			set_option(&option_rows[i], value, name);
		free(name);
	}
}

/*
 * The value of a flag, which may follow it after "=" or as the next word.
 */
static const char *
flag_value(const char *flag, int argc, char **argv, int *i)
{
	size_t		length = strlen(flag);

	if (strncmp(argv[*i], flag, length) != 0)
		return NULL;
	if (argv[*i][length] == '=')
		return argv[*i] + length + 1;
	if (argv[*i][length] != '\0')
		return NULL;
	if (*i + 1 >= argc)
		die("option %s needs a value", flag);
	return argv[++*i];
}

static bool
read_flag(int argc, char **argv, int *i)
{
	const char *value;

	for (size_t row = 0; row < lengthof(option_rows); row++)
	{
		char	   *flag = name_as(&option_rows[row], "--", false);

		if (option_rows[row].secret)
			value = NULL;
		else if (option_rows[row].flag != NULL)
			value = strcmp(argv[*i], flag) == 0 ? "on" : NULL;
		else
			value = flag_value(flag, argc, argv, i);
		if (value != NULL)
			set_option(&option_rows[row], value, flag);
		free(flag);
		if (value != NULL)
			return true;
	}
	return false;
}

/*
 * An address of another program, without a slash at its end.
 */
static void
check_url(const char *flag, char **url)
{
	size_t		length;

	if (*url != NULL && (*url)[0] == '\0')
	{
		free(*url);
		*url = NULL;
	}
	if (*url == NULL)
		return;
	if (strncmp(*url, "http://", 7) != 0 && strncmp(*url, "https://", 8) != 0)
		die("%s must be a URL that begins with http:// or https://", flag);
	if (strpbrk(*url, "?#@ ") != NULL)
		die("%s must be a URL with a host, perhaps a port and a path, and no more", flag);
	length = strlen(*url);
	while ((*url)[length - 1] == '/')
		(*url)[--length] = '\0';
}

/*
 * options_read
 *		Fills in the options, or ends the program with a message.
 */
void
options_read(int argc, char **argv)
{
	const ConfigTarget target = {option_rows, lengthof(option_rows), add_token};
	const char *config = getenv("ACTOR_HTTP_CONFIG");
	const char *value;

	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--help") == 0)
		{
			show_help();
			exit(0);
		}
		if (strcmp(argv[i], "--version") == 0)
		{
			printf("actor-http %s\n", ACTOR_HTTP_VERSION);
			exit(0);
		}
		if ((value = flag_value("--config", argc, argv, &i)) != NULL)
			config = value;
	}

	options.listen = xstrdup("127.0.0.1");
	options.database = xstrdup("");
	options.app_id = xstrdup("actor-http");
	options.dashboard_listen = xstrdup("127.0.0.1");
	if (config != NULL && config[0] != '\0')
		config_read(config, &target);
	read_environment();
	for (int i = 1; i < argc; i++)
		if (flag_value("--config", argc, argv, &i) == NULL && !read_flag(argc, argv, &i))
			die("there is no option \"%s\"; see --help", argv[i]);
	if (options.actor_limit == 0)
		options.actor_limit = (options.pool_size + 3) / 4;
	if (options.api_token != NULL && options.api_token[0] == '\0')
		die("the token must not be empty");
	if (options.dashboard && (options.dashboard_token == NULL || options.dashboard_token[0] == '\0'))
		die("--dashboard needs ACTOR_HTTP_DASHBOARD_TOKEN, which must not be empty");
	check_url("--app", &options.app);
	check_url("--address", &options.address);
	check_url("--otlp-endpoint", &options.otlp_endpoint);
	if (options.app != NULL && options.api_token == NULL && options.ntokens > 0)
		die("--app needs ACTOR_HTTP_API_TOKEN where there are tokens: without it the application cannot call");
}

void
options_free(void)
{
	for (size_t i = 0; i < lengthof(option_rows); i++)
		if (option_rows[i].text != NULL)
			free(*option_rows[i].text);
	for (size_t i = 0; i < options.ntokens; i++)
	{
		free(options.tokens[i].secret);
		free(options.tokens[i].database);
	}
	free(options.tokens);
}
