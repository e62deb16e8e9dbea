/*-------------------------------------------------------------------------
 *
 * app.c
 *		An application with actors, for the tests and the benchmark of
 *		"actor-http --app": it does what the SDKs of Dapr do, with routes by hand.
 *
 *	app --port=PORT --host=PORT [--journal=FILE] [--gates=FOLDER] [--types=A,B]
 *		[--config=JSON]
 *
 * It serves GET /dapr/config and /healthz, PUT /actors/TYPE/ID/method/METHOD and
 * DELETE /actors/TYPE/ID, and sends its own requests to actor-http at the port
 * --host.  DAPR_API_TOKEN is what it sends with them, APP_API_TOKEN what it asks
 * for.  Instances are made by the first call of an actor and live until DELETE.
 * Each keeps what it has read and written of its state in memory.  What a method
 * has changed is sent in one request after it, right before the answer, and
 * counts as saved from the moment it is sent, as in the SDKs.
 *
 * The journal has a line for each begin and end of a call and for whatever else
 * the tests want to know, with tabs between its fields: what, number of the
 * process, number of the instance, type, id, number of the call, method, chain,
 * and one thing more.  Lines of several processes do not mix.
 *
 * A method waits for the tests by a gate: a file in --gates.  As long as there is a
 * file "inactive ID" no actor of that id can be activated, and as long as there is
 * one "parting ID" it saves something when it is deactivated.
 *
 * One thread serves one connection.
 *
 * IDENTIFICATION
 *		t/hosted/app.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "app.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *host_port;
const char *gates = "/nonexistent";
const char *api_token;
int			journal = -1;

static char *config;
static const char *app_token;
static unsigned last_call;

/*
 * Whether the tests have made a file for an actor.
 */
bool
is_there(const char *what, const char *id)
{
	char		path[1024];
	struct stat file;

	snprintf(path, sizeof(path), "%s/%s %s", gates, what, id);
	return stat(path, &file) == 0;
}

/* what comes in ------------------------------------------------------------ */

static void
run_call(Call *call, const char *method)
{
	json_t	   *body = json_loadb(call->body.data ? call->body.data : "", call->body.length,
								  JSON_DECODE_ANY, NULL);

	call->method = method;
	call->argument = json_is_array(body) ? json_incref(json_array_get(body, 0)) : json_incref(body);
	call->number = __atomic_add_fetch(&last_call, 1, __ATOMIC_SEQ_CST);
	call->chain = MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Dapr-Reentrancy-Id");
	call->traceparent = MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "traceparent");
	note("begin", call->instance, call, call->traceparent);
	if (strncmp(method, "remind/", 7) == 0)
		run_callback(call, "reminded", "lastReminder");
	else if (strncmp(method, "timer/", 6) == 0)
		run_timer(call);
	else if (!run_method(call, method))
		reply(call, 404, "there is no method %s", method);
	if (!failed(call) && !call->hang_up)
		save(call);
	note("end", call->instance, call, failed(call) ? "failed" : call->hang_up ? "hung up" : "done");
	json_decref(call->argument);
	json_decref(body);
}

/*
 * /actors/TYPE/ID or /actors/TYPE/ID/method/METHOD
 */
static void
route_actor(Call *call, const char *verb, const char *url)
{
	char	   *copy = check(strdup(url + strlen("/actors/")));
	char	   *type = copy;
	char	   *id = strchr(type, '/');
	char	   *method = NULL;

	if (id != NULL)
	{
		*id++ = '\0';
		method = strchr(id, '/');
		if (method != NULL)
			*method++ = '\0';
	}
	if (id == NULL || *id == '\0')
		reply(call, 404, "there is nothing");
	else if (strcmp(verb, "DELETE") == 0 && method == NULL)
	{
		/* the SDK for JavaScript ends when it is told what it does not know */
		if (!drop_instance(type, id, call))
		{
			Instance	unknown = {.type = type, .id = id};

			note("unknown", &unknown, call, "instance");
			reply(call, 500, "there is no instance");
		}
	}
	else if (strcmp(verb, "PUT") == 0 && method != NULL && strncmp(method, "method/", 7) == 0)
	{
		if (is_there("inactive", id))
		{
			reply(call, 500, "{}");
			call->express = true;
			free(copy);
			return;
		}
		call->instance = enter_instance(type, id);
		run_call(call, method + strlen("method/"));
		call->method = NULL;
		leave_instance(call->instance);
	}
	else
		reply(call, 405, "not so");
	free(copy);
}

static void
route(Call *call, const char *verb, const char *url)
{
	const char *token = MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "dapr-api-token");
	char		sick[1024];
	struct stat file;

	call->status = 200;
	snprintf(sick, sizeof(sick), "%s/unhealthy", gates);
	if (app_token != NULL && (token == NULL || strcmp(token, app_token) != 0))
		reply(call, 401, "no token");
	else if (strcmp(url, "/healthz") == 0)
		reply(call, stat(sick, &file) == 0 ? 500 : 200, "ok");
	else if (strcmp(url, "/dapr/config") == 0)
	{
		note("config", NULL, NULL, NULL);
		if (config == NULL)
			reply(call, 404, "no actors");
		else
		{
			reply(call, 200, "%s", config);
			call->content_type = check(strdup("application/json"));
		}
	}
	else if (strncmp(url, "/actors/", 8) == 0)
		route_actor(call, verb, url);
	else
		reply(call, 404, "there is nothing");
}

