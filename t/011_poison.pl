# Callbacks that end their own process, crash the server, eat memory or fail
# must not keep others from firing, and must come to an end.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
restart_after_crash = on
actor.batch_time = 1s
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_other LOGIN;
	CREATE SCHEMA t;
	GRANT USAGE ON SCHEMA t TO PUBLIC;
	CREATE TABLE t.log (id text, attempt int);
	CREATE TABLE t.release ();
	GRANT ALL ON t.log TO PUBLIC;
	CREATE FUNCTION t.plain() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO t.log VALUES (actor_id(), (actor_cause() ->> 'attempt')::int); END $$;
	CREATE FUNCTION t.suicide() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_terminate_backend(pg_backend_pid());
			PERFORM pg_sleep(3600);
		END $$;
	CREATE FUNCTION t.block() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN WHILE NOT EXISTS (SELECT FROM t.release) LOOP PERFORM pg_sleep(0.1); END LOOP; END $$;
	CREATE FUNCTION t.hog() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN PERFORM repeat('x', 1000 * 1000 * 1000) || repeat('x', 100 * 1000 * 1000); END $$;
	SELECT actor_register('t')});

sub done
{
	my ($where) = @_;
	return $node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE $where)");
}

sub failure
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT sqlstate || ' ' || attempts FROM actor.failure WHERE actor_id = '$id'");
}

my $quick = q{failure_policy => '{"constant": {"interval": "10ms", "maxRetries": 2}}'};

# a callback that ends its own process, in a batch
$node->safe_psql('postgres', qq{
	BEGIN;
	SELECT actor_set_reminder('t', 'a' || i, 'plain') FROM generate_series(1, 10) i;
	SELECT actor_set_reminder('t', 'm', 'suicide', $quick);
	SELECT actor_set_reminder('t', 'z' || i, 'plain') FROM generate_series(1, 10) i;
	COMMIT});
ok(done("method = 'plain'"), 'the others fire');
ok(done('true'), 'it comes to an end');
is(failure('m'), '57P01 3', 'it has failed each time');
is( $node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id), max(attempt) FROM t.log'),
	'20|20|1', 'the others have fired once, and lost no attempt');

# a callback that somebody else ends is not to blame
$node->safe_psql('postgres', qq{SELECT actor_set_reminder('t', 'b', 'block', $quick)});
# (a death goes unnoted when another executor has the row again before)
my $noted = 0;
for my $i (1 .. 50)
{
	$node->poll_query_until('postgres', q{
			SELECT coalesce(bool_or(pg_terminate_backend(pid, 60000)), false) FROM pg_stat_activity
			WHERE backend_type = 'actor executor' AND state = 'active' AND query LIKE 'reminder "block" %'})
		or last;
	$noted = $node->safe_psql('postgres', q{SELECT deferrals FROM actor.reminder WHERE actor_id = 'b'});
	last if $noted >= 5;
}
cmp_ok($noted, '>=', 5, 'that its process is ended is noted');
is( $node->safe_psql('postgres', q{SELECT attempt FROM actor.reminder WHERE actor_id = 'b'}),
	'1', 'and costs no attempt');
is(failure('b'), '', 'it has not failed');

# so is one that is cancelled
ok( $node->poll_query_until('postgres', q{
		SELECT coalesce(bool_or(pg_cancel_backend(pid)), false) FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND state = 'active' AND query LIKE 'reminder "block" %'}),
	'it is cancelled');
ok( $node->poll_query_until('postgres',
		q{SELECT deferrals >= 6 AND attempt = 1 FROM actor.reminder WHERE actor_id = 'b'}),
	'that costs no attempt either');

# one bad row of each kind, and others of the same and of another role
$node->safe_psql('postgres', qq{
	TRUNCATE t.log;
	SELECT actor_set_reminder('t', 'hog', 'hog', $quick);
	SELECT actor_set_reminder('t', 'p' || i, 'plain') FROM generate_series(1, 10) i;
	SET SESSION AUTHORIZATION regress_actor_other;
	SELECT actor_set_reminder('t', 'q' || i, 'plain') FROM generate_series(1, 10) i});
ok(done("method = 'plain'"), 'a blocked callback does not delay others');
ok(done("method = 'hog'"), 'one that eats memory ends');
like(failure('hog'), qr/^\w{5} 3$/, 'with an error like any other');

# The server crashes while a callback runs: it runs alone from then on, and is
# given up when that has happened three times.  The others lose nothing.
$node->safe_psql('postgres', 'INSERT INTO t.release DEFAULT VALUES');
ok(done('true'), 'nothing runs');
$node->safe_psql('postgres', q{
	TRUNCATE t.log, t.release;
	SELECT actor_set_reminder('t', 'crash', 'block');
	SELECT actor_set_reminder('t', 'n' || i, 'plain', period => '100ms')
		FROM generate_series(1, 5) i});
for my $i (1 .. 3)
{
	ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
			WHERE backend_type = 'actor executor' AND state = 'active' AND query LIKE 'reminder "block" %'}),
		"it runs ($i)");
	my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND state = 'active' AND query LIKE 'reminder "block" %'});
	if ($i == 2)
	{
		# the whole server, as if the machine had lost its mind
		$node->stop('immediate');
		$node->start;
	}
	else
	{
		my $started = $node->safe_psql('postgres',
			"SELECT count(*) FROM t.log") + 0;
		my $launcher = $node->safe_psql('postgres',
			q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor launcher'});
		kill 'KILL', $pid;
		ok( $node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM pg_stat_activity
				WHERE backend_type = 'actor launcher' AND pid <> $launcher}),
			"the server is back ($i)");
	}
}
ok(done("actor_id = 'crash'"), 'it is given up');
is(failure('crash'), '57P02 1', 'as a failure of its own kind');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM actor.failure WHERE actor_id LIKE 'n%'}),
	'0', 'nobody else has failed');
ok( $node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM t.log WHERE id = 'n1'}),
	'the others go on');
is( $node->safe_psql('postgres', 'SELECT max(attempt) FROM t.log'),
	'1', 'and have lost no attempt');

$node->stop;
done_testing();
