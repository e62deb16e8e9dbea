#!/usr/bin/perl
#
# Measures the extension on the server that PGHOST, PGPORT and PGUSER (a
# superuser) name, which must be preloaded with it and serve nobody else: a
# database and a role are made there, and its settings are changed.  For a
# private server use script/bench, which explains the options.

use strict;
use warnings FATAL => 'all';
use utf8;

use FindBin;
use lib $FindBin::Bin;

use Getopt::Long qw(GetOptions);
use POSIX qw(strftime);

use ActorBench::Growth qw(growth_groups);
use ActorBench::Hot qw(hot_groups);
use ActorBench::Hosted qw(hosted_groups);
use ActorBench::Http qw(http_groups);
use ActorBench::Many qw(many_groups);
use ActorBench::Report qw(write_report);
use ActorBench::Rows qw(groups);
use ActorBench::Server qw(query progress %scale $database);

binmode $_, ':encoding(UTF-8)' for *STDOUT, *STDERR;
use open ':encoding(UTF-8)';

# How much is done in each mode.  "writes" are work, clients, durable.
my %normal = (
	rounds => 5,
	growth_rounds => 3,
	seconds => 3,
	actors => 10_000,
	calls => 1000,
	cold => 1_000_000,
	at_once => 1000,
	bulk => 50_000,
	due => 100_000,
	others => 1_000_000,
	probes => 500,
	gap_ms => 30,
	cold_probes => 20,
	cron => 1,
	http_clients => 16,
	hosted_clients => [ 1, 8, 32 ],
	writes => [
		[ 'put', 1, 1 ], [ 'put', 8, 1 ], [ 'put', 1, 0 ], [ 'put', 8, 0 ],
		[ 'count', 1, 1 ], [ 'count', 8, 1 ], [ 'count', 1, 0 ], [ 'count', 8, 0 ] ],
	registers => [ [ 1, 1 ], [ 8, 1 ], [ 1, 0 ], [ 8, 0 ] ],
	growth => 1,
	actor_counts => [ 1_000, 10_000, 100_000, 1_000_000 ],
	pending_counts => [ 10_000, 100_000, 1_000_000 ],
	hot_clients => [ 1, 2, 4, 8, 16, 32 ],
	hot_rows => [ 1, 8, 32 ],
	chains => [ 30, 100, 300 ],
	depths => [ 1, 10, 30, 100, 300 ],
	turns => [ 1, 10, 100, 1000 ],
	sizes => [ 100, 1_000, 10_000, 100_000, 1_000_000 ],
	distinct => [ 1_000, 10_000, 100_000 ],
	bloat_steps => 10,
	bloat_wait => 1,
	bloat_seconds => 15);

my %modes = (
	normal => \%normal,
	full => {
		%normal,
		cold => 10_000_000,
		actor_counts => [ @{ $normal{actor_counts} }, 10_000_000 ],
		pending_counts => [ @{ $normal{pending_counts} }, 10_000_000 ],
		distinct => [ @{ $normal{distinct} }, 1_000_000 ],
		bloat_seconds => 360
	},
	quick => {
		%normal,
		rounds => 3,
		seconds => 1,
		cold => 100_000,
		due => 20_000,
		others => 100_000,
		probes => 100,
		cold_probes => 0,
		cron => 0,
		writes => [ [ 'put', 8, 1 ], [ 'put', 1, 0 ], [ 'put', 8, 0 ], [ 'count', 1, 0 ] ],
		registers => [ [ 8, 1 ], [ 1, 0 ] ],
		hot_rows => [8],
		chains => [100],
		growth => 0
	},
	# only shows that everything runs
	smoke => {
		%normal,
		rounds => 1,
		growth_rounds => 1,
		transactions => 5,
		actors => 20,
		calls => 10,
		cold => 20,
		at_once => 5,
		bulk => 50,
		due => 100,
		others => 100,
		probes => 3,
		cold_probes => 0,
		cron => 0,
		http_clients => 2,
		hosted_clients => [2],
		writes => [ [ 'put', 1, 1 ], [ 'count', 8, 0 ] ],
		registers => [ [ 1, 1 ] ],
		actor_counts => [ 10, 20 ],
		pending_counts => [ 10, 20 ],
		hot_clients => [ 1, 2 ],
		hot_rows => [ 1, 2 ],
		chains => [5],
		depths => [ 1, 5 ],
		turns => [ 1, 5 ],
		sizes => [ 100, 10_000 ],
		distinct => [ 10, 20 ],
		bloat_steps => 1,
		bloat_wait => 0
	});

