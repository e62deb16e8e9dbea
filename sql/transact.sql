--
-- actor_transact: several operations on the state, all or none.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA safe;
SELECT actor_register('safe');
CREATE FUNCTION safe.apply(operations jsonb, more jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_transact(operations);
    RETURN actor_state();
END
$$;
CREATE FUNCTION safe.state() RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_state() $$;

-- upserts and deletes, in their order
SELECT actor_invoke('safe', '1', 'apply', '[[]]');
SELECT actor_invoke('safe', '1', 'apply', '[[
    {"operation": "upsert", "request": {"key": "a", "value": 1}},
    {"operation": "upsert", "request": {"key": "b", "value": {"any": ["json", null]}}},
    {"operation": "upsert", "request": {"key": "c", "value": null}},
    {"operation": "upsert", "request": {"key": "d"}},
    {"operation": "upsert", "request": {"key": "e", "value": 1.50, "metadata": {}}},
    {"operation": "upsert", "request": {"key": "f", "value": "x", "metadata": null}}]]');
SELECT actor_invoke('safe', '1', 'apply', '[[
    {"operation": "delete", "request": {"key": "a"}},
    {"operation": "delete", "request": {"key": "never set"}},
    {"operation": "upsert", "request": {"key": "b", "value": 1}},
    {"operation": "upsert", "request": {"key": "b", "value": 2}},
    {"operation": "delete", "request": {"key": "c"}},
    {"operation": "upsert", "request": {"key": "c", "value": "again"}},
    {"operation": "upsert", "request": {"key": "g", "value": 1}},
    {"operation": "delete", "request": {"key": "g"}}]]');

-- time to live in seconds, as a string or number; absent or 0: none; -1
-- removes the one there is
SELECT actor_invoke('safe', 'ttl', 'apply', '[[
    {"operation": "upsert", "request": {"key": "number", "value": 1, "metadata": {"ttlInSeconds": 100}}},
    {"operation": "upsert", "request": {"key": "string", "value": 1, "metadata": {"ttlInSeconds": "100"}}},
    {"operation": "upsert", "request": {"key": "whole", "value": 1, "metadata": {"ttlInSeconds": 100.0}}},
    {"operation": "upsert", "request": {"key": "zero", "value": 1, "metadata": {"ttlInSeconds": 0}}},
    {"operation": "upsert", "request": {"key": "none", "value": 1, "metadata": {"ttlInSeconds": "-1"}}},
    {"operation": "upsert", "request": {"key": "most", "value": 1, "metadata": {"ttlInSeconds": 2147483647}}},
    {"operation": "delete", "request": {"key": "deleted", "metadata": {"ttlInSeconds": 1}}}]]');
SELECT key, expires_at IS NULL AS forever,
       extract(epoch FROM expires_at - updated_at) BETWEEN 99 AND 101 AS in_100_seconds
  FROM actor.state WHERE actor_id = 'ttl' ORDER BY key COLLATE "C";
SELECT actor_invoke('safe', 'ttl', 'apply', '[[
    {"operation": "upsert", "request": {"key": "number", "value": 2, "metadata": {"ttlInSeconds": -1}}},
    {"operation": "upsert", "request": {"key": "string", "value": 2}},
    {"operation": "upsert", "request": {"key": "whole", "value": 2, "metadata": {"ttlInSeconds": "0"}}}]]');
SELECT key, value, expires_at IS NULL AS forever
  FROM actor.state WHERE actor_id = 'ttl' ORDER BY key COLLATE "C";

