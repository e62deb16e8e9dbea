/*-------------------------------------------------------------------------
 *
 * hold.c
 *		Commands that need a database without our workers.
 *
 * DROP DATABASE, CREATE DATABASE from a template, renaming or moving a
 * database, and dropping or altering the extension must not have to wait for
 * workers that have nothing better to do than to be connected.  Before such a
 * command runs, new workers are held off the database, and those that are there
 * are ended; a callback that is running then is rolled back and stays due.  The
 * hold is lifted when the transaction of the command has ended, or the backend
 * has: only then can be seen what has become of the database.
 *
 * Nothing is done for a caller who may not run the command anyway, so nobody can
 * disturb the workers of somebody else's database.
 *
 * IDENTIFICATION
 *		src/worker/hold.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "base/compat.h"
#include "shared/shared.h"
#include "worker/internal.h"

/* how long a command waits for workers to end, in milliseconds */
#define HOLD_WAIT_MS	5000

/* the database this backend holds workers off */
static Oid	held_database = InvalidOid;

static void release_callback(ResourceReleasePhase phase, bool is_commit,
							 bool is_top_level, void *arg);

void
actor_hold_init(void)
{
	RegisterResourceReleaseCallback(release_callback, NULL);
}

/* which database -------------------------------------------------------- */

static Oid
owned_database(const char *name)
{
	Oid			database = name != NULL ? get_database_oid(name, true) : InvalidOid;

	if (OidIsValid(database) && !actor_database_ownercheck(database, GetUserId()))
		return InvalidOid;
	return database;
}

static bool
user_can_create_databases(void)
{
	HeapTuple	tuple;
	bool		result = superuser();

	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		result |= ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return result;
}

static const char *
string_option(List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * The template of a CREATE DATABASE, if the user may copy it.
 */
static Oid
template_database(CreatedbStmt *stmt)
{
	const char *name = string_option(stmt->options, "template");
	Oid			database = get_database_oid(name != NULL ? name : "template1", true);
	HeapTuple	tuple;
	bool		allowed;

	if (!OidIsValid(database) || !user_can_create_databases())
		return InvalidOid;
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	allowed = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate ||
		actor_database_ownercheck(database, GetUserId());
	ReleaseSysCache(tuple);
	return allowed ? database : InvalidOid;
}

/*
 * This database, if the command is about our extension and the user owns it.
 */
static Oid
extension_database(const char *name)
{
	Oid			extension;

	if (strcmp(name, "actor") != 0)
		return InvalidOid;
	extension = get_extension_oid("actor", true);
	if (!OidIsValid(extension) || !actor_extension_ownercheck(extension, GetUserId()))
		return InvalidOid;
	return MyDatabaseId;
}

static Oid
dropped_extension_database(DropStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->objects)
	{
		Oid			database = extension_database(strVal(lfirst(cell)));

		if (OidIsValid(database))
			return database;
	}
	return InvalidOid;
}

/*
 * The database that a command needs without our workers, or InvalidOid.
 */
static Oid
database_of_command(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return owned_database(((DropdbStmt *) stmt)->dbname);
		case T_CreatedbStmt:
			return template_database((CreatedbStmt *) stmt);
		case T_AlterDatabaseStmt:
			if (string_option(((AlterDatabaseStmt *) stmt)->options, "tablespace") == NULL)
				return InvalidOid;
			return owned_database(((AlterDatabaseStmt *) stmt)->dbname);
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType != OBJECT_DATABASE)
				return InvalidOid;
			return owned_database(((RenameStmt *) stmt)->subname);
		case T_DropStmt:
			if (((DropStmt *) stmt)->removeType != OBJECT_EXTENSION)
				return InvalidOid;
			return dropped_extension_database((DropStmt *) stmt);
		case T_AlterExtensionStmt:
			return extension_database(((AlterExtensionStmt *) stmt)->extname);
		case T_AlterExtensionContentsStmt:
			return extension_database(((AlterExtensionContentsStmt *) stmt)->extname);
		default:
			return InvalidOid;
	}
}

/* holding --------------------------------------------------------------- */

static void
lift_hold(void)
{
	Latch	   *launcher;

	if (!OidIsValid(held_database))
		return;
	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < actor_shared->nslots; i++)
		if (actor_shared->holds[i].holder == MyProcPid)
			actor_shared->holds[i].database = actor_shared->holds[i].holder = 0;
	launcher = actor_shared->launcher_latch;
	LWLockRelease(actor_shared->lock);
	held_database = InvalidOid;
	if (launcher != NULL)
		SetLatch(launcher);
}

static void
hold_exit(int code, Datum arg)
{
	lift_hold();
}

/*
 * The transaction has ended, and others have been told what to invalidate.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (phase == RESOURCE_RELEASE_AFTER_LOCKS && is_top_level)
		lift_hold();
}

/*
 * Writes the hold down and ends the workers of the database.  Returns whether
 * there were any.
 */
static bool
end_workers(Oid database)
{
	bool		any = false;

	LWLockAcquire(actor_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < actor_shared->nslots && !OidIsValid(held_database); i++)
		if (actor_shared->holds[i].holder == 0)
		{
			actor_shared->holds[i].holder = MyProcPid;
			actor_shared->holds[i].database = database;
			held_database = database;
		}
	for (int i = 0; i < actor_shared->ndatabases; i++)
	{
		ActorDatabase *scheduler = &actor_shared->databases[i];

		if (scheduler->oid == database && scheduler->state >= DATABASE_STARTING)
		{
			any = true;
			if (scheduler->pid != 0)
				kill(scheduler->pid, SIGTERM);
		}
	}
	for (int i = 0; i < actor_shared->nslots; i++)
	{
		ActorExecutor *executor = &actor_shared->executors[i];

		if (executor->database == database)
		{
			any = true;
			if (executor->pid != 0)
				kill(executor->pid, SIGTERM);
		}
	}
	LWLockRelease(actor_shared->lock);
	return any;
}

/*
 * Holds workers off a database and waits until those that are there have
 * ended, but not for ever: then the command says itself who is in its way.
 */
static void
hold_database(Oid database)
{
	static bool exit_registered = false;
	TimestampTz give_up = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_WAIT_MS);

	if (!exit_registered)
		before_shmem_exit(hold_exit, (Datum) 0);
	exit_registered = true;

	ConditionVariablePrepareToSleep(&actor_shared->worker_ended);
	while (end_workers(database) && GetCurrentTimestamp() < give_up)
		ConditionVariableTimedSleep(&actor_shared->worker_ended, 100,
									ACTOR_WAIT_EVENT("ActorHold"));
	ConditionVariableCancelSleep();
}

/*
 * actor_hold_command
 *		Called before a command runs.
 */
void
actor_hold_command(Node *stmt)
{
	Oid			database = InvalidOid;

	if (actor_shared != NULL && !OidIsValid(held_database) && !RecoveryInProgress())
		database = database_of_command(stmt);
	if (OidIsValid(database))
		hold_database(database);
}
