# Chains of hosted actors: what one commits and takes back, calls that are caught,
# calls that overlap, and transfers between accounts while applications, hosts and
# the server are killed.
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

my $node = HostedApp::server("deadlock_timeout = 50ms\nrestart_after_crash = on");
my $database = $node->connstr('postgres') . ' user=shop';

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub state_of
{
	my ($type, $id, $key) = @_;

	return query(qq{SELECT value FROM actor.state WHERE actor_type = '$type' AND actor_id = '$id' AND key = '$key'});
}

my @options = (
	database => $database,
	config => encode_json({
		entities => [ 'chain', 'single' ],
		entitiesConfig => [ { entities => ['chain'], reentrancy => { enabled => JSON::PP::true, maxStackDepth => 4 } } ] }),
	flags => ['--pool-size=20']);
my $app = HostedApp->start(@options);

# one transaction -----------------------------------------------------------------

my $body = { id => 'b', method => 'add', body => { amount => 2 }, amount => 1 };
is($app->do('chain', 'a', 'call', $body), 2, 'a call that calls');
is(state_of('chain', 'a', 'value') . state_of('chain', 'b', 'value'), '12', 'both have their effect');
my ($outer, $inner) = map { ($app->lines(what => 'begin', id => $_))[0] } 'a', 'b';
like($outer->{chain}, qr/^[0-9a-f-]{36}$/, 'the chain has an id');
is(HostedApp::chain($inner), HostedApp::chain($outer), 'which both have');

my $answer = $app->call('chain', 'a', 'call', { %$body, method => 'fail' });
is($answer->{status}, 500, 'a callee that fails');
like($answer->{message}, qr/error from actor service: \(500\) callee: 500 .*it was not to be/, 'says why');
is(state_of('chain', 'a', 'value') . state_of('chain', 'b', 'value'), '12', 'neither has an effect');
is($app->do('chain', 'a', 'read') . $app->do('chain', 'b', 'read'), '12', 'neither in the application');

like($app->do('chain', 'a', 'call', { %$body, method => 'fail', catch => JSON::PP::true }),
	qr/^500 .*it was not to be/, 'a failure that is caught');
is(state_of('chain', 'a', 'value') . state_of('chain', 'b', 'value'), '22', 'rolls back the callee alone');
is($app->do('chain', 'a', 'read') . $app->do('chain', 'b', 'read'), '22', 'as the application knows');

# the caller fails after the callee has succeeded
$answer = $app->call('chain', 'a', 'call',
	{ id => 'b', method => 'call', body => { id => 'c', method => 'add', amount => 1, body => {} }, amount => 5,
		status => 500 });
is($answer->{status}, 200, 'three deep');
is(join(' ', map { state_of('chain', $_, 'value') } 'a', 'b', 'c'), '7 3 1', 'all have their effect');
$answer = $app->call('chain', 'a', 'transfer', { to => 'b', amount => 10 });
like($answer->{message}, qr/overdraft/, 'an overdraft');
is(state_of('chain', 'b', 'balance'), '', 'rolls back the other side');
is($app->do('chain', 'b', 'balance'), 0, 'whose application knows it');

# reentrancy
is($app->do('chain', 'a', 'call', { id => 'a', method => 'add', body => { amount => 3 } }), 10, 'a call of itself');
is($app->do('chain', 'a', 'call', { id => 'b', method => 'call', body => { id => 'a', method => 'add', body => {} } }), 11,
	'a call that comes back');
my $deep = { id => 'd', method => 'noop' };
$deep = { id => 'd', method => 'call', body => $deep } for 1 .. 5;
$answer = $app->call('chain', 'd', 'call', $deep);
is($answer->{status}, 500, 'too deep a chain');
like($answer->{content}, qr/depth/i, 'is refused for that');

# a call without the id of the chain waits for the turn, and so never comes
$answer = $app->call('single', 's', 'call', { type => 'single', id => 't', method => 'add', body => { amount => 4 }, apart => JSON::PP::true });
is("$answer->{status} $answer->{content}", '200 4', 'a call apart');
like($app->call('chain', 'a', 'call', { id => 'u', method => 'add', body => { amount => 6 }, apart => JSON::PP::true, amount => 1 })->{content},
	qr/^6$/, 'is a transaction of its own');
