/*-------------------------------------------------------------------------
 *
 * pause.c
 *		Pausing and resuming actors and whole types.
 *
 * What is paused has a row in actor.pause; that of a whole type has an empty
 * actor_id.  Turns that begin after the commit of the row are refused to
 * callers; those under way go on to their end, except for the callbacks of a
 * type that is paused as a whole, which get the time that the type has for
 * that.
 *
 * Pausing touches no reminder, timer or message, however many there are.  An executor
 * that finds one to be paused sets its next_try_at to infinity, where no scan
 * comes by; it shares a lock on the row of actor.pause until it has committed
 * that.  Resuming deletes that row, which waits for those executors, and only
 * then looks for the rows that they have left at infinity.  So none of them
 * stays there.
 *
 * The cached type tells whether anything of it is paused, so that a call costs
 * nothing extra as long as nothing is.
 *
 * IDENTIFICATION
 *		src/turn/pause.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "turn/turn.h"

PG_FUNCTION_INFO_V1(actor_pause);
PG_FUNCTION_INFO_V1(actor_resume);

#define OF_ACTOR \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND (actor_id OPERATOR(pg_catalog.=) $2 OR actor_id OPERATOR(pg_catalog.=) '')"

static ActorQuery read_pause = {
	"SELECT FROM actor.pause" OF_ACTOR,
	2, {TEXTOID, TEXTOID}
};

static ActorQuery share_pause = {
	"SELECT FROM actor.pause" OF_ACTOR " FOR KEY SHARE SKIP LOCKED",
	2, {TEXTOID, TEXTOID}
};

static ActorQuery write_pause = {
	"INSERT INTO actor.pause (actor_type, actor_id, paused_at, role_name)"
	" VALUES ($1, $2, $3, $4) ON CONFLICT (actor_type, actor_id) DO NOTHING",
	4, {TEXTOID, TEXTOID, TIMESTAMPTZOID, NAMEOID}
};

static ActorQuery delete_pause = {
	"DELETE FROM actor.pause"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2",
	2, {TEXTOID, TEXTOID}
};

#define RELEASE_ROWS(table, instant) \
	{"UPDATE " table " SET next_try_at = " instant \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND (actor_id OPERATOR(pg_catalog.=) $2 OR $2 OPERATOR(pg_catalog.=) '')" \
	"   AND next_try_at OPERATOR(pg_catalog.=) 'infinity'", \
	2, {TEXTOID, TEXTOID}}

static ActorQuery release_rows[] = {
	RELEASE_ROWS("actor.reminder", "scheduled_at"),
	RELEASE_ROWS("actor.timer", "scheduled_at"),
	RELEASE_ROWS("actor.message", "due_at")
};

/* a type whose callbacks must end when the transaction commits */
typedef struct PausedType
{
	struct PausedType *next;
	SubTransactionId subid;
	text	   *type;
} PausedType;

static PausedType *paused_types = NULL; /* in TopTransactionContext */
static bool committed = false;

/* transactions ---------------------------------------------------------- */

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
			committed = paused_types != NULL;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			paused_types = NULL;
			break;
		default:
			break;
	}
}

/*
 * Ends the callbacks when others have been told what to invalidate: one that
 * begins after that finds its type paused.
 */
static void
release_callback(ResourceReleasePhase phase, bool is_commit, bool is_top_level, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top_level || !committed)
		return;
	for (PausedType *paused = paused_types; paused != NULL; paused = paused->next)
		actor_callback_drain(paused->type);
	paused_types = NULL;
	committed = false;
}

/*
 * What was paused in a subtransaction, or in one inside it, is not paused when
 * it aborts.  Those are always the first of the list.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		while (paused_types != NULL && paused_types->subid >= subid)
			paused_types = paused_types->next;
}

void
actor_pause_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	RegisterResourceReleaseCallback(release_callback, NULL);
}

static void
drain_at_commit(const text *type)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	PausedType *paused = palloc(sizeof(PausedType));

	paused->next = paused_types;
	paused->subid = GetCurrentSubTransactionId();
	paused->type = (text *) pg_detoast_datum_copy((struct varlena *) type);
	paused_types = paused;
	MemoryContextSwitchTo(old);
}

/* asking ---------------------------------------------------------------- */

/*
 * Whether anything of the type of an actor is paused, which is to be looked at
 * closely then.
 */
