/*-------------------------------------------------------------------------
 *
 * attempt.c
 *		Doing something that may fail without costing the transaction.
 *
 * IDENTIFICATION
 *		src/base/attempt.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/base.h"

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
