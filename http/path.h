/*-------------------------------------------------------------------------
 *
 * path.h
 *		The parts of a request's target.
 *
 * IDENTIFICATION
 *		http/path.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_PATH_H
#define ACTOR_HTTP_PATH_H

#include <stdbool.h>
#include <stddef.h>

#include "json.h"
#include "util.h"

#define PATH_MAX_PARTS	6

/* raw parts between slashes, and the query */
typedef struct Path
{
	JsonSpan	parts[PATH_MAX_PARTS];	/* the last one has the rest */
	int			count;
	JsonSpan	query;
} Path;

extern const char *path_start(const char *target);
extern void path_split(const char *target, Path *path);
extern char *percent_decode(const char *text, size_t length, size_t *decoded_length);
extern char *path_resolve(char *path);
extern bool name_allowed(const char *name, size_t length);
extern bool method_allowed(const char *name, size_t length);
extern void path_append(Buffer *path, const char *text, const char *kept);
extern char *query_value(const JsonSpan *query, const char *name);

#endif							/* ACTOR_HTTP_PATH_H */
