# Messages between actors of several servers, and what a server that is killed does to
# them.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorServers;
use Test::More;
use Time::HiRes qw(usleep);

my ($coordinator, @others) = start_servers(2);
my @all = ($coordinator, @others);

sub ask
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

ask($coordinator, q{
CREATE SCHEMA g;
CREATE FUNCTION g.put(n int) RETURNS void LANGUAGE sql AS $$
	SELECT actor_set('list', actor_get('list', '[]'::jsonb) || to_jsonb(n)) $$;
CREATE FUNCTION g.got() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('got', actor_get('got', 0) + 1) $$;
CREATE FUNCTION g.send_on(target text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM actor_set('sent', actor_get('sent', 0) + 1);
	PERFORM actor_send('g', target, 'got');
	RETURN 'sent';
END $$;
CREATE FUNCTION g.fail() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	RAISE 'no' USING ERRCODE = 'AA001';
END $$;
SELECT actor_register('g');
SELECT actor_send('g', 'before', 'got', due_time => '1h');
SELECT actor_distribute(8);
ALTER SYSTEM SET citus.recover_2pc_interval = '1s';
SELECT pg_reload_conf();
});
foreach my $node (@others)
{
	ask($node, q{ALTER SYSTEM SET citus.recover_2pc_interval = '1s'});
	ask($node, q{SELECT pg_reload_conf()});
}
is(ask($others[0], q{SELECT count(*) FROM actor.message WHERE actor_id = 'before'}), '1', 'messages go along');
is(ask($others[1], q{SELECT actor_cancel_message('g', 'before', message_id) FROM (SELECT max(message_id) AS message_id FROM actor.message) m}),
	't', 'and can be cancelled');

# from each server, to actors of all of them

foreach my $node (@all)
{
	my $name = $node->name;

	outcome_of(session_on($node, map { "SELECT actor_send('g', '$name' || $_ % 4, 'put', '[$_]')" } 1 .. 80));
	comes($coordinator, qq{SELECT count(*) = 0 FROM actor.message}, "what is sent from $name is delivered");
	foreach my $i (0 .. 3)
	{
		is(ask($node, qq{SELECT value FROM actor_get_state('g', '$name$i', 'list')}),
			'[' . join(', ', grep { $_ % 4 == $i } 1 .. 80) . ']', 'in the order of the sender');
	}
	is(ask($node, qq{SELECT actor_invoke('g', '$name', 'send_on', '["to $name"]')}), '"sent"', 'a method sends');
	comes($node, qq{SELECT value = '1' FROM actor_get_state('g', 'to $name', 'got')}, 'and another actor gets it');
	is(ask($node, qq{BEGIN; SELECT actor_send('g', 'none of $name', 'got') > 0; ROLLBACK}), 't', 'what is rolled back');
	my $ids = ask($node, qq{SELECT actor_send('g', 'once $name', 'got', request_id => 'r') FROM generate_series(1, 3)});
	is(scalar(keys %{ { map { $_ => 1 } split(/\n/, $ids) } }), 1, 'a request id stands for one message');
	is(ask($node, qq{SELECT state FROM actor_wait('g', 'once $name', 'r', '1min')}), 'done', 'whose result is waited for');
	is(ask($node, qq{SELECT value FROM actor_get_state('g', 'once $name', 'got')}), '1', 'it is delivered once');
	my $late = ask($node, qq{SELECT actor_send('g', 'late $name', 'got', due_time => '1h')});
	is(ask($node, qq{SELECT actor_cancel_message('g', 'late $name', $late), actor_cancel_message('g', 'late $name', $late)}),
		't|f', 'one is cancelled');
	ask($node, qq{SELECT actor_send('g', 'soon $name', 'got', due_time => '100ms')});
	comes($node, qq{SELECT value = '1' FROM actor_get_state('g', 'soon $name', 'got')}, 'one comes later');
	ask($node, qq{SELECT actor_send('g', 'bad $name', 'fail', request_id => 'r', failure_policy => '{"drop": {}}')});
	is(ask($node, qq{SELECT state FROM actor_wait('g', 'bad $name', 'r', '1min')}), 'failed', 'one is given up');
	my $failure = ask($node, qq{SELECT failure_id FROM actor.failure WHERE actor_id = 'bad $name'});
	is(ask($node, qq{SELECT actor_retry($failure)}), 't', 'it is sent once more');
	comes($node, qq{SELECT attempt > 1 FROM actor.message WHERE actor_id = 'bad $name'}, 'and fails again');
	is(ask($node, qq{SELECT actor_delete('g', 'bad $name')}), 't', 'until its actor is deleted');
}
is(ask($coordinator, q{SELECT count(*) FROM actor.state WHERE actor_id LIKE 'none of%'}), '0', 'is not delivered');
ask($coordinator, q{SELECT actor_pause('g', 'paused')});
ask($others[0], q{SELECT actor_send('g', 'paused', 'put', '[1]'), actor_send('g', 'paused', 'put', '[2]')});
comes($others[1], q{SELECT count(*) > 0 FROM actor.message WHERE actor_id = 'paused' AND next_try_at = 'infinity'}, 'a pause puts off');
ask($coordinator, q{SELECT actor_resume('g', 'paused')});
comes($others[1], q{SELECT value = '[1, 2]' FROM actor_get_state('g', 'paused', 'list')}, 'until it ends');

# C5: a server is killed while others send

my $each = 150 * ($ENV{ROUNDS} // 1);
my @senders = map {
	my $sender = $_;
	session_on($all[ $sender % 2 ], '\set ON_ERROR_STOP off',
		map { "SELECT actor_invoke('g', 'from $sender', 'send_on', '[\"target " . $_ % 9 . "\"]')" } 1 .. $each)
} 0 .. 3;
comes($coordinator, q{SELECT sum(value::text::int) > 40 FROM actor.state WHERE key = 'sent' AND actor_id LIKE 'from %'}, 'actors send');
$others[1]->kill9;
# it can be started when the last of its processes has gone
for (1 .. 300)
{
	usleep(100_000);
	$others[1]->{_pid} = undef;
	last if $others[1]->start(fail_ok => 1);
}
outcome_of($_) foreach @senders;
my $acknowledged = 0;
my $failed = 0;
foreach my $sender (@senders)
{
	$acknowledged += () = $sender->{out} =~ /^"sent"$/mg;
	$failed += () = $sender->{err} =~ /ERROR:/g;
}
comes($_, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'no prepared transaction is left on ' . $_->name) foreach @all;
comes($coordinator, 'SELECT count(*) = 0 FROM actor.outbox', 'all messages leave their senders');
comes($coordinator, 'SELECT count(*) = 0 FROM actor.message', 'all messages are delivered');
my $sent = ask($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE key = 'sent' AND actor_id LIKE 'from %'});
is(ask($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE key = 'got' AND actor_id LIKE 'target %'}), $sent,
	'as many as were sent');
cmp_ok($sent, '>=', $acknowledged, "all of $acknowledged that were acknowledged");
# who is told of an error, when the connection breaks, cannot know what became of it
cmp_ok($sent, '<=', $acknowledged + $failed, "and none but of $failed calls that were not");
is(ask($coordinator, q{SELECT count(*) FROM actor.failure WHERE actor_id LIKE 'target %'}), '0', 'none is given up');

stop_servers();
done_testing();
