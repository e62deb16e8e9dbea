/*-------------------------------------------------------------------------
 *
 * dashboard.c
 *		What the page for operators shows and does: each view and each command is
 *		one statement, which returns one JSON value.
 *
 * The role of the page decides what is there: the views, policies and functions
 * of the extension show each what he may see, and refuse what he may not do.
 * None of the statements costs more for more actors, reminders or messages.
 *
 * Numbers that a browser would round, such as ids of failures, and values of
 * users go out as text.
 *
 * IDENTIFICATION
 *		http/dashboard.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "call.h"
#include "dashboard.h"
#include "json.h"
#include "util.h"

#define MAX_ARGUMENTS		4

/* most rows of a list, and of one of an actor; most bytes of a value of a user */
#define LIST_MAX			"100"
#define OF_ACTOR_MAX		"50"
#define VALUE_MAX			"20000"

#define EQ					" OPERATOR(pg_catalog.=) "
#define LT					" OPERATOR(pg_catalog.<) "
#define GT					" OPERATOR(pg_catalog.>) "
#define MINUS				" OPERATOR(pg_catalog.-) "

#define OBJECT(members)		"pg_catalog.json_build_object(" members ")"
#define MEMBER(name, value)	"'" name "'::pg_catalog.text, " value
#define LIST(query)			"(SELECT COALESCE(pg_catalog.json_agg(v), '[]'::pg_catalog.json) FROM (" query ") v)"
#define ROW(query)			"(SELECT pg_catalog.row_to_json(v) FROM (" query ") v)"
#define SECONDS(from, to)	"pg_catalog.date_part('epoch', " to MINUS from ")"
#define CUT(value)			"pg_catalog.left(" value "::pg_catalog.text, " VALUE_MAX ")"
#define NOW					"pg_catalog.clock_timestamp()"

/* a query of $1 and $2, type and id */
#define OF_ACTOR(row)		row ".actor_type" EQ "$1 AND " row ".actor_id" EQ "$2"

/*
 * Those that are tried first, of the first ones in the order of their key: what holds up
 * others is among these.  What the role may see of them is looked up for each, as a
 * plan for all would read those of the actor, however many there are; and policies let
 * an index be used for a key, but not for what makes one of a text.
 */
#define PENDING(kind, key, column) \
	"(SELECT * FROM (SELECT p.*, " key " AS key FROM actor.pending p" \
	"  WHERE p.kind" EQ "'" kind "' AND " OF_ACTOR("p") " LIMIT 1000) p" \
	"  ORDER BY p.next_try_at, p.key LIMIT " OF_ACTOR_MAX ") p" \
	" LEFT JOIN LATERAL (SELECT * FROM actor." kind " w" \
	"  WHERE " OF_ACTOR("w") " AND w." column EQ "p.key LIMIT 1) w ON true" \
	" ORDER BY p.next_try_at, p.key"

/* subscriptions of a topic, and the topics of a type that have some: an index leads to each */
#define OF_TOPIC \
	"s.topic_type" EQ "o.actor_type AND s.topic_id" EQ "t.topic_id AND s.topic" EQ "t.topic"
#define NEXT_TOPIC(condition) \
	"SELECT s.topic_id, s.topic FROM actor.subscription s WHERE s.topic_type" EQ "o.actor_type" condition \
	" ORDER BY s.topic_id, s.topic LIMIT 1"
#define TOPICS \
	"WITH RECURSIVE t AS ((" NEXT_TOPIC("") ") UNION ALL SELECT n.* FROM t CROSS JOIN LATERAL (" \
	NEXT_TOPIC(" AND ROW(s.topic_id, s.topic)" GT "ROW(t.topic_id, t.topic)") ") n)" \
	" SELECT t.topic_id, t.topic FROM t LIMIT " OF_ACTOR_MAX

/* what is kept of the events of a topic */
#define EVENT_OF_TOPIC(way) \
	"(SELECT e.published_at FROM actor.event e WHERE e.actor_type" EQ "o.actor_type AND e.actor_id" EQ "t.topic_id" \
	"   AND e.topic" EQ "t.topic ORDER BY e.event_id " way " LIMIT 1)"
