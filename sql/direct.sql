--
-- State is updated without a statement where that makes no difference.  What
-- decides is the table, so this changes it.
--
SET client_min_messages = warning;
-- whatever ran before: room for the next version of a row on its page, and no
-- memory of triggers that are gone
VACUUM FULL actor.state;
VACUUM actor.state, actor.activation, actor.reminder, actor.message;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA shelf;
SELECT actor_register('shelf');
CREATE FUNCTION shelf.put(key text, value jsonb, ttl interval DEFAULT NULL) RETURNS void LANGUAGE sql
AS $$ SELECT actor_set(key, value, ttl) $$;
CREATE FUNCTION shelf.put_twice(key text, value jsonb) RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN
  PERFORM actor_set(key, '0'::jsonb);
  PERFORM actor_set(key, value);
  RETURN jsonb_build_array(actor_get(key), (SELECT s.value FROM actor.state s WHERE s.actor_type = 'shelf' AND s.key = put_twice.key));
END $$;
-- what went wrong, and whether an UPDATE was run: its scan locks the index more
CREATE FUNCTION shelf._put(key text, value jsonb, OUT state text, OUT message text, OUT by_update boolean) LANGUAGE plpgsql
AS $$ BEGIN
  BEGIN
    PERFORM actor_invoke('shelf', '1', 'put', jsonb_build_object('key', key, 'value', value));
  EXCEPTION WHEN OTHERS THEN
    state := sqlstate;
    message := sqlerrm;
  END;
  by_update := EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'actor.state_pkey'::regclass
                                              AND mode = 'RowExclusiveLock');
END $$;
\pset null '(null)'
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 1}');
SELECT * FROM shelf._put('a', '2');
SELECT actor_invoke('shelf', '1', 'put_twice', '{"key": "a", "value": 3}');
SELECT key, value, updated_at > registered AS later FROM actor.state, (SELECT now() - interval '1 hour') AS t (registered) WHERE actor_type = 'shelf';

--
-- Indexes: an expiry comes and goes, and is found by its index
--
SET enable_seqscan = off;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 4, "ttl": "1 hour"}');
SELECT value, expires_at > now() AS expires FROM actor.state WHERE actor_type = 'shelf' AND expires_at IS NOT NULL;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 5}');
SELECT value, expires_at FROM actor.state WHERE actor_type = 'shelf' AND expires_at IS NOT NULL;
SELECT value, expires_at FROM actor.state WHERE actor_type = 'shelf' AND actor_id = '1' AND key = 'a';
RESET enable_seqscan;

--
-- Values that are stored outside the row, on many versions of it
--
DO $$ BEGIN
  FOR i IN 1..40 LOOP
    PERFORM actor_invoke('shelf', '1', 'put', jsonb_build_object('key', 'large', 'value',
      (SELECT jsonb_agg(md5(i::text || n::text)) FROM generate_series(1, CASE i % 3 WHEN 0 THEN 1 ELSE 400 * i END) AS n)));
  END LOOP;
END $$;
SELECT jsonb_array_length(value) AS length, value ->> 15999 = md5('4016000') AS same FROM actor.state WHERE actor_type = 'shelf' AND key = 'large';
-- and a key that is itself stored compressed beside a value that is not
DO $$ BEGIN
  FOR i IN 1..3 LOOP
    PERFORM actor_invoke('shelf', '1', 'put', jsonb_build_object('key', repeat('k', 500), 'value', repeat(i::text, 1700 + i)));
  END LOOP;
