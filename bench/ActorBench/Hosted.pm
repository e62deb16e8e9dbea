# The rows about hosted actors: methods of an application (t/hosted) behind actor-http
# next to the same methods in PL/pgSQL, over HTTP and by SQL, and the processor time
# that a call takes.
package ActorBench::Hosted;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use HTTP::Tiny;
use IO::Socket::INET;
use List::Util qw(sum0);
use Time::HiRes qw(clock_gettime);

use ActorBench::Http qw(missing build start stop load);
use ActorBench::Rows qw(row clients_text);
use ActorBench::Server qw(query pgbench compare_rounds %scale $database);

our @EXPORT_OK = qw(hosted_groups);

my $sources = dirname(__FILE__) . '/../../t/hosted';

# Few enough that all of them are active soon: it is not activation that is measured.
my $actors = 200;

# name, title, method and body of the application, of the function, and by SQL
my @methods = (
	[ 'noop', 'no-op method', [ 'noop', '' ], [ 'noop', '' ], 'noop_actor' ],
	[ 'read', 'reading method', [ 'read', '' ], [ 'get', '' ], 'read_actor' ],
	[ 'write', 'writing method (reads and sets one key), durable', [ 'add', '{"amount":1}' ], [ 'count', '[1]' ], 'count_actor' ]);

# Half of what Dapr 1.18.3 and an application in Go take on a machine of this kind, in
# microseconds: one call at a time, and many.
my %wanted = (noop => [ 150, 75 ], write => [ 1090, 485 ]);

sub hosted_groups
{
	return (hosted => [ 'hosted actors', \&hosted_rows ]);
}

# A port that is free now.
sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 1)
	  or die "no port is free: $!";

	return $socket->sockport;
}

sub start_app
{
	my ($folder, $port, $host) = @_;
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		open STDERR, '>', "$folder/app.log" or die;
		exec "$folder/app", "--port=$port", "--host=$host", '--types=hosted' or die "could not run app: $!";
	}
	return $pid;
}

sub wait_until_healthy
{
	my $port = shift;
	my $client = HTTP::Tiny->new(timeout => 10);

	for (1 .. 600)
	{
		return if $client->get("http://127.0.0.1:$port/v1.0/healthz")->{status} == 204;
		select undef, undef, undef, 0.05;
	}
	die "the application does not get ready\n";
}

# The processor time in seconds that processes have had, threads that have ended
# included, by process.  It is read off the clock that the kernel has for each process,
# as that shows what a few calls take, too.
sub times_of
{
	my %times;

	for my $process (@_)
	{
		my $time = clock_gettime(-8 * ($process + 1) + 2);

		$times{$process} = $time if $time >= 0;
	}
	return \%times;
}

# What those that are still there have had since then.
sub time_since
{
	my ($before, @processes) = @_;
	my $now = times_of(@processes);

	return sum0(map { $now->{$_} - ($before->{$_} // 0) } keys %$now);
}

# The processes of the server.
sub server_processes
{
	my $postmaster = query(q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});
	my @processes = ($postmaster);

	for my $path (glob '/proc/[0-9]*/stat')
	{
		open my $file, '<', $path or next;
		push @processes, $1 if (<$file> // '') =~ /^(\d+) \(.*\) \S $postmaster /s;
	}
	return @processes;
}

# Loads a method over HTTP; adds the microseconds of processor time a call to the result:
# all of it, and that of the application alone.
sub timed_load
{
	my ($run, $path, $body, $clients) = @_;
	my $before = times_of(@$run{qw(http app)}, server_processes());
	my $result = load(@$run{qw(folder port)}, $path, $body, $clients, $actors);
	my $app = time_since($before, $run->{app});

	$result->{app_us} = $app * 1e6 / $result->{requests};
	$result->{us} = (time_since($before, $run->{http}, server_processes()) + $app) * 1e6 / $result->{requests};
	return $result;
}

sub rows_of
{
	my ($run, $clients, $name, $title, $ours, $function, $script) = @_;
	my $numbers = compare_rounds(
		hosted => sub { timed_load($run, "hosted/%d/method/$ours->[0]", $ours->[1], $clients) },
		http => sub { timed_load($run, "bench/%d/method/$function->[0]", $function->[1], $clients) },
		sql => sub { pgbench($script, clients => $clients, set => { actors => $actors }) });
	my $of = sub { my ($side, $key) = @_; [ map { $_->{$key} } @{ $numbers->{$side} } ] };
	my $what = "hosted actors: $title, " . clients_text($clients);
	my $time = row(
		id => "hosted_${name}_${clients}_time", title => $what, unit => 'µs of processor a call', better => 'lower',
		rival_name => 'PL/pgSQL over HTTP', rounds => { ours => $of->('hosted', 'us'), rival => $of->('http', 'us') });

	if (my $wanted = $wanted{$name} && ($clients == 1 ? $wanted{$name}[0] : $clients == 32 ? $wanted{$name}[1] : undef))
	{
		$time->{target} = "≤ $wanted µs";
		$time->{met} = $time->{ours} <= $wanted ? \1 : \0;
	}
	return (
		row(
			id => "hosted_${name}_$clients", title => $what, unit => 'requests/s', rival_name => 'PL/pgSQL over HTTP',
			rounds => { ours => $of->('hosted', 'rate'), rival => $of->('http', 'rate') }),
		row(
			id => "hosted_${name}_${clients}_sql", title => $what, unit => 'requests/s', rival_name => 'PL/pgSQL by SQL',
			rounds => { ours => $of->('hosted', 'rate'), rival => $of->('sql', 'tps') }),
		$time,
		row(
			id => "hosted_${name}_${clients}_app", title => "$what, the application alone", unit => 'µs of processor a call',
			rounds => { ours => $of->('hosted', 'app_us') }));
}

sub hosted_rows
{
	my @missing = missing();
	my @rows;

	return map { { id => "hosted_$_->[0]", title => "hosted actors: $_->[1]", skipped => "not installed: @missing" } } @methods
	  if @missing;
	my $folder = File::Temp->newdir;
	build($folder);
	my $out = `make -s -C '$sources' BUILD='$folder' 2>&1`;
	die "the application cannot be built:\n$out" if $? != 0;
	query('GRANT CREATE ON DATABASE ' . $database . ' TO bench');
	# they must not outlive the benchmark
	local @SIG{qw(INT TERM HUP)} = (sub { die "interrupted\n" }) x 3;
	my $app_port = free_port();
	my %run = (folder => "$folder");
	@run{qw(http port)} = start($folder, 32, "--app=http://127.0.0.1:$app_port");
	my $done = eval {
		$run{app} = start_app($folder, $app_port, $run{port});
		wait_until_healthy($run{port});
		load($folder, $run{port}, 'hosted/%d/method/add', '', 8, $actors) for 1 .. 2;
		for my $method (@methods)
		{
			push @rows, rows_of(\%run, $_, @$method) for @{ $scale{hosted_clients} };
		}
		1;
	};
	my $error = $@;

	my $stopped = eval { stop($folder, $run{http}); 1 };
	if ($run{app})
	{
		kill 'TERM', $run{app};
		waitpid $run{app}, 0;
	}
	die $error if !$done;
	die $@ if !$stopped;
	return @rows;
}

1;
