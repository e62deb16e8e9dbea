/*-------------------------------------------------------------------------
 *
 * texts.c
 *		What a check has found, as texts that a statement makes.
 *
 * IDENTIFICATION
 *		src/view/texts.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "view/internal.h"

static void *
read_text(uint64 row)
{
	bool		isnull;

	return text_to_cstring(DatumGetTextPP(actor_query_result(row, 1, &isnull)));
}

/*
 * actor_read_texts
 *		The first column of a statement, which is text, as a list of strings in
 *		the current memory context.
 */
List *
actor_read_texts(ActorQuery *query, Datum *values)
{
	return actor_query_list(query, values, read_text);
}

/*
 * actor_list_texts
 *		The same as one string, as far as texts are listed; NULL if there are
 *		none.
 */
char *
actor_list_texts(ActorQuery *query, Datum *values, const char *separator)
{
	List	   *texts = actor_read_texts(query, values);
	StringInfoData buf;
	ListCell   *cell;
	int			listed = 0;

	if (texts == NIL)
		return NULL;
	initStringInfo(&buf);
	foreach(cell, texts)
	{
		if (listed++ == ACTOR_LISTED_MAX)
			break;
		appendStringInfo(&buf, "%s%s", listed > 1 ? separator : "", (char *) lfirst(cell));
	}
	if (list_length(texts) > ACTOR_LISTED_MAX)
		appendStringInfo(&buf, "%sand %d more", separator,
						 list_length(texts) - ACTOR_LISTED_MAX);
	return buf.data;
}
