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
CREATE FUNCTION g.count_and_note() RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	result bool;
BEGIN
	EXECUTE 'SELECT count(*) > 0 FROM actor.state' INTO result;
	PERFORM actor_set('note ' || clock_timestamp(), result);
	RETURN result;
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

# What Citus runs here for statements that call the actor so many times, by the names of
# tables, in a session that knows where it is.
sub statements
{
	my ($node, $statements, $calls) = @_;
	my $session = session_on($node, ($call) x 3, 'SET citus.log_local_commands = on', 'SET client_min_messages = notice', $statements);

	outcome_of($session);
	$n += 3 + $calls;
	return join(' ', $session->{err} =~ /executing the command locally: (?:\w+ )+?(?:INTO |FROM |UPDATE )?actor\.(\w+)_\d+/g);
}

is(sql($owner, $call), ++$n, 'a first call inserts');
my $look = q{SELECT actor_invoke('g', 'a', 'look')};
my $citus = 'SELECT citus_backend_gpid()';
is(statements($owner, $call, 1), '', 'a warm one needs no statement');
is(statements($owner, $look, 0), '', 'nor does one that only reads');
is(statements($owner, "BEGIN; $call; SELECT 1; $look; $call; COMMIT", 2), '', 'nor do several');
is(statements($owner, "BEGIN; $call; $citus; COMMIT", 1), 'activation', 'but one is run before a function of Citus');
is(statements($owner, "BEGIN; $call; SELECT count(*) FROM actor.failure; COMMIT", 1) =~ s/ .*//r, 'activation',
	'before one of its plans');
is(statements($owner, "BEGIN; $call; LOCK actor.failure IN SHARE MODE; COMMIT", 1), 'activation', 'before a command');
is(statements($owner, "BEGIN; SAVEPOINT s; $call; ROLLBACK TO s; $citus; COMMIT", 0), '', 'and not for what was rolled back');
is(statements($owner, "BEGIN; SAVEPOINT s; $call; RELEASE s; $citus; COMMIT", 1), 'activation', 'but for what was released');

# an actor whose turn was taken in a cursor, which fails in a savepoint, stays where it is;
# after the cursor was declared one turn takes a statement
my $beside = sql($coordinator, qq{SELECT i FROM generate_series(1, 100) i
	WHERE (SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = get_shard_id_for_distribution_column('actor.state', i::text))
		= @{[ $owner->port ]}
	  AND get_shard_id_for_distribution_column('actor.state', i::text) <> get_shard_id_for_distribution_column('actor.state', 'a') LIMIT 1});
my $fetching = $owner->background_psql('postgres', on_error_stop => 0);
my $pid = $fetching->query_safe('SELECT pg_backend_pid()');
my $in_place = qq{SELECT count(*) FROM pg_locks WHERE pid = $pid AND granted AND locktype = 'advisory' AND objsubid IN (4, 8)};
$fetching->query_safe($call) for 1 .. 3;
$fetching->query_safe(qq{BEGIN; DECLARE c CURSOR FOR SELECT actor_invoke('g', 'a', 'add'), 1 / (2 - i) FROM generate_series(1, 3) i});
$fetching->query_safe("SELECT actor_invoke('g', '$beside', 'add')");
my $others_in_place = sql($owner, $in_place);
is($fetching->query_safe('FETCH 1 FROM c'), ($n += 4) . '|1', 'a cursor calls an actor');
is(sql($owner, $in_place), $others_in_place + 1, 'which stays where it is');
$fetching->query_safe('SAVEPOINT s');
$fetching->query('FETCH 1 FROM c');
# (its error would be that of the next one)
$fetching->{stderr} = '';
$fetching->query_safe('ROLLBACK TO s');
is(sql($owner, $in_place), $others_in_place + 1, 'also when the cursor has failed later');
$fetching->query_safe('COMMIT');
$fetching->quit;

# what else is done in the transaction
my $elsewhere = sql($coordinator, qq{SELECT i FROM generate_series(1, 100) i
	WHERE (SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = get_shard_id_for_distribution_column('actor.state', i::text))
		<> @{[ $owner->port ]} LIMIT 1});
my $both = session_on($owner, 'SET citus.log_remote_commands = on', 'SET client_min_messages = notice',
	"BEGIN; $call; SELECT actor_invoke('g', '$elsewhere', 'add'); COMMIT");
outcome_of($both);
$n++;
like($both->{err}, qr/PREPARE TRANSACTION/, 'what is written here and elsewhere is committed in two phases');
is(sql($owner, "BEGIN; $call; SELECT actor_invoke('g', '$elsewhere', 'look'); COMMIT"), ++$n . "\n1",
	'also by a method that must not write');
is(sql($owner, "SET statement_timeout = '60s'; BEGIN; SELECT actor_invoke('g', 'a', 'count_and_note'); $call; COMMIT") =~ s/^.*\n//r,
	++$n, 'what was written is not waited for by a connection to this server');
is(sql($owner, "SET statement_timeout = '60s'; BEGIN; SELECT count(*) > 0 FROM actor.state; SELECT actor_invoke('g', 'a', 'count_and_note');
	$call; SELECT actor_invoke('g', 'a', 'look'); COMMIT") =~ s/^.*\n(.*)\n/$1 /sr, ++$n . " $n", 'nor by one that was there before');

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

# a shard that is to move while a turn is held, in which nothing was run by Citus
foreach my $mode ('block_writes', 'force_logical')
{
	($owner, $other) = places();
	$owner->safe_psql('postgres', $call);
	$n++;

	my $holder = $owner->background_psql('postgres', on_error_stop => 1);
	is($holder->query_safe($call), ++$n, 'a session knows where the actor is') foreach 1 .. 3;
	is($holder->query_safe("BEGIN; $call"), ++$n, 'and has its turn');
	my $mover = session_on($coordinator, qq{SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('actor.state', 'a'),
		'127.0.0.1', @{[ $owner->port ]}, '127.0.0.1', @{[ $other->port ]}, '$mode')});
	comes($owner, q{SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock' AND NOT granted}, 'a move waits for it')
	  if $mode eq 'block_writes';
	is($holder->query_safe($call), ++$n, 'which goes on');
	$holder->query_safe('COMMIT');
	is(outcome_of($mover), '', 'until it ends');
	is($holder->query_safe($call), ++$n, 'then the session follows the actor');
	is(sql($other, $call), ++$n, 'as do others');
	$holder->quit;
}

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
