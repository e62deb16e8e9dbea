/*-------------------------------------------------------------------------
 *
 * role.c
 *		Roles that our rows name.
 *
 * IDENTIFICATION
 *		src/store/role.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"


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
