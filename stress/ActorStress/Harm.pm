# What happens to the server meanwhile.  Everything here may fail, as the server
# may be in the middle of a crash; what must not stay is put right by settle().
package ActorStress::Harm;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Time::HiRes qw(sleep time);

use ActorStress::Work qw(@actors);

our @EXPORT_OK = qw(harm_kinds do_harm settle);

my @tables = map { "actor.$_" } qw(state activation reminder message timer request failure pause type stream event subscription fan_out);

sub one_of
{
	return $_[ int(rand(@_)) ];
}

# The process id of a process of some kind, chosen by the server.
sub victim
{
	my ($server, $kind) = @_;
	my ($good, $pid) = $server->try_sql(
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$kind' AND pid <> pg_backend_pid()"
		  . " AND (backend_type <> 'client backend' OR usename = 'stress') ORDER BY random() LIMIT 1");

	return $good && $pid =~ /^\d+$/ ? $pid : undef;
}

# Sends a signal to a process of some kind; whether there was one.
sub hit
{
	my ($signal, $kind) = @_;

	return sub {
		my $server = shift;
		my $pid = victim($server, $kind);

		return defined $pid && kill $signal, $pid;
	};
}

# Runs one of several commands.
sub command
{
	my @commands = @_;

	return sub {
		my $server = shift;
		my $command = one_of(@commands);

		return ($server->try_sql(ref $command ? $command->() : $command))[0];
	};
}

# A setting for all, for a while.
sub setting
{
	my ($name, @values) = @_;

	return sub {
		my $server = shift;
		my $value = one_of(@values);

		return ($server->try_sql("ALTER SYSTEM SET $name = $value; SELECT pg_reload_conf();"))[0];
	};
}

# a type that comes and goes, with an actor that has all there is
my $brief = q{
	CREATE SCHEMA IF NOT EXISTS brief AUTHORIZATION stress;
	CREATE OR REPLACE FUNCTION brief.put() RETURNS int LANGUAGE plpgsql AS $$
		BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1); RETURN actor_get('n', 0); END $$;
	ALTER FUNCTION brief.put() OWNER TO stress;
	SET SESSION AUTHORIZATION stress;
	SELECT actor_register('brief');
	SELECT actor_invoke('brief', '1', 'put'), actor_send('brief', '1', 'put'),
		actor_set_reminder('brief', '1', 'put', '1ms', '5ms'), actor_set_timer('brief', '1', 'put', '1ms', '5ms');
	SELECT actor_unregister('brief', force => true);
	RESET SESSION AUTHORIZATION;
	DROP SCHEMA brief CASCADE;};

# weight and what is done, by kind
my %harm = (
	'VACUUM FULL' => [ 6, command(sub { 'VACUUM FULL ' . one_of(@tables) }) ],
	CLUSTER => [ 4, command(sub { my $table = one_of(@tables); "CLUSTER $table USING " . substr($table, 6) . '_pkey' }) ],
	VACUUM => [ 4, command(sub { 'VACUUM (INDEX_CLEANUP on) ' . one_of(@tables) }, 'ANALYZE', 'CHECKPOINT') ],
	REINDEX => [ 4, command(sub { 'REINDEX TABLE ' . one_of(@tables) }) ],
	'REINDEX CONCURRENTLY' => [
		4,
		command(
			sub { 'REINDEX TABLE CONCURRENTLY ' . one_of(@tables) },
			sub { 'CREATE INDEX CONCURRENTLY IF NOT EXISTS stress_index ON actor.state (actor_id)' },
			sub { 'DROP INDEX IF EXISTS actor.stress_index' }) ],
	'functions replaced' => [
		6,
		command(
			q{DO $$ BEGIN EXECUTE pg_get_functiondef('s._change'::regproc); EXECUTE pg_get_functiondef('s.work'::regproc); END $$},
			q{DO $$ BEGIN EXECUTE pg_get_functiondef('s.receive'::regproc); EXECUTE pg_get_functiondef('s.look'::regproc); END $$},
			'ALTER FUNCTION s.work COST 200',
			'GRANT EXECUTE ON FUNCTION s.work TO PUBLIC',
			'REVOKE EXECUTE ON FUNCTION s.work FROM pg_monitor') ],
	'type registered' => [
		4,
		command(map { "SET SESSION AUTHORIZATION stress; SELECT actor_register('s', $_)" }
			  'reentrancy => true',
			'reentrancy => true, reminders_storage_partitions => 3, idle_timeout => \'300 ms\', scan_interval => \'200 ms\'',
			'reentrancy => true, call_timeout => \'300 ms\', drain_rebalanced_actors => false',
			'reentrancy => false') ],
	'type come and gone' => [ 3, command($brief) ],
	'actor paused' => [
		4,
		sub {
			my $server = shift;
			my $whom = one_of("'s'", map { "'s', '$_'" } @actors);

			return ($server->try_sql(
					"SET SESSION AUTHORIZATION stress; SELECT actor_pause($whom); SELECT pg_sleep(0.05); SELECT actor_resume($whom);"))[0];
		} ],
	'setting changed' => [
		3,
		sub {
			return one_of(
				setting('actor.enabled', 'off', 'on', 'on'), setting('actor.locate_rows', 'off', 'on'),
				setting('actor.batch_time', 0, 10), setting('actor.max_executors', 1, 2, 4))->(@_);
		} ],
	'session cancelled' => [ 8, hit(INT => 'client backend') ],
	'session terminated' => [ 3, hit(TERM => 'client backend') ],
	'executor cancelled' => [ 4, hit(INT => 'actor executor') ],
	'executor terminated' => [ 3, hit(TERM => 'actor executor') ],
	'scheduler terminated' => [ 2, hit(TERM => 'actor scheduler') ],
	'launcher terminated' => [ 1, hit(TERM => 'actor launcher') ],
	'session killed' => [ 1, hit(KILL => 'client backend') ],
	'executor killed' => [ 1, hit(KILL => 'actor executor') ],
	'scheduler killed' => [ 1, hit(KILL => 'actor scheduler') ],
	'immediate stop' => [ 1, sub { my $server = shift; $server->stop('immediate'); return $server->start } ],
	'fast restart' => [ 1, sub { my $server = shift; $server->stop('fast'); return $server->start } ]);
