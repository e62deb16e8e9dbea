# A streaming standby: read-only methods work, nothing is written, nothing
# fires; after the promotion what is due fires.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA account;
	CREATE TABLE account.hit (id text);
	CREATE FUNCTION account.add(amount int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + amount;
	BEGIN
		PERFORM actor_set('n', n);
		RETURN n;
	END $$;
	CREATE FUNCTION account.balance() RETURNS int STABLE LANGUAGE sql
		AS $$ SELECT actor_get('n', 0) $$;
	CREATE FUNCTION account.total(other text) RETURNS int STABLE LANGUAGE sql
		AS $$ SELECT actor_get('n', 0) + actor_invoke('account', other, 'balance')::int $$;
	CREATE FUNCTION account.cheat() RETURNS void STABLE LANGUAGE sql
		AS $$ SELECT actor_invoke('account', 'b', 'add', '[1]') $$;
	CREATE FUNCTION account.fire() RETURNS void LANGUAGE sql
		AS $$ INSERT INTO account.hit VALUES (actor_id()) $$;
	SELECT actor_register('account', history => 'changes');
	SELECT actor_invoke('account', 'a', 'add', '[1]');
	SELECT actor_invoke('account', 'b', 'add', '[2]');
});

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

# nothing fires on the primary, so that there is something to do later
$primary->safe_psql('postgres', "ALTER DATABASE postgres SET actor.enabled = off");
$primary->append_conf('postgresql.conf', 'actor.enabled = off');
$primary->reload;
$primary->safe_psql('postgres', q{
	SELECT actor_set_reminder('account', 'due', 'fire');
	SELECT actor_set_reminder('account', 'series', 'fire',
			to_char(now() - interval '1 hour', 'YYYY-MM-DD"T"HH24:MI:SSOF:00'), 'R3/PT1S',
			catch_up => 'all');
	SELECT actor_set_reminder('account', 'later', 'fire', '8760h')});
# only the file says so from now on, and that is the primary's own
$primary->safe_psql('postgres', "ALTER DATABASE postgres RESET actor.enabled");
$primary->wait_for_catchup($standby);

# SQLSTATE of a statement on the standby
sub sqlstate
{
	my ($sql) = @_;
	my ($ret, $stdout, $stderr) =
	  $standby->psql('postgres', "\\set VERBOSITY sqlstate\n$sql");

	return $stderr =~ /ERROR:\s+(\w{5})/ ? $1 : $stderr;
}

is( $standby->safe_psql('postgres',
		"SELECT actor_invoke('account', 'a', 'balance'),"
		  . " actor_invoke('account', 'a', 'total', '[\"b\"]')"),
	'1|3', 'read-only methods work');
is( $standby->safe_psql('postgres',
		"BEGIN ISOLATION LEVEL REPEATABLE READ;"
		  . " SELECT actor_invoke('account', 'a', 'balance'); COMMIT;"),
	'1', 'in a transaction block too');
is($standby->safe_psql('postgres', "SELECT actor_get_reminder('account', 'due', 'fire') ->> 'name'"),
	'fire', 'reminders can be read');
is($standby->safe_psql('postgres', "SELECT count(*) FROM actor_schedule_preview('1h', '1h', '')"),
	'5', 'schedules can be looked at');

is(sqlstate("SELECT actor_invoke('account', 'a', 'add', '[1]');"),
	'25006', 'writing methods are refused');
is(sqlstate("SELECT actor_invoke('account', 'a', 'cheat');"),
	'25006', 'also when a read-only method calls them');
is(sqlstate("SELECT actor_set_reminder('account', 'a', 'fire', '1h');"),
	'25006', 'reminders cannot be registered');
is(sqlstate("SELECT actor_delete_reminder('account', 'due', 'fire');"),
	'25006', 'nor deleted');
is(sqlstate("SELECT actor_register('account');"), '25006', 'types cannot be registered');
is(sqlstate("SELECT actor_unregister('account');"), '25006', 'nor unregistered');
# Whatever there is, answers with what is known, or says that it cannot write.
# Timers and activations are of the primary; the server itself refuses to read
# their tables here.
is( $standby->safe_psql(
		'postgres', q{
		SELECT string_agg(c.oid::regclass::text, ' ' ORDER BY c.oid::regclass::text COLLATE "C")
		  FROM pg_class c
		 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'v')
		   AND c.relpersistence = 'u'}),
	'actor.activation actor.timer', 'two tables cannot be read on a standby');
