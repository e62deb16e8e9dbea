--
-- Hosted types: whose methods an application has.  This session is that of
-- their host, too, and does what actor-http does around the calls of it.
--
SET SESSION AUTHORIZATION regress_actor_owner;
SET client_min_messages = warning;
\set h1 '\'00000000-0000-0000-0000-0000000000a1\''
\set h2 '\'00000000-0000-0000-0000-0000000000a2\''
\set h3 '\'00000000-0000-0000-0000-0000000000a3\''
\set app '\'http://127.0.0.1:3000\''

-- registering
CREATE SCHEMA hosted;
SELECT actor_register('hosted', turn => 'lease');
SELECT actor_register('hosted', hosted => true, turn => 'sometimes');
SELECT actor_register('hosted', hosted => true, reentrancy => true);
SELECT hosted, turn FROM actor.type WHERE actor_type = 'hosted';
CREATE FUNCTION hosted.put(key text, value jsonb) RETURNS void LANGUAGE sql AS $$ SELECT actor_set(key, value) $$;
CREATE FUNCTION hosted.peek(key text) RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_get(key) $$;
CREATE FUNCTION hosted._hidden() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
GRANT USAGE ON SCHEMA hosted TO regress_actor_granted;

-- a configuration makes the schema, if the role may
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_configure('{"entities": ["Made"]}', hosted => true);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_configure('{"entities": ["Made"]}');
SELECT actor_configure('{"entities": ["Made"], "actorIdleTimeout": "1m"}', hosted => true);
SELECT schema_name, owner_name, hosted, turn, idle_timeout FROM actor.type WHERE actor_type = 'Made';
SELECT actor_configure('{"entities": ["Made"], "entitiesConfig": [{"entities": ["Made"], "reentrancy": {"enabled": true}}]}', hosted => true, turn => 'lease');
SELECT hosted, turn, reentrancy FROM actor.type WHERE actor_type = 'Made';
-- what it cannot say stays as it is
SELECT actor_register('Made', hosted => true, turn => 'lease', call_timeout => '7s', early_release => true);
-- (in a new session as well, which has no plans yet)
\c -
SET SESSION AUTHORIZATION regress_actor_owner;
SET client_min_messages = warning;
SELECT actor_configure('{"entities": ["Made"]}', hosted => true);
SELECT turn, call_timeout, early_release, reentrancy FROM actor.type WHERE actor_type = 'Made';
SELECT actor_configure('{"entities": ["Made"]}', hosted => true, turn => 'transaction');
SELECT hosted, turn, reentrancy FROM actor.type WHERE actor_type = 'Made';
SET client_min_messages = notice;
SELECT actor_configure('{"entities": ["Made"]}');
SET client_min_messages = warning;
SELECT hosted, turn, reentrancy FROM actor.type WHERE actor_type = 'Made';
SELECT actor_configure('{"entities": ["Made"]}', turn => 'lease');
SELECT actor_unregister('Made');
DROP SCHEMA "Made";

-- who has a method
SELECT actor.host_may_call('hosted', 'put'), actor.host_may_call('hosted', 'deposit'),
       actor.host_may_call('hosted', '_hidden'), actor.host_may_call('hosted', 'on_activate'),
       actor.host_may_call('hosted', repeat('long', 40));
SELECT actor_invoke('hosted', '1', 'deposit');
SELECT actor_invoke('hosted', '1', repeat('long', 20));
SELECT actor_invoke('hosted', '1', '_hidden');
SELECT actor_invoke('hosted', '1', 'peek', '["a"]');

