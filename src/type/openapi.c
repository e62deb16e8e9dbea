/*-------------------------------------------------------------------------
 *
 * openapi.c
 *		What a type can do, in the form of OpenAPI.
 *
 * The document is made by one statement over the view actor.method.
 *
 * IDENTIFICATION
 *		src/type/openapi.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "stat/stat.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(actor_json_schema);
PG_FUNCTION_INFO_V1(actor_openapi);

/* schemas of types, as JSON; what is not here is a string */
static const struct
{
	Oid			type;
	const char *schema;
}			schemas[] =

{
	{INT2OID, "{\"type\": \"integer\"}"},
	{INT4OID, "{\"type\": \"integer\", \"format\": \"int32\"}"},
	{INT8OID, "{\"type\": \"integer\", \"format\": \"int64\"}"},
	{FLOAT4OID, "{\"type\": \"number\"}"},
	{FLOAT8OID, "{\"type\": \"number\"}"},
	{NUMERICOID, "{\"type\": \"number\"}"},
	{BOOLOID, "{\"type\": \"boolean\"}"},
	{JSONOID, "{}"},
	{JSONBOID, "{}"},
	{RECORDOID, "{\"type\": \"object\"}"},
	{VOIDOID, "{\"nullable\": true}"},
	{UUIDOID, "{\"type\": \"string\", \"format\": \"uuid\"}"},
	{DATEOID, "{\"type\": \"string\", \"format\": \"date\"}"},
	{TIMESTAMPTZOID, "{\"type\": \"string\", \"format\": \"date-time\"}"}
};

static ActorQuery read_labels = {
	"SELECT pg_catalog.jsonb_build_object('type'::pg_catalog.text, 'string'::pg_catalog.text,"
	"  'enum'::pg_catalog.text, pg_catalog.jsonb_agg(enumlabel ORDER BY enumsortorder))::pg_catalog.text"
	" FROM pg_catalog.pg_enum WHERE enumtypid OPERATOR(pg_catalog.=) $1",
	1, {OIDOID}
};

/* $1 is the type, $2 its schema, $3 the role that would call */
static ActorQuery read_document = {
	"SELECT pg_catalog.jsonb_build_object("
	" 'openapi'::pg_catalog.text, '3.0.3'::pg_catalog.text,"
	" 'info'::pg_catalog.text, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
	" 'title'::pg_catalog.text, $1, 'version'::pg_catalog.text, '1'::pg_catalog.text,"
	" 'description'::pg_catalog.text,"
	" pg_catalog.obj_description($2, 'pg_namespace'))),"
	" 'paths'::pg_catalog.text, COALESCE(("
	" SELECT pg_catalog.jsonb_object_agg("
	" pg_catalog.concat('/v1.0/actors/', $1, '/{actorId}/method/', m.method),"
	" pg_catalog.jsonb_build_object("
	" 'parameters'::pg_catalog.text,"
	" '[{\"name\": \"actorId\", \"in\": \"path\", \"required\": true, \"schema\": {\"type\": \"string\"}}]'::pg_catalog.jsonb,"
	" 'post'::pg_catalog.text, pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
	" 'operationId'::pg_catalog.text, m.method,"
	" 'summary'::pg_catalog.text, m.comment,"
	" 'x-read-only'::pg_catalog.text, m.read_only,"
	" 'requestBody'::pg_catalog.text, CASE WHEN p.pronargs OPERATOR(pg_catalog.>) 0 THEN"
	" pg_catalog.jsonb_build_object("
	" 'required'::pg_catalog.text,"
	" p.pronargs OPERATOR(pg_catalog.>) p.pronargdefaults,"
	" 'content'::pg_catalog.text, pg_catalog.jsonb_build_object("
	" 'application/json'::pg_catalog.text, pg_catalog.jsonb_build_object("
	" 'schema'::pg_catalog.text, b.body))) END)) OPERATOR(pg_catalog.||)"
	" pg_catalog.jsonb_build_object('responses'::pg_catalog.text,"
	" pg_catalog.jsonb_build_object("
	" '200'::pg_catalog.text, pg_catalog.jsonb_build_object("
	" 'description'::pg_catalog.text, m.result,"
	" 'content'::pg_catalog.text, pg_catalog.jsonb_build_object("
	" 'application/json'::pg_catalog.text, pg_catalog.jsonb_build_object("
	" 'schema'::pg_catalog.text,"
	" CASE WHEN p.proretset THEN pg_catalog.jsonb_build_object("
	" 'type'::pg_catalog.text, 'array'::pg_catalog.text,"
	" 'items'::pg_catalog.text, actor.json_schema(p.prorettype))"
	" ELSE actor.json_schema(p.prorettype) END))),"
	" 'default'::pg_catalog.text,"
	" '{\"description\": \"an error\", \"content\": {\"application/json\": {\"schema\": {\"$ref\": \"#/components/schemas/Error\"}}}}'::pg_catalog.jsonb))))"
	" FROM actor.method m"
	" JOIN pg_catalog.pg_proc p ON p.oid OPERATOR(pg_catalog.=) m.function"
	" CROSS JOIN LATERAL ("
	" SELECT CASE"
	" WHEN p.pronargs OPERATOR(pg_catalog.=) 1"
	" AND p.proargtypes[0] OPERATOR(pg_catalog.=) ANY"
	" (ARRAY['pg_catalog.json'::pg_catalog.regtype, 'pg_catalog.jsonb'::pg_catalog.regtype]::pg_catalog.oid[])"
	" THEN '{}'::pg_catalog.jsonb"
	" WHEN pg_catalog.count(*) OPERATOR(pg_catalog.>) pg_catalog.count(a.parameter OPERATOR(pg_catalog.->>) 'name')"
	" THEN '{\"type\": \"array\"}'::pg_catalog.jsonb"
	" ELSE pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object("
	" 'type'::pg_catalog.text, 'object'::pg_catalog.text,"
	" 'required'::pg_catalog.text,"
	" pg_catalog.jsonb_agg(a.parameter OPERATOR(pg_catalog.->) 'name' ORDER BY a.number)"
	" FILTER (WHERE NOT a.parameter OPERATOR(pg_catalog.?) 'default'),"
	" 'properties'::pg_catalog.text,"
	" pg_catalog.jsonb_object_agg("
	" COALESCE(a.parameter OPERATOR(pg_catalog.->>) 'name', ''),"
	" actor.json_schema(p.proargtypes[a.number OPERATOR(pg_catalog.-) 1])),"
	" 'additionalProperties'::pg_catalog.text, false)) END AS body"
	" FROM pg_catalog.jsonb_array_elements(m.parameters) WITH ORDINALITY AS a (parameter, number)) b"
	" WHERE m.actor_type OPERATOR(pg_catalog.=) $1"
	" AND pg_catalog.has_schema_privilege($3, $2, 'USAGE')"
	" AND pg_catalog.has_function_privilege($3, m.function, 'EXECUTE')), '{}'::pg_catalog.jsonb),"
	" 'components'::pg_catalog.text, '{\"schemas\": {\"Error\": {\"type\": \"object\", \"required\": [\"errorCode\", \"message\"],"
	" \"properties\": {\"errorCode\": {\"type\": \"string\"}, \"message\": {\"type\": \"string\"}, \"details\": {\"type\": \"object\"}}}}}'::pg_catalog.jsonb)",
	3, {TEXTOID, OIDOID, OIDOID}
};

