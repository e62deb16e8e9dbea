/*-------------------------------------------------------------------------
 *
 * store.h
 *		How our tables are read and written.
 *
 * IDENTIFICATION
 *		src/store/store.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_STORE_H
#define ACTOR_STORE_H

#include "access/genam.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/array.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "base/base.h"

/* catalog.c */

#define ACTOR_QUERY_MAX_ARGS	24

/* one statement over the extension's tables, prepared when first used */
typedef struct ActorQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[ACTOR_QUERY_MAX_ARGS];
	bool		generic;		/* planned once, not for each set of values */
	bool		own;			/* about what is on this server; see own.c */
	SPIPlanPtr	plan;
	uint64		own_version;	/* of the shards it was planned for; 0: tables */
	uint32		own_tables;		/* whose shards these are, a bit each */
} ActorQuery;

/* the identity to return to after bookkeeping */
typedef struct ActorBookkeeping
{
	Oid			userid;
	int			sec_context;
} ActorBookkeeping;

/* what is done with a row of a result, which is that number of SPI_tuptable */
typedef void (*ActorRowTaker) (uint64 row, void *arg);

extern void actor_catalog_init(void);
extern bool actor_catalog_installed(void);
extern void actor_catalog_require(void);
extern Oid	actor_catalog_relation(const char *name);
extern uint64 actor_catalog_generation(void);
extern uint64 actor_catalog_objects_generation(void);
extern void actor_catalog_invalidate_types(void);
extern void actor_catalog_altered(void);
extern void actor_identity_begin(ActorBookkeeping *bookkeeping);
extern void actor_identity_end(ActorBookkeeping *bookkeeping);
extern void actor_bookkeeping_begin(ActorBookkeeping *bookkeeping);
extern void actor_bookkeeping_end(ActorBookkeeping *bookkeeping);
extern uint64 actor_query_run(ActorQuery *query, Datum *values, const char *nulls);
extern uint64 actor_query_read(ActorQuery *query, Datum *values, const char *nulls,
							   Snapshot snapshot);
extern uint64 actor_query_latest(ActorQuery *query, Datum *values);
extern uint64 actor_query_row(ActorQuery *query, Datum *values, int columns, Datum *row,
							  bool *isnull);
extern uint64 actor_query_count(ActorQuery *query, Datum *values);
extern uint64 actor_query_for_actor(ActorQuery *query, const ActorRef *actor, Datum *values);
extern void actor_query_write_one(ActorQuery *query, Datum *values, const char *nulls);
extern List *actor_query_list(ActorQuery *query, Datum *values,
							  void *(*read_row) (uint64 row));
extern void actor_query_each(ActorQuery *query, Datum *values,
							 ActorRowTaker take, void *arg);
extern Datum actor_query_result(uint64 row, int column, bool *isnull);

/* copy.c */

extern text *actor_copy_text(uint64 row, int column);
extern Jsonb *actor_copy_jsonb(uint64 row, int column);

/* role.c */

extern Oid	actor_role_find(const NameData *name);
extern bool actor_role_held(const NameData *name);
extern bool actor_role_held_by(Oid user, const NameData *name);
extern Oid	actor_role_former(const NameData *name);
extern Oid	actor_schema_holder(const NameData *schema_name, const NameData *owner_name,
								Oid *schema);
extern const char *actor_role_unusable(Oid role);
extern const char *actor_role_waits(const NameData *name);
extern void actor_role_use(Oid role, NameData *name);
extern bool actor_role_keep(NameData *name, bool wait);
extern bool actor_role_hold(Oid role, const NameData *name);
extern bool actor_role_of_row(ActorQuery *query, Datum *values, NameData *name);
extern void actor_role_give(const NameData *old_name, Oid role, NameData *name);
extern bool actor_role_has_rows(const NameData *name);
extern bool actor_role_has_types(const NameData *name);

/* role_settle.c */

