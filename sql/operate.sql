--
-- What operators do: pausing and resuming, retrying and discarding, deleting
-- and reassigning reminders.
--
-- That workers leave alone what is paused is tested by t/018_pause.pl.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE regress_actor_op_owner LOGIN;
CREATE ROLE regress_actor_op_caller LOGIN;
CREATE ROLE regress_actor_op_other LOGIN;
CREATE ROLE regress_actor_op_nologin;
CREATE ROLE regress_actor_op_watch LOGIN IN ROLE pg_monitor;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_op_owner;

SET SESSION AUTHORIZATION regress_actor_op_owner;
CREATE SCHEMA op;
GRANT USAGE ON SCHEMA op TO regress_actor_op_caller, regress_actor_op_other;
CREATE TABLE op.log (n int GENERATED ALWAYS AS IDENTITY, what text, cause jsonb);
GRANT INSERT ON op.log TO regress_actor_op_caller, regress_actor_op_other;
CREATE TABLE op.works (yes boolean);
GRANT SELECT ON op.works TO regress_actor_op_caller;
CREATE FUNCTION op.note(payload jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO op.log (what, cause)
    VALUES (format('%s %s as %s', actor_id(), payload, current_user), actor_cause()) $$;
CREATE FUNCTION op.look() RETURNS text STABLE LANGUAGE sql AS 'SELECT ''seen'' || actor_id()';
CREATE FUNCTION op.try(payload jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM op.works) THEN
        RAISE 'does not work';
    END IF;
    PERFORM op.note(payload);
END $$;
CREATE FUNCTION op.call(id text) RETURNS void
LANGUAGE sql AS $$ SELECT actor_invoke('op', id, 'note') $$;
CREATE FUNCTION op.hold_me() RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_pause('op', actor_id());
    -- the turn has begun before
    PERFORM actor_set('k', 1);
    RETURN 'done';
END $$;
CREATE FUNCTION op.clear_me() RETURNS bigint
LANGUAGE sql AS $$ SELECT actor_delete_reminders('op', actor_id()) $$;
SELECT actor_register('op');

--
-- Pausing one actor
--
SELECT actor_pause('op', 'a');
SELECT actor_pause('op', 'a');
SELECT actor_type, actor_id, role_name FROM actor.pause;
\set VERBOSITY default
SELECT actor_invoke('op', 'a', 'note');
SELECT actor_invoke('op', 'b', 'call', '{"id": "a"}');
SELECT actor_set_timer('op', 'a', 'note', '1h');
\set VERBOSITY terse
SELECT actor_invoke('op', 'a', 'look');
SELECT actor_invoke('op', 'b', 'note');
SELECT actor_set_reminder('op', 'a', 'note', '1h', data => '1');
SELECT actor_resume('op', 'a');
SELECT actor_resume('op', 'a');
SELECT actor_invoke('op', 'a', 'note', '2');
SELECT what FROM op.log ORDER BY n;

-- a callback waits, and comes when it is resumed
BEGIN;
SELECT actor_pause('op', 'a');
SELECT actor_run_due(clock_timestamp() + interval '2 hours');
SELECT name, next_try_at FROM actor.reminder;
SELECT actor_run_due(clock_timestamp() + interval '2 hours');
SELECT actor_resume('op', 'a');
SELECT name, next_try_at = scheduled_at AS due FROM actor.reminder;
SELECT actor_run_due(clock_timestamp() + interval '2 hours');
ROLLBACK;

-- all of a type; the actor may be paused, too, and stays so
SELECT actor_pause('op');
SELECT actor_pause('op', 'a');
SELECT actor_invoke('op', 'b', 'note');
SELECT actor_resume('op');
SELECT actor_invoke('op', 'b', 'note', '3');
SELECT actor_invoke('op', 'a', 'note');
SELECT actor_resume('op', 'a');

-- a turn that has begun goes on to the end of its transaction
BEGIN;
SELECT actor_invoke('op', 'c', 'hold_me');
SELECT actor_invoke('op', 'c', 'note', '4');
COMMIT;
SELECT actor_invoke('op', 'c', 'note');
-- and deleting the actor ends the pause with everything else
SELECT actor_delete('op', 'c');
SELECT actor_invoke('op', 'c', 'note', '5');
SELECT actor_id FROM actor.pause;

-- rolled back, it never was; also for this session
BEGIN;
SELECT actor_pause('op');
SAVEPOINT s;
SELECT actor_resume('op');
ROLLBACK TO s;
SELECT actor_invoke('op', 'a', 'note');
ROLLBACK;
SELECT actor_invoke('op', 'a', 'note', '6');

-- for owners only
SET SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_pause('op', 'a');
SELECT actor_resume('op');
SELECT count(*) FROM actor.pause;
SET SESSION AUTHORIZATION regress_actor_op_owner;
SELECT actor_pause('op');
SET SESSION AUTHORIZATION regress_actor_op_watch;
SELECT actor_type, actor_id, role_name FROM actor.pause;
SET SESSION AUTHORIZATION regress_actor_op_owner;
SELECT actor_resume('op');
SELECT actor_pause('nothing');
SELECT actor_pause(NULL);
SELECT actor_pause('op', '');
SELECT actor_resume('op', repeat('x', 513));
BEGIN READ ONLY;
SELECT actor_pause('op');
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_resume('op');
ROLLBACK;
DELETE FROM op.log;
SELECT actor_delete_reminders('op');

--
-- Retrying and discarding
--
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_set_reminder('op', 'a', 'daily', timestamptz '2100-01-01 00:00Z', interval '1 day',
                          method => 'try', data => '{"sum": 1}', failure_policy => '{"drop": {}}');
SELECT actor_set_timer('op', 'a', 'soon', '1s', method => 'try', data => '2');
SELECT actor_run_due('2100-01-01 00:00Z');
SET LOCAL SESSION AUTHORIZATION regress_actor_op_owner;
SELECT kind, name, method, payload, attempts, role_name, message FROM actor.failure ORDER BY kind;
SELECT failure_id FROM actor.failure WHERE kind = 'reminder' \gset
-- not for the role it runs as
SAVEPOINT s;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_retry(:failure_id);
ROLLBACK TO s;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_discard(:failure_id);
ROLLBACK TO s;
INSERT INTO op.works VALUES (true);
SELECT actor_retry(:failure_id);
SELECT actor_retry(:failure_id);
SELECT kind FROM actor.failure;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_run_due();
SET LOCAL SESSION AUTHORIZATION regress_actor_op_owner;
-- as the same role, with what it had, under its name
SELECT what, cause ->> 'kind' AS kind, cause ->> 'name' AS name,
       (cause ->> 'scheduled_at')::timestamptz AT TIME ZONE 'UTC' AS scheduled_at,
       cause ->> 'attempt' AS attempt
  FROM op.log ORDER BY n;
-- the series has gone on
SELECT name, scheduled_at AT TIME ZONE 'UTC' AS scheduled_at FROM actor.reminder;
-- a retry that fails is a failure of that name again
DELETE FROM op.works;
SELECT actor_retry(failure_id) FROM actor.failure;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_caller;
SET LOCAL client_min_messages = error;
SELECT actor_run_due(clock_timestamp() + interval '1 minute');
RESET client_min_messages;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_owner;
SELECT kind, name, attempts FROM actor.failure;
SELECT actor_discard(failure_id) FROM actor.failure;
SELECT count(*) FROM actor.failure;
ROLLBACK;
SELECT actor_retry(0);
SELECT actor_discard(0);
SELECT actor_retry(NULL);
SELECT actor_discard(NULL);

-- a name that is taken, and what cannot be retried
CREATE FUNCTION op.on_deactivate() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE 'cannot leave'; END $$;
\set VERBOSITY default
BEGIN;
SELECT actor_deactivate('op', 'a');
SELECT actor_retry(failure_id) FROM actor.failure;
ROLLBACK;
BEGIN;
SELECT actor_set_reminder('op', 'a', 'try', failure_policy => '{"drop": {}}');
SELECT actor_run_due();
SELECT actor_set_reminder('op', 'a', format('failure %s', failure_id), method => 'try')
  FROM actor.failure;
DO $$
BEGIN
    PERFORM actor_retry(failure_id) FROM actor.failure;
EXCEPTION WHEN duplicate_object THEN
    RAISE NOTICE '%', regexp_replace(SQLERRM, '[0-9]+', 'N');
END $$;
ROLLBACK;
\set VERBOSITY terse
DROP FUNCTION op.on_deactivate;

--
-- Deleting many reminders
--
SELECT actor_set_reminder('op', 'a', 'r' || i, '1h', method => 'note') FROM generate_series(1, 2) i;
SELECT actor_set_reminder('op', 'a%', 'r', '1h', method => 'note');
SELECT actor_set_reminder('op', 'b', 'r', '1h', method => 'note');
SET SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_set_reminder('op', 'b', 's', '1h', method => 'note');
SELECT actor_set_reminder('op', 'c', 's', '1h', method => 'note');
-- all or none
SELECT actor_delete_reminders('op', 'b');
SELECT actor_delete_reminders('op');
SELECT actor_delete_reminders('op', 'c');
SELECT actor_delete_reminders('op', 'nobody');
-- a method may delete those of its own actor
SELECT actor_invoke('op', 'b', 'clear_me');
SET SESSION AUTHORIZATION regress_actor_op_owner;
SELECT actor_id, name FROM actor.reminder ORDER BY 1, 2;
SELECT actor_delete_reminders('op', 'a');
SELECT actor_delete_reminders('op');
SELECT actor_delete_reminders('op');
SELECT actor_delete_reminders('nothing');
SELECT actor_delete_reminders(NULL);
SELECT actor_delete_reminders('op', '');
BEGIN READ ONLY;
SELECT actor_delete_reminders('op');
ROLLBACK;

--
-- Reassigning
--
SET SESSION AUTHORIZATION regress_actor_op_caller;
SELECT actor_set_reminder('op', 'a', 'note', '1h', data => '1');
SELECT actor_set_timer('op', 'a', 'note', '1h', data => '2');
SELECT actor_reassign('regress_actor_op_caller', 'regress_actor_op_other');
RESET SESSION AUTHORIZATION;
-- since 17 a worker needs no role with the LOGIN attribute
BEGIN;
SELECT CASE WHEN current_setting('server_version_num')::int < 170000 THEN message
            WHEN message = 'taken' THEN 'role "regress_actor_op_nologin" cannot run reminders' END AS message
  FROM refusal($$SELECT actor_reassign('regress_actor_op_caller', 'regress_actor_op_nologin')$$);
ROLLBACK;
SELECT actor_reassign('regress_actor_op_caller', 'regress_actor_op_nobody');
SELECT actor_reassign('regress_actor_op_caller', NULL);
SELECT actor_reassign(NULL, 'regress_actor_op_caller');
SELECT actor_reassign('regress_actor_op_caller', 'regress_actor_op_other');
SELECT actor_reassign('regress_actor_op_caller', 'regress_actor_op_other');
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_actor_op_other;
SELECT actor_run_due(clock_timestamp() + interval '2 hours');
RESET SESSION AUTHORIZATION;
SELECT what FROM op.log ORDER BY n;
ROLLBACK;
-- a role that is gone: only a superuser can take care of its rows
DROP OWNED BY regress_actor_op_other;
DROP ROLE regress_actor_op_other;
SELECT role_name FROM actor.reminder;
GRANT regress_actor_op_caller TO regress_actor_op_owner;
SET SESSION AUTHORIZATION regress_actor_op_owner;
SELECT actor_reassign('regress_actor_op_other', 'regress_actor_op_caller');
RESET SESSION AUTHORIZATION;
SELECT actor_reassign('regress_actor_op_other', 'regress_actor_op_caller');
SET SESSION AUTHORIZATION regress_actor_op_owner;
SELECT actor_reassign('regress_actor_op_caller', 'regress_actor_op_owner');
BEGIN READ ONLY;
SELECT actor_reassign('regress_actor_op_owner', 'regress_actor_op_caller');
ROLLBACK;

--
-- An actor that is deleted leaves no row, but what it has been asked and what
-- has failed
--
CREATE FUNCTION op.rows_of(id text) RETURNS TABLE (relation name, rows bigint)
LANGUAGE plpgsql AS $$
BEGIN
    FOR relation IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'r'
           AND a.attname = 'actor_id'
         ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*) FROM actor.%I WHERE actor_type = ''op'' AND actor_id = $1',
                       relation) INTO rows USING id;
        RETURN NEXT;
    END LOOP;
