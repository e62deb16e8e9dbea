--
-- Life of an actor: activation, hooks, deactivation, deletion.
--
-- That idle actors are deactivated is tested by t/013_lifecycle.pl.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE regress_actor_life_owner;
CREATE ROLE regress_actor_life_caller;
CREATE ROLE regress_actor_life_other;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_life_owner;

SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE SCHEMA life;
GRANT USAGE ON SCHEMA life TO regress_actor_life_caller;
CREATE TABLE life.log (n int GENERATED ALWAYS AS IDENTITY, what text);
GRANT INSERT ON life.log TO regress_actor_life_caller;
CREATE FUNCTION life._note(what text) RETURNS void
LANGUAGE sql AS $$ INSERT INTO life.log (what) VALUES (what) $$;
CREATE FUNCTION life.on_activate() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM life._note(format('%s %s as %s because of %s', actor_method(), actor_id(),
                              current_user, actor_cause()));
    IF actor_id() = 'unwilling' THEN
        RAISE 'will not';
    END IF;
END $$;
CREATE FUNCTION life.on_deactivate() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM life._note(format('%s %s as %s because of %s, n is %s', actor_method(),
                              actor_id(), current_user, actor_cause(), actor_get('n', 0)));
    IF actor_id() = 'stubborn' THEN
        RAISE 'cannot' USING DETAIL = 'never could';
    END IF;
END $$;
CREATE FUNCTION life.put(n int) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM life._note(format('put %s into %s', n, actor_id()));
    PERFORM actor_set('n', n);
END $$;
CREATE FUNCTION life.get() RETURNS int STABLE
LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
REVOKE ALL ON FUNCTION life.on_activate(), life.on_deactivate() FROM PUBLIC;
SELECT actor_register('life', idle_timeout => '1 hour', scan_interval => '1 hour');

-- what happened since the last look
CREATE PROCEDURE life._show() LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN SELECT what FROM life.log ORDER BY n LOOP
        RAISE NOTICE '%', line;
    END LOOP;
    DELETE FROM life.log;
END $$;

-- a read-only call leaves no trace
SELECT actor_invoke('life', 'a', 'get');
SELECT count(*) FROM actor.activation;

-- the first writing call activates, as the caller, who needs no right to that
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_invoke('life', 'a', 'put', '[1]');
SELECT actor_invoke('life', 'a', 'put', '[2]');
SET SESSION AUTHORIZATION regress_actor_life_owner;
CALL life._show();
SELECT actor_type, actor_id, activated_at = last_used_at AS not_touched,
       server_start = pg_postmaster_start_time() AS of_this_start
  FROM actor.activation;
SELECT actor_type, actor_id, keys, bytes > 0 AS has_bytes, activated_at <= now() AS active
  FROM actor.instance;

-- the hook cannot be called
SELECT actor_invoke('life', 'a', 'on_activate');
SELECT actor_invoke('life', 'a', 'on_deactivate');

-- an error of the hook is the call's, and nothing has happened
SELECT actor_invoke('life', 'unwilling', 'put', '[1]');
SELECT actor_id FROM actor.activation;
CALL life._show();

-- once in a transaction, and again after a rollback of it, also when the turn
-- has been taken before
BEGIN;
SELECT actor_deactivate('life', 'b');
SAVEPOINT s;
SELECT actor_invoke('life', 'b', 'put', '[1]');
SELECT actor_invoke('life', 'b', 'put', '[2]');
ROLLBACK TO s;
SELECT actor_invoke('life', 'b', 'put', '[3]');
SAVEPOINT s;
SELECT actor_invoke('life', 'b', 'put', '[4]');
RELEASE s;
SELECT actor_invoke('life', 'b', 'put', '[5]');
SAVEPOINT s;
SELECT actor_deactivate('life', 'b');
SELECT actor_deactivate('life', 'b');
ROLLBACK TO s;
SELECT actor_invoke('life', 'b', 'put', '[6]');
COMMIT;
CALL life._show();

-- the same with exceptions that a method catches
CREATE FUNCTION life.juggle() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        PERFORM actor_invoke('life', 'c', 'put', '[1]');
        RAISE 'drop it';
    EXCEPTION WHEN raise_exception THEN
        NULL;
    END;
    PERFORM life._note(format('active: %s', (SELECT count(*) FROM actor.activation WHERE actor_id = 'c')));
    PERFORM actor_invoke('life', 'c', 'put', '[2]');
