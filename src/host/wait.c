/*-------------------------------------------------------------------------
 *
 * wait.c
 *		Waiting for what hosts have to do.
 *
 * A host waits in a session of its own, by a procedure, which has neither a
 * snapshot nor a transaction id while it waits, so that it does not hold up the
 * removal of dead rows.  It is woken by commits that make something due soon, by
 * hosts that come and go, and by the time at which the next row is due.
 *
 * No wake-up is lost: the number of changes is taken before the snapshot of the
 * look, and the wait ends as soon as that has grown, which it does after a commit
 * has become visible.  Nobody is woken for what is due later than the next look but
 * one, and looks are at most half as far apart.
 *
 * What is found are rows that are due and hosted, of types that the host has, whose
 * actor is placed at it, or is nowhere while the hash chooses it.  It is a hint: the
 * claim proves it.  Of an actor there is one row at a time, and none while one is
 * in the hands of the host, which says so.
 *
 * IDENTIFICATION
 *		src/host/wait.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"
#include "life/life.h"
#include "reminder/reminder.h"
#include "fire/fire.h"
#include "host/internal.h"

PG_FUNCTION_INFO_V1(actor_host_wait);

/* rows of a type that are read at first and at last, and that are returned */
#define WINDOW_MIN			200
#define WINDOW_MAX			51200
#define ROWS_MAX			10000

/* what was placed so long ago has been called, if anybody wanted that, in ms */
#define CALLED_MS			10000

/* without shared memory there is a look every so often */
#define UNSHARED_LOOK_MS	2000

/* those of others are left out here, those that are nowhere later */
#define NOT_ELSEWHERE(row) \
	"  LEFT JOIN actor.placement p ON p.actor_type OPERATOR(pg_catalog.=) " row ".actor_type" \
	"   AND p.actor_id OPERATOR(pg_catalog.=) " row ".actor_id" \
	" WHERE (p.host_id IS NULL OR p.host_id OPERATOR(pg_catalog.<>) ALL ($4))"

#define DUE_OF_TYPE(kind, columns, table, order) \
	"(SELECT " kind "::pg_catalog.int4, d.actor_id, " columns ", d.attempt, d.next_try_at," \
	"  d.role_name, p.host_id" \
	"   FROM " table " d" NOT_ELSEWHERE("d") \
	"    AND d.hosted AND d.actor_type OPERATOR(pg_catalog.=) $1" \
	"    AND d.next_try_at OPERATOR(pg_catalog.<=) $2" \
	"  ORDER BY " order " LIMIT $3)"

static ActorQuery read_due = {
	DUE_OF_TYPE("0", "d.name, d.generation, d.scheduled_at", "actor.reminder", "d.next_try_at")
	" UNION ALL "
	DUE_OF_TYPE("1", "d.name, d.generation, d.scheduled_at", "actor.timer", "d.next_try_at")
	" UNION ALL "
	DUE_OF_TYPE("3", "d.message_id::pg_catalog.text AS name, d.message_id AS generation, d.due_at",
				"actor.message", "d.next_try_at, d.message_id")
	" ORDER BY next_try_at, generation LIMIT $3",
	4, {TEXTOID, TIMESTAMPTZOID, INT8OID, UUIDARRAYOID}, true
};

#define NEXT_OF_TYPE(table) \
	"(SELECT next_try_at FROM " table \
	"  WHERE hosted AND actor_type OPERATOR(pg_catalog.=) $1" \
	"    AND next_try_at OPERATOR(pg_catalog.>) $2" \
	"  ORDER BY next_try_at LIMIT 1)"

static ActorQuery read_next = {
	"SELECT LEAST(" NEXT_OF_TYPE("actor.reminder") ", " NEXT_OF_TYPE("actor.timer") ", "
	NEXT_OF_TYPE("actor.message") ")",
	2, {TEXTOID, TIMESTAMPTZOID}
};

static ActorQuery read_idle = {
	"SELECT 2::pg_catalog.int4, d.actor_id, ''::pg_catalog.text, 0::pg_catalog.int8, d.last_used_at, 1,"
	"  d.last_used_at, ''::pg_catalog.name, p.host_id"
	"   FROM actor.activation d" NOT_ELSEWHERE("d")
	"    AND d.server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()"
	"    AND d.actor_type OPERATOR(pg_catalog.=) $1"
	"    AND d.last_used_at OPERATOR(pg_catalog.<=) $2"
	"  ORDER BY d.last_used_at LIMIT $3",
	4, {TEXTOID, TIMESTAMPTZOID, INT8OID, UUIDARRAYOID}
};

