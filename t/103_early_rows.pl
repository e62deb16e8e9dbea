# While somebody holds an old snapshot, schedulers and executors begin their looks
# where there was something the last time.  Rows that turn up before that, in all
# the ways there are, are found all the same, and not only once a minute.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# a look everywhere comes after a minute
my $soon = 50;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
max_prepared_transactions = 4
autovacuum = off
# another executor would begin with a look everywhere, and stand in for this one
actor.max_executors = 1
actor.executor_linger = 1h
});
$node->start;

sub sql
{
	return $node->safe_psql('postgres', shift);
}

sql(q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE TABLE t.taken (what text, at timestamptz DEFAULT clock_timestamp());
	CREATE FUNCTION t.take(what text) RETURNS void LANGUAGE sql AS
		'INSERT INTO t.taken VALUES (what)';
	CREATE FUNCTION t.nothing() RETURNS void LANGUAGE sql AS '';
	-- fails at the first attempt of the first firing
	CREATE FUNCTION t.twice() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF actor_cause() @> '{"attempt": 1, "remaining": 1}' THEN
			RAISE 'not yet';
		END IF;
		PERFORM t.take('twice ' || (actor_cause() ->> 'remaining'));
	END $$;
	CREATE FUNCTION t.broken(what text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF NOT EXISTS (SELECT FROM t.taken WHERE taken.what = 'repaired') THEN
			RAISE 'broken';
		END IF;
		PERFORM t.take(what);
	END $$;
	SELECT actor_register('t');
	-- so that the scheduler stays
	SELECT actor_set_reminder('t', 'later', 'later', '10h', method => 'nothing');
	CREATE ROLE regress_actor_new LOGIN;
	CREATE ROLE regress_actor_waits LOGIN;
	GRANT USAGE ON SCHEMA t TO regress_actor_new, regress_actor_waits;
	GRANT INSERT ON t.taken TO regress_actor_new, regress_actor_waits;
});

sub soon
{
	my ($what, $test) = @_;
	my $begun = time();

	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM t.taken WHERE what = '$what')")
	  or die "\"$what\" is not taken at all";
	return cmp_ok(time() - $begun, '<', $soon, $test // $what);
}

# Lets other things be due, and done, so that looks begin behind them.  The looks
# before are everywhere, so that there is none for a minute.
my $passed = 0;

sub let_pass
{
	$passed++;
	sql(q{SELECT actor_pause('t', 'nobody'); SELECT actor_resume('t', 'nobody')});
	sql("SELECT actor_send('t', 'other', 'take', '[\"passed $passed\"]')");
	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM t.taken WHERE what = 'passed $passed')")
	  or die 'messages are not delivered';
	return;
}

my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
# in another order than in the index, so that each costs a page
sql(q{BEGIN;
	SELECT count(actor_set_reminder('t', 'many', 'r' || i, now() - i * 7919 % 5000 * interval '1 ms',
			method => 'nothing'))
	  FROM generate_series(1, 5000) i;
	SELECT actor_delete_reminders('t', 'many');
	COMMIT});
let_pass();

# What one row makes of all that: a transaction that commits late.
my $late = $node->background_psql('postgres');
$late->query_safe(q{BEGIN; SELECT actor_send('t', 'a', 'take', '["late message"]');
	SELECT actor_set_reminder('t', 'a', 'late', '0s', method => 'take', data => '["late reminder"]');
	SAVEPOINT s;
	SELECT actor_set_timer('t', 'a', 'late', '0s', method => 'take', data => '["late timer"]');
	RELEASE s;
	SAVEPOINT s;
	SELECT actor_send('t', 'b', 'nothing', due_time => '1h');
	ROLLBACK TO s});
let_pass();
$late->query_safe('COMMIT');
soon('late message', 'a message of a transaction that has taken its time');
soon('late reminder', 'a reminder of it');
soon('late timer', 'a timer of it');

sql(q{BEGIN; SELECT actor_send('t', 'p', 'take', '["prepared"]'); PREPARE TRANSACTION 'p'});
let_pass();
sql("COMMIT PREPARED 'p'");
soon('prepared', 'a message of a prepared transaction');

