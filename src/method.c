/*-------------------------------------------------------------------------
 *
 * method.c
 *		Methods: finding them, checking rights, calling them.
 *
 * A method is the one ordinary function of a name in the schema of its actor
 * type.  What is found is cached under the type, including the last role that
 * was seen to have the rights to call it; the registry drops all of it when
 * functions, schemas, roles or types change.
 *
 * The payload is mapped to arguments as PostgREST does it: see
 * actor_method_call.
 *
 * IDENTIFICATION
 *		src/method.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"

#include "actor.h"
#include "compat.h"

/* how many names an error about a payload lists */
#define MAX_NAMES_LISTED	10

typedef struct ActorParameter
{
	const char *name;			/* NULL: has none */
	Oid			type;
	Node	   *default_expr;	/* NULL: has none */
} ActorParameter;

struct ActorMethod
{
	char		name[NAMEDATALEN];	/* hash key */
	Oid			function;
	Oid			result_type;
	const char *table_column;	/* name of the only column of RETURNS TABLE */
	bool		writes;
	bool		strict;
	bool		returns_set;
	bool		takes_document; /* the whole payload is its only argument */
	int			nparameters;
	ActorParameter *parameters;
	Oid			allowed_role;	/* last role known to have the rights */
	ActorStatRef stat;			/* of stats.c */
};

/* for the error context of a conversion */
typedef struct ConversionContext
{
	const ActorMethod *method;
	int			parameter;
} ConversionContext;

/* functions that could be writing methods */
static ActorQuery read_writing = {
	"SELECT proname FROM pg_catalog.pg_proc"
	" WHERE pronamespace OPERATOR(pg_catalog.=) $1"
	"   AND provolatile OPERATOR(pg_catalog.=) 'v'",
	1, {OIDOID}
};

static const char *const hook_names[] = {"on_activate", "on_deactivate"};

static ActorMethod *load_method(ActorType *type, const char *name);
static const char *why_no_method(HeapTuple tuple);
static const char *why_no_method_name(const char *name);
static void refuse_method(const ActorType *type, const char *name, const char *detail);
static void fill_method(ActorMethod *method, HeapTuple tuple);
static void load_parameters(ActorMethod *method, HeapTuple tuple);

/* finding --------------------------------------------------------------- */

/*
 * actor_method_lookup
 *		Finds the method of that name.
 *
 * Raises undefined_function if there is none, and ambiguous_function if there
 * is more than one function of that name.  The result lives as long as the
 * type does.
 */
ActorMethod *
actor_method_lookup(ActorType *type, const text *name)
{
	char		key[NAMEDATALEN];
	ActorMethod *method;

	if (VARSIZE_ANY_EXHDR(name) >= NAMEDATALEN)
	{
		char	   *clipped = text_to_cstring(name);

		clipped[pg_mbcliplen(clipped, strlen(clipped), NAMEDATALEN - 1)] = '\0';
		refuse_method(type, psprintf("%s...", clipped), NULL);
	}
	text_to_cstring_buffer(name, key, sizeof(key));

	if (type->methods == NULL)
	{
		HASHCTL		ctl;

		memset(&ctl, 0, sizeof(ctl));
		ctl.keysize = NAMEDATALEN;
		ctl.entrysize = sizeof(ActorMethod);
		ctl.hcxt = actor_type_context();
		type->methods = hash_create("actor methods", 16, &ctl,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	method = hash_search(type->methods, key, HASH_FIND, NULL);
	return method != NULL ? method : load_method(type, key);
}

static void
refuse_method(const ActorType *type, const char *name, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("actor type \"%s\" has no method \"%s\"", type->name, name),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 errhint("A method is a function of schema \"%s\".",
					 NameStr(type->schema_name))));
}

/*
 * A copy of the function of that name in the schema of a type, and how many
 * there are.
 */
static HeapTuple
find_function(const ActorType *type, const char *name, int *found)
{
	CatCList   *candidates = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	HeapTuple	tuple = NULL;

	*found = 0;
	for (int i = 0; i < candidates->n_members; i++)
	{
		HeapTuple	candidate = &candidates->members[i]->tuple;

		if (((Form_pg_proc) GETSTRUCT(candidate))->pronamespace != type->schema_oid)
			continue;
		tuple = heap_copytuple(candidate);
		(*found)++;
	}
	ReleaseSysCacheList(candidates);
	return tuple;
}

/*
 * Loads a method into the cache.
 */
