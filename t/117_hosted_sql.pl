# Hosted actors beside methods in SQL: calls and messages both ways, request ids,
# pause, failure policies, traces, rights.

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
$node->safe_psql('postgres', 'CREATE ROLE guest LOGIN; CREATE ROLE stranger LOGIN');
my $folder = HostedApp::folder();
append_to_file("$folder/http.json", encode_json({
	api_token => 'shop',
	tokens => [ map { { token => $_, database => $node->connstr('postgres') . " user=$_" } } 'guest', 'stranger' ] }));
my $app = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	folder => $folder,
	config => encode_json({
		entities => [ 'thing', 'chain' ],
		entitiesConfig => [ { entities => ['chain'], reentrancy => { enabled => JSON::PP::true } } ] }),
	env => { DAPR_API_TOKEN => 'shop' },
	flags => ["--config=$folder/http.json"]);
my @shop = ('dapr-api-token' => 'shop');

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub by_shop
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'shop' ]);
}

# An error of SQL, with its code.
sub error_of
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", extra_params => [ '-U', 'shop' ]);

	return $err;
}

sub comes_to
{
	my ($type, $id, $key, $value, $what) = @_;

	ok($node->poll_query_until('postgres', qq{SELECT value = '$value' FROM actor.state
		WHERE actor_type = '$type' AND actor_id = '$id' AND key = '$key'}), $what);
	return;
}

sub called
{
	my ($type, $id, $method, $argument, @headers) = @_;
	my $answer = $app->call($type, $id, $method, $argument, @shop, @headers);

	return "$answer->{status} $answer->{content}";
}

