# Messages with real workers: the order of a queue through failures, roles, due
# times, busy actors and restarts; nothing is lost, and nobody else is held up.
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
max_prepared_transactions = 5
});
$node->start;

# take raises an error unless the numbers of an actor come in their order
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_one LOGIN;
	CREATE ROLE regress_actor_two LOGIN;
	CREATE SCHEMA t;
	GRANT USAGE ON SCHEMA t TO PUBLIC;
	CREATE TABLE t.log (n bigserial, id text, note text, xid xid8 DEFAULT pg_current_xact_id(),
		role name DEFAULT current_user, cause jsonb DEFAULT actor_cause(), at timestamptz DEFAULT clock_timestamp());
	CREATE TABLE t.gate (open boolean);
	INSERT INTO t.gate VALUES (true);
	CREATE SEQUENCE t.runs;
	GRANT ALL ON ALL TABLES IN SCHEMA t TO PUBLIC;
	GRANT ALL ON ALL SEQUENCES IN SCHEMA t TO PUBLIC;

	CREATE FUNCTION t.take(number int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF number <> actor_get('last', 0) + 1 THEN
			RAISE 'number % after %', number, actor_get('last', 0);
		END IF;
		PERFORM actor_set('last', number);
	END $$;
	CREATE FUNCTION t.note(note text) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO t.log (id, note) VALUES (actor_id(), note) $$;
	CREATE FUNCTION t.fail_twice() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF nextval('t.runs') <= 2 THEN RAISE 'not yet'; END IF;
		PERFORM t.note('at last');
	END $$;
	CREATE FUNCTION t.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
	CREATE FUNCTION t.wait() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM FROM t.gate FOR UPDATE; PERFORM t.note('waited'); END $$;
	CREATE FUNCTION t.leave() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM t.note('left'); PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(60); END $$;
	CREATE FUNCTION t.keep() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('kept', true) $$;
	SELECT actor_register('t');
});

sub wait_for
{
	my ($condition, $name) = @_;
	return ok($node->poll_query_until('postgres', "SELECT $condition"), $name);
}

sub left
{
	my ($id) = @_;
	return "(SELECT count(*) FROM actor.message WHERE actor_id = '$id')";
}

sub notes
{
	my ($id) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(note, ', ' ORDER BY n) FROM t.log WHERE id = '$id'");
}

# Somebody has the turn of an actor, or the lock that t.wait waits for, until
# let_go is called.
sub hold
{
	my ($sql) = @_;
	$node->safe_psql('postgres', "BEGIN; $sql; PREPARE TRANSACTION 'hold'");
	return;
}

sub let_go
{
	$node->safe_psql('postgres', "COMMIT PREPARED 'hold'");
	return;
}

# in order, in batches
$node->safe_psql('postgres', q{
	SELECT count(actor_send('t', 'order' || a, 'take', jsonb_build_array(n)))
	  FROM generate_series(1, 100) n, generate_series(1, 50) a});
wait_for('NOT EXISTS (SELECT FROM actor.message)', 'all messages are delivered');
is( $node->safe_psql('postgres', q{
		SELECT count(*), min(value::int), max(value::int) FROM actor.state WHERE actor_id LIKE 'order%' AND key = 'last'}),
	'50|100|100', 'those of each actor in order');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '0', 'without an error');
$node->safe_psql('postgres', q{
	BEGIN; SELECT actor_send('t', 'batch' || a, 'note', '["x"]') FROM generate_series(1, 200) a; COMMIT});
wait_for('NOT EXISTS (SELECT FROM actor.message)', 'a batch is delivered');
cmp_ok($node->safe_psql('postgres', "SELECT count(DISTINCT xid) FROM t.log WHERE id LIKE 'batch%'"),
	'<', 200, 'several share a transaction');

# two roles, one queue
$node->safe_psql('postgres', join ';', 'BEGIN',
	map({ my $role = $_ % 2 ? 'one' : 'two';
			"SET LOCAL ROLE regress_actor_$role; SELECT actor_send('t', 'roles', 'take', '[$_]')" } 1 .. 40),
	'COMMIT');
wait_for(left('roles') . ' = 0', 'messages of two roles to one actor are delivered');
is( $node->safe_psql('postgres', q{SELECT value FROM actor.state WHERE actor_id = 'roles' AND key = 'last'}),
	'40', 'in order');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '0', 'without an error');

