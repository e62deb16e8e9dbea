--
-- What is a method and what is not, whose rights count, and that sessions
-- notice changes.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA clerk;
SELECT actor_register('clerk');

-- what is no method
CREATE FUNCTION clerk._private() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clerk.on_activate() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION clerk.on_deactivate() RETURNS void LANGUAGE sql AS '';
CREATE PROCEDURE clerk.a_procedure() LANGUAGE sql AS '';
CREATE AGGREGATE clerk.an_aggregate(int) (sfunc = int4pl, stype = int);
CREATE FUNCTION clerk.a_variadic(VARIADIC list int[]) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clerk.a_polymorphic(x anyelement) RETURNS anyelement STABLE LANGUAGE sql AS 'SELECT x';
CREATE FUNCTION clerk.a_polymorphic_parameter(x anyarray) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clerk.a_record_parameter(x record) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION clerk.a_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION clerk.an_event_trigger() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
RESET SESSION AUTHORIZATION;
CREATE FUNCTION clerk.a_window() RETURNS bigint WINDOW LANGUAGE internal AS 'window_row_number';
CREATE FUNCTION clerk.a_variadic_any(VARIADIC "any") RETURNS text STABLE LANGUAGE internal AS 'text_concat';
CREATE FUNCTION clerk.an_input(cstring) RETURNS int STABLE LANGUAGE internal AS 'int4in';
CREATE FUNCTION clerk.an_output(int) RETURNS cstring STABLE LANGUAGE internal AS 'int4out';
CREATE FUNCTION clerk.an_internal(internal) RETURNS jsonb STABLE LANGUAGE internal AS 'jsonb_recv';
CREATE FUNCTION public.in_public() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE FUNCTION clerk.twice(x int) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clerk.twice(x text) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION clerk.mixed(x int) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE clerk.mixed() LANGUAGE sql AS '';
CREATE TABLE clerk.a_table (x int);

SELECT name, r.state, r.message, r.detail
  FROM unnest(ARRAY['_private', 'on_activate', 'on_deactivate', 'a_procedure',
                    'an_aggregate', 'a_window', 'a_variadic', 'a_variadic_any',
                    'a_polymorphic', 'a_polymorphic_parameter',
                    'a_record_parameter', 'a_trigger', 'an_event_trigger',
                    'an_input', 'an_output', 'an_internal', 'twice', 'mixed',
                    'a_table', 'no_such', 'Twice', 'now', 'in_public', '_',
                    'clerk.good', '']) AS name,
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L)', 'clerk', '1', name)) AS r
 ORDER BY name COLLATE "C";
SELECT actor_invoke('clerk', '1', 'no_such');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', '_private');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', 'on_activate');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', 'twice', '[1]');
\echo :LAST_ERROR_SQLSTATE
-- the name of a method has no limit of its own, and is not truncated either
SELECT actor_invoke('clerk', '1', repeat('x', 64));
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', repeat('x', 1000000));
\echo :LAST_ERROR_SQLSTATE
CREATE FUNCTION clerk.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx()
RETURNS int STABLE LANGUAGE sql AS 'SELECT 63';
SELECT actor_invoke('clerk', '1', repeat('x', 63));
SELECT actor_invoke('clerk', '1', repeat('x', 64));

-- a hook has no parameters and a name of its own
CREATE FUNCTION clerk.on_activated() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'a method' $$;
SELECT actor_invoke('clerk', '1', 'on_activated');
-- names are as in the catalog
CREATE FUNCTION clerk."MiXed Case"() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'mixed' $$;
SELECT actor_invoke('clerk', '1', 'MiXed Case');
SELECT actor_invoke('clerk', '1', 'mixed case');
SELECT at_rest();

