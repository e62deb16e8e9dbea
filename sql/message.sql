--
-- Messages: sending, cancelling, delivery by the workers, the order of a queue.
--
SET client_min_messages = warning;
SET TIME ZONE 'UTC';
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA post;
SELECT actor_register('post');
GRANT USAGE ON SCHEMA post TO regress_actor_granted, regress_actor_nologin;
CREATE TABLE post.got (number bigint GENERATED ALWAYS AS IDENTITY, id text, method text, role name, payload jsonb, cause jsonb);
GRANT SELECT, INSERT ON post.got TO regress_actor_granted;
-- the method of most messages
CREATE FUNCTION post.take(payload jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('taken', actor_get('taken', 0) + 1);
    INSERT INTO post.got (id, method, role, payload, cause)
    VALUES (actor_id(), actor_method(), current_user, payload, actor_cause());
END
$$;
CREATE FUNCTION post.taken() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('taken', 0) $$;
CREATE FUNCTION post.fail(payload jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set('half', 'done');
    RAISE EXCEPTION 'cannot %', payload ->> 'do' USING DETAIL = 'It is broken.', ERRCODE = 'P1234';
END
$$;
CREATE FUNCTION post.pass(payload jsonb) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO post.got (id, method, role, payload) VALUES (actor_id(), actor_method(), current_user, payload);
    IF (payload ->> 'hops')::int > 0 THEN
        PERFORM actor_send('post', payload ->> 'to', 'pass',
                           jsonb_build_object('to', actor_id(), 'hops', (payload ->> 'hops')::int - 1));
    END IF;
END
$$;
CREATE FUNCTION post.cancel(message_id bigint) RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_cancel_message('post', actor_id(), message_id) $$;
CREATE FUNCTION post.cancel_of_other(actor_id text, message_id bigint) RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_cancel_message('post', actor_id, message_id) $$;
CREATE FUNCTION post.cancel_itself() RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO post.got (id, method, payload)
    VALUES (actor_id(), actor_method(),
            to_jsonb(actor_cancel_message('post', actor_id(), (actor_cause() ->> 'name')::bigint)));
END
$$;
CREATE FUNCTION post.send_while_reading() RETURNS bigint STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_send('post', 'x', 'take'); END $$;
CREATE FUNCTION post.cancel_while_reading() RETURNS boolean STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_cancel_message('post', 'x', 1); END $$;
CREATE FUNCTION post._private() RETURNS void LANGUAGE sql AS '';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA post FROM PUBLIC;
GRANT EXECUTE ON FUNCTION post.take(jsonb), post.taken(), post.cancel_of_other(text, bigint)
   TO regress_actor_granted, regress_actor_nologin;
\pset null '(null)'

--
-- A message calls the method, as the role that sent it, with why
--
SELECT actor_send('post', 'a', 'take', '{"first": true}') > 0 AS sent;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_send('post', 'a', 'take', NULL, '') > 0 AS sent;
SET SESSION AUTHORIZATION regress_actor_owner;
CALL wait_until('SELECT count(*) = 2 FROM post.got');
SELECT id, method, role, payload, cause ->> 'kind' AS kind, cause ->> 'name' ~ '^[0-9]+$' AS name,
       cause -> 'attempt' AS attempt, cause -> 'missed' AS missed, cause -> 'remaining' AS remaining,
       (cause ->> 'scheduled_at')::timestamptz <= (cause ->> 'fired_at')::timestamptz AS not_early
  FROM post.got ORDER BY number;
CALL wait_until('SELECT count(*) = 0 FROM actor.message');
SELECT actor_invoke('post', 'a', 'taken');
-- it activates, whatever the method
SELECT actor_send('post', 'read', 'taken') > 0 AS sent;
CALL wait_until('SELECT count(*) = 0 FROM actor.message');
SELECT actor_id FROM actor.activation WHERE actor_type = 'post' ORDER BY actor_id;

--
-- Sent if and only if the transaction commits, at every isolation level
--
TRUNCATE post.got;
BEGIN;
SELECT actor_send('post', 'b', 'take', '1') > 0 AS sent;
SAVEPOINT s;
SELECT actor_send('post', 'b', 'take', '2') > 0 AS sent;
ROLLBACK TO s;
SELECT actor_send('post', 'b', 'take', '3') > 0 AS sent;
SELECT payload, attempt, role_name, due_at = sent_at AS at_once, next_try_at = due_at AS shown FROM actor.message ORDER BY message_id;
COMMIT;
BEGIN;
SELECT actor_send('post', 'b', 'take', '4') > 0 AS sent;
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_send('post', 'b', 'take', '5') > 0 AS sent;
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT actor_send('post', 'b', 'take', '6') > 0 AS sent;
COMMIT;
CALL wait_until('SELECT count(*) = 0 FROM actor.message');
SELECT payload FROM post.got ORDER BY number;
-- and what a method sends, with the method
TRUNCATE post.got;
SELECT actor_send('post', 'ping', 'pass', '{"to": "pong", "hops": 3}') > 0 AS sent;
CALL wait_until('SELECT count(*) = 4 FROM post.got');
SELECT id, payload -> 'hops' AS hops FROM post.got ORDER BY number;

--
-- Many of one actor, in their order; by one statement
--
TRUNCATE post.got;
SELECT count(actor_send('post', 'c' || n % 3, 'take', to_jsonb(n))) FROM generate_series(1, 300) n;
CALL wait_until('SELECT count(*) = 0 FROM actor.message');
SELECT id, count(*), count(DISTINCT payload),
       count(*) FILTER (WHERE number > before_number) + 1 AS in_order
  FROM (SELECT id, payload, number,
               lag(number) OVER (PARTITION BY id ORDER BY payload) AS before_number FROM post.got) g
 GROUP BY id ORDER BY id;

--
-- A due time, as that of a reminder
--
TRUNCATE post.got;
SELECT actor_send('post', 'd', 'take', '"later"', '2100-01-01T00:00:00Z') AS later,
       actor_send('post', 'd', 'take', '"soon"', '200ms') AS soon,
       actor_send('post', 'd', 'take', '"past"', '2000-01-01T00:00:00Z') AS past \gset
SELECT payload, due_at FROM actor.message WHERE message_id = :later;
CALL wait_until('SELECT count(*) = 1 FROM actor.message');
SELECT payload, cause ->> 'scheduled_at' AS scheduled_at FROM post.got WHERE payload = '"past"';
SELECT payload, (cause ->> 'fired_at')::timestamptz >= (cause ->> 'scheduled_at')::timestamptz AS not_early FROM post.got ORDER BY number;
SELECT actor_send('post', 'd', 'take', NULL, 'tomorrow');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_send('post', 'd', 'take', NULL, '-1s');

--
-- How many wait, by type: for owners and monitors, without payloads
--
SELECT actor_type, messages, due, oldest_due, age FROM actor.queue;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT count(*) FROM actor.queue;
SELECT count(*) FROM actor.message;
RESET SESSION AUTHORIZATION;
GRANT pg_monitor TO regress_actor_stranger;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_type, messages, due, oldest_due, age FROM actor.queue;
SELECT count(*) FROM actor.message;
RESET SESSION AUTHORIZATION;
REVOKE pg_monitor FROM regress_actor_stranger;

--
-- Cancelling: by the sender, the owner of the type, a method of the actor
--
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_cancel_message('post', 'd', :later) AS cancelled, actor_cancel_message('post', 'd', :later) AS again;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_send('post', 'e', 'take', '1', '100h') AS m1, actor_send('post', 'e', 'take', '2', '100h') AS m2,
       actor_send('post', 'e', 'take', '3', '100h') AS m3, actor_send('post', 'e', 'take', '4', '100h') AS m4,
       actor_send('post', 'e', 'take', '5', '100h') AS m5 \gset
SELECT payload FROM actor.message ORDER BY message_id;
SELECT actor_cancel_message('post', 'e', :m1);
SELECT actor_cancel_message('post', 'e', :m1) AS again, actor_cancel_message('post', 'f', :m2) AS of_another_actor;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_cancel_message('post', 'e', :m2);
SELECT actor_invoke('post', 'e', 'cancel', jsonb_build_array(:m3));
SELECT actor_invoke('post', 'f', 'cancel', jsonb_build_array(:m4));
-- by a method of another actor only if the role may
SELECT actor_send('post', 'e', 'take', '6', '100h') AS m6 \gset
SELECT actor_invoke('post', 'f', 'cancel_of_other', jsonb_build_array('e', :m4));
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT state, replace(message, :'m6', 'n') AS message, detail
  FROM refusal(format($$SELECT actor_invoke('post', 'f', 'cancel_of_other', jsonb_build_array('e', %s))$$, :m6));
SELECT state, replace(message, :'m6', 'n') AS message, detail
  FROM refusal(format($$SELECT actor_cancel_message('post', 'e', %s)$$, :m6));
-- who may not use the schema is told nothing
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT * FROM refusal(format($$SELECT actor_cancel_message('post', 'e', %s)$$, :m6));
SELECT * FROM refusal($$SELECT actor_cancel_message('post', 'e', 999999999)$$);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT state, message FROM refusal($$SELECT actor_cancel_message('post', 'e', NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_cancel_message('nothing', 'e', 1)$$);
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT state, message, hint FROM refusal(format($$SELECT actor_cancel_message('post', 'e', %s)$$, :m6));
COMMIT;
BEGIN READ ONLY;
SELECT state, message FROM refusal(format($$SELECT actor_cancel_message('post', 'e', %s)$$, :m6));
COMMIT;
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'x', 'cancel_while_reading')$$);
-- undone with the transaction
BEGIN;
SELECT actor_cancel_message('post', 'e', :m6);
ROLLBACK;
SELECT payload FROM actor.message ORDER BY message_id;
-- a message that cancels itself is delivered all the same
TRUNCATE post.got;
SELECT actor_send('post', 'g', 'cancel_itself') > 0 AS sent;
SELECT actor_send('post', 'g', 'take') > 0 AS sent;
CALL wait_until('SELECT count(*) = 2 FROM post.got');
SELECT method, payload FROM post.got ORDER BY number;

--
-- A message that fails keeps the others of its actor waiting, and nobody else
--
TRUNCATE post.got;
BEGIN;
SELECT actor_send('post', 'h', 'fail', '{"do": "this"}') AS failing,
       actor_send('post', 'h', 'take', '"second"') AS second, actor_send('post', 'h', 'take', '"third"') AS third,
       actor_send('post', 'i', 'take', '"other actor"') AS other \gset
COMMIT;
CALL wait_until(format('SELECT attempt >= 2 FROM actor.message WHERE message_id = %s', :failing));
CALL wait_until($$SELECT count(*) = 2 FROM actor.message WHERE actor_id = 'h' AND next_try_at = 'infinity'$$);
CALL wait_until('SELECT count(*) = 1 FROM post.got');
SELECT payload FROM post.got;
SELECT last_error, deferrals, next_try_at < 'infinity' AS shown FROM actor.message WHERE message_id = :failing;
SELECT actor_invoke('post', 'h', 'taken');
-- cancelling one in the middle changes nothing for the others; that of the
-- first one lets them go on
SELECT actor_cancel_message('post', 'h', :second);
SELECT payload FROM actor.message WHERE actor_id = 'h' ORDER BY message_id;
SELECT actor_cancel_message('post', 'h', :failing);
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'h'$$);
SELECT payload FROM post.got ORDER BY number;
-- the tenth failure parks it
BEGIN;
SELECT actor_send('post', 'h', 'fail', '{"do": "that"}') AS failing, actor_send('post', 'h', 'take', '"fourth"') AS fourth \gset
COMMIT;
CALL wait_until(format('SELECT attempt >= 2 FROM actor.message WHERE message_id = %s', :failing));
RESET SESSION AUTHORIZATION;
UPDATE actor.message SET attempt = 10 WHERE message_id = :failing;
SET SESSION AUTHORIZATION regress_actor_owner;
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'h'$$);
SELECT payload FROM post.got ORDER BY number;
SELECT actor_id, kind, name::bigint = :failing AS name, method, payload, attempts, sqlstate, message, detail, role_name FROM actor.failure;

