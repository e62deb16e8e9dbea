/*-------------------------------------------------------------------------
 *
 * bulk.c
 *		SQL functions on many reminders at once: deleting those of an actor or
 *		type, and moving those of a role to another one.
 *
 * First comes what is free.  What remains fires, mostly, and is locked row by row
 * as a single one would be; see row_lock.c.  On several servers nothing is looked for
 * that is free everywhere, and all goes row by row.
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
#include "utils/inval.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"
#include "reminder/reminder.h"

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

/* those of a table that nobody has locked, as "free", and a row joined with it */
#define FREE_ROWS(table, condition) \
	" free AS MATERIALIZED (SELECT actor_type, actor_id, name FROM " table condition \
	"  FOR UPDATE SKIP LOCKED)"
#define IS_FREE(row) \
	row ".actor_type OPERATOR(pg_catalog.=) free.actor_type" \
	" AND " row ".actor_id OPERATOR(pg_catalog.=) free.actor_id" \
	" AND " row ".name OPERATOR(pg_catalog.=) free.name"

static ActorQuery delete_free = {
	"WITH" FREE_ROWS("actor.reminder", OF_ACTOR_OR_TYPE) ", deleted AS"
	" (DELETE FROM actor.reminder d USING free WHERE " IS_FREE("d") "  RETURNING role_name)"
	" SELECT role_name, pg_catalog.count(*) FROM deleted GROUP BY role_name",
	2, {TEXTOID, TEXTOID}
};

/* an empty id stands for the whole type */
static ActorQuery read_left = {
	"SELECT actor_type, actor_id, name FROM actor.reminder"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND (actor_id OPERATOR(pg_catalog.=) $2 OR $2 OPERATOR(pg_catalog.=) '')",
	2, {TEXTOID, TEXTOID}
};

#define OF_KEY \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND name OPERATOR(pg_catalog.=) $3"

static ActorQuery delete_one = {
	"DELETE FROM actor.reminder" OF_KEY
	" RETURNING role_name, 1::pg_catalog.int8",
	3, {TEXTOID, TEXTOID, TEXTOID}
};

#define OF_ROLE " WHERE role_name OPERATOR(pg_catalog.=) $1"

/* each of both has an index */
#define DUE_OF_ROLE \
	" WHERE (NOT hosted AND role_name OPERATOR(pg_catalog.=) $1" \
	"     OR hosted AND role_name OPERATOR(pg_catalog.=) $1)"

#define MOVE_FREE(table) \
	{"WITH" FREE_ROWS(table, DUE_OF_ROLE) \
	" UPDATE " table " m SET role_name = $2 FROM free WHERE " IS_FREE("m"), \
	2, {NAMEOID, NAMEOID}}

#define READ_OF_ROLE(table) \
	{"SELECT actor_type, actor_id, name FROM " table DUE_OF_ROLE, 1, {NAMEOID}}

#define MOVE_ONE(table) \
	{"UPDATE " table " SET role_name = $5" OF_KEY \
	"   AND role_name OPERATOR(pg_catalog.=) $4", \
	5, {TEXTOID, TEXTOID, TEXTOID, NAMEOID, NAMEOID}}

/* by ActorDueKind */
static ActorQuery move_free[] = {
	MOVE_FREE("actor.reminder"),
	MOVE_FREE("actor.timer")
};

static ActorQuery read_of_role[] = {
	READ_OF_ROLE("actor.reminder"),
	READ_OF_ROLE("actor.timer")
};

static ActorQuery move_one[] = {
	MOVE_ONE("actor.reminder"),
	MOVE_ONE("actor.timer")
};

#define MOVE_ROWS(table) \
	{"UPDATE " table " SET role_name = $2" OF_ROLE, 2, {NAMEOID, NAMEOID}}

#define MOVE_MESSAGES \
	{"UPDATE actor.message SET role_name = $2" DUE_OF_ROLE, 2, {NAMEOID, NAMEOID}}

/* a message is gone when it has been delivered, so nobody loses it for long */
static ActorQuery move_others[] = {
	MOVE_MESSAGES,
	MOVE_ROWS("actor.outbox"),
	/* what was forwarded until that could be locked */
	MOVE_MESSAGES,
	MOVE_ROWS("actor.request"),
	MOVE_ROWS("actor.promise"),
	MOVE_ROWS("actor.each"),
	MOVE_ROWS("actor.subscription"),
	MOVE_ROWS("actor.failure")
};

