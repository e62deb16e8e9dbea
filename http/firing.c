/*-------------------------------------------------------------------------
 *
 * firing.c
 *		Runs a reminder, timer or message that is due: claims the row, lets the
 *		application run the method, and writes down what has become of it, in one
 *		transaction.
 *
 * What the application has done wrong is a failed attempt: its status and body are
 * the message.  Nobody is to blame if it cannot be reached, or dies meanwhile.
 *
 * IDENTIFICATION
 *		http/firing.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "app.h"
#include "chain.h"
#include "entry.h"
#include "firing.h"
#include "instance.h"
#include "transaction.h"
#include "types.h"
#include "util.h"

/* SQLSTATE of what an application has failed with: external_routine_exception */
#define APPLICATION_ERROR	"38000"
/* how often a firing tries to find where the actor is */
#define MAX_PLACINGS		10

/* bodies ---------------------------------------------------------------- */

static void
add_text(Buffer *body, const char *name, const char *value)
{
	json_t	   *string = json_string(value != NULL ? value : "");
	char	   *quoted = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

	buffer_text(body, body->length > 1 ? ",\"" : "\"");
	buffer_text(body, name);
	buffer_text(body, "\":");
	buffer_text(body, quoted != NULL ? quoted : "\"\"");
	free(quoted);
	json_decref(string);
}

/*
 * The body of the call of a reminder or timer, to be freed.  Without data it has no
 * such member.
 */
static char *
callback_body(const Entry *entry, bool is_timer)
{
	const char *data = entry_column(entry, "data");
	Buffer		body = {0};

	buffer_text(&body, "{");
	if (data != NULL)
	{
		buffer_text(&body, "\"data\":");
		buffer_text(&body, data);
	}
	if (is_timer)
		add_text(&body, "callback", entry_column(entry, "method"));
	add_text(&body, "dueTime", entry_column(entry, "due_time"));
	add_text(&body, "period", entry_column(entry, "period"));
	buffer_text(&body, "}");
	return body.data;
}

/*
 * What the application is to run.
 */
static Work
work_of_entry(const Request *request, const Entry *entry, const Header *headers)
{
	bool		is_timer = strcmp(request->name, "timer") == 0;
	bool		is_message = strcmp(request->name, "message") == 0;
	const char *data = entry_column(entry, "data");
	HostedType	type;
	Work		work = {
		.type = request->actor_type,.id = request->actor_id,
		.prefix = is_message ? "" : is_timer ? "timer/" : "remind/",
		.method = entry_column(entry, is_message ? "method" : "name"),
		.traceparent = entry_column(entry, "traceparent"),
		.with_id = type_find(request->actor_type, &type) && type.reentrant
	};

	if (is_message && data == NULL)
		return work;
	work.headers = headers;
	work.owned_body = is_message ? xstrdup(data) : callback_body(entry, is_timer);
	work.body = work.owned_body;
	work.body_length = strlen(work.body);
	return work;
}

/* ends ------------------------------------------------------------------ */

/*
 * Writes down that an attempt has failed, whose effects are rolled back.
 */
static FiringEnd
write_failure(Session *session, const Entry *entry, const char *sqlstate, const char *message)
{
	const char *values[] = {entry->frame, sqlstate, message};
	const Statement last = {
		.sql = "SELECT actor.host_failed($1::pg_catalog.int4, $2::pg_catalog.text,"
			" $3::pg_catalog.text)",.nvalues = 3,.values = values
	};

	return turn_commit(NULL, session, &last, NULL) ? FIRING_DONE : FIRING_ERROR;
}

/*
 * Rolls back what the application has done, but not the claim, and writes that down.
 */
static FiringEnd
fail(Session *session, const Entry *entry, CallEnd end, const Chain *chain)
{
	const Statement undo = {.sql = "ROLLBACK TO SAVEPOINT actor_firing"};
	PGresult   *result;
	char	   *reason;
	char	   *message;
	FiringEnd	firing_end;

	if (session_statements(session, &undo, 1, &result, &reason) != QUERY_ANSWERED ||
		PQresultStatus(result) != PGRES_COMMAND_OK)
	{
		PQclear(result);
		free(reason);
		turn_roll_back(session);
		return FIRING_ERROR;
	}
	PQclear(result);
	message = end == CALL_UNDONE ? xstrdup(chain->undone) : call_error(end, chain->answer);
	if (!utf8_valid(message, strlen(message)))
	{
		free(message);
		message = xprintf("error from actor service: (%d)", chain->answer->status);
	}
	firing_end = write_failure(session, entry, APPLICATION_ERROR, message);
	free(message);
	return firing_end;
}

/*
 * Lets the application run what is claimed.  If that can only not be committed, the
 * error is returned, too.
 */
static FiringEnd
run(Request *request, Session *session, const char *chain_id, const Entry *entry,
	PGresult **error)
{
	char		name[] = "Content-Type";
	char		value[] = "application/json";
	Header		content_type = {.name = name,.value = value};
	const char *frame[] = {entry->frame};
	const Statement last = {
		.sql = "SELECT actor.host_fired($1::pg_catalog.int4)",.nvalues = 1,.values = frame
	};
	Work		work = work_of_entry(request, entry, &content_type);
	Chain		chain;
	CallEnd		end;
	FiringEnd	firing_end;
	bool		good = false;

	chain_open(&chain, session, chain_id);
	end = chain_run(&chain, &work, entry);
	if (end == CALL_ANSWERED)
	{
		good = turn_commit(NULL, session, &last, error);
		firing_end = good ? FIRING_DONE : FIRING_ERROR;
	}
	/* whether it has died is known by who is there now */
	else if (end == CALL_NOT_SENT || (end == CALL_LOST && !app_is_same()))
	{
		turn_roll_back(session);
		firing_end = FIRING_UNREACHABLE;
	}
	else if (end == CALL_CANCELLED || end == CALL_NO_SESSION)
	{
		turn_roll_back(session);
		firing_end = FIRING_ERROR;
	}
	else
		firing_end = fail(session, entry, end, &chain);
	chain_close(&chain, good);
	return firing_end;
}

