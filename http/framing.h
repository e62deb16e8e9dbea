/*-------------------------------------------------------------------------
 *
 * framing.h
 *		Where requests begin and end in what a client sends.
 *
 * IDENTIFICATION
 *		http/framing.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_FRAMING_H
#define ACTOR_HTTP_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum FramingStage
{
	FRAMING_START,				/* before a request */
	FRAMING_START_LF,
	FRAMING_METHOD,
	FRAMING_TARGET,
	FRAMING_VERSION,
	FRAMING_VERSION_LF,
	FRAMING_FIELD,				/* the first character of a line */
	FRAMING_NAME,
	FRAMING_VALUE_SPACE,
	FRAMING_VALUE,
	FRAMING_VALUE_LF,
	FRAMING_HEAD_LF,
	FRAMING_BODY,
	FRAMING_SIZE,
	FRAMING_EXTENSION,
	FRAMING_SIZE_LF,
	FRAMING_CHUNK,
	FRAMING_CHUNK_CR,
	FRAMING_CHUNK_LF,
	FRAMING_BAD
} FramingStage;

/* the headers that have to do with framing */
typedef enum FramingField
{
	FIELD_OTHER,
	FIELD_CONTENT_LENGTH,
	FIELD_TRANSFER_ENCODING,
	FIELD_HOST
} FramingField;

/* what is known of the requests of a connection; all zero at its beginning */
typedef struct Framing
{
	FramingStage stage;
	const char *problem;		/* what is wrong, once the stage says so */
	size_t		complete;		/* of the last piece, bytes of complete requests */

	/* the request that is being read */
	bool		old;			/* HTTP/1.0 */
	bool		trailer;		/* the lines are those after the last chunk */
	int			lengths;		/* how often that header was there */
	int			codings;
	int			hosts;
	uint64_t	left;			/* bytes of the body or of the chunk */

	/* the line that is being read */
	FramingField field;
	char		name[20];
	size_t		position;		/* in the name, the value or the version */
} Framing;

extern bool framing_read(Framing *framing, const char *bytes, size_t length);
extern bool framing_between(const Framing *framing);

#endif							/* ACTOR_HTTP_FRAMING_H */
