--
-- Collations: a method gets the one that a direct call derives.  A server without
-- ICU has no collation that shows it; collation_1.out is for that.
--
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA echo;
SELECT actor_register('echo');
\set collation 'CREATE COLLATION echo.ci (provider = icu, locale = ''und-u-ks-level2'', deterministic = false)'
SELECT message = 'taken' AS has_icu FROM refusal(:'collation') \gset
\if :has_icu
\else
SELECT actor_unregister('echo');
DROP SCHEMA echo;
\quit
\endif

-- calls a method of actor 1 of the type echo and says what has come of it
CREATE FUNCTION echo._call(method text, payload text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql
AS $$
DECLARE
    detail text;
BEGIN
    RETURN coalesce(actor_invoke('echo', '1', method, payload::jsonb)::text, '(null)');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    RETURN concat_ws(' | ', SQLSTATE, SQLERRM, nullif(detail, ''));
END
$$;

CREATE DOMAIN echo.email AS text COLLATE echo.ci;
CREATE DOMAIN echo.local_email AS echo.email;
CREATE DOMAIN echo.word AS text COLLATE "C";
CREATE DOMAIN echo.emails AS echo.email[];
CREATE TYPE echo.person AS (name text, mail echo.email);
CREATE FUNCTION echo.co_domain(who echo.email) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN who = 'ROOT'; END $$;
CREATE FUNCTION echo.co_domain_sql(who echo.local_email) RETURNS boolean LANGUAGE sql
AS $$ SELECT who = 'ROOT' $$;
CREATE FUNCTION echo.co_deterministic(who echo.word) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN RETURN pg_collation_for(who); END $$;
CREATE FUNCTION echo.co_name(who name) RETURNS text LANGUAGE sql
AS $$ SELECT pg_collation_for(who) $$;
CREATE FUNCTION echo.co_array(who echo.email[], other int) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN who = '{ROOT}' AND 'ROOT' = ANY (who); END $$;
CREATE FUNCTION echo.co_array_domain(who echo.emails, other int) RETURNS boolean LANGUAGE sql
AS $$ SELECT who = '{ROOT}'::echo.emails $$;
CREATE FUNCTION echo.co_composite(who echo.person, other int) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN who.mail = 'ROOT' AND who.name <> 'ROOT'; END $$;
CREATE FUNCTION echo.co_composites(who echo.person[], other int) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN who[1].mail = 'ROOT'; END $$;
CREATE FUNCTION echo.co_variable() RETURNS boolean LANGUAGE plpgsql
AS $$ DECLARE v echo.email := 'ROOT'; BEGIN RETURN v = 'root'; END $$;
CREATE FUNCTION echo.co_variable_beside(n int) RETURNS boolean LANGUAGE plpgsql
AS $$ DECLARE v echo.email := 'ROOT'; BEGIN RETURN v = 'root'; END $$;
-- that of a text parameter beats that of a variable: so it is in a direct call
CREATE FUNCTION echo.co_variable_text(x text) RETURNS boolean LANGUAGE plpgsql
AS $$ DECLARE v echo.email := 'ROOT'; BEGIN RETURN v = 'root'; END $$;
CREATE FUNCTION echo.co_text_and_domain(x text, who echo.email) RETURNS text LANGUAGE sql
AS $$ SELECT pg_collation_for(x) || ', ' || pg_collation_for(who) $$;
CREATE FUNCTION echo.co_conflict(a echo.word, b echo.email) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN a < b; END $$;
-- a default is put in after the parser has derived the collation
CREATE FUNCTION echo.co_default(a text, b echo.email DEFAULT 'ROOT') RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN a = 'ROOT'; END $$;
CREATE FUNCTION echo.co_set(who echo.email) RETURNS SETOF boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN NEXT who = 'ROOT'; END $$;
CREATE FUNCTION echo._direct(call text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    result text;
BEGIN
    EXECUTE 'SELECT echo.' || call INTO result;
    RETURN result;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END
$$;
SELECT direct, echo._direct(direct), substr(echo._call(split_part(direct, '(', 1), payload), 1, 60) AS invoked
  FROM (VALUES
    ($$co_domain('Root')$$, '["Root"]'),
    ($$co_domain_sql('Root')$$, '["Root"]'),
    ($$co_deterministic('a')$$, '["a"]'),
    ($$co_name('a')$$, '["a"]'),
    ($$co_array('{Root}', 1)$$, '[["Root"], 1]'),
    ($$co_array_domain('{Root}', 1)$$, '[["Root"], 1]'),
    ($$co_composite('(Root,Root)', 1)$$, '[{"name": "Root", "mail": "Root"}, 1]'),
    ($$co_composites('{"(Root,Root)"}', 1)$$, '[[{"name": "Root", "mail": "Root"}], 1]'),
    ($$co_variable()$$, NULL),
    ($$co_variable_beside(1)$$, '[1]'),
    ($$co_variable_text('x')$$, '["x"]'),
    ($$co_text_and_domain('x', 'y')$$, '["x", "y"]'),
    ($$co_conflict('x', 'y')$$, '["x", "y"]'),
    ($$co_default('Root')$$, '["Root"]'),
    ($$co_default('Root', 'x')$$, '["Root", "x"]'),
    ($$co_default('Root')$$, '{"a": "Root"}'),
    ($$co_default(b => 'x', a => 'Root')$$, '{"b": "x", "a": "Root"}'),
    ($$co_set('Root')$$, '["Root"]')) AS v (direct, payload);
-- hooks and callbacks, too
CREATE TABLE echo.seen (what text, equal boolean);
CREATE FUNCTION echo.on_activate() RETURNS void LANGUAGE plpgsql
AS $$ DECLARE v echo.email := 'ROOT'; BEGIN INSERT INTO echo.seen VALUES ('on_activate', v = 'root'); END $$;
CREATE FUNCTION echo.on_deactivate() RETURNS void LANGUAGE plpgsql
AS $$ DECLARE v echo.email := 'ROOT'; BEGIN INSERT INTO echo.seen VALUES ('on_deactivate', v = 'root'); END $$;
CREATE FUNCTION echo.co_callback(who echo.email) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO echo.seen VALUES ('callback', who = 'ROOT'); END $$;
BEGIN;
SELECT actor_send('echo', 'callback', 'co_callback', '["Root"]') IS NOT NULL AS sent;
SELECT count(*) FROM actor_run_due();
SELECT actor_deactivate('echo', 'callback');
SELECT * FROM echo.seen ORDER BY what;
ROLLBACK;
DROP FUNCTION echo.on_activate(), echo.on_deactivate();

SELECT at_rest();
SET client_min_messages = warning;
SELECT actor_unregister('echo', force => true);
DROP SCHEMA echo CASCADE;
RESET SESSION AUTHORIZATION;
