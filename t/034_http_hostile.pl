# actor-http under clients that want what belongs to others: requests whose end
# is in doubt, headers that never end, calls that keep everybody waiting,
# sessions that are left in disorder, and questions that need a token.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd qw(abs_path);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
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
	CREATE SCHEMA box;
	CREATE FUNCTION box.echo(payload jsonb) RETURNS jsonb STABLE LANGUAGE sql AS 'SELECT payload';
	CREATE FUNCTION box.add(n int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0) + n);
		RETURN actor_get('n', 0);
	END $$;
	CREATE FUNCTION box.wait_for_lock() RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); END $$;
	CREATE FUNCTION box.leave(what text) RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN EXECUTE what; END $$;
	CREATE FUNCTION box.has_number() RETURNS bool STABLE LANGUAGE plpgsql AS $$
	BEGIN
		RETURN lastval() > 0;
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		RETURN false;
	END $$;
	CREATE FUNCTION box.left_behind() RETURNS jsonb STABLE LANGUAGE sql AS $$
		SELECT jsonb_build_object(
			'read only', current_setting('default_transaction_read_only'),
			'path', current_setting('search_path'),
			'role', current_user,
			'session user', session_user,
			'secret', nullif(current_setting('box.secret', true), ''),
			'number', box.has_number(),
			'cursors', (SELECT count(*) FROM pg_cursors WHERE name = 'left'),
			'tables', (SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
			'statements', (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
			'channels', (SELECT count(*) FROM pg_listening_channels()),
			'locks', (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 77))
	$$;
	CREATE SEQUENCE box.numbers;
	CREATE FUNCTION box.process() RETURNS int STABLE LANGUAGE sql AS 'SELECT pg_backend_pid()';
	CREATE FUNCTION box.prepared() RETURNS bigint STABLE LANGUAGE sql
	AS 'SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql';
	CREATE ROLE box_user LOGIN SUPERUSER;
	SELECT actor_register('box');
});
my $program = ActorHttp::build('all') . '/actor-http';
my $http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres'),
	flags => [ '--request-timeout=2' ]);

