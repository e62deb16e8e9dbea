# actor-http: every route, its answers, headers and limits; what it does when
# the database goes away, and how it ends.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd qw(abs_path);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
log_statement = all
});
$node->start;
# the functions need not be in the search path
$node->safe_psql('postgres', q{
	CREATE SCHEMA "The API";
	CREATE EXTENSION actor SCHEMA "The API";
	GRANT USAGE ON SCHEMA "The API" TO PUBLIC;
	CREATE ROLE front LOGIN;
	CREATE ROLE guest LOGIN;
	GRANT CREATE ON DATABASE postgres TO front;
	ALTER ROLE front SET search_path = "The API";
});
$node->safe_psql('postgres', q{
	CREATE SCHEMA box;
	CREATE FUNCTION box.put(k text, v jsonb, ttl interval DEFAULT NULL) RETURNS void
	LANGUAGE sql AS 'SELECT actor_set(k, v, ttl)';
	CREATE FUNCTION box.get(k text) RETURNS jsonb STABLE LANGUAGE sql AS 'SELECT actor_get(k)';
	CREATE FUNCTION box.echo(payload jsonb) RETURNS jsonb STABLE LANGUAGE sql AS 'SELECT payload';
	CREATE FUNCTION box.nothing() RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION box.trace() RETURNS text STABLE LANGUAGE sql AS $$ SELECT current_setting('actor.traceparent') $$;
	CREATE FUNCTION box.add(n numeric DEFAULT 1) RETURNS numeric LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('n', actor_get('n', 0::numeric) + n);
		RETURN actor_get('n', 0::numeric);
	END $$;
	CREATE FUNCTION box.raise(state text, message text DEFAULT 'by request') RETURNS void
	LANGUAGE plpgsql AS $$ BEGIN RAISE '%', message USING ERRCODE = state, DETAIL = 'a detail'; END $$;
	CREATE FUNCTION box.back(id text) RETURNS jsonb LANGUAGE sql
	AS $$ SELECT actor_invoke('box', id, 'again', jsonb_build_array(actor_id())) $$;
	CREATE FUNCTION box.again(id text) RETURNS jsonb LANGUAGE sql
	AS $$ SELECT actor_invoke('box', id, 'add') $$;
	CREATE FUNCTION box.write_in_read() RETURNS void STABLE LANGUAGE plpgsql
	AS $$ BEGIN PERFORM actor_set('a', 1); END $$;
	CREATE FUNCTION box.wait_for_lock() RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN PERFORM actor_set('waited', true); PERFORM pg_advisory_xact_lock(1); END $$;
	CREATE FUNCTION box."odd/name"() RETURNS text STABLE LANGUAGE sql AS $$ SELECT 'odd' $$;
	CREATE FUNCTION box.twice() RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION box.twice(a int) RETURNS void LANGUAGE sql AS '';
	CREATE TABLE box.once (n int UNIQUE DEFERRABLE INITIALLY DEFERRED);
	CREATE FUNCTION box.insert_once(n int) RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN INSERT INTO box.once VALUES (n); PERFORM actor_set('once', n); END $$;
	CREATE FUNCTION box.raise_late() RETURNS trigger LANGUAGE plpgsql
	AS $$ BEGIN
		PERFORM pg_terminate_backend(pg_backend_pid()) WHERE NEW.state = 'ended';
		RAISE 'too late' USING ERRCODE = NEW.state;
	END $$;
	CREATE TABLE box.late (state text);
	CREATE CONSTRAINT TRIGGER late AFTER INSERT ON box.late DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION box.raise_late();
	CREATE FUNCTION box.fail_late(state text) RETURNS void LANGUAGE sql
	AS 'INSERT INTO box.late VALUES (state)';
	REVOKE ALL ON FUNCTION box.nothing() FROM PUBLIC;
	SELECT actor_register('box', call_timeout => '100ms');
}, extra_params => [ '-U', 'front' ]);

my $program = ActorHttp::build('all') . '/actor-http';
my $http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres') . ' user=front',
	flags => [ '--pool-size=3', '--app-id=me', '--body-limit=100000', '--drain-timeout=60' ]);

