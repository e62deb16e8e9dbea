/*-------------------------------------------------------------------------
 *
 * internal.h
 *		What the files of this room share.
 *
 * IDENTIFICATION
 *		src/view/internal.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_VIEW_INTERNAL_H
#define ACTOR_VIEW_INTERNAL_H

#include "nodes/pg_list.h"
#include "store/store.h"

/* texts.c */

/* most that a check lists */
#define ACTOR_LISTED_MAX	10

extern List *actor_read_texts(ActorQuery *query, Datum *values);
extern char *actor_list_texts(ActorQuery *query, Datum *values, const char *separator);

/* gauges.c */

typedef struct ActorGauge
{
	const char *name;
	const char *help;
	const char *type;			/* actor type; NULL: none */
	const char *check;			/* of the doctor; NULL: none */
	double		value;
} ActorGauge;

extern List *actor_read_gauges(const char *source);

/* doctor.c */

/* what a check of the doctor has found */
typedef struct ActorFinding
{
	const char *check;
	bool		asks_others;	/* servers; then it is made only if that is
								 * wanted */
	char	   *(*make) (void);
	char	   *detail;			/* NULL: nothing */
	const char *hint;
} ActorFinding;

extern bool actor_doctor_look(int number, bool ask_others, ActorFinding *finding);

/* waiting.c: checks of the doctor; what is wrong, or NULL */

extern char *actor_check_queues(void);
extern char *actor_check_paused(void);
extern char *actor_check_late(void);
extern char *actor_check_fan_outs(void);
extern char *actor_check_outbox(void);
extern char *actor_check_each(void);
extern char *actor_check_events(void);
extern char *actor_check_failures(void);
extern char *actor_check_clock(void);
extern char *actor_check_turns(void);

/* hosting.c: checks of the doctor; what is wrong, or NULL */

extern char *actor_check_hosts(void);
extern char *actor_check_applications(void);

/* servers.c: checks of the doctor; what is wrong, or NULL */

extern char *actor_check_servers(void);
extern char *actor_check_libraries(void);
extern char *actor_check_in_doubt(void);
extern char *actor_check_clocks(void);
extern char *actor_check_shards(void);

/* rights.c: checks of the doctor; what is wrong, or NULL */

extern char *actor_check_grants(void);
extern char *actor_check_triggers(void);
extern char *actor_check_schema(void);
extern char *actor_check_sequences(void);

#endif							/* ACTOR_VIEW_INTERNAL_H */
