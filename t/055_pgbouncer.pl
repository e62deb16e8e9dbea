# Behind pgbouncer in transaction mode: each transaction of a client may come
# to another session of the server.  Also of actor-http with an application, which
# must have a session of its own.  Skipped where pgbouncer is not installed.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use Patience;
use PgBouncer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'pgbouncer is not installed' unless PgBouncer::program();

my $node = PostgreSQL::Test::Cluster->new('pooled');
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
	CREATE SCHEMA box;
	CREATE TABLE box.fired (id text);
	CREATE TABLE box.call (client int, session int DEFAULT pg_backend_pid());
	CREATE FUNCTION box.add(n int, client int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0) + n);
		INSERT INTO box.call VALUES (client);
		RETURN actor_get('n', 0);
	END $$;
	CREATE FUNCTION box.peek() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
	CREATE FUNCTION box.fail() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM actor_set('n', 0); RAISE 'on purpose'; END $$;
	CREATE FUNCTION box.fire() RETURNS void LANGUAGE sql AS $$ INSERT INTO box.fired VALUES (actor_id()) $$;
	SELECT actor_register('box', reentrancy => true)});

my $dir = $node->basedir;
my $pooled = PgBouncer::start($node);
ok(defined $pooled, 'pgbouncer starts');

# Eight clients share three sessions.
my $clients = 8;
my @running;
foreach my $client (1 .. $clients)
{
	open(my $script, '>', "$dir/client_$client.sql") or die $!;
	foreach my $n (1 .. 25)
	{
		my $id = ($n + $client) % 3;

		print $script qq{
			SELECT actor_invoke('box', '$id', 'add', '[1, $client]');
			SELECT actor_invoke('box', '$id', 'fail');
			BEGIN;
			SELECT actor_invoke('box', '$id', 'add', '[1, $client]');
			SAVEPOINT s;
			SELECT actor_invoke('box', '$id', 'fail');
			ROLLBACK TO s;
			SELECT actor_invoke('box', '$id', 'peek');
			COMMIT;
			SELECT actor_set_reminder('box', 'r$client.$n', 'fire');
		};
	}
	close $script;
	push @running,
	  IPC::Run::start([ 'psql', '-X', '-q', '-d', $pooled, '-f', "$dir/client_$client.sql" ],
		'>', '/dev/null', '2>', "$dir/client_$client.err");
}
foreach my $client (1 .. $clients)
{
	ok($running[ $client - 1 ]->finish, "client $client ends");
	my @errors = slurp_file("$dir/client_$client.err") =~ /ERROR:  (.*)/g;
	is(scalar(grep { $_ ne 'on purpose' } @errors), 0, 'without an error that it did not ask for');
}
is( $node->safe_psql('postgres', q{
		SELECT sum(actor_invoke('box', id::text, 'peek')::int) FROM generate_series(0, 2) id}),
	2 * 25 * $clients, 'every call has counted, once');
cmp_ok($node->safe_psql('postgres', 'SELECT count(DISTINCT session) FROM box.call'), '<=', 3, 'in three sessions');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 200 AND count(DISTINCT id) = 200 FROM box.fired'),
	'reminders fire');

# An open turn goes on in whatever session the next transaction comes to.
my $id = $node->safe_psql('postgres', q{SELECT actor_open_turn('box', 'open')}, connstr => $pooled);
my @busy = map { $node->background_psql('postgres', extra_params => [ '-d', $pooled ]) } 1 .. 2;
foreach my $busy (@busy)
{
	$busy->query_safe('BEGIN; SELECT 1;');
	is( $node->safe_psql('postgres', "SELECT actor_invoke('box', 'open', 'add', '[1, 0]', '$id')", connstr => $pooled),
		$busy == $busy[0] ? '1' : '2', 'a call with the id of the open turn');
}
my ($ret, $stdout, $stderr) = $node->psql('postgres',
	"SET actor.call_timeout = '10ms'; SELECT actor_invoke('box', 'open', 'add', '[1, 0]')");
like($stderr, qr/open/, 'others wait in vain');
$_->query_safe('COMMIT'), $_->quit foreach @busy;
is($node->safe_psql('postgres', "SELECT actor_close_turn('box', 'open', '$id')", connstr => $pooled), 't', 'it is closed');
is($node->safe_psql('postgres', "SELECT actor_invoke('box', 'open', 'add', '[1, 0]')", connstr => $pooled), '3', 'and free');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), '0', 'no turn is left in a session');

kill 'INT', slurp_file("$dir/pgbouncer.pid");

# A host lives by its session.
SKIP:
{
	my $missing = HostedApp::missing();

	skip "not installed: $missing", 15 if $missing;
	$node->safe_psql('postgres', 'CREATE ROLE shop LOGIN; GRANT CREATE ON DATABASE postgres TO shop');
	foreach my $mode ('transaction', 'statement', 'session')
	{
		my $dir = PostgreSQL::Test::Utils::tempdir;
		my $database = PgBouncer::start($node, mode => $mode, size => 20, user => 'shop', dir => $dir);
		my $app = HostedApp->start(database => "$database user=shop", types => ['thing'], wait => 0);

		if ($mode eq 'session')
		{
			$app->wait_until_ready;
			is($app->do('thing', 'a', 'add'), 1, 'a host behind a pool whose clients keep their sessions');

			# that gives them to others from now on, the one that was used last first: so after
			# each look of the host at itself somebody takes one
			my @others;
			my $looked = q{SELECT max(query_start) FROM pg_stat_activity WHERE query ~ 'host_is_alive|host_status|string_agg\(host_id' AND usename = 'shop'};
			PgBouncer::set_mode($dir, 'transaction');
			my $since = $node->safe_psql('postgres', $looked);
			ok( $app->wait_for(
					sub {
						if (@others < 12 && $node->safe_psql('postgres', $looked) ne $since)
						{
							push @others, $node->background_psql('postgres', extra_params => [ '-d', "$database user=shop" ]);
							$others[-1]->query_safe('BEGIN; SELECT');
							$since = $node->safe_psql('postgres', $looked);
						}
						return $app->{http}->log =~ /could not work as a host: .* pooler.*session/;
					}),
				'a host whose session somebody else gets notices that');
			cmp_ok($app->get('/v1.0/healthz')->{status}, '>=', 500, 'and is not healthy any more');
			like($app->{http}->log, qr/host \S+ is taken for one that lives until process \d+ of the server ends/, 'nor can it leave');
			$_->quit for @others;
		}
		else
		{
			ok($app->wait_for(sub { $app->{http}->log =~ /could not work as a host: .* pooler.*session/ }), "$mode: a host says that it cannot live");
			cmp_ok($app->get('/v1.0/healthz')->{status}, '>=', 500, 'and is not healthy');
			is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.host'), 0, 'it has not joined');
		}
		is($app->stop, 0, 'it ends');
	}
}
$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
