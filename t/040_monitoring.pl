# What can be seen of a server with several sessions and workers: who waits for
# whom, what workers do, what keeps reminders from firing, and the metrics,
# which must be what Prometheus and the files of monitoring/ expect.

use strict;
use warnings FATAL => 'all';

use CPAN::Meta::YAML;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('monitored');
$node->init(allows_streaming => 1);
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
deadlock_timeout = '10ms'
max_worker_processes = 16
actor.max_workers = 2
actor.stat_max = 100
actor.executor_linger = '1h'
});
$node->start;

sub wait_for
{
	my ($query, $what, $database) = @_;

	ok($node->poll_query_until($database // 'postgres', "SELECT $query"), $what);
}

sub query
{
	my ($query, $database) = @_;

	return $node->safe_psql($database // 'postgres', $query);
}

# The log since a position.
sub log_since
{
	my ($offset) = @_;

	return substr(slurp_file($node->logfile), $offset);
}

my $define = q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	GRANT USAGE ON SCHEMA t TO PUBLIC;
	CREATE FUNCTION t.put() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('put', true);
	END $$;
	CREATE FUNCTION t.cross(other text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_invoke('t', other, 'put');
	END $$;
	CREATE FUNCTION t.slow() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(0.05);
	END $$;
	CREATE FUNCTION t.slow_below(other text) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_invoke('t', other, 'slow');
	END $$;
	CREATE FUNCTION t.gated() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock_shared(4711);
	END $$;
	CREATE FUNCTION t.fail() RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		RAISE 'failed on purpose';
	END $$;
	SELECT actor_register('t');
};

query($define);
query('CREATE ROLE regress_actor_monitor LOGIN; GRANT pg_monitor TO regress_actor_monitor');
query("CREATE ROLE regress_actor_$_ LOGIN") foreach qw(one two);

#
# Turns: who waits for whom, and for how long
#
my $first = $node->background_psql('postgres', on_error_stop => 0);
my $second = $node->background_psql('postgres', on_error_stop => 0);
my $pids = join(' ', map { $_->query_safe('SELECT pg_backend_pid()') } $first, $second);
my ($first_pid, $second_pid) = split ' ', $pids;
my $offset = -s $node->logfile;

$second->query_safe('BEGIN');
$second->query_safe("SELECT actor_invoke('t', 'b', 'put')");
$first->query_safe('SET actor.log_turn_waits = on');
$first->query_safe('BEGIN');
$first->query_until(qr/started/,
	"\\echo started\nSELECT actor_invoke('t', 'a', 'cross', '[\"b\"]');\n");
wait_for("count(*) = 1 FROM actor.turn WHERE state = 'waits'", 'a wait for a turn is shown');
is( query(
		"SELECT pid, actor_type, actor_id, method, state, chain FROM actor.turn ORDER BY actor_id, state"),
	"$first_pid|t|a|cross|holds|t/a.cross\n"
	  . "$second_pid|t|b|put|holds|\n"
	  . "$first_pid|t|b|put|waits|t/a.cross -> t/b.put",
	'with who holds what, in which method and chain');
is( query("SELECT count(*) FROM actor.turn WHERE since > now() - interval '1 hour' AND since <= clock_timestamp()"),
	'3', 'since when');
is(query("SELECT value FROM actor.get_gauges() WHERE name = 'actor_turns_waiting'"),
	'1', 'one process waits');
is( query("SELECT string_agg((value > 0)::text || CASE WHEN name LIKE '%seconds' THEN '' ELSE value::text END, ' ' ORDER BY name)"
		  . " FROM actor.get_gauges('turns') WHERE name <> 'actor_turns_waiting'"),
	'true2 true false0', 'two turns are held, for some time, and none is open');
my $waits = qr/still waiting for ExclusiveLock on advisory lock.*?CONTEXT: .*?taking the turn of actor "b" of type "t".*?call chain: t\/a\.cross -> t\/b/s;
ok( $node->wait_for_log($waits, $offset), 'a long wait is logged with actor and chain');
my @lines = log_since($offset) =~ /still waiting for/g;
is(scalar @lines, 1, 'once');

# the other one waits, too, which is a deadlock
my ($out, $failed) = $second->query("SELECT actor_invoke('t', 'a', 'put')");
like($second->{stderr}, qr/deadlock detected/, 'a deadlock is found');
$second->{stderr} = '';
$second->query_safe('ROLLBACK');
wait_for("count(*) = 0 FROM actor.turn WHERE state = 'waits'", 'then the other one gets its turn');
$first->query_safe('COMMIT');
is(query('SELECT count(*) FROM actor.turn'), '0', 'and all are gone with their transactions');
is( query(
		"SELECT method, calls, errors, deadlocks, wait_ms > 0 FROM actor.method_stat WHERE actor_type = 't' ORDER BY method"),
	"cross|1|0|0|f\nput|3|1|1|t", 'waits and deadlocks are counted');
is( query('SELECT actor_type, actor_id, waits, waits_over, wait_ms > 0 FROM actor.hot_actor ORDER BY actor_id'),
	"t|a|1|0|t\nt|b|1|0|t", 'also by actor');
is(query('SET ROLE regress_actor_one; SELECT count(*) FROM actor.hot_actor'),
	'0', 'for those who may see them');
unlike(log_since($offset), qr/call chain: t\/a$/m, 'who has not asked for it has no wait logged');

# a session that is ended while it waits leaves nothing behind
$second->query_safe('BEGIN');
$second->query_safe("SELECT actor_invoke('t', 'b', 'put')");
$first->query_until(qr/started/, "\\echo started\nSELECT actor_invoke('t', 'b', 'put');\n");
wait_for("count(*) = 1 FROM actor.turn WHERE state = 'waits'", 'a session waits again');
query("SELECT pg_terminate_backend($first_pid)");
wait_for("count(*) = 0 FROM actor.turn WHERE state = 'waits'", 'its wait ends with it');
$second->query_safe('ROLLBACK');
$second->quit;

# an actor that is waited for often stays when many others come and go
$second = $node->background_psql('postgres');
$second->query_safe('BEGIN');
$second->query_safe("SELECT actor_invoke('t', 'hot' || i, 'put') FROM generate_series(1, 300) i");
query(
	q{SET actor.call_timeout = '1ms';
	SELECT actor_stat_reset();
	DO $$
	BEGIN
		FOR i IN 1..310 LOOP
			BEGIN
				PERFORM actor_invoke('t', 'hot' || CASE WHEN i <= 10 THEN 1 ELSE i - 10 END, 'put');
			EXCEPTION WHEN lock_not_available THEN
				NULL;
			END;
		END LOOP;
	END $$});
$second->query_safe('ROLLBACK');
$second->quit;
is( query(
		q{SELECT count(*), max(waits) FILTER (WHERE actor_id = 'hot1' AND waits_over = 0),
			max(waits) FILTER (WHERE waits_over > 0), sum(waits) FROM actor.hot_actor}),
	'256|11|2|310', 'the actors waited for most are kept');
is( query("SELECT calls, errors FROM actor.method_stat WHERE method = 'put'"),
	'310|310', 'and calls that did not get their turn have failed');

#
# Methods that take long
#
$offset = -s $node->logfile;
query(
	q{SET actor.log_min_turn_duration = '20ms';
	SELECT actor_invoke('t', 'x', 'slow_below', '["y"]')});
like(
	log_since($offset),
	qr/LOG:  method "slow" of actor "y" of type "t" ran for \d+\.\d+ ms\n.*DETAIL:  Call chain: t\/x\.slow_below -> t\/y\.slow\.\n/,
	'a method that takes long is logged with its chain');
like(log_since($offset), qr/LOG:  method "slow_below" of actor "x"/, 'and what waits for it, too');
$offset = -s $node->logfile;
query(q{SET actor.log_min_turn_duration = '1h'; SELECT actor_invoke('t', 'x', 'slow')});
query(q{SELECT actor_invoke('t', 'x', 'slow')});
unlike(log_since($offset), qr/ran for/, 'one that does not take long is not logged');

#
# A limited number of methods
#
query(
	q{
	SELECT actor_stat_reset();
	SELECT count(actor_invoke('t', 'z', 'put')) FROM generate_series(1, 100);
	DO $$
	BEGIN
		FOR i IN 1..150 LOOP
			EXECUTE format('CREATE FUNCTION t.m%s() RETURNS int STABLE LANGUAGE sql AS %L',
				i, 'SELECT 1');
		END LOOP;
	END $$;
	-- a session that remembers entries which have become those of others
	SELECT count(actor_invoke('t', 'z', 'm' || i)) FROM generate_series(1, 2) n, generate_series(1, 150) i;
	});
is( query(
		q{SELECT count(*) <= 100, count(*) > 50, max(calls) FILTER (WHERE method = 'put'),
			max(calls) FILTER (WHERE method LIKE 'm%') <= 2, count(*) FILTER (WHERE method = 'm150')
		FROM actor.method_stat}),
	't|t|100|t|1',
	'the least used methods make room, and nothing is counted for another one');

#
# Workers
#
query("SELECT actor_set_reminder('t', 'r' || i, 'put') FROM generate_series(1, 3) i");
query(q{SELECT actor_set_reminder('t', 'r', 'fail', failure_policy => '{"drop": {}}')});
wait_for("fired = 4 AND failed = 1 FROM actor.worker WHERE kind = 'executor'",
	'an executor counts what it fires');
is( query(
		q{SELECT kind, database, role_name = current_user, started_at <= last_active_at,
			fired IS NULL, p50_late_ms <= p99_late_ms FROM actor.worker ORDER BY kind}),
	"executor|postgres|t|t|f|t\nlauncher|||t|t|\nscheduler|postgres||t|t|",
	'the workers are shown');
is(query("SELECT actor_type, fired, failed FROM actor.get_firing_stats()"),
	't|4|1', 'callbacks are counted by type');
is( query(
		q{SET ROLE regress_actor_one; SELECT count(*) FROM actor.worker;
		SET ROLE regress_actor_monitor; SELECT count(*) FROM actor.worker}),
	"0\n3", 'to those who may see them');

#
# What keeps reminders from firing
#
sub ill
{
	my ($check) = @_;

	return "(SELECT NOT ok FROM actor_doctor() WHERE check_name = '$check')";
}

wait_for('NOT ' . ill('slots'), 'there is room for executors');
my $gate = $node->background_psql('postgres');
$gate->query_safe('SELECT pg_advisory_lock(4711)');
query("SET ROLE regress_actor_one; SELECT actor_set_reminder('t', 'held', 'gated')");
wait_for(
	"count(*) = 1 FROM actor.turn t JOIN actor.worker w USING (pid)"
	  . " WHERE actor_id = 'held' AND method = 'gated' AND role_name = 'regress_actor_one'",
	'the turn of an executor is shown');
query("SET ROLE regress_actor_two; SELECT actor_set_reminder('t', 'kept waiting', 'put')");
# (the first role has been waiting, too, for the executor of a third one)
wait_for("count(*) = 1 FROM actor_doctor() WHERE check_name = 'slots' AND NOT ok AND detail ~ 'regress_actor_two'",
	'a role that finds no executor is found');
is( query("SELECT detail FROM actor_doctor() WHERE check_name = 'slots'"),
	'Role "regress_actor_two" waits for an executor. The server has 2 of 2 workers, and a database at most 4 executors.',
	'with the limits');
wait_for("backlog > 0 AND oldest_due < now() FROM actor.worker WHERE kind = 'scheduler'",
	'the backlog is shown');
$gate->query_safe('SELECT pg_advisory_unlock(4711)');
$gate->quit;
wait_for('NOT ' . ill('slots'), 'until there is one');

# a turn that is held for long while somebody waits for it, which is looked at
# again below
my $holder = $node->background_psql('postgres');
my $waiter = $node->background_psql('postgres', on_error_stop => 0);
my $holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
$holder->query_safe("BEGIN; SELECT actor_invoke('t', 'held long', 'put')");
$waiter->query_until(qr/started/, "\\echo started\nSELECT actor_invoke('t', 'held long', 'put');\n");
wait_for("count(*) = 1 FROM actor.turn WHERE state = 'waits'", 'a call begins to wait');

# a database that fires nothing
query('CREATE DATABASE ward');
query('ALTER DATABASE ward SET actor.enabled = off');
query($define, 'ward');
query("SELECT actor_set_reminder('t', 'past', 'put', '2020-01-01T00:00:00Z')", 'ward');
is(query("SELECT check_name FROM actor_doctor() WHERE check_name IN ('scheduler', 'late') AND NOT ok", 'ward'),
	"scheduler\nlate", 'a database without a scheduler is found');
ok( $node->poll_query_until(
		'ward',
		q{SELECT detail LIKE '%is off in sessions that workers start%'
			FROM set_config('actor.enabled', 'on', false), actor_doctor()
			WHERE check_name = 'enabled'}),
	'and that firing is disabled in its sessions');

#
# Metrics
#
query(
	q{CREATE SCHEMA odd; CREATE FUNCTION odd.put() RETURNS void LANGUAGE sql AS 'SELECT';
	SELECT actor_register(E'od"d\\\\na\nme', 'odd');
	SELECT actor_invoke(E'od"d\\\\na\nme', 'x', 'put')});

# Reads the text format as strictly as it is specified; returns the families.
sub parse_metrics
{
	my ($text) = @_;
	my (%families, %series, $family, $name);
	my $identifier = qr/[a-zA-Z_:][a-zA-Z0-9_:]*/;
	my $label = qr/[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\n"])*"/;

	die "last line does not end" unless $text =~ /\n\z/;
	foreach my $line (split /\n/, $text)
	{
		if ($line =~ /^# HELP ($identifier) (\S.*)$/)
		{
			die "$1 comes twice" if $families{$1};
			$families{ $name = $1 } = $family = { help => $2 };
		}
		elsif ($line =~ /^# TYPE ($identifier) (counter|gauge|histogram)$/)
		{
			die "TYPE of $1 is not behind its HELP" unless $1 eq $name && !$family->{type};
			$family->{type} = $2;
		}
		elsif ($line =~ /^($identifier)(?:\{($label(?:,$label)*)\})? ([0-9.e+-]+)$/)
		{
			my ($sample, $labels, $value) = ($1, $2 // '', $3);
			my %labels = $labels =~ /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;
			my $suffix = $sample =~ /^\Q$name\E(.*)$/ ? $1 : die "$sample is not of $name";

			die "$value is no number" unless $value =~ /^-?\d+(?:\.\d+)?(?:e[+-]?\d+)?$/;
			die "$sample has no TYPE" unless $family->{type};
			die "$sample comes twice with $labels" if $series{"$sample $labels"}++;
			die "$name ends wrongly" if ($name =~ /_total$/) != ($family->{type} eq 'counter');
			my $le = delete $labels{le};
			my $key = join ',', map { "$_=$labels{$_}" } grep { $_ ne 'datname' } sort keys %labels;
			die "labels of $line" if grep { !/^(datname|type|method|check)$/ } keys %labels;
			die "$line is of no database" unless $labels{datname};
			$labels{type} =~ s/\\(.)/$1 eq 'n' ? "\n" : $1/ge if exists $labels{type};
			push @{ $family->{labels} }, \%labels;
			die "$sample is no part of a $family->{type}"
			  unless $suffix =~
			  ($family->{type} eq 'histogram' ? qr/^_(bucket|sum|count)$/ : qr/^$/);
			die "le of $line" if defined $le != ($suffix eq '_bucket');
			if ($suffix eq '_bucket')
			{
				push @{ $family->{buckets}{$key} }, [ $le, $value ];
			}
			else
			{
				$family->{values}{"$key$suffix"} = $value;
			}
		}
		else
		{
			die "line is wrong: $line";
		}
	}
	foreach my $histogram (grep { $_->{type} eq 'histogram' } values %families)
	{
		foreach my $key (keys %{ $histogram->{buckets} })
		{
			my @buckets = @{ $histogram->{buckets}{$key} };
			my ($bound, $count) = (0, 0);

			foreach my $bucket (@buckets)
			{
				my $this = $bucket->[0] eq '+Inf' ? 9**9**9 : $bucket->[0];

				die "bounds of $key" unless $this > $bound;
				die "counts of $key" unless $bucket->[1] >= $count;
				($bound, $count) = ($this, $bucket->[1]);
			}
			die "$key does not end in +Inf" unless $buckets[-1][0] eq '+Inf';
			die "$key has another count" unless $histogram->{values}{"${key}_count"} == $count;
			die "$key has no sum" unless exists $histogram->{values}{"${key}_sum"};
		}
	}
	return \%families;
}

my $metrics = parse_metrics(query('SELECT actor_metrics()') . "\n");
ok($metrics, 'the metrics can be read');
ok( (grep { ($_->{type} // '') eq "od\"d\\na\nme" } @{ $metrics->{actor_calls_total}{labels} }),
	'names are escaped');
is($metrics->{actor_firing_runs_total}{values}{'type=t'} > 4, 1, 'callbacks are there');
is($metrics->{actor_rows_failures}{values}{'type=t'}, 1, 'and what was given up');
is($metrics->{actor_calls_total}{values}{'method=put,type=t'},
	query("SELECT calls FROM actor.method_stat WHERE (actor_type, method) = ('t', 'put')"),
	'the counters are those of the view');
# a parser that takes everything would prove nothing
my $d = 'datname="x"';
ok(eval { parse_metrics("# HELP a b\n# TYPE a gauge\na{$d} 1\n") }, 'the test takes what is right');
foreach my $wrong ("a{$d} 1\n", "# HELP a b\n# TYPE a gauge\na{$d,x=\"1\"} 1\n",
	"# HELP a b\n# TYPE a gauge\na 1\n",
	"# HELP a b\n# TYPE a gauge\na{$d} 1\na{$d} 1\n", "# HELP a b\n# TYPE a gauge\na{$d} one\n",
	"# HELP a b\n# TYPE a histogram\na_bucket{$d,le=\"1\"} 1\na_sum{$d} 1\na_count{$d} 1\n",
	"# HELP a b\n# TYPE a histogram\na_bucket{$d,le=\"1\"} 2\na_bucket{$d,le=\"+Inf\"} 1\na_sum{$d} 1\na_count{$d} 1\n")
{
	ok(!eval { parse_metrics($wrong) }, 'the test would find what is wrong');
}

# of two databases no series comes twice, whoever reads them
parse_metrics(query('SELECT actor_metrics()', 'ward') . "\n");
my %seen;
foreach my $database (qw(postgres ward))
{
	query("SELECT actor_invoke('t', 'both', 'put')", $database);
	$seen{$_}++ foreach grep { !/^#/ } map { s/ \S+$//r }
	  split /\n/, query('SELECT actor_metrics()', $database);
}
is_deeply([ grep { $seen{$_} > 1 } keys %seen ], [], 'no series is in two databases');
cmp_ok((scalar grep { /put.*le=/ } keys %seen), '>', 2, 'among many');

# what waits is shown by type
query(q{SELECT actor_pause('t', 'queue');
	SELECT actor_send('t', 'queue', 'put') FROM generate_series(1, 3);
	SELECT actor_send('t', 'queue', 'put', due_time => '1h');
	SELECT actor_set_reminder('t', 'queue', 'put', '1h')});
my $values = parse_metrics(query('SELECT actor_metrics()') . "\n");
is( join(' ', map { $values->{"actor_rows_$_"}{values}{'type=t'} } qw(messages messages_due reminders pauses)),
	'4 3 1 1', 'depths are shown');
is( query(q{BEGIN; SELECT actor_set_reminder('t', 'due', 'put', '0s');
		SELECT actor_set_reminder('t', 'later', 'put', '1h');
		SELECT string_agg(name || value::text, ' ' ORDER BY name) FROM actor.get_gauges('rows')
		 WHERE actor_type = 't' AND name LIKE '%reminders%'; ROLLBACK}) =~ s/\n//gr,
	'actor_rows_reminders3 actor_rows_reminders_due1', 'and which reminders are due');
cmp_ok($values->{actor_rows_messages_age_seconds}{values}{'type=t'}, '>', 0, 'and ages');
is($values->{actor_doctor_ok}{values}{'check=paused'}, 0, 'what the doctor finds');
is($values->{actor_doctor_ok}{values}{'check=preload'}, 1, 'and what not');
is( scalar keys %{ $values->{actor_rows_messages}{values} },
	query('SELECT count(*) FROM actor.type'), 'types without any have zeros');
query(q{SELECT actor_cancel_message('t', 'queue', message_id) FROM actor.message WHERE actor_id = 'queue';
	SELECT actor_delete_reminder('t', 'queue', 'put'); SELECT actor_resume('t', 'queue')});

# the exporter gets the same metrics, as a role of pg_monitor
my $exporter = CPAN::Meta::YAML->read('monitoring/postgres_exporter.yml')->[0];
my %exported;

foreach my $namespace (sort keys %$exporter)
{
	my $query = $exporter->{$namespace}{query};
	my %usage = map { my ($column) = keys %$_; $column => $_->{$column}{usage} }
	  @{ $exporter->{$namespace}{metrics} };
	my @expected = map {
		my $column = $_;
		($column, $usage{$column} eq 'HISTOGRAM' ? map { "${column}_$_" } qw(bucket sum count) : ())
	} keys %usage;

	is_deeply(
		[ split /\n/, query(
				"SET ROLE regress_actor_monitor; CREATE TEMP VIEW v AS $query;"
				  . " SELECT attname FROM pg_attribute WHERE attrelid = 'v'::regclass AND attnum > 0"
				  . " ORDER BY attname COLLATE \"C\"") ],
		[ sort @expected ], "columns of the exporter's query $namespace");
	cmp_ok(query("SET ROLE regress_actor_monitor; SELECT count(*) FROM ($query) q"),
		'>', 0, "which has rows");
	$exported{"${namespace}_$_"} = lc $usage{$_} foreach grep { $usage{$_} ne 'LABEL' } keys %usage;
}
# which has no series twice, of however many databases
my %rows;
foreach my $namespace (sort keys %$exporter)
{
	my @labels = map { my ($column) = keys %$_; $_->{$column}{usage} eq 'LABEL' ? $column : () }
	  @{ $exporter->{$namespace}{metrics} };

	ok((grep { $_ eq 'datname' } @labels), "$namespace has the name of the database");
	$rows{"$namespace $_"}++ foreach map {
		my $database = $_;
		split /\n/, query('SELECT ' . join(', ', map { qq{"$_"} } @labels)
			  . " FROM ($exporter->{$namespace}{query}) q", $database);
	} qw(postgres ward);
}
is_deeply([ grep { $rows{$_} > 1 } keys %rows ], [], 'no series of the exporter comes twice');

is_deeply(\%exported, { map { $_ => $metrics->{$_}{type} } keys %$metrics },
	'the exporter has the metrics of actor_metrics()');

# the dashboard asks for metrics that exist
my $dashboard = decode_json(slurp_file('monitoring/grafana-dashboard.json'));
my @asked = map { map { $_->{expr} } @{ $_->{targets} } } @{ $dashboard->{panels} };
cmp_ok(scalar @asked, '>', 10, 'the dashboard has queries');
my @unknown = grep { my $name = s/_bucket$//r; !$metrics->{$_} && !$metrics->{$name} && !/^actor_http_/ }
  map { /\b(actor_\w+)/g } @asked,
  map { $_->{definition} // () } @{ $dashboard->{templating}{list} };
is_deeply(\@unknown, [], 'over metrics that exist');

# and so do the alerts
my $alerts = slurp_file('monitoring/alerts.yml');
my @conditions = $alerts =~ /^\s+expr: (.*)$/mg;
cmp_ok(scalar @conditions, '>', 5, 'there are alerts');
# those of actor-http are looked for in its own test
is_deeply([ grep { !$metrics->{$_} && !/^actor_http_/ } map { /\b(actor_\w+)/g } @conditions ],
	[], 'over metrics that exist');
SKIP:
{
	my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};

	skip 'promtool (Debian package prometheus) is missing', 1 unless $promtool;
	my ($out, $err) = run_command([ $promtool, 'check', 'rules', 'monitoring/alerts.yml' ]);
	is($?, 0, 'promtool takes the alerts') || diag("$out\n$err");
}

# the turn that is held for long
wait_for(ill('turns'), 'a call that waits for long is found');
like(query("SELECT detail FROM actor_doctor() WHERE check_name = 'turns'"),
	qr/^Calls wait for their turn: 1 for actor "held long" of type "t", the first of them for \d+ s; process $holder_pid has had it for \d+ s\.$/,
	'with who has the turn');
like(query("SET ROLE regress_actor_monitor; SELECT detail FROM actor_doctor() WHERE check_name = 'turns'"),
	qr/"held long"/, 'for pg_monitor, too');
$holder->query_safe('COMMIT');
$holder->quit;
wait_for('NOT ' . ill('turns'), 'until the turn is free');

# explaining a call says how long it has waited
my ($keeper, $explainer) = map { $node->background_psql('postgres') } 1 .. 2;
$keeper->query_safe('BEGIN');
$keeper->query_safe("SELECT actor_invoke('t', 'b', 'put')");
$explainer->query_until(qr/started/, "\\echo started\nSELECT actor_explain('t', 'a', 'cross', '[\"b\"]') AS plan \\gset\n");
wait_for("count(*) = 1 FROM actor.turn WHERE state = 'waits'", 'a call that is explained waits');
$keeper->query_safe('COMMIT');
is( $explainer->query_safe(q{SELECT jsonb_array_length(:'plan'::jsonb -> 'waits'), :'plan'::jsonb #>> '{waits,0,actor_id}',
		(:'plan'::jsonb #>> '{waits,0,ms}')::float8 > 0, jsonb_array_length(:'plan'::jsonb -> 'calls')}),
	'1|b|t|2', 'and says for whom');
$_->quit foreach $keeper, $explainer;
$waiter->quit;

# The doctor looks at no more when there is more, and sorts none of it (for which
# it would need files).
sub doctor_pages
{
	my $plan = decode_json(
		query("SET work_mem = '64kB'; EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT actor_doctor()"))
	  ->[0]{Plan};

	is($plan->{'Temp Written Blocks'}, 0, 'the doctor writes no files');
	return $plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'};
}

my $pages = doctor_pages();
query(
	q{SELECT count(actor_set_reminder('t', 'many' || i, 'put', '1000h'))
		FROM generate_series(1, 30000) i;
	SELECT actor_pause('t', 'many0');
	SELECT count(actor_send('t', 'many' || i % 500, 'put', due_time => '1000h')) FROM generate_series(1, 30000) i});
# a long queue, as if it had been there for a while: all but the first are hidden
query(q{SELECT count(actor_send('t', 'many0', 'put')) FROM generate_series(1, 20000);
	UPDATE actor.message SET next_try_at = 'infinity' WHERE queued AND actor_id = 'many0'});
cmp_ok(query("SELECT sum(pg_relation_size(t::regclass)) / 8192 FROM unnest(ARRAY['actor.reminder', 'actor.message']) t"),
	'>', 1000, 'tables are large');
# (80,000 rows, of which a look by an index reads a page each)
cmp_ok(doctor_pages(), '<', $pages + 10_000, 'the doctor does not read all rows');
query(q{SELECT actor_delete_reminders('t'); SELECT actor_cancel_message('t', actor_id, message_id) FROM actor.message;
	SELECT actor_resume('t', 'many0')});

#
# A standby
#
$node->backup('monitored');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'monitored', has_streaming => 1);
$standby->start;
is( $standby->safe_psql('postgres',
		"SELECT check_name FROM actor_doctor() WHERE NOT ok AND check_name <> 'failures'"),
	'recovery', 'a standby is found, and nothing that follows from it');
is($standby->safe_psql('postgres',
		'SELECT count(*) FROM actor.turn; SELECT kind FROM actor.worker'),
	'0', 'nobody holds anything there, and there are no workers');
ok(parse_metrics($standby->safe_psql('postgres', 'SELECT actor_metrics()') . "\n"),
	'it has metrics');
$standby->stop;
$node->stop;

#
# Without preload
#
my $plain = PostgreSQL::Test::Cluster->new('plain');
$plain->init;
$plain->start;
$plain->safe_psql('postgres', $define);
is( $plain->safe_psql(
		'postgres', q{
		SELECT actor_invoke('t', 'x', 'put') IS NULL;
		BEGIN;
		SELECT count(*) FROM actor.turn;
		COMMIT;
		SELECT count(*) FROM actor.method_stat;
		SELECT count(*) FROM actor.worker;
		SELECT actor_stat_reset() IS NULL}),
	"t\n0\n0\n0\nf", 'without preload nothing is counted');
is($plain->safe_psql('postgres', 'SELECT check_name FROM actor_doctor() WHERE NOT ok'),
	"preload\nlauncher", 'which the doctor tells');
ok(parse_metrics($plain->safe_psql('postgres', 'SELECT actor_metrics()') . "\n"),
	'there are metrics all the same');
$plain->stop;

done_testing();
