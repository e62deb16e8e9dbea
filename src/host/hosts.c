/*-------------------------------------------------------------------------
 *
 * hosts.c
 *		Hosts: joining, leaving, which of them live, and which one an actor goes to.
 *
 * A host is a program beside an application, which has the methods of actors.
 * It joins with a session of its own, and lives as long as that does: the
 * session has a lock with the name of the host, and whoever wants to know
 * whether a host lives tries to share that.  So nothing beats, nothing is to be
 * cleaned up, and a host whose process or machine is gone is dead as soon as
 * the server knows that.
 *
 * The row of a host that is dead stays as long as actors are placed there: the
 * application may still have them in its memory, and a host that joins for the
 * same application learns which.  An id is used once, so that a host that has
 * lost its session does not come to life again with what it believed before.
 *
 * Only a role with the rights of the owner of a type may host it: the
 * application runs as part of the type, as its functions do.
 *
 * IDENTIFICATION
 *		src/host/hosts.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "host/internal.h"

PG_FUNCTION_INFO_V1(actor_host_join);
PG_FUNCTION_INFO_V1(actor_host_leave);
PG_FUNCTION_INFO_V1(actor_host_report);
PG_FUNCTION_INFO_V1(actor_host_is_alive);
PG_FUNCTION_INFO_V1(actor_host_secret);

/* most bytes of what describes a host */
#define DESCRIPTION_MAX		512
/* most types of a host */
#define TYPES_MAX			10000

static ActorQuery write_host = {
	"INSERT INTO actor.host (host_id, app_id, app_address, address, role_name,"
	"  actor_types, reachable, since)"
	" VALUES ($1, $2, $3, $4, $5, $6, true, $7)"
	" ON CONFLICT (host_id) DO NOTHING",
	7, {UUIDOID, TEXTOID, TEXTOID, TEXTOID, NAMEOID, TEXTARRAYOID, TIMESTAMPTZOID}
};

static ActorQuery read_hosts = {
	"SELECT host_id, app_id, app_address, address, actor_types, reachable, gone_at"
	" FROM actor.host ORDER BY since, host_id",
	0, {0}
};

static ActorQuery read_role = {
	"SELECT role_name FROM actor.host WHERE host_id OPERATOR(pg_catalog.=) $1",
	1, {UUIDOID}
};

static ActorQuery write_reachable = {
	"UPDATE actor.host SET reachable = $2 WHERE host_id OPERATOR(pg_catalog.=) $1",
	2, {UUIDOID, BOOLOID}
};

static ActorQuery delete_empty = {
	"DELETE FROM actor.host h WHERE host_id OPERATOR(pg_catalog.=) $1"
	"   AND NOT EXISTS (SELECT FROM actor.placement p"
	"     WHERE p.host_id OPERATOR(pg_catalog.=) h.host_id)"
	"   AND NOT EXISTS (SELECT FROM actor.leftover l"
	"     WHERE l.host_id OPERATOR(pg_catalog.=) h.host_id)",
	1, {UUIDOID}
};

static ActorQuery read_key = {
	"SELECT pg_catalog.encode(host_key, 'hex') FROM actor.secret",
	0, {0}
};

/* the hosts whose session this is */
typedef struct Joined
{
	struct Joined *next;
	pg_uuid_t	id;
	LOCKTAG		tag;
} Joined;

static Joined *joined = NULL;	/* in TopMemoryContext */

/* ids --------------------------------------------------------------------- */

bool
actor_same_uuid(const pg_uuid_t *a, const pg_uuid_t *b)
{
	return memcmp(a->data, b->data, UUID_LEN) == 0;
}

/*
 * actor_new_uuid
 *		A random id, in the current memory context.
 */
pg_uuid_t *
actor_new_uuid(void)
{
	return DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
}

/*
 * actor_uuid_argument
 *		An argument that is an id and must be there.
 */
const pg_uuid_t *
actor_uuid_argument(FunctionCallInfo fcinfo, int number, const char *what)
{
	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	return PG_GETARG_UUID_P(number);
}

static char *
uuid_string(const pg_uuid_t *id)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out, UUIDPGetDatum(id)));
}

/* rights ------------------------------------------------------------------ */

/*
 * actor_host_check_type
 *		Raises insufficient_privilege unless the current user may host a type.
 */
void
actor_host_check_type(const ActorType *type)
{
	if (!has_privs_of_role(GetUserId(), type->owner_oid))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to host actor type \"%s\"", type->name),
				 errdetail("It takes the rights of its owner, role \"%s\".",
						   GetUserNameFromId(type->owner_oid, false))));
}

/*
 * Refuses a type that is not hosted, or that the current user may not host.
 */
