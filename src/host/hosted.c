/*-------------------------------------------------------------------------
 *
 * hosted.c
 *		Turns of what applications host.
 *
 * A method of an application runs between actor.host_enter and actor.host_exit,
 * in the transaction of its host, which is that of the whole chain of calls.
 * Between them is a frame, as for other methods: so the chain refuses reentry,
 * counts its depth, can be seen, and calls functions that are methods, too.  What
 * the application asks for about its actor, such as to save its state, its host
 * does in that transaction by the functions that everybody has.
 *
 *	 host_enter --> run, stale: the frame is there, and the application is called
 *				--> elsewhere: the same, by the host that has the actor
 *				--> unplaced: nothing is there but the turn, and the host places
 *					the actor in a transaction of its own before it tries again
 *				--> function, answered: nothing is to be called
 *
 * A frame ends by host_exit, or with the savepoint or the transaction it began
 * in.  A transaction in which one has not ended does not commit.
 *
 * The transaction is a block.  Two statements fewer are sent for a call if the first
 * of these functions begins it and the last one ends it, as BEGIN and COMMIT would.
 *
 * What the application has in its memory of an actor counts only if its host has
 * the token that is found in the turn, and the actor was active: otherwise the
 * host first makes it forget that (stale).  A call that reenters an actor goes to
 * what runs already, whatever has changed meanwhile.
 *
 * Lock order: as for a call, the actor's turn, then rows.
 *
 * IDENTIFICATION
 *		src/host/hosted.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/portal.h"

#include "base/base.h"
#include "store/store.h"
#include "stat/stat.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "host/internal.h"

PG_FUNCTION_INFO_V1(actor_host_may_call);
PG_FUNCTION_INFO_V1(actor_host_enter);
PG_FUNCTION_INFO_V1(actor_host_exit);
PG_FUNCTION_INFO_V1(actor_host_enter_to_end);
PG_FUNCTION_INFO_V1(actor_host_end);

/* frames ------------------------------------------------------------------ */

static text *
copy_text(const text *value)
{
	return (text *) pg_detoast_datum_copy((struct varlena *) value);
}

/*
 * Begins a frame for a method of an actor, whose turn is entered.
 */
static ActorHostedFrame *
begin_frame(const ActorRef *actor, const ActorType *type, uint64 generation,
			const text *method, const pg_uuid_t *reentrancy_id, const pg_uuid_t *host,
			ActorFiring *firing)
{
	static int32 last_number = 0;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	ActorHostedFrame *hosted = palloc0(sizeof(ActorHostedFrame));
	const pg_uuid_t *chain_id = actor_chain_id();

	hosted->frame.actor.type = copy_text(actor->type);
	hosted->frame.actor.id = copy_text(actor->id);
	hosted->frame.actor.hash = actor->hash;
	hosted->frame.method = copy_text(method);
	hosted->frame.schema = type->schema_oid;
	hosted->frame.generation = generation;
	if (type->row.history != ACTOR_HISTORY_OFF)
		actor_record_begin(&hosted->frame, type);
	/* that of the running chain says nothing new */
	hosted->frame.given_id = reentrancy_id != NULL && chain_id != NULL &&
		actor_same_uuid(reentrancy_id, chain_id) ? NULL : reentrancy_id;
	hosted->frame.cause = firing != NULL ? &firing->cause : NULL;
	hosted->host = *host;
	hosted->firing = firing;
	hosted->number = last_number = last_number == PG_INT32_MAX ? 1 : last_number + 1;
	MemoryContextSwitchTo(old);
	actor_frame_begin_hosted(&hosted->frame);
	hosted->frame.given_id = NULL;
	return hosted;
}

/*
 * Refuses what only a host does, between the statements of a method that is a
 * function.
 */
static void
check_not_in_function(const char *function)
{
	const ActorFrame *frame = actor_frame_current();

	if (frame != NULL && !frame->hosted)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot run inside a method", function),
				 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
}

/*
 * actor_hosted_argument
 *		The running frame that the first argument names.
 */
