# Turns of one actor do not overlap, in any process of an application: while a method
# runs there, even if its turn was given up, no other one of that actor begins, nor is
# its object dropped, whoever wants to call it and whoever stands still, is cut off or
# dies meanwhile.  The applications write down what runs in them.
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

query('CREATE SCHEMA lazy AUTHORIZATION shop');
query(q{SET ROLE shop; SELECT actor_register('lazy', hosted => true, turn => 'lease')});

my $folder = HostedApp::folder();
my @options = (
	database => $node->connstr('postgres') . ' user=shop',
	folder => $folder,
	config => encode_json({
		entities => [ 'thing', 'chain', 'lazy' ],
		entitiesConfig => [ { entities => ['chain'], reentrancy => { enabled => JSON::PP::true } } ] }));

# How often an actor was called.
sub begun
{
	my ($app, @ids) = @_;

	return join(' ', map { $app->count(what => 'begin', id => $_) } @ids);
}

# Begins methods that wait at a gate of the name of their actor.
sub begin_slow
{
	my ($app, $type, @ids) = @_;
	my @pending = map { $app->begin($type, $_, 'slow', { gate => $_, amount => 100 }) } @ids;

	ok($app->wait_for_line(what => 'at gate', more => $_), "a method of $_ runs") for @ids;
	return @pending;
}

my $waiting = q{SELECT count(*) = %d FROM pg_stat_activity WHERE query ~ 'host_enter' AND wait_event_type = 'Lock'};

# methods whose turn was given up -----------------------------------------------------

# (seven sessions: one for each that holds one, and one that waits for the turn of another)
my $app = HostedApp->start(@options, flags => [ '--app-timeout=3', '--pool-size=7', '--actor-limit=7' ]);
my @things = map { "given up $_" } 1 .. 5;
my @late = begin_slow($app, 'lazy', 'lease', 'lease of message');

push @late, begin_slow($app, 'thing', @things);
push @late, $app->begin('chain', 'outer', 'call', { id => 'inner', method => 'slow', body => { gate => 'inner' } });
ok($app->wait_for_line(what => 'at gate', more => 'inner'), 'a method is called by another one');
my @next = $app->begin('chain', 'inner', 'add');
ok($node->poll_query_until('postgres', sprintf($waiting, 1)), 'the next call of that actor waits in the database');
# (500: a callee was given up before its caller, which has said so)
like(join(' ', map { HostedApp::answer($_)->{status} } @late), qr/^(504 ){7}50[04]$/, 'all are given up');

# each of these would take a session that waits
push @next, map { my $id = $_; map { $app->begin('thing', $id, 'add') } 1 .. 2 } @things[ 0 .. 3 ];
push @next, $app->begin('lazy', 'lease', 'add');
query(qq{SELECT actor_send('thing', '$things[4]', 'add')});
query(q{SELECT actor_send('lazy', 'lease of message', 'add')});
my $free = $app->begin('thing', 'free', 'add');
ok($app->wait_for(sub { HostedApp::answered($free) }), 'while calls wait for methods that were given up, others are served');
is(HostedApp::answer($free)->{content}, 1, 'with success');
query(q{SELECT actor_send('thing', 'free', 'add')});
ok($app->wait_for_line(what => 'end', id => 'free', count => 2), 'so are messages');
my $answer = $app->call('chain', 'asks', 'call', { type => 'thing', id => $things[1], method => 'add', body => {} });
like("$answer->{status} $answer->{content}", qr/^500 .*callee: 423 .*ERR_ACTOR_BUSY.*still runs a method/, 'a call within a chain is refused');
is($app->{http}->request('DELETE', HostedApp::path('thing', $things[2]))->{status}, 423, 'so is the end of an actor');
is(begun($app, @things, 'lease', 'lease of message', 'inner'), '1 1 1 1 1 1 1 1', 'none of these actors was called meanwhile');
$app->open_gate($_) for @things, 'lease', 'lease of message', 'inner';
is(join(' ', sort map { HostedApp::answer($_)->{content} } @next), '1 1 1 1 1 1 2 2 2 2', 'then they are, one after the other');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.message'), 'messages, too');
is(query(q{SELECT string_agg(value::text, ' ' ORDER BY actor_id) FROM actor.state WHERE (actor_id ~ '^(inner|lease|given up)') AND key = 'value'}),
	'2 2 2 2 1 1 1 1', 'nothing that was given up has an effect');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');

