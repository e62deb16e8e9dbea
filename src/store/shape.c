/*-------------------------------------------------------------------------
 *
 * shape.c
 *		What the columns of the extension's tables must be.
 *
 * A superuser may alter our tables, and much of that does no harm: columns,
 * indexes, checks and triggers of his own are respected.  But values are taken
 * for what their types were, by direct.c as well as in results of statements,
 * and a value of another type is read as an address, say.  So, whenever one of
 * the tables has changed, types and NOT NULL of its columns are looked at.
 *
 * direct.c is strict: it wants columns in their places, with exactly their
 * types, and the primary key as it was.  If they are not it is done by SQL,
 * which finds columns by name and converts what can be converted.  For that it
 * suffices that a type has the same bytes, as a domain or varchar has; otherwise
 * nothing at all is done, and an error says why.
 *
 * IDENTIFICATION
 *		src/store/shape.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "catalog/pg_am_d.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type_d.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/base.h"
#include "base/compat.h"
#include "time/time.h"
#include "store/internal.h"
#include "store/store.h"

typedef struct ShapeColumn
{
	const char *name;
	Oid			type;
	bool		notnull;
} ShapeColumn;

/* as actor--*.sql creates them, which a test compares */
static const ShapeColumn type_columns[] = {
	{"actor_type", TEXTOID, true},
	{"schema_name", NAMEOID, true},
	{"owner_name", NAMEOID, true},
	{"idle_timeout", INTERVALOID, false},
	{"scan_interval", INTERVALOID, false},
	{"reentrancy", BOOLOID, false},
	{"max_stack_depth", INT4OID, false},
	{"call_timeout", INTERVALOID, false},
	{"drain_ongoing_call_timeout", INTERVALOID, false},
	{"drain_rebalanced_actors", BOOLOID, false},
	{"reminders_storage_partitions", INT4OID, false},
	{"early_release", BOOLOID, false},
	{"hosted", BOOLOID, true},
	{"turn", TEXTOID, false},
	{"history", TEXTOID, false},
	{"history_retention", INTERVALOID, false},
	{"history_since", TIMESTAMPTZOID, false},
	{"schema_oid", OIDOID, true},
	{"system_identifier", INT8OID, true}
};

static const ShapeColumn role_columns[] = {
	{"role_name", NAMEOID, true},
	{"entry", INT8OID, true},
	{"role_oid", OIDOID, true},
	{"system_identifier", INT8OID, true}
};

static const ShapeColumn secret_columns[] = {
	{"only_row", BOOLOID, true},
	{"hash_key", BYTEAOID, true},
	{"host_key", BYTEAOID, true}
};

static const ShapeColumn state_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"key", TEXTOID, true},
	{"value", JSONBOID, true},
	{"updated_at", TIMESTAMPTZOID, true},
	{"expires_at", TIMESTAMPTZOID, false}
};

static const ShapeColumn activation_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"server_start", TIMESTAMPTZOID, true},
	{"activated_at", TIMESTAMPTZOID, true},
	{"last_used_at", TIMESTAMPTZOID, true},
	{"reentrancy_id", UUIDOID, false},
	{"turn_expires_at", TIMESTAMPTZOID, false}
};

static const ShapeColumn reminder_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"name", TEXTOID, true},
	{"method", TEXTOID, true},
	{"data", JSONBOID, false},
	{"due_time", TEXTOID, false},
	{"period", TEXTOID, false},
	{"ttl", TEXTOID, false},
	{"catch_up", TEXTOID, true},
	{"failure_policy", JSONBOID, false},
	{"role_name", NAMEOID, true},
	{"generation", INT8OID, true},
	{"registered_at", TIMESTAMPTZOID, true},
	{"first_at", TIMESTAMPTZOID, true},
	{"step", INTERVALOID, false},
	{"firings", INT4OID, true},
	{"time_zone", TEXTOID, true},
	{"expires_at", TIMESTAMPTZOID, false},
	{"firing", INT8OID, true},
	{"scheduled_at", TIMESTAMPTZOID, true},
	{"next_try_at", TIMESTAMPTZOID, true},
	{"remaining", INT8OID, false},
	{"attempt", INT4OID, true},
	{"deferrals", INT4OID, true},
	{"last_error", TEXTOID, false},
	{"retry_of", TEXTOID, false},
	{"traceparent", TEXTOID, false},
	{"fired", INT8OID, true},
	{"last_fired_at", TIMESTAMPTZOID, false},
	{"last_ok_at", TIMESTAMPTZOID, false},
	{"last_ms", FLOAT8OID, false},
	{"hosted", BOOLOID, true},
	{"settings", JSONBOID, false}
};

