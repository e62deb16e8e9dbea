# The rows about actor-http: a method over HTTP next to the same method by SQL.
package ActorBench::Http;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();

use ActorBench::Rows qw(row prepare_actors clients_text);
use ActorBench::Server qw(pgbench median percentile compare_rounds %scale $database);

our @EXPORT_OK = qw(http_groups missing build start stop load);

my $sources = dirname(__FILE__) . '/..';

sub http_groups
{
	return (http => [ 'method over HTTP', \&http_rows ]);
}

# The libraries of actor-http that are not installed.
sub missing
{
	my $include = `pg_config --includedir`;

	chomp $include;
	return grep { system("echo '#include <$_>' | cc -E -I'$include' - >/dev/null 2>&1") != 0 }
	  qw(microhttpd.h jansson.h curl/curl.h libpq-fe.h);
}

# Builds actor-http and what loads it, into a folder.
sub build
{
	my $folder = shift;

	for my $command (
		"make -s -C '$sources/../http' BUILD='$folder' PG_CONFIG=pg_config",
		"cc -O2 -o '$folder/http_load' '$sources/http_load.c'")
	{
		my $out = `$command 2>&1`;
		die "$command failed:\n$out" if $? != 0;
	}
	return;
}

sub read_log
{
	my $path = shift;

	open my $file, '<', $path or return '';
	local $/;
	return <$file> // '';
}

# Starts actor-http on a free port, with as many sessions, and further flags; returns
# its process and the port.
sub start
{
	my ($folder, $sessions, @flags) = @_;
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		open STDOUT, '>', "$folder/log" or die;
		open STDERR, '>&', \*STDOUT or die;
		exec "$folder/actor-http", '--port=0', "--pool-size=$sessions",
		  "--database=dbname=$database user=bench", @flags
		  or die "could not run actor-http: $!";
	}
	while (1)
	{
		my $log = read_log("$folder/log");

		return ($pid, $1) if $log =~ /listening on .*, port (\d+)$/m;
		die "actor-http does not start:\n$log" if waitpid($pid, 1) != 0;
		select undef, undef, undef, 0.05;
	}
}

# Ends it.
sub stop
{
	my ($folder, $pid) = @_;

	kill 'TERM', $pid;
	waitpid $pid, 0;
	die "actor-http has failed:\n" . read_log("$folder/log") if $? != 0;
	return;
}

# Calls a method, "TYPE/%d/method/METHOD", of random actors; returns what pgbench
# does for SQL, and the number of requests.
sub load
{
	my ($folder, $port, $path, $body, $clients, $actors) = @_;
	my $seconds = defined $scale{transactions} ? 0 : $scale{seconds};
	my $out = `'$folder/http_load' $port '/v1.0/actors/$path' '$body' $clients $actors $seconds 2>&1`;

	die "http_load failed:\n$out\n" . read_log("$folder/log") if $? != 0;
	my ($rate, $p50, $p99, $requests) = $out =~ /requests_per_second=(\S+) p50_ms=(\S+) p99_ms=(\S+) requests=(\d+)/;
	return { rate => $rate + 0, p50 => $p50 + 0, p99 => $p99 + 0, requests => $requests + 0 };
}

sub by_sql
{
	my $script = shift;
	my $result = pgbench($script, clients => $scale{http_clients}, times => 1, set => { actors => $scale{actors} });

	return {
		rate => $result->{tps},
		p50 => percentile(0.5, @{ $result->{times} }),
		p99 => percentile(0.99, @{ $result->{times} })
	};
}

# The rate, and the times of the same calls.
sub two_rows
{
	my ($id, $title, $numbers) = @_;
	my $one = sub {
		my $key = shift;

		return {
			ours => [ map { $_->{$key} } @{ $numbers->{http} } ],
			rival => [ map { $_->{$key} } @{ $numbers->{sql} } ]
		};
	};
	my $rate = row(
		id => $id, title => $title, unit => 'requests/s',
		rival_name => 'the same method by SQL', rounds => $one->('rate'));
	my $time = row(
		id => "${id}_time", title => $title, unit => 'ms (p50 / p99)', better => 'lower',
		rival_name => 'the same method by SQL', rounds => $one->('p50'));
	my $p99 = $one->('p99');

	$time->{p99} = median(@{ $p99->{ours} });
	$time->{rival_p99} = median(@{ $p99->{rival} });
	return ($rate, $time);
}

sub http_rows
{
	my @cases = (
		[ 'http_read', 'read-only method over HTTP', 'get', '', 'read_actor' ],
		[ 'http_write', 'writing method (reads and sets one key) over HTTP, durable', 'count', '[1]', 'count_actor' ]);
	my @missing = missing();
	my @rows;

	return map { { id => $_->[0], title => $_->[1], skipped => "not installed: @missing" } } @cases if @missing;
	prepare_actors();
	my $folder = File::Temp->newdir;
	build($folder);
	# it must not outlive the benchmark
	local @SIG{qw(INT TERM HUP)} = (sub { die "interrupted\n" }) x 3;
	my ($pid, $port) = start($folder, $scale{http_clients});
	my $done = eval {
		for my $case (@cases)
		{
			my ($id, $title, $method, $body, $script) = @$case;
			my $numbers = compare_rounds(
				http => sub {
					load($folder, $port, "bench/%d/method/$method", $body, $scale{http_clients}, $scale{actors});
				},
				sql => sub { by_sql($script) });

			push @rows, two_rows($id, "$title, " . clients_text($scale{http_clients}), $numbers);
		}
		1;
	};
	my $error = $@;

	my $stopped = eval { stop($folder, $pid); 1 };
	die $error if !$done;
	die $@ if !$stopped;
	return @rows;
}

1;
