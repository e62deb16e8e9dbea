# What is seldom on several servers: a turn that was opened before its type was changed,
# other libraries in a session, and tables that are not divided in the same places.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my ($coordinator, @others) = start_servers(1);

create_counter($coordinator);
sql($coordinator, q{
SELECT actor_distribute(4);
SELECT actor_register('g', reentrancy => true);
});

# opened by a chain, as long as the type allowed that
sql($coordinator, q{SELECT actor_open_turn('g', 'open', '1 hour')});
my $message = sql($coordinator, q{SELECT actor_send('g', 'open', 'add', due_time => '1 hour')});
sql($coordinator, q{SELECT actor_register('g', reentrancy => false)});
foreach my $node ($coordinator, @others)
{
	refused($node, q{SELECT actor_invoke('g', 'open', 'add') FROM set_config('lock_timeout', '1s', false)}, '55P03',
		'a call waits for the turn, which is still open, on ' . $node->name);
	is(outcome_of(session_on($node, 'BEGIN', "SELECT actor_cancel_message('g', 'open', $message)",
				q{SELECT actor_invoke('g', 'open', 'add')}, 'ROLLBACK')),
		't 55P03', 'so does one of a transaction that keeps it, which cannot wait');
}

# all places for functions that are called when a table changes: Citus takes most of them
foreach my $node ($coordinator, @others)
{
	sql($node, 'SET citus.enable_ddl_propagation = off; CREATE PUBLICATION changes');
	sql($node, q{SELECT pg_create_logical_replication_slot('changes', 'pgoutput')});
	is(outcome_of(session_on($node, q{SELECT actor_invoke('g', 'a', 'add') IS NOT NULL},
				q{SELECT count(*) >= 0 FROM pg_logical_slot_peek_binary_changes('changes', NULL, NULL,
					'proto_version', '1', 'publication_names', 'changes')})),
		"t\nt", 'a session with actors can decode changes, on ' . $node->name);
	sql($node, q{SELECT pg_drop_replication_slot('changes')});
}

# parts of a table that begin where those of the turns do, and end elsewhere
foreach my $node ($coordinator, @others)
{
	sql($node, q{
		WITH parts AS (
			SELECT shardid, shardminvalue::int8 AS low, shardmaxvalue::int8 AS high,
			       row_number() OVER (ORDER BY shardminvalue::int8) AS n
			  FROM pg_dist_shard WHERE logicalrelid = 'actor.state'::regclass)
		UPDATE pg_dist_shard s
		   SET shardmaxvalue = CASE n WHEN 1 THEN high - 500000000 ELSE high END,
		       shardminvalue = CASE n WHEN 2 THEN low - 500000000 ELSE low END
		  FROM parts p WHERE p.shardid = s.shardid AND n <= 2});
}
my ($owner) = @others;
my $calls = q{SELECT count(actor_invoke('g', 'part' || i, 'add')) FROM generate_series(1, 40) i};
is(sql($owner, "$calls; $calls"), "40\n40", 'calls of actors whose state is in another part');
is(sql($_, q{SELECT count(*) FROM actor.state WHERE actor_id LIKE 'part%' AND value = '2'}), 40, 'are all seen, on ' . $_->name)
  foreach $coordinator, @others;

stop_servers();
done_testing();
