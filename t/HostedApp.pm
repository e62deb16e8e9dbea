# What the tests of hosted actors share: an application (t/hosted) with actor-http
# beside it, what they are told to do, and what the application has written down.

package HostedApp;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use File::Basename;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use ActorHttp;

my $source = abs_path(dirname(__FILE__) . '/hosted');
my $json = JSON::PP->new->canonical->allow_nonref->utf8;
my %programs;

# What is missing to build it; script/test installs it.
sub missing
{
	return ActorHttp::missing();
}

# Builds both programs, once.
sub programs
{
	return \%programs if %programs;
	my $folder = ActorHttp::shared_folder('hosted');
	my $output = ActorHttp::locked_make($folder, "-C '$source'");

	is($?, 0, 'the application can be built') or diag($output);
	%programs = (app => "$folder/app", http => ActorHttp::build('all') . '/actor-http');
	return \%programs;
}

# A server with the extension, and with a role that can host types of its own;
# takes further settings.
sub server
{
	my ($settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new('main');

	$node->init;
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'actor'\n" . ($settings // ''));
	$node->start;
	$node->safe_psql(
		'postgres', q{
		CREATE EXTENSION actor;
		CREATE ROLE shop LOGIN;
		GRANT CREATE ON DATABASE postgres TO shop});
	return $node;
}

# A folder for the journal and the gates of one application or several.
sub folder
{
	my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);

	append_to_file("$folder/journal", '');
	return $folder;
}

# Starts an application and actor-http beside it, and waits until both are ready.
#
#	database	for actor-http
#	types		names of types, or "config" with the whole document as text
#	folder		shared with others
#	flags		further flags of actor-http
#	env			environment of both
#	command		another application, with its arguments; gets the environment
#				variables APP_PORT and DAPR_HTTP_PORT, too
#	wait		false: does not wait until the application is ready
sub start
{
	my ($class, %options) = @_;
	my $self = bless {
		%options,
		folder => $options{folder} // folder(),
		app_port => PostgreSQL::Test::Cluster::get_free_port(),
		port => PostgreSQL::Test::Cluster::get_free_port()
	}, $class;

	programs();
	$self->start_app if !$options{no_app};
	$self->start_host;
	$self->wait_until_ready if $options{wait} // !$options{no_app};
	return $self;
}

