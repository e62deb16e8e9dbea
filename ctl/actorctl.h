/*-------------------------------------------------------------------------
 *
 * actorctl.h
 *		What the files of actorctl share.
 *
 * IDENTIFICATION
 *		ctl/actorctl.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTORCTL_H
#define ACTORCTL_H

#include <stdbool.h>
#include <stdio.h>

#include <libpq-fe.h>

/* exit codes */
#define EXIT_ILL			1		/* the doctor has found something, or nothing was done */
#define EXIT_FAILED			2		/* the command was wrong, or refused */

/* what the options have set */
extern const char *conninfo;
extern const char *limit;
extern const char *after;
extern const char *due;

extern char *schema;			/* of the functions, quoted */

_Noreturn extern void die(const char *format,...) __attribute__((format(printf, 1, 2)));
extern char *format_text(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void split_actor(char *text, char **type, char **id);
extern void require_id(const char *id);
extern void connect_database(void);
extern void disconnect_database(void);
extern void leave_looking(void);
extern PGresult *query(const char *sql, int nvalues, const char *const *values);
extern char *qualify(const char *sql);
extern int	show_text(FILE *file, const char *text, int max);
extern int	show_query(const char *title, const char *sql, int nvalues, const char *const *values);
extern void show_value(const char *sql, int nvalues, const char *const *values);

/* commands: each gets its arguments, and returns an exit code */
extern int	run_list(int argc, char **argv);
extern int	run_show(int argc, char **argv);
extern int	run_turns(int argc, char **argv);
extern int	run_late(int argc, char **argv);
extern int	run_failures(int argc, char **argv);
extern int	run_sending(int argc, char **argv);
extern int	run_doctor(int argc, char **argv);
extern int	run_tail(int argc, char **argv);

#endif							/* ACTORCTL_H */