ActorHostedFrame *
actor_hosted_argument(FunctionCallInfo fcinfo, const char *function)
{
	int32		number;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("frame must not be null")));
	number = PG_GETARG_INT32(0);
	check_not_in_function(function);
	for (ActorFrame *frame = actor_frame_current(); frame != NULL; frame = frame->caller)
		if (((ActorHostedFrame *) frame)->number == number)
			return (ActorHostedFrame *) frame;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("frame %d has ended", number),
			 errdetail("It began in a savepoint that was rolled back, or in another transaction.")));
}

/*
 * actor_hosted_end
 *		Ends a frame whose method has returned, or failed.
 */
void
actor_hosted_end(ActorHostedFrame *hosted, bool failed)
{
	static const ActorCause end_of_life = {"deactivate"};
	ActorStatRef ref = {0, 0};

	actor_activity_ran(&hosted->frame, &ref, failed);
	actor_frame_end_hosted(&hosted->frame);
	if (hosted->ends)
		hosted->frame.cause = &end_of_life;
	if (hosted->frame.history != ACTOR_HISTORY_OFF && !failed)
		actor_record_end(&hosted->frame);
}

/* the transaction ----------------------------------------------------------- */

/*
 * Whether what runs is a SELECT that a client has sent, with no subtransaction that
 * it has begun: what the block is after it is for the client to know.
 */
static bool
is_select_of_client(void)
{
	return ActivePortal != NULL && ActivePortal->name[0] == '\0' &&
		ActivePortal->strategy == PORTAL_ONE_SELECT &&
		ActivePortal->createSubid == GetCurrentSubTransactionId();
}

/*
 * Makes the transaction a block.
 */
static void
begin_block(void)
{
	BeginTransactionBlock();
	/* BEGIN is done; that is all it does there */
	CommitTransactionCommand();
}

/*
 * Lets the transaction be idle for as long as an application takes.
 */
static void
take_time(void)
{
	if (IdleInTransactionSessionTimeout > 0)
		(void) set_config_option("idle_in_transaction_session_timeout", "0", PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
}

/*
 * The transaction commits when the statement is over.
 */
static void
end_block(const char *function)
{
	if (!is_select_of_client())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("%s can commit only as a statement of a client", function)));
	(void) EndTransactionBlock(false);
}

/* asking ------------------------------------------------------------------ */

/*
 * actor.host_may_call
 *		Who has a method that the current user may call.
 */
Datum
actor_host_may_call(PG_FUNCTION_ARGS)
{
	text	   *name = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	text	   *method = actor_text_argument(fcinfo, 1, "method", ACTOR_MAX_NAME_LEN);
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_lookup(name);
	actor_type_check_usage(type);
	if (actor_method_is_hosted(type, method))
		PG_RETURN_TEXT_P(cstring_to_text("hosted"));
	if (!type->row.hosted)
		PG_RETURN_TEXT_P(cstring_to_text("function"));
	actor_method_check_acl(actor_method_lookup(type, method));
	PG_RETURN_TEXT_P(cstring_to_text("function"));
}

/* entering ---------------------------------------------------------------- */

/*
 * actor_hosted_type
 *		The type of an actor, which the current user may host.
 */
ActorType *
actor_hosted_type(const text *name)
{
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_lookup(name);
	actor_host_check_type(type);
	return type;
}

/*
 * actor_hosted_check
 *		Refuses to begin a turn where there can be none, or for a host that does not
 *		live.  The transaction is a block after that, begun here if that may be, which
 *		may be idle.
 */
