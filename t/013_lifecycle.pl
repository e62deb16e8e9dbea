# The life of an actor as far as the workers are concerned: idle actors are
# deactivated, with their hook or, where that is not possible, without; timers
# fire while their actor is active, and end with the server; expired state goes
# away.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('lifecycle');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
max_prepared_transactions = 5
restart_after_crash = on
log_min_messages = info
actor.idle_timeout = '1h'
actor.scan_interval = '500ms'
});
$node->start;

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_owner LOGIN;
	CREATE ROLE regress_actor_caller LOGIN;
	CREATE ROLE regress_actor_locked LOGIN;
	REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
	GRANT CONNECT ON DATABASE postgres TO regress_actor_owner, regress_actor_caller;
	GRANT CREATE ON DATABASE postgres TO regress_actor_owner, regress_actor_locked;

	CREATE TABLE log (
		n      int GENERATED ALWAYS AS IDENTITY,
		type   text DEFAULT actor_type(),
		id     text DEFAULT actor_id(),
		method text DEFAULT actor_method(),
		cause  text DEFAULT actor_cause() ->> 'kind',
		role   text DEFAULT current_user,
		at     timestamptz DEFAULT clock_timestamp());
	GRANT SELECT, INSERT ON log TO PUBLIC;
});

# A type whose actors have a hook for either end of their life.
sub make_type
{
	my ($type, $owner, $options, $hook) = @_;

	$node->safe_psql(
		'postgres', qq{
		SET SESSION AUTHORIZATION $owner;
		CREATE SCHEMA $type;
		GRANT USAGE ON SCHEMA $type TO regress_actor_caller;
		CREATE FUNCTION $type.on_activate() RETURNS void
		LANGUAGE sql AS 'INSERT INTO public.log DEFAULT VALUES';
		CREATE FUNCTION $type.on_deactivate() RETURNS void LANGUAGE plpgsql AS \$\$
		BEGIN
			INSERT INTO public.log DEFAULT VALUES;
			$hook
		END \$\$;
		CREATE FUNCTION $type.work() RETURNS void LANGUAGE plpgsql AS \$\$
		BEGIN
			INSERT INTO public.log DEFAULT VALUES;
			PERFORM actor_set('worked', true);
		END \$\$;
		CREATE FUNCTION $type.tick() RETURNS void
		LANGUAGE sql AS 'INSERT INTO public.log DEFAULT VALUES';
		CREATE FUNCTION $type.look() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
		SELECT actor_register('$type'$options);
	});
	return;
}

sub as_caller
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', "SET SESSION AUTHORIZATION regress_actor_caller; $sql");
}

sub wait_until
{
	my ($condition, $name) = @_;
	ok($node->poll_query_until('postgres', "SELECT $condition"), $name);
	return;
}

my $short = ", idle_timeout => '1 s', scan_interval => '500 ms'";

# An actor that nobody uses is deactivated, by its owner, and not too early.
make_type('lamp', 'regress_actor_owner', $short, '');
as_caller(
	q{
	SELECT actor_invoke('lamp', 'a', 'work');
	SELECT actor_set_timer('lamp', 'a', 'later', '1h', method => 'tick');
	SELECT actor_set_reminder('lamp', 'a', 'later', '1h', method => 'tick');
});
wait_until(q{NOT EXISTS (SELECT FROM actor.activation)}, 'idle actor is deactivated');
is( $node->safe_psql(
		'postgres',
		q{SELECT string_agg(format('%s as %s because of %s', method, role, cause), '; ' ORDER BY n)
		    FROM log WHERE type = 'lamp'}),
	'on_activate as regress_actor_caller because of activate; '
	  . 'work as regress_actor_caller because of call; '
	  . 'on_deactivate as regress_actor_owner because of deactivate',
	'hooks ran once each, as caller and as owner');
is( $node->safe_psql(
		'postgres',
		q{SELECT max(at) FILTER (WHERE method = 'on_deactivate') -
		         max(at) FILTER (WHERE method = 'work') >= interval '1 s' FROM log}),
	't',
	'not before the time is over');
