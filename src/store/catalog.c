/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		Access to the extension's own tables.
 *
 * All reading and writing of the tables in schema actor goes through here: as
 * the owner of the extension, in a security-restricted operation.
 *
 * A caller that is left by an error need not restore anything: the abort of
 * the (sub)transaction restores the user, and SPI cleans up after itself.
 *
 * Also here: the generation, a counter that grows whenever something may have
 * changed that the caches of the registry and of methods are built from.
 *
 * IDENTIFICATION
 *		src/store/catalog.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "store/internal.h"
#include "store/store.h"

static ActorQuery read_hash_key = {
	"SELECT hash_key FROM actor.secret",
	0, {0}
};

/* the table whose database the hash key was read for */
static Oid	hash_key_relation = InvalidOid;

/* the table every other one depends on, as it was found last */
static Oid	type_relation = InvalidOid;
static Oid	extension_owner = InvalidOid;

/* whether nothing has changed since it was found, and the version fitted */
static bool extension_known = false;

static uint64 generation = 1;
static uint64 objects_generation = 1;

/* the generation at which the version was last found to fit; 0: never */
static uint64 version_generation = 0;

/* names this database in invalidations; 0: not computed yet */
static uint32 database_hash = 0;

static void relcache_callback(Datum arg, Oid relation);
static void syscache_callback(Datum arg, int cacheid, uint32 hashvalue);
static void database_callback(Datum arg, int cacheid, uint32 hashvalue);
static Oid	lookup_extension(void);
static void load_hash_key(void);

/*
 * actor_catalog_init
 *		Registers, once a process, for what the caches depend on.
 */
void
actor_catalog_init(void)
{
	/* a single one, as a process has room for ten, of which Citus takes five */
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(NAMESPACEOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, syscache_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(DATABASEOID, database_callback, (Datum) 0);
	actor_hash_key_load = load_hash_key;
}

/*
 * Functions, schemas, roles or their memberships have changed.
 */
static void
objects_changed(void)
{
	generation++;
	objects_generation++;
}

/*
 * A table has changed.  A change of actor.type: a type was registered or removed, or
 * the extension dropped.
 */
static void
relcache_callback(Datum arg, Oid relation)
{
	actor_shape_changed(relation);
	actor_shard_changed(relation);
	actor_trigger_forget(relation);
	if (!OidIsValid(relation))
		objects_changed();
	else if (relation != type_relation)
		return;
	else
		generation++;
	extension_known = false;
	actor_hash_key.ready = false;
}

static void
syscache_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	objects_changed();
}

/*
 * Who owns this database is the only member of pg_database_owner.  What happens
 * to other databases is of no interest.
 */
static void
database_callback(Datum arg, int cacheid, uint32 hashvalue)
{
	if (hashvalue == 0 || database_hash == 0 || hashvalue == database_hash)
		objects_changed();
}

/*
 * actor_catalog_generation
 *		Whatever was cached under another generation must be looked up again.
 */
uint64
actor_catalog_generation(void)
{
	return generation;
}

/*
 * actor_catalog_objects_generation
 *		The same for what depends on functions, schemas and roles, but not on
 *		actor.type.
 */
uint64
actor_catalog_objects_generation(void)
{
	return objects_generation;
}

/*
 * actor_catalog_invalidate_types
 *		Makes all sessions look up actor types again once this transaction has
 *		committed, and this session at its next command.
 */
void
actor_catalog_invalidate_types(void)
{
	CacheInvalidateRelcacheByRelid(lookup_extension());
	if (actor_on_several_servers())
		actor_distribute_types_changed();
}

/*
 * actor_catalog_altered
 *		Makes all sessions look at the version of the extension again once this
 *		transaction has committed.
 */
void
actor_catalog_altered(void)
{
	Oid			relation = actor_catalog_relation("type");

	if (OidIsValid(relation))
		CacheInvalidateRelcacheByRelid(relation);
}

/*
 * Version of the extension's objects in this database, in the current memory
 * context; NULL if it is not installed.
 */
static char *
installed_version(void)
{
	Relation	relation = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("actor"));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;

		/*
		 * every row has this column, so heap_getattr is not needed: see
		 * compat.h
		 */
		Datum		value = fastgetattr(tuple, Anum_pg_extension_extversion,
										RelationGetDescr(relation), &isnull);

		version = TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return version;
}

/*
 * Checks that the tables and functions are those this library was made for.
 * Looked at again whenever the caches are rebuilt, so a change of the version
 * is noticed by sessions that are open meanwhile.  Returns whether they are,
 * and otherwise says so at that level.
 */
static bool
check_version(int elevel)
{
	uint64		current = generation;
	char	   *version;

	if (version_generation == current)
		return true;
	version = installed_version();
	/* objects that were taken out of the extension are not ours to judge */
	if (version != NULL && strcmp(version, ACTOR_VERSION) != 0)
	{
		ereport(elevel,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" has version %s in database \"%s\", but its library has version %s",
						"actor", version, get_database_name(MyDatabaseId), ACTOR_VERSION),
				 errhint("Update the extension with ALTER EXTENSION actor UPDATE, or, if the library is the older one, install the new one and restart the server."),
				 errhidestmt(true)));
		return false;
	}
	if (version != NULL)
		version_generation = current;
	return true;
}