extern List *actor_role_names(void);
extern void actor_roles_settle(void);

/* trigger.c */

extern const char *actor_trigger_foreign(Relation relation, Oid *role);
extern bool actor_trigger_check(Oid table);
extern void actor_trigger_forget(Oid table);

/* policy.c */

extern Oid	actor_type_owner(const text *type, bool *exists);
extern bool actor_type_owned(const text *type);

/* shape.c */

extern bool actor_shapes_checked;

extern uint64 actor_shape_generation(void);
extern bool actor_shapes_check(int elevel);
extern const char *actor_shape_distributed(void);
extern bool actor_shape_fits(Relation relation, const char *table, int nkeys);
extern Oid	actor_shape_order(Relation relation, const int *columns, int ncolumns,
							  int condition, bool holds);
extern bool actor_shape_matches(Relation relation, const char *table, int nkeys);

/* distributed.c */

/* how a table is distributed; see distribute.c */
typedef struct ActorDistributed
{
	const char *name;
	bool		everywhere;		/* whole on each server, not split by actor_id */
} ActorDistributed;

extern bool actor_is_distributed(Oid relation);
extern bool actor_on_several_servers(void);
extern TimestampTz actor_next_from_elsewhere(void);
extern TimestampTz actor_activation_start(void);
extern void actor_insert_check(Oid table);

/* cluster.c */

extern void actor_cluster_run(const char *sql);
extern void actor_cluster_ask(const char *sql);
extern char *actor_cluster_value(uint64 row, int column);
extern bool actor_cluster_is_coordinator(void);
extern void actor_cluster_check_coordinator(const char *action);
extern void actor_cluster_check_release(void);

/* shard.c */

extern Oid	(*actor_shard_of_turn) (const ActorRef *actor);

extern bool actor_shard_has_written(Oid leader, ItemPointer tid, const ActorRef *actor);

/* where.c */

extern Oid	actor_where_to_write(const ActorRef *actor);

/* untold.c */

extern void actor_untold_init(void);
extern void actor_untold_add(const ActorRef *actor);
extern void actor_untold_told(void);

/* distribute.c */

extern const ActorDistributed actor_distributed_tables[];

extern void actor_distribute_types_changed(void);
extern void actor_distribute_lock_out(void);
extern int	actor_own_copy_begin(void);
extern void actor_own_copy_end(int nestlevel);

/* own.c */

extern const char *actor_own_sql(ActorQuery *query);
extern int	actor_own_group(void);

/* map.c */

extern int	actor_map_part(const text *actor_id);
extern int	actor_map_parts(void);
extern int	actor_map_server(int part);
extern ArrayType *actor_map_starts(void);

/* block.c */

extern void actor_block_begin(void);
extern void actor_block_end(void);
extern ErrorData *actor_block_abort(MemoryContext context);

/* location.c */

extern void actor_location_request(void);
extern void actor_location_attach(void);
extern bool actor_location_fetch(Relation relation, const Datum *key, int nkeys,
								 Snapshot snapshot, bool to_update, TupleTableSlot *slot);
extern void actor_location_note(Relation relation, const Datum *key, int nkeys,
								ItemPointer chain, const TupleTableSlot *slot);

/* direct.c */

#define ACTOR_DIRECT_MAX_KEYS	3

/* a table that is read or written without SQL */
typedef struct ActorTable
{
	const char *name;
	int			nkeys;			/* columns of its primary key, the first ones */
	Oid			oid;			/* as of the generation of the catalog */
	uint64		generation;
	bool		fits;			/* as of the generation of shapes */
	uint64		shape_generation;
	ActorSpan	locked;			/* as long as that lasts, in this mode at
								 * least */
	LOCKMODE	lockmode;
} ActorTable;

typedef void (*ActorRowReader) (TupleTableSlot *slot, void *arg);
typedef bool (*ActorRowTest) (TupleTableSlot *slot, void *arg);

