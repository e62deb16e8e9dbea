/*-------------------------------------------------------------------------
 *
 * actor.h
 *		What more than one file of the library needs, by file.
 *
 * IDENTIFICATION
 *		src/base/base.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_H
#define ACTOR_H

#include "executor/spi.h"
#include "fmgr.h"
#include "storage/lock.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* most bytes of an actor type's name */
#define ACTOR_MAX_TYPE_LEN	(NAMEDATALEN - 1)
/* most bytes of an actor's id, a key or the name of a reminder */
#define ACTOR_MAX_NAME_LEN	512

/*
 * True identity of an actor.  The texts are detoasted and belong to whoever
 * made the reference; the hash only serves lock tags and hash tables.
 */
typedef struct ActorRef
{
	text	   *type;
	text	   *id;
	uint64		hash;			/* frozen formula, see actor_ref_init */
} ActorRef;

/* actor.c */

extern bool actor_enabled;
extern int	actor_max_turns_per_transaction;
extern int	actor_max_open_turn;
extern bool actor_reentrancy_default;
extern int	actor_max_stack_depth_default;
extern int	actor_call_timeout_default;
extern int	actor_drain_timeout_default;
extern bool actor_drain_default;
extern int	actor_partitions_default;
extern int	actor_callback_timeout;
extern int	actor_batch_time;
extern int	actor_shutdown_timeout;
extern int	actor_request_retention;
extern int	actor_failure_retention;
extern int	actor_idle_timeout_default;
extern int	actor_scan_interval_default;
extern int	actor_executor_linger;
extern int	actor_max_executors;
extern bool actor_locate_rows;
extern int	actor_max_workers;

extern void actor_check_text(text *value, bool isnull, const char *what, int limit);
extern text *actor_text_argument(FunctionCallInfo fcinfo, int number,
								 const char *what, int limit);
extern void actor_ref_arguments(ActorRef *actor, FunctionCallInfo fcinfo);
extern void actor_ref_init(ActorRef *actor, text *type, text *id);
extern bool actor_ref_equal(const ActorRef *a, const ActorRef *b);
extern bool actor_text_equal(const text *a, const text *b);
extern bool actor_text_is(const text *value, const char *string);

/* catalog.c */

#define ACTOR_QUERY_MAX_ARGS	24

/* one statement over the extension's tables, prepared when first used */
typedef struct ActorQuery
{
	const char *sql;
	int			nargs;
	Oid			argtypes[ACTOR_QUERY_MAX_ARGS];
	bool		generic;		/* planned once, not for each set of values */
	SPIPlanPtr	plan;
} ActorQuery;

/* the identity to return to after bookkeeping */
typedef struct ActorBookkeeping
{
	Oid			userid;
	int			sec_context;
} ActorBookkeeping;

extern void actor_catalog_init(void);
extern bool actor_catalog_installed(void);
extern void actor_catalog_require(void);
extern Oid	actor_catalog_relation(const char *name);
extern uint64 actor_catalog_generation(void);
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
extern void actor_query_write_one(ActorQuery *query, Datum *values, const char *nulls);
extern List *actor_query_list(ActorQuery *query, Datum *values,
							  void *(*read_row) (uint64 row));
extern Datum actor_query_result(uint64 row, int column, bool *isnull);

/* role.c */

extern bool actor_role_held(const NameData *role_name);

/* location.c */

extern Size actor_location_size(void);
extern void actor_location_attach(void);
extern bool actor_location_fetch(Relation relation, const Datum *key, int nkeys,
								 bool to_update, TupleTableSlot *slot);
extern void actor_location_note(Relation relation, const Datum *key, int nkeys,
								ItemPointer chain, const TupleTableSlot *slot);

/* direct.c */

#define ACTOR_DIRECT_MAX_KEYS	3

/* a table that is read or written without SQL */
typedef struct ActorTable
{
	const char *name;
	Oid			oid;			/* as of the generation of the catalog */
	uint64		generation;
} ActorTable;

typedef void (*ActorRowReader) (TupleTableSlot *slot, void *arg);

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
											 const ActorColumn *columns, int ncolumns);
