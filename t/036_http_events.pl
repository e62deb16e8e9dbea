# actor-http streams events: what clients get that come, go, and come again, are slow,
# lose their rights, or are many; and what that costs the database.
#
# ACTOR_LISTENERS has the number of idle clients for a longer run.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd qw(abs_path);
use IO::Select;
use IO::Socket::INET;
use IPC::Run qw(start finish);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_MAXSEG);
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE guest LOGIN;
	CREATE SCHEMA wire;
	GRANT USAGE ON SCHEMA wire TO guest;
	SELECT actor_register('wire');
	SELECT actor_keep_events('wire', 't', '1 hour');
	CREATE PROCEDURE wire.run(topic text, count int) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. count LOOP
			PERFORM actor_publish(topic, to_jsonb(i), 'wire', 'a');
			IF i % 3 = 0 THEN
				ROLLBACK;
				PERFORM actor_publish(topic, to_jsonb(i), 'wire', 'a');
			END IF;
			COMMIT;
		END LOOP;
	END $$;
});
my $program = ActorHttp::build('all') . '/actor-http';
my $config = abs_path(PostgreSQL::Test::Utils::tempdir) . '/config.json';
append_to_file($config, encode_json({
	api_token => 'secret', pool_size => 3, max_connections => 25000,
	tokens => [ { token => 'guest', database => $node->connstr('postgres') . ' user=guest' } ] }));

sub start_http
{
	my (%more) = @_;
	return ActorHttp->start(
		program => $program,
		database => $node->connstr('postgres'),
		flags => [ "--config=$config" ],
		headers => { 'dapr-api-token' => 'secret' }, %more);
}
my $http = start_http();
my $path = '/v1.0/actors/wire/a/topics';

sub publish
{
	my ($topic, $payload) = @_;

	return $node->safe_psql('postgres', "SELECT actor_publish('$topic', '$payload', 'wire', 'a')");
}

# clients -------------------------------------------------------------------

# A client of a stream; HTTP/1.0, so that there are no chunks to decode.  The connection of
# a narrow one takes little at a time.
sub open_stream
{
	my ($target, %headers) = @_;
	my $narrow = delete $headers{narrow};
	my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "could not make a socket: $!";
	if ($narrow)
	{
		setsockopt($socket, SOL_SOCKET, SO_RCVBUF, 4096) or die $!;
		setsockopt($socket, IPPROTO_TCP, TCP_MAXSEG, 536) or die $!;
	}
	$socket->connect(pack_sockaddr_in($http->{port}, inet_aton('127.0.0.1'))) or die "could not connect: $!";
	my $version = delete $headers{version} // '1.0';

	%headers = ('dapr-api-token' => 'secret', Accept => 'text/event-stream', %headers);
	print $socket "GET $target HTTP/$version\r\nHost: x\r\n"
	  . join('', map { "$_: $headers{$_}\r\n" } keys %headers) . "\r\n";
	return { socket => $socket, text => '', ended => 0 };
}

# Reads what there is, or waits until something holds of all that was read.
sub read_until
{
	my ($stream, $condition) = @_;
	my $select = IO::Select->new($stream->{socket});
	my $deadline = time + $PostgreSQL::Test::Utils::timeout_default;

	until ($condition->($stream->{text}))
	{
		return 0 if $stream->{ended} || time > $deadline;
		next if !$select->can_read(1);
		my $count = sysread($stream->{socket}, $stream->{text}, 65536, length $stream->{text});
		$stream->{ended} = 1 if !$count;
	}
	return 1;
}

sub events
{
	my ($text) = @_;
	return [ $text =~ /^id: (\d+)\ndata: /mg ];
}

sub has_events
{
	my ($count) = @_;
	return sub { @{ events($_[0]) } >= $count };
}

sub begins
{
	my ($stream) = @_;
	return read_until($stream, sub { $_[0] =~ /^retry: 1000\n(id: \d+\n)?\n/m });
}

