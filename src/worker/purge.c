/*-------------------------------------------------------------------------
 *
 * purge.c
 *		Removing what is kept no longer: expired state, results of calls with a
 *		request id, failures, history, and events.
 *
 * Nothing depends on when that happens: readers do not see what has expired.
 * So it is done by the scheduler, in small transactions, and only at points of
 * the grid of actor.scan_interval at which something is to be removed.  What
 * somebody else has locked is left until the next one.
 *
 * On several servers, each sees to what it has.  There rows are found in its shards,
 * and locked and removed one by one, by the name of the table and only if they still
 * have expired: they may have moved, and been written, meanwhile.
 *
 * Whoever writes something that will have to be removed makes sure, by
 * actor_wake_at, that there is a scheduler then.
 *
 * IDENTIFICATION
 *		src/worker/purge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "worker/internal.h"

/* most rows that are removed in one transaction */
#define PURGE_MAX			1000

/* a table with rows that are kept for a limited time */
typedef struct PurgedTable
{
	ActorQuery	read_first;		/* the earliest time */
	ActorQuery	lock_rows;		/* keys of rows with a time up to $1, at most
								 * $2 */
	ActorQuery	delete_row;
	ActorQuery	find_rows;		/* as lock_rows, on this server, unlocked */
	ActorQuery	lock_row;		/* of these, with the time after the key */
	ActorQuery	delete_locked;
	const int  *retention;		/* seconds from that time on; NULL: none */
	ActorQuery *delete_more;	/* rows of another table; NULL: none */
	TimestampTz purged_at;		/* 0: never */
} PurgedTable;

#define OF_KEY(key) \
	" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND actor_id OPERATOR(pg_catalog.=) $2" \
	"   AND " key " OPERATOR(pg_catalog.=) $3"

#define PURGED_TABLE(table, key, keytype, time, keep, more) \
	{ \
		{"SELECT " time " FROM " table " WHERE " time " IS NOT NULL" \
		" ORDER BY " time " LIMIT 1", \
		0, {0}, false, true}, \
		{"SELECT actor_type, actor_id, " key " FROM " table \
		" WHERE " time " OPERATOR(pg_catalog.<=) $1" \
		" ORDER BY " time " LIMIT $2 FOR UPDATE SKIP LOCKED", \
		2, {TIMESTAMPTZOID, INT8OID}}, \
		{"DELETE FROM " table OF_KEY(key), \
		3, {TEXTOID, TEXTOID, keytype}}, \
		{"SELECT actor_type, actor_id, " key " FROM " table \
		" WHERE " time " OPERATOR(pg_catalog.<=) $1" \
		" ORDER BY " time " LIMIT $2", \
		2, {TIMESTAMPTZOID, INT8OID}, false, true}, \
		{"SELECT FROM " table OF_KEY(key) \
		"   AND " time " OPERATOR(pg_catalog.<=) $4 FOR UPDATE SKIP LOCKED", \
		4, {TEXTOID, TEXTOID, keytype, TIMESTAMPTZOID}}, \
		{"DELETE FROM " table OF_KEY(key) \
		"   AND " time " OPERATOR(pg_catalog.<=) $4", \
		4, {TEXTOID, TEXTOID, keytype, TIMESTAMPTZOID}}, \
		keep, \
		more \
	}

/* the same with two columns of the key after the actor */
#define PURGED_EVENTS \
	{ \
		{"SELECT expires_at FROM actor.event ORDER BY expires_at LIMIT 1", \
		0, {0}}, \
		{"SELECT actor_type, actor_id, topic, event_id FROM actor.event" \
		" WHERE expires_at OPERATOR(pg_catalog.<=) $1" \
		" ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED", \
		2, {TIMESTAMPTZOID, INT8OID}}, \
		{"DELETE FROM actor.event" \
		" WHERE actor_type OPERATOR(pg_catalog.=) $1" \
		"   AND actor_id OPERATOR(pg_catalog.=) $2" \
		"   AND topic OPERATOR(pg_catalog.=) $3" \
		"   AND event_id OPERATOR(pg_catalog.=) $4", \
		4, {TEXTOID, TEXTOID, TEXTOID, INT8OID}}, \
		{NULL}, {NULL}, {NULL}, \
		NULL, \
		NULL \
	}

