# What is too late or out of date: methods that save when they have been given up,
# state that SQL writes between two calls, hosts and applications that stop and go
# on; two instances of an actor never work at the same time.
#
#	ACTOR_SEED=n	makes the same random choices again

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use HostedApp;
use JSON::PP;
use Patience;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

HostedApp::seed();

my $node = HostedApp::server();

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub state_of
{
	my ($id, $key) = @_;

	return query(qq{SELECT value FROM actor.state WHERE actor_type = 'thing' AND actor_id = '$id' AND key = '$key'});
}

my $folder = HostedApp::folder();
my @options = (
	database => $node->connstr('postgres') . ' user=shop',
	types => ['thing'],
	folder => $folder,
	flags => ['--app-timeout=1']);
my $app = HostedApp->start(@options);

# late writes -----------------------------------------------------------------------

is($app->do('thing', 'a', 'add', { amount => 1 }), 1, 'an actor');
my $slow = $app->begin('thing', 'a', 'slow', { gate => 'a', amount => 10 });
ok($app->wait_for_line(what => 'at gate', more => 'a'), 'a method takes long');
is(HostedApp::answer($slow)->{status}, 504, 'and is given up');
my $next = $app->begin('thing', 'a', 'add', { amount => 2 });
$app->open_gate('a');
my $answer = HostedApp::answer($next);
is("$answer->{status} $answer->{content}", '200 3', 'the next one does not see what it does');
is(state_of('a', 'value'), 3, 'nor does the database');
my ($saved) = $app->lines(what => 'save', id => 'a', method => 'slow');
is($saved->{more}, 400, 'it could not save');
is(join("\n", $app->overlaps), '', 'the next one has begun when it was over');

$slow = $app->begin('thing', 'a', 'linger', { gate => 'linger', amount => 10 });
is(HostedApp::answer($slow)->{status}, 504, 'a method that has saved is given up');
is(state_of('a', 'value'), 3, 'which takes back what it has saved');
$app->open_gate('linger');
is($app->do('thing', 'a', 'read'), 3, 'the application knows that');

# the host dies, the method goes on
$app->close_gate('a');
my $count = $app->count(what => 'at gate');
$app->begin('thing', 'a', 'slow', { gate => 'a', amount => 10 });
ok($app->wait_for_line(what => 'at gate', count => $count + 1), 'a method takes long');
$app->kill_host;
$app->start_host;
$app->wait_until_ready;
$app->open_gate('a');
ok($app->wait_for_line(what => 'end', method => 'slow', count => 2), 'and ends after its host has been replaced');
# (204 if the new host was about to have the object dropped: what that saves is nothing)
like(($app->lines(what => 'save', method => 'slow'))[1]{more}, qr/^(400|204)$/, 'it could not save');
is(state_of('a', 'value'), 3, 'and did not');
is($app->do('thing', 'a', 'read'), 3, 'the application knows that');
is(($app->lines(what => 'activate', id => 'a'))[-1]{instance} > 1, 1, 'by a new instance');

# an application that says whose call it is is told apart when the next turn runs, too
is($app->do('thing', 'w', 'add', { amount => 1 }), 1, 'an actor');
my ($old, $new) = map {
	my ($gate, $amount) = @$_;
	my $pending = $app->begin('thing', 'w', 'slow', { gate => $gate, amount => $amount },
		'Dapr-Reentrancy-Id' => "00000000-0000-4000-8000-00000000000$amount");

	ok($app->wait_for_line(what => 'at gate', more => $gate), "a method waits at $gate");
	if ($gate eq 'old')
	{
		$app->kill_host;
		# nothing is to be given up from here on
		$app->{flags} = ['--app-timeout=60'];
		$app->start_host;
		$app->wait_until_ready;
	}
	{ pending => $pending, call => ($app->lines(what => 'at gate', more => $gate))[0]{chain} };
} [ 'old', 2 ], [ 'new', 5 ];
$app->open_gate('old');
ok($app->wait_for_line(what => 'save', chain => $old->{call}), 'that of the host which was killed saves during the next turn');
is(($app->lines(what => 'save', chain => $old->{call}))[0]{more}, 400, 'and could not');
$app->open_gate('new');
$answer = HostedApp::answer($new->{pending});
is("$answer->{status} $answer->{content} " . state_of('w', 'value'), '200 6 6', 'the next turn has its own effect');

# state that is written by SQL ---------------------------------------------------------

