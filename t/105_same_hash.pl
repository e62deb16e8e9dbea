# Two actors whose hashes are the same wait for each other, and that is all they
# have to do with one another: nothing else is taken from a hash.  Nobody can
# compute two such ids for a database whose key he does not know; these two were found
# for the key of the published test vectors.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($one, $two) = ('aonlgcmepnafpdbo', 'ccichfajbpepjkjf');
# so many due rows that cannot fire that an executor hides messages
my $many = 6500;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;

sub sql
{
	return $node->safe_psql('postgres', shift);
}

sub wait_for
{
	my ($condition, $what) = @_;
	return ok($node->poll_query_until('postgres', "SELECT $condition"), $what);
}

# what a statement raises
sub sqlstate
{
	my ($sql) = @_;
	my ($ret, $out, $err) = $node->psql('postgres', "\\set VERBOSITY sqlstate\n$sql");
	return $err =~ /ERROR:\s+(\w+)/ ? $1 : 'none';
}

# the key before anybody uses it
sql(q{
	BEGIN;
	CREATE EXTENSION actor;
	UPDATE actor.secret SET hash_key = '\x000102030405060708090a0b0c0d0e0f';
	COMMIT;
	CREATE SCHEMA t;
	CREATE FUNCTION t.add(n int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0) + n);
		RETURN actor_get('n', 0);
	END $$;
	CREATE FUNCTION t.peek() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
	CREATE FUNCTION t.both(other text) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM t.add(1);
		PERFORM actor_invoke('t', other, 'add', '[1]');
		RETURN actor_get('n', 0);
	END $$;
	SELECT actor_register('t', reentrancy => true, idle_timeout => '1h')});

sub state
{
	return sql(qq{SELECT string_agg(value::text, ' ' ORDER BY actor_id)
		FROM actor.state WHERE key = 'n' AND actor_id IN ('$one', '$two')});
}

# locks and state
my @locks = map {
	sql(qq{BEGIN; SELECT FROM actor_invoke('t', '$_', 'add', '[1]');
		SELECT classid, objid FROM pg_locks WHERE objsubid = 19143 AND pid = pg_backend_pid();
		ROLLBACK}) =~ s/^\s+//r
} $one, $two;
like($locks[0], qr/^\d+\|\d+$/, 'an actor has a lock');
is($locks[1], $locks[0], 'and another one the same');
sql("SELECT actor_invoke('t', '$one', 'add', '[10]'), actor_invoke('t', '$two', 'add', '[20]')");
is(state(), '10 20', 'each has its state');
sql(qq{SELECT actor_invoke('t', CASE WHEN i % 2 = 0 THEN '$one' ELSE '$two' END, 'add', '[1]')
	FROM generate_series(1, 20) i});
is(state(), '20 30', 'also where a session goes from one to the other');
is(sql("SELECT actor_invoke('t', '$one', 'both', '[\"$two\"]')"), '21', 'one calls the other');
is(state(), '21 31', 'with an effect on both');

# turns
my $holder = $node->background_psql('postgres');
$holder->query_safe(qq{BEGIN; SELECT actor_invoke('t', '$one', 'add', '[1]');
	SAVEPOINT s; SELECT actor_invoke('t', '$two', 'add', '[1]'); ROLLBACK TO s});
my $call = "SET actor.call_timeout = '10ms'; SELECT actor_invoke('t', '%s', 'add', '[1]')";
is(sqlstate(sprintf($call, $one)), '55P03',
	'the turn of one stays when that of the other is given back');
is(sqlstate(sprintf($call, $two)), '55P03', 'and keeps the other one waiting');
$holder->query_safe('COMMIT');
is(sqlstate(sprintf($call, $two)), 'none', 'until it ends');
is(state(), '22 32', 'what was rolled back has no effect');

# open turns, pauses, activations
my $id = sql("SELECT actor_open_turn('t', '$one')");
is(sqlstate(sprintf($call, $one)), '55P03', 'the turn of one is open');
is(sqlstate(sprintf($call, $two)), 'none', 'the other one can be called');
is(sql("SELECT actor_close_turn('t', '$two', '$id'), actor_close_turn('t', '$one', '$id')"),
	'f|t', 'the id closes the turn it belongs to');
sql("SELECT actor_pause('t', '$one')");
is(sqlstate(sprintf($call, $one)), '55000', 'one is paused');
is(sqlstate(sprintf($call, $two)), 'none', 'the other one is not');
sql("SELECT actor_resume('t', '$one'), actor_deactivate('t', '$two')");
is(sql('SELECT actor_id FROM actor.activation'), $one, 'each is deactivated by itself');
is(state(), '22 34', 'and keeps its state');

# Queues: the messages of one are no reason to hide that of the other, since nobody
# would show it again.
$holder->query_safe(qq{BEGIN; SELECT actor_invoke('t', '$one', 'add', '[0]')});
sql(qq{BEGIN;
	SELECT actor_send('t', '$one', 'add', '[1]');
	SELECT actor_send('t', '$two', 'add', '[1]');
	SELECT count(actor_send('t', '$one', 'add', '[1]')) FROM generate_series(2, $many);
	COMMIT});
wait_for("EXISTS (SELECT FROM actor.message WHERE actor_id = '$one' AND next_try_at = 'infinity')",
	'messages of one are hidden while its turn is held');
is(sql("SELECT count(*) FROM actor.message WHERE actor_id = '$two' AND next_try_at = 'infinity'"),
	'0', 'that of the other is not');
$holder->query_safe('COMMIT');
$holder->quit;
wait_for("NOT EXISTS (SELECT FROM actor.message WHERE actor_id = '$two')",
	'the message of the other is delivered');
wait_for('NOT EXISTS (SELECT FROM actor.message)', 'and so are those of the one');
is(state(), (22 + $many) . ' 35', 'each of them once');

# reminders and timers
sql(qq{SELECT actor_set_reminder('t', i, 'r', '0s', method => 'add', data => '[1]'),
		actor_set_timer('t', i, 'r', '0s', method => 'add', data => '[1]')
	FROM unnest('{$one,$two}'::text[]) i});
wait_for(q{NOT EXISTS (SELECT FROM actor.reminder) AND NOT EXISTS (SELECT FROM actor.timer)},
	'reminders and timers fire');
is(state(), (24 + $many) . ' 37', 'for each');

$node->stop;
done_testing();
