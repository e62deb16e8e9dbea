/*-------------------------------------------------------------------------
 *
 * util.c
 *		Memory, growing texts, the log and the clock.
 *
 * Small allocations that fail end the program: a service manager starts it
 * again.  Bodies of requests, which clients can make large, are appended with
 * a function that reports the failure instead.
 *
 * IDENTIFICATION
 *		http/util.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util.h"

void *
xmalloc(size_t size)
{
	return xrealloc(NULL, size);
}

void *
xrealloc(void *pointer, size_t size)
{
	void	   *result = realloc(pointer, size > 0 ? size : 1);

	if (result == NULL)
		die("out of memory");
	return result;
}

char *
xstrdup(const char *string)
{
	return xstrndup(string, strlen(string));
}

char *
xstrndup(const char *string, size_t length)
{
	char	   *copy = xmalloc(length + 1);

	memcpy(copy, string, length);
	copy[length] = '\0';
	return copy;
}

char *
xprintf(const char *format,...)
{
	va_list		arguments;
	char	   *text;
	int			length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0)
		die("could not format a text");
	text = xmalloc((size_t) length + 1);
	va_start(arguments, format);
	vsnprintf(text, (size_t) length + 1, format, arguments);
	va_end(arguments);
	return text;
}

/*
 * Returns false, and leaves the buffer as it is, if there is no memory.
 */
bool
buffer_append(Buffer *buffer, const char *bytes, size_t length)
{
	if (buffer->capacity - buffer->length < length + 1)
	{
		size_t		capacity = buffer->length + length + 1;
		char	   *data;

		if (capacity < buffer->capacity * 2)
			capacity = buffer->capacity * 2;
		data = realloc(buffer->data, capacity);
		if (data == NULL)
			return false;
		buffer->data = data;
		buffer->capacity = capacity;
	}
	memcpy(buffer->data + buffer->length, bytes, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
	return true;
}

void
buffer_text(Buffer *buffer, const char *string)
{
	if (!buffer_append(buffer, string, strlen(string)))
		die("out of memory");
}

void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(*buffer));
}

/*
 * What others have said may be a part of it, but cannot make a line of its own.
 */
static void
write_line(const char *format, va_list arguments)
{
	char		line[1024];

	vsnprintf(line, sizeof(line), format, arguments);
	for (char *c = line; *c != '\0'; c++)
		if ((unsigned char) *c < 0x20 || *c == 0x7F)
			*c = ' ';
	/* one write a line, so that threads do not mix theirs */
	fprintf(stderr, "actor-http: %s\n", line);
}

void
log_line(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	write_line(format, arguments);
	va_end(arguments);
}

void
die(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	write_line(format, arguments);
	va_end(arguments);
	exit(1);
}

/*
 * A clock that nobody sets.
 */
int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * condition_init
 *		One whose waits end by a clock that nobody sets.
 */
void
condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
}
