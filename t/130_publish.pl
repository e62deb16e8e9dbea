# Every event reaches every subscriber exactly once and in order, whatever is
# killed: publishers in several sessions, some events handed out by themselves and
# some by the workers, while the server and its processes are killed.
#
# ACTOR_EVENTS has the number of events of each of both topics for a longer run.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use IPC::Run qw(start finish);
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

my $publishers = 3;
my $subscribers = 100;
my $events = int(($ENV{ACTOR_EVENTS} // 90) / $publishers);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
restart_after_crash = on
});
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION actor;
	CREATE SCHEMA wire;
	CREATE SCHEMA ear;
	CREATE TABLE wire.published (topic text, publisher int, n int, event_id bigint);
	CREATE TABLE ear.got (number bigint GENERATED ALWAYS AS IDENTITY, id text, topic text, publisher int, n int);
	CREATE FUNCTION ear.hear(topic text, publisher int, n int) RETURNS void LANGUAGE plpgsql
		AS \$\$ BEGIN INSERT INTO ear.got (id, topic, publisher, n) VALUES (actor_id(), topic, publisher, n); END \$\$;
	-- goes on where it has been ended; half of the transactions publish two events,
	-- and some take back a third one
	CREATE PROCEDURE wire.run(me int, last int) LANGUAGE plpgsql AS \$\$
	DECLARE
		first int := (SELECT coalesce(max(p.n), 0) + 1 FROM wire.published p WHERE p.publisher = me);
	BEGIN
		FOR i IN first .. last LOOP
			PERFORM set_config('actor.publish_limit', (ARRAY['10', '1000'])[1 + (random() < 0.6)::int], true);
			INSERT INTO wire.published
			SELECT t, me, i, actor_publish(t, jsonb_build_object('topic', t, 'publisher', me, 'n', i), 'wire')
			  FROM unnest(ARRAY['kept', 'plain']) t;
			IF random() < 0.3 THEN
				BEGIN
					PERFORM actor_publish('plain', '{"topic": "plain", "publisher": 0, "n": 0}', 'wire');
					RAISE 'taken back';
				EXCEPTION WHEN raise_exception THEN
					NULL;
				END;
			END IF;
			COMMIT;
		END LOOP;
	END \$\$;
	SELECT actor_register('wire');
	SELECT actor_register('ear');
	SELECT actor_keep_events('wire', 'kept', '1 day');
	SELECT count(actor_subscribe(t, 'ear', i::text, 'hear', 'wire'))
	  FROM generate_series(1, $subscribers) i, unnest(ARRAY['kept', 'plain']) t;
});

my @running;

sub start_publishers
{
	@running = map {
		my ($out, $err) = ('', '');
		start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL wire.run($_, $events)" ],
			'<', \undef, '>', \$out, '2>', \$err);
	} 1 .. $publishers;
}

# those that are left; the server may have ended them
sub await_publishers
{
	foreach my $publisher (@running)
	{
		eval { finish $publisher };
	}
	@running = ();
}

sub kill_server
{
	$node->kill9;
	foreach my $i (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return if $node->start(fail_ok => 1);
		sleep(0.1);
		$node->stop('fast', fail_ok => 1);
	}
	die 'server does not start';
}

sub kill_worker
{
	my ($kind) = @_;
	my $pid = $node->safe_psql('postgres',
		"SELECT min(pid) FROM pg_stat_activity WHERE backend_type = 'actor $kind'");

	return if $pid eq '';
	my $started = $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
	kill 'KILL', $pid;
	$node->poll_query_until('postgres',
		"SELECT pid <> $started FROM pg_stat_activity WHERE backend_type = 'checkpointer'")
	  or die 'server does not come back';
}

my $total = 2 * $publishers * $events * $subscribers;
my @trouble = (
	sub { kill_worker('scheduler') },
	\&kill_server,
	sub { kill_worker('executor') },
	sub { $node->stop('immediate'); $node->start; },
	\&kill_server,
	sub { $node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'actor%'") });
my $step = 0;
foreach my $trouble (@trouble)
{
	start_publishers();
	$step++;
	ok( $node->poll_query_until('postgres',
			"SELECT last_value >= $step * $total / (2 * @{[ scalar @trouble ]}) FROM ear.got_number_seq"),
		"part $step is delivered");
	$trouble->();
	await_publishers();
}
start_publishers();
await_publishers();
is( $node->safe_psql('postgres', 'SELECT count(*) FROM wire.published'),
	2 * $publishers * $events, 'all events are published');
ok( $node->poll_query_until('postgres', q{
		SELECT NOT EXISTS (SELECT FROM actor.fan_out) AND NOT EXISTS (SELECT FROM actor.message)}),
	'and nothing waits any more');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM actor.failure}), '0', 'nothing has failed');
is( $node->safe_psql('postgres', qq{
		SELECT count(*) FROM (
			(SELECT i::text, topic, publisher, n FROM wire.published, generate_series(1, $subscribers) i
			 EXCEPT ALL SELECT id, topic, publisher, n FROM ear.got)
			UNION ALL
			(SELECT id, topic, publisher, n FROM ear.got
			 EXCEPT ALL SELECT i::text, topic, publisher, n FROM wire.published, generate_series(1, $subscribers) i)) d}),
	'0', 'every subscriber has got every event once');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM (SELECT n, lag(n) OVER (PARTITION BY id, topic, publisher ORDER BY number) AS before
			FROM ear.got) g WHERE n <= before}),
	'0', 'those of a publisher in their order');
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM (SELECT event_id, lag(event_id) OVER (PARTITION BY g.id ORDER BY g.number) AS before
			FROM ear.got g JOIN wire.published p USING (topic, publisher, n) WHERE topic = 'kept') g
		 WHERE event_id <> coalesce(before, 0) + 1}),
	'0', 'and those that are kept in the order of their numbers');
is( $node->safe_psql('postgres', q{
		SELECT count(*) = max(event_id) AND min(event_id) = 1 FROM actor_events('kept', 'wire', max_rows => 1000000)}),
	't', 'which have no gaps');

done_testing();