my @weighted = map { my $kind = $_; map { $kind } 1 .. $harm{$kind}[0] } sort keys %harm;

# All kinds, in an order that the seed decides.
sub harm_kinds
{
	my @rest = sort keys %harm;

	return map { splice @rest, int(rand @rest), 1 } 1 .. @rest;
}

# What a crash has left behind would block an actor for ever.
sub decide_prepared
{
	my ($server, $age) = @_;
	my ($good, $gids) =
	  $server->try_sql("SELECT gid FROM pg_prepared_xacts WHERE prepared < clock_timestamp() - interval '$age' ORDER BY gid");

	return if !$good;
	$server->try_sql("ROLLBACK PREPARED '$_'") for split /\n/, $gids;
	return;
}

# Does harm of a kind, or of one chosen at random; returns the kind, and whether
# anything was hit.
sub do_harm
{
	my ($server, $kind) = @_;

	$kind //= one_of(@weighted);
	my $done = $harm{$kind}[1]->($server);

	$server->wait_until_up;
	decide_prepared($server, '2 s');
	return ($kind, $done);
}

# Undoes what keeps work from coming to its end, and waits for that; dies if it
# never comes.  What was given up is tried again.
sub settle
{
	my $server = shift;
	my $rest = -1;
	my $since = time;

	$server->wait_until_up;
	$server->sql("ALTER SYSTEM RESET ALL;\nSELECT pg_reload_conf();");
	decide_prepared($server, '0 s');
	# what was left half done; paths of work come back to their actors
	$server->sql(q{
		SET SESSION AUTHORIZATION stress;
		SELECT actor_register('s', reentrancy => true);
		RESET SESSION AUTHORIZATION;
		SELECT actor_unregister('brief', force => true) FROM actor.type WHERE actor_type = 'brief';
		DO $$ DECLARE name text; BEGIN
			FOR name IN SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid LOOP
				EXECUTE 'DROP INDEX ' || name;
			END LOOP;
		END $$;});
	while ($rest != 0)
	{
		decide_prepared($server, '0 s');
		$server->try_sql(q{
			SET SESSION AUTHORIZATION stress;
			SELECT actor_resume(actor_type, CASE WHEN actor_id <> '' THEN actor_id END) FROM actor.pause;
			SELECT actor_resume('s');
			SELECT actor_retry(failure_id) FROM actor.failure WHERE kind <> 'timer';
			SELECT actor_discard(failure_id) FROM actor.failure WHERE kind = 'timer'});
		my ($good, $now) = $server->try_sql(q{
			SELECT (SELECT count(*) FROM actor.reminder) + (SELECT count(*) FROM actor.message) + (SELECT count(*) FROM actor.fan_out)
				+ (SELECT count(*) FROM actor.timer) + (SELECT count(*) FROM actor.failure)
				+ (SELECT count(*) FROM pg_prepared_xacts)});

		$now = $rest if !$good;
		$since = time if $now != $rest;
		$rest = $now;
		die "$rest reminders, messages, events, timers, failures and prepared transactions are left and do not come to an end\n"
		  if time - $since > 180;
		sleep 0.2;
	}
	return;
}

1;
