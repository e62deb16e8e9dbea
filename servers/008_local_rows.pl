# Rows of an actor are read and written directly where its turn is a row of this server.
# What could go wrong: shards that move, snapshots and subtransactions that come to an end.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my ($coordinator, @others) = start_servers(2);

create_counter($coordinator);
sql($coordinator, q{
CREATE FUNCTION g.look() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
CREATE FUNCTION g.add_and_look() RETURNS int[] LANGUAGE plpgsql AS $$
BEGIN
	RETURN ARRAY[g.add(), actor_invoke('g', actor_id(), 'look')::int, g.add(), g.look(), (actor_state() ->> 'n')::int];
END $$;
CREATE FUNCTION g.try() RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
	result int[];
BEGIN
	result := result || g.add();
	BEGIN
		result := result || g.add();
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		result := result || actor_get('n', 0);
	END;
	BEGIN
		result := result || g.add();
	END;
	RETURN result || g.add();
END $$;
SELECT actor_distribute(4);
SELECT actor_register('g', reentrancy => true);
});

# The server that has the actor, and the other one.
sub places
{
	my $port = sql($coordinator, q{SELECT nodeport FROM pg_dist_shard_placement
		WHERE shardid = get_shard_id_for_distribution_column('actor.state', 'a')});

	return sort { ($b->port == $port) <=> ($a->port == $port) } @others;
}

# Moves the actor to the other server.
sub move
{
	my ($mode) = @_;
	my ($from, $to) = places();

	return sql($coordinator, qq{SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('actor.state', 'a'),
		'127.0.0.1', @{[ $from->port ]}, '127.0.0.1', @{[ $to->port ]}, '$mode')});
}

my $n = 0;
my ($owner, $other) = places();
my $call = q{SELECT actor_invoke('g', 'a', 'add')};

# What Citus runs here for a call in a transaction, by the names of tables.
sub statements
{
	my ($node, $call) = @_;
	my $session = session_on($node, $call, 'SET citus.log_local_commands = on', 'SET client_min_messages = notice', $call);

	outcome_of($session);
	$n += 2;
	return join(' ', $session->{err} =~ /executing the command locally: (?:\w+ )+?(?:INTO |FROM |UPDATE )?actor\.(\w+)_\d+/g);
}

is(sql($owner, $call), ++$n, 'a first call inserts');
is(statements($owner, $call), 'activation', 'a warm one needs no statement but that for its turn');

# a session that knows where the rows are, while they move away and come back
my @sessions = map { $_->background_psql('postgres', on_error_stop => 1) } $owner, $other;
my @forms = ($call, "BEGIN; $call; COMMIT");

foreach my $mode ('block_writes', 'force_logical', 'block_writes', 'force_logical')
{
	foreach my $session (@sessions)
	{
		is($session->query_safe($_), ++$n, 'a session goes on, wherever it is') foreach @forms;
	}
	move($mode);
}
foreach my $session (@sessions)
{
	is($session->query_safe($_), ++$n, 'a session goes on, wherever it is') foreach @forms;
}
sql($coordinator, 'CALL citus_cleanup_orphaned_resources()');
is($sessions[$_ % 2]->query_safe($call), ++$n, 'also when what was left behind is gone') foreach 0 .. 3;

# what a method sees of what it has written
($owner, $other) = places();
foreach my $node ($owner, $other)
{
	is(sql($node, q{BEGIN; SELECT actor_invoke('g', 'a', 'add_and_look'); COMMIT}),
		'[' . join(', ', $n + 1, $n + 1, $n + 2, $n + 2, $n + 2) . ']', 'a method sees what it has written, in ' . $node->name);
	$n += 2;
	is(sql($node, q{BEGIN; SELECT actor_invoke('g', 'a', 'try'); COMMIT}),
		'[' . join(', ', $n + 1, $n + 2, $n + 1, $n + 2, $n + 3) . ']', 'and what it has not, in ' . $node->name);
	$n += 3;
	is(sql($node, "BEGIN; SET LOCAL citus.enable_local_execution = off; $call; COMMIT"), ++$n,
		'or where Citus connects to its own server');
}

# a turn that a subtransaction gives back: another session has it, and then this one again
my $session = $owner->background_psql('postgres', on_error_stop => 1);
is($session->query_safe("BEGIN; SAVEPOINT s; $call"), $n + 1, 'a call in a subtransaction');
$session->query_safe('ROLLBACK TO s');
is(sql($owner, $call), ++$n, 'which is rolled back, so another session goes on');
is($session->query_safe($call), ++$n, 'and then this one');
is($session->query_safe("SAVEPOINT s; $call; RELEASE s"), ++$n, 'a subtransaction that is released');
is($session->query_safe($call), ++$n, 'and what comes after it');
$session->query_safe('COMMIT');
is(sql($other, $call), ++$n, 'are committed');

# a shard moves after the turn was given back
$session->query_safe("BEGIN; SAVEPOINT s; $call");
$session->query_safe('ROLLBACK TO s');
move('block_writes');
is(sql($other, $call), ++$n, 'the actor is elsewhere');
is($session->query_safe($call), ++$n, 'which a session finds whose turn was here');
$session->query_safe('COMMIT');

# a snapshot that is older than the rows where they are
($owner, $other) = places();
my $gate = $other->background_psql('postgres', on_error_stop => 1);
$gate->query_safe('SELECT pg_advisory_lock(1)');
my $old = session_on($other, q{BEGIN}, q{SELECT pg_advisory_lock(1), actor_invoke('g', 'a', 'add')}, 'COMMIT');
comes($other, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, 'a statement waits');
move('force_logical');
$gate->query_safe('SELECT pg_advisory_unlock(1)');
is(outcome_of($old), '|' . ++$n, 'it sees the actor that has come here meanwhile');

is(sql($_, q{SELECT actor_invoke('g', 'a', 'look')}), $n, 'all servers see the same') foreach $coordinator, @others;

$_->quit foreach @sessions, $session, $gate;
stop_servers();
done_testing();