# answer(NAME, [VERB, PATH, BODY, HEADERS], STATUS, BODY or ERRORCODE)
sub answer
{
	my ($name, $request, $status, $content) = @_;
	my $response = $http->request(@$request);

	is("$response->{status} " . ($response->{code} // $response->{content}),
		"$status $content", $name)
	  or diag($response->{content});
	return $response;
}

# methods ---------------------------------------------------------------------

my $box = '/v1.0/actors/box/a';

answer('a method with arguments by position', [ 'POST', "$box/method/put", '["x", [1]]' ], 200, 'null');
answer('by name', [ 'PUT', "$box/method/put", '{"k": "y", "v": null}' ], 200, 'null');
answer('with the result as it is', [ 'GET', "$box/method/get", '["x"]' ], 200, '[1]');
answer('JSON null is no absent result', [ 'DELETE', "$box/method/get", '["y"]' ], 200, 'null');
my $response = answer('an absent result is null, too', [ 'POST', "$box/method/get", '["z"]' ], 200, 'null');
is($response->{headers}{'content-type'}, 'application/json', 'as JSON');
answer('and so is none', [ 'POST', "$box/method/nothing" ], 200, 'null');
answer('no body is no payload', [ 'POST', "$box/method/add" ], 200, '1');
answer('nor is an empty one', [ 'POST', "$box/method/add", '' ], 200, '2');
answer('nor null', [ 'POST', "$box/method/add", ' null ' ], 200, '3');
answer('the only argument as it is', [ 'POST', "$box/method/add", '0' ], 200, '3');
answer('a string, too', [ 'PUT', "$box/method/get", '"x"' ], 200, '[1]');
answer('no arguments for no parameters', [ 'PUT', "$box/method/odd%2Fname", '[]' ], 200, '"odd"');

# nothing goes through a floating point number
my $exact = '{"a": [12345678901234567890.10, 1e-30, 0.1000, "\u00e9\n", -0.0]}';
$response = answer('numbers are exact', [ 'POST', "$box/method/echo", $exact ], 200,
	'{"a": [12345678901234567890.10, 0.000000000000000000000000000001, 0.1000, "é\n", 0.0]}');
is($response->{headers}{'content-type'}, 'application/json', 'a result is JSON');
answer('a method may have a slash in its name', [ 'POST', "$box/method/odd%2Fname" ], 200, '"odd"');
answer('encoded or not', [ 'POST', "$box/method/odd/name" ], 200, '"odd"');
answer('dots are resolved', [ 'POST', "$box/method/a/../b/.././add", '[0]' ], 200, '3');
answer('encoded or not', [ 'POST', "$box/method/..%2F../%2e%2e/add", '[0]' ], 200, '3');
answer('a query is ignored', [ 'POST', "$box/method/add?n=7", '[0]' ], 200, '3');

for my $id ('%41%20%C3%A9', 'A%20%C3%A9', '%2541', '+', '||', '%3C%3E%22%27')
{
	answer("id $id", [ 'POST', "/v1.0/actors/box/$id/method/put", '["x", 1]' ], 200, 'null');
}
is( $node->safe_psql('postgres',
		q{SELECT string_agg(actor_id, ' ; ' ORDER BY actor_id) FROM actor.state WHERE actor_id <> 'a'}),
	q{%41 ; + ; <>"' ; A é ; ||}, 'ids are decoded once');

# errors of methods
answer('no such type', [ 'POST', '/v1.0/actors/none/a/method/x' ], 404, 'ERR_ACTOR_NO_ADDRESS');
answer('no such method', [ 'POST', "$box/method/then", '[null, null]' ], 404, 'ERR_ACTOR_METHOD_NOT_FOUND');
answer('two of them', [ 'POST', "$box/method/twice" ], 500, 'ERR_ACTOR_INVOKE_METHOD');
answer('a member too many', [ 'POST', "$box/method/add", '{"m": 1}' ], 400, 'ERR_BAD_REQUEST');
answer('an argument too many', [ 'POST', "$box/method/add", '[1, 2]' ], 400, 'ERR_BAD_REQUEST');
$response = answer('one of the wrong type', [ 'POST', "$box/method/add", '["x"]' ], 400, 'ERR_BAD_REQUEST');
like($response->{details}{context}, qr/^parameter "n" of method "add"[^\n]*$/, 'names the parameter, and nothing more');
answer('or bare', [ 'POST', "$box/method/add", '"x"' ], 400, 'ERR_BAD_REQUEST');
answer('an id that is too long', [ 'POST', '/v1.0/actors/box/' . 'x' x 513 . '/method/add' ], 400, 'ERR_BAD_REQUEST');
$response = answer('an error of the method',
	[ 'POST', "$box/method/raise", '["23514", "überzogen \"x\""]' ], 400, 'ERR_ACTOR_INVOKE_METHOD');
is($response->{message}, "\x{fc}berzogen \"x\"", 'with its message');
is_deeply($response->{details}, { sqlstate => '23514', detail => 'a detail' }, 'and its details');
is($response->{headers}{'content-type'}, 'application/json', 'as JSON');
for my $case (
	[ '22023', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '42501', 403, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '23505', 409, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '23503', 409, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '23P01', 409, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '23502', 400, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'P0001', 400, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'P0002', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'PT402', 402, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'PT599', 599, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'PT200', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'PT999', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'PT4X2', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '42883', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '54000', 500, 'ERR_ACTOR_STACK_DEPTH' ],
	[ '40P01', 409, 'ERR_ACTOR_CONFLICT' ],
	[ '40001', 409, 'ERR_ACTOR_CONFLICT' ],
	[ '57014', 504, 'ERR_ACTOR_TIMEOUT' ],
	[ '53200', 503, 'ERR_ACTOR_DATABASE_UNAVAILABLE' ])
{
	my ($state, $status, $code) = @$case;

	answer("SQLSTATE $state from a method", [ 'POST', "$box/method/raise", qq(["$state"]) ], $status, $code);
}

# errors that come when the method has returned: it has not been done, and was no
# refusal, whatever their SQLSTATE
answer('what is deferred', [ 'POST', "$box/method/insert_once", '[1]' ], 200, 'null');
answer('and fails when it is to be committed', [ 'POST', "/v1.0/actors/box/late/method/insert_once", '[1]' ],
	409, 'ERR_ACTOR_INVOKE_METHOD');
answer('leaves nothing behind', [ 'GET', "/v1.0/actors/box/late/state/once" ], 204, '');
answer('with a request id, too', [ 'POST', "/v1.0/actors/box/late/method/insert_once", '[1]', 'Idempotency-Key' => 'late' ],
	409, 'ERR_ACTOR_INVOKE_METHOD');
for my $case (
	[ 'P0001', 400, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ 'PT402', 402, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '42883', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '0A000', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '26000', 500, 'ERR_ACTOR_INVOKE_METHOD' ],
	[ '40001', 409, 'ERR_ACTOR_CONFLICT' ])
{
	my ($state, $status, $code) = @$case;

	answer("SQLSTATE $state at the commit", [ 'POST', "$box/method/fail_late", qq(["$state"]), 'Idempotency-Key' => $state ],
		$status, $code);
}
$response = answer('a session that ends meanwhile', [ 'POST', "$box/method/fail_late", '["ended"]' ],
	503, 'ERR_ACTOR_DATABASE_UNAVAILABLE');
like($response->{message}, qr/it is not known whether the request took effect/, 'does not say what has become of it');
answer('reentry', [ 'POST', "$box/method/back", '["b"]' ], 409, 'ERR_ACTOR_REENTRANCY');
answer('a write in a read-only method', [ 'POST', "$box/method/write_in_read" ], 500, 'ERR_ACTOR_INVOKE_METHOD');
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET default_transaction_isolation = serializable});
my $strict = ActorHttp->start(program => $program, database => $node->connstr('postgres') . ' user=front');
$response = $strict->request('POST', "$box/method/add");
is("$response->{status} $response->{code}", '400 ERR_BAD_REQUEST', 'writing needs READ COMMITTED');
is($strict->stop, 0, 'it ends');
$node->safe_psql('postgres', q{
	ALTER DATABASE postgres RESET default_transaction_isolation;
	ALTER DATABASE postgres SET default_transaction_read_only = on});
$strict = ActorHttp->start(program => $program, database => $node->connstr('postgres') . ' user=front');
for my $write ([ 'POST', "$box/method/add" ], [ 'POST', "$box/state", '[]' ], [ 'DELETE', "$box/timers/x" ])
{
	$response = $strict->request(@$write);
	is("$response->{status} $response->{code}", '503 ERR_ACTOR_READ_ONLY', "$write->[1] needs to write");
}
$response = $strict->request('POST', "$box/method/get", '["y"]');
is("$response->{status} $response->{content}", '200 null', 'reading does not');
is($strict->stop, 0, 'it ends');
$node->safe_psql('postgres', q{SET default_transaction_read_only = off;
	ALTER DATABASE postgres RESET default_transaction_read_only});

# a busy actor
my ($in, $out, $timer) = ('', '', IPC::Run::timeout(180));
my $held = IPC::Run::start(
	[ 'psql', '-XqAt', '-d', $node->connstr('postgres') . ' user=front' ],
	'<', \$in, '>', \$out, $timer);
$in .= "BEGIN; SELECT actor_invoke('box', 'busy', 'add');\n\\echo taken\n";
$held->pump until $out =~ /taken/;
answer('a busy actor', [ 'POST', '/v1.0/actors/box/busy/method/add' ], 423, 'ERR_ACTOR_BUSY');
answer('can be read', [ 'POST', '/v1.0/actors/box/busy/method/get', '["n"]' ], 200, 'null');
answer('but not changed', [ 'POST', '/v1.0/actors/box/busy/state', '[]' ], 423, 'ERR_ACTOR_BUSY');
$in .= "COMMIT;\n\\q\n";
$held->finish;
answer('until its turn is over', [ 'POST', '/v1.0/actors/box/busy/method/add' ], 200, '2');

# headers
my $uuid = '01234567-89ab-cdef-0123-456789abcdef';
my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
$response = answer('an id of a chain that has nothing open',
	[ 'POST', "$box/method/add", '[0]', 'Dapr-Reentrancy-Id' => $uuid ], 200, '3');
is($response->{headers}{'dapr-reentrancy-id'}, $uuid, 'is returned');
answer('one that is no uuid', [ 'POST', "$box/method/add", '[0]', 'Dapr-Reentrancy-Id' => 'x' ], 400, 'ERR_BAD_REQUEST');
my $turn = $node->safe_psql('postgres', q{
	SET client_min_messages = warning;
	CREATE SCHEMA chain;
	CREATE FUNCTION chain.add() RETURNS int LANGUAGE plpgsql
	AS $$ BEGIN PERFORM actor_set('n', actor_get('n', 0) + 1); RETURN actor_get('n', 0); END $$;
	SELECT actor_register('chain', reentrancy => true, call_timeout => '100ms');
	SELECT actor_open_turn('chain', 'a')}, extra_params => [ '-U', 'front' ]) =~ s/\s//gr;
answer('an open turn excludes others', [ 'POST', '/v1.0/actors/chain/a/method/add' ], 423, 'ERR_ACTOR_BUSY');
answer('and their changes of the state', [ 'POST', '/v1.0/actors/chain/a/state', '[]' ], 423, 'ERR_ACTOR_BUSY');
$response = answer('but not its own chain',
	[ 'POST', '/v1.0/actors/chain/a/method/add', undef, 'Dapr-Reentrancy-Id' => $turn ], 200, '1');
is($response->{headers}{'dapr-reentrancy-id'}, $turn, 'whose id is returned');
answer('nor that for state', [ 'POST', '/v1.0/actors/chain/a/state', '[]', 'Dapr-Reentrancy-Id' => $turn ], 204, '');
answer('where it must be a uuid, too', [ 'POST', '/v1.0/actors/chain/a/state', '[]', 'Dapr-Reentrancy-Id' => 'x' ],
	400, 'ERR_BAD_REQUEST');
$response = answer('a trace', [ 'POST', "$box/method/add", '[0]', traceparent => $trace, tracestate => 'a=b' ], 200, '3');
is("$response->{headers}{traceparent} $response->{headers}{tracestate}", "$trace a=b", 'is returned');
like(slurp_file($node->logfile), qr{/\*traceparent='$trace'\*/}, 'and seen by the server');
answer('a trace for a method', [ 'POST', "$box/method/trace", undef, traceparent => $trace ], 200, qq("$trace"));
answer('which ends with the request', [ 'POST', "$box/method/trace" ], 200, '""');
answer('and for a reminder', [ 'POST', "$box/reminders/nothing", '{"dueTime": "100h"}', traceparent => $trace ], 204, '');
is( $node->safe_psql('postgres', q{SELECT traceparent FROM actor.reminder WHERE name = 'nothing'}),
	$trace, 'with which it is kept');
answer('that can be deleted', [ 'DELETE', "$box/reminders/nothing", undef, traceparent => $trace ], 204, '');
answer('a trace of another version', [ 'POST', "$box/method/trace", undef, traceparent => $trace =~ s/^00/01/r ], 200, '""');
answer('a trace without an id', [ 'POST', "$box/method/trace", undef, traceparent => '00-' . '0' x 32 . '-b7ad6b7169203331-01' ],
	200, '""');
answer('a trace that is none', [ 'POST', "$box/method/add", '[0]', traceparent => "*/; DROP SCHEMA box; --" ], 200, '3');
unlike(slurp_file($node->logfile), qr/DROP SCHEMA box/, 'is not');
for (1 .. 2)
{
	answer('a request with a key runs once',
		[ 'POST', "$box/method/add", '[10]', 'Idempotency-Key' => 'one' ], 200, '13');
}
answer('and not for another payload', [ 'POST', "$box/method/add", '[11]', 'Idempotency-Key' => 'one' ], 400, 'ERR_BAD_REQUEST');
for my $trace_header ([], [ traceparent => $trace ])
{
	answer('reading needs none', [ 'POST', "$box/method/get", '["n"]', 'Idempotency-Key' => 'two', @$trace_header ], 200, '13');
}
answer('but cannot write with one, either',
	[ 'POST', "$box/method/write_in_read", undef, 'Idempotency-Key' => 'two' ], 500, 'ERR_ACTOR_INVOKE_METHOD');
answer('and the session can write again', [ 'POST', "$box/method/add", '[0]' ], 200, '13') for 1 .. 4;

# a paused actor
$node->safe_psql('postgres', q{SELECT actor_pause('box', 'a')}, extra_params => [ '-U', 'front' ]);
$response = answer('a paused actor', [ 'POST', "$box/method/add" ], 409, 'ERR_ACTOR_NOT_READY');
is($response->{headers}{'retry-after'}, '1', 'asks to come back');
$node->safe_psql('postgres', q{SELECT actor_resume('box', 'a')}, extra_params => [ '-U', 'front' ]);

# what is no JSON
for my $body ('{', '[1,]', '{"a" 1}', 'x', '"', '01', '[1.]', "\xff", '"\u0000"', '"\ud800"',
	"[1]\0", '[1] [2]', '1e999999', "\"\t\"", '[' x 3000, 'nul', '{"a":1,}')
{
	answer('malformed: ' . substr($body, 0, 10) =~ s/[^ -~]/?/gr, [ 'POST', "$box/method/echo", $body ],
		400, 'ERR_MALFORMED_REQUEST');
}
$response = $http->request('POST', "$box/method/echo", "{\n  \"a\": 1,\n  \"b\": x}");
is($response->{message}, 'the body is not valid JSON: line 3, column 8: a value is expected', 'the place is named');

# forbidden characters, after decoding
for my $part ('%23', '%3F', '%2F', '%5C', '%00', 'a%0Ab', '%7F', '.', '..', '%2e%2e', '', '%zz', '%4', '%FF', '%C0%80')
{
	answer("forbidden as an id: \"$part\"", [ 'POST', "/v1.0/actors/box/$part/method/add" ], 400, 'ERR_BAD_REQUEST')
	  if $part ne '';
	answer("as a type: \"$part\"", [ 'POST', "/v1.0/actors/$part/a/method/add" ], 400, 'ERR_BAD_REQUEST');
	answer("as a reminder: \"$part\"", [ 'DELETE', "$box/reminders/$part" ], 400, 'ERR_BAD_REQUEST');
	answer("as a timer: \"$part\"", [ 'DELETE', "$box/timers/$part" ], 400, 'ERR_BAD_REQUEST');
}
for my $part ('%23', '%3Fx', 'a%00b', '%0A', '..', '../..', '.', '', '%')
{
	answer("forbidden as a method: \"$part\"", [ 'POST', "$box/method/$part" ], 400, 'ERR_BAD_REQUEST');
}

# state -----------------------------------------------------------------------

answer('a key that is absent', [ 'GET', "$box/state/none" ], 204, '');
answer('one that is there', [ 'GET', "$box/state/x" ], 200, '[1]');
answer('JSON null is there', [ 'GET', "$box/state/y" ], 200, 'null');
answer('a transaction', [ 'POST', "$box/state",
		'[{"operation": "upsert", "request": {"key": "s/1", "value": 12345678901234567890.10}},'
	  . ' {"operation": "upsert", "request": {"key": "t", "value": 1, "metadata": {"ttlInSeconds": "100"}}},'
	  . ' {"operation": "delete", "request": {"key": "x"}}]' ], 204, '');
answer('has removed one', [ 'GET', "$box/state/x" ], 204, '');
answer('and set one, exactly', [ 'GET', "$box/state/s%2F1" ], 200, '12345678901234567890.10');
$response = answer('and one that expires', [ 'GET', "$box/state/t" ], 200, '1');
like($response->{headers}{'metadata.ttlexpiretime'} // '', qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/, 'whose expiry is shown');
answer('an empty transaction', [ 'PUT', "$box/state", '[]' ], 204, '');
answer('all or nothing', [ 'POST', "$box/state",
		'[{"operation": "upsert", "request": {"key": "u", "value": 1}}, {"operation": "upsert"}]' ],
	400, 'ERR_ACTOR_STATE_TRANSACTION_SAVE');
answer('is nothing', [ 'GET', "$box/state/u" ], 204, '');
answer('no array', [ 'POST', "$box/state", '{}' ], 400, 'ERR_MALFORMED_REQUEST');
answer('no body', [ 'POST', "$box/state" ], 400, 'ERR_MALFORMED_REQUEST');
answer('a key that is too long', [ 'GET', "$box/state/" . 'x' x 513 ], 400, 'ERR_ACTOR_STATE_GET');
answer('state of no type', [ 'GET', '/v1.0/actors/none/a/state/x' ], 404, 'ERR_ACTOR_NO_ADDRESS');

# reminders and timers --------------------------------------------------------

# names that are made up go to one method, if the type has it
for my $kind ('reminder', 'timer')
{
	my $path = "$box/${kind}s/lock-17";

	answer("a $kind without a method", [ 'POST', $path, '{"dueTime": "100h"}' ], 404, 'ERR_ACTOR_METHOD_NOT_FOUND');
	$node->safe_psql('postgres', qq{CREATE FUNCTION box.receive_$kind(name text, data jsonb) RETURNS void LANGUAGE sql
		AS \$\$ SELECT actor_set('received', jsonb_build_array('$kind', name, data)) \$\$},
		extra_params => [ '-U', 'front' ]);
	answer('with one for all', [ 'POST', $path, '{"dueTime": "100h", "data": {"x": 1}}' ], 204, '');
	like($http->request('GET', $path)->{content}, qr/"callback":"receive_$kind","dueTime":"100h","data":\{"x": 1\}/,
		'is there');
	answer('and can be deleted', [ 'DELETE', $path ], 204, '');
	answer('one that is due', [ 'POST', $path, '{"dueTime": "0s", "data": {"x": 1}}' ], 204, '');
	ok($http->wait_for(sub {
		$http->request('GET', "$box/state/received")->{content} eq qq(["$kind", "lock-17", {"x": 1}])
	}), 'is received with its name and data');
	$node->safe_psql('postgres', "DROP FUNCTION box.receive_$kind", extra_params => [ '-U', 'front' ]);
}

for my $kind ([ 'reminders', 'REMINDER' ], [ 'timers', 'TIMER' ])
{
	my ($path, $word) = ("$box/$kind->[0]", $kind->[1]);

	answer("$word absent", [ 'GET', "$path/r" ], 404, "ERR_ACTOR_${word}_NOT_FOUND");
	answer("$word created", [ 'POST', "$path/r",
			'{"dueTime": "1h", "PERIOD": "R3/PT10S", "ttl": null, "data": {"n": 1.50}, "callback": "add", "unknown": 1}' ],
		204, '');
	answer("$word shown", [ 'GET', "$path/r" ], 200,
		'{"actorID":"a","actorType":"box","callback":"add","dueTime":"1h","period":"R3/PT10S","data":{"n": 1.50}}');
	answer("$word not replaced", [ 'POST', "$path/r", '{"dueTime": "2h", "callback": "add", "overwrite": false}' ],
		409, "ERR_ACTOR_${word}_ALREADY_EXISTS");
	answer("$word replaced", [ 'PUT', "$path/r", '{"dueTime": "p1dt2h", "callback": "add", "overwrite": true}' ], 204, '');
	answer("$word shown again", [ 'GET', "$path/r" ], 200,
		'{"actorID":"a","actorType":"box","callback":"add","dueTime":"P1DT2H"}');
	answer("$word deleted", [ 'DELETE', "$path/r" ], 204, '');
	answer("$word deleted again", [ 'DELETE', "$path/r" ], 204, '');
	for my $case (
		# as .NET, Java, Python and JavaScript write what is absent, due, or whole days
		[ '"dueTime": "1h", "period": "0h0m0s0ms", "ttl": "0s"', '"dueTime":"1h"' ],
		[ '"dueTime": "1h", "period": "PT0S", "ttl": "P0D"', '"dueTime":"1h"' ],
		[ '"dueTime": "1h", "period": "0h0m0s0ms0\u03bcs", "ttl": "pt0s"', '"dueTime":"1h"' ],
		[ '"dueTime": "1h", "period": "P0DT", "ttl": "0"', '"dueTime":"1h"' ],
		# cron expressions are for the database to read
		[ '"dueTime": "0s", "period": "0 30 9 * * mon-fri"', '"dueTime":"0s","period":"0 30 9 * * mon-fri"' ],
		[ '"period": "R3/@daily", "ttl": "0s"', '"period":"R3/@daily"' ],
		[ '"period": "CRON_TZ=Europe/Berlin */5 * * * *"', '"period":"CRON_TZ=Europe/Berlin */5 * * * *"' ],
		[ '"dueTime": "P2DT", "period": "R3/P1DT"', '"dueTime":"P2D","period":"R3/P1D"' ],
		[ '"dueTime": "1h", "period": "p1dt", "ttl": "P3DT"', '"dueTime":"1h","period":"P1D","ttl":"P3D"' ],
		[ '"dueTime": "0h0m0s-5ms", "period": "1h"', '"dueTime":"0s","period":"1h"' ],
		[ '"dueTime": "-5ms", "period": "1h"', '"dueTime":"0s","period":"1h"' ],
		[ '"dueTime": "-1h59m59s995ms0\u03bcs", "period": "1h"', '"dueTime":"0s","period":"1h"' ],
		[ '"dueTime": "PT-1H-30M", "period": "1h"', '"dueTime":"0s","period":"1h"' ],
		[ '"dueTime": "-PT5S", "period": "1h"', '"dueTime":"0s","period":"1h"' ])
	{
		my ($sent, $shown) = @$case;

		answer("$word with $sent", [ 'POST', "$path/sdk", qq({$sent, "callback": "nothing"}) ], 204, '');
		like($http->request('GET', "$path/sdk")->{content}, qr/"callback":"nothing",\Q$shown\E\}$/, "is $shown");
	}
	for my $wrong ('"period": "-5ms"', '"ttl": "-5ms"', '"period": "0x"', '"dueTime": "-5"', '"dueTime": "1h-5m"',
		'"dueTime": "P"', '"period": "PT"', '"ttl": "0.0.0s"', '"period": "R3/PT0S"', '"dueTime": "--5s"')
	{
		answer("$word with $wrong", [ 'POST', "$path/sdk", qq({"dueTime": "1h", $wrong, "callback": "nothing"}) ],
			400, "ERR_ACTOR_${word}_CREATE");
	}
	answer("$word deleted", [ 'DELETE', "$path/sdk" ], 204, '');
	answer("$word with no good schedule", [ 'POST', "$path/r", '{"dueTime": "soon", "callback": "add"}' ],
		400, "ERR_ACTOR_${word}_CREATE");
	answer("$word for no method", [ 'POST', "$path/r", '{}' ], 404, 'ERR_ACTOR_METHOD_NOT_FOUND');
	answer("$word with an empty body", [ 'POST', "$path/r" ], 400, 'ERR_MALFORMED_REQUEST');
	answer("$word that is no object", [ 'POST', "$path/r", '[]' ], 400, 'ERR_MALFORMED_REQUEST');
	answer("$word with a number for a time", [ 'POST', "$path/r", '{"dueTime": 1}' ], 400, 'ERR_MALFORMED_REQUEST');
	answer("$word with a text for a truth", [ 'POST', "$path/r", '{"overwrite": "no"}' ], 400, 'ERR_MALFORMED_REQUEST');
	answer("$word fires", [ 'POST', "$path/put", '{"data": {"k": "fired ' . $kind->[0] . '", "v": 1}}' ], 204, '');
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM actor.state WHERE key = 'fired $kind->[0]'"),
		"$word has fired");
}
answer('a failure policy', [ 'POST', "$box/reminders/r",
		'{"dueTime": "1h", "callback": "add", "failurePolicy": {"drop": {}}, "catchUp": "all"}' ], 204, '');
