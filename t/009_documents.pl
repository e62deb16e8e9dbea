# What the documents and examples say must run: every block of SQL of the README
# and of the files of doc/, in order, and every file of examples/.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;

# A new database for each text, so that none depends on another.
my $number = 0;

sub new_database
{
	my $name = 'documents' . $number++;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION actor');
	return $name;
}

# Each text starts with an empty database that has the extension.
for my $document ('README.md', sort glob('doc/*.md'))
{
	my @blocks = slurp_file($document) =~ /^```sql\n(.*?)^```/msg;

	cmp_ok(scalar(@blocks), '>', 3, "$document has blocks of SQL")
	  if $document =~ /README|guide|reference/;
	@blocks = grep { !/CREATE EXTENSION/ } @blocks;
	next unless @blocks;

	my $database = new_database();
	my ($status, $out, $err) =
	  $node->psql($database, join("\n", @blocks), on_error_stop => 1);
	is($status, 0, "the blocks of $document run") or diag($err);
}

# The guide shows a test with pgTAP, which is run where that is installed.
SKIP:
{
	my ($test) = slurp_file('doc/guide.md') =~ /^```\n(BEGIN;\nSELECT plan.*?)^```/ms;
	ok($test, 'the guide has a test with pgTAP');
	skip 'pgTAP is not there', 1
	  if $node->safe_psql('postgres',
		q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pgtap'}) eq '0';

	my $database = new_database();
	my ($room) = slurp_file('doc/guide.md') =~ /^```sql\n(CREATE SCHEMA room;.*?)^```/ms;
	my @others = slurp_file('doc/guide.md') =~ /^(CREATE FUNCTION room\.(?:people|close)\b.*?\$\$;)$/msg;
	my $out = $node->safe_psql($database,
		join("\n", 'CREATE EXTENSION pgtap;', $room, @others, $test));
	my @passed = $out =~ /^ok /mg;
	ok(@passed == 3 && $out !~ /^not ok/m, 'which passes') or diag($out);
}

# The examples show errors too, on purpose, and check themselves what they show
# by the codes that the demo looks for.
my %shows = (
	'bank.sql' => qr/SQLSTATE: 23514/,
	'call_cycle.sql' => qr/SQLSTATE: 55006/,
	'cart.sql' => qr/actor executor/,
	'limiter.sql' => qr/5 \| true.*6 \| false.*allowed_again *\n-+\n true/s,
	'order.sql' => qr/8 tea reserved while being placed.*SQLSTATE: 23514/s,
	'twin.sql' => qr/"online": false.*noticed_by": "timer".*0 \|    5/s);
my @examples = map { s{.*/}{}r } glob('examples/*.sql');
is_deeply([ sort @examples ], [ sort keys %shows ], 'the examples are known');
for my $example (sort keys %shows)
{
	my $database = new_database();

	for my $time ('once', 'again')
	{
		my ($out, $err) = run_command(
			[
				'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d',
				$node->connstr($database), '-f', "examples/$example"
			]);
		like($out, $shows{$example}, "example $example runs $time") or diag($err);
	}
}

$node->stop;
done_testing();
