/*-------------------------------------------------------------------------
 *
 * waiting.c
 *		Checks of the doctor: rows that wait, calls that wait, and calls that
 *		were given up.
 *
 * However many rows there are, only some are looked at: those an index leads
 * to, up to a limit, or a sample.  So a number is a lower bound.  Only for a
 * paused type all of its rows may be looked at.
 *
 * IDENTIFICATION
 *		src/view/waiting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "view/internal.h"
#include "worker/worker.h"

/* a row that is due, or a call that waits, for so long is late, in seconds */
#define LATE_S				10
/* how far a clock may go back, in seconds */
#define CLOCK_S				60

#define OF_ACTOR(row) \
	"pg_catalog.format('actor \"%s\" of type \"%s\"', " row ".actor_id, " row ".actor_type)"

/* up to so many rows of a pause, and so many pauses */
#define DUE_MAX				"1000"
#define PAUSES_MAX			"1000"

/* due rows of a paused actor, or of all actors of a paused type */
#define PAUSED_IN(table, due_at) \
	"(SELECT FROM " table " r" \
	"  WHERE r.actor_type OPERATOR(pg_catalog.=) p.actor_type" \
	"    AND r.actor_id OPERATOR(pg_catalog.=) p.actor_id" \
	"    AND r." due_at " OPERATOR(pg_catalog.<=) $1 LIMIT " DUE_MAX ")" \
	" UNION ALL" \
	"(SELECT FROM " table " r" \
	"  WHERE p.actor_id OPERATOR(pg_catalog.=) ''" \
	"    AND r.actor_type OPERATOR(pg_catalog.=) p.actor_type" \
	"    AND r." due_at " OPERATOR(pg_catalog.<=) $1 LIMIT " DUE_MAX ")"

static ActorQuery read_paused = {
	"SELECT pg_catalog.format('%s of %s', w.rows,"
	"   CASE WHEN p.actor_id OPERATOR(pg_catalog.=) ''"
	"        THEN pg_catalog.format('type \"%s\"', p.actor_type) ELSE " OF_ACTOR("p") " END)"
	"  FROM (SELECT actor_type, actor_id FROM actor.pause"
	"         ORDER BY actor_type, actor_id LIMIT " PAUSES_MAX ") p"
	" CROSS JOIN LATERAL (SELECT pg_catalog.count(*) AS rows FROM ("
	PAUSED_IN("actor.reminder", "scheduled_at") " UNION ALL "
	PAUSED_IN("actor.timer", "scheduled_at") " UNION ALL "
	PAUSED_IN("actor.message", "due_at") ") r) w"
	" WHERE w.rows OPERATOR(pg_catalog.>) 0"
	" ORDER BY p.actor_type, p.actor_id",
	1, {TIMESTAMPTZOID}, false, true
};

/* the row of a role that is tried at that time */
#define ROW_IN(table, text) \
	"(SELECT " text " FROM " table " r" \
	"  WHERE NOT r.hosted AND r.role_name OPERATOR(pg_catalog.=) $1" \
	"    AND r.next_try_at OPERATOR(pg_catalog.=) $2 LIMIT 1)"

static ActorQuery read_row = {
	ROW_IN("actor.reminder", "pg_catalog.format('reminder \"%s\" of %s', r.name, " OF_ACTOR("r") ")")
	" UNION ALL "
	ROW_IN("actor.timer", "pg_catalog.format('timer \"%s\" of %s', r.name, " OF_ACTOR("r") ")")
	" UNION ALL "
	ROW_IN("actor.message", "pg_catalog.format('message %s of %s', r.message_id, " OF_ACTOR("r") ")")
	" LIMIT 1",
	2, {NAMEOID, TIMESTAMPTZOID}, false, true
};

/* messages to each actor of a type that are not sent on for so long, in seconds */
#define STILL_S				600
/* what is kept so much longer than it need be was forgotten, in seconds */
#define EXPIRED_S			3600

