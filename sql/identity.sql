--
-- What a name of a role means: the role that has used it, and no other one that
-- gets the name later.
--
SET client_min_messages = warning;
SELECT current_database() AS dbname \gset
CREATE ROLE regress_actor_alice LOGIN;
CREATE ROLE regress_actor_bob LOGIN;
GRANT CREATE ON DATABASE :"dbname" TO regress_actor_alice;

-- a type of alice, and on one of somebody else's what can be hers
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA shared;
CREATE TABLE shared.ran (who name, what text);
GRANT INSERT, SELECT ON shared.ran TO PUBLIC;
CREATE FUNCTION shared.run(what text) RETURNS text LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO shared.ran VALUES (current_user, what); RETURN what || ' of ' || current_user; END $$;
CREATE FUNCTION shared.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'failed'; END $$;
CREATE FUNCTION shared.answered(answer jsonb) RETURNS void LANGUAGE sql AS '';
CREATE FUNCTION shared.pledge() RETURNS boolean LANGUAGE sql AS $$ SELECT actor_promise('answered') IS NOT NULL $$;
GRANT USAGE ON SCHEMA shared TO PUBLIC;
SELECT actor_register('shared');
CREATE PROCEDURE shared._leave(secret text) LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_set_reminder('shared', '1', secret, '100h', data => jsonb_build_array(secret), method => 'run');
    PERFORM actor_set_timer('shared', '1', secret, '100h', data => jsonb_build_array(secret), method => 'run');
    PERFORM actor_send('shared', '1', 'run', jsonb_build_array(secret), '100h');
    PERFORM actor_invoke('shared', '1', 'run', jsonb_build_array(secret), request_id => secret);
    PERFORM actor_invoke('shared', '1', 'pledge');
    PERFORM actor_subscribe(secret, 'shared', '1', 'answered', 'shared', '1');