is( $node->safe_psql('postgres', "SELECT failure_policy, catch_up FROM actor.reminder WHERE name = 'r'"),
	'{"drop": {}}|all', 'is stored');
answer('one that is none', [ 'POST', "$box/reminders/r", '{"callback": "add", "failurePolicy": {"x": 1}}' ],
	400, 'ERR_ACTOR_REMINDER_CREATE');

# what a type can do ------------------------------------------------------------

$response = decode_json($http->request('GET', '/v1.0/openapi/box')->{content});
is_deeply($response->{paths}{'/v1.0/actors/box/{actorId}/method/put'}{post}{requestBody}{content}{'application/json'}{schema}{required},
	[ 'k', 'v' ], 'methods are described with their parameters');
ok(!exists $response->{paths}{'/v1.0/actors/box/{actorId}/method/twice'}, 'and only what can be called');
answer('no type can do nothing', [ 'GET', '/v1.0/openapi/none' ], 404, 'ERR_ACTOR_NO_ADDRESS');
answer('what is no name', [ 'GET', '/v1.0/openapi/a%2Fb' ], 400, 'ERR_BAD_REQUEST');

# promises ----------------------------------------------------------------------

$node->safe_psql('postgres', q{
	CREATE FUNCTION box.ask() RETURNS uuid LANGUAGE sql AS $$ SELECT actor_promise('answered') $$;
	CREATE FUNCTION box.answered(payload jsonb) RETURNS void LANGUAGE sql AS $$ SELECT actor_set('answer', payload - 'promise') $$;
}, extra_params => [ '-U', 'front' ]);
for my $case ([ 'POST', '{"yes": 1.50}', '{"state": "resolved", "value": {"yes": 1.50}}' ],
	[ 'DELETE', undef, '{"state": "rejected", "value": null}' ])
{
	my ($verb, $body, $answer) = @$case;
	my $token = decode_json('[' . $http->request('POST', '/v1.0/actors/box/asks/method/ask')->{content} . ']')->[0];

	answer("$verb settles a promise", [ $verb, "/v1.0/promises/$token", $body ], 200, '{"settled" : true}');
	answer('once', [ 'POST', "/v1.0/promises/$token", '1' ], 200, '{"settled" : false}');
	ok($node->poll_query_until('postgres', qq{SELECT value = '$answer' FROM actor.state WHERE actor_id = 'asks' AND key = 'answer'}),
		'the actor gets the answer');
}
answer('what is no token', [ 'POST', '/v1.0/promises/x', '1' ], 400, 'ERR_ACTOR_PROMISE');
answer('a value that is no JSON', [ 'POST', '/v1.0/promises/x', '{' ], 400, 'ERR_MALFORMED_REQUEST');

