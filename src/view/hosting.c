/*-------------------------------------------------------------------------
 *
 * hosting.c
 *		Checks of the doctor: hosts that are missing, and applications that do not
 *		answer.
 *
 * However many rows wait, only so many are counted.
 *
 * IDENTIFICATION
 *		src/view/hosting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "view/internal.h"

#define DUE_MAX				"1000"

#define DUE_IN(table) \
	"(SELECT FROM " table " r" \
	"  WHERE r.hosted AND r.actor_type OPERATOR(pg_catalog.=) t.actor_type" \
	"    AND r.next_try_at OPERATOR(pg_catalog.<=) $1 LIMIT " DUE_MAX ")"

static ActorQuery read_without_host = {
	"SELECT pg_catalog.format('\"%s\" (%s)', t.actor_type, w.rows)"
	"  FROM actor.type t CROSS JOIN LATERAL"
	"   (SELECT pg_catalog.count(*) AS rows FROM (" DUE_IN("actor.reminder")
	"     UNION ALL " DUE_IN("actor.timer") " UNION ALL " DUE_IN("actor.message") ") r) w"
	" WHERE t.hosted AND w.rows OPERATOR(pg_catalog.>) 0"
	"   AND NOT EXISTS (SELECT FROM actor.host h"
	"     WHERE t.actor_type OPERATOR(pg_catalog.=) ANY (h.actor_types)"
	"       AND actor.host_is_alive(h.host_id))"
	" ORDER BY t.actor_type",
	1, {TIMESTAMPTZOID}
};

static ActorQuery read_unreachable = {
	"SELECT pg_catalog.format('application \"%s\" at %s, of the host at %s', app_id,"
	"   app_address, address)"
	"  FROM actor.host WHERE NOT reachable AND actor.host_is_alive(host_id)"
	" ORDER BY app_id, address",
	0, {0}
};

/*
 * actor_check_hosts
 *		Hosted types with due rows that no host runs.
 */
char *
actor_check_hosts(void)
{
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());
	char	   *types;

	/* a standby cannot read timers, and fires nothing */
	if (RecoveryInProgress())
		return NULL;
	types = actor_list_texts(&read_without_host, &now, ", ");
	return types == NULL ? NULL :
		psprintf("There is no host for types with due rows: %s.", types);
}

/*
 * actor_check_applications
 *		Applications that do not answer their host.
 */
char *
actor_check_applications(void)
{
	char	   *applications = actor_list_texts(&read_unreachable, NULL, ", ");

	return applications == NULL ? NULL : psprintf("These are unreachable: %s.", applications);
}