static bool
may_be_paused(const ActorRef *actor)
{
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_find(actor->type);
	return type != NULL && type->pause != PAUSE_NONE;
}

/*
 * actor_pause_check
 *		Raises object_not_in_prerequisite_state if an actor is paused.  Called
 *		when its turn has just been taken.
 *
 * Accepts invalidations, so what the caller knows of the type may be gone.
 */
void
actor_pause_check(const ActorRef *actor, const text *method)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};
	bool		paused;

	if (!may_be_paused(actor))
		return;
	actor_bookkeeping_begin(&bookkeeping);
	paused = actor_query_run(&read_pause, values, NULL) > 0;
	actor_bookkeeping_end(&bookkeeping);
	if (paused)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("actor \"%s\" of type \"%s\" is paused",
						text_to_cstring(actor->id), text_to_cstring(actor->type)),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("The owner of the type can resume it with actor_resume(). Read-only methods can be called meanwhile.")));
}

/*
 * actor_pause_share
 *		Finds out whether an actor is paused, and if so keeps it from being
 *		resumed until the end of the transaction.  Never waits: somebody may be
 *		about to resume it.
 */
ActorPaused
actor_pause_share(const ActorRef *actor)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2] = {PointerGetDatum(actor->type), PointerGetDatum(actor->id)};
	uint64		seen;
	uint64		shared = 0;

	if (!may_be_paused(actor))
		return ACTOR_NOT_PAUSED;
	actor_bookkeeping_begin(&bookkeeping);
	seen = actor_query_run(&read_pause, values, NULL);
	if (seen > 0)
		shared = actor_query_run(&share_pause, values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	if (seen == 0)
		return ACTOR_NOT_PAUSED;
	return shared > 0 ? ACTOR_PAUSED : ACTOR_PAUSE_CHANGING;
}

/* SQL functions --------------------------------------------------------- */

/*
 * Fills in the key of what the arguments name, for an owner of the type: an
 * actor, or the whole type, whose id is empty.  Returns whether it is the
 * type.
 */
static bool
pause_key(FunctionCallInfo fcinfo, Datum *values, const char *function)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	uint64		generation = actor_catalog_generation();
	bool		whole = PG_ARGISNULL(1);

	values[0] = PointerGetDatum(type);
	values[1] = whole ? PointerGetDatum(cstring_to_text("")) :
		PointerGetDatum(actor_text_argument(fcinfo, 1, "actor id", ACTOR_MAX_NAME_LEN));
	actor_type_require_owner(type);
	PreventCommandIfReadOnly(function);
	actor_frame_check_writing(function);
	PreventCommandIfParallelMode(function);
	if (actor_type_share(type, actor_type_call_timeout(actor_type_get(type)), generation))
		actor_type_require_owner(type);
	return whole;
}

Datum
actor_pause(PG_FUNCTION_ARGS)
{
	ActorBookkeeping bookkeeping;
	Datum		values[4];
	NameData	role;
	bool		whole = pause_key(fcinfo, values, "actor_pause()");
	bool		changed;

	namestrcpy(&role, GetUserNameFromId(GetUserId(), false));
	values[2] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[3] = NameGetDatum(&role);
	actor_bookkeeping_begin(&bookkeeping);
	changed = actor_query_run(&write_pause, values, NULL) > 0;
	actor_bookkeeping_end(&bookkeeping);
	if (!changed)
		PG_RETURN_BOOL(false);
	actor_catalog_invalidate_types();
	if (whole)
		drain_at_commit(DatumGetTextPP(values[0]));
	PG_RETURN_BOOL(true);
}

Datum
actor_resume(PG_FUNCTION_ARGS)
{
	ActorBookkeeping bookkeeping;
	Datum		values[2];
	bool		changed;

	(void) pause_key(fcinfo, values, "actor_resume()");
	/* an older snapshot would miss what executors have just put off */
	actor_turn_check_isolation("resume actors");
	actor_bookkeeping_begin(&bookkeeping);
	changed = actor_query_run(&delete_pause, values, NULL) > 0;
	for (int i = 0; changed && i < lengthof(release_rows); i++)
		(void) actor_query_run(&release_rows[i], values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	if (!changed)
		PG_RETURN_BOOL(false);
	actor_catalog_invalidate_types();
	actor_wake_at(DT_NOBEGIN);
	PG_RETURN_BOOL(true);
}
