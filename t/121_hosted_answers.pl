# Applications whose answers are not what HTTP wants, or more than they should be: what
# has no certain end is an error, and nothing of one answer gets into another.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

# An application of which only the answers count: a file has that of each method.
my $folder = HostedApp::folder();
my $program = "$folder/app.pl";
append_to_file($program, <<'END');
use strict;
use IO::Socket::INET;
my ($folder) = @ARGV;
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $ENV{APP_PORT}, Listen => 64, ReuseAddr => 1) or die;
$SIG{CHLD} = 'IGNORE';
while (1)
{
	my $socket = $listener->accept or next;
	next if fork();
	close $listener;
	my $head = '';
	while (1)
	{
		$head .= $_ while $head !~ /\r\n\r\n/ && ($socket->sysread($_, 65536) || exit);
		my ($verb, $target) = $head =~ m{^(\S+) (\S+)};
		open(my $targets, '>>', "$folder/targets") or die;
		$targets->syswrite("$target\n");
		my $length = $head =~ /^content-length: (\d+)/mi ? $1 : 0;
		my ($rest) = $head =~ /\r\n\r\n(.*)/s;
		$rest .= $_ while length $rest < $length && ($socket->sysread($_, 65536) || exit);
		$head = '';
		my $answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
		my ($name) = $target =~ m{/method/([a-z]+)$};
		if ($target eq '/dapr/config')
		{
			my $config = '{"entities":["thing"]}';
			if (open(my $file, '<:raw', "$folder/config"))
			{
				local $/;
				$config = <$file>;
			}
			$answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($config) . "\r\n\r\n$config";
		}
		elsif (defined $name && open(my $file, '<:raw', "$folder/$name"))
		{
			local $/;
			$answer = <$file>;
		}
		$socket->syswrite($answer);
		exit if $answer =~ /^HTTP\S+ \d+ closes/;
		if (defined $name && $name eq 'late')
		{
			select(undef, undef, undef, 0.01) until -e "$folder/more";
			$socket->syswrite("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong");
			open(my $file, '>', "$folder/sent") or die;
		}
	}
}
END

my $node = HostedApp::server();
my $app = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	folder => $folder,
	command => [ $^X, $program, $folder ],
	flags => [ '--body-limit=100000', '--app-timeout=5' ]);
my $number = 0;

