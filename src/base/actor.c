/*-------------------------------------------------------------------------
 *
 * actor.c
 *		Start of the library: settings, shared memory, and the checks of
 *		arguments that all SQL functions share.
 *
 * IDENTIFICATION
 *		src/base/actor.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/detoast.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"
#include "base/compat.h"
#include "shared/shared.h"

PG_MODULE_MAGIC;

/* settings */
bool		actor_enabled = true;
int			actor_max_turns_per_transaction = 1000;
int			actor_max_open_turn = 3600000;
bool		actor_reentrancy_default = false;
int			actor_max_stack_depth_default = 32;
int			actor_call_timeout_default = 60000;
int			actor_drain_timeout_default = 60000;
bool		actor_drain_default = true;
int			actor_partitions_default = 0;
int			actor_callback_timeout = 300000;
int			actor_batch_time = 10;
int			actor_shutdown_timeout = 5000;
int			actor_request_retention = 86400;
int			actor_failure_retention = 2592000;
int			actor_idle_timeout_default = 3600000;
int			actor_scan_interval_default = 30000;
int			actor_executor_linger = 10000;
int			actor_max_executors = 4;
int			actor_max_workers = 0;
bool		actor_locate_rows = true;

#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type previous_shmem_request = NULL;
#endif
static shmem_startup_hook_type previous_shmem_startup = NULL;

void		_PG_init(void);

static void define_settings(void);
static void start_preloaded(void);

void
_PG_init(void)
{
	define_settings();
	actor_catalog_init();
	actor_turn_init();
	actor_frame_init();
	actor_lease_init();
	actor_pause_init();
	actor_stats_init();
	actor_activity_init();
	actor_trace_init();
	actor_workers_init();

	/* pg_upgrade's servers run no workers */
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		start_preloaded();

	MarkGUCPrefixReserved("actor");
}