--
-- Changes are noticed by a session that has used the method
--
CREATE FUNCTION clerk.greet() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'one' $$;
SELECT actor_invoke('clerk', '1', 'greet');
-- replaced
CREATE OR REPLACE FUNCTION clerk.greet() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'two' $$;
SELECT actor_invoke('clerk', '1', 'greet');
-- dropped
DROP FUNCTION clerk.greet();
SELECT actor_invoke('clerk', '1', 'greet');
-- other parameters, other result
CREATE FUNCTION clerk.greet(name text DEFAULT 'you') RETURNS jsonb STABLE LANGUAGE sql
AS $$ SELECT jsonb_build_object('hello', name) $$;
SELECT actor_invoke('clerk', '1', 'greet', '{"name": "me"}');
SELECT actor_invoke('clerk', '1', 'greet');
-- a second one of the name, and gone again
CREATE FUNCTION clerk.greet(name int) RETURNS int STABLE LANGUAGE sql AS $$ SELECT 1 $$;
SELECT actor_invoke('clerk', '1', 'greet');
DROP FUNCTION clerk.greet(int);
SELECT actor_invoke('clerk', '1', 'greet');
-- renamed, moved
ALTER FUNCTION clerk.greet RENAME TO welcome;
SELECT actor_invoke('clerk', '1', 'greet');
SELECT actor_invoke('clerk', '1', 'welcome');
CREATE SCHEMA elsewhere;
ALTER FUNCTION clerk.welcome SET SCHEMA elsewhere;
SELECT actor_invoke('clerk', '1', 'welcome');
ALTER FUNCTION elsewhere.welcome SET SCHEMA clerk;
SELECT actor_invoke('clerk', '1', 'welcome');
DROP SCHEMA elsewhere;
-- volatility
BEGIN;
SELECT actor_invoke('clerk', '1', 'welcome');
SELECT held_turns();
ALTER FUNCTION clerk.welcome VOLATILE;
SELECT actor_invoke('clerk', '1', 'welcome');
SELECT held_turns();
ROLLBACK;
-- strictness
ALTER FUNCTION clerk.welcome STRICT;
SELECT actor_invoke('clerk', '1', 'welcome', '[null]') IS NULL AS is_null;
ALTER FUNCTION clerk.welcome CALLED ON NULL INPUT;
SELECT actor_invoke('clerk', '1', 'welcome', '[null]') IS NULL AS is_null;
-- the schema made again by the same owner is the same type
BEGIN;
DROP SCHEMA clerk CASCADE;
SELECT actor_invoke('clerk', '1', 'welcome');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT actor_invoke('clerk', '1', 'welcome');
BEGIN;
DROP SCHEMA clerk CASCADE;
CREATE SCHEMA clerk;
CREATE FUNCTION clerk.welcome() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'new schema' $$;
SELECT actor_invoke('clerk', '1', 'welcome');
ROLLBACK;
SELECT actor_invoke('clerk', '1', 'welcome');

-- a type of a parameter changes
CREATE TYPE clerk.form AS (a int);
CREATE FUNCTION clerk.file(f clerk.form) RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT to_jsonb(f) $$;
SELECT actor_invoke('clerk', '1', 'file', '{"f": {"a": 1, "b": "x"}}');
ALTER TYPE clerk.form ADD ATTRIBUTE b text;
SELECT actor_invoke('clerk', '1', 'file', '{"f": {"a": 1, "b": "x"}}');
ALTER TYPE clerk.form DROP ATTRIBUTE a;
SELECT actor_invoke('clerk', '1', 'file', '{"f": {"a": 1, "b": "x"}}');