-- joining
BEGIN;
SELECT actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{hosted}');
ROLLBACK;
SELECT actor.host_join(NULL, 'shop', :app, '127.0.0.1:3500', '{hosted}');
SELECT actor.host_join(:h1, NULL, :app, '127.0.0.1:3500', '{hosted}');
SELECT actor.host_join(:h1, 'shop', '', '127.0.0.1:3500', '{hosted}');
SELECT actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', NULL);
SELECT actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{NULL}');
SELECT actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{hostd}');
CREATE SCHEMA plain;
SELECT actor_register('plain');
SELECT actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{plain,hosted}');
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{hosted}');
SET SESSION AUTHORIZATION regress_actor_owner;
-- before anybody has joined
SELECT actor.host_place(:h1, 'hosted', '1');
SELECT length(actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{hosted}'));
SELECT length(actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{hosted}'));
SELECT app_id, app_address, address, role_name, actor_types, reachable, actor.host_is_alive(host_id) FROM actor.host;
SELECT actor.host_is_alive(:h2), actor.host_is_alive(NULL);

-- placing
SELECT at_host, address FROM actor.host_place(:h1, 'hosted', '1');
SELECT (SELECT token FROM actor.host_place(:h1, 'hosted', '1')) = token AS same, entered FROM actor.placement;
SELECT actor.host_place(:h2, 'hosted', '1');
SELECT actor.host_place(:h1, 'plain', '1');
SELECT actor.host_place(:h1, 'hosted', '');
BEGIN;
SELECT actor.host_place(:h1, 'hosted', '1');
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT actor.host_place(:h1, 'hosted', '1');
ROLLBACK;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor.host_place(:h1, 'hosted', '1');
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'deposit');
ROLLBACK;
SELECT count(*) FROM actor.host;
SELECT count(*) FROM actor.placement;
SET SESSION AUTHORIZATION regress_actor_owner;

-- a turn
DO $$ BEGIN PERFORM actor.host_enter('00000000-0000-0000-0000-0000000000a1', 'hosted', '1', 'deposit'); END $$;
BEGIN;
SELECT action, frame IS NOT NULL AS frame, at_host = :h1 AS here, address, current = (SELECT token FROM actor.placement) AS token
  FROM actor.host_enter(:h1, 'hosted', '1', 'deposit') \gset a_
\echo :a_action :a_frame :a_here :a_token
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 19143;
SELECT depth, actor_type, actor_id, method FROM actor_call_chain();
SELECT actor_type, actor_id, method, state FROM actor.turn WHERE actor_type = 'hosted';
-- what the application saves does not make it forget
SELECT actor_transact('hosted', '1', '[{"operation": "upsert", "request": {"key": "a", "value": 1}}]');
SELECT (actor_get_state('hosted', '1', 'a')).value;
-- nothing is committed before it has answered
COMMIT;
SELECT count(*) FROM actor.state WHERE actor_type = 'hosted';

-- calls as functions of the session, which has no loops
CREATE FUNCTION pg_temp.call(host uuid, id text, method text, token uuid DEFAULT NULL, chain uuid DEFAULT NULL, OUT action text, OUT frame int, OUT current uuid)
LANGUAGE sql AS $$ SELECT action, frame, current FROM actor.host_enter(host, 'hosted', id, method, token, chain) $$;
CREATE FUNCTION pg_temp.token(id text) RETURNS uuid LANGUAGE sql AS $$ SELECT token FROM actor.placement WHERE actor_type = 'hosted' AND actor_id = id $$;

-- the first call makes the application forget what it may have, later ones do not
BEGIN;
SELECT action FROM pg_temp.call(:h1, '1', 'deposit', pg_temp.token('1'));
SELECT actor.host_exit((SELECT max(0) FROM pg_locks));
ROLLBACK;
BEGIN;
SELECT action, frame FROM pg_temp.call(:h1, '1', 'deposit', pg_temp.token('1')) \gset
\echo :action
SELECT actor_transact('hosted', '1', '[{"operation": "upsert", "request": {"key": "a", "value": 1}}]');
SELECT actor.host_exit(:frame);
SELECT actor.host_exit(:frame);
ROLLBACK;
BEGIN;
SELECT action, frame FROM pg_temp.call(:h1, '1', 'deposit', pg_temp.token('1')) \gset
\echo :action
SELECT actor_transact('hosted', '1', '[{"operation": "upsert", "request": {"key": "a", "value": 1}}]');
SELECT actor.host_exit(:frame);
COMMIT;
SELECT entered FROM actor.placement;
BEGIN;
SELECT action, frame FROM pg_temp.call(:h1, '1', 'deposit', pg_temp.token('1')) \gset
\echo :action
SELECT actor.host_exit(:frame);
COMMIT;
SELECT pg_temp.token('1') AS token \gset
BEGIN;
SELECT action FROM pg_temp.call(:h1, '1', 'deposit', gen_random_uuid());
ROLLBACK;
BEGIN;
SELECT action FROM pg_temp.call(:h1, '1', 'deposit', NULL);
ROLLBACK;

-- outside of a block it begins one, which the end of the method commits if it is to
SELECT action, frame FROM actor.host_enter(:h1, 'hosted', '1', 'deposit', :'token') \gset
SELECT :'action', count(*) FROM actor.turn WHERE actor_type = 'hosted';
SAVEPOINT s;
SELECT actor.host_exit(:frame, commits => true);
SELECT count(*) FROM actor.turn WHERE actor_type = 'hosted';
ROLLBACK;
-- not within another statement, nor a subtransaction of its own
SELECT frame FROM actor.host_enter(:h1, 'hosted', '1', 'deposit', :'token') \gset
SELECT set_config('regress.frame', :'frame', true) IS NOT NULL;
DO $$ BEGIN PERFORM actor.host_exit(current_setting('regress.frame')::int, commits => true); END $$;
ROLLBACK;
CREATE FUNCTION pg_temp.exit() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor.host_exit(current_setting('regress.frame')::int, commits => true);
    RETURN 'committed';
EXCEPTION WHEN invalid_transaction_termination THEN
    RETURN SQLERRM;
END $$;
SELECT frame FROM actor.host_enter(:h1, 'hosted', '1', 'deposit', :'token') \gset
SELECT set_config('regress.frame', :'frame', true) IS NOT NULL;
SELECT pg_temp.exit();
SELECT count(*) FROM actor.turn WHERE actor_type = 'hosted';
ROLLBACK;
-- an error before it has begun one is none of a block, one after it is
SELECT actor.host_enter(NULL, 'hosted', '1', 'deposit');
ROLLBACK;
SELECT actor.host_enter(:h1, 'hosted', '1', '..');
SELECT 1;
ROLLBACK;

-- state that somebody else writes makes it forget: a function, the owner, who
-- deactivates or deletes; and not if that is rolled back
CREATE FUNCTION pg_temp.action(id text, token uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    entered record;
BEGIN
    entered := actor.host_enter('00000000-0000-0000-0000-0000000000a1', 'hosted', id, 'm', token);
    IF entered.frame IS NOT NULL THEN
        PERFORM actor.host_exit(entered.frame);
    END IF;
    RETURN entered.action;
END $$;
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
SELECT actor_invoke('hosted', '1', 'peek', '["a"]');
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
BEGIN; SELECT actor_invoke('hosted', '1', 'put', '["a", 2]'); ROLLBACK;
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
SELECT actor_invoke('hosted', '1', 'put', '["a", 2]');
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
SELECT pg_temp.token('1') AS token \gset
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
SELECT actor_transact('hosted', '1', '[{"operation": "delete", "request": {"key": "a"}}]');
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
SELECT pg_temp.token('1') AS token \gset
SELECT actor_deactivate('hosted', '1');
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
SELECT actor_delete('hosted', '1');
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;
BEGIN; SELECT pg_temp.action('1', :'token'); COMMIT;

-- a change in the chain: told once it is over, and to a later call, but not to
-- one that reenters what runs
SELECT 1 FROM actor.host_place(:h1, 'hosted', '2');
BEGIN; SELECT pg_temp.action('2', pg_temp.token('2')); COMMIT;
BEGIN;
SELECT frame, current FROM pg_temp.call(:h1, '2', 'outer', pg_temp.token('2')) \gset
SELECT actor_invoke('hosted', '2', 'put', '["b", 1]');
SELECT pg_temp.token('2') <> :'current' AS changed;
SELECT pg_temp.action('2', :'current');
SELECT actor.host_exit(:frame);
SELECT pg_temp.action('2', :'current');
SELECT pg_temp.token('2') AS current \gset
SELECT pg_temp.action('2', :'current');
-- again, after somebody has seen it
SELECT actor_invoke('hosted', '2', 'put', '["b", 2]');
SELECT pg_temp.token('2') <> :'current' AS changed;
SELECT pg_temp.action('2', :'current');
SAVEPOINT s;
SELECT pg_temp.token('2') AS current \gset
SELECT actor_invoke('hosted', '2', 'put', '["b", 3]');
ROLLBACK TO s;
SELECT pg_temp.token('2') = :'current' AS back;
COMMIT;

-- chains: several actors, overlapping in time, savepoints
SELECT 1 FROM actor.host_place(:h1, 'hosted', '3');
BEGIN;
SELECT frame AS f1 FROM pg_temp.call(:h1, '1', 'transfer', NULL, '00000000-0000-0000-0000-00000000c001') \gset
SELECT actor_reentrancy_id();
SELECT frame AS f2 FROM pg_temp.call(:h1, '2', 'withdraw', NULL, '00000000-0000-0000-0000-00000000c001') \gset
SELECT frame AS f3 FROM pg_temp.call(:h1, '3', 'deposit', NULL, '00000000-0000-0000-0000-00000000c001') \gset
SELECT depth, actor_id, method FROM actor_call_chain();
-- the one that has begun first ends first
SELECT actor_transact('hosted', '2', '[{"operation": "upsert", "request": {"key": "c", "value": 2}}]');
SELECT actor.host_exit(:f2);
SELECT depth, actor_id, method FROM actor_call_chain();
SELECT chain FROM actor.turn WHERE actor_type = 'hosted' AND actor_id = '1';
-- the outermost one before what it has called
SELECT actor.host_exit(:f1);
SELECT depth, actor_id, method FROM actor_call_chain();
SELECT actor.host_exit(:f3);
SELECT count(*) FROM actor_call_chain();
COMMIT;
BEGIN;
SELECT frame AS f1 FROM pg_temp.call(:h1, '1', 'transfer') \gset
SAVEPOINT s;
SELECT frame AS f2 FROM pg_temp.call(:h1, '2', 'withdraw') \gset
SELECT actor_transact('hosted', '2', '[{"operation": "upsert", "request": {"key": "c", "value": 3}}]');
ROLLBACK TO s;
SELECT depth, actor_id, method FROM actor_call_chain();
SAVEPOINT e;
SELECT actor.host_exit(:f2);
ROLLBACK TO e;
SELECT frame AS f2 FROM pg_temp.call(:h1, '2', 'withdraw') \gset
SELECT actor_transact('hosted', '2', '[{"operation": "upsert", "request": {"key": "c", "value": 4}}]');
RELEASE s;
-- a frame outlives the savepoint it began in
SELECT depth, actor_id, method FROM actor_call_chain();
SELECT actor.host_exit(:f2);
SELECT actor.host_exit(:f1);
COMMIT;
SELECT value FROM actor.state WHERE actor_type = 'hosted' AND actor_id = '2' AND key = 'c';
BEGIN;
SELECT frame AS f1 FROM pg_temp.call(:h1, '1', 'transfer') \gset
PREPARE TRANSACTION 'hosted';

-- reentrancy and depth, as for functions
SELECT actor_register('hosted', hosted => true, reentrancy => true, max_stack_depth => 2);
BEGIN;
SELECT frame FROM pg_temp.call(:h1, '1', 'a') \gset
SELECT action FROM pg_temp.call(:h1, '1', 'b');
SELECT action FROM pg_temp.call(:h1, '1', 'c');
ROLLBACK;
SELECT actor_register('hosted', hosted => true);
BEGIN;
SELECT frame FROM pg_temp.call(:h1, '1', 'a') \gset
SAVEPOINT s;
SELECT actor_invoke('hosted', '1', 'peek', '["a"]');
ROLLBACK TO s;
SELECT actor_invoke('hosted', '1', 'put', '["a", 1]');
ROLLBACK TO s;
SELECT action FROM pg_temp.call(:h1, '1', 'b');
ROLLBACK;

-- not in a method
CREATE FUNCTION hosted.nest() RETURNS text LANGUAGE sql AS $$ SELECT action FROM actor.host_enter('00000000-0000-0000-0000-0000000000a1', 'hosted', '2', 'm') $$;
BEGIN;
SELECT actor_invoke('hosted', '1', 'nest');
ROLLBACK;
-- a function needs no frame
BEGIN;
SELECT action, frame FROM actor.host_enter(:h1, 'hosted', '1', 'put');
SELECT action, frame FROM actor.host_enter(:h1, 'plain', '1', 'put');
COMMIT;
-- an actor that is nowhere
BEGIN;
SELECT action, frame FROM actor.host_enter(:h1, 'hosted', 'new', 'm');
COMMIT;
-- where nothing can be written
BEGIN READ ONLY;
SELECT actor.host_enter(:h1, 'hosted', '1', 'm');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor.host_enter(:h1, 'hosted', '1', 'm');
ROLLBACK;

-- paused
SELECT actor_pause('hosted', '1');
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'm');
ROLLBACK;
SELECT actor_resume('hosted', '1');

-- request ids
BEGIN;
SELECT frame FROM actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r1', '\x01') \gset
SELECT actor.host_exit(:frame, 200, 'text/plain', '{"x-a": "b"}', 'paid'::bytea);
COMMIT;
SELECT method, role_name, status, content_type, headers, body FROM actor.request WHERE actor_type = 'hosted';
BEGIN;
SELECT action, frame, status, content_type, headers, convert_from(body, 'UTF8') FROM actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r1', '\x01');
COMMIT;
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r1', '\x02');
ROLLBACK;
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'refund', NULL, NULL, 'r1', '\x01');
ROLLBACK;
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r1', '\x01', 'regress_actor_granted');
ROLLBACK;
SELECT actor_invoke('hosted', '1', 'put', '["a", 1]', request_id => 'r1');
SELECT actor_invoke('hosted', '1', 'put', '["a", 1]', request_id => 'r2');
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'put2', NULL, NULL, 'r2');
ROLLBACK;
-- nothing is kept of what was rolled back, and what has no body has none
BEGIN;
SELECT frame FROM actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r3', NULL) \gset
SELECT actor.host_exit(:frame, NULL);
ROLLBACK;
BEGIN;
SELECT action, frame FROM actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r3', NULL, 'regress_actor_granted') \gset
\echo :action
SELECT actor.host_exit(:frame, 204);
COMMIT;
BEGIN;
SELECT action, status, content_type, headers, body FROM actor.host_enter(:h1, 'hosted', '1', 'pay', NULL, NULL, 'r3', NULL, 'regress_actor_granted');
COMMIT;

