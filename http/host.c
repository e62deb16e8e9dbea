/*-------------------------------------------------------------------------
 *
 * host.c
 *		Joining the hosts, and leaving them.
 *
 * One thread has a session by which the server knows that this host lives.  It
 * looks whether the application is there and still the same, asks it what it has,
 * and joins with that:
 *
 *	absent --listens--> there --tells its types--> joined --gone or other--> absent
 *
 * With each application that was started anew, and with each session, the host
 * joins under another id.
 *
 * The thread also finds what is to be dropped from the application: actors that
 * are idle, that belong to another host now, or that a host before this one has
 * left behind.
 *
 * IDENTIFICATION
 *		http/host.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app.h"
#include "callback.h"
#include "ending.h"
#include "host.h"
#include "instance.h"
#include "options.h"
#include "result.h"
#include "self.h"
#include "session.h"
#include "types.h"
#include "util.h"

/* time between two looks, and while something is missing */
#define LOOK_MS				1000
#define RETRY_MS			100
/* time until a session that was none to live by is looked at again */
#define REFUSED_MS			5000
/* how often a host tries to leave from a session that others have, too */
#define SHARED_TRIES		10
/* what is said again in the log, at most that often */
#define LOG_AGAIN_MS		60000

/* what the thread knows */
typedef struct Host
{
	Database	database;
	Session		session;		/* that of the host */
	int			pid;			/* of the process at the server that it is to have */
	int64_t		refused_until;	/* it is none to live by */
	bool		present;		/* the application is */
	bool		told;			/* and has told its types */
	bool		joined;
	bool		outdated;		/* with what another application had */
	bool		reported;		/* as one that can be reached */
	json_t	   *entities;		/* its types */
	char	   *hosts;			/* those there were at the last look */
	char	   *complaint;		/* in the log, and when */
	int64_t		complained_at;
} Host;

static pthread_t thread;
static Host host;

/* the log --------------------------------------------------------------- */

/*
 * Says something that may be so for long, once.  Takes over the text.
 */
static void
complain(char *text)
{
	if (host.complaint == NULL || strcmp(host.complaint, text) != 0 ||
		now_ms() - host.complained_at > LOG_AGAIN_MS)
	{
		log_line("%s", text);
		host.complained_at = now_ms();
	}
	free(host.complaint);
	host.complaint = text;
}

static void
stop_complaining(void)
{
	free(host.complaint);
	host.complaint = NULL;
}

/* the session ----------------------------------------------------------- */

/*
 * The others believe that this host is gone.
 */
static void
lose_session(void)
{
	if (host.joined)
		log_line("lost the session of the host");
	host.joined = false;
	self_gone();
	session_leave(&host.session);
	session_close(&host.session);
}

/*
 * Runs a statement.  NULL, and the log says why, if that has failed.  If the
 * session breaks there is no other one before the host joins anew.
 */
static PGresult *
ask(const char *sql, int nvalues, const char *const *values)
{
	const Statement statement = {.sql = sql,.nvalues = nvalues,.values = values};
	PGresult   *result;
	char	   *reason;

	if (session_statements(&host.session, &statement, 1, &result, &reason) != QUERY_ANSWERED)
	{
		complain(xprintf("could not use the database as a host: %s", reason));
		free(reason);
		lose_session();
		return NULL;
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		return result;
	complain(xprintf("could not work as a host: %s%s%s",
					 PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
					 PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) != NULL ? ": " : "",
					 PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) != NULL ?
					 PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL) : ""));
	PQclear(result);
	return NULL;
}

/*
 * Runs a statement whose result does not matter.
 */
static bool
tell(const char *sql, int nvalues, const char *const *values)
{
	PGresult   *result = ask(sql, nvalues, values);

	PQclear(result);
	return result != NULL;
}

static bool
connect_session(void)
{
	char	   *reason;

	if (host.session.connection != NULL)
		return true;
	if (session_enter(&host.session, &reason))
		return true;
	free(reason);				/* the log has it */
	return false;
}

/* types ----------------------------------------------------------------- */

static bool
is_here(const char *type)
{
	size_t		i;
	json_t	   *entity;

	json_array_foreach(host.entities, i, entity)
		if (json_is_string(entity) && strcmp(json_string_value(entity), type) == 0)
		return true;
	return false;
}

