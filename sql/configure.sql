-- actor_configure: Dapr host configurations
CREATE SCHEMA conf_a;
CREATE SCHEMA conf_b;
CREATE SCHEMA conf_elsewhere;
REVOKE ALL ON SCHEMA conf_a, conf_b, conf_elsewhere FROM PUBLIC;

CREATE VIEW conf_types AS
    SELECT actor_type, schema_name, idle_timeout AS idle, scan_interval AS scan,
           reentrancy AS reent, max_stack_depth AS depth,
           drain_ongoing_call_timeout AS drain, drain_rebalanced_actors AS rebal,
           reminders_storage_partitions AS parts
      FROM actor.type WHERE actor_type ~ '^conf_' ORDER BY 1;

-- the smallest document
SELECT actor_configure('{"entities": ["conf_a"]}');
SELECT * FROM conf_types;

-- everything, with an entry that overrides only what it names
SELECT actor_configure('{
    "entities": ["conf_a", "conf_b"],
    "actorIdleTimeout": "1h",
    "actorScanInterval": "30s",
    "drainOngoingCallTimeout": "1m",
    "drainRebalancedActors": true,
    "reentrancy": {"enabled": true, "maxStackDepth": 16},
    "remindersStoragePartitions": 7,
    "entitiesConfig": [
        {"entities": ["conf_b"], "actorIdleTimeout": "PT10M",
         "reentrancy": {"enabled": false}}
    ]
}');
SELECT * FROM conf_types;

-- a second document replaces the whole configuration; a schema that was
-- chosen at registration stays
SELECT actor_register('conf_b', 'conf_elsewhere', reentrancy => true);
SELECT actor_configure('{"entities": ["conf_a", "conf_b"], "reentrancy": null}');
SELECT * FROM conf_types;

-- an empty duration is absent, at both levels; so Go programs write one that is
-- not set, and null for an empty list.  The SDK for Java has another name.
SELECT actor_configure('{"entities": ["conf_a", "conf_b"],
    "actorIdleTimeout": "2h", "actorScanInterval": "", "drainOngoingCallTimeout": "",
    "drainBalancedActors": true, "entitiesConfig": [
        {"entities": ["conf_b"], "actorIdleTimeout": "", "actorScanInterval": "",
         "drainOngoingCallTimeout": "", "drainBalancedActors": false},
        {"entities": null, "actorIdleTimeout": "1h"}, {"entities": []}]}');
SELECT * FROM conf_types;
SELECT actor_configure('{"entities": ["conf_a"], "drainBalancedActors": true, "drainRebalancedActors": false}');
SELECT * FROM conf_types;
-- an application without actors is one
SELECT actor_configure('{"entities": []}'), actor_configure('{"entities": null}');
SELECT actor_configure('{"entities": ["conf_a", "conf_b"], "reentrancy": null}');

-- what is refused changes nothing
CREATE FUNCTION conf_try(document jsonb) RETURNS TABLE (state text, message text, detail text)
LANGUAGE plpgsql AS $$
DECLARE
    s text; m text; d text;
BEGIN
    PERFORM actor_configure(document);
    RETURN QUERY SELECT 'accepted', ''::text, ''::text;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS s = RETURNED_SQLSTATE, m = MESSAGE_TEXT, d = PG_EXCEPTION_DETAIL;
    RETURN QUERY SELECT s, m, d;
END $$;

\pset format unaligned
SELECT n, t.*
  FROM unnest(ARRAY[
    NULL,
    'null',
    '[]',
    '{}',
    '{"entities": {}}',
    '{"entities": "conf_a"}',
    '{"entities": [1]}',
    '{"entities": ["conf_a", "conf_a"]}',
    '{"entities": [""]}',
    '{"entities": ["conf_missing"]}',
    '{"entities": ["conf_a", "conf_missing"], "actorIdleTimeout": "9h"}',
    '{"entities": ["conf_a"], "actorIdleTimeOut": "1h"}',
    '{"entities": ["conf_a"], "actorIdleTimeout": 60}',
    '{"entities": ["conf_a"], "actorIdleTimeout": "1 hour ago"}',
    '{"entities": ["conf_a"], "actorIdleTimeout": "0"}',
    '{"entities": ["conf_a"], "actorScanInterval": " "}',
    '{"entities": ["conf_a"], "drainBalancedActors": "yes"}',
    '{"entities": ["conf_a"], "drainOngoingCallTimeout": "600000h"}',
    '{"entities": ["conf_a"], "drainRebalancedActors": "yes"}',
    '{"entities": ["conf_a"], "reentrancy": true}',
    '{"entities": ["conf_a"], "reentrancy": {"enable": true}}',
    '{"entities": ["conf_a"], "reentrancy": {"enabled": 1}}',
    '{"entities": ["conf_a"], "reentrancy": {"maxStackDepth": 0}}',
    '{"entities": ["conf_a"], "reentrancy": {"maxStackDepth": 1.5}}',
    '{"entities": ["conf_a"], "remindersStoragePartitions": -1}',
    '{"entities": ["conf_a"], "remindersStoragePartitions": 99999999999}',
    '{"entities": ["conf_a"], "entitiesConfig": {}}',
    '{"entities": ["conf_a"], "entitiesConfig": [1]}',
    '{"entities": ["conf_a"], "entitiesConfig": [{}]}',
    '{"entities": ["conf_a"], "entitiesConfig": [{"entities": {}}]}',
    '{"entities": ["conf_a"], "entitiesConfig": [{"entities": ["conf_b"]}]}',
    '{"entities": ["conf_a"], "entitiesConfig": [{"entities": ["conf_a"]}, {"entities": ["conf_a"]}]}',
    '{"entities": ["conf_a"], "entitiesConfig": [{"entities": ["conf_a"], "entitiesConfig": []}]}',
    '{"entities": ["conf_a"], "entitiesConfig": [{"entities": ["conf_a"], "reentrancy": {"maxStackDepth": "4"}}]}'
  ]::jsonb[]) WITH ORDINALITY AS d(document, n), conf_try(document) t
 ORDER BY n;
\pset format aligned
SELECT * FROM conf_types;

SELECT actor_unregister('conf_a'), actor_unregister('conf_b');
DROP FUNCTION conf_try(jsonb);
DROP VIEW conf_types;
DROP SCHEMA conf_a, conf_b, conf_elsewhere;
