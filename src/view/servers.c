/*-------------------------------------------------------------------------
 *
 * servers.c
 *		Checks of the doctor: the servers of a cluster.
 *
 * All are asked at once, by the first check; the others look at what they have
 * answered.  A server that does not answer is a finding of the first one.
 *
 * IDENTIFICATION
 *		src/view/servers.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "store/store.h"
#include "view/internal.h"

/* what is prepared is committed at once, unless something is wrong; in seconds */
#define IN_DOUBT_S			5

/* difference of clocks that nobody notices, in seconds */
#define CLOCK_S				1

/* what a server is asked for, in one text; the last part can have any character */
#define PARTS				7

static const char question[] =
"SELECT pg_catalog.format('%s|%s|%s|%s|%s|%s|%s',"
"  (SELECT extversion FROM pg_catalog.pg_extension WHERE extname OPERATOR(pg_catalog.=) 'actor'),"
"  pg_catalog.split_part(pg_catalog.citus_version(), ' ', 2),"
"  pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()),"
"  (SELECT value FROM actor.get_gauges('workers')"
"    WHERE name OPERATOR(pg_catalog.=) 'actor_workers_launcher'),"
"  d.transactions, d.seconds,"
"  pg_catalog.current_setting('shared_preload_libraries'))"
" FROM (SELECT pg_catalog.count(*) AS transactions, pg_catalog.date_part('epoch',"
"   pg_catalog.max(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) prepared)) AS seconds"
"  FROM pg_catalog.pg_prepared_xacts"
"  WHERE database OPERATOR(pg_catalog.=) pg_catalog.current_database()"
"   AND prepared OPERATOR(pg_catalog.<) (pg_catalog.clock_timestamp()"
"    OPERATOR(pg_catalog.-) '" CppAsString2(IN_DOUBT_S) " s'::pg_catalog.interval)) d";

typedef struct Server
{
	char	   *name;
	char	   *fault;			/* why there is no answer; NULL: there is one */
	char	   *version;		/* of the extension */
	char	   *release;		/* of Citus */
	double		ahead;			/* its clock, in seconds */
	bool		launcher;
	int			in_doubt;		/* transactions, and how long the oldest is */
	int			in_doubt_s;
	char	   *libraries;
} Server;

/* the last answers, and this server's release of Citus, in a context of their own */
static MemoryContext answers = NULL;
static List *servers = NIL;
static char *own_release = NULL;

/* asking ---------------------------------------------------------------- */

/*
 * By how much a clock was ahead of ours, or behind if that is negative, when it was
 * read some time between these.
 */
static double
clock_ahead(double theirs, TimestampTz before, TimestampTz after)
{
	double		epoch = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (double) SECS_PER_DAY;
	double		first = before / 1e6 + epoch;
	double		last = after / 1e6 + epoch;

	return theirs < first ? theirs - first : theirs > last ? theirs - last : 0;
}

/*
 * Takes an answer apart.
 */
static void
take_answer(Server *server, char *answer, TimestampTz before, TimestampTz after)
{
	char	   *parts[PARTS];

	for (int i = 0; i < PARTS; i++)
	{
		parts[i] = answer;
		answer = i < PARTS - 1 ? strchr(answer, '|') : NULL;
		if (answer != NULL)
			*answer++ = '\0';
		else if (i < PARTS - 1)
			elog(ERROR, "server %s has answered \"%s\"", server->name, parts[0]);
	}
	server->version = parts[0];
	server->release = parts[1];
	server->ahead = clock_ahead(atof(parts[2]), before, after);
	server->launcher = atoi(parts[3]) > 0;
	server->in_doubt = atoi(parts[4]);
	server->in_doubt_s = atoi(parts[5]);
	server->libraries = parts[6];
}

/*
 * Asks all servers.
 */
static void
ask(void)
{
	ActorBookkeeping bookkeeping;
	TimestampTz before = GetCurrentTimestamp();
	TimestampTz after;

	servers = NIL;
	if (answers == NULL)
		answers = AllocSetContextCreate(TopMemoryContext, "answers of servers",
										ALLOCSET_SMALL_SIZES);
	MemoryContextReset(answers);
	if (!actor_on_several_servers())
		return;
	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_ask(question);
	after = GetCurrentTimestamp();
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(answers);
		Server	   *server = palloc0(sizeof(Server));
		char	   *answer = pstrdup(actor_cluster_value(i, 3));

		server->name = pstrdup(actor_cluster_value(i, 1));
		if (strcmp(actor_cluster_value(i, 2), "true") == 0)
			take_answer(server, answer, before, after);
		else
			server->fault = answer;
		servers = lappend(servers, server);
		MemoryContextSwitchTo(old);
	}
	actor_cluster_run("SELECT pg_catalog.split_part(pg_catalog.citus_version(), ' ', 2)");
	own_release = MemoryContextStrdup(answers, actor_cluster_value(0, 1));
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * What was found, or NULL.
 */
static char *
found(StringInfo buf)
{
	return buf->len > 0 ? buf->data : NULL;
}

