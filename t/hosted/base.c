/*-------------------------------------------------------------------------
 *
 * base.c
 *		Texts, the journal, and the requests that the application sends.
 *
 * IDENTIFICATION
 *		t/hosted/base.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "app.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_key_t client_key;

void
die(const char *what)
{
	perror(what);
	exit(1);
}

void *
check(void *memory)
{
	if (memory == NULL)
		die("memory");
	return memory;
}

/* texts ----------------------------------------------------------------- */

void
add_bytes(Buffer *buffer, const char *data, size_t length)
{
	if (buffer->length + length + 1 > buffer->capacity)
	{
		buffer->capacity = (buffer->length + length + 1) * 2;
		buffer->data = check(realloc(buffer->data, buffer->capacity));
	}
	if (length > 0)
		memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
	buffer->data[buffer->length] = '\0';
}

void
add_text(Buffer *buffer, const char *format, ...)
{
	va_list		arguments;
	char	   *text;
	int			length;

	va_start(arguments, format);
	length = vasprintf(&text, format, arguments);
	va_end(arguments);
	if (length < 0)
		die("memory");
	add_bytes(buffer, text, (size_t) length);
	free(text);
}

void
clear(Buffer *buffer)
{
	free(buffer->data);
	*buffer = (Buffer) {0};
}

void
note(const char *what, const Instance *instance, const Call *call, const char *more)
{
	Buffer		line = {0};

	if (journal < 0)
		return;
	add_text(&line, "%s\t%d\t%u\t%s\t%s\t%u\t%s\t%s\t%s", what, (int) getpid(),
			 instance ? instance->number : 0, instance ? instance->type : "",
			 instance ? instance->id : "", call ? call->number : 0,
			 call && call->method ? call->method : "", call && call->chain ? call->chain : "",
			 more ? more : "");
	for (size_t i = 0; i < line.length; i++)
	{
		if (line.data[i] == '\n')
			line.data[i] = ' ';
	}
	add_bytes(&line, "\n", 1);
	/* one write, so that lines of other processes do not get into it */
	if (write(journal, line.data, line.length) != (ssize_t) line.length)
		die("journal");
	clear(&line);
}

/*
 * What a call answers with; for errors also the end of it.
 */
void
reply(Call *call, unsigned status, const char *format, ...)
{
	va_list		arguments;
	char	   *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		die("memory");
	va_end(arguments);
	clear(&call->answer);
	add_bytes(&call->answer, text, strlen(text));
	call->status = status;
	free(text);
}

bool
failed(const Call *call)
{
	return call->status >= 300;
}

/* requests to actor-http ------------------------------------------------- */

static size_t
take_answer(char *data, size_t size, size_t count, void *buffer)
{
	add_bytes(buffer, data, size * count);
	return size * count;
}

static void
drop_client(void *client)
{
	curl_easy_cleanup(client);
}

void
start_client(void)
{
	curl_global_init(CURL_GLOBAL_ALL);
	pthread_key_create(&client_key, drop_client);
}

/*
 * Sends a request of a call, as an SDK does; each thread keeps its connection.
 * Returns the status, 0 if there was no answer.
 */
long
talk(const Call *call, bool in_chain, const char *verb, const char *path, const char *body,
	 Buffer *answer)
{
	CURL	   *client = pthread_getspecific(client_key);
	struct curl_slist *headers = NULL;
	Buffer		url = {0};
	Buffer		line = {0};
	long		status = 0;

	if (client == NULL)
	{
		client = check(curl_easy_init());
		pthread_setspecific(client_key, client);
	}
	curl_easy_reset(client);
	add_text(&url, "http://127.0.0.1:%s/v1.0/actors/%s", host_port, path);
	headers = curl_slist_append(headers, "Expect:");
	if (body != NULL)
		headers = curl_slist_append(headers, "Content-Type: application/json");
	if (api_token != NULL)
	{
		add_text(&line, "dapr-api-token: %s", api_token);
		headers = curl_slist_append(headers, line.data);
		clear(&line);
	}
	if (in_chain && call->chain != NULL)
	{
		add_text(&line, "Dapr-Reentrancy-Id: %s", call->chain);
		headers = curl_slist_append(headers, line.data);
		clear(&line);
	}
	if (in_chain && call->traceparent != NULL)
	{
		add_text(&line, "traceparent: %s", call->traceparent);
		headers = curl_slist_append(headers, line.data);
		clear(&line);
	}
	curl_easy_setopt(client, CURLOPT_URL, url.data);
	curl_easy_setopt(client, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(client, CURLOPT_CUSTOMREQUEST, verb);
	curl_easy_setopt(client, CURLOPT_HTTPHEADER, headers);
	if (body != NULL)
	{
		curl_easy_setopt(client, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(client, CURLOPT_POSTFIELDSIZE, (long) strlen(body));
	}
	curl_easy_setopt(client, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(client, CURLOPT_WRITEDATA, answer);
	add_bytes(answer, "", 0);
	if (curl_easy_perform(client) == CURLE_OK)
		curl_easy_getinfo(client, CURLINFO_RESPONSE_CODE, &status);
	curl_slist_free_all(headers);
	clear(&url);
	return status;
}

static void
add_escaped(Buffer *buffer, const char *text)
{
	char	   *escaped = check(curl_easy_escape(NULL, text, 0));

	add_bytes(buffer, escaped, strlen(escaped));
	curl_free(escaped);
}

/*
 * "TYPE/ID/more"; the caller frees it.
 */
char *
path_of(const char *type, const char *id, const char *more, const char *name)
{
	Buffer		path = {0};

	add_escaped(&path, type);
	add_text(&path, "/");
	add_escaped(&path, id);
	add_text(&path, "/%s", more);
	if (name != NULL)
		add_escaped(&path, name);
	return path.data;
}
