# The page for operators: its port, its token, what it shows to whom and what it does
# are as doc/dashboard.json says, and cost the same however many actors there are.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use ApiDocument;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $document = ApiDocument->new("$FindBin::RealBin/../doc/dashboard.json");
my $api = $document->{api};
my $text = slurp_file("$FindBin::RealBin/../doc/dashboard.md");

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE shop LOGIN;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE ROLE stranger LOGIN;
	GRANT CREATE ON DATABASE postgres TO shop;
	CREATE EXTENSION actor});
$node->safe_psql('postgres', q{
	CREATE SCHEMA box;
	CREATE FUNCTION box.add(payload int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1); RETURN actor_get('n', 0); END $$;
	CREATE FUNCTION box.hear(event jsonb) RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION box.ask() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_promise('hear'); END $$;
	CREATE FUNCTION box.fail() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN RAISE 'poisoned by <b>secret</b>' USING DETAIL = 'a detail'; END $$;
	SELECT actor_register('box', history => 'changes', reentrancy => true);
	SELECT actor_invoke('box', 'a', 'add');
	SELECT actor_set_reminder('box', 'a', 'r', '1h', '1h', data => '{"payload": 1}', method => 'add');
	SELECT actor_set_timer('box', 'a', 't', '2h', method => 'add');
	SELECT actor_send('box', 'a', 'add', '[]', due_time => '3h');
	SELECT actor_set_reminder('box', 'f', 'r', method => 'fail', failure_policy => '{"drop": {}}');
	SELECT actor_send('box', 'sick', 'fail', failure_policy => '{"constant": {"interval": "1h", "maxRetries": 9}}');
	SELECT actor_pause('box', 'p')}, extra_params => [ '-U', 'shop' ]);
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM actor.failure');
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM actor.message WHERE attempt = 2');

my $program = ActorHttp::build('all') . '/actor-http';

# A program with a page for that role.
sub page
{
	my ($role, @flags) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $http = ActorHttp->start(
		program => $program,
		database => $node->connstr('postgres') . ' user=shop',
		flags => [ '--dashboard', "--dashboard-port=$port",
			'--dashboard-database=' . $node->connstr('postgres') . " user=$role", @flags ],
		env => { ACTOR_HTTP_DASHBOARD_TOKEN => 'open sesame', ACTOR_HTTP_API_TOKEN => 'of the API' });

	$http->{page} = "http://127.0.0.1:$port";
	return $http;
}

my $client = HTTP::Tiny->new(timeout => 180);