-- open turns, in which calls of applications take part
SELECT actor_register('hosted', hosted => true, turn => 'lease');
SELECT turn FROM actor.type WHERE actor_type = 'hosted';
SELECT actor_open_turn('hosted', '1') AS chain \gset
BEGIN;
SET LOCAL lock_timeout = '10ms';
SELECT action FROM pg_temp.call(:h1, '1', 'm');
ROLLBACK;
BEGIN;
SELECT action, frame FROM pg_temp.call(:h1, '1', 'm', pg_temp.token('1'), :'chain') \gset
\echo :action
SELECT actor.host_exit(:frame);
SELECT actor_close_turn('hosted', '1', :'chain');
COMMIT;
SELECT actor_register('hosted', hosted => true, reentrancy => true);

-- timers live as long as the actor is at its host
SELECT actor_set_timer('hosted', '1', 'tick', '100h', method => 'put', data => '["t", 1]');
BEGIN; SELECT pg_temp.action('1', pg_temp.token('1')); COMMIT;
SELECT count(*) FROM actor.timer WHERE actor_type = 'hosted';

-- the host is gone
SELECT actor.host_leave(:h2);
SELECT actor.host_leave(:h1);
SELECT actor.host_is_alive(host_id) FROM actor.host;
BEGIN;
SELECT actor.host_enter(:h1, 'hosted', '1', 'm');
ROLLBACK;
SELECT actor.host_place(:h1, 'hosted', '1');
-- the same application comes back with another host: what has been left
SELECT length(actor.host_join(:h1, 'shop', :app, '127.0.0.1:3500', '{hosted}'));
SELECT length(actor.host_join(:h2, 'shop', :app, '127.0.0.1:3501', '{hosted}'));
SELECT * FROM actor.host_left_behind(:h2) ORDER BY actor_id;
BEGIN;
SELECT action, frame FROM actor.host_enter(:h2, 'hosted', '1', 'm');
COMMIT;
BEGIN;
SELECT frame, stale FROM actor.host_enter_to_end(:h2, 'hosted', '3') \gset
\echo :stale
SELECT actor.host_exit(:frame);
ROLLBACK;
BEGIN;
SELECT frame, stale FROM actor.host_enter_to_end(:h2, 'hosted', '3') \gset
SELECT depth, actor_id, method FROM actor_call_chain();
SELECT actor.host_end(:frame);
COMMIT;
SELECT * FROM actor.host_left_behind(:h2) ORDER BY actor_id;
-- what is placed anew is still left behind
SELECT at_host FROM actor.host_place(:h2, 'hosted', '1');
SELECT * FROM actor.leftover WHERE actor_type = 'hosted';
SELECT * FROM actor.host_left_behind(:h2) ORDER BY actor_id;
BEGIN;
SELECT action, frame, held_from FROM actor.host_enter(:h2, 'hosted', '1', 'm', pg_temp.token('1')) \gset
\echo :action :held_from
SELECT actor.host_exit(:frame);
ROLLBACK;
BEGIN;
SELECT action, frame, held_from FROM actor.host_enter(:h2, 'hosted', '1', 'm', pg_temp.token('1')) \gset
\echo :action :held_from
SELECT actor.host_exit(:frame);
COMMIT;
BEGIN;
SELECT action, frame, held_from IS NULL AS forgotten FROM actor.host_enter(:h2, 'hosted', '1', 'm', pg_temp.token('1')) \gset
\echo :action :forgotten
SELECT actor.host_exit(:frame);
COMMIT;
SELECT * FROM actor.host_left_behind(:h2) ORDER BY actor_id;
-- an earlier life's timers are gone with the first turn
SELECT count(*) FROM actor.timer WHERE actor_type = 'hosted';
-- of another application nothing is left
SELECT length(actor.host_join(:h3, 'shop', 'http://127.0.0.1:3001', '127.0.0.1:3502', '{hosted}'));
SELECT * FROM actor.host_left_behind(:h3);
-- what operators see
SELECT app_id, address, alive, reachable, placements FROM actor.host_status ORDER BY address;
SELECT actor_id, keys, activated_at IS NOT NULL AS active, host_address FROM actor.instance WHERE actor_type = 'hosted' ORDER BY actor_id;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT count(*) FROM actor.host_status;
RESET SESSION AUTHORIZATION;
SELECT name, value FROM actor.get_gauges('hosts');
SELECT actor.host_report(:h2, false);
SELECT check_name, detail, hint FROM actor_doctor() WHERE NOT ok AND check_name IN ('hosts', 'applications');
SELECT actor.host_report(:h2, true);
SET SESSION AUTHORIZATION regress_actor_owner;
-- the application has restarted: nothing of it is left, here or before
SELECT actor.host_forget_all(:h2);
SELECT * FROM actor.host_left_behind(:h2);
SELECT count(*) FROM actor.placement WHERE actor_type = 'hosted';
SELECT count(*) FROM actor.leftover WHERE actor_type = 'hosted';
-- (which of them is gone is found out when one joins)
SELECT address, actor.host_is_alive(host_id) FROM actor.host ORDER BY address;

