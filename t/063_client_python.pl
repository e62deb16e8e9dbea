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

my $client = abs_path("$FindBin::RealBin/../clients/python");
my ($python, $missing) = ClientServer::python();
plan skip_all => $missing unless defined $python;

$ENV{PYTHONPATH} = $client;
$ENV{PYTHONDONTWRITEBYTECODE} = 1;
is(system($python, "$client/make_async.py", '--check'), 0, 'the asynchronous part is what the other one gives');

my $node = ClientServer::server();
my $pooled = ClientServer::pooled($node);
$ENV{POOLED} = $pooled if defined $pooled;
ClientServer::passes('the client for Python', 'timeout', '300', $python, "$client/tests/client.py", $node->connstr('postgres'));

$node->stop;
done_testing();
