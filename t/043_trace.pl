# The trace context where workers run: it goes with a message to the reminder
# that its method sets and on to the timer of that, each in a process of its
# own, and is in the log and with the failures.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my $other = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';

my $node = PostgreSQL::Test::Cluster->new('traced');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
deadlock_timeout = '10ms'
actor.executor_linger = '1h'
actor.max_executors = 1
});
$node->start;

sub query
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

sub wait_for
{
	my ($query, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $query"), $what);
}

query(
	q{CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE TABLE t.log (what text, traceparent text, pid int DEFAULT pg_backend_pid());
	CREATE FUNCTION t.note(what text) RETURNS void LANGUAGE sql AS $$
		INSERT INTO t.log VALUES (what, current_setting('actor.traceparent')) $$;
	CREATE FUNCTION t.by_message() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM t.note('message');
		PERFORM actor_set_reminder('t', 'b', 'by_reminder');
	END $$;
	CREATE FUNCTION t.by_reminder() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM t.note('reminder');
		PERFORM actor_set_timer('t', 'c', 'by_timer');
	END $$;
	CREATE FUNCTION t.by_timer() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM t.note('timer');
		-- the process is used again
		PERFORM set_config('actor.traceparent', '}
	  . $other . q{', false);
	END $$;
	CREATE FUNCTION t.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'no luck'; END $$;
	CREATE FUNCTION t.fail_later() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_terminate_backend(pg_backend_pid());
	END $$;
	CREATE FUNCTION t.put() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM t.note('call'); END $$;
	SELECT actor_register('t')});

query("SET actor.traceparent = '$trace'; SELECT actor_send('t', 'a', 'by_message')");
wait_for('count(*) = 3 FROM t.log', 'a message, a reminder and a timer follow one another');
is(query('SELECT what, traceparent FROM t.log ORDER BY what'),
	"message|$trace\nreminder|$trace\ntimer|$trace", 'with one trace');
query("TRUNCATE t.log; SELECT actor_send('t', 'd', 'note', '[\"none\"]')");
wait_for('count(*) = 1 FROM t.log', 'another message is delivered');
is(query('SELECT what, traceparent FROM t.log'), 'none|', 'without it');

my $offset = -s $node->logfile;
query(
	qq{SET actor.traceparent = '$trace';
	SELECT actor_set_reminder('t', 'a', 'fail', failure_policy => '{"drop": {}}');
	SET actor.traceparent = '$other';
	SELECT actor_set_reminder('t', 'a', 'fail_later', failure_policy => '{"drop": {}}')});
wait_for("count(*) = 2 FROM actor.failure", 'a method fails, and one ends its process');
is(query('SELECT name, traceparent FROM actor.failure ORDER BY name'),
	"fail|$trace\nfail_later|$other", 'which is written down with the trace');
ok( $node->wait_for_log(
		qr/LOG:  reminder "fail" of actor "a" of type "t" failed: no luck\n.*DETAIL:  .*Trace: $trace\./, $offset),
	'and in the log');
ok( $node->wait_for_log(
		qr/LOG:  reminder "fail_later" of actor "a" of type "t" failed: .*\n.*DETAIL:  .*Trace: $other\./, $offset),
	'by whoever writes it');

# turns
$offset = -s $node->logfile;
my $holder = $node->background_psql('postgres');
my $waiter = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe("SELECT actor_invoke('t', 'x', 'put')");
$waiter->query_safe('SET actor.log_turn_waits = on');
$waiter->query_safe('SET actor.log_min_turn_duration = 0');
$waiter->query_safe("SET actor.traceparent = '$trace'");
$waiter->query_until(qr/started/, "\\echo started\nSELECT actor_invoke('t', 'x', 'put');\n");
ok( $node->wait_for_log(
		qr/still waiting for ExclusiveLock on advisory lock.*?CONTEXT: .*?call chain: t\/x\n.*?trace: $trace\n/s,
		$offset),
	'a call that waits for its turn is logged with it');
$holder->query_safe('COMMIT');
$waiter->query_safe('SELECT 1');
ok( $node->wait_for_log(
		qr/LOG:  method "put" of actor "x" of type "t" ran for .*\n.*DETAIL:  Call chain: t\/x\.put\. Trace: $trace\.\n/,
		$offset),
	'and a method that takes long');
$holder->quit;
$waiter->quit;

$node->stop;
done_testing();
