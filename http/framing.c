/*-------------------------------------------------------------------------
 *
 * framing.c
 *		Follows the bytes of a connection, and finds what leaves a doubt about
 *		where a request ends.
 *
 * A proxy in front of us may put the requests of several clients on one
 * connection.  If it and libmicrohttpd do not agree about where one ends, a
 * client can write the beginning of the next one, which is somebody else's.
 * So whatever the two could understand in different ways is refused, as RFC
 * 9112 demands or allows: line ends other than CR LF, lines that are continued,
 * names of headers with spaces, a length and chunks at once, more than one
 * length or host, codings other than "chunked".
 *
 * This reads every byte once and keeps none.  What a request wants is not its
 * business.
 *
 * IDENTIFICATION
 *		http/framing.c
 *
 *-------------------------------------------------------------------------
 */
#include <string.h>
#include <strings.h>

#include "framing.h"

/* digits of a length, so that no sum of them overflows */
#define MAX_LENGTH_DIGITS	18
#define MAX_SIZE_DIGITS		15

static bool
refuse(Framing *framing, const char *problem)
{
	framing->stage = FRAMING_BAD;
	framing->problem = problem;
	return false;
}

static bool
go_on(Framing *framing, FramingStage stage)
{
	framing->stage = stage;
	framing->position = 0;
	return true;
}

/*
 * Goes on if the character is the one that must be here.
 */
static bool
expect(Framing *framing, unsigned char c, char expected, FramingStage stage)
{
	return c == (unsigned char) expected ? go_on(framing, stage) :
		refuse(framing, "a line does not end in CR LF");
}

static bool
is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Whether names of headers and verbs may have a character.
 */
