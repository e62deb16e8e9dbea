/*-------------------------------------------------------------------------
 *
 * entry.c
 *		Finding where an actor is, and entering its turn: the functions of the
 *		database for that.
 *
 * IDENTIFICATION
 *		http/entry.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "entry.h"
#include "instance.h"
#include "util.h"

/* statements that can be sent before that which enters */
#define MAX_BEFORE			4

/* host, type, id, method, token, chain */
#define HOST_ENTER \
	"SELECT actor.host_enter($1::pg_catalog.uuid, $2::pg_catalog.text," \
	" $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.uuid, $6::pg_catalog.uuid)"
/* those, request id, body, manner, caller */
#define HOST_ENTER_ONCE \
	"SELECT actor.host_enter($1::pg_catalog.uuid, $2::pg_catalog.text," \
	" $3::pg_catalog.text, $4::pg_catalog.text, $5::pg_catalog.uuid, $6::pg_catalog.uuid," \
	" $7::pg_catalog.text," \
	" pg_catalog.sha256($8::pg_catalog.bytea OPERATOR(pg_catalog.||) $9::pg_catalog.bytea)," \
	" $10::pg_catalog.name)"

static const struct
{
	const char *name;
	EntryAction action;
	bool		stale;
}			actions[] = {
	{"run", ENTRY_RUN, false}, {"stale", ENTRY_RUN, true},
	{"elsewhere", ENTRY_ELSEWHERE, false}, {"unplaced", ENTRY_UNPLACED, false},
	{"function", ENTRY_FUNCTION, false},
	{"answered", ENTRY_ANSWERED, false}, {"gone", ENTRY_GONE, false},
	{"failed", ENTRY_GONE, false},
	{"busy", ENTRY_BUSY, false}
};

/* in their order */
static const char *const enter_columns[ENTRY_COLUMNS] = {
	"action", "frame", "at_host", "address", "current", "anew", "held_from",
	"status", "content_type", "headers", "body"
};

/*
 * Cuts off the first field of a row in its text form, in place, and moves on to what
 * is behind it, which is empty after the last one.  Returns NULL for a null.
 */
static char *
cut_field(char **rest)
{
	char	   *field = *rest;
	char	   *from = field;
	char	   *to = field;
	bool		quoted = false;
	bool		null = (*from == ',' || *from == ')');

	while (*from != '\0' && (quoted || (*from != ',' && *from != ')')))
	{
		if (*from == '"' && quoted && from[1] == '"')
			*to++ = *from++;
		else if (*from == '"')
			quoted = !quoted;
		else
		{
			if (*from == '\\' && from[1] != '\0')
				from++;
			*to++ = *from;
		}
		from++;
	}
	*rest = *from == ',' ? from + 1 : from + strlen(from);
	*to = '\0';
	return null ? NULL : field;
}

/*
 * Reads the only column, a row of host_enter.  As one value it costs the server a
 * tenth less than as a table with that row, for which it finds out the columns anew in
 * each call.
 */
static void
read_row(Entry *entry)
{
	char	   *rest;

	entry->row = xstrdup(PQgetvalue(entry->result, 0, 0));
	rest = entry->row + (entry->row[0] == '(');
	for (int i = 0; i < ENTRY_COLUMNS; i++)
		entry->columns[i] = cut_field(&rest);
}

/*
 * entry_column
 *		A column of the result; NULL if that is so, or it has none.
 */
const char *
entry_column(const Entry *entry, const char *name)
{
	int			number;

	for (int i = 0; entry->row != NULL && i < ENTRY_COLUMNS; i++)
		if (strcmp(enter_columns[i], name) == 0)
			return entry->columns[i];
	number = PQfnumber(entry->result, name);
	if (number < 0 || PQntuples(entry->result) == 0 || PQgetisnull(entry->result, 0, number))
		return NULL;
	return PQgetvalue(entry->result, 0, number);
}

static void
copy_column(const Entry *entry, const char *name, char *to, size_t size)
{
	const char *value = entry_column(entry, name);

	to[0] = '\0';
	if (value != NULL)
		strncat(to, value, size - 1);
}

/*
 * entry_read
 *		Reads what a function has said, whose result and reason are taken over.
 */