#define COUNT_ROWS(table) "(SELECT pg_catalog.count(*) FROM " table OF_ROLE ")"
#define COUNT_DUE(table) "(SELECT pg_catalog.count(*) FROM " table DUE_OF_ROLE ")"

static ActorQuery count_rows = {
	"SELECT " COUNT_DUE("actor.reminder") " OPERATOR(pg_catalog.+) " COUNT_DUE("actor.timer")
	" OPERATOR(pg_catalog.+) " COUNT_DUE("actor.message")
	" OPERATOR(pg_catalog.+) " COUNT_ROWS("actor.outbox")
	" OPERATOR(pg_catalog.+) " COUNT_ROWS("actor.request")
	" OPERATOR(pg_catalog.+) " COUNT_ROWS("actor.promise")
	" OPERATOR(pg_catalog.+) " COUNT_ROWS("actor.each")
	" OPERATOR(pg_catalog.+) " COUNT_ROWS("actor.subscription")
	" OPERATOR(pg_catalog.+) " COUNT_ROWS("actor.failure"),
	1, {NAMEOID}
};

/* the key of a row */
typedef struct RowKey
{
	ActorRef	actor;
	text	   *name;
} RowKey;

static void *
read_key(uint64 row)
{
	RowKey	   *key = palloc(sizeof(RowKey));
	bool		isnull;

	actor_ref_init(&key->actor,
				   DatumGetTextPCopy(actor_query_result(row, 1, &isnull)),
				   DatumGetTextPCopy(actor_query_result(row, 2, &isnull)));
	key->name = DatumGetTextPCopy(actor_query_result(row, 3, &isnull));
	return key;
}

static void
key_values(const RowKey *key, Datum *values)
{
	values[0] = PointerGetDatum(key->actor.type);
	values[1] = PointerGetDatum(key->actor.id);
	values[2] = PointerGetDatum(key->name);
}

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
		if (all_allowed || actor_role_held(lfirst(cell)))
			continue;
		actor_type_check_usage(actor_type_lookup(type));
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for reminders of actor type \"%s\"",
						text_to_cstring(type)),
				 errdetail("Some belong to roles whose rights the current user does not have.")));
	}
	return sum;
}

/*
 * Whether the current user may delete whatever reminders a type has, or one of its
 * actors if the id is not empty.
 */
static bool
may_delete_all(text *type, text *id)
{
	ActorFrame *frame = actor_frame_current();
	ActorRef	actor;

	if (actor_type_owned(type))
		return true;
	if (frame == NULL || VARSIZE_ANY_EXHDR(id) == 0)
		return false;
	actor_ref_init(&actor, type, id);
	return actor_ref_equal(&frame->actor, &actor);
}

/*
 * Deletes the reminders that are locked by others, as soon as they are free.
 * Returns how many.
 */
static int64
delete_left(text *type, text *id)
{
	Datum		values[2] = {PointerGetDatum(type), PointerGetDatum(id)};
	int64		count = 0;
	ListCell   *cell;

	foreach(cell, actor_query_list(&read_left, values, read_key))
	{
		RowKey	   *key = lfirst(cell);
		NameData	registrant;
		Datum		key_datums[3];

		if (!actor_due_lock(DUE_REMINDER, &key->actor, key->name, &registrant))
			continue;
		key_values(key, key_datums);
		/* who had the right before the wait need not have it after it */
		count += run_for_roles(&delete_one, key_datums, NULL, type, may_delete_all(type, id));
	}
	return count;
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
	text	   *id = cstring_to_text("");
	Datum		values[2] = {PointerGetDatum(type), (Datum) 0};
	char		nulls[2] = {' ', 'n'};
	bool		allowed;
	int64		count;

	if (!PG_ARGISNULL(1))
	{
		id = actor_text_argument(fcinfo, 1, "actor id", ACTOR_MAX_NAME_LEN);
		values[1] = PointerGetDatum(id);
		nulls[1] = ' ';
	}
	actor_type_require(type);
	PreventCommandIfReadOnly("actor_delete_reminders()");
	actor_frame_check_writing("actor_delete_reminders()");
	PreventCommandIfParallelMode("actor_delete_reminders()");

	allowed = may_delete_all(type, id);
	/* before any row is locked; and again, in case that there are more then */
	count = run_for_roles(&read_roles, values, nulls, type, allowed);
	/* strangers are not told whether there are any */
	if (count == 0 && !allowed)
		actor_type_check_usage(actor_type_lookup(type));
	if (!actor_on_several_servers())
		count = run_for_roles(&delete_free, values, nulls, type, allowed);
	else
		count = 0;
	count += delete_left(type, id);
	if (count == 0)
		actor_early_look_everywhere();
	PG_RETURN_INT64(count);
}

