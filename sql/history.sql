--
-- History: what has run in turns, and what it has changed.
--
\set VERBOSITY terse
\pset null '(null)'
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA diary;
GRANT USAGE ON SCHEMA diary TO regress_actor_granted;
CREATE FUNCTION diary.put(key text, value jsonb, ttl interval DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set(key, value, ttl); END $$;
CREATE FUNCTION diary.drop(key text) RETURNS boolean
LANGUAGE plpgsql AS $$ BEGIN RETURN actor_remove(key); END $$;
CREATE FUNCTION diary.get(key text) RETURNS jsonb STABLE
LANGUAGE plpgsql AS $$ BEGIN RETURN actor_get(key); END $$;
CREATE FUNCTION diary.fail(data jsonb DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('lost', 1); RAISE 'on purpose'; END $$;
CREATE FUNCTION diary.tick() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('ticks', actor_get('ticks', 0) + 1); END $$;
-- calls the other one and itself, and has a savepoint that is rolled back
CREATE FUNCTION diary.tour(other text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('step', 1);
    PERFORM actor_invoke('diary', other, 'put', '{"key": "visited", "value": true}');
    BEGIN
        PERFORM actor_set('step', 2);
        PERFORM actor_invoke('diary', actor_id(), 'put', '{"key": "never", "value": true}');
        RAISE 'back';
    EXCEPTION WHEN raise_exception THEN
    END;
    PERFORM actor_invoke('diary', actor_id(), 'put', '{"key": "step", "value": 3}');
    PERFORM actor_set('step', 4);
END $$;
CREATE FUNCTION diary.own() RETURNS bigint STABLE
LANGUAGE sql AS $$ SELECT count(*) FROM actor_history(actor_type(), actor_id()) $$;

-- the option
SELECT state, message FROM refusal($$SELECT actor_register('diary', history => 'all')$$);
SELECT state, message FROM refusal($$SELECT actor_register('diary', history_retention => '0')$$);
SELECT actor_register('diary');
SELECT history, history_retention, history_since FROM actor.type WHERE actor_type = 'diary';
SELECT actor_invoke('diary', 'off', 'put', '{"key": "a", "value": 1}');
SELECT state, message, hint FROM refusal($$SELECT actor_state_at('diary', 'off', now())$$);
SELECT actor_register('diary', reentrancy => true, history => 'calls');
SELECT actor_invoke('diary', 'calls', 'put', '{"key": "a", "value": 1}');
SELECT kind, method, changes FROM actor_history('diary', 'calls');
SELECT state, message FROM refusal($$SELECT actor_state_at('diary', 'calls', now())$$);
SELECT actor_register('diary', reentrancy => true, history => 'changes', history_retention => '1 day');
SELECT history, history_retention, history_since <= clock_timestamp() AS since FROM actor.type WHERE actor_type = 'diary';
SELECT history_since AS before FROM actor.type WHERE actor_type = 'diary' \gset
-- registered again, it goes back as far as before
SELECT actor_register('diary', reentrancy => true, history => 'changes');
SELECT history_since = :'before' AS same FROM actor.type WHERE actor_type = 'diary';
SELECT count(*) FROM actor_history('diary', 'off');

-- what runs, with what it changes
SELECT actor_invoke('diary', 'a', 'put', '{"key": "x", "value": null}');
SELECT actor_invoke('diary', 'a', 'put', '{"key": "x", "value": {"deep": [1]}}');
SELECT actor_invoke('diary', 'a', 'put', '{"key": "x", "value": {"deep": [1]}}');
SELECT actor_invoke('diary', 'a', 'drop', '["none"]'), actor_invoke('diary', 'a', 'drop', '["x"]');
SELECT actor_invoke('diary', 'a', 'get', '["x"]');
SELECT actor_transact('diary', 'a', '[{"operation": "upsert", "request": {"key": "y", "value": 1}},
                                      {"operation": "upsert", "request": {"key": "y", "value": 2}}]');
SELECT kind, name, method, attempt, ran_as, sqlstate, changes, duration_ms >= 0 AS took
  FROM actor_history('diary', 'a') ORDER BY history_id;
SELECT history_id > lag(history_id) OVER () AS increasing FROM actor_history('diary', 'a', 2);
SELECT count(*) FROM actor_history('diary', 'a', 0);

-- nested calls, and what is rolled back
SELECT actor_invoke('diary', 'b', 'tour', '["c"]');
SELECT method, changes FROM actor_history('diary', 'b');
SELECT method, changes FROM actor_history('diary', 'c');
SELECT count(DISTINCT turn) AS turns, count(*) FROM actor.history_change WHERE actor_id IN ('b', 'c');
SELECT state, message FROM refusal($$SELECT actor_invoke('diary', 'b', 'fail')$$);
BEGIN;
SELECT actor_invoke('diary', 'b', 'put', '{"key": "z", "value": 1}');
ROLLBACK;
SELECT count(*) FROM actor_history('diary', 'b');
SELECT actor_invoke('diary', 'b', 'own');
-- a call that is answered from what is remembered does not run
SELECT actor_invoke('diary', 'd', 'tick', request_id => 'once');
SELECT actor_invoke('diary', 'd', 'tick', request_id => 'once');
SELECT method, changes FROM actor_history('diary', 'd');

-- callbacks, with attempts that fail; hooks
BEGIN;
SELECT actor_set_reminder('diary', 'e', 'r', '0s', '1h', method => 'tick');
SELECT actor_set_reminder('diary', 'e', 'bad', '0s', '1h', method => 'fail',
                          failure_policy => '{"constant": {"interval": "1s", "maxRetries": 1}}');
SELECT actor_send('diary', 'e', 'tick', '{}') > 0 AS sent;
SET client_min_messages = error;
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
SELECT actor_send('diary', 'e', 'fail', '{}', due_time => '1s') > 0 AS sent;
RESET actor.traceparent;
SELECT actor_run_due(clock_timestamp() + interval '10 s');
SET client_min_messages = warning;
SELECT kind, CASE WHEN kind <> 'message' THEN name END AS name, method, attempt, ran_as, sqlstate, message, changes -> 0 -> 'key' AS key, traceparent
  FROM actor_history('diary', 'e') ORDER BY kind, name, method DESC, attempt, key LIMIT 8;
-- of a long error so much is kept as elsewhere
CREATE FUNCTION diary.fail_at_length() RETURNS void LANGUAGE plpgsql
AS $$ BEGIN RAISE '%', repeat('x', 10000) USING DETAIL = repeat('y', 10000); END $$;
SELECT actor_send('diary', 'long', 'fail_at_length', request_id => 'long', failure_policy => '{"drop": {}}') > 0 AS sent;
SET client_min_messages = error;
SELECT actor_run_due();
SET client_min_messages = warning;
SELECT (SELECT length(message) FROM actor_history('diary', 'long')) AS history,
       (SELECT length(message) FROM actor.failure WHERE actor_id = 'long') AS failure, length(error ->> 'message') AS result, length(error ->> 'detail') AS detail
  FROM actor_result('diary', 'long', 'long');
ROLLBACK;
CREATE FUNCTION diary.on_activate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('active', true); END $$;
CREATE FUNCTION diary.on_deactivate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'not yet'; END $$;
SELECT actor_invoke('diary', 'f', 'tick');
SET client_min_messages = error;
SELECT actor_delete('diary', 'f');
SET client_min_messages = warning;
SELECT kind, method, sqlstate, message, changes FROM actor_history('diary', 'f') ORDER BY history_id;
SELECT actor_discard(failure_id) FROM actor.failure WHERE actor_type = 'diary' AND kind = 'deactivate';
DROP FUNCTION diary.on_activate(), diary.on_deactivate();
-- of an actor that has nothing, nothing is removed
SELECT actor_delete('diary', 'nobody');
SELECT count(*) FROM actor_history('diary', 'nobody');

--
-- State as it was
--
CREATE TEMP TABLE instant (n int PRIMARY KEY, at timestamptz);
GRANT SELECT ON instant TO PUBLIC;
CREATE FUNCTION pg_temp.mark(n int) RETURNS void LANGUAGE sql AS $$ INSERT INTO instant VALUES (n, clock_timestamp()) $$;
SELECT pg_temp.mark(0);
SELECT actor_invoke('diary', 's', 'put', '{"key": "a", "value": 1}');
SELECT pg_temp.mark(1);
BEGIN;
SELECT actor_invoke('diary', 's', 'put', '{"key": "a", "value": 2}');
SELECT pg_temp.mark(2);
SELECT actor_invoke('diary', 's', 'put', '{"key": "b", "value": null}');
SELECT actor_invoke('diary', 's', 'put', '{"key": "a", "value": 3}');
COMMIT;
SELECT pg_temp.mark(3);
SELECT actor_invoke('diary', 's', 'drop', '["a"]');
SELECT actor_invoke('diary', 's', 'put', '{"key": "short", "value": 1, "ttl": "1 hour"}');
SELECT actor_invoke('diary', 's', 'tour', '["other"]');
SELECT pg_temp.mark(4);
SELECT actor_delete('diary', 's');
SELECT pg_temp.mark(5);
SELECT n, actor_state_at('diary', 's', at) FROM instant ORDER BY n;
SELECT actor_state_at('diary', 's', now() + interval '1 day');
-- what has expired then was not there
SELECT actor_invoke('diary', 't', 'put', '{"key": "short", "value": 1, "ttl": "1 hour"}');
SELECT actor_state_at('diary', 't', clock_timestamp() + interval '59 min') AS before,
       actor_state_at('diary', 't', clock_timestamp() + interval '61 min') AS after;
-- beyond what is known
SELECT state, message FROM refusal($$SELECT actor_state_at('diary', 's', now() - interval '2 days')$$);
SELECT actor_state_at('diary', 'off', clock_timestamp());
SELECT state, message FROM refusal($$SELECT actor_state_at('diary', 's', NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_history('diary', 's', -1)$$);
RESET SESSION AUTHORIZATION;
UPDATE actor.state SET value = '7', updated_at = now() + interval '1 minute' WHERE actor_type = 'diary' AND actor_id = 'off';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT state, message, detail FROM refusal($$SELECT actor_state_at('diary', 'off', clock_timestamp())$$);

-- for the owner of the type only
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT state, message FROM refusal($$SELECT * FROM actor_history('diary', 's')$$);
SELECT state, message FROM refusal($$SELECT actor_state_at('diary', 's', now())$$);
SELECT (SELECT count(*) FROM actor.history), (SELECT count(*) FROM actor.history_change);
SET SESSION AUTHORIZATION regress_actor_owner;

-- with a table that takes a statement, all is the same
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.history ADD CONSTRAINT regress_check CHECK (kind <> '');
ALTER TABLE actor.history_change ADD CONSTRAINT regress_check CHECK (key <> '');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('diary', 'u', 'put', '{"key": "x", "value": 1}');
SELECT actor_invoke('diary', 'u', 'drop', '["x"]');
SELECT kind, method, changes FROM actor_history('diary', 'u');
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.history DROP CONSTRAINT regress_check;
ALTER TABLE actor.history_change DROP CONSTRAINT regress_check;

-- methods of an application, too
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_register('diary', hosted => true, history => 'changes');
\set h '\'00000000-0000-0000-0000-0000000000b1\''
SELECT length(actor.host_join(:h, 'app', 'http://127.0.0.1:3000', '127.0.0.1:3500', '{diary}')) > 0 AS joined;
SELECT token FROM actor.host_place(:h, 'diary', 'v') \gset
BEGIN;
SELECT frame FROM actor.host_enter(:h, 'diary', 'v', 'deposit', :'token') \gset
SELECT actor_transact('diary', 'v', '[{"operation": "upsert", "request": {"key": "k", "value": 1}}]');
SELECT actor.host_exit(:frame);
COMMIT;
BEGIN;
SELECT frame FROM actor.host_enter_to_end(:h, 'diary', 'v') \gset
SELECT actor.host_end(:frame);
COMMIT;
SELECT kind, method, changes FROM actor_history('diary', 'v');
SELECT actor.host_leave(:h);
RESET SESSION AUTHORIZATION;

-- every change belongs to an entry, and goes with it; the type takes all with it
SELECT count(*) FROM actor.history_change c WHERE NOT EXISTS (SELECT FROM actor.history h
 WHERE (h.actor_type, h.actor_id, h.history_id) = (c.actor_type, c.actor_id, c.history_id));
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_unregister('diary', true);
SELECT (SELECT count(*) FROM actor.history), (SELECT count(*) FROM actor.history_change);
DROP SCHEMA diary CASCADE;
RESET SESSION AUTHORIZATION;
\pset null ''
SELECT at_rest();
