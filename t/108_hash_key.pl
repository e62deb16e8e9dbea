# A session names its locks with the key of the database, which it reads when it first
# needs one.  If it hears at that moment that actor.type has changed, it must read the
# key all the same: without it, it would have other locks than everybody else, and two
# turns of one actor could run at once.
#
# Between the look at actor.type and the key a session looks at the columns of our
# tables, and hears the news if it has to wait for those.  The same if the news are that
# there is another extension, which has a key of its own.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('hash_key');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
autovacuum = off
});
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA box;
	CREATE FUNCTION box.touch() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$;
	SELECT actor_register('box')});

# A session that stays.
sub session
{
	my %session = (in => '', out => '', err => '');

	$session{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$session{in}, '>', \$session{out}, '2>', \$session{err},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%session;
}

# Runs statements there, and waits until they are done.
sub run
{
	my ($session, $sql) = @_;

	$session->{out} = '';
	$session->{in} .= "$sql\n\\echo done\n";
	$session->{run}->pump until $session->{out} =~ /^done$/m;
	return $session->{out};
}

# it knows all that a call needs, but the key
my $first = session();
run($first, q{SELECT FROM pg_extension WHERE extname = 'actor'; PREPARE touch AS SELECT actor_invoke('box', 'a', 'touch');});

my $other = session();

# Lets the first session call while the other one changes something, which is committed
# when the first one looks at our columns.
sub call_meanwhile
{
	my ($change, $what) = @_;

	run($other, "BEGIN; $change; LOCK TABLE pg_attribute IN ACCESS EXCLUSIVE MODE;");
	$other->{in} .= q{
		DO $$
		BEGIN
			WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'pg_attribute'::regclass) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END $$;
		COMMIT;
	};
	$other->{run}->pump_nb while length $other->{in};
	like(run($first, 'BEGIN; EXECUTE touch;'), qr/^1$/m, "a call hears of $what while it looks at our tables");

	my ($status, $out, $err) = $node->psql('postgres', q{SET actor.call_timeout = '100ms'; SET lock_timeout = '10s';
		SELECT actor_invoke('box', 'a', 'touch')});
	like($err, qr/was not free within 100 ms/, 'it has the turn that others wait for');
	run($first, 'COMMIT;');
	is($node->safe_psql('postgres', q{SELECT actor_invoke('box', 'a', 'touch')}), '1', 'and gives it back');
}
call_meanwhile(q{UPDATE pg_class SET relacl = relacl WHERE oid = 'actor.type'::regclass}, 'a change');

# it knows actor.type and its key, but looks at them again, and at the columns
run($other, q{
	UPDATE pg_class SET relacl = relacl WHERE oid = 'actor.type'::regclass;
	UPDATE pg_attribute SET attacl = attacl WHERE attrelid = 'actor.role'::regclass;});
call_meanwhile(q{DROP EXTENSION actor CASCADE; CREATE EXTENSION actor; SELECT actor_register('box')}, 'another extension');
foreach my $session ($first, $other)
{
	$session->{in} .= "\\q\n";
	$session->{run}->finish;
	is($session->{err}, '', 'there was no error');
}

done_testing();