-- it can be retried, as a new message
SELECT actor_retry(failure_id) FROM actor.failure;
CALL wait_until($$SELECT attempt >= 2 FROM actor.message WHERE actor_id = 'h'$$);
SELECT message_id > :fourth AS new, method, payload, role_name FROM actor.message WHERE actor_id = 'h';
SELECT actor_cancel_message('post', 'h', message_id) FROM actor.message WHERE actor_id = 'h';

--
-- What can never succeed is refused when it is sent; it is given up at once if
-- that turns out later, but not if a method raises the same errors
--
SELECT * FROM refusal($$SELECT actor_send('post', 'v', 'cancel')$$);
SELECT * FROM refusal($$SELECT actor_send('post', 'v', 'cancel', '{"message_id": 1, "more": 2}')$$);
SELECT * FROM refusal($$SELECT actor_send('post', 'v', 'cancel', '[1, 2]')$$);
BEGIN;
CREATE FUNCTION post.gone() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION post.changed() RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION post.picky(sqlstate text) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN RAISE 'no' USING ERRCODE = sqlstate; END $$;
SELECT actor_send('post', 'v', 'gone') > 0 AS sent;
SELECT actor_send('post', 'v', 'changed') > 0 AS sent;
SELECT actor_send('post', 'v1', 'picky', '["22023"]') > 0 AS sent;
SELECT actor_send('post', 'v2', 'picky', '["42883"]') > 0 AS sent;
SELECT actor_send('post', 'v', 'take', '"behind"') > 0 AS sent;
DROP FUNCTION post.gone(), post.changed();
CREATE FUNCTION post.changed(more int) RETURNS void LANGUAGE sql AS '';
COMMIT;
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'v'$$);
SELECT method, attempts, sqlstate, message FROM actor.failure WHERE actor_id = 'v' ORDER BY failure_id;
CALL wait_until($$SELECT count(*) = 2 FROM actor.message WHERE actor_id LIKE 'v_' AND attempt >= 2$$);
SELECT actor_cancel_message('post', actor_id, message_id) FROM actor.message WHERE actor_id LIKE 'v_';

