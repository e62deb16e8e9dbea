/*-------------------------------------------------------------------------
 *
 * result.c
 *		Results of the server, and what errors say about a session.
 *
 * IDENTIFICATION
 *		http/result.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>

#include "result.h"
#include "util.h"

/*
 * result_is_stale
 *		Whether a prepared statement is gone, or not what it was, so that nothing
 *		has run.  In a method the error would have a context.
 */
bool
result_is_stale(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *function = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

	if (sqlstate == NULL || PQresultErrorField(result, PG_DIAG_CONTEXT) != NULL)
		return false;
	return strcmp(sqlstate, "26000") == 0 || strcmp(sqlstate, "42P05") == 0 ||
		(strcmp(sqlstate, "0A000") == 0 && function != NULL &&
		 strcmp(function, "RevalidateCachedQuery") == 0);
}

/*
 * result_is_missing
 *		Whether a function cannot be called.
 */
bool
result_is_missing(const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return sqlstate != NULL &&
		(strcmp(sqlstate, "42883") == 0 || strcmp(sqlstate, "42501") == 0);
}

/*
 * results_clear
 *		Leaves NULL in place of each.
 */
void
results_clear(PGresult **results, int count)
{
	for (int i = 0; i < count; i++)
	{
		PQclear(results[i]);
		results[i] = NULL;
	}
}

/*
 * connection_message
 *		One line of what libpq says, to be freed.
 */
char *
connection_message(const PGconn *connection)
{
	char	   *message = xstrdup(PQerrorMessage(connection));
	size_t		length;

	for (char *c = message; *c != '\0'; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	length = strlen(message);
	while (length > 0 && message[length - 1] == ' ')
		message[--length] = '\0';
	return message;
}
