# What must be true when all work has come to its end.
package ActorStress::Check;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(check_all wrong_rows index_faults equal_to client_errors answers lost_answers counts @rules);

# Each has a name and a query for what is wrong.
our @rules = (
	[
		'work that nobody has asked for' => q{
		SELECT tag, kind FROM s.done d WHERE NOT EXISTS (SELECT FROM s.asked a WHERE a.tag = d.tag)
		UNION ALL
		SELECT tag, 'journal' FROM s.journal j WHERE NOT EXISTS (SELECT FROM s.asked a WHERE a.tag = j.tag)} ],
	[
		'work that was lost, or done twice' => q{
		SELECT tag, a.kind, a.least, a.most, coalesce(d.times, 0) AS done
		  FROM (SELECT tag, min(kind) AS kind, max(least) AS least, max(most) AS most FROM s.asked GROUP BY tag) a
		  LEFT JOIN (SELECT tag, count(*) AS times FROM s.done GROUP BY tag) d USING (tag)
		 WHERE coalesce(d.times, 0) NOT BETWEEN a.least AND a.most} ],
	[
		'work that was done by halves' => q{
		SELECT tag, d.changes, j.changes AS written
		  FROM (SELECT tag, sum(changes) AS changes FROM s.done GROUP BY tag) d
		  FULL JOIN (SELECT tag, count(*) AS changes FROM s.journal GROUP BY tag) j USING (tag)
		 WHERE d.changes IS DISTINCT FROM j.changes} ],
	[
		'a history that is not serial' => q{
		SELECT actor, version, place, tag
		  FROM (SELECT *, row_number() OVER (PARTITION BY actor ORDER BY version) AS place FROM s.journal) j
		 WHERE version <> place} ],
	[
		'state that is not what the history says' => q{
		SELECT actor, j.version, value
		  FROM (SELECT actor, max(version) AS version FROM s.journal GROUP BY actor) j
		  FULL JOIN (SELECT actor_id AS actor, value FROM actor.state WHERE actor_type = 's' AND key = 'version') st USING (actor)
		 WHERE to_jsonb(version) IS DISTINCT FROM value} ],
	[
		'state that is not what was written' => q{
		SELECT actor, key, left(m.value::text, 40), left(st.value::text, 40)
		  FROM s.mirror m
		  FULL JOIN (SELECT actor_id AS actor, key, value FROM actor.state
					  WHERE actor_type = 's' AND key <> 'activated') st USING (actor, key)
		 WHERE m.value IS DISTINCT FROM st.value} ],
	[
		'events out of order, or numbers that are missing' => q{
		SELECT actor, version, number
		  FROM (SELECT actor, version, number, lag(number) OVER (PARTITION BY actor ORDER BY version) AS before
				  FROM s.journal JOIN s.published USING (tag)) e
		 WHERE number <= before
		UNION ALL
		SELECT 'kept', p.highest, p.numbers
		  FROM (SELECT coalesce(max(number), 0) AS highest, count(DISTINCT number) AS numbers FROM s.published) p
		 WHERE p.highest <> p.numbers
			OR p.highest <> coalesce((SELECT last_event FROM actor.stream WHERE topic = 'kept'), 0)} ],
	[
		'request ids that were lost, or kept for what was not done' => q{
		SELECT request_id FROM actor.request
		EXCEPT SELECT tag FROM s.asked WHERE kind = 'request'
		UNION ALL
		(SELECT tag FROM s.asked WHERE kind = 'request' EXCEPT SELECT request_id FROM actor.request)} ],
	[
		'something that is left' => q{
		SELECT 'reminder', actor_id, name FROM actor.reminder UNION ALL
		SELECT 'message', actor_id, message_id::text FROM actor.message UNION ALL
		SELECT 'event', actor_id, topic FROM actor.fan_out UNION ALL
		SELECT 'timer', actor_id, name FROM actor.timer UNION ALL
		SELECT 'failure', actor_id, name FROM actor.failure UNION ALL
		SELECT 'pause', actor_id, NULL FROM actor.pause} ],
	[
		'turns that are held by nobody' => q{
		SELECT pid, classid, objid FROM pg_locks l
		 WHERE locktype = 'advisory' AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = l.pid AND a.state = 'active')} ]);

my $ours = q{
	SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
	 WHERE nspname IN ('actor', 's') AND relkind = 'r'};

