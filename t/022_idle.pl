# While nothing is due the workers sleep.  How often they do not is counted by
# the kernel, so this depends on no speed: only a process that has slept can be
# woken.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs /proc' unless -r "/proc/$$/status";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
actor.executor_linger = '1h'
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE TABLE hit (id text);
	CREATE SCHEMA t;
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO hit VALUES (actor_id()) $$;
	SELECT actor_register('t');
	SELECT actor_set_reminder('t', 'now', 'fire');
	SELECT actor_set_reminder('t', i::text, 'fire', '1h', '1h') FROM generate_series(1, 1000) i});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM hit'), 'a reminder fires');

# how often a process has gone to sleep
sub sleeps
{
	my ($pid) = @_;
	my ($count) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;

	return $count;
}

my %pids = map { reverse split /\|/ } split /\n/, $node->safe_psql('postgres', q{
	SELECT pid, backend_type FROM pg_stat_activity WHERE backend_type LIKE 'actor %'});
is_deeply([ sort keys %pids ], [ 'actor executor', 'actor launcher', 'actor scheduler' ],
	'there is one process of each kind');

# What a look costs, whatever it waits for; and some of them may still be due to
# what has happened before.
my $look = 20;

my %before = map { $_ => sleeps($pids{$_}) } keys %pids;
my $began = time;
$node->safe_psql('postgres', 'SELECT pg_sleep(10)');
my %after = map { $_ => sleeps($pids{$_}) } keys %pids;
my $looks = 2 + (time - $began) / 60;

for my $kind (sort keys %pids)
{
	cmp_ok($after{$kind} - $before{$kind}, '<=', $look * $looks,
		"$kind does not wake up without need");
}

# they are the same processes, and sleep no deeper than they should
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', 'again', 'fire')});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM hit'),
	'what becomes due wakes them');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type LIKE 'actor %' AND pid IN (} . join(', ', values %pids) . ')'),
	'3', 'they are still the same');

# When nothing is pending but something to be removed much later, no process waits
# for it.
$node->safe_psql('postgres', q{
	SELECT actor_delete_reminder('t', actor_id, name) FROM actor.reminder;
	SELECT actor_delete('t', actor_id) FROM actor.activation;
	INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, scheduled_at,
		failed_at, attempts, sqlstate, message, role_name)
	VALUES ('t', 'x', 'reminder', 'x', 'x', now(), now(), 1, 'P0001', 'x', 'postgres')});
$node->safe_psql('postgres', q{ALTER SYSTEM SET actor.executor_linger = 0});
$node->reload;
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type IN ('actor executor', 'actor scheduler')}),
	'nobody waits for what is removed in a month');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '1', 'it is still there');

# Owners that nobody can connect as, each with an idle actor that is paused: the scheduler
# looks at those of each, and rests until it is time to look again.  It takes a few
# transactions for each of them, not a few for each pair of them.
$node->safe_psql('postgres', q{
	CREATE DATABASE owners;
	REVOKE CONNECT ON DATABASE owners FROM PUBLIC;
	ALTER DATABASE owners SET actor.enabled = off});
$node->safe_psql('owners', q{
	CREATE EXTENSION actor;
	DO $$
	DECLARE
		name text;
	BEGIN
		FOR i IN 1 .. 300 LOOP
			name := 'regress_actor_owner_' || i;
			EXECUTE format('CREATE ROLE %1$I; CREATE SCHEMA %1$I AUTHORIZATION %1$I', name);
			EXECUTE format('SET LOCAL ROLE %I', name);
			EXECUTE format('CREATE FUNCTION %I.rest() RETURNS void LANGUAGE sql AS %L', name, '');
			PERFORM actor_register(name, idle_timeout => '1 s', scan_interval => '1 h');
			RESET ROLE;
			PERFORM actor_invoke(name, 'a', 'rest'), actor_pause(name, 'a');
		END LOOP;
	END $$;
	UPDATE actor.activation SET last_used_at = last_used_at - interval '3 h';
	SELECT count(*) FROM actor.activation});
my $transactions = q{SELECT xact_commit FROM pg_stat_database WHERE datname = 'owners'};
my $until = $node->safe_psql('postgres', $transactions);
$node->safe_psql('owners', 'ALTER DATABASE owners RESET actor.enabled');
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity
		 WHERE backend_type = 'actor scheduler' AND datname = 'owners' AND state = 'idle'
		   AND clock_timestamp() - state_change > interval '3 s'}),
	'a scheduler that has looked at idle actors of many owners rests');
cmp_ok($node->safe_psql('postgres', $transactions) - $until, '<=', 20 * 300, 'after a few transactions for each of them');
is($node->safe_psql('owners', 'SELECT count(*) FROM actor.activation'), '300', 'those that are paused stay active');

$node->stop;
done_testing();