$answer = $app->call('single', 's', 'transfer', { to => 't', amount => 1 });
is($answer->{status}, 500, 'and when the caller fails');
is(state_of('single', 't', 'balance'), 1, 'the callee stays as it is');

# calls that overlap share the transaction
is( $app->do('chain', 'f', 'fan',
		{ calls => [ map { { id => "f$_", method => 'add', body => { amount => $_ } } } 1 .. 5 ] }),
	join('', map { "200 $_\n" } 1 .. 5), 'calls that overlap');
is(join(' ', map { state_of('chain', "f$_", 'value') } 1 .. 5), '1 2 3 4 5', 'all have their effect');
my $fan = { calls => [ { id => 'f1', method => 'slow', body => { gate => 'first' } },
		{ id => 'f2', method => 'fail', body => { gate => 'second' } } ] };
my $pending = $app->begin('chain', 'f', 'fan', $fan);
ok($app->wait_for_line(what => 'at gate', more => 'first') && $app->wait_for_line(what => 'at gate', more => 'second'),
	'two are under way');
$app->open_gate('first');
ok($app->wait_for_line(what => 'end', id => 'f1', method => 'slow'), 'when one has succeeded after the other has begun');
$app->open_gate('second');
$answer = HostedApp::answer($pending);
is($answer->{status}, 500, 'and that fails, the whole chain rolls back');
is(join(' ', map { state_of('chain', "f$_", 'value') } 1, 2), '1 2', 'nothing is left of it');
is(join(' ', map { $app->do('chain', "f$_", 'read') } 1, 2), '1 2', 'as the application knows');

# calls that are not waited for, and whose end the database is slow to write down, or
# does not (it writes into the history)
query('GRANT pg_monitor TO shop');	# (who may see metrics)
query(q{SET ROLE shop; SELECT actor_register('chain', hosted => true, reentrancy => true, history => 'calls')});
$app->do('chain', $_, 'add') for 'l', 'm', 'n';
my $exits = q{FROM pg_stat_activity WHERE query ~ 'host_exit' AND wait_event_type = 'Lock'};
my $locker = $node->background_psql('postgres');

# Lets a method come to its end while nothing can be written into the history.
sub end_locked
{
	my ($gate) = @_;

	ok($app->wait_for_line(what => 'at gate', more => $gate), 'a method is called within a chain');
	$locker->query_safe('BEGIN; LOCK TABLE actor.history IN SHARE MODE');
	$app->open_gate($gate);
	return ok($node->poll_query_until('postgres', "SELECT count(*) = 1 $exits"), 'the database is slow to end it');
}

my $leaves = $app->begin('chain', 'l', 'leave', { amount => 1, gate => 'l saves', careless => 30, then => 'l ends',
	call => { id => 'm', method => 'slow', body => { gate => 'm ends', amount => 5 } } });
end_locked('m ends');
$app->open_gate('l saves');
# (the calls, what is saved, and the request for the number)
ok($app->wait_for(sub { $app->get('/metrics')->{content} =~ /^actor_http_in_progress 4$/m }), 'its caller saves meanwhile');
$app->open_gate('l ends');
ok($app->wait_for_line(what => 'end', id => 'l', method => 'leave'), 'and ends, without waiting for either');
$locker->query_safe('COMMIT');
is(HostedApp::answer($leaves)->{status}, 200, 'its answer waits for both');
is(query(q{SELECT string_agg(actor_id || ' ' || key || ' ' || value, ', ' ORDER BY actor_id, key) FROM actor.state WHERE actor_id IN ('l', 'm')}),
	'l time 1 1, l value 30, m value 6', 'which count');

$leaves = $app->begin('chain', 'l', 'leave', { amount => 1, gate => 'l ends again', then => 'l ends',
	call => { id => 'm', method => 'fail', body => { gate => 'm fails', amount => 5 } } });
ok($app->wait_for_line(what => 'at gate', more => 'm fails'), 'another one');
$app->open_gate('l ends again');
ok($app->wait_for_line(what => 'end', id => 'l', method => 'leave', count => 2), 'whose caller has ended');
$app->open_gate('m fails');
is(HostedApp::answer($leaves)->{status}, 200, 'fails');
is(state_of('chain', 'm', 'value'), 6, 'and is rolled back alone');

