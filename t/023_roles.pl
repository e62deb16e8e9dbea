# A role that cannot be used any more disables its own rows, and no others: they
# stay, can be found, and fire when the role can be used again.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
my $major = $node->safe_psql('postgres', "SELECT current_setting('server_version_num')::int / 10000");
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	REVOKE CONNECT ON DATABASE postgres FROM PUBLIC;
	CREATE TABLE hit (id text, role text);
	GRANT INSERT ON hit TO PUBLIC;
	CREATE SCHEMA t;
	GRANT USAGE ON SCHEMA t TO PUBLIC;
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS
		$$ INSERT INTO hit VALUES (actor_id(), current_user) $$;
	SELECT actor_register('t')});

sub hits_grow
{
	my ($role, $what) = @_;
	my $count = $node->safe_psql('postgres', "SELECT count(*) FROM hit WHERE role = '$role'");

	ok( $node->poll_query_until('postgres',
			"SELECT count(*) > $count + 1 FROM hit WHERE role = '$role'"),
		$what);
	return;
}

sub register
{
	my ($role) = @_;

	$node->safe_psql('postgres', qq{
		SET ROLE $role;
		SELECT actor_set_reminder('t', '$role', 'beat', '', '100ms', method => 'fire')});
	return;
}

sub sql
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# Rows whose role cannot be used, as anybody can find them.
my $unusable = q{SELECT string_agg(DISTINCT m.role_name, ' ') FROM actor.reminder m
	LEFT JOIN pg_roles r ON r.rolname = m.role_name
	WHERE r.oid IS NULL OR NOT has_database_privilege(r.oid, current_database(), 'CONNECT')
		OR (NOT r.rolcanlogin AND current_setting('server_version_num')::int < 170000)};

sub create_role
{
	my ($role) = @_;
	sql("CREATE ROLE $role LOGIN; GRANT CONNECT ON DATABASE postgres TO $role");
	return;
}

my $good = 'regress_actor_good';
create_role($good);
register($good);
hits_grow($good, 'a role fires');

# how to make a role unusable, and how to make it usable again
my @ways = (
	[   'dropped', sub { sql("REVOKE CONNECT ON DATABASE postgres FROM $_[0]; DROP ROLE $_[0]") },
		# another role of that name has nothing of it before a superuser says so
		sub { create_role($_[0]); sql("SELECT actor_reassign('$_[0]', '$_[0]')") } ],
	[   'renamed', sub { sql("ALTER ROLE $_[0] RENAME TO regress_actor_moved") },
		sub { sql("ALTER ROLE regress_actor_moved RENAME TO $_[0]") } ],
	[   'revoked', sub { sql("REVOKE CONNECT ON DATABASE postgres FROM $_[0]") },
		sub { sql("GRANT CONNECT ON DATABASE postgres TO $_[0]") } ]);
push @ways,
	[   'nologin', sub { sql("ALTER ROLE $_[0] NOLOGIN") }, sub { sql("ALTER ROLE $_[0] LOGIN") } ]
	if $major < 17;

for my $way (@ways)
{
	my ($name, $break, $mend) = @$way;
	my $role = "regress_actor_$name";
	my $complaint = qr/callbacks of role "$role" cannot run/;

	create_role($role);
	register($role);
	hits_grow($role, "$name: it fires");
	is(sql($unusable), '', "$name: nothing is wrong");

	# An executor that is connected already goes on until it has nothing to do,
	# but not as somebody else.
	my $offset = -s $node->logfile;
	$break->($role);
	if ($name eq 'revoked' || $name eq 'nologin')
	{
		sql(q{SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
			WHERE backend_type = 'actor executor' AND usename = '} . $role . q{'});
	}
	$node->wait_for_log($complaint, $offset);
	my $count = sql("SELECT count(*) FROM hit WHERE role IN ('$role', 'regress_actor_moved')");
	hits_grow($good, "$name: others go on");
	is( sql("SELECT count(*) FROM hit WHERE role IN ('$role', 'regress_actor_moved')"),
		$count, "$name: it does not fire");
	is(sql($unusable), $role, "$name: that can be found by a query");
	is(sql("SELECT count(*) FROM actor.reminder WHERE actor_id = '$role'"), '1',
		"$name: its row stays");
	is(sql("SELECT count(*) FROM actor.failure"), '0', "$name: and nothing is given up");
	my @lines = substr(slurp_file($node->logfile), $offset) =~ /$complaint/g;
	is(scalar @lines, 1, "$name: the log says it once");

	$mend->($role);
	hits_grow($role, "$name: it fires again when it can");
	is(sql("SELECT attempt || ' ' || deferrals FROM actor.reminder WHERE actor_id = '$role'"),
		'1 0', "$name: and has lost nothing");
	sql("SELECT actor_delete_reminder('t', '$role', 'beat')");
}