END $$;
CREATE FUNCTION op.remember() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('k', 1) $$;
SELECT actor_register('op', reentrancy => true);
BEGIN;
SET LOCAL client_min_messages = error;
SELECT actor_set_reminder('op', 'all', 'try', failure_policy => '{"drop": {}}');
SELECT actor_run_due();
COMMIT;
SELECT actor_invoke('op', 'all', 'remember', request_id => 'once');
SELECT actor_set_reminder('op', 'all', 'note', '1h');
SELECT actor_set_timer('op', 'all', 'note', '1h');
SELECT actor_send('op', 'all', 'note', due_time => '1h') > 0 AS sent;
SELECT actor_open_turn('op', 'all') IS NOT NULL AS opened;
SELECT actor_pause('op', 'all');
SELECT * FROM op.rows_of('all');
SELECT actor_delete('op', 'all');
SELECT * FROM op.rows_of('all');
SELECT actor_delete('op', 'all');

-- a connection that comes back to a pool
CREATE FUNCTION op.left_behind() RETURNS SETOF text LANGUAGE sql AS $$
    SELECT name FROM pg_cursors WHERE name = 'op_cursor'
    UNION ALL (SELECT name FROM pg_prepared_statements ORDER BY name COLLATE "C")
    UNION ALL SELECT * FROM pg_listening_channels()
    UNION ALL SELECT relname FROM pg_class WHERE relname = 'op_numbers'
    UNION ALL SELECT 'lock' FROM pg_locks
     WHERE locktype = 'advisory' AND objid = 77 AND pid = pg_backend_pid()
    UNION ALL SELECT name FROM pg_settings WHERE name = 'work_mem' AND source = 'session'
    UNION ALL SELECT 'user' WHERE current_user = 'regress_actor_op_owner'
