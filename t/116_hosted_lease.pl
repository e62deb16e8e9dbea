# Methods whose turn is a lease: no transaction is open while they run, and what they
# do is committed all at once when they succeed, if they still have the turn.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $node = HostedApp::server();

$node->safe_psql('postgres', 'CREATE SCHEMA lazy AUTHORIZATION shop');
$node->safe_psql('postgres', q{SELECT actor_register('lazy', hosted => true, turn => 'lease')},
	extra_params => [ '-U', 'shop' ]);
my $app = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	types => ['lazy'],
	flags => [ '--pool-size=2', '--app-timeout=30' ]);

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub state_of
{
	my ($id) = @_;

	return query(qq{SELECT value FROM actor.state WHERE actor_type = 'lazy' AND actor_id = '$id' AND key = 'value'});
}

is(query(q{SELECT turn FROM actor.type WHERE actor_type = 'lazy'}), 'lease', 'the document of the application leaves the kind of turn');
is($app->do('lazy', 'a', 'add', { amount => 3 }), 3, 'a call');
is($app->do('lazy', 'a', 'add', { amount => 3 }), 6, 'another one');
is(state_of('a'), 6, 'the state is kept');

# no transaction is open, and no connection taken
my @slow = map { $app->begin('lazy', $_, 'slow', { gate => 'lazy', amount => 1 }) } 'a', 'b', 'c', 'd';
ok($app->wait_for_line(what => 'at gate', count => 4), 'four methods run with two connections');
is(query(q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop' AND state ~ 'idle in transaction'}), 0, 'no transaction is open');
my $next = $app->begin('lazy', 'a', 'add', { amount => 10 });
is($app->do('lazy', 'e', 'add', { amount => 1 }), 1, 'others can be called');
ok(!HostedApp::answered($next), 'the same one waits');
$app->open_gate('lazy');
is(join(' ', map { HostedApp::answer($_)->{content} } @slow), '7 1 1 1', 'they end');
is(HostedApp::answer($next)->{content}, 17, 'then the one that waited has its turn');

# what they do is there in the end only, and they see it
is( $app->do('lazy', 'f', 'call', { id => 'g', method => 'add', body => { amount => 2 }, amount => 5 }),
	2, 'a call of another');
my $linger = $app->begin('lazy', 'f', 'linger', { gate => 'linger', amount => 5 });
ok($app->wait_for_line(what => 'at gate', more => 'linger'), 'a method has saved');
is(state_of('f'), 5, 'but that is not committed');
$app->open_gate('linger');
is(HostedApp::answer($linger)->{content}, 10, 'until it has succeeded');
is(state_of('f'), 10, 'then it is');
is($app->call('lazy', 'f', 'fail', { amount => 100 })->{status}, 500, 'a method that fails after it has saved');
is(state_of('f'), 10, 'leaves nothing behind');
is($app->do('lazy', 'f', 'read'), 10, 'and its application knows');

like($app->do('lazy', 'f', 'request', { what => 'reminders', name => 'r', body => { dueTime => '1h' } }), qr/^204/, 'a reminder');
is(query(q{SELECT count(*) FROM actor.reminder}), 1, 'is set');
is($app->call('lazy', 'f', 'request', { what => 'reminders', name => 's', body => { dueTime => '1h' }, fail => JSON::PP::true })->{status},
	500, 'one of a method that fails');
is(query(q{SELECT count(*) FROM actor.reminder}), 1, 'is not');
query(q{SELECT actor_delete_reminder('lazy', 'f', 'r')});
like($app->do('lazy', 'f', 'request', { what => 'subscriptions', name => 'said', body => { topicType => 'lazy', topicId => 'g', method => 'add' } }),
	qr/^200 \{"created" : true\}/, 'a subscription');
is(query(q{SELECT actor_id, topic, topic_id, method FROM actor.subscription}), 'f|said|g|add', 'is made');
like($app->do('lazy', 'f', 'request', { what => 'subscriptions', name => 'own', body => { method => 'add' } }),
	qr/^200 \{"created" : true\}/, 'one to a topic of its own');
is(query(q{SELECT topic_type, topic_id FROM actor.subscription WHERE topic = 'own'}), 'lazy|f', 'is made, too');
like($app->do('lazy', 'f', 'request', { verb => 'GET', what => 'subscriptions' }), qr/^200 .*"said".*"own"/, 'they are listed');
is($app->call('lazy', 'f', 'request', { verb => 'DELETE', what => 'subscriptions/said?topicType=lazy&topicId=g', fail => JSON::PP::true })->{status},
	500, 'their end by a method that fails');
is(query(q{SELECT count(*) FROM actor.subscription}), 2, 'is none');
like($app->do('lazy', 'f', 'request', { verb => 'DELETE', what => 'subscriptions/said?topicType=lazy&topicId=g' }),
	qr/^200 \{"ended" : true\}/, 'their end');
is(query(q{SELECT topic FROM actor.subscription}), 'own', 'is theirs');
query(q{SELECT actor_set_reminder('lazy', 'h', 'r', due_time => '0s', data => '{"do": "add", "amount": 4}')});
query(q{SELECT actor_send('lazy', 'h', 'add', '{"amount": 5}')});
ok($node->poll_query_until('postgres', q{SELECT value = '9' FROM actor.state WHERE actor_id = 'h' AND key = 'value'}),
	'reminders and messages are calls like others');
for (1 .. 2)
{
	is($app->call('lazy', 'i', 'add', { amount => 1 }, 'Idempotency-Key' => 'x')->{content}, 1, 'a request id works');
}

# a method that does not wait for what it saves: what came before its answer counts
is($app->do('lazy', 'x', 'add', { amount => 1 }), 1, 'an actor with state');
query('GRANT pg_monitor TO shop');	# (who may see metrics)
my $locker = $node->background_psql('postgres');
$locker->query_safe(q{BEGIN; SELECT 1 FROM actor.state WHERE actor_type = 'lazy' AND actor_id = 'x' FOR UPDATE});
my $careless = $app->begin('lazy', 'x', 'careless', { gate => 'careless', amount => 30, times => 3 });
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'shop' AND wait_event_type = 'Lock' AND query ~ 'actor_transact'}),
	'what a method saves waits for others');
