# Servers that come and go while calls go on, and writes that nobody has finished.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my ($coordinator, $first) = start_servers(1);

# Waits for the end of what actor_rebalance() has begun.
sub spread
{
	my ($name) = @_;

	return comes($coordinator, q{SELECT state = 'finished' FROM citus_rebalance_status()}, $name);
}

# How many groups of shards a server has.
sub groups_on
{
	my ($node) = @_;

	return sql($coordinator, q{
		SELECT count(*) FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid)
		 WHERE logicalrelid = 'actor.state'::regclass AND nodeport = } . $node->port);
}

refused($coordinator, 'SELECT actor_rebalance()', '55000', 'nothing is distributed yet');
sql($coordinator, 'SELECT actor_distribute(4)');
prepare_calls();
sql($coordinator, 'CREATE ROLE regress_some LOGIN');
refused($coordinator, 'SET ROLE regress_some; SELECT actor_rebalance()', '42501', 'anybody may not move shards');
refused($first, 'SELECT actor_rebalance()', '0A000', 'nor is it done on another server');
is(sql($coordinator, 'SELECT actor_rebalance() IS NULL'), 't', 'one server has all');

# C4: one that comes while calls go on brings what they need, and takes its share

my @sessions = map { calls_on($_, 1), calls_on($_, 3) } $coordinator, $first;
my $second = add_server('second');
sql($second, 'CREATE TABLE made (n int)');
push @sessions, calls_on($second, 1), calls_on($second, 3);
comes($second, 'SELECT count(*) > 0 FROM made', 'a server that was added calls actors at once');
is(groups_on($second), 0, 'which are elsewhere');
is(sql($second, q{SELECT extversion = (SELECT extversion FROM pg_available_extensions
	JOIN pg_extension ON name = extname AND default_version = extversion WHERE name = 'actor')
	FROM pg_extension WHERE extname = 'actor'}), 't', 'it has the extension');
isnt(sql($coordinator, 'SELECT actor_rebalance()'), '', 'moves begin');
refused($coordinator, 'SELECT actor_rebalance()', '55000', 'and are not begun twice');
spread('they come to an end');
is(groups_on($second), 2, 'the server has its share');
my $before = sql($second, 'SELECT count(*) FROM made');
comes($second, "SELECT count(*) > $before FROM made", 'calls go on');
my $made = end_calls(@sessions);
is(sql($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE key = 'n'}), $made,
	"none of $made calls is lost");
is(sql($coordinator, 'SELECT actor_rebalance() IS NULL'), 't', 'there is nothing more to move');

# C5: a transaction over several servers whose fate is known to one that has failed
# since: its write is kept by our moves, and lost by another one, which is the control

$_->append_conf('postgresql.conf', 'citus.recover_2pc_interval = -1') foreach $coordinator, $first, $second;
$_->reload foreach $coordinator, $first, $second;
comes($_, q{SELECT current_setting('citus.recover_2pc_interval') = '-1'}, 'nobody finishes it')
  foreach $coordinator, $first, $second;

sub value_of
{
	return sql($coordinator, q{SELECT value FROM actor.state WHERE actor_id = 'hot0' AND key = 'n'});
}

# Writes the state of an actor where it is, and leaves that in doubt; returns the server.
sub doubt
{
	my ($value, $number) = @_;
	my ($shard, $port) = split /\|/, sql($coordinator, q{
		SELECT shardid, nodeport FROM pg_dist_shard_placement
		 WHERE shardid = get_shard_id_for_distribution_column('actor.state', 'hot0')});
	my ($owner) = grep { $_->port == $port } $first, $second;

	sql($owner, qq{BEGIN;
		UPDATE actor.state_$shard SET value = '$value' WHERE actor_id = 'hot0' AND key = 'n';
		PREPARE TRANSACTION 'citus_0_1_1_$number'});
	sql($coordinator, "INSERT INTO pg_dist_transaction (groupid, gid)"
		  . " SELECT groupid, 'citus_0_1_1_$number' FROM pg_dist_node WHERE nodeport = $port");
	return $owner;
}

my $owner = doubt(1000000, 1);
my ($other) = grep { $_ != $owner } $first, $second;
sql($coordinator, "SELECT citus_set_node_property('127.0.0.1', " . $owner->port . ", 'shouldhaveshards', false)");
isnt(sql($coordinator, 'SELECT actor_rebalance()'), '', 'all is to leave a server');
comes($owner, q{SELECT count(*) > 0 FROM pg_stat_activity
	WHERE backend_type = 'walsender' AND wait_event_type = 'Lock'}, 'a move waits for what is in doubt');
is(sql($coordinator, 'SELECT recover_prepared_transactions()'), '1', 'which is committed');
spread('the move goes on');
is(groups_on($owner), 0, 'and leaves nothing');
is(value_of(), 1000000, 'the write is kept');

$owner = doubt(2000000, 2);
is($owner, $other, 'it is on the other server now');
($other) = grep { $_ != $owner } $first, $second;
sql($coordinator, "SELECT citus_set_node_property('127.0.0.1', " . $other->port . ", 'shouldhaveshards', true)");
sql($coordinator, q{SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('actor.state', 'hot0'),
	'127.0.0.1', } . $owner->port . q{, '127.0.0.1', } . $other->port . q{, 'block_writes')});
is(sql($coordinator, 'SELECT recover_prepared_transactions()'), '1', 'another kind of move does not wait');
is(value_of(), 1000000, 'and loses the write');

# a server that cannot do it
$other->append_conf('postgresql.conf', 'wal_level = replica');
$other->restart;
refused($coordinator, 'SELECT actor_rebalance()', '55000', 'a server without logical replication');
$other->stop;
refused($coordinator, 'SELECT actor_rebalance()', '55000', 'a server that does not answer');
$other->start;

stop_servers();
done_testing();
