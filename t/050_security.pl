# Attempts to get rights that one does not have, through callbacks and through
# what somebody has prepared before.  Each leaves a trace if it succeeds.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('security');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
log_min_messages = info
});
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# what a statement raises
sub refusal
{
	my ($sql, $database) = @_;
	my ($ret, $stdout, $stderr) =
	  $node->psql($database // 'postgres', "\\set VERBOSITY verbose\n$sql", on_error_stop => 1);

	return $stderr =~ /(ERROR:\s+[^\n]*)/ ? $1 : "none, but $stdout";
}

sub wait_until_fired
{
	my ($what) = @_;

	ok( $node->poll_query_until('postgres',
			"SELECT NOT EXISTS (SELECT FROM actor.reminder WHERE next_try_at < now() + '1 hour')"),
		$what);
}

# The locks of actors and types are named by a hash whose formula never changes:
# SipHash-2-4 with the key of the database, here that of its published test
# vectors.  Computed elsewhere.
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE TABLE public.keys AS SELECT hash_key FROM actor.secret;
	UPDATE actor.secret SET hash_key = '\x000102030405060708090a0b0c0d0e0f'});
my $account = 'CREATE SCHEMA account; CREATE FUNCTION account.go() RETURNS void LANGUAGE sql RETURN NULL; '
  . q{SELECT actor_register('Account', 'account');};
my $locks = q{SELECT string_agg(format('%s %s %s', objsubid, classid, objid), ', ' ORDER BY objsubid)
	FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()};
$node->safe_psql('postgres', $account);
is($node->safe_psql('postgres', qq{BEGIN; SELECT NULL FROM actor_invoke('Account', 'bank-42', 'go'); $locks}),
	"\n19143 2779837199 2641577543, 19145 346996475 3016311769",
	'locks of an actor and its type are named by SipHash');

# without a key nothing is locked
like(
	refusal(q{CREATE TABLE public.aside AS SELECT * FROM actor.secret;
		DELETE FROM actor.secret; SELECT actor_invoke('Account', 'bank-42', 'go')}),
	qr/XX001: table "actor.secret" does not have the key/, 'a missing key is an error');
$node->safe_psql('postgres', 'INSERT INTO actor.secret SELECT * FROM public.aside; DROP TABLE public.aside');

# with another key each of them has another name, and each database has its own
$node->safe_psql('postgres', 'UPDATE actor.secret SET hash_key = (SELECT hash_key FROM public.keys)');
my $here = $node->safe_psql('postgres', qq{BEGIN; SELECT NULL FROM actor_invoke('Account', 'bank-42', 'go'); $locks});
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION actor');
$node->safe_psql('other', $account);
my $there = $node->safe_psql('other', qq{BEGIN; SELECT NULL FROM actor_invoke('Account', 'bank-42', 'go'); $locks});
isnt($here, $there, 'each database has a key of its own');
$node->safe_psql('postgres', q{
	SELECT actor_unregister('Account', force => true); DROP SCHEMA account CASCADE;
	DROP TABLE public.keys; DROP DATABASE other});
$node->safe_psql('postgres', 'CREATE ROLE reader IN ROLE pg_read_all_data');
is($node->safe_psql('postgres', 'SET ROLE reader; SELECT count(*) FROM actor.secret'),
	'0', 'nobody reads the key');

