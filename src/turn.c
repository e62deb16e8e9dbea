/*-------------------------------------------------------------------------
 *
 * turn.c
 *		Turns and call chains.
 *
 * A turn is a transaction's exclusive access to one actor.  It is a
 * transaction-level advisory lock in a lock class of our own, taken by the
 * first writing method and released by the server when the transaction, or
 * the subtransaction it was taken in, ends, however that happens.  It works
 * behind a transaction pooler, and PREPARE TRANSACTION keeps it.
 *
 * Backend-local state, none of which is needed to release anything:
 *
 * - held turns: the actors whose turn this transaction has, in the order they
 *	 were taken, each with its subtransaction; see subxact_callback.  It saves
 *	 a lock manager call, and counts against the limit.
 * - frames: the running methods, innermost first.  A frame is popped by the
 *	 function that pushed it, also when the method raises an error.
 *
 * Identity is always compared in full.  Two actors whose hashes collide share
 * a lock, and at worst wait for one another.
 *
 * Lock order: turn locks, then rows of the extension's tables, never the
 * reverse.  Turns are taken in the order of the calls; crossing transactions
 * are found by the server's deadlock detector.
 *
 * How a turn is taken is known to lock_turn only.
 *
 * IDENTIFICATION
 *		src/turn.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "actor.h"
#include "compat.h"

PG_FUNCTION_INFO_V1(actor_type);
PG_FUNCTION_INFO_V1(actor_id);
PG_FUNCTION_INFO_V1(actor_method);
PG_FUNCTION_INFO_V1(actor_reentrancy_id);
PG_FUNCTION_INFO_V1(actor_call_chain);
PG_FUNCTION_INFO_V1(actor_cause);

/*
 * Our class of advisory locks.  1 and 2 are those of the SQL functions, 4 to
 * 16, 20 and 21 belong to other extensions.  Never changes.
 */
#define ACTOR_LOCK_CLASS	0x4AC7

/* held turns up to this number are searched one by one */
#define LINEAR_SEARCH_MAX	16
/* calls shown at each end of a long chain */
#define CHAIN_ENDS_SHOWN	10

typedef struct HeldTurn
{
	ActorRef	actor;			/* texts in TopTransactionContext */
	SubTransactionId subid;

	/* that has seen or made the actor active; invalid: none has */
	SubTransactionId active_subid;
} HeldTurn;

/* where a held turn is */
typedef struct HeldIndexEntry
{
	ActorRef	actor;			/* hash key */
	int			position;
} HeldIndexEntry;

static HeldTurn *held = NULL;	/* in TopMemoryContext */
static int	held_count = 0;
static int	held_space = 0;
static HTAB *held_index = NULL; /* of the actors, when there are many */

static ActorFrame *current_frame = NULL;

/* whether a turn that is not free may be waited for */
static bool waiting_allowed = true;

/* the id of the running chain, made when first asked for */
static pg_uuid_t chain_id;
static bool chain_has_id = false;

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);

