/*-------------------------------------------------------------------------
 *
 * convert.c
 *		Conversion between SQL values and jsonb.
 *
 * Both directions follow the server's own rules, those of to_jsonb and of
 * jsonb_to_record.  They may call user code (input functions, casts to json,
 * domain checks), so they must never run between actor_bookkeeping_begin and
 * _end.  Settings that change how values are written are fixed meanwhile; see
 * format.c.
 *
 * IDENTIFICATION
 *		src/call/convert.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "base/compat.h"
#include "call/call.h"

/* bytes of a text up to which it is not left to to_jsonb */
#define MAX_SIMPLE_STRING	1000000

static bool type_has_cast(Oid type);
static void push_part(JsonbParseState **state, JsonbIteratorToken token, Datum value,
					  bool isnull, Oid type);

/* to jsonb -------------------------------------------------------------- */

/*
 * Makes a document of one value, as JsonbValueToJsonb does, which puts it together
 * piece by piece.  The value comes right behind the headers, where it is aligned.
 */
static Jsonb *
single_jsonb(uint32 entry_type, const void *bytes, Size len)
{
	Size		headers = offsetof(Jsonb, root.children) + sizeof(JEntry);
	Jsonb	   *jsonb = palloc(headers + len);

	SET_VARSIZE(jsonb, headers + len);
	jsonb->root.header = 1 | JB_FARRAY | JB_FSCALAR;
	jsonb->root.children[0] = entry_type | JENTRY_HAS_OFF | (uint32) len;
	if (len > 0)
		memcpy((char *) jsonb + headers, bytes, len);
	return jsonb;
}

static Jsonb *
integer_to_jsonb(int64 value)
{
	Numeric		numeric = int64_to_numeric(value);

	return single_jsonb(JENTRY_ISNUMERIC, numeric, VARSIZE_ANY(numeric));
}

/*
 * Does the same as to_jsonb for the types that most values have, which costs a
 * small part of it.  Returns NULL for any other value.
 */
static Jsonb *
simple_to_jsonb(Datum datum, Oid type)
{
	text	   *string;

	switch (type)
	{
		case BOOLOID:
			return single_jsonb(DatumGetBool(datum) ? JENTRY_ISBOOL_TRUE : JENTRY_ISBOOL_FALSE,
								NULL, 0);
		case INT2OID:
			return integer_to_jsonb(DatumGetInt16(datum));
		case INT4OID:
			return integer_to_jsonb(DatumGetInt32(datum));
		case INT8OID:
			return integer_to_jsonb(DatumGetInt64(datum));
		case TEXTOID:
			string = DatumGetTextPP(datum);
			/* to_jsonb knows what is too long */
			if (VARSIZE_ANY_EXHDR(string) > MAX_SIMPLE_STRING)
				return NULL;
			return single_jsonb(JENTRY_ISSTRING, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
		default:
			return NULL;
	}
}

/*
 * Whether to_jsonb calls a cast that a user has made for some attribute of a
 * row.  Gives the description back.
 */
static bool
row_has_cast(TupleDesc tupdesc)
{
	bool		found = false;

	for (int i = 0; i < tupdesc->natts && !found; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		found = !attribute->attisdropped && type_has_cast(attribute->atttypid);
	}
	ReleaseTupleDesc(tupdesc);
	return found;
}

/*
 * Whether to_jsonb may call a cast that a user has made for a value of a type,
 * or for a part of it.  Of an anonymous row only the value tells, so it may.
 */
static bool
type_has_cast(Oid type)
{
	Oid			element;
	Oid			cast;

	check_stack_depth();
	if (type < FirstNormalObjectId)
		return type == RECORDOID || type == RECORDARRAYOID;
	type = getBaseType(type);
	element = get_element_type(type);
	if (OidIsValid(element))
		return type_has_cast(element);
	if (type_is_rowtype(type))
		return row_has_cast(lookup_rowtype_tupdesc(type, -1));
	return type >= FirstNormalObjectId &&
		find_coercion_pathway(JSONOID, type, COERCION_EXPLICIT, &cast) == COERCION_PATH_FUNC;
}

/*
 * The description of the row that a value of a composite type is.
 */
static TupleDesc
row_description(HeapTupleHeader row)
{
	return lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row),
								  HeapTupleHeaderGetTypMod(row));
}

/*
 * Writes a row member by member.
 */
