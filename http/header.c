/*-------------------------------------------------------------------------
 *
 * header.c
 *		Headers of requests and answers, in lists.
 *
 * IDENTIFICATION
 *		http/header.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "header.h"
#include "util.h"

Header *
header_create(const char *name, size_t name_length, const char *value, size_t value_length)
{
	Header	   *header = xmalloc(sizeof(Header));

	header->name = xstrndup(name, name_length);
	header->value = xstrndup(value, value_length);
	header->next = NULL;
	return header;
}

void
headers_free(Header *headers)
{
	while (headers != NULL)
	{
		Header	   *next = headers->next;

		free(headers->name);
		free(headers->value);
		free(headers);
		headers = next;
	}
}

/*
 * headers_value
 *		The first header of that name; NULL if there is none.
 */
const char *
headers_value(const Header *headers, const char *name)
{
	for (; headers != NULL; headers = headers->next)
		if (strcasecmp(headers->name, name) == 0)
			return headers->value;
	return NULL;
}

/*
 * Whether a header is among names that commas separate, with white space around them.
 */
static bool
is_named(const char *name, const char *names)
{
	size_t		length = strlen(name);

	while (*names != '\0')
	{
		const char *start = names + strspn(names, " \t,");

		names = start + strcspn(start, " \t,");
		if ((size_t) (names - start) == length && length > 0 &&
			strncasecmp(start, name, length) == 0)
			return true;
	}
	return false;
}

/*
 * headers_remove
 *		Takes out those that a header Connection names: they are for one connection
 *		only, as well.
 */
void
headers_remove(Header **headers, const char *names)
{
	while (*headers != NULL)
	{
		Header	   *header = *headers;

		if (!is_named(header->name, names))
		{
			headers = &header->next;
			continue;
		}
		*headers = header->next;
		header->next = NULL;
		headers_free(header);
	}
}

/*
 * is_end_to_end
 *		Whether a header is to be passed on: it is not about the connection, nor
 *		about where a body ends.
 */
bool
is_end_to_end(const char *name, size_t length)
{
	static const char *const hop_by_hop[] = {
		"connection", "keep-alive", "proxy-connection", "proxy-authenticate",
		"proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade",
		"content-length", "host", "expect", "date", NULL
	};

	for (int i = 0; hop_by_hop[i] != NULL; i++)
		if (strlen(hop_by_hop[i]) == length && strncasecmp(hop_by_hop[i], name, length) == 0)
			return false;
	return true;
}
