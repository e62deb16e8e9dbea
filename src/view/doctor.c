/*-------------------------------------------------------------------------
 *
 * doctor.c
 *		actor_doctor: what can keep reminders from firing.
 *
 * A check returns what is wrong, or NULL.  Checks do not depend on each other,
 * so one cause can show in several rows.  They name what they have found, as the
 * views for monitoring do, and tell nothing of payloads and state.
 *
 * IDENTIFICATION
 *		src/view/doctor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "view/internal.h"
#include "worker/worker.h"

PG_FUNCTION_INFO_V1(actor_doctor);

/* a scheduler is there so long after something has become due, in seconds */
#define SCHEDULER_S			3
static ActorQuery read_version = {
	"SELECT extversion FROM pg_catalog.pg_extension"
	" WHERE extname OPERATOR(pg_catalog.=) 'actor'",
	0, {0}
};

static ActorQuery read_types = {
	"SELECT actor_type FROM actor.type ORDER BY actor_type",
	0, {0}
};

/* helpers --------------------------------------------------------------- */

/*
 * Since how many seconds something has been due; 0 if nothing is.
 */
static int64
seconds_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz oldest = actor_pending_oldest(now);

	return oldest == DT_NOEND ? 0 : (now - oldest) / USECS_PER_SEC;
}

/*
 * What shared memory says of this database and of the workers.
 */
typedef struct WorkerState
{
	bool		launcher;
	bool		scheduler;
	bool		off;			/* workers have found firing disabled */
	Oid			wish;			/* role that waits for an executor */
	int			in_use;
} WorkerState;

static void
read_workers(WorkerState *state)
{
	memset(state, 0, sizeof(*state));
	if (actor_shared == NULL)
		return;
	LWLockAcquire(actor_shared->lock, LW_SHARED);
	state->launcher = actor_shared->launcher_latch != NULL;
	state->in_use = actor_workers_in_use();
	for (int i = 0; i < actor_shared->ndatabases; i++)
	{
		ActorDatabase *database = &actor_shared->databases[i];

		if (database->oid != MyDatabaseId)
			continue;
		state->scheduler = database->state == DATABASE_RUNNING;
		state->off = database->state == DATABASE_OFF;
		state->wish = database->wish;
	}
	LWLockRelease(actor_shared->lock);
}

/* checks ---------------------------------------------------------------- */

static char *
check_preload(void)
{
	return actor_shared != NULL ? NULL :
		pstrdup("The library is not preloaded, so there are no workers.");
}

static char *
check_version(void)
{
	List	   *versions = actor_read_texts(&read_version, NULL);
	const char *version = versions == NIL ? "" : linitial(versions);

	if (strcmp(version, ACTOR_VERSION) == 0)
		return NULL;
	return psprintf("The library has version %s, the extension of this database has %s.",
					ACTOR_VERSION, version);
}

static char *
check_recovery(void)
{
	return !RecoveryInProgress() ? NULL :
		pstrdup("The server is a standby. Nothing fires there.");
}

static char *
check_enabled(void)
{
	WorkerState state;

	read_workers(&state);
	if (!actor_enabled)
		return psprintf("\"%s\" is off.", "actor.enabled");
	if (state.off)
		return psprintf("\"%s\" is off in sessions that workers start in this database.",
						"actor.enabled");
	return NULL;
}

static char *
check_launcher(void)
{
	WorkerState state;

	/* it is started when the server is promoted */
	if (RecoveryInProgress())
		return NULL;
	read_workers(&state);
	return state.launcher ? NULL : pstrdup("The launcher does not run.");
}

static char *
check_scheduler(void)
{
	int64		seconds = seconds_due();
	WorkerState state;

	read_workers(&state);
	if (state.scheduler || seconds < SCHEDULER_S)
		return NULL;
	return psprintf("No scheduler runs in this database, although something has been due for "
					INT64_FORMAT " s.", seconds);
}

static char *
check_slots(void)
{
	WorkerState state;
	char	   *role;

	read_workers(&state);
	if (!OidIsValid(state.wish))
		return NULL;
	role = GetUserNameFromId(state.wish, true);
	return psprintf("Role \"%s\" waits for an executor. The server has %d of %d workers, and a database at most %d executors.",
					role != NULL ? role : "", state.in_use, actor_max_workers,
					actor_max_executors);
}

