# Reminders, timers and messages of hosted actors: what the application gets, that
# each has its effect exactly once while applications, hosts and the server are
# killed, and that none is lost or counted while the application is down.
#
#	ACTOR_SEED=n	makes the same random choices again

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use JSON::PP;
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

HostedApp::seed();

my $node = HostedApp::server();

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub state_of
{
	my ($id, $key) = @_;

	return query(qq{SELECT value FROM actor.state WHERE actor_type = 'job' AND actor_id = '$id' AND key = '$key'});
}

# Waits until a key of the state of an actor has a value.
sub comes_to
{
	my ($id, $key, $value, $what) = @_;

	ok($node->poll_query_until('postgres', qq{SELECT value = '$value' FROM actor.state
		WHERE actor_type = 'job' AND actor_id = '$id' AND key = '$key'}), $what);
	return;
}

my $folder = HostedApp::folder();
my @options = (database => $node->connstr('postgres') . ' user=shop', types => ['job'], folder => $folder);
my @hosts = map { HostedApp->start(@options) } 1, 2;
my $app = $hosts[0];

# what the application gets -------------------------------------------------------

like($app->do('job', 'a', 'request', { what => 'reminders', name => 'r', body => { dueTime => '0s', data => { x => [ 1.5, 'y' ] } } }),
	qr/^204/, 'a method sets a reminder');
comes_to('a', 'reminded', 1, 'which fires');
my $last = decode_json(state_of('a', 'lastReminder'));
is_deeply($last->{data}, { x => [ 1.5, 'y' ] }, 'with its data');
ok(exists $last->{dueTime} && exists $last->{period}, 'due time and period');
is($app->count(what => 'begin', id => 'a', method => 'remind/r'), 1, 'by the name of the reminder');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.reminder}), 'and is gone');
$app->do('job', 'a', 'request', { what => 'reminders', name => 'without', body => { dueTime => '0s' } });
comes_to('a', 'reminded', 2, 'a reminder without data');
ok(!exists decode_json(state_of('a', 'lastReminder'))->{data}, 'has none');

like($app->do('job', 'a', 'request', { what => 'timers', name => 't', body => { dueTime => '0s', data => 'z', callback => 'count' } }),
	qr/^204/, 'a method sets a timer');
comes_to('a', 'ticks', 1, 'which fires');
$last = decode_json(state_of('a', 'lastTick'));
is("$last->{data} $last->{callback}", 'z count', 'with its data and its callback');
$app->do('job', 'a', 'request', { what => 'timers', name => 'u', body => { dueTime => '0s', data => { amount => 3 }, callback => 'add' } });
comes_to('a', 'value', 3, 'the callback is a method of the application');
query(q{SELECT actor_send('job', 'a', 'add', '{"amount": 4}')});
comes_to('a', 'value', 7, 'a message is a call of the method');

query(q{SELECT actor_send('job', 'w', 'slow', '{"gate": "w", "amount": 5}', request_id => 'wanted')});
ok($app->wait_for_line(what => 'at gate', more => 'w'), 'a message runs');
my $result = $app->begin_request('GET', '/v1.0/actors/job/w/results/wanted?wait=300s', '');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%actor_wait%' AND pid <> pg_backend_pid()}),
	'somebody waits for its result');
$app->open_gate('w');
$result = HostedApp::answer($result);
is($result->{status}, 200, 'and gets it') or diag($result->{content});
comes_to('w', 'value', 5, 'the message has done its work');

# set in a method that fails
is($app->call('job', 'a', 'request', { what => 'reminders', name => 'never', body => { dueTime => '1h' }, fail => JSON::PP::true })->{status},
	500, 'a reminder that a failing method sets');
is(query('SELECT count(*) FROM actor.reminder'), 0, 'is not set');
like($app->do('job', 'a', 'request', { what => 'reminders', name => 'far', body => { dueTime => '1h', data => 1 } }), qr/^204/, 'one that waits');
like($app->do('job', 'a', 'request', { verb => 'GET', what => 'reminders', name => 'far' }), qr/^200 .*"dueTime": ?"1h"/, 'is read');
like($app->do('job', 'a', 'request', { verb => 'DELETE', what => 'reminders', name => 'far' }), qr/^204/, 'and unset');
like($app->do('job', 'a', 'request', { what => 'timers', name => 'far', body => { dueTime => '1h' } }), qr/^204/, 'a timer that waits');
like($app->do('job', 'a', 'request', { verb => 'DELETE', what => 'timers', name => 'far' }), qr/^204/, 'is unset');
is(query('SELECT (SELECT count(*) FROM actor.reminder), (SELECT count(*) FROM actor.timer)'), '0|0', 'nothing is left');

