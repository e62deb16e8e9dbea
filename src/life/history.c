/*-------------------------------------------------------------------------
 *
 * history.c
 *		Reading what record.c has written: the history of an actor, and its state
 *		as it was.
 *
 * The state at an instant is that of readers then: all changes of a transaction
 * count from the last of them on.  For each key it is
 *
 * - what the last change before that instant has made of it, or
 * - what the first change after it has found, or
 * - what it has now, if no change of it is kept.
 *
 * So it does not matter that changes are kept for a limited time only, unless that
 * is over for the instant itself, nor that expired keys are removed without an
 * entry.
 *
 * IDENTIFICATION
 *		src/life/history.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"

PG_FUNCTION_INFO_V1(actor_history);
PG_FUNCTION_INFO_V1(actor_state_at);

/* columns of the result of actor_history */
#define HISTORY_COLUMNS		12

#define OF_ACTOR \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2"

static ActorQuery read_history = {
	"SELECT h.history_id, h.started_at, h.duration_ms, h.kind, h.name, h.method, h.attempt,"
	"  h.ran_as, h.sqlstate, h.message, h.traceparent,"
	"  (SELECT pg_catalog.jsonb_agg(" ACTOR_CHANGE_OBJECT " ORDER BY c.change_id)"
	"     FROM actor.history_change c"
	"    WHERE c.actor_type OPERATOR(pg_catalog.=) $1"
	"      AND c.actor_id OPERATOR(pg_catalog.=) $2"
	"      AND c.history_id OPERATOR(pg_catalog.=) h.history_id)"
	"  FROM (SELECT * FROM actor.history" OF_ACTOR
	"         ORDER BY history_id DESC LIMIT $3) h"
	" ORDER BY h.history_id DESC",
	3, {TEXTOID, TEXTOID, INT8OID}
};

