--
-- State of an actor: keys with any SQL value.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA box;
SELECT actor_register('box');
-- runs any statement as actor 1, for writing or reading
CREATE FUNCTION box.run(statement text) RETURNS text LANGUAGE plpgsql
AS $$ DECLARE result text; BEGIN EXECUTE 'SELECT ' || statement INTO result; RETURN result; END $$;
CREATE FUNCTION box.read(statement text) RETURNS text STABLE LANGUAGE plpgsql
AS $$ DECLARE result text; BEGIN EXECUTE 'SELECT ' || statement INTO result; RETURN result; END $$;
CREATE FUNCTION box._run(statement text, id text DEFAULT '1') RETURNS text LANGUAGE sql
AS $$ SELECT actor_invoke('box', id, 'run', jsonb_build_array(statement)) #>> '{}' $$;
CREATE FUNCTION box._read(statement text, id text DEFAULT '1') RETURNS text LANGUAGE sql
AS $$ SELECT actor_invoke('box', id, 'read', jsonb_build_array(statement)) #>> '{}' $$;
\pset null '(null)'

--
-- Outside a turn there is none
--
SELECT actor_get('a');
\echo :LAST_ERROR_SQLSTATE
SELECT call, r.state, r.message
  FROM unnest(ARRAY['actor_get(''a'', 1)', 'actor_get(''a'', ''x'')', 'actor_set(''a'', 1)', 'actor_set(''a'', ''x'')',
                    'actor_remove(''a'')', 'actor_state()', 'actor_transact(''[]'')', 'actor_get(NULL)']) AS call,
       LATERAL refusal('SELECT ' || call) AS r
 ORDER BY call COLLATE "C";

--
-- Setting, getting, removing
--
SELECT box._run($$actor_state()$$);
SELECT box._run($$actor_get('a')$$), box._run($$actor_get('a', 7)$$), box._run($$actor_get('a', 'absent')$$),
       box._run($$actor_get('a', NULL::int)$$), box._run($$actor_get('a', NULL)$$);
SELECT box._run($$actor_set('a', 1)$$);
SELECT box._run($$actor_get('a')$$), box._run($$actor_get('a', 7)$$), box._run($$actor_get('a', 'absent')$$),
       box._run($$actor_get('a', NULL::int)$$), box._run($$actor_get('a', NULL)$$);
SELECT box._read($$actor_get('a')$$), box._read($$actor_get('a', 7)$$), box._read($$actor_state()$$);
SELECT box._run($$actor_set('a', 'two')$$);
SELECT box._run($$actor_set('b', 2.50)$$);
SELECT box._run($$actor_state()$$);
-- types that are nearly text: one form is the best
SELECT box._run($$concat_ws(' ', actor_set('t', v::"char"), actor_get('t'), pg_typeof(actor_get('t', ''::"char")), actor_get('t', ''::"char"),
                            actor_set('t', v::name), actor_get('t', v::name), actor_set('t', v::varchar), actor_get('t', v::varchar),
                            actor_set('t', v::bpchar), actor_get('t', v::bpchar), actor_get('no', 'c'::"char")) FROM (SELECT 'v' AS v) AS x$$);
SELECT box._run($$actor_remove('t')$$);
-- exact keys of exact actors
SELECT box._run($$actor_get('A')$$), box._run($$actor_get('a ')$$), box._run($$actor_get('a')$$, '1 '), box._run($$actor_state()$$, '2');
SELECT box._run($$actor_remove('a')$$), box._run($$actor_remove('a')$$), box._run($$actor_remove('none')$$);
SELECT box._run($$actor_state()$$);
-- seen at once in the same method, gone with it when it fails
SELECT box._run($$concat_ws(' ', actor_set('c', 1), actor_get('c'), actor_set('c', 2), actor_get('c', 0), actor_remove('c'), actor_get('c', -1))$$);
SELECT box._run($$concat(actor_set('b', 3), 1 / (actor_get('b', 0) - 3))$$);
SELECT box._run($$actor_get('b')$$);

--
-- Any SQL value, and back in its type
--
CREATE TYPE box.colour AS ENUM ('red', 'green');
CREATE TYPE box.part AS (name text, size numeric, tags text[]);
CREATE DOMAIN box.positive AS int CHECK (VALUE > 0);
SET TIME ZONE 'UTC';
-- A value, as stored, and whether the same comes back.  It does not for what
-- jsonb does not keep: the order of members, and JSON null, which is SQL NULL.
CREATE FUNCTION box._keep(value text, OUT stored text, OUT same text) LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM box._run(format('actor_set(%L, %s)', 'v', value));
    stored := box._run($q$actor_get('v')$q$);
    same := box._run(format('(actor_get(%L, (SELECT d FROM (SELECT %s) AS v (d) WHERE false)))::text IS NOT DISTINCT FROM (%2$s)::text', 'v', value));
