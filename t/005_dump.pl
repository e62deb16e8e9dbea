# pg_dump and pg_restore: types, state, reminders and failures come back as
# they were, and the reminders fire.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
my $dir = $node->basedir;

$node->safe_psql('postgres', 'CREATE ROLE regress_actor_one LOGIN');
$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql(
	'source', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA "odd ""name";
	CREATE SCHEMA account;
	GRANT USAGE ON SCHEMA account TO PUBLIC;
	CREATE TABLE account.hit (id text, who text, cause jsonb);
	GRANT INSERT ON account.hit TO PUBLIC;
	CREATE FUNCTION account.add(amount int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + amount;
	BEGIN
		PERFORM actor_set('n', n);
		PERFORM actor_set('text', E'tab\there, \\N, ''quoted'', "double", ä'::text);
		PERFORM actor_set('big', 12345678901234567890.123456789::numeric);
		PERFORM actor_set('null', NULL::text);
		PERFORM actor_set('short', 'lived'::text, '1 day');
		RETURN n;
	END $$;
	CREATE FUNCTION account.fire() RETURNS void LANGUAGE sql
		AS $$ INSERT INTO account.hit VALUES (actor_id(), session_user, actor_cause()) $$;
	CREATE FUNCTION account.fail() RETURNS void LANGUAGE plpgsql
		AS $$ BEGIN RAISE 'failed on purpose'; END $$;
	CREATE FUNCTION account.ask() RETURNS uuid LANGUAGE sql AS $$ SELECT actor_promise('answered', '1 day', '{"x": 1}') $$;
	CREATE FUNCTION account.answered(payload jsonb) RETURNS void LANGUAGE sql AS $$ SELECT actor_set('answer', payload -> 'state') $$;
	SELECT actor_register('account', call_timeout => '17 s', max_stack_depth => 5,
			reentrancy => true, history => 'changes', history_retention => '9 days');
	SELECT actor_register('odd "type', 'odd "name');
	SELECT actor_invoke('account', 'a', 'add', '[1]');
	SELECT actor_invoke('account', 'asks', 'ask');
	SELECT actor_invoke('account', E'odd \\ id\t'' ä', 'add', '[2]');
	SELECT actor_set_reminder('account', 'f', 'fail', failure_policy => '{"drop": {}}');
});
ok( $node->poll_query_until('source', 'SELECT count(*) = 1 FROM actor.failure'),
	'there is a failure');

# from here on nothing fires in this database, and not in what is restored
# before somebody says so
$node->safe_psql('postgres', 'ALTER DATABASE source SET actor.enabled = off');
ok( $node->poll_query_until('postgres', q{
		SELECT count(pg_terminate_backend(pid)) = 0 FROM pg_stat_activity
		 WHERE datname = 'source' AND backend_type LIKE 'actor%'}),
	'its workers end');
