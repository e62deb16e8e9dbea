# The client for TypeScript against a server: clients/typescript/tests/client.mjs says
# what is tested. pg and the compiler come from npm.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ClientServer;
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (system('npm --version >/dev/null 2>&1') != 0 || system('node --version >/dev/null 2>&1') != 0)
{
	plan skip_all => 'npm is not installed';
}

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir) . '/client';
system('cp', '-r', "$FindBin::RealBin/../clients/typescript", $folder) == 0 or die 'could not copy the client';
{
	local $ENV{HOME} = $folder;
	my $output = `cd '$folder' && timeout 300 npm install --no-audit --no-fund --no-package-lock --fetch-retries=1 2>&1`;

	plan skip_all => 'pg cannot be installed by npm: ' . (split /\n/, $output)[0]
	  if $? != 0 || !-e "$folder/node_modules/pg/package.json";
}

my $node = ClientServer::server();
my $pooled = ClientServer::pooled($node);
$ENV{POOLED} = $pooled if defined $pooled;
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');

# as it is packed
my ($out, $err) = run_command([ 'sh', '-c', "cd '$folder' && HOME='$folder' npm pack 2>&1" ]);
like($out, qr/pg-actor-1\.0\.0\.tgz$/, 'it compiles, and is packed') or diag($out);
like(`tar -tzf '$folder/pg-actor-1.0.0.tgz'`, qr{^package/out/index\.d\.ts$}m, 'with its types');

command_ok([ 'sh', '-c', "node '$folder/out/stubs.js' '' > '$folder/tests/made.ts'" ], 'classes are made of what is there');
like(slurp_file("$folder/tests/made.ts"), qr/class Flaky .*bids, says "who"|bids, says "who".*class Flaky/s, 'of all types, with comments');
($out, $err) = run_command([ 'sh', '-c', "cd '$folder' && node_modules/.bin/tsc -p tests" ]);
is($out, '', 'and have the right types');

ClientServer::passes('the client for TypeScript', 'timeout', '300', 'node', "$folder/tests/client.mjs");

$node->stop;
done_testing();
