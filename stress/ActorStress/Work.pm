# What sessions do: random transactions, each as a text for psql.  The random
# numbers of a session depend on the seed only, so it says the same again;
# what comes of it depends on the others.
#
# Work has a tag.  A transaction that asks for work says so in s.asked, under the
# same savepoint: it counts if and only if that commits.  Whatever the server has
# answered is in the output: the tags of a commit, and what a call has read.
package ActorStress::Work;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use POSIX ();

our @EXPORT_OK = qw(start_session start_reader @actors);

our @actors = map { "a$_" } 1 .. 16;

# texts of a batch, for which one psql is started
my $batch = 20;

sub one_of
{
	return $_[ int(rand(@_)) ];
}

sub chance
{
	return rand() < shift;
}

# A path of ids of actors; one that must come to a good end has no error that is
# not caught.
sub path
{
	my $must_end = shift;
	my @path;
	my $caught = 0;

	for (1 .. one_of(0, 0, 0, 1, 1, 2, 3, 5))
	{
		if (chance(0.25))
		{
			push @path, 'try';
			$caught = 1;
		}
		push @path, 'wait' if chance(0.1);
		push @path, 'look' if chance(0.2);
		push @path, one_of(@actors);
	}
	push @path, 'abort' if chance(0.2) && ($caught || !$must_end);
	return '[' . join(', ', map { "\"$_\"" } @path) . ']';
}

sub payload
{
	my ($tag, $must_end) = @_;

	return qq('{"tag": "$tag", "path": ) . path($must_end) . q(}');
}

sub asked
{
	my ($tag, $kind, $least, $most) = @_;

	return "INSERT INTO s.asked VALUES ('$tag', '$kind', $least, $most);";
}

sub reminder
{
	my ($tag, $kind, $least, $name) = @_;
	my $times = one_of(1, 1, 1, 2, 4);
	# a whole series is late from the beginning
	my ($due, $period) = $times > 1
	  ? (qq{to_char(now() - interval '5 seconds', 'YYYY-MM-DD"T"HH24:MI:SSOF:00')}, "'R$times/PT1S'")
	  : ("'" . one_of(0, 0, 10, 50, 200) . "ms'", 'NULL');
	my $call =
	  qq{SELECT actor_set_reminder('s', '@{[ one_of(@actors) ]}', '$name', $due, $period, data => @{[ payload($tag, 1) ]},
	method => 'work', catch_up => 'all', failure_policy => '{"constant": {"interval": "20ms", "maxRetries": 100000}}');};

	return "$call\n" . asked($tag, $kind, $least ? $times : 0, $times);
}

# What a statement of a transaction can be.  Each function gets a tag.
my %statements = (
	call => sub {
		my $tag = shift;
		return "SELECT actor_invoke('s', '@{[ one_of(@actors) ]}', 'work', @{[ payload($tag) ]});\n"
		  . asked($tag, 'call', 1, 1);
	},
	look => sub {
		return "SELECT actor_invoke('s', '@{[ one_of(@actors) ]}', 'look');";
	},
	send => sub {
		my $tag = shift;
		my $due = chance(0.3) ? ", due_time => '" . one_of(20, 100, 300) . "ms'" : '';
		return "SELECT actor_send('s', '@{[ one_of(@actors) ]}', 'work', @{[ payload($tag, 1) ]}$due);\n"
		  . asked($tag, 'message', 1, 1);
	},
	# by the session, or by the scheduler
	publish => sub {
		my $tag = shift;
		return 'SET LOCAL actor.publish_limit = ' . one_of(0, 2, 1000) . ";\n"
		  . "SELECT actor_publish('plain', @{[ payload($tag, 1) ]}, 's');\n" . asked($tag, 'event', 4, 4);
	},
	remind => sub { return reminder($_[0], 'reminder', 1, $_[0]) },
	# the next one that is set takes its place
	replace => sub { return reminder($_[0], 'replaced', 0, 'again') },
	# ends with the activation of its actor
	timer => sub {
		my $tag = shift;
		return "SELECT actor_set_timer('s', '@{[ one_of(@actors) ]}', '$tag', '10ms', 'R2/PT1S',"
		  . " data => @{[ payload($tag, 1) ]}, method => 'work');\n"
		  . asked($tag, 'timer', 0, 2);
	},
	remove => sub {
		return "SELECT actor_delete_reminder('s', '@{[ one_of(@actors) ]}', 'again');";
	},
	deactivate => sub {
		return "SELECT actor_deactivate('s', '@{[ one_of(@actors) ]}');";
	});
