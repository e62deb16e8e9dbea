# Random nested transfers among few actors by many sessions, by reminders and
# by messages: with savepoints, errors that are caught and others that are not,
# timeouts and deadlocks, while processes are killed and the server crashes.
#
# Every change is written to a journal in the same transaction.  At the end
# the state of every actor is computed again from it: nothing is lost, nothing
# is there twice, the history of each actor is serial, and the total is what it
# was.
#
#	ACTOR_SEED=n	makes the same random choices again
#	ACTOR_ROUNDS=n	kills that many times, 6 if not given

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use POSIX ();
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{ACTOR_SEED} // int(rand(1_000_000_000));
note("ACTOR_SEED=$seed");
srand($seed);

my $sessions = 6;
my @actors = map { "a$_" } 1 .. 6;
my $first_balance = 1000;

my $node = PostgreSQL::Test::Cluster->new('transfers');
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
restart_after_crash = on
deadlock_timeout = 20ms
log_min_messages = info
log_statement = none
});
$node->start;

$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION actor;
	CREATE SCHEMA account;
	-- no unique constraints: what is there twice must show
	CREATE TABLE account.journal (actor text, seq bigint, operation text, delta int, balance bigint);
	CREATE TABLE account.done (operation text, changes int, kind text);

	CREATE FUNCTION account._change(operation text, delta int) RETURNS int LANGUAGE plpgsql AS \$\$
	DECLARE
		seq bigint := actor_get('seq', 0::bigint) + 1;
		balance bigint := actor_get('balance', ${first_balance}::bigint) + delta;
	BEGIN
		PERFORM actor_set('seq', seq), actor_set('balance', balance);
		INSERT INTO account.journal VALUES (actor_id(), seq, operation, delta, balance);
		RETURN 1;
	END \$\$;

	-- passes an amount on along a path of ids of actors, with these words between them:
	-- "try": an error of the rest is caught; "abort": an error; "wait": a moment
	CREATE FUNCTION account._pass(operation text, amount int, path jsonb) RETURNS int LANGUAGE plpgsql AS \$\$
	DECLARE
		step text := path ->> 0;
		changes int := 0;
	BEGIN
		IF step IS NULL THEN
			RETURN 0;
		ELSIF step = 'abort' THEN
			RAISE 'aborted';
		ELSIF step = 'wait' THEN
			PERFORM pg_sleep(0.002);
			RETURN account._pass(operation, amount, path - 0);
		ELSIF step = 'try' THEN
			BEGIN
				changes := account._pass(operation, amount, path - 0);
			EXCEPTION WHEN OTHERS THEN
				changes := 0;
			END;
			RETURN changes;
		END IF;
		changes := account._change(operation, -amount);
		RETURN changes + actor_invoke('account', step, 'receive',
			jsonb_build_object('operation', operation, 'amount', amount, 'path', path - 0))::int;
	END \$\$;
	CREATE FUNCTION account.receive(operation text, amount int, path jsonb) RETURNS int LANGUAGE plpgsql AS \$\$
	BEGIN
		RETURN account._change(operation, amount) + account._pass(operation, amount, path);
	END \$\$;
	CREATE FUNCTION account.begin(operation text, amount int, path jsonb) RETURNS void LANGUAGE plpgsql AS \$\$
	DECLARE
		changes int := account._pass(operation, amount, path);
	BEGIN
		INSERT INTO account.done VALUES (operation, changes, coalesce(actor_cause() ->> 'kind', 'call'));
	END \$\$;
	CREATE FUNCTION account.balance() RETURNS bigint STABLE LANGUAGE sql AS \$\$ SELECT actor_get('balance', ${first_balance}::bigint) \$\$;
	SELECT actor_register('account');
});
my $has_messages =
  $node->safe_psql('postgres', "SELECT count(*) FROM pg_proc WHERE proname = 'actor_send'");

# what sessions do ------------------------------------------------------------

sub one_of
{
	return $_[ int(rand(@_)) ];
}

# Different actors in random order.
sub some_actors
{
	my ($count) = @_;
	my @rest = @actors;

	return map { splice(@rest, int(rand(@rest)), 1) } 1 .. $count;
}

# A path; one that must end well in the end has no error that is not caught.
sub path
{
	my ($must_end, @ids) = @_;
	my @path;
	my $caught = 0;

	foreach my $id (@ids)
	{
		if (@path && rand() < 0.25)
		{
			push @path, 'try';
			$caught = 1;
		}
		push @path, 'wait' if rand() < 0.2;
		push @path, $id;
	}
	push @path, 'abort' if rand() < 0.15 && ($caught || !$must_end);
	return '[' . join(', ', map { "\"$_\"" } @path) . ']';
}

