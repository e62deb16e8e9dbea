/*-------------------------------------------------------------------------
 *
 * call.h
 *		Calls of methods.
 *
 * IDENTIFICATION
 *		src/call/call.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_CALL_H
#define ACTOR_CALL_H

#include "base/base.h"
#include "type/type.h"

/* frame.c */

extern void actor_frame_init(void);
extern void actor_frame_check_reentry(const ActorRef *actor, const ActorType *type,
									  const text *method);
extern void actor_frame_begin_hosted(ActorFrame *frame);
extern void actor_frame_end_hosted(ActorFrame *frame);

/* convert.c */

extern Jsonb *actor_to_jsonb(Datum value, Oid type);
extern Datum actor_from_jsonb(JsonbValue *value, Oid type, bool *isnull);

/* invoke.c */

/*
 * Makes sure that an actor, whose turn is held, is active; see lifecycle.c,
 * which fills this in.
 */
typedef bool (*ActorBeginLife) (const ActorRef *actor, ActorType *type, uint64 generation);

extern ActorBeginLife actor_begin_life;

extern Jsonb *actor_call(const ActorRef *actor, const text *method_name,
						 Jsonb *payload, const pg_uuid_t *reentrancy_id,
						 text *request_id, const ActorCause *cause);
extern Oid	actor_check_call(const text *type_name, const text *id, text *method_name,
							 Jsonb *payload, bool *hosted);
extern void actor_check_can_write(const ActorRef *actor, const text *method);
extern text *actor_choose_method(const text *type_name, text *name, const char *other);
extern Jsonb *actor_frame_run(ActorFrame *frame, ActorMethod *method, Jsonb *payload);

/* request.c */

extern bool actor_request_find(const ActorRef *actor, text *request_id, const text *method,
							   Jsonb *payload, Jsonb **result);
extern bool actor_request_reserve(const ActorRef *actor, text *request_id,
								  const text *method, Jsonb *payload, int64 *message_id);
extern void actor_request_done(const ActorRef *actor, const text *request_id,
							   int64 message_id, Jsonb *result);
extern void actor_request_failed(const ActorRef *actor, const text *request_id,
								 int64 message_id, const ErrorData *error);
extern void actor_request_cancelled(const ActorRef *actor, const text *request_id,
									int64 message_id);
extern text *actor_request_reopen(const ActorRef *actor, int64 old_message_id,
								  int64 *message_id);
extern void actor_request_store(const ActorRef *actor, text *request_id, const text *method,
								Jsonb *payload, Jsonb *result);

/* record.c */

/* a member that is left out where the value is absent */
#define ACTOR_CHANGE_MEMBER(name, value) \
	" OPERATOR(pg_catalog.||) CASE WHEN " value " IS NULL THEN '{}'::pg_catalog.jsonb" \
	"  ELSE pg_catalog.jsonb_build_object('" name "'::pg_catalog.text, " value ") END"

/* a row c of actor.history_change, for those who see the document that it becomes */
#define ACTOR_CHANGE_OBJECT \
	"pg_catalog.jsonb_build_object('key'::pg_catalog.text, c.key)" \
	ACTOR_CHANGE_MEMBER("old", "c.old_value") ACTOR_CHANGE_MEMBER("new", "c.new_value")

extern void actor_record_begin(ActorFrame *frame, const ActorType *type);
extern void actor_record_end(ActorFrame *frame);
extern void actor_record_failure(const ActorRef *actor, const text *method,
								 const ActorCause *cause, const NameData *ran_as,
								 TimestampTz started_at, const ErrorData *error);
extern void actor_record_change(ActorFrame *frame, const text *key,
								const Jsonb *old_value, TimestampTz old_expires_at,
								const Jsonb *new_value, TimestampTz new_expires_at);
extern void actor_record_removals(ActorFrame *frame);

/* delegate.c */

extern void actor_delegate_init(void);

/* session.c */

extern void actor_session_init(void);
extern void actor_session_begin(void);
extern bool actor_session_spoiled(void);
extern void actor_session_close(void);
extern void actor_session_forget(void);

#endif							/* ACTOR_CALL_H */
