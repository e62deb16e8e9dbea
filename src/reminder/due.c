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