END $$;
SELECT actor_invoke('life', 'juggler', 'juggle');
CALL life._show();

-- the time of the last use is written lazily
SELECT last_used_at AS before FROM actor.activation WHERE actor_id = 'a' \gset
SELECT actor_invoke('life', 'a', 'put', '[1]');
SELECT last_used_at = :'before' AS lazy FROM actor.activation WHERE actor_id = 'a';
SELECT actor_register('life', scan_interval => '1 microsecond');
SELECT actor_invoke('life', 'a', 'put', '[1]');
SELECT last_used_at > :'before' AS written FROM actor.activation WHERE actor_id = 'a';
-- once in a transaction, at its end, also if the method has failed
SELECT last_used_at AS before FROM actor.activation WHERE actor_id = 'a' \gset
BEGIN;
SELECT pg_stat_get_xact_tuples_updated('actor.activation'::regclass) AS writes \gset
SELECT actor_invoke('life', 'a', 'put', '[1]');
SAVEPOINT s;
SELECT actor_invoke('life', 'a', 'put', '["no number"]');
ROLLBACK TO s;
-- (a turn that is a row writes it, too)
SELECT pg_stat_get_xact_tuples_updated('actor.activation'::regclass) - :writes - (current_setting('actor.turn_lock') = 'row')::int AS writes;
COMMIT;
SELECT last_used_at > :'before' AS written FROM actor.activation WHERE actor_id = 'a';
-- also if the transaction has become read-only meanwhile
SELECT last_used_at AS before FROM actor.activation WHERE actor_id = 'a' \gset
BEGIN;
SELECT actor_invoke('life', 'a', 'put', '[1]');
SET TRANSACTION READ ONLY;
COMMIT;
SELECT last_used_at > :'before' AS written FROM actor.activation WHERE actor_id = 'a';
SELECT last_used_at AS before FROM actor.activation WHERE actor_id = 'a' \gset
SELECT actor_invoke('life', 'a', 'get');
SELECT last_used_at = :'before' AS reading_does_not_count FROM actor.activation WHERE actor_id = 'a';
SELECT actor_register('life');
DELETE FROM life.log;

-- deactivation
SELECT actor_deactivate('life', 'a');
SELECT actor_deactivate('life', 'a');
CALL life._show();
SELECT actor_type, actor_id, keys, activated_at, last_used_at
  FROM actor.instance WHERE actor_id = 'a';

-- a failing hook does not save the actor
SELECT actor_invoke('life', 'stubborn', 'put', '[1]');
SELECT actor_deactivate('life', 'stubborn');
SELECT kind, name, method, attempts, sqlstate, message, detail, role_name
  FROM actor.failure WHERE actor_id = 'stubborn';
SELECT actor_id FROM actor.activation WHERE actor_id = 'stubborn';
CALL life._show();

-- who may
SELECT actor_invoke('life', 'a', 'put', '[1]');
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_deactivate('life', 'a');
SELECT actor_delete('life', 'a');
SELECT * FROM actor.activation;
SELECT * FROM actor.instance;
SET SESSION AUTHORIZATION regress_actor_life_other;
SELECT actor_deactivate('life', 'a');
SELECT actor_deactivate('nothing', 'a');
SELECT actor_deactivate(NULL, 'a');
SELECT actor_deactivate('life', '');
SET SESSION AUTHORIZATION regress_actor_life_owner;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_deactivate('life', 'a');
ROLLBACK;
BEGIN READ ONLY;
SELECT actor_deactivate('life', 'a');
ROLLBACK;

-- a method may end the life of its own actor, and go on
CREATE FUNCTION life.leave(deletes boolean) RETURNS boolean SECURITY INVOKER
LANGUAGE plpgsql AS $$
DECLARE
    result boolean;
BEGIN
    PERFORM actor_set('n', 7);
    IF deletes THEN
        result := actor_delete(actor_type(), actor_id());
    ELSE
        result := actor_deactivate(actor_type(), actor_id());
    END IF;
    PERFORM actor_set('left', true);
    RETURN result;