static ActorQuery read_still = {
	"SELECT pg_catalog.format('those to type \"%s\" of role \"%s\", %s until now, for %s s',"
	"   e.actor_type, e.role_name, e.sent,"
	"   pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()"
	"     OPERATOR(pg_catalog.-) COALESCE(e.moved_at, e.started_at))::pg_catalog.int8)"
	"  FROM actor.each e WHERE e.finished_at IS NULL"
	"   AND COALESCE(e.moved_at, e.started_at) OPERATOR(pg_catalog.<=) $1"
	" ORDER BY e.actor_type, e.started_at",
	1, {TIMESTAMPTZOID}
};

static ActorQuery read_expired = {
	"SELECT pg_catalog.format('topic \"%s\" of type \"%s\"', e.topic, e.actor_type)"
	"  FROM actor.event e WHERE e.expires_at OPERATOR(pg_catalog.<=) $1"
	" ORDER BY e.expires_at LIMIT 1",
	1, {TIMESTAMPTZOID}
};

/* the event that was published first, of some of them */
static ActorQuery read_fan_out = {
	"SELECT pg_catalog.format('topic \"%s\" of type \"%s\"', f.topic, f.actor_type), f.published_at"
	"  FROM (SELECT topic, actor_type, published_at FROM actor.fan_out LIMIT 1000) f"
	" WHERE f.published_at OPERATOR(pg_catalog.<=) $1"
	" ORDER BY f.published_at LIMIT 1",
	1, {TIMESTAMPTZOID}
};

/* the message that was sent first, of those that wait for another server */
static ActorQuery read_outbox = {
	"SELECT pg_catalog.format('message %s of %s, to %s', o.message_id, " OF_ACTOR("o") ","
	"   pg_catalog.format('actor \"%s\" of type \"%s\"', o.receiver_id, o.receiver_type))"
	"  FROM (SELECT actor_type, actor_id, message_id, receiver_type, receiver_id, sent_at"
	"          FROM actor.outbox ORDER BY message_id LIMIT 1) o"
	" WHERE o.sent_at OPERATOR(pg_catalog.<=) $1",
	1, {TIMESTAMPTZOID}, false, true
};

static ActorQuery read_failures = {
	"SELECT pg_catalog.format('%s of method \"%s\" of type \"%s\" (SQLSTATE %s)',"
	"                         g.calls, g.method, g.actor_type, g.sqlstate)"
	"  FROM (SELECT f.actor_type, f.method, f.sqlstate, pg_catalog.count(*) AS calls"
	"          FROM (SELECT actor_type, method, sqlstate FROM actor.failure"
	"                 WHERE failed_at OPERATOR(pg_catalog.>) $1"
	"                 ORDER BY failed_at DESC LIMIT 10000) f"
	"         GROUP BY f.actor_type, f.method, f.sqlstate) g"
	" ORDER BY g.calls DESC, g.actor_type, g.method, g.sqlstate",
	1, {TIMESTAMPTZOID}, false, true
};

/* of a table that is larger than 2 MB so much is looked at */
#define FUTURE_IN(table, at) \
	"(SELECT pg_catalog.count(*) FROM " table \
	"  TABLESAMPLE pg_catalog.system (LEAST(100, 209715200.0 OPERATOR(pg_catalog./)" \
	"    GREATEST(1, pg_catalog.pg_relation_size('" table "'::pg_catalog.regclass))))" \
	"  WHERE " at " OPERATOR(pg_catalog.>) $1)"

static ActorQuery count_future = {
	"SELECT " FUTURE_IN("actor.reminder", "registered_at")
	" OPERATOR(pg_catalog.+) " FUTURE_IN("actor.timer", "registered_at")
	" OPERATOR(pg_catalog.+) " FUTURE_IN("actor.message", "sent_at"),
	1, {TIMESTAMPTZOID}
};