static ActorQuery delete_changes = {
	"DELETE FROM actor.history_change"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND actor_id OPERATOR(pg_catalog.=) $2"
	"   AND history_id OPERATOR(pg_catalog.=) $3",
	3, {TEXTOID, TEXTOID, INT8OID}
};

static PurgedTable tables[] = {
	PURGED_TABLE("actor.state", "key", TEXTOID, "expires_at", NULL, NULL),
	PURGED_TABLE("actor.request", "request_id", TEXTOID, "finished_at", &actor_request_retention, NULL),
	PURGED_TABLE("actor.failure", "failure_id", INT8OID, "failed_at", &actor_failure_retention, NULL),
	PURGED_TABLE("actor.history", "history_id", INT8OID, "expires_at", NULL, &delete_changes),
	PURGED_EVENTS
};

static int64
retention_us(const PurgedTable *table)
{
	return table->retention == NULL ? 0 : *table->retention * USECS_PER_SEC;
}

/*
 * When rows of a table are to be removed next; DT_NOEND if there are none.
 */
static TimestampTz
next_purge(PurgedTable *table)
{
	ActorBookkeeping bookkeeping;
	TimestampTz first = DT_NOEND;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(&table->read_first, NULL, NULL) > 0)
		first = DatumGetTimestampTz(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	if (first >= DT_NOEND - retention_us(table))
		return DT_NOEND;
	return actor_purge_time(Max(first + retention_us(table), table->purged_at + 1));
}

/*
 * Removes rows that are kept no longer and that nobody has locked, up to a
 * limit; returns their number.
 */
static uint64
remove_rows(PurgedTable *table, TimestampTz now)
{
	ActorBookkeeping bookkeeping;
	SPITupleTable *old;
	Datum		values[4];
	uint64		rows;

	values[0] = TimestampTzGetDatum(now - retention_us(table));
	values[1] = Int64GetDatum(PURGE_MAX);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&table->lock_rows, values, NULL);
	old = SPI_tuptable;
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		for (int column = 0; column < table->delete_row.nargs; column++)
			values[column] = SPI_getbinval(old->vals[i], old->tupdesc, column + 1, &isnull);
		actor_query_write_one(&table->delete_row, values, NULL);
		if (table->delete_more != NULL)
			(void) actor_query_run(table->delete_more, values, NULL);
	}
	actor_bookkeeping_end(&bookkeeping);
	return rows;
}

/*
 * The same of a table that is distributed.
 */
static uint64
remove_own_rows(PurgedTable *table, TimestampTz now)
{
	ActorBookkeeping bookkeeping;
	SPITupleTable *old;
	Datum		values[4];
	uint64		rows;

	values[0] = TimestampTzGetDatum(now - retention_us(table));
	values[1] = Int64GetDatum(PURGE_MAX);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&table->find_rows, values, NULL);
	old = SPI_tuptable;
	values[3] = values[0];
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		for (int column = 0; column < 3; column++)
			values[column] = SPI_getbinval(old->vals[i], old->tupdesc, column + 1, &isnull);
		if (actor_query_run(&table->lock_row, values, NULL) > 0)
			(void) actor_query_run(&table->delete_locked, values, NULL);
	}
	actor_bookkeeping_end(&bookkeeping);
	return rows;
}

/*
 * Whether rows of a table are to be removed one by one.
 */
static bool
is_split(const PurgedTable *table)
{
	return table->find_rows.sql != NULL && actor_on_several_servers();
}

/* failures --------------------------------------------------------------- */

/* the types, and the newest failure of each that is one too many */
static ActorQuery read_excess = {
	"SELECT t.actor_type, e.failure_id FROM actor.type t CROSS JOIN LATERAL"
	"  (SELECT f.failure_id FROM actor.failure f"
	"    WHERE f.actor_type OPERATOR(pg_catalog.=) t.actor_type"
	"    ORDER BY f.failure_id DESC OFFSET $1 LIMIT 1) e",
	1, {INT8OID}, false, true
};