END $$;
SELECT length(key), length(value #>> '{}') FROM actor.state WHERE actor_type = 'shelf' AND key LIKE 'kk%';
SELECT actor_invoke('shelf', '1', 'put', jsonb_build_object('key', repeat('k', 500), 'value', 0));
SELECT length(key), value FROM actor.state WHERE actor_type = 'shelf' AND key LIKE 'kk%';

--
-- What somebody has added to the table holds
--
RESET SESSION AUTHORIZATION;
SELECT current_user AS superuser \gset
ALTER TABLE actor.state ADD CONSTRAINT odd CHECK (value <> '6'::jsonb);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '6');
SELECT * FROM shelf._put('a', '7');
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.state DROP CONSTRAINT odd, ADD COLUMN twice int GENERATED ALWAYS AS (CASE jsonb_typeof(value) WHEN 'number' THEN 2 * value::int END) STORED;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '8');
SELECT value, twice FROM actor.state WHERE actor_type = 'shelf' AND key = 'a';
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.state DROP COLUMN twice, ADD COLUMN note text NOT NULL DEFAULT 'kept';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '9');
SELECT value, note FROM actor.state WHERE actor_type = 'shelf' AND key = 'a';
RESET SESSION AUTHORIZATION;
UPDATE actor.state SET expires_at = 'infinity' WHERE expires_at IS NULL;
ALTER TABLE actor.state DROP COLUMN note, ALTER COLUMN expires_at SET NOT NULL;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '10');
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.state ALTER COLUMN expires_at DROP NOT NULL;
UPDATE actor.state SET expires_at = NULL WHERE expires_at = 'infinity';
-- the function of an index runs as the owner of the extension
CREATE FUNCTION public.regress_who(jsonb) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT current_user::text $$;
CREATE INDEX regress_who ON actor.state (regress_who(value), (value ->> 'unique'));
CREATE UNIQUE INDEX regress_unique ON actor.state ((value ->> 'unique'));
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '{"unique": 1}');
SELECT actor_invoke('shelf', '1', 'put', '{"key": "b", "value": {"unique": 2}}');
SELECT * FROM shelf._put('b', '{"unique": 1}');
SELECT key, value FROM actor.state WHERE actor_type = 'shelf' AND value ? 'unique' ORDER BY key;
RESET SESSION AUTHORIZATION;
SET enable_seqscan = off;
SELECT count(*) AS by_owner FROM actor.state WHERE regress_who(value) = :'superuser' AND value ->> 'unique' = '1';
RESET enable_seqscan;
DROP INDEX actor.regress_who, actor.regress_unique;
DROP FUNCTION public.regress_who;
-- what is published must be something to replicate
ALTER TABLE actor.state REPLICA IDENTITY NOTHING;
SET client_min_messages = error;
CREATE PUBLICATION regress_actor FOR TABLE actor.state;
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '11');
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.state REPLICA IDENTITY DEFAULT;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._put('a', '12');
RESET SESSION AUTHORIZATION;
DROP PUBLICATION regress_actor;

--
-- Rolled back with its savepoint
--
SET SESSION AUTHORIZATION regress_actor_owner;
BEGIN;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 13}');
SAVEPOINT s;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 14}');
ROLLBACK TO s;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "b", "value": 15}');
SELECT key, value FROM actor.state WHERE actor_type = 'shelf' AND key IN ('a', 'b') ORDER BY key;
COMMIT;
SELECT key, value FROM actor.state WHERE actor_type = 'shelf' AND key IN ('a', 'b') ORDER BY key;

--
-- The lock of the table, which is taken once, is taken again when it has gone with a
-- savepoint
--
CREATE VIEW shelf.locks AS SELECT count(*) AS locks FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation = 'actor.state'::regclass AND mode = 'RowExclusiveLock';
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL AS numbered;
SAVEPOINT s;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 16}');
SELECT * FROM shelf.locks;
ROLLBACK TO s;
SELECT * FROM shelf.locks;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 17}');
SELECT * FROM shelf.locks;
COMMIT;
BEGIN;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 18}');
SELECT * FROM shelf.locks;
COMMIT;

--
-- Reminders are inserted without a statement.  One, many new ones, then some
-- of them again
--
CREATE FUNCTION shelf.ring(data jsonb DEFAULT NULL) RETURNS void LANGUAGE sql AS $$ SELECT $$;
CREATE FUNCTION shelf._remind(id text, OUT state text, OUT message text) LANGUAGE plpgsql
AS $$ BEGIN
  PERFORM actor_set_reminder('shelf', id, 'ring', '1000h', overwrite => false);
