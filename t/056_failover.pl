# A primary with everything on it is killed under load, and pg_auto_failover,
# an automatic failover manager, promotes the synchronous standby: no turn is
# lost that a client was told of, none is done twice, reminders and messages go
# on at the new primary, and the old one comes back as a standby.
#
# Skipped where Debian's packages pg-auto-failover-cli and
# postgresql-15-auto-failover are not installed.

use strict;
use warnings FATAL => 'all';

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
chomp(my $bin = `$pg_config --bindir`);
chomp(my $share = `$pg_config --sharedir`);
plan skip_all => 'pg_auto_failover is not installed'
  unless -e "$share/extension/pgautofailover.control"
  && grep { -x "$_/pg_autoctl" } split /:/, $ENV{PATH};

my $dir = PostgreSQL::Test::Utils::tempdir();
my $logs = $PostgreSQL::Test::Utils::log_path;
my $clients = 4;
my @actors = map { "a$_" } 1 .. 3;

# The manager keeps its files below the home, and looks for servers where these
# say.
mkdir "$dir/home" or die $!;
$ENV{HOME} = "$dir/home";
$ENV{"XDG_${_}_HOME"} = "$dir/home/" . lc $_ foreach qw(DATA CONFIG CACHE);
$ENV{XDG_RUNTIME_DIR} = $dir;
$ENV{PG_REGRESS_SOCK_DIR} = $ENV{PGHOST} = PostgreSQL::Test::Utils::tempdir_short();
delete @ENV{qw(PGDATABASE PGPORT PGUSER PGDATA)};

my %port = map { $_ => PostgreSQL::Test::Cluster::get_free_port() } qw(monitor a b);
my $monitor = "postgres://autoctl_node\@localhost:$port{monitor}/pg_auto_failover";
my %keeper;

# Nobody is left behind when this test is killed, where that can be asked for.
my @guard = grep { -x } '/usr/bin/setpriv';
@guard = (@guard, '--pdeathsig', 'TERM') if @guard;

# Lets the manager run a server, see run of pg_autoctl.
sub keep
{
	my ($name) = @_;
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		open(STDOUT, '>>', "$logs/056_failover_keeper_$name.log");
		open(STDERR, '>&', \*STDOUT);
		exec(@guard, 'pg_autoctl', 'run', '--pgdata', "$dir/$name") or POSIX::_exit(1);
	}
	$keeper{$name} = $pid;
}

sub create
{
	my ($kind, $name, @options) = @_;

	system_or_bail('pg_autoctl', 'create', $kind, '--pgdata', "$dir/$name",
		'--pgport', $port{$name}, '--pgctl', "$bin/pg_ctl", '--hostname', 'localhost',
		'--auth', 'trust', '--no-ssl', @options);
	append_to_file("$dir/$name/postgresql.conf",
		"\nlogging_collector = off\nfsync = off\n");
}

# The result of a query, undefined when there is none.
sub ask
{
	my ($name, $sql, $database) = @_;
	my ($stdout, $stderr) = ('', '');
	my $ok = IPC::Run::run(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d',
			"host=localhost port=$port{$name} dbname=" . ($database // 'postgres'), '-c', $sql ],
		'>', \$stdout, '2>', \$stderr);

	chomp $stdout;
	return $ok ? $stdout : undef;
}

sub comes
{
	my ($test, $name) = @_;

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		return pass($name) if $test->();
		select(undef, undef, undef, 0.1);
	}
	return fail($name);
}

