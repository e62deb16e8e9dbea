# Types are unregistered and paused while everybody uses them: nobody is left
# waiting, no row is left without a type, and no callback goes on for ever.

use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('type_lock');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
max_prepared_transactions = 5
actor.max_executors = 3
deadlock_timeout = '50ms'
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION actor');

# Starts a session that runs a script, and finish() waits for its end.
sub session
{
	my ($script) = @_;
	my ($out, $err) = ('', '');
	my $handle = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $script ],
		'<', \undef, '>', \$out, '2>', \$err,
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));

	return { handle => $handle, err => \$err };
}

sub finish
{
	my ($session, $what) = @_;

	eval { $session->{handle}->finish };
	is($@ . ${ $session->{err} }, '', $what);
	$session->{handle}->kill_kill if $@;
}

# rows whose type is not there, in all tables that have one
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION public.orphans() RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		relation regclass;
		rows bigint;
		result text;
	BEGIN
		FOR relation IN SELECT c.oid FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
			WHERE relnamespace = 'actor'::regnamespace AND relkind = 'r' AND attname = 'actor_type'
		LOOP
			EXECUTE format('SELECT count(*) FROM %s WHERE actor_type NOT IN
				(SELECT actor_type FROM actor.type)', relation) INTO rows;
			IF rows > 0 THEN
				result := concat_ws(', ', result, relation || ': ' || rows);
			END IF;
		END LOOP;
		RETURN result;
	END $$});

#
# An executor that waits for a turn shares the lock of the type, and its
# callback begins only after unregistering has asked the running ones to end.
#
$node->safe_psql(
	'postgres', q{
	CREATE SCHEMA late;
	CREATE SEQUENCE late.begun;
	CREATE FUNCTION late.nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
	CREATE FUNCTION late.forever() RETURNS void LANGUAGE sql AS $$
		SELECT nextval('late.begun'), pg_sleep(1000000) $$;
	-- whether an executor waits for a turn, and somebody to unregister
	CREATE FUNCTION public.waits(class int) RETURNS boolean LANGUAGE sql AS $$
		SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND mode = 'ExclusiveLock' AND objsubid = class) $$;
	CREATE PROCEDURE public.hold() LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_invoke('late', 'a', 'nothing');
		-- the executor gives up after a while, and comes again unless it is kept out
		WHILE NOT waits(x'4AC9'::int) LOOP
			PERFORM pg_sleep(0.001);
		END LOOP;
	END $$;
	CREATE PROCEDURE public.unregister() LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT waits(x'4AC7'::int) LOOP
			PERFORM pg_sleep(0.001);
		END LOOP;
		PERFORM actor_unregister('late', true);
	END $$});
my $begun = 'f';
for (my $try = 0; $try < 60 && $begun eq 'f'; $try++)
{
	$node->safe_psql('postgres', q{
		SELECT actor_register('late', drain_ongoing_call_timeout => '1 ms')});
	my $holder = session('CALL public.hold();');
	$node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objsubid = x'4AC7'::int});
	$node->safe_psql('postgres', q{SELECT actor_set_reminder('late', 'a', 'forever')});
	my $unregister = session('CALL public.unregister();');
	my $ok = $node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM actor.type)});
	$begun = $node->safe_psql('postgres', 'SELECT is_called FROM late.begun');
	ok($ok, "a callback that begins late does not hold up who unregisters (begun: $begun)");
	BAIL_OUT('it hangs') unless $ok;
	finish($holder, 'the turn ends');
	finish($unregister, 'the type is unregistered');
}
is($begun, 't', 'one has begun late');

