# What is kept no longer is removed: expired state, results of calls with a
# request id, failures, events.  Rows are made old by a superuser.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
actor.scan_interval = '1s'
actor.executor_linger = 0
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE FUNCTION t.keep(ttl interval) RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM actor_set('k', 1, ttl); END $$;
	CREATE FUNCTION t.twice() RETURNS int LANGUAGE plpgsql AS
		$$ BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1);
			RETURN actor_get('n', 0); END $$;
	CREATE FUNCTION t.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'wrong'; END $$;
	SELECT actor_register('t', idle_timeout => '1 s')});

my $idle = q{SELECT count(*) = 0 FROM pg_stat_activity
	WHERE backend_type IN ('actor executor', 'actor scheduler')};

sub settle
{
	my ($what) = @_;
	ok($node->poll_query_until('postgres', $idle), $what);
	return;
}

sub count
{
	my ($table, $where) = @_;
	return $node->safe_psql('postgres', "SELECT count(*) FROM actor.$table"
		  . ($where ? " WHERE $where" : ''));
}

sub gone
{
	my ($table, $where, $what) = @_;
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM actor.$table WHERE $where"),
		$what);
	return;
}

sub invoke
{
	my ($id, $method, $payload, $request) = @_;
	return $node->safe_psql('postgres', "SELECT actor_invoke('t', '$id', '$method', $payload, "
		  . 'request_id => ' . ($request ? "'$request'" : 'NULL') . ')');
}

# a new row that expires soon is removed without being asked
invoke('short', 'keep', q{'{"ttl": "1 s"}'});
invoke('long', 'keep', q{'{"ttl": "1 day"}'});
is(count('state', "actor_id IN ('short', 'long')"), '2', 'keys are there');
gone('state', "actor_id = 'short'", 'an expired key is removed');
is(count('state', "actor_id = 'long'"), '1', 'another one is not');

# events, each with the retention its topic had then
$node->safe_psql('postgres', q{
	SELECT actor_keep_events('t', 'short', '1 s'), actor_keep_events('t', 'long', '1 day');
	SELECT actor_publish(topic, NULL, 't') FROM unnest('{short,short,long}'::text[]) topic});
gone('event', "topic = 'short'", 'events are removed');
is(count('event', "topic = 'long'"), '1', 'but those that are kept for longer');
is(count('stream', "topic = 'short' AND last_event = 2"), '1', 'and not their number');

# results and failures
is(invoke('r', 'twice', 'NULL', 'old'), '1', 'a call with a request id');
is(invoke('r', 'twice', 'NULL', 'new'), '2', 'and another one');
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', i, 'fail',
	failure_policy => '{"drop": {}}') FROM unnest('{f1,f2}'::text[]) i});
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM actor.failure'),
	'two failures are kept');
settle('nothing waits for rows that are kept for long');
is(count('request'), '2', 'results are kept');

# they get old; a look at the database shows it
$node->safe_psql('postgres', q{
	UPDATE actor.request SET finished_at = finished_at - interval '23 hours 59 minutes'
		WHERE request_id = 'new';
	UPDATE actor.request SET finished_at = finished_at - interval '24 hours 1 minute'
		WHERE request_id = 'old';
	UPDATE actor.failure SET failed_at = failed_at - interval '29 days 23 hours'
		WHERE actor_id = 'f1';
	UPDATE actor.failure SET failed_at = failed_at - interval '30 days 1 minute'
		WHERE actor_id = 'f2'});
$node->reload;
gone('request', "request_id = 'old'", 'an old result is removed');
gone('failure', "actor_id = 'f2'", 'an old failure is removed');
settle('then nothing waits any more');
is(count('request', "request_id = 'new'"), '1', 'a result that is not old enough is not');
is(count('failure', "actor_id = 'f1'"), '1', 'nor is such a failure');
is(invoke('r', 'twice', 'NULL', 'new'), '2', 'what is kept answers');
is(invoke('r', 'twice', 'NULL', 'old'), '3', 'what is not does not');

# history is kept as long as the type says, with its changes
$node->safe_psql('postgres', q{SELECT actor_register('t', idle_timeout => '1 s',
	history => 'changes', history_retention => '2 s')});
invoke('h', 'twice', 'NULL', 'history');
is(count('history') . ' ' . count('history_change'), '1 1', 'an entry with a change is kept');
$node->safe_psql('postgres', q{SELECT actor_register('t', idle_timeout => '1 s',
	history => 'changes')});
invoke('h', 'twice', 'NULL', 'longer');
gone('history', "started_at < (SELECT max(started_at) FROM actor.history)", 'it is removed');
is(count('history') . ' ' . count('history_change'), '1 1',
	'with its change, and one that is kept for longer is not');
$node->safe_psql('postgres', q{DELETE FROM actor.request WHERE request_id IN ('history', 'longer');
	SELECT actor_register('t', idle_timeout => '1 s')});
