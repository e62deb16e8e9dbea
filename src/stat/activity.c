/*-------------------------------------------------------------------------
 *
 * activity.c
 *		What each process does with actors, for others to see.
 *
 * The tag of a lock holds only a hash, so every process publishes in a slot of
 * its own which actors it holds, which methods run, and which actor it waits
 * for.  The slot is found by the number of the process.
 *
 * Only its process writes a slot, without any lock: a counter, odd while that
 * goes on, tells readers to try again.  PgBackendStatus does the same.
 *
 * Held turns and running methods are two stacks of labels, which follow those
 * of turn.c.  A stack has a fixed number of bytes; what does not fit is only
 * counted.  Times are taken from the monotonic clock, which a call reads
 * anyway, and which all processes share.
 *
 * IDENTIFICATION
 *		src/stat/activity.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "stat/internal.h"

PG_FUNCTION_INFO_V1(actor_get_turns);

/* bytes of a stack: some sixty labels of usual size, six of the longest */
#define STACK_BYTES			4096
/* a label takes at least so many bytes */
#define LABEL_MIN			offsetof(Label, bytes)
#define STACK_LABELS		(STACK_BYTES / LABEL_MIN)
#define LABEL_MAX			(LABEL_MIN + 2 * ACTOR_MAX_TYPE_LEN + ACTOR_MAX_NAME_LEN)
/* calls shown at each end of a long chain */
#define CHAIN_ENDS_SHOWN	10

/* an actor and a method; the texts follow one another */
typedef struct Label
{
	uint64		hash;
	instr_time	since;
	uint16		type_len;
	uint16		id_len;
	uint16		method_len;		/* 0: none */
	char		bytes[FLEXIBLE_ARRAY_MEMBER];
} Label;

typedef struct LabelStack
{
	int			count;			/* of all */
	int			shown;			/* of those that are here */
	int			used;			/* bytes */
	uint64		space[STACK_BYTES / sizeof(uint64)];
} LabelStack;

typedef struct Activity
{
	uint32		changes;		/* odd: being written */
	pid_t		pid;			/* 0: never used */
	Oid			database;
	bool		waiting;
	LabelStack	held;
	LabelStack	frames;
	uint64		waited_for[LABEL_MAX / sizeof(uint64) + 1];
} Activity;

/* settings */
static int	log_min_turn_duration = -1;
static bool log_turn_waits = false;

static Activity *activities = NULL;
static Activity *mine = NULL;

/* where the labels of this process's stacks begin */
static uint16 held_offsets[STACK_LABELS];
static uint16 frame_offsets[STACK_LABELS];

/* shared memory --------------------------------------------------------- */

/*
 * actor_activity_init
 *		Defines the settings.
 */
