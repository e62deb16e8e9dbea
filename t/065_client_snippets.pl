# What doc/clients.md shows for drivers without a package of ours: as it stands there,
# against a server, and behind pgbouncer with the options that it names. Each is
# skipped where its language or driver is missing.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ClientServer;
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file("$FindBin::RealBin/../doc/clients.md");
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
my $node = ClientServer::server();
my $pooled = ClientServer::pooled($node);
my $host = '127.0.0.1';

# JDBC knows no sockets of the file system
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'");
$node->restart;
append_to_file($node->data_dir . '/pg_hba.conf', "host all all 127.0.0.1/32 trust\n");
$node->reload;
my $user = $node->safe_psql('postgres', 'SELECT current_user');

sub snippet
{
	my ($language, $file) = @_;
	my ($text) = $document =~ /^```$language\n(.*?)^```/ms;

	ok(defined $text, "there is a snippet in $language");
	append_to_file($file, $text);
	return;
}

# Runs calls by a program that takes method and payload, and prints the result or the
# SQLSTATE.
sub check
{
	my ($name, $id, @command) = @_;
	my @calls = (
		[ 'bid', '{"amount": 10}', '10', 'a call' ],
		[ 'bid', '{"amount": 5}', '23514', 'an error' ],
		[ 'bid', '{"amount": 20}', '20', 'another call' ],
		[ 'close', '{}', 'null', 'a method without a result' ]);

	for my $call (@calls)
	{
		my ($method, $payload, $expected, $what) = @$call;
		my ($out, $err) = run_command([ @command, $method, $payload ]);

		is($out, $expected, "$name: $what") or diag($err);
	}
	# one that works at the second attempt
	$node->safe_psql('postgres', qq{
		CREATE OR REPLACE FUNCTION auction.flaky() RETURNS int LANGUAGE plpgsql AS \$\$
		BEGIN
			IF nextval('flaky.calls') % 2 = 1 THEN
				RAISE 'on purpose' USING ERRCODE = '40P01';
			END IF;
			RETURN 1;
		END \$\$;
		SELECT setval('flaky.calls', 2); DELETE FROM actor.state});
	my ($out, $err) = run_command([ @command, 'flaky', '{}' ]);
	is($out, '1', "$name: another attempt") or diag($err);
	return;
}

SKIP:
{
	my ($driver) = grep { -e } '/usr/share/java/postgresql.jar';

	snippet('java', "$folder/Bid.java");
	skip 'java or its driver is not installed', 10
	  if !$driver || system('javac -version >/dev/null 2>&1') != 0;
	command_ok([ 'javac', '-d', $folder, "$folder/Bid.java" ], 'it compiles');
	my @java = ('java', '-cp', "$folder:$driver", 'Bid');
	my $address = "$host:${\ $node->port}/postgres?user=$user";

	check('JDBC', 'java', @java, "jdbc:postgresql://$address");
	check('JDBC without prepared statements', 'java', @java, "jdbc:postgresql://$address&prepareThreshold=0");
}

SKIP:
{
	mkdir "$folder/go" or die $!;
	snippet('go', "$folder/go/main.go");
	skip 'go is not installed', 11 if system('go version >/dev/null 2>&1') != 0;
	# compiling takes long, so what is compiled is kept where go keeps it
	my $home = $ENV{HOME} && -w $ENV{HOME} ? $ENV{HOME} : "$folder/go";
	local $ENV{HOME} = $home;
	local $ENV{GOFLAGS} = '-modcacherw';
	my $output = `cd '$folder/go' && go mod init bid 2>&1 && timeout 300 go get github.com/jackc/pgx/v5/pgxpool 2>&1`;

	skip 'pgx cannot be installed: ' . ((split /\n/, $output)[-1] // ''), 11 if $? != 0;
	command_ok([ 'sh', '-c', "cd '$folder/go' && go build -o bid ." ], 'it compiles');
	check('pgx', 'go', "$folder/go/bid", $node->connstr('postgres') . " user=$user");
	skip 'pgbouncer is not installed', 5 unless defined $pooled;
	check('pgx behind a pooler', 'go', "$folder/go/bid", "$pooled default_query_exec_mode=exec");
}

$node->stop;
done_testing();
