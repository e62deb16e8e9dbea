# Throw-away servers: a primary and its standby, below one folder.
package ActorStress::Server;

use strict;
use warnings FATAL => 'all';

use File::Temp ();
use Time::HiRes qw(sleep time);

my %ports = (primary => 5432, standby => 5433);

# A server that was made below a folder, or is about to be.
sub new
{
	my ($class, $name, $folder) = @_;

	return bless {
		name => $name,
		folder => $folder,
		data => "$folder/$name",
		log => "$folder/$name.log",
		port => $ports{$name}
	}, $class;
}

# Runs a program; dies with its output when it fails.
sub run
{
	my @command = @_;
	my $command = join(' ', map { "'" . s/'/'\\''/gr . "'" } @command);
	my $out = `$command 2>&1`;

	die "$command failed:\n$out" if $? != 0;
	return $out;
}

sub configure
{
	my ($self, $settings) = @_;

	open my $file, '>>', "$self->{data}/postgresql.conf" or die "postgresql.conf: $!\n";
	print $file "$settings\n";
	close $file;
	return;
}

# Makes the data of a primary.
sub init
{
	my ($self, $settings) = @_;

	run('initdb', '-D', $self->{data}, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync');
	$self->configure("unix_socket_directories = '$self->{folder}'\nlisten_addresses = ''\nport = $self->{port}\n$settings");
	return;
}

# Makes the data of a standby of a server that runs.
sub init_standby
{
	my ($self, $primary) = @_;

	run('pg_basebackup', '-D', $self->{data}, '-h', $primary->{folder}, '-p', $primary->{port}, '-U', 'postgres',
		'-R', '-C', '-S', 'standby', '-c', 'fast', '--no-sync');
	$self->configure("port = $self->{port}");
	return;
}

# A crash that is not over yet may be in the way.
sub start
{
	my $self = shift;
	my $last;

	for (1 .. 100)
	{
		return 1 if eval { run('pg_ctl', '-w', '-t', 120, '-D', $self->{data}, '-l', $self->{log}, 'start'); 1 };
		$last = $@;
		return 1 if $self->answers;
		sleep 0.1;
	}
	die $last;
}

sub stop
{
	my ($self, $mode) = @_;

	return eval { run('pg_ctl', '-w', '-t', 120, '-m', $mode, '-D', $self->{data}, 'stop'); 1 };
}

# Stops what runs, at the very end.
sub remove
{
	my $self = shift;

	$self->stop('immediate') if -e "$self->{data}/postmaster.pid";
	return;
}

sub answers
{
	my $self = shift;

	return ($self->try_sql('SELECT 1'))[0];
}

# Waits until the server takes connections; after a crash that is a while.
sub wait_until_up
{
	my $self = shift;
	my $end = time + 120;

	until ($self->answers)
	{
		die "$self->{name} does not come back, see $self->{log}\n" if time > $end;
		# a kill may have hit the server's first process
		$self->start if !-e "$self->{data}/postmaster.pid";
		sleep 0.1;
	}
	return;
}

# The command that runs a file of SQL as a role.
sub psql
{
	my ($self, $file, $role) = @_;

	return "psql -XAtq -v VERBOSITY=verbose -h '$self->{folder}' -p $self->{port} -U '$role' -d postgres -f '$file'";
}

# Runs SQL as the superuser, and returns whether that went well, the output and
# the errors.  Options: seconds, after which it is given up; set to 0 it may take
# as long as it likes.
sub try_sql
{
	my ($self, $sql, %options) = @_;
	my $seconds = $options{seconds} // 20;
	my $file = File::Temp->new(DIR => $self->{folder});
	my $errors = File::Temp->new(DIR => $self->{folder});

	print $file "SET statement_timeout = '${seconds}s';\nSET lock_timeout = '", $seconds * 250, "ms';\n", $sql;
	close $file;
	my $out = `@{[ $self->psql($file, 'postgres') ]} -v ON_ERROR_STOP=1 2>'$errors'`;
	my $status = $?;
	chomp $out;
	return ($status == 0, $out, slurp("$errors"));
}

# Runs SQL that must not fail, for as long as it takes.
sub sql
{
	my ($self, $sql) = @_;
	my ($good, $out, $errors) = $self->try_sql($sql, seconds => 0);

	die "SQL failed: $sql\n$errors" if !$good;
	return $out;
}

sub slurp
{
	my $path = shift;

	open my $file, '<', $path or die "$path: $!\n";
	local $/;
	return scalar <$file>;
}

sub log_lines
{
	my $self = shift;

	return split /^/, slurp($self->{log});
}

1;