void
actor_activity_init(void)
{
	DefineCustomIntVariable("actor.log_min_turn_duration",
							"Sets the minimum time a method must run in a turn to be logged.",
							"-1 logs none, 0 logs all.",
							&log_min_turn_duration, -1, -1, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("actor.log_turn_waits",
							 "Logs calls that wait for a turn for longer than deadlock_timeout.",
							 NULL,
							 &log_turn_waits, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

Size
actor_activity_size(void)
{
	return mul_size(ACTOR_MAX_BACKENDS, sizeof(Activity));
}

/*
 * actor_activity_attach
 *		Finds or makes the slots; the caller has AddinShmemInitLock.
 */
void
actor_activity_attach(void)
{
	bool		found;

	activities = ShmemInitStruct("actor activity", actor_activity_size(), &found);
	if (!found)
		memset(activities, 0, actor_activity_size());
}

/* publishing ------------------------------------------------------------ */

/*
 * The slot of this process, which is not there without shared memory.
 */
static Activity *
my_activity(void)
{
	if (mine != NULL || activities == NULL || MyProc == NULL ||
		ACTOR_MY_PROC_NUMBER >= ACTOR_MAX_BACKENDS)
		return mine;
	mine = &activities[ACTOR_MY_PROC_NUMBER];
	mine->changes |= 1;
	pg_write_barrier();
	mine->pid = MyProcPid;
	mine->database = MyDatabaseId;
	mine->waiting = false;
	mine->held.count = mine->held.shown = mine->held.used = 0;
	mine->frames.count = mine->frames.shown = mine->frames.used = 0;
	pg_write_barrier();
	mine->changes++;
	return mine;
}

static inline void
begin_change(Activity *activity)
{
	activity->changes++;
	pg_write_barrier();
}

static inline void
end_change(Activity *activity)
{
	pg_write_barrier();
	activity->changes++;
}

/* bytes of a text that go into a label; longer ones than that are not valid */
static inline int
clipped(const text *value, int limit)
{
	return value != NULL ? Min(VARSIZE_ANY_EXHDR(value), limit) : 0;
}

static int
label_size(const ActorRef *actor, const text *method)
{
	return LABEL_MIN + clipped(actor->type, ACTOR_MAX_TYPE_LEN) +
		clipped(actor->id, ACTOR_MAX_NAME_LEN) + clipped(method, NAMEDATALEN - 1);
}

static void
write_label(Label *label, const ActorRef *actor, const text *method, instr_time since)
{
	char	   *bytes = label->bytes;

	label->hash = actor->hash;
	label->since = since;
	label->type_len = clipped(actor->type, ACTOR_MAX_TYPE_LEN);
	label->id_len = clipped(actor->id, ACTOR_MAX_NAME_LEN);
	label->method_len = clipped(method, NAMEDATALEN - 1);
	memcpy(bytes, VARDATA_ANY(actor->type), label->type_len);
	bytes += label->type_len;
	memcpy(bytes, VARDATA_ANY(actor->id), label->id_len);
	bytes += label->id_len;
	if (method != NULL)
		memcpy(bytes, VARDATA_ANY(method), label->method_len);
}

static void
push_label(Activity *activity, LabelStack *stack, uint16 *offsets,
		   const ActorRef *actor, const text *method, instr_time since)
{
	int			size = MAXALIGN(label_size(actor, method));

	begin_change(activity);
	if (stack->shown == stack->count && stack->shown < STACK_LABELS &&
		stack->used + size <= STACK_BYTES)
	{
		write_label((Label *) ((char *) stack->space + stack->used), actor, method, since);
		offsets[stack->shown++] = stack->used;
		stack->used += size;
	}
	stack->count++;
	end_change(activity);
}

/*
 * Leaves so many labels.
 */
static void
cut_labels(Activity *activity, LabelStack *stack, const uint16 *offsets, int count)
{
	if (stack->count <= count)
		return;
	begin_change(activity);
	stack->count = count;
	if (count < stack->shown)
	{
		stack->used = offsets[count];
		stack->shown = count;
	}
	end_change(activity);
}

/*
 * actor_activity_held
 *		This transaction has got the turn of one more actor.  A method that is
 *		not known yet is NULL.
 */
void
actor_activity_held(const ActorRef *actor, const text *method)
{
	Activity   *activity = my_activity();
	instr_time	now;

	if (activity == NULL)
		return;
	INSTR_TIME_SET_CURRENT(now);
	push_label(activity, &activity->held, held_offsets, actor, method, now);
}

/*
 * actor_activity_holds
 *		This transaction holds only so many turns any more.
 */
void
actor_activity_holds(int count)
{
	if (mine != NULL)
		cut_labels(mine, &mine->held, held_offsets, count);
}

/*
 * actor_activity_waits_not
 *		An error has ended what the process did; it does not wait any more.
 */
void
actor_activity_waits_not(void)
{
	if (mine == NULL || !mine->waiting)
		return;
	begin_change(mine);
	mine->waiting = false;
	end_change(mine);
}

/*
 * actor_activity_end
 *		The transaction has ended: nothing is held, runs or waits.  A process
 *		that was told to end has not come by anywhere else.
 */
void
actor_activity_end(void)
{
	if (mine == NULL)
		return;
	cut_labels(mine, &mine->held, held_offsets, 0);
	cut_labels(mine, &mine->frames, frame_offsets, 0);
	actor_activity_waits_not();
}

/*
 * actor_activity_push
 *		A method begins to run.
 */
void
actor_activity_push(ActorFrame *frame)
{
	Activity   *activity = my_activity();

	INSTR_TIME_SET_CURRENT(frame->started);
	if (activity != NULL)
		push_label(activity, &activity->frames, frame_offsets,
				   &frame->actor, frame->method, frame->started);
}

/*
 * actor_activity_pop
 *		A method has ended, however that happened.
 */
void
actor_activity_pop(const ActorFrame *frame)
{
	if (mine != NULL)
		cut_labels(mine, &mine->frames, frame_offsets, frame->depth - 1);
}

/*
 * actor_activity_wait
 *		The process begins to wait for a turn.  Returns whether the server is to
 *		log a long wait; the caller sees to that.
 */
bool
actor_activity_wait(const ActorRef *actor, const text *method, instr_time *since)
{
	Activity   *activity = my_activity();

	INSTR_TIME_SET_CURRENT(*since);
	if (activity != NULL)
	{
		begin_change(activity);
		write_label((Label *) activity->waited_for, actor, method, *since);
		activity->waiting = true;
		end_change(activity);
	}
	return log_turn_waits;
}

/*
 * actor_activity_waited
 *		It waits no longer: it has got the turn, or (an SQLSTATE) has not.
 */
void
actor_activity_waited(const ActorRef *actor, const text *method, const instr_time *since,
					  int sqlstate)
{
	instr_time	now;

	actor_activity_waits_not();
	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, *since);
	actor_stat_waited(actor, method, INSTR_TIME_GET_MILLISEC(now), sqlstate);
	actor_note(ACTOR_NOTE_WAIT, actor, NULL, 0, INSTR_TIME_GET_MILLISEC(now));
}

/* logging --------------------------------------------------------------- */

/*
 * actor_activity_ran
 *		The method of a frame has returned, or failed.  Counts that, and logs it
 *		if it took long.  Must not raise an error for one that has failed.
 */
void
actor_activity_ran(const ActorFrame *frame, ActorStatRef *ref, bool failed)
{
	instr_time	spent;
	double		ms;
	text	   *traceparent;

	INSTR_TIME_SET_CURRENT(spent);
	INSTR_TIME_SUBTRACT(spent, frame->started);
	ms = INSTR_TIME_GET_MILLISEC(spent);
	actor_stat_called(frame, ref, ms, failed);
	if (log_min_turn_duration < 0 || !frame->writing || failed ||
		ms < log_min_turn_duration)
		return;
	traceparent = actor_traceparent();
	ereport(LOG,
			(errmsg("method \"%s\" of actor \"%s\" of type \"%s\" ran for %.3f ms",
					text_to_cstring(frame->method), text_to_cstring(frame->actor.id),
					text_to_cstring(frame->actor.type), ms),
			 traceparent != NULL ?
			 errdetail("Call chain: %s. Trace: %s.", actor_call_chain_text(NULL, NULL),
					   text_to_cstring(traceparent)) :
			 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL)),
			 errhidecontext(true)));
}

