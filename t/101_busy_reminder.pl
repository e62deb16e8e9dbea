# A reminder or timer that fires all the time is deleted, replaced or moved as
# soon as the firing under way has ended.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;

# A job writes down when it begins, where a rollback does not reach, and waits
# for the gate.
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE regress_actor_other LOGIN;
	CREATE SEQUENCE begun;
	CREATE SCHEMA w;
	CREATE FUNCTION w.job() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			PERFORM pg_advisory_xact_lock_shared(4711);
			PERFORM nextval('begun');
			PERFORM pg_sleep(0.05);
		END $$;
	GRANT USAGE ON SCHEMA w TO regress_actor_other;
	GRANT USAGE ON SEQUENCE begun TO regress_actor_other;
	SELECT actor_register('w')});

my $set = {
	reminder => q{SELECT actor_set_reminder('w', '1', 'job', '0s', '1ms')},
	timer => q{SELECT actor_set_timer('w', '1', 'job', '0s', '1ms')}
};
my $gate = $node->background_psql('postgres');

sub begun
{
	return $node->safe_psql('postgres', 'SELECT last_value FROM begun');
}

for my $case (
	[ 'actor_delete_reminder', 'reminder', q{BEGIN; SELECT actor_delete_reminder('w', '1', 'job')}, 't' ],
	[ 'actor_set_reminder', 'reminder', q{BEGIN; SELECT actor_set_reminder('w', '1', 'job', '1h')}, '' ],
	[ 'actor_delete_reminders of an actor', 'reminder',
		q{BEGIN; SELECT actor_delete_reminders('w', '1')}, '1' ],
	[ 'actor_delete_reminders of a type', 'reminder', q{BEGIN; SELECT actor_delete_reminders('w')}, '1' ],
	[ 'actor_delete_timer', 'timer', q{BEGIN; SELECT actor_delete_timer('w', '1', 'job')}, 't' ],
	[ 'actor_reassign', 'reminder',
		q{BEGIN; SELECT actor_reassign(current_user::name, 'regress_actor_other')}, '1' ],
	[ 'actor_reassign of timers', 'timer',
		q{BEGIN; SELECT actor_reassign(current_user::name, 'regress_actor_other')}, '1' ])
{
	my ($what, $kind, $sql, $result) = @{$case};

	for my $round (1 .. 3)
	{
		my $client = $node->background_psql('postgres');
		my $before = begun();

		$node->safe_psql('postgres', $set->{$kind});
		ok($node->poll_query_until('postgres', "SELECT last_value > $before + 2 FROM begun"),
			"$what: it fires");
		$gate->query_safe('SELECT pg_advisory_lock(4711)');
		ok( $node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock'
				AND query NOT LIKE 'firing due%')}),
			'a firing is under way');
		$before = begun();
		$client->query_until(qr/begin/, "\\echo begin\n$sql;\nSELECT last_value FROM begun;\nROLLBACK;\n\\echo end\n");
		ok( $node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity
				WHERE backend_type = 'client backend' AND wait_event_type = 'Lock')}),
			'it is waited for');
		$gate->query_safe('SELECT pg_advisory_unlock(4711)');
		my $output = $client->query_until(qr/^end$/m, '');
		$output =~ s/^(begin|end|BEGIN|ROLLBACK|COMMIT)\n//mg;
		$output =~ s/\s+/ /g;
		$output =~ s/^ | $//g;
		is($output, join(' ', grep { $_ ne '' } $result, $before + 1), 'nothing else has fired first');
		$client->quit;
		$node->safe_psql('postgres', q{
			SELECT actor_delete_reminders('w');
			SELECT actor_delete_timer('w', '1', 'job')});
	}
}

# the wait has a limit
$node->safe_psql('postgres', $set->{reminder});
$gate->query_safe('SELECT pg_advisory_lock(4711)');
ok( $node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE backend_type = 'actor executor' AND wait_event_type = 'Lock'
		AND query NOT LIKE 'firing due%')}),
	'a firing is under way');
for my $sql (
	q{SELECT actor_delete_reminder('w', '1', 'job')},
	q{SELECT actor_set_reminder('w', '1', 'job', '1h')},
	q{SELECT actor_delete_reminders('w')},
	q{SELECT actor_reassign(current_user::name, 'regress_actor_other')})
{
	my ($ret, $out, $err) = $node->psql('postgres', "SET actor.call_timeout = '100ms'; $sql");

	like($err, qr/reminder "job" of actor "1" of type "w" was not free within 100 ms/,
		"$sql gives up");
}
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
$gate->quit;

$node->stop;
done_testing();
