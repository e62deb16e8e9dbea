/*-------------------------------------------------------------------------
 *
 * untold.c
 *		What Citus has not been told of a transaction.
 *
 * A transaction that has written shards of this server directly, and does nothing
 * with Citus, is one of this server, and Citus need not know of it.  If it does
 * something with it, Citus must: a transaction that has also written on another server is
 * committed in two phases, what is here is then reached in this process, and not by
 * a connection that would wait for what this process has locked, and no shard is moved by who
 * has written it.  It finds that out from its own statements.  So before it is reached,
 * by a plan, a command or a function of it, a statement is run that writes nothing,
 * in a shard whose turn is held.
 *
 * The other way around, what Citus did before counts: it may have reached this server
 * by a connection already.  So nothing is done without it once it was reached, until one
 * of its statements has written here in this process.
 *
 * Without Citus there are no hooks.
 *
 * IDENTIFICATION
 *		src/store/untold.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_language_d.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type_d.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "store/internal.h"

typedef enum State
{
	NOTHING,					/* that Citus has to do with */
	UNTOLD,						/* what it was not told of */
	TELLING,					/* that just now */
	TOLD,						/* it knows that shards of this server are
								 * written */
	UNKNOWN						/* it may have reached anything in any way */
} State;

static State state = NOTHING;

/* an actor whose turn was taken without it, and where that can still be undone */
typedef struct Untold
{
	ActorRef	actor;
	SubTransactionId subid;
} Untold;

static List *actors = NIL;		/* in TopTransactionContext */

static bool hooked = false;
static ExecutorStart_hook_type previous_start = NULL;
static ProcessUtility_hook_type previous_utility = NULL;
static object_access_hook_type previous_access = NULL;

/* no row has that */
static ActorQuery tell_statement = {
	"DELETE FROM actor.activation"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND server_start OPERATOR(pg_catalog.=) 'infinity'",
	2, {TEXTOID, TEXTOID}
};

/*
 * actor_untold_possible
 *		Whether this transaction may use shards of this server without a statement of
 *		Citus, and sees there what it has written.
 */
bool
actor_untold_possible(void)
{
	const char *local;

	if (!hooked || state == UNKNOWN || IsInParallelMode())
		return false;
	if (state == TOLD || state == TELLING)
		return true;
	local = GetConfigOption("citus.enable_local_execution", true, false);
	return local != NULL && strcmp(local, "on") == 0;
}

/*
 * actor_untold_add
 *		The turn of an actor was taken without a statement of Citus.
 */
void
actor_untold_add(const ActorRef *actor)
{
	MemoryContext old;
	Untold	   *copy;

	if (state == TOLD)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	copy = palloc(sizeof(Untold));
	copy->subid = GetCurrentSubTransactionId();
	actor_ref_init(&copy->actor, (text *) pg_detoast_datum_copy((struct varlena *) actor->type),
				   (text *) pg_detoast_datum_copy((struct varlena *) actor->id));
	actors = lappend(actors, copy);
	state = UNTOLD;
	MemoryContextSwitchTo(old);
}

/*
 * actor_untold_told
 *		A statement of Citus has written a shard of this server in this process.
 */
void
actor_untold_told(void)
{
	state = TOLD;
	actors = NIL;
}

/*
 * Tells it, if there is something left to tell: what was done in subtransactions that
 * were rolled back is gone.
 */
static void
tell(void)
{
	const Untold *held = actors != NIL ? linitial(actors) : NULL;
	bool		read_only = XactReadOnly;
	Datum		values[2];

	if (held != NULL)
	{
		/*
		 * The statement begins, too; its failure ends the subtransaction.  It
		 * tells of what was written before a method began that must not
		 * write.
		 */
		state = TELLING;
		XactReadOnly = false;
		(void) actor_query_for_actor(&tell_statement, &held->actor, values);
		XactReadOnly = read_only;
	}
	state = held != NULL ? TOLD : NOTHING;
	actors = NIL;
}

static bool has_custom(const Plan *plan);

static bool
any_has_custom(List *plans)
{
	ListCell   *cell;

	foreach(cell, plans)
		if (has_custom(lfirst(cell)))
		return true;
	return false;
}

/*
 * Whether a plan has a node that another library has made, as all that is done by
 * Citus is.
 */
