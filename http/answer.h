/*-------------------------------------------------------------------------
 *
 * answer.h
 *		Answers to requests.
 *
 * IDENTIFICATION
 *		http/answer.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_ANSWER_H
#define ACTOR_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "request.h"

extern void answer_empty(Request *request, int status);
extern void answer_bytes(Request *request, int status, const char *content_type,
						 const char *bytes, size_t length);
extern void answer_header(Request *request, const char *name, const char *value);
extern void answer_transfer(Request *request, Transfer *transfer);
extern void answer_error(Request *request, int status, const char *code,
						 const char *format,...) __attribute__((format(printf, 4, 5)));
extern void answer_message(Request *request, int status, const char *code, const char *message);
extern void answer_sql_error(Request *request, const PGresult *result);

#endif							/* ACTOR_HTTP_ANSWER_H */
