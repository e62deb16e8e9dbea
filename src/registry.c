/*-------------------------------------------------------------------------
 *
 * registry.c
 *		Actor types: registering, configuring, and a cache of them.
 *
 * An actor type is a row of actor.type that binds a name to a schema.  The
 * type works only as long as the schema belongs to the role that owned it at
 * registration; so nobody takes a type over by making the schema again.
 *
 * Every backend caches the types it has used, and under each type the methods
 * that method.c has found.  The whole cache is dropped when the generation of
 * catalog.c has grown, and is filled from the latest snapshot, whatever the
 * isolation level, because it outlives the transaction.  Running frames may still use what they found before,
 * so while there are any the old cache is only put aside.
 *
 * Registering and unregistering lock actor.type against each other.
 * Unregistering also locks the tables of the actors' data against writers.  A
 * writer that comes too late has taken its table lock after that, has
 * therefore seen the invalidation, and refuses to leave a row without a type
 * (actor_type_check_same).
 *
 * Lock order: actor.type, then the tables in the order of type_data.
 *
 * IDENTIFICATION
 *		src/registry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "actor.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(actor_register);
PG_FUNCTION_INFO_V1(actor_unregister);

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
	ARG_PARTITIONS
};

static ActorQuery read_type = {
	"SELECT schema_name, owner_name, reentrancy, max_stack_depth, call_timeout,"
	"  drain_ongoing_call_timeout, drain_rebalanced_actors, reminders_storage_partitions"
	"  FROM actor.type"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
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
	"  reminders_storage_partitions)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
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
	"  reminders_storage_partitions = EXCLUDED.reminders_storage_partitions",
	11, {TEXTOID, NAMEOID, NAMEOID, INTERVALOID, INTERVALOID, BOOLOID, INT4OID,
	INTERVALOID, INTERVALOID, BOOLOID, INT4OID}
};

static ActorQuery delete_type = {
	"DELETE FROM actor.type WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

/* what unregistering looks at (if "exists" is set) and removes, in lock order */
static struct TypeData
{
	const char *relation;
	ActorQuery	exists;
	ActorQuery	remove;
}			type_data[] =
{
	{
		"state",
		{"SELECT 1 FROM actor.state WHERE actor_type OPERATOR(pg_catalog.=) $1 LIMIT 1",
		1, {TEXTOID}},
		{"DELETE FROM actor.state WHERE actor_type OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}}
	},
	{
		"reminder",
		{"SELECT 1 FROM actor.reminder WHERE actor_type OPERATOR(pg_catalog.=) $1 LIMIT 1",
		1, {TEXTOID}},
		{"DELETE FROM actor.reminder WHERE actor_type OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}}
	},
	{
		/* remembered results keep nobody from unregistering */
		"request",
		{NULL},
		{"DELETE FROM actor.request WHERE actor_type OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}}
	},
	{
		"failure",
		{"SELECT 1 FROM actor.failure WHERE actor_type OPERATOR(pg_catalog.=) $1 LIMIT 1",
		1, {TEXTOID}},
		{"DELETE FROM actor.failure WHERE actor_type OPERATOR(pg_catalog.=) $1",
		1, {TEXTOID}}
	}
};

static MemoryContext cache_context = NULL;
static HTAB *cache = NULL;
static uint64 cache_generation = 0;

/* caches that running frames may still use */
static MemoryContext retired_context = NULL;

static int64 interval_ms(const Interval *interval);
static ActorType *load_type(const text *name, const char *key);
static void bind_schema(ActorType *type);
static void refuse_binding(const ActorType *type);

/* cache ----------------------------------------------------------------- */

/*
 * Starts an empty cache when the old one may be out of date.
 */
static void
refresh_cache(void)
{
	HASHCTL		ctl;

	if (retired_context != NULL && actor_frame_current() == NULL)
	{
		MemoryContextDelete(retired_context);
		retired_context = NULL;
	}
	if (cache != NULL && cache_generation == actor_catalog_generation())
		return;

	if (cache_context != NULL)
	{
		MemoryContext old = cache_context;

		cache = NULL;
		cache_context = NULL;
		if (actor_frame_current() == NULL)
			MemoryContextDelete(old);
		else
		{
			if (retired_context == NULL)
				retired_context = AllocSetContextCreate(CacheMemoryContext,
														"retired actor types",
														ALLOCSET_SMALL_SIZES);
			MemoryContextSetParent(old, retired_context);
		}
	}

	cache_context = AllocSetContextCreate(CacheMemoryContext, "actor types",
										  ALLOCSET_SMALL_SIZES);
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(ActorType);
	ctl.hcxt = cache_context;
	cache = hash_create("actor types", 16, &ctl,
						HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	cache_generation = actor_catalog_generation();
}

/*
 * actor_type_context
 *		Memory that lives as long as the cached types do.
 */
MemoryContext
actor_type_context(void)
{
	return cache_context;
}

/*
 * actor_type_find
 *		Finds a type, usable or not; NULL if there is none of that name.
 *
 * The result is good until the next call of this function outside of a frame.
 */
ActorType *
actor_type_find(const text *name)
{
	char		key[NAMEDATALEN];
	ActorType  *type;

	refresh_cache();
	text_to_cstring_buffer(name, key, sizeof(key));
	type = hash_search(cache, key, HASH_FIND, NULL);
	return type != NULL ? type : load_type(name, key);
}

/*
 * actor_type_lookup
 *		Finds a type that can be used.
 *
 * Raises undefined_object if there is none of that name, and
 * object_not_in_prerequisite_state if its schema is gone or has another owner.
 * The result lives as long as that of actor_type_find.
 */
ActorType *
actor_type_lookup(const text *name)
{
	ActorType  *type = actor_type_find(name);

	if (type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("actor type \"%s\" does not exist", text_to_cstring(name)),
				 errhint("Register it with actor_register().")));
	if (!OidIsValid(type->schema_oid))
		refuse_binding(type);
	return type;
}

/*
 * actor_type_check_usage
 *		Raises insufficient_privilege unless the current user may use the
 *		schema.  Comes before any look at what is in it.
 */
void
actor_type_check_usage(ActorType *type)
{
	Oid			user = GetUserId();
	AclResult	result;

	if (type->allowed_role == user)
		return;
	result = actor_schema_aclcheck(type->schema_oid, user);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_SCHEMA, NameStr(type->schema_name));
	type->allowed_role = user;
}

/*
 * Loads a type from its table into the cache; NULL if it is not there.
 */
static ActorType *
load_type(const text *name, const char *key)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(name)};
	ActorType	loaded;
	ActorType  *type;
	bool		isnull;
	Datum		datum;

	memset(&loaded, 0, sizeof(loaded));
	strlcpy(loaded.name, key, NAMEDATALEN);

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_type, values) == 0)
	{
		actor_bookkeeping_end(&bookkeeping);
		return NULL;
	}
	loaded.schema_name = *DatumGetName(actor_query_result(0, 1, &isnull));
	loaded.owner_name = *DatumGetName(actor_query_result(0, 2, &isnull));
	loaded.reentrancy = DatumGetBool(actor_query_result(0, 3, &isnull));
	loaded.reentrancy_set = !isnull;
	datum = actor_query_result(0, 4, &isnull);
	loaded.max_stack_depth = isnull ? -1 : DatumGetInt32(datum);
	datum = actor_query_result(0, 5, &isnull);
	loaded.call_timeout = isnull ? -1 : interval_ms(DatumGetIntervalP(datum));
	datum = actor_query_result(0, 6, &isnull);
	loaded.drain_timeout = isnull ? -1 : interval_ms(DatumGetIntervalP(datum));
	loaded.drain = DatumGetBool(actor_query_result(0, 7, &isnull));
	loaded.drain_set = !isnull;
	datum = actor_query_result(0, 8, &isnull);
	loaded.partitions = isnull ? -1 : DatumGetInt32(datum);
	actor_bookkeeping_end(&bookkeeping);

	bind_schema(&loaded);

	/*
	 * If something has changed meanwhile, the next look-up notices, because
	 * the cache still has the generation it was started with.
	 */
	type = hash_search(cache, key, HASH_ENTER, NULL);
	*type = loaded;
	return type;
}

