# Turns that are given back before their commit is on disk.
#
# The disk is held up by a library that is preloaded, see disk.c.  Meanwhile the
# next turn begins, others see what was committed, and nobody is answered who has
# done or seen something that is not on disk.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use File::Basename qw(dirname);
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Sessions qw(:DEFAULT talk_to sql comes);
use Test::More;
use Time::HiRes qw(usleep);

my $disk = PostgreSQL::Test::Utils::tempdir() . '/disk';
my $library = "$disk.so";
plan skip_all => 'the library that holds up the disk is for Linux' if $^O ne 'linux';
plan skip_all => 'there is no C compiler'
  if system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O2', '-o', $library,
	dirname(__FILE__) . '/disk.c') != 0;

my $node = PostgreSQL::Test::Cluster->new('early_release');
$node->init(allows_streaming => 1);
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
max_prepared_transactions = 5
fsync = on
shared_buffers = 32MB
wal_sync_method = fdatasync
autovacuum = off
actor.executor_linger = '1h'
actor.callback_timeout = 0
});
{
	local $ENV{LD_PRELOAD} = $library;
	local $ENV{ACTOR_TEST_DISK} = $disk;
	$node->start;
}
talk_to($node);

sub is_running
{
	my ($session) = @_;

	$session->{run}->pump_nb;
	return $session->{run}->pumpable;
}

# Reads without the API, and without writing anything, as the disk is held up.
my $value = q{SELECT value FROM actor.state WHERE actor_type = '%s' AND actor_id = '%s'};

sub hold_disk
{
	open(my $file, '>', $disk) or die "$disk: $!";
	close $file;
	return;
}

sub release_disk
{
	unlink $disk or die "$disk: $!";
	return;
}

sql(q{
	CREATE EXTENSION actor;
	CREATE SCHEMA early;
	CREATE SCHEMA late;
	CREATE FUNCTION early.add() RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + 1;
	BEGIN
		PERFORM actor_set('n', n);
		RETURN n;
	END $$;
	CREATE FUNCTION early.n() RETURNS int LANGUAGE sql STABLE AS $$ SELECT actor_get('n', 0) $$;
	-- takes the turn, and writes nothing that is on disk
	CREATE FUNCTION early.look() RETURNS int LANGUAGE sql VOLATILE AS $$ SELECT actor_get('n', 0) $$;
	CREATE FUNCTION early.fail() RETURNS int LANGUAGE sql AS $$ SELECT actor_set('n', -1); SELECT 1 / 0 $$;
	CREATE FUNCTION late.add() RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + 1;
	BEGIN
		PERFORM actor_set('n', n);
		RETURN n;
	END $$;
	CREATE UNLOGGED TABLE early.note (what text);
	CREATE FUNCTION early.note(what text) RETURNS void LANGUAGE sql AS $$ INSERT INTO early.note VALUES (what) $$;
	CREATE TABLE early.log (what text);
	CREATE FUNCTION early.log(what text) RETURNS void LANGUAGE sql AS $$ INSERT INTO early.log VALUES (what) $$;
	-- changes what is not its own
	CREATE FUNCTION early.arrange() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_send('late', 'm', 'add', due_time => interval '1 day', payload => NULL, request_id => 'once');
		PERFORM actor_set_reminder('late', 'm', 'new', '24h', method => 'add');
		PERFORM actor_delete_reminder('late', 'm', 'old');
		PERFORM actor_delete_reminders('late', 'n');
	END $$;
	SELECT actor_register('early', early_release => true);
	SELECT actor_register('late');
	SELECT actor_invoke('early', id, 'add'), actor_invoke('late', id, 'add') FROM unnest('{a,b}'::text[]) id});

# without early release the turn lasts until the commit is on disk
my $waits_for_turn = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'advisory'};
hold_disk();
my $first = session_on($node, q{SELECT actor_invoke('late', 'a', 'add')});
comes(q{SELECT count(*) = 1 FROM actor.turn WHERE actor_type = 'late' AND state = 'holds'}, 'a turn of another type is held');
my $second = session_on($node, q{SELECT actor_invoke('late', 'a', 'add')});
comes($waits_for_turn, 'the next one waits for it');
is(sql(sprintf($value, 'late', 'a')), '1', 'nobody sees what is not on disk');
release_disk();
is(output_of($first) . ' ' . output_of($second), '2 3', 'both go on with the disk');

# with it others see the commit and get the turn, but nobody is answered
hold_disk();
my @turns = map { session_on($node, q{SELECT actor_invoke('early', 'a', 'add')}) } 1 .. 3;
ok($node->poll_query_until('postgres', sprintf($value, 'early', 'a'), '4'),
	'three turns are committed while the disk is held up');
is(scalar(grep { is_running($_) } @turns), 3, 'none of them is answered');
is(sql(q{SELECT count(*) FROM actor.turn WHERE state = 'holds'}), '0', 'nobody holds the turn');