is( $node->safe_psql(
		'postgres',
		q{SELECT (SELECT count(*) FROM actor.timer), (SELECT count(*) FROM actor.reminder),
		         (SELECT count(*) FROM actor.state), (SELECT count(*) FROM actor.failure)}),
	'0|1|1|0',
	'timers are gone, reminder and state are not');
as_caller(q{SELECT actor_delete_reminder('lamp', 'a', 'later')});

# One that is in a turn is left alone, and does not hold up the others.
my $busy = $node->background_psql('postgres');
as_caller(q{SELECT actor_invoke('lamp', 'busy', 'work')});
$busy->query_safe(q{BEGIN; SELECT actor_invoke('lamp', 'busy', 'work');});
as_caller(q{SELECT actor_invoke('lamp', 'b', 'work')});
wait_until(q{NOT EXISTS (SELECT FROM actor.activation WHERE actor_id = 'b')},
	'others are deactivated meanwhile');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM actor.activation WHERE actor_id = 'busy'}),
	'1', 'an actor in a turn is not');
$busy->query_safe(q{COMMIT});
wait_until(q{NOT EXISTS (SELECT FROM actor.activation)}, 'it is after its turn');
is( $node->safe_psql(
		'postgres',
		q{SELECT string_agg(method, ' ' ORDER BY n) FROM log WHERE id = 'busy'}),
	'on_activate work work on_deactivate',
	'and only once');
$busy->quit;

# Timers fire as whoever has registered them, and keep their actor alive; so do
# those whose method only reads.
make_type('clock', 'regress_actor_owner',
	", idle_timeout => '1h', scan_interval => '100 ms'", '');
as_caller(
	q{
	SELECT actor_set_timer('clock', 'a', 'tick', '1ms', '100ms');
	SELECT actor_set_timer('clock', 'b', 'look', '1ms', '100ms');
	SELECT actor_set_timer('clock', 'c', 'once', '0s', method => 'tick');
	SELECT actor_set_timer('clock', 'd', 'thrice', period => 'R3/PT1S', method => 'tick');
});
wait_until(q{(SELECT count(*) > 2 FROM log WHERE type = 'clock' AND id = 'a' AND method = 'tick')},
	'timer fires again and again');
wait_until(q{NOT EXISTS (SELECT FROM actor.timer WHERE actor_id IN ('c', 'd'))},
	'timers end when they have fired');
is( $node->safe_psql(
		'postgres',
		q{SELECT id, count(*) BETWEEN 1 AND CASE id WHEN 'c' THEN 1 ELSE 3 END, min(cause), min(role)
		    FROM log
		   WHERE type = 'clock' AND method = 'tick' AND id IN ('c', 'd')
		   GROUP BY id ORDER BY id}),
	"c|t|timer|regress_actor_caller\nd|t|timer|regress_actor_caller",
	'they have fired, and not too often');
foreach my $id (qw(a b))
{
	wait_until(
		qq{last_used_at > activated_at FROM actor.activation
		    WHERE actor_type = 'clock' AND actor_id = '$id'},
		"timer of actor $id resets the idle clock");
}
$node->safe_psql('postgres', q{SELECT actor_deactivate('clock', id) FROM unnest('{a,b,c,d}'::text[]) id});
my $fired = $node->safe_psql('postgres', q{SELECT count(*) FROM log WHERE type = 'clock'});
is( $node->safe_psql(
		'postgres',
		q{SELECT (SELECT count(*) FROM actor.timer), (SELECT count(*) FROM actor.activation)}),
	'0|0',
	'a deactivated actor has no timers');

# A method that fails is tried again, and is given up.
$node->safe_psql(
	'postgres', q{
	SET SESSION AUTHORIZATION regress_actor_owner;
	CREATE FUNCTION clock.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken clock'; END $$;
});
as_caller(q{SELECT actor_set_timer('clock', 'e', 'fail', '0s')});
wait_until(
	q{kind = 'timer' AND name = 'fail' AND method = 'fail' AND attempts = 4
	      AND message = 'broken clock' AND role_name = 'regress_actor_caller'
	    FROM actor.failure WHERE actor_type = 'clock'},
	'failing timer is given up');

