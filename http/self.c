/*-------------------------------------------------------------------------
 *
 * self.c
 *		What this host is: whether it has joined, under which id, by what hosts know
 *		ids that they have made, and whether the application can be reached.
 *
 * IDENTIFICATION
 *		http/self.c
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "self.h"
#include "util.h"

/* how much of the id of a chain those of its calls have */
#define CHAIN_PREFIX		24
/* hexadecimal digits at the end of ids that hosts have made */
#define MARK_SIZE			8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* protects what follows */
static pthread_cond_t changed;
static char *own_address;		/* not changed after the start */
static char own_id[UUID_SIZE];	/* empty: it has not joined */
static char *mark_key;			/* of ids that hosts make */
static char (*earlier_ids)[UUID_SIZE];	/* under which this process has joined */
static int	nearlier;
static bool reachable;
static bool missed;				/* it may not be, and is to be looked for */
static bool leaving;

/* texts ----------------------------------------------------------------- */

/*
 * uuid_create
 *		A random one.
 */
void
uuid_create(char uuid[UUID_SIZE])
{
	static _Thread_local unsigned char random[16 * 16];
	static _Thread_local size_t left = 0;
	unsigned char *bytes;
	size_t		at = 0;

	if (left == 0 && getrandom(random, sizeof(random), 0) != sizeof(random))
		die("there are no random numbers");
	left = (left == 0 ? sizeof(random) : left) - 16;
	bytes = random + left;
	bytes[6] = (unsigned char) ((bytes[6] & 0x0F) | 0x40);
	bytes[8] = (unsigned char) ((bytes[8] & 0x3F) | 0x80);
	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			uuid[at++] = '-';
		uuid[at++] = "0123456789abcdef"[bytes[i] >> 4];
		uuid[at++] = "0123456789abcdef"[bytes[i] & 0x0F];
	}
	uuid[at] = '\0';
}

bool
is_uuid(const char *text)
{
	if (strlen(text) != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		bool		dash = (i == 8 || i == 13 || i == 18 || i == 23);

		if (dash ? text[i] != '-' : strchr("0123456789abcdefABCDEF", text[i]) == NULL)
			return false;
	}
	return true;
}

/*
 * What hosts of one database put at the end of an id, so that they know those that
 * one of them has made, also before it was started: 32 bits.
 */
static void
mark_id(char id[UUID_SIZE])
{
	uint64_t	hash = UINT64_C(0xCBF29CE484222325);

	pthread_mutex_lock(&lock);
	for (const char *c = mark_key != NULL ? mark_key : ""; *c != '\0'; c++)
		hash = (hash ^ (unsigned char) *c) * UINT64_C(0x100000001B3);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < UUID_SIZE - 1 - MARK_SIZE; i++)
		hash = (hash ^ (unsigned char) tolower((unsigned char) id[i])) * UINT64_C(0x100000001B3);
	hash = (hash ^ hash >> 33) * UINT64_C(0xFF51AFD7ED558CCD);
	for (int i = 0; i < MARK_SIZE; i++)
		id[UUID_SIZE - 1 - MARK_SIZE + i] = "0123456789abcdef"[hash >> (60 - 4 * i) & 0x0F];
}

/*
 * chain_id_create
 *		The id of a chain that no client has brought.
 */
void
chain_id_create(char chain_id[UUID_SIZE])
{
	uuid_create(chain_id);
	mark_id(chain_id);
}

/*
 * call_id_create
 *		The id of a call of a chain, which begins as that of the chain does.
 */
void
call_id_create(const char *chain_id, char call_id[UUID_SIZE])
{
	uuid_create(call_id);
	memcpy(call_id, chain_id, CHAIN_PREFIX);
	mark_id(call_id);
}

/*
 * id_is_of_hosts
 *		Whether a host of this database has made an id.
 */
bool
id_is_of_hosts(const char *id)
{
	char		marked[UUID_SIZE];

	if (!is_uuid(id))
		return false;
	memcpy(marked, id, UUID_SIZE);
	mark_id(marked);
	return strcasecmp(marked, id) == 0;
}

/*
 * ids_of_one_chain
 *		Whether two ids are those of a chain or of calls of it.
 */
bool
ids_of_one_chain(const char *a, const char *b)
{
	return strncasecmp(a, b, CHAIN_PREFIX) == 0;
}

/*
 * same_secret
 *		Compares in a time that depends on the lengths only.
 */