static const ShapeColumn message_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"message_id", INT8OID, true},
	{"method", TEXTOID, true},
	{"payload", JSONBOID, false},
	{"due_at", TIMESTAMPTZOID, true},
	{"next_try_at", TIMESTAMPTZOID, true},
	{"queued", BOOLOID, true},
	{"attempt", INT4OID, true},
	{"deferrals", INT4OID, true},
	{"role_name", NAMEOID, true},
	{"sent_at", TIMESTAMPTZOID, true},
	{"last_error", TEXTOID, false},
	{"traceparent", TEXTOID, false},
	{"failure_policy", JSONBOID, false},
	{"hosted", BOOLOID, true},
	{"request_id", TEXTOID, false},
	{"settings", JSONBOID, false}
};

static const ShapeColumn request_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"request_id", TEXTOID, true},
	{"method", TEXTOID, true},
	{"payload_hash", BYTEAOID, true},
	{"role_name", NAMEOID, true},
	{"result", JSONBOID, false},
	{"message_id", INT8OID, false},
	{"created_at", TIMESTAMPTZOID, true},
	{"status", INT4OID, false},
	{"content_type", TEXTOID, false},
	{"headers", JSONBOID, false},
	{"body", BYTEAOID, false},
	{"state", TEXTOID, true},
	{"error", JSONBOID, false},
	{"finished_at", TIMESTAMPTZOID, false}
};

static const ShapeColumn promise_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"token", UUIDOID, true},
	{"method", TEXTOID, true},
	{"data", JSONBOID, false},
	{"role_name", NAMEOID, true},
	{"created_at", TIMESTAMPTZOID, true},
	{"expires_at", TIMESTAMPTZOID, false},
	{"traceparent", TEXTOID, false},
	{"settings", JSONBOID, false}
};

static const ShapeColumn each_columns[] = {
	{"actor_type", TEXTOID, true},
	{"each_id", UUIDOID, true},
	{"method", TEXTOID, true},
	{"payload", JSONBOID, false},
	{"batch", INT4OID, true},
	{"role_name", NAMEOID, true},
	{"started_at", TIMESTAMPTZOID, true},
	{"traceparent", TEXTOID, false},
	{"settings", JSONBOID, false},
	{"sent", INT8OID, true},
	{"last_id", TEXTOID, false},
	{"moved_at", TIMESTAMPTZOID, false},
	{"finished_at", TIMESTAMPTZOID, false}
};

static const ShapeColumn timer_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"name", TEXTOID, true},
	{"method", TEXTOID, true},
	{"data", JSONBOID, false},
	{"due_time", TEXTOID, false},
	{"period", TEXTOID, false},
	{"ttl", TEXTOID, false},
	{"role_name", NAMEOID, true},
	{"generation", INT8OID, true},
	{"registered_at", TIMESTAMPTZOID, true},
	{"first_at", TIMESTAMPTZOID, true},
	{"step", INTERVALOID, false},
	{"firings", INT4OID, true},
	{"time_zone", TEXTOID, true},
	{"expires_at", TIMESTAMPTZOID, false},
	{"firing", INT8OID, true},
	{"scheduled_at", TIMESTAMPTZOID, true},
	{"next_try_at", TIMESTAMPTZOID, true},
	{"remaining", INT8OID, false},
	{"attempt", INT4OID, true},
	{"deferrals", INT4OID, true},
	{"last_error", TEXTOID, false},
	{"traceparent", TEXTOID, false},
	{"hosted", BOOLOID, true},
	{"settings", JSONBOID, false}
};

static const ShapeColumn pause_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"paused_at", TIMESTAMPTZOID, true},
	{"role_name", NAMEOID, true}
};

static const ShapeColumn failure_columns[] = {
	{"failure_id", INT8OID, true},
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"kind", TEXTOID, true},
	{"name", TEXTOID, true},
	{"method", TEXTOID, true},
	{"payload", JSONBOID, false},
	{"scheduled_at", TIMESTAMPTZOID, true},
	{"failed_at", TIMESTAMPTZOID, true},
	{"attempts", INT4OID, true},
	{"sqlstate", TEXTOID, true},
	{"message", TEXTOID, true},
	{"detail", TEXTOID, false},
	{"context", TEXTOID, false},
	{"role_name", NAMEOID, true},
	{"traceparent", TEXTOID, false},
	{"settings", JSONBOID, false}
};