void
actor_turn_init(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

/* held turns ------------------------------------------------------------ */

static uint32
hash_ref(const void *key, Size keysize)
{
	return (uint32) ((const ActorRef *) key)->hash;
}

static int
compare_refs(const void *a, const void *b, Size keysize)
{
	return actor_ref_equal(a, b) ? 0 : 1;
}

static void
index_held_turn(int position)
{
	HeldIndexEntry *entry = hash_search(held_index, &held[position].actor, HASH_ENTER, NULL);

	entry->position = position;
}

/*
 * Starts the index of the held turns.
 */
static void
build_held_index(void)
{
	HASHCTL		ctl;

	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = sizeof(ActorRef);
	ctl.entrysize = sizeof(HeldIndexEntry);
	ctl.hash = hash_ref;
	ctl.match = compare_refs;
	ctl.hcxt = TopTransactionContext;
	held_index = hash_create("held turns", 4 * LINEAR_SEARCH_MAX, &ctl,
							 HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	for (int i = 0; i < held_count; i++)
		index_held_turn(i);
}

/*
 * The turn of an actor, if this transaction has it; otherwise NULL.
 */
static HeldTurn *
find_held_turn(const ActorRef *actor)
{
	if (held_index != NULL)
	{
		HeldIndexEntry *entry = hash_search(held_index, actor, HASH_FIND, NULL);

		return entry != NULL ? &held[entry->position] : NULL;
	}
	for (int i = held_count - 1; i >= 0; i--)
		if (actor_ref_equal(&held[i].actor, actor))
			return &held[i];
	return NULL;
}

/*
 * Makes room for one more held turn, before its lock is taken.
 */
static void
reserve_held_turn(void)
{
	if (held_count < held_space)
		return;
	if (held == NULL)
	{
		held = MemoryContextAlloc(TopMemoryContext, LINEAR_SEARCH_MAX * sizeof(HeldTurn));
		held_space = LINEAR_SEARCH_MAX;
	}
	else
	{
		held = repalloc_huge(held, 2 * (Size) held_space * sizeof(HeldTurn));
		held_space *= 2;
	}
}

static void
remember_held_turn(const ActorRef *actor)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	HeldTurn   *turn = &held[held_count];

	turn->actor.type = (text *) pg_detoast_datum_copy((struct varlena *) actor->type);
	turn->actor.id = (text *) pg_detoast_datum_copy((struct varlena *) actor->id);
	turn->actor.hash = actor->hash;
	turn->subid = GetCurrentSubTransactionId();
	turn->active_subid = InvalidSubTransactionId;
	if (held_index != NULL)
		index_held_turn(held_count);
	held_count++;
	if (held_index == NULL && held_count > LINEAR_SEARCH_MAX)
		build_held_index();
	MemoryContextSwitchTo(old);
}

/*
 * The transaction has ended, or is prepared: its locks are not ours any more.
 */
static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			Assert(event == XACT_EVENT_ABORT || current_frame == NULL);
			current_frame = NULL;
			held_count = 0;
			held_index = NULL;	/* gone with TopTransactionContext */
			if (held_space > 1024)
			{
				pfree(held);
				held = NULL;
				held_space = 0;
			}
			break;
		default:
			break;
	}
}

/*
 * The turns taken in a subtransaction go to its parent when it commits, and
 * are lost when it aborts, as their locks are.  Those of the innermost
 * subtransaction are always the last ones.
 */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	switch (event)
	{
		case SUBXACT_EVENT_COMMIT_SUB:
			for (int i = held_count - 1; i >= 0 && held[i].subid >= subid; i--)
				held[i].subid = parent;
			break;
		case SUBXACT_EVENT_ABORT_SUB:
			/* frames have been popped on the way here; be sure of it */
			while (current_frame != NULL && current_frame->subid >= subid)
				actor_frame_abandon(current_frame);
			for (; held_count > 0 && held[held_count - 1].subid >= subid; held_count--)
				if (held_index != NULL)
					hash_search(held_index, &held[held_count - 1].actor, HASH_REMOVE, NULL);
			break;
		default:
			break;
	}
}

/* taking a turn --------------------------------------------------------- */

/*
 * actor_turn_explain_error
 *		Called in an error context: if shared memory has run out, says what this
 *		transaction has to do with it.
 */
void
actor_turn_explain_error(void)
{
	if (geterrcode() != ERRCODE_OUT_OF_MEMORY)
		return;
	errdetail_plural("This transaction holds the turn of %d actor.",
					 "This transaction holds the turns of %d actors.",
					 held_count, held_count);
	errhint("Hold fewer actors in one transaction, or raise \"%s\".",
			"max_locks_per_transaction");
}

static void
lock_error_context(void *arg)
{
	const ActorRef *actor = arg;

	actor_turn_explain_error();
	errcontext("taking the turn of actor \"%s\" of type \"%s\"",
			   text_to_cstring(actor->id), text_to_cstring(actor->type));
}

