# Every firing takes effect exactly once, whatever is killed: some thousand
# firings while the server is stopped without mercy, a backend is killed with
# SIGKILL, and workers are terminated.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('exactly_once');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
restart_after_crash = on
});
$node->start;

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_one LOGIN;
	CREATE ROLE regress_actor_two LOGIN;
	CREATE SCHEMA counter;
	GRANT USAGE ON SCHEMA counter TO PUBLIC;
	CREATE TABLE counter.hit (id text, name text, scheduled_at timestamptz);
	CREATE TABLE counter.expected (id text, name text, scheduled_at timestamptz);
	GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA counter TO PUBLIC;
	CREATE FUNCTION counter.tick() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0) + 1);
		INSERT INTO counter.hit VALUES (actor_id(), actor_cause() ->> 'name',
			coalesce((actor_cause() ->> 'scheduled_at')::timestamptz, '-infinity'));
	END $$;
	SELECT actor_register('counter', call_timeout => '0');
});

# Registers what is to come, and writes down what that must lead to: for each
# of 100 actors ten single firings, and three series.  Some lie in the past, so
# that all of it is busy work from the beginning; the last ones are due only
# after a while.
foreach my $role (qw(one two))
{
	$node->safe_psql(
		'postgres', qq{
		SET ROLE regress_actor_$role;
		BEGIN;
		CREATE TEMP TABLE plan ON COMMIT DROP AS
			SELECT format('$role %s', a) AS id, clock_timestamp() AS now
			  FROM generate_series(1, 50) a;

		SELECT count(actor_set_reminder('counter', id, 'single ' || i,
					now + (i - 3) * interval '1 s', method => 'tick'))
		  FROM plan, generate_series(1, 10) i;
		INSERT INTO counter.expected
			SELECT id, 'single ' || i, now + (i - 3) * interval '1 s'
			  FROM plan, generate_series(1, 10) i;

		-- ends by its ttl
		SELECT count(actor_set_reminder('counter', id, 'short', now - interval '1 s',
					period => interval '100 ms', ttl => interval '2 s',
					method => 'tick', catch_up => 'all'))
		  FROM plan;
		INSERT INTO counter.expected
			SELECT id, 'short', now - interval '1 s' + k * interval '100 ms'
			  FROM plan, generate_series(0, 19) k;

		-- ends by its count
		SELECT count(actor_set_reminder('counter', id, 'counted',
					to_char(now - interval '3 s', 'YYYY-MM-DD"T"HH24:MI:SS.USOF:00'), 'R8/PT1S',
					method => 'tick', catch_up => 'all'))
		  FROM plan;
		INSERT INTO counter.expected
			SELECT id, 'counted', now - interval '3 s' + k * interval '1 s'
			  FROM plan, generate_series(0, 7) k;

		-- a long way back, and its calendar has nothing to do with seconds
		SELECT count(actor_set_reminder('counter', id, 'daily', now - interval '4 days',
					period => interval '1 day', ttl => interval '5 days',
					method => 'tick', catch_up => 'all'))
		  FROM plan;
		INSERT INTO counter.expected
			SELECT id, 'daily', now - interval '4 days' + k * interval '1 day'
			  FROM plan, generate_series(0, 4) k;
		COMMIT;
	});
}
my $total = $node->safe_psql('postgres', 'SELECT count(*) FROM counter.expected');
is($total, 100 * (10 + 20 + 8 + 5), 'schedule is as planned');

sub wait_for_hits
{
	my ($part) = @_;

	ok( $node->poll_query_until('postgres',
			"SELECT count(*) >= $part * $total / 12 FROM counter.hit WHERE name IS NOT NULL"),
		"$part twelfths of the firings are done");
}

# SIGKILL of a process makes the server start again.
sub kill_one
{
	my ($kind) = @_;
	my $pid;

	until ($pid)
	{
		$node->poll_query_until('postgres',
			"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'actor $kind'")
		  or die "there is no $kind";
		$pid = $node->safe_psql('postgres',
			"SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'actor $kind'");
	}
	my $started = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time(), pid'
		  . " FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
	kill 'KILL', $pid;
	$node->poll_query_until('postgres',
		"SELECT (pg_postmaster_start_time() || '|' || pid) <> '$started'"
		  . " FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
	  or die 'server does not come back';
}

sub terminate_all
{
	my ($kind) = @_;

	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'actor $kind'");
}

# clients take turns in between
my $client_calls = 0;

sub call_some
{
	$node->safe_psql('postgres',
		"SELECT actor_invoke('counter', format('one %s', a), 'tick')"
		  . ' FROM generate_series(1, 50, 7) a ORDER BY a');
	$client_calls += 8;
}

my @trouble = (
	sub { terminate_all('executor') },
	sub { $node->stop('immediate'); $node->start; },
	sub { terminate_all('scheduler') },
	sub { kill_one('executor') },
	sub { terminate_all('%') },
	sub { $node->stop('immediate'); $node->start; },
	sub { $node->restart('fast') },
	sub { kill_one('scheduler') },
	sub { terminate_all('executor'); terminate_all('launcher') },
	sub { $node->stop('immediate'); $node->start; });

my $step = 0;
foreach my $trouble (@trouble)
{
	$step++;
	wait_for_hits($step);
	call_some();
	$trouble->();
	call_some();
}

ok( $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.reminder'),
	'in the end no reminder is left');
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM ((TABLE counter.expected EXCEPT ALL'
		  . ' SELECT * FROM counter.hit WHERE name IS NOT NULL)) missing'),
	'0', 'no firing is missing');
is( $node->safe_psql('postgres',
		'SELECT count(*) FROM ((SELECT * FROM counter.hit WHERE name IS NOT NULL'
		  . ' EXCEPT ALL TABLE counter.expected)) surplus'),
	'0', 'none has happened twice, or at a time that is not in the schedule');
is($node->safe_psql('postgres', 'SELECT count(*) FROM counter.hit WHERE name IS NULL'),
	$client_calls, 'each call of a client has happened once');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM actor.state s
		  FULL JOIN (SELECT id, count(*) AS n FROM counter.hit GROUP BY id) h
		    ON s.actor_type = 'counter' AND s.actor_id = h.id AND s.key = 'n'
		 WHERE (s.value #>> '{}')::bigint IS DISTINCT FROM h.n}),
	'0', 'the state of each actor agrees with the table');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'),
	'0', 'no firing was given up');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:/, 'no assertion has failed');

done_testing();
