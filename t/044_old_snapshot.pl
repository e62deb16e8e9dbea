# What the queue of one actor costs while somebody holds an old snapshot, so that
# nothing of the messages that are gone can be removed: pages that are accessed
# for a message, which do not depend on how fast the machine is.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $round = 600;
my $rounds = 4;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
autovacuum = off
actor.max_executors = 2
actor.executor_linger = 100ms
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE SEQUENCE t.taken;
	CREATE FUNCTION t.take() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('t.taken') $$;
	-- fails the first time
	CREATE FUNCTION t.fail() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF actor_cause() @> '{"attempt": 1}' THEN RAISE 'not yet'; END IF;
	END $$;
	-- sends messages, each when the one before has been delivered
	CREATE PROCEDURE t.one_at_a_time(number int) LANGUAGE plpgsql AS $$
	DECLARE seen bigint := (SELECT last_value FROM t.taken);
	BEGIN
		FOR i IN 1 .. number LOOP
			PERFORM actor_send('t', 'a', 'take');
			COMMIT;
			WHILE (SELECT last_value FROM t.taken) < seen + i LOOP
				PERFORM pg_sleep(0.001);
			END LOOP;
		END LOOP;
	END $$;
	SELECT actor_register('t');
});

# Pages of our tables and indexes accessed so far.  Executors that have ended have
# counted all of theirs.
sub pages
{
	$node->poll_query_until('postgres',
		"SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'actor executor')")
	  or die 'executors do not end';
	return $node->safe_psql('postgres', q{
		SELECT sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))
		  FROM pg_statio_all_tables WHERE schemaname = 'actor'});
}

# Runs some work on so many messages again and again; the last time it must cost
# at most twice as much as the first time.
sub check
{
	my ($name, $work) = @_;
	my @costs;
	for (1 .. $rounds)
	{
		my $before = pages();
		$work->();
		push @costs, sprintf('%.1f', (pages() - $before) / $round);
	}
	note("$name: pages for a message: @costs");
	return cmp_ok($costs[-1], '<=', 2 * $costs[0] + 5, "$name costs the same");
}

sub all_delivered
{
	$node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM actor.message)')
	  or die 'messages are not delivered';
	return;
}

my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');

my $send = "count(actor_send('t', 'a', 'take')) FROM generate_series(1, $round)";

check('sending and delivering', sub {
	$node->safe_psql('postgres', "SELECT $send");
	all_delivered();
});
for my $order ('ASC', 'DESC')
{
	check("cancelling, $order", sub {
		$node->safe_psql('postgres', qq{
			BEGIN;
			SELECT $send;
			SELECT count(actor_cancel_message('t', 'a', message_id))
			  FROM (SELECT message_id FROM actor.message ORDER BY message_id $order) m;
			COMMIT});
	});
}

check('sending one at a time', sub {
	$node->safe_psql('postgres', "SELECT actor_send('t', 'a', 'take'); CALL t.one_at_a_time($round)");
	all_delivered();
});
check('hiding and showing', sub {
	$node->safe_psql('postgres', qq{
		BEGIN;
		SELECT actor_send('t', 'a', 'fail',
			failure_policy => '{"constant": {"interval": "50ms", "maxRetries": 1}}');
		SELECT $send;
		COMMIT});
	all_delivered();
});
check('joining', sub {
	$node->safe_psql('postgres', qq{
		SELECT count(actor_send('t', 'a', 'take', due_time => '50ms'))
		  FROM generate_series(1, $round)});
	all_delivered();
});

$old->quit;
$node->stop;
done_testing();