# A hook that fails, one that ends its own process, and an owner that cannot
# connect: the actor is deactivated all the same, and it is written down why.
make_type('broken', 'regress_actor_owner', $short, q{RAISE 'stuck';});
make_type('deadly', 'regress_actor_owner', $short,
	'PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60);');
make_type('locked', 'regress_actor_locked', $short, '');
make_type('silent', 'regress_actor_locked', $short, '');
$node->safe_psql('postgres', q{DROP FUNCTION silent.on_deactivate()});
my $log_offset = -s $node->logfile;
as_caller(qq{SELECT actor_invoke('$_', 'a', 'work')}) foreach qw(broken deadly locked silent);
wait_until(
	q{NOT EXISTS (SELECT FROM actor.activation
	     WHERE actor_type IN ('broken', 'deadly', 'locked', 'silent'))},
	'actors are deactivated whatever becomes of their hooks');
is( $node->safe_psql(
		'postgres',
		q{SELECT actor_type, name, method, attempts, sqlstate, message, role_name
		    FROM actor.failure WHERE kind = 'deactivate' ORDER BY actor_type}),
	"broken|on_deactivate|on_deactivate|1|P0001|stuck|regress_actor_owner\n"
	  . "deadly|on_deactivate|on_deactivate|1|57P01|method has ended its own process|regress_actor_owner\n"
	  . "locked|on_deactivate|on_deactivate|1|28000|role \"regress_actor_locked\" cannot run hooks|regress_actor_locked",
	'failures are written down, where there is a hook');
is( $node->safe_psql('postgres',
		q{SELECT count(*) FROM log WHERE method = 'on_deactivate' AND type IN ('broken', 'deadly', 'locked')}),
	'0',
	'nothing is left of these hooks');
like(slurp_file($node->logfile, $log_offset),
	qr/LOG:  hook "on_deactivate" of actor "a" of type "broken" failed: stuck/,
	'failing hook is logged');

# Expired state goes away by itself.
$node->safe_psql(
	'postgres', q{
	SET SESSION AUTHORIZATION regress_actor_owner;
	CREATE FUNCTION lamp.spend() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 2500 LOOP
			PERFORM actor_set('short ' || i, i, '1 ms');
		END LOOP;
		PERFORM actor_set('long', 1, '1h');
		PERFORM actor_set('endless', 1);
	END $$;
	SELECT actor_invoke('lamp', 'spender', 'spend');
});
wait_until(q{array_agg(key::text ORDER BY key) = '{endless,long}' FROM actor.state WHERE actor_id = 'spender'},
	'expired keys are removed');

# The end of the server is the end of activations and timers, however it ends;
# what is due at the next start fires for reminders only.
sub set_up_for_end
{
	$node->safe_psql(
		'postgres', q{
		ALTER SYSTEM SET actor.enabled = off;
		ALTER SYSTEM SET actor.lazy_activation = on;
		SELECT pg_reload_conf();
	});
	wait_until(q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor executor')},
		'executors have left');
	as_caller(
		q{
		SELECT actor_set_timer('clock', 'r', 'tick', '0s', '100ms');
		SELECT actor_set_reminder('clock', 's', 'work', '0s');
	});
	is( $node->safe_psql(
			'postgres',
			q{SELECT (SELECT count(*) FROM actor.timer WHERE actor_id = 'r'),
			         (SELECT count(*) FROM actor.instance WHERE actor_id = 'r'),
			         (SELECT count(*) FROM log WHERE id = 'r' AND method = 'tick')}),
		'1|1|0',
		'timer is due and waits');
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.enabled');
	return;
}