# publishing, lists, and what is refused ------------------------------------

sub answer
{
	my ($name, $request, $status, $pattern) = @_;
	my $response = $http->request(@$request);

	is($response->{status}, $status, "$name: status");
	like($response->{content}, $pattern, $name);
}
answer('publishing', [ 'POST', "$path/t", '{"x": 1}' ], 200, qr/^\{"id" : 1\}$/);
answer('without a body', [ 'PUT', "$path/t" ], 200, qr/^\{"id" : 2\}$/);
answer('what is not kept', [ 'POST', "$path/other", '1' ], 200, qr/^\{"id" : null\}$/);
answer('in a topic of the type', [ 'POST', '/v1.0/topics/wire/t', '3' ], 200, qr/^\{"id" : 1\}$/);
answer('no JSON', [ 'POST', "$path/t", '{' ], 400, qr/ERR_MALFORMED_REQUEST/);
answer('by a stranger', [ 'POST', "$path/t", '1', 'dapr-api-token' => 'guest' ], 403, qr/permission denied to publish/);
answer('a list', [ 'GET', "$path/t" ], 200, qr/^\[\{"id" : 1, "publishedAt" : "[^"]*Z", "data" : \{"x": 1\}\}, \{"id" : 2, .*"data" : null\}\]$/);
answer('the rest of it', [ 'GET', "$path/t?after=1" ], 200, qr/^\[\{"id" : 2, [^[{]*\}\]$/);
answer('of the type', [ 'GET', '/v1.0/topics/wire/t' ], 200, qr/^\[\{"id" : 1, .*"data" : 3\}\]$/);
answer('of no type', [ 'GET', '/v1.0/topics/none/t' ], 404, qr/does not exist/);
answer('after what is no number', [ 'GET', "$path/t?after=-1" ], 400, qr/ERR_MALFORMED_REQUEST/);
answer('after more than a number', [ 'GET', "$path/t?after=99999999999999999999" ], 400, qr/ERR_MALFORMED_REQUEST/);
answer('HEAD', [ 'HEAD', "$path/t", undef, Accept => 'text/event-stream' ], 200, qr/^$/);
answer('a stream of what is not kept', [ 'GET', "$path/other", undef, Accept => 'text/event-stream' ],
	404, qr/events of topic .* are not kept/);
answer('of no type', [ 'GET', '/v1.0/actors/none/a/topics/t', undef, Accept => 'text/event-stream' ], 404, qr/does not exist/);
answer('with a wrong token', [ 'GET', "$path/t", undef, Accept => 'text/event-stream', 'dapr-api-token' => 'x' ],
	401, qr/ERR_UNAUTHORIZED/);

# subscriptions -------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE FUNCTION wire.hear(payload jsonb) RETURNS void LANGUAGE sql
		AS $$ SELECT actor_set('heard', payload) $$;
	CREATE FUNCTION wire._secret(payload jsonb) RETURNS void LANGUAGE sql AS '';
	REVOKE EXECUTE ON FUNCTION wire.hear(jsonb) FROM guest});
my $subscriptions = '/v1.0/actors/wire/ear/subscriptions';
my $topic_of_a = '{"topicType": "wire", "topicId": "a", "method": "hear"}';
answer('no subscriptions', [ 'GET', $subscriptions ], 200, qr/^\[\]$/);
answer('subscribing', [ 'POST', "$subscriptions/said", $topic_of_a ], 200, qr/^\{"created" : true\}$/);
answer('once more', [ 'PUT', "$subscriptions/said", $topic_of_a ], 200, qr/^\{"created" : false\}$/);
answer('to a topic of the type', [ 'POST', "$subscriptions/said",
		'{"topicType": "wire", "method": "hear", "failurePolicy": {"drop": {}}}' ], 200, qr/^\{"created" : true\}$/);
answer('a list', [ 'GET', $subscriptions ], 200,
	qr/^\[\{"id":1,"topic":"said","topicType":"wire","topicId":"a","method":"hear","subscribedAt":"[^"]*Z"\}, \{"id":\d+,"topic":"said","topicType":"wire","method":"hear","failurePolicy":\{"drop":\{\}\},"subscribedAt":"[^"]*Z"\}\]$/);
answer('the rest of it', [ 'GET', "$subscriptions?after=1" ], 200, qr/^\[\{"id":(?!1,)[^[]*"drop"[^[]*\]$/);
answer('a stranger sees none', [ 'GET', $subscriptions, undef, 'dapr-api-token' => 'guest' ], 200, qr/^\[\]$/);
answer('of no type', [ 'GET', '/v1.0/actors/none/ear/subscriptions' ], 404, qr/does not exist/);
answer('without a method', [ 'POST', "$subscriptions/said", '{"topicType": "wire"}' ], 400, qr/member \\"method\\" is missing/);
answer('a method that is none', [ 'POST', "$subscriptions/said", '{"topicType": "wire", "method": 1}' ], 400, qr/must be a string/);
answer('no object', [ 'POST', "$subscriptions/said", '[]' ], 400, qr/must be an object/);
answer('no JSON', [ 'POST', "$subscriptions/said", '{' ], 400, qr/ERR_MALFORMED_REQUEST/);
answer('whose topic is not said', [ 'POST', "$subscriptions/said", '{"method": "hear"}' ], 400, qr/topic_type must not be null/);
answer('a topic of no type', [ 'POST', "$subscriptions/said", '{"topicType": "none", "method": "hear"}' ], 404, qr/does not exist/);
answer('no such method', [ 'POST', "$subscriptions/said", '{"topicType": "wire", "method": "none"}' ], 404, qr/none/);
answer('a policy that is none', [ 'POST', "$subscriptions/said",
		'{"topicType": "wire", "method": "hear", "failurePolicy": {"no": {}}}' ], 400, qr/ERR_/);
answer('a name that cannot be', [ 'POST', "$subscriptions/a%2Fb", $topic_of_a ], 400, qr/ERR_BAD_REQUEST/);
answer('another one\'s', [ 'POST', "$subscriptions/said", $topic_of_a, 'dapr-api-token' => 'guest' ], 403, qr/permission denied/);
answer('its end by a stranger', [ 'DELETE', "$subscriptions/said?topicType=wire&topicId=a", undef, 'dapr-api-token' => 'guest' ],
	403, qr/permission denied/);
answer('publishing to it', [ 'POST', "$path/said", '"hello"' ], 200, qr/^\{"id" : null\}$/);
ok($node->poll_query_until('postgres', q{SELECT value = '"hello"' FROM actor.state WHERE actor_id = 'ear' AND key = 'heard'}),
	'reaches the subscriber');
answer('its end', [ 'DELETE', "$subscriptions/said?topicType=wire&topicId=a" ], 200, qr/^\{"ended" : true\}$/);
answer('once only', [ 'DELETE', "$subscriptions/said?topicType=wire&topicId=a" ], 200, qr/^\{"ended" : false\}$/);
answer('that of the type', [ 'DELETE', "$subscriptions/said?topicType=wire" ], 200, qr/^\{"ended" : true\}$/);
answer('without its type', [ 'DELETE', "$subscriptions/said" ], 400, qr/topic_type must not be null/);

# streams -------------------------------------------------------------------

my $new = open_stream("$path/t");
ok(begins($new), 'a stream begins');
like($new->{text}, qr{^HTTP/1\.[01] 200 OK\r\n.*Content-Type: text/event-stream\r\n}s, 'as such');
like($new->{text}, qr/^id: 2\n\n/m, 'with the number of the last event');
my $old = open_stream("$path/t", 'Last-Event-ID' => 1);
my $all = open_stream("$path/t?after=0", version => '1.1');
my $of_type = open_stream('/v1.0/topics/wire/t?after=0', 'dapr-api-token' => 'guest');
ok(read_until($old, has_events(1)), 'one that goes on gets what has been missed');
publish('t', '{"text": "line\nbreak"}');
ok(read_until($_, sub { $_[0] =~ /^id: 3\ndata: \{"text": "line\\nbreak"\}\n\n/m }), 'all get what is new')
  foreach ($new, $old, $all);
is_deeply(events($new->{text}), [3], 'and nothing else');
is_deeply(events($old->{text}), [ 2, 3 ], 'in order');
like($all->{text}, qr/Transfer-Encoding: chunked/, 'in chunks where there are such');
ok(read_until($of_type, sub { $_[0] =~ /^id: 1\ndata: 3\n\n/m }), 'topics of types have streams');
is_deeply(events($of_type->{text}), [1], 'of their own');
my $beyond = open_stream("$path/t", 'Last-Event-ID' => 100);
ok(read_until($beyond, sub { $_[0] =~ /^id: 3\nevent: reset\ndata: \{"after":100,"last":3\}\n\n/m }),
	'one that has seen more than there is is told so');
publish('t', '4');
ok(read_until($beyond, has_events(1)), 'gets what comes');

# what is kept no longer
$node->safe_psql('postgres', "UPDATE actor.event SET expires_at = now() - interval '1 s' WHERE event_id < 4");
my $late = open_stream("$path/t", 'Last-Event-ID' => 1);
ok(read_until($late, has_events(1)), 'who is late');
like($late->{text}, qr/^event: gap\ndata: \{"after":1,"next":4\}\n\nid: 4\n/m, 'is told what is gone');

# rights --------------------------------------------------------------------

my $guest = open_stream("$path/t", 'dapr-api-token' => 'guest');
ok(begins($guest), 'another role');
$node->safe_psql('postgres', 'REVOKE USAGE ON SCHEMA wire FROM guest');
publish('t', '"secret"');
ok(read_until($new, has_events(3)), 'who may gets it');
ok(!read_until($guest, sub { $_[0] =~ /secret/ }) && $guest->{ended}, 'who may not any more is at the end');
answer('and does not come again', [ 'GET', "$path/t", undef, Accept => 'text/event-stream', 'dapr-api-token' => 'guest' ],
	403, qr/permission denied/);
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA wire TO guest');
close $_->{socket} foreach ($new, $old, $all, $of_type, $beyond, $late, $guest);

# a type that goes
$node->safe_psql('postgres', q{
	CREATE SCHEMA gone;
	SELECT actor_register('gone'), actor_keep_events('gone', 't', '1 hour')});
my $renamed = open_stream('/v1.0/topics/gone/t');
ok(begins($renamed), 'a stream of a type that is renamed then');
$node->safe_psql('postgres', q{SELECT actor_rename('gone', 'went')});
ok(!read_until($renamed, sub { 0 }) && $renamed->{ended}, 'ends');
$renamed = open_stream('/v1.0/topics/went/t');
ok(begins($renamed), 'and begins again under the new name');
$node->safe_psql('postgres', q{SELECT actor_unregister('went')});
ok(!read_until($renamed, sub { 0 }) && $renamed->{ended}, 'it ends with the type');

# slow clients --------------------------------------------------------------

# Bytes that wait in actor-http for clients.
sub unsent
{
	my ($bytes) = $http->request('GET', '/metrics')->{content} =~ /^actor_http_stream_bytes (\d+)$/m;
	return $bytes;
}

# The most memory that actor-http has had, in kB.
sub memory
{
	return slurp_file("/proc/$http->{pid}/status") =~ /^VmHWM:\s*(\d+)/m ? $1 : die 'no VmHWM';
}

my $slow = open_stream("$path/t");
my $quick = open_stream("$path/t");
ok(begins($slow) && begins($quick), 'two clients');
$node->safe_psql('postgres', q{
	SELECT count(actor_publish('t', to_jsonb(repeat('x', 10000)), 'wire', 'a')) FROM generate_series(1, 2000)});
ok(read_until($quick, has_events(2000)), 'one that is slow holds up nobody');
publish('t', '"last"');
ok(read_until($slow, sub { $_[0] =~ /"last"/ }), 'and gets all');
is_deeply(events($slow->{text}), [ map { $_ + 5 } 1 .. 2001 ], 'each once, in order');
close $_->{socket} foreach ($slow, $quick);

# one that always has something left to read: what it has read is forgotten
my $narrow = open_stream("$path/t?after=5", narrow => 1);
my $before = memory();
my $behind_always = 0;
foreach my $part (1 .. 100)
{
	my $end = length($narrow->{text}) + 32768;

	$behind_always += $http->wait_for(sub { unsent() >= 65536 });
	read_until($narrow, sub { length $_[0] >= $end });
}
is($behind_always, 100, 'a client is behind all the time');
cmp_ok(memory() - $before, '<', 1500, 'and takes no more memory for that');
close $narrow->{socket};

# one that has much to catch up with, and takes it as fast as it comes
$node->safe_psql('postgres', q{SELECT actor_keep_events('wire', 'new', '1 hour')});
my $head = open_stream("$path/t");
my $other = open_stream("$path/new");
ok(begins($head) && begins($other), 'two clients that wait for what is new');
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE actor.event');
my $behind = open_stream("$path/t?after=5");
ok(begins($behind), 'one that has much to catch up with');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted}), 'which is about to be read');
$lock->query_safe(q{SELECT actor_publish('new', '"there"', 'wire', 'a'), actor_publish('t', '"here"', 'wire', 'a')});
$lock->query_safe('COMMIT');
$lock->quit;
my %got_at;
my $all_of_them = IO::Select->new(map { $_->{socket} } ($head, $other, $behind));
while (keys %got_at < 2 && $all_of_them->can_read($PostgreSQL::Test::Utils::timeout_default))
{
	foreach my $stream ($head, $other, $behind)
	{
		my $select = IO::Select->new($stream->{socket});
		next if !$select->can_read(0);
		sysread($stream->{socket}, $stream->{text}, 65536, length $stream->{text}) or die 'it has ended';
		$got_at{$stream} //= length $behind->{text} if $stream != $behind && @{ events($stream->{text}) } > 0;
	}
}
my $half = 10_000_000;
cmp_ok($got_at{$head}, '<', $half, 'does not hold up others of its topic');
cmp_ok($got_at{$other}, '<', $half, 'nor those of another one');
ok(read_until($behind, has_events(2002)), 'and gets all');
is_deeply(events($behind->{text}), [ map { $_ + 5 } 1 .. 2002 ], 'each once, in order');
close $_->{socket} foreach ($head, $other, $behind);

# many ----------------------------------------------------------------------

my $many = $ENV{ACTOR_LISTENERS} // 200;
my $sessions = q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'actor-http' AND usename <> 'guest'};
my @idle = map { open_stream("$path/t") } 1 .. $many;
is(scalar(grep { begins($_) } @idle), $many, 'many listen');
cmp_ok($node->safe_psql('postgres', $sessions), '<=', 3 + 1, 'with one connection beside the pool');
# those that are gone are noticed when they are sent the next comment
ok($http->wait_for(sub { $http->request('GET', '/metrics')->{content} =~ /^actor_http_streams $many$/m }), 'which metrics count');
publish('t', '"for all"');
is(scalar(grep { read_until($_, has_events(1)) } @idle), $many, 'all get an event');
close $_->{socket} foreach @idle;

# clients that come and go, while the server does, too ------------------------

$node->safe_psql('postgres', q{SELECT actor_keep_events('wire', 'busy', '1 hour')});
my $count = 300;
my @readers = map { { seen => [], last => undef } } 1 .. 6;
my @publishers = map {
	my ($out, $err) = ('', '');
	start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL wire.run('busy', $count / 2)" ],
		'<', \undef, '>', \$out, '2>', \$err);
} 1, 2;

