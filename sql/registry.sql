--
-- Actor types: registering, registering again, unregistering, and who may.
--
SET SESSION AUTHORIZATION regress_actor_owner;

-- what differs from server to server is left out
\set columns 'actor_type, schema_name, owner_name, idle_timeout, scan_interval, reentrancy, max_stack_depth, call_timeout, drain_ongoing_call_timeout, drain_rebalanced_actors, reminders_storage_partitions'

-- the schema is that of the same name, which must exist
SELECT actor_register('account');
\echo :LAST_ERROR_SQLSTATE
CREATE SCHEMA account;
CREATE FUNCTION account.ping() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'account' $$;
SELECT actor_register('account');
SELECT :columns FROM actor.type ORDER BY actor_type;
SELECT actor_invoke('account', '1', 'ping');

-- all options, by name; registering again replaces all of them
SELECT actor_register('account', idle_timeout => '1 minute', scan_interval => '10 seconds',
                      reentrancy => true, max_stack_depth => 5, call_timeout => '2 seconds',
                      drain_ongoing_call_timeout => '0', drain_rebalanced_actors => false,
                      reminders_storage_partitions => 0);
\x on
SELECT :columns FROM actor.type ORDER BY actor_type;
SELECT actor_register('account', call_timeout => '0');
SELECT :columns FROM actor.type ORDER BY actor_type;
\x off

-- options out of range
SELECT option, r.*
  FROM (VALUES ('idle_timeout => ''0'''),
               ('idle_timeout => ''-1 second'''),
               ('idle_timeout => ''1000 years'''),
               ('idle_timeout => ''1 microsecond'''),
               ('scan_interval => ''0'''),
               ('scan_interval => ''-1 month'''),
               ('max_stack_depth => 0'),
               ('max_stack_depth => -2147483648'),
               ('call_timeout => ''-1 millisecond'''),
               ('call_timeout => ''178000000 years'''),
               ('drain_ongoing_call_timeout => ''-1 microsecond'''),
               ('drain_ongoing_call_timeout => ''1000 years'''),
               ('reminders_storage_partitions => -1')) AS o (option),
       LATERAL refusal(format('SELECT actor_register(%L, %s)', 'account', option)) AS r
 ORDER BY option COLLATE "C";
SELECT actor_register('account', max_stack_depth => 0);
SELECT actor_register('account', call_timeout => '-1 second');