#
# Everybody at once, until a number of rounds is over: types come and go, are
# paused and resumed, while others use them in every way and workers fire.
#
$node->safe_psql(
	'postgres', q{
	CREATE SEQUENCE public.fired;
	CREATE TABLE public.seen (code text, what text);
	CREATE TABLE public.over (only_row boolean);
	-- two types that call each other
	CREATE PROCEDURE public.make_type(name text, other text) LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('CREATE SCHEMA %I', name);
		EXECUTE format($f$CREATE FUNCTION %I.put() RETURNS void LANGUAGE plpgsql AS $m$
			BEGIN
				PERFORM actor_set('n', actor_get('n', 0) + 1);
				IF random() < 0.3 THEN
					PERFORM actor_send(%L, actor_id(), 'fire');
				END IF;
				IF random() < 0.2 THEN
					PERFORM actor_invoke(%L, (random() * 4)::int::text, 'nothing');
				END IF;
			END $m$ $f$, name, name, other);
		EXECUTE format($f$CREATE FUNCTION %I.nothing() RETURNS void LANGUAGE plpgsql AS $m$
			BEGIN END $m$ $f$, name);
		EXECUTE format($f$CREATE FUNCTION %I.fire() RETURNS void LANGUAGE plpgsql AS $m$
			BEGIN
				PERFORM actor_set('fired', nextval('public.fired'));
				IF random() < 0.1 THEN
					RAISE 'on purpose';
				ELSIF random() < 0.1 THEN
					PERFORM actor_invoke(%L, (random() * 4)::int::text, 'nothing');
				ELSIF random() < 0.02 THEN
					PERFORM pg_sleep(0.05);
				END IF;
			END $m$ $f$, name, other);
		EXECUTE format($f$CREATE FUNCTION %I.on_activate() RETURNS void LANGUAGE sql AS
			$m$ SELECT actor_set('active', true) $m$ $f$, name);
		EXECUTE format($f$CREATE FUNCTION %I.on_deactivate() RETURNS void LANGUAGE sql AS
			$m$ SELECT actor_set('active', false) $m$ $f$, name);
	END $$;
	CALL make_type('x', 'y');
	CALL make_type('y', 'x');
	CREATE PROCEDURE public.anew(name text) LANGUAGE sql AS $$
		SELECT actor_register(name, idle_timeout => '200 ms', scan_interval => '100 ms',
			drain_ongoing_call_timeout => '1 ms', reentrancy => true,
			reminders_storage_partitions => (random() * 2)::int) $$;
	CALL anew('x');
	CALL anew('y');
	CREATE FUNCTION public.one_use(kind int, type text, id text) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		drop_policy CONSTANT jsonb := '{"drop": {}}';
		chain uuid;
	BEGIN
		CASE kind
		WHEN 0, 1, 2 THEN PERFORM actor_invoke(type, id, 'put');
		WHEN 3 THEN PERFORM actor_invoke(type, id, 'put', request_id => random()::text);
		WHEN 4 THEN PERFORM actor_set_reminder(type, id, 'r' || (random() * 3)::int, '10ms', '20ms',
				method => 'fire', failure_policy => drop_policy);
		WHEN 5 THEN PERFORM actor_set_timer(type, id, 'fire', '5ms', '20ms');
		WHEN 6 THEN PERFORM actor_send(type, id, 'fire', request_id => random()::text);
		WHEN 7 THEN PERFORM actor_send(type, id, 'fire', due_time => '15ms');
		WHEN 8 THEN PERFORM actor_delete(type, id);
		WHEN 9 THEN PERFORM actor_delete_reminders(type);
		WHEN 10 THEN PERFORM actor_pause(type, id);
		WHEN 11 THEN PERFORM actor_resume(type, id);
		WHEN 12 THEN
			BEGIN
				PERFORM actor_invoke(type, id, 'put');
				PERFORM actor_unregister(type, random() < 0.5);
			EXCEPTION WHEN OTHERS THEN
				IF sqlstate NOT IN ('2BP01', '42704', '40P01', '55P03', '55000') THEN
					RAISE;
				END IF;
			END;
			PERFORM actor_invoke(type, id, 'put');
		WHEN 13 THEN PERFORM actor_retry(failure_id) FROM actor.failure WHERE actor_type = type LIMIT 2;
		WHEN 14 THEN PERFORM actor_cancel_message(type, id, message_id) FROM actor.message
				WHERE actor_type = type AND actor_id = id LIMIT 2;
		WHEN 15 THEN chain := actor_open_turn(type, id, '50 ms');
			PERFORM actor_invoke(type, id, 'put', reentrancy_id => chain);
		WHEN 16 THEN PERFORM actor_run_due();
		ELSE PERFORM actor_transact(type, id, '[{"operation": "upsert", "request": {"key": "k", "value": 1}}]');
		END CASE;
	END $$;
	-- uses of both types until it is over; what goes wrong is written down
	CREATE PROCEDURE public.use_them() LANGUAGE plpgsql AS $$
	DECLARE
		kind int;
	BEGIN
		PERFORM set_config('actor.call_timeout', '300ms', false);
		PERFORM set_config('client_min_messages', 'error', false);
		COMMIT;
		WHILE NOT EXISTS (SELECT FROM public.over) LOOP
			kind := (random() * 17)::int;
			BEGIN
				FOR i IN 0 .. (random() * 2)::int LOOP
					PERFORM one_use(kind, CASE WHEN random() < 0.5 THEN 'x' ELSE 'y' END,
						(random() * 4)::int::text);
				END LOOP;
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO public.seen VALUES (sqlstate, sqlerrm);
			END;
			IF random() < 0.1 THEN ROLLBACK; ELSE COMMIT; END IF;
		END LOOP;
	END $$;
	CREATE PROCEDURE public.churn(rounds int) LANGUAGE plpgsql AS $$
	DECLARE
		type text;
	BEGIN
		FOR i IN 1 .. rounds LOOP
			type := CASE WHEN random() < 0.5 THEN 'x' ELSE 'y' END;
			BEGIN
				CASE i % 4
				WHEN 0 THEN
					PERFORM actor_unregister(type, true);
					PERFORM pg_sleep(random() * 0.01);
				WHEN 1 THEN PERFORM actor_unregister(type);
				WHEN 2 THEN PERFORM actor_pause(type);
				ELSE PERFORM actor_resume(type);
				END CASE;
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO public.seen VALUES (sqlstate, sqlerrm);
			END;
			IF random() < 0.2 THEN ROLLBACK; ELSE COMMIT; END IF;
			BEGIN
				CALL anew(type);
				PERFORM actor_resume(type);
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO public.seen VALUES (sqlstate, sqlerrm);
			END;
			COMMIT;
			PERFORM pg_sleep(random() * 0.02);
		END LOOP;
	END $$});
