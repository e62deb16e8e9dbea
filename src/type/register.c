/*-------------------------------------------------------------------------
 *
 * register.c
 *		Registering and unregistering actor types.
 *
 * Registrations of the same type, or of the same schema, wait for each other;
 * others do not, so that one that is left open holds up nobody else.
 * Unregistering counts as one, and also takes the lock of the type, which
 * everybody shares who writes rows of its actors; see type_lock.c.
 *
 * Lock order: the locks of the type, the registration of the type, that of the
 * schema, then rows.
 *
 * IDENTIFICATION
 *		src/type/register.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/async.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(actor_register);
PG_FUNCTION_INFO_V1(actor_unregister);
PG_FUNCTION_INFO_V1(actor_rename);

ActorForgetActivations actor_type_forget_activations = NULL;

/* arguments of actor_register */
enum
{
	ARG_TYPE,
	ARG_SCHEMA,
	ARG_IDLE_TIMEOUT,
	ARG_SCAN_INTERVAL,
	ARG_REENTRANCY,
	ARG_MAX_STACK_DEPTH,
	ARG_CALL_TIMEOUT,
	ARG_DRAIN_TIMEOUT,
	ARG_DRAIN,
	ARG_PARTITIONS,
	ARG_EARLY_RELEASE,
	ARG_HOSTED,
	ARG_TURN,
	ARG_HISTORY,
	ARG_HISTORY_RETENTION
};

static ActorQuery read_type_of_schema = {
	"SELECT actor_type FROM actor.type"
	" WHERE schema_name OPERATOR(pg_catalog.=) $1",
	1, {NAMEOID}
};

static ActorQuery write_type = {
	"INSERT INTO actor.type (actor_type, schema_name, owner_name, idle_timeout,"
	"  scan_interval, reentrancy, max_stack_depth, call_timeout,"
	"  drain_ongoing_call_timeout, drain_rebalanced_actors,"
	"  reminders_storage_partitions, early_release, hosted, turn, history,"
	"  history_retention, history_since, schema_oid, system_identifier)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, COALESCE($13, false), $14,"
	"  $15, $16, $17, $18, $19)"
	" ON CONFLICT (actor_type) DO UPDATE SET"
	"  schema_name = EXCLUDED.schema_name,"
	"  owner_name = EXCLUDED.owner_name,"
	"  idle_timeout = EXCLUDED.idle_timeout,"
	"  scan_interval = EXCLUDED.scan_interval,"
	"  reentrancy = EXCLUDED.reentrancy,"
	"  max_stack_depth = EXCLUDED.max_stack_depth,"
	"  call_timeout = EXCLUDED.call_timeout,"
	"  drain_ongoing_call_timeout = EXCLUDED.drain_ongoing_call_timeout,"
	"  drain_rebalanced_actors = EXCLUDED.drain_rebalanced_actors,"
	"  reminders_storage_partitions = EXCLUDED.reminders_storage_partitions,"
	"  early_release = EXCLUDED.early_release,"
	"  hosted = EXCLUDED.hosted,"
	"  turn = EXCLUDED.turn,"
	"  history = EXCLUDED.history,"
	"  history_retention = EXCLUDED.history_retention,"
	"  history_since = EXCLUDED.history_since,"
	"  schema_oid = EXCLUDED.schema_oid,"
	"  system_identifier = EXCLUDED.system_identifier",
	19, {TEXTOID, NAMEOID, NAMEOID, INTERVALOID, INTERVALOID, BOOLOID, INT4OID,
		INTERVALOID, INTERVALOID, BOOLOID, INT4OID, BOOLOID, BOOLOID, TEXTOID, TEXTOID,
	INTERVALOID, TIMESTAMPTZOID, OIDOID, INT8OID}
};

static ActorQuery read_history_since = {
	"SELECT history_since FROM actor.type"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 AND history_since IS NOT NULL",
	1, {TEXTOID}
};

