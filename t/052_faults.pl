# Resources that run out: the table of locks, slots for workers, space for
# files; and memory, which must not grow.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('faults');
# (small files of WAL, for the limit of the size of files below)
$node->init(extra => ['--wal-segsize=1']);
# "launcher" and nothing else: no slot is left for workers
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 1
max_parallel_workers = 0
max_logical_replication_workers = 0
max_connections = 10
max_locks_per_transaction = 10
autovacuum = off
min_wal_size = 2MB
max_wal_size = 4MB
log_min_messages = info
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA box;
	CREATE TABLE box.fired (id text, attempt int, failed int);
	CREATE TABLE box.part (id text, n int);
	CREATE FUNCTION box.put(v int) RETURNS int LANGUAGE plpgsql
		AS $$ BEGIN PERFORM actor_set('v', v); RETURN actor_get('v', 0); END $$;
	CREATE FUNCTION box.peek() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('v', 0) $$;
	CREATE FUNCTION box.fire() RETURNS void LANGUAGE sql
		AS $$ INSERT INTO box.fired VALUES (actor_id(), (actor_cause() ->> 'attempt')::int) $$;
	SELECT actor_register('box')});

# the result of a statement, or its error
sub outcome
{
	my ($sql) = @_;
	my ($ret, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");

	return $stderr =~ /ERROR:/ ? $stderr : $stdout;
}

# Slots for workers -----------------------------------------------------------------

$node->safe_psql('postgres', "SELECT actor_set_reminder('box', 'no slot', 'fire')");
ok($node->wait_for_log(qr/LOG:  could not register background worker "actor scheduler.*\n.*HINT:  Raise "max_worker_processes", or lower "actor.max_workers"/),
	'without a slot for a scheduler the log says so');
is($node->safe_psql('postgres', "SELECT actor_invoke('box', '1', 'put', '[1]')"), '1', 'calls work');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.reminder'), '1', 'the reminder waits');
my $told = () = slurp_file($node->logfile) =~ /could not register background worker/g;

$node->append_conf('postgresql.conf', 'max_worker_processes = 2');
my $offset = -s $node->logfile;
$node->restart;
ok($node->wait_for_log(qr/could not register background worker "actor executor/, $offset),
	'without a slot for an executor, too');
is($node->safe_psql('postgres', 'SELECT count(*) FROM box.fired'), '0', 'nothing fires');

$node->append_conf('postgresql.conf', 'max_worker_processes = 6');
$node->restart;
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.reminder)'),
	'with slots it fires');
is($node->safe_psql('postgres', 'SELECT id, attempt FROM box.fired'), 'no slot|1', 'once');
cmp_ok($told, '<', 4, 'the log was not flooded');

# The table of locks ------------------------------------------------------------------

$node->safe_psql('postgres', 'TRUNCATE box.fired');
my $error = outcome(q{
	BEGIN;
	SET LOCAL actor.max_turns_per_transaction = 1000000;
	SELECT actor_invoke('box', 'n' || n, 'put', '[1]') FROM generate_series(1, 10000) n;});
like($error, qr/ERROR:  53200: out of shared memory/, 'turns without end fill the table of locks');
like($error, qr/DETAIL:  .*turn/, 'the error says by what');
like($error, qr/HINT:  .*max_locks_per_transaction/, 'and what to do');
is($node->safe_psql('postgres', "SELECT count(*) FROM actor.state WHERE actor_id LIKE 'n%'"), '0', 'nothing of it stays');
is($node->safe_psql('postgres', "SELECT actor_invoke('box', '1', 'put', '[2]')"), '2', 'afterwards calls work');

# Somebody else has filled it, but for what it takes to connect and to write;
# callbacks that need more come due.
$node->safe_psql('postgres', q{
	CREATE FUNCTION box.greedy() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('v', 1);
		PERFORM pg_advisory_xact_lock(1000000 + n) FROM generate_series(1, 200) n;
		PERFORM box.fire();
	END $$});
my $hog = $node->background_psql('postgres', on_error_stop => 0);
$hog->query_safe(q{
	DO $$
	DECLARE
		taken int := 0;
	BEGIN
		LOOP
			BEGIN
				PERFORM pg_advisory_lock(taken + 1);
				taken := taken + 1;
			EXCEPTION WHEN out_of_memory THEN
				EXIT;
			END;
		END LOOP;
		PERFORM pg_advisory_unlock(n) FROM generate_series(taken - 59, taken) n;
	END $$});
$offset = -s $node->logfile;
like(outcome(q{SELECT actor_invoke('box', 'x', 'greedy')}),
	qr/53200: out of shared memory/, 'when somebody else has filled it, calls that need more locks fail');
is(outcome(q{SELECT actor_invoke('box', '1', 'peek')}), '2', 'others work');
is(outcome(q{SELECT count(actor_set_reminder('box', 'r' || n, 'greedy', failure_policy => '{"drop": {}}')) FROM generate_series(1, 20) n}),
	'20', 'reminders can be registered');
ok($node->wait_for_log(qr/reminder "greedy" of actor "r\d+" of type "box" failed: out of shared memory|out of shared memory.*\n(.*\n)*.*greedy/, $offset), 'callbacks fail as well');
$hog->query_safe('SELECT pg_advisory_unlock_all()');
$hog->quit;
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.reminder)'),
	'when there is room again they fire');
