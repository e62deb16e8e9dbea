/*-------------------------------------------------------------------------
 *
 * methods.c
 *		What the actors do.
 *
 * IDENTIFICATION
 *		t/hosted/methods.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include "app.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static unsigned saved_on;		/* by do_chatter */

/* arguments --------------------------------------------------------------- */

static const char *
text_argument(const Call *call, const char *name, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(call->argument, name));

	return text != NULL ? text : otherwise;
}

static json_int_t
number_argument(const Call *call, const char *name, json_int_t otherwise)
{
	json_t	   *value = json_object_get(call->argument, name);

	if (value == NULL && json_is_integer(call->argument))
		value = call->argument;
	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

static bool
flag_argument(const Call *call, const char *name)
{
	return json_is_true(json_object_get(call->argument, name));
}

/*
 * A member as JSON; NULL if there is none.  The caller frees it.
 */
static char *
json_argument(const json_t *object, const char *name)
{
	json_t	   *value = json_object_get(object, name);

	return value == NULL ? NULL : check(json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));
}

/* methods ------------------------------------------------------------------ */

/*
 * Waits until the tests open a gate.  False if the other side of the connection
 * is gone before and the method wants to know that.
 */
static bool
wait_at_gate(const Call *call, const char *gate, bool until_gone)
{
	char		path[1024];
	struct stat file;

	snprintf(path, sizeof(path), "%s/%s", gates, gate);
	note("at gate", call->instance, call, gate);
	while (stat(path, &file) != 0)
	{
		struct pollfd connection = {.events = POLLRDHUP};

		connection.fd = until_gone
			? MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd
			: -1;
		if (poll(&connection, 1, 5) > 0)
			return false;
	}
	return true;
}

static void
do_noop(Call *call)
{
	(void) call;
}

/* the number, as it is known in memory or else in the state */
static void
do_read(Call *call)
{
	json_int_t	number = get_number(call, text_argument(call, "key", "value"));

	if (!failed(call))
		reply(call, 200, "%lld", (long long) number);
}

/* any key, past the cache */
static void
do_fresh(Call *call)
{
	char	   *text = load(call, text_argument(call, "key", "value"));

	if (!failed(call))
		reply(call, 200, "%s", text ? text : "null");
	free(text);
}

static void
do_write(Call *call)
{
	set_number(call, text_argument(call, "key", "value"), number_argument(call, "value", 0));
}

static void
do_remove(Call *call)
{
	put_value(call->instance, text_argument(call, "key", "value"), NULL, true);
}

/* adds to the number; with "op" also to the list of what was done */
static void
do_add(Call *call)
{
	json_int_t	number = get_number(call, "value") + number_argument(call, "amount", 1);
	const char *op = text_argument(call, "op", NULL);

	if (failed(call))
		return;
	if (op != NULL)
	{
		char	   *text = get(call, "ops");
		json_t	   *ops = text ? json_loads(text, 0, NULL) : json_array();

		if (!failed(call))
		{
			json_array_append_new(ops, json_string(op));
			free(text);
			text = check(json_dumps(ops, JSON_COMPACT));
			put_value(call->instance, "ops", text, true);
		}
		free(text);
		json_decref(ops);
		if (failed(call))
			return;
	}
	set_number(call, "value", number);
	reply(call, 200, "%lld", (long long) number);
}

/* fails after it has saved what it has done; waits at a gate before, if there is one */
static void
do_fail(Call *call)
{
	const char *gate = text_argument(call, "gate", NULL);

	if (gate != NULL)
		wait_at_gate(call, gate, false);
	do_add(call);
	if (!failed(call))
		save(call);
	if (!failed(call))
		reply(call, (unsigned) number_argument(call, "status", 500), "%s",
			  text_argument(call, "message", "it was not to be"));
}

/* dies after it has saved what it has done */
static void
do_die(Call *call)
{
	do_add(call);
	if (!failed(call))
		save(call);
	note("die", call->instance, call, NULL);
	kill(getpid(), SIGKILL);
	pause();
}

/* waits at a gate, then adds and saves */
static void
do_slow(Call *call)
{
	wait_at_gate(call, text_argument(call, "gate", "none"), false);
	do_add(call);
}