-- two hosts: each has its share, and one whose application does not answer gets nothing new
SELECT count(actor.host_place(:h2, 'hosted', i::text)) FROM generate_series(1, 100) i;
SELECT count(*) FILTER (WHERE host_id = :h2) BETWEEN 20 AND 80 AS shared, count(*) FROM actor.placement WHERE actor_type = 'hosted';
SELECT count(*) FROM actor.host_moving(:h2);
SELECT actor.host_report(:h2, NULL);
SELECT actor.host_report(:h3, false);
SELECT count(actor.host_place(:h2, 'hosted', i::text)) FROM generate_series(101, 150) i;
SELECT count(*) FILTER (WHERE host_id = :h3) FROM actor.placement WHERE actor_type = 'hosted' AND actor_id::int > 100;
-- what is there goes to others when it is called next
SELECT actor_id AS lost FROM actor.placement WHERE actor_type = 'hosted' AND host_id = :h3 LIMIT 1 \gset
BEGIN;
SELECT action FROM actor.host_enter(:h2, 'hosted', :'lost', 'm');
ROLLBACK;
SELECT at_host FROM actor.host_place(:h2, 'hosted', :'lost');
SELECT actor.host_report(:h3, true);
-- what is placed stays, until its host lets it go
SELECT count(*) = (SELECT count(*) FROM actor.host_moving(:h2) WHERE actor_id::int > 100) AS stays, count(*) > 0 AS some
  FROM actor.placement p WHERE actor_type = 'hosted' AND actor_id::int > 100
   AND (SELECT at_host FROM actor.host_place(:h2, 'hosted', p.actor_id)) = :h2
   AND p.actor_id IN (SELECT actor_id FROM actor.host_moving(:h2));