static ActorMethod *
load_method(ActorType *type, const char *name)
{
	HeapTuple	tuple;
	int			found;
	const char *detail;
	ActorMethod loaded;
	ActorMethod *method;

	detail = why_no_method_name(name);
	if (detail != NULL)
		refuse_method(type, name, detail);

	tuple = find_function(type, name, &found);
	if (found == 0)
		refuse_method(type, name, NULL);
	if (found > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("method \"%s\" of actor type \"%s\" is not unique",
						name, type->name),
				 errdetail("Schema \"%s\" has %d functions of that name.",
						   NameStr(type->schema_name), found),
				 errhint("Methods cannot be overloaded.")));
	detail = why_no_method(tuple);
	if (detail != NULL)
		refuse_method(type, name, detail);
	fill_method(&loaded, tuple);

	method = hash_search(type->methods, name, HASH_ENTER, NULL);
	*method = loaded;
	return method;
}

/*
 * actor_method_stat
 *		Where the calls of a method are counted.
 */
ActorStatRef *
actor_method_stat(ActorMethod *method)
{
	return &method->stat;
}

/*
 * actor_hook_lookup
 *		Finds a hook of a type; NULL if it has none.
 *
 * Only a function without parameters that belongs to the type's owner is a
 * hook.  EXECUTE on it is not asked for: it is a part of every call that makes
 * it run.  The result lives as long as the type does.
 */
ActorMethod *
actor_hook_lookup(ActorType *type, ActorHookKind kind)
{
	ActorHook  *hook = &type->hooks[kind];
	HeapTuple	tuple;
	Form_pg_proc proc;

	if (hook->known || !OidIsValid(type->schema_oid))
		return hook->method;
	tuple = SearchSysCache3(PROCNAMEARGSNSP, CStringGetDatum(hook_names[kind]),
							PointerGetDatum(buildoidvector(NULL, 0)),
							ObjectIdGetDatum(type->schema_oid));
	if (HeapTupleIsValid(tuple))
	{
		proc = (Form_pg_proc) GETSTRUCT(tuple);
		if (proc->prokind == PROKIND_FUNCTION && proc->prorettype != TRIGGEROID &&
			proc->prorettype != EVENT_TRIGGEROID &&
			proc->proowner == get_role_oid(NameStr(type->owner_name), true))
		{
			hook->method = MemoryContextAlloc(actor_type_context(), sizeof(ActorMethod));
			fill_method(hook->method, tuple);
		}
		ReleaseSysCache(tuple);
	}
	hook->known = true;
	return hook->method;
}

/*
 * actor_hook_name
 *		Name of the function that is a hook.
 */
const char *
actor_hook_name(ActorHookKind kind)
{
	return hook_names[kind];
}

static void
fill_method(ActorMethod *method, HeapTuple tuple)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);

	memset(method, 0, sizeof(*method));
	strlcpy(method->name, NameStr(proc->proname), NAMEDATALEN);
	method->function = proc->oid;
	method->result_type = proc->prorettype;
	method->writes = proc->provolatile == PROVOLATILE_VOLATILE;
	method->strict = proc->proisstrict;
	method->returns_set = proc->proretset;
	load_parameters(method, tuple);
}

/*
 * Why a function cannot be a method; NULL if it can.
 */
static const char *
why_no_method(HeapTuple tuple)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	Oid			result = proc->prorettype;

	switch (proc->prokind)
	{
		case PROKIND_FUNCTION:
			break;
		case PROKIND_PROCEDURE:
			return "Procedures are not methods.";
		case PROKIND_AGGREGATE:
			return "Aggregates are not methods.";
		default:
			return "Window functions are not methods.";
	}
	if (OidIsValid(proc->provariadic))
		return "Variadic functions are not methods.";
	if (get_typtype(result) == TYPTYPE_PSEUDO && result != VOIDOID && result != RECORDOID)
		return psprintf("Functions that return %s are not methods.", format_type_be(result));
	for (int i = 0; i < proc->pronargs; i++)
	{
		Oid			argtype = proc->proargtypes.values[i];

		if (get_typtype(argtype) == TYPTYPE_PSEUDO)
			return psprintf("Functions with a parameter of type %s are not methods.",
							format_type_be(argtype));
	}
	return NULL;
}

/*
 * Why no function of that name can be a method; NULL if one can.
 */
static const char *
why_no_method_name(const char *name)
{
	if (name[0] == '_')
		return "Functions whose name starts with an underscore are private.";
	if (strcmp(name, hook_names[HOOK_ACTIVATE]) == 0 ||
		strcmp(name, hook_names[HOOK_DEACTIVATE]) == 0)
		return "Hooks cannot be called.";
	return NULL;
}

