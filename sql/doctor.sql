--
-- What actor_doctor() finds.  What needs another server is in t/040_monitoring.pl.
--
CREATE FUNCTION ill(VARIADIC names text[]) RETURNS TABLE (check_name text, detail text, hint text)
LANGUAGE sql
AS $$
    SELECT d.check_name, d.detail, d.hint FROM actor_doctor() d
     WHERE NOT d.ok AND d.check_name = ANY (names)
$$;

-- these checks exist, and a sound one says nothing
SELECT check_name, count(*), bool_and(ok = (detail IS NULL AND hint IS NULL)) AS consistent
  FROM actor_doctor() GROUP BY check_name ORDER BY check_name;
CALL wait_until($$SELECT count(*) = 0 FROM ill('preload', 'version', 'recovery', 'enabled',
    'launcher', 'scheduler', 'slots', 'roles', 'types', 'paused', 'queues', 'late', 'fan_outs', 'failures', 'turns', 'clock', 'locks', 'grants', 'triggers', 'sequences')$$);

-- version: another one in the database
BEGIN;
UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'actor';
SELECT * FROM ill('version');
ROLLBACK;

-- enabled
SET actor.enabled = off;
SELECT * FROM ill('enabled');
RESET actor.enabled;

-- locks
SET actor.max_turns_per_transaction = 1000000;
SELECT check_name, regexp_replace(detail, 'has \d+', 'has N') AS detail, hint FROM ill('locks');
RESET actor.max_turns_per_transaction;

CREATE SCHEMA ward;
CREATE FUNCTION ward.work() RETURNS void LANGUAGE sql AS 'SELECT';
CREATE FUNCTION ward.fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'failed on purpose';
END $$;
SELECT actor_register('ward');

-- types: the schema belongs to somebody else
BEGIN;
ALTER SCHEMA ward OWNER TO regress_actor_owner;
SELECT * FROM ill('types');
ROLLBACK;
BEGIN;
DROP SCHEMA ward CASCADE;
SELECT * FROM ill('types');
ROLLBACK;

-- paused, when something waits
SELECT actor_pause('ward', 'one');
SELECT * FROM ill('paused');
SELECT actor_set_reminder('ward', 'one', 'work');
SELECT * FROM ill('paused');
-- also of a paused type, by what is paused; rows that are not due do not wait
SELECT actor_pause('ward');
SELECT actor_send('ward', 'two', 'work') > 0;
SELECT actor_set_reminder('ward', 'two', 'later', due_time => '1h', method => 'work');
SELECT detail FROM ill('paused');
SELECT actor_delete_reminder('ward', 'two', 'later');
SELECT actor_resume('ward');
SELECT detail FROM ill('paused');
SELECT actor_resume('ward', 'one');
CALL wait_until($$SELECT count(*) = 0 FROM actor.reminder WHERE actor_type = 'ward'$$);
SELECT * FROM ill('paused');

-- queues: the first message is hidden, and nothing is paused
SELECT actor_pause('ward', 'lost');
SELECT count(actor_send('ward', 'lost', 'work')) FROM generate_series(1, 2);
CALL wait_until($$SELECT count(*) = 2 FROM actor.message WHERE actor_id = 'lost' AND next_try_at = 'infinity'$$);
SELECT * FROM ill('queues');
BEGIN;
DELETE FROM actor.pause WHERE actor_id = 'lost';
SELECT * FROM ill('queues');
ROLLBACK;
SELECT actor_resume('ward', 'lost');
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'lost'$$);

-- failures
SELECT actor_set_reminder('ward', 'two', 'fail', failure_policy => '{"drop": {}}');
SELECT actor_set_reminder('ward', 'three', 'fail', failure_policy => '{"drop": {}}');
CALL wait_until($$SELECT count(*) = 2 FROM actor.failure WHERE actor_type = 'ward'$$);
SELECT * FROM ill('failures');
SELECT bool_and(actor_discard(failure_id)) FROM actor.failure WHERE actor_type = 'ward';
SELECT * FROM ill('failures');

-- roles: one that has gone, and one that is not allowed to connect
CREATE ROLE regress_actor_leaver LOGIN;
GRANT USAGE ON SCHEMA ward TO regress_actor_leaver;
SET ROLE regress_actor_leaver;
SELECT actor_set_reminder('ward', 'three', 'work', due_time => '1h');
RESET ROLE;
SELECT * FROM ill('roles');
ALTER ROLE regress_actor_leaver RENAME TO regress_actor_left;
SELECT check_name, detail, hint FROM ill('roles');
ALTER ROLE regress_actor_left RENAME TO regress_actor_leaver;
SELECT * FROM ill('roles');
SELECT current_database() AS dbname \gset
BEGIN;
REVOKE CONNECT ON DATABASE :"dbname" FROM PUBLIC;
SELECT check_name, detail FROM ill('roles');
ROLLBACK;

-- clock: the server has lived in the future
BEGIN;
UPDATE actor.reminder SET registered_at = registered_at + interval '2 hours' WHERE actor_id = 'three';
SELECT * FROM ill('clock');
ROLLBACK;

-- late: a row that nobody fires
BEGIN;
UPDATE actor.reminder SET next_try_at = clock_timestamp() - interval '100 days' WHERE actor_id = 'three';
SELECT check_name, regexp_replace(detail, '\d+', 'N') AS detail, hint FROM ill('late');
ROLLBACK;

-- sequences: behind, as on a subscriber of logical replication
SELECT actor_send('ward', 'four', 'work', due_time => '100h') AS message_id \gset
SELECT setval('actor.message_message_id_seq', :message_id, false) = :message_id AS behind;
SELECT check_name, regexp_replace(detail, '\d+', 'N', 'g') AS detail, hint FROM ill('sequences');
SELECT setval('actor.message_message_id_seq', (SELECT max(message_id) FROM actor.message)) = :message_id AS mended;
SELECT * FROM ill('sequences');
SELECT actor_cancel_message('ward', 'four', :message_id);

SELECT actor_delete_reminders('ward');
REVOKE USAGE ON SCHEMA ward FROM regress_actor_leaver;
DROP ROLE regress_actor_leaver;
SELECT actor_unregister('ward', force => true);
DROP SCHEMA ward CASCADE;
DROP FUNCTION ill(text[]);