END
$$;
SET SESSION AUTHORIZATION regress_actor_alice;
CREATE SCHEMA ledger;
CREATE FUNCTION ledger.put(x text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('secret', x); END $$;
CREATE FUNCTION ledger.get() RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_get('secret') $$;
SELECT actor_register('ledger');
SELECT actor_invoke('ledger', '1', 'put', '{"x": "4711"}');
CALL shared._leave('hers');
SELECT actor_set_reminder('shared', 'f', 'fail', failure_policy => '{"drop": {}}');
CALL wait_until('SELECT count(*) = 1 FROM actor.failure');
SELECT actor_each('ledger', 'get') IS NOT NULL AS each;
CALL wait_until($$SELECT bool_and(finished_at IS NOT NULL) FROM actor.each$$);
CALL wait_until($$SELECT NOT EXISTS (SELECT FROM actor.message WHERE actor_type = 'ledger')$$);
RESET SESSION AUTHORIZATION;

-- what a role sees of which table, and how many types and names are its own
CREATE FUNCTION seen() RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    t text;
    n bigint;
    result text := '';
BEGIN
    FOREACH t IN ARRAY ARRAY['state', 'activation', 'reminder', 'timer', 'message', 'request', 'promise', 'each', 'subscription', 'failure', 'pause', 'owned_type', 'instance', 'queue']
    LOOP
        EXECUTE format('SELECT count(*) FROM actor.%I', t) INTO n;
        result := result || CASE WHEN n > 0 THEN format('%s %s, ', n, t) ELSE '' END;
    END LOOP;
    RETURN rtrim(result, ', ');
END
$$;
SET SESSION AUTHORIZATION regress_actor_alice;
SELECT seen();

-- alice is renamed: it is still her, but under that name nothing is hers
RESET SESSION AUTHORIZATION;
SET client_min_messages = notice;
ALTER ROLE regress_actor_alice RENAME TO regress_actor_alicia;
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_alicia;
SELECT seen();
BEGIN;
-- it is up to her to take it along
SELECT actor_reassign('regress_actor_alice', 'regress_actor_alicia');
SELECT seen();
SELECT actor_register('ledger');
SELECT seen();
ROLLBACK;
-- and nobody who takes the name gets it
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_actor_alice LOGIN;
SET SESSION AUTHORIZATION regress_actor_alice;
SELECT seen();
SELECT actor_reassign('regress_actor_alice', 'regress_actor_alice');
SELECT actor_reassign('regress_actor_alice', 'regress_actor_bob');
RESET SESSION AUTHORIZATION;
DROP ROLE regress_actor_alice;
ALTER ROLE regress_actor_alicia RENAME TO regress_actor_alice;
SET SESSION AUTHORIZATION regress_actor_alice;
SELECT seen();
RESET SESSION AUTHORIZATION;

-- alice is dropped, and another role gets her name
REASSIGN OWNED BY regress_actor_alice TO regress_actor_bob;
DROP OWNED BY regress_actor_alice;
SET client_min_messages = notice;
DROP ROLE regress_actor_alice;
SET client_min_messages = warning;
CREATE ROLE regress_actor_alice LOGIN;
GRANT CREATE ON DATABASE :"dbname" TO regress_actor_alice;
SELECT detail FROM actor_doctor() WHERE check_name = 'roles';
SET SESSION AUTHORIZATION regress_actor_alice;
SELECT seen();
SELECT state, message FROM refusal($$SELECT actor_get_state('ledger', '1', 'secret')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('ledger', '1', 'get')$$);
SELECT state, message FROM refusal($$SELECT actor_delete_reminders('shared', '1')$$);
SELECT state, message FROM refusal($$SELECT actor_reassign('regress_actor_alice', 'regress_actor_alice')$$);
SELECT actor_run_due(now() + interval '101 hours');
CREATE SCHEMA mine;
SELECT state, message, detail FROM refusal($$SELECT actor_register('ledger', 'mine')$$);
SELECT state, message FROM refusal($$SELECT actor_unregister('ledger', true)$$);
-- what a name was used for before is known
SELECT state, message FROM refusal($$SELECT actor_invoke('shared', '1', 'run', '["hers"]', request_id => 'hers')$$);

-- she has what she registers herself, and only that fires as her
CALL shared._leave('own');
SELECT seen();
SELECT name, role_name FROM actor.reminder;
SELECT actor_run_due(now() + interval '101 hours');
SELECT * FROM shared.ran ORDER BY what;
SELECT seen();
RESET SESSION AUTHORIZATION;
SELECT regexp_replace(role_name, '\d+', 'N') AS role_name, count(*) FROM actor.reminder WHERE actor_type = 'shared' GROUP BY 1 ORDER BY 1;
SELECT regexp_replace(role_name, '\d+', 'N') AS role_name, count(*) FROM actor.request WHERE actor_type = 'shared' GROUP BY 1 ORDER BY 1;
-- so is the type, which is not hers even if she gets its schema
SELECT regexp_replace(owner_name, '\d+', 'N') AS owner_name FROM actor.type WHERE actor_type = 'ledger';
BEGIN;
ALTER SCHEMA ledger OWNER TO regress_actor_alice;
SET LOCAL SESSION AUTHORIZATION regress_actor_alice;
SELECT state, message FROM refusal($$SELECT actor_invoke('ledger', '1', 'get')$$);
ROLLBACK;
-- nor does a role get it that takes the name it was moved to
SELECT role_name AS aside FROM actor.reminder WHERE role_name ~ 'oid' \gset
CREATE ROLE :"aside" LOGIN;
SET SESSION AUTHORIZATION :"aside";
SELECT seen();
RESET SESSION AUTHORIZATION;
SET client_min_messages = error;
DROP ROLE :"aside";
SET client_min_messages = warning;
-- a superuser can give it to somebody
SELECT actor_reassign(:'aside', 'regress_actor_bob');
SET SESSION AUTHORIZATION regress_actor_bob;
SELECT seen();

-- bob, who owns the schema now, may have the type
SELECT actor_register('ledger');
SELECT actor_invoke('ledger', '1', 'get');
SELECT seen();
SELECT actor_reassign('regress_actor_bob', 'regress_actor_bob') > 0 AS same;
RESET SESSION AUTHORIZATION;

-- a name that stands for nobody, given back to the role that has it
DROP OWNED BY regress_actor_alice;
DROP ROLE regress_actor_alice;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_delete_reminders('shared') > 0 AS deleted;
CREATE PROCEDURE shared._remind() LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set_reminder('shared', '1', 'given', '100h', data => '["given"]', method => 'run'); END $$;
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_actor_alice LOGIN;
SET SESSION AUTHORIZATION regress_actor_alice;
CALL shared._remind();
RESET SESSION AUTHORIZATION;
DROP ROLE regress_actor_alice;
CREATE ROLE regress_actor_alice LOGIN;
SET SESSION AUTHORIZATION regress_actor_alice;
SELECT seen();
RESET SESSION AUTHORIZATION;
SELECT actor_reassign('regress_actor_alice', 'regress_actor_alice') > 0 AS given;
SET SESSION AUTHORIZATION regress_actor_alice;
SELECT seen();
BEGIN;
SELECT actor_reassign('regress_actor_alice', 'regress_actor_alice') > 0 AS same;
ROLLBACK;
SELECT seen();
RESET SESSION AUTHORIZATION;

-- rows of another server: the name stands for who has it
BEGIN;
UPDATE actor.role SET system_identifier = 1, role_oid = 1 WHERE role_name = 'regress_actor_alice';
SET LOCAL SESSION AUTHORIZATION regress_actor_alice;
SELECT actor_reassign('regress_actor_alice', 'regress_actor_alice') > 0 AS same;
SELECT seen();
ROLLBACK;

SELECT actor_unregister('shared', true), actor_unregister('ledger', true);
DROP SCHEMA shared, ledger CASCADE;
DROP OWNED BY regress_actor_alice, regress_actor_bob;
DROP ROLE regress_actor_alice, regress_actor_bob;
DROP FUNCTION seen();
SELECT at_rest();
