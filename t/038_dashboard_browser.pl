# The page for operators in a browser: t/browser/dashboard.mjs goes through it.
# ACTOR_SCREENSHOTS names a folder, which the test must be able to write, for pictures;
# some of them are in doc/.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd qw(abs_path);
use File::Copy;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}
my ($browser) = grep { -x } map { ("$_/chromium", "$_/google-chrome") } split /:/, $ENV{PATH};
plan skip_all => 'no browser is installed (Debian package chromium)' if !$browser;
if (system('npm --version >/dev/null 2>&1') != 0 || system('node --version >/dev/null 2>&1') != 0)
{
	plan skip_all => 'npm is not installed';
}
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
copy("$FindBin::RealBin/browser/$_", "$folder/$_") or die "could not copy $_: $!" for 'package.json', 'dashboard.mjs';
# what browsers write goes to that folder
$ENV{HOME} = $folder;
{
	my $output = `cd '$folder' && timeout 300 npm install --no-audit --no-fund --ignore-scripts --no-package-lock --fetch-retries=1 2>&1`;

	plan skip_all => 'playwright-core cannot be installed by npm: ' . (split /\n/, $output)[0]
	  if $? != 0 || !-e "$folder/node_modules/playwright-core/package.json";
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE shop LOGIN;
	CREATE ROLE operator LOGIN IN ROLE shop, pg_monitor;
	GRANT CREATE ON DATABASE postgres TO shop;
	CREATE EXTENSION actor});
$node->safe_psql('postgres', q{
	CREATE SCHEMA box;
	CREATE TABLE box.mended (yes boolean);
	CREATE FUNCTION box.add(n int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN PERFORM actor_set('n', actor_get('n', 0::numeric) + n); RETURN 1; END $$;
	CREATE FUNCTION box.hear(event jsonb) RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION box.ask() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_promise('hear'); END $$;
	CREATE FUNCTION box.fail(why text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN IF why <> 'first' OR NOT EXISTS (SELECT FROM actor.failure WHERE actor_type = 'box') THEN
		RAISE 'poisoned <i>%</i>', why; END IF; END $$;
	SELECT actor_register('box', history => 'changes');
	SELECT actor_invoke('box', id, 'add') FROM unnest(ARRAY['alpha', 'beta', 'gamma', '<img src=x onerror=alert(2)>']) id;
	SELECT actor_set_reminder('box', 'alpha', 'daily', '5h', '24h', data => '1', method => 'add');
	SELECT actor_set_timer('box', 'alpha', 'tick', '2h', method => 'add');
	SELECT actor_send('box', 'alpha', 'add', '[3]', due_time => '3h');
	SELECT actor_set_reminder('box', 'beta', 'b' || i, (i * 7) || 'm', method => 'add') FROM generate_series(1, 180) i;
	SELECT actor_send('box', 'beta', 'add', due_time => (i * 11) || 'm') FROM generate_series(1, 60) i;
	CREATE SCHEMA app;
	SELECT actor_register('app', hosted => true);
	SELECT actor_set_reminder('app', 'waits for a host', 'r', '2020-01-01T00:00:00Z');
	SELECT actor_keep_events('box', 'news', '2 days');
	SELECT actor_subscribe('news', 'box', 'beta', 'hear', 'box');
	SELECT actor_subscribe('weather', 'box', 'beta', 'hear', 'box', 'alpha');
	SELECT actor_publish('news', '1', 'box');
	SELECT actor_invoke('box', 'beta', 'ask');
	CREATE SCHEMA round;
	CREATE FUNCTION round.visit() RETURNS void LANGUAGE sql AS '';
	SELECT actor_register('round');
	SELECT actor_invoke('round', 'one', 'visit');
	SELECT actor_each('round', 'visit');
	SELECT actor_set_reminder('box', 'first', 'r', data => '"first"', method => 'fail', failure_policy => '{"drop": {}}')},
	extra_params => [ '-U', 'shop' ]);
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM actor.failure');
$node->safe_psql('postgres', q{
	SELECT actor_set_reminder('box', 'second', 'r', data => '"second"', method => 'fail', failure_policy => '{"drop": {}}')},
	extra_params => [ '-U', 'shop' ]);
$node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM actor.failure');
$node->poll_query_until('postgres', q{SELECT NOT ok FROM actor_doctor() WHERE check_name = 'hosts'});

my $port = PostgreSQL::Test::Cluster::get_free_port();
my $http = ActorHttp->start(
	program => ActorHttp::build('all') . '/actor-http',
	database => $node->connstr('postgres') . ' user=shop',
	flags => [ '--dashboard', "--dashboard-port=$port", '--dashboard-database=' . $node->connstr('postgres') . ' user=operator' ],
	env => { ACTOR_HTTP_DASHBOARD_TOKEN => 'open sesame' });
my $holder = $node->background_psql('postgres', extra_params => [ '-U', 'shop' ]);
$holder->query_safe("BEGIN; SELECT actor_invoke('box', 'held', 'add')");

my ($out, $err);
{
	local $ENV{URL} = "http://127.0.0.1:$port";
	local $ENV{TOKEN} = 'open sesame';
	local $ENV{BROWSER} = $browser;
	local $ENV{SCREENSHOTS} = $ENV{ACTOR_SCREENSHOTS} // '';
	($out, $err) = run_command([ 'timeout', '600', 'node', "$folder/dashboard.mjs" ]);
}
cmp_ok(scalar(() = $out =~ /^(?:not )?ok /mg), '>', 30, 'the browser has gone through the page');
for my $line (split /\n/, $out)
{
	ok($1 eq 'ok', $2) if $line =~ /^(ok|not ok) (.*)/;
}
like($out, qr/^done$/m, 'to its end') or diag($err);
$holder->query_safe('ROLLBACK');
$holder->quit;
is($http->stop, 0, 'it ends');
$node->stop;
done_testing();
