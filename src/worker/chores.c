/*-------------------------------------------------------------------------
 *
 * chores.c
 *		What a scheduler does with the extension's tables, in transactions of
 *		its own.
 *
 * It finds the roles that have something to do, writes down what has become of
 * callbacks that have ended together with their process, deactivates idle
 * actors that no executor can see to, sends what goes to each actor of a type,
 * forwards messages to other servers, and removes what is kept no longer.
 * No user code runs here.
 *
 * IDENTIFICATION
 *		src/worker/chores.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "message/message.h"
#include "event/event.h"
#include "fire/fire.h"
#include "host/host.h"
#include "worker/internal.h"

/* most actors that are deactivated in one transaction */
#define DEACTIVATE_MAX		100

/* how long other servers are waited for, in milliseconds */
#define ELSEWHERE_MS		5000

/* whether the last look has found that actors are on several servers */
static bool on_several_servers = false;

/* a callback that has ended together with its process */
typedef struct Death
{
	const ActorDue *due;
	ErrorData  *error;
	NameData	role;
} Death;

static void
begin_transaction(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	pgstat_report_activity(STATE_RUNNING, activity);
	actor_block_begin();
	PushActiveSnapshot(GetTransactionSnapshot());
}

static void
end_transaction(MemoryContext context)
{
	PopActiveSnapshot();
	actor_block_end();
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(context);
}

/*
 * Whether there may be what only one server has; see distributed.c.
 */
static bool
is_installed_here(void)
{
	return actor_catalog_installed() && !actor_on_several_servers();
}

/*
 * actor_chore_look
 *		Reads the roles that have something to do into the current memory
 *		context, as a list of ActorRoleDue; see actor_pending_roles.  Sets when to look
 *		again even though nothing is reported.
 */
List *
actor_chore_look(TimestampTz reported, TimestampTz *again)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *result = NIL;

	begin_transaction("looking for due reminders");
	on_several_servers = actor_catalog_installed() && actor_on_several_servers();
	if (actor_catalog_installed())
	{
		actor_roles_settle();
		result = actor_pending_roles(reported, context);
	}
	else
		actor_pending_none();
	*again = OidIsValid(actor_catalog_relation("type")) ? actor_next_from_elsewhere() : DT_NOEND;
	end_transaction(context);
	return result;
}

/*
 * actor_chore_forget_starts
 *		Removes what earlier starts of the server have left, before anything
 *		fires.
 */
void
actor_chore_forget_starts(void)
{
	static bool forgotten = false;
	MemoryContext context = CurrentMemoryContext;

	if (forgotten)
		return;
	begin_transaction("forgetting earlier starts of the server");
	if (is_installed_here())
		actor_idle_forget_starts();
	end_transaction(context);
	forgotten = true;
}

/*
 * actor_chore_purge
 *		Removes what is kept no longer; returns when to do that again.
 *
 * Each table is a transaction of its own, so that no locks of tables add up.
 */
TimestampTz
actor_chore_purge(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = DT_NOEND;
	bool		more = true;

	for (int number = 0; more; number++)
	{
		TimestampTz again = DT_NOEND;

		begin_transaction("removing what is kept no longer");
		more = actor_catalog_installed() && actor_purge(number, &again);
		end_transaction(context);
		result = Min(result, again);
	}
	return result;
}

/*
 * actor_chore_expire
 *		Settles promises that have expired; returns when to do that again.
 */
TimestampTz
actor_chore_expire(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = DT_NOEND;

	begin_transaction("settling promises that have expired");
	if (is_installed_here())
		result = actor_promises_expire();
	end_transaction(context);
	return result;
}

/*
 * actor_chore_each
 *		Sends on to each actor of a type; returns when to do that again.
 */
TimestampTz
actor_chore_each(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = DT_NOEND;

	begin_transaction("sending to each actor of a type");
	if (is_installed_here())
		result = actor_each_go_on();
	end_transaction(context);
	return result;
}

/*
 * actor_chore_fan_out
 *		Hands out events to a limited number of subscribers; returns when to do that
 *		again.
 */
TimestampTz
actor_chore_fan_out(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = DT_NOEND;

	begin_transaction("handing out events");
	if (is_installed_here())
		result = actor_fan_outs_run();
	end_transaction(context);
	return result;
}

/*
 * Does something in a transaction of its own, for a limited time; returns NULL, or the
 * error that has ended it, in the memory context of the caller.
 */
static ErrorData *
try_in_transaction(const char *activity, void (*body) (void *arg), void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		begin_transaction(activity);
		enable_timeout_after(STATEMENT_TIMEOUT, ELSEWHERE_MS);
		body(arg);
		end_transaction(context);
		disable_timeout(STATEMENT_TIMEOUT, false);
		/* the end of both may have met */
		CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		disable_timeout(STATEMENT_TIMEOUT, false);
		QueryCancelPending = false;
		error = actor_block_abort(context);
		pgstat_report_activity(STATE_IDLE, NULL);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	return error;
}

/*
 * Takes messages to their receivers.  No other server keeps the scheduler from its work
 * for long.
 */
