# Without shared_preload_libraries: calls work, and what needs a worker says
# exactly what to set.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('no_preload');
$node->init;
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA account;
	CREATE FUNCTION account.add(amount int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		n int := actor_get('n', 0) + amount;
	BEGIN
		PERFORM actor_set('n', n);
		RETURN n;
	END $$;
	CREATE FUNCTION account.balance() RETURNS int STABLE LANGUAGE sql
		AS $$ SELECT actor_get('n', 0) $$;
	CREATE FUNCTION account.remind() RETURNS text LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', 0);
		PERFORM actor_set_reminder('account', actor_id(), 'add', '1h', data => '[1]');
		RETURN 'not refused';
	EXCEPTION WHEN object_not_in_prerequisite_state THEN
		RETURN 'refused';
	END $$;
	SELECT actor_register('account');
});

is( $node->safe_psql('postgres', q{
		SELECT actor_invoke('account', 'a', 'add', '[1]');
		SELECT actor_invoke('account', 'a', 'add', '[1]');
		SELECT actor_invoke('account', 'a', 'balance')}),
	"1\n2\n2", 'methods can be called');
is( $node->safe_psql('postgres', q{
		SET actor.call_timeout = '3s';
		SELECT actor_invoke('account', 'a', 'balance');
		SHOW actor.call_timeout}),
	"2\n3s", 'settings work');
is($node->safe_psql('postgres', "SELECT count(*) FROM actor_schedule_preview('1h', '1h', '')"),
	'5', 'schedules can be looked at');

foreach my $due ("'1h'::text", "interval '1 hour'", "now() + interval '1 hour'")
{
	my ($ret, $stdout, $stderr) = $node->psql('postgres',
		"\\set VERBOSITY verbose\nSELECT actor_set_reminder('account', 'a', 'add', $due)");
	isnt($ret, 0, "a reminder cannot be registered: $due");
	like($stderr, qr/ERROR:  55000: /, 'with the right SQLSTATE');
	like($stderr, qr/HINT:.*"?actor"?.*shared_preload_libraries/, 'and a hint what to set');
}
my ($ret, $stdout, $stderr) = $node->psql('postgres',
	"\\set VERBOSITY verbose\nSELECT actor_send('account', 'a', 'add', '[1]')");
isnt($ret, 0, 'a message cannot be sent');
like($stderr, qr/ERROR:  55000: messages need /, 'with the right SQLSTATE');
like($stderr, qr/HINT:.*"?actor"?.*shared_preload_libraries/, 'and a hint what to set');
is( $node->safe_psql('postgres', q{
		SELECT actor_invoke('account', 'a', 'remind');
		SELECT actor_invoke('account', 'a', 'balance')}),
	"\"refused\"\n2", 'the refusal rolls back what it must, and no more');
is( $node->safe_psql('postgres', q{
		SELECT actor_get_reminder('account', 'a', 'add') IS NULL,
		       actor_delete_reminder('account', 'a', 'add')}),
	't|f', 'reminders can be read and deleted');

# rows that are there already, as after a restore, wait for better times
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'\nactor.enabled = off");
$node->restart;
$node->safe_psql('postgres', "SELECT actor_set_reminder('account', 'a', 'add', data => '[40]')");
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\nactor.enabled = on");
$node->restart;
is( $node->safe_psql('postgres', q{
		SELECT count(*) FROM actor.reminder;
		SELECT actor_invoke('account', 'a', 'balance')}),
	"1\n2", 'a reminder stays when the library is not preloaded any more');
is( $node->safe_psql('postgres', q{
		SELECT actor_get_reminder('account', 'a', 'add') ->> 'method'}),
	'add', 'it can be read');

# a session that has found the tables as they were created notices that they are
# not; and here no worker is in the way.  (sql/direct.sql has all ways.)
my $session = $node->background_psql('postgres', on_error_stop => 0);
is($session->query("SELECT actor_invoke('account', 'a', 'add', '[1]')"), '3', 'a session works');
$node->safe_psql('postgres', 'ALTER TABLE actor.reminder ALTER firing TYPE numeric');
$session->query("SELECT actor_invoke('account', 'a', 'add', '[1]')");
like($session->{stderr},
	qr/table "actor.reminder" is not as the extension has made it.*Column "firing" has type numeric instead of bigint/s,
	'not when a table was altered');
$session->{stderr} = '';
$node->safe_psql('postgres', 'ALTER TABLE actor.reminder ALTER firing TYPE bigint');
is($session->query("SELECT actor_invoke('account', 'a', 'add', '[-1]')"), '2', 'and again when that is undone');
$session->quit;

$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->restart;
ok( $node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.reminder'),
	'it fires when the library is preloaded again');
is($node->safe_psql('postgres', "SELECT actor_invoke('account', 'a', 'balance')"), '42', 'once');
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/,
	'nothing has crashed');

done_testing();