/* what was deactivated, or placed and not called for a while */
static ActorQuery read_ended = {
	"SELECT 2::pg_catalog.int4, actor_id, actor_type, 0::pg_catalog.int8, placed_at, 1, placed_at,"
	"  ''::pg_catalog.name, host_id"
	"   FROM actor.placement"
	"  WHERE host_id OPERATOR(pg_catalog.=) $1 AND NOT entered"
	"    AND placed_at OPERATOR(pg_catalog.<=) $2"
	"  ORDER BY placed_at LIMIT $3",
	3, {UUIDOID, TIMESTAMPTZOID, INT8OID}
};

static ActorQuery read_oldest = {
	"SELECT last_used_at FROM actor.activation"
	" WHERE server_start OPERATOR(pg_catalog.=) pg_catalog.pg_postmaster_start_time()"
	"   AND actor_type OPERATOR(pg_catalog.=) $1"
	" ORDER BY last_used_at LIMIT 1",
	1, {TEXTOID}
};

/* a row that was found, and its place */
typedef struct Candidate
{
	ActorDue	due;
	NameData	role;
	bool		placed;			/* here, or at a host that is gone */
	pg_uuid_t	host;
} Candidate;

/* what a look has to go by, and what it finds */
typedef struct Look
{
	const pg_uuid_t *id;
	const ActorHost *host;
	List	   *hosts;
	Datum		others;			/* ids of the other ones that keep what they
								 * have */
	HTAB	   *skipped;		/* keys that the host has in its hands; NULL:
								 * none */
	HTAB	   *actors;			/* that need no further row */
	int			limit;
	TimestampTz now;
	TimestampTz next;			/* when there may be something to do */
	List	   *found;			/* of Candidate */
} Look;

/* until when idle actors have been looked for, and what hosts there were then */
static TimestampTz idle_looked_at = 0;
static uint64 hosts_seen = 0;

/* reading ----------------------------------------------------------------- */

static void *
read_candidate(uint64 row)
{
	Candidate  *candidate = palloc0(sizeof(Candidate));
	ActorDue   *due = &candidate->due;
	bool		isnull;
	Datum		datum;

	due->kind = DatumGetInt32(actor_query_result(row, 1, &isnull));
	due->actor.id = DatumGetTextPCopy(actor_query_result(row, 2, &isnull));
	due->name = DatumGetTextPCopy(actor_query_result(row, 3, &isnull));
	due->generation = DatumGetInt64(actor_query_result(row, 4, &isnull));
	due->scheduled_at = DatumGetTimestampTz(actor_query_result(row, 5, &isnull));
	due->attempt = DatumGetInt32(actor_query_result(row, 6, &isnull));
	due->next_try_at = DatumGetTimestampTz(actor_query_result(row, 7, &isnull));
	candidate->role = *DatumGetName(actor_query_result(row, 8, &isnull));
	datum = actor_query_result(row, 9, &isnull);
	candidate->placed = !isnull;
	if (!isnull)
		candidate->host = *DatumGetUUIDP(datum);
	return candidate;
}

/*
 * A number for a row in the hands of a host, which is not that of another one.  When
 * the row is to be tried again it gets another one: the host may be waiting already
 * when what it has done with the row is committed.
 */
static int64
row_key(const ActorDue *due)
{
	int64		parts[] = {(int64) due->actor.hash, due->generation, due->next_try_at, due->kind};

	return (int64) (hash_bytes_extended((const unsigned char *) parts, sizeof(parts), 0) &
					PG_INT64_MAX);
}

/*
 * Whether a candidate is for the host of a look.
 */
static bool
is_mine(const Look *look, const Candidate *candidate)
{
	if (candidate->placed && actor_same_uuid(&candidate->host, look->id))
		return true;
	return actor_hosts_choose(look->hosts, &candidate->due.actor) == look->host;
}

/*
 * Adds those of a list of candidates of a type that are for the host, one for each
 * actor.
 */
