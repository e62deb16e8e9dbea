/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *		Feeds random input to what reads requests; for the tests.
 *
 *	fuzz SEED ROUNDS
 *
 * Half of the input is noise over the characters that mean something, the
 * other half are good requests with a few bytes changed.  Each piece is copied
 * to memory of exactly its size, so that a sanitizer sees every byte read
 * beyond its end.  Besides not crashing, the parsers must agree with what can
 * be said in another way: with jansson about what is JSON, and with an encoder
 * about what a decoded path was.
 *
 * IDENTIFICATION
 *		http/fuzz.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "duration.h"
#include "framing.h"
#include "json.h"
#include "path.h"
#include "util.h"

static const char *const json_seeds[] = {
	"{\"dueTime\":\"0h0m9s\",\"period\":\"R10/PT3S\",\"data\":{\"a\":[1,2.50,-1e10,null]}}",
	"[{\"operation\":\"upsert\",\"request\":{\"key\":\"k\",\"value\":12345678901234567890.10}}]",
	"{\"\\u00e9\\ud83d\\ude00\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"x\":true,\"y\":false}",
	" [ \"\xC3\xA9\", \"\xF0\x9F\x98\x80\", 0, -0.0e-5 ] ",
	"null", "\"text\"", "123"
};
static const char *const path_seeds[] = {
	"/v1.0/actors/Type/id%20x/method/do",
	"/v1.0/actors/Type/%E2%82%AC/state/a%2Fb?x=1&y=%41",
	"http://localhost:3500/v1.0/healthz?appid=me",
	"/v1.0/actors/T/i/method/a/../../b/./c//d",
	"/v1.0/metadata/label%00"
};

static const char *const framing_seeds[] = {
	"GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n[1]\r\nPUT /b HTTP/1.1\r\nHOST:x\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	"2;a=b\r\n[1\r\n1\r\n]\r\n0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"
};

static const char *const duration_seeds[] = {
	"0h0m0s-5ms", "-1h59m59s995ms0\xCE\xBCs", "R3/P1DT", "p1dt2h", "PT-1H-30M", "2030-01-01T00:00:00Z"
};

static unsigned int
pick(unsigned int limit)
{
	return (unsigned int) random() % limit;
}

/*
 * Random bytes, of which most have a meaning to some parser; with its length.
 */
static char *
noise(size_t *length)
{
	static const char alphabet[] = "{}[]\":,\\/0123456789.eE+-ntfu%?#& aF\n\t\xC3\xA9\xED\xA0\x80\x01";
	char	   *text;

	*length = pick(64);
	text = xmalloc(*length);
	for (size_t i = 0; i < *length; i++)
		text[i] = pick(20) == 0 ? (char) pick(256) : alphabet[pick(sizeof(alphabet))];
	return text;
}

/*
 * A seed with some bytes changed, removed or doubled.
 */
static char *
mutate(const char *seed, size_t *length)
{
	char	   *text = xmalloc(strlen(seed) * 2 + 16);
	char	   *exact;

	*length = strlen(seed);
	memcpy(text, seed, *length);
	for (unsigned int n = pick(4); n > 0 && *length > 0; n--)
	{
		size_t		at = pick((unsigned int) *length);

		switch (pick(4))
		{
			case 0:
				text[at] = (char) pick(256);
				break;
			case 1:
				memmove(text + at, text + at + 1, *length - at - 1);
				--*length;
				break;
			case 2:
				memmove(text + at + 1, text + at, *length - at);
				++*length;
				break;
			default:
				*length = at;
		}
	}
	exact = xmalloc(*length);
	memcpy(exact, text, *length);
	free(text);
	return exact;
}

static void
fail(const char *what, const char *text, size_t length)
{
	fprintf(stderr, "%s: ", what);
	fwrite(text, 1, length, stderr);
	fprintf(stderr, "\n");
	abort();
}

/*
 * What we accept, jansson accepts, except for numbers that do not fit a double.
 * What jansson accepts and we do not, must have one of our own reasons.
 */
static void
check_json(const char *text, size_t length)
{
	static const char *const own_reasons[] = {
		"a number is out of range", "the character \\u0000 cannot be stored"
	};
	JsonDocument document;
	JsonError	error = {0};
	json_error_t other_error;
	json_t	   *other = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL, &other_error);
	bool		valid = json_read(text, length, &document, &error);
	/* jansson takes a zero byte for the end */
	bool		own = memchr(text, '\0', length) != NULL;

	if (valid && other == NULL &&
		json_error_code(&other_error) != json_error_numeric_overflow)
		fail("only we accept", text, length);
	if (!valid)
	{
		int			line;
		int			column;

		for (size_t i = 0; i < lengthof(own_reasons); i++)
			own = own || strcmp(error.problem, own_reasons[i]) == 0;
		if (other != NULL && !own)
			fail("only jansson accepts", text, length);
		if (error.offset > length)
			fail("the error is beyond the end", text, length);
		text_position(text, error.offset, &line, &column);
		json_decref(other);
		return;
	}
	for (size_t i = 0; i < document.count; i++)
	{
		const JsonSpan *value;
		char	   *name = json_text(&document.members[i].name);

		value = json_member(&document, name);
		if (value == NULL || value->start < text || value->start + value->length > text + length)
			fail("a member is not within the document", text, length);
		(void) span_is_null(value);
		free(name);
	}
	json_release(&document);
	json_decref(other);
}

