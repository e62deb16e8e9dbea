/*-------------------------------------------------------------------------
 *
 * commands.c
 *		The hook that sees commands, and those the workers must take notice of.
 *
 * Workers find out at their start, or when they look, whether they are wanted
 * and as whom they can connect.  Commands that change this would be noticed by
 * the regular look at the latest; here a hook sees them, and reports them when
 * their transaction has committed:
 *
 * - COPY into a table of the extension, which is how rows are restored;
 * - COMMIT PREPARED, by which rows become visible that another session wrote;
 * - setting actor.enabled for a database or a role;
 * - allowing connections to a database, or forbidding them;
 * - changing roles, and granting something on databases;
 * - ALTER EXTENSION, after which the library may fit or not;
 * - CREATE EXTENSION, after which rows may come from other servers.
 *
 * The server has checked that the user may do this.  What is done before a
 * command runs is in hold.c and call/session.c.
 *
 * IDENTIFICATION
 *		src/worker/commands.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "fire/fire.h"
#include "worker/internal.h"

static ProcessUtility_hook_type previous_utility = NULL;

/* what this transaction has done: everybody must look, or be replaced */
static bool committed = false;
static bool look = false;
static bool renew = false;
static Oid	renew_database = InvalidOid;	/* invalid: all */

static void utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc);
static void xact_callback(XactEvent event, void *arg);
static void release_callback(ResourceReleasePhase phase, bool is_commit,
							 bool is_top_level, void *arg);

void
actor_commands_init(void)
{
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	RegisterXactCallback(xact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT)
		committed = look || renew;
	else if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		look = renew = false;
		renew_database = InvalidOid;
	}
}

/*
 * Reports what was committed, when others have been told what to invalidate.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level || !committed)
		return;
	if (renew)
		actor_database_renew(renew_database);
	if (look)
		actor_databases_look();
	committed = look = renew = false;
	renew_database = InvalidOid;
}

/*
 * The workers of a database must be replaced when this transaction commits;
 * InvalidOid stands for all databases.
 */
static void
note_renew(Oid database)
{
	renew_database = renew && renew_database != database ? InvalidOid : database;
	renew = true;
}

/*
 * Whether a command sets or resets actor.enabled.
 */
static bool
changes_enabled(const VariableSetStmt *stmt)
{
	return stmt->kind == VAR_RESET_ALL ||
		(stmt->name != NULL && pg_strcasecmp(stmt->name, "actor.enabled") == 0);
}

/*
 * Rows have been copied into a table: if it is one of ours, they may be due.
 */
static void
note_copy(const CopyStmt *stmt)
{
	Oid			relation;
	Oid			schema;

	if (!stmt->is_from || stmt->relation == NULL)
		return;
	relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	schema = get_namespace_oid("actor", true);
	if (OidIsValid(schema) && OidIsValid(relation) &&
		get_rel_namespace(relation) == schema)
		actor_wake_at(DT_NOBEGIN);
}

/*
 * A prepared transaction has been committed; what it has written is unknown.
 */
static void
note_commit_prepared(void)
{
	if (OidIsValid(actor_catalog_relation("type")))
		actor_wake_at(DT_NOBEGIN);
}

/*
 * There is another extension.  Who may get rows from elsewhere looks from now on.
 */
static void
note_extension(void)
{
	if (OidIsValid(actor_catalog_relation("type")) && actor_next_from_elsewhere() != DT_NOEND)
		actor_wake_at(DT_NOBEGIN);
}

/*
 * A role has lost its name: says so if something in this database is registered
 * under that, which does not go along.
 */