void
entry_read(Entry *entry, const char *host_id, QueryOutcome outcome, PGresult *result,
		   char *reason)
{
	const char *action;
	const char *anew;

	memset(entry, 0, sizeof(*entry));
	strncat(entry->host_id, host_id, UUID_SIZE - 1);
	entry->result = result;
	entry->reason = reason;
	entry->action = ENTRY_UNAVAILABLE;
	if (outcome != QUERY_ANSWERED)
		return;
	entry->action = ENTRY_ERROR;
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		return;
	if (PQnfields(result) == 1 && PQntuples(result) == 1 && strcmp(PQfname(result, 0), "host_enter") == 0)
		read_row(entry);
	action = entry_column(entry, "action");
	for (size_t i = 0; i < lengthof(actions) && action != NULL; i++)
		if (strcmp(actions[i].name, action) == 0)
		{
			entry->action = actions[i].action;
			entry->stale = actions[i].stale;
		}
	copy_column(entry, "current", entry->token, sizeof(entry->token));
	copy_column(entry, "frame", entry->frame, sizeof(entry->frame));
	entry->address = entry_column(entry, "address");
	entry->held_from = entry_column(entry, "held_from");
	anew = entry_column(entry, "anew");
	if (entry->action == ENTRY_ELSEWHERE)
		entry->stale = anew != NULL && anew[0] == 't';
}

/*
 * entry_place
 *		Finds where an actor is, or places it, in a transaction of its own.  The
 *		action is ENTRY_RUN if it is here, or ENTRY_ELSEWHERE or what went wrong.
 */
void
entry_place(Session *session, const char *host_id, const char *type, const char *id,
			Entry *entry)
{
	const char *values[] = {host_id, type, id};
	PGresult   *result;
	char	   *reason;
	const char *where;
	QueryOutcome outcome = session_query(session,
										 "SELECT * FROM actor.host_place($1::pg_catalog.uuid,"
										 " $2::pg_catalog.text, $3::pg_catalog.text)",
										 NULL, false, 3, values, &result, &reason);

	entry_read(entry, host_id, outcome, result, reason);
	if (entry->action != ENTRY_ERROR || PQresultStatus(result) != PGRES_TUPLES_OK)
		return;
	where = entry_column(entry, "at_host");
	copy_column(entry, "token", entry->token, sizeof(entry->token));
	if (where != NULL)
		entry->action = strcmp(where, host_id) == 0 ? ENTRY_RUN : ENTRY_ELSEWHERE;
}

/*
 * entry_enter
 *		Takes the turn of an actor, in a transaction; other statements can be sent
 *		before, such as the one that begins it.
 */
void
entry_enter(Session *session, const EntryRequest *request, const Statement *before, int count,
			Entry *entry)
{
	const char *values[] = {
		request->host_id, request->type, request->id, request->method, request->token,
		request->chain_id, request->request_id,
		request->request_id == NULL ? NULL : request->body != NULL ? request->body : "",
		request->request_id == NULL ? NULL : request->manner, request->caller
	};
	const int	lengths[] = {
		0, 0, 0, 0, 0, 0, 0, (int) request->body_length,
		request->manner != NULL ? (int) strlen(request->manner) : 0, 0
	};
	const int	formats[] = {0, 0, 0, 0, 0, 0, 0, 1, 1, 0};
	Statement	statements[MAX_BEFORE + 1];
	PGresult   *results[MAX_BEFORE + 1];
	char	   *reason;
	QueryOutcome outcome;

	for (int i = 0; i < count; i++)
		statements[i] = before[i];
	statements[count] = (Statement)
	{
		.sql = request->request_id != NULL ? HOST_ENTER_ONCE : HOST_ENTER,
		.nvalues = request->request_id != NULL ? (int) lengthof(values) : 6,
		.values = values,.lengths = lengths,.formats = formats
	};
	outcome = session_statements(session, statements, count + 1, results, &reason);
	/* the error is that of the first that has failed */
	for (int i = 0; i < count; i++)
		if (PQresultStatus(results[i]) == PGRES_FATAL_ERROR &&
			PQresultStatus(results[count]) != PGRES_FATAL_ERROR)
		{
			PQclear(results[count]);
			results[count] = results[i];
		}
		else
			PQclear(results[i]);
	entry_read(entry, request->host_id, outcome, results[count], reason);
}

/*
 * entry_take_left
 *		Notes that the application may have an object of an actor from a host before
 *		this one.
 */
void
entry_take_left(const Entry *entry, const char *type, const char *id)
{
	if (entry->held_from != NULL && !self_was(entry->held_from))
		instance_left(type, id);
}

void
entry_clear(Entry *entry)
{
	PQclear(entry->result);
	free(entry->row);
	free(entry->reason);
	memset(entry, 0, sizeof(*entry));
}