static ActorQuery delete_type = {
	"DELETE FROM actor.type WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

static ActorQuery rename_type = {
	"UPDATE actor.type SET actor_type = $2 WHERE actor_type OPERATOR(pg_catalog.=) $1",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery read_options = {
	"SELECT idle_timeout, scan_interval, reentrancy, max_stack_depth, call_timeout,"
	"  drain_ongoing_call_timeout, drain_rebalanced_actors, reminders_storage_partitions,"
	"  early_release, CASE WHEN hosted THEN true END, turn, history, history_retention"
	" FROM actor.type WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

/* the same options, as arguments */
static const char *const option_names[] = {
	"idle_timeout", "scan_interval", "reentrancy", "max_stack_depth", "call_timeout",
	"drain_ongoing_call_timeout", "drain_rebalanced_actors", "reminders_storage_partitions",
	"early_release", "hosted", "turn", "history", "history_retention"
};

/* among the values of write_type */
#define FIRST_OPTION	3

#define EXISTS_OF(table) \
	{"SELECT 1 FROM actor." table " WHERE actor_type OPERATOR(pg_catalog.=) $1 LIMIT 1", \
	1, {TEXTOID}}
#define REMOVE_OF(table) \
	{"DELETE FROM actor." table " WHERE actor_type OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}}
#define RENAME_OF(table) \
	{"UPDATE actor." table " SET actor_type = $2" \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1", 2, {TEXTOID, TEXTOID}}

/* what keeps a type from being unregistered, and what does not */
#define KEEPS(table) \
	{table, EXISTS_OF(table), REMOVE_OF(table), RENAME_OF(table)}
#define GOES(table) \
	{table, {NULL}, REMOVE_OF(table), RENAME_OF(table)}
/* of actors as subscribers, and to topics of the type and of its actors */
#define OF_EITHER \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 OR topic_type OPERATOR(pg_catalog.=) $1"
#define RENAME_IF(column) \
	column " = CASE WHEN " column " OPERATOR(pg_catalog.=) $1 THEN $2 ELSE " column " END"
#define SUBSCRIPTIONS \
	{"subscription", \
	{"SELECT 1 FROM actor.subscription" OF_EITHER " LIMIT 1", 1, {TEXTOID}}, \
	{"DELETE FROM actor.subscription" OF_EITHER, 1, {TEXTOID}}, \
	{"UPDATE actor.subscription SET " RENAME_IF("actor_type") ", " RENAME_IF("topic_type") \
	OF_EITHER, 2, {TEXTOID, TEXTOID}}}
/* messages to actors of the type; those of its actors as senders are sent anyway */
#define TO_RECEIVER " WHERE receiver_type OPERATOR(pg_catalog.=) $1"
#define OUTBOX \
	{"outbox", \
	{"SELECT 1 FROM actor.outbox" TO_RECEIVER " LIMIT 1", 1, {TEXTOID}}, \
	{"DELETE FROM actor.outbox" TO_RECEIVER, 1, {TEXTOID}}, \
	{"UPDATE actor.outbox SET " RENAME_IF("actor_type") ", " RENAME_IF("receiver_type") \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 OR receiver_type OPERATOR(pg_catalog.=) $1", \
	2, {TEXTOID, TEXTOID}}}
/* what is finished keeps nobody */
#define EACH \
	{"each", \
	{"SELECT 1 FROM actor.each WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	" AND finished_at IS NULL LIMIT 1", 1, {TEXTOID}}, \
	REMOVE_OF("each"), RENAME_OF("each")}
/* what does not even get the new name */
#define FORGOTTEN(table) \
	{table, {NULL}, REMOVE_OF(table), \
	{"DELETE FROM actor." table " WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	" AND $2 IS NOT NULL", 2, {TEXTOID, TEXTOID}}}

/*
 * What unregistering looks at (if "exists" is set) and removes, and what
 * renaming renames.
 */
static struct TypeData
{
	const char *relation;
	ActorQuery	exists;
	ActorQuery	remove;
	ActorQuery	rename;
}			type_data[] =

{
	KEEPS("state"),
	KEEPS("reminder"),
	KEEPS("timer"),
	KEEPS("message"),
	OUTBOX,
	KEEPS("promise"),
	SUBSCRIPTIONS,
	EACH,
	KEEPS("fan_out"),
	/* neither that actors are active nor remembered results keep anybody */
	GOES("activation"),
	GOES("request"),
	GOES("forwarded"),
	GOES("pause"),
	KEEPS("failure"),
	/* no application knows the new name of what it has */
	FORGOTTEN("placement"),
	FORGOTTEN("leftover"),
	/* what is over keeps nobody */
	GOES("topic"),
	GOES("stream"),
	GOES("event"),
	GOES("history"),
	GOES("history_change")
};

static ActorQuery read_topics = {
	"SELECT FROM actor.topic WHERE actor_type OPERATOR(pg_catalog.=) $1 LIMIT 1",
	1, {TEXTOID}
};

/* registering ----------------------------------------------------------- */

static void
check_interval_option(const Interval *interval, const char *name, int64 min, int64 max)
{
	int64		ms;

	if (interval == NULL)
		return;
	ms = actor_interval_ms(interval);
	if (ms < min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be %s", name,
						min == 0 ? "zero or greater" : "greater than zero")));
	if (ms > max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is too long", name),
				 errdetail("It must be at most %lld milliseconds.", (long long) max)));
}

static void
check_integer_option(const int32 *option, const char *name, int32 min)
{
	if (option != NULL && *option < min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be %d or greater", name, min)));
}

static void
check_history_option(const text *option)
{
	ActorHistory history;

	if (option != NULL && !actor_history_from_text(option, &history))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("history must be \"off\", \"calls\" or \"changes\"")));
}

/*
 * Refuses options that are out of range.
 */
static void
check_options(const ActorTypeOptions *options)
{
	check_interval_option(options->idle_timeout, "idle_timeout", 1, PG_INT64_MAX);
	check_interval_option(options->scan_interval, "scan_interval", 1, PG_INT64_MAX);
	check_integer_option(options->max_stack_depth, "max_stack_depth", 1);
	check_interval_option(options->call_timeout, "call_timeout", 0, INT_MAX);
	check_interval_option(options->drain_ongoing_call_timeout,
						  "drain_ongoing_call_timeout", 0, INT_MAX);
	check_integer_option(options->reminders_storage_partitions,
						 "reminders_storage_partitions", 0);
	if (options->turn != NULL && !actor_text_is(options->turn, "transaction") &&
		!actor_text_is(options->turn, "lease"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("turn must be \"transaction\" or \"lease\"")));
	if (options->hosted != NULL && *options->hosted && actor_on_several_servers())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot register a hosted type, because actors are on several servers"),
				 errdetail("Hosts find their actors on one server only.")));
	if (options->turn != NULL && (options->hosted == NULL || !*options->hosted))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("turn is an option of hosted types"),
				 errhint("Use hosted => true with it.")));
	check_history_option(options->history);
	check_interval_option(options->history_retention, "history_retention", 1, PG_INT64_MAX);
}

/*
 * The schema that is to be registered: exists, may be used for a type, and
 * belongs to the current user.  Returns its owner in "owner".
 */
static Oid
check_schema(const char *name, Oid *owner)
{
	Oid			schema;
	HeapTuple	tuple;

	if (strncmp(name, "pg_", 3) == 0 || strcmp(name, "information_schema") == 0 ||
		strcmp(name, "actor") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("schema \"%s\" cannot hold the methods of an actor type", name),
				 errdetail("Schemas of the system and of the extension are reserved.")));

	schema = get_namespace_oid(name, true);
	if (!OidIsValid(schema))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist", name),
				 errhint("Create the schema that holds the methods first.")));
	if (!actor_schema_ownercheck(schema, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SCHEMA, name);

	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema);
	*owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return schema;
}

