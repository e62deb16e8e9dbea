# Actors whose code is in an application: what goes through unchanged, what a turn
# commits and what it takes back, and which errors there are.

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
my $database = $node->connstr('postgres') . ' user=shop';

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# before the application is there ----------------------------------------------

my $app = HostedApp->start(
	database => $database,
	no_app => 1,
	config => encode_json({
		entities => [ 'counter', 'account', 'chain' ],
		actorIdleTimeout => '1h',
		drainBalancedActors => JSON::PP::true,
		drainOngoingCallTimeout => '',
		entitiesConfig => [ { entities => ['chain'], reentrancy => { enabled => JSON::PP::true, maxStackDepth => 5 } } ] }),
	env => { APP_API_TOKEN => 'of the app', ACTOR_HTTP_APP_TOKEN => 'of the app' },
	flags => ['--app-timeout=60']);

is($app->get('/v1.0/healthz/outbound')->{status}, 204, 'what does not depend on the application is there before it');
is($app->get('/v1.0/metadata')->{status}, 200, 'so are the metadata');
cmp_ok($app->get('/v1.0/healthz')->{status}, '>=', 500, 'it is not healthy without the application');
my $early = $app->begin('counter', 'early', 'add', { amount => 2 });
$app->start_app;
my $got = HostedApp::answer($early);
is("$got->{status} $got->{content}", '200 2', 'a call waits for the application');
$app->wait_until_ready;
is( query(q{SELECT string_agg(format('%s %s %s', actor_type, hosted, reentrancy), ', ' ORDER BY actor_type) FROM actor.type}),
	'account t , chain t t, counter t ',
	'its types are registered as hosted');
is(query(q{SELECT count(*) FROM actor.host}), 1, 'the host has joined');
is(query(q{SELECT string_agg(nspname, ' ' ORDER BY nspname) FROM pg_namespace WHERE nspowner = 'shop'::regrole}),
	'account chain counter', 'there are schemas for them');

# what goes through --------------------------------------------------------------

sub echo
{
	my ($verb, $more, $body, %headers) = @_;
	return $app->{http}->request($verb, '/v1.0/actors/counter/echo/method/echo' . $more, $body, %headers);
}

for my $case (
	[ 'JSON', '{"a":  [1.10, "x"]}', 'application/json' ],
	[ 'text', 'undefined', 'text/plain; charset=utf-8' ],
	[ 'bytes', join('', map { chr } 0 .. 255) x 3, 'application/octet-stream' ],
	[ 'what is no JSON', '{"a', 'application/json' ],
	[ 'a big body', 'x' x 3_000_000, 'text/x-big' ])
{
	my ($what, $body, $type) = @$case;
	my $answer = echo('PUT', '', $body, 'Content-Type' => $type);

	is($answer->{status}, 200, "$what: answered");
	ok($answer->{content} eq $body, "$what: the same bytes come back");
	is($answer->{headers}{'content-type'}, $type, "$what: with its type");
	is($answer->{headers}{'seen-content-type'}, $type, "$what: which the application has seen");
}
for my $verb (qw(GET POST PUT DELETE))
{
	is(echo($verb, '?a=1&b=%20x&a=2')->{headers}{'seen-query'},
		'a=1&b=%20x&a=2', "$verb: the query comes through");
}
my $plain = $app->{http}->raw("PUT /v1.0/actors/counter/echo/method/echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
	  . "X-Custom: some thing\r\nX-Private: a\r\nConnection: X-Other, x-private\r\nX-More: 1\r\nX-More: 2\r\nContent-Length: 0\r\n\r\n", keep => 1);
like($plain, qr{^HTTP/1.1 200}, 'a call without a body');
unlike($plain, qr/^seen-content-type/mi, 'reaches the application without a content type');
unlike($plain, qr/^content-type/mi, 'and its answer has none either');
like($plain, qr/^seen-x-custom: some thing\r$/mi, 'headers come through');
like($plain, qr/^x-twice: one\r$(.*)^x-twice: two\r$/msi, 'also those of the answer, and all of one name');
like($plain, qr/^seen-dapr-api-token: of the app\r$/mi, 'the application gets its token');
unlike($plain, qr/^seen-connection: close/mi, 'what is for one connection only is not passed on');
unlike($plain, qr/^seen-x-private/mi, 'nor is what such a header names');
unlike($plain, qr/^x-hop/mi, 'nor that of the answer');
like($plain, qr/^seen-x-more: 1\r$(.*)^seen-x-more: 2\r$/msi, 'headers of one name keep their order');
my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
like(echo('PUT', '', '1', traceparent => $trace, tracestate => 'a=b')->{headers}{'seen-traceparent'},
	qr/^00-0af7651916cd43dd8448eb211c80319c-/, 'so is a trace');
