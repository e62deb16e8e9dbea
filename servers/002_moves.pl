# Turns while shards move between servers.
#
# Sixteen sessions on three servers call five actors, in transactions of one and of
# several calls, and by statements that another server may run, while shards move, online and not.  No call is lost.  A control, where
# an advisory lock is all there is, loses some even without a move.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my $online = $ENV{ROUNDS} // 2;
my $blocking = 3 * $online;

my ($coordinator, @others) = start_servers(2);
my @all = ($coordinator, @others);

sql($coordinator, 'SELECT actor_distribute(4)');
prepare_calls();
sql($coordinator, q{
CREATE TABLE control (id text PRIMARY KEY, n int NOT NULL);
SELECT create_distributed_table('control', 'id', colocate_with => 'none', shard_count => 4);
INSERT INTO control SELECT 'hot' || i, 0 FROM generate_series(0, 4) i;
CREATE PROCEDURE hammer_control() LANGUAGE plpgsql AS $$
DECLARE
	hot text;
	seen int;
BEGIN
	FOR i IN 1 .. 50
	LOOP
		hot := 'hot' || (random() * 4)::int;
		PERFORM pg_advisory_xact_lock(hashtext(hot));
		SELECT n INTO seen FROM control WHERE id = hot;
		UPDATE control SET n = seen + 1 WHERE id = hot;
		COMMIT;
	END LOOP;
END $$;
});

# Moves one shard, and all that goes with it, to the other server; again if it has to
# wait for calls that wait for it.
sub move
{
	my ($mode) = @_;

	for (;;)
	{
		my $answer = outcome_of(session_on($coordinator, qq{SELECT citus_move_shard_placement(shardid, nodename, nodeport, nodename,
			CASE nodeport WHEN @{[ $others[0]->port ]} THEN @{[ $others[1]->port ]} ELSE @{[ $others[0]->port ]} END,
			'$mode')
		FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid)
		WHERE logicalrelid = 'actor.state'::regclass ORDER BY random() LIMIT 1}));

		return if $answer !~ / (\w{5})$/;
		die "a move fails: $answer" if $1 ne '40P01';
	}
	return;
}

# Calls go on until all shards have moved.
my @sessions = map { calls_on($all[ $_ % 3 ], $_ % 2 ? 1 : 3) } 0 .. 12;
push @sessions, map { plain_calls_on($_, 600) } @all;
move('block_writes') foreach 1 .. $blocking;
move('force_logical') foreach 1 .. $online;

my $made = end_calls(@sessions);
is(sql($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE key = 'n'}), $made,
	"none of $made calls is lost in $blocking blocking and $online online moves");

@sessions = map { session_on($all[ $_ % 3 ], 'CALL hammer_control()') } 0 .. 15;
is(join('', map { outcome_of($_) } @sessions), '', 'the control runs');
cmp_ok(sql($coordinator, 'SELECT sum(n) FROM control'), '<', 16 * 50, 'and loses updates');

stop_servers();
done_testing();
