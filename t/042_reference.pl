# The reference must say what there is, and nothing else: functions with their
# arguments, relations with their columns, settings with their defaults, and
# SQLSTATEs are compared with the catalog and with the sources.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $reference = slurp_file('doc/reference.md');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION actor');

# Rows of a query, each a list.
sub rows
{
	my ($query) = @_;

	return map { [ split /\|/, $_, -1 ] } split /\n/, $node->safe_psql('postgres', $query);
}

# The text of a section, from its heading to the next one of its level.
sub section
{
	my ($heading) = @_;

	my ($text) = $reference =~ /^## \Q$heading\E\n(.*?)(?=^## |\z)/ms;
	return $text // die "the reference has no section $heading";
}

# The rows of the tables of a text, each a list of cells.
sub table_rows
{
	my ($text) = @_;

	return map { [ map { s/^\s+|\s+$//gr } split /\|/, $_, -1 ] }
	  grep { !/^[-\s|]+$/ } $text =~ /^\|(.*)\|$/mg;
}

# Both lists have the same members; what only one of them has is shown.
sub same_members
{
	my ($documented, $existing, $what) = @_;
	my %documented = map { $_ => 1 } @$documented;
	my %existing = map { $_ => 1 } @$existing;

	my @missing = grep { !$documented{$_} } sort keys %existing;
	my @invented = grep { !$existing{$_} } sort keys %documented;
	ok(@$existing && !@missing && !@invented, "$what are documented")
	  or diag(join "\n", (map { "not documented: $_" } @missing),
		(map { "does not exist: $_" } @invented));
	return;
}

# columns that the library counts on --------------------------------------------

# those of shape.c, as there
{
	my $source = slurp_file('src/store/shape.c');
	my %columns = $source =~ /^static const ShapeColumn (\w+)_columns\[\] = \{\n(.*?)^\};/msg;
	my @known = map { my $table = $_; map { "$table.$_" } $columns{$table} =~ /\{(.*?)\}/g } keys %columns;

	is_deeply(
		[ sort @known ],
		[
			sort map { sprintf('%s."%s", %s, %s', @$_) } rows(q{
				SELECT relname, attname,
					   regexp_replace(upper(typname), '^_(.*)', '\1ARRAY') || 'OID', attnotnull::text
				  FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_type t ON t.oid = atttypid
				 WHERE relnamespace = 'actor'::regnamespace AND relkind = 'r' AND attnum > 0})
		],
		'shape.c has all columns');
}

# functions -----------------------------------------------------------------

# One form for intervals.
sub interval
{
	my ($text) = @_;

	return $node->safe_psql('postgres', "SELECT interval '$text'");
}

# One form for the signatures of both sides.
sub normalise
{
	my ($signature) = @_;

	for ($signature)
	{
		s/timestamp with time zone/timestamptz/g;
		s/::[a-z ]+\b//g;
		s/\bint\b/integer/g;
		s/\s+/ /g;
		s/\( /(/g;
		s/ \)/)/g;
		s/ $//;
		s/ RETURNS void$//;
		s/(?<=interval DEFAULT )'([^']*)'/interval($1)/ge;
	}
	return $signature;
}

my @functions = rows(q{
	SELECT p.proname,
		   p.proname || '(' || (SELECT coalesce(string_agg(argument, ', '), '')
				FROM unnest(string_to_array(pg_get_function_arguments(p.oid), ', ')) argument
				WHERE argument !~ '^OUT ') || ')',
		   pg_get_function_result(p.oid),
		   (SELECT string_agg(substr(argument, 5), ', ')
				FROM unnest(string_to_array(pg_get_function_arguments(p.oid), ', ')) argument
				WHERE argument ~ '^OUT '),
		   (SELECT string_agg(name, ', ')
				FROM unnest(p.proargnames[1:p.pronargs]) name)
	FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid
	WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
		AND d.refclassid = 'pg_extension'::regclass
		AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'actor')
		AND p.pronamespace = 'public'::regnamespace});
