/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Every difference between PostgreSQL 14, 15, 16, 17 and 18.
 *
 * A library that is built with the headers of one minor release must load in
 * all others of that major, so nothing is called that a minor has added, be it
 * by an inline function or a macro: heap_getattr and DatumGetHeapTupleHeader
 * are of that kind.  t/later_symbols lists them.
 *
 * IDENTIFICATION
 *		src/base/compat.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTOR_COMPAT_H
#define ACTOR_COMPAT_H

#if PG_VERSION_NUM < 140000 || PG_VERSION_NUM >= 190000
#error "actor needs PostgreSQL 14, 15, 16, 17 or 18"
#endif

/*
 * 15 added the reservation of a settings prefix and the hook that asks for
 * shared memory.
 */
#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/*
 * 16 replaced the checks of rights by general ones.
 */
#if PG_VERSION_NUM >= 160000
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#define actor_proc_aclcheck(oid, role) \
	object_aclcheck(ProcedureRelationId, (oid), (role), ACL_EXECUTE)
#define actor_schema_aclcheck(oid, role) \
	object_aclcheck(NamespaceRelationId, (oid), (role), ACL_USAGE)
#define actor_database_aclcheck(oid, role) \
	object_aclcheck(DatabaseRelationId, (oid), (role), ACL_CONNECT)
#define actor_schema_ownercheck(oid, role) \
	object_ownercheck(NamespaceRelationId, (oid), (role))
#define actor_database_ownercheck(oid, role) \
	object_ownercheck(DatabaseRelationId, (oid), (role))
#define actor_extension_ownercheck(oid, role) \
	object_ownercheck(ExtensionRelationId, (oid), (role))
#else
#define actor_proc_aclcheck(oid, role) \
	pg_proc_aclcheck((oid), (role), ACL_EXECUTE)
#define actor_schema_aclcheck(oid, role) \
	pg_namespace_aclcheck((oid), (role), ACL_USAGE)
#define actor_database_aclcheck(oid, role) \
	pg_database_aclcheck((oid), (role), ACL_CONNECT)
#define actor_schema_ownercheck(oid, role) \
	pg_namespace_ownercheck((oid), (role))
#define actor_database_ownercheck(oid, role) \
	pg_database_ownercheck((oid), (role))
#define actor_extension_ownercheck(oid, role) \
	pg_extension_ownercheck((oid), (role))
#endif

/*
 * 17 lets a worker connect as a role without LOGIN, and names wait events.
 */
#if PG_VERSION_NUM >= 170000
#define ACTOR_CONNECT_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#define ACTOR_WORKER_NEEDS_LOGIN false
#else
#define ACTOR_CONNECT_FLAGS 0
#define ACTOR_WORKER_NEEDS_LOGIN true
#endif

/*
 * 15 has a better generator of random numbers.
 */
#if PG_VERSION_NUM >= 150000
#include "common/pg_prng.h"
#define actor_random_fraction() pg_prng_double(&pg_global_prng_state)
#else
#define actor_random_fraction() ((double) random() / ((double) MAX_RANDOM_VALUE + 1))
#endif

/*
 * 15.1 brought the helper that starts a materialized result.  Before 16 it is
 * made here, where only the files that need it compile it.
 */
#if PG_VERSION_NUM < 160000
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#ifndef MAT_SRF_USE_EXPECTED_DESC
#define MAT_SRF_USE_EXPECTED_DESC 1
#endif
#define InitMaterializedSRF actor_init_materialized

static inline void
actor_init_materialized(FunctionCallInfo fcinfo, int flags)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;
	TupleDesc	tupdesc;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) ||
		!(rsinfo->allowedModes & SFRM_Materialize))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (flags & MAT_SRF_USE_EXPECTED_DESC)
		tupdesc = CreateTupleDescCopy(rsinfo->expectedDesc);
	else if (get_call_result_type(fcinfo, NULL, &tupdesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rsinfo->returnMode = SFRM_Materialize;
	rsinfo->setResult = tuplestore_begin_heap(true, false, work_mem);
	rsinfo->setDesc = tupdesc;
	MemoryContextSwitchTo(old);
}
#endif

/*
 * 15.20 and 17.12 made a function of a macro: it copies a composite value that
 * an earlier minor has written without a mark, so it must be called where it is
 * there.  In the minors before it is NULL.
 */
#include "fmgr.h"
#ifdef DatumGetHeapTupleHeader
#define actor_datum_row(value) DatumGetHeapTupleHeader(value)
#else
extern struct HeapTupleHeaderData *DatumGetHeapTupleHeader(Datum value) __attribute__((weak));
#define actor_datum_row(value) \
	(DatumGetHeapTupleHeader != NULL ? DatumGetHeapTupleHeader(value) : \
	 (struct HeapTupleHeaderData *) PG_DETOAST_DATUM(value))
#endif

/*
 * 18 counts index searches, and asks whether a primary key may be deferrable.
 */
#if PG_VERSION_NUM >= 180000
#define actor_index_beginscan(relation, index, snapshot, nkeys) \
	index_beginscan((relation), (index), (snapshot), NULL, (nkeys), 0)
#define actor_primary_key_index(relation) \
	RelationGetPrimaryKeyIndex((relation), false)
#else
#define actor_index_beginscan(relation, index, snapshot, nkeys) \
	index_beginscan((relation), (index), (snapshot), (nkeys), 0)
#define actor_primary_key_index(relation) \
	RelationGetPrimaryKeyIndex((relation))
#endif

/*
 * 15 has another name for the counters of a table.
 */
#if PG_VERSION_NUM < 150000
#define pgstat_init_relation(relation) pgstat_initstats(relation)
#endif

/*
 * 16 has another name for the file of a table.
 */
#if PG_VERSION_NUM >= 160000
#define actor_read_recent_buffer(relation, block, buffer) \
	ReadRecentBuffer((relation)->rd_locator, MAIN_FORKNUM, (block), (buffer))
#else
#define actor_read_recent_buffer(relation, block, buffer) \
	ReadRecentBuffer((relation)->rd_node, MAIN_FORKNUM, (block), (buffer))
#endif

/*
 * 16 tells whether an update concerns all indexes or only those that summarize.
 * 18 has generated columns that are not stored, and can leave one row out when
 * it looks for conflicts.
 */
#if PG_VERSION_NUM >= 160000
#define ActorUpdatedIndexes TU_UpdateIndexes
#define actor_insert_index_tuples(result, slot, estate, updated) \
	ExecInsertIndexTuples((result), (slot), (estate), true, false, NULL, NIL, \
						  (updated) == TU_Summarizing)
#define actor_insert_index_tuples_once(result, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples((result), (slot), (estate), false, true, (conflict), \
						  (arbiters), false)
