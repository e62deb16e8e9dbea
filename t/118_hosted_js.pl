# An actor application with Dapr's own SDK for JavaScript, as it is published, runs
# beside actor-http: t/dapr/hosted.js has the actors and who calls them.  So does the
# example in TypeScript, and the first actor of doc/hosting.md.

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
if (system('npm --version >/dev/null 2>&1') != 0 || system('node --version >/dev/null 2>&1') != 0)
{
	plan skip_all => 'npm is not installed';
}

# the SDK
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
copy($_, $folder) or die "could not copy $_: $!"
  for "$FindBin::RealBin/dapr/hosted.js", glob("$FindBin::RealBin/../examples/hosted/typescript/*.*s*");
{
	local $ENV{HOME} = $folder;
	my $output = `cd '$folder' && timeout 300 npm install --no-audit --no-fund --ignore-scripts --no-package-lock --fetch-retries=1 2>&1`;

	plan skip_all => "the SDK cannot be installed by npm: " . (split /\n/, $output)[0]
	  if $? != 0 || !-e "$folder/node_modules/\@dapr/dapr/package.json";
}

my $node = HostedApp::server();

append_to_file("$folder/journal", '');
my $app = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	command => [ 'node', "$folder/hosted.js" ],
	env => { JOURNAL => "$folder/journal" });

sub journal
{
	return slurp_file("$folder/journal");
}

# what a client sees ------------------------------------------------------------------

my ($out, $err);
{
	local $ENV{DAPR_HTTP_PORT} = $app->{port};
	local $ENV{JOURNAL} = "$folder/journal";
	($out, $err) = run_command([ 'timeout', '120', 'node', "$folder/hosted.js", 'client' ]);
}
my %got = map { /^([a-z ]+) = (.*)$/ ? ($1 => $2) : () } split /\n/, $out;

ok($got{end}, 'the scenario runs to its end') or diag("$out\n$err\n" . $app->{http}->log . slurp_file($app->{app_log}));
my %expected = (
	'nothing' => '"undefined"',
	'text' => '"plain text"',
	'number' => '7',
	'yes' => 'true',
	'list' => '[1,"two",null]',
	'object' => '{"name":"plum","weight":1.5,"tags":["ripe","blu' . "\xc3\xa9" . '"]}',
	'one argument' => '{"all":["x"]}',
	'several arguments' => '{"all":[1,"two",{"three":[3]},null,false]}',
	'error' => '"500 ERR_ACTOR_INVOKE_METHOD"',
	'no such method' => '"500 ERR_ACTOR_INVOKE_METHOD"',
	'state' => '{"value":{"name":"blue"}}',
	'text in state' => '{"value":"some text"}',
	'no such key' => '{"found":false}',
	'has' => '{"has":true}',
	'removed' => '{"has":false}',
	'variety' => '{"tried":false,"got":{"a":1},"updated":11,"names":["got","added"]}',
	'count' => '2',
	'count again' => '5',
	'fails' => '"500 ERR_ACTOR_INVOKE_METHOD"',
	'count after failure' => '6',
	'fifty at once' => '56',
	'reminder' => '"milk"',
	'reminder with a period' => '"often"',
	'ticks' => '0',
	'another actor' => '{"other":4}',
	'that actor' => '5');
is($got{$_}, $expected{$_}, $_) for sort keys %expected;

# what the database has
is($node->safe_psql('postgres', q{SELECT value FROM actor.state WHERE actor_type = 'Basket' AND actor_id = 'other' AND key = 'count'}),
	5, 'the state is in the database');
is($node->safe_psql('postgres', q{SELECT count(*) FROM actor.reminder}), 0, 'no reminder is left');

# hooks
like(journal(), qr/^activated other$/m, 'the hook of activation has run');
is($app->{http}->request('DELETE', '/v1.0/actors/Basket/other')->{status}, 204, 'an actor is deactivated');
like(journal(), qr/^deactivated other$/m, 'so has that of deactivation');
is($app->do('Basket', 'other', 'count', [1]), 6, 'it can be called again');
is(scalar(() = journal() =~ /^activated other$/mg), 2, 'by a new instance');

# state from elsewhere
$node->safe_psql('postgres', q{SELECT actor_transact('Basket', 'other', '[{"operation": "upsert", "request": {"key": "count", "value": 100}}]')});
is($app->do('Basket', 'other', 'count', [1]), 101, 'state written by SQL is seen');
$node->safe_psql('postgres', q{SELECT actor_send('Basket', 'other', 'count', '[10]')});
ok($node->poll_query_until('postgres', q{SELECT value = '111' FROM actor.state WHERE actor_type = 'Basket' AND actor_id = 'other' AND key = 'count'}),
	'SQL sends a message to it');

# a process that dies
my $died = $app->call('Basket', 'other', 'countAndDie', [1000]);
is($died->{status}, 500, 'a process that dies between save and answer');
waitpid($app->{app_pid}, 0);
$app->start_app;
$app->wait_until_ready;
is($app->do('Basket', 'other', 'count', [1]), 112, 'leaves nothing behind');

is($app->{http}->stop, 0, 'actor-http ends orderly');
is(scalar(() = journal() =~ /^activated/mg), scalar(() = journal() =~ /^deactivated/mg) + 3,
	'all that the living process had was deactivated, but for the three of the dead one')
  or diag(journal());
is(waitpid($app->{app_pid}, 1), 0, 'the application is alive');

# the example ---------------------------------------------------------------------------

($out, $err) = run_command([ 'npm', 'run', '--prefix', $folder, 'build' ]);
is($?, 0, 'the example can be built') or diag($out, $err);
my $example = HostedApp->start(
	database => $node->connstr('postgres') . ' user=shop',
	command => [ 'node', "$folder/out/cart.js" ],
	env => { PATIENCE => 100 });
is($example->do('Cart', 'anna', 'add', [ 'tea', 2 ]), '{"tea":2}', 'something is put into the cart');
is($example->do('Cart', 'anna', 'add', ['milk']), '{"tea":2,"milk":1}', 'and something else');
ok($node->poll_query_until('postgres', q{SELECT value = 'true' FROM actor.state WHERE actor_type = 'Cart' AND key = 'leftBehind'}),
	'which is left behind after a while');
is($example->call('Cart', 'anna', 'add', [ 'stone', 0 ])->{status}, 500, 'an error');
is($example->do('Cart', 'anna', 'items'), '{"tea":2,"milk":1}', 'changes nothing');
is($example->stop, 0, 'it ends');

# the first actor of the document
my ($first) = slurp_file("$FindBin::RealBin/../doc/hosting.md") =~ /^```typescript\n(.*?)^```/ms;
my ($compile) = slurp_file("$FindBin::RealBin/../doc/hosting.md") =~ /^npx tsc (.*)$/m;
append_to_file("$folder/counter.ts", $first);
($out, $err) = run_command([ 'sh', '-c', "cd '$folder' && npx tsc $compile" ]);
is($?, 0, 'the first actor of the document can be built') or diag($out, $err);
my $counter = HostedApp->start(database => $node->connstr('postgres') . ' user=shop', command => [ 'node', "$folder/counter.js" ]);
is($counter->do('Counter', 'page', 'hit', [5]), 5, 'it is called');
is($counter->do('Counter', 'page', 'hit', [5]), 10, 'and keeps its state');
is($counter->stop, 0, 'it ends');

$node->stop;
done_testing();
