/*-------------------------------------------------------------------------
 *
 * instance.c
 *		What this host remembers of the actors in its application: the token that
 *		each was placed under, whether the application may hold an object for it,
 *		and whether what that object believes is true.
 *
 * Only actor.placement counts, and is looked at in the turn of the actor.  Here is
 * remembered what the database cannot know: what the application holds.  An
 * object that it may hold is dropped before the next call if the token has become
 * another one, or if what a method has done was not committed.  Whether there is one
 * is not always sure: a host before this one may have been killed at any moment, and
 * who has answered with an error may not have activated the actor.
 *
 * IDENTIFICATION
 *		http/instance.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "instance.h"
#include "util.h"

#define INSTANCE_BUCKETS	4096

typedef struct Instance
{
	char	   *type;
	char	   *id;
	char		token[UUID_SIZE];	/* empty: not known to be placed here */
	bool		known;			/* since this host has asked for it */
	bool		held;			/* the application may have an object for it */
	bool		held_before;	/* before the calls that it runs */
	bool		spoilt;			/* and if so, it must be dropped */
	bool		unsure;			/* and need not have one */
	int			calls;			/* whose turns have not ended */
	int			answered;		/* of these the application does not run any more */
	bool		ending;			/* somebody is about to drop it */
	int64_t		used_at;
	uint32_t	hash;
	struct Instance *next;
} Instance;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static Instance *buckets[INSTANCE_BUCKETS];

static uint32_t
hash_key(const char *type, const char *id)
{
	uint32_t	hash = 2166136261u;

	for (const char *c = type; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * 16777619u;
	for (const char *c = id; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * 16777619u;
	return hash;
}

/*
 * What points to an instance, or would if there were one.  Locked.
 */
static Instance **
find(const char *type, const char *id)
{
	uint32_t	hash = hash_key(type, id);
	Instance  **link = &buckets[hash % INSTANCE_BUCKETS];

	while (*link != NULL && ((*link)->hash != hash || strcmp((*link)->id, id) != 0 ||
							 strcmp((*link)->type, type) != 0))
		link = &(*link)->next;
	return link;
}

/*
 * The instance, which is made if there is none.  Locked.
 */
static Instance *
need(const char *type, const char *id)
{
	Instance  **link = find(type, id);

	if (*link == NULL)
	{
		*link = xmalloc(sizeof(Instance));
		memset(*link, 0, sizeof(Instance));
		(*link)->type = xstrdup(type);
		(*link)->id = xstrdup(id);
		(*link)->hash = hash_key(type, id);
		(*link)->used_at = now_ms();
	}
	return *link;
}

static void
unlink_and_free(Instance **link)
{
	Instance   *instance = *link;

	*link = instance->next;
	free(instance->type);
	free(instance->id);
	free(instance);
}

/*
 * The actor is placed here under that token.  Locked.
 */
static void
set_token(Instance *instance, const char *token)
{
	if (token[0] == '\0' || strcmp(instance->token, token) == 0)
		return;
	strncpy(instance->token, token, UUID_SIZE - 1);
	instance->spoilt = instance->held;
}

/*
 * instance_token
 *		The token under which an actor is placed here, as far as is known.  Returns
 *		false if it is not.
 */
bool
instance_token(const char *type, const char *id, char token[UUID_SIZE])
{
	Instance   *instance;
	bool		known;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	known = instance != NULL && instance->token[0] != '\0';
	if (known)
		memcpy(token, instance->token, UUID_SIZE);
	else
		token[0] = '\0';
	pthread_mutex_unlock(&lock);
	return known;
}

/*
 * instance_place
 *		The database has placed an actor here.
 */
void
instance_place(const char *type, const char *id, const char *token)
{
	pthread_mutex_lock(&lock);
	set_token(need(type, id), token);
	pthread_mutex_unlock(&lock);
}

/*
 * instance_unplace
 *		The token is not, or not any more, that of the database.  What is known of
 *		the object stays known.
 */
void
instance_unplace(const char *type, const char *id)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	if (instance != NULL)
	{
		instance->token[0] = '\0';
		instance->spoilt = instance->held;
	}
	pthread_mutex_unlock(&lock);
}

/*
 * instance_note
 *		Makes an actor known, of which the application may have nothing.
 */
void
instance_note(const char *type, const char *id)
{
	pthread_mutex_lock(&lock);
	(void) need(type, id);
	pthread_mutex_unlock(&lock);
}

/*
 * instance_left
 *		The application may have an object of the time of another host, unless we
 *		know better.
 */
void
instance_left(const char *type, const char *id)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = need(type, id);
	if (!instance->known)
		instance->held = instance->held_before = instance->spoilt = instance->unsure = true;
	pthread_mutex_unlock(&lock);
}

/*
 * instance_begin
 *		Called in the turn: the application is about to get a call of an actor
 *		that is placed here under that token.  Returns whether what it has is to be
 *		dropped before; the database may know that it is stale.
 */