void
actor_hosted_check(const char *function, const pg_uuid_t *host, bool begins)
{
	check_not_in_function(function);
	PreventCommandIfReadOnly(function);
	PreventCommandIfParallelMode(function);
	if (!IsTransactionBlock() && !(begins && is_select_of_client()))
		ereport(ERROR,
				(errcode(ERRCODE_NO_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s can only be used in transaction blocks", function)));
	actor_host_require(host);
	if (!IsTransactionBlock())
		begin_block();
	take_time();
}

/*
 * actor_hosted_look
 *		Finds out where the actor of a call, whose turn is entered, is.  If it is at
 *		a host for the first time nothing is left from before.  The address is in the
 *		current memory context; the row that has it may be gone in the next moment.
 */
void
actor_hosted_look(ActorEntry *entry)
{
	actor_placement_forget_changed();
	entry->placed = actor_placement_read(&entry->actor, &entry->placement);
	if (entry->placed && !actor_same_uuid(&entry->placement.host, entry->host))
	{
		const ActorHost *host = actor_placement_host(actor_hosts_read(), &entry->actor,
													 &entry->placement);

		entry->placed = host != NULL;
		entry->address = host != NULL ? host->address : NULL;
	}
	entry->anew = entry->placed && !entry->placement.entered;
	if (!entry->anew)
		return;
	actor_remove_timers(&entry->actor);
	actor_placement_set_entered(&entry->actor);
	entry->held = actor_leftover_remove(&entry->actor, &entry->placement.host,
										&entry->held_from);
}

/*
 * actor_hosted_begin
 *		Begins the method of a call at the host that the actor is placed at.
 */
void
actor_hosted_begin(ActorEntry *entry, ActorType *type, uint64 generation)
{
	bool		reenters = actor_frame_of_application(&entry->actor) != NULL;

	if (actor_begin_life(&entry->actor, type, generation))
	{
		entry->anew = true;
		type = actor_hosted_type(entry->actor.type);
	}
	entry->anew &= !reenters;
	entry->hosted = begin_frame(&entry->actor, type, generation, entry->method,
								entry->reentrancy_id, entry->host, entry->firing);
	if (!actor_same_uuid(&entry->placement.host, entry->host))
		entry->action = "elsewhere";
	else if (reenters ||
			 (!entry->anew && entry->token != NULL &&
			  actor_same_uuid(entry->token, &entry->placement.token)))
		entry->action = "run";
	else
		entry->action = "stale";
}

/*
 * Does all of a call that comes before the application is called, and sets what is
 * to be done next.  The steps are those of actor_call.
 */
static void
enter(ActorEntry *entry)
{
	uint64		generation = actor_catalog_generation();
	ActorType  *type = actor_hosted_type(entry->actor.type);

	if (!actor_method_is_hosted(type, entry->method))
	{
		entry->action = "function";
		return;
	}
	actor_hosted_check_name(entry->actor.id, "actor id");
	actor_hosted_check_method(entry->method);
	actor_frame_check_reentry(&entry->actor, type, entry->method);
	actor_check_can_write(&entry->actor, entry->method);
	if (actor_lease_enter(&entry->actor, entry->method, actor_type_call_timeout(type),
						  entry->reentrancy_id))
		type = actor_hosted_type(entry->actor.type);
	if (!actor_turn_is_active(&entry->actor))
		actor_pause_check(&entry->actor, entry->method);
	if (generation != actor_catalog_generation())
		type = actor_hosted_type(entry->actor.type);

	entry->answered = entry->key.request_id != NULL &&
		actor_answer_find(&entry->actor, &entry->key, &entry->answer);
	if (entry->answered)
	{
		entry->action = "answered";
		return;
	}
	actor_hosted_look(entry);
	if (entry->placed)
		actor_hosted_begin(entry, type, generation);
	else
		entry->action = "unplaced";
}

/*
 * The role on whose behalf a host calls.
 */
static void
caller_argument(FunctionCallInfo fcinfo, int number, NameData *caller)
{
	Oid			role = PG_ARGISNULL(number) ? GetUserId() :
	get_role_oid(NameStr(*PG_GETARG_NAME(number)), false);

	actor_role_use(role, caller);
}

/*
 * Keeps what it takes to write down the answer.
 */
static void
keep_key(ActorHostedFrame *hosted, const ActorAnswerKey *key)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);

	hosted->key = *key;
	hosted->key.request_id = copy_text(key->request_id);
	hosted->key.method = hosted->frame.method;
	hosted->key.body_hash = (bytea *) copy_text((text *) key->body_hash);
	MemoryContextSwitchTo(old);
}

/*
 * The description of rows of actor.host_enter.  To ask for it took a third of the time
 * of all this, and it is the same for as long as the library is.
 */
static TupleDesc
entry_row(FunctionCallInfo fcinfo)
{
	static TupleDesc row = NULL;
	TupleDesc	found;
	MemoryContext old;

	if (row != NULL)
		return row;
	if (get_call_result_type(fcinfo, NULL, &found) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	old = MemoryContextSwitchTo(TopMemoryContext);
	row = BlessTupleDesc(CreateTupleDescCopy(found));
	MemoryContextSwitchTo(old);
	return row;
}

/*
 * actor.host_enter
 *		Begins a method of an application, as far as that can be.
 */
Datum
actor_host_enter(PG_FUNCTION_ARGS)
{
	ActorEntry	entry;
	Datum		values[11] = {0};
	bool		nulls[11];

	memset(&entry, 0, sizeof(entry));
	entry.host = actor_uuid_argument(fcinfo, 0, "host id");
	actor_ref_init(&entry.actor,
				   actor_text_argument(fcinfo, 1, "actor type", ACTOR_MAX_TYPE_LEN),
				   actor_text_argument(fcinfo, 2, "actor id", ACTOR_MAX_NAME_LEN));
	entry.key.method = entry.method =
		actor_text_argument(fcinfo, 3, "method", ACTOR_MAX_NAME_LEN);
	entry.token = PG_ARGISNULL(4) ? NULL : PG_GETARG_UUID_P(4);
	entry.reentrancy_id = PG_ARGISNULL(5) ? NULL : PG_GETARG_UUID_P(5);
	(void) actor_hosted_type(entry.actor.type);
	actor_hosted_check("actor.host_enter()", entry.host, true);
	if (!PG_ARGISNULL(6))
	{
		entry.key.request_id = actor_text_argument(fcinfo, 6, "request id", ACTOR_MAX_NAME_LEN);
		entry.key.body_hash = PG_ARGISNULL(7) ? (bytea *) cstring_to_text("") :
			PG_GETARG_BYTEA_PP(7);
		caller_argument(fcinfo, 8, &entry.key.caller);
	}

	enter(&entry);
	if (entry.hosted != NULL && entry.key.request_id != NULL)
		keep_key(entry.hosted, &entry.key);

	memset(nulls, true, sizeof(nulls));
	values[0] = CStringGetTextDatum(entry.action);
	nulls[0] = false;
	if (entry.hosted != NULL)
	{
		values[1] = Int32GetDatum(entry.hosted->number);
		values[2] = UUIDPGetDatum(&entry.placement.host);
		values[4] = UUIDPGetDatum(&entry.placement.token);
		values[5] = BoolGetDatum(entry.anew);
		values[6] = UUIDPGetDatum(&entry.held_from);
		nulls[1] = nulls[2] = nulls[4] = nulls[5] = false;
		nulls[6] = !entry.held;
	}
	values[3] = PointerGetDatum(entry.address);
	nulls[3] = entry.address == NULL;
	if (entry.answered)
	{
		values[7] = Int32GetDatum(entry.answer.status);
		values[8] = PointerGetDatum(entry.answer.content_type);
		values[9] = PointerGetDatum(entry.answer.headers);
		values[10] = PointerGetDatum(entry.answer.body);
		nulls[7] = false;
		for (int i = 8; i < 11; i++)
			nulls[i] = DatumGetPointer(values[i]) == NULL;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(entry_row(fcinfo), values, nulls)));
}

/*
 * actor.host_exit
 *		Ends a method of an application, which has returned, and keeps its answer
 *		if that may be asked for again.  Commits if it is to.
 */
Datum
actor_host_exit(PG_FUNCTION_ARGS)
{
	ActorHostedFrame *hosted = actor_hosted_argument(fcinfo, "actor.host_exit()");
	ActorAnswer answer;

	if (hosted->firing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("frame %d ends with %s or %s", hosted->number,
						"actor.host_fired()", "actor.host_failed()")));
	if (hosted->ends)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("frame %d ends with %s", hosted->number, "actor.host_end()")));
	if (hosted->key.request_id != NULL)
	{
		if (PG_ARGISNULL(1))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("status must not be null")));
		answer.status = PG_GETARG_INT32(1);
		answer.content_type = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
		answer.headers = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
		answer.body = PG_ARGISNULL(4) ? NULL : PG_GETARG_BYTEA_PP(4);
		actor_answer_store(&hosted->frame.actor, &hosted->key, &answer);
		actor_type_check_same(hosted->frame.actor.type, hosted->frame.schema,
							  hosted->frame.generation);
	}
	actor_hosted_end(hosted, false);
	if (!PG_ARGISNULL(5) && PG_GETARG_BOOL(5))
		end_block("actor.host_exit()");
	PG_RETURN_VOID();
}