--
-- What happens when a message fails, and whether the others wait for it
--
TRUNCATE post.got;
CREATE FUNCTION post.refuse(payload jsonb) RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN RAISE 'no'; END $$;
SELECT actor_send('post', 'w', 'refuse', '"dropped"', failure_policy => '{"drop": {}}') > 0 AS sent;
SELECT actor_send('post', 'w', 'refuse', '"twice"', failure_policy => '{"constant": {"interval": "0s", "maxRetries": 1}, "queue": "pass"}') > 0 AS sent;
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'w'$$);
SELECT payload, attempts FROM actor.failure WHERE actor_id = 'w' ORDER BY failure_id;
BEGIN;
SELECT actor_send('post', 'w', 'refuse', '"passed"', failure_policy => '{"constant": {"interval": "100h"}, "queue": "pass"}') AS passed \gset
SELECT count(actor_send('post', 'w', 'take', to_jsonb(n))) FROM generate_series(1, 3) n;
COMMIT;
CALL wait_until($$SELECT count(*) = 1 FROM actor.message WHERE actor_id = 'w'$$);
SELECT payload FROM post.got ORDER BY number;
SELECT method, attempt, queued, next_try_at - due_at > interval '90 hours' AS later, failure_policy FROM actor.message WHERE actor_id = 'w';
-- when it is tried again, it comes before what was sent after it
SELECT actor_pause('post', 'w');
CREATE OR REPLACE FUNCTION post.refuse(payload jsonb) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO post.got (id, method, payload) VALUES ('w', 'refuse', payload) $$;
SELECT actor_send('post', 'w', 'take', '4') > 0 AS sent;
RESET SESSION AUTHORIZATION;
UPDATE actor.message SET next_try_at = now() WHERE message_id = :passed;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_send('post', 'y', 'take') > 0 AS sent;	-- wakes the workers
CALL wait_until($$SELECT count(*) = 2 FROM actor.message WHERE actor_id = 'w' AND next_try_at = 'infinity'$$);
SELECT actor_resume('post', 'w');
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'w'$$);
SELECT method, payload FROM post.got WHERE id = 'w' ORDER BY number;
-- by default, and if that is wanted, they wait
BEGIN;
SELECT actor_send('post', 'x', 'fail', '1', failure_policy => '{"exponential": {"initial": "100h", "max": "100h"}, "queue": "wait"}') AS waited \gset
SELECT actor_send('post', 'x', 'take', '2') > 0 AS sent;
COMMIT;
CALL wait_until($$SELECT count(*) = 1 FROM actor.message WHERE actor_id = 'x' AND next_try_at = 'infinity'$$);
SELECT actor_cancel_message('post', 'x', :waited);
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'x'$$);
-- one that the others pass while some of them are hidden shows them
BEGIN;
SELECT actor_send('post', 'x', 'fail', '1', failure_policy => '{"constant": {"interval": "1h"}, "queue": "pass"}') AS passed \gset
SELECT actor_send('post', 'x', 'take', '3') > 0 AS sent;
SELECT actor_pause('post', 'x');
COMMIT;
CALL wait_until($$SELECT count(*) = 2 FROM actor.message WHERE actor_id = 'x' AND next_try_at = 'infinity'$$);
SELECT actor_resume('post', 'x');
CALL wait_until($$SELECT count(*) = 1 FROM actor.message WHERE actor_id = 'x'$$);
SELECT actor_cancel_message('post', 'x', :passed);
SELECT state, message, detail, hint FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '{"constant": {}, "drop": {}}')$$);
SELECT state, detail FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '{}')$$);
SELECT state, detail FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '{"queue": "jump"}')$$);
SELECT state, detail FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '{"queue": 1}')$$);
SELECT state, detail FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '{"queue": "pass", "retry": {}}')$$);
SELECT state, detail FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '{"queue": "pass", "constant": 5}')$$);
SELECT state, detail FROM refusal($$SELECT actor_send('post', 'x', 'take', failure_policy => '[]')$$);
SELECT actor_send('post', 'x', 'take', due_time => '100h', failure_policy => '{"queue": null}') AS kept \gset
SELECT failure_policy FROM actor.message WHERE message_id = :kept;
SELECT actor_cancel_message('post', 'x', :kept);

