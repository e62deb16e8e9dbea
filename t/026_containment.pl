# What happens to one firing, or between two, does not reach others.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
max_prepared_transactions = 2
actor.max_executors = 1
actor.executor_linger = '1h'
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE TABLE hit (id text, pid int);
	CREATE TABLE release ();
	GRANT ALL ON hit TO PUBLIC;
	CREATE SCHEMA t;
	GRANT USAGE ON SCHEMA t TO PUBLIC;
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO hit VALUES (actor_id(), pg_backend_pid()) $$;
	CREATE FUNCTION t.block() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			WHILE NOT EXISTS (SELECT FROM release) LOOP PERFORM pg_sleep(0.01); END LOOP;
			INSERT INTO hit VALUES (actor_id(), pg_backend_pid());
		END $$;
	CREATE FUNCTION t.spin() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;
	SELECT actor_register('t')});

sub remind
{
	my ($id, $method, $rest) = @_;
	$node->safe_psql('postgres', "SELECT actor_set_reminder('t', '$id', '$method'"
		  . ($rest ? ", $rest)" : ')'));
	return;
}

sub fired
{
	my ($id, $what) = @_;
	ok($node->poll_query_until('postgres', "SELECT count(*) > 0 FROM hit WHERE id = '$id'"), $what);
	return;
}

# the process that runs a callback, as its activity tells
sub runs
{
	my ($id, $what) = @_;
	ok( $node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM pg_stat_activity
			WHERE backend_type = 'actor executor' AND state = 'active'
			AND query LIKE '%of actor "$id" of type%'}),
		$what);
	return;
}

sub executor
{
	return $node->safe_psql('postgres', q{SELECT string_agg(pid::text, ' ') FROM pg_stat_activity
		WHERE backend_type = 'actor executor'});
}

#
# A cancel that arrives when no callback runs is for nobody
#
remind('first', 'fire');
fired('first', 'a reminder fires');
my $pid = executor();
for my $i (1 .. 3)
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	remind("after cancel $i", 'fire');
	fired("after cancel $i", 'a cancel of an idle executor does not reach the next firing');
}
is(executor(), $pid, 'nor does it end the process');
is($node->safe_psql('postgres', 'SELECT count(DISTINCT pid) FROM hit'), '1', 'which has done all');

# the callback that runs is cancelled, and no other
remind('cancelled', 'block');
runs('cancelled', 'a callback runs');
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
ok( $node->poll_query_until('postgres',
		q{SELECT deferrals > 0 AND attempt = 1 FROM actor.reminder WHERE actor_id = 'cancelled'}),
	'a callback is cancelled');
$node->safe_psql('postgres', 'INSERT INTO release DEFAULT VALUES');
fired('cancelled', 'it runs again');
is(executor(), $pid, 'in the same process');
$node->safe_psql('postgres', 'TRUNCATE release');

#
# Bookkeeping that fails: here because a superuser has damaged the row
#
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', 'broken', 'fire', '1h')});
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q{
	UPDATE actor.reminder SET failure_policy = '{"nonsense": {}}', next_try_at = now()
		WHERE actor_id = 'broken'});
for my $i (1 .. 3)
{
	remind("beside broken $i", 'fire');
	fired("beside broken $i", 'a row that cannot be dealt with holds up no other of its role');
}
is(executor(), $pid, 'nor does it end the process');
ok( $node->wait_for_log(qr/reminder "fire" of actor "broken" of type "t" failed: invalid failure_policy/,
		$offset),
	'the log tells');
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.reminder WHERE actor_id = 'broken'}),
	'1', 'it stays');
$node->safe_psql('postgres', q{UPDATE actor.reminder SET failure_policy = NULL
	WHERE actor_id = 'broken'});
fired('broken', 'and fires when it has been repaired');

#
# A busy actor is queued for, but does not hold up others of the role
#
my $client = $node->background_psql('postgres');
$client->query_safe('BEGIN');
$client->query_safe(q{SELECT actor_invoke('t', 'busy', 'fire')});
remind('busy', 'fire');
ok( $node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks l
		JOIN pg_stat_activity a USING (pid)
		WHERE a.backend_type = 'actor executor' AND NOT l.granted AND l.locktype = 'advisory'}),
	'a late firing queues for the turn of a busy actor');
for my $i (1 .. 20)
{
	remind("beside busy $i", 'fire');
}
fired("beside busy $_", "others of its role fire meanwhile, with one executor: $_") for 1, 20;
is($node->safe_psql('postgres', q{SELECT count(*) FROM hit WHERE id = 'busy'}), '0',
	'the busy actor is still busy');
$client->query_safe('ROLLBACK');
$client->quit;
fired('busy', 'it fires when the actor is free');

#
# An infinite loop: only that row suffers
#
$node->append_conf('postgresql.conf', q{
actor.max_executors = 3
actor.callback_timeout = '3s'
});
$node->reload;
remind('spin', 'spin', q{failure_policy => '{"constant": {"interval": "10ms", "maxRetries": 1}}'});
runs('spin', 'a callback loops for ever');
for my $i (1 .. 3)
{
	remind("beside spin $i", 'fire', "'10ms'");
	fired("beside spin $i", 'others of its role fire meanwhile');
	remind("beside spin, periodic $i", 'fire', "'', 'R3/PT1S', catch_up => 'all'");
}
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM
		(SELECT id FROM hit WHERE id LIKE 'beside spin, periodic%'
			GROUP BY id HAVING count(*) = 3) h}),
	'periodic ones, too');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.failure}),
	'it is cancelled each time, and given up');
is($node->safe_psql('postgres', 'SELECT actor_id, sqlstate, attempts FROM actor.failure'),
	'spin|57014|2', 'as too slow');

#
# What another session has prepared is seen when it is committed
#
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.reminder}),
	'nothing is pending');
$node->append_conf('postgresql.conf', q{actor.executor_linger = 0});
$node->reload;
$node->safe_psql('postgres', q{SELECT actor_delete('t', actor_id) FROM actor.activation});
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type = 'actor scheduler'}),
	'nobody looks');
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT actor_set_reminder('t', 'prepared', 'fire');
	PREPARE TRANSACTION 'p'});
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.reminder}), '0', 'a registration is prepared');
$node->safe_psql('postgres', q{COMMIT PREPARED 'p'});
fired('prepared', 'it fires when it is committed');

#
# Who owns the database has what pg_database_owner has, and nobody else any more
#
$node->safe_psql('postgres', q{
	CREATE ROLE regress_actor_old LOGIN;
	CREATE ROLE regress_actor_new LOGIN;
	CREATE DATABASE owned OWNER regress_actor_old});
$node->safe_psql('owned', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA s;
	GRANT USAGE ON SCHEMA s TO pg_database_owner;
	CREATE FUNCTION s.read() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
	REVOKE EXECUTE ON FUNCTION s.read() FROM PUBLIC;
	GRANT EXECUTE ON FUNCTION s.read() TO pg_database_owner;
	SELECT actor_register('s')});
my $session = $node->background_psql('owned', on_error_stop => 0);
$session->query('SET SESSION AUTHORIZATION regress_actor_old');
my $call = q{SELECT actor_invoke('s', 'a', 'read')};
is($session->query($call), '1', 'the owner of a database has what was granted to pg_database_owner');
$node->safe_psql('postgres', 'ALTER DATABASE owned OWNER TO regress_actor_new');
isnt($session->query($call), '1', 'but not when it is another one');
$session->query('RESET SESSION AUTHORIZATION; SET SESSION AUTHORIZATION regress_actor_new');
is($session->query($call), '1', 'who has it from then on');
$session->quit;

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');
done_testing();
