# Turns that are rows: actor.turn_lock = row.
#
# On one server such a turn is a lock as well, so most of what must hold would hold
# without the row.  Here some sessions have another key of the database than others,
# so that their locks are different ones, as they are on different servers: what keeps
# them apart is the row alone.  A control, without rows, loses a call.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions qw(:DEFAULT talk_to sql comes);
use Test::More;

# calls of each of 16 sessions
my $calls = $ENV{ROUNDS} // 50;

my $node = PostgreSQL::Test::Cluster->new('turn_row');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
max_prepared_transactions = 5
synchronous_commit = off
actor.turn_lock = row
});
$node->start;
talk_to($node);

# Waits until a session waits for a lock of the server that is none of ours.
sub meets_row
{
	my ($marker) = @_;

	return comes(qq{SELECT count(*) = 1 FROM pg_stat_activity
		WHERE query ~ '/\\* $marker \\*/' AND pid <> pg_backend_pid()
		  AND wait_event_type = 'Lock' AND wait_event IN ('transactionid', 'tuple', 'spectoken')},
		"$marker meets the row");
}

# Gives new sessions other locks than those of before.
sub change_key
{
	sql(q{UPDATE actor.secret SET hash_key = decode(md5(hash_key::text), 'hex')});
}

sub value
{
	my ($id) = @_;

	return sql("SELECT value FROM actor.state WHERE actor_id = '$id' AND key = 'n'");
}

