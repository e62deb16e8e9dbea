-- request ids: the second call with an id returns what the first returned
CREATE SCHEMA req;
REVOKE ALL ON SCHEMA req FROM PUBLIC;
CREATE FUNCTION req.add(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    total int := actor_get('total', 0) + n;
BEGIN
    PERFORM actor_set('total', total);
    RETURN total;
END $$;
CREATE FUNCTION req.nothing() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('total', actor_get('total', 0) + 1000);
END $$;
CREATE FUNCTION req.fail_once() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF actor_get('total', 0) < 100000 THEN RAISE EXCEPTION 'not yet'; END IF;
    RETURN 'done';
END $$;
CREATE FUNCTION req.total() RETURNS int STABLE LANGUAGE sql AS $$
    SELECT actor_get('total', 0) $$;
SELECT actor_register('req');

-- repeated: the same result, nothing runs
SELECT actor_invoke('req', 'a', 'add', '{"n": 5}', request_id => 'r1');
SELECT actor_invoke('req', 'a', 'add', '{"n": 5}', request_id => 'r1');
SELECT actor_invoke('req', 'a', 'add', '{"n": 5}', request_id => 'r2');
SELECT actor_invoke('req', 'a', 'total');

-- a result of NULL is a result
SELECT actor_invoke('req', 'a', 'nothing', request_id => 'void') IS NULL AS is_null;
SELECT actor_invoke('req', 'a', 'nothing', request_id => 'void') IS NULL AS is_null;
SELECT actor_invoke('req', 'a', 'total');

-- ids belong to one actor
SELECT actor_invoke('req', 'b', 'add', '{"n": 1}', request_id => 'r1');

-- another method, payload or role: refused, and the result is not shown
SELECT actor_invoke('req', 'a', 'add', '{"n": 6}', request_id => 'r1');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('req', 'a', 'add', '[5]', request_id => 'r1');
SELECT actor_invoke('req', 'a', 'nothing', request_id => 'r1');
CREATE ROLE regress_actor_request;
GRANT USAGE ON SCHEMA req TO regress_actor_request;
SET ROLE regress_actor_request;
SELECT actor_invoke('req', 'a', 'add', '{"n": 5}', request_id => 'r1');
RESET ROLE;

-- EXECUTE is checked before anything is looked up
REVOKE EXECUTE ON FUNCTION req.add(int) FROM PUBLIC;
SET ROLE regress_actor_request;
SELECT actor_invoke('req', 'a', 'add', '{"n": 5}', request_id => 'r1');
RESET ROLE;

-- an error leaves no request: the call can be repeated
SELECT actor_invoke('req', 'a', 'fail_once', request_id => 'f');
SELECT actor_invoke('req', 'a', 'add', '{"n": 100000}');
SELECT actor_invoke('req', 'a', 'fail_once', request_id => 'f');

-- nor does a rollback
BEGIN;
SELECT actor_invoke('req', 'a', 'add', '{"n": 1}', request_id => 'rolled back');
ROLLBACK;
SELECT actor_invoke('req', 'a', 'add', '{"n": 1}', request_id => 'rolled back');

-- within one transaction, too
BEGIN;
SELECT actor_invoke('req', 'c', 'add', '{"n": 1}', request_id => 'x');
SELECT actor_invoke('req', 'c', 'add', '{"n": 1}', request_id => 'x');
COMMIT;

-- what makes no sense
SELECT actor_invoke('req', 'a', 'total', request_id => 'ro');
\echo :LAST_ERROR_SQLSTATE
SELECT actor_invoke('req', 'a', 'add', '{"n": 1}', request_id => '');
SELECT actor_invoke('req', 'a', 'add', '{"n": 1}', request_id => repeat('x', 513));
SELECT actor_invoke('req', 'a', 'add', '{"n": 1}',
                    reentrancy_id => '00000000-0000-0000-0000-000000000001');

-- a request that is kept no longer stands for nothing; the owner sees them all
SELECT actor_id, request_id, method, length(payload_hash), role_name = current_user AS mine, result
  FROM actor.request WHERE actor_type = 'req' ORDER BY 1, 2;
UPDATE actor.request SET finished_at = finished_at - interval '1 day'
 WHERE actor_type = 'req' AND actor_id = 'b';
SELECT actor_invoke('req', 'b', 'add', '{"n": 10}', request_id => 'r1');
SELECT actor_invoke('req', 'b', 'add', '{"n": 10}', request_id => 'r1');
SET ROLE regress_actor_request;
SELECT count(*) FROM actor.request;
RESET ROLE;

-- the id of the running chain may come along with a call
CREATE FUNCTION req.pass_on(id text) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    RETURN actor_invoke('req', id, 'add', '{"n": 1}', actor_reentrancy_id());
END $$;
SELECT actor_invoke('req', 'd', 'pass_on', '{"id": "e"}');

SELECT actor_unregister('req', force => true);
SELECT count(*) FROM actor.request;
DROP SCHEMA req CASCADE;
DROP ROLE regress_actor_request;
