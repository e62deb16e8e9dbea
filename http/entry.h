/*-------------------------------------------------------------------------
 *
 * entry.h
 *		Finding where an actor is, and entering its turn.
 *
 * IDENTIFICATION
 *		http/entry.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_ENTRY_H
#define ACTOR_HTTP_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "self.h"
#include "session.h"

/* of a method that has answered: frame, status, content type, headers, body */
#define HOST_EXIT \
	"SELECT actor.host_exit($1::pg_catalog.int4, $2::pg_catalog.int4, $3::pg_catalog.text," \
	" $4::pg_catalog.jsonb, $5::pg_catalog.bytea)"
/* the same, where nothing is kept and the transaction is to be committed: frame */
#define HOST_EXIT_AND_COMMIT \
	"SELECT actor.host_exit($1::pg_catalog.int4, commits => true)"
/* the same, where the answer is kept: values as those of HOST_EXIT */
#define HOST_KEEP_AND_COMMIT \
	"SELECT actor.host_exit($1::pg_catalog.int4, $2::pg_catalog.int4, $3::pg_catalog.text," \
	" $4::pg_catalog.jsonb, $5::pg_catalog.bytea, true)"

typedef enum EntryAction
{
	ENTRY_RUN,					/* the turn is taken, and the actor is here */
	ENTRY_ELSEWHERE,			/* the same, but another host has the actor */
	ENTRY_UNPLACED,				/* no host has it: place it, and try again */
	ENTRY_FUNCTION,				/* the method is a function of the database */
	ENTRY_ANSWERED,				/* there is an answer to that request already */
	ENTRY_GONE,					/* of a callback: there is nothing to be done any more */
	ENTRY_BUSY,					/* or the turn is not free */
	ENTRY_ERROR,				/* the result has an error */
	ENTRY_UNAVAILABLE			/* the database cannot be used */
} EntryAction;

/* who wants to enter */
typedef struct EntryRequest
{
	const char *host_id;
	const char *type;
	const char *id;
	const char *method;
	const char *token;			/* NULL: none is known */
	const char *chain_id;
	const char *request_id;		/* NULL: none */
	const char *body;
	size_t		body_length;
	const char *manner;			/* what else must be the same in a repeated request */
	const char *caller;			/* role on whose behalf it is; NULL: this one */
} EntryRequest;

/* columns of actor.host_enter */
#define ENTRY_COLUMNS		11

/* what has come of it; to be cleared */
typedef struct Entry
{
	EntryAction action;
	bool		stale;			/* what the application may have is out of date */
	char		host_id[UUID_SIZE]; /* as whom we have entered */
	char		token[UUID_SIZE];
	char		frame[24];
	const char *address;		/* of the host that has it */
	const char *held_from;		/* host that has left it in our application */
	PGresult   *result;
	char	   *row;			/* of host_enter, cut into its columns */
	const char *columns[ENTRY_COLUMNS]; /* in that */
	char	   *reason;			/* why the database cannot be used */
} Entry;

extern const char *entry_column(const Entry *entry, const char *name);
extern void entry_read(Entry *entry, const char *host_id, QueryOutcome outcome,
					   PGresult *result, char *reason);
extern void entry_place(Session *session, const char *host_id, const char *type,
						const char *id, Entry *entry);
extern void entry_enter(Session *session, const EntryRequest *request,
						const Statement *before, int count, Entry *entry);
extern void entry_take_left(const Entry *entry, const char *type, const char *id);
extern void entry_clear(Entry *entry);

#endif							/* ACTOR_HTTP_ENTRY_H */
