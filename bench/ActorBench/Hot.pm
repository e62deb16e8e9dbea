# One hot actor, with and without early release, next to UPDATE of one row: with
# the machine to itself, and while other processes burn all processors.
package ActorBench::Hot;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';

use ActorBench::Rows qw(row prepare_actors clients_text with_target);
use ActorBench::Server qw(query pgbench compare_rounds %scale $database);

our @EXPORT_OK = qw(hot_groups);

sub hot_groups
{
	return (hot => [ 'one hot actor, many writers', \&hot_rows ]);
}

# Processes that do nothing but burn a processor each.
sub start_burners
{
	my ($number) = `nproc` =~ /(\d+)/;

	return map {
		my $pid = fork // die "could not fork: $!";
		if ($pid == 0)
		{
			$SIG{TERM} = 'DEFAULT';
			1 while 1;
		}
		$pid;
	} 1 .. $number;
}

sub stop_burners
{
	my @burners = @_;

	kill 'TERM', @burners if @burners;
	waitpid $_, 0 for @burners;
	return;
}

# A function that measures one of the sides.
sub side
{
	my ($script, $clients, $early) = @_;

	return sub {
		query("ALTER DATABASE $database SET actor.early_release = " . ($early ? 'on' : 'off'));
		return pgbench($script, clients => $clients, set => { actors => 1 })->{tps};
	};
}

# Early release is there for many clients; without it, and with one client, an actor
# is as fast as a row.
sub against_row
{
	my ($numbers, $clients, $early, $busy) = @_;
	my $row = row(
		id => join('_', 'hot', $clients, $early ? 'early' : (), $busy ? 'busy' : ()),
		title => 'one hot actor, ' . clients_text($clients) . ', durable'
		  . ($early ? ', early release' : '') . ($busy ? ', processors busy' : ''),
		unit => 'transactions/s',
		rival_name => 'UPDATE of one row',
		rounds => { ours => $numbers->{ $early ? 'early' : 'late' }, rival => $numbers->{plain} });

	return with_target($row, $early && $clients > 1 ? 4 : 1);
}

sub hot_rows
{
	my @rows;

	prepare_actors();
	for my $busy (0, 1)
	{
		for my $clients (@{ $scale{hot_rows} })
		{
			my @burners = $busy ? start_burners() : ();
			my $numbers = eval {
				compare_rounds(
					late => side('count_actor', $clients, 0),
					early => side('count_actor', $clients, 1),
					plain => side('count_plain', $clients, 0));
			};
			my $error = $@;

			stop_burners(@burners);
			die $error if !$numbers;
			push @rows, map { against_row($numbers, $clients, $_, $busy) } 0, 1;
		}
	}
	query("ALTER DATABASE $database RESET actor.early_release");
	return @rows;
}

1;
