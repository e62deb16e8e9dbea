# Open turns, as far as the workers and the end of the server are concerned:
# what is due waits until the turn is closed, and nobody is blamed; idle actors
# are left alone; whoever waits is woken; and no open turn outlives the server.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node;

sub start_node
{
	my ($name, $conf) = @_;

	$node = PostgreSQL::Test::Cluster->new($name);
	$node->init;
	$node->append_conf(
		'postgresql.conf', qq{
max_prepared_transactions = 5
restart_after_crash = on
$conf});
	$node->start;
	$node->safe_psql(
		'postgres', q{
		CREATE EXTENSION actor;
		CREATE SCHEMA door;
		CREATE TABLE door.log (
			n     int GENERATED ALWAYS AS IDENTITY,
			id    text DEFAULT actor_id(),
			what  text,
			cause text DEFAULT actor_cause() ->> 'kind');
		CREATE FUNCTION door.note(what text) RETURNS void LANGUAGE sql
			AS $$ INSERT INTO door.log (what) VALUES (what) $$;
		SELECT actor_register('door', reentrancy => true);
	});
	return;
}

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub wait_until
{
	my ($condition, $name) = @_;
	ok($node->poll_query_until('postgres', "SELECT $condition"), $name);
	return;
}

sub open_turn
{
	my ($id, $ttl) = @_;
	return sql("SELECT actor_open_turn('door', '$id', '$ttl')");
}

sub enter
{
	my ($id, $what, $chain) = @_;
	return sql(qq{SELECT actor_invoke('door', '$id', 'note', '["$what"]', '$chain')});
}

# SQLSTATE of what a statement raises
sub refused
{
	my ($sql) = @_;
	my ($ret, $stdout, $stderr) =
	  $node->psql('postgres', "\\set VERBOSITY sqlstate\nSET actor.call_timeout = '10ms';\n$sql");
	return $stderr =~ /ERROR:  (\w{5})/ ? $1 : 'taken';
}

my $note = q{SELECT actor_invoke('door', 'a', 'note', '["foreign"]')};

# A session that calls the actor and has to wait.
sub start_waiter
{
	my $waiter = $node->background_psql('postgres', on_error_stop => 0);

	$waiter->query_safe(q{SET actor.call_timeout = 0; SET application_name = 'waiter'});
	$waiter->query_until(qr/begun/, "\\echo begun\n$note;\n");
	return $waiter;
}

my $waits = q{FROM pg_stat_activity
	WHERE backend_type = 'client backend' AND wait_event_type = 'Extension'};
# also while they look whether they may enter
my $waiters = q{FROM pg_stat_activity
	WHERE application_name = 'waiter' AND state = 'active'};

start_node(
	'preloaded', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});

# What is due for an actor whose turn is open waits.  It is neither counted nor
# recorded, does not hold up others, and costs next to nothing.
my $chain = sql(
	q{
	BEGIN;
	SELECT actor_open_turn('door', 'a', '1 hour');
	DO $$ BEGIN
		PERFORM actor_set_timer('door', 'a', 't', '0s', data => '["timer"]', method => 'note');
		PERFORM actor_set_reminder('door', 'a', 'r', '0s', data => '["reminder"]', method => 'note');
		PERFORM actor_set_reminder('door', 'b', 'r', '0s', data => '["reminder"]', method => 'note');
	END $$;
	COMMIT;
});
wait_until(q{count(*) = 1 FROM door.log WHERE id = 'b'}, 'others are not held up');
my $commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'";
my $before = sql($commits);
wait_until(q{bool_and(clock_timestamp() > scheduled_at + interval '5 seconds')
	FROM actor.reminder}, 'some time goes by');
cmp_ok(sql($commits) - $before, '<', 1000, 'executors do not spin');
enter('a', 'chain', $chain);
sql(q{SELECT actor_set_reminder('door', 'c', 'r', '0s', data => '["reminder"]', method => 'note')});
wait_until(q{count(*) = 1 FROM door.log WHERE id = 'c'}, 'nor are those that come later');
is( sql(q{SELECT 'reminder', attempt, deferrals, last_error IS NULL FROM actor.reminder UNION ALL
		  SELECT 'timer', attempt, deferrals, last_error IS NULL FROM actor.timer UNION ALL
		  SELECT 'failure', count(*), 0, true FROM actor.failure ORDER BY 1}),
	"failure|0|0|t\nreminder|1|0|t\ntimer|1|0|t",
	'nobody is blamed');
is(sql("SELECT actor_close_turn('door', 'a', '$chain')"), 't', 'turn is closed');
wait_until(
	q{string_agg(what, ' ' ORDER BY what) = 'chain reminder timer' AND
	  min(n) FILTER (WHERE what = 'chain') = min(n) FROM door.log WHERE id = 'a'},
	'then they fire');
is(sql('SELECT (SELECT count(*) FROM actor.reminder), (SELECT count(*) FROM actor.timer)'),
	'0|0', 'once');

# So they do when the time is over.
open_turn('a', '2 seconds');
sql(q{SELECT actor_set_reminder('door', 'a', 'r', '0s', data => '["later"]', method => 'note')});
wait_until(q{count(*) = 1 FROM door.log WHERE what = 'later'}, 'reminder fires when the time is over');
is( sql(q{SELECT (SELECT count(*) FROM actor.reminder), (SELECT count(*) FROM actor.failure)}),
	'0|0', 'in one attempt');