static const ShapeColumn host_columns[] = {
	{"host_id", UUIDOID, true},
	{"app_id", TEXTOID, true},
	{"app_address", TEXTOID, true},
	{"address", TEXTOID, true},
	{"role_name", NAMEOID, true},
	{"actor_types", TEXTARRAYOID, true},
	{"reachable", BOOLOID, true},
	{"since", TIMESTAMPTZOID, true},
	{"gone_at", TIMESTAMPTZOID, false}
};

static const ShapeColumn placement_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"host_id", UUIDOID, true},
	{"token", UUIDOID, true},
	{"entered", BOOLOID, true},
	{"placed_at", TIMESTAMPTZOID, true}
};

static const ShapeColumn leftover_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"host_id", UUIDOID, true}
};

static const ShapeColumn history_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"history_id", INT8OID, true},
	{"kind", TEXTOID, true},
	{"name", TEXTOID, false},
	{"method", TEXTOID, false},
	{"attempt", INT4OID, false},
	{"ran_as", NAMEOID, true},
	{"started_at", TIMESTAMPTZOID, true},
	{"duration_ms", FLOAT8OID, true},
	{"sqlstate", TEXTOID, false},
	{"message", TEXTOID, false},
	{"traceparent", TEXTOID, false},
	{"expires_at", TIMESTAMPTZOID, true}
};

static const ShapeColumn history_change_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"history_id", INT8OID, true},
	{"change_id", INT8OID, true},
	{"turn", INT8OID, true},
	{"key", TEXTOID, true},
	{"old_value", JSONBOID, false},
	{"old_expires_at", TIMESTAMPTZOID, false},
	{"new_value", JSONBOID, false},
	{"new_expires_at", TIMESTAMPTZOID, false},
	{"changed_at", TIMESTAMPTZOID, true}
};

static const ShapeColumn topic_columns[] = {
	{"actor_type", TEXTOID, true},
	{"topic", TEXTOID, true},
	{"retention", INTERVALOID, true}
};

static const ShapeColumn stream_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"topic", TEXTOID, true},
	{"last_event", INT8OID, true}
};

static const ShapeColumn event_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"topic", TEXTOID, true},
	{"event_id", INT8OID, true},
	{"payload", JSONBOID, false},
	{"published_at", TIMESTAMPTZOID, true},
	{"expires_at", TIMESTAMPTZOID, true}
};

static const ShapeColumn subscription_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"topic_type", TEXTOID, true},
	{"topic_id", TEXTOID, true},
	{"topic", TEXTOID, true},
	{"subscription_id", INT8OID, true},
	{"method", TEXTOID, true},
	{"failure_policy", JSONBOID, false},
	{"role_name", NAMEOID, true},
	{"subscribed_at", TIMESTAMPTZOID, true}
};

static const ShapeColumn fan_out_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"topic", TEXTOID, true},
	{"fan_out_id", INT8OID, true},
	{"payload", JSONBOID, false},
	{"published_at", TIMESTAMPTZOID, true},
	{"done_to", INT8OID, true},
	{"traceparent", TEXTOID, false},
	{"settings", JSONBOID, false}
};

static const ShapeColumn outbox_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"message_id", INT8OID, true},
	{"receiver_type", TEXTOID, true},
	{"receiver_id", TEXTOID, true},
	{"method", TEXTOID, true},
	{"payload", JSONBOID, false},
	{"due_at", TIMESTAMPTZOID, true},
	{"role_name", NAMEOID, true},
	{"sent_at", TIMESTAMPTZOID, true},
	{"traceparent", TEXTOID, false},
	{"failure_policy", JSONBOID, false},
	{"settings", JSONBOID, false}
};

static const ShapeColumn forwarded_columns[] = {
	{"actor_type", TEXTOID, true},
	{"actor_id", TEXTOID, true},
	{"message_id", INT8OID, true},
	{"forwarded_at", TIMESTAMPTZOID, true}
};

typedef struct Shape
{
	const char *table;
	const ShapeColumn *columns;
	int			ncolumns;
	Oid			oid;			/* of the table as it was last looked at */
} Shape;

#define SHAPE(table) {#table, table##_columns, lengthof(table##_columns), InvalidOid}

static Shape shapes[] = {
	SHAPE(type),
	SHAPE(role),
	SHAPE(secret),
	SHAPE(state),
	SHAPE(activation),
	SHAPE(reminder),
	SHAPE(message),
	SHAPE(outbox),
	SHAPE(forwarded),
	SHAPE(request),
	SHAPE(promise),
	SHAPE(each),
	SHAPE(timer),
	SHAPE(pause),
	SHAPE(failure),
	SHAPE(host),
	SHAPE(placement),
	SHAPE(leftover),
	SHAPE(history),
	SHAPE(history_change),
	SHAPE(topic),
	SHAPE(stream),
	SHAPE(event),
	SHAPE(subscription),
	SHAPE(fan_out)
};

