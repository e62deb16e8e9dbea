# Commands that need a database without other sessions must neither fail nor
# wait because workers of ours are connected to it, idle or busy; and what was
# cut short stays due.
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

# Workers of a database, as pg_stat_activity knows them.
sub workers
{
	my ($database, $kind) = @_;
	return qq{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'actor $kind' AND datname = '$database'};
}

# A database with a counter that ticks and, if wanted, a callback that blocks.
sub make_database
{
	my ($name, $busy) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, q{
		CREATE EXTENSION actor;
		CREATE SCHEMA counter;
		CREATE FUNCTION counter.tick() RETURNS void LANGUAGE plpgsql AS $$
			BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1); END $$;
		CREATE FUNCTION counter.block() RETURNS void LANGUAGE plpgsql AS $$
			BEGIN PERFORM pg_sleep(3600); END $$;
		SELECT actor_register('counter');
		SELECT actor_set_reminder('counter', 'c', 'tick', period => 'PT1S')});
	ok( $node->poll_query_until(
			$name, q{SELECT value::int > 0 FROM actor.state WHERE key = 'n'}),
		"$name: the reminder fires");
	return unless $busy;
	$node->safe_psql($name,
		q{SELECT actor_set_reminder('counter', 'b', 'block')});
	ok( $node->poll_query_until(
			'postgres',
			qq{SELECT count(*) = 1 FROM pg_stat_activity
				WHERE backend_type = 'actor executor' AND datname = '$name'
				AND state = 'active' AND query LIKE 'reminder "block" %'}),
		"$name: a callback is running");
	return;
}

for my $busy (0, 1)
{
	my $how = $busy ? 'busy' : 'idle';

	make_database('source', $busy);
	is( $node->psql('postgres', 'CREATE DATABASE copy TEMPLATE source'),
		0, "CREATE DATABASE from a template with $how workers");

	# the copy has the reminders too, and nobody needs to say so
	$node->safe_psql('postgres', 'SELECT pg_reload_conf()');
	ok( $node->poll_query_until('postgres', workers('copy', 'scheduler') . " HAVING count(*) = 1", '1'),
		'the copy gets its own scheduler');
	is($node->psql('postgres', 'DROP DATABASE copy'),
		0, 'DROP DATABASE of the copy');

	ok( $node->poll_query_until('postgres', workers('source', 'scheduler') . " HAVING count(*) = 1", '1'),
		"the scheduler is back with $how workers");
	is($node->psql('postgres', 'ALTER DATABASE source RENAME TO renamed'),
		0, "ALTER DATABASE RENAME with $how workers");
	ok( $node->poll_query_until('postgres', workers('renamed', 'executor') . " HAVING count(*) = 1", '1'),
		'workers come back under the new name');
	is( $node->safe_psql('renamed', q{SELECT count(*) FROM actor.reminder}),
		$busy ? '2' : '1', 'nothing that was cut short is lost');
	is($node->psql('postgres', 'DROP DATABASE renamed'),
		0, "DROP DATABASE with $how workers");
}

# DROP EXTENSION, rolled back and committed
make_database('source', 1);
my $in_transaction = $node->background_psql('source');
$in_transaction->query_safe('BEGIN');
$in_transaction->query_safe('DROP EXTENSION actor');
is( $node->safe_psql('postgres', workers('source', 'executor')),
	'0', 'DROP EXTENSION ends the workers');
$in_transaction->query_safe('ROLLBACK');
ok( $node->poll_query_until('postgres', workers('source', 'executor') . " HAVING count(*) = 1", '1'),
	'they come back when it is rolled back');
$in_transaction->quit;
is($node->psql('source', 'DROP EXTENSION actor'), 0, 'DROP EXTENSION');
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0
		FROM pg_stat_activity WHERE backend_type ~ '^actor (scheduler|executor)'}),
	'no worker is left');
$node->safe_psql('source', 'CREATE EXTENSION actor');
is( $node->safe_psql('source', 'SELECT count(*) FROM actor.reminder'),
	'0', 'the extension can be created again');

# whoever may not drop the database does not disturb its workers either
make_database('guarded', 0);
$node->safe_psql('postgres', 'CREATE ROLE regress_actor_stranger LOGIN');
my $scheduler = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity
	WHERE backend_type = 'actor scheduler' AND datname = 'guarded'});
isnt( $node->psql(
		'postgres', 'DROP DATABASE guarded',
		extra_params => [ '-U', 'regress_actor_stranger' ]),
	0, 'a stranger cannot drop the database');
is( $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity
		WHERE backend_type = 'actor scheduler' AND datname = 'guarded'}),
	$scheduler, 'its scheduler has not noticed');

$node->stop;
done_testing();