# one that fails, with others behind it, of another role too
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT actor_send('t', 'retry', 'note', '["before"]');
	SELECT actor_send('t', 'retry', 'fail_twice');
	SELECT actor_send('t', 'retry', 'note', '["after"]');
	SET LOCAL ROLE regress_actor_one;
	SELECT actor_send('t', 'retry', 'note', '["of another"]');
	COMMIT});
wait_for(left('retry') . ' = 0', 'the others go on when one that failed was delivered');
is(notes('retry'), 'before, at last, after, of another', 'and keep their order');
is( $node->safe_psql('postgres', q{
		SELECT cause ->> 'attempt', at >= (cause ->> 'scheduled_at')::timestamptz + interval '3 seconds'
		  FROM t.log WHERE note = 'at last'}),
	'3|t', 'it was tried three times, after one second and two more');

# one that is given up
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT actor_send('t', 'park', 'fail');
	SELECT actor_send('t', 'park', 'note', jsonb_build_array(n::text)) FROM generate_series(1, 300) n;
	COMMIT});
wait_for("(SELECT attempt = 2 FROM actor.message WHERE method = 'fail')", 'a message fails');
wait_for("(SELECT count(*) = 300 FROM actor.message WHERE next_try_at = 'infinity')", 'what is behind it is hidden');
$node->safe_psql('postgres', "UPDATE actor.message SET attempt = 10 WHERE method = 'fail'");
wait_for(left('park') . ' = 0', 'the others go on when it is given up');
is( $node->safe_psql('postgres', q{
		SELECT kind, actor_id, method, attempts, message FROM actor.failure}),
	'message|park|fail|10|never', 'which is recorded');
is($node->safe_psql('postgres', q{SELECT string_agg(note, ',' ORDER BY n) FROM t.log WHERE id = 'park'}),
	join(',', 1 .. 300), 'they come in order');

# one that ends its process
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT actor_send('t', 'leave', 'leave');
	SELECT actor_send('t', 'leave', 'note', '["after"]');
	COMMIT});
wait_for("(SELECT attempt >= 2 FROM actor.message WHERE method = 'leave')", 'ending the process is a failed attempt');
is( $node->safe_psql('postgres', "SELECT last_error FROM actor.message WHERE method = 'leave'"),
	'method has ended its own process', 'which is said');
$node->safe_psql('postgres', "UPDATE actor.message SET attempt = 10 WHERE method = 'leave'");
wait_for(left('leave') . ' = 0', 'and is given up in the end');
is(notes('leave'), 'after', 'the others go on, and nothing of it is left');
is( $node->safe_psql('postgres', "SELECT attempts, sqlstate FROM actor.failure WHERE actor_id = 'leave'"),
	'10|57P01', 'the failure is recorded');

