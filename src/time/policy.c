/*-------------------------------------------------------------------------
 *
 * policy.c
 *		What becomes of missed and of failed firings, as somebody asked for it.
 *
 * IDENTIFICATION
 *		src/time/policy.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "base/base.h"
#include "time/time.h"


/* longest delay of a failure policy */
#define MAX_DELAY_DAYS		36525

/*
 * actor_catch_up_from_text
 *		Reads the word for a policy; false if there is none of that name.
 */
bool
actor_catch_up_from_text(const text *word, ActorCatchUp *policy)
{
	static const struct
	{
		const char *name;
		ActorCatchUp policy;
	}			words[] =
	{
		{"one", ACTOR_CATCH_UP_ONE},
		{"all", ACTOR_CATCH_UP_ALL},
		{"skip", ACTOR_CATCH_UP_SKIP}
	};

	for (int i = 0; i < lengthof(words); i++)
		if (strlen(words[i].name) == VARSIZE_ANY_EXHDR(word) &&
			memcmp(words[i].name, VARDATA_ANY(word), VARSIZE_ANY_EXHDR(word)) == 0)
		{
			*policy = words[i].policy;
			return true;
		}
	return false;
}

static const ActorDocument policy_document = {
	"failure_policy",
	"Write {\"constant\": {\"interval\": \"1s\", \"maxRetries\": 3}}, "
	"{\"exponential\": {\"initial\": \"1s\", \"max\": \"60s\", \"maxRetries\": 10}} "
	"or {\"drop\": {}}."
};

static const ActorDocument message_policy_document = {
	"failure_policy",
	"Write {\"constant\": {\"interval\": \"1s\", \"maxRetries\": 3}}, "
	"{\"exponential\": {\"initial\": \"1s\", \"max\": \"60s\", \"maxRetries\": 10}} "
	"or {\"drop\": {}}; beside it, or alone, \"queue\": \"wait\" or \"queue\": \"pass\"."
};

/*
 * A duration among the members of a policy, in microseconds.  The empty
 * string, which Go programs write for one that is not set, is absent.
 */
static int64
policy_delay(const ActorDocument *document, JsonbContainer *members, const char *path,
			 const char *name, int64 absent)
{
	JsonbValue *value = actor_document_member(members, name);
	char	   *value_path = actor_document_path(path, name);
	char	   *string;
	Interval	span;
	int64		days;

	if (value == NULL)
		return absent;
	string = actor_document_string(document, value, value_path);
	if (string[0] == '\0')
		return absent;
	actor_parse_duration(string, value_path, &span);
	days = (int64) span.month * DAYS_PER_MONTH + span.day + span.time / USECS_PER_DAY;
	if (days > MAX_DELAY_DAYS)
		actor_document_refuse(document, value_path, "is longer than 100 years");
	return days * USECS_PER_DAY + span.time % USECS_PER_DAY;
}

/*
 * Reads the only member of a policy that is not "queue".
 */
static void
parse_retries(const ActorDocument *document, JsonbContainer *object, ActorRetryPolicy *policy)
{
	static const char *const names[] = {"constant", "exponential", "drop"};
	static const char *const members_of[][4] = {
		{"interval", "maxRetries", NULL},
		{"initial", "max", "maxRetries", NULL},
		{NULL}
	};
	int			chosen = 0;
	const char *path;

	while (getKeyJsonValueFromContainer(object, names[chosen], strlen(names[chosen]),
										NULL) == NULL)
		chosen++;
	path = names[chosen];
	object = actor_document_object(document, actor_document_member(object, path), path);
	actor_document_check_members(document, object, path, members_of[chosen]);

	policy->exponential = strcmp(path, "exponential") == 0;
	policy->initial = policy->max = USECS_PER_SEC;
	policy->max_retries = 3;
	if (policy->exponential)
	{
		policy->initial = policy_delay(document, object, path, "initial", policy->initial);
		policy->max = policy_delay(document, object, path, "max", 60 * USECS_PER_SEC);
		policy->max_retries = 10;
	}
	else
		policy->initial = policy_delay(document, object, path, "interval", policy->initial);
	if (strcmp(path, "drop") == 0)
		policy->max_retries = 0;
	else if (actor_document_member(object, "maxRetries") != NULL)
		policy->max_retries =
			actor_document_integer(document, actor_document_member(object, "maxRetries"),
								   actor_document_path(path, "maxRetries"), 0);
}

/*
 * actor_retry_policy_parse
 *		Reads the failure policy of a reminder; NULL stands for the default.
 *
 * Raises invalid_parameter_value.
 */
void
actor_retry_policy_parse(Jsonb *jsonb, ActorRetryPolicy *policy)
{
	static const char *const members[] = {"constant", "exponential", "drop", NULL};
	JsonbValue	document;
	JsonbContainer *object;

	memset(policy, 0, sizeof(*policy));
	policy->initial = policy->max = USECS_PER_SEC;
	policy->max_retries = 3;
	if (jsonb == NULL)
		return;

	actor_jsonb_scalar(jsonb, &document);
	object = actor_document_object(&policy_document, &document, "");
	actor_document_check_members(&policy_document, object, "", members);
	if (JsonContainerSize(object) != 1)
		actor_document_refuse(&policy_document, "", "does not have exactly one member");
	parse_retries(&policy_document, object, policy);
}

/*
 * actor_message_policy_parse
 *		Reads the failure policy of a message, and whether others pass it while it
 *		waits for a retry; NULL stands for the default.
 *
 * Raises invalid_parameter_value.
 */
void
actor_message_policy_parse(Jsonb *jsonb, ActorRetryPolicy *policy, bool *passes)
{
	static const char *const members[] = {"constant", "exponential", "drop", "queue", NULL};
	JsonbValue	document;
	JsonbContainer *object;
	JsonbValue *queue;
	int			policies;

	/* ten tries */
	policy->initial = USECS_PER_SEC;
	policy->max = 60 * USECS_PER_SEC;
	policy->exponential = true;
	policy->max_retries = 9;
	*passes = false;
	if (jsonb == NULL)
		return;

	actor_jsonb_scalar(jsonb, &document);
	object = actor_document_object(&message_policy_document, &document, "");
	actor_document_check_members(&message_policy_document, object, "", members);
	queue = actor_document_member(object, "queue");
	if (queue != NULL)
	{
		char	   *word = actor_document_string(&message_policy_document, queue, "queue");

		*passes = strcmp(word, "pass") == 0;
		if (!*passes && strcmp(word, "wait") != 0)
			actor_document_refuse(&message_policy_document, "queue",
								  "is neither \"wait\" nor \"pass\"");
	}
	if (JsonContainerSize(object) == 0)
		actor_document_refuse(&message_policy_document, "", "is empty");
	/* a member that is null is one, too */
	policies = JsonContainerSize(object);
	if (getKeyJsonValueFromContainer(object, "queue", strlen("queue"), NULL) != NULL)
		policies--;
	if (policies > 1)
		actor_document_refuse(&message_policy_document, "", "has more than one policy");
	if (policies == 1)
		parse_retries(&message_policy_document, object, policy);
}