# a type whose owner is up to no good, and a table in which code of hers says
# who it ran as
$node->safe_psql(
	'postgres', q{
	CREATE ROLE mallory LOGIN;
	CREATE ROLE alice LOGIN;
	GRANT CREATE ON DATABASE postgres TO mallory, alice;
	CREATE TABLE public.ran (what text, who name DEFAULT current_user, session name DEFAULT session_user,
		super text DEFAULT current_setting('is_superuser'), path text DEFAULT current_setting('search_path'));
	GRANT INSERT, SELECT ON public.ran TO PUBLIC;
	SET SESSION AUTHORIZATION mallory;
	CREATE SCHEMA evil;
	GRANT USAGE ON SCHEMA evil TO PUBLIC;
	CREATE FUNCTION evil._mark(what text) RETURNS int LANGUAGE sql
		AS $$ INSERT INTO public.ran VALUES (what); SELECT 1 $$;
	CREATE FUNCTION evil.mark(what text) RETURNS void LANGUAGE sql AS $$ SELECT evil._mark(what) $$;

	-- to become somebody else
	CREATE FUNCTION evil.become(command text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		BEGIN
			EXECUTE command;
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
		PERFORM evil._mark(command);
	END $$;

	-- to run after the callback
	CREATE TABLE evil.late (x int);
	CREATE FUNCTION evil._late() RETURNS trigger LANGUAGE plpgsql
		AS $$ BEGIN PERFORM evil._mark('deferred trigger'); RETURN NULL; END $$;
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON evil.late
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION evil._late();
	CREATE FUNCTION evil.deferred() RETURNS void LANGUAGE sql AS $$ INSERT INTO evil.late VALUES (1) $$;
	CREATE FUNCTION evil.held() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		EXECUTE $c$DECLARE held CURSOR WITH HOLD FOR SELECT evil._mark('held cursor')$c$;
		PERFORM evil._mark('has a held cursor');
	END $$;

	-- to stand in the way of what the library reads and calls
	CREATE FUNCTION evil._eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT evil._mark('operator') > 0 $$;
	CREATE FUNCTION evil._eqn(name, name) RETURNS boolean LANGUAGE sql AS $$ SELECT evil._mark('operator') > 0 $$;
	CREATE FUNCTION evil._le(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS $$ SELECT evil._mark('operator') > 0 $$;
	CREATE OPERATOR evil.= (leftarg = text, rightarg = text, function = evil._eq);
	CREATE OPERATOR evil.= (leftarg = name, rightarg = name, function = evil._eqn);
	CREATE OPERATOR evil.<= (leftarg = timestamptz, rightarg = timestamptz, function = evil._le);
	CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql
		AS $$ BEGIN PERFORM evil._mark('function'); RETURN pg_catalog.now(); END $$;
	CREATE FUNCTION evil.shadow() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		CREATE TEMP TABLE reminder (LIKE actor.reminder);
		CREATE TEMP TABLE state (LIKE actor.state);
		CREATE TEMP TABLE type (LIKE actor.type);
		CREATE TEMP TABLE pg_class (LIKE pg_catalog.pg_class);
		PERFORM evil._mark('shadow');
		PERFORM pg_catalog.set_config('search_path', 'pg_temp, evil, pg_catalog', false);
		PERFORM public.actor_set('a', 1);
		PERFORM public.actor_set_reminder('evil', 'after shadow', 'mark', data => '["from the shadow"]');
	END $$;
	SELECT actor_register('evil');
});

# commands that would lead back to somebody else, if there were somebody else
my @commands = ('RESET ROLE', 'RESET SESSION AUTHORIZATION', "SET ROLE $superuser",
	"SET SESSION AUTHORIZATION $superuser", 'SET SESSION AUTHORIZATION DEFAULT', 'SET ROLE NONE',
	'SET ROLE alice', 'SET SESSION AUTHORIZATION alice', 'ALTER ROLE mallory SUPERUSER',
	"SET is_superuser = on", "ALTER ROLE $superuser RENAME TO gone",
	"UPDATE actor.reminder SET role_name = '$superuser'",
	"SELECT actor_reassign('mallory', '$superuser')");
my $number = 0;
my $register = join ' ', map {
	$number++;
	"SELECT actor_set_reminder('evil', 'become $number', 'become', data => jsonb_build_array('"
	  . s/'/''/gr . "'));"
} @commands;

# a superuser has callbacks as well, before and after, in executors of his own
$node->safe_psql(
	'postgres', qq{
	CREATE SCHEMA good;
	CREATE FUNCTION good.mark(what text) RETURNS void LANGUAGE sql AS 'INSERT INTO public.ran VALUES (what)';
	SELECT actor_register('good');
	SELECT actor_set_reminder('good', 'before', 'mark', data => '["superuser''s own"]');
	SET SESSION AUTHORIZATION mallory;
	$register
	SELECT actor_set_reminder('evil', 'deferred', 'deferred');
	SELECT actor_set_reminder('evil', 'held', 'held');
	SELECT actor_set_reminder('evil', 'shadow', 'shadow');
	RESET SESSION AUTHORIZATION;
	SELECT actor_set_reminder('good', 'after', 'mark', data => '["superuser''s own"]');
});
wait_until_fired('all attempts are made');
is( $node->safe_psql('postgres', 'SELECT message FROM actor.failure'), '', 'to their end');
is( $node->safe_psql('postgres',
		"SELECT what, who, session, super FROM ran WHERE what <> 'superuser''s own' AND (who, session, super) <> ('mallory', 'mallory', 'off')"),
	'', 'none makes the role anybody else');