#define KEPT \
	"SELECT r.last_event, " EVENT_OF_TOPIC("DESC") " AS last_published, " EVENT_OF_TOPIC("ASC") " AS oldest_kept" \
	" FROM actor.stream r WHERE r.actor_type" EQ "o.actor_type AND r.actor_id" EQ "t.topic_id AND r.topic" EQ "t.topic"

#define SHOWN_TURN \
	"t.pid, t.actor_type, t.actor_id, t.method, t.state, t.since," \
	" " SECONDS("t.since", NOW) " AS seconds, t.chain, a.usename AS role_name," \
	" a.application_name, a.client_addr::pg_catalog.text AS client, a.state AS session" \
	" FROM actor.turn t LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid" EQ "t.pid"

#define SHOWN_FAILURE \
	"g.failure_id::pg_catalog.text AS failure_id, g.kind, g.actor_type, g.actor_id, g.name," \
	" g.method, g.role_name, g.scheduled_at, g.failed_at, g.attempts, g.sqlstate," \
	" f.message, f.detail, f.failure_id IS NOT NULL AS own"
#define JOIN_FAILURE \
	" LEFT JOIN actor.failure f ON f.actor_type" EQ "g.actor_type AND f.actor_id" EQ "g.actor_id" \
	" AND f.failure_id" EQ "g.failure_id"

#define SHOWN_METHOD \
	"SELECT actor_type, method, calls, errors, total_ms, mean_ms, p50_ms, p95_ms, max_ms," \
	" wait_ms FROM actor.method_stat ORDER BY "

/* something to show; the arguments are parameters of the query, absent ones are null */
typedef struct View
{
	const char *name;
	const char *sql;
	const char *arguments[MAX_ARGUMENTS];
} View;