for my $status (200, 201, 202)
{
	is(echo('PUT', "?status=$status", 'x')->{status}, $status, "$status is a success");
}
is(echo('PUT', '?status=204', '')->{status}, 204, 'so is 204');
is($app->do('counter', "a'\"|\xc3\xa9 %", 'add', { amount => 3 }), 3, 'any id');
is($app->do('counter', "a'\"|\xc3\xa9 %", 'read'), 3, 'is the same actor again');

# turns -------------------------------------------------------------------------

is($app->do('counter', 'a', 'noop'), '', 'a method without an answer');
is($app->do('counter', 'a', 'add', { amount => 5 }), 5, 'the state begins with nothing');
is($app->do('counter', 'a', 'add', [ { amount => 2 } ]), 7, 'and is kept');
is(query(q{SELECT value FROM actor.state WHERE actor_type = 'counter' AND actor_id = 'a' AND key = 'value'}),
	7, 'in the database');
is($app->get('/v1.0/actors/counter/a/state/value')->{content}, 7, 'where it can be read over HTTP, too');
is($app->count(what => 'activate', type => 'counter', id => 'a'), 1, 'all by one instance');
is( query(q{SELECT p.host_id = h.host_id FROM actor.placement p, actor.host h
		WHERE p.actor_type = 'counter' AND p.actor_id = 'a'}), 't', 'which has its place');
is(query(q{SELECT count(*) FROM actor.activation WHERE actor_type = 'counter' AND actor_id = 'a'}),
	1, 'and an activation');

# Calls that must fail, and leave nothing behind.
sub fails
{
	my ($what, $status, $message, @call) = @_;
	my $answer = $app->call('counter', 'a', @call);

	is($answer->{status}, $status, "$what: status");
	is($answer->{code}, 'ERR_ACTOR_INVOKE_METHOD', "$what: code");
	like($answer->{message}, $message, "$what: message");
	is(query(q{SELECT value FROM actor.state WHERE actor_type = 'counter' AND actor_id = 'a' AND key = 'value'}),
		7, "$what: the state is as it was");
	is($app->do('counter', 'a', 'read'), 7, "$what: the application thinks so, too");
	return;
}

fails('error after a save', 500, qr/error from actor service: \(500\) it was not to be$/, 'fail');
fails('another status', 500, qr/error from actor service: \(503\) later$/, 'fail', { status => 503, message => 'later' });
fails('a redirection', 500, qr/error from actor service: \(302\)/, 'fail', { status => 302 });
fails('not found', 500, qr/error from actor service: \(404\) there is no method fly$/, 'fly');
fails('a lost connection', 500, qr/./, 'hangUp');
my $lines = $app->count(what => 'deactivate', type => 'counter', id => 'a');
is($lines, 5, 'the instance was dropped after each');

# a method that does not wait for what it saves: what came before its answer counts
is($app->do('counter', 'x', 'add', { amount => 1 }), 1, 'an actor with state');
query('GRANT pg_monitor TO shop');	# (who may see metrics)
my $locker = $node->background_psql('postgres');
$locker->query_safe(q{BEGIN; SELECT 1 FROM actor.state WHERE actor_type = 'counter' AND actor_id = 'x' FOR UPDATE});
my $careless = $app->begin('counter', 'x', 'careless', { gate => 'careless', amount => 30, times => 3 });
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE usename = 'shop' AND wait_event_type = 'Lock' AND query ~ 'actor_transact'}),
	'what a method saves waits for others');
# (the call, what it saves, and the request for the number)
ok($app->wait_for(sub { $app->get('/metrics')->{content} =~ /^actor_http_in_progress 5$/m }), 'and more of it for that');
$app->open_gate('careless');
ok($app->wait_for_line(what => 'end', method => 'careless'), 'the method has ended meanwhile');
ok(!HostedApp::answered($careless), 'but the call has not');
$locker->query_safe('COMMIT');
$locker->quit;
is(HostedApp::answer($careless)->{status}, 200, 'until all is saved');
is(query(q{SELECT string_agg(key || ' ' || value, ', ' ORDER BY key) FROM actor.state WHERE actor_id = 'x' AND key !~ 'ops'}),
	'time 1 1, time 2 1, time 3 1, value 30', 'then it is done together');

$app->saves_after_answer('counter');

