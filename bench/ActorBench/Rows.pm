# The rows of the table: what must stay fast, each with its rival.
#
# A row is a hash:
#	id, title, unit		what is measured
#	ours, rival			medians (rival is absent where there is none)
#	p99, rival_p99		99th percentiles, where ours is a median of times
#	rival_name
#	rounds				{ours => [...], rival => [...]}
#	ratio				how good ours is, above 1 is better than the rival: the
#						median over the rounds, since each round compares neighbours
#	target, met			what it should be
#	skipped				why there is no number
package ActorBench::Rows;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';

use ActorBench::Server qw(sql query pgbench median percentile progress compare_rounds %scale);

our @EXPORT_OK = qw(groups row with_target prepare_actors clients_text fire_due measure_lateness has_function set_enabled);

# name => [title, function that returns rows]
sub groups
{
	return (
		read => [ 'read-only method', \&read_rows ],
		write => [ 'writing method', \&write_rows ],
		nested => [ 'nested call', \&nested_rows ],
		chain => [ 'chain of calls', \&chain_rows ],
		register => [ 'registering reminders', \&register_rows ],
		fire => [ 'firing reminders', \&fire_rows ],
		send => [ 'delivering messages', \&send_rows ],
		lateness => [ 'lateness of a reminder', \&lateness_rows ]);
}

# Makes a row out of two series of numbers.  "better" says which are better:
# higher (a rate) or lower (a time).
sub row
{
	my (%row) = @_;
	my $better = delete $row{better} // 'higher';
	my ($ours, $rival) = @{ $row{rounds} }{qw(ours rival)};

	$row{ours} = median(@$ours);
	if ($rival)
	{
		my @ratios = map { $better eq 'higher' ? $ours->[$_] / $rival->[$_] : $rival->[$_] / $ours->[$_] } 0 .. $#$ours;

		$row{rival} = median(@$rival);
		$row{ratio} = median(@ratios);
		$row{ratio_min} = (sort { $a <=> $b } @ratios)[0];
		$row{ratio_max} = (sort { $a <=> $b } @ratios)[-1];
	}
	return \%row;
}

# Whether the target, a least ratio, is met.
sub with_target
{
	my ($row, $target) = @_;

	$row->{target} = '≥ ' . (0 + $target) . ' ×';
	$row->{met} = $row->{ratio} >= $target ? \1 : \0;
	return $row;
}

sub against
{
	my ($id, $title, $numbers, $rival, $rival_name, $target) = @_;

	return with_target(
		row(
			id => $id,
			title => $title,
			unit => 'transactions/s',
			rival_name => $rival_name,
			rounds => { ours => $numbers->{actor}, rival => $numbers->{$rival} }),
		$target);
}

# Runs the same work with one script a side: actor, plain, plpgsql.
sub three_sides
{
	my ($work, $clients) = @_;

	return compare_rounds(
		map {
			my $side = $_;
			$side => sub {
				pgbench("${work}_$side", clients => $clients, set => { actors => $scale{actors} })->{tps};
			}
		} qw(actor plain plpgsql));
}

sub clients_text
{
	my $clients = shift;

	return $clients == 1 ? '1 client' : "$clients clients";
}

# Commits of the role wait for the disk or do not.
sub set_durable
{
	my $durable = shift;

	query(sprintf 'ALTER ROLE bench SET synchronous_commit = %s', $durable ? 'on' : 'off');
	return;
}

sub set_enabled
{
	my $on = shift;

	query('ALTER SYSTEM SET actor.enabled = ' . ($on ? 'on' : 'off'));
	query('SELECT pg_reload_conf()');
	# workers that have not seen it yet would begin too early
	query(q{
		DO $$ BEGIN
			WHILE EXISTS (SELECT FROM pg_stat_activity WHERE backend_type IN ('actor scheduler', 'actor executor')) LOOP
				PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
			END LOOP;
		END $$}) if !$on;
	return;
}

sub has_function
{
	my $name = shift;

	return query("SELECT EXISTS (SELECT FROM pg_proc WHERE proname = '$name')") eq 't';
}

sub prepare_actors
{
	query("CALL tool.set_actors($scale{actors})");
	query('VACUUM (ANALYZE) actor.state, actor.activation, rival.plain, rival.state; CHECKPOINT');
	return;
}

