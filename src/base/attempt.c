/*-------------------------------------------------------------------------
 *
 * attempt.c
 *		Doing something that may fail without costing the transaction, and what is
 *		kept of its error.
 *
 * IDENTIFICATION
 *		src/base/attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"

/* longest error texts that are kept */
#define MAX_ERROR_LEN		8192

/*
 * Calls a function in a subtransaction, which is kept if it succeeds and that is
 * wanted.
 */
static ErrorData *
run(void (*body) (void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		body(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/*
 * actor_attempt
 *		Calls a function in a subtransaction.  Returns NULL, or the error that
 *		has rolled it back, in the current memory context.
 */
ErrorData *
actor_attempt(void (*body) (void *arg), void *arg)
{
	return run(body, arg, true);
}

/*
 * actor_rehearse
 *		The same, but it is rolled back whatever comes of it.
 */
ErrorData *
actor_rehearse(void (*body) (void *arg), void *arg)
{
	return run(body, arg, false);
}

/*
 * actor_error_text
 *		Text of an error, clipped to what is kept; NULL for NULL.
 */
text *
actor_error_text(const char *string)
{
	if (string == NULL)
		return NULL;
	return cstring_to_text_with_len(string,
									pg_mbcliplen(string, strlen(string), MAX_ERROR_LEN));
}
