--
-- actor_explain: what a call would do, without doing it.
--
\set VERBOSITY terse
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA plan;
GRANT USAGE ON SCHEMA plan TO regress_actor_granted;
CREATE TABLE plan.log (what text UNIQUE DEFERRABLE INITIALLY DEFERRED);
GRANT INSERT ON plan.log TO regress_actor_granted;
CREATE FUNCTION plan.add(n int DEFAULT 1) RETURNS int LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('n', actor_get('n', 0) + n); RETURN actor_get('n', 0); END $$;
CREATE FUNCTION plan.peek() RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_get('n') $$;
CREATE FUNCTION plan.tour(other text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('step', 1);
    PERFORM actor_invoke('plan', other, 'add', '[5]');
    PERFORM actor_set_reminder('plan', other, 'add', '1h', 'P1D', data => '{"n": 1}', method => 'add');
    PERFORM actor_set_timer('plan', actor_id(), 'soon', '1h', method => 'add');
    PERFORM actor_send('plan', 'third', 'add', '[7]', '2h');
    -- what is rolled back is not there
    BEGIN
        PERFORM actor_set_reminder('plan', other, 'never', '1h', method => 'add');
        PERFORM actor_send('plan', 'never', 'add');
        PERFORM actor_invoke('plan', 'never', 'add');
        RAISE 'back';
    EXCEPTION WHEN raise_exception THEN
    END;
    PERFORM actor_set_reminder('plan', other, 'gone', '1h', method => 'add');
    PERFORM actor_delete_reminder('plan', other, 'gone');
    INSERT INTO plan.log VALUES ('a'), ('b');
    UPDATE plan.log SET what = 'c' WHERE what = 'a';
    RETURN 'done';
END $$;
CREATE FUNCTION plan.fail() RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('n', 0); RAISE 'on purpose' USING DETAIL = 'a detail', HINT = 'a hint'; END $$;
CREATE FUNCTION plan.late() RETURNS void LANGUAGE sql AS $$ INSERT INTO plan.log VALUES ('x'), ('x') $$;
CREATE FUNCTION plan.self() RETURNS jsonb LANGUAGE sql AS $$ SELECT actor_explain(actor_type(), actor_id(), 'add') $$;
SELECT actor_register('plan');
-- times are not the same twice
CREATE FUNCTION plan._steady(document jsonb) RETURNS text LANGUAGE sql
AS $$ SELECT jsonb_pretty(regexp_replace(regexp_replace(document::text, '("(duration_)?ms": )[0-9.]+', '\1"?"', 'g'),
                                         '("(scheduled|due)_at": )"[^"]*"', '\1"?"', 'g')::jsonb) $$;

SELECT actor_invoke('plan', 'a', 'add');
SELECT plan._steady(actor_explain('plan', 'a', 'add', '{"n": 2}'));
SELECT plan._steady(actor_explain('plan', 'a', 'peek'));
-- in a transaction that has written to the same table
BEGIN;
INSERT INTO plan.log VALUES ('before');
SELECT plan._steady(actor_explain('plan', 'a', 'tour', '["b"]'));
-- nothing of it has happened, and no turn is kept
SELECT held_turns();
SELECT what FROM plan.log;
COMMIT;
SELECT actor_invoke('plan', 'a', 'peek') AS a, actor_invoke('plan', 'b', 'peek') AS b;
SELECT (SELECT count(*) FROM actor.reminder) AS reminders, (SELECT count(*) FROM actor.timer) AS timers,
       (SELECT count(*) FROM actor.message) AS messages, (SELECT count(*) FROM actor.history) AS history;
-- an error is what would come of it, also one of the commit
SELECT plan._steady(actor_explain('plan', 'a', 'fail') #- '{error, context}');
SELECT actor_explain('plan', 'a', 'late') #>> '{error, sqlstate}' AS sqlstate;
SELECT actor_explain('plan', 'a', 'none') #>> '{error, sqlstate}' AS sqlstate,
       actor_explain('plan', 'a', 'add', '{"m": 1}') #>> '{error, message}' AS message,
       actor_explain('none', 'a', 'add') #>> '{error, sqlstate}' AS no_type;
SELECT actor_invoke('plan', 'a', 'peek');
-- not in a method, and no longer than the statement may take
SELECT state, message FROM refusal($$SELECT actor_invoke('plan', 'a', 'self')$$);
SELECT state, message FROM refusal($$SELECT actor_explain('plan', 'a', NULL)$$);
CREATE FUNCTION plan.nap() RETURNS void LANGUAGE sql AS $$ SELECT pg_sleep(60) $$;
SET statement_timeout = '100ms';
SELECT actor_explain('plan', 'a', 'nap');
RESET statement_timeout;
-- after any of that, a call is a call, and keeps no changes
SELECT actor_invoke('plan', 'a', 'add');
SELECT count(*) FROM actor.history;
-- rights are those of the call; values of state are for the owner
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_explain('plan', 'a', 'add') #> '{calls, 0, changes}' AS changes;
-- so is what goes along with what a method sends as its owner
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE FUNCTION plan.tell() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_send('plan', 'third', 'add', '[7]');
    PERFORM actor_set_reminder('plan', 'third', 'add', '1h', data => '[8]');
    PERFORM actor_set_timer('plan', actor_id(), 'add', '1h', data => '[9]');
END $$;
CREATE FUNCTION plan.tell_as_owner() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ BEGIN PERFORM plan.tell(); END $$;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT method, e #> '{messages, 0, payload}' AS payload, e #> '{reminders, 0, data}' AS reminder, e #> '{timers, 0, data}' AS timer,
       e #>> '{messages, 0, method}' AS sent
  FROM unnest('{tell,tell_as_owner}'::text[]) AS method, actor_explain('plan', 'a', method) AS e;
SET SESSION AUTHORIZATION regress_actor_owner;
REVOKE EXECUTE ON FUNCTION plan.add(int) FROM PUBLIC;
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_explain('plan', 'a', 'add') #>> '{error, sqlstate}' AS sqlstate;
SET SESSION AUTHORIZATION regress_actor_owner;
-- what writes is refused where nothing can be written
BEGIN READ ONLY;
SELECT actor_explain('plan', 'a', 'add') #>> '{error, sqlstate}' AS sqlstate;
SELECT actor_explain('plan', 'a', 'peek') -> 'result' AS result;
COMMIT;
SELECT actor_unregister('plan', true);
DROP SCHEMA plan CASCADE;
RESET SESSION AUTHORIZATION;
SELECT at_rest();
