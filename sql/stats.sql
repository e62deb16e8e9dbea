--
-- What is counted, and what can be seen of running turns.
--
CREATE SCHEMA stats AUTHORIZATION regress_actor_owner;
GRANT USAGE ON SCHEMA stats TO regress_actor_granted;
SET ROLE regress_actor_owner;
CREATE FUNCTION stats.put(value int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('value', value);
    RETURN value;
END $$;
CREATE FUNCTION stats.get() RETURNS int LANGUAGE sql STABLE AS $$
    SELECT actor_get('value', 0);
$$;
CREATE FUNCTION stats.fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE 'failed on purpose';
END $$;
CREATE FUNCTION stats.slow() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep(0.05);
END $$;
CREATE FUNCTION stats.again() RETURNS jsonb LANGUAGE sql AS $$
    SELECT actor_invoke('stats', actor_id(), 'again');
$$;
CREATE FUNCTION stats.turns() RETURNS jsonb LANGUAGE sql AS $$
    SELECT actor_invoke('stats', 'inner', 'show_turns');
$$;
CREATE FUNCTION stats.show_turns() RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_agg(jsonb_build_array(actor_id, method, state, chain) ORDER BY actor_id)
      FROM actor.turn WHERE pid = pg_backend_pid();
$$;
CREATE FUNCTION stats.on_activate() RETURNS void LANGUAGE sql AS 'SELECT';
SELECT actor_register('stats');
RESET ROLE;

-- calls, errors and refusals; hooks are counted, too
SELECT actor_stat_reset();
SELECT * FROM actor.method_stat WHERE actor_type = 'stats';
SELECT actor_invoke('stats', 'one', 'put', jsonb_build_object('value', i)) FROM generate_series(1, 5) i;
SELECT actor_invoke('stats', 'one', 'get');
SELECT state, message FROM refusal($$SELECT actor_invoke('stats', 'one', 'fail')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('stats', 'one', 'again')$$);
SELECT actor_invoke('stats', 'one', 'slow');
SELECT actor_type, method, calls, errors, deadlocks, reentries_refused, wait_ms
  FROM actor.method_stat WHERE actor_type = 'stats' ORDER BY method;
-- what has been rolled back was a call all the same
BEGIN;
SELECT actor_invoke('stats', 'one', 'put', '{"value": 6}');
ROLLBACK;
SELECT calls FROM actor.method_stat WHERE actor_type = 'stats' AND method = 'put';
-- what does not get as far as a call is none
SELECT state FROM refusal($$SELECT actor_invoke('stats', 'one', 'none')$$);
SELECT count(*) FROM actor.method_stat WHERE method = 'none';

-- times agree with each other, and with what was made to take long
SELECT method, min_ms > 0 AND min_ms <= p50_ms AND p50_ms <= p95_ms AND p95_ms <= p99_ms
       AND p99_ms <= max_ms AND mean_ms BETWEEN min_ms AND max_ms
       AND total_ms >= max_ms AS agree
  FROM actor.method_stat WHERE actor_type = 'stats' ORDER BY method;
SELECT min_ms >= 49 AND p50_ms = min_ms AND max_ms = min_ms AS slow
  FROM actor.method_stat WHERE actor_type = 'stats' AND method = 'slow';

-- a histogram grows from bound to bound up to all calls
SELECT s.method, array_length(s.bounds, 1) AS bounds,
       (SELECT bool_and(b > before) FROM
         (SELECT b, lag(b, 1, 0::float8) OVER (ORDER BY n) AS before
            FROM unnest(s.bounds) WITH ORDINALITY u(b, n)) x) AS bounds_grow,
       (SELECT bool_and(c >= before) FROM
         (SELECT c, lag(c, 1, 0::bigint) OVER (ORDER BY n) AS before
            FROM unnest(s.counts) WITH ORDINALITY u(c, n)) x) AS counts_grow,
       s.counts[12] = s.runs AND s.runs = s.calls - s.reentries_refused AS all_counted
  FROM actor.get_method_stats() s WHERE s.actor_type = 'stats' ORDER BY s.method;
-- nothing that took 50 ms is below 16 ms, and all of it is below 67 s
SELECT bounds[6], counts[6], bounds[12], counts[12]
  FROM actor.get_method_stats() WHERE actor_type = 'stats' AND method = 'slow';

-- switched off
SET actor.track = off;
SELECT actor_invoke('stats', 'one', 'get');
RESET actor.track;
SELECT calls FROM actor.method_stat WHERE actor_type = 'stats' AND method = 'get';
SET ROLE regress_actor_owner;
SET actor.track = off;
RESET ROLE;

-- who sees what
SELECT r.role, (SELECT count(*) FROM actor.method_stat WHERE actor_type = 'stats') > 0 AS sees
  FROM (SELECT current_user AS role) r;
SET ROLE regress_actor_owner;
SELECT count(*) > 0 AS sees FROM actor.method_stat WHERE actor_type = 'stats';
SET ROLE regress_actor_granted;
SELECT count(*) FROM actor.method_stat;
SELECT count(*) FROM actor.get_method_stats();
SELECT actor_stat_reset();
RESET ROLE;
CREATE ROLE regress_actor_monitor;
GRANT pg_monitor TO regress_actor_monitor;
SET ROLE regress_actor_monitor;
SELECT count(*) > 0 AS sees FROM actor.method_stat WHERE actor_type = 'stats';
SELECT actor_stat_reset();
RESET ROLE;

-- turns: of running methods, with their chain
SELECT actor_invoke('stats', 'outer', 'turns');
SELECT count(*) FROM actor.turn WHERE pid = pg_backend_pid();
-- and after the method has returned, until the transaction ends
BEGIN;
SELECT actor_invoke('stats', 'one', 'put', '{"value": 1}');
SAVEPOINT s;
SELECT actor_invoke('stats', 'two', 'put', '{"value": 1}');
SELECT actor_id, method, state, chain, since BETWEEN now() - interval '1 second' AND clock_timestamp() AS recent
  FROM actor.turn WHERE pid = pg_backend_pid() ORDER BY actor_id;
ROLLBACK TO s;
SELECT actor_id FROM actor.turn WHERE pid = pg_backend_pid();
-- only the owner of the type and pg_monitor see them
SET LOCAL ROLE regress_actor_granted;
SELECT count(*) FROM actor.turn WHERE pid = pg_backend_pid();
SET LOCAL ROLE regress_actor_owner;
SELECT count(*) FROM actor.turn WHERE pid = pg_backend_pid();
SET LOCAL ROLE regress_actor_monitor;
SELECT count(*) FROM actor.turn WHERE pid = pg_backend_pid();
COMMIT;
SELECT count(*) FROM actor.turn WHERE pid = pg_backend_pid();
-- a reading method holds nothing
BEGIN;
SELECT actor_invoke('stats', 'one', 'get');
SELECT count(*) FROM actor.turn WHERE pid = pg_backend_pid();
COMMIT;
-- actors that do not fit are still there, without a name
BEGIN;
SELECT count(actor_invoke('stats', repeat('x', 400) || i, 'put', '{"value": 1}'))
  FROM generate_series(1, 30) i;
SELECT count(*), count(actor_id) BETWEEN 5 AND 20 AS some_named,
       count(DISTINCT actor_id) = count(actor_id) AS different
  FROM actor.turn WHERE pid = pg_backend_pid();
ROLLBACK;
-- a prepared transaction holds them, too
BEGIN;
SELECT actor_invoke('stats', 'prepared', 'put', '{"value": 1}');
PREPARE TRANSACTION 'stats';
SELECT pid, actor_type, actor_id, state FROM actor.turn WHERE pid IS NULL;
ROLLBACK PREPARED 'stats';
SELECT count(*) FROM actor.turn WHERE pid IS NULL;

-- and a turn that is open between transactions
SELECT actor_register('stats', reentrancy => true);
SELECT actor_open_turn('stats', 'opened') AS open_id \gset
SELECT pid, actor_type, actor_id, method, state, chain FROM actor.turn WHERE actor_type = 'stats';
SET ROLE regress_actor_granted;
SELECT count(*) FROM actor.turn;
SET ROLE regress_actor_owner;
SELECT count(*) FROM actor.turn;
RESET ROLE;
SELECT actor_close_turn('stats', 'opened', :'open_id');
SELECT count(*) FROM actor.turn WHERE actor_type = 'stats';

-- the chain does not show the actors of other owners
CREATE SCHEMA stats_caller;
CREATE FUNCTION stats_caller.ask() RETURNS jsonb LANGUAGE sql AS $$
    SELECT actor_invoke('stats', 'asked', 'seen_by_owner');
$$;
SET ROLE regress_actor_owner;
CREATE FUNCTION stats.seen_by_owner() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    RETURN (SELECT jsonb_agg(to_jsonb(t) - 'pid' - 'since' ORDER BY actor_id)
              FROM actor.turn t WHERE pid = pg_backend_pid());
END $$;
RESET ROLE;
SELECT actor_register('stats_caller');
SELECT actor_invoke('stats_caller', 'secret', 'ask');
SELECT actor_unregister('stats_caller', force => true);
DROP SCHEMA stats_caller CASCADE;

-- only superusers have the log written
SET ROLE regress_actor_owner;
SET actor.log_min_turn_duration = 0;
SET actor.log_turn_waits = on;
RESET ROLE;

-- metrics, which strangers do not get
SELECT actor_metrics() LIKE format('%%actor_calls_total{datname="%s",type="stats",method="put"} %%', current_database()) AS shown;
SET ROLE regress_actor_monitor;
SELECT actor_metrics() LIKE format('%%actor_calls_total{datname="%s",type="stats",method="put"} %%', current_database()) AS shown;
SET ROLE regress_actor_owner;
SELECT actor_metrics();
SELECT * FROM actor_doctor();
RESET ROLE;

-- reset sets all back
SELECT actor_stat_reset();
SELECT count(*) FROM actor.method_stat WHERE actor_type = 'stats';
SELECT actor_invoke('stats', 'one', 'get');
SELECT method, calls FROM actor.method_stat WHERE actor_type = 'stats';

DROP OWNED BY regress_actor_monitor;
DROP ROLE regress_actor_monitor;
SELECT actor_unregister('stats', force => true);
SET client_min_messages = warning;
DROP SCHEMA stats CASCADE;
RESET client_min_messages;
SELECT at_rest();