sub read_rows
{
	my @rows;

	prepare_actors();
	for my $clients (1, 8)
	{
		my $numbers = three_sides('read', $clients);
		my $how = clients_text($clients);

		push @rows,
		  against("read_$clients", "read-only method, $how", $numbers, 'plain', 'SELECT by primary key', 1.0),
		  against("read_${clients}_plpgsql", "read-only method, $how", $numbers, 'plpgsql', 'PL/pgSQL by hand', 1.2);
	}
	return @rows;
}

sub write_rows
{
	my %what = (
		put => 'writing method (sets one key)',
		count => 'writing method (reads and sets one key)');
	my @rows;

	for my $case (@{ $scale{writes} })
	{
		my ($work, $clients, $durable) = @$case;
		my $how = clients_text($clients) . ', ' . ($durable ? 'durable' : 'synchronous_commit off');
		my $id = "${work}_$clients" . ($durable ? '' : '_async');

		prepare_actors();
		set_durable($durable);
		my $numbers = three_sides($work, $clients);
		push @rows,
		  against($id, "$what{$work}, $how", $numbers, 'plain', 'UPDATE by primary key', 0.95),
		  against("${id}_plpgsql", "$what{$work}, $how", $numbers, 'plpgsql', 'PL/pgSQL by hand', 1.2);
	}
	set_durable(1);
	return @rows;
}

# Microseconds a call of scripts whose transaction makes so many of them, by script.
sub times_of_calls
{
	my ($variable, $calls, @scripts) = @_;

	return compare_rounds(
		map {
			my $script = $_;
			$script => sub { pgbench($script, set => { $variable => $calls })->{ms} * 1000 / $calls; }
		} @scripts);
}