/* a value to set; columns count from 1 */
typedef struct ActorColumn
{
	int			number;
	Datum		value;
	bool		isnull;
} ActorColumn;

typedef enum ActorDirectResult
{
	ACTOR_DIRECT_DONE,
	ACTOR_DIRECT_ABSENT,		/* there is no such row */
	ACTOR_DIRECT_BY_SQL			/* nothing is done, it takes a statement */
} ActorDirectResult;

extern bool actor_direct_read(ActorTable *table, const Datum *key, int nkeys,
							  Snapshot snapshot, ActorRowReader reader, void *arg);
extern ActorDirectResult actor_direct_update(ActorTable *table, const Datum *key, int nkeys,
											 const ActorColumn *columns, int ncolumns,
											 ActorRowTest test, void *arg);
extern ActorDirectResult actor_direct_lock(ActorTable *table, const Datum *key, int nkeys,
										   ActorRowTest test, ActorRowReader reader, void *arg);
extern ActorDirectResult actor_direct_lock_part(ActorTable *table, Oid part, const Datum *key,
												ActorRowReader reader, void *arg);
extern ActorDirectResult actor_direct_delete(ActorTable *table, const Datum *key, int nkeys,
											 ActorRowTest test, void *arg);
extern bool actor_direct_insert(ActorTable *table, const Datum *values,
								const bool *isnull, int ncolumns, bool unless_there);
extern int64 actor_direct_nextval(ActorTable *sequence);

/* walk.c */

/*
 * The rows of an actor for which a boolean column (0: none) is that, in the order of
 * another one, which is a bigint or an instant; or those of a role, the rows of an
 * instant in the order of a bigint, if one is given.  Columns count from 1
 */
typedef struct ActorOrder
{
	int			column;
	int			condition;
	bool		holds;
	int			role;			/* the column with it; 0: rows of an actor */
	int			next;			/* rows of a role: the bigint; 0: none */
	Oid			index;			/* as of the generation of shapes */
	uint64		shape_generation;
} ActorOrder;

/* a table whose rows are looked at, on one snapshot */
typedef struct ActorWalk
{
	Relation	relation;
	TupleTableSlot *slot;		/* the last row; empty: there was none */
} ActorWalk;

extern bool actor_walk_begin(ActorWalk *walk, ActorTable *table, bool to_delete);
extern bool actor_walk(ActorWalk *walk, ActorOrder *order, const ActorRef *actor,
					   int64 from, int64 to, ActorRowTest goes_on, void *arg);
extern ActorDirectResult actor_walk_lock(ActorWalk *walk);
extern bool actor_walk_delete(ActorWalk *walk, ItemPointer tid);
extern void actor_walk_end(ActorWalk *walk);

/* merge.c */

#define ACTOR_MERGE_MAX		3

/* a table with rows of roles, of which those of an instant have numbers, too */
typedef struct ActorSource
{
	ActorTable	table;
	ActorOrder	order;
	int			number;			/* a column, which is a bigint */
} ActorSource;

typedef struct ActorMergeInput
{
	Relation	relation;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *slot;		/* its next row; empty: there is none */
	ItemPointerData chain;		/* where its versions begin */
	TimestampTz at;
	int64		number;
} ActorMergeInput;

/* rows of several tables that are read, on one snapshot */
typedef struct ActorMerge
{
	int			ninputs;
	int			current;		/* whose row was read last; -1: none yet */
	ActorMergeInput inputs[ACTOR_MERGE_MAX];
	ActorSource *sources;
} ActorMerge;

extern bool actor_merge_begin(ActorMerge *merge, ActorSource *sources, int count,
							  const NameData *role, TimestampTz from, TimestampTz until);
extern ActorMergeInput *actor_merge_next(ActorMerge *merge);
extern void actor_merge_note(ActorMergeInput *row, const Datum *key, int nkeys);
extern void actor_merge_end(ActorMerge *merge);

#endif							/* ACTOR_STORE_H */
