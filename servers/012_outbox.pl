# What methods send to actors of other servers: it stays with the sender at first, comes
# once and in order, and depends on no other server until then.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../servers";

use ActorServers;
use PostgreSQL::Test::Utils;
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

# Has a part of a table on a server do something before it gets rows of an actor.
sub before_insert
{
	my ($node, $table, $id, $action) = @_;

	return ask($node, qq{
SET citus.enable_ddl_propagation = off;
SET citus.enable_manual_changes_to_shards = on;
CREATE OR REPLACE FUNCTION public.before_insert() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN $action; RETURN NEW; END \$\$;
CREATE TRIGGER before_insert BEFORE INSERT ON actor.${table}_@{[ part($table, $id) ]}
  FOR EACH ROW WHEN (NEW.actor_id = '$id') EXECUTE FUNCTION public.before_insert()});
}

sub before_insert_no_more
{
	my ($node, $table, $id) = @_;

	return ask($node, qq{
SET citus.enable_ddl_propagation = off;
SET citus.enable_manual_changes_to_shards = on;
DROP TRIGGER before_insert ON actor.${table}_@{[ part($table, $id) ]}});
}

# Whether somebody waits for such a lock on a server.
sub somebody_waits
{
	my ($node, $type) = @_;

	return ask($node, qq{SELECT count(*) > 0 FROM pg_locks WHERE locktype = '$type' AND NOT granted}) eq 't';
}

sub until_true
{
	my ($condition) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return 1 if $condition->();
		usleep(100_000);
	}
	return 0;
}

sub waits
{
	my @lock = @_;

	return ok(until_true(sub { somebody_waits(@lock) }), 'somebody waits');
}

my ($sender, $second, $third) = ids_on($near, 's', 3);
my ($receiver, @far_ids) = ids_on($far, 'r', 20);
my ($other) = grep { part('message', $_) ne part('message', $receiver) } @far_ids;
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

# what waits with its sender is given to another role, or its type is renamed, before it
# is passed, or while it is
ask($coordinator, q{CREATE ROLE regress_giver LOGIN; CREATE ROLE regress_heir LOGIN; GRANT USAGE ON SCHEMA g TO regress_giver, regress_heir});
sub give_late
{
	return split(/\n/, ask($near, qq{SET ROLE regress_giver;
SELECT actor_invoke('g', '$second', 'give', '{"target": "$receiver", "delay": "1h"}') FROM generate_series(1, $_[0])}));
}

sub late_ones
{
	my @ids = @_;

	return ask($coordinator, 'SELECT actor_type, role_name FROM actor.message WHERE message_id IN (' . join(', ', @ids) . ') ORDER BY message_id');
}

$lock = hold_receiver($far, $receiver);
my @late = give_late(3);
waits($far, 'relation');
ask($coordinator, "UPDATE actor.outbox SET role_name = 'regress_heir' WHERE message_id = $late[1]");
ask($coordinator, "UPDATE actor.outbox SET receiver_type = 'h' WHERE message_id = $late[2]");
$lock->quit;
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'messages come that have changed since they were read');
is(late_ones(@late), "g|regress_giver\ng|regress_heir\nh|regress_giver", 'as they are by then');

$lock = hold_receiver($far, $receiver);
@late = give_late(2);
waits($far, 'relation');
my $forwarded = hold($coordinator, qq{INSERT INTO actor.forwarded VALUES ('g', '$receiver', $late[1], now())});
$lock->quit;
waits($far, 'transactionid');
my $reassigning = session_on($near, q{SELECT actor_reassign('regress_giver', 'regress_heir') > 0});
# (it has to wait, if who passes them has not given up by then)
until_true(sub { $reassigning->{run}->pump_nb; !$reassigning->{run}->pumpable || somebody_waits($near, 'transactionid') });
$forwarded->quit;
is(outcome_of($reassigning), 't', 'a role gets what is just passed');
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'that comes');
is(late_ones(@late), "g|regress_heir\ng|regress_heir", 'with its role');
ask($coordinator, q{DELETE FROM actor.message});

# who sends with request ids to several receivers does not meet the one who passes messages
$lock = hold_receiver($far, $receiver);
my @crossed = split(/\n/, ask($near, join('; ', 'BEGIN', (map { qq{SELECT actor_invoke('g', '$third', 'give', '["$_"]')} } $receiver, $other), 'COMMIT')));
waits($far, 'relation');
my $crossing = $near->background_psql('postgres', on_error_stop => 1);
$crossing->query_safe(qq{BEGIN; SELECT actor_invoke('g', '$third', 'give', '["$other", 1, "cross"]')});
$lock->quit;
ok(until_true(sub { somebody_waits($far, 'transactionid')
			  || ask($coordinator, "SELECT count(*) FROM actor.forwarded WHERE message_id = $crossed[0]") }),
	'what is not locked is passed');
$crossing->query_safe(qq{SELECT actor_invoke('g', '$third', 'give', '["$receiver", 1, "cross"]'); COMMIT});
$crossing->quit;
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'the outboxes are empty');
got_all($_, $third, 2, 'all come') foreach $receiver, $other;

