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
#include "host/host.h"
#include "type/type.h"

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
} ActorHost;

extern bool actor_same_uuid(const pg_uuid_t *a, const pg_uuid_t *b);
extern pg_uuid_t *actor_new_uuid(void);
extern const pg_uuid_t *actor_uuid_argument(FunctionCallInfo fcinfo, int number,
											const char *what);
extern void actor_host_check_type(const ActorType *type);
extern void actor_host_check_outside_block(const char *function);
extern void actor_host_require(const pg_uuid_t *id);
extern void actor_host_require_own(const pg_uuid_t *id);
extern bool actor_host_lives(const pg_uuid_t *id);
extern List *actor_hosts_read(void);
extern const ActorHost *actor_hosts_find(List *hosts, const pg_uuid_t *id);
extern bool actor_host_has_type(const ActorHost *host, const text *type);
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
extern void actor_placement_set_entered(const ActorRef *actor);
extern void actor_placement_remove(const ActorRef *actor);
extern void actor_placement_forget_changed(void);
extern bool actor_placement_is_left(const ActorPlacement *placement, const pg_uuid_t *id);
extern void actor_leftover_remove(const ActorRef *actor, const pg_uuid_t *id);

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

#endif							/* ACTOR_HOST_INTERNAL_H */
