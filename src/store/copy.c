/*-------------------------------------------------------------------------
 *
 * copy.c
 *		Values of a result that are needed longer than that.
 *
 * IDENTIFICATION
 *		src/store/copy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/base.h"
#include "store/store.h"

/*
 * actor_copy_text
 *		A value of the last result in the current memory context; NULL for null.
 */
text *
actor_copy_text(uint64 row, int column)
{
	bool		isnull;
	Datum		value = actor_query_result(row, column, &isnull);

	return isnull ? NULL : DatumGetTextPCopy(value);
}

/*
 * actor_copy_jsonb
 *		The same for jsonb.
 */
Jsonb *
actor_copy_jsonb(uint64 row, int column)
{
	bool		isnull;
	Datum		value = actor_query_result(row, column, &isnull);

	return isnull ? NULL : DatumGetJsonbPCopy(value);
}