END $$;
CREATE FUNCTION life.push(other text) RETURNS boolean
LANGUAGE sql AS $$ SELECT actor_deactivate('life', other) $$;
CREATE FUNCTION life.push_back() RETURNS jsonb
LANGUAGE sql AS $$ SELECT actor_invoke('life', 'pusher', 'push', jsonb_build_array(actor_id())) $$;
TRUNCATE life.log;
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_invoke('life', 'leaver', 'leave', '[false]');
SELECT actor_invoke('life', 'leaver', 'leave', '[true]');
SET SESSION AUTHORIZATION regress_actor_life_owner;
CALL life._show();
SELECT actor_id, key, value FROM actor.state WHERE actor_id = 'leaver';
SELECT actor_id FROM actor.activation WHERE actor_id = 'leaver';
-- but not from the inside of another one that is in a call of the chain
SELECT actor_invoke('life', 'pushed', 'push_back');
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_invoke('life', 'pusher', 'push', '["a"]');
SET SESSION AUTHORIZATION regress_actor_life_owner;
SELECT actor_invoke('life', 'pusher', 'push', '["a"]');

-- deletion
SELECT actor_invoke('life', 'd', 'put', '[1]');
TRUNCATE life.log;
SELECT actor_delete('life', 'd');
SELECT actor_delete('life', 'd');
CALL life._show();
SELECT count(*) FROM actor.instance WHERE actor_id = 'd';

-- what a hook may not do, and what it may
CREATE OR REPLACE FUNCTION life.on_activate() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    CASE actor_id()
        WHEN 'suicide' THEN PERFORM actor_deactivate('life', 'suicide');
        WHEN 'caller' THEN PERFORM actor_invoke('life', 'caller', 'put', '[8]');
        WHEN 'maker' THEN
            EXECUTE 'CREATE OR REPLACE FUNCTION life.changing() RETURNS text'
                    ' LANGUAGE sql VOLATILE AS $f$ SELECT ''new'' $f$';
        WHEN 'breaker' THEN EXECUTE 'DROP FUNCTION life.changing()';
        ELSE NULL;
    END CASE;
END $$;
CREATE FUNCTION life.changing() RETURNS text LANGUAGE sql AS $$ SELECT 'old' $$;
SELECT actor_invoke('life', 'suicide', 'put', '[1]');
SELECT actor_invoke('life', 'caller', 'put', '[1]');
SELECT actor_invoke('life', 'user', 'changing');
SELECT actor_invoke('life', 'maker', 'changing');
SELECT actor_invoke('life', 'breaker', 'changing');
SELECT actor_invoke('life', 'user', 'changing');
SELECT actor_register('life', reentrancy => true);
TRUNCATE life.log;
SELECT actor_invoke('life', 'caller', 'put', '[1]');
CALL life._show();
SELECT actor_register('life');

-- a read-only hook reads
CREATE OR REPLACE FUNCTION life.on_activate() RETURNS void STABLE
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_invoke('life', 'somebody else', 'put', '[1]');
END $$;
SELECT actor_invoke('life', 'reader', 'put', '[1]');

-- what is no hook
DROP FUNCTION life.on_activate();
CREATE FUNCTION life.on_activate(why text DEFAULT '') RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
SELECT actor_invoke('life', 'e', 'put', '[1]');
CREATE FUNCTION life.on_activate() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
SELECT actor_invoke('life', 'f', 'put', '[1]');
DROP FUNCTION life.on_activate();
RESET SESSION AUTHORIZATION;
CREATE FUNCTION life.on_activate() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE 'called'; END $$;
SELECT actor_invoke('life', 'g', 'put', '[1]');
ALTER FUNCTION life.on_activate() OWNER TO regress_actor_life_owner;
SELECT actor_invoke('life', 'h', 'put', '[1]');
DROP FUNCTION life.on_activate();