# an application that stands still
ok($app->stand_still($app->{app_pid}), 'an application stands still');
my $stopped = $app->begin('thing', 'stopped', 'add');
is(HostedApp::answer($stopped)->{status}, 504, 'a call of it is given up');
$stopped = $app->begin('thing', 'stopped', 'add');
kill 'CONT', $app->{app_pid};
is(HostedApp::answer($stopped)->{content}, 1, 'the next one counts');
is(begun($app, 'stopped'), 2, 'and was begun after the first');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');

# the same with calls from another host
my $other = HostedApp->start(@options, flags => ['--app-timeout=3']);
# Actors that are placed at a host.
sub some_at
{
	my ($host, $type, $count) = @_;
	my @ids;

	for (my $i = 0; @ids < $count; $i++)
	{
		my $id = "of $host->{app_port} $i";

		$host->do($type, $id, 'add');
		push @ids, $id if query(qq{SELECT h.app_address ~ ':$host->{app_port}\\y' FROM actor.placement p
			JOIN actor.host h USING (host_id) WHERE actor_type = '$type' AND actor_id = '$id'}) eq 't';
	}
	return @ids;
}
my @there = some_at($other, 'thing', 2);
my ($here) = some_at($app, 'chain', 1);
@late = begin_slow($other, 'thing', $there[0]);
push @late, $app->begin('chain', $here, 'call', { type => 'thing', id => $there[1], method => 'slow', body => { gate => $there[1] } });
ok($app->wait_for_line(what => 'at gate', more => $there[1]), 'a method is called by one at another host');
like(join(' ', map { HostedApp::answer($_)->{status} } @late), qr/^504 50[04]$/, 'both are given up');
my $before = begun($app, @there);
$answer = $app->call('chain', $here, 'call', { type => 'thing', id => $there[0], method => 'add' });
like("$answer->{status} $answer->{content}", qr/^500 .*callee: 500 .*\(423\) .*ERR_ACTOR_BUSY/, 'a call from another host is refused');
@next = map { $_->begin('thing', $there[1], 'add') } $app, $other;
is($other->do('thing', 'at other', 'add'), 1, 'while others are served');
is(begun($app, @there), $before, 'neither was called meanwhile');
$app->open_gate($_) for @there;
is(join(' ', sort map { HostedApp::answer($_)->{content} } @next), '2 3', 'then they are, one after the other');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is($_->stop, 0, 'a host ends') for $app, $other;

# a host that stands still and is cut off ----------------------------------------------

# Its sessions have got turns, which somebody else has when it reads that.
push @options, (flags => ['--app-timeout=60']);
$app = HostedApp->start(@options);
my $holder = $node->background_psql('postgres');
my @cut = ('cut', 'cut within');
$app->do('thing', $_, 'add') for @cut;
# (a turn that changes nothing, so that objects need not be dropped first)
query(q{SET ROLE shop; CREATE FUNCTION thing.hold() RETURNS void LANGUAGE sql AS ''});
$holder->query_safe(join('; ', 'BEGIN', map { "SELECT actor_invoke('thing', '$_', 'hold')" } @cut));
my @lost = (
	$app->begin('thing', $cut[0], 'add'),
	$app->begin('chain', 'cutter', 'call', { type => 'thing', id => $cut[1], method => 'add', body => {} }));