static char *
check_roles(void)
{
	StringInfoData buf;
	int			listed = 0;
	int			more = 0;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, actor_pending_rows())
	{
		ActorRoleDue *role = lfirst(cell);
		const char *reason = actor_role_waits(&role->name);
		int64		count;

		if (reason == NULL)
			continue;
		if (listed == ACTOR_LISTED_MAX)
		{
			more++;
			continue;
		}
		count = actor_pending_of_role(&role->name);
		if (listed > 0)
			appendStringInfoChar(&buf, ' ');
		appendStringInfo(&buf,
						 ngettext(INT64_FORMAT " row of role \"%s\" cannot fire: %s",
								  INT64_FORMAT " rows of role \"%s\" cannot fire: %s",
								  (unsigned long) count),
						 count, NameStr(role->name), reason);
		listed++;
	}
	if (more > 0)
		appendStringInfo(&buf, ngettext(" %d more role is like that.",
										" %d more roles are like that.", more), more);
	return listed > 0 ? buf.data : NULL;
}

static char *
check_distributed(void)
{
	const char *table = actor_shape_distributed();

	if (table != NULL && actor_on_several_servers())
		return actor_turn_lock != ACTOR_TURN_LOCK_ADVISORY ? NULL :
			pstrdup("Actors are on several servers, where turns must be rows.");
	return table == NULL ? NULL :
		psprintf("Table \"%s.%s\" is distributed over several servers. No turn can be taken.",
				 "actor", table);
}

static char *
check_types(void)
{
	StringInfoData buf;
	int			listed = 0;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, actor_read_texts(&read_types, NULL))
	{
		ActorType  *type = actor_type_find(cstring_to_text(lfirst(cell)));

		if (type == NULL || OidIsValid(type->schema_oid))
			continue;
		if (listed++ < ACTOR_LISTED_MAX)
			appendStringInfo(&buf, "%s\"%s\"", listed > 1 ? ", " : "",
							 (char *) lfirst(cell));
	}
	if (listed == 0)
		return NULL;
	return psprintf(ngettext("%d type has lost its schema, or the owner of that has changed: %s%s.",
							 "%d types have lost their schema, or the owner of that has changed: %s%s.",
							 listed),
					listed, buf.data, listed > ACTOR_LISTED_MAX ? ", and others" : "");
}

/* half of the lock table is left to everybody else */
static char *
check_locks(void)
{
	int64		entries = (int64) max_locks_per_xact * (ACTOR_MAX_BACKENDS + max_prepared_xacts);

	if (actor_max_turns_per_transaction <= entries / 2)
		return NULL;
	return psprintf("A transaction may hold %d turns, and the lock table of the server has "
					INT64_FORMAT " entries.", actor_max_turns_per_transaction, entries);
}

static const struct
{
	const char *name;
	char	   *(*check) (void);
	const char *hint;
	bool		asks_others;
}			checks[] =

