--
-- Who may do and see what.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA vault;
SELECT actor_register('vault');
CREATE FUNCTION vault.put(key text, value jsonb) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set(key, value); END $$;
CREATE FUNCTION vault.peek(key text) RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_get(key) $$;
CREATE FUNCTION vault.put_as_owner(key text, value jsonb) RETURNS name LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ BEGIN PERFORM actor_set(key, value); RETURN current_user; END $$;
CREATE FUNCTION vault.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'secret failure'; END $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA vault FROM PUBLIC;
GRANT USAGE ON SCHEMA vault TO regress_actor_granted;
GRANT EXECUTE ON FUNCTION vault.peek(text), vault.put_as_owner(text, jsonb), vault.fail() TO regress_actor_granted;
SELECT actor_invoke('vault', '1', 'put', '["gold", 100]');
SELECT actor_set_reminder('vault', '1', 'put', '100h', data => '["gold", 0]');

--
-- The matrix: what a role may do, and how many turns it holds afterwards.  Who
-- may not use the schema is not told what is in it either, as in a direct call.
--
RESET SESSION AUTHORIZATION;
CREATE FUNCTION may(role name, statement text, OUT result text, OUT turns bigint) LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('SET LOCAL ROLE %I', role);
    BEGIN
        EXECUTE statement INTO result;
        turns := held_turns();
        RAISE EXCEPTION 'undo' USING ERRCODE = 'UNDO1';
    EXCEPTION
        WHEN SQLSTATE 'UNDO1' THEN result := coalesce(result, 'null');
        WHEN OTHERS THEN result := SQLSTATE || ' ' || SQLERRM;
    END;
    turns := coalesce(turns, held_turns());
    RESET ROLE;
END
$$;
SELECT statement, role, m.*
  FROM unnest(ARRAY[$$SELECT actor_invoke('vault', '1', 'peek', '["gold"]')$$,
                    $$SELECT actor_invoke('vault', '1', 'put', '["gold", 0]')$$,
                    $$SELECT actor_invoke('vault', '1', 'put_as_owner', '["gold", 0]')$$,
                    $$SELECT actor_invoke('vault', '1', 'put', '{"wrong": "payload"}')$$,
                    $$SELECT actor_invoke('vault', '1', 'no_such')$$,
                    $$SELECT vault.no_such()$$,
                    $$SELECT actor_set_reminder('vault', '1', 'x', '100h', method => 'peek', data => '["gold"]')$$,
                    $$SELECT actor_set_reminder('vault', '1', 'x', '100h', method => 'put', data => '["gold", 0]')$$,
                    $$SELECT actor_get_reminder('vault', '1', 'put') ->> 'data'$$,
                    $$SELECT actor_delete_reminder('vault', '1', 'put')$$,
                    $$SELECT actor_register('vault')$$,
                    $$SELECT actor_unregister('vault', true)$$,
                    $$SELECT count(*) FROM actor.type$$,
                    $$SELECT count(*) FROM actor.state$$,
                    $$SELECT count(*) FROM actor.reminder$$]) WITH ORDINALITY AS s (statement, number),
       unnest(ARRAY['regress_actor_owner', 'regress_actor_granted', 'regress_actor_stranger']) WITH ORDINALITY AS r (role, role_number),
       LATERAL may(role, statement) AS m
 ORDER BY number, role_number;
DROP FUNCTION may(name, text);