/*
 * Finds the schema of a type, if it still is the one that was registered.
 */
static void
bind_schema(ActorType *type)
{
	Oid			schema = get_namespace_oid(NameStr(type->schema_name), true);
	HeapTuple	tuple;
	char	   *owner;

	type->schema_oid = InvalidOid;
	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	if (!HeapTupleIsValid(tuple))
		return;
	owner = GetUserNameFromId(((Form_pg_namespace) GETSTRUCT(tuple))->nspowner, true);
	ReleaseSysCache(tuple);
	if (owner != NULL && strcmp(owner, NameStr(type->owner_name)) == 0)
		type->schema_oid = schema;
}

/*
 * Says why a type does nothing.
 */
static void
refuse_binding(const ActorType *type)
{
	bool		gone = !OidIsValid(get_namespace_oid(NameStr(type->schema_name), true));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("actor type \"%s\" has lost its schema", type->name),
			 gone ?
			 errdetail("Schema \"%s\" does not exist any more.",
					   NameStr(type->schema_name)) :
			 errdetail("Schema \"%s\" does not belong to role \"%s\" any more.",
					   NameStr(type->schema_name), NameStr(type->owner_name)),
			 errhint("The owner of the type or a superuser must register it again.")));
}

/* options --------------------------------------------------------------- */

