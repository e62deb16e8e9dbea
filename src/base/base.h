/*-------------------------------------------------------------------------
 *
 * base.h
 *		What is common to all: settings, names, frames, locks, documents.
 *
 * IDENTIFICATION
 *		src/base/base.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_BASE_H
#define ACTOR_BASE_H

#include "fmgr.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "portability/instr_time.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/snapshot.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* settings.c */

/* highest possible value of actor.max_workers */
#define ACTOR_MAX_WORKERS_LIMIT	1024

/* what a turn is, see row.c */
typedef enum ActorTurnLock
{
	ACTOR_TURN_LOCK_AUTO,
	ACTOR_TURN_LOCK_ADVISORY,
	ACTOR_TURN_LOCK_ROW
} ActorTurnLock;

extern bool actor_enabled;
extern int	actor_max_turns_per_transaction;
extern int	actor_max_open_turn;
extern bool actor_reentrancy_default;
extern int	actor_max_stack_depth_default;
extern int	actor_call_timeout_default;
extern int	actor_drain_timeout_default;
extern bool actor_drain_default;
extern int	actor_partitions_default;
extern bool actor_early_release_default;
extern bool actor_delegate_calls;
extern int	actor_turn_lock;
extern bool actor_lazy_activation;
extern int	actor_callback_timeout;
extern int	actor_batch_time;
extern int	actor_shutdown_timeout;
extern int	actor_request_retention;
extern int	actor_failure_retention;
extern int	actor_failure_limit;
extern int	actor_history_retention;
extern int	actor_publish_limit;
extern int	actor_idle_timeout_default;
extern int	actor_scan_interval_default;
extern int	actor_executor_linger;
extern int	actor_max_executors;
extern bool actor_locate_rows;
extern int	actor_max_workers;

extern void actor_settings_init(void);

/*
 * The channel that is notified of each event that is kept, by the hash of its topic;
 * an empty text stands for all topics.
 */
#define ACTOR_EVENT_CHANNEL	"actor_event"

/* names.c */

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
	uint64		hash;			/* see hash.c */
} ActorRef;

extern void actor_check_text(text *value, bool isnull, const char *what, int limit);
extern text *actor_text_argument(FunctionCallInfo fcinfo, int number,
								 const char *what, int limit);
extern void actor_ref_arguments(ActorRef *actor, FunctionCallInfo fcinfo);
extern void actor_ref_init(ActorRef *actor, text *type, text *id);
extern bool actor_ref_equal(const ActorRef *a, const ActorRef *b);
extern HTAB *actor_ref_table(const char *name, HASHCTL *ctl);
extern bool actor_text_equal(const text *a, const text *b);
extern bool actor_text_is(const text *value, const char *string);

/* hash.c */

/* the key of this database; see catalog.c, which loads it */
typedef struct ActorHashKey
{
	uint64		words[2];
	bool		ready;			/* else it is loaded, or found to be right */
} ActorHashKey;

extern ActorHashKey actor_hash_key;
extern void (*actor_hash_key_load) (void);

extern void actor_hash_key_set(const unsigned char *bytes);
extern uint64 actor_hash_actor(const text *type, const text *id);
extern uint64 actor_hash_type(const text *type);
extern uint64 actor_hash_slice(const text *type, uint64 number);

/* attempt.c */

extern ErrorData *actor_attempt(void (*body) (void *arg), void *arg);
extern ErrorData *actor_rehearse(void (*body) (void *arg), void *arg);
extern text *actor_error_text(const char *string);

/* format.c */

extern int	actor_conversion_begin(void);
extern void actor_conversion_end(int nestlevel);

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
extern void actor_jsonb_scalar(Jsonb *jsonb, JsonbValue *value);

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
	ACTOR_LOCK_LEAVING = 0x4ACB,	/* see type_lock.c */
	ACTOR_LOCK_ROW = 0x4ACC,	/* see row_lock.c */
	ACTOR_LOCK_REGISTRATION = 0x4ACD,	/* see register.c */
	ACTOR_LOCK_ROLE = 0x4ACE,	/* see role.c */
	ACTOR_LOCK_HOST = 0x4ACF,	/* see host.c */
	ACTOR_LOCK_TOPIC = 0x4AD0	/* see topic.c */
} ActorLockClass;