foreach my $relation (split /\n/, $standby->safe_psql(
		'postgres', q{
		SELECT c.oid::regclass FROM pg_class c
		 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'v')
		   AND c.relpersistence <> 'u' ORDER BY 1}))
{
	is(sqlstate("SELECT count(*) FROM $relation;"), '', "$relation can be read");
}
my %answers = (
	"actor_cancel_message('account', 'a', 1)" => '25006',
	"actor_call_chain()" => '',
	"actor_cause()" => '',
	"actor_close_turn('account', 'a', gen_random_uuid())" => '25006',
	"actor_configure('{\"entities\": [\"account\"]}')" => '25006',
	"actor_deactivate('account', 'a')" => '25006',
	"actor_delete('account', 'a')" => '25006',
	"actor_delete_reminder('account', 'a', 'none')" => '25006',
	"actor_delete_reminders('account')" => '25006',
	"actor_delete_timer('account', 'a', 'none')" => '25006',
	"actor_discard(1)" => '25006',
	"actor_distribute(8)" => '25006',
	"actor_doctor()" => '',
	"actor_each('account', 'fire')" => '25006',
	"actor_each_stop(gen_random_uuid())" => '25006',
	"actor_due('infinity')" => 'row',
	"actor_due_counts('1h', 10000)" => 'row',
	"actor_find('account')" => 'row',
	"actor_events('t', 'account')" => '',
	"actor_explain('account', 'a', 'balance')" => 'row',
	"actor_get('k')" => '55000',
	"actor_get('k', 1)" => '55000',
	"actor_get_reminder('account', 'due', 'fire')" => 'row',
	"actor_get_reminder('account', 'due', 'none')" => '',
	"actor_get_state('account', 'a', 'n')" => 'row',
	"actor_get_timer('account', 'a', 'none')" => '',
	"actor_history('account', 'a')" => 'row',
	"actor_id()" => '',
	"actor_invoke('account', 'a', 'add', '[1]')" => '25006',
	"actor_invoke('account', 'a', 'balance')" => 'row',
	"actor_keep_events('account', 't', '1 day')" => '25006',
	"actor_method()" => '',
	"actor_metrics()" => 'row',
	"actor_open_turn('account', 'a')" => '55000',
	"actor_openapi('account')" => 'row',
	"actor_pause('account')" => '25006',
	"actor_promise('fire')" => '55000',
	"actor_publish('t', NULL, 'account')" => '25006',
	"actor_reject(gen_random_uuid())" => '25006',
	"actor_resolve(gen_random_uuid())" => '25006',
	"actor_rebalance()" => '25006',
	"actor_reassign(current_user, current_user)" => '25006',
	"actor_reentrancy_id()" => '',
	"actor_register('account')" => '25006',
	"actor_remove('k')" => '55000',
	"actor_rename('account', 'other')" => '25006',
	"actor_result('account', 'a', 'none')" => 'row',
	"actor_resume('account')" => '25006',
	"actor_retry(1)" => '25006',
	"actor_run_due()" => '25006',
	"actor_schedule_preview('1h', '', '')" => 'row',
	"actor_send('account', 'a', 'fire')" => '25006',
	"actor_set('k', 1)" => '55000',
	"actor_set_reminder('account', 'a', 'fire', '1h')" => '25006',
	"actor_set_timer('account', 'a', 'fire', '1h')" => '25006',
	"actor_stat_reset()" => '',
	"actor_state()" => '55000',
	"actor_subscribe('t', 'account', 'a', 'fire', 'account')" => '25006',
	"actor_unsubscribe('t', 'account', 'a', 'account')" => '25006',
	"actor.event_source('t', 'account')" => 'row',
	"actor_state_at('account', 'a', now())" => 'row',
	"actor_transact('[]')" => '55000',
	"actor_transact('account', 'a', '[]')" => '25006',
	"actor.host_claim(gen_random_uuid(), NULL, '{}')" => '22023',
	"actor.host_enter(gen_random_uuid(), 'account', 'a', 'm')" => '25006',
	"actor.host_enter_to_end(gen_random_uuid(), 'account', 'a')" => '25006',
	"actor.host_forget_all(gen_random_uuid())" => '42501',
	"actor.host_is_alive(gen_random_uuid())" => 'row',
	"actor.host_join(gen_random_uuid(), 'a', 'b', 'c', '{}')" => '25006',
	"actor.host_left_behind(gen_random_uuid())" => '42501',
	"actor.host_may_call('account', 'balance')" => 'row',
	"actor.host_secret('account')" => 'row',
	"actor.host_place(gen_random_uuid(), 'account', 'a')" => '25006',
	"actor_type()" => '',
	"actor_unregister('account')" => '25006',
	"actor_wait('account', 'a', 'none')" => 'row');
