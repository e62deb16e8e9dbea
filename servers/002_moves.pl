# Turns while shards move between servers.
#
# Sixteen sessions on three servers call five actors, in transactions of one and of
# several calls, while shards move, online and not.  No call is lost.  A control, where
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

sub sql
{
	return $coordinator->safe_psql('postgres', $_[0]);
}

sql(q{
CREATE SCHEMA g;
CREATE FUNCTION g.add() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	n int := actor_get('n', 0) + 1;
BEGIN
	PERFORM actor_set('n', n);
	RETURN n;
END $$;
SELECT actor_distribute(4);
SELECT actor_register('g');
CREATE TABLE stop (n int);
SELECT create_reference_table('stop');
CREATE TABLE control (id text PRIMARY KEY, n int NOT NULL);
SELECT create_distributed_table('control', 'id', colocate_with => 'none', shard_count => 4);
INSERT INTO control SELECT 'hot' || i, 0 FROM generate_series(0, 4) i;
});
# What was called is written down in the same transaction, on the server of the session.
# Calls go on until all shards have moved.
$_->safe_psql('postgres', 'CREATE TABLE made (n int)') foreach @all;
sql(q{
CREATE PROCEDURE hammer(block int) LANGUAGE plpgsql AS $$
BEGIN
	LOOP
		-- in one order, for no deadlocks but with a move
		PERFORM actor_invoke('g', 'hot' || id, 'add')
		   FROM (SELECT (random() * 4)::int AS id FROM generate_series(1, block) ORDER BY 1) s;
		EXECUTE 'INSERT INTO made VALUES ($1)' USING block;
		COMMIT;
		EXIT WHEN EXISTS (SELECT FROM stop);
	END LOOP;
END $$;
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

# who is cancelled because of a deadlock with a move begins again
sub hammer
{
	my ($node, $block) = @_;

	return session_on($node, '\set ON_ERROR_STOP off', map { "CALL hammer($block)" } 1 .. 100);
}

my @sessions = map { hammer($all[ $_ % 3 ], $_ % 2 ? 1 : 3) } 0 .. 15;
move('block_writes') foreach 1 .. $blocking;
move('force_logical') foreach 1 .. $online;
sql('INSERT INTO stop VALUES (1)');
outcome_of($_) foreach @sessions;
is(join('', map { join("\n", grep { /ERROR:/ && !/40P01/ } split(/\n/, $_->{err})) } @sessions), '',
	'no call fails but by a deadlock');

my $made = 0;
$made += $_->safe_psql('postgres', 'SELECT sum(n) FROM made') foreach @all;
is(sql(q{SELECT sum(value::text::int) FROM actor.state WHERE key = 'n'}), $made,
	"none of $made calls is lost in $blocking blocking and $online online moves");

@sessions = map { session_on($all[ $_ % 3 ], 'CALL hammer_control()') } 0 .. 15;
is(join('', map { outcome_of($_) } @sessions), '', 'the control runs');
cmp_ok(sql('SELECT sum(n) FROM control'), '<', 16 * 50, 'and loses updates');

stop_servers();
done_testing();