/*
 * Whether workers can take turns, as the tables are not distributed, or all that need
 * be; says so at that level if they cannot.
 */
static bool
turns_can_be_taken(int elevel)
{
	const char *table = actor_shape_distributed();
	bool		result = table == NULL ||
	(actor_on_several_servers() && actor_turn_lock != ACTOR_TURN_LOCK_ADVISORY);

	if (!result)
		ereport(elevel,
				(errmsg("nothing fires in database \"%s\", because table \"%s.%s\" is distributed",
						get_database_name(MyDatabaseId), "actor", table),
				 errhidestmt(true)));
	return result;
}

/*
 * actor_catalog_installed
 *		Whether this database has the extension, for workers; they leave one
 *		alone that this library was not made for.
 */
bool
actor_catalog_installed(void)
{
	static bool said = false;

	if (!OidIsValid(get_extension_oid("actor", true)) ||
		!OidIsValid(actor_catalog_relation("type")))
		return false;
	if (check_version(said ? DEBUG1 : LOG) && actor_shapes_check(said ? DEBUG1 : LOG) &&
		turns_can_be_taken(said ? DEBUG1 : LOG))
		return true;
	said = true;
	return false;
}

/*
 * actor_catalog_relation
 *		Oid of one of the extension's tables, or InvalidOid.
 */
Oid
actor_catalog_relation(const char *name)
{
	Oid			schema = get_namespace_oid("actor", true);

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

/*
 * Finds actor.type and its owner, who owns all tables of the extension, and
 * makes sure that they are what this library knows.  Returns the oid of actor.type.
 *
 * What is looked up may itself bring news.  Then it is looked up again the next
 * time; news of the table that was found count from that moment on.
 */
static Oid
lookup_extension(void)
{
	HeapTuple	tuple;
	Oid			relation;
	uint64		current;

	if (extension_known && actor_shapes_checked)
		return type_relation;
	if (database_hash == 0)
		database_hash = GetSysCacheHashValue1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));

	relation = actor_catalog_relation("type");
	current = generation;
	if (relation != type_relation)
		extension_known = false;
	type_relation = relation;
	(void) check_version(ERROR);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" does not exist in this database", "actor"),
				 errhint("Use CREATE EXTENSION to install it.")));
	extension_owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	(void) actor_shapes_check(ERROR);
	extension_known = (current == generation);
	return relation;
}

/*
 * Makes the hash key of this database ready, which stays what it is as long as
 * the extension does.
 */
static void
load_hash_key(void)
{
	ActorBookkeeping bookkeeping;
	bytea	   *key = NULL;
	Oid			relation = lookup_extension();

	/*
	 * if that has brought news, it may be the table of an extension that is
	 * gone
	 */
	if (hash_key_relation == relation && extension_known)
	{
		actor_hash_key.ready = true;
		return;
	}
	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_hash_key, NULL) == 1)
	{
		bool		isnull;

		key = DatumGetByteaPP(actor_query_result(0, 1, &isnull));
	}
	if (key == NULL || VARSIZE_ANY_EXHDR(key) != 2 * sizeof(uint64))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table \"%s\" does not have the key of this database", "actor.secret"),
				 errdetail("CREATE EXTENSION puts one row there, which names the locks of actors."),
				 errhint("Stop all that use actors here, and insert a row with 16 random bytes.")));
	actor_hash_key_set((unsigned char *) VARDATA_ANY(key));
	hash_key_relation = relation;
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * actor_catalog_require
 *		Raises an error unless the tables are those this library was made for.
 */
void
actor_catalog_require(void)
{
	lookup_extension();
}

/*
 * actor_identity_begin
 *		Becomes the owner of the extension, until actor_identity_end or the end
 *		of the (sub)transaction by an error.
 */
void
actor_identity_begin(ActorBookkeeping *bookkeeping)
{
	lookup_extension();
	GetUserIdAndSecContext(&bookkeeping->userid, &bookkeeping->sec_context);
	SetUserIdAndSecContext(extension_owner,
						   bookkeeping->sec_context |
						   SECURITY_LOCAL_USERID_CHANGE |
						   SECURITY_RESTRICTED_OPERATION);
}

void
actor_identity_end(ActorBookkeeping *bookkeeping)
{
	SetUserIdAndSecContext(bookkeeping->userid, bookkeeping->sec_context);
}

/*
 * actor_bookkeeping_begin
 *		Connects to SPI and becomes the owner of the extension.
 *
 * Until actor_bookkeeping_end no user code may run: no conversion, no cast,
 * no function that is not built in.
 */
void
actor_bookkeeping_begin(ActorBookkeeping *bookkeeping)
{
	lookup_extension();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	actor_identity_begin(bookkeeping);
}

/*
 * actor_bookkeeping_end
 *		Undoes actor_bookkeeping_begin; results not copied are gone.
 */
void
actor_bookkeeping_end(ActorBookkeeping *bookkeeping)
{
	actor_identity_end(bookkeeping);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "SPI_finish failed");
}
