# Shows that the checker finds what is wrong: breaks one thing after the other,
# in transactions that are rolled back, and looks whether it is found.
package ActorStress::SelfTest;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';

use ActorStress::Check qw(answers client_errors equal_to index_faults lost_answers wrong_rows @rules);

our @EXPORT_OK = qw(self_test);

# some row of a table, by what may follow WHERE
sub one_row
{
	my ($table, $where) = @_;

	return "(SELECT ctid FROM $table WHERE $where ORDER BY ctid LIMIT 1)";
}

sub lose
{
	my ($table, $where) = (@_, 'true');

	return "DELETE FROM $table WHERE ctid = " . one_row($table, $where);
}

sub double
{
	my ($table, $where) = (@_, 'true');

	return "INSERT INTO $table SELECT * FROM $table WHERE ctid = " . one_row($table, $where);
}

my $sent = "tag IN (SELECT tag FROM s.asked WHERE kind IN ('message', 'reminder') AND least > 0)";

# what the history of its actor goes on after
my $not_last = 'version < (SELECT max(j.version) FROM s.journal j WHERE j.actor = journal.actor)';

# What is broken, how, and which rules must find it, among others.
my @faults = (
	[ 'an update lost' => lose('s.journal', $not_last), 'not serial', 'by halves' ],
	[ 'an update doubled' => double('s.journal'), 'not serial', 'by halves' ],
	[ 'the last update lost' => lose('s.journal', 'version = (SELECT max(version) FROM s.journal)'), 'history says' ],
	[ 'an effect lost' => lose('s.done', $sent), 'lost, or done twice', 'by halves' ],
	[ 'an effect doubled' => double('s.done', $sent), 'lost, or done twice', 'by halves' ],
	[ 'what was asked forgotten' => "DELETE FROM s.asked WHERE tag = (SELECT tag FROM s.done LIMIT 1)", 'nobody has asked' ],
	[
		'what was asked not done' => "INSERT INTO s.asked VALUES ('made up', 'message', 1, 1)",
		'lost, or done twice'
	],
	[
		'state set back' => "UPDATE actor.state SET value = to_jsonb(value::text::bigint - 1)"
		  . " WHERE ctid = " . one_row('actor.state', "key = 'version' AND actor_type = 's'"),
		'history says', 'was written'
	],
	[ 'state lost' => lose('actor.state', "key LIKE 'k%' AND actor_type = 's'"), 'was written' ],
	[ 'an event made up' => "INSERT INTO s.published VALUES ('made up', 1000000000)", 'out of order' ],
	[
		'events in another order' => "INSERT INTO s.published SELECT tag, -version FROM s.journal WHERE actor = 'a1'",
		'out of order'
	],
	[ 'a request id lost' => lose('actor.request'), 'request ids' ],
	[
		'a pause left' => "INSERT INTO actor.pause VALUES ('s', 'a1', now(), 'stress')",
		'something that is left'
	]);

# an index that does not have what its function says now
my $spoil_index = q{
	CREATE FUNCTION s.spoilt(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
	CREATE INDEX spoilt ON actor.state (s.spoilt(key));
	CREATE OR REPLACE FUNCTION s.spoilt(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN reverse($1); END'};

# Returns what was not found.
sub self_test
{
	my ($primary, $standby, $folder) = @_;
	my @missed;
	my $expect = sub {
		my ($what, $found) = @_;
		print "$what: ", $found ne '' ? 'found' : 'NOT FOUND', "\n";
		push @missed, $what if $found eq '';
	};

	for my $fault (@faults)
	{
		my ($what, $sql, @names) = @$fault;

		for my $name (@names)
		{
			my ($rule) = grep { $_->[0] =~ /\Q$name\E/ } @rules;

			$expect->("$what, by the rule for $rule->[0]", wrong_rows($primary, $rule->[1], $sql));
		}
	}
	$expect->('a turn held by nobody', held_turn($primary));
	$expect->('an index that is not sound', index_faults($primary, $spoil_index));
	$expect->('a standby with other rows', equal_to($primary, $standby, lose('actor.state')));
	$expect->('a line in the log', log_line($primary));

	open my $file, '>', "$folder/made_up" or die "$folder: $!\n";
	print $file "psql:x.sql:1: ERROR:  XX000: cache lookup failed\n";
	close $file;
	$expect->('an error of a session', (client_errors("$folder/made_up"))[1]);
	for my $answer ('committed made up', 'read a1 1000000000')
	{
		open $file, '>', "$folder/made_up" or die "$folder: $!\n";
		print $file "$answer\n";
		close $file;
		$expect->("an answer: $answer", lost_answers($primary, answers("$folder/made_up")));
	}
	return @missed;
}

# A lock of a prepared transaction belongs to no process.
sub held_turn
{
	my $primary = shift;
	my ($rule) = grep { $_->[0] =~ /held by nobody/ } @rules;

	$primary->sql("BEGIN; SELECT actor_deactivate('s', 'a1'); PREPARE TRANSACTION 'held'");
	my $found = wrong_rows($primary, $rule->[1]);
	$primary->sql("ROLLBACK PREPARED 'held'");
	return $found;
}

sub log_line
{
	my $primary = shift;

	$primary->sql("SELECT s._wrong('nothing, this is a test')");
	return ActorStress::Check::log_faults($primary);
}

1;
