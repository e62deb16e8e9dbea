/*-------------------------------------------------------------------------
 *
 * util.h
 *		Memory, text, the log and the clock.
 *
 * IDENTIFICATION
 *		http/util.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_UTIL_H
#define ACTOR_HTTP_UTIL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACTOR_HTTP_VERSION	"1.0.0"

#define lengthof(array)		(sizeof(array) / sizeof((array)[0]))

/* a text that grows; always ends in a zero byte once something is in it */
typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		capacity;
} Buffer;

extern void *xmalloc(size_t size);
extern void *xrealloc(void *pointer, size_t size);
extern char *xstrdup(const char *string);
extern char *xstrndup(const char *string, size_t length);
extern char *xprintf(const char *format,...) __attribute__((format(printf, 1, 2)));
extern bool buffer_append(Buffer *buffer, const char *bytes, size_t length);
extern void buffer_text(Buffer *buffer, const char *string);
extern void buffer_free(Buffer *buffer);
extern void log_line(const char *format,...) __attribute__((format(printf, 1, 2)));
_Noreturn extern void die(const char *format,...) __attribute__((format(printf, 1, 2)));
extern int64_t now_ms(void);
extern void condition_init(pthread_cond_t *condition);

#endif							/* ACTOR_HTTP_UTIL_H */