/*
 * Takes the lock that is the turn.  Returns false if it is not free and
 * "wait" is not set.
 */
static bool
lock_turn(const ActorRef *actor, bool wait)
{
	LOCKTAG		tag;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorContextCallback errcallback;
	LockAcquireResult result;

	errcallback.callback = lock_error_context;
	errcallback.arg = unconstify(ActorRef *, actor);
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (actor->hash >> 32),
						 (uint32) actor->hash, ACTOR_LOCK_CLASS);

	/*
	 * The lock belongs to the subtransaction, as held turns do.  In a cursor
	 * the current owner is that of its portal, which can end with an inner
	 * subtransaction although the cursor was opened in an outer one.
	 */
	CurrentResourceOwner = CurTransactionResourceOwner;
	result = LockAcquire(&tag, ExclusiveLock, false, !wait);
	CurrentResourceOwner = owner;

	error_context_stack = errcallback.previous;
	return result != LOCKACQUIRE_NOT_AVAIL;
}

/*
 * actor_turn_allow_waiting
 *		Whether turns are waited for from now on; if not, one that is not free
 *		raises lock_not_available at once.  Lasts until it is changed again.
 */
void
actor_turn_allow_waiting(bool allowed)
{
	waiting_allowed = allowed;
}

static void
refuse_to_wait(const ActorRef *actor)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("turn of actor \"%s\" of type \"%s\" is not free",
					text_to_cstring(actor->id), text_to_cstring(actor->type)),
			 errdetail("Call chain: %s.", actor_call_chain_text(actor, NULL))));
}

/*
 * Waits for the turn, at most timeout milliseconds if that is not 0, and at
 * most the caller's lock_timeout.
 */
static void
wait_for_turn(const ActorRef *actor, const text *method, int timeout)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int			saved_timeout = LockTimeout;
	bool		ours = timeout > 0 && (LockTimeout == 0 || timeout < LockTimeout);

	/* the server's own error would not say what was waited for */
	PG_TRY();
	{
		if (ours)
			LockTimeout = timeout;
		(void) lock_turn(actor, true);
		LockTimeout = saved_timeout;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LockTimeout = saved_timeout;
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!ours || error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("turn of actor \"%s\" of type \"%s\" was not free within %d ms",
						text_to_cstring(actor->id), text_to_cstring(actor->type),
						timeout),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("Another transaction holds the actor. \"%s\" or the type's call_timeout limit the wait.",
						 "actor.call_timeout")));
	}
	PG_END_TRY();
}

static void
check_turn_limit(const ActorRef *actor, const text *method)
{
	if (held_count < actor_max_turns_per_transaction)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg_plural("transaction holds the turn of %d actor already",
						   "transaction holds the turns of %d actors already",
						   held_count, held_count),
			 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
			 errhint("Use several transactions, or raise \"%s\" and, if need be, \"%s\".",
					 "actor.max_turns_per_transaction",
					 "max_locks_per_transaction")));
}

/*
 * actor_turn_enter
 *		Takes the turn of an actor until the end of the (sub)transaction,
 *		waiting for it up to timeout milliseconds, or for ever if that is 0.
 *		The method is for messages only.
 *
 * Returns whether it had to wait, in which case what the caller knows about
 * the type and the method may be out of date.  Raises lock_not_available,
 * deadlock_detected, program_limit_exceeded.  Must come before the snapshot
 * the method reads with.
 */
bool
actor_turn_enter(const ActorRef *actor, const text *method, int timeout)
{
	if (actor_turn_try_enter(actor, method))
		return false;
	if (!waiting_allowed)
		refuse_to_wait(actor);
	wait_for_turn(actor, method, timeout);
	remember_held_turn(actor);
	return true;
}

/*
 * actor_turn_try_enter
 *		Takes the turn if this transaction has it or nobody does.  The method,
 *		which can be NULL, is for messages only.
 */