/* reassigning ----------------------------------------------------------- */

/*
 * Moves the reminders or timers of a role to another one.  Returns how many.
 */
static int64
move_rows(ActorDueKind kind, const NameData *old_role, const NameData *new_role)
{
	ActorBookkeeping bookkeeping;
	Datum		roles[2] = {NameGetDatum(old_role), NameGetDatum(new_role)};
	int64		count = 0;
	ListCell   *cell;

	actor_bookkeeping_begin(&bookkeeping);
	if (!actor_on_several_servers())
		count = actor_query_run(&move_free[kind], roles, NULL);
	actor_bookkeeping_end(&bookkeeping);
	foreach(cell, actor_query_list(&read_of_role[kind], roles, read_key))
	{
		RowKey	   *key = lfirst(cell);
		NameData	registrant;
		Datum		values[5];

		if (!actor_due_lock(kind, &key->actor, key->name, &registrant))
			continue;
		key_values(key, values);
		values[3] = roles[0];
		values[4] = roles[1];
		actor_bookkeeping_begin(&bookkeeping);
		count += actor_query_run(&move_one[kind], values, NULL);
		actor_bookkeeping_end(&bookkeeping);
	}
	return count;
}

/*
 * Moves all that belongs to a role to another one, or leaves it where it is if
 * both have the same name.  Returns how many rows that are.
 */
static int64
move_all(const NameData *old_role, const NameData *new_role)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {NameGetDatum(old_role), NameGetDatum(new_role)};
	bool		same = strcmp(NameStr(*old_role), NameStr(*new_role)) == 0;
	int64		count = 0;
	bool		isnull;

	if (!same)
		count = move_rows(DUE_REMINDER, old_role, new_role) +
			move_rows(DUE_TIMER, old_role, new_role);
	actor_bookkeeping_begin(&bookkeeping);
	if (same)
	{
		(void) actor_query_run(&count_rows, values, NULL);
		count = DatumGetInt64(actor_query_result(0, 1, &isnull));
	}
	for (int i = 0; !same && i < lengthof(move_others); i++)
		count += actor_query_run(&move_others[i], values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	return count;
}

/*
 * Whether the current user may move what was registered under that name: if it
 * stands for nobody, because its role has another name by now, the rights of
 * that role will do.
 */
static bool
may_move_from(const NameData *old_role)
{
	Oid			former;

	if (actor_role_held(old_role))
		return true;
	former = OidIsValid(actor_role_find(old_role)) ? InvalidOid : actor_role_former(old_role);
	return OidIsValid(former) && has_privs_of_role(GetUserId(), former);
}

/*
 * Refuses who may not move what was registered under a name to a role.
 */
static void
check_reassign(const NameData *old_role, Oid role, const NameData *new_role)
{
	if (!may_move_from(old_role) || !has_privs_of_role(GetUserId(), role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to reassign reminders from role \"%s\" to role \"%s\"",
						NameStr(*old_role), NameStr(*new_role)),
				 errdetail("It takes the rights of both. Only superusers may reassign those of a role that does not exist.")));
}

/*
 * actor_reassign
 *		Moves what was registered by one role to another one, which need not be
 *		able to do that itself; what is missing shows when it fires.
 */
Datum
actor_reassign(PG_FUNCTION_ARGS)
{
	NameData	old_role;
	NameData	new_role;
	const char *reason;
	uint64		generation = actor_catalog_generation();
	Oid			role;
	int64		count;

	for (int i = 0; i < 2; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", i == 0 ? "old_role" : "new_role")));
	old_role = *PG_GETARG_NAME(0);
	new_role = *PG_GETARG_NAME(1);
	role = get_role_oid(NameStr(new_role), false);
	check_reassign(&old_role, role, &new_role);
	reason = actor_role_unusable(role);
	if (reason != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" cannot run reminders", NameStr(new_role)),
				 errdetail("%s", reason)));
	PreventCommandIfReadOnly("actor_reassign()");
	actor_frame_check_writing("actor_reassign()");
	PreventCommandIfParallelMode("actor_reassign()");

	actor_role_give(&old_role, role, &new_role);
	/* the old name may stand for another role since the wait for the new one */
	AcceptInvalidationMessages();
	if (generation != actor_catalog_generation())
		check_reassign(&old_role, role, &new_role);
	count = move_all(&old_role, &new_role);
	if (count > 0)
		actor_wake_at(DT_NOBEGIN);
	PG_RETURN_INT64(count);
}