--
-- Paused: what is sent waits until the actor is resumed
--
TRUNCATE post.got;
SELECT actor_pause('post', 'p');
SELECT count(actor_send('post', 'p', 'take', to_jsonb(n))) FROM generate_series(1, 3) n;
CALL wait_until($$SELECT count(*) = 3 FROM actor.message WHERE actor_id = 'p' AND next_try_at = 'infinity'$$);
SELECT actor_send('post', 'p', 'take', '4') > 0 AS sent;
CALL wait_until($$SELECT count(*) = 4 FROM actor.message WHERE actor_id = 'p' AND next_try_at = 'infinity'$$);
SELECT actor_cancel_message('post', 'p', min(message_id)) FROM actor.message WHERE actor_id = 'p';
SELECT actor_resume('post', 'p');
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'p'$$);
SELECT payload FROM post.got ORDER BY number;

--
-- actor_run_due delivers, too, in its own transaction
-- the forms of a due time
BEGIN;
SELECT actor_send('post', 'forms', 'take', '{}', timestamptz '2100-01-01 00:00+00') IS NOT NULL AS at,
       actor_send('post', 'forms', 'take', NULL, due_time => interval '1 h', request_id => 'in') IS NOT NULL AS "in",
       actor_send('post', 'forms', 'take', due_time => '2100-01-01 00:00:01+00') IS NOT NULL AS printed,
       actor_send('post', 'forms', 'take', '{}', NULL) IS NOT NULL AS untyped,
       actor_send('post', 'forms', 'take', '{}', NULL::interval) IS NOT NULL AS null_interval,
       actor_send('post', 'forms', 'take', '{}', NULL::timestamptz) IS NOT NULL AS null_timestamp;
SELECT CASE WHEN due_at - sent_at < interval '2 h' THEN (due_at - sent_at)::text ELSE due_at::text END AS due, queued
  FROM actor.message WHERE actor_type = 'post' AND actor_id = 'forms' ORDER BY message_id;
ROLLBACK;
SELECT r.state, r.message, r.detail
  FROM unnest(ARRAY[$$'infinity'::timestamptz$$, $$interval '-1 s'$$, $$interval '300000 years'$$]) AS due,
       LATERAL refusal(format('SELECT actor_send(%L, %L, %L, NULL, %s)', 'post', 'forms', 'take', due)) AS r;

--
TRUNCATE post.got;
BEGIN;
SELECT actor_send('post', 'q', 'take', '1', '1h') > 0 AS sent;
SELECT actor_send('post', 'q', 'take', to_jsonb(n)) > 0 AS sent FROM generate_series(2, 3) n;
SELECT actor_send('post', 'q', 'take', '4', '2h') > 0 AS sent;
SELECT actor_run_due(clock_timestamp() + interval '90 minutes');
SELECT payload, (cause ->> 'fired_at')::timestamptz >= (cause ->> 'scheduled_at')::timestamptz AS not_early FROM post.got ORDER BY number;
SELECT payload FROM actor.message WHERE actor_id = 'q';
SELECT actor_send('post', 'q', 'fail', '{"do": "it"}') > 0 AS sent;
SELECT actor_send('post', 'q', 'take', '5') > 0 AS sent;
SET LOCAL client_min_messages = error;
SELECT actor_run_due(clock_timestamp() + interval '3 hours');
SELECT payload FROM post.got ORDER BY number;
SELECT kind, attempts FROM actor.failure WHERE actor_id = 'q';
ROLLBACK;

--
-- Reassigned
--
SELECT actor_send('post', 'q', 'take', '1', '1h') AS moved \gset
RESET SESSION AUTHORIZATION;
SELECT actor_reassign('regress_actor_owner', 'regress_actor_granted') > 0 AS moved;
SELECT role_name FROM actor.message WHERE message_id = :moved;
SELECT actor_reassign('regress_actor_granted', 'regress_actor_owner') > 0 AS moved;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_cancel_message('post', 'q', :moved);