bool
actor_turn_try_enter(const ActorRef *actor, const text *method)
{
	if (find_held_turn(actor) != NULL)
		return true;
	check_turn_limit(actor, method);
	reserve_held_turn();
	if (!lock_turn(actor, false))
		return false;
	remember_held_turn(actor);
	return true;
}

/*
 * actor_turn_is_active
 *		Whether this transaction, which has the turn of the actor, knows that
 *		the actor is active.
 *
 * Only what has been seen or done in a subtransaction that is still open
 * counts: it may have been undone with another one.  That one was released
 * perhaps, and then the actor is looked at once more than would be needed.
 */
bool
actor_turn_is_active(const ActorRef *actor)
{
	HeldTurn   *turn = find_held_turn(actor);

	return turn != NULL && turn->active_subid != InvalidSubTransactionId &&
		SubTransactionIsActive(turn->active_subid);
}

/*
 * actor_turn_set_active
 *		Takes note that an actor whose turn is held is active, or (false) that
 *		it may not be.
 */
void
actor_turn_set_active(const ActorRef *actor, bool active)
{
	HeldTurn   *turn = find_held_turn(actor);

	Assert(turn != NULL);
	turn->active_subid = active ? GetCurrentSubTransactionId() : InvalidSubTransactionId;
}

/*
 * actor_turn_check_isolation
 *		Refuses to do what needs a turn at isolation levels whose snapshot is
 *		older than the turn.
 */
void
actor_turn_check_isolation(const char *action)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s in a transaction with isolation level %s", action,
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Use READ COMMITTED. The snapshot of the transaction is older than the turn, "
						 "and turns are serial for each actor at every level.")));
}

/* call chain ------------------------------------------------------------ */

static void
append_call(StringInfo buf, const ActorRef *actor, const text *method)
{
	if (buf->len > 0)
		appendStringInfoString(buf, " -> ");
	appendStringInfo(buf, "%s/%s", text_to_cstring(actor->type),
					 text_to_cstring(actor->id));
	if (method != NULL)
		appendStringInfo(buf, ".%s", text_to_cstring(method));
}

/* the frames from the outermost inwards, but the middle of a long chain */
static void
append_frames(StringInfo buf, const ActorFrame *frame, int depth)
{
	if (frame == NULL)
		return;
	/* skip the middle, so that neither stack nor text grow with the chain */
	if (frame->depth == depth - CHAIN_ENDS_SHOWN)
	{
		int			skipped = 0;

		while (frame->depth > CHAIN_ENDS_SHOWN)
		{
			frame = frame->caller;
			skipped++;
		}
		append_frames(buf, frame, 0);
		if (skipped > 0)
			appendStringInfo(buf, " -> (%d more)", skipped);
		return;
	}
	append_frames(buf, frame->caller, depth);
	append_call(buf, &frame->actor, frame->method);
}

/*
 * actor_call_chain_text
 *		The running calls, followed by one that is about to be made (a method
 *		of NULL is left out), for the detail of an error.
 */
char *
actor_call_chain_text(const ActorRef *actor, const text *method)
{
	StringInfoData buf;

	initStringInfo(&buf);
	append_frames(&buf, current_frame, current_frame ? current_frame->depth : 0);
	if (actor != NULL)
		append_call(&buf, actor, method);
	return buf.data;
}

/*
 * actor_chain_join
 *		Makes sure that a call which brings a reentrancy id belongs to the
 *		chain of that id: that is the running one.
 */
void
actor_chain_join(const pg_uuid_t *id)
{
	if (current_frame != NULL && chain_has_id &&
		memcmp(id->data, chain_id.data, UUID_LEN) == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("reentrancy id fits no open turn")));
}

/*
 * actor_turn_check_reentry
 *		Refuses a call to an actor that has a writing frame on the stack:
 *		always, unless its type is reentrant; otherwise beyond a depth.
 *
 * Raises object_in_use or program_limit_exceeded.  Nothing has been taken.
 */
