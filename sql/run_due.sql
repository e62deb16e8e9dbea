--
-- Firing without workers: everything happens in one transaction, which is
-- rolled back, so that no worker ever sees it.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE regress_actor_due_owner LOGIN;
CREATE ROLE regress_actor_due_other LOGIN;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_due_owner;

SET SESSION AUTHORIZATION regress_actor_due_owner;
CREATE SCHEMA due;
GRANT USAGE ON SCHEMA due TO regress_actor_due_other;
CREATE TABLE due.log (n int GENERATED ALWAYS AS IDENTITY, what text, cause jsonb, payload jsonb);
GRANT INSERT ON due.log TO regress_actor_due_other;
CREATE TABLE due.parent (id int PRIMARY KEY);
CREATE TABLE due.child (id int REFERENCES due.parent DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION due.tick(payload jsonb) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO due.log (what, cause, payload) VALUES (actor_id(), actor_cause(), payload) $$;
CREATE FUNCTION due.fail() RETURNS void
LANGUAGE plpgsql AS $$ BEGIN RAISE 'no luck' USING ERRCODE = 'P1234', DETAIL = 'as ever'; END $$;
CREATE FUNCTION due.defer() RETURNS void
LANGUAGE sql AS 'INSERT INTO due.child VALUES (1)';
CREATE FUNCTION due.again() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO due.log (what) VALUES ('again');
    PERFORM actor_run_due();
END $$;
CREATE FUNCTION due.nap() RETURNS void
LANGUAGE sql AS 'SELECT pg_sleep(3600)';
SELECT actor_register('due');

-- at once, later, and never until then
BEGIN;
SELECT actor_set_reminder('due', 'a', 'now', method => 'tick', data => '1');
SELECT actor_set_reminder('due', 'b', 'hour', '1h', method => 'tick');
SELECT actor_set_reminder('due', 'c', 'day', '24h', method => 'tick');
SELECT actor_set_timer('due', 'd', 'timer', '30m', method => 'tick');
SELECT actor_run_due();
SELECT what, payload, cause - '{scheduled_at, fired_at}'::text[] AS cause
  FROM due.log ORDER BY n;
SELECT actor_run_due();
SELECT actor_run_due(clock_timestamp() + interval '2 hours');
SELECT what, cause ->> 'kind' AS kind,
       cause ->> 'scheduled_at' = cause ->> 'fired_at' AS on_time
  FROM due.log ORDER BY n OFFSET 1;
SELECT name FROM actor.reminder UNION ALL SELECT name FROM actor.timer;
ROLLBACK;

-- time passes: each firing of a period at its instant
BEGIN;
SELECT actor_set_reminder('due', 'a', 'series', timestamptz '2100-01-01 00:00Z',
                          interval '10 minutes', method => 'tick');
SELECT actor_run_due('2100-01-01 01:00Z');
SELECT (cause ->> 'scheduled_at')::timestamptz AT TIME ZONE 'UTC' AS scheduled_at,
       cause ->> 'missed' AS missed
  FROM due.log ORDER BY n;
SELECT actor_run_due('2100-01-01 01:09:59.999999Z');
SELECT actor_run_due('2100-01-01 01:10Z');
SELECT fired, last_fired_at = '2100-01-01 01:10Z' AS fired_then, last_ok_at = last_fired_at AS ok,
       last_ms BETWEEN 0 AND 1e6 AS took, last_error
  FROM actor.reminder;
ROLLBACK;

-- what a reminder remembers of its calls: those that were made, and the last good one
BEGIN;
SELECT actor_set_reminder('due', 'a', 'series', timestamptz '2100-01-01 00:00Z',
                          interval '1 hour', method => 'tick');
SELECT fired, last_fired_at, last_ok_at, last_ms FROM actor.reminder;
SELECT actor_run_due('2100-01-01 01:00Z');
ALTER FUNCTION due.tick RENAME TO was_tick;
CREATE FUNCTION due.tick(jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
SELECT actor_run_due('2100-01-01 02:00Z');
SELECT fired, last_fired_at AT TIME ZONE 'UTC' AS last_fired_at,
       last_ok_at AT TIME ZONE 'UTC' AS last_ok_at, attempt, last_error
  FROM actor.reminder;
SELECT actor_get_reminder('due', 'a', 'series') -> 'fired' AS fired,
       (actor_get_reminder('due', 'a', 'series') ->> 'last_ok_at')::timestamptz = '2100-01-01 01:00Z' AS last_ok,
       (actor_get_reminder('due', 'a', 'series') ->> 'last_fired_at')::timestamptz > '2100-01-01 01:00Z' AS fired_later,
       (actor_get_reminder('due', 'a', 'series') ->> 'last_ms')::float8 >= 0 AS took;
-- registered again, it begins anew
SELECT actor_set_reminder('due', 'a', 'series', timestamptz '2100-01-01 00:00Z',
                          interval '1 hour', method => 'tick', catch_up => 'skip');
SELECT fired, last_fired_at, last_ok_at, last_ms FROM actor.reminder;
ROLLBACK;

-- a cron expression: each firing at its instant, in its time zone
BEGIN;
SELECT actor_set_reminder('due', 'a', 'cron', '2100-03-26T00:00:00Z', 'R4/CRON_TZ=Europe/Berlin 30 2 * * SAT,SUN,MON',
                          method => 'tick');
SELECT actor_set_timer('due', 'b', 'cron', '2100-03-26T00:00:00Z', '30 2 29 3 *', method => 'tick');
SELECT actor_id, period, step, firings, remaining, time_zone = 'Europe/Berlin' AS in_berlin,
       time_zone = current_setting('timezone') AS in_session
  FROM (SELECT actor_id, period, step, firings, remaining, time_zone FROM actor.reminder
        UNION ALL SELECT actor_id, period, step, firings, remaining, time_zone FROM actor.timer) r
 ORDER BY actor_id;
SELECT actor_run_due('2100-03-28 12:00Z');
SELECT remaining, scheduled_at AT TIME ZONE 'Europe/Berlin' AS scheduled_at, last_error FROM actor.reminder;
SELECT actor_run_due('2101-01-01Z');
SELECT what, (cause ->> 'scheduled_at')::timestamptz AT TIME ZONE 'Europe/Berlin' AS scheduled_at,
       cause ->> 'missed' AS missed, cause ->> 'remaining' AS remaining
  FROM due.log ORDER BY what, n;
SELECT name FROM actor.reminder;
ROLLBACK;

-- what was missed of it is counted, over years of summer time and much longer; all can be made up for
BEGIN;
CREATE TABLE due.missed AS
SELECT 'cron ' || row_number() OVER () AS id, since, 'CRON_TZ=' || zone || ' ' || expression AS period
  FROM (VALUES ('30 2 * * *'), ('15,45 2,3 * * *'), ('0 * * * *'), ('45 * * * *'), ('0 */2 13 * FRI'), ('0 12 29 2 *')) AS e (expression),
       (VALUES ('Europe/Berlin'), ('Australia/Lord_Howe'), ('Pacific/Apia'), ('Africa/Casablanca'), ('America/Sao_Paulo')) AS z (zone),
       (VALUES ('2019-01-01T00:00:00Z'), ('2011-12-29T17:00:00Z')) AS s (since)
UNION ALL SELECT 'long', '0001-01-01T00:00:00Z', 'CRON_TZ=Europe/Berlin 0 0 * * *'
UNION ALL SELECT 'longest', '0001-01-01T00:00:00Z', 'CRON_TZ=UTC * * * * * *';
SELECT count(actor_set_reminder('due', id, 'cron', since, period, method => 'tick')) FROM due.missed;
SELECT actor_run_due();
SELECT count(*) FROM due.log;
SELECT m.since, m.period, l.cause AS wrong
  FROM due.missed m JOIN due.log l ON l.what = m.id
 WHERE m.id LIKE 'cron%'
   AND (l.cause ->> 'missed')::bigint + 1 <>
       (SELECT count(*) FROM actor_schedule_preview(m.since, m.period,
               to_jsonb((l.cause ->> 'fired_at')::timestamptz + interval '1 us') #>> '{}', 1000000));
SELECT what, (cause ->> 'missed')::bigint = CASE what
           WHEN 'long' THEN ((cause ->> 'fired_at')::timestamptz AT TIME ZONE 'Europe/Berlin')::date - '0001-01-01'::date - 1
           ELSE floor(extract(epoch FROM (cause ->> 'fired_at')::timestamptz - '0001-01-01 00:00Z')) END AS counted
  FROM due.log WHERE what LIKE 'long%' ORDER BY what;
SELECT count(*) AS later
  FROM actor.reminder r JOIN due.log l ON l.what = r.actor_id
 WHERE r.scheduled_at > (l.cause ->> 'fired_at')::timestamptz;
DELETE FROM due.log;
SELECT actor_delete_reminders('due') > 0;
SELECT actor_set_reminder('due', 'all', 'cron', '2024-01-01T00:00:00Z', 'R3/@yearly', method => 'tick', catch_up => 'all');
SELECT actor_set_reminder('due', 'one', 'cron', '2020-01-01T00:00:00Z', 'R3/@daily', method => 'tick');
SELECT actor_set_reminder('due', 'skip', 'cron', '2020-01-01T00:00:00Z', '@yearly', method => 'tick', catch_up => 'skip');
SELECT actor_set_reminder('due', 'ttl', 'cron', '2020-01-01T00:00:00Z', '@yearly', 'P18M', method => 'tick');
SELECT actor_run_due();
SELECT what, cause ->> 'missed' AS missed, cause ->> 'remaining' AS remaining FROM due.log ORDER BY what, n;
SELECT actor_id, scheduled_at > now() AS later FROM actor.reminder;
ROLLBACK;

-- a failure is retried and given up as its policy says, and costs nothing else
BEGIN;
SELECT actor_set_reminder('due', 'a', 'fail', '1h', failure_policy =>
                          '{"constant": {"interval": "10s", "maxRetries": 2}}', data => '{}');
SELECT actor_set_reminder('due', 'b', 'tick', '1h');
SELECT actor_run_due(clock_timestamp() + interval '1 hour 15 seconds');
SELECT name, attempt, next_try_at - scheduled_at AS pause, last_error FROM actor.reminder;
SELECT actor_run_due(clock_timestamp() + interval '2 hours');
SELECT kind, name, method, payload, attempts, sqlstate, message, detail FROM actor.failure;
SELECT count(*) FROM actor.reminder;
SELECT count(*) FROM due.log;
ROLLBACK;

-- what a deferred constraint has to say belongs to the callback
BEGIN;
SELECT actor_set_reminder('due', 'a', 'defer', failure_policy => '{"drop": {}}');
SELECT actor_run_due();
SELECT sqlstate FROM actor.failure;
SELECT count(*) FROM due.child;
COMMIT;
DELETE FROM due.log;
SELECT actor_discard(failure_id) FROM actor.failure;

-- of the current user only
BEGIN;
SELECT actor_set_reminder('due', 'a', 'tick');
SET LOCAL SESSION AUTHORIZATION regress_actor_due_other;
SELECT actor_run_due();
SELECT actor_set_reminder('due', 'b', 'tick');
SELECT actor_run_due();
SET LOCAL SESSION AUTHORIZATION regress_actor_due_owner;
SELECT what, cause ->> 'name' FROM due.log;
ROLLBACK;

-- a cancelled statement is cancelled as a whole
BEGIN;
SELECT actor_set_reminder('due', 'a', 'nap');
SET LOCAL statement_timeout = '100ms';
SELECT actor_run_due();
ROLLBACK;

-- a turn that is open to a chain is waited for
SELECT actor_register('due', reentrancy => true);
SELECT actor_open_turn('due', 'open') IS NOT NULL AS opened;
BEGIN;
SELECT actor_set_reminder('due', 'open', 'tick');
SET LOCAL actor.call_timeout = '50ms';
SELECT actor_run_due();
ROLLBACK;
SELECT actor_close_turn('due', 'open', NULL);

-- refused
\set VERBOSITY default
SELECT actor_run_due(NULL);
SELECT actor_run_due('infinity');
BEGIN;
SELECT actor_set_reminder('due', 'a', 'again', failure_policy => '{"drop": {}}');
SELECT actor_run_due();
SELECT sqlstate, message, detail FROM actor.failure;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_run_due();
ROLLBACK;
BEGIN READ ONLY;
SELECT actor_run_due();
ROLLBACK;

-- one method takes all reminders without a method of their own, another one all
-- timers
RESET SESSION AUTHORIZATION;
CREATE SCHEMA received;
GRANT USAGE ON SCHEMA received TO regress_actor_due_other;
CREATE FUNCTION received.own(n int) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM actor_set('own', n); END $$;
SELECT actor_register('received');
SELECT actor_set_reminder('received', 'a', 'lock-17');
SELECT actor_set_timer('received', 'a', 'lock-17', '0s');
CREATE FUNCTION received.receive_reminder(name text, data jsonb) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN PERFORM actor_set('reminder ' || name, coalesce(data::text, 'no data')); END $$;
CREATE FUNCTION received.receive_timer(name text, data jsonb DEFAULT NULL) RETURNS void
  LANGUAGE plpgsql AS
  $$ BEGIN PERFORM actor_set('timer ' || name, coalesce(data::text, 'no data')); END $$;
SELECT actor_set_reminder('received', 'a', 'on_activate');
BEGIN;
SELECT actor_set_reminder('received', 'a', 'lock-17', data => '{"a": [1]}');
SELECT actor_set_reminder('received', 'a', repeat('x', 100), data => '"scalar"');
SELECT actor_set_reminder('received', 'a', 'nothing');
SELECT actor_set_reminder('received', 'a', 'an array', data => '[1, 2]', method => 'receive_reminder');
SELECT actor_set_reminder('received', 'a', 'own', data => '{"n": 1}');
SELECT actor_set_timer('received', 'a', '7e4f', '0s', data => '{"a": 1}');
SELECT name, method FROM actor.reminder WHERE actor_type = 'received' ORDER BY name;
SELECT actor_run_due();
SELECT left(key, 30) AS key, value FROM actor.state WHERE actor_type = 'received' ORDER BY key;
COMMIT;

-- it is a method as any other: who may not execute it registers nothing
REVOKE EXECUTE ON FUNCTION received.receive_reminder FROM PUBLIC;
SET SESSION AUTHORIZATION regress_actor_due_other;
SELECT actor_set_reminder('received', 'a', 'lock-17');
RESET SESSION AUTHORIZATION;
SELECT actor_unregister('received', force => true);
DROP SCHEMA received CASCADE;
SET SESSION AUTHORIZATION regress_actor_due_owner;

-- what is due is found without a statement, which locks all indexes when it is
-- planned, where that makes no difference: the same, in the same order
RESET SESSION AUTHORIZATION;
CREATE FUNCTION due._order(alteration text, OUT fired bigint, OUT names text, OUT by_select boolean) LANGUAGE plpgsql AS $$
BEGIN
  DISCARD PLANS;
  EXECUTE alteration;
  SET LOCAL SESSION AUTHORIZATION regress_actor_due_owner;
  PERFORM actor_run_due();
  by_select := EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'actor.timer_hosted'::regclass);
  PERFORM actor_set_reminder('due', 'r' || i, 'tick', now() + interval '1 min' * (i * 7 % 10)) FROM generate_series(1, 9) AS i;
  PERFORM actor_set_timer('due', 't' || i, 'tick', now() + interval '1 min' * (i * 3 % 10) + interval '1 s') FROM generate_series(1, 9) AS i;
  PERFORM actor_send('due', 'm' || i, 'tick', NULL, now() + interval '1 min' * (i / 2) + interval '2 s') FROM generate_series(1, 9) AS i;
  PERFORM actor_set_reminder('due', 'same', 'tick ' || i, now() + interval '5 min', method => 'tick') FROM generate_series(1, 5) AS i;
  PERFORM actor_set_reminder('due', 'later', 'tick', now() + interval '10 min 1 us');
  SET LOCAL SESSION AUTHORIZATION regress_actor_due_other;
  PERFORM actor_set_reminder('due', 'other', 'tick');
  SET LOCAL SESSION AUTHORIZATION regress_actor_due_owner;
  fired := actor_run_due(now() + interval '10 min');
  names := string_agg(what, ' ' ORDER BY n) FROM due.log;
  RESET SESSION AUTHORIZATION;
END $$;
BEGIN; SELECT * FROM due._order(''); ROLLBACK;
BEGIN; SELECT * FROM due._order('ALTER TABLE actor.timer ADD COLUMN note text'); ROLLBACK;
BEGIN; SELECT * FROM due._order('ALTER TABLE actor.timer DROP COLUMN settings, ADD COLUMN settings jsonb'); ROLLBACK;
BEGIN; SELECT * FROM due._order('DROP INDEX actor.message_due'); ROLLBACK;
BEGIN; SELECT * FROM due._order('DROP INDEX actor.message_due; CREATE INDEX ON actor.message (role_name, next_try_at) WHERE NOT hosted'); ROLLBACK;
BEGIN; SELECT * FROM due._order('DROP INDEX actor.message_due; CREATE INDEX ON actor.message (role_name, next_try_at, message_id) WHERE hosted'); ROLLBACK;
BEGIN; SELECT * FROM due._order('DROP INDEX actor.message_due; CREATE INDEX ON actor.message (role_name, next_try_at, message_id) WHERE NOT hosted'); ROLLBACK;
BEGIN; SELECT * FROM due._order('DROP INDEX actor.reminder_due; CREATE INDEX ON actor.reminder (role_name DESC, next_try_at) WHERE NOT hosted'); ROLLBACK;
SET SESSION AUTHORIZATION regress_actor_due_owner;

SELECT actor_unregister('due', true);
DROP SCHEMA due CASCADE;
RESET SESSION AUTHORIZATION;
DROP ROLE regress_actor_due_other;
REVOKE CREATE ON DATABASE :"DBNAME" FROM regress_actor_due_owner;
DROP ROLE regress_actor_due_owner;