# Reads some more events, and goes away.
sub read_some
{
	my ($reader, $wanted) = @_;
	my $stream = open_stream("$path/busy", 'Last-Event-ID' => $reader->{last} // 0);
	my $got = read_until($stream, has_events($wanted));

	# what is not there to its end was not seen
	foreach my $event ($stream->{text} =~ /^id: (\d+)\ndata: \d+\n\n/mg)
	{
		push @{ $reader->{seen} }, $event;
		$reader->{last} = $event;
	}
	$reader->{gap} = 1 if $stream->{text} =~ /event: gap/;
	close $stream->{socket};
	return $got;
}
foreach my $round (1 .. 24)
{
	my $reader = $readers[ $round % @readers ];
	my $left = $count - @{ $reader->{seen} };
	my $wanted = 1 + $round % 7;

	# it may have got more than it wanted, and then not all of the rounds are needed
	read_some($reader, $wanted < $left ? $wanted : $left) if $left > 0;
}
finish $_ foreach @publishers;
# a stream that is there all the time outlives the database
my $staying = open_stream("$path/busy", 'Last-Event-ID' => $count);
ok(begins($staying), 'a stream');
$node->stop('immediate');
$node->start;
publish('busy', $count + 1);
ok(read_until($staying, has_events(1)), 'outlives the server that it is of');
foreach my $reader (@readers)
{
	while (@{ $reader->{seen} } < $count + 1)
	{
		read_some($reader, $count + 1 - @{ $reader->{seen} }) or last;
	}
}
is_deeply([ map { $_->{seen} } @readers ], [ ([ 1 .. $count + 1 ]) x @readers ],
	'clients that come and go see each event once, in order');
is(scalar(grep { $_->{gap} } @readers), 0, 'without a gap');

# a database that is restored, or fails over to a standby that was behind -----

$node->safe_psql('postgres', q{SELECT actor_keep_events('wire', 'back', '1 hour')});
my @back = map { open_stream("$path/back") } 1, 2;
is(scalar(grep { begins($_) } @back), 2, 'two streams');
publish('back', $_) foreach 1 .. 5;
is(scalar(grep { read_until($_, has_events(5)) } @back), 2, 'have seen some events');
my $quiet = open_stream("$path/t");
ok(begins($quiet), 'and one of a topic of which nothing is lost');
# nothing tells of what is done by hand, until all sessions are new
$node->safe_psql('postgres', q{
	DELETE FROM actor.event WHERE topic = 'back' AND event_id > 2;
	UPDATE actor.stream SET last_event = 2 WHERE topic = 'back'});
$node->stop('immediate');
$node->start;
is(scalar(grep { read_until($_, sub { $_[0] =~ /^id: 2\nevent: reset\ndata: \{"after":5,"last":2\}\n\n/m }) } @back), 2,
	'they are told that the numbers went back');
publish('back', '"new"');
is(scalar(grep { read_until($_, sub { $_[0] =~ /^id: 3\ndata: "new"\n\n/m }) } @back), 2, 'and get what comes then');
publish('t', '"still"');
ok(read_until($quiet, has_events(1)), 'as does the other one');
unlike($quiet->{text}, qr/event: reset/, 'which is told nothing');
unlike($staying->{text}, qr/event: reset/, 'nor are others');
close $_->{socket} foreach @back, $quiet;

# the end -------------------------------------------------------------------

is($http->stop, 0, 'it ends although there are streams');
ok(!read_until($staying, sub { 0 }) && $staying->{ended}, 'which end with it');
$node->stop;
done_testing();
