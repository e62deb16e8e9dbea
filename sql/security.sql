--
-- Who may do and see what: every function, table and view of the extension by
-- every kind of role.  What is new must be entered here, or this file fails.
--
SET client_min_messages = warning;
CREATE ROLE regress_actor_monitor LOGIN IN ROLE pg_monitor;
CREATE ROLE regress_actor_super LOGIN SUPERUSER;

SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA bank;
SELECT actor_register('bank', reentrancy => true);
CREATE FUNCTION bank.put(key text, value jsonb) RETURNS void LANGUAGE sql AS $$ SELECT actor_set(key, value) $$;
CREATE FUNCTION bank.touch() RETURNS int LANGUAGE sql AS $$ SELECT actor_set('touched', 1); SELECT 1 $$;
CREATE FUNCTION bank.peek(key text) RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_get(key) $$;
CREATE FUNCTION bank.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'failed'; END $$;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA bank FROM PUBLIC;
GRANT USAGE ON SCHEMA bank TO regress_actor_granted;
GRANT EXECUTE ON FUNCTION bank.touch(), bank.peek(text), bank.fail() TO regress_actor_granted;

-- the data: one of each kind by the owner of the type, and by the caller what
-- a caller can leave
SELECT actor_invoke('bank', '1', 'put', '["gold", 100]', request_id => 'owner');
SELECT actor_set_reminder('bank', '1', 'by owner', '100h', method => 'touch', data => '{}');
SELECT actor_set_timer('bank', '1', 'by owner', '100h', method => 'touch', data => '{}');
SELECT actor_set_reminder('bank', 'f', 'owner fails', method => 'fail', failure_policy => '{"drop": {}}');
SELECT actor_pause('bank', 'paused');
SELECT actor_subscribe('t', 'bank', 'o', 'touch', 'bank');
SELECT actor_keep_events('bank', 'kept', '1 day');
SELECT actor_publish('kept', '1', 'bank');
SET SESSION AUTHORIZATION regress_actor_granted;
SELECT actor_invoke('bank', '1', 'touch', request_id => 'granted');
SELECT actor_set_reminder('bank', '1', 'by granted', '100h', method => 'touch', data => '{}');
SELECT actor_set_timer('bank', '1', 'by granted', '100h', method => 'touch', data => '{}');
SELECT actor_subscribe('t', 'bank', 'g', 'touch', 'bank');
SELECT actor_set_reminder('bank', 'f', 'granted fails', method => 'fail', failure_policy => '{"drop": {}}');
RESET SESSION AUTHORIZATION;
DO $$
BEGIN
    IF to_regclass('actor.message') IS NOT NULL THEN
        SET LOCAL SESSION AUTHORIZATION regress_actor_owner;
        PERFORM actor_send('bank', '1', 'touch', due_time => '100h');
        SET LOCAL SESSION AUTHORIZATION regress_actor_granted;
        PERFORM actor_send('bank', '1', 'touch', due_time => '100h');
    END IF;
END
$$;
CALL wait_until($$SELECT count(*) = 2 FROM actor.failure WHERE actor_type = 'bank'$$);

INSERT INTO actor.history (actor_type, actor_id, kind, ran_as, started_at, duration_ms, expires_at)
VALUES ('bank', '1', 'call', 'regress_actor_granted', now(), 1, now() + interval '1 day');
INSERT INTO actor.history_change (actor_type, actor_id, history_id, turn, key, changed_at)
SELECT actor_type, actor_id, history_id, 1, 'gold', now() FROM actor.history;

-- what a probe needs to know, whoever makes it
CREATE FUNCTION failure_of(role name) RETURNS bigint STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp LANGUAGE sql
AS $$ SELECT failure_id FROM actor.failure WHERE actor_type = 'bank' AND role_name = role $$;
CREATE FUNCTION message_of(role name) RETURNS bigint STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp LANGUAGE plpgsql
AS $$ BEGIN RETURN (SELECT message_id FROM actor.message WHERE actor_type = 'bank' AND role_name = role); END $$;

CREATE FUNCTION each_of_super() RETURNS uuid SECURITY DEFINER LANGUAGE sql
AS $$ SELECT actor_each('bank', 'touch') $$;
INSERT INTO actor.each (actor_type, each_id, method, batch, role_name, started_at, sent, finished_at)
VALUES ('bank', gen_random_uuid(), 'touch', 1, 'regress_actor_owner', now(), 1, now());

