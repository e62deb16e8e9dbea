# What methods of an application publish, send and settle: it is in their transaction,
# and gone when they fail, at whatever host they run, also in turns that are leases.

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

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'shop' ]);
}

# An actor of SQL hears what is published; a method in SQL publishes, too.
query(q{
	CREATE SCHEMA chain;
	CREATE SCHEMA lazy;
	CREATE SCHEMA ear;
	CREATE TABLE ear.heard (number bigint GENERATED ALWAYS AS IDENTITY, word text);
	CREATE FUNCTION ear.hear(word text) RETURNS void LANGUAGE sql
		AS 'INSERT INTO ear.heard (word) VALUES (word)';
	CREATE FUNCTION ear.ask() RETURNS uuid LANGUAGE sql AS $$ SELECT actor_promise('answered') $$;
	CREATE FUNCTION ear.answered(answer jsonb) RETURNS void LANGUAGE sql
		AS $$ INSERT INTO ear.heard (word) VALUES (answer ->> 'value') $$;
	CREATE FUNCTION chain.announce(word text) RETURNS bigint LANGUAGE sql
		AS $$ SELECT actor_publish('news', jsonb_build_object('word', word)) $$;
	CREATE FUNCTION chain.announce_badly(word text) RETURNS bigint LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_publish('news', jsonb_build_object('word', word));
		RAISE 'no';
	END $$;
	CREATE FUNCTION chain.announce_deposit(amount int, op text) RETURNS bigint LANGUAGE sql
		AS $$ SELECT actor_publish('news', jsonb_build_object('word', op)) $$;
	SELECT actor_register('ear');
	SELECT actor_register('chain', hosted => true);
	SELECT actor_register('lazy', hosted => true, turn => 'lease');
	SELECT actor_keep_events('chain', 'news', '1 hour');
	SELECT actor_keep_events('lazy', 'news', '1 hour');
	SELECT actor_subscribe('news', 'ear', 'one', 'hear', 'chain', 'a');
	SELECT actor_subscribe('news', 'ear', 'one', 'hear', 'chain', 'b');
	SELECT actor_subscribe('news', 'ear', 'one', 'hear', 'chain');
	SELECT actor_subscribe('news', 'ear', 'one', 'hear', 'lazy', 'l');
});
my $folder = HostedApp::folder();
my @options = (
	database => $node->connstr('postgres') . ' user=shop',
	config => encode_json({
		entities => [ 'chain', 'lazy' ],
		entitiesConfig => [ { entities => ['chain'], reentrancy => { enabled => JSON::PP::true } } ] }),
	folder => $folder);
my $app = HostedApp->start(@options);
my $word = 0;

# What was heard since the last time; one more event says that all has come.
sub heard
{
	my $last = 'last' . ++$word;

	query(qq{SELECT actor_send('ear', 'one', 'hear', '{"word": "$last"}')});
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM ear.heard WHERE word = '$last'"), 'events come');
	my $words = query(q{SELECT string_agg(word, ' ' ORDER BY number) FROM ear.heard WHERE word !~ '^last'});
	query('TRUNCATE ear.heard');
	return $words;
}

sub kept
{
	my ($type, $id) = @_;

	return query("SELECT string_agg(payload ->> 'word', ' ' ORDER BY event_id) FROM actor_events('news', '$type'"
		. (defined $id ? ", '$id'" : '') . ')');
}

# A request as the application sends it, with the id of the call if there is one.
sub ask
{
	my ($host, $path, $body, $call, @headers) = @_;

	return $host->{http}->request('POST', "/v1.0/$path", encode_json($body),
		defined $call && $call ne '' ? ('Dapr-Reentrancy-Id' => $call) : (), @headers);
}

# Begins a method that waits at a gate before it adds something and ends well or not;
# the id of its call comes with it.
sub begin
{
	my ($host, $type, $id, $method) = @_;
	my $gate = 'gate' . ++$word;
	my $pending = $host->begin($type, $id, $method, { gate => $gate });

	ok($host->wait_for_line(what => 'at gate', more => $gate), "$method of $type $id runs");
	my ($line) = $host->lines(what => 'at gate', more => $gate);
	return sub {
		$host->open_gate($gate);
		return HostedApp::answer($pending)->{status};
	}, $line->{chain};
}

# in the turn of the actor ------------------------------------------------------------

