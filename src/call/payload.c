/*-------------------------------------------------------------------------
 *
 * payload.c
 *		Calling a method with a payload: from jsonb to arguments, and from the
 *		result to jsonb.
 *
 * The payload is mapped to arguments as PostgREST does it: see
 * actor_payload_call.  Single values are converted by convert.c.
 *
 * IDENTIFICATION
 *		src/call/payload.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "base/base.h"
#include "type/type.h"
#include "call/internal.h"

/* how many names an error about a payload lists */
#define MAX_NAMES_LISTED	10

/* for the error context of a conversion */
typedef struct ConversionContext
{
	const ActorFunction *function;
	int			parameter;
} ConversionContext;

/* payload to arguments -------------------------------------------------- */

static const char *
parameter_name(const ActorFunction *function, int i)
{
	const char *name = function->parameters[i].name;

	return name != NULL ? name : psprintf("$%d", i + 1);
}

static void
conversion_error_context(void *arg)
{
	ConversionContext *context = arg;

	errcontext("parameter \"%s\" of method \"%s\"",
			   parameter_name(context->function, context->parameter),
			   context->function->name);
}

/*
 * Adds a name to the list in an error, up to a limit.  It is made with the first one.
 */
static void
list_name(StringInfo list, int *count, const char *name, int len)
{
	(*count)++;
	if (*count > MAX_NAMES_LISTED)
		return;
	if (list->data == NULL)
		initStringInfo(list);
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	if (len > NAMEDATALEN)
		appendStringInfo(list, "\"%.*s...\"", pg_mbcliplen(name, len, NAMEDATALEN), name);
	else
		appendStringInfo(list, "\"%.*s\"", len, name);
}

/*
 * The parameters of a function, as they are declared, up to a limit.
 */
static char *
parameter_list(const ActorFunction *function)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < Min(function->nparameters, MAX_NAMES_LISTED); i++)
	{
		const ActorParameter *parameter = &function->parameters[i];

		if (i > 0)
			appendStringInfoString(&list, ", ");
		if (parameter->name != NULL)
			appendStringInfo(&list, "%s ", quote_identifier(parameter->name));
		appendStringInfoString(&list, format_type_be(parameter->type));
	}
	if (function->nparameters > MAX_NAMES_LISTED)
		appendStringInfo(&list, " and %d more", function->nparameters - MAX_NAMES_LISTED);
	return list.data;
}

static void
refuse_payload(const ActorFunction *function, const char *problem, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("payload does not fit method \"%s\": %s", function->name, problem),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 function->nparameters > 0 ?
			 errhint("Parameters: %s.", parameter_list(function)) : 0));
}

/*
 * Finds the value of each parameter among the members of an object.
 */
static void
map_by_name(const ActorFunction *function, Jsonb *payload, JsonbValue *values, bool *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
	JsonbValue	item;
	JsonbIteratorToken token;
	StringInfoData surplus = {NULL};
	int			nsurplus = 0;

	(void) JsonbIteratorNext(&iterator, &item, true);	/* the object begins */
	while ((token = JsonbIteratorNext(&iterator, &item, true)) == WJB_KEY)
	{
		JsonbValue	value;
		int			i;

		(void) JsonbIteratorNext(&iterator, &value, true);
		for (i = 0; i < function->nparameters; i++)
		{
			const char *name = function->parameters[i].name;

			if (name != NULL && strlen(name) == item.val.string.len &&
				memcmp(name, item.val.string.val, item.val.string.len) == 0)
				break;
		}
		if (i == function->nparameters)
		{
			list_name(&surplus, &nsurplus, item.val.string.val, item.val.string.len);
			continue;
		}
		values[i] = value;
		given[i] = true;
	}
	if (nsurplus > MAX_NAMES_LISTED)
		appendStringInfo(&surplus, " and %d more", nsurplus - MAX_NAMES_LISTED);
	if (nsurplus > 0)
		refuse_payload(function, "it has members that are no parameters",
					   psprintf("Without a parameter: %s.", surplus.data));
}