static void
define_settings(void)
{
	DefineCustomBoolVariable("actor.enabled",
							 "Enables the firing of reminders.",
							 "Invocation works whatever this is set to.",
							 &actor_enabled, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.max_turns_per_transaction",
							"Sets the maximum number of actors one transaction may hold.",
							"Each takes an entry of the shared lock table.",
							&actor_max_turns_per_transaction, 1000, 1, INT_MAX,
							PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.max_open_turn",
							"Sets the maximum time a turn may be opened for.",
							NULL,
							&actor_max_open_turn, 3600000, 1, INT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("actor.reentrancy",
							 "Enables reentrancy for the types that do not say.",
							 NULL,
							 &actor_reentrancy_default, false,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.max_stack_depth",
							"Sets how often one actor may be on the stack of a call chain.",
							"Used for the types that do not say.",
							&actor_max_stack_depth_default, 32, 1, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.call_timeout",
							"Sets the maximum time a call waits for the turn of an actor.",
							"Used for the types that do not say. 0 waits for ever.",
							&actor_call_timeout_default, 60000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.drain_ongoing_call_timeout",
							"Sets how long a running callback may go on when its worker is stopped.",
							"Used for the types that do not say.",
							&actor_drain_timeout_default, 60000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomBoolVariable("actor.drain_rebalanced_actors",
							 "Enables running callbacks to go on when their worker is stopped.",
							 "Used for the types that do not say. Otherwise they are cancelled at once.",
							 &actor_drain_default, true,
							 PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.reminders_storage_partitions",
							"Sets the number of slices the due reminders of a type are drained in.",
							"Used for the types that do not say. 0 leaves it to the executors.",
							&actor_partitions_default, 0, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.callback_timeout",
							"Sets the maximum time the method of a reminder may run.",
							"0 lets it run for ever.",
							&actor_callback_timeout, 300000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.request_retention",
							"Sets how long the result of a call with a request id is kept.",
							NULL,
							&actor_request_retention, 86400, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.failure_retention",
							"Sets how long a failure is kept that nobody retries or discards.",
							NULL,
							&actor_failure_retention, 2592000, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.batch_time",
							"Sets how long several reminders may share one transaction.",
							"0 gives each a transaction of its own.",
							&actor_batch_time, 10, 0, 1000,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.shutdown_timeout",
							"Sets how long a running callback may hold up a shutdown of the server.",
							NULL,
							&actor_shutdown_timeout, 5000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.idle_timeout",
							"Sets the time without use after which an actor is deactivated.",
							"Used for the types that do not say.",
							&actor_idle_timeout_default, 3600000, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.scan_interval",
							"Sets the time between two looks for idle actors and for what is kept no longer.",
							"For idle actors, used for the types that do not say.",
							&actor_scan_interval_default, 30000, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.executor_linger",
							"Sets how long an executor without work stays.",
							NULL,
							&actor_executor_linger, 10000, 0, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.max_executors",
							"Sets the maximum number of executors of one database.",
							NULL,
							&actor_max_executors, 4, 1, 1024,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("actor.locate_rows",
							 "Looks for rows where they were last seen before asking an index.",
							 "For support: switched off, every row is found by its index.",
							 &actor_locate_rows, true,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("actor.max_workers",
								"Sets the maximum number of schedulers and executors of the server.",
								"Each uses one of \"max_worker_processes\".",
								&actor_max_workers,
								Max(max_worker_processes - 3, 2), 2,
								ACTOR_MAX_WORKERS_LIMIT,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
}

/* hooks ----------------------------------------------------------------- */

#if PG_VERSION_NUM >= 150000
static void
shmem_request(void)
{
	if (previous_shmem_request)
		previous_shmem_request();
	actor_shared_request();
	actor_stats_request();
}
#endif

static void
shmem_startup(void)
{
	if (previous_shmem_startup)
		previous_shmem_startup();
	actor_shared_attach();
	actor_stats_attach();
}

/*
 * What only works in shared_preload_libraries: shared memory and workers.
 */
static void
start_preloaded(void)
{
#if PG_VERSION_NUM >= 150000
	previous_shmem_request = shmem_request_hook;
	shmem_request_hook = shmem_request;
#else
	actor_shared_request();
	actor_stats_request();
#endif
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
	actor_hold_init();
	actor_commands_init();
	actor_launcher_register();
}

/* arguments ------------------------------------------------------------- */

/*
 * actor_check_text
 *		Refuses NULL (22004) and what is empty or too long (22023); "what"
 *		names the argument in the message.
 */
void
actor_check_text(text *value, bool isnull, const char *what, int limit)
{
	int			len;

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", what)));
	len = VARSIZE_ANY_EXHDR(value);
	if (len < 1 || len > limit)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must have 1 to %d bytes", what, limit),
				 errdetail("It has %d bytes.", len)));
}

/*
 * actor_text_argument
 *		An argument of type text, checked and detoasted.
 */
text *
actor_text_argument(FunctionCallInfo fcinfo, int number, const char *what, int limit)
{
	text	   *value = NULL;

	/* no toast is fetched only to say that it is too long */
	if (!PG_ARGISNULL(number))
	{
		Datum		datum = PG_GETARG_DATUM(number);
		Size		len = toast_raw_datum_size(datum) - VARHDRSZ;

		if (len > (Size) limit)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must have 1 to %d bytes", what, limit),
					 errdetail("It has %zu bytes.", len)));
		value = PG_GETARG_TEXT_PP(number);
	}
	actor_check_text(value, value == NULL, what, limit);
	return value;
}

/*
 * actor_ref_arguments
 *		The actor that the first two arguments name.
 */
void
actor_ref_arguments(ActorRef *actor, FunctionCallInfo fcinfo)
{
	text	   *type = actor_text_argument(fcinfo, 0, "actor type", ACTOR_MAX_TYPE_LEN);
	text	   *id = actor_text_argument(fcinfo, 1, "actor id", ACTOR_MAX_NAME_LEN);

	actor_ref_init(actor, type, id);
}

/* FNV-1a over some bytes */
static uint64
hash_bytes_into(uint64 hash, const unsigned char *bytes, int len)
{
	for (int i = 0; i < len; i++)
	{
		hash ^= bytes[i];
		hash *= UINT64CONST(0x100000001b3);
	}
	return hash;
}

/*
 * actor_ref_init
 *		Makes a reference; the texts are not copied.
 *
 * The hash is FNV-1a over type, a zero byte and id, followed by the final mix
 * of MurmurHash3.  It names the turn's lock, and libraries of two versions may
 * serve one server during an upgrade: the formula must never change.
 */
void
actor_ref_init(ActorRef *actor, text *type, text *id)
{
	static const unsigned char zero[1] = {0};
	uint64		hash = UINT64CONST(0xcbf29ce484222325);

	hash = hash_bytes_into(hash, (unsigned char *) VARDATA_ANY(type),
						   VARSIZE_ANY_EXHDR(type));
	hash = hash_bytes_into(hash, zero, 1);
	hash = hash_bytes_into(hash, (unsigned char *) VARDATA_ANY(id),
						   VARSIZE_ANY_EXHDR(id));
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;

	actor->type = type;
	actor->id = id;
	actor->hash = hash;
}

bool
actor_text_equal(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

bool
actor_text_is(const text *value, const char *string)
{
	size_t		len = VARSIZE_ANY_EXHDR(value);

	return strlen(string) == len && memcmp(VARDATA_ANY(value), string, len) == 0;
}

/*
 * actor_ref_equal
 *		Whether two references name the same actor, hash collisions or not.
 */
bool
actor_ref_equal(const ActorRef *a, const ActorRef *b)
{
	return a->hash == b->hash &&
		actor_text_equal(a->id, b->id) && actor_text_equal(a->type, b->type);
}
