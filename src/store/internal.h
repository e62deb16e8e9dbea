/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/store/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_STORE_INTERNAL_H
#define ACTOR_STORE_INTERNAL_H

#include "utils/relcache.h"

#include "store/store.h"

/* direct.c */

extern Relation actor_direct_open(ActorTable *table, LOCKMODE lockmode);
extern bool actor_direct_is_plain(Relation relation);
extern bool actor_direct_writes(Relation relation);
extern Oid	actor_direct_oid(ActorTable *table);
extern ActorDirectResult actor_direct_lock_found(Relation relation, Snapshot snapshot,
												 TupleTableSlot *slot);

/* walk.c */

extern Relation actor_order_open(Relation relation, ActorOrder *order);

/* role.c */

extern int64 actor_role_server(void);
extern void actor_role_enter(const NameData *name, Oid role);

/* shape.c */

extern void actor_shape_changed(Oid relation);

/* shard.c */

extern void actor_shard_changed(Oid relation);
extern Relation actor_shard_open_with(const ActorTable *table, Oid leader, LOCKMODE lockmode);
extern Relation actor_shard_open(const ActorTable *table, const Datum *key, LOCKMODE lockmode,
								 Snapshot snapshot);

/* where.c */

extern Oid	actor_where_to_read(const ActorRef *actor, Snapshot snapshot);

/* untold.c */

extern bool actor_untold_possible(void);

#endif							/* ACTOR_STORE_INTERNAL_H */
