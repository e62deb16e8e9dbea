/*-------------------------------------------------------------------------
 *
 * types.c
 *		The hosted types, as the database has them.  What is remembered here may
 *		be late; whatever depends on it asks the database, too.
 *
 * IDENTIFICATION
 *		http/types.c
 *
 *-------------------------------------------------------------------------
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "self.h"
#include "transfer.h"
#include "types.h"
#include "util.h"

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;	/* protects what follows */
static HostedType *known;
static int	known_count;

/*
 * types_set
 *		Remembers all hosted types; the array and the names are taken over.
 */
void
types_set(HostedType *types, int count)
{
	HostedType *old;
	int			old_count;

	pthread_rwlock_wrlock(&lock);
	old = known;
	old_count = known_count;
	known = types;
	known_count = count;
	pthread_rwlock_unlock(&lock);
	for (int i = 0; i < old_count; i++)
		free(old[i].name);
	free(old);
}

/*
 * type_find
 *		What is known of a type, but for its name.  Returns false if it is not
 *		hosted.
 */
bool
type_find(const char *name, HostedType *type)
{
	bool		found = false;

	pthread_rwlock_rdlock(&lock);
	for (int i = 0; i < known_count && !found; i++)
		if (strcmp(known[i].name, name) == 0)
		{
			*type = known[i];
			type->name = NULL;
			found = true;
		}
	pthread_rwlock_unlock(&lock);
	return found;
}

/*
 * type_prove
 *		Shows in a request to another host that we are one, of that type.
 */
void
type_prove(Transfer *transfer, const char *name)
{
	HostedType	type;
	Buffer		encoded = {0};

	if (!type_find(name, &type))
		type.secret[0] = '\0';
	path_append(&encoded, name, "");
	transfer_header(transfer, "actor-host-type", encoded.data);
	transfer_header(transfer, "actor-host-secret", type.secret);
	buffer_free(&encoded);
}

/*
 * type_accepts
 *		Whether a secret is that of the hosts of a type.
 */
bool
type_accepts(const char *name, const char *secret)
{
	HostedType	type;

	return type_find(name, &type) && type.secret[0] != '\0' && same_secret(type.secret, secret);
}

bool
type_is_hosted(const char *name)
{
	HostedType	type;

	return type_find(name, &type);
}
