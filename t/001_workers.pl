# The background workers: they come when there is something to do, run as the
# role that has registered a reminder, come back when they are ended, and no
# bad reminder or role stops the others.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('workers');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 24
actor.max_executors = 12
actor.executor_linger = '1h'
});
$node->start;
my $major = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");

# Waits until a query is true.
sub wait_for
{
	my ($query, $what, $database) = @_;

	ok($node->poll_query_until($database // 'postgres', "SELECT $query"), $what);
}

sub workers
{
	my ($kind, $condition) = @_;

	return "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'actor $kind'"
	  . ($condition ? " AND $condition)" : ')');
}

sub set_config
{
	my ($name, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = '$value'");
	$node->reload;
}

# Registers a reminder as a role.
sub remind
{
	my ($role, $id, $name, $rest, $database) = @_;

	$node->safe_psql($database // 'postgres',
		"SET ROLE $role; SELECT actor_set_reminder('shop', '$id', '$name'"
		  . ($rest ? ", $rest)" : ')'));
}

sub hits
{
	my ($id) = @_;

	return "(SELECT count(*) FROM shop.hit WHERE id = '$id')";
}

# The number of lines of the log since a position.
sub log_lines
{
	my ($pattern, $offset) = @_;
	my $log = substr(slurp_file($node->logfile), $offset // 0);
	my @lines = $log =~ /$pattern/g;

	return scalar @lines;
}

my $define = q{
	CREATE EXTENSION actor;
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO PUBLIC;
	CREATE TABLE shop.hit (id text, session_role text, role text, cause jsonb);
	GRANT SELECT, INSERT ON shop.hit TO PUBLIC;
	CREATE FUNCTION shop.fire() RETURNS void LANGUAGE sql AS $$
		INSERT INTO shop.hit VALUES (actor_id(), session_user, current_user, actor_cause());
	$$;
	CREATE FUNCTION shop.gated() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('half', true);
		INSERT INTO shop.hit VALUES (actor_id(), session_user, current_user, actor_cause());
		PERFORM pg_advisory_xact_lock_shared(4711);
	END $$;
	CREATE FUNCTION shop.fail() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		RAISE 'failed on purpose' USING DETAIL = 'as planned';
	END $$;
	CREATE FUNCTION shop.spin() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		LOOP
		END LOOP;
	END $$;
	CREATE FUNCTION shop.die() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_terminate_backend(pg_backend_pid());
	END $$;
	SELECT actor_register('shop');
};

#
# Coming and going
#
wait_for(workers('launcher') . ' = 1', 'launcher starts');
is( $node->safe_psql('postgres',
		'SELECT ' . workers('scheduler') . ' + ' . workers('executor')),
	'0', 'nothing else runs where nothing is to do');

$node->safe_psql('postgres', "CREATE ROLE $_ LOGIN")
  foreach qw(regress_actor_one regress_actor_two regress_actor_three
  regress_actor_four regress_actor_gone regress_actor_locked regress_actor_moved);
$node->safe_psql('postgres', $define);
remind('regress_actor_one', 'first', 'fire');
wait_for(hits('first') . ' = 1', 'a reminder fires');
wait_for(workers('scheduler', "datname = 'postgres'") . ' = 1', 'scheduler is shown');
wait_for(
	workers('executor', "datname = 'postgres' AND usename = 'regress_actor_one'") . ' = 1',
	'executor is connected as the role that has registered the reminder');
is( $node->safe_psql('postgres',
		"SELECT session_role, role, cause ->> 'kind', cause ->> 'name' FROM shop.hit"),
	'regress_actor_one|regress_actor_one|reminder|fire',
	'which is both the session user and the current user of the method');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.reminder'),
	'0', 'a reminder without a period is gone after its firing');

remind('regress_actor_two', 'second', 'fire');
wait_for(hits('second') . ' = 1', 'a reminder of another role fires');
is( $node->safe_psql('postgres',
		"SELECT session_role, role FROM shop.hit WHERE id = 'second'"),
	'regress_actor_two|regress_actor_two', 'as that role');

set_config('actor.executor_linger', '10ms');
wait_for(workers('executor') . ' = 0', 'executors leave when they have nothing to do');
$node->safe_psql('postgres',
	q{SELECT actor_deactivate(actor_type, actor_id) FROM actor.activation});
wait_for(workers('scheduler') . ' = 0', 'then the scheduler does too');
remind('regress_actor_one', 'again', 'fire');
wait_for(hits('again') . ' = 1', 'both come back when there is something to do');
wait_for(workers('executor') . ' = 0', 'and leave again');
set_config('actor.executor_linger', '1h');

#
# Several databases, named by no setting
#
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach qw(second third empty);
$node->safe_psql($_, $define) foreach qw(second third);
remind('regress_actor_one', 'x', 'fire', undef, $_) foreach qw(second third);
wait_for(hits('x') . ' = 1', "a reminder fires in database $_", $_) foreach qw(second third);
is($node->safe_psql('postgres', 'SELECT ' . workers('scheduler', "datname = 'empty'")),
	'0', 'nothing runs in a database without the extension');

#
# Switching off and on
#
set_config('actor.enabled', 'off');
wait_for(workers('executor') . ' = 0', 'executors end when actor.enabled is switched off');
remind('regress_actor_one', 'off', 'fire');
remind('regress_actor_one', 'off', 'fire', undef, $_) foreach qw(second third);
is( $node->safe_psql('postgres',
		'SELECT ' . workers('executor') . ', ' . hits('off') . ', '
		  . "(SELECT count(*) FROM actor.reminder)"),
	'0|0|1', 'nothing fires, reminders can be registered');
set_config('actor.enabled', 'on');
wait_for(hits('off') . ' = 1', "what is due fires in $_ when it is switched on", $_)
  foreach qw(postgres second third);

# a server that starts finds out by itself
set_config('actor.enabled', 'off');
wait_for(workers('executor') . ' = 0', 'executors end again');
remind('regress_actor_one', 'restart', 'fire', undef, $_) foreach qw(postgres second third);
$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.enabled');
$node->restart;
wait_for(hits('restart') . ' = 1', "what is due fires in $_ after a restart", $_)
  foreach qw(postgres second third);

#
# Workers that are ended come back
#
sub terminate
{
	my ($kind, $condition) = @_;

	my $where = "backend_type = 'actor $kind'" . ($condition ? " AND $condition" : '');
	my $pid = $node->safe_psql('postgres', "SELECT min(pid) FROM pg_stat_activity WHERE $where");
	isnt($pid, '', "there is a $kind to end");
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	wait_for("count(*) = 0 FROM pg_stat_activity WHERE pid = $pid", "$kind ends");
}

# a period without end, whose count goes on growing
remind('regress_actor_one', 'beat', 'fire', "'', '100ms'");
wait_for(hits('beat') . ' > 0', 'a periodic reminder fires');

sub beats_on
{
	my ($what) = @_;
	my $count = $node->safe_psql('postgres', 'SELECT ' . hits('beat'));

	wait_for(hits('beat') . " > $count + 2", $what);
}

terminate('launcher');
wait_for(workers('launcher') . ' = 1', 'launcher comes back');
beats_on('firing goes on without a pause of the scheduler');
terminate('scheduler', "datname = 'postgres'");
wait_for(workers('scheduler', "datname = 'postgres'") . ' = 1', 'scheduler comes back');
beats_on('firing goes on');
terminate('executor', "datname = 'postgres' AND usename = 'regress_actor_one'");
beats_on('firing goes on with a new executor');
remind('regress_actor_two', 'new', 'fire');
wait_for(hits('new') . ' = 1', 'the new scheduler serves new roles');
$node->safe_psql('postgres', 'CREATE DATABASE fourth');
$node->safe_psql('fourth', $define);
remind('regress_actor_one', 'x', 'fire', undef, 'fourth');
wait_for(hits('x') . ' = 1', 'the new launcher serves new databases', 'fourth');

# in the middle of a callback: nothing of it remains, and it is done again
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(4711)');
remind('regress_actor_three', 'gated', 'gated');
my $waits = "count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
  . ' AND objid = 4711';
wait_for($waits, 'a callback waits');
terminate('executor', "usename = 'regress_actor_three'");
is( $node->safe_psql('postgres', 'SELECT ' . hits('gated')
		  . ", (SELECT count(*) FROM actor.state WHERE actor_id = 'gated')"),
	'0|0', 'nothing of a callback remains when its executor is ended');
wait_for($waits, 'it runs again');
beats_on('it holds up no other role');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
wait_for(hits('gated') . ' = 1', 'and takes effect once');
wait_for("count(*) = 0 FROM actor.reminder WHERE actor_id = 'gated'", 'then its row is gone');

# delete and replace from outside wait for the running callback
foreach my $verb ('delete', 'replace')
{
	$gate->query_safe('SELECT pg_advisory_lock(4711)');
	remind('regress_actor_three', $verb, 'gated');
	wait_for($waits, "a callback waits, to be ${verb}d");
	my $session = $node->background_psql('postgres');
	$session->query_safe('SET ROLE regress_actor_three');
	$session->query_until(qr/started/, $verb eq 'delete'
		? "\\echo started\nSELECT actor_delete_reminder('shop', 'delete', 'gated');\n"
		: "\\echo started\nSELECT actor_set_reminder('shop', 'replace', 'gated', '8760h');\n");
	wait_for("count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
		  . " AND query LIKE '%actor_%_reminder%' AND pid <> pg_backend_pid()",
		"$verb waits for it");
	$gate->query_safe('SELECT pg_advisory_unlock(4711)');
	wait_for(hits($verb) . ' = 1', 'the callback ends');
	$session->quit;
	is( $node->safe_psql('postgres',
			"SELECT count(*), count(*) FILTER (WHERE scheduled_at > now())"
			  . " FROM actor.reminder WHERE actor_id = '$verb'"),
		$verb eq 'delete' ? '0|0' : '1|1', "its outcome is not mixed up with the $verb");
}
$gate->quit;

#
# A busy actor does not hold up others of the same role
#
my $turn = $node->background_psql('postgres');
$turn->query_safe('BEGIN');
$turn->query_safe("SELECT actor_invoke('shop', 'busy', 'fire')");
remind('regress_actor_one', 'busy', 'fire');
remind('regress_actor_one', 'free', 'fire');
wait_for(hits('free') . ' = 1', 'a reminder passes one whose actor is busy');
is($node->safe_psql('postgres', 'SELECT ' . hits('busy')), '0', 'which waits for the turn');
$turn->query_safe('ROLLBACK');
wait_for(hits('busy') . ' = 1', 'and gets it');
$turn->quit;

#
# Callbacks that misbehave
#
my $once = q{'', failure_policy => '{"drop": {}}'};

remind('regress_actor_two', 'fail', 'fail',
	q{'', failure_policy => '{"constant": {"interval": "10ms", "maxRetries": 2}}'});
remind('regress_actor_two', 'after fail', 'fire');
wait_for(hits('after fail') . ' = 1', 'a reminder passes one that fails');
wait_for("count(*) = 1 FROM actor.failure WHERE actor_id = 'fail'", 'which is given up');
is( $node->safe_psql('postgres',
		"SELECT kind, name, method, attempts, sqlstate, message, detail, role_name"
		  . " FROM actor.failure WHERE actor_id = 'fail'"),
	'reminder|fail|fail|3|P0001|failed on purpose|as planned|regress_actor_two',
	'after its retries, with the error');
is($node->safe_psql('postgres', "SELECT count(*) FROM actor.reminder WHERE actor_id = 'fail'"),
	'0', 'and its row is gone');

set_config('actor.callback_timeout', '200ms');
remind('regress_actor_two', 'spin', 'spin', $once);
remind('regress_actor_two', 'after spin', 'fire');
wait_for(hits('after spin') . ' = 1', 'a reminder passes one that never ends');
wait_for("count(*) = 1 FROM actor.failure WHERE actor_id = 'spin'", 'which is given up');
is( $node->safe_psql('postgres',
		"SELECT attempts, sqlstate FROM actor.failure WHERE actor_id = 'spin'"),
	'1|57014', 'because it was cancelled');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.callback_timeout');
$node->reload;

#
# Roles that cannot be used disable their own rows only
#
set_config('actor.enabled', 'off');
wait_for(workers('executor') . ' = 0', 'executors end');
remind("regress_actor_$_", $_, 'fire') foreach qw(gone locked moved three);
$node->safe_psql('postgres', 'DROP ROLE regress_actor_gone');
$node->safe_psql('postgres', 'ALTER ROLE regress_actor_locked NOLOGIN');
$node->safe_psql('postgres', 'ALTER ROLE regress_actor_moved RENAME TO regress_actor_arrived');
my $offset = -s $node->logfile;
set_config('actor.enabled', 'on');
wait_for(hits('three') . ' = 1', 'reminders of other roles fire');
my $complaint = qr/callbacks of role "regress_actor_(?:gone|moved|locked)" cannot run/;
SKIP:
{
	skip 'roles without LOGIN can be used by workers', 1 if $major >= 17;
	$node->wait_for_log(qr/callbacks of role "regress_actor_locked" cannot run/, $offset);
	pass('role without LOGIN is reported');
}
$node->wait_for_log(qr/callbacks of role "regress_actor_$_" cannot run/, $offset)
  foreach qw(gone moved);

# further looks of the scheduler do not repeat it
foreach my $i (1 .. 3)
{
	remind('regress_actor_three', "look $i", 'fire');
	wait_for(hits("look $i") . ' = 1', 'others go on');
}
is(log_lines($complaint, $offset), $major >= 17 ? 2 : 3,
	'there is one log line for each of these roles');
is( $node->safe_psql('postgres',
		"SELECT string_agg(actor_id, ' ' ORDER BY actor_id) FROM actor.reminder"
		  . " WHERE role_name IN ('regress_actor_gone', 'regress_actor_locked',"
		  . " 'regress_actor_moved')"),
	$major >= 17 ? 'gone moved' : 'gone locked moved',
	'their rows stay');

$node->safe_psql('postgres', 'ALTER ROLE regress_actor_locked LOGIN');
$node->safe_psql('postgres', 'ALTER ROLE regress_actor_arrived RENAME TO regress_actor_moved');
remind('regress_actor_three', 'usable', 'fire');
wait_for(hits($_) . ' = 1', "and fire when the role can be used again: $_")
  foreach qw(locked moved);

# an executor that is connected already does not fire in the name of another
remind('regress_actor_moved', 'stays', 'fire');
wait_for(hits('stays') . ' = 1', 'executor of a role is there');
$node->safe_psql('postgres', 'ALTER ROLE regress_actor_moved RENAME TO regress_actor_arrived');
$node->safe_psql('postgres', 'CREATE ROLE regress_actor_moved LOGIN');
remind('regress_actor_moved', 'namesake', 'fire');
wait_for(hits('namesake') . ' = 1', 'a reminder of a new role of an old name fires');
is( $node->safe_psql('postgres',
		"SELECT session_role FROM shop.hit WHERE id = 'namesake'"),
	'regress_actor_moved', 'as the new role');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM shop.hit WHERE session_role <> role'),
	'0', 'no callback ever had two roles');

#
# More roles than executors
#
set_config('actor.executor_linger', '10ms');
$node->safe_psql('postgres', "SELECT actor_delete_reminder('shop', 'beat', 'fire')");
wait_for(workers('executor', "datname = 'postgres'") . ' = 0', 'all executors leave');
set_config('actor.executor_linger', '1h');
set_config('actor.max_executors', '1');
remind('regress_actor_one', 'only', 'fire');
wait_for(hits('only') . ' = 1', 'the only executor is that of one role');
remind('regress_actor_two', 'other', 'fire');
wait_for(hits('other') . ' = 1', 'an idle executor leaves when another role waits');
remind('regress_actor_one', 'busy role', 'fire', "'', '20ms'");
wait_for(hits('busy role') . ' > 5', 'one that always has something to do');
remind('regress_actor_two', 'third', 'fire');
wait_for(hits('third') . ' = 1', 'yields too');
my $count = $node->safe_psql('postgres', 'SELECT ' . hits('busy role'));
wait_for(hits('busy role') . " > $count + 5", 'and comes back');
$node->safe_psql('postgres', "SELECT actor_delete_reminder('shop', 'busy role', 'fire')");
set_config('actor.max_executors', '12');

#
# A callback that ends its own process
#
remind('regress_actor_one', 'beat', 'fire', "'', '100ms'");
remind('regress_actor_four', 'die', 'die', $once);
remind('regress_actor_four', 'after die', 'fire');
remind('regress_actor_three', 'apart from die', 'fire');
wait_for(hits('apart from die') . ' = 1',
	'a callback that ends its own executor holds up no other role');
wait_for(hits('after die') . ' = 1', 'nor the other reminders of its role');
wait_for("count(*) = 0 FROM actor.reminder WHERE actor_id = 'die'",
	'it counts as a failed attempt');
is( $node->safe_psql('postgres',
		"SELECT attempts FROM actor.failure WHERE actor_id = 'die'"),
	'1', 'and is given up');
beats_on('the rest goes on');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/,
	'nothing has crashed');

done_testing();