# sent while the last message of the queue is being delivered
hold('SELECT FROM t.gate FOR UPDATE');
$node->safe_psql('postgres', "SELECT actor_send('t', 'last', 'wait')");
wait_for(q{EXISTS (SELECT FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock')}, 'a delivery waits');
$node->safe_psql('postgres', "SELECT actor_send('t', 'last', 'note', '[\"later\"]')");
is(notes('last'), '', 'sending does not wait for it');
let_go();
wait_for(left('last') . ' = 0', 'both are delivered');
is(notes('last'), 'waited, later', 'in order');

# cancelled while it is being delivered
hold('SELECT FROM t.gate FOR UPDATE');
my $id = $node->safe_psql('postgres', "SELECT actor_send('t', 'cancel', 'wait')");
wait_for(q{EXISTS (SELECT FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock')}, 'a delivery waits');
my ($out, $err) = ('', '');
my $cancel = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT actor_cancel_message('t', 'cancel', $id)" ],
	'>', \$out, '2>', \$err);
wait_for(q{EXISTS (SELECT FROM pg_stat_activity
	WHERE query LIKE 'SELECT actor_cancel_message%' AND wait_event_type = 'Lock')}, 'cancelling waits for it');
let_go();
$cancel->finish;
is($out, "f\n", 'and finds it delivered');
is(notes('cancel'), 'waited', 'once');

# due later: it joins when it is due, and comes before what is sent after that
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT actor_send('t', 'due', 'note', '["second"]', '1s');
	SELECT actor_send('t', 'due', 'note', '["first"]');
	COMMIT});
wait_for("(SELECT count(*) = 2 FROM t.log WHERE id = 'due')", 'a message with a due time is delivered');
is(notes('due'), 'first, second', 'when it is due');
is( $node->safe_psql('postgres',
		"SELECT bool_and(at >= (cause ->> 'scheduled_at')::timestamptz) FROM t.log WHERE id = 'due'"),
	't', 'and not before');
hold("SELECT actor_invoke('t', 'due', 'keep')");
$node->safe_psql('postgres', q{SELECT actor_send('t', 'due', 'note', '["third"]', '10ms')});
wait_for(q{(SELECT due_at <= clock_timestamp() FROM actor.message WHERE actor_id = 'due')}, 'a message is due');
$node->safe_psql('postgres', q{
	SET ROLE regress_actor_two; SELECT actor_send('t', 'due', 'note', '["fourth"]')});
let_go();
wait_for(left('due') . ' = 0', 'it is delivered');
is(notes('due'), 'first, second, third, fourth', 'before one that was sent when it was due');

# a long queue behind a message that is under way, of a busy actor, or behind a
# failure, holds up nobody
hold("SELECT FROM t.gate FOR UPDATE; SELECT actor_invoke('t', 'busy', 'keep')");
$node->safe_psql('postgres', q{
	SELECT actor_send('t', 'slow', 'wait');
	SELECT count(actor_send('t', 'slow', 'take', jsonb_build_array(n))) FROM generate_series(1, 8000) n});
wait_for(q{EXISTS (SELECT FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock')}, 'a delivery waits');
$node->safe_psql('postgres', q{
	SELECT count(actor_send('t', 'busy', 'take', jsonb_build_array(n))) FROM generate_series(1, 8000) n;
	SELECT actor_send('t', 'stuck', 'fail');
	SELECT count(actor_send('t', 'stuck', 'take', jsonb_build_array(n))) FROM generate_series(1, 8000) n;
	SELECT actor_send('t', 'other', 'note', '["got it"]')});
wait_for(left('other') . ' = 0', 'long queues do not hold up other actors');
wait_for("(SELECT count(*) >= 7900 FROM actor.message WHERE actor_id = 'stuck' AND next_try_at = 'infinity')",
	'what is behind a failure is hidden');
cmp_ok($node->safe_psql('postgres', 'SELECT ' . left('slow')), '==', 8001, 'the slow message is still under way');
cmp_ok($node->safe_psql('postgres', 'SELECT ' . left('busy')), '==', 8000, 'the busy actor still has all of its own');

# all of it survives a restart, whatever is hidden
let_go();
$node->restart;
wait_for(left('busy') . ' = 0', 'a long queue is delivered after a restart');
wait_for(left('slow') . ' = 0', 'and another one');
$node->safe_psql('postgres', "UPDATE actor.message SET attempt = 10 WHERE method = 'fail'");
wait_for(left('stuck') . ' = 0', 'and so is the one behind the failure');
is( $node->safe_psql('postgres', q{
		SELECT string_agg(actor_id || ' ' || value, ', ' ORDER BY actor_id) FROM actor.state
		 WHERE actor_id IN ('busy', 'slow', 'stuck') AND key = 'last'}),
	'busy 8000, slow 8000, stuck 8000', 'in order');
is($node->safe_psql('postgres', "SELECT count(*) FROM actor.failure WHERE method = 'take'"), '0', 'without an error');

# sent by a transaction that is prepared
$node->safe_psql('postgres', q{
	BEGIN; SELECT actor_send('t', 'prepared', 'note', '["one"]'); PREPARE TRANSACTION 'send'});
$node->safe_psql('postgres', q{COMMIT PREPARED 'send'; SELECT actor_send('t', 'prepared', 'note', '["two"]')});
wait_for(left('prepared') . ' = 0', 'a prepared message is delivered');
is(notes('prepared'), 'one, two', 'in order');

# who waits for a result is woken by its commit, also by that of a prepared transaction
sub wait_for_result
{
	my ($id, $deliver, $name) = @_;
	my ($out, $err) = ('', '');

	$node->safe_psql('postgres', "SELECT actor_send('t', '$id', 'keep', due_time => '100h', request_id => 'r')");
	my $waiter = IPC::Run::start(
		[ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), '-c',
			"SELECT state FROM actor_wait('t', '$id', 'r', '10 min')" ],
		'>', \$out, '2>', \$err);
	wait_for(q{EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'SELECT state FROM actor_wait%'
		AND wait_event_type = 'Extension')}, "somebody waits for $name");
	$node->safe_psql('postgres', $deliver);
	$waiter->finish;
	is("$out$err", "done\n", $name);
	return;
}
wait_for_result('result', "SELECT actor_run_due(now() + interval '101 h')", 'the result of a message');
wait_for_result('prepared result', q{
	BEGIN; SELECT actor_run_due(now() + interval '101 h'); PREPARE TRANSACTION 'deliver';
	SELECT pg_sleep(0.1); COMMIT PREPARED 'deliver'}, 'one of a prepared transaction');
$node->safe_psql('postgres', "SELECT actor_send('t', 'crash', 'keep', due_time => '100h', request_id => 'r')");
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', "SELECT state FROM actor_result('t', 'crash', 'r')"), 'pending', 'a crash changes nothing');

# a message to each actor of a type: once, whatever ends the server meanwhile; and
# of those that come and go, no more than one
$node->safe_psql('postgres', q{
	CREATE SCHEMA herd;
	CREATE TABLE herd.visit (id text);
	CREATE FUNCTION herd.put() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('k', 1) $$;
	CREATE FUNCTION herd.visit() RETURNS void LANGUAGE sql AS $$ INSERT INTO herd.visit VALUES (actor_id()) $$;
	SELECT actor_register('herd');
	SET actor.max_turns_per_transaction = 10000;
	SELECT count(actor_invoke('herd', 'h' || n, 'put')) FROM generate_series(1, 1500) n;
	SELECT actor_each('herd', 'visit', batch => 20);
});
for my $crash (1 .. 3)
{
	my $sent = $node->safe_psql('postgres', 'SELECT sent FROM actor.each');

	ok($node->poll_query_until('postgres', "SELECT sent > $sent OR finished_at IS NOT NULL FROM actor.each"),
		"it goes on, $crash");
	$node->safe_psql('postgres', "SELECT actor_delete('herd', 'h77$crash'), actor_invoke('herd', 'new $crash', 'put')");
	$node->stop('immediate');
	$node->start;
}
wait_for('(SELECT finished_at IS NOT NULL FROM actor.each)', 'it ends');
wait_for(q{NOT EXISTS (SELECT FROM actor.message WHERE actor_type = 'herd')}, 'all is delivered');
is( $node->safe_psql('postgres', q{
		SELECT count(*), count(DISTINCT id), (SELECT sent FROM actor.each) >= count(*) FROM herd.visit
		 WHERE id !~ '^h77[123]$' AND id !~ 'new'}),
	'1497|1497|t', 'each actor has had its message once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (SELECT id FROM herd.visit GROUP BY id HAVING count(*) > 1) d'),
	'0', 'and none twice');

# what is hidden is delivered without being shown before, unless others must find it:
# those of another role, and whoever runs alone
sub no_executors
{
	$node->safe_psql('postgres', "ALTER SYSTEM SET actor.enabled = off");
	$node->reload;
	wait_for(q{NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor executor')},
		'there is no executor');
	return;
}

sub executors_again
{
	$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.enabled');
	$node->reload;
	return;
}

# hides all messages of an actor but its first one
sub hide_all_but_first
{
	my ($id) = @_;
	$node->safe_psql('postgres', qq{
		UPDATE actor.message SET next_try_at = 'infinity' WHERE actor_id = '$id'
		   AND message_id > (SELECT min(message_id) FROM actor.message WHERE actor_id = '$id')});
	return;
}

$node->safe_psql('postgres', q{
	CREATE TABLE t.peeked (n bigserial, id text, number int, hidden boolean, xid xid8 DEFAULT pg_current_xact_id());
	GRANT ALL ON t.peeked, t.peeked_n_seq TO PUBLIC;
	CREATE FUNCTION t.is_hidden(id bigint) RETURNS boolean LANGUAGE sql SECURITY DEFINER AS
		$$ SELECT next_try_at = 'infinity' FROM actor.message WHERE message_id = $1 $$;
	CREATE FUNCTION t.peek(number int) RETURNS void LANGUAGE sql AS
		$$ INSERT INTO t.peeked (id, number, hidden) VALUES (actor_id(), number, t.is_hidden((actor_cause() ->> 'name')::bigint)) $$;
	CREATE FUNCTION t.peek_late(number int) RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN IF nextval('t.runs') <= 1 THEN RAISE 'not yet'; END IF; PERFORM t.peek(number); END $$;
	CREATE FUNCTION t.peek_gate(number int) RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM FROM t.gate FOR UPDATE; PERFORM t.peek(number); END $$;
	CREATE FUNCTION t.peek_cancel(number int, others jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM t.peek(number);
		PERFORM actor_cancel_message('t', actor_id(), o::bigint) FROM jsonb_array_elements_text(others) o;
	END $$;
	SELECT setval('t.runs', 1, false);
	ALTER SYSTEM SET actor.batch_time = '1s';
});
hold('SELECT FROM t.gate FOR UPDATE');
no_executors();
$node->safe_psql('postgres', q{
	BEGIN;
	SELECT count(actor_send('t', 'hidden', 'peek', jsonb_build_array(n))) FROM generate_series(1, 200) n;
	SET LOCAL ROLE regress_actor_one;
	SELECT count(actor_send('t', 'hidden', 'peek', jsonb_build_array(n))) FROM generate_series(201, 203) n;
	RESET ROLE;
	SELECT count(actor_send('t', 'hidden', 'peek', jsonb_build_array(n))) FROM generate_series(204, 205) n;
	SELECT actor_send('t', 'hidden', 'peek_late', '[206]');
	SELECT actor_send('t', 'hidden', 'peek', '[207]');
	SELECT actor_send('t', 'hidden', 'peek_gate', '[208]');
	SELECT count(actor_send('t', 'hidden', 'peek', jsonb_build_array(n))) FROM generate_series(209, 230) n;
	SELECT actor_send('t', 'quits', 'peek', '[1]');
	SELECT actor_send('t', 'quits', 'leave');
	SELECT actor_send('t', 'quits', 'peek', '[2]');
	SELECT actor_send('t', 'cancels', 'peek', '[1]');
	SELECT actor_send('t', 'cancels', 'peek_cancel', '[2, []]');
	SELECT count(actor_send('t', 'cancels', 'peek', jsonb_build_array(n))) FROM generate_series(3, 9) n;
	COMMIT;
	UPDATE actor.message SET payload = jsonb_build_array(2, (SELECT jsonb_agg(message_id) FROM actor.message
		 WHERE actor_id = 'cancels' AND payload IN ('[3]', '[4]', '[6]')))
	 WHERE actor_id = 'cancels' AND method = 'peek_cancel'});
hide_all_but_first($_) foreach qw(hidden quits cancels);
executors_again();
wait_for(q{(SELECT count(*) = 207 FROM t.peeked WHERE id = 'hidden')}, 'messages that are hidden are delivered');
wait_for(q{EXISTS (SELECT FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock')}, 'one of them runs alone, and waits');
cmp_ok($node->safe_psql('postgres', "SELECT count(*) FROM t.peeked WHERE id = 'hidden' AND hidden"),
	'>', 0, 'without being shown');
is( $node->safe_psql('postgres', q{SELECT string_agg(number::text, ' ' ORDER BY n) FROM t.peeked
		WHERE NOT hidden AND number IN (1, 201, 204, 206) AND id = 'hidden'}),
	'1 201 204 206', 'but the first ones of a role and of a retry are shown');
$node->safe_psql('postgres', "SELECT actor_send('t', 'hidden', 'peek', '[231]')");
let_go();
wait_for(left('hidden') . ' = 0', 'the others follow');
is( $node->safe_psql('postgres', q{SELECT count(*), bool_and(number = rank)
		FROM (SELECT number, row_number() OVER (ORDER BY n) rank FROM t.peeked WHERE id = 'hidden') p}),
	'231|t', 'all of them in order');
wait_for("(SELECT attempt >= 2 FROM actor.message WHERE method = 'leave')", 'one that is hidden ends its process');
$node->safe_psql('postgres', "UPDATE actor.message SET attempt = 10 WHERE method = 'leave'");
wait_for(left('quits') . ' = 0', 'it is given up');
wait_for(left('cancels') . ' = 0', 'what follows those that a method cancels is delivered');
is( $node->safe_psql('postgres', q{SELECT id, string_agg(number::text, ' ' ORDER BY n) FROM t.peeked
		WHERE id IN ('quits', 'cancels') GROUP BY id ORDER BY id}),
	"cancels|1 2 5 7 8 9\nquits|1 2", 'in order, too');

# how many rows of messages are updated until that many of an actor are delivered
sub updates_until_delivered
{
	my ($id, $count, $begin) = @_;
	my $written = sub {
		my ($what) = @_;
		return $node->safe_psql('postgres', "SELECT n_tup_$what FROM pg_stat_user_tables WHERE relid = 'actor.message'::regclass");
	};
	# (who has gone has reported what he wrote)
	wait_for("NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'client backend'
		AND pid <> pg_backend_pid() AND state <> 'idle in transaction')",
		'all sessions have ended');
	my ($updated, $deleted) = map { $written->($_) } qw(upd del);

	$begin->();
	wait_for(left($id) . ' = 0', "messages to $id are delivered");
	# (both are reported together)
	wait_for("(SELECT n_tup_del >= $deleted + $count FROM pg_stat_user_tables WHERE relid = 'actor.message'::regclass)",
		'which is counted');
	is( $node->safe_psql('postgres', qq{SELECT count(*), bool_and(number = rank)
			FROM (SELECT number, row_number() OVER (ORDER BY n) rank FROM t.peeked WHERE id = '$id') p}),
		"$count|t", 'in order');
	return $written->('upd') - $updated;
}

# those of senders at the same time have times in another order than they have ids;
# when all are due, none is hidden for that
no_executors();
$node->safe_psql('postgres', q{
	ALTER SYSTEM SET actor.max_executors = 1;
	SELECT count(actor_send('t', 'crossed', 'peek', jsonb_build_array(n))) FROM generate_series(1, 50) n;
	UPDATE actor.message SET next_try_at = due_at - (message_id % 7) * interval '1 second' WHERE actor_id = 'crossed'});
is(updates_until_delivered('crossed', 50, \&executors_again), '0', 'none was hidden since their times cross');

# nor for that they are late, and the first one runs alone, as their actor was busy; nor
# if there are many of them then
my $holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q{BEGIN; SELECT actor_invoke('t', 'late', 'keep')});
$node->safe_psql('postgres', q{
	SELECT count(actor_send('t', 'late', 'peek', jsonb_build_array(n))) FROM generate_series(1, 150) n});
wait_for(q{(SELECT bool_and(clock_timestamp() > due_at + interval '1.1 s') FROM actor.message WHERE actor_id = 'late')},
	'messages to a busy actor are late');
is($node->safe_psql('postgres', 'SELECT ' . left('late')), '150', 'none is delivered');
$holder->query_safe(q{
	SELECT count(actor_send('t', 'late', 'peek', jsonb_build_array(n))) FROM generate_series(151, 6650) n});
is(updates_until_delivered('late', 6650, sub { $holder->query_safe('COMMIT'); $holder->quit }), '0', 'none was hidden since their actor was busy');

# nor if the one that runs alone has been tried before, and another one comes between
my $waits = q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock'};
$holder = $node->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q{BEGIN; SELECT actor_invoke('t', 'stuck', 'keep')});
$node->safe_psql('postgres', q{
	SELECT count(actor_send('t', 'stuck', 'peek', jsonb_build_array(n))) FROM generate_series(1, 150) n});
wait_for("$waits)", 'an executor queues for a busy actor');
$holder->query_safe(q{
	SELECT count(actor_send('t', 'stuck', 'peek', jsonb_build_array(n))) FROM generate_series(151, 6650) n});
is( updates_until_delivered(
		'stuck', 6650,
		sub {
			hold('SELECT FROM t.gate FOR UPDATE');
			$node->safe_psql('postgres', "SELECT actor_send('t', 'between', 'peek_gate', '[1]')");
			wait_for("$waits AND wait_event = 'transactionid')", 'it runs another one alone');
			$holder->query_safe('COMMIT');
			let_go();
			$holder->quit;
		}),
	'0', 'none was hidden since the first one had been tried');
is($node->safe_psql('postgres', 'SELECT ' . left('between')), '0', 'the other one is delivered, too');

# nor if the first one waits for a lock, and is tried again
is( updates_until_delivered(
		'waits', 151,
		sub {
			hold('SELECT FROM t.gate FOR UPDATE');
			$node->safe_psql('postgres', q{
				BEGIN;
				SELECT actor_send('t', 'waits', 'peek_gate', '[1]');
				SELECT count(actor_send('t', 'waits', 'peek', jsonb_build_array(n))) FROM generate_series(2, 151) n;
				COMMIT});
			# (the first time in a batch, and then alone; a round has passed over it then)
			my $last = '-infinity';
			foreach my $time ('once', 'twice', 'three times')
			{
				wait_for("$waits AND wait_event = 'transactionid' AND xact_start > '$last')", "it waits $time");
				$last = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
			}
			let_go();
		}),
	'0', 'none was hidden since the first one waited');

# and what is sent after those that are hidden is not hidden, while they are delivered in
# several batches; the one with which a batch stops is shown
no_executors();
$node->safe_psql('postgres', q{
	SELECT count(actor_send('t', 'behind', 'peek', jsonb_build_array(n))) FROM generate_series(1, 150) n});
hide_all_but_first('behind');
$node->safe_psql('postgres', q{
	SELECT count(actor_send('t', 'behind', 'peek', jsonb_build_array(n))) FROM generate_series(151, 200) n});
cmp_ok(updates_until_delivered('behind', 200, \&executors_again), '<', 50, 'none was hidden since others were');

$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.batch_time; ALTER SYSTEM RESET actor.max_executors');
$node->reload;

# messages that are gone when an executor comes to them, while somebody may still see
# them: what is left of them in the index is walked over once, and not for each of them
$node->safe_psql('postgres', q{
	CREATE FUNCTION t.spin() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN LOOP EXIT WHEN (SELECT open FROM t.gate); PERFORM pg_sleep(0.01); END LOOP; END $$;
	UPDATE t.gate SET open = false});
no_executors();
my ($old, $other) = map { $node->background_psql('postgres', on_error_stop => 1) } 1, 2;
my $gone = 300;
my $entries = q{SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'message_queue'};
$node->safe_psql('postgres', "SELECT actor_send('t', 'spin', 'spin'),
	(SELECT count(actor_send('t', 'gone', 'keep')) FROM generate_series(1, $gone))");
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$other->query_safe(q{BEGIN; SELECT FROM actor.message WHERE actor_id = 'gone' FOR UPDATE});
executors_again();
wait_for(q{EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor executor' AND wait_event = 'PgSleep')},
	'an executor has seen them, and runs what is before them');
$other->query_safe(q{DELETE FROM actor.message WHERE actor_id = 'gone'; COMMIT});
my $read = $node->safe_psql('postgres', $entries);
$node->safe_psql('postgres', 'UPDATE t.gate SET open = true');
foreach my $n (1, 2)
{
	# (what the executor has read before is counted when it runs the second one)
	$node->safe_psql('postgres', "SELECT actor_send('t', 'after', 'note', '[\"$n\"]')");
	wait_for(left('after') . ' = 0', 'it goes on');
}
$read = $node->safe_psql('postgres', $entries) - $read;
note("index entries: $read");
# (a round has some hundred of them)
cmp_ok($read, '<', 3 * $gone, 'they cost no more than a few walks');
$_->quit foreach $old, $other;

# however many are active, the next one is found by the key
$node->safe_psql('postgres', q{
	CREATE SCHEMA crowd;
	CREATE FUNCTION crowd.calm() RETURNS int LANGUAGE sql AS 'SELECT 1';
	SELECT actor_register('crowd');
	INSERT INTO actor.activation (actor_type, actor_id, server_start, activated_at, last_used_at)
	SELECT 'crowd', 'c' || n, pg_postmaster_start_time(), now(), now() FROM generate_series(1, 10000) n;
	SELECT pg_stat_reset();
	SELECT actor_each('crowd', 'calm', batch => 1000);
});
wait_for(q{(SELECT sent >= 3000 FROM actor.each WHERE actor_type = 'crowd')}, 'many actors get messages');
wait_for(q{(SELECT idx_scan >= 3000 FROM pg_stat_user_indexes WHERE indexrelname = 'activation_pkey')}, 'each is looked for');
cmp_ok(
	$node->safe_psql('postgres', q{SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'activation_idle'}),
	'<', 1_000_000, 'and none by the time that actors are idle');
$node->safe_psql('postgres', q{SELECT actor_each_stop(each_id) FROM actor.each WHERE actor_type = 'crowd'});

$node->stop;
done_testing();
