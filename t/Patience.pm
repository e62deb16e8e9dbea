# Waiting for a server that is not there yet.
#
# PostgreSQL::Test::Cluster writes its query to psql, which may have given up to
# connect by then; that ends the test, for a pipe that is broken.  Here it only
# ends the attempt.
package Patience;

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use Time::HiRes qw(usleep);

my $poll = \&PostgreSQL::Test::Cluster::poll_query_until;

no warnings 'redefine';
*PostgreSQL::Test::Cluster::poll_query_until = sub {
	my @arguments = @_;

	for (;;)
	{
		my $result = eval { $poll->(@arguments) };

		return $result unless $@;
		die $@ unless $@ =~ /Broken pipe/;
		usleep(100_000);
	}
};

1;