my $rounds = $ENV{ACTOR_ROUNDS} || 150;
my @users = map { session('CALL public.use_them();') } 1 .. 4;
my @churners = map { session("CALL public.churn($rounds);") } 1 .. 2;
finish($_, 'types have come and gone') for @churners;
$node->safe_psql('postgres', 'INSERT INTO public.over VALUES (true)');
finish($_, 'they have been used') for @users;

is($node->safe_psql('postgres', 'SELECT orphans()'), '', 'no row is left without a type');
note($node->safe_psql(
	'postgres', 'SELECT code, count(*), min(what) FROM public.seen GROUP BY code ORDER BY code'));
is( $node->safe_psql(
		'postgres', q{
	SELECT DISTINCT code, what FROM public.seen WHERE code NOT IN
		('2BP01', '40001', '40P01', '42704', '42710', '55000', '55P03', '55006')}),
	'',
	'every error is one of those that are to be expected');

# workers are alive, and nothing of what was paused is stuck
$node->safe_psql(
	'postgres', q{
	CALL anew('x');
	CALL anew('y');
	SELECT actor_resume(actor_type, nullif(actor_id, '')) FROM actor.pause;
	SELECT actor_set_reminder('x', 'last', 'last', method => 'nothing');
	SELECT actor_send('y', 'last', 'nothing')});
ok( $node->poll_query_until(
		'postgres', q{
	SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE name = 'last' OR next_try_at = 'infinity')
	   AND NOT EXISTS (SELECT FROM actor.timer WHERE next_try_at = 'infinity')
	   AND NOT EXISTS (SELECT FROM actor.message)}),
	'what is left fires');
$node->safe_psql('postgres', q{SELECT actor_unregister('x', true), actor_unregister('y', true)});
is($node->safe_psql('postgres', 'SELECT orphans()'), '', 'nothing is left after that');
ok( $node->poll_query_until(
		'postgres', q{
	SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')}),
	'and no lock');
unlike(slurp_file($node->logfile),
	qr/PANIC|TRAP|terminated by signal|WARNING:  (?!\w+ "[^"]*" of actor)/,
	'nothing has gone wrong in the server');

$node->stop;
done_testing();
