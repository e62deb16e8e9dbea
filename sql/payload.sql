--
-- Payloads: how they become arguments, and how results become jsonb.
--
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA echo;
SELECT actor_register('echo');
\pset null '(null)'

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

--
-- The whole document
--
CREATE FUNCTION echo.document(payload jsonb) RETURNS jsonb STABLE LANGUAGE sql
AS $$ SELECT jsonb_build_object('got', payload) $$;
CREATE FUNCTION echo.unnamed(json) RETURNS json STABLE LANGUAGE sql
AS $$ SELECT json_build_object('got', $1) $$;
CREATE FUNCTION echo.document_default(payload jsonb DEFAULT '{"a": "default"}') RETURNS jsonb
STABLE LANGUAGE sql AS $$ SELECT payload $$;
CREATE FUNCTION echo.document_strict(payload jsonb) RETURNS text STABLE STRICT LANGUAGE sql
AS $$ SELECT 'called with ' || payload::text $$;
CREATE DOMAIN echo.document_type AS jsonb CHECK (VALUE ? 'id');
CREATE FUNCTION echo.document_domain(payload echo.document_type) RETURNS jsonb
STABLE LANGUAGE sql AS $$ SELECT payload::jsonb $$;
SELECT payload,
       echo._call('document', payload) AS document,
       echo._call('unnamed', payload) AS unnamed,
       echo._call('document_default', payload) AS document_default,
       echo._call('document_strict', payload) AS document_strict
  FROM unnest(ARRAY[NULL, 'null', '{}', '[]', '"a string"', '1.500', 'true',
                    '{"payload": 1}', '[1, 2]', '{"a": {"b": [null]}}'])
       WITH ORDINALITY AS p (payload, number)
 ORDER BY number;
-- a domain over jsonb is a type of its own: members go to parameters
SELECT echo._call('document_domain', '{"id": 1}');
SELECT echo._call('document_domain', '{"payload": {"id": 1}}');
SELECT echo._call('document_domain', '{"payload": {"no": 1}}');

--
-- No parameters
--
CREATE FUNCTION echo.nothing() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'called' $$;
SELECT payload, echo._call('nothing', payload)
  FROM unnest(ARRAY[NULL, 'null', '{}', '[]', '""', '0', 'false', '{"a": 1}', '[1]'])
       WITH ORDINALITY AS p (payload, number)
 ORDER BY number;

--
-- By name and by position, defaults, what is missing and what is too much
--
CREATE FUNCTION echo.three(a int, b text DEFAULT 'b' || 'b', c date DEFAULT '2024-02-29')
RETURNS text STABLE LANGUAGE sql
AS $$ SELECT format('a=%s b=%s c=%s', a, coalesce(b, 'null'), to_char(c, 'YYYY-MM-DD')) $$;
SELECT payload, echo._call('three', payload)
  FROM unnest(ARRAY['{"a": 1}', '{"c": "2023-01-31", "a": 1}', '{"a": "1", "b": null}',
                    '{"a": 1, "b": {"x": [1, "y"]}}', '{"a": 1, "b": true}',
                    '[1]', '[1, "two"]', '[1, null, "2023-01-31"]',
                    NULL, 'null', '{}', '[]', '{"b": "x"}', '{"A": 1}',
                    '{"a": 1, "d": 2}', '{"z": 1, "y": 2, "a b": 3, "": 4}',
                    '[1, "two", "2023-01-31", 4]', '[1, "two", "2023-01-31", 4, 5]',
                    '1', '"a"', 'true',
                    '{"a": "x"}', '{"a": 1.5}', '{"a": 1e20}', '{"a": true}', '{"a": [1]}',
                    '{"a": {}}', '{"a": 1, "c": "2023-02-29"}', '{"a": 1, "c": ""}'])
       WITH ORDINALITY AS p (payload, number)
 ORDER BY number;
SELECT actor_invoke('echo', '1', 'three', '{"d": 1, "a": 1}');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'three', '[1, 2, "2023-01-31", 4]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'three');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'three', '"text"');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'nothing', '[]');
-- a failing conversion keeps its SQLSTATE and names the parameter
SELECT actor_invoke('echo', '1', 'three', '{"a": 1, "c": "soon"}');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'three', '[99999999999]');
\echo :LAST_ERROR_SQLSTATE
-- many and long names are not repeated in full
SELECT actor_invoke('echo', '1', 'three', jsonb_object_agg('name' || i, i))
  FROM generate_series(11, 111) AS i;
SELECT actor_invoke('echo', '1', 'three', jsonb_build_object('a', 1, repeat('x', 1000000), 1));
SELECT actor_invoke('echo', '1', 'three', jsonb_build_object('a', repeat('9', 30)));