extern bool actor_direct_insert(ActorTable *table, const Datum *values,
								const bool *isnull, int ncolumns);

/* registry.c */

/* functions of a type that the library calls by itself; see lifecycle.c */
typedef enum ActorHookKind
{
	HOOK_ACTIVATE,
	HOOK_DEACTIVATE
} ActorHookKind;

/* what of a type is paused; see pause.c */
typedef enum ActorTypePause
{
	PAUSE_NONE,
	PAUSE_SOME,					/* some of its actors */
	PAUSE_TYPE					/* all of it */
} ActorTypePause;

typedef struct ActorHook
{
	bool		known;			/* has been looked for */
	struct ActorMethod *method; /* NULL: the type has none */
} ActorHook;

/* a registered type as this backend knows it; NULL options are resolved at use */
typedef struct ActorType
{
	char		name[NAMEDATALEN];	/* hash key */
	NameData	schema_name;
	NameData	owner_name;
	Oid			schema_oid;		/* invalid: gone, or somebody else's */
	bool		reentrancy_set;
	bool		reentrancy;
	int			max_stack_depth;	/* -1: the setting */
	int			call_timeout;	/* ms, -1: the setting */
	int			drain_timeout;	/* ms, -1: the setting */
	bool		drain_set;
	bool		drain;
	int			partitions;		/* -1: the setting */
	int64		idle_timeout;	/* us, -1: the setting */
	int64		scan_interval;	/* us, -1: the setting */
	ActorTypePause pause;
	Oid			allowed_role;	/* last role known to have USAGE */
	Oid			writing_role;	/* last one known to have a writing method */
	HTAB	   *methods;		/* of method.c, in the registry's context */
	struct ActorMethod *last_method;	/* that was looked up; NULL: none */
	ActorHook	hooks[2];		/* of method.c, too */
} ActorType;

extern void actor_type_schema(const text *name, NameData *schema_name);
extern ActorType *actor_type_find(const text *name);
extern ActorType *actor_type_get(const text *name);
extern ActorType *actor_type_lookup(const text *name);
extern MemoryContext actor_type_context(void);
extern void actor_type_check_usage(ActorType *type);
extern bool actor_type_reentrant(const ActorType *type);
extern int	actor_type_max_stack_depth(const ActorType *type);
extern int	actor_type_call_timeout(const ActorType *type);
extern int	actor_type_drain_timeout(const ActorType *type);
extern int	actor_type_partitions(const ActorType *type);
extern int64 actor_type_idle_timeout(const ActorType *type);
extern int64 actor_type_scan_interval(const ActorType *type);
extern int64 actor_interval_us(const Interval *interval);
extern int64 actor_interval_ms(const Interval *interval);
extern bool actor_type_read_owner(const text *type, NameData *owner);
extern void actor_type_require(const text *name);
extern void actor_type_require_owner(const text *name);
extern bool actor_type_owned(const text *name);
extern void actor_type_check_same(const text *name, Oid schema, uint64 generation);

/* register.c */

/* configuration of a type as it is registered; NULL: the setting of that name */
typedef struct ActorTypeOptions
{
	Interval   *idle_timeout;
	Interval   *scan_interval;
	bool	   *reentrancy;
	int32	   *max_stack_depth;
	Interval   *call_timeout;
	Interval   *drain_ongoing_call_timeout;
	bool	   *drain_rebalanced_actors;
	int32	   *reminders_storage_partitions;
} ActorTypeOptions;

extern void actor_type_register(text *type, const NameData *schema_name,
								const ActorTypeOptions *options);

/* convert.c */

extern int	actor_conversion_begin(void);
extern void actor_conversion_end(int nestlevel);
extern Jsonb *actor_to_jsonb(Datum value, Oid type);
extern void actor_jsonb_scalar(Jsonb *jsonb, JsonbValue *value);
extern Datum actor_from_jsonb(JsonbValue *value, Oid type, bool *isnull);

/* document.c */