my $refused = $app->begin('chain', 'n', 'call', { id => 'm', method => 'slow', body => { gate => 'm again' }, amount => 1, catch => JSON::PP::true });
end_locked('m again');
query("SELECT pg_cancel_backend(pid) $exits");
$locker->query_safe('COMMIT');
$answer = HostedApp::answer($refused);
like("$answer->{status} $answer->{content}", qr/^200 5\d\d .*canceling statement.*"sqlstate": ?"57014"/, 'the end of one is refused, which is said');
is(join(' ', map { state_of('chain', $_, 'value') } 'm', 'n'), '6 2', 'that call is rolled back alone');
$refused = $app->begin('chain', 'n', 'fan', { calls => [ { id => 'm', method => 'slow', body => { gate => 'm last' } },
		{ id => 'l', method => 'linger', body => { after => 'l saves again', gate => 'l last' } } ] });
ok($app->wait_for_line(what => 'at gate', more => $_), 'two calls overlap') for 'm last', 'l saves again';
$app->open_gate('l saves again');
ok($app->wait_for_line(what => 'saved', id => 'l', method => 'linger'), 'one does something');
end_locked('m last');
query("SELECT pg_cancel_backend(pid) $exits");
$locker->query_safe('COMMIT');
ok($app->wait_for(sub { $app->get('/metrics')->{content} =~ /^actor_http_in_progress 3$/m }), 'the end of the other is refused');
$app->open_gate('l last');
$answer = HostedApp::answer($refused);
is($answer->{status}, 500, 'the chain of both has failed');
like($answer->{content} =~ s/\\"/"/gr, qr/method "slow" of actor "m" of type "chain" could not be ended in the database, so the whole chain is rolled back: canceling statement.* \(SQLSTATE 57014\)/,
	'and says why');
is(join(' ', map { state_of('chain', $_, 'value') } 'l', 'm', 'n'), '3 6 2', 'it is rolled back');
is(join(' ', map { $app->do('chain', $_, 'read') } 'l', 'm', 'n'), '3 6 2', 'as the application knows');
$locker->quit;

# a callee that has not saved what it believes to be true, and does not say so
is($app->do('chain', 'h', 'add', { amount => 1 }), 1, 'an actor');
is( $app->do('chain', 'g', 'each',
		{ calls => [ { id => 'h', method => 'heedless' }, { id => 'h', method => 'add', body => { amount => 2 } } ] }),
	"200 400\n200 3\n", 'one that could not save is called again in its chain');
is(state_of('chain', 'h', 'value'), 3, 'without what was not saved');
is($app->count(what => 'deactivate', id => 'h'), 1, 'since its object was dropped');
is($app->do('chain', 'h', 'read'), 3, 'as the application knows');
is( $app->do('chain', 'h', 'call', { id => 'g', method => 'call', body => { id => 'h', method => 'heedless' } }),
	400, 'one whose object runs another method of the chain');
is($app->count(what => 'deactivate', id => 'h'), 1, 'keeps it until that has ended');
is($app->do('chain', 'h', 'read'), 3, 'but not for the next call');

# a callee that still calls when it has answered, while its chain goes on
my $late = $app->begin('chain', 'p', 'each', { calls => [
		{ id => 'q', method => 'callLate', body => { gate => 'q calls', call => { id => 'r', method => 'add' } } },
		{ id => 's', method => 'slow', body => { gate => 's goes' } } ] });
ok($app->wait_for_line(what => 'at gate', more => 's goes'), 'a callee has answered');
$app->open_gate('q calls');
ok($app->wait_for_line(what => 'left', id => 'q', more => 500), 'what it calls then is refused');
$app->open_gate('s goes');
is(HostedApp::answer($late)->{status}, 200, 'its chain goes on');
is(state_of('chain', 'r', 'value') . state_of('chain', 's', 'value'), '1', 'without that');