/*
 * Changes the number in memory, has what it saves refused, and does not mind.
 */
static void
do_heedless(Call *call)
{
	Buffer		answer = {0};
	char	   *path = path_of(call->instance->type, call->instance->id, "state", NULL);
	char		number[32];
	long		status = talk(call, true, "POST", path, "{}", &answer);

	snprintf(number, sizeof(number), "%lld", (long long) number_argument(call, "amount", 666));
	put_value(call->instance, "value", number, false);
	free(path);
	clear(&answer);
	reply(call, 200, "%ld", status);
}

/*
 * Waits at the gate of a method that is to wait before it does anything.
 */
static void
wait_before(const Call *call)
{
	const char *gate = text_argument(call, "after", NULL);

	if (gate != NULL)
		wait_at_gate(call, gate, false);
}

/* adds and saves, perhaps after a gate, and waits at a gate before it answers */
static void
do_linger(Call *call)
{
	wait_before(call);
	do_add(call);
	if (!failed(call))
		save(call);
	wait_at_gate(call, text_argument(call, "gate", "none"), false);
}

typedef struct Forgotten
{
	char	   *path;
	char	   *body;
} Forgotten;

static void *
save_forgotten(void *argument)
{
	Forgotten  *forgotten = argument;
	Buffer		answer = {0};

	(void) talk(NULL, false, "POST", forgotten->path, forgotten->body, &answer);
	clear(&answer);
	free(forgotten->path);
	free(forgotten->body);
	free(forgotten);
	return NULL;
}

/*
 * Begins to save a number, and that it is the time of that number.
 */
static void
begin_forgotten(const Call *call, json_int_t number, json_int_t time)
{
	Forgotten  *forgotten = check(calloc(1, sizeof(Forgotten)));
	Buffer		body = {0};
	pthread_t	thread;

	add_text(&body, "[{\"operation\":\"upsert\",\"request\":{\"key\":\"value\",\"value\":%lld}},"
			 "{\"operation\":\"upsert\",\"request\":{\"key\":\"time %lld\",\"value\":1}}]",
			 (long long) number, (long long) time);
	forgotten->path = path_of(call->instance->type, call->instance->id, "state", NULL);
	forgotten->body = body.data;
	if (pthread_create(&thread, NULL, save_forgotten, forgotten) != 0)
		die("thread");
	pthread_detach(thread);
}

/* saves several times at once, perhaps after a gate, without waiting; then at a gate */
static void
do_careless(Call *call)
{
	wait_before(call);
	for (json_int_t i = number_argument(call, "times", 1); i > 0; i--)
		begin_forgotten(call, number_argument(call, "amount", 0), i);
	wait_at_gate(call, text_argument(call, "gate", "none"), false);
}

/*
 * Calls another actor: {"type", "id", "method", "body"}; with "apart" without
 * the id of the chain.  Returns the status.
 */
static long
call_other(const Call *call, const json_t *what, Buffer *answer)
{
	const char *type = json_string_value(json_object_get(what, "type"));
	const char *id = json_string_value(json_object_get(what, "id"));
	const char *method = json_string_value(json_object_get(what, "method"));
	char	   *body = json_argument(what, "body");
	char	   *path = path_of(type ? type : call->instance->type, id ? id : call->instance->id,
							   "method/", method ? method : "noop");
	long		status = talk(call, !json_is_true(json_object_get(what, "apart")), "PUT", path, body,
							  answer);

	free(path);
	free(body);
	return status;
}

/* what goes on after its method has answered */
typedef struct After
{
	Call		call;			/* as it was, with texts of its own */
	json_int_t	amount;
	char	   *gate;
} After;

/*
 * Begins what goes on after its method has answered.
 */
