/*-------------------------------------------------------------------------
 *
 * registry.c
 *		Actor types: what a session knows of them.
 *
 * An actor type is a row of actor.type that binds a name to a schema.  The
 * type works only as long as the schema belongs to the role that owned it at
 * registration; so nobody takes a type over by making the schema again.
 *
 * Every backend caches the types it has used, and under each type the methods
 * that method.c has found.  What is cached is filled from the latest snapshot,
 * whatever the isolation level, because it outlives the transaction.
 *
 * A cached type is out of date when the generation of catalog.c has grown.  If
 * that was for the sake of actor.type its row is read again, and the type stays
 * with its methods unless that has changed.  If it was a function, a schema or a
 * role, the type goes.
 *
 * Whoever looks a type up pins it, and with it its methods and hooks, for as long
 * as the memory context lasts that is current then.  So what was found can be
 * used whatever happens meanwhile, and what nobody uses is freed at once,
 * however long a method runs.  That it is still true is another question, which
 * whoever has waited, or has run a hook, asks by looking the type up again.
 *
 * IDENTIFICATION
 *		src/type/registry.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>
#include <math.h>

#include "access/xact.h"
#include "access/xlog.h"
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

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "type/type.h"

static ActorQuery read_type = {
	"SELECT schema_name, owner_name, reentrancy, max_stack_depth, call_timeout,"
	"  drain_ongoing_call_timeout, drain_rebalanced_actors, reminders_storage_partitions,"
	"  idle_timeout, scan_interval, early_release, hosted,"
	"  COALESCE(turn, '') OPERATOR(pg_catalog.=) 'lease', history, history_retention,"
	"  EXISTS (SELECT FROM actor.pause WHERE actor_type OPERATOR(pg_catalog.=) $1),"
	"  EXISTS (SELECT FROM actor.pause WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"    AND actor_id OPERATOR(pg_catalog.=) '')"
	"  FROM actor.type"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

static ActorQuery read_names = {
	"SELECT actor_type FROM actor.type ORDER BY actor_type", 0
};

static ActorQuery read_same_schema = {
	"SELECT 1 FROM actor.type"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND schema_oid OPERATOR(pg_catalog.=) $2"
	"   AND system_identifier OPERATOR(pg_catalog.=) $3",
	3, {TEXTOID, OIDOID, INT8OID}
};

/* a type that is in the cache */
typedef struct CacheEntry
{
	char		name[NAMEDATALEN];	/* hash key */
	ActorType  *type;
} CacheEntry;

/* a memory context in which a type was looked up */
typedef struct Pin
{
	MemoryContextCallback callback;
	MemoryContext context;
	ActorType  *type;
} Pin;

static HTAB *cache = NULL;
static ActorType *last_found = NULL;	/* most calls are of one type */

static bool read_row(const text *name, ActorType *row);
_Noreturn static void refuse_name(const text *name);
static void bind_schema(ActorType *type);
static void refuse_binding(const ActorType *type);

/* cache ----------------------------------------------------------------- */

static void
free_type(ActorType *type)
{
	MemoryContextDelete(type->context);
}

static void
unpin(void *arg)
{
	Pin		   *pin = arg;
	ActorType  *type = pin->type;

	if (type->pinned_by == pin->context)
		type->pinned_by = NULL;
	if (--type->pins == 0 && !type->cached)
		free_type(type);
}

/*
 * Keeps a type as long as the current memory context.
 */
static void
pin_type(ActorType *type)
{
	Pin		   *pin;

	if (type->pinned_by == CurrentMemoryContext)
		return;
	pin = palloc(sizeof(Pin));
	pin->callback.func = unpin;
	pin->callback.arg = pin;
	pin->context = CurrentMemoryContext;
	pin->type = type;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &pin->callback);
	type->pins++;
	type->pinned_by = CurrentMemoryContext;
}

/*
 * Takes a type out of the cache, and frees it unless somebody uses it.
 */
