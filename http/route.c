/*-------------------------------------------------------------------------
 *
 * route.c
 *		Which paths there are, and what each verb does there.
 *
 * IDENTIFICATION
 *		http/route.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <string.h>

#include "actors.h"
#include "dashboard.h"
#include "ending.h"
#include "hosted.h"
#include "messages.h"
#include "metadata.h"
#include "metrics.h"
#include "page.h"
#include "route.h"
#include "schedule.h"
#include "topics.h"
#include "util.h"

#define VERB_READ			(VERB_GET | VERB_HEAD)
#define VERB_WRITE			(VERB_POST | VERB_PUT)

/* paths; "*" is any part */
typedef struct Pattern
{
	Route		route;
	const char *parts[PATH_MAX_PARTS];
	int			count;
} Pattern;

static const Pattern patterns[] = {
	/* the last part of a path has all that is left */
	{ROUTE_METHOD, {"v1.0", "actors", "*", "*", "method", "*"}, 6},
	{ROUTE_STATE_KEY, {"v1.0", "actors", "*", "*", "state", "*"}, 6},
	{ROUTE_REMINDER, {"v1.0", "actors", "*", "*", "reminders", "*"}, 6},
	{ROUTE_TIMER, {"v1.0", "actors", "*", "*", "timers", "*"}, 6},
	{ROUTE_MESSAGE, {"v1.0", "actors", "*", "*", "messages", "*"}, 6},
	{ROUTE_RESULT, {"v1.0", "actors", "*", "*", "results", "*"}, 6},
	{ROUTE_TOPIC, {"v1.0", "actors", "*", "*", "topics", "*"}, 6},
	{ROUTE_SUBSCRIPTION, {"v1.0", "actors", "*", "*", "subscriptions", "*"}, 6},
	{ROUTE_STATE, {"v1.0", "actors", "*", "*", "state"}, 5},
	{ROUTE_REMINDERS, {"v1.0", "actors", "*", "*", "reminders"}, 5},
	{ROUTE_TIMERS, {"v1.0", "actors", "*", "*", "timers"}, 5},
	{ROUTE_MESSAGES, {"v1.0", "actors", "*", "*", "messages"}, 5},
	{ROUTE_SUBSCRIPTIONS, {"v1.0", "actors", "*", "*", "subscriptions"}, 5},
	{ROUTE_ACTOR, {"v1.0", "actors", "*", "*"}, 4},
	{ROUTE_TYPE_TOPIC, {"v1.0", "topics", "*", "*"}, 4},
	{ROUTE_PROMISE, {"v1.0", "promises", "*"}, 3},
	{ROUTE_OPENAPI, {"v1.0", "openapi", "*"}, 3},
	{ROUTE_HEALTH, {"v1.0", "healthz"}, 2},
	{ROUTE_HEALTH_OUTBOUND, {"v1.0", "healthz", "outbound"}, 3},
	{ROUTE_METADATA, {"v1.0", "metadata"}, 2},
	{ROUTE_METADATA_KEY, {"v1.0", "metadata", "*"}, 3},
	{ROUTE_METRICS, {"metrics"}, 1},
};

/* the same of the page for operators */
static const Pattern page_patterns[] = {
	{ROUTE_VIEW, {"api", "*"}, 2},
	{ROUTE_PAGE, {"*"}, 1},
};

