# A PostgreSQL of another major than the one that is tested, with the extension
# built for it: a copy of Debian's, as that of script/test is.
package OtherServer;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;

# Whether a server knows versions of columns, which it does since the minors of
# November 2026: what has been made with them cannot be upgraded to one without.
sub has_column_versions
{
	my ($pg_config) = @_;
	my $bin = `$pg_config --bindir`;

	chomp $bin;
	return slurp_file("$bin/postgres", 0) =~ /pg_attver/ ? 1 : 0;
}

# The programs pg_config of majors before this one that Debian has put here with
# what it takes to build, by their numbers; those that can be upgraded.
sub older
{
	my ($major) = @_;
	my $knows = has_column_versions('pg_config');
	my %found;

	for my $pg_config (glob '/usr/lib/postgresql/*/bin/pg_config')
	{
		my ($other) = $pg_config =~ m{/(\d+)/bin} or next;

		$found{$other} = $pg_config
		  if $other < $major && -e "/usr/include/postgresql/$other/server/postgres.h"
		  && $knows >= has_column_versions($pg_config);
	}
	return %found;
}

sub run
{
	system(@_) == 0 or die "@_ has failed";
	return;
}

# Copies the server of a pg_config, builds the extension, and returns the folder
# of its programs.
sub install
{
	my ($pg_config) = @_;
	my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
	my ($bin, $lib, $share, $include) =
	  map { my $path = `$pg_config $_`; chomp $path; $path }
	  qw(--bindir --pkglibdir --sharedir --includedir-server);

	# programs look for the real place of themselves, so these are no links
	make_path(map { "$folder$_" } $bin, $lib, $share, dirname($include));
	run('cp', '-a', "$bin/.", "$folder$bin");
	run('cp', '-as', "$lib/.", "$folder$lib");
	run('cp', '-as', "$share/.", "$folder$share");
	symlink $include, "$folder$include" or die $!;
	unlink "$folder$lib/actor.so", glob("$folder$share/extension/actor*");

	make_path("$folder/tree");
	run("tar cf - --exclude='*.o' Makefile actor.control actor--*.sql src | tar xf - -C $folder/tree");
	# the settings of a make that runs this are not for that one
	delete local @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
	run('make', '-s', '-C', "$folder/tree", "PG_CONFIG=$folder$bin/pg_config",
		'with_llvm=no', 'COPT=-O0', 'install');
	return "$folder$bin";
}

1;
