# A session that ends in the middle of a turn: the turn is free, nothing is
# half written, and the next caller goes on.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('session');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_prepared_transactions = 10
restart_after_crash = on
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA account;
	CREATE TABLE account.entry (id text, amount int);
	CREATE FUNCTION account.add(amount int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + amount;
	BEGIN
		PERFORM actor_set('n', n);
		INSERT INTO account.entry VALUES (actor_id(), amount);
		RETURN n;
	END $$;
	CREATE FUNCTION account.transfer(target text, amount int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_invoke('account', actor_id() || ' log', 'add', '[1]');
		PERFORM actor_set('n', actor_get('n', 0) - amount);
		RETURN actor_invoke('account', target, 'gated', to_jsonb(ARRAY[amount]));
	END $$;
	CREATE FUNCTION account.gated(amount int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0) + amount);
		PERFORM pg_advisory_xact_lock_shared(4711);
		RETURN actor_get('n', 0);
	END $$;
	CREATE FUNCTION account.peek() RETURNS int STABLE LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock_shared(4711);
		RETURN actor_get('n', 0);
	END $$;
	SELECT actor_register('account', call_timeout => '0');
	SELECT actor_invoke('account', 'a', 'add', '[100]');
	SELECT actor_invoke('account', 'b', 'add', '[100]');
});

my $gate;

sub session
{
	my ($name) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe("SET application_name = '$name'");
	return $session;
}

# Starts a statement and waits until it waits for a lock.
sub start_and_wait
{
	my ($session, $name, $sql) = @_;

	$session->query_until(qr/started/, "\\echo started\n$sql;\n");
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity"
			  . " WHERE application_name = '$name' AND wait_event_type = 'Lock'"),
		"$name waits");
}

sub signal_session
{
	my ($function, $name) = @_;

	is( $node->safe_psql('postgres',
			"SELECT $function(pid) FROM pg_stat_activity WHERE application_name = '$name'"),
		't', "$function of $name");
}

sub wait_until_gone
{
	my ($name) = @_;

	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = '$name'"),
		"$name is gone");
}

# ends a psql whose connection is lost
sub bury
{
	my ($session) = @_;

	$session->{stdin} .= "\\q\n";
	eval { $session->{run}->finish; };
}

sub balances
{
	return $node->safe_psql('postgres',
		"SELECT string_agg(actor_id || ' ' || value, ', ' ORDER BY actor_id)"
		  . " FROM actor.state WHERE actor_type = 'account'");
}

# The turns that are held or waited for.
sub turns
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 19143");
}

is(balances(), 'a 100, b 100', 'balances at the beginning');
$gate = session('gate');
$gate->query_safe('SELECT pg_advisory_lock(4711)');

# between two calls of one transaction
my $one = session('one');
$one->query_safe('BEGIN');
$one->query_safe("SELECT actor_invoke('account', 'a', 'add', '[1]')");
$one->query_safe("SELECT actor_invoke('account', 'b', 'add', '[1]')");
is(turns(), '2', 'a transaction has two turns');
signal_session('pg_terminate_backend', 'one');
wait_until_gone('one');
is(turns(), '0', 'turns of a session that was ended are free');
is(balances(), 'a 100, b 100', 'nothing of its transaction remains');
bury($one);

# in a nested call; a caller waits for one of the actors
$one = session('one');
start_and_wait($one, 'one', "SELECT actor_invoke('account', 'a', 'transfer', '[\"b\", 30]')");
is(turns(), '3', 'a chain has three turns');
my $two = session('two');
start_and_wait($two, 'two', "SELECT actor_invoke('account', 'a', 'add', '[5]')");
signal_session('pg_terminate_backend', 'one');
is($two->query_safe('SELECT 1'), "105\n1", 'the next caller goes on, with the state from before');
wait_until_gone('one');
is(turns(), '0', 'no turn is left');
is(balances(), 'a 105, b 100', 'no half of a transfer remains');
bury($one);

# the same with a cancelled statement, in a session that goes on
$one = session('one');
start_and_wait($one, 'one', "SELECT actor_invoke('account', 'a', 'transfer', '[\"b\", 30]')");
signal_session('pg_cancel_backend', 'one');
$one->query('SELECT 1');
like($one->{stderr}, qr/canceling statement due to user request/, 'statement is cancelled');
$one->{stderr} = '';
is(turns(), '0', 'no turn is left');
is( $one->query_safe("SELECT actor_type() IS NULL, count(*) FROM actor_call_chain()"),
	't|0', 'nor a frame');
