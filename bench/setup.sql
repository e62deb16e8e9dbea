-- The actor type of the benchmark, and what it is compared with.  Runs as a
-- superuser in an empty database; run.pl sets the names.

CREATE ROLE bench LOGIN;
GRANT pg_read_all_stats TO bench;
CREATE EXTENSION actor;
CREATE SCHEMA bench AUTHORIZATION bench;
CREATE SCHEMA rival AUTHORIZATION bench;
CREATE SCHEMA tool AUTHORIZATION bench;

/*
 * The actors.  Methods and rivals are in the same language, PL/pgSQL.
 */
SET ROLE bench;

CREATE FUNCTION bench.get() RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN actor_get('n', 0::bigint);
END $$;

-- one key is written
CREATE FUNCTION bench.put(value bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_set('n', value);
END $$;

-- one key is read and written
CREATE FUNCTION bench.count(step bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	n bigint := actor_get('n', 0::bigint) + step;
BEGIN
	PERFORM actor_set('n', n);
	RETURN n;
END $$;

CREATE FUNCTION bench.noop() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
END $$;

-- calls another actor many times
CREATE FUNCTION bench.nest(calls integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..calls LOOP
		PERFORM actor_invoke('bench', 'nested', 'noop');
	END LOOP;
END $$;

-- a chain of actors
CREATE FUNCTION bench.descend(levels integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF levels > 1 THEN
		PERFORM actor_invoke('bench', 'level ' || levels, 'descend',
							 jsonb_build_object('levels', levels - 1));
	END IF;
END $$;

-- a document as state
CREATE FUNCTION bench.edit(note text) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_set('document', jsonb_set(actor_get('document'), '{note}', to_jsonb(note)));
END $$;

CREATE FUNCTION bench.fill(size integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_set('document', tool.document(size));
END $$;

-- how late a reminder is
CREATE FUNCTION bench.probe() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tool.lateness (ms)
	SELECT extract(epoch FROM clock_timestamp() - (actor_cause()->>'scheduled_at')::timestamptz) * 1000;
END $$;

/*
 * Rivals: plain tables, and the actor that somebody would write by hand.
 */

CREATE TABLE rival.plain (
	id text COLLATE "C" PRIMARY KEY,
	n  bigint NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE rival.document (
	id    text COLLATE "C" PRIMARY KEY,
	value jsonb NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE rival.state (
	actor_id   text COLLATE "C" NOT NULL,
	key        text COLLATE "C" NOT NULL,
	value      jsonb NOT NULL,
	updated_at timestamptz NOT NULL,
	PRIMARY KEY (actor_id, key)
) WITH (fillfactor = 80);

CREATE FUNCTION rival.get(actor text) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
	n bigint;
BEGIN
	SELECT s.value::bigint INTO n FROM rival.state s WHERE s.actor_id = actor AND s.key = 'n';
	RETURN coalesce(n, 0);
END $$;

CREATE FUNCTION rival.put(actor text, value bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended(actor, 0));
	INSERT INTO rival.state (actor_id, key, value, updated_at)
	VALUES (actor, 'n', to_jsonb(put.value), clock_timestamp())
	ON CONFLICT (actor_id, key) DO UPDATE SET
		value = EXCLUDED.value, updated_at = EXCLUDED.updated_at;
END $$;

CREATE FUNCTION rival.count(actor text, step bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	PERFORM pg_advisory_xact_lock(hashtextextended(actor, 0));
	SELECT s.value::bigint INTO n FROM rival.state s WHERE s.actor_id = actor AND s.key = 'n';
	n := coalesce(n, 0) + step;
	INSERT INTO rival.state (actor_id, key, value, updated_at)
	VALUES (actor, 'n', to_jsonb(n), clock_timestamp())
	ON CONFLICT (actor_id, key) DO UPDATE SET
		value = EXCLUDED.value, updated_at = EXCLUDED.updated_at;
	RETURN n;
END $$;

CREATE FUNCTION rival.nest(calls integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..calls LOOP
		PERFORM bench.noop();
	END LOOP;
END $$;

CREATE FUNCTION rival.descend(levels integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
	IF levels > 1 THEN
		PERFORM rival.descend(levels - 1);
	END IF;
END $$;

-- passes on an id and a document, as a chain of actors does
CREATE FUNCTION rival.pass_on(actor text, payload jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	levels integer := payload->>'levels';
BEGIN
	IF levels > 1 THEN
		PERFORM rival.pass_on('level ' || levels, jsonb_build_object('levels', levels - 1));
	END IF;
END $$;

RESET ROLE;
-- the same columns, keys and indexes as the tables of the extension
CREATE TABLE rival.reminder (LIKE actor.reminder INCLUDING ALL) WITH (fillfactor = 80);
CREATE TABLE rival.message (LIKE actor.message INCLUDING ALL);
ALTER TABLE rival.reminder OWNER TO bench;
ALTER TABLE rival.message OWNER TO bench;
SET ROLE bench;

/*
 * Tools
 */

CREATE TABLE tool.lateness (ms double precision NOT NULL);

CREATE FUNCTION tool.document(size integer) RETURNS jsonb
LANGUAGE sql VOLATILE
BEGIN ATOMIC
	-- random, so that compression does not make it smaller than it looks
	SELECT jsonb_build_object('note', '', 'body', left(string_agg(md5(random()::text), ''), size))
	  FROM generate_series(1, size / 32 + 1);
END;

-- calls a method of many actors, in transactions of 500
CREATE PROCEDURE tool.visit(first integer, last integer, at_once integer DEFAULT 500)
LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN first..last LOOP
		PERFORM actor_invoke('bench', i::text, 'put', '{"value": 0}');
		IF i % at_once = 0 THEN
			COMMIT;
		END IF;
	END LOOP;
END $$;
RESET ROLE;

/*
 * Waits until nothing is due any more, and tells how long that took.  The rows
 * that were written last are looked at first; no snapshot is held for long, so
 * that dead rows can be removed.
 */
CREATE PROCEDURE tool.wait_until_done(relation text, last integer, INOUT seconds double precision DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
	began timestamptz := clock_timestamp();
	left_over boolean := true;
BEGIN
	WHILE left_over LOOP
		COMMIT;
		PERFORM pg_sleep(0.01);
		EXECUTE format('SELECT EXISTS (SELECT FROM actor.%I'
					   ' WHERE actor_type = ''bench'' AND actor_id = ANY ($1))', relation)
			INTO left_over
			USING ARRAY(SELECT i::text FROM generate_series(last - 20, last) i);
		IF NOT left_over THEN
			EXECUTE format('SELECT EXISTS (SELECT FROM actor.%I'
						   ' WHERE role_name = ''bench'''
						   '   AND next_try_at < now() + interval ''1 hour'')', relation)
				INTO left_over;
		END IF;
	END LOOP;
	seconds := extract(epoch FROM clock_timestamp() - began);
END $$;

/*
 * Reminders of actors that nobody calls, due within the day after tomorrow.
 */
CREATE PROCEDURE tool.set_others(number bigint)
LANGUAGE sql AS $$
	INSERT INTO actor.reminder (actor_type, actor_id, name, method, due_time, catch_up, role_name,
		generation, registered_at, first_at, firings, time_zone, firing, scheduled_at,
		next_try_at, remaining, attempt, deferrals, fired, hosted)
	SELECT 'bench', 'other ' || i, 'noop', 'noop', '24h', 'one', 'bench', i, now(), at, 1, 'UTC', 0, at,
		at, 1, 1, 0, 0, false
	  FROM generate_series(1, number) i, LATERAL (SELECT now() + interval '1 day' * (1 + random())) t(at);
$$;

/*
 * Actors that are active and have state, and rows of the rivals to match.
 */
CREATE PROCEDURE tool.set_actors(number bigint)
LANGUAGE sql AS $$
	TRUNCATE actor.state, actor.activation, rival.plain, rival.state;
	INSERT INTO actor.state (actor_type, actor_id, key, value, updated_at)
	SELECT 'bench', i::text, 'n', '0', now() FROM generate_series(1, number) i;
	INSERT INTO actor.activation (actor_type, actor_id, server_start, activated_at, last_used_at)
	SELECT 'bench', i::text, pg_postmaster_start_time(), now(), now() FROM generate_series(1, number) i;
	INSERT INTO rival.plain (id, n) SELECT i::text, 0 FROM generate_series(1, number) i;
	INSERT INTO rival.state (actor_id, key, value, updated_at)
	SELECT i::text, 'n', '0', now() FROM generate_series(1, number) i;
$$;

-- idle actors are not what is measured
SET ROLE bench;
SELECT actor_register('bench', idle_timeout => '1 day', scan_interval => '1 hour');
