# Several firings share a transaction.  Nothing may wait inside it, one that
# fails must not take the others with it, nothing may leak from one to the
# next, and roles must get their share of the executors.
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
actor.batch_time = 1s
});
$node->start;

# a writes what happened, in the order it was committed, with the transaction
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_one LOGIN;
	CREATE ROLE regress_actor_two LOGIN;
	CREATE SCHEMA t;
	GRANT USAGE, CREATE ON SCHEMA t, public TO PUBLIC;
	CREATE TABLE t.log (n bigserial, id text, xid xid8, pid int, note text);
	CREATE TABLE t.shared (id int PRIMARY KEY, n int);
	INSERT INTO t.shared VALUES (1, 0);
	CREATE TABLE t.parent (id int PRIMARY KEY);
	CREATE TABLE t.child (id int REFERENCES t.parent DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE t.late (id text);
	CREATE SEQUENCE t.runs;
	CREATE SEQUENCE t.commits;
	GRANT ALL ON ALL TABLES IN SCHEMA t TO PUBLIC;
	GRANT ALL ON ALL SEQUENCES IN SCHEMA t TO PUBLIC;

	CREATE FUNCTION t.note(note text) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO t.log (id, xid, pid, note)
			VALUES (actor_id(), pg_current_xact_id(), pg_backend_pid(), note) $$;
	CREATE FUNCTION t.plain() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM t.note('plain'); END $$;
	CREATE FUNCTION t.fail() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM t.note('fail'); RAISE 'wrong'; END $$;
	CREATE FUNCTION t.nest() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM t.note('nest'); PERFORM actor_invoke('t', 'inner', 'plain'); END $$;
	CREATE FUNCTION t.nest_caught() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN
			PERFORM actor_invoke('t', 'inner', 'plain');
			PERFORM t.note('got it');
		EXCEPTION WHEN OTHERS THEN PERFORM t.note('caught'); END $$;
	CREATE FUNCTION t.row_lock() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN UPDATE t.shared SET n = n + 1; PERFORM t.note('row_lock'); END $$;
	CREATE FUNCTION t.row_lock_patient() RETURNS void LANGUAGE plpgsql
		SET lock_timeout = 0 AS
		$$ BEGIN UPDATE t.shared SET n = n + 1; PERFORM t.note('row_lock_patient'); END $$;
	CREATE FUNCTION t.orphan() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM t.note('orphan'); INSERT INTO t.child VALUES (99); END $$;
	CREATE FUNCTION t.parent_later() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO t.child VALUES (1); INSERT INTO t.parent VALUES (1);
			PERFORM t.note('parent_later'); END $$;
	SELECT actor_register('t');
});

# Registers reminders at once: pairs of id and method.  Firing is disabled
# until all of them are there, so that they are due together.
sub fire_together
{
	my ($node, @pairs) = @_;
	my $sql = '';

	while (my ($id, $method) = splice(@pairs, 0, 2))
	{
		$sql .= "SELECT actor_set_reminder('t', '$id', '$method');";
	}
	$node->safe_psql('postgres', "BEGIN; $sql COMMIT;");
	return;
}

sub done
{
	my ($where) = @_;
	return $node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE $where)");
}

# A reminder registered long before it is due makes the executor stay, so that
# the batches that follow meet a running one.
fire_together($node, 'warm', 'plain');
ok(done('true'), 'a reminder fires');

# one transaction
$node->safe_psql('postgres', 'TRUNCATE t.log');
fire_together($node, map { ("b$_", 'plain') } 1 .. 20);
ok(done('true'), 'a batch fires');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t.log'), '20', 'each once');
cmp_ok($node->safe_psql('postgres', 'SELECT count(DISTINCT xid) FROM t.log'),
	'<', 20, 'in fewer transactions');

# and not more of it than finds room for the turns of other actors
$node->safe_psql('postgres', 'ALTER SYSTEM SET actor.max_turns_per_transaction = 10');
$node->reload;
$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	CREATE FUNCTION t.visit() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN
			PERFORM actor_invoke('t', actor_id() || i, 'plain') FROM generate_series(1, 8) AS i;
			PERFORM t.note('visit');
		END $$;
	SELECT actor_set_reminder('t', 'visitor' || i, 'visit', failure_policy => '{"drop": {}}')
		FROM generate_series(1, 20) AS i});
