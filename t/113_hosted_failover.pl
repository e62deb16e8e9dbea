# Several hosts: placement, forwarding, failover with a thousand active actors, a
# new host that takes its share, and applications that go and come back.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $node = HostedApp::server('max_connections = 100');

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

my $actors = 1000;
my $folder = HostedApp::folder();
my @options = (database => $node->connstr('postgres') . ' user=shop', types => ['thing'], folder => $folder);
my @hosts = map { HostedApp->start(@options) } 1, 2;
my $calls = 0;

# Calls all actors, each at one of the hosts, and returns how many have answered
# with the number of calls there have been.
sub call_all
{
	my (@at) = @_;
	my @open;
	my $right = 0;
	my $check = sub {
		my $answer = HostedApp::answer(shift @open);

		if ("$answer->{status} $answer->{content}" eq "200 $calls")
		{
			$right++;
		}
		else
		{
			diag("$answer->{status} $answer->{content}");
		}
	};

	$calls++;
	for my $id (1 .. $actors)
	{
		push @open, $at[ $id % @at ]->begin('thing', $id, 'add');
		$check->() if @open >= 20;
	}
	$check->() while @open;
	return $right;
}

# How many actors are placed at the host of an address.
sub placed_at
{
	my ($host) = @_;

	return query(qq{SELECT count(*) FROM actor.placement p JOIN actor.host h USING (host_id)
		WHERE h.app_address ~ ':$host->{app_port}\\y'});
}

# An actor that is placed there.
sub one_at
{
	my ($host) = @_;

	return query(qq{SELECT actor_id FROM actor.placement p JOIN actor.host h USING (host_id)
		WHERE h.app_address ~ ':$host->{app_port}\\y' LIMIT 1});
}

is(call_all(@hosts), $actors, 'a thousand actors at two hosts');
is(placed_at($hosts[0]) + placed_at($hosts[1]), $actors, 'all are placed');
cmp_ok(placed_at($_), '>', $actors / 4, 'each host has its share') for @hosts;
is(call_all(reverse @hosts), $actors, 'they can be called at any host');
is($hosts[0]->count(what => 'activate'), $actors, 'each actor has one instance');
is( query(q{SELECT count(*) FROM actor.instance WHERE actor_type = 'thing' AND host_id IS NOT NULL}),
	$actors, 'the view says where');

# a host and its application are gone
my $victim = pop @hosts;
my $id = one_at($victim);
$victim->kill_app;
$victim->kill_host;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.host WHERE actor.host_is_alive(host_id)}), 'the server knows of the loss');
my $start = time;
my $answer = $hosts[0]->call('thing', $id, 'read');
note(sprintf('an actor of the dead host has answered after %.3f s', time - $start));
is("$answer->{status} $answer->{content}", "200 $calls", 'an actor that was there can be called at the other');
is(call_all(@hosts), $actors, 'so can all');
is(placed_at($hosts[0]), $actors, 'all are there');

# a new host takes its share
push @hosts, HostedApp->start(@options);
ok($node->poll_query_until('postgres', qq{SELECT count(*) > $actors / 4 FROM actor.placement p JOIN actor.host h USING (host_id)
	WHERE h.app_address ~ ':$hosts[0]{app_port}\\y'
	HAVING count(*) < $actors * 3 / 4}), 'actors leave the host for a new one');
is(call_all(@hosts), $actors, 'all answer');
cmp_ok(placed_at($_), '>', $actors / 4, 'each host has its share') for @hosts;
cmp_ok($hosts[0]->count(what => 'deactivate'), '>', $actors / 4, 'those that have left were deactivated');

# an application dies, its host lives
$id = one_at($hosts[1]);
$hosts[1]->kill_app;
my $got = 0;
$hosts[0]->wait_for(
	sub {
		my $read = $hosts[0]->call('thing', $id, 'read');

		$got = "$read->{status} $read->{content}";
		return $read->{status} == 200;
	});
is($got, "200 $calls", 'when an application dies, its actors go to the other');
cmp_ok($hosts[1]->get('/v1.0/healthz')->{status}, '>=', 500, 'its host says so');
is(call_all($hosts[0]), $actors, 'all answer');
is(call_all($hosts[1]), $actors, 'also at the host that has no application');
$hosts[1]->start_app;
$hosts[1]->wait_until_ready;
is(call_all(@hosts), $actors, 'all answer when it is back');

# a host alone dies and comes back beside the same application
$hosts[1]->kill_host;
$hosts[1]->start_host;
$hosts[1]->wait_until_ready;
is(call_all(@hosts), $actors, 'all answer after a host has died and come back');

# one leaves
is((pop @hosts)->stop, 0, 'a host leaves');
is(call_all(@hosts), $actors, 'all answer');
is(placed_at($hosts[0]), $actors, 'at the one that is left');
is(query('SELECT count(*) FROM actor.host WHERE actor.host_is_alive(host_id)'), 1, 'which is the only one');
is(join("\n", $hosts[0]->overlaps), '', 'turns have not overlapped');
is(join("\n", $hosts[0]->unknown), '', 'the applications have not been asked what they do not know');
is($hosts[0]->stop, 0, 'the last one ends');

$node->stop;
done_testing();
