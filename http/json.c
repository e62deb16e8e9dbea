/*-------------------------------------------------------------------------
 *
 * json.c
 *		Checks JSON and finds the members of the outermost object, without
 *		changing a byte.
 *
 * What users send goes to the database as it is, never through a floating
 * point number, so no library may read it.  Besides the grammar of RFC 8259,
 * this refuses what PostgreSQL could not store as jsonb: text that is not
 * UTF-8, the character zero, lone surrogates, numbers out of range and very
 * deep nesting.  So whatever the database refuses later is no malformed
 * document.
 *
 * IDENTIFICATION
 *		http/json.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include "json.h"
#include "util.h"

/* deepest nesting; jansson and the stack of the server allow more */
#define MAX_DEPTH			2000
/* digits that a numeric of PostgreSQL has at most */
#define MAX_WHOLE_DIGITS	131072
#define MAX_FRACTION_DIGITS 16383

typedef struct Scanner
{
	const char *start;
	const char *at;
	const char *end;
	int			depth;
	JsonDocument *document;		/* takes the members of the outermost object */
	size_t		capacity;
	const char *problem;
} Scanner;

static bool scan_value(Scanner *scanner);

static bool
refuse(Scanner *scanner, const char *problem)
{
	scanner->problem = problem;
	return false;
}

static void
skip_space(Scanner *scanner)
{
	while (scanner->at < scanner->end &&
		   (*scanner->at == ' ' || *scanner->at == '\t' ||
			*scanner->at == '\n' || *scanner->at == '\r'))
		scanner->at++;
}

/*
 * Whether the next character is that one; goes past it if so.
 */
static bool
take(Scanner *scanner, char character)
{
	if (scanner->at >= scanner->end || *scanner->at != character)
		return false;
	scanner->at++;
	return true;
}

/* strings --------------------------------------------------------------- */

/*
 * Length of the UTF-8 sequence at a place; 0 if there is none.
 */
static size_t
utf8_sequence(const char *text, const char *end)
{
	const unsigned char *byte = (const unsigned char *) text;
	size_t		left = (size_t) (end - text);
	size_t		length;

	if (byte[0] < 0x80)
		return 1;
	length = byte[0] >= 0xF0 ? 4 : byte[0] >= 0xE0 ? 3 : 2;
	if (byte[0] < 0xC2 || byte[0] > 0xF4 || left < length)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((byte[i] & 0xC0) != 0x80)
			return 0;
	/* too long for what they say, surrogates, and beyond Unicode */
	if ((byte[0] == 0xE0 && byte[1] < 0xA0) || (byte[0] == 0xED && byte[1] > 0x9F) ||
		(byte[0] == 0xF0 && byte[1] < 0x90) || (byte[0] == 0xF4 && byte[1] > 0x8F))
		return 0;
	return length;
}

bool
utf8_valid(const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end)
	{
		size_t		sequence = utf8_sequence(text, end);

		if (sequence == 0)
			return false;
		text += sequence;
	}
	return true;
}

/*
 * Reads four hexadecimal digits; -1 if there are none.
 */
