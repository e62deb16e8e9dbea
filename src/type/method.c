/*-------------------------------------------------------------------------
 *
 * method.c
 *		Methods and hooks: finding them, checking rights.
 *
 * A method is the one ordinary function of a name in the schema of its actor
 * type.  What is found is cached under the type, including the last role that
 * was seen to have the rights to call it; the registry drops the type when
 * functions, schemas or roles change.  How one is called with a payload
 * is in payload.c.
 *
 * IDENTIFICATION
 *		src/type/method.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "store/store.h"
#include "stat/stat.h"
#include "type/type.h"

struct ActorMethod
{
	ActorFunction function;		/* its name is the hash key */
	bool		writes;
	Oid			allowed_role;	/* last role known to have the rights */
	ActorStatRef stat;			/* of stats.c */
};

/* functions that could be writing methods */
static ActorQuery read_writing = {
	"SELECT proname FROM pg_catalog.pg_proc"
	" WHERE pronamespace OPERATOR(pg_catalog.=) $1"
	"   AND provolatile OPERATOR(pg_catalog.=) 'v'",
	1, {OIDOID}
};

/* functions that are methods, as the view actor.method has them */
static ActorQuery read_methods = {
	"SELECT proname FROM pg_catalog.pg_proc"
	" WHERE pronamespace OPERATOR(pg_catalog.=) $1"
	"   AND actor.is_method(oid)"
	" ORDER BY proname",
	1, {OIDOID}
};

static const char *const hook_names[] = {"on_activate", "on_deactivate"};

static ActorMethod *load_method(ActorType *type, const char *name);
static const char *why_no_method(HeapTuple tuple);
static const char *why_no_method_name(const char *name);
static void refuse_method(const ActorType *type, const char *name, const char *detail);
static void fill_method(ActorMethod *method, HeapTuple tuple, MemoryContext context);
static void refuse_hosted(const ActorType *type, const text *name);
static void load_parameters(ActorFunction *function, HeapTuple tuple, MemoryContext context);

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

	if (type->last_method != NULL && actor_text_is(name, type->last_method->function.name))
		return type->last_method;
	if (VARSIZE_ANY_EXHDR(name) >= NAMEDATALEN)
	{
		char	   *clipped = text_to_cstring(name);

		if (type->row.hosted)
			refuse_hosted(type, name);
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
		ctl.hcxt = type->context;
		type->methods = hash_create("actor methods", 16, &ctl,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	}
	method = hash_search(type->methods, key, HASH_FIND, NULL);
	if (method == NULL)
		method = load_method(type, key);
	type->last_method = method;
	return method;
}

/*
 * The method of a type with the name nearest to this one; NULL if there is none
 * near to it.
 */
static char *
nearest_method(const ActorType *type, const char *name)
{
	ActorNearest nearest;
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {ObjectIdGetDatum(type->schema_oid)};
	uint64		rows;

	actor_nearest_init(&nearest, name);
	actor_bookkeeping_begin(&bookkeeping);
	rows = actor_query_run(&read_methods, values, NULL);
	for (uint64 i = 0; i < rows; i++)
	{
		bool		isnull;
		Name		candidate = DatumGetName(actor_query_result(i, 1, &isnull));

		actor_nearest_consider(&nearest, NameStr(*candidate));
	}
	actor_bookkeeping_end(&bookkeeping);
	return nearest.name[0] != '\0' ? pstrdup(nearest.name) : NULL;
}

/*
 * Raises the error for a method that a type does not have.  The caller may use
 * the schema, so the hint may say what is in there.
 */
static void
refuse_method(const ActorType *type, const char *name, const char *detail)
{
	char	   *nearest = detail == NULL ? nearest_method(type, name) : NULL;

	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FUNCTION),
			 errmsg("actor type \"%s\" has no method \"%s\"", type->name, name),
			 detail != NULL ? errdetail("%s", detail) : 0,
			 nearest != NULL ?
			 errhint("Perhaps you meant the method \"%s\".", nearest) :
			 errhint("A method is a function of schema \"%s\".",
					 NameStr(type->row.schema_name))));
}

/*
 * A copy of the function of that name in a schema, and how many there are.
 */