# calls that bring the same id, one after the other (the first takes long to answer)
is($app->do('single', 'i', 'add', { amount => 1 }), 1, 'an actor');
my $holder = $node->background_psql('postgres');
my @same = ('Dapr-Reentrancy-Id' => '00000000-0000-4000-8000-000000000001');
my $waiting = q{SELECT count(*) = %d FROM pg_stat_activity WHERE query ~ 'host_enter' AND wait_event_type = 'Lock'};
for my $round (1 .. 3)
{
	$holder->query_safe(q{BEGIN; SELECT actor_transact('single', 'i', '[{"operation": "upsert", "request": {"key": "other", "value": 1}}]')});
	my $failing = $app->begin('single', 'i', 'fail', { amount => 100, message => 'x' x 3_000_000 }, @same);
	ok($node->poll_query_until('postgres', sprintf($waiting, 1)), 'a call waits for its turn');
	my $adding = $app->begin('single', 'i', 'add', { amount => 1 }, @same);
	ok($node->poll_query_until('postgres', sprintf($waiting, 2)), 'so does another one');
	$holder->query_safe('COMMIT');
	is(HostedApp::answer($failing)->{status}, 500, 'the first one fails');
	is(HostedApp::answer($adding)->{content}, 1 + $round, 'of which the second sees nothing');
}
$holder->quit;

is($app->stop, 0, 'the host ends');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the application has not been asked what it does not know');

# transfers under crashes ------------------------------------------------------------

my @accounts = map { "account$_" } 1 .. 8;
my $first = 1000;
my $folder = HostedApp::folder();
my @hosts = map { HostedApp->start(@options, folder => $folder) } 1, 2;

$hosts[0]->do('chain', $_, 'deposit', { amount => $first }) for @accounts;

sub total
{
	return query(q{SELECT sum(value::bigint) FROM actor.state WHERE actor_id LIKE 'account%' AND key = 'balance'});
}

is(total(), $first * @accounts, 'the accounts have their first balance');

# what is not waited for is there before the answer, also if it has to go to another host
sub one_at
{
	my ($host, $name) = @_;

	for (my $i = 1;; $i++)
	{
		$host->do('chain', "$name$i", 'add');
		return "$name$i" if query(qq{SELECT h.app_address ~ ':$host->{app_port}\\y' FROM actor.placement p
			JOIN actor.host h USING (host_id) WHERE actor_id = '$name$i'}) eq 't';
	}
	return;
}
my ($near, $far) = (one_at($hosts[0], 'near'), one_at($hosts[1], 'far'));
$pending = $hosts[0]->begin('chain', $near, 'call', { id => $far, method => 'careless',
	body => { after => 'far saves', gate => 'far ends', amount => 30, times => 3 } });
ok($hosts[0]->wait_for_line(what => 'at gate', more => 'far saves'), 'a call at another host');
ok($hosts[0]->stand_still($hosts[0]{http}{pid}), 'whose chain is at one that stands still');
$hosts[0]->open_gate('far saves');
# (the call, what it saves, and the request for the number)
my $in_progress = sub { $hosts[1]->get('/metrics')->{content} =~ /^actor_http_in_progress (\d+)$/m; return $1 };
ok($hosts[0]->wait_for(sub { $in_progress->() == 5 }), 'saves there');
$hosts[0]->open_gate('far ends');
ok($hosts[0]->wait_for_line(what => 'end', id => $far, method => 'careless'), 'it ends');
is($in_progress->(), 5, 'but its answer waits');
kill 'CONT', $hosts[0]{http}{pid};
is(HostedApp::answer($pending)->{status}, 200, 'until all is saved');
is(query(qq{SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM actor.state WHERE actor_id = '$far'}),
	'time 1 1, time 2 1, time 3 1, value 30', 'which it is then');