static void
forget_type(CacheEntry *entry)
{
	ActorType  *type = entry->type;

	if (last_found == type)
		last_found = NULL;
	hash_search(cache, entry->name, HASH_REMOVE, NULL);
	type->cached = false;
	if (type->pins == 0)
		free_type(type);
}

/*
 * Forgets the cached types that a change of functions, schemas or roles may
 * concern, those that nobody asks for any more among them.
 */
static void
forget_outdated(void)
{
	static uint64 seen = 0;
	HASH_SEQ_STATUS scan;
	CacheEntry *entry;

	if (seen == actor_catalog_objects_generation())
		return;
	seen = actor_catalog_objects_generation();
	hash_seq_init(&scan, cache);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->type->objects_generation != seen)
			forget_type(entry);
}

static void
make_cache(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(CacheEntry);
	ctl.hcxt = CacheMemoryContext;
	cache = hash_create("actor types", 16, &ctl,
						HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/*
 * Puts a type into the cache.
 */
static ActorType *
cache_type(const ActorType *row)
{
	MemoryContext context = AllocSetContextCreate(CacheMemoryContext, "actor type",
												  ALLOCSET_SMALL_SIZES);
	ActorType  *type = MemoryContextAlloc(context, sizeof(ActorType));
	CacheEntry *entry;

	*type = *row;
	type->context = context;
	MemoryContextSetIdentifier(context, type->name);
	entry = hash_search(cache, type->name, HASH_ENTER, NULL);
	entry->type = type;
	type->cached = true;
	return type;
}

/*
 * Whether the row of a type is as it was, but for what is paused of it.
 */
static bool
same_row(const ActorType *type, const ActorType *row)
{
	return memcmp(&type->row, &row->row, sizeof(type->row)) == 0 &&
		type->schema_oid == row->schema_oid && type->owner_oid == row->owner_oid;
}

/*
 * Finds a type in its table, or finds that what is cached of it, if anything, is
 * true; NULL if there is none.
 *
 * If anything changes meanwhile, the next look-up notices, because the type has
 * the generation from before.
 */
static ActorType *
read_type_again(const text *name)
{
	ActorType	row;
	CacheEntry *entry;

	memset(&row, 0, sizeof(row));
	row.generation = actor_catalog_generation();
	row.objects_generation = actor_catalog_objects_generation();
	text_to_cstring_buffer(name, row.name, sizeof(row.name));
	if (!read_row(name, &row))
	{
		/* reading may have looked up the same type */
		entry = hash_search(cache, row.name, HASH_FIND, NULL);
		if (entry != NULL)
			forget_type(entry);
		return NULL;
	}
	entry = hash_search(cache, row.name, HASH_FIND, NULL);
	if (entry != NULL && entry->type->objects_generation == row.objects_generation &&
		same_row(entry->type, &row))
	{
		entry->type->pause = row.pause;
		entry->type->generation = row.generation;
		return entry->type;
	}
	if (entry != NULL)
		forget_type(entry);
	return cache_type(&row);
}

/*
 * actor_type_find
 *		Finds a type, usable or not; NULL if there is none of that name.
 *
 * The result, and what is found in it, is good as long as the current memory
 * context.
 */
ActorType *
actor_type_find(const text *name)
{
	char		key[NAMEDATALEN];
	CacheEntry *entry;
	ActorType  *type = last_found;

	if (type == NULL || !actor_text_is(name, type->name) ||
		type->generation != actor_catalog_generation())
	{
		if (cache == NULL)
			make_cache();
		forget_outdated();
		text_to_cstring_buffer(name, key, sizeof(key));
		entry = hash_search(cache, key, HASH_FIND, NULL);
		if (entry != NULL && entry->type->generation == actor_catalog_generation())
			type = entry->type;
		else
			type = read_type_again(name);
		last_found = type;
	}
	if (type != NULL)
		pin_type(type);
	return type;
}

/*
 * actor_type_get
 *		The same, but raises undefined_object if there is none of that name.
 */
ActorType *
actor_type_get(const text *name)
{
	ActorType  *type = actor_type_find(name);

	if (type == NULL)
		refuse_name(name);
	return type;
}

/*
 * Raises the error for a type that does not exist.  The names of types are no
 * secret, so the hint may have one.
 */
static void
refuse_name(const text *name)
{
	char	   *wanted = text_to_cstring(name);
	ActorNearest nearest;
	ActorBookkeeping bookkeeping;
	uint64		rows;

	actor_nearest_init(&nearest, wanted);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_latest(&read_names, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;
		Datum		type = actor_query_result(i, 1, &isnull);

		actor_nearest_consider(&nearest, TextDatumGetCString(type));
	}
	actor_bookkeeping_end(&bookkeeping);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("actor type \"%s\" does not exist", wanted),
			 nearest.name[0] != '\0' ?
			 errhint("Perhaps you meant the actor type \"%s\".", nearest.name) :
			 errhint("Register it with actor_register().")));
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
	ActorType  *type = actor_type_get(name);

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
		aclcheck_error(result, OBJECT_SCHEMA, NameStr(type->row.schema_name));
	type->allowed_role = user;
}

