/*-------------------------------------------------------------------------
 *
 * json.h
 *		Reads JSON without changing it.
 *
 * IDENTIFICATION
 *		http/json.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_JSON_H
#define ACTOR_HTTP_JSON_H

#include <stdbool.h>
#include <stddef.h>

/* a part of a document, as it was sent */
typedef struct JsonSpan
{
	const char *start;
	size_t		length;
} JsonSpan;

typedef struct JsonMember
{
	JsonSpan	name;			/* with its quotes */
	JsonSpan	value;
} JsonMember;

/* the outermost level of a document */
typedef struct JsonDocument
{
	char		kind;			/* first character of the value */
	JsonMember *members;		/* of an object */
	size_t		count;
} JsonDocument;

typedef struct JsonError
{
	size_t		offset;
	const char *problem;
} JsonError;

extern bool json_read(const char *text, size_t length, JsonDocument *document,
					  JsonError *error);
extern void json_release(JsonDocument *document);
extern const JsonSpan *json_member(const JsonDocument *document, const char *name);
extern char *json_text(const JsonSpan *string);
extern bool span_is_null(const JsonSpan *value);
extern bool utf8_valid(const char *text, size_t length);
extern void text_position(const char *text, size_t offset, int *line, int *column);

#endif							/* ACTOR_HTTP_JSON_H */