my ($end) = begin($app, 'chain', 'a', 'slow');
my $answer = ask($app, 'actors/chain/a/topics/news', { word => 'good' });
is("$answer->{status} $answer->{content}", '200 {"id" : 1}', 'a method publishes in a topic of its actor');
is(kept('chain', 'a'), '', 'which is not committed yet');
is($end->(), 200, 'it succeeds');
is(kept('chain', 'a'), 'good', 'then the event is there');
is(heard(), 'good', 'and has come to those who have subscribed, once');

($end) = begin($app, 'chain', 'a', 'fail');
is(ask($app, 'actors/chain/a/topics/news', { word => 'bad' })->{content}, '{"id" : 2}', 'another one');
is($end->(), 500, 'fails');
is(kept('chain', 'a'), 'good', 'its event is not there');
is(heard(), '', 'and nobody has heard of it');

like($app->do('chain', 'a', 'request', { what => 'topics', name => 'news', body => { word => 'own' } }), qr/^200 \{"id" : 2\}/,
	'the application asks itself');
is($app->call('chain', 'a', 'request', { what => 'topics', name => 'news', body => { word => 'own bad' }, fail => JSON::PP::true })->{status},
	500, 'and fails');
is(heard() . ' ' . kept('chain', 'a'), 'own good own', 'the numbers have no gap');

($end) = begin($app, 'chain', 'a', 'slow');
is(ask($app, 'actors/chain/a/topics/quiet', { word => 'quiet' })->{content}, '{"id" : null}', 'one that is not kept');
is(ask($app, 'actors/chain/a/topics/quiet', 'no object')->{status}, 200, 'any JSON');
is($app->{http}->request('POST', '/v1.0/actors/chain/a/topics/news', '{')->{status}, 400, 'but JSON');
is($end->(), 200, 'an error of a request is not one of the method');

# by a method in SQL --------------------------------------------------------------------

sub calls
{
	my ($method, $word, %more) = @_;

	return { type => 'chain', id => 'b', method => $method, body => { word => $word }, amount => 1, %more };
}
is($app->do('chain', 'c', 'call', calls('announce', 'sql')), 1, 'a method in SQL publishes for the application');
like($app->do('chain', 'c', 'call', calls('announce_badly', 'sql bad', catch => JSON::PP::true)), qr/^400 .*no/,
	'one fails after that, which is caught');
is($app->call('chain', 'c', 'call', calls('announce_badly', 'sql worse'))->{status}, 500, 'or is not');
like($app->call('chain', 'd', 'transfer', { to => 'b', with => 'announce_deposit', amount => 5, op => 'sql lost' })->{message},
	qr/overdraft/, 'a caller fails after its callee has published');
is(kept('chain', 'b') . ' ' . heard(), 'sql sql', 'only that is there which has succeeded');

# what is for others, with the id of the call -----------------------------------------------

my $token = query(q{SELECT actor_invoke('ear', 'one', 'ask')}) =~ s/"//gr;
my @wishes = (
	[ 'topics/chain/news', { word => 'type' }, qr/^200 \{"id" : \d+\}$/ ],
	[ 'actors/chain/b/topics/news', { word => 'other' }, qr/^200 \{"id" : \d+\}$/ ],
	[ 'actors/ear/one/messages', { method => 'hear', data => { word => 'sent' } }, qr/^200 \{"id" : \d+\}$/ ],
	[ "promises/$token", 'settled', qr/^200 \{"settled" : true\}$/ ]);

# Asks for all of that.
sub wish
{
	my ($host, $id) = @_;

	for my $wish (@wishes)
	{
		my ($path, $body, $expected) = @$wish;
		my $got = ask($host, $path, $body, $id);

		like("$got->{status} $got->{content}", $expected, $path);
	}
	return;
}
my $before = kept('chain') . '/' . kept('chain', 'b');
for my $method ('fail', 'slow')
{
	my ($finish, $id) = begin($app, 'chain', 'a', $method);

	like($id, qr/^[0-9a-f-]{36}$/, 'a method with an id');
	wish($app, $id);
	is(kept('chain') . '/' . kept('chain', 'b'), $before, 'nothing is committed');
	is($finish->(), $method eq 'fail' ? 500 : 200, $method);
	my @words = sort split / /, heard();
	is("@words", $method eq 'fail' ? '' : 'other sent settled type', 'what was for others is in the transaction, too');
	for my $wish (@wishes, [ 'actors/chain/a/topics/news', { word => 'late' } ], [ 'actors/chain/a/reminders/late', { dueTime => '0s' } ])
	{
		my $got = ask($app, @$wish[ 0, 1 ], $id);

		like("$got->{status} $got->{code}", qr/^4\d\d ERR_ACTOR_(CONFLICT|INSTANCE_MISSING)$/, "$wish->[0] comes too late");
	}
	is(heard(), '', 'and has no effect');
}
is(ask($app, 'topics/chain/news', { word => 'free' }, $_)->{status}, 200, 'without an id of a call it is a transaction of its own')
  for undef, '00000000-0000-4000-8000-000000000000';