static ActorQuery delete_excess = {
	"DELETE FROM actor.failure d USING"
	"  (SELECT actor_type, actor_id, failure_id FROM actor.failure"
	"    WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"      AND failure_id OPERATOR(pg_catalog.<=) $2"
	"    ORDER BY failure_id LIMIT $3 FOR UPDATE SKIP LOCKED) s"
	" WHERE d.actor_type OPERATOR(pg_catalog.=) s.actor_type"
	"   AND d.actor_id OPERATOR(pg_catalog.=) s.actor_id"
	"   AND d.failure_id OPERATOR(pg_catalog.=) s.failure_id",
	3, {TEXTOID, INT8OID, INT8OID}
};

/* the same on several servers, in two steps */
static ActorQuery find_excess = {
	"SELECT actor_type, actor_id, failure_id FROM actor.failure"
	" WHERE actor_type OPERATOR(pg_catalog.=) $1"
	"   AND failure_id OPERATOR(pg_catalog.<=) $2"
	" ORDER BY failure_id LIMIT $3",
	3, {TEXTOID, INT8OID, INT8OID}, false, true
};

static ActorQuery delete_failure = {
	"DELETE FROM actor.failure" OF_KEY("failure_id"),
	3, {TEXTOID, TEXTOID, INT8OID}
};

static uint64
delete_own_excess(Datum *values)
{
	uint64		rows = actor_query_run(&find_excess, values, NULL);
	SPITupleTable *found = SPI_tuptable;

	for (uint64 i = 0; i < rows; i++)
	{
		Datum		key[3];
		bool		isnull;

		for (int column = 0; column < 3; column++)
			key[column] = SPI_getbinval(found->vals[i], found->tupdesc, column + 1, &isnull);
		(void) actor_query_run(&delete_failure, key, NULL);
	}
	return rows;
}

/*
 * Removes the oldest failures of types that have too many, up to a limit.
 * Returns whether there may be more.
 */
static bool
remove_excess(void)
{
	ActorBookkeeping bookkeeping;
	SPITupleTable *types;
	Datum		values[3] = {Int64GetDatum(actor_failure_limit)};
	uint64		rows;
	bool		more = false;

	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_excess, values, NULL);
	types = SPI_tuptable;
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;

		values[0] = SPI_getbinval(types->vals[i], types->tupdesc, 1, &isnull);
		values[1] = SPI_getbinval(types->vals[i], types->tupdesc, 2, &isnull);
		values[2] = Int64GetDatum(PURGE_MAX);
		more |= PURGE_MAX == (actor_on_several_servers() ? delete_own_excess(values) :
							  actor_query_run(&delete_excess, values, NULL));
	}
	actor_bookkeeping_end(&bookkeeping);
	return more;
}

/*
 * The same, at most once in the time between two looks, which whoever writes a
 * failure asks for.
 */
static TimestampTz
purge_excess(TimestampTz now)
{
	static TimestampTz looked_at = 0;
	TimestampTz next = looked_at == 0 ? now : actor_purge_time(looked_at + 1);

	if (actor_failure_limit == 0)
		return DT_NOEND;
	if (next > now && looked_at <= now)
		return next;
	if (remove_excess())
		return now;
	looked_at = now;
	return DT_NOEND;
}

/*
 * actor_purge
 *		Removes what is kept no longer from one table, chosen by number, in the
 *		current transaction.  Sets when to do that again, at once if there is
 *		more, DT_NOEND if there is nothing; false if there is no such table.  The one
 *		after the last stands for failures that are too many.
 */
bool
actor_purge(int number, TimestampTz *again)
{
	PurgedTable *table = &tables[number];
	TimestampTz now = GetCurrentTimestamp();

	if (number == lengthof(tables))
		*again = purge_excess(now);
	if (number >= lengthof(tables))
		return number == lengthof(tables);
	*again = next_purge(table);
	if (*again > now)
		return true;
	if ((is_split(table) ? remove_own_rows(table, now) : remove_rows(table, now)) == PURGE_MAX)
	{
		*again = now;
		return true;
	}
	table->purged_at = now;
	*again = next_purge(table);
	return true;
}
