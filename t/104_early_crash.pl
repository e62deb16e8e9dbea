# A server that crashes again and again while turns are released early.
#
# Whoever was answered must find after the crash what he was told, and the turns of
# an actor are a history without a gap.
#
#	ROUNDS=n		crashes so often, 4 times if not given

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rounds = $ENV{ROUNDS} // 4;
my $writers = 8;
my $readers = 2;
my $actors = 2;

my $node = PostgreSQL::Test::Cluster->new('early_crash');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
fsync = on
full_page_writes = on
restart_after_crash = on
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA c;
	CREATE TABLE c.journal (actor text, n int, writer int, PRIMARY KEY (actor, n));
	CREATE FUNCTION c.add(writer int) RETURNS text LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + 1;
	BEGIN
		PERFORM actor_set('n', n);
		INSERT INTO c.journal VALUES (actor_id(), n, writer);
		RETURN actor_id() || ' ' || n || ' ' || writer;
	END $$;
	CREATE FUNCTION c.n() RETURNS text LANGUAGE sql STABLE AS $$ SELECT actor_id() || ' ' || actor_get('n', 0) $$;
	SELECT actor_register('c', early_release => true)});

my $folder = PostgreSQL::Test::Utils::tempdir();

# Statements of a writer, or of a reader (0): more than a round lets him do.
sub statements
{
	my ($writer) = @_;
	my $path = "$folder/statements$writer.sql";

	open(my $file, '>', $path) or die "$path: $!";
	for my $i (1 .. 5000)
	{
		my $actor = ($i + $writer) % $actors;

		print $file $writer
		  ? qq{SELECT actor_invoke('c', '$actor', 'add', '{"writer": $writer}') #>> '{}';\n}
		  : qq{SELECT actor_invoke('c', '$actor', 'n') #>> '{}';\n};
	}
	close $file;
	return $path;
}

my @scripts = map { statements($_) } 0 .. $writers;

# A session that goes on until the server is gone, and writes down what it is told.
sub start_session
{
	my ($number, $writer) = @_;
	my $out = "$folder/answers$number";
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		open(STDOUT, '>', $out);
		open(STDERR, '>', '/dev/null');
		exec 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $scripts[$writer];
	}
	return { pid => $pid, out => $out };
}

sub answers
{
	my ($session) = @_;

	return -e $session->{out} ? split(/\n/, slurp_file($session->{out})) : ();
}

# Ends the server in one of several ways, none of which writes anything.
sub crash
{
	my ($round) = @_;

	if ($round % 3 == 0)
	{
		# the server notices that, ends all others, and starts again by itself
		my $pid = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity
			WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() LIMIT 1});
		kill 'KILL', $pid if $pid ne '';
		return;
	}
	if ($round % 3 == 1)
	{
		$node->stop('immediate');
	}
	else
	{
		my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
		my @pids = split /\n/, $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()});

		kill 'KILL', $postmaster, @pids;
		# as nobody takes its end note otherwise
		$node->stop('immediate', fail_ok => 1);
		$node->{_pid} = undef;
		unlink $node->data_dir . '/postmaster.pid';
	}
	usleep(50_000) until $node->start(fail_ok => 1);
	return;
}

my %acknowledged;    # actor and number => writer
my %seen;            # actor => highest number that was read
my $lost = 0;
my $ahead = 0;
my $gaps = 0;

for my $round (1 .. $rounds)
{
	unlink glob "$folder/answers*";
	my @sessions = map { start_session($_, $_) } 1 .. $writers;
	push @sessions, map { start_session($writers + $_, 0) } 1 .. $readers;
	usleep(1000) until !grep { @{ [ answers($_) ] } < 5 + $round % 7 } @sessions;
	crash($round);
	waitpid($_->{pid}, 0) foreach @sessions;
	foreach my $answer (map { answers($_) } @sessions)
	{
		my ($actor, $n, $writer) = split / /, $answer;

		$acknowledged{"$actor $n"} = $writer if defined $writer;
		$seen{$actor} = $n if !defined $writer && $n > ($seen{$actor} // 0);
	}
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server is gone';
	my %journal = map { my ($actor, $n, $writer) = split /\|/; ("$actor $n" => $writer) }
	  split /\n/, $node->safe_psql('postgres', 'SELECT * FROM c.journal');
	$lost += grep { ($journal{$_} // '') ne $acknowledged{$_} } keys %acknowledged;
	for my $actor (keys %seen)
	{
		$ahead++ if $seen{$actor} > 0 && !defined $journal{"$actor $seen{$actor}"};
	}
	$gaps += $node->safe_psql('postgres', q{
		SELECT count(*) FROM (
			SELECT actor, max(j.n) AS last, count(*) AS turns, min((s.value)::int) AS state
			  FROM c.journal j JOIN actor.state s ON s.actor_type = 'c' AND s.actor_id = j.actor
			 GROUP BY actor) h
		 WHERE last <> turns OR last <> state});
	note("round $round: " . keys(%acknowledged) . " acknowledged") if $round % 50 == 0;
}
cmp_ok(scalar(keys %acknowledged), '>', $rounds * $writers, 'turns were acknowledged');
is($lost, 0, 'all of them are there');
is($ahead, 0, 'so is what was read');
is($gaps, 0, 'the history of each actor is serial');
$node->stop;
done_testing();
