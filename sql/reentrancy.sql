--
-- Reentrancy: calls to an actor that is in the chain already.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA loop;
CREATE SCHEMA ring;
SELECT actor_register('loop');
SELECT actor_register('ring', reentrancy => true, max_stack_depth => 4);

CREATE FUNCTION loop.put(value int) RETURNS int LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('value', value); RETURN value; END $$;
CREATE FUNCTION loop.value() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('value', 0) $$;
CREATE FUNCTION loop.relay(id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke(actor_type(), id, method, payload); END $$;
CREATE FUNCTION loop.relay_read(id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke(actor_type(), id, method, payload); END $$;
CREATE FUNCTION loop.cross(type text, id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke(type, id, method, payload); END $$;
CREATE FUNCTION loop.try(id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql
AS $$
DECLARE
    chain text;
BEGIN
    PERFORM actor_set('before', true);
    BEGIN
        RETURN actor_invoke(actor_type(), id, method, payload);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS chain = PG_EXCEPTION_DETAIL;
        PERFORM actor_set('after', true);
        RETURN jsonb_build_object('caught', SQLSTATE, 'detail', chain, 'state', actor_state(),
                                  'other', actor_invoke(actor_type(), 'other', 'put', '[1]'), 'turns', held_turns());
    END;
END
$$;
-- calls itself n times, then a method that reads
CREATE FUNCTION loop.down(n int) RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('depth', actor_get('depth', 0) + 1);
    IF n = 0 THEN
        RETURN to_jsonb((SELECT max(depth) FROM actor_call_chain()));
    END IF;
    RETURN actor_invoke(actor_type(), actor_id(), 'down', jsonb_build_array(n - 1));
END
$$;
CREATE FUNCTION loop.down_read(n int) RETURNS jsonb STABLE LANGUAGE plpgsql
AS $$
BEGIN
    IF n = 0 THEN
        RETURN to_jsonb((SELECT max(depth) FROM actor_call_chain()));
    END IF;
    RETURN actor_invoke(actor_type(), actor_id(), 'down_read', jsonb_build_array(n - 1));
END
$$;
DO $$
DECLARE
    definition text;
BEGIN
    FOR definition IN SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'loop'::regnamespace LOOP
        EXECUTE replace(definition, 'FUNCTION loop.', 'FUNCTION ring.');
    END LOOP;
END
$$;

--
-- Refused: A -> A, A -> B -> A, written or read
--
SELECT actor_invoke('loop', 'a', 'relay', '["a", "put", [1]]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('loop', 'a', 'relay', '["a", "value"]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('loop', 'a', 'relay', '["b", "relay", {"id": "a", "method": "put", "payload": [1]}]');
SELECT actor_invoke('loop', 'a', 'relay', '["b", "relay_read", {"id": "a", "method": "value"}]');
SELECT actor_invoke('loop', 'a', 'relay', '["b", "relay_read", {"id": "b", "method": "value"}]');
SELECT at_rest();
-- across types
SELECT actor_invoke('loop', 'a', 'cross', '["ring", "a", "cross", {"type": "loop", "id": "a", "method": "put", "payload": [1]}]');
-- it is the type of the actor that is entered again that counts
SELECT actor_invoke('ring', 'a', 'cross', '["loop", "a", "cross", {"type": "ring", "id": "a", "method": "put", "payload": [1]}]');
-- not reentry: other actors, whatever their names have in common; reads above
-- reads; one call after the other
SELECT actor_invoke('loop', 'a', 'cross', '["ring", "a", "put", [1]]');
SELECT actor_invoke('loop', 'a', 'relay', '["A", "put", [1]]');
SELECT actor_invoke('loop', 'a', 'relay_read', '["a", "value"]');
SELECT actor_invoke('loop', 'a', 'relay_read', '["b", "relay_read", {"id": "a", "method": "value"}]');
SELECT actor_invoke('loop', 'a', 'down_read', '[50]');
BEGIN;
SELECT actor_invoke('loop', 'a', 'put', '[1]'), actor_invoke('loop', 'a', 'put', '[2]'), actor_invoke('loop', 'a', 'value');
SELECT actor_invoke('loop', 'b', 'relay', '["a", "put", [3]]');
SELECT held_turns();
COMMIT;
-- a refused call leaves everything usable, the actor itself included
SELECT actor_invoke('loop', 'c', 'try', '["c", "put", [1]]');
SELECT actor_invoke('loop', 'c', 'try', '["d", "relay", {"id": "c", "method": "put", "payload": [1]}]');
SELECT actor_invoke('loop', 'c', 'put', '[5]'), actor_invoke('loop', 'c', 'value');
SELECT at_rest();
-- what is no method, or nobody may call, is refused as such
SELECT actor_invoke('loop', 'a', 'relay', '["a", "no_such"]');
\echo :LAST_ERROR_SQLSTATE

--
-- Allowed: until the actor is on the stack max_stack_depth times
--
SELECT actor_invoke('ring', 'a', 'relay', '["a", "put", [7]]'), actor_invoke('ring', 'a', 'value');
SELECT actor_invoke('ring', 'a', 'relay', '["a", "value"]');
SELECT actor_invoke('ring', 'a', 'relay', '["b", "relay", {"id": "a", "method": "put", "payload": [8]}]');
SELECT actor_invoke('ring', 'a', 'relay', '["b", "relay_read", {"id": "a", "method": "value"}]');
SELECT actor_invoke('ring', 'a', 'down', '[3]');
SELECT actor_invoke('ring', 'a', 'down', '[4]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('ring', 'a', 'value'), at_rest();
-- other actors in between do not count
SELECT actor_invoke('ring', 'b', 'relay', '["c", "relay", {"id": "a", "method": "down", "payload": [3]}]');
-- read-only frames count
SELECT actor_invoke('ring', 'a', 'relay', '["a", "down_read", [2]]');
SELECT actor_invoke('ring', 'a', 'relay', '["a", "down_read", [3]]');
\echo :LAST_ERROR_SQLSTATE
-- but reads alone are no reentry
SELECT actor_invoke('ring', 'a', 'down_read', '[10]');
-- a refused call leaves everything usable
SELECT actor_invoke('ring', 'e', 'try', '["e", "down", [3]]');
SELECT actor_invoke('ring', 'e', 'down', '[3]');
SELECT at_rest();
-- one lock, however often it is entered, and it is that of the first time
BEGIN;
SAVEPOINT s;
SELECT actor_invoke('ring', 'a', 'relay', '["a", "put", [9]]');
SELECT held_turns();
ROLLBACK TO s;
SELECT held_turns();
SELECT actor_invoke('ring', 'a', 'put', '[9]');
SAVEPOINT s;
SELECT actor_invoke('ring', 'a', 'relay', '["a", "put", [10]]');
ROLLBACK TO s;
SELECT held_turns(), actor_invoke('ring', 'a', 'value');
COMMIT;
-- what an inner call has written the outer one sees
CREATE FUNCTION ring.see() RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('value', 1);
    PERFORM actor_invoke('ring', actor_id(), 'put', '[2]');
    RETURN jsonb_build_array(actor_get('value'), actor_invoke('ring', actor_id(), 'value'));
END
$$;
SELECT actor_invoke('ring', 'see', 'see');

--
-- The option of the type, and the settings
--
SELECT actor_register('ring', reentrancy => false);
SELECT actor_invoke('ring', 'a', 'relay', '["a", "put", [1]]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_register('ring', reentrancy => true);
SELECT actor_invoke('ring', 'a', 'down', '[31]');
-- the middle of a long chain is left out
SELECT state, message, detail FROM refusal($$SELECT actor_invoke('ring', 'a', 'down', '[32]')$$);
SELECT actor_register('ring', reentrancy => true, max_stack_depth => 1);
SELECT actor_invoke('ring', 'a', 'put', '[1]');
SELECT actor_invoke('ring', 'a', 'relay', '["a", "put", [1]]');
SELECT actor_register('ring');
SELECT actor_invoke('ring', 'a', 'relay', '["a", "put", [1]]');
RESET SESSION AUTHORIZATION;
ALTER SYSTEM SET actor.reentrancy = on;
ALTER SYSTEM SET actor.max_stack_depth = 2;
SELECT pg_reload_conf();
\c -
SET client_min_messages = warning;
SHOW actor.reentrancy;
SHOW actor.max_stack_depth;
SELECT actor_invoke('ring', 'a', 'down', '[1]');
SELECT actor_invoke('ring', 'a', 'down', '[2]');
-- the type's own goes first
SELECT actor_register('ring', max_stack_depth => 3);
SELECT actor_invoke('ring', 'a', 'down', '[2]');
SELECT actor_register('ring', reentrancy => false);
SELECT actor_invoke('ring', 'a', 'down', '[1]');
ALTER SYSTEM RESET actor.reentrancy;
ALTER SYSTEM RESET actor.max_stack_depth;
SELECT pg_reload_conf();

SELECT actor_unregister(type, force => true) FROM unnest(ARRAY['loop', 'ring']) AS type;
DROP SCHEMA loop, ring CASCADE;
