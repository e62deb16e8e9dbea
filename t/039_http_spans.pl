# Spans of OpenTelemetry that actor-http sends: of requests and of calls of an
# application, below what clients say, and at no cost for anybody when the collector is
# away.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

# A collector: a process that writes down what it gets, one body a line.
my $port = PostgreSQL::Test::Cluster::get_free_port();
my $file = PostgreSQL::Test::Utils::tempdir . '/spans';
my $collector;

sub start_collector
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 16, ReuseAddr => 1)
	  // die "could not listen: $!";

	$collector = fork() // die "could not fork: $!";
	return if $collector;
	while (my $client = $socket->accept)
	{
		while (defined(my $head = read_head($client)))
		{
			my ($length) = $head =~ /^content-length: (\d+)/mi;
			my $body = '';

			while (length $body < $length)
			{
				last if !$client->sysread($body, $length - length $body, length $body);
			}
			append_to_file($file, ($head =~ m{^POST /v1/traces }
				  && $head =~ m{^content-type: application/json\r$}mi ? $body : '{}') . "\n");
			$client->syswrite("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
		}
	}
	require POSIX;
	POSIX::_exit(0);
}

sub read_head
{
	my ($client) = @_;
	my $head = '';

	while ($head !~ /\r\n\r\n$/)
	{
		return undef if !$client->sysread($head, 1, length $head);
	}
	return $head;
}

sub stop_collector
{
	kill 'KILL', $collector;
	waitpid($collector, 0);
	$collector = undef;
}

END
{
	local $?;
	stop_collector() if $collector;
}

# The spans so far, each with its attributes as a hash.
sub spans
{
	my @spans;

	for my $line (grep { /\}$/ } split /\n/, -e $file ? slurp_file($file) : '')
	{
		my $batch = decode_json($line)->{resourceSpans}[0];

		for my $span (@{ $batch->{scopeSpans}[0]{spans} })
		{
			$span->{service} = $batch->{resource}{attributes}[0]{value}{stringValue};
			$span->{attributes} = { map { $_->{key} => (values %{ $_->{value} })[0] } @{ $span->{attributes} } };
			push @spans, $span;
		}
	}
	return @spans;
}

my $node = HostedApp::server();
$node->safe_psql('postgres', 'GRANT pg_monitor TO shop');
$node->safe_psql('postgres', q{
	CREATE SCHEMA box;
	CREATE FUNCTION box.trace() RETURNS text LANGUAGE sql AS $$ SELECT current_setting('actor.traceparent', true) $$;
	CREATE FUNCTION box.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'x' USING ERRCODE = 'PT500'; END $$;
	SELECT actor_register('box')}, extra_params => [ '-U', 'shop' ]);
start_collector();
my $app = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	types => ['counter'],
	flags => [ "--otlp-endpoint=http://127.0.0.1:$port/v1/traces", '--app-id=my shop' ]);
my $http = $app->{http};

# Waits for a span; the first one that fits.
sub span
{
	my ($condition) = @_;
	my $found;

	$http->wait_for(sub { ($found) = grep { $condition->($_) } spans(); return $found });
	return $found // {};
}

sub metric
{
	my ($name) = @_;

	return $http->request('GET', '/metrics')->{content} =~ /^\Q$name\E (\d+)$/m ? $1 : 0;
}

# requests --------------------------------------------------------------------------

my $trace = '0af7651916cd43dd8448eb211c80319c';
my $before = time;
my $answer = $http->request('POST', '/v1.0/actors/box/a/method/trace', undef, traceparent => "00-$trace-b7ad6b7169203331-01");
is($answer->{headers}{traceparent}, "00-$trace-b7ad6b7169203331-01", 'a client gets back what it said');
my ($id) = decode_json("[$answer->{content}]")->[0] =~ /^00-$trace-([0-9a-f]{16})-01$/;
ok($id && $id ne 'b7ad6b7169203331', 'the method runs below the span of the request');
my $span = span(sub { $_[0]{traceId} eq $trace });
is("$span->{name} $span->{kind} $span->{spanId} $span->{parentSpanId} $span->{service}",
	"box.trace 2 $id b7ad6b7169203331 my shop", 'which is below that of the client');
