/*-------------------------------------------------------------------------
 *
 * config.c
 *		The configuration file: a JSON object with the names of the options,
 *		and an array of tokens.
 *
 * jansson reads the values.  It does not remember where they were, so our own
 * scanner finds the place of what has the right syntax and the wrong meaning.
 *
 * IDENTIFICATION
 *		http/config.c
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "config.h"
#include "json.h"
#include "util.h"

/* a file that is being read */
typedef struct ConfigFile
{
	const char *name;
	char	   *text;
	size_t		length;
	const ConfigTarget *target;
} ConfigFile;

/*
 * file_read
 *		The content of a file, to be freed.
 */
char *
file_read(const char *name, size_t *length)
{
	FILE	   *file = fopen(name, "r");
	Buffer		buffer = {0};
	char		bytes[8192];
	size_t		count;

	if (file == NULL)
		die("could not open \"%s\": %s", name, strerror(errno));
	buffer_text(&buffer, "");
	while ((count = fread(bytes, 1, sizeof(bytes), file)) > 0)
		if (!buffer_append(&buffer, bytes, count))
			die("out of memory");
	if (ferror(file))
		die("could not read \"%s\": %s", name, strerror(errno));
	fclose(file);
	*length = buffer.length;
	return buffer.data;
}

/*
 * json_file_check
 *		Ends the program if the text of a file is no JSON object.
 */
void
json_file_check(const char *name, const char *text, size_t length)
{
	json_error_t error;
	json_t	   *value = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);

	if (value == NULL)
		die("%s:%d:%d: %s", name, error.line, error.column, error.text);
	if (!json_is_object(value))
		die("%s:1:1: the file must have a JSON object", name);
	json_decref(value);
}

_Noreturn static void
refuse_at(const ConfigFile *file, const char *place, const char *problem)
{
	int			line;
	int			column;

	text_position(file->text, (size_t) (place - file->text), &line, &column);
	die("%s:%d:%d: %s", file->name, line, column, problem);
}

static void
open_document(const ConfigFile *file, const JsonSpan *span, JsonDocument *document)
{
	JsonError	error;

	if (!json_read(span->start, span->length, document, &error))
		refuse_at(file, span->start + error.offset, error.problem);
}

static void
read_number(const ConfigFile *file, const OptionRow *row, const JsonSpan *span)
{
	json_t	   *value = json_loadb(span->start, span->length, JSON_DECODE_ANY, NULL);

	if (value == NULL || !json_is_integer(value) ||
		json_integer_value(value) < row->min || json_integer_value(value) > row->max)
		refuse_at(file, span->start,
				  xprintf("\"%s\" must be a whole number from %ld to %ld",
						  row->name, row->min, row->max));
	*row->number = (long) json_integer_value(value);
	json_decref(value);
}

static void
read_flag(const ConfigFile *file, const OptionRow *row, const JsonSpan *span)
{
	bool		on = span->length == 4 && memcmp(span->start, "true", 4) == 0;

	if (!on && (span->length != 5 || memcmp(span->start, "false", 5) != 0))
		refuse_at(file, span->start, xprintf("\"%s\" must be true or false", row->name));
	*row->flag = on;
}

static char *
read_text(const ConfigFile *file, const char *name, const JsonSpan *span)
{
	if (span->start[0] != '"')
		refuse_at(file, span->start, xprintf("\"%s\" must be a string", name));
	return json_text(span);
}

/*
 * One element of the array: {"token": ..., "database": ...}.
 */
static void
read_token(const ConfigFile *file, const JsonSpan *span)
{
	JsonDocument document;
	Token		token = {0};

	open_document(file, span, &document);
	if (document.kind != '{')
		refuse_at(file, span->start, "each of the tokens must be an object");
	for (size_t i = 0; i < document.count; i++)
	{
		const JsonMember *member = &document.members[i];
		char	   *name = json_text(&member->name);

		if (strcmp(name, "token") == 0)
			token.secret = read_text(file, name, &member->value);
		else if (strcmp(name, "database") == 0)
			token.database = read_text(file, name, &member->value);
		else
			refuse_at(file, member->name.start,
					  xprintf("a token has no member \"%s\"", name));
		free(name);
	}
	if (token.secret == NULL || token.secret[0] == '\0')
		refuse_at(file, span->start, "a token must have a member \"token\"");
	if (token.database == NULL)
		refuse_at(file, span->start, "a token must have a member \"database\"");
	json_release(&document);

	file->target->add_token(&token);
}

/*
 * The elements of an array are found by jansson, and their places by counting.
 */
static void
read_tokens(const ConfigFile *file, const JsonSpan *span)
{
	const char *at = span->start + 1;
	json_t	   *array;
	size_t		count;

	if (span->start[0] != '[')
		refuse_at(file, span->start, "\"tokens\" must be an array");
	array = json_loadb(span->start, span->length, 0, NULL);
	count = json_array_size(array);
	json_decref(array);
	for (size_t i = 0; i < count; i++)
	{
		JsonSpan	element;
		json_error_t error;
		json_t	   *value;

		at += strspn(at, " \t\r\n,");
		value = json_loadb(at, (size_t) (span->start + span->length - at),
						   JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
		element.start = at;
		element.length = (size_t) error.position;
		json_decref(value);
		read_token(file, &element);
		at += element.length;
	}
}

static void
read_member(const ConfigFile *file, const JsonMember *member)
{
	char	   *name = json_text(&member->name);
	bool		known = (strcmp(name, "tokens") == 0);

	if (known)
		read_tokens(file, &member->value);
	for (size_t i = 0; i < file->target->count && !known; i++)
	{
		const OptionRow *row = &file->target->rows[i];

		if (strcmp(row->name, name) != 0)
			continue;
		known = true;
		if (row->flag != NULL)
			read_flag(file, row, &member->value);
		else if (row->text == NULL)
			read_number(file, row, &member->value);
		else
		{
			free(*row->text);
			*row->text = read_text(file, name, &member->value);
		}
	}
	if (!known)
		refuse_at(file, member->name.start, xprintf("there is no option \"%s\"", name));
	free(name);
}

/*
 * config_read
 *		Takes the options from a file, or ends the program with a message that
 *		names file, line and column.  The texts of a token become the target's.
 */
void
config_read(const char *name, const ConfigTarget *target)
{
	ConfigFile	file = {.name = name,.target = target};
	JsonSpan	whole;
	JsonDocument document;

	file.text = file_read(name, &file.length);
	json_file_check(name, file.text, file.length);
	whole.start = file.text;
	whole.length = file.length;
	open_document(&file, &whole, &document);
	for (size_t i = 0; i < document.count; i++)
		read_member(&file, &document.members[i]);
	json_release(&document);
	free(file.text);
}
