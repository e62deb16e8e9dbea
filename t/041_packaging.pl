# What is released: versions agree, META.json is what PGXN asks for, the archive
# has its name and everything that is committed, make uninstall removes what make
# install has installed, and the Debian packages build, install and go away.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd;
use File::Find;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $tree = getcwd();

# Whether there is a program of this name.
sub have
{
	my ($program) = @_;

	return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

# Runs a command in a folder; its output is shown if it fails.
sub runs
{
	my ($folder, $what, @command) = @_;

	chdir $folder or die "cannot enter $folder: $!";
	my ($out, $err) = run_command(\@command);
	my $status = $?;
	chdir $tree;
	return ok($status == 0, $what) || diag("$out\n$err");
}

# All files below a folder, relative to it.
sub files_below
{
	my ($folder) = @_;
	my @files;

	find(sub { push @files, $File::Find::name =~ s{^\Q$folder\E/}{}r if !-d }, $folder);
	return sort @files;
}

# A copy of the sources, without what builds and tests have made.
sub copy_of_sources
{
	my $copy = PostgreSQL::Test::Utils::tempdir_short() . '/actor';

	mkdir $copy;
	system('tar cf - --exclude=.git --exclude="*.o" --exclude="*.so" --exclude="*.bc"'
		  . ' --exclude=./results --exclude=./output_iso --exclude="./tmp_*"'
		  . " --exclude=./log --exclude='./regression.*' . | tar -C $copy -xf -") == 0
	  or die "cannot copy the sources";
	return $copy;
}

# versions ------------------------------------------------------------------

my $meta = decode_json(slurp_file('META.json'));
my $version = $meta->{version};
my ($short) = $version =~ /^(\d+\.\d+)\.\d+$/;

ok(defined $short, 'the version has three numbers');
is( $meta->{provides}{actor}{version},
	$version, 'the extension in META.json has the version of the release');
like(slurp_file('actor.control'),
	qr/^default_version = '\Q$short\E'$/m, 'actor.control has its first two numbers');
ok(-f "actor--$short.sql", 'so has the script');
like(slurp_file('Makefile'), qr/^DATA .*\bactor--\Q$short\E\.sql\b/m,
	'which is installed');
like((slurp_file('CHANGELOG.md') =~ /^(## .*)$/m)[0],
	qr/^## \Q$version\E\b/, 'the change log begins with the version');
like(slurp_file('debian/changelog'),
	qr/\Apostgresql-actor \(\Q$version\E\)/, 'so does that of the Debian package');
like( slurp_file("clients/python/pyproject.toml"),
	qr/^version = "\Q$version\E"$/m, 'the client for Python has it');
is(decode_json(slurp_file('clients/typescript/package.json'))->{version}, $version, 'and that for TypeScript');

# META.json, by the specification of PGXN -----------------------------------

for my $key (qw(name version abstract maintainer license provides meta-spec))
{
	ok($meta->{$key}, "META.json has $key");
}
is($meta->{name}, 'actor', 'name');
is($meta->{license}, 'postgresql', 'license is one of those that are listed');
is($meta->{'meta-spec'}{version}, '1.0.0', 'version of the specification');
my %known = map { $_ => 1 }
  qw(name version abstract maintainer license provides meta-spec description
  generated_by tags no_index prereqs release_status resources);
is_deeply([ grep { !$known{$_} && !/^x_/i } sort keys %$meta ], [], 'no other keys');
for my $name (sort keys %{ $meta->{provides} })
{
	my $provided = $meta->{provides}{$name};

	ok(-f $provided->{file}, "the file of $name exists");
	ok(-f $provided->{docfile}, "the document of $name exists");
	is($provided->{file}, "actor--$short.sql", 'which is that of this version');
}
is_deeply([ grep { ref || length > 255 || m{[/\\[:cntrl:]]} } @{ $meta->{tags} } ],
	[], 'tags are terms');

# the archive ---------------------------------------------------------------

# The names in a zip file, from its directory.
sub names_in_zip
{
	my ($zip) = @_;
	my @names;

	while ($zip =~ /PK\x01\x02.{24}(..)(.{2})(.{2}).{12}/gs)
	{
		my $name = substr($zip, pos($zip), unpack('v', $1));
		push @names, $name unless $name =~ m{/$};
	}
	return sort @names;
}

SKIP:
{
	skip 'git is not there', 3 unless have('git');
	my $copy = copy_of_sources();
	my @git = ('git', '-c', 'user.name=test', '-c', 'user.email=test@localhost',
		'-c', 'commit.gpgsign=false');

	runs($copy, 'a repository of the sources',
		'sh', '-c', "git init -q . && git add -A && @git commit -q -m test");
	my @committed = split /\n/, (run_command([ 'git', '-C', $copy, 'ls-files' ]))[0];
	runs($copy, 'make dist', 'make', '-s', 'dist');
	is_deeply(
		[ names_in_zip(slurp_file("$copy/actor-$version.zip")) ],
		[ sort map { "actor-$version/$_" } @committed ],
		'the archive has all that is committed');
}

# make install and uninstall ------------------------------------------------

my $root = PostgreSQL::Test::Utils::tempdir_short();
my @make = ('make', '-s', 'with_llvm=no', "DESTDIR=$root");
my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my ($lib) = run_command([ 'pg_config', '--pkglibdir' ]);

runs($tree, 'make install', @make, 'install');
is_deeply(
	[ files_below($root) ],
	[
		sort map { s{^/}{}r }
		  "$lib/actor.so", "$share/extension/actor--$short.sql",
		"$share/extension/actor.control"
	],
	'it installs these files');
runs($tree, 'make uninstall', @make, 'uninstall');
is_deeply([ files_below($root) ], [], 'nothing is left');

# the same for actor-http ---------------------------------------------------

SKIP:
{
	my $missing = ActorHttp::missing();

	skip "actor-http needs what is not there: $missing", 4 if $missing;
	my $build = PostgreSQL::Test::Utils::tempdir_short();

	runs($tree, 'make install-http',
		'make', '-s', "DESTDIR=$root", 'prefix=/usr', "BUILD=$build", 'install-http');
	is_deeply(
		[ files_below($root) ],
		[ 'usr/bin/actor-http', 'usr/lib/systemd/system/actor-http.service', 'usr/share/man/man1/actor-http.1' ],
		'it installs the program, the unit and the manual');
	runs($tree, 'make uninstall',
		'make', '-s', '-C', 'http', "DESTDIR=$root", 'prefix=/usr', "BUILD=$build", 'uninstall');
	is_deeply([ files_below($root) ], [], 'nothing is left');
}

# the Debian packages -------------------------------------------------------

# They are built for the PostgreSQL of the system, and installed below a folder of
# its own, which needs no other rights.  Their scripts see that folder, too, and
# programs in place of those that would speak to the system's service manager.
SKIP:
{
	my @versions = have('pg_buildext')
	  ? split /\n/, (run_command([ 'pg_buildext', 'supported-versions' ]))[0]
	  : ();

	my @libraries = grep { !-e "/usr/include/$_" && !@{ [ glob("/usr/include/*/$_") ] } } qw(microhttpd.h jansson.h curl/curl.h);

	skip 'the tools for Debian packages are not there', 28
	  unless @versions && have('dh') && have('dpkg-buildpackage');
	skip "not installed: @libraries", 28 if @libraries;
	my $copy = copy_of_sources();
	my ($folder) = $copy =~ m{^(.*)/};

	# what this run sets for make must not reach the build
	local %ENV = map { $_ => $ENV{$_} } grep { /^(PATH|HOME|TMPDIR)$/ } keys %ENV;
	$ENV{PG_UPDATECONTROL} = 'yes';
	$ENV{PATH} = "/usr/sbin:/usr/bin:/sbin:/bin";
	runs($copy, 'the packages build', 'dpkg-buildpackage', '-b', '-us', '-uc', '-d')
	  or skip 'no packages', 27;

	mkdir "$folder/stubs";
	for my $program (qw(systemctl deb-systemd-invoke))
	{
		append_to_file("$folder/stubs/$program", "#!/bin/sh\nexit 0\n");
		chmod 0755, "$folder/stubs/$program";
	}
	$ENV{PATH} = "$folder/stubs:$ENV{PATH}";

	# Installs a package, has a look, and removes it.
	my $try = sub {
		my ($name, $look) = @_;
		my ($file) = glob("$folder/${name}_*.deb");
		my $target = "$folder/root-$name";

		ok($file, "package $name has its name") or return;
		mkdir $target;
		mkdir "$target/$_" for qw(var var/lib var/lib/dpkg var/lib/dpkg/updates var/lib/dpkg/info);
		append_to_file("$target/var/lib/dpkg/$_", '') for qw(status available);
		my @dpkg = (
			'dpkg', "--root=$target", '--force-not-root', '--force-depends',
			'--force-script-chrootless', "--log=$folder/dpkg.log");
		runs($copy, "$name installs", @dpkg, '--install', $file);
		$look->($target, join("\n", grep { !m{^var/lib/dpkg/} } files_below($target)));
		runs($copy, "$name is removed", @dpkg, '--purge', $name);
		is_deeply([ grep { !m{^var/lib/dpkg/} } files_below($target) ], [], "nothing is left of $name");
	};

	for my $package (map { "postgresql-$_-actor" } @versions)
	{
		$try->(
			$package,
			sub {
				my ($target, $names) = @_;

				like($names,
					qr{lib/actor\.so\n.*extension/actor--\Q$short\E\.sql\n.*extension/actor\.control}s,
					'library, script and control file are installed');
				for my $file (sort map { s{.*/}{}r } glob 'monitoring/*')
				{
					like($names, qr{^usr/share/doc/$package/examples/monitoring/\Q$file\E$}m,
						"so is $file");
				}
				unlike($names, qr{bin/actor}, 'and nothing of the programs');
			});
	}
	$try->(
		'actor-http',
		sub {
			my ($target, $names) = @_;

			for my $file (
				qw(etc/default/actor-http lib/systemd/system/actor-http.service usr/bin/actor-http),
				'usr/share/doc/actor-http/http.md(\.gz)?', 'usr/share/doc/actor-http/dashboard-due.png',
				'usr/share/man/man1/actor-http\.1(\.gz)?')
			{
				like($names, qr/^$file$/m, "$file is installed");
			}
			unlike($names, qr{\.wants/}, 'the service is not enabled');
			like(slurp_file("$target/var/lib/dpkg/info/actor-http.prerm"),
				qr/deb-systemd-invoke stop '?actor-http\.service/, 'but stopped before it is removed');
			unlike($names, qr/\.so$|\.control$/m, 'nothing of the extension');
			like(slurp_file("$target/lib/systemd/system/actor-http.service"),
				qr{^ExecStart=/usr/bin/actor-http$}m, 'the unit starts the program');
			is((run_command([ "$target/usr/bin/actor-http", '--version' ]))[0],
				"actor-http $version", 'which has the version of the release');
		});
	$try->(
		'actorctl',
		sub {
			my ($target, $names) = @_;

			like($names, qr{^usr/bin/actorctl$}m, 'the program is installed');
			like($names, qr{^usr/share/man/man1/actorctl\.1(\.gz)?$}m, 'with its manual');
			unlike($names, qr/bin\/actor-http$|\.so$|\.control$/m, 'and nothing else');
			is((run_command([ "$target/usr/bin/actorctl", '--version' ]))[0],
				"actorctl $version", 'which has the version of the release');
		});
}

done_testing();