EXCEPTION WHEN OTHERS THEN
    same := SQLSTATE || ' ' || SQLERRM;
END
$$;
SELECT value, k.stored, k.same
  FROM unnest(ARRAY[$$1$$, $$(-32768)::smallint$$, $$9223372036854775807$$, $$1.10$$, $$123456789012345678901234567890.0123456789$$,
                    $$'NaN'::numeric$$, $$'Infinity'::numeric$$, $$0.1::float4$$, $$0.1::float8 + 0.2::float8$$, $$'NaN'::float8$$, $$'-Infinity'::float8$$,
                    $$true$$, $$'text'::text$$, $$''$$, $$'untyped'$$, $$'{}'$$, $$'{}'::jsonb$$, $$'[1, {"a": null}]'::jsonb$$, $$'null'::jsonb$$,
                    $$'{"b": 1, "a": 2}'::json$$, $$'x'::varchar$$, $$'x'::name$$, $$'ab '::char(5)$$, $$'\x00ff'::bytea$$,
                    $$'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid$$, $$'10.0.0.0/8'::cidr$$, $$B'101'$$,
                    $$date '2024-02-29'$$, $$date 'infinity'$$, $$time '23:59:59.999999'$$, $$timestamp '2024-02-29 12:00'$$,
                    $$timestamptz '2024-02-29 12:00:00.000001+05'$$, $$timestamptz '-infinity'$$, $$interval '1 year -2 days 03:04:05.6'$$,
                    $$int4range(1, 5)$$, $$tstzrange('2024-01-01 00:00+00', NULL)$$, $$'{[1,2]}'::int4multirange$$,
                    $$ARRAY[1, 2, NULL]$$, $$ARRAY[[1, 2], [3, 4]]$$, $$'{}'::int[]$$, $$ARRAY['a', 'b c']$$, $$ARRAY['{"a": 1}'::jsonb, 'null']$$,
                    $$'green'::box.colour$$, $$ARRAY['red', 'green']::box.colour[]$$, $$5::box.positive$$, $$point(1, 2)$$,
                    $$ROW('bolt', 1.50, ARRAY['m8'])::box.part$$, $$ARRAY[ROW('a', 1, NULL)::box.part, NULL]$$,
                    $$NULL::int$$, $$NULL::text$$, $$NULL::box.part$$, $$NULL$$])
       WITH ORDINALITY AS v (value, number),
       LATERAL box._keep(value) AS k
 ORDER BY number;
-- a row of no named type can be kept, but not be asked for
SELECT box._run($$actor_set('r', ROW(1, 'x'))$$), box._run($$actor_get('r')$$);
SELECT box._run($$actor_get('r', ROW(1, 'x'))$$);
\echo :LAST_ERROR_SQLSTATE
-- SQL NULL is kept as JSON null, which is a value: no default
SELECT box._run($$actor_set('n', NULL::int)$$), box._run($$actor_get('n')$$), box._run($$actor_get('n') IS NULL$$),
       box._run($$actor_get('n', 7)$$), box._run($$actor_get('n', 'x')$$), box._run($$actor_state() ? 'n'$$), box._run($$actor_remove('n')$$);
-- parameters: untyped ones are text
PREPARE put AS SELECT actor_set('p', $1);
CREATE FUNCTION box.prepared() RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN EXECUTE 'EXECUTE put(''{"a": 1}'')'; RETURN actor_get('p'); END $$;
SELECT actor_invoke('box', '1', 'prepared');
DEALLOCATE put;
-- all of a scalar, an array or an object as text
SELECT box._run($$concat(actor_set('j', '{"a": [1, "x"]}'::jsonb), actor_get('j', ''))$$),
       box._run($$concat(actor_set('j', true), actor_get('j', ''))$$),
       box._run($$concat(actor_set('j', 'x'), actor_get('j', ''))$$),
       box._run($$concat(actor_set('j', 1.50), actor_get('j', ''))$$);
-- what does not fit the wanted type
SELECT box._run($$actor_set('w', 'word')$$);
SELECT box._run($$actor_get('w', 0)$$);
\echo :LAST_ERROR_SQLSTATE
SELECT box._run($$actor_get('w', ARRAY[0])$$);
SELECT box._run($$actor_get('w', '{}'::jsonb)$$), box._run($$actor_get('w', 'red'::box.colour)$$);
SELECT box._run($$concat(actor_set('w', -1), actor_get('w', 1::box.positive))$$);
\echo :LAST_ERROR_SQLSTATE
-- settings of the session do not matter
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -10;
SELECT value, k.stored, k.same
  FROM unnest(ARRAY[$$date '2024-02-03'$$, $$interval '1 year -2 days 03:04:05.6'$$, $$0.1::float8 + 0.2::float8$$,
                    $$tstzrange('2024-02-03 00:00+00', NULL)$$, $$ARRAY[date '2024-02-03']$$])
       WITH ORDINALITY AS v (value, number),
       LATERAL box._keep(value) AS k
 ORDER BY number;
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;
SELECT box._run($$actor_get('v', date '2000-01-01')$$);
SELECT box._run($$actor_get('v', ARRAY[date '2000-01-01'])$$);
RESET TIME ZONE;