$node->safe_psql(
	'source', q{
	SET timezone = 'Europe/Berlin';
	SELECT actor_set_reminder('account', 'later', 'fire', '8760h', 'P1M', data => '{}',
			catch_up => 'all', failure_policy => '{"exponential": {"maxRetries": 2}}');
	SELECT actor_send('account', 'message', 'add', '[7]', '8760h', 'once');
	INSERT INTO actor.outbox (actor_type, actor_id, message_id, receiver_type, receiver_id, method, payload, due_at, role_name, sent_at)
	VALUES ('account', 'a', 5, 'account', 'mail', 'add', '[9]', now(), current_user, now());
	SELECT actor_keep_events('account', 'kept', '1 year');
	SELECT actor_publish('kept', '{"x": 1}', 'account', 'a');
	SELECT actor_subscribe('wide', 'account', 's' || i, 'add', 'account', failure_policy => '{"drop": {}}')
	  FROM generate_series(1, 3) i;
	SET actor.publish_limit = 1;
	SELECT actor_publish('wide', '[5]', 'account');
	CREATE SCHEMA hosted;
	SELECT actor_register('hosted', hosted => true, turn => 'lease');
	SELECT actor_each('account', 'add', '[1]', 7);
	SELECT actor_set_reminder('hosted', 'h', 'any name', '8760h');
	SELECT actor_send('hosted', 'h', 'any method', due_time => '8760h');
	SELECT actor.host_join('00000000-0000-0000-0000-000000000001', 'app', 'there', 'here', '{hosted}');
	SELECT actor.host_place('00000000-0000-0000-0000-000000000001', 'hosted', 'h');
	INSERT INTO actor.leftover VALUES ('hosted', 'l', '00000000-0000-0000-0000-000000000002');
	SET ROLE regress_actor_one;
	SELECT actor_set_reminder('account', 'due', 'fire');
	SELECT actor_set_reminder('account', 'series', 'fire',
			to_char(now() - interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SSOF:00'), 'R3/PT1S',
			catch_up => 'all');
});
is( $node->safe_psql('source',
		'SELECT (SELECT count(*) FROM actor.reminder WHERE NOT hosted), (SELECT count(*) FROM account.hit)'),
	'3|0', 'nothing fires in a database where actor.enabled is off');

sub content
{
	my ($database) = @_;

	return join "\n", map { $node->safe_psql($database, "SET timezone = 'UTC'; $_") } (
		'SELECT to_jsonb(t) FROM actor.type t ORDER BY actor_type',
		'SELECT to_jsonb(t) FROM actor.state t ORDER BY actor_type, actor_id, key',
		'SELECT to_jsonb(t) FROM actor.reminder t ORDER BY actor_type, actor_id, name',
		'SELECT to_jsonb(t) FROM actor.message t ORDER BY actor_type, actor_id, message_id',
		'SELECT to_jsonb(t) FROM actor.outbox t',
		'SELECT last_value, is_called FROM actor.message_message_id_seq',
		'SELECT to_jsonb(t) FROM actor.promise t ORDER BY actor_type, actor_id, token',
		'SELECT to_jsonb(t) FROM actor.each t ORDER BY actor_type, each_id',
		'SELECT to_jsonb(t) FROM actor.topic t',
		'SELECT to_jsonb(t) FROM actor.stream t ORDER BY actor_type, actor_id, topic',
		'SELECT to_jsonb(t) FROM actor.event t ORDER BY actor_type, actor_id, topic, event_id',
		'SELECT to_jsonb(t) FROM actor.subscription t ORDER BY subscription_id',
		'SELECT to_jsonb(t) FROM actor.fan_out t ORDER BY fan_out_id',
		'SELECT last_value, is_called FROM actor.subscription_subscription_id_seq',
		'SELECT to_jsonb(t) FROM actor.failure t ORDER BY failure_id',
		'SELECT last_value, is_called FROM actor.failure_failure_id_seq',
		'SELECT to_jsonb(t) FROM actor.history t ORDER BY history_id',
		'SELECT to_jsonb(t) FROM actor.history_change t ORDER BY change_id',
		'SELECT last_value, is_called FROM actor.history_history_id_seq',
		'SELECT last_value, is_called FROM actor.history_change_change_id_seq',
		"SELECT actor_invoke('account', 'a', 'add', '[0]')");
}

# the last query changes updated_at, so it is made before the dump too
content('source');
$node->command_ok(
	[ 'pg_dump', '-d', $node->connstr('source'), '-f', "$dir/plain.sql" ],
	'pg_dump, plain');
$node->command_ok(
	[ 'pg_dump', '-d', $node->connstr('source'), '-Fc', '-f', "$dir/custom.dump" ],
	'pg_dump, custom');
my $expected = content('source');

foreach my $format ('plain', 'custom')
{
	$node->safe_psql('postgres', "CREATE DATABASE $format TEMPLATE template0");
	$node->safe_psql('postgres', "ALTER DATABASE $format SET actor.enabled = off");
	$format eq 'plain'
	  ? $node->command_ok(
		[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($format),
			'-f', "$dir/plain.sql" ], 'psql')
	  : $node->command_ok(
		[ 'pg_restore', '--exit-on-error', '-d', $node->connstr($format),
			"$dir/custom.dump" ], 'pg_restore');
	is(content($format) =~ s/"updated_at": "[^"]*"/"updated_at": "?"/gr,
		$expected =~ s/"updated_at": "[^"]*"/"updated_at": "?"/gr, "content is the same: $format");
	is( $node->safe_psql($format,
			"SELECT count(*) FROM account.hit"),
		'0', 'and nothing has fired');
	is( $node->safe_psql($format, q{
			SELECT (SELECT count(*) FROM actor.host), (SELECT count(*) FROM actor.placement),
			       (SELECT count(*) FROM actor.leftover),
			       (SELECT string_agg(hosted::text, ' ') FROM actor.reminder WHERE actor_type = 'hosted'),
			       (SELECT string_agg(hosted::text, ' ') FROM actor.message WHERE actor_type = 'hosted')}),
		'0|0|0|true|true', 'hosts and placements stay where they are, rows of hosts are theirs');
	isnt( $node->safe_psql($format, 'SELECT host_key FROM actor.secret'),
		$node->safe_psql('source', 'SELECT host_key FROM actor.secret'), 'and so does what hosts know');
	$node->safe_psql('postgres', "ALTER DATABASE $format RESET actor.enabled");
}

