# Every firing takes effect exactly once, whatever is killed: some thousand
# firings while the whole server or one of its processes is killed with SIGKILL,
# again and again, the server is stopped with and without mercy, and workers are
# terminated at random.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

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
# of 100 actors twenty single firings, and four series.  Some lie in the past, so
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
		  FROM plan, generate_series(1, 20) i;
		INSERT INTO counter.expected
			SELECT id, 'single ' || i, now + (i - 3) * interval '1 s'
			  FROM plan, generate_series(1, 20) i;

		-- ends by its ttl
		SELECT count(actor_set_reminder('counter', id, 'short', now - interval '1 s',
					period => interval '100 ms', ttl => interval '2 s',
					method => 'tick', catch_up => 'all'))
		  FROM plan;
		INSERT INTO counter.expected
			SELECT id, 'short', now - interval '1 s' + k * interval '100 ms'
			  FROM plan, generate_series(0, 19) k;

		-- goes on all the time
		SELECT count(actor_set_reminder('counter', id, 'beat', now - interval '1 s',
					period => interval '500 ms', ttl => interval '15 s',
					method => 'tick', catch_up => 'all'))
		  FROM plan;
		INSERT INTO counter.expected
			SELECT id, 'beat', now - interval '1 s' + k * interval '500 ms'
			  FROM plan, generate_series(0, 29) k;

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
is($total, 100 * (20 + 20 + 30 + 8 + 5), 'schedule is as planned');

sub wait_for_hits
{
	my ($part, $parts) = @_;

	ok( $node->poll_query_until('postgres',
			"SELECT count(*) >= $part * $total / $parts FROM counter.hit WHERE name IS NOT NULL"),
		"$part of $parts parts of the firings are done");
}

# SIGKILL of the postmaster: the others notice, and end; until then there is no
# new server.
sub kill_server
{
	$node->kill9;
	foreach my $i (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $node->start(fail_ok => 1);
		sleep(0.1);
		# forget what is left of the attempt
		$node->stop('fast', fail_ok => 1);
	}
	die 'server does not start';
}

# SIGKILL of a process makes the server start again.  There may be no executor any
# more, when all has fired.
sub kill_one
{
	my ($kind) = @_;
	my $pid;

	until ($pid)
	{
		$node->poll_query_until('postgres',
			"SELECT count(*) > 0 OR NOT EXISTS (SELECT FROM actor.reminder)"
			  . " FROM pg_stat_activity WHERE backend_type = 'actor $kind'")
		  or die "there is no $kind";
		return if $node->safe_psql('postgres', 'SELECT count(*) FROM actor.reminder') eq '0';
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

# one worker, whichever
sub terminate_one
{
	$node->safe_psql('postgres',
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'actor %' ORDER BY random() LIMIT 1");
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
	\&kill_server,
	sub { terminate_all('scheduler') },
	sub { kill_one('executor') },
	\&kill_server,
	sub { terminate_all('%') },
	sub { $node->stop('immediate'); $node->start; },
	\&kill_server,
	sub { $node->restart },
	sub { kill_one('scheduler') },
	\&kill_server,
	sub { terminate_all('executor'); terminate_all('launcher') },
	\&kill_server,
	sub { kill_one('executor') },
	\&kill_server);

my $step = 0;
foreach my $trouble (@trouble)
{
	$step++;
	wait_for_hits($step, @trouble + 2);
	call_some();
	$trouble->();
	call_some();
	terminate_one();
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

# a worker that never has to wait ends with the postmaster all the same
$node->safe_psql('postgres', q{
	CREATE FUNCTION counter.endless() RETURNS void LANGUAGE sql
		AS $$ SELECT actor_send('counter', actor_id(), 'endless') $$;
	SELECT count(actor_send('counter', 'endless ' || i, 'endless')) FROM generate_series(1, 20) i});
my $sent = 'SELECT last_value FROM actor.message_message_id_seq';
my $before = $node->safe_psql('postgres', $sent);
ok($node->poll_query_until('postgres', "SELECT ($sent) > $before + 40"), 'there is always something to do');
kill_server();
ok($node->poll_query_until('postgres', "SELECT ($sent) > $before + 80"), 'also for those who come after a server that was killed');
$node->safe_psql('postgres', 'ALTER FUNCTION counter.endless RENAME TO _ended');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:/, 'no assertion has failed');

done_testing();
