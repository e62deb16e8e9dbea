# Workers leave alone what is paused, at no cost for the rest, and fire it when
# it is resumed; a type that is paused gets its running callbacks stopped.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('pause');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE TABLE t.log (id text, name text, attempt int);
	CREATE TABLE t.release (id text);
	CREATE FUNCTION t.tick() RETURNS void LANGUAGE sql AS $$
		INSERT INTO t.log VALUES (actor_id(), actor_cause() ->> 'name',
			(actor_cause() ->> 'attempt')::int) $$;
	CREATE FUNCTION t.hold() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		WHILE NOT EXISTS (SELECT FROM t.release WHERE id = actor_id()) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
		INSERT INTO t.log VALUES (actor_id(), 'held', (actor_cause() ->> 'attempt')::int);
	END $$;
	SELECT actor_register('t', drain_ongoing_call_timeout => '1 ms')});

sub wait_for
{
	my ($query, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $query"), $what);
}

sub fired
{
	my ($where) = @_;

	return "(SELECT count(*) FROM t.log WHERE $where)";
}

my $running = q{(SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND query LIKE '%"hold" of actor%')};

#
# Actors
#
$node->safe_psql(
	'postgres', q{
	SELECT actor_pause('t', 'a' || i) FROM generate_series(1, 150) i;
	SELECT actor_set_reminder('t', 'a' || i, 'tick') FROM generate_series(1, 150) i;
	SELECT actor_set_timer('t', 'b', 'timer', '1ms', method => 'tick');
	SELECT actor_set_reminder('t', 'b', 'tick')});
wait_for(fired("id = 'b'") . ' = 2', 'actors that are not paused do not wait for the others');
wait_for(q{(SELECT count(*) FROM actor.reminder WHERE next_try_at = 'infinity') = 150},
	'what is due for paused actors is put where nobody looks');
is($node->safe_psql('postgres', 'SELECT ' . fired("id LIKE 'a%'")), '0', 'none of it fires');

$node->safe_psql('postgres', "SELECT actor_resume('t', 'a1')");
wait_for(fired("id = 'a1'") . ' = 1', 'it does when the actor is resumed');
$node->restart;
is($node->safe_psql('postgres', 'SELECT ' . fired("id LIKE 'a%'")),
	'1', 'the others wait, also after a restart');
$node->safe_psql('postgres', "SELECT actor_resume('t', actor_id) FROM actor.pause");
wait_for(fired("id LIKE 'a%'") . ' = 150', 'all fire when they are resumed');
is($node->safe_psql('postgres', 'SELECT ' . fired('attempt > 1')),
	'0', 'none has lost an attempt');

#
# A whole type, while callbacks run
#
$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	SELECT actor_set_reminder('t', 'h', 'hold')});
wait_for("$running = 1", 'a callback runs');
$node->safe_psql('postgres', q{
	BEGIN; SAVEPOINT s; SELECT actor_pause('t'); ROLLBACK TO s; COMMIT});
is($node->safe_psql('postgres', "SELECT $running"), '1', 'which a pause that is rolled back does not end');
$node->safe_psql('postgres', "SELECT actor_pause('t')");
wait_for("$running = 0", 'a callback of a type that is paused is ended');
$node->safe_psql('postgres', q{
	INSERT INTO t.release VALUES ('h');
	SELECT actor_set_reminder('t', 'p' || i, 'tick') FROM generate_series(1, 10) i});
wait_for(q{(SELECT count(*) FROM actor.reminder WHERE next_try_at = 'infinity') = 11},
	'everything of the type waits');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t.log'), '0', 'nothing has fired');
$node->safe_psql('postgres', "SELECT actor_resume('t')");
wait_for(fired('true') . ' = 11', 'all of it comes when the type is resumed');
is($node->safe_psql('postgres', 'SELECT ' . fired('attempt > 1')),
	'0', 'none has lost an attempt');

#
# Paused and resumed all the time: nothing gets stuck, nothing is lost
#
$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	SELECT actor_set_reminder('t', 'r' || i, 'n' || n, method => 'tick')
	  FROM generate_series(1, 20) i, generate_series(1, 50) n});
for my $round (1 .. 30)
{
	my $what = $round % 3 == 0 ? "'t'" : "'t', 'r" . (1 + $round % 20) . "'";
	$node->safe_psql('postgres', "SELECT actor_pause($what)");
	$node->safe_psql('postgres', "SELECT actor_resume($what)");
}
wait_for(fired('true') . ' = 1000', 'each reminder has fired');
is( $node->safe_psql('postgres', 'SELECT count(DISTINCT (id, name)), max(attempt) FROM t.log'),
	'1000|1', 'once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.reminder'), '0', 'and none is left');

#
# A type without its schema waits as a paused one does
#
$node->safe_psql('postgres', q{
	CREATE ROLE regress_actor_new_owner;
	TRUNCATE t.log;
	BEGIN;
	SELECT actor_set_reminder('t', 'l', 'tick', failure_policy => '{"drop": {}}');
	SELECT actor_set_reminder('t', 'l' || i, 'tick') FROM generate_series(1, 200) i;
	SELECT actor_set_timer('t', 'l', 'tick', '0s');
	SELECT actor_send('t', 'l', 'tick');
	ALTER SCHEMA t OWNER TO regress_actor_new_owner;
	COMMIT});
my $now = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
wait_for(qq{EXISTS (SELECT FROM actor.worker WHERE kind = 'executor'
	AND last_active_at > timestamptz '$now' + interval '2 s')}, 'an executor has seen what is due');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT count(*) FROM actor.failure), (SELECT max(attempt) FROM actor.reminder),
			(SELECT max(attempt) FROM actor.timer), (SELECT max(attempt) FROM actor.message)}),
	'0|1|1|1', 'nothing of a type without its schema fails');
like($node->safe_psql('postgres', 'SELECT detail FROM actor_doctor() WHERE NOT ok'),
	qr/1 type has lost its schema/, 'the doctor says why it waits');
$node->safe_psql('postgres', 'ALTER SCHEMA t OWNER TO CURRENT_USER');
wait_for(fired('true') . ' = 203', 'all of it comes when the type has its schema again');
is($node->safe_psql('postgres', 'SELECT ' . fired('attempt > 1')),
	'0', 'none has lost an attempt');

#
# Nor does what runs when that happens count as failed
#
$node->safe_psql('postgres', q{
	CREATE FUNCTION t.wait_and_fail() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock_shared(18);
		RAISE 'the schema is not there';
	END $$});
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(18)');
$node->safe_psql('postgres', q{
	SELECT actor_set_reminder('t', 'runs', 'wait_and_fail', failure_policy => '{"drop": {}}');
	SELECT actor_send('t', 'runs too', 'wait_and_fail', failure_policy => '{"drop": {}}')});
wait_for(q{2 = (SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event = 'advisory')}, 'both run');
$node->safe_psql('postgres', 'ALTER SCHEMA t OWNER TO regress_actor_new_owner');
$holder->query_safe('SELECT pg_advisory_unlock(18)');
wait_for(q{NOT EXISTS (SELECT FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event = 'advisory')}, 'both end');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT count(*) FROM actor.failure), (SELECT max(attempt) FROM actor.reminder),
			(SELECT max(attempt) FROM actor.message)}),
	'0|1|1', 'what ran when its type lost its schema has not failed');
$holder->quit;

$node->stop;
done_testing();