-- a superuser who repairs something does not run it, only one who calls
CREATE TABLE life_ran (who name, is_superuser text);
GRANT INSERT ON life_ran TO PUBLIC;
SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE FUNCTION life.on_activate() RETURNS void LANGUAGE sql
AS $$ INSERT INTO public.life_ran VALUES (current_user, current_setting('is_superuser')) $$;
SELECT actor_register('life', reentrancy => true);
RESET SESSION AUTHORIZATION;
SELECT actor_transact('life', 'repair1', '[]');
SELECT actor_open_turn('life', 'repair2') AS repair_turn \gset
SELECT actor_close_turn('life', 'repair2', :'repair_turn');
SELECT actor_set_timer('life', 'repair3', 'put', '1h', data => '[1]');
SELECT who, count(*) FROM life_ran GROUP BY who;
SELECT current_user = session_user AS still;
SELECT actor_invoke('life', 'repair4', 'put', '[1]');
SELECT who = session_user AS by_the_caller, count(*) FROM life_ran GROUP BY 1 ORDER BY 1;
-- nor can it become the superuser again
SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE OR REPLACE FUNCTION life.on_activate() RETURNS void LANGUAGE plpgsql
AS $$ BEGIN RESET ROLE; EXCEPTION WHEN insufficient_privilege THEN RAISE 'refused: %', SQLERRM; END $$;
RESET SESSION AUTHORIZATION;
SELECT actor_transact('life', 'repair5', '[]');
SELECT current_user = session_user AS still;
SET SESSION AUTHORIZATION regress_actor_life_owner;
DROP FUNCTION life.on_activate();
SELECT actor_register('life');
RESET SESSION AUTHORIZATION;
DROP TABLE life_ran;
-- a type that has lost its schema can still be cleaned up, by a superuser
ALTER SCHEMA life OWNER TO regress_actor_life_other;
SELECT actor_invoke('life', 'g', 'put', '[1]');
SET SESSION AUTHORIZATION regress_actor_life_owner;
SELECT actor_deactivate('life', 'g');
RESET SESSION AUTHORIZATION;
SELECT actor_deactivate('life', 'g');
SELECT actor_delete('life', 'g');
ALTER SCHEMA life OWNER TO regress_actor_life_owner;

-- that actors are active keeps nobody from unregistering
SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE SCHEMA idle;
CREATE FUNCTION idle.nothing() RETURNS void LANGUAGE sql AS '';
SELECT actor_register('idle');
SELECT actor_invoke('idle', 'a', 'nothing');
SELECT actor_type, actor_id, keys, bytes FROM actor.instance WHERE actor_type = 'idle';
SELECT actor_unregister('idle');
SELECT actor_unregister('life');
SELECT actor_unregister('life', true);
SELECT count(*) FROM actor.activation;

-- expired keys do not count
SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE FUNCTION idle.spend() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('short', 1, '1 microsecond');
    PERFORM actor_set('long', 1, '1 hour');
END $$;
SELECT actor_register('idle');
SELECT actor_invoke('idle', 'a', 'spend');
SELECT actor_id, keys FROM actor.instance;
SELECT actor_unregister('idle', true);

-- an actor whose type was unregistered and registered again in its turn is
-- activated again
CREATE FUNCTION idle.on_activate() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'activated'; END $$;
SELECT actor_register('idle');
BEGIN;
SELECT actor_invoke('idle', 'a', 'nothing');
SAVEPOINT s;
SELECT actor_unregister('idle', true);
ROLLBACK TO s;
SELECT actor_invoke('idle', 'a', 'nothing');
SELECT actor_unregister('idle', true);
SELECT actor_register('idle');
SELECT actor_invoke('idle', 'a', 'nothing');
COMMIT;
SELECT actor_id FROM actor.activation;
SELECT actor_unregister('idle', true);

--
-- With actor.lazy_activation only what needs it makes an actor active: here a type
-- without hooks
--
SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE SCHEMA lazy;
CREATE FUNCTION lazy.put(n int) RETURNS int
LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('n', n); RETURN n; END $$;
CREATE FUNCTION lazy.arm() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set_timer('lazy', actor_id(), 'put', '1 hour', data => '[9]');
END $$;
SELECT actor_register('lazy', reentrancy => true, idle_timeout => '1 day');
RESET SESSION AUTHORIZATION;
SET actor.lazy_activation = on;
CREATE VIEW public.regress_active AS
SELECT string_agg(actor_id, ' ' ORDER BY actor_id) AS active FROM actor.activation WHERE actor_type ~ '^laz' AND isfinite(server_start);
-- a call does not, nor does a change of the state by somebody else; the table is not
-- even looked at, but for actors whose slice somebody shares that was active
SELECT actor_invoke('lazy', 'a', 'put', '[1]');
SELECT actor_transact('lazy', 'b', '[{"operation": "upsert", "request": {"key": "n", "value": 1}}]');
SELECT * FROM public.regress_active;
CREATE PROCEDURE public.regress_look(INOUT unseen int) LANGUAGE plpgsql AS $$
BEGIN
    unseen := 0;
    FOR i IN 1..5 LOOP
        COMMIT;
        PERFORM actor_invoke('lazy', 'unseen ' || i, 'put', '[1]');
        unseen := unseen + (NOT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid()
                            AND relation = 'actor.activation'::regclass))::int;
    END LOOP;
