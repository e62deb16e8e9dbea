/*-------------------------------------------------------------------------
 *
 * trace.c
 *		The trace context of W3C: actor.traceparent, and how callbacks get it.
 *
 * What is sent or registered keeps the traceparent that its sender had.  Its
 * callback runs with that, and so does whatever is written down about the
 * callback, so that a trace goes on through any number of messages, reminders
 * and timers.  The value is passed on as it is: making spans is left to those
 * who record them.
 *
 * IDENTIFICATION
 *		src/base/trace.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"

static char *traceparent = NULL;

/*
 * Whether a value is of version 00: trace-id, parent-id and flags.
 */
static bool
has_form(const char *value)
{
	if (strlen(value) != 55 || strncmp(value, "00-", 3) != 0)
		return false;
	for (int i = 3; i < 55; i++)
	{
		bool		dash = i == 35 || i == 52;

		if (dash ? value[i] != '-' : strchr("0123456789abcdef", value[i]) == NULL)
			return false;
	}
	return true;
}

/*
 * The value gets into logs and tables, so nothing but this form may be in it.
 */
static bool
check_traceparent(char **newval, void **extra, GucSource source)
{
	const char *value = *newval;

	if (value[0] == '\0')
		return true;
	if (!has_form(value))
	{
		GUC_check_errdetail("It must be empty or have the form 00-<32 digits>-<16 digits>-<2 digits>, in lower-case hexadecimal digits.");
		return false;
	}
	if (strspn(value + 3, "0") == 32)
	{
		GUC_check_errdetail("The %s must not be all zeros.", "trace-id");
		return false;
	}
	if (strspn(value + 36, "0") == 16)
	{
		GUC_check_errdetail("The %s must not be all zeros.", "parent-id");
		return false;
	}
	return true;
}

/*
 * actor_trace_init
 *		Defines the setting.
 */
void
actor_trace_init(void)
{
	DefineCustomStringVariable("actor.traceparent",
							   "Sets the trace context that is kept by messages, reminders and timers.",
							   "It is a traceparent of W3C Trace Context; empty for none.",
							   &traceparent, "",
							   PGC_USERSET, 0, check_traceparent, NULL, NULL);
}

/*
 * actor_traceparent
 *		The current one, in the current memory context; NULL if there is none.
 */
text *
actor_traceparent(void)
{
	return traceparent[0] != '\0' ? cstring_to_text(traceparent) : NULL;
}

/*
 * actor_trace_begin
 *		Goes over to the traceparent of something due; NULL for none.  Returns
 *		what actor_trace_end needs.
 *
 * After an error the abort of the (sub)transaction undoes it.
 */
int
actor_trace_begin(const text *value)
{
	char	   *string = value != NULL ? text_to_cstring(value) : "";
	int			nestlevel;

	if (strcmp(string, traceparent) == 0)
		return 0;
	nestlevel = NewGUCNestLevel();
	/* a row that was restored from somewhere may have anything in it */
	(void) set_config_option("actor.traceparent", string, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, WARNING, false);
	return nestlevel;
}

/*
 * actor_trace_end
 *		Goes back; other settings stay as they are.
 */
void
actor_trace_end(int nestlevel)
{
	if (nestlevel != 0)
		AtEOXact_GUC(true, nestlevel);
}
