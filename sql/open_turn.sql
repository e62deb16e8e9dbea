--
-- Open turns, as far as one session can see them.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA door;
CREATE SCHEMA wall;
GRANT USAGE ON SCHEMA door TO regress_actor_granted, regress_actor_stranger;
CREATE TABLE door.log (n int GENERATED ALWAYS AS IDENTITY, what text);
CREATE FUNCTION door.on_activate() RETURNS void LANGUAGE sql SECURITY DEFINER
AS $$ INSERT INTO door.log (what) VALUES ('activate ' || actor_id()) $$;
CREATE FUNCTION door.on_deactivate() RETURNS void LANGUAGE sql SECURITY DEFINER
AS $$ INSERT INTO door.log (what) VALUES ('deactivate ' || actor_id()
                                          || ' at ' || (actor_invoke('door', actor_id(), 'add') ->> 0)) $$;
CREATE FUNCTION door.add() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('n', actor_get('n', 0) + 1);
    RETURN actor_get('n', 0);
END $$;
CREATE FUNCTION door.n() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
CREATE FUNCTION door.chain() RETURNS uuid LANGUAGE sql AS $$ SELECT actor_reentrancy_id() $$;
CREATE FUNCTION door.read_chain() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT actor_reentrancy_id() $$;
-- calls another one, perhaps with an id
CREATE FUNCTION door.relay(id text, method text, payload jsonb DEFAULT NULL, chain uuid DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('relayed', true);
    RETURN actor_invoke('door', id, method, payload, chain);
END $$;
CREATE FUNCTION door.open() RETURNS uuid LANGUAGE sql AS $$ SELECT actor_open_turn('door', 'other') $$;
CREATE FUNCTION door.close(id text, chain uuid) RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_close_turn('door', id, chain) $$;
CREATE FUNCTION door.read_close(id text, chain uuid) RETURNS boolean STABLE LANGUAGE sql
AS $$ SELECT actor_close_turn('door', id, chain) $$;
CREATE FUNCTION door.down(n int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE n WHEN 0 THEN (SELECT count(*) FROM actor_call_chain())
                  ELSE actor_invoke('door', actor_id(), 'down', to_jsonb(ARRAY[n - 1]))::bigint END;
END $$;
CREATE FUNCTION door._hidden() RETURNS void LANGUAGE sql AS $$ SELECT $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA door FROM PUBLIC;
GRANT EXECUTE ON FUNCTION door.add, door.n, door.chain TO regress_actor_granted;
-- what the stranger may call neither writes nor is a method
GRANT EXECUTE ON FUNCTION door.n, door._hidden, door.on_activate TO regress_actor_stranger;
CREATE FUNCTION wall.add() RETURNS void LANGUAGE sql AS $$ SELECT $$;
SELECT actor_register('door', reentrancy => true, max_stack_depth => 3);
SELECT actor_register('wall', reentrancy => false);
SET actor.call_timeout = '100ms';

--
-- Opening
--
-- what makes no sense
SELECT actor_open_turn(NULL, 'a');
SELECT actor_open_turn('door', NULL);
SELECT actor_open_turn('door', '');
SELECT actor_open_turn('door', 'a', NULL);
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a', '0') $$);
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a', '-1 second') $$);
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a', '-178000000 years') $$);
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a', '1 hour 1 microsecond') $$);
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a', '178000000 years') $$);
SELECT * FROM refusal($$ SELECT actor_open_turn('no such', 'a') $$);
SELECT * FROM refusal($$ SELECT actor_open_turn('wall', 'a') $$);
SET actor.max_open_turn = '1s';
RESET SESSION AUTHORIZATION;
SET actor.max_open_turn = '2s';
SELECT message, hint FROM refusal($$ SELECT actor_open_turn('door', 'a', '3 seconds') $$);
SELECT actor_open_turn('door', 'limit', '2 seconds') IS NOT NULL AS opened;
RESET actor.max_open_turn;
SELECT actor_delete('door', 'limit');
DELETE FROM door.log;
SET SESSION AUTHORIZATION regress_actor_owner;
-- where nothing can be written, or the snapshot is too old
BEGIN READ ONLY;
SELECT actor_open_turn('door', 'a');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_open_turn('door', 'a');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT actor_close_turn('door', 'a', gen_random_uuid());
ROLLBACK;
-- inside a method
SELECT * FROM refusal($$ SELECT actor_invoke('door', 'a', 'open') $$);
-- without a right to any writing method, or to the schema
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a') $$);
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT * FROM refusal($$ SELECT actor_open_turn('wall', 'a') $$);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT count(*) FROM actor.activation WHERE actor_type = 'door';

-- it activates; the id is random, and nothing but the row has it
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_open_turn('door', 'a') AS a \gset
SELECT actor_open_turn('door', 'b', '10 minutes') AS b \gset
SELECT :'a' <> :'b' AS differ, substr(:'a', 15, 1) AS version;
SELECT count(*) FROM actor.activation;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT what FROM door.log ORDER BY n;
SELECT actor_id, reentrancy_id = CASE actor_id WHEN 'a' THEN :'a'::uuid ELSE :'b'::uuid END AS same,
       turn_expires_at > now() AND turn_expires_at <= now() +
       CASE actor_id WHEN 'a' THEN interval '60 seconds' ELSE interval '10 minutes' END AS in_time
  FROM actor.activation WHERE actor_type = 'door' ORDER BY 1;
SELECT at_rest();
SELECT actor_close_turn('door', 'a', :'a');

--
-- Entering
--
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a'), actor_invoke('door', 'a', 'n');
SELECT actor_invoke('door', 'a', 'chain', reentrancy_id => :'a') #>> '{}' = :'a' AS same;
-- through others, and back
SELECT actor_invoke('door', 'a', 'relay', '["c", "relay", {"id": "a", "method": "chain"}]', :'a') #>> '{}' = :'a' AS same;
SELECT actor_invoke('door', 'a', 'down', '[2]', :'a');
SELECT actor_invoke('door', 'a', 'down', '[3]', :'a');
-- another role than the one that has opened it
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SET SESSION AUTHORIZATION regress_actor_owner;
-- a nested call may bring the id of the actor it enters
SELECT actor_invoke('door', 'c', 'relay', jsonb_build_object('id', 'a', 'method', 'chain', 'chain', :'a')) #>> '{}' = :'a' AS same;
SELECT actor_invoke('door', 'b', 'relay', jsonb_build_object('id', 'a', 'method', 'add', 'chain', :'a'), :'b');
SELECT actor_invoke('door', 'b', 'relay', jsonb_build_object('id', 'b', 'method', 'add', 'chain', :'b'), :'b');
-- without the id, or with another one
SELECT * FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
SELECT * FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'b'));
SELECT * FROM refusal(format($$ SELECT actor_invoke('door', 'c', 'add', reentrancy_id => %L) $$, :'a'));
SELECT * FROM refusal(format($$ SELECT actor_invoke('door', 'new', 'add', reentrancy_id => %L) $$, :'a'));
SELECT * FROM refusal(format($$ SELECT actor_invoke('wall', 'a', 'add', reentrancy_id => %L) $$, :'a'));
-- an id makes the call a part of the chain, also where no turn is open: what it
-- calls enters the turn that the chain has open
BEGIN;
SELECT actor_invoke('door', 'c', 'relay', '["a", "add"]', :'a') IS NOT NULL AS entered,
       actor_invoke('door', 'c', 'chain', NULL, :'a')::text = to_json(:'a'::text)::text AS same_chain;