# a failing callback
query(q{SELECT actor_set_reminder('job', 'b', 'f', due_time => '0s', data => '{"do": "fail", "message": "no luck"}',
	failure_policy => '{"constant": {"interval": "1ms", "maxRetries": 2}}')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.failure WHERE actor_id = 'b'}),
	'a firing that fails is given up in the end');
is(query(q{SELECT attempts FROM actor.failure WHERE actor_id = 'b'}), 3, 'after its attempts');
like(query(q{SELECT message FROM actor.failure WHERE actor_id = 'b'}), qr/\(500\) no luck/, 'with status and answer');
is($app->count(what => 'begin', id => 'b'), 3, 'each of which the application has seen');
is(state_of('b', 'value'), '', 'nothing is left of them');

# exactly once ----------------------------------------------------------------------

my @jobs = map { "job$_" } 1 .. 10;
my $patient = '{"constant": {"interval": "10ms", "maxRetries": 1000000}}';
my $firings = 12;
my $messages = 0;

query(qq{SELECT actor_set_reminder('job', '$_', 'r', due_time => interval '0', period => interval '100ms', firings => $firings, catch_up => 'all',
	data => '{"do": "add", "op": "r"}', failure_policy => '$patient')}) for @jobs;

sub send_messages
{
	$messages++;
	query(qq{SELECT actor_send('job', '$_', 'add', '{"op": "m$messages"}', failure_policy => '$patient')}) for @jobs;
	return;
}

my @crashes = (
	sub { $_[0]->kill_app; $_[0]->start_app },
	sub { $_[0]->kill_host; $_[0]->start_host },
	sub { $node->stop('immediate'); $node->start },
	sub { $_[0]->kill_app; $_[0]->kill_host; $_[0]->start_host; $_[0]->start_app });

for my $round (0 .. 7)
{
	my $before = $app->count(what => 'end');

	send_messages();
	ok($app->wait_for(sub { $app->count(what => 'end') > $before }), "work goes on before crash $round");
	$crashes[ $round % @crashes ]->($hosts[ int(rand(@hosts)) ]);
}
send_messages();
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM actor.reminder) AND NOT EXISTS (SELECT FROM actor.message)}),
	'all comes to its end');
is(query(q{SELECT count(*) FROM actor.failure WHERE actor_id LIKE 'job%'}), 0, 'nothing was given up');
my $expected = $firings + $messages;
for my $job (@jobs)
{
	my @ops = @{ decode_json(state_of($job, 'ops')) };

	is(state_of($job, 'value'), $expected, "$job: each firing and message has had its effect once");
	is(join(' ', grep { $_ ne 'r' } @ops), join(' ', map { "m$_" } 1 .. $messages), "$job: messages in their order");
	is($app->do('job', $job, 'read'), $expected, "$job: as the application knows");
}
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the applications have not been asked what they do not know');

# an application that is down ---------------------------------------------------------

is($hosts[1]->stop, 0, 'one host ends');
$app->kill_app;
query(qq{SELECT actor_set_reminder('job', 'down$_', 'r', due_time => '0s', data => '{"do": "add"}', failure_policy => '{"drop": {}}')})
  for 1 .. 10;
query(qq{SELECT actor_send('job', 'down$_', 'add', '{"amount": 10}')}) for 1 .. 10;
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM actor_doctor() d WHERE d::text ~ 'unreachable|no host'}),
	'the doctor says that the application is not there');
is(query(q{SELECT count(*), max(attempt) FROM actor.reminder}), '10|1', 'firings wait, still for their first attempt');
$app->start_app;
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM actor.reminder) AND NOT EXISTS (SELECT FROM actor.message)}),
	'when it is back, all is done');
is(query(q{SELECT count(*) FROM actor.state WHERE actor_id LIKE 'down%' AND key = 'value' AND value = '11'}), 10, 'once each');
is(query(q{SELECT count(*) FROM actor.failure WHERE actor_id LIKE 'down%'}), 0, 'nothing is lost');
is($app->stop, 0, 'the host ends');

# no host at all
query(q{SELECT actor_send('job', 'later', 'add', '{"amount": 1}')});
is(query(q{SELECT count(*) FROM actor_doctor() d WHERE d::text ~ 'no host'}), 1, 'the doctor misses a host');
my $late = HostedApp->start(@options);
comes_to('later', 'value', 1, 'what was sent to nobody comes when there is a host');
is($late->stop, 0, 'which ends');

$node->stop;
done_testing();