static ActorQuery read_since = {
	"SELECT history_since FROM actor.type WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

/* the second column: a key that was changed since, which is not in the history */
static ActorQuery read_state_at = {
	"WITH changes AS MATERIALIZED (SELECT * FROM actor.history_change" OF_ACTOR "),"
	" later AS (SELECT pg_catalog.min(change_id) AS first_id FROM changes"
	"   WHERE turn OPERATOR(pg_catalog.=) ANY (SELECT turn FROM changes GROUP BY turn"
	"     HAVING pg_catalog.max(changed_at) OPERATOR(pg_catalog.>) $3)),"
	" before AS (SELECT DISTINCT ON (key) key, new_value AS value, new_expires_at AS expires_at"
	"   FROM changes, later WHERE change_id OPERATOR(pg_catalog.<) first_id OR first_id IS NULL"
	"   ORDER BY key, change_id DESC),"
	" after AS (SELECT DISTINCT ON (key) key, old_value AS value, old_expires_at AS expires_at"
	"   FROM changes, later WHERE change_id OPERATOR(pg_catalog.>=) first_id"
	"   ORDER BY key, change_id),"
	" now AS (SELECT key, value, expires_at, updated_at FROM actor.state s" OF_ACTOR
	"   AND NOT EXISTS (SELECT FROM changes c WHERE c.key OPERATOR(pg_catalog.=) s.key)),"
	" known AS (SELECT key, value, expires_at FROM before"
	"   UNION ALL SELECT a.key, a.value, a.expires_at FROM after a"
	"     WHERE NOT EXISTS (SELECT FROM before b WHERE b.key OPERATOR(pg_catalog.=) a.key)"
	"   UNION ALL SELECT key, value, expires_at FROM now)"
	" SELECT COALESCE(pg_catalog.jsonb_object_agg(key, value) FILTER (WHERE value IS NOT NULL"
	"   AND (expires_at IS NULL OR expires_at OPERATOR(pg_catalog.>) $3)), '{}'),"
	"  (SELECT pg_catalog.min(key) FROM now WHERE updated_at OPERATOR(pg_catalog.>) $3)"
	" FROM known",
	3, {TEXTOID, TEXTOID, TIMESTAMPTZOID}
};

/* rights ---------------------------------------------------------------- */

/*
 * The actor of the arguments, whose history is to be read, for the owner of its
 * type or a method of that actor.
 */
static void
actor_to_read(FunctionCallInfo fcinfo, ActorRef *actor)
{
	const ActorFrame *frame = actor_frame_current();

	actor_ref_arguments(actor, fcinfo);
	if (frame == NULL || !actor_ref_equal(&frame->actor, actor))
		actor_type_require_owner(actor->type);
}

/*
 * Snapshot to read on; NULL: a fresh one.
 */
static Snapshot
snapshot_to_read(void)
{
	const ActorFrame *frame = actor_frame_current();

	return frame != NULL ? frame->snapshot : NULL;
}

/*
 * Called after the history of an actor was read: nothing is answered that is not
 * on disk.
 */
static void
answer(const ActorRef *actor)
{
	actor_early_look(actor);
	if (actor_frame_current() == NULL)
		actor_early_answer();
}

/* history --------------------------------------------------------------- */

Datum
actor_history(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorRef	actor;
	ActorBookkeeping bookkeeping;
	Datum		values[3];
	uint64		rows;

	actor_to_read(fcinfo, &actor);
	if (PG_ARGISNULL(2) || PG_GETARG_INT32(2) < 0)
		ereport(ERROR,
				(errcode(PG_ARGISNULL(2) ? ERRCODE_NULL_VALUE_NOT_ALLOWED :
						 ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be zero or greater")));
	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	values[0] = PointerGetDatum(actor.type);
	values[1] = PointerGetDatum(actor.id);
	values[2] = Int64GetDatum(PG_GETARG_INT32(2));
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_read(&read_history, values, NULL, snapshot_to_read());
	for (uint64 i = 0; i < rows; i++)
	{
		Datum		row[HISTORY_COLUMNS];
		bool		isnull[HISTORY_COLUMNS];

		for (int column = 0; column < HISTORY_COLUMNS; column++)
			row[column] = actor_query_result(i, column + 1, &isnull[column]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row, isnull);
	}
	actor_bookkeeping_end(&bookkeeping);
	answer(&actor);
	return (Datum) 0;
}

/* state ----------------------------------------------------------------- */

/*
 * Refuses an instant that the history of a type does not go back to.
 */
static void
check_instant(const text *type_name, TimestampTz at)
{
	ActorType  *type = actor_type_get(type_name);
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type_name)};
	TimestampTz since = DT_NOEND;
	bool		isnull = true;

	actor_bookkeeping_begin(&bookkeeping);
	if (type->row.history == ACTOR_HISTORY_CHANGES &&
		actor_query_latest(&read_since, values) > 0)
		since = DatumGetTimestampTz(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actor type \"%s\" does not keep changes", text_to_cstring(type_name)),
				 errhint("Register it with history => 'changes'.")));
	since = Max(since, GetCurrentTimestamp() - actor_type_history_retention(type));
	if (at < since)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("history of actor type \"%s\" does not go back to that time",
						text_to_cstring(type_name)),
				 errdetail("It begins at %s.", timestamptz_to_str(since)),
				 errhint("The type's history_retention or \"%s\" say how long it is kept.",
						 "actor.history_retention")));
}

Datum
actor_state_at(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	ActorRef	actor;
	ActorBookkeeping bookkeeping;
	MemoryContext old;
	Datum		values[3];
	Datum		datum;
	Jsonb	   *state;
	char	   *lost = NULL;
	bool		isnull;

	actor_to_read(fcinfo, &actor);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", "at")));
	check_instant(actor.type, PG_GETARG_TIMESTAMPTZ(2));

	values[0] = PointerGetDatum(actor.type);
	values[1] = PointerGetDatum(actor.id);
	values[2] = PG_GETARG_DATUM(2);
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_read(&read_state_at, values, NULL, snapshot_to_read());
	old = MemoryContextSwitchTo(context);
	state = DatumGetJsonbPCopy(actor_query_result(0, 1, &isnull));
	datum = actor_query_result(0, 2, &isnull);
	if (!isnull)
		lost = TextDatumGetCString(datum);
	MemoryContextSwitchTo(old);
	actor_bookkeeping_end(&bookkeeping);
	answer(&actor);
	if (lost != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("key \"%s\" of actor \"%s\" of type \"%s\" was changed since by what is not in the history",
						lost, text_to_cstring(actor.id), text_to_cstring(actor.type)),
				 errdetail("It was written by a statement over the table, by a restore, or by a turn that began before changes were kept.")));
	PG_RETURN_JSONB_P(state);
}