/* whether no table has changed since all were found to be usable */
bool		actor_shapes_checked = false;

/* grows with each change of a table */
static uint64 shape_generation = 1;

/*
 * actor_shape_changed
 *		A table has changed, or all of them, which is news if it is one of ours.
 */
void
actor_shape_changed(Oid relation)
{
	bool		ours = !OidIsValid(relation);

	for (int i = 0; !ours && i < lengthof(shapes); i++)
		ours = relation == shapes[i].oid;
	if (!ours)
		return;
	actor_shapes_checked = false;
	shape_generation++;
}

/*
 * actor_shape_generation
 *		What was found out about a table under another generation must be found
 *		out again.
 */
uint64
actor_shape_generation(void)
{
	return shape_generation;
}

/* for SQL --------------------------------------------------------------- */

/*
 * What is wrong with a column, as a sentence; NULL if nothing is.
 */
static char *
column_fault(const ShapeColumn *column, Form_pg_attribute attribute)
{
	if (!IsBinaryCoercible(getBaseType(attribute->atttypid), column->type))
		return psprintf("Column \"%s\" has type %s instead of %s.", column->name,
						format_type_be(attribute->atttypid), format_type_be(column->type));
	if (column->notnull && !attribute->attnotnull)
		return psprintf("Column \"%s\" may be null.", column->name);
	return NULL;
}

/*
 * What is wrong with the owner of a table.  All are read and written as the owner of
 * actor.type: the policies of one that belongs to somebody else would be asked,
 * which read tables again, and so on without end.
 */
static char *
owner_fault(Oid relation, Oid *owner)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			other;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	other = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	if (!OidIsValid(*owner))
		*owner = other;
	if (other == *owner)
		return NULL;
	return psprintf("It belongs to role \"%s\", but table \"%s\" to role \"%s\".",
					GetUserNameFromId(other, true), "actor.type",
					GetUserNameFromId(*owner, true));
}

/*
 * Looks at all columns of a table; what is missing is for statements to say.
 */
static char *
table_fault(const Shape *shape)
{
	char	   *fault = NULL;

	for (int i = 0; fault == NULL && i < shape->ncolumns; i++)
	{
		HeapTuple	tuple = SearchSysCacheAttName(shape->oid, shape->columns[i].name);

		if (!HeapTupleIsValid(tuple))
			continue;
		fault = column_fault(&shape->columns[i], (Form_pg_attribute) GETSTRUCT(tuple));
		ReleaseSysCache(tuple);
	}
	return fault;
}

/*
 * actor_shapes_check
 *		Whether all values in our tables can be read for what they should be, and by
 *		whom they should be; if not, says so at that level.
 */
bool
actor_shapes_check(int elevel)
{
	uint64		generation = shape_generation;
	bool		complete = true;
	Oid			owner = InvalidOid;

	if (actor_shapes_checked)
		return true;
	for (int i = 0; i < lengthof(shapes); i++)
	{
		Shape	   *shape = &shapes[i];
		char	   *fault;

		shape->oid = actor_catalog_relation(shape->table);
		complete = complete && OidIsValid(shape->oid);
		fault = OidIsValid(shape->oid) ? owner_fault(shape->oid, &owner) : NULL;
		if (fault == NULL && OidIsValid(shape->oid))
			fault = table_fault(shape);
		if (fault == NULL)
			continue;
		ereport(elevel,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s.%s\" is not as the extension has made it", "actor", shape->table),
				 errdetail_internal("%s", fault),
				 errhint("Undo that with ALTER TABLE."),
				 errhidestmt(true)));
		return false;
	}
	/* what is looked up may itself bring news */
	actor_shapes_checked = complete && generation == shape_generation;
	return true;
}

/*
 * actor_shape_distributed
 *		The first of our tables that is distributed over several servers, or NULL.
 */
const char *
actor_shape_distributed(void)
{
	static uint64 generation = 0;
	static const char *found;
	uint64		current = shape_generation;

	if (generation == current)
		return found;
	found = NULL;
	for (int i = 0; found == NULL && i < lengthof(shapes); i++)
		if (actor_is_distributed(actor_catalog_relation(shapes[i].table)))
			found = shapes[i].table;
	generation = current;
	return found;
}

/* for direct access ----------------------------------------------------- */

static Shape *
find_shape(const char *table)
{
	for (int i = 0; i < lengthof(shapes); i++)
		if (strcmp(shapes[i].table, table) == 0)
			return &shapes[i];
	elog(ERROR, "unknown table \"%s\"", table);
}