/*
 * Length of an interval in milliseconds, with months of 30 days; a part of a
 * millisecond counts as one, below zero too.
 */
static int64
interval_ms(const Interval *interval)
{
	double		ms = ((double) interval->month * DAYS_PER_MONTH + interval->day) *
		SECS_PER_DAY * 1000.0 + interval->time / 1000.0;

	if (ms >= (double) INT_MAX + 1.0 || ms <= (double) INT_MIN)
		return ms > 0 ? (int64) INT_MAX + 1 : INT_MIN;
	return (int64) (ms < 0 ? floor(ms) : ceil(ms));
}

bool
actor_type_reentrant(const ActorType *type)
{
	return type->reentrancy_set ? type->reentrancy : actor_reentrancy_default;
}

int
actor_type_max_stack_depth(const ActorType *type)
{
	return type->max_stack_depth >= 0 ?
		type->max_stack_depth : actor_max_stack_depth_default;
}

/* how long a call waits for the turn, in milliseconds; 0: for ever */
int
actor_type_call_timeout(const ActorType *type)
{
	return type->call_timeout >= 0 ?
		type->call_timeout : actor_call_timeout_default;
}

/* how long a running callback may go on when its worker is stopped, in ms */
int
actor_type_drain_timeout(const ActorType *type)
{
	if (!(type->drain_set ? type->drain : actor_drain_default))
		return 0;
	return type->drain_timeout >= 0 ?
		type->drain_timeout : actor_drain_timeout_default;
}

/* in how many slices the type's due rows are drained; 0: as many as it takes */
int
actor_type_partitions(const ActorType *type)
{
	return type->partitions >= 0 ? type->partitions : actor_partitions_default;
}

/* rights ---------------------------------------------------------------- */

/*
 * actor_role_held
 *		Whether the current user has the rights of the role of that name; of a
 *		role that does not exist only superusers have them.
 */
bool
actor_role_held(const NameData *role_name)
{
	Oid			role = get_role_oid(NameStr(*role_name), true);

	if (!OidIsValid(role))
		return superuser();
	return has_privs_of_role(GetUserId(), role);
}

/*
 * actor_type_check_same
 *		Called after a row of an actor was written, with the schema its type
 *		had when it was found, and the generation then: refuses to leave a row
 *		without a type, or to write into one that was registered anew.
 */
void
actor_type_check_same(const text *name, Oid schema, uint64 generation)
{
	if (generation == actor_catalog_generation())
		return;
	if (actor_type_lookup(name)->schema_oid != schema)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actor type \"%s\" was registered over another schema meanwhile",
						text_to_cstring(name))));
}

/* registering ----------------------------------------------------------- */

static void
check_interval_option(const Interval *interval, const char *name, int64 min, int64 max)
{
	int64		ms;

	if (interval == NULL)
		return;
	ms = interval_ms(interval);
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
}

