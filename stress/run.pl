#!/usr/bin/perl
#
# Works on throw-away servers below a folder, with the programs that PATH names
# first, and checks what has come of it.  script/stress makes the folder and the
# programs, and explains the rest.
#
#	run.pl --folder DIR [--seconds N | --transactions N] [--sessions N]
#		[--seed N] [--conf SETTINGS] [--self-test] [--spoil SQL]
#
# --transactions bounds the work of each session; all kinds of harm are done
# once then.  --self-test breaks what was found sound, in many ways; --spoil
# breaks something before it is checked.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::Bin;

use Getopt::Long qw(GetOptions);
use POSIX ();
use Time::HiRes qw(sleep time);

use ActorStress::Check qw(answers check_all client_errors counts);
use ActorStress::Harm qw(do_harm harm_kinds settle);
use ActorStress::SelfTest qw(self_test);
use ActorStress::Server;
use ActorStress::Work qw(start_reader start_session);

$| = 1;

my %options = (sessions => 8, seed => int(rand(1_000_000)), conf => '');
GetOptions(\%options, 'folder=s', 'seconds=i', 'transactions=i', 'sessions=i', 'seed=i', 'conf=s', 'self-test', 'spoil=s')
  && defined $options{folder} && (defined $options{seconds} xor defined $options{transactions}) && !@ARGV
  or die "usage: $0 --folder DIR [--seconds N | --transactions N] [--sessions N] [--seed N] [--conf SETTINGS] [--self-test] [--spoil SQL]\n";

my $primary = ActorStress::Server->new('primary', $options{folder});
my $standby = ActorStress::Server->new('standby', $options{folder});
my $stop = "$options{folder}/stop";
my %children;

# Few buffers, so that pages come and go; a pause of nothing after a crash.
sub start_servers
{
	$primary->init(<<"END");
shared_preload_libraries = 'actor'
shared_buffers = 4MB
max_connections = 60
max_worker_processes = 16
max_prepared_transactions = 20
max_locks_per_transaction = 256
autovacuum_naptime = 1s
deadlock_timeout = 20ms
restart_after_crash = on
fsync = off
wal_level = replica
max_wal_size = 256MB
wal_retrieve_retry_interval = 200ms
max_standby_streaming_delay = 2s
log_line_prefix = '%m [%p] %b '
log_min_messages = log
log_min_error_statement = panic
$options{conf}
END
	$primary->start;
	$primary->sql(ActorStress::Server::slurp("$FindBin::Bin/setup.sql"));
	$standby->init_standby($primary);
	$standby->start;
	return;
}

# Waits until some more work was done, or there is no time for more; dies when
# nothing is done any more.
sub wait_for_work
{
	my ($more, $end) = @_;
	my $patience = time + 120;
	my $first;

	while (running() && !(defined $end && time > $end))
	{
		die "no work is done any more\n" if time > $patience;
		my ($good, $now) = $primary->try_sql('SELECT count(*) FROM s.done');

		$first //= $now if $good;
		return if $good && $now >= $first + $more;
		sleep 0.1;
	}
	return;
}

# Whether any session is at work.
sub running
{
	for my $pid (keys %children)
	{
		delete $children{$pid} if waitpid($pid, POSIX::WNOHANG()) == $pid;
	}
	return scalar grep { $_ eq 'session' } values %children;
}

# Does harm until the time is over, or the work and all harm are done.
sub harm_while_working
{
	my $end = defined $options{seconds} ? time + $options{seconds} : undef;
	my @first = harm_kinds();
	my %done;

	while (defined $end ? time < $end : @first || running())
	{
		wait_for_work(10, $end);
		my ($kind, $good) = do_harm($primary, shift @first);
		$done{$kind}[ $good ? 0 : 1 ]++;
		$standby->wait_until_up;
	}
	return \%done;
}

# Says what is done now, and when.
sub say
{
	my $what = shift;

	printf "%4d s: %s\n", time - $^T, $what;
	return;
}

sub report
{
	my ($harm, $errors) = @_;

	printf "%-40s %8d\n", @$_ for counts($primary);
	printf "%-40s %8d%s\n", $_, $harm->{$_}[0] // 0, $harm->{$_}[1] ? " and $harm->{$_}[1] in vain" : ''
	  for sort keys %$harm;
	printf "%-40s %8d\n", "errors of sessions: $_", $errors->{$_} for sort keys %$errors;
	return;
}

sub main
{
	print "seed $options{seed}\n";
	srand($options{seed});
	start_servers();
	say('working');

	my %work = (seed => $options{seed}, stop => $stop, transactions => $options{transactions} // 1_000_000_000);
	$children{ start_session($primary, $_, %work) } = 'session' for 1 .. $options{sessions};
	$children{ start_reader($standby, %work) } = 'reader';
	my $harm = harm_while_working();

	open my $file, '>', $stop or die "$stop: $!\n";
	close $file;
	waitpid $_, 0 for keys %children;
	%children = ();
	say('waiting for what is left to be done');
	settle($primary);
	say('checking');
	$primary->sql($options{spoil}) if defined $options{spoil};

	my ($errors, $strange) = client_errors(glob "$options{folder}/*.err");
	report($harm, $errors);
	my $answers = answers(glob "$options{folder}/session*.out");
	printf "%-40s %8d\n", 'commits that were answered', scalar keys %{ $answers->{committed} };
	my @found = check_all($primary, $standby, $strange, $answers);
	@found = self_test($primary, $standby, $options{folder}) if $options{'self-test'} && !@found;
	print "\nWRONG: $_\n" for @found;
	print "\n", @found ? 'stress: FAILED, broken rules: ' . @found . ", seed: $options{seed}\n"
	  : $options{'self-test'} ? "stress: every fault was found\n"
	  : "stress: nothing is wrong\n";
	return @found ? 1 : 0;
}

my $status = eval { main() };
print $@, "\nstress: FAILED, it did not come to its end, seed: $options{seed}\n" if !defined $status;
kill 'TERM', keys %children;
$_->remove for $standby, $primary;
exit($status // 1);