--
-- Request ids: the second message with an id is not sent, and ids are shared
-- with calls
--
TRUNCATE post.got;
SELECT actor_send('post', 'r', 'take', '{"a": 1}', request_id => 'one') AS first \gset
SELECT actor_send('post', 'r', 'take', '{"a": 1}', request_id => 'one') = :first AS same,
       actor_send('post', 'r', 'take', '{"a": 1}', '1h', 'one') = :first AS due_time_does_not_count,
       actor_send('post', 'r2', 'take', '{"a": 1}', request_id => 'one') > :first AS of_another_actor;
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id LIKE 'r%'$$);
-- when it has been delivered, too
SELECT actor_send('post', 'r', 'take', '{"a": 1}', request_id => 'one') = :first AS same;
SELECT id, payload FROM post.got ORDER BY id;
SELECT * FROM refusal($$SELECT actor_send('post', 'r', 'take', '{"a": 2}', request_id => 'one')$$);
SELECT state FROM refusal($$SELECT actor_send('post', 'r', 'fail', '{"a": 1}', request_id => 'one')$$);
SELECT state FROM refusal($$SELECT actor_invoke('post', 'r', 'take', '{"a": 1}', request_id => 'one')$$);
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT state FROM refusal($$SELECT actor_send('post', 'r', 'take', '{"a": 1}', request_id => 'one')$$);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('post', 'r', 'take', '{"a": 3}', request_id => 'call');
SELECT state FROM refusal($$SELECT actor_send('post', 'r', 'take', '{"a": 3}', request_id => 'call')$$);
-- rolled back with the message
BEGIN;
SELECT actor_send('post', 'r', 'take', '{"a": 4}', request_id => 'two') > 0 AS sent;
ROLLBACK;
SELECT count(*) FROM actor.request WHERE request_id = 'two';
-- one that is kept no longer is forgotten
RESET SESSION AUTHORIZATION;
UPDATE actor.request SET finished_at = finished_at - interval '25 hours' WHERE request_id = 'one' OR request_id = 'call';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_send('post', 'r', 'take', '{"a": 5}', request_id => 'one') > :first AS sent_again,
       actor_send('post', 'r', 'take', '{"a": 6}', request_id => 'call') > :first AS instead_of_a_call;
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_id LIKE 'r%'$$);
SELECT request_id, method, result, message_id > :first AS message FROM actor.request WHERE actor_type = 'post' AND actor_id = 'r' ORDER BY request_id;
SELECT state, message FROM refusal(format($$SELECT actor_send('post', 'r', 'take', request_id => %L)$$, repeat('x', 513)));
SELECT state, message FROM refusal($$SELECT actor_send('post', 'r', 'take', request_id => '')$$);

--
-- Results
--
CREATE FUNCTION post.double(n int) RETURNS int LANGUAGE sql AS $$ SELECT n * 2 $$;
CREATE FUNCTION post.stumble() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF NOT actor_get('may', false) THEN
        RAISE 'stumbled' USING ERRCODE = 'PT418', DETAIL = 'over a stone';
    END IF;
    RETURN 'walked';
END $$;
CREATE FUNCTION post.allow() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('may', true) $$;
CREATE FUNCTION post.wait_inside() RETURNS text LANGUAGE sql AS $$ SELECT state FROM actor_wait('post', 'res', 'double') $$;
CREATE FUNCTION post.see(id text) RETURNS text STABLE LANGUAGE sql AS $$ SELECT state FROM actor_result('post', 'res', id) $$;
SELECT actor_send('post', 'res', 'double', '[21]', request_id => 'double') > 0 AS sent;
SELECT state, result, error, finished_at > now() - interval '1 hour' AS finished FROM actor_wait('post', 'res', 'double');
SELECT state, result FROM actor_result('post', 'res', 'double');
SELECT actor_invoke('post', 'res', 'see', '["double"]');
-- also of the next message to it, and of calls; an id that stands for nothing
SELECT actor_send('post', 'res', 'allow', request_id => 'void') > 0 AS sent;
SELECT state, result FROM actor_wait('post', 'res', 'void');
SELECT actor_invoke('post', 'res', 'double', '[1]', request_id => 'invoked');
SELECT state, result, error FROM actor_wait('post', 'res', 'invoked');
SELECT state IS NULL AS nothing FROM actor_wait('post', 'res', 'never used');
SELECT * FROM actor_result('post', 'never used', 'x');
-- one that waits is kept for as long as it does
SELECT actor_send('post', 'res', 'double', '[4]', '100h', request_id => 'late') AS late \gset
SELECT state, result, finished_at FROM actor_wait('post', 'res', 'late', '10 ms');
RESET SESSION AUTHORIZATION;
UPDATE actor.request SET created_at = created_at - interval '25 hours' WHERE request_id = 'late';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_send('post', 'res', 'double', '[4]', '100h', request_id => 'late') = :late AS same,
       (actor_result('post', 'res', 'late')).state;