sql(q{
CREATE EXTENSION actor;
CREATE SCHEMA g;
CREATE FUNCTION g.add() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	n int := actor_get('n', 0) + 1;
BEGIN
	PERFORM actor_set('n', n);
	RETURN n;
END $$;
CREATE FUNCTION g.on_activate() RETURNS void LANGUAGE sql AS $$ SELECT $$;
SELECT actor_register('g', reentrancy => true);
CREATE TABLE ready ();
CREATE TABLE go ();
CREATE PROCEDURE hammer(calls int, block int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_invoke('g', 'key', 'add');
	INSERT INTO ready DEFAULT VALUES;
	COMMIT;
	WHILE NOT EXISTS (SELECT FROM go)
	LOOP
		PERFORM pg_sleep(0.01);
		COMMIT;
	END LOOP;
	FOR i IN 1 .. calls
	LOOP
		-- in one order, for no deadlocks
		PERFORM actor_invoke('g', 'hot' || id, 'add')
		   FROM (SELECT (random() * 4)::int AS id FROM generate_series(1, block) ORDER BY 1) s;
		COMMIT;
	END LOOP;
END $$;
CREATE VIEW sum AS SELECT sum(value::int) FROM actor.state WHERE actor_id ~ 'hot';
});

# 16 sessions, five actors, calls for themselves and in blocks

foreach my $mode ('advisory', 'row')
{
	my @sessions;

	sql(q{TRUNCATE ready, go; SELECT actor_delete('g', 'hot' || i) FROM generate_series(0, 4) i});
	foreach my $number (0 .. 15)
	{
		my $block = $number % 2 ? 1 : 3;

		if ($mode eq 'row' && $number == 8)
		{
			comes('SELECT count(*) = 8 FROM ready', 'eight have a key');
			change_key();
		}
		push @sessions, session_on($node, "SET actor.turn_lock = $mode", "CALL hammer($calls, $block)");
	}
	comes('SELECT count(*) = 16 FROM ready', 'all are ready');
	sql('INSERT INTO go DEFAULT VALUES');
	is(join('', map { outcome_of($_) } @sessions), '', "calls by $mode succeed");
	is(sql('TABLE sum'), 16 * 2 * $calls, 'and none is lost');
}

# sessions with other locks meet at the row

my $first = $node->background_psql('postgres', on_error_stop => 0);
$first->query_safe(q{SELECT actor_invoke('g', 'key', 'add')});
change_key();

my $waiter;
sql(q{SELECT actor_invoke('g', id, 'add') FROM unnest('{a,control,busy,opened,closed,left}'::text[]) id});

$first->query_safe(q{SET actor.turn_lock = advisory; BEGIN; SELECT actor_invoke('g', 'control', 'add')});
$waiter = session_on($node, q{SET actor.turn_lock = advisory}, q{SELECT /* control */ actor_invoke('g', 'control', 'add')});
meets_row('control');
$first->query_safe(q{COMMIT; RESET actor.turn_lock});
is(outcome_of($waiter) . value('control'), '22', 'without rows a call is lost');

$first->query_safe(q{BEGIN; SELECT actor_invoke('g', 'a', 'add')});
$waiter = session_on($node, q{SELECT /* same */ actor_invoke('g', 'a', 'add')});
meets_row('same');
$first->query_safe('COMMIT');
is(outcome_of($waiter) . value('a'), '33', 'with rows it comes after the other one');

# two that make the row at once, whichever way the first one ends
foreach my $end ('COMMIT', 'ROLLBACK')
{
	$first->query_safe(qq{BEGIN; SELECT actor_invoke('g', 'new $end', 'add')});
	$waiter = session_on($node, qq{SELECT /* new $end */ actor_invoke('g', 'new $end', 'add')});
	meets_row("new $end");
	$first->query_safe($end);
	is(outcome_of($waiter), $end eq 'COMMIT' ? 2 : 1, "both make the row: $end");
}

# a row goes back with its savepoint, and stays with a prepared transaction
$first->query_safe(q{BEGIN; SAVEPOINT s; SELECT actor_invoke('g', 'a', 'add')});
$waiter = session_on($node, q{SELECT /* savepoint */ actor_invoke('g', 'a', 'add')});
meets_row('savepoint');
$first->query_safe('ROLLBACK TO s');
is(outcome_of($waiter), '4', 'a savepoint gives the row back');
$first->query_safe(q{SELECT actor_invoke('g', 'a', 'add'); PREPARE TRANSACTION 'p'});
$waiter = session_on($node, q{SELECT /* prepared */ actor_invoke('g', 'a', 'add')});
meets_row('prepared');
sql(q{COMMIT PREPARED 'p'});
is(outcome_of($waiter), '6', 'a prepared transaction keeps it');

# limits
$first->query_safe(q{BEGIN; SELECT actor_invoke('g', 'a', 'add')});
is(outcome_of(session_on($node, q{SET actor.call_timeout = '10ms'; SELECT actor_invoke('g', 'a', 'add')})),
	' 55P03', 'call_timeout ends the wait');
is(outcome_of(session_on($node, q{SET lock_timeout = '10ms'; SELECT actor_invoke('g', 'a', 'add')})),
	' 55P03', 'lock_timeout ends the wait');
my $late = session_on($node, q{SET actor.call_timeout = '10ms'; SELECT actor_invoke('g', 'a', 'add')});
outcome_of($late);
like($late->{err}, qr/turn of actor "a" of type "g" was not free within 10 ms.*Call chain: g\/a\.add/s,
	'and says what was waited for');
$first->query_safe('ROLLBACK');

# crossing transactions
sql(q{SELECT actor_invoke('g', 'b', 'add')});
$first->query_safe(q{BEGIN; SELECT actor_invoke('g', 'a', 'add')});
$waiter = session_on($node, q{BEGIN; SELECT actor_invoke('g', 'b', 'add'); SELECT /* cross */ actor_invoke('g', 'a', 'add'); COMMIT});
meets_row('cross');
$first->query(q{SELECT actor_invoke('g', 'b', 'add')});
$first->query('COMMIT');
my $other = outcome_of($waiter);
ok($other =~ /40P01/ || sql(q{SELECT value FROM actor.state WHERE actor_id = 'b' AND key = 'n'}) eq '2',
	'a deadlock is found');

# a turn is opened, or closed, after somebody has looked and before he has the row
$first->query_safe(q{BEGIN; SELECT actor_open_turn('g', 'opened', '1h')});
$waiter = session_on($node, q{SELECT /* opened */ actor_invoke('g', 'opened', 'add')});
meets_row('opened');
$first->query_safe('COMMIT');
is(outcome_of($waiter), ' 55P03', 'a turn that was opened meanwhile is not entered');
is(value('opened'), '1', 'and nothing is done in it');
my $id = sql(q{SELECT actor_open_turn('g', 'closed', '1h')});
$first->query_safe(qq{BEGIN; SELECT actor_close_turn('g', 'closed', '$id')});
$waiter = session_on($node, qq{SELECT /* closed */ actor_close_turn('g', 'closed', '$id')});
meets_row('closed');
$first->query_safe('COMMIT');
is(outcome_of($waiter), 'f', 'one that was closed meanwhile is not closed again');

# the row goes with the activation
$first->query_safe(q{BEGIN; SELECT actor_deactivate('g', 'left')});
$waiter = session_on($node, q{SELECT /* left */ actor_invoke('g', 'left', 'add')});
meets_row('left');
$first->query_safe('COMMIT');
is(outcome_of($waiter), '2', 'somebody waits for a row that goes');
sql(q{SELECT actor_deactivate('g', 'never'); SELECT actor_delete('g', 'never either')});
is(sql(q{SELECT count(*) FROM actor.activation WHERE actor_id ~ 'never'}), '0',
	'what was not active has no row after a turn');
sql(q{BEGIN; SELECT actor_deactivate('g', 'later'); SELECT actor_invoke('g', 'later', 'add'); COMMIT});
is(sql(q{SELECT count(*) FROM actor.activation WHERE actor_id = 'later' AND isfinite(server_start)}), '1',
	'unless it has become active in the transaction');

# workers do not wait for a row, whether it is there or about to be
foreach my $id ('busy', 'unborn')
{
	$first->query_safe(qq{BEGIN; SELECT actor_invoke('g', '$id', 'add')});
	sql(qq{SELECT actor_set_reminder('g', '$id', 'add', '0s');
		SELECT actor_set_reminder('g', 'after $id', 'add', '0s')});
	comes(qq{SELECT count(*) = 0 FROM actor.reminder WHERE actor_id = 'after $id'}, "others fire before $id");
	is(sql(qq{SELECT count(*) FROM actor.reminder WHERE actor_id = '$id'}), '1', 'which is busy');
	$first->query_safe('COMMIT');
	comes(qq{SELECT count(*) = 0 FROM actor.reminder WHERE actor_id = '$id'}, 'and fires when it is not');
	is(value($id), $id eq 'busy' ? 3 : 2, 'after the other one');
}

$first->quit;
$node->stop;
done_testing();
