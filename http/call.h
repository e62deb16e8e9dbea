/*-------------------------------------------------------------------------
 *
 * call.h
 *		What the operations on actors share.
 *
 * IDENTIFICATION
 *		http/call.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_CALL_H
#define ACTOR_HTTP_CALL_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "json.h"
#include "request.h"
#include "session.h"

extern bool read_body(Request *request, JsonDocument *document);
extern bool read_object(Request *request, JsonDocument *document);
extern bool read_payload(Request *request, const char **payload);
extern bool malformed_member(Request *request, const char *name, const char *problem);
extern bool read_text_member(Request *request, const JsonDocument *document, const char *name,
							 char **value);
extern bool read_time_member(Request *request, const JsonDocument *document, const char *name,
							 char **value);
extern char *copy_member(const JsonDocument *document, const char *name, bool or_null);
extern PGresult *call_database(Request *request, Session *session, const char *sql,
							   int nvalues, const char *const *values);
extern void call_with_result(Request *request, Session *session, const char *sql,
							 int nvalues, const char *const *values);
extern void call_without_result(Request *request, Session *session, const char *sql,
								int nvalues, const char *const *values);

#endif							/* ACTOR_HTTP_CALL_H */
