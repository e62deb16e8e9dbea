/*-------------------------------------------------------------------------
 *
 * cluster.c
 *		What is asked of Citus, and where it must be asked.
 *
 * It is talked to by SQL only, and what may be asked depends on its release and on
 * the server.
 *
 * IDENTIFICATION
 *		src/store/cluster.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/extension.h"
#include "utils/builtins.h"

#include "store/store.h"

/* releases of Citus that lose memory with each statement */
static const int leaking[][2] = {
	{120111, 120112}, {130201, 130202}, {140000, 140001}
};

/*
 * actor_cluster_run
 *		Runs a statement of Citus, or one that it is to see, between
 *		actor_bookkeeping_begin and _end.
 */
void
actor_cluster_run(const char *sql)
{
	int			result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "could not run \"%s\": %s", sql, SPI_result_code_string(result));
}

/*
 * actor_cluster_is_coordinator
 *		Whether this is the server of a cluster that knows all others, and changes what
 *		all have.
 */
bool
actor_cluster_is_coordinator(void)
{
	ActorBookkeeping bookkeeping;
	bool		found;

	actor_bookkeeping_begin(&bookkeeping);
	actor_cluster_run("SELECT FROM pg_catalog.pg_dist_local_group"
					  " WHERE groupid OPERATOR(pg_catalog.=) 0");
	found = SPI_processed > 0;
	actor_bookkeeping_end(&bookkeeping);
	return found;
}

/*
 * actor_cluster_check_coordinator
 *		Refuses to do something but on the coordinator.
 */
void
actor_cluster_check_coordinator(const char *action)
{
	if (!actor_cluster_is_coordinator())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s on this server", action),
				 errhint("Do that on the coordinator of the cluster.")));
}

/*
 * actor_cluster_ask
 *		Runs a statement with one value on all servers, between
 *		actor_bookkeeping_begin and _end.
 *
 * The result has a row for each: its name, whether it has answered, and the answer,
 * or else what went wrong, all of them text.
 */
void
actor_cluster_ask(const char *sql)
{
	actor_cluster_run(psprintf(
							   "SELECT pg_catalog.format('%%s:%%s', r.node_name, r.node_port),"
							   "       r.success::pg_catalog.text, r.result"
							   "  FROM (SELECT pg_catalog.array_agg(nodename) AS names,"
							   "               pg_catalog.array_agg(nodeport) AS ports,"
							   "               pg_catalog.array_agg(%s::pg_catalog.text) AS statements"
							   "          FROM pg_catalog.pg_dist_node"
							   "         WHERE isactive AND noderole::pg_catalog.text OPERATOR(pg_catalog.=) 'primary') n"
							   " CROSS JOIN LATERAL"
							   "       pg_catalog.master_run_on_worker(n.names, n.ports, n.statements, true) r"
							   " WHERE n.names IS NOT NULL ORDER BY 1",
							   quote_literal_cstr(sql)));
}

/*
 * actor_cluster_value
 *		A value of the last result, as text in the memory of SPI; NULL if it is null.
 */
char *
actor_cluster_value(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/*
 * actor_cluster_check_release
 *		Refuses to do without Citus, and a release of it that is known to do harm;
 *		between actor_bookkeeping_begin and _end.
 */
void
actor_cluster_check_release(void)
{
	char	   *release;
	int			major;
	int			minor;
	int			patch = 0;
	int			number;

	if (!OidIsValid(get_extension_oid("citus", true)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" does not exist in this database", "citus"),
				 errhint("Put it first in \"%s\", restart the server, use CREATE EXTENSION, and add the other servers.",
						 "shared_preload_libraries")));
	actor_cluster_run("SELECT pg_catalog.citus_version()");
	release = actor_cluster_value(0, 1);
	if (release == NULL || sscanf(release, "Citus %d.%d.%d", &major, &minor, &patch) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot tell which release of Citus this is"),
				 errdetail("It says \"%s\".", release != NULL ? release : "")));
	number = major * 10000 + minor * 100 + patch;
	for (int i = 0; i < (int) lengthof(leaking); i++)
		if (number >= leaking[i][0] && number <= leaking[i][1])
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("release %d.%d.%d of Citus cannot be used", major, minor, patch),
					 errdetail("It loses memory with each statement of a session."),
					 errhint("Use 13.0.5, 13.1.1, 13.2.0, or a release that has mended that.")));
}