--
-- The tables: rows of the type's owner and of the registering role, writable by
-- nobody
--
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_set_reminder('vault', '2', 'peek', '100h', data => '["gold"]');
SELECT actor_set_reminder('vault', '2', 'fail', failure_policy => '{"drop": {}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE name = 'fail')$$);
SELECT actor_id, name, role_name FROM actor.reminder ORDER BY actor_id, name;
SELECT actor_id, name, role_name, message FROM actor.failure ORDER BY actor_id, name;
SELECT * FROM actor.state;
SELECT actor_type FROM actor.owned_type ORDER BY actor_type;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT count(*) FROM actor.reminder;
SELECT count(*) FROM actor.failure;
SELECT * FROM actor.state;
SELECT actor_type FROM actor.owned_type ORDER BY actor_type;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_id, name, role_name FROM actor.reminder ORDER BY actor_id, name;
SELECT actor_id, name, role_name, message FROM actor.failure WHERE actor_type = 'vault' ORDER BY actor_id, name;
SELECT actor_type, actor_id, key, value FROM actor.state ORDER BY actor_id, key;
SELECT actor_type FROM actor.owned_type ORDER BY actor_type;
-- a leaky condition sees no more
CREATE FUNCTION vault._leak(jsonb) RETURNS boolean COST 0.0000001 LANGUAGE plpgsql
AS $$ BEGIN RAISE WARNING 'leaked %', $1; RETURN true; END $$;
GRANT EXECUTE ON FUNCTION vault._leak(jsonb) TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT count(*) FROM actor.state WHERE vault._leak(value);
-- a view of the owner shows what its reader may see; there are two ways to show
-- others more: a function that runs as the owner, and a materialized view
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE VIEW vault._plain AS SELECT actor_id, key FROM actor.state WHERE actor_type = 'vault';
CREATE FUNCTION vault._published() RETURNS TABLE (actor_id text, key text) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT actor_id, key FROM actor.state WHERE actor_type = 'vault' $$;
CREATE VIEW vault._by_function AS SELECT * FROM vault._published();
CREATE MATERIALIZED VIEW vault._copy AS SELECT actor_id, key FROM actor.state WHERE actor_type = 'vault';
GRANT SELECT ON vault._plain, vault._by_function, vault._copy TO regress_actor_granted;
GRANT EXECUTE ON FUNCTION vault._published() TO regress_actor_granted;
SELECT count(*) FROM vault._plain;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT count(*) FROM vault._plain;
SELECT * FROM vault._by_function;
SELECT * FROM vault._copy;
-- nobody writes, the owner of the type included
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT name, pattern, r.state, r.message
  FROM unnest(ARRAY['type', 'state', 'reminder', 'failure']) AS name,
       unnest(ARRAY['INSERT INTO actor.%I DEFAULT VALUES', 'UPDATE actor.%I SET actor_type = NULL', 'DELETE FROM actor.%I', 'TRUNCATE actor.%I',
                    'LOCK actor.%I IN EXCLUSIVE MODE', 'SELECT 1 FROM actor.%I FOR UPDATE', 'DROP TABLE actor.%I',
                    'ALTER TABLE actor.%I DISABLE ROW LEVEL SECURITY', 'CREATE POLICY p ON actor.%I USING (true)',
                    'CREATE TRIGGER t BEFORE INSERT ON actor.%I EXECUTE FUNCTION suppress_redundant_updates_trigger()',
                    'CREATE RULE r AS ON INSERT TO actor.%I DO INSTEAD NOTHING']) AS pattern,
       LATERAL refusal(format(pattern, name)) AS r
 ORDER BY name, pattern COLLATE "C";
CREATE TABLE actor.mine (x int);
CREATE FUNCTION actor.mine() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT nextval('actor.failure_failure_id_seq');
-- row_security is not asked for what the library does itself
SET row_security = off;
SELECT actor_invoke('vault', '1', 'peek', '["gold"]');
SELECT count(*) FROM actor.state;
\echo :LAST_ERROR_SQLSTATE
RESET row_security;

--
-- Whose rights a method runs with
--
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('vault', '1', 'put_as_owner', '["gold", 50]');
SELECT actor_invoke('vault', '1', 'peek', '["gold"]');
SELECT current_user;
-- nested calls are checked as the role that calls
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE FUNCTION vault.nested() RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_invoke('vault', 'n', 'put', '["gold", 1]'); RETURN actor_invoke('vault', 'n', 'peek', '["gold"]'); END $$;
CREATE FUNCTION vault.nested_as_owner() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ BEGIN PERFORM actor_invoke('vault', 'n', 'put', '["gold", 2]'); RETURN actor_invoke('vault', 'n', 'peek', '["gold"]'); END $$;
GRANT EXECUTE ON FUNCTION vault.nested(), vault.nested_as_owner() TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('vault', '1', 'nested');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('vault', '1', 'nested_as_owner');
-- conversions run as the caller, never as the owner of the extension
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE SCHEMA trap;
SELECT actor_register('trap');
CREATE FUNCTION trap._who(v int) RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
    IF current_user NOT IN ('regress_actor_stranger', 'regress_actor_granted') OR current_setting('is_superuser') = 'on' THEN
        RAISE EXCEPTION 'runs as %', current_user;
    END IF;
    RETURN true;
END
$$;
CREATE DOMAIN trap.tripped AS int CHECK (trap._who(VALUE));
CREATE TYPE trap.word AS ENUM ('w');
CREATE FUNCTION trap._json(trap.word) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM trap._who(1); RETURN to_json(current_user); END $$;
CREATE CAST (trap.word AS json) WITH FUNCTION trap._json(trap.word);
CREATE FUNCTION trap.spring(v trap.tripped, w trap.word) RETURNS trap.word LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('v', v);
    PERFORM actor_set('w', w);
    PERFORM actor_get('v', v);
    RETURN w;
END
$$;
CREATE FUNCTION trap.fires(v trap.tripped) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('fired', current_user::text); END $$;
CREATE FUNCTION trap.fired() RETURNS text STABLE LANGUAGE sql AS $$ SELECT actor_get('fired', 'no') $$;
GRANT USAGE ON SCHEMA trap TO regress_actor_granted;
SELECT actor_invoke('trap', '1', 'spring', '[1, "w"]');
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('trap', '1', 'spring', '[1, "w"]');
SELECT actor_set_reminder('trap', '1', 'fires', data => '[1]', failure_policy => '{"drop": {}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE name = 'fires')$$);
SELECT actor_invoke('trap', '1', 'fired');
SELECT message FROM actor.failure WHERE actor_type = 'trap';

--
-- A hostile search_path: operators and functions that hide those of the server
--
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE SCHEMA evil;
CREATE FUNCTION evil.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil = as %', current_user; END $$;
CREATE FUNCTION evil.eq(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil = as %', current_user; END $$;
CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil = as %', current_user; END $$;
CREATE FUNCTION evil.gt(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil > as %', current_user; END $$;
CREATE OPERATOR evil.= (leftarg = text, rightarg = text, function = evil.eq);
CREATE OPERATOR evil.= (leftarg = name, rightarg = name, function = evil.eq);
CREATE OPERATOR evil.= (leftarg = bigint, rightarg = bigint, function = evil.eq);
CREATE OPERATOR evil.> (leftarg = timestamptz, rightarg = timestamptz, function = evil.gt);
CREATE OPERATOR evil.<= (leftarg = timestamptz, rightarg = timestamptz, function = evil.gt);
CREATE FUNCTION evil.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil now as %', current_user; END $$;
CREATE FUNCTION evil.pg_has_role(oid, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
CREATE FUNCTION evil.to_jsonb(anyelement) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil to_jsonb as %', current_user; END $$;
CREATE FUNCTION evil.jsonb_build_object(VARIADIC text[]) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil jsonb_build_object as %', current_user; END $$;
CREATE FUNCTION evil.jsonb_object_agg(text, jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil aggregate as %', current_user; END $$;
CREATE DOMAIN evil.text AS pg_catalog.text CHECK (false);
CREATE DOMAIN evil.timestamptz AS pg_catalog.timestamptz CHECK (false);
CREATE TABLE evil.type (LIKE actor.type);
CREATE TABLE evil.state (LIKE actor.state);
CREATE TEMP TABLE type (LIKE actor.type);
CREATE TEMP TABLE state (LIKE actor.state);
CREATE TEMP TABLE pg_roles (oid oid, rolname name);
CREATE FUNCTION trap.all_state() RETURNS jsonb STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.actor_state(); END $$;
CREATE FUNCTION trap.do_all() RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM public.actor_set('a', 1), public.actor_set('b', 'x'::pg_catalog.text, interval '1 hour');
    PERFORM public.actor_transact('[{"operation": "upsert", "request": {"key": "c", "value": 1, "metadata": {"ttlInSeconds": 60}}}]');
    PERFORM public.actor_remove('v'), public.actor_remove('w'), public.actor_remove('fired');
    PERFORM public.actor_get('a', 1), public.actor_get('b');
    RETURN public.actor_state();
END
$$;
-- (in new sessions, so that nothing was planned before)
\c -
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE TEMP TABLE type (LIKE actor.type);
CREATE TEMP TABLE state (LIKE actor.state);
SET search_path = pg_temp, evil, trap, pg_catalog, public;
SELECT public.actor_invoke('trap', '1', 'do_all');
SELECT public.actor_invoke('trap', '1', 'all_state');
SELECT public.actor_set_reminder('trap', '1', 'all_state', '100h');
SELECT public.actor_set_reminder('trap', '1', 'all_state', '101h');
SELECT public.actor_get_reminder('trap', '1', 'all_state') OPERATOR(pg_catalog.->>) 'due_time';
SELECT public.actor_delete_reminder('trap', '1', 'all_state');
SELECT public.actor_register('trap');
SELECT pg_catalog.count(*) FROM actor.state;
SELECT pg_catalog.count(*) FROM actor.reminder;
SELECT pg_catalog.count(*) FROM actor.owned_type;
SELECT public.actor_invoke('vault', '1', 'peek');
SELECT public.actor_unregister('trap', true);
SELECT public.actor_register('trap');
RESET search_path;
-- as the database's or the role's setting it reaches the workers too
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_actor_stranger SET search_path = evil, trap, pg_catalog, public;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT public.actor_set_reminder('trap', '2', 'do_all', pg_catalog.now(), failure_policy => '{"drop": {}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE name = 'do_all')$$);
SELECT public.actor_invoke('trap', '2', 'all_state');
SELECT message FROM actor.failure WHERE actor_id = '2' AND actor_type = 'trap';
RESET SESSION AUTHORIZATION;
ALTER ROLE regress_actor_stranger RESET search_path;

--
-- Nobody takes a type over
--
SET SESSION AUTHORIZATION regress_actor_owner;
DROP SCHEMA vault CASCADE;
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE SCHEMA vault;
CREATE FUNCTION vault.peek(key text) RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_state() $$;
SELECT actor_invoke('vault', '1', 'peek', '["gold"]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_register('vault');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_register('vault2', 'vault');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('vault', '1', 'peek');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM actor.state WHERE actor_type = 'vault';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT count(*) FROM actor.state WHERE actor_type = 'vault';
SELECT actor_unregister('vault', force => true);
\echo :LAST_ERROR_SQLSTATE
RESET SESSION AUTHORIZATION;
SELECT actor_unregister('vault', force => true);
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_register('vault');
-- whoever has the name afterwards gets nothing of what was there before
SELECT actor_invoke('vault', '1', 'peek', '["gold"]');
SELECT count(*) FROM actor.state WHERE actor_type = 'vault';
SELECT count(*) FROM actor.reminder WHERE actor_type = 'vault';
SELECT count(*) FROM actor.failure WHERE actor_type = 'vault';
SELECT actor_unregister('vault', force => true);
SELECT actor_unregister('trap', force => true);
DROP SCHEMA vault, trap, evil CASCADE;
RESET SESSION AUTHORIZATION;
SELECT at_rest();