# Calls a method that has this answer.
sub answered
{
	my ($answer) = @_;
	my $name = 'm' . join('', map { chr(ord('a') + $_) } split //, sprintf '%04d', $number++);

	append_to_file("$folder/$name", $answer);
	my $got = $app->call('thing', 'a', $name);

	is($app->call('thing', 'b', 'noop')->{status}, 200, 'the next call has an answer of its own');
	return $got;
}

my $got = answered("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok");
is("$got->{status} $got->{content} $got->{headers}{'x-a'}", '200 ok b', 'a good answer');
$got = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
is("$got->{status} $got->{content}", '200 ok', 'one in chunks');
$got = answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n2\r\nok\r\n0\r\nX-A: b\r\nContent-Type: text/x-trailer\r\n\r\n");
is("$got->{status} $got->{content}", '200 ok', 'one with trailers');
is(join(' ', grep { /^(x-a|trailer|content-type)$/ } keys %{ $got->{headers} }), '', 'which are no headers');
$got = answered("HTTP/1.1 100 Continue\r\nX-A: no\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
is("$got->{status} $got->{content}", '200 ok', 'one after another that was none yet');
ok(!exists $got->{headers}{'x-a'}, 'whose headers do not count');
$got = answered("HTTP/1.1 200 closes\r\n\r\nok");
is("$got->{status} $got->{content}", '200 ok', 'one that ends with the connection');
$got = answered("HTTP/1.1 200 OK\r\nConnection: x-a, X-B\r\nX-B: 1\r\nX-A: 2\r\nConnection: x-c\r\nX-C: 3\r\nX-D: 4\r\nContent-Length: 0\r\n\r\n");
is(join(' ', sort grep { /^x-[a-d]$/ } keys %{ $got->{headers} }), 'x-d', 'headers for the connection only stay there');
$got = answered("HTTP/1.1 200 OK\r\nactor-host-outcome: answered\r\nDapr-Reentrancy-Id: x\r\nContent-Length: 0\r\n\r\n");
is(join(' ', grep { /^actor-host|^dapr-/ } keys %{ $got->{headers} }), '', 'so does what hosts say to each other');

$got = $app->call('thing', 'a', do {
	append_to_file("$folder/big", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: " . 'b' x 16_000 . "\r\n\r\nok");
	'big';
}, undef, 'X-B' => 'c' x 16_000);
is("$got->{status} $got->{content} " . length($got->{headers}{'x-a'} // ''), '200 ok 16000', 'big headers of both sides');

for my $case (
	[ 'two lengths', "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", qr/: the end of the answer is in doubt$/ ],
	[ 'the same length twice', "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok" ],
	[ 'a length and chunks', "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" ],
	[ 'chunks and a length', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n" ],
	[ 'another coding', "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" ],
	[ 'a length with a sign', "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok" ],
	[ 'a length that is none', "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok" ],
	[ 'a length that is more than there is', "HTTP/1.1 200 closes\r\nContent-Length: 20\r\n\r\nok" ],
	[ 'a chunk that is none', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n" ],
	[ 'a chunk that does not end', "HTTP/1.1 200 closes\r\nTransfer-Encoding: chunked\r\n\r\n20\r\nok" ],
	[ 'lines without CR', "HTTP/1.1 200 OK\nContent-Length: 2\n\nok" ],
	[ 'a space before the colon', "HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok" ],
	[ 'a NUL in a header', "HTTP/1.1 200 OK\r\nX-A: 1\0b\r\nContent-Length: 2\r\n\r\nok" ],
	[ 'no HTTP', "SSH-2.0-OpenSSH_9.2\r\n" ],
	[ 'no status', "HTTP/1.1 \r\n\r\n" ],
	[ 'a status that does not exist', "HTTP/1.1 700 What\r\nContent-Length: 2\r\n\r\nok" ],
	[ 'nothing', "HTTP/1.1 1 closes" ],
	[ 'a long body', "HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n" . 'x' x 100_001, qr/: the answer is longer than body_limit$/ ],
	[ 'a long body in chunks', "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" . ("8000\r\n" . 'x' x 0x8000 . "\r\n") x 4 . "0\r\n\r\n", qr/: the answer is longer than body_limit$/ ],
	[ 'long headers', "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: " . 'b' x 16_384 . "\r\n\r\nok", qr/: the headers of the answer are too long$/ ],
	[ 'headers without an end', "HTTP/1.1 200 OK\r\n" . ('X-A: ' . 'b' x 1000 . "\r\n") x 2000 ],
	[ 'an answer more', "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwrong" ])
{
	my ($what, $answer) = @$case;

	$got = answered($answer);
	is("$got->{status} $got->{code}", '500 ERR_ACTOR_INVOKE_METHOD', "$what is an error");
	like($got->{message}, $case->[2], 'which says why') if $case->[2];
}

# whether a folded line is one depends on libcurl; nobody after it sees two
$got = answered("HTTP/1.1 200 OK\r\nX-A: 1\r\n b\r\nContent-Length: 2\r\n\r\nok");
$got->{$_} //= '' for 'code', 'content';
like("$got->{status} $got->{code} $got->{content} " . ($got->{headers}{'x-a'} // ''),
	qr/^(500 ERR_ACTOR_INVOKE_METHOD .*|200  ok 1 b)$/s, 'a folded line is joined, or an error');

# an answer more that comes after the first one was taken: each worker has connections
# of its own, so there is one worker
is($app->{http}->stop, 0, 'the host ends');
push @{ $app->{flags} }, '--pool-size=1';
$app->start_host;
$app->wait_until_ready;
is($app->call('thing', 'a', 'late')->{status}, 200, 'an answer, and another one later');
append_to_file("$folder/more", '');
ok($app->wait_for(sub { -e "$folder/sent" }), 'which comes');
$got = $app->call('thing', 'b', 'noop');
is("$got->{status} $got->{content}", '200 ', 'is nobody\'s answer');

# what a name says stays a name
sub by_shop
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', 'shop' ]);
}
# (names that cannot be told from other paths are refused, see sql/hosted.sql)
by_shop(q{SELECT actor_send('thing', 'a', 'remind/escaped1')});
by_shop(q{SELECT actor_send('thing', '%2e%2e', 'timer/escaped2')});
by_shop(q{SELECT actor_set_reminder('thing', 'a', '%2F..%2Fescaped3', due_time => '0s')});
by_shop(q{SELECT actor_send('thing', 'a', 'as/it is/%3F')});
is($app->call('thing', 'a', 'remind/escaped5')->{status}, 200, 'what reminders are called by is no method');
my $targets;
ok($app->wait_for(sub { $targets = slurp_file("$folder/targets"); return (() = $targets =~ /escaped|it/g) >= 5 }), 'all names come');
is(join("\n", sort grep { /escaped|it/ } split /\n/, $targets), join("\n", sort map { "/actors/thing/$_" }
	'a/method/remind%2Fescaped1', '%252e%252e/method/timer%2Fescaped2', 'a/method/remind/%252F..%252Fescaped3',
	'a/method/as/it%20is/%253F', 'a/method/remind%2Fescaped5'),
	'as parts of the path of their actor');

is($app->stop, 0, 'the host ends');

# what an application says cannot make lines of the log, nor take the types of others
$node->safe_psql('postgres', q{CREATE SCHEMA theirs; SELECT actor_register('theirs', hosted => true)});
for my $config ('{"entities":["theirs"]}',
	'{"entities":["thing"],"actorIdleTimeout":"1\\nactor-http: all is well\\u001b[2J"}', "{\"entities\": \e[2J\nactor-http: all is well}")
{
	append_to_file("$folder/config", $config);
	my $bad = HostedApp->start(
		database => $node->connstr('postgres') . ' user=shop',
		folder => $folder,
		command => [ $^X, $program, $folder ],
		wait => 0);
	ok($bad->wait_for(sub { $bad->{http}->log =~ /could not work as a host|no JSON object/ }), 'an application whose types cannot be read');
	unlike($bad->{http}->log, qr/^actor-http: all|\e/m, 'has no lines in the log');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.host WHERE actor_types <> '{}'}), 0, 'and no types');
	is($bad->stop, 0, 'the host ends');
	unlink "$folder/config";
}
$node->stop;
done_testing();