SELECT actor_id FROM actor.host_moving(:h2) LIMIT 1 \gset
BEGIN;
SELECT frame, stale FROM actor.host_enter_to_end(:h2, 'hosted', :'actor_id') \gset
\echo :stale
SELECT actor.host_end(:frame);
COMMIT;
SELECT at_host FROM actor.host_place(:h2, 'hosted', :'actor_id');
-- a call that nests goes on at the other host, in this transaction
BEGIN;
SELECT action, frame, at_host, address, anew FROM actor.host_enter(:h2, 'hosted', :'actor_id', 'm') \gset
\echo :action :at_host :address :anew
SELECT actor.host_exit(:frame);
SELECT action, frame, anew FROM actor.host_enter(:h2, 'hosted', :'actor_id', 'm') \gset
\echo :action :anew
SELECT actor.host_exit(:frame);
COMMIT;
-- only when it is idle
BEGIN;
SELECT frame, stale FROM actor.host_enter_to_end(:h3, 'hosted', :'actor_id', true);
COMMIT;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 19143;
-- those of others
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor.host_leave(:h2);
SELECT actor.host_report(:h2, false);
SELECT actor.host_forget_all(:h2);
SELECT actor.host_left_behind(:h2);
SELECT actor.host_moving(:h2);
SET SESSION AUTHORIZATION regress_actor_owner;