END $$;
SET actor.turn_lock = advisory;
CALL public.regress_look(NULL);
RESET actor.turn_lock;
SELECT actor_deactivate('lazy', 'a');
-- a timer does, also of an actor that is in use already, or not any more
BEGIN;
SELECT actor_invoke('lazy', 'c', 'put', '[1]');
SAVEPOINT s;
SELECT actor_set_timer('lazy', 'c', 'put', '1 hour', data => '[9]');
SELECT * FROM public.regress_active;
ROLLBACK TO s;
SELECT * FROM public.regress_active;
SELECT actor_invoke('lazy', 'c', 'put', '[2]');
SELECT actor_invoke('lazy', 'd', 'arm');
COMMIT;
SELECT actor_set_timer('lazy', 'e', 'put', '1 hour', data => '[9]');
SELECT * FROM public.regress_active;
-- an actor that is active stays it, whoever uses it, and whatever its type is called
UPDATE actor.activation SET last_used_at = now() - interval '1 hour' WHERE actor_id = 'e';
SELECT actor_invoke('lazy', 'e', 'put', '[3]');
SELECT last_used_at > now() - interval '30 minutes' AS used FROM actor.activation WHERE actor_id = 'e';
SELECT actor_rename('lazy', 'lazier');
UPDATE actor.activation SET last_used_at = now() - interval '1 hour' WHERE actor_id = 'e';
SELECT actor_invoke('lazier', 'e', 'put', '[3]');
SELECT last_used_at > now() - interval '30 minutes' AS used FROM actor.activation WHERE actor_id = 'e';
SELECT actor_deactivate('lazier', 'e'), actor_deactivate('lazier', 'a');
SELECT actor_id FROM actor.timer WHERE actor_type = 'lazier';
-- an open turn needs it
BEGIN;
SELECT actor_open_turn('lazier', 'f', '1 hour') IS NOT NULL AS opened;
COMMIT;
SET actor.call_timeout = '10ms';
SELECT actor_invoke('lazier', 'f', 'put', '[4]');
RESET actor.call_timeout;
SELECT actor_close_turn('lazier', 'f', NULL);
SELECT actor_invoke('lazier', 'f', 'put', '[4]');
-- so does a hook, from the time on that there is one
CREATE FUNCTION lazy.on_deactivate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'off'; END $$;
ALTER FUNCTION lazy.on_deactivate() OWNER TO regress_actor_life_owner;
SELECT actor_deactivate('lazier', 'a');
SELECT actor_invoke('lazier', 'a', 'put', '[5]');
SELECT actor_deactivate('lazier', 'a');
DROP FUNCTION lazy.on_deactivate();
CREATE FUNCTION lazy.on_activate() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'on'; END $$;
ALTER FUNCTION lazy.on_activate() OWNER TO regress_actor_life_owner;
SELECT actor_invoke('lazier', 'a', 'put', '[5]');
SELECT actor_delete('lazier', 'a');
DROP FUNCTION lazy.on_activate();
SELECT actor_delete('lazier', 'b');
-- the row that is a turn goes at the end, also of a transaction that has become read-only
SET actor.turn_lock = row;
BEGIN;
SELECT actor_invoke('lazier', 'r', 'put', '[5]');
SELECT count(*) FROM actor.activation WHERE actor_id = 'r';
SET TRANSACTION READ ONLY;
COMMIT;
RESET actor.turn_lock;
SELECT count(*) FROM actor.activation WHERE actor_id = 'r';
-- an actor that was left without activation gets one when the setting is off again
RESET actor.lazy_activation;
SELECT actor_invoke('lazier', 'g', 'put', '[6]');
SELECT * FROM public.regress_active;
DROP VIEW public.regress_active;
DROP PROCEDURE public.regress_look;
SELECT actor_unregister('lazier', true);

DROP OWNED BY regress_actor_life_owner CASCADE;
DROP ROLE regress_actor_life_owner, regress_actor_life_caller, regress_actor_life_other;