my %exists = map {
	my ($name, $call, $result, $out) = @$_;
	(normalise($call . ($out ? '' : " RETURNS $result")) => $_)
} @functions;

# Signatures stand in blocks of code without a language, and in the first
# column of tables.
my @blocks;
while ($reference =~ /^```(\w*)\n(.*?)^```$/msg)
{
	push @blocks, $2 if $1 eq '';
}
my @cells = map { $_->[0] =~ /^`(.*)`$/ ? $1 : () } table_rows($reference);
my @documented;
for my $code (@blocks, @cells)
{
	push @documented, normalise("$1")
	  while $code =~ /\b(actor_\w+\((?:[^()]|\([^()]*\))*\)(?:\s+RETURNS\s+(?:SETOF )?[\w"]+)?)/g;
}
ok(@documented > 20, 'the reference has signatures');
is_deeply([ grep { !$exists{$_} } @documented ],
	[], 'every documented signature is that of a function');

# Overloads may be described in words, if they have the same arguments.
my %has_arguments;
for (map { $exists{$_} // () } @documented)
{
	$has_arguments{ $_->[0] . '(' . $_->[4] . ')' } = 1;
}
is_deeply(
	[ grep { !$has_arguments{$_} } map { $_->[0] . '(' . $_->[4] . ')' } @functions ],
	[], 'every function is documented with its arguments');
for (grep { $_->[3] } @functions)
{
	my ($name, $columns) = ($_->[0], normalise($_->[3]));
	like(normalise($reference), qr/\b\Q$name\E\(.{0,60}\Q($columns)\E/,
		"the columns of $name are documented");
}
is( join(', ', sort map { $_->[0] } grep { $_->[0] !~ /^actor_/ } @functions),
	'', 'no function has another prefix');

# tables and views ----------------------------------------------------------

my $relations = section('Tables and views');
my %columns;
push @{ $columns{ $_->[0] } }, "$_->[1] $_->[2]"
  for rows(q{
	SELECT c.relname, a.attname,
		   replace(format_type(a.atttypid, a.atttypmod), 'timestamp with time zone', 'timestamptz')
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
	WHERE c.relnamespace = 'actor'::regnamespace AND c.relkind IN ('r', 'v')
		AND a.attnum > 0 AND NOT a.attisdropped});
same_members(
	[ map { $_->[0] =~ /^`actor\.(\w+)`$/ ? $1 : () } table_rows($relations) ],
	[ keys %columns ],
	'tables and views');

# The columns stand in the table that follows the words "Columns of", with
# their type: one for all names of a row, or one each.
for my $relation (sort keys %columns)
{
	my ($table) = $reference =~ /^Columns of `actor\.$relation`(?:.+\n)+\n((?:\|.*\n)+)/m;
	my @given;

	for (grep { $_->[0] ne 'column' } table_rows($table // ''))
	{
		my @names = split /, /, $_->[0];
		my @types = split /, /, $_->[1];
		push @given, "$names[$_] " . ($types[$_] // $types[0] // '') for 0 .. $#names;
	}
	same_members(\@given, $columns{$relation}, "columns of actor.$relation");
}

# settings ------------------------------------------------------------------

my %milliseconds =
  (ms => 1, s => 1000, min => 60_000, h => 3_600_000, d => 86_400_000);

# A setting's value in milliseconds, or as it is.
sub value
{
	my ($text) = @_;

	return $1 * $milliseconds{$2} if $text =~ /^(-?\d+) ?(ms|s|min|h|d)(?:ays)?$/;
	return $text;
}

# The lowest and the highest value of a range; the highest is empty if it is
# what the type of the setting allows.
sub range
{
	my ($text) = @_;

	return ('', '') if $text eq '';
	return (value($1), '') if $text =~ /^(.*?) and up$/;
	my ($low, $high) = $text =~ /^(.*) to (.*)$/ or return ($text, $text);
	$low .= " $1" if $low =~ /^\d+$/ && $high =~ /([a-z]+)$/;
	return (value($low), value($high));
}

my %changed_by = (
	user => 'anybody, in a session',
	superuser => 'superusers; database; file',
	sighup => 'file, reload',
	postmaster => 'file, restart');
my %setting = map { $_->[0] =~ /^`(actor\.\w+)`$/ ? ($1 => $_) : () }
  table_rows(section('Settings'));
my @settings = rows(q{
	SELECT name, boot_val, unit, context, min_val,
		   CASE WHEN max_val <> '2147483647' THEN max_val END
	FROM pg_settings WHERE name LIKE 'actor.%'});
same_members([ keys %setting ], [ map { $_->[0] } @settings ], 'settings');
for (sort { $a->[0] cmp $b->[0] } @settings)
{
	my ($name, $default, $unit, $context, $min, $max) = @$_;
	my $row = $setting{$name} or next;

	# this one follows another setting
	if ($row->[1] eq '`max_worker_processes` - 3, at least 2')
	{
		is($default,
			$node->safe_psql('postgres',
				q{SELECT greatest(current_setting('max_worker_processes')::int - 3, 2)}),
			"default of $name");
	}
	else
	{
		is(value($row->[1] =~ s/^(empty|none)$//r), value($default . $unit), "default of $name");
	}
	is_deeply([ range($row->[2]) ],
		[ map { $_ eq '' ? '' : value($_ . $unit) } $min, $max ], "range of $name");
	is($row->[3], $changed_by{$context}, "context of $name");
	isnt($row->[4], '', "meaning of $name");
}

# errors --------------------------------------------------------------------

my ($share) = run_command([ 'pg_config', '--sharedir' ]);
my %sqlstate = slurp_file("$share/errcodes.txt") =~ /^(\w{5})\s+[EWS]\s+(ERRCODE_\w+)/mg;
%sqlstate = reverse %sqlstate;
my %raised;
for my $line (map { split /\n/, slurp_file($_) } glob('src/*/*.c'))
{
	# what is only compared with is raised by others
	next if $line =~ /^\s*case |[=!]= ERRCODE|ERRCODE_TO_CATEGORY/;
	$raised{ $sqlstate{$1} // $1 } = 1 while $line =~ /\b(ERRCODE_\w+)/g;
}
# raised by the server on our behalf: it looks for deadlocks, and its lock
# table can be full; out of the latter we make an error of our own
$raised{$_} = 1 for ('40P01', '53200');
same_members(
	[ map { $_->[0] =~ /^([0-9A-Z]{5})$/ ? $1 : () } table_rows(section('Errors')) ],
	[ keys %raised ],
	'SQLSTATEs');

# links ---------------------------------------------------------------------

# The name by which a heading can be linked to.
sub anchor
{
	my ($heading) = @_;

	return lc($heading =~ s/[^\w\s-]//gr =~ s/ /-/gr);
}

for my $document ('README.md', 'CONTRIBUTING.md', glob('doc/*.md'))
{
	my ($folder) = $document =~ m{^(.*/)};
	my @broken;

	for my $link (slurp_file($document) =~ /\]\(([^)\s]+)\)/g)
	{
		next if $link =~ /^\w+:/;
		my ($path, $fragment) = $link =~ /^([^#]*)#?(.*)$/;
		my $target = $path eq '' ? $document : ($folder // '') . $path;
		my @anchors = -f $target && $target =~ /\.md$/
		  ? map { anchor($_) } slurp_file($target) =~ /^#+ (.*)$/mg
		  : ();
		push @broken, $link
		  if !-e $target || ($fragment ne '' && !grep { $_ eq $fragment } @anchors);
	}
	is_deeply(\@broken, [], "links of $document lead somewhere");
}

$node->stop;
done_testing();
