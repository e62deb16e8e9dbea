# Somebody sets the clock of the machine: hours ahead, and hours back.  The
# server runs with a library preloaded that reads its clock from a file, see
# clock.c.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Config;
use File::Basename qw(dirname);
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $clock = PostgreSQL::Test::Utils::tempdir() . '/clock';
my $library = "$clock.so";
plan skip_all => 'the library that sets the clock is for Linux' if $^O ne 'linux';
plan skip_all => 'there is no C compiler'
  if system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O2', '-o', $library,
	dirname(__FILE__) . '/clock.c') != 0;

# How far the clock is ahead, in seconds.
my $ahead;

sub set_clock
{
	$ahead = shift;

	# at once and in place, for the file is mapped into memory
	open(my $file, '+>>', $clock) or die "$clock: $!";
	close $file;
	open($file, '+<', $clock) or die "$clock: $!";
	syswrite($file, pack('q', $ahead * 1_000_000)) == 8 or die "$clock: $!";
	close $file;
}

set_clock(0);
my $node = PostgreSQL::Test::Cluster->new('clock');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
autovacuum = off
actor.executor_linger = '1h'
});
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{ACTOR_TEST_CLOCK} = $clock;
	$node->start;
}

my $hour = 3600;
my $off = q{SELECT round(extract(epoch FROM clock_timestamp()) - %s) BETWEEN -60 AND 60};

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub comes
{
	my ($sql, $name) = @_;
	return ok($node->poll_query_until('postgres', $sql), $name);
}

is(sql(sprintf($off, time)), 't', 'the server has the time of the machine');
sql(q{
	CREATE EXTENSION actor;
	CREATE TABLE hit (n bigserial, id text, kind text, hours int, missed bigint, early boolean);
	CREATE TABLE origin AS SELECT clock_timestamp() AS at;
	CREATE SCHEMA t;
	-- in how many hours after the beginning it was to be
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS $$
		INSERT INTO hit (id, kind, hours, missed, early)
		SELECT actor_id(), c ->> 'kind',
			extract(epoch FROM (c ->> 'scheduled_at')::timestamptz - at) / 3600,
			(c ->> 'missed')::bigint,
			(c ->> 'scheduled_at')::timestamptz > clock_timestamp()
		FROM actor_cause() c, origin $$;
	CREATE FUNCTION t.keep(v int) RETURNS void LANGUAGE sql AS
		$$ SELECT actor_set('short', v, interval '2 hours'), actor_set('long', v, interval '20 hours') $$;
	CREATE FUNCTION t.kept() RETURNS jsonb STABLE LANGUAGE sql AS $$ SELECT actor_state() $$;
	SELECT actor_register('t', idle_timeout => interval '1000 hours');
	SELECT actor_invoke('t', 'state', 'keep', '[1]', request_id => 'again');
	SELECT actor_set_reminder('t', 'warm', 'fire')});
comes('SELECT count(*) = 1 FROM hit', 'an executor fires and stays');

# Ahead --------------------------------------------------------------------------

sql(q{
	BEGIN;
	SELECT actor_set_reminder('t', 'once', 'fire', '5h');
	SELECT actor_set_reminder('t', c, 'fire', '1h', '1h', catch_up => c) FROM unnest(ARRAY['one', 'all', 'skip']) c;
	SELECT actor_set_reminder('t', 'ended', 'fire', '1h', '1h', '2h30m', catch_up => 'all');
	SELECT actor_set_reminder('t', 'later', 'fire', '9h');
	SELECT actor_set_timer('t', 'timer', 'fire', '1h', '1h');
	SELECT actor_send('t', 'message', 'fire', due_time => '2h');
	COMMIT});
is(sql('SELECT count(*) FROM hit'), '1', 'nothing of what is due in hours fires');
# (nobody tells the workers: they are to see it within a minute)
set_clock(6.5 * $hour);
is(sql(sprintf($off, time + $ahead)), 't', 'the clock was set ahead');
comes(q{SELECT array(SELECT DISTINCT id FROM hit WHERE id <> 'warm' ORDER BY id) =
		'{all,ended,message,once,one,timer}'
	AND (SELECT count(*) FROM hit WHERE id = 'all') = 6
	AND NOT EXISTS (SELECT FROM actor.reminder WHERE actor_id IN ('once', 'ended')
			OR actor_id = 'skip' AND scheduled_at < clock_timestamp())},
	'what has become due fires late');
my $fired = qq{all|1 0, 2 0, 3 0, 4 0, 5 0, 6 0
ended|1 0, 2 0, 3 0
message|2 0
once|5 0
one|1 5
timer|1 5};
my $firings = q{SELECT id, string_agg(hours || ' ' || coalesce(missed, 0), ', ' ORDER BY n)
	FROM hit WHERE id <> 'warm' GROUP BY id ORDER BY id};