EXCEPTION WHEN OTHERS THEN
  state := sqlstate;
  message := sqlerrm;
END $$;
-- whether an INSERT was prepared
\c -
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
BEGIN;
SELECT actor_set_reminder('shelf', '1', 'ring', '1000h');
SELECT actor_send('shelf', '1', 'ring', due_time => '1000h') > 0 AS sent;
RESET SESSION AUTHORIZATION;
SELECT count(*) AS message_by_insert FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE '%INTO actor.message%';
SELECT count(*) AS by_insert FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'INSERT INTO actor.reminder%';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_set_reminder('shelf', '1', 'ring', '1000h');
RESET SESSION AUTHORIZATION;
SELECT count(*) AS by_insert FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'INSERT INTO actor.reminder%';
SET SESSION AUTHORIZATION regress_actor_owner;
COMMIT;
-- firing writes the row without one, and leaves alone what the method has replaced
CREATE FUNCTION shelf.again(data jsonb DEFAULT NULL) RETURNS void LANGUAGE sql
AS $$ SELECT actor_set_reminder('shelf', '1', 'again', '5000h', method => 'ring') $$;
BEGIN;
SELECT actor_set_reminder('shelf', '1', 'beat', '0s', '1h', method => 'ring');
SELECT actor_set_reminder('shelf', '1', 'again', '0s', '1h');
SELECT actor_set_reminder('shelf', '1', 'once', '0s', method => 'ring');
SELECT actor_run_due();
SELECT name, method, firing, fired, scheduled_at > now() + interval '59 minutes' AS later,
       next_try_at = scheduled_at AS pending, last_ok_at IS NOT NULL AS ok
  FROM actor.reminder WHERE actor_type = 'shelf' AND name IN ('again', 'beat', 'once') ORDER BY name;
RESET SESSION AUTHORIZATION;
SELECT count(*) AS claimed_by_select FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'SELECT method, data, first_at%FROM actor.reminder%';
SELECT count(*) AS by_delete FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'DELETE FROM actor.reminder WHERE%generation%';
SELECT count(*) AS by_update FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'UPDATE actor.reminder SET firing%';
ALTER TABLE actor.reminder ADD CONSTRAINT regress_check CHECK (name <> '');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_run_due(now() + interval '62 minutes');
SELECT name, method, firing, fired FROM actor.reminder WHERE actor_type = 'shelf' AND name IN ('again', 'beat') ORDER BY name;
RESET SESSION AUTHORIZATION;
SELECT count(*) AS by_update FROM pg_backend_memory_contexts WHERE name = 'CachedPlanSource' AND ident LIKE 'UPDATE actor.reminder SET firing%';
SET SESSION AUTHORIZATION regress_actor_owner;
ROLLBACK;
DROP FUNCTION shelf.again(jsonb);
-- messages are claimed, removed and answered without statements, too
CREATE FUNCTION shelf.cancel() RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_cancel_message('shelf', '1', (actor_cause() ->> 'name')::bigint) $$;
RESET SESSION AUTHORIZATION;
CREATE TEMPORARY VIEW regress_by_sql AS
SELECT substr(ident, 1, 35) AS statement FROM pg_backend_memory_contexts
 WHERE name = 'CachedPlanSource' AND
       (ident LIKE 'SELECT method, payload, deferrals%' OR ident LIKE 'WITH d AS (DELETE FROM actor.message%' OR
        ident LIKE 'UPDATE actor.request SET state%')
 ORDER BY 1;