by_shop(q{
	CREATE SCHEMA ledger;
	CREATE FUNCTION ledger.book(amount int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		IF amount < 0 THEN
			RAISE 'less than nothing' USING ERRCODE = 'check_violation';
		END IF;
		PERFORM actor_set('sum', actor_get('sum', 0) + amount);
		RETURN actor_get('sum', 0);
	END $$;
	CREATE FUNCTION ledger.pass_on(id text, amount int) RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		RETURN actor_send('thing', id, 'add', jsonb_build_object('amount', amount));
	END $$;
	CREATE TABLE ledger.seen (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	CREATE FUNCTION ledger.once(n int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO ledger.seen VALUES (n);
		RETURN n;
	END $$;
	SELECT actor_register('ledger');
	CREATE FUNCTION thing.double() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('value', actor_get('value', 0) * 2);
		RETURN actor_get('value', 0);
	END $$;
	CREATE FUNCTION thing.peek() RETURNS int LANGUAGE sql STABLE AS 'SELECT actor_get(''value'', 0)';
});

# methods in SQL of hosted types
is(called('thing', 'a', 'add', { amount => 4 }), '200 4', 'a method of the application');
is(called('thing', 'a', 'peek'), '200 4', 'a method in SQL reads what it has written');
is(called('thing', 'a', 'double'), '200 8', 'another one writes');
is(called('thing', 'a', 'read'), '200 8', 'which the application sees');
is(by_shop(q{SELECT actor_invoke('thing', 'a', 'double')}), 16, 'also when SQL has called it');
is(called('thing', 'a', 'add', { amount => 1 }), '200 17', 'and builds upon it');
like(error_of(q{SELECT actor_invoke('thing', 'a', 'add')}), qr/ERROR:  0A000: .*HINT: .*actor_send/s,
	'SQL cannot call what only the application has');

# one transaction for both kinds
is(called('chain', 'c', 'call', { type => 'ledger', id => 'l', method => 'book', body => { amount => 5 }, amount => 1 }),
	'200 5', 'an application calls a method in SQL');
like(called('chain', 'c', 'call', { type => 'ledger', id => 'l', method => 'book', body => { amount => -1 }, amount => 1 }),
	qr/^500 .*less than nothing/, 'one that fails');
like(called('chain', 'c', 'call',
		{ type => 'ledger', id => 'l', method => 'book', body => { amount => -1 }, amount => 1, catch => JSON::PP::true }),
	qr/^200 400 .*less than nothing/, 'one whose failure is caught');
is(called('chain', 'c', 'read'), '200 2', 'has the effect of the caller alone');
my @once = ('chain', 'c', 'call', { type => 'ledger', id => 'l', method => 'once', body => { n => 1 }, amount => 1 });
is(called(@once), '200 1', 'one that checks something when it commits');
like(called(@once), qr/^409 .*seen_n_key/, 'what cannot be committed fails when the application has answered');
is(called('chain', 'c', 'read'), '200 3', 'and has no effect');
is(by_shop(q{SELECT count(*) FROM actor.turn WHERE actor_type = 'chain'}), 0, 'nor holds the turn');
unlike(slurp_file($node->logfile), qr/there is no transaction in progress/, 'which nobody ends twice');
my $fan = $app->begin('chain', 'c', 'fan',
	{ calls => [
			{ id => 'd', method => 'slow', body => { gate => 'first' } },
			{ type => 'ledger', id => 'l', method => 'book', body => { amount => 1 } },
			{ id => 'e', method => 'fail', body => { gate => 'second' } } ] }, @shop);
ok($app->wait_for_line(what => 'at gate', more => 'first') && $app->wait_for_line(what => 'at gate', more => 'second'),
	'calls that overlap');
$app->open_gate('first');
ok($app->wait_for_line(what => 'end', id => 'd', method => 'slow'), 'one of which succeeds');
$app->open_gate('second');
is(HostedApp::answer($fan)->{status}, 500, 'fail all together if another fails');
is(by_shop(q{SELECT (actor_get_state('ledger', 'l', 'sum')).value}), 5, 'and leave nothing in SQL either');

# messages both ways
is(called('ledger', 'l', 'pass_on', { id => 'm', amount => 3 }) =~ /^200/, 1, 'a method in SQL sends to the application');
comes_to('thing', 'm', 'value', 3, 'which gets it');
by_shop(q{SELECT actor_send('thing', 'm', 'add', '{"amount": 1}', request_id => 'once') FROM generate_series(1, 3)});
by_shop(q{SELECT actor_send('thing', 'm', 'add', '{"amount": 10}')});
comes_to('thing', 'm', 'value', 14, 'a message with a request id comes once');
is(by_shop(q{SELECT string_agg(value::text, ' ') FROM actor.state WHERE actor_id = 'm'}), '14', 'and keeps its order');
by_shop(q{SELECT actor_set_reminder('thing', 'm', 'double', due_time => '0s', method => 'double')});
comes_to('thing', 'm', 'value', 28, 'a reminder can call a method in SQL');
is(called('thing', 'm', 'read'), '200 28', 'whose effect the application sees');

# request ids of both kinds
is(called('thing', 'm', 'double', undef, 'Idempotency-Key' => 'd'), '200 56', 'a request id') for 1 .. 2;
is(called('thing', 'm', 'add', { amount => 1 }, 'Idempotency-Key' => 'a'), '200 57', 'and one of a method of the application') for 1 .. 2;

# whatever is in the id of an actor, the application is called about that one
my @odd = ("a'\"|\xc3\xa9", ' ', '%', '%2e%2e', '%2F', '...', '.a', 'a;b=c', 'a&b', 'a+b', '~', ':', '*', '[', "\xc3\xa9" x 256);
by_shop(join('', map { "SELECT actor_send('thing', \$id\$$_\$id\$, 'add', '{\"amount\": 1}');" } @odd));
comes_to('thing', s/'/''/gr, 'value', 1, "a message for actor $_") for @odd;
is(by_shop(q{SELECT count(*) FROM actor.state WHERE actor_type = 'thing' AND value = '1' AND key = 'value'}), scalar @odd,
	'and nobody else gets it');
# what an application cannot be called about, from the time when the type had a method in SQL
by_shop(q{
	CREATE FUNCTION thing.of_old(data jsonb DEFAULT NULL) RETURNS void LANGUAGE sql AS '';
	SELECT actor_pause('thing', '..'), actor_pause('thing', 'old');
	SELECT actor_send('thing', '..', 'of_old'), actor_set_reminder('thing', '..', 'r', due_time => '0s', method => 'of_old'),
		actor_set_reminder('thing', 'old', 'a/..', due_time => '0s', method => 'of_old', failure_policy => '{"drop": {}}');
	DROP FUNCTION thing.of_old;
	SELECT actor_resume('thing', '..'), actor_resume('thing', 'old')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM actor.failure WHERE actor_type = 'thing' AND actor_id IN ('..', 'old')}),
	'what has a name that cannot be a part of a path is given up');
is(query(q{SELECT string_agg(DISTINCT sqlstate, ' ') FROM actor.failure WHERE actor_type = 'thing' AND actor_id IN ('..', 'old')}), '22023',
	'with an error that says so');
is(query(q{SELECT count(*) FROM actor.placement WHERE actor_id = '..'}), 0, 'without a place');
is(scalar(grep { $_->{id} =~ m{^\.\.?$|/} || $_->{method} =~ /of_old|\.\./ } $app->lines(what => 'begin')), 0, 'nor a call');
by_shop(q{SELECT actor_discard(failure_id) FROM actor.failure WHERE actor_id IN ('..', 'old')});

# pause
by_shop(q{SELECT actor_pause('thing', 'p')});
like(called('thing', 'p', 'add'), qr/^409 .*ERR_ACTOR_NOT_READY/, 'a paused actor cannot be called');
by_shop(q{SELECT actor_send('thing', 'p', 'add')});
by_shop(q{SELECT actor_send('thing', 'q', 'add')});
comes_to('thing', 'q', 'value', 1, 'messages for others come');
is($app->count(what => 'begin', id => 'p'), 0, 'those for it do not');
by_shop(q{SELECT actor_resume('thing', 'p')});
comes_to('thing', 'p', 'value', 1, 'until it is resumed');
by_shop(q{SELECT actor_pause('thing')});
like(called('thing', 'a', 'noop'), qr/^409 .*ERR_ACTOR_NOT_READY/, 'a paused type cannot be called either');
by_shop(q{SELECT actor_resume('thing')});
is(called('thing', 'a', 'noop'), '200 ', 'until it is resumed');

# failure policies
by_shop(q{SELECT actor_send('thing', 'f', 'fail', '{"message": "no way"}',
	failure_policy => '{"constant": {"interval": "1ms", "maxRetries": 2}}')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.failure WHERE actor_id = 'f'}), 'a message that cannot be delivered is given up');
is($app->count(what => 'begin', id => 'f'), 3, 'after its attempts');
like(query(q{SELECT message FROM actor.failure WHERE actor_id = 'f'}), qr/\(500\) no way/, 'with its error');
is(by_shop(q{SELECT actor_retry(failure_id) FROM actor.failure WHERE actor_id = 'f'}), 't', 'it can be tried again');
ok($app->wait_for_line(what => 'begin', id => 'f', count => 4), 'which the application sees');
by_shop(q{SELECT actor_send('thing', 'g', 'fly', failure_policy => '{"drop": {}}')});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.failure WHERE actor_id = 'g'}), 'a method that is unknown to the application');
is($app->count(what => 'begin', id => 'g'), 1, 'is tried as often as the policy says');