-- what is refused, and nothing of it is done
SELECT operations, r.state, r.message, r.detail
  FROM (VALUES
    (1, 'null'), (1, '{}'), (1, '"x"'), (1, '1'), (1, 'true'),
    (1, '{"operation": "upsert", "request": {"key": "x"}}'),
    (2, '[1]'), (2, '[[]]'), (2, '[null]'), (2, '["upsert"]'), (2, '[{}]'),
    (3, '[{"operation": "upsert"}]'), (3, '[{"request": {"key": "x"}}]'), (3, '[{"operation": "UPSERT", "request": {"key": "x"}}]'),
    (3, '[{"operation": "insert", "request": {"key": "x"}}]'), (3, '[{"operation": 1, "request": {"key": "x"}}]'),
    (3, '[{"operation": "delete", "request": null}]'), (3, '[{"operation": "delete", "request": []}]'), (3, '[{"operation": "delete", "request": {}}]'),
    (3, '[{"operation": "delete", "request": {"key": "x"}, "extra": 1}]'),
    (4, '[{"operation": "delete", "request": {"key": 1}}]'), (4, '[{"operation": "delete", "request": {"key": null}}]'),
    (4, '[{"operation": "delete", "request": {"key": ""}}]'), (4, '[{"operation": "upsert", "request": {"key": "", "value": 1}}]'),
    (4, '[{"operation": "upsert", "request": {"key": "x", "Value": 1}}]'), (4, '[{"operation": "upsert", "request": {"key": "x", "etag": "1"}}]'),
    (5, '[{"operation": "upsert", "request": {"key": "x", "metadata": []}}]'), (5, '[{"operation": "upsert", "request": {"key": "x", "metadata": "ttl"}}]'),
    (5, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttl": 1}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": -2}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "-2"}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": 1.5}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "1.5"}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": ""}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": " 1"}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "1 "}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "1s"}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "0x10"}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": true}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": []}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": 2147483648}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "2147483648"}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": 1e40}}}]'),
    (6, '[{"operation": "upsert", "request": {"key": "x", "metadata": {"ttlInSeconds": "99999999999999999999"}}}]'),
    (7, '[{"operation": "upsert", "request": {"key": "done", "value": 1}}, {"operation": "delete", "request": {"key": "b"}}, {"operation": "x"}]'))
       AS o (number, operations),
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L, %L)', 'safe', '1', 'apply',
                              jsonb_build_object('operations', operations::jsonb))) AS r
 ORDER BY number, operations COLLATE "C";
SELECT actor_invoke('safe', '1', 'state');
SELECT actor_invoke('safe', '1', 'apply', '[[{"operation": "upsert", "request": {"key": "x"}}, {"operation": "replace"}]]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('safe', '1', 'apply', '[{"key": "x"}]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('safe', '1', 'apply', '[null]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('safe', '1', 'apply', '[[1]]');
SELECT actor_invoke('safe', '1', 'apply', jsonb_build_array(jsonb_build_array(jsonb_build_object(
    'operation', 'upsert', 'request', jsonb_build_object('key', repeat('x', 513))))));
SELECT actor_invoke('safe', '1', 'apply', jsonb_build_array(jsonb_build_array(jsonb_build_object(
    'operation', 'upsert', 'request', jsonb_build_object('key', 'x', repeat('x', 1000000), 1)))));
-- an error that is caught afterwards undoes all of it
CREATE FUNCTION safe.half() RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    BEGIN
        PERFORM actor_transact('[{"operation": "upsert", "request": {"key": "half", "value": 1}}]');
        RAISE EXCEPTION 'undo';
    EXCEPTION WHEN raise_exception THEN
    END;
    RETURN actor_state();
END
$$;
SELECT actor_invoke('safe', '1', 'half');
-- many operations
SELECT (SELECT count(*) FROM jsonb_object_keys(actor_invoke('safe', 'many', 'apply', jsonb_build_array(
           (SELECT jsonb_agg(jsonb_build_object('operation', 'upsert', 'request', jsonb_build_object('key', 'k' || i, 'value', i)))
              FROM generate_series(1, 2000) AS i)))));
SELECT at_rest();
SELECT actor_unregister('safe', force => true);
DROP SCHEMA safe CASCADE;
RESET SESSION AUTHORIZATION;