/* findings are sentences */
static void
next_finding(StringInfo buf)
{
	if (buf->len > 0)
		appendStringInfoChar(buf, ' ');
}

/* checks ---------------------------------------------------------------- */

/*
 * actor_check_servers
 *		Servers that do not answer, or have other versions.  Comes before the others.
 */
char *
actor_check_servers(void)
{
	StringInfoData buf;
	ListCell   *cell;

	ask();
	initStringInfo(&buf);
	foreach(cell, servers)
	{
		Server	   *server = lfirst(cell);

		if (server->fault != NULL)
		{
			next_finding(&buf);
			appendStringInfo(&buf, "Server %s does not answer: %s", server->name, server->fault);
			continue;
		}
		if (strcmp(server->version, ACTOR_VERSION) != 0)
		{
			next_finding(&buf);
			appendStringInfo(&buf, "Server %s has version %s of the extension, this one has %s.",
							 server->name, server->version, ACTOR_VERSION);
		}
		if (strcmp(server->release, own_release) != 0)
		{
			next_finding(&buf);
			appendStringInfo(&buf, "Server %s has release %s of Citus, this one has %s.",
							 server->name, server->release, own_release);
		}
	}
	return found(&buf);
}

/*
 * actor_check_libraries
 *		Servers that do not load Citus before all others.
 */
char *
actor_check_libraries(void)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, servers)
	{
		Server	   *server = lfirst(cell);
		const char *first = server->libraries;

		if (server->fault != NULL)
			continue;
		first += strspn(first, " \"");
		if (strncmp(first, "$libdir/", 8) == 0)
			first += 8;
		if (strncmp(first, "citus", 5) == 0 && strcspn(first, " \",") == 5)
			continue;
		next_finding(&buf);
		appendStringInfo(&buf, "Server %s has \"%s\" set to \"%s\".", server->name,
						 "shared_preload_libraries", server->libraries);
	}
	return found(&buf);
}

/*
 * actor_check_in_doubt
 *		Transactions that were prepared and not finished.
 */
char *
actor_check_in_doubt(void)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, servers)
	{
		Server	   *server = lfirst(cell);

		if (server->in_doubt == 0)
			continue;
		next_finding(&buf);
		appendStringInfo(&buf, ngettext("Server %s has %d prepared transaction that has been there for %d s.",
										"Server %s has %d prepared transactions, the oldest of which has been there for %d s.",
										server->in_doubt),
						 server->name, server->in_doubt, server->in_doubt_s);
	}
	return found(&buf);
}

/*
 * actor_check_clocks
 *		Clocks that differ from that of this server.
 */
char *
actor_check_clocks(void)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, servers)
	{
		Server	   *server = lfirst(cell);

		if (fabs(server->ahead) <= CLOCK_S)
			continue;
		next_finding(&buf);
		appendStringInfo(&buf, "The clock of server %s is %.0f s %s that of this one.", server->name,
						 fabs(server->ahead), server->ahead > 0 ? "ahead of" : "behind");
	}
	return found(&buf);
}

/*
 * Whether a server of that name has answered that it has workers.
 */
static bool
has_workers(const char *name)
{
	ListCell   *cell;

	foreach(cell, servers)
	{
		Server	   *server = lfirst(cell);

		if (strcmp(server->name, name) == 0)
			return server->launcher;
	}
	return false;
}

/*
 * actor_check_shards
 *		Shards of actors that no worker looks at.
 */
char *
actor_check_shards(void)
{
	ActorBookkeeping bookkeeping;
	StringInfoData buf;

	initStringInfo(&buf);
	if (!actor_on_several_servers())
		return NULL;
	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_run(
					  "SELECT pg_catalog.format('%s:%s', n.nodename, n.nodeport), pg_catalog.count(*)"
					  "  FROM pg_catalog.pg_dist_shard s"
					  "  LEFT JOIN pg_catalog.pg_dist_placement p"
					  "    ON p.shardid OPERATOR(pg_catalog.=) s.shardid"
					  "  LEFT JOIN pg_catalog.pg_dist_node n"
					  "    ON n.groupid OPERATOR(pg_catalog.=) p.groupid"
					  "   AND n.noderole::pg_catalog.text OPERATOR(pg_catalog.=) 'primary'"
					  " WHERE s.logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=)"
					  "       'actor.state'::pg_catalog.regclass::pg_catalog.oid"
					  " GROUP BY 1 ORDER BY 1");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		char	   *name = actor_cluster_value(i, 1);

		if (has_workers(name))
			continue;
		next_finding(&buf);
		if (strcmp(name, ":") == 0)
			appendStringInfo(&buf, "Shards of %s groups have no server.",
							 actor_cluster_value(i, 2));
		else
			appendStringInfo(&buf, "Server %s has shards of %s groups, and no workers that are known of.",
							 name, actor_cluster_value(i, 2));
	}
	actor_bookkeeping_end(&bookkeeping);
	return found(&buf);
}