/* a name that is registered, and of what */
typedef struct Registration
{
	const char *what;
	text	   *name;
} Registration;

static void
wait_for_registration(const void *arg)
{
	const Registration *registration = arg;

	(void) actor_lock(ACTOR_LOCK_REGISTRATION,
					  actor_hash_slice(registration->name, registration->what[0]),
					  ExclusiveLock, true);
}

/*
 * Keeps others from registering a type, and anything over a schema, until the
 * transaction ends.  Waits for those who do at most for actor.call_timeout, and
 * raises lock_not_available then.  What was known before may be out of date.
 */
static void
lock_registration(text *type, const NameData *schema_name)
{
	Registration registrations[2] = {
		{"actor type", type},
		{"schema", cstring_to_text(NameStr(*schema_name))}
	};

	for (int i = 0; i < lengthof(registrations); i++)
		if (!actor_lock_within(actor_call_timeout_default, 0, wait_for_registration,
							   &registrations[i]))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("%s \"%s\" was not free to be registered within %d ms",
							registrations[i].what, text_to_cstring(registrations[i].name),
							actor_call_timeout_default),
					 errdetail("Another transaction has registered, unregistered or renamed it and is not over."),
					 errhint("\"%s\" limits the wait.", "actor.call_timeout")));
	AcceptInvalidationMessages();
}