# messages, results and lists ---------------------------------------------------

my $post = '/v1.0/actors/box/post';
sub body
{
	return decode_json($http->request('GET', @_)->{content});
}

$response = $http->request('POST', "$post/messages", '{"method": "add", "data": {"n": 1.50}}', 'Idempotency-Key' => 'order 17/a');
like("$response->{status} $response->{content}", qr/^200 \{"id" : (\d+)\}$/, 'a message is sent');
my $sent_once = $response->{content};
$response = $http->request('GET', "$post/results/order%2017%2Fa?wait=100s");
is($response->{status}, 200, 'its result is there');
like($response->{content}, qr/"state" : "done", "result" : 1\.50, "error" : null, "finishedAt" : "2\d+-\d\d-\d\dT/, 'with all digits');
answer('it is sent once', [ 'PUT', "$post/messages", '{"method": "add", "data": {"n": 1.50}}', 'Idempotency-Key' => 'order 17/a' ], 200, $sent_once);
answer('the key is that of one message', [ 'POST', "$post/messages", '{"method": "add"}', 'Idempotency-Key' => 'order 17/a' ],
	400, 'ERR_ACTOR_MESSAGE_SEND');
$http->request('POST', "$post/method/add", '[1]', 'Idempotency-Key' => 'call');
like($http->request('GET', "$post/results/call")->{content}, qr/"state" : "done", "result" : 2\.50/, 'calls have results, too');
answer('of another key nothing is known', [ 'GET', "$post/results/none" ], 204, '');
answer('a wait that is no interval', [ 'GET', "$post/results/none?wait=long" ], 400, 'ERR_ACTOR_RESULT_GET');
$http->request('POST', "$post/messages", '{"method": "raise", "data": ["P0001"], "failurePolicy": {"drop": {}}}', 'Idempotency-Key' => 'fails');
$response = body("$post/results/fails?wait=100s");
is_deeply([ $response->{state}, $response->{error} ],
	[ 'failed', { sqlstate => 'P0001', message => 'by request', detail => 'a detail' } ], 'a message that is given up');

# delayed, listed and cancelled
$http->request('POST', "$post/messages", '{"method": "add", "dueTime": "100h"}', 'Idempotency-Key' => 'late');
$http->request('POST', "$post/messages", '{"method": "nothing", "dueTime": "p9d"}');
my $undelivered = body("$post/messages");
is(join(' ', map { $_->{callback} } @$undelivered), 'add nothing', 'messages are listed');
is_deeply([ map { $_->{id} } @{ body("$post/messages?after=$undelivered->[0]{id}") } ], [ $undelivered->[1]{id} ], 'from one on');
is(body("$post/results/late?wait=1ms")->{state}, 'pending', 'one waits');
answer('it is cancelled', [ 'DELETE', "$post/messages/$undelivered->[0]{id}" ], 200, '{"cancelled" : true}');
answer('once', [ 'DELETE', "$post/messages/$undelivered->[0]{id}" ], 200, '{"cancelled" : false}');
answer('what is no id', [ 'DELETE', "$post/messages/x" ], 400, 'ERR_ACTOR_MESSAGE_CANCEL');
is(body("$post/results/late")->{state}, 'cancelled', 'which is its result');
answer('a message without a method', [ 'POST', "$post/messages", '{}' ], 400, 'ERR_MALFORMED_REQUEST');
answer('that is no object', [ 'POST', "$post/messages", '[]' ], 400, 'ERR_MALFORMED_REQUEST');
answer('with a method that is no text', [ 'POST', "$post/messages", '{"method": 1}' ], 400, 'ERR_MALFORMED_REQUEST');
answer('to no method', [ 'POST', "$post/messages", '{"method": "none"}' ], 404, 'ERR_ACTOR_METHOD_NOT_FOUND');
answer('at no time', [ 'POST', "$post/messages", '{"method": "add", "dueTime": "soon"}' ], 400, 'ERR_ACTOR_MESSAGE_SEND');

for my $kind ('reminders', 'timers')
{
	$http->request('POST', "$post/$kind/$_", '{"dueTime": "100h", "callback": "add"}') for 'b', 'a', 'c';
	is(join(' ', map { "$_->{name} $_->{callback} $_->{attempt}" } @{ body("$post/$kind?after=a") }), 'b add 1 c add 1', "$kind are listed");
	like(body("$post/$kind")->[0]{scheduledAt}, qr/^2\d+-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/, 'with their instants');
	answer("no type has no $kind", [ 'GET', "/v1.0/actors/none/x/$kind" ], 404, 'ERR_ACTOR_NO_ADDRESS');
	answer("an actor without $kind", [ 'GET', "/v1.0/actors/box/empty/$kind" ], 200, '[]');
}
$http->request('POST', "$post/method/put", '["k", 1, "1h"]');
is_deeply([ map { [ $_->{key}, defined $_->{expiresAt} ] } grep { $_->{key} eq 'k' || $_->{key} eq 'n' } @{ body("$post/state") } ],
	[ [ 'k', 1 ], [ 'n', '' ] ], 'keys are listed');

# the rest --------------------------------------------------------------------

answer('an actor is deactivated', [ 'DELETE', $box ], 204, '');
is($node->safe_psql('postgres', "SELECT count(*) FROM actor.activation WHERE actor_type = 'box' AND actor_id = 'a'"), '0', 'really');
answer('again', [ 'DELETE', $box ], 204, '');
for my $health ('healthz', 'healthz/outbound')
{
	answer($health, [ 'GET', "/v1.0/$health" ], 204, '');
	answer("$health of this application", [ 'GET', "/v1.0/$health?appid=me" ], 204, '');
	answer("$health of another", [ 'GET', "/v1.0/$health?x=1&appid=you" ], 500, 'ERR_HEALTH_APPID_NOT_MATCH');
}
answer('a label', [ 'PUT', '/v1.0/metadata/the%20label', 'is "this"' ], 204, '');
$response = $http->request('GET', '/v1.0/metadata');
my $metadata = decode_json($response->{content});
is("$metadata->{id} $metadata->{actorRuntime}{runtimeStatus} $metadata->{extended}{'the label'}",
	'me RUNNING is "this"', 'metadata');
is_deeply([ map { $_->{type} } @{ $metadata->{actors} } ], [ 'box', 'chain' ], 'have the types');
answer("label $_", [ 'PUT', "/v1.0/metadata/l$_", 'x' ], 204, '') for 1 .. 63;
answer('a label too many', [ 'PUT', '/v1.0/metadata/more', 'x' ], 400, 'ERR_BAD_REQUEST');
answer('one that is there can change', [ 'PUT', '/v1.0/metadata/l1', 'y' ], 204, '');
answer('a label that is too long', [ 'PUT', '/v1.0/metadata/l1', 'x' x 4097 ], 400, 'ERR_BAD_REQUEST');

answer('no such path', [ 'GET', $_ ], 404, 'ERR_NOT_FOUND')
  for '/', '/v1.0', '/v1.0/', '/v1.0/healthz/', '/v1.0/actors', '/v1.0/actors/box', '/v2.0/healthz',
	"$box/what/x", "$box/results", "$box/method";
for my $case (
	[ 'PATCH', "$box/method/add", 'GET, POST, PUT, DELETE, OPTIONS' ],
	[ 'HEAD', "$box/method/add", 'GET, POST, PUT, DELETE, OPTIONS' ],
	[ 'DELETE', "$box/state", 'GET, HEAD, POST, PUT, OPTIONS' ],
	[ 'DELETE', "$box/reminders", 'GET, HEAD, OPTIONS' ],
	[ 'DELETE', "$box/messages", 'GET, HEAD, POST, PUT, OPTIONS' ],
	[ 'GET', "$box/messages/1", 'DELETE, OPTIONS' ],
	[ 'POST', "$box/results/x", 'GET, HEAD, OPTIONS' ],
	[ 'POST', "$box/state/x", 'GET, HEAD, OPTIONS' ],
	[ 'PATCH', "$box/reminders/r", 'GET, HEAD, POST, PUT, DELETE, OPTIONS' ],
	[ 'PATCH', "$box/timers/r", 'GET, HEAD, POST, PUT, DELETE, OPTIONS' ],
	[ 'GET', $box, 'DELETE, OPTIONS' ],
	[ 'POST', '/v1.0/healthz', 'GET, HEAD, OPTIONS' ],
	[ 'POST', '/v1.0/healthz/outbound', 'GET, HEAD, OPTIONS' ],
	[ 'DELETE', '/v1.0/metadata', 'GET, HEAD, OPTIONS' ],
	[ 'GET', '/v1.0/metadata/x', 'PUT, OPTIONS' ])
{
	my ($verb, $path, $allow) = @$case;

	$response = $http->request($verb, $path);
	is("$response->{status} $response->{headers}{allow}", "405 $allow", "$verb $path is not allowed");
	$response = $http->request('OPTIONS', $path);
	is("$response->{status} $response->{headers}{allow}", "204 $allow", 'and OPTIONS says so');
}
$response = $http->request('HEAD', "$box/state/y");
is("$response->{status} $response->{headers}{'content-length'} $response->{content}", '200 4 ', 'HEAD has no body');
is($http->request('HEAD', '/v1.0/metadata')->{status}, 200, 'HEAD of the metadata');
is($http->request('HEAD', '/v1.0/healthz')->{status}, 204, 'HEAD of the health');

# limits and malformed requests -----------------------------------------------

my $most = '"' . 'x' x 99998 . '"';
$response = $http->request('POST', "$box/method/echo", $most);
is("$response->{status} " . length $response->{content}, '200 100000', 'a body as large as may be');
answer('one byte more', [ 'POST', "$box/method/echo", "$most " ], 413, 'ERR_BODY_TOO_LARGE');
answer('much more', [ 'POST', "$box/method/echo", $most x 10 ], 413, 'ERR_BODY_TOO_LARGE');
my $sent = 0;
$response = $http->{client}->request('POST', $http->url("$box/method/echo"),
	{ content => sub { return $sent++ < 20 ? 'x' x 10000 : undef } });
is($response->{status}, 413, 'in chunks, too');
like($http->raw("POST $box/method/echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n"),
	qr{^HTTP/1.1 413 }, 'and before it is sent');
like($http->raw("POST $box/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n"),
	qr{^HTTP/1.1 413 }, 'or much too long');
like($http->raw("GET /v1.0/healthz HTTP/1.0\r\n\r\n", keep => 1), qr{^HTTP/1.[01] 204 }, 'HTTP/1.0');
like($http->raw("GET http://somewhere/v1.0/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", keep => 1),
	qr{^HTTP/1.1 204 }, 'a whole URL as target');
like($http->raw("GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n" x 3, keep => 1, until => qr{(204.*){3}\r\n\r\n$}s),
	qr{^(HTTP/1.1 204 .*?\r\n\r\n){3}$}s, 'a connection serves several requests');
for my $request ("GET\r\n\r\n", "x\0y\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
	"GET v1.0/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
	"GET /" . 'x' x 100000 . " HTTP/1.1\r\n\r\n",
	"POST $box/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
	"POST $box/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
	"POST $box/method/echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
{
	unlike($http->raw($request), qr{^HTTP/1.[01] (2|50[0-4])}, 'malformed: ' . substr($request, 0, 20) =~ s/[^ -~]/?/gr);
}
answer('it still serves', [ 'POST', "$box/method/add", '[0]' ], 200, '13');

# the database goes away ------------------------------------------------------

$node->restart;
# connections that were idle are noticed before anything is sent
answer('after a restart', [ 'POST', "$box/method/add", '[0]' ], 200, '13') for 1 .. 4;
$node->stop('immediate');
answer('no database', [ 'POST', "$box/method/add", '[0]' ], 503, 'ERR_ACTOR_DATABASE_UNAVAILABLE') for 1 .. 5;
answer('nor state', [ 'GET', "$box/state/y" ], 503, 'ERR_ACTOR_DATABASE_UNAVAILABLE');
$response = answer('no health', [ 'GET', '/v1.0/healthz' ], 500, 'ERR_HEALTH_NOT_READY');
answer('no health outside', [ 'GET', '/v1.0/healthz/outbound' ], 500, 'ERR_OUTBOUND_HEALTH_NOT_READY');
ok($http->wait_for(sub {
	decode_json($http->request('GET', '/v1.0/metadata')->{content})->{actorRuntime}{runtimeStatus} eq 'INITIALIZING'
}), 'the metadata say so');
$node->start;
ok($http->wait_for(sub { $http->request('GET', '/v1.0/healthz')->{status} == 204 }), 'health comes back');
answer('and so do actors', [ 'POST', "$box/method/add", '[0]' ], 200, '13');
like($http->log, qr/could not use the database.*the database is back/s, 'the log says so');

# a session that is ended while it works
sub in_background
{
	my ($path) = @_;

	pipe(my $reader, my $writer);
	my $pid = fork();
	if ($pid == 0)
	{
		$http->{client} = undef;
		my $r = $http->request('POST', $path);

		print $writer "$r->{status} " . ($r->{code} // $r->{content}) . "\n";
		close $writer;
		require POSIX;
		POSIX::_exit(0);
	}
	close $writer;
	return sub { my $line = <$reader>; waitpid($pid, 0); chomp $line; $line };
}
my $locked = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ],
	'<', \($in = ''), '>', \($out = ''), $timer);
$in .= "SELECT pg_advisory_lock(1);\n\\echo locked\n";
$locked->pump until $out =~ /locked/;
my $waiting = q{FROM pg_stat_activity WHERE usename = 'front' AND wait_event = 'advisory'};
my $result = in_background("$box/method/wait_for_lock");
$node->poll_query_until('postgres', "SELECT count(*) = 1 $waiting");
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) $waiting");
is($result->(), '503 ERR_ACTOR_DATABASE_UNAVAILABLE', 'a call whose session is ended');
answer('has done nothing', [ 'GET', "$box/state/waited" ], 204, '');