/* claiming -------------------------------------------------------------- */

/*
 * Takes the turn of the actor and the row, with a savepoint behind it.
 */
static bool
claim(Request *request, Session *session, const char *host_id, Entry *entry)
{
	const Firing *firing = request->job;
	char		token[UUID_SIZE];
	bool		known = instance_token(request->actor_type, request->actor_id, token);
	const char *values[] = {host_id, known ? token : NULL, firing->due};
	Statement	statements[5];
	PGresult   *results[5];
	int			count;
	char	   *reason;
	QueryOutcome outcome;

	if (!turn_begin(session, NULL, statements, &count, &reason))
	{
		free(reason);
		return false;
	}
	statements[count] = (Statement)
	{
		.sql = "SELECT * FROM actor.host_claim($1::pg_catalog.uuid, $2::pg_catalog.uuid,"
			" $3::pg_catalog.jsonb)",.nvalues = 3,.values = values
	};
	statements[count + 1] = (Statement)
	{
		.sql = "SAVEPOINT actor_firing"
	};
	outcome = session_statements(session, statements, count + 2, results, &reason);
	for (int i = 0; i < count + 2; i++)
		if (i != count)
			PQclear(results[i]);
	entry_read(entry, host_id, outcome, results[count], reason);
	return true;
}

/*
 * The transaction of a firing that had gone well could not be committed: that is a
 * failed attempt, which is written down in another one.
 */
static FiringEnd
fail_late(Request *request, Session *session, const char *host_id, PGresult *error)
{
	const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
	FiringEnd	end = FIRING_ERROR;
	Entry		entry;

	if (sqlstate == NULL || message == NULL || !claim(request, session, host_id, &entry))
		return FIRING_ERROR;
	if (entry.action == ENTRY_RUN)
		end = write_failure(session, &entry, sqlstate, message);
	else
		turn_roll_back(session);
	entry_clear(&entry);
	return end;
}

/*
 * Finds out where an actor is that is nowhere.  Returns whether it is here.
 */
static bool
place(Request *request, Session *session, const char *host_id, FiringEnd *end)
{
	Entry		entry;
	bool		here;

	instance_unplace(request->actor_type, request->actor_id);
	entry_place(session, host_id, request->actor_type, request->actor_id, &entry);
	here = entry.action == ENTRY_RUN;
	if (here)
		instance_place(request->actor_type, request->actor_id, entry.token);
	*end = entry.action == ENTRY_ELSEWHERE ? FIRING_ELSEWHERE : FIRING_ERROR;
	entry_clear(&entry);
	return here;
}

/*
 * Commits what the claim has done, which is all there was to do.
 */
static FiringEnd
finish(Session *session)
{
	const Statement release = {.sql = "RELEASE SAVEPOINT actor_firing"};

	return turn_commit(NULL, session, &release, NULL) ? FIRING_DONE : FIRING_ERROR;
}

/*
 * Tries once.  Returns false if the actor has been placed meanwhile.
 */
static bool
try_firing(Request *request, Session *session, const char *host_id, FiringEnd *end)
{
	char		chain_id[UUID_SIZE];
	PGresult   *error = NULL;
	Entry		entry;
	EntryAction action;

	*end = FIRING_ERROR;
	if (!claim(request, session, host_id, &entry))
		return true;
	action = entry.action;
	chain_id_create(chain_id);
	/* the session may have ended, and the turn with it, while this has waited */
	if (action == ENTRY_RUN &&
		turn_wait_free(request->actor_type, request->actor_id, chain_id) &&
		session_alive(session))
		*end = run(request, session, chain_id, &entry, &error);
	else if (action == ENTRY_GONE)
		*end = finish(session);
	else
		turn_roll_back(session);
	if (action == ENTRY_BUSY || (action == ENTRY_RUN && *end == FIRING_ERROR && error == NULL))
		*end = FIRING_BUSY;
	else if (action == ENTRY_ELSEWHERE)
		*end = FIRING_ELSEWHERE;
	entry_clear(&entry);
	if (error != NULL)
		*end = fail_late(request, session, host_id, error);
	PQclear(error);
	return action != ENTRY_UNPLACED || !place(request, session, host_id, end);
}

/*
 * handle_firing
 *		Runs what is due, once, and says what has become of it.
 */
void
handle_firing(Request *request, Session *session)
{
	Firing	   *firing = request->job;
	char		host_id[UUID_SIZE];

	firing->end = FIRING_UNREACHABLE;
	if (!self_is_ready() || !self_id(host_id))
		return;
	if (turn_must_wait(request->actor_type, request->actor_id))
	{
		firing->end = FIRING_BUSY;
		return;
	}
	for (int i = 0; i < MAX_PLACINGS; i++)
		if (try_firing(request, session, host_id, &firing->end))
			break;
}