-- but a turn that was entered as one chain is not waited for as another
SELECT * FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'b'));
ROLLBACK;
SELECT * FROM refusal($$ SELECT actor_open_turn('door', 'a') $$);
SELECT * FROM refusal($$ SELECT actor_set_timer('door', 'a', 'add', '1h') $$);
-- nested, at once
SET actor.call_timeout = 0;
SELECT * FROM refusal($$ SELECT actor_invoke('door', 'c', 'relay', '["a", "add"]') $$);
SELECT * FROM refusal(format($$ SELECT actor_invoke('door', 'b', 'relay', '["a", "add"]', %L) $$, :'b'));
SELECT * FROM refusal(format($$ SELECT actor_invoke('door', 'c', 'relay', jsonb_build_object('id', 'a', 'method', 'add', 'chain', %L)) $$, :'b'));
SET actor.call_timeout = '100ms';
-- the shorter one of the two
SET lock_timeout = '10ms';
SELECT message FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
RESET lock_timeout;
-- one that waits can be cancelled
SET actor.call_timeout = 0;
SET statement_timeout = '100ms';
SELECT actor_invoke('door', 'a', 'add');
RESET statement_timeout;
SET actor.call_timeout = '100ms';
-- reads do not wait, and take any id for that of their chain
SELECT actor_invoke('door', 'a', 'n');
SELECT actor_invoke('door', 'a', 'read_chain', reentrancy_id => :'b') #>> '{}' = :'b' AS same;
-- a transaction that has entered stays in
BEGIN;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SELECT actor_invoke('door', 'a', 'add');
SELECT actor_invoke('door', 'c', 'relay', '["a", "add"]');
SAVEPOINT s;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'b');
ROLLBACK TO s;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SAVEPOINT s;
SELECT actor_open_turn('door', 'a');
ROLLBACK TO s;
SELECT held_turns();
COMMIT;
-- but not after its savepoint
BEGIN;
SAVEPOINT s;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
ROLLBACK TO s;
SELECT held_turns();
SELECT state, message FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
SELECT held_turns();
SAVEPOINT s;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
RELEASE s;
SELECT actor_invoke('door', 'a', 'add'), held_turns();
ROLLBACK;
-- nothing is left of those that were refused
BEGIN;
SELECT count(*) FILTER (WHERE r.state = '55P03') AS refused, held_turns()
  FROM generate_series(1, 40) i,
       refusal(format($$ SELECT actor_invoke('door', 'r%s', 'relay', '["a", "add"]') $$, i)) r;