is($one->query_safe("SHOW transaction_read_only"), 'off', 'nor a read-only transaction');
is($one->query_safe("SELECT actor_invoke('account', 'a', 'add', '[5]')"),
	'110', 'the session can take a turn again');

# a read-only method that is cancelled
start_and_wait($one, 'one', "SELECT actor_invoke('account', 'a', 'peek')");
signal_session('pg_cancel_backend', 'one');
$one->query('SELECT 1');
like($one->{stderr}, qr/canceling statement due to user request/, 'reader is cancelled');
$one->{stderr} = '';
is($one->query_safe("SHOW transaction_read_only"), 'off', 'the transaction after it can write');
is($one->query_safe("SELECT actor_invoke('account', 'a', 'add', '[-10]')"), '100', 'and does');

# caught within the transaction, in a savepoint
$one->query_safe('BEGIN');
$one->query_safe("SELECT actor_invoke('account', 'c', 'add', '[1]')");
$one->query_safe('SAVEPOINT s');
start_and_wait($one, 'one', "SELECT actor_invoke('account', 'a', 'transfer', '[\"b\", 30]')");
is(turns(), '4', 'four turns');
signal_session('pg_cancel_backend', 'one');
$one->query('SELECT 1');
$one->{stderr} = '';
$one->query_safe('ROLLBACK TO SAVEPOINT s');
is(turns(), '1', 'those of the savepoint are free, the other one is held');
$one->query_safe('COMMIT');
is(balances(), 'a 100, b 100, c 1', 'as are their effects');

# while waiting for a turn: those behind and before are not disturbed
foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	$one->query_safe('BEGIN');
	$one->query_safe("SELECT actor_invoke('account', 'a', 'add', '[1]')");
	start_and_wait($two, 'two', "SELECT actor_invoke('account', 'a', 'add', '[1000]')");
	my $three = session('three');
	start_and_wait($three, 'three', "SELECT actor_invoke('account', 'a', 'add', '[10]')");
	signal_session($how, 'two');
	if ($how eq 'pg_terminate_backend')
	{
		wait_until_gone('two');
		bury($two);
	}
	else
	{
		$two->query('SELECT 1');
		like($two->{stderr}, qr/canceling statement due to user request/, 'waiter is cancelled');
		$two->{stderr} = '';
	}
	is(turns(), '2', 'one holds the turn, one waits for it');
	$one->query_safe('COMMIT');
	like($three->query_safe('SELECT 1'), qr/^\d+\n1$/, 'the one behind it gets the turn');
	$three->quit;
}
is(balances(), 'a 122, b 100, c 1', 'with the effect of those who got it');
is(turns(), '0', 'and the turn is free');

# SIGKILL: the server starts again.  A prepared transaction keeps its turn.
$one->query_safe('BEGIN');
$one->query_safe("SELECT actor_invoke('account', 'b', 'add', '[1]')");
$one->query_safe("PREPARE TRANSACTION 'regress_actor'");
$one->query_safe("SET application_name = 'victim'");
start_and_wait($one, 'victim', "SELECT actor_invoke('account', 'a', 'transfer', '[\"c\", 30]')");
my $old = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
my $pid = $node->safe_psql('postgres',
	"SELECT pid FROM pg_stat_activity WHERE application_name = 'victim'");
kill 'KILL', $pid;
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity"
		  . " WHERE backend_type = 'checkpointer' AND pid <> $old"),
	'server starts again');
bury($one);
bury($gate);
is(balances(), 'a 122, b 100, c 1', 'nothing of the killed session remains');
is(turns(), '1', 'but the turn of the prepared transaction');
$node->safe_psql('postgres', "SELECT actor_register('account', call_timeout => '10 ms')");
my ($ret, $stdout, $stderr) = $node->psql('postgres',
	"\\set VERBOSITY verbose\nSELECT actor_invoke('account', 'b', 'add', '[1]')");
like($stderr, qr/ERROR:  55P03: /, 'which nobody else gets');
$node->safe_psql('postgres', "SELECT actor_register('account', call_timeout => '0')");
is($node->safe_psql('postgres', "SELECT actor_invoke('account', 'a', 'add', '[1]')"),
	'123', 'others go on');
$node->stop('immediate');
$node->start;
is(turns(), '1', 'it is still there after another crash');
$node->safe_psql('postgres', "COMMIT PREPARED 'regress_actor'");
is(turns(), '0', 'and free after COMMIT PREPARED');
is($node->safe_psql('postgres', "SELECT actor_invoke('account', 'b', 'add', '[1]')"),
	'102', 'so that the next one sees its effect');
ok( $node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'actor launcher'"),
	'launcher is back');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:/, 'no assertion has failed');

done_testing();
