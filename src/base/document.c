/*-------------------------------------------------------------------------
 *
 * document.c
 *		Reading the JSON documents of the SQL functions: state operations,
 *		failure policies, host configurations.
 *
 * Everything that is not as it should be raises invalid_parameter_value with
 * the path of the member in the detail.  JSON null counts as absent.
 *
 * IDENTIFICATION
 *		src/base/document.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

#include "base/base.h"

/* longest member name that a message repeats, in bytes */
#define ECHO_LIMIT		64

/*
 * actor_document_refuse
 *		Raises the error for a member.  The path of the document itself is the
 *		empty string.
 */
void
actor_document_refuse(const ActorDocument *document, const char *path, const char *problem)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid %s", document->what),
			 path[0] == '\0' ?
			 errdetail("The document %s.", problem) :
			 errdetail("Member \"%s\" %s.", path, problem),
			 document->hint != NULL ? errhint("%s", document->hint) : 0));
}

/*
 * actor_document_path
 *		The path of a member of the object at a path.
 */
char *
actor_document_path(const char *path, const char *name)
{
	return path[0] == '\0' ? pstrdup(name) : psprintf("%s.%s", path, name);
}

/*
 * actor_document_object
 *		The object that a value is.
 */
JsonbContainer *
actor_document_object(const ActorDocument *document, JsonbValue *value, const char *path)
{
	if (value == NULL || value->type != jbvBinary ||
		!JsonContainerIsObject(value->val.binary.data))
		actor_document_refuse(document, path, "is not an object");
	return value->val.binary.data;
}

/*
 * actor_document_array
 *		The array that a value is.
 */
JsonbContainer *
actor_document_array(const ActorDocument *document, JsonbValue *value, const char *path)
{
	if (value == NULL || value->type != jbvBinary ||
		!JsonContainerIsArray(value->val.binary.data))
		actor_document_refuse(document, path, "is not an array");
	return value->val.binary.data;
}

/*
 * actor_document_check_members
 *		Refuses members that are not in the list, which ends with NULL.
 */
void
actor_document_check_members(const ActorDocument *document, JsonbContainer *object,
							 const char *path, const char *const *known)
{
	JsonbIterator *iterator = JsonbIteratorInit(object);
	JsonbValue	key;
	JsonbValue	value;

	(void) JsonbIteratorNext(&iterator, &key, true);
	while (JsonbIteratorNext(&iterator, &key, true) == WJB_KEY)
	{
		int			len = key.val.string.len;
		int			i;

		(void) JsonbIteratorNext(&iterator, &value, true);
		for (i = 0; known[i] != NULL; i++)
			if (strlen(known[i]) == len && memcmp(known[i], key.val.string.val, len) == 0)
				break;
		if (known[i] != NULL)
			continue;
		len = pg_mbcliplen(key.val.string.val, len, ECHO_LIMIT);
		actor_document_refuse(document,
							  actor_document_path(path, pnstrdup(key.val.string.val, len)),
							  "is not known");
	}
}

/*
 * actor_document_member
 *		A member of an object, or NULL.
 */
JsonbValue *
actor_document_member(JsonbContainer *object, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(object, name, strlen(name), NULL);

	return value != NULL && value->type != jbvNull ? value : NULL;
}

/*
 * actor_document_string
 *		The string that a value is.
 */
char *
actor_document_string(const ActorDocument *document, JsonbValue *value, const char *path)
{
	if (value == NULL || value->type != jbvString)
		actor_document_refuse(document, path, "is not a string");
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/*
 * actor_document_boolean
 *		The boolean that a value is.
 */
bool
actor_document_boolean(const ActorDocument *document, JsonbValue *value, const char *path)
{
	if (value == NULL || value->type != jbvBool)
		actor_document_refuse(document, path, "is not true or false");
	return value->val.boolean;
}

/*
 * actor_document_integer
 *		The whole number, from min to the largest of 32 bits, that a value is.
 */
int32
actor_document_integer(const ActorDocument *document, JsonbValue *value, const char *path,
					   int32 min)
{
	Datum		number;
	bool		ok;

	if (value == NULL || value->type != jbvNumeric)
		actor_document_refuse(document, path, "is not a number");
	number = NumericGetDatum(value->val.numeric);
	ok = DatumGetBool(DirectFunctionCall2(numeric_eq, number,
										  DirectFunctionCall2(numeric_trunc, number,
															  Int32GetDatum(0)))) &&
		DatumGetBool(DirectFunctionCall2(numeric_ge, number,
										 NumericGetDatum(int64_to_numeric(min)))) &&
		DatumGetBool(DirectFunctionCall2(numeric_le, number,
										 NumericGetDatum(int64_to_numeric(PG_INT32_MAX))));
	if (!ok)
		actor_document_refuse(document, path,
							  psprintf("is not a whole number from %d to %d",
									   min, PG_INT32_MAX));
	return DatumGetInt32(DirectFunctionCall1(numeric_int4, number));
}

/*
 * actor_jsonb_scalar
 *		The value that a whole jsonb document is, as element or member values
 *		are given by iterators; shares its memory.
 */
void
actor_jsonb_scalar(Jsonb *jsonb, JsonbValue *value)
{
	if (JB_ROOT_IS_SCALAR(jsonb))
		*value = *getIthJsonbValueFromContainer(&jsonb->root, 0);
	else
	{
		value->type = jbvBinary;
		value->val.binary.data = &jsonb->root;
		value->val.binary.len = VARSIZE_ANY_EXHDR(jsonb);
	}
}