static const View views[] = {
	{"session",
		"SELECT " OBJECT(MEMBER("role", "current_user") ", " MEMBER("database", "pg_catalog.current_database()") ", "
						 MEMBER("server", "pg_catalog.current_setting('server_version')") ", "
						 MEMBER("extension", "(SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname" EQ "'actor')") ", "
						 MEMBER("monitor", "pg_catalog.pg_has_role('pg_monitor', 'USAGE')") ", "
						 MEMBER("standby", "pg_catalog.pg_is_in_recovery()") ", "
						 MEMBER("now", NOW))},
	{"types",
		"SELECT " LIST("SELECT t.actor_type, t.schema_name, t.owner_name, t.hosted, t.turn, t.history,"
					   " o.actor_type IS NOT NULL AS own, s.active, s.reminders, s.timers, s.messages, s.due,"
					   " " SECONDS("s.oldest_due", NOW) " AS oldest_due_s, s.failures, s.paused, s.pauses, s.counted_max"
					   " FROM actor.type_status s JOIN actor.type t ON t.actor_type" EQ "s.actor_type"
					   " LEFT JOIN actor.owned_type o ON o.actor_type" EQ "t.actor_type ORDER BY t.actor_type")},
	{"methods",
		"SELECT " OBJECT(MEMBER("busiest", LIST(SHOWN_METHOD "calls DESC, actor_type, method LIMIT 20")) ", "
						 MEMBER("slowest", LIST(SHOWN_METHOD "p95_ms DESC NULLS LAST, actor_type, method LIMIT 20")) ", "
						 MEMBER("hot", LIST("SELECT h.actor_type, h.actor_id, h.waits, h.wait_ms FROM actor.hot_actor h"
											" ORDER BY h.wait_ms DESC LIMIT 20")))},
	/* who has waited, and who has had a turn, for longest */
	{"turns",
		"SELECT " LIST("SELECT " SHOWN_TURN " ORDER BY t.since LIMIT 1000")},
	{"due",
		"SELECT " OBJECT(MEMBER("now", NOW) ", "
						 MEMBER("counts", LIST("SELECT c.kind, c.due_from, c.due_until, c.due, c.estimated"
											   " FROM @.actor_due_counts($1::pg_catalog.interval, $2::pg_catalog.int4) c")) ", "
						 MEMBER("late", LIST("SELECT d.*, " SECONDS("d.next_try_at", NOW) " AS late_s"
											 " FROM @.actor_due(" NOW ", " OF_ACTOR_MAX ") d")) ", "
						 MEMBER("retried", LIST("SELECT d.* FROM @.actor_due('infinity', " OF_ACTOR_MAX ", min_attempt => 2) d")) ", "
						 MEMBER("held", LIST("SELECT d.* FROM @.actor_due('infinity', " OF_ACTOR_MAX ", since => 'infinity') d")) ", "
						 MEMBER("next", LIST("SELECT d.* FROM @.actor_due('infinity', 20, since => " NOW ") d"
											 " WHERE d.next_try_at" LT "'infinity'::pg_catalog.timestamptz"))),
		{"step", "steps"}},
	{"failures",
		"SELECT " LIST("SELECT " SHOWN_FAILURE
					   " FROM (SELECT g.* FROM actor.given_up g"
					   "  WHERE g.failure_id" LT "COALESCE($2::pg_catalog.int8, 9223372036854775807)"
					   "    AND ($1::pg_catalog.text IS NULL OR g.actor_type" EQ "$1)"
					   "  ORDER BY g.failure_id DESC LIMIT " LIST_MAX ") g" JOIN_FAILURE
					   " ORDER BY g.failure_id DESC"),
		{"type", "before"}},
	{"hosts",
		"SELECT " OBJECT(MEMBER("hosts", LIST("SELECT h.host_id, h.app_id, h.app_address, h.address, h.role_name,"
											  " h.actor_types, h.since, h.alive, h.reachable, h.placements"
											  " FROM actor.host_status h ORDER BY h.since LIMIT " LIST_MAX)) ", "
						 MEMBER("workers", LIST("SELECT w.pid, w.kind, w.database, w.role_name, w.started_at, w.last_active_at,"
												" w.fired, w.failed, w.backlog, " SECONDS("w.oldest_due", NOW) " AS oldest_due_s,"
												" w.p50_late_ms, w.p99_late_ms FROM actor.worker w ORDER BY w.kind DESC, w.started_at")))},
	{"events",
		"SELECT " OBJECT(MEMBER("waiting", "(SELECT pg_catalog.count(*) FROM (SELECT FROM actor.fan_out_status LIMIT 1000) f)") ", "
						 /* of each all subscribers are counted */
						 MEMBER("handed_out", LIST("SELECT f.actor_type, f.actor_id, f.topic, f.published_at, f.subscribers_left"
												   " FROM (SELECT * FROM actor.fan_out_status LIMIT 3) f ORDER BY f.published_at")) ", "
						 MEMBER("runs", LIST("SELECT e.each_id, e.actor_type, e.method, e.role_name, e.batch, e.sent, e.last_id,"
											 " e.started_at, e.moved_at, e.finished_at FROM actor.each_status e"
											 " ORDER BY e.finished_at DESC NULLS FIRST, e.started_at DESC LIMIT " OF_ACTOR_MAX)) ", "
						 MEMBER("kept", LIST("SELECT t.actor_type, t.topic, t.retention::pg_catalog.text AS retention FROM actor.topic t"
											 " ORDER BY t.actor_type, t.topic LIMIT " LIST_MAX)) ", "
						 MEMBER("topics", LIST("SELECT o.actor_type, t.topic_id AS actor_id, t.topic,"
											   " (SELECT pg_catalog.count(*) FROM (SELECT FROM actor.subscription s WHERE " OF_TOPIC
											   "   LIMIT 1000) c) AS subscribers, k.last_event, k.last_published, k.oldest_kept"
											   " FROM actor.owned_type o CROSS JOIN LATERAL (" TOPICS ") t"
											   " LEFT JOIN LATERAL (" KEPT ") k ON true LIMIT " OF_ACTOR_MAX)))},
	{"doctor",
		"SELECT " LIST("SELECT d.check_name, d.ok, d.detail, d.hint FROM @.actor_doctor() d")},
	{"actors",
		"SELECT " LIST("SELECT a.actor_id, a.active, a.paused, a.failed"
					   " FROM @.actor_find($1::pg_catalog.text, COALESCE($2::pg_catalog.text, ''), $3::pg_catalog.text, " LIST_MAX ") a"),
		{"type", "prefix", "after"}},
	{"actor",
		"SELECT " OBJECT(MEMBER("actor_type", "$1::pg_catalog.text") ", " MEMBER("actor_id", "$2::pg_catalog.text") ", "
						 MEMBER("own", "EXISTS (SELECT FROM actor.owned_type o WHERE o.actor_type" EQ "$1)") ", "
						 MEMBER("history_kept", "(SELECT t.history FROM actor.type t WHERE t.actor_type" EQ "$1)") ", "
						 MEMBER("active", ROW("SELECT a.activated_at, a.last_used_at FROM actor.get_activations($1, $2) a")) ", "
						 MEMBER("paused", LIST("SELECT p.actor_id" EQ "'' AS type, p.paused_at, p.role_name FROM actor.pause p"
											   " WHERE p.actor_type" EQ "$1 AND p.actor_id" EQ "ANY (ARRAY['', $2])")) ", "
						 MEMBER("host", ROW("SELECT h.host_id, h.address, h.alive FROM actor.placement p JOIN actor.host_status h"
											" ON h.host_id" EQ "p.host_id::pg_catalog.text WHERE " OF_ACTOR("p"))) ", "
						 MEMBER("turns", LIST("SELECT " SHOWN_TURN " WHERE " OF_ACTOR("t") " ORDER BY t.since LIMIT " LIST_MAX)) ", "
						 MEMBER("state", LIST("SELECT s.key, " CUT("s.value") " AS value,"
											  " pg_catalog.length(s.value::pg_catalog.text)" GT VALUE_MAX " AS cut,"
											  " pg_catalog.jsonb_typeof(s.value) AS kind, s.updated_at, s.expires_at"
											  " FROM actor.state s WHERE " OF_ACTOR("s")
											  " AND (s.expires_at IS NULL OR s.expires_at" GT NOW ") ORDER BY s.key LIMIT " LIST_MAX)) ", "
						 MEMBER("reminders", LIST("SELECT p.name, p.method, p.role_name, p.scheduled_at, p.next_try_at, p.attempt,"
												  " w.due_time, w.period, w.remaining, w.fired, w.last_fired_at, w.last_ok_at, w.last_ms,"
												  " w.last_error, " CUT("w.data") " AS data, w.name IS NOT NULL AS own"
												  " FROM " PENDING("reminder", "p.name", "name"))) ", "
						 MEMBER("timers", LIST("SELECT t.name, t.method, t.role_name, t.scheduled_at, t.next_try_at, t.attempt"
											   " FROM actor.get_timers($1, $2) t ORDER BY t.next_try_at, t.name LIMIT " OF_ACTOR_MAX)) ", "
						 MEMBER("messages", LIST("SELECT p.name AS message_id, p.method, p.role_name, p.scheduled_at, p.next_try_at, p.attempt,"
												 " w.sent_at, w.last_error, " CUT("w.payload") " AS payload, w.message_id IS NOT NULL AS own"
												 " FROM " PENDING("message", "p.name::pg_catalog.int8", "message_id"))) ", "
						 MEMBER("subscriptions", LIST("SELECT s.topic_type, s.topic_id, s.topic, s.method, s.role_name, s.subscribed_at"
													  " FROM actor.subscription s WHERE " OF_ACTOR("s")
													  " ORDER BY s.topic_type, s.topic_id, s.topic LIMIT " OF_ACTOR_MAX)) ", "
						 MEMBER("streams", LIST("SELECT r.topic, r.last_event FROM actor.stream r WHERE " OF_ACTOR("r")
												" ORDER BY r.topic LIMIT " OF_ACTOR_MAX)) ", "
						 /* not the token, with which it can be resolved */
						 MEMBER("promises", LIST("SELECT p.method, p.role_name, p.created_at, p.expires_at FROM"
												 " (SELECT * FROM actor.promise p WHERE " OF_ACTOR("p") " LIMIT 1000) p"
												 " ORDER BY p.created_at LIMIT " OF_ACTOR_MAX)) ", "
						 MEMBER("failures", LIST("SELECT " SHOWN_FAILURE ", " CUT("f.payload") " AS payload, f.context FROM actor.given_up g" JOIN_FAILURE
												 " WHERE " OF_ACTOR("g") " ORDER BY g.failure_id DESC LIMIT " OF_ACTOR_MAX)) ", "
						 MEMBER("history", LIST("SELECT h.history_id::pg_catalog.text AS history_id, h.started_at, h.duration_ms, h.kind, h.name, h.method,"
												" h.attempt, h.ran_as, h.sqlstate, h.message,"
												" (SELECT pg_catalog.json_agg(" OBJECT(MEMBER("key", "c.key") ", "
																					   MEMBER("old", "pg_catalog.left(c.old_value::pg_catalog.text, 200)") ", "
																					   MEMBER("new", "pg_catalog.left(c.new_value::pg_catalog.text, 200)")) " ORDER BY c.change_id)"
												"    FROM actor.history_change c WHERE " OF_ACTOR("c") " AND c.history_id" EQ "h.history_id) AS changes"
												" FROM actor.history h WHERE " OF_ACTOR("h") " ORDER BY h.history_id DESC LIMIT " OF_ACTOR_MAX))),
		{"type", "id"}},
};