COMMIT;
SELECT at_rest();

--
-- Closing
--
SELECT actor_close_turn(NULL, 'a', :'a');
SELECT actor_close_turn('no such', 'a', :'a');
BEGIN READ ONLY;
SELECT actor_close_turn('door', 'a', :'a');
ROLLBACK;
SELECT actor_invoke('door', 'c', 'read_close', jsonb_build_array('a', :'a'));
-- what fits no open turn
SELECT actor_close_turn('door', 'a', :'b'), actor_close_turn('door', 'c', :'a'), actor_close_turn('wall', 'a', :'a');
SELECT actor_close_turn('door', 'c', NULL);
-- without an id by the owner only
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_close_turn('door', 'a', NULL);
SELECT actor_close_turn('door', 'a', :'b');
-- with it by anybody
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_close_turn('door', 'a', :'a');
SELECT actor_close_turn('door', 'a', :'a');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('door', 'a', 'add');
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SELECT actor_close_turn('door', 'b', NULL), actor_close_turn('door', 'b', NULL);
SELECT actor_invoke('door', 'b', 'add');
-- inside a method, also of the actor itself; the call goes on
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_invoke('door', 'a', 'close', jsonb_build_array('a', :'a'), :'a');
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_invoke('door', 'c', 'close', jsonb_build_array('a', :'a'));
SELECT actor_invoke('door', 'a', 'add');
-- rolled back: open as before
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
BEGIN;
SELECT actor_close_turn('door', 'a', :'a'), actor_invoke('door', 'a', 'add');
SELECT message FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a'));
SELECT actor_close_turn('door', 'a', :'a');
ROLLBACK;
SELECT state, message FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
BEGIN;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SAVEPOINT s;
SELECT actor_close_turn('door', 'a', :'a');
ROLLBACK TO s;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
COMMIT;
SELECT state, message FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
-- closed and opened at once: nobody comes in between
BEGIN;
SELECT actor_close_turn('door', 'a', :'a');
SELECT actor_open_turn('door', 'a', '1 hour') AS new_a \gset
COMMIT;
SELECT :'a' <> :'new_a' AS differ;
SELECT state, message FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a'));
SELECT actor_close_turn('door', 'a', :'new_a');