GRANT SELECT ON regress_by_sql TO PUBLIC;
SET SESSION AUTHORIZATION regress_actor_owner;
BEGIN;
SELECT count(actor_send('shelf', '1', 'ring', '["one"]', request_id => 'r' || i)) FROM generate_series(1, 3) i;
SELECT count(actor_send('shelf', '1', 'put', '["sent", true]')) FROM generate_series(1, 2) i;
SELECT actor_run_due();
SELECT state, result, error, finished_at >= created_at AS later, count(*) FROM actor.request WHERE actor_type = 'shelf' GROUP BY 1, 2, 3, 4;
SELECT value FROM actor.state WHERE actor_type = 'shelf' AND key = 'sent';
RESET SESSION AUTHORIZATION;
SELECT * FROM regress_by_sql;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT count(*) FROM actor.message WHERE actor_type = 'shelf' AND queued;
-- one that is delayed joins the queue first, by a statement
SELECT actor_send('shelf', '1', 'ring', due_time => '1h') > 0 AS sent;
SELECT actor_send('shelf', '1', 'ring') > 0 AS sent;
SELECT actor_run_due(now() + interval '2 hours');
SELECT count(*) FROM actor.message WHERE actor_type = 'shelf' AND queued;
-- the method removes its own message, and what follows is delivered
SAVEPOINT s;
SELECT actor_send('shelf', '1', 'cancel') > 0 AS sent;
SELECT actor_send('shelf', '1', 'ring') > 0 AS sent;
SELECT actor_run_due(now() + interval '2 hours');
SELECT count(*) FROM actor.message WHERE actor_type = 'shelf' AND queued;
ROLLBACK TO s;
-- what is added to the table holds
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.message ADD CONSTRAINT regress_check CHECK (method <> '');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_send('shelf', '1', 'ring') > 0 AS sent;
SELECT actor_run_due(now() + interval '2 hours');
RESET SESSION AUTHORIZATION;
SELECT * FROM regress_by_sql;
ALTER TABLE actor.message DROP CONSTRAINT regress_check;
DROP INDEX actor.message_delayed;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_send('shelf', '1', 'ring', request_id => 'r4') > 0 AS sent;
SELECT actor_run_due(now() + interval '2 hours');
SELECT count(*) FROM actor.message WHERE actor_type = 'shelf' AND queued;
RESET SESSION AUTHORIZATION;
SELECT * FROM regress_by_sql;
SET SESSION AUTHORIZATION regress_actor_owner;
ROLLBACK;
DROP FUNCTION shelf.cancel();
RESET SESSION AUTHORIZATION;
DROP VIEW regress_by_sql;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT count(actor_set_reminder('shelf', i::text, 'ring', '1000h')) FROM generate_series(1, 100) AS i;
SELECT count(actor_set_reminder('shelf', i::text, 'ring', '2000h')) FROM generate_series(51, 150) AS i;
SELECT due_time, count(*), count(DISTINCT generation) FROM actor.reminder WHERE actor_type = 'shelf' GROUP BY 1 ORDER BY 1;
-- each is there once, by either index
SET enable_seqscan = off;
SELECT count(*) FROM actor.reminder WHERE actor_type = 'shelf' AND actor_id = ANY (ARRAY(SELECT i::text FROM generate_series(1, 150) AS i));
SELECT count(*) FROM actor.reminder WHERE role_name = 'regress_actor_owner' AND next_try_at > now() + interval '900 hours';
RESET enable_seqscan;
SELECT * FROM shelf._remind('1');
BEGIN;
SELECT count(*) FROM generate_series(201, 240) AS i, shelf._remind(i::text) WHERE state IS NULL;
SELECT * FROM shelf._remind('240');
SELECT * FROM shelf._remind('1');
ROLLBACK;
SELECT count(*) FROM actor.reminder WHERE actor_type = 'shelf';
RESET SESSION AUTHORIZATION;
CREATE UNIQUE INDEX regress_unique ON actor.reminder (actor_type, (left(actor_id, 3))) WHERE length(actor_id) > 2;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._remind('3000');
SELECT * FROM shelf._remind('3001');
RESET SESSION AUTHORIZATION;
DROP INDEX actor.regress_unique;
SET SESSION AUTHORIZATION regress_actor_owner;
-- indexes that come and go in the transaction
BEGIN;
SELECT actor_set_reminder('shelf', 'first', 'ring', '1000h');
RESET SESSION AUTHORIZATION;
CREATE INDEX regress_note ON actor.reminder (upper(actor_id)) WHERE actor_type = 'shelf';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_set_reminder('shelf', 'second', 'ring', '1000h');
SELECT actor_set_reminder('shelf', 'third', 'ring', '1000h');
SAVEPOINT s;
SELECT * FROM shelf._remind('third');
SELECT actor_set_reminder('shelf', 'fourth', 'ring', '1000h');
ROLLBACK TO s;
SELECT actor_set_reminder('shelf', 'fifth', 'ring', '1000h');
RESET SESSION AUTHORIZATION;
SET LOCAL enable_seqscan = off;
SELECT actor_id FROM actor.reminder WHERE actor_type = 'shelf' AND upper(actor_id) IN ('FIRST', 'SECOND', 'THIRD', 'FOURTH', 'FIFTH') ORDER BY 1;
SET LOCAL enable_seqscan = on;
DROP INDEX actor.regress_note;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_set_reminder('shelf', 'sixth', 'ring', '1000h');
COMMIT;
SELECT actor_id FROM actor.reminder WHERE actor_type = 'shelf' AND actor_id ~ 'th|ir|sec' ORDER BY 1;
-- what is kept for the next row is locked, and so are type and role, also when a
-- cursor that has taken the locks fails
CREATE TEMPORARY VIEW regress_held AS
SELECT count(DISTINCT relation) AS relations, count(DISTINCT objsubid) AS names FROM pg_locks
 WHERE pid = pg_backend_pid() AND granted AND
       (mode = 'RowExclusiveLock' AND relation::regclass::text ~ '^actor[.]reminder(_pkey|_due|_hosted)?$' OR
        locktype = 'advisory' AND objsubid IN (x'4AC9'::int, x'4ACE'::int));