static void
choose(Look *look, text *type, List *candidates)
{
	ListCell   *cell;

	foreach(cell, candidates)
	{
		Candidate  *candidate = lfirst(cell);
		ActorDue   *due = &candidate->due;
		int64		key;
		bool		skip;
		bool		seen;

		CHECK_FOR_INTERRUPTS();
		actor_ref_init(&due->actor, type, due->actor.id);
		key = row_key(due);
		skip = look->skipped != NULL && due->kind != DUE_DEACTIVATE &&
			hash_search(look->skipped, &key, HASH_FIND, NULL) != NULL;
		if (hash_search(look->actors, &due->actor, HASH_FIND, NULL) != NULL ||
			(!skip && !is_mine(look, candidate)))
			continue;
		(void) hash_search(look->actors, &due->actor, HASH_ENTER, &seen);
		if (!skip && list_length(look->found) < look->limit)
			look->found = lappend(look->found, candidate);
	}
}

/*
 * Takes messages out of the way that are not the first ones of their queue, when
 * they are so many that nothing else is seen.
 */
static uint64
hide_messages(List *candidates)
{
	List	   *due_list = NIL;
	ListCell   *cell;

	foreach(cell, candidates)
		due_list = lappend(due_list, &((Candidate *) lfirst(cell))->due);
	return actor_messages_hide(due_list);
}

/*
 * Looks for due rows of a type.
 */
static void
look_for_rows(Look *look, text *type)
{
	Datum		values[4] = {PointerGetDatum(type), TimestampTzGetDatum(look->now), 0,
		look->others
	};

	int64		window = Max(WINDOW_MIN, look->limit);

	while (window <= WINDOW_MAX)
	{
		List	   *candidates;

		values[2] = Int64GetDatum(window);
		candidates = actor_query_list(&read_due, values, read_candidate);
		choose(look, type, candidates);
		if (list_length(candidates) < window || list_length(look->found) >= look->limit)
			return;

		/*
		 * what is behind many rows that cannot be run now must not wait for
		 * them
		 */
		if (hide_messages(candidates) == 0)
			window *= 4;
	}
}

/*
 * Looks for actors that are to be forgotten although they have not been idle.
 */
static void
look_for_ended(Look *look)
{
	Datum		values[3] = {UUIDPGetDatum(look->id),
		TimestampTzGetDatum(look->now - CALLED_MS * INT64CONST(1000)),
		Int64GetDatum(look->limit)
	};
	ListCell   *cell;

	foreach(cell, actor_query_list(&read_ended, values, read_candidate))
	{
		Candidate  *candidate = lfirst(cell);

		choose(look, candidate->due.name, list_make1(candidate));
	}
}

static TimestampTz
read_time(ActorQuery *query, Datum *values)
{
	ActorBookkeeping bookkeeping;
	TimestampTz time = DT_NOEND;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(query, values, NULL) > 0)
	{
		bool		isnull;
		Datum		datum = actor_query_result(0, 1, &isnull);

		if (!isnull)
			time = DatumGetTimestampTz(datum);
	}
	actor_bookkeeping_end(&bookkeeping);
	return time;
}

/*
 * Looks for idle actors of a type, once at each point of the grid of its
 * scan_interval, as executors do for other types.
 */
static void
look_for_idle(Look *look, text *name, const ActorType *type)
{
	Datum		values[4] = {PointerGetDatum(name), 0, Int64GetDatum(look->limit),
		look->others
	};
	TimestampTz oldest = read_time(&read_oldest, values);
	TimestampTz at;

	if (oldest == DT_NOEND || type->pause == PAUSE_TYPE)
		return;
	at = actor_grid_point(Max(actor_idle_limit(type, oldest), idle_looked_at + 1),
						  actor_type_scan_interval(type));
	if (at <= look->now)
	{
		values[1] = TimestampTzGetDatum(look->now - (actor_idle_limit(type, look->now) -
													 look->now));
		choose(look, name, actor_query_list(&read_idle, values, read_candidate));
		at = actor_grid_point(look->now + 1, actor_type_scan_interval(type));
	}
	look->next = Min(look->next, at);
}

/*
 * Whether hosts have come, gone, or have changed since this was asked last.
 */
static bool
hosts_have_changed(List *hosts)
{
	uint64		seen = 1;
	bool		changed;
	ListCell   *cell;

	foreach(cell, hosts)
	{
		const ActorHost *host = lfirst(cell);

		if (host->alive)
			seen = hash_bytes_extended(host->id.data, UUID_LEN, seen + host->reachable);
	}
	changed = seen != hosts_seen;
	hosts_seen = seen;
	return changed;
}