/* something to do; arguments are members of the body, of which so many must be there */
typedef struct Command
{
	const char *name;
	const char *sql;
	const char *arguments[MAX_ARGUMENTS];
	int			required;
	int			json;			/* number of the one that may be any JSON, 0: none */
} Command;

#define CHANGED(call)		"SELECT " OBJECT(MEMBER("changed", call))
#define TYPE_AND_ID			"$1::pg_catalog.text, $2::pg_catalog.text"
#define TRANSACT(operation, request) \
	"SELECT " OBJECT(MEMBER("changed", "true")) \
	" FROM @.actor_transact(" TYPE_AND_ID ", pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object(" \
	MEMBER("operation", "'" operation "'::pg_catalog.text") ", " \
	MEMBER("request", "pg_catalog.jsonb_build_object(" request ")") ")))"

static const Command commands[] = {
	{"pause", CHANGED("@.actor_pause(" TYPE_AND_ID ")"), {"type", "id"}, 1},
	{"resume", CHANGED("@.actor_resume(" TYPE_AND_ID ")"), {"type", "id"}, 1},
	{"deactivate", CHANGED("@.actor_deactivate(" TYPE_AND_ID ")"), {"type", "id"}, 2},
	{"delete", CHANGED("@.actor_delete(" TYPE_AND_ID ")"), {"type", "id"}, 2},
	{"close_turn", CHANGED("@.actor_close_turn(" TYPE_AND_ID ", NULL)"), {"type", "id"}, 2},
	{"retry", CHANGED("@.actor_retry($1::pg_catalog.int8)"), {"failure"}, 1},
	{"discard", CHANGED("@.actor_discard($1::pg_catalog.int8)"), {"failure"}, 1},
	{"delete_reminder", CHANGED("@.actor_delete_reminder(" TYPE_AND_ID ", $3::pg_catalog.text)"),
	{"type", "id", "name"}, 3},
	{"delete_timer", CHANGED("@.actor_delete_timer(" TYPE_AND_ID ", $3::pg_catalog.text)"),
	{"type", "id", "name"}, 3},
	{"cancel_message", CHANGED("@.actor_cancel_message(" TYPE_AND_ID ", $3::pg_catalog.int8)"),
	{"type", "id", "message"}, 3},
	/* a key that expires keeps to that */
	{"set_state",
		TRANSACT("upsert", MEMBER("key", "$3::pg_catalog.text") ", " MEMBER("value", "$4::pg_catalog.jsonb") ", "
				 MEMBER("metadata", "(SELECT CASE WHEN s.expires_at IS NOT NULL THEN pg_catalog.jsonb_build_object("
						MEMBER("ttlInSeconds", "GREATEST(1, pg_catalog.ceil(" SECONDS(NOW, "s.expires_at") "))::pg_catalog.int8::pg_catalog.text")
						") ELSE '{}'::pg_catalog.jsonb END FROM @.actor_get_state(" TYPE_AND_ID ", $3::pg_catalog.text) s)")),
	{"type", "id", "key", "value"}, 4, 4},
	{"remove_state", TRANSACT("delete", MEMBER("key", "$3::pg_catalog.text")), {"type", "id", "key"}, 3},
};