query(q{SELECT actor_transact('thing', 'a', '[{"operation": "upsert", "request": {"key": "value", "value": 50}}]')});
is($app->do('thing', 'a', 'read'), 50, 'state written by SQL is seen');
is($app->do('thing', 'a', 'add', { amount => 1 }), 51, 'and built upon');
query(q{
	SET ROLE shop;
	CREATE FUNCTION thing.by_sql(value int) RETURNS int LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('value', value);
		RETURN actor_get('value', 0);
	END $$});
is($app->do('thing', 'a', 'by_sql', { value => 70 }), 70, 'a method in SQL');
is($app->do('thing', 'a', 'read'), 70, 'is seen, too');
query(q{BEGIN; SELECT actor_invoke('thing', 'a', 'by_sql', '{"value": 90}'); ROLLBACK});
is($app->do('thing', 'a', 'read'), 70, 'unless it is rolled back');
query(q{SELECT actor_delete('thing', 'a')});
is($app->do('thing', 'a', 'read'), 0, 'an actor that is deleted has no state');

# an object that is out of date does not save when it is dropped, and is not refused
$app->open_gate('parting a');
query(q{SELECT actor_transact('thing', 'a', '[{"operation": "upsert", "request": {"key": "value", "value": 50}}]')});
is($app->do('thing', 'a', 'read'), 50, 'an instance that saves when it is dropped as it is out of date');
is(($app->lines(what => 'save', id => 'a'))[-1]{more}, 204, 'is not told so');
is(state_of('a', 'value'), 50, 'and its state does not count');
$app->close_gate('parting a');
query(q{SELECT actor_delete('thing', 'a')});
is($app->do('thing', 'a', 'read'), 0, 'it is nothing again');

# what the application may not have
query(q{SET ROLE shop; SELECT actor.host_place(host_id::uuid, 'thing', 'never') FROM actor.host_status WHERE alive});
$app->kill_host;
$app->start_host;
$app->wait_until_ready;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.placement WHERE actor_id = 'never'}),
	'a host was killed before the first call of an actor that it had placed, and the next one drops that');
is(join("\n", $app->unknown), '', 'though the application does not have it');
$app->open_gate('inactive b');
for (1 .. 3)
{
	my $failed = $app->call('thing', 'b', 'add');

	is("$failed->{status} $failed->{code}", '500 ERR_ACTOR_INVOKE_METHOD', 'an actor that cannot be activated');
}
$app->close_gate('inactive b');
is($app->do('thing', 'b', 'add'), 1, 'but can in the end');
is(join("\n", $app->unknown), '', 'was never to be dropped while the application did not have it');

# a host that does not know its types yet
$app->kill_host;
$app->start_host;
is($app->do('thing', 'a', 'read'), 0, 'a call that comes before the host has joined waits for that');

# a session of the host that somebody cleans, and with it the lock by which the host lives
my ($before, $session) = split /\|/, query(q{
	SELECT host_id, pid FROM actor.host, pg_locks WHERE actor.host_is_alive(host_id) AND objsubid = 19151 AND mode = 'ExclusiveLock'});
query(qq{
	CREATE TABLE cleaned AS SELECT $session AS pid;
	CREATE FUNCTION clean() RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS \$\$
	BEGIN
		IF pg_backend_pid() IN (SELECT pid FROM cleaned) THEN
			PERFORM pg_advisory_unlock_all();
		END IF;
		RETURN true;
	END \$\$;
	CREATE POLICY clean ON actor.type AS RESTRICTIVE TO shop USING (clean())});
ok($node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM actor.host WHERE actor.host_is_alive(host_id) AND host_id <> '$before'}),
	'it joins anew, under another id');
query('DROP POLICY clean ON actor.type; DROP FUNCTION clean(); DROP TABLE cleaned');
is($app->do('thing', 'a', 'read'), 0, 'and serves again');

# a restart of the server
is($app->do('thing', 'a', 'add', { amount => 5 }), 5, 'before a restart of the server');
$node->stop('fast');
$node->start;
query(q{SELECT actor_transact('thing', 'a', '[{"operation": "upsert", "request": {"key": "value", "value": 60}}]')});
$app->wait_until_ready;
is($app->do('thing', 'a', 'read'), 60, 'after it, what was written is seen');
is($app->stop, 0, 'the host ends');
is(join("\n", $app->overlaps), '', 'turns have not overlapped');

# processes that stop ---------------------------------------------------------------------