is( $node->safe_psql('postgres', 'SELECT string_agg(what, E\'\n\' ORDER BY what COLLATE "C") FROM (SELECT DISTINCT what FROM ran) r'),
	join("\n", sort('deferred trigger', 'has a held cursor', 'shadow', 'from the shadow',
			"superuser's own", @commands)),
	'nothing runs that should not');
is( $node->safe_psql('postgres',
		"SELECT count(*), min(super) FROM ran WHERE what = 'superuser''s own' AND session = '$superuser'"),
	'2|on', 'callbacks of the superuser run as superuser');
is( $node->safe_psql('postgres',
		"SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'"), 'f', 'mallory is no superuser');
is( $node->safe_psql('postgres', q{SELECT DISTINCT path FROM ran}), '"$user", public',
	'the search_path of a callback is that of the role, whatever others have set');
$node->safe_psql('postgres', q{
	ALTER ROLE mallory SET search_path = evil, public;
	SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'actor executor';
	SET SESSION AUTHORIZATION mallory;
	SELECT actor_set_reminder('evil', 'path', 'mark', data => '["with a path"]')});
wait_until_fired('a callback after the role has got a search_path');
is($node->safe_psql('postgres', q{SELECT path FROM ran WHERE what = 'with a path'}),
	'evil, public', 'runs with it');
$node->safe_psql('postgres', 'ALTER ROLE mallory RESET search_path');

# A method that is replaced between scheduling and firing
$node->safe_psql(
	'postgres', q{
	TRUNCATE ran;
	SET SESSION AUTHORIZATION alice;
	CREATE SCHEMA shop;
	GRANT USAGE ON SCHEMA shop TO mallory;
	CREATE FUNCTION shop.open() RETURNS void LANGUAGE sql AS $$ INSERT INTO public.ran VALUES ('old') $$;
	CREATE FUNCTION shop.close() RETURNS void LANGUAGE sql AS $$ INSERT INTO public.ran VALUES ('closed') $$;
	SELECT actor_register('shop');
	SELECT actor_pause('shop');
	SET SESSION AUTHORIZATION mallory;
	SELECT actor_set_reminder('shop', '1', 'open');
	SELECT actor_set_reminder('shop', '2', 'close', failure_policy => '{"drop": {}}');
});
my $body = "RETURNS void LANGUAGE sql AS 'INSERT INTO public.ran VALUES (''new'')'";
like(refusal("SET SESSION AUTHORIZATION mallory; CREATE OR REPLACE FUNCTION shop.open() $body"),
	qr/42501/, 'a stranger cannot replace a method');
like(refusal("SET SESSION AUTHORIZATION mallory; ALTER FUNCTION shop.open() SECURITY DEFINER"),
	qr/42501/, 'nor alter it');
$node->safe_psql(
	'postgres', qq{
	SET SESSION AUTHORIZATION alice;
	CREATE OR REPLACE FUNCTION shop.open() $body;
	REVOKE EXECUTE ON FUNCTION shop.close() FROM PUBLIC;
	SELECT actor_resume('shop')});
wait_until_fired('methods replaced by their owner fire');
is($node->safe_psql('postgres', 'SELECT what, who, session FROM ran'),
	'new|mallory|mallory', 'as the role that has registered them');
is($node->safe_psql('postgres', 'SELECT method, sqlstate, role_name FROM actor.failure'),
	'close|42501|mallory', 'which must still have EXECUTE');
$node->safe_psql('postgres', 'SELECT actor_discard(failure_id) FROM actor.failure');