{
	{"preload", check_preload,
	"Add \"actor\" to \"shared_preload_libraries\" and restart the server."},
	{"version", check_version,
	"Use ALTER EXTENSION actor UPDATE, or restart the server after an upgrade of the library."},
	{"recovery", check_recovery,
	"Look at the primary."},
	{"enabled", check_enabled,
	"Set \"actor.enabled\" to on: in the configuration file, the database and the role."},
	{"launcher", check_launcher,
	"Look for \"actor launcher\" in the log of the server."},
	{"scheduler", check_scheduler,
	"Raise \"max_worker_processes\" and \"actor.max_workers\", and look for \"actor scheduler\" in the log of the server."},
	{"slots", check_slots,
	"Raise \"actor.max_executors\", \"actor.max_workers\" and \"max_worker_processes\", or look for callbacks that take long in actor.turn."},
	{"roles", check_roles,
	"Let the role connect, or move its rows to another one with actor_reassign()."},
	{"distributed", check_distributed,
	"All that calls need is distributed by actor_distribute(); what works then is in doc/servers.md."},
	{"servers", actor_check_servers,
	"Look at the server, and use the same versions on all.", true},
	{"libraries", actor_check_libraries,
	"Put \"citus\" first in \"shared_preload_libraries\" of that server, before \"actor\", and restart it.", true},
	{"in_doubt", actor_check_in_doubt,
	"What Citus has prepared ends when all servers can be reached. Otherwise look at pg_prepared_xacts there, and use COMMIT PREPARED or ROLLBACK PREPARED.", true},
	{"clocks", actor_check_clocks,
	"Let the servers synchronize their clocks.", true},
	{"shards", actor_check_shards,
	"Start the server, with \"actor\" in its \"shared_preload_libraries\".", true},
	{"types", check_types,
	"Register the types again with actor_register()."},
	{"paused", actor_check_paused,
	"Use actor_resume() for what is in actor.pause."},
	{"queues", actor_check_queues,
	"Use actor_pause() and then actor_resume() for the actor, which shows its messages."},
	{"hosts", actor_check_hosts,
	"Start actor-http with --app, as a role that may host the types, and look at actor.host_status."},
	{"applications", actor_check_applications,
	"Start the application again, or look into its log. What it has to do waits until then."},
	{"late", actor_check_late,
	"Look at the other checks, at actor.worker, and at actor.pending."},
	{"fan_outs", actor_check_fan_outs,
	"Look at actor.fan_out_status, at actor.worker for a scheduler, and for \"could not hand out\" in the log of the server."},
	{"outbox", actor_check_outbox,
	"Start the server of the receiver, look at actor.worker for a scheduler, and for \"could not forward\" in the log of this server."},
	{"each", actor_check_each,
	"Look at actor.each_status, at actor.pending for messages of that role that wait, and for \"could not send\" in the log of the server."},
	{"events", actor_check_events,
	"Look at actor.worker for a scheduler, and for errors of \"actor scheduler\" in the log of the server."},
	{"failures", actor_check_failures,
	"Look at actor.given_up; the owner of a type finds the errors in actor.failure. Use actor_retry() or actor_discard()."},
	{"turns", actor_check_turns,
	"Look at actor.turn, and at the process in pg_stat_activity. What is idle in a transaction keeps its turns."},
	{"clock", actor_check_clock,
	"Check the clock of the server. What is due in the future waits until then."},
	{"locks", check_locks,
	"Raise \"max_locks_per_transaction\", or lower \"actor.max_turns_per_transaction\"."},
	{"grants", actor_check_grants,
	"Revoke them. Nobody needs more than SELECT on what is in schema \"actor\"."},
	{"triggers", actor_check_triggers,
	"Drop them. Nothing is written to a table that has such a trigger."},
	{"schema", actor_check_schema,
	"Use REVOKE CREATE ON SCHEMA ... FROM PUBLIC."},
	{"sequences", actor_check_sequences,
	"Use setval() with the higher number."}
};

static void
make_check(void *arg)
{
	ActorFinding *finding = arg;

	finding->detail = finding->make();
}

/*
 * Makes a check that may have to read from a server which does not answer.
 */
static void
try_check(ActorFinding *finding)
{
	ErrorData  *error = actor_attempt(make_check, finding);

	if (error == NULL)
		return;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	finding->detail = psprintf("This cannot be found out: %s", error->message);
}

/*
 * actor_doctor_look
 *		Makes the check of that number, from 0; false if there is none.  In this order,
 *		as one can use what the one before has found out.
 */
bool
actor_doctor_look(int number, bool ask_others, ActorFinding *finding)
{
	if (number >= lengthof(checks))
		return false;
	finding->check = checks[number].name;
	finding->asks_others = checks[number].asks_others;
	finding->make = checks[number].check;
	finding->detail = NULL;
	if (ask_others || !finding->asks_others)
	{
		if (actor_on_several_servers())
			try_check(finding);
		else
			make_check(finding);
	}
	finding->hint = checks[number].hint;
	return true;
}

Datum
actor_doctor(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorFinding finding;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	for (int i = 0; actor_doctor_look(i, true, &finding); i++)
	{
		bool		ok = finding.detail == NULL;
		Datum		values[4];
		bool		nulls[4] = {false, false, ok, ok};

		values[0] = CStringGetTextDatum(finding.check);
		values[1] = BoolGetDatum(ok);
		values[2] = ok ? (Datum) 0 : CStringGetTextDatum(finding.detail);
		values[3] = ok ? (Datum) 0 : CStringGetTextDatum(finding.hint);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
