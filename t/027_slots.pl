# The server has no slot for a worker: what is due waits, without wearing out the
# processor or the log, and fires when there is one.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

# the launcher and a scheduler, and no executor
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 2
max_logical_replication_workers = 0
max_parallel_workers = 0
actor.max_workers = 8
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_other LOGIN;
	CREATE TABLE hit (id text);
	GRANT INSERT ON hit TO PUBLIC;
	CREATE SCHEMA t;
	GRANT USAGE ON SCHEMA t TO PUBLIC;
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO hit VALUES (actor_id()) $$;
	SELECT actor_register('t')});

sub lines
{
	my ($pattern, $offset) = @_;
	my @lines = substr(slurp_file($node->logfile), $offset) =~ /$pattern/g;

	return scalar @lines;
}

# how often a process has gone to sleep; 0 where that is not known
sub sleeps
{
	my ($pid) = @_;

	return 0 unless -r "/proc/$pid/status";
	my ($count) = slurp_file("/proc/$pid/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m;
	note("process $pid has slept $count times");
	return $count;
}

# how often a process may go to sleep in a while: some times for a look each second
sub allowed
{
	my ($since) = @_;
	return 6 * (2 + time - $since);
}

my $no_slot = qr/could not register background worker/;
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q{
	SELECT actor_set_reminder('t', 'one', 'fire', '', '100ms');
	SET SESSION AUTHORIZATION regress_actor_other;
	SELECT actor_set_reminder('t', 'two', 'fire')});
$node->wait_for_log($no_slot, $offset);
my $scheduler = $node->safe_psql('postgres',
	q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor scheduler'});
my $before = sleeps($scheduler);
my $began = time;
$node->safe_psql('postgres', 'SELECT pg_sleep(5)');
cmp_ok(sleeps($scheduler) - $before, '<=', allowed($began),
	'a scheduler that finds no slot does not spin');
is(lines($no_slot, $offset), 1, 'the log says so once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM hit'), '0', 'nothing has fired');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'actor scheduler' AND pid = } . $scheduler), '1',
	'the scheduler waits for a slot');

# a second database finds not even a scheduler
$node->safe_psql('postgres', 'CREATE DATABASE second');
$node->safe_psql('second', q{
	CREATE EXTENSION actor;
	CREATE TABLE hit (id text);
	CREATE SCHEMA t;
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO hit VALUES (actor_id()) $$;
	SELECT actor_register('t');
	SELECT actor_set_reminder('t', 'three', 'fire')});
my $launcher = $node->safe_psql('postgres',
	q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor launcher'});
$before = sleeps($launcher);
$began = time;
$node->safe_psql('postgres', 'SELECT pg_sleep(5)');
cmp_ok(sleeps($launcher) - $before, '<=', allowed($began),
	'a launcher that finds no slot does not spin');
is(lines($no_slot, $offset), 1, 'the log says nothing more');

# with slots everything fires
$node->append_conf('postgresql.conf', 'max_worker_processes = 16');
$node->restart;
ok( $node->poll_query_until('postgres', q{SELECT count(DISTINCT id) = 2 FROM hit}),
	'what had to wait fires');
ok( $node->poll_query_until('second', q{SELECT count(*) = 1 FROM hit}),
	'in the other database, too');

# Executors that are held up are not more than there may be, and others wait for
# them without spinning.
$node->append_conf('postgresql.conf', q{
actor.max_executors = 1
actor.drain_rebalanced_actors = off
});
$node->reload;
$node->safe_psql('postgres', q{
	SELECT actor_delete_reminder('t', 'one', 'fire');
	TRUNCATE hit;
	CREATE FUNCTION t.block() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM pg_sleep(3600); END $$;
	SELECT actor_set_reminder('t', 'blocker', 'block')});
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND state = 'active'
		AND query LIKE 'reminder "block" %'}),
	'the only executor is held up');
$node->safe_psql('postgres', q{
	SET SESSION AUTHORIZATION regress_actor_other;
	SELECT actor_set_reminder('t', 'waits', 'fire')});
