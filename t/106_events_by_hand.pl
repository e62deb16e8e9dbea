# What workers send, while there are none: events to many subscribers and messages to
# each actor wait in their order, operators see how far they are, and actor_run_due()
# sends those that its caller may.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
actor.enabled = off
actor.publish_limit = 0
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE op LOGIN;
	CREATE ROLE guest LOGIN;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	GRANT CREATE ON DATABASE postgres TO op;
});

sub ask
{
	my ($role, $sql) = @_;
	return $node->safe_psql('postgres', $sql, extra_params => [ '-U', $role ]);
}

ask('op', q{
	CREATE SCHEMA wire;
	CREATE SCHEMA ear;
	GRANT USAGE ON SCHEMA wire, ear TO guest;
	CREATE TABLE ear.got (number int GENERATED ALWAYS AS IDENTITY, id text, payload jsonb);
	GRANT INSERT, SELECT ON ear.got TO guest;
	CREATE FUNCTION ear.hear(payload jsonb) RETURNS void LANGUAGE sql
		AS $$ INSERT INTO ear.got (id, payload) VALUES (actor_id(), payload) $$;
	CREATE FUNCTION ear.pass_on(payload jsonb) RETURNS void LANGUAGE sql
		AS $$ SELECT actor_publish('echo', payload, 'ear') $$;
	CREATE FUNCTION wire.say(payload jsonb) RETURNS void LANGUAGE sql
		AS $$ SELECT actor_publish('t', payload, 'wire') $$;
	SELECT actor_register('wire'), actor_register('ear');
	SELECT actor_subscribe('t', 'ear', i::text, 'hear', 'wire') FROM generate_series(1, 3) i});
ask('guest', q{SELECT actor_subscribe('t', 'ear', 'of guest', 'hear', 'wire')});

# order -----------------------------------------------------------------------

my $old = $node->background_psql('postgres', extra_params => [ '-U', 'op' ]);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$old->query_safe('SELECT count(*) FROM ear.got');
ask('op', q{SELECT actor_publish('t', '1', 'wire')});
# it has few enough subscribers for that, and sees no event before it in its snapshot
$old->query_safe('SET LOCAL actor.publish_limit = 100');
$old->query_safe(q{SELECT actor_publish('t', '2', 'wire')});
$old->query_safe('COMMIT');
$old->quit;
is(ask('op', 'SELECT payload FROM actor.fan_out ORDER BY fan_out_id'), "1\n2",
	'an event is not overtaken by one of an older snapshot');
is(ask('op', 'SELECT count(*) FROM actor.message'), '0', 'nor becomes a message before it');

# what operators see ------------------------------------------------------------

sub check
{
	my ($name) = @_;
	return ask('watcher', "SELECT detail FROM actor_doctor() WHERE check_name = '$name'");
}

sub gauge
{
	my ($name) = @_;
	return ask('watcher', "SELECT actor_type, floor(value) FROM actor.get_gauges('rows') WHERE name = 'actor_rows_$name' AND value > 0");
}

my $left = 'SELECT actor_type, actor_id, topic, subscribers_left FROM actor.fan_out_status ORDER BY fan_out_id';
is(ask('watcher', $left), "wire||t|4\nwire||t|4", 'how many subscribers are left');
is(ask('op', $left), "wire||t|4\nwire||t|4", 'the owner sees it');
is(ask('guest', $left), '', 'others do not');
is(check('fan_outs'), '', 'they are not late');
$node->safe_psql('postgres', q{UPDATE actor.fan_out SET published_at = published_at - interval '100 s'});
like(check('fan_outs'), qr/^An event of topic "t" of type "wire" has not reached all subscribers for 10\d s/,
	'they are late');
is(gauge('fan_outs'), 'wire|2', 'a metric counts them');
like(gauge('fan_outs_age_seconds'), qr/^wire\|10\d$/, 'and their age');

is(ask('op', q{SELECT actor_keep_events('wire', 'kept', '1 hour'); SELECT actor_publish('kept', i::text::jsonb, 'wire') FROM generate_series(1, 2) i}),
	"\n1\n2", 'events are kept');
is(gauge('events'), 'wire|2', 'a metric counts them');
$node->safe_psql('postgres', q{UPDATE actor.event SET expires_at = now() - interval '59 min' WHERE event_id = 1});
is(check('events'), '', 'one that is over may stay for a while');
is(gauge('events_expired'), 'wire|1', 'which a metric shows');
$node->safe_psql('postgres', q{UPDATE actor.event SET expires_at = now() - interval '61 min' WHERE event_id = 1});
like(check('events'), qr/^Events of topic "kept" of type "wire" should have been removed/, 'but not for ever');

