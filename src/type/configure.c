/*-------------------------------------------------------------------------
 *
 * configure.c
 *		actor_configure: registering all types of a Dapr host configuration.
 *
 * The document has the types in "entities", options of all of them at its top
 * level, and options of some of them in "entitiesConfig".  A type's options
 * are those of the top level with what its own entry names put over them; what
 * neither names follows the setting.
 *
 * IDENTIFICATION
 *		src/type/configure.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/base.h"
#include "time/time.h"
#include "type/type.h"

PG_FUNCTION_INFO_V1(actor_configure);

#define OPTION_MEMBERS \
	"actorIdleTimeout", "actorScanInterval", "drainOngoingCallTimeout", \
	"drainRebalancedActors", "drainBalancedActors", "reentrancy", \
	"remindersStoragePartitions"

static const ActorDocument host_document = {"host configuration", NULL};

static const char *const top_members[] =
{"entities", OPTION_MEMBERS, "entitiesConfig", NULL};
static const char *const entry_members[] =
{"entities", OPTION_MEMBERS, NULL};
static const char *const reentrancy_members[] =
{"enabled", "maxStackDepth", NULL};

/* a type of the document */
typedef struct Entity
{
	char	   *name;
	ActorTypeOptions options;
	bool		has_entry;		/* in entitiesConfig */
} Entity;

/* options --------------------------------------------------------------- */

/*
 * A duration; the empty string, which Go programs write for one that is not
 * set, is absent.
 */
static void
read_interval(JsonbContainer *object, const char *path, const char *name, bool zero_allowed,
			  Interval **option)
{
	JsonbValue *value = actor_document_member(object, name);
	char	   *member_path = actor_document_path(path, name);
	char	   *string;

	if (value == NULL)
		return;
	string = actor_document_string(&host_document, value, member_path);
	if (string[0] == '\0')
		return;
	*option = palloc(sizeof(Interval));
	actor_parse_duration(string, member_path, *option);
	if (!zero_allowed && (*option)->month == 0 && (*option)->day == 0 && (*option)->time == 0)
		actor_document_refuse(&host_document, member_path, "is not longer than zero");
}

static void
read_boolean(JsonbContainer *object, const char *path, const char *name, bool **option)
{
	JsonbValue *value = actor_document_member(object, name);

	if (value == NULL)
		return;
	*option = palloc(sizeof(bool));
	**option = actor_document_boolean(&host_document, value,
									  actor_document_path(path, name));
}

static void
read_integer(JsonbContainer *object, const char *path, const char *name, int32 min,
			 int32 **option)
{
	JsonbValue *value = actor_document_member(object, name);

	if (value == NULL)
		return;
	*option = palloc(sizeof(int32));
	**option = actor_document_integer(&host_document, value,
									  actor_document_path(path, name), min);
}

/*
 * Puts the options that an object names over those that are there.
 */
static void
read_options(JsonbContainer *object, const char *path, ActorTypeOptions *options)
{
	JsonbValue *reentrancy = actor_document_member(object, "reentrancy");

	read_interval(object, path, "actorIdleTimeout", false, &options->idle_timeout);
	read_interval(object, path, "actorScanInterval", false, &options->scan_interval);
	read_interval(object, path, "drainOngoingCallTimeout", true,
				  &options->drain_ongoing_call_timeout);
	/* the SDK for Java calls it so; the other name counts if both are there */
	read_boolean(object, path, "drainBalancedActors", &options->drain_rebalanced_actors);
	read_boolean(object, path, "drainRebalancedActors", &options->drain_rebalanced_actors);
	read_integer(object, path, "remindersStoragePartitions", 0,
				 &options->reminders_storage_partitions);
	if (reentrancy != NULL)
	{
		char	   *reentrancy_path = actor_document_path(path, "reentrancy");
		JsonbContainer *members = actor_document_object(&host_document, reentrancy,
														reentrancy_path);

		actor_document_check_members(&host_document, members, reentrancy_path,
									 reentrancy_members);
		read_boolean(members, reentrancy_path, "enabled", &options->reentrancy);
		read_integer(members, reentrancy_path, "maxStackDepth", 1,
					 &options->max_stack_depth);
	}
}

/* entities -------------------------------------------------------------- */

static Entity *
find_entity(List *entities, const char *name)
{
	ListCell   *cell;

	foreach(cell, entities)
	{
		Entity	   *entity = lfirst(cell);

		if (strcmp(entity->name, name) == 0)
			return entity;
	}
	return NULL;
}

static int
compare_entities(const ListCell *a, const ListCell *b)
{
	return strcmp(((Entity *) lfirst(a))->name, ((Entity *) lfirst(b))->name);
}

