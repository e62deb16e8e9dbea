# An actor application with Dapr's own SDK for Python, as it is published, runs beside
# actor-http: t/dapr/hosted.py has the actors and who calls them.  So does the example in
# Python, and the first actor of doc/hosting.md.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use Cwd qw(abs_path);
use File::Copy;
use HostedApp;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = HostedApp::missing())
{
	plan skip_all => "not installed: $missing";
}

# the SDK
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
my $python = "$folder/venv/bin/python";
copy($_, $folder) or die "could not copy $_: $!"
  for "$FindBin::RealBin/dapr/hosted.py", glob("$FindBin::RealBin/../examples/hosted/python/*.*");
{
	local $ENV{HOME} = $folder;
	my $output = `cd '$folder' && python3 -m venv venv 2>&1 && timeout 300 venv/bin/pip install -q --retries 1 -r requirements.txt 2>&1`;

	plan skip_all => "the SDK cannot be installed by pip: " . ((split /\n/, $output)[-1] // '')
	  if $? != 0 || system("$python -c 'import dapr.ext.fastapi' >/dev/null 2>&1") != 0;
}

my $node = HostedApp::server();

append_to_file("$folder/journal", '');
my $app = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	command => [ $python, "$folder/hosted.py" ],
	env => { JOURNAL => "$folder/journal" });

sub journal
{
	return slurp_file("$folder/journal");
}

sub state_of
{
	my ($id) = @_;

	return $node->safe_psql('postgres', qq{SELECT value FROM actor.state WHERE actor_type = 'Box' AND actor_id = '$id' AND key = 'count'});
}

# what a client sees ------------------------------------------------------------------

my ($out, $err);
{
	local $ENV{DAPR_HTTP_PORT} = $app->{port};
	local $ENV{JOURNAL} = "$folder/journal";
	($out, $err) = run_command([ 'timeout', '120', $python, "$folder/hosted.py", 'client' ]);
}
my %got = map { /^([a-z ]+) = (.*)$/ ? ($1 => $2) : () } split /\n/, $out;

ok($got{end}, 'the scenario runs to its end') or diag("$out\n$err\n" . $app->{http}->log . slurp_file($app->{app_log}));
my %expected = (
	'nothing' => 'null',
	'text' => '"plain text"',
	'object' => '{"given": {"deep": {"x": 1.5}, "list": [1, "two", null]}}',
	'text argument' => '{"given": "blu\u00e9"}',
	'number' => '{"given": 7}',
	'error' => '"failed"',
	'state' => '{"found": true, "value": {"name": "blue"}}',
	'no such key' => '{"found": false, "value": null}',
	'removed' => '{"found": false, "value": null}',
	'variety' => '{"got": {"a": 1}, "has": true, "tried": false, "updated": 11}',
	'count' => '2',
	'count again' => '5',
	'fails' => '"failed"',
	'count after failure' => '6',
	'fifty at once' => '56',
	'reminder' => '"once milk"',
	'reminder with a period' => '"again often"',
	'ticks' => '0',
	'another actor' => '{"other": 4, "own": 60}',
	'itself' => '"none"',
	'fails after another' => '"failed"',
	'that actor' => '5');
is($got{$_}, $expected{$_}, $_) for sort keys %expected;
is(state_of('other'), 5, 'a chain that has failed has left nothing at the other actor');
is(state_of("anna \xc3\xa9"), 62, 'nor at the first');
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.reminder}), 0, 'no reminder is left');

# hooks
like(journal(), qr/^activated other$/m, 'the hook of activation has run');
is($app->{http}->request('DELETE', '/v1.0/actors/Box/other')->{status}, 204, 'an actor is deactivated');
like(journal(), qr/^deactivated other$/m, 'so has that of deactivation');
is($app->do('Box', 'other', 'Count', 1), 6, 'it can be called again');

# state from elsewhere
$node->safe_psql('postgres', q{SELECT actor_transact('Box', 'other', '[{"operation": "upsert", "request": {"key": "count", "value": 100}}]')});
is($app->do('Box', 'other', 'Count', 1), 101, 'state written by SQL is seen');
$node->safe_psql('postgres', q{SELECT actor_send('Box', 'other', 'Count', '10')});
ok($node->poll_query_until('postgres', q{SELECT value = '111' FROM actor.state WHERE actor_type = 'Box' AND actor_id = 'other' AND key = 'count'}),
	'SQL sends a message to it');

# a process that dies
is($app->call('Box', 'other', 'CountAndDie', 1000)->{status}, 500, 'a process that dies between save and answer');
waitpid($app->{app_pid}, 0);
$app->start_app;
$app->wait_until_ready;
is($app->do('Box', 'other', 'Count', 1), 112, 'leaves nothing behind');

is($app->{http}->stop, 0, 'actor-http ends orderly');
is(scalar(() = journal() =~ /^deactivated other$/mg), scalar(() = journal() =~ /^activated other$/mg) - 1,
	'what the living process had was deactivated')
  or diag(journal());

# the example ---------------------------------------------------------------------------

my $example = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	command => [ $python, "$folder/room.py" ]);
is($example->do('Room', 'blue', 'enter', 'anna'), '["anna"]', 'somebody enters a room');
is($example->do('Room', 'blue', 'enter', 'berta'), '["anna","berta"]', 'so does somebody else');
is($example->do('Room', 'red', 'enter', 'carl'), '["carl"]', 'and a third person the other');
is($example->call('Room', 'red', 'move', { person => 'carl', to => 'blue' })->{status}, 500, 'there is no place for three');
is($example->do('Room', 'red', 'people'), '["carl"]', 'so nobody has left');
is($example->do('Room', 'blue', 'move', { person => 'anna', to => 'red' }), '["berta"]', 'who moves to where there is place');
is($example->do('Room', 'red', 'people'), '["carl","anna"]', 'is there');
is($example->stop, 0, 'it ends');

# the first actor of the document
my ($first) = slurp_file("$FindBin::RealBin/../doc/hosting.md") =~ /^```python\n(.*?)^```/ms;
append_to_file("$folder/counter.py", $first);
my $counter = HostedApp->start(database => $node->connstr('postgres') . ' user=shop', command => [ $python, "$folder/counter.py" ]);
is($counter->do('Counter', 'page', 'hit', 5), 5, 'the first actor of the document is called');
is($counter->do('Counter', 'page', 'hit', 5), 10, 'and keeps its state');
is($counter->stop, 0, 'it ends');

$node->stop;
done_testing();