sub data
{
	my ($operation, $must_end, @ids) = @_;
	my $amount = 1 + int(rand(50));

	return qq({"operation": "$operation", "amount": $amount, "path": ) . path($must_end, @ids) . '}';
}

# A statement that does an operation, at once or later.
sub statement
{
	my ($operation) = @_;
	my ($first, @rest) = some_actors(2 + int(rand(3)));
	my $kind = rand();

	if ($kind < 0.15)
	{
		my $due = int(rand(300));
		my $data = data($operation, 1, @rest);
		return qq{SELECT actor_set_reminder('account', '$first', '$operation', '${due}ms', data => '$data',
			method => 'begin', failure_policy => '{"constant": {"interval": "20ms", "maxRetries": 100000}}');};
	}
	if ($kind < 0.3 && $has_messages)
	{
		my $data = data($operation, 1, @rest);
		return qq{SELECT actor_send('account', '$first', 'begin', '$data');};
	}
	# sometimes in a circle, which is refused as reentry
	push @rest, $first if rand() < 0.05;
	my $data = data($operation, 0, @rest);
	return qq{SELECT actor_invoke('account', '$first', 'begin', '$data');};
}

# A transaction, which says in the end which operations it has committed and
# which it has not.
sub transaction
{
	my ($name) = @_;
	my @sql = ('BEGIN;', 'SELECT txid_current() AS xid \gset');
	my (@kept, @undone);
	my $count = one_of(1, 1, 1, 2, 3);

	push @sql, 'SET LOCAL statement_timeout = ' . one_of(3, 10, 30) . ';' if rand() < 0.15;
	push @sql, 'SET LOCAL lock_timeout = ' . one_of(1, 5, 20) . ';' if rand() < 0.15;
	push @sql, 'SET LOCAL actor.call_timeout = ' . one_of(1, 10, 100) . ';' if rand() < 0.3;
	foreach my $n (1 .. $count)
	{
		my $operation = "$name.$n";

		if (rand() < 0.25)
		{
			my $undo = rand() < 0.5;

			push @sql, "SAVEPOINT s$n;", statement($operation),
			  $undo ? "ROLLBACK TO s$n;" : "RELEASE s$n;";
			push @{ $undo ? \@undone : \@kept }, $operation;
		}
		else
		{
			push @sql, statement($operation);
			push @kept, $operation;
		}
		push @sql, "SELECT actor_invoke('account', '" . one_of(@actors) . "', 'balance');"
		  if rand() < 0.2;
	}
	push @sql, rand() < 0.1 ? 'ROLLBACK;' : 'COMMIT;',
	  'SELECT txid_status(:xid) AS status \gset',
	  "\\echo :status @kept - @undone";
	return join("\n", @sql) . "\n";
}

my $stop_file = $node->basedir . '/stop';

# Makes transactions until somebody says stop.  Runs in a process of its own.
sub session
{
	my ($number) = @_;
	my $base = $node->basedir . "/session_$number";

	srand($seed + $number);
	for (my $round = 0; !-e $stop_file; $round++)
	{
		open(my $script, '>', "$base.sql") or die $!;
		print $script transaction("s$number.$round.$_") foreach 1 .. 25;
		close $script;
		# (a lost connection ends psql)
		system("psql -X -q -A -t -d '" . $node->connstr('postgres')
			  . "' -f $base.sql >> $base.out 2>> $base.err") == 0
		  or select(undef, undef, undef, 0.05);
	}
}

my @children;
foreach my $number (1 .. $sessions)
{
	my $pid = fork() // die "fork: $!";

	if ($pid == 0)
	{
		eval { session($number); };
		# not exit: the server is the parent's
		POSIX::_exit($@ ? 1 : 0);
	}
	push @children, $pid;
}

# what happens to the server -----------------------------------------------------

# How many operations have been done; undefined while there is no server.
sub done
{
	my ($ret, $stdout, $stderr) = $node->psql('postgres', 'SELECT count(*) FROM account.done');

	return $ret == 0 ? $stdout : undef;
}

# Waits until there have been more operations.
sub wait_for_work
{
	my ($count) = @_;
	my ($first, $now);

	for (1 .. 10 * $PostgreSQL::Test::Utils::timeout_default)
	{
		$now = done();
		$first //= $now;
		return 1 if defined $now && $now >= $first + $count;
		select(undef, undef, undef, 0.1);
	}
	return 0;
}

# The process id of a process of some kind; that of a session if there is none.
sub victim
{
	my ($kind) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT pid FROM pg_stat_activity
		 WHERE backend_type IN ('$kind', 'client backend') AND pid <> pg_backend_pid()
		 ORDER BY backend_type <> '$kind', state <> 'active', random() LIMIT 1});
}

my @harm = (
	[ 'a session is killed' => sub { kill 'KILL', victim('client backend') } ],
	[ 'an executor is terminated' => sub { kill 'TERM', victim('actor executor') } ],
	[ 'an executor is killed' => sub { kill 'KILL', victim('actor executor') } ],
	[ 'a scheduler is killed' => sub { kill 'KILL', victim('actor scheduler') } ],
	[ 'the server is stopped at once' => sub { $node->stop('immediate'); $node->start; 1 } ],
	[ 'the launcher is killed' => sub { kill 'KILL', victim('actor launcher') } ]);
