/*-------------------------------------------------------------------------
 *
 * explain.c
 *		actor_explain: what a call would do.
 *
 * The call is made, in a subtransaction that is rolled back.  All types keep
 * changes meanwhile, whatever they are registered with, so what it has done is
 * read from what record.c has written, and from notes of what it has registered,
 * sent and waited for.  All of that goes with the subtransaction.
 *
 * The caller learns what the call itself would let him know, and what he may read
 * anyway: values of state only of types that he owns, and what goes along with a
 * message, a reminder or a timer only of these and of roles that he has the rights
 * of, since a method can send as its owner.
 *
 * IDENTIFICATION
 *		src/view/explain.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "base/base.h"
#include "store/store.h"
#include "type/type.h"
#include "turn/turn.h"
#include "call/call.h"
#include "view/internal.h"

PG_FUNCTION_INFO_V1(actor_explain);

#define OBJECT		"pg_catalog.jsonb_build_object("
#define KEY(name)	"'" name "'::pg_catalog.text, "

#define WHERE_ACTOR \
	" WHERE r.actor_type OPERATOR(pg_catalog.=) $1" \
	"   AND r.actor_id OPERATOR(pg_catalog.=) $2"

/* $4: whether the caller may see values */
static ActorQuery read_entry = {
	"SELECT " OBJECT KEY("actor_type") "r.actor_type, " KEY("actor_id") "r.actor_id, "
	KEY("kind") "r.kind, " KEY("method") "r.method, " KEY("duration_ms") "r.duration_ms, "
	KEY("changes")
	"  (SELECT pg_catalog.jsonb_agg(CASE WHEN $4 THEN " ACTOR_CHANGE_OBJECT
	"            ELSE " OBJECT KEY("key") "c.key) END ORDER BY c.change_id)"
	"     FROM actor.history_change c"
	"    WHERE c.actor_type OPERATOR(pg_catalog.=) $1"
	"      AND c.actor_id OPERATOR(pg_catalog.=) $2"
	"      AND c.history_id OPERATOR(pg_catalog.=) $3))::pg_catalog.text"
	"  FROM actor.history r" WHERE_ACTOR
	"   AND r.history_id OPERATOR(pg_catalog.=) $3",
	4, {TEXTOID, TEXTOID, INT8OID, BOOLOID}
};

/* an object, what is to be put into it for some, and the role they must be */
#define READ_DUE(table) \
	{"SELECT " OBJECT KEY("actor_type") "r.actor_type, " KEY("actor_id") "r.actor_id, " \
	KEY("name") "r.name, " KEY("method") "r.method, " \
	KEY("scheduled_at") "r.scheduled_at, " KEY("period") "r.period)::pg_catalog.text," \
	"  r.data::pg_catalog.text, r.role_name" \
	"  FROM " table " r" WHERE_ACTOR \
	"   AND r.name OPERATOR(pg_catalog.=) $3" \
	"   AND r.generation OPERATOR(pg_catalog.=) $4", \
	4, {TEXTOID, TEXTOID, TEXTOID, INT8OID}}

static ActorQuery read_reminder = READ_DUE("actor.reminder");
static ActorQuery read_timer = READ_DUE("actor.timer");

static ActorQuery read_message = {
	"SELECT " OBJECT KEY("actor_type") "r.actor_type, " KEY("actor_id") "r.actor_id, "
	KEY("method") "r.method, " KEY("due_at") "r.due_at)::pg_catalog.text,"
	"  r.payload::pg_catalog.text, r.role_name"
	"  FROM actor.message r" WHERE_ACTOR
	"   AND r.message_id OPERATOR(pg_catalog.=) $3",
	3, {TEXTOID, TEXTOID, INT8OID}
};

/* rows that this transaction has written to tables of users, by their oid */
#define WRITTEN \
	"SELECT relid::pg_catalog.text AS relid, relid::pg_catalog.regclass::pg_catalog.text AS name," \
	"  n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_del AS deleted" \
	"  FROM pg_catalog.pg_stat_xact_user_tables" \
	" WHERE schemaname OPERATOR(pg_catalog.<>) 'actor'" \
	"   AND n_tup_ins OPERATOR(pg_catalog.+) n_tup_upd OPERATOR(pg_catalog.+) n_tup_del" \
	"       OPERATOR(pg_catalog.>) 0"

