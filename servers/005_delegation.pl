# Which calls run on the server that has the actor, and which do not.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my ($coordinator, $worker) = start_servers(1);
my ($here, $there) = ($coordinator->port, $worker->port);

sql($coordinator, q{
CREATE SCHEMA g;
CREATE FUNCTION g.port() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_set('n', actor_get('n', 0) + 1);
	RETURN current_setting('port');
END $$;
CREATE FUNCTION g.look() RETURNS int STABLE LANGUAGE sql AS $$ SELECT current_setting('port')::int $$;
CREATE FUNCTION g.ask(other text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_array(current_setting('port')::int, actor_invoke('g', other, 'port')) $$;
SELECT actor_distribute(4);
SELECT actor_register('g');
CREATE ROLE regress_group NOLOGIN;
GRANT USAGE ON SCHEMA g TO regress_group;
});

# What statements print, each sent by itself.
sub answers
{
	my ($node, @statements) = @_;

	return outcome_of(session_on($node, @statements));
}

my $call = q{SELECT actor_invoke('g', 'a', 'port')};

is(answers($coordinator, $call), $there, 'a call runs where the actor is');
is(answers($worker, $call), $there, 'as one that comes there');
is(answers($coordinator, q{SELECT * FROM actor_invoke('g', 'a', 'port')}), $there, 'also in FROM');
is(answers($coordinator, q{SELECT actor_invoke('g', 'a', 'look')}), $there, 'and one that only reads');
is(answers($coordinator, q{PREPARE p (text) AS SELECT actor_invoke('g', $1, 'port')},
		map { "EXECUTE p('a')" } 1 .. 8), join("\n", ($there) x 8), 'and a prepared one');
is(answers($coordinator, q{SELECT actor_invoke('g', 'a', 'ask', '["b"]')}), "[$there, $there]", 'with what it calls');

is(answers($coordinator, 'BEGIN', $call, 'COMMIT'), $here, 'a call in a transaction block runs here');
is(answers($coordinator, q{SELECT actor_invoke('g', 'a', 'port')::int + 0}), $here, 'as one that is not all');
is(answers($coordinator, 'SET actor.delegate_calls = off', $call, q{SELECT * FROM actor_invoke('g', 'a', 'port')}),
	"$here\n$here", 'and one that shall');
foreach my $setting ("lock_timeout = '1h'", "actor.call_timeout = '1h'", 'synchronous_commit = off',
	"search_path = public, g", "TimeZone = 'Asia/Tokyo'",
	"actor.traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'")
{
	is(answers($coordinator, "SET $setting", $call), $here, "and with $setting");
}
is(answers($coordinator, "SET actor.carried_settings = 'app.tenant'", $call, "SET app.tenant = '7'", $call),
	"$there\n$here", 'and with a setting that is carried');
is(answers($coordinator, 'SET default_transaction_read_only = on', $call), ' 25006', 'a read-only transaction stays one');
is(answers($coordinator, q{SET default_transaction_isolation = 'repeatable read'}, $call), ' 0A000',
	'and another isolation level');
is(answers($coordinator, 'SET ROLE regress_group', $call), $here, 'a role that may not log in calls here');
is(answers($coordinator, "SET lock_timeout = '1h'", 'RESET lock_timeout', $call), $there, 'settings can be reset');

is(answers($coordinator, q{SELECT actor_transact('g', 'a', '[{"operation": "upsert", "request": {"key": "k", "value": 7}}]')},
		q{SELECT value FROM actor_get_state('g', 'a', 'k')}, q{SELECT actor_deactivate('g', 'a')},
		q{SELECT actor_delete('g', 'a')}, q{SELECT actor_delete('g', 'a')}), "\n7\nt\nt\nf", 'others that go there');
is(answers($coordinator, q{SELECT actor_invoke('g', 'a', 'none')}), ' 42883', 'errors are those of the method');
is(answers($coordinator, q{SELECT actor_invoke('g', 'r', 'port', request_id => 'x')},
		q{SELECT actor_invoke('g', 'r', 'port', request_id => 'x')},
		q{SELECT value FROM actor_get_state('g', 'r', 'n')}), "$there\n$there\n1", 'a request id');

# a move takes them along
my $second = add_server('second');
sql($coordinator, q{SELECT replicate_reference_tables('force_logical')});
sql($coordinator, qq{SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('actor.state', 'a'),
	'127.0.0.1', $there, '127.0.0.1', @{[ $second->port ]}, 'force_logical')});
is(answers($_, $call), $second->port, 'a call runs where the actor has moved to') foreach $coordinator, $worker, $second;
comes($second, q{SELECT count(*) = 0 FROM pg_roles WHERE rolname LIKE 'citus\_shard\_move%'},
	'the move leaves no role behind');

stop_servers();
done_testing();