static int
hex4(Scanner *scanner)
{
	int			value = 0;

	if (scanner->end - scanner->at < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		char		c = scanner->at[i];

		if (c >= '0' && c <= '9')
			value = value * 16 + (c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value * 16 + ((c | 0x20) - 'a' + 10);
		else
			return -1;
	}
	scanner->at += 4;
	return value;
}

/*
 * What follows a backslash.
 */
static bool
scan_escape(Scanner *scanner)
{
	int			code;

	if (scanner->at >= scanner->end)
		return refuse(scanner, "a string does not end");
	if (strchr("\"\\/bfnrt", *scanner->at) != NULL && *scanner->at != '\0')
	{
		scanner->at++;
		return true;
	}
	if (!take(scanner, 'u') || (code = hex4(scanner)) < 0)
		return refuse(scanner, "an escape sequence is not valid");
	if (code == 0)
		return refuse(scanner, "the character \\u0000 cannot be stored");
	if (code >= 0xDC00 && code <= 0xDFFF)
		return refuse(scanner, "half of a surrogate pair is missing");
	if (code >= 0xD800 && code <= 0xDBFF)
	{
		if (!take(scanner, '\\') || !take(scanner, 'u') ||
			(code = hex4(scanner)) < 0xDC00 || code > 0xDFFF)
			return refuse(scanner, "half of a surrogate pair is missing");
	}
	return true;
}

static bool
scan_string(Scanner *scanner)
{
	if (!take(scanner, '"'))
		return refuse(scanner, "a string is expected");
	while (scanner->at < scanner->end)
	{
		size_t		sequence;

		if (take(scanner, '"'))
			return true;
		if (take(scanner, '\\'))
		{
			if (!scan_escape(scanner))
				return false;
			continue;
		}
		if ((unsigned char) *scanner->at < 0x20)
			return refuse(scanner, "a control character must be escaped");
		sequence = utf8_sequence(scanner->at, scanner->end);
		if (sequence == 0)
			return refuse(scanner, "the text is not UTF-8");
		scanner->at += sequence;
	}
	return refuse(scanner, "a string does not end");
}

/* other values ---------------------------------------------------------- */

static long
scan_digits(Scanner *scanner)
{
	const char *start = scanner->at;

	while (scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9')
		scanner->at++;
	return (long) (scanner->at - start);
}

static bool
scan_number(Scanner *scanner)
{
	long		whole;
	long		fraction = 0;
	long		exponent = 0;

	(void) take(scanner, '-');
	if (take(scanner, '0'))
		whole = 1;
	else if ((whole = scan_digits(scanner)) == 0)
		return refuse(scanner, "a value is expected");
	if (take(scanner, '.') && (fraction = scan_digits(scanner)) == 0)
		return refuse(scanner, "a number ends in a point");
	if (scanner->at < scanner->end && (*scanner->at | 0x20) == 'e')
	{
		bool		negative;
		const char *digits;

		scanner->at++;
		negative = take(scanner, '-');
		if (!negative)
			(void) take(scanner, '+');
		digits = scanner->at;
		if (scan_digits(scanner) == 0)
			return refuse(scanner, "a number has no exponent");
		/* no need to know by how much it is too large */
		for (; digits < scanner->at && exponent < 10000000; digits++)
			exponent = exponent * 10 + (*digits - '0');
		if (negative)
			exponent = -exponent;
	}
	if (whole + exponent > MAX_WHOLE_DIGITS || fraction - exponent > MAX_FRACTION_DIGITS)
		return refuse(scanner, "a number is out of range");
	return true;
}

static bool
scan_word(Scanner *scanner, const char *word)
{
	size_t		length = strlen(word);

	if ((size_t) (scanner->end - scanner->at) < length ||
		memcmp(scanner->at, word, length) != 0)
		return refuse(scanner, "a value is expected");
	scanner->at += length;
	return true;
}

static void
add_member(Scanner *scanner, const JsonMember *member)
{
	JsonDocument *document = scanner->document;

	if (document->count == scanner->capacity)
	{
		scanner->capacity = scanner->capacity * 2 + 8;
		document->members = xrealloc(document->members,
									 scanner->capacity * sizeof(JsonMember));
	}
	document->members[document->count++] = *member;
}

static bool
scan_member(Scanner *scanner)
{
	JsonMember	member;

	skip_space(scanner);
	member.name.start = scanner->at;
	if (!scan_string(scanner))
		return false;
	member.name.length = (size_t) (scanner->at - member.name.start);
	skip_space(scanner);
	if (!take(scanner, ':'))
		return refuse(scanner, "a colon is expected");
	skip_space(scanner);
	member.value.start = scanner->at;
	if (!scan_value(scanner))
		return false;
	member.value.length = (size_t) (scanner->at - member.value.start);
	if (scanner->depth == 1)
		add_member(scanner, &member);
	return true;
}

/*
 * An object or an array, whose opening bracket has been taken.
 */
static bool
scan_list(Scanner *scanner, char closing)
{
	if (scanner->depth == MAX_DEPTH)
		return refuse(scanner, "the nesting is too deep");
	scanner->depth++;
	skip_space(scanner);
	if (!take(scanner, closing))
	{
		do
		{
			if (!(closing == '}' ? scan_member(scanner) : scan_value(scanner)))
				return false;
			skip_space(scanner);
		} while (take(scanner, ','));
		if (!take(scanner, closing))
			return refuse(scanner, closing == '}' ? "a comma or \"}\" is expected" :
						  "a comma or \"]\" is expected");
	}
	scanner->depth--;
	return true;
}

static bool
scan_value(Scanner *scanner)
{
	skip_space(scanner);
	if (scanner->at >= scanner->end)
		return refuse(scanner, "the document ends too early");
	switch (*scanner->at)
	{
		case '{':
			scanner->at++;
			return scan_list(scanner, '}');
		case '[':
			scanner->at++;
			return scan_list(scanner, ']');
		case '"':
			return scan_string(scanner);
		case 't':
			return scan_word(scanner, "true");
		case 'f':
			return scan_word(scanner, "false");
		case 'n':
			return scan_word(scanner, "null");
		default:
			return scan_number(scanner);
	}
}

/* interface ------------------------------------------------------------- */

/*
 * json_read
 *		Checks a document and finds the members of its outermost object, if it
 *		is one.  They point into the text.
 *
 * Returns false and fills in the error if it is no document.  The document
 * has to be released if this succeeds.
 */
bool
json_read(const char *text, size_t length, JsonDocument *document, JsonError *error)
{
	Scanner		scanner = {0};
	bool		valid;

	memset(document, 0, sizeof(*document));
	scanner.start = scanner.at = text;
	scanner.end = text + length;
	scanner.document = document;

	skip_space(&scanner);
	if (scanner.at < scanner.end)
		document->kind = *scanner.at;
	valid = scan_value(&scanner);
	if (valid)
	{
		skip_space(&scanner);
		if (scanner.at < scanner.end)
			valid = refuse(&scanner, "something follows the document");
	}
	if (!valid)
	{
		json_release(document);
		error->offset = (size_t) (scanner.at - text);
		error->problem = scanner.problem;
	}
	return valid;
}

void
json_release(JsonDocument *document)
{
	free(document->members);
	memset(document, 0, sizeof(*document));
}

/*
 * json_text
 *		The text of a JSON string that json_read has accepted, to be freed.
 */
char *
json_text(const JsonSpan *string)
{
	json_t	   *value = json_loadb(string->start, string->length, JSON_DECODE_ANY, NULL);
	char	   *text;

	if (value == NULL || !json_is_string(value))
		die("could not read a JSON string");
	text = xstrdup(json_string_value(value));
	json_decref(value);
	return text;
}

/*
 * json_member
 *		The value of a member, whose name is compared without regard to case as
 *		Dapr does, or NULL.  Of several the last one counts.
 */
const JsonSpan *
json_member(const JsonDocument *document, const char *name)
{
	const JsonSpan *found = NULL;

	for (size_t i = 0; i < document->count; i++)
	{
		char	   *text = json_text(&document->members[i].name);

		if (strcasecmp(text, name) == 0)
			found = &document->members[i].value;
		free(text);
	}
	return found;
}

bool
span_is_null(const JsonSpan *value)
{
	return value->length == 4 && memcmp(value->start, "null", 4) == 0;
}

/*
 * Line and column, from 1, of a place in a text; a column is a character.
 */
void
text_position(const char *text, size_t offset, int *line, int *column)
{
	*line = 1;
	*column = 1;
	for (size_t i = 0; i < offset; i++)
	{
		if (text[i] == '\n')
		{
			++*line;
			*column = 1;
		}
		else if (((unsigned char) text[i] & 0xC0) != 0x80)
			++*column;
	}
}