static void
go_on_after(const Call *call, void *(*run) (void *))
{
	After	   *after = check(calloc(1, sizeof(After)));
	pthread_t	thread;

	after->call = *call;
	after->call.instance = enter_instance(call->instance->type, call->instance->id);
	after->call.argument = json_incref(call->argument);
	after->call.method = check(strdup(call->method));
	after->call.chain = call->chain == NULL ? NULL : check(strdup(call->chain));
	after->call.traceparent = NULL;
	after->call.answer = after->call.body = (Buffer) {0};
	after->amount = number_argument(call, "amount", 1);
	after->gate = check(strdup(text_argument(call, "gate", "none")));
	if (pthread_create(&thread, NULL, run, after) != 0)
		die("thread");
	pthread_detach(thread);
}

static void
end_after(After *after, const char *what, long status)
{
	char		text[32];

	snprintf(text, sizeof(text), "%ld", status);
	note(what, after->call.instance, &after->call, text);
	leave_instance(after->call.instance);
	json_decref(after->call.argument);
	clear(&after->call.answer);
	free((char *) after->call.method);
	free((char *) after->call.chain);
	free(after->gate);
	free(after);
}

static void *
save_belated(void *argument)
{
	After	   *after = argument;

	wait_at_gate(&after->call, after->gate, false);
	set_number(&after->call, "value", after->amount);
	after->call.status = 200;
	save(&after->call);
	end_after(after, "belated", after->call.status);
	return NULL;
}

/* answers, and then waits at a gate, changes its number and saves that */
static void
do_belated(Call *call)
{
	go_on_after(call, save_belated);
}

static void *
save_on(void *argument)
{
	After	   *after = argument;
	char	   *path = path_of(after->call.instance->type, after->call.instance->id, "state", NULL);
	long		status;

	do
	{
		Buffer		answer = {0};

		status = talk(NULL, false, "POST", path,
					  "[{\"operation\":\"upsert\",\"request\":{\"key\":\"chatter\",\"value\":1}}]", &answer);
		clear(&answer);
		__atomic_add_fetch(&saved_on, status == 204, __ATOMIC_SEQ_CST);
	} while (status == 204 && !is_there("enough", after->call.instance->id));
	free(path);
	end_after(after, "chatted", status);
	return NULL;
}

/* saves again and again in several threads, and answers while they go on */
static void
do_chatter(Call *call)
{
	unsigned	before = saved_on;

	for (json_int_t i = number_argument(call, "times", 8); i > 0; i--)
		go_on_after(call, save_on);
	while (saved_on - before < 20 && !is_there("enough", call->instance->id))
		poll(NULL, 0, 1);
}

static void *
call_apart(void *argument)
{
	After	   *after = argument;
	Buffer		answer = {0};
	long		status = call_other(&after->call, json_object_get(after->call.argument, "call"), &answer);

	note("answer", after->call.instance, &after->call, answer.data);
	clear(&answer);
	end_after(after, "left", status);
	return NULL;
}

static void *
call_late(void *argument)
{
	After	   *after = argument;

	wait_at_gate(&after->call, after->gate, false);
	return call_apart(after);
}

/* answers, and then waits at a gate, and calls another actor */
static void
do_call_late(Call *call)
{
	go_on_after(call, call_late);
}

/*
 * Adds "amount", begins to call another actor, waits at a gate, begins to save if it is
 * to be "careless", waits at another gate, and answers without waiting for either.
 */
static void
do_leave(Call *call)
{
	do_add(call);
	if (!failed(call))
		save(call);
	if (failed(call))
		return;
	go_on_after(call, call_apart);
	wait_at_gate(call, text_argument(call, "gate", "none"), false);
	if (json_object_get(call->argument, "careless") != NULL)
		begin_forgotten(call, number_argument(call, "careless", 0), 1);
	wait_at_gate(call, text_argument(call, "then", "none"), false);
}

/* takes a while, then adds */
static void
do_nap(Call *call)
{
	poll(NULL, 0, (int) number_argument(call, "ms", 0));
	do_add(call);
}

/* gives no answer, but notices when nobody waits for it any more */
static void
do_silent(Call *call)
{
	if (!wait_at_gate(call, text_argument(call, "gate", "none"), true))
		note("gone", call->instance, call, NULL);
	call->hang_up = true;
}

static void
do_hang_up(Call *call)
{
	do_add(call);
	if (!failed(call))
		save(call);
	call->hang_up = true;
}

