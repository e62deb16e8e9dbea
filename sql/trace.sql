--
-- The trace context, which goes along with messages, reminders and timers.
-- Everything is fired in transactions that are rolled back, so that no worker
-- ever sees it.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
\set one '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
\set two '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00'
CREATE ROLE regress_actor_tracer LOGIN;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_tracer;
SET SESSION AUTHORIZATION regress_actor_tracer;
CREATE SCHEMA trace;
CREATE TABLE trace.log (n int GENERATED ALWAYS AS IDENTITY, what text, traceparent text);
CREATE TABLE trace.parent (id int PRIMARY KEY);
CREATE TABLE trace.child (id int REFERENCES trace.parent DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION trace.note() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO trace.log (what, traceparent)
    VALUES (actor_id(), current_setting('actor.traceparent')) $$;
CREATE FUNCTION trace.pass_on() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trace.log (what, traceparent)
    VALUES (actor_id(), current_setting('actor.traceparent'));
    PERFORM actor_send('trace', actor_id() || ' sent', 'note');
    PERFORM actor_set_reminder('trace', actor_id() || ' reminded', 'note');
    PERFORM actor_set_timer('trace', actor_id() || ' timed', 'note');
END $$;
CREATE FUNCTION trace.change() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('actor.traceparent', '00-0000000000000000000000000000000a-000000000000000b-00', true);
END $$;
CREATE FUNCTION trace.fail() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE 'no luck'; END $$;
CREATE FUNCTION trace.defer() RETURNS void
LANGUAGE sql AS 'INSERT INTO trace.child VALUES (1)';
SELECT actor_register('trace');

-- the setting has nothing else in it
SHOW actor.traceparent;
SET actor.traceparent = :'one';
SHOW actor.traceparent;
SET actor.traceparent = '';
\set VERBOSITY default
SET actor.traceparent = 'one';
SET actor.traceparent = '00-00000000000000000000000000000000-b7ad6b7169203331-01';
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01';
\set VERBOSITY terse
SET actor.traceparent = '01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
SET actor.traceparent = '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01';
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01';
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333101';
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0';
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ';
SET actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-02';
SET actor.traceparent = ' ';
DO $$
BEGIN
    SET actor.traceparent = 'wrong';
EXCEPTION WHEN invalid_parameter_value THEN
    RAISE NOTICE 'is 22023';
END $$;
SHOW actor.traceparent;

-- kept with the row, from when that is written
BEGIN;
SET LOCAL actor.traceparent = :'one';
SELECT actor_send('trace', 'sent', 'pass_on') > 0 AS sent;
SELECT actor_set_reminder('trace', 'a', 'reminded', method => 'pass_on');
SELECT actor_set_timer('trace', 'a', 'timed', method => 'note');
SET LOCAL actor.traceparent = :'two';
SELECT actor_set_reminder('trace', 'b', 'at', timestamptz '2000-01-01 00:00Z', method => 'note');
SELECT actor_set_timer('trace', 'b', 'in', interval '0', method => 'note');
SELECT actor_send('trace', 'by id', 'note', request_id => 'r') > 0 AS sent;
SET LOCAL actor.traceparent = '';
SELECT actor_send('trace', 'none', 'note') > 0 AS sent;
SELECT 'message' AS kind, actor_id AS name, traceparent FROM actor.message
UNION ALL SELECT 'reminder', name, traceparent FROM actor.reminder
UNION ALL SELECT 'timer', name, traceparent FROM actor.timer ORDER BY 1, 2;
SELECT actor_get_reminder('trace', 'a', 'reminded') ->> 'traceparent' AS reminder,
       actor_get_timer('trace', 'a', 'timed') ->> 'traceparent' AS timer,
       actor_get_reminder('trace', 'b', 'at') ->> 'traceparent' AS other;

-- that is what the methods have, and what they send; then all is as it was
SET LOCAL actor.traceparent = '00-0000000000000000000000000000000c-000000000000000d-00';
SELECT actor_run_due(clock_timestamp() + interval '1 minute');
SELECT what, traceparent FROM trace.log ORDER BY what COLLATE "C";
SHOW actor.traceparent;
ROLLBACK;
SHOW actor.traceparent;

-- replaced with the reminder
BEGIN;
SET LOCAL actor.traceparent = :'one';
SELECT actor_set_reminder('trace', 'a', 'note', '1h');
SET LOCAL actor.traceparent = :'two';
SELECT actor_set_reminder('trace', 'a', 'note', '1h');
SELECT traceparent FROM actor.reminder;
SET LOCAL actor.traceparent = '';
SELECT actor_set_reminder('trace', 'a', 'note', '1h');
SELECT traceparent FROM actor.reminder;
ROLLBACK;

-- what one method sets is not there for the next one
BEGIN;
SELECT actor_set_reminder('trace', 'a', 'change');
SET LOCAL actor.traceparent = :'one';
SELECT actor_set_reminder('trace', 'b', 'change');
SELECT actor_set_reminder('trace', 'c', 'note', '1s');
SET LOCAL actor.traceparent = '';
SELECT actor_run_due(clock_timestamp() + interval '1 minute');
SELECT what, traceparent FROM trace.log;
ROLLBACK;

-- each firing of a series has it, and each attempt
BEGIN;
SET LOCAL actor.traceparent = :'one';
SELECT actor_set_reminder('trace', 'a', 'note', timestamptz '2100-01-01 00:00Z', interval '1 minute');
SET LOCAL actor.traceparent = '';
SELECT actor_run_due('2100-01-01 00:02Z');
SELECT what, traceparent FROM trace.log;
ROLLBACK;

-- failures are told with it, and keep it; also those at the end of a firing
BEGIN;
SET LOCAL actor.traceparent = :'one';
SELECT actor_set_reminder('trace', 'a', 'fail', failure_policy => '{"drop": {}}');
SELECT actor_set_reminder('trace', 'b', 'defer', '1s', failure_policy => '{"drop": {}}');
SET LOCAL actor.traceparent = '';
SELECT actor_set_reminder('trace', 'c', 'fail', '2s', failure_policy => '{"drop": {}}');
\set VERBOSITY default
SELECT actor_run_due(clock_timestamp() + interval '1 minute');
\set VERBOSITY terse
SELECT actor_id, kind, traceparent FROM actor.failure ORDER BY actor_id;
SELECT count(*) FROM (SELECT actor_retry(failure_id) FROM actor.failure) f;
SELECT actor_id, traceparent FROM actor.reminder ORDER BY actor_id;
ROLLBACK;
BEGIN;
SET LOCAL actor.traceparent = :'two';
SELECT actor_send('trace', 'm', 'fail') > 0 AS sent;
SET LOCAL actor.traceparent = '';
SET LOCAL client_min_messages = error;
SELECT actor_run_due(clock_timestamp() + interval '1 hour');
SELECT actor_id, kind, attempts, traceparent FROM actor.failure;
SELECT actor_retry(failure_id) FROM actor.failure;
SELECT actor_id, traceparent FROM actor.message;
ROLLBACK;
SELECT count(*) FROM actor.failure WHERE actor_type = 'trace';

SELECT actor_unregister('trace', force => true);
SET client_min_messages = warning;
DROP SCHEMA trace CASCADE;
RESET client_min_messages;
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_actor_tracer;
DROP ROLE regress_actor_tracer;
