--
-- Drops the extension and everything that setup has created.
--
SET client_min_messages = warning;

-- all files have cleaned up
SELECT actor_type FROM actor.type ORDER BY actor_type;
SELECT actor_type, actor_id, key FROM actor.state ORDER BY actor_type, actor_id, key;
SELECT actor_type, actor_id, name FROM actor.reminder ORDER BY actor_type, actor_id, name;
SELECT gid FROM pg_prepared_xacts WHERE database = current_database();
SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('actor', 'information_schema', 'public');

-- dropped and created again, in another schema, by a session that has used it
CREATE SCHEMA lamp;
CREATE FUNCTION lamp.switch() RETURNS int LANGUAGE plpgsql SET search_path = public, regress_actor_elsewhere
AS $$ BEGIN PERFORM actor_set('times', actor_get('times', 0) + 1); RETURN actor_get('times'); END $$;
SELECT actor_register('lamp');
SELECT actor_invoke('lamp', '1', 'switch'), actor_invoke('lamp', '1', 'switch');
BEGIN;
SELECT actor_invoke('lamp', '1', 'switch');
DROP EXTENSION actor;
SELECT actor_invoke('lamp', '1', 'switch');
ROLLBACK;
SELECT actor_invoke('lamp', '1', 'switch');
-- by a method
CREATE FUNCTION lamp.smash(again boolean) RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('times', 100);
    DROP EXTENSION actor;
    IF again THEN
        CREATE EXTENSION actor;
        PERFORM actor_set('times', 101);
    END IF;
    RETURN 'smashed';
END
$$;
BEGIN;
SELECT actor_invoke('lamp', '1', 'smash', '[false]');
ROLLBACK;
SELECT actor_invoke('lamp', '1', 'smash', '[true]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('lamp', '1', 'switch');
DROP EXTENSION actor;
SELECT count(*) FROM pg_namespace WHERE nspname = 'actor';
SELECT count(*) FROM pg_proc WHERE proname LIKE 'actor\_%';
-- the workers of this database leave
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type ~ '^actor (scheduler|executor)')$$);

CREATE SCHEMA regress_actor_elsewhere;
CREATE EXTENSION actor SCHEMA regress_actor_elsewhere;
SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'actor';
ALTER EXTENSION actor SET SCHEMA public;
SELECT DISTINCT pronamespace::regnamespace FROM pg_proc WHERE proname LIKE 'actor\_%';
SELECT regress_actor_elsewhere.actor_invoke('lamp', '1', 'switch');
\echo :LAST_ERROR_SQLSTATE
SELECT regress_actor_elsewhere.actor_register('lamp');
SELECT regress_actor_elsewhere.actor_invoke('lamp', '1', 'switch');
SELECT regress_actor_elsewhere.actor_set_reminder('lamp', '1', 'switch');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT regress_actor_elsewhere.actor_invoke('lamp', '1', 'switch');
-- a type dropped with the extension is not known any more
DROP EXTENSION actor;
SELECT regress_actor_elsewhere.actor_invoke('lamp', '1', 'switch');
DROP SCHEMA lamp CASCADE;
DROP SCHEMA regress_actor_elsewhere;

-- a schema "actor" that somebody has prepared is not taken
CREATE SCHEMA actor AUTHORIZATION regress_actor_stranger;
CREATE EXTENSION actor;
\echo :LAST_ERROR_SQLSTATE
CREATE EXTENSION IF NOT EXISTS actor;
SELECT count(*) FROM pg_extension WHERE extname = 'actor';
DROP SCHEMA actor;
-- nor does it go to a schema that is its own
CREATE EXTENSION actor SCHEMA actor;
\echo :LAST_ERROR_SQLSTATE
-- only a superuser may create it
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE EXTENSION actor;
\echo :LAST_ERROR_SQLSTATE
RESET SESSION AUTHORIZATION;

DROP PROCEDURE wait_until(text);
DROP FUNCTION refusal(text);
SELECT current_database() AS dbname \gset
REVOKE CREATE ON DATABASE :"dbname" FROM regress_actor_owner, regress_actor_stranger;
DROP FUNCTION at_rest();
DROP FUNCTION held_turns();
DROP ROLE regress_actor_owner, regress_actor_granted, regress_actor_stranger, regress_actor_nologin;