/* a (sub)transaction, for what lasts as long as its locks do */
typedef struct ActorSpan
{
	TransactionId xid;			/* invalid: none */
	SubTransactionId subid;
} ActorSpan;

extern void actor_span_begin(ActorSpan *span);
extern bool actor_span_lasts(const ActorSpan *span);

extern LockAcquireResult actor_lock(ActorLockClass class, uint64 key, LOCKMODE mode,
									bool wait);
extern bool actor_lock_try(ActorLockClass class, uint64 key);
extern void actor_unlock(ActorLockClass class, uint64 key, LOCKMODE mode);
extern int	actor_lock_limit(int timeout);
extern bool actor_lock_within(int timeout, int spent, void (*wait) (const void *arg),
							  const void *arg);
extern void actor_lock_allow_waiting(bool allowed);
extern bool actor_lock_waiting_allowed(void);

/* trace.c */

/* carried.c */

extern void actor_carried_init(void);
extern Jsonb *actor_carried(void);
extern int	actor_carried_begin(const Jsonb *settings);

/* trace.c */

extern void actor_trace_init(void);
extern text *actor_traceparent(void);
extern int	actor_trace_begin(const text *value);
extern void actor_trace_end(int nestlevel);

/* note.c */

/* what actor_explain wants to know of */
typedef enum ActorNoteKind
{
	ACTOR_NOTE_ENTRY,			/* of the history, by its number */
	ACTOR_NOTE_REMINDER,		/* by its name and its generation */
	ACTOR_NOTE_TIMER,
	ACTOR_NOTE_MESSAGE,			/* by its number */
	ACTOR_NOTE_WAIT				/* for the turn */
} ActorNoteKind;

typedef struct ActorNote
{
	ActorNoteKind kind;
	text	   *type;
	text	   *id;
	text	   *name;			/* NULL: none */
	int64		number;
	double		ms;
} ActorNote;

extern bool actor_noting;

extern void actor_notes_begin(void);
extern List *actor_notes(void);
extern void actor_note(ActorNoteKind kind, const ActorRef *actor, const text *name,
					   int64 number, double ms);

/* chain.c */

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

/* what is kept of what runs; see record.c */
typedef enum ActorHistory
{
	ACTOR_HISTORY_OFF,
	ACTOR_HISTORY_CALLS,
	ACTOR_HISTORY_CHANGES
} ActorHistory;

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
	bool		cached;			/* an application may have the state in its
								 * memory, which a change must tell */
	ActorHistory history;		/* the rest of it is filled in unless off */
	int64		history_id;		/* 0: it has none yet */
	int64		history_keep;	/* for how long, in microseconds */
	TimestampTz history_start;

	struct ActorFrame *caller;
	struct ActorFrame *chain;	/* with which the chain began, and has its id */
	bool		has_id;
	pg_uuid_t	id;
	int			depth;			/* 1: outermost */
	bool		hosted;			/* an application runs it; see hosted.c */
	Snapshot	snapshot;		/* of a read-only frame */
	bool		saved_read_only;
	SubTransactionId subid;
	instr_time	started;
	ErrorContextCallback errcallback;
} ActorFrame;

extern ActorFrame *actor_current_frame;

extern ActorFrame *actor_frame_current(void);
extern ActorFrame *actor_frame_required(void);
extern ActorFrame *actor_frame_of_application(const ActorRef *actor);
extern void actor_frame_check_writing(const char *function);
extern const pg_uuid_t *actor_chain_id(void);
extern char *actor_call_chain_text(const ActorRef *actor, const text *method);

#endif							/* ACTOR_BASE_H */