static ActorQuery read_written = {
	"SELECT COALESCE(pg_catalog.jsonb_object_agg(w.relid, pg_catalog.to_jsonb(w)), '{}')"
	"  FROM (" WRITTEN ") w",
	0, {0}
};

#define LESS(column) \
	"w." column " OPERATOR(pg_catalog.-)" \
	" COALESCE(($1 OPERATOR(pg_catalog.->) w.relid OPERATOR(pg_catalog.->>) '" column "')::pg_catalog.int8, 0)"

static ActorQuery read_newly_written = {
	"SELECT COALESCE(pg_catalog.jsonb_agg(" OBJECT KEY("table") "d.name, " KEY("inserted") "d.inserted, "
	KEY("updated") "d.updated, " KEY("deleted") "d.deleted) ORDER BY d.name), '[]')::pg_catalog.text"
	"  FROM (SELECT w.name, " LESS("inserted") " AS inserted, " LESS("updated") " AS updated, "
	LESS("deleted") " AS deleted FROM (" WRITTEN ") w) d"
	" WHERE d.inserted OPERATOR(pg_catalog.+) d.updated OPERATOR(pg_catalog.+) d.deleted"
	"       OPERATOR(pg_catalog.>) 0",
	1, {JSONBOID}
};

/* what is explained, and the document in its making */
typedef struct Explained
{
	ActorRef	actor;
	text	   *method;
	Jsonb	   *payload;
	Jsonb	   *written_before;
	StringInfoData document;
} Explained;

/* reading --------------------------------------------------------------- */

/*
 * The text that a statement returns, in the given memory context; NULL if there is
 * no row.
 */
static char *
read_text(ActorQuery *query, Datum *values, MemoryContext context)
{
	ActorBookkeeping bookkeeping;
	char	   *result = NULL;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(query, values, NULL) > 0)
		result = MemoryContextStrdup(context, TextDatumGetCString(actor_query_result(0, 1, &isnull)));
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

static Jsonb *
written_until_now(void)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	MemoryContext old;
	Jsonb	   *result;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&read_written, NULL, NULL);
	old = MemoryContextSwitchTo(context);
	result = DatumGetJsonbPCopy(actor_query_result(0, 1, &isnull));
	MemoryContextSwitchTo(old);
	actor_bookkeeping_end(&bookkeeping);
	return result;
}

/*
 * What was sent to a type or registered on it, with what goes along as that member
 * if the caller may see it; NULL if there is no row.
 */
static char *
read_sent(ActorQuery *query, Datum *values, const text *type, const char *member)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	char	   *object = NULL;
	char	   *payload = NULL;
	NameData	role_name = {""};

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_run(query, values, NULL) > 0)
	{
		bool		isnull;
		Datum		datum = actor_query_result(0, 2, &isnull);

		payload = MemoryContextStrdup(context, isnull ? "null" : TextDatumGetCString(datum));
		object = MemoryContextStrdup(context, TextDatumGetCString(actor_query_result(0, 1, &isnull)));
		role_name = *DatumGetName(actor_query_result(0, 3, &isnull));
	}
	actor_bookkeeping_end(&bookkeeping);
	if (object == NULL || !(actor_type_owned(type) || actor_role_held(&role_name)))
		return object;
	return psprintf("%.*s, \"%s\": %s}", (int) strlen(object) - 1, object, member, payload);
}

/*
 * What a note is about, as an object; NULL if it is there no more.
 */
static char *
read_note(const ActorNote *note)
{
	Datum		values[4] = {PointerGetDatum(note->type), PointerGetDatum(note->id),
	Int64GetDatum(note->number)};
	StringInfoData buf;

	switch (note->kind)
	{
		case ACTOR_NOTE_ENTRY:
			values[3] = BoolGetDatum(actor_type_owned(note->type));
			return read_text(&read_entry, values, CurrentMemoryContext);
		case ACTOR_NOTE_MESSAGE:
			return read_sent(&read_message, values, note->type, "payload");
		case ACTOR_NOTE_REMINDER:
		case ACTOR_NOTE_TIMER:
			values[2] = PointerGetDatum(note->name);
			values[3] = Int64GetDatum(note->number);
			return read_sent(note->kind == ACTOR_NOTE_TIMER ? &read_timer : &read_reminder, values,
							 note->type, "data");
		case ACTOR_NOTE_WAIT:
			break;
	}
	initStringInfo(&buf);
	appendStringInfoString(&buf, "{\"actor_type\": ");
	escape_json(&buf, text_to_cstring(note->type));
	appendStringInfoString(&buf, ", \"actor_id\": ");
	escape_json(&buf, text_to_cstring(note->id));
	appendStringInfo(&buf, ", \"ms\": %.3f}", note->ms);
	return buf.data;
}