/* the body comes back, and the headers and the query as headers */
static void
do_echo(Call *call)
{
	const char *type = MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, "Content-Type");
	const char *status = MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, "status");
	const char *as = MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, "as");

	clear(&call->answer);
	add_bytes(&call->answer, call->body.data, call->body.length);
	if (as != NULL || type != NULL)
		call->content_type = check(strdup(as ? as : type));
	call->status = status ? (unsigned) atoi(status) : 200;
	call->echo = true;
}

/* adds "amount" here, then calls; a failure is passed on unless it is to be caught */
static void
do_call(Call *call)
{
	Buffer		answer = {0};
	long		status;

	if (json_object_get(call->argument, "amount") != NULL)
	{
		do_add(call);
		if (!failed(call) && !flag_argument(call, "late"))
			save(call);
		if (failed(call))
			return;
	}
	status = call_other(call, call->argument, &answer);
	if (flag_argument(call, "catch"))
		reply(call, 200, "%ld %s", status, answer.data);
	else if (status < 200 || status >= 300)
		reply(call, 500, "callee: %ld %s", status, answer.data);
	else
		reply(call, 200, "%s", answer.data);
	clear(&answer);
}

typedef struct Branch
{
	const Call *call;
	const json_t *what;
	Buffer		answer;
	long		status;
	pthread_t	thread;
} Branch;

static void *
run_branch(void *argument)
{
	Branch	   *branch = argument;

	branch->status = call_other(branch->call, branch->what, &branch->answer);
	return NULL;
}

/* several calls at the same time; their statuses and answers, one a line */
static void
do_fan(Call *call)
{
	json_t	   *calls = json_object_get(call->argument, "calls");
	size_t		count = json_array_size(calls);
	Branch	   *branches = check(calloc(count + 1, sizeof(Branch)));
	Buffer		all = {0};

	for (size_t i = 0; i < count; i++)
	{
		branches[i].call = call;
		branches[i].what = json_array_get(calls, i);
		if (pthread_create(&branches[i].thread, NULL, run_branch, &branches[i]) != 0)
			die("thread");
	}
	for (size_t i = 0; i < count; i++)
	{
		pthread_join(branches[i].thread, NULL);
		add_text(&all, "%ld %s\n", branches[i].status, branches[i].answer.data);
		clear(&branches[i].answer);
	}
	reply(call, 200, "%s", all.data ? all.data : "");
	clear(&all);
	free(branches);
}

/* several calls, one after the other; as do_fan */
static void
do_each(Call *call)
{
	json_t	   *calls = json_object_get(call->argument, "calls");
	Buffer		all = {0};

	for (size_t i = 0; i < json_array_size(calls); i++)
	{
		Buffer		answer = {0};
		long		status = call_other(call, json_array_get(calls, i), &answer);

		add_text(&all, "%ld %s\n", status, answer.data);
		clear(&answer);
	}
	reply(call, 200, "%s", all.data ? all.data : "");
	clear(&all);
}

/*
 * Accounts: {"to", "amount"}; the other side gets it first.  With "catch" a failure
 * there is no failure here, and nothing is taken.
 */
static void
do_transfer(Call *call)
{
	json_int_t	amount = number_argument(call, "amount", 0);
	json_t	   *what = json_pack("{s:s, s:s, s:{s:I, s:s}}", "id", text_argument(call, "to", ""),
								 "method", text_argument(call, "with", "deposit"),
								 "body", "amount", amount, "op", text_argument(call, "op", "-"));
	Buffer		answer = {0};
	long		status = call_other(call, check(what), &answer);

	json_decref(what);
	if (status < 200 || status >= 300)
		reply(call, flag_argument(call, "catch") ? 200 : 500, "callee: %ld %s", status, answer.data);
	else
	{
		json_int_t	balance = get_number(call, "balance") - amount;

		if (!failed(call) && balance < 0)
			reply(call, 500, "overdraft");
		else if (!failed(call))
		{
			set_number(call, "balance", balance);
			reply(call, 200, "%lld", (long long) balance);
		}
	}
	clear(&answer);
}