# A hook of somebody else in the schema of a type
$node->safe_psql(
	'postgres', q{
	TRUNCATE ran;
	SET SESSION AUTHORIZATION alice;
	GRANT CREATE ON SCHEMA shop TO mallory;
	SET SESSION AUTHORIZATION mallory;
	CREATE FUNCTION shop.on_activate() RETURNS void LANGUAGE sql AS $$ SELECT evil._mark('hook') $$;
	CREATE FUNCTION shop.on_deactivate() RETURNS void LANGUAGE sql AS $$ SELECT evil._mark('hook') $$;
	RESET SESSION AUTHORIZATION;
	SELECT actor_invoke('shop', 'hooked', 'open');
	SELECT actor_deactivate('shop', 'hooked')});
is($node->safe_psql('postgres', 'SELECT what FROM ran'), 'new', 'a hook of somebody else does not run');

# A superuser who cleans up runs the owner's hook, but as the owner
$node->safe_psql(
	'postgres', q{
	TRUNCATE ran;
	SET SESSION AUTHORIZATION mallory;
	CREATE TABLE evil.hook (what text);
	CREATE FUNCTION evil.on_deactivate() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM evil._mark('hook of ' || actor_id());
		PERFORM actor_set('ended', true);
		IF actor_id() = 'reset' THEN
			RESET ROLE;
		ELSIF actor_id() = 'deferred' THEN
			INSERT INTO evil.late VALUES (2);
		ELSIF actor_id() = 'held' THEN
			EXECUTE $c$DECLARE held CURSOR WITH HOLD FOR SELECT evil._mark('held cursor')$c$;
		ELSIF actor_id() = 'path' THEN
			SET search_path = evil;
		END IF;
	END $$;
	SELECT actor_invoke('evil', id, 'mark', '["activated"]') FROM unnest('{plain,reset,deferred,held,path,own}'::text[]) id;
	SELECT actor_deactivate('evil', 'own');
	TRUNCATE evil.late});
is( $node->safe_psql('postgres', q{
		SET client_min_messages = error;
		SELECT id, actor_deactivate('evil', id), current_user = session_user, current_setting('search_path')
		  FROM unnest('{plain,reset,deferred,held,path}'::text[]) WITH ORDINALITY u (id, n) ORDER BY n}),
	join("\n", map { "$_|t|t|\"\$user\", public" } qw(plain reset deferred held path)), 'a superuser deactivates');
is( $node->safe_psql('postgres', "SELECT what, who FROM ran WHERE what LIKE 'hook%' OR what IN ('held cursor', 'deferred trigger') ORDER BY what"),
	"hook of own|mallory\nhook of path|mallory\nhook of plain|mallory", 'hooks run as the owner of the type');
is($node->safe_psql('postgres', 'SELECT actor_id, sqlstate, role_name FROM actor.failure ORDER BY actor_id'),
	"deferred|42501|mallory\nheld|42501|mallory\nreset|42501|mallory", 'and cannot wait until the superuser is back');
$node->safe_psql('postgres', 'SELECT actor_discard(failure_id) FROM actor.failure');