ok($node->poll_query_until('postgres', sprintf($waiting, 2)), 'calls wait for their turns');
ok($app->stand_still($app->{http}{pid}), 'their host stands still');
$holder->query_safe('COMMIT');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity WHERE query ~ 'host_enter' AND state = 'idle in transaction'}),
	'they get them');
query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'shop'}), 'its sessions are cut off');
$other = HostedApp->start(@options);
@next = begin_slow($other, 'thing', @cut);
kill 'CONT', $app->{http}{pid};
is(join(' ', map { HostedApp::answer($_)->{status} >= 500 ? 'failed' : 'done' } @lost), 'failed failed', 'when it goes on, its calls fail');
is(begun($app, @cut), '2 2', 'without having been begun');
$other->open_gate($_) for @cut;
is(join(' ', map { HostedApp::answer($_)->{content} } @next), '101 101', 'those of the other host have their effect');
$app->wait_until_ready;

# The same if only the session that has got the turn ends, and somebody else has that:
# the host is one that lives, so that nothing but a look at that session tells.
my ($alone) = some_at($app, 'thing', 1);
my $begun = begun($app, $alone);
my $turn = qq{BEGIN; SELECT actor_invoke('thing', '$alone', 'hold')};
$holder->query_safe($turn);
my $lost = $app->begin('thing', $alone, 'add');
ok($node->poll_query_until('postgres', sprintf($waiting, 1)), 'a call waits for its turn');
ok($app->stand_still($app->{http}{pid}), 'its host stands still');
$holder->query_safe('COMMIT');
my $with_turn = q{FROM pg_stat_activity WHERE query ~ 'host_enter' AND state = 'idle in transaction'};
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 $with_turn"), 'it gets that');
query("SELECT pg_terminate_backend(pid) $with_turn");
$holder->query_safe($turn);
kill 'CONT', $app->{http}{pid};
cmp_ok(HostedApp::answer($lost)->{status}, '>=', 500, 'when the host goes on, the call fails');
is(begun($app, $alone), $begun, 'without having been begun');
$holder->query_safe('COMMIT');
$holder->quit;
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the applications have not been asked what they do not know');
is($_->stop, 0, 'a host ends') for $app, $other;

# at random ------------------------------------------------------------------------------

my @hosts = map { HostedApp->start(@options[ 0 .. 5 ], flags => [ '--app-timeout=1', '--pool-size=20' ]) } 1, 2;
my @troubles = (
	sub { kill 'STOP', $_[0]{app_pid} },
	sub { kill 'STOP', $_[0]{http}{pid} },
	sub { $_[0]->kill_app; $_[0]->start_app });
my %statuses;

for my $round (0 .. 2)
{
	my $victim = $hosts[ int(rand(@hosts)) ];
	my @pending;

	for my $call (1 .. 15)
	{
		my $nap = { ms => int(rand(1400)) };
		my @actor = ((qw(thing lazy chain))[ rand 3 ], 'random' . int(rand(3)));

		push @pending, $hosts[ rand @hosts ]->begin($call % 3 ? (@actor, 'nap', $nap) :
			('chain', 'caller' . int(rand(3)), 'call', { type => $actor[0], id => $actor[1], method => 'nap', body => $nap, catch => JSON::PP::true }));
	}
	$victim->wait_for(sub { grep { HostedApp::answered($_) } @pending });
	$troubles[ $round % @troubles ]->($victim);
	$victim->wait_for(sub { (grep { HostedApp::answered($_) } @pending) >= 5 });
	kill 'CONT', $victim->{http}{pid}, $victim->{app_pid};
	$statuses{ HostedApp::answer($_)->{status} }++ for @pending;
}
note(join(', ', map { "$_: $statuses{$_}" } sort keys %statuses));
$_->wait_until_ready for @hosts;
is(join("\n", $hosts[0]->overlaps), '', 'turns have not overlapped');
is(join("\n", $hosts[0]->unknown), '', 'the applications have not been asked what they do not know');
is($_->stop, 0, 'a host ends') for @hosts;

$node->stop;
done_testing();
