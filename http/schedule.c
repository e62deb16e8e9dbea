/*-------------------------------------------------------------------------
 *
 * schedule.c
 *		Reminders and timers.
 *
 * Their members are those of Dapr, and unknown ones are ignored as there.  The
 * data go to the database as they were sent, and come back as it stores them.
 *
 * IDENTIFICATION
 *		http/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "answer.h"
#include "call.h"
#include "duration.h"
#include "options.h"
#include "schedule.h"
#include "types.h"
#include "util.h"

/* what the body of a request asks for; NULL: absent */
typedef struct Schedule
{
	char	   *due_time;
	char	   *period;
	char	   *ttl;
	char	   *method;
	char	   *data;
	char	   *failure_policy;
	char	   *catch_up;
	const char *overwrite;
} Schedule;

/* reading --------------------------------------------------------------- */

/*
 * SDKs that cannot leave out a due time, a period or a ttl say so with a
 * duration that makes no sense there.
 */
static void
leave_out(Schedule *schedule)
{
	char	  **ends[] = {&schedule->period, &schedule->ttl};

	if (schedule->due_time != NULL && duration_sign(schedule->due_time) < 0)
	{
		free(schedule->due_time);
		schedule->due_time = xstrdup("0s");
	}
	for (size_t i = 0; i < lengthof(ends); i++)
		if (*ends[i] != NULL && duration_sign(*ends[i]) == 0)
		{
			free(*ends[i]);
			*ends[i] = NULL;
		}
}

static bool
read_overwrite(Request *request, const JsonDocument *document, Schedule *schedule)
{
	const JsonSpan *span = json_member(document, "overwrite");

	schedule->overwrite = "true";
	if (span == NULL || span_is_null(span))
		return true;
	if (span->start[0] != 't' && span->start[0] != 'f')
		return malformed_member(request, "overwrite", "must be true or false");
	if (span->start[0] == 'f')
		schedule->overwrite = "false";
	return true;
}

static bool
read_members(Request *request, const JsonDocument *document, Schedule *schedule)
{
	schedule->data = copy_member(document, "data", true);
	schedule->failure_policy = copy_member(document, "failurePolicy", false);
	return read_time_member(request, document, "dueTime", &schedule->due_time) &&
		read_time_member(request, document, "period", &schedule->period) &&
		read_time_member(request, document, "ttl", &schedule->ttl) &&
		read_text_member(request, document, "callback", &schedule->method) &&
		read_text_member(request, document, "catchUp", &schedule->catch_up) &&
		read_overwrite(request, document, schedule);
}

/*
 * Without a due time, that of a hosted type is one period from now, as in Dapr.  A
 * period that names instants does so by itself.
 */
static void
default_due_time(const Request *request, Schedule *schedule)
{
	const char *period = schedule->period;

	if (schedule->due_time != NULL || period == NULL || options.app == NULL ||
		!type_is_hosted(request->actor_type))
		return;
	/* how often it is repeated is no part of its length */
	if ((period[0] == 'R' || period[0] == 'r') && strchr(period, '/') != NULL)
		period = strchr(period, '/') + 1;
	if (strncmp(period, "@every ", 7) == 0)
		period += 7;
	if (strchr(period, ' ') == NULL && period[0] != '@')
		schedule->due_time = xstrdup(period);
}

/*
 * Reads the body.  Returns false, and has answered, if it is not as it should
 * be.  The schedule is to be released in any case.
 */
static bool
read_schedule(Request *request, Schedule *schedule)
{
	JsonDocument document;
	bool		complete;

	memset(schedule, 0, sizeof(*schedule));
	if (!read_object(request, &document))
		return false;
	complete = read_members(request, &document, schedule);
	json_release(&document);
	leave_out(schedule);
	/* an empty name is none */
	if (schedule->method != NULL && schedule->method[0] == '\0')
	{
		free(schedule->method);
		schedule->method = NULL;
	}
	default_due_time(request, schedule);
	return complete;
}

static void
release_schedule(Schedule *schedule)
{
	free(schedule->due_time);
	free(schedule->period);
	free(schedule->ttl);
	free(schedule->method);
	free(schedule->data);
	free(schedule->failure_policy);
	free(schedule->catch_up);
}

/* registering ----------------------------------------------------------- */

void
handle_set_reminder(Request *request, Session *session)
{
	Schedule	schedule;

	if (read_schedule(request, &schedule))
	{
		const char *values[] = {
			request->actor_type, request->actor_id, request->name,
			schedule.due_time, schedule.period, schedule.ttl, schedule.data,
			schedule.method, schedule.failure_policy,
			schedule.catch_up != NULL ? schedule.catch_up : "one", schedule.overwrite
		};

		call_without_result(request, session,
							"SELECT @.actor_set_reminder($1::pg_catalog.text, $2::pg_catalog.text,"
							" $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text,"
							" $6::pg_catalog.text, $7::pg_catalog.jsonb, $8::pg_catalog.text,"
							" $9::pg_catalog.jsonb, $10::pg_catalog.text, $11::pg_catalog.bool)",
							lengthof(values), values);
	}
	release_schedule(&schedule);
}