static enum MHD_Result
add_seen(void *response, enum MHD_ValueKind kind, const char *key, const char *value)
{
	char		name[256];

	(void) kind;
	snprintf(name, sizeof(name), "seen-%s", key);
	return MHD_add_response_header(response, name, value ? value : "");
}

static enum MHD_Result
send_answer(Call *call)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(call->answer.length, call->answer.data,
											   MHD_RESPMEM_MUST_FREE);
	call->answer = (Buffer) {0};
	if (call->content_type != NULL)
		MHD_add_response_header(response, "Content-Type", call->content_type);
	if (call->express)
		MHD_add_response_header(response, "X-Powered-By", "Express");
	if (call->echo)
	{
		const char *query = strchr(call->target, '?');

		MHD_get_connection_values(call->connection, MHD_HEADER_KIND, add_seen, response);
		MHD_add_response_header(response, "seen-query", query ? query + 1 : "none");
		MHD_add_response_header(response, "X-Twice", "one");
		MHD_add_response_header(response, "X-Twice", "two");
		MHD_add_response_header(response, "X-Hop", "of this connection");
		MHD_add_response_header(response, "Connection", "x-hop");
	}
	result = MHD_queue_response(call->connection, call->status, response);
	MHD_destroy_response(response);
	return result;
}

static void *
on_target(void *nothing, const char *target, struct MHD_Connection *connection)
{
	Call	   *call = check(calloc(1, sizeof(Call)));

	(void) nothing;
	call->connection = connection;
	call->target = check(strdup(target));
	return call;
}

static enum MHD_Result
on_request(void *nothing, struct MHD_Connection *connection, const char *url, const char *verb,
		   const char *version, const char *data, size_t *size, void **state)
{
	Call	   *call = *state;

	(void) nothing;
	(void) version;
	(void) connection;
	if (call->method == NULL)
	{
		/* the headers have come */
		call->method = "";
		return MHD_YES;
	}
	if (*size > 0)
	{
		add_bytes(&call->body, data, *size);
		*size = 0;
		return MHD_YES;
	}
	call->method = NULL;
	route(call, verb, url);
	return call->hang_up ? MHD_NO : send_answer(call);
}

static void
on_end(void *nothing, struct MHD_Connection *connection, void **state,
	   enum MHD_RequestTerminationCode code)
{
	Call	   *call = *state;

	(void) nothing;
	(void) connection;
	(void) code;
	if (call == NULL)
		return;
	clear(&call->body);
	clear(&call->answer);
	free(call->content_type);
	free(call->target);
	free(call);
	*state = NULL;
}

/* start -------------------------------------------------------------------- */

/*
 * The configuration for types that are separated by commas.
 */
static char *
config_for(const char *types)
{
	json_t	   *entities = json_array();
	json_t	   *document;
	char	   *copy = check(strdup(types));
	char	   *rest = copy;
	char	   *text;

	for (char *type; (type = strsep(&rest, ",")) != NULL;)
		json_array_append_new(entities, json_string(type));
	document = check(json_pack("{s:o}", "entities", entities));
	text = check(json_dumps(document, 0));
	json_decref(document);
	free(copy);
	return text;
}

static const char *
option(const char *argument, const char *name)
{
	size_t		length = strlen(name);

	return strncmp(argument, name, length) == 0 && argument[length] == '='
		? argument + length + 1
		: NULL;
}

int
main(int argc, char **argv)
{
	struct MHD_Daemon *daemon;
	const char *port = NULL;
	const char *value;
	sigset_t	signals;
	int			signal_number;

	for (int i = 1; i < argc; i++)
	{
		if ((value = option(argv[i], "--port")) != NULL)
			port = value;
		else if ((value = option(argv[i], "--host")) != NULL)
			host_port = value;
		else if ((value = option(argv[i], "--gates")) != NULL)
			gates = value;
		else if ((value = option(argv[i], "--types")) != NULL)
			config = config_for(value);
		else if ((value = option(argv[i], "--config")) != NULL)
			config = check(strdup(value));
		else if ((value = option(argv[i], "--journal")) != NULL)
			journal = open(value, O_WRONLY | O_CREAT | O_APPEND, 0644);
		else
		{
			fprintf(stderr, "app: unknown argument %s\n", argv[i]);
			return 2;
		}
	}
	if (port == NULL || host_port == NULL)
	{
		fprintf(stderr, "usage: app --port=PORT --host=PORT [--journal=FILE] [--gates=FOLDER]"
				" [--types=A,B] [--config=JSON]\n");
		return 2;
	}
	api_token = getenv("DAPR_API_TOKEN");
	app_token = getenv("APP_API_TOKEN");
	start_client();
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	daemon = MHD_start_daemon(MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
							  MHD_USE_POLL,
							  (uint16_t) atoi(port), NULL, NULL, on_request, NULL,
							  MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
							  MHD_OPTION_NOTIFY_COMPLETED, on_end, NULL,
							  MHD_OPTION_CONNECTION_LIMIT, 4096u,
							  MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u,
							  MHD_OPTION_END);
	if (daemon == NULL)
		die("could not listen");
	note("start", NULL, NULL, port);
	fprintf(stderr, "app: listening on port %s\n", port);
	sigwait(&signals, &signal_number);
	note("stop", NULL, NULL, NULL);
	/* as a process ends: nothing is waited for */
	_exit(0);
}