# the extension moves
$node->safe_psql('postgres', 'ALTER SCHEMA "The API" RENAME TO api2; ALTER ROLE front SET search_path = api2; ALTER ROLE guest SET search_path = api2');
answer('functions that have moved are found', [ 'POST', "$box/method/add", '[0]' ], 200, '13') for 1 .. 4;

# the end ---------------------------------------------------------------------

$result = in_background("$box/method/wait_for_lock");
$node->poll_query_until('postgres', "SELECT count(*) = 1 $waiting");
# one that has not been accepted yet would be reset
my $idle = $http->socket;
$idle->syswrite("GET /v1.0/healthz HTTP/1.1\r\nHost: x\r\n\r\n");
$idle->sysread(my $healthy, 10000);
like($healthy, qr{^HTTP/1.1 204 .*\r\n\r\n$}s, 'a connection that is kept');
kill 'TERM', $http->{pid};
ok($http->wait_for(sub { $http->log =~ /shutting down/ }), 'SIGTERM is noticed');
ok($http->wait_for(sub { !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $http->{port}) }),
	'new connections are refused');
$idle->syswrite("POST $box/method/add HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
my $refusal = '';
1 while $idle->sysread($refusal, 10000, length $refusal);
like($refusal, qr{^HTTP/1.1 503 .*ERR_ACTOR_RUNTIME_CLOSED}s, 'and so are requests');
$in .= "\\q\n";
$locked->finish;
is($result->(), '200 null', 'what runs gets its answer');
waitpid(delete $http->{pid}, 0);
is($?, 0, 'and then it ends');
like($http->log, qr/ended$/, 'orderly');

# one that does not want to end
$http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres') . ' user=front',
	flags => [ '--drain-timeout=0', '--pool-size=1', '--queue-timeout=1' ]);
