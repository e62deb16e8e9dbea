/*-------------------------------------------------------------------------
 *
 * instance.h
 *		What this host remembers of the actors in its application.
 *
 * IDENTIFICATION
 *		http/instance.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_INSTANCE_H
#define ACTOR_HTTP_INSTANCE_H

#include <stdbool.h>
#include <stdint.h>

#include "self.h"

/* what has become of a call of an actor */
typedef enum InstanceEnd
{
	INSTANCE_GOOD,				/* all that it has done is committed, or will be */
	INSTANCE_SPOILT,			/* or not, though the application has run it */
	INSTANCE_DOUBTFUL,			/* the application may not have run it */
	INSTANCE_AS_BEFORE,			/* it has not reached the application */
	INSTANCE_DROPPED			/* the application has dropped the object */
} InstanceEnd;

/* names an instance, for those who go through many */
typedef struct InstanceKey
{
	char	   *type;
	char	   *id;
	char		token[UUID_SIZE];
	int64_t		used_at;		/* 0: it is to be dropped as soon as possible */
	struct InstanceKey *next;
} InstanceKey;

extern bool instance_token(const char *type, const char *id, char token[UUID_SIZE]);
extern void instance_place(const char *type, const char *id, const char *token);
extern void instance_unplace(const char *type, const char *id);
extern void instance_note(const char *type, const char *id);
extern void instance_left(const char *type, const char *id);
extern bool instance_begin(const char *type, const char *id, const char *token, bool stale);
extern bool instance_drop_begins(const char *type, const char *id);
extern bool instance_is_held(const char *type, const char *id);
extern void instance_spoil(const char *type, const char *id);
extern void instance_dropped(const char *type, const char *id);
extern void instance_answered(const char *type, const char *id);
extern void instance_end(const char *type, const char *id, bool answered, InstanceEnd end);
extern void instance_forget(const char *type, const char *id);
extern void instances_forget_all(void);
extern InstanceKey *instances_list(bool *any);
extern bool instance_claim_end(const char *type, const char *id);
extern void instance_unclaim_end(const char *type, const char *id);
extern void instance_keys_free(InstanceKey *keys);

#endif							/* ACTOR_HTTP_INSTANCE_H */