is(sql($firings), $fired, 'each as its catch_up says');
is(sql(q{SELECT actor_invoke('t', 'state', 'kept')}), '{"long": 1}', 'state that has expired is not seen');
is(sql(q{SELECT actor_invoke('t', 'state', 'keep', '[1]', request_id => 'again') IS NULL}),
	't', 'a request id is still known');
is(sql(q{SELECT actor_invoke('t', 'state', 'kept')}), '{"long": 1}', 'and nothing was done again');

# Back ---------------------------------------------------------------------------

# What workers remember while the clock goes back: a busy actor, and a failure.
my $client = $node->background_psql('postgres');
$client->query_safe(q{BEGIN; SELECT actor_invoke('t', 'busy', 'keep', '[1]')});
sql(q{
	SELECT actor_set_reminder('t', 'busy', 'at once', method => 'fire');
	SELECT actor_set_reminder('t', 'busy', 'in an hour', '1h', method => 'fire')});
comes(q{SELECT count(*) > 0 FROM actor.turn WHERE actor_id = 'busy' AND state = 'waits'},
	'an executor has found an actor busy');
my $executor = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor executor'});
kill 'STOP', $executor;
set_clock(0);
is(sql(sprintf($off, time)), 't', 'the clock was set back');
sql(q{
	SELECT actor_set_reminder('t', 'fresh', 'fire');
	SELECT actor_set_reminder('t', 'busy', 'fresh', method => 'fire')});
$client->query_safe('COMMIT');
$client->quit;
kill 'CONT', $executor;
comes(q{SELECT count(*) = 1 FROM hit WHERE id = 'fresh'}, 'a new reminder fires');
comes(q{SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE actor_id = 'busy' AND name = 'fresh')},
	'also that of an actor that was busy');
sql(q{SELECT actor_set_timer('t', 'new timer', 'fire', '100ms');
	SELECT actor_send('t', 'new message', 'fire')});
comes(q{SELECT count(*) = 2 FROM hit WHERE id LIKE 'new %'}, 'and timers and messages');
is(sql(q{SELECT actor_invoke('t', 'state', 'kept') -> 'long'}), '1', 'state is what it was');
like(sql(q{SELECT detail FROM actor_doctor() WHERE check_name = 'clock' AND NOT ok}),
	qr/registered in the future: the clock was set back/, 'actor_doctor() tells');

# A scheduler that has failed is started again, though its pause was to end in
# what is the future now.
my ($launcher, $scheduler) = map { sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'actor $_'") } qw(launcher scheduler);
set_clock(6.5 * $hour);
comes(q{SELECT count(*) > 0 FROM hit WHERE id = 'busy' AND hours >= 6}, 'what was registered then fires then');
kill 'STOP', $launcher;
is(sql("SELECT pg_terminate_backend($scheduler)"), 't', 'the scheduler is terminated');
comes(qq{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $scheduler)}, 'it ends');
set_clock(0);
kill 'CONT', $launcher;
sql(q{SELECT actor_set_reminder('t', 'restarted', 'fire')});
comes(q{SELECT count(*) = 1 FROM hit WHERE id = 'restarted'}, 'another one takes over');

# Nothing has fired again of what had: the times have come a second time.
is(sql(q{SELECT count(*) FROM hit WHERE early AND id <> 'busy'}), '0', 'nothing fires early');
is(sql(qq{SELECT string_agg(l, E'\\n') FROM (SELECT format('%s|%s', id, firings) AS l FROM ($firings) f (id, firings)
		WHERE id IN ('all', 'ended', 'message', 'once', 'one', 'timer')) x}),
	$fired, 'nothing has fired twice');

# Time goes on from there; what was fired ahead of its time is not due again
# before the next.
set_clock(7.25 * $hour);
comes(q{SELECT count(*) = 4 FROM hit WHERE hours = 7 AND id IN ('one', 'all', 'skip', 'timer')}, 'series go on');
set_clock(9.25 * $hour);
comes(q{SELECT count(*) = 1 FROM hit WHERE id = 'later'}, 'and end');
comes(q{SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE actor_id = 'busy')}, 'what was registered in the future fires');
is(sql(q{SELECT id, kind, hours FROM hit WHERE id <> 'busy'
		GROUP BY id, kind, hours HAVING count(*) > 1}), '', 'nothing fires twice');
is(sql(q{SELECT count(*) FROM actor.failure}), '0', 'nothing has failed');

# A restart while the clock is back.
set_clock(0);
$node->stop('fast');
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{ACTOR_TEST_CLOCK} = $clock;
	$node->start;
}
sql(q{SELECT actor_set_reminder('t', 'last', 'fire')});
comes(q{SELECT count(*) = 1 FROM hit WHERE id = 'last'}, 'a server that starts with the clock set back fires');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
