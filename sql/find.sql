--
-- Finding actors, what is due and how much there is, at a cost that does not
-- depend on how many rows there are.  That they use indexes is tested by
-- t/037_dashboard.pl.
--
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE ROLE regress_actor_find_owner LOGIN;
CREATE ROLE regress_actor_find_caller LOGIN;
CREATE ROLE regress_actor_find_watch LOGIN IN ROLE pg_monitor;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_find_owner;

SET SESSION AUTHORIZATION regress_actor_find_owner;
CREATE SCHEMA find;
GRANT USAGE ON SCHEMA find TO regress_actor_find_caller;
CREATE FUNCTION find.put() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('k', 1) $$;
CREATE FUNCTION find.nothing() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION find.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'failed'; END $$;
SELECT actor_register('find', history => 'calls');
CREATE SCHEMA find_hosted;
SELECT actor_register('find hosted', 'find_hosted', hosted => true);

-- there is something of an actor in whatever table a row is
SELECT actor_invoke('find', 'b state', 'put');
SELECT actor_set_reminder('find', 'c reminder', 'r', '100h', method => 'nothing');
SELECT actor_set_timer('find', 'd timer', 't', '100h', method => 'nothing');
SELECT actor_send('find', 'e message', 'nothing', due_time => '100h') IS NOT NULL AS sent;
SELECT actor_pause('find', 'f pause');
SELECT actor_set_reminder('find', 'g failure', 'r', method => 'fail', failure_policy => '{"drop": {}}');
RESET SESSION AUTHORIZATION;
CALL wait_until($$SELECT count(*) = 1 FROM actor.failure WHERE actor_type = 'find'$$);
DELETE FROM actor.history WHERE actor_id = 'g failure';
SET SESSION AUTHORIZATION regress_actor_find_owner;
SELECT actor_invoke('find', 'h history', 'nothing');
SELECT actor_deactivate('find', 'h history');
SELECT actor_invoke('find', 'i active', 'nothing');
SELECT actor_subscribe('news', 'find', 'j subscriber', 'nothing', 'find', 'k publisher');
SELECT * FROM actor_find('find');
-- pages
SELECT actor_id FROM actor_find('find', max_rows => 3);
SELECT actor_id FROM actor_find('find', after => 'd timer', max_rows => 3);
SELECT actor_id FROM actor_find('find', after => 'zz');
SELECT actor_id FROM actor_find('find', max_rows => 0);
-- prefixes, also one that is an id; what comes after an id, which need not exist
SELECT actor_invoke('find', id, 'put') FROM unnest(ARRAY['x', 'x1', 'x10', 'x2', 'xy', 'y', 'ü', 'üx', '%', '_']) id;
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'x');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'x1');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'x', 'x1');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'x', 'x11');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'x', 'a');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'x', 'x');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'ü');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', '%');
SELECT string_agg(actor_id, ' ') FROM actor_find('find', 'none');
SELECT actor_find('find', NULL);
SELECT actor_find(NULL);
SELECT actor_find('find', max_rows => -1);
SELECT actor_find('find', max_rows => NULL);
SELECT actor_find('none');

--
-- What is due.  What nobody fires stays late: no host has that type.
--
SELECT actor_set_reminder('find hosted', 'late', 'r', '2020-01-01T00:00:00Z', catch_up => 'all');
SELECT actor_set_reminder('find hosted', 'soon', 'r', '90m');
SELECT actor_set_timer('find hosted', 'soon', 't', '150m');
SELECT actor_send('find hosted', 'soon', 'm', due_time => '155m') IS NOT NULL AS sent;
SELECT kind, round(extract(epoch FROM due_until - now()) / 3600) AS until, due_from = '-infinity' AS late, due, estimated
  FROM actor_due_counts('1h', 4) ORDER BY due_until, kind;
SELECT kind, actor_type, actor_id, name ~ '^[0-9]+$' AS number, name = 'r' AS r, method, role_name, attempt, deferrals
  FROM actor_due(now() + interval '4h');
SELECT kind, actor_id FROM actor_due();
SELECT kind, actor_id FROM actor_due(now() + interval '4h', 2);
-- from an instant on; what is held; what has failed and is tried again
SELECT kind, actor_id FROM actor_due(now() + interval '4h', since => now());
SELECT actor_pause('find', 'held');
SELECT actor_send('find', 'held', 'nothing') IS NOT NULL AS sent;
SELECT actor_send('find', 'sick', 'fail', failure_policy => '{"constant": {"interval": "9h", "maxRetries": 9}}') IS NOT NULL AS sent;
CALL wait_until($$SELECT count(*) = 2 FROM actor.message
	WHERE (actor_id = 'held' AND next_try_at = 'infinity') OR (actor_id = 'sick' AND attempt = 2)$$);
