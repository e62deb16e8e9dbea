# A thousand calls at the same time and ten connections to the database: they wait in
# order, and none is lost.  And what is too big or takes too long.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $node = HostedApp::server();
my @options = (database => $node->connstr('postgres') . ' user=shop', folder => HostedApp::folder());
my $app = HostedApp->start(
	@options,
	config => encode_json({
		entities => [ 'thing', 'chain' ],
		entitiesConfig => [ { entities => ['chain'], reentrancy => { enabled => JSON::PP::true } } ] }),
	flags => [ '--pool-size=10', '--queue-timeout=150', '--body-limit=100000000' ]);

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# Makes calls in several processes, each all of its own at the same time; returns
# the answers, "status content".
sub all_at_once
{
	my ($processes, $each, $call) = @_;
	my (@readers, @answers);

	for my $process (0 .. $processes - 1)
	{
		pipe(my $reader, my $writer) or die;
		my $pid = fork() // die "could not fork: $!";

		if ($pid == 0)
		{
			my @pending = map { $call->($process * $each + $_) } 0 .. $each - 1;

			for my $answer (map { HostedApp::answer($_) } @pending)
			{
				$writer->print("$answer->{status} $answer->{content}\n");
			}
			$writer->close;
			# not exit: the server is the parent's
			POSIX::_exit(0);
		}
		close $writer;
		push @readers, [ $pid, $reader ];
	}
	for (@readers)
	{
		my ($pid, $reader) = @$_;

		push @answers, map { chomp; $_ } <$reader>;
		waitpid($pid, 0);
	}
	return @answers;
}

# half of them are for one actor
my @answers = all_at_once(4, 250, sub { $app->begin('thing', $_[0] % 2 ? 'hot' : 't' . $_[0] % 40, 'add') });
is(scalar(grep { /^200 \d+$/ } @answers), 1000, 'a thousand calls at the same time are all answered')
  or diag(join("\n", grep { !/^200/ } @answers));
is($app->do('thing', 'hot', 'read'), 500, 'none of one actor is lost');
is(query(q{SELECT sum(value::int) FROM actor.state WHERE actor_type = 'thing' AND key = 'value'}), 1000, 'nor of all');
is( query(q{SELECT count(*) <= 14 FROM pg_stat_activity WHERE usename = 'shop'}), 't',
	'with ten connections, and some that wait for news');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');

# chains, each of which needs no second connection
@answers = all_at_once(2, 50,
	sub { my $n = $_[0]; $app->begin('chain', "from$n", 'call', { id => 'to' . $n % 10, method => 'add', amount => 1, body => {} }) });
is(scalar(grep { /^200 \d+$/ } @answers), 100, 'a hundred chains at the same time')
  or diag(join("\n", grep { !/^200/ } @answers));
is(query(q{SELECT sum(value::int) FROM actor.state WHERE actor_type = 'chain' AND key = 'value'}), 200, 'nothing of them is lost');

# what is big
my $big = join('', map { chr(65 + $_ % 26) } 0 .. 999) x 20_000;
my $answer = $app->{http}->request('PUT', '/v1.0/actors/thing/big/method/echo', $big, 'Content-Type' => 'text/plain');
is($answer->{status}, 200, '20 MB go to the application and come back');
ok($answer->{content} eq $big, 'unchanged');
$answer = $app->{http}->request('PUT', '/v1.0/actors/thing/big/method/echo', 'x' x 100_000_001, 'Content-Type' => 'text/plain');
is($answer->{status}, 413, 'what is beyond the limit is refused');
is($app->count(what => 'begin', id => 'big'), 1, 'and does not reach the application');

is($app->stop, 0, 'the host ends');

# what is silent
$app = HostedApp->start(@options, types => ['quiet'], flags => ['--app-timeout=2']);
my @silent = map { $app->begin('quiet', "silent$_", 'silent', { gate => 'silence' }) } 1 .. 10;
my @statuses = map { HostedApp::answer($_) } @silent;
is(join(' ', map { $_->{status} } @statuses), join(' ', (504) x 10), 'silent methods get an error');
like($statuses[0]{content}, qr/"errorCode": ?"ERR_ACTOR_\w+".*2 s/, 'that says how long they had');
$app->open_gate('silence');
is($app->do('quiet', 'silent1', 'add'), 1, 'after that all is well');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the application has not been asked what it does not know');
is($app->stop, 0, 'the host ends');

# in their order, of which one runs at a time
query('GRANT pg_monitor TO shop');	# (who may see metrics)
$app = HostedApp->start(@options, types => ['row'], flags => ['--pool-size=2']);
my @row = $app->begin('row', 'a', 'slow', { gate => 'row' });
ok($app->wait_for_line(what => 'at gate', more => 'row'), 'an actor is called');
for my $place (1 .. 12)
{
	push @row, $app->begin('row', 'a', 'add', { op => "op$place" });
	$app->wait_for(sub { $app->get('/metrics')->{content} =~ /^actor_http_queue $place$/m })
	  or fail("call $place waits");
}
$app->open_gate('row');
is(join(' ', map { HostedApp::answer($_)->{content} } @row), join(' ', 1 .. 13), 'calls of one actor wait in their order');
is(query(q{SELECT value FROM actor.state WHERE actor_type = 'row' AND key = 'ops'}),
	'[' . join(', ', map { qq{"op$_"} } 1 .. 12) . ']', 'in which they have had their effect');
is($app->stop, 0, 'the host ends');

# calls without the id of their chain, each of which needs a connection of its own
$app = HostedApp->start(@options, types => ['deep'], flags => [ '--pool-size=2', '--queue-timeout=1' ]);
$answer = $app->call('deep', 'a', 'call', { id => 'b', method => 'noop', apart => JSON::PP::true });
is($answer->{status}, 200, 'two connections are enough for a call within a call');
$answer = $app->call('deep', 'a', 'call',
	{ id => 'b', method => 'call', apart => JSON::PP::true, body => { id => 'c', method => 'noop', apart => JSON::PP::true } });
is($answer->{status}, 500, 'but not for one more');
like($answer->{content}, qr/callee: 503 .*ERR_ACTOR_OVERLOADED.*all 2 connections of --pool-size .*Dapr-Reentrancy-Id/, 'which is said');
is($app->do('deep', 'c', 'add'), 1, 'after that all is well');
is($app->stop, 0, 'the host ends');

$node->stop;
done_testing();