/* reading --------------------------------------------------------------- */

/*
 * Open turns are rows; the index has few of them.
 */
static ActorQuery read_open_turns = {
	"SELECT actor_type, actor_id FROM actor.activation"
	" WHERE reentrancy_id IS NOT NULL"
	"   AND turn_expires_at OPERATOR(pg_catalog.>) pg_catalog.clock_timestamp()"
	"   AND server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()",
	0, {0}, false, true
};

/* a label that was read; the texts are those of the label */
typedef struct Seen
{
	const Label *label;
	char	   *type;
	char	   *id;
	char	   *method;			/* NULL: none */
} Seen;

/*
 * Copies a slot as it was at one time; false if there is nothing to see.
 */
static bool
copy_activity(const Activity *slot, Activity *copy)
{
	const volatile Activity *activity = slot;

	for (;;)
	{
		uint32		before = activity->changes;
		uint32		after;

		pg_read_barrier();
		memcpy(copy, slot, sizeof(Activity));
		pg_read_barrier();
		after = activity->changes;
		if (before == after && (before & 1) == 0)
			break;
		CHECK_FOR_INTERRUPTS();
	}
	return copy->pid != 0 && copy->database == MyDatabaseId &&
		(copy->held.count > 0 || copy->waiting);
}

static int
read_label(const char *bytes, Seen *seen)
{
	const Label *label = (const Label *) bytes;
	const char *at = label->bytes;

	seen->label = label;
	seen->type = pnstrdup(at, label->type_len);
	at += label->type_len;
	seen->id = pnstrdup(at, label->id_len);
	at += label->id_len;
	seen->method = label->method_len > 0 ? pnstrdup(at, label->method_len) : NULL;
	return MAXALIGN(at + label->method_len - bytes);
}

