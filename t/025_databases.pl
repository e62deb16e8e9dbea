# Databases share the workers of the server: when there are more of them than
# schedulers they take turns; one that cannot be looked into, that nobody can
# connect to, or where firing is disabled, costs nothing and nobody else.
use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
# the start of each worker is in the log
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
actor.max_workers = 2
log_min_messages = debug1
});
$node->start;

my @databases = map { "d$_" } 1 .. 5;

sub hits_grow
{
	my ($database, $id, $what) = @_;
	my $count = $node->safe_psql($database, "SELECT count(*) FROM hit WHERE id = '$id'");

	ok( $node->poll_query_until($database,
			"SELECT count(*) > $count FROM hit WHERE id = '$id'"),
		$what);
	return;
}

sub remind
{
	my ($database, $id, $rest) = @_;

	$node->safe_psql($database, "SELECT actor_set_reminder('t', '$id', 'fire'"
		  . ($rest ? ", $rest)" : ')'));
	return;
}

sub fired
{
	my ($database, $id, $what) = @_;

	ok( $node->poll_query_until($database, "SELECT count(*) > 0 FROM hit WHERE id = '$id'"),
		$what);
	return;
}

# the number of lines of the log since a position
sub lines
{
	my ($pattern, $offset) = @_;
	my @lines = substr(slurp_file($node->logfile), $offset) =~ /$pattern/g;

	return scalar @lines;
}

sub oid_of
{
	my ($database) = @_;
	return $node->safe_psql('postgres',
		"SELECT oid FROM pg_database WHERE datname = '$database'");
}

sub no_workers
{
	my ($database, $what) = @_;

	ok( $node->poll_query_until('postgres', qq{SELECT count(*) = 0 FROM pg_stat_activity
			WHERE backend_type IN ('actor scheduler', 'actor executor') AND datname = '$database'}),
		$what);
	return;
}

for my $database (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, q{
		CREATE EXTENSION actor;
		CREATE TABLE hit (id text);
		CREATE SCHEMA t;
		CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS
			$$ INSERT INTO hit VALUES (actor_id()) $$;
		SELECT actor_register('t')});
}

#
# More databases than schedulers: there is one, and one executor
#
my $offset = -s $node->logfile;
for my $database (@databases)
{
	remind($database, 'beat', "'', '50ms'");
	remind($database, 'later', "'1h'");
}
fired($_, 'beat', "all fire, though one at a time: $_") for @databases;
hits_grow($_, 'beat', "and they go on: $_") for @databases;
remind($_, 'once') for reverse @databases;
fired($_, 'once', "what is registered later fires, too: $_") for @databases;
is(lines(qr/not all databases with pending reminders can have a scheduler at once/, $offset),
	1, 'the log says so once');

# the launcher does not know about schedulers of the one before
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'actor launcher'});
hits_grow($_, 'beat', "a new launcher lets them take turns: $_") for @databases;

# nothing but pending rows: nobody has to leave for anybody more than once a minute
$node->safe_psql($_, q{SELECT actor_delete_reminder('t', 'beat', 'fire')}) for @databases;
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type = 'actor executor'}),
	'executors leave when nothing is due');
$offset = -s $node->logfile;
my $began = time;
$node->safe_psql('postgres', 'SELECT pg_sleep(5)');
my $starts = lines(qr/starting background worker process "actor scheduler/, $offset);
cmp_ok($starts, '<=', 2 * @databases * (1 + (time - $began) / 60),
	'waiting databases do not spin');

$node->safe_psql($_, q{SELECT actor_delete_reminder('t', 'later', 'fire')}) for @databases;
$node->append_conf('postgresql.conf', 'actor.max_workers = 10');
$node->restart;
no_workers('postgres', 'nobody stays in a database without the extension');

#
# Tables that somebody has locked: when the server starts, only that database waits
#
remind($_, 'start', "'2 hours'") for @databases;
$node->safe_psql('postgres', 'ALTER SYSTEM SET actor.enabled = off');
$node->restart;
remind($_, 'locked') for @databases;
my $locker = $node->background_psql('d1');
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE actor.reminder, actor.timer, actor.activation, actor.state');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.enabled');
$offset = -s $node->logfile;
$node->reload;
fired($_, 'locked', "locked tables of another database hold up nobody: $_")
  for @databases[ 1 .. 4 ];