/*
 * Fills in the parameters of a method, in the context of the registry.
 */
static void
load_parameters(ActorMethod *method, HeapTuple tuple)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	MemoryContext old = MemoryContextSwitchTo(actor_type_context());
	Datum		argnames;
	Datum		argmodes;
	Datum		defaults;
	bool		names_null;
	bool		modes_null;
	bool		defaults_null;
	char	  **names = NULL;
	int			nnames = 0;
	List	   *default_list = NIL;

	argnames = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargnames, &names_null);
	argmodes = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargmodes, &modes_null);
	defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &defaults_null);
	if (!names_null)
		nnames = get_func_input_arg_names(argnames,
										  modes_null ? PointerGetDatum(NULL) : argmodes,
										  &names);
	if (!defaults_null)
		default_list = castNode(List, stringToNode(TextDatumGetCString(defaults)));

	method->nparameters = proc->pronargs;
	method->parameters = palloc0(sizeof(ActorParameter) * Max(proc->pronargs, 1));
	for (int i = 0; i < proc->pronargs; i++)
	{
		ActorParameter *parameter = &method->parameters[i];
		int			nth_default = i - (proc->pronargs - list_length(default_list));

		parameter->type = proc->proargtypes.values[i];
		if (i < nnames && names[i] != NULL && names[i][0] != '\0')
			parameter->name = names[i];
		if (nth_default >= 0)
			parameter->default_expr = list_nth(default_list, nth_default);
	}
	method->takes_document = proc->pronargs == 1 &&
		(method->parameters[0].type == JSONBOID ||
		 method->parameters[0].type == JSONOID);

	/* a table of one column is a set of scalars to the server */
	if (!modes_null && proc->proretset && proc->prorettype != RECORDOID)
	{
		ArrayType  *modes = DatumGetArrayTypeP(argmodes);
		ArrayType  *all_names = names_null ? NULL : DatumGetArrayTypeP(argnames);
		int			n = ARR_DIMS(modes)[0];
		char	   *mode = (char *) ARR_DATA_PTR(modes);

		if (all_names != NULL && mode[n - 1] == PROARGMODE_TABLE)
		{
			Datum	   *elements;
			int			nelements;

			deconstruct_array(all_names, TEXTOID, -1, false, TYPALIGN_INT,
							  &elements, NULL, &nelements);
			method->table_column = TextDatumGetCString(elements[n - 1]);
		}
	}
	MemoryContextSwitchTo(old);
}

/*
 * actor_method_check_acl
 *		Raises insufficient_privilege unless the current user, who has USAGE on
 *		the schema, could call the function directly.
 */
void
actor_method_check_acl(ActorMethod *method)
{
	Oid			user = GetUserId();
	AclResult	result;

	if (method->allowed_role != user)
	{
		result = actor_proc_aclcheck(method->function, user);
		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, method->name);
		method->allowed_role = user;
	}
	InvokeFunctionExecuteHook(method->function);
}

/*
 * Whether a user could call the writing method of that name.
 */
static bool
can_call_writing(const ActorType *type, const char *name, Oid user)
{
	int			found;
	HeapTuple	tuple;
	Form_pg_proc proc;

	if (why_no_method_name(name) != NULL)
		return false;
	tuple = find_function(type, name, &found);
	if (found != 1 || why_no_method(tuple) != NULL)
		return false;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	return proc->provolatile == PROVOLATILE_VOLATILE &&
		actor_proc_aclcheck(proc->oid, user) == ACLCHECK_OK;
}

/*
 * actor_method_any_writing
 *		Whether the current user, who has USAGE on the schema, could call any
 *		writing method of a type.
 */
bool
actor_method_any_writing(ActorType *type)
{
	Oid			user = GetUserId();
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {ObjectIdGetDatum(type->schema_oid)};
	uint64		rows;
	bool		allowed = type->writing_role == user;

	if (allowed)
		return true;
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_writing, values, NULL);
	for (uint64 i = 0; i < rows && !allowed; i++)
	{
		bool		isnull;
		Name		name = DatumGetName(actor_query_result(i, 1, &isnull));

		allowed = can_call_writing(type, NameStr(*name), user);
	}
	actor_bookkeeping_end(&bookkeeping);
	if (allowed)
		type->writing_role = user;
	return allowed;
}

bool
actor_method_writes(const ActorMethod *method)
{
	return method->writes;
}

/* payload to arguments -------------------------------------------------- */

static const char *
parameter_name(const ActorMethod *method, int i)
{
	const char *name = method->parameters[i].name;

	return name != NULL ? name : psprintf("$%d", i + 1);
}