static void
forward(List *forwardings)
{
	ListCell   *cell;

	foreach(cell, forwardings)
	{
		ActorForwarding *forwarding = lfirst(cell);
		ErrorData  *error;

		error = try_in_transaction("forwarding messages", actor_forwarding_pass, forwarding);
		if (error == NULL)
			error = try_in_transaction("removing what was forwarded", actor_forwarding_remove,
									   forwarding);
		if (error == NULL)
			actor_forwarding_done(forwarding);
		else
			actor_forwarding_failed(forwarding, error);
	}
}

/*
 * Forgets what was forwarded long ago; whether that was possible.
 */
static bool
forget_forwarded(List *old)
{
	ErrorData  *error = try_in_transaction("forgetting what was forwarded long ago",
										   actor_forwarded_forget, old);

	if (error != NULL)
		actor_log_vain("could not forget what was forwarded", error);
	return error == NULL;
}

/*
 * actor_chore_outboxes
 *		Takes messages from the outboxes of this server to their receivers, and forgets
 *		what was forwarded long ago; returns when to do that again.  On one server
 *		there are none, unless rows can have come from anywhere.
 */
TimestampTz
actor_chore_outboxes(bool from_anywhere)
{
	static bool more = false;
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = DT_NOEND;
	TimestampTz forget_at = DT_NOEND;
	List	   *forwardings = NIL;
	List	   *old = NIL;

	if (!on_several_servers && !from_anywhere && !more)
		return DT_NOEND;
	begin_transaction("looking into outboxes");
	MemoryContextSwitchTo(context);
	if (actor_catalog_installed())
	{
		forwardings = actor_forwardings(&result);
		old = actor_forwarded_old(&forget_at);
		/* nothing is added on one server */
		if (!actor_on_several_servers())
			forget_at = DT_NOEND;
	}
	end_transaction(context);
	more = forwardings != NIL || old != NIL || result != DT_NOEND;

	/* for how long what has failed has to wait is found out at the next look */
	if (forwardings != NIL)
	{
		forward(forwardings);
		result = GetCurrentTimestamp();
	}
	if (old != NIL && forget_forwarded(old))
		result = GetCurrentTimestamp();
	return Min(result, forget_at);
}

/*
 * actor_chore_hosts
 *		Forgets what hosts have left that have been gone for long; returns when to do
 *		that again.
 */
TimestampTz
actor_chore_hosts(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz result = DT_NOEND;

	begin_transaction("forgetting hosts that are gone");
	if (is_installed_here())
		result = actor_hosts_forget_gone();
	end_transaction(context);
	return result;
}

/*
 * actor_chore_deactivate
 *		Deactivates the idle actors of a role that no worker can connect as,
 *		without their hooks.  Returns when to do that again.
 */
TimestampTz
actor_chore_deactivate(const ActorRoleDue *due)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData	error;
	List	   *idle;
	ListCell   *cell;

	if (due->idle_next > GetCurrentTimestamp())
		return due->idle_next;
	memset(&error, 0, sizeof(error));
	error.sqlerrcode = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	error.message = psprintf("role \"%s\" cannot run hooks", NameStr(due->name));

	begin_transaction("deactivating idle actors");
	error.detail = unconstify(char *, actor_role_waits(&due->name));
	idle = actor_idle_scan(&due->name, DEACTIVATE_MAX);
	foreach(cell, idle)
		(void) actor_idle_deactivate(lfirst(cell), &due->name, &error);
	end_transaction(context);
	return idle != NIL ? GetCurrentTimestamp() : DT_NOEND;
}

/* deaths ---------------------------------------------------------------- */

static void
write_death(void *arg)
{
	Death	   *death = arg;

	(void) actor_fire_failed(death->due, &death->role, death->error, GetCurrentTimestamp());
}

/*
 * Writes down that a callback has ended together with its process.  If it has
 * done that itself it has failed, and runs alone from then on.
 */
static void
record_death(ActorDue *due, Oid role, bool itself)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData	error;
	char	   *role_name;

	if (itself)
		actor_suspect_add(MyDatabaseId, due->generation);
	memset(&error, 0, sizeof(error));
	error.sqlerrcode = itself ? ERRCODE_ADMIN_SHUTDOWN : ERRCODE_QUERY_CANCELED;
	error.message = itself ? "method has ended its own process" :
		"method was ended with its process";

	begin_transaction("recording a failed reminder");
	role_name = GetUserNameFromId(role, true);
	if (role_name != NULL && actor_catalog_installed())
	{
		Death		death = {due, &error};
		ErrorData  *failure;

		actor_ref_init(&due->actor, due->actor.type, due->actor.id);
		namestrcpy(&death.role, role_name);
		failure = actor_attempt(write_death, &death);
		if (failure != NULL)
			actor_failure_log(LOG, &due->actor, actor_due_word(due->kind), due->name,
							  due->name, failure, NULL);
	}
	end_transaction(context);
}

/*
 * actor_chore_record_deaths
 *		Writes down which callbacks have ended together with their process.
 */
void
actor_chore_record_deaths(void)
{
	ActorDue	due;
	Oid			role;
	bool		itself;

	while (actor_callback_take_death(&due, &role, &itself))
		record_death(&due, role, itself);
}
