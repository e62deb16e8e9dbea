# What looking costs: nothing that operators and monitoring ask for is compiled, takes
# long on an empty database, or costs more because there is more.
#
# The views of the page for operators are measured with ACTOR_ROWS actors and reminders
# (20000), a tenth of that of most other things; with ACTOR_ROWS=1000000 that takes some
# minutes.  What is shown and tested is the processor time of actor-http and of its
# sessions, and the blocks that they touch; how long an answer takes is only shown, as
# the machine may have others to do.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

plan skip_all => 'the system does not tell processor times' if !-r "/proc/$$/schedstat";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE shop LOGIN;
	CREATE ROLE clerk;
	CREATE ROLE operator LOGIN IN ROLE shop, pg_monitor;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	CREATE ROLE stranger LOGIN;
	GRANT CREATE ON DATABASE postgres TO shop;
	CREATE EXTENSION actor});

# an empty database -----------------------------------------------------------------

my @names = split /\n/, $node->safe_psql('postgres', q{
	SELECT format('%I.%I', nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
	 WHERE nspname = 'actor' AND relkind = 'v' ORDER BY relname});
cmp_ok(scalar @names, '>', 10, 'there are views');
my @functions = ('actor_doctor()', 'actor_metrics()', 'actor_due()', 'actor_due_counts()', 'actor.get_gauges()',
	'actor.get_type_status()', 'actor.get_turns()', 'actor.get_method_stats()', 'actor.get_worker_stats()');
my $jit = $node->safe_psql('postgres', 'SELECT pg_jit_available()') eq 't';

# What is compiled is what the planner thinks expensive, for whoever looks.
for my $role ('shop', 'watcher', 'stranger')
{
	for my $name (@names)
	{
		my $plan = decode_json($node->safe_psql('postgres', "SET ROLE $role; EXPLAIN (FORMAT JSON) SELECT * FROM $name"));

		cmp_ok($plan->[0]{Plan}{'Total Cost'}, '<', 50_000, "for $role the plan of $name is cheap: it is not compiled");
	}
}

# Whatever the session has set, the statements within a function are not.  (That which
# calls it is planned before the setting is made.)
SKIP:
{
	skip 'the server cannot compile', scalar @functions + 1 if !$jit;
	my $loaded = q{SELECT pg_read_file('/proc/self/maps', 0, 10000000) LIKE '%/llvmjit.so%'};

	for my $function (@functions)
	{
		is($node->safe_psql('postgres', qq{
			SET plan_cache_mode = force_generic_plan;
			SET jit = on;
			SET jit_above_cost = 1e9;
			PREPARE look AS SELECT count(*) FROM $function;
			PREPARE loaded AS $loaded;
			EXPLAIN EXECUTE look;
			EXPLAIN EXECUTE loaded;
			SET jit_above_cost = 0;
			EXECUTE look;
			EXECUTE loaded}) =~ s/.*\n//sr, 'f', "$function compiles nothing");
	}
	is($node->safe_psql('postgres', "SET jit_above_cost = 0; SELECT count(*) > 0 FROM pg_class; RESET jit_above_cost; $loaded") =~ s/.*\n//sr,
		't', 'which would be seen');
}

# The time of the processor that looking takes: the first time, and the shortest of some.
sub looking_ms
{
	my ($name) = @_;
	my $clock = q{split_part(pg_read_file('/proc/self/schedstat', 0, 100), ' ', 1)::int8 / 1000000.0};
	my @times = split /\n/, $node->safe_psql('postgres', join ';', map {
		"SELECT $clock AS began \\gset\nSELECT count(v::text) AS n FROM $name v \\gset\nSELECT $clock - :began" } 1 .. 3);

	return ($times[0], (sort { $a <=> $b } @times)[0]);
}

# a server that checks its assertions is not what is measured
my $slower = $node->safe_psql('postgres', 'SHOW debug_assertions') eq 'on' ? 10 : 1;
for my $name (@names, @functions)
{
	my ($first, $least) = looking_ms($name);

	cmp_ok($least, '<', 50 * $slower, sprintf '%s takes no 50 ms on an empty database: %.1f, and %.1f at first', $name, $least, $first);
}

# the page --------------------------------------------------------------------------

if (my $missing = ActorHttp::missing())
{
	note "not installed: $missing";
	$node->stop;
	done_testing();
	exit;
}

my $rows = $ENV{ACTOR_ROWS} // 20000;
my $large = 'state|reminder|timer|message|activation|history|placement|event|stream|subscription';
# (those that have failed are few, of which it may be right to read all)
$large .= '|failure' if $rows >= 100000;

# Very many of everything, of eleven types, in no order; the first of the messages of one
# actor fails, and a tenth of them waits behind it.
$node->safe_psql('postgres', q{
	ALTER SYSTEM SET actor.enabled = off;
	SELECT pg_reload_conf();
	CREATE SCHEMA box AUTHORIZATION shop;
	CREATE FUNCTION box.add() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1); RETURN 1; END $$;
	ALTER FUNCTION box.add() OWNER TO shop;
	GRANT EXECUTE ON FUNCTION box.add() TO PUBLIC;
	GRANT USAGE ON SCHEMA box TO PUBLIC});
$node->safe_psql('postgres', q{
	SELECT actor_register('box', history => 'changes');
	SELECT format('CREATE SCHEMA box%s', i) FROM generate_series(1, 19, 2) i \gexec
	SELECT actor_register('box' || i, history => 'changes') FROM generate_series(1, 19, 2) i;
	SELECT actor_invoke('box', 'model', 'add');
	SELECT actor_set_reminder('box', 'model', 'r', '2h', '1h', method => 'add');
	SELECT actor_set_timer('box', 'model', 't', '2h', method => 'add');
	SELECT actor_send('box', 'model', 'add');
	SELECT actor_keep_events('box', 'news', '1 day');
	SELECT actor_subscribe('news', 'box', 'model', 'add', 'box');
	SELECT actor_publish('news', '1', 'box')}, extra_params => [ '-U', 'shop' ]);
my $began = time;
$node->safe_psql('postgres', qq{
	SET synchronous_commit = off;
	CREATE TEMP TABLE i AS
	SELECT i, CASE WHEN i % 2 = 0 THEN 'box' ELSE 'box' || i % 20 END AS actor_type, 'many ' || i AS actor_id,
	       now() - interval '15 min' + (hashint4(i)::int8 & 65535) * interval '1.3 s' AS at
	  FROM generate_series(1, $rows) i;
	INSERT INTO actor.state SELECT actor_type, actor_id, 'n', '1', now() FROM i;
	INSERT INTO actor.reminder SELECT n.* FROM actor.reminder r, i,
		jsonb_populate_record(r, jsonb_build_object('actor_type', i.actor_type, 'actor_id', i.actor_id, 'next_try_at', at,
			'role_name', CASE WHEN i % 50 = 7 THEN 'clerk' ELSE 'shop' END, 'attempt', CASE WHEN i % 1000 = 0 THEN 3 ELSE 1 END)) n
	 WHERE r.actor_id = 'model';
	DELETE FROM i WHERE i % 10 > 1;
	INSERT INTO actor.timer SELECT n.* FROM actor.timer t, i,
		jsonb_populate_record(t, jsonb_build_object('actor_type', i.actor_type, 'actor_id', i.actor_id, 'next_try_at', at)) n;
	INSERT INTO actor.activation SELECT n.* FROM actor.activation a, i,
		jsonb_populate_record(a, jsonb_build_object('actor_type', i.actor_type, 'actor_id', i.actor_id)) n WHERE a.actor_id = 'model';
	INSERT INTO actor.message (actor_type, actor_id, method, due_at, next_try_at, queued, attempt, deferrals, role_name, sent_at, hosted)
		SELECT actor_type, actor_id, 'add', at, at, false, 1, 0, 'shop', now(), false FROM i WHERE at > now()
		UNION ALL SELECT 'box', 'queue', 'add', now(), now() + '1 h', true, 5, 0, 'shop', now(), false
		UNION ALL SELECT 'box', 'queue', 'add', at, 'infinity', true, 1, 0, 'shop', now(), false FROM i;
	INSERT INTO actor.failure (actor_type, actor_id, kind, name, method, role_name, scheduled_at, failed_at, attempts, sqlstate, message)
		SELECT actor_type, actor_id, 'reminder', 'r', 'add', 'shop', now(), now(), 1, 'P0001', 'm' FROM i WHERE i % 100 < 2;
	INSERT INTO actor.history (actor_type, actor_id, kind, method, ran_as, started_at, duration_ms, expires_at)
		SELECT CASE WHEN i % 2 = 0 THEN 'box' ELSE actor_type END, CASE WHEN i % 2 = 0 THEN 'queue' ELSE actor_id END,
			'call', 'add', 'shop', now(), 1, now() + '1 h' FROM i;
	INSERT INTO actor.pause SELECT actor_type, actor_id, now(), 'shop' FROM i WHERE i % 100 < 2;
	INSERT INTO actor.host SELECT gen_random_uuid(), 'app', 'http://127.0.0.1', 'http://127.0.0.1:' || i, 'shop', ARRAY['box'], true, now(), NULL FROM generate_series(1, 3) i;
	INSERT INTO actor.placement SELECT actor_type, actor_id, (SELECT host_id FROM actor.host LIMIT 1), gen_random_uuid(), true, now() FROM i;
	INSERT INTO actor.stream SELECT actor_type, actor_id, 'news', 1 FROM i;
	INSERT INTO actor.event SELECT actor_type, actor_id, 'news', 1, '1', now(), now() + '1 day' FROM i;
	INSERT INTO actor.fan_out (actor_type, actor_id, topic, fan_out_id, published_at, done_to)
		SELECT 'box', '', 'news', 1000000000 + i, now(), 0 FROM i WHERE i % 100 < 2;
	INSERT INTO actor.subscription (actor_type, actor_id, topic_type, topic_id, topic, method, role_name, subscribed_at)
		SELECT actor_type, actor_id, 'box', CASE WHEN i % 2 = 0 THEN '' ELSE actor_id END, 'news', 'add', 'shop', now() FROM i});
$node->safe_psql('postgres', 'VACUUM (FREEZE, ANALYZE)');
note sprintf '%d rows are there after %.0f s', $rows, time - $began;

my @views = (
	[ session => 'session' ], [ types => 'types' ], [ methods => 'methods' ], [ turns => 'turns' ], [ events => 'events' ], [ hosts => 'hosts' ], [ doctor => 'doctor' ],
	[ 'due, an hour' => 'due?step=1%20minute&steps=60' ], [ 'due, six hours' => 'due?step=10%20minutes&steps=36' ],
	[ 'due, a day' => 'due?step=30%20minutes&steps=48' ], [ 'due, a week' => 'due?step=6%20hours&steps=28' ],
	[ failures => 'failures' ], [ 'failures of a type' => 'failures?type=box' ], [ 'failures of another' => 'failures?type=box1' ],
	[ actors => 'actors?type=box' ], [ 'actors, a prefix' => 'actors?type=box&prefix=many%201' ],
	[ 'actors, a later page' => 'actors?type=box&after=many%205' ], [ 'an actor' => 'actor?type=box&id=many%2010' ],
	[ 'an actor with a long queue' => 'actor?type=box&id=queue' ], [ 'no actor' => 'actor?type=box&id=none' ]);

# actor-http with the page, for that role.
sub page
{
	my ($role) = @_;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $http = ActorHttp->start(
		program => ActorHttp::build('all') . '/actor-http',
		database => $node->connstr('postgres') . ' user=shop',
		flags => [ '--dashboard', "--dashboard-port=$port",
			'--dashboard-database=' . $node->connstr('postgres') . " user=$role" ],
		env => { ACTOR_HTTP_DASHBOARD_TOKEN => 'open sesame' });

	$http->{page} = "http://127.0.0.1:$port";
	return $http;
}

my $client = HTTP::Tiny->new(timeout => 180);

sub ask
{
	my ($http, $path) = @_;
	my $response = $client->get("$http->{page}/api/$path", { headers => { Authorization => 'Bearer open sesame' } });

	is($response->{status}, 200, "$path is there") or diag($response->{content}) if $response->{status} != 200;
	return $response->{content};
}

# The time of the processor that processes have taken, in milliseconds.
sub processor_ms
{
	my $sum = 0;

	$sum += (split / /, slurp_file($_))[0] for map { glob("/proc/$_/task/*/schedstat") } @_;
	return $sum / 1e6;
}

sub sessions
{
	my ($role) = @_;

	return split /\n/, $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE usename = '$role' AND backend_type = 'client backend'");
}

my $repeated = 8;
my $http = page('operator');
# (all of its sessions have seen all of it then)
for (1 .. 8)
{
	ask($http, $_->[1]) for @views;
}
my @backends = sessions('operator');
cmp_ok(scalar @backends, '>', 0, 'it has sessions');
my $report = sprintf "%-28s %10s %10s %10s\n", 'with ' . $rows, 'answer ms', 'server ms', 'program ms';
for my $view (@views)
{
	my @before = (processor_ms(@backends), processor_ms($http->{pid}));
	my @answers;

	for (1 .. $repeated)
	{
		my $asked = time;
		ask($http, $view->[1]);
		push @answers, 1000 * (time - $asked);
	}
	@answers = sort { $a <=> $b } @answers;
	my $server = (processor_ms(@backends) - $before[0]) / $repeated;
	my $program = (processor_ms($http->{pid}) - $before[1]) / $repeated;
	$report .= sprintf "%-28s %10.1f %10.1f %10.1f\n", $view->[0], $answers[ $repeated / 2 ], $server, $program;
	cmp_ok($server + $program, '<', 300 * $slower, "$view->[0] costs no 300 ms");
}
$report .= sprintf "%-28s %10s %10.1f\n", $_, '', (looking_ms($_))[1] for 'actor_doctor()', 'actor_metrics()';
$ENV{ACTOR_ROWS} ? diag($report) : note($report);
{
	my $due = decode_json(ask($http, 'due?step=1h&steps=5'));

	is_deeply([ map { scalar @{ $due->{$_} } } qw(late held next) ], [ 50, 50, 20 ], 'however much is late, what comes next is shown');
	cmp_ok(scalar @{ $due->{retried} }, '>', 1, 'and what has failed before');
}
is($http->stop, 0, 'it ends');

# how they are read -------------------------------------------------------------------

SKIP:
{
	my ($library) = split /\n/, `pg_config --pkglibdir`;

	skip 'auto_explain is not installed', 1 if !-e "$library/auto_explain.so";
	$node->safe_psql('postgres', q{
		ALTER ROLE operator SET session_preload_libraries = 'auto_explain';
		ALTER ROLE operator SET auto_explain.log_min_duration = 0;
		ALTER ROLE operator SET auto_explain.log_analyze = on;
		ALTER ROLE operator SET auto_explain.log_timing = off;
		ALTER ROLE operator SET auto_explain.log_buffers = on;
		ALTER ROLE operator SET auto_explain.log_nested_statements = on;
		ALTER ROLE operator SET jit = on;
		ALTER ROLE operator SET jit_above_cost = 0});
	$http = page('operator');
	$report = '';
	for my $view (@views)
	{
		ask($http, $view->[1]);
		my $position = -s $node->logfile;
		ask($http, $view->[1]);
		# the log of a session is written before it answers
		my $log = substr(slurp_file($node->logfile), $position);
		# (the statement has those of all within it)
		my ($most) = sort { $b <=> $a } map { my $sum = 0; $sum += $_ for /(?:hit|read)=(\d+)/g; $sum }
		  $log =~ /^\s+Buffers: (shared.*)$/mg, 0;
		my @large = $log =~ /(Seq Scan on (?:$large)\b)/g;

		like($log, qr/plan:/, "the plans of $view->[0] are seen");
		unlike($log, qr/^\s*JIT:/m, 'nothing of it is compiled, though the role has it so');
		is("@large", '', 'and no large table is read');
		$report .= sprintf "%-28s %10d blocks\n", $view->[0], $most;
	}
	$ENV{ACTOR_ROWS} ? diag($report) : note($report);
	is($http->stop, 0, 'it ends');
}

$node->stop;
done_testing();
