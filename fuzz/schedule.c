/*-------------------------------------------------------------------------
 *
 * schedule.c
 *		Feeds texts that libFuzzer makes to schedules.
 *
 * The sources that read and resolve schedules are compiled into this module,
 * so that the fuzzer sees which of their branches a text reaches.  It runs
 * inside a stand-alone server, because they use the server's memory, errors and
 * time zones.  A text has three lines: due time, period and ttl.
 *
 * What must hold for all of them: a schedule is refused as a bad argument or
 * not at all; its instants never go back, and end before it expires.
 *
 * IDENTIFICATION
 *		fuzz/schedule.c
 *
 *-------------------------------------------------------------------------
 */
#include "../src/time/when.c"
#include "../src/time/cron.c"
#include "../src/time/calendar.c"
#include "../src/time/schedule.c"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "pgtime.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(fuzz_schedule);

/* instants of a schedule that are looked at */
#define INSTANTS			20
/* longest line */
#define LINE_MAX_LEN		200

extern int	LLVMFuzzerRunDriver(int *argc, char ***argv,
								int (*callback) (const uint8 *data, size_t size));

static MemoryContext text_context;

/* the settings of the session are those that error texts are written with */
int
actor_conversion_begin(void)
{
	return 0;
}

void
actor_conversion_end(int nestlevel)
{
}

/*
 * Takes the next line; NULL if it is empty.
 */
static char *
next_line(const uint8 **data, size_t *size)
{
	const uint8 *start = *data;
	size_t		length = 0;

	while (length < *size && start[length] != '\n')
		length++;
	*data += Min(length + 1, *size);
	*size -= Min(length + 1, *size);
	return length == 0 ? NULL : pnstrdup((const char *) start, Min(length, LINE_MAX_LEN));
}

/*
 * One schedule.  Raises what it raises.
 */
static void
try_text(const uint8 *data, size_t size)
{
	char	   *texts[3];
	ActorWhen	due;
	ActorWhen	ttl;
	ActorPeriod period;
	ActorSchedule schedule;
	TimestampTz now = 0;		/* the same instants each time */
	TimestampTz last = DT_NOBEGIN;
	TimestampTz at;
	TimestampTz instants[INSTANTS];
	TimestampTz jumped_to;
	int64		missed;

	for (int i = 0; i < 3; i++)
		texts[i] = next_line(&data, &size);
	actor_parse_due_time(texts[0], &due);
	actor_parse_period(texts[1], &period);
	actor_parse_ttl(texts[2], &ttl);
	actor_schedule_make(&schedule, &due, &period, &ttl, now, session_timezone);
	at = schedule.first_at;
	for (int64 k = 0; k >= 0 && k < INSTANTS;
		 k = actor_schedule_next(&schedule, k, at, ACTOR_CATCH_UP_ALL, at, &at, &missed))
	{
		if (at < last || at >= schedule.expires_at || !IS_VALID_TIMESTAMP(at))
			abort();
		if (schedule.by_calendar && at == last)
			abort();
		if (schedule.count != 0 && k >= schedule.count)
			abort();
		/* what is jumped over is what would have come */
		instants[k] = at;
		if (k > 0 && schedule.first_at < at &&
			actor_schedule_next(&schedule, 0, schedule.first_at, ACTOR_CATCH_UP_ONE,
								at - 1, &jumped_to, &missed) != missed + 1)
			abort();
		if (k > 0 && schedule.first_at < at &&
			(jumped_to != at || instants[missed + 1] != at))
			abort();
		last = at;
	}
	for (ActorCatchUp policy = ACTOR_CATCH_UP_ONE; policy <= ACTOR_CATCH_UP_SKIP; policy++)
	{
		int64		next = actor_schedule_next(&schedule, 0, schedule.first_at, policy,
											   now + USECS_PER_DAY, &at, &missed);

		if (next == 0 || missed < 0 || (next > 0 && at < schedule.first_at))
			abort();
	}
}

static int
test_one_text(const uint8 *data, size_t size)
{
	MemoryContext context = MemoryContextSwitchTo(text_context);

	/* no session could send anything else */
	if (memchr(data, '\0', size) == NULL &&
		pg_verify_mbstr(GetDatabaseEncoding(), (const char *) data, size, true))
	{
		PG_TRY();
		{
			try_text(data, size);
		}
		PG_CATCH();
		{
			int			code = geterrcode();

			FlushErrorState();
			if (code != ERRCODE_INVALID_PARAMETER_VALUE)
				abort();
		}
		PG_END_TRY();
	}
	MemoryContextSwitchTo(context);
	MemoryContextReset(text_context);
	return 0;
}

/*
 * fuzz_schedule
 *		Runs the fuzzer with options, separated by blanks.  It ends the process.
 */
Datum
fuzz_schedule(PG_FUNCTION_ARGS)
{
	char	   *options = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *arguments[16] = {"fuzz_schedule"};
	char	  **argv = arguments;
	int			argc = 1;

	text_context = AllocSetContextCreate(TopMemoryContext, "text", ALLOCSET_DEFAULT_SIZES);
	for (char *option = strtok(options, " "); option != NULL && argc < 15;
		 option = strtok(NULL, " "))
		arguments[argc++] = option;
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&argc, &argv, test_one_text));
}
