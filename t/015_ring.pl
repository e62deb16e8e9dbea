# A ring of 1,000 actors passes messages 100 times around, which are 100,000
# hops.  The server is killed on the way, and yet each hop happens exactly once.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $actors = 1000;
my $tokens = 100;		# at once, so that they share transactions
my $hops = 1000;		# of each of them

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;

# the key refuses a hop that happens twice
$node->safe_psql('postgres', qq{
	CREATE EXTENSION actor;
	CREATE SCHEMA ring;
	CREATE TABLE ring.hop (token int, hop int, actor int, PRIMARY KEY (token, hop));
	CREATE FUNCTION ring.pass(token int, hop int) RETURNS void LANGUAGE plpgsql AS \$\$
	BEGIN
		INSERT INTO ring.hop VALUES (token, hop, actor_id()::int);
		IF hop < $hops THEN
			PERFORM actor_send('ring', ((actor_id()::int + 1) % $actors)::text, 'pass',
				jsonb_build_array(token, hop + 1));
		END IF;
	END \$\$;
	SELECT actor_register('ring');
	SELECT count(actor_send('ring', (t * $actors / $tokens)::text, 'pass', jsonb_build_array(t, 1)))
	  FROM generate_series(0, $tokens - 1) t;
});

my $half = $actors * $tokens / 2;
ok( $node->poll_query_until('postgres', "SELECT count(*) > $half FROM ring.hop"),
	'half of the hops are done');

# SIGKILL for the postmaster, and for all that it has started
my @pids = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity');
$node->kill9;
kill 'KILL', @pids;
for (my $i = 0; (@pids = grep { kill 0, $_ } @pids) && $i < 1800; $i++)
{
	usleep(100_000);
}
is(scalar(@pids), 0, 'the server is killed');
$node->start;
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM ring.hop'),
	'<', $actors * $tokens, 'when it was killed there were hops to do');

ok( $node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.message)'),
	'all messages are delivered');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM ring.hop'),
	$tokens * $hops, 'all hops are done, none twice');
is( $node->safe_psql('postgres', qq{
		SELECT count(*) FROM ring.hop WHERE actor <> (token * $actors / $tokens + hop - 1) % $actors}),
	'0', 'each by its actor');
is( $node->safe_psql('postgres', q{
		SELECT min(n), max(n), count(*) FROM (SELECT count(*) AS n FROM ring.hop GROUP BY actor) a}),
	"$tokens|$tokens|$actors", 'each actor has passed each message on as often as it came around');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '0', 'nothing was given up');

$node->stop;
done_testing();
