# Actors on several servers: what works, from each of them, and what is refused.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my ($coordinator, @others) = start_servers(2);
my @all = ($coordinator, @others);

# C1: tables that were distributed in another way

create_counter($coordinator);
sql($coordinator, q{
CREATE FUNCTION g.look() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
CREATE FUNCTION g.both(other text) RETURNS int LANGUAGE sql AS $$
	SELECT actor_invoke('g', other, 'add')::int + g.add() $$;
CREATE FUNCTION g.on_activate() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('born', true) $$;
SELECT create_distributed_table('actor.state', 'actor_id', shard_count => 8);
SELECT actor_register('g', reentrancy => true);
});
refused($coordinator, q{SELECT actor_invoke('g', 'a', 'add')}, '0A000', 'state alone is distributed');
refused($coordinator, q{SET actor.turn_lock = row; SELECT actor_invoke('g', 'a', 'add')}, '0A000', 'also with rows');
refused($coordinator, 'SELECT actor_distribute(0)', '22023', 'without a shard');
sql($coordinator, q{CREATE ROLE regress_some LOGIN});
refused($coordinator, 'SET ROLE regress_some; SELECT actor_distribute()', '42501', 'by anybody');
sql($coordinator, q{INSERT INTO actor.placement VALUES ('g', 'a', gen_random_uuid(), gen_random_uuid(), true, now())});
refused($coordinator, 'SELECT actor_distribute()', '55000', 'with placements');
sql($coordinator, 'DELETE FROM actor.placement');
sql($coordinator, 'SELECT actor_distribute(8)');
refused($coordinator, 'SELECT actor_distribute()', '55000', 'twice');
is(sql($coordinator, q{SELECT actor_invoke('g', 'a', 'add')}), '1', 'and turns can be taken');
is(sql($coordinator, q{SELECT count(*) FROM pg_dist_shard WHERE logicalrelid = 'actor.request'::regclass}), '8',
	'so many shards');

# C9: every verb, from each server

my $n = 1;
foreach my $node (@all)
{
	my $name = $node->name;
	my $actor = "of $name";

	is(sql($node, q{SELECT actor_invoke('g', 'a', 'add')}), ++$n, "$name goes on where the others were");
	is(sql($node, q{SELECT actor_invoke('g', 'a', 'look')}), $n, 'and reads it');
	is(sql($node, qq{SELECT actor_invoke('g', '$actor', 'add', request_id => 'r') FROM generate_series(1, 2)}),
		"1\n1", 'a request id');
	is(sql($node, qq{BEGIN; SELECT actor_invoke('g', '$actor', 'add'); SAVEPOINT s;
		SELECT actor_invoke('g', 'not $actor', 'add'); ROLLBACK TO s; COMMIT}), "2\n1", 'a savepoint');
	is(sql($node, qq{SELECT count(*) FROM actor.state WHERE actor_id = 'not $actor'}), '0', 'is rolled back');
	is(sql($node, qq{SELECT count(*) FROM actor.activation WHERE actor_id = 'not $actor'}), '0', 'with its row');
	is(sql($node, qq{SELECT actor_invoke('g', '$actor', 'both', '["b $name"]')}), '4', 'a nested call');
	is(sql($node, qq{SELECT actor_transact('g', '$actor', '[{"operation": "upsert", "request": {"key": "k", "value": 7}}]');
		SELECT value FROM actor_get_state('g', '$actor', 'k')}), "\n7", 'state');
	my $id = sql($node, qq{SELECT actor_open_turn('g', '$actor', '1h')});
	is(sql($node, qq{SELECT actor_invoke('g', '$actor', 'add', reentrancy_id => '$id')}), '4', 'an open turn');
	foreach my $other (@all)
	{
		refused($other, qq{SET actor.call_timeout = '20ms'; SELECT actor_invoke('g', '$actor', 'add')},
			'55P03', 'is open to nobody else on ' . $other->name);
	}
	is(sql($node, qq{SELECT actor_close_turn('g', '$actor', '$id')}), 't', 'it is closed');
	is(sql($node, qq{SELECT actor_deactivate('g', '$actor'), actor_deactivate('g', '$actor')}), 't|f', 'life');
	is(sql($node, qq{SELECT count(*) FROM actor.activation WHERE actor_id = '$actor'}), '0', 'ends without a row');
	is(sql($node, qq{SELECT actor_invoke('g', '$actor', 'add'); SELECT actor_delete('g', '$actor')}), "5\nt", 'to delete');
	is(sql($node, qq{SELECT count(*) FROM actor.state WHERE actor_id = '$actor'}), '0', 'takes all state');
	refused($node, qq{SET actor.turn_lock = advisory; SELECT actor_invoke('g', '$actor', 'add')}, '0A000',
		'turns of this server only are refused');
}