-- limits of the name, checked first
SELECT actor_register(NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT actor_register('');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_register(repeat('x', 64), max_stack_depth => 0);
SELECT actor_register(repeat('x', 1000000), 'account');
SELECT actor_register(repeat('x', 63));
SELECT actor_unregister(NULL);
SELECT actor_unregister('');
SELECT actor_unregister(repeat('x', 1000000));
SELECT actor_unregister('account', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT actor_unregister('nobody');
\echo :LAST_ERROR_SQLSTATE

-- one schema, one type
SELECT actor_register('other', 'account');
\echo :LAST_ERROR_SQLSTATE

-- names are exact, whatever they contain
CREATE SCHEMA "A quote "" and 'another'. Ünï";
CREATE FUNCTION "A quote "" and 'another'. Ünï"."do ""it"" Ü"() RETURNS text
STABLE LANGUAGE sql AS $$ SELECT concat_ws('|', actor_type(), actor_id(), actor_method()) $$;
SELECT actor_register(E'two\nlines "and" \\ Ü', E'A quote " and ''another''. Ünï');
\pset format unaligned
SELECT actor_type, schema_name FROM actor.type ORDER BY actor_type;
SELECT actor_invoke(E'two\nlines "and" \\ Ü', E'an "id"\nwith ''all'' \\ Ü', 'do "it" Ü');
\pset format aligned
SELECT actor_invoke(E'two\nlines "and" \\ Ü', E'an "id"\n', 'do it');
SELECT actor_unregister(E'two\nlines "and" \\ Ü');
DROP SCHEMA "A quote "" and 'another'. Ünï" CASCADE;

-- a type is found by its exact name
SELECT actor_invoke('Account', '1', 'ping');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('account ', '1', 'ping');

-- limits of a call's arguments, checked first
SELECT actor_invoke(NULL, '1', 'ping');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('account', NULL, 'ping');
SELECT actor_invoke('account', '1', NULL);
SELECT actor_invoke('', '1', 'ping');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke(repeat('x', 64), '1', 'ping');
SELECT actor_invoke('nobody', '', 'ping');
SELECT actor_invoke('nobody', repeat('x', 513), 'ping');
SELECT actor_invoke('nobody', repeat('x', 1000000), 'ping');
SELECT actor_invoke('account', repeat('x', 512), 'ping');
SELECT actor_invoke('account', repeat('Ü', 257), 'ping');
SELECT actor_invoke('nobody', '1', 'ping');

-- schemas of the system and of the extension
SELECT name, r.*
  FROM unnest(ARRAY['actor', 'information_schema', 'pg_catalog', 'pg_temp', 'pg_toast']) AS name,
       LATERAL refusal(format('SELECT actor_register(%L)', name)) AS r
 ORDER BY name;
RESET SESSION AUTHORIZATION;
SELECT actor_register('pg_catalog');
\echo :LAST_ERROR_SQLSTATE

-- another's schema, another's type
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_register('mine', 'account');
\echo :LAST_ERROR_SQLSTATE
CREATE SCHEMA mine;
SELECT actor_register('account', 'mine');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_unregister('account');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_unregister('account', force => true);
DROP SCHEMA mine;

-- a superuser may, and leaves the type with the owner of the schema
RESET SESSION AUTHORIZATION;
SELECT actor_register('account');
SELECT actor_type, schema_name, owner_name FROM actor.type ORDER BY actor_type;

-- a member of the owner may
GRANT regress_actor_owner TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_register('account', reentrancy => true);
SELECT actor_type, owner_name, reentrancy FROM actor.type ORDER BY actor_type;
RESET SESSION AUTHORIZATION;
REVOKE regress_actor_owner FROM regress_actor_granted;

-- PUBLIC and the schema
SET SESSION AUTHORIZATION regress_actor_owner;
GRANT USAGE ON SCHEMA account TO PUBLIC;
SELECT actor_register('account');
REVOKE USAGE ON SCHEMA account FROM PUBLIC;
SELECT actor_register('account');

-- a type moves to another schema, also for a session that has used it
CREATE SCHEMA account2;
CREATE FUNCTION account2.ping() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'account2' $$;
SELECT actor_invoke('account', '1', 'ping');
SELECT actor_register('account', 'account2');
SELECT actor_invoke('account', '1', 'ping');
SELECT actor_register('account', 'account');
SELECT actor_invoke('account', '1', 'ping');
-- what was rolled back has not happened
BEGIN;
SELECT actor_register('account', 'account2');
SELECT actor_invoke('account', '1', 'ping');
ROLLBACK;
SELECT actor_invoke('account', '1', 'ping');
BEGIN;
SAVEPOINT s;
SELECT actor_unregister('account');
SELECT actor_invoke('account', '1', 'ping');
ROLLBACK TO s;
SELECT actor_invoke('account', '1', 'ping');
COMMIT;
DROP SCHEMA account2 CASCADE;

-- a type follows neither a rename of its schema nor one of its owner
ALTER SCHEMA account RENAME TO ledger;
SELECT actor_invoke('account', '1', 'ping');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_register('account', 'ledger');
SELECT actor_invoke('account', '1', 'ping');
ALTER SCHEMA ledger RENAME TO account;
SELECT actor_register('account');
RESET SESSION AUTHORIZATION;
ALTER SCHEMA account OWNER TO regress_actor_stranger;
SELECT actor_invoke('account', '1', 'ping');
\echo :LAST_ERROR_SQLSTATE
-- nobody owns it then; the new owner of the schema can register it again
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_invoke('account', '1', 'ping');
SELECT actor_unregister('account');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_register('account');
SELECT actor_unregister('account');
SET SESSION AUTHORIZATION regress_actor_stranger;
BEGIN;
SELECT actor_register('account');
SELECT actor_invoke('account', '1', 'ping');
ROLLBACK;
-- but not with another schema of that name, even if that is a type of its own
RESET SESSION AUTHORIZATION;
BEGIN;
ALTER SCHEMA account RENAME TO account_before;
SET LOCAL SESSION AUTHORIZATION regress_actor_stranger;
CREATE SCHEMA account;
SELECT actor_register('account');
ROLLBACK;
BEGIN;
ALTER SCHEMA account RENAME TO account_before;
SET LOCAL SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_register('account', 'account_before');
SELECT actor_type, schema_name, owner_name FROM actor.type;
ROLLBACK;
-- a superuser can say whose it is now
RESET SESSION AUTHORIZATION;
SELECT actor_register('account');
SELECT actor_type, owner_name FROM actor.type ORDER BY actor_type;
SELECT actor_invoke('account', '1', 'ping');
ALTER SCHEMA account OWNER TO regress_actor_owner;
SELECT actor_register('account');

-- the owner's name is gone
CREATE ROLE regress_actor_gone;
CREATE SCHEMA gone AUTHORIZATION regress_actor_gone;
SELECT actor_register('gone');
ALTER ROLE regress_actor_gone RENAME TO regress_actor_renamed;
SELECT actor_invoke('gone', '1', 'ping');
SET SESSION AUTHORIZATION regress_actor_renamed;
SELECT actor_unregister('gone');
\echo :LAST_ERROR_SQLSTATE
BEGIN;
SELECT actor_register('gone');
SELECT owner_name FROM actor.type WHERE actor_type = 'gone';
ROLLBACK;
RESET SESSION AUTHORIZATION;
DROP SCHEMA gone;
SELECT actor_invoke('gone', '1', 'ping');
SELECT actor_unregister('gone');
DROP ROLE regress_actor_renamed;

-- unregistering while there is data
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE FUNCTION account.put(value int) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('value', value); END $$;
SELECT actor_invoke('account', '1', 'put', '{"value": 1}');
SELECT actor_unregister('account');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('account', '1', 'ping', '1h');
SELECT actor_unregister('account');
BEGIN;
SELECT actor_unregister('account', force => true);
SELECT count(*) FROM actor.state;
SELECT count(*) FROM actor.reminder;
SELECT actor_invoke('account', '1', 'ping');
ROLLBACK;
SELECT actor_invoke('account', '1', 'ping');
-- data in a reminder alone
CREATE FUNCTION account.forget() RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_remove('value'); END $$;
SELECT actor_invoke('account', '1', 'forget');
SELECT actor_unregister('account');
SELECT actor_unregister('account', force => true);
SELECT actor_invoke('account', '1', 'ping');
SELECT actor_set_reminder('account', '1', 'ping', '1h');
SELECT actor_get_reminder('account', '1', 'ping');
\echo :LAST_ERROR_SQLSTATE

-- not where nothing can be written, nor on a snapshot that may be old
SELECT actor_register('account');
BEGIN READ ONLY;
SELECT actor_register('account');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN READ ONLY;
SELECT actor_unregister('account');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_unregister('account');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT actor_register('account');
COMMIT;

-- a method that unregisters its own type leaves nothing behind
CREATE FUNCTION account.suicide(write boolean) RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('value', 1);
    PERFORM actor_unregister('account', force => true);
    IF write THEN
        PERFORM actor_set('value', 2);
    END IF;
    RETURN concat_ws('/', actor_type(), actor_id(), actor_method());
END
$$;
SELECT actor_invoke('account', '1', 'suicide', '{"write": true}');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('account', '1', 'suicide', '{"write": false}');
SELECT count(*) FROM actor.state;
SELECT count(*) FROM actor.type;
SELECT at_rest();
DROP SCHEMA account CASCADE;
RESET SESSION AUTHORIZATION;

-- What a session knows of a type is in a memory context of its own.  It stays
-- when another type is paused; it goes when a function changes, although a
-- method runs, and whatever changes meanwhile does not pile up.
CREATE SCHEMA known_a;
CREATE SCHEMA known_b;
CREATE VIEW known_types AS
    SELECT ident FROM pg_backend_memory_contexts
    WHERE name = 'actor type' AND ident LIKE 'known\__';
CREATE FUNCTION known_a.change(rounds int) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. rounds LOOP
        EXECUTE 'CREATE OR REPLACE FUNCTION known_b.changed() RETURNS int LANGUAGE sql STABLE RETURN ' || i;
        PERFORM actor_invoke('known_b', '1', 'changed');
    END LOOP;
    RETURN (SELECT count(*) FROM known_types WHERE ident = 'known_b');
END
$$;
SELECT actor_register('known_a');
SELECT actor_register('known_b');
SELECT actor_invoke('known_a', '1', 'change', '{"rounds": 1}') AS first_of_b;
SELECT actor_invoke('known_a', '1', 'change', '{"rounds": 50}') AS still_one;
SELECT actor_invoke('known_b', '1', 'changed');
SELECT actor_pause('known_a', '2');
SELECT actor_resume('known_a', '2');
SELECT actor_invoke('known_a', '1', 'change', '{"rounds": 0}') AS b_has_stayed;
CREATE FUNCTION public.of_somebody_else() RETURNS int LANGUAGE sql RETURN 1;
SELECT actor_invoke('known_a', '1', 'change', '{"rounds": 0}') AS b_has_gone;
SELECT ident, count(*) FROM known_types GROUP BY ident;
DROP FUNCTION public.of_somebody_else();
DROP VIEW known_types;
SELECT actor_unregister('known_a', force => true);
SELECT actor_unregister('known_b', force => true);
DROP SCHEMA known_a, known_b CASCADE;

--
-- Renaming a type: all rows of all tables go with it
--
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA clock;
CREATE FUNCTION clock.hit() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('hits', actor_get('hits', 0) + 1);
    RETURN concat_ws('/', actor_type(), actor_id());
END $$;
CREATE FUNCTION clock.rename(new_name text) RETURNS void LANGUAGE sql
AS $$ SELECT actor_rename(actor_type(), new_name) $$;
CREATE FUNCTION clock.rename_stable() RETURNS void STABLE LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_rename('other', 'another'); END $$;
SELECT actor_register('clock', call_timeout => '7s', reentrancy => true, history => 'changes');
CREATE SCHEMA another_clock;
SELECT actor_register('other', 'another_clock');
RESET SESSION AUTHORIZATION;
-- rows of a type, by table; a type with a row in each table that has types
CREATE FUNCTION rows_of(type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    relation text;
    n bigint;
    result text[] := '{}';
BEGIN
    FOR relation IN SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'r' AND a.attname = 'actor_type'
        ORDER BY c.relname COLLATE "C"
    LOOP
        EXECUTE format('SELECT count(*) FROM actor.%I WHERE actor_type = $1', relation) INTO n USING type;
        result := result || format('%s %s', relation, n);
    END LOOP;
    RETURN array_to_string(result, ', ');
END $$;
BEGIN;
SELECT actor_invoke('clock', 'a', 'hit', request_id => 'once');
SELECT actor_open_turn('clock', 'a') IS NOT NULL AS opened;
SELECT actor_set_reminder('clock', 'b', 'hit', '100h');
SELECT actor_set_timer('clock', 'b', 'hit', '100h');
SELECT actor_send('clock', 'b', 'hit', due_time => '101h') IS NOT NULL AS sent;
SELECT actor_pause('clock', 'c');
INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, scheduled_at, failed_at, attempts, sqlstate, message, role_name)
VALUES ('clock', 'b', 'message', '1', 'hit', now(), now(), 1, 'XX000', 'made up', current_user);
INSERT INTO actor.each (actor_type, each_id, method, batch, role_name, started_at, sent, finished_at)
VALUES ('clock', gen_random_uuid(), 'hit', 1, current_user, now(), 1, now());
COMMIT;
SELECT rows_of('clock');
SELECT actor_rename('clock', 'watch');
SELECT rows_of('clock');
SELECT rows_of('watch');
SELECT actor_type, schema_name, call_timeout FROM actor.type WHERE actor_type IN ('clock', 'watch');
-- the old name is gone, the new one has what there was
SELECT actor_invoke('clock', 'b', 'hit');
SELECT actor_invoke('watch', 'b', 'hit');
SELECT actor_close_turn('watch', 'a', (SELECT reentrancy_id FROM actor.activation WHERE actor_type = 'watch' AND actor_id = 'a'));
SELECT actor_invoke('watch', 'a', 'hit', request_id => 'once');
SELECT actor_invoke('watch', 'c', 'hit');
-- what is due is due under the new name; timer, reminder and message
SELECT actor_resume('watch', 'c');
SELECT actor_invoke('watch', 'c', 'hit');
SELECT actor_run_due(now() + interval '200 hours');
SELECT actor_id, key, value FROM actor.state WHERE actor_type = 'watch' ORDER BY actor_id;
-- in a transaction that has turns of the type, there and back, and undone
BEGIN;
SELECT actor_invoke('watch', 'b', 'hit');
SELECT actor_rename('watch', 'clock');
SELECT actor_invoke('clock', 'b', 'hit');
SAVEPOINT s;
SELECT actor_rename('clock', 'watch');
SELECT actor_invoke('watch', 'b', 'hit');
ROLLBACK TO s;
SELECT actor_invoke('clock', 'b', 'hit');
SELECT actor_rename('clock', 'watch');
SELECT actor_invoke('watch', 'b', 'hit');
SELECT actor_id, value FROM actor.state WHERE actor_type = 'watch' AND actor_id = 'b';
ROLLBACK;
-- what is refused
SELECT call, r.state, r.message, r.hint
  FROM unnest(ARRAY[$$actor_rename('watch', 'watch')$$, $$actor_rename('watch', 'other')$$, $$actor_rename('wotch', 'x')$$,
                    $$actor_rename('watch', '')$$, $$actor_rename('watch', repeat('x', 64))$$, $$actor_rename('watch', NULL)$$,
                    $$actor_rename(NULL, 'x')$$, $$actor_invoke('watch', 'b', 'rename', '["x"]')$$,
                    $$actor_invoke('watch', 'b', 'rename_stable')$$]) AS call,
       LATERAL refusal('SELECT ' || call) AS r;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_rename('watch', 'mine');
RESET SESSION AUTHORIZATION;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_rename('watch', 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT actor_rename('watch', 'x');
ROLLBACK;
-- messages that are still with their sender go with the type of the receiver, and follow
-- both types and the role
BEGIN;
INSERT INTO actor.outbox (actor_type, actor_id, message_id, receiver_type, receiver_id, method, due_at, role_name, sent_at)
VALUES ('watch', 'a', 1, 'watch', 'b', 'hit', now(), current_user, now()),
       ('other', 'a', 2, 'watch', 'b', 'hit', now(), current_user, now()),
       ('watch', 'a', 3, 'other', 'b', 'hit', now(), current_user, now());
INSERT INTO actor.forwarded VALUES ('watch', 'b', 1, now());
SELECT actor_rename('watch', 'clock');
SELECT actor_type, receiver_type FROM actor.outbox ORDER BY message_id;
SELECT actor_type FROM actor.forwarded;
SELECT actor_unregister('clock', force => true);
SELECT actor_type, receiver_type FROM actor.outbox ORDER BY message_id;
SELECT count(*) FROM actor.forwarded;
CREATE ROLE regress_actor_heir LOGIN;
SELECT actor_reassign(current_user, 'regress_actor_heir') > 0 AS reassigned;
SELECT role_name FROM actor.outbox;
ROLLBACK;
-- a role that is dropped leaves them behind
BEGIN;
CREATE ROLE regress_actor_heir LOGIN;
INSERT INTO actor.outbox (actor_type, actor_id, message_id, receiver_type, receiver_id, method, due_at, role_name, sent_at)
VALUES ('other', 'a', 1, 'other', 'b', 'hit', now(), 'regress_actor_heir', now());
DROP ROLE regress_actor_heir;
ROLLBACK;
SELECT actor_unregister('watch', force => true);
SELECT rows_of('watch');
DROP FUNCTION rows_of(text);
SELECT actor_unregister('other');
DROP SCHEMA clock, another_clock CASCADE;
SELECT at_rest();
