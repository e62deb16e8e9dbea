--
-- Turns: what is locked and for how long, frames and the call chain, read-only
-- methods, isolation levels, limits.
--
SET client_min_messages = warning;
SET SESSION AUTHORIZATION regress_actor_owner;
CREATE SCHEMA cell;
SELECT actor_register('cell');

CREATE FUNCTION cell.put(value int) RETURNS int LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('value', value); RETURN value; END $$;
CREATE FUNCTION cell.value() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('value', 0) $$;
CREATE FUNCTION cell.fixed() RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT 42 $$;
CREATE FUNCTION cell.fail(message text DEFAULT 'failed') RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('value', -1); RAISE EXCEPTION '%', message; END $$;
CREATE FUNCTION cell.chain() RETURNS SETOF text LANGUAGE sql
AS $$ SELECT format('%s %s/%s.%s', depth, actor_type, actor_id, method) FROM actor_call_chain() ORDER BY depth $$;
-- calls another actor
CREATE FUNCTION cell.relay(id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke('cell', id, method, payload); END $$;
CREATE FUNCTION cell.relay_read(id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke('cell', id, method, payload); END $$;
-- calls another actor, and goes on when that fails
CREATE FUNCTION cell.try(id text, method text, payload jsonb DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql
AS $$
DECLARE
    me text := concat_ws('.', actor_type(), actor_id(), actor_method());
BEGIN
    BEGIN
        RETURN actor_invoke('cell', id, method, payload);
    EXCEPTION WHEN OTHERS THEN
        IF me <> concat_ws('.', actor_type(), actor_id(), actor_method()) THEN
            RAISE EXCEPTION 'frame is %', concat_ws('.', actor_type(), actor_id(), actor_method());
        END IF;
        PERFORM actor_set('caught', SQLSTATE);
        RETURN jsonb_build_object('caught', SQLSTATE, 'message', SQLERRM, 'by', actor_id(),
                                  'depth', (SELECT count(*) FROM actor_call_chain()), 'turns', held_turns());
    END;
END
$$;
-- the turns held by this session, as the actors whose hash is that of the lock
CREATE VIEW cell._locks AS
    SELECT to_hex(classid::bigint) AS high, to_hex(objid::bigint) AS low, to_hex(objsubid::int) AS class, mode
      FROM pg_locks
     WHERE locktype = 'advisory' AND granted AND pid = pg_backend_pid()
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database());

-- outside a turn there is nothing to see
SELECT actor_type(), actor_id(), actor_method(), actor_reentrancy_id(), actor_cause();
SELECT * FROM actor_call_chain();
SELECT at_rest();

--
-- The lock: taken by the first writing method, kept to the end of the
-- transaction
--
BEGIN;
SELECT actor_invoke('cell', '1', 'value'), actor_invoke('cell', '1', 'fixed');
SELECT held_turns();
SELECT actor_invoke('cell', '1', 'put', '[1]');
SELECT held_turns();
SELECT actor_invoke('cell', '1', 'put', '[2]');
SELECT actor_invoke('cell', '2', 'put', '[3]');
SELECT held_turns();
SELECT actor_invoke('cell', '1', 'value'), actor_invoke('cell', '2', 'value');
COMMIT;
SELECT at_rest();
BEGIN;
SELECT actor_invoke('cell', '1', 'put', '[9]');
ROLLBACK;
SELECT actor_invoke('cell', '1', 'value');
SELECT at_rest();

-- The lock is named by a hash with a key of the database, so only this can be
-- said of it here: that it is the same each time, and that of no other actor.
-- The formula is tested by t/050_security.pl.
RESET SESSION AUTHORIZATION;
CREATE SCHEMA "Ünï";
CREATE FUNCTION "Ünï".go() RETURNS void LANGUAGE sql AS '';
SELECT actor_register('Ünï');
CREATE SCHEMA a;
CREATE FUNCTION a.go() RETURNS void LANGUAGE sql AS '';
SELECT actor_register('a');
CREATE SCHEMA ab;
CREATE FUNCTION ab.go() RETURNS void LANGUAGE sql AS '';
SELECT actor_register('ab');
CREATE FUNCTION cell.locks_of(type text, id text, OUT high text, OUT low text, OUT class text, OUT mode text) LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_invoke(type, id, 'go');
    SELECT l.high, l.low, l.class, l.mode INTO STRICT high, low, class, mode FROM cell._locks AS l WHERE l.class = '4ac7';
    RAISE EXCEPTION 'undo';
EXCEPTION WHEN raise_exception THEN
END
$$;
SELECT type, left(id, 20) AS id, l.class, l.mode, (l.high, l.low) = (again.high, again.low) AS same,
       count(*) OVER (PARTITION BY l.high, l.low) AS actors
  FROM (VALUES (1, 'a', 'b'), (2, 'a', 'bc'), (3, 'ab', 'c'), (4, 'a', repeat('x', 512)), (5, 'Ünï', 'cödé'), (6, 'a', ' '))
       AS v (number, type, id),
       LATERAL cell.locks_of(type, id) AS l,
       LATERAL cell.locks_of(type, id) AS again
 ORDER BY number;
DROP FUNCTION cell.locks_of(text, text);
SELECT actor_unregister(type) FROM unnest(ARRAY['Ünï', 'a', 'ab']) AS type;
DROP SCHEMA "Ünï", a, ab CASCADE;
SET SESSION AUTHORIZATION regress_actor_owner;

--
-- Savepoints
--
BEGIN;
SELECT actor_invoke('cell', '1', 'put', '[10]');
SAVEPOINT one;
SELECT actor_invoke('cell', '2', 'put', '[20]');
SAVEPOINT two;
SELECT actor_invoke('cell', '3', 'put', '[30]');
SELECT actor_invoke('cell', '1', 'put', '[11]');
SELECT held_turns();
-- released: the turns stay
RELEASE SAVEPOINT two;
SELECT held_turns();
-- rolled back: those taken since are gone, and so is what they have done
ROLLBACK TO SAVEPOINT one;
SELECT held_turns();
SELECT id, actor_invoke('cell', id, 'value') FROM unnest(ARRAY['1', '2', '3']) AS id ORDER BY id;
-- a turn can be taken again
SELECT actor_invoke('cell', '3', 'put', '[31]');
SELECT held_turns();
ROLLBACK TO SAVEPOINT one;
SELECT held_turns();
SELECT actor_invoke('cell', '3', 'put', '[32]');
RELEASE SAVEPOINT one;
SELECT held_turns();
COMMIT;
SELECT id, actor_invoke('cell', id, 'value') FROM unnest(ARRAY['1', '2', '3']) AS id ORDER BY id;
-- with more actors than are searched one by one
BEGIN;
SELECT count(actor_invoke('cell', i::text, 'put', '[1]')) FROM generate_series(1, 40) AS i;
SAVEPOINT one;
SELECT count(actor_invoke('cell', i::text, 'put', '[2]')) FROM generate_series(21, 60) AS i;
SELECT held_turns();
ROLLBACK TO one;
SELECT held_turns();
SELECT count(actor_invoke('cell', i::text, 'put', '[3]')) FROM generate_series(31, 50) AS i;
SELECT held_turns();
RELEASE one;
SELECT sum(actor_invoke('cell', i::text, 'value')::int) FROM generate_series(1, 60) AS i;
ROLLBACK;
-- a failed statement
BEGIN;
SELECT actor_invoke('cell', '1', 'put', '[100]');
SAVEPOINT one;
SELECT actor_invoke('cell', '4', 'fail');
SELECT actor_invoke('cell', '1', 'value');
ROLLBACK TO one;
SELECT held_turns();
SELECT actor_invoke('cell', '1', 'value');
ROLLBACK;
SELECT at_rest();

--
-- Nested calls and the chain
--
SELECT actor_invoke('cell', '1', 'chain');
SELECT actor_invoke('cell', '1', 'relay', '["2", "chain"]');
SELECT actor_invoke('cell', '1', 'relay',
                    '["2", "relay", {"id": "3", "method": "relay", "payload": ["4", "chain"]}]');
-- one transaction: what one writes the other reads, also in read-only methods
CREATE FUNCTION cell.transfer(target text, amount int) RETURNS jsonb LANGUAGE plpgsql
AS $$
DECLARE
    seen jsonb;
BEGIN
    PERFORM actor_set('value', actor_get('value', 0) - amount);
    PERFORM actor_invoke('cell', target, 'put', jsonb_build_array(actor_invoke('cell', target, 'value')::int + amount));
    seen := jsonb_build_object('mine', actor_get('value', 0), 'theirs', actor_invoke('cell', target, 'value'));
    IF actor_get('value', 0) < 0 THEN
        RAISE EXCEPTION 'overdraft of %', -actor_get('value', 0);
    END IF;
    RETURN seen;
END
$$;
SELECT actor_invoke('cell', 'from', 'put', '[10]');
SELECT actor_invoke('cell', 'from', 'transfer', '["to", 7]');
SELECT actor_invoke('cell', 'from', 'transfer', '["to", 7]');
\echo :LAST_ERROR_SQLSTATE
SELECT id, actor_invoke('cell', id, 'value') FROM unnest(ARRAY['from', 'to']) AS id ORDER BY id;

-- errors that are caught, at any depth
SELECT actor_invoke('cell', '1', 'try', '["2", "fail"]');
SELECT actor_invoke('cell', '1', 'try', '["2", "relay", {"id": "3", "method": "fail", "payload": {"message": "deep"}}]');
SELECT actor_invoke('cell', '1', 'relay', '["2", "try", {"id": "3", "method": "relay", "payload": ["4", "relay_read", {"id": "5", "method": "fail"}]}]');
SELECT actor_invoke('cell', '1', 'try', '["2", "no_such"]');
SELECT actor_invoke('cell', '1', 'try', '["2", "put", {"value": "x"}]');
SELECT actor_invoke('cell', '1', 'try', '["2", "put", {"novalue": 1}]');
SELECT actor_invoke('cell', '1', 'try', '["", "put"]');
SELECT id, actor_invoke('cell', id, 'value') FROM unnest(ARRAY['1', '2', '3', '4']) AS id ORDER BY id;
SELECT at_rest();
-- in a transaction
BEGIN;
SELECT actor_invoke('cell', '1', 'try', '["2", "relay", {"id": "3", "method": "fail"}]');
SELECT held_turns();
SELECT actor_invoke('cell', '3', 'put', '[33]');
SELECT held_turns();
COMMIT;
-- errors that are not: every frame says where it was
SELECT actor_invoke('cell', '1', 'relay', '["2", "relay", {"id": "3", "method": "fail"}]');
SELECT at_rest();

-- several actors in one statement
SELECT id, actor_invoke('cell', id, 'put', to_jsonb(ARRAY[length(id)])) FROM unnest(ARRAY['a', 'bb', 'ccc']) AS id ORDER BY id;
-- a cursor and what it reads later
BEGIN;
DECLARE c CURSOR FOR SELECT actor_invoke('cell', id, 'put', '[5]') FROM unnest(ARRAY['a', 'bb', 'ccc']) AS id;
FETCH 1 FROM c;
SELECT held_turns();
FETCH 2 FROM c;
SELECT held_turns();
COMMIT;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT actor_invoke('cell', id, 'put', '[6]') FROM unnest(ARRAY['a', 'bb', 'ccc']) AS id;
COMMIT;
FETCH ALL FROM c;
CLOSE c;
-- a constraint trigger that is deferred to the commit
CREATE TABLE cell.log (id text);
CREATE FUNCTION cell._log() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_invoke('cell', NEW.id, 'put', '[77]'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER log AFTER INSERT ON cell.log DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION cell._log();
CREATE FUNCTION cell.write_log() RETURNS void LANGUAGE sql AS $$ INSERT INTO cell.log VALUES (actor_id()) $$;
SELECT actor_invoke('cell', 'logged', 'write_log');
SELECT actor_invoke('cell', 'logged', 'value');
SELECT at_rest();

-- nothing in a method commits early
CREATE PROCEDURE cell._commit() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE FUNCTION cell.call_commit() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('value', 1); CALL cell._commit(); END $$;
CREATE FUNCTION cell.do_commit() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DO ''BEGIN COMMIT; END'''; END $$;
CREATE FUNCTION cell.commit() RETURNS void LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$;
CREATE FUNCTION cell.rollback() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ROLLBACK; END $$;
CREATE FUNCTION cell.execute_commit() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'COMMIT'; END $$;
SELECT method, r.state, r.message FROM unnest(ARRAY['call_commit', 'do_commit', 'commit', 'rollback', 'execute_commit']) AS method,
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L)', 'cell', 'x', method)) AS r
 ORDER BY method;
-- but between calls a procedure may
CREATE PROCEDURE cell._batch() LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM actor_invoke('cell', 'batch', 'put', '[1]');
    COMMIT;
    IF held_turns() <> 0 THEN RAISE EXCEPTION 'turn is kept'; END IF;
    PERFORM actor_invoke('cell', 'batch', 'put', '[2]');
    ROLLBACK;
    IF held_turns() <> 0 THEN RAISE EXCEPTION 'turn is kept'; END IF;
END
$$;
CALL cell._batch();
SELECT actor_invoke('cell', 'batch', 'value');

--
-- Read-only methods
--
CREATE FUNCTION cell._volatile_set() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('value', 1); END $$;
CREATE FUNCTION cell._volatile_remove() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_remove('value'); END $$;
CREATE FUNCTION cell._volatile_transact() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_transact('[]'); END $$;
CREATE FUNCTION cell._volatile_insert() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO cell.log VALUES ('x'); END $$;
CREATE FUNCTION cell._volatile_ddl() RETURNS void LANGUAGE plpgsql AS $$ BEGIN CREATE TABLE cell.new (x int); END $$;
CREATE FUNCTION cell._volatile_remind() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set_reminder('cell', '1', 'value', '1h'); END $$;
CREATE FUNCTION cell._volatile_forget() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_delete_reminder('cell', '1', 'value'); END $$;
CREATE FUNCTION cell._volatile_register() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_register('cell'); END $$;
CREATE FUNCTION cell._volatile_put() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_invoke('cell', '2', 'put', '[1]'); END $$;
CREATE FUNCTION cell._volatile_read_write() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET TRANSACTION READ WRITE; INSERT INTO cell.log VALUES ('x'); END $$;
CREATE FUNCTION cell._volatile_set_config() RETURNS void LANGUAGE plpgsql
AS $$ BEGIN PERFORM set_config('transaction_read_only', 'off', true); INSERT INTO cell.log VALUES ('x'); END $$;
CREATE FUNCTION cell.run(helper text) RETURNS void STABLE LANGUAGE plpgsql
AS $$ BEGIN EXECUTE format('SELECT cell.%I()', helper); END $$;
CREATE FUNCTION cell.insert() RETURNS void STABLE LANGUAGE plpgsql AS $$ BEGIN INSERT INTO cell.log VALUES ('x'); END $$;
CREATE FUNCTION cell.insert_sql() RETURNS void STABLE LANGUAGE sql AS $$ INSERT INTO cell.log VALUES ('x') $$;
CREATE FUNCTION cell.set_state() RETURNS void STABLE LANGUAGE sql AS $$ SELECT actor_set('value', 1) $$;
CREATE FUNCTION cell.set_immutable() RETURNS void IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('value', 1); END $$;
SELECT helper, r.state, r.message
  FROM unnest(ARRAY['_volatile_set', '_volatile_remove', '_volatile_transact', '_volatile_insert',
                    '_volatile_ddl', '_volatile_remind', '_volatile_forget', '_volatile_register',
                    '_volatile_put']) AS helper,
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L, %L)', 'cell', '1', 'run',
                              jsonb_build_array(helper))) AS r
 ORDER BY helper;
SELECT method, r.state, r.message
  FROM unnest(ARRAY['insert', 'insert_sql', 'set_state', 'set_immutable']) AS method,
       LATERAL refusal(format('SELECT actor_invoke(%L, %L, %L)', 'cell', '1', method)) AS r
 ORDER BY method;
-- and no way round
SELECT actor_invoke('cell', '1', 'run', '["_volatile_read_write"]');
SELECT actor_invoke('cell', '1', 'run', '["_volatile_set_config"]');
SELECT at_rest();
-- in full
SELECT actor_invoke('cell', '1', 'relay_read', '["2", "put", [1]]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('cell', '1', 'run', '["_volatile_set"]');
\echo :LAST_ERROR_SQLSTATE
-- below a writing method it is as read-only, and the writing one is not
-- afterwards, whether the call has failed or not
CREATE FUNCTION cell.write_after_read() RETURNS jsonb LANGUAGE plpgsql
AS $$
DECLARE
    answers jsonb := '[]';
BEGIN
    answers := answers || actor_invoke('cell', 'r', 'value');
    PERFORM actor_set('value', 1);
    BEGIN
        PERFORM actor_invoke('cell', 'r', 'run', '["_volatile_insert"]');
    EXCEPTION WHEN read_only_sql_transaction THEN
        answers := answers || to_jsonb(SQLERRM);
    END;
    PERFORM actor_set('value', 2);
    BEGIN
        PERFORM actor_invoke('cell', 'r', 'relay_read', '["s", "run", ["_volatile_insert"]]');
    EXCEPTION WHEN read_only_sql_transaction THEN
        answers := answers || to_jsonb(SQLERRM);
    END;
    PERFORM actor_invoke('cell', 'w', 'put', '[3]');
    RETURN answers || to_jsonb(current_setting('transaction_read_only'));
END
$$;
SELECT actor_invoke('cell', '1', 'write_after_read');
-- caught inside the read-only method, it stays one
CREATE FUNCTION cell.try_twice() RETURNS text[] STABLE LANGUAGE plpgsql
AS $$
DECLARE
    answers text[];
BEGIN
    FOR i IN 1..2 LOOP
        BEGIN
            PERFORM cell._volatile_insert();
            answers := answers || text 'inserted';
        EXCEPTION WHEN OTHERS THEN
            answers := answers || (SQLSTATE || ' ' || current_setting('transaction_read_only'));
        END;
    END LOOP;
    RETURN answers;
END
$$;
SELECT actor_invoke('cell', '1', 'try_twice');
SELECT at_rest();
-- a read-only method in a subtransaction that is rolled back
BEGIN;
SAVEPOINT s;
SELECT actor_invoke('cell', '1', 'run', '["_volatile_insert"]');
ROLLBACK TO s;
SHOW transaction_read_only;
SELECT actor_invoke('cell', '1', 'put', '[8]');
ROLLBACK;
-- what is read is one snapshot: a helper, however declared, sees no more
SELECT actor_invoke('cell', '1', 'put', '[5]');
CREATE FUNCTION cell._sum() RETURNS int LANGUAGE sql AS $$ SELECT actor_get('value', 0) + (SELECT count(*)::int FROM cell.log) $$;
CREATE FUNCTION cell.sum() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN cell._sum(); END $$;
SELECT actor_invoke('cell', '1', 'sum');
SELECT actor_invoke('cell', '1', 'relay_read', '["1", "sum"]');

-- a read-only transaction
BEGIN READ ONLY;
SELECT actor_invoke('cell', '1', 'value');
SELECT actor_invoke('cell', '1', 'relay_read', '["2", "value"]');
SELECT held_turns();
SAVEPOINT s;
SELECT actor_invoke('cell', '1', 'put', '[1]');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT held_turns();
SHOW transaction_read_only;
COMMIT;
SET default_transaction_read_only = on;
SELECT actor_invoke('cell', '1', 'put', '[1]');
SELECT actor_invoke('cell', '1', 'value');
RESET default_transaction_read_only;

--
-- Isolation levels
--
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT actor_invoke('cell', '1', 'value');
SAVEPOINT s;
SELECT actor_invoke('cell', '1', 'put', '[1]');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT held_turns();
SELECT actor_invoke('cell', '1', 'relay_read', '["2", "value"]');
SELECT actor_set_reminder('cell', '1', 'value', '1h');
COMMIT;
SELECT actor_delete_reminder('cell', '1', 'value');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT actor_invoke('cell', '1', 'value');
SELECT actor_invoke('cell', '1', 'put', '[1]');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN ISOLATION LEVEL READ UNCOMMITTED;
SELECT actor_invoke('cell', '1', 'put', '[6]');
COMMIT;
SELECT at_rest();

--
-- Prepared transactions keep the turn
--
BEGIN;
SELECT actor_invoke('cell', 'prepared', 'put', '[1]');
PREPARE TRANSACTION 'regress_actor';
SELECT at_rest();
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 19143;
SELECT actor_invoke('cell', 'prepared', 'value');
SET actor.call_timeout = '10ms';
SELECT actor_invoke('cell', 'prepared', 'put', '[2]');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('cell', '1', 'relay', '["prepared", "put", [2]]');
SELECT actor_invoke('cell', '1', 'try', '["prepared", "put", [2]]');
SELECT actor_invoke('cell', 'other', 'put', '[2]');
-- the type's own timeout goes first, the caller's lock_timeout too if it is shorter
SET actor.call_timeout = '1h';
SELECT actor_register('cell', call_timeout => '11 milliseconds');
SELECT actor_invoke('cell', 'prepared', 'put', '[2]');
SELECT actor_register('cell', call_timeout => '0');
SET lock_timeout = '12ms';
SELECT actor_invoke('cell', 'prepared', 'put', '[2]');
\echo :LAST_ERROR_SQLSTATE
SHOW lock_timeout;
RESET lock_timeout;
SET statement_timeout = '50ms';
SELECT actor_invoke('cell', 'prepared', 'put', '[2]');
\echo :LAST_ERROR_SQLSTATE
RESET statement_timeout;
SELECT actor_register('cell');
RESET actor.call_timeout;
SELECT at_rest();
COMMIT PREPARED 'regress_actor';
SELECT actor_invoke('cell', 'prepared', 'value');
SELECT actor_invoke('cell', 'prepared', 'put', '[3]');
BEGIN;
SELECT actor_invoke('cell', 'prepared', 'put', '[4]');
PREPARE TRANSACTION 'regress_actor';
ROLLBACK PREPARED 'regress_actor';
SELECT actor_invoke('cell', 'prepared', 'value');
-- not from within a method
CREATE FUNCTION cell.prepare() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'PREPARE TRANSACTION ''x'''; END $$;
SELECT state, message FROM refusal($$SELECT actor_invoke('cell', '1', 'prepare')$$);

--
-- The limit of a transaction
--
RESET SESSION AUTHORIZATION;
SET actor.max_turns_per_transaction = 3;
BEGIN;
SELECT count(actor_invoke('cell', i::text, 'put', '[1]')) FROM generate_series(1, 3) AS i;
SAVEPOINT s;
SELECT actor_invoke('cell', '4', 'put', '[1]');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK TO s;
SELECT held_turns();
-- the ones it has are free, and readers too
SELECT actor_invoke('cell', '3', 'put', '[2]'), actor_invoke('cell', '4', 'value');
SELECT actor_invoke('cell', '3', 'try', '["4", "put", [1]]');
ROLLBACK;
-- one that is rolled back is given back
BEGIN;
SELECT count(actor_invoke('cell', i::text, 'put', '[1]')) FROM generate_series(1, 2) AS i;
SAVEPOINT s;
SELECT actor_invoke('cell', '3', 'put', '[1]');
ROLLBACK TO s;
SELECT actor_invoke('cell', '4', 'put', '[1]');
SELECT actor_invoke('cell', '1', 'relay', '["2", "relay", {"id": "5", "method": "put", "payload": [1]}]');
ROLLBACK;
RESET actor.max_turns_per_transaction;
-- the default
BEGIN;
SELECT count(actor_invoke('cell', i::text, 'put', '[1]')) FROM generate_series(1, 1000) AS i;
SAVEPOINT s;
SELECT actor_invoke('cell', '1001', 'put', '[1]');
ROLLBACK TO s;
SELECT held_turns();
ROLLBACK;
SELECT at_rest();

-- the server's own limit, reached before that of the transaction
SET actor.max_turns_per_transaction = 1000000;
CREATE FUNCTION cell.noop() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
SELECT state, message, regexp_replace(detail, '[0-9]+', 'many') AS detail, hint
  FROM refusal($$SELECT count(actor_invoke('cell', i::text, 'noop')) FROM generate_series(1, 1000000) AS i$$);
RESET actor.max_turns_per_transaction;
SELECT at_rest();

-- deep recursion ends in the server's own limit, and leaves nothing behind
SET max_stack_depth = '200kB';
CREATE FUNCTION cell.down(n int) RETURNS int LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke('cell', 'down' || n, 'down', jsonb_build_array(n + 1)); END $$;
CREATE FUNCTION cell.down_read(n int) RETURNS int STABLE LANGUAGE plpgsql
AS $$ BEGIN RETURN actor_invoke('cell', 'down', 'down_read', jsonb_build_array(n + 1)); END $$;
SELECT state, message FROM refusal($$SELECT actor_invoke('cell', 'down', 'down', '[0]')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('cell', 'down', 'down_read', '[0]')$$);
SELECT actor_invoke('cell', '1', 'put', '[1]');
RESET max_stack_depth;
SELECT at_rest();

--
-- The running frame
--
CREATE FUNCTION cell.frame() RETURNS text STABLE LANGUAGE sql
AS $$ SELECT concat_ws('|', actor_type(), actor_id(), actor_method(), actor_cause(), actor_reentrancy_id() IS NOT NULL) $$;
SELECT actor_invoke('cell', '1', 'frame');
-- one id for a chain, another for the next
CREATE FUNCTION cell.chain_id() RETURNS uuid STABLE LANGUAGE sql AS $$ SELECT actor_reentrancy_id() $$;
CREATE FUNCTION cell.same_chain() RETURNS boolean LANGUAGE sql
AS $$ SELECT actor_reentrancy_id()::text = (actor_invoke('cell', 'other', 'chain_id') #>> '{}')
         AND actor_reentrancy_id() = actor_reentrancy_id() $$;
SELECT actor_invoke('cell', '1', 'same_chain');
SELECT actor_invoke('cell', '1', 'chain_id') <> actor_invoke('cell', '1', 'chain_id') AS differ;

--
-- A cursor that was opened before a savepoint and fails after it: whatever
-- becomes of its portal, what this transaction takes for its turns are locked
--
CREATE FUNCTION cell.step(n int) RETURNS int LANGUAGE plpgsql
AS $$ BEGIN PERFORM actor_set('n', n); IF n = 2 THEN RAISE EXCEPTION 'step 2'; END IF; RETURN n; END $$;
BEGIN;
DECLARE steps CURSOR FOR SELECT actor_invoke('cell', 'step' || n, 'step', jsonb_build_array(n)) FROM generate_series(1, 3) AS n;
SAVEPOINT s1;
FETCH 1 FROM steps;
RELEASE s1;
SELECT held_turns();
SAVEPOINT s2;
FETCH 1 FROM steps;
ROLLBACK TO s2;
SELECT held_turns();
SELECT actor_invoke('cell', 'step1', 'step', '[5]');
SELECT held_turns();
COMMIT;
DO $$
DECLARE
    c refcursor;
    r jsonb;
BEGIN
    OPEN c FOR SELECT actor_invoke('cell', 'step' || n, 'step', jsonb_build_array(n)) FROM generate_series(1, 3) AS n;
    FETCH c INTO r;
    BEGIN
        FETCH c INTO r;
    EXCEPTION WHEN raise_exception THEN
        RAISE NOTICE 'caught %', SQLERRM;
    END;
    IF held_turns() <> 1 THEN RAISE EXCEPTION '% turns are held', held_turns(); END IF;
    PERFORM actor_invoke('cell', 'step1', 'step', '[7]');
    IF held_turns() <> 1 THEN RAISE EXCEPTION '% turns are held', held_turns(); END IF;
END
$$;
-- a read-only method that makes the transaction writable again, as the server
-- allows before 16, still cannot write as the actor
CREATE FUNCTION cell._reset_and_set() RETURNS text LANGUAGE plpgsql
AS $$
BEGIN
    BEGIN
        EXECUTE 'RESET transaction_read_only';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    PERFORM actor_set('sneaked', 1);
    RETURN 'written';
END
$$;
CREATE FUNCTION cell._reset_and_call() RETURNS jsonb LANGUAGE plpgsql
AS $$
BEGIN
    BEGIN
        EXECUTE 'RESET transaction_read_only';
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
    RETURN actor_invoke('cell', 'sneaked', 'put', '[1]');
END
$$;
SELECT state FROM refusal($$SELECT actor_invoke('cell', '1', 'run', '["_reset_and_set"]')$$);
SELECT state FROM refusal($$SELECT actor_invoke('cell', '1', 'run', '["_reset_and_call"]')$$);
SELECT at_rest();
RESET SESSION AUTHORIZATION;
SELECT actor_unregister('cell', force => true);
DROP SCHEMA cell CASCADE;