# traces
my $id = '0af7651916cd43dd8448eb211c80319c';
called('thing', 't', 'request', { what => 'reminders', name => 'r', body => { dueTime => '0s', data => { do => 'noop' } } },
	traceparent => "00-$id-b7ad6b7169203331-01");
ok($app->wait_for_line(what => 'begin', id => 't', method => 'remind/r'), 'a reminder that was set in a trace');
like(($app->lines(what => 'begin', id => 't', method => 'request'))[0]{more}, qr/^00-$id-[0-9a-f]{16}-01$/, 'the application sees that');
like(($app->lines(what => 'begin', id => 't', method => 'remind/r'))[0]{more}, qr/^00-$id-[0-9a-f]{16}-01$/, 'and the firing belongs to it');

# rights
is($app->call('thing', 'a', 'read')->{status}, 401, 'without a token nobody is heard');
is($app->call('thing', 'a', 'read', undef, 'dapr-api-token' => 'guest')->{status}, 403, 'who may not use the schema cannot call');
by_shop(q{GRANT USAGE ON SCHEMA thing TO guest});
is($app->call('thing', 'a', 'read', undef, 'dapr-api-token' => 'guest')->{content}, 17, 'who may, can');
is($app->call('thing', 'a', 'read', undef, 'dapr-api-token' => 'stranger')->{status}, 403, 'others cannot');
is($app->count(what => 'begin', method => 'read', id => 'a'), 2, 'nor do they reach the application');

# hosts know each other for one type
$node->safe_psql('postgres', q{CREATE SCHEMA own AUTHORIZATION stranger});
sub by_stranger
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'stranger' ]);
}
by_stranger(q{SELECT actor_register('own', hosted => true)});
my $own = by_stranger(q{SELECT actor.host_secret('own')});
my $joined = by_stranger(q{SELECT actor.host_join(gen_random_uuid(), 'app', 'there', 'here', '{}')});
my $thing = by_shop(q{SELECT actor.host_secret('thing')});
is(by_stranger(q{SELECT actor.host_secret('thing')}), '', 'what hosts of a type know each other by is not for others');
my $as_host = sub {
	my ($verb, $path, $type, $secret, $hop, @more) = @_;

	return $app->{http}->request($verb, "/actor-host/v1.0$path", $verb eq 'GET' ? undef : '', @more,
		'actor-host-hop' => $hop, defined $type ? ('actor-host-type' => $type) : (),
		defined $secret ? ('actor-host-secret' => $secret) : ())->{status};
};
my $key = '/actors/thing/a/state/value';
is($as_host->('GET', $key, 'thing', $thing, 'call'), 200, 'a host of the type may ask');
is($as_host->('GET', $key, 'thing', $_, 'call'), 401, 'nobody else')
  for undef, '', 'x', $own, $joined, substr($thing, 0, -1), $thing . '0', $thing x 2;