static void
check_joining(const text *name)
{
	ActorType  *type = actor_type_lookup(name);

	actor_host_check_type(type);
	if (!type->row.hosted)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actor type \"%s\" is not hosted", type->name),
				 errdetail("All of its methods are functions of schema \"%s\".",
						   NameStr(type->row.schema_name)),
				 errhint("Register it with hosted => true, or with actor_configure(document, hosted => true).")));
}

/*
 * actor_host_check_outside_block
 *		Refuses to be called in a transaction block, as what is written must be
 *		committed by the end of the statement.
 */
void
actor_host_check_outside_block(const char *function)
{
	if (IsTransactionBlock() || IsSubTransaction() || actor_frame_current() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", function)));
}

/*
 * actor_host_require
 *		Raises object_not_in_prerequisite_state unless a host lives.
 */
void
actor_host_require(const pg_uuid_t *id)
{
	if (!actor_host_lives(id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("host %s does not live", uuid_string(id)),
				 errdetail("Its session has ended, or it has not joined."),
				 errhint("Join with a new id by %s.", "actor.host_join()")));
}

/*
 * actor_host_require_own
 *		Raises insufficient_privilege unless there is such a host and the current
 *		user has the rights of the role that has joined.
 */
void
actor_host_require_own(const pg_uuid_t *id)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {UUIDPGetDatum(id)};
	NameData	role;
	bool		found;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_latest(&read_role, values) > 0;
	if (found)
		role = *DatumGetName(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	if (!found || !actor_role_held(&role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for host %s", uuid_string(id)),
				 errdetail("It belongs to the role that has joined, if there is such a host.")));
}

/* living ------------------------------------------------------------------ */

/*
 * The lock that a host has as long as it lives.
 */
static uint64
lock_key(const pg_uuid_t *id)
{
	return actor_hash_type(cstring_to_text(uuid_string(id)));
}

/*
 * Forgets a host of this session, which has its lock no longer.
 */
static void
forget_joined(Joined **link)
{
	Joined	   *host = *link;

	*link = host->next;
	pfree(host);
}

/*
 * Tells others at once, whatever becomes of this transaction, that a host lives no
 * longer.
 */
static void
report_gone(void)
{
	if (actor_shared == NULL)
		return;
	actor_hosts_changed();
	/* executors see to idle actors if it was the last one */
	actor_worker_report(MyDatabaseId, GetCurrentTimestamp());
}

/*
 * Whether a host is one of this session and still has its lock.  A pooler or a user
 * may have cleaned the session, with DISCARD ALL for instance: for everybody else the
 * host is gone then, and so it is for this session.
 */
static bool
lives_here(const pg_uuid_t *id)
{
	for (Joined **link = &joined; *link != NULL; link = &(*link)->next)
		if (actor_same_uuid(&(*link)->id, id))
		{
			if (actor_lock_held_by_me(&(*link)->tag, ExclusiveLock))
				return true;
			forget_joined(link);
			report_gone();
			return false;
		}
	return false;
}

/*
 * actor_host_lives
 *		Whether the session in which a host has joined is there, and has its lock.
 */
bool
actor_host_lives(const pg_uuid_t *id)
{
	uint64		key;

	/* what a session has itself it can share */
	if (lives_here(id))
		return true;
	key = lock_key(id);
	if (actor_lock(ACTOR_LOCK_HOST, key, ShareLock, false) == LOCKACQUIRE_NOT_AVAIL)
		return true;
	actor_unlock(ACTOR_LOCK_HOST, key, ShareLock);
	return false;
}

/*
 * The session ends, and has given back its locks: others take over.
 */
static void
session_exit(int code, Datum arg)
{
	if (joined != NULL)
		report_gone();
}

/*
 * Makes this the session of a host.
 */
static void
begin_living(const pg_uuid_t *id)
{
	static bool registered = false;
	Joined	   *host = MemoryContextAlloc(TopMemoryContext, sizeof(Joined));
	uint64		key = lock_key(id);

	host->id = *id;
	SET_LOCKTAG_ADVISORY(host->tag, MyDatabaseId, (uint32) (key >> 32), (uint32) key,
						 ACTOR_LOCK_HOST);
	if (LockAcquire(&host->tag, ExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		pfree(host);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("host %s has joined already", uuid_string(id))));
	}
	host->next = joined;
	joined = host;

	/*
	 * after the locks are given back, which is done before shared memory is
	 * left
	 */
	if (!registered)
		on_shmem_exit(session_exit, (Datum) 0);
	registered = true;
}

static void
end_living(const pg_uuid_t *id)
{
	for (Joined **link = &joined; *link != NULL; link = &(*link)->next)
		if (actor_same_uuid(&(*link)->id, id))
		{
			(void) LockRelease(&(*link)->tag, ExclusiveLock, true);
			forget_joined(link);
			return;
		}
}

