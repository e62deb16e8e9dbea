/*-------------------------------------------------------------------------
 *
 * answer.c
 *		The answers to requests, and the table that maps the errors of the
 *		database to HTTP.
 *
 * An error is an object with the members errorCode and message, as Dapr has
 * it, and details where the database has any.
 *
 * IDENTIFICATION
 *		http/answer.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "answer.h"
#include "util.h"

/* where an error comes from */
typedef enum ErrorOrigin
{
	ORIGIN_CALL,				/* the call was refused before a method ran */
	ORIGIN_PAYLOAD,				/* the payload does not fit the method */
	ORIGIN_METHOD,				/* the method has raised it, or what it called */
	ORIGIN_ANY					/* only in the table */
} ErrorOrigin;

/*
 * The first row that fits counts.  A prefix of a SQLSTATE stands for all that
 * begin with it; a NULL code for that of the operation.  What fits no row is
 * 500 with the code of the operation.
 */
static const struct
{
	const char *sqlstate;
	ErrorOrigin origin;
	Route		route;			/* ROUTE_NONE: any */
	int			status;
	const char *code;
}			error_rows[] = {
	/* the database cannot serve anybody now */
	{"08", ORIGIN_ANY, ROUTE_NONE, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE"},
	{"53", ORIGIN_ANY, ROUTE_NONE, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE"},
	{"57P", ORIGIN_ANY, ROUTE_NONE, 503, "ERR_ACTOR_DATABASE_UNAVAILABLE"},
	{"57014", ORIGIN_ANY, ROUTE_NONE, 504, "ERR_ACTOR_TIMEOUT"},
	/* turns and call chains; wherever in the chain it happened */
	{"55006", ORIGIN_ANY, ROUTE_NONE, 409, "ERR_ACTOR_REENTRANCY"},
	{"55P03", ORIGIN_ANY, ROUTE_NONE, 423, "ERR_ACTOR_BUSY"},
	{"40P01", ORIGIN_ANY, ROUTE_NONE, 409, "ERR_ACTOR_CONFLICT"},
	{"40001", ORIGIN_ANY, ROUTE_NONE, 409, "ERR_ACTOR_CONFLICT"},
	{"54000", ORIGIN_ANY, ROUTE_NONE, 500, "ERR_ACTOR_STACK_DEPTH"},
	/* the payload */
	{"", ORIGIN_PAYLOAD, ROUTE_NONE, 400, "ERR_BAD_REQUEST"},
	/* refusals */
	{"42704", ORIGIN_CALL, ROUTE_NONE, 404, "ERR_ACTOR_NO_ADDRESS"},
	{"42883", ORIGIN_CALL, ROUTE_NONE, 404, "ERR_ACTOR_METHOD_NOT_FOUND"},
	{"42501", ORIGIN_CALL, ROUTE_NONE, 403, "ERR_ACTOR_PERMISSION_DENIED"},
	{"28", ORIGIN_CALL, ROUTE_NONE, 403, "ERR_ACTOR_PERMISSION_DENIED"},
	{"42710", ORIGIN_CALL, ROUTE_REMINDER, 409, "ERR_ACTOR_REMINDER_ALREADY_EXISTS"},
	{"42710", ORIGIN_CALL, ROUTE_TIMER, 409, "ERR_ACTOR_TIMER_ALREADY_EXISTS"},
	{"22", ORIGIN_CALL, ROUTE_METHOD, 400, "ERR_BAD_REQUEST"},
	{"22", ORIGIN_CALL, ROUTE_NONE, 400, NULL},
	{"0A000", ORIGIN_CALL, ROUTE_NONE, 400, "ERR_BAD_REQUEST"},
	{"25006", ORIGIN_CALL, ROUTE_NONE, 503, "ERR_ACTOR_READ_ONLY"},
	{"55000", ORIGIN_CALL, ROUTE_NONE, 409, "ERR_ACTOR_NOT_READY"},
	/* what a method has raised, as PostgREST has it */
	{"23505", ORIGIN_METHOD, ROUTE_NONE, 409, NULL},
	{"23503", ORIGIN_METHOD, ROUTE_NONE, 409, NULL},
	{"23P01", ORIGIN_METHOD, ROUTE_NONE, 409, NULL},
	{"23", ORIGIN_METHOD, ROUTE_NONE, 400, NULL},
	{"42501", ORIGIN_METHOD, ROUTE_NONE, 403, NULL},
	{"P0001", ORIGIN_METHOD, ROUTE_NONE, 400, NULL},
};

/* answers --------------------------------------------------------------- */

/*
 * answer_empty
 *		Answers without a body.  Like the others, it replaces an earlier answer.
 */
void
answer_empty(Request *request, int status)
{
	answer_bytes(request, status, NULL, "", 0);
}

void
answer_bytes(Request *request, int status, const char *content_type, const char *bytes,
			 size_t length)
{
	free(request->content);
	request->content = xmalloc(length + 1);
	memcpy(request->content, bytes, length);
	request->content_length = length;
	request->content_type = content_type;
	request->status = status;
}

void
answer_header(Request *request, const char *name, const char *value)
{
	Header	   *header = header_create(name, strlen(name), value, strlen(value));

	header->next = request->headers;
	request->headers = header;
}

/*
 * answer_transfer
 *		Answers with what another has answered, which is taken out of the transfer.
 */
void
answer_transfer(Request *request, Transfer *transfer)
{
	Header	   *passed = NULL;
	Header	  **last = &passed;

	answer_empty(request, transfer->status);
	if (transfer->content.length > 0)
	{
		free(request->content);
		request->content = transfer->content.data;
		request->content_length = transfer->content.length;
		memset(&transfer->content, 0, sizeof(transfer->content));
	}
	while (transfer->headers != NULL)
	{
		Header	   *header = transfer->headers;

		transfer->headers = header->next;
		header->next = NULL;
		/* what we say ourselves, as traceparent, counts; hosts talk among themselves */
		if (strncasecmp(header->name, "actor-host-", 11) == 0 ||
			strcasecmp(header->name, "dapr-reentrancy-id") == 0 ||
			headers_value(request->headers, header->name) != NULL)
			headers_free(header);
		else
		{
			*last = header;
			last = &header->next;
		}
	}
	*last = request->headers;
	request->headers = passed;
}

/*
 * Answers with an error; takes over the reference to the details, which can be
 * NULL.
 */
static void
answer_error_object(Request *request, int status, const char *code, const char *message,
					json_t *details)
{
	json_t	   *object = json_object();
	char	   *text;

	json_object_set_new(object, "errorCode", json_string(code));
	/* what is no UTF-8 cannot be shown */
	if (json_object_set_new(object, "message", json_string(message)) != 0)
		json_object_set_new(object, "message", json_string("the error has no readable message"));
	if (details != NULL)
		json_object_set_new(object, "details", details);
	text = json_dumps(object, JSON_COMPACT);
	if (text == NULL)
		die("out of memory");
	answer_bytes(request, status, "application/json", text, strlen(text));
	free(text);
	json_decref(object);
	if (status == 401)
		answer_header(request, "WWW-Authenticate", "dapr-api-token");
	if (status == 503)
		answer_header(request, "Retry-After", "1");
}

void
answer_error(Request *request, int status, const char *code, const char *format,...)
{
	va_list		arguments;
	char		message[1024];

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	answer_error_object(request, status, code, message, NULL);
}

/*
 * answer_message
 *		As answer_error, with a message of any length, of which only what is text
 *		is shown.
 */
void
answer_message(Request *request, int status, const char *code, const char *message)
{
	answer_error_object(request, status, code, message, NULL);
}

/* errors of the database ------------------------------------------------ */

/*
 * Tells by the context of an error where it was raised.  The library's own
 * lines are the only ones for a payload that does not fit: one for the method,
 * and before it one for the parameter whose conversion has failed.  What could
 * not be committed, because of a deferred constraint perhaps, is of the method,
 * though that has returned.
 */
static ErrorOrigin
error_origin(const Request *request, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *rest;

	if (request->failed_late)
		return ORIGIN_METHOD;
	if (context == NULL || strstr(context, "method \"") == NULL)
		return ORIGIN_CALL;
	rest = strchr(context, '\n');
	if (strncmp(context, "parameter \"", 11) == 0 && rest != NULL &&
		strncmp(rest + 1, "method \"", 8) == 0 && strchr(rest + 1, '\n') == NULL)
		return ORIGIN_PAYLOAD;
	if (strncmp(context, "method \"", 8) == 0 && rest == NULL &&
		sqlstate != NULL && strncmp(sqlstate, "22023", 5) == 0)
		return ORIGIN_PAYLOAD;
	return ORIGIN_METHOD;
}

static void
add_detail(json_t *details, const char *name, const char *value)
{
	if (value != NULL)
		(void) json_object_set_new(details, name, json_string(value));
}

/*
 * The line of a context that names the parameter.  What is behind it is about
 * the method.
 */
static void
add_parameter(json_t *details, const PGresult *result)
{
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);

	if (context != NULL && strncmp(context, "parameter \"", 11) == 0)
		(void) json_object_set_new(details, "context",
								   json_stringn(context, strcspn(context, "\n")));
}

/*
 * The status that a method has chosen: SQLSTATE PTxyz stands for xyz, which
 * must be one of errors because everything was rolled back.  0 if it has not.
 */
static int
chosen_status(const char *sqlstate)
{
	if (strncmp(sqlstate, "PT", 2) != 0 || strspn(sqlstate + 2, "0123456789") != 3 ||
		(sqlstate[2] != '4' && sqlstate[2] != '5'))
		return 0;
	return atoi(sqlstate + 2);
}

/*
 * Whether a call was refused because the actor is paused, which will pass.
 */
static bool
is_paused(const char *sqlstate, const char *message)
{
	const char	ending[] = " is paused";
	size_t		length = message != NULL ? strlen(message) : 0;

	return strcmp(sqlstate, "55000") == 0 && length > strlen(ending) &&
		strcmp(message + length - strlen(ending), ending) == 0;
}

/*
 * Finds status and code of an error.
 */
static int
find_status(const Request *request, const char *sqlstate, ErrorOrigin origin, const char **code)
{
	int			chosen = origin == ORIGIN_METHOD ? chosen_status(sqlstate) : 0;

	*code = request->operation->error_code;
	for (size_t i = 0; chosen == 0 && i < lengthof(error_rows); i++)
		if (strncmp(sqlstate, error_rows[i].sqlstate, strlen(error_rows[i].sqlstate)) == 0 &&
			(error_rows[i].origin == ORIGIN_ANY || error_rows[i].origin == origin) &&
			(error_rows[i].route == ROUTE_NONE ||
			 error_rows[i].route == request->operation->route))
		{
			if (error_rows[i].code != NULL)
				*code = error_rows[i].code;
			return error_rows[i].status;
		}
	return chosen != 0 ? chosen : 500;
}

/*
 * answer_sql_error
 *		Answers with an error of the database.
 */
void
answer_sql_error(Request *request, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	ErrorOrigin origin = error_origin(request, result);
	const char *code;
	int			status;
	json_t	   *details = json_object();

	if (sqlstate == NULL)
		sqlstate = "XX000";
	status = find_status(request, sqlstate, origin, &code);
	/* our own statement is wrong there: the extension is gone, or another one */
	if (PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION) != NULL)
	{
		status = 503;
		code = "ERR_ACTOR_DATABASE_UNAVAILABLE";
	}
	else if (origin == ORIGIN_CALL)
		snprintf(request->refusal, sizeof(request->refusal), "%s", sqlstate);
	add_detail(details, "sqlstate", sqlstate);
	add_detail(details, "detail", PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
	add_detail(details, "hint", PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
	add_parameter(details, result);
	answer_error_object(request, status, code,
						message != NULL ? message : "unknown error", details);
	if (origin == ORIGIN_CALL && is_paused(sqlstate, message))
		answer_header(request, "Retry-After", "1");
}