void
actor_turn_check_reentry(const ActorRef *actor, const ActorType *type, const text *method)
{
	int			depth = 0;
	bool		writing = false;

	for (ActorFrame *frame = current_frame; frame != NULL; frame = frame->caller)
	{
		if (!actor_ref_equal(&frame->actor, actor))
			continue;
		depth++;
		writing |= frame->writing;
	}
	if (!writing)
		return;

	if (!actor_type_reentrant(type))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("actor \"%s\" of type \"%s\" is already in a call of this chain",
						text_to_cstring(actor->id), text_to_cstring(actor->type)),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("Register the type with reentrancy => true to allow it.")));
	if (depth >= actor_type_max_stack_depth(type))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg_plural("actor \"%s\" of type \"%s\" is on the call stack %d time already",
							   "actor \"%s\" of type \"%s\" is on the call stack %d times already",
							   depth,
							   text_to_cstring(actor->id), text_to_cstring(actor->type),
							   depth),
				 errdetail("Call chain: %s.", actor_call_chain_text(actor, method)),
				 errhint("The type's max_stack_depth or \"%s\" limit the depth.",
						 "actor.max_stack_depth")));
}

/* frames ---------------------------------------------------------------- */

static void
frame_error_context(void *arg)
{
	ActorFrame *frame = arg;

	errcontext("method \"%s\" of actor \"%s\" of type \"%s\"",
			   text_to_cstring(frame->method), text_to_cstring(frame->actor.id),
			   text_to_cstring(frame->actor.type));
}

/*
 * actor_frame_push
 *		Makes a method the running one, on a snapshot of its own.
 *
 * For a read-only method the transaction becomes read-only, whatever the
 * functions it calls are declared as, and all read-only frames of a chain see
 * the snapshot of the outermost one.
 */
void
actor_frame_push(ActorFrame *frame)
{
	frame->caller = current_frame;
	frame->depth = current_frame != NULL ? current_frame->depth + 1 : 1;
	frame->subid = GetCurrentSubTransactionId();
	frame->saved_read_only = XactReadOnly;
	frame->snapshot = NULL;

	if (!frame->writing && current_frame != NULL && !current_frame->writing)
	{
		PushActiveSnapshot(current_frame->snapshot);
		frame->snapshot = current_frame->snapshot;
	}
	else
	{
		CommandCounterIncrement();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (!frame->writing)
			frame->snapshot = GetActiveSnapshot();
	}
	if (!frame->writing)
		XactReadOnly = true;

	if (current_frame == NULL)
		chain_has_id = false;
	current_frame = frame;

	frame->errcallback.callback = frame_error_context;
	frame->errcallback.arg = frame;
	frame->errcallback.previous = error_context_stack;
	error_context_stack = &frame->errcallback;
}

/*
 * actor_frame_pop
 *		Ends a frame after its method has returned.
 */
void
actor_frame_pop(ActorFrame *frame)
{
	Assert(current_frame == frame);
	PopActiveSnapshot();
	error_context_stack = frame->errcallback.previous;
	actor_frame_abandon(frame);
}

/*
 * actor_frame_abandon
 *		Ends a frame after an error.  The snapshot is popped by the abort that
 *		follows.
 */
void
actor_frame_abandon(ActorFrame *frame)
{
	current_frame = frame->caller;
	if (!frame->writing)
		XactReadOnly = frame->saved_read_only;
}

/*
 * actor_frame_current
 *		The innermost running method, or NULL.
 */
ActorFrame *
actor_frame_current(void)
{
	return current_frame;
}

/*
 * actor_frame_required
 *		The innermost running method; outside of one
 *		object_not_in_prerequisite_state is raised.
 */
ActorFrame *
actor_frame_required(void)
{
	if (current_frame == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no actor is running"),
				 errdetail("The state of an actor can only be used by its methods."),
				 errhint("Call the method with actor_invoke().")));
	return current_frame;
}

/*
 * actor_frame_check_writing
 *		Raises read_only_sql_transaction in a read-only method.  The server does
 *		so too, but before 16 a method can reset transaction_read_only.
 */