/*
 * Takes the values of the parameters from the elements of an array.
 */
static void
map_by_position(const ActorFunction *function, Jsonb *payload, JsonbValue *values, bool *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
	JsonbValue	item;
	int			nelements = JB_ROOT_COUNT(payload);

	if (nelements > function->nparameters)
		refuse_payload(function, "it has more elements than there are parameters",
					   psprintf("Without a parameter: the elements from number %d on, of %d.",
								function->nparameters + 1, nelements));
	(void) JsonbIteratorNext(&iterator, &item, true);	/* the array begins */
	for (int i = 0; i < nelements; i++)
	{
		(void) JsonbIteratorNext(&iterator, &values[i], true);
		given[i] = true;
	}
}

/*
 * Whether all members of an object are columns of a composite type, or of a
 * domain over one.
 */
static bool
members_are_columns(Jsonb *payload, Oid type)
{
	TupleDesc	tupdesc = lookup_rowtype_tupdesc_domain(type, -1, false);
	JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
	JsonbValue	item;
	bool		known = true;

	(void) JsonbIteratorNext(&iterator, &item, true);	/* the object begins */
	while (known && JsonbIteratorNext(&iterator, &item, true) == WJB_KEY)
	{
		known = false;
		for (int i = 0; i < tupdesc->natts && !known; i++)
		{
			Form_pg_attribute column = TupleDescAttr(tupdesc, i);

			known = !column->attisdropped &&
				strlen(NameStr(column->attname)) == item.val.string.len &&
				memcmp(NameStr(column->attname), item.val.string.val,
					   item.val.string.len) == 0;
		}
		(void) JsonbIteratorNext(&iterator, &item, true);
	}
	ReleaseTupleDesc(tupdesc);
	return known;
}

/*
 * Whether the payload is the value of the only parameter.  What can be read as
 * arguments is: an array with one element that is an array or null, for an
 * array, and an object with one member that has the name of the parameter and
 * is an object or null, for a composite.
 */
static bool
is_only_argument(const ActorFunction *function, Jsonb *payload)
{
	const ActorParameter *parameter = &function->parameters[0];

	if (JB_ROOT_IS_SCALAR(payload))
		return true;
	if (JB_ROOT_IS_OBJECT(payload))
	{
		if (!function->takes_row || JB_ROOT_COUNT(payload) == 0)
			return false;
		if (JB_ROOT_COUNT(payload) == 1 && parameter->name != NULL)
		{
			JsonbValue *member = getKeyJsonValueFromContainer(&payload->root, parameter->name,
															  strlen(parameter->name), NULL);

			if (member != NULL &&
				(member->type == jbvNull ||
				 (member->type == jbvBinary &&
				  JsonContainerIsObject(member->val.binary.data))))
				return false;
		}
		return members_are_columns(payload, parameter->type);
	}
	if (function->takes_array && JB_ROOT_COUNT(payload) == 1)
	{
		JsonbValue *element = getIthJsonbValueFromContainer(&payload->root, 0);

		return element->type != jbvNull &&
			(element->type != jbvBinary || !JsonContainerIsArray(element->val.binary.data));
	}
	return function->takes_array;
}

/*
 * Finds the value of each parameter in the payload, which is not JSON null.
 */
static void
map_values(const ActorFunction *function, Jsonb *payload, JsonbValue *values, bool *given)
{
	if (function->nparameters == 1 && is_only_argument(function, payload))
	{
		actor_jsonb_scalar(payload, &values[0]);
		given[0] = true;
	}
	else if (JB_ROOT_IS_SCALAR(payload))
		refuse_payload(function, "it must be an object or an array", NULL);
	else if (JB_ROOT_IS_OBJECT(payload))
		map_by_name(function, payload, values, given);
	else
		map_by_position(function, payload, values, given);
}