SELECT state FROM refusal($$SELECT actor_send('post', 'res', 'double', '[5]', request_id => 'late')$$);
SELECT actor_cancel_message('post', 'res', :late);
SELECT state, result, finished_at IS NOT NULL AS finished FROM actor_wait('post', 'res', 'late');
SELECT actor_send('post', 'res2', 'double', '[4]', '100h', request_id => 'deleted') > 0 AS sent;
SELECT actor_delete('post', 'res2');
SELECT state FROM actor_wait('post', 'res2', 'deleted');
-- one that is given up has an error, and may get a result when it is retried
SELECT actor_send('post', 'res3', 'stumble', failure_policy => '{"drop": {}}', request_id => 'stumble') AS stumbled \gset
SELECT state, result, error FROM actor_wait('post', 'res3', 'stumble');
SELECT actor_invoke('post', 'res3', 'allow');
SELECT actor_retry(failure_id) FROM actor.failure WHERE actor_id = 'res3';
SELECT state, result, error FROM actor_wait('post', 'res3', 'stumble');
SELECT actor_send('post', 'res3', 'stumble', failure_policy => '{"drop": {}}', request_id => 'stumble') > :stumbled AS the_later_one;
-- it is written in the transaction of the delivery
BEGIN;
SELECT actor_send('post', 'res4', 'double', '[8]', request_id => 'undone') > 0 AS sent;
SELECT state, message, hint FROM refusal($$SELECT actor_wait('post', 'res4', 'undone')$$);
SELECT actor_run_due();
SELECT state, result FROM actor_result('post', 'res4', 'undone');
ROLLBACK;
SELECT * FROM actor_result('post', 'res4', 'undone');
-- where nobody can wait
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'res4', 'wait_inside')$$);
BEGIN;
SELECT actor_invoke('post', 'res', 'allow');
SELECT state, message, hint FROM refusal($$SELECT actor_wait('post', 'res', 'double')$$);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT state, message FROM refusal($$SELECT actor_wait('post', 'res', 'double')$$);
COMMIT;
SELECT state, message FROM refusal($$SELECT actor_wait('post', 'res', 'double', NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_wait('post', 'res', 'double', '-1 s')$$);
SELECT state, message FROM refusal($$SELECT actor_wait('post', 'res', 'double', '1 month')$$);
SELECT state, message FROM refusal($$SELECT actor_result('post', 'res', '')$$);
SELECT state, message FROM refusal($$SELECT actor_result('post', 'res', NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_result('nothing', 'res', 'double')$$);
-- others' results are not shown
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT * FROM refusal($$SELECT actor_result('post', 'res', 'double')$$);
SELECT state IS NULL AS nothing FROM actor_result('post', 'res', 'never used');
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_discard(failure_id) FROM actor.failure WHERE actor_id LIKE 'res%';

--
-- Promises
--
CREATE TABLE post.answers (n int GENERATED ALWAYS AS IDENTITY, id text, state text, value jsonb, data jsonb, mine boolean, by name DEFAULT current_user,
    tenant text DEFAULT nullif(current_setting('app.tenant', true), ''));
GRANT INSERT ON post.answers TO regress_actor_granted;
CREATE FUNCTION post.ask(ttl interval DEFAULT NULL, data jsonb DEFAULT NULL) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
    token uuid := actor_promise(CASE WHEN data IS NULL THEN 'answered' ELSE 'answered_with' END, ttl, data);
BEGIN
    PERFORM actor_set('token', token);
    RETURN token;
END $$;
CREATE FUNCTION post.answered(promise uuid, state text, value jsonb) RETURNS text LANGUAGE sql AS $$
    INSERT INTO post.answers (id, state, value, mine) VALUES (actor_id(), state, value, promise = actor_get('token', NULL::uuid)) RETURNING 'noted' $$;
CREATE FUNCTION post.answered_with(payload jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO post.answers (id, state, value, data, mine)
    VALUES (actor_id(), payload ->> 'state', payload -> 'value', payload -> 'data', (payload ->> 'promise')::uuid = actor_get('token', NULL::uuid)) $$;
CREATE FUNCTION post.ask_wrongly(method text) RETURNS uuid LANGUAGE sql AS $$ SELECT actor_promise(method) $$;
CREATE FUNCTION post.ask_reading() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT actor_promise('answered') $$;
GRANT EXECUTE ON FUNCTION post.ask(interval, jsonb), post.answered(uuid, text, jsonb) TO regress_actor_granted;
SELECT actor_invoke('post', 'p1', 'ask') ->> 0 AS p1 \gset
SELECT actor_type, actor_id, token = :'p1' AS token, method, data, role_name, created_at > now() - interval '1 hour' AS created, expires_at, traceparent
  FROM actor.promise;
-- once, by anybody who has it, with the turn held or not
RESET SESSION AUTHORIZATION;
BEGIN;
SELECT actor_invoke('post', 'p1', 'allow');
SET LOCAL SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_resolve(:'p1', '{"yes": 1.50}') AS resolved, actor_resolve(:'p1', '2') AS again;
COMMIT;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT actor_resolve(:'p1', '3') AS late, actor_reject(:'p1') AS rejected, actor_resolve(gen_random_uuid()) AS never_made;
SET SESSION AUTHORIZATION regress_actor_owner;
CALL wait_until($$SELECT count(*) = 1 FROM post.answers$$);
-- rejected, with what the actor wants back; an undone answer is none
BEGIN;
SET LOCAL app.tenant = 'blue';
SET LOCAL actor.carried_settings = 'app.tenant';
SELECT actor_invoke('post', 'p2', 'ask', '{"data": {"order": 17}}') ->> 0 AS p2 \gset
COMMIT;
BEGIN;
SELECT actor_resolve(:'p2');
ROLLBACK;
SELECT actor_reject(:'p2', '"no"');
CALL wait_until($$SELECT count(*) = 2 FROM post.answers$$);
-- expired, by a worker, and not answered then
SELECT actor_invoke('post', 'p3', 'ask', '{"ttl": "1 ms"}') ->> 0 AS p3 \gset
CALL wait_until($$SELECT count(*) = 3 FROM post.answers$$);
SELECT actor_resolve(:'p3');
-- it is the message of the role that asked
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('post', 'p4', 'ask', '{"ttl": "100h"}') ->> 0 AS p4 \gset
SELECT count(*) FROM actor.promise;
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT count(*) FROM actor.promise;
SELECT actor_resolve(:'p4');
SET SESSION AUTHORIZATION regress_actor_owner;
CALL wait_until($$SELECT count(*) = 4 FROM post.answers$$);
SELECT id, state, value, data, mine, by, tenant FROM post.answers ORDER BY n;
SELECT count(*) FROM actor.promise;
-- what cannot be promised
SELECT state, message FROM refusal($$SELECT actor_promise('answered')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'p5', 'ask_wrongly', '["none"]')$$);
SELECT state, message, detail FROM refusal($$SELECT actor_invoke('post', 'p5', 'ask_wrongly', '["double"]')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'p5', 'ask_wrongly', '[null]')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'p5', 'ask_reading')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'p5', 'ask', '["0"]')$$);
SELECT state, message FROM refusal($$SELECT actor_resolve(NULL)$$);
BEGIN READ ONLY;
SELECT state, message FROM refusal($$SELECT actor_resolve(gen_random_uuid())$$);
COMMIT;
-- it ends with the actor
SELECT actor_invoke('post', 'p6', 'ask') ->> 0 AS p6 \gset
SELECT actor_delete('post', 'p6');
SELECT actor_resolve(:'p6');
-- and not with the name of the type, nor is it lost with that of its role
SELECT actor_invoke('post', 'p7', 'ask') ->> 0 AS p7 \gset
SELECT actor_rename('post', 'letter');
SELECT actor_type, actor_id FROM actor.promise;
SELECT actor_rename('letter', 'post');
RESET SESSION AUTHORIZATION;
SELECT actor_reassign('regress_actor_owner', 'regress_actor_granted') > 0 AS moved;
SELECT role_name FROM actor.promise;
SELECT actor_reassign('regress_actor_granted', 'regress_actor_owner') > 0 AS moved;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT state, message FROM refusal($$SELECT actor_unregister('post')$$);
SELECT actor_resolve(:'p7');
CALL wait_until($$SELECT count(*) = 5 FROM post.answers$$);

