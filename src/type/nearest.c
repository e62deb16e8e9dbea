/*-------------------------------------------------------------------------
 *
 * nearest.c
 *		The name that somebody may have meant, for the hint of an error.
 *
 * As the server does it for columns: by edit distance, up to three steps and
 * half of the name.
 *
 * IDENTIFICATION
 *		src/type/nearest.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/varlena.h"

#include "base/base.h"
#include "type/type.h"

#define MAX_DISTANCE	3

/*
 * actor_nearest_init
 *		Begins to look for the name nearest to this one, which is kept.
 */
void
actor_nearest_init(ActorNearest *nearest, const char *wanted)
{
	nearest->wanted = wanted;
	nearest->distance = Min(MAX_DISTANCE, strlen(wanted) / 2) + 1;
	nearest->name[0] = '\0';
}

/*
 * actor_nearest_consider
 *		Takes note of a name if it is nearer than those before.
 */
void
actor_nearest_consider(ActorNearest *nearest, const char *name)
{
	int			distance;

	if (strlen(nearest->wanted) >= NAMEDATALEN || strlen(name) >= NAMEDATALEN)
		return;
	distance = varstr_levenshtein_less_equal(nearest->wanted, strlen(nearest->wanted),
											 name, strlen(name), 1, 1, 1,
											 nearest->distance, true);
	if (distance >= nearest->distance)
		return;
	nearest->distance = distance;
	strlcpy(nearest->name, name, NAMEDATALEN);
}