bool
same_secret(const char *secret, const char *given)
{
	size_t		secret_length = strlen(secret);
	size_t		given_length = strlen(given);
	volatile unsigned char difference = (secret_length != given_length);

	for (size_t i = 0; i < given_length; i++)
		difference |= (unsigned char) secret[i % secret_length] ^ (unsigned char) given[i];
	return difference == 0;
}

/* this host ------------------------------------------------------------- */

/*
 * self_start
 *		Called before there are other threads.
 */
void
self_start(void)
{
	condition_init(&changed);
}

/*
 * self_stop
 *		Called when no other thread is left.
 */
void
self_stop(void)
{
	free(own_address);
	free(mark_key);
	free(earlier_ids);
	pthread_cond_destroy(&changed);
}

/*
 * self_set_address
 *		Other hosts find this one there.  Called before it joins them.
 */
void
self_set_address(const char *address)
{
	own_address = xstrdup(address);
}

const char *
self_address(void)
{
	return own_address;
}

/*
 * self_joined
 *		The host has joined, under a new id, and reaches its application or not.
 */
void
self_joined(const char *host_id, const char *key, bool is_reachable)
{
	pthread_mutex_lock(&lock);
	strncpy(own_id, host_id, UUID_SIZE - 1);
	earlier_ids = xrealloc(earlier_ids, (size_t) (nearlier + 1) * UUID_SIZE);
	memcpy(earlier_ids[nearlier++], own_id, UUID_SIZE);
	free(mark_key);
	mark_key = xstrdup(key);
	reachable = is_reachable;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/*
 * self_was
 *		Whether this process has joined under an id.
 */
bool
self_was(const char *host_id)
{
	bool		found = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < nearlier && !found; i++)
		found = strcmp(earlier_ids[i], host_id) == 0;
	pthread_mutex_unlock(&lock);
	return found;
}

/*
 * self_gone
 *		The others believe that this host is gone.
 */
void
self_gone(void)
{
	pthread_mutex_lock(&lock);
	own_id[0] = '\0';
	pthread_mutex_unlock(&lock);
}

void
self_reachable(bool is_reachable)
{
	pthread_mutex_lock(&lock);
	reachable = is_reachable;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/*
 * self_missed
 *		The application could not be reached.
 */
void
self_missed(void)
{
	pthread_mutex_lock(&lock);
	reachable = false;
	missed = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/*
 * self_doubted
 *		It may not be there any more.
 */
void
self_doubted(void)
{
	pthread_mutex_lock(&lock);
	missed = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

/*
 * self_wait_missed
 *		Waits until then, or until the application was missed, which is returned, or
 *		the host leaves.
 */
bool
self_wait_missed(int64_t until)
{
	struct timespec deadline = {.tv_sec = until / 1000,.tv_nsec = until % 1000 * 1000000};
	bool		result;

	pthread_mutex_lock(&lock);
	while (!missed && !leaving && pthread_cond_timedwait(&changed, &lock, &deadline) == 0)
		;
	result = missed;
	missed = false;
	pthread_mutex_unlock(&lock);
	return result;
}

/*
 * self_leave
 *		Nothing new is begun any more.
 */
void
self_leave(void)
{
	pthread_mutex_lock(&lock);
	leaving = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

bool
self_is_leaving(void)
{
	bool		result;

	pthread_mutex_lock(&lock);
	result = leaving;
	pthread_mutex_unlock(&lock);
	return result;
}

bool
self_is_ready(void)
{
	bool		result;

	pthread_mutex_lock(&lock);
	result = own_id[0] != '\0' && reachable && !leaving;
	pthread_mutex_unlock(&lock);
	return result;
}

/*
 * self_id
 *		The id under which this host has joined.  Returns false if it has not.
 */
bool
self_id(char host_id[UUID_SIZE])
{
	pthread_mutex_lock(&lock);
	memcpy(host_id, own_id, UUID_SIZE);
	pthread_mutex_unlock(&lock);
	return host_id[0] != '\0';
}

/*
 * self_wait_ready
 *		Waits until the host has joined and reaches its application, but not
 *		longer than that.
 */
bool
self_wait_ready(char host_id[UUID_SIZE], int64_t until)
{
	struct timespec deadline = {.tv_sec = until / 1000,.tv_nsec = until % 1000 * 1000000};
	bool		ready;

	pthread_mutex_lock(&lock);
	while (!(ready = own_id[0] != '\0' && reachable) && !leaving &&
		   pthread_cond_timedwait(&changed, &lock, &deadline) == 0)
		;
	memcpy(host_id, own_id, UUID_SIZE);
	pthread_mutex_unlock(&lock);
	return ready;
}