sql(q{SELECT actor_set_reminder('t', 'r', 'kept', '1s', method => 'take', data => '["kept"]');
	BEGIN; SELECT actor_delete_reminder('t', 'r', 'kept'); PREPARE TRANSACTION 'r'});
sql('SELECT pg_sleep_until(max(next_try_at)) FROM actor.reminder WHERE name = \'kept\'');
let_pass();
sql("ROLLBACK PREPARED 'r'");
soon('kept', 'a reminder whose deletion was rolled back');

sql(q{SELECT actor_pause('t', 'paused'); SELECT actor_send('t', 'paused', 'take', '["resumed"]')});
$node->poll_query_until('postgres',
	"SELECT next_try_at = 'infinity' FROM actor.message WHERE actor_id = 'paused'")
  or die 'the message of a paused actor is not put off';
let_pass();
sql(q{SELECT actor_resume('t', 'paused')});
soon('resumed', 'a message of an actor that was resumed');

# the first message holds up the others, whose due times are over
sql(q{SELECT actor_send('t', 'q', 'broken', '["first"]',
		failure_policy => '{"constant": {"interval": "3s"}}');
	SELECT actor_send('t', 'q', 'take', '["second"]')});
$node->poll_query_until('postgres',
	"SELECT next_try_at = 'infinity' FROM actor.message WHERE payload ->> 0 = 'second'")
  or die 'the second message is not hidden';
sql(q{SELECT actor_set_reminder('t', 'f', 'once', '0s', method => 'broken', data => '["again"]',
		failure_policy => '{"drop": {}}')});
$node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM actor.failure)')
  or die 'nothing is given up';
let_pass();
sql(q{INSERT INTO t.taken VALUES ('repaired')});
soon('second', 'a message that was hidden behind another one');
sql('SELECT actor_retry(failure_id) FROM actor.failure');
soon('again', 'a call that was given up');

sql(q{SELECT actor_set_reminder('t', 'twice', 'twice', '0s', 'R2/PT1S', catch_up => 'all',
		failure_policy => '{"constant": {"interval": "3s"}}')});
soon('twice 0', 'a firing that was due while another one was tried again');

# rows that are due, and wait for their role
sql(q{BEGIN;
	SET LOCAL ROLE regress_actor_waits;
	SELECT actor_send('t', 'w', 'take', '["reassigned"]');
	RESET ROLE;
	ALTER ROLE regress_actor_waits NOLOGIN;
	COMMIT});
let_pass();
sql(q{SELECT actor_reassign('regress_actor_waits', 'postgres')});
soon('reassigned', 'a message that was reassigned');

sql(q{SET ROLE regress_actor_new;
	SELECT actor_send('t', 'n', 'take', '["new"]')});
soon('new', 'a message of a role that was unknown');

my $file = $node->basedir . '/reminder';
sql(q{SELECT actor_set_reminder('t', 'c', 'copied', '1h', method => 'take', data => '["copied"]')});
sql(qq{BEGIN; UPDATE actor.reminder SET next_try_at = now() - interval '1 s' WHERE name = 'copied';
	COPY (SELECT * FROM actor.reminder WHERE name = 'copied') TO '$file';
	DELETE FROM actor.reminder WHERE name = 'copied'; COMMIT});
let_pass();
sql("COPY actor.reminder FROM '$file'");
soon('copied', 'a reminder that was copied into the table');

# a look that came to nothing
my $lock = $node->background_psql('postgres');
$late->query_safe(q{BEGIN; SELECT actor_send('t', 'l', 'take', '["locked"]')});
let_pass();
$lock->query_safe('BEGIN; LOCK TABLE actor.timer');
$late->query_safe('COMMIT');
$node->wait_for_log(qr/actor scheduler waits for a lock/);
$lock->query_safe('ROLLBACK');
soon('locked', 'a message that a look has missed because of a lock');

# The scheduler leaves when it has looked everywhere, and found nothing, and its
# executors have left.
sql('ALTER SYSTEM SET actor.executor_linger = 0');
$node->reload;
sql(q{SELECT actor_unregister('t', force => true)});
$node->poll_query_until('postgres',
	"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor scheduler')")
  or die 'the scheduler does not leave';
pass('the scheduler leaves');

$_->quit foreach $late, $lock, $old;
$node->stop;
done_testing();