/* what a document is, and how to write it, for messages */
typedef struct ActorDocument
{
	const char *what;
	const char *hint;			/* NULL: none */
} ActorDocument;

_Noreturn extern void actor_document_refuse(const ActorDocument *document, const char *path,
											const char *problem);
extern char *actor_document_path(const char *path, const char *name);
extern JsonbContainer *actor_document_object(const ActorDocument *document,
											 JsonbValue *value, const char *path);
extern JsonbContainer *actor_document_array(const ActorDocument *document,
											JsonbValue *value, const char *path);
extern void actor_document_check_members(const ActorDocument *document,
										 JsonbContainer *object, const char *path,
										 const char *const *known);
extern JsonbValue *actor_document_member(JsonbContainer *object, const char *name);
extern char *actor_document_string(const ActorDocument *document, JsonbValue *value,
								   const char *path);
extern bool actor_document_boolean(const ActorDocument *document, JsonbValue *value,
								   const char *path);
extern int32 actor_document_integer(const ActorDocument *document, JsonbValue *value,
									const char *path, int32 min);

/* payload.c */

typedef struct ActorParameter
{
	const char *name;			/* NULL: has none */
	Oid			type;
	Node	   *default_expr;	/* NULL: has none */
} ActorParameter;

/* a function that is called with a payload */
typedef struct ActorFunction
{
	char		name[NAMEDATALEN];
	Oid			oid;
	FmgrInfo   *flinfo;			/* kept for all calls; NULL: made for each */
	Oid			result_type;
	const char *table_column;	/* name of the only column of RETURNS TABLE */
	bool		strict;
	bool		returns_set;
	bool		takes_document; /* the whole payload is its only argument */
	int			nparameters;
	ActorParameter *parameters;
} ActorFunction;

extern Jsonb *actor_payload_call(const ActorFunction *function, Jsonb *payload);

/* method.c */

typedef struct ActorMethod ActorMethod;

extern ActorMethod *actor_method_lookup(ActorType *type, const text *name);
extern void actor_method_check_acl(ActorMethod *method);
extern bool actor_method_any_writing(ActorType *type);
extern bool actor_method_writes(const ActorMethod *method);
extern ActorMethod *actor_hook_lookup(ActorType *type, ActorHookKind kind);
extern const char *actor_hook_name(ActorHookKind kind);
extern const ActorFunction *actor_method_function(const ActorMethod *method);
extern struct ActorStatRef *actor_method_stat(ActorMethod *method);

/* lock.c */

/*
 * Our classes of advisory locks.  1 and 2 are those of the SQL functions, 4 to
 * 16, 20 and 21 belong to other extensions.  That of turns never changes.
 */
typedef enum ActorLockClass
{
	ACTOR_LOCK_TURN = 0x4AC7,
	ACTOR_LOCK_PARTITION = 0x4AC8,	/* see round.c */
	ACTOR_LOCK_TYPE = 0x4AC9,
	ACTOR_LOCK_QUEUE = 0x4ACA,	/* see round.c */
	ACTOR_LOCK_LEAVING = 0x4ACB /* see type_lock.c */
} ActorLockClass;

extern LockAcquireResult actor_lock(ActorLockClass class, uint64 key, LOCKMODE mode,
									bool wait);
extern void actor_unlock(ActorLockClass class, uint64 key, LOCKMODE mode);
extern bool actor_lock_within(int timeout, void (*wait) (const void *arg), const void *arg);

/* type_lock.c */

extern bool actor_type_try_share(const text *type);
extern void actor_type_unshare(const text *type);
extern bool actor_type_share(const text *type, int timeout);
extern void actor_type_lock(const text *type);
extern void actor_type_set_leaving(const text *type);
extern bool actor_type_is_leaving(const text *type);

/* frame.c */

/* why a frame runs, shown by actor_cause(); a plain call has no cause */
typedef struct ActorCause
{
	const char *kind;			/* "reminder", "timer", "message", "activate",
								 * "deactivate" */
	text	   *name;			/* NULL: a hook, to which the rest does not
								 * apply */
	TimestampTz scheduled_at;
	TimestampTz fired_at;
	int32		attempt;
	int64		missed;
	int64		remaining;		/* -1: no limit */
} ActorCause;