my $mode = 'normal';
my $directory = '.';
my $rows;
my $others;

sub usage
{
	die "usage: $0 [--quick | --full | --smoke] [--rows NAME,...] [--others NUMBER] [--out DIRECTORY]\n";
}

sub options
{
	GetOptions(
		(map { my $name = $_; $name => sub { $mode = $name } } grep { $_ ne 'normal' } keys %modes),
		'rows=s' => \$rows,
		'others=i' => \$others,
		'out=s' => \$directory) && !@ARGV || usage();
	%scale = %{ $modes{$mode} };
	$scale{others} = $others if defined $others;
	return;
}

# The groups of rows that are wanted, in order.
sub wanted
{
	my @all = @_;
	my %known = (groups(), many_groups(), hot_groups(), http_groups(), hosted_groups(), growth_groups());
	my %wish = map { $_ => 1 } split /,/, $rows // '';
	my @unknown = grep { !$known{$_} } sort keys %wish;
	my @result;

	die "no such row: @unknown\nthere are: " . join(', ', sort keys %known) . "\n" if @unknown;
	while (my ($name, $group) = splice @all, 0, 2)
	{
		push @result, $group if !defined $rows || $wish{$name};
	}
	return @result;
}

sub first_line
{
	my ($path, $pattern) = @_;

	open my $file, '<', $path or return undef;
	while (<$file>)
	{
		return $1 if /$pattern/;
	}
	return undef;
}

sub machine
{
	my $memory = first_line('/proc/meminfo', qr/^MemTotal:\s+(\d+)/);
	my ($cores) = `nproc` =~ /(\d+)/;

	return {
		cores => $cores + 0,
		cpu => first_line('/proc/cpuinfo', qr/^model name\s*:\s*(.*)/) // 'unknown processor',
		kernel => (POSIX::uname())[2],
		load => first_line('/proc/loadavg', qr/^(\S+)/) // 'unknown',
		memory_mb => defined $memory ? int($memory / 1024) : undef,
		postgresql => query('SHOW server_version')
	};
}

sub settings
{
	return { map { split /\t/, $_, 2 } split /\n/, query(q{
		SELECT name || E'\t' || current_setting(name) FROM pg_settings
		WHERE source = 'configuration file' AND name !~ '^(lc_|log_)|director|^port$|^cluster_name$'
		UNION SELECT name || E'\t' || current_setting(name) FROM pg_settings
		WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'autovacuum')}) };
}

sub set_up
{
	$ENV{PGUSER} //= 'postgres';
	query("CREATE DATABASE $database", database => 'postgres');
	my $out = `psql -Xq -v ON_ERROR_STOP=1 -d $database -f '$FindBin::Bin/setup.sql' 2>&1`;
	die "the set-up has failed:\n$out" if $? != 0;
	return;
}

options();
my @row_groups = wanted(groups(), many_groups(), hot_groups(), http_groups(), hosted_groups());
my @growth_groups = $scale{growth} || defined $rows ? wanted(growth_groups()) : ();
set_up();

my %report = (
	version => query(q{SELECT extversion FROM pg_extension WHERE extname = 'actor'}),
	started_at => strftime('%Y-%m-%dT%H:%M:%SZ', gmtime),
	mode => $mode,
	scale => {%scale},
	machine => machine(),
	settings => settings(),
	rows => [],
	growth => []);
for my $group (@row_groups)
{
	progress("Measuring: $group->[0]");
	push @{ $report{rows} }, $group->[1]->();
}
for my $group (@growth_groups)
{
	progress("Measuring: $group->[0]");
	push @{ $report{growth} }, $group->[1]->();
}
progress('');
print write_report(\%report, $directory);