ok(done('true'), 'a batch of those who call others fires');
is($node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE note = 'visit'}),
	'20', 'and all of them keep within the limit of turns');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.max_turns_per_transaction');
$node->reload;

# one fails, the others commit
$node->safe_psql('postgres', 'TRUNCATE t.log');
fire_together($node, 'a', 'plain', 'b', 'fail', 'c', 'plain', 'd', 'orphan', 'e', 'plain');
ok(done("actor_id IN ('a', 'c', 'e')"), 'the others of a failing one commit');
is( $node->safe_psql('postgres', "SELECT string_agg(id, ',' ORDER BY id) FROM t.log"),
	'a,c,e', 'and the failing one leaves nothing');
ok( $node->poll_query_until('postgres',
		q{SELECT string_agg(actor_id || ' ' || sqlstate || ' ' || attempts, ', ' ORDER BY actor_id)
			= 'b P0001 4, d 23503 4' FROM actor.failure}),
	'each error is its own, deferred constraints included');
ok(done('true'), 'nothing is left');

# deferred constraints are deferred until the end of each method
$node->safe_psql('postgres', 'TRUNCATE t.log');
fire_together($node, 'a', 'plain', 'b', 'parent_later', 'c', 'plain');
ok(done('true'), 'a constraint is checked when the method is over');
is( $node->safe_psql('postgres', "SELECT count(*) FROM t.log WHERE note = 'parent_later'"),
	'1', 'and holds then');

# a nested turn, and a row, that a client holds
for my $method ('nest', 'nest_caught', 'row_lock', 'row_lock_patient')
{
	my $client = $node->background_psql('postgres');

	$node->safe_psql('postgres', 'TRUNCATE t.log');
	$client->query_safe('BEGIN');
	if ($method =~ /nest/)
	{
		$client->query_safe(q{SELECT actor_invoke('t', 'inner', 'plain')});
	}
	else
	{
		$client->query_safe('UPDATE t.shared SET n = n');
	}
	fire_together($node, 'a', 'plain', 'w', $method, 'z', 'plain');
	ok(done("actor_id IN ('a', 'z')"), "$method: the others do not wait");
	ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
			WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock'}),
		"$method: it runs alone, and waits like a client");
	is( $node->safe_psql('postgres', "SELECT attempt || ' ' || deferrals FROM actor.reminder"),
		'1 0', "$method: that costs no attempt");
	fire_together($node, 'later', 'plain');
	ok(done("actor_id = 'later'"), "$method: what comes later does not wait for it");
	$client->query_safe('COMMIT');
	$client->quit;
	ok(done('true'), "$method: it fires when it can");
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE id = 'w'}),
		'1', "$method: once");
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE note = 'caught'}),
		'0', "$method: it has not seen that it could not wait");
}

# the turn of the reminder itself is held: it waits, the others do not, and
# when it is late it queues
{
	my $client = $node->background_psql('postgres');

	$node->safe_psql('postgres', 'TRUNCATE t.log');
	$client->query_safe('BEGIN');
	$client->query_safe(q{SELECT actor_invoke('t', 'busy', 'plain')});
	fire_together($node, 'a', 'plain', 'busy', 'plain', 'z', 'plain');
	ok(done("actor_id IN ('a', 'z')"), 'others do not wait for a busy actor');
	ok( $node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks l
			JOIN pg_stat_activity a USING (pid)
			WHERE a.backend_type = 'actor executor' AND NOT l.granted AND l.locktype = 'advisory'}),
		'a late one queues for the turn');
	fire_together($node, 'later', 'plain');
	ok(done("actor_id = 'later'"), 'others do not wait for that');
	cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM pg_locks l
			JOIN pg_stat_activity a USING (pid)
			WHERE a.backend_type = 'actor executor' AND NOT l.granted}),
		'<=', 1, 'only one executor queues');
	$client->query_safe('COMMIT');
	$client->quit;
	ok(done('true'), 'it fires when the actor is free');
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE id = 'busy'}),
		'2', 'once');
}

