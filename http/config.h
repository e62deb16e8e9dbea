/*-------------------------------------------------------------------------
 *
 * config.h
 *		The configuration file.
 *
 * IDENTIFICATION
 *		http/config.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_HTTP_CONFIG_H
#define ACTOR_HTTP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

/* a token that clients show, and the database and role they get for it */
typedef struct Token
{
	char	   *secret;
	char	   *database;
} Token;

/* one row of a table of options, which says where its value goes */
typedef struct OptionRow
{
	const char *name;			/* as in the file; --with-dashes as a flag */
	const char *argument;		/* for the help */
	const char *help;
	char	  **text;			/* or */
	long	   *number;			/* or */
	long		min;
	long		max;
	bool	   *flag;			/* on or off; a flag without an argument */
	bool		secret;			/* no flag, which others could see */
} OptionRow;

/* what a file may have: options, and tokens, each handed to a function */
typedef struct ConfigTarget
{
	const OptionRow *rows;
	size_t		count;
	void		(*add_token) (const Token *token);
} ConfigTarget;

extern char *file_read(const char *name, size_t *length);
extern void json_file_check(const char *name, const char *text, size_t length);
extern void config_read(const char *name, const ConfigTarget *target);

#endif							/* ACTOR_HTTP_CONFIG_H */