# Maintenance of a table by a superuser runs functions of its owner as the
# owner; what these register is the owner's, too.
$node->safe_psql(
	'postgres', q{
	TRUNCATE ran;
	SET SESSION AUTHORIZATION mallory;
	CREATE TABLE evil.bait (x int);
	CREATE FUNCTION evil._index(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
	CREATE INDEX ON evil.bait (evil._index(x));
	INSERT INTO evil.bait VALUES (1);
	CREATE OR REPLACE FUNCTION evil._index(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM public.actor_set_reminder('evil', 'index', 'mark', data => '["by maintenance"]');
		PERFORM public.actor_invoke('evil', 'index', 'mark', '["in maintenance"]');
		RETURN $1;
	END $$;
	RESET SESSION AUTHORIZATION;
	REINDEX TABLE evil.bait});
wait_until_fired('a reminder registered while a superuser maintains a table fires');
is( $node->safe_psql('postgres', 'SELECT DISTINCT what, who FROM ran ORDER BY what'),
	"by maintenance|mallory\nin maintenance|mallory", 'as the owner of the table');
is( $node->safe_psql('postgres', "SELECT session, super FROM ran WHERE what = 'by maintenance'"),
	'mallory|off', 'in a session of hers');

# Names of workers' activity, and lines of the log, show no payload
$node->safe_psql(
	'postgres', q{
	TRUNCATE ran;
	DROP FUNCTION shop.on_activate, shop.on_deactivate;
	SET SESSION AUTHORIZATION alice;
	CREATE FUNCTION shop.wait(secret text, word text) RETURNS void LANGUAGE plpgsql
		AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); PERFORM actor_set('secret', secret); END $$;
	CREATE FUNCTION shop.fail(secret jsonb) RETURNS void LANGUAGE plpgsql
		AS $$ BEGIN PERFORM actor_set('secret', secret); RAISE 'no luck'; END $$;
});
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(1)');
$node->safe_psql('postgres', q{
	SET SESSION AUTHORIZATION alice;
	SELECT actor_set_reminder('shop', 'w', 'wait', data => '["hunter2", "hunter2"]');
	SELECT actor_set_reminder('shop', 'f', 'fail', data => '["hunter2"]', failure_policy => '{"drop": {}}')});
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity
		 WHERE backend_type = 'actor executor' AND wait_event = 'advisory'}),
	'a callback runs');
my $activity = $node->safe_psql('postgres',
	"SELECT query, application_name FROM pg_stat_activity WHERE backend_type LIKE 'actor%'");
like($activity, qr/\bw\b/, 'its activity names the actor');
unlike($activity, qr/hunter2/, 'and nothing of the payload');
is( $node->safe_psql('postgres',
		"SET SESSION AUTHORIZATION mallory; SELECT count(*) FROM pg_stat_activity WHERE query ~ 'shop' AND usename = 'alice'"),
	'0', 'others do not see even that');
$holder->query_safe('SELECT pg_advisory_unlock(1)');
$holder->quit;
wait_until_fired('it ends');
is( $node->safe_psql('postgres', "SELECT value FROM actor.state WHERE key = 'secret'"),
	'"hunter2"', 'with the payload');
my $log = join "\n", grep { !/STATEMENT:|statement:|^\t/ } split /\n/, slurp_file($node->logfile);
like($log, qr/reminder "fail" of actor "f" of type "shop" failed: no luck/, 'the log names what fails');
unlike($log, qr/hunter2/, 'and shows no payload');

# Who sees that somebody holds and waits for turns
$node->safe_psql('postgres', q{
	CREATE ROLE monitor LOGIN IN ROLE pg_monitor;
	SET SESSION AUTHORIZATION alice;
	CREATE FUNCTION shop.touch() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('touched', 1) $$});
$holder = $node->background_psql('postgres');
$holder->query_safe("SET SESSION AUTHORIZATION alice; BEGIN; SELECT actor_invoke('shop', 'held', 'touch')");
like(refusal("SET actor.call_timeout = '10ms'; SELECT actor_invoke('shop', 'held', 'touch')"), qr/55P03/, 'a turn is held');
foreach my $role ('alice', 'mallory', 'monitor', $superuser)
{
	foreach my $view ('turn', 'hot_actor')
	{
		is( $node->safe_psql('postgres', qq{
				SET SESSION AUTHORIZATION $role;
				SELECT count(*) FROM actor.$view WHERE actor_type = 'shop' AND actor_id = 'held'}),
			$role eq 'mallory' ? '0' : '1', "what $role sees in actor.$view");
	}
}
$holder->query_safe('COMMIT');
$holder->quit;

# Objects that somebody has prepared for CREATE EXTENSION
$node->safe_psql('postgres', 'CREATE DATABASE prepared');
$node->safe_psql(
	'prepared', q{
	CREATE SCHEMA ext;
	GRANT CREATE, USAGE ON SCHEMA ext TO mallory;
	GRANT CREATE ON DATABASE prepared TO mallory;
	SET SESSION AUTHORIZATION mallory;
	CREATE FUNCTION ext.actor_id() RETURNS text LANGUAGE sql AS $$ SELECT 'mine' $$});
like(refusal('CREATE EXTENSION actor SCHEMA ext', 'prepared'),
	qr/42723.*already exists/, 'a function that is there already is not taken over');