# Nothing that a member can do by itself makes the commit fail, because what is
# deferred happens in its subtransaction.  A foreign server can: its part of the
# transaction is committed first, and here the connection is gone by then.
SKIP:
{
	skip 'no postgres_fdw is there', 4
	  unless $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'});

	$node->safe_psql('postgres', q{
		TRUNCATE t.log;
		CREATE EXTENSION postgres_fdw;
		CREATE TABLE t.far (id text);
		DO $$ BEGIN EXECUTE format('CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw
			OPTIONS (host %L, port %L, dbname %L)',
			current_setting('unix_socket_directories'), current_setting('port'), 'postgres'); END $$;
		CREATE USER MAPPING FOR postgres SERVER far;
		CREATE FOREIGN TABLE t.far_away (id text) SERVER far OPTIONS (schema_name 't', table_name 'far');
		CREATE FUNCTION t.poison() RETURNS void LANGUAGE plpgsql AS $$
			BEGIN
				PERFORM t.note('poison');
				IF (actor_cause() ->> 'attempt')::int >= 3 THEN RETURN; END IF;
				INSERT INTO t.far_away VALUES (actor_id());
				PERFORM pg_terminate_backend(pid, 10000) FROM pg_stat_activity
					WHERE application_name = 'postgres_fdw';
			END $$});
	fire_together($node, (map { ("c$_", 'plain') } 1 .. 5), 'p', 'poison', 'last', 'plain');
	ok(done("actor_id <> 'p'"), 'a commit that fails is repeated one by one');
	ok(done('true'), 'the one to blame is retried');
	is( $node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM t.log'),
		'7|7', 'nothing is lost and nothing doubled');
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t.far'), '0', 'nor far away');
}

# nothing leaks
$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	CREATE FUNCTION t.leak() RETURNS void LANGUAGE plpgsql AS $$
		DECLARE c refcursor := 'held';
		BEGIN
			CREATE TEMP TABLE leaked AS SELECT 1 AS one;
			EXECUTE 'PREPARE leaked AS SELECT 1';
			EXECUTE 'LISTEN leaked';
			EXECUTE 'DECLARE leaked CURSOR WITH HOLD FOR SELECT 1';
			OPEN c FOR SELECT 1;
			PERFORM pg_advisory_lock(4711);
			SET work_mem = '99MB';
			SET search_path = t;
			PERFORM set_config('t.secret', 'x', false);
			SET CONSTRAINTS ALL DEFERRED;
			PERFORM t.note('leak');
		END $$;
	CREATE FUNCTION t.leak_and_fail() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN PERFORM t.leak(); RAISE 'wrong'; END $$;
	CREATE FUNCTION t.look() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM t.note(concat_ws(' ', to_regclass('pg_temp.leaked'),
				(SELECT string_agg(name, ' ') FROM pg_prepared_statements),
				(SELECT string_agg(c, ' ') FROM pg_listening_channels() c),
				(SELECT string_agg(name, ' ') FROM pg_cursors),
				(SELECT 'lock' FROM pg_locks WHERE pid = pg_backend_pid()
					AND locktype = 'advisory' AND objid = 4711),
				CASE WHEN current_setting('work_mem') = '99MB' THEN 'work_mem' END,
				nullif(current_setting('search_path'), '"$user", public'),
				nullif(current_setting('t.secret', true), ''),
				CASE WHEN current_user <> session_user THEN 'role' END,
				nullif(current_setting('lock_timeout'), '0')));
		END $$});
SKIP:
{
	# PREPARE and DECLARE are not allowed in every version's functions
	for my $method ('leak', 'leak_and_fail')
	{
		$node->safe_psql('postgres', 'TRUNCATE t.log');
		fire_together($node, map { ("l$_", $_ % 2 ? $method : 'look') } 1 .. 20);
		ok(done('attempt = 1'), "$method: all have run");
		is( $node->safe_psql('postgres',
				q{SELECT DISTINCT note FROM t.log WHERE note NOT IN ('leak', '1ms')}),
			'', "$method: nothing leaks");
		$node->safe_psql('postgres', q{SELECT actor_delete_reminder('t', actor_id, name)
			FROM actor.reminder});
	}
	cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE note IN ('', '1ms')}),
		'>=', 10, 'and this was looked at');
}