static HeapTuple
find_function(Oid schema, const char *name, int *found)
{
	CatCList   *candidates = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name));
	HeapTuple	tuple = NULL;

	*found = 0;
	for (int i = 0; i < candidates->n_members; i++)
	{
		HeapTuple	candidate = &candidates->members[i]->tuple;

		if (((Form_pg_proc) GETSTRUCT(candidate))->pronamespace != schema)
			continue;
		tuple = heap_copytuple(candidate);
		(*found)++;
	}
	ReleaseSysCacheList(candidates);
	return tuple;
}

/*
 * actor_method_is_one
 *		Whether a function is a method for a type in its schema.
 */
bool
actor_method_is_one(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	HeapTuple	only;
	int			found = 0;
	bool		is_one;

	if (!HeapTupleIsValid(tuple))
		return false;
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	is_one = why_no_method_name(NameStr(proc->proname)) == NULL &&
		why_no_method(tuple) == NULL;
	if (is_one)
	{
		only = find_function(proc->pronamespace, NameStr(proc->proname), &found);
		if (only != NULL)
			heap_freetuple(only);
	}
	ReleaseSysCache(tuple);
	return is_one && found == 1;
}

/*
 * Number of functions of that name that a method could be; -1 if no method can
 * have the name.
 */
static int
count_functions(const ActorType *type, const text *name)
{
	char		key[NAMEDATALEN];
	HeapTuple	tuple;
	int			found;

	if (VARSIZE_ANY_EXHDR(name) >= NAMEDATALEN)
		return 0;
	text_to_cstring_buffer(name, key, sizeof(key));
	if (why_no_method_name(key) != NULL)
		return -1;
	tuple = find_function(type->schema_oid, key, &found);
	if (tuple != NULL)
		heap_freetuple(tuple);
	return found;
}

/*
 * actor_method_exists
 *		Whether a type has a function of that name, be it a method or not, or the
 *		name is no name for one.
 */
bool
actor_method_exists(const ActorType *type, const text *name)
{
	if (type->last_method != NULL && actor_text_is(name, type->last_method->function.name))
		return true;
	return count_functions(type, name) != 0;
}

/*
 * actor_method_is_hosted
 *		Whether a method is one of an application: the type is hosted, and has no
 *		function of that name that a method could be.
 */
bool
actor_method_is_hosted(const ActorType *type, const text *name)
{
	return type->row.hosted && count_functions(type, name) <= 0;
}

/*
 * Raises the error for a method of an application, which cannot be called here.
 */
static void
refuse_hosted(const ActorType *type, const text *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("method \"%s\" of actor type \"%s\" can only be called by a host",
					text_to_cstring(name), type->name),
			 errdetail("The type is hosted, and schema \"%s\" has no function of that name.",
					   NameStr(type->row.schema_name)),
			 errhint("Call it over HTTP, or use %s.", "actor_send()")));
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

	if (actor_method_is_hosted(type, cstring_to_text(name)))
		refuse_hosted(type, cstring_to_text(name));
	detail = why_no_method_name(name);
	if (detail != NULL)
		refuse_method(type, name, detail);

	tuple = find_function(type->schema_oid, name, &found);
	if (found == 0)
		refuse_method(type, name, NULL);
	if (found > 1)
		ereport(ERROR,
				(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
				 errmsg("method \"%s\" of actor type \"%s\" is not unique",
						name, type->name),
				 errdetail("Schema \"%s\" has %d functions of that name.",
						   NameStr(type->row.schema_name), found),
				 errhint("Methods cannot be overloaded.")));
	detail = why_no_method(tuple);
	if (detail != NULL)
		refuse_method(type, name, detail);
	fill_method(&loaded, tuple, type->context);

	method = hash_search(type->methods, name, HASH_ENTER, NULL);
	*method = loaded;
	return method;
}

/*
 * actor_method_function
 *		What to call.
 */
