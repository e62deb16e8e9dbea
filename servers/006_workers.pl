# What fires on several servers: reminders and timers, idle actors, and what expires.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;

my ($coordinator, @others) = start_servers(2);
my @all = ($coordinator, @others);

sub ask
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# Moves a shard of actors, and what goes with it, from one server to another one; again if
# it has to wait for turns that wait for it.
sub move_from
{
	my ($from, $to, $mode) = @_;

	for (;;)
	{
		my $answer = outcome_of(session_on($coordinator, qq{SELECT citus_move_shard_placement(shardid, nodename, nodeport, nodename,
			@{[ $to->port ]}, '$mode')
		FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid)
		WHERE logicalrelid = 'actor.state'::regclass AND nodeport = @{[ $from->port ]} ORDER BY random() LIMIT 1}));

		return if $answer !~ / (\w{5})$/;
		die "a move fails: $answer" if $1 ne '40P01';
	}
	return;
}

create_counter($coordinator);
ask($coordinator, q{
CREATE FUNCTION g.fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'no' USING ERRCODE = 'AA001';
END $$;
CREATE FUNCTION g.touch_and_fail(other text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_invoke('g', other, 'add');
	RAISE 'no' USING ERRCODE = 'AA001';
END $$;
CREATE FUNCTION g.note(ttl interval) RETURNS void LANGUAGE sql AS $$ SELECT actor_set('short', true, ttl => ttl) $$;
CREATE FUNCTION g.start_timer() RETURNS void LANGUAGE sql AS $$
	SELECT actor_set_timer(actor_type(), actor_id(), 't', '0s', '1h', method => 'add') $$;
SELECT actor_register('g');
SELECT actor_set_reminder('g', 'before', 'add', '1h');
SELECT actor_distribute(8);
});
is(ask($coordinator, q{SELECT actor_get_reminder('g', 'before', 'add') ->> 'due_time'}), '1h', 'reminders go along');
is(ask($coordinator, q{SELECT ok FROM actor_doctor() WHERE check_name = 'distributed'}), 't', 'the doctor has nothing to say');

# reminders and timers from each server, of actors of all of them

foreach my $node (@all)
{
	my $name = $node->name;

	ask($node, qq{SELECT actor_set_reminder('g', '$name' || i, 'r', '0s', '1h', method => 'add') FROM generate_series(1, 20) i});
	comes($coordinator, qq{SELECT count(*) = 20 FROM actor.state WHERE key = 'n' AND actor_id LIKE '$name%' AND value = '1'},
		"what is registered on $name fires");
	is(ask($node, qq{SELECT actor_get_reminder('g', '${name}1', 'r') ->> 'fired'}), '1', 'and shows that');
	ask($node, qq{SELECT actor_set_reminder('g', '${name}1', 'r', '0s', method => 'add', data => '10')});
	comes($node, qq{SELECT actor_get_reminder('g', '${name}1', 'r') IS NULL}, 'one that is replaced fires and ends');
	is(ask($node, qq{SELECT value FROM actor_get_state('g', '${name}1', 'n')}), '11', 'with what it is given');
	is(ask($node, qq{SELECT actor_delete_reminder('g', '${name}2', 'r'), actor_delete_reminder('g', '${name}2', 'r')}),
		't|f', 'one is deleted');
	is(ask($node, qq{SELECT actor_delete_reminders('g', '${name}3')}), '1', 'all of an actor');
	refused($node, qq{SELECT actor_set_reminder('g', '${name}4', 'r', '1h', method => 'add', overwrite => false)}, '42710',
		'none is replaced if that is not wanted');

	ask($node, qq{SELECT actor_invoke('g', 'timer of $name', 'start_timer')});
	comes($node, qq{SELECT value = '1' FROM actor_get_state('g', 'timer of $name', 'n')}, "a timer of $name fires");
	is(ask($node, qq{SELECT actor_get_timer('g', 'timer of $name', 't') ->> 'period'}), '1h', 'and stays');
	is(ask($node, qq{SELECT actor_deactivate('g', 'timer of $name'), actor_get_timer('g', 'timer of $name', 't') IS NULL}),
		't|t', 'until its actor ends');

	ask($node, qq{SELECT actor_set_reminder('g', 'bad of $name', 'r', '0s', method => 'fail', failure_policy => '{"drop": {}}')});
	comes($node, qq{SELECT count(*) = 1 FROM actor.failure WHERE actor_id = 'bad of $name'}, "a failure on $name is kept");
	my $failure = ask($node, qq{SELECT failure_id FROM actor.failure WHERE actor_id = 'bad of $name'});
	is(ask($node, qq{SELECT actor_retry($failure)}), 't', 'it is tried again');
	comes($node, qq{SELECT count(*) = 1 FROM actor.failure WHERE actor_id = 'bad of $name' AND failure_id > $failure}, 'and fails again');
	refused($node, q{SELECT actor_run_due()}, '0A000', 'nothing fires in a session');
}
is(ask($coordinator, q{SELECT count(DISTINCT failure_id) FROM actor.failure WHERE actor_id LIKE 'bad of %'}), '3',
	'failures have numbers of their own');
is(ask($others[0], "SELECT actor_discard($_)"), 't', 'and are discarded by them')
  foreach split(/\n/, ask($coordinator, 'SELECT failure_id FROM actor.failure'));
is(ask($coordinator, 'SELECT count(*) FROM actor.failure'), '0', 'all of them');
cmp_ok(ask($others[1], q{SELECT actor_delete_reminders('g')}), '>', 50, 'all reminders of a type are deleted');
is(ask($coordinator, 'SELECT count(*) FROM actor.reminder'), '0', 'which are all');

# on the coordinator, which has no shards, nothing fires
is(ask($coordinator, q{SELECT count(*) FROM actor.worker WHERE kind = 'executor'}), '0', 'the coordinator has no executor');

# what a firing does on another server is undone with it
ask($coordinator, q{SELECT actor_set_reminder('g', 'fails' || i, 'r', '0s', data => to_jsonb('touched' || i),
	method => 'touch_and_fail', failure_policy => '{"drop": {}}') FROM generate_series(1, 20) i});
comes($coordinator, q{SELECT count(*) = 20 FROM actor.failure WHERE actor_id LIKE 'fails%'}, 'firings fail that have called others');
is(ask($coordinator, q{SELECT count(*) FROM actor.state WHERE actor_id LIKE 'touched%'}), '0', 'who have seen nothing of it');

# pauses
ask($coordinator, q{SELECT actor_pause('g', 'paused')});
ask($others[0], q{SELECT actor_set_reminder('g', 'paused', 'add', '0s')});
comes($others[0], q{SELECT next_try_at = 'infinity' FROM actor.reminder WHERE actor_id = 'paused'}, 'a pause puts off');
ask($coordinator, q{SELECT actor_resume('g', 'paused')});
comes($others[1], q{SELECT value = '1' FROM actor_get_state('g', 'paused', 'n')}, 'until it ends');

# idle actors, and what expires
ask($coordinator, q{
ALTER SYSTEM SET actor.scan_interval = '100ms';
SELECT pg_reload_conf();
});
foreach my $node (@others)
{
	ask($node, q{ALTER SYSTEM SET actor.scan_interval = '100ms'});
	ask($node, q{ALTER SYSTEM SET actor.request_retention = '1s'});
	ask($node, q{SELECT pg_reload_conf()});
}
ask($coordinator, q{SELECT actor_register('g', idle_timeout => '100ms', scan_interval => '100ms')});
ask($coordinator, q{SELECT actor_invoke('g', 'idle' || i, 'note', '["1s"]', request_id => 'r') FROM generate_series(1, 20) i});
comes($coordinator, q{SELECT count(*) = 0 FROM actor.activation}, 'idle actors are deactivated');
comes($coordinator, q{SELECT count(*) = 0 FROM actor.state WHERE key = 'short'}, 'keys that have expired are removed');
comes($coordinator, q{SELECT count(*) = 0 FROM actor.request}, 'as are old request ids');

# C3: many that are overdue, while shards move there and back
ask($_, 'CREATE TABLE fired (id text, name text)') foreach @all;
ask($coordinator, q{
CREATE FUNCTION g.journal(name text, data jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'INSERT INTO public.fired VALUES ($1, $2)' USING actor_id(), $1;
	PERFORM actor_set('n', actor_get('n', 0) + 1);
END $$;
CREATE FUNCTION g.receive_reminder(name text, data jsonb) RETURNS void LANGUAGE sql AS $$ SELECT g.journal($1, $2) $$;
});
my $reminders = $ENV{REMINDERS} // 12000;
foreach my $node (@others)
{
	ask($node, q{ALTER SYSTEM SET actor.enabled = off});
	ask($node, q{SELECT pg_reload_conf()});
}
my @writers = map {
	session_on($all[$_], qq{SELECT actor_set_reminder('g', 'many' || i % 300, 'r' || i, now() - interval '1h')
		FROM generate_series($_, $reminders - 1, 3) i})
} 0 .. 2;
is(join('', map { outcome_of($_) =~ s/\n//gr } @writers), '', 'many are registered');
foreach my $node (@others)
{
	ask($node, q{ALTER SYSTEM RESET actor.enabled});
	ask($node, q{SELECT pg_reload_conf()});
}
my $moves = 0;
while ($moves < 2 || ask($coordinator, q{SELECT count(*) FROM actor.reminder WHERE actor_id LIKE 'many%'}) > 0)
{
	move_from($others[ $moves % 2 ], $others[ 1 - $moves % 2 ], $moves % 4 < 3 ? 'block_writes' : 'force_logical');
	$moves++;
}
my @journal = map { split(/\n/, ask($_, q{SELECT id || ' ' || name FROM fired})) } @all;
my %once = map { $_ => 1 } @journal;
is(scalar(@journal), $reminders, "all fire during $moves moves");
is(scalar(keys %once), $reminders, 'each of them once');
is(ask($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE actor_id LIKE 'many%'}), $reminders,
	'as the state shows');
is(ask($coordinator, q{SELECT count(*) FROM actor.failure WHERE actor_id LIKE 'many%'}), '0', 'none fails');
is(join(' ', map { ask($_, 'SELECT count(*) > 0 FROM fired') } @all), 'f t t', 'each server fires what it has');

stop_servers();
done_testing();
