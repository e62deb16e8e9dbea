# Sessions that run statements while the test goes on, and whose end can be waited for.
package Sessions;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;

our @EXPORT = qw(session_on output_of outcome_of);

# Starts one; what it prints comes into {out} and {err}.
sub session_on
{
	my ($node, @sql) = @_;
	my %session = (out => '', err => '');

	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d',
			$node->connstr('postgres'), map { ('-c', $_) } @sql ],
		'>', \$session{out}, '2>', \$session{err});
	return \%session;
}

# Waits for its end; returns what it has printed.
sub output_of
{
	my ($session) = @_;

	$session->{run}->finish;
	chomp $session->{out};
	return $session->{out};
}

# The same, with the SQLSTATE of its error.
sub outcome_of
{
	my ($session) = @_;

	return output_of($session) . ($session->{err} =~ /ERROR:  (\w+)/ ? " $1" : '');
}

1;