static void
warn_of_rows(const char *old_name, const char *new_name)
{
	NameData	name;

	namestrcpy(&name, old_name);
	if (!actor_catalog_installed())
		return;
	if (actor_role_has_types(&name))
		ereport(WARNING,
				(errmsg("actor types of role \"%s\" have lost their owner in database \"%s\"",
						old_name, get_database_name(MyDatabaseId)),
				 errdetail("Nothing of them runs, nor do they belong to a role that gets the name."),
				 errhint("Let the owners of their schemas use actor_register() again.")));
	if (actor_role_has_rows(&name))
		ereport(WARNING,
				(errmsg("reminders, timers or messages of role \"%s\" stay behind in database \"%s\"",
						old_name, get_database_name(MyDatabaseId)),
				 errdetail("They do not fire, nor do they belong to a role that gets the name."),
				 errhint("Use actor_reassign(%s, %s).", quote_literal_cstr(old_name),
						 new_name != NULL ? quote_literal_cstr(new_name) : "...")));
}

static void
warn_of_dropped(const DropRoleStmt *stmt)
{
	ListCell   *cell;

	foreach(cell, stmt->roles)
	{
		RoleSpec   *role = lfirst(cell);

		if (role->roletype == ROLESPEC_CSTRING &&
			!OidIsValid(get_role_oid(role->rolename, true)))
			warn_of_rows(role->rolename, NULL);
	}
}

/*
 * Takes note of a command that has been run.
 */
static void
note_command(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CopyStmt:
			note_copy((CopyStmt *) stmt);
			break;
		case T_AlterDatabaseStmt:
			/* nothing may have changed, which does no harm */
			note_renew(get_database_oid(((AlterDatabaseStmt *) stmt)->dbname, true));
			break;
		case T_AlterDatabaseSetStmt:
			if (changes_enabled(((AlterDatabaseSetStmt *) stmt)->setstmt))
				note_renew(get_database_oid(((AlterDatabaseSetStmt *) stmt)->dbname, true));
			break;
		case T_AlterRoleSetStmt:
			if (((AlterRoleSetStmt *) stmt)->setstmt->kind != VAR_RESET_ALL &&
				changes_enabled(((AlterRoleSetStmt *) stmt)->setstmt))
				note_renew(InvalidOid);
			break;
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
			look = true;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType != OBJECT_ROLE)
				break;
			look = true;
			warn_of_rows(((RenameStmt *) stmt)->subname, ((RenameStmt *) stmt)->newname);
			break;
		case T_DropRoleStmt:
			look = true;
			warn_of_dropped((DropRoleStmt *) stmt);
			break;
		case T_GrantStmt:
			look |= ((GrantStmt *) stmt)->objtype == OBJECT_DATABASE;
			break;
		case T_CreateExtensionStmt:
			note_extension();
			break;
		case T_AlterExtensionStmt:
			if (strcmp(((AlterExtensionStmt *) stmt)->extname, "actor") == 0)
			{
				actor_catalog_altered();
				actor_wake_at(DT_NOBEGIN);
			}
			break;
		default:
			break;
	}
}

/*
 * Whether a command can be of those that are taken note of.  None of them ends
 * a transaction.
 */
static bool
is_noted(NodeTag tag)
{
	switch (tag)
	{
		case T_CopyStmt:
		case T_AlterDatabaseStmt:
		case T_AlterDatabaseSetStmt:
		case T_AlterRoleSetStmt:
		case T_CreateRoleStmt:
		case T_AlterRoleStmt:
		case T_RenameStmt:
		case T_DropRoleStmt:
		case T_GrantStmt:
		case T_CreateExtensionStmt:
		case T_AlterExtensionStmt:
			return true;
		default:
			return false;
	}
}

static void
utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	/* a statement that ends the transaction may be gone afterwards */
	Node	   *statement = pstmt->utilityStmt;
	NodeTag		tag = nodeTag(statement);
	bool		prepared = false;

	if (tag == T_TransactionStmt)
		prepared = ((TransactionStmt *) statement)->kind == TRANS_STMT_COMMIT_PREPARED;
	actor_hold_command(statement);
	if (previous_utility)
		previous_utility(pstmt, query_string, read_only_tree, context, params,
						 query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								query_env, dest, qc);
	if (prepared)
		note_commit_prepared();
	else if (is_noted(tag))
		note_command(statement);
}
