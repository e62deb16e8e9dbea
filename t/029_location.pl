# Rows are looked for where they were last seen, see src/store/location.c.  Here
# they are seldom there: pages are evicted all the time, and tables are written
# anew.  Two databases, of which one is a copy of the other, have the same files
# and keys.  Each call compares what it finds with a table that is read and
# written by SQL only, and what is active twice has run its hook twice.

use strict;
use warnings FATAL => 'all';

use IPC::Run qw(start);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $actors = 1500;
my $transactions = 1500;    # of each client
my @databases = qw(one two);

my $node = PostgreSQL::Test::Cluster->new('location');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
shared_buffers = 128
autovacuum_naptime = 1s
log_statement = none
});
$node->start;
is($node->safe_psql('postgres', "SELECT setting FROM pg_settings WHERE name = 'shared_buffers'"),
	'128', 'there are few buffers');

$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql(
	'one', qq{
	CREATE EXTENSION actor;
	CREATE SCHEMA cell;
	CREATE TABLE cell.known (id text PRIMARY KEY, n bigint, length int);
	CREATE TABLE cell.activated (id text);
	INSERT INTO cell.known SELECT n, 0, 1 FROM generate_series(1, $actors) n;
	CREATE FUNCTION cell.on_activate() RETURNS void LANGUAGE sql
		AS 'INSERT INTO cell.activated VALUES (actor_id())';
	-- what the state says; NULL if it is as it is known to be
	CREATE FUNCTION cell._wrong() RETURNS text LANGUAGE plpgsql STABLE AS \$\$
	DECLARE
		expected record;
		found jsonb := actor_get('n');
		padding text := actor_get('padding', ''::text);
	BEGIN
		SELECT * INTO STRICT expected FROM cell.known WHERE id = actor_id();
		IF found = to_jsonb(expected.n) AND length(padding) = expected.length
			AND actor_get('id', ''::text) = actor_id() AND actor_get('nothing') IS NULL THEN
			RETURN NULL;
		END IF;
		RETURN format('actor %s has %s and %s characters, not %s and %s', actor_id(), found,
					  length(padding), expected.n, expected.length);
	END \$\$;
	CREATE FUNCTION cell.make() RETURNS void LANGUAGE plpgsql AS \$\$
	BEGIN
		PERFORM actor_set('n', 0), actor_set('padding', 'x'::text), actor_set('id', actor_id());
	END \$\$;
	CREATE FUNCTION cell.add(step int, length int) RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		wrong text := cell._wrong();
	BEGIN
		IF wrong IS NOT NULL THEN
			RAISE 'wrong: %', wrong;
		END IF;
		PERFORM actor_set('n', actor_get('n', 0) + step), actor_set('padding', repeat('x', length));
		UPDATE cell.known k SET n = n + step, length = add.length WHERE id = actor_id();
	END \$\$;
	-- goes, and comes back in other rows
	CREATE FUNCTION cell.move() RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		n bigint := actor_get('n', 0);
		padding text := actor_get('padding', ''::text);
	BEGIN
		PERFORM actor_remove('n'), actor_remove('padding'), actor_remove('id');
		IF actor_get('n') IS NOT NULL THEN
			RAISE 'wrong: actor % has what was removed', actor_id();
		END IF;
		PERFORM actor_set('id', actor_id()), actor_set('padding', padding), actor_set('n', n);
	END \$\$;
	CREATE FUNCTION cell.check() RETURNS void LANGUAGE plpgsql STABLE AS \$\$
	DECLARE
		wrong text := cell._wrong();
	BEGIN
		IF wrong IS NOT NULL THEN
			RAISE 'wrong: %', wrong;
		END IF;
	END \$\$;
	SELECT actor_register('cell');
	SET actor.max_turns_per_transaction = 10000;
	SELECT count(actor_invoke('cell', n::text, 'make')) FROM generate_series(1, $actors) n;
});
# not every server has it
my $amcheck = $node->safe_psql('one', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'});
$node->safe_psql('one', 'CREATE EXTENSION amcheck') if $amcheck;
$node->restart;
$node->safe_psql('postgres', 'CREATE DATABASE two TEMPLATE one');
# the restart has ended that they were active
$node->safe_psql($_, 'TRUNCATE cell.activated, actor.activation') foreach @databases;

my $folder = PostgreSQL::Test::Utils::tempdir();
my %script = (
	write => qq{
\\set id random(1, $actors)
\\set length random(0, 900)
SELECT actor_invoke('cell', (:id)::text, 'add', jsonb_build_object('step', 1, 'length', (:length)::int));
},
	move => qq{
\\set id random(1, $actors)
SELECT actor_invoke('cell', (:id)::text, 'move');
},
	undo => qq{
\\set id random(1, $actors)
BEGIN;
SELECT actor_invoke('cell', (:id)::text, 'add', '{"step": 5, "length": 700}');
SAVEPOINT s;
SELECT actor_invoke('cell', (:id)::text, 'add', '{"step": 5, "length": 7}');
ROLLBACK TO s;
SELECT actor_invoke('cell', (:id)::text, 'check');
ROLLBACK;
},
	read => qq{
\\set id random(1, $actors)
SELECT actor_invoke('cell', (:id)::text, 'check');
},
	# an old snapshot, while rows move
	old => qq{
\\set id random(1, $actors - 20)
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT count(actor_invoke('cell', n::text, 'check')) FROM generate_series(:id, :id + 20) n;
SELECT count(actor_invoke('cell', n::text, 'check')) FROM generate_series(:id, :id + 20) n;
COMMIT;
});
append_to_file("$folder/$_.sql", $script{$_}) foreach keys %script;

my @runs;
foreach my $database (@databases)
{
	my $out = '';

	push @runs, {
		database => $database,
		out => \$out,
		handle => start(
			[
				'pgbench', '-n', '-M', 'prepared', '-c', 4, '-j', 1, '-t', $transactions,
				'-h', $node->host, '-p', $node->port,
				(map { ('-f', "$folder/$_->[0].sql\@$_->[1]") } [ write => 5 ], [ move => 1 ], [ undo => 1 ],
				  [ read => 4 ], [ old => 1 ]),
				$database
			],
			'<', \'', '>&', \$out)
	};
}

# As long as they run, and once at least.  (A call takes its lock on the table in
# two steps, so REINDEX TABLE must not come between them.)
my @commands = (
	'VACUUM FULL actor.state',
	'CLUSTER actor.state USING state_pkey',
	'BEGIN; LOCK TABLE actor.state; REINDEX TABLE actor.state; COMMIT',
	'VACUUM (INDEX_CLEANUP on) actor.state',
	'VACUUM FULL actor.activation',
	'CLUSTER actor.activation USING activation_pkey',
	'REINDEX TABLE CONCURRENTLY actor.state',
	'REINDEX TABLE CONCURRENTLY actor.activation',
	'VACUUM actor.activation');
my $done = 0;
while ($done < @commands || grep { $_->{handle}->pumpable } @runs)
{
	$node->safe_psql($_, $commands[ $done % @commands ]) foreach @databases;
	$done++;
	foreach my $run (grep { $_->{handle}->pumpable } @runs)
	{
		$run->{handle}->pump_nb;
	}
}
note("$done times tables were written anew");

foreach my $run (@runs)
{
	my $database = $run->{database};
	my $query = sub { return $node->safe_psql($database, shift) };

	ok($run->{handle}->finish, "$database: every call has found what is known")
	  or diag(${ $run->{out} });
	my ($writes) = ${ $run->{out} } =~ /write\.sql.*?- (\d+) transactions/s;
	is($query->('SELECT sum(value::text::bigint) FROM actor.state WHERE key = \'n\''),
		$writes, 'no update is lost');
	is( $query->(q{
			SELECT count(*) FROM cell.known
			  FULL JOIN (SELECT actor_id AS id, (jsonb_object_agg(key, value) ->> 'n')::bigint AS n,
								length(jsonb_object_agg(key, value) ->> 'padding') AS length,
								count(*) AS keys
						   FROM actor.state GROUP BY actor_id) s USING (id)
			 WHERE (known.n, known.length, 3) IS DISTINCT FROM (s.n, s.length, s.keys)}),
		'0', 'all state is what is known');
	is($query->('SELECT count(*) FROM (SELECT FROM cell.activated GROUP BY id HAVING count(*) > 1) a'),
		'0', 'no actor was activated twice');
	is( $query->(q{
			SELECT count(*) FROM cell.activated FULL JOIN actor.activation ON id = actor_id
			 WHERE id IS NULL OR actor_id IS NULL}),
		'0', 'all that were are active');
	next unless $amcheck;
	$query->(q{
		SELECT bt_index_check(indexrelid, true) FROM pg_index
		 WHERE indrelid IN ('actor.state'::regclass, 'actor.activation'::regclass)});
	is($query->(q{
			SELECT (SELECT count(*) FROM verify_heapam('actor.state')),
				   (SELECT count(*) FROM verify_heapam('actor.activation'))}),
		'0|0', 'tables and indexes are sound');
}

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
