/*-------------------------------------------------------------------------
 *
 * types.h
 *		The hosted types that this host knows.
 *
 * IDENTIFICATION
 *		http/types.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_TYPES_H
#define ACTOR_HTTP_TYPES_H

#include <stdbool.h>
#include <stdint.h>

/* bytes of a secret, with its end */
#define SECRET_SIZE			65

typedef struct HostedType
{
	char	   *name;
	int64_t		idle_ms;
	bool		reentrant;
	bool		lease;			/* its turns are open turns, no transactions */
	bool		rebalanced;		/* running turns get drain_ms when actors move */
	int64_t		drain_ms;
	bool		here;			/* our application has it */
	char		secret[SECRET_SIZE];	/* of its hosts; empty: we may not host it */
} HostedType;

struct Transfer;

extern void types_set(HostedType *types, int count);
extern bool type_is_hosted(const char *name);
extern void type_prove(struct Transfer *transfer, const char *name);
extern bool type_accepts(const char *name, const char *secret);
extern bool type_find(const char *name, HostedType *type);

#endif							/* ACTOR_HTTP_TYPES_H */
