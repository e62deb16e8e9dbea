# pg_upgrade, to a cluster of the same version, which is all that can be had
# here: actors, reminders and messages are there afterwards, and nothing fires
# before the new server is started.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path getcwd);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $old = PostgreSQL::Test::Cluster->new('old');
my $new = PostgreSQL::Test::Cluster->new('new');
foreach my $node ($old, $new)
{
	$node->init;
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
}
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
my $rows = q{SELECT actor_id, name, method, due_time, scheduled_at, role_name, generation FROM actor.reminder WHERE actor_id = 'far'};
my $before = $old->safe_psql('postgres', $rows);
$old->stop;

my $bin = $old->config_data('--bindir');
my @command = (
	'pg_upgrade', '--no-sync',
	'-b', $bin, '-B', $bin,
	'-d', abs_path($old->data_dir), '-D', abs_path($new->data_dir),
	'-s', $new->host, '-p', $old->port, '-P', $new->port);
# it writes its files where it is
my $here = getcwd();
chdir PostgreSQL::Test::Utils::tempdir() or die $!;
command_ok([ @command, '--check' ], 'nothing is in the way of pg_upgrade');
command_ok(\@command, 'pg_upgrade does it');
chdir $here or die $!;
$new->start;

ok( $new->poll_query_until('postgres', 'SELECT count(*) = 2 FROM box.fired'),
	'what was due fires at the new server');
is( $new->safe_psql('postgres', 'SELECT id, kind, server = pg_postmaster_start_time() FROM box.fired ORDER BY id'),
	"due|reminder|t\nsent|message|t", 'once, and not before');
is($new->safe_psql('postgres', $rows), $before, 'reminders are what they were');
is($new->safe_psql('postgres', q{SELECT actor_invoke('box', 'a', 'peek')}), '7', 'so is state');
is( $new->safe_psql('postgres', q{SELECT actor_invoke('box', 'a', 'put', '[7]', request_id => 'once'), count(*) FROM actor.request}),
	'7|1', 'and request ids');
isnt($new->safe_psql('postgres', q{SELECT actor_send('box', 'sent', 'fire') IS NULL}), 't', 'sequences go on');
ok( $new->poll_query_until('postgres', 'SELECT count(*) = 3 FROM box.fired'), 'and new messages');

$new->stop;
done_testing();
