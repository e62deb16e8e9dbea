/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/host/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HOST_INTERNAL_H
#define ACTOR_HOST_INTERNAL_H

#include "nodes/pg_list.h"
#include "type/type.h"
#include "fire/fire.h"
#include "host/host.h"

/* hosts.c */

/* a host that has joined, alive or not */
typedef struct ActorHost
{
	pg_uuid_t	id;
	text	   *app_id;
	text	   *app_address;
	text	   *address;
	List	   *types;			/* of text */
	bool		reachable;
	bool		alive;
	TimestampTz gone_at;		/* when that was seen; 0: it was not */
} ActorHost;

extern bool actor_same_uuid(const pg_uuid_t *a, const pg_uuid_t *b);
extern pg_uuid_t *actor_new_uuid(void);
extern const pg_uuid_t *actor_uuid_argument(FunctionCallInfo fcinfo, int number,
											const char *what);
extern void actor_host_check_type(const ActorType *type);
extern void actor_host_check_outside_block(const char *function);
extern void actor_host_require(const pg_uuid_t *id);
extern void actor_host_require_own(const pg_uuid_t *id);
extern void actor_host_remove_empty(const pg_uuid_t *id);
extern bool actor_host_lives(const pg_uuid_t *id);
extern List *actor_hosts_read(void);
extern const ActorHost *actor_hosts_find(List *hosts, const pg_uuid_t *id);
extern bool actor_host_has_type(const ActorHost *host, const text *type);
extern bool actor_hosts_have_type(const text *type);
extern const ActorHost *actor_hosts_choose(List *hosts, const ActorRef *actor);

/* placement.c */

/* where an actor is */
typedef struct ActorPlacement
{
	pg_uuid_t	host;
	pg_uuid_t	token;
	bool		entered;		/* the host has had a turn of it */
} ActorPlacement;

extern bool actor_placement_read(const ActorRef *actor, ActorPlacement *placement);
extern const ActorHost *actor_placement_host(List *hosts, const ActorRef *actor,
											 const ActorPlacement *placement);
extern void actor_placement_set_entered(const ActorRef *actor);
extern void actor_placement_remove(const ActorRef *actor);
extern void actor_placement_forget_changed(void);
extern bool actor_placement_is_left(const ActorPlacement *placement, const pg_uuid_t *id);
extern bool actor_leftover_remove(const ActorRef *actor, const pg_uuid_t *id,
								  pg_uuid_t *before);

/* answer.c */

/* how an application has answered */
typedef struct ActorAnswer
{
	int32		status;
	text	   *content_type;	/* NULL: none */
	Jsonb	   *headers;		/* NULL: none */
	bytea	   *body;			/* NULL: none */
} ActorAnswer;

/* a call that has a request id */
typedef struct ActorAnswerKey
{
	text	   *request_id;		/* NULL: has none */
	const text *method;
	bytea	   *body_hash;
	NameData	caller;
} ActorAnswerKey;

extern bool actor_answer_find(const ActorRef *actor, const ActorAnswerKey *key,
							  ActorAnswer *answer);
extern void actor_answer_store(const ActorRef *actor, const ActorAnswerKey *key,
							   const ActorAnswer *answer);

/* hosted.c */

/* a method that an application runs, in TopTransactionContext */
typedef struct ActorHostedFrame
{
	ActorFrame	frame;			/* is the first member */
	int32		number;			/* never 0 */
	bool		ends;			/* the actor is to be forgotten */
	pg_uuid_t	host;
	ActorAnswerKey key;
	ActorFiring *firing;		/* what it is called for; NULL: a call */
} ActorHostedFrame;

/* a call of a method of an application, and what is to be done */
typedef struct ActorEntry
{
	ActorRef	actor;
	text	   *method;
	const pg_uuid_t *host;
	const pg_uuid_t *token;		/* that the host has; NULL: none */
	const pg_uuid_t *reentrancy_id; /* NULL: none */
	ActorAnswerKey key;
	ActorFiring *firing;		/* NULL: a call */
	const char *action;
	bool		anew;			/* nothing that an application has is true */
	bool		held;			/* it may have the actor from a host before */
	pg_uuid_t	held_from;
	ActorHostedFrame *hosted;	/* NULL: none has begun */
	ActorPlacement placement;
	bool		placed;
	const text *address;		/* of the host that has it; NULL: it is here */
	ActorAnswer answer;
	bool		answered;
} ActorEntry;

extern ActorType *actor_hosted_type(const text *name);
extern void actor_hosted_check(const char *function, const pg_uuid_t *host, bool begins);
extern void actor_hosted_look(ActorEntry *entry);
extern void actor_hosted_begin(ActorEntry *entry, ActorType *type, uint64 generation);
extern ActorHostedFrame *actor_hosted_argument(FunctionCallInfo fcinfo, const char *function);
extern void actor_hosted_end(ActorHostedFrame *hosted, bool failed);

#endif							/* ACTOR_HOST_INTERNAL_H */
