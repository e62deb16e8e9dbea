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

/*
 * A duration among the members of a policy, in microseconds.  The empty
 * string, which Go programs write for one that is not set, is absent.
 */
static int64
policy_delay(JsonbContainer *members, const char *path, const char *name, int64 absent)
{
	JsonbValue *value = actor_document_member(members, name);
	char	   *value_path = actor_document_path(path, name);
	char	   *string;
	Interval	span;
	int64		days;

	if (value == NULL)
		return absent;
	string = actor_document_string(&policy_document, value, value_path);
	if (string[0] == '\0')
		return absent;
	actor_parse_duration(string, value_path, &span);
	days = (int64) span.month * DAYS_PER_MONTH + span.day + span.time / USECS_PER_DAY;
	if (days > MAX_DELAY_DAYS)
		actor_document_refuse(&policy_document, value_path, "is longer than 100 years");
	return days * USECS_PER_DAY + span.time % USECS_PER_DAY;
}

/*
 * actor_retry_policy_parse
 *		Reads a failure policy; NULL stands for the default.
 *
 * Raises invalid_parameter_value.
 */
void
actor_retry_policy_parse(Jsonb *jsonb, ActorRetryPolicy *policy)
{
	static const char *const policies[] = {"constant", "exponential", "drop", NULL};
	static const char *const members_of[][4] = {
		{"interval", "maxRetries", NULL},
		{"initial", "max", "maxRetries", NULL},
		{NULL}
	};
	JsonbValue	document;
	JsonbContainer *object;
	int			chosen = 0;
	const char *path;

	memset(policy, 0, sizeof(*policy));
	policy->initial = policy->max = USECS_PER_SEC;
	policy->max_retries = 3;
	if (jsonb == NULL)
		return;

	actor_jsonb_scalar(jsonb, &document);
	object = actor_document_object(&policy_document, &document, "");
	actor_document_check_members(&policy_document, object, "", policies);
	if (JsonContainerSize(object) != 1)
		actor_document_refuse(&policy_document, "", "does not have exactly one member");
	while (getKeyJsonValueFromContainer(object, policies[chosen],
										strlen(policies[chosen]), NULL) == NULL)
		chosen++;
	path = policies[chosen];
	object = actor_document_object(&policy_document, actor_document_member(object, path), path);
	actor_document_check_members(&policy_document, object, path, members_of[chosen]);

	policy->exponential = strcmp(path, "exponential") == 0;
	if (policy->exponential)
	{
		policy->initial = policy_delay(object, path, "initial", policy->initial);
		policy->max = policy_delay(object, path, "max", 60 * USECS_PER_SEC);
		policy->max_retries = 10;
	}
	else
		policy->initial = policy_delay(object, path, "interval", policy->initial);
	if (strcmp(path, "drop") == 0)
		policy->max_retries = 0;
	else if (actor_document_member(object, "maxRetries") != NULL)
		policy->max_retries =
			actor_document_integer(&policy_document,
								   actor_document_member(object, "maxRetries"),
								   actor_document_path(path, "maxRetries"), 0);
}
