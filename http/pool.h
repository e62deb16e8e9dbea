/*-------------------------------------------------------------------------
 *
 * pool.h
 *		Pools of sessions, and the requests that wait for one.
 *
 * IDENTIFICATION
 *		http/pool.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_POOL_H
#define ACTOR_HTTP_POOL_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "request.h"
#include "session.h"

/* a thread, and the session that only it uses */
typedef struct Worker
{
	struct Pool *pool;
	pthread_t	thread;
	Session		session;
	sem_t		work;			/* it is woken by this when it waits for work */
	struct Worker *next;		/* the one that has waited for longer */
} Worker;

/* workers for one database and role */
typedef struct Pool
{
	size_t		number;			/* from 0 */
	Database	database;
	Worker	   *workers;
	long		size;			/* number of them */

	pthread_mutex_t lock;		/* protects what follows */
	Request    *first;			/* requests that wait for a session */
	Request    *last;
	Request    *running;		/* those that have one */
	Worker	   *waiting;		/* those that wait for work, the last one first */
	int			idle;			/* how many they are */
	bool		stopping;
} Pool;

/* what a pool is doing, in numbers */
typedef struct PoolNumbers
{
	int			running;
	int			idle;
	int			queued;
	int64_t		oldest_ms;		/* for how long the first of these has waited */
} PoolNumbers;

extern void pools_start(void);
extern void pools_stop(void);
extern void pools_expire(void);
extern void pools_cancel(void);
extern size_t pools_count(void);
extern Pool *pool_for_token(const char *token);
extern Pool *pool_default(void);
extern Pool *pool_number(size_t number);
extern Pool *pool_for_dashboard(const char *token);
extern void pool_submit(Pool *pool, Request *request);
extern void pools_wake(void);
extern bool pool_has_idle(Pool *pool);
extern void pool_count_requests(Pool *pool, PoolNumbers *numbers);

#endif							/* ACTOR_HTTP_POOL_H */
