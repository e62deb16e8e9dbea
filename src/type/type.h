/*-------------------------------------------------------------------------
 *
 * type.h
 *		Actor types, their configuration, and their methods.
 *
 * IDENTIFICATION
 *		src/type/type.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_TYPE_H
#define ACTOR_TYPE_H

#include "base/base.h"
#include "nodes/nodes.h"
#include "stat/stat.h"
#include "utils/hsearch.h"

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

/* what was registered of a type; NULL options are resolved at use */
typedef struct ActorTypeRow
{
	NameData	schema_name;
	NameData	owner_name;
	bool		reentrancy_set;
	bool		reentrancy;
	int			max_stack_depth;	/* -1: the setting */
	int			call_timeout;	/* ms, -1: the setting */
	int			drain_timeout;	/* ms, -1: the setting */
	bool		drain_set;
	bool		drain;
	int			partitions;		/* -1: the setting */
	bool		early_set;
	bool		early;
	bool		hosted;			/* an application has other methods */
	bool		leases;			/* whose turns are open turns */
	int64		idle_timeout;	/* us, -1: the setting */
	int64		scan_interval;	/* us, -1: the setting */
	ActorHistory history;
	int64		history_retention;	/* us, -1: the setting */
} ActorTypeRow;

/*
 * A registered type as this backend knows it.  It is pinned by the memory
 * contexts it was looked up in; see registry.c.
 */
typedef struct ActorType
{
	char		name[NAMEDATALEN];
	ActorTypeRow row;
	Oid			schema_oid;		/* invalid: gone, or somebody else's */
	Oid			owner_oid;		/* invalid as well then */
	ActorTypePause pause;
	Oid			allowed_role;	/* last role known to have USAGE */
	Oid			writing_role;	/* last one known to have a writing method */
	HTAB	   *methods;		/* of method.c, in the type's context */
	struct ActorMethod *last_method;	/* that was looked up; NULL: none */
	ActorHook	hooks[2];		/* of method.c, too */

	/* of registry.c */
	MemoryContext context;		/* of all of this */
	bool		cached;			/* else it goes with the last pin */
	int			pins;
	MemoryContext pinned_by;	/* the last one; NULL: none, or it is gone */
	uint64		generation;		/* of the catalog when this was true */
	uint64		objects_generation; /* the same, of what methods depend on */
} ActorType;

extern void actor_type_schema(const text *name, NameData *schema_name);
extern ActorType *actor_type_find(const text *name);
extern ActorType *actor_type_get(const text *name);
extern ActorType *actor_type_lookup(const text *name);
extern bool actor_type_is_lost(const text *name);
extern void actor_type_check_usage(ActorType *type);
extern bool actor_type_reentrant(const ActorType *type);
extern int	actor_type_max_stack_depth(const ActorType *type);
extern int	actor_type_call_timeout(const ActorType *type);
extern int	actor_type_drain_timeout(const ActorType *type);
extern int	actor_type_partitions(const ActorType *type);
extern bool actor_type_early_release(const ActorType *type);
extern int64 actor_type_idle_timeout(const ActorType *type);
extern int64 actor_type_scan_interval(const ActorType *type);
extern bool actor_history_from_text(const text *value, ActorHistory *history);
extern int64 actor_type_history_retention(const ActorType *type);
extern int64 actor_interval_us(const Interval *interval);
extern int64 actor_interval_ms(const Interval *interval);
extern void actor_type_require(const text *name);
extern void actor_type_require_owner(const text *name);
extern void actor_type_require_register(const text *name, Oid schema);
extern bool actor_type_any_owned(void);
extern void actor_type_check_same(const text *name, Oid schema, uint64 generation);

/* method.c */

/* a parameter of a method */
typedef struct ActorParameter
{
	const char *name;			/* NULL: has none */
	Oid			type;
	Oid			collation;		/* of the type; invalid: has none */
	Node	   *default_expr;	/* NULL: has none */
} ActorParameter;

/* a function that is called with a payload */
typedef struct ActorFunction
{
	char		name[NAMEDATALEN];
	Oid			oid;
	FmgrInfo   *flinfo;			/* kept for all calls with the collation;
								 * NULL: made for each */
	Oid			collation;		/* of a call with all arguments */
	Oid			result_type;
	const char *table_column;	/* name of the only column of RETURNS TABLE */
	bool		strict;
	bool		returns_set;
	bool		takes_document; /* the whole payload is its only argument */
	bool		takes_array;	/* its only parameter is an array */
	bool		takes_row;		/* its only parameter is of a composite type */
	int			nparameters;
	ActorParameter *parameters;
} ActorFunction;

typedef struct ActorMethod ActorMethod;

extern ActorMethod *actor_method_lookup(ActorType *type, const text *name);
extern bool actor_method_is_one(Oid function);
extern bool actor_method_exists(const ActorType *type, const text *name);
extern bool actor_method_is_hosted(const ActorType *type, const text *name);
extern void actor_method_check_acl(ActorMethod *method);
extern bool actor_method_any_writing(ActorType *type);
extern bool actor_method_writes(const ActorMethod *method);
extern ActorMethod *actor_hook_lookup(ActorType *type, ActorHookKind kind);
extern const char *actor_hook_name(ActorHookKind kind);
extern const ActorFunction *actor_method_function(const ActorMethod *method);
extern Oid	actor_method_collation(const ActorFunction *function, const bool *given);
extern ActorStatRef *actor_method_stat(ActorMethod *method);

/* nearest.c */

/* a search for the name that was meant */
typedef struct ActorNearest
{
	const char *wanted;
	int			distance;		/* of what is found; one too many: nothing is */
	char		name[NAMEDATALEN];	/* what is found; empty: nothing is */
} ActorNearest;

extern void actor_nearest_init(ActorNearest *nearest, const char *wanted);
extern void actor_nearest_consider(ActorNearest *nearest, const char *name);

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
	bool	   *early_release;
	bool	   *hosted;
	text	   *turn;
	text	   *history;
	Interval   *history_retention;
} ActorTypeOptions;

extern void actor_type_register(text *type, const NameData *schema_name,
								const ActorTypeOptions *options);

/* lets upper rooms forget what they know of the activations of a type */
typedef void (*ActorForgetActivations) (const text *type);

extern ActorForgetActivations actor_type_forget_activations;

/* hosting.c */

extern void actor_type_keep_options(const text *type, ActorTypeOptions *options);
extern bool actor_type_begin_end_of_hosting(const text *type);
extern void actor_type_stop_hosting(const text *type);
extern bool actor_hosted_name_allowed(const text *name);
extern void actor_hosted_check_name(const text *name, const char *what);
extern void actor_hosted_check_method(const text *method);

/* type_lock.c */

extern bool actor_type_try_share(const text *type);
extern void actor_type_unshare(const text *type);
extern void actor_type_share_anew(const text *type, int timeout);
extern bool actor_type_share(const text *type, int timeout, uint64 generation);
extern void actor_type_lock(const text *type);
extern void actor_type_set_leaving(const text *type);
extern bool actor_type_is_leaving(const text *type);

#endif							/* ACTOR_TYPE_H */