static void
do_deposit(Call *call)
{
	json_int_t	balance = get_number(call, "balance") + number_argument(call, "amount", 0);

	if (failed(call))
		return;
	set_number(call, "balance", balance);
	reply(call, 200, "%lld", (long long) balance);
}

/* takes it, saves that, and fails */
static void
do_refuse(Call *call)
{
	do_deposit(call);
	if (!failed(call))
		save(call);
	if (!failed(call))
		reply(call, 500, "refused");
}

static void
do_balance(Call *call)
{
	json_int_t	balance = get_number(call, "balance");

	if (!failed(call))
		reply(call, 200, "%lld", (long long) balance);
}

/*
 * A request about this actor: {"verb", "what", "name", "body"}, where what is
 * "reminders", "timers" or "state".
 */
static void
do_request(Call *call)
{
	Buffer		more = {0};
	Buffer		answer = {0};
	char	   *body = json_argument(call->argument, "body");
	const char *name = text_argument(call, "name", NULL);
	char	   *path;
	long		status;

	add_text(&more, "%s%s", text_argument(call, "what", "reminders"), name ? "/" : "");
	path = path_of(call->instance->type, call->instance->id, more.data, name);
	status = talk(call, true, text_argument(call, "verb", "POST"), path, body, &answer);
	reply(call, 200, "%ld %s", status, answer.data);
	if (flag_argument(call, "fail"))
		call->status = 500;
	free(path);
	free(body);
	clear(&more);
	clear(&answer);
}

static const struct
{
	const char *name;
	void		(*run) (Call *call);
}			methods[] = {
	{"noop", do_noop},
	/* as every object of JavaScript has */
	{"toString", do_noop},
	{"read", do_read},
	{"fresh", do_fresh},
	{"write", do_write},
	{"remove", do_remove},
	{"add", do_add},
	{"fail", do_fail},
	{"die", do_die},
	{"slow", do_slow},
	{"linger", do_linger},
	{"heedless", do_heedless},
	{"careless", do_careless},
	{"belated", do_belated},
	{"chatter", do_chatter},
	{"callLate", do_call_late},
	{"leave", do_leave},
	{"nap", do_nap},
	{"silent", do_silent},
	{"hangUp", do_hang_up},
	{"echo", do_echo},
	{"call", do_call},
	{"fan", do_fan},
	{"each", do_each},
	{"transfer", do_transfer},
	{"deposit", do_deposit},
	{"refuse", do_refuse},
	{"balance", do_balance},
	{"request", do_request}
};

bool
run_method(Call *call, const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
	{
		if (strcmp(methods[i].name, name) == 0)
		{
			methods[i].run(call);
			return true;
		}
	}
	return false;
}

/*
 * A firing: the method that its data names in "do", with the data; without that
 * it is counted and the body of the callback kept.
 */
void
run_callback(Call *call, const char *counter, const char *last)
{
	json_t	   *data = json_object_get(call->argument, "data");
	const char *name = json_string_value(json_object_get(data, "do"));
	char	   *whole = check(strndup(call->body.data ? call->body.data : "", call->body.length));

	if (name == NULL)
	{
		json_int_t	count = get_number(call, counter) + 1;

		if (!failed(call))
		{
			set_number(call, counter, count);
			put_value(call->instance, last, whole, true);
		}
	}
	else
	{
		json_incref(data);
		json_decref(call->argument);
		call->argument = data;
		if (!run_method(call, name))
			reply(call, 500, "there is no method %s", name);
	}
	free(whole);
}

/*
 * A timer calls what its callback names; that must be there.
 */
void
run_timer(Call *call)
{
	const char *callback = text_argument(call, "callback", "");

	if (*callback == '\0' || strcmp(callback, "count") == 0)
		run_callback(call, "ticks", "lastTick");
	else
	{
		json_t	   *data = json_incref(json_object_get(call->argument, "data"));
		char	   *name = check(strdup(callback));

		json_decref(call->argument);
		call->argument = data;
		if (!run_method(call, name))
		{
			note("unknown", call->instance, call, "callback");
			reply(call, 500, "there is no callback %s", name);
		}
		free(name);
	}
}