is( $node->safe_psql('prepared', q{
		SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = 'actor'), pg_get_userbyid(proowner)
		  FROM pg_proc WHERE proname = 'actor_id'}),
	'0|mallory', 'and nothing of the extension stays');
$node->safe_psql('prepared', q{
	SET SESSION AUTHORIZATION mallory;
	DROP FUNCTION ext.actor_id();
	CREATE SCHEMA actor});
like(refusal('CREATE EXTENSION actor SCHEMA ext', 'prepared'),
	qr/42P06/, 'a schema neither');
$node->safe_psql(
	'prepared', q{
	SET SESSION AUTHORIZATION mallory;
	DROP SCHEMA actor;
	CREATE FUNCTION ext.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.pg_has_role(oid, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.sum(int) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.pg_extension_config_dump(regclass, text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.eqn(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE FUNCTION ext.lt(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	CREATE OPERATOR ext.= (leftarg = text, rightarg = text, function = ext.eq);
	CREATE OPERATOR ext.= (leftarg = name, rightarg = name, function = ext.eqn);
	CREATE OPERATOR ext.> (leftarg = timestamptz, rightarg = timestamptz, function = ext.lt);
	CREATE DOMAIN ext.text AS pg_catalog.text CHECK (false);
	CREATE DOMAIN ext.timestamptz AS pg_catalog.timestamptz CHECK (false);
	CREATE DOMAIN ext.jsonb AS pg_catalog.jsonb CHECK (false);
	CREATE DOMAIN ext.name AS pg_catalog.name CHECK (false);
	CREATE TABLE ext.pg_roles (oid oid, rolname name);
	CREATE FUNCTION ext.actor_invoke(text, text, text) RETURNS jsonb LANGUAGE plpgsql AS $$ BEGIN RAISE 'mine'; END $$;
	RESET SESSION AUTHORIZATION;
	CREATE EXTENSION actor SCHEMA ext});
# what members of the extension depend on that neither it nor the server has
is( $node->safe_psql('prepared', q{
		WITH RECURSIVE member (classid, objid) AS (
			SELECT classid, objid FROM pg_depend
			 WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
			   AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
			UNION
			SELECT d.classid, d.objid FROM pg_depend d JOIN member m ON d.refclassid = m.classid AND d.refobjid = m.objid
			 WHERE d.deptype IN ('a', 'i', 'I'))
		SELECT pg_describe_object(m.classid, m.objid, 0), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
		  FROM member m JOIN pg_depend d USING (classid, objid)
		 WHERE d.refobjid >= 16384 AND d.refclassid <> 'pg_extension'::regclass
		   AND (d.refclassid, d.refobjid) NOT IN (SELECT classid, objid FROM member)
		   AND NOT (d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'ext'::regnamespace)}),
	'', 'what is in the way in the schema of the extension is not used');
$node->safe_psql(
	'prepared', q{
	SET SESSION AUTHORIZATION mallory;
	CREATE SCHEMA box;
	CREATE FUNCTION box.put() RETURNS int LANGUAGE sql AS $$ SELECT ext.actor_set('a', 1); SELECT 1 $$;
	SET search_path = ext;
	SELECT actor_register('box');
	SELECT actor_invoke('box', '1', 'put', NULL);
	SELECT actor_set_reminder('box', '1', 'put', '1h')});
is($node->safe_psql('prepared', 'SELECT actor_type, keys FROM actor.instance'), 'box|1', 'and it works');

# What the document says about methods
$node->safe_psql('postgres', 'CREATE DATABASE document');
my @blocks = slurp_file('doc/security.md') =~ /^```sql\n(.*?)^```/msg;
is(scalar(@blocks), 2, 'doc/security.md has blocks of SQL');
is( $node->safe_psql('document', qq{
		CREATE EXTENSION actor;
		CREATE SCHEMA shed;
		CREATE FUNCTION shed.open_path() RETURNS int LANGUAGE sql AS 'SELECT 1';
		SET client_min_messages = warning;
		SELECT actor_register('shed') IS NULL;
		@blocks}) =~ s/^[tf]?\n//gmr,
	'shed|shed.open_path()', 'which find the methods without a search_path');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
