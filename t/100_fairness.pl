# A role without privileges tries to take from another one what they share.
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
actor.max_executors = 4
actor.callback_timeout = 0
actor.stat_max = 100
});
$node->start;

sub query
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

sub query_as
{
	my ($role, $query) = @_;

	return query("SET SESSION AUTHORIZATION $role; $query");
}

sub wait_for
{
	my ($query, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $query"), $what);
	return;
}

# Waits until the scheduler has had several looks at what there is now.
sub wait_for_looks
{
	my $now = query('SELECT clock_timestamp()');

	ok( $node->poll_query_until('postgres', qq{
			SELECT last_active_at > timestamptz '$now' + interval '2 s'
			FROM actor.worker WHERE kind = 'scheduler'}),
		'the scheduler has seen that');
	return;
}

my $hogs = q{(SELECT count(*) FROM pg_stat_activity
	WHERE backend_type = 'actor executor' AND state = 'active'
	AND (query LIKE 'reminder "hog"%' OR query LIKE 'message % of actor "m%" of type "greedy"'))};

query(q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_greedy LOGIN;
	CREATE ROLE regress_actor_modest LOGIN;
	CREATE ROLE regress_actor_third LOGIN;
	CREATE SCHEMA greedy AUTHORIZATION regress_actor_greedy;
	CREATE SCHEMA modest AUTHORIZATION regress_actor_modest});
for my $role ('greedy', 'modest')
{
	query_as("regress_actor_$role", qq{
		GRANT USAGE ON SCHEMA $role TO PUBLIC;
		CREATE FUNCTION $role.hog() RETURNS void LANGUAGE plpgsql AS
			\$\$ BEGIN PERFORM pg_sleep(3600); END \$\$;
		CREATE FUNCTION $role.note() RETURNS void LANGUAGE plpgsql AS
			\$\$ BEGIN PERFORM actor_set('noted', actor_get('noted', 0) + 1); END \$\$;
		SELECT actor_register('$role')});
}
my $noted = q{(SELECT coalesce(sum(value::int), 0) FROM actor.state WHERE actor_type = 'modest')};

# all executors but one
query_as('regress_actor_greedy', q{
	SELECT actor_set_reminder('greedy', 'g' || i, 'hog', '0s', '1s') FROM generate_series(1, 10) i;
	SELECT actor_send('greedy', 'm' || i, 'hog') FROM generate_series(1, 10) i});
wait_for("$hogs >= 3", 'a role keeps three of four executors busy');
wait_for_looks();
is(query("SELECT $hogs"), '3', 'it does not get the last one');
query_as('regress_actor_modest', q{
	SELECT actor_send('modest', 'message', 'note');
	SELECT actor_set_reminder('modest', 'reminder', 'note', '0s')});
wait_for("$noted = 2", 'messages and reminders of another role get through');
is(query("SELECT $hogs"), '3', 'nobody was made to end for that');

# counters
query_as('regress_actor_modest', q{
	CREATE FUNCTION modest.once() RETURNS void LANGUAGE plpgsql AS
		$$ BEGIN PERFORM actor_set('noted', 0); END $$;
	SELECT actor_invoke('modest', 'once', 'once')});
