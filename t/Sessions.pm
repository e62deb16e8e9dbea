# Sessions that run statements while the test goes on, and whose end can be waited for.
package Sessions;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use IPC::Run;
use Test::More ();

our @EXPORT = qw(session_on output_of outcome_of);
our @EXPORT_OK = qw(talk_to sql comes);

# the server that a test with one of them talks to
my $server;

sub talk_to
{
	($server) = @_;
	return;
}

sub sql
{
	return $server->safe_psql('postgres', $_[0]);
}

# That something becomes true.
sub comes
{
	my ($sql, $name) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return Test::More::ok($server->poll_query_until('postgres', $sql), $name);
}

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