static Seen *
read_stack(const LabelStack *stack)
{
	Seen	   *seen = palloc((stack->shown + 1) * sizeof(Seen));
	const char *at = (const char *) stack->space;

	for (int i = 0; i < stack->shown; i++)
		at += read_label(at, &seen[i]);
	return seen;
}

static void
append_call(StringInfo buf, const Seen *seen, const ActorVisible *visible)
{
	if (buf->len > 0)
		appendStringInfoString(buf, " -> ");
	/* the actors of others are nobody's business */
	if (!actor_visible_type(visible, seen->type))
		appendStringInfo(buf, "%s/?", seen->type);
	else if (seen->method == NULL)
		appendStringInfo(buf, "%s/%s", seen->type, seen->id);
	else
		appendStringInfo(buf, "%s/%s.%s", seen->type, seen->id, seen->method);
}

/*
 * The running methods from the outermost inwards, but the middle of a long
 * chain, and what is waited for; NULL if there is none.
 */
static char *
chain_text(const LabelStack *stack, const Seen *frames, const Seen *waited_for,
		   const ActorVisible *visible)
{
	StringInfoData buf;
	int			hidden = stack->count - 2 * CHAIN_ENDS_SHOWN;

	initStringInfo(&buf);
	for (int i = 0; i < stack->shown; i++)
	{
		if (hidden <= 0 || i < CHAIN_ENDS_SHOWN || i >= stack->count - CHAIN_ENDS_SHOWN)
			append_call(&buf, &frames[i], visible);
		else if (i == CHAIN_ENDS_SHOWN)
			appendStringInfo(&buf, " -> (%d more)", hidden);
	}
	if (stack->count > stack->shown)
		appendStringInfo(&buf, " -> (%d more)", stack->count - stack->shown);
	if (waited_for != NULL)
		append_call(&buf, waited_for, visible);
	return buf.len > 0 ? buf.data : NULL;
}

/*
 * The method that an actor runs: the innermost one, or else the one that took
 * the turn.
 */
static const char *
running_method(const Seen *actor, const LabelStack *stack, const Seen *frames)
{
	for (int i = stack->shown - 1; i >= 0; i--)
		if (frames[i].label->hash == actor->label->hash &&
			strcmp(frames[i].id, actor->id) == 0 && strcmp(frames[i].type, actor->type) == 0)
			return frames[i].method;
	return actor->method;
}