/*
 * Reads all hosted types.
 */
static bool
read_types(void)
{
	PGresult   *result = ask("SELECT actor_type, pg_catalog.floor(EXTRACT(epoch FROM COALESCE(idle_timeout,"
							 " pg_catalog.current_setting('actor.idle_timeout', true)::pg_catalog.interval))"
							 " OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8,"
							 " COALESCE(reentrancy, pg_catalog.current_setting('actor.reentrancy', true)::pg_catalog.bool),"
							 " turn OPERATOR(pg_catalog.=) 'lease', actor.host_secret(actor_type)"
							 " FROM actor.type WHERE hosted ORDER BY actor_type", 0, NULL);
	HostedType *types;

	if (result == NULL)
		return false;
	types = xmalloc((size_t) PQntuples(result) * sizeof(HostedType));
	for (int i = 0; i < PQntuples(result); i++)
		types[i] = (HostedType)
	{
		.name = xstrdup(PQgetvalue(result, i, 0)),
			.idle_ms = PQgetisnull(result, i, 1) ? 0 : strtoll(PQgetvalue(result, i, 1), NULL, 10),
			.reentrant = PQgetvalue(result, i, 2)[0] == 't',
			.lease = PQgetvalue(result, i, 3)[0] == 't',
			.here = is_here(PQgetvalue(result, i, 0))
	};
	for (int i = 0; i < PQntuples(result); i++)
		strncat(types[i].secret, PQgetvalue(result, i, 4), SECRET_SIZE - 1);
	types_set(types, PQntuples(result));
	PQclear(result);
	return true;
}

/* the application ------------------------------------------------------- */

/*
 * Takes the document in which an application says what it has, and registers its
 * types.
 */
static bool
take_config(const char *text, size_t length)
{
	json_error_t error;
	json_t	   *document = json_loadb(text, length, 0, &error);
	json_t	   *entities = json_object_get(document, "entities");
	const char *values[] = {text};
	bool		taken = false;

	if (document == NULL || !json_is_object(document))
		complain(xprintf("GET %s/dapr/config: no JSON object: %s", options.app,
						 document == NULL ? error.text : "it is something else"));
	else if (tell("SELECT @.actor_configure($1::pg_catalog.jsonb, hosted => true)", 1, values))
	{
		json_decref(host.entities);
		host.entities = json_is_array(entities) ? json_incref(entities) : json_array();
		taken = true;
	}
	json_decref(document);
	return taken;
}

/*
 * Asks the application what it has.  Returns whether it has told, and its types
 * are registered.
 */
static bool
ask_application(void)
{
	Transfer   *transfer = app_fetch("/dapr/config");
	bool		told = false;

	if (transfer->state != TRANSFER_ANSWERED)
		complain(xprintf("waiting for the application at %s: %s", options.app, transfer->problem));
	else if (transfer->status == 404)
	{
		/* it has no actors */
		json_decref(host.entities);
		host.entities = json_array();
		told = true;
	}
	else if (transfer->status / 100 != 2)
		complain(xprintf("GET %s/dapr/config: status %d", options.app, transfer->status));
	else if (connect_session())
		told = take_config(transfer->content.data != NULL ? transfer->content.data : "",
						   transfer->content.length);
	transfer_free(transfer, NULL);
	return told;
}

/* poolers ----------------------------------------------------------------- */

/*
 * The number of the process at the server that works for the session of the host; 0 if
 * that is lost.
 */
static int
own_pid(void)
{
	PGresult   *result = ask("SELECT pg_catalog.pg_backend_pid()", 0, NULL);
	int			pid = result != NULL ? atoi(PQgetvalue(result, 0, 0)) : 0;

	PQclear(result);
	return pid;
}

/*
 * The same of another session, in a transaction that is left open.
 */
static int
server_pid(Session *session)
{
	const Statement statements[] = {
		{.sql = "BEGIN"}, {.sql = "SELECT pg_catalog.pg_backend_pid()"}
	};
	PGresult   *results[2];
	char	   *reason;
	int			pid = 0;

	if (session_statements(session, statements, 2, results, &reason) == QUERY_ANSWERED &&
		PQresultStatus(results[1]) == PGRES_TUPLES_OK)
		pid = atoi(PQgetvalue(results[1], 0, 0));
	results_clear(results, 2);
	free(reason);
	return pid;
}

