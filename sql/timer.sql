--
-- Timers: registering, reading, deleting, and the end they come to.
--
-- That they fire is tested by t/013_lifecycle.pl.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE regress_actor_life_owner LOGIN;
CREATE ROLE regress_actor_life_caller LOGIN;
CREATE ROLE regress_actor_life_other LOGIN;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_life_owner;

SET SESSION AUTHORIZATION regress_actor_life_owner;
CREATE SCHEMA clock;
GRANT USAGE ON SCHEMA clock TO regress_actor_life_caller;
CREATE TABLE clock.log (n int GENERATED ALWAYS AS IDENTITY, what text);
GRANT INSERT ON clock.log TO regress_actor_life_caller;
CREATE FUNCTION clock.on_activate() RETURNS void
LANGUAGE sql AS $$ INSERT INTO clock.log (what) VALUES ('activate ' || actor_id()) $$;
CREATE FUNCTION clock.tick(note text DEFAULT '') RETURNS void
LANGUAGE sql AS $$ INSERT INTO clock.log (what) VALUES ('tick ' || note) $$;
CREATE FUNCTION clock.look() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clock.hidden() RETURNS void LANGUAGE sql AS '';
REVOKE ALL ON FUNCTION clock.hidden() FROM PUBLIC;
SELECT actor_register('clock');

-- registering activates, in every form
SELECT actor_set_timer('clock', 'a', 'tick', '1h', '1m', 'PT2H', '{"note": "text"}');
SELECT actor_set_timer('clock', 'a', 'instant', timestamptz '2100-01-01 00:00Z',
                       interval '1 hour', method => 'tick');
SELECT actor_set_timer('clock', 'a', 'span', interval '1 hour', method => 'look');
-- the form for drivers, and a number of firings
SELECT actor_set_timer('clock', 'a', 'mixed', NULL, interval '1 hour', method => 'look');
SELECT actor_set_timer('clock', 'a', 'counted', interval '1 hour', interval '1 hour', method => 'look', firings => 3);
SELECT actor_set_timer('clock', 'a', 'at', now() + interval '1 hour', firings => 2);
SELECT name, due_time, period, firings, remaining FROM actor.timer WHERE name IN ('mixed', 'counted') ORDER BY name;
SELECT actor_delete_timer('clock', 'a', 'mixed'), actor_delete_timer('clock', 'a', 'counted');
SELECT what FROM clock.log;
SELECT actor_type, actor_id, name, method, data, due_time, period, ttl, role_name,
       scheduled_at = next_try_at AS on_time, expires_at - scheduled_at AS lives,
       remaining, attempt
  FROM actor.timer ORDER BY name;
SELECT count(*) FROM actor.reminder;
SELECT actor_get_timer('clock', 'a', 'tick')
       - '{registered_at, scheduled_at, next_try_at, expires_at}'::text[];
SELECT actor_get_timer('clock', 'a', 'TICK');
SELECT actor_get_reminder('clock', 'a', 'tick');

-- the same name again replaces it
SELECT generation AS before FROM actor.timer WHERE name = 'tick' \gset
SELECT actor_set_timer('clock', 'a', 'tick', '2h');
SELECT due_time, period, data, remaining, generation <> :before AS another
  FROM actor.timer WHERE name = 'tick';
SELECT actor_set_timer('clock', 'a', 'tick', '3h', overwrite => false);
SELECT actor_set_timer('clock', 'a', 'tick', '3h', overwrite => NULL);

-- what is refused, before anything is activated
\set VERBOSITY sqlstate
SELECT actor_set_timer('clock', 'b', 'tick', 'soon');
SELECT actor_set_timer('clock', 'b', 'tick', period => '0s');
SELECT actor_set_timer('clock', 'b', '', '1h');
SELECT actor_set_timer('clock', 'b', NULL, '1h');
SELECT actor_set_timer('clock', 'b', repeat('x', 513), '1h', method => 'tick');
SELECT actor_set_timer('clock', 'b', 'nothing', '1h');
SELECT actor_set_timer('clock', 'b', 'on_activate', '1h');
SELECT actor_set_timer('nothing', 'b', 'tick', '1h');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_set_timer('clock', 'b', 'tick', '1h');
ROLLBACK;
BEGIN READ ONLY;
SELECT actor_set_timer('clock', 'b', 'tick', '1h');
ROLLBACK;
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_set_timer('clock', 'b', 'hidden', '1h');
SET SESSION AUTHORIZATION regress_actor_life_other;
SELECT actor_set_timer('clock', 'b', 'tick', '1h');
SET SESSION AUTHORIZATION regress_actor_life_owner;
\set VERBOSITY terse
SELECT count(*) FROM actor.activation WHERE actor_id = 'b';
RESET SESSION AUTHORIZATION;
REVOKE CONNECT ON DATABASE :"DBNAME" FROM PUBLIC;
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_set_timer('clock', 'b', 'tick', '1h');
RESET SESSION AUTHORIZATION;
GRANT CONNECT ON DATABASE :"DBNAME" TO PUBLIC;
SET SESSION AUTHORIZATION regress_actor_life_owner;