BEGIN;
DECLARE c CURSOR FOR SELECT actor_set_reminder('shelf', 'cursor ' || i, 'ring', '1000h'), 1 / (3 - i) AS one FROM generate_series(1, 4) i;
FETCH 2 FROM c;
SAVEPOINT s;
FETCH 1 FROM c;
ROLLBACK TO s;
SELECT actor_set_reminder('shelf', 'cursor 5', 'ring', '1000h');
SELECT * FROM regress_held;
ROLLBACK;
BEGIN;
SELECT pg_current_xact_id() IS NOT NULL;
SAVEPOINT s;
SELECT count(actor_set_reminder('shelf', 'savepoint ' || i, 'ring', '1000h')) FROM generate_series(1, 2) i;
ROLLBACK TO s;
SELECT actor_set_reminder('shelf', 'savepoint 3', 'ring', '1000h');
SELECT * FROM regress_held;
ROLLBACK;
DROP VIEW regress_held;
-- rows that fail in a savepoint leave nothing behind
RESET SESSION AUTHORIZATION;
CREATE UNIQUE INDEX regress_period ON actor.reminder (actor_type, period);
BEGIN;
DO $$ BEGIN
  FOR i IN 1..100 LOOP
    PERFORM actor_set_reminder('shelf', 'good ' || i, 'ring', '1000h', i || 'h');
    BEGIN
      PERFORM actor_set_reminder('shelf', 'bad ' || i, 'ring', '1000h', i || 'h');
      RAISE EXCEPTION 'inserted';
    EXCEPTION WHEN unique_violation THEN NULL;
    END;
  END LOOP;