-- a method that replaces, drops or moves itself while it runs
CREATE FUNCTION clerk.change_self() RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE 'CREATE OR REPLACE FUNCTION clerk.change_self() RETURNS text LANGUAGE sql AS ''SELECT ''''changed''''''';
    PERFORM actor_set('changed', true);
    RETURN concat_ws('.', actor_type(), actor_method());
END
$$;
SELECT actor_invoke('clerk', '1', 'change_self');
SELECT actor_invoke('clerk', '1', 'change_self');
CREATE FUNCTION clerk.drop_self() RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE 'DROP FUNCTION clerk.drop_self()';
    PERFORM actor_set('dropped', true);
    RETURN actor_state()::text;
END
$$;
SELECT actor_invoke('clerk', '1', 'drop_self');
SELECT actor_invoke('clerk', '1', 'drop_self');
CREATE FUNCTION clerk.drop_schema(again boolean) RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE 'DROP SCHEMA clerk CASCADE';
    PERFORM actor_set('schema', 'dropped');
    IF again THEN
        RETURN actor_invoke('clerk', '2', 'welcome');
    END IF;
    RETURN actor_get('schema');
END
$$;
BEGIN;
SELECT actor_invoke('clerk', '1', 'drop_schema', '[false]');
ROLLBACK;
SELECT actor_invoke('clerk', '1', 'drop_schema', '[true]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', 'welcome');
-- a method whose type is registered over another schema while it runs
CREATE SCHEMA clerk2;
CREATE FUNCTION clerk.move_type() RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_register('clerk', 'clerk2');
    PERFORM actor_set('schema', 'clerk2');
    RETURN 'moved';
END
$$;
SELECT actor_invoke('clerk', '1', 'move_type');
\echo :LAST_ERROR_SQLSTATE
SELECT schema_name FROM actor.type WHERE actor_type = 'clerk';
DROP SCHEMA clerk2;
-- a method whose caller is changed by what it calls
CREATE FUNCTION clerk.outer_call() RETURNS SETOF text LANGUAGE plpgsql
AS $$
BEGIN
    FOR i IN 1..3 LOOP
        PERFORM actor_invoke('clerk', 'other', 'change_outer', jsonb_build_array(i));
        RETURN NEXT actor_id() || i;
    END LOOP;
END
$$;
CREATE FUNCTION clerk.change_outer(i int) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE 'ALTER FUNCTION clerk.outer_call() COST ' || 1 + i;
    EXECUTE 'ALTER FUNCTION clerk.change_outer(int) COST ' || 1 + i;
    PERFORM actor_register('clerk', max_stack_depth => i);
END
$$;
SELECT actor_invoke('clerk', '1', 'outer_call');
SELECT at_rest();

--
-- Languages: SQL and PL/pgSQL above; C
--
RESET SESSION AUTHORIZATION;
CREATE FUNCTION clerk.c_add(a int, b int) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'int4pl';
CREATE FUNCTION clerk.c_series(a int, b int) RETURNS SETOF int IMMUTABLE STRICT LANGUAGE internal
AS 'generate_series_int4';
CREATE FUNCTION clerk.c_each(document jsonb, OUT key text, OUT value jsonb) RETURNS SETOF record
IMMUTABLE STRICT LANGUAGE internal AS 'jsonb_each';
CREATE FUNCTION clerk.c_lock(id bigint) RETURNS void LANGUAGE internal AS 'pg_advisory_xact_lock_int8';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('clerk', '1', 'c_add', '{"a": 1, "b": 2}');
SELECT actor_invoke('clerk', '1', 'c_add', '{"a": 1, "b": null}') IS NULL AS is_null;
SELECT actor_invoke('clerk', '1', 'c_add', '{"a": 2147483647, "b": 1}');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', 'c_series', '[1, 5]');
SELECT actor_invoke('clerk', '1', 'c_series', '[5, 1]');
SELECT actor_invoke('clerk', '1', 'c_series', '[5, null]');
SELECT actor_invoke('clerk', '1', 'c_each', '{"document": {"x": 1, "y": {"z": []}}}');
SELECT actor_invoke('clerk', '1', 'c_lock', '[42]') IS NULL AS is_null;

--
-- Rights: USAGE on the schema and EXECUTE on the function, every time
--
CREATE FUNCTION clerk.look() RETURNS text STABLE LANGUAGE sql
AS $$ SELECT current_user || ' ' || coalesce(actor_get('note', 'no note'), 'null') $$;
CREATE FUNCTION clerk.note(note text) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('note', note); RETURN current_user; END $$;
CREATE FUNCTION clerk.definer() RETURNS text LANGUAGE plpgsql SECURITY DEFINER
AS $$ BEGIN RETURN current_user || ' for ' || session_user; END $$;
REVOKE EXECUTE ON FUNCTION clerk.look(), clerk.note(text), clerk.definer() FROM PUBLIC;

SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_invoke('clerk', '1', 'look');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('clerk', '1', 'note', '["x"]');
\echo :LAST_ERROR_SQLSTATE

-- both are needed
SET SESSION AUTHORIZATION regress_actor_owner;
GRANT EXECUTE ON FUNCTION clerk.look() TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'look');
SET SESSION AUTHORIZATION regress_actor_owner;
GRANT USAGE ON SCHEMA clerk TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'look');
SELECT actor_invoke('clerk', '1', 'note', '["x"]');
\echo :LAST_ERROR_SQLSTATE

-- one session, several roles: no right is kept for another
RESET SESSION AUTHORIZATION;
SET ROLE regress_actor_owner;
SELECT actor_invoke('clerk', '1', 'note', '["by owner"]');
SET ROLE regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'note', '["by granted"]');
SELECT actor_invoke('clerk', '1', 'look');
SET ROLE regress_actor_stranger;
SELECT actor_invoke('clerk', '1', 'look');
SET ROLE regress_actor_owner;

-- granted and revoked in between, also within a transaction
GRANT EXECUTE ON FUNCTION clerk.note(text), clerk.definer() TO regress_actor_granted;
SET ROLE regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'note', '["by granted"]');
SELECT actor_invoke('clerk', '1', 'look');
SELECT actor_invoke('clerk', '1', 'definer');
SET ROLE regress_actor_owner;
REVOKE EXECUTE ON FUNCTION clerk.note(text) FROM regress_actor_granted;
SET ROLE regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'note', '["by granted"]');
BEGIN;
SELECT actor_invoke('clerk', '1', 'look');
SET LOCAL ROLE regress_actor_owner;
REVOKE USAGE ON SCHEMA clerk FROM regress_actor_granted;
SET LOCAL ROLE regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'look');
ROLLBACK;
SELECT actor_invoke('clerk', '1', 'look');

-- by membership, and no longer
RESET ROLE;
GRANT regress_actor_owner TO regress_actor_granted;
SET ROLE regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'note', '["by member"]');
RESET ROLE;
REVOKE regress_actor_owner FROM regress_actor_granted;
SET ROLE regress_actor_granted;
SELECT actor_invoke('clerk', '1', 'note', '["by member"]');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- the server's own attributes of a function work
CREATE FUNCTION clerk.with_setting() RETURNS text STABLE LANGUAGE sql
SET datestyle = 'SQL, DMY'
AS $$ SELECT current_setting('datestyle') $$;
SELECT actor_invoke('clerk', '1', 'with_setting');
SHOW datestyle;

SELECT at_rest();
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_unregister('clerk', force => true);
DROP SCHEMA clerk CASCADE;
RESET SESSION AUTHORIZATION;
DROP FUNCTION public.in_public();

--
-- What a type can do
--
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA shop;
GRANT USAGE ON SCHEMA shop TO regress_actor_granted;
COMMENT ON SCHEMA shop IS 'sells things';
CREATE TYPE shop.colour AS ENUM ('red', 'blue');
CREATE DOMAIN shop.amount AS numeric(10, 2);
CREATE TYPE shop.pair AS (a int, b text);
CREATE FUNCTION shop.buy(item text, price shop.amount, colours shop.colour[] DEFAULT '{red}', at timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE sql AS 'SELECT 1::bigint';
COMMENT ON FUNCTION shop.buy(text, shop.amount, shop.colour[], timestamptz) IS 'puts a thing into the basket';
CREATE FUNCTION shop.list(OUT name text, OUT number int) RETURNS SETOF record STABLE LANGUAGE sql AS $$ SELECT 'x', 1 $$;
CREATE FUNCTION shop.pay(payload jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION shop.unnamed(int, shop.pair) RETURNS shop.pair STABLE LANGUAGE sql AS 'SELECT $2';
CREATE FUNCTION shop.owner_only() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid';
REVOKE EXECUTE ON FUNCTION shop.owner_only() FROM PUBLIC;
CREATE FUNCTION shop._private() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION shop.on_activate() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION shop.a_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE FUNCTION shop.twice() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION shop.twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE PROCEDURE shop.a_procedure() LANGUAGE sql AS '';
SELECT actor_register('shop');
SELECT method, function::regprocedure, parameters, result, read_only, hosted, callable, comment
  FROM actor.method WHERE actor_type = 'shop' ORDER BY method;
-- what the view has can be called, and nothing else
SELECT p.proname, m.method IS NOT NULL AS in_view
  FROM pg_proc p LEFT JOIN actor.method m ON m.function = p.oid AND m.actor_type = 'shop',
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L, %L)', 'shop', '1', p.proname, '[[]]')) r
 WHERE p.pronamespace = 'shop'::regnamespace
   AND (m.method IS NOT NULL) = coalesce(r.state IN ('42883', '42725'), false);
-- hints have the same
SELECT hint FROM unnest(ARRAY['buyy', 'lst', 'a_triger', 'twic', 'on_activat', '_privat', 'owner_onli']) AS name,
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L)', 'shop', '1', name)) ORDER BY name COLLATE "C";
SELECT jsonb_pretty(actor_openapi('shop') #- '{components}');
SELECT actor_openapi('shop') -> 'components' -> 'schemas' -> 'Error' -> 'required' AS required;
SELECT actor_openapi('no such type') IS NULL AS nothing;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT method, callable FROM actor.method WHERE actor_type = 'shop' ORDER BY method;
SELECT jsonb_object_keys(actor_openapi('shop') -> 'paths') AS path ORDER BY 1;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT count(*) FILTER (WHERE callable) AS callable, count(*) > 0 AS seen FROM actor.method WHERE actor_type = 'shop';
SELECT actor_openapi('shop') -> 'paths' AS paths;
-- a type that has lost its schema can do nothing
SET SESSION AUTHORIZATION regress_actor_owner;
DROP SCHEMA shop CASCADE;
SELECT count(*) FROM actor.method WHERE actor_type = 'shop';
SELECT actor_openapi('shop') -> 'paths' AS paths;
RESET SESSION AUTHORIZATION;
SELECT actor_unregister('shop', true);