/*
 * One running method.  Frames live on the C stack of the caller and are
 * chained from the innermost outwards.  The caller fills in the first part.
 */
typedef struct ActorFrame
{
	ActorRef	actor;
	const text *method;
	bool		writing;
	const ActorCause *cause;
	const pg_uuid_t *given_id;	/* reentrancy id it brings; NULL: none */
	Oid			schema;			/* of the type */
	uint64		generation;		/* of the catalog before the type was found */

	struct ActorFrame *caller;
	struct ActorFrame *chain;	/* with which the chain began, and has its id */
	bool		has_id;
	pg_uuid_t	id;
	int			depth;			/* 1: outermost */
	Snapshot	snapshot;		/* of a read-only frame */
	bool		saved_read_only;
	SubTransactionId subid;
	instr_time	started;
	ErrorContextCallback errcallback;
} ActorFrame;

extern void actor_frame_init(void);
extern void actor_frame_check_reentry(const ActorRef *actor, const ActorType *type,
									  const text *method);
extern void actor_frame_push(ActorFrame *frame);
extern void actor_frame_pop(ActorFrame *frame);
extern void actor_frame_abandon(ActorFrame *frame);
extern ActorFrame *actor_frame_current(void);
extern ActorFrame *actor_frame_required(void);
extern void actor_frame_check_writing(const char *function);
extern const pg_uuid_t *actor_chain_id(void);
extern char *actor_call_chain_text(const ActorRef *actor, const text *method);

/* turn.c */

/* what a transaction that has the turn knows of the actor's activation */
typedef struct ActorActivation
{
	bool		active;
	bool		used;			/* this transaction counts as a use */
	TimestampTz last_used_at;
	bool		opened;			/* by a chain; expired perhaps, see lease.c */
	pg_uuid_t	reentrancy_id;
	TimestampTz turn_expires_at;
} ActorActivation;

extern void actor_turn_init(void);
extern bool actor_turn_enter(const ActorRef *actor, const text *method, int timeout);
extern bool actor_turn_try_enter(const ActorRef *actor, const text *method);
extern void actor_turn_leave(const ActorRef *actor);
extern bool actor_turn_is_entered(const ActorRef *actor);
extern void actor_turn_set_entered(const ActorRef *actor);
extern void actor_turn_keep(const ActorRef *actor);
extern bool actor_turn_is_kept(const ActorRef *actor);
extern bool actor_turn_known(const ActorRef *actor, ActorActivation *known);
extern bool actor_turn_is_active(const ActorRef *actor);
extern void actor_turn_know(const ActorRef *actor, const ActorActivation *known);
extern void actor_turn_forget_known(const text *type);
extern void actor_turn_allow_waiting(bool allowed);
extern bool actor_turn_waiting_allowed(void);
extern void actor_turn_explain_error(void);
extern void actor_turn_check_isolation(const char *action);

/* lease.c */

extern void actor_lease_init(void);
extern bool actor_lease_enter(const ActorRef *actor, const text *method, int timeout,
							  const pg_uuid_t *id);
extern bool actor_lease_is_open(const ActorRef *actor);
extern bool actor_lease_pass(const ActorRef *actor);
extern void actor_lease_ended(const ActorRef *actor);

/* invoke.c */

extern Jsonb *actor_call(const ActorRef *actor, const text *method_name,
						 Jsonb *payload, const pg_uuid_t *reentrancy_id,
						 text *request_id, const ActorCause *cause);
extern Oid	actor_check_method(const text *type_name, const text *method_name);
extern Jsonb *actor_frame_run(ActorFrame *frame, ActorMethod *method, Jsonb *payload);

/* attempt.c */

extern ErrorData *actor_attempt(void (*body) (void *arg), void *arg);

/* failure.c */

/* something that was given up, for the record */
typedef struct ActorFailure
{
	const char *kind;			/* "reminder", "timer", "message",
								 * "deactivate" */
	const text *name;
	const text *method;
	const Jsonb *payload;		/* NULL: none */
	TimestampTz scheduled_at;
	int32		attempts;
} ActorFailure;

