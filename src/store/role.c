/*-------------------------------------------------------------------------
 *
 * role.c
 *		What a name of a role means in our rows, and when it stops counting.
 *
 * Rows keep the names of roles, because a dump must restore anywhere.  A name
 * alone proves nothing: its role can be dropped or renamed, and another one
 * created under that name.  So actor.role has an entry for each name that some
 * row of ours keeps, made when the name was first used: the oid the role had,
 * and in which server that was.  This is the rule, which everybody asks for here:
 *
 * - A name stands for the role that has it, if every entry that was made in
 *	 this server has the oid of that role.
 * - Entries of another server tell nothing about the roles of this one: the
 *	 rows were restored here, and the name stands for the role that has it.
 *	 The scheduler makes an entry for that role, which counts from then on.
 * - An entry of no server (0) is that of a role that is gone.  It counts in all
 *	 servers, so that a dump does not bring the role back under another one.
 * - In all other cases the name stands for nobody.  What belongs to it waits,
 *	 and only superusers have the rights of it.
 *
 * When a role uses a name that stood for another one, the rows of that one are
 * moved aside, to a name that tells its oid and that never stands for anybody.
 *
 * A schema proves who owns a type in the same way: its owner is the role that
 * the type's owner_name stands for, as long as the schema belongs to that role.
 *
 * An entry is not unique, so that two sessions of a role that uses the extension
 * for the first time do not wait for each other; equal ones do no harm.
 *
 * A role can be dropped while a transaction of its is open, and what that has
 * written can be seen by nobody else yet.  So whoever writes a name shares a lock
 * on it until its transaction ends; who makes the name stand for another role
 * takes the lock alone, and so finds all that its predecessor has written, and
 * ever will write.  No other lock is waited for while that is held alone, but
 * those of rows.
 *
 * IDENTIFICATION
 *		src/store/role.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/internal.h"
#include "store/store.h"

/* system_identifier of an entry of a role that is gone */
#define NO_SERVER			INT64CONST(0)

static ActorQuery read_entries = {
	"SELECT role_oid, system_identifier, xmin FROM actor.role"
	" WHERE role_name OPERATOR(pg_catalog.=) $1",
	1, {NAMEOID}
};

static ActorQuery write_entry = {
	"INSERT INTO actor.role (role_name, entry, role_oid, system_identifier)"
	" VALUES ($1, $2, $3, $4)",
	4, {NAMEOID, INT8OID, OIDOID, INT8OID}
};

static ActorQuery delete_entries = {
	"DELETE FROM actor.role WHERE role_name OPERATOR(pg_catalog.=) $1",
	1, {NAMEOID}
};

#define MOVE_ROWS(table, column) \
	{"UPDATE " table " SET " column " = $2 WHERE " column " OPERATOR(pg_catalog.=) $1", \
	2, {NAMEOID, NAMEOID}}

/* rows that hosts run are in another index than those of workers */
#define MOVE_DUE(table) \
	{"UPDATE " table " SET role_name = $2" \
	" WHERE NOT hosted AND role_name OPERATOR(pg_catalog.=) $1" \
	"    OR hosted AND role_name OPERATOR(pg_catalog.=) $1", \
	2, {NAMEOID, NAMEOID}}

/* what belongs to a role, and what is known of its name */
static ActorQuery move_rows[] = {
	MOVE_DUE("actor.reminder"),
	MOVE_DUE("actor.timer"),
	MOVE_DUE("actor.message"),
	MOVE_ROWS("actor.outbox", "role_name"),
	/* what was forwarded until that could be locked */
	MOVE_DUE("actor.message"),
	MOVE_ROWS("actor.request", "role_name"),
	MOVE_ROWS("actor.promise", "role_name"),
	MOVE_ROWS("actor.each", "role_name"),
	MOVE_ROWS("actor.subscription", "role_name"),
	MOVE_ROWS("actor.failure", "role_name"),
	MOVE_ROWS("actor.type", "owner_name"),
	{"UPDATE actor.role SET role_name = $2, system_identifier = 0"
		" WHERE role_name OPERATOR(pg_catalog.=) $1",
	2, {NAMEOID, NAMEOID}}
};