# waits for the turn of calls and for answers of hosts are to be long enough here
@options = (@options[ 0 .. 5 ], flags => ['--app-timeout=60']);
my @hosts = map { HostedApp->start(@options) } 1, 2;
my $first = $hosts[0];
my %at;
for my $id (1 .. 20)
{
	$first->do('thing', "s$id", 'add');
	push @{ $at{ query(qq{SELECT h.app_address ~ ':$first->{app_port}\\y' FROM actor.placement p
		JOIN actor.host h USING (host_id) WHERE actor_id = 's$id'}) } }, "s$id";
}
my ($here, $there) = ($at{t}[0], $at{f}[0]);
ok($here && $there, 'both hosts have actors');

ok($hosts[1]->stand_still($hosts[1]{http}{pid}), 'one stands still');
my $waits = $first->begin('thing', $there, 'add');
is($first->do('thing', $here, 'add'), 2, 'while a host stands still, the other works');
is(state_of($there, 'value'), 1, 'but not for actors of the first');
kill 'CONT', $hosts[1]{http}{pid};
$answer = HostedApp::answer($waits);
is("$answer->{status} $answer->{content}", '200 2', 'which are called when it goes on');

ok($hosts[1]->stand_still($hosts[1]{http}{pid}), 'it stands still again');
$waits = $first->begin('thing', $there, 'add');
$hosts[1]->kill_host;
HostedApp::answer($waits);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM actor.host WHERE actor.host_is_alive(host_id)}), 'one that stands still is killed');
my $value = $first->do('thing', $there, 'add');
is($value, state_of($there, 'value'), 'its actors are called at the other');
$hosts[1]->start_host;
$hosts[1]->wait_until_ready;
is($_->do('thing', $there, 'read'), $value, 'no host has an old instance') for @hosts;

kill 'STOP', $hosts[1]{app_pid};
$waits = $hosts[1]->begin('thing', 's' . $_, 'add') for 1 .. 20;
kill 'CONT', $hosts[1]{app_pid};
HostedApp::answer($waits);

# at random --------------------------------------------------------------------------------

my @actors = map { "r$_" } 1 .. 5;
my (%done, %asked);
my $ops = 0;
my @pending;

sub begin_some
{
	for (1 .. 10)
	{
		my $actor = $actors[ int(rand(@actors)) ];
		my $op = 'op' . ++$ops;

		push @{ $asked{$actor} }, $op;
		push @pending, [ $actor, $op, $hosts[ int(rand(@hosts)) ]->begin('thing', $actor, 'add', { op => $op }) ];
	}
	return;
}

my @troubles = (
	sub { kill 'STOP', $_[0]{http}{pid} },
	sub { kill 'STOP', $_[0]{app_pid} },
	sub { $_[0]->kill_host; $_[0]->start_host },
	sub { $_[0]->kill_app; $_[0]->start_app },
	sub { kill 'STOP', $_[0]{http}{pid}; $_[0]->kill_host; $_[0]->start_host },
	sub { kill 'STOP', $_[0]{app_pid}; $_[0]->kill_app; $_[0]->start_app });

for my $round (0 .. 11)
{
	my $victim = $hosts[ int(rand(@hosts)) ];

	begin_some();
	$victim->wait_for(sub { grep { HostedApp::answered($_->[2]) } @pending });
	$troubles[ $round % @troubles ]->($victim);
	begin_some();
	kill 'CONT', grep { $_ } $victim->{http}{pid}, $victim->{app_pid};
	for my $call (splice @pending)
	{
		push @{ $done{ $call->[0] } }, $call->[1] if HostedApp::answer($call->[2])->{status} == 200;
	}
}
$_->wait_until_ready for @hosts;
for my $actor (@actors)
{
	my @had = @{ decode_json(state_of($actor, 'ops') || '[]') };
	my %had = map { $_ => 1 } @had;

	is(scalar(keys %had), scalar(@had), "$actor: nothing was done twice");
	is(join(' ', grep { !$had{$_} } @{ $done{$actor} // [] }), '', "$actor: what was answered is there");
	is($first->do('thing', $actor, 'read'), scalar(@had), "$actor: the application knows it");
	is(state_of($actor, 'value') || 0, scalar(@had), "$actor: both keys have been saved together");
}
cmp_ok(scalar(map { @$_ } values %done), '>', 50, 'many calls have succeeded');
is(join("\n", $first->overlaps), '', 'turns have not overlapped');
is(join("\n", $first->unknown), '', 'the applications have not been asked what they do not know');
is($_->stop, 0, 'a host ends') for @hosts;

$node->stop;
done_testing();
