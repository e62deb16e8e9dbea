/*-------------------------------------------------------------------------
 *
 * path.c
 *		Takes the target of a request apart.
 *
 * The target is split while it is still encoded, and each part is decoded
 * once, so that an encoded slash belongs to a part.  What a part must not have
 * is looked for after that.
 *
 * IDENTIFICATION
 *		http/path.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "util.h"

/*
 * path_start
 *		Where the path of a target begins, which can be a whole URL.
 */
const char *
path_start(const char *target)
{
	const char *slashes = strstr(target, "://");
	const char *path;

	if (target[0] == '/' || slashes == NULL)
		return target;
	path = slashes + 3 + strcspn(slashes + 3, "/?");
	return path;
}

/*
 * path_split
 *		Splits at slashes; the last of the parts that there is room for takes
 *		what is left.  A target that does not begin with a slash has no parts.
 */
void
path_split(const char *target, Path *path)
{
	const char *at = path_start(target);
	const char *end = at + strcspn(at, "?");

	memset(path, 0, sizeof(*path));
	path->query.start = end;
	if (*end == '?')
	{
		path->query.start = end + 1;
		path->query.length = strlen(end + 1);
	}
	while (at < end && *at == '/')
	{
		const char *stop;
		JsonSpan   *part = &path->parts[path->count++];

		at++;
		stop = memchr(at, '/', (size_t) (end - at));
		if (stop == NULL || path->count == PATH_MAX_PARTS)
			stop = end;
		part->start = at;
		part->length = (size_t) (stop - at);
		at = stop;
	}
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/*
 * percent_decode
 *		Decodes once; the result is to be freed.  NULL if a percent sign has no
 *		two hexadecimal digits after it.  The result can have zero bytes.
 */
char *
percent_decode(const char *text, size_t length, size_t *decoded_length)
{
	char	   *decoded = xmalloc(length + 1);
	size_t		size = 0;

	for (size_t i = 0; i < length; i++)
	{
		int			high;
		int			low;

		if (text[i] != '%')
		{
			decoded[size++] = text[i];
			continue;
		}
		high = i + 1 < length ? hex_digit(text[i + 1]) : -1;
		low = i + 2 < length ? hex_digit(text[i + 2]) : -1;
		if (high < 0 || low < 0)
		{
			free(decoded);
			return NULL;
		}
		decoded[size++] = (char) (high * 16 + low);
		i += 2;
	}
	decoded[size] = '\0';
	*decoded_length = size;
	return decoded;
}

/*
 * path_resolve
 *		Removes "." and ".." from a path in place, as Dapr does for the name of
 *		a method: "a/../b" is "b", and nothing climbs above the beginning.
 */
char *
path_resolve(char *path)
{
	char	   *in = path;
	char	   *out = path;

	for (;;)
	{
		size_t		length = strcspn(in, "/");
		bool		last = (in[length] == '\0');

		if (length == 2 && in[0] == '.' && in[1] == '.')
		{
			/* back to the slash before the last part */
			if (out > path)
				out--;
			while (out > path && out[-1] != '/')
				out--;
		}
		else if (length > 0 && !(length == 1 && in[0] == '.'))
		{
			memmove(out, in, length);
			out += length;
			if (!last)
				*out++ = '/';
		}
		if (last)
			break;
		in += length + 1;
	}
	if (out > path && out[-1] == '/')
		out--;
	*out = '\0';
	return path;
}

static bool
has_control_character(const char *name, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) name[i] < 0x20 || name[i] == 0x7F)
			return true;
	return false;
}

/*
 * name_allowed
 *		Whether a decoded text may be an actor type, an actor id, or the name
 *		of a reminder or timer.  Dapr refuses the same.
 */
bool
name_allowed(const char *name, size_t length)
{
	return length > 0 && !has_control_character(name, length) &&
		strpbrk(name, "#?/\\") == NULL &&
		strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/*
 * method_allowed
 *		Whether a decoded text may be the name of a method, before it is
 *		resolved.
 */
bool
method_allowed(const char *name, size_t length)
{
	return length > 0 && !has_control_character(name, length) &&
		strpbrk(name, "#?") == NULL;
}

/*
 * query_value
 *		The decoded value of a parameter of the query, to be freed; NULL if
 *		there is none, or none that can be decoded.
 */
char *
query_value(const JsonSpan *query, const char *name)
{
	size_t		name_length = strlen(name);
	const char *at = query->start;
	const char *end = query->start + query->length;

	while (at < end)
	{
		const char *stop = memchr(at, '&', (size_t) (end - at));
		size_t		length = (size_t) ((stop != NULL ? stop : end) - at);
		size_t		decoded_length;

		if (length > name_length && memcmp(at, name, name_length) == 0 &&
			at[name_length] == '=')
			return percent_decode(at + name_length + 1, length - name_length - 1,
								  &decoded_length);
		at += length + 1;
	}
	return NULL;
}

/*
 * Whether a character has no meaning in a target, or is to be kept.
 */
static bool
is_plain(char c, const char *kept)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		strchr("-._~", c) != NULL || strchr(kept, c) != NULL;
}

/*
 * path_append
 *		Appends a text with all that has a meaning in a target encoded, but for
 *		the characters that are to be kept.
 */
void
path_append(Buffer *path, const char *text, const char *kept)
{
	static const char digits[] = "0123456789ABCDEF";

	while (*text != '\0')
	{
		size_t		length = 0;
		unsigned char c;

		while (text[length] != '\0' && is_plain(text[length], kept))
			length++;
		if (!buffer_append(path, text, length))
			die("out of memory");
		text += length;
		if (*text == '\0')
			break;
		c = (unsigned char) *text++;
		buffer_text(path, (char[]) {'%', digits[c >> 4], digits[c & 0x0F], '\0'});
	}
}