/*
 * The host does not join with this session, nor look at it again too soon.  Takes over
 * the text for the log.
 */
static void
refuse_session(char *text)
{
	complain(text);
	host.refused_until = now_ms() + REFUSED_MS;
}

static void
refuse_shared(void)
{
	refuse_session(xstrdup("could not work as a host: sessions of --database are those of a pooler, which gives"
						   " them to others after each transaction: connect to the server itself, or to a pool"
						   " whose clients keep their sessions (pool_mode = session)"));
}

/*
 * Whether the session is one that the host can live by: it keeps its process at the
 * server, although something may be between them.  Nobody else gets that while the host
 * does nothing, and the host gets no other one while somebody else does something.  If
 * it is not, the log says why.
 */
static bool
is_own_session(void)
{
	Session		other = {.database = &host.database};
	char	   *reason;
	int			others;
	bool		keeps = false;

	host.pid = own_pid();
	/* what is between them has ids of its own */
	if (host.pid == 0 || host.pid == PQbackendPID(host.session.connection))
		return host.pid != 0;
	if (session_enter(&other, &reason))
	{
		/* who has no transactions gives sessions to others after each statement */
		others = server_pid(&other);
		keeps = others != 0 && others != host.pid && own_pid() == host.pid;
		if (!keeps && host.session.connection != NULL)
			refuse_shared();
	}
	else
		refuse_session(xprintf("could not look whether sessions of --database are those of a pooler, which gives"
							   " them to others, for want of a second one: %s", reason));
	free(reason);
	session_close(&other);
	return keeps;
}

/*
 * Lets a host not be taken for one that lives, although the process at the server in
 * which it has joined is not its own.  Only there that is possible.
 */
static void
leave_shared(const char *host_id, const char *pid)
{
	const char *values[] = {host_id, pid};
	bool		left = false;

	for (int i = 0; i < SHARED_TRIES && !left; i++)
	{
		PGresult   *result = ask("SELECT CASE WHEN pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) $2::pg_catalog.int4"
								 " THEN actor.host_leave($1::pg_catalog.uuid) END", 2, values);

		if (result == NULL)
			break;
		left = !PQgetisnull(result, 0, 0);
		PQclear(result);
	}
	if (!left)
		log_line("host %s is taken for one that lives until process %s of the server ends", host_id, pid);
	refuse_shared();
}

/*
 * Removes a host from those that there are.
 */
static void
tell_leaving(const char *host_id)
{
	(void) tell("SELECT actor.host_leave($1::pg_catalog.uuid)", 1, &host_id);
}

/*
 * Whether the server takes this host for one that lives.  The session may have been
 * cleaned by somebody who did not know what it is for, or be none of its own.
 */
static bool
lives(void)
{
	char		host_id[UUID_SIZE];
	char		pid[16];
	const char *values[] = {host_id};
	PGresult   *result;
	bool		so;

	(void) self_id(host_id);
	result = ask("SELECT actor.host_is_alive($1::pg_catalog.uuid), pg_catalog.pg_backend_pid()",
				 1, values);
	so = result != NULL && PQgetvalue(result, 0, 0)[0] == 't';
	/* a pooler that shares sessions may have given it that one by chance */
	if (so && atoi(PQgetvalue(result, 0, 1)) != host.pid)
	{
		snprintf(pid, sizeof(pid), "%d", host.pid);
		leave_shared(host_id, pid);
		so = false;
	}
	PQclear(result);
	return so;
}

/* joining --------------------------------------------------------------- */

/*
 * The types of the application as an array of the database, to be freed.
 */
static char *
types_array(void)
{
	Buffer		text = {0};
	size_t		i;
	json_t	   *entity;

	buffer_text(&text, "{");
	json_array_foreach(host.entities, i, entity)
	{
		const char *name = json_is_string(entity) ? json_string_value(entity) : "";

		buffer_text(&text, i > 0 ? ",\"" : "\"");
		for (; *name != '\0'; name++)
		{
			char		escaped[] = {'\\', *name, '\0'};

			buffer_text(&text, *name == '"' || *name == '\\' ? escaped : escaped + 1);
		}
		buffer_text(&text, "\"");
	}
	buffer_text(&text, "}");
	return text.data;
}

/*
 * Remembers what the application may still have from hosts before this one.
 */
