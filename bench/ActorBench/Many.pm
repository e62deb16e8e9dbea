# Rows about many actors: at random, of more than stay in memory, and in one
# transaction.
package ActorBench::Many;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';

use ActorBench::Rows qw(row with_target);
use ActorBench::Server qw(query pgbench compare_rounds %scale);

our @EXPORT_OK = qw(many_groups);

sub many_groups
{
	return (
		cold => [ 'many actors at random', \&cold_rows ],
		at_once => [ 'many actors in one transaction', \&at_once_rows ]);
}

sub fill
{
	my $number = shift;

	query("CALL tool.set_actors($number)");
	query('VACUUM (ANALYZE) actor.state, actor.activation, rival.plain; CHECKPOINT');
	return;
}

# A function that measures one of the sides, without waiting for the disk at commit.
sub side
{
	my ($script, $lazy) = @_;

	return sub {
		query('ALTER ROLE bench SET actor.lazy_activation = ' . ($lazy ? 'on' : 'off'));
		return pgbench($script, clients => 2, set => { actors => $scale{cold} })->{tps};
	};
}

sub cold_rows
{
	my $title = "writing method, one of $scale{cold} actors at random, 2 clients, synchronous_commit off";

	fill($scale{cold});
	query('ALTER ROLE bench SET synchronous_commit = off');
	my $numbers = compare_rounds(
		actor => side('count_actor', 0),
		lazy => side('count_actor', 1),
		plain => side('count_plain', 0));
	query('ALTER ROLE bench RESET synchronous_commit');
	query('ALTER ROLE bench RESET actor.lazy_activation');
	return map {
		with_target(
			row(
				id => $_ eq 'lazy' ? 'cold_lazy' : 'cold',
				title => $title . ($_ eq 'lazy' ? ', lazy_activation' : ''),
				unit => 'transactions/s',
				rival_name => 'UPDATE by primary key',
				rounds => { ours => $numbers->{$_}, rival => $numbers->{plain} }),
			0.8)
	} qw(actor lazy);
}

sub at_once_rows
{
	my $turns = $scale{at_once};

	fill(11 * $turns);
	my $numbers = compare_rounds(
		map {
			my $side = $_;
			$side => sub { pgbench("many_$side", set => { turns => $turns })->{ms} * 1000 / $turns }
		} qw(actor plain));
	my $row = row(
		id => 'at_once',
		title => "writing method of $turns actors in one transaction, durable",
		unit => 'µs an actor',
		better => 'lower',
		rival_name => 'one UPDATE of all rows',
		rounds => { ours => $numbers->{actor}, rival => $numbers->{plain} });

	$row->{target} = '≤ 5 µs';
	$row->{met} = $row->{ours} <= 5 ? \1 : \0;
	return $row;
}

1;