is( $node->safe_psql('postgres', 'SELECT count(DISTINCT id), count(*), max(attempt) FROM box.fired'),
	'20|20|1', 'each once, and no attempt was counted');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '0', 'nothing was given up');

# Space for files ---------------------------------------------------------------------

# No disk can be filled here; but no file of the server can become longer than
# some megabytes, which fails at the same places.
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION box.fill(n int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('v', n);
		INSERT INTO box.part VALUES (actor_id(), n);
		-- does not compress
		FOR i IN 1 .. n LOOP
			PERFORM actor_set('k' || i, (SELECT string_agg(md5(i::text || j || random()), '') FROM generate_series(1, 1000) j));
		END LOOP;
	END $$});
$node->stop;
my $bin = PostgreSQL::Test::Utils::tempdir();
chomp(my $pg_ctl = `which pg_ctl`);
append_to_file("$bin/pg_ctl", "#!/bin/bash\nulimit -f 6144\nexec $pg_ctl \"\$@\"\n");
chmod 0755, "$bin/pg_ctl";
{
	local $ENV{PATH} = "$bin:$ENV{PATH}";
	$node->start;
}
is($node->safe_psql('postgres', "SELECT actor_invoke('box', 'f', 'fill', '[2]')"), '', 'there is some space');
like(outcome(q{SELECT actor_invoke('box', 'f', 'fill', '[1000]')}),
	qr/ERROR:  \w+: could not (extend|write)[^\n]*(File too large|No space|wrote only)/, 'a turn finds none in its middle');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT value FROM actor.state WHERE actor_id = 'f' AND key = 'v'),
			   (SELECT count(*) FROM actor.state WHERE actor_id = 'f'), (SELECT string_agg(n::text, ' ') FROM box.part)}),
	'2|3|2', 'and leaves nothing');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_locks WHERE locktype = \'advisory\''), '0', 'no turn either');
$node->safe_psql('postgres', q{
	SELECT actor_set_reminder('box', 'f', 'fill', data => '[1000]',
			failure_policy => '{"constant": {"interval": "10ms", "maxRetries": 1}}');
	SELECT actor_set_reminder('box', 'after', 'fire')});
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.reminder)'), 'so does a callback');
is( $node->safe_psql('postgres', q{
		SELECT attempts, message ~ 'could not (extend|write)' FROM actor.failure}),
	'2|t', 'which is given up after its retries');
is( $node->safe_psql('postgres', q{
		SELECT (SELECT value FROM actor.state WHERE actor_id = 'f' AND key = 'v'), (SELECT count(*) FROM box.part),
			   (SELECT count(*) FROM box.fired WHERE id = 'after')}),
	'2|1|1', 'without an effect, and keeps nobody else from firing');
$node->restart;
is($node->safe_psql('postgres', "SELECT actor_invoke('box', 'f', 'put', '[3]')"), '3', 'the actor lives on');
$node->safe_psql('postgres', 'SELECT actor_discard(failure_id) FROM actor.failure');

