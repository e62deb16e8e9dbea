# Dapr's own SDK for JavaScript, as it is published, drives our actors through
# actor-http: the scenario is t/dapr/scenario.js.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use Cwd qw(abs_path);
use File::Copy;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}
if (system('npm --version >/dev/null 2>&1') != 0 || system('node --version >/dev/null 2>&1') != 0)
{
	plan skip_all => 'npm is not installed';
}

# the SDK
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);
copy("$FindBin::RealBin/dapr/$_", "$folder/$_") or die "could not copy $_: $!" for 'package.json', 'scenario.js';
{
	local $ENV{HOME} = $folder;
	my $output = `cd '$folder' && timeout 300 npm install --no-audit --no-fund --ignore-scripts --no-package-lock --fetch-retries=1 2>&1`;

	plan skip_all => "the SDK cannot be installed by npm: " . (split /\n/, $output)[0]
	  if $? != 0 || !-e "$folder/node_modules/\@dapr/dapr/package.json";
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE ROLE shop LOGIN;
	GRANT CREATE ON DATABASE postgres TO shop;
});
$node->safe_psql('postgres', q{
	CREATE SCHEMA "ShoppingCart";
	CREATE FUNCTION "ShoppingCart"."addItem"(item jsonb, number int DEFAULT 1) RETURNS int
	LANGUAGE plpgsql AS $$
	DECLARE
		items jsonb := actor_get('items', '[]'::jsonb);
	BEGIN
		IF number < 1 THEN
			RAISE 'not so many' USING ERRCODE = 'check_violation';
		END IF;
		FOR i IN 1 .. number LOOP
			items := items || jsonb_build_array(item);
		END LOOP;
		PERFORM actor_set('items', items);
		RETURN jsonb_array_length(items);
	END $$;
	CREATE FUNCTION "ShoppingCart".items() RETURNS jsonb STABLE
	LANGUAGE sql AS $$ SELECT actor_get('items') $$;
	CREATE FUNCTION "ShoppingCart".count() RETURNS int STABLE
	LANGUAGE sql AS $$ SELECT jsonb_array_length(actor_get('items')) $$;
	CREATE FUNCTION "ShoppingCart"."clearNothing"() RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION "ShoppingCart".remember(payload jsonb) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('remembered', actor_get('remembered', 0) + 1);
		PERFORM actor_set('last', jsonb_build_object('data', payload, 'cause', actor_cause() ->> 'kind'));
	END $$;
	CREATE FUNCTION "ShoppingCart".remembered() RETURNS int STABLE
	LANGUAGE sql AS $$ SELECT actor_get('remembered', 0) $$;
	CREATE FUNCTION "ShoppingCart"."lastRemembered"() RETURNS jsonb STABLE
	LANGUAGE sql AS $$ SELECT actor_get('last') $$;
	CREATE FUNCTION "ShoppingCart".later(payload jsonb) RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION "ShoppingCart".ticked(step int) RETURNS void LANGUAGE plpgsql
	AS $$ BEGIN PERFORM actor_set('ticks', actor_get('ticks', 0) + step); END $$;
	CREATE FUNCTION "ShoppingCart".ticks() RETURNS int STABLE
	LANGUAGE sql AS $$ SELECT actor_get('ticks', 0) $$;
	SELECT actor_register('ShoppingCart');
}, extra_params => [ '-U', 'shop' ]);

my $http = ActorHttp->start(
	program => ActorHttp::build('all') . '/actor-http',
	database => $node->connstr('postgres') . ' user=shop',
	env => { ACTOR_HTTP_API_TOKEN => 'a secret' });
my ($out, $err) = run_command([ 'timeout', '120', 'node', "$folder/scenario.js", $http->{port}, 'a secret' ]);
my %got = map { /^([a-z ]+) = (.*)$/ ? ($1 => $2) : () } split /\n/, $out;

ok($got{end}, 'the scenario runs to its end') or diag("$out\n$err\n" . $http->log);
my %expected = (
	'first' => '2',
	'second' => '3',
	'object' => '4',
	'items' => '["apple","apple","pear",{"name":"plum","note":"ripe \"blue\""}]',
	'count' => '4',
	'nothing' => 'null',
	'fifty at once' => '54',
	'twenty others' => '[' . join(',', (1) x 20) . ']',
	'colour' => '{"name":"blue","exact":[1.5,null,true]}',
	'removed' => '[false,null]',
	'kept' => '"text"',
	'remembered' => '{"data":{"what":"milk"},"cause":"reminder"}',
	'later' => '{"actorID":"anna-1 ' . "\xc3\xa9" . '","actorType":"ShoppingCart","callback":"later","dueTime":"P1DT2H","period":"1h30m","ttl":"P1M","data":"tea"}',
	'ticks' => '0',
	'after deactivation' => '54',
	'error of the method' => '"400 ERR_ACTOR_INVOKE_METHOD"',
	'no such method' => '"404 ERR_ACTOR_METHOD_NOT_FOUND"',
	'too many arguments' => '"400 ERR_BAD_REQUEST"',
	'awaited by accident' => '"404 ERR_ACTOR_METHOD_NOT_FOUND"',
	'forbidden id' => '"400 ERR_BAD_REQUEST"',
	'unknown reminder' => '"404 ERR_ACTOR_REMINDER_NOT_FOUND"');
is($got{$_}, $expected{$_}, $_) for sort keys %expected;

is( $node->safe_psql('postgres',
		q{SELECT count(DISTINCT actor_id) FROM actor.state WHERE actor_type = 'ShoppingCart'}),
	'21', 'all of it is in the database');
is($http->stop, 0, 'actor-http ends orderly');

$node->stop;
done_testing();