/* which there are --------------------------------------------------------- */

static void *
read_host(uint64 row)
{
	ActorHost  *host = palloc0(sizeof(ActorHost));
	bool		isnull;
	Datum	   *types;
	Datum		gone_at;
	int			ntypes;

	host->id = *DatumGetUUIDP(actor_query_result(row, 1, &isnull));
	host->app_id = DatumGetTextPCopy(actor_query_result(row, 2, &isnull));
	host->app_address = DatumGetTextPCopy(actor_query_result(row, 3, &isnull));
	host->address = DatumGetTextPCopy(actor_query_result(row, 4, &isnull));
	deconstruct_array(DatumGetArrayTypePCopy(actor_query_result(row, 5, &isnull)),
					  TEXTOID, -1, false, TYPALIGN_INT, &types, NULL, &ntypes);
	for (int i = 0; i < ntypes; i++)
		host->types = lappend(host->types, DatumGetTextPP(types[i]));
	host->reachable = DatumGetBool(actor_query_result(row, 6, &isnull));
	gone_at = actor_query_result(row, 7, &isnull);
	if (!isnull)
		host->gone_at = DatumGetTimestampTz(gone_at);
	return host;
}

/*
 * actor_hosts_read
 *		All hosts that have joined, as a list of ActorHost in the current memory
 *		context, with whether they live.
 */
List *
actor_hosts_read(void)
{
	List	   *hosts = actor_query_list(&read_hosts, NULL, read_host);
	ListCell   *cell;

	foreach(cell, hosts)
	{
		ActorHost  *host = lfirst(cell);

		host->alive = actor_host_lives(&host->id);
	}
	return hosts;
}

/*
 * actor_hosts_find
 *		The host of an id among those of a list, or NULL.
 */
const ActorHost *
actor_hosts_find(List *hosts, const pg_uuid_t *id)
{
	ListCell   *cell;

	foreach(cell, hosts)
		if (actor_same_uuid(&((ActorHost *) lfirst(cell))->id, id))
		return lfirst(cell);
	return NULL;
}

/*
 * actor_host_has_type
 *		Whether the application of a host has a type.
 */
bool
actor_host_has_type(const ActorHost *host, const text *type)
{
	ListCell   *cell;

	foreach(cell, host->types)
		if (actor_text_equal(lfirst(cell), type))
		return true;
	return false;
}

/*
 * actor_hosts_have_type
 *		Whether any host that lives has a type.
 */
bool
actor_hosts_have_type(const text *type)
{
	ListCell   *cell;

	foreach(cell, actor_hosts_read())
	{
		const ActorHost *host = lfirst(cell);

		if (host->alive && actor_host_has_type(host, type))
			return true;
	}
	return false;
}

/*
 * actor_hosts_choose
 *		The host of a list that an actor goes to, or NULL if none of them has its
 *		type, lives, and reaches its application.
 *
 * Each host draws a number for each actor, and the highest one wins.  So a host
 * that comes or goes only takes or leaves its own share.
 */
const ActorHost *
actor_hosts_choose(List *hosts, const ActorRef *actor)
{
	const ActorHost *chosen = NULL;
	uint64		highest = 0;
	ListCell   *cell;

	foreach(cell, hosts)
	{
		const ActorHost *host = lfirst(cell);
		uint64		number;

		if (!host->alive || !host->reachable || !actor_host_has_type(host, actor->type))
			continue;
		number = hash_bytes_extended(host->id.data, UUID_LEN, actor->hash);
		if (chosen == NULL || number > highest)
		{
			chosen = host;
			highest = number;
		}
	}
	return chosen;
}

/* SQL functions ----------------------------------------------------------- */

/*
 * The types of the argument, each of which the current user may host.
 */
static ArrayType *
types_argument(FunctionCallInfo fcinfo, int number)
{
	ArrayType  *array;
	Datum	   *types;
	bool	   *nulls;
	int			ntypes;

	if (PG_ARGISNULL(number))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("actor types must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(number);
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &types, &nulls, &ntypes);
	if (ntypes > TYPES_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a host can have at most %d actor types", TYPES_MAX)));
	for (int i = 0; i < ntypes; i++)
	{
		text	   *name = nulls[i] ? NULL : DatumGetTextPP(types[i]);

		actor_check_text(name, nulls[i], "actor type", ACTOR_MAX_TYPE_LEN);
		check_joining(name);
	}
	return array;
}

/*
 * actor_host_remove_empty
 *		Removes the row of a host that is gone, or about to, unless it has left
 *		something behind.
 */
void
actor_host_remove_empty(const pg_uuid_t *id)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {UUIDPGetDatum(id)};

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&delete_empty, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Removes the rows of hosts that are gone and have left nothing behind.
 */
static void
forget_dead_hosts(void)
{
	ListCell   *cell;

	foreach(cell, actor_hosts_read())
	{
		const ActorHost *host = lfirst(cell);

		if (!host->alive)
			actor_host_remove_empty(&host->id);
	}
}

static text *
read_host_key(void)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	text	   *key = NULL;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_key, NULL) == 1)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		bool		isnull;

		key = DatumGetTextPCopy(actor_query_result(0, 1, &isnull));
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
	if (key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("table \"%s\" does not have the key of this database", "actor.secret")));
	return key;
}