/*
 * Reads a type from its table; false if it is not there.
 */
static bool
read_row(const text *name, ActorType *type)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(name)};
	bool		isnull;
	Datum		datum;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_type, values) == 0)
	{
		actor_bookkeeping_end(&bookkeeping);
		return false;
	}
	type->row.schema_name = *DatumGetName(actor_query_result(0, 1, &isnull));
	type->row.owner_name = *DatumGetName(actor_query_result(0, 2, &isnull));
	type->row.reentrancy = DatumGetBool(actor_query_result(0, 3, &isnull));
	type->row.reentrancy_set = !isnull;
	datum = actor_query_result(0, 4, &isnull);
	type->row.max_stack_depth = isnull ? -1 : DatumGetInt32(datum);
	datum = actor_query_result(0, 5, &isnull);
	type->row.call_timeout = isnull ? -1 : actor_interval_ms(DatumGetIntervalP(datum));
	datum = actor_query_result(0, 6, &isnull);
	type->row.drain_timeout = isnull ? -1 : actor_interval_ms(DatumGetIntervalP(datum));
	type->row.drain = DatumGetBool(actor_query_result(0, 7, &isnull));
	type->row.drain_set = !isnull;
	datum = actor_query_result(0, 8, &isnull);
	type->row.partitions = isnull ? -1 : DatumGetInt32(datum);
	datum = actor_query_result(0, 9, &isnull);
	type->row.idle_timeout = isnull ? -1 : actor_interval_us(DatumGetIntervalP(datum));
	datum = actor_query_result(0, 10, &isnull);
	type->row.scan_interval = isnull ? -1 : actor_interval_us(DatumGetIntervalP(datum));
	type->row.early = DatumGetBool(actor_query_result(0, 11, &isnull));
	type->row.early_set = !isnull;
	type->row.hosted = DatumGetBool(actor_query_result(0, 12, &isnull));
	type->row.leases = DatumGetBool(actor_query_result(0, 13, &isnull));
	datum = actor_query_result(0, 14, &isnull);
	if (isnull || !actor_history_from_text(DatumGetTextPP(datum), &type->row.history))
		type->row.history = ACTOR_HISTORY_OFF;
	datum = actor_query_result(0, 15, &isnull);
	type->row.history_retention = isnull ? -1 : actor_interval_us(DatumGetIntervalP(datum));
	type->pause = DatumGetBool(actor_query_result(0, 17, &isnull)) ? PAUSE_TYPE :
		DatumGetBool(actor_query_result(0, 16, &isnull)) ? PAUSE_SOME : PAUSE_NONE;
	actor_bookkeeping_end(&bookkeeping);

	bind_schema(type);
	return true;
}