# Waits until the manager has brought a server to a state.
sub comes_to
{
	my ($name, $state) = @_;

	return comes(
		sub {
			(ask('monitor', "SELECT reportedstate = '$state' AND goalstate = '$state'
				FROM pgautofailover.node WHERE nodename = '$name'", 'pg_auto_failover') // '') eq 't';
		},
		"\"$name\" becomes $state");
}

# A process and all below it.
sub family
{
	my ($first) = @_;
	my (%children, @found);
	my @next = ($first);

	foreach my $file (glob '/proc/[0-9]*/stat')
	{
		open(my $stat, '<', $file) or next;
		my $line = <$stat> // next;
		push @{ $children{$2} }, $1 if $line =~ /^(\d+) \(.*\) \S (\d+)/;
	}
	while (defined(my $pid = shift @next))
	{
		push @found, $pid;
		push @next, @{ $children{$pid} // [] };
	}
	return @found;
}

# As when the machine loses its power.
sub kill_all
{
	my ($name) = @_;
	my ($count, @pids) = (-1);

	# what is stopped starts no more processes
	while (@pids > $count)
	{
		$count = @pids;
		@pids = family($keeper{$name});
		kill 'STOP', @pids;
	}
	kill 'KILL', @pids;
	waitpid(delete $keeper{$name}, 0);
	return scalar @pids;
}

END
{
	my $status = $?;

	kill 'TERM', values %keeper;
	waitpid($_, 0) foreach values %keeper;
	$? = $status;
}

# the servers -----------------------------------------------------------------------

create('monitor', 'monitor');
append_to_file("$dir/monitor/postgresql.conf", q{
pgautofailover.health_check_period = 1000
pgautofailover.health_check_timeout = 1000
pgautofailover.health_check_retry_delay = 500
pgautofailover.node_considered_unhealthy_timeout = 5000
pgautofailover.primary_demote_timeout = 5000
});
keep('monitor');
comes(sub { (ask('monitor', 'SELECT 1', 'pg_auto_failover') // '') eq '1' }, 'the monitor is there');
foreach my $name (qw(a b))
{
	create('postgres', $name, '--name', $name, '--listen', 'localhost', '--monitor', $monitor);
	append_to_file("$dir/$name/postgresql.conf", q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
log_min_messages = info
});
	keep($name);
	comes_to($name, $name eq 'a' ? 'single' : 'secondary');
}
comes_to('a', 'primary');
isnt(ask('a', 'SHOW synchronous_standby_names'), '', 'commits wait for the standby');

ok( defined ask('a', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA account;
	-- no unique constraint: what is there twice must show
	CREATE TABLE account.journal (actor text, seq int, operation text, kind text);
	CREATE FUNCTION account.add(operation text) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
		seq int := actor_get('seq', 0) + 1;
	BEGIN
		PERFORM actor_set('seq', seq);
		INSERT INTO account.journal VALUES (actor_id(), seq, operation, coalesce(actor_cause() ->> 'kind', 'call'));
		RETURN seq;
	END $$;
	SELECT actor_register('account');
	SELECT actor_set_reminder('account', 'beat', 'add', NULL, '1s', data => '{"operation": "beat"}')}),
	'actors are there');

# the load -------------------------------------------------------------------------

my $stop_file = "$dir/stop";
my $anywhere = "host=localhost,localhost port=$port{a},$port{b} dbname=postgres "
  . 'target_session_attrs=read-write connect_timeout=5';

# Says which operations the server has acknowledged.  Runs in a process of its
# own; psql ends with its connection.
sub client
{
	my ($number) = @_;

	for (my $round = 0; !-e $stop_file; $round++)
	{
		open(my $script, '>', "$dir/client_$number.sql") or die $!;
		print $script '\set ON_ERROR_STOP on', "\n";
		foreach my $n (1 .. 20)
		{
			my $name = "$number.$round.$n";
			my $actor = $actors[ int(rand(@actors)) ];

			print $script
			  qq{SELECT actor_invoke('account', '$actor', 'add', '["call $name"]');\n\\echo done call $name\n};
			next if $n % 5;
			print $script
			  qq{BEGIN;\nSELECT actor_set_reminder('account', '$actor', '$name', '200ms', data => '["reminder $name"]', method => 'add');\n},
			  qq{SELECT actor_send('account', '$actor', 'add', '["message $name"]');\nCOMMIT;\n},
			  qq{\\echo done reminder $name\n\\echo done message $name\n};
		}
		close $script;
		system("psql -XAtq -d '$anywhere' -f $dir/client_$number.sql"
			  . " >> $dir/client_$number.out 2>> $logs/056_failover_client_$number.log") == 0
		  or select(undef, undef, undef, 0.1);
	}
}

my @children;
foreach my $number (1 .. $clients)
{
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		srand($number);
		eval { client($number); };
		# not exit: the servers are the parent's
		POSIX::_exit($@ ? 1 : 0);
	}
	push @children, $pid;
}

# Waits until that many more operations of each kind are done.
sub work_goes_on
{
	my ($name, $count, $test) = @_;
	my $kinds = "SELECT least(count(*) FILTER (WHERE kind = 'call'), count(*) FILTER (WHERE kind = 'reminder'
			AND operation <> 'beat'), count(*) FILTER (WHERE kind = 'message')) FROM account.journal";
	my $first = ask($name, $kinds) // 0;

	return comes(sub { (ask($name, $kinds) // -1) >= $first + $count }, $test);
}

work_goes_on('a', 20, 'clients, reminders and messages work');
is(ask('b', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'actor%'"),
	'0', 'no worker runs on the standby');
cmp_ok(kill_all('a'), '>', 8, 'the primary is killed with all its processes');
comes_to('b', 'wait_primary');
comes(sub { (ask('b', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'actor scheduler'") // '') eq '1' },
	'workers start there');
work_goes_on('b', 20, 'work goes on');

# It comes back, and everybody waits for it again.
keep('a');
comes_to('a', 'secondary');
comes_to('b', 'primary');
work_goes_on('b', 20, 'work goes on with a new standby');
is(ask('a', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'actor%'"),
	'0', 'no worker runs on the old primary');

append_to_file($stop_file, "stop\n");
foreach my $pid (@children)
{
	waitpid($pid, 0);
	is($?, 0, 'a client ends');
}
ok(defined ask('b', "SELECT actor_delete_reminder('account', 'beat', 'add')"), 'no more reminders');
comes(sub { (ask('b', 'SELECT NOT EXISTS (SELECT FROM actor.reminder) AND NOT EXISTS (SELECT FROM actor.message)') // '') eq 't' },
	'what was left to do is done');

# what must be true ------------------------------------------------------------------

my %done = map { $_ => 1 } map { slurp_file("$dir/client_$_.out") =~ /^done (.+)$/mg } 1 .. $clients;
my %found = map { $_ => 1 } split /\n/, ask('b', 'SELECT operation FROM account.journal');
note(scalar(keys %done) . ' operations acknowledged');
cmp_ok(scalar keys %done, '>', 100, 'many operations were acknowledged');
is(join(', ', grep { !$found{$_} } sort keys %done), '', 'none of them is lost');
is(ask('b', q{SELECT operation, count(*) FROM account.journal WHERE operation <> 'beat' GROUP BY 1 HAVING count(*) > 1}),
	'', 'nothing was done twice');
is( ask('b', q{SELECT actor, seq FROM (SELECT actor, seq, row_number() OVER (PARTITION BY actor ORDER BY seq) AS place
			FROM account.journal) j WHERE seq <> place}),
	'', 'the history of every actor is serial');
is( ask('b', q{SELECT count(*) FROM (SELECT actor, max(seq) AS seq FROM account.journal GROUP BY actor) j
		FULL JOIN (SELECT actor_id AS actor, value::text::int AS seq FROM actor.state WHERE key = 'seq') s USING (actor, seq)
		WHERE j.seq IS DISTINCT FROM s.seq OR s IS NULL OR j IS NULL}),
	'0', 'the state of every actor is what its history says');
is(ask('b', 'SELECT count(*) FROM actor.failure'), '0', 'nothing was given up');
unlike(slurp_file("$dir/$_/startup.log"), qr/TRAP:|PANIC:|was terminated by signal/,
	"nothing has crashed on \"$_\"")
  foreach qw(a b);

done_testing();