/*
 * What is encoded and decoded is what it was.
 */
static void
check_decoding(const char *bytes, size_t length)
{
	char	   *encoded = xmalloc(length * 3 + 1);
	size_t		decoded_length;
	char	   *decoded;

	for (size_t i = 0; i < length; i++)
		sprintf(encoded + i * 3, "%%%02X", (unsigned char) bytes[i]);
	encoded[length * 3] = '\0';
	decoded = percent_decode(encoded, length * 3, &decoded_length);
	if (decoded == NULL || decoded_length != length || memcmp(decoded, bytes, length) != 0)
		fail("decoding is wrong", bytes, length);
	free(decoded);
	free(encoded);
}

static void
check_resolving(char *path)
{
	size_t		before = strlen(path);
	const char *at = path_resolve(path);

	if (strlen(path) > before || path[0] == '/')
		fail("a resolved path is wrong", path, strlen(path));
	for (;;)
	{
		size_t		length = strcspn(at, "/");

		if (path[0] != '\0' &&
			(length == 0 || (length <= 2 && strspn(at, ".") == length)))
			fail("a resolved path has dots", path, strlen(path));
		if (at[length] == '\0')
			break;
		at += length + 1;
	}
}

static void
check_path(const char *bytes, size_t length)
{
	char	   *target = xstrndup(bytes, length);
	const char *end = target + strlen(target);
	char	   *value;
	Path		path;

	path_split(target, &path);
	if (path.count > PATH_MAX_PARTS)
		fail("a path has too many parts", bytes, length);
	for (int i = 0; i < path.count; i++)
	{
		size_t		decoded_length;
		char	   *decoded;

		if (path.parts[i].start < target || path.parts[i].start + path.parts[i].length > end)
			fail("a part is not within the path", bytes, length);
		decoded = percent_decode(path.parts[i].start, path.parts[i].length, &decoded_length);
		if (decoded == NULL)
			continue;
		if (name_allowed(decoded, decoded_length) &&
			(strchr(decoded, '/') != NULL || strlen(decoded) != decoded_length))
			fail("a name is allowed that must not be", bytes, length);
		(void) utf8_valid(decoded, decoded_length);
		if (method_allowed(decoded, decoded_length))
			check_resolving(decoded);
		free(decoded);
	}
	value = query_value(&path.query, "appid");
	free(value);
	free(target);
}

/*
 * However a connection is cut into pieces, the same requests end at the same
 * places, and the first mistake is the same.
 */
static void
check_framing(const char *bytes, size_t length)
{
	Framing		whole = {0};
	Framing		pieces = {0};
	bool		good = framing_read(&whole, bytes, length);
	bool		good_pieces = true;
	size_t		complete = 0;

	for (size_t at = 0; good_pieces && at < length;)
	{
		size_t		piece = 1 + pick(8);

		if (piece > length - at)
			piece = length - at;
		good_pieces = framing_read(&pieces, bytes + at, piece);
		if (pieces.complete > piece)
			fail("more is complete than was read", bytes, length);
		if (pieces.complete > 0)
			complete = at + pieces.complete;
		at += piece;
	}
	if (good != good_pieces || complete != whole.complete ||
		(good && framing_between(&whole) != framing_between(&pieces)) ||
		(!good && strcmp(whole.problem, pieces.problem) != 0))
		fail("pieces are read in another way than the whole", bytes, length);
}

static void
check_duration(const char *bytes, size_t length)
{
	char	   *text = xstrndup(bytes, length);
	int			sign;

	duration_mend(text);
	sign = duration_sign(text);
	if (sign < 1 && strpbrk(text, "0123456789") == NULL)
		fail("a duration without a number", bytes, length);
	if (sign < 0 && strchr(text, '-') == NULL)
		fail("a duration is negative without a sign", bytes, length);
	free(text);
}

int
main(int argc, char **argv)
{
	long		rounds;

	if (argc != 3)
		die("usage: fuzz SEED ROUNDS");
	srandom((unsigned int) strtoul(argv[1], NULL, 10));
	rounds = strtol(argv[2], NULL, 10);
	for (long i = 0; i < rounds; i++)
	{
		size_t		length;
		char	   *text;

		text = i % 2 ? noise(&length) : mutate(json_seeds[pick(lengthof(json_seeds))], &length);
		check_json(text, length);
		check_decoding(text, length);
		free(text);
		text = i % 2 ? noise(&length) : mutate(path_seeds[pick(lengthof(path_seeds))], &length);
		check_path(text, length);
		free(text);
		text = mutate(framing_seeds[pick(lengthof(framing_seeds))], &length);
		check_framing(text, length);
		free(text);
		text = i % 2 ? noise(&length) : mutate(duration_seeds[pick(lengthof(duration_seeds))], &length);
		check_duration(text, length);
		free(text);
	}
	printf("%ld rounds\n", rounds);
	return 0;
}