/* the document ---------------------------------------------------------- */

static void
append_notes(StringInfo document, const char *member, ActorNoteKind kind)
{
	const char *separator = "";
	ListCell   *cell;

	appendStringInfo(document, ", \"%s\": [", member);
	foreach(cell, actor_notes())
	{
		const ActorNote *note = lfirst(cell);
		char	   *object = note->kind == kind ? read_note(note) : NULL;

		if (object == NULL)
			continue;
		appendStringInfo(document, "%s%s", separator, object);
		separator = ", ";
	}
	appendStringInfoChar(document, ']');
}

static void
append_member(StringInfo document, const char *member, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(document, ", \"%s\": ", member);
	escape_json(document, value);
}

static void
append_error(StringInfo document, const ErrorData *error)
{
	appendStringInfoString(document, ", \"error\": {\"sqlstate\": ");
	escape_json(document, unpack_sql_state(error->sqlerrcode));
	append_member(document, "message", error->message);
	append_member(document, "detail", error->detail);
	append_member(document, "hint", error->hint);
	append_member(document, "context", error->context);
	appendStringInfoChar(document, '}');
}

/* the call -------------------------------------------------------------- */

/*
 * Makes the call, and lets deferred constraints have their say, as the commit would.
 */
static void
make_call(Explained *explained)
{
	ConstraintsSetStmt *constraints = makeNode(ConstraintsSetStmt);
	StringInfo	document = &explained->document;
	Datum		values[1] = {JsonbPGetDatum(explained->written_before)};
	Jsonb	   *result;
	instr_time	time;
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	result = actor_call(&explained->actor, explained->method, explained->payload, NULL, NULL, NULL);
	constraints->deferred = false;
	AfterTriggerSetState(constraints);
	INSTR_TIME_SET_CURRENT(time);
	INSTR_TIME_SUBTRACT(time, start);

	appendStringInfo(document, "\"duration_ms\": %.3f, \"result\": %s", INSTR_TIME_GET_MILLISEC(time),
					 result != NULL ? JsonbToCString(NULL, &result->root, 0) : "null");
	append_notes(document, "calls", ACTOR_NOTE_ENTRY);
	append_notes(document, "waits", ACTOR_NOTE_WAIT);
	append_notes(document, "reminders", ACTOR_NOTE_REMINDER);
	append_notes(document, "timers", ACTOR_NOTE_TIMER);
	append_notes(document, "messages", ACTOR_NOTE_MESSAGE);
	appendStringInfo(document, ", \"tables\": %s",
					 read_text(&read_newly_written, values, CurrentMemoryContext));
}

/*
 * Makes the call, and takes notes meanwhile.
 */
static void
make_noted_call(void *explained)
{
	actor_notes_begin();
	make_call(explained);
	actor_noting = false;
}

/*
 * Makes the call in a subtransaction, and rolls that back.  An error of the call is
 * what would come of it, unless somebody has cancelled the statement.
 */
static void
explain(Explained *explained)
{
	ErrorData  *error = actor_rehearse(make_noted_call, explained);

	actor_noting = false;
	if (error == NULL)
		return;
	if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	resetStringInfo(&explained->document);
	appendStringInfoString(&explained->document, "{\"result\": null");
	append_error(&explained->document, error);
	append_notes(&explained->document, "waits", ACTOR_NOTE_WAIT);
}

Datum
actor_explain(PG_FUNCTION_ARGS)
{
	Explained	explained;

	actor_ref_arguments(&explained.actor, fcinfo);
	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("method must not be null")));
	explained.method = PG_GETARG_TEXT_PP(2);
	explained.payload = PG_ARGISNULL(3) ? NULL : PG_GETARG_JSONB_P(3);
	PreventCommandIfParallelMode("actor_explain()");
	if (actor_frame_current() != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s cannot run inside a method", "actor_explain()"),
				 errdetail("Call chain: %s.", actor_call_chain_text(NULL, NULL))));

	explained.written_before = written_until_now();
	initStringInfo(&explained.document);
	appendStringInfoChar(&explained.document, '{');
	explain(&explained);
	appendStringInfoChar(&explained.document, '}');
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(explained.document.data)));
}