--
-- Callbacks
--
SELECT actor.host_leave(:h3);
SELECT actor.host_forget_all(:h3) > 0 AS forgotten;
CREATE FUNCTION pg_temp.due(result jsonb, OUT kind text, OUT actor_id text, OUT name text, OUT attempt text) RETURNS SETOF record
LANGUAGE sql AS $$ SELECT d ->> 'kind', d ->> 'actor_id', CASE WHEN d ->> 'kind' <> 'message' THEN d ->> 'name' END, d ->> 'attempt' FROM jsonb_array_elements(result -> 'due') d ORDER BY d ->> 'actor_id', d ->> 'kind' $$;
CALL actor.host_wait(:h2, 'now', NULL, 0);
CALL actor.host_wait(NULL, 'now');
CALL actor.host_wait(:h3, 'now');
BEGIN;
CALL actor.host_wait(:h2, 'now');
ROLLBACK;
SET SESSION AUTHORIZATION regress_actor_granted;
CALL actor.host_wait(:h2, 'now');
SET SESSION AUTHORIZATION regress_actor_owner;
-- who comes and goes is told once
CALL actor.host_wait(:h2, 'now');
CALL actor.host_wait(:h2, 'now');

-- any name will do; those of functions are for executors
SELECT actor_set_reminder('hosted', 'r', 'wake', data => '{"a": 1}', due_time => '0s', period => 'R2/PT100H');
SELECT actor_set_reminder('hosted', 'f', 'wake', method => 'put', data => '["f", 1]', due_time => '100h');
SELECT actor_set_timer('hosted', 't', 'tick', data => '2', due_time => '0s', method => 'on tick');
SELECT actor_send('hosted', 'm', 'first', '1') IS NOT NULL AS sent;
SELECT actor_send('hosted', 'm', 'second', '2') IS NOT NULL AS sent;
SELECT actor_send('hosted', 'm', repeat('m', 513)) IS NOT NULL AS sent;
-- nor need the role be able to connect
SET SESSION AUTHORIZATION regress_actor_nologin;
SELECT actor_send('hosted', 'm', 'third');
RESET SESSION AUTHORIZATION;
GRANT USAGE ON SCHEMA hosted TO regress_actor_nologin;
SET SESSION AUTHORIZATION regress_actor_nologin;
SELECT actor_send('hosted', 'm', 'third') IS NOT NULL AS sent;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_id, name, method, hosted FROM actor.reminder WHERE actor_type = 'hosted' ORDER BY 1;
SELECT actor_id, name, method, hosted FROM actor.timer WHERE actor_type = 'hosted' ORDER BY 1;
SELECT actor_id, method, hosted, role_name FROM actor.message WHERE actor_type = 'hosted' ORDER BY message_id;
CALL actor.host_wait(:h2, 'now') \gset
SELECT * FROM pg_temp.due(:'due');
CALL actor.host_wait(:h2, 'now', NULL, 1) \gset
SELECT count(*) FROM pg_temp.due(:'due');
-- what is in the hands of the host, and with it its actor
CALL actor.host_wait(:h2, 'now') \gset
SELECT array_agg(d ->> 'key') AS keys FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' <> 'timer' \gset
CALL actor.host_wait(:h2, 'now', :'keys') \gset
SELECT * FROM pg_temp.due(:'due');
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS reminder FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'reminder' \gset
SELECT d::text AS timer FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'timer' \gset
SELECT d::text AS message FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'message' \gset

-- claiming
SELECT actor.host_claim(:h2, NULL, :'reminder');
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, NULL, :'reminder');
COMMIT;
SELECT count(actor.host_place(:h2, 'hosted', id)) FROM unnest(ARRAY['r', 'm', 't']) id;
BEGIN;
SELECT action, frame, current = pg_temp.token('r') AS token, anew, method, name, data, due_time, period, traceparent, attempt
  FROM actor.host_claim(:h2, NULL, :'reminder') \gset c_
