-- A RATE LIMITER
--
-- Each client of a service is an actor that says whether one more request is
-- allowed: five at once, and one more for every second that passes.

\set ON_ERROR_STOP on
\set SHOW_CONTEXT never
\pset footer off

\o /dev/null
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS limiter CASCADE;
SELECT actor_unregister(actor_type, force => true) FROM actor.type WHERE actor_type IN ('limiter');
RESET client_min_messages;
\o

CREATE SCHEMA limiter;

-- The tokens that a client has at an instant, after what has come in since the
-- last request.  A name that begins with an underscore is no method.

CREATE FUNCTION limiter._tokens(instant timestamptz) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT least(5, actor_get('tokens', 5::numeric)
                    + greatest(0, extract(epoch FROM instant - actor_get('since', instant))))
$$;

-- Calls of one actor take turns, so no token is given away twice.  A request
-- counts from the beginning of its statement, however long it waits.  The state
-- expires when the client has been away for long enough to have all tokens, so
-- nobody has to tidy up.

CREATE FUNCTION limiter.take() RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    instant timestamptz := statement_timestamp();
    tokens  numeric := limiter._tokens(instant);
BEGIN
    IF tokens < 1 THEN
        RETURN false;
    END IF;
    PERFORM actor_set('tokens', tokens - 1, ttl => interval '5 seconds');
    PERFORM actor_set('since', instant, ttl => interval '5 seconds');
    RETURN true;
END $$;

CREATE FUNCTION limiter.left() RETURNS int
LANGUAGE sql STABLE AS $$ SELECT floor(limiter._tokens(clock_timestamp()))::int $$;

SELECT actor_register('limiter');

-- Eight requests of one client arrive in one go.

SELECT request, actor_invoke('limiter', 'client 1', 'take') AS allowed
FROM generate_series(1, 8) AS request;

-- Another client has tokens of its own.

SELECT actor_invoke('limiter', 'client 2', 'take') AS allowed,
       actor_invoke('limiter', 'client 2', 'left') AS left;

-- The first client waits until it has one again.

DO $$
BEGIN
    FOR tenth IN 1..300 LOOP
        EXIT WHEN actor_invoke('limiter', 'client 1', 'left')::int > 0;
        PERFORM pg_sleep(0.1);
    END LOOP;
END $$;

SELECT actor_invoke('limiter', 'client 1', 'take') AS allowed_again;