static Jsonb *
row_to_jsonb(Datum datum)
{
	HeapTupleHeader row = actor_datum_row(datum);
	TupleDesc	tupdesc = row_description(row);
	Datum	   *values = palloc(sizeof(Datum) * tupdesc->natts);
	bool	   *nulls = palloc(sizeof(bool) * tupdesc->natts);
	JsonbParseState *state = NULL;
	HeapTupleData tuple;

	tuple.t_len = HeapTupleHeaderGetDatumLength(row);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = row;
	heap_deform_tuple(&tuple, tupdesc, values, nulls);

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		JsonbValue	key;

		if (attribute->attisdropped)
			continue;
		key.type = jbvString;
		key.val.string.val = NameStr(attribute->attname);
		key.val.string.len = strlen(key.val.string.val);
		pushJsonbValue(&state, WJB_KEY, &key);
		push_part(&state, WJB_VALUE, values[i], nulls[i], attribute->atttypid);
	}
	ReleaseTupleDesc(tupdesc);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * Writes the elements of a dimension of an array, from number *next on.
 */
static JsonbValue *
push_dimension(JsonbParseState **state, ArrayType *array, int dimension, Datum *values,
			   bool *nulls, int *next)
{
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; dimension < ARR_NDIM(array) && i < ARR_DIMS(array)[dimension]; i++)
	{
		if (dimension + 1 < ARR_NDIM(array))
		{
			(void) push_dimension(state, array, dimension + 1, values, nulls, next);
			continue;
		}
		push_part(state, WJB_ELEM, values[*next], nulls[*next], ARR_ELEMTYPE(array));
		(*next)++;
	}
	return pushJsonbValue(state, WJB_END_ARRAY, NULL);
}

/*
 * Writes an array element by element.
 */
static Jsonb *
array_to_jsonb(Datum datum)
{
	ArrayType  *array = DatumGetArrayTypeP(datum);
	JsonbParseState *state = NULL;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *values;
	bool	   *nulls;
	int			count;
	int			next = 0;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  &values, &nulls, &count);
	return JsonbValueToJsonb(push_dimension(&state, array, 0, values, nulls, &next));
}

/*
 * Writes a part of a row or an array.
 */
static void
push_part(JsonbParseState **state, JsonbIteratorToken token, Datum value, bool isnull, Oid type)
{
	JsonbValue	part;

	part.type = jbvNull;
	if (!isnull)
		actor_jsonb_scalar(actor_to_jsonb(value, type), &part);
	pushJsonbValue(state, token, &part);
}

/*
 * Writes a value without the casts that users have made.  Returns NULL if
 * to_jsonb would call none.
 */
static Jsonb *
castless_to_jsonb(Datum value, Oid type)
{
	JsonbValue text;
	Oid			output;
	bool		is_varlena;

	/* what the value is tells more than its type */
	if (type == RECORDOID && !row_has_cast(row_description(actor_datum_row(value))))
		return NULL;
	if (!type_has_cast(type))
		return NULL;

	check_stack_depth();
	type = getBaseType(type);
	if (OidIsValid(get_element_type(type)))
		return array_to_jsonb(value);
	if (type_is_rowtype(type))
		return row_to_jsonb(value);
	getTypeOutputInfo(type, &output, &is_varlena);
	text.		type = jbvString;
	text.		val.string.val = OidOutputFunctionCall(output, value);
	text.		val.string.len = strlen(text.val.string.val);

	return JsonbValueToJsonb(&text);
}

/*
 * actor_to_jsonb
 *		What to_jsonb makes of a value that is not null, without casts of
 *		users; allocated in the current context.
 */
Jsonb *
actor_to_jsonb(Datum value, Oid type)
{
	FmgrInfo	flinfo;
	Param	   *param;
	Datum		result;
	Jsonb	   *written;
	int			nestlevel;

	if (type == JSONBOID)
		return DatumGetJsonbPCopy(value);
	written = simple_to_jsonb(value, type);
	if (written != NULL)
		return written;
	nestlevel = actor_conversion_begin();
	written = castless_to_jsonb(value, type);
	if (written != NULL)
	{
		actor_conversion_end(nestlevel);
		return written;
	}

	/* to_jsonb asks its call expression for the type of its argument */
	param = makeNode(Param);
	param->paramkind = PARAM_EXTERN;
	param->paramid = 1;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(type);
	param->location = -1;

	fmgr_info(F_TO_JSONB, &flinfo);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
											 list_make1(param), InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL),
					   &flinfo);
	result = FunctionCall1(&flinfo, value);
	actor_conversion_end(nestlevel);
	return DatumGetJsonbP(result);
}