#define actor_insert_new_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples((result), (slot), (estate), false, false, NULL, NIL, false)
#else
#define ActorUpdatedIndexes bool
#define actor_insert_index_tuples(result, slot, estate, updated) \
	ExecInsertIndexTuples((result), (slot), (estate), true, false, NULL, NIL)
#define actor_insert_index_tuples_once(result, slot, estate, conflict, arbiters) \
	ExecInsertIndexTuples((result), (slot), (estate), false, true, (conflict), \
						  (arbiters))
#define actor_insert_new_index_tuples(result, slot, estate) \
	ExecInsertIndexTuples((result), (slot), (estate), false, false, NULL, NIL)
#endif

#include "access/heapam.h"
#include "access/htup_details.h"

static inline TM_Result
actor_heap_update(Relation relation, ItemPointer tid, HeapTuple row, CommandId command,
				  ActorUpdatedIndexes * updated)
{
	TM_FailureData failure;
	LockTupleMode lockmode;
	TM_Result	result;

#if PG_VERSION_NUM >= 160000
	result = heap_update(relation, tid, row, command, InvalidSnapshot, true,
						 &failure, &lockmode, updated);
#else
	result = heap_update(relation, tid, row, command, InvalidSnapshot, true,
						 &failure, &lockmode);
	*updated = !HeapTupleIsHeapOnly(row);
#endif
	return result;
}

#if PG_VERSION_NUM >= 180000
#define actor_has_generated(constr) \
	((constr)->has_generated_stored || (constr)->has_generated_virtual)
#define actor_check_index_constraints(result, slot, estate, other, arbiters) \
	ExecCheckIndexConstraints((result), (slot), (estate), (other), \
							  &(ItemPointerData) {0}, (arbiters))
#else
#define actor_has_generated(constr) ((constr)->has_generated_stored)
#define actor_check_index_constraints(result, slot, estate, other, arbiters) \
	ExecCheckIndexConstraints((result), (slot), (estate), (other), (arbiters))
#endif

/*
 * 15 counts the processes before libraries ask for shared memory, and 17 has
 * another name for the number of a process.
 */
#if PG_VERSION_NUM < 150000
#include "postmaster/autovacuum.h"
#include "replication/walsender.h"
#define ACTOR_MAX_BACKENDS \
	(MaxConnections + autovacuum_max_workers + 1 + max_worker_processes + max_wal_senders)
#else
#define ACTOR_MAX_BACKENDS MaxBackends
#endif
#if PG_VERSION_NUM >= 170000
#define ACTOR_MY_PROC_NUMBER MyProcNumber
#else
#define ACTOR_MY_PROC_NUMBER MyProc->pgprocno
#endif

/*
 * 17 can be asked for stronger locks, too.
 */
#if PG_VERSION_NUM >= 170000
#define actor_lock_held_by_me(tag, mode) LockHeldByMe((tag), (mode), false)
#else
#define actor_lock_held_by_me(tag, mode) LockHeldByMe((tag), (mode))
#endif

/*
 * 15 tells the timeline, too.
 */
#if PG_VERSION_NUM >= 150000
#define actor_flushed_up_to() GetFlushRecPtr(NULL)
#else
#define actor_flushed_up_to() GetFlushRecPtr()
#endif

/*
 * 17 has wait events with names.
 */
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 170000
#define ACTOR_WAIT_EVENT(name) WaitEventExtensionNew(name)
#else
#define ACTOR_WAIT_EVENT(name) PG_WAIT_EXTENSION
#endif

/*
 * 18 checks that a snapshot that is used is active or registered.
 */
#define ACTOR_SNAPSHOTS_ARE_CHECKED (PG_VERSION_NUM >= 180000)

/*
 * The connection limit of a database that was left half dropped; minor releases
 * have given it a name.
 */
#define ACTOR_DATABASE_INVALID	(-2)

#endif							/* ACTOR_COMPAT_H */