/*
 * Evaluates the default of a parameter as a direct call would.
 */
static Datum
evaluate_default(const ActorParameter *parameter, bool *isnull)
{
	EState	   *estate = CreateExecutorState();
	ExprState  *exprstate = ExecPrepareExpr(copyObject((Expr *) parameter->default_expr),
											estate);
	Datum		value;

	value = ExecEvalExprSwitchContext(exprstate, GetPerTupleExprContext(estate), isnull);
	if (!*isnull)
	{
		int16		typlen;
		bool		typbyval;

		get_typlenbyval(parameter->type, &typlen, &typbyval);
		value = datumCopy(value, typbyval, typlen);
	}
	FreeExecutorState(estate);
	return value;
}

/*
 * The argument of a method that takes the whole payload.
 */
static void
map_document(const ActorFunction *function, Jsonb *payload, NullableDatum *argument)
{
	const ActorParameter *parameter = &function->parameters[0];

	argument->isnull = (payload == NULL);
	if (payload == NULL && parameter->default_expr != NULL)
		argument->value = evaluate_default(parameter, &argument->isnull);
	else if (payload == NULL)
		argument->value = (Datum) 0;
	else if (parameter->type == JSONBOID)
		argument->value = JsonbPGetDatum(payload);
	else
		argument->value = CStringGetTextDatum(JsonbToCString(NULL, &payload->root,
															 VARSIZE_ANY_EXHDR(payload)));
}

/*
 * Finds the values of the parameters of a method that does not take the whole
 * payload, one of each parameter; converts nothing.
 */
static void
assign_values(const ActorFunction *function, Jsonb *payload, JsonbValue **values, bool **given)
{
	*values = palloc(sizeof(JsonbValue) * function->nparameters);
	*given = palloc0(sizeof(bool) * function->nparameters);

	/* JSON null is no payload */
	if (payload != NULL && JB_ROOT_IS_SCALAR(payload))
	{
		JsonbValue	scalar;

		actor_jsonb_scalar(payload, &scalar);
		if (scalar.type == jbvNull)
			payload = NULL;
	}
	if (payload == NULL)
		return;
	if (function->nparameters > 0)
		map_values(function, payload, *values, *given);
	else if (JB_ROOT_COUNT(payload) > 0)
		refuse_payload(function, "the method has no parameters", NULL);
}

static void
refuse_missing(const ActorFunction *function, int i)
{
	refuse_payload(function, psprintf("parameter \"%s\" is missing",
									  parameter_name(function, i)), NULL);
}

/*
 * actor_payload_check
 *		Raises invalid_parameter_value if the payload cannot fit the method, whatever
 *		its values are: if there are too many of them, or too few, or of other
 *		names.  Runs no code of a user, and so converts nothing.
 */
void
actor_payload_check(const ActorFunction *function, Jsonb *payload)
{
	JsonbValue *values;
	bool	   *given;

	if (function->takes_document)
		return;
	assign_values(function, payload, &values, &given);
	for (int i = 0; i < function->nparameters; i++)
		if (!given[i] && function->parameters[i].default_expr == NULL)
			refuse_missing(function, i);
}

/*
 * Makes the arguments of a call, and its collation where that is not the one
 * of a call with all arguments.
 */