my $rounds = $ENV{ACTOR_ROUNDS} // scalar @harm;
ok(wait_for_work(50), 'sessions work');
foreach my $round (0 .. $rounds - 1)
{
	my ($what, $do) = @{ $harm[ $round % @harm ] };

	ok($do->(), $what);
	ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is there');
	ok(wait_for_work(50), 'and work goes on');
}
append_to_file($stop_file, "stop\n");
foreach my $pid (@children)
{
	waitpid($pid, 0);
	is($?, 0, 'a session ends');
}
# SIGKILL does not end a server that has lost its first process to it meanwhile
ok($node->poll_query_until('postgres', 'SELECT true'), 'the server is there');
ok( $node->poll_query_until('postgres', q{
		SELECT NOT EXISTS (SELECT FROM actor.reminder)})
	  && (!$has_messages || $node->poll_query_until('postgres', q{
		SELECT NOT EXISTS (SELECT FROM actor.message)})),
	'what was left to do is done');

# what must be true ----------------------------------------------------------------

my (%committed, %aborted);
foreach my $number (1 .. $sessions)
{
	foreach my $line (split /\n/, slurp_file($node->basedir . "/session_$number.out"))
	{
		next unless $line =~ /^(committed|aborted) (.*)- ?(.*)$/;
		my ($status, $kept, $undone) = ($1, $2, $3);

		$committed{$_} = 1 foreach $status eq 'committed' ? split(' ', $kept) : ();
		$aborted{$_} = 1
		  foreach split(' ', $undone), $status eq 'aborted' ? split(' ', $kept) : ();
	}
}
note(scalar(keys %committed) . ' operations committed, ' . scalar(keys %aborted) . ' not');
cmp_ok(scalar keys %committed, '>', 100, 'many operations were committed');
cmp_ok(scalar keys %aborted, '>', 20, 'and many were not');

my %done;
foreach (split /\n/, $node->safe_psql('postgres', 'SELECT operation, kind FROM account.done'))
{
	my ($operation, $kind) = split /\|/;
	push @{ $done{$operation} }, $kind;
}
my %failed = map { $_ => 1 } split /\n/,
  $node->safe_psql('postgres', q{SELECT coalesce(payload ->> 'operation', name) FROM actor.failure});
note(join ', ', map { my $kind = $_; "$kind: " . grep { $_->[0] eq $kind } values %done } qw(call reminder message));

is(join(' ', grep { @{ $done{$_} } > 1 } sort keys %done), '', 'no operation was done twice');
# what ran in three crashes is given up, see doc/reference.md
is(join(' ', grep { !$done{$_} && !$failed{$_} } sort keys %committed),
	'', 'every committed operation was done');
is(join(' ', grep { $done{$_} } sort keys %aborted), '', 'no aborted operation was done');
is(join(' ', grep { $done{$_} } sort keys %failed), '', 'no operation that was given up was done');
cmp_ok(scalar(grep { $_->[0] eq 'reminder' } values %done), '>', 10, 'reminders have fired');

is( $node->safe_psql('postgres', q{
		SELECT operation, sum(delta), count(*), max(changes)
		  FROM account.journal FULL JOIN account.done USING (operation)
		 GROUP BY operation
		HAVING max(changes) IS NULL OR coalesce(sum(delta), 0) <> 0 OR count(seq) <> max(changes)}),
	'', 'each was done as a whole');
is( $node->safe_psql('postgres', q{
		SELECT actor, seq FROM (
			SELECT actor, seq, row_number() OVER w AS place, balance,
				1000 + sum(delta) OVER w AS computed
			  FROM account.journal WINDOW w AS (PARTITION BY actor ORDER BY seq)) j
		 WHERE seq <> place OR balance <> computed}),
	'', 'the history of every actor is serial');
is( $node->safe_psql('postgres', q{
		SELECT actor, j.seq, s.seq, j.balance, s.balance
		  FROM (SELECT actor, count(*) AS seq, 1000 + sum(delta) AS balance
				  FROM account.journal GROUP BY actor) j
		  FULL JOIN (SELECT actor_id AS actor,
						max(value::text) FILTER (WHERE key = 'seq')::bigint AS seq,
						max(value::text) FILTER (WHERE key = 'balance')::bigint AS balance
					   FROM actor.state GROUP BY actor_id) s USING (actor)
		 WHERE (j.seq, j.balance) IS DISTINCT FROM (s.seq, s.balance)}),
	'', 'the state of every actor is what its history says');
is( $node->safe_psql('postgres', q{
		SELECT sum(value::text::bigint), count(*) FROM actor.state WHERE key = 'balance'}),
	($first_balance * @actors) . '|' . @actors, 'the total is what it was');
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
	'0', 'no turn is held');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal (4|6|7|8|11)\b/,
	'nothing has crashed but what was killed');

done_testing();