# app-timeout
{
	my $hasty = HostedApp->start(database => $database, types => ['hasty'], flags => ['--app-timeout=1']);

	is($hasty->do('hasty', 'a', 'add', { amount => 1 }), 1, 'an application that answers in time');
	my $answer = $hasty->call('hasty', 'a', 'silent');
	is($answer->{status}, 504, 'one that is silent');
	like($answer->{content}, qr/ERR_ACTOR/, 'is an error');
	$hasty->open_gate('none');
	is($hasty->do('hasty', 'a', 'read'), 1, 'and can be called again');
	is(join("\n", $hasty->overlaps), '', 'turns have not overlapped');
	is($hasty->stop, 0, 'it ends');
}

# requests outside of turns
my $outside = $app->{http}->request('POST', '/v1.0/actors/counter/a/state',
	'[{"operation": "upsert", "request": {"key": "value", "value": 100}}]');
is("$outside->{status} $outside->{code}", '400 ERR_ACTOR_INSTANCE_MISSING', 'state is written in turns only');
$outside = $app->{http}->request('POST', '/v1.0/actors/counter/never/state',
	'[{"operation": "upsert", "request": {"key": "value", "value": 100}}]');
is("$outside->{status} $outside->{code}", '400 ERR_ACTOR_INSTANCE_MISSING', 'also of an actor that nobody has called');
is($app->get('/v1.0/actors/counter/never/state/value')->{status}, 204, 'reading is free');
is($app->{http}->request('POST', '/v1.0/actors/counter/r/reminders/later', '{"dueTime": "1h", "data": 5}')->{status},
	204, 'so are reminders');
like($app->get('/v1.0/actors/counter/r/reminders/later')->{content}, qr/"dueTime": ?"1h"/, 'which are there');
is($app->{http}->request('DELETE', '/v1.0/actors/counter/r/reminders/later')->{status}, 204, 'and go');

# names
for my $path ('/v1.0/actors/counter/a%2Fb/method/noop', '/v1.0/actors/counter/../method/noop', '/v1.0/actors/counter/a%23/method/noop')
{
	is($app->{http}->request('PUT', $path, '')->{status} >= 400, 1, "$path is refused");
}
my $unknown = $app->call('nothing', 'a', 'noop');
cmp_ok($unknown->{status}, '>=', 400, 'an unknown type');
like($unknown->{message}, qr/nothing/, 'is named');

# request ids
for (1 .. 2)
{
	my $answer = $app->call('counter', 'i', 'add', { amount => 4 }, 'Idempotency-Key' => 'once');
	is("$answer->{status} $answer->{content}", '200 4', 'a repeated request gets the same answer');
}
is($app->do('counter', 'i', 'read'), 4, 'and has its effect once');
# (the type has what is quoted in a row)
my $some = 'application/x-some; of="a, \\"b\\"; (c)\\\\"';
for (1 .. 2)
{
	my $answer = $app->{http}->request('PUT', '/v1.0/actors/counter/i/method/echo?status=201', "\0\1\2",
		'Content-Type' => $some, 'Idempotency-Key' => 'bytes');
	is("$answer->{status} $answer->{headers}{'content-type'} $answer->{content}", "201 $some \0\1\2",
		'status, type and bytes are kept');
}
is($app->count(what => 'begin', id => 'i', method => 'echo'), 1, 'it was called once');
is($app->call('counter', 'i', 'fail', undef, 'Idempotency-Key' => 'failed')->{status}, 500, 'what fails');
is($app->do('counter', 'i', 'add', { amount => 1 }, 'Idempotency-Key' => 'failed'), 5, 'may be tried again');

# deactivation
is($app->{http}->request('DELETE', '/v1.0/actors/counter/a')->{status}, 204, 'an actor is deactivated');
is($app->count(what => 'deactivate', type => 'counter', id => 'a'), $lines + 1, 'by the application, too');
is(query(q{SELECT count(*) FROM actor.placement WHERE actor_type = 'counter' AND actor_id = 'a'}), 0, 'it has no place');
is(query(q{SELECT count(*) FROM actor.activation WHERE actor_type = 'counter' AND actor_id = 'a'}), 0, 'and no activation');
is($app->{http}->request('DELETE', '/v1.0/actors/counter/a')->{status}, 204, 'twice does no harm');
is($app->count(what => 'deactivate', type => 'counter', id => 'a'), $lines + 1, 'and does not reach the application');
is($app->do('counter', 'a', 'read'), 7, 'a call activates it again');
query(q{SELECT actor_deactivate('counter', 'a')});
is($app->do('counter', 'a', 'read'), 7, 'as it does after one by SQL');
ok($app->wait_for(sub { $app->count(what => 'deactivate', type => 'counter', id => 'a') == $lines + 2 }),
	'which the application is told');
