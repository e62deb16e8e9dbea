# What the tests of actor-http share: building, starting and stopping it, and
# talking to it.

package ActorHttp;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use Fcntl qw(LOCK_EX);
use File::Basename;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = abs_path(dirname(__FILE__) . '/../http');

# Whether it can be built here; script/test installs what that needs.
sub missing
{
	my @missing =
	  grep { system("printf '#include <$_>\\n' | cc -E -I`pg_config --includedir` - >/dev/null 2>&1") != 0 }
	  qw(microhttpd.h jansson.h curl/curl.h libpq-fe.h);

	return "@missing";
}

# Builds target and returns the folder it is in.  Without variables it is one that all
# tests of a run share, so that only the first has to wait for the compiler.
sub build
{
	my ($target, @variables) = @_;
	my $folder = @variables ? abs_path(PostgreSQL::Test::Utils::tempdir) : shared_folder('http');
	my $output = locked_make($folder, "-C '$source' PG_CONFIG=pg_config @variables $target");

	is($?, 0, "$target can be built") or diag($output);
	return $folder;
}

# A folder of that name for what tests share.
sub shared_folder
{
	my ($name) = @_;
	my $folder = dirname(abs_path(PostgreSQL::Test::Utils::tempdir)) . "/../build-$name";

	mkdir $folder;
	return abs_path($folder);
}

# Runs make on a folder that others may want to build at the same time; returns what it
# says.
sub locked_make
{
	my ($folder, $arguments) = @_;

	open(my $lock, '>', "$folder/lock") or die "could not lock $folder: $!";
	flock($lock, LOCK_EX) or die "could not lock $folder: $!";
	my $output = `make -s BUILD='$folder' $arguments 2>&1`;
	close $lock;
	return $output;
}

# Starts it; the log is kept in a file.
sub start
{
	my ($class, %options) = @_;
	my $self = bless {
		port => $options{port} // PostgreSQL::Test::Cluster::get_free_port(),
		log => abs_path(PostgreSQL::Test::Utils::tempdir) . '/log',
		wrapper => $options{wrapper} // [],
		headers => $options{headers} // {}
	}, $class;
	my @command = (
		@{ $self->{wrapper} },
		$options{program}, "--port=$self->{port}",
		"--database=$options{database}", @{ $options{flags} // [] });

	append_to_file($self->{log}, '');
	$self->{pid} = fork() // die "could not fork: $!";
	if ($self->{pid} == 0)
	{
		open(STDERR, '>', $self->{log}) or die;
		open(STDOUT, '>&', \*STDERR) or die;
		$ENV{$_} = $options{env}{$_} for keys %{ $options{env} // {} };
		exec(@command) or die "could not run $command[0]: $!";
	}
	$self->wait_for(sub { slurp_file($self->{log}) =~ /listening/ })
	  or BAIL_OUT("actor-http does not start: " . slurp_file($self->{log}));
	return $self;
}

# Waits until something is true; false if that takes too long.
sub wait_for
{
	my ($self, $condition) = @_;

	for (1 .. 10 * 180)
	{
		return 1 if $condition->();
		return 0 if $self->{pid} && waitpid($self->{pid}, 1) > 0 && delete $self->{pid};
		select(undef, undef, undef, 0.1);
	}
	return 0;
}

# Ends it; returns its exit status.
sub stop
{
	my ($self) = @_;

	kill 'TERM', $self->{pid};
	waitpid($self->{pid}, 0);
	delete $self->{pid};
	return $?;
}

sub log
{
	my ($self) = @_;

	return slurp_file($self->{log});
}

sub url
{
	my ($self, $path) = @_;

	return "http://127.0.0.1:$self->{port}$path";
}

# One request; the result is that of HTTP::Tiny with the error code, if any.
sub request
{
	my ($self, $verb, $path, $body, %headers) = @_;
	my $client = $self->{client} //= HTTP::Tiny->new(timeout => 180);
	my $response = $client->request($verb, $self->url($path),
		{ headers => { %{ $self->{headers} }, %headers }, defined $body ? (content => $body) : () });

	$response->{content} //= '';
	if ($response->{status} >= 400 && $response->{content} =~ /^\{/)
	{
		my $error = decode_json($response->{content});

		$response->{code} = $error->{errorCode};
		$response->{message} = $error->{message};
		$response->{details} = $error->{details};
	}
	return $response;
}

# Sends bytes as they are and returns everything that comes back until the
# server closes the connection.
sub raw
{
	my ($self, $bytes, %options) = @_;
	my $socket = $self->socket;
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	$socket->syswrite($bytes);
	$socket->shutdown(1) if !$options{keep};
	while (1)
	{
		my $count = $socket->sysread(my $part, 65536);

		last if !$count;
		$answer .= $part;
		last if $options{until} && $answer =~ $options{until};
	}
	return $answer;
}

sub socket
{
	my ($self) = @_;

	return IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $self->{port},
		Timeout => 60) // die "could not connect: $!";
}

sub DESTROY
{
	my ($self) = @_;

	local $?;
	if ($self->{pid})
	{
		kill 'KILL', $self->{pid};
		waitpid($self->{pid}, 0);
	}
}

1;