static bool
has_custom(const Plan *plan)
{
	List	   *others = NIL;

	if (plan == NULL)
		return false;
	check_stack_depth();
	switch (nodeTag(plan))
	{
		case T_CustomScan:
			return true;
		case T_Append:
			others = ((const Append *) plan)->appendplans;
			break;
		case T_MergeAppend:
			others = ((const MergeAppend *) plan)->mergeplans;
			break;
		case T_BitmapAnd:
			others = ((const BitmapAnd *) plan)->bitmapplans;
			break;
		case T_BitmapOr:
			others = ((const BitmapOr *) plan)->bitmapplans;
			break;
		case T_SubqueryScan:
			if (has_custom(((const SubqueryScan *) plan)->subplan))
				return true;
			break;
		default:
			break;
	}
	return has_custom(plan->lefttree) || has_custom(plan->righttree) || any_has_custom(others);
}

/*
 * Citus is about to do something, or what is about to be done is not known.
 */
static void
meet(void)
{
	if (state == UNTOLD)
		tell();
	if (state == NOTHING)
		state = UNKNOWN;
}

static void
start(QueryDesc *query, int eflags)
{
	if ((state == UNTOLD || state == NOTHING) &&
		(has_custom(query->plannedstmt->planTree) ||
		 any_has_custom(query->plannedstmt->subplans)))
		meet();
	if (previous_start)
		previous_start(query, eflags);
	else
		standard_ExecutorStart(query, eflags);
}

/*
 * Whether a function may be one of Citus, which does as it likes: it is written in C, and
 * not one of the server or of ours.
 */
static bool
may_be_of_citus(Oid function)
{
	HeapTuple	tuple;
	bool		may;

	if (function < FirstNormalObjectId)
		return false;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return true;
	may = ((Form_pg_proc) GETSTRUCT(tuple))->prolang == ClanguageId;
	if (may)
	{
		const char *name = NameStr(((Form_pg_proc) GETSTRUCT(tuple))->proname);

		/* the latter only says whose transaction it is */
		may = strncmp(name, "actor_", 6) != 0 &&
			strcmp(name, "assign_distributed_transaction_id") != 0;
	}
	ReleaseSysCache(tuple);
	return may;
}

/*
 * A function is about to be called, by whatever can call one in an expression.
 */
static void
access_object(ObjectAccessType access, Oid class, Oid object, int column, void *arg)
{
	if (access == OAT_FUNCTION_EXECUTE && (state == UNTOLD || state == NOTHING) &&
		may_be_of_citus(object))
		meet();
	if (previous_access)
		previous_access(access, class, object, column, arg);
}

/*
 * Whether a command does nothing but what statements in it do, which come here by
 * themselves, or but to begin and end (sub)transactions.
 */
static bool
is_harmless_command(Node *command)
{
	switch (nodeTag(command))
	{
		case T_TransactionStmt:
			return ((TransactionStmt *) command)->kind != TRANS_STMT_PREPARE;
		case T_ExecuteStmt:
		case T_PrepareStmt:
		case T_DeallocateStmt:
		case T_DoStmt:
		case T_VariableShowStmt:
			return true;
		case T_VariableSetStmt:
			return state != UNTOLD;
		default:
			return false;
	}
}

static void
utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *query_env, DestReceiver *dest, QueryCompletion *qc)
{
	if ((state == UNTOLD || state == NOTHING) && !is_harmless_command(pstmt->utilityStmt))
		meet();
	if (previous_utility)
		previous_utility(pstmt, query_string, read_only_tree, context, params,
						 query_env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params,
								query_env, dest, qc);
}

/*
 * What could not be told is still to be told, if anything of it is left.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	ListCell   *cell;

	if (event == SUBXACT_EVENT_ABORT_SUB && state == TELLING)
		state = UNTOLD;
	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach(cell, actors)
	{
		Untold	   *untold = lfirst(cell);

		if (untold->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			untold->subid = parent;
		else
			actors = foreach_delete_current(actors, cell);
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			state = NOTHING;
			actors = NIL;		/* gone with TopTransactionContext */
			break;
		default:
			break;
	}
}

/*
 * actor_untold_init
 *		Looks at what is run before Citus runs it, if it does.
 */
void
actor_untold_init(void)
{
	if (GetConfigOption("citus.version", true, false) == NULL)
		return;
	hooked = true;
	/* what came before is not known */
	if (IsTransactionState())
		state = UNKNOWN;
	previous_start = ExecutorStart_hook;
	ExecutorStart_hook = start;
	previous_utility = ProcessUtility_hook;
	ProcessUtility_hook = utility;
	previous_access = object_access_hook;
	object_access_hook = access_object;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}