sub answer
{
	my ($name, $request, $status, $content) = @_;
	my $response = $http->request(@$request);

	is("$response->{status} " . ($response->{code} // $response->{content}), "$status $content", $name)
	  or diag($response->{content});
	return $response;
}

# the answer of a method without a result
my $nothing = 'null';

# the ends of requests --------------------------------------------------------

my $target = '/v1.0/actors/box/a/method/echo';
my $smuggled = "GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n";
my $host = "Host: x\r\n";

# lines of a head after the first, or a whole request; and what follows
my @bad = (
	[ 'two lengths', "${host}Content-Length: 0\r\nContent-Length: 7\r\n\r\n", '{"n":1}' ],
	[ 'the same length twice', "${host}Content-Length: 7\r\nContent-Length: 7\r\n\r\n", '{"n":1}' ],
	[ 'two lengths in a line', "${host}Content-Length: 7, 7\r\n\r\n", '{"n":1}' ],
	[ 'a length with a sign', "${host}Content-Length: +7\r\n\r\n", '{"n":1}' ],
	[ 'a negative length', "${host}Content-Length: -7\r\n\r\n", '' ],
	[ 'a length in hexadecimal', "${host}Content-Length: 0x7\r\n\r\n", '{"n":1}' ],
	[ 'a length with a fraction', "${host}Content-Length: 7.0\r\n\r\n", '{"n":1}' ],
	[ 'an empty length', "${host}Content-Length:\r\n\r\n", '' ],
	[ 'a length beyond 64 bits', "${host}Content-Length: 18446744073709551623\r\n\r\n", '{"n":1}' ],
	[ 'a length and chunks', "${host}Content-Length: 12\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'chunks and a length', "${host}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "0\r\n\r\n" ],
	[ 'a space before the colon', "${host}Transfer-Encoding : chunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'the same for the length', "${host}Content-Length : 7\r\n\r\n", '{"n":1}' ],
	[ 'a tab in a name', "${host}Transfer\tEncoding: chunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'an unknown coding', "${host}Transfer-Encoding: xchunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'a coding that goes on', "${host}Transfer-Encoding: chunkedx\r\n\r\n", "0\r\n\r\n" ],
	[ 'two codings', "${host}Transfer-Encoding: gzip, chunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'chunks twice', "${host}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'identity', "${host}Transfer-Encoding: identity\r\nContent-Length: 7\r\n\r\n", '{"n":1}' ],
	[ 'an empty coding', "${host}Transfer-Encoding:\r\n\r\n", "0\r\n\r\n" ],
	[ 'a space after the coding', "${host}Transfer-Encoding: chunked \r\n\r\n", "0\r\n\r\n" ],
	[ 'a vertical tab before the coding', "${host}Transfer-Encoding:\x0bchunked\r\n\r\n", "0\r\n\r\n" ],
	[ 'bare line feeds', "Host: x\nContent-Length: 0\n\n", '' ],
	[ 'one bare line feed', "${host}X: y\nContent-Length: 7\r\n\r\n", '{"n":1}' ],
	[ 'one at the end of the head', "${host}Content-Length: 0\r\n\n", '' ],
	[ 'a bare carriage return', "${host}X: y\rContent-Length: 7\r\n\r\n", '{"n":1}' ],
	[ 'a zero byte', "${host}X: y\0Content-Length: 7\r\n\r\n", '{"n":1}' ],
	[ 'a continued line', "${host}Content-Length: 0\r\n 7\r\n\r\n", '' ],
	[ 'a first header that is continued', " X: y\r\n${host}Content-Length: 0\r\n\r\n", '' ],
	[ 'a line without a colon', "${host}Content-Length\r\n\r\n", '' ],
	[ 'a header without a name', "${host}: 7\r\n\r\n", '' ],
	[ 'no host', "Content-Length: 0\r\n\r\n", '' ],
	[ 'two hosts', "${host}Host: y\r\nContent-Length: 0\r\n\r\n", '' ],
	[ 'a host that is none', "Host: x, y\r\nContent-Length: 0\r\n\r\n", '' ],
	[ 'a chunk without a size', "${host}Transfer-Encoding: chunked\r\n\r\n", "\r\n\r\n" ],
	[ 'a size in words', "${host}Transfer-Encoding: chunked\r\n\r\n", "zz\r\n" ],
	[ 'a size with a sign', "${host}Transfer-Encoding: chunked\r\n\r\n", "+1\r\n1\r\n0\r\n\r\n" ],
	[ 'a size with a prefix', "${host}Transfer-Encoding: chunked\r\n\r\n", "0x1\r\n1\r\n0\r\n\r\n" ],
	[ 'a size that is too large', "${host}Transfer-Encoding: chunked\r\n\r\n", "10000000000000001\r\n1\r\n0\r\n\r\n" ],
	[ 'a size with a bare line feed', "${host}Transfer-Encoding: chunked\r\n\r\n", "1\n1\r\n0\r\n\r\n" ],
	[ 'an extension with one', "${host}Transfer-Encoding: chunked\r\n\r\n", "1;a\n1\r\n0\r\n\r\n" ],
	[ 'a chunk with one', "${host}Transfer-Encoding: chunked\r\n\r\n", "1\r\n1\n0\r\n\r\n" ],
	[ 'a chunk that is too long', "${host}Transfer-Encoding: chunked\r\n\r\n", "1\r\n11\r\n0\r\n\r\n" ],
	[ 'an end with a bare line feed', "${host}Transfer-Encoding: chunked\r\n\r\n", "1\r\n1\r\n0\n\n" ],
	[ 'a length in the trailer', "${host}Transfer-Encoding: chunked\r\n\r\n", "1\r\n1\r\n0\r\nContent-Length: 7\r\n\r\n" ]);
my @bad_first_lines = (
	[ 'HTTP/0.9', "POST $target\r\n\r\n" ],
	[ 'no version', "POST $target \r\n$host\r\n" ],
	[ 'two spaces', "POST  $target HTTP/1.1\r\n$host\r\n" ],
	[ 'a space in the target', "POST $target x HTTP/1.1\r\n$host\r\n" ],
	[ 'a space at the end', "POST $target HTTP/1.1 \r\n$host\r\n" ],
	[ 'a longer version', "POST $target HTTP/1.10\r\n$host\r\n" ],
	[ 'a version in lower case', "POST $target http/1.1\r\n$host\r\n" ],
	[ 'a bare line feed at its end', "POST $target HTTP/1.1\n$host\r\n" ],
	[ 'a space before it', " POST $target HTTP/1.1\r\n$host\r\n" ],
	[ 'a bare line feed before it', "\nPOST $target HTTP/1.1\r\n$host\r\n" ],
	[ 'a verb with a colon', "PO:ST $target HTTP/1.1\r\n$host\r\n" ],
	[ 'a control character in the target', "POST $target\x01 HTTP/1.1\r\n$host\r\n" ],
	[ 'chunks of HTTP/1.0', "POST $target HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ]);

# refused(NAME, BYTES): there is one answer, 400, and the connection is closed
sub refused
{
	my ($name, $bytes) = @_;
	my $answer = $http->raw($bytes . $smuggled, keep => 1);
	my @statuses = $answer =~ m{HTTP/1\.1 (\d+) }g;

	is("@statuses", '400', "$name: one answer");
	like($answer, qr{^Connection: close\r\n.*\r\n\r\n\{"errorCode":"ERR_BAD_REQUEST","message":"the request is not valid HTTP: [^"]+"\}$}ms,
		"$name: it says why");
}
refused($_->[0], "POST $target HTTP/1.1\r\n$_->[1]$_->[2]") for @bad;
refused($_->[0], $_->[1]) for @bad_first_lines;

# the same behind a request that is good: that is answered first
for my $good ($smuggled, "POST /v1.0/actors/box/a/method/add HTTP/1.1\r\n${host}Content-Length: 4\r\n\r\n[ 1]")
{
	my $answer = $http->raw("$good$good" . "POST $target HTTP/1.1\r\n$host: y\r\n\r\n$smuggled", keep => 1);
	my @statuses = $answer =~ m{HTTP/1\.1 (\d+) }g;

	like("@statuses", qr/^(204 204|200 200) 400$/, 'requests before a bad one are answered');
}

# byte by byte nothing is different
sub slowly
{
	my ($bytes) = @_;
	my $socket = $http->socket;
	my $answer = '';

	$socket->sockopt(Socket::TCP_NODELAY(), 1);
	for my $byte (split //, $bytes)
	{
		last if !defined $socket->syswrite($byte);
	}
	while (my $count = $socket->sysread(my $part, 65536))
	{
		$answer .= $part;
		last if $answer =~ /\r\n\r\n\[1\]$/;
	}
	return $answer;
}
{
	local $SIG{PIPE} = 'IGNORE';
	like(slowly("POST $target HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n"),
		qr{^HTTP/1.1 200 .*\r\n\r\n\[1\]$}s, 'chunks with a trailer, byte by byte');
	# libmicrohttpd 1.0.1 takes the end of an extension for data, and then finds no end of the chunk
	like(slowly("POST $target HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"),
		qr{^HTTP/1.1 (200 .*\r\n\r\n\[1\]$|400 )}s, 'chunks with an extension are read, or refused');
	like(slowly("POST $target HTTP/1.1\r\n${host}Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
		qr{^HTTP/1.1 400 }, 'a bad head, byte by byte');
}
like($http->raw("\r\n$smuggled\r\n\r\n$smuggled", keep => 1, until => qr{(204.*){2}\r\n\r\n$}s), qr{^HTTP/1.1 204 .*HTTP/1.1 204 }s,
	'empty lines between requests are harmless');
like($http->raw("POST $target HTTP/1.1\r\n${host}transfer-encoding:\tChunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n", keep => 1, until => qr/\[1\]$/),
	qr{^HTTP/1.1 200 }, 'names and codings do not depend on case');

# heads and bodies that do not come to an end, although something comes now and then
for my $start ("GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\nX: ", "POST $target HTTP/1.1\r\n${host}Content-Length: 100000\r\n\r\n")
{
	my $socket = $http->socket;
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	$socket->syswrite($start);
	$socket->blocking(0);
	ok($http->wait_for(sub {
		my $count = $socket->sysread($answer, 1000, length $answer);

		return 1 if defined $count && $count == 0;
		$socket->syswrite('x');
		return 0;
	}), 'a client that goes on and on is not waited for');
	like($answer, qr{^HTTP/1.1 408 .*ERR_REQUEST_TIMEOUT}s, 'and is told');
}

# a port of its own -----------------------------------------------------------

my ($stdout, $stderr) = ('', '');
ok(!IPC::Run::run([ $program, "--port=$http->{port}" ], '>', \$stdout, '2>', \$stderr), 'a port that is taken is refused');
like($stderr, qr/could not listen on 127.0.0.1, port $http->{port}: Address already in use/, 'with the reason');
is($http->stop, 0, 'it ends');

# one actor does not keep the others waiting ----------------------------------

# starts a call; returns a function that waits for its answer
sub in_background
{
	my (@request) = @_;

	pipe(my $reader, my $writer);
	my $pid = fork();
	if ($pid == 0)
	{
		$http->{client} = undef;
		my $r = $http->request(@request);

		print $writer "$r->{status} " . ($r->{code} // $r->{content}) . "\n";
		close $writer;
		require POSIX;
		POSIX::_exit(0);
	}
	close $writer;
	return sub { my $line = <$reader>; waitpid($pid, 0); chomp $line; $line };
}

my $timer = IPC::Run::timeout(180);
my ($in, $out) = ('', '');
my $session = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ], '<', \$in, '>', \$out, $timer);
$in .= "SELECT pg_advisory_lock(1);\n\\echo locked\n";
$session->pump until $out =~ /locked/;
$http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres'),
	flags => [ '--pool-size=4', '--actor-limit=2', '--queue-timeout=120' ]);
my @results = map { in_background('POST', "/v1.0/actors/box/held/method/wait_for_lock") } 1 .. 6;
$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_activity
	WHERE query LIKE 'SELECT public.actor_invoke%' AND wait_event_type = 'Lock'});
answer('other actors are served', [ 'POST', "/v1.0/actors/box/other$_/method/add" ], 200, '1') for 1 .. 5;
answer('the database is looked at for health', [ 'GET', '/v1.0/healthz' ], 204, '');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
	WHERE query LIKE 'SELECT public.actor_invoke%' AND wait_event_type = 'Lock'}), '2', 'the held one has its share');
$in .= "\\q\n";
$session->finish;
is($_->(), '200 ' . $nothing, 'and all its calls are answered') for @results;
is($http->stop, 0, 'it ends');

# what a method leaves behind -------------------------------------------------

# a session is clean after each of these, however it is connected
sub cleans
{
	my ($how, $options, $by) = @_;

	$http = ActorHttp->start(
		program => $program,
		database => $node->connstr('postgres') . $options,
		flags => ['--pool-size=1']);
	my $clean = decode_json($http->request('POST', '/v1.0/actors/box/a/method/left_behind')->{content});
	my $process = $http->request('POST', '/v1.0/actors/box/a/method/process')->{content};

	for my $what (
		q{SET default_transaction_read_only = on},
		q{SET search_path = box},
		q{SELECT set_config('box.secret', 'x', false)},
		# (one that hides behind another until the end of the transaction)
		q{SET search_path = box; SET LOCAL search_path TO DEFAULT},
		q{SET ROLE pg_read_all_data; SET LOCAL ROLE NONE},
		q{SET ROLE pg_read_all_data},
		q{SET SESSION AUTHORIZATION box_user},
		q{RESET ROLE},
		q{SET ROLE NONE},
		q{DECLARE "left" CURSOR WITH HOLD FOR SELECT 1},
		q{CREATE TEMP TABLE "left" (a int)},
		q{PREPARE "left" AS SELECT 1},
		# (the names of our own statements)
		q{DEALLOCATE ALL; SET search_path = box;} .
		  join(';', map { "PREPARE actor_http_$_ (text, text, text, jsonb, uuid, text) AS SELECT '\"stolen\"'::jsonb" } 0 .. 2) .
		  join(';', '', map { "PREPARE actor_http_$_ AS SELECT 1" } 3 .. 5),
		q{DEALLOCATE ALL},
		q{LISTEN "left"},
		q{SELECT nextval('box.numbers')},
		q{SELECT pg_advisory_lock(77)})
	{
		answer("$how: $what", [ 'POST', '/v1.0/actors/box/a/method/leave', encode_json([$what]) ], 200, $nothing);
		answer('and a call that writes', [ 'POST', '/v1.0/actors/box/clean/method/add', '[0]' ], 200, '0');
		is_deeply(decode_json($http->request('POST', '/v1.0/actors/box/a/method/left_behind')->{content}), $clean,
			'find a session that is clean');
	}
	is($http->request('POST', '/v1.0/actors/box/a/method/process')->{content}, $process, "$how: it is still the same one");
	# what survives an error
	for my $what (q{SELECT pg_advisory_lock(77)}, q{PREPARE "left" AS SELECT 1})
	{
		is($http->request('POST', '/v1.0/actors/box/a/method/leave', encode_json(["$what; SELECT 1/0"]))->{status}, 500,
			"$how: $what, and an error");
		is_deeply(decode_json($http->request('POST', '/v1.0/actors/box/a/method/left_behind')->{content}), $clean,
			'find a session that is clean');
	}
	answer("$how: even if cleaning is cut short", [ 'POST', '/v1.0/actors/box/a/method/leave', encode_json(['SET statement_timeout = 1']) ], 200, $nothing);
	is_deeply(decode_json($http->request('POST', '/v1.0/actors/box/a/method/left_behind')->{content}), $clean,
		'the next one is clean');
	# who has cleaned; what the last statement was is seen after the answer
	for ([ 'SELECT 1', $by eq 'server' ? 'invoke' : $by ], [ 'LISTEN "left"', $by eq 'server' ? 'keep' : $by ])
	{
		my ($what, $last) = @$_;

		# (where cleaning was cut short it is another one)
		$process = $http->request('POST', '/v1.0/actors/box/a/method/process')->{content};
		$http->request('POST', '/v1.0/actors/box/a/method/leave', encode_json([$what]));
		ok($node->poll_query_until('postgres', qq{SELECT query ~ '$last' AND state = 'idle' FROM pg_stat_activity WHERE pid = $process}),
			"$how: after $what the last statement is $last");
	}
	is($http->stop, 0, 'it ends');
	return $clean;
}
cleans('by the server', '', 'server');
$http = ActorHttp->start(program => $program, database => $node->connstr('postgres'), flags => ['--pool-size=1']);
$http->request('POST', '/v1.0/actors/box/a/method/prepared') for 1 .. 3;
answer('what is sent often is prepared', [ 'POST', '/v1.0/actors/box/a/method/prepared' ], 200, '1');
is($http->stop, 0, 'it ends');
is(cleans('with a role from the beginning', " options='-c role=box_user'", 'server')->{role}, 'box_user', 'that role is kept');
$node->safe_psql('postgres', q{
	REVOKE EXECUTE ON FUNCTION actor.keep_session_clean() FROM PUBLIC;
	REVOKE EXECUTE ON FUNCTION actor.clean_session() FROM PUBLIC});
cleans('by commands', ' user=box_user', 'DISCARD SEQUENCES');
# older extensions
$node->safe_psql('postgres', 'GRANT EXECUTE ON FUNCTION actor.clean_session() TO PUBLIC');
for my $function ('keep', 'clean')
{
	my $name = $function eq 'keep' ? 'actor.keep_session_clean()' : 'actor.clean_session()';

	$node->safe_psql('postgres', "ALTER EXTENSION actor DROP FUNCTION $name; DROP FUNCTION $name");
	cleans("without $name", '', $function eq 'keep' ? 'clean_session' : 'DISCARD SEQUENCES');
}
is(cleans('by commands, with a role from the beginning', " options='-c role=box_user'", 'DISCARD SEQUENCES')->{role}, 'box_user', 'that role is kept');

# without a token -------------------------------------------------------------

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
append_to_file("$folder/config", encode_json({
	database => 'host=/nowhere port=4711 user=secret_role',
	api_token => 'a',
	tokens => [ { token => 'b', database => $node->connstr('postgres') } ] }));
$http = ActorHttp->start(program => $program, database => 'host=/nowhere port=4711 user=secret_role',
	flags => ["--config=$folder/config"]);
ok($http->wait_for(sub { $http->log =~ /could not use the database: .*4711/ }),
	'a database that cannot be reached is in the log before anybody asks');
for my $path ('healthz', 'healthz/outbound', 'metadata', 'actors/box/a/method/add')
{
	for my $token ([], [ 'dapr-api-token', 'a' ])
	{
		unlike($http->request('GET', "/v1.0/$path", undef, @$token)->{content}, qr/nowhere|4711|secret_role/,
			"$path does not say where the database is");
	}
}
is($http->request('GET', '/v1.0/healthz')->{status}, 500, 'only that it cannot be used');
for my $token ('a', 'b')
{
	answer("a label of $token", [ 'PUT', '/v1.0/metadata/label', "of $token", 'dapr-api-token', $token ], 204, '');
}
for my $token ('a', 'b')
{
	my $metadata = decode_json($http->request('GET', '/v1.0/metadata', undef, 'dapr-api-token', $token)->{content});

	is_deeply($metadata->{extended}, { label => "of $token" }, "$token sees its own");
}
is($http->stop, 0, 'it ends');

$node->stop;
done_testing();