\echo :c_action :c_token :c_anew :c_method :c_name :c_data :c_due_time :c_period :c_attempt
SELECT depth, actor_id, method FROM actor_call_chain();
SELECT actor_cause() - 'scheduled_at' - 'fired_at' AS cause;
SELECT actor.host_exit(:c_frame);
ROLLBACK;
BEGIN;
SELECT frame FROM actor.host_claim(:h2, NULL, :'reminder') \gset
SAVEPOINT s;
SELECT actor_transact('hosted', 'r', '[{"operation": "upsert", "request": {"key": "a", "value": 1}}]');
ROLLBACK TO s;
SELECT actor.host_failed(:frame, 'bad');
ROLLBACK TO s;
SELECT actor.host_failed(:frame, message => '(500) no', detail => 'body');
COMMIT;
SELECT attempt, last_error, fired FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'r';
SELECT count(*) FROM actor.state WHERE actor_type = 'hosted' AND actor_id = 'r';
-- not as it was any more
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, NULL, :'reminder');
COMMIT;
CALL wait_until($$SELECT next_try_at <= clock_timestamp() FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'r'$$);
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS reminder FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'reminder' \gset
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, pg_temp.token('r'), :'reminder') \gset
\echo :action
SELECT actor_transact('hosted', 'r', '[{"operation": "upsert", "request": {"key": "a", "value": 2}}]');
SELECT actor.host_fired(:frame);
COMMIT;
SELECT attempt, last_error, remaining, fired FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'r';
-- the wait ends when something is due
SELECT actor_set_reminder('hosted', 'r', 'wake', '300ms');
CALL actor.host_wait(:h2, now() + '1 minute', ARRAY[(:'timer'::jsonb ->> 'key')::bigint, (:'message'::jsonb ->> 'key')::bigint]) \gset
SELECT d::text AS reminder FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'reminder' \gset
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, pg_temp.token('r'), :'reminder') \gset
\echo :action
SELECT actor.host_fired(:frame);
COMMIT;
SELECT count(*) FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'r';
-- the timer of an earlier life is gone with the first turn at this host
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, pg_temp.token('t'), :'timer');
COMMIT;
SELECT count(*) FROM actor.timer WHERE actor_type = 'hosted' AND actor_id = 't';
SELECT actor_set_timer('hosted', 't', 'tick', data => '2', due_time => '0s', method => 'on tick');
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS timer FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'timer' \gset
BEGIN;
SELECT action, frame, method, name, data, due_time, period FROM actor.host_claim(:h2, pg_temp.token('t'), :'timer') \gset c_
\echo :c_action :c_method :c_name :c_data :c_due_time :c_period
SELECT actor.host_fired(:c_frame);
COMMIT;
SELECT count(*) FROM actor.timer WHERE actor_type = 'hosted' AND actor_id = 't';
-- messages: in their order, and given up after the last try
SET client_min_messages = error;
BEGIN;
SELECT action, frame, method, data FROM actor.host_claim(:h2, pg_temp.token('m'), :'message') \gset c_
\echo :c_action :c_method :c_data
SELECT actor.host_fired(:c_frame);
COMMIT;
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS message FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'kind' = 'message' \gset
BEGIN;
SELECT action, frame, method, data FROM actor.host_claim(:h2, pg_temp.token('m'), :'message') \gset c_
\echo :c_action :c_method :c_data
SELECT actor.host_failed(:c_frame, message => 'no');
COMMIT;
SELECT method, attempt, last_error FROM actor.message WHERE actor_type = 'hosted' ORDER BY message_id;
SELECT actor_send('hosted', 'g', 'never', failure_policy => '{"drop": {}}') IS NOT NULL AS sent;
SELECT count(actor.host_place(:h2, 'hosted', 'g'));
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS message FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'actor_id' = 'g' \gset
BEGIN;
SELECT frame FROM actor.host_claim(:h2, pg_temp.token('g'), :'message') \gset
SELECT actor.host_failed(:frame, 'P0001', '(500) never', 'the body');
COMMIT;
SELECT kind, method, attempts, sqlstate, message, detail, role_name FROM actor.failure WHERE actor_type = 'hosted';
SELECT count(actor_retry(failure_id)) FROM actor.failure WHERE actor_type = 'hosted';
SELECT method, hosted FROM actor.message WHERE actor_type = 'hosted' AND actor_id = 'g';
SET client_min_messages = warning;
-- paused: nobody fires, and it is there when the actor is resumed
SELECT actor_pause('hosted', 'g');
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS message FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'actor_id' = 'g' \gset
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, pg_temp.token('g'), :'message');
COMMIT;
CALL actor.host_wait(:h2, 'now') \gset
SELECT count(*) FROM pg_temp.due(:'due') WHERE actor_id = 'g';
SELECT actor_resume('hosted', 'g');
CALL actor.host_wait(:h2, 'now') \gset
SELECT count(*) FROM pg_temp.due(:'due') WHERE actor_id = 'g';
-- a method that has become a function goes to the executors, and back
CREATE TABLE hosted.done (what text);
CREATE FUNCTION hosted.never() RETURNS void LANGUAGE sql AS $$ INSERT INTO hosted.done VALUES (actor_method()) $$;
CALL actor.host_wait(:h2, 'now') \gset
SELECT d::text AS message FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'actor_id' = 'g' \gset
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, pg_temp.token('g'), :'message');
COMMIT;
CALL wait_until('SELECT count(*) = 1 FROM hosted.done');
SELECT actor_set_reminder('hosted', 'g', 'never', '300ms', data => '{}');
SELECT hosted FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'g';
DROP FUNCTION hosted.never();
CALL wait_until($$SELECT hosted FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'g'$$);
CALL actor.host_wait(:h2, 'now') \gset
SELECT * FROM pg_temp.due(:'due') WHERE actor_id = 'g';
-- a hook that fails is a failed attempt
CREATE FUNCTION hosted.on_activate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
SELECT actor_deactivate('hosted', 'g');
SELECT d::text AS reminder FROM jsonb_array_elements(:'due'::jsonb -> 'due') d WHERE d ->> 'actor_id' = 'g' \gset
BEGIN;
SELECT action, frame FROM actor.host_claim(:h2, pg_temp.token('g'), :'reminder');
COMMIT;
SELECT attempt, last_error FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'g';
DROP FUNCTION hosted.on_activate();
-- what is no row
BEGIN;
SELECT actor.host_claim(:h2, NULL, NULL);
ROLLBACK;
BEGIN;
SELECT actor.host_claim(:h2, NULL, '[]');
ROLLBACK;
BEGIN;
SELECT actor.host_claim(:h2, NULL, '{"kind": "idle"}');
ROLLBACK;
BEGIN;
SELECT actor.host_claim(:h2, NULL, '{"kind": "timer", "actor_type": "hosted", "actor_id": "1", "name": "n", "generation": "x"}');
ROLLBACK;
BEGIN;
SELECT frame FROM actor.host_enter(:h2, 'hosted', 'g', 'm') \gset
SELECT actor.host_fired(:frame);
ROLLBACK;

