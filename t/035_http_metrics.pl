# /metrics of actor-http: its own numbers and those of the database, in one page
# that Prometheus takes, for those who may see them.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
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
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE ROLE stranger LOGIN;
	CREATE EXTENSION actor;
	CREATE SCHEMA box;
	GRANT USAGE ON SCHEMA box TO PUBLIC;
	CREATE FUNCTION box.add() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1); RETURN actor_get('n', 0); END $$;
	CREATE FUNCTION box.wait_for_lock() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock(1)';
	SELECT actor_register('box')});
my $config = PostgreSQL::Test::Utils::tempdir . '/config.json';
append_to_file($config, encode_json({ tokens => [
	{ token => 'stranger', database => $node->connstr('postgres') . ' user=stranger' } ] }));
my $program = ActorHttp::build('all') . '/actor-http';
my $http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres') . ' user=watcher',
	flags => [ '--pool-size=2', "--config=$config" ],
	env => { ACTOR_HTTP_API_TOKEN => 'secret' });

# the value of a sample in a page; undefined: it is not there
sub sample
{
	my ($page, $name) = @_;

	return $page =~ /^\Q$name\E ([0-9.e+-]+)$/m ? $1 : undef;
}

sub page
{
	my %headers = @_ ? @_ : ('Authorization' => 'Bearer secret');
	return $http->request('GET', '/metrics', undef, %headers);
}

my $box = '/v1.0/actors/box/a/method';
my @token = ('dapr-api-token' => 'secret');
$http->request('POST', "$box/add", undef, @token) for 1 .. 3;
$http->request('POST', "$box/none", undef, @token);
$http->request('GET', "/v1.0/actors/box/a/$_", undef, @token) for qw(reminders timers messages results/x);
$http->request('GET', '/v1.0/openapi/box', undef, @token);
my $response;
# what the database says is left out while no session is free for it
$http->wait_for(sub {
	$response = page();
	return $response->{content} =~ /^actor_http_database_up 1$/m && $response->{content} =~ /^actor_doctor_ok/m });
is($response->{status}, 200, 'the metrics are there, with the header of HTTP');
is($response->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'as text');
my $text = $response->{content};
is(sample($text, 'actor_http_requests_total{operation="method",status="200"}'), 3, 'what went well');
is(sample($text, 'actor_http_requests_total{operation="method",status="404"}'), 1, 'and what did not');
is(sample($text, "actor_http_requests_total{operation=\"$_\",status=\"200\"}"), 1, "$_ has a name")
  for qw(reminders timers messages openapi);
is(sample($text, 'actor_http_request_duration_seconds_count{operation="method"}'), 4, 'the time of each');
is(sample($text, 'actor_http_request_duration_seconds_bucket{operation="method",le="+Inf"}'), 4, 'in a bucket');
cmp_ok(sample($text, 'actor_http_request_duration_seconds_sum{operation="method"}'), '>', 0, 'and in all');
is(sample($text, 'actor_http_database_up'), 1, 'the database answers');
is(sample($text, 'actor_http_in_progress'), 1, 'this request is running');
is(sample($text, 'actor_http_sessions{state="busy"}'), 1, 'in one of the sessions');
is(sample($text, 'actor_calls_total{datname="postgres",type="box",method="add"}'), 3,
	'and what the database says is there');
like($text, qr/^actor_doctor_ok\{datname="postgres",check="preload"\} 1$/m, 'with the doctor');
is(page('dapr-api-token' => 'secret')->{status}, 200, 'the header of Dapr will do');
is(page('Authorization' => 'bearer secret')->{status}, 200, 'in any case');
is($http->request('GET', '/v1.0/metadata', undef, 'Authorization' => 'Bearer secret')->{status}, 401,
	'elsewhere only the header of Dapr counts');
is(page('x' => 'y')->{status}, 401, 'without a token nothing is shown');
is(page('Authorization' => 'Bearer none')->{status}, 401, 'nor with a wrong one');
is(page('Authorization' => 'Bearer stranger')->{code}, 'ERR_ACTOR_PERMISSION_DENIED',
	'and the role must be a monitor');

SKIP:
{
	my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};

	skip 'promtool (Debian package prometheus) is missing', 1 unless $promtool;
	my $file = PostgreSQL::Test::Utils::tempdir . '/metrics';
	append_to_file($file, $text);
	my $output = `'$promtool' check metrics < '$file' 2>&1`;
	is($?, 0, 'promtool takes the page') || diag($output);
}

# the alerts and the dashboard ask for what there is
my @names = $text =~ /^# TYPE (actor_http_\w+)/mg;
my %known = map { $_ => 1, "${_}_bucket" => 1 } @names, 'actor_http_database_up';
my $asked = join ' ', map { slurp_file("$FindBin::RealBin/../monitoring/$_") } qw(alerts.yml grafana-dashboard.json);
my @asked = $asked =~ /\b(actor_http_\w+)/g;
cmp_ok(scalar @asked, '>', 2, 'they ask for our own metrics, too');
is_deeply([ grep { !$known{$_} } @asked ], [], 'which are there');

# when all sessions are busy, that is what the page says, at once
my $session = $node->background_psql('postgres');
$session->query_safe('SELECT pg_advisory_lock(1)');
my @children;
for my $id (1 .. 3)
{
	my $child = fork() // die "could not fork: $!";
	if ($child == 0)
	{
		$http->request('POST', "/v1.0/actors/box/$id/method/wait_for_lock", undef, @token);
		require POSIX;
		POSIX::_exit(0);
	}
	push @children, $child;
}
# (one page may itself be what the third waits for)
$http->wait_for(sub { ($text = page()->{content}) !~ /actor_calls_total/
	&& sample($text, 'actor_http_queue') == 1 && sample($text, 'actor_http_sessions{state="busy"}') == 2 });
is(sample($text, 'actor_http_queue'), 1, 'a request that waits for a session is shown');
is(sample($text, 'actor_http_sessions{state="busy"}'), 2, 'while all are busy');
unlike($text, qr/actor_calls_total/, 'and the database is not asked');
$session->query_safe('SELECT pg_advisory_unlock(1)');
waitpid($_, 0) for @children;
$session->quit;

# nor must it be there
$node->stop('fast');
$http->wait_for(sub { (sample($text = page()->{content}, 'actor_http_database_up') // 1) == 0 });
is(sample($text, 'actor_http_database_up'), 0, 'that the database is away is shown');
cmp_ok(sample($text, 'actor_http_requests_total{operation="method",status="200"}'), '>=', 6,
	'beside what is known');
is($http->stop, 0, 'it ends');
done_testing();