is($node->safe_psql('d1', q{SELECT count(*) FROM hit WHERE id = 'locked'}),
	'0', 'but those of this one');
$node->wait_for_log(qr/actor scheduler waits for a lock in database/, $offset);
$locker->query_safe('COMMIT');
$locker->quit;
fired('d1', 'locked', 'it fires when the lock is gone');

#
# Nobody can connect
#
remind('d2', 'shut', "'2s'");
$node->safe_psql('postgres', 'ALTER DATABASE d2 ALLOW_CONNECTIONS false');
no_workers('d2', 'the workers leave a database that takes no connections');
$offset = -s $node->logfile;
# long enough for what would be tried every second; others go on meanwhile
for my $i (1 .. 3)
{
	remind('d3', "meanwhile $i", "'1s'");
	fired('d3', "meanwhile $i", 'others fire');
}
is(lines(qr/FATAL/, $offset), 0, 'and nothing tries to connect');
$node->safe_psql('postgres', 'ALTER DATABASE d2 ALLOW_CONNECTIONS true');
fired('d2', 'shut', 'it fires when connections are allowed again');

# the same when the launcher has to find out
$node->safe_psql('postgres', 'ALTER DATABASE d2 ALLOW_CONNECTIONS false');
no_workers('d2', 'they leave again');
$node->restart;
$offset = -s $node->logfile;
remind('d3', 'restarted', "'2s'");
fired('d3', 'restarted', 'others fire after a restart');
is(lines(qr/FATAL/, $offset), 0, 'and nothing tries to connect');
$node->safe_psql('postgres', 'ALTER DATABASE d2 ALLOW_CONNECTIONS true');
remind('d2', 'open');
fired('d2', 'open', 'until connections are allowed again');

#
# A role that cannot connect, for a reason that is only known when it tries: here
# a file of the database is missing, which those that are connected do not need
#
$node->safe_psql('postgres', 'CREATE ROLE regress_actor_late LOGIN');
$node->safe_psql('d3', q{
	GRANT USAGE ON SCHEMA t TO regress_actor_late;
	GRANT INSERT ON hit TO regress_actor_late});
remind('d3', 'first', undef);
fired('d3', 'first', 'workers are connected');
my $session = $node->background_psql('d3');
my $version = $node->data_dir . '/base/' . oid_of('d3') . '/PG_VERSION';
rename($version, "$version.away") or die "could not rename $version: $!";
$offset = -s $node->logfile;
$began = time;
$session->query_safe(q{SET SESSION AUTHORIZATION regress_actor_late;
	SELECT actor_set_reminder('t', 'late', 'fire'); RESET SESSION AUTHORIZATION});
my $refused = qr/FATAL:  "base\/\d+" is not a valid data directory/;
$node->wait_for_log($refused, $offset);
remind('d2', 'meanwhile', "'7s'");
fired('d2', 'meanwhile', 'others fire');
cmp_ok(lines($refused, $offset), '<=', 2 + log(2 + time - $began) / log(2),
	'a role that cannot connect is tried less and less often');
rename("$version.away", $version) or die "could not rename $version: $!";
$session->quit;
fired('d3', 'late', 'it fires when it can');

