# A database full of actors goes to another server, which has actor.enabled off:
# everything arrives, in every format, nothing fires before it is set on, and
# then everything that is due fires once, as the role that it belongs to.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $settings = q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
};
my $node = PostgreSQL::Test::Cluster->new('from');
$node->init;
$node->append_conf('postgresql.conf', "$settings actor.enabled = off");
$node->start;
my $dir = $node->basedir;

$node->safe_psql(
	'postgres', q{
	CREATE ROLE regress_owner LOGIN;
	CREATE ROLE regress_caller LOGIN;
	CREATE DATABASE source});
$node->safe_psql(
	'source', q{
	GRANT CREATE ON DATABASE source TO regress_owner;
	CREATE SCHEMA ext;
	GRANT USAGE ON SCHEMA ext TO PUBLIC;
	CREATE EXTENSION actor SCHEMA ext;
	SET search_path = ext, public;
	SET SESSION AUTHORIZATION regress_owner;
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO PUBLIC;
	CREATE TABLE shop.fired (id text, kind text, who name DEFAULT session_user);
	GRANT INSERT, SELECT ON shop.fired TO PUBLIC;
	CREATE FUNCTION shop.fill(v jsonb) RETURNS void LANGUAGE plpgsql SET search_path = ext
		AS $$ BEGIN PERFORM actor_set('v', v), actor_set('ttl', 1, '10 days'), actor_set('big', repeat('x', 100000)); END $$;
	CREATE FUNCTION shop.fire() RETURNS void LANGUAGE sql SET search_path = ext
		AS $$ INSERT INTO shop.fired VALUES (actor_id(), actor_cause() ->> 'kind') $$;
	SELECT actor_register('shop', call_timeout => '3 s', max_stack_depth => 4, reentrancy => true);
	SELECT actor_invoke('shop', 'a' || n, 'fill', jsonb_build_object('v', n)) FROM generate_series(1, 500) n;
	SELECT actor_invoke('shop', 'once', 'fill', '{"v": "once"}', request_id => 'q');
	SELECT actor_pause('shop', 'paused');
	SELECT actor_set_reminder('shop', 'paused', 'fire');
	SELECT actor_set_timer('shop', 'a1', 'fire', '1s');
	SELECT actor_set_reminder('shop', 'a' || n, 'fire') FROM generate_series(1, 100) n;
	SET SESSION AUTHORIZATION regress_caller;
	SELECT actor_set_reminder('shop', 'c' || n, 'fire', '1ms', 'R2/PT1S', catch_up => 'all') FROM generate_series(1, 50) n;
	SELECT actor_set_reminder('shop', 'far', 'fire', '876000h', 'P1Y');
	DO $$
	BEGIN
		IF to_regclass('actor.message') IS NOT NULL THEN
			PERFORM actor_send('shop', 'm' || n % 10, 'fire') FROM generate_series(1, 100) n;
		END IF;
	END $$;
});
my $messages = $node->safe_psql('source', "SELECT count(*) FROM pg_class WHERE oid = to_regclass('actor.message')") * 100;

# All that is dumped: every table of the extension but those that end with the
# server.
my @tables = split /\n/, $node->safe_psql('source', q{
	SELECT c.oid::regclass FROM pg_class c
	 WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind = 'r' AND c.relpersistence = 'p'
	   AND c.relname <> 'secret' ORDER BY 1});
cmp_ok(scalar @tables, '>=', 6, 'tables are compared: ' . join(', ', @tables));
sub content
{
	my ($server, $database) = @_;

	return join "\n", map {
		$server->safe_psql($database,
			"SET timezone = 'UTC'; SELECT '$_', count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM $_ t")
	} @tables;
}
my $expected = content($node, 'source');
like($expected, qr/actor.reminder\|152\|.*/, 'there is something to dump');

$node->command_ok([ 'pg_dumpall', '--roles-only', '-d', $node->connstr('postgres'), '-f', "$dir/roles.sql" ], 'roles');
foreach my $format ('plain', 'custom', 'directory')
{
	$node->command_ok(
		[ 'pg_dump', '-F', $format, '-d', $node->connstr('source'), '-f', "$dir/$format" ],
		"pg_dump, $format");
}
$node->stop;

my $other = PostgreSQL::Test::Cluster->new('to');
$other->init;
$other->append_conf('postgresql.conf', "$settings actor.enabled = off");
$other->start;
# (the role that initdb has made exists already)
$other->psql('postgres', slurp_file("$dir/roles.sql"), on_error_stop => 0);
foreach my $format ('plain', 'custom', 'directory')
{
	$other->safe_psql('postgres', "CREATE DATABASE $format TEMPLATE template0");
	$other->command_ok(
		$format eq 'plain'
		? [ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr($format), '-f', "$dir/$format" ]
		: [ 'pg_restore', '--exit-on-error', $format eq 'directory' ? ('-j', 2) : (),
			'-d', $other->connstr($format), "$dir/$format" ],
		"restored: $format");
	is(content($other, $format), $expected, 'all is there');
}

# one server, three copies
$other->restart;
# (the launcher has a look into each database, as it may be on there)
ok( $other->poll_query_until('postgres', q{
		SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type IN ('actor scheduler', 'actor executor')}),
	'no worker works while actor.enabled is off');
is($other->safe_psql('custom', 'SELECT count(*) FROM shop.fired'), '0', 'nothing has fired');
is( $other->safe_psql('custom', q{
		SELECT ext.actor_invoke('shop', 'a1', 'fill', '{"v": 2}') IS NULL}),
	't', 'calls work');
is( $other->safe_psql('custom', q{
		SET SESSION AUTHORIZATION regress_owner;
		SELECT ext.actor_invoke('shop', 'once', 'fill', '{"v": "once"}', request_id => 'q') IS NULL, count(*) FROM actor.request}),
	't|1', 'what was done with a request id is known');

$other->append_conf('postgresql.conf', 'actor.enabled = on');
$other->reload;
foreach my $database ('plain', 'custom', 'directory')
{
	ok( $other->poll_query_until($database,
			'SELECT count(*) = 200 + ' . $messages . ' FROM shop.fired'), "what is due fires: $database");
	is( $other->safe_psql($database, q{
			SELECT kind, who, count(*), count(DISTINCT id) FROM shop.fired GROUP BY 1, 2 ORDER BY 1, 2}),
		($messages ? "message|regress_caller|100|10\n" : '')
		  . "reminder|regress_caller|100|50\nreminder|regress_owner|100|100",
		'each as often as it should, and as whose it is');
	is( $other->safe_psql($database, 'SELECT actor_id FROM actor.reminder ORDER BY actor_id'),
		"far\npaused", 'what is not due and what is paused waits');
	is($other->safe_psql($database, 'SELECT count(*) FROM actor.timer'), '0', 'timers do not come along');
}
$other->safe_psql('custom', q{SET SESSION AUTHORIZATION regress_owner; SELECT ext.actor_resume('shop', 'paused')});
ok($other->poll_query_until('custom', q{SELECT count(*) = 1 FROM shop.fired WHERE id = 'paused'}),
	'what was paused can be resumed');

$other->stop('fast');
unlike(slurp_file($_->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed')
  foreach ($node, $other);

done_testing();