static bool
take_left_behind(const char *host_id)
{
	PGresult   *result = ask("SELECT * FROM actor.host_left_behind($1::pg_catalog.uuid)",
							 1, &host_id);
	int			from;

	if (result == NULL)
		return false;
	from = PQfnumber(result, "held_from");
	/* of what this process has left under another id it knows better */
	for (int i = 0; i < PQntuples(result); i++)
		if (from < 0 || PQgetisnull(result, i, from) || !self_was(PQgetvalue(result, i, from)))
			instance_left(PQgetvalue(result, i, 0), PQgetvalue(result, i, 1));
	PQclear(result);
	return true;
}

/*
 * Joins the hosts under a new id.
 */
static bool
join(void)
{
	char		host_id[UUID_SIZE];
	char	   *types;
	char	   *identity;
	const char *values[] = {host_id, options.app_id, NULL, self_address(), NULL};
	PGresult   *result;

	if (now_ms() < host.refused_until || !is_own_session())
		return false;
	values[2] = identity = app_identity();
	values[4] = types = types_array();
	uuid_create(host_id);
	result = ask("SELECT actor.host_join($1::pg_catalog.uuid, $2::pg_catalog.text,"
				 " $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text[]),"
				 " pg_catalog.pg_backend_pid()", 5, values);
	free(types);
	free(identity);
	if (result != NULL && atoi(PQgetvalue(result, 0, 1)) != host.pid)
	{
		leave_shared(host_id, PQgetvalue(result, 0, 1));
		PQclear(result);
		result = NULL;
	}
	/* what was left is known before the first call is served */
	if (result == NULL || !read_types() || !take_left_behind(host_id))
	{
		PQclear(result);
		lose_session();
		return false;
	}
	host.joined = host.reported = true;
	/* without an application, only for the time being */
	host.outdated = !host.told;
	self_joined(host_id, PQgetvalue(result, 0, 0), host.told);
	PQclear(result);
	if (host.told)
	{
		stop_complaining();
		log_line("serving the application at %s as host %s", options.app, host_id);
	}
	return true;
}

/*
 * Tells the server whether the application can be reached.
 */
static void
report(bool reachable)
{
	char		host_id[UUID_SIZE];
	const char *values[] = {host_id, reachable ? "true" : "false"};

	if (!host.joined || host.reported == reachable || !self_id(host_id))
		return;
	if (tell("SELECT actor.host_report($1::pg_catalog.uuid, $2::pg_catalog.bool)", 2, values))
		host.reported = reachable;
}

/*
 * The application that was there is gone, and with it all that it had in its memory.
 */
static void
forget_application(void)
{
	char		host_id[UUID_SIZE];
	const char *values[] = {host_id};

	instances_forget_all();
	host.told = false;
	host.outdated = host.joined;
	json_decref(host.entities);
	host.entities = json_array();
	if (host.joined && self_id(host_id))
		(void) tell("SELECT actor.host_forget_all($1::pg_catalog.uuid)", 1, values);
}

/*
 * Leaves the hosts, to join them with another application.
 */
static void
leave(void)
{
	char		host_id[UUID_SIZE];

	if (self_id(host_id))
		tell_leaving(host_id);
	host.joined = false;
	self_gone();
}

/* dropping -------------------------------------------------------------- */

/*
 * Lets actors go that another host is to have now, if the hosts are others than
 * they were.
 */
static void
let_go_moved(void)
{
	PGresult   *result = ask("SELECT pg_catalog.string_agg(host_id::pg_catalog.text OPERATOR(pg_catalog.||)"
							 " reachable::pg_catalog.text, ' ' ORDER BY host_id) FROM actor.host", 0, NULL);
	char		host_id[UUID_SIZE];
	const char *values[] = {host_id};
	bool		changed;

	if (result == NULL || !self_id(host_id))
	{
		PQclear(result);
		return;
	}
	changed = host.hosts == NULL || strcmp(host.hosts, PQgetvalue(result, 0, 0)) != 0;
	if (changed)
	{
		free(host.hosts);
		host.hosts = xstrdup(PQgetvalue(result, 0, 0));
	}
	PQclear(result);
	/* a host before this one may be known to be gone only now */
	if (!changed || !take_left_behind(host_id))
		return;
	result = ask("SELECT actor_type, actor_id FROM actor.host_moving($1::pg_catalog.uuid)",
				 1, values);
	for (int i = 0; i < PQntuples(result); i++)
		(void) ending_begin(PQgetvalue(result, i, 0), PQgetvalue(result, i, 1), false);
	PQclear(result);
}