sub start_app
{
	my ($self) = @_;
	my @command = $self->{command} ? @{ $self->{command} } : (
		$programs{app},
		"--port=$self->{app_port}", "--host=$self->{port}",
		"--journal=$self->{folder}/journal", "--gates=$self->{folder}",
		$self->{config} ? "--config=$self->{config}" : (),
		$self->{types} ? '--types=' . join(',', @{ $self->{types} }) : ());

	$self->{app_log} //= abs_path(PostgreSQL::Test::Utils::tempdir) . '/app.log';
	append_to_file($self->{app_log}, '');
	$self->{app_pid} = fork() // die "could not fork: $!";
	if ($self->{app_pid} == 0)
	{
		open(STDERR, '>>', $self->{app_log}) or die;
		open(STDOUT, '>&', \*STDERR) or die;
		$ENV{$_} = $self->{env}{$_} for keys %{ $self->{env} // {} };
		$ENV{APP_PORT} = $self->{app_port};
		$ENV{DAPR_HTTP_PORT} = $self->{port};
		exec(@command) or die "could not run $command[0]: $!";
	}
	return;
}

sub start_host
{
	my ($self) = @_;

	$self->{http} = ActorHttp->start(
		program => $programs{http},
		port => $self->{port},
		database => $self->{database},
		env => $self->{env},
		flags => [ "--app=http://127.0.0.1:$self->{app_port}", @{ $self->{flags} // [] } ]);
	return;
}

sub wait_until_ready
{
	my ($self) = @_;

	$self->{http}->wait_for(sub { $self->get('/v1.0/healthz')->{status} == 204 })
	  or BAIL_OUT("the application does not get ready:\n" . $self->{http}->log . slurp_file($self->{app_log}));
	return;
}

# Kills it, and says so in the journal before: from then on none of its calls
# counts as running.
sub kill_app
{
	my ($self, $signal) = @_;

	return if !$self->{app_pid};
	$self->write_down('killed', $self->{app_pid});
	kill $signal // 'KILL', $self->{app_pid};
	waitpid($self->{app_pid}, 0);
	delete $self->{app_pid};
	return;
}

# The same for actor-http.  What the application still does for it does not count.
sub kill_host
{
	my ($self) = @_;

	return if !$self->{http} || !$self->{http}{pid};
	$self->write_down('abandoned', $self->{app_pid} // 0);
	kill 'KILL', $self->{http}{pid};
	waitpid($self->{http}{pid}, 0);
	delete $self->{http}{pid};
	return;
}

# Makes a process stand still, and waits until all of its threads do.
sub stand_still
{
	my ($self, $pid) = @_;

	kill 'STOP', $pid;
	return $self->wait_for(
		sub {
			for my $thread (glob "/proc/$pid/task/*/stat")
			{
				open(my $file, '<', $thread) or next;
				return 0 if (<$file> // '') !~ /\) [TtZX] /;
			}
			return 1;
		});
}

sub write_down
{
	my ($self, @fields) = @_;

	append_to_file("$self->{folder}/journal", join("\t", @fields) . "\n");
	return;
}

# Ends both; returns the exit status of actor-http.
sub stop
{
	my ($self) = @_;
	my $status = $self->{http}->stop;

	$self->kill_app('TERM');
	return $status;
}

sub DESTROY
{
	my ($self) = @_;

	local $?;
	if ($self->{app_pid})
	{
		kill 'CONT', $self->{app_pid};
		kill 'KILL', $self->{app_pid};
		waitpid($self->{app_pid}, 0);
	}
	kill 'CONT', $self->{http}{pid} if $self->{http} && $self->{http}{pid};
	return;
}

# requests --------------------------------------------------------------------

sub get
{
	my ($self, $path, %headers) = @_;

	return $self->{http}->request('GET', $path, undef, %headers);
}

sub path
{
	my (@parts) = @_;

	return '/v1.0/actors/' . join('/', map { s{([^A-Za-z0-9_.~/-])}{sprintf('%%%02X', ord $1)}ger } @parts);
}

sub encode
{
	my ($argument) = @_;

	return defined $argument ? $json->encode($argument) : undef;
}

# Calls a method; the argument becomes JSON.
sub call
{
	my ($self, $type, $id, $method, $argument, %headers) = @_;

	return $self->{http}->request('PUT', path($type, $id, 'method', $method), encode($argument),
		defined $argument ? ('Content-Type' => 'application/json') : (), %headers);
}

# The same for what must go well; returns the body.
sub do
{
	my ($self, @call) = @_;
	my $response = $self->call(@call);

	$response->{status} == 200
	  or diag("@call[0 .. 2]: $response->{status} $response->{content}\n" . $self->{http}->log);
	return $response->{content};
}

# Begins a call; "answer" waits for its end.
sub begin
{
	my ($self, $type, $id, $method, $argument, %headers) = @_;
	my $body = encode($argument) // '';

	return $self->begin_request('PUT', path($type, $id, 'method', $method), $body,
		'Content-Type' => 'application/json', %headers);
}

sub begin_request
{
	my ($self, $verb, $path, $body, %headers) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}, Timeout => 60);
	my $pending = { socket => $socket, text => '' };

	local $SIG{PIPE} = 'IGNORE';
	$socket->syswrite(
		"$verb $path HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: " . length($body) . "\r\n"
		  . join('', map { "$_: $headers{$_}\r\n" } keys %headers) . "\r\n$body")
	  if $socket;
	return $pending;
}

# Whether something has come for a call that was begun, or it has broken.
sub answered
{
	my ($pending) = @_;

	return !$pending->{socket} || IO::Select->new($pending->{socket})->can_read(0);
}

# The answer: status, headers (names in lower case) and content; status 0 if the
# connection has broken.
sub answer
{
	my ($pending) = @_;

	while ($pending->{socket})
	{
		last if !IO::Select->new($pending->{socket})->can_read(180);
		last if !$pending->{socket}->sysread($pending->{text}, 65536, length $pending->{text});
	}
	close $pending->{socket} if $pending->{socket};
	my ($head, $content) = split /\r\n\r\n/, $pending->{text}, 2;
	return { status => 0, content => '' } if !defined $content;
	my ($first, @lines) = split /\r\n/, $head;
	my ($status) = $first =~ m{^HTTP/1\.[01] (\d+)};
	my %headers = map { my ($name, $value) = split /: */, $_, 2; (lc $name => $value) } @lines;
	my $result = { status => $status, headers => \%headers, content => $content };

	$result->{code} = $json->decode($content)->{errorCode} if $status >= 400 && $content =~ /^\{.*errorCode/;
	return $result;
}

# gates and the journal ---------------------------------------------------------

sub open_gate
{
	my ($self, $gate) = @_;

	append_to_file("$self->{folder}/$gate", '');
	return;
}

sub close_gate
{
	my ($self, $gate) = @_;

	unlink "$self->{folder}/$gate";
	return;
}

# Its lines: what, pid, instance, type, id, call, method, chain, more.
sub journal
{
	my ($self) = @_;
	my @lines;

	for (split /\n/, slurp_file("$self->{folder}/journal"))
	{
		my %line;

		@line{qw(what pid instance type id call method chain more)} = split /\t/, $_, -1;
		push @lines, \%line;
	}
	return @lines;
}

# The lines with these fields.
sub lines
{
	my ($self, %fields) = @_;

	return grep {
		my $line = $_;
		!grep { ($line->{$_} // '') ne $fields{$_} } keys %fields
	} $self->journal;
}

# How many there are.
sub count
{
	my ($self, %fields) = @_;

	return scalar(my @lines = $self->lines(%fields));
}

# Waits until there are so many of them.
sub wait_for_line
{
	my ($self, %fields) = @_;
	my $count = delete $fields{count} // 1;
	my $found = $self->wait_for(sub { $self->count(%fields) >= $count });

	ok($found, 'there is a line ' . join(' ', map { "$_=$fields{$_}" } sort keys %fields) . " in the journal")
	  if !$found;
	return $found;
}

# Waits until something is true; false if that takes too long.
sub wait_for
{
	my ($self, $condition) = @_;
	my $end = time + 120;

	while (time < $end)
	{
		return 1 if $condition->();
		select(undef, undef, undef, 0.02);
	}
	return 0;
}

# The chain that a call belongs to: what stands after that in the id tells the calls of
# one chain from each other.
sub chain
{
	my ($line) = @_;

	return substr($line->{chain}, 0, 23);
}

# Where calls of an actor were running at the same time that do not belong to one
# chain, or its object was dropped under one, as the journal tells.
sub overlaps
{
	my ($self) = @_;
	my %running;
	my @overlaps;

	for my $line ($self->journal)
	{
		my $what = $line->{what};

		if ($what eq 'killed' || $what eq 'abandoned')
		{
			for my $calls (values %running)
			{
				@$calls = grep { $_->{pid} != $line->{pid} } @$calls;
			}
		}
		next unless $what eq 'begin' || $what eq 'end' || $what eq 'deactivate';
		my $calls = $running{"$line->{type} $line->{id}"} //= [];

		if ($what eq 'deactivate')
		{
			push @overlaps, "$line->{type} $line->{id}: deactivated in $line->{pid}.$line->{instance} under $_->{method}"
			  for grep { $_->{pid} == $line->{pid} && $_->{instance} == $line->{instance} } @$calls;
		}
		elsif ($what eq 'begin')
		{
			push @overlaps, "$line->{type} $line->{id}: $line->{method} in $line->{pid}.$line->{instance}"
			  . " beside $_->{method} in $_->{pid}.$_->{instance}"
			  for grep { $_->{chain} eq '' || chain($_) ne chain($line) } @$calls;
			push @$calls, $line;
		}
		else
		{
			@$calls = grep { $_->{pid} != $line->{pid} || $_->{call} != $line->{call} } @$calls;
		}
	}
	return @overlaps;
}

# What the application was asked to do that it does not know: instances that are
# to be deactivated, callbacks of timers.  The SDK for JavaScript would have ended.
sub unknown
{
	my ($self) = @_;

	return map { "$_->{more} of $_->{type} $_->{id}" } $self->lines(what => 'unknown');
}

# A method that goes on to save when it has answered: it comes to its end all the same, and
# what comes after its answer has no effect.
sub saves_after_answer
{
	my ($app, $type) = @_;

	is($app->do($type, 'y', 'add', { amount => 1 }), 1, 'an actor with state');
	my $chatter = $app->begin($type, 'y', 'chatter', { times => 8 });
	ok($app->wait_for(sub { HostedApp::answered($chatter) }), 'a method that does not stop to save is answered');
	$app->open_gate('enough y');
	is(HostedApp::answer($chatter)->{status}, 200, 'with success');
	ok($app->wait_for_line(what => 'chatted', id => 'y', count => 8), 'then all of its threads stop');
	is(join(' ', map { $_->{more} } $app->lines(what => 'chatted', id => 'y')), join(' ', (400) x 8), 'as they could not save any more');
	is($app->do($type, 'y', 'read'), 1, 'what it has done counts');
	is($app->do($type, 'z', 'add', { amount => 1 }), 1, 'another actor with state');
	is($app->call($type, 'z', 'belated', { gate => 'z', amount => 666 })->{status}, 200, 'a method that saves after its answer');
	$app->open_gate('z');
	ok($app->wait_for_line(what => 'belated', id => 'z', more => 500), 'which fails');
	is($app->do($type, 'z', 'read'), 1, 'has no effect, nor in the memory of the application');
	is(join(' ', map { $app->count(what => 'deactivate', id => $_) } 'y', 'z'), '1 1', 'since their objects were dropped');
	return;
}

# Makes random choices that can be made again, with ACTOR_SEED.
sub seed
{
	my $seed = $ENV{ACTOR_SEED} // int(rand(1_000_000_000));

	note("ACTOR_SEED=$seed");
	srand($seed);
	return;
}

1;
