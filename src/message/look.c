/*-------------------------------------------------------------------------
 *
 * look.c
 *		Where looks at the queue of an actor begin.
 *
 * A message that is gone leaves entries in the indexes until nobody can see it
 * any more, which may take as long as a dump does.  A look from the beginning
 * of a queue walks over all of them.  So a process remembers up to where it has
 * found nothing the last time, for the actors it has looked at lately, and
 * begins there.  What it remembers is a place: an id before which nothing is
 * queued, and a time up to which nothing is due that has not joined the queue.
 *
 * Nothing may be missed that was committed before the message was sent whose
 * turn it is.  What can turn up before a place, after a look with a snapshot?
 *
 * 1. A message of a transaction that was running then.  So these are
 *	  remembered, too, each with a place before which it can have sent nothing:
 *	  when one has ended, the next look begins there.  A sender has a
 *	  transaction id before it draws the id of a message, and reads the clock
 *	  after that to find out whether the message has to wait.  So a
 *	  transaction that began after an earlier look sends nothing before the place
 *	  of that one.  For those that were running at the first look, this place is
 *	  the beginning.
 * 2. A message that joins the queue, with the id it has.  That is counted in
 *	  shared memory, before it can be seen and by a transaction that has an id:
 *	  who finds another count than at the last look begins at the beginning.
 * 3. A message that was removed by a transaction that aborts.  Only the own one
 *	  matters, as nobody else sees its removals; what was remembered in it is
 *	  forgotten.
 * 4. What is written by others than the library.  For that, and if a clock is
 *	  set back, every look begins at the beginning once in a while; and so does
 *	  one that is made for a message before the place.
 *
 * On several servers nothing is remembered: a sender of another one has no transaction
 * here when it draws an id, and who joins a queue elsewhere is not counted here.
 *
 * A look is between actor_look_begin and actor_look_end; statements that look
 * for the same message may be run between these, as late as one likes: what is
 * committed after the beginning was not there when that message was sent.
 *
 * IDENTIFICATION
 *		src/message/look.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "message/message.h"

/* actors that are remembered; a power of two */
#define MEMORIES			128
/* microseconds after which a look begins at the beginning */
#define LOOK_EVERYWHERE_US	(60 * USECS_PER_SEC)

#define BEGINNING	((ActorPlace) {PG_INT64_MIN, DT_NOBEGIN})

/* a transaction that was running, and before what it has sent nothing */
typedef struct Running
{
	TransactionId xid;
	ActorPlace	place;
} Running;

/* what is remembered of the queue of an actor */
struct ActorQueueMemory
{
	ActorRef	actor;			/* texts of our own; NULL: not in use */
	SubTransactionId subid;		/* that noted it; invalid: it is committed */
	uint64		generation;		/* of the catalog */
	uint64		joined;			/* the count */
	TimestampTz everywhere_at;	/* a look has begun at the beginning */
	ActorPlace	place;

	/* those that were running, up to an id */
	int			nrunning;
	Running    *running;

	/* those between that id and another one may have been running, too */
	TransactionId xmax;
	TransactionId next;
	ActorPlace	between;
};

static ActorQueueMemory memories[MEMORIES];

/* whether something was noted in this transaction */
static bool noted = false;

/* places ---------------------------------------------------------------- */

static ActorPlace
earlier(ActorPlace a, ActorPlace b)
{
	return (ActorPlace)
	{
		Min(a.id, b.id), Min(a.due_at, b.due_at)
	};
}

/* transactions ---------------------------------------------------------- */

