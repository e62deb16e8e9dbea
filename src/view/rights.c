/*-------------------------------------------------------------------------
 *
 * rights.c
 *		Rights on the extension's own objects: what installation sets, and what
 *		the doctor finds of it later.
 *
 * IDENTIFICATION
 *		src/view/rights.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xlog.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/base.h"
#include "store/store.h"
#include "view/internal.h"

PG_FUNCTION_INFO_V1(actor_reset_rights);

#define NAME_OF_ROLE(role) \
	"CASE WHEN " role " OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN 'PUBLIC'" \
	" ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(" role ")::pg_catalog.text) END"

/* relations of the schema, functions of the extension, and the schema itself */
#define RELATIONS \
	"SELECT CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'S' THEN 'SEQUENCE'" \
	"       ELSE 'TABLE' END AS kind, c.oid, c.relowner AS owner, c.relacl AS acl," \
	"       pg_catalog.format('actor.%I', c.relname) AS name" \
	"  FROM pg_catalog.pg_class c" \
	"  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace" \
	" WHERE n.nspname OPERATOR(pg_catalog.=) 'actor'" \
	"   AND pg_catalog.strpos('rpvS', c.relkind::pg_catalog.text) OPERATOR(pg_catalog.>) 0"
#define FUNCTIONS \
	"SELECT 'ROUTINE', p.oid, p.proowner, p.proacl," \
	"       p.oid::pg_catalog.regprocedure::pg_catalog.text" \
	"  FROM pg_catalog.pg_proc p" \
	"  JOIN pg_catalog.pg_depend d" \
	"    ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass" \
	"   AND d.objid OPERATOR(pg_catalog.=) p.oid" \
	"  JOIN pg_catalog.pg_extension e" \
	"    ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass" \
	"   AND d.refobjid OPERATOR(pg_catalog.=) e.oid" \
	" WHERE e.extname OPERATOR(pg_catalog.=) 'actor'"
#define SCHEMA \
	"SELECT 'SCHEMA', n.oid, n.nspowner, n.nspacl, n.nspname::pg_catalog.text" \
	"  FROM pg_catalog.pg_namespace n WHERE n.nspname OPERATOR(pg_catalog.=) 'actor'"

/* for PUBLIC a function has EXECUTE, unless somebody says otherwise */
static const char reset_commands[] =
"SELECT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', o.kind, o.name, " NAME_OF_ROLE("a.grantee") ")"
"  FROM (" RELATIONS " UNION ALL " FUNCTIONS " UNION ALL " SCHEMA ") o"
" CROSS JOIN LATERAL (SELECT DISTINCT grantee FROM pg_catalog.aclexplode(o.acl)) a"
" WHERE a.grantee OPERATOR(pg_catalog.<>) o.owner"
" UNION ALL"
" SELECT pg_catalog.format('GRANT EXECUTE ON ROUTINE %s TO PUBLIC', f.name)"
"  FROM (" FUNCTIONS ") f (kind, oid, owner, acl, name)"
" WHERE f.acl IS NOT NULL";

static ActorQuery read_grants = {
	"SELECT pg_catalog.format('%s on %s to %s', a.privilege_type, o.name, " NAME_OF_ROLE("a.grantee") ")"
	"  FROM (" RELATIONS " UNION ALL " SCHEMA " UNION ALL"
	"    SELECT 'COLUMN', t.attnum::pg_catalog.oid, r.owner, t.attacl,"
	"           pg_catalog.format('%s (%I)', r.name, t.attname)"
	"      FROM (" RELATIONS ") r JOIN pg_catalog.pg_attribute t"
	"        ON t.attrelid OPERATOR(pg_catalog.=) r.oid) o"
	" CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a"
	" WHERE a.grantee OPERATOR(pg_catalog.<>) o.owner"
	"   AND a.privilege_type OPERATOR(pg_catalog.<>)"
	"       CASE WHEN o.kind OPERATOR(pg_catalog.=) 'SCHEMA' THEN 'USAGE' ELSE 'SELECT' END"
	" ORDER BY 1",
	0, {0}
};

static ActorQuery read_tables = {
	"SELECT r.name FROM (" RELATIONS ") r"
	" WHERE EXISTS (SELECT FROM pg_catalog.pg_trigger t"
	"   WHERE t.tgrelid OPERATOR(pg_catalog.=) r.oid) ORDER BY 1",
	0, {0}
};

static ActorQuery read_open_schema = {
	"SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension e"
	"  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"
	" WHERE e.extname OPERATOR(pg_catalog.=) 'actor'"
	"   AND pg_catalog.has_schema_privilege('public', n.oid, 'CREATE')",
	0, {0}
};

/*
 * The next number that a sequence gives out, and the highest that is used; which
 * is only looked for if some of the rows show that it is not lower.
 */