is($as_host->('GET', $key, $_, $own, 'call'), 401, 'nor a host of another one') for undef, 'own', 'nothing', 'own%00thing', '%';
is($as_host->('PUT', '/actors/thing/a/method/add', 'own', $own, 'call'), 401, 'nor may it call');
my $chain = by_shop(q{SELECT actor.host_secret('chain')});
is($as_host->('GET', '/actors/chain/c/state/value', 'chain', $chain, 'call'), 200, 'a host of two types knows both');
is($as_host->('GET', $key, 'chain', $chain, 'call'), 401, 'but speaks for one');
is($as_host->('PUT', '/actors/thing/a/method/add', 'chain', $chain, 'turn', 'actor-host-chain' => '1'), 401, 'at a time');
is($as_host->('PUT', '/actors/thing/a/method/add', 'own', $own, 'turn', 'actor-host-chain' => '1'), 401, 'in whatever way');
is($as_host->('PUT', '/actors/thing/a/state', 'thing', $thing, 'turn', 'actor-host-chain' => '1'), 400, 'a turn is one of a method');
is($as_host->('PUT', '/actors/thing/a/state', 'thing', $thing, 'chain', 'actor-host-chain' => '1'), 400, 'a chain must be there');
is($as_host->('GET', '/metadata', 'thing', $thing, 'call'), 401, 'hosts ask for actors only');
is($as_host->('GET', $key, 'thing', $thing, $_), 400, 'and say what for') for '', 'calls';

# what is seen
is(query(q{SELECT count(*) FROM actor.instance WHERE actor_type = 'thing' AND actor_id = 'a' AND host_id IS NOT NULL}), 1,
	'the view of instances says where they are');
like(query(q{SELECT actor_metrics()}), qr/^actor_host\w*(\{.*\})? 1$/m, 'the metrics count hosts');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');
is(join("\n", $app->unknown), '', 'the application has not been asked what it does not know');
is($app->stop, 0, 'the host ends');

# methods that remove what is prepared in the session, of which there is one
by_shop(q{
	CREATE FUNCTION ledger.pid() RETURNS int LANGUAGE sql AS 'SELECT pg_backend_pid()';
	CREATE FUNCTION ledger.forget(fails bool DEFAULT false) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		DEALLOCATE ALL;
		IF fails THEN
			RAISE 'forgotten';
		END IF;
		RETURN 1;
	END $$});
$app = HostedApp->start(%{$app}{qw(database folder config env)}, flags => [ "--config=$folder/http.json", '--pool-size=1' ]);

# Begins a session in which all is prepared that a call and what it asks for need.
sub begin_session
{
	my $pid = (split(' ', called('ledger', 'f', 'pid')))[1];

	query("SELECT pg_terminate_backend($pid)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'another session');
	is(called('chain', 'f', 'call', { type => 'ledger', id => 'f', method => 'book', body => { amount => $_ }, amount => 1, catch => JSON::PP::true }) =~ /^200/, 1,
		'which is used') for 0, -1;
	by_shop(q{SELECT actor_send('thing', 'first', 'noop')});
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.message WHERE actor_id = 'first'}), 'also by a message');
	return;
}

my @forget = ('ledger', 'f', 'forget', { fails => JSON::PP::false });
begin_session();
is(called(@forget), '200 1', 'a method removes what is prepared');
is(called('thing', 'forgotten', 'add', { amount => 1 }), '200 1', 'a call of the application goes well nevertheless');
begin_session();
called(@forget);
is(called('thing', 'forgotten', 'add', { amount => 1 }, traceparent => "00-$id-b7ad6b7169203331-01"), '200 2', 'so does one with a trace');
begin_session();
called(@forget);
by_shop(q{SELECT actor_send('thing', 'forgotten', 'add', '{"amount": 1}', failure_policy => '{"drop": {}}')});
comes_to('thing', 'forgotten', 'value', 3, 'so does a message');
for my $fails (JSON::PP::false, JSON::PP::true)
{
	my $before = (split(' ', called('chain', 'f', 'read')))[1];

	begin_session();
	like(called('chain', 'f', 'call', { type => 'ledger', id => 'f', method => 'forget', body => { fails => $fails }, amount => 1, catch => JSON::PP::true }),
		$fails ? qr/^200 \d+ .*forgotten/ : qr/^200 200 1$/, 'so does one that has called such a method');
	is(called('chain', 'f', 'read'), '200 ' . ($before + 3), 'with its effect');
}
is($app->stop, 0, 'the host ends');

$node->stop;
done_testing();