-- an error of the hook is that of the registration
CREATE OR REPLACE FUNCTION clock.on_activate() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE 'will not'; END $$;
SELECT actor_set_timer('clock', 'b', 'tick', '1h');
DROP FUNCTION clock.on_activate();
SELECT count(*) FROM actor.timer WHERE actor_id = 'b';

-- who may read, replace and delete
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_set_timer('clock', 'a', 'mine', '1h', method => 'tick');
SELECT actor_get_timer('clock', 'a', 'mine') ->> 'role_name';
SELECT name FROM actor.timer;
SELECT actor_get_timer('clock', 'a', 'tick');
SELECT actor_set_timer('clock', 'a', 'tick', '1h');
SELECT actor_delete_timer('clock', 'a', 'tick');
SET SESSION AUTHORIZATION regress_actor_life_other;
SELECT actor_get_timer('clock', 'a', 'mine');
SELECT actor_delete_timer('clock', 'a', 'mine');
SELECT name FROM actor.timer;
SELECT actor_delete_timer('clock', 'a', 'no such');
SET SESSION AUTHORIZATION regress_actor_life_owner;
SELECT actor_get_timer('clock', 'a', 'mine') ->> 'name';
CREATE FUNCTION clock.drop_timer(name text) RETURNS boolean
LANGUAGE sql AS $$ SELECT actor_delete_timer(actor_type(), actor_id(), name) $$;
SET SESSION AUTHORIZATION regress_actor_life_caller;
SELECT actor_invoke('clock', 'a', 'drop_timer', '["tick"]');
SELECT actor_delete_timer('clock', 'a', 'mine');
SELECT actor_delete_timer('clock', 'a', 'mine');
SET SESSION AUTHORIZATION regress_actor_life_owner;
SELECT name FROM actor.timer ORDER BY name;

-- timers end with the activation, reminders do not
SELECT actor_set_reminder('clock', 'a', 'tick', '1h');
SELECT actor_deactivate('clock', 'a');
SELECT count(*) FROM actor.timer;
SELECT name FROM actor.reminder;
SELECT actor_invoke('clock', 'a', 'tick');
SELECT count(*) FROM actor.timer;

-- also those that are set on the way out
CREATE FUNCTION clock.on_deactivate() RETURNS void
LANGUAGE sql AS $$ SELECT actor_set_timer('clock', actor_id(), 'tick', '1h') $$;
SELECT actor_deactivate('clock', 'a');
SELECT count(*) FROM actor.timer;
DROP FUNCTION clock.on_deactivate();

-- a method that sets a timer after it has deactivated its actor activates it
CREATE FUNCTION clock.restart() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_deactivate(actor_type(), actor_id());
    PERFORM actor_set_timer(actor_type(), actor_id(), 'tick', '1h');
END $$;
SELECT actor_invoke('clock', 'a', 'restart');
SELECT t.name FROM actor.timer t JOIN actor.activation USING (actor_type, actor_id);

-- rolled back with its transaction, and with the activation
BEGIN;
SAVEPOINT s;
SELECT actor_set_timer('clock', 'c', 'tick', '1h');
ROLLBACK TO s;
SELECT count(*) FROM actor.activation WHERE actor_id = 'c';
SELECT actor_set_timer('clock', 'c', 'tick', '1h');
COMMIT;
SELECT count(*) FROM actor.activation WHERE actor_id = 'c';
SELECT count(*) FROM actor.timer WHERE actor_id = 'c';

-- what an earlier start of the server has left does not exist
RESET SESSION AUTHORIZATION;
UPDATE actor.activation SET server_start = server_start - interval '1 day', last_used_at = now()
 WHERE actor_id = 'c';
SET SESSION AUTHORIZATION regress_actor_life_owner;
SELECT actor_get_timer('clock', 'c', 'tick');
SELECT actor_deactivate('clock', 'c');
SELECT actor_id FROM actor.instance;
SELECT actor_invoke('clock', 'c', 'tick');
SELECT count(*) FROM actor.timer WHERE actor_id = 'c';
SELECT actor_id FROM actor.instance ORDER BY actor_id;

-- deletion removes both
SELECT actor_set_timer('clock', 'a', 'tick', '1h');
SELECT actor_delete('clock', 'a');
SELECT count(*) FROM actor.timer;
SELECT count(*) FROM actor.reminder;
SELECT actor_delete('clock', 'a');

-- timers are data that unregistering asks about
SELECT actor_set_timer('clock', 'a', 'tick', '1h');
SELECT actor_unregister('clock');
SELECT actor_unregister('clock', true);
SELECT count(*) FROM actor.timer;

RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_actor_life_owner CASCADE;
DROP ROLE regress_actor_life_owner, regress_actor_life_caller, regress_actor_life_other;
