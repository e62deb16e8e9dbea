/*-------------------------------------------------------------------------
 *
 * hosting.c
 *		Configuring types for hosts, and ending that; what applications can be asked
 *		for.
 *
 * IDENTIFICATION
 *		src/type/hosting.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "store/store.h"
#include "shared/shared.h"
#include "type/type.h"

/* the options of a type that a host configuration has no members for */
static ActorQuery read_kept = {
	"SELECT call_timeout, early_release, history, history_retention, turn"
	" FROM actor.type WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

/*
 * actor_type_keep_options
 *		Puts the options that a host configuration has no members for, and that are
 *		not given, as they are for a type that is registered.  They are in the
 *		current memory context.
 */
void
actor_type_keep_options(const text *type, ActorTypeOptions *options)
{
	MemoryContext context = CurrentMemoryContext;
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_kept, values) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		Datum		value[5];
		bool		isnull[5];

		for (int i = 0; i < lengthof(value); i++)
			value[i] = actor_query_result(0, i + 1, &isnull[i]);
		if (options->call_timeout == NULL && !isnull[0])
			options->call_timeout = memcpy(palloc(sizeof(Interval)), DatumGetIntervalP(value[0]),
										   sizeof(Interval));
		if (options->early_release == NULL && !isnull[1])
		{
			options->early_release = palloc(sizeof(bool));
			*options->early_release = DatumGetBool(value[1]);
		}
		if (options->history == NULL && !isnull[2])
			options->history = DatumGetTextPCopy(value[2]);
		if (options->history_retention == NULL && !isnull[3])
			options->history_retention = memcpy(palloc(sizeof(Interval)),
												DatumGetIntervalP(value[3]), sizeof(Interval));
		if (options->turn == NULL && !isnull[4])
			options->turn = DatumGetTextPCopy(value[4]);
		MemoryContextSwitchTo(old);
	}
	actor_bookkeeping_end(&bookkeeping);
}

static ActorQuery read_hosted = {
	"SELECT hosted FROM actor.type WHERE actor_type OPERATOR(pg_catalog.=) $1",
	1, {TEXTOID}
};

#define TAKE_BACK(table) \
	{"UPDATE " table " SET hosted = false" \
	" WHERE hosted AND actor_type OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}}

#define FORGET(table) \
	{"DELETE FROM " table " WHERE actor_type OPERATOR(pg_catalog.=) $1", 1, {TEXTOID}}

static ActorQuery end_hosting[] = {
	TAKE_BACK("actor.reminder"),
	TAKE_BACK("actor.timer"),
	TAKE_BACK("actor.message"),
	FORGET("actor.placement"),
	FORGET("actor.leftover")
};

/*
 * Whether a type is hosted, as its table says.
 */
static bool
is_hosted(const text *type)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};
	bool		hosted = false;
	bool		isnull;

	actor_bookkeeping_begin(&bookkeeping);
	if (actor_query_latest(&read_hosted, values) > 0)
		hosted = DatumGetBool(actor_query_result(0, 1, &isnull));
	actor_bookkeeping_end(&bookkeeping);
	return hosted;
}

/*
 * actor_type_begin_end_of_hosting
 *		If a type is hosted, takes its lock alone, for an owner of it, who is about to
 *		register it so that it is not.  Returns whether it is.
 */
bool
actor_type_begin_end_of_hosting(const text *type)
{
	if (!is_hosted(type))
		return false;
	actor_type_require_owner(type);
	/* an older snapshot would miss rows */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot end the hosting of an actor type in a transaction with isolation level %s",
						IsolationIsSerializable() ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errhint("Use READ COMMITTED.")));
	actor_type_lock(type);
	return true;
}

/*
 * actor_type_stop_hosting
 *		A type, whose lock this transaction has alone, is hosted no longer:
 *		executors run what hosts have run, and no application has its actors.
 */
void
actor_type_stop_hosting(const text *type)
{
	ActorBookkeeping bookkeeping;
	Datum		values[1] = {PointerGetDatum(type)};

	actor_bookkeeping_begin(&bookkeeping);
	for (int i = 0; i < lengthof(end_hosting); i++)
		(void) actor_query_run(&end_hosting[i], values, NULL);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(DT_NOBEGIN);
}

/* names in paths ---------------------------------------------------------- */

/*
 * A part of a path that is no name: programs on the way resolve it.
 */
static bool
is_dots(const char *part, int length)
{
	return (length == 1 && part[0] == '.') || (length == 2 && memcmp(part, "..", 2) == 0);
}

/*
 * Whether a text has one of some characters, or one that cannot be seen.
 */
static bool
has_any(const text *value, const char *characters)
{
	const char *bytes = VARDATA_ANY(value);

	for (int i = 0; i < VARSIZE_ANY_EXHDR(value); i++)
		if ((unsigned char) bytes[i] < ' ' || bytes[i] == 0x7F ||
			strchr(characters, bytes[i]) != NULL)
			return true;
	return false;
}

/*
 * actor_hosted_name_allowed
 *		Whether an application can be called with a name: that is a part of a path,
 *		which one program decodes before it takes it apart, another one after that, and
 *		some resolve.  The application must not take it for another actor's.  Over HTTP
 *		the same is refused.
 */
bool
actor_hosted_name_allowed(const text *name)
{
	return !has_any(name, "/\\?#") && !is_dots(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
}

static void
refuse_name(const text *name, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s \"%s\" cannot be used with an application", what,
					text_to_cstring(name)),
			 errdetail("It would be a part of a path there, and could be taken for another one.")));
}

/*
 * actor_hosted_check_name
 *		Raises invalid_parameter_value unless an application can be called with a
 *		name.
 */
void
actor_hosted_check_name(const text *name, const char *what)
{
	if (!actor_hosted_name_allowed(name))
		refuse_name(name, what);
}

/*
 * actor_hosted_check_method
 *		The same for the method of a message, in which slashes are allowed.
 */
void
actor_hosted_check_method(const text *method)
{
	const char *part = VARDATA_ANY(method);
	const char *end = part + VARSIZE_ANY_EXHDR(method);

	if (has_any(method, "?#"))
		refuse_name(method, "method");
	for (;;)
	{
		const char *slash = memchr(part, '/', end - part);
		int			length = (slash != NULL ? slash : end) - part;

		if (length == 0 || is_dots(part, length))
			refuse_name(method, "method");
		if (slash == NULL)
			break;
		part = slash + 1;
	}
}