$locked = IPC::Run::start([ 'psql', '-XqAt', '-d', $node->connstr('postgres') ],
	'<', \($in = ''), '>', \($out = ''), $timer);
$in .= "SELECT pg_advisory_lock(1);\n\\echo locked\n";
$locked->pump until $out =~ /locked/;
$result = in_background("$box/method/wait_for_lock");
$node->poll_query_until('postgres', "SELECT count(*) = 1 $waiting");
answer('no other call is served meanwhile', [ 'POST', "$box/method/echo", '1' ], 503, 'ERR_ACTOR_OVERLOADED');
answer('but health', [ 'GET', '/v1.0/healthz' ], 204, '');
answer('and metadata', [ 'HEAD', '/v1.0/metadata' ], 200, '');
is($http->stop, 0, 'a server that is told to end soon ends');
is($result->(), '504 ERR_ACTOR_TIMEOUT', 'and has cancelled what was running');
$in .= "\\q\n";
$locked->finish;

# options ---------------------------------------------------------------------

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);

# refused(NAME, MESSAGE, FLAGS)
sub refused
{
	my ($name, $message, @flags) = @_;

	local $ENV{ACTOR_HTTP_CONFIG} = '';
	my ($stdout, $stderr) = ('', '');
	my $ok = IPC::Run::run([ $program, @flags ], '>', \$stdout, '2>', \$stderr);

	ok(!$ok, "$name is refused");
	like($stderr, $message, "$name: the message");
}

