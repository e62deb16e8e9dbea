# The client for Python against a server: clients/python/tests/client.py says what
# is tested. psycopg comes from Debian or from pip.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ClientServer;
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'python3 is not installed' if system('python3 --version >/dev/null 2>&1') != 0;

my $client = abs_path("$FindBin::RealBin/../clients/python");
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
my $python = 'python3';
if (system(q{python3 -c 'import psycopg' 2>/dev/null}) != 0)
{
	local $ENV{HOME} = $folder;
	my $output = `cd '$folder' && python3 -m venv venv 2>&1 && timeout 300 venv/bin/pip install -q --retries 1 'psycopg[binary]' 2>&1`;

	plan skip_all => 'psycopg cannot be installed by pip: ' . ((split /\n/, $output)[-1] // '') if $? != 0;
	$python = "$folder/venv/bin/python";
}

$ENV{PYTHONPATH} = $client;
$ENV{PYTHONDONTWRITEBYTECODE} = 1;
is(system($python, "$client/make_async.py", '--check'), 0, 'the asynchronous part is what the other one gives');

my $node = ClientServer::server();
my $pooled = ClientServer::pooled($node);
$ENV{POOLED} = $pooled if defined $pooled;
ClientServer::passes('the client for Python', 'timeout', '300', $python, "$client/tests/client.py", $node->connstr('postgres'));

$node->stop;
done_testing();
