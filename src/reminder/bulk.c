/*-------------------------------------------------------------------------
 *
 * bulk.c
 *		SQL functions on many reminders at once: deleting those of an actor or
 *		type, and moving those of a role to another one.
 *
 * Lock order: the rows, in no particular one.  A rival that locks more than one
 * of them in one transaction, too, may lead to a deadlock, which the server
 * finds; executors never wait for a row.
 *
 * IDENTIFICATION
 *		src/reminder/bulk.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(actor_delete_reminders);
PG_FUNCTION_INFO_V1(actor_reassign);

#define OF_ACTOR_OR_TYPE \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND (actor_id OPERATOR(pg_catalog.=) $2 OR $2 IS NULL)"

static ActorQuery read_roles = {
	"SELECT role_name, pg_catalog.count(*) FROM actor.reminder" OF_ACTOR_OR_TYPE
	" GROUP BY role_name",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery delete_reminders = {
	"WITH deleted AS (DELETE FROM actor.reminder" OF_ACTOR_OR_TYPE
	"  RETURNING role_name)"
	" SELECT role_name, pg_catalog.count(*) FROM deleted GROUP BY role_name",
	2, {TEXTOID, TEXTOID}
};

#define MOVE_ROWS(table) \
	{"UPDATE " table " SET role_name = $2 WHERE role_name OPERATOR(pg_catalog.=) $1", \
	2, {NAMEOID, NAMEOID}}

static ActorQuery move_rows[] = {
	MOVE_ROWS("actor.reminder"),
	MOVE_ROWS("actor.timer"),
	MOVE_ROWS("actor.message")
};

/* deleting -------------------------------------------------------------- */

/*
 * Runs a statement that returns the names of roles and how many reminders each
 * has, and checks that the current user has the rights of all of them, unless
 * they do not matter.  Returns the number of reminders.
 */
static int64
run_for_roles(ActorQuery *query, Datum *values, const char *nulls, const text *type,
			  bool all_allowed)
{
	ActorBookkeeping bookkeeping;
	MemoryContext context = CurrentMemoryContext;
	List	   *roles = NIL;
	ListCell   *cell;
	int64		sum = 0;
	uint64		rows;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(query, values, nulls);
	for (uint64 i = 0; i < rows; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		NameData   *role = palloc(sizeof(NameData));
		bool		isnull;

		*role = *DatumGetName(actor_query_result(i, 1, &isnull));
		roles = lappend(roles, role);
		sum += DatumGetInt64(actor_query_result(i, 2, &isnull));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);

	foreach(cell, roles)
	{
		if (!all_allowed && !actor_role_held(lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for reminders of actor type \"%s\"",
							text_to_cstring(type)),
					 errdetail("Some belong to roles whose rights the current user does not have.")));
	}
	return sum;
}

/*
 * actor_delete_reminders
 *		Deletes all reminders of an actor or, with a null id, of a type.
 *
 * All or none: raises insufficient_privilege if one of them is not for the
 * current user to delete.
 */
Datum
actor_delete_reminders(PG_FUNCTION_ARGS)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	ActorFrame *frame = actor_frame_current();
	Datum		values[2] = {PointerGetDatum(type), (Datum) 0};
	char		nulls[2] = {' ', 'n'};
	bool		allowed;

	if (!PG_ARGISNULL(1))
	{
		values[1] = PointerGetDatum(actor_text_argument(fcinfo, 1, "actor id",
														ACTOR_MAX_NAME_LEN));
		nulls[1] = ' ';
	}
	actor_type_require(type);
	PreventCommandIfReadOnly("actor_delete_reminders()");
	actor_frame_check_writing("actor_delete_reminders()");
	PreventCommandIfParallelMode("actor_delete_reminders()");

	allowed = actor_type_owned(type);
	if (!allowed && frame != NULL && nulls[1] == ' ')
	{
		ActorRef	actor;

		actor_ref_init(&actor, type, DatumGetTextPP(values[1]));
		allowed = actor_ref_equal(&frame->actor, &actor);
	}
	/* before any row is locked; and again, in case that there are more then */
	(void) run_for_roles(&read_roles, values, nulls, type, allowed);
	PG_RETURN_INT64(run_for_roles(&delete_reminders, values, nulls, type, allowed));
}

/* reassigning ----------------------------------------------------------- */

/*
 * actor_reassign
 *		Moves what was registered by one role to another one, which need not be
 *		able to do that itself; what is missing shows when it fires.
 */
Datum
actor_reassign(PG_FUNCTION_ARGS)
{
	ActorBookkeeping bookkeeping;
	NameData	old_role;
	NameData	new_role;
	const char *reason;
	Oid			role;
	int64		count = 0;

	for (int i = 0; i < 2; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", i == 0 ? "old_role" : "new_role")));
	old_role = *PG_GETARG_NAME(0);
	new_role = *PG_GETARG_NAME(1);
	role = get_role_oid(NameStr(new_role), false);
	if (!actor_role_held(&old_role) || !actor_role_held(&new_role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reassign reminders from role \"%s\" to role \"%s\"",
						NameStr(old_role), NameStr(new_role)),
				 errdetail("It takes the rights of both. Only superusers may reassign those of a role that does not exist.")));
	reason = actor_role_unusable(role);
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" cannot run reminders", NameStr(new_role)),
				 errdetail("%s", reason)));
	PreventCommandIfReadOnly("actor_reassign()");
	actor_frame_check_writing("actor_reassign()");
	PreventCommandIfParallelMode("actor_reassign()");

	actor_bookkeeping_begin(&bookkeeping);
	for (int i = 0; i < lengthof(move_rows); i++)
	{
		Datum		values[2] = {NameGetDatum(&old_role), NameGetDatum(&new_role)};

		count += actor_query_run(&move_rows[i], values, NULL);
	}
	actor_bookkeeping_end(&bookkeeping);
	if (count > 0)
		actor_wake_at(GetCurrentTimestamp());
	PG_RETURN_INT64(count);
}
