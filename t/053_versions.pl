# Versions of the library and of the objects in a database: what does not fit is
# refused with an error that says what to do, and ALTER EXTENSION leads from one
# version to the next with all data.
#
# The next version is made here: a step script, and the library built again
# under that number, in a copy of the PostgreSQL that the tests use.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A copy of all that PostgreSQL finds relative to its programs, so that other
# tests that run meanwhile keep their library.
my $pg_config = $ENV{PG_CONFIG} // 'pg_config';
my @folders = map { scalar `$pg_config $_` } '--bindir', '--pkglibdir', '--sharedir';
chomp @folders;
my $root = $folders[0];
$root = dirname($root) until $root eq '/' || @folders == grep { index("$_/", "$root/") == 0 } @folders;

plan skip_all => "$folders[0] is not a private installation"
  if $root =~ m{^/(usr(/local)?)?$};

my $copy = abs_path(PostgreSQL::Test::Utils::tempdir()) . '/server';
system('cp', '-a', $root, $copy) == 0 or die;
my ($programs, $libraries, $shared) = map { $copy . substr($_, length $root) } @folders;
my $extensions = "$shared/extension";

# A server from a wheel looks for its libraries relative to where it was.
my %beside = map { dirname($_) => 1 } grep { !m{^/(usr/)?lib} } map { /=> (\/\S+)/g } map { `ldd $_` } glob("$folders[0]/{initdb,pg_ctl,postgres,psql}");
$ENV{LD_LIBRARY_PATH} = join ':', grep { $_ } $ENV{LD_LIBRARY_PATH}, sort keys %beside if %beside;

$pg_config = "$programs/pg_config";

my $this = slurp_file('actor.control') =~ /default_version = '(\d+)\.(\d+)'/ ? "$1.$2" : die;
my $next = "$1." . ($2 + 1);
my @steps = ("$extensions/actor--$this--$next.sql", "$extensions/actor--$next--$this.sql");

append_to_file($steps[0], qq{
\\echo Use "ALTER EXTENSION actor UPDATE TO '$next'" to load this file. \\quit
ALTER TABLE actor.state ADD COLUMN note text;
CREATE FUNCTION \@extschema\@.actor_next() RETURNS text LANGUAGE c STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'actor_id';
});
append_to_file($steps[1], qq{
\\echo Use "ALTER EXTENSION actor UPDATE TO '$this'" to load this file. \\quit
DROP FUNCTION \@extschema\@.actor_next();
ALTER TABLE actor.state DROP COLUMN note;
});

my $node = PostgreSQL::Test::Cluster->new('versions', install_path => dirname($programs));
$node->init;
$node->append_conf(
	'postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA box;
	CREATE TABLE box.fired (id text);
	CREATE FUNCTION box.put(v int) RETURNS int LANGUAGE plpgsql
		AS $$ BEGIN PERFORM actor_set('v', v); RETURN actor_get('v', 0); END $$;
	CREATE FUNCTION box.peek() RETURNS int STABLE LANGUAGE sql AS $$ SELECT actor_get('v', 0) $$;
	CREATE FUNCTION box.fire() RETURNS void LANGUAGE sql AS $$ INSERT INTO box.fired VALUES (actor_id()) $$;
	SELECT actor_register('box');
	SELECT actor_invoke('box', '1', 'put', '[7]');
	SELECT actor_set_reminder('box', 'later', 'fire', '100h')});
sub refusal
{
	my ($session, $sql) = @_;

	$session->query("\\set VERBOSITY verbose\n$sql");
	my $error = $session->{stderr};
	$session->{stderr} = '';
	return $error;
}

# A row that is due, made while nothing can be registered
my $make_due = q{UPDATE actor.reminder SET first_at = now(), scheduled_at = now(), next_try_at = now() WHERE actor_id = 'later'};

