# What methods send to actors of other servers: it stays with the sender at first, comes
# once and in order, and depends on no other server until then.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../servers";

use ActorServers;
use Test::More;
use Time::HiRes qw(usleep);

my ($coordinator, @others) = start_servers(2);
my @all = ($coordinator, @others);
my ($near, $far) = @others;

sub ask
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# Receivers count what comes from each sender, and say if that is not the next one.
ask($coordinator, q{
CREATE SCHEMA g;
CREATE FUNCTION g.take(sender text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF n <> actor_get('from ' || sender, 0) + 1 THEN
		PERFORM actor_set('bad', actor_get('bad', '[]'::jsonb) || jsonb_build_array(sender, n, actor_get('from ' || sender, 0)));
	END IF;
	PERFORM actor_set('from ' || sender, n);
END $$;
CREATE FUNCTION g.give(target text, times int DEFAULT 1, request text DEFAULT NULL, delay interval DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n int := actor_get('to ' || target, 0);
	id bigint;
BEGIN
	FOR i IN 1 .. times LOOP
		id := actor_send('g', target, 'take', jsonb_build_array(actor_id(), n + i),
			due_time => delay, request_id => request);
	END LOOP;
	PERFORM actor_set('to ' || target, n + times);
	RETURN id;
END $$;
CREATE FUNCTION g.give_and_fail(target text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM g.give(target);
	RAISE 'no' USING ERRCODE = 'AA001';
END $$;
CREATE FUNCTION g.give_and_call(target text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	BEGIN
		PERFORM g.give_and_fail(target);
	EXCEPTION WHEN SQLSTATE 'AA001' THEN
		RETURN (SELECT count(*) FROM actor.outbox WHERE receiver_id = target);
	END;
END $$;
SELECT actor_register('g');
SELECT actor_distribute(8);
CREATE ROLE regress_stranger;
GRANT USAGE ON SCHEMA g TO regress_stranger;
ALTER SYSTEM SET citus.recover_2pc_interval = '1s';
SELECT pg_reload_conf();
});
foreach my $node (@others)
{
	ask($node, q{ALTER SYSTEM SET citus.recover_2pc_interval = '1s'});
	ask($node, q{SELECT pg_reload_conf()});
}

# The number of the part of a table that has an actor, and ids whose part is on a server.
sub part
{
	my ($table, $id) = @_;

	return ask($coordinator, qq{SELECT get_shard_id_for_distribution_column('actor.$table', '$id')});
}

sub ids_on
{
	my ($node, $prefix, $count) = @_;

	return split(/\n/, ask($coordinator, qq{
SELECT id FROM (SELECT '$prefix' || i AS id FROM generate_series(1, 200) i) s
  JOIN pg_dist_shard_placement p ON p.shardid = get_shard_id_for_distribution_column('actor.state', id)
 WHERE p.nodeport = @{[ $node->port ]} ORDER BY length(id), id LIMIT $count}));
}

sub outbox
{
	my ($id) = @_;

	return ask($coordinator, qq{SELECT count(*) FROM actor.outbox WHERE receiver_id = '$id'});
}

sub got
{
	my ($id, $sender) = @_;

	return ask($coordinator, qq{SELECT value FROM actor_get_state('g', '$id', 'from $sender')});
}

sub got_all
{
	my ($id, $sender, $n, $name) = @_;

	comes($coordinator, qq{SELECT value = '$n' FROM actor_get_state('g', '$id', 'from $sender')}, $name);
	return;
}

# A session that keeps something until it is ended.
sub hold
{
	my ($node, $sql) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 1);

	$session->query_safe("SET citus.enable_manual_changes_to_shards = on; BEGIN; $sql");
	return $session;
}

# Keeps what an actor is to get from coming.
sub hold_receiver
{
	my ($node, $id) = @_;

	return hold($node, "LOCK TABLE actor.message_" . part('message', $id) . ' IN SHARE MODE');
}

sub end_scheduler
{
	my ($node) = @_;

	return ask($node, q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'actor scheduler'});
}

# Kills a server and starts it again, when the last of its processes has gone.
sub crash
{
	my ($node) = @_;

	$node->kill9;
	for (1 .. 300)
	{
		usleep(100_000);
		$node->{_pid} = undef;
		return if $node->start(fail_ok => 1);
	}
	die 'the server does not start';
}

my ($sender, $second) = ids_on($near, 's', 2);
my ($receiver, $other) = ids_on($far, 'r', 2);
my ($local) = ids_on($near, 'r', 1);

# what is not committed is not sent
is(outcome_of(session_on($near, qq{SELECT actor_invoke('g', '$sender', 'give_and_fail', '["$receiver"]')})), ' AA001', 'a method fails');
is(ask($near, qq{SELECT actor_invoke('g', '$sender', 'give_and_call', '["$receiver"]')}), '"0"', 'or a part of it');

# while it cannot come, it is with the sender
my $lock = hold_receiver($far, $receiver);
foreach my $node (@all)
{
	ask($node, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver"]')});
	ask($node, qq{BEGIN; SELECT actor_invoke('g', '$sender', 'give', '["$receiver"]'); COMMIT});
}
is(outbox($receiver), '6', 'messages wait with their sender');
is(ask($coordinator, q{SELECT count(*) FROM actor.message}), '0', 'and nowhere else');
is(ask($far, q{SELECT count(*) FROM pg_prepared_xacts}), '0', 'and nothing is prepared for them');
is(ask($near, q{SELECT value FROM actor.get_gauges('servers') WHERE name = 'actor_servers_outbox'}), '6', 'a metric counts them');
ask($coordinator, q{UPDATE actor.outbox SET sent_at = now() - interval '1 min'});
like(ask($near, q{SELECT detail FROM actor_doctor() WHERE check_name = 'outbox'}),
	qr/^The oldest message to another server has waited .* message \d+ of actor "$sender" of type "g", to actor "$receiver" of type "g"\.$/,
	'the doctor finds those that wait for long');
ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$local"]')});
got_all($local, $sender, 1, 'others come meanwhile');

# a message that is with its sender is cancelled
my $cancelled = ask($near, qq{SELECT actor_invoke('g', '$second', 'give', '["$receiver"]')});
is(outcome_of(session_on($near, 'SET ROLE regress_stranger', qq{SELECT actor_cancel_message('g', '$receiver', $cancelled)})), ' 42501',
	'not everybody may cancel what waits with its sender');
is(ask($near, "SELECT actor_cancel_message('g', '$receiver', $cancelled)"), 't', 'a message that waits with its sender is cancelled');
is(ask($far, "SELECT actor_cancel_message('g', '$receiver', $cancelled)"), 'f', 'once');
$lock->quit;
got_all($receiver, $sender, 6, 'they come when they can');
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'the outboxes are empty then');
comes($coordinator, q{SELECT count(*) = 0 FROM actor.message}, 'and the queues');
is(got($receiver, $second), '', 'what is cancelled does not come');

# a message with a request id does not pass others
$lock = hold_receiver($far, $receiver);
ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver", 2]')});
my $asking = session_on($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver", 1, "r"]') > '0'});
$lock->quit;
is(outcome_of($asking), 't', 'one with a request id is sent');
is(ask($near, qq{SELECT state FROM actor_wait('g', '$receiver', 'r', '1min')}), 'done', 'its result is waited for');
got_all($receiver, $sender, 9, 'it comes after those before it');

# one that is due later waits with its receiver
my $late = ask($near, qq{SELECT actor_invoke('g', '$second', 'give', '{"target": "$receiver", "delay": "1h"}')});
comes($coordinator, qq{SELECT NOT queued AND due_at = next_try_at AND due_at > sent_at + interval '59 min' FROM actor.message
	WHERE message_id = $late}, 'one that is due later waits with its receiver');
is(ask($near, qq{SELECT actor_cancel_message('g', '$receiver', $late)}), 't', 'and is cancelled there');

# whoever passes messages ends before they have left the outbox
foreach my $how ('the scheduler ends', 'its server crashes')
{
	my $before = got($receiver, $sender);

	$lock = hold_receiver($far, $receiver);
	ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver", 2]')});
	my $rows = hold($near, 'SELECT FROM actor.outbox_' . part('outbox', $sender) . ' FOR SHARE');
	$lock->quit;
	got_all($receiver, $sender, $before + 2, 'messages come');
	is(outbox($receiver), '2', 'before they leave the outbox');
	if ($how eq 'its server crashes')
	{
		crash($near);
		$rows->{run}->kill_kill;
	}
	else
	{
		end_scheduler($near);
		$rows->quit;
	}
	comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, "they leave it after $how");
	comes($coordinator, q{SELECT count(*) = 0 FROM actor.message}, 'nothing is left');
	is(got($receiver, $sender), $before + 2, 'and do not come again');
}
is(ask($coordinator, q{SELECT count(*) FROM actor.state WHERE key = 'bad'}), '0', 'all were in order');

# what was passed long ago is forgotten, unless an outbox has it
$lock = hold_receiver($far, $receiver);
ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver"]')});
my $kept = ask($coordinator, q{SELECT message_id FROM actor.outbox});
my $rows = hold($near, 'SELECT FROM actor.outbox_' . part('outbox', $sender) . ' FOR SHARE');
$lock->quit;
comes($coordinator, qq{SELECT count(*) = 1 FROM actor.forwarded WHERE message_id = $kept}, 'it is known what has come');
ask($coordinator, q{UPDATE actor.forwarded SET forwarded_at = now() - interval '1 hour'});
comes($coordinator, qq{SELECT string_agg(message_id::text, ' ') = '$kept' AND bool_and(forwarded_at > now() - interval '10 min')
	FROM actor.forwarded}, 'what came long ago is forgotten, but not what an outbox has');
$rows->quit;
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'that goes');

# a server that is down holds up nobody else
my %sent;
foreach my $i (1 .. 5)
{
	$far->stop('immediate') if $i == 1;
	is(outcome_of(session_on($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$_", 2]') > '0'})), 't',
		'a sender does not depend on the server of the receiver')
	  foreach $receiver, $local;
}
$near->poll_query_until('postgres', qq{SELECT value = '11' FROM actor_get_state('g', '$local', 'from $sender')});
is(ask($near, qq{SELECT value FROM actor_get_state('g', '$local', 'from $sender')}), '11', 'others get theirs meanwhile');
is(ask($near, 'SELECT count(*) FROM actor.outbox_' . part('outbox', $sender)), '10', 'the rest waits');
$far->start;
my $to = ask($coordinator, qq{SELECT value FROM actor_get_state('g', '$sender', 'to $receiver')});
got_all($receiver, $sender, $to, 'it comes when the server is back');
is(ask($coordinator, q{SELECT count(*) FROM actor.state WHERE key = 'bad'}), '0', 'all in order');

# moves of senders and receivers, servers that are killed, and schedulers that end, while
# actors send
my @senders = map { "m$_" } 0 .. 3;
my @targets = map { "t$_" } 0 .. 5;
my $acknowledged = 0;
my $all_sent = q{SELECT coalesce(sum(value::text::int), 0) FROM actor.state WHERE key LIKE 'to %' AND actor_id LIKE 'm%'};

sub while_sending
{
	my ($calls, $action) = @_;
	my $before = ask($coordinator, $all_sent);
	my @sessions = map {
		my $number = $_;
		session_on($all[ $number % 2 ], '\set ON_ERROR_STOP off', map {
			my $call = qq{actor_invoke('g', '$senders[$number]', 'give', '["$targets[$_ % 6]"]')};
			$_ % 5 ? "SELECT $call > '0'" : "BEGIN; SELECT FROM $call; COMMIT; SELECT true"
		} 1 .. $calls * ($ENV{ROUNDS} // 1))
	} 0 .. 3;

	$coordinator->poll_query_until('postgres', "SELECT ($all_sent) > $before + 20");
	$action->();
	outcome_of($_) foreach @sessions;
	$acknowledged += () = $_->{out} =~ /^t$/mg foreach @sessions;
	return;
}

sub move
{
	my ($from, $to) = @_;

	for (1 .. 20)
	{
		my $answer = outcome_of(session_on($coordinator, qq{
SELECT citus_move_shard_placement(shardid, nodename, nodeport, nodename, @{[ $to->port ]}, 'force_logical')
  FROM pg_dist_shard_placement JOIN pg_dist_shard USING (shardid)
 WHERE logicalrelid = 'actor.state'::regclass AND nodeport = @{[ $from->port ]} ORDER BY random() LIMIT 1}));

		return 1 if $answer !~ / (\w{5})$/;
	}
	return 0;
}

while_sending(400, sub {
	ok(move($near, $far), 'a shard is moved');
	ok(move($far, $near), 'and another one back');
});
while_sending(150, sub { crash($far) });
while_sending(150, sub { end_scheduler($_) foreach @others });
while_sending(150, sub { crash($near) });
comes($_, 'SELECT count(*) = 0 FROM pg_prepared_xacts', 'no prepared transaction is left on ' . $_->name) foreach @all;
comes($coordinator, 'SELECT count(*) = 0 FROM actor.outbox', 'all messages leave the outboxes');
comes($coordinator, 'SELECT count(*) = 0 FROM actor.message', 'and are delivered');
my $sent = ask($coordinator, $all_sent);
cmp_ok($sent, '>=', $acknowledged, "of $sent that were sent $acknowledged are acknowledged");
is(ask($coordinator, q{SELECT sum(value::text::int) FROM actor.state WHERE key LIKE 'from m%'}), $sent, 'all have come');
is(ask($coordinator, q{SELECT actor_id || value FROM actor.state WHERE key = 'bad'}), '', 'each once, and in order');
is(ask($coordinator, q{SELECT count(*) FROM actor.failure}), '0', 'none is given up');

stop_servers();
done_testing();