static void
forget(ActorQueueMemory *memory)
{
	if (memory->actor.type == NULL)
		return;
	pfree(memory->actor.type);
	pfree(memory->actor.id);
	if (memory->running != NULL)
		pfree(memory->running);
	memset(memory, 0, sizeof(*memory));
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (!noted || (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
				   event != XACT_EVENT_PREPARE))
		return;
	noted = false;
	for (int i = 0; i < MEMORIES; i++)
	{
		if (memories[i].subid == InvalidSubTransactionId)
			continue;
		if (event == XACT_EVENT_COMMIT)
			memories[i].subid = InvalidSubTransactionId;
		else
			forget(&memories[i]);
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (!noted || (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	for (int i = 0; i < MEMORIES; i++)
	{
		if (memories[i].subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			memories[i].subid = parent;
		else
			forget(&memories[i]);
	}
}

/*
 * Something is about to be noted in this transaction.
 */
static void
note_in_transaction(void)
{
	static bool registered = false;

	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
	noted = true;
}

/* joining --------------------------------------------------------------- */

static pg_atomic_uint64 *
join_counter(const ActorRef *actor)
{
	return &actor_shared->joined[actor->hash % ACTOR_JOINED_COUNT];
}

/*
 * actor_look_joining
 *		Called before a message joins the queue with the id it has.
 */
void
actor_look_joining(const ActorRef *actor)
{
	/* who looks after this transaction has become visible sees the count */
	(void) GetCurrentTransactionId();
	if (actor_shared != NULL)
		(void) pg_atomic_fetch_add_u64(join_counter(actor), 1);
}

/* looking --------------------------------------------------------------- */

static int
compare_xids(const void *a, const void *b)
{
	TransactionId x = *(const TransactionId *) a;
	TransactionId y = *(const TransactionId *) b;

	return x < y ? -1 : x > y;
}

/*
 * Finds out who is running.  The next id is read first: it is later than all that
 * the caller has seen an effect of.
 */
static void
see_running(ActorLook *look)
{
	Snapshot	snapshot;

	look->next = ReadNextTransactionId();
	snapshot = GetLatestSnapshot();
	look->xmin = snapshot->xmin;
	look->xmax = snapshot->xmax;
	look->nrunning = snapshot->xcnt;
	look->running = NULL;
	if (look->nrunning == 0)
		return;
	look->running = palloc(sizeof(TransactionId) * look->nrunning);
	memcpy(look->running, snapshot->xip, sizeof(TransactionId) * look->nrunning);
	qsort(look->running, look->nrunning, sizeof(TransactionId), compare_xids);
}

static bool
still_running(const ActorLook *look, TransactionId xid)
{
	if (TransactionIdPrecedes(xid, look->xmin))
		return false;
	return TransactionIdFollowsOrEquals(xid, look->xmax) ||
		(look->nrunning > 0 &&
		 bsearch(&xid, look->running, look->nrunning, sizeof(TransactionId),
				 compare_xids) != NULL);
}

/*
 * Where a look begins that knows this memory.
 */
static ActorPlace
first_place(const ActorQueueMemory *memory, const ActorLook *look)
{
	ActorPlace	place = memory->place;

	for (int i = 0; i < memory->nrunning; i++)
		if (!still_running(look, memory->running[i].xid))
			place = earlier(place, memory->running[i].place);
	if (TransactionIdPrecedes(memory->xmax, memory->next) && memory->xmax != look->xmax)
		place = earlier(place, memory->between);
	return place;
}

/*
 * actor_look_begin
 *		Begins a look for a message that the caller has seen, at the queue of its
 *		actor.
 *
 * Sets the place from which on statements of this transaction need to look for
 * what comes before that message, at READ COMMITTED.  Needs no turn.
 */
void
actor_look_begin(ActorLook *look, const ActorRef *actor, int64 message_id)
{
	ActorQueueMemory *memory = &memories[actor->hash & (MEMORIES - 1)];

	memset(look, 0, sizeof(*look));
	look->from = BEGINNING;
	look->seen_id = message_id;
	/* without it nobody tells us what joins; others see an older snapshot */
	look->remembers = actor_shared != NULL && !IsolationUsesXactSnapshot() &&
		!actor_on_several_servers();
	if (!look->remembers)
		return;

	/* before the snapshot, which sees what was counted before */
	look->joined = pg_atomic_read_u64(join_counter(actor));
	pg_memory_barrier();
	see_running(look);
	look->generation = actor_catalog_generation();
	look->began_at = GetCurrentTimestamp();
	if (memory->actor.type == NULL || !actor_ref_equal(&memory->actor, actor) ||
		memory->generation != look->generation || memory->joined != look->joined ||
		look->began_at < memory->everywhere_at ||
		look->began_at - memory->everywhere_at >= LOOK_EVERYWHERE_US)
		return;
	look->from = first_place(memory, look);
	if (message_id < look->from.id)
		look->from = BEGINNING;
	else
		look->memory = memory;
}

/*
 * Before what a transaction can have sent nothing that is running now.
 */
static ActorPlace
place_of(const ActorQueueMemory *memory, TransactionId xid)
{
	for (int i = 0; i < memory->nrunning; i++)
		if (memory->running[i].xid == xid)
			return memory->running[i].place;
	return TransactionIdPrecedes(xid, memory->next) ? memory->between : memory->place;
}

/*
 * Makes room for what is remembered of an actor.
 */
static void
make_memory(ActorQueueMemory *memory, const ActorRef *actor)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	text	   *type = (text *) pg_detoast_datum_copy((struct varlena *) actor->type);
	text	   *id = (text *) pg_detoast_datum_copy((struct varlena *) actor->id);

	forget(memory);
	memory->actor.type = type;
	memory->actor.id = id;
	memory->actor.hash = actor->hash;
	MemoryContextSwitchTo(old);
}

/*
 * actor_look_end
 *		Ends a look, with the first message that statements since its beginning have
 *		found in the queue, and a time up to which nothing is due that has not
 *		joined, as of before the beginning.
 *
 * Messages after the one that the look was for are none that it speaks of: the id
 * is at most that.
 */
void
actor_look_end(ActorLook *look, const ActorRef *actor, int64 first_id, TimestampTz due_at)
{
	ActorQueueMemory *memory = &memories[actor->hash & (MEMORIES - 1)];
	const ActorQueueMemory *known = look->memory;
	ActorPlace	place = {Min(first_id, look->seen_id), due_at};
	ActorPlace	between = BEGINNING;
	Running    *running = NULL;

	if (!look->remembers)
		return;
	if (look->nrunning > 0)
	{
		running = MemoryContextAlloc(TopMemoryContext, sizeof(Running) * look->nrunning);
		for (int i = 0; i < look->nrunning; i++)
		{
			running[i].xid = look->running[i];
			running[i].place = known != NULL ? place_of(known, look->running[i]) : BEGINNING;
		}
	}
	if (known == NULL)
		make_memory(memory, actor);
	else
	{
		between = known->place;
		if (TransactionIdPrecedes(look->xmax, known->next))
			between = earlier(between, known->between);
		if (memory->running != NULL)
			pfree(memory->running);
	}

	note_in_transaction();
	memory->subid = GetCurrentSubTransactionId();
	memory->generation = look->generation;
	memory->joined = look->joined;
	if (known == NULL)
		memory->everywhere_at = look->began_at;
	memory->place = place;
	memory->nrunning = look->nrunning;
	memory->running = running;
	memory->xmax = look->xmax;
	memory->next = look->next;
	memory->between = between;
}

/*
 * actor_look_forget
 *		Makes the next look at the queue of an actor begin at the beginning.
 */
void
actor_look_forget(const ActorRef *actor)
{
	ActorQueueMemory *memory = &memories[actor->hash & (MEMORIES - 1)];

	if (memory->actor.type != NULL && actor_ref_equal(&memory->actor, actor))
		forget(memory);
}