foreach my $call (sort keys %answers)
{
	my ($ret, $stdout, $stderr) =
	  $standby->psql('postgres', "\\set VERBOSITY sqlstate\nSELECT $call");
	my $answer = $stderr =~ /ERROR:\s+(\w{5})/ ? $1 : $stdout eq '' ? '' : 'row';

	# a set that is empty here
	$answer = '' if $call =~ /doctor/ && $answer eq 'row';
	is($answer, $answers{$call}, "$call answers");
}
is( $standby->safe_psql(
		'postgres', q{
		SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_depend d
		    ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
		  JOIN pg_extension e
		    ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
		 WHERE e.extname = 'actor' AND p.pronamespace <> 'actor'::regnamespace ORDER BY 1}),
	join("\n", do { my %names = map { /^(actor_\w+)/ ? ($1 => 1) : () } keys %answers; sort keys %names }),
	'all functions were tried');
is( $standby->safe_psql('postgres',
		"SELECT actor_id, keys, activated_at IS NULL, last_used_at IS NULL"
		  . " FROM actor.instance ORDER BY actor_id"),
	"a|1|t|t\nb|1|t|t", 'actors are shown, which are not active here');

is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
	'0', 'no lock is left behind');

# changes of the primary are noticed in a session that has its caches filled
my $session = $standby->background_psql('postgres', on_error_stop => 0);
is($session->query_safe("SELECT actor_invoke('account', 'a', 'balance')"), '1', 'cached method');
$primary->safe_psql('postgres',
	"CREATE OR REPLACE FUNCTION account.balance() RETURNS int STABLE LANGUAGE sql AS 'SELECT 42'");
$primary->wait_for_catchup($standby);
is($session->query_safe("SELECT actor_invoke('account', 'a', 'balance')"),
	'42', 'a method replaced on the primary is the new one here');
$primary->safe_psql('postgres', "ALTER SCHEMA account RENAME TO renamed");
$primary->wait_for_catchup($standby);
$session->query(
	"SELECT actor_invoke('account', 'a', 'balance')");
like($session->{stderr}, qr/has lost its schema/, 'and so is a schema');
$session->{stderr} = '';
$primary->safe_psql('postgres', "ALTER SCHEMA renamed RENAME TO account");
$primary->wait_for_catchup($standby);
is($session->query_safe("SELECT actor_invoke('account', 'a', 'balance')"),
	'42', 'which works again when it is back');
$session->quit;

is( $standby->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'actor%'"),
	'0', 'no worker runs on a standby');
is( $standby->safe_psql('postgres',
		'SELECT (SELECT count(*) FROM account.hit), (SELECT count(*) FROM actor.reminder)'),
	'0|3', 'and nothing has fired');

$primary->stop('fast');
$standby->promote;
ok( $standby->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'actor launcher'"),
	'launcher starts on promotion');
ok( $standby->poll_query_until('postgres', 'SELECT count(*) = 1 FROM actor.reminder'),
	'what is due fires');
is( $standby->safe_psql('postgres',
		'SELECT id, count(*) FROM account.hit GROUP BY id ORDER BY id'),
	"due|1\nseries|3", 'exactly once');
is($standby->safe_psql('postgres', "SELECT actor_invoke('account', 'a', 'add', '[10]')"),
	'11', 'writing methods work after the promotion');
$standby->stop('fast');
unlike(slurp_file($_->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed')
  foreach ($primary, $standby);

done_testing();