/*
 * Whether the first columns are what they were made as.  Texts of the key have
 * the collation "C", for which equal is what has the same bytes.
 */
static bool
has_columns(Relation relation, const Shape *shape, int nkeys)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);

	if (tupdesc->natts < shape->ncolumns)
		return false;
	for (int i = 0; i < shape->ncolumns; i++)
	{
		const ShapeColumn *column = &shape->columns[i];
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		if (attribute->attisdropped || strcmp(NameStr(attribute->attname), column->name) != 0 ||
			attribute->atttypid != column->type || attribute->atttypmod != -1 ||
			(column->notnull && !attribute->attnotnull) ||
			(i < nkeys && column->type == TEXTOID && attribute->attcollation != C_COLLATION_OID))
			return false;
	}
	return true;
}

/*
 * Whether a column of an index is that one of the table, which is a text, a name, a
 * number or an instant, and is compared as it was made to be.
 */
static bool
compares_column(Relation index, int i, int column, Oid type)
{
	bool		is_text = type == TEXTOID || type == NAMEOID;

	return index->rd_index->indkey.values[i] == column && index->rd_indoption[i] == 0 &&
		index->rd_opfamily[i] ==
		(is_text ? TEXT_BTREE_FAM_OID :
		 get_opclass_family(GetDefaultOpClass(type, BTREE_AM_OID))) &&
		index->rd_indcollation[i] == (is_text ? C_COLLATION_OID : InvalidOid);
}

/*
 * Whether the primary key is on the first columns, in order.
 */
static bool
has_primary_key(Relation relation, const Shape *shape, int nkeys)
{
	Oid			oid = actor_primary_key_index(relation);
	Relation	index;
	bool		result;

	if (!OidIsValid(oid))
		return false;
	index = index_open(oid, AccessShareLock);
	result = index->rd_rel->relam == BTREE_AM_OID &&
		IndexRelationGetNumberOfKeyAttributes(index) == nkeys;
	for (int i = 0; result && i < nkeys; i++)
		result = compares_column(index, i, i + 1, shape->columns[i].type);
	/* who uses it takes a lock that stays */
	index_close(index, AccessShareLock);
	return result;
}

/*
 * actor_shape_matches
 *		Whether a table, which is locked, has the columns of one of ours in their
 *		places, and the primary key on so many of the first ones.
 */
bool
actor_shape_matches(Relation relation, const char *table, int nkeys)
{
	Shape	   *shape = find_shape(table);

	return has_columns(relation, shape, nkeys) && has_primary_key(relation, shape, nkeys);
}

/*
 * actor_shape_fits
 *		The same for that table of ours itself, whose changes are noticed from then on.
 */
bool
actor_shape_fits(Relation relation, const char *table, int nkeys)
{
	find_shape(table)->oid = RelationGetRelid(relation);
	return actor_shape_matches(relation, table, nkeys);
}

/*
 * Whether an index has the rows for which a column is true, or those for which it is
 * false; all of them if the column is 0.
 */
static bool
has_condition(Relation index, int column, bool holds)
{
	List	   *predicate = RelationGetIndexPredicate(index);
	Node	   *clause;

	if (column == 0)
		return predicate == NIL;
	if (list_length(predicate) != 1)
		return false;
	clause = linitial(predicate);
	if (!holds)
	{
		if (!IsA(clause, BoolExpr) || ((BoolExpr *) clause)->boolop != NOT_EXPR)
			return false;
		clause = linitial(((BoolExpr *) clause)->args);
	}
	return IsA(clause, Var) && ((Var *) clause)->varattno == column;
}

/*
 * actor_shape_order
 *		The index of a table of ours, which is locked and has its columns in their
 *		places, on so many of these columns, of the rows for which a boolean column,
 *		if one is given, is that; invalid if there is none.
 */
Oid
actor_shape_order(Relation relation, const int *columns, int ncolumns, int condition, bool holds)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	Oid			result = InvalidOid;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(relation))
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		bool		fits = index->rd_rel->relam == BTREE_AM_OID && index->rd_index->indisvalid &&
		IndexRelationGetNumberOfKeyAttributes(index) == ncolumns;

		for (int i = 0; fits && i < ncolumns; i++)
			fits = compares_column(index, i, columns[i],
								   TupleDescAttr(tupdesc, columns[i] - 1)->atttypid);
		if (fits && has_condition(index, condition, holds))
			result = RelationGetRelid(index);
		index_close(index, AccessShareLock);
	}
	return result;
}