# two on different servers meet at the row, which the control cannot
my $holder = $others[0]->background_psql('postgres', on_error_stop => 1);
$holder->query_safe(q{BEGIN; SELECT actor_invoke('g', 'a', 'add')});
my $waiter = session_on($others[1], q{SELECT actor_invoke('g', 'a', 'add')});
comes($coordinator, q{SELECT count(*) > 0 FROM citus_lock_waits}, 'a call waits for one on another server');
foreach my $setting ('actor.call_timeout', 'lock_timeout')
{
	refused($others[1], qq{SET $setting = '50ms'; SELECT actor_invoke('g', 'a', 'add')}, '55P03',
		"a wait for another server ends with $setting");
}
is(outcome_of(session_on($others[1], q{SET actor.call_timeout = '50ms'}, q{DO $$
BEGIN
	PERFORM actor_invoke('g', 'a', 'add');
EXCEPTION WHEN lock_not_available THEN
	NULL;
END $$}, q{SELECT actor_invoke('g', 'other', 'add'), pg_sleep(0.1)})), '1|', 'and with nothing else');
$holder->query_safe('COMMIT');
is(outcome_of($waiter), $n + 2, 'and comes after it');

# C6: sessions of other servers that know the type see that it changes

my $warm = $others[0]->background_psql('postgres', on_error_stop => 0);
is($warm->query(q{SELECT actor_invoke('g', 'warm', 'add')}), '1', 'a session knows the type');
sql($coordinator, q{SELECT actor_pause('g', 'warm')});
$warm->query(q{SELECT actor_invoke('g', 'warm', 'add')});
like($warm->{stderr}, qr/actor "warm" of type "g" is paused/, 'it sees a pause');
sql($coordinator, q{SELECT actor_resume('g', 'warm')});
is($warm->query(q{SELECT actor_invoke('g', 'warm', 'add')}), '2', 'and its end');
sql($coordinator, q{SELECT actor_register('g', reentrancy => false)});
$warm->query(q{SELECT actor_open_turn('g', 'warm')});
like($warm->{stderr}, qr/not reentrant/, 'it sees what is configured');
refused($others[0], q{SELECT actor_pause('g')}, '0A000', 'types are changed on the coordinator');

# who unregisters waits for turns on other servers, and lets none begin
$holder->query_safe(q{BEGIN; SELECT actor_invoke('g', 'last', 'add')});
my $leaving = session_on($coordinator, q{SELECT actor_unregister('g', true)});
comes($others[0], q{SELECT count(*) > 0 FROM pg_locks WHERE relation = 'actor.activation'::regclass AND NOT granted},
	'unregistering waits for a turn on another server');
my $late = session_on($others[1], q{SELECT actor_invoke('g', 'late', 'add')});
$holder->query_safe('COMMIT');
is(outcome_of($leaving), '', 'it is unregistered then');
is(outcome_of($late), ' 42704', 'and a call that came meanwhile finds that');
$warm->query(q{SELECT actor_invoke('g', 'warm', 'add')});
like($warm->{stderr}, qr/actor type "g" does not exist/, 'as does the session that knew it');
is(sql($coordinator, 'SELECT (SELECT count(*) FROM actor.state) + (SELECT count(*) FROM actor.activation)'), '0',
	'nothing of it is left');

# C7: others than superusers
sql($coordinator, q{
CREATE ROLE regress_owner LOGIN;
CREATE ROLE regress_granted LOGIN;
SELECT format('GRANT CREATE ON DATABASE %I TO regress_owner', current_database()) \gexec
GRANT CREATE, USAGE ON SCHEMA public TO regress_owner;
});
sql($coordinator, q{
SET SESSION AUTHORIZATION regress_owner;
CREATE SCHEMA mine;
CREATE FUNCTION mine.add() RETURNS int LANGUAGE sql AS $$ SELECT actor_get('n', 0) + 1 $$;
CREATE FUNCTION mine.put(n int) RETURNS void LANGUAGE sql AS $$ SELECT actor_set('n', n) $$;
SELECT actor_register('mine');
GRANT USAGE ON SCHEMA mine TO regress_granted;
REVOKE EXECUTE ON FUNCTION mine.put FROM public;
});
foreach my $node (@all)
{
	my $as = sub { return "SET SESSION AUTHORIZATION $_[0]; $_[1]" };

	is(sql($node, $as->('regress_owner', q{SELECT actor_invoke('mine', 'a', 'put', '[3]'); SELECT value FROM actor_get_state('mine', 'a', 'n')})),
		"\n3", 'the owner on ' . $node->name);
	is(sql($node, $as->('regress_granted', q{SELECT actor_invoke('mine', 'a', 'add')})), '4', 'who is granted a method');
	refused($node, $as->('regress_granted', q{SELECT actor_invoke('mine', 'a', 'put', '[3]')}), '42501', 'but not that one');
	refused($node, $as->('regress_some', q{SELECT actor_invoke('mine', 'a', 'add')}), '42501', 'a stranger');
	refused($node, $as->('regress_granted', q{SELECT actor_delete('mine', 'a')}), '42501', 'who does not own the type');
	is(sql($node, $as->('regress_granted', 'SELECT count(*) FROM actor.state')), '0', 'nor sees its rows');
	is(sql($node, $as->('regress_owner', 'SELECT count(*) FROM actor.state')), '1', 'which the owner does');
}

$holder->quit;
$warm->quit;
stop_servers();
done_testing();