/* from jsonb ------------------------------------------------------------ */

/*
 * Text of a value as ->> gives it.
 */
static char *
value_to_cstring(JsonbValue *value)
{
	switch (value->type)
	{
		case jbvString:
			return pnstrdup(value->val.string.val, value->val.string.len);
		case jbvBool:
			return pstrdup(value->val.boolean ? "true" : "false");
		case jbvNumeric:
			return DatumGetCString(DirectFunctionCall1(numeric_out,
													   NumericGetDatum(value->val.numeric)));
		case jbvBinary:
			return JsonbToCString(NULL, value->val.binary.data, value->val.binary.len);
		default:
			elog(ERROR, "unexpected jsonb value type: %d", (int) value->type);
			return NULL;		/* keep compiler quiet */
	}
}

/*
 * Does the same as the input function for values that most often are of the
 * type they are wanted in.  Returns false for any other one.
 */
static bool
convert_simple(JsonbValue *value, Oid type, Datum *result)
{
	switch (type)
	{
		case BOOLOID:
			if (value->type != jbvBool)
				return false;
			*result = BoolGetDatum(value->val.boolean);
			return true;
		case INT4OID:
		case INT8OID:
			if (value->type != jbvNumeric)
				return false;
			*result = DirectFunctionCall1(type == INT4OID ? int4in : int8in,
										  CStringGetDatum(value_to_cstring(value)));
			return true;
		case TEXTOID:
			if (value->type != jbvString)
				return false;
			*result = PointerGetDatum(cstring_to_text_with_len(value->val.string.val,
															   value->val.string.len));
			return true;
		default:
			return false;
	}
}

/*
 * Converts by jsonb_to_record, which knows how arrays, composites and domains
 * are made: as the only column of a record.
 */
static Datum
convert_as_record(JsonbValue *value, Oid type, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	flinfo;
	ReturnSetInfo rsinfo;
	TupleDesc	tupdesc;
	JsonbParseState *state = NULL;
	JsonbValue	key;
	Datum		record;

	tupdesc = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(tupdesc, 1, "v", type, -1, 0);
	tupdesc = BlessTupleDesc(tupdesc);

	key.type = jbvString;
	key.val.string.val = "v";
	key.val.string.len = 1;
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&state, WJB_KEY, &key);
	pushJsonbValue(&state, WJB_VALUE, value);

	memset(&rsinfo, 0, sizeof(rsinfo));
	rsinfo.type = T_ReturnSetInfo;
	rsinfo.expectedDesc = tupdesc;
	fmgr_info(F_JSONB_TO_RECORD, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 1, InvalidOid, NULL, (Node *) &rsinfo);
	fcinfo->args[0].value =
		JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL)));
	fcinfo->args[0].isnull = false;
	record = FunctionCallInvoke(fcinfo);
	Assert(!fcinfo->isnull);
	return GetAttributeByNum(actor_datum_row(record), 1, isnull);
}

/*
 * actor_from_jsonb
 *		Converts a value to a type; JSON null is SQL NULL.
 *
 * Raises what the type's input function raises.  Must run between
 * actor_conversion_begin and actor_conversion_end.
 */
Datum
actor_from_jsonb(JsonbValue *value, Oid type, bool *isnull)
{
	char		typtype;
	Datum		result;
	Oid			input;
	Oid			ioparam;

	*isnull = false;
	if (convert_simple(value, type, &result))
		return result;
	typtype = get_typtype(type);
	if (typtype == TYPTYPE_COMPOSITE || typtype == TYPTYPE_DOMAIN ||
		type == RECORDOID || OidIsValid(get_element_type(type)))
		return convert_as_record(value, type, isnull);

	*isnull = (value->type == jbvNull);
	if (*isnull)
		return (Datum) 0;
	if (type == JSONBOID)
		return JsonbPGetDatum(JsonbValueToJsonb(value));
	if (type == JSONOID)
	{
		Jsonb	   *jsonb = JsonbValueToJsonb(value);

		return CStringGetTextDatum(JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb)));
	}
	getTypeInputInfo(type, &input, &ioparam);
	return OidInputFunctionCall(input, value_to_cstring(value), ioparam, -1);
}