sub check_after_end
{
	my ($how) = @_;

	wait_until(q{EXISTS (SELECT FROM log WHERE id = 's' AND method = 'work')},
		"$how: reminder fires");
	is( $node->safe_psql(
			'postgres',
			q{SELECT (SELECT count(*) FROM actor.timer),
			         (SELECT string_agg(actor_id, ' ') FROM actor.activation),
			         (SELECT count(*) FROM log WHERE id = 'r' AND method = 'tick')}),
		'0|s|0',
		"$how: timer and activation are gone");
	is($node->safe_psql('postgres', q{SELECT actor_get_timer('clock', 'r', 'tick') IS NULL}),
		't', "$how: there is no such timer");
	as_caller(q{SELECT actor_invoke('clock', 'r', 'work')});
	is( $node->safe_psql('postgres',
			q{SELECT count(*) FROM log WHERE id = 'r' AND method = 'on_activate'}),
		'2',
		"$how: actor is activated again");
	$node->safe_psql(
		'postgres', q{
		SELECT actor_deactivate('clock', id) FROM unnest('{r,s}'::text[]) id;
		DELETE FROM log WHERE id IN ('r', 's');
	});
	return;
}

set_up_for_end();
$node->restart;
check_after_end('restart');

set_up_for_end();
$node->stop('immediate');
$node->start;
check_after_end('immediate shutdown');

set_up_for_end();
my $pid = $node->safe_psql('postgres',
	q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
kill 'KILL', $pid;
ok( $node->poll_query_until(
		'postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid) AND NOT pg_is_in_recovery()"
	),
	'server has restarted after a crash');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
check_after_end('crash');

# A timer that was prepared before the restart, and is committed after it, has
# missed its end.
as_caller(
	q{
	BEGIN;
	SELECT actor_set_timer('clock', 'p', 'tick', '0s', '100ms');
	PREPARE TRANSACTION 'p';
});
$node->restart;
wait_until(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor launcher')},
	'launcher is there');
as_caller(
	q{
	COMMIT PREPARED 'p';
	SELECT actor_set_reminder('clock', 'q', 'work', '0s');
});
wait_until(q{NOT EXISTS (SELECT FROM actor.timer)}, 'prepared timer is removed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM log WHERE id = 'p' AND method = 'tick'}),
	'0', 'it has not fired');

# an actor is idle from the end of a use on, whatever became of that
$node->safe_psql('postgres', q{
	CREATE SCHEMA used;
	CREATE FUNCTION used.work() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
	CREATE FUNCTION used.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'wrong'; END $$;
	CREATE FUNCTION used.on_deactivate() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO log DEFAULT VALUES; END $$;
	SELECT actor_register('used', idle_timeout => '3 s', scan_interval => '20 ms',
		reentrancy => true)});
is( $node->safe_psql('postgres', q{
		BEGIN;
		SELECT FROM actor_invoke('used', 'long', 'work');
		SELECT FROM pg_sleep(0.1);
		CREATE TABLE ended AS SELECT clock_timestamp() AS at;
		COMMIT;
		SELECT last_used_at >= at FROM actor.activation, ended
			WHERE actor_type = 'used' AND actor_id = 'long'}),
	't', 'a long transaction is a use until its end');
$node->safe_psql('postgres', q{SELECT actor_set_timer('used', 'failing', 'fail', '0s', '100ms')});
wait_until(q{EXISTS (SELECT FROM actor.timer JOIN actor.activation USING (actor_type, actor_id)
		WHERE actor_id = 'failing' AND last_used_at > activated_at + interval '7 s')},
	'a timer that fails all the time keeps its actor');
$node->safe_psql('postgres', q{
	SELECT actor_delete('used', 'failing');
	SELECT actor_open_turn('used', 'open', interval '1 s');
	CREATE TABLE expiry AS SELECT turn_expires_at FROM actor.activation WHERE actor_id = 'open'});
wait_until(q{EXISTS (SELECT FROM log WHERE id = 'open' AND method = 'on_deactivate')},
	'an actor whose turn was open is deactivated');
is( $node->safe_psql('postgres', q{SELECT at >= turn_expires_at + interval '3 s' FROM log, expiry
		WHERE id = 'open' AND method = 'on_deactivate'}),
	't', 'its turn was a use until it expired');

# A type gets another owner while its actors are being deactivated: what comes then is
# the code of that one, and nothing for the role of the first.
$node->safe_psql('postgres', q{
	CREATE ROLE regress_actor_other LOGIN;
	GRANT CONNECT ON DATABASE postgres TO regress_actor_other;
	CREATE TABLE gate ();
	INSERT INTO gate DEFAULT VALUES;
	GRANT SELECT ON gate TO PUBLIC});
make_type('sold', 'regress_actor_owner', $short, q{
	PERFORM pg_try_advisory_lock(4711);
	WHILE EXISTS (SELECT FROM public.gate) LOOP
		PERFORM pg_sleep(0.01);
	END LOOP;
	PERFORM pg_advisory_unlock_all();});
as_caller(q{SELECT actor_invoke('sold', i::text, 'work') FROM generate_series(1, 40) i});
wait_until(q{EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711)},
	'idle actors are being deactivated');
