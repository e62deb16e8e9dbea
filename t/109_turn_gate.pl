# Who waits for a turn while others take it again and again.
#
# Whoever comes may have a turn before those who wait for it, but only for a while:
# each wait ends, also one that was cancelled, and those that come after it.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions qw(:DEFAULT talk_to sql comes);
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('turn_gate');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
synchronous_commit = off
});
$node->start;
talk_to($node);

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
	CREATE FUNCTION g.n() RETURNS int LANGUAGE sql STABLE AS $$ SELECT actor_get('n', 0) $$;
	CREATE FUNCTION g.both(other text) RETURNS int LANGUAGE sql AS
		$$ SELECT actor_invoke('g', other, 'add')::int $$;
	SELECT actor_register('g', call_timeout => '0');
	-- takes the turn again and again until it is told to stop, with hardly a pause
	CREATE TABLE stop ();
	CREATE PROCEDURE hammer(id text, undone boolean) LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT EXISTS (SELECT FROM stop) LOOP
			PERFORM actor_invoke('g', id, 'add');
			IF undone THEN
				ROLLBACK;
			ELSE
				COMMIT;
			END IF;
		END LOOP;
	END $$;
	CREATE PROCEDURE call_often(id text, times int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1..times LOOP
			PERFORM actor_invoke('g', id, 'add');
			COMMIT;
		END LOOP;
	END $$});

# while the turn goes round among those who never pause, everybody else gets it, too
my @hammers = map { session_on($node, "CALL hammer('hot', " . ($_ % 2 ? 'true' : 'false') . ')') } 1 .. 3;
comes(q{SELECT actor_invoke('g', 'hot', 'n')::int > 100}, 'an actor is hot');
my @calls = map { session_on($node, q{CALL call_often('hot', 10)}) } 1 .. 4;
output_of($_) foreach @calls;
is(join('', map { $_->{err} } @calls), '', 'others get its turn as well');
is(output_of(session_on($node, q{BEGIN; SELECT actor_invoke('g', 'quiet', 'both', '{"other": "hot"}') > '0'; COMMIT})),
	't', 'also one that holds another turn');
is(output_of(session_on($node, q{SET lock_timeout = '170s'; SELECT actor_invoke('g', 'hot', 'add') > '0'})),
	't', 'and one that waits for so long only');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CALL hammer'}), '3', 'while it stays hot');

# those who are cancelled, or ended, while they wait for it do not hold up the others
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q{BEGIN; SELECT actor_invoke('g', 'held', 'add')});
my @waiters = map { session_on($node, "SELECT /* waiter $_ */ actor_invoke('g', 'held', 'add')") } 1 .. 6;
comes(q{SELECT count(*) = 6 FROM actor.turn WHERE actor_id = 'held' AND state = 'waits'}, 'six wait for a turn');
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query ~ '/\* waiter [14] ';
	SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '/\* waiter [25] '});
comes(q{SELECT count(*) = 2 FROM actor.turn WHERE actor_id = 'held' AND state = 'waits'}, 'four of them give up');
$holder->query_safe('COMMIT');
is(join(' ', sort map { output_of($_) } @waiters[ 2, 5 ]), '2 3', 'the others get it');
output_of($_) foreach @waiters[ 0, 1, 3, 4 ];

# a turn that comes back with a savepoint, and one that nobody gives back in person
$holder->query_safe(q{BEGIN; SAVEPOINT s; SELECT actor_invoke('g', 'held', 'add')});
my $waiter = session_on($node, q{SELECT actor_invoke('g', 'held', 'add')});
comes(q{SELECT count(*) = 1 FROM actor.turn WHERE actor_id = 'held' AND state = 'waits'}, 'somebody waits');
$holder->query_safe('ROLLBACK TO s');
is(output_of($waiter), '4', 'and gets the turn with the savepoint');
$holder->query_safe('ROLLBACK');
$holder->quit;

sql(q{INSERT INTO stop DEFAULT VALUES});
output_of($_) foreach @hammers;
is(join('', map { $_->{err} } @hammers), '', 'those who never paused have failed in nothing');
is(sql(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 19143}), '0', 'no turn is left');
$node->stop;
done_testing();