/*
 * Refuses to bind one schema to two types.
 */
static void
check_schema_free(const text *type, const NameData *schema_name)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {NameGetDatum(schema_name)};
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_type_of_schema, values) > 0)
	{
		text	   *other = DatumGetTextPP(actor_query_result(0, 1, &isnull));

		if (!actor_text_equal(type, other))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("schema \"%s\" already holds the methods of actor type \"%s\"",
							NameStr(*schema_name), text_to_cstring(other))));
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Says so when every role may use the schema, because then every role may
 * call the methods that nobody thought of revoking.
 */
static void
notice_public_schema(Oid schema, const char *name)
{
	/* the public pseudo-role has the id 0 */
	if (actor_schema_aclcheck(schema, ACL_ID_PUBLIC) == ACLCHECK_OK)
		ereport(NOTICE,
				(errmsg("schema \"%s\" can be used by PUBLIC", name),
				 errdetail("Every role may call the methods it has EXECUTE on, "
						   "which PUBLIC is granted for new functions.")));
}

/*
 * Says so when options that the type had are not among the new values: they
 * follow the settings from now on, which who only moves a type may not expect.
 */
static void
notice_reset_options(const text *type, const char *nulls)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};
	char	   *reset = NULL;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_options, values) > 0)
		for (int i = 0; i < lengthof(option_names); i++)
		{
			bool		isnull;

			(void) actor_query_result(0, i + 1, &isnull);
			if (!isnull && nulls[FIRST_OPTION + i] == 'n')
				reset = reset == NULL ? pstrdup(option_names[i]) :
					psprintf("%s, %s", reset, option_names[i]);
		}
	if (reset != NULL)
		reset = MemoryContextStrdup(context, reset);
	actor_bookkeeping_end(&bookkeeping);
	if (reset != NULL)
		ereport(NOTICE,
				(errmsg("options of actor type \"%s\" are reset", text_to_cstring(type)),
				 errdetail("Not given any more: %s.", reset),
				 errhint("Registering replaces the whole configuration. Give them again to keep them.")));
}

/*
 * Since when changes of a type are kept: as before, or from now on.
 */
static TimestampTz
history_since(const text *type)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};
	TimestampTz since = GetCurrentTimestamp();
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_history_since, values) > 0)
		since = DatumGetTimestampTz(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return since;
}

/*
 * actor_type_register
 *		Registers a type over a schema, or replaces its whole configuration.
 *
 * Raises undefined_schema, insufficient_privilege, invalid_parameter_value,
 * duplicate_object, reserved_name, lock_not_available.  Other registrations of
 * the type or over the schema wait until the transaction ends.
 */