# A role may lose the right to call the method: that is an error of the firing.
create_role('regress_actor_denied');
register('regress_actor_denied');
hits_grow('regress_actor_denied', 'denied: it fires');
sql('REVOKE USAGE ON SCHEMA t FROM PUBLIC; GRANT USAGE ON SCHEMA t TO regress_actor_good');
ok( $node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM actor.reminder
		WHERE actor_id = 'regress_actor_denied' AND last_error ~ 'permission denied'}),
	'denied: a method that the role may not call any more fails');
hits_grow($good, 'denied: others go on');

# Callbacks run in a session of the role, with the libraries that it loads; a
# setting of it does not make an end of each error.
create_role('regress_actor_special');
sql(q{
	ALTER ROLE regress_actor_special SET session_preload_libraries = 'plpgsql';
	ALTER ROLE regress_actor_special SET exit_on_error = on;
	CREATE SCHEMA special;
	GRANT USAGE ON SCHEMA special TO regress_actor_special;
	CREATE FUNCTION special.note() RETURNS void LANGUAGE sql AS $$
		INSERT INTO hit VALUES (current_setting('plpgsql.variable_conflict', true),
			current_user) $$;
	CREATE FUNCTION special.fail() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN RAISE 'wrong'; END $$;
	SELECT actor_register('special')});
sql(q{
	SET ROLE regress_actor_special;
	SELECT actor_set_reminder('special', 'x', 'note')});
ok( $node->poll_query_until('postgres', q{SELECT id = 'error' FROM hit
		WHERE role = 'regress_actor_special'}),
	'a library of the role is loaded');
sql(q{
	SET ROLE regress_actor_special;
	SELECT actor_set_reminder('special', 'x', 'fail', failure_policy => '{"drop": {}}')});
ok( $node->poll_query_until('postgres', q{SELECT sqlstate || ' ' || message = 'P0001 wrong'
		FROM actor.failure WHERE actor_type = 'special'}),
	'an error is no end of the process');

# An open transaction that has moved aside what a name stood for keeps nobody else
# from being served; here it only has the locks of that.
create_role('regress_actor_left');
create_role('regress_actor_next');
sql('GRANT USAGE ON SCHEMA t TO regress_actor_left, regress_actor_next');
sql(q{SET ROLE regress_actor_left;
	SELECT actor_set_reminder('t', 'left', 'beat', '1h', method => 'fire')});
my $idle = $node->background_psql('postgres');
$idle->query_safe(q{BEGIN;
	SELECT FROM actor.role WHERE role_name = 'regress_actor_left' FOR UPDATE});
sql('DROP OWNED BY regress_actor_left; DROP ROLE regress_actor_left');
register('regress_actor_next');
hits_grow('regress_actor_next', 'locked entries of a role that is gone hold up nobody');
$idle->query_safe('ROLLBACK');
$idle->quit;
sql(q{SELECT actor_delete_reminder('t', 'regress_actor_next', 'beat')});

# A role loses its name while its executor looks for what is due: what the next role of
# that name has registered is not for that executor.
sql(q{
	CREATE ROLE regress_actor_taken LOGIN;
	GRANT CONNECT ON DATABASE postgres TO regress_actor_taken;
	GRANT USAGE ON SCHEMA t TO regress_actor_taken});
register('regress_actor_taken');
hits_grow('regress_actor_taken', 'a role has an executor');
my $taken = q{
	BEGIN;
	LOCK TABLE actor.reminder IN ACCESS EXCLUSIVE MODE;
	CREATE TEMP TABLE since (at timestamptz) ON COMMIT DROP;
	GRANT SELECT ON since TO PUBLIC;
	DO $$
	DECLARE
		doing text;
		since timestamptz;
	BEGIN
		LOOP
			PERFORM pg_stat_clear_snapshot();
			SELECT query, query_start INTO doing, since FROM pg_stat_activity JOIN pg_locks USING (pid)
				WHERE usename = 'regress_actor_taken' AND backend_type = 'actor executor'
					AND relation = 'actor.reminder'::regclass AND NOT granted;
			EXIT WHEN FOUND;
			PERFORM pg_sleep(0.01);
		END LOOP;
		ASSERT doing = 'looking for due reminders', doing;
		INSERT INTO since VALUES (since);
	END $$;
	ALTER ROLE regress_actor_taken RENAME TO regress_actor_before;
	CREATE ROLE regress_actor_taken LOGIN;
	GRANT CONNECT ON DATABASE postgres TO regress_actor_taken;
	GRANT USAGE ON SCHEMA t TO regress_actor_taken;
	SET LOCAL SESSION AUTHORIZATION regress_actor_taken;
	-- due before that look has begun
	SELECT actor_set_reminder('t', 'taken', 'fire', at - interval '1 ms') FROM since;
	COMMIT};
