# What the doctor finds on the servers of a cluster, and what is measured on each.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use PostgreSQL::Test::Utils;
use Test::More;

my ($coordinator, $worker) = start_servers(1);
my $name = '127.0.0.1:' . $worker->port;

# What a check finds comes to be that, seen from the coordinator.
sub finds
{
	my ($check, $pattern, $what) = @_;

	return comes($coordinator, "SELECT count(*) > 0 FROM actor_doctor()"
		  . " WHERE check_name = '$check' AND NOT ok AND detail ~ '$pattern' AND hint <> ''", $what);
}

# The checks of a cluster find nothing.
sub finds_nothing
{
	my ($node, $what) = @_;

	return comes($node, "SELECT bool_and(ok) FROM actor_doctor()"
		  . " WHERE check_name IN ('servers', 'libraries', 'in_doubt', 'clocks', 'shards')", $what);
}

# Starts the worker again with other libraries.
sub preload
{
	$worker->append_conf('postgresql.conf', "shared_preload_libraries = '$_[0]'");
	return $worker->restart;
}

finds_nothing($coordinator, 'all is well before actors are distributed');
sql($coordinator, q{
CREATE SCHEMA g;
CREATE FUNCTION g.add() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
SELECT actor_distribute(4), actor_register('g');
});
finds_nothing($coordinator, 'all is well, seen from the coordinator');
finds_nothing($worker, 'and from the other server');

# metrics are those of each server

sub gauge
{
	my ($node, $gauge) = @_;

	return sql($node, "SELECT value FROM actor.get_gauges() WHERE name = '$gauge'");
}

is(gauge($coordinator, 'actor_servers_shards'), 0, 'the coordinator has no shards');
is(gauge($worker, 'actor_servers_shards'), 4, 'the other one has all');
is(sql($_->[0], q{SELECT count(*) FROM actor.get_gauges('doctor') WHERE check_name = 'servers'}), $_->[1],
	'who watches all servers asks one for them')
  foreach [ $coordinator, 1 ], [ $worker, 0 ];
foreach my $node ($coordinator, $worker)
{
	sql($node, q{BEGIN; SELECT actor_invoke('g', 'a', 'add'); COMMIT});
	like(sql($node, 'SELECT actor_metrics()'), qr/^actor_calls_total\{datname="postgres",type="g",method="add"\} 1$/m,
		'calls in ' . $node->name . ' are counted there');
}

# versions

sql($worker, q{UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'actor'});
finds('servers', "^Server $name has version 0.9 of the extension, this one has ", 'another version of the extension');
sql($worker, q{UPDATE pg_extension SET extversion = '1.0' WHERE extname = 'actor'});
sql($worker, q{SET citus.enable_ddl_propagation = off; CREATE OR REPLACE FUNCTION pg_catalog.citus_version() RETURNS text
	LANGUAGE sql STABLE AS $$ SELECT 'Citus 13.0.5 on something' $$});
finds('servers', "^Server $name has release 13.0.5 of Citus, this one has ", 'another release of Citus');
sql($worker, q{SET citus.enable_ddl_propagation = off; CREATE OR REPLACE FUNCTION pg_catalog.citus_version() RETURNS text
	LANGUAGE c STABLE AS '$libdir/citus', 'citus_version'});
finds_nothing($coordinator, 'the same versions');

# a transaction that nobody finishes

sql($worker, q{BEGIN; CREATE TABLE doubtful (n int); PREPARE TRANSACTION 'left'});
finds('in_doubt', "^Server $name has 1 prepared transaction that has been there for ", 'what is in doubt');
sql($worker, q{ROLLBACK PREPARED 'left'});
finds_nothing($coordinator, 'nothing is in doubt');

# libraries

preload('pg_prewarm,citus,actor');
finds('libraries', "^Server $name has .* set to .pg_prewarm", 'Citus is not the first one');
preload('citus');
finds('shards', "^Server $name has shards of 4 groups, and no workers", 'there are no workers');
preload('citus,actor');
finds_nothing($coordinator, 'libraries are as they should be');

# a clock that is ahead; the library is that of t/057_clock.pl

my $clock = PostgreSQL::Test::Utils::tempdir() . '/clock';
SKIP:
{
	skip('no library can set the clock', 2)
	  if $^O ne 'linux' || system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O2', '-o', "$clock.so",
		"$FindBin::RealBin/../t/clock.c") != 0;
	open(my $file, '>', $clock) or die "$clock: $!";
	print $file pack('q', 60 * 1_000_000);
	close $file;
	{
		local $ENV{LD_PRELOAD} = "$clock.so";
		local $ENV{ACTOR_TEST_CLOCK} = $clock;
		$worker->restart;
	}
	finds('clocks', "^The clock of server $name is [0-9]+ s ahead of that of this one", 'a clock that is ahead');
	$worker->restart;
	finds_nothing($coordinator, 'it is right again');
}

# nobody is there

$worker->stop;
finds('servers', "^Server $name does not answer", 'a server that does not answer');
finds('shards', "^Server $name has shards of 4 groups", 'and has shards');
$worker->start;
finds_nothing($coordinator, 'it is there again');

stop_servers();
done_testing();
