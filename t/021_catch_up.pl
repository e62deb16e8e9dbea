# What becomes of the firings that a server has missed while it was down.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE TABLE hit (n bigserial, id text, scheduled_at timestamptz, fired_at timestamptz,
		missed bigint, remaining bigint);
	CREATE SCHEMA t;
	CREATE FUNCTION t.fire() RETURNS void LANGUAGE sql AS $$
		INSERT INTO hit (id, scheduled_at, fired_at, missed, remaining)
		SELECT actor_id(), (c ->> 'scheduled_at')::timestamptz, (c ->> 'fired_at')::timestamptz,
			(c ->> 'missed')::bigint, (c ->> 'remaining')::bigint
		FROM actor_cause() c $$;
	SELECT actor_register('t')});

# All are due for the first time only when the server is down.
my $pause = 6;
for my $policy ('one', 'all', 'skip')
{
	my $rest = "catch_up => '$policy', method => 'fire'";

	$node->safe_psql('postgres', qq{
		BEGIN;
		SELECT actor_set_reminder('t', '$policy forever', 'x', '3s', '1s', $rest);
		SELECT actor_set_reminder('t', '$policy counted', 'x', '3s', 'R3/PT1S', $rest);
		SELECT actor_set_reminder('t', '$policy long', 'x', '3s', 'R30/PT1S', $rest);
		SELECT actor_set_reminder('t', '$policy expired', 'x', '3s', '1s', '2500ms', $rest);
		SELECT actor_set_reminder('t', '$policy slow', 'x', '3s', '1h', $rest);
		SELECT actor_set_reminder('t', '$policy once', 'x', '3s', $rest);
		COMMIT});
}
my $last = $node->safe_psql('postgres', q{SELECT extract(epoch FROM max(first_at)) FROM actor.reminder});
my $before = $node->safe_psql('postgres', 'SELECT count(*) FROM hit');
$node->stop('fast');
is($before, '0', 'the server is down before anything is due')
  or BAIL_OUT('this machine is too slow for anything to be missed');
sleep 0.1 while time < $last + $pause;
$node->start;

ok( $node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.reminder
		WHERE actor_id ~ 'counted|expired|once'}),
	'what had an end has come to it');
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM
		(SELECT id FROM hit WHERE id LIKE '%forever' GROUP BY id HAVING count(*) >= 3) h}),
	'what has none goes on');
ok( $node->poll_query_until('postgres', q{SELECT count(*) >= 2 FROM hit WHERE id = 'skip long'}),
	'what has many firings goes on');

sub firings
{
	my ($id, $columns) = @_;
	return $node->safe_psql('postgres',
		"SELECT string_agg(format($columns), ', ' ORDER BY n) FROM hit WHERE id = '$id'");
}

# one: a single firing stands for all
is(firings('one counted', q{'%s %s', missed, remaining}), '2 0', 'one: three are one');
is(firings('one expired', q{'%s', missed}), '2', 'one: of three before the end');
is(firings('one slow', q{'%s', missed}), '0', 'one: late by less than a period');
is(firings('one once', q{'%s %s', missed, remaining}), '0 0', 'one: a single firing comes late');
is( $node->safe_psql('postgres', qq{SELECT scheduled_at = (SELECT first_at FROM actor.reminder
			WHERE actor_id = 'one forever') AND missed >= $pause - 1
		FROM hit WHERE id = 'one forever' ORDER BY n LIMIT 1}),
	't', 'one: it is that of the first that was missed');

# all: each of them
is(firings('all counted', q{'%s %s', missed, remaining}), '0 2, 0 1, 0 0', 'all: each fires');
is(firings('all expired', q{'%s', missed}), '0, 0, 0', 'all: until the end');
is(firings('all once', q{'%s', missed}), '0', 'all: a single firing comes late');

# skip: none of them
is(firings('skip counted', q{'%s', missed}), '', 'skip: none fires when all were missed');
is(firings('skip expired', q{'%s', missed}), '', 'skip: nor when it has expired');
is(firings('skip slow', q{'%s', missed}), '0', 'skip: what is late by less than a period fires');
is(firings('skip once', q{'%s', missed}), '0', 'skip: a single firing comes late');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM hit
		WHERE id ~ '^skip (forever|long)' AND fired_at >= scheduled_at + interval '1 s'}),
	'0', 'skip: nothing fires that is late by a period');

# all of them: on the grid, nothing twice, and missed ones are counted
for my $id (map { ("$_ forever", "$_ long") } 'one', 'all', 'skip')
{
	is( $node->safe_psql('postgres', qq{
			SELECT count(*) FROM
				(SELECT h.scheduled_at, h.scheduled_at - r.first_at AS after,
					lag(h.scheduled_at + (h.missed + 1) * interval '1 s') OVER (ORDER BY n) AS earliest,
					row_number() OVER (ORDER BY n) AS number
				FROM hit h JOIN actor.reminder r ON r.actor_id = h.id WHERE h.id = '$id') g
			WHERE extract(epoch FROM after) <> floor(extract(epoch FROM after))
				OR scheduled_at < earliest
				OR ('$id' LIKE 'all%' AND extract(epoch FROM after) <> number - 1)
				OR ('$id' LIKE 'one%' AND scheduled_at <> earliest)}),
		'0', "$id: the firings are on the grid, each once");
}
is( $node->safe_psql('postgres', q{SELECT count(*) FROM hit h JOIN actor.reminder r ON r.actor_id = h.id
		WHERE h.id LIKE '%long' AND h.remaining <>
			29 - h.missed - extract(epoch FROM h.scheduled_at - r.first_at)}),
	'0', 'and what is left is right, missed ones included');

# a due time in the past that is registered now: the same
for my $policy ('one', 'all', 'skip')
{
	$node->safe_psql('postgres', qq{
		SELECT actor_set_reminder('t', '$policy past', 'x', now() - interval '10 hours',
			interval '3 hours', interval '9 hours 1 second', catch_up => '$policy', method => 'fire');
		SELECT actor_set_reminder('t', '$policy past once', 'x', now() - interval '10 hours',
			catch_up => '$policy', method => 'fire')});
}
ok( $node->poll_query_until('postgres',
		q{SELECT count(*) = 0 FROM actor.reminder WHERE actor_id LIKE '% past%'}),
	'what begins in the past comes to its end');
is(firings('one past', q{'%s', missed}), '3', 'one: four are one');
is(firings('all past', q{'%s', missed}), '0, 0, 0, 0', 'all: four are four');
is(firings('skip past', q{'%s', missed}), '', 'skip: four are none');
is(firings("$_ past once", q{'%s', missed}), '0', "$_: a single firing in the past fires at once")
  for 'one', 'all', 'skip';

# skip, with a period that nothing can keep up with
$node->safe_psql('postgres', q{
	SELECT actor_set_reminder('t', 'skip fast', 'x', interval '0', interval '100 us',
		catch_up => 'skip', method => 'fire')});
ok( $node->poll_query_until('postgres', q{SELECT count(*) >= 3 FROM hit WHERE id = 'skip fast'}),
	'skip: what is late by less than a second fires');
$node->safe_psql('postgres', q{SELECT actor_delete_reminder('t', 'skip fast', 'x')});

$node->stop;
done_testing();
