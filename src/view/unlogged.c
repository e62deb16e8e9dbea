/*-------------------------------------------------------------------------
 *
 * unlogged.c
 *		Rows of our unlogged tables for views.
 *
 * A standby refuses every statement that names such a table, so the views ask
 * functions.  These show what the current user may see, without payloads, as of
 * the snapshot of the statement; and nothing on a standby, which has no active
 * actors.  Whoever wants to know of one actor names it, and an index leads to it.
 *
 * IDENTIFICATION
 *		src/view/unlogged.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "stat/stat.h"

PG_FUNCTION_INFO_V1(actor_get_activations);
PG_FUNCTION_INFO_V1(actor_get_timers);

/*
 * The first column of a statement is the type, the others are as declared.  In
 * each pair: all rows, and those of an actor.
 */
#define READ_ACTIVATIONS(start) \
	"SELECT actor_type, actor_id, activated_at, last_used_at FROM actor.activation" \
	" WHERE server_start OPERATOR(pg_catalog.=) " start
#define READ_TIMERS \
	"SELECT actor_type, actor_id, name, method, role_name, scheduled_at, next_try_at," \
	"       attempt, deferrals FROM actor.timer"
#define OF_ACTOR \
	" actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2"

static ActorQuery read_activations[] = {
	{READ_ACTIVATIONS("pg_catalog.pg_postmaster_start_time()"), 0, {0}, false, true},
	{READ_ACTIVATIONS("$3") " AND" OF_ACTOR, 3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}}
};

#define TIMER_ROLE			5

static ActorQuery read_timers[] = {
	{READ_TIMERS, 0, {0}, false, true},
	{READ_TIMERS " WHERE" OF_ACTOR, 2, {TEXTOID, TEXTOID}}
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

/*
 * Shows rows of a pair of statements: those of the actor that the arguments name,
 * or all if they are null.
 */
static Datum
show_rows(FunctionCallInfo fcinfo, ActorQuery *queries, int role_column)
{
	bool		one = !PG_ARGISNULL(0) && !PG_ARGISNULL(1);
	Datum		values[3] = {PG_GETARG_DATUM(0), PG_GETARG_DATUM(1)};
	Showing		showing;

	if (!one && (!PG_ARGISNULL(0) || !PG_ARGISNULL(1)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("an actor is named by its type and its id")));
	InitMaterializedSRF(fcinfo, 0);
	if (RecoveryInProgress())
		return (Datum) 0;
	showing.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	/* as the caller, which the reading is not */
	showing.user = GetUserId();
	showing.role_column = role_column;
	values[2] = TimestampTzGetDatum(actor_activation_start());
	actor_visible_init(&showing.visible);
	actor_query_each(&queries[one], one ? values : NULL, show_row, &showing);
	return (Datum) 0;
}

Datum
actor_get_activations(PG_FUNCTION_ARGS)
{
	return show_rows(fcinfo, read_activations, 0);
}

Datum
actor_get_timers(PG_FUNCTION_ARGS)
{
	return show_rows(fcinfo, read_timers, TIMER_ROLE);
}