$scheduler = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity
	WHERE backend_type = 'actor scheduler' AND datname = 'postgres'});
$before = sleeps($scheduler);
$began = time;
$node->safe_psql('postgres', 'SELECT pg_sleep(5)');
cmp_ok(sleeps($scheduler) - $before, '<=', allowed($began),
	'a role that waits for it does not make the scheduler spin');
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND query LIKE 'reminder "block" %'});
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM hit}),
	'it fires when the executor is free');

# Executors for several long callbacks of one role are started at once, not each when
# the one before has found something to do: here none of them gets as far.
$node->append_conf('postgresql.conf', q{
max_worker_processes = 32
actor.max_workers = 20
actor.max_executors = 6
log_min_messages = debug1
});
$node->restart;
my $sender = $node->background_psql('postgres');
$sender->query_safe(q{SELECT actor_set_reminder('t', 'long 1', 'block')});
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND state = 'active'
		AND query LIKE 'reminder "block" of actor "long 1" %'}),
	'the executor of a role is held up');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE pg_db_role_setting IN ACCESS EXCLUSIVE MODE');
$offset = -s $node->logfile;
$sender->query_safe(q{SELECT actor_set_reminder('t', 'long ' || i, 'block') FROM generate_series(2, 4) i});
my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;
my $starting = qr/starting background worker process "actor executor/;
sleep 0.1 while lines($starting, $offset) < 2 && $tries-- > 0;
# (there can be one already)
cmp_ok(lines($starting, $offset), '>=', 2, 'more are started for three more callbacks');
$locker->query_safe('ROLLBACK');
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 4 FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND state = 'active'
		AND query LIKE 'reminder "block" of actor "long %'}),
	'which all run');
$_->quit foreach $sender, $locker;

# A scheduler that ends before the executor that it has asked for has begun: if that cannot
# begin, its slot does not stay taken.  Here the postmaster is stopped meanwhile, and can
# start no processes for a while then.
sub has_signal
{
	my ($pid, $number) = @_;
	my ($pending) = slurp_file("/proc/$pid/status") =~ /^ShdPnd:\s+([0-9a-f]+)/m;

	return hex($pending) & 1 << ($number - 1);
}

SKIP:
{
	skip 'the limits of a process cannot be changed', 1
	  if $> == 0 || !-r '/proc/self/status' || system('prlimit --version >/dev/null 2>&1') != 0;

	my $far = q{SELECT actor_set_reminder('t', 'far', 'fire', '10h')};
	$node->append_conf('postgresql.conf', "autovacuum = off\nactor.max_executors = 1\nactor.enabled = off");
	$node->restart;
	$node->safe_psql('postgres', "DELETE FROM actor.reminder; TRUNCATE hit; $far");
	$node->append_conf('postgresql.conf', 'actor.enabled = on');
	$node->restart;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'actor scheduler'}),
		'there is a scheduler, and no executor');

	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	my $limit = "prlimit --pid $postmaster --nproc";
	chomp(my $soft = `$limit --raw --noheadings --output SOFT`);
	my $client = $node->background_psql('postgres', on_error_stop => 1);
	my $asked = sub {
		for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
		{
			return 1 if $_[0]->();
			sleep 0.1;
		}
		return 0;
	};

	$offset = -s $node->logfile;
	kill 'STOP', $postmaster;
	$client->query_safe(q{SELECT actor_set_reminder('t', 'stranded', 'fire')});
	# SIGUSR1
	my $registered = $asked->(sub { has_signal($postmaster, 10) });
	$client->query_safe(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'actor scheduler'});
	my $gone = $asked->(sub { $client->query_safe(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'actor scheduler'}) eq '0' });
	system("$limit=1:");
	kill 'CONT', $postmaster;
	ok($registered && $gone, 'a scheduler asks for an executor, and ends');
	$node->wait_for_log(qr/starting background worker process "actor executor.*\n.*could not fork (?:background )?worker process/, $offset);
	system("$limit=$soft:");
	$client->quit;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM hit WHERE id = 'stranded'}), 'the next one asks for it again');
}

$node->stop;
done_testing();
