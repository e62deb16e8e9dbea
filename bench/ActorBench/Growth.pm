# How cost grows: series of measurements, each with a chart.
#
# A series is a hash:
#	id, title
#	x, y				labels of the axes
#	log_x, log_y		whether an axis is logarithmic
#	lines				[{name, points => [[x, y], ...]}, ...]
package ActorBench::Growth;

use strict;
use warnings FATAL => 'all';
use utf8;

use Exporter 'import';

use ActorBench::Rows qw(fire_due measure_lateness set_enabled);
use ActorBench::Server qw(sql query pgbench median percentile progress %scale $database);

our @EXPORT_OK = qw(growth_groups);

sub growth_groups
{
	return (
		actors => [ 'number of actors', \&actors ],
		pending => [ 'number of pending reminders', \&pending ],
		hot => [ 'one hot actor', \&hot ],
		depth => [ 'nesting depth', \&depth ],
		many => [ 'many actors in one transaction', \&many ],
		size => [ 'size of the state', \&size ],
		memory => [ 'memory of a session', \&memory ],
		bloat => [ 'size of the tables', \&bloat ]);
}

# Median over the rounds of what pgbench says, by side, for each x.
sub sweep
{
	my ($key, $xs, $sides, $measure) = @_;
	my %points;

	for my $x (@$xs)
	{
		my %numbers;

		for my $round (1 .. $scale{growth_rounds})
		{
			push @{ $numbers{ $_->[0] } }, $measure->($x, $_->[1])->{$key} for @$sides;
		}
		push @{ $points{ $_->[0] } }, [ $x, median(@{ $numbers{ $_->[0] } }) ] for @$sides;
	}
	return [ map { { name => $_->[0], points => $points{ $_->[0] } } } @$sides ];
}

sub actors
{
	my @sides = (
		[ 'read-only method', 'read_actor' ],
		[ 'SELECT', 'read_plain' ],
		[ 'writing method', 'count_actor' ],
		[ 'the same, activated lazily', 'lazy' ],
		[ 'UPDATE', 'count_plain' ]);
	my $filled = 0;
	my $lines;

	query('ALTER ROLE bench SET synchronous_commit = off');
	$lines = sweep(
		'tps',
		$scale{actor_counts},
		\@sides,
		sub {
			my ($number, $script) = @_;

			if ($filled != $number)
			{
				query("CALL tool.set_actors($number)");
				query('VACUUM (ANALYZE) actor.state, actor.activation, rival.plain, rival.state; CHECKPOINT');
				$filled = $number;
			}
			my $lazy = $script eq 'lazy';
			query('ALTER ROLE bench SET actor.lazy_activation = ' . ($lazy ? 'on' : 'off'));
			return pgbench($lazy ? 'count_actor' : $script, clients => 2, set => { actors => $number });
		});
	query('ALTER ROLE bench RESET synchronous_commit');
	query('ALTER ROLE bench RESET actor.lazy_activation');
	return {
		id => 'actors',
		title => 'Invocation by number of actors, 2 clients, synchronous_commit off',
		x => 'actors', y => 'transactions/s', log_x => 1, lines => $lines
	};
}

sub pending
{
	my (@rates, @p50, @p99);

	for my $others (@{ $scale{pending_counts} })
	{
		query('TRUNCATE actor.reminder');
		query("CALL tool.set_others($others)");
		query('VACUUM (ANALYZE) actor.reminder; CHECKPOINT');
		push @rates, [
			$others,
			median(map {
				fire_due('reminder', $scale{due}, "SELECT count(actor_set_reminder('bench', i::text, 'noop', '0s'))")
			} 1 .. $scale{growth_rounds}) ];
		my @late = measure_lateness($scale{probes}, $scale{gap_ms});
		push @p50, [ $others, percentile(0.5, @late) ];
		push @p99, [ $others, percentile(0.99, @late) ];
	}
	query('TRUNCATE actor.reminder');
	return (
		{
			id => 'pending_rate',
			title => 'Firing by number of other pending reminders, durable',
			x => 'pending reminders', y => 'reminders/s', log_x => 1,
			lines => [ { name => 'no-op method', points => \@rates } ]
		},
		{
			id => 'pending_lateness',
			title => 'Lateness by number of other pending reminders',
			x => 'pending reminders', y => 'ms', log_x => 1,
			lines => [ { name => 'p50', points => \@p50 }, { name => 'p99', points => \@p99 } ]
		});
}