# one finds out by the next registration, the other one when the server starts
$node->safe_psql('plain', "SELECT actor_set_reminder('account', 'next', 'fire')");
ok( $node->poll_query_until('plain', 'SELECT count(*) = 5 FROM account.hit'),
	'restored reminders fire after the next registration');
is( $node->safe_psql('plain',
		'SELECT id, who, count(*) FROM account.hit GROUP BY 1, 2 ORDER BY 1') =~
	  s/(next\|)\w+/$1superuser/r,
	"due|regress_actor_one|1\nnext|superuser|1\nseries|regress_actor_one|3",
	'each as often as it should, as the role that had registered it');

$node->restart;
ok( $node->poll_query_until('custom', 'SELECT count(*) = 4 FROM account.hit'),
	'restored reminders fire after a restart');
foreach my $database ('plain', 'custom')
{
	is( $node->safe_psql($database, 'SELECT actor_id FROM actor.reminder WHERE NOT hosted'),
		'later', "the one that is not due stays: $database");
	ok( $node->poll_query_until($database, q{
			SELECT (SELECT count(*) FROM actor.fan_out) = 0 AND string_agg(value::text, ' ') = '5 5 5'
			  FROM actor.state WHERE actor_id ~ '^s\d$' AND key = 'n'}),
		'an event reaches those who had subscribed');
	ok( $node->poll_query_until($database, q{
			SELECT (SELECT count(*) FROM actor.outbox) = 0 AND value = '9'
			  FROM actor.state WHERE actor_id = 'mail' AND key = 'n'}),
		'a message that was still with its sender comes');
	is( $node->safe_psql($database, "SELECT actor_publish('kept', NULL, 'account', 'a')"),
		'2', 'numbers of events go on');
	is( $node->safe_psql($database, q{
			SELECT actor_set_reminder('account', 'f', 'fail', failure_policy => '{"drop": {}}')}),
		'', 'one more that fails');
	ok( $node->poll_query_until($database,
			'SELECT count(DISTINCT failure_id) = 2 FROM actor.failure'),
		'gets a number of its own');
}

# who restores one row of an outbox, while the scheduler waits for the lock of a table that it
# sees to before: it is not forgotten
my $holder = $node->background_psql('plain', on_error_stop => 1);
$holder->query_safe('BEGIN; LOCK TABLE actor.promise IN ACCESS EXCLUSIVE MODE');
my $offset = -s $node->logfile;
$node->safe_psql('plain', join("\n",
		'COPY actor.outbox (actor_type, actor_id, message_id, receiver_type, receiver_id, method, payload, due_at, role_name, sent_at) FROM stdin;',
		join("\t", 'account', 'a', 6, 'account', 'mail', 'add', '[10]', 'now', $node->safe_psql('plain', 'SELECT current_user'), 'now'),
		"\\.\n"));
$node->wait_for_log(qr/actor scheduler waits for a lock in database/, $offset);
$holder->query_safe('COMMIT');
$holder->quit;
ok( $node->poll_query_until('plain', q{
		SELECT (SELECT count(*) FROM actor.outbox) = 0 AND value = '19'
		  FROM actor.state WHERE actor_id = 'mail' AND key = 'n'}),
	'a message comes that was restored while the scheduler had to wait');
is($node->safe_psql('source', 'SELECT count(*) FROM account.hit'),
	'0', 'nothing has fired in the database it came from');

