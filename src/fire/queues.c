/*-------------------------------------------------------------------------
 *
 * queues.c
 *		Queues of messages among what is due: who comes next, and who is hidden.
 *
 * The rules that all this keeps are in message/queue.c.
 *
 * IDENTIFICATION
 *		src/fire/queues.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "message/message.h"
#include "fire/internal.h"

/* a queue among what is due */
typedef struct Queue
{
	ActorRef	actor;			/* hash key, compared in full */
	ActorQueueGuard guard;
} Queue;

/*
 * actor_messages_hide
 *		Hides messages that have others of their actor before them, given a list
 *		of what is due, in its order.  Returns how many; none on several servers, where
 *		they are hidden one by one, in turns of their actors.
 */
uint64
actor_messages_hide(List *due_list)
{
	HASHCTL		ctl;
	HTAB	   *queues;
	uint64		hidden = 0;
	ListCell   *cell;

	/*
	 * what is locked, but not written, may move away before what it guards is
	 * hidden
	 */
	if (actor_on_several_servers())
		return 0;
	memset(&ctl, 0, sizeof(ctl));
	ctl.entrysize = sizeof(Queue);
	ctl.hcxt = CurrentMemoryContext;
	queues = actor_ref_table("queues of messages", &ctl);
	foreach(cell, due_list)
	{
		ActorDue   *due = lfirst(cell);
		Queue	   *queue;
		bool		found;

		CHECK_FOR_INTERRUPTS();
		if (due->kind != DUE_MESSAGE)
			continue;
		queue = hash_search(queues, &due->actor, HASH_ENTER, &found);
		if (!found)
			memset(&queue->guard, 0, sizeof(queue->guard));
		hidden += actor_queue_hide_or_guard(&queue->guard, &due->actor, actor_message_id(due));
	}
	hash_destroy(queues);
	return hidden;
}

/* order ----------------------------------------------------------------- */

/* a message among what is due */
typedef struct Place
{
	ActorDue   *due;
	int64		message_id;
	int			position;
} Place;

static int
compare_positions(const void *a, const void *b)
{
	const Place *first = a;
	const Place *second = b;

	if (first->due->actor.hash != second->due->actor.hash)
		return first->due->actor.hash < second->due->actor.hash ? -1 : 1;
	return first->position - second->position;
}

static int
compare_ids(const void *a, const void *b)
{
	const Place *first = a;
	const Place *second = b;

	if (first->due->actor.hash != second->due->actor.hash)
		return first->due->actor.hash < second->due->actor.hash ? -1 : 1;
	return first->message_id < second->message_id ? -1 : first->message_id > second->message_id;
}

/*
 * actor_messages_in_order
 *		Brings the messages of each actor in a list of what is due into the order of
 *		their queue: senders at the same time, failures and what has just joined make
 *		others of the times.  One that comes too early would be hidden, together with
 *		all that follow it.
 */
void
actor_messages_in_order(List *due_list)
{
	Place	   *by_time = palloc(sizeof(Place) * list_length(due_list));
	Place	   *by_id;
	int			count = 0;
	bool		in_order = true;

	for (int i = 0; i < list_length(due_list); i++)
	{
		ActorDue   *due = list_nth(due_list, i);

		if (due->kind != DUE_MESSAGE)
			continue;
		by_time[count] = (Place)
		{
			due, actor_message_id(due), i
		};
		in_order &= count == 0 || by_time[count - 1].message_id < by_time[count].message_id;
		count++;
	}
	if (!in_order)
	{
		by_id = palloc(sizeof(Place) * count);
		memcpy(by_id, by_time, sizeof(Place) * count);
		qsort(by_time, count, sizeof(Place), compare_positions);
		qsort(by_id, count, sizeof(Place), compare_ids);
		for (int i = 0; i < count; i++)
			lfirst(list_nth_cell(due_list, by_time[i].position)) = by_id[i].due;
		pfree(by_id);
	}
	pfree(by_time);
}

/* following ------------------------------------------------------------- */

/*
 * actor_message_show
 *		Shows a hidden message of which it was said that it is fired next, but was not.
 *		The next round finds it; until then it holds up what follows it.
 */
void
actor_message_show(const ActorDue *due)
{
	(void) actor_queue_show_one(&due->actor, actor_message_id(due));
	actor_queue_hold_up(due);
}

/*
 * actor_message_follow
 *		The message that follows one that was delivered, as if it had been shown and
 *		found, in the current memory context, if it is hidden and the role can fire it
 *		next.  If it cannot, the message is shown, so that others find it.
 */
ActorDue *
actor_message_follow(const ActorDue *delivered, const ActorQueueStep *step, const NameData *role)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorDue   *due;

	if (!step->hidden)
		return NULL;
	due = palloc(sizeof(ActorDue));
	*due = *delivered;
	due->name = cstring_to_text(psprintf(INT64_FORMAT, step->next));
	due->generation = actor_message_generation(&due->actor, step->next, step->due_at);
	due->scheduled_at = due->next_try_at = step->due_at;
	due->attempt = step->attempt;
	if (!step->hosted && strcmp(NameStr(step->role_name), NameStr(*role)) == 0 &&
		due->scheduled_at <= now && !actor_loner_is(due->generation) &&
		actor_busy_until((uint64) due->generation) <= now)
		return due;
	actor_message_show(due);
	return NULL;
}