--
-- Opening that is rolled back, or not over yet
--
BEGIN;
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_invoke('door', 'a', 'add'), actor_invoke('door', 'c', 'relay', '["a", "add"]');
SELECT actor_invoke('door', 'a', 'chain', reentrancy_id => :'a') #>> '{}' = :'a' AS same;
SAVEPOINT s;
SELECT actor_open_turn('door', 'a');
ROLLBACK TO s;
ROLLBACK;
SELECT actor_invoke('door', 'a', 'add');
SELECT message FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a'));
BEGIN;
SAVEPOINT s;
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
ROLLBACK TO s;
SELECT held_turns();
SELECT actor_invoke('door', 'a', 'add');
SELECT message FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a'));
SAVEPOINT s;
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
ROLLBACK TO s;
SELECT message FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a'));
COMMIT;
SELECT actor_invoke('door', 'a', 'add');
-- released
BEGIN;
SAVEPOINT s;
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
RELEASE s;
SELECT actor_invoke('door', 'a', 'add');
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
COMMIT;
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
-- activated only by what was rolled back
BEGIN;
SAVEPOINT s;
SELECT actor_open_turn('door', 'fresh') IS NOT NULL AS opened;
ROLLBACK TO s;
SELECT count(*) FROM actor.activation WHERE actor_id = 'fresh';
SELECT actor_invoke('door', 'fresh', 'add');
COMMIT;
SELECT actor_id, reentrancy_id FROM actor.activation WHERE actor_id = 'fresh';

--
-- Time is over
--
SELECT actor_open_turn('door', 'd', '1 millisecond') AS d \gset
SELECT pg_sleep(0.01);
SELECT actor_invoke('door', 'd', 'add');
SELECT message FROM refusal(format($$ SELECT actor_invoke('door', 'd', 'add', reentrancy_id => %L) $$, :'d'));
SELECT actor_close_turn('door', 'd', :'d'), actor_close_turn('door', 'd', NULL);
SELECT actor_open_turn('door', 'd') <> :'d' AS differ;
SELECT actor_close_turn('door', 'd', NULL);