/*
 * The array of names in member "entities" of an object, and how many there are.
 * Null, which Go programs write for an empty list, has none.
 */
static JsonbContainer *
entities_array(JsonbContainer *object, const char *path, int *count)
{
	JsonbValue *member = getKeyJsonValueFromContainer(object, "entities",
													  strlen("entities"), NULL);
	JsonbContainer *array;

	*count = 0;
	if (member == NULL)
		actor_document_refuse(&host_document, path, "is missing");
	if (member->type == jbvNull)
		return NULL;
	array = actor_document_array(&host_document, member, path);
	*count = JsonContainerSize(array);
	return array;
}

static List *
read_entities(JsonbContainer *object)
{
	int			count;
	JsonbContainer *array = entities_array(object, "entities", &count);
	List	   *entities = NIL;

	for (int i = 0; i < count; i++)
	{
		char	   *path = psprintf("entities[%d]", i);
		Entity	   *entity = palloc0(sizeof(Entity));

		entity->name = actor_document_string(&host_document,
											 getIthJsonbValueFromContainer(array, i), path);
		if (find_entity(entities, entity->name) != NULL)
			actor_document_refuse(&host_document, path, "is there twice");
		entities = lappend(entities, entity);
	}
	return entities;
}

/*
 * Reads one element of entitiesConfig.
 */
static void
read_entry(JsonbValue *value, const char *path, List *entities)
{
	JsonbContainer *object = actor_document_object(&host_document, value, path);
	char	   *entities_path = actor_document_path(path, "entities");
	JsonbContainer *array;
	int			count;

	actor_document_check_members(&host_document, object, path, entry_members);
	array = entities_array(object, entities_path, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *name_path = psprintf("%s[%d]", entities_path, i);
		char	   *name = actor_document_string(&host_document,
												 getIthJsonbValueFromContainer(array, i),
												 name_path);
		Entity	   *entity = find_entity(entities, name);

		if (entity == NULL)
			actor_document_refuse(&host_document, name_path,
								  "is not in \"entities\" of the document");
		if (entity->has_entry)
			actor_document_refuse(&host_document, name_path, "has an entry already");
		entity->has_entry = true;
		read_options(object, path, &entity->options);
	}
}

/*
 * Makes the schema of a hosted type, as the current user, unless it is there: an
 * application need not have functions in it.
 */
static void
make_schema(const NameData *name)
{
	if (OidIsValid(get_namespace_oid(NameStr(*name), true)))
		return;
	PreventCommandIfReadOnly("actor_configure()");
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute(psprintf("CREATE SCHEMA %s", quote_identifier(NameStr(*name))),
					false, 0) != SPI_OK_UTILITY)
		elog(ERROR, "could not make a schema");
	SPI_finish();
}

Datum
actor_configure(PG_FUNCTION_ARGS)
{
	ActorTypeOptions defaults;
	JsonbValue	document;
	JsonbContainer *object;
	JsonbValue *entries;
	List	   *entities;
	bool		hosted;
	ListCell   *cell;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("document must not be null")));
	actor_jsonb_scalar(PG_GETARG_JSONB_P(0), &document);
	object = actor_document_object(&host_document, &document, "");
	actor_document_check_members(&host_document, object, "", top_members);

	memset(&defaults, 0, sizeof(defaults));
	read_options(object, "", &defaults);
	entities = read_entities(object);
	hosted = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	defaults.hosted = &hosted;
	defaults.turn = PG_ARGISNULL(2) ? NULL : PG_GETARG_TEXT_PP(2);
	foreach(cell, entities)
		((Entity *) lfirst(cell))->options = defaults;

	entries = actor_document_member(object, "entitiesConfig");
	if (entries != NULL)
	{
		JsonbContainer *array = actor_document_array(&host_document, entries,
													 "entitiesConfig");

		for (int i = 0; i < JsonContainerSize(array); i++)
			read_entry(getIthJsonbValueFromContainer(array, i),
					   psprintf("entitiesConfig[%d]", i), entities);
	}

	/* two who configure the same types must not wait for each other */
	list_sort(entities, compare_entities);
	foreach(cell, entities)
	{
		Entity	   *entity = lfirst(cell);
		text	   *type = cstring_to_text(entity->name);
		NameData	schema_name;

		actor_check_text(type, false, "actor type", ACTOR_MAX_TYPE_LEN);
		actor_type_schema(type, &schema_name);
		if (hosted)
		{
			make_schema(&schema_name);
			/* hosts configure their types each time they start */
			actor_type_keep_options(type, &entity->options);
		}
		actor_type_register(type, &schema_name, &entity->options);
	}
	PG_RETURN_VOID();
}