my $each = ask('op', q{SELECT actor_each('ear', 'hear', '"each"', 2)});
my $run = 'SELECT actor_type, method, batch, role_name, sent, last_id, moved_at IS NULL, finished_at IS NULL FROM actor.each_status';
is(ask('watcher', $run), 'ear|hear|2|op|0||t|t', 'messages to each actor');
is(ask('guest', $run), '', 'are nothing for others');
is(check('each'), '', 'they do not stand still yet');
$node->safe_psql('postgres', q{UPDATE actor.each SET started_at = now() - interval '11 min'});
like(check('each'), qr/those to type "ear" of role "op", 0 until now, for 66\d s/, 'they stand still');
is(gauge('each'), 'ear|1', 'a metric counts them');
like(gauge('each_still_seconds'), qr/^ear\|66\d$/, 'and for how long');
is(ask('op', "SELECT actor_each_stop('$each')"), 't', 'they can be stopped');

# actor_run_due -----------------------------------------------------------------

my $waiting = 'SELECT count(*) FROM actor.fan_out';
my $stranger = $node->background_psql('postgres', extra_params => [ '-U', 'guest' ]);
$stranger->query_safe('BEGIN');
is($stranger->query_safe('SELECT actor_run_due()'), '0', 'who owns no topic hands out nothing of it');
is(ask('op', "SELECT actor_run_due('2000-01-01'); $waiting"), "0\n2", 'nor is anything handed out before it was published');

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe('SELECT FROM actor.fan_out ORDER BY fan_out_id LIMIT 1 FOR UPDATE');
is(ask('op', q{SELECT count(*) FROM actor.fan_out WHERE payload = '1'; SET statement_timeout = '600s'; SELECT actor_run_due() * 0}), "1\n0",
	'nobody is waited for');
is(ask('op', q{SELECT string_agg(payload::text, ' ' ORDER BY fan_out_id) FROM actor.fan_out}), '1 2',
	'and what comes behind is not handed out, either');
$holder->query_safe('ROLLBACK');
$holder->quit;

my $heard = q{SELECT id, string_agg(payload::text, ' ' ORDER BY number) FROM ear.got GROUP BY id ORDER BY id};
is(ask('op', "BEGIN; SELECT actor_run_due(); $heard; $waiting; SELECT actor_id, count(*) FROM actor.message GROUP BY 1; ROLLBACK"),
	"6\n1|1 2\n2|1 2\n3|1 2\n0\nof guest|2", 'the owner of the topic hands out, in order, and delivers what is its own');
is(ask('op', "$heard; $waiting"), '2', 'a rollback undoes all');
is(ask('op', "SELECT actor_run_due(); $waiting"), "6\n0", 'a commit does not');
is(ask('guest', "SELECT actor_run_due(); $heard"), "2\n1|1 2\n2|1 2\n3|1 2\nof guest|1 2", 'others deliver theirs');
$stranger->query_safe('COMMIT');
$stranger->quit;

my $mine = q{BEGIN; SELECT actor_invoke('wire', 'x', 'say', '"mine"'); SELECT actor_run_due();
	SELECT id FROM ear.got WHERE payload = '"mine"'; SELECT count(*) FROM actor.fan_out; ROLLBACK};
is(ask('guest', $mine), "\n1\nof guest\n0", 'who has published an event hands it out in the same transaction');
ask('op', q{SELECT actor_publish('t', '3', 'wire')});
is(ask('guest', $mine), "\n0\n0", 'but not before one of others that comes first');
is(ask('op', 'SELECT actor_run_due()'), '3', 'which its owner hands out');
is(ask('guest', $mine), "\n2\nof guest\n0", 'then it is the turn of that one');

# what callbacks publish, and what is sent to each
ask('op', q{
	SELECT actor_subscribe('echo', 'ear', 'last', 'hear', 'ear');
	TRUNCATE ear.got;
	SELECT actor_set_reminder('ear', '1', 'later', due_time => '1h', method => 'hear', data => '"later"');
	SELECT actor_send('ear', '1', 'pass_on', '"on"')});
is(ask('op', "BEGIN; SELECT actor_run_due(now() + interval '2 hours'); SELECT id, payload FROM ear.got ORDER BY number; ROLLBACK"),
	qq{3\nlast|"on"\n1|"later"}, 'what callbacks publish is handed out before what is due later');
ask('op', q{SELECT actor_run_due(now() + interval '1 min')});
my $actors = ask('op', q{SELECT count(*) FROM actor.instance WHERE actor_type = 'ear'});
cmp_ok($actors, '>', 2, 'there are actors');
ask('op', q{TRUNCATE ear.got; SELECT actor_each('ear', 'hear', '"each"', 2)});
my $got_each = q{SELECT count(*), count(DISTINCT id) FROM ear.got WHERE payload = '"each"'};
is(ask('guest', "SELECT actor_run_due(); $got_each"), "1\n0|0", 'what another role sends to each is left to it');
is(ask('op', "SELECT actor_run_due(); $got_each"), "$actors\n$actors|$actors",
	'each actor gets its message once');
is(ask('op', 'SELECT sent, moved_at = finished_at FROM actor.each_status'), "$actors|t", 'and that is written down');

$node->stop;
done_testing();
