# The worked examples of Dapr's documents, at a third of their length, fired by
# real workers: each firing is on the grid that the preview shows, and there are
# as many of them.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE TABLE hit (n bigserial, kind text, id text, scheduled_at timestamptz,
		fired_at timestamptz, attempt int, missed bigint, remaining bigint, data jsonb);
	CREATE TABLE plan (kind text, id text, due_time text, period text, ttl text,
		registered_at timestamptz);
	CREATE SCHEMA t;
	CREATE FUNCTION t.fire(data jsonb) RETURNS void LANGUAGE sql AS $$
		INSERT INTO hit (kind, id, scheduled_at, fired_at, attempt, missed, remaining, data)
		SELECT c ->> 'kind', actor_id(), (c ->> 'scheduled_at')::timestamptz,
			(c ->> 'fired_at')::timestamptz, (c ->> 'attempt')::int,
			(c ->> 'missed')::bigint, (c ->> 'remaining')::bigint, data
		FROM actor_cause() c $$;
	SELECT actor_register('t')});

# id, due_time, period, ttl, number of firings; undef: no end
my @examples = (
	[ 'forever', '0h0m3s0ms', '0h0m1s0ms', undef, undef ],
	[ 'counted', undef, 'R10/PT1S', undef, 10 ],
	[ 'expiring', undef, 'PT1S', '6666ms', 7 ],
	[ 'both', '3333ms', 'R4/PT1S', '3333ms', 4 ],
	[ 'count first', '10ms', 'R2/PT1S', '3333ms', 2 ],
	[ 'ttl first', '10ms', 'R9/PT1S', '2s', 2 ],
	[ 'quick', '0h0m0s90ms', '0h0m0s30ms', '301ms', 11 ],
	[ 'once', '0h0m0s90ms', undef, undef, 1 ],
	[ 'at once', undef, undef, undef, 1 ],
	[ 'iso', 'PT1S', undef, undef, 1 ]);

sub literal
{
	my ($value) = @_;
	return defined $value ? "'$value'" : 'NULL';
}

# All run at the same time.  The plan has the instant of registration.
for my $kind ('reminder', 'timer')
{
	for my $example (@examples)
	{
		my ($id, @times) = @$example;
		my $times = join(', ', map { literal($_) } @times[ 0 .. 2 ]);
		my $more = $kind eq 'reminder' ? ", catch_up => 'all'" : '';

		$node->safe_psql('postgres', qq{
			BEGIN;
			SELECT actor_set_$kind('t', '$id', 'x', $times,
				data => '{"a": 1}', method => 'fire'$more);
			INSERT INTO plan SELECT '$kind', actor_id, due_time, period, ttl, registered_at
				FROM actor.$kind WHERE actor_id = '$id';
			COMMIT});
	}
}

for my $kind ('reminder', 'timer')
{
	ok( $node->poll_query_until('postgres',
			qq{SELECT NOT EXISTS (SELECT FROM actor.$kind WHERE actor_id <> 'forever')}),
		"$kind: all that have an end come to it");
	ok( $node->poll_query_until('postgres', qq{SELECT count(*) >= 4 FROM hit
			WHERE id = 'forever' AND kind = '$kind'}),
		"$kind: the other one goes on");
	is($node->safe_psql('postgres', "SELECT count(*) FROM actor.$kind"),
		'1', "$kind: and is still there");
	is($node->safe_psql('postgres', "SELECT actor_delete_$kind('t', 'forever', 'x')"),
		't', "$kind: until it is deleted");
}

# the firings there should be, by number; the endless one as far as it has come
my $grid = q{(SELECT p.kind, p.id, g.at, g.number, p.period
	FROM plan p, LATERAL actor_schedule_preview(p.due_time, p.period, p.ttl, 1000,
		p.registered_at) WITH ORDINALITY AS g (at, local_time, time_zone, number)) grid};

for my $example (@examples)
{
	my ($id, @times) = @$example;
	my $count = $times[3];
	my $hits = "hit WHERE kind = 'reminder' AND id = '$id'";

	# reminders: exactly the grid, in its order
	is( $node->safe_psql('postgres', qq{
			SELECT count(*) FROM
				(SELECT scheduled_at, row_number() OVER (ORDER BY n) AS number FROM $hits) h
				LEFT JOIN $grid ON grid.kind = 'reminder' AND grid.id = '$id'
					AND grid.number = h.number
			WHERE h.scheduled_at IS DISTINCT FROM grid.at}),
		'0', "$id: firings of the reminder are those of the preview");
	is($node->safe_psql('postgres', "SELECT count(*) FROM $hits"), $count,
		"$id: $count of them")
	  if defined $count;
	is( $node->safe_psql('postgres', qq{
			SELECT count(*) FROM
				(SELECT remaining, row_number() OVER (ORDER BY n) AS number FROM $hits) h
			WHERE remaining IS DISTINCT FROM }
			  . (($times[1] // '') =~ /^R(\d+)/ ? "$1 - number"
				: defined $times[1] ? 'NULL' : '0')),
		'0', "$id: each knows how many are left")
	  unless $id eq 'ttl first' || $id eq 'expiring' || $id eq 'quick' || $id eq 'both';

	# timers: on the grid; what was missed is counted
	my $timer = "(SELECT *, sum(1 + missed) OVER (ORDER BY n) AS number FROM hit"
	  . " WHERE kind = 'timer' AND id = '$id') h";

	is( $node->safe_psql('postgres', qq{
			SELECT count(*) FROM $timer WHERE NOT EXISTS (SELECT FROM $grid
				WHERE grid.kind = 'timer' AND grid.id = '$id' AND grid.at = h.scheduled_at
				AND grid.number = h.number - h.missed)}),
		'0', "$id: firings of the timer are on the grid");
	is($node->safe_psql('postgres', "SELECT max(number) FROM $timer"),
		$count, "$id: those it has missed included, they are as many")
	  if defined $count;
}

is($node->safe_psql('postgres', 'SELECT count(*) FROM hit WHERE fired_at < scheduled_at'),
	'0', 'nothing fires early');
is($node->safe_psql('postgres', q{SELECT DISTINCT attempt || ' ' || data FROM hit}),
	'1 {"a": 1}', 'all with their first attempt, and the data');
is( $node->safe_psql('postgres', q{SELECT count(*) FROM hit h JOIN plan p USING (kind, id)
		WHERE p.due_time IS NULL AND h.scheduled_at = p.registered_at}),
	'6', 'without a due time the first firing is at the registration');
is($node->safe_psql('postgres', 'SELECT count(*) FROM actor.failure'), '0', 'nothing has failed');

$node->stop;
done_testing();
