/*-------------------------------------------------------------------------
 *
 * unlogged.c
 *		Rows of our unlogged tables for views.
 *
 * A standby refuses every statement that names such a table, so the views ask
 * functions.  These show what the current user may see, without payloads, as of
 * the snapshot of the statement; and nothing on a standby, which has no active
 * actors.
 *
 * IDENTIFICATION
 *		src/view/unlogged.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "stat/stat.h"

PG_FUNCTION_INFO_V1(actor_get_activations);
PG_FUNCTION_INFO_V1(actor_get_timers);

/* the first column of a statement is the type, the others are as declared */
static ActorQuery read_activations = {
	"SELECT actor_type, actor_id, activated_at, last_used_at FROM actor.activation"
	" WHERE server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()",
	0, {0}
};

#define TIMER_ROLE			5

static ActorQuery read_timers = {
	"SELECT actor_type, actor_id, name, method, role_name, scheduled_at, next_try_at,"
	"       attempt, deferrals FROM actor.timer",
	0, {0}
};

/* where rows go, and whom they are for */
typedef struct Showing
{
	ReturnSetInfo *rsinfo;
	Oid			user;
	ActorVisible visible;
	int			role_column;	/* has the role whose own a row is; 0: none */
} Showing;

/*
 * Whether a row belongs to a role whose rights the user has.
 */
static bool
is_own(const Showing *showing, uint64 row)
{
	bool		isnull;

	return showing->role_column > 0 &&
		actor_role_held_by(showing->user,
						   DatumGetName(actor_query_result(row, showing->role_column, &isnull)));
}

static void
show_row(uint64 row, void *arg)
{
	Showing    *showing = arg;
	bool		isnull;
	char	   *type = TextDatumGetCString(actor_query_result(row, 1, &isnull));

	if (actor_visible_type(&showing->visible, type) || is_own(showing, row))
		tuplestore_puttuple(showing->rsinfo->setResult, SPI_tuptable->vals[row]);
	pfree(type);
}

static Datum
show_rows(FunctionCallInfo fcinfo, ActorQuery *query, int role_column)
{
	Showing		showing;

	InitMaterializedSRF(fcinfo, 0);
	if (RecoveryInProgress())
		return (Datum) 0;
	showing.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	/* as the caller, which the reading is not */
	showing.user = GetUserId();
	showing.role_column = role_column;
	actor_visible_init(&showing.visible);
	actor_query_each(query, NULL, show_row, &showing);
	return (Datum) 0;
}

Datum
actor_get_activations(PG_FUNCTION_ARGS)
{
	return show_rows(fcinfo, &read_activations, 0);
}

Datum
actor_get_timers(PG_FUNCTION_ARGS)
{
	return show_rows(fcinfo, &read_timers, TIMER_ROLE);
}