static const Operation operations[] = {
	{ROUTE_METHOD, VERB_GET | VERB_WRITE | VERB_DELETE, handle_call,
	.error_code = "ERR_ACTOR_INVOKE_METHOD"},
	{ROUTE_STATE_KEY, VERB_READ, handle_state_get,
	.error_code = "ERR_ACTOR_STATE_GET",.safe = true},
	{ROUTE_STATE, VERB_WRITE, handle_state_transaction,
	.error_code = "ERR_ACTOR_STATE_TRANSACTION_SAVE"},
	{ROUTE_STATE, VERB_READ, handle_list_keys, .error_code = "ERR_ACTOR_STATE_GET",.safe = true},
	{ROUTE_REMINDER, VERB_WRITE, handle_set_reminder,
	.error_code = "ERR_ACTOR_REMINDER_CREATE"},
	{ROUTE_REMINDER, VERB_READ, handle_get_reminder,
	.error_code = "ERR_ACTOR_REMINDER_GET",.safe = true},
	{ROUTE_REMINDER, VERB_DELETE, handle_delete_reminder,
	.error_code = "ERR_ACTOR_REMINDER_DELETE"},
	{ROUTE_TIMER, VERB_WRITE, handle_set_timer, .error_code = "ERR_ACTOR_TIMER_CREATE"},
	{ROUTE_TIMER, VERB_READ, handle_get_timer,
	.error_code = "ERR_ACTOR_TIMER_GET",.safe = true},
	{ROUTE_TIMER, VERB_DELETE, handle_delete_timer,
	.error_code = "ERR_ACTOR_TIMER_DELETE"},
	{ROUTE_REMINDERS, VERB_READ, handle_list_reminders,
	.error_code = "ERR_ACTOR_REMINDER_GET",.safe = true},
	{ROUTE_TIMERS, VERB_READ, handle_list_timers,
	.error_code = "ERR_ACTOR_TIMER_GET",.safe = true},
	{ROUTE_MESSAGES, VERB_READ, handle_list_messages,
	.error_code = "ERR_ACTOR_MESSAGE_GET",.safe = true},
	{ROUTE_MESSAGES, VERB_WRITE, handle_send, .error_code = "ERR_ACTOR_MESSAGE_SEND"},
	{ROUTE_MESSAGE, VERB_DELETE, handle_cancel, .error_code = "ERR_ACTOR_MESSAGE_CANCEL"},
	{ROUTE_RESULT, VERB_READ, handle_result,
	.error_code = "ERR_ACTOR_RESULT_GET",.safe = true},
	{ROUTE_TOPIC, VERB_READ, handle_events, .error_code = "ERR_ACTOR_TOPIC_GET",.safe = true},
	{ROUTE_TOPIC, VERB_WRITE, handle_publish, .error_code = "ERR_ACTOR_TOPIC_PUBLISH"},
	{ROUTE_TYPE_TOPIC, VERB_READ, handle_events, .error_code = "ERR_ACTOR_TOPIC_GET",.safe = true},
	{ROUTE_TYPE_TOPIC, VERB_WRITE, handle_publish, .error_code = "ERR_ACTOR_TOPIC_PUBLISH"},
	{ROUTE_SUBSCRIPTIONS, VERB_READ, handle_list_subscriptions,
	.error_code = "ERR_ACTOR_SUBSCRIPTION",.safe = true},
	{ROUTE_SUBSCRIPTION, VERB_WRITE, handle_subscribe, .error_code = "ERR_ACTOR_SUBSCRIPTION"},
	{ROUTE_SUBSCRIPTION, VERB_DELETE, handle_unsubscribe,
	.error_code = "ERR_ACTOR_SUBSCRIPTION"},
	{ROUTE_ACTOR, VERB_DELETE, handle_end, .error_code = "ERR_ACTOR_DEACTIVATE"},
	{ROUTE_OPENAPI, VERB_READ, handle_openapi, .error_code = "ERR_ACTOR_OPENAPI",.safe = true},
	{ROUTE_PROMISE, VERB_WRITE, handle_resolve, .error_code = "ERR_ACTOR_PROMISE"},
	{ROUTE_PROMISE, VERB_DELETE, handle_reject, .error_code = "ERR_ACTOR_PROMISE"},
	{ROUTE_HEALTH, VERB_READ, handle_health, health_at_once,
	.error_code = "ERR_HEALTH_NOT_READY",.safe = true},
	{ROUTE_HEALTH_OUTBOUND, VERB_READ, handle_health, health_at_once,
	.error_code = "ERR_OUTBOUND_HEALTH_NOT_READY",.safe = true},
	{ROUTE_METADATA, VERB_READ, handle_metadata, metadata_at_once,.safe = true},
	/* always answered at once */
	{ROUTE_METADATA_KEY, VERB_PUT, .at_once = label_at_once},
	{ROUTE_METRICS, VERB_READ, handle_metrics, metrics_at_once,
	.error_code = "ERR_METRICS",.safe = true},
	{ROUTE_PAGE, VERB_READ, .at_once = page_at_once},
	{ROUTE_VIEW, VERB_READ, handle_view, .error_code = "ERR_DASHBOARD",.safe = true},
	{ROUTE_VIEW, VERB_POST, handle_command, .error_code = "ERR_DASHBOARD"},
};

/* in the order of the header "Allow" */
static const struct
{
	const char *name;
	Verb		verb;
}			verbs[] = {
	{"GET", VERB_GET}, {"HEAD", VERB_HEAD}, {"POST", VERB_POST}, {"PUT", VERB_PUT},
	{"DELETE", VERB_DELETE}, {"OPTIONS", VERB_OPTIONS}
};

static bool
pattern_matches(const Pattern *pattern, const Path *path)
{
	if (pattern->count != path->count)
		return false;
	for (int i = 0; i < path->count; i++)
	{
		const char *part = pattern->parts[i];

		if (strcmp(part, "*") != 0 &&
			(strlen(part) != path->parts[i].length ||
			 memcmp(part, path->parts[i].start, path->parts[i].length) != 0))
			return false;
	}
	return true;
}

/*
 * route_find
 *		The route of the path of a request, ROUTE_NONE if there is none.
 */
Route
route_find(const Request *request)
{
	const Pattern *table = request->dashboard ? page_patterns : patterns;
	size_t		count = request->dashboard ? lengthof(page_patterns) : lengthof(patterns);

	for (size_t i = 0; i < count; i++)
		if (pattern_matches(&table[i], &request->path))
			return table[i].route;
	return ROUTE_NONE;
}

/*
 * route_operation
 *		What a verb does at a route; NULL if that verb is not allowed.
 */
const Operation *
route_operation(Route route, Verb verb)
{
	for (size_t i = 0; i < lengthof(operations); i++)
		if (operations[i].route == route && (operations[i].verbs & verb) != 0)
			return &operations[i];
	return NULL;
}

/*
 * route_allowed
 *		The verbs of a route, as the header "Allow" has them.
 */
void
route_allowed(Route route, char *text, size_t size)
{
	size_t		length = 0;

	text[0] = '\0';
	for (size_t i = 0; i < lengthof(verbs); i++)
		if (verbs[i].verb == VERB_OPTIONS || route_operation(route, verbs[i].verb) != NULL)
			length += (size_t) snprintf(text + length, size - length, "%s%s",
										length > 0 ? ", " : "", verbs[i].name);
}

Verb
verb_from_text(const char *text)
{
	for (size_t i = 0; i < lengthof(verbs); i++)
		if (strcmp(verbs[i].name, text) == 0)
			return verbs[i].verb;
	return VERB_OTHER;
}
