--
-- Reminders: registering, reading, deleting, and firing by the workers.
--
-- What due_time, period and ttl mean is tested in schedule.
--
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA clock;
SELECT actor_register('clock');
GRANT USAGE ON SCHEMA clock TO regress_actor_granted, regress_actor_nologin;
CREATE TABLE clock.fired (number bigint GENERATED ALWAYS AS IDENTITY, id text, method text, role name, data jsonb, cause jsonb);
GRANT SELECT, INSERT ON clock.fired TO regress_actor_granted;
-- the method of most reminders
CREATE FUNCTION clock.ring(data jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('rung', actor_get('rung', 0) + 1);
    INSERT INTO clock.fired (id, method, role, data, cause)
    VALUES (actor_id(), actor_method(), current_user, data, actor_cause());
END
$$;
CREATE FUNCTION clock.rung() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('rung', 0) $$;
CREATE FUNCTION clock.named(a int, b text DEFAULT 'b') RETURNS void LANGUAGE sql
AS $$ INSERT INTO clock.fired (id, method, data) VALUES (actor_id(), actor_method(), jsonb_build_array(a, b)) $$;
CREATE FUNCTION clock.fail(data jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('half', 'done');
    RAISE EXCEPTION 'cannot %', data ->> 'do'
    USING DETAIL = 'It is broken.', ERRCODE = 'P1234';
END
$$;
CREATE FUNCTION clock.look() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('rung', 0) $$;
CREATE FUNCTION clock._private() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION clock.remind_me(name text, due text, method text DEFAULT 'ring') RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set_reminder(actor_type(), actor_id(), name, due, method => method); END $$;
CREATE FUNCTION clock.forget_me(name text) RETURNS boolean LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_delete_reminder(actor_type(), actor_id(), name); END $$;
CREATE FUNCTION clock.get_mine(name text) RETURNS jsonb STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_get_reminder(actor_type(), actor_id(), name); END $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA clock FROM PUBLIC;
GRANT EXECUTE ON FUNCTION clock.ring(jsonb), clock.rung(), clock.get_mine(text), clock.forget_me(text) TO regress_actor_granted, regress_actor_nologin;
\pset null '(null)'

--
-- Registering and reading
--
SELECT actor_set_reminder('clock', '1', 'ring', '2100-01-01T00:00:00Z');
SELECT jsonb_pretty(actor_get_reminder('clock', '1', 'ring') - 'registered_at');
SELECT actor_set_reminder('clock', '1', 'all', '2100-01-01T01:00:00+01:00', 'R5/P1M', '2101-01-01T00:00:00Z',
                          '{"any": ["data"]}', 'ring', '{"exponential": {"initial": "10ms"}}', 'skip', false);
SELECT jsonb_pretty(actor_get_reminder('clock', '1', 'all') - 'registered_at');
-- the overloads with a timestamp and with an interval
SELECT actor_set_reminder('clock', '1', 'at', timestamptz '2100-01-01 00:00+00', '1 day 02:00', '1 month', method => 'ring');
SELECT actor_set_reminder('clock', '1', 'in', interval '1 month 2 days', interval '90 seconds', method => 'ring', data => '1');
-- what drivers send: parameters and nulls without a type beside typed ones,
-- timestamps as text, and a number of firings
BEGIN;
PREPARE form AS SELECT name, due_time, period, ttl, CASE WHEN due_time !~ '^2100' THEN first_at - registered_at END AS "in", step, firings, remaining
  FROM actor.reminder WHERE actor_type = 'clock' AND actor_id = 'forms' ORDER BY name;
SELECT actor_set_reminder('clock', 'forms', '1', NULL, interval '90 s', method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '2', due_time => NULL, period => interval '90 s', ttl => NULL, method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '3', NULL, NULL, interval '1 h', method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '4', '1h', interval '90 s', interval '1 h', method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '5', '5s', '90s', method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '6', NULL, NULL, NULL, method => 'ring', overwrite => false);
SELECT actor_set_reminder('clock', 'forms', '7', interval '5 s', interval '90 s', firings => 3, method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '8', timestamptz '2100-01-01 00:00+00', interval '1 mon', firings => 2147483647, method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '9', NULL, interval '1 day', firings => 1, method => 'ring');
SELECT actor_set_reminder('clock', 'forms', '10', interval '1 h', firings => 1, method => 'ring');
PREPARE untyped AS SELECT actor_set_reminder('clock', 'forms', $1, $2, $3, $4, method => 'ring');
EXECUTE untyped ('11', '2100-01-01 10:00:00.5+00', '01:30:00', '2100-01-02 00:00:00+01');
EXECUTE untyped ('12', NULL, '0 years 0 mons 0 days 1 hours 30 mins 0.0 secs', NULL);
PREPARE timedelta (text, unknown, interval) AS SELECT actor_set_reminder('clock', 'forms', $1, due_time => $2, period => $3, method => 'ring');
EXECUTE timedelta ('13', NULL, '5 min');
EXECUTE form;
DEALLOCATE ALL;
ROLLBACK;
SELECT arguments, r.state, r.message, r.detail
  FROM unnest(ARRAY[$$NULL, interval '1 s', firings => 0$$, $$interval '1 s', interval '1 s', firings => -1$$,
                    $$now(), firings => 2$$, $$NULL, NULL, interval '1 s', firings => 2$$, $$'x', interval '1 s'$$]) AS arguments,
       LATERAL refusal(format('SELECT actor_set_reminder(%L, %L, %L, %s)', 'clock', 'forms', 'ring', arguments)) AS r;
SELECT actor_set_reminder('clock', '1', 'null', NULL::interval, interval '1 day', method => 'rung');
SELECT name, due_time, period, ttl, step, firings, scheduled_at = first_at AS at_first,
       CASE WHEN name = 'in' THEN first_at = registered_at + interval '1 month 2 days'
            ELSE first_at = '2100-01-01 00:00+00' END AS due,
       expires_at, remaining, catch_up, failure_policy, role_name, time_zone, attempt
  FROM actor.reminder WHERE name <> 'null' ORDER BY name;
-- one that is absent, never by prefix
SELECT actor_get_reminder('clock', '1', 'rin'), actor_get_reminder('clock', '1', 'rings'),
       actor_get_reminder('clock', '2', 'ring'), actor_get_reminder('clock', '1', 'RING');
SELECT actor_delete_reminder('clock', '1', 'rin'), actor_delete_reminder('clock', '2', 'ring'), actor_delete_reminder('clock', '', 'x');
SELECT actor_delete_reminder('clock', '1', 'rin'), actor_delete_reminder('clock', '2', 'ring');
-- (the one without a due time may have fired meanwhile, and goes on)
SELECT first_at = registered_at AS at_once, step FROM actor.reminder WHERE name = 'null';
SELECT actor_delete_reminder('clock', '1', 'null');
-- replaced: everything of it is new; or refused
SELECT generation AS old_generation FROM actor.reminder WHERE name = 'all' \gset
SELECT actor_set_reminder('clock', '1', 'all', '2100-02-01T00:00:00Z', method => 'look');
SELECT jsonb_pretty(actor_get_reminder('clock', '1', 'all') - 'registered_at');
SELECT generation <> :old_generation AS other_generation FROM actor.reminder WHERE name = 'all';
SELECT actor_set_reminder('clock', '1', 'all', '1h', method => 'ring', overwrite => false);
\echo :LAST_ERROR_SQLSTATE
SELECT method, due_time FROM actor.reminder WHERE name = 'all';
SELECT actor_delete_reminder('clock', '1', 'all'), actor_delete_reminder('clock', '1', 'all');
SELECT actor_set_reminder('clock', '1', 'all', '100h', method => 'ring', overwrite => false);
-- rolled back
BEGIN;
SELECT actor_delete_reminder('clock', '1', 'all');
SELECT actor_set_reminder('clock', '1', 'all', '200h', method => 'ring', overwrite => false);
SELECT actor_set_reminder('clock', '1', 'new', '200h', method => 'ring');
ROLLBACK;
SELECT name, due_time FROM actor.reminder WHERE name IN ('all', 'new');
-- a read-only method may look at its own
SELECT actor_invoke('clock', '1', 'get_mine', '["all"]') ->> 'due_time';
SELECT actor_invoke('clock', '1', 'forget_me', '["all"]');
-- odd names
\pset format unaligned
SELECT actor_set_reminder('clock', E'an "id"\n''Ü', E'a "name"\n''Ü.%', '100h', method => 'ring');
SELECT actor_get_reminder('clock', E'an "id"\n''Ü', E'a "name"\n''Ü.%') - ARRAY['registered_at', 'scheduled_at', 'next_try_at'];
\pset format aligned
SELECT actor_set_reminder('clock', E'an "id"\n''Ü', E'a "name"\n''Ü.%', '100h', method => 'ring', overwrite => false);
SELECT actor_delete_reminder('clock', E'an "id"\n''Ü', E'a "name"\n''Ü.%');

--
-- What is refused
--
SELECT arguments, r.state, r.message, r.detail
  FROM unnest(ARRAY[$$NULL, '1', 'ring'$$, $$'', '1', 'ring'$$, $$repeat('x', 64), '1', 'ring'$$, $$'nobody', '1', 'ring'$$,
                    $$'clock', NULL, 'ring'$$, $$'clock', '', 'ring'$$, $$'clock', repeat('x', 513), 'ring'$$, $$'clock', repeat('x', 1000000), 'ring'$$,
                    $$'clock', '1', NULL$$, $$'clock', '1', '', method => 'ring'$$, $$'clock', '1', repeat('x', 513), method => 'ring'$$,
                    $$'clock', '1', repeat('x', 1000000), method => 'ring'$$,
                    $$'clock', '1', 'x'$$, $$'clock', '1', '_private'$$, $$'clock', '1', 'x', method => 'on_activate'$$, $$'clock', '1', 'x', method => ''$$,
                    $$'clock', '1', 'x', method => repeat('x', 1000000)$$,
                    $$'clock', '1', 'ring', catch_up => 'two'$$, $$'clock', '1', 'ring', catch_up => 'One'$$, $$'clock', '1', 'ring', catch_up => ''$$,
                    $$'clock', '1', 'ring', catch_up => NULL$$, $$'clock', '1', 'ring', overwrite => NULL$$,
                    $$'clock', '1', 'ring', 'soon'$$, $$'clock', '1', 'ring', '1h', '0s'$$, $$'clock', '1', 'ring', '1h', '1h', '-1h'$$,
                    $$'clock', '1', 'ring', '2100-01-01T00:00:00'$$, $$'clock', '1', 'ring', '1h', '1h', '2000-01-01T00:00:00Z'$$,
                    $$'clock', '1', 'ring', timestamptz 'infinity'$$, $$'clock', '1', 'ring', timestamptz '-infinity'$$,
                    $$'clock', '1', 'ring', interval '-1 second'$$, $$'clock', '1', 'ring', interval '1 day -25 hours'$$, $$'clock', '1', 'ring', interval '170000000 years'$$,
                    $$'clock', '1', 'ring', interval '1 hour', interval '0'$$, $$'clock', '1', 'ring', interval '1 hour', interval '-1 day'$$,
                    $$'clock', '1', 'ring', interval '1 hour', interval '1 day', interval '0'$$,
                    $$'clock', '1', 'ring', interval '1 hour', interval '1 day', interval '-1 day'$$])
       WITH ORDINALITY AS a (arguments, number),
       LATERAL refusal(format('SELECT actor_set_reminder(%s)', arguments)) AS r
 ORDER BY number;
SELECT actor_set_reminder('clock', '1', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', '');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('nobody', '1', 'ring');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'no_such');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'ring', catch_up => 'two');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'ring', catch_up => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'ring', 'soon');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'ring', failure_policy => '{}');
\echo :LAST_ERROR_SQLSTATE
-- failure policies
SELECT policy, r.state, r.message, r.detail
  FROM unnest(ARRAY['null', '1', '"drop"', '[]', '{}', '{"drop": {}, "constant": {}}', '{"Drop": {}}', '{"never": {}}', '{"drop": null}', '{"drop": []}', '{"drop": {"maxRetries": 1}}',
                    '{"constant": 1}', '{"constant": {"interval": 1}}', '{"constant": {"interval": "soon"}}', '{"constant": {"interval": "-1s"}}', '{"constant": {"interval": ""}}',
                    '{"constant": {"maxRetries": "3"}}', '{"constant": {"maxRetries": -1}}', '{"constant": {"maxRetries": 1.5}}', '{"constant": {"maxRetries": 2147483648}}',
                    '{"constant": {"maxRetries": null}}', '{"constant": {"max": "1s"}}', '{"constant": {"initial": "1s"}}', '{"constant": {"interval": "1000000000 years"}}',
                    '{"exponential": {"interval": "1s"}}', '{"exponential": {"initial": "1s", "max": true}}', '{"exponential": {"other": 1}}', '{"exponential": {"max": "0s"}}',
                    '{"constant": {}}', '{"constant": {"maxRetries": 0}}', '{"constant": {"interval": "PT1S", "maxRetries": 2147483647}}', '{"exponential": {}}', '{"exponential": {"initial": "1m", "max": "1h", "maxRetries": 1}}', '{"drop": {}}'])
       WITH ORDINALITY AS p (policy, number),
       LATERAL refusal(format('SELECT actor_set_reminder(%L, %L, %L, %L, method => %L, failure_policy => %L)', 'clock', 'policy', 'p', '100h', 'ring', policy)) AS r
 ORDER BY number;
-- an empty interval is the default
SELECT actor_set_reminder('clock', 'policy', 'p', '100h', method => 'ring', failure_policy => '{"exponential": {"initial": "", "max": ""}}');
SELECT actor_delete_reminder('clock', 'policy', 'p');
-- reading and deleting
SELECT call, r.state, r.message
  FROM unnest(ARRAY[$$actor_get_reminder(NULL, '1', 'x')$$, $$actor_get_reminder('clock', NULL, 'x')$$, $$actor_get_reminder('clock', '1', NULL)$$,
                    $$actor_get_reminder('nobody', '1', 'x')$$, $$actor_get_reminder('clock', repeat('x', 513), 'x')$$, $$actor_get_reminder('clock', '1', '')$$,
                    $$actor_delete_reminder(NULL, '1', 'x')$$, $$actor_delete_reminder('clock', NULL, 'x')$$, $$actor_delete_reminder('clock', '1', NULL)$$,
                    $$actor_delete_reminder('nobody', '1', 'x')$$, $$actor_delete_reminder('clock', '1', repeat('x', 1000000))$$])
       WITH ORDINALITY AS c (call, number),
       LATERAL refusal('SELECT ' || call) AS r
 ORDER BY number;
SELECT actor_get_reminder('nobody', '1', 'x');
\echo :LAST_ERROR_SQLSTATE
BEGIN READ ONLY;
SELECT actor_get_reminder('clock', '1', 'ring') ->> 'due_time';
SAVEPOINT s;
SELECT actor_set_reminder('clock', '1', 'ring');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT actor_delete_reminder('clock', '1', 'ring');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;

--
-- Whose reminders
--
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_set_reminder('clock', '1', 'x', '100h', method => 'ring');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_get_reminder('clock', '1', 'ring');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_delete_reminder('clock', '1', 'ring');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM actor.reminder;
SET SESSION AUTHORIZATION regress_actor_granted;
-- EXECUTE is that on the method
SELECT actor_set_reminder('clock', '1', 'x', '100h', method => 'look');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'granted', '100h', method => 'ring');
-- not the owner's, neither to read nor to replace
SELECT actor_get_reminder('clock', '1', 'ring');
SELECT actor_delete_reminder('clock', '1', 'ring');
SELECT actor_set_reminder('clock', '1', 'ring', '100h', method => 'ring');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_set_reminder('clock', '1', 'ring', '100h', method => 'ring', overwrite => false);
SELECT name, role_name FROM actor.reminder ORDER BY name;
-- but in a turn of the actor
SELECT actor_invoke('clock', '1', 'get_mine', '["ring"]') ->> 'role_name';
SELECT actor_invoke('clock', '1', 'forget_me', '["in"]');
SELECT actor_invoke('clock', '2', 'forget_me', '["at"]');
-- the owner of the type may
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT name, role_name FROM actor.reminder ORDER BY name;
SELECT actor_get_reminder('clock', '1', 'granted') ->> 'role_name';
SELECT actor_set_reminder('clock', '1', 'granted', '101h', method => 'ring');
SELECT name, role_name FROM actor.reminder WHERE name = 'granted';
SELECT actor_delete_reminder('clock', '1', 'granted');
-- nobody could fire it: no CONNECT, no LOGIN before 17
RESET SESSION AUTHORIZATION;
SELECT current_database() AS dbname \gset
BEGIN;
REVOKE CONNECT ON DATABASE :"dbname" FROM PUBLIC;
SET LOCAL ROLE regress_actor_granted;
SELECT state, message, detail, replace(hint, current_database(), 'the database') AS hint
  FROM refusal($$SELECT actor_set_reminder('clock', '1', 'x', '100h', method => 'ring')$$);
ROLLBACK;
BEGIN;
SET LOCAL ROLE regress_actor_nologin;
SELECT CASE WHEN current_setting('server_version_num')::int < 170000 THEN message
            WHEN message = 'taken' THEN 'role "regress_actor_nologin" cannot run reminders' END AS message,
       CASE WHEN current_setting('server_version_num')::int < 170000 THEN detail
            ELSE 'Before PostgreSQL 17 a worker needs a role with the LOGIN attribute.' END AS detail
  FROM refusal($$SELECT actor_set_reminder('clock', '1', 'x', '100h', method => 'ring')$$);
ROLLBACK;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT name FROM actor.reminder ORDER BY name;
SELECT actor_delete_reminder('clock', '1', name) FROM unnest(ARRAY['ring', 'at']) AS name ORDER BY name;
SELECT count(*) FROM actor.reminder;

--
-- Firing.  Nothing here depends on how fast the workers are.
--
-- once, at once
SELECT actor_set_reminder('clock', 'once', 'ring', data => '{"hello": "world"}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT id, method, role, data, cause - ARRAY['scheduled_at', 'fired_at', 'missed'] AS cause,
       (cause ->> 'scheduled_at')::timestamptz <= (cause ->> 'fired_at')::timestamptz AS not_early
  FROM clock.fired ORDER BY number;
SELECT actor_invoke('clock', 'once', 'rung');
-- data is the payload of the method
SELECT actor_set_reminder('clock', 'data', 'named', data => '{"a": 1}'), actor_set_reminder('clock', 'data', 'two', data => '[2, "c"]', method => 'named'),
       actor_set_reminder('clock', 'data', 'three', method => 'look'), actor_set_reminder('clock', 'data', 'four', '', '', '', 'null', 'ring');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT method, data FROM clock.fired WHERE id = 'data' ORDER BY method, data;
-- three times, exactly
SELECT actor_set_reminder('clock', 'thrice', 'ring', '0s', 'R3/PT1S', catch_up => 'all');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT cause ->> 'remaining' AS remaining, cause ->> 'attempt' AS attempt FROM clock.fired WHERE id = 'thrice' ORDER BY number;
SELECT actor_invoke('clock', 'thrice', 'rung');
-- the grid does not drift: all instants are whole periods after the first
SELECT DISTINCT extract(epoch FROM (cause ->> 'scheduled_at')::timestamptz - min((cause ->> 'scheduled_at')::timestamptz) OVER ()) AS seconds
  FROM clock.fired WHERE id = 'thrice' ORDER BY seconds;
-- often, until the method ends it itself
CREATE FUNCTION clock.tick(data jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('rung', actor_get('rung', 0) + 1);
    IF actor_get('rung', 0) = 5 THEN
        PERFORM actor_delete_reminder(actor_type(), actor_id(), actor_cause() ->> 'name');
    END IF;
END
$$;
SELECT actor_set_reminder('clock', 'ticking', 'tick', NULL, '20ms');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'ticking', 'rung');
-- one that replaces itself goes on with the new one
CREATE FUNCTION clock.again(data jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('rung', actor_get('rung', 0) + 1);
    IF data::int > 0 THEN
        PERFORM actor_set_reminder(actor_type(), actor_id(), 'again', '1ms', '1h', data => to_jsonb(data::int - 1));
    ELSE
        PERFORM actor_delete_reminder(actor_type(), actor_id(), 'again');
    END IF;
END
$$;
SELECT actor_set_reminder('clock', 'again', 'again', data => '3');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'again', 'rung');
-- until a ttl ends it
SELECT actor_set_reminder('clock', 'ttl', 'ring', '0s', '1h', '1s');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'ttl', 'rung');
-- from a method, for its own actor
SELECT actor_invoke('clock', 'self', 'remind_me', '["wake up", "1ms"]');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'self', 'rung');
-- as the role that registered it
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_set_reminder('clock', 'granted', 'ring');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT id, role FROM clock.fired WHERE id = 'granted';
SET SESSION AUTHORIZATION regress_actor_owner;

-- one that was rolled back never fires, neither with its transaction nor with
-- a savepoint, nor one that was deleted before the commit
BEGIN;
SELECT actor_set_reminder('clock', 'never', 'ring');
ROLLBACK;
BEGIN;
SAVEPOINT s;
SELECT actor_set_reminder('clock', 'never', 'ring');
ROLLBACK TO s;
SELECT actor_set_reminder('clock', 'never', 'deleted', method => 'ring');
SELECT actor_delete_reminder('clock', 'never', 'deleted');
SELECT actor_set_reminder('clock', 'replaced', 'ring', data => '"old"');
SELECT actor_set_reminder('clock', 'replaced', 'ring', data => '"new"');
COMMIT;
SELECT actor_set_reminder('clock', 'fence', 'ring', '100ms');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT id, data FROM clock.fired WHERE id IN ('never', 'replaced', 'fence') ORDER BY number;
-- one of a prepared transaction does, once that commits
BEGIN;
SELECT actor_set_reminder('clock', 'prepared', 'ring', '1ms');
PREPARE TRANSACTION 'regress_actor';
SELECT count(*) FROM actor.reminder;
COMMIT PREPARED 'regress_actor';
-- (the workers look again within a minute, or when something else is set)
SELECT actor_set_reminder('clock', 'fence', 'ring');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'prepared', 'rung');
-- many at once, each exactly once
SELECT count(actor_set_reminder('clock', 'many' || i, 'ring')) FROM generate_series(1, 300) AS i;
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT count(*), count(DISTINCT id) FROM clock.fired WHERE id LIKE 'many%';
-- many of one actor
SELECT count(actor_set_reminder('clock', 'busy', 'ring' || i, method => 'ring')) FROM generate_series(1, 50) AS i;
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'busy', 'rung');
-- while somebody has the turn it waits, which is no failed attempt, and delays
-- nobody else
BEGIN;
SELECT actor_invoke('clock', 'held', 'remind_me', '["not yet", "100h"]');
PREPARE TRANSACTION 'regress_actor';
SELECT actor_set_reminder('clock', 'held', 'ring');
SELECT actor_set_reminder('clock', 'free', 'ring');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE actor_id = 'free')$$);
SELECT actor_id, name, attempt, last_error FROM actor.reminder ORDER BY actor_id, name;
SELECT actor_invoke('clock', 'held', 'rung');
COMMIT PREPARED 'regress_actor';
SELECT actor_delete_reminder('clock', 'held', 'not yet');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'held', 'rung');
SELECT count(*) FROM actor.failure;