settle('nothing waits for what is kept for long');

# retention is a setting that a reload changes
$node->append_conf('postgresql.conf', q{
actor.request_retention = '1h'
actor.failure_retention = '1h'
});
$node->reload;
gone('request', "request_id = 'new'", 'a shorter retention removes results');
gone('failure', "actor_id = 'f1'", 'and failures');
is(count('request', "request_id = 'old'"), '1', 'but not what is younger');

# the scheduler comes back when there is something to remove, without a look
$node->append_conf('postgresql.conf', q{actor.request_retention = '6s'});
$node->reload;
$node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.request');
settle('nothing is pending');
invoke('r', 'twice', 'NULL', 'brief');
settle('a result that is kept for some seconds needs no process meanwhile');
gone('request', 'true', 'it is removed');
settle('and all is quiet again');

# a row that somebody has locked is left until later, and holds up no other
$node->safe_psql('postgres', q{
	INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, scheduled_at,
		failed_at, attempts, sqlstate, message, role_name)
	SELECT 't', 'many ' || i, 'reminder', 'x', 'x', now(), now(), 1, 'P0001', 'x', 'postgres'
		FROM generate_series(1, 2500) i});
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe(q{SELECT FROM actor.failure WHERE actor_id = 'many 1' FOR UPDATE});
$node->safe_psql('postgres', q{UPDATE actor.failure SET failed_at = now() - interval '2 hours'
	WHERE actor_id <> 'many 1'});
$locker->query_safe(q{UPDATE actor.failure SET failed_at = now() - interval '3 hours'
	WHERE actor_id = 'many 1'});
$locker->query_safe('COMMIT');
$locker->query_safe('BEGIN');
$locker->query_safe(q{SELECT FROM actor.failure WHERE actor_id = 'many 1' FOR UPDATE});
$node->reload;
gone('failure', "actor_id <> 'many 1'", 'many rows are removed, in batches');
is(count('failure'), '1', 'one that is locked is not');
$locker->query_safe('COMMIT');
$locker->quit;
gone('failure', 'true', 'it is removed when it is free');

# a callback that fails all the time fills neither the log nor the table
$node->safe_psql('postgres', q{
	CREATE SCHEMA other;
	CREATE FUNCTION other.fail() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN RAISE 'wrong' USING DETAIL = 'Very.'; END $$;
	SELECT actor_register('other');
	INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, scheduled_at, failed_at,
		attempts, sqlstate, message, role_name)
	SELECT 't', i::text, 'reminder', 'x', 'x', now(), now(), 1, 'P0001', 'x', 'postgres'
	FROM generate_series(1, 20) i});
my $offset = -s $node->logfile;
$node->safe_psql('postgres', q{
	CREATE SEQUENCE tries;
	CREATE OR REPLACE FUNCTION other.fail() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM nextval('tries'); RAISE 'wrong' USING DETAIL = 'Very.'; END $$;
	SELECT actor_set_reminder('other', 'x', 'flood', '0s', '10ms', method => 'fail',
		failure_policy => '{"constant": {"interval": "1ms", "maxRetries": 1}}')});
ok( $node->poll_query_until('postgres', 'SELECT last_value > 60 FROM tries'),
	'a callback fails all the time');
my $log = substr(slurp_file($node->logfile), $offset);
my $lines = () = $log =~ /reminder "flood" of actor "x" of type "other" failed: wrong/g;
cmp_ok($lines, '<=', 3 * 2 * 2, 'which is not logged each time');
like($log, qr/DETAIL:  Attempt 1 of 2 has failed\. It is tried again\. SQLSTATE P0001\. Very\.\n/,
	'the log says which attempt it was, and details');
like($log, qr/DETAIL:  Attempt 2 of 2 has failed\. It is given up\. SQLSTATE P0001\. Very\.\n.*CONTEXT:  PL\/pgSQL function other\.fail\(\)/,
	'and that it was given up');
$node->append_conf('postgresql.conf', 'actor.failure_limit = 5');
$node->reload;
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) FILTER (WHERE actor_type = 't') = 5
			AND count(*) FILTER (WHERE actor_type = 'other') < 1000 FROM actor.failure}),
	'of each type only so many failures are kept');
is( $node->safe_psql('postgres', q{SELECT string_agg(actor_id, ' ' ORDER BY failure_id)
		FROM actor.failure WHERE actor_type = 't'}),
	'16 17 18 19 20', 'the newest');
$node->safe_psql('postgres', q{SELECT actor_delete_reminders('other')});
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) = 5 FROM actor.failure WHERE actor_type = 'other'}),
	'also of the one that has failed');

$node->stop;
unlike(slurp_file($node->logfile), qr/ERROR|TRAP:|PANIC:/, 'nothing has gone wrong');
done_testing();