sub config
{
	my ($text) = @_;

	PostgreSQL::Test::Utils::append_to_file("$folder/config", '');
	open(my $file, '>', "$folder/config") or die;
	print $file $text;
	close $file;
	return "--config=$folder/config";
}
refused('an unknown flag', qr/there is no option "--what"/, '--what');
refused('a token on the command line', qr/there is no option "--api-token=x"/, '--api-token=x');
{
	local $ENV{ACTOR_HTTP_API_TOKEN} = '';
	refused('an empty token', qr/the token must not be empty/);
}
refused('a port that is none', qr/--port must be a whole number from 0 to 65535/, '--port=70000');
refused('a flag without a value', qr/option --port needs a value/, '--port');
refused('a file that is not there', qr/could not open/, "--config=$folder/none");
refused('a file that is no JSON', qr{config:2:\d+: }, config("{\n \"port\": }"));
refused('a file that is no object', qr{config:1:1: the file must have a JSON object}, config('[]'));
refused('an unknown option', qr{config:3:2: there is no option "prot"}, config("{\n\"port\": 1,\n \"prot\": 2}"));
refused('a wrong value', qr{config:2:9: "port" must be a whole number from 0 to 65535}, config("{\n\"port\": \"x\"}"));
refused('a wrong type', qr{config:1:12: "listen" must be a string}, config('{"listen": 5}'));
refused('tokens that are no array', qr{config:1:12: "tokens" must be an array}, config('{"tokens": {}}'));
refused('a token without a database', qr{config:2:2: a token must have a member "database"},
	config("{\"tokens\": [{\"token\": \"x\", \"database\": \"\"},\n {\"token\": \"x\"}]}"));
