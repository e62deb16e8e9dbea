/*-------------------------------------------------------------------------
 *
 * failure.c
 *		Failures of callbacks and hooks: the log, and the rows of
 *		actor.failure for those that are given up, until somebody retries or
 *		discards them.
 *
 * IDENTIFICATION
 *		src/life/failure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "time/time.h"
#include "store/store.h"
#include "shared/shared.h"
#include "life/life.h"

static ActorQuery write_failure = {
	"INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, payload,"
	"  scheduled_at, failed_at, attempts, sqlstate, message, detail, context, role_name,"
	"  traceparent, settings)"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
	16, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID,
	TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, NAMEOID, TEXTOID, JSONBOID}
};

/* the same with a number that no other server draws */
static ActorQuery write_numbered = {
	"INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, payload,"
	"  scheduled_at, failed_at, attempts, sqlstate, message, detail, context, role_name,"
	"  traceparent, settings, failure_id) OVERRIDING SYSTEM VALUE"
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
	17, {TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, JSONBOID, TIMESTAMPTZOID,
		TIMESTAMPTZOID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, NAMEOID, TEXTOID, JSONBOID,
	INT8OID}
};

/* writing --------------------------------------------------------------- */

/*
 * Whether a failure is to be logged: of those of one method that are alike, one in
 * a while.  Sets how many were left out since the last one.  Only workers, who
 * have nobody else to tell, fail all the time.
 */
static bool
is_worth_logging(const ActorRef *actor, const text *method, const ErrorData *error,
				 const char *outcome, int64 *left_out)
{
	uint64		like = hash_bytes_extended((const unsigned char *) VARDATA_ANY(method),
										   VARSIZE_ANY_EXHDR(method), error->sqlerrcode);

	like = hash_bytes_extended((const unsigned char *) outcome, strlen(outcome), like);
	*left_out = 0;
	return MyBackendType != B_BG_WORKER || actor_log_again(actor_hash_slice(actor->type, like), left_out);
}

/*
 * actor_failure_log
 *		Says in the server's log that something has failed, with the current
 *		traceparent; "what" says what kind of thing the name belongs to, and
 *		"outcome" in a sentence what becomes of it.
 *
 * If there is an outcome, failures of the method that are alike are logged once
 * a minute only.
 */
void
actor_failure_log(int elevel, const ActorRef *actor, const char *what, const text *name,
				  const text *method, const ErrorData *error, const char *outcome)
{
	text	   *traceparent = actor_traceparent();
	StringInfoData detail;
	int64		left_out = 0;

	if (outcome != NULL && !is_worth_logging(actor, method, error, outcome, &left_out))
		return;
	initStringInfo(&detail);
	if (outcome != NULL)
		appendStringInfo(&detail, "%s SQLSTATE %s.", outcome,
						 unpack_sql_state(error->sqlerrcode));
	if (left_out > 0)
		appendStringInfo(&detail, " " INT64_FORMAT " like that were left out here since the last one.",
						 left_out);
	if (traceparent != NULL)
		appendStringInfo(&detail, "%sTrace: %s.", detail.len > 0 ? " " : "",
						 text_to_cstring(traceparent));
	if (error->detail != NULL)
		appendStringInfo(&detail, "%s%s", detail.len > 0 ? " " : "", error->detail);
	ereport(elevel,
			(errcode(error->sqlerrcode),
			 errmsg("%s \"%s\" of actor \"%s\" of type \"%s\" failed: %s",
					what, text_to_cstring(name), text_to_cstring(actor->id),
					text_to_cstring(actor->type), error->message ? error->message : ""),
			 detail.len > 0 ? errdetail_internal("%s", detail.data) : 0,
			 error->context != NULL ? errcontext("%s", error->context) : 0,
			 errhidestmt(true)));
}

/*
 * actor_failure_write
 *		Writes down that something has been given up, which ran as a role and
 *		with the current traceparent.
 */
void
actor_failure_write(const ActorRef *actor, const ActorFailure *failure,
					const NameData *role, const ErrorData *error)
{
	ActorBookkeeping bookkeeping;
	text	   *traceparent = actor_traceparent();
	Datum		values[17];
	char		nulls[17];
	bool		numbered = actor_on_several_servers();

	memset(nulls, ' ', sizeof(nulls));
	values[0] = PointerGetDatum(actor->type);
	values[1] = PointerGetDatum(actor->id);
	values[2] = CStringGetTextDatum(failure->kind);
	values[3] = PointerGetDatum(failure->name);
	values[4] = PointerGetDatum(failure->method);
	values[5] = PointerGetDatum(failure->payload);
	nulls[5] = failure->payload == NULL ? 'n' : ' ';
	values[6] = TimestampTzGetDatum(failure->scheduled_at);
	values[7] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[8] = Int32GetDatum(failure->attempts);
	values[9] = CStringGetTextDatum(unpack_sql_state(error->sqlerrcode));
	values[10] = PointerGetDatum(actor_error_text(error->message ? error->message : ""));
	values[11] = PointerGetDatum(actor_error_text(error->detail));
	nulls[11] = error->detail == NULL ? 'n' : ' ';
	values[12] = PointerGetDatum(actor_error_text(error->context));
	nulls[12] = error->context == NULL ? 'n' : ' ';
	values[13] = NameGetDatum(role);
	values[14] = PointerGetDatum(traceparent);
	nulls[14] = traceparent == NULL ? 'n' : ' ';
	values[15] = PointerGetDatum(failure->settings);
	nulls[15] = failure->settings == NULL ? 'n' : ' ';

	if (numbered)
		values[16] = Int64GetDatum(actor_cluster_number());
	actor_bookkeeping_begin(&bookkeeping);
	actor_query_write_one(numbered ? &write_numbered : &write_failure, values, nulls);
	actor_bookkeeping_end(&bookkeeping);
	actor_wake_at(actor_purge_time(GetCurrentTimestamp() +
								   actor_failure_retention * USECS_PER_SEC));
	/* there may be too many now */
	if (actor_failure_limit > 0)
		actor_wake_at(actor_purge_time(GetCurrentTimestamp()));
}