static bool
is_token(unsigned char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		(c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/*
 * Whether values of headers may have a character.
 */
static bool
is_text(unsigned char c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7F);
}

static void
begin_request(Framing *framing)
{
	memset(framing, 0, sizeof(*framing));
}

/* the first line -------------------------------------------------------- */

static bool
read_version(Framing *framing, unsigned char c)
{
	static const char pattern[] = "HTTP/0.0";
	size_t		at = framing->position++;

	if (at == sizeof(pattern) - 1)
		return expect(framing, c, '\r', FRAMING_VERSION_LF);
	if (pattern[at] == '0' ? !is_digit(c) : c != (unsigned char) pattern[at])
		return refuse(framing, "the first line has no version of HTTP at its end");
	if (at == 5)
		framing->old = (c == '0');
	/* before 1.1 */
	if (at == 7)
		framing->old = framing->old || c == '0';
	return true;
}

static bool
read_first_line(Framing *framing, unsigned char c)
{
	switch (framing->stage)
	{
		case FRAMING_START:
			/* empty lines between requests are harmless */
			if (c == '\r')
				return go_on(framing, FRAMING_START_LF);
			if (!is_token(c))
				return refuse(framing, "the first line does not begin with a verb");
			begin_request(framing);
			return go_on(framing, FRAMING_METHOD);
		case FRAMING_METHOD:
			if (c == ' ')
				return go_on(framing, FRAMING_TARGET);
			return is_token(c) || refuse(framing, "the verb has a character that is not allowed");
		case FRAMING_TARGET:
			if (c == ' ' && framing->position > 0)
				return go_on(framing, FRAMING_VERSION);
			framing->position = 1;
			return (c > 0x20 && c != 0x7F) ||
				refuse(framing, "the target has a character that is not allowed");
		default:
			return read_version(framing, c);
	}
}

/* headers --------------------------------------------------------------- */

static FramingField
find_field(const Framing *framing)
{
	static const char *const names[] = {
		[FIELD_CONTENT_LENGTH] = "content-length",
		[FIELD_TRANSFER_ENCODING] = "transfer-encoding",
		[FIELD_HOST] = "host"
	};

	for (int i = FIELD_CONTENT_LENGTH; i <= FIELD_HOST; i++)
		if (framing->position == strlen(names[i]) &&
			strncasecmp(framing->name, names[i], framing->position) == 0)
			return (FramingField) i;
	return FIELD_OTHER;
}

/*
 * A name has ended.
 */
static bool
begin_value(Framing *framing)
{
	framing->field = find_field(framing);
	if (framing->trailer && framing->field != FIELD_OTHER)
		return refuse(framing, "a header that must come before the body comes after it");
	switch (framing->field)
	{
		case FIELD_CONTENT_LENGTH:
			if (framing->lengths++ > 0)
				return refuse(framing, "there is more than one Content-Length");
			break;
		case FIELD_TRANSFER_ENCODING:
			if (framing->codings++ > 0)
				return refuse(framing, "there is more than one Transfer-Encoding");
			break;
		case FIELD_HOST:
			if (framing->hosts++ > 0)
				return refuse(framing, "there is more than one Host");
			break;
		case FIELD_OTHER:
			break;
	}
	return go_on(framing, FRAMING_VALUE_SPACE);
}

static bool
read_name(Framing *framing, unsigned char c)
{
	if (c == ':' && framing->position > 0)
		return begin_value(framing);
	if (!is_token(c))
		return refuse(framing, framing->position == 0 && (c == ' ' || c == '\t') ?
					  "a header is continued on a second line" :
					  "the name of a header has a character that is not allowed");
	if (framing->position < sizeof(framing->name))
		framing->name[framing->position] = (char) c;
	framing->position++;
	return true;
}

/*
 * The values that matter must be exactly right: libmicrohttpd would not see
 * "chunked" where a space follows.
 */
static bool
read_value(Framing *framing, unsigned char c)
{
	static const char chunked[] = "chunked";
	size_t		at = framing->position++;

	switch (framing->field)
	{
		case FIELD_CONTENT_LENGTH:
			if (!is_digit(c) || at == MAX_LENGTH_DIGITS)
				return refuse(framing, "Content-Length is no number");
			framing->left = framing->left * 10 + (c - '0');
			return true;
		case FIELD_TRANSFER_ENCODING:
			if (at >= sizeof(chunked) - 1 || (c | 0x20) != (unsigned char) chunked[at])
				return refuse(framing, "Transfer-Encoding is not \"chunked\"");
			return true;
		case FIELD_HOST:
			if (c <= 0x20 || c >= 0x7F || strchr("\"#,/<>?@\\^`{|}", c) != NULL)
				return refuse(framing, "Host has a character that is not allowed");
			return true;
		case FIELD_OTHER:
			break;
	}
	return is_text(c) || refuse(framing, "a header has a character that is not allowed");
}

/*
 * A value has ended.
 */
static bool
end_value(Framing *framing)
{
	if (framing->field == FIELD_CONTENT_LENGTH && framing->position == 0)
		return refuse(framing, "Content-Length is no number");
	if (framing->field == FIELD_TRANSFER_ENCODING && framing->position != strlen("chunked"))
		return refuse(framing, "Transfer-Encoding is not \"chunked\"");
	return go_on(framing, FRAMING_VALUE_LF);
}

/*
 * The empty line has ended, which is the end of a request without a body and of
 * one in chunks.
 */
static bool
end_lines(Framing *framing)
{
	if (framing->trailer)
		return go_on(framing, FRAMING_START);
	if (framing->hosts == 0 && !framing->old)
		return refuse(framing, "there is no Host");
	if (framing->codings > 0 && framing->lengths > 0)
		return refuse(framing, "there are both Content-Length and Transfer-Encoding");
	if (framing->codings > 0 && framing->old)
		return refuse(framing, "HTTP/1.0 has no Transfer-Encoding");
	return go_on(framing, framing->codings > 0 ? FRAMING_SIZE :
				 framing->left > 0 ? FRAMING_BODY : FRAMING_START);
}

static bool
read_field(Framing *framing, unsigned char c)
{
	switch (framing->stage)
	{
		case FRAMING_FIELD:
			if (c == '\r')
				return go_on(framing, FRAMING_HEAD_LF);
			framing->stage = FRAMING_NAME;
			return read_name(framing, c);
		case FRAMING_NAME:
			return read_name(framing, c);
		case FRAMING_VALUE_SPACE:
			if (c == ' ' || c == '\t')
				return true;
			framing->stage = FRAMING_VALUE;
			/* fall through */
		default:
			return c == '\r' ? end_value(framing) : read_value(framing, c);
	}
}

/* chunks ---------------------------------------------------------------- */

static int
hex_digit(unsigned char c)
{
	if (is_digit(c))
		return c - '0';
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/*
 * The line before a chunk.
 */
static bool
read_size(Framing *framing, unsigned char c)
{
	int			digit = hex_digit(c);

	if (framing->stage == FRAMING_EXTENSION)
	{
		if (c == '\r')
			return go_on(framing, FRAMING_SIZE_LF);
		return is_text(c) || refuse(framing, "a chunk has an extension with a wrong character");
	}
	if (framing->position == 0)
		framing->left = 0;
	if (digit >= 0 && framing->position < MAX_SIZE_DIGITS)
	{
		framing->left = framing->left * 16 + (uint64_t) digit;
		framing->position++;
		return true;
	}
	if (framing->position > 0 && c == ';')
		return go_on(framing, FRAMING_EXTENSION);
	if (framing->position > 0 && c == '\r')
		return go_on(framing, FRAMING_SIZE_LF);
	return refuse(framing, "the size of a chunk is no number");
}

static bool
begin_chunk(Framing *framing)
{
	framing->trailer = (framing->left == 0);
	return go_on(framing, framing->trailer ? FRAMING_FIELD : FRAMING_CHUNK);
}

/* interface ------------------------------------------------------------- */

/*
 * Takes one byte that is no content.
 */
static bool
read_byte(Framing *framing, unsigned char c)
{
	switch (framing->stage)
	{
		case FRAMING_START:
		case FRAMING_METHOD:
		case FRAMING_TARGET:
		case FRAMING_VERSION:
			return read_first_line(framing, c);
		case FRAMING_START_LF:
			return expect(framing, c, '\n', FRAMING_START);
		case FRAMING_VERSION_LF:
		case FRAMING_VALUE_LF:
			return expect(framing, c, '\n', FRAMING_FIELD);
		case FRAMING_FIELD:
		case FRAMING_NAME:
		case FRAMING_VALUE_SPACE:
		case FRAMING_VALUE:
			return read_field(framing, c);
		case FRAMING_HEAD_LF:
			return expect(framing, c, '\n', FRAMING_FIELD) && end_lines(framing);
		case FRAMING_SIZE:
		case FRAMING_EXTENSION:
			return read_size(framing, c);
		case FRAMING_SIZE_LF:
			return expect(framing, c, '\n', FRAMING_CHUNK) && begin_chunk(framing);
		case FRAMING_CHUNK_CR:
			return expect(framing, c, '\r', FRAMING_CHUNK_LF);
		case FRAMING_CHUNK_LF:
			return expect(framing, c, '\n', FRAMING_SIZE);
		default:
			return false;
	}
}

/*
 * Skips content; returns how many bytes of it there are.
 */
static size_t
skip_content(Framing *framing, size_t length)
{
	size_t		count = framing->left < length ? (size_t) framing->left : length;

	framing->left -= count;
	if (framing->left == 0)
		(void) go_on(framing, framing->stage == FRAMING_BODY ? FRAMING_START : FRAMING_CHUNK_CR);
	return count;
}

/*
 * framing_read
 *		Takes the next piece of what a client sends.  Returns false if there is
 *		a problem in it; nothing can be read after that.
 *
 * In both cases "complete" says how many bytes of the piece belong to requests
 * that have ended in it, which are good.
 */
bool
framing_read(Framing *framing, const char *bytes, size_t length)
{
	size_t		complete = 0;
	bool		good = (framing->stage != FRAMING_BAD);

	for (size_t at = 0; good && at < length;)
	{
		if (framing->stage == FRAMING_BODY || framing->stage == FRAMING_CHUNK)
			at += skip_content(framing, length - at);
		else
			good = read_byte(framing, (unsigned char) bytes[at++]);
		if (good && framing->stage == FRAMING_START)
			complete = at;
	}
	framing->complete = complete;
	return good;
}

/*
 * framing_between
 *		Whether no request is incomplete.
 */
bool
framing_between(const Framing *framing)
{
	return framing->stage == FRAMING_START || framing->stage == FRAMING_START_LF;
}