refused('a token with another member', qr{config:1:14: a token has no member "role"}, config('{"tokens": [{"role": "x"}]}'));
refused('an address that is none', qr/could not use the address/, '--listen=999.1.1.1');
refused('a host configuration for no database', qr/could not apply/, '--database=host=/nowhere',
	'--host-config=' . (config('{}') =~ s/.*=//r));
my $host_config = $node->connstr('postgres') . ' user=front';
config("{\"entities\": [\"box\"],\n \"what\": 1}");
refused('a wrong host configuration', qr/could not apply ".*": .*what/s, "--database=$host_config", "--host-config=$folder/config");
my ($stdout) = run_command([ $program, '--version' ]);
like($stdout, qr/^actor-http \d/, 'version');
($stdout) = run_command([ $program, '--help' ]);
like($stdout, qr/--pool-size NUMBER/, 'help');
unlike($stdout, qr/--api-token/, 'which does not offer a flag for the token');

# tokens, each with a role of its own
config('{"actorIdleTimeout": "30m", "entities": ["box"]}');
rename "$folder/config", "$folder/host";
config(encode_json({
	pool_size => 2,
	database => $node->connstr('postgres') . ' user=front',
	tokens => [ { token => 'guest token', database => $node->connstr('postgres') . ' user=guest' } ] }));
$node->safe_psql('postgres', 'GRANT USAGE ON SCHEMA box TO guest');
$http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres') . ' user=front',
	flags => [ "--config=$folder/config", "--host-config=$folder/host" ],
	env => { ACTOR_HTTP_API_TOKEN => 'secret', ACTOR_HTTP_APP_ID => 'with tokens' });
is($node->safe_psql('postgres', q{SELECT idle_timeout FROM actor.type WHERE actor_type = 'box'}), '00:30:00', 'the host configuration is applied');
for my $token (undef, '', 'secre', 'secretx', 'guest', 'SECRET')
{
	answer('a token that is none', [ 'POST', "$box/method/echo", '1', defined $token ? ('dapr-api-token' => $token) : () ],
		401, 'ERR_UNAUTHORIZED');
}
answer('not even for metadata', [ 'GET', '/v1.0/metadata' ], 401, 'ERR_UNAUTHORIZED');
answer('but for health', [ 'GET', '/v1.0/healthz' ], 204, '');
answer('a token', [ 'GET', "$box/state/y", undef, 'dapr-api-token' => 'secret' ], 200, 'null');
answer('a guest may call', [ 'POST', "$box/method/get", '["y"]', 'dapr-api-token' => 'guest token' ], 200, 'null');
answer('but not everything', [ 'POST', "$box/method/nothing", undef, 'dapr-api-token' => 'guest token' ],
	403, 'ERR_ACTOR_PERMISSION_DENIED');
answer('nor look at the state', [ 'GET', "$box/state/y", undef, 'dapr-api-token' => 'guest token' ],
	403, 'ERR_ACTOR_PERMISSION_DENIED');
answer('nor change it', [ 'POST', "$box/state", '[]', 'dapr-api-token' => 'guest token' ],
	403, 'ERR_ACTOR_PERMISSION_DENIED');
$response = $http->request('GET', '/v1.0/metadata', undef, 'dapr-api-token' => 'secret');
is(decode_json($response->{content})->{id}, 'with tokens', 'options of the environment are read');
is($http->stop, 0, 'it ends');

# Bodies that are never complete take a limited amount of memory, whether they are
# small enough for a buffer of libmicrohttpd or not.  A body that comes while
# there is no room is refused for good, so bodies are added one by one, each with
# time to arrive, until there is no room even for a complete one.
for my $size (1000, 100000)
{
	my @unfinished;
	my $add = sub {
		my $socket = $http->socket;

		$socket->syswrite("POST $box/method/echo HTTP/1.1\r\nHost: x\r\nContent-Length: $size\r\n\r\n" . 'x' x ($size - 1));
		push @unfinished, $socket;
	};
	my $call = sub { $http->request('POST', "$box/method/echo", '[' . ' ' x ($size - 100) . ']') };

	$http = ActorHttp->start(
		program => $program,
		database => $node->connstr('postgres') . ' user=front',
		flags => ["--body-limit=$size"]);
	$add->() for 1 .. 60;
	ok($http->wait_for(sub {
		$response = $call->();
		return 1 if $response->{status} != 200;
		$add->();
		return 0;
	}), "there is a limit to all bodies, of $size bytes each");
	is($response->{status}, 503, 'beyond which there is an error');
	is($response->{code}, 'ERR_ACTOR_OVERLOADED', 'with its code');
	close $_ for @unfinished;
	ok($http->wait_for(sub { $call->()->{status} == 200 }), 'until they are gone');
	is($http->stop, 0, 'it ends');
}

# a database without the extension
$node->safe_psql('postgres', 'CREATE DATABASE bare');
$http = ActorHttp->start(program => $program, database => $node->connstr('bare'));
$response = answer('a database without the extension', [ 'POST', "$box/method/add" ], 503, 'ERR_ACTOR_DATABASE_UNAVAILABLE');
is($response->{message}, 'could not use the database', 'is nothing for clients');
like($http->log, qr/database "bare" does not have the extension "actor"/, 'but is named in the log');
is($http->stop, 0, 'it ends');

$node->stop;
done_testing();