/* looking ----------------------------------------------------------------- */

static HTAB *
make_keys(ArrayType *array)
{
	HASHCTL		ctl;
	HTAB	   *keys;
	Datum	   *elements;
	bool	   *nulls;
	int			count;

	if (array == NULL)
		return NULL;
	memset(&ctl, 0, sizeof(ctl));
	ctl.keysize = ctl.entrysize = sizeof(int64);
	ctl.hcxt = CurrentMemoryContext;
	keys = hash_create("rows in the hands of a host", 64, &ctl,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	deconstruct_array(array, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE,
					  &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		int64		key = nulls[i] ? 0 : DatumGetInt64(elements[i]);

		(void) hash_search(keys, &key, HASH_ENTER, NULL);
	}
	return keys;
}

/*
 * The ids of the hosts of a list that keep what they have, but for one.
 */
static Datum
other_hosts(List *hosts, const pg_uuid_t *id)
{
	Datum	   *ids = palloc(sizeof(Datum) * Max(list_length(hosts), 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, hosts)
	{
		const ActorHost *host = lfirst(cell);

		if (host->alive && host->reachable && !actor_same_uuid(&host->id, id))
			ids[count++] = UUIDPGetDatum(&host->id);
	}
	return PointerGetDatum(construct_array(ids, count, UUIDOID, UUID_LEN, false,
										   TYPALIGN_CHAR));
}

/*
 * Looks for what a host has to do, in the current memory context.
 */
static void
look_around(Look *look, const pg_uuid_t *id, ArrayType *skipped, int limit)
{
	HASHCTL		ctl;
	ListCell   *cell;

	memset(look, 0, sizeof(*look));
	actor_host_require_own(id);
	actor_host_require(id);
	look->id = id;
	look->now = GetCurrentTimestamp();
	look->next = DT_NOEND;
	look->limit = limit;
	look->hosts = actor_hosts_read();
	look->host = actor_hosts_find(look->hosts, id);
	look->others = other_hosts(look->hosts, id);
	look->skipped = make_keys(skipped);
	memset(&ctl, 0, sizeof(ctl));
	ctl.entrysize = sizeof(ActorRef);
	ctl.hcxt = CurrentMemoryContext;
	look->actors = actor_ref_table("actors with something to do", &ctl);

	AcceptInvalidationMessages();
	foreach(cell, look->host->types)
	{
		text	   *name = lfirst(cell);
		ActorType  *type = actor_type_find(name);
		Datum		values[2] = {PointerGetDatum(name), TimestampTzGetDatum(look->now)};
		TimestampTz next;

		if (type == NULL || !type->row.hosted || !OidIsValid(type->owner_oid) ||
			!has_privs_of_role(GetUserId(), type->owner_oid))
			continue;
		look_for_rows(look, name);
		next = read_time(&read_next, values);
		look->next = Min(look->next, next);
		look_for_idle(look, name, type);
	}
	look_for_ended(look);
	idle_looked_at = look->now;
}

/* what was found, as a document ------------------------------------------- */

static void
append_text(StringInfo buf, const char *name, const text *value)
{
	appendStringInfo(buf, ", \"%s\": ", name);
	escape_json(buf, text_to_cstring(value));
}

static void
append_candidate(StringInfo buf, const Candidate *candidate)
{
	const ActorDue *due = &candidate->due;

	appendStringInfo(buf, "{\"kind\": \"%s\"",
					 due->kind == DUE_DEACTIVATE ? "idle" : actor_due_word(due->kind));
	append_text(buf, "actor_type", due->actor.type);
	append_text(buf, "actor_id", due->actor.id);
	if (due->kind != DUE_DEACTIVATE)
	{
		append_text(buf, "name", due->name);
		append_text(buf, "role_name", cstring_to_text(NameStr(candidate->role)));
		appendStringInfo(buf, ", \"generation\": " INT64_FORMAT ", \"scheduled_at\": " INT64_FORMAT
						 ", \"next_try_at\": " INT64_FORMAT ", \"attempt\": %d, \"key\": " INT64_FORMAT,
						 due->generation, due->scheduled_at, due->next_try_at, due->attempt,
						 row_key(due));
	}
	appendStringInfoChar(buf, '}');
}

/*
 * A document with what was found.
 */
static Jsonb *
result_document(const Look *look, bool changed)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	appendStringInfo(&buf, "{\"hosts_changed\": %s, \"due\": [", changed ? "true" : "false");
	foreach(cell, look->found)
	{
		if (cell != list_head(look->found))
			appendStringInfoString(&buf, ", ");
		append_candidate(&buf, lfirst(cell));
	}
	appendStringInfoString(&buf, "]}");
	return DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(buf.data)));
}

