/*-------------------------------------------------------------------------
 *
 * due.c
 *		What reminders, timers and messages have in common when they are made.
 *
 * IDENTIFICATION
 *		src/reminder/due.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "type/type.h"
#include "call/call.h"
#include "reminder/reminder.h"


/*
 * actor_due_word
 *		What the name of something due belongs to.
 */
const char *
actor_due_word(ActorDueKind kind)
{
	static const char *const words[] = {"reminder", "timer", "hook", "message"};

	return words[kind];
}

/*
 * actor_due_receiver
 *		The method that gets reminders, or timers, for whose name the type has no
 *		method.  It is called with the name as well as the data.
 */
const char *
actor_due_receiver(ActorDueKind kind)
{
	return kind == DUE_TIMER ? "receive_timer" : "receive_reminder";
}

static void
push_string(JsonbParseState **state, JsonbIteratorToken token, const char *string, int len)
{
	JsonbValue	value;

	value.type = jbvString;
	value.val.string.val = unconstify(char *, string);
	value.val.string.len = len;
	(void) pushJsonbValue(state, token, &value);
}

/*
 * actor_due_payload
 *		What a method is called with for a reminder or timer: its data, which can
 *		be NULL, and its name, too, if the method takes those of any name.
 */
Jsonb *
actor_due_payload(ActorDueKind kind, const text *name, const text *method, Jsonb *data)
{
	JsonbParseState *state = NULL;
	JsonbValue	value;

	if (!actor_text_is(method, actor_due_receiver(kind)))
		return data;
	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	push_string(&state, WJB_KEY, "name", strlen("name"));
	push_string(&state, WJB_VALUE, VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
	push_string(&state, WJB_KEY, "data", strlen("data"));
	if (data == NULL)
		value.type = jbvNull;
	else
		actor_jsonb_scalar(data, &value);
	(void) pushJsonbValue(&state, WJB_VALUE, &value);
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/*
 * actor_due_check_call
 *		As actor_check_call, for the method of a reminder or timer.  An application is
 *		called with its name.
 */
Oid
actor_due_check_call(ActorDueKind kind, const ActorRef *actor, const text *name,
					 text *method, Jsonb *payload, bool *hosted)
{
	Oid			schema = actor_check_call(actor->type, actor->id, method, payload, hosted);

	if (*hosted)
		actor_hosted_check_name(name, kind == DUE_TIMER ? "timer name" : "reminder name");
	return schema;
}

/*
 * actor_due_check_write
 *		Refuses to write what is due where nothing can be written.
 */
void
actor_due_check_write(const char *function)
{
	PreventCommandIfReadOnly(function);
	actor_frame_check_writing(function);
}

/*
 * actor_due_check_role
 *		Refuses a role that no worker could connect as, and returns its name,
 *		which stands for it from now on.
 */
void
actor_due_check_role(ActorDueKind kind, Oid role, NameData *name)
{
	/* the last one that could, and the generation of the catalog then */
	static Oid	last_role = InvalidOid;
	static uint64 last_generation = 0;
	uint64		generation = actor_catalog_generation();
	const char *word = actor_due_word(kind);
	const char *reason = NULL;
	char	   *role_name;

	if (role != last_role || generation != last_generation)
		reason = actor_role_unusable(role);
	if (reason == NULL)
	{
		actor_role_use(role, name);
		last_role = role;
		last_generation = generation;
		return;
	}
	role_name = GetUserNameFromId(role, true);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
			 role_name != NULL ?
			 errmsg("role \"%s\" cannot run %ss", role_name, word) :
			 errmsg("the current role cannot run %ss", word),
			 errdetail("%s", reason),
			 errhint("%s the %s as a role that can connect to database \"%s\".",
					 kind == DUE_MESSAGE ? "Send" : "Register", word,
					 get_database_name(MyDatabaseId))));
}
