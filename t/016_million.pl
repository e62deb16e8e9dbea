# A million messages to 100,000 actors by one statement: neither the locks nor
# the memory of the sender are used up, and all are delivered in order.
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
max_locks_per_transaction = 64
shared_buffers = 256MB
});
$node->start;

# a message that comes before its turn fails
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA million;
	CREATE FUNCTION million.take(number int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		IF number <> actor_get('last', 0) + 1 THEN
			RAISE 'number % after %', number, actor_get('last', 0);
		END IF;
		PERFORM actor_set('last', number);
	END $$;
	SELECT actor_register('million');
	ALTER SYSTEM SET actor.enabled = off;
	SELECT pg_reload_conf();
});

# the memory that is used while the last message is sent
my $result = $node->safe_psql('postgres', q{
	BEGIN;
	SELECT sum(total_bytes) AS before FROM pg_backend_memory_contexts \gset
	SELECT count(actor_send('million', (i % 100000)::text, 'take',
			jsonb_build_array(i / 100000 + 1)))
	  FROM generate_series(0, 999999) i;
	SELECT sum(total_bytes) - :before < 20000000 FROM pg_backend_memory_contexts;
	SELECT count(*) < 50 FROM pg_locks WHERE pid = pg_backend_pid();
	COMMIT;
});
is($result, "1000000\nt\nt", 'a million messages are sent by one statement');
is($node->safe_psql('postgres', 'SELECT messages, due FROM actor.queue'),
	'1000000|1000000', 'all of them wait');

$node->safe_psql('postgres', 'ALTER SYSTEM RESET actor.enabled');
$node->safe_psql('postgres', 'SELECT pg_reload_conf()');

# all of it takes its time, so some of it must do: what comes out of order fails
ok( $node->poll_query_until('postgres',
		'SELECT 1000000 - messages >= 50000 FROM actor.queue'),
	'they are delivered');
is( $node->safe_psql('postgres', 'SELECT count(*) FROM actor.message WHERE last_error IS NOT NULL'),
	'0', 'in order');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '0', 'without an error');

$node->stop;
done_testing();