/*
 * Schema of an enum, which lists its labels.
 */
static char *
enum_schema(Oid type)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {ObjectIdGetDatum(type)};
	char	   *schema;
	bool		isnull;
	Datum		datum;

	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&read_labels, values, NULL);
	datum = actor_query_result(0, 1, &isnull);
	schema = MemoryContextStrdup(context, TextDatumGetCString(datum));
	actor_bookkeeping_end(&bookkeeping);
	return schema;
}

/*
 * Schema of the JSON that stands for a value of a type.  Members of composite
 * types are not described; so none contains itself.
 */
static char *
type_schema(Oid type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);

	if (OidIsValid(element))
		return psprintf("{\"type\": \"array\", \"items\": %s}", type_schema(element));
	for (int i = 0; i < lengthof(schemas); i++)
		if (schemas[i].type == base)
			return pstrdup(schemas[i].schema);
	switch (get_typtype(base))
	{
		case TYPTYPE_ENUM:
			return enum_schema(base);
		case TYPTYPE_COMPOSITE:
			return pstrdup("{\"type\": \"object\"}");
		default:
			return pstrdup("{\"type\": \"string\"}");
	}
}

/*
 * actor.json_schema
 *		The same in SQL; NULL if there is no such type.
 */
Datum
actor_json_schema(PG_FUNCTION_ARGS)
{
	Oid			type = PG_GETARG_OID(0);

	if (!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(DirectFunctionCall1(jsonb_in, CStringGetDatum(type_schema(type))));
}

/*
 * actor_openapi
 *		The methods of a type that the current role may call; NULL if there is no
 *		such type.
 */
Datum
actor_openapi(PG_FUNCTION_ARGS)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	ActorType  *type;
	Datum		values[3];
	Jsonb	   *document;
	MemoryContext old;
	bool		isnull;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	AcceptInvalidationMessages();
	type = actor_type_find(PG_GETARG_TEXT_PP(0));
	if (type == NULL)
		PG_RETURN_NULL();
	values[0] = PG_GETARG_DATUM(0);
	values[1] = ObjectIdGetDatum(type->schema_oid);
	values[2] = ObjectIdGetDatum(GetUserId());
	actor_bookkeeping_begin(&bookkeeping);
	(void) actor_query_run(&read_document, values, NULL);
	old = MemoryContextSwitchTo(context);
	document = DatumGetJsonbPCopy(actor_query_result(0, 1, &isnull));
	MemoryContextSwitchTo(old);
	actor_bookkeeping_end(&bookkeeping);
	PG_RETURN_JSONB_P(document);
}