extern text *actor_error_text(const char *string);
extern void actor_failure_log(int elevel, const ActorRef *actor, const char *what,
							  const text *name, const ErrorData *error);
extern void actor_failure_write(const ActorRef *actor, const ActorFailure *failure,
								const NameData *role, const ErrorData *error);

/* lifecycle.c */

extern bool actor_activate(const ActorRef *actor, ActorType *type, uint64 generation);
extern void actor_activation_look(const ActorRef *actor, ActorActivation *seen);
extern bool actor_is_active(const ActorRef *actor);
extern void actor_hook_run(const ActorRef *actor, ActorHookKind kind);
extern bool actor_hook_exists(const ActorRef *actor, ActorHookKind kind);
extern void actor_deactivated(const ActorRef *actor, const NameData *role,
							  TimestampTz scheduled_at, const ErrorData *error);

/* reminder.c */

extern int64 actor_random_generation(void);

/* pause.c */

typedef enum ActorPaused
{
	ACTOR_NOT_PAUSED,
	ACTOR_PAUSED,
	ACTOR_PAUSE_CHANGING		/* somebody is about to resume it */
} ActorPaused;

extern void actor_pause_init(void);
extern void actor_pause_check(const ActorRef *actor, const text *method);
extern ActorPaused actor_pause_share(const ActorRef *actor);

/* request.c */

extern bool actor_request_find(const ActorRef *actor, text *request_id, const text *method,
							   Jsonb *payload, Jsonb **result);
extern bool actor_request_reserve(const ActorRef *actor, text *request_id,
								  const text *method, Jsonb *payload, int64 *message_id);
extern void actor_request_store(const ActorRef *actor, text *request_id, const text *method,
								Jsonb *payload, Jsonb *result);

/* stats.c */

/* an entry of the counters; with generation 0 it is to be looked for */
typedef struct ActorStatRef
{
	int			slot;
	uint64		generation;
} ActorStatRef;

extern void actor_stats_init(void);
extern void actor_stats_request(void);
extern void actor_stats_attach(void);
extern void actor_stat_called(const ActorFrame *frame, ActorStatRef *ref, double ms,
							  bool failed);
extern void actor_stat_waited(const ActorRef *actor, const text *method, double ms,
							  int sqlstate);
extern void actor_stat_refused(const ActorRef *actor, const text *method);

/* activity.c */

extern void actor_activity_init(void);
extern void actor_activity_held(const ActorRef *actor, const text *method);
extern void actor_activity_holds(int count);
extern void actor_activity_waits_not(void);
extern void actor_activity_end(void);
extern void actor_activity_push(ActorFrame *frame);
extern void actor_activity_pop(const ActorFrame *frame);
extern void actor_activity_ran(const ActorFrame *frame, ActorStatRef *ref, bool failed);
extern bool actor_activity_wait(const ActorRef *actor, const text *method,
								instr_time *since);
extern void actor_activity_waited(const ActorRef *actor, const text *method,
								  const instr_time *since, int sqlstate);

/* purge.c */

extern TimestampTz actor_purge_time(TimestampTz expires_at);
extern bool actor_purge(int number, TimestampTz *again);

/* trace.c */

extern void actor_trace_init(void);
extern text *actor_traceparent(void);
extern int	actor_trace_begin(const text *value);
extern void actor_trace_end(int nestlevel);

/* message.c */

extern void actor_message_again(const ActorRef *actor, const text *method,
								const Jsonb *payload, const NameData *role_name);

/* callback.c */

extern void actor_callback_drain(const text *type);

/* workers.c */

extern void actor_workers_init(void);
extern void actor_shared_request(void);
extern void actor_shared_attach(void);

/* hold.c */

extern void actor_hold_init(void);
extern void actor_hold_command(Node *stmt);

/* commands.c */

extern void actor_commands_init(void);

/* launcher.c */

extern void actor_launcher_register(void);

#endif							/* ACTOR_H */
