# The server that is measured: SQL, pgbench, and the numbers they give.
package ActorBench::Server;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use File::Basename qw(dirname);
use File::Temp ();
use List::Util qw(min);

our @EXPORT_OK = qw(sql query pgbench median percentile progress compare_rounds %scale $database);

our $database = 'actor_bench';

# How much is done; set once by run.pl.
our %scale;

my $scripts = dirname(__FILE__) . '/..';
my $postmaster;
my ($processors) = `taskset -p -c $$ 2>/dev/null` =~ /: (\S+)$/;
$processors //= '';

sub progress
{
	print STDERR join(' ', @_), "\n";
	return;
}

# Runs SQL as a role, and dies when it fails; returns the output.  A command
# that must not run in a transaction block goes alone.
sub sql
{
	my ($role, $sql, %options) = @_;
	my $file = File::Temp->new;
	my $in = $options{database} // $database;

	print $file $sql;
	close $file;
	my $out = `psql -XAtq -v ON_ERROR_STOP=1 -U '$role' -d '$in' -f '$file' 2>&1`;
	die "SQL failed: $sql\n$out" if $? != 0;
	chomp $out;
	return $out;
}

# As a superuser.
sub query
{
	my ($sql, %options) = @_;

	return sql($ENV{PGUSER}, $sql, %options);
}

# Restricts the server's new processes to some processors: a list as taskset
# takes it.  Does nothing where that is not possible.
sub restrict_server
{
	my $processors = shift;

	$postmaster //= query(q{SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)});
	return system("taskset -p -c $processors $postmaster >/dev/null 2>&1") == 0;
}

# Runs a script of bench/ with pgbench, prepared, as the role that owns the
# actors.  Options: clients, set (variables), and seconds or transactions
# (of each client).  Returns transactions per second and the mean latency in
# milliseconds; with the option "times", also that of each transaction.
#
# A single client and its session share one processor.  On two of them, what is
# measured is how long an idle processor takes to wake up, which is more than
# the work, and changes from one second to the next.
sub pgbench
{
	my ($script, %options) = @_;
	my $clients = $options{clients} // 1;
	my @command = (
		'pgbench', '-n', '-M', 'prepared', '-U', 'bench', '-c', $clients, '-j', min($clients, 2),
		'-f', "$scripts/$script.sql");

	push @command, '-D', "$_=$options{set}{$_}" for sort keys %{ $options{set} // {} };
	push @command, defined $scale{transactions}
	  ? ('-t', $scale{transactions})
	  : ('-T', $options{seconds} // $scale{seconds});
	unshift @command, 'taskset', '-c', 0 if $clients == 1 && restrict_server(0);
	my $log = $options{times} ? File::Temp->newdir : undef;
	push @command, '-l', '--log-prefix', "$log/times" if $log;
	my $command = join(' ', map { "'$_'" } @command, $database);
	my $out = `$command 2>&1`;
	restrict_server($processors) if $clients == 1;
	die "$command failed:\n$out" if $? != 0 || $out =~ /aborted/;
	my ($tps) = $out =~ /^tps = ([0-9.]+)/m;
	my ($latency) = $out =~ /^latency average = ([0-9.]+) ms/m;
	die "$command printed no result:\n$out" if !defined $tps || !defined $latency;
	return { tps => $tps + 0, ms => $latency + 0, $log ? (times => logged_times($log)) : () };
}

# The latencies in the logs of pgbench, in milliseconds.
sub logged_times
{
	my $folder = shift;
	my @times;

	for my $path (glob "$folder/*")
	{
		open my $file, '<', $path or die "could not read \"$path\": $!";
		push @times, map { (split ' ')[2] / 1000 } <$file>;
	}
	return \@times;
}

sub percentile
{
	my ($share, @values) = @_;

	return undef if !@values;
	@values = sort { $a <=> $b } @values;
	return $values[ min($#values, int($share * @values)) ];
}

sub median
{
	my @values = sort { $a <=> $b } @_;

	return undef if !@values;
	return @values % 2 ? $values[ $#values / 2 ] : ($values[ @values / 2 - 1 ] + $values[ @values / 2 ]) / 2;
}

# Measures several sides in turn, round after round, so that whatever else the
# machine does hits all of them.  The sides are pairs of a name and a function
# that returns a number.  Returns the numbers by name.
sub compare_rounds
{
	my @sides = @_;
	my %numbers;

	for my $round (1 .. $scale{rounds})
	{
		for (my $i = 0; $i < @sides; $i += 2)
		{
			push @{ $numbers{ $sides[$i] } }, $sides[ $i + 1 ]->($round);
		}
	}
	return \%numbers;
}

1;