static void
map_payload(const ActorFunction *function, Jsonb *payload, FunctionCallInfo fcinfo)
{
	NullableDatum *arguments = fcinfo->args;
	bool		complete = true;
	JsonbValue *values;
	bool	   *given;
	ConversionContext context;
	ErrorContextCallback errcallback;
	int			nestlevel;

	if (function->takes_document)
	{
		map_document(function, payload, &arguments[0]);
		return;
	}
	assign_values(function, payload, &values, &given);
	if (function->nparameters == 0)
		return;

	context.function = function;
	errcallback.callback = conversion_error_context;
	errcallback.arg = &context;
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	nestlevel = actor_conversion_begin();
	for (int i = 0; i < function->nparameters; i++)
	{
		const ActorParameter *parameter = &function->parameters[i];

		context.parameter = i;
		if (given[i])
			arguments[i].value = actor_from_jsonb(&values[i], parameter->type,
												  &arguments[i].isnull);
	}
	actor_conversion_end(nestlevel);
	error_context_stack = errcallback.previous;

	for (int i = 0; i < function->nparameters; i++)
	{
		const ActorParameter *parameter = &function->parameters[i];

		if (given[i])
			continue;
		if (parameter->default_expr == NULL)
			refuse_missing(function, i);
		arguments[i].value = evaluate_default(parameter, &arguments[i].isnull);
		complete = false;
	}
	if (!complete)
		fcinfo->fncollation = actor_method_collation(function, given);
}

/* calling --------------------------------------------------------------- */

/*
 * One row of a set, as an element of the result.
 */
static void
push_row(const ActorFunction *function, JsonbParseState **state, Datum value, bool isnull, Oid type)
{
	JsonbValue	element;

	if (isnull)
		element.type = jbvNull;
	else
		actor_jsonb_scalar(actor_to_jsonb(value, type), &element);

	if (function->table_column != NULL)
	{
		JsonbValue	key;

		key.type = jbvString;
		key.val.string.val = unconstify(char *, function->table_column);
		key.val.string.len = strlen(function->table_column);
		pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
		pushJsonbValue(state, WJB_KEY, &key);
		pushJsonbValue(state, WJB_VALUE, &element);
		pushJsonbValue(state, WJB_END_OBJECT, NULL);
	}
	else
		pushJsonbValue(state, WJB_ELEM, &element);
}

/*
 * Reads the rows a function has left in a tuplestore.
 */
static void
push_tuplestore(const ActorFunction *function, JsonbParseState **state, ReturnSetInfo *rsinfo)
{
	bool		is_row = type_is_rowtype(function->result_type);
	TupleDesc	tupdesc = rsinfo->setDesc;
	TupleTableSlot *slot;

	if (rsinfo->setResult == NULL)
		return;					/* an empty set */

	/* the columns are called as the function declares them */
	if (rsinfo->expectedDesc != NULL)
	{
		bool		match = tupdesc == NULL || tupdesc->natts == rsinfo->expectedDesc->natts;

		for (int i = 0; tupdesc != NULL && match && i < tupdesc->natts; i++)
			match = TupleDescAttr(tupdesc, i)->attisdropped ||
				TupleDescAttr(tupdesc, i)->atttypid ==
				TupleDescAttr(rsinfo->expectedDesc, i)->atttypid;
		if (!match)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("rows returned by method \"%s\" do not match its declaration",
							function->name)));
		tupdesc = rsinfo->expectedDesc;
	}
	if (tupdesc == NULL)
		elog(ERROR, "method \"%s\" does not say what its rows are", function->name);
	if (is_row)
		tupdesc = BlessTupleDesc(tupdesc);

	slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(rsinfo->setResult, true, true, slot))
	{
		Datum		value;
		bool		isnull = false;

		CHECK_FOR_INTERRUPTS();
		if (is_row)
			value = ExecFetchSlotHeapTupleDatum(slot);
		else
			value = slot_getattr(slot, 1, &isnull);
		push_row(function, state, value, isnull,
				 is_row ? RECORDOID : function->result_type);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rsinfo->setResult);
}

/*
 * The description of the rows of a set that consists of rows or scalars.
 */
static TupleDesc
expected_rows(const ActorFunction *function)
{
	TupleDesc	tupdesc;
	Oid			type;

	switch (get_func_result_type(function->oid, &type, &tupdesc))
	{
		case TYPEFUNC_COMPOSITE:
		case TYPEFUNC_COMPOSITE_DOMAIN:
			return tupdesc;
		case TYPEFUNC_SCALAR:
			tupdesc = CreateTemplateTupleDesc(1);
			TupleDescInitEntry(tupdesc, 1, "value", type, -1, 0);
			return tupdesc;
		default:
			return NULL;
	}
}