#
# Firing is disabled for a database
#
remind('d4', 'beat', "'', '50ms'");
fired('d4', 'beat', 'a reminder fires');
$node->safe_psql('postgres', 'ALTER DATABASE d4 SET actor.enabled = off');
no_workers('d4', 'workers leave a database where firing is disabled');
# and those that come after them to find that out
remind('d3', 'd4 is off', "'1s'");
fired('d3', 'd4 is off', 'others fire');
no_workers('d4', 'nobody comes back');
$offset = -s $node->logfile;
my $d4 = oid_of('d4');
remind('d4', "off $_") for 1 .. 10;
remind('d3', 'while d4 is off', "'1s'");
fired('d3', 'while d4 is off', 'others fire');
is(lines(qr/starting background worker process "actor (?:scheduler|executor).*$d4/, $offset),
	0, 'what is registered there starts nothing');
is($node->safe_psql('d4', q{SELECT count(*) FROM hit WHERE id LIKE 'off %'}), '0',
	'and does not fire');
$node->reload;
no_workers('d4', 'a reload does not change that');
$node->safe_psql('postgres', 'ALTER DATABASE d4 RESET actor.enabled');
fired('d4', "off $_", "it fires when firing is enabled again: $_") for 1, 10;
hits_grow('d4', 'beat', 'what was going on goes on');

# and for a role
$node->safe_psql('postgres', 'CREATE ROLE regress_actor_off LOGIN');
$node->safe_psql('d4', q{
	GRANT USAGE ON SCHEMA t TO regress_actor_off;
	GRANT INSERT ON hit TO regress_actor_off});
$node->safe_psql('postgres', 'ALTER ROLE regress_actor_off SET actor.enabled = off');
$offset = -s $node->logfile;
my $off = $node->safe_psql('postgres', q{SELECT oid FROM pg_roles WHERE rolname = 'regress_actor_off'});
$node->safe_psql('d4', q{SET SESSION AUTHORIZATION regress_actor_off;
	SELECT actor_set_reminder('t', 'role off', 'fire')});
for my $i (1 .. 3)
{
	remind('d4', "other role $i", "'1s'");
	fired('d4', "other role $i", 'firing that is disabled for a role does not disturb others');
}
cmp_ok(lines(qr/starting background worker process "actor executor for role $off/, $offset),
	'<=', 1, 'no executor is started again and again');
is($node->safe_psql('d4', q{SELECT count(*) FROM hit WHERE id = 'role off'}), '0',
	'its reminders do not fire');
$node->safe_psql('postgres', 'ALTER ROLE regress_actor_off RESET actor.enabled');
fired('d4', 'role off', 'until it is enabled again');
$node->safe_psql('d4', q{SELECT actor_delete_reminder('t', 'beat', 'fire')});

#
# Rows that are copied
#
my $file = abs_path($node->basedir) . '/reminders';
$node->safe_psql('d5', q{SELECT actor_delete_reminder('t', 'start', 'fire')});
remind('d5', 'copied', "'2 hours'");
$node->safe_psql('d5', qq{
	UPDATE actor.reminder SET next_try_at = now();
	COPY actor.reminder TO '$file';
	DELETE FROM actor.reminder});
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
	WHERE backend_type = 'actor scheduler' AND datname = 'd5'});
no_workers('d5', 'nothing runs without reminders');
$node->safe_psql('d5', "BEGIN; COPY actor.reminder FROM '$file'; ROLLBACK");
is($node->safe_psql('d5', 'SELECT count(*) FROM actor.reminder'), '0', 'a COPY is rolled back');
$node->safe_psql('d5', "COPY actor.reminder FROM '$file'");
fired('d5', 'copied', 'a reminder that comes by COPY fires');

#
# A database whose dropping was interrupted
#
remind('d2', 'invalid', "'0s', '100ms'");
fired('d2', 'invalid', 'a database is in order');
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'd2'});
$offset = -s $node->logfile;
$node->restart;
remind('d5', 'beside', "'0s'");
fired('d5', 'beside', 'others go on beside one that is invalid');
is(lines(qr/FATAL:  cannot connect to invalid database/, $offset), 0, 'nobody tries to connect to it');
$node->safe_psql('postgres', q{UPDATE pg_database SET datconnlimit = -1 WHERE datname = 'd2'});
$node->reload;
hits_grow('d2', 'invalid', 'it is looked into when it is valid again');

$node->stop;
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/,
	'nothing has crashed');
done_testing();