#define BEHIND(table, column) \
	"SELECT 'actor." table "_" column "_seq'::pg_catalog.text AS name, s.next," \
	"       CASE WHEN EXISTS (SELECT FROM (SELECT " column " AS id FROM actor." table \
	"                                       LIMIT 1000) r" \
	"                          WHERE r.id OPERATOR(pg_catalog.>=) s.next)" \
	"       THEN (SELECT pg_catalog.max(" column ") FROM actor." table ") END AS highest" \
	"  FROM (SELECT last_value OPERATOR(pg_catalog.+) is_called::pg_catalog.int4 AS next" \
	"          FROM actor." table "_" column "_seq) s"

static ActorQuery read_behind = {
	"SELECT pg_catalog.format('%s gives out %s next, but %s is used.', b.name, b.next, b.highest)"
	"  FROM (" BEHIND("message", "message_id") " UNION ALL " BEHIND("failure", "failure_id")
	" UNION ALL " BEHIND("history", "history_id")
	" UNION ALL " BEHIND("history_change", "change_id")
	" UNION ALL " BEHIND("subscription", "subscription_id") ") b"
	" WHERE b.highest OPERATOR(pg_catalog.>=) b.next ORDER BY b.name",
	0, {0}
};

/* installation ---------------------------------------------------------- */

/*
 * Warns if others may create objects where the functions of the extension are.
 * SPI is connected.  A notice would not be shown while a script runs.
 */
static void
warn_of_open_schema(void)
{
	char	   *schema;

	if (SPI_execute(read_open_schema.sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the schema of the extension");
	if (SPI_processed == 0)
		return;
	schema = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	ereport(WARNING,
			(errmsg("PUBLIC may create objects in schema \"%s\"", schema),
			 errdetail("A function that somebody creates there can take the place of one of the extension."),
			 errhint("Use REVOKE CREATE ON SCHEMA %s FROM PUBLIC, or create the extension in a schema of its own.",
					 quote_identifier(schema))));
}

/*
 * actor_reset_rights
 *		Gives the objects of the extension the rights they would have if there
 *		were no default privileges.  Called by the installation script, so it
 *		works with objects of a version that the library is not for: others may
 *		follow.
 */
Datum
actor_reset_rights(PG_FUNCTION_ARGS)
{
	SPITupleTable *commands;
	uint64		count;

	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute(reset_commands, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the rights of the extension");
	commands = SPI_tuptable;
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
	{
		char	   *command = SPI_getvalue(commands->vals[i], commands->tupdesc, 1);

		if (SPI_execute(command, false, 0) != SPI_OK_UTILITY)
			elog(ERROR, "could not run \"%s\"", command);
	}
	warn_of_open_schema();
	SPI_finish();
	PG_RETURN_VOID();
}

/* checks ---------------------------------------------------------------- */

/*
 * Rights on tables, views and sequences that nobody should have.
 */
char *
actor_check_grants(void)
{
	char	   *grants = actor_list_texts(&read_grants, NULL, ", ");

	return grants == NULL ? NULL : psprintf("There is more granted than the extension does: %s.",
											grants);
}

/*
 * Triggers for which nothing is written any more.
 */
char *
actor_check_triggers(void)
{
	StringInfoData buf;
	ListCell   *cell;

	initStringInfo(&buf);
	foreach(cell, actor_read_texts(&read_tables, NULL))
	{
		/* the name is qualified */
		Oid			table = actor_catalog_relation((char *) lfirst(cell) + strlen("actor."));
		Relation	relation = OidIsValid(table) ? table_open(table, AccessShareLock) : NULL;
		Oid			role;
		const char *trigger = relation != NULL ? actor_trigger_foreign(relation, &role) : NULL;

		if (trigger != NULL)
			appendStringInfo(&buf, "%sTrigger \"%s\" on %s can run code of role \"%s\".",
							 buf.len > 0 ? " " : "", trigger, (char *) lfirst(cell),
							 GetUserNameFromId(role, false));
		if (relation != NULL)
			table_close(relation, AccessShareLock);
	}
	return buf.len > 0 ? buf.data : NULL;
}

/*
 * Whether anybody can create what hides the functions of the extension.
 */
char *
actor_check_schema(void)
{
	List	   *names = actor_read_texts(&read_open_schema, NULL);
	char	   *schema = names != NIL ? linitial(names) : NULL;

	return schema == NULL ? NULL :
		psprintf("PUBLIC may create objects in schema \"%s\", where the functions of the extension are.",
				 schema);
}

/*
 * Sequences that would give out what is used, as after a switch-over by logical
 * replication.
 */
char *
actor_check_sequences(void)
{
	/* of several servers none draws numbers from them; see number.c */
	return actor_on_several_servers() ? NULL : actor_list_texts(&read_behind, NULL, " ");
}
