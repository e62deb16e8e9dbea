/*-------------------------------------------------------------------------
 *
 * carried.c
 *		actor.carried_settings: settings of the application that callbacks find as
 *		their sender had them.
 *
 * What is sent or registered keeps the values that the listed settings have then,
 * as an object, or nothing if all are empty.  Its callback runs with them, and with
 * a list that has their names, so that they go on through any number of messages,
 * reminders and timers.
 *
 * A callback runs as the role of whoever has sent it, or as one that this was
 * reassigned to.  So nothing may be carried that says who somebody is, what is found
 * under a name, or how the server works: only names with a dot, which no setting of
 * the server itself has, and none of ours.  They are set with the rights that the
 * role of the callback has.  One that cannot be set is an error of the callback: it
 * must not run for the wrong tenant.
 *
 * IDENTIFICATION
 *		src/base/carried.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "base/base.h"

/* the longest value that is carried */
#define MAX_VALUE_LEN		1024

static char *carried_settings = NULL;

/* whether the name of a setting may be in the list */
static bool
may_be_carried(const char *name)
{
	return strchr(name, '.') != NULL && strlen(name) < NAMEDATALEN &&
		name[strcspn(name, "\", \t\n\r")] == '\0' &&
		pg_strncasecmp(name, "actor.", strlen("actor.")) != 0;
}

static bool
check_carried_settings(char **newval, void **extra, GucSource source)
{
	char	   *copy = pstrdup(*newval);
	List	   *names;
	ListCell   *cell;
	bool		valid = true;

	if (!SplitGUCList(copy, ',', &names))
	{
		GUC_check_errdetail("List syntax is invalid.");
		return false;
	}
	foreach(cell, names)
	{
		if (may_be_carried(lfirst(cell)))
			continue;
		GUC_check_errdetail("\"%s\" cannot be carried: it must have a dot, and not begin with \"%s\".",
							(char *) lfirst(cell), "actor.");
		valid = false;
		break;
	}
	list_free(names);
	pfree(copy);
	return valid;
}

/*
 * actor_carried_init
 *		Defines the setting.
 */
void
actor_carried_init(void)
{
	DefineCustomStringVariable("actor.carried_settings",
							   "Sets which settings of the application go along with messages, reminders and timers.",
							   "It is a list of names with a dot, separated by commas; empty for none.",
							   &carried_settings, "",
							   PGC_USERSET, 0, check_carried_settings, NULL, NULL);
}

static JsonbValue *
push_text(JsonbParseState **state, JsonbIteratorToken token, const char *string)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = strlen(string);
	return pushJsonbValue(state, token, &value);
}

/*
 * actor_carried
 *		What goes along now, in the current memory context; NULL for nothing.
 *
 * Raises program_limit_exceeded if a value is too long, and insufficient_privilege
 * if the user may not see it.
 */
Jsonb *
actor_carried(void)
{
	JsonbParseState *state = NULL;
	List	   *names;
	ListCell   *cell;
	int			count = 0;
	JsonbValue *result;

	if (carried_settings[0] == '\0')
		return NULL;
	(void) SplitGUCList(pstrdup(carried_settings), ',', &names);
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	foreach(cell, names)
	{
		const char *name = lfirst(cell);
		const char *value = GetConfigOption(name, true, true);

		if (value == NULL || value[0] == '\0')
			continue;
		if (strlen(value) > MAX_VALUE_LEN)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("value of parameter \"%s\" is too long to go along with a callback", name),
					 errdetail("Values in \"%s\" can have up to %d bytes.",
							   "actor.carried_settings", MAX_VALUE_LEN)));
		(void) push_text(&state, WJB_KEY, name);
		(void) push_text(&state, WJB_VALUE, value);
		count++;
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return count > 0 ? JsonbValueToJsonb(result) : NULL;
}

static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, ERROR, false);
}

/*
 * actor_carried_begin
 *		Sets what has come along; NULL for nothing.  Returns what actor_trace_end
 *		needs.
 *
 * Raises what setting it raises.  After an error the abort of the (sub)transaction
 * undoes it.
 */
int
actor_carried_begin(const Jsonb *settings)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	StringInfoData list;
	char	   *name = NULL;
	int			nestlevel;

	if (settings == NULL)
		return 0;
	nestlevel = NewGUCNestLevel();
	initStringInfo(&list);
	iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &settings->root));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		/* a row that was restored from somewhere may have anything in it */
		if (token != WJB_VALUE || value.type != jbvString || name == NULL ||
			!may_be_carried(name))
			continue;
		set(name, pnstrdup(value.val.string.val, value.val.string.len));
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", name);
	}
	if (carried_settings[0] != '\0')
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", carried_settings);
	set("actor.carried_settings", list.data);
	return nestlevel;
}