is(heard(), 'free free', 'as for everybody');

# in a turn whose chain is at another host ----------------------------------------------------

my $other = HostedApp->start(@options);
my @away;
ok($app->wait_for(sub {
	for my $id (map { "away$_" } 1 .. 20)
	{
		$app->call('chain', $id, 'noop');
	}
	@away = split /\n/, query(qq{SELECT actor_id FROM actor.placement p JOIN actor.host h USING (host_id)
		WHERE actor_id ~ '^away' AND h.app_address ~ ':$other->{app_port}\\y' ORDER BY 1});
	return @away > 0;
}), 'an actor is at another host');
my ($near) = split /\n/, query(qq{SELECT actor_id FROM actor.placement p JOIN actor.host h USING (host_id)
	WHERE actor_id ~ '^away' AND h.app_address ~ ':$app->{app_port}\\y' ORDER BY 1});
for my $method ('fail', 'slow')
{
	my $gate = 'gate' . ++$word;
	my $pending = $app->begin('chain', $near, 'call', { id => $away[0], method => $method, body => { gate => $gate } });

	ok($app->wait_for_line(what => 'at gate', more => $gate), "$method at another host");
	my ($line) = $app->lines(what => 'at gate', more => $gate);
	$token = query(q{SELECT actor_invoke('ear', 'one', 'ask')}) =~ s/"//gr;
	$wishes[3][0] = "promises/$token";
	is(ask($other, "actors/chain/$away[0]/topics/news", { word => 'far' })->{status}, 200, 'publishes');
	wish($other, $line->{chain});
	is(kept('chain', $away[0]), '', 'nothing is committed');
	$app->open_gate($gate);
	is(HostedApp::answer($pending)->{status}, $method eq 'fail' ? 500 : 200, $method);
	is(kept('chain', $away[0]), $method eq 'fail' ? '' : 'far', 'what was published is in the transaction of the chain');
	my @words = sort split / /, heard();
	is("@words", $method eq 'fail' ? '' : 'other sent settled type', 'and what was for others');
}
is($other->stop, 0, 'the other host ends');

# in a turn that is a lease --------------------------------------------------------------------

for my $method ('fail', 'slow')
{
	my ($finish) = begin($app, 'lazy', 'l', $method);

	$answer = ask($app, 'actors/lazy/l/topics/news', { word => 'lazy' });
	is("$answer->{status} $answer->{content}", '200 {"id" : null}', 'an event that has no number yet');
	for (1 .. 2)
	{
		$answer = ask($app, 'actors/lazy/l/messages', { method => 'add' }, undef, 'Idempotency-Key' => 'once');
		is("$answer->{status} $answer->{content}", '200 {"id" : null}', 'nor has a message');
	}
	is(kept('lazy', 'l'), '', 'nothing is committed');
	is(query(q{SELECT count(*) FROM actor.message WHERE actor_type = 'lazy'}), 0, 'nor sent');
	is($finish->(), $method eq 'fail' ? 500 : 200, $method);
	is(kept('lazy', 'l'), $method eq 'fail' ? '' : 'lazy', 'it is once the method has succeeded');
	is(heard(), $method eq 'fail' ? '' : 'lazy', 'to be heard once');
}
ok($node->poll_query_until('postgres', q{SELECT value = '2' FROM actor.state WHERE actor_id = 'l' AND key = 'value'}),
	'the message was delivered');
is($app->count(what => 'begin', id => 'l', method => 'add'), 1, 'once, as it has a request id');
is(join("\n", $app->unknown), '', 'the application has not been asked what it does not know');
is($app->stop, 0, 'the host ends');

$node->stop;
done_testing();