$$;
SET work_mem = '1MB';
CREATE TEMP SEQUENCE op_numbers;
SELECT nextval('op_numbers');
DECLARE op_cursor CURSOR WITH HOLD FOR SELECT 1;
PREPARE op_statement AS SELECT 1;
PREPARE "op; statement" AS SELECT 1;
LISTEN op_channel;
SELECT pg_advisory_lock(77);
SELECT * FROM op.left_behind();
SELECT actor.clean_session();
SELECT * FROM op.left_behind();
SELECT lastval();
-- again, with nothing to do
SELECT actor.clean_session();
-- if the transaction of that fails, what belongs to that stays
SET work_mem = '1MB';
PREPARE op_statement AS SELECT 1;
BEGIN;
SELECT actor.clean_session();
SELECT * FROM op.left_behind();
ROLLBACK;
SELECT * FROM op.left_behind();
-- a session that stays clean, but for what the client is told about
\c -
SELECT actor.keep_session_clean();
BEGIN;
SAVEPOINT s;
SELECT actor.keep_session_clean();
ROLLBACK TO s;
SET work_mem = '1MB';
SELECT pg_advisory_lock(77);
PREPARE op_statement AS SELECT 1;
SELECT * FROM op.left_behind();
COMMIT;
SELECT * FROM op.left_behind();
-- what SET LOCAL hides until the end
BEGIN;
SET work_mem = '1MB';
SET LOCAL work_mem TO DEFAULT;
COMMIT;
-- what survives an error
SELECT pg_advisory_lock(77), 1 / (random() * 0)::int;
SELECT * FROM op.left_behind();
SELECT actor.clean_session();
SELECT * FROM op.left_behind();
\c -
SET SESSION AUTHORIZATION regress_actor_op_owner;

-- unregistering removes what is paused, too
SELECT actor_pause('op');
SELECT actor_unregister('op', true);
SELECT count(*) FROM actor.pause;
DROP SCHEMA op CASCADE;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_actor_op_caller, regress_actor_op_nologin, regress_actor_op_watch;
REVOKE CREATE ON DATABASE :"DBNAME" FROM regress_actor_op_owner;
DROP ROLE regress_actor_op_owner;