# no room for the file of what runs, which is mapped into memory
my $small = 'unshare --user --map-current-user --keep-caps --mount';
SKIP:
{
	skip "this machine has no room of its own to give: $small", 6
	  if system("$small sh -c 'mount -t tmpfs -o size=8k tmpfs /tmp' >/dev/null 2>&1") != 0;
	my $full = $node->data_dir . '/pg_stat_tmp';
	my $start = "mount -t tmpfs -o size=8k,mode=0700 tmpfs '$full' && exec $pg_ctl \"\$@\"";

	$node->stop;
	unlink "$full/actor_running";
	unlink "$bin/pg_ctl";
	append_to_file("$bin/pg_ctl", "#!/bin/bash\nexec $small bash -c '" . ($start =~ s/'/'\\''/gr) . "' bash \"\$@\"\n");
	chmod 0755, "$bin/pg_ctl";
	my $begun = -s $node->logfile;
	{
		local $ENV{PATH} = "$bin:$ENV{PATH}";
		ok($node->start(fail_ok => 1), 'the server starts without room for statistics');
	}
	like(slurp_file($node->logfile, $begun),
		qr/could not map file "pg_stat_tmp\/actor_running": No space left on device.*\n.*DETAIL:  Reminders that crash the server will not be recognized/,
		'and says what that costs');
	$node->safe_psql('postgres', q{
		TRUNCATE box.fired;
		SELECT actor_set_reminder('box', 'no room', 'fire')});
	ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.reminder)'), 'reminders fire');
	is($node->safe_psql('postgres', 'SELECT id FROM box.fired'), 'no room', 'once');
	ok(!-e "$full/actor_running", 'nothing was written outside');
	$node->restart;
	is(-s "$full/actor_running" > 0, 1, 'with room the file is there');
}

# a limit of temporary files, in the middle of a turn
$node->safe_psql('postgres', q{
	CREATE FUNCTION box.sort() RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('v', 99);
		RETURN (SELECT count(*) FROM (SELECT n FROM generate_series(1, 200000) n ORDER BY md5(n::text) OFFSET 0) s);
	END $$});
like(outcome(q{SET work_mem = '64kB'; SET temp_file_limit = '1MB'; SELECT actor_invoke('box', 'f', 'sort')}),
	qr/53400/, 'a turn exceeds the limit of temporary files');
is($node->safe_psql('postgres', "SELECT actor_invoke('box', 'f', 'peek')"), '3', 'and has no effect');

# Memory --------------------------------------------------------------------------------

$node->append_conf('postgresql.conf', q{
max_locks_per_transaction = 64
actor.max_executors = 1
actor.executor_linger = '1h'
log_min_messages = warning
});
$node->restart;

$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION box.other(id text) RETURNS int LANGUAGE plpgsql
		AS $$ BEGIN RETURN actor_invoke('box', id, 'put', '[5]')::int + actor_invoke('box', id, 'peek')::int; END $$;
	CREATE FUNCTION box.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('v', 0); RAISE 'on purpose'; END $$;
	CREATE FUNCTION box.record(name text, v numeric[], at timestamptz) RETURNS jsonb LANGUAGE plpgsql
		AS $$ BEGIN PERFORM actor_set('a', v, '1 hour'), actor_set('b', at); RETURN actor_state(); END $$;
	-- what calls can need memory for, each on few actors
	CREATE FUNCTION box._one(n int, undo boolean) RETURNS void LANGUAGE plpgsql AS $$
	DECLARE
		id text := 'm' || n % 50;
	BEGIN
		PERFORM actor_invoke('box', id, 'put', to_jsonb(ARRAY[n]));
		PERFORM actor_invoke('box', id, 'other', jsonb_build_array('o' || n % 7));
		PERFORM actor_invoke('box', id, 'record', '{"name": "x", "v": [1.5, 2.5], "at": "2030-01-01"}');
		PERFORM actor_invoke('box', id, 'peek');
		PERFORM actor_set_reminder('box', id, 'fire', '100h', '1h');
		PERFORM actor_get_reminder('box', id, 'fire'), actor_delete_reminder('box', id, 'fire');
		PERFORM actor_set_timer('box', id, 'fire', '100h');
		PERFORM actor_invoke('box', id, 'put', '[1]', request_id => 'r' || n % 10);
		IF undo THEN
			BEGIN
				PERFORM actor_invoke('box', id, 'fail');
			EXCEPTION WHEN raise_exception THEN NULL;
			END;
		END IF;
		BEGIN
			PERFORM actor_invoke('box', id, 'put', '{"wrong": 1}');
		EXCEPTION WHEN invalid_parameter_value THEN NULL;
		END;
	END $$;
	CREATE PROCEDURE box._many(count int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR n IN 1 .. count LOOP
			PERFORM box._one(n, true);
			COMMIT;
		END LOOP;
	END $$;
});