END $$;
SELECT count(*) < 50 AS few FROM pg_backend_memory_contexts WHERE name = 'ExecutorState';
SELECT split_part(actor_id, ' ', 1) AS id, count(*) FROM actor.reminder WHERE period IS NOT NULL GROUP BY 1;
ROLLBACK;
DROP INDEX actor.regress_period;
-- one whose access method keeps something while a statement inserts rows
CREATE INDEX regress_data ON actor.reminder USING gin (data);
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_set_reminder('shelf', 'one', 'ring', '1000h', data => '["gin"]');
RESET SESSION AUTHORIZATION;
-- which must not be used any more when others have taken its memory
ALTER INDEX actor.regress_data RENAME TO regress_gin;
CREATE TEMPORARY TABLE regress_other (a int PRIMARY KEY, b int UNIQUE, c int UNIQUE) ON COMMIT DROP;
SET LOCAL SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_set_reminder('shelf', 'two', 'ring', '1000h', data => '["gin"]');
SELECT actor_set_reminder('shelf', 'three', 'ring', '1000h', data => '["gin"]');
RESET SESSION AUTHORIZATION;
SET LOCAL enable_seqscan = off;
SELECT actor_id FROM actor.reminder WHERE data @> '["gin"]' ORDER BY 1;
COMMIT;
DROP INDEX actor.regress_gin;
ALTER TABLE actor.reminder ADD CONSTRAINT odd CHECK (actor_id <> '300');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._remind('300');
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.reminder DROP CONSTRAINT odd, ADD COLUMN note text NOT NULL DEFAULT 'new';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._remind('300');
SELECT note FROM actor.reminder WHERE actor_type = 'shelf' AND actor_id = '300';
RESET SESSION AUTHORIZATION;
ALTER TABLE actor.reminder DROP COLUMN note;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM shelf._remind('301');

--
-- Columns that are not as they were created.  Where a statement can cope with
-- that, there is one; where values could not be read, there is an error.
--
RESET SESSION AUTHORIZATION;
CREATE FUNCTION public.regress_altered(alteration text, OUT state text, OUT by_update boolean, OUT reminder text)
LANGUAGE plpgsql AS $$
DECLARE
  put record;
  remind record;
BEGIN
  -- a view keeps some of its columns from being altered
  ALTER EXTENSION actor DROP VIEW actor.instance;
  DROP VIEW actor.instance;
  EXECUTE 'ALTER TABLE actor.' || alteration;
  SET LOCAL SESSION AUTHORIZATION regress_actor_owner;
  put := shelf._put('a', '"altered"');
  remind := shelf._remind('altered');
  RESET SESSION AUTHORIZATION;
  state := coalesce(put.state || ': ' || put.message, 'done');
  by_update := put.by_update;
  reminder := coalesce(remind.state || ': ' || remind.message, 'done');