/* the index on roles has those that are not hosted */
#define ROWS_OF(table, condition) \
	" EXISTS (SELECT FROM actor." table " WHERE " condition \
	" AND role_name OPERATOR(pg_catalog.=) $1)"

static ActorQuery read_left = {
	"SELECT 1 WHERE"
	ROWS_OF("reminder", "NOT hosted") " OR " ROWS_OF("timer", "NOT hosted")
	" OR " ROWS_OF("message", "NOT hosted") " OR " ROWS_OF("reminder", "hosted")
	" OR " ROWS_OF("timer", "hosted") " OR " ROWS_OF("message", "hosted")
	" OR " ROWS_OF("outbox", "true"),
	1, {NAMEOID}, false, true
};

static ActorQuery read_owned = {
	"SELECT FROM actor.type WHERE owner_name OPERATOR(pg_catalog.=) $1 LIMIT 1",
	1, {NAMEOID}
};

/* what the entries of a name say */
typedef struct Entries
{
	Oid			former;			/* another role of an entry that counts;
								 * invalid: none */
	bool		ours;			/* there is an entry of this server */
	bool		contradicted;	/* one is not of the role asked for */
	bool		settled;		/* one was committed by somebody */
} Entries;

/* the meanings of names that this session has looked for, by generation */
typedef struct Meaning
{
	NameData	name;			/* hash key */
	Oid			role;			/* invalid: nobody */
} Meaning;

static HTAB *meanings = NULL;
static uint64 meanings_generation = 0;

/* the last role that was found to be entered */
static struct
{
	Oid			role;
	NameData	name;
	uint64		lock_key;
	uint64		generation;
	TransactionId xid;			/* invalid: for good */
	SubTransactionId subid;		/* otherwise as long as this is active */
	ActorSpan	locked;			/* how long the name is */
}			last_used;

/*
 * actor_role_server
 *		What tells this server from others in an entry.
 */
int64
actor_role_server(void)
{
	return (int64) GetSystemIdentifier();
}

/*
 * Reads what the entries of a name say about a role.
 */
static void
read_name(const NameData *name, Oid role, Entries *entries)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {NameGetDatum(name)};
	uint64		rows;

	memset(entries, 0, sizeof(*entries));
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_latest(&read_entries, values);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;
		Oid			entered = DatumGetObjectId(actor_query_result(i, 1, &isnull));
		int64		server = DatumGetInt64(actor_query_result(i, 2, &isnull));
		TransactionId xmin = DatumGetTransactionId(actor_query_result(i, 3, &isnull));

		if (server != NO_SERVER && server != actor_role_server())
			continue;
		if (server == NO_SERVER || entered != role)
		{
			entries->contradicted = true;
			entries->former = entered;
		}
		else
		{
			entries->ours = true;
			if (!TransactionIdIsCurrentTransactionId(xmin))
				entries->settled = true;
		}
	}
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Starts without meanings when the old ones may be out of date.
 */
static void
refresh_meanings(void)
{
	HASHCTL		ctl;

	if (meanings != NULL && meanings_generation == actor_catalog_generation())
		return;
	if (meanings != NULL)
		hash_destroy(meanings);
	meanings = NULL;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(NameData);
	ctl.entrysize = sizeof(Meaning);
	ctl.hcxt = CacheMemoryContext;
	meanings = hash_create("actor roles", 16, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	meanings_generation = actor_catalog_generation();
}

static Oid
look_up(const NameData *name)
{
	Oid			role = get_role_oid(NameStr(*name), true);
	Entries		entries;

	if (!OidIsValid(role))
		return InvalidOid;
	read_name(name, role, &entries);
	return entries.contradicted ? InvalidOid : role;
}

/*
 * actor_role_find
 *		The role that a name in our rows stands for; InvalidOid: nobody.
 */
Oid
actor_role_find(const NameData *name)
{
	NameData	key;
	Meaning    *meaning;
	uint64		generation;
	Oid			role;

	/* a parallel query sees what its snapshot shows, which may not be kept */
	if (IsInParallelMode())
		return look_up(name);

	/* with zeros up to its end */
	namestrcpy(&key, NameStr(*name));
	refresh_meanings();
	meaning = hash_search(meanings, &key, HASH_FIND, NULL);
	if (meaning != NULL)
		return meaning->role;
	generation = meanings_generation;
	role = look_up(&key);
	/* if something has changed meanwhile, the next one looks again */
	if (generation == actor_catalog_generation())
	{
		meaning = hash_search(meanings, &key, HASH_ENTER, NULL);
		meaning->role = role;
	}
	return role;
}

/*
 * actor_role_held
 *		Whether the current user has the rights of the role that a name in our
 *		rows stands for; of nobody only superusers have them.
 */
bool
actor_role_held(const NameData *name)
{
	return actor_role_held_by(GetUserId(), name);
}

/*
 * actor_role_held_by
 *		The same for another user.
 */
bool
actor_role_held_by(Oid user, const NameData *name)
{
	Oid			role = actor_role_find(name);

	return OidIsValid(role) ? has_privs_of_role(user, role) : superuser_arg(user);
}

/*
 * actor_role_former
 *		The role for which a name was entered in this server, even if it has
 *		another name by now; InvalidOid if that is not known, or it is gone.
 */
Oid
actor_role_former(const NameData *name)
{
	Entries		entries;

	read_name(name, InvalidOid, &entries);
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(entries.former)) ?
		entries.former : InvalidOid;
}