# memory that a process uses, in bytes
my $memory = q{SELECT sum(used_bytes) FROM pg_backend_memory_contexts};
sub log_memory
{
	my ($pid) = @_;
	my $start = -s $node->logfile;

	$node->safe_psql('postgres', "SELECT pg_log_backend_memory_contexts($pid)");
	$node->wait_for_log(qr/\[$pid\].*Grand total: \d+ bytes/, $start) or die;
	return slurp_file($node->logfile, $start) =~ /\[$pid\].*Grand total: \d+ bytes in \d+ blocks; \d+ free \(\d+ chunks\); (\d+) used/
	  ? $1 : die;
}

my $session = $node->background_psql('postgres');
$session->query_safe('CALL box._many(300)');
my $before = $session->query_safe($memory);
$session->query_safe('CALL box._many(3000)');
my $after = $session->query_safe($memory);
note("session: $before, $after");
cmp_ok($after - $before, '<', 64 * 1024, 'a session needs no more memory after 33,000 more calls');

# caches that are dropped and built again, also by a method that runs
$node->safe_psql('postgres', q{
	CREATE FUNCTION box.change(n int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE format('CREATE OR REPLACE FUNCTION box.changed() RETURNS int LANGUAGE sql AS %L', 'SELECT ' || n);
		RETURN actor_invoke('box', 'changed', 'changed')::int;
	END $$;
	CREATE PROCEDURE box._change(count int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR n IN 1 .. count LOOP
			PERFORM actor_register('box');
			COMMIT;
			PERFORM actor_invoke('box', 'c', 'change', to_jsonb(ARRAY[n]));
			COMMIT;
			PERFORM box._one(n, true);
			COMMIT;
		END LOOP;
	END $$;
	SET client_min_messages = warning;
	CALL box._change(1)});
$session->query_safe('SET client_min_messages = warning');
$session->query_safe('CALL box._change(50)');
$before = $session->query_safe($memory);
$session->query_safe('CALL box._change(400)');
$after = $session->query_safe($memory);
note("changes: $before, $after");
cmp_ok($after - $before, '<', 128 * 1024, 'nor after functions and types were changed');

# not even while the method runs during which they are changed
$node->safe_psql('postgres', q{
	CREATE FUNCTION box.change_often(count int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		contexts text := 'SELECT count(*) FROM pg_backend_memory_contexts WHERE name = ''actor type''';
		before int;
		after int;
	BEGIN
		EXECUTE contexts INTO before;
		FOR n IN 1 .. count LOOP
			EXECUTE format('CREATE OR REPLACE FUNCTION box.changed() RETURNS int LANGUAGE sql AS %L', 'SELECT ' || n);
			PERFORM actor_invoke('box', 'changed', 'changed');
		END LOOP;
		EXECUTE contexts INTO after;
		RETURN after - before;
	END $$});
cmp_ok($session->query_safe(q{SELECT actor_invoke('box', 'c', 'change_often', '[100]')}), '<', 10,
	'nor while a method runs that changes them');

# (What savepoints undo is left out here: with assertions, the server itself does
# not bear INSERT ... ON CONFLICT DO UPDATE of one row before, in, and after a
# savepoint that is rolled back.)
$session->query_safe('BEGIN');
$session->query_safe('SELECT box._one(n, false) FROM generate_series(1, 300) n');
$before = $session->query_safe($memory);
$session->query_safe('SELECT box._one(n, false) FROM generate_series(1, 2000) n');
$after = $session->query_safe($memory);
$session->query_safe('ROLLBACK');
note("transaction: $before, $after");
# the server remembers something of every row that is written twice
cmp_ok($after - $before, '<', 1536 * 1024, 'nor does a transaction that makes 20,000 more');
$session->quit;

my $fire = q{
	SELECT actor_set_reminder('box', 'e' || n %% 50, 'r' || n, '1ms', data => '[1]',
			method => CASE n %% 10 WHEN 0 THEN 'fail' ELSE 'put' END, failure_policy => '{"drop": {}}')
	  FROM generate_series(1, %d) n};
$node->safe_psql('postgres', q{
	CREATE OR REPLACE FUNCTION box.fail(v int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('v', 0); RAISE 'on purpose'; END $$;
	DROP FUNCTION box.fail();});
my @kinds = ('executor', 'launcher', 'scheduler');
my %used;
sub fire_many
{
	my ($round, $count) = @_;

	$node->safe_psql('postgres', sprintf($fire, $count) =~ s/'box', 'e'/'box', 'e$round-'/r);
	ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM actor.reminder)}), "$count reminders fire");
	foreach my $kind (@kinds)
	{
		my $pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor $kind'");

		$pid =~ /^\d+$/ or die "no $kind, or several";
		push @{ $used{$kind} }, [ $pid, log_memory($pid) ];
	}
}

