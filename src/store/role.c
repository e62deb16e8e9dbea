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

#include "miscadmin.h"
#include "utils/acl.h"

#include "base/base.h"

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