# nor the one who removes what was passed: the method has its first message when that is
# passed, and wants the second one while the scheduler removes it
my $crossed_from = -s $near->logfile;
$lock = hold_receiver($far, $receiver);
ask($near, 'SELECT ' . join(', ', map { qq{actor_invoke('g', '$third', 'give', '["$_"]')} } $other, $receiver));
waits($far, 'relation');
$crossing = $near->background_psql('postgres', on_error_stop => 1);
$crossing->query_until(qr/begins/, qq{\\echo begins
BEGIN; SELECT actor_invoke('g', '$third', 'give', '["$receiver", 1, "cross 2"]');
});
# (it does not have to wait, if who passes them has given up by then)
my $has_sent = sub { ask($near, q{SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%"cross 2"%'}) };
until_true(sub { somebody_waits($near, 'transactionid') || $has_sent->() });
my $removing = hold($near, 'LOCK TABLE actor.outbox_' . part('outbox', $third) . ' IN SHARE MODE');
$lock->quit;
until_true(sub { ask($near, q{SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND NOT granted}) eq '2' || $has_sent->() });
$removing->quit;
ok(until_true(sub { outbox($other) eq '0' || somebody_waits($near, 'transactionid') }), 'what was passed is removed');
$crossing->query_safe(qq{SELECT actor_invoke('g', '$third', 'give', '["$other", 1, "cross 2"]'); COMMIT});
$crossing->quit;
unlike(slurp_file($near->logfile, $crossed_from), qr/deadlock detected/, 'nobody ends in a deadlock');
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'the outboxes are empty');
got_all($_, $third, 4, 'all come') foreach $receiver, $other;

# who cancels a message and does not go on holds up what is for the same actor, and
# nothing else
ask($near, $_) foreach 'ALTER SYSTEM SET actor.enabled = off', 'SELECT pg_reload_conf()';
comes($near, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'actor scheduler'}, 'nothing is passed');
$cancelled = ask($near, qq{SELECT actor_invoke('g', '$second', 'give', '["$receiver"]')});
my $canceller = hold($near, "SELECT actor_cancel_message('g', '$receiver', $cancelled)");
ask($near, qq{SELECT actor_invoke('g', '$second', 'give', '["$other"]')});
ask($near, $_) foreach 'ALTER SYSTEM RESET actor.enabled', 'SELECT pg_reload_conf()';
got_all($other, $second, 1, 'others come, also of the same server');
is(outbox($receiver), '1', 'while somebody is about to cancel one');
$canceller->query_safe('COMMIT');
$canceller->quit;
comes($coordinator, q{SELECT count(*) = 0 FROM actor.outbox}, 'that leaves the outbox then');
is(got($receiver, $second), '', 'and does not come');

# a message that cannot be written holds up what is for the same actor, and nothing else
before_insert($far, 'message', $receiver, q{RAISE 'not this one'});
my $refused_before = got($receiver, $sender);
my $offset = -s $near->logfile;
ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver"]')}) for 1 .. 2;
ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$other"]')});
got_all($other, $sender, 1, 'others come, also of the same server');
$near->wait_for_log(qr/could not forward messages to actor "$receiver" of type "g": not this one/, $offset);
is(ask($coordinator, 'SELECT count(*) FROM actor.forwarded WHERE message_id IN ('
		  . join(', ', split(/\n/, ask($coordinator, q{SELECT message_id FROM actor.outbox}))) . ')'),
	'0', 'nothing is left of an attempt in vain');
before_insert_no_more($far, 'message', $receiver);
got_all($receiver, $sender, $refused_before + 2, 'they come when they can');

# many that take long are passed in parts
before_insert($far, 'message', $receiver, 'PERFORM pg_sleep(0.3)');
ask($near, qq{SELECT actor_invoke('g', '$sender', 'give', '["$receiver", 20]')});
got_all($receiver, $sender, $refused_before + 22, 'what takes longer than a server may keep the scheduler comes');
before_insert_no_more($far, 'message', $receiver);

# one that comes while somebody looks for it is cancelled
ask($near, $_) foreach 'ALTER SYSTEM SET actor.enabled = off', 'SELECT pg_reload_conf()';
comes($near, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'actor scheduler'}, 'nothing is passed');
my ($moving) = give_late(1);
my $outbox = 'actor.outbox_' . part('outbox', $second);
my $passing = hold($near, "LOCK TABLE $outbox IN ACCESS EXCLUSIVE MODE");
my $cancelling = session_on($far, 'SET ROLE regress_giver', qq{SELECT actor_cancel_message('g', '$receiver', $moving)});
waits($near, 'relation');
ask($coordinator, qq{
INSERT INTO actor.forwarded VALUES ('g', '$receiver', $moving, now());
INSERT INTO actor.message (actor_type, actor_id, message_id, method, payload, due_at, next_try_at, queued, role_name, sent_at, hosted, attempt, deferrals)
OVERRIDING SYSTEM VALUE
VALUES ('g', '$receiver', $moving, 'take', '["x", 1]', now() + interval '1h', now() + interval '1h', false, 'regress_giver', now(), false, 1, 0)});
$passing->query_safe("DELETE FROM $outbox WHERE message_id = $moving; COMMIT");
$passing->quit;
is(outcome_of($cancelling), 't', 'a message that comes while somebody looks for it is cancelled');
is(ask($coordinator, "SELECT count(*) FROM actor.message WHERE message_id = $moving"), '0', 'and is gone');
ask($near, $_) foreach 'ALTER SYSTEM RESET actor.enabled', 'SELECT pg_reload_conf()';

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

# who cannot ask it whether an outbox has what came long ago does not ask all the time
my $rolled_back = q{SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()};
my $vain = ask($near, $rolled_back);
my $began = time;
ask($near, qq{INSERT INTO actor.forwarded SELECT 'g', '$local', -i, now() - interval '1 hour' FROM generate_series(1, 2000) i});
$near->poll_query_until('postgres', "SELECT ($rolled_back) > $vain");
ask($near, 'SELECT pg_sleep(5)');
cmp_ok(ask($near, $rolled_back) - $vain, '<=', 5 + (time - $began), 'servers are not asked without a pause');
$far->start;
comes($coordinator, q{SELECT count(*) = 0 FROM actor.forwarded WHERE message_id < 0}, 'what came long ago is forgotten then');
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