# the objects are newer than the library
my $session = $node->background_psql('postgres', on_error_stop => 0);
is($session->query_safe("SELECT actor_invoke('box', '1', 'peek')"), '7', 'a session has its caches filled');
$node->safe_psql('postgres', "ALTER EXTENSION actor UPDATE TO '$next'");
like( refusal($session, "SELECT actor_invoke('box', '1', 'peek');"),
	qr/55000: extension "actor" has version $next in database "postgres", but its library has version $this\nHINT:  Update the extension with ALTER EXTENSION actor UPDATE, or, if/,
	'it refuses objects of the next version');
like(refusal($session, "SELECT actor_set_reminder('box', '1', 'fire');"), qr/55000: extension "actor" has version/, 'for everything');
$node->safe_psql('postgres', $make_due);
$node->restart;
$session->quit;
$session = $node->background_psql('postgres', on_error_stop => 0);
ok( $node->poll_query_until('postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'actor launcher'}), 'the launcher runs');
ok($node->wait_for_log(qr/actor scheduler.*LOG:  extension "actor" has version $next|LOG:  extension "actor" has version $next/),
	'workers say so in the log');
like(refusal($session, "SELECT actor_invoke('box', '1', 'peek');"), qr/55000: extension "actor" has version/, 'a new session refuses, too');
is($node->safe_psql('postgres', 'SELECT count(*) FROM box.fired'), '0', 'nothing fires');
is($node->safe_psql('postgres', 'SELECT actor_id, value FROM actor.state'), '1|7', 'the tables can be read');
$node->safe_psql('postgres', "ALTER EXTENSION actor UPDATE TO '$this'");
is($session->query_safe("SELECT actor_invoke('box', '1', 'peek')"), '7', 'the same session works again with objects that fit');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM box.fired'), 'and what is due fires');
$session->quit;
my $lines = () = slurp_file($node->logfile) =~ /LOG:  extension "actor" has version/g;
cmp_ok($lines, '<', 10, 'the log was not flooded');

# the library is newer than the objects
$node->safe_psql('postgres', q{SELECT actor_set_reminder('box', 'later', 'fire', '100h')});
$node->stop;
my $tree = PostgreSQL::Test::Utils::tempdir();
foreach my $file ('Makefile', 'actor--1.0.sql', glob('src/*.[ch] src/*/*.[ch]'), 'src/exports.map')
{
	make_path(dirname("$tree/$file"));
	copy($file, "$tree/$file") or die "$file: $!";
}
append_to_file("$tree/actor.control",
	slurp_file('actor.control') =~ s/default_version = '$this'/default_version = '$next'/r);
# the settings of a make that runs this are not for that one
delete local $ENV{MAKEFLAGS};
command_ok([ 'make', '-s', '-C', $tree, "PG_CONFIG=$pg_config", 'with_llvm=no', 'COPT=-O0', 'install' ],
	'the next version is built');
$node->start;
$session = $node->background_psql('postgres', on_error_stop => 0);
like( refusal($session, "SELECT actor_invoke('box', '1', 'peek');"),
	qr/55000: extension "actor" has version $this in database "postgres", but its library has version $next/,
	'the next library refuses objects of this version');
$node->safe_psql('postgres', $make_due);
$node->safe_psql('postgres', 'ALTER EXTENSION actor UPDATE');
is($node->safe_psql('postgres', "SELECT extversion FROM pg_extension WHERE extname = 'actor'"),
	$next, 'ALTER EXTENSION leads to the next version');
is($session->query_safe("SELECT actor_invoke('box', '1', 'peek')"), '7', 'state is kept');
is($session->query_safe("SELECT actor_invoke('box', '1', 'put', '[8]')"), '8', 'methods work');
is($session->query_safe('SELECT actor_next() IS NULL'), 't', 'so does what is new');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM box.fired'), 'reminders fire');
$session->quit;
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
is( $node->safe_psql('fresh', q{
		CREATE EXTENSION actor;
		SELECT extversion, actor_id() IS NULL FROM pg_extension WHERE extname = 'actor'}),
	"$next|t", 'a new database gets the next version at once');

$node->stop('fast');
unlike(slurp_file($node->logfile), qr/TRAP:|PANIC:|was terminated by signal/, 'nothing has crashed');

done_testing();