static void
answer_none(Request *request)
{
	answer_error(request, 404, "ERR_NOT_FOUND", "there is nothing at this path");
}

/*
 * Runs a statement and answers with its value.
 */
static void
run(Request *request, Session *session, const char *sql, char **values)
{
	const char *given[MAX_ARGUMENTS];
	int			count = 0;

	/* so many as the statement has */
	for (const char *at = sql; *at != '\0'; at++)
		if (*at == '$' && at[1] - '0' > count)
			count = at[1] - '0';
	for (int i = 0; i < count; i++)
		given[i] = values[i];
	call_with_result(request, session, sql, count, given);
}

/*
 * A parameter of the query, to be freed; NULL if there is none.  What is no text
 * is refused.
 */
static bool
take_parameter(Request *request, const char *name, char **value)
{
	*value = query_value(&request->path.query, name);
	if (*value == NULL ||
		(utf8_valid(*value, strlen(*value)) && strstr(request->target, "%00") == NULL))
		return true;
	answer_error(request, 400, "ERR_BAD_REQUEST",
				 "parameter \"%s\" has characters that are not allowed", name);
	return false;
}

/*
 * handle_view
 *		Answers with what a view shows.
 */
void
handle_view(Request *request, Session *session)
{
	char	   *values[MAX_ARGUMENTS] = {NULL};
	bool		taken = true;

	for (size_t i = 0; i < lengthof(views); i++)
	{
		const View *view = &views[i];

		if (strcmp(view->name, request->name) != 0)
			continue;
		for (int j = 0; j < MAX_ARGUMENTS && view->arguments[j] != NULL && taken; j++)
			taken = take_parameter(request, view->arguments[j], &values[j]);
		if (taken)
			run(request, session, view->sql, values);
		for (int j = 0; j < MAX_ARGUMENTS; j++)
			free(values[j]);
		return;
	}
	answer_none(request);
}