# The first rows that a query finds, after some other SQL in a transaction that
# is rolled back; the empty string if all is well.
sub wrong_rows
{
	my ($server, $query, $before) = @_;

	# (all of the tables is read: hashed, whatever is known of their sizes)
	return $server->sql(
		'BEGIN; ' . ($before // '') . "; SET LOCAL enable_nestloop = off; SELECT * FROM ($query) w LIMIT 5; ROLLBACK;");
}

# What amcheck says about tables and indexes; empty if all is well.
sub index_faults
{
	my ($server, $before) = @_;
	my ($good, $out, $errors) = $server->try_sql(
		'BEGIN; ' . ($before // '') . qq{;
		SELECT bt_index_parent_check(indexrelid, true) FROM pg_index
		  JOIN pg_class i ON i.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
		 WHERE indrelid IN ($ours) AND indisvalid AND amname = 'btree' ORDER BY indexrelid;
		SELECT 'fault', v.* FROM pg_class c, verify_heapam(c.oid) v WHERE c.oid IN ($ours);
		ROLLBACK;}, seconds => 0);

	return $good ? join("\n", grep { /^fault/ } split /\n/, $out) : $errors;
}

# One line for each table that is on a standby, too: its name, and what is in it.
sub digests
{
	my ($server, $before) = @_;
	my $tables = $server->sql(
		"SELECT oid::regclass FROM pg_class WHERE oid IN ($ours) AND relpersistence = 'p' ORDER BY 1::text");

	return $server->sql(
		'BEGIN; ' . ($before // '') . ';' . join(
			'',
			map {
				"SELECT '$_', count(*), sum(hashtextextended(t::text, 0)), md5(string_agg(md5(t::text), '' ORDER BY t::text COLLATE \"C\")) FROM $_ t;\n"
			} split /\n/, $tables)
		  . 'ROLLBACK;');
}

# Which tables differ on a standby that has caught up; empty if none does.
sub equal_to
{
	my ($primary, $standby, $before) = @_;
	my $end = time + 180;
	my $lsn = $primary->sql('SELECT pg_current_wal_lsn()');

	while ($standby->sql("SELECT pg_last_wal_replay_lsn() >= '$lsn'") ne 't')
	{
		return 'it does not catch up' if time > $end;
		sleep 0.1;
	}
	my %there = map { /^([^|]*)/ => $_ } split /\n/, digests($standby);
	my %here = map { /^([^|]*)/ => $_ } split /\n/, digests($primary, $before);

	return join("\n", map { "$_ differs" } grep { ($here{$_} // '') ne ($there{$_} // '') } sort keys %{ { %here, %there } });
}

# Errors that work meets when all is well: of its own, of turns and locks, and of
# what is done to its session.
my %expected = map { $_ => 1 } qw(
  P0001 25P02 3B001 40001 40P01 42704 42710 53300 54000 55000 55006 55P03 57014 57P01 57P02 57P03 08006);

# The errors of all sessions: how many of each SQLSTATE, and the first of those
# that should not be.
sub client_errors
{
	my @paths = @_;
	my (%count, @strange);

	for my $path (@paths)
	{
		open my $file, '<', $path or next;
		while (my $line = <$file>)
		{
			next if $line !~ /(?:ERROR|FATAL|PANIC):  (\w{5}): (.*)/;
			$count{$1}++;
			push @strange, "$1: $2" if !$expected{$1} && @strange < 5;
		}
		close $file;
	}
	return (\%count, join("\n", @strange));
}

# What sessions were answered: tags that were committed, and the last version of
# each actor that was read.
sub answers
{
	my @paths = @_;
	my %answers = (committed => {}, read => {});

	for my $path (@paths)
	{
		open my $file, '<', $path or next;
		while (my $line = <$file>)
		{
			if ($line =~ /^committed (.*)/)
			{
				$answers{committed}{$_} = 1 foreach split / /, $1;
			}
			elsif ($line =~ /^read (\w+) (\d+)$/)
			{
				$answers{read}{$1} = $2 if $2 > ($answers{read}{$1} // 0);
			}
		}
		close $file;
	}
	return \%answers;
}

# The first answers that are not true any more; empty if all are.
sub lost_answers
{
	my ($server, $answers) = @_;
	my %asked = map { $_ => 1 } split /\n/, $server->sql('SELECT DISTINCT tag FROM s.asked');
	my %version = map { split /\|/ } split /\n/, $server->sql('SELECT actor, max(version) FROM s.journal GROUP BY actor');
	my @lost = (
		(map { "$_ was committed" } grep { !$asked{$_} } sort keys %{ $answers->{committed} }),
		(
			map { "version $answers->{read}{$_} of $_ was read" }
			grep { $answers->{read}{$_} > ($version{$_} // 0) } sort keys %{ $answers->{read} }));

	return join("\n", @lost > 5 ? @lost[ 0 .. 4 ] : @lost);
}

# Lines of the log of a server that must not be there.
sub log_faults
{
	my $server = shift;
	my @lines = grep {
		/PANIC:|TRAP:|was terminated by signal (?:4|6|7|8|11)\b|stress found|leak|invalid memory|cache lookup failed|you don't own|could not open relation/
	} $server->log_lines;

	return join('', @lines > 5 ? @lines[ 0 .. 4 ] : @lines);
}

# Checks everything; returns what is wrong, one entry for each rule that is broken.
sub check_all
{
	my ($primary, $standby, $strange, $answers) = @_;
	my @found;
	my $note = sub {
		my ($name, $what) = @_;
		push @found, "$name:\n$what" if $what ne '';
	};

	$note->($_->[0], wrong_rows($primary, $_->[1])) for @rules;
	$note->('indexes or tables that are not sound', index_faults($primary));
	$note->('a standby that is not equal', equal_to($primary, $standby));
	$note->("the log of the $_->{name}", log_faults($_)) for $primary, $standby;
	$note->('errors that sessions should not get', $strange);
	$note->('answers that were lost', lost_answers($primary, $answers));
	return @found;
}

# How much was done, as pairs of a kind and a number.
sub counts
{
	my $server = shift;

	return map { [ split /\|/ ] } split /\n/, $server->sql(q{
		SELECT 'asked: ' || kind, count(*) FROM s.asked GROUP BY kind UNION ALL
		SELECT 'done: ' || kind, count(*) FROM s.done GROUP BY kind UNION ALL
		SELECT 'changes of actors', count(*) FROM s.journal ORDER BY 1});
}

1;