-- the result of a statement made by a role, or the SQLSTATE, without the effect
CREATE FUNCTION probe(role name, statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', role);
    BEGIN
        EXECUTE statement INTO result;
        RAISE EXCEPTION USING ERRCODE = 'UNDO1';
    EXCEPTION
        WHEN SQLSTATE 'UNDO1' THEN result := coalesce(result, 'null');
        WHEN OTHERS THEN result := SQLSTATE;
    END;
    RESET SESSION AUTHORIZATION;
    RETURN result;
END
$$;

-- the same, with the text of the error
CREATE FUNCTION probe_text(role name, statement text) RETURNS text LANGUAGE plpgsql
AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', role);
    BEGIN
        EXECUTE statement INTO result;
        RAISE EXCEPTION USING ERRCODE = 'UNDO1';
    EXCEPTION
        WHEN SQLSTATE 'UNDO1' THEN NULL;
        WHEN OTHERS THEN result := SQLSTATE || SQLERRM;
    END;
    RESET SESSION AUTHORIZATION;
    RETURN result;
END
$$;

--
-- Functions.  42501: no right; 55000: only in a method.
--
CREATE TABLE function_matrix (function text, statement text, owner text, granted text, stranger text, monitor text, super text);
INSERT INTO function_matrix VALUES
-- types
('actor_register(text,name,interval,interval,boolean,integer,interval,interval,boolean,integer,boolean,boolean,text,text,interval)', $$actor_register('bank')$$, '', '42501', '42501', '42501', ''),
('actor_unregister(text,boolean)', $$actor_unregister('bank', true)$$, '', '42501', '42501', '42501', ''),
('actor_unregister(text,boolean)', $$actor_unregister('bank')$$, '2BP01', '42501', '42501', '42501', '2BP01'),
('actor_rename(text,text)', $$actor_rename('bank', 'renamed')$$, '', '42501', '42501', '42501', ''),
('actor_configure(jsonb,boolean,text)', $$actor_configure('{"entities": ["bank"]}')$$, '', '42501', '42501', '42501', ''),
-- calls
('actor_invoke(text,text,text,jsonb,uuid,text)', $$actor_invoke('bank', '1', 'peek', '["gold"]')$$, '100', '100', '42501', '42501', '100'),
('actor_invoke(text,text,text,jsonb,uuid,text)', $$actor_invoke('bank', '1', 'put', '["gold", 1]')$$, 'null', '42501', '42501', '42501', 'null'),
('actor_invoke(text,text,text,jsonb,uuid,text)', $$actor_invoke('bank', '1', 'touch')$$, '1', '1', '42501', '42501', '1'),
('actor_invoke(text,text,text,jsonb,uuid,text)', $$actor_invoke('bank', '1', 'no_such')$$, '42883', '42883', '42501', '42501', '42883'),
('actor_invoke(text,text,text,jsonb,uuid,text)', $$actor_invoke('bank', '1', 'touch', request_id => 'granted')$$, '22023', '1', '42501', '42501', '22023'),
('actor_invoke(text,text,text,jsonb,uuid,text)', $$actor_invoke('bank', '1', 'put', '["gold", 100]', request_id => 'owner')$$, 'null', '42501', '42501', '42501', '22023'),
('actor_send(text,text,text,jsonb,text,text,jsonb)', $$actor_send('bank', '1', 'touch', due_time => '100h') IS NOT NULL$$, 'true', 'true', '42501', '42501', 'true'),
('actor_send(text,text,text,jsonb,timestamp with time zone,text,jsonb)', $$actor_send('bank', '1', 'touch', NULL, now() + '100h') IS NOT NULL$$, 'true', 'true', '42501', '42501', 'true'),
('actor_send(text,text,text,jsonb,interval,text,jsonb)', $$actor_send('bank', '1', 'touch', NULL, interval '100h') IS NOT NULL$$, 'true', 'true', '42501', '42501', 'true'),
('actor_send(text,text,text,jsonb,text,text,jsonb)', $$actor_send('bank', '1', 'put', '["gold", 1]', '100h') IS NOT NULL$$, 'true', '42501', '42501', '42501', 'true'),
('actor_cancel_message(text,text,bigint)', $$actor_cancel_message('bank', '1', message_of('regress_actor_owner'))$$, 'true', '42501', '42501', '42501', 'true'),
('actor_cancel_message(text,text,bigint)', $$actor_cancel_message('bank', '1', message_of('regress_actor_granted'))$$, 'true', 'true', '42501', '42501', 'true'),
('actor_explain(text,text,text,jsonb)', $$actor_explain('bank', '1', 'peek', '["gold"]') -> 'result'$$, '100', '100', 'null', 'null', '100'),
('actor_explain(text,text,text,jsonb)', $$actor_explain('bank', '1', 'put', '["gold", 1]') #> '{error,sqlstate}'$$, 'null', '"42501"', '"42501"', '"42501"', 'null'),
-- the running frame
('actor_type()', 'actor_type()', 'null', 'null', 'null', 'null', 'null'),
('actor_id()', 'actor_id()', 'null', 'null', 'null', 'null', 'null'),
('actor_method()', 'actor_method()', 'null', 'null', 'null', 'null', 'null'),
('actor_reentrancy_id()', 'actor_reentrancy_id()', 'null', 'null', 'null', 'null', 'null'),
('actor_call_chain()', 'count(*) FROM actor_call_chain()', '0', '0', '0', '0', '0'),
('actor_cause()', 'actor_cause()', 'null', 'null', 'null', 'null', 'null'),
('actor_get(text)', $$actor_get('gold')$$, '55000', '55000', '55000', '55000', '55000'),
('actor_get(text,anyelement)', $$actor_get('gold', 1)$$, '55000', '55000', '55000', '55000', '55000'),
('actor_get(text,text)', $$actor_get('gold', 'x')$$, '55000', '55000', '55000', '55000', '55000'),
('actor_set(text,anyelement,interval)', $$actor_set('gold', 1)$$, '55000', '55000', '55000', '55000', '55000'),
('actor_get(text,"char")', $$actor_get('gold', 'x'::"char")$$, '55000', '55000', '55000', '55000', '55000'),
('actor_set(text,"char",interval)', $$actor_set('gold', 'x'::"char")$$, '55000', '55000', '55000', '55000', '55000'),
('actor_set(text,text,interval)', $$actor_set('gold', 'x')$$, '55000', '55000', '55000', '55000', '55000'),
('actor_remove(text)', $$actor_remove('gold')$$, '55000', '55000', '55000', '55000', '55000'),
('actor_state()', 'actor_state()', '55000', '55000', '55000', '55000', '55000'),
('actor_transact(jsonb)', $$actor_transact('[]')$$, '55000', '55000', '55000', '55000', '55000'),
('actor_transact(text,text,jsonb,uuid)', $$actor_transact('bank', '1', '[]')$$, '', '42501', '42501', '42501', ''),
('actor_history(text,text,integer)', $$count(*) FROM actor_history('bank', 'none')$$, '0', '42501', '42501', '42501', '0'),
('actor_state_at(text,text,timestamp with time zone)', $$actor_state_at('bank', 'none', now())$$, '55000', '42501', '42501', '42501', '55000'),
('actor_get_state(text,text,text)', $$(actor_get_state('bank', '1', 'gold')).value$$, '100', '42501', '42501', '42501', '100'),
-- life
('actor_deactivate(text,text)', $$actor_deactivate('bank', '1')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_delete(text,text)', $$actor_delete('bank', '1')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_distribute(integer)', $$actor_distribute(8)$$, '42501', '42501', '42501', '42501', '55000'),
('actor_rebalance()', 'actor_rebalance()', '42501', '42501', '42501', '42501', '55000'),
('actor_pause(text,text)', $$actor_pause('bank', '1')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_pause(text,text)', $$actor_pause('bank')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_resume(text,text)', $$actor_resume('bank', 'paused')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_open_turn(text,text,interval)', $$actor_open_turn('bank', '1') IS NOT NULL$$, 'true', 'true', '42501', '42501', 'true'),
-- (whoever has the id may close)
('actor_close_turn(text,text,uuid)', $$actor_close_turn('bank', '1', gen_random_uuid())$$, 'false', 'false', 'false', 'false', 'false'),
('actor_close_turn(text,text,uuid)', $$actor_close_turn('bank', '1', NULL)$$, 'false', '42501', '42501', '42501', 'false'),
-- reminders and timers
('actor_set_reminder(text,text,text,text,text,text,jsonb,text,jsonb,text,boolean)', $$actor_set_reminder('bank', '1', 'touch', '100h')$$, '', '', '42501', '42501', ''),
('actor_set_reminder(text,text,text,text,text,text,jsonb,text,jsonb,text,boolean)', $$actor_set_reminder('bank', '1', 'put', '100h', data => '["gold", 1]')$$, '', '42501', '42501', '42501', ''),
('actor_set_reminder(text,text,text,text,text,text,jsonb,text,jsonb,text,boolean)', $$actor_set_reminder('bank', '1', 'by owner', '100h', method => 'touch')$$, '', '42501', '42501', '42501', ''),
('actor_set_reminder(text,text,text,timestamp with time zone,interval,interval,jsonb,text,jsonb,text,boolean,integer)', $$actor_set_reminder('bank', '1', 'touch', now() + '1 day')$$, '', '', '42501', '42501', ''),
('actor_set_reminder(text,text,text,interval,interval,interval,jsonb,text,jsonb,text,boolean,integer)', $$actor_set_reminder('bank', '1', 'touch', interval '1 day')$$, '', '', '42501', '42501', ''),
('actor_set_reminder(text,text,text,text,interval,interval,jsonb,text,jsonb,text,boolean,integer)', $$actor_set_reminder('bank', '1', 'touch', '100h', interval '1 day')$$, '', '', '42501', '42501', ''),
('actor_get_reminder(text,text,text)', $$actor_get_reminder('bank', '1', 'by owner') ->> 'data'$$, '{}', '42501', '42501', '42501', '{}'),
('actor_get_reminder(text,text,text)', $$actor_get_reminder('bank', '1', 'by granted') ->> 'data'$$, '{}', '{}', '42501', '42501', '{}'),
('actor_delete_reminder(text,text,text)', $$actor_delete_reminder('bank', '1', 'by owner')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_delete_reminder(text,text,text)', $$actor_delete_reminder('bank', '1', 'by granted')$$, 'true', 'true', '42501', '42501', 'true'),
('actor_delete_reminders(text,text)', $$actor_delete_reminders('bank', '1')$$, '2', '42501', '42501', '42501', '2'),
('actor_delete_reminders(text,text)', $$actor_delete_reminders('bank')$$, '2', '42501', '42501', '42501', '2'),
('actor_set_timer(text,text,text,text,text,text,jsonb,text,boolean)', $$actor_set_timer('bank', '1', 'touch', '100h')$$, '', '', '42501', '42501', ''),
('actor_set_timer(text,text,text,text,text,text,jsonb,text,boolean)', $$actor_set_timer('bank', '1', 'put', '100h', data => '["gold", 1]')$$, '', '42501', '42501', '42501', ''),
('actor_set_timer(text,text,text,text,text,text,jsonb,text,boolean)', $$actor_set_timer('bank', '1', 'by owner', '100h', method => 'touch')$$, '', '42501', '42501', '42501', ''),
('actor_set_timer(text,text,text,timestamp with time zone,interval,interval,jsonb,text,boolean,integer)', $$actor_set_timer('bank', '1', 'touch', now() + '1 day')$$, '', '', '42501', '42501', ''),
('actor_set_timer(text,text,text,interval,interval,interval,jsonb,text,boolean,integer)', $$actor_set_timer('bank', '1', 'touch', interval '1 day')$$, '', '', '42501', '42501', ''),
('actor_set_timer(text,text,text,text,interval,interval,jsonb,text,boolean,integer)', $$actor_set_timer('bank', '1', 'touch', '100h', interval '1 day')$$, '', '', '42501', '42501', ''),
('actor_get_timer(text,text,text)', $$actor_get_timer('bank', '1', 'by owner') ->> 'data'$$, '{}', '42501', '42501', '42501', '{}'),
('actor_get_timer(text,text,text)', $$actor_get_timer('bank', '1', 'by granted') ->> 'data'$$, '{}', '{}', '42501', '42501', '{}'),
('actor_delete_timer(text,text,text)', $$actor_delete_timer('bank', '1', 'by owner')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_delete_timer(text,text,text)', $$actor_delete_timer('bank', '1', 'by granted')$$, 'true', 'true', '42501', '42501', 'true'),
('actor_schedule_preview(text,text,text,integer,timestamp with time zone)', $$count(*) FROM actor_schedule_preview('1h', '1h', '')$$, '5', '5', '5', '5', '5'),
-- fires what is the caller's own, and nothing of that is due
('actor_run_due(timestamp with time zone)', 'actor_run_due()', '0', '0', '0', '0', '0'),
-- operators' verbs
('actor_retry(bigint)', $$actor_retry(failure_of('regress_actor_owner'))$$, 'true', '42501', '42501', '42501', 'true'),
('actor_retry(bigint)', $$actor_retry(failure_of('regress_actor_granted'))$$, 'true', '42501', '42501', '42501', 'true'),
('actor_discard(bigint)', $$actor_discard(failure_of('regress_actor_granted'))$$, 'true', '42501', '42501', '42501', 'true'),
-- what there is not is refused to those who own nothing, as what there is
('actor_retry(bigint)', $$actor_retry(0)$$, 'false', '42501', '42501', '42501', 'false'),
('actor_discard(bigint)', $$actor_discard(0)$$, 'false', '42501', '42501', '42501', 'false'),
('actor_get_reminder(text,text,text)', $$actor_get_reminder('bank', '1', 'none')$$, 'null', 'null', '42501', '42501', 'null'),
('actor_get_timer(text,text,text)', $$actor_get_timer('bank', '1', 'none')$$, 'null', 'null', '42501', '42501', 'null'),
('actor_delete_reminder(text,text,text)', $$actor_delete_reminder('bank', '1', 'none')$$, 'false', 'false', '42501', '42501', 'false'),
('actor_delete_timer(text,text,text)', $$actor_delete_timer('bank', '1', 'none')$$, 'false', 'false', '42501', '42501', 'false'),
('actor_delete_reminders(text,text)', $$actor_delete_reminders('bank', 'none')$$, '0', '0', '42501', '42501', '0'),
('actor_cancel_message(text,text,bigint)', $$actor_cancel_message('bank', '1', 0)$$, 'false', 'false', '42501', '42501', 'false'),
('actor_openapi(text)', $$(SELECT count(*) > 0 FROM jsonb_object_keys(actor_openapi('bank') -> 'paths'))$$, 'true', 'true', 'false', 'false', 'true'),
('actor.is_method(oid)', $$actor.is_method('bank.touch'::regproc)$$, 'true', 'true', '42501', '42501', 'true'),
('actor.type_schema(text)', $$actor.type_schema('bank') IS NOT NULL$$, 'true', 'true', 'true', 'true', 'true'),
('actor.json_schema(oid)', $$actor.json_schema('int2'::regtype)$$, '{"type": "integer"}', '{"type": "integer"}', '{"type": "integer"}', '{"type": "integer"}', '{"type": "integer"}'),
('actor_promise(text,interval,jsonb)', $$actor_promise('touch')$$, '55000', '55000', '55000', '55000', '55000'),
('actor_each(text,text,jsonb,integer)', $$actor_each('bank', 'touch') IS NOT NULL$$, 'true', '42501', '42501', '42501', 'true'),
('actor_each_stop(uuid)', $$actor_each_stop(each_of_super())$$, 'true', '42501', '42501', '42501', 'true'),
('actor_resolve(uuid,jsonb)', $$actor_resolve(gen_random_uuid())$$, 'false', 'false', 'false', 'false', 'false'),
('actor_reject(uuid,jsonb)', $$actor_reject(gen_random_uuid())$$, 'false', 'false', 'false', 'false', 'false'),
('actor_result(text,text,text)', $$(actor_result('bank', '1', 'none')).state$$, 'null', 'null', '42501', '42501', 'null'),
('actor_result(text,text,text)', $$(actor_result('bank', '1', 'owner')).state$$, 'done', '42501', '42501', '42501', 'done'),
('actor_result(text,text,text)', $$(actor_result('bank', '1', 'granted')).state$$, 'done', 'done', '42501', '42501', 'done'),
('actor_wait(text,text,text,interval)', $$(actor_wait('bank', '1', 'none')).state$$, 'null', 'null', '42501', '42501', 'null'),
('actor_wait(text,text,text,interval)', $$(actor_wait('bank', '1', 'owner')).state$$, 'done', '42501', '42501', '42501', 'done'),
('actor_wait(text,text,text,interval)', $$(actor_wait('bank', '1', 'granted')).state$$, 'done', 'done', '42501', '42501', 'done'),
-- topics
('actor_subscribe(text,text,text,text,text,text,jsonb)', $$actor_subscribe('u', 'bank', '1', 'touch', 'bank')$$, 'true', 'true', '42501', '42501', 'true'),
('actor_subscribe(text,text,text,text,text,text,jsonb)', $$actor_subscribe('u', 'bank', '1', 'put', 'bank')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_subscribe(text,text,text,text,text,text,jsonb)', $$actor_subscribe('t', 'bank', 'o', 'touch', 'bank')$$, 'false', '42501', '42501', '42501', 'false'),
('actor_subscribe(text,text,text,text,text,text,jsonb)', $$actor_subscribe('t', 'bank', 'g', 'touch', 'bank')$$, 'false', 'false', '42501', '42501', 'false'),
('actor_unsubscribe(text,text,text,text,text)', $$actor_unsubscribe('t', 'bank', 'o', 'bank')$$, 'true', '42501', '42501', '42501', 'true'),
('actor_unsubscribe(text,text,text,text,text)', $$actor_unsubscribe('t', 'bank', 'g', 'bank')$$, 'true', 'true', '42501', '42501', 'true'),
('actor_unsubscribe(text,text,text,text,text)', $$actor_unsubscribe('t', 'bank', 'none', 'bank')$$, 'false', 'false', '42501', '42501', 'false'),
('actor_publish(text,jsonb,text,text)', $$actor_publish('t', NULL, 'bank')$$, 'null', '42501', '42501', '42501', 'null'),
('actor_publish(text,jsonb,text,text)', $$actor_publish('kept', NULL, 'bank')$$, '2', '42501', '42501', '42501', '2'),
('actor_keep_events(text,text,interval)', $$actor_keep_events('bank', 't', '1 day')$$, '', '42501', '42501', '42501', ''),
('actor_events(text,text,text,bigint,integer)', $$payload FROM actor_events('kept', 'bank')$$, '1', '1', '42501', '42501', '1'),
('actor.event_source(text,text,text)', $$(actor.event_source('kept', 'bank')).last_event$$, '1', '1', '42501', '42501', '1'),
('actor_reassign(name,name)', $$actor_reassign('regress_actor_granted', 'regress_actor_owner') > 0$$, '42501', '42501', '42501', '42501', 'true'),
('actor_reassign(name,name)', $$actor_reassign('regress_actor_granted', 'regress_actor_super') > 0$$, '42501', '42501', '42501', '42501', 'true'),
-- policies
('actor.owns_type(text)', $$actor.owns_type('bank')$$, 'true', 'false', 'false', 'false', 'true'),
('actor.owns_type(text)', $$actor.owns_type('no such type')$$, 'false', 'false', 'false', 'false', 'false'),
('actor.holds_role(name)', $$actor.holds_role('regress_actor_granted')$$, 'false', 'true', 'false', 'false', 'true'),
('actor.holds_role(name)', $$actor.holds_role('no such role')$$, 'false', 'false', 'false', 'false', 'true'),
-- hosts: the type is not hosted, and there is no such host (55000)
('actor.host_join(uuid,text,text,text,text[])', $$actor.host_join(gen_random_uuid(), 'app', 'there', 'here', '{bank}')$$, '55000', '42501', '42501', '42501', '55000'),
('actor.host_leave(uuid)', 'actor.host_leave(gen_random_uuid())', '42501', '42501', '42501', '42501', '42501'),
('actor.host_report(uuid,boolean)', 'actor.host_report(gen_random_uuid(), true)', '42501', '42501', '42501', '42501', '42501'),
('actor.host_is_alive(uuid)', 'actor.host_is_alive(gen_random_uuid())', 'false', 'false', 'false', 'false', 'false'),
('actor.host_left_behind(uuid)', 'actor.host_left_behind(gen_random_uuid())', '42501', '42501', '42501', '42501', '42501'),
('actor.host_moving(uuid)', 'actor.host_moving(gen_random_uuid())', '42501', '42501', '42501', '42501', '42501'),
('actor.host_forget_all(uuid)', 'actor.host_forget_all(gen_random_uuid())', '42501', '42501', '42501', '42501', '42501'),
('actor.host_secret(text)', $$length(actor.host_secret('bank'))$$, '64', 'null', 'null', 'null', '64'),
('actor.host_may_call(text,text)', $$actor.host_may_call('bank', 'touch')$$, 'function', 'function', '42501', '42501', 'function'),
('actor.host_place(uuid,text,text)', $$actor.host_place(gen_random_uuid(), 'bank', '1')$$, '25001', '42501', '42501', '42501', '25001'),
('actor.host_enter(uuid,text,text,text,uuid,uuid,text,bytea,name)', $$actor.host_enter(gen_random_uuid(), 'bank', '1', 'touch')$$, '55000', '42501', '42501', '42501', '55000'),
('actor.host_enter_to_end(uuid,text,text,boolean)', $$actor.host_enter_to_end(gen_random_uuid(), 'bank', '1')$$, '55000', '42501', '42501', '42501', '55000'),
('actor.host_claim(uuid,uuid,jsonb)', $$actor.host_claim(gen_random_uuid(), NULL, '{"kind": "timer", "actor_type": "bank", "actor_id": "1", "name": "by owner", "generation": 1, "scheduled_at": 1, "next_try_at": 1, "attempt": 1, "role_name": "x"}')$$, '55000', '42501', '42501', '42501', '55000'),
-- (a procedure, which EXECUTE in a function cannot call as it has to be)
('actor.host_wait(uuid,timestamp with time zone,bigint[],integer,jsonb)', '1', '1', '1', '1', '1', '1'),
-- (frames are of the caller's own transaction)
('actor.host_fired(integer)', 'actor.host_fired(1)', '55000', '55000', '55000', '55000', '55000'),
('actor.host_failed(integer,text,text,text)', 'actor.host_failed(1)', '55000', '55000', '55000', '55000', '55000'),
('actor.host_exit(integer,integer,text,jsonb,bytea,boolean)', 'actor.host_exit(1)', '55000', '55000', '55000', '55000', '55000'),
('actor.host_end(integer)', 'actor.host_end(1)', '55000', '55000', '55000', '55000', '55000'),
-- the caller's own session
('actor.clean_session()', 'actor.clean_session()', '', '', '', '', ''),
('actor.keep_session_clean()', 'actor.keep_session_clean()', '25001', '25001', '25001', '25001', '25001'),
-- watching
('actor_doctor()', 'count(*) > 0 FROM actor_doctor()', '42501', '42501', '42501', 'true', 'true'),
('actor_metrics()', 'actor_metrics() <> ''''', '42501', '42501', '42501', 'true', 'true'),
('actor_find(text,text,text,integer)', $$count(*) FROM actor_find('bank')$$, '5', '42501', '42501', '5', '5'),
('actor_due(timestamp with time zone,integer,timestamp with time zone,integer)', $$count(*) FROM actor_due('infinity', 100000) WHERE actor_type = 'bank'$$, '6', '3', '0', '6', '6'),
('actor_due_counts(interval,integer)', $$coalesce(sum(due), 0) >= 6 FROM actor_due_counts('200h', 1)$$, 'true', 'false', 'false', 'true', 'true'),
('actor.get_type_status()', $$count(*) FROM actor.get_type_status() WHERE actor_type = 'bank'$$, '1', '0', '0', '1', '1'),
('actor_stat_reset()', 'actor_stat_reset()', '42501', '42501', '42501', '42501', ''),
('actor.get_gauges(text)', 'count(*) > 0 FROM actor.get_gauges()', '42501', '42501', '42501', 'true', 'true'),
('actor.get_activations(text,text)', $$count(*) FROM actor.get_activations() WHERE actor_type = 'bank'$$, '1', '0', '0', '1', '1'),
('actor.get_timers(text,text)', $$count(*) FROM actor.get_timers() WHERE actor_type = 'bank'$$, '2', '1', '0', '2', '2'),
('actor.get_turns()', $$count(*) FROM actor.get_turns() WHERE actor_type = 'bank'$$, '0', '0', '0', '0', '0'),
('actor.get_hot_actors()', $$count(*) FROM actor.get_hot_actors() WHERE actor_type = 'bank'$$, '0', '0', '0', '0', '0'),
('actor.get_method_stats()', $$count(*) FROM actor.get_method_stats() WHERE actor_type = 'none'$$, '0', '0', '0', '0', '0'),
('actor.get_firing_stats()', $$count(*) FROM actor.get_firing_stats() WHERE actor_type = 'none'$$, '0', '0', '0', '0', '0'),
('actor.get_worker_stats()', 'count(*) >= 0 FROM actor.get_worker_stats()', 'true', 'true', 'true', 'true', 'true');

-- what the extension has and the matrix has not
SELECT p.oid::regprocedure AS not_in_the_matrix
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
   AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
   AND p.oid::regprocedure::text NOT IN (SELECT function FROM function_matrix)
 ORDER BY p.oid::regprocedure::text;
-- what is otherwise than it should be
SELECT statement, role, expected, result
  FROM function_matrix
 CROSS JOIN LATERAL (VALUES ('regress_actor_owner', owner), ('regress_actor_granted', granted), ('regress_actor_stranger', stranger),
                            ('regress_actor_monitor', monitor), ('regress_actor_super', super)) AS r (role, expected)
 CROSS JOIN LATERAL probe(role, 'SELECT ' || statement) AS result
 WHERE to_regprocedure(function) IS NOT NULL AND result IS DISTINCT FROM expected
 ORDER BY statement, role;

--
-- Tables and views: the number of rows of the type that a role sees; and no
-- more than reading is granted to anybody.  All roles' own reminders, timers,
-- messages, requests and failures have a role_name, the rest is the owner's.
--
CREATE TABLE relation_matrix (relation text, owner text, granted text, stranger text, monitor text, super text);
INSERT INTO relation_matrix VALUES
('actor.type', '1', '1', '1', '1', '1'),
('actor.state', '2', '0', '0', '0', '2'),
('actor.activation', '1', '0', '0', '0', '1'),
('actor.reminder', '2', '1', '0', '0', '2'),
('actor.timer', '2', '1', '0', '0', '2'),
('actor.message', '2', '1', '0', '0', '2'),
('actor.outbox', '0', '0', '0', '0', '0'),
('actor.forwarded', '0', '0', '0', '0', '0'),
('actor.request', '2', '1', '0', '0', '2'),
('actor.promise', '0', '0', '0', '0', '0'),
('actor.each', '1', '0', '0', '0', '1'),
('actor.pause', '1', '0', '0', '1', '1'),
('actor.failure', '2', '1', '0', '0', '2'),
('actor.topic', '1', '0', '0', '1', '1'),
('actor.stream', '1', '0', '0', '0', '1'),
('actor.event', '1', '0', '0', '0', '1'),
('actor.subscription', '2', '1', '0', '0', '2'),
('actor.fan_out', '0', '0', '0', '0', '0'),
('actor.history', '1', '0', '0', '0', '1'),
('actor.history_change', '1', '0', '0', '0', '1'),
('actor.method', '4', '4', '4', '4', '4'),
('actor.owned_type', '1', '0', '0', '0', '1'),
('actor.role', '42703', '42703', '42703', '42703', '42703'),
('actor.owned_role', '42703', '42703', '42703', '42703', '42703'),
('actor.instance', '1', '0', '0', '1', '1'),
('actor.queue', '1', '0', '0', '1', '1'),
('actor.type_status', '1', '0', '0', '1', '1'),
('actor.pending', '6', '3', '0', '6', '6'),
('actor.given_up', '2', '1', '0', '2', '2'),
('actor.each_status', '1', '0', '0', '1', '1'),
('actor.fan_out_status', '0', '0', '0', '0', '0'),
('actor.turn', '0', '0', '0', '0', '0'),
('actor.hot_actor', '0', '0', '0', '0', '0'),
('actor.method_stat', '1', '0', '0', '1', '1'),
('actor.worker', '42703', '42703', '42703', '42703', '42703'),
('actor.host', '42703', '42703', '42703', '42703', '42703'),
('actor.host_status', '42703', '42703', '42703', '42703', '42703'),
('actor.placement', '0', '0', '0', '0', '0'),
('actor.leftover', '0', '0', '0', '0', '0'),
('actor.secret', '42703', '42703', '42703', '42703', '42703');
-- one method has been called
SELECT actor_stat_reset();
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_invoke('bank', '1', 'peek', '["gold"]');
RESET SESSION AUTHORIZATION;
SELECT c.oid::regclass AS not_in_the_matrix
  FROM pg_class c
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND c.oid::regclass::text NOT IN (SELECT relation FROM relation_matrix)
 ORDER BY 1;
SELECT relation, role, expected, result
  FROM relation_matrix
 CROSS JOIN LATERAL (VALUES ('regress_actor_owner', owner), ('regress_actor_granted', granted), ('regress_actor_stranger', stranger),
                            ('regress_actor_monitor', monitor), ('regress_actor_super', super)) AS r (role, expected)
 CROSS JOIN LATERAL probe(role, format($$SELECT count(*) FROM %s WHERE actor_type = 'bank'$$, relation)) AS result
 WHERE to_regclass(relation) IS NOT NULL AND result IS DISTINCT FROM expected
 ORDER BY relation, role;
SELECT role, probe(role, $$SELECT string_agg(role_name, ' ' ORDER BY role_name) FROM actor.owned_role WHERE role_name ~ '^regress_actor_(owner|granted|stranger|monitor)$|^pg_monitor$'$$) AS owned_roles
  FROM unnest(ARRAY['regress_actor_owner', 'regress_actor_granted', 'regress_actor_stranger', 'regress_actor_monitor']) AS role;
-- (which is there for pg_dump, and shows nobody a row)
SELECT role, probe(role, 'SELECT count(*) FROM actor.secret') AS secrets
  FROM unnest(ARRAY['regress_actor_owner', 'regress_actor_stranger', 'regress_actor_monitor']) AS role;
-- (the owner of the extension aside)
SELECT c.oid::regclass AS relation, a.grantee::regrole, a.privilege_type, a.is_grantable
  FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.relnamespace = 'actor'::regnamespace AND a.grantee <> c.relowner
   AND (a.grantee <> CASE c.relkind WHEN 'S' THEN 'pg_database_owner'::regrole::oid ELSE 0 END
        OR a.privilege_type <> 'SELECT' OR a.is_grantable)
 ORDER BY 1, 2, 3;
SELECT a.grantee::regrole, a.privilege_type FROM pg_namespace n, aclexplode(n.nspacl) a WHERE n.nspname = 'actor' AND a.grantee <> n.nspowner;
-- tables without row-level security, or with a policy for more than reading;
-- views without a barrier
SELECT c.oid::regclass FROM pg_class c
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity;
SELECT polrelid::regclass, polname, polcmd FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
 WHERE c.relnamespace = 'actor'::regnamespace AND polcmd <> 'r';
SELECT c.oid::regclass FROM pg_class c
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'v' AND NOT coalesce('security_barrier=true' = ANY (c.reloptions), false);
-- columns that could show somebody's data where row-level security does not
-- apply: in views
SELECT attrelid::regclass, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('v', 'm') AND attnum > 0
   AND (atttypid IN ('json'::regtype, 'jsonb'::regtype, 'bytea'::regtype, 'uuid'::regtype)
        OR attname ~ 'payload|value|data$|reentrancy|message$|result|detail|context|last_error')
   -- (it has what the catalog shows to everybody)
   AND relname <> 'method'
   -- (an id that entitles to nothing)
   AND NOT (relname = 'each_status' AND attname = 'each_id');
-- nothing that stops pg_upgrade, nothing that runs as somebody else
SELECT attrelid::regclass, attname, atttypid::regtype FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
 WHERE c.relnamespace = 'actor'::regnamespace
   AND atttypid IN ('regproc'::regtype, 'regprocedure'::regtype, 'regoper'::regtype, 'regoperator'::regtype, 'regconfig'::regtype,
                    'regdictionary'::regtype, 'regnamespace'::regtype, 'regcollation'::regtype);
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
   AND (p.prosecdef OR p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c'));
SELECT tgrelid::regclass, tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace = 'actor'::regnamespace;

--
-- Nobody learns from an answer what there is.  The owner of another type is told
-- no more than that it is not his.
--
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE SCHEMA probing;
SELECT actor_register('probing');
RESET SESSION AUTHORIZATION;
SELECT what, probe_text(role, format('SELECT %s', replace(call, '?', there))) IS NOT DISTINCT FROM
             probe_text(role, format('SELECT %s', replace(call, '?', missing))) AS same, role
  FROM (VALUES ('retry', 'actor_retry(?)', failure_of('regress_actor_owner')::text, '0'),
               ('discard', 'actor_discard(?)', failure_of('regress_actor_owner')::text, '0'),
               ('get reminder', $$actor_get_reminder('bank', '1', '?')$$, 'by owner', 'none'),
               ('delete reminder', $$actor_delete_reminder('bank', '1', '?')$$, 'by owner', 'none'),
               ('get timer', $$actor_get_timer('bank', '1', '?')$$, 'by owner', 'none'),
               ('delete timer', $$actor_delete_timer('bank', '1', '?')$$, 'by owner', 'none'),
               ('delete reminders', $$actor_delete_reminders('bank', '?')$$, '1', 'none'),
               ('result', $$actor_result('bank', '1', '?')$$, 'owner', 'none'),
               ('wait', $$actor_wait('bank', '1', '?')$$, 'owner', 'none'),
               ('unsubscribe', $$actor_unsubscribe('t', 'bank', '?', 'bank')$$, 'o', 'none'),
               ('cancel message', $$actor_cancel_message('bank', '1', ?)$$, message_of('regress_actor_owner')::text, '0')) AS p (what, call, there, missing),
       unnest(ARRAY['regress_actor_stranger', 'regress_actor_monitor']) AS role
 ORDER BY role, what;
DROP FUNCTION probe_text(name, text);
SELECT actor_unregister('probing', true);
DROP SCHEMA probing;

--
-- Roles that are members of others: rights are inherited, or they are not
--
CREATE ROLE regress_actor_heir LOGIN INHERIT IN ROLE regress_actor_owner;
CREATE ROLE regress_actor_poor LOGIN NOINHERIT IN ROLE regress_actor_owner;
SELECT role, statement, probe(role, statement)
  FROM unnest(ARRAY['regress_actor_heir', 'regress_actor_poor']) AS role,
       unnest(ARRAY['SELECT count(*) FROM actor.state', $$SELECT actor_invoke('bank', '1', 'peek', '["gold"]')$$,
                    $$SELECT actor_delete('bank', '1')$$, $$SELECT actor_register('bank')$$,
                    $$SELECT actor_get_reminder('bank', '1', 'by owner') ->> 'data'$$,
                    $$SELECT actor_reassign('regress_actor_owner', 'regress_actor_heir') > 0$$]) AS statement
 ORDER BY statement, role;

--
-- What roles could do that have more rights than the extension grants: whoever
-- may write all tables, a role that default privileges favour, and one that has
-- been granted what only owners should have.
--
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE FUNCTION bank._spring() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'trigger runs as %', current_user USING ERRCODE = 'HIDEY'; END $$;
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_actor_writer LOGIN IN ROLE pg_write_all_data, pg_read_all_data;
GRANT USAGE ON SCHEMA bank TO regress_actor_writer;
GRANT EXECUTE ON FUNCTION bank._spring() TO regress_actor_writer;
CREATE SCHEMA regress_actor_foreign AUTHORIZATION regress_actor_writer;
SELECT pattern, string_agg(DISTINCT probe('regress_actor_writer', format(pattern, c.relname)), ' ') AS results
  FROM pg_class c,
       unnest(ARRAY['WITH w AS (INSERT INTO actor.%I DEFAULT VALUES RETURNING 1) SELECT count(*) FROM w',
                    'WITH w AS (UPDATE actor.%I SET actor_type = actor_type RETURNING 1) SELECT count(*) FROM w',
                    'WITH w AS (DELETE FROM actor.%I RETURNING 1) SELECT count(*) FROM w',
                    'TRUNCATE actor.%I',
                    'CREATE TRIGGER t BEFORE INSERT OR UPDATE OR DELETE ON actor.%I FOR EACH ROW EXECUTE FUNCTION bank._spring()',
                    'CREATE TABLE regress_actor_foreign.r (t text REFERENCES actor.%I)',
                    'CREATE RULE r AS ON INSERT TO actor.%I DO INSTEAD NOTHING',
                    'ALTER TABLE actor.%I DISABLE ROW LEVEL SECURITY']) AS pattern
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'r' AND c.relname NOT IN ('role', 'secret', 'host')
 GROUP BY pattern ORDER BY pattern;
SELECT probe(role, format('SELECT setval(%L, 1)', c.oid::regclass)) AS setval, probe(role, format('SELECT nextval(%L)', c.oid::regclass)) AS nextval,
       probe(role, format('SELECT last_value > 0 FROM %s', c.oid::regclass)) AS read, c.oid::regclass, role
  FROM pg_class c, unnest(ARRAY['regress_actor_owner', 'regress_actor_stranger', 'regress_actor_monitor']) AS role
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'S' ORDER BY 4, 5;

-- granted all the same, triggers are not fired but refused, by whatever way a
-- table is written; the doctor finds both
GRANT ALL ON ALL TABLES IN SCHEMA actor TO regress_actor_writer;
GRANT UPDATE (value) ON actor.state TO regress_actor_stranger;
SELECT check_name, regexp_replace(detail, ': .*', '') AS detail FROM actor_doctor() WHERE NOT ok AND check_name IN ('grants', 'triggers');
SET SESSION AUTHORIZATION regress_actor_writer;
CREATE FUNCTION regress_actor_foreign.spring() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'trigger runs as %', current_user USING ERRCODE = 'HIDEY'; END $$;
DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['type', 'role', 'state', 'reminder', 'timer', 'message', 'request', 'pause', 'activation']
    LOOP
        EXECUTE format('CREATE CONSTRAINT TRIGGER sprung AFTER INSERT OR UPDATE OR DELETE ON actor.%I DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION regress_actor_foreign.spring()', t);
    END LOOP;
END
$$;
-- a turn that is a row writes that first of all
RESET SESSION AUTHORIZATION;
SET actor.turn_lock = advisory;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT s, r.state, r.message
  FROM unnest(ARRAY[$$SELECT actor_invoke('bank', '1', 'put', '["gold", 1]')$$, $$SELECT actor_invoke('bank', 'new', 'put', '["gold", 1]')$$,
                    $$SELECT actor_set_reminder('bank', '1', 'touch', '100h')$$, $$SELECT actor_delete_reminder('bank', '1', 'by owner')$$,
                    $$SELECT actor_set_timer('bank', '1', 'touch', '100h')$$, $$SELECT actor_send('bank', '1', 'touch', due_time => '100h')$$,
                    $$SELECT actor_pause('bank', '1')$$, $$SELECT actor_register('bank')$$, $$SELECT actor_unregister('bank', true)$$]) AS s,
       LATERAL refusal(s) AS r ORDER BY 1;
SELECT detail, hint FROM refusal($$SELECT actor_pause('bank', '1')$$);
-- also for the superuser
RESET SESSION AUTHORIZATION;
SELECT state, message FROM refusal($$SELECT actor_pause('bank', '1')$$);
RESET actor.turn_lock;
SELECT count(*) FROM actor_doctor() WHERE check_name = 'triggers' AND NOT ok;
-- one of a superuser is his own affair, and one that is gone no reason
DO $$
DECLARE
    t text;
BEGIN
    FOR t IN SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname = 'sprung'
    LOOP
        EXECUTE format('DROP TRIGGER sprung ON %s', t);
    END LOOP;
END
$$;
CREATE TABLE regress_actor_foreign.audit (what text);
CREATE FUNCTION regress_actor_foreign.audit() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN INSERT INTO regress_actor_foreign.audit VALUES (NEW.actor_id); RETURN NULL; END $$;
CREATE TRIGGER audited AFTER INSERT ON actor.pause FOR EACH ROW EXECUTE FUNCTION regress_actor_foreign.audit();
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT actor_pause('bank', 'audited'), actor_resume('bank', 'audited');
RESET SESSION AUTHORIZATION;
SELECT * FROM regress_actor_foreign.audit;
-- until its code is somebody else's
ALTER FUNCTION regress_actor_foreign.audit() OWNER TO regress_actor_writer;
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT state, message FROM refusal($$SELECT actor_pause('bank', 'audited')$$);
RESET SESSION AUTHORIZATION;
DROP TRIGGER audited ON actor.pause;
-- the same with a foreign key, which is the business of whoever has made it
SET SESSION AUTHORIZATION regress_actor_writer;
CREATE TABLE regress_actor_foreign.key (t text COLLATE "C", i text COLLATE "C", FOREIGN KEY (t, i) REFERENCES actor.pause ON DELETE CASCADE);
SET SESSION AUTHORIZATION regress_actor_owner;
SELECT state, message FROM refusal($$SELECT actor_pause('bank', 'audited')$$);
RESET SESSION AUTHORIZATION;
DROP SCHEMA regress_actor_foreign CASCADE;
REVOKE ALL ON ALL TABLES IN SCHEMA actor FROM regress_actor_writer;
REVOKE UPDATE (value) ON actor.state FROM regress_actor_stranger;
SELECT check_name, detail FROM actor_doctor() WHERE NOT ok AND check_name IN ('grants', 'triggers');
DROP OWNED BY regress_actor_writer;
DROP ROLE regress_actor_writer;

-- default privileges do not reach our objects, whatever they grant or revoke
CREATE ROLE regress_actor_web LOGIN;
BEGIN;
DROP EXTENSION actor CASCADE;
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO regress_actor_web, PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO regress_actor_web;
ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO regress_actor_web WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO regress_actor_web;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
CREATE EXTENSION actor;
SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = 'actor'::regnamespace AND a.grantee = 'regress_actor_web'::regrole;
SELECT count(*) FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.relnamespace = 'actor'::regnamespace AND a.grantee = 0 AND (a.privilege_type <> 'SELECT' OR c.relkind = 'S');
SELECT nspacl::text ~ 'web' AS granted FROM pg_namespace WHERE nspname = 'actor';
SELECT count(*) FILTER (WHERE has_function_privilege('public', p.oid, 'EXECUTE')) > 50 AS for_public,
       count(*) FILTER (WHERE NOT has_function_privilege('public', p.oid, 'EXECUTE')) AS for_some,
       count(*) FILTER (WHERE p.proacl::text ~ 'web') AS for_web
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
 WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor');
-- (so pg_dump has nothing to say about them)
SELECT count(*) FROM pg_class c LEFT JOIN pg_init_privs i ON i.objoid = c.oid AND i.classoid = 'pg_class'::regclass AND i.objsubid = 0
 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'v', 'S') AND c.relacl IS DISTINCT FROM i.initprivs;
ROLLBACK;
-- where PUBLIC may create, installation and doctor say so
BEGIN;
GRANT CREATE ON SCHEMA public TO PUBLIC;
SELECT detail, hint FROM actor_doctor() WHERE check_name = 'schema';
DROP EXTENSION actor CASCADE;
CREATE EXTENSION actor;
ROLLBACK;
SET client_min_messages = warning;
DROP ROLE regress_actor_web;

--
-- Schemas that hold no types, and those of others
--
SET SESSION AUTHORIZATION regress_actor_stranger;
SELECT state, message FROM refusal($$SELECT actor_register('catalog', 'pg_catalog')$$);
SELECT state, message FROM refusal($$SELECT actor_register('own', 'pg_temp')$$);
SELECT state, message FROM refusal($$SELECT actor_register('information', 'information_schema')$$);
SELECT state, message FROM refusal($$SELECT actor_register('tables', 'actor')$$);
SELECT state, message FROM refusal($$SELECT actor_register('theirs', 'bank')$$);
SELECT state, message FROM refusal($$SELECT actor_register('everyone', 'public')$$);
SELECT state, message FROM refusal($$SELECT actor_configure('{"entities": ["bank"]}')$$);
CREATE TEMP TABLE makes_the_schema ();
SELECT state, message FROM refusal(format($$SELECT actor_register('temp', %L)$$, pg_my_temp_schema()::regnamespace)) WHERE message !~ '"pg_temp_';
SET SESSION AUTHORIZATION regress_actor_super;
SELECT state, message FROM refusal($$SELECT actor_register('catalog', 'pg_catalog')$$);
SELECT state, message FROM refusal($$SELECT actor_register('tables', 'actor')$$);

--
-- Nothing is found by search_path.  A role hides every operator of the server
-- that takes ordinary types, every function, type and cast it can, and calls
-- everything.
--
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE SCHEMA hide;
CREATE FUNCTION hide.spring() RETURNS void LANGUAGE plpgsql
AS $$ BEGIN RAISE EXCEPTION 'hidden code runs as %', current_user USING ERRCODE = 'HIDEY'; END $$;
DO $$
DECLARE
    o record;
    n int := 0;
BEGIN
    FOR o IN SELECT DISTINCT ON (oprname, oprleft, oprright) oprname, oprleft::regtype::text AS l, oprright::regtype::text AS r, oprresult::regtype::text AS result
               FROM pg_operator
              WHERE oprnamespace = 'pg_catalog'::regnamespace AND oprkind = 'b'
                AND oprleft IN ('text'::regtype, 'name'::regtype, 'int4'::regtype, 'int8'::regtype, 'timestamptz'::regtype, 'interval'::regtype,
                                'bool'::regtype, 'jsonb'::regtype, 'uuid'::regtype, 'oid'::regtype, '"char"'::regtype, 'bytea'::regtype, 'numeric'::regtype)
                AND oprright NOT IN (SELECT oid FROM pg_type WHERE typtype = 'p')
                AND oprresult NOT IN (SELECT oid FROM pg_type WHERE typtype = 'p')
    LOOP
        n := n + 1;
        EXECUTE format('CREATE FUNCTION hide.%I(%s, %s) RETURNS %s LANGUAGE plpgsql AS %L', 'op' || n, o.l, o.r, o.result,
                       'BEGIN PERFORM hide.spring(); RETURN NULL; END');
        EXECUTE format('CREATE OPERATOR hide.%s (leftarg = %s, rightarg = %s, function = hide.%I)', o.oprname, o.l, o.r, 'op' || n);
    END LOOP;
    FOR o IN SELECT DISTINCT ON (proname, pg_get_function_identity_arguments(oid)) proname, pg_get_function_identity_arguments(oid) AS args,
                    pg_get_function_result(oid) AS result
               FROM pg_proc
              WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f' AND NOT proretset AND provariadic = 0
                AND proname ~ '^(now|clock_timestamp|statement_timestamp|pg_has_role|pg_postmaster_start_time|pg_backend_pid|jsonb_build_object|jsonb_object|to_jsonb|hash.*|pg_column_size|least|greatest|length|octet_length|lower|upper|text|name|int4|int8|timestamptz|interval|age|date_trunc|extract|gen_random_uuid|sha256|md5|convert_to|abs|mod)$'
                AND NOT EXISTS (SELECT FROM pg_type t WHERE t.typtype = 'p' AND (t.oid = ANY (proargtypes::oid[]) OR t.oid = prorettype))
    LOOP
        EXECUTE format('CREATE FUNCTION hide.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', o.proname, o.args, o.result,
                       'BEGIN PERFORM hide.spring(); RETURN NULL; END');
    END LOOP;
    FOR o IN SELECT typname FROM pg_type
              WHERE typnamespace = 'pg_catalog'::regnamespace AND typname IN ('text', 'name', 'int4', 'int8', 'timestamptz', 'interval', 'bool', 'jsonb', 'uuid', 'oid')
    LOOP
        EXECUTE format('CREATE DOMAIN hide.%I AS pg_catalog.%I CHECK (false)', o.typname, o.typname);
    END LOOP;
    FOR o IN SELECT relname FROM pg_class WHERE relnamespace = 'actor'::regnamespace AND relkind IN ('r', 'v')
    LOOP
        EXECUTE format('CREATE TABLE hide.%I (x int)', o.relname);
    END LOOP;
END
$$;
CREATE VIEW hide.pg_roles AS SELECT 10::oid AS oid, 'postgres'::name AS rolname;
SELECT count(*) > 100 AS many FROM pg_operator WHERE oprnamespace = 'hide'::regnamespace;
SELECT actor_register('hide');
CREATE FUNCTION hide.work() RETURNS jsonb LANGUAGE plpgsql SET search_path = hide, pg_catalog
AS $$
BEGIN
    PERFORM public.actor_set('a', 1), public.actor_set('b', 'x'::pg_catalog.text, '1 hour'::pg_catalog.interval);
    PERFORM public.actor_transact('[{"operation": "upsert", "request": {"key": "c", "value": 1, "metadata": {"ttlInSeconds": 60}}}]');
    PERFORM public.actor_remove('a'), public.actor_get('a', 1), public.actor_get('b');
    PERFORM public.actor_set_reminder('hide', '1', 'work', '100h'), public.actor_set_timer('hide', '1', 'work', '100h');
    RETURN public.actor_state();
END
$$;
CREATE FUNCTION hide.seen() RETURNS jsonb STABLE LANGUAGE plpgsql SET search_path = hide, pg_catalog AS $$ BEGIN RETURN public.actor_get('b'); END $$;
CREATE FUNCTION hide.broken() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken'; END $$;
\c -
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_stranger;
SET search_path = hide, pg_catalog;
-- the trap works
SELECT 'a'::pg_catalog.text = 'b';
SELECT public.actor_register('hide');
SELECT public.actor_configure('{"entities": ["hide"]}');
SELECT public.actor_invoke('hide', '1', 'work');
SELECT public.actor_invoke('hide', '1', 'work', request_id => 'r');
SELECT public.actor_invoke('hide', '1', 'work', request_id => 'r');
SELECT public.actor_invoke('hide', '1', 'seen');
SELECT public.actor_get_reminder('hide', '1', 'work') IS NOT NULL, public.actor_get_timer('hide', '1', 'work') IS NOT NULL;
SELECT public.actor_delete_timer('hide', '1', 'work'), public.actor_delete_reminder('hide', '1', 'work');
SELECT public.actor_set_timer('hide', '1', 'work', '100h');
SELECT public.actor_set_reminder('hide', '1', 'work', '100h', catch_up => 'all', failure_policy => '{"drop": {}}');
SELECT public.actor_pause('hide', '1'), public.actor_resume('hide', '1'), public.actor_pause('hide'), public.actor_resume('hide');
SELECT public.actor_delete_reminders('hide');
SELECT public.actor_run_due();
SELECT public.actor_set_reminder('hide', '1', 'broken', failure_policy => '{"drop": {}}');
SET search_path = public;
CALL wait_until('SELECT count(*) > 0 FROM actor.failure');
SET search_path = hide, pg_catalog;
SELECT name, message FROM actor.failure;
SELECT public.actor_retry(failure_id) FROM actor.failure;
SET search_path = public;
CALL wait_until('SELECT count(*) > 0 FROM actor.failure');
SET search_path = hide, pg_catalog;
SELECT public.actor_discard(failure_id) FROM actor.failure;
SELECT public.actor_reassign('regress_actor_stranger', 'regress_actor_stranger');
SELECT pg_catalog.count(*) FROM actor.state;
SELECT pg_catalog.count(*) FROM actor.reminder;
SELECT pg_catalog.count(*) FROM actor.owned_type;
SELECT pg_catalog.count(*) FROM actor.instance;
SELECT public.actor_deactivate('hide', '1');
SELECT public.actor_delete('hide', '1');
SELECT public.actor_unregister('hide', true);
RESET search_path;

--
-- A method that does not say what its search_path is runs with that of its
-- caller, as every function.  What a caller puts in the way runs as the caller,
-- but in the actor's frame.  With a path of its own there is no way in.
--
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE FUNCTION bank.open_path(key text) RETURNS jsonb STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN actor_get(key); END $$;
CREATE FUNCTION bank.own_path(key text) RETURNS jsonb STABLE LANGUAGE plpgsql SET search_path = public, pg_temp AS $$ BEGIN RETURN actor_get(key); END $$;
GRANT EXECUTE ON FUNCTION bank.open_path(text), bank.own_path(text) TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_stranger;
CREATE FUNCTION hide.actor_get(text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RETURN to_jsonb('hidden code as '::pg_catalog.text || current_user); END $$;
GRANT USAGE ON SCHEMA hide TO regress_actor_granted;
SET SESSION AUTHORIZATION regress_actor_granted;
SET search_path = hide, public;
SELECT public.actor_invoke('bank', '1', 'open_path', '["gold"]');
SELECT public.actor_invoke('bank', '1', 'own_path', '["gold"]');
RESET search_path;

RESET SESSION AUTHORIZATION;
DROP TABLE function_matrix, relation_matrix;
DROP FUNCTION probe(name, text), failure_of(name), message_of(name);
SELECT actor_unregister('bank', true);
DROP SCHEMA bank CASCADE;
DROP SCHEMA hide CASCADE;
DROP ROLE regress_actor_heir, regress_actor_poor, regress_actor_monitor, regress_actor_super;
SELECT at_rest();
