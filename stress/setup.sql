-- What script/stress works on: an actor type whose methods write down what they
-- do, in the transaction that does it.  Nothing here is unique that must not be
-- there twice: it must show.  Whatever a method itself finds wrong goes to the
-- server's log, which no roll-back takes back.
CREATE EXTENSION amcheck;
CREATE EXTENSION actor;
CREATE ROLE stress LOGIN;
CREATE SCHEMA s AUTHORIZATION stress;
SET SESSION AUTHORIZATION stress;

-- what committed transactions have asked for: how often the work of a tag is to
-- be done, at least and at most; a tag that is there several times is the same one
CREATE TABLE s.asked (tag text, kind text, least int, most int);
CREATE INDEX ON s.asked (tag);
-- each time it was done, and how many changes that made
CREATE TABLE s.done (tag text, kind text, changes int);
-- the numbers of events that are kept
CREATE TABLE s.published (tag text, number bigint);
-- each change of an actor
CREATE TABLE s.journal (actor text, version bigint, tag text);
-- the state of actors, as SQL alone has written it
CREATE TABLE s.mirror (actor text, key text, value jsonb, PRIMARY KEY (actor, key));

CREATE FUNCTION s._wrong(what text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	RAISE LOG 'stress found actor %: %', actor_id(), what;
END $$;

-- Compares a key with the mirror.
CREATE FUNCTION s._compare(key text) RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
	found jsonb := actor_get(key);
	expected jsonb := (SELECT m.value FROM s.mirror m WHERE m.actor = actor_id() AND m.key = _compare.key);
BEGIN
	IF found IS DISTINCT FROM expected THEN
		PERFORM s._wrong(format('key %s is %s and must be %s', key, left(found::text, 40), left(expected::text, 40)));
	END IF;
END $$;

-- Sets or removes a key, in both places.
CREATE FUNCTION s._put(key text, value jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM s._compare(key);
	IF value IS NULL THEN
		PERFORM actor_remove(key);
		DELETE FROM s.mirror m WHERE m.actor = actor_id() AND m.key = _put.key;
	ELSE
		PERFORM actor_set(key, value);
		INSERT INTO s.mirror VALUES (actor_id(), key, value)
		ON CONFLICT ON CONSTRAINT mirror_pkey DO UPDATE SET value = excluded.value;
	END IF;
END $$;

-- One change: a new version, and a key of a length that the tag decides.
CREATE FUNCTION s._change(tag text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	version bigint := actor_get('version', 0::bigint) + 1;
	number int := abs(hashtext(tag)::bigint);
BEGIN
	IF EXISTS (SELECT FROM actor.activation a
				WHERE a.actor_type = 's' AND a.actor_id = actor_id()
				  AND a.reentrancy_id IS NOT NULL
				  AND a.reentrancy_id IS DISTINCT FROM actor_reentrancy_id() AND a.turn_expires_at > clock_timestamp()) THEN
		PERFORM s._wrong(format('%s is in the open turn of somebody else', tag));
	END IF;
	PERFORM s._put('version', to_jsonb(version));
	PERFORM s._put('k' || number % 5, CASE WHEN number % 7 > 0 THEN to_jsonb(tag || repeat('x', number % 900)) END);
	INSERT INTO s.journal VALUES (actor_id(), version, tag);
	RETURN 1;
END $$;

-- Passes work on along a path of ids of actors, with these words between them:
-- "try": an error of the rest is caught; "abort": an error; "wait": a moment;
-- "look": a read-only call.  Returns the number of changes.
CREATE FUNCTION s._pass(tag text, path jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	step text := path ->> 0;
	rest jsonb := path - 0;
BEGIN
	IF step IS NULL THEN
		RETURN 0;
	ELSIF step = 'abort' THEN
		RAISE 'aborted';
	ELSIF step = 'wait' THEN
		PERFORM pg_sleep(0.002);
		RETURN s._pass(tag, rest);
	ELSIF step = 'look' THEN
		PERFORM actor_invoke('s', actor_id(), 'look');
		RETURN s._pass(tag, rest);
	ELSIF step = 'try' THEN
		BEGIN
			RETURN s._pass(tag, rest);
		EXCEPTION WHEN OTHERS THEN
			RETURN 0;
		END;
	END IF;
	RETURN actor_invoke('s', step, 'receive', jsonb_build_object('tag', tag, 'path', rest))::int;
END $$;

CREATE FUNCTION s.receive(tag text, path jsonb) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	RETURN s._change(tag) + s._pass(tag, path);
END $$;
CREATE FUNCTION s.work(tag text, path jsonb) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	changes int := s._change(tag) + s._pass(tag, path);
BEGIN
	INSERT INTO s.done VALUES (tag, coalesce(actor_cause() ->> 'kind', 'call'), changes);
	RETURN changes;
END $$;
CREATE FUNCTION s.look() RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM s._compare(key) FROM unnest('{version,k0,k1,k2,k3,k4}'::text[]) AS key;
END $$;
CREATE FUNCTION s.version() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT actor_get('version', 0::bigint) $$;
CREATE FUNCTION s.on_activate() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_set('activated', clock_timestamp());
END $$;
SELECT actor_register('s', reentrancy => true, idle_timeout => '2 seconds', scan_interval => '1 second');
-- some actors get events as work
SELECT actor_keep_events('s', 'kept', '1 day');
SELECT actor_subscribe(topic, 's', 'a' || i, 'work', 's',
		failure_policy => '{"constant": {"interval": "20ms", "maxRetries": 100000}}')
  FROM unnest('{plain,kept}'::text[]) topic, generate_series(1, 4) i;
RESET SESSION AUTHORIZATION;
