/*-------------------------------------------------------------------------
 *
 * describe.c
 *		What the view actor.method asks the library: which functions are methods,
 *		and where those of a type are.
 *
 * IDENTIFICATION
 *		src/type/describe.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/inval.h"

#include "base/base.h"
#include "time/time.h"
#include "stat/stat.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(actor_is_method);
PG_FUNCTION_INFO_V1(actor_schema_of_type);

/*
 * actor.is_method
 *		Whether a function could be called as a method of a type in its schema.
 */
Datum
actor_is_method(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(actor_method_is_one(PG_GETARG_OID(0)));
}

/*
 * actor.type_schema
 *		The schema of a type; NULL if it has lost it, or there is no such type.
 */
Datum
actor_schema_of_type(PG_FUNCTION_ARGS)
{
	ActorType  *type;

	AcceptInvalidationMessages();
	type = actor_type_find(PG_GETARG_TEXT_PP(0));
	if (type == NULL || !OidIsValid(type->schema_oid))
		PG_RETURN_NULL();
	PG_RETURN_OID(type->schema_oid);
}