# What an actor adds to a call of its method, in microseconds a call.
sub added_row
{
	my ($ours, $rival, $most, %row) = @_;
	my $row = row(%row, better => 'lower', rounds => { ours => $ours, rival => $rival });

	$row->{extra} = median(map { $ours->[$_] - $rival->[$_] } 0 .. $#$ours);
	$row->{target} = "≤ $most µs extra";
	$row->{met} = $row->{extra} <= $most ? \1 : \0;
	return $row;
}

sub nested_rows
{
	my $numbers = times_of_calls('calls', $scale{calls}, qw(nest_actor nest_plpgsql));

	return added_row(
		@{$numbers}{qw(nest_actor nest_plpgsql)}, 0.5,
		id => 'nested',
		title => 'empty nested call in one transaction',
		unit => 'µs a call',
		rival_name => 'the method called directly');
}

# Next to a function that calls itself with a number, and to one that passes on the id
# and the document that the method does.
sub chain_rows
{
	my @rows;

	for my $levels (@{ $scale{chains} })
	{
		my $numbers = times_of_calls('levels', $levels, qw(descend_actor descend_plpgsql pass_plpgsql));

		for my $rival ([ '', 'descend_plpgsql', 'a function that calls itself' ],
			[ '_pass', 'pass_plpgsql', 'a function that passes on id and document' ])
		{
			my ($suffix, $script, $name) = @$rival;

			push @rows, added_row(
				$numbers->{descend_actor}, $numbers->{$script}, 3,
				id => "chain_$levels$suffix",
				title => "chain of $levels actors in one transaction",
				unit => 'µs a level',
				rival_name => $name);
		}
	}
	return @rows;
}

sub empty_reminders
{
	query('TRUNCATE actor.reminder, rival.reminder');
	return;
}

# How many rows one statement writes each second.
sub bulk_rate
{
	my $statement = shift;
	my $out = sql('bench', "\\timing on\n$statement");
	my ($ms) = $out =~ /^Time: ([0-9.]+) ms/m;

	die "no time in: $out" if !defined $ms;
	return $scale{bulk} / ($ms / 1000);
}

sub register_rows
{
	my $bulk = $scale{bulk};
	my @rows;

	for my $case (@{ $scale{registers} })
	{
		my ($clients, $durable) = @$case;

		set_durable($durable);
		my $numbers = compare_rounds(
			map {
				my $side = $_;
				$side => sub {
					empty_reminders();
					pgbench("register_$side", clients => $clients)->{tps};
				}
			} qw(actor plain));
		push @rows,
		  against(
			"register_$clients" . ($durable ? '' : '_async'),
			'registering reminders one by one, ' . clients_text($clients) . ', '
			  . ($durable ? 'durable' : 'synchronous_commit off'),
			$numbers, 'plain', 'INSERT into a table of that shape', 0.9);
	}
	set_durable(1);

	my $numbers = compare_rounds(
		actor => sub {
			empty_reminders();
			bulk_rate("SELECT pg_catalog.count(actor_set_reminder('bench', i::text, 'noop', '24h')) FROM generate_series(1, $bulk) i;");
		},
		plain => sub {
			empty_reminders();
			bulk_rate(
				"INSERT INTO rival.reminder (actor_type, actor_id, name, method, due_time, catch_up, role_name,
					generation, registered_at, first_at, firings, time_zone, firing, scheduled_at,
					next_try_at, remaining, attempt, deferrals, fired, hosted)
				 SELECT 'bench', i::text, 'noop', 'noop', '24h', 'one', 'bench',
					1, now(), now() + interval '24h', 1, 'UTC', 0, now() + interval '24h',
					now() + interval '24h', 1, 1, 0, 0, false
				   FROM generate_series(1, $bulk) i;");
		});
	my $row = against('register_bulk', "registering $bulk reminders in one statement",
		$numbers, 'plain', 'INSERT into a table of that shape', 0.9);
	$row->{unit} = 'reminders/s';
	empty_reminders();
	return (@rows, $row);
}

# Makes rows due while nothing fires, then lets the workers have them.  Returns
# how many were done each second, the start of the workers included.
sub fire_due
{
	my ($table, $number, $statement) = @_;

	set_enabled(0);
	sql('bench', "$statement FROM generate_series(1, $number) i;");
	query("VACUUM (ANALYZE) actor.$table; CHECKPOINT");
	my $waiting = query("SELECT count(*) FROM actor.$table WHERE role_name = 'bench' AND next_try_at <= now()");
	die "$waiting of $number rows are due\n" if $waiting != $number;
	# the reload is what starts the workers
	query('ALTER SYSTEM SET actor.enabled = on');
	my $seconds = query("SELECT FROM pg_reload_conf();\nCALL tool.wait_until_done('$table', $number);");
	($seconds) = $seconds =~ /([0-9.e-]+)\s*$/;
	return $number / $seconds;
}

sub delivery_rows
{
	my ($id, $title, $unit, $table, $statement) = @_;
	my @rows;

	for my $durable (1, 0)
	{
		set_durable($durable);
		my $numbers = compare_rounds(rate => sub { fire_due($table, $scale{due}, $statement) });
		my $row = row(
			id => $id . ($durable ? '' : '_async'),
			title => "$title, " . ($durable ? 'durable' : 'synchronous_commit off'),
			unit => $unit,
			rounds => { ours => $numbers->{rate} });

		if ($durable)
		{
			$row->{target} = '≥ 40,000/s on 2 cores';
			$row->{met} = $row->{ours} >= 40_000 ? \1 : \0;
		}
		push @rows, $row;
	}
	set_durable(1);
	return @rows;
}

# Messages that are sent in one statement, next to rows of a table of that shape.
sub send_bulk_row
{
	my $bulk = $scale{bulk};

	set_enabled(0);
	my $numbers = compare_rounds(
		actor => sub {
			query('TRUNCATE actor.message, rival.message');
			bulk_rate("SELECT pg_catalog.count(actor_send('bench', i::text, 'noop')) FROM generate_series(1, $bulk) i;");
		},
		plain => sub {
			bulk_rate(
				"INSERT INTO rival.message (actor_type, actor_id, method, due_at, next_try_at, queued,
					attempt, deferrals, role_name, sent_at, hosted)
				 SELECT 'bench', i::text, 'noop', now(), now(), true, 1, 0, 'bench', now(), false
				   FROM generate_series(1, $bulk) i;");
		});
	query('TRUNCATE actor.message, rival.message');
	query('ALTER SYSTEM SET actor.enabled = on');
	query('SELECT pg_reload_conf()');
	my $row = against('send_bulk', "sending $bulk messages in one statement",
		$numbers, 'plain', 'INSERT into a table of that shape', 0.9);
	$row->{unit} = 'messages/s';
	return $row;
}

sub fire_rows
{
	empty_reminders();
	return delivery_rows('fire', "firing $scale{due} due reminders, no-op method",
		'reminders/s', 'reminder', "SELECT pg_catalog.count(actor_set_reminder('bench', i::text, 'noop', '0s'))");
}

sub send_rows
{
	my $title = "delivering $scale{due} messages, no-op method";

	return { id => 'send', title => $title, skipped => 'this version has no actor_send' }
	  if !has_function('actor_send');
	return (
		delivery_rows('send', $title, 'messages/s', 'message',
			"SELECT pg_catalog.count(actor_send('bench', i::text, 'noop'))"),
		send_bulk_row());
}

# Registers probes one after another, each due in a moment, and returns how
# late each was, in milliseconds.
sub measure_lateness
{
	my ($probes, $gap_ms) = @_;

	query('TRUNCATE tool.lateness');
	sql('bench', qq{
		DO \$\$ BEGIN
			FOR i IN 1..$probes LOOP
				PERFORM actor_set_reminder('bench', 'probe ' || i, 'probe',
					clock_timestamp() + interval '1 millisecond' * (i * $gap_ms + 500 + random() * $gap_ms / 2));
			END LOOP;
		END \$\$;
	});
	query(qq{
		DO \$\$ BEGIN
			WHILE (SELECT count(*) FROM tool.lateness) < $probes LOOP
				COMMIT;
				PERFORM pg_sleep(0.2);
			END LOOP;
		END \$\$});
	return split /\n/, query('SELECT ms FROM tool.lateness');
}

sub lateness_row
{
	my ($id, $title, @late) = @_;

	return {
		id => $id,
		title => $title,
		unit => 'ms (p50 / p99)',
		ours => percentile(0.5, @late),
		p99 => percentile(0.99, @late),
		max => percentile(1, @late),
		rounds => { ours => \@late }
	};
}

sub lateness_rows
{
	my $others = $scale{others};
	my @rows;

	empty_reminders();
	query("CALL tool.set_others($others)");
	query('VACUUM (ANALYZE) actor.reminder; CHECKPOINT');
	query('SELECT pg_reload_conf()');
	my $row = lateness_row('lateness', "lateness of a reminder, $others others pending",
		measure_lateness($scale{probes}, $scale{gap_ms}));
	$row->{target} = 'p50 ≤ 1 ms, p99 ≤ 3 ms';
	$row->{met} = $row->{ours} <= 1 && $row->{p99} <= 3 ? \1 : \0;
	push @rows, $row;

	if ($scale{cold_probes})
	{
		# the worker has left each time and is started ahead of need
		query(q{ALTER SYSTEM SET actor.executor_linger = '0'});
		query('SELECT pg_reload_conf()');
		push @rows, lateness_row('lateness_cold', "the same, with no worker waiting",
			measure_lateness($scale{cold_probes}, 1000));
		query('ALTER SYSTEM RESET actor.executor_linger');
		query('SELECT pg_reload_conf()');
	}
	push @rows, cron_row();
	empty_reminders();
	return @rows;
}

# What a scheduler of jobs gives, for comparison: pg_cron at its finest.
sub cron_row
{
	my %row = (id => 'lateness_cron', title => 'for comparison: pg_cron, its finest schedule');

	return { %row, skipped => 'pg_cron is not loaded' }
	  if query('SHOW shared_preload_libraries') !~ /pg_cron/;
	query('CREATE EXTENSION IF NOT EXISTS pg_cron');
	query('CREATE TABLE IF NOT EXISTS tool.cron_runs (at timestamptz)');
	my $seconds = query(q{SELECT extversion >= '1.5' FROM pg_extension WHERE extname = 'pg_cron'}) eq 't';
	my ($schedule, $period) = $seconds ? ('1 seconds', 1) : ('* * * * *', 60);
	my $runs = $seconds ? 20 : 3;

	return { %row, skipped => 'its finest schedule is a minute, which is for long runs' }
	  if !$seconds && !$scale{cron};
	query("SELECT cron.schedule('bench', '$schedule', 'INSERT INTO tool.cron_runs VALUES (clock_timestamp())')");
	query(qq{
		DO \$\$ BEGIN
			WHILE (SELECT count(*) FROM tool.cron_runs) < $runs LOOP
				COMMIT;
				PERFORM pg_sleep(0.5);
			END LOOP;
		END \$\$});
	query(q{SELECT cron.unschedule('bench')});
	# seconds after a full minute or second; schedules of seconds have no grid
	my @late = split /\n/, query($seconds
		? q{SELECT abs(extract(epoch FROM at - lag(at) OVER (ORDER BY at)) - 1) * 1000 FROM tool.cron_runs ORDER BY at OFFSET 1}
		: q{SELECT extract(epoch FROM at - date_trunc('minute', at)) * 1000 FROM tool.cron_runs});
	my $row = lateness_row($row{id}, "$row{title} (every $period s)", @late);

	return $row;
}

1;