bool
instance_begin(const char *type, const char *id, const char *token, bool stale)
{
	Instance   *instance;
	bool		drop;

	pthread_mutex_lock(&lock);
	instance = need(type, id);
	set_token(instance, token);
	if (stale)
		instance->spoilt = instance->held;
	/* an object that runs a method of this chain is not taken away from it */
	drop = instance->held && instance->spoilt && instance->calls <= instance->answered;
	if (instance->calls == 0)
		instance->held_before = instance->held;
	if (!instance->held)
		instance->unsure = false;
	instance->held = instance->known = true;
	instance->calls++;
	instance->used_at = now_ms();
	pthread_mutex_unlock(&lock);
	return drop;
}

/*
 * instance_drop_begins
 *		The application is about to drop what it has.  Returns whether it may have
 *		nothing, which is so until it has answered.
 */
bool
instance_drop_begins(const char *type, const char *id)
{
	Instance   *instance;
	bool		unsure;

	pthread_mutex_lock(&lock);
	instance = need(type, id);
	unsure = instance->unsure;
	instance->unsure = true;
	pthread_mutex_unlock(&lock);
	return unsure;
}

bool
instance_is_held(const char *type, const char *id)
{
	Instance   *instance;
	bool		held;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	held = instance != NULL && instance->held;
	pthread_mutex_unlock(&lock);
	return held;
}

/*
 * instance_spoil
 *		What the application has is to be dropped before the next call.
 */
void
instance_spoil(const char *type, const char *id)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	if (instance != NULL)
		instance->spoilt = instance->held;
	pthread_mutex_unlock(&lock);
}

/*
 * instance_dropped
 *		The application has dropped what it had.
 */
void
instance_dropped(const char *type, const char *id)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	if (instance != NULL)
		instance->spoilt = instance->unsure = instance->held_before = false;
	pthread_mutex_unlock(&lock);
}

/*
 * instance_answered
 *		The application does not run a method any more, but its call has not ended.
 */
void
instance_answered(const char *type, const char *id)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	if (instance != NULL)
		instance->answered++;
	pthread_mutex_unlock(&lock);
}

/*
 * instance_end
 *		A call that was begun has ended, for which instance_answered was called or not.
 */
void
instance_end(const char *type, const char *id, bool answered, InstanceEnd end)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	if (instance != NULL)
	{
		if (instance->calls > 0)
			instance->calls--;
		if (answered && instance->answered > 0)
			instance->answered--;
		instance->used_at = now_ms();
		if (end == INSTANCE_DROPPED)
			instance->held = instance->held_before = instance->spoilt = instance->unsure = false;
		else if (end == INSTANCE_SPOILT || end == INSTANCE_DOUBTFUL)
			instance->spoilt = true;
		if (end == INSTANCE_DOUBTFUL && !instance->held_before)
			instance->unsure = true;
		else if (end == INSTANCE_SPOILT || end == INSTANCE_GOOD)
			instance->unsure = false;
		if (end == INSTANCE_GOOD)
			instance->held_before = true;
		if (end == INSTANCE_AS_BEFORE && instance->calls == 0)
			instance->held = instance->held_before;
	}
	pthread_mutex_unlock(&lock);
}

/*
 * instance_forget
 *		The application has nothing of that actor, which is not placed here, and the
 *		database knows that.
 */
void
instance_forget(const char *type, const char *id)
{
	Instance  **link;

	pthread_mutex_lock(&lock);
	link = find(type, id);
	if (*link != NULL)
		unlink_and_free(link);
	pthread_mutex_unlock(&lock);
}

/*
 * instances_forget_all
 *		The application was started anew.
 */
void
instances_forget_all(void)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < INSTANCE_BUCKETS; i++)
		while (buckets[i] != NULL)
			unlink_and_free(&buckets[i]);
	pthread_mutex_unlock(&lock);
}

/*
 * instances_list
 *		All that are not in a call, to be freed; and whether there are any at all.
 */
InstanceKey *
instances_list(bool *any)
{
	InstanceKey *keys = NULL;

	*any = false;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < INSTANCE_BUCKETS; i++)
		for (const Instance *instance = buckets[i]; instance != NULL; instance = instance->next)
		{
			*any |= instance->held || instance->token[0] != '\0';
			if (instance->calls == 0)
			{
				InstanceKey *key = xmalloc(sizeof(InstanceKey));

				key->type = xstrdup(instance->type);
				key->id = xstrdup(instance->id);
				memcpy(key->token, instance->token, UUID_SIZE);
				key->used_at = instance->token[0] != '\0' ? instance->used_at : 0;
				key->next = keys;
				keys = key;
			}
		}
	pthread_mutex_unlock(&lock);
	return keys;
}

/*
 * instance_claim_end
 *		Whether the caller is the one who drops an instance now.
 */
bool
instance_claim_end(const char *type, const char *id)
{
	Instance   *instance;
	bool		claimed;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	claimed = instance != NULL && !instance->ending;
	if (claimed)
		instance->ending = true;
	pthread_mutex_unlock(&lock);
	return claimed;
}

void
instance_unclaim_end(const char *type, const char *id)
{
	Instance   *instance;

	pthread_mutex_lock(&lock);
	instance = *find(type, id);
	if (instance != NULL)
		instance->ending = false;
	pthread_mutex_unlock(&lock);
}

void
instance_keys_free(InstanceKey *keys)
{
	while (keys != NULL)
	{
		InstanceKey *next = keys->next;

		free(keys->type);
		free(keys->id);
		free(keys);
		keys = next;
	}
}
