# Much is due that cannot run, more than an executor looks at.  What turns up
# before all of it in time must be found all the same.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_prepared_transactions = 2
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE TABLE t.log (id text, name text);
	CREATE FUNCTION t.note() RETURNS void LANGUAGE sql
		AS $$ INSERT INTO t.log VALUES (actor_id(), actor_cause() ->> 'name') $$;
	CREATE FUNCTION t.hold() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$;
	SELECT actor_register('t');
});

# more than SCAN_LIMIT_MAX of round.c, of an actor whose turn is held
my $due = 7000;
$node->safe_psql('postgres', q{BEGIN; SELECT actor_invoke('t', 'busy', 'hold'); PREPARE TRANSACTION 'hold'});
$node->safe_psql('postgres', qq{
	SELECT count(actor_set_reminder('t', 'busy', i::text, '0s', method => 'note'))
	  FROM generate_series(1, $due) AS i});

# a worker that has looked at as many as it ever does
ok( $node->poll_query_until('postgres',
		q{SELECT max(backlog) >= 6400 FROM actor.worker WHERE kind = 'executor'}),
	'the window is full of what cannot run');
for my $i (1 .. 3)
{
	$node->safe_psql('postgres',
		"SELECT actor_set_reminder('t', 'early $i', 'once', now() - interval '1 hour', method => 'note')");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM t.log WHERE id = 'early $i'"),
		"earlier one $i is found");
}
is($node->safe_psql('postgres', q{SELECT count(*) FROM t.log WHERE id = 'busy'}), '0', 'the others still wait');

$node->safe_psql('postgres', q{COMMIT PREPARED 'hold'});
ok($node->poll_query_until('postgres', "SELECT count(*) = $due FROM t.log WHERE id = 'busy'"), 'they fire when they can');
is($node->safe_psql('postgres', q{SELECT count(DISTINCT name) FROM t.log WHERE id = 'busy'}), $due, 'each of them once');
$node->stop;
done_testing();
