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

our @EXPORT = qw(start_servers stop_servers add_server session_on outcome_of comes refused);
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