sub hot
{
	my $writers = sweep(
		'tps',
		$scale{hot_clients},
		[
			[ 'writing method', 'count_actor' ],
			[ 'the same with early release', 'early' ],
			[ 'UPDATE of one row', 'count_plain' ],
			[ 'PL/pgSQL by hand', 'count_plpgsql' ] ],
		sub {
			my ($clients, $side) = @_;
			my $early = $side eq 'early';

			query("ALTER DATABASE $database SET actor.early_release = " . ($early ? 'on' : 'off'));
			return pgbench($early ? 'count_actor' : $side, clients => $clients, set => { actors => 1 });
		});
	my @reads;

	query("ALTER DATABASE $database RESET actor.early_release");

	for my $readers (@{ $scale{hot_clients} })
	{
		# a writer that never stops holds up nobody
		my $writer = fork // die "could not fork: $!";
		if ($writer == 0)
		{
			$SIG{TERM} = 'DEFAULT';
			open STDOUT, '>', '/dev/null';
			open STDERR, '>', '/dev/null';
			exec 'psql', '-Xq', '-U', 'bench', '-d', $database, '-c', q{
				DO $$ BEGIN
					LOOP
						PERFORM actor_invoke('bench', '1', 'count', '{"step": 1}');
						COMMIT;
					END LOOP;
				END $$};
		}
		my $result = eval { pgbench('read_actor', clients => $readers, set => { actors => 1 }) };
		my $error = $@;
		query(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE usename = 'bench' AND backend_type = 'client backend'});
		waitpid $writer, 0;
		die $error if !$result;
		push @reads, [ $readers, $result->{tps} ];
	}
	return (
		{
			id => 'hot_writers',
			title => 'One hot actor: writers, durable',
			x => 'clients', y => 'transactions/s', lines => $writers
		},
		{
			id => 'hot_readers',
			title => 'One hot actor: readers beside a writer that never stops',
			x => 'readers', y => 'transactions/s',
			lines => [ { name => 'read-only method', points => \@reads } ]
		});
}

sub depth
{
	my $lines = sweep(
		'ms',
		$scale{depths},
		[ [ 'a chain of actors', 'descend_actor' ], [ 'a function that calls itself', 'descend_plpgsql' ],
			[ 'one that passes on id and document', 'pass_plpgsql' ] ],
		sub { pgbench($_[1], set => { levels => $_[0] }) });

	$_->[1] *= 1000 / $_->[0] for map { @{ $_->{points} } } @$lines;
	return {
		id => 'depth',
		title => 'Nested calls by depth of the chain',
		x => 'depth', y => 'µs a level', log_x => 1, log_y => 1, lines => $lines
	};
}

sub many
{
	my $most = (sort { $b <=> $a } @{ $scale{turns} })[0];

	query('CALL tool.set_actors(' . 11 * $most . ')');
	query('VACUUM (ANALYZE) actor.state, actor.activation, rival.plain');
	my $lines = sweep(
		'ms',
		$scale{turns},
		[ [ 'writing method', 'many_actor' ], [ 'one UPDATE of all rows', 'many_plain' ] ],
		sub { pgbench($_[1], set => { turns => $_[0] }) });

	$_->[1] *= 1000 / $_->[0] for map { @{ $_->{points} } } @$lines;
	return {
		id => 'many',
		title => 'Many actors in one transaction, durable',
		x => 'actors in the transaction', y => 'µs an actor', log_x => 1, log_y => 1, lines => $lines
	};
}

sub size
{
	my $filled = 0;
	my $lines = sweep(
		'ms',
		$scale{sizes},
		[ [ 'writing method', 'edit_actor' ], [ 'UPDATE', 'edit_plain' ] ],
		sub {
			my ($size, $script) = @_;

			if ($filled != $size)
			{
				sql('bench', qq{
					SELECT actor_invoke('bench', 'document', 'fill', '{"size": $size}');
					INSERT INTO rival.document VALUES ('document', tool.document($size))
					ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value;});
				$filled = $size;
			}
			return pgbench($script);
		});

	return {
		id => 'size',
		title => 'Changing one member of a document in the state, durable',
		x => 'bytes of the document', y => 'ms', log_x => 1, log_y => 1, lines => $lines
	};
}

