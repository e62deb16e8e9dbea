/*-------------------------------------------------------------------------
 *
 * delegate.c
 *		Which calls are left to the server that has the actor.
 *
 * Where actors are on several servers, Citus sends a statement that is nothing but a
 * call, outside of a transaction block, to the server of the actor, which saves it
 * the way there for each row.  There the call has a session of its own: what this one
 * has set is not known.  So where that would make a difference the call is run here,
 * as all others are, for which it suffices that the statement has a condition.
 *
 * Without Citus planning is left alone.
 *
 * IDENTIFICATION
 *		src/call/delegate.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "call/call.h"

/* of optimizer/planner.h, whose prototypes our warnings refuse before 16 */
typedef PlannedStmt *(*PlannerHook) (Query *query, const char *query_string, int options,
									 ParamListInfo params);
extern PGDLLIMPORT PlannerHook planner_hook;

static PlannerHook previous_planner = NULL;

/* what a call can depend on, and its session would not have */
static const char *const settings[] = {
	"actor.call_timeout", "actor.publish_limit", "actor.traceparent", "actor.turn_lock",
	"DateStyle", "lock_timeout", "search_path", "synchronous_commit", "TimeZone"
};

/*
 * Whether this session has set something for itself, of these or of what callbacks
 * would find.
 */
static bool
has_settings(void)
{
	for (int i = 0; i < lengthof(settings); i++)
	{
		const char *value = GetConfigOption(settings[i], false, false);
		const char *reset = GetConfigOptionResetString(settings[i]);

		if (strcmp(value != NULL ? value : "", reset != NULL ? reset : "") != 0)
			return true;
	}
	return actor_carried() != NULL;
}

/*
 * Whether the current user could have a session elsewhere.
 */
static bool
may_connect(void)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	bool		may;

	if (!HeapTupleIsValid(tuple))
		return false;
	may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return may;
}

/*
 * The function that a statement calls, and does nothing else; invalid if it is
 * another one.
 */
static Oid
called_function(const Query *query)
{
	Node	   *call = NULL;

	if (query->commandType != CMD_SELECT || query->jointree == NULL ||
		query->jointree->quals != NULL)
		return InvalidOid;
	if (query->rtable == NIL && list_length(query->targetList) == 1)
		call = (Node *) linitial_node(TargetEntry, query->targetList)->expr;
	else if (list_length(query->rtable) == 1 &&
			 list_length(linitial_node(RangeTblEntry, query->rtable)->functions) == 1)
		call = linitial_node(RangeTblFunction,
							 linitial_node(RangeTblEntry, query->rtable)->functions)->funcexpr;
	return call != NULL && IsA(call, FuncExpr) ? ((FuncExpr *) call)->funcid : InvalidOid;
}

/*
 * Whether a function may be one of ours; others are of no harm.
 */
static bool
is_ours(Oid function)
{
	char	   *name = OidIsValid(function) ? get_func_name(function) : NULL;

	return name != NULL && strncmp(name, "actor_", 6) == 0;
}

/*
 * A condition that is true, which the planner does not know.
 */
static Node *
make_condition(void)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) makeFuncExpr(F_PG_BACKEND_PID, INT4OID, NIL, InvalidOid, InvalidOid,
									  COERCE_EXPLICIT_CALL);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Node *) test;
}

static PlannedStmt *
plan(Query *query, const char *query_string, int options, ParamListInfo params)
{
	if (is_ours(called_function(query)) &&
		(!actor_delegate_calls || XactReadOnly || IsolationUsesXactSnapshot() ||
		 !may_connect() || has_settings()))
		query->jointree->quals = make_condition();
	return previous_planner(query, query_string, options, params);
}

/*
 * actor_delegate_init
 *		Looks at statements before Citus plans them, if it does.
 */
void
actor_delegate_init(void)
{
	if (planner_hook == NULL || GetConfigOption("citus.version", true, false) == NULL)
		return;
	previous_planner = planner_hook;
	planner_hook = plan;
}
