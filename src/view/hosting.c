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
	1, {TIMESTAMPTZOID}, false, true
};

static ActorQuery read_unreachable = {
	"SELECT pg_catalog.format('application \"%s\" at %s, of the host at %s', app_id,"
	"   app_address, address)"
	"  FROM actor.host WHERE NOT reachable AND actor.host_is_alive(host_id)"
	" ORDER BY app_id, address",
	0, {0}
};

#define LEFT_IN(table) \
	"(SELECT FROM " table " l WHERE l.host_id OPERATOR(pg_catalog.=) h.host_id LIMIT " DUE_MAX ")"

/* those that come back soon are nobody's concern */
static ActorQuery read_gone = {
	"SELECT pg_catalog.format('host at %s of application \"%s\" (%s)', h.address, h.app_id, l.rows)"
	"  FROM actor.host h CROSS JOIN LATERAL"
	"   (SELECT pg_catalog.count(*) AS rows FROM (" LEFT_IN("actor.placement")
	"     UNION ALL " LEFT_IN("actor.leftover") ") r) l"
	" WHERE h.gone_at OPERATOR(pg_catalog.<=)"
	"   ($1 OPERATOR(pg_catalog.-) '1 day'::pg_catalog.interval)"
	"   AND l.rows OPERATOR(pg_catalog.>) 0"
	" ORDER BY h.address, h.app_id",
	1, {TIMESTAMPTZOID}
};

/*
 * actor_check_hosts
 *		Hosted types with due rows that no host runs, and hosts that have not come back
 *		for what they have left.
 */
char *
actor_check_hosts(void)
{
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());
	char	   *types;
	char	   *gone;

	/* a standby cannot read timers, and fires nothing */
	if (RecoveryInProgress())
		return NULL;
	types = actor_list_texts(&read_without_host, &now, ", ");
	gone = actor_list_texts(&read_gone, &now, ", ");
	if (types == NULL && gone == NULL)
		return NULL;
	return psprintf("%s%s%s%s%s%s%s",
					types != NULL ? "There is no host for types with due rows: " : "",
					types != NULL ? types : "", types != NULL ? "." : "",
					types != NULL && gone != NULL ? " " : "",
					gone != NULL ? "These are gone and have left actors: " : "",
					gone != NULL ? gone : "", gone != NULL ? "." : "");
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
