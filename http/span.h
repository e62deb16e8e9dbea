/*-------------------------------------------------------------------------
 *
 * span.h
 *		Spans of OpenTelemetry.
 *
 * IDENTIFICATION
 *		http/span.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_SPAN_H
#define ACTOR_HTTP_SPAN_H

#include <stdbool.h>
#include <stdint.h>

/* as OTLP numbers them */
typedef enum SpanKind
{
	SPAN_SERVER = 2,			/* a request that was sent to us */
	SPAN_CLIENT = 3				/* one that we send */
} SpanKind;

typedef struct Span Span;

/* bytes of a traceparent, with its end */
#define TRACEPARENT_SIZE	56

extern void spans_start(void);
extern void spans_stop(void);
extern Span *span_begin(SpanKind kind, const char *parent);
extern void span_traceparent(const Span *span, char *text);
extern void span_attribute(Span *span, const char *name, const char *value);
extern void span_end(Span *span, const char *name, int status, const char *problem);
extern void spans_count(uint64_t *sent, uint64_t *dropped);

#endif							/* ACTOR_HTTP_SPAN_H */