# who makes a dump, and of what: the owner of the database the definitions, and
# what it sees; a role that reads everything all of it
$node->safe_psql('postgres', q{
	CREATE ROLE regress_actor_dba LOGIN;
	CREATE ROLE regress_actor_backup LOGIN BYPASSRLS IN ROLE pg_read_all_data;
	CREATE DATABASE owned OWNER regress_actor_dba});
$node->safe_psql('owned', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA hidden;
	CREATE FUNCTION hidden.put() RETURNS void LANGUAGE plpgsql
		AS $$ BEGIN PERFORM actor_set('k', 'not to be seen'::text); END $$;
	SELECT actor_register('hidden');
	SELECT actor_invoke('hidden', '1', 'put');
	SET ROLE regress_actor_dba;
	CREATE SCHEMA shop;
	CREATE FUNCTION shop.put() RETURNS void LANGUAGE plpgsql
		AS $$ BEGIN PERFORM actor_set('k', 'for the owner'::text); END $$;
	SELECT actor_register('shop');
	SELECT actor_invoke('shop', '1', 'put');
	SELECT actor_set_reminder('shop', '1', 'put', '1000h')});

sub dump_as
{
	my ($role, $name, @options) = @_;

	$node->command_ok(
		[ 'pg_dump', @options, '-U', $role, '-d', $node->connstr('owned'), '-f', "$dir/$name.sql" ],
		"pg_dump @options, $role");
	return slurp_file("$dir/$name.sql");
}
like(dump_as('regress_actor_dba', 'definitions', '-s'), qr/CREATE EXTENSION .*actor/,
	'with the extension');
my $seen = dump_as('regress_actor_dba', 'seen', '--enable-row-security');
like($seen, qr/"for the owner"/, 'the rows of its types');
unlike($seen, qr/"not to be seen"/, 'and no others');
$node->command_fails_like(
	[ 'pg_dump', '-U', 'regress_actor_dba', '-d', $node->connstr('owned'), '-f', "$dir/none.sql" ],
	qr/row-level security/, 'not without saying so');
my $all = dump_as('regress_actor_backup', 'all');
like($all, qr/"for the owner"/, 'all rows');
like($all, qr/"not to be seen"/, 'of all types');
unlike($all, qr/^(GRANT|REVOKE) .*actor\./m, 'no rights of the extension');

# in another server names mean the roles that have them there, and no others later
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$other->start;
# so that the oids are others
$other->safe_psql('postgres', "CREATE ROLE regress_actor_$_ LOGIN") foreach ('some', 'dba', 'one', 'backup');
$other->safe_psql('postgres', 'CREATE DATABASE owned OWNER regress_actor_dba');
$other->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr('owned'), '-f', "$dir/all.sql" ],
	'the dump is restored in another server');
my $own = q{SET ROLE regress_actor_dba;
	SELECT (SELECT count(*) FROM actor.state), (SELECT count(*) FROM actor.reminder)};
is($other->safe_psql('owned', $own), '1|1', 'the role of that name has its rows');
ok( $other->poll_query_until('owned', q{
		SELECT count(*) = 1 FROM actor.role
		 WHERE role_name = 'regress_actor_dba' AND role_oid = 'regress_actor_dba'::regrole
		   AND system_identifier = (SELECT system_identifier FROM pg_control_system())}),
	'which is noted');
$other->safe_psql('owned', q{
	REASSIGN OWNED BY regress_actor_dba TO regress_actor_one;
	DROP OWNED BY regress_actor_dba;
	DROP ROLE regress_actor_dba;
	CREATE ROLE regress_actor_dba LOGIN});
is($other->safe_psql('owned', $own), '0|0', 'another one of that name has nothing');
ok( $other->poll_query_until('owned', q{
		SELECT count(*) = 1 FROM actor.role
		 WHERE role_name = 'regress_actor_dba' AND system_identifier = 0}),
	'for good');

# nor in a third one: what belonged to nobody does not come back
$other->safe_psql('postgres', 'CREATE DATABASE third');
$other->command_ok([ 'pg_dump', '-d', $other->connstr('owned'), '-f', "$dir/third.sql" ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE third');
$node->command_ok(
	[ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('third'), '-f', "$dir/third.sql" ],
	'restored in the first one');
is($node->safe_psql('third', $own), '0|0', 'where the role exists');
$other->stop('fast');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/,
	'nothing has crashed');

done_testing();