my $tries = 0;
my $is_looking;
# it may be about to look when the next one is due, too
do
{
	my ($status, $out, $err) = $node->psql('postgres', $taken, on_error_stop => 1);

	$is_looking = $status == 0;
	BAIL_OUT($err) if !$is_looking && $err !~ /ERROR:  (looking for the next reminder|firing|reminder)/;
} while (!$is_looking && ++$tries < 1000);
ok($is_looking, 'a role gets the name of another one, whose executor looks for what is due');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM hit WHERE id = 'taken'}), 'its reminder fires');
is(sql(q{SELECT role FROM hit WHERE id = 'taken'}), 'regress_actor_taken', 'as the role that has registered it');

# Promises of a role that is gone have expired while another role is about to take its
# name: the scheduler does not wait for each of them, but settles those of others.
sql(q{
	CREATE ROLE regress_actor_vower LOGIN;
	GRANT CONNECT ON DATABASE postgres TO regress_actor_vower;
	CREATE SCHEMA vow;
	GRANT USAGE ON SCHEMA vow, t TO PUBLIC;
	CREATE FUNCTION vow.ask() RETURNS void LANGUAGE sql AS $$ SELECT actor_promise('hear', '1 h') $$;
	CREATE FUNCTION vow.hear(payload jsonb) RETURNS void LANGUAGE sql AS $$ INSERT INTO hit VALUES (actor_id(), current_user) $$;
	SELECT actor_register('vow');
	SET SESSION AUTHORIZATION regress_actor_vower;
	SELECT actor_invoke('vow', 'gone', 'ask') FROM generate_series(1, 500);
	SET SESSION AUTHORIZATION regress_actor_good;
	SELECT actor_invoke('vow', 'here', 'ask');
	RESET SESSION AUTHORIZATION;
	REVOKE CONNECT ON DATABASE postgres FROM regress_actor_vower;
	DROP ROLE regress_actor_vower;
	CREATE ROLE regress_actor_vower LOGIN;
	GRANT CONNECT ON DATABASE postgres TO regress_actor_vower;
	ALTER SYSTEM SET actor.enabled = off;
	SELECT pg_reload_conf()});
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity
		WHERE backend_type IN ('actor scheduler', 'actor executor')}), 'nothing fires');
sql(q{UPDATE actor.promise SET expires_at = now() - CASE actor_id WHEN 'gone' THEN interval '2 s' ELSE interval '1 s' END});
my $taking = $node->background_psql('postgres', on_error_stop => 1);
$taking->query_safe(q{BEGIN; SET LOCAL ROLE regress_actor_vower; SELECT actor_send('vow', 'new', 'hear', due_time => '1h')});
sql('ALTER SYSTEM RESET actor.enabled');
$node->reload;
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM hit WHERE id = 'here'}),
	'a promise is settled while the name of another role is taken');
is(sql('SELECT count(*) FROM actor.promise'), '500', 'those of that role are not');
$taking->query_safe('COMMIT');
$taking->quit;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.promise}), 'they are when it is free');
is(sql(q{SELECT count(*) FROM actor.message WHERE actor_id = 'gone' AND role_name <> 'regress_actor_vower'}), '500',
	'and belong to nobody');

# Who has created the extension need not stay a superuser.
sql('CREATE ROLE regress_actor_admin LOGIN SUPERUSER; CREATE DATABASE inherited');
$node->safe_psql('inherited', q{
	SET SESSION AUTHORIZATION regress_actor_admin;
	CREATE EXTENSION actor;
	RESET SESSION AUTHORIZATION;
	ALTER ROLE regress_actor_admin NOSUPERUSER;
	CREATE SCHEMA own AUTHORIZATION regress_actor_good;
	SET SESSION AUTHORIZATION regress_actor_good;
	CREATE FUNCTION own.note() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN PERFORM actor_set('ran', actor_method()); END $$;
	SELECT actor_register('own');
	SELECT actor_set_reminder('own', 'reminder', 'note');
	SELECT actor_send('own', 'message', 'note');
	SELECT actor_set_timer('own', 'timer', 'note')});
ok( $node->poll_query_until('inherited', 'SELECT count(*) = 3 FROM actor.state'),
	'callbacks fire though the owner of the extension is no superuser any more');
is($node->safe_psql('inherited', 'SELECT count(*) FROM actor.failure'), '0', 'none has failed');

$node->stop;
done_testing();