/* calls that wait for long, and who has their turn */
static ActorQuery read_turns = {
	"WITH t AS MATERIALIZED (SELECT pid, actor_type, actor_id, state, lock_key,"
	"   pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) since)"
	"     ::pg_catalog.int8 AS seconds FROM actor.get_turns())"
	" SELECT pg_catalog.format('%s for %s, the first of them for %s s; %s.', w.calls,"
	"   " OF_ACTOR("w") ", w.seconds,"
	"   COALESCE((SELECT CASE WHEN h.pid IS NULL THEN 'its turn is open to a chain of calls'"
	"                         ELSE pg_catalog.format('process %s has had it for %s s', h.pid, h.seconds) END"
	"               FROM t h"
	"              WHERE h.state OPERATOR(pg_catalog.=) 'holds'"
	"                AND h.actor_type OPERATOR(pg_catalog.=) w.actor_type"
	"                AND h.actor_id OPERATOR(pg_catalog.=) w.actor_id LIMIT 1),"
	"            'who has it is not known'))"
	"  FROM (SELECT actor_type, actor_id, pg_catalog.count(*) AS calls,"
	"               pg_catalog.max(seconds) AS seconds"
	"          FROM t WHERE state OPERATOR(pg_catalog.=) 'waits'"
	"         GROUP BY actor_type, actor_id) w"
	" WHERE w.seconds OPERATOR(pg_catalog.>=) " CppAsString2(LATE_S)
	" ORDER BY w.seconds DESC, w.actor_type, w.actor_id"
	" LIMIT " CppAsString2(ACTOR_LISTED_MAX),
	0, {0}
};

/* up to so many queues */
#define QUEUES_MAX			"1000"

#define FIRST_OF(condition) \
	"(SELECT m.actor_type, m.actor_id, m.next_try_at FROM actor.message m" \
	"  WHERE m.queued" condition \
	"  ORDER BY m.actor_type, m.actor_id, m.message_id LIMIT 1)"

/*
 * The first messages of queues, by skipping from queue to queue in the index.
 * Hidden is what waits behind another one, or for actor_resume().
 */
static ActorQuery read_hidden = {
	"WITH RECURSIVE q AS (" FIRST_OF("")
	"  UNION ALL"
	"  SELECT n.* FROM q CROSS JOIN LATERAL"
	FIRST_OF(" AND ROW(m.actor_type, m.actor_id) OPERATOR(pg_catalog.>)"
			 "     ROW(q.actor_type, q.actor_id)") " n)"
	" SELECT pg_catalog.format('%s of type \"%s\"', pg_catalog.count(*), f.actor_type)"
	"  FROM (SELECT * FROM q LIMIT " QUEUES_MAX ") f"
	" WHERE f.next_try_at OPERATOR(pg_catalog.=) 'infinity'"
	"   AND NOT EXISTS (SELECT FROM actor.pause p"
	"     WHERE p.actor_type OPERATOR(pg_catalog.=) f.actor_type"
	"       AND p.actor_id OPERATOR(pg_catalog.=) ANY (ARRAY[f.actor_id, '']))"
	" GROUP BY f.actor_type ORDER BY f.actor_type",
	0, {0}, false, true
};

/*
 * actor_check_queues
 *		Queues whose first message is hidden, so that nobody would look at them.
 */
char *
actor_check_queues(void)
{
	char	   *hidden = actor_list_texts(&read_hidden, NULL, ", ");

	return hidden == NULL ? NULL :
		psprintf("Queues whose first message is hidden: %s.", hidden);
}

/*
 * actor_check_paused
 *		Due rows of what is paused.
 */
char *
actor_check_paused(void)
{
	Datum		now = TimestampTzGetDatum(GetCurrentTimestamp());
	char	   *paused;

	/* a standby cannot read timers, and fires nothing */
	if (RecoveryInProgress())
		return NULL;
	paused = actor_list_texts(&read_paused, &now, ", ");
	return paused == NULL ? NULL : psprintf("Due rows that wait: %s.", paused);
}

/*
 * actor_check_late
 *		The row that has been due for longest.
 */
char *
actor_check_late(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ActorRoleDue *oldest = NULL;
	ListCell   *cell;
	Datum		values[2];
	char	   *row;

	foreach(cell, actor_pending_rows())
	{
		ActorRoleDue *role = lfirst(cell);

		if (oldest == NULL || role->next < oldest->next)
			oldest = role;
	}
	if (oldest == NULL || (now - oldest->next) / USECS_PER_SEC < LATE_S)
		return NULL;
	values[0] = NameGetDatum(&oldest->name);
	values[1] = TimestampTzGetDatum(oldest->next);
	row = actor_list_texts(&read_row, values, "");
	/* it may have fired meanwhile */
	return row == NULL ? NULL :
		psprintf("The oldest row has been due for " INT64_FORMAT " s: %s, of role \"%s\".",
				 (now - oldest->next) / USECS_PER_SEC, row, NameStr(oldest->name));
}

