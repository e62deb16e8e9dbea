# What doc/recipes.md says, recipe by recipe, and what must have come of it.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ClientServer;
use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $document = slurp_file("$FindBin::RealBin/../doc/recipes.md");
my %recipes = map { /^(.*?)\n(.*)/s ? ($1 => $2) : () } split /^## /m, $document;
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);

my $node = PostgreSQL::Test::Cluster->new('recipes');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
$node->start;

sub new_database
{
	my ($name) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, 'CREATE EXTENSION actor');
	return $name;
}

# the blocks of SQL of a recipe
sub blocks
{
	my ($recipe) = @_;
	my @blocks = ($recipes{$recipe} // '') =~ /^```sql\n(.*?)^```/msg;

	ok(@blocks > 0, "there is: $recipe");
	return @blocks;
}

sub run_blocks
{
	my ($database, @blocks) = @_;
	my ($status, $out, $err) = $node->psql($database, join("\n", @blocks), on_error_stop => 1);

	is($status, 0, "it runs in $database") or diag($err);
	return $out;
}

sub query
{
	my ($database, $sql) = @_;

	return $node->safe_psql($database, $sql);
}

# the shape of state ------------------------------------------------------------------

my $db = new_database('shape');
run_blocks($db, blocks('Changing the shape of state'));
ok($node->poll_query_until($db, q{SELECT count(*) = 0 FROM actor.state WHERE key = 'balance'}), 'no balance is left');
ok($node->poll_query_until($db, q{SELECT finished_at IS NOT NULL FROM actor.each}), 'all was sent');
is(query($db, q{SELECT count(*), sum((value ->> 'amount')::int) FROM actor.state WHERE key = 'money'}),
	'100|5050', 'and no money is lost');
is(query($db, q{SELECT actor_invoke('account', 'a7', 'deposit', '[3]')}), '10', 'the new code goes on with it');

# renaming ------------------------------------------------------------------------------

$db = new_database('renaming');
run_blocks($db, blocks('Renaming a type'));
is(query($db, q{SELECT actor_type, value FROM actor.state}), 'counter|3', 'the state goes with the new name');
is(query($db, q{SELECT call_timeout, schema_name FROM actor.type WHERE actor_type = 'counter'}), '00:00:05|counter', 'so do options and schema');

# moving ----------------------------------------------------------------------------------

my ($export, $import, $actor, @steps) = blocks('Moving an actor to another database');
$db = new_database('moving');
run_blocks($db, $export, $import, $actor);
my $to = new_database('moved');
run_blocks($to, $import, $actor =~ /^(CREATE.*?SELECT actor_register\('box'\);)/ms);
my $content = q{SELECT key, value, expires_at > now() + interval '23 hours' FROM actor.state
		WHERE actor_type = 'box' ORDER BY key;
	SELECT name, method, scheduled_at, remaining, regexp_replace(period, '^R\d/', ''), role_name FROM actor.reminder ORDER BY name;
	SELECT method, payload, due_at, role_name FROM actor.message ORDER BY message_id};
my $before = query($db, $content);
like($before, qr/colour.*guest.*daily.*tick.*sent/s, 'an actor has state, reminders and a message');
query($to, "SET timezone = 'Asia/Tokyo'; SELECT import_actor(\$document\$"
	  . query($db, "SELECT export_actor('box', '7')") . '$document$)');

sub comparable { return join "\n", sort map { s/PT1H/01:00:00/r } split /\n/, $_[0]; }
is(comparable(query($to, $content)), comparable($before), 'and has all of it in the other database');
run_blocks($db, @steps);
is(comparable(query($db, $content)), comparable($before), 'also as the document says it');
is(query($db, 'SELECT count(*) FROM actor.pause'), '0', 'and is not paused any more');

# tenants, and what travels ---------------------------------------------------------------

$db = new_database('tenants');
my @tenants = (blocks('Tenants: row-level security'), blocks('Settings that travel with messages'));
like(run_blocks($db, @tenants), qr/^0$/m, 'a tenant does not see what others have');
ok( $node->poll_query_until($db, q{
		SELECT string_agg(concat_ws(' ', tenant, invoice, what), ', ' ORDER BY what) = 'blue blue/1 milk, blue blue/1 tea' FROM invoice.line}),
	'a message is delivered for its tenant');
is(query($db, q{SELECT settings FROM actor.reminder}), '{"app.tenant": "blue"}', 'and a reminder will be');
for my $method ('add', 'lines')
{
	my $payload = $method eq 'add' ? '["x"]' : '{}';
	my ($ret, $out, $err) = $node->psql($db,
		qq{\\set VERBOSITY sqlstate\nSET ROLE shop_app; SET app.tenant = 'red'; SELECT actor_invoke('invoice', 'blue/1', '$method', '$payload')});
	like($err, qr/42501/, "another tenant cannot call $method");
}
query($db, q{DELETE FROM actor.reminder});

# the outbox --------------------------------------------------------------------------------

SKIP:
{
	my @blocks = blocks('Calling a web service: an outbox');
	my ($program) = $recipes{'Calling a web service: an outbox'} =~ /^```python\n(.*?)^```/ms;
	my ($python, $missing) = ClientServer::python();

	skip $missing, 6 unless defined $python;
	$db = new_database('outbox');
	run_blocks($db, @blocks);
	append_to_file("$folder/worker.py", $program);
	append_to_file("$folder/service.py", <<'PYTHON');
# a service that fails the first time, and knows no street called "nowhere"
import http.server
import json
import sys


class Service(http.server.BaseHTTPRequestHandler):
    keys = []

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.keys.append(self.headers["Idempotency-Key"])
        status = 503 if len(self.keys) == 1 else 404 if request["address"] == "nowhere" else 200
        answer = json.dumps({"label": request["address"].upper(), "keys": self.keys}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


server = http.server.HTTPServer(("127.0.0.1", 0), Service)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
	my ($in, $port) = ('', '');
	my $service = IPC::Run::start([ $python, "$folder/service.py" ], \$in, \$port, '2>', "$folder/service.log");
	$service->pump until $port =~ /\n/;
	chomp $port;
	my $worker = IPC::Run::start(
		[ $python, "$folder/worker.py", $node->connstr($db), "http://127.0.0.1:$port/" ], '2>', "$folder/worker.log");

	ok($node->poll_query_until($db, q{SELECT value ->> 'label' = 'MAIN STREET 1' FROM actor.state WHERE key = 'label'}),
		'the actor gets the answer');
	is(query($db, q{SELECT value -> 'keys' FROM actor.state WHERE key = 'label'}), '["1", "1"]', 'of the second call, with the same key');
	query($db, q{SELECT actor_invoke('parcel', '2', 'order_label', '["nowhere"]')});
	ok($node->poll_query_until($db, q{SELECT value = '"rejected"' FROM actor.state WHERE actor_id = '2' AND key = 'status'}),
		'what the service refuses is rejected');
	is(query($db, 'SELECT count(*) FROM parcel.outbox'), '0', 'nothing is left to do');
	$worker->kill_kill;
	$service->kill_kill;
}

# Dapr's store --------------------------------------------------------------------------------

my @dapr = blocks("Moving over from Dapr's PostgreSQL store");
@dapr = grep { !/DROP SCHEMA/ } @dapr;
$db = new_database('dapr');
run_blocks($db, @dapr);
my $taken = q{SELECT key, value FROM actor.state WHERE actor_type = 'Cart' ORDER BY key;
	SELECT name, scheduled_at AT TIME ZONE 'UTC', remaining, data, expires_at AT TIME ZONE 'UTC' FROM actor.reminder ORDER BY name};
is(query($db, $taken), qq{items|["tea"]\nowner|"ann"\nremind|2099-01-01 09:00:00|5|{"n": 1}|}, 'state and reminders come over');

# in the format of Protocol Buffers, in partitions, some of which have fired
sub varint
{
	my ($n) = @_;
	my $bytes = '';

	while ($n > 127)
	{
		$bytes .= chr($n & 127 | 128);
		$n >>= 7;
	}
	return $bytes . chr($n);
}

sub content { return varint($_[0] << 3 | 2) . varint(length $_[1]) . $_[1]; }
sub instant { return content($_[0], varint(1 << 3) . varint($_[1])); }

my $first = 4070941200;    # 2099-01-01 09:00:00
my $list = "\0pb" . join '', map { content(1, $_) } (
	content(1, '7') . content(2, 'Cart') . content(3, 'remind') . content(4, '{"n": 1}') . content(5, 'R5/PT1H') . instant(6, $first) . content(7, '1h'),
	content(1, '8') . content(2, 'Cart') . content(3, 'once') . content(4, '{"n": 2}') . instant(6, $first),
	content(1, '9') . content(2, 'Cart') . content(3, 'often') . content(4, '{"n": 3}') . content(5, '0h30m0s') . instant(6, $first) . instant(8, $first + 86400),
	content(1, '10') . content(2, 'Cart') . content(3, 'over') . content(5, 'R2/PT1H') . instant(6, $first));
my $entries = q{
	('actors||Cart||metadata', '{"id": "5f0c", "actorRemindersMetadata": {"partitionCount": 2}}'),
	('actors||Cart||5f0c||reminders||2', '[]'),
	('Cart||7||remind', '{"lastFiredTime": "2099-01-01T11:00:00Z", "repetitionLeft": 2}'),
	('Cart||9||often', '{"lastFiredTime": "2099-01-01T09:30:00Z", "repetitionLeft": -1}'),
	('Cart||10||over', '{"lastFiredTime": "2099-01-01T10:00:00Z", "repetitionLeft": 0}'),
	('shop||Cart||7||a||b', '{"odd": true}'), ('other||Cart||7||items', '["milk"]')};
my $expected = qq{a||b|{"odd": true}\nitems|["tea"]\nowner|"ann"\n}
  . qq{often|2099-01-01 10:00:00||{"n": 3}|2099-01-02 09:00:00\nonce|2099-01-01 09:00:00|1|{"n": 2}|\nremind|2099-01-01 12:00:00|2|{"n": 1}|};
for my $version (2, 1)
{
	$db = new_database("dapr$version");
	my @blocks = map { s/RETURNS void LANGUAGE sql AS \$\$ SELECT actor_set\('reminded', n\) \$\$;/$& CREATE FUNCTION "Cart".receive_reminder(name text, data jsonb) RETURNS void LANGUAGE sql AS 'SELECT';/r } @dapr;
	my ($view) = $document =~ /^```\n(CREATE VIEW dapr\.entry.*?)^```/ms;
	my $sql = join "\n", grep { !/^SELECT dapr.import_reminders/ } @blocks;
	my $call = 'CALL dapr.import_state';
	my $more = "INSERT INTO dapr.state (key, value) VALUES $entries;\n"
	  . "INSERT INTO dapr.state (key, value) VALUES ('actors||Cart||5f0c||reminders||1', '\\x" . unpack('H*', $list) . "');\n";

	if ($version == 1)
	{
		# as the component has made it, with what was there
		$more .= 'DROP VIEW dapr.entry; ALTER TABLE dapr.state ALTER value TYPE jsonb USING
			CASE WHEN starts_with(encode(value, \'hex\'), \'00\') THEN to_jsonb(encode(value, \'base64\')) ELSE convert_from(value, \'UTF8\')::jsonb END;
			ALTER TABLE dapr.state ADD isbinary boolean; UPDATE dapr.state SET isbinary = key LIKE \'%reminders||1\';
			ALTER TABLE dapr.state RENAME expires_at TO expiredate;' . "\n$view";
	}
	$sql =~ s/\Q$call\E/$more$call/;
	run_blocks($db, $sql, "SELECT dapr.import_reminders('Cart');");
	is(query($db, $taken), $expected, "version $version of the component, with protocol buffers");
}

$node->stop;
done_testing();