/*
 * actor_schema_holder
 *		The role that owns a type: the one that its owner_name stands for, if
 *		the schema belongs to that; InvalidOid: nobody.  Also returns the schema.
 */
Oid
actor_schema_holder(const NameData *schema_name, const NameData *owner_name, Oid *schema)
{
	HeapTuple	tuple;
	Oid			owner;

	*schema = get_namespace_oid(NameStr(*schema_name), true);
	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(*schema));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return OidIsValid(owner) && actor_role_find(owner_name) == owner ? owner : InvalidOid;
}

/*
 * actor_role_unusable
 *		Why no worker can connect as this role to this database; NULL if it
 *		can.
 */
const char *
actor_role_unusable(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can_login;

	if (!HeapTupleIsValid(tuple))
		return "The role does not exist.";
	can_login = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	if (ACTOR_WORKER_NEEDS_LOGIN && !can_login)
		return "Before PostgreSQL 17 a worker needs a role with the LOGIN attribute.";
	if (actor_database_aclcheck(MyDatabaseId, role) != ACLCHECK_OK)
		return "The role does not have the CONNECT privilege on this database.";
	return NULL;
}

/*
 * actor_role_waits
 *		Why nothing fires that belongs to a name in our rows; NULL if it can.
 */
const char *
actor_role_waits(const NameData *name)
{
	Oid			role = actor_role_find(name);

	if (!OidIsValid(role) && OidIsValid(get_role_oid(NameStr(*name), true)))
		return "Another role had that name when it was used.";
	return actor_role_unusable(role);
}

/*
 * actor_role_of_row
 *		Runs a statement about a row, which may lock it and returns the name of its
 *		role; false if there is no such row.  What has changed until then is known.
 */
