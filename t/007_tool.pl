# What leaves the library, and that all files agree on the version.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

# exported symbols: nothing without our prefix, so nothing can clash
my $directory = `pg_config --pkglibdir`;
chomp $directory;
my ($library) = grep { -e } map { "$directory/actor.$_" } qw(so dylib);
ok(defined $library, 'library is installed');
SKIP:
{
	my $symbols = `nm -D --defined-only '$library' 2>&1`;

	skip 'nm does not work here', 4 if $? != 0;
	my @names = map { (split)[2] =~ s/@.*//r } grep { /\S/ } split /\n/, $symbols;
	my @foreign = grep { !/^(?:actor_\w+|pg_finfo_actor_\w+|Pg_magic_func|_PG_init)$/ } @names;
	cmp_ok(scalar @names, '>', 20, 'library has symbols');
	is("@foreign", '', 'no symbol without the prefix leaves the library');

	# built on one minor release, it loads in all others of that major
	my ($major) = `pg_config --version` =~ /(\d+)/;
	my %needed = map { $_ => 1 } `nm -D --undefined-only '$library'` =~ /^ +U (\w+)$/mg;
	my %later;
	for (grep { !/^#/ } split /\n/, slurp_file('t/later_symbols'))
	{
		my ($name, @majors) = split;

		$later{$name} = 1 if grep { $_ == $major } @majors;
	}
	cmp_ok(scalar(keys %later), '>', 20, 'symbols are known that minor releases have added');
	is(join(' ', sort grep { $later{$_} } keys %needed), '', 'and the library needs none of them');
}

# versions
my $control = slurp_file('actor.control');
my ($version) = $control =~ /^default_version\s*=\s*'([^']+)'/m;
ok(defined $version, 'control file names a version');
ok(-e "actor--$version.sql" || -e "sql/actor--$version.sql", "there is a script of version $version");
unlike($control, qr/^module_pathname\s*=\s*'(?!\$libdir\/actor')/m, 'control file names our library');
SKIP:
{
	skip 'no META.json', 2 if !-e 'META.json';
	my $meta = slurp_file('META.json');

	# META.json has three parts, the control file two
	my @versions = $meta =~ /"version"\s*:\s*"([^"]+)"/g;
	is(scalar(grep { $_ !~ /^\Q$version\E(?:\.\d+)?$/ && $_ ne '1.0.0' } @versions),
		0, "META.json agrees on the version: @versions");
	like($meta, qr/"file"\s*:\s*"(?:sql\/)?actor--\Q$version\E\.sql"/, 'and names the script');
}
SKIP:
{
	skip 'no CHANGELOG.md', 1 if !-e 'CHANGELOG.md';
	my ($newest) = slurp_file('CHANGELOG.md') =~ /^#+\s*\[?v?(\d+(?:\.\d+)+)/m;
	like($newest // '', qr/^\Q$version\E/, 'CHANGELOG.md begins with the version');
}

done_testing();