/*
 * actor_check_fan_outs
 *		Events that no scheduler hands out, or with which it does not get on.
 */
char *
actor_check_fan_outs(void)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz now = GetCurrentTimestamp();
	Datum		before = TimestampTzGetDatum(now - LATE_S * USECS_PER_SEC);
	ActorBookkeeping bookkeeping;
	char	   *topic = NULL;
	TimestampTz published_at = 0;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&read_fan_out, &before, NULL) > 0)
	{
		topic = MemoryContextStrdup(context,
									TextDatumGetCString(actor_query_result(0, 1, &isnull)));
		published_at = DatumGetTimestampTz(actor_query_result(0, 2, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	return topic == NULL ? NULL :
		psprintf("An event of %s has not reached all subscribers for " INT64_FORMAT " s.",
				 topic, (now - published_at) / USECS_PER_SEC);
}

static Datum
seconds_ago(int seconds)
{
	return TimestampTzGetDatum(GetCurrentTimestamp() - seconds * USECS_PER_SEC);
}

/*
 * actor_check_each
 *		Messages to each actor of a type that do not go on.
 */
char *
actor_check_each(void)
{
	Datum		before = seconds_ago(STILL_S);
	char	   *still = actor_list_texts(&read_still, &before, "; ");

	return still == NULL ? NULL :
		psprintf("Messages to each actor of a type are not sent on: %s.", still);
}

/*
 * actor_check_outbox
 *		Messages that do not come to other servers.
 */
char *
actor_check_outbox(void)
{
	Datum		before = seconds_ago(LATE_S);
	char	   *message = actor_list_texts(&read_outbox, &before, "");

	return message == NULL ? NULL :
		psprintf("The oldest message to another server has waited for more than %d s: %s.",
				 LATE_S, message);
}

/*
 * actor_check_events
 *		Events that are kept although their time is long over.
 */
char *
actor_check_events(void)
{
	Datum		before = seconds_ago(EXPIRED_S);
	char	   *topic;

	/* the primary removes them */
	if (RecoveryInProgress())
		return NULL;
	topic = actor_list_texts(&read_expired, &before, "");
	return topic == NULL ? NULL :
		psprintf("Events of %s should have been removed more than %d s ago.", topic, EXPIRED_S);
}

/*
 * actor_check_failures
 *		What was given up lately.
 */
char *
actor_check_failures(void)
{
	Datum		since = TimestampTzGetDatum(GetCurrentTimestamp() - USECS_PER_DAY);
	char	   *calls = actor_list_texts(&read_failures, &since, ", ");

	return calls == NULL ? NULL :
		psprintf("Calls that were given up in the last 24 hours: %s.", calls);
}

/*
 * actor_check_clock
 *		Rows from the future.
 */
char *
actor_check_clock(void)
{
	Datum		limit = TimestampTzGetDatum(GetCurrentTimestamp() + CLOCK_S * USECS_PER_SEC);
	ActorBookkeeping bookkeeping;
	int64		count;
	bool		isnull;

	/* of several servers the clocks are compared instead */
	if (RecoveryInProgress() || actor_on_several_servers())
		return NULL;
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&count_future, &limit, NULL);
	count = DatumGetInt64(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return count == 0 ? NULL :
		psprintf(ngettext("At least " INT64_FORMAT " row was registered in the future: the clock was set back.",
						  "At least " INT64_FORMAT " rows were registered in the future: the clock was set back.",
						  (unsigned long) count), count);
}

/*
 * actor_check_turns
 *		Calls that wait for long; those that whoever asks may see.
 */
char *
actor_check_turns(void)
{
	StringInfoData buf;
	uint64		rows;

	initStringInfo(&buf);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	rows = actor_query_run(&read_turns, NULL, NULL);
	for (uint64 i = 0; i < rows; i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? " " : "Calls wait for their turn: ",
						 SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	SPI_finish();
	return buf.len > 0 ? buf.data : NULL;
}