is_deeply($span->{attributes}, { 'http.request.method' => 'POST', 'actor.type' => 'box', 'actor.id' => 'a',
		'http.response.status_code' => '200' }, 'and says what it was');
ok(!$span->{status}, 'it went well');
cmp_ok($span->{startTimeUnixNano}, '<=', $span->{endTimeUnixNano}, 'it begins before it ends');
ok(abs($span->{startTimeUnixNano} / 1e9 - $before) < 3600, 'today');

$answer = $http->request('POST', '/v1.0/actors/box/b/method/trace');
my ($root, $of_root) = $answer->{content} =~ /^"00-([0-9a-f]{32})-([0-9a-f]{16})-01"$/;
$span = span(sub { $_[0]{attributes}{'actor.id'} eq 'b' });
is("$span->{traceId} $span->{spanId}", "$root $of_root", 'without a trace there is a new one');
ok(!exists $span->{parentSpanId}, 'which begins here');

$http->request('POST', '/v1.0/actors/box/e/method/fail');
$span = span(sub { $_[0]{attributes}{'actor.id'} eq 'e' });
is("$span->{status}{code} $span->{attributes}{'http.response.status_code'}", '2 500', 'an error is one');
$http->request('GET', '/v1.0/actors/box/k/state/key');
is(span(sub { $_[0]{attributes}{'actor.id'} eq 'k' })->{name}, 'state_key', 'other operations have their names');

my $not_sampled = '00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';
is($http->request('POST', '/v1.0/actors/box/n/method/trace', undef, traceparent => $not_sampled)->{content}, "\"$not_sampled\"",
	'what is not sampled passes through');
$http->request('POST', '/v1.0/actors/box/bad/method/trace', undef, traceparent => 'no trace');
like(span(sub { $_[0]{attributes}{'actor.id'} eq 'bad' })->{traceId}, qr/^[0-9a-f]{32}$/, 'what is no trace is none');
is(scalar(grep { ($_->{attributes}{'actor.id'} // '') eq 'n' || $_->{name} =~ /health|metrics/ } spans()), 0,
	'and has no span, nor have looks at us');

# calls of the application ------------------------------------------------------------

$trace =~ s/^0a/2a/;
$answer = $http->request('PUT', '/v1.0/actors/counter/c/method/echo', '1', traceparent => "00-$trace-b7ad6b7169203331-01");
is($answer->{status}, 200, 'the application was called');
my ($seen) = $answer->{headers}{'seen-traceparent'} =~ /^00-$trace-([0-9a-f]{16})-01$/;
my $call = span(sub { $_[0]{traceId} eq $trace && $_[0]{kind} == 3 });
my $request = span(sub { $_[0]{traceId} eq $trace && $_[0]{kind} == 2 });
is("$call->{name} $call->{spanId}", "counter.echo $seen", 'it was told the span of its call');
is($call->{parentSpanId}, $request->{spanId}, 'which is below that of the request');
is($request->{parentSpanId}, 'b7ad6b7169203331', 'and that below the one of the client');
ok($http->wait_for(sub { metric('actor_http_spans_total{result="sent"}') >= 7 }), 'they are counted');
is(metric('actor_http_spans_total{result="dropped"}'), 0, 'none was lost');

# without the collector ----------------------------------------------------------------

stop_collector();
is($http->request('POST', '/v1.0/actors/box/a/method/trace')->{status}, 200, 'without the collector requests are served');
ok($http->wait_for(sub { metric('actor_http_spans_total{result="dropped"}') >= 1 }), 'lost spans are counted');
like($http->log, qr/could not send spans: /, 'and the log says why');
start_collector();
ok( $http->wait_for(sub {
			$http->request('POST', '/v1.0/actors/box/again/method/trace');
			return grep { ($_->{attributes}{'actor.id'} // '') eq 'again' } spans();
		}), 'when it is back it gets what comes then');
like($http->log, qr/spans are taken again/, 'which the log says, too');

# what is left goes out at the end
$http->request('POST', '/v1.0/actors/box/last/method/trace');
$app->stop;
is(scalar(grep { ($_->{attributes}{'actor.id'} // '') eq 'last' } spans()), 1, 'at the end nothing is lost');
$node->stop;
done_testing();