/*
 * The schema that is to be registered: exists, may be used for a type, and
 * belongs to the current user.  Returns its owner in "owner".
 */
static Oid
check_schema(const char *name, NameData *owner)
{
	Oid			schema;
	HeapTuple	tuple;
	Oid			ownerid;

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
	ownerid = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	namestrcpy(owner, GetUserNameFromId(ownerid, false));
	return schema;
}

/*
 * Reads the stored owner of a type; false if there is no such type.
 */
static bool
read_owner(const text *type, NameData *owner)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};
	bool		found;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_latest(&read_type, values) > 0;
	if (found)
		*owner = *DatumGetName(actor_query_result(0, 2, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * actor_type_require
 *		Raises undefined_object if there is no such type, usable or not.
 */
void
actor_type_require(const text *name)
{
	NameData	owner;

	if (!read_owner(name, &owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("actor type \"%s\" does not exist", text_to_cstring(name))));
}

/*
 * actor_type_owned
 *		Whether the current user has the rights of the type's owner.
 */
bool
actor_type_owned(const text *name)
{
	NameData	owner;

	return read_owner(name, &owner) && actor_role_held(&owner);
}

/*
 * actor_type_schema
 *		The schema a type is registered over, or would be by default.
 */
void
actor_type_schema(const text *name, NameData *schema_name)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(name)};
	bool		isnull;

	namestrcpy(schema_name, text_to_cstring(name));
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_type, values) > 0)
		*schema_name = *DatumGetName(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
}

static void
check_stored_owner(const text *type, const NameData *owner)
{
	if (!actor_role_held(owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of actor type \"%s\"", text_to_cstring(type))));
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
 * actor_type_register
 *		Registers a type over a schema, or replaces its whole configuration.
 *
 * Raises undefined_schema, insufficient_privilege, invalid_parameter_value,
 * duplicate_object, reserved_name.  Locks actor.type against other
 * registrations until the transaction ends.
 */
void
actor_type_register(text *type, const NameData *schema_name, const ActorTypeOptions *options)
{
	NameData	owner_name;
	NameData	stored_owner;
	Oid			schema;
	ActorBookkeeping bookkeeping;
	Datum		values[11];
	char		nulls[11];

	check_options(options);
	schema = check_schema(NameStr(*schema_name), &owner_name);
	PreventCommandIfReadOnly("actor_register()");

	LockRelationOid(actor_catalog_relation("type"), ShareRowExclusiveLock);
	if (read_owner(type, &stored_owner))
		check_stored_owner(type, &stored_owner);
	check_schema_free(type, schema_name);

#define OPTION(column, value, to_datum) \
	nulls[column] = (value) == NULL ? 'n' : ' '; \
	values[column] = (value) == NULL ? (Datum) 0 : (to_datum)

	values[0] = PointerGetDatum(type);
	values[1] = NameGetDatum(schema_name);
	values[2] = NameGetDatum(&owner_name);
	memset(nulls, ' ', 3);
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
#undef OPTION

	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_type, values, nulls);
	actor_bookkeeping_end(&bookkeeping);

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

Datum
actor_unregister(PG_FUNCTION_ARGS)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	NameData	stored_owner;
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("force must not be null")));
	/* a snapshot from before the table locks would miss data */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot unregister an actor type in a transaction with isolation level %s",
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Use READ COMMITTED.")));
	PreventCommandIfReadOnly("actor_unregister()");

	LockRelationOid(actor_catalog_relation("type"), ShareRowExclusiveLock);
	actor_type_require(type);
	(void) read_owner(type, &stored_owner);
	check_stored_owner(type, &stored_owner);

	/* running callbacks may be in our way for as long as they like otherwise */
	if (PG_GETARG_BOOL(1))
		actor_callback_drain(type);
	for (int i = 0; i < lengthof(type_data); i++)
		LockRelationOid(actor_catalog_relation(type_data[i].relation),
						ShareRowExclusiveLock);
	clear_type_data(type, PG_GETARG_BOOL(1));

	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&delete_type, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	actor_catalog_invalidate_types();
	PG_RETURN_VOID();
}