--
-- What cannot be sent
--
SELECT state, message FROM refusal($$SELECT actor_send(NULL, 'x', 'take')$$);
SELECT state, message FROM refusal($$SELECT actor_send('post', '', 'take')$$);
SELECT state, message FROM refusal($$SELECT actor_send('post', 'x', NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_send('nothing', 'x', 'take')$$);
SELECT state, message FROM refusal($$SELECT actor_send('post', 'x', 'nothing')$$);
SELECT state, message FROM refusal($$SELECT actor_send('post', 'x', '_private')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('post', 'x', 'send_while_reading')$$);
BEGIN READ ONLY;
SELECT state, message FROM refusal($$SELECT actor_send('post', 'x', 'take')$$);
COMMIT;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT state, message FROM refusal($$SELECT actor_send('post', 'x', 'fail')$$);
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT state, message FROM refusal($$SELECT actor_send('post', 'x', 'take')$$);
RESET SESSION AUTHORIZATION;
BEGIN;
SET LOCAL ROLE regress_actor_nologin;
SELECT CASE WHEN current_setting('server_version_num')::int < 170000 THEN message
            WHEN message = 'taken' THEN 'role "regress_actor_nologin" cannot run messages' END AS message,
       CASE WHEN current_setting('server_version_num')::int < 170000 THEN replace(hint, current_database(), 'this')
            ELSE 'Send the message as a role that can connect to database "this".' END AS hint
  FROM refusal($$SELECT actor_send('post', 'x', 'take')$$);
ROLLBACK;
-- EXECUTE is asked for again at delivery
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_send('post', 'x', 'take', NULL, '100h') AS late \gset
SET SESSION AUTHORIZATION regress_actor_owner;
REVOKE EXECUTE ON FUNCTION post.take(jsonb) FROM regress_actor_granted;
RESET SESSION AUTHORIZATION;
UPDATE actor.message SET due_at = now(), next_try_at = now() WHERE message_id = :late;
SET SESSION AUTHORIZATION regress_actor_owner;
-- (this wakes the workers)
SELECT actor_send('post', 'y', 'take') > 0 AS sent;
CALL wait_until(format('SELECT attempt >= 2 FROM actor.message WHERE message_id = %s', :late));
SELECT last_error FROM actor.message WHERE message_id = :late;
SELECT actor_cancel_message('post', 'x', :late);

--
-- A message to each actor of a type
--
CREATE SCHEMA herd;
CREATE TABLE herd.visit (actor_id text, note text, tenant text, cause text);
CREATE FUNCTION herd.put(key text) RETURNS void LANGUAGE sql AS $$ SELECT actor_set(key, 1) $$;
CREATE FUNCTION herd.calm() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
CREATE FUNCTION herd.visit(note text) RETURNS void LANGUAGE sql
AS $$ INSERT INTO herd.visit VALUES (actor_id(), note, current_setting('app.tenant', true), actor_cause() ->> 'kind') $$;
SELECT actor_register('herd');
SELECT count(actor_invoke('herd', 'h' || n, 'put', to_jsonb(ARRAY['k' || k])) IS NULL) FROM generate_series(1, 25) n, generate_series(1, 3) k;
SELECT count(actor_invoke('herd', 'active ' || n, 'calm')) FROM generate_series(1, 5) n;
-- not those that are gone: no state, or only what has expired, and not active
SELECT actor_invoke('herd', 'gone', 'put', '["k"]'), actor_invoke('herd', 'expired', 'put', '["k"]');
SELECT actor_deactivate('herd', 'expired'), actor_delete('herd', 'gone');
RESET SESSION AUTHORIZATION;
UPDATE actor.state SET expires_at = now() - interval '1 minute' WHERE actor_id = 'expired';
SET SESSION AUTHORIZATION regress_actor_owner;
BEGIN;
SET LOCAL actor.carried_settings = 'app.tenant';
SET LOCAL app.tenant = 'blue';
SELECT actor_each('herd', 'visit', '["first"]', 7) AS each \gset
SELECT batch, sent, last_id, finished_at IS NULL AS unfinished, settings FROM actor.each;
COMMIT;
CALL wait_until(format('SELECT finished_at IS NOT NULL FROM actor.each WHERE each_id = %L', :'each'));
CALL wait_until($$SELECT count(*) >= 30 FROM herd.visit$$);
SELECT sent, last_id FROM actor.each WHERE each_id = :'each';
SELECT note, tenant, cause, count(*), count(DISTINCT actor_id) FROM herd.visit GROUP BY 1, 2, 3;
-- the end of a batch may be that of the actors
SELECT actor_each('herd', 'visit', '["second"]', 15) AS each \gset
CALL wait_until(format('SELECT finished_at IS NOT NULL FROM actor.each WHERE each_id = %L', :'each'));
CALL wait_until($$SELECT count(*) >= 60 FROM herd.visit$$);
SELECT sent FROM actor.each WHERE each_id = :'each';
-- what is rolled back is not sent, nor is what is stopped
BEGIN;
SELECT actor_each('herd', 'visit', '["never"]') IS NOT NULL AS asked;
ROLLBACK;
BEGIN;
SELECT actor_each('herd', 'visit', '["stopped"]') AS each \gset
SELECT actor_each_stop(:'each'), actor_each_stop(:'each') AS again;
COMMIT;
-- the next batch waits for the last one, and other messages come between them
SELECT actor_register('herd', reentrancy => true);
SELECT count(actor_open_turn('herd', 'active ' || n)) FROM generate_series(1, 3) n;
SELECT actor_each('herd', 'visit', '["third"]', 3) AS each \gset
CALL wait_until(format('SELECT sent = 3 FROM actor.each WHERE each_id = %L', :'each'));
SELECT actor_send('herd', 'other', 'visit', '["meanwhile"]') > 0 AS sent;
CALL wait_until($$SELECT count(*) = 1 FROM herd.visit WHERE note = 'meanwhile'$$);
SELECT sent, last_id, finished_at IS NULL AS unfinished FROM actor.each WHERE each_id = :'each';
-- it goes on under a new name
SELECT actor_rename('herd', 'flock');
SELECT actor_type, sent FROM actor.each WHERE each_id = :'each';
SELECT count(*) FILTER (WHERE actor_close_turn('flock', 'active ' || n, NULL)) FROM generate_series(1, 3) n;
CALL wait_until(format('SELECT finished_at IS NOT NULL FROM actor.each WHERE each_id = %L', :'each'));
SELECT sent FROM actor.each WHERE each_id = :'each';
CALL wait_until($$SELECT count(*) >= 31 FROM herd.visit WHERE note = 'third'$$);
SELECT note, count(*), count(DISTINCT actor_id) FROM herd.visit GROUP BY 1 ORDER BY 1;
-- it belongs to its role
RESET SESSION AUTHORIZATION;
SELECT actor_reassign('regress_actor_owner', 'regress_actor_granted') > 0 AS moved;
SELECT DISTINCT role_name FROM actor.each;
SELECT actor_reassign('regress_actor_granted', 'regress_actor_owner') > 0 AS moved;
-- and what has finished long ago is forgotten
UPDATE actor.each SET finished_at = now() - interval '31 days' WHERE each_id = :'each';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_each('flock', 'calm') AS last \gset
SELECT count(*) FROM actor.each WHERE each_id = :'each';
CALL wait_until(format('SELECT finished_at IS NOT NULL FROM actor.each WHERE each_id = %L', :'last'));
-- and while it is not finished it keeps its type
CREATE SCHEMA nobody;
CREATE FUNCTION nobody.calm() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
SELECT actor_register('nobody');
BEGIN;
SELECT actor_each('nobody', 'calm') IS NOT NULL AS asked;
SELECT state, message, detail FROM refusal($$SELECT actor_unregister('nobody')$$);
COMMIT;
CALL wait_until($$SELECT finished_at IS NOT NULL FROM actor.each WHERE actor_type = 'nobody'$$);
SELECT sent, last_id FROM actor.each WHERE actor_type = 'nobody';
SELECT actor_unregister('nobody');
DROP SCHEMA nobody CASCADE;
-- those of an application get it from their host
CREATE SCHEMA guest;
SELECT actor_register('guest', hosted => true);
SELECT actor_transact('guest', 'g', '[{"operation": "upsert", "request": {"key": "k", "value": 1}}]');
SELECT actor_each('guest', 'any method', '{"free": true}') IS NOT NULL AS asked;
CALL wait_until($$SELECT finished_at IS NOT NULL FROM actor.each WHERE actor_type = 'guest'$$);
SELECT actor_id, method, payload, hosted, role_name FROM actor.message WHERE actor_type = 'guest';
SELECT actor_unregister('guest', true);
DROP SCHEMA guest;
-- what cannot be sent
SELECT state, message FROM refusal($$SELECT actor_each(NULL, 'calm')$$);
SELECT state, message FROM refusal($$SELECT actor_each('', 'calm')$$);
SELECT state, message FROM refusal($$SELECT actor_each('nothing', 'calm')$$);
SELECT state, message FROM refusal($$SELECT actor_each('flock', NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_each('flock', 'nothing')$$);
SELECT state, message FROM refusal($$SELECT actor_each('flock', 'calm', '[1]')$$);
SELECT state, message FROM refusal($$SELECT actor_each('flock', 'calm', batch => 0)$$);
SELECT state, message FROM refusal($$SELECT actor_each('flock', 'calm', batch => 100001)$$);
SELECT state, message FROM refusal($$SELECT actor_each('flock', 'calm', batch => NULL)$$);
SELECT state, message FROM refusal($$SELECT actor_each_stop(NULL)$$);
SELECT actor_each_stop(gen_random_uuid());
BEGIN READ ONLY;
SELECT state, message FROM refusal($$SELECT actor_each('flock', 'calm')$$);
SELECT state, message FROM refusal($$SELECT actor_each_stop(gen_random_uuid())$$);
COMMIT;
CALL wait_until($$SELECT count(*) = 0 FROM actor.message WHERE actor_type = 'flock'$$);
SELECT actor_unregister('flock', true);
SELECT count(*) FROM actor.each;
DROP SCHEMA herd CASCADE;

--
-- Deleting an actor, and unregistering its type
--
SELECT actor_send('post', 'z', 'take', NULL, '100h') > 0 AS sent;
SELECT actor_delete('post', 'z') AS deleted, actor_delete('post', 'z') AS again;
SELECT count(*) FROM actor.message WHERE actor_id = 'z';
-- the table is written by the library only
DELETE FROM actor.message;
SELECT actor_send('post', 'z', 'take', NULL, '100h') > 0 AS sent;
RESET SESSION AUTHORIZATION;
DELETE FROM actor.state WHERE actor_type = 'post';
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT * FROM refusal($$SELECT actor_unregister('post')$$);
SELECT actor_unregister('post', true);
SELECT count(*) FROM actor.message;
DROP SCHEMA post CASCADE;
RESET SESSION AUTHORIZATION;
SELECT at_rest();
