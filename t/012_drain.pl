# When a worker is stopped its running callback gets the time it was promised,
# and not more; what is cut short stays due.
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
});
$node->start;

# A callback waits until it is released, so that nothing depends on speed.
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE TABLE log (note text);
	CREATE TABLE release (id text);
	CREATE SCHEMA t;
	CREATE FUNCTION t.wait() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			LOOP
				EXIT WHEN EXISTS (SELECT FROM release WHERE id = actor_id());
				PERFORM pg_sleep(0.05);
			END LOOP;
			INSERT INTO log VALUES (actor_id());
		END $$;
	SELECT actor_register('t')});

# what an executor runs is its activity
my $running = q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND state = 'active'
	AND query LIKE 'reminder "%" of actor "%" of type "t"'};
my $executors = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'actor executor'};

sub start_callback
{
	my ($id) = @_;
	$node->safe_psql('postgres', "SELECT actor_set_reminder('t', '$id', 'wait')");
	ok($node->poll_query_until('postgres', $running), "$id: the callback runs");
	return;
}

sub set
{
	my ($name, $value) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $name = $value");
	$node->reload;
	return;
}

sub due
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT attempt || ' ' || deferrals FROM actor.reminder WHERE actor_id = '$id'");
}

# disabled: the callback may go on to its end
start_callback('patient');
set('actor.enabled', 'off');
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', 'later', 'wait')});
is($node->safe_psql('postgres', $running), 't', 'a running callback goes on');
$node->safe_psql('postgres', q{INSERT INTO release VALUES ('patient'), ('later')});
ok($node->poll_query_until('postgres', "$executors HAVING count(*) = 0", '0'),
	'its executor leaves after it');
is($node->safe_psql('postgres', 'SELECT * FROM log'), 'patient',
	'it has come to its end, and nothing else was fired');
set('actor.enabled', 'on');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM log}),
	'what was due meanwhile fires when firing is enabled again');

# disabled: the time of the type is over
$node->safe_psql('postgres',
	q{SELECT actor_register('t', drain_ongoing_call_timeout => interval '1 s')});
start_callback('slow');
set('actor.enabled', 'off');
ok($node->poll_query_until('postgres', "$executors HAVING count(*) = 0", '0'),
	'a callback that takes too long is cancelled');
is(due('slow'), '1 0', 'it stays due, and has lost no attempt');
set('actor.enabled', 'on');
ok($node->poll_query_until('postgres', $running), 'it is run again');

# disabled: no time at all
set('actor.drain_rebalanced_actors', 'off');
set('actor.enabled', 'off');
ok($node->poll_query_until('postgres', "$executors HAVING count(*) = 0", '0'),
	'without draining it is cancelled at once');
is(due('slow'), '1 0', 'and stays due');
set('actor.drain_rebalanced_actors', 'on');
set('actor.enabled', 'on');
ok($node->poll_query_until('postgres', $running), 'it is run again');

# a type that is removed takes its callbacks with it
$node->safe_psql('postgres', q{SELECT actor_unregister('t', force => true)});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND state = 'active' AND query LIKE 'reminder %'}),
	'a callback of a type that is unregistered is cancelled');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.reminder'), '0', 'it is gone');

# shutdown of the server: the callback gets some time
$node->safe_psql('postgres', q{SELECT actor_register('t')});
set('actor.shutdown_timeout', "'1 s'");
start_callback('stubborn');
my $log = -s $node->logfile;
$node->stop('fast');
$node->start;
is(due('stubborn'), '1 0', 'a callback that is too slow for a shutdown stays due');
ok($node->poll_query_until('postgres', $running), 'and is run again');

set('actor.shutdown_timeout', "'1 h'");
ok($node->poll_query_until('postgres', $running), 'it still runs');
$node->safe_psql('postgres', q{
	CREATE FUNCTION t.finish() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN PERFORM pg_sleep(3); INSERT INTO log VALUES (actor_id()); END $$;
	INSERT INTO release VALUES ('stubborn')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.reminder}), 'it ends');
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', 'finisher', 'finish')});
ok($node->poll_query_until('postgres', $running), 'a callback runs');
$node->stop('fast');
$node->start;
is( $node->safe_psql('postgres', q{SELECT count(*) FROM log WHERE note = 'finisher'}),
	'1', 'one that ends in time is committed before the server goes down');
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.reminder}), '0', 'and is over');

# a callback that never ends is cancelled when its time is over, and each time
# anew; it does not look for interrupts by sleeping
set('actor.callback_timeout', "'1 s'");
$node->safe_psql('postgres', q{
	CREATE FUNCTION t.spin() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LOOP END LOOP; END $$;
	SELECT actor_set_reminder('t', 'spinner', 'spin',
		failure_policy => '{"constant": {"interval": "10ms", "maxRetries": 2}}')});
ok($node->poll_query_until('postgres', $running), 'a callback loops for ever');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.failure}),
	'it is cancelled, and given up after its retries');
is($node->safe_psql('postgres', 'SELECT sqlstate, attempts FROM actor.failure'),
	'57014|3', 'because it took too long');
set('actor.callback_timeout', 0);
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', 'endless', 'spin')});
ok($node->poll_query_until('postgres', $running), 'another one may do that');
set('actor.enabled', 'off');
set('actor.drain_ongoing_call_timeout', "'1 s'");
is($node->safe_psql('postgres', $running), 't', 'it gets the time it had been promised');
set('actor.shutdown_timeout', "'1 s'");
$node->stop('fast');
$node->start;
is(due('endless'), '1 0', 'but not at a shutdown; it stays due');
$node->safe_psql('postgres', q{SELECT actor_delete_reminder('t', 'endless', 'spin')});
set('actor.enabled', 'on');

# a worker knows what was configured while it began
set('actor.executor_linger', "'10ms'");
ok($node->poll_query_until('postgres', "$executors HAVING count(*) = 0", '0'),
	'no executor is there');
$node->append_conf('postgresql.conf', q{app.setting = 'new'});
$node->safe_psql('postgres', q{
	CREATE FUNCTION t.tell() RETURNS void LANGUAGE sql
	AS $$ INSERT INTO log VALUES ('setting: ' || current_setting('app.setting', true)) $$;
	SELECT actor_set_reminder('t', 'teller', 'tell')});
ok( $node->poll_query_until(
		'postgres', q{SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE name = 'tell')}),
	'one begins');
is($node->safe_psql('postgres', q{SELECT note FROM log WHERE note LIKE 'setting%'}),
	'setting: new', 'it has read the configuration, as a signal may have come too early for it');
set('actor.executor_linger', "'1h'");

# outside of a callback nothing holds up a shutdown
$node->safe_psql('postgres', q{SELECT actor_set_reminder('t', 'idle', 'finish', '1h')});
$node->stop('fast');
pass('idle workers end at once');
done_testing();