static void
conversion_error_context(void *arg)
{
	ConversionContext *context = arg;

	errcontext("parameter \"%s\" of method \"%s\"",
			   parameter_name(context->method, context->parameter),
			   context->method->name);
}

/*
 * Adds a name to the list in an error, up to a limit.
 */
static void
list_name(StringInfo list, int *count, const char *name, int len)
{
	(*count)++;
	if (*count > MAX_NAMES_LISTED)
		return;
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	if (len > NAMEDATALEN)
		appendStringInfo(list, "\"%.*s...\"", pg_mbcliplen(name, len, NAMEDATALEN), name);
	else
		appendStringInfo(list, "\"%.*s\"", len, name);
}

static void
refuse_payload(const ActorMethod *method, const char *problem, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("payload does not fit method \"%s\": %s", method->name, problem),
			 detail != NULL ? errdetail("%s", detail) : 0));
}

/*
 * Finds the value of each parameter among the members of an object.
 */
static void
map_by_name(const ActorMethod *method, Jsonb *payload, JsonbValue *values, bool *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
	JsonbValue	item;
	JsonbIteratorToken token;
	StringInfoData surplus;
	int			nsurplus = 0;

	initStringInfo(&surplus);
	(void) JsonbIteratorNext(&iterator, &item, true);	/* the object begins */
	while ((token = JsonbIteratorNext(&iterator, &item, true)) == WJB_KEY)
	{
		JsonbValue	value;
		int			i;

		(void) JsonbIteratorNext(&iterator, &value, true);
		for (i = 0; i < method->nparameters; i++)
		{
			const char *name = method->parameters[i].name;

			if (name != NULL && strlen(name) == item.val.string.len &&
				memcmp(name, item.val.string.val, item.val.string.len) == 0)
				break;
		}
		if (i == method->nparameters)
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
		refuse_payload(method, "it has members that are no parameters",
					   psprintf("Without a parameter: %s.", surplus.data));
}

/*
 * Takes the values of the parameters from the elements of an array.
 */
static void
map_by_position(const ActorMethod *method, Jsonb *payload, JsonbValue *values, bool *given)
{
	JsonbIterator *iterator = JsonbIteratorInit(&payload->root);
	JsonbValue	item;
	int			nelements = JB_ROOT_COUNT(payload);

	if (nelements > method->nparameters)
		refuse_payload(method, "it has more elements than there are parameters",
					   psprintf("Without a parameter: the elements from number %d on, of %d.",
								method->nparameters + 1, nelements));
	(void) JsonbIteratorNext(&iterator, &item, true);	/* the array begins */
	for (int i = 0; i < nelements; i++)
	{
		(void) JsonbIteratorNext(&iterator, &values[i], true);
		given[i] = true;
	}
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
map_document(const ActorMethod *method, Jsonb *payload, NullableDatum *argument)
{
	const ActorParameter *parameter = &method->parameters[0];

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
 * Makes the arguments of a call.
 */
static void
map_payload(const ActorMethod *method, Jsonb *payload, NullableDatum *arguments)
{
	JsonbValue *values;
	bool	   *given;
	ConversionContext context;
	ErrorContextCallback errcallback;
	int			nestlevel;

	if (method->takes_document)
	{
		map_document(method, payload, &arguments[0]);
		return;
	}

	/* JSON null is no payload */
	if (payload != NULL && JB_ROOT_IS_SCALAR(payload))
	{
		JsonbValue	scalar;

		actor_jsonb_scalar(payload, &scalar);
		if (scalar.type != jbvNull)
			refuse_payload(method, "it must be an object or an array", NULL);
		payload = NULL;
	}
	if (method->nparameters == 0)
	{
		if (payload != NULL && (!JB_ROOT_IS_OBJECT(payload) || JB_ROOT_COUNT(payload) > 0))
			refuse_payload(method, "the method has no parameters", NULL);
		return;
	}

	values = palloc(sizeof(JsonbValue) * method->nparameters);
	given = palloc0(sizeof(bool) * method->nparameters);
	if (payload != NULL && JB_ROOT_IS_OBJECT(payload))
		map_by_name(method, payload, values, given);
	else if (payload != NULL)
		map_by_position(method, payload, values, given);

	context.method = method;
	errcallback.callback = conversion_error_context;
	errcallback.arg = &context;
	errcallback.previous = error_context_stack;
	error_context_stack = &errcallback;
	nestlevel = actor_conversion_begin();
	for (int i = 0; i < method->nparameters; i++)
	{
		const ActorParameter *parameter = &method->parameters[i];

		context.parameter = i;
		if (given[i])
			arguments[i].value = actor_from_jsonb(&values[i], parameter->type,
												  &arguments[i].isnull);
	}
	actor_conversion_end(nestlevel);
	error_context_stack = errcallback.previous;

	for (int i = 0; i < method->nparameters; i++)
	{
		const ActorParameter *parameter = &method->parameters[i];

		if (given[i])
			continue;
		if (parameter->default_expr == NULL)
			refuse_payload(method, psprintf("parameter \"%s\" is missing",
											parameter_name(method, i)), NULL);
		arguments[i].value = evaluate_default(parameter, &arguments[i].isnull);
	}
}

/* calling --------------------------------------------------------------- */

/*
 * One row of a set, as an element of the result.
 */
static void
push_row(const ActorMethod *method, JsonbParseState **state, Datum value, bool isnull, Oid type)
{
	JsonbValue	element;

	if (isnull)
		element.type = jbvNull;
	else
		actor_jsonb_scalar(actor_to_jsonb(value, type), &element);

	if (method->table_column != NULL)
	{
		JsonbValue	key;

		key.type = jbvString;
		key.val.string.val = unconstify(char *, method->table_column);
		key.val.string.len = strlen(method->table_column);
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
push_tuplestore(const ActorMethod *method, JsonbParseState **state, ReturnSetInfo *rsinfo)
{
	bool		is_row = type_is_rowtype(method->result_type);
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
							method->name)));
		tupdesc = rsinfo->expectedDesc;
	}
	if (tupdesc == NULL)
		elog(ERROR, "method \"%s\" does not say what its rows are", method->name);
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
		push_row(method, state, value, isnull,
				 is_row ? RECORDOID : method->result_type);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rsinfo->setResult);
}

