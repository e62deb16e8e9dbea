# Hosts on the side of the server: sessions that end, waits that are woken, rows that
# are claimed and lost, a crash of the server, and who deactivates what is idle.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hosts');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA cart;
	SELECT actor_register('cart', hosted => true);
});

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub until_true
{
	my ($sql, $what) = @_;

	return ok($node->poll_query_until('postgres', $sql), $what);
}

sub id
{
	my ($number) = @_;

	return "'00000000-0000-0000-0000-" . sprintf('%012d', $number) . "'";
}

# A session of a host, which lives as long as it does.
sub join_as
{
	my ($number, $app) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe('SELECT length(actor.host_join('
		  . id($number) . ", 'shop', '$app', 'host $number', '{cart}'))");
	return $session;
}

sub pid
{
	my ($session) = @_;

	return $session->query_safe('SELECT pg_backend_pid()');
}

# Starts to wait in a session, and returns when it does.
sub begin_wait
{
	my ($session, $number, $skip) = @_;
	my $pid = pid($session);

	$session->query_until(qr/waits/, "\\echo waits\nCALL actor.host_wait(" . id($number)
		  . ", 'infinity', '{" . ($skip // '') . "}');\n\\echo over\n");
	until_true("SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid",
		'the host waits');
	return $pid;
}

sub wait_result
{
	my ($session) = @_;

	return $session->query_until(qr/^over/m, '');
}

# who lives, and who takes over ----------------------------------------------------

my $first = join_as(1, 'app 1');
my $second = join_as(2, 'app 2');
query('SELECT actor.host_report(' . id(2) . ', false)');
$first->query_safe('SELECT actor.host_place(' . id(1) . ", 'cart', '$_')") for (1 .. 3);
query('SELECT actor.host_report(' . id(2) . ', true)');
is(query('SELECT address, alive, placements FROM actor.host_status ORDER BY 1'),
	"host 1|t|3\nhost 2|t|0", 'both live, and one has the actors');

my $waiter = $node->background_psql('postgres', on_error_stop => 0);
$waiter->query_safe('CALL actor.host_wait(' . id(2) . ", 'now')");
my $waits = begin_wait($waiter, 2);
is(query("SELECT backend_xmin IS NULL AND backend_xid IS NULL FROM pg_stat_activity WHERE pid = $waits"),
	't', 'without a snapshot');
query('SELECT pg_terminate_backend(' . pid($first) . ')');
like(wait_result($waiter), qr/"hosts_changed": true/, 'and hears that the other host is gone');
is(query('SELECT alive FROM actor.host_status ORDER BY address'), "f\nt", 'which everybody sees');
is($second->query_safe('SELECT address FROM actor.host_place(' . id(2) . ", 'cart', '1')"),
	'host 2', 'what that had goes to the other one');
is(query('SELECT actor_id FROM actor.leftover'), '1', 'and is remembered as left behind');
like(
	($node->psql('postgres', 'BEGIN; SELECT actor.host_enter(' . id(1) . ", 'cart', '2', 'm')"))[2],
	qr/does not live/, 'what is left of the host gets no turn');

# the next host of that application asks before it serves
my $third = join_as(3, 'app 1');
is($third->query_safe('SELECT actor_id FROM actor.host_left_behind(' . id(3) . ') ORDER BY 1'),
	"1\n2\n3", 'its successor learns what the application may have');
$third->query_safe('BEGIN; SELECT actor.host_end(frame) FROM actor.host_enter_to_end('
	  . id(3) . ", 'cart', '$_'); COMMIT;") for (1 .. 3);
is(query('SELECT count(*) FROM actor.leftover'), '0', 'until that has been told to forget it');
is($third->query_safe('SELECT count(*) FROM actor.host_left_behind(' . id(3) . ')'), '0', 'all of it');
is(query('SELECT actor_id, host_address FROM actor.instance ORDER BY 1'), '1|host 2',
	'what lives elsewhere stays there');
# (one that is placed and not called within ten seconds is to be forgotten, which would end waits)
query("DELETE FROM actor.placement WHERE actor_id = '1'");

# waking --------------------------------------------------------------------------

query('SELECT actor.host_report(' . id(3) . ', false)');
$waiter->query_safe('CALL actor.host_wait(' . id(2) . ", 'now')");
foreach my $made (
	"SELECT actor_send('cart', 'w', 'm')",
	"SELECT actor_set_reminder('cart', 'w', 'm')",
	"SELECT actor_set_reminder('cart', 'w', 'm', '200ms')",
	"BEGIN; SAVEPOINT s; SELECT actor_send('cart', 'w', 'm'); RELEASE s; COMMIT",
	"INSERT INTO actor.message (actor_type, actor_id, method, due_at, next_try_at, queued, attempt, deferrals, role_name, sent_at, hosted)"
	. " VALUES ('cart', 'w', 'm', now(), now(), true, 1, 0, current_user, now(), true); SELECT actor_send('cart', 'other', 'm')")
{
	begin_wait($waiter, 2);
	query($made);
	# by itself it would look after half a minute
	my $asked = query('SELECT extract(epoch FROM clock_timestamp())');
	like(wait_result($waiter), qr/"due": \[\{.*"actor_id": "w"/, "woken by $made");
	cmp_ok(query('SELECT extract(epoch FROM clock_timestamp())') - $asked, '<', 25, 'at once');
	query("SELECT actor_delete('cart', 'w'), actor_delete('cart', 'other')");
}

# a host that leaves while another one finds that it has an actor
my $leaving = join_as(6, 'app 6');
query('SELECT actor.host_report(' . id(2) . ', false)');
is($leaving->query_safe('SELECT address FROM actor.host_place(' . id(6) . ", 'cart', 'going')"), 'host 6', 'a third host has an actor');
query('SELECT actor.host_report(' . id(2) . ', true)');
query('BEGIN; SELECT actor.host_exit(frame) FROM actor.host_enter(' . id(6) . ", 'cart', 'going', 'm'); COMMIT;"
	. q{ DELETE FROM actor.activation WHERE actor_id = 'going'});
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE actor.activation IN SHARE MODE');
my $entering = $node->background_psql('postgres', on_error_stop => 0);
$entering->query_until(qr/enters/, "\\echo enters\nBEGIN;\nSELECT action, address FROM actor.host_enter("
	  . id(2) . ", 'cart', 'going', 'm');\nROLLBACK;\n\\echo over\n");
until_true(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'host_enter' AND wait_event_type = 'Lock'},
	'another one is told so');
$leaving->query_safe('SELECT actor.host_forget_all(' . id(6) . ')');
$leaving->query_safe('SELECT actor.host_leave(' . id(6) . ')');
$locker->query_safe('COMMIT');
like($entering->query_until(qr/^over/m, ''), qr/^elsewhere\|host 6$/m, 'with the address, though it is gone meanwhile');
$_->quit for $leaving, $locker, $entering;

# claiming ------------------------------------------------------------------------

query(q{SELECT actor_set_reminder('cart', 'c', 'wake', data => '{"n": 1}')});
$second->query_safe('SELECT actor.host_place(' . id(2) . ", 'cart', 'c')");

# What is due of an actor, to be claimed.
sub due
{
	my ($actor) = @_;
	my $due = query('CALL actor.host_wait(' . id(2) . ", 'now')");

	# one element of the list
	my ($element) = $due =~ /(\{[^{}]*"actor_id": "$actor"[^{}]*\})/;
	return $element;
}
my $element = due('c');
ok($element, 'the reminder is found');
my $claim = 'SELECT action FROM actor.host_claim(' . id(2) . ", NULL, '$element')";
my $worker = $node->background_psql('postgres', on_error_stop => 0);
$worker->query_safe('BEGIN');
is($worker->query_safe($claim), 'stale', 'and claimed');
$worker->query_safe(
	q{SELECT actor_transact('cart', 'c', '[{"operation": "upsert", "request": {"key": "n", "value": 1}}]')});
is(query("BEGIN; $claim; COMMIT"), 'busy', 'by one only');
query('SELECT pg_terminate_backend(' . pid($worker) . ')');
is(query("SELECT count(*) FROM actor.state WHERE actor_id = 'c'"), '0', 'a host that dies leaves no effect');
is(query("SELECT attempt, fired FROM actor.reminder WHERE actor_id = 'c'"), '1|0', 'and no attempt');
is( query("BEGIN; SELECT frame FROM actor.host_claim(" . id(2) . ", NULL, '$element') \\gset\n"
		  . q{SELECT actor_transact('cart', 'c', '[{"operation": "upsert", "request": {"key": "n", "value": 1}}]');}
		  . 'SELECT actor.host_fired(:frame) IS NULL; COMMIT') =~ s/\s//gr, 'f', 'the next try');
is(query("SELECT value FROM actor.state WHERE actor_id = 'c'"), '1', 'has its effect');
is(query("SELECT count(*) FROM actor.reminder WHERE actor_id = 'c'"), '0', 'once');
is(query("BEGIN; $claim; COMMIT"), 'busy', 'and cannot be claimed again');

# a retry is seen by a wait that has begun while the row was in the hands of the host
query(q{SELECT actor_set_reminder('cart', 'c', 'wake', failure_policy => '{"constant": {"interval": "1ms"}}')});
$element = due('c');
my ($key) = $element =~ /"key": (\d+)/;
begin_wait($waiter, 2, $key);
query('BEGIN; SELECT frame FROM actor.host_claim(' . id(2) . ", NULL, '$element') \\gset\n"
	  . "SELECT actor.host_failed(:frame, message => 'no'); COMMIT");
my $failed = query('SELECT extract(epoch FROM clock_timestamp())');
like(wait_result($waiter), qr/"attempt": 2/, 'a retry is seen');
cmp_ok(query('SELECT extract(epoch FROM clock_timestamp())') - $failed, '<', 25, 'at once');
query("SELECT actor_delete('cart', 'c')");

# no executor takes what is for hosts, however late
query("SELECT actor_set_reminder('cart', 'e', 'wake', (now() - interval '1 hour')::timestamptz)");
query("SELECT actor_set_reminder('cart', 'e', 'none', '100h')");
until_true("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'actor executor'",
	'no executor is there');
is(query("SELECT attempt, fired FROM actor.reminder WHERE actor_id = 'e' AND name = 'wake'"), '1|0',
	'and the reminder waits for a host');

# a long queue of one actor hides nobody else
query("SELECT count(actor_send('cart', 'queue', 'm')) FROM generate_series(1, 3000);"
	  . " SELECT actor_send('cart', 'behind', 'm')");
like(query('CALL actor.host_wait(' . id(2) . ", 'now', max_rows => 10)"), qr/"actor_id": "behind"/,
	'a long queue hides nobody');
query("SELECT actor_delete('cart', 'queue'), actor_delete('cart', 'behind'), actor_delete('cart', 'e')");

# idle ----------------------------------------------------------------------------

query("SELECT actor_register('cart', hosted => true, idle_timeout => '1ms', scan_interval => '100ms')");
$second->query_safe('SELECT actor.host_place(' . id(2) . ", 'cart', 'idle')");
query('BEGIN; SELECT actor.host_exit(frame) FROM actor.host_enter(' . id(2) . ", 'cart', 'idle', 'm'); COMMIT");
# (the first one may only say that hosts have changed, to a new session)
my $idle = query('CALL actor.host_wait(' . id(2) . ", now()); CALL actor.host_wait(" . id(2) . ", now() + '1 minute')");
like($idle, qr/"kind": "idle"/, 'hosts see to what is idle');
is(query("SELECT count(*) FROM actor.activation WHERE actor_id = 'idle'"), '1', 'no executor does');
query('BEGIN; SELECT actor.host_end(frame) FROM actor.host_enter_to_end(' . id(2) . ", 'cart', 'idle', true); COMMIT");
is( query("SELECT (SELECT count(*) FROM actor.activation WHERE actor_id = 'idle'),"
		  . " (SELECT count(*) FROM actor.placement WHERE actor_id = 'idle')"), '0|0', 'it is deactivated');
$second->query_safe('SELECT actor.host_place(' . id(2) . ", 'cart', 'idle')");
query('BEGIN; SELECT actor.host_exit(frame) FROM actor.host_enter(' . id(2) . ", 'cart', 'idle', 'm'); COMMIT");
$third->quit;
$second->quit;
until_true("SELECT count(*) = 0 FROM actor.activation WHERE actor_type = 'cart'",
	'when no host is left executors deactivate');
is(query("SELECT count(*) FROM actor.placement WHERE actor_id = 'idle'"), '1',
	'but the application may still have it');
query("SELECT actor_register('cart', hosted => true)");

# a host that is gone for good
my $lost = join_as(9, 'app 9');
$lost->query_safe('SELECT actor.host_place(' . id(9) . ", 'cart', 'lost')");
my $at_lost = 'SELECT count(*) FROM actor.placement WHERE host_id = ' . id(9);
is(query('SELECT gone_at IS NULL FROM actor.host WHERE host_id = ' . id(9)), 't', 'a host that lives is not gone');
$lost->quit;
ok($node->poll_query_until('postgres', 'SELECT gone_at IS NOT NULL FROM actor.host WHERE host_id = ' . id(9)),
	'it is noted when it is');
is(query("SELECT ok FROM actor_doctor() WHERE check_name = 'hosts' AND detail ~ 'gone'"), '', 'it may come back');
query("UPDATE actor.host SET gone_at = now() - interval '2 days' WHERE host_id = " . id(9));
like(query("SELECT detail FROM actor_doctor() WHERE detail ~ 'are gone'"), qr/These are gone and have left actors: host at host 9 of application "shop" \(1\)/,
	'it has not for long');
is(query($at_lost), '1', 'what it has left is kept');
my $kept = join_as(8, 'app 8');
$kept->query_safe('SELECT actor.host_place(' . id(8) . ", 'cart', 'kept')");
$kept->quit;
ok($node->poll_query_until('postgres', 'SELECT gone_at IS NOT NULL FROM actor.host WHERE host_id = ' . id(8)),
	'as is what another one has');
# (in one statement, so that whoever looks sees both)
query("UPDATE actor.host SET gone_at = now() - CASE host_id WHEN " . id(9) . " THEN interval '31 days' ELSE interval '29 days' END"
	  . ' WHERE host_id IN (' . id(8) . ', ' . id(9) . ')');
join_as(10, 'app 10')->quit;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.host WHERE host_id = ' . id(9)),
	'but not for ever');
is(query($at_lost), '0', 'then nothing is left of it');
join_as(13, 'app 13')->quit;
ok($node->poll_query_until('postgres', 'SELECT gone_at IS NOT NULL FROM actor.host WHERE host_id = ' . id(13)),
	'the hosts are looked at once more');
is(query('SELECT count(*) FROM actor.placement WHERE host_id = ' . id(8)), '1', 'but what was left less than 30 days ago is kept');
query('DELETE FROM actor.placement WHERE host_id = ' . id(8));

# a session that is cleaned has no lock any more: then its host lives for nobody
my $listener = join_as(20, 'app 20');
my $ear = $node->background_psql('postgres', on_error_stop => 0);
$ear->query_safe('CALL actor.host_wait(' . id(20) . ", 'now')");
for my $clean ('DISCARD ALL', 'SELECT pg_advisory_unlock_all()')
{
	my $number = $clean =~ /DISCARD/ ? 11 : 12;
	my $cleaned = join_as($number, "app $number");
	my $alive = 'SELECT actor.host_is_alive(' . id($number) . ')';

	is(query($alive) . $cleaned->query_safe($alive), 'tt', "$clean: a host lives");
	$ear->query_safe('CALL actor.host_wait(' . id(20) . ", 'now')");
	begin_wait($ear, 20);
	$cleaned->query_safe($clean);
	is(query($alive), 'f', "$clean: for others it does not");
	is($cleaned->query_safe($alive), 'f',
		"$clean: nor in the session itself");
	like(wait_result($ear), qr/"hosts_changed": true/, "$clean: and others hear of it");
	$cleaned->query('BEGIN; SELECT action FROM actor.host_enter(' . id($number) . ", 'cart', 'x', 'm')");
	like($cleaned->{stderr}, qr/does not live/, "$clean: it gets no turn");
	$cleaned->{stderr} = '';
	$cleaned->query_safe('ROLLBACK');
	$cleaned->query('SELECT actor.host_leave(' . id($number) . ')');
	like($cleaned->{stderr}, qr/has not joined in this session/, "$clean: it has nothing to leave");
	$cleaned->quit;
}
$ear->quit;
$listener->quit;

# a crash ---------------------------------------------------------------------------

query(q{DELETE FROM actor.placement WHERE actor_id <> 'idle'});
my $fourth = join_as(4, 'app 2');
$fourth->query_safe('SELECT actor.host_place(' . id(4) . ", 'cart', 'crash')");
query('BEGIN; SELECT actor.host_exit(frame) FROM actor.host_enter(' . id(4) . ", 'cart', 'crash', 'm'); COMMIT");
query("SELECT actor_set_timer('cart', 'crash', 'tick', '100h')");

# deactivated by somebody else: the application is to forget it
$fourth->query_safe('SELECT actor.host_place(' . id(4) . ", 'cart', 'ended')");
query('BEGIN; SELECT actor.host_exit(frame) FROM actor.host_enter(' . id(4) . ", 'cart', 'ended', 'm'); COMMIT");
unlike(query('CALL actor.host_wait(' . id(4) . ", 'now')"), qr/ended/, 'an actor that is active');
query("SELECT actor_deactivate('cart', 'ended')");
like(query('CALL actor.host_wait(' . id(4) . ", 'now')"), qr/"kind": "idle".*"actor_id": "ended"/,
	'is to be forgotten once it is not');
query('BEGIN; SELECT actor.host_end(frame) FROM actor.host_enter_to_end(' . id(4) . ", 'cart', 'ended', true); COMMIT");
is(query("SELECT count(*) FROM actor.placement WHERE actor_id = 'ended'"), '0', 'and is nowhere then');

$node->stop('immediate');
$node->start;
is(query("SELECT alive, placements FROM actor.host_status WHERE address = 'host 4'"), 'f|1',
	'after a crash the host is dead, and what it had is known');
is(query('SELECT count(*) FROM actor.timer'), '0', 'timers are gone');
my $fifth = join_as(5, 'app 2');
is($fifth->query_safe('SELECT actor_id FROM actor.host_left_behind(' . id(5) . ') ORDER BY 1'),
	"crash\nidle", 'it joins as another one, and is told');
$fifth->quit;

done_testing();
