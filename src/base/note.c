/*-------------------------------------------------------------------------
 *
 * note.c
 *		What actor_explain wants to know of, as it happens.
 *
 * A note names something; whether it is still there at the end, or was rolled
 * back with a savepoint, is for the reader to find out.
 *
 * IDENTIFICATION
 *		src/base/note.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/base.h"

bool		actor_noting = false;

static MemoryContext notes_context;
static List *notes;

/*
 * actor_notes_begin
 *		Takes notes from now on, in the current memory context, until they are
 *		asked for or the caller ends that with actor_noting.
 */
void
actor_notes_begin(void)
{
	notes_context = CurrentMemoryContext;
	notes = NIL;
	actor_noting = true;
}

/*
 * actor_notes
 *		The notes that were taken, the first one first.
 */
List *
actor_notes(void)
{
	return notes;
}

static text *
copy_text(const text *value)
{
	return value == NULL ? NULL :
		cstring_to_text_with_len(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

/*
 * actor_note
 *		Takes a note, if any are taken.
 */
void
actor_note(ActorNoteKind kind, const ActorRef *actor, const text *name, int64 number,
		   double ms)
{
	MemoryContext old;
	ActorNote  *note;

	if (!actor_noting)
		return;
	old = MemoryContextSwitchTo(notes_context);
	note = palloc(sizeof(ActorNote));
	note->kind = kind;
	note->type = copy_text(actor->type);
	note->id = copy_text(actor->id);
	note->name = copy_text(name);
	note->number = number;
	note->ms = ms;
	notes = lappend(notes, note);
	MemoryContextSwitchTo(old);
}
