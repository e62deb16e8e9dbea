# pg_upgrade, to a cluster of the same version, and from those before it that
# Debian has put beside: actors, reminders and messages are there afterwards, and
# nothing fires before the new server is started.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Cwd qw(abs_path getcwd);
use OtherServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A cluster that takes part, in that installation.  Checksums are on since 18, and
# both sides must agree.
sub cluster
{
	my ($name, $bin) = @_;
	my @install = defined $bin ? (install_path => $bin =~ s{/bin$}{}r) : ();
	my $node = PostgreSQL::Test::Cluster->new($name, @install);

	$node->init(extra => ['--data-checksums']);
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
	return $node;
}

# A database full of actors, with rows that are due but do not fire here.
sub fill
{
	my ($old) = @_;

	$old->start;
	$old->safe_psql('postgres', q{
		CREATE EXTENSION actor;
		CREATE SCHEMA box;
		CREATE TABLE box.fired (n bigserial, id text, kind text, server timestamptz);
		CREATE FUNCTION box.fire() RETURNS void LANGUAGE sql AS $$
			INSERT INTO box.fired (id, kind, server)
			SELECT actor_id(), actor_cause() ->> 'kind', pg_postmaster_start_time() $$;
		CREATE FUNCTION box.put(v int) RETURNS int LANGUAGE sql AS $$ SELECT actor_set('v', v); SELECT actor_get('v', 0) $$;
		CREATE FUNCTION box.peek() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('v', 0) $$;
		SELECT actor_register('box');
		SELECT actor_invoke('box', 'a', 'put', '[7]', request_id => 'once');
		SELECT actor_set_reminder('box', 'far', 'fire', '1000h')});
	# due, but not while this server runs
	$old->append_conf('postgresql.conf', 'actor.enabled = off');
	$old->restart;
	$old->safe_psql('postgres', q{
		SELECT actor_set_reminder('box', 'due', 'fire');
		SELECT actor_send('box', 'sent', 'fire')});
	return;
}

my $rows = q{SELECT actor_id, name, method, due_time, scheduled_at, role_name, generation FROM actor.reminder WHERE actor_id = 'far'};

sub upgrade
{
	my ($what, $old, $new) = @_;

	fill($old);
	my $before = $old->safe_psql('postgres', $rows);
	$old->stop;

	my @command = (
		'pg_upgrade', '--no-sync',
		'-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'),
		'-d', abs_path($old->data_dir), '-D', abs_path($new->data_dir),
		'-s', $new->host, '-p', $old->port, '-P', $new->port);
	# it writes its files where it is
	my $here = getcwd();
	chdir PostgreSQL::Test::Utils::tempdir() or die $!;
	command_ok([ @command, '--check' ], "$what: nothing is in the way of pg_upgrade");
	command_ok(\@command, "$what: pg_upgrade does it");
	Test::More->builder->is_passing or die;
	chdir $here or die $!;
	$new->start;

	ok( $new->poll_query_until('postgres', 'SELECT count(*) = 2 FROM box.fired'),
		"$what: what was due fires at the new server");
	is( $new->safe_psql('postgres', 'SELECT id, kind, server = pg_postmaster_start_time() FROM box.fired ORDER BY id'),
		"due|reminder|t\nsent|message|t", 'once, and not before');
	is($new->safe_psql('postgres', $rows), $before, 'reminders are what they were');
	is($new->safe_psql('postgres', q{SELECT actor_invoke('box', 'a', 'peek')}), '7', 'so is state');
	is( $new->safe_psql('postgres', q{SELECT actor_invoke('box', 'a', 'put', '[7]', request_id => 'once'), count(*) FROM actor.request}),
		'7|1', 'and request ids');
	isnt($new->safe_psql('postgres', q{SELECT actor_send('box', 'sent', 'fire') IS NULL}), 't', 'sequences go on');
	ok( $new->poll_query_until('postgres', 'SELECT count(*) = 3 FROM box.fired'), 'and new messages');
	$new->stop;
	return;
}

my ($major) = `pg_config --version` =~ /(\d+)/;
upgrade("to $major", cluster('old'), cluster('new'));

my %older = OtherServer::older($major);
SKIP:
{
	skip "no PostgreSQL before $major is here from a package of Debian, no newer than this one", 1
	  unless %older;
	for my $other (sort keys %older)
	{
		upgrade(
			"from $other to $major",
			cluster("from_$other", OtherServer::install($older{$other})),
			cluster("to_$other"));
	}
}

done_testing();