/* waiting ----------------------------------------------------------------- */

/*
 * Where a host waits; NULL if there is no shared memory.
 */
static ActorHostWake *
wake_of(const pg_uuid_t *id)
{
	return actor_shared == NULL ? NULL :
		&actor_shared->hosts[hash_bytes(id->data, UUID_LEN) % ACTOR_HOST_WAKE_COUNT];
}

/*
 * Waits until something has changed since a number was taken, or a time.
 */
static void
wait_for_change(ActorHostWake *wake, uint64 seen, TimestampTz until)
{
	TimestampTz now = GetCurrentTimestamp();

	if (wake == NULL)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(UNSHARED_LOOK_MS, actor_wait_ms(now, until)),
						 ACTOR_WAIT_EVENT("ActorHostWait"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		return;
	}
	ConditionVariablePrepareToSleep(&wake->changed);
	while (pg_atomic_read_u64(&wake->changes) == seen && now < until)
	{
		(void) ConditionVariableTimedSleep(&wake->changed, actor_wait_ms(now, until),
										   ACTOR_WAIT_EVENT("ActorHostWait"));
		now = GetCurrentTimestamp();
	}
	ConditionVariableCancelSleep();
}

static int
rows_argument(FunctionCallInfo fcinfo, int number)
{
	int32		rows = PG_ARGISNULL(number) ? 100 : PG_GETARG_INT32(number);

	if (rows < 1 || rows > ROWS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be from %d to %d", "max_rows", 1, ROWS_MAX)));
	return rows;
}

/*
 * actor.host_wait
 *		Waits until there is something to do for a host, or until a time, and says
 *		what.
 */
Datum
actor_host_wait(PG_FUNCTION_ARGS)
{
	CallContext *call = (CallContext *) fcinfo->context;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext look_context;
	pg_uuid_t	id = *actor_uuid_argument(fcinfo, 0, "host id");
	TimestampTz until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);
	ArrayType  *skipped = PG_ARGISNULL(2) ? NULL : PG_GETARG_ARRAYTYPE_P_COPY(2);
	int			limit = rows_argument(fcinfo, 3);
	ActorHostWake *wake = wake_of(&id);
	TupleDesc	tupdesc;
	Datum		values[1];
	bool		nulls[1] = {false};

	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", "actor.host_wait()")));
	if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	tupdesc = CreateTupleDescCopy(tupdesc);
	PreventCommandIfReadOnly("actor.host_wait()");
	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	look_context = AllocSetContextCreate(CurrentMemoryContext, "actor.host_wait",
										 ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		uint64		seen = wake != NULL ? pg_atomic_read_u64(&wake->changes) : 0;
		MemoryContext old = MemoryContextSwitchTo(look_context);
		Look		look;
		bool		changed;

		MemoryContextReset(look_context);
		pg_memory_barrier();
		look_around(&look, &id, skipped, limit);
		changed = hosts_have_changed(look.hosts);
		if (changed || look.found != NIL || look.now >= until)
		{
			Jsonb	   *document = result_document(&look, changed);

			MemoryContextSwitchTo(context);
			values[0] = PointerGetDatum(memcpy(palloc(VARSIZE(document)), document,
											   VARSIZE(document)));
			MemoryContextSwitchTo(old);
			break;
		}
		MemoryContextSwitchTo(old);
		SPI_commit();
		/* older minor releases leave that to us, for others it is nothing */
		SPI_start_transaction();
		wait_for_change(wake, seen,
						Min(Min(until, look.next),
							TimestampTzPlusMilliseconds(look.now, ACTOR_HOST_LOOK_MS / 2)));
	}
	SPI_finish();
	MemoryContextSwitchTo(context);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(tupdesc), values, nulls)));
}
