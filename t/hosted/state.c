/*-------------------------------------------------------------------------
 *
 * state.c
 *		Instances of actors, and what they know of their state.
 *
 *		The map of instances has a lock, and so has the state of each instance, for
 *		calls of one chain may overlap; none is held while waiting.
 *
 * IDENTIFICATION
 *		t/hosted/state.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "app.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096

static pthread_mutex_t instances = PTHREAD_MUTEX_INITIALIZER;
static Instance *buckets[BUCKETS];
static unsigned last_instance;

/* instances and their state ------------------------------------------------ */

static Instance **
place_of(const char *type, const char *id)
{
	uint32_t	hash = 5381;
	Instance  **place;

	for (const char *p = type; *p; p++)
		hash = hash * 33 + (unsigned char) *p;
	for (const char *p = id; *p; p++)
		hash = hash * 33 + (unsigned char) *p;
	for (place = &buckets[hash % BUCKETS]; *place; place = &(*place)->next)
	{
		if (strcmp((*place)->type, type) == 0 && strcmp((*place)->id, id) == 0)
			break;
	}
	return place;
}

/*
 * The instance of an actor, made if there is none.
 */
Instance *
enter_instance(const char *type, const char *id)
{
	Instance  **place;
	Instance   *instance;
	bool		made = false;

	pthread_mutex_lock(&instances);
	place = place_of(type, id);
	if (*place == NULL)
	{
		*place = check(calloc(1, sizeof(Instance)));
		(*place)->type = check(strdup(type));
		(*place)->id = check(strdup(id));
		(*place)->number = ++last_instance;
		(*place)->references = 1;
		pthread_mutex_init(&(*place)->lock, NULL);
		made = true;
	}
	instance = *place;
	instance->references++;
	pthread_mutex_unlock(&instances);
	if (made)
		note("activate", instance, NULL, NULL);
	return instance;
}

void
leave_instance(Instance *instance)
{
	bool		last;

	pthread_mutex_lock(&instances);
	last = --instance->references == 0;
	pthread_mutex_unlock(&instances);
	if (!last)
		return;
	while (instance->values != NULL)
	{
		Value	   *value = instance->values;

		instance->values = value->next;
		free(value->key);
		free(value->text);
		free(value);
	}
	free(instance->type);
	free(instance->id);
	pthread_mutex_destroy(&instance->lock);
	free(instance);
}

/*
 * Forgets an instance; false if there is none.
 */
bool
drop_instance(const char *type, const char *id, Call *call)
{
	Instance  **place;
	Instance   *instance;

	if (is_there("parting", id))
	{
		call->instance = enter_instance(type, id);
		put_value(call->instance, "value", "666", true);
		save(call);
		leave_instance(call->instance);
		call->instance = NULL;
	}
	pthread_mutex_lock(&instances);
	place = place_of(type, id);
	instance = *place;
	if (instance != NULL)
		*place = instance->next;
	pthread_mutex_unlock(&instances);
	if (instance == NULL)
		return false;
	note("deactivate", instance, NULL, NULL);
	leave_instance(instance);
	return true;
}

static Value *
find_value(Instance *instance, const char *key)
{
	Value	   *value = instance->values;

	while (value != NULL && strcmp(value->key, key) != 0)
		value = value->next;
	return value;
}

void
put_value(Instance *instance, const char *key, const char *text, bool changed)
{
	Value	   *value;

	pthread_mutex_lock(&instance->lock);
	value = find_value(instance, key);
	if (value == NULL)
	{
		value = check(calloc(1, sizeof(Value)));
		value->key = check(strdup(key));
		value->next = instance->values;
		instance->values = value;
	}
	free(value->text);
	value->text = text == NULL ? NULL : check(strdup(text));
	value->changed = changed;
	pthread_mutex_unlock(&instance->lock);
}

/*
 * Reads a key past the cache.  Returns JSON or NULL; the caller frees it.  If it
 * cannot be read, the call has failed.
 */
char *
load(Call *call, const char *key)
{
	Buffer		answer = {0};
	char	   *path = path_of(call->instance->type, call->instance->id, "state/", key);
	long		status = talk(call, true, "GET", path, NULL, &answer);

	free(path);
	if (status == 200)
		return answer.data;
	if (status != 204)
		reply(call, 500, "read failed: %ld %s", status, answer.data);
	clear(&answer);
	return NULL;
}

/*
 * Reads a key, from memory if it is known.  As load.
 */
char *
get(Call *call, const char *key)
{
	Value	   *value;
	char	   *text = NULL;

	pthread_mutex_lock(&call->instance->lock);
	value = find_value(call->instance, key);
	if (value != NULL && value->text != NULL)
		text = check(strdup(value->text));
	pthread_mutex_unlock(&call->instance->lock);
	if (value == NULL)
	{
		text = load(call, key);
		if (text != NULL)
			put_value(call->instance, key, text, false);
	}
	return text;
}

json_int_t
get_number(Call *call, const char *key)
{
	char	   *text = get(call, key);
	json_int_t	number = text == NULL ? 0 : atoll(text);

	free(text);
	return number;
}

void
set_number(Call *call, const char *key, json_int_t number)
{
	char		text[32];

	snprintf(text, sizeof(text), "%lld", (long long) number);
	put_value(call->instance, key, text, true);
}

/*
 * Sends all changes in one request.  They count as saved even if that fails,
 * which fails the call.
 */
void
save(Call *call)
{
	Buffer		body = {0};
	Buffer		answer = {0};
	char		status_text[16];
	char	   *path;
	long		status;

	pthread_mutex_lock(&call->instance->lock);
	for (Value *value = call->instance->values; value; value = value->next)
	{
		if (!value->changed)
			continue;
		add_text(&body, "%s{\"operation\":\"%s\",\"request\":{\"key\":\"%s\"",
				 body.length > 0 ? "," : "[", value->text ? "upsert" : "delete", value->key);
		if (value->text != NULL)
			add_text(&body, ",\"value\":%s", value->text);
		add_text(&body, "}}");
		value->changed = false;
	}
	pthread_mutex_unlock(&call->instance->lock);
	if (body.length == 0)
		return;
	add_text(&body, "]");
	path = path_of(call->instance->type, call->instance->id, "state", NULL);
	status = talk(call, true, "POST", path, body.data, &answer);
	if (status < 200 || status >= 300)
		reply(call, 500, "save failed: %ld %s", status, answer.data);
	snprintf(status_text, sizeof(status_text), "%ld", status);
	note("save", call->instance, call, status_text);
	note("saved", call->instance, call, body.data);
	free(path);
	clear(&body);
	clear(&answer);
}
