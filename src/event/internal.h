/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/event/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_EVENT_INTERNAL_H
#define ACTOR_EVENT_INTERNAL_H

#include "event/event.h"
#include "store/store.h"

/* topic.c */

/* a topic; the hash names its lock, and its notifications */
typedef struct ActorTopic
{
	ActorRef	owner;			/* the id is empty if it belongs to the type */
	text	   *name;
	uint64		hash;
} ActorTopic;

/* what statements take to find a topic, as their first values */
#define ACTOR_TOPIC_VALUES	3
#define ACTOR_OF_TOPIC \
	" actor_type OPERATOR(pg_catalog.=) $1 AND actor_id OPERATOR(pg_catalog.=) $2" \
	" AND topic OPERATOR(pg_catalog.=) $3"

extern void actor_topic_init(ActorTopic *topic, text *type, text *id, text *name);
extern void actor_topic_arguments(ActorTopic *topic, FunctionCallInfo fcinfo, int name_number,
								  int type_number);
extern void actor_topic_values(const ActorTopic *topic, Datum *values);
extern Interval *actor_topic_retention(const ActorTopic *topic);
extern void actor_topic_lock(const ActorTopic *topic);
extern char *actor_topic_describe(const ActorTopic *topic);

/* handout.c */

/* who gets an event */
typedef struct ActorSubscriber
{
	int64		id;				/* of the subscription */
	ActorRef	actor;
	text	   *method;
	Jsonb	   *failure_policy; /* NULL: the default */
	NameData	role_name;
} ActorSubscriber;

extern bool actor_share_patiently(const text *name, int patience, uint64 generation);
extern List *actor_subscribers(const ActorTopic *topic, int64 after, int64 before, int64 limit,
							   int patience);
extern void actor_hand_out(const ActorTopic *topic, List *subscribers, const Jsonb *payload,
						   const Jsonb *settings);

/* fan_out.c */

extern bool actor_fan_out_waits(const ActorTopic *topic);
extern void actor_fan_out_later(const ActorTopic *topic, const Jsonb *payload,
								const Jsonb *settings);

/* stream.c */

extern int64 actor_stream_append(const ActorTopic *topic, const Jsonb *payload,
								 const Interval *retention);

#endif							/* ACTOR_EVENT_INTERNAL_H */
