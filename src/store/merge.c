/*-------------------------------------------------------------------------
 *
 * merge.c
 *		Reading the rows of a role from several tables in the order of an instant,
 *		without SQL; see direct.c and walk.c.
 *
 * The statement for that is a UNION ALL, whose plan is a dozen nodes to set up,
 * and which sorts what has come from indexes in order.  Here each table is read by
 * its index, on one snapshot, only as far as its rows are wanted.  What a row of the
 * index leads to that nobody can see any more is marked there, as an index scan does.
 *
 * Rows of one instant come in the order of their numbers as far as the indexes have
 * those; whoever minds sorts them.
 *
 * IDENTIFICATION
 *		src/store/merge.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/stratnum.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/base.h"
#include "base/compat.h"
#include "store/internal.h"

/*
 * Opens a table and its index; false, and nothing is open, if it takes a statement.
 */
static bool
open_input(ActorMergeInput *input, ActorSource *source)
{
	input->relation = actor_direct_open(&source->table, AccessShareLock);
	if (input->relation == NULL)
		return false;
	input->index = actor_order_open(input->relation, &source->order);
	if (input->index != NULL)
		return true;
	relation_close(input->relation, NoLock);
	return false;
}

static void
close_inputs(ActorMerge *merge)
{
	for (int i = 0; i < merge->ninputs; i++)
	{
		index_close(merge->inputs[i].index, NoLock);
		relation_close(merge->inputs[i].relation, NoLock);
	}
}

/*
 * Goes on to the next row of a table.
 */
static void
read_next(ActorMergeInput *input, const ActorSource *source)
{
	ItemPointer tid;
	bool		isnull;

	do
	{
		CHECK_FOR_INTERRUPTS();
		tid = index_getnext_tid(input->scan, ForwardScanDirection);
		if (tid == NULL)
		{
			ExecClearTuple(input->slot);
			return;
		}
		/* the fetch goes on from there */
		input->chain = *tid;
	} while (!index_fetch_heap(input->scan, input->slot));
	input->number = DatumGetInt64(slot_getattr(input->slot, source->number, &isnull));
	input->at = DatumGetTimestampTz(slot_getattr(input->slot, source->order.column, &isnull));
}

/*
 * Begins to read a table, on the active snapshot.
 */
static void
start_input(ActorMergeInput *input, const ActorSource *source, const NameData *role,
			TimestampTz from, TimestampTz until)
{
	ScanKeyData keys[3];

	ScanKeyInit(&keys[0], 1, BTEqualStrategyNumber, F_NAMEEQ, NameGetDatum(role));
	ScanKeyInit(&keys[1], 2, BTGreaterEqualStrategyNumber, F_TIMESTAMPTZ_GE,
				TimestampTzGetDatum(from));
	ScanKeyInit(&keys[2], 2, BTLessEqualStrategyNumber, F_TIMESTAMPTZ_LE,
				TimestampTzGetDatum(until));
	input->slot = table_slot_create(input->relation, NULL);
	input->scan = actor_index_beginscan(input->relation, input->index, GetActiveSnapshot(),
										lengthof(keys));
	index_rescan(input->scan, keys, lengthof(keys), NULL, 0);
	read_next(input, source);
}

/*
 * actor_merge_begin
 *		Begins to read the rows of a role in a range of time; false, and nothing is
 *		done, if it takes a statement to do that.
 *
 * Locks the tables as a statement does.  What is allocated is in the current memory
 * context, until actor_merge_end.  Until then no user code may run.
 */
bool
actor_merge_begin(ActorMerge *merge, ActorSource *sources, int count, const NameData *role,
				  TimestampTz from, TimestampTz until)
{
	Assert(count <= ACTOR_MERGE_MAX);
	actor_catalog_require();
	merge->sources = sources;
	merge->current = -1;
	for (merge->ninputs = 0; merge->ninputs < count; merge->ninputs++)
		if (!open_input(&merge->inputs[merge->ninputs], &sources[merge->ninputs]))
		{
			close_inputs(merge);
			return false;
		}

	/* as SPI does before a statement */
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	for (int i = 0; i < count; i++)
		start_input(&merge->inputs[i], &sources[i], role, from, until);
	return true;
}

static bool
comes_before(const ActorMergeInput *a, const ActorMergeInput *b)
{
	return a->at != b->at ? a->at < b->at : a->number < b->number;
}

/*
 * actor_merge_next
 *		The table whose row is the next one, which its slot has until the next call;
 *		NULL if there is no more.
 */
ActorMergeInput *
actor_merge_next(ActorMerge *merge)
{
	ActorMergeInput *result = NULL;

	/* only now, since this one may have been the last that was wanted */
	if (merge->current >= 0)
		read_next(&merge->inputs[merge->current], &merge->sources[merge->current]);
	/* a scan that has come to its end must not be asked again */
	merge->current = -1;
	for (int i = 0; i < merge->ninputs; i++)
	{
		ActorMergeInput *input = &merge->inputs[i];

		if (!TTS_EMPTY(input->slot) && (result == NULL || comes_before(input, result)))
		{
			result = input;
			merge->current = i;
		}
	}
	return result;
}

/*
 * actor_merge_note
 *		Remembers where a row with a primary key of texts is, since it is likely to be
 *		looked for by that soon.
 */
void
actor_merge_note(ActorMergeInput *row, const Datum *key, int nkeys)
{
	actor_location_note(row->relation, key, nkeys, &row->chain, row->slot);
}

/*
 * actor_merge_end
 *		Ends it, and closes the tables, whose locks stay.
 */
void
actor_merge_end(ActorMerge *merge)
{
	for (int i = 0; i < merge->ninputs; i++)
	{
		index_endscan(merge->inputs[i].scan);
		ExecDropSingleTupleTableSlot(merge->inputs[i].slot);
	}
	PopActiveSnapshot();
	close_inputs(merge);
}