-- names that would be parts of a path at the application
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'allowed';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN SQLERRM;
END $$;
SELECT i AS id, pg_temp.outcome(format('SELECT actor_send(%L, %L, %L)', 'hosted', i, 'm'))
  FROM unnest('{.,..,a/b,/,"a\\b",a?b,a#b,...,.a,%2e%2e,"a b"}'::text[]) i;
SELECT pg_temp.outcome(format('SELECT actor_send(%L, %L, %L)', 'hosted', e'a\nb', 'm'));
SELECT m AS method, pg_temp.outcome(format('SELECT actor_send(%L, %L, %L)', 'hosted', 'n', m))
  FROM unnest('{.,..,a//b,/a,a/,a/../b,./a,../m,a?b,a#b,...,a/b,.a,a.,%2e}'::text[]) m;
SELECT actor.host_place(:h2, 'hosted', '..');
SELECT actor_set_reminder('hosted', '..', 'r', due_time => '1h');
SELECT actor_set_reminder('hosted', 'n', '..', due_time => '1h');
SELECT actor_set_reminder('hosted', 'n', 'a/b', due_time => '1h', method => 'm');
SELECT actor_set_timer('hosted', '..', 't', due_time => '1h');
SELECT actor_set_timer('hosted', 'n', 'a/b', due_time => '1h');
SELECT actor_each('hosted', 'a/../b');
SELECT actor_subscribe('said', 'hosted', '..', 'm', 'hosted', 's');
SELECT actor_subscribe('said', 'hosted', 'n', '../m', 'hosted', 's');
BEGIN;
SELECT actor.host_enter(:h2, 'hosted', '..', 'm');
ROLLBACK;
BEGIN;
SELECT actor.host_enter(:h2, 'hosted', 'n', '..');
ROLLBACK;
-- methods in SQL may have them
SELECT actor_invoke('hosted', '..', 'put', '["a", 1]'), actor_invoke('hosted', 'a/b', 'peek', '["a"]');
SELECT actor_send('hosted', '..', 'peek', '["a"]') > 0 AS sent, actor_set_reminder('hosted', '..', 'a/b', due_time => '1h', data => '["a"]', method => 'peek') IS NOT NULL AS set;
SELECT count(actor_delete('hosted', i)) FROM unnest('{..,...,.a,%2e%2e,a b,n}'::text[]) i;
-- and no type that an application has
CREATE SCHEMA "..";
SELECT actor_register('..', hosted => true);
SELECT actor_configure('{"entities": [".."]}', hosted => true);
SELECT actor_rename('hosted', 'a/b');
DROP SCHEMA "..";

-- a type that is hosted no longer: its rows are for the executors
SELECT hosted FROM actor.reminder WHERE actor_type = 'hosted' AND actor_id = 'g';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_register('hosted');
ROLLBACK;
BEGIN;
SELECT actor_register('hosted');
SELECT count(*) FILTER (WHERE hosted), count(*) > 0 AS rows FROM (SELECT hosted FROM actor.reminder WHERE actor_type = 'hosted' UNION ALL SELECT hosted FROM actor.message WHERE actor_type = 'hosted') r;
SELECT count(*) FROM actor.placement WHERE actor_type = 'hosted';
SELECT action FROM actor.host_enter(:h2, 'hosted', '1', 'm');
ROLLBACK;

-- the end
SELECT actor.host_forget_all(:h2) > 0 AS forgotten;
SELECT actor.host_leave(:h2);
-- only one row is due, whatever is tried again and when
SELECT actor_delete_reminder('hosted', 'g', 'never');
SELECT bool_and(actor_cancel_message(actor_type, actor_id, message_id)) AS canceled FROM actor.message WHERE actor_type = 'hosted';
SELECT actor_send('hosted', 'w', 'm') > 0 AS sent;
RESET SESSION AUTHORIZATION;
-- (how many rows are due depends on how long all this has taken)
SELECT check_name, regexp_replace(detail, '\d+', 'n') AS detail, hint FROM actor_doctor() WHERE NOT ok AND check_name IN ('hosts', 'applications');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_rename('hosted', 'hosted by name');
SELECT actor_unregister('hosted by name', true);
SELECT actor_unregister('plain', true);
DROP SCHEMA hosted, plain CASCADE;
RESET SESSION AUTHORIZATION;
DELETE FROM actor.host;
