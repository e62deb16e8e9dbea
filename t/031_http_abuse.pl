# actor-http under clients that misbehave, built with the sanitizers of the
# compiler: they must find no error and no leak.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd qw(abs_path);
use IO::Select;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_LINGER);
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}
if (system('printf "int main(void){return 0;}" | cc -fsanitize=address,undefined -x c - -o /dev/null 2>/dev/null') != 0)
{
	plan skip_all => 'the compiler has no sanitizers';
}

my $folder = ActorHttp::build('all fuzz', 'SANITIZE=address,undefined');

# the parsers, with random requests
$ENV{ASAN_OPTIONS} = 'detect_leaks=1';
for my $seed (1, time())
{
	my ($out, $err) = run_command([ "$folder/fuzz", $seed, 100000 ]);

	is($out, '100000 rounds', "random requests with seed $seed") or diag($err);
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
	SELECT actor_register('box');
});

sub start
{
	return ActorHttp->start(
		program => "$folder/actor-http",
		database => $node->connstr('postgres'),
		flags => [ '--pool-size=4', '--body-limit=100000', '--max-connections=600', @_ ]);
}

# nobody is too slow for this one
my $http = start('--request-timeout=600', '--idle-timeout=600');
my $call = "POST /v1.0/actors/box/a/method/add HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
local $SIG{PIPE} = 'IGNORE';

sub still_serves
{
	my ($name) = @_;

	ok($http->wait_for(sub { $http->request('POST', '/v1.0/actors/box/alive/method/echo', '1')->{status} == 200 }),
		"it serves after $name");
}

# closes so that the other side gets an error
sub reset_connection
{
	my ($socket) = @_;

	setsockopt($socket, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
	close $socket;
}

# many requests on connections that are kept
my @sockets = map { $http->socket } 1 .. 200;
my $answered = 0;
for my $round (1 .. 10)
{
	$_->syswrite($call) for @sockets;
	for my $socket (@sockets)
	{
		my $answer = '';

		while ($answer !~ /\r\n\r\n\d+$/)
		{
			last if !$socket->sysread($answer, 1000, length $answer);
		}
		$answered++ if $answer =~ m{^HTTP/1.1 200 };
	}
}
is($answered, 2000, '2000 calls on 200 connections');
is($node->safe_psql('postgres', q{SELECT value FROM actor.state WHERE actor_id = 'a'}), '2000', 'have run once each');
reset_connection($_) for @sockets;
still_serves('connections that were reset');
is($http->stop, 0, 'it ends orderly, so nothing was leaked');
my $log = $http->log;
$http = start('--request-timeout=2', '--idle-timeout=3');

# thousands that go away at every point of a request
my @points = ('', 'PO', "POST /v1.0/actors/box/b/method/add HTTP/1.1\r\n", substr($call, 0, -2),
	"POST /v1.0/actors/box/b/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[1,",
	"POST /v1.0/actors/box/b/method/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n",
	$call =~ s/box\/a/box\/b/r, ($call =~ s/box\/a/box\/b/r) x 3,
	"GET /v1.0/metadata HTTP/1.1\r\nHost: x\r\n\r\n", "GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n");
for my $i (1 .. 3000)
{
	my $socket = $http->socket;

	$socket->syswrite($points[ $i % @points ]);
	$i % 2 ? reset_connection($socket) : close $socket;
}
still_serves('3000 connections that were closed too early');

# slow clients are given up, and hold up nobody
my @slow = map { $http->socket } 1 .. 100;
$_->syswrite("POST /v1.0/actors/box/c/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n") for @slow;
still_serves('requests that do not go on');
my $select = IO::Select->new(@slow);
ok($http->wait_for(sub {
	for my $socket ($select->handles)
	{
		$select->remove($socket) if !defined $socket->syswrite('1') || ($select->can_read(0) && !$socket->sysread(my $end, 1000));
	}
	return $select->count == 0;
}), 'a body that comes byte by byte is not waited for');
my @silent = map { $http->socket } 1 .. 100;
$select = IO::Select->new(@silent);
ok($http->wait_for(sub {
	$select->remove($_) for grep { !$_->sysread(my $end, 1000) } $select->can_read(0);
	return $select->count == 0;
}), 'connections without a request are closed');

# a client that asks for much and reads nothing
my @deaf = map { $http->socket } 1 .. 20;
my $large = '"' . 'x' x 90000 . '"';
for my $socket (@deaf)
{
	$socket->blocking(0);
	$socket->syswrite("POST /v1.0/actors/box/d/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 90002\r\n\r\n$large") for 1 .. 20;
}
still_serves('clients that do not read');
reset_connection($_) for @deaf;

# bodies that are too large, announced or not
for my $size (100001, 1000000, 5000000)
{
	my $socket = $http->socket;

	$socket->syswrite("POST /v1.0/actors/box/e/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: $size\r\n\r\n");
	for (my $sent = 0; $sent < $size; $sent += 50000)
	{
		last if !defined $socket->syswrite('x' x ($size - $sent > 50000 ? 50000 : $size - $sent));
	}
	$socket->sysread(my $answer, 1000);
	like($answer // 'closed', qr{^HTTP/1.1 413|^closed|^$}, "a body of $size bytes");
}
my $socket = $http->socket;
$socket->syswrite("POST /v1.0/actors/box/e/method/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
for (1 .. 100)
{
	last if !defined $socket->syswrite("C350\r\n" . 'x' x 50000 . "\r\n");
}
reset_connection($socket);
still_serves('bodies that are too large');

# noise
srand(1);
for (1 .. 500)
{
	my $noise = join('', map { chr(int(rand(256))) } 1 .. 1 + int(rand(200)));

	$noise = "POST /v1.0/actors/box/$noise HTTP/1.1\r\nHost: x\r\n\r\n" if $_ % 2;
	$socket = $http->socket;
	$socket->syswrite($noise);
	reset_connection($socket);
}
still_serves('noise');

# more connections than there may be
my @many = grep { defined } map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}) } 1 .. 800;
reset_connection($_) for @many;
still_serves('too many connections');

# the database restarts while clients go on
my $child = fork();
if ($child == 0)
{
	my $failures = 0;

	$http->{client} = undef;
	for (1 .. 300)
	{
		my $status = $http->request('POST', '/v1.0/actors/box/f/method/add')->{status};

		$failures++ if $status != 200 && $status != 503;
	}
	require POSIX;
	POSIX::_exit($failures > 0);
}
for (1 .. 3)
{
	$node->stop('immediate');
	$node->start;
}
waitpid($child, 0);
is($?, 0, 'calls during restarts succeed or say why not');
still_serves('restarts of the database');

is($http->stop, 0, 'nor was anything later');
unlike($log . $http->log, qr/ERROR: |runtime error|SUMMARY|Sanitizer/, 'the sanitizers have found nothing')
  or diag($log . $http->log);

$node->stop;
done_testing();