my @mix = (
	(map { 'call' } 1 .. 8), (map { 'send' } 1 .. 4), (map { 'remind' } 1 .. 3),
	qw(look look publish publish replace replace remove timer timer deactivate));

# Ends a transaction, in which the work of a tag may have been asked for, by some
# statements; says what there is when the last of them was answered.
sub answered
{
	my ($tag, @end) = @_;

	return (
		'\set there', "SELECT coalesce(string_agg(tag, ' '), '') AS there FROM s.asked",
		" WHERE tag = '$tag' OR (tag >= '$tag.' AND tag < '$tag/') \\gset",
		@end, '\if :ERROR', '\else', '\echo committed :there', '\endif');
}

# Several statements, some of them in savepoints.
sub statements
{
	my $tag = shift;
	my @sql;

	for my $n (1 .. one_of(1, 1, 1, 2, 3))
	{
		my $statement = $statements{ one_of(@mix) }->("$tag.$n");

		push @sql, chance(0.25)
		  ? ("SAVEPOINT s$n;", $statement, chance(0.5) ? "ROLLBACK TO s$n;" : "RELEASE s$n;")
		  : $statement;
	}
	return @sql;
}

sub limits
{
	return (
		chance(0.1) ? 'SET LOCAL statement_timeout = ' . one_of(3, 10, 30) . ';' : (),
		chance(0.1) ? 'SET LOCAL lock_timeout = ' . one_of(1, 5, 20) . ';' : (),
		chance(0.2) ? 'SET LOCAL actor.call_timeout = ' . one_of(1, 10, 100) . ';' : ());
}

