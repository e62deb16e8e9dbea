/*-------------------------------------------------------------------------
 *
 * app.h
 *		What the files of the application for the tests share; app.c says what it is.
 *
 * IDENTIFICATION
 *		t/hosted/app.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef APP_H
#define APP_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Buffer
{
	char	   *data;
	size_t		length;
	size_t		capacity;
} Buffer;

/* one key of the state of an instance */
typedef struct Value
{
	char	   *key;
	char	   *text;			/* JSON; NULL if it is removed */
	bool		changed;
	struct Value *next;
} Value;

typedef struct Instance
{
	char	   *type;
	char	   *id;
	unsigned	number;
	unsigned	references;		/* of the map and of calls; under "instances" */
	pthread_mutex_t lock;		/* for what is below */
	Value	   *values;
	struct Instance *next;
} Instance;

/* a request to this application */
typedef struct Call
{
	struct MHD_Connection *connection;
	char	   *target;			/* as it was sent */
	Buffer		body;
	Instance   *instance;
	unsigned	number;
	const char *method;
	const char *chain;			/* Dapr-Reentrancy-Id */
	const char *traceparent;
	json_t	   *argument;		/* the body, or the first element of it */
	/* the answer */
	unsigned	status;
	Buffer		answer;
	char	   *content_type;
	bool		hang_up;
	bool		echo;			/* say which headers have come */
	bool		express;		/* say that it is the SDK for JavaScript */
} Call;

/* app.c: what it was started with */
extern const char *host_port;
extern const char *gates;
extern const char *api_token;
extern int	journal;

extern bool is_there(const char *what, const char *id);

/* base.c */
extern void die(const char *what);
extern void *check(void *memory);
extern void add_bytes(Buffer *buffer, const char *data, size_t length);
extern void add_text(Buffer *buffer, const char *format,...) __attribute__((format(printf, 2, 3)));
extern void clear(Buffer *buffer);
extern void note(const char *what, const Instance *instance, const Call *call, const char *more);
extern void reply(Call *call, unsigned status, const char *format,...)
			__attribute__((format(printf, 3, 4)));
extern bool failed(const Call *call);
extern void start_client(void);
extern long talk(const Call *call, bool in_chain, const char *verb, const char *path,
				 const char *body, Buffer *answer);
extern char *path_of(const char *type, const char *id, const char *more, const char *name);

/* state.c */
extern Instance *enter_instance(const char *type, const char *id);
extern void leave_instance(Instance *instance);
extern bool drop_instance(const char *type, const char *id, Call *call);
extern void put_value(Instance *instance, const char *key, const char *text, bool changed);
extern char *load(Call *call, const char *key);
extern char *get(Call *call, const char *key);
extern json_int_t get_number(Call *call, const char *key);
extern void set_number(Call *call, const char *key, json_int_t number);
extern void save(Call *call);

/* methods.c */
extern bool run_method(Call *call, const char *name);
extern void run_callback(Call *call, const char *counter, const char *last);
extern void run_timer(Call *call);

#endif