const ActorFunction *
actor_method_function(const ActorMethod *method)
{
	return &method->function;
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
			proc->proowner == type->owner_oid)
		{
			hook->method = MemoryContextAlloc(type->context, sizeof(ActorMethod));
			fill_method(hook->method, tuple, type->context);
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

/*
 * What a language keeps for a function between calls, for one that may keep it
 * as long as the type is cached; otherwise NULL.  PL/pgSQL looks at each call
 * whether that still fits, and the function may call itself meanwhile.  Other
 * languages, and what the server does around a function that has settings or
 * another identity, may count on the end of a statement.
 */
static FmgrInfo *
lasting_call(HeapTuple tuple, MemoryContext context)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	char	   *language = get_language_name(proc->prolang, true);
	FmgrInfo   *flinfo;

	if (language == NULL || strcmp(language, "plpgsql") != 0 ||
		proc->prosecdef || !heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL) ||
		FmgrHookIsNeeded(proc->oid))
		return NULL;
	flinfo = MemoryContextAlloc(context, sizeof(FmgrInfo));
	fmgr_info_cxt(proc->oid, flinfo, context);
	return flinfo;
}

/*
 * Fills in what is to be known of a function, in the context of its type.
 */
static void
fill_method(ActorMethod *method, HeapTuple tuple, MemoryContext context)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);

	memset(method, 0, sizeof(*method));
	strlcpy(method->function.name, NameStr(proc->proname), NAMEDATALEN);
	method->function.oid = proc->oid;
	method->function.flinfo = lasting_call(tuple, context);
	method->function.result_type = proc->prorettype;
	method->function.strict = proc->proisstrict;
	method->function.returns_set = proc->proretset;
	method->writes = proc->provolatile == PROVOLATILE_VOLATILE;
	load_parameters(&method->function, tuple, context);
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
 * actor_method_collation
 *		The collation that the parser derives for a call with these arguments,
 *		or with all if "given" is NULL: the one that differs from the default;
 *		none if several do, or if no argument is of a collatable type.
 *
 * Defaults do not count, since they are put in after parsing.
 */
Oid
actor_method_collation(const ActorFunction *function, const bool *given)
{
	Oid			derived = InvalidOid;

	for (int i = 0; i < function->nparameters; i++)
	{
		Oid			collation = function->parameters[i].collation;

		if ((given != NULL && !given[i]) || !OidIsValid(collation) || collation == derived)
			continue;
		if (!OidIsValid(derived) || derived == DEFAULT_COLLATION_OID)
			derived = collation;
		else if (collation != DEFAULT_COLLATION_OID)
			return InvalidOid;
	}
	return derived;
}

/*
 * Fills in the parameters of a function, in the context of its type.
 */
static void
load_parameters(ActorFunction *function, HeapTuple tuple, MemoryContext context)
{
	Form_pg_proc proc = (Form_pg_proc) GETSTRUCT(tuple);
	MemoryContext old = MemoryContextSwitchTo(context);
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

	function->nparameters = proc->pronargs;
	function->parameters = palloc0(sizeof(ActorParameter) * Max(proc->pronargs, 1));
	for (int i = 0; i < proc->pronargs; i++)
	{
		ActorParameter *parameter = &function->parameters[i];
		int			nth_default = i - (proc->pronargs - list_length(default_list));

		parameter->type = proc->proargtypes.values[i];
		parameter->collation = get_typcollation(parameter->type);
		if (i < nnames && names[i] != NULL && names[i][0] != '\0')
			parameter->name = names[i];
		if (nth_default >= 0)
			parameter->default_expr = list_nth(default_list, nth_default);
	}
	function->collation = actor_method_collation(function, NULL);
	function->takes_document = proc->pronargs == 1 &&
		(function->parameters[0].type == JSONBOID ||
		 function->parameters[0].type == JSONOID);
	function->takes_array = proc->pronargs == 1 &&
		OidIsValid(get_base_element_type(function->parameters[0].type));
	function->takes_row = proc->pronargs == 1 &&
		type_is_rowtype(function->parameters[0].type);

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
			function->table_column = TextDatumGetCString(elements[n - 1]);
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
		result = actor_proc_aclcheck(method->function.oid, user);
		if (result != ACLCHECK_OK)
			aclcheck_error(result, OBJECT_FUNCTION, method->function.name);
		method->allowed_role = user;
	}
	InvokeFunctionExecuteHook(method->function.oid);
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
	tuple = find_function(type->schema_oid, name, &found);
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