END $$;
CREATE DOMAIN public.regress_jsonb AS jsonb CHECK (value <> '"altered"');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": "unaltered"}');
RESET SESSION AUTHORIZATION;
\x on
BEGIN; SELECT * FROM regress_altered('reminder ALTER firing TYPE numeric'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('reminder ALTER due_time TYPE jsonb USING NULL'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state ALTER value TYPE json USING value::json'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state ALTER expires_at TYPE text'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state ALTER value DROP NOT NULL'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered($$activation ALTER last_used_at TYPE text USING 'now'$$); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('message ALTER sent_at TYPE date'); ROLLBACK;
-- one owner for all, whose rights are those of each statement
BEGIN; SELECT * FROM regress_altered('type OWNER TO regress_actor_owner'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state OWNER TO regress_actor_owner'); ROLLBACK;
-- these are read in the same way, but not written
BEGIN; SELECT * FROM regress_altered('state ALTER value TYPE regress_jsonb'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state ALTER updated_at TYPE timestamptz(0)'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('reminder ALTER time_zone TYPE varchar(100)'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered($$reminder ALTER last_error TYPE text USING 'none', ALTER last_error SET DEFAULT 'none', ALTER last_error SET NOT NULL$$); ROLLBACK;
-- columns that are in other places, or gone
BEGIN; SELECT * FROM regress_altered('state DROP updated_at, ADD updated_at timestamptz NOT NULL DEFAULT now()'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('reminder DROP traceparent, ADD traceparent text'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('activation DROP activated_at, ADD activated_at timestamptz NOT NULL DEFAULT now()'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state DROP updated_at'); ROLLBACK;
-- keys that are compared otherwise
BEGIN; SELECT * FROM regress_altered('state DROP CONSTRAINT state_pkey, ADD CONSTRAINT state_pkey PRIMARY KEY (key, actor_id, actor_type)'); ROLLBACK;
BEGIN; SELECT * FROM regress_altered('state ALTER key TYPE text COLLATE "POSIX"'); ROLLBACK;
\x off
DROP FUNCTION public.regress_altered;
DROP DOMAIN public.regress_jsonb;

--
-- A table that Citus has distributed looks plain on its worker nodes, but has its
-- rows elsewhere: it is read by SQL, which locks all indexes, and nobody writes it
--
CREATE FUNCTION public.regress_read(OUT value jsonb, OUT by_select boolean) LANGUAGE plpgsql AS $$
BEGIN
  SELECT g.value INTO value FROM actor_get_state('shelf', '1', 'a') AS g;
  by_select := EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'actor.state_expiry'::regclass);
END $$;
CREATE PROCEDURE public.regress_distribute(relation regclass) LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL allow_system_table_mods = on;
  CREATE TABLE IF NOT EXISTS pg_catalog.pg_dist_partition (partmethod "char", logicalrelid regclass);
  INSERT INTO pg_catalog.pg_dist_partition VALUES ('h', relation);
  EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled)', relation);
END $$;
SELECT * FROM public.regress_read();
BEGIN;
CALL public.regress_distribute('pg_description');
SELECT state, message FROM shelf._put('a', '6');
ROLLBACK;
BEGIN;
CALL public.regress_distribute('actor.state');
SELECT * FROM public.regress_read();
SELECT state, message FROM shelf._put('a', '6');
SELECT detail, hint FROM actor_doctor() WHERE check_name = 'distributed' AND NOT ok;
ROLLBACK;
BEGIN;
CALL public.regress_distribute('actor.activation');
SELECT actor_invoke('shelf', '1', 'put', '{"key": "a", "value": 6}');
ROLLBACK;
SELECT state, message FROM shelf._put('a', '6');
-- with all tables that calls need, turns are rows, and nothing is written to others
BEGIN;
SET LOCAL client_min_messages = warning;
DO $$
DECLARE
  t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['type', 'role', 'pause', 'state', 'activation', 'request', 'reminder', 'timer', 'message', 'outbox', 'forwarded', 'failure']
  LOOP
    CALL public.regress_distribute(('actor.' || t)::regclass);
  END LOOP;
  SET LOCAL allow_system_table_mods = on;
  CREATE TABLE pg_catalog.pg_dist_local_group AS SELECT 1 AS groupid;
END $$;
SELECT state, message FROM shelf._put('a', '7');
SELECT * FROM public.regress_read();
SELECT server_start = '2000-01-01 UTC' AS of_no_server FROM actor.activation WHERE actor_type = 'shelf' AND actor_id = '1';
SELECT state, message, detail FROM refusal($$SELECT actor_set_reminder('shelf', '1', 'put', '1h', data => '["a", 1]')$$);
SELECT state, message FROM refusal($$SELECT actor_send('shelf', '1', 'put', '["a", 1]')$$);
SELECT state, message FROM refusal($$SELECT actor_set_timer('shelf', '1', 'put', '1h', data => '["a", 1]')$$);
SELECT state, message, hint FROM refusal($$SELECT actor_pause('shelf', '1')$$);
SELECT state, message FROM refusal($$SELECT actor_distribute()$$);
SELECT state, message, hint FROM refusal($$SELECT actor_rebalance()$$);
SET LOCAL actor.turn_lock = advisory;
SELECT state, message, hint FROM refusal($$SELECT actor_invoke('shelf', '2', 'put', '["a", 1]')$$);
ROLLBACK;
SELECT state, message, hint FROM refusal('SELECT actor_distribute()');
SELECT state, message, hint FROM refusal('SELECT actor_rebalance()');
SELECT state, message FROM refusal('SELECT actor_distribute(0)');
SELECT state, message FROM refusal('SELECT actor_distribute(NULL)');
DROP PROCEDURE public.regress_distribute;
DROP FUNCTION public.regress_read;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_unregister('shelf', true);
DROP SCHEMA shelf CASCADE;
RESET SESSION AUTHORIZATION;
