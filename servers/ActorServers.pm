# Three servers with Citus on loopback, for tests of actors on several servers.
package ActorServers;

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../t";

use Exporter 'import';
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions;
use Test::More;

our @EXPORT = qw(start_servers stop_servers add_server session_on outcome_of comes refused
  sql create_counter prepare_calls calls_on plain_calls_on end_calls);
our @EXPORT_OK = qw(@servers);
our @servers;

# A server with both extensions, the first of which is the coordinator.
sub add_server
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf(
		'postgresql.conf', q{
shared_preload_libraries = 'citus,actor'
listen_addresses = '127.0.0.1'
wal_level = logical
max_connections = 100
max_prepared_transactions = 200
max_worker_processes = 40
max_replication_slots = 20
max_wal_senders = 20
shared_buffers = 64MB
citus.enable_statistics_collection = off
});
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION citus');
	$servers[0]->safe_psql('postgres', "SELECT citus_add_node('127.0.0.1', " . $node->port . ')')
	  if @servers;
	push @servers, $node;
	return $node;
}

# A coordinator and so many others.
sub start_servers
{
	my ($others) = @_;

	add_server('coordinator');
	$servers[0]->safe_psql('postgres',
		"SELECT citus_set_coordinator_host('127.0.0.1', " . $servers[0]->port . ')');
	add_server("worker$_") foreach 1 .. $others;
	$servers[0]->safe_psql('postgres', 'CREATE EXTENSION actor');
	return @servers;
}

sub stop_servers
{
	$_->stop foreach reverse @servers;
	return;
}

sub sql
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# Makes the schema of a type "g", whose actors count.
sub create_counter
{
	my ($node) = @_;

	sql($node, q{
CREATE SCHEMA g;
CREATE FUNCTION g.add(step int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
	n int := actor_get('n', 0) + step;
BEGIN
	PERFORM actor_set('n', n);
	RETURN n;
END $$;
});
	return;
}

# Calls that are counted: those of actors "hot0" to "hot4" of type "g", after
# actor_distribute().  What was called is written down in the same transaction, on the
# server of the session.
sub prepare_calls
{
	create_counter($servers[0]);
	sql($servers[0], q{
SELECT actor_register('g');
CREATE TABLE stop (n int);
SELECT create_reference_table('stop');
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
});
	sql($_, 'CREATE TABLE made (n int)') foreach @servers;
	return;
}

# Begins to make them, so many in a transaction, until end_calls().  Who is cancelled
# because of a deadlock with a move begins again.
sub calls_on
{
	my ($node, $block) = @_;

	return session_on($node, '\set ON_ERROR_STOP off', map { "CALL hammer($block)" } 1 .. 100);
}

# Makes so many of them, each a statement by itself, which another server may run.
sub plain_calls_on
{
	my ($node, $calls) = @_;
	my $session = session_on($node, '\set ON_ERROR_STOP off',
		map { "SELECT actor_invoke('g', 'hot" . $_ % 5 . "', 'add')" } 1 .. $calls);

	$session->{plain} = 1;
	return $session;
}

# Ends them; returns how many there were.
sub end_calls
{
	my @sessions = @_;
	my $made = 0;

	sql($servers[0], 'INSERT INTO stop VALUES (1)');
	outcome_of($_) foreach @sessions;
	is(join('', map { join("\n", grep { /ERROR:/ && !/40P01/ } split(/\n/, $_->{err})) } @sessions), '',
		'no call fails but by a deadlock');
	$made += () = $_->{out} =~ /^\d+$/mg foreach grep { $_->{plain} } @sessions;
	$made += sql($_, 'SELECT coalesce(sum(n), 0) FROM made') foreach @servers;
	return $made;
}

sub comes
{
	my ($node, $sql, $name) = @_;

	return ok($node->poll_query_until('postgres', $sql), $name);
}

# That a statement raises an error.
sub refused
{
	my ($node, $sql, $state, $name) = @_;

	return is(outcome_of(session_on($node, $sql)), " $state", $name);
}

1;