--
-- The end of an actor's life, whose hook enters it
--
DELETE FROM door.log;
SELECT actor_deactivate('door', 'a');
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SELECT actor_invoke('door', 'a', 'n');
SELECT what FROM door.log ORDER BY n;
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_delete('door', 'a');
SELECT actor_close_turn('door', 'a', :'a');
SELECT actor_invoke('door', 'a', 'add');
-- undone, it is open as before
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
BEGIN;
SAVEPOINT s;
SELECT actor_deactivate('door', 'a');
SELECT actor_invoke('door', 'a', 'add') IS NOT NULL AS activated_again;
ROLLBACK TO s;
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
SELECT actor_invoke('door', 'a', 'n', reentrancy_id => :'a');
SAVEPOINT s;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SAVEPOINT s2;
SELECT actor_delete('door', 'a'), actor_invoke('door', 'a', 'add');
SELECT message FROM refusal(format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a'));
ROLLBACK TO s2;
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
COMMIT;
-- undone inside a method, at any depth: open as before
CREATE FUNCTION door.try(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        EXECUTE statement;
        RAISE 'undone';
    EXCEPTION WHEN OTHERS THEN
        RETURN sqlerrm || ', ' || (actor_invoke('door', actor_id(), 'add') #>> '{}');
    END;
END $$;
SELECT actor_invoke('door', 'a', 'try', to_jsonb(ARRAY[format($$ SELECT actor_close_turn('door', 'a', %L) $$, :'a')]), :'a');
SELECT actor_invoke('door', 'a', 'try', '["SELECT actor_deactivate(''door'', ''a'')"]', :'a');
SELECT actor_invoke('door', 'a', 'try', '["SELECT actor_delete(''door'', ''a''), actor_invoke(''door'', ''a'', ''add'')"]', :'a');
SELECT actor_invoke('door', 'c', 'try', to_jsonb(ARRAY[format($$ SELECT actor_invoke('door', 'a', 'add', reentrancy_id => %L) $$, :'a')]));
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
BEGIN;
SELECT actor_invoke('door', 'c', 'try', to_jsonb(ARRAY[format($$ SELECT actor_close_turn('door', 'a', %L) $$, :'a')]));
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
COMMIT;
-- entered by a cursor in a savepoint that is rolled back
BEGIN;
DECLARE enter CURSOR FOR
    SELECT actor_invoke('door', 'a', 'add', reentrancy_id => id) FROM generate_series(1, 3), (VALUES (:'a'::uuid)) v(id);
DECLARE fail CURSOR FOR
    SELECT r.state, held_turns() FROM generate_series(1, 3) i,
           LATERAL refusal(format($$ SELECT actor_invoke('door', 'a', 'add', '{}') -- %s $$, i)) r;
FETCH fail;
SAVEPOINT s;
FETCH enter;
SELECT held_turns();
ROLLBACK TO s;
SELECT held_turns();
FETCH fail;
FETCH enter;
SELECT held_turns(), actor_invoke('door', 'a', 'add');
COMMIT;
-- many turns of one transaction, and one that is given back in between
BEGIN;
SELECT count(actor_invoke('door', 'm' || i, 'add')) FROM generate_series(1, 20) i;
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
SELECT count(actor_invoke('door', 'm' || i, 'add')), held_turns() FROM generate_series(11, 30) i;
SELECT actor_invoke('door', 'a', 'n', reentrancy_id => :'a') IS NOT NULL AS entered;
SELECT actor_invoke('door', 'm25', 'relay', '["m26", "add"]', NULL), held_turns();
ROLLBACK;
SELECT at_rest();
-- a type that is no longer reentrant keeps the turns that are open
SELECT actor_register('door', reentrancy => false);
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'a', 'add') $$);
SELECT actor_close_turn('door', 'a', :'a');
SELECT actor_register('door', reentrancy => true);
-- a type that was removed does not
SELECT actor_open_turn('door', 'a', '1 hour') AS a \gset
SELECT actor_unregister('door', force => true);
SELECT actor_close_turn('door', 'a', :'a');
SELECT actor_register('door', reentrancy => true);
SELECT actor_invoke('door', 'a', 'add', reentrancy_id => :'a');
SELECT actor_invoke('door', 'a', 'add');

-- an actor that is paused; its open turn can be closed
SELECT actor_open_turn('door', 'q', '1 hour') AS q \gset
SELECT actor_pause('door', 'q');
SELECT state, message FROM refusal(format($$ SELECT actor_invoke('door', 'q', 'add', reentrancy_id => %L) $$, :'q'));
SELECT actor_close_turn('door', 'q', :'q');
SELECT state, message FROM refusal($$ SELECT actor_open_turn('door', 'q') $$);
SELECT actor_resume('door', 'q');
-- what is due fires in a session like a call of a client
SELECT actor_open_turn('door', 'q', '1 hour') AS q \gset
SELECT actor_set_reminder('door', 'q', 'add', '1h');
SELECT state, message FROM refusal($$ SELECT actor_run_due(now() + interval '2 hours') $$);
SELECT actor_close_turn('door', 'q', :'q');
SELECT actor_run_due(now() + interval '2 hours'), actor_invoke('door', 'q', 'n');

--
-- Prepared
--
BEGIN;
SELECT actor_open_turn('door', 'p', '1 hour') AS p \gset
PREPARE TRANSACTION 'regress_actor_open';
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'p', 'add') $$);
COMMIT PREPARED 'regress_actor_open';
SELECT state FROM refusal($$ SELECT actor_invoke('door', 'p', 'add') $$);
SELECT actor_invoke('door', 'p', 'add', reentrancy_id => :'p');
BEGIN;
SELECT actor_close_turn('door', 'p', :'p');
PREPARE TRANSACTION 'regress_actor_open';
SELECT state FROM refusal(format($$ SELECT actor_invoke('door', 'p', 'add', reentrancy_id => %L) $$, :'p'));
COMMIT PREPARED 'regress_actor_open';
SELECT actor_invoke('door', 'p', 'add');
SELECT at_rest();

-- the views show no id
RESET SESSION AUTHORIZATION;
SELECT c.relname, a.attname
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'v' AND a.attname LIKE '%reentrancy%';
SELECT actor_unregister('door', force => true), actor_unregister('wall', force => true);
DROP SCHEMA door, wall CASCADE;
RESET actor.call_timeout;