sub ask
{
	my ($http, $verb, $path, $body, $token) = @_;
	my $response = $client->request($verb, "$http->{page}$path", {
			headers => defined $token && $token eq '' ? {} : { Authorization => 'Bearer ' . ($token // 'open sesame') },
			defined $body ? (content => ref $body ? encode_json($body) : $body) : () });

	$response->{json} = JSON::PP->new->utf8->allow_nonref->decode($response->{content})
	  if ($response->{headers}{'content-type'} // '') eq 'application/json' && $response->{content} ne '';
	return $response;
}

# A view, which must be there.
sub show
{
	my ($http, $path) = @_;
	my $response = ask($http, 'GET', "/api/$path");

	is($response->{status}, 200, "$path is there") or diag($response->{content});
	return $response->{json};
}

# A command; whether it has changed anything, or the code of its error.
sub command
{
	my ($http, $name, $body) = @_;
	my $response = ask($http, 'POST', "/api/$name", $body);

	return $response->{status} == 200 ? ($response->{json}{changed} ? 'changed' : 'nothing') :
	  "$response->{status} $response->{json}{errorCode}";
}

# the program ---------------------------------------------------------------------

{
	my ($out, $err) = run_command([ $program, '--dashboard' ]);
	like($err, qr/ACTOR_HTTP_DASHBOARD_TOKEN/, 'without a token there is no page');
	local $ENV{ACTOR_HTTP_DASHBOARD} = 'maybe';
	($out, $err) = run_command([ $program ]);
	like($err, qr/ACTOR_HTTP_DASHBOARD must be on or off/, 'it is on or off');
	my $file = PostgreSQL::Test::Utils::tempdir . '/config.json';
	append_to_file($file, '{"dashboard": 1}');
	($out, $err) = run_command([ $program, "--config=$file" ]);
	like($err, qr/:1:15: "dashboard" must be true or false/, 'also in the file');
}

my $owner = page('shop');
like($owner->log, qr/the dashboard is at http:\/\/127\.0\.0\.1:\d+\//, 'it says where');

# the files -----------------------------------------------------------------------

my @files = glob("$FindBin::RealBin/../http/dashboard/*");
cmp_ok(scalar @files, '>', 4, 'there are files');
for my $file (@files)
{
	my $name = $file =~ s/.*\///r;
	my $response = ask($owner, 'GET', '/' . ($name eq 'index.html' ? '' : $name), undef, '');

	is($response->{status}, 200, "$name is served without a token");
	is($response->{content}, slurp_file($file), 'as it is');
	like($response->{headers}{'content-security-policy'},
		qr/^default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'/,
		'with a strict policy');
	is($response->{headers}{'x-content-type-options'}, 'nosniff', 'and no guessing');
	my $content = slurp_file($file) =~ s{http://www\.w3\.org/\S+}{}gr;
	unlike($content, qr{https?://|//[a-z]+\.}i, "$name asks no other host");
	unlike($content, qr/innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|cookie/,
		'and makes no markup of texts') if $name =~ /\.js$/;
	unlike($content, qr/<script(?![^>]*\bsrc=)|\bstyle=|\bon\w+=/, 'nor has any inside') if $name =~ /\.html$/;
}
is(ask($owner, 'GET', "/$_")->{status}, 404, "$_ is not there")
  for 'none', 'index.html', 'api', 'api/none', '../files.S', 'v1.0/metadata', 'metrics', 'v1.0/healthz', 'api/actor/x';
is($owner->request('GET', $_, undef, Authorization => 'Bearer open sesame', 'dapr-api-token' => 'of the API')->{status}, 404,
	"$_ is not at the port of clients") for '/', '/page.js', '/api/session';

# the token -------------------------------------------------------------------------

my @views = sort grep { $api->{paths}{$_}{get} } keys %{ $api->{paths} };
my @commands = sort grep { $api->{paths}{$_}{post} } keys %{ $api->{paths} };
for my $token ('', 'of the API', 'open', 'open sesame!', 'stranger')
{
	is_deeply([ map { ask($owner, 'GET', $_, undef, $token)->{status} } @views ], [ map { 401 } @views ],
		"token \"$token\" opens no view");
	is_deeply([ map { ask($owner, 'POST', $_, {}, $token)->{status} } @commands ], [ map { 401 } @commands ],
		'and no command');
}
is(ask($owner, 'GET', $_)->{json}{errorCode}, 'ERR_NOT_FOUND', "$_ is no view") for @commands;
is(ask($owner, 'POST', $_, {})->{json}{errorCode}, 'ERR_NOT_FOUND', "$_ is no command") for @views;
is(ask($owner, $_, '/api/pause', {})->{status}, 405, "$_ changes nothing") for 'PUT', 'DELETE', 'PATCH';
{
	my $response = ask($owner, 'OPTIONS', '/api/pause');
	is(join(' ', grep { /^access-control/ } keys %{ $response->{headers} }), '', 'other sites may ask for nothing');
}

# as described ----------------------------------------------------------------------

# What is wrong with an answer.
sub described
{
	my ($operation, $response) = @_;
	my $answer = $operation->{responses}{ $response->{status} } // $operation->{responses}{default};

	return $document->mismatch($response->{json}, $document->resolve($answer)->{content}{'application/json'}{schema}, 'the answer');
}

my $watcher = page('watcher');
my $stranger = page('stranger');
for my $path (@views, @commands)
{
	my ($verb) = map { uc } grep { /get|post/ } keys %{ $api->{paths}{$path} };
	my $operation = $api->{paths}{$path}{ lc $verb };
	my $query = join '&', map { "$_->{name}=" . $_->{example} =~ s/ /%20/gr } @{ $operation->{parameters} // [] };
	my $body = ($operation->{requestBody} // {})->{content}{'application/json'}{example};

	like($text, qr{\Q$path\E\b}, "$path is explained");
	for my $http ($owner, $watcher, $stranger)
	{
		next if $http != $owner && $verb eq 'POST';
		my $response = ask($http, $verb, $query ? "$path?$query" : $path, $body);
		is(described($operation, $response), '', "$path answers as described");
		is($response->{headers}{'cache-control'}, 'no-store', 'and is kept by nobody');
		is($response->{status}, 200, 'well') if $http == $owner && $path !~ /doctor/;
	}
	next if !$body;
	for my $wrong ('{', '[]', '{}', '{"type": 1, "failure": 1}')
	{
		my $response = ask($owner, $verb, $path, $wrong);
		is($response->{status}, 400, "$path refuses $wrong");
		is(described($operation, $response), '', 'as described');
	}
}

# what is shown, and to whom --------------------------------------------------------

# (the examples have changed some of it)
$node->safe_psql('postgres', q{
	SELECT actor_delete('box', 'a');
	SELECT actor_invoke('box', 'a', 'ask');
	SELECT actor_invoke('box', 'a', 'add');
	SELECT actor_set_reminder('box', 'a', 'r', '1h', '1h', data => '{"payload": 1}', method => 'add');
	SELECT actor_set_timer('box', 'a', 't', '2h', method => 'add');
	SELECT actor_send('box', 'a', 'add', '[]', due_time => '3h');
	SELECT actor_pause('box', 'p');
	SELECT actor_send('box', 'p', 'add');
	SELECT actor_keep_events('box', 'news', '2 days');
	SELECT actor_subscribe('news', 'box', 'reader', 'hear', 'box') , actor_subscribe('news', 'box', 'reader', 'hear', 'box', 'a'),
		actor_subscribe('news', 'box', 'other', 'hear', 'box'), actor_subscribe('weather', 'box', 'other', 'hear', 'box', 'a');
	SELECT actor_publish('news', '{"secret": 1}', 'box')}, extra_params => [ '-U', 'shop' ]);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM actor.message WHERE next_try_at = 'infinity'");
my $actor = show($owner, 'actor?type=box&id=a');
is_deeply([ map { "$_->{key} $_->{kind} $_->{value}" } @{ $actor->{state} } ], ['n number 1'], 'the owner sees state');
is($actor->{reminders}[0]{data}, '{"payload": 1}', 'and payloads');
is($actor->{timers}[0]{name}, 't', 'timers');
cmp_ok(scalar @{ $actor->{messages} }, '>=', 1, 'messages');
is($actor->{messages}[0]{payload}, '[]', 'with payloads');
ok($actor->{active} && $actor->{own}, 'that it is active, and his own');
is_deeply($actor->{history}[0]{changes}, [ { key => 'n', old => undef, new => '1' } ], 'and what has changed');
is(show($owner, 'actor?type=box&id=p')->{paused}[0]{role_name}, 'shop', 'a pause');
my $failures = show($owner, 'failures');
is("$failures->[0]{message} $failures->[0]{own}", 'poisoned by <b>secret</b> 1', 'the text of a failure');
is_deeply([ map { "$_->{topic} $_->{actor_id} $_->{subscribers} " . ($_->{last_event} // '') } @{ show($owner, 'events')->{topics} } ],
	[ 'news  2 1', 'news a 1 ', 'weather a 1 ' ], 'topics, and how many have subscribed');
is_deeply([ map { "$_->{topic_id} $_->{topic} $_->{method}" } @{ show($owner, 'actor?type=box&id=other')->{subscriptions} } ],
	[ ' news hear', 'a weather hear' ], 'subscriptions of an actor');
is_deeply([ map { join ' ', sort keys %$_ } @{ $actor->{promises} } ], ['created_at expires_at method role_name'], 'and promises, without their tokens');
is(show($owner, 'session')->{role}, 'shop', 'who he is');
is_deeply([ map { "$_->{kind} $_->{actor_id} $_->{attempt}" } @{ show($owner, 'due?step=1h&steps=5')->{retried} } ],
	['message sick 2'], 'what has failed and is tried again is found');
is_deeply([ map { "$_->{kind} $_->{actor_id}" } @{ show($owner, 'due?step=1h&steps=5')->{held} } ], ['message p'], 'and what is held');
is(ask($owner, 'GET', '/api/doctor')->{status}, 403, 'the doctor is for pg_monitor');

$actor = show($watcher, 'actor?type=box&id=a');
is_deeply([ $actor->{state}, $actor->{history} ], [ [], [] ], 'a monitor sees neither state nor history');
is($actor->{reminders}[0]{name}, 'r', 'names');
ok(!defined $actor->{reminders}[0]{data} && !defined $actor->{messages}[0]{payload}, 'no payloads');
$failures = show($watcher, 'failures?type=box');
ok($failures->[0]{sqlstate} eq 'P0001' && !defined $failures->[0]{message} && !$failures->[0]{own}, 'and no texts of errors');
ok(@{ show($watcher, 'doctor') } > 10, 'but what the doctor says');
my $events = show($watcher, 'events');
is_deeply([ $events->{topics}, $events->{kept}[0] ], [ [], { actor_type => 'box', topic => 'news', retention => '2 days' } ],
	'and which events are kept');
unlike(ask($watcher, 'GET', "/api/$_")->{content}, qr/secret|payload": 1/, "$_ tells no payload")
  for 'types', 'events', 'methods', 'turns', 'due?step=1h&steps=5', 'failures', 'actor?type=box&id=f', 'actor?type=box&id=a';

is_deeply(show($stranger, $_), [], "a stranger sees nothing of $_") for 'types', 'turns', 'failures';
is_deeply(show($stranger, 'events'), { waiting => 0, map { $_ => [] } qw(handed_out runs kept topics) }, 'nor of events');
is_deeply(show($stranger, 'methods'), { busiest => [], slowest => [], hot => [] }, 'nor of methods');
my $due = show($stranger, 'due?step=1h&steps=5');
is_deeply([ @$due{qw(counts late retried held next)} ], [ [], [], [], [], [] ], 'nor of what is due');
is(ask($stranger, 'GET', '/api/actors?type=box')->{status}, 403, 'nor of actors');
is(ask($stranger, 'GET', '/api/doctor')->{status}, 403, 'nor of the doctor');
$actor = show($stranger, 'actor?type=box&id=a');
is_deeply([ map { @{ $actor->{$_} } } qw(paused turns state reminders timers messages failures history
		subscriptions streams promises) ], [], 'nor of one actor');
ok(!$actor->{own} && !defined $actor->{active} && !defined $actor->{host}, 'not even that it is there');

# texts of others stay what they are
my $odd = q{<script>alert(1)</script>/"'&%00};
$node->safe_psql('postgres', sprintf(q{SELECT actor_invoke('box', %s, 'add')}, $node->safe_psql('postgres', "SELECT quote_literal(\$\$$odd\$\$)")));
is(show($owner, 'actors?type=box&prefix=%3Cscr')->[0]{actor_id}, $odd, 'any id is shown');
is(ask($owner, 'GET', '/api/actors?type=b%00ox')->{status}, 400, 'but no zero byte');
is(ask($owner, 'GET', '/api/actors?type=b%FFox')->{status}, 400, 'and what is no text');
is(ask($owner, 'GET', '/api/due?step=x&steps=1')->{status}, 400, 'a step is an interval');

# what it does ----------------------------------------------------------------------

is(command($owner, 'set_state', '{"type": "box", "id": "a", "key": "big", "value": 12345678901234567890.10}'), 'changed', 'a key is set');
is($node->safe_psql('postgres', "SELECT value FROM actor.state WHERE actor_id = 'a' AND key = 'big'"), '12345678901234567890.10', 'to what was sent');
$node->safe_psql('postgres', q{SELECT actor_transact('box', 'a', '[{"operation": "upsert", "request": {"key": "soon", "value": 1, "metadata": {"ttlInSeconds": "600"}}}]')});
is(command($owner, 'set_state', { type => 'box', id => 'a', key => 'soon', value => [2] }), 'changed', 'one that expires is set');
is($node->safe_psql('postgres', q{SELECT value, expires_at BETWEEN now() + '9min' AND now() + '11min' FROM actor.state WHERE actor_id = 'a' AND key = 'soon'}), '[2]|t', 'and still expires');
is(command($owner, 'remove_state', { type => 'box', id => 'a', key => 'soon' }), 'changed', 'and is removed');
is(command($owner, 'pause', { type => 'box', id => 'a' }), 'changed', 'an actor is paused');
is(command($owner, 'pause', { type => 'box', id => 'a' }), 'nothing', 'once');
is(command($owner, 'set_state', { type => 'box', id => 'a', key => 'k', value => 1 }), '409 ERR_ACTOR_NOT_READY', 'nothing is set meanwhile');
is(command($owner, 'resume', { type => 'box', id => 'a' }), 'changed', 'and goes on');
is(command($owner, 'pause', { type => 'box' }), 'changed', 'a type is paused');
is(command($owner, 'resume', { type => 'box' }), 'changed', 'and goes on');
is(command($owner, 'delete_reminder', { type => 'box', id => 'a', name => 'r' }), 'changed', 'a reminder is deleted');
is(command($owner, 'delete_timer', { type => 'box', id => 'a', name => 't' }), 'changed', 'a timer');
is(command($owner, 'cancel_message', { type => 'box', id => 'a', message => $_->{message_id} }), 'changed', 'a message')
  for @{ show($owner, 'actor?type=box&id=a')->{messages} };
is(command($owner, 'cancel_message', { type => 'box', id => 'a', message => 'x' }), '400 ERR_DASHBOARD', 'which has a number');
$failures = show($owner, 'failures');
$node->safe_psql('postgres', q{CREATE OR REPLACE FUNCTION box.fail() RETURNS void LANGUAGE sql AS ''});
is(command($owner, 'retry', { failure => $failures->[0]{failure_id} }), 'changed', 'a failure is retried');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.failure'), 'well');
is(command($owner, 'discard', { failure => $failures->[0]{failure_id} }), 'nothing', 'so there is none to be discarded');
$node->safe_psql('postgres', q{SELECT actor_open_turn('box', 'a')}, extra_params => [ '-U', 'shop' ]);
is(show($owner, 'actor?type=box&id=a')->{turns}[0]{pid}, undef, 'an open turn is shown');
is(command($owner, 'close_turn', { type => 'box', id => 'a' }), 'changed', 'and closed');
is(command($owner, 'delete', { type => 'box', id => 'a' }), 'changed', 'an actor is deleted');
is($node->safe_psql('postgres', "SELECT count(*) FROM actor.state WHERE actor_id = 'a'"), 0, 'with its state');
is(command($_, 'pause', { type => 'box', id => 'a' }), '403 ERR_ACTOR_PERMISSION_DENIED', 'others may do nothing') for $watcher, $stranger;

# who holds a turn is seen, and who waits does not wait for ever
my $holder = $node->background_psql('postgres', extra_params => [ '-U', 'shop' ]);
$holder->query_safe("BEGIN; SELECT actor_invoke('box', 'held', 'add')");
is(command($owner, 'delete', { type => 'box', id => 'held' }), '423 ERR_ACTOR_BUSY', 'whoever wants a turn that is held is told');
my ($turn) = @{ show($owner, 'turns') };
is("$turn->{actor_id} $turn->{state} $turn->{method} $turn->{session}", 'held holds add idle in transaction', 'and sees who has it');
$holder->query_safe('ROLLBACK');
$holder->quit;

# what it costs ---------------------------------------------------------------------

# Blocks that a statement touches; the second time, when nothing has to be learnt.
sub blocks
{
	my ($query) = @_;
	my $plan = $node->safe_psql('postgres', "SET ROLE shop; SELECT count(*) FROM ($query) q; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) $query");

	my $root = decode_json($plan =~ s/^\d+\n//r)->[0]{Plan};
	return $root->{'Shared Hit Blocks'} + $root->{'Shared Read Blocks'};
}

# Very many of everything.
sub fill
{
	my ($from, $to) = @_;

	$node->safe_psql('postgres', qq{
		CREATE TEMP TABLE one AS SELECT * FROM actor.reminder WHERE actor_id = 'model';
		INSERT INTO actor.state SELECT 'box', 'many ' || i, 'n', '1', now() FROM generate_series($from, $to) i;
		INSERT INTO actor.reminder SELECT n.* FROM one r, generate_series($from, $to) i,
			jsonb_populate_record(r, jsonb_build_object('actor_id', 'many ' || i, 'next_try_at', now() + '1 h' + i * interval '1 s')) n;
		INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, role_name, scheduled_at, failed_at, attempts, sqlstate, message)
			SELECT 'box', 'many ' || i, 'reminder', 'r', 'fail', 'shop', now(), now(), 1, 'P0001', 'm' FROM generate_series($from, $to) i
			 WHERE i % 10 = 0;
		INSERT INTO actor.message (actor_type, actor_id, method, due_at, next_try_at, queued, attempt, deferrals, role_name, sent_at, hosted)
			SELECT 'box', 'many ' || i, 'add', now() + '1 h', now() + '1 h', false, 1, 0, 'shop', now(), false FROM generate_series($from, $to) i});
	$node->safe_psql('postgres', 'VACUUM (ANALYZE) actor.state, actor.reminder, actor.failure, actor.message');
}

$node->safe_psql('postgres', q{SELECT actor_set_reminder('box', 'model', 'r', '2h', method => 'add')}, extra_params => [ '-U', 'shop' ]);
fill(1, 20000);
my %queries = (
	find => q{SELECT * FROM actor_find('box', 'many 5')},
	find_after => q{SELECT * FROM actor_find('box', 'many', 'many 2')},
	due => q{SELECT * FROM actor_due(now() + '3h', 50)},
	counts => q{SELECT * FROM actor_due_counts('1h', 24)},
	status => q{SELECT * FROM actor.type_status});
my %before = map { $_ => blocks($queries{$_}) } keys %queries;
fill(20001, 60000);
for my $name (sort keys %queries)
{
	my $after = blocks($queries{$name});
	cmp_ok($after, '<', $before{$name} * 1.5 + 100, "$name costs the same for three times as many: $before{$name}, then $after");
}
cmp_ok(blocks($queries{find}), '<', 20000, 'finding takes steps in indexes');
is(scalar @{ show($owner, 'actors?type=box&prefix=many%2015') }, 100, 'a page has a hundred');
is(scalar @{ show($owner, 'failures?type=box') }, 100, 'of failures, too');
{
	my $sql = slurp_file("$FindBin::RealBin/../http/dashboard.c");
	unlike($sql, qr/FROM actor\.(?:instance|queue)\b/, 'no view of the page reads all rows');
}

is($_->stop, 0, 'it ends') for $owner, $watcher, $stranger;
$node->stop;
done_testing();