void
actor_frame_check_writing(const char *function)
{
	if (current_frame == NULL || current_frame->writing)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("cannot execute %s in a read-only method", function),
			 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));
}

/* SQL functions --------------------------------------------------------- */

Datum
actor_type(PG_FUNCTION_ARGS)
{
	if (current_frame == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pg_detoast_datum_copy((struct varlena *) current_frame->actor.type));
}

Datum
actor_id(PG_FUNCTION_ARGS)
{
	if (current_frame == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pg_detoast_datum_copy((struct varlena *) current_frame->actor.id));
}

Datum
actor_method(PG_FUNCTION_ARGS)
{
	if (current_frame == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(pg_detoast_datum_copy((struct varlena *) current_frame->method));
}

Datum
actor_reentrancy_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *result;

	if (current_frame == NULL)
		PG_RETURN_NULL();
	if (!chain_has_id)
	{
		chain_id = *DatumGetUUIDP(DirectFunctionCall1(gen_random_uuid, (Datum) 0));
		chain_has_id = true;
	}
	result = palloc(sizeof(pg_uuid_t));
	*result = chain_id;
	PG_RETURN_UUID_P(result);
}

Datum
actor_call_chain(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo;
	ActorFrame **frames;
	int			depth = current_frame != NULL ? current_frame->depth : 0;

	InitMaterializedSRF(fcinfo, 0);
	rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	frames = palloc(sizeof(ActorFrame *) * Max(depth, 1));
	for (ActorFrame *frame = current_frame; frame != NULL; frame = frame->caller)
		frames[frame->depth - 1] = frame;

	for (int i = 0; i < depth; i++)
	{
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = Int32GetDatum(i + 1);
		values[1] = PointerGetDatum(frames[i]->actor.type);
		values[2] = PointerGetDatum(frames[i]->actor.id);
		values[3] = PointerGetDatum(frames[i]->method);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static void
push_member(JsonbParseState **state, const char *key, JsonbValue *value)
{
	JsonbValue	name;

	name.type = jbvString;
	name.val.string.val = unconstify(char *, key);
	name.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &name);
	pushJsonbValue(state, WJB_VALUE, value);
}

static void
push_text_member(JsonbParseState **state, const char *key, char *bytes, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = bytes;
	value.val.string.len = len;
	push_member(state, key, &value);
}

static void
push_integer_member(JsonbParseState **state, const char *key, int64 number)
{
	JsonbValue	value;

	value.type = jbvNumeric;
	value.val.numeric = int64_to_numeric(number);
	push_member(state, key, &value);
}

static void
push_time_member(JsonbParseState **state, const char *key, TimestampTz time)
{
	Jsonb	   *jsonb = actor_to_jsonb(TimestampTzGetDatum(time), TIMESTAMPTZOID);
	JsonbValue	value;

	actor_jsonb_scalar(jsonb, &value);
	push_member(state, key, &value);
}

Datum
actor_cause(PG_FUNCTION_ARGS)
{
	JsonbParseState *state = NULL;
	const ActorCause *cause;

	if (current_frame == NULL)
		PG_RETURN_NULL();
	cause = current_frame->cause;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	if (cause == NULL)
		push_text_member(&state, "kind", "call", strlen("call"));
	else
		push_text_member(&state, "kind", unconstify(char *, cause->kind),
						 strlen(cause->kind));
	if (cause != NULL && cause->name != NULL)
	{
		push_text_member(&state, "name", VARDATA_ANY(cause->name),
						 VARSIZE_ANY_EXHDR(cause->name));
		push_time_member(&state, "scheduled_at", cause->scheduled_at);
		push_time_member(&state, "fired_at", cause->fired_at);
		push_integer_member(&state, "attempt", cause->attempt);
		push_integer_member(&state, "missed", cause->missed);
		if (cause->remaining >= 0)
			push_integer_member(&state, "remaining", cause->remaining);
	}
	PG_RETURN_JSONB_P(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
}