/*
 * A text that nobody can make of a purpose who does not have the key: that, and what
 * it is for as a hash, so that no purpose can be the beginning of another one.
 */
static text *
make_secret(const char *purpose)
{
	text	   *key = read_host_key();
	Datum		hash = DirectFunctionCall1(sha256_bytea,
										   PointerGetDatum(cstring_to_text(purpose)));
	Datum		both = DirectFunctionCall2(byteacat, PointerGetDatum(key), hash);
	Datum		secret = DirectFunctionCall1(sha256_bytea, both);

	return DatumGetTextPP(DirectFunctionCall2(binary_encode, secret,
											  CStringGetTextDatum("hex")));
}

/*
 * actor.host_join
 *		Makes this session that of a host, as the current user.
 */
Datum
actor_host_join(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");
	ActorBookkeeping bookkeeping;
	Datum		values[7];
	NameData	role;
	bool		inserted;
	text	   *secret;

	AcceptInvalidationMessages();
	values[0] = UUIDPGetDatum(id);
	values[1] = PointerGetDatum(actor_text_argument(fcinfo, 1, "application id", DESCRIPTION_MAX));
	values[2] = PointerGetDatum(actor_text_argument(fcinfo, 2, "application address",
													DESCRIPTION_MAX));
	values[3] = PointerGetDatum(actor_text_argument(fcinfo, 3, "host address", DESCRIPTION_MAX));
	values[5] = PointerGetDatum(types_argument(fcinfo, 4));
	values[6] = TimestampTzGetDatum(GetCurrentTimestamp());
	actor_host_check_outside_block("actor.host_join()");
	PreventCommandIfReadOnly("actor.host_join()");
	PreventCommandIfParallelMode("actor.host_join()");
	actor_role_use(GetUserId(), &role);
	values[4] = NameGetDatum(&role);

	forget_dead_hosts();
	actor_bookkeeping_begin(&bookkeeping);
	inserted = actor_query_run(&write_host, values, NULL) > 0;
	actor_bookkeeping_end(&bookkeeping);
	if (!inserted)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("host %s has joined before", uuid_string(id)),
				 errhint("Join with a new id each time.")));
	/* placements there last as well */
	ForceSyncCommit();
	secret = make_secret("calls");
	/* the last step: an error would leave the lock, without a row */
	begin_living(id);
	actor_wake_hosts(0);
	PG_RETURN_TEXT_P(secret);
}

/*
 * actor.host_secret
 *		By what hosts of a type know each other; NULL if the current user may not host
 *		it.  It is another one for another owner.
 */
Datum
actor_host_secret(PG_FUNCTION_ARGS)
{
	text	   *name = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_lookup(name);
	if (!OidIsValid(type->owner_oid) || !has_privs_of_role(GetUserId(), type->owner_oid))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(make_secret(psprintf("type %u %s", type->owner_oid, type->name)));
}

/*
 * actor.host_leave
 *		The host of this session lives no longer.  Its row stays if actors are
 *		placed there.
 */
Datum
actor_host_leave(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");

	actor_host_require_own(id);
	actor_host_check_outside_block("actor.host_leave()");
	PreventCommandIfReadOnly("actor.host_leave()");
	if (!lives_here(id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("host %s has not joined in this session", uuid_string(id))));
	actor_host_remove_empty(id);
	end_living(id);
	actor_wake_hosts(0);
	actor_wake_at(GetCurrentTimestamp());
	PG_RETURN_VOID();
}

/*
 * actor.host_report
 *		Writes down whether the application of a host answers.
 */
Datum
actor_host_report(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *id = actor_uuid_argument(fcinfo, 0, "host id");
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {UUIDPGetDatum(id), PG_GETARG_DATUM(1)};

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "reachable")));
	actor_host_require_own(id);
	PreventCommandIfReadOnly("actor.host_report()");
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&write_reachable, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_hosts(0);
	PG_RETURN_VOID();
}

/*
 * actor.host_is_alive
 *		Whether a host lives.  Everybody may know that of an id he knows.
 */
Datum
actor_host_is_alive(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_BOOL(actor_host_lives(PG_GETARG_UUID_P(0)));
}
