# A short run of what script/stress does for long, and that its checker finds what
# is wrong.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $shared = `pg_config --sharedir`);
plan skip_all => 'amcheck is not installed' if !-e "$shared/extension/amcheck.control";

# Runs it with a folder of its own; returns its status and what it has said.
sub stress
{
	my @arguments = @_;
	my ($out, $err) = run_command(
		[ 'perl', 'stress/run.pl', '--folder', PostgreSQL::Test::Utils::tempdir_short(), @arguments ]);
	my $status = $? >> 8;

	note($out);
	diag($err) if $err ne '';
	return ($status, $out);
}

my ($status, $out) = stress('--transactions', 80, '--sessions', 4, '--self-test');
like($out, qr/^seed \d+$/m, 'it prints the seed');
like($out, qr/^asked: $_ +[1-9]/m, "some work is of kind $_") foreach qw(call message event reminder timer open request);
like($out, qr/^$_ +\d/m, "there was harm: $_")
  foreach ('VACUUM FULL', 'executor killed', 'immediate stop', 'functions replaced', 'session terminated');
like($out, qr/: found$/m, 'it looks for faults that were made');
unlike($out, qr/NOT FOUND/, 'and finds them');
like($out, qr/^stress: every fault was found\z/m, 'it says so');
is($status, 0, 'and ends well');

($status, $out) = stress('--seconds', 1, '--sessions', 1, '--seed', 1,
	'--spoil', q{INSERT INTO s.asked VALUES ('made up', 'message', 1, 1)});
like($out, qr/^WRONG: work that was lost, or done twice:\nmade up\|message\|1\|1\|0$/m, 'what is lost is named');
like($out, qr/^stress: FAILED, broken rules: 1, seed: 1\z/m, 'with the seed');
is($status, 1, 'and the status says it');

done_testing();