/* forgetting -------------------------------------------------------------- */

/*
 * Whether an actor, whose turn is held, has been idle for long enough.
 */
static bool
is_idle(const ActorRef *actor, const ActorType *type)
{
	ActorActivation seen;

	actor_activation_look(actor, &seen);
	return !seen.active ||
		(!seen.used && actor_idle_limit(type, seen.last_used_at) <= GetCurrentTimestamp());
}

/*
 * Takes the turn of an actor that is to be forgotten; false if that has to wait,
 * since the actor is used or about to be.
 */
static bool
enter_to_end(const ActorRef *actor, const ActorType *type, bool if_idle)
{
	if (!if_idle)
	{
		(void) actor_lease_enter(actor, NULL, actor_type_call_timeout(type), NULL);
		return true;
	}
	if (!actor_turn_try_enter(actor, NULL))
		return false;
	if (!is_idle(actor, type) || actor_pause_share(actor) != ACTOR_NOT_PAUSED)
	{
		actor_turn_leave(actor);
		return false;
	}
	return actor_lease_pass(actor);
}

/*
 * actor.host_enter_to_end
 *		Takes the turn of an actor that the application of a host is to forget.
 *		What that has is stale if it is of a host before this one: then nothing
 *		of it may be saved any more.
 */
Datum
actor_host_enter_to_end(PG_FUNCTION_ARGS)
{
	const pg_uuid_t *host = actor_uuid_argument(fcinfo, 0, "host id");
	bool		if_idle = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	uint64		generation = actor_catalog_generation();
	ActorRef	actor;
	ActorType  *type;
	ActorPlacement placement;
	ActorHostedFrame *hosted = NULL;
	bool		own;
	TupleDesc	tupdesc;
	Datum		values[2] = {0};
	bool		nulls[2] = {true, true};

	actor_ref_init(&actor,
				   actor_text_argument(fcinfo, 1, "actor type", ACTOR_MAX_TYPE_LEN),
				   actor_text_argument(fcinfo, 2, "actor id", ACTOR_MAX_NAME_LEN));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	type = actor_hosted_type(actor.type);
	actor_hosted_check("actor.host_enter_to_end()", host, false);
	actor_turn_check_isolation("end the life of an actor");
	actor_frame_check_reentry(&actor, type, NULL);
	if (enter_to_end(&actor, type, if_idle))
	{
		type = actor_hosted_type(actor.type);
		own = actor_placement_read(&actor, &placement) &&
			actor_same_uuid(&placement.host, host);
		hosted = begin_frame(&actor, type, generation,
							 cstring_to_text(actor_hook_name(HOOK_DEACTIVATE)), NULL, host,
							 NULL);
		hosted->ends = true;
		values[0] = Int32GetDatum(hosted->number);
		values[1] = BoolGetDatum(!own);
		nulls[0] = nulls[1] = false;
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}

/*
 * actor.host_end
 *		The application has forgotten the actor of a frame: that is deactivated,
 *		unless it is placed somewhere else.
 */
Datum
actor_host_end(PG_FUNCTION_ARGS)
{
	ActorHostedFrame *hosted = actor_hosted_argument(fcinfo, "actor.host_end()");
	ActorRef	actor = hosted->frame.actor;
	ActorPlacement placement;
	pg_uuid_t	before;

	if (!hosted->ends)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("frame %d ends with %s", hosted->number, "actor.host_exit()")));
	actor_hosted_end(hosted, false);
	if (actor_placement_read(&actor, &placement) &&
		(actor_same_uuid(&placement.host, &hosted->host) ||
		 actor_placement_is_left(&placement, &hosted->host)))
	{
		/* first, or the host would be told to let go of it */
		actor_placement_remove(&actor);
		(void) actor_end_life(&actor);
	}
	(void) actor_leftover_remove(&actor, &hosted->host, &before);
	PG_RETURN_VOID();
}
