-- A DEVICE TWIN
--
-- Every device has an actor that knows what the device has reported and what it
-- should do.  A timer of the actor notices when the device falls silent.

\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\pset footer off

\o /dev/null
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS twin CASCADE;
SELECT actor_unregister(actor_type, force => true) FROM actor.type WHERE actor_type IN ('twin');
RESET client_min_messages;
\o

CREATE SCHEMA twin;

-- A timer lives as long as its actor is active.  The hook on_activate starts it
-- anew when the actor comes to life, after a restart of the server too.

CREATE FUNCTION twin.on_activate() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set_timer(actor_type(), actor_id(), 'heartbeat',
                            due_time => interval '0.5 seconds',
                            period => interval '0.5 seconds');
END $$;

-- What the device calls: it hands in what it measures, and gets what it should
-- change.  A single parameter of type jsonb gets the whole payload.

CREATE FUNCTION twin.report(reported jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    desired jsonb := actor_get('desired', '{}'::jsonb);
BEGIN
    PERFORM actor_set('reported', reported);
    PERFORM actor_set('seen', clock_timestamp());
    PERFORM actor_set('online', true);
    RETURN (SELECT coalesce(jsonb_object_agg(key, value), '{}')
            FROM jsonb_each(desired) WHERE value IS DISTINCT FROM reported -> key);
END $$;

-- What people call.

CREATE FUNCTION twin.wish(wanted jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM actor_set('desired', actor_get('desired', '{}'::jsonb) || wanted);
END $$;

CREATE FUNCTION twin.show() RETURNS jsonb
LANGUAGE sql STABLE AS $$ SELECT actor_state() $$;

-- What the timer calls, twice a second.

CREATE FUNCTION twin.heartbeat() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF actor_get('online', false)
       AND actor_get('seen', '-infinity'::timestamptz)
           < clock_timestamp() - interval '2 seconds' THEN
        PERFORM actor_set('online', false);
        PERFORM actor_set('noticed_by', actor_cause() ->> 'kind');
    END IF;
END $$;

SELECT actor_register('twin', idle_timeout => interval '1 hour');

-- Somebody wants 21 degrees before the thermostat has ever been seen.

SELECT actor_invoke('twin', 'thermostat', 'wish', '{"target": 21}');

-- The thermostat comes up and learns about it, and then has it.

SELECT actor_invoke('twin', 'thermostat', 'report',
                    '{"target": 19, "temperature": 18.5}') AS to_change;
SELECT actor_invoke('twin', 'thermostat', 'report',
                    '{"target": 21, "temperature": 18.5}') AS to_change;

SELECT actor_id, name, period, remaining FROM actor.timer WHERE actor_type = 'twin';

-- Now it falls silent.  This session only looks on.

DO $$
BEGIN
    FOR tenth IN 0..300 LOOP
        IF NOT (actor_invoke('twin', 'thermostat', 'show') -> 'online')::boolean THEN
            RAISE NOTICE 'the thermostat is offline';
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'the timer has noticed nothing within 30 seconds'
        USING HINT = 'Is the library in shared_preload_libraries, and actor.enabled on?';
END $$;

SELECT actor_invoke('twin', 'thermostat', 'show') - '{desired,seen}'::text[] AS thermostat;

-- All devices that are offline are a query away.

SELECT actor_id FROM actor.state
WHERE actor_type = 'twin' AND key = 'online' AND value = 'false';

-- Deactivating an actor ends its timers.  Its state stays.

SELECT actor_deactivate('twin', 'thermostat');
SELECT (SELECT count(*) FROM actor.timer WHERE actor_type = 'twin') AS timers,
       (SELECT keys FROM actor.instance WHERE actor_type = 'twin') AS keys;