bool
actor_role_of_row(ActorQuery *query, Datum *values, NameData *name)
{
	ActorBookkeeping bookkeeping;
	bool		found;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	found = actor_query_run(query, values, NULL) > 0;
	if (found)
		*name = *DatumGetName(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	AcceptInvalidationMessages();
	return found;
}

/* using a name ---------------------------------------------------------- */

/*
 * actor_role_enter
 *		Makes an entry of this server for a role and its name.
 */
void
actor_role_enter(const NameData *name, Oid role)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	int64		entry;

	if (!pg_strong_random(&entry, sizeof(entry)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate a random number")));
	values[0] = NameGetDatum(name);
	values[1] = Int64GetDatum(entry);
	values[2] = ObjectIdGetDatum(role);
	values[3] = Int64GetDatum(actor_role_server());
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(&write_entry, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
}

/*
 * Moves all that belongs to an earlier role of that name to a name of its own.
 */
static void
move_aside(const NameData *name, Oid former)
{
	ActorBookkeeping bookkeeping;
	char	   *suffix = psprintf(" (oid %u)", former);
	NameData	aside;
	Datum		values[2] = {NameGetDatum(name), NameGetDatum(&aside)};
	int			len = pg_mbcliplen(NameStr(*name), strlen(NameStr(*name)),
								   NAMEDATALEN - 1 - strlen(suffix));

	namestrcpy(&aside, psprintf("%.*s%s", len, NameStr(*name), suffix));
	actor_bookkeeping_begin(&bookkeeping);
	for (int i = 0; i < lengthof(move_rows); i++)
		(void) actor_query_run(&move_rows[i], values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	actor_catalog_invalidate_types();
}

/* a lock on a name that is waited for */
typedef struct NameLock
{
	uint64		key;
	LOCKMODE	mode;
} NameLock;

static void
wait_for_name(const void *arg)
{
	const NameLock *lock = arg;

	if (actor_lock(ACTOR_LOCK_ROLE, lock->key, lock->mode, true) == LOCKACQUIRE_OK)
		AcceptInvalidationMessages();
}

/*
 * Locks a name until the end of the (sub)transaction, and learns of the roles
 * that were dropped or renamed before.  Waits at most for actor.call_timeout, and
 * raises lock_not_available then.
 */
static void
lock_name(uint64 key, LOCKMODE mode, const NameData *name)
{
	NameLock	lock = {key, mode};
	LockAcquireResult result = actor_lock(ACTOR_LOCK_ROLE, key, mode, false);

	if (result == LOCKACQUIRE_OK)
		AcceptInvalidationMessages();
	if (result != LOCKACQUIRE_NOT_AVAIL ||
		actor_lock_within(actor_call_timeout_default, 0, wait_for_name, &lock))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("the name of role \"%s\" was not free within %d ms",
					NameStr(*name), actor_call_timeout_default),
			 errdetail("Another role had that name, and a transaction that has used one of both is not over."),
			 errhint("\"%s\" limits the wait.", "actor.call_timeout")));
}

/*
 * Locks the name that a role has then, once; returns the key of the lock.  It stays
 * held while it is found out whether the role still has the name, so that nobody who
 * has waited longer comes before.
 */
static uint64
lock_name_of(Oid role, LOCKMODE mode, NameData *name)
{
	NameData	renamed;
	uint64		key;

	namestrcpy(name, GetUserNameFromId(role, false));
	for (;;)
	{
		key = actor_hash_type(cstring_to_text(NameStr(*name)));
		lock_name(key, mode, name);
		namestrcpy(&renamed, GetUserNameFromId(role, false));
		if (namestrcmp(&renamed, NameStr(*name)) == 0)
			return key;
		actor_unlock(ACTOR_LOCK_ROLE, key, mode);
		*name = renamed;
	}
}

/*
 * Makes the name of a role, which it shares by that lock, stand for it; returns
 * the key of the lock, which is another one if the role was renamed meanwhile.
 *
 * It takes the name alone, and looks again then: what another session has moved
 * meanwhile, and what the new role has written since, must not be moved.  Two
 * who share it must not wait for each other, so it is given back before.
 */
static uint64
take_name(Oid role, uint64 key, NameData *name)
{
	Entries		entries;

	actor_unlock(ACTOR_LOCK_ROLE, key, ShareLock);
	key = lock_name_of(role, ExclusiveLock, name);
	read_name(name, role, &entries);
	if (entries.contradicted)
		move_aside(name, entries.former);
	if (entries.contradicted || !entries.ours)
		actor_role_enter(name, role);
	return key;
}

/*
 * Whether a role was found to be entered, and that still holds.
 */
static bool
is_last_used(Oid role)
{
	return last_used.role == role && last_used.generation == actor_catalog_generation() &&
		(!TransactionIdIsValid(last_used.xid) ||
		 (last_used.xid == GetTopTransactionIdIfAny() &&
		  SubTransactionIsActive(last_used.subid)));
}

/*
 * actor_role_use
 *		The name of a role, to be kept in a row of ours, or compared with one;
 *		from now on it stands for that role, until the end of the
 *		(sub)transaction at least.
 *
 * Raises undefined_object if the role is gone, lock_not_available.  Writes an
 * entry when the role is used for the first time, and moves aside what belongs to
 * an earlier role of that name, whose transactions it waits for.
 */
void
actor_role_use(Oid role, NameData *name)
{
	uint64		generation;
	uint64		key;
	Entries		entries;

	if (is_last_used(role))
	{
		*name = last_used.name;
		if (actor_span_lasts(&last_used.locked))
			return;
		lock_name(last_used.lock_key, ShareLock, name);
		actor_span_begin(&last_used.locked);
		if (is_last_used(role))
			return;
	}
	key = lock_name_of(role, ShareLock, name);
	generation = actor_catalog_generation();
	read_name(name, role, &entries);
	if (entries.contradicted)
		key = take_name(role, key, name);
	else if (!entries.ours)
		actor_role_enter(name, role);

	/* with the generation from before; what has changed is looked for again */
	last_used.role = role;
	last_used.name = *name;
	last_used.lock_key = key;
	last_used.generation = generation;
	last_used.xid = entries.settled ? InvalidTransactionId : GetTopTransactionIdIfAny();
	last_used.subid = GetCurrentSubTransactionId();
	actor_span_begin(&last_used.locked);
}

/*
 * actor_role_keep
 *		Keeps a name in our rows from being made to stand for another role until the end
 *		of the (sub)transaction: it stands for the role it has, or for nobody.
 *
 * Raises lock_not_available.  Without "wait" it does not wait for a name that stands for
 * nobody, and returns false if that is taken by somebody just now.  Rows that the name is
 * to be found in must be read, or read again, after that: somebody may have moved them
 * aside before.
 */
bool
actor_role_keep(NameData *name, bool wait)
{
	Oid			role = actor_role_find(name);
	uint64		key;

	/*
	 * who shares his own name, and takes it later, would meet another one who
	 * does
	 */
	if (!OidIsValid(role) && get_role_oid(NameStr(*name), true) == GetUserId())
		role = GetUserId();
	if (OidIsValid(role))
	{
		actor_role_use(role, name);
		return true;
	}
	key = actor_hash_type(cstring_to_text(NameStr(*name)));
	if (!wait)
		return actor_lock(ACTOR_LOCK_ROLE, key, ShareLock, false) != LOCKACQUIRE_NOT_AVAIL;
	lock_name(key, ShareLock, name);
	return true;
}

/*
 * actor_role_hold
 *		Whether a name in our rows stands for a role, and goes on to do so until the
 *		end of the (sub)transaction: then the rows that were found before are those
 *		of that role.  False also if somebody is about to take the name; never waits.
 */
bool
actor_role_hold(Oid role, const NameData *name)
{
	uint64		key = actor_hash_type(cstring_to_text(NameStr(*name)));
	LockAcquireResult result = actor_lock(ACTOR_LOCK_ROLE, key, ShareLock, false);

	AcceptInvalidationMessages();
	return result != LOCKACQUIRE_NOT_AVAIL && actor_role_find(name) == role;
}

/*
 * actor_role_give
 *		Returns the name of a role, which stands for it from now on, for rows
 *		of the old name that are to be its own.  If that is the same name, it
 *		stands for nobody else any more, without anything being moved aside.
 *		Otherwise nobody makes the old one stand for another role from now on;
 *		the caller asks again then whether it stands for the one that he means.
 */
void
actor_role_give(const NameData *old_name, Oid role, NameData *name)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {NameGetDatum(name)};

	namestrcpy(name, GetUserNameFromId(role, false));
	if (strcmp(NameStr(*old_name), NameStr(*name)) != 0)
	{
		lock_name(actor_hash_type(cstring_to_text(NameStr(*old_name))), ShareLock, old_name);
		actor_role_use(role, name);
		return;
	}
	if (actor_role_find(name) == role)
	{
		actor_role_use(role, name);
		return;
	}
	(void) lock_name_of(role, ExclusiveLock, name);
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&delete_entries, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	actor_role_enter(name, role);
	actor_catalog_invalidate_types();
}

static bool
finds_any(ActorQuery *query, const NameData *name)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {NameGetDatum(name)};
	bool		result;
	int			nestlevel;

	actor_bookkeeping_begin(&bookkeeping);
	/* it may be Citus that drops a role, from another server */
	nestlevel = actor_own_copy_begin();
	result = actor_query_latest(query, values) > 0;
	actor_own_copy_end(nestlevel);
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/*
 * actor_role_has_rows
 *		Whether something is to fire for the role of that name.
 */
bool
actor_role_has_rows(const NameData *name)
{
	return finds_any(&read_left, name);
}

/*
 * actor_role_has_types
 *		Whether types were registered by the role of that name.
 */
bool
actor_role_has_types(const NameData *name)
{
	return finds_any(&read_owned, name);
}
