/*-------------------------------------------------------------------------
 *
 * settings.c
 *		Settings that more than one file uses.
 *
 * IDENTIFICATION
 *		src/base/settings.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/base.h"

bool		actor_enabled = true;
int			actor_max_turns_per_transaction = 1000;
int			actor_max_open_turn = 3600000;
bool		actor_reentrancy_default = false;
int			actor_max_stack_depth_default = 32;
int			actor_call_timeout_default = 60000;
int			actor_drain_timeout_default = 60000;
bool		actor_drain_default = true;
int			actor_partitions_default = 0;
bool		actor_early_release_default = false;
bool		actor_lazy_activation = false;
int			actor_callback_timeout = 300000;
int			actor_batch_time = 10;
int			actor_shutdown_timeout = 5000;
int			actor_request_retention = 86400;
int			actor_failure_retention = 2592000;
int			actor_failure_limit = 10000;
int			actor_history_retention = 604800;
int			actor_publish_limit = 1000;
int			actor_idle_timeout_default = 3600000;
int			actor_scan_interval_default = 30000;
int			actor_executor_linger = 10000;
int			actor_max_executors = 4;
int			actor_max_workers = 0;
bool		actor_locate_rows = true;
bool		actor_delegate_calls = true;
int			actor_turn_lock = ACTOR_TURN_LOCK_AUTO;

static const struct config_enum_entry turn_locks[] = {
	{"auto", ACTOR_TURN_LOCK_AUTO, false},
	{"advisory", ACTOR_TURN_LOCK_ADVISORY, false},
	{"row", ACTOR_TURN_LOCK_ROW, false},
	{NULL, 0, false}
};

/*
 * actor_settings_init
 *		Defines the settings.
 *
 * Those that only one file knows are defined there.
 */
void
actor_settings_init(void)
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
	DefineCustomBoolVariable("actor.early_release",
							 "Gives turns back before their commit is on disk.",
							 "Used for the types that do not say. Answers still wait for the disk.",
							 &actor_early_release_default, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("actor.lazy_activation",
							 "Makes actors active only if something needs it.",
							 "Hooks of their type, timers, open turns and hosts do.",
							 &actor_lazy_activation, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
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
	DefineCustomIntVariable("actor.failure_limit",
							"Sets how many failures of a type are kept.",
							"The oldest ones make room for others. 0 keeps all.",
							&actor_failure_limit, 10000, 0, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.history_retention",
							"Sets how long the history of actors is kept.",
							"Used for the types that do not say.",
							&actor_history_retention, 604800, 1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("actor.publish_limit",
							"Sets to how many subscribers a publisher sends an event itself.",
							"If there are more, the workers do it after the commit.",
							&actor_publish_limit, 1000, 0, 1000000,
							PGC_USERSET, 0, NULL, NULL, NULL);
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
	DefineCustomEnumVariable("actor.turn_lock",
							 "Chooses what the turn of an actor is.",
							 "A lock of the server, or that and the row of the actor.",
							 &actor_turn_lock, ACTOR_TURN_LOCK_AUTO, turn_locks,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("actor.delegate_calls",
							 "Runs calls on the server that has the actor.",
							 "Where actors are on several servers, and the call does not depend on its session.",
							 &actor_delegate_calls, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	if (process_shared_preload_libraries_in_progress)
		DefineCustomIntVariable("actor.max_workers",
								"Sets the maximum number of schedulers and executors of the server.",
								"Each uses one of \"max_worker_processes\".",
								&actor_max_workers,
								Max(max_worker_processes - 3, 2), 2,
								ACTOR_MAX_WORKERS_LIMIT,
								PGC_POSTMASTER, 0, NULL, NULL, NULL);
}