$node->safe_psql('postgres', q{
	ALTER SCHEMA sold OWNER TO regress_actor_other;
	SET SESSION AUTHORIZATION regress_actor_other;
	SELECT actor_register('sold', idle_timeout => '1 s', scan_interval => '500 ms');
	DROP FUNCTION sold.on_deactivate();
	CREATE FUNCTION sold.on_deactivate() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO public.log (method) VALUES ('other code') $$;
	RESET SESSION AUTHORIZATION;
	DELETE FROM gate});
wait_until(q{NOT EXISTS (SELECT FROM actor.activation WHERE actor_type = 'sold')},
	'all of them are deactivated');
is( $node->safe_psql('postgres', q{SELECT DISTINCT role FROM log WHERE method = 'other code'}),
	'regress_actor_other', 'the hook of the new owner runs as that');

# What is due comes first, but not for ever: there is always something due here.
$node->safe_psql('postgres', q{
	CREATE FUNCTION used.go_on() RETURNS bigint LANGUAGE sql AS
		$$ SELECT actor_send(actor_type(), actor_id(), 'go_on') $$;
	SELECT actor_send('used', 'endless', 'go_on');
	SELECT actor_invoke('used', 'idle', 'work')});
wait_until(q{EXISTS (SELECT FROM log WHERE id = 'idle' AND method = 'on_deactivate')},
	'an idle actor is deactivated while something is due all the time');
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.message WHERE actor_id = 'endless'}),
	'1', 'which it still is');

# Actors that are idle when something is due to them: that is a use, also before its
# transaction has ended, in which the idle are deactivated.
$node->safe_psql('postgres', q{SELECT actor_cancel_message('used', 'endless', message_id) FROM actor.message WHERE actor_id = 'endless';
	ALTER SYSTEM SET actor.enabled = off;
	SELECT pg_reload_conf()});
wait_until(q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('actor scheduler', 'actor executor'))}, 'nothing fires');
$node->safe_psql('postgres', q{
	CREATE SCHEMA revived;
	CREATE FUNCTION revived.work() RETURNS void LANGUAGE sql AS $$ SELECT actor_set_timer(actor_type(), actor_id(), 't', '100h', method => 'work') $$;
	SELECT actor_register('revived', idle_timeout => '1 min', scan_interval => '500 ms');
	SELECT actor_invoke('revived', i::text, 'work') FROM generate_series(1, 900) i;
	DELETE FROM actor.timer WHERE actor_type = 'revived';
	UPDATE actor.activation SET last_used_at = now() - interval '1 h' WHERE actor_type = 'revived';
	SELECT actor_set_reminder('revived', i::text, 'work') FROM generate_series(1, 900) i});
wait_until(q{max(next_try_at) < clock_timestamp() - interval '1 s' FROM actor.reminder WHERE actor_type = 'revived'}, 'all of that is late');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET actor.enabled});
$node->reload;
wait_until(q{NOT EXISTS (SELECT FROM actor.reminder WHERE actor_type = 'revived')}, 'it fires');
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.timer WHERE actor_type = 'revived'}), '900', 'and no actor is deactivated');

$node->stop;
done_testing();
