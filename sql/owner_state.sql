--
-- State of an actor from outside its methods: for the owner of the type.
--
\set VERBOSITY terse
\pset null '(null)'
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA vault;
GRANT USAGE ON SCHEMA vault TO regress_actor_granted;
CREATE FUNCTION vault.on_activate() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF actor_id() = 'unwilling' THEN
        RAISE 'will not';
    END IF;
    PERFORM actor_set('activated by', current_user);
END $$;
CREATE FUNCTION vault.get(k text) RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_get(k) $$;
-- runs any statement in an actor
CREATE FUNCTION vault.run(statement text) RETURNS text LANGUAGE plpgsql
AS $$ DECLARE result text; BEGIN EXECUTE 'SELECT ' || statement INTO result; RETURN result; END $$;
CREATE FUNCTION vault.look(statement text) RETURNS text STABLE LANGUAGE plpgsql
AS $$ DECLARE result text; BEGIN EXECUTE 'SELECT ' || statement INTO result; RETURN result; END $$;
SELECT actor_register('vault');

-- nothing is there, and looking does not activate
SELECT * FROM actor_get_state('vault', 'a', 'k');
SELECT count(*) FROM actor.activation WHERE actor_type = 'vault';

-- a change takes the turn, and activates first
BEGIN;
SELECT actor_transact('vault', 'a', '[
    {"operation": "upsert", "request": {"key": "k", "value": {"exact": 12345678901234567890.10}}},
    {"operation": "upsert", "request": {"key": "null", "value": null}},
    {"operation": "upsert", "request": {"key": "short", "value": 1, "metadata": {"ttlInSeconds": "100"}}},
    {"operation": "upsert", "request": {"key": "gone", "value": 1}},
    {"operation": "delete", "request": {"key": "gone"}}]');
SELECT held_turns();
COMMIT;
SELECT * FROM actor_get_state('vault', 'a', 'k');
SELECT * FROM actor_get_state('vault', 'a', 'null');
SELECT * FROM actor_get_state('vault', 'a', 'gone');
SELECT * FROM actor_get_state('vault', 'a', 'activated by');
SELECT value, expires_at - now() BETWEEN interval '95 s' AND interval '100 s' AS in_100_s
  FROM actor_get_state('vault', 'a', 'short');
SELECT actor_transact('vault', 'a', '[]');
SELECT count(*) FROM actor.activation WHERE actor_type = 'vault';

-- all or nothing
SELECT actor_transact('vault', 'a', '[
    {"operation": "upsert", "request": {"key": "k", "value": "lost"}},
    {"operation": "upsert", "request": {"key": "", "value": 1}}]');
SELECT actor_transact('vault', 'a', '{}');
SELECT actor_transact('vault', 'unwilling', '[{"operation": "upsert", "request": {"key": "k"}}]');
SELECT * FROM actor_get_state('vault', 'a', 'k');
SELECT * FROM actor_get_state('vault', 'unwilling', 'k');

-- methods of the actor may use it too, with the rules of a method
SELECT actor_invoke('vault', 'a', 'run', jsonb_build_array($$
    actor_transact('vault', 'a', '[{"operation": "upsert", "request": {"key": "own", "value": 1}}]')$$));
SELECT actor_invoke('vault', 'a', 'look', '["value FROM actor_get_state(''vault'', ''a'', ''own'')"]');
SELECT actor_invoke('vault', 'b', 'run', jsonb_build_array($$
    actor_transact('vault', 'a', '[{"operation": "upsert", "request": {"key": "own", "value": 2}}]')$$));
SELECT actor_invoke('vault', 'b', 'look', '["value FROM actor_get_state(''vault'', ''a'', ''own'')"]');

-- what is refused
SELECT call, r.state, r.message, r.detail
  FROM unnest(ARRAY[
    $$actor_get_state(NULL, 'a', 'k')$$, $$actor_get_state('vault', NULL, 'k')$$, $$actor_get_state('vault', 'a', NULL)$$,
    $$actor_get_state('vault', 'a', '')$$, $$actor_get_state('vault', repeat('x', 513), 'k')$$,
    $$actor_get_state('none', 'a', 'k')$$,
    $$actor_transact(NULL, 'a', '[]')$$, $$actor_transact('vault', NULL, '[]')$$, $$actor_transact('vault', 'a', NULL)$$,
    $$actor_transact('none', 'a', '[]')$$,
    -- an actor that waits further up in the chain
    $$actor_invoke('vault', 'a', 'run', '["actor_invoke(''vault'', ''b'', ''run'', ''[\"actor_transact(''''vault'''', ''''a'''', ''''[]'''')\"]'')"]')$$,
    -- not from a method that only reads
    $$actor_invoke('vault', 'b', 'look', '["actor_transact(''vault'', ''a'', ''[]'')"]')$$,
    $$actor_invoke('vault', 'a', 'look', '["actor_transact(''vault'', ''a'', ''[]'')"]')$$]) AS call,
       LATERAL refusal('SELECT ' || call) AS r;
BEGIN READ ONLY;
SELECT actor_get_state('vault', 'a', 'null');
SELECT actor_transact('vault', 'a', '[]');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_get_state('vault', 'a', 'null');
SELECT actor_transact('vault', 'a', '[]');
ROLLBACK;

-- an actor that is paused, and one whose turn is open
SELECT actor_pause('vault', 'a');
SELECT actor_transact('vault', 'a', '[]');
SELECT actor_get_state('vault', 'a', 'null');
SELECT actor_resume('vault', 'a');
SELECT actor_register('vault', reentrancy => true, call_timeout => '10 ms');
SELECT actor_open_turn('vault', 'a') AS turn \gset
SELECT actor_transact('vault', 'a', '[]');
SELECT actor_transact('vault', 'a', '[{"operation": "upsert", "request": {"key": "open", "value": true}}]', :'turn');
SELECT actor_close_turn('vault', 'a', :'turn');
\set VERBOSITY sqlstate
SELECT actor_transact('vault', 'a', '[]', :'turn');
\set VERBOSITY terse
SELECT value FROM actor_get_state('vault', 'a', 'open');

-- others may not, whatever methods they may call
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('vault', 'a', 'get', '["null"]');
SELECT actor_get_state('vault', 'a', 'k');
SELECT actor_transact('vault', 'a', '[]');
SELECT held_turns();
-- unless they run a method of the actor
SELECT actor_invoke('vault', 'a', 'look', '["value FROM actor_get_state(''vault'', ''a'', ''own'')"]');
SELECT actor_invoke('vault', 'b', 'look', '["value FROM actor_get_state(''vault'', ''a'', ''own'')"]');

-- a type whose schema has gone
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_actor_owner;
DROP SCHEMA vault CASCADE;
SELECT actor_get_state('vault', 'a', 'null');
SELECT actor_transact('vault', 'a', '[]');
-- comes back with a schema of that name and owner
CREATE SCHEMA vault;
SELECT actor_get_state('vault', 'a', 'null');
SELECT actor_unregister('vault', force => true);
DROP SCHEMA vault;
SELECT at_rest();
RESET SESSION AUTHORIZATION;
