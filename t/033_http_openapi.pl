# doc/openapi.json and doc/http.md say what actor-http does: each operation is
# tried with the examples of the document, each answer must be one that is
# described there, and no verb or error code may be missing.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use ActorHttp;
use ApiDocument;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

if (my $missing = ActorHttp::missing())
{
	plan skip_all => "not installed: $missing";
}

my $top = "$FindBin::RealBin/..";
my $document = ApiDocument->new("$top/doc/openapi.json");
my $api = $document->{api};
my $text = slurp_file("$top/doc/http.md");

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION actor;
	CREATE SCHEMA box;
	CREATE FUNCTION box.add(item text) RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('items', actor_get('items', '[]'::jsonb) || jsonb_build_array(item));
		RETURN actor_get('items');
	END $$;
	SELECT actor_register('box');
});
my $program = ActorHttp::build('all') . '/actor-http';
my $http = ActorHttp->start(
	program => $program,
	database => $node->connstr('postgres'),
	env => { ACTOR_HTTP_API_TOKEN => 'secret' },
	headers => { 'dapr-api-token' => 'secret' });

# The path with the examples of its parameters, or with other values, and of those of
# the query that an operation must have.
sub fill
{
	my ($path, $item, $operation, %other) = @_;
	my $query = '';

	for my $parameter (map { $document->resolve($_) } @{ $item->{parameters} // [] },
		grep { $_->{required} } @{ $operation->{parameters} // [] })
	{
		my $value = $other{ $parameter->{name} } // $parameter->{example};

		$value =~ s/([^A-Za-z0-9._-])/sprintf('%%%02X', ord $1)/ge;
		$query .= ($query eq '' ? '?' : '&') . "$parameter->{name}=$value" if $parameter->{in} eq 'query';
		$path =~ s/\{\Q$parameter->{name}\E\}/$value/;
	}
	return "/v1.0$path$query";
}

# An answer must be described: its status, its type and its members.
sub described
{
	my ($name, $operation, $response) = @_;
	my $answer = $operation->{responses}{ $response->{status} };

	ok($answer, "$name: status $response->{status} is described") or return;
	my $json = ($answer->{content} // {})->{'application/json'};
	if (!$json || $response->{content} eq '')
	{
		is($response->{content}, '', "$name: no body");
		return;
	}
	is($response->{headers}{'content-type'}, 'application/json', "$name: JSON");
	is($document->mismatch(JSON::PP->new->utf8->allow_nonref->decode($response->{content}), $json->{schema}, 'the answer'),
		'', "$name: as described");
}

my %method_rank = (post => 0, put => 1, get => 2, delete => 3);
for my $path (sort keys %{ $api->{paths} })
{
	my $item = $api->{paths}{$path};
	my @verbs = sort { $method_rank{$a} <=> $method_rank{$b} } grep { $_ ne 'parameters' } keys %$item;
	my $allowed = $http->request('OPTIONS', fill($path, $item, {}))->{headers}{allow};
	my %documented = map { uc $_ => 1 } @verbs, 'options';

	$documented{HEAD} = 1 if $documented{GET} && $path !~ /\{method\}/;
	is_deeply([ sort split /, /, $allowed ], [ sort keys %documented ], "verbs of $path");
	like($text, qr{\Q$path\E}, "$path is explained");

	for my $verb (@verbs)
	{
		my $operation = $item->{$verb};
		my $name = uc($verb) . " $path";
		# what only hosted types take is not tried here
		my ($type) = grep { $_ ne '*/*' } keys %{ ($operation->{requestBody} // {})->{content} // {} };
		my $example = $type && $operation->{requestBody}{content}{$type}{example};
		my $body = $type && ($type eq 'text/plain' ? $example : encode_json($example));
		my $response = $http->request(uc $verb, fill($path, $item, $operation), $body);

		like($response->{status}, qr/^20[04]$/, "$name: the example works") or diag($response->{content});
		described($name, $operation, $response);
		if ($path =~ /actorType/)
		{
			described("$name of no type", $operation,
				$http->request(uc $verb, fill($path, $item, $operation, actorType => 'none'), $body));
			described("$name of a forbidden id", $operation,
				$http->request(uc $verb, fill($path, $item, $operation, actorId => 'a/b'), $body));
		}
		described("$name with a wrong body", $operation, $http->request(uc $verb, fill($path, $item, $operation), '{'))
		  if $type && $type ne 'text/plain';
		if (!$operation->{security})
		{
			described("$name without a token", $operation,
				$http->request(uc $verb, fill($path, $item, $operation), $body, 'dapr-api-token' => 'x'));
		}
	}
}

# every error code and every option is explained
my %codes = map { $_ => 1 } map { /"(ERR_\w+)"/g } map { slurp_file($_) } glob("$top/http/*.c");
cmp_ok(scalar(keys %codes), '>', 25, 'there are error codes');
for my $code (sort keys %codes)
{
	like($text, qr/`$code`/, "$code is explained");
}
my ($help) = run_command([ $program, '--help' ]);
my $manual = slurp_file("$top/http/actor-http.1") =~ s/\\-/-/gr;
for my $flag ($help =~ /^ +(--[a-z-]+)/mg)
{
	like($text, qr/`$flag`/, "$flag is explained");
	like($manual, qr/^\.B $flag\b/m, 'also in the manual');
}
is($http->stop, 0, 'it ends');
$node->stop;
done_testing();