/*
 * Calls a function that returns a set and makes an array of its rows.
 */
static Jsonb *
call_set(const ActorFunction *function, FunctionCallInfo fcinfo)
{
	ExprContext *econtext = CreateStandaloneExprContext();
	JsonbParseState *state = NULL;
	ReturnSetInfo rsinfo;
	PgStat_FunctionCallUsage usage;

	memset(&rsinfo, 0, sizeof(rsinfo));
	rsinfo.type = T_ReturnSetInfo;
	rsinfo.econtext = econtext;
	rsinfo.expectedDesc = expected_rows(function);
	rsinfo.allowedModes = SFRM_ValuePerCall | SFRM_Materialize | SFRM_Materialize_Preferred;
	rsinfo.returnMode = SFRM_ValuePerCall;
	fcinfo->resultinfo = (Node *) &rsinfo;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (;;)
	{
		Datum		value;

		CHECK_FOR_INTERRUPTS();
		fcinfo->isnull = false;
		rsinfo.isDone = ExprSingleResult;
		pgstat_init_function_usage(fcinfo, &usage);
		value = FunctionCallInvoke(fcinfo);
		pgstat_end_function_usage(&usage, rsinfo.isDone != ExprMultipleResult);

		if (rsinfo.returnMode == SFRM_Materialize)
		{
			push_tuplestore(function, &state, &rsinfo);
			break;
		}
		if (rsinfo.isDone == ExprEndResult)
			break;
		push_row(function, &state, value, fcinfo->isnull, function->result_type);
		if (rsinfo.isDone == ExprSingleResult)
			break;
	}
	FreeExprContext(econtext, true);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
call_scalar(const ActorFunction *function, FunctionCallInfo fcinfo)
{
	PgStat_FunctionCallUsage usage;
	Datum		value;

	pgstat_init_function_usage(fcinfo, &usage);
	value = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	if (fcinfo->isnull || function->result_type == VOIDOID)
		return NULL;
	return actor_to_jsonb(value, function->result_type);
}

static Jsonb *
empty_array(void)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/*
 * actor_payload_call
 *		Maps the payload to arguments, calls the function as the current user,
 *		and maps the result back.  Returns NULL for SQL NULL.
 *
 * A single parameter of type json or jsonb takes the whole payload, and any
 * other single one takes what is its value: see is_only_argument.  Otherwise
 * the members of an object go to the parameters by name, the elements of an
 * array by position; what is missing takes its default.  Raises
 * invalid_parameter_value if that does not work out, and whatever conversions
 * and the function raise.
 */
Jsonb *
actor_payload_call(const ActorFunction *function, Jsonb *payload)
{
	FmgrInfo	for_this_call;
	FunctionCallInfo fcinfo;

	fcinfo = palloc0(SizeForFunctionCallInfo(function->nparameters));
	InitFunctionCallInfoData(*fcinfo, function->flinfo, function->nparameters,
							 function->collation, NULL, NULL);
	map_payload(function, payload, fcinfo);

	/* as the executor does: a strict function is not called with a null */
	for (int i = 0; function->strict && i < function->nparameters; i++)
		if (fcinfo->args[i].isnull)
			return function->returns_set ? empty_array() : NULL;

	/*
	 * What is kept is compiled for one collation.  And a library that was
	 * loaded since may want to know of the call.
	 */
	if (function->flinfo == NULL || fcinfo->fncollation != function->collation ||
		FmgrHookIsNeeded(function->oid))
	{
		fcinfo->flinfo = &for_this_call;
		fmgr_info(function->oid, fcinfo->flinfo);
	}
	return function->returns_set ? call_set(function, fcinfo) : call_scalar(function, fcinfo);
}