# Some chores are done every now and then, and what the first of them loads
# stays; what a reminder leaves behind shows in every round.
my %flat;
fire_many(0, 1000);
for (my $round = 1; $round <= 5 && keys %flat < @kinds; $round++)
{
	fire_many($round, 10000);
	foreach my $kind (@kinds)
	{
		$flat{$kind} = 1 if $used{$kind}[-1][1] - $used{$kind}[-2][1] < 64 * 1024;
	}
}
foreach my $kind (@kinds)
{
	my %processes = map { $_->[0] => 1 } @{ $used{$kind} };

	note("$kind: " . join(', ', map { $_->[1] } @{ $used{$kind} }));
	is(scalar keys %processes, 1, "$kind is the same process");
	ok($flat{$kind}, "$kind needs no more memory for 10,000 more reminders");
}

# roles that come and go, such as those of tenants: the scheduler forgets them
sub scheduler_looks
{
	my ($condition, $name) = @_;

	$node->safe_psql('postgres', q{SELECT actor_set_reminder('box', 'wake', 'w', '1ms', method => 'put', data => '[1]')});
	return ok($node->poll_query_until('postgres', "SELECT $condition FROM actor.worker WHERE kind = 'scheduler'"), $name);
}

sub memory_of_roles
{
	my ($pid) = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor scheduler'");
	my $start = -s $node->logfile;

	log_memory($pid);
	my ($used) = slurp_file($node->logfile, $start) =~ /roles with something to do: .* (\d+) used/ or die 'no such memory';
	return ($pid, $used);
}
$node->safe_psql('postgres', q{SELECT actor_set_reminder('box', 'tomorrow', 'r', '1 day', method => 'put', data => '[1]')});
my @of_roles;
foreach my $round (1 .. 3)
{
	$node->safe_psql('postgres', qq{
		INSERT INTO actor.reminder SELECT n.* FROM actor.reminder r, generate_series(1, 1000) i,
			jsonb_populate_record(r, jsonb_build_object('actor_id', 'of a tenant', 'name', i,
				'role_name', 'tenant ' || $round || ' ' || i, 'next_try_at', now())) n
		 WHERE r.actor_id = 'tomorrow'});
	scheduler_looks('backlog >= 1000', 'the scheduler sees rows of very many roles');
	$node->safe_psql('postgres', q{DELETE FROM actor.reminder WHERE actor_id = 'of a tenant'});
	scheduler_looks('backlog < 1000', 'which go');
	push @of_roles, [ memory_of_roles() ];
}
note('roles: ' . join(', ', map { $_->[1] } @of_roles));
is($of_roles[2][0], $of_roles[0][0], 'the scheduler is the same process');
cmp_ok($of_roles[2][1] - $of_roles[0][1], '<', 64 * 1024, 'and needs no more memory for others');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
