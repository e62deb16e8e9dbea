# Whoever audits accesses to tables by the hook that the server has for it, sees
# all that is written and read of actors; see audit.c.

use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $library = PostgreSQL::Test::Utils::tempdir() . '/audit.so';
my ($headers) = run_command([ 'pg_config', '--includedir-server' ]);
plan skip_all => 'there is no C compiler'
  if system($ENV{CC} // 'cc', '-shared', '-fPIC', '-O2', "-I$headers", '-o', $library,
	dirname(__FILE__) . '/audit.c') != 0;

my $node = PostgreSQL::Test::Cluster->new('audited');
$node->init;
$node->append_conf(
	'postgresql.conf', qq{
shared_preload_libraries = 'actor, $library'
max_worker_processes = 16
actor.enabled = off
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA t;
	CREATE FUNCTION t.hit() RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0) + 1);
		RETURN actor_get('n', 0);
	END $$;
	CREATE FUNCTION t.look() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('n', 0) $$;
	SELECT actor_register('t')});

# How often each access is logged while a statement runs twelve times.
sub audited
{
	my ($statement) = @_;
	my $offset = -s $node->logfile;
	my %count;

	$node->safe_psql('postgres', join(';', ($statement) x 12));
	$count{$_}++ foreach substr(slurp_file($node->logfile), $offset) =~ /audited: (\w+ \w+)/g;
	return \%count;
}

my $seen = audited(q{SELECT actor_invoke('t', 'a', 'hit')});
is($seen->{'update state'} // 0, 12, 'each writing of state is seen');
cmp_ok($seen->{'read state'} // 0, '>=', 24, 'and each reading');
is($node->safe_psql('postgres', q{SELECT actor_invoke('t', 'a', 'look')}), '12', 'which works');
$seen = audited(q{SELECT actor_invoke('t', 'a', 'look')});
is($seen->{'read state'} // 0, 12, 'also by methods that only read');
$seen = audited(q{SELECT actor_set_reminder('t', gen_random_uuid()::text, 'hit', '1h')});
is($seen->{'insert reminder'} // 0, 12, 'each reminder is seen');
$seen = audited(q{SELECT actor_send('t', 'a', 'hit')});
is($seen->{'insert message'} // 0, 12, 'and each message');
$seen = audited(q{SELECT actor_send('t', 'a', 'hit', request_id => gen_random_uuid()::text); SELECT actor_run_due()});
cmp_ok($seen->{'delete message'} // 0, '>=', 12, 'its removal');
cmp_ok($seen->{'update request'} // 0, '>=', 12, 'and what has become of it');
$node->stop('fast');

done_testing();