# what only reads there is answered, and holds up nobody
$pending = $hosts[0]->begin('chain', $near, 'call', { id => $far, method => 'careless', body => { gate => 'far reads', times => 0 } });
ok($hosts[0]->wait_for_line(what => 'at gate', more => 'far reads'), 'another call at another host');
my $key = HostedApp::path('chain', $far, 'state', 'value');
my $head = $hosts[1]->begin_request('HEAD', $key, '');
ok($hosts[0]->wait_for(sub { HostedApp::answered($head) }), 'the head of what it would read');
is(HostedApp::answer($head)->{status}, 200, 'is answered');
ok($hosts[0]->stand_still($hosts[0]{http}{pid}), 'the host of its chain stands still');
my $reads = $hosts[1]->begin_request('GET', $key, '');
ok($hosts[0]->wait_for(sub { $in_progress->() == 3 }), 'it reads');
$hosts[0]->open_gate('far reads');
ok($hosts[0]->wait_for(sub { $in_progress->() == 2 }), 'its answer does not wait for that');
kill 'CONT', $hosts[0]{http}{pid};
is(HostedApp::answer($pending)->{status}, 200, 'it ends');
HostedApp::answer($reads);

# nor does a call that is not waited for
my $calls = $hosts[0]->count(what => 'end', id => $near, method => 'call');
$pending = $hosts[0]->begin('chain', $near, 'call', { id => $far, method => 'leave', body => { gate => 'far leaves', then => 'far leaves',
	call => { id => 'left', method => 'slow', body => { gate => 'left goes', amount => 3 } } } });
ok($hosts[0]->wait_for_line(what => 'at gate', more => 'left goes'), 'one that calls, and does not wait for that');
$hosts[0]->open_gate('far leaves');
ok($hosts[0]->wait_for_line(what => 'end', id => $near, method => 'call', count => $calls + 1), 'is answered meanwhile');
ok(!HostedApp::answered($pending), 'but the chain is not');
$hosts[0]->open_gate('left goes');
is(HostedApp::answer($pending)->{status}, 200, 'until all of its calls have ended');
is(state_of('chain', 'left', 'value'), 3, 'which count');

my $attempts = 0;
my %ends;

# Starts as many transfers as are wanted, at random hosts; among them some that
# overdraw, some whose callee refuses, and some that catch that.
sub transfers
{
	my ($count) = @_;
	my @pending;

	for (1 .. $count)
	{
		my ($from, $to) = sort { rand() < 0.5 ? -1 : 1 } @accounts;
		my $kind = rand();
		my $argument = { to => $to, amount => 1 + int(rand(40)), op => 'op' . ++$attempts };

		next if $from eq $to;
		$argument->{amount} = 1_000_000 if $kind < 0.1;
		$argument->{with} = 'refuse' if $kind > 0.9;
		$argument->{catch} = JSON::PP::true if $kind > 0.95;
		push @pending, $hosts[ int(rand(@hosts)) ]->begin('chain', $from, 'transfer', $argument);
	}
	return @pending;
}

my @crashes = (
	sub { $_[0]->kill_app; $_[0]->start_app },
	sub { $_[0]->kill_host; $_[0]->start_host },
	sub { $_[0]->kill_host; $_[0]->kill_app; $_[0]->start_app; $_[0]->start_host },
	sub { $node->stop('immediate'); $node->start });

for my $round (0 .. 7)
{
	my @pending = transfers(16);
	my $victim = $hosts[ int(rand(@hosts)) ];

	$victim->wait_for(sub { grep { HostedApp::answered($_) } @pending });
	$crashes[ $round % @crashes ]->($victim);
	$ends{ HostedApp::answer($_)->{status} }++ for @pending;
	is(total(), $first * @accounts, "the total is the same after crash $round");
}
$_->wait_until_ready for @hosts;
$ends{ HostedApp::answer($_)->{status} }++ for transfers(16);
note(join(', ', map { "$_: $ends{$_}" } sort keys %ends));
cmp_ok($ends{200} // 0, '>', 10, 'many transfers have succeeded');
is(total(), $first * @accounts, 'the total is the same in the end');
is(query(q{SELECT count(*) FROM actor.state WHERE actor_id LIKE 'account%' AND key = 'balance' AND value::bigint < 0}),
	0, 'nobody has overdrawn');
for my $account (@accounts)
{
	is($hosts[ int(rand(@hosts)) ]->do('chain', $account, 'balance'), state_of('chain', $account, 'balance'),
		"the application knows the balance of $account");
}
is(join("\n", $hosts[0]->overlaps), '', 'turns have not overlapped');
is(join("\n", $hosts[0]->unknown), '', 'the applications have not been asked what they do not know');
is($_->stop, 0, 'a host ends') for @hosts;

$node->stop;
done_testing();
