# What roles may do, on each server: in a transaction block, and where the call may go to
# another one.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my @all = start_servers(2);
my $coordinator = $all[0];
my @roles = qw(regress_owner regress_granted regress_stranger regress_monitor regress_super);

sql($coordinator, 'SELECT actor_distribute(8)');
sql($coordinator, "CREATE ROLE $_ LOGIN") foreach @roles;
sql($coordinator, q{
ALTER ROLE regress_super SUPERUSER;
GRANT pg_monitor TO regress_monitor;
GRANT CREATE ON DATABASE postgres TO regress_owner;
SET SESSION AUTHORIZATION regress_owner;
CREATE SCHEMA bank;
CREATE FUNCTION bank.peek() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('gold', 0) $$;
CREATE FUNCTION bank.touch() RETURNS int LANGUAGE sql AS $$ SELECT actor_get('gold', 0) $$;
CREATE FUNCTION bank.put(n int) RETURNS void LANGUAGE sql AS $$ SELECT actor_set('gold', n) $$;
REVOKE EXECUTE ON FUNCTION bank.put FROM public;
GRANT USAGE ON SCHEMA bank TO regress_granted;
SELECT actor_register('bank', reentrancy => true);
});
# for each server to have some
sql($coordinator, "SELECT actor_invoke('bank', '$_', 'put', '[100]', request_id => 'r')") foreach 1 .. 8;

# What they get: the owner of the type, who is granted a method, a stranger, who may watch,
# and a superuser.
my $no = ' 42501';
my @matrix = (
	[ q{SELECT actor_invoke('bank', '%d', 'peek')}, 100, 100, $no, $no, 100 ],
	[ q{SELECT actor_invoke('bank', '%d', 'touch')}, 100, 100, $no, $no, 100 ],
	[ q{SELECT actor_invoke('bank', '%d', 'put', '[100]')}, '', $no, $no, $no, '' ],
	[ q{SELECT value FROM actor_get_state('bank', '%d', 'gold')}, 100, $no, $no, $no, 100 ],
	[ q{SELECT actor_transact('bank', '%d', '[]')}, '', $no, $no, $no, '' ],
	[ q{SELECT actor_deactivate('bank', 'none %d')}, 'f', $no, $no, $no, 'f' ],
	[ q{SELECT actor_delete('bank', 'none %d')}, 'f', $no, $no, $no, 'f' ],
	[ q{SELECT actor_close_turn('bank', '%d', gen_random_uuid())}, 'f', 'f', 'f', 'f', 'f' ],
	[ q{SELECT actor_close_turn('bank', '%d', NULL)}, 'f', $no, $no, $no, 'f' ],
	[ 'SELECT actor_distribute(8)', $no, $no, $no, $no, ' 55000' ],
	[ 'SELECT count(*) > 0 FROM actor_doctor()', $no, $no, $no, 't', 't' ],
	[ q{SELECT actor_metrics() <> ''}, $no, $no, $no, 't', 't' ],
	[ 'SELECT count(*) FROM actor.type', 1, 1, 1, 1, 1 ],
	[ 'SELECT count(*) FROM actor.state', 8, 0, 0, 0, 8 ],
	[ q{SELECT count(*) FROM actor.state WHERE actor_id = '%d'}, 1, 0, 0, 0, 1 ],
	[ 'SELECT count(*) FROM actor.request', 8, 0, 0, 0, 8 ],
	[ 'INSERT INTO actor.state VALUES (1)', $no, $no, $no, $no, undef ],
	[ 'DELETE FROM actor.activation', $no, $no, $no, $no, undef ]);

foreach my $node (@all)
{
	my @wrong;

	my $actor = 0;
	foreach my $row (@matrix)
	{
		my ($statement, @expected) = @$row;
		my $named = $statement =~ /%d/;
		my $sql = sprintf($statement, $named ? ($actor++ % 8 + 1) : ());

		for my $i (grep { defined $expected[$_] } 0 .. $#roles)
		{
			my @as = "SET SESSION AUTHORIZATION $roles[$i]";

			foreach my $how ([ @as, 'BEGIN', $sql, 'COMMIT' ], $named ? [ @as, $sql ] : ())
			{
				my $outcome = outcome_of(session_on($node, @$how));

				push @wrong, join('; ', @$how) . ": '$outcome' instead of '$expected[$i]'"
				  if $outcome ne $expected[$i];
			}
		}
	}
	is(join("\n", @wrong), '', 'rights on ' . $node->name);
}

# types are changed on the coordinator, by their owners; what is as it should be is not
# refused elsewhere
foreach my $verb (q{actor_register('bank', reentrancy => true)}, q{actor_pause('bank', '1')},
	q{actor_resume('bank', '1')})
{
	foreach my $node (reverse @all)
	{
		my @got = map { outcome_of(session_on($node, "SET SESSION AUTHORIZATION $_", "SELECT $verb")) =~ / (\w{5})$/ ? $1 : '' }
		  @roles;

		is_deeply(\@got, [ $node == $coordinator ? ('', ('42501') x 3, '') : ('0A000', ('42501') x 3, '0A000') ],
			"$verb on " . $node->name);
	}
}

stop_servers();
done_testing();