my $reader = session_on($node, q{SELECT actor_invoke('early', 'a', 'n')});
my $looker = session_on($node, q{SELECT actor_invoke('early', 'a', 'look')});
my $owner = session_on($node, q{SELECT value FROM actor_get_state('early', 'a', 'n')});
is(sql(q{SELECT actor_invoke('early', 'b', 'n')}), '1', 'who reads another actor is answered');
comes(q{SELECT count(*) = 3 FROM pg_stat_activity
	WHERE lower(wait_event) IN ('walwrite', 'walsync') AND query ~ '''(n|look)'''},
	'who has read what is not on disk waits for it');
ok(is_running($_), 'and is not answered') foreach $reader, $looker, $owner;

# an error, a turn that went with a savepoint, and a transaction of both types
my $failed = session_on($node, q{SELECT actor_invoke('early', 'b', 'fail')});
output_of($failed);
like($failed->{err}, qr/division by zero/, 'an error does not wait');
my $undone = session_on($node, q{BEGIN; SAVEPOINT s; SELECT actor_invoke('early', 'b', 'add'); ROLLBACK TO s; COMMIT});
my $both = session_on($node, q{BEGIN; SELECT actor_invoke('early', 'b', 'add'); SELECT actor_invoke('late', 'b', 'add'); COMMIT});
comes(q{SELECT count(*) = 2 FROM actor.turn WHERE state = 'holds' AND actor_id = 'b'},
	'a transaction that has a turn of another type, too, holds both');
is(sql(sprintf($value, 'early', 'b')), '1', 'and is not seen');
release_disk();
is(join(' ', sort map { output_of($_) } @turns), '2 3 4', 'all are answered with the disk');
is(join(' ', map { output_of($_) } $reader, $looker, $owner), '4 4 4', 'so are those who have read');
output_of($_) foreach $both, $undone;
is(sql(sprintf($value, 'early', 'b')), '2', 'and the transaction with both types');

# a session that does not wait for the disk goes on as ever
hold_disk();
is(sql(q{SET synchronous_commit = off; SELECT actor_invoke('early', 'a', 'add')}), '5', 'synchronous_commit off waits for nothing');
my $early = session_on($node, q{SELECT actor_invoke('early', 'b', 'log', '{"what": "seen"}')});
comes(q{SELECT count(*) = 1 FROM early.log}, 'a turn is on its way to the disk');
is(sql(q{SET synchronous_commit = off; SELECT actor_invoke('early', 'b', 'n'), value FROM actor_get_state('early', 'b', 'n')}),
	'2|2', 'nor does it when it reads');
is(sql(q{SELECT actor_invoke('early', 'a', 'note', '{"what": "lost in a crash"}')}), '', 'what a crash may undo does not wait');
release_disk();
output_of($early);

# a snapshot that is taken later than the reader comes
my $locker = $node->background_psql('postgres', on_error_stop => 1);
$locker->query_safe(q{BEGIN; LOCK TABLE actor.state});
$reader = session_on($node, q{SELECT value FROM actor_get_state('early', 'b', 'n')});
comes(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'relation'}, 'somebody is about to read');
hold_disk();
$early = session_on($node, q{SELECT actor_invoke('early', 'b', 'log', '{"what": "meanwhile"}')});
comes(q{SELECT count(*) = 2 FROM early.log}, 'meanwhile a turn is on its way to the disk');
$locker->query_safe('ROLLBACK');
$locker->quit;
comes(q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE lower(wait_event) IN ('walwrite', 'walsync') AND query ~ 'actor_get_state'}, 'and is waited for');
release_disk();
is(output_of($reader), '2', 'by who reads');
output_of($early);

# who repeats a request, and who asks for what methods have written elsewhere
sql(q{SELECT actor_set_reminder('late', id, 'old', '24h', method => 'add') FROM unnest('{m,n}'::text[]) id});
hold_disk();
my $request = q{SELECT %s actor_invoke('early', 'r', 'add', request_id => 'once')};
$first = session_on($node, sprintf $request, '');
ok($node->poll_query_until('postgres', sprintf($value, 'early', 'r'), '1'), 'a call with a request id is committed');
my $arranged = session_on($node, q{SELECT actor_invoke('early', 's', 'arrange')});
comes(q{SELECT count(*) = 1 FROM actor.message}, 'so is one that has changed what is not its own');
my @told = map { session_on($node, $_) } sprintf($request, '/* told */'),
  q{SELECT /* told */ 0 < actor_send('late', 'm', 'add', NULL, interval '1 day', request_id => 'once')},
  q{SELECT /* told */ actor_get_reminder('late', 'm', 'new') IS NOT NULL},
  q{SELECT /* told */ actor_delete_reminder('late', 'm', 'old')},
  q{SELECT /* told */ actor_delete_reminders('late', 'n')};
comes(q{SELECT count(*) = 5 FROM pg_stat_activity WHERE lower(wait_event) IN ('walwrite', 'walsync') AND query ~ ' told '},
	'who is told what they have done waits, too');
is(scalar(grep { is_running($_) } @told), 5, 'nobody is answered');
release_disk();
is(join(' ', map { output_of($_) } $first, @told), '1 1 t t f 0', 'all are with the disk');
output_of($arranged);

