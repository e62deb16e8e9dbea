/*-------------------------------------------------------------------------
 *
 * header.h
 *		Headers of requests and answers.
 *
 * IDENTIFICATION
 *		http/header.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_HEADER_H
#define ACTOR_HTTP_HEADER_H

#include <stdbool.h>
#include <stddef.h>

/* a header of a request or an answer */
typedef struct Header
{
	char	   *name;
	char	   *value;
	struct Header *next;
} Header;

extern Header *header_create(const char *name, size_t name_length,
							 const char *value, size_t value_length);
extern void headers_free(Header *headers);
extern const char *headers_value(const Header *headers, const char *name);
extern void headers_remove(Header **headers, const char *names);
extern bool is_end_to_end(const char *name, size_t length);

#endif							/* ACTOR_HTTP_HEADER_H */