query_as('regress_actor_greedy', q{
	DO $$ BEGIN
		FOR i IN 1 .. 300 LOOP
			EXECUTE format('CREATE FUNCTION greedy.m%s() RETURNS void LANGUAGE plpgsql
				AS ''BEGIN END''', i);
		END LOOP;
	END $$;
	SELECT actor_invoke('greedy', 'x', 'm' || i) FROM generate_series(1, 300) i,
		generate_series(1, 3)});
is(query(q{SELECT calls FROM actor.method_stat WHERE actor_type = 'modest' AND method = 'once'}),
	'1', 'many methods of one type do not take the counters of another one');

# registrations
my $idle = $node->background_psql('postgres');
$idle->query_safe(q{SET client_min_messages = warning;
	SET SESSION AUTHORIZATION regress_actor_greedy; BEGIN;
	SELECT actor_register('greedy')});
query_as('regress_actor_modest', q{
	SET lock_timeout = '10s';
	SELECT actor_register('modest')});
my ($ret, $out, $err) = $node->psql('postgres', q{
	SET SESSION AUTHORIZATION regress_actor_greedy;
	SET actor.call_timeout = '100ms';
	SELECT actor_register('greedy')});
like($err, qr/actor type "greedy" was not free to be registered within 100 ms/,
	'a registration that is left open holds up that of the same type, and not for ever');
$idle->query_safe('ROLLBACK');
$idle->quit;

# settings of a role do not slow down what its executors do for themselves
for my $setting ('enable_indexscan = off', 'enable_indexonlyscan = off', 'enable_nestloop = off',
	'jit = on', 'jit_above_cost = 0', 'debug_print_plan = on', 'debug_print_parse = on',
	'debug_print_rewritten = on')
{
	query("ALTER ROLE regress_actor_third SET $setting");
}
query(q{ALTER ROLE regress_actor_third SET log_min_messages = debug1});
# (a method that runs no statement, which its own settings would be for)
query_as('regress_actor_modest', q{
	CREATE SEQUENCE modest.runs;
	GRANT USAGE ON SEQUENCE modest.runs TO PUBLIC;
	CREATE FUNCTION modest.run() RETURNS void LANGUAGE plpgsql AS
		$$ DECLARE n bigint; BEGIN n := nextval('modest.runs'); END $$});
my $scans = q{(SELECT sum(seq_scan) FROM pg_stat_all_tables
	WHERE schemaname = 'actor' AND relname IN ('message', 'reminder', 'timer'))};
my $before = query("SELECT $scans");
my $log = -s $node->logfile;
query_as('regress_actor_third', q{SELECT actor_send('modest', 'third', 'run')});
wait_for('(SELECT is_called FROM modest.runs)',
	'a role with settings of its own gets through');
# what it has done is counted when it ends
query(q{ALTER ROLE regress_actor_third RESET ALL});
wait_for(q{(SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND usename = 'regress_actor_third')},
	'its executor ends');
is(query("SELECT $scans"), $before, 'what its executors do for themselves is planned as ever');
my $lines = substr(slurp_file($node->logfile), $log);
unlike($lines, qr/STATEMENT:  looking for due reminders/, 'and not printed');
unlike($lines, qr/probing availability of JIT provider/, 'nor compiled');
query_as('regress_actor_third', q{SELECT actor_send('modest', 'third', 'note')});
wait_for("$noted = 3", 'it still gets through');

# the last executor is given up when there is no other way
query(q{ALTER SYSTEM SET actor.drain_ongoing_call_timeout = '1s'});
$node->reload;
query_as('regress_actor_modest', q{SELECT actor_set_reminder('modest', 'busy', 'hog')});
wait_for("$hogs = 4", 'two roles keep all executors busy');
$log = -s $node->logfile;
query_as('regress_actor_third', q{SELECT actor_send('modest', 'third', 'note')});
wait_for("$noted = 4", 'a third role gets through');
like(substr(slurp_file($node->logfile), $log),
	qr/(reminder "hog"|message "\d+") of actor "[gm]\d+" of type "greedy" was ended because another role waits/,
	'at the cost of the one that has most');
is(query(q{SELECT max(attempt) FROM actor.reminder WHERE name = 'hog'}), '1',
	'which has not failed');
unlike(substr(slurp_file($node->logfile), $log), qr/type "modest" was ended/,
	'and not of the one that has one');

# one executor
query(q{ALTER SYSTEM SET actor.max_executors = 1});
$node->restart;
wait_for("$hogs = 1", 'the only executor is busy');
query_as('regress_actor_third', q{SELECT actor_send('modest', 'message', 'note')});
wait_for("$noted = 5", 'another role gets through');
wait_for("$hogs = 1", 'and somebody else gets it back');

# promises that expire: those of a type that somebody keeps locked hold up no others
query(q{ALTER SYSTEM RESET actor.max_executors; ALTER SYSTEM SET actor.enabled = off});
$node->restart;
query('SELECT actor_delete_reminders(actor_type) FROM actor.type');
query('CREATE SCHEMA oath AUTHORIZATION regress_actor_greedy');
for my $type ('oath', 'modest')
{
	query_as('regress_actor_' . ($type eq 'oath' ? 'greedy' : 'modest'), qq{
		CREATE FUNCTION $type.answered(state text, promise text, value text) RETURNS void
			LANGUAGE plpgsql AS \$\$ BEGIN PERFORM actor_set('answered', state); END \$\$;
		CREATE FUNCTION $type.promise(number int) RETURNS bigint LANGUAGE sql AS
			\$\$ SELECT count(actor_promise('answered', '1 ms')) FROM generate_series(1, number) \$\$;
		SET client_min_messages = warning;
		SELECT actor_register('$type')});
}
query_as('regress_actor_greedy', q{SELECT actor_invoke('oath', 'a', 'promise', '[2000]')});
query_as('regress_actor_modest', q{SELECT actor_invoke('modest', 'a', 'promise', '[1]')});
my $locker = $node->background_psql('postgres');
$locker->query_safe(q{SET SESSION AUTHORIZATION regress_actor_greedy; BEGIN;
	SELECT actor_rename('oath', 'vow')});
query(q{ALTER SYSTEM RESET actor.enabled});
$node->reload;
wait_for(q{EXISTS (SELECT FROM actor.state WHERE key = 'answered')},
	'a promise of another type expires');
is(query('SELECT count(*) FROM actor.promise'), '2000', 'before those of the type that is locked');
$locker->query_safe('ROLLBACK');
$locker->quit;
wait_for('NOT EXISTS (SELECT FROM actor.promise)', 'these expire when it is free');

# messages to each actor of a type: so many at a time, whatever is asked for; here more
# fail
query(q{
	INSERT INTO actor.state (actor_type, actor_id, key, value, updated_at)
		SELECT 'oath', lpad(i::text, 4, '0'), 'k', '1', now() FROM generate_series(1, 1500) i;
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'too many'; END $$;
	CREATE TRIGGER refuse BEFORE INSERT ON actor.message FOR EACH ROW
		WHEN (NEW.actor_type = 'oath' AND NEW.actor_id > '1200') EXECUTE FUNCTION refuse()});
$log = -s $node->logfile;
query_as('regress_actor_greedy', q{
	CREATE FUNCTION oath.nothing() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
	SELECT actor_each('oath', 'nothing', batch => 100000);
	SELECT actor_each('oath', 'nothing', batch => 100000)});
wait_for('EXISTS (SELECT FROM actor.each WHERE sent >= 1000)', 'messages are sent to some actors');
query_as('regress_actor_modest', q{SELECT actor_each('modest', 'run')});
wait_for(q{EXISTS (SELECT FROM actor.each WHERE actor_type = 'modest' AND finished_at IS NOT NULL)},
	'and to those of another type');
wait_for_looks();
is(query(q{SELECT string_agg(sent::text, ' ' ORDER BY started_at) FROM actor.each WHERE actor_type = 'oath'}),
	'1000 0', 'so many at a time, and what was asked for first');
@{[substr(slurp_file($node->logfile), $log) =~ /(could not send to each actor of type "oath": too many)/g]} == 1
  ? pass('the log says once what has failed') : fail('the log says once what has failed');

# an event that the scheduler cannot hand out
query(q{
	CREATE SEQUENCE public.tries;
	CREATE FUNCTION refuse_event() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN PERFORM nextval('public.tries'); RAISE 'no events'; END $$;
	CREATE TRIGGER event_refused BEFORE INSERT ON actor.message FOR EACH ROW
		WHEN (NEW.actor_id = 'subscriber') EXECUTE FUNCTION refuse_event()});
$log = -s $node->logfile;
query_as('regress_actor_greedy', q{
	SET actor.publish_limit = 0;
	SELECT actor_subscribe('news', 'oath', 'subscriber', 'nothing', 'oath');
	SELECT actor_publish('news', NULL, 'oath')});
wait_for('last_value >= 3 FROM public.tries', 'an event that cannot be handed out is tried again');
is(scalar(() = substr(slurp_file($node->logfile), $log) =~ /could not hand out an event of .*: no events/g), 1,
	'which the log says once');

# One executor, and a role whose short callbacks never end: it leaves when it has
# worked for a while.
query(q{ALTER SYSTEM SET actor.max_executors = 1; ALTER SYSTEM SET actor.enabled = off;
	ALTER SYSTEM SET actor.drain_ongoing_call_timeout = '1h'});
$node->restart;
query(q{TRUNCATE actor.message, actor.each, actor.fan_out, actor.subscription;
	DROP TRIGGER refuse ON actor.message; DROP TRIGGER event_refused ON actor.message});
query_as('regress_actor_greedy', q{
	CREATE FUNCTION greedy.tick() RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
	SELECT actor_set_reminder('greedy', i::text, 'tick', '0s', '1ms') FROM generate_series(1, 100) i});
query(q{ALTER SYSTEM RESET actor.enabled});
$node->reload;
wait_for(q{EXISTS (SELECT FROM actor.reminder WHERE name = 'tick' AND fired > 0)},
	'a role has callbacks without end');
query_as('regress_actor_third', q{SELECT actor_send('modest', 'last', 'note')});
wait_for(q{EXISTS (SELECT FROM actor.state WHERE actor_id = 'last')}, 'another role gets through');

$node->stop;
done_testing();
