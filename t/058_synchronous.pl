# A worker that waits for a synchronous standby at commit while there is none: it
# delays neither a shutdown nor anybody who wants it to end, and what it has
# committed is done once.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('synchronous');
$node->init(allows_streaming => 1);
# Nothing here may end because its time is over.
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
actor.shutdown_timeout = '1h'
actor.drain_ongoing_call_timeout = '1h'
actor.callback_timeout = 0
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA box;
	CREATE TABLE box.fired (id text, kind text);
	CREATE FUNCTION box.fire() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO box.fired VALUES (actor_id(), actor_cause() ->> 'kind') $$;
	SELECT actor_register('box')});

my $waiting = q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event = 'SyncRep'};

# Lets commits wait for a standby that does not exist, or not.
sub wait_for_standby
{
	my ($name) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET synchronous_standby_names = '$name'");
	$node->reload;
	# the checkpointer tells everybody, after it has read the file itself
	$node->poll_query_until('postgres', "SHOW synchronous_standby_names", $name)
	  or die 'the server has not read its configuration';
}

# Lets an executor fire something and wait for its commit.
sub fire
{
	my ($id, $sql) = @_;

	$node->safe_psql('postgres', "SET synchronous_commit = local; $sql");
	ok($node->poll_query_until('postgres', $waiting), "$id: an executor waits for the standby");
	is($node->safe_psql('postgres', "SELECT count(*) FROM box.fired WHERE id = '$id'"),
		'0', 'nobody sees what it has done');
}

sub effects
{
	my ($id) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM box.fired WHERE id = '$id'");
}

wait_for_standby('nobody');
fire('stop', q{SELECT actor_set_reminder('box', 'stop', 'fire')});
# (this fails when pg_ctl has lost its patience)
ok($node->stop('fast', fail_ok => 1), 'it does not keep the server from stopping');
like(slurp_file($node->logfile),
	qr/canceling the wait for synchronous replication and terminating connection/,
	'it has said what it did');
$node->append_conf('postgresql.auto.conf', "synchronous_standby_names = ''");
$node->start;
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.reminder)'),
	'nothing is left to fire');
is(effects('stop'), '1', 'what it had committed is there, once');

# a message, and somebody who terminates it
wait_for_standby('nobody');
fire('terminate', q{SELECT actor_send('box', 'terminate', 'fire')});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'actor executor'});
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.message)'),
	'one that is terminated ends');
is(effects('terminate'), '1', 'and what it had committed is there, once');

# a command that no worker may be in the way of
ok($node->poll_query_until('postgres', $waiting, 'f'), 'it waits no longer');
fire('rename', q{SELECT actor_set_reminder('box', 'rename', 'fire')});
$node->safe_psql('template1', q{SET synchronous_commit = local;
	ALTER DATABASE postgres RENAME TO renamed});
pass('nor is it in the way of a command on the database');
$node->safe_psql('template1', q{SET synchronous_commit = local;
	ALTER DATABASE renamed RENAME TO postgres});
is(effects('rename'), '1', 'what it had committed is there, once');

# the standby answers: here, because none is wanted
fire('answer', q{SELECT actor_set_reminder('box', 'answer', 'fire')});
wait_for_standby('');
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.reminder)'),
	'with an answer it goes on');
is(effects('answer'), '1', 'what it had committed is there, once');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
