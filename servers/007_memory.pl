# Memory of sessions does not grow with their calls.  ROUNDS=100 makes 100,000 of them in a
# session.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my $calls = 1000 * ($ENV{ROUNDS} // 2);
my $limit = 1024 * 1024;

my ($coordinator, $owner) = start_servers(1);
create_counter($coordinator);
sql($coordinator, q{
CREATE FUNCTION g.look() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
CREATE FUNCTION g.memory() RETURNS bigint STABLE LANGUAGE sql AS $$
	SELECT sum(total_bytes) FROM pg_backend_memory_contexts $$;
SELECT actor_distribute(8);
SELECT actor_register('g');
CREATE PROCEDURE many(calls int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. calls
	LOOP
		PERFORM actor_invoke('g', 'm' || i % 20, 'add');
		PERFORM actor_invoke('g', 'm' || i % 20, 'look');
		COMMIT;
	END LOOP;
END $$;
});

# How much memory of a session grows by statements, once they have been used for a while.
sub growth
{
	my ($node, $memory, $statements) = @_;
	my ($before, $after) = grep { /^memory \d+$/ } split /\n/, sql($node,
		join(";\n", $statements->(300), "SELECT 'memory ' || ($memory)", $statements->($calls), "SELECT 'memory ' || ($memory)") . ';');

	return substr($after, 7) - substr($before, 7);
}

my $own = 'SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
my $run = sub { return "CALL many($_[0])" };
# each a statement by itself
my $delegate = sub {
	return qq{SELECT format('SELECT actor_invoke(%L, %L, %L)', 'g', 'm' || i % 20, 'add') FROM generate_series(1, $_[0]) i \\gexec\nSELECT};
};

cmp_ok(growth($owner, $own, $run), '<', $limit, "$calls calls where the actors are");
cmp_ok(growth($coordinator, $own, $run), '<', $limit, "$calls calls from another server");
cmp_ok(growth($coordinator, $own, $delegate), '<', $limit, "$calls calls that another server runs");
is(sql($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE key = 'n'}), 3 * ($calls + 300),
	'all of them were made');

# the session that runs them
my ($before, $after) = grep { /^\d{5,}$/ } split /\n/, sql($coordinator,
	join("\n", $delegate->(300) . ';', q{SELECT actor_invoke('g', 'm1', 'memory');},
		$delegate->($calls) . ';', q{SELECT actor_invoke('g', 'm1', 'memory');}));
cmp_ok($after - $before, '<', $limit, 'nor does that of a session that others call');

stop_servers();
done_testing();