--
-- Limits
--
SELECT call, r.state, r.message, r.detail
  FROM unnest(ARRAY[$$actor_set(NULL, 1)$$, $$actor_set('', 1)$$, $$actor_set(repeat('x', 513), 1)$$, $$actor_set(repeat('x', 1000000), 1)$$,
                    $$actor_set(repeat('Ü', 257), 1)$$, $$actor_set(repeat('x', 512), 1)$$, $$actor_get(NULL)$$, $$actor_get('')$$,
                    $$actor_get(repeat('x', 513))$$, $$actor_get(repeat('x', 512))$$, $$actor_get(NULL, 1)$$, $$actor_get('', 1)$$, $$actor_get(repeat('x', 513), 'd')$$,
                    $$actor_remove(NULL)$$, $$actor_remove('')$$, $$actor_remove(repeat('x', 1000000))$$, $$actor_remove(repeat('x', 512))$$,
                    $$actor_set('t', 1, interval '0')$$, $$actor_set('t', 1, interval '-1 microsecond')$$, $$actor_set('t', 1, interval '1 day -25 hours')$$,
                    $$actor_set('t', 1, interval '300000 years')$$]) AS call,
       LATERAL refusal(format('SELECT box._run(%L)', call)) AS r
 ORDER BY call COLLATE "C";
SELECT box._run($$actor_set('', 1)$$);
\echo :LAST_ERROR_SQLSTATE
SELECT box._run($$actor_get(NULL)$$);
\echo :LAST_ERROR_SQLSTATE
SELECT box._run($$actor_set('t', 1, interval '0')$$);
\echo :LAST_ERROR_SQLSTATE
-- a big value
SELECT box._run($$actor_set('big', repeat('x', 3000000))$$), box._run($$length(actor_get('big', ''))$$), box._run($$actor_remove('big')$$);
-- odd keys
\pset format unaligned
SELECT box._run($q$concat(actor_set(key, 1), actor_get(key)) FROM (VALUES (E'a "b" ''c''\n\\ Ü.$1')) AS k (key)$q$, 'odd'), box._run($$actor_state()$$, 'odd');
\pset format aligned

--
-- Time to live
--
SELECT box._run($$actor_set('t', 1, interval '1 microsecond')$$, 'ttl');
SELECT box._run($$actor_get('t')$$, 'ttl'), box._run($$actor_get('t', 7)$$, 'ttl'), box._run($$actor_state()$$, 'ttl'),
       box._read($$actor_get('t')$$, 'ttl'), box._read($$actor_state()$$, 'ttl');
-- expired keys cannot be removed, but be set again
SELECT box._run($$actor_remove('t')$$, 'ttl'), box._run($$actor_remove('t')$$, 'ttl');
SELECT box._run($$actor_set('t', 1, interval '1 microsecond')$$, 'ttl'), box._run($$actor_set('t', 2)$$, 'ttl'), box._run($$actor_get('t')$$, 'ttl');
-- one that is set again without a ttl has none
SELECT box._run($$actor_set('t', 3, interval '1 hour')$$, 'ttl'), box._run($$actor_get('t')$$, 'ttl');
SELECT key, expires_at - updated_at BETWEEN interval '59 minutes' AND interval '61 minutes' AS in_an_hour FROM actor.state WHERE actor_id = 'ttl' ORDER BY key;
SELECT box._run($$actor_set('t', 4, NULL)$$, 'ttl');
SELECT key, value, expires_at FROM actor.state WHERE actor_id = 'ttl' ORDER BY key;
-- the text form has it too, and months are calendar months
SELECT box._run($$actor_set('u', 'text', '1 month')$$, 'ttl'), box._run($$actor_set('u', 'text', ttl => '1 microsecond')$$, 'ttl'), box._run($$actor_get('u')$$, 'ttl');
-- within one method
SELECT box._run($$concat_ws(' ', actor_set('x', 1, '1 microsecond'), pg_sleep(0.001), coalesce(actor_get('x')::text, 'gone'))$$, 'ttl');

SELECT at_rest();
SELECT actor_unregister('box', force => true);
DROP SCHEMA box CASCADE;
RESET SESSION AUTHORIZATION;