-- one that is due soon fires then, also when the workers are idle meanwhile;
-- the limit is generous, but less than the time they stay without work
SELECT actor_set_reminder('clock', 'soon', 'rung');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_set_reminder('clock', 'soon', 'ring', '50ms');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT (cause ->> 'fired_at')::timestamptz - (cause ->> 'scheduled_at')::timestamptz < interval '5 seconds' AS in_time
  FROM clock.fired WHERE id = 'soon';

--
-- Failures
--
-- nothing of a failed attempt stays but the record of it
SELECT actor_set_reminder('clock', 'broken', 'fail', data => '{"do": "work"}', failure_policy => '{"drop": {}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_type, actor_id, kind, name, method, payload, attempts, sqlstate, message, detail, context, role_name,
       scheduled_at <= failed_at AS not_early
  FROM actor.failure ORDER BY failure_id;
SELECT count(*) FROM actor.state WHERE actor_id = 'broken';
-- after the last retry
SELECT actor_set_reminder('clock', 'retried', 'fail', data => '{"do": "more"}', failure_policy => '{"constant": {"interval": "10ms", "maxRetries": 2}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT attempts, message FROM actor.failure WHERE actor_id = 'retried' ORDER BY failure_id;
-- a retry that works, which knows that it is one
CREATE FUNCTION clock.third_time(data jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    IF (actor_cause() ->> 'attempt')::int < 3 THEN
        RAISE EXCEPTION 'not yet';
    END IF;
    PERFORM actor_set('rung', (actor_cause() ->> 'attempt')::int);
END
$$;
SELECT actor_set_reminder('clock', 'third', 'third_time', failure_policy => '{"exponential": {"initial": "1ms", "max": "5ms", "maxRetries": 5}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_invoke('clock', 'third', 'rung');
SELECT count(*) FROM actor.failure WHERE actor_id = 'third';
-- a periodic one goes on, and failed firings count
SELECT actor_set_reminder('clock', 'periodic', 'fail', '0s', 'R2/PT1S', data => '{"do": "it"}', failure_policy => '{"drop": {}}', catch_up => 'all');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT attempts, message FROM actor.failure WHERE actor_id = 'periodic' ORDER BY failure_id;
-- the payload does not fit
SELECT actor_set_reminder('clock', 'unfit', 'named', data => '{"c": 1}');
SELECT actor_set_reminder('clock', 'unfit', 'named');
-- it does not fit any more, or the method is gone, when it fires: no retries
BEGIN;
CREATE FUNCTION clock.gone() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION clock.unfit() RETURNS void LANGUAGE sql AS '';
SELECT actor_set_reminder('clock', 'gone', 'gone');
SELECT actor_set_reminder('clock', 'unfit', 'unfit');
DROP FUNCTION clock.gone(), clock.unfit();
CREATE FUNCTION clock.unfit(more int) RETURNS void LANGUAGE sql AS '';
COMMIT;
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_set_reminder('clock', 'revoked', 'ring', failure_policy => '{"drop": {}}');
SET LOCAL SESSION AUTHORIZATION regress_actor_owner;
REVOKE EXECUTE ON FUNCTION clock.ring(jsonb) FROM regress_actor_granted;
COMMIT;
-- a method that writes although it says that it does not
CREATE FUNCTION clock.liar() RETURNS void STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('x', 1); END $$;
SELECT actor_set_reminder('clock', 'liar', 'liar', failure_policy => '{"drop": {}}');
-- a constraint that is deferred to the end of the transaction
CREATE TABLE clock.checked (x int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION clock.twice() RETURNS void LANGUAGE sql AS $$ INSERT INTO clock.checked VALUES (1), (1) $$;
SELECT actor_set_reminder('clock', 'deferred', 'twice', failure_policy => '{"drop": {}}');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder)$$);
SELECT actor_id, sqlstate, message, role_name, attempts FROM actor.failure
 WHERE actor_id IN ('unfit', 'gone', 'revoked', 'liar', 'deferred') ORDER BY actor_id;
-- one bad row does not delay the others, and both end
SELECT actor_set_reminder('clock', 'bad', 'fail', data => '{"do": "harm"}', failure_policy => '{"constant": {"interval": "100h", "maxRetries": 1}}');
SELECT actor_set_reminder('clock', 'good', 'ring');
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE actor_id = 'good')
                         AND EXISTS (SELECT FROM actor.reminder WHERE actor_id = 'bad' AND attempt = 2)$$);
SELECT actor_invoke('clock', 'good', 'rung');
SELECT actor_get_reminder('clock', 'bad', 'fail') ->> 'last_error' AS last_error,
       actor_get_reminder('clock', 'bad', 'fail') ->> 'attempt' AS attempt,
       actor_get_reminder('clock', 'bad', 'fail') ->> 'next_try_at' > actor_get_reminder('clock', 'bad', 'fail') ->> 'scheduled_at' AS later;
-- replaced, it starts again
SELECT actor_set_reminder('clock', 'bad', 'fail', '100h');
SELECT actor_get_reminder('clock', 'bad', 'fail') ->> 'last_error' AS last_error,
       actor_get_reminder('clock', 'bad', 'fail') ->> 'attempt' AS attempt;

-- unregistered with reminders and failures
SELECT actor_unregister('clock');
SELECT actor_unregister('clock', force => true);
SELECT count(*) FROM actor.reminder;
SELECT at_rest();
DROP SCHEMA clock CASCADE;
RESET SESSION AUTHORIZATION;