/*
 * Takes what a command needs out of the body.  Returns false, and has answered, if
 * it is not as it should be.
 */
static bool
take_members(Request *request, const Command *command, const JsonDocument *document, char **values)
{
	for (int i = 0; i < MAX_ARGUMENTS && command->arguments[i] != NULL; i++)
	{
		const char *name = command->arguments[i];
		const JsonSpan *span = json_member(document, name);

		if (i + 1 == command->json)
			values[i] = span != NULL ? xstrndup(span->start, span->length) : NULL;
		else if (!read_text_member(request, document, name, &values[i]))
			return false;
		if (values[i] == NULL && i < command->required)
			return malformed_member(request, name, "is missing");
	}
	return true;
}

/*
 * handle_command
 *		Does what a command says.
 */
void
handle_command(Request *request, Session *session)
{
	const Command *command = NULL;
	char	   *values[MAX_ARGUMENTS] = {NULL};
	JsonDocument document;

	for (size_t i = 0; i < lengthof(commands); i++)
		if (strcmp(commands[i].name, request->name) == 0)
			command = &commands[i];
	if (command == NULL)
	{
		answer_none(request);
		return;
	}
	if (!read_object(request, &document))
		return;
	if (take_members(request, command, &document, values))
		run(request, session, command->sql, values);
	json_release(&document);
	for (int i = 0; i < MAX_ARGUMENTS; i++)
		free(values[i]);
}
