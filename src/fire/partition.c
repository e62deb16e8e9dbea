/*-------------------------------------------------------------------------
 *
 * partition.c
 *		Partitions: the slices that the due rows of a type are drained in.
 *
 * Each slice is drained by one executor at a time, which has the lock of the
 * slice until its transaction ends.
 *
 * IDENTIFICATION
 *		src/fire/partition.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base.h"
#include "type/type.h"
#include "fire/internal.h"

/*
 * actor_partition_of
 *		What names the slice of an actor; 0 if its type has no number of them.
 *		Must be called in a transaction.
 */
uint64
actor_partition_of(const ActorRef *actor)
{
	ActorType  *type = actor_type_find(actor->type);
	int			count = type != NULL ? actor_type_partitions(type) : 0;

	if (count == 0)
		return 0;
	return actor_hash_slice(actor->type, actor->hash % count) | 1;
}