void
handle_set_timer(Request *request, Session *session)
{
	Schedule	schedule;

	if (read_schedule(request, &schedule))
	{
		const char *values[] = {
			request->actor_type, request->actor_id, request->name,
			schedule.due_time, schedule.period, schedule.ttl, schedule.data,
			schedule.method, schedule.overwrite
		};

		call_without_result(request, session,
							"SELECT @.actor_set_timer($1::pg_catalog.text, $2::pg_catalog.text,"
							" $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.text,"
							" $6::pg_catalog.text, $7::pg_catalog.jsonb, $8::pg_catalog.text,"
							" $9::pg_catalog.bool)",
							lengthof(values), values);
	}
	release_schedule(&schedule);
}

/* deleting -------------------------------------------------------------- */

void
handle_delete_reminder(Request *request, Session *session)
{
	const char *values[3] = {request->actor_type, request->actor_id, request->name};

	call_without_result(request, session,
						"SELECT @.actor_delete_reminder($1::pg_catalog.text,"
						" $2::pg_catalog.text, $3::pg_catalog.text)", 3, values);
}

void
handle_delete_timer(Request *request, Session *session)
{
	const char *values[3] = {request->actor_type, request->actor_id, request->name};

	call_without_result(request, session,
						"SELECT @.actor_delete_timer($1::pg_catalog.text,"
						" $2::pg_catalog.text, $3::pg_catalog.text)", 3, values);
}

/* showing --------------------------------------------------------------- */

/*
 * Adds a member to an object that is being written; the value is JSON, or text
 * if it has to be quoted.  NULL leaves it out.
 */
static void
add_member(Buffer *buffer, const char *name, const char *value, bool quote)
{
	json_t	   *string;
	char	   *quoted;

	if (value == NULL)
		return;
	buffer_text(buffer, buffer->length > 1 ? ",\"" : "\"");
	buffer_text(buffer, name);
	buffer_text(buffer, "\":");
	if (!quote)
	{
		buffer_text(buffer, value);
		return;
	}
	string = json_string(value);
	quoted = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
	buffer_text(buffer, quoted != NULL ? quoted : "null");
	free(quoted);
	json_decref(string);
}

static const char *
column(const PGresult *result, int number)
{
	return PQgetisnull(result, 0, number) ? NULL : PQgetvalue(result, 0, number);
}

/*
 * Answers with a reminder or timer, as registered.
 */
static void
show(Request *request, Session *session, const char *sql, const char *absent_code)
{
	const char *values[3] = {request->actor_type, request->actor_id, request->name};
	PGresult   *result = call_database(request, session, sql, 3, values);
	const char *data;
	Buffer		buffer = {0};

	if (result == NULL)
		return;
	if (column(result, 0) == NULL)
		answer_error(request, 404, absent_code, "there is no \"%s\" of that actor",
					 request->name);
	else
	{
		buffer_text(&buffer, "{");
		add_member(&buffer, "actorID", request->actor_id, true);
		add_member(&buffer, "actorType", request->actor_type, true);
		add_member(&buffer, "callback", column(result, 0), true);
		add_member(&buffer, "dueTime", column(result, 1), true);
		add_member(&buffer, "period", column(result, 2), true);
		add_member(&buffer, "ttl", column(result, 3), true);
		/* without data, the member is null */
		data = column(result, 4);
		add_member(&buffer, "data", data != NULL && strcmp(data, "null") == 0 ? NULL : data, false);
		buffer_text(&buffer, "}");
		answer_bytes(request, 200, "application/json", buffer.data, buffer.length);
		buffer_free(&buffer);
	}
	PQclear(result);
}

#define SHOWN_COLUMNS \
	"SELECT r OPERATOR(pg_catalog.->>) 'method', r OPERATOR(pg_catalog.->>) 'due_time'," \
	" r OPERATOR(pg_catalog.->>) 'period', r OPERATOR(pg_catalog.->>) 'ttl'," \
	" (r OPERATOR(pg_catalog.->) 'data')::pg_catalog.text FROM "

void
handle_get_reminder(Request *request, Session *session)
{
	show(request, session,
		 SHOWN_COLUMNS "@.actor_get_reminder($1::pg_catalog.text, $2::pg_catalog.text,"
		 " $3::pg_catalog.text) AS r", "ERR_ACTOR_REMINDER_NOT_FOUND");
}

void
handle_get_timer(Request *request, Session *session)
{
	show(request, session,
		 SHOWN_COLUMNS "@.actor_get_timer($1::pg_catalog.text, $2::pg_catalog.text,"
		 " $3::pg_catalog.text) AS r", "ERR_ACTOR_TIMER_NOT_FOUND");
}