# a method that runs when its actor is to be deactivated
my $slow = $app->begin('counter', 'end', 'call', { id => 'end2', method => 'slow', body => { gate => 'end' }, amount => 7 });
ok($app->wait_for_line(what => 'at gate', more => 'end'), 'a method has saved, and waits for another');
my $of_end = q{SELECT value FROM actor.state WHERE actor_type = 'counter' AND actor_id = 'end' AND key = 'value'};
my $end = $app->begin_request('DELETE', '/v1.0/actors/counter/end', '');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE '%host_enter_to_end%' AND wait_event_type = 'Lock'}),
	'its actor is to be deactivated meanwhile');
is(query($of_end), '', 'what it has saved is not committed by that');
$app->open_gate('end');
is(HostedApp::answer($slow)->{status}, 200, 'it comes to its end');
is(HostedApp::answer($end)->{status}, 204, 'then the actor is deactivated');
is(query($of_end), 7, 'with what the method has done');
is($app->count(what => 'deactivate', id => 'end'), 1, 'once');

is($app->do('counter', 'soon', 'add'), 1, 'one that is deactivated by SQL, and not called after that');
query(q{SELECT actor_deactivate('counter', 'soon')});
ok($app->wait_for(sub { $app->count(what => 'deactivate', type => 'counter', id => 'soon') == 1 }),
	'is so by the application, too');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.placement WHERE actor_id = 'soon'}),
	'and has no place any more');
is($app->do('counter', 'gone', 'add'), 1, 'another one');
query(q{SELECT actor_delete('counter', 'gone')});
ok($app->wait_for(sub { $app->count(what => 'deactivate', type => 'counter', id => 'gone') == 1 }),
	'is when it is deleted');
query(q{SELECT actor_register('counter', hosted => true, idle_timeout => '100ms', scan_interval => '50ms')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.placement WHERE actor_type = 'counter'}),
	'idle actors are deactivated');
ok($app->wait_for(sub { $app->count(what => 'deactivate', type => 'counter', id => 'a') == $lines + 3 }),
	'which the application is told');

# a limit for idle transactions, which sessions that are there get, too
is($app->do('account', 'idle', 'noop'), '', 'there is a session');
query(q{ALTER SYSTEM SET idle_in_transaction_session_timeout = '100ms'});
query('SELECT pg_reload_conf()');
ok($node->poll_query_until('postgres', q{SELECT current_setting('idle_in_transaction_session_timeout') = '100ms'}), 'a limit is set');
$slow = $app->begin('account', 'idle', 'slow', { gate => 'idle', amount => 7 });
query(q{SELECT actor_send('account', 'idle message', 'slow', '{"gate": "idle message", "amount": 7}')});
ok($app->wait_for_line(what => 'at gate', more => $_), "$_: a method waits in a turn") for 'idle', 'idle message';
my $idle = $node->background_psql('postgres', on_error_stop => 0);
my $idle_pid = $idle->query('SELECT pg_backend_pid()');
$idle->query('BEGIN');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $idle_pid"),
	'a transaction that began later is ended by the limit');
$app->open_gate($_) for 'idle', 'idle message';
is(HostedApp::answer($slow)->{content}, 7, 'the turn is not');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM actor.state WHERE actor_id ~ '^idle' AND value = '7'}), 'nor that of the message');
is($app->count(what => 'begin', method => 'slow', id => $_), 1, "$_: which has run once") for 'idle', 'idle message';
query('ALTER SYSTEM RESET idle_in_transaction_session_timeout');
query('SELECT pg_reload_conf()');
eval { $idle->quit };

# the description of the API
my $api = decode_json(slurp_file("$FindBin::RealBin/../doc/openapi.json"))->{paths};
for my $verb (qw(get post put delete))
{
	my $described = $api->{'/actors/{actorType}/{actorId}/method/{method}'}{$verb};

	ok($described->{responses}{'2XX'}{content}{'*/*'}, "$verb: any success of an application is described");
	ok($described->{requestBody}{content}{'*/*'}, "$verb: and any body");
	ok($described->{responses}{$_}, "$verb: so is $_") for 400, 403, 404, 409, 423, 500, 503, 504;
}
like($api->{'/actors/{actorType}/{actorId}/state'}{post}{responses}{400}{description}, qr/ERR_ACTOR_INSTANCE_MISSING/,
	'so is what is saved outside of a turn');

# the end
is($app->do('account', $_, 'noop'), '', "actor $_ is active") for 1 .. 3;
is($app->{http}->stop, 0, 'the host ends orderly');
is($app->count(what => 'deactivate', type => 'account'), 5, 'when it has deactivated its actors');
is(query('SELECT (SELECT count(*) FROM actor.host), (SELECT count(*) FROM actor.placement)'), '0|0', 'and has left');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the application has not been asked what it does not know');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop'}), 0, 'no session is left');

$node->stop;
done_testing();