SELECT kind, actor_id FROM actor_due('infinity', since => 'infinity');
SELECT kind, actor_id, attempt FROM actor_due('infinity', min_attempt => 2);
SELECT kind, actor_id, attempt FROM actor_due('infinity', min_attempt => 3);
SET SESSION AUTHORIZATION regress_actor_find_caller;
SELECT kind, actor_id FROM actor_due('infinity', min_attempt => 2);
SELECT kind, actor_id FROM actor_due('infinity', since => 'infinity');
SET SESSION AUTHORIZATION regress_actor_find_owner;
SELECT actor_cancel_message('find', 'sick', message_id) FROM actor.message WHERE actor_id = 'sick';
SELECT actor_cancel_message('find', 'held', message_id) FROM actor.message WHERE actor_id = 'held';
SELECT actor_resume('find', 'held');
-- the same as the view has
SELECT * FROM actor_due('infinity') EXCEPT SELECT * FROM actor.pending;
SELECT * FROM actor.pending EXCEPT SELECT * FROM actor_due('infinity', 1000);
SELECT actor_due(NULL);
SELECT actor_due(since => NULL);
SELECT actor_due(min_attempt => NULL);
SELECT actor_due(now(), -1);
SELECT actor_due_counts('0s', 1);
SELECT actor_due_counts('-1h', 1);
SELECT actor_due_counts('1h', 0);
SELECT actor_due_counts('1h', 1000000);
SELECT actor_due_counts(NULL, 1);
SELECT actor_due_counts('1h', NULL);

-- who sees what: the owner all of his types, a role its own, a monitor all
GRANT EXECUTE ON FUNCTION find.nothing() TO regress_actor_find_caller;
SET SESSION AUTHORIZATION regress_actor_find_caller;
SELECT kind FROM actor_due('infinity');
SELECT kind FROM actor_due_counts('200h', 1);
SELECT actor_set_reminder('find', 'of caller', 'r', '50h', method => 'nothing');
SELECT kind, actor_id, role_name FROM actor_due('infinity');
SELECT kind, due FROM actor_due_counts('200h', 1);
SELECT * FROM actor.type_status;
SELECT actor_find('find');
SELECT count(*) FROM actor.get_timers('find', 'd timer'), actor.get_activations('find', 'i active');
SET SESSION AUTHORIZATION regress_actor_find_owner;
SELECT kind, due_from = '-infinity' AS late, due FROM actor_due_counts('200h', 1) ORDER BY 1, 2;
SELECT count(*) FROM actor_due('infinity');
SELECT name FROM actor.get_timers('find', 'd timer');
SELECT actor_id FROM actor.get_activations('find', 'i active');
SELECT actor_id FROM actor.get_activations('find', 'none');
SELECT actor.get_activations('find');
SELECT actor.get_timers(of_id => 'x');
SET SESSION AUTHORIZATION regress_actor_find_watch;
SELECT count(*) FROM actor_find('find', 'c');
SELECT count(*) FROM actor_find('none');
SELECT kind, actor_id FROM actor_due('infinity') WHERE actor_type ~ '^find' AND name = 'r' ORDER BY next_try_at;
SELECT actor_type, active, reminders, timers, messages, due, oldest_due IS NULL AS none_due, failures, paused, pauses
  FROM actor.type_status WHERE actor_type ~ '^find';
SET SESSION AUTHORIZATION regress_actor_find_owner;
SELECT actor_pause('find');
SELECT paused, pauses FROM actor.type_status WHERE actor_type = 'find';
SELECT actor_resume('find');

--
-- Too many to count: where a sample tells, that is said, and it is about right.
--
RESET SESSION AUTHORIZATION;
CREATE TEMP TABLE one_reminder AS
SELECT * FROM actor.reminder WHERE actor_type = 'find' AND actor_id = 'c reminder';
INSERT INTO actor.reminder
SELECT n.* FROM one_reminder r, generate_series(1, 40000) i,
       jsonb_populate_record(r, jsonb_build_object('actor_id', 'many ' || i,
           'next_try_at', now() + interval '10 h' + i * interval '1 s')) n;
SET SESSION AUTHORIZATION regress_actor_find_owner;
SELECT sum(due) FILTER (WHERE NOT estimated) BETWEEN 100 AND 10000 AS counted,
       sum(due) BETWEEN 35000 AND 45000 AS about, bool_or(estimated) AS estimated
  FROM actor_due_counts('1min', 1440) WHERE kind = 'reminder' AND due_from > now();
SELECT reminders = counted_max AS all_counted FROM actor.type_status WHERE actor_type = 'find';
SET SESSION AUTHORIZATION regress_actor_find_caller;
-- (which does not disappear behind those of others)
SELECT kind, due, estimated FROM actor_due_counts('200h', 1);
RESET SESSION AUTHORIZATION;
DELETE FROM actor.reminder WHERE actor_id LIKE 'many %';

SET client_min_messages = warning;
SELECT actor_unregister('find', true), actor_unregister('find hosted', true);
DROP OWNED BY regress_actor_find_owner, regress_actor_find_caller;
DROP ROLE regress_actor_find_owner, regress_actor_find_caller, regress_actor_find_watch;