/*
 * Finds owner and schema of a type, if they still belong together.
 */
static void
bind_schema(ActorType *type)
{
	type->owner_oid = actor_schema_holder(&type->row.schema_name, &type->row.owner_name,
										  &type->schema_oid);
	if (!OidIsValid(type->owner_oid))
		type->schema_oid = InvalidOid;
}

/*
 * Says why a type does nothing.
 */
static void
refuse_binding(const ActorType *type)
{
	bool		gone = !OidIsValid(get_namespace_oid(NameStr(type->row.schema_name), true));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("actor type \"%s\" has lost its schema", type->name),
			 gone ?
			 errdetail("Schema \"%s\" does not exist any more.",
					   NameStr(type->row.schema_name)) :
			 errdetail("Schema \"%s\" does not belong to role \"%s\" any more.",
					   NameStr(type->row.schema_name), NameStr(type->row.owner_name)),
			 gone ?
			 errhint("Create the schema again, as that role, or register the type again as a superuser.") :
			 errhint("Whoever owns the schema of the type now, or a superuser, must register it again.")));
}

/* options --------------------------------------------------------------- */

/*
 * Length of an interval in microseconds, with months of 30 days.
 */
static double
interval_length(const Interval *interval)
{
	return ((double) interval->month * DAYS_PER_MONTH + interval->day) *
		USECS_PER_DAY + (double) interval->time;
}

/*
 * actor_interval_ms
 *		Length of an interval in milliseconds, with months of 30 days; a part of
 *		a millisecond counts as one, below zero too.  What is out of the range
 *		of an integer is one beyond it.
 */
int64
actor_interval_ms(const Interval *interval)
{
	double		ms = interval_length(interval) / 1000.0;

	if (ms >= (double) INT_MAX + 1.0 || ms <= (double) INT_MIN)
		return ms > 0 ? (int64) INT_MAX + 1 : INT_MIN;
	return (int64) (ms < 0 ? floor(ms) : ceil(ms));
}

/*
 * actor_interval_us
 *		The same in microseconds, but not more than can be added to any instant;
 *		what is below zero is -1.
 */
int64
actor_interval_us(const Interval *interval)
{
	double		us = interval_length(interval);

	return us < 0 ? -1 : (int64) Min(us, 1000.0 * DAYS_PER_YEAR * USECS_PER_DAY);
}

bool
actor_type_reentrant(const ActorType *type)
{
	return type->row.reentrancy_set ? type->row.reentrancy : actor_reentrancy_default;
}

int
actor_type_max_stack_depth(const ActorType *type)
{
	return type->row.max_stack_depth >= 0 ?
		type->row.max_stack_depth : actor_max_stack_depth_default;
}

/* how long a call waits for the turn, in milliseconds; 0: for ever */
int
actor_type_call_timeout(const ActorType *type)
{
	return type->row.call_timeout >= 0 ?
		type->row.call_timeout : actor_call_timeout_default;
}

/* how long a running callback may go on when its worker is stopped, in ms */
int
actor_type_drain_timeout(const ActorType *type)
{
	if (!(type->row.drain_set ? type->row.drain : actor_drain_default))
		return 0;
	return type->row.drain_timeout >= 0 ?
		type->row.drain_timeout : actor_drain_timeout_default;
}

/* in how many slices the type's due rows are drained; 0: as many as it takes */
int
actor_type_partitions(const ActorType *type)
{
	return type->row.partitions >= 0 ? type->row.partitions : actor_partitions_default;
}

/* whether turns are given back before their commit is on disk */
bool
actor_type_early_release(const ActorType *type)
{
	return type->row.early_set ? type->row.early : actor_early_release_default;
}

/* after how long without use an actor is deactivated, in microseconds */
int64
actor_type_idle_timeout(const ActorType *type)
{
	return type->row.idle_timeout >= 0 ?
		type->row.idle_timeout : actor_idle_timeout_default * INT64CONST(1000);
}