# a prepared transaction keeps its turn
sql(q{BEGIN; SELECT actor_invoke('early', 'a', 'add'); PREPARE TRANSACTION 'p'});
my $blocked = session_on($node, q{SELECT actor_invoke('early', 'a', 'add')});
comes($waits_for_turn, 'a prepared transaction keeps the turn');
sql(q{COMMIT PREPARED 'p'});
is(output_of($blocked), '7', 'until it is committed');

# messages and callbacks
hold_disk();
my $sender = session_on($node, q{BEGIN; SET LOCAL synchronous_commit = off;
	SELECT actor_send('early', 'c', 'add') FROM generate_series(1, 2); COMMIT});
output_of($sender);
ok($node->poll_query_until('postgres', sprintf($value, 'early', 'c'), '2'), 'messages are delivered early, too');
release_disk();
comes(q{SELECT count(*) = 0 FROM actor.message WHERE actor_type = 'early'}, 'and are gone');

# a standby that does not answer: the wait comes after the turn, too
sub wait_for_standby
{
	my ($name) = @_;

	sql("ALTER SYSTEM SET synchronous_standby_names = '$name'");
	$node->reload;
	ok($node->poll_query_until('postgres', 'SHOW synchronous_standby_names', $name), 'the server has read its configuration');
	return;
}
my $waiting = q{SELECT count(*) = %d FROM pg_stat_activity WHERE wait_event = 'SyncRep'};
wait_for_standby('nobody');
@turns = map { session_on($node, q{SELECT actor_invoke('early', 'a', 'add')}) } 1 .. 2;
comes(sprintf($waiting, 2), 'two turns wait for a standby');
is(sql(sprintf($value, 'early', 'a')), '9', 'and are seen');
my $local = session_on($node, q{SET synchronous_commit = local; SELECT actor_invoke('early', 'a', 'add')});
is(output_of($local), '10', 'who does not ask for a standby does not wait for it');

# what is read ends with a record that has its last bytes on the next page
is(sql(q{SELECT actor_invoke('early', 'a', 'n')}), '10', 'a reader does not wait for a standby');
my $placed = q{SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() = 40};
my $is_short = q{SELECT mod(pg_current_wal_insert_lsn() - '0/0', current_setting('wal_block_size')::int) = 40};
foreach my $try (1 .. 50)
{
	sql(q{DO $$
	DECLARE
		page int := current_setting('wal_block_size')::int;
		place numeric;
		around numeric := 0;
		left_over numeric;
	BEGIN
		LOOP
			place := pg_current_wal_insert_lsn() - '0/0';
			left_over := page - mod(place, page);
			EXIT WHEN around > 0 AND left_over > around + 1000;
			PERFORM pg_logical_emit_message(false, '', repeat('x', 1000));
			around := CASE WHEN left_over > 2000 THEN pg_current_wal_insert_lsn() - '0/0' - place - 1000 ELSE 0 END;
		END LOOP;
		PERFORM pg_logical_emit_message(false, '', repeat('x', (left_over + 16 - around)::int));
	END $$});
	# the server may write something by itself; it does not once the disk is held up
	my $looks = 0;
	usleep(100_000) while sql($placed) eq 'f' && sql($is_short) eq 't' && $looks++ < 20;
	hold_disk();
	last if sql($placed) eq 't';
	release_disk();
}
is(sql($placed), 't', 'its last bytes are not on disk');
$reader = session_on($node, q{SELECT actor_invoke('early', 'a', 'n')});
comes(q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE lower(wait_event) IN ('walwrite', 'walsync') AND query ~ 'invoke'}, 'they are waited for');
release_disk();
is(output_of($reader), '10', 'by who has read it');

# a cancel and a termination end the wait, not what was committed
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' ORDER BY pid LIMIT 1});
comes(sprintf($waiting, 1), 'one of them is cancelled');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'});
comes(sprintf($waiting, 0), 'the other one is ended');
output_of($_) foreach @turns;
is(scalar(grep { $_->{err} =~ /cancel(l?)ing (the )?wait for synchronous replication/ } @turns), 2, 'both are told that it is committed here');
is(sql(sprintf($value, 'early', 'a')), '10', 'and it is');

# a shutdown does not wait
my $last = session_on($node, q{SELECT actor_invoke('early', 'a', 'add')});
comes(sprintf($waiting, 1), 'one more turn waits for a standby');
$node->stop('fast');
output_of($last);
$node->append_conf('postgresql.conf', "synchronous_standby_names = ''");
unlink $node->data_dir . '/postgresql.auto.conf';
$node->start;
is(sql(sprintf($value, 'early', 'a')), '11', 'what was committed is there after a shutdown');

# the setting, for types that do not say
sql(q{ALTER DATABASE postgres SET actor.early_release = on});
is(sql(q{SHOW actor.early_release}), 'on', 'the setting is for superusers and databases');
is(sql(q{SELECT early_release FROM actor.type WHERE actor_type = 'early'}), 't', 'a type has its own');
my ($ret, $stdout, $stderr) = $node->psql('postgres',
	q{CREATE ROLE nobody; SET ROLE nobody; SET actor.early_release = off});
like($stderr, qr/permission denied to set parameter/, 'nobody else sets it');

$node->stop;
done_testing();