# A method of a reminder that calls such an actor is nobody's fault.
sql(q{
	CREATE FUNCTION door.call(id text) RETURNS void LANGUAGE sql
		AS $$ SELECT actor_invoke('door', id, 'note', '["nested"]') $$;
});
$chain = open_turn('a', '1 hour');
sql(q{SELECT actor_set_reminder('door', 'b', 'n', '0s', data => '["a"]', method => 'call')});
wait_until(q{attempt = 1 AND deferrals > 0 AND last_error LIKE '%open to another chain%' FROM actor.reminder},
	'nested call of a reminder is put off');
sql("SELECT actor_close_turn('door', 'a', '$chain')");
wait_until(q{count(*) = 1 FROM door.log WHERE what = 'nested'}, 'and made later');

# All who wait are woken.
sub check_waiters
{
	my ($how) = @_;

	sql(q{DELETE FROM door.log});
	$chain = open_turn('a', '1 hour');
	my @waiters = (start_waiter(), start_waiter());
	wait_until("count(*) = 2 $waits", "$how: two wait");
	is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 19143}),
		'0', "$how: and have no lock on the actor");
	enter('a', 'chain', $chain);
	sql("BEGIN; SELECT actor_close_turn('door', 'a', '$chain'); COMMIT");
	wait_until(q{count(*) = 3 FROM door.log}, "$how: closing lets both enter");
	is(sql(q{SELECT what FROM door.log ORDER BY n LIMIT 1}), 'chain', "$how: afterwards");
	$_->quit foreach @waiters;

	# a prepared transaction
	$chain = open_turn('a', '1 hour');
	sql(q{DELETE FROM door.log});
	@waiters = (start_waiter());
	wait_until("count(*) = 1 $waits", "$how: one waits");
	sql("BEGIN; SELECT actor_close_turn('door', 'a', '$chain'); PREPARE TRANSACTION 'close'");
	is(sql(q{SELECT count(*) FROM door.log}), '0', "$how: closing that is prepared is not done");
	sql(q{COMMIT PREPARED 'close'});
	wait_until(q{count(*) = 1 FROM door.log}, "$how: it is when it is committed");
	$_->quit foreach @waiters;

	# those who are not to wait any longer
	$chain = open_turn('a', '1 hour');
	sql(q{DELETE FROM door.log});
	@waiters = (start_waiter(), start_waiter());
	wait_until("count(*) = 2 $waits", "$how: two wait again");
	sql("SELECT pg_cancel_backend(min(pid)), pg_terminate_backend(max(pid)) $waiters");
	wait_until("count(*) = 0 $waiters", "$how: they can be cancelled and terminated");
	sql("SELECT actor_close_turn('door', 'a', '$chain')");
	is(sql(q{SELECT count(*) FROM door.log}), '0', "$how: they have done nothing");
	$waiters[0]->{run}->finish;
	$waiters[1]->{run}->finish;
	return;
}

check_waiters('preloaded');

# Idle actors whose turn is open are not idle.
sql(q{
	CREATE SCHEMA lamp;
	CREATE FUNCTION lamp.touch() RETURNS void LANGUAGE sql AS '';
	SELECT actor_register('lamp', reentrancy => true, idle_timeout => '100 ms', scan_interval => '100 ms');
});
$chain = sql(q{SELECT actor_open_turn('lamp', 'open', '1 hour')});
sql(q{SELECT actor_invoke('lamp', 'idle', 'touch')});
wait_until(q{count(*) = 1 FROM actor.activation WHERE actor_type = 'lamp'}, 'idle actor is deactivated');
sql(q{SELECT actor_invoke('lamp', 'idle', 'touch')});
wait_until(q{count(*) = 1 FROM actor.activation WHERE actor_type = 'lamp'}, 'again');
is(sql(q{SELECT actor_id FROM actor.activation WHERE actor_type = 'lamp'}), 'open', 'one with an open turn is not');
sql("SELECT actor_close_turn('lamp', 'open', '$chain')");
wait_until(q{NOT EXISTS (SELECT FROM actor.activation WHERE actor_type = 'lamp')}, 'it is when that is closed');

# No open turn outlives the server.
sub check_end
{
	my ($how, $end) = @_;

	$chain = open_turn('a', '1 hour');
	is(refused($note), '55P03', "$how: turn is open");
	$end->();
	is(refused(qq{SELECT actor_invoke('door', 'a', 'note', '["chain"]', '$chain')}),
		'taken', "$how: with the id one enters as with any other");
	is(sql("SELECT actor_close_turn('door', 'a', '$chain')"), 'f', "$how: there is none to be closed");
	is(refused($note), 'taken', "$how: everybody may enter");
	return;
}

check_end('restart', sub { $node->restart });
check_end('immediate shutdown', sub { $node->stop('immediate'); $node->start });
check_end(
	'crash',
	sub {
		my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});

		kill 'KILL', $pid;
		ok( $node->poll_query_until(
				'postgres',
				"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid) AND NOT pg_is_in_recovery()"
			),
			'server has restarted');
	});

# Nor does one that is committed by another server start than it was prepared by.
sql(q{BEGIN; SELECT actor_open_turn('door', 'a', '1 hour'); PREPARE TRANSACTION 'open'});
$node->restart;
is(refused($note), '55P03', 'prepared transaction holds the turn');
sql(q{COMMIT PREPARED 'open'});
is(refused($note), 'taken', 'what it has opened is closed');
$node->stop;

# Without the library preloaded nobody is woken, but finds out.
start_node('not_preloaded', '');
check_waiters('not preloaded');
open_turn('a', '1 second');
sql(q{DELETE FROM door.log});
my $waiter = start_waiter();
wait_until(q{count(*) = 1 FROM door.log}, 'not preloaded: waits until the time is over');
$waiter->quit;
check_end('not preloaded', sub { $node->restart });
$node->stop;

done_testing();