void
actor_type_register(text *type, const NameData *schema_name, const ActorTypeOptions *options)
{
	NameData	owner_name;
	Oid			schema;
	Oid			owner;
	bool		ends;
	ActorBookkeeping bookkeeping;
	Datum		values[19];
	char		nulls[19];

	check_options(options);
	if (options->hosted != NULL && *options->hosted)
		actor_hosted_check_name(type, "actor type");
	schema = check_schema(NameStr(*schema_name), &owner);
	PreventCommandIfReadOnly("actor_register()");

	/* nobody is to write a row for a host when it has none any more */
	ends = (options->hosted == NULL || !*options->hosted) && actor_type_begin_end_of_hosting(type);
	/* a stranger is refused then, and gives it back with that */
	lock_registration(type, schema_name);
	/* that may have taken its time */
	schema = check_schema(NameStr(*schema_name), &owner);
	actor_type_require_register(type, schema);
	check_schema_free(type, schema_name);
	actor_role_use(owner, &owner_name);

#define OPTION(column, value, to_datum) \
	nulls[column] = (value) == NULL ? 'n' : ' '; \
	values[column] = (value) == NULL ? (Datum) 0 : (to_datum)

	values[0] = PointerGetDatum(type);
	values[1] = NameGetDatum(schema_name);
	values[2] = NameGetDatum(&owner_name);
	memset(nulls, ' ', sizeof(nulls));
	nulls[16] = options->history != NULL && actor_text_is(options->history, "changes") ? ' ' : 'n';
	values[16] = TimestampTzGetDatum(nulls[16] == ' ' ? history_since(type) : 0);
	values[17] = ObjectIdGetDatum(schema);
	values[18] = Int64GetDatum((int64) GetSystemIdentifier());
	StaticAssertStmt(lengthof(values) >= FIRST_OPTION + lengthof(option_names),
					 "options are among the values");
	OPTION(3, options->idle_timeout, IntervalPGetDatum(options->idle_timeout));
	OPTION(4, options->scan_interval, IntervalPGetDatum(options->scan_interval));
	OPTION(5, options->reentrancy, BoolGetDatum(*options->reentrancy));
	OPTION(6, options->max_stack_depth, Int32GetDatum(*options->max_stack_depth));
	OPTION(7, options->call_timeout, IntervalPGetDatum(options->call_timeout));
	OPTION(8, options->drain_ongoing_call_timeout,
		   IntervalPGetDatum(options->drain_ongoing_call_timeout));
	OPTION(9, options->drain_rebalanced_actors,
		   BoolGetDatum(*options->drain_rebalanced_actors));
	OPTION(10, options->reminders_storage_partitions,
		   Int32GetDatum(*options->reminders_storage_partitions));
	OPTION(11, options->early_release, BoolGetDatum(*options->early_release));
	OPTION(12, options->hosted != NULL && *options->hosted ? options->hosted : NULL,
		   BoolGetDatum(true));
	OPTION(13, options->turn, PointerGetDatum(options->turn));
	OPTION(14, options->history, PointerGetDatum(options->history));
	OPTION(15, options->history_retention, IntervalPGetDatum(options->history_retention));
#undef OPTION

	notice_reset_options(type, nulls);
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_type, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	if (ends)
		actor_type_stop_hosting(type);

	actor_catalog_invalidate_types();
	notice_public_schema(schema, NameStr(*schema_name));
}

static Interval *
interval_argument(FunctionCallInfo fcinfo, int number)
{
	return PG_ARGISNULL(number) ? NULL : PG_GETARG_INTERVAL_P(number);
}

static bool *
boolean_argument(FunctionCallInfo fcinfo, int number)
{
	bool	   *value;

	if (PG_ARGISNULL(number))
		return NULL;
	value = palloc(sizeof(bool));
	*value = PG_GETARG_BOOL(number);
	return value;
}

static int32 *
integer_argument(FunctionCallInfo fcinfo, int number)
{
	int32	   *value;

	if (PG_ARGISNULL(number))
		return NULL;
	value = palloc(sizeof(int32));
	*value = PG_GETARG_INT32(number);
	return value;
}

Datum
actor_register(PG_FUNCTION_ARGS)
{
	text	   *type = actor_text_argument(fcinfo, ARG_TYPE, "actor type",
										   ACTOR_MAX_TYPE_LEN);
	NameData	schema_name;
	ActorTypeOptions options;

	if (PG_ARGISNULL(ARG_SCHEMA))
		namestrcpy(&schema_name, text_to_cstring(type));
	else
		schema_name = *PG_GETARG_NAME(ARG_SCHEMA);
	options.idle_timeout = interval_argument(fcinfo, ARG_IDLE_TIMEOUT);
	options.scan_interval = interval_argument(fcinfo, ARG_SCAN_INTERVAL);
	options.reentrancy = boolean_argument(fcinfo, ARG_REENTRANCY);
	options.max_stack_depth = integer_argument(fcinfo, ARG_MAX_STACK_DEPTH);
	options.call_timeout = interval_argument(fcinfo, ARG_CALL_TIMEOUT);
	options.drain_ongoing_call_timeout = interval_argument(fcinfo, ARG_DRAIN_TIMEOUT);
	options.drain_rebalanced_actors = boolean_argument(fcinfo, ARG_DRAIN);
	options.reminders_storage_partitions = integer_argument(fcinfo, ARG_PARTITIONS);
	options.early_release = boolean_argument(fcinfo, ARG_EARLY_RELEASE);
	options.hosted = boolean_argument(fcinfo, ARG_HOSTED);
	options.turn = PG_ARGISNULL(ARG_TURN) ? NULL : PG_GETARG_TEXT_PP(ARG_TURN);
	options.history = PG_ARGISNULL(ARG_HISTORY) ? NULL : PG_GETARG_TEXT_PP(ARG_HISTORY);
	options.history_retention = interval_argument(fcinfo, ARG_HISTORY_RETENTION);
	actor_type_register(type, &schema_name, &options);
	PG_RETURN_VOID();
}