# Some transactions for one tag.
my %transactions = (
	plain => sub {
		my $tag = shift;
		return ('BEGIN;', limits(), statements($tag), chance(0.1) ? 'ROLLBACK;' : answered($tag, 'COMMIT;'));
	},
	# what is read was written by others a moment ago
	read => sub {
		my $actor = one_of(@actors);

		return map { ("SELECT actor_invoke('s', '$actor', 'version') AS version \\gset", '\if :ERROR', '\else',
			"\\echo read $actor :version", '\endif') } 1 .. 3;
	},
	# a call or a message that is repeated with its request id
	request => sub {
		my $tag = shift;
		my $actor = one_of(@actors);
		my @once = chance(0.5)
		  ? (
			"SELECT actor_invoke('s', '$actor', 'work', @{[ payload($tag) ]}, request_id => '$tag');",
			asked($tag, 'request', 1, 1))
		  : (
			"SELECT actor_send('s', '$actor', 'work', @{[ payload($tag, 1) ]}, request_id => '$tag');",
			asked($tag, 'request', 1, 1));

		return map { ('BEGIN;', @once, chance(0.2) ? 'ROLLBACK;' : answered($tag, 'COMMIT;')) } 1 .. 3;
	},
	# a message that is cancelled if it is still there
	cancel => sub {
		my $tag = shift;
		my $actor = one_of(@actors);

		return (
			'\set id 0', 'BEGIN;',
			"SELECT actor_send('s', '$actor', 'work', @{[ payload($tag, 1) ]}, due_time => '20ms') AS id \\gset",
			asked($tag, 'cancelled', 1, 1), 'COMMIT;', '\set gone f', 'BEGIN;',
			"SELECT actor_cancel_message('s', '$actor', :id) AS gone \\gset", '\if :gone',
			"UPDATE s.asked SET least = 0, most = 0 WHERE tag = '$tag';", '\endif', 'COMMIT;');
	},
	# an event that is kept, whose subscribers do nothing but note it
	event => sub {
		my $tag = shift;

		return ('BEGIN;', limits(), 'SET LOCAL actor.publish_limit = ' . one_of(0, 2, 1000) . ';',
			"INSERT INTO s.published SELECT '$tag', actor_publish('kept', '{\"tag\": \"$tag\", \"path\": []}', 's');",
			asked($tag, 'event', 4, 4), chance(0.1) ? 'ROLLBACK;' : answered($tag, 'COMMIT;'));
	},
	# a turn that is open over several transactions, and closed or left to end
	open => sub {
		my $tag = shift;
		my $actor = one_of(@actors);

		return (
			'\set chain 00000000-0000-0000-0000-000000000000',
			"SELECT actor_open_turn('s', '$actor', '" . one_of('20 ms', '100 ms', '500 ms') . "') AS chain \\gset",
			(
				map {
					(
						'BEGIN;', limits(),
						"SELECT actor_invoke('s', '$actor', 'work', @{[ payload(\"$tag.$_\") ]}, :'chain');",
						asked("$tag.$_", 'open', 1, 1), chance(0.1) ? 'ROLLBACK;' : answered("$tag.$_", 'COMMIT;'))
				} 1 .. one_of(1, 2, 4)),
			chance(0.7) ? "SELECT actor_close_turn('s', '$actor', :'chain');" : ());
	},
	# in two phases; what is left prepared after a crash is decided by somebody else
	prepare => sub {
		my $tag = shift;

		return ('BEGIN;', statements($tag),
			chance(0.2)
			? ("PREPARE TRANSACTION '$tag';", "ROLLBACK PREPARED '$tag';")
			: answered($tag, "PREPARE TRANSACTION '$tag';", "COMMIT PREPARED '$tag';"));
	});
my @transaction_mix = ((map { 'plain' } 1 .. 12), qw(request cancel event event open open prepare read read));

# Runs texts in one psql after the other, until there are as many as wanted or
# somebody says stop.  Runs in a process of its own, which ends here.
sub work_loop
{
	my ($server, $name, $role, $stop, $count, $make) = @_;
	my $base = "$server->{folder}/$name";

	for (my $n = 0; $n < $count && !-e $stop; $n += $batch)
	{
		open my $file, '>', "$base.sql" or POSIX::_exit(1);
		print $file "SET client_min_messages = warning;\n";
		print $file join("\n", $make->("$name.$n." . $_)), "\n" for 1 .. $batch;
		close $file;
		# (psql ends when it loses its connection)
		system($server->psql("$base.sql", $role) . " >> '$base.out' 2>> '$base.err'") == 0
		  or select undef, undef, undef, 0.05;
	}
	# not exit: the server is the parent's
	return POSIX::_exit(0);
}

sub in_background
{
	my $work = shift;
	my $pid = fork // die "fork: $!\n";

	$work->() if $pid == 0;
	return $pid;
}

# Starts a session that works, and returns its process.
sub start_session
{
	my ($server, $number, %options) = @_;

	return in_background(
		sub {
			srand($options{seed} * 1000 + $number);
			# (a short run has some of each kind)
			my @first = qw(request cancel event open plain);

			work_loop($server, "session$number", 'stress', $options{stop}, $options{transactions},
				sub { return $transactions{ shift @first // one_of(@transaction_mix) }->(shift) });
		});
}

# Starts one that reads, on a standby.
sub start_reader
{
	my ($server, %options) = @_;

	return in_background(
		sub {
			srand($options{seed} * 1000);
			work_loop($server, 'reader', 'stress', $options{stop}, $options{transactions},
				sub {
					return chance(0.8)
					  ? $statements{look}->()
					  : (
						'BEGIN ISOLATION LEVEL REPEATABLE READ;',
						(map { $statements{look}->() } 1 .. 5), 'COMMIT;');
				});
		});
}

1;
