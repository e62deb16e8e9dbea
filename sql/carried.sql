--
-- Settings of the application, which go along with messages, reminders and timers.
-- Everything is fired in transactions that are rolled back, so that no worker
-- ever sees it.
--
\set SHOW_CONTEXT never
CREATE ROLE regress_actor_tenant LOGIN;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_actor_tenant;
SET SESSION AUTHORIZATION regress_actor_tenant;
CREATE SCHEMA carried;
CREATE TABLE carried.log (n int GENERATED ALWAYS AS IDENTITY, what text, tenant text, list text);
CREATE FUNCTION carried.note() RETURNS void LANGUAGE sql AS $$
    INSERT INTO carried.log (what, tenant, list)
    VALUES (actor_id(), current_setting('app.tenant', true), current_setting('actor.carried_settings')) $$;
CREATE FUNCTION carried.pass_on() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM carried.note();
    PERFORM actor_send('carried', actor_id() || ' sent', 'note');
    PERFORM set_config('app.tenant', 'changed', true);
END $$;
CREATE FUNCTION carried.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no luck'; END $$;
CREATE FUNCTION carried.late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO carried.log (what, tenant) VALUES ('deferred', current_setting('app.tenant', true));
    RETURN NULL;
END $$;
CREATE TABLE carried.row (n int);
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON carried.row DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION carried.late();
CREATE FUNCTION carried.defer() RETURNS void LANGUAGE sql AS 'INSERT INTO carried.row VALUES (1)';
SELECT actor_register('carried');

-- the list has names with a dot, and none of ours
SET actor.carried_settings = 'app.tenant, "app.user"';
SHOW actor.carried_settings;
SET actor.carried_settings = 'role';
SET actor.carried_settings = 'app.tenant, search_path';
SET actor.carried_settings = 'Actor.enabled';
SET actor.carried_settings = 'app.tenant,, b.c';
SET actor.carried_settings = '"a,b.c"';
RESET actor.carried_settings;

-- what is kept, in each way of writing a row
CREATE FUNCTION carried.kept() RETURNS TABLE (what text, settings jsonb) LANGUAGE sql AS $$
    SELECT 'message ' || actor_id, settings FROM actor.message WHERE actor_type = 'carried'
    UNION ALL SELECT 'reminder ' || actor_id, settings FROM actor.reminder WHERE actor_type = 'carried'
    UNION ALL SELECT 'timer ' || actor_id, settings FROM actor.timer WHERE actor_type = 'carried'
    UNION ALL SELECT 'failure ' || actor_id, settings FROM actor.failure WHERE actor_type = 'carried'
    ORDER BY 1 $$;
BEGIN;
SET LOCAL app.tenant = 'blue';
SELECT actor_send('carried', 'off', 'note') > 0 AS sent;
SET LOCAL actor.carried_settings = 'app.tenant, app.unset';
SELECT actor_send('carried', 'm', 'pass_on') > 0 AS sent;
SELECT actor_set_reminder('carried', 'r', 'note', '1s');
SELECT actor_set_reminder('carried', 'replaced', 'note', '1s');
SELECT actor_set_timer('carried', 't', 'note', '2s');
SELECT actor_set_timer('carried', 'deferred', 'defer', '3s');
SET LOCAL app.tenant = 'it''s "green"';
SELECT actor_set_reminder('carried', 'replaced', 'note', '4s');
SET LOCAL app.tenant = '';
SELECT actor_send('carried', 'empty', 'note') > 0 AS sent;
SELECT * FROM carried.kept();
-- the callback has them, and passes them on; here nothing is left of them
SET LOCAL app.tenant = 'mine';
SET LOCAL actor.carried_settings = 'app.other';
SELECT actor_run_due(now() + interval '1 min');
SELECT what, tenant, list FROM carried.log ORDER BY n;
SHOW app.tenant;
SHOW actor.carried_settings;
ROLLBACK;

-- a call that was given up has them when it is made once more
BEGIN;
SET LOCAL app.tenant = 'blue';
SET LOCAL actor.carried_settings = 'app.tenant';
SELECT actor_send('carried', 'm', 'fail', failure_policy => '{"drop": {}}') > 0 AS sent;
SELECT actor_set_reminder('carried', 'r', 'fail', '0s', failure_policy => '{"drop": {}}');
RESET app.tenant;
RESET actor.carried_settings;
SET LOCAL client_min_messages = error;
SELECT actor_run_due();
SELECT * FROM carried.kept();
SELECT count(actor_retry(failure_id)) FROM actor.failure WHERE actor_type = 'carried';
SELECT * FROM carried.kept();
ROLLBACK;

-- a value that is too long
BEGIN;
SET LOCAL actor.carried_settings = 'app.tenant';
SELECT set_config('app.tenant', repeat('x', 1025), true) IS NOT NULL AS set;
SELECT actor_send('carried', 'm', 'note');
ROLLBACK;

-- what the role of the callback may not set is an error of the callback, and what
-- cannot be carried is left out, whatever is in the row
RESET SESSION AUTHORIZATION;
SELECT name FROM pg_settings WHERE name = 'plpgsql.variable_conflict';
BEGIN;
SET LOCAL SESSION AUTHORIZATION regress_actor_tenant;
SET LOCAL app.tenant = 'blue';
SET LOCAL actor.carried_settings = 'app.tenant';
SELECT actor_send('carried', 'a', 'note', failure_policy => '{"drop": {}}') > 0 AS sent;
SELECT actor_send('carried', 'b', 'note') > 0 AS sent;
RESET SESSION AUTHORIZATION;
UPDATE actor.message SET settings = '{"plpgsql.variable_conflict": "use_column"}' WHERE actor_id = 'a';
UPDATE actor.message SET settings = '{"role": "pg_monitor", "actor.enabled": "x", "a": 1, "app.tenant": "kept"}'
 WHERE actor_id = 'b';
SET LOCAL SESSION AUTHORIZATION regress_actor_tenant;
SET LOCAL client_min_messages = error;
RESET actor.carried_settings;
SELECT actor_run_due();
SELECT what, tenant, list FROM carried.log ORDER BY n;
SELECT sqlstate, message FROM actor.failure WHERE actor_type = 'carried';
ROLLBACK;

DROP SCHEMA carried CASCADE;
SELECT actor_unregister('carried', force => true);
REVOKE CREATE ON DATABASE :"DBNAME" FROM regress_actor_tenant;
DROP ROLE regress_actor_tenant;