/*
 * Lets actors go that are idle, or that this host does not have; all, if it leaves.
 * Returns whether there are none.
 */
static bool
let_go(bool all)
{
	bool		any;
	InstanceKey *keys = instances_list(&any);
	int64_t		now = now_ms();

	for (const InstanceKey *key = keys; key != NULL; key = key->next)
	{
		HostedType	type;
		bool		is_idle = type_find(key->type, &type) && type.idle_ms > 0 &&
			now - key->used_at >= type.idle_ms;

		if (endings_under_way() >= (options.pool_size + 1) / 2)
			break;
		if (all || key->used_at == 0)
			(void) ending_begin(key->type, key->id, false);
		else if (is_idle)
			(void) ending_begin(key->type, key->id, true);
	}
	instance_keys_free(keys);
	return !any;
}

/* the thread ------------------------------------------------------------ */

/*
 * The host is among the others without an application, so that it can send on to them
 * what they have.
 */
static void
join_without(void)
{
	if (!host.joined && connect_session())
		(void) join();
	report(false);
}

/*
 * The application is not there.
 */
static void
do_without(AppPresence presence)
{
	if (host.present)
		log_line("the application at %s is gone", options.app);
	if (host.present && presence == APP_GONE)
		forget_application();
	host.present = false;
	join_without();
}

/*
 * There is an application that was not there before.
 */
static void
take_application(void)
{
	forget_application();
	if (host.joined)
		leave();
	app_accept();
}

/*
 * Looks who is there.  Returns whether the host is ready.
 */
static bool
look(void)
{
	AppPresence presence = app_look();

	if (host.joined && (!session_alive(&host.session) || !lives()))
		lose_session();
	if (presence == APP_GONE || presence == APP_UNREACHABLE)
	{
		do_without(presence);
		return false;
	}
	if (presence == APP_OTHER)
		take_application();
	host.present = true;
	if (!host.told)
		host.told = ask_application();
	if (!host.told)
	{
		join_without();
		return false;
	}
	if (!connect_session())
		return false;
	if (host.joined && host.outdated)
		leave();
	if (!host.joined && !join())
		return false;
	report(true);
	return host.joined;
}

static void *
host_main(void *arg)
{
	(void) arg;
	while (!self_is_leaving())
	{
		bool		ready = look();

		self_reachable(ready);
		if (ready && read_types())
		{
			let_go_moved();
			(void) let_go(false);
		}
		(void) self_wait_missed(now_ms() + (ready ? LOOK_MS : RETRY_MS));
	}
	return NULL;
}

/*
 * host_start
 *		Called once there are pools.
 */
void
host_start(void)
{
	host.entities = json_array();
	database_init(&host.database, options.database);
	host.session.database = &host.database;
	callbacks_start();
	if (pthread_create(&thread, NULL, host_main, NULL) != 0)
		die("could not start a thread");
}

/*
 * host_leave
 *		Takes nothing new, and lets all actors go, each after its turn, so that the
 *		other hosts get them; until then at most.  Returns whether all are gone.
 */
bool
host_leave(int64_t until)
{
	bool		done = false;

	if (!self_is_leaving())
	{
		self_leave();
		pthread_join(thread, NULL);
		callbacks_stop();
		report(false);
	}
	/* one that is gone has nothing to be told */
	while (host.joined && app_look() == APP_SAME &&
		   !(done = let_go(true) && endings_under_way() == 0) && now_ms() < until)
		endings_wait(now_ms() + RETRY_MS);
	return done || !host.joined || app_look() != APP_SAME;
}

/*
 * host_stop
 *		Called when nothing is served any more.
 */
void
host_stop(void)
{
	char		host_id[UUID_SIZE];

	if (host.joined && self_id(host_id))
		tell_leaving(host_id);
	session_leave(&host.session);
	session_close(&host.session);
	database_free(&host.database);
	json_decref(host.entities);
	free(host.hosts);
	free(host.complaint);
	types_set(NULL, 0);
	instances_forget_all();
}