# (the call, what it saves, and the request for the number)
ok($app->wait_for(sub { $app->get('/metrics')->{content} =~ /^actor_http_in_progress 5$/m }), 'and more of it for that');
$app->open_gate('careless');
ok($app->wait_for_line(what => 'end', method => 'careless'), 'the method has ended meanwhile');
ok(!HostedApp::answered($careless), 'but the call has not');
$locker->query_safe('COMMIT');
$locker->quit;
is(HostedApp::answer($careless)->{status}, 200, 'until that is saved');
is(query(q{SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM actor.state WHERE actor_id = 'x' AND key !~ 'ops'}),
	'time 1 1, time 2 1, time 3 1, value 30', 'then it is done together');

$app->saves_after_answer('lazy');

# a turn that is lost: what has the turn is taken away while the method runs
my $lost = $app->begin('lazy', 'l', 'slow', { gate => 'lost', amount => 1 });
ok($app->wait_for_line(what => 'at gate', more => 'lost'), 'a method runs');
is(query(q{SELECT actor_close_turn('lazy', 'l', reentrancy_id) FROM actor.activation WHERE actor_id = 'l' AND turn_expires_at IS NOT NULL}),
	't', 'its turn is an open one, which is taken from it');
$app->open_gate('lost');
cmp_ok(HostedApp::answer($lost)->{status}, '>=', 400, 'when its lease is over it has an error');
is(state_of('l'), '', 'and no effect');
is($app->do('lazy', 'l', 'add', { amount => 1 }), 1, 'after that it can be called');

# the process dies
is($app->call('lazy', 'l', 'die')->{status}, 500, 'an application dies in a method');
waitpid($app->{app_pid}, 0);
$app->write_down('killed', $app->{app_pid});
cmp_ok($app->get('/v1.0/healthz')->{status}, '>=', 500, 'it is not healthy any more');
my $waits = $app->begin('lazy', 'l', 'read');
my $other = $app->begin('lazy', 'm', 'add', { amount => 2 });
$app->start_app;
my $came = HostedApp::answer($waits);
is("$came->{status} $came->{content}", '200 1', 'the call had no effect; the next one waits for the application');
$came = HostedApp::answer($other);
is("$came->{status} $came->{content}", '200 2', 'also one that it had no instance for');
$app->kill_app;
$came = $app->call('lazy', 'l', 'read');
is("$came->{status} $came->{code}", '500 ERR_ACTOR_INVOKE_METHOD', 'but not for ever');
$app->start_app;
$app->wait_until_ready;
is($app->do('lazy', 'l', 'read'), 1, 'then it is there again');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the application has not been asked what it does not know');
is($app->stop, 0, 'the host ends');

$node->stop;
done_testing();