/* a label's time on the clock of the wall */
static TimestampTz
wall_time(instr_time since, instr_time now, TimestampTz wall_now)
{
	INSTR_TIME_SUBTRACT(now, since);
	return wall_now - (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* what the rows of one process have in common */
typedef struct TurnRows
{
	ReturnSetInfo *rsinfo;
	const ActorVisible *visible;
	const Activity *activity;
	const Seen *frames;
	instr_time	now;
	TimestampTz wall_now;
} TurnRows;

static void
add_row(const TurnRows *rows, const Seen *actor, bool waits)
{
	const char *method;
	char	   *chain = chain_text(&rows->activity->frames, rows->frames,
								   waits ? actor : NULL, rows->visible);
	Datum		values[9];
	bool		nulls[9] = {false};

	if (!actor_visible_type(rows->visible, actor->type))
		return;
	method = waits ? actor->method :
		running_method(actor, &rows->activity->frames, rows->frames);
	values[0] = Int32GetDatum(rows->activity->pid);
	values[1] = CStringGetTextDatum(actor->type);
	values[2] = CStringGetTextDatum(actor->id);
	nulls[3] = method == NULL;
	values[3] = method != NULL ? CStringGetTextDatum(method) : (Datum) 0;
	values[4] = CStringGetTextDatum(waits ? "waits" : "holds");
	values[5] = TimestampTzGetDatum(wall_time(actor->label->since, rows->now, rows->wall_now));
	nulls[6] = chain == NULL;
	values[6] = chain != NULL ? CStringGetTextDatum(chain) : (Datum) 0;
	values[7] = Int64GetDatum((int64) actor->label->hash);
	values[8] = Int32GetDatum(rows->activity->held.count - rows->activity->held.shown);
	tuplestore_putvalues(rows->rsinfo->setResult, rows->rsinfo->setDesc, values, nulls);
}

static void
add_rows(TurnRows *rows)
{
	const Activity *activity = rows->activity;
	Seen	   *held = read_stack(&activity->held);

	rows->frames = read_stack(&activity->frames);
	for (int i = 0; i < activity->held.shown; i++)
		add_row(rows, &held[i], false);
	if (activity->waiting)
	{
		Seen		seen;

		(void) read_label((const char *) activity->waited_for, &seen);
		add_row(rows, &seen, true);
	}
}

/*
 * Turns that are open between transactions have no process.
 */
static void
add_open_turns(ReturnSetInfo *rsinfo, const ActorVisible *visible)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	uint64		rows;

	/* a standby cannot read activations, and has none */
	if (RecoveryInProgress())
		return;
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_open_turns, NULL, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		Datum		values[9] = {0};
		bool		nulls[9] = {true, false, false, true, false, true, true, true, true};
		MemoryContext old = MemoryContextSwitchTo(context);

		values[1] = actor_query_result(i, 1, &nulls[1]);
		values[2] = actor_query_result(i, 2, &nulls[2]);
		values[4] = CStringGetTextDatum("holds");
		if (actor_visible_type(visible, TextDatumGetCString(values[1])))
			tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
}

Datum
actor_get_turns(PG_FUNCTION_ARGS)
{
	ActorVisible visible;
	TurnRows	rows;
	Activity   *copy;

	InitMaterializedSRF(fcinfo, 0);
	rows.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	actor_visible_init(&visible);
	add_open_turns(rows.rsinfo, &visible);
	if (activities == NULL)
		return (Datum) 0;
	copy = palloc(sizeof(Activity));
	rows.visible = &visible;
	rows.activity = copy;
	for (int i = 0; i < ACTOR_MAX_BACKENDS; i++)
	{
		if (!copy_activity(&activities[i], copy))
			continue;
		INSTR_TIME_SET_CURRENT(rows.now);
		rows.wall_now = GetCurrentTimestamp();
		add_rows(&rows);
	}
	return (Datum) 0;
}

/*
 * actor_activity_turns
 *		What there is of turns in this database, in numbers.
 */
void
actor_activity_turns(ActorTurnCounts *counts)
{
	Activity   *copy = palloc(sizeof(Activity));
	ActorBookkeeping bookkeeping;

	memset(counts, 0, sizeof(*counts));
	for (int i = 0; activities != NULL && i < ACTOR_MAX_BACKENDS; i++)
	{
		instr_time	held;
		const Label *oldest = (const Label *) copy->held.space;

		if (activities[i].database != MyDatabaseId || !copy_activity(&activities[i], copy))
			continue;
		counts->waiting += copy->waiting;
		counts->held += copy->held.count;
		if (copy->held.shown == 0)
			continue;
		INSTR_TIME_SET_CURRENT(held);
		INSTR_TIME_SUBTRACT(held, oldest->since);
		counts->held_seconds = Max(counts->held_seconds, INSTR_TIME_GET_DOUBLE(held));
	}
	pfree(copy);
	/* a standby cannot read activations, and has none */
	if (RecoveryInProgress())
		return;
	actor_bookkeeping_begin(&bookkeeping);
	counts->open = (int) actor_query_run(&read_open_turns, NULL, NULL);
	actor_bookkeeping_end(&bookkeeping);
}