/* how often idle actors of the type are looked for, in microseconds */
int64
actor_type_scan_interval(const ActorType *type)
{
	return type->row.scan_interval >= 0 ?
		type->row.scan_interval : actor_scan_interval_default * INT64CONST(1000);
}

/*
 * actor_history_from_text
 *		Reads what is to be kept of what runs; false if that is no such word.
 */
bool
actor_history_from_text(const text *value, ActorHistory *history)
{
	static const char *const words[] = {"off", "calls", "changes"};

	for (int i = 0; i < lengthof(words); i++)
		if (actor_text_is(value, words[i]))
		{
			*history = (ActorHistory) i;
			return true;
		}
	return false;
}

/* for how long the history of the type is kept, in microseconds */
int64
actor_type_history_retention(const ActorType *type)
{
	return type->row.history_retention >= 0 ?
		type->row.history_retention : actor_history_retention * USECS_PER_SEC;
}

/* rights ---------------------------------------------------------------- */

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

/*
 * actor_type_is_lost
 *		Whether there is such a type, and it has lost its schema.
 */
bool
actor_type_is_lost(const text *name)
{
	ActorType  *type = actor_type_find(name);

	return type != NULL && !OidIsValid(type->schema_oid);
}

/* the table --------------------------------------------------------------- */

/*
 * actor_type_require
 *		Raises undefined_object if there is no such type, usable or not.
 */
void
actor_type_require(const text *name)
{
	bool		exists;

	(void) actor_type_owner(name, &exists);
	if (!exists)
		refuse_name(name);
}

static void *
read_name(uint64 row)
{
	bool		isnull;

	return DatumGetTextPCopy(actor_query_result(row, 1, &isnull));
}

/*
 * actor_type_any_owned
 *		Whether the current user has the rights of the owner of some type.
 */
bool
actor_type_any_owned(void)
{
	ListCell   *cell;

	if (superuser())
		return true;
	foreach(cell, actor_query_list(&read_names, NULL, read_name))
		if (actor_type_owned(lfirst(cell)))
		return true;
	return false;
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

/*
 * actor_type_require_owner
 *		Raises undefined_object if there is no such type, usable or not, and
 *		insufficient_privilege if the current user does not have the rights of
 *		its owner.
 */
void
actor_type_require_owner(const text *name)
{
	bool		exists;
	Oid			owner = actor_type_owner(name, &exists);

	actor_type_require(name);
	if (!actor_type_owned(name))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of actor type \"%s\"", text_to_cstring(name)),
				 OidIsValid(owner) ?
				 errdetail("It belongs to role \"%s\".", GetUserNameFromId(owner, false)) :
				 errdetail("It has lost its schema, and belongs to superusers only.")));
}

/*
 * actor_type_require_register
 *		Raises insufficient_privilege if the current user, who has the rights of
 *		a schema's owner, may not register a type that exists over that schema.
 *
 * Once a type has lost its schema, it takes a superuser, or the very schema it
 * had, wherever that has gone: one that was made under its name is another one.
 */
void
actor_type_require_register(const text *name, Oid schema)
{
	ActorBookkeeping bookkeeping;
	Datum		values[3] = {PointerGetDatum(name), ObjectIdGetDatum(schema),
	Int64GetDatum((int64) GetSystemIdentifier())};
	bool		exists;
	bool		same;

	if (OidIsValid(actor_type_owner(name, &exists)) || !exists || superuser())
	{
		if (exists)
			actor_type_require_owner(name);
		return;
	}
	actor_bookkeeping_begin(&bookkeeping);
	same = actor_query_latest(&read_same_schema, values) > 0;
	actor_bookkeeping_end(&bookkeeping);
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of actor type \"%s\"", text_to_cstring(name)),
				 errdetail("It has lost its schema. Only a superuser, or who owns that schema now, may register it again.")));
}
