# That the benchmark runs through, and what it writes: every row has numbers or
# says why not.  What the numbers are is no test's business.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use JSON::PP qw(decode_json);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;

$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');
my $directory = PostgreSQL::Test::Utils::tempdir();

command_fails_like([ 'perl', 'bench/run.pl', '--rows', 'read,nonsense' ],
	qr/no such row: nonsense\nthere are: .*\bread\b/, 'an unknown row is refused');

my ($out, $err) = run_command([ 'perl', 'bench/run.pl', '--smoke', '--out', $directory ]);
like($out, qr/^\| read-only method, 1 client \| transactions\/s \| [0-9,.]+ \| [0-9,.]+ \|/m,
	'the benchmark prints a table')
  or diag($err);

my $result = decode_json(slurp_file("$directory/result.json"));

is($result->{mode}, 'smoke', 'JSON says how it was measured');
cmp_ok($result->{machine}{cores}, '>', 0, 'and on what machine');
is($result->{settings}{fsync}, 'off', 'and with which settings');

my %row = map { $_->{id} => $_ } @{ $result->{rows} };
is(scalar(keys %row), scalar(@{ $result->{rows} }), 'rows have different names');
for my $id (qw(read_1 read_8 read_1_plpgsql put_1 count_8_async nested chain_5 chain_5_pass cold cold_lazy at_once register_1 register_bulk send_bulk
	hot_1 hot_1_early hot_2_busy hot_2_early_busy))
{
	cmp_ok($row{$id}{ours}, '>', 0, "row $id has a number");
	cmp_ok($row{$id}{rival}, '>', 0, "row $id has a rival");
	cmp_ok($row{$id}{ratio}, '>', 0, "row $id has a ratio");
	like($row{$id}{target}, qr/\d/, "row $id has a target");
}
cmp_ok($row{fire}{ours}, '>', 0, 'row fire has a number');
ok(exists $row{lateness}{p99}, 'row lateness has a 99th percentile');
SKIP:
{
	my $missing = HostedApp::missing();

	if ($missing)
	{
		like($row{http_read}{skipped}, qr/not installed: .*\.h/, 'row http_read says what is missing');
		skip "actor-http needs what is not there: $missing", 30;
	}
	for my $name (qw(noop read write))
	{
		cmp_ok($row{"hosted_${name}_2"}{$_}, '>', 0, "row hosted_${name}_2 has $_") for qw(ours rival);
		cmp_ok($row{"hosted_${name}_2_sql"}{rival}, '>', 0, "row hosted_${name}_2_sql has a rival");
		cmp_ok($row{"hosted_${name}_2_time"}{$_}, '>', 0, "row hosted_${name}_2_time has $_") for qw(ours rival);
	}
	for my $id (qw(http_read http_write))
	{
		for my $number (qw(ours rival ratio))
		{
			cmp_ok($row{$id}{$number}, '>', 0, "row $id has $number");
		}
		for my $number (qw(ours p99 rival rival_p99))
		{
			cmp_ok($row{"${id}_time"}{$number}, '>', 0, "row ${id}_time has $number");
		}
	}
	like($out,
		qr{^\| read-only method over HTTP, 2 clients \| ms \(p50 / p99\) \| [0-9.,]+ / [0-9.,]+ \| [0-9.,]+ / [0-9.,]+ \|}m,
		'the table has both percentiles of both sides');
}
for my $row (@{ $result->{rows} })
{
	ok(defined $row->{ours} || $row->{skipped} =~ /\w/, "row $row->{id} has a number or a reason");
}

my %series = map { $_->{id} => $_ } @{ $result->{growth} };
for my $id (
	qw(actors pending_rate pending_lateness hot_writers hot_readers depth many size memory
	bloat_state bloat_reminder))
{
	my @lines = @{ $series{$id}{lines} // [] };

	cmp_ok(scalar(@lines), '>', 0, "series $id has lines");
	is(scalar(grep { !@{ $_->{points} } || grep { @$_ != 2 } @{ $_->{points} } } @lines),
		0, "series $id has points");
}

$node->stop;
done_testing();