/*
 * Removes the data of all actors of a type, or refuses because there is some.
 */
static void
clear_type_data(const text *type, bool force)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};

	actor_bookkeeping_begin(&bookkeeping);
	for (int i = 0; i < lengthof(type_data); i++)
	{
		struct TypeData *data = &type_data[i];

		if (force || data->exists.sql == NULL)
			(void) actor_query_run(&data->remove, values, NULL);
		else if (actor_query_run(&data->exists, values, NULL) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot unregister actor type \"%s\" because its actors have data",
							text_to_cstring(type)),
					 errdetail("There are rows in actor.%s.", data->relation),
					 errhint("Use force => true to remove the data too.")));
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Refuses to do something to a type for which what was committed since this
 * transaction began must be seen.
 */
static void
check_isolation(const char *action)
{
	/* a snapshot from before the table locks would miss data */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s an actor type in a transaction with isolation level %s",
						action, IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Use READ COMMITTED.")));
}

/*
 * Lets those who wait for events of a type, which is about to go or to get another
 * name, find that out.
 */
static void
notify_readers(const text *type)
{
	Datum		values[1] = {PointerGetDatum(type)};

	if (actor_query_count(&read_topics, values) > 0)
		Async_Notify(ACTOR_EVENT_CHANNEL, "");
}

/*
 * Takes a type for oneself: nobody runs or writes its actors, nor registers it
 * or its schema, whose name is returned, from here to the end of the
 * transaction.  With "drain" running callbacks are asked to end; otherwise they
 * may be in our way for as long as they like.
 */
static void
take_type(text *type, bool drain, NameData *schema_name)
{
	actor_type_require_owner(type);
	if (drain)
	{
		actor_type_set_leaving(type);
		actor_callback_drain(type);
	}
	actor_type_lock(type);
	actor_type_schema(type, schema_name);
	lock_registration(type, schema_name);
	/* that may have taken its time */
	actor_type_require_owner(type);
}

Datum
actor_unregister(PG_FUNCTION_ARGS)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};
	NameData	schema_name;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("force must not be null")));
	check_isolation("unregister");
	PreventCommandIfReadOnly("actor_unregister()");

	take_type(type, PG_GETARG_BOOL(1), &schema_name);
	notify_readers(type);
	clear_type_data(type, PG_GETARG_BOOL(1));
	/* also those of turns that this transaction has */
	actor_type_forget_activations(type);

	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&delete_type, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	actor_catalog_invalidate_types();
	PG_RETURN_VOID();
}

/*
 * Refuses to rename the type of a method that runs, since that would go on
 * under a name that is no more.
 */
static void
check_not_running(const text *type)
{
	for (const ActorFrame *frame = actor_frame_current(); frame != NULL; frame = frame->caller)
		if (actor_text_equal(frame->actor.type, type))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("cannot rename actor type \"%s\" in one of its methods",
							text_to_cstring(type))));
}

/*
 * Gives all rows of a type another name.
 */
static void
rename_type_data(const text *type, const text *new_name)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {PointerGetDatum(type), PointerGetDatum(new_name)};

	actor_active_note_all(new_name);
	actor_bookkeeping_begin(&bookkeeping);
	for (int i = 0; i < lengthof(type_data); i++)
		(void) actor_query_run(&type_data[i].rename, values, NULL);
	actor_query_write_one(&rename_type, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}

Datum
actor_rename(PG_FUNCTION_ARGS)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	text	   *new_name = actor_text_argument(fcinfo, 1, "actor type", ACTOR_MAX_TYPE_LEN);
	NameData	schema_name;
	bool		exists;

	check_isolation("rename");
	PreventCommandIfReadOnly("actor_rename()");
	actor_frame_check_writing("actor_rename()");
	check_not_running(type);

	take_type(type, true, &schema_name);
	if (actor_type_lookup(type)->row.hosted)
		actor_hosted_check_name(new_name, "actor type");
	lock_registration(new_name, &schema_name);
	(void) actor_type_owner(new_name, &exists);
	if (exists)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("actor type \"%s\" already exists", text_to_cstring(new_name))));
	notify_readers(type);
	rename_type_data(type, new_name);
	/* also those of turns that this transaction has */
	actor_type_forget_activations(type);
	actor_catalog_invalidate_types();
	PG_RETURN_VOID();
}