# N = 1 serialises a type, whatever the number of executors
$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	CREATE SCHEMA serial;
	CREATE TABLE serial.running (n int);
	CREATE FUNCTION serial.slow() RETURNS void LANGUAGE plpgsql AS $$
		DECLARE others int;
		BEGIN
			SELECT count(*) INTO others FROM pg_stat_activity
				WHERE backend_type = 'actor executor' AND query ~ '"slow"'
				AND state = 'active' AND pid <> pg_backend_pid();
			PERFORM pg_sleep(0.3);
			PERFORM t.note('others: ' || others);
		END $$;
	SELECT actor_register('serial', reminders_storage_partitions => 1);
	SELECT actor_set_reminder('serial', i::text, 'slow') FROM generate_series(1, 8) i});
ok(done('true'), 'a type with one partition is drained');
is( $node->safe_psql('postgres', 'SELECT DISTINCT note FROM t.log'),
	'others: 0', 'by one executor at a time');

# without partitions several executors share the work
$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	SELECT actor_register('serial', reminders_storage_partitions => 0);
	SELECT actor_set_reminder('serial', i::text, 'slow') FROM generate_series(1, 8) i});
ok(done('true'), 'a type without partitions is drained');
cmp_ok($node->safe_psql('postgres', 'SELECT count(DISTINCT pid) FROM t.log'),
	'>', 1, 'by several executors');

# roles take turns when there is one executor only
$node->append_conf('postgresql.conf', 'actor.max_executors = 1');
$node->restart;

# the only executor does not wait for long, and the method does not see that
for my $method ('nest', 'nest_caught', 'row_lock')
{
	my $client = $node->background_psql('postgres');

	$node->safe_psql('postgres', 'TRUNCATE t.log');
	$client->query_safe('BEGIN');
	$client->query_safe($method =~ /nest/ ? q{SELECT actor_invoke('t', 'inner', 'plain')} :
		'UPDATE t.shared SET n = n');
	fire_together($node, 'a', 'plain', 'w', $method, 'z', 'plain');
	ok(done("actor_id IN ('a', 'z')"), "one executor, $method: the others do not wait");
	for my $round (1 .. 2)
	{
		ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
				WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock'}),
			"one executor, $method: it waits");
		fire_together($node, 'later', 'plain');
		ok(done("actor_id = 'later'"), "one executor, $method: not for long");
	}
	is( $node->safe_psql('postgres', "SELECT attempt || ' ' || deferrals FROM actor.reminder"),
		'1 0', "one executor, $method: that costs no attempt");
	$client->query_safe('COMMIT');
	$client->quit;
	ok(done('true'), "one executor, $method: it fires when it can");
	is( $node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE note = 'caught'}),
		'0', "one executor, $method: it has not seen that it could not wait");
}

$node->safe_psql('postgres', q{
	TRUNCATE t.log;
	CREATE FUNCTION t.again() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN PERFORM t.note(current_user); END $$});
for my $role ('regress_actor_one', 'regress_actor_two')
{
	$node->safe_psql('postgres', qq{
		SET SESSION AUTHORIZATION $role;
		SELECT actor_set_reminder('t', '$role' || i, 'again', now(), interval '1 ms',
			catch_up => 'all') FROM generate_series(1, 50) i});
}
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) >= 2 FROM (SELECT pid FROM t.log WHERE note = 'regress_actor_one' GROUP BY pid) p}),
	'the first role gets a second turn');
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) >= 2 FROM (SELECT pid FROM t.log WHERE note = 'regress_actor_two' GROUP BY pid) p}),
	'and so does the second one');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'actor executor'} ) <= 1, 1, 'with one executor');

$node->stop;
done_testing();
