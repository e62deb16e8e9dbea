--
-- Rows are looked for where they were last seen, and by their index if they
-- are not there.  Who has used the index has a lock on it.
--
SET client_min_messages = warning;
TRUNCATE actor.state;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA place;
SELECT actor_register('place');
CREATE FUNCTION place.put(key text, value jsonb) RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set(key, value); END $$;
CREATE FUNCTION place.remove(key text) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_remove(key); END $$;
CREATE FUNCTION place.get(key text) RETURNS jsonb STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_get(key); END $$;
CREATE FUNCTION place._uses_index() RETURNS boolean LANGUAGE sql
AS $$ SELECT EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'actor.state_pkey'::regclass) $$;
CREATE FUNCTION place._get(key text, OUT value jsonb, OUT by_index boolean) LANGUAGE plpgsql
AS $$ BEGIN
  value := actor_invoke('place', '1', 'get', jsonb_build_object('key', key));
  by_index := place._uses_index();
END $$;
CREATE FUNCTION place._put(key text, value jsonb, OUT by_index boolean) LANGUAGE plpgsql
AS $$ BEGIN
  PERFORM actor_invoke('place', '1', 'put', jsonb_build_object('key', key, 'value', value));
  by_index := place._uses_index();
END $$;
\pset null '(null)'

-- seen once, found from then on
SELECT * FROM place._put('a', '1');
SELECT * FROM place._get('a');
SELECT * FROM place._get('a');
SELECT * FROM place._put('a', '2');
SELECT * FROM place._get('a');
-- by other sessions, too
\c -
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM place._get('a');
-- what is absent is found nowhere
SELECT * FROM place._get('b');
SELECT * FROM place._get('b');
-- an update that was rolled back
BEGIN;
SELECT * FROM place._put('a', '3');
SELECT * FROM place._get('a');
SAVEPOINT s;
SELECT * FROM place._put('a', '4');
ROLLBACK TO s;
SELECT * FROM place._get('a');
ROLLBACK;
SELECT * FROM place._get('a');
SELECT * FROM place._put('a', '5');
SELECT * FROM place._get('a');
-- this level needs the locks of the index
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM place._get('a');
COMMIT;
SELECT * FROM place._get('a');
-- switched off, rows are neither looked for there nor remembered
SET SESSION AUTHORIZATION DEFAULT;
SHOW actor.locate_rows;
SET actor.locate_rows = off;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM place._get('a');
SELECT * FROM place._put('a', '5');
SELECT * FROM place._get('a');
SELECT * FROM place._put('off', '1');
SELECT * FROM place._get('off');
SET actor.locate_rows = on;
RESET SESSION AUTHORIZATION;
RESET actor.locate_rows;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM place._get('off');
SELECT * FROM place._get('off');

--
-- Rows that move
--
RESET SESSION AUTHORIZATION;
VACUUM FULL actor.state;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM place._get('a');
SELECT * FROM place._get('a');
-- to a page with room; the value is too small to be stored elsewhere
SELECT * FROM place._put('fill 1', to_jsonb(repeat('x', 1900)));
SELECT * FROM place._put('fill 2', to_jsonb(repeat('x', 1900)));
SELECT * FROM place._put('fill 3', to_jsonb(repeat('x', 1900)));
SELECT by_index FROM place._get('fill 1');
SELECT by_index FROM place._get('fill 1');
BEGIN;
SELECT actor_invoke('place', '1', 'put', jsonb_build_object('key', 'fill 1', 'value', repeat('y', 1900)));
SELECT actor_invoke('place', '1', 'put', jsonb_build_object('key', 'fill 1', 'value', repeat('z', 1900)));
COMMIT;
SELECT left(value #>> '{}', 1) AS value FROM place._get('fill 1');
SELECT left(value #>> '{}', 1) AS value, by_index FROM place._get('fill 1');

--
-- Another row in the place of one that was removed
--
RESET SESSION AUTHORIZATION;
TRUNCATE actor.state;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('place', '1', 'put', '{"key": "gone", "value": 1}');
SELECT * FROM place._get('gone');
SELECT * FROM place._get('gone');
SELECT actor_invoke('place', '1', 'remove', '{"key": "gone"}');
SELECT * FROM place._get('gone');
RESET SESSION AUTHORIZATION;
VACUUM (INDEX_CLEANUP on, TRUNCATE off) actor.state;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('place', '1', 'put', '{"key": "new", "value": 2}');
SELECT * FROM place._get('gone');
SELECT * FROM place._put('gone', '3');
SELECT value FROM place._get('gone');
SELECT value FROM place._get('new');
SELECT key, value FROM actor.state WHERE actor_type = 'place' ORDER BY key;
-- none at all
RESET SESSION AUTHORIZATION;
TRUNCATE actor.state;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM place._get('a');
SELECT * FROM place._put('a', '6');
SELECT value FROM place._get('a');

--
-- Old versions make way for new ones: without that these would fill 150 pages
--
DO $$ BEGIN
  FOR i IN 1..2000 LOOP
    PERFORM place._put('many', to_jsonb(repeat('x', 500) || i));
    COMMIT;
  END LOOP;
END $$;
SELECT pg_relation_size('actor.state') / current_setting('block_size')::int < 50 AS small;
SELECT right(value #>> '{}', 4) AS value, by_index FROM place._get('many');

--
-- A page that is used is seen to be used, or it would soon be evicted.  Only
-- the server's own extension shows that.
--
RESET SESSION AUTHORIZATION;
SELECT count(*) > 0 AS can_look FROM pg_available_extensions WHERE name = 'pg_buffercache' \gset
VACUUM FULL actor.state;
SET SESSION AUTHORIZATION regress_actor_owner;
DO $$ BEGIN
  FOR i IN 1..200 LOOP
    PERFORM actor_invoke('place', '1', 'get', '{"key": "many"}');
  END LOOP;
END $$;
RESET SESSION AUTHORIZATION;
\set used t
\if :can_look
CREATE EXTENSION pg_buffercache;
SELECT max(usagecount) = 5 AS used FROM pg_buffercache
 WHERE relfilenode = pg_relation_filenode('actor.state')
   AND reldatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND relforknumber = 0 \gset
DROP EXTENSION pg_buffercache;
\endif
\echo :used
SET SESSION AUTHORIZATION regress_actor_owner;

SELECT actor_unregister('place', true);
DROP SCHEMA place CASCADE;
RESET SESSION AUTHORIZATION;