--
-- One parameter: a payload that can only be its value is its value
--
CREATE TYPE echo.pair AS (v int, w text);
CREATE DOMAIN echo.pairs AS echo.pair CHECK ((VALUE).v > 0);
CREATE DOMAIN echo.ints AS int[];
CREATE FUNCTION echo.one_int(v int) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v::text $$;
CREATE FUNCTION echo.one_text(v text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT quote_literal(v) $$;
CREATE FUNCTION echo.one_nameless(boolean) RETURNS text STABLE LANGUAGE sql AS $$ SELECT $1::text $$;
CREATE FUNCTION echo.one_default(v date DEFAULT '2024-02-29') RETURNS text STABLE LANGUAGE sql
AS $$ SELECT to_char(v, 'YYYY') $$;
CREATE FUNCTION echo.one_ints(v int[]) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v::text $$;
CREATE FUNCTION echo.one_array_domain(v echo.ints) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v::text $$;
CREATE FUNCTION echo.one_texts(text[]) RETURNS text STABLE LANGUAGE sql AS $$ SELECT $1::text $$;
CREATE FUNCTION echo.one_row(v echo.pair) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v::text $$;
CREATE FUNCTION echo.one_row_domain(p echo.pairs) RETURNS text STABLE LANGUAGE sql AS $$ SELECT p::text $$;
CREATE FUNCTION echo.one_rows(echo.pair[]) RETURNS text STABLE LANGUAGE sql AS $$ SELECT $1::text $$;
SELECT method, payload, echo._call(method, payload)
  FROM (VALUES
    ('one_int', '5'), ('one_int', '"5"'), ('one_int', '"x"'), ('one_int', 'true'), ('one_int', 'null'),
    ('one_int', '[5]'), ('one_int', '{"v": 5}'), ('one_int', '[]'), ('one_int', '{}'), ('one_int', '[5, 6]'),
    ('one_text', '"a"'), ('one_text', '1.50'), ('one_text', '{"a": 1}'), ('one_text', '["a"]'), ('one_text', '"{}"'),
    ('one_nameless', 'true'), ('one_nameless', '[true]'), ('one_nameless', '{"v": true}'),
    ('one_default', '"2023-01-01"'), ('one_default', 'null'), ('one_default', NULL), ('one_default', '[]'),
    ('one_ints', '[1, 2]'), ('one_ints', '[1]'), ('one_ints', '[]'), ('one_ints', '[[1, 2]]'), ('one_ints', '[[]]'),
    ('one_ints', '[[1, 2], [3, 4]]'), ('one_ints', '[null]'), ('one_ints', '[null, null]'), ('one_ints', '{"v": [1]}'),
    ('one_ints', '"{1,2}"'), ('one_ints', '5'), ('one_ints', '["x"]'), ('one_ints', '{"x": 1}'),
    ('one_array_domain', '[1, 2]'), ('one_array_domain', '[[1, 2]]'),
    ('one_texts', '["{a,b}"]'), ('one_texts', '[["{a,b}"]]'), ('one_texts', '[{"a": 1}]'),
    ('one_row', '{"v": 1, "w": "x"}'), ('one_row', '{"w": "x"}'), ('one_row', '{"v": {"v": 1}}'), ('one_row', '{"v": 1}'),
    ('one_row', '{"v": "(1,x)"}'), ('one_row', '{"v": null}'), ('one_row', '{}'), ('one_row', '{"w": 1, "x": 2}'), ('one_row', '[{"w": "x"}]'),
    ('one_row', '"(1,x)"'), ('one_row', '5'),
    ('one_row_domain', '{"v": 1, "w": "x"}'), ('one_row_domain', '{"v": 0}'), ('one_row_domain', '{"p": {"v": 1}}'),
    ('one_row_domain', '{"p": {"v": 1}, "v": 1}'),
    ('one_rows', '[{"v": 1}, {"w": "x"}]'), ('one_rows', '[{"v": 1}]'), ('one_rows', '[[{"v": 1}]]'), ('one_rows', '{"v": 1}'))
       AS p (method, payload);

-- parameters without a name can only be given by position
CREATE FUNCTION echo.nameless(int, b int, int DEFAULT 3) RETURNS text STABLE LANGUAGE sql
AS $$ SELECT format('%s %s %s', $1, $2, $3) $$;
SELECT payload, echo._call('nameless', payload)
  FROM unnest(ARRAY['[1, 2]', '[1, 2, 4]', '{"b": 2}', '{"$1": 1, "b": 2}', '{"": 1}', '[1]'])
       WITH ORDINALITY AS p (payload, number)
 ORDER BY number;
SELECT actor_invoke('echo', '1', 'nameless', '{"b": "x"}');
SELECT actor_invoke('echo', '1', 'nameless', '[1, "x"]');
SELECT actor_invoke('echo', '1', 'nameless', '["x", 1]');

-- odd names
CREATE FUNCTION echo.odd("A b" int, "quote "" '" int, "Ü" int, OUT result int)
STABLE LANGUAGE sql AS $$ SELECT $1 + $2 + $3 $$;
SELECT actor_invoke('echo', '1', 'odd', '{"A b": 1, "quote \" ''": 2, "Ü": 3}');
SELECT actor_invoke('echo', '1', 'odd', '{"A b": 1, "quote \" ''": 2}');
SELECT actor_invoke('echo', '1', 'odd', '{"A b": 1, "quote \" ''": "x", "Ü": 3}');

-- defaults are evaluated at each call, in its snapshot, as the caller
CREATE SEQUENCE echo.counter;
CREATE FUNCTION echo.count_up(x bigint DEFAULT nextval('echo.counter'), y name DEFAULT current_user)
RETURNS text LANGUAGE sql AS $$ SELECT x || ' ' || y $$;
SELECT actor_invoke('echo', '1', 'count_up');
SELECT actor_invoke('echo', '1', 'count_up', '{"y": "me"}');
SELECT actor_invoke('echo', '1', 'count_up', '[10]');
SELECT actor_invoke('echo', '1', 'count_up', '{}');
CREATE FUNCTION echo.bad_default(x int DEFAULT 1 / (random() * 0)::int) RETURNS int
STABLE LANGUAGE sql AS $$ SELECT x $$;
SELECT actor_invoke('echo', '1', 'bad_default');
SELECT actor_invoke('echo', '1', 'bad_default', '[1]');

-- a strict function is not called with a null
CREATE FUNCTION echo.strict(a int, b int DEFAULT NULL) RETURNS int STRICT LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'called'; END $$;
SELECT echo._call('strict', '[1, null]'), echo._call('strict', '[1]'), echo._call('strict', '[1, 2]');
CREATE FUNCTION echo.strict_set(a int) RETURNS SETOF int STABLE STRICT LANGUAGE sql AS $$ SELECT 1 $$;
SELECT echo._call('strict_set', '[1]'), echo._call('strict_set', '[null]');

-- many parameters
DO $$
BEGIN
    EXECUTE format('CREATE FUNCTION echo.hundred(%s) RETURNS bigint STABLE LANGUAGE sql AS %L',
                   (SELECT string_agg(format('p%s int', i), ', ' ORDER BY i)
                      FROM generate_series(1, 100) AS i),
                   (SELECT 'SELECT 0::bigint' || string_agg(format(' + p%s', i), '' ORDER BY i)
                      FROM generate_series(1, 100) AS i));
END
$$;
SELECT actor_invoke('echo', '1', 'hundred', jsonb_agg(i)) FROM generate_series(1, 100) AS i;
SELECT actor_invoke('echo', '1', 'hundred', jsonb_object_agg('p' || i, i)) FROM generate_series(1, 100) AS i;
SELECT actor_invoke('echo', '1', 'hundred', jsonb_agg(i)) FROM generate_series(1, 101) AS i;

--
-- Values of each kind of type.  The second column is what the method saw.
--
CREATE TYPE echo.colour AS ENUM ('red', 'dark green');
CREATE TYPE echo.point3 AS (x int, y numeric, label text);
CREATE TYPE echo.line AS (name text, ends echo.point3[]);
CREATE DOMAIN echo.positive AS int NOT NULL CHECK (VALUE > 0);
CREATE DOMAIN echo.code AS varchar(3) CHECK (VALUE <> 'bad');
CREATE DOMAIN echo.spot AS echo.point3 CHECK ((VALUE).x > 0);
CREATE TABLE echo.item (id int PRIMARY KEY, name text NOT NULL, dropped int, at timestamptz);
ALTER TABLE echo.item DROP COLUMN dropped;
CREATE FUNCTION echo._make(type text) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('CREATE FUNCTION echo.%I(v %s, other int DEFAULT 0) RETURNS %2$s STABLE LANGUAGE sql AS ''SELECT v''',
                   'return ' || type, type);
    EXECUTE format('CREATE FUNCTION echo.%I(v %s, other int DEFAULT 0) RETURNS text STABLE LANGUAGE sql AS ''SELECT v::text''',
                   'text of ' || type, type);
END
$$;
SELECT count(echo._make(type))
  FROM unnest(ARRAY['int', 'smallint', 'bigint', 'numeric', 'float4', 'float8', 'boolean', 'text',
                    'char', '"char"', 'varchar', 'name', 'bytea', 'uuid', 'inet', 'bit', 'date',
                    'time', 'timetz', 'timestamp', 'timestamptz', 'interval', 'int4range',
                    'tstzrange', 'int4multirange', 'int[]', 'text[]', 'jsonb[]', 'jsonb', 'json', 'xid', 'money',
                    'echo.colour', 'echo.colour[]', 'echo.point3', 'echo.point3[]', 'echo.line',
                    'echo.positive', 'echo.positive[]', 'echo.code', 'echo.spot', 'echo.item',
                    'regclass', 'point', 'tsvector', 'int2vector']) AS type;
CREATE FUNCTION echo._round_trip(type text, value text) RETURNS text LANGUAGE sql
AS $$
    SELECT concat_ws(' -> ', type, value,
                     echo._call('text of ' || type, format('{"v": %s}', value)),
                     echo._call('return ' || type, format('[%s]', value)))
$$;
SET TIME ZONE 'UTC';
SELECT echo._round_trip(type, value)
  FROM (VALUES
    (1, 'int', '1'), (1, 'int', '"2"'), (1, 'int', 'null'), (1, 'int', '1.0'), (1, 'int', '1.5'),
    (1, 'int', 'true'), (1, 'int', '""'), (1, 'int', '[]'), (1, 'int', '" 7 "'),
    (2, 'smallint', '32768'), (2, 'bigint', '9223372036854775807'), (2, 'bigint', '9223372036854775808'),
    (3, 'numeric', '0.1000'), (3, 'numeric', '12345678901234567890123456789.123456789012345678901234567890'),
    (3, 'numeric', '1e30'), (3, 'numeric', '1e-30'), (3, 'numeric', '"NaN"'), (3, 'numeric', '"Infinity"'),
    (4, 'float4', '0.1'), (4, 'float8', '0.1'), (4, 'float8', '"1e400"'), (4, 'float8', '"-Infinity"'),
    (4, 'float8', '"NaN"'), (4, 'float8', '0.30000000000000004'),
    (5, 'boolean', 'true'), (5, 'boolean', 'false'), (5, 'boolean', '"yes"'), (5, 'boolean', '1'), (5, 'boolean', '2'),
    (6, 'text', '"text"'), (6, 'text', '""'), (6, 'text', '1.50'), (6, 'text', 'true'), (6, 'text', 'null'),
    (6, 'text', '"null"'), (6, 'text', '{"a": "b"}'), (6, 'text', '["a", 1]'), (6, 'text', '"\"\\ \n\u00e9"'),
    (7, 'char', '"a "'), (7, '"char"', '"abc"'), (7, 'varchar', '"abc"'), (7, 'name', '"abc"'),
    (8, 'bytea', '"\\x00ff"'), (8, 'bytea', '"\\000\\377a"'), (8, 'bytea', '"\\x0"'),
    (9, 'uuid', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"'), (9, 'uuid', '"x"'), (9, 'inet', '"192.168.0.1/24"'), (9, 'bit', '"1"'),
    (10, 'date', '"2024-02-29"'), (10, 'date', '"infinity"'), (10, 'date', '"2024-02-30"'), (10, 'date', '"02/03/2024"'),
    (10, 'time', '"24:00"'), (10, 'timetz', '"12:00+02"'),
    (11, 'timestamp', '"2024-02-29T12:00:00.123456"'), (11, 'timestamp', '"-infinity"'),
    (11, 'timestamptz', '"2024-02-29T12:00:00+05:30"'), (11, 'timestamptz', '"2024-02-29 12:00"'), (11, 'timestamptz', '"44 BC-03-15"'),
    (11, 'timestamptz', '"0044-03-15 BC"'),
    (12, 'interval', '"1 year -2 months 3 days -04:05:06.789"'), (12, 'interval', '"P1Y2M3DT4H5M6S"'), (12, 'interval', '""'),
    (13, 'int4range', '"[1,5]"'), (13, 'int4range', '"empty"'), (13, 'int4range', '"(,)"'), (13, 'int4range', '"[5,1]"'),
    (13, 'tstzrange', '"[2024-01-01 00:00+00,2024-01-02 00:00+00)"'), (13, 'int4multirange', '"{[1,2],[4,5]}"'),
    (14, 'int[]', '[1, 2, null]'), (14, 'int[]', '[]'), (14, 'int[]', '[[1, 2], [3, 4]]'), (14, 'int[]', '[[1], [2, 3]]'),
    (14, 'int[]', '"{1,2}"'), (14, 'int[]', '1'), (14, 'int[]', '["x"]'), (14, 'int[]', 'null'), (14, 'int[]', '{"a": 1}'),
    (14, 'text[]', '["a", "b c", null, 1, {"x": 1}]'), (14, 'jsonb[]', '[1, "a", null, [2], {"x": null}]'),
    (15, 'jsonb', '{"a": null}'), (15, 'jsonb', 'null'), (15, 'jsonb', '"text"'), (15, 'jsonb', '1.00'), (15, 'json', '{"b": 1, "a": "x"}'),
    (15, 'json', 'true'), (15, 'xid', '7'), (15, 'money', '12.5'),
    (16, 'echo.colour', '"dark green"'), (16, 'echo.colour', '"Red"'), (16, 'echo.colour', 'null'), (16, 'echo.colour', '1'),
    (16, 'echo.colour[]', '["red", "dark green"]'), (16, 'echo.colour[]', '["blue"]'),
    (17, 'echo.point3', '{"x": 1, "y": 2.50, "label": "a"}'), (17, 'echo.point3', '{"label": {"any": 1}}'),
    (17, 'echo.point3', '{}'), (17, 'echo.point3', 'null'), (17, 'echo.point3', '"(1,2.5,a)"'), (17, 'echo.point3', '[1, 2, "a"]'),
    (17, 'echo.point3', '{"x": "one"}'), (17, 'echo.point3', '{"x": 1, "unknown": 1}'), (17, 'echo.point3', '5'),
    (17, 'echo.point3[]', '[{"x": 1}, null]'),
    (17, 'echo.line', '{"name": "l", "ends": [{"x": 1, "y": 2}, {"x": 3, "label": "\"end\""}]}'),
    (18, 'echo.positive', '1'), (18, 'echo.positive', '0'), (18, 'echo.positive', 'null'), (18, 'echo.positive[]', '[1, 0]'),
    (18, 'echo.code', '"abc"'), (18, 'echo.code', '"abcd"'), (18, 'echo.code', '"bad"'), (18, 'echo.code', 'null'),
    (18, 'echo.spot', '{"x": 1}'), (18, 'echo.spot', '{"x": 0}'), (18, 'echo.spot', 'null'),
    (19, 'echo.item', '{"id": 1, "name": "n", "at": "2024-02-29 12:00+00"}'), (19, 'echo.item', '{"dropped": 1}'),
    (20, 'regclass', '"pg_catalog.pg_class"'), (20, 'regclass', '"no_such"'), (20, 'point', '"(1,2)"'),
    (20, 'tsvector', '"a:1 b"'), (20, 'int2vector', '"1 2"'))
    AS v (number, type, value)
 ORDER BY number, type COLLATE "C", value COLLATE "C";

-- a NOT NULL domain is not fooled by a missing parameter or a default
CREATE FUNCTION echo.default_domain(v echo.positive DEFAULT NULL, other int DEFAULT 0) RETURNS int
STABLE LANGUAGE sql AS $$ SELECT v::int $$;
SELECT echo._call('default_domain');

-- the server's messages, and the parameter
SELECT actor_invoke('echo', '1', 'return echo.line', '{"v": {"ends": [{"x": "one"}]}}');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'return echo.spot', '{"v": {"x": 0}}');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('echo', '1', 'return int[]', '{"v": [1, [2]]}');
\echo :LAST_ERROR_SQLSTATE

-- settings of the session change nothing
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -15;
SELECT actor_invoke('echo', '1', 'return date', '["02/03/2024"]'),
       actor_invoke('echo', '1', 'return timestamptz', '["2024-03-02 12:00"]');
SELECT actor_invoke('echo', '1', 'return interval', '["1 year -2 months 3 days -04:05:06.789"]'),
       actor_invoke('echo', '1', 'return float8', '[0.30000000000000004]');
SELECT actor_invoke('echo', '1', 'return tstzrange', '["[2024-03-02 00:00+00,)"]');
SELECT actor_invoke('echo', '1', 'return echo.line', '[{"ends": [{"y": 0.30000000000000004}]}]');
CREATE FUNCTION echo.settings(d date) RETURNS text STABLE LANGUAGE sql
AS $$ SELECT concat_ws('; ', d, current_setting('datestyle'), current_setting('intervalstyle'),
                       current_setting('extra_float_digits')) $$;
-- but the method itself sees them
SELECT actor_invoke('echo', '1', 'settings', '["02/03/2024"]');
SELECT echo._call('settings', '["31/12/2024"]');
SELECT current_setting('datestyle'), current_setting('intervalstyle'), current_setting('extra_float_digits');
-- also after an error in a conversion
SELECT actor_invoke('echo', '1', 'settings', '["soon"]');
SELECT current_setting('datestyle'), current_setting('intervalstyle'), current_setting('extra_float_digits');
-- a conversion may call anything, such as a check that invokes an actor or
-- changes a setting
CREATE FUNCTION echo._check(v int) RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM set_config('datestyle', 'German', true);
    RETURN (actor_invoke('echo', 'checker', 'nothing') #>> '{}') = 'called'
           AND actor_id() = '1' AND v > 0;
END
$$;
CREATE DOMAIN echo.checked AS int CHECK (echo._check(VALUE));
CREATE FUNCTION echo.checked(v echo.checked) RETURNS text LANGUAGE sql
AS $$ SELECT concat_ws('; ', v, current_user, actor_id(), current_setting('datestyle')) $$;
SELECT actor_invoke('echo', '1', 'checked', '[5]');
SELECT actor_invoke('echo', '1', 'checked', '[0]');
SHOW datestyle;
RESET datestyle;
RESET intervalstyle;
RESET extra_float_digits;

--
-- Results
--
CREATE FUNCTION echo.r_void() RETURNS void LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION echo.r_void_plpgsql() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
CREATE FUNCTION echo.r_null() RETURNS int STABLE LANGUAGE sql AS $$ SELECT NULL::int $$;
CREATE FUNCTION echo.r_no_row() RETURNS int STABLE LANGUAGE sql AS $$ SELECT 1 WHERE false $$;
CREATE FUNCTION echo.r_json() RETURNS json STABLE LANGUAGE sql AS $$ SELECT '{"b": 1.00, "a": 2, "a": 3}'::json $$;
CREATE FUNCTION echo.r_jsonb_null() RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT 'null'::jsonb $$;
CREATE FUNCTION echo.r_json_scalar() RETURNS json STABLE LANGUAGE sql AS $$ SELECT '"x"'::json $$;
CREATE FUNCTION echo.r_composite() RETURNS echo.point3 STABLE LANGUAGE sql AS $$ SELECT 1, 2.50, 'a' $$;
CREATE FUNCTION echo.r_composite_nulls() RETURNS echo.point3 STABLE LANGUAGE sql AS $$ SELECT NULL::int, NULL::numeric, NULL::text $$;
CREATE FUNCTION echo.r_composite_null() RETURNS echo.point3 STABLE LANGUAGE sql AS $$ SELECT NULL::echo.point3 $$;
CREATE FUNCTION echo.r_composite_plpgsql() RETURNS echo.point3 STABLE LANGUAGE plpgsql
AS $$ DECLARE r echo.point3; BEGIN r.x := 1; RETURN r; END $$;
CREATE FUNCTION echo.r_row() RETURNS echo.item STABLE LANGUAGE sql AS $$ SELECT * FROM echo.item WHERE id = 1 $$;
CREATE FUNCTION echo.r_out(OUT a int) STABLE LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION echo.r_outs(OUT a int, OUT b text, IN c int DEFAULT 7) STABLE LANGUAGE sql AS $$ SELECT c, 'b' $$;
CREATE FUNCTION echo.r_outs_plpgsql(OUT a int, OUT b text) STABLE LANGUAGE plpgsql AS $$ BEGIN a := 1; END $$;
CREATE FUNCTION echo.r_inout(INOUT a int, INOUT b text DEFAULT 'b') STABLE LANGUAGE sql AS $$ SELECT a + 1, b || b $$;
CREATE FUNCTION echo.r_record() RETURNS record STABLE LANGUAGE sql AS $$ SELECT 1 AS a, 'x'::text AS b $$;
CREATE FUNCTION echo.r_record_plpgsql() RETURNS record STABLE LANGUAGE plpgsql
AS $$ DECLARE r record; BEGIN SELECT 1 AS a, NULL::text AS b INTO r; RETURN r; END $$;
CREATE FUNCTION echo.r_array() RETURNS text[] STABLE LANGUAGE sql AS $$ SELECT ARRAY['a', NULL] $$;
CREATE FUNCTION echo.r_array_2() RETURNS int[] STABLE LANGUAGE sql AS $$ SELECT ARRAY[[1, 2], [3, 4]] $$;
CREATE FUNCTION echo.r_domain() RETURNS echo.spot STABLE LANGUAGE sql AS $$ SELECT ROW(1, 2, 'x')::echo.spot $$;
CREATE FUNCTION echo.r_bad_domain() RETURNS echo.positive STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 0; END $$;
CREATE FUNCTION echo.r_nan() RETURNS float8 STABLE LANGUAGE sql AS $$ SELECT 'NaN'::float8 $$;
CREATE FUNCTION echo.r_numeric() RETURNS numeric STABLE LANGUAGE sql AS $$ SELECT 1.500 $$;
CREATE FUNCTION echo.r_big() RETURNS text STABLE LANGUAGE sql AS $$ SELECT repeat('x', 2000000) $$;
CREATE FUNCTION echo.s_int(n int) RETURNS SETOF int STABLE LANGUAGE sql AS $$ SELECT * FROM generate_series(1, n) $$;
CREATE FUNCTION echo.s_null() RETURNS SETOF int STABLE LANGUAGE sql AS $$ VALUES (1), (NULL) $$;
CREATE FUNCTION echo.s_int_plpgsql(n int) RETURNS SETOF int STABLE LANGUAGE plpgsql
AS $$ BEGIN FOR i IN 1..n LOOP RETURN NEXT i; END LOOP; END $$;
CREATE FUNCTION echo.s_volatile(n int) RETURNS SETOF int LANGUAGE sql AS $$ SELECT * FROM generate_series(1, n) $$;
CREATE FUNCTION echo.s_json() RETURNS SETOF jsonb STABLE LANGUAGE sql AS $$ VALUES ('{"a": 1}'::jsonb), ('null'), ('[1]') $$;
CREATE FUNCTION echo.s_array() RETURNS SETOF int[] STABLE LANGUAGE sql AS $$ VALUES ('{1,2}'::int[]), ('{}') $$;
CREATE FUNCTION echo.s_composite(n int) RETURNS SETOF echo.point3 STABLE LANGUAGE sql
AS $$ SELECT i, i / 2.0, 'p' || i FROM generate_series(1, n) AS i $$;
CREATE FUNCTION echo.s_composite_plpgsql(n int) RETURNS SETOF echo.point3 STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN QUERY SELECT i, i / 2.0, 'p' || i FROM generate_series(1, n) AS i; END $$;
CREATE FUNCTION echo.s_composite_null() RETURNS SETOF echo.point3 STABLE LANGUAGE sql AS $$ SELECT NULL::echo.point3 $$;
CREATE FUNCTION echo.s_rows() RETURNS SETOF echo.item STABLE LANGUAGE sql AS $$ SELECT * FROM echo.item ORDER BY id $$;
CREATE FUNCTION echo.s_rows_plpgsql() RETURNS SETOF echo.item STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN QUERY SELECT * FROM echo.item ORDER BY id; END $$;
CREATE FUNCTION echo.s_domain() RETURNS SETOF echo.spot STABLE LANGUAGE sql AS $$ SELECT ROW(1, 2, 'x')::echo.spot $$;
CREATE FUNCTION echo.t_one(n int) RETURNS TABLE (number int) STABLE LANGUAGE sql AS $$ SELECT * FROM generate_series(1, n) $$;
CREATE FUNCTION echo.t_one_plpgsql(n int) RETURNS TABLE (number int) STABLE LANGUAGE plpgsql
AS $$ BEGIN FOR i IN 1..n LOOP number := i; RETURN NEXT; END LOOP; END $$;
CREATE FUNCTION echo.t_two(n int) RETURNS TABLE (a int, "b c" text) STABLE LANGUAGE sql
AS $$ SELECT i, CASE i WHEN 1 THEN 'one' END FROM generate_series(1, n) AS i $$;
CREATE FUNCTION echo.t_two_plpgsql(n int) RETURNS TABLE (a int, "b c" text) STABLE LANGUAGE plpgsql
AS $$ BEGIN FOR i IN 1..n LOOP a := i; "b c" := i::text; RETURN NEXT; END LOOP; END $$;
CREATE FUNCTION echo.t_outs(OUT a int, OUT b int) RETURNS SETOF record STABLE LANGUAGE sql AS $$ VALUES (1, 2), (3, NULL) $$;
CREATE FUNCTION echo.t_out(OUT a int) RETURNS SETOF int STABLE LANGUAGE sql AS $$ VALUES (1), (2) $$;
CREATE FUNCTION echo.s_record() RETURNS SETOF record STABLE LANGUAGE sql AS $$ VALUES (1, 'x'::text) $$;
CREATE FUNCTION echo.s_void() RETURNS SETOF void LANGUAGE sql AS $$ SELECT actor_set('x', i) FROM generate_series(1, 2) AS i $$;
CREATE FUNCTION echo.s_error(n int) RETURNS SETOF int STABLE LANGUAGE sql AS $$ SELECT 1 / (n - i) FROM generate_series(1, n) AS i $$;
INSERT INTO echo.item VALUES (1, 'one', '2024-02-29 12:00+00'), (2, 'two', NULL);
SELECT method, payload, echo._call(method, payload) AS result
  FROM (VALUES
    ('r_void', NULL), ('r_void_plpgsql', NULL), ('r_null', NULL), ('r_no_row', NULL), ('r_json', NULL),
    ('r_jsonb_null', NULL), ('r_json_scalar', NULL), ('r_composite', NULL), ('r_composite_nulls', NULL),
    ('r_composite_null', NULL), ('r_composite_plpgsql', NULL), ('r_row', NULL), ('r_out', NULL),
    ('r_outs', NULL), ('r_outs', '{"c": 8}'), ('r_outs', '{"a": 8}'), ('r_outs_plpgsql', NULL), ('r_inout', '[1]'),
    ('r_inout', '{"a": 1, "b": "c"}'), ('r_record', NULL), ('r_record_plpgsql', NULL), ('r_array', NULL),
    ('r_array_2', NULL), ('r_domain', NULL), ('r_bad_domain', NULL), ('r_nan', NULL), ('r_numeric', NULL),
    ('s_int', '[3]'), ('s_int', '[0]'), ('s_int', '[null]'), ('s_null', NULL), ('s_int_plpgsql', '[3]'),
    ('s_int_plpgsql', '[0]'), ('s_volatile', '[2]'), ('s_json', NULL), ('s_array', NULL), ('s_composite', '[2]'), ('s_composite', '[0]'),
    ('s_composite_plpgsql', '[2]'), ('s_composite_null', NULL), ('s_rows', NULL), ('s_rows_plpgsql', NULL),
    ('s_domain', NULL), ('t_one', '[2]'), ('t_one', '[0]'), ('t_one_plpgsql', '[2]'), ('t_two', '[2]'), ('t_two', '[0]'),
    ('t_two_plpgsql', '[2]'), ('t_outs', NULL), ('t_out', NULL), ('s_error', '[3]'))
    AS c (method, payload)
 ORDER BY method COLLATE "C", payload COLLATE "C" NULLS FIRST;
-- JSON null is a value, SQL NULL is none
SELECT actor_invoke('echo', '1', 'r_jsonb_null') IS NULL AS json_null,
       actor_invoke('echo', '1', 'r_null') IS NULL AS sql_null;
SELECT length(actor_invoke('echo', '1', 'r_big')::text);
SELECT jsonb_array_length(actor_invoke('echo', '1', 's_int', '[100000]'));
SELECT jsonb_array_length(actor_invoke('echo', '1', 's_int_plpgsql', '[100000]'));
-- sets that no column list describes
SELECT actor_invoke('echo', '1', 's_record');
SELECT actor_invoke('echo', '1', 's_void');
-- a type that has changed since the function was made
ALTER TABLE echo.item ADD COLUMN price numeric DEFAULT 9.90;
SELECT actor_invoke('echo', '1', 's_rows');
SELECT actor_invoke('echo', '1', 'r_row');
ALTER TABLE echo.item DROP COLUMN at;
SELECT actor_invoke('echo', '1', 's_rows_plpgsql');

--
-- A user's cast to json is not used, since nothing turns back what it writes
--
CREATE TYPE echo.secret AS ENUM ('x', 'y');
CREATE TYPE echo.span AS RANGE (subtype = echo.secret);
CREATE FUNCTION echo._secret_json(echo.secret) RETURNS json LANGUAGE sql
AS $$ SELECT json_build_object('secret', 'y') $$;
CREATE FUNCTION echo._span_json(echo.span) RETURNS json LANGUAGE sql AS $$ SELECT '"empty"'::json $$;
CREATE CAST (echo.secret AS json) WITH FUNCTION echo._secret_json(echo.secret);
CREATE CAST (echo.span AS json) WITH FUNCTION echo._span_json(echo.span);
CREATE DOMAIN echo.top_secret AS echo.secret;
CREATE DOMAIN echo.secrets AS echo.top_secret[];
CREATE TYPE echo.file AS (id int, s echo.secret, "all" echo.secret[], at timestamptz);
CREATE TYPE echo.shelf AS (files echo.file[], spans echo.span[], r json);
CREATE FUNCTION echo._kept(type text, value text, OUT stored jsonb, OUT back text, OUT equal boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('SELECT actor_set(''k'', %L::%s)', value, type);
    stored := actor_get('k');
    EXECUTE format('SELECT v, v::text = %L::%s::text FROM actor_get(''k'', NULL::%s) AS v', value, type, type)
       INTO back, equal;
END
$$;
CREATE FUNCTION echo.kept(type text, value text) RETURNS text LANGUAGE sql
AS $$ SELECT concat_ws(' | ', stored, back, equal) FROM echo._kept(type, value) $$;
SELECT type, actor_invoke('echo', '1', 'kept', jsonb_build_array(type, value)) ->> 0 AS kept
  FROM (VALUES
    ('echo.secret', 'x'), ('echo.span', '[x,y]'), ('echo.top_secret', 'x'),
    ('echo.secret[]', '{x,NULL,y}'), ('echo.secret[]', '{}'), ('echo.secrets', '{{x,y},{y,x}}'),
    ('echo.secret[]', '{{{x},{y}},{{NULL},{x}}}'),
    ('echo.file', '(1,x,"{x,y}","2024-02-29 12:00:00+00")'), ('echo.file', '(,,,)'),
    ('echo.file[]', '{"(1,x,{},)",NULL}'),
    ('echo.shelf', '("{""(1,x,{},)""}","{""[x,y]"",NULL}","{""a"": [1]}")')) AS v (type, value);
-- of results
CREATE FUNCTION echo.c_value() RETURNS echo.secret STABLE LANGUAGE sql AS $$ SELECT 'x'::echo.secret $$;
CREATE FUNCTION echo.c_array() RETURNS echo.secret[] STABLE LANGUAGE sql AS $$ SELECT '{x,NULL}'::echo.secret[] $$;
CREATE FUNCTION echo.c_row() RETURNS echo.file STABLE LANGUAGE sql AS $$ SELECT 1, 'x'::echo.secret, '{y}'::echo.secret[], NULL::timestamptz $$;
CREATE FUNCTION echo.c_table() RETURNS TABLE (a echo.secret, b int) STABLE LANGUAGE sql AS $$ SELECT 'x'::echo.secret, 1 $$;
CREATE FUNCTION echo.c_column() RETURNS TABLE (a echo.secret) STABLE LANGUAGE plpgsql AS $$ BEGIN a := 'x'; RETURN NEXT; END $$;
CREATE FUNCTION echo.c_record(OUT a record, OUT b int) STABLE LANGUAGE plpgsql
AS $$ BEGIN a := ROW('x'::echo.secret, ROW(2, 'y'::echo.secret)); b := 1; END $$;
CREATE FUNCTION echo.c_records() RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('records', ARRAY[ROW('x'::echo.secret, 1), ROW('y'::echo.secret, 2)]);
    RETURN actor_get('records');
END
$$;
CREATE FUNCTION echo.c_document(f echo.file, s echo.secrets) RETURNS jsonb STABLE LANGUAGE sql
AS $$ SELECT jsonb_build_object('f', f::text, 's', s::text) $$;
SELECT name, actor_invoke('echo', '1', name)
  FROM unnest(ARRAY['c_value', 'c_array', 'c_row', 'c_table', 'c_column', 'c_record', 'c_records']) AS name;
-- and a result is a payload
SELECT actor_invoke('echo', '1', 'c_document',
                    jsonb_build_array(actor_invoke('echo', '1', 'c_row'), actor_invoke('echo', '1', 'c_array')));
-- who wants the cast, asks for it
CREATE FUNCTION echo.c_cast() RETURNS json STABLE LANGUAGE sql AS $$ SELECT 'x'::echo.secret::json $$;
SELECT actor_invoke('echo', '1', 'c_cast');
-- arrays lose a lower bound other than 1
SELECT actor_invoke('echo', '1', 'kept', '["int[]", "[0:1]={5,6}"]');

--
-- A single value is the very document that to_jsonb makes, byte for byte
--
CREATE FUNCTION echo.s_bool(v text) RETURNS bool STABLE LANGUAGE sql AS $$ SELECT v::bool $$;
CREATE FUNCTION echo.s_int2(v text) RETURNS int2 STABLE LANGUAGE sql AS $$ SELECT v::int2 $$;
CREATE FUNCTION echo.s_int4(v text) RETURNS int4 STABLE LANGUAGE sql AS $$ SELECT v::int4 $$;
CREATE FUNCTION echo.s_int8(v text) RETURNS int8 STABLE LANGUAGE sql AS $$ SELECT v::int8 $$;
CREATE FUNCTION echo.s_text(v text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v $$;
SELECT method, count(*), bool_and(record_image_eq(ROW(actor_invoke('echo', '1', method, to_jsonb(v))), ROW(wanted))) AS same
  FROM (SELECT 's_bool', v, to_jsonb(v::bool) FROM unnest(ARRAY['true', 'false']) v
        UNION ALL SELECT 's_int2', v, to_jsonb(v::int2) FROM unnest(ARRAY['0', '-1', '32767', '-32768']) v
        UNION ALL SELECT 's_int4', v, to_jsonb(v::int4) FROM unnest(ARRAY['0', '9999', '10000', '2147483647', '-2147483648']) v
        UNION ALL SELECT 's_int8', v, to_jsonb(v::int8) FROM unnest(ARRAY['0', '-5', '100000000', '9223372036854775807', '-9223372036854775808']) v
        UNION ALL SELECT 's_text', v, to_jsonb(v) FROM unnest(ARRAY['', 'a', 'äöü "', repeat('x', 200000)]) v) AS t (method, v, wanted)
 GROUP BY method ORDER BY method;

SELECT at_rest();
RESET TIME ZONE;
SET client_min_messages = warning;
SELECT actor_unregister('echo', force => true);
DROP SCHEMA echo CASCADE;
RESET SESSION AUTHORIZATION;