/*
 * The description of the rows of a set that consists of rows or scalars.
 */
static TupleDesc
expected_rows(const ActorMethod *method)
{
	TupleDesc	tupdesc;
	Oid			type;

	switch (get_func_result_type(method->function, &type, &tupdesc))
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
call_set(const ActorMethod *method, FunctionCallInfo fcinfo)
{
	ExprContext *econtext = CreateStandaloneExprContext();
	JsonbParseState *state = NULL;
	ReturnSetInfo rsinfo;
	PgStat_FunctionCallUsage usage;

	memset(&rsinfo, 0, sizeof(rsinfo));
	rsinfo.type = T_ReturnSetInfo;
	rsinfo.econtext = econtext;
	rsinfo.expectedDesc = expected_rows(method);
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
			push_tuplestore(method, &state, &rsinfo);
			break;
		}
		if (rsinfo.isDone == ExprEndResult)
			break;
		push_row(method, &state, value, fcinfo->isnull, method->result_type);
		if (rsinfo.isDone == ExprSingleResult)
			break;
	}
	FreeExprContext(econtext, true);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

static Jsonb *
call_scalar(const ActorMethod *method, FunctionCallInfo fcinfo)
{
	PgStat_FunctionCallUsage usage;
	Datum		value;

	pgstat_init_function_usage(fcinfo, &usage);
	value = FunctionCallInvoke(fcinfo);
	pgstat_end_function_usage(&usage, true);
	if (fcinfo->isnull || method->result_type == VOIDOID)
		return NULL;
	return actor_to_jsonb(value, method->result_type);
}

static Jsonb *
empty_array(void)
{
	JsonbParseState *state = NULL;

	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL));
}

/*
 * actor_method_call
 *		Maps the payload to arguments, calls the function as the current user,
 *		and maps the result back.  Returns NULL for SQL NULL.
 *
 * A single parameter of type json or jsonb takes the whole payload.  Otherwise
 * the members of an object go to the parameters by name, the elements of an
 * array by position; what is missing takes its default.  Raises
 * invalid_parameter_value if that does not work out, and whatever conversions
 * and the function raise.
 */
Jsonb *
actor_method_call(ActorMethod *method, Jsonb *payload)
{
	FmgrInfo	flinfo;
	FunctionCallInfo fcinfo;

	fcinfo = palloc0(SizeForFunctionCallInfo(method->nparameters));
	fmgr_info(method->function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, method->nparameters,
							 DEFAULT_COLLATION_OID, NULL, NULL);
	map_payload(method, payload, fcinfo->args);

	/* as the executor does: a strict function is not called with a null */
	for (int i = 0; method->strict && i < method->nparameters; i++)
		if (fcinfo->args[i].isnull)
			return method->returns_set ? empty_array() : NULL;

	return method->returns_set ? call_set(method, fcinfo) : call_scalar(method, fcinfo);
}