# Memory of one session that has called more and more actors, one transaction
# after another.
sub memory
{
	my $script = '';
	my $from = 0;

	query('CALL tool.set_actors(0)');
	$script .= "SET synchronous_commit = off;\nSELECT pg_backend_pid() AS pid \\gset\n\\setenv ACTOR_BENCH_PID :pid\n";
	for my $number (@{ $scale{distinct} })
	{
		$script .= 'CALL tool.visit(' . ($from + 1) . ", $number, 1);\n";
		$script .= "SELECT 'contexts $number ' || sum(total_bytes) FROM pg_backend_memory_contexts;\n";
		$script .= "\\! awk '/^RssAnon/ { print \"anon $number \" 1024 * \$2 }' /proc/\$ACTOR_BENCH_PID/status\n";
		$from = $number;
	}
	my %points = (contexts => [], anon => []);
	for (split /\n/, sql('bench', $script))
	{
		push @{ $points{$1} }, [ $2, $3 / 1024 / 1024 ] if /^(contexts|anon) (\d+) (\d+)/;
	}
	return {
		id => 'memory',
		title => 'Memory of a session that has called many actors',
		x => 'distinct actors called', y => 'MB', log_x => 1,
		lines => [
			{ name => 'memory contexts', points => $points{contexts} },
			{ name => 'private memory of the process', points => $points{anon} } ]
	};
}

sub relation_mb
{
	my $relation = shift;

	return [ split /\|/,
		query("SELECT pg_table_size('$relation') / 1048576.0, pg_indexes_size('$relation') / 1048576.0") ];
}

# Fires reminders that are registered anew each time; the table is neither
# emptied nor vacuumed in between.
sub fire_again
{
	set_enabled(0);
	sql('bench', "SELECT count(actor_set_reminder('bench', i::text, 'noop', '0s')) FROM generate_series(1, $scale{due}) i;");
	query('ALTER SYSTEM SET actor.enabled = on');
	query("SELECT FROM pg_reload_conf();\nCALL tool.wait_until_done('reminder', $scale{due});");
	return;
}

# Waits until autovacuum, which comes once in a minute, has been there since
# the last row was fired.
sub await_autovacuum
{
	query(q{
		DO $$
		DECLARE
			began timestamptz := clock_timestamp();
		BEGIN
			WHILE NOT EXISTS (SELECT FROM pg_stat_user_tables WHERE relid = 'actor.reminder'::regclass
							  AND last_autovacuum > began AND n_dead_tup < 1000) LOOP
				COMMIT;
				PERFORM pg_sleep(0.5);
			END LOOP;
		END $$});
	return;
}

# Tables after more and more work, under default autovacuum.
sub bloat
{
	my (@state_heap, @state_index, @reminder_heap, @reminder_index);
	my $updates = 0;
	my $fired = 0;

	query('ALTER ROLE bench SET synchronous_commit = off');
	query('CALL tool.set_actors(100)');
	for my $step (1 .. $scale{bloat_steps})
	{
		pgbench('count_actor', clients => 4, seconds => $scale{bloat_seconds}, set => { actors => 100 });
		$updates = query(q{SELECT pg_stat_clear_snapshot(); SELECT n_tup_upd FROM pg_stat_user_tables
			WHERE schemaname = 'actor' AND relname = 'state'}) =~ s/\s//gr;
		my ($heap, $index) = @{ relation_mb('actor.state') };
		push @state_heap, [ $updates / 1000, $heap ];
		push @state_index, [ $updates / 1000, $index ];
	}
	query('TRUNCATE actor.reminder');
	for my $round (1 .. 3)
	{
		for my $step (1 .. $scale{bloat_steps})
		{
			fire_again();
			$fired += $scale{due};
		}
		for my $after ($scale{bloat_wait} ? (0, 1) : 0)
		{
			await_autovacuum() if $after;
			my ($heap, $index) = @{ relation_mb('actor.reminder') };
			push @{ $reminder_heap[$after] }, [ $fired / 1000, $heap ];
			push @{ $reminder_index[$after] }, [ $fired / 1000, $index ];
		}
	}
	query('ALTER ROLE bench RESET synchronous_commit');
	return (
		{
			id => 'bloat_state',
			title => 'Size of actor.state, 100 hot actors',
			x => 'thousand updates', y => 'MB',
			lines => [ { name => 'table', points => \@state_heap }, { name => 'indexes', points => \@state_index } ]
		},
		{
			id => 'bloat_reminder',
			title => "Size of actor.reminder, $scale{due} reminders fired again and again, then autovacuum",
			x => 'thousand reminders fired', y => 'MB',
			lines => [
				map {
					my $when = ('', ' after autovacuum')[$_];
					{ name => "table$when", points => $reminder_heap[$_] },
					  { name => "indexes$when", points => $reminder_index[$_] }
				} 0 .. $#reminder_heap
			]
		});
}

1;
