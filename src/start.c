/*-------------------------------------------------------------------------
 *
 * start.c
 *		Start of the library.
 *
 * This stands above all rooms, as the only file that knows them all by name:
 * it lets each of them define its settings and register its callbacks, in their
 * order, and starts what only works in shared_preload_libraries.
 *
 * IDENTIFICATION
 *		src/start.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/store.h"
#include "shared/shared.h"
#include "stat/stat.h"
#include "turn/turn.h"
#include "call/call.h"
#include "life/life.h"
#include "host/host.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

#if PG_VERSION_NUM >= 150000
static shmem_request_hook_type previous_shmem_request = NULL;
#endif
static shmem_startup_hook_type previous_shmem_startup = NULL;

void		_PG_init(void);

/* shared memory --------------------------------------------------------- */

static void
request_memory(void)
{
	actor_location_request();
	actor_shared_request();
	actor_stats_request();
	actor_gate_request();
	actor_flush_request();
}

#if PG_VERSION_NUM >= 150000
static void
shmem_request(void)
{
	if (previous_shmem_request)
		previous_shmem_request();
	request_memory();
}
#endif

static void
shmem_startup(void)
{
	if (previous_shmem_startup)
		previous_shmem_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	actor_location_attach();
	actor_shared_attach();
	actor_stats_attach();
	actor_gate_attach();
	actor_flush_attach();
	LWLockRelease(AddinShmemInitLock);
}

/* start ----------------------------------------------------------------- */

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
	request_memory();
#endif
	previous_shmem_startup = shmem_startup_hook;
	shmem_startup_hook = shmem_startup;
	actor_hold_init();
	actor_commands_init();
	actor_launcher_register();
}

void
_PG_init(void)
{
	actor_settings_init();
	actor_trace_init();
	actor_carried_init();
	/* the first to register for the release of resources is called last */
	actor_session_init();
	actor_early_init();
	actor_catalog_init();
	actor_wake_init();
	actor_stats_init();
	actor_activity_init();
	actor_turn_init();
	actor_lease_init();
	actor_pause_init();
	actor_frame_init();
	actor_delegate_init();
	actor_untold_init();
	actor_lifecycle_init();
	actor_placement_init();

	/* pg_upgrade's servers run no workers */
	if (process_shared_preload_libraries_in_progress && !IsBinaryUpgrade)
		start_preloaded();

	MarkGUCPrefixReserved("actor");
}

