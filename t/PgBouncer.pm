# A pgbouncer before a server.  It ends with the test.
package PgBouncer;

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

my @pidfiles;
END { kill 'INT', slurp_file($_) for grep { -e } @pidfiles; }

# The program; undef where it is not installed.
sub program
{
	my ($program) = grep { -x } map { "$_/pgbouncer" } '/usr/sbin', split /:/, $ENV{PATH};

	return $program;
}

# Starts one with three sessions, or more, in transaction mode unless another one is wanted, for
# the current user and perhaps one more, and waits until it lets clients in.  Returns its
# connection string, or undef if it does not start.
sub start
{
	my ($node, %options) = @_;
	my $mode = $options{mode} // 'transaction';
	my $size = $options{size} // 3;
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $socket = PostgreSQL::Test::Utils::tempdir_short();
	my $user = $node->safe_psql('postgres', 'SELECT current_user');
	my $dir = $options{dir} // $node->basedir;

	append_to_file("$dir/users", join('', map { qq{"$_" ""\n} } $user, $options{user} // ()));
	append_to_file("$dir/pgbouncer.ini", qq{
[databases]
postgres = host=${\ $node->host} port=${\ $node->port} dbname=postgres
[pgbouncer]
listen_addr =
listen_port = $port
unix_socket_dir = $socket
auth_type = trust
auth_file = $dir/users
pool_mode = $mode
default_pool_size = $size
ignore_startup_parameters = extra_float_digits,options
logfile = $dir/pgbouncer.log
pidfile = $dir/pgbouncer.pid
});
	system(program(), '-q', '-d', "$dir/pgbouncer.ini") == 0 or return undef;
	push @pidfiles, "$dir/pgbouncer.pid";

	# it goes to the background before it listens
	my $pooled = "host=$socket port=$port user=$user dbname=postgres";
	my $attempts = 10 * $PostgreSQL::Test::Utils::timeout_default;
	until (IPC::Run::run([ 'psql', '-X', '-d', $pooled, '-c', 'SELECT' ], '>', '/dev/null', '2>', '/dev/null')
		|| $attempts-- == 0)
	{
		usleep(100_000);
	}
	return $pooled;
}

# Lets one that was started in a folder go on in another mode.
sub set_mode
{
	my ($dir, $mode) = @_;
	my $settings = slurp_file("$dir/pgbouncer.ini");

	open(my $file, '>', "$dir/pgbouncer.ini") or die "could not write settings: $!";
	print $file $settings =~ s/^pool_mode = .*/pool_mode = $mode/mr;
	close($file);
	kill 'HUP', slurp_file("$dir/pgbouncer.pid");
	return;
}

1;
