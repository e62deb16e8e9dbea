# actorctl: what it shows and does, and that a stuck actor, a poisoned message and
# a reminder that does not fire are found with it alone.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use FindBin;
use IPC::Run qw(start);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = abs_path("$FindBin::RealBin/../ctl");
if (system("echo '#include <libpq-fe.h>' | cc -E -I`pg_config --includedir` - >/dev/null 2>&1") != 0)
{
	plan skip_all => 'not installed: libpq-fe.h';
}

my $build = abs_path(PostgreSQL::Test::Utils::tempdir);
my $output = `make -s -C '$source' BUILD='$build' CFLAGS=-Werror PG_CONFIG=pg_config 2>&1`;
is($?, 0, 'it can be built') or diag($output);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'actor'\nmax_worker_processes = 16");
$node->start;
# the functions need not be in the search path
$node->safe_psql('postgres', q{
	CREATE SCHEMA "The API";
	CREATE EXTENSION actor SCHEMA "The API";
	GRANT USAGE ON SCHEMA "The API" TO PUBLIC;
	CREATE ROLE shop LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE ROLE watcher LOGIN IN ROLE pg_monitor;
	GRANT CREATE ON DATABASE postgres TO shop;
	ALTER ROLE shop SET search_path = "The API", cart;
});
$node->safe_psql('postgres', q{
	CREATE SCHEMA cart;
	CREATE FUNCTION cart._double(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
	CREATE FUNCTION cart.add(item text DEFAULT 'tea') RETURNS jsonb LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM actor_set('items', actor_get('items', '[]'::jsonb) || to_jsonb(item));
		PERFORM _double(1);
		RETURN actor_get('items');
	END $$;
	CREATE FUNCTION cart.poison(data jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'bad item'; END $$;
	SELECT actor_register('cart', history => 'changes')}, extra_params => [ '-U', 'shop' ]);

# runs a command as a role: exit code, and both outputs
sub ctl
{
	my ($role, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ "$build/actorctl", '-d', $node->connstr('postgres') . " user=$role", @arguments ],
		'>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

sub shows
{
	my ($name, $code, $pattern, @command) = @_;
	my ($status, $out, $err) = ctl(@command);

	is($status, $code, "$name: exit code") or diag("$out\n$err");
	like($out . $err, $pattern, $name);
	return $out;
}

shows('help', 0, qr/show +TYPE\/ID/, 'shop', '--help');
shows('the version', 0, qr/^actorctl \d+\.\d+\.\d+$/, 'shop', '--version');
shows('no command', 2, qr/no command/, 'shop');
shows('a wrong command', 2, qr/there is no command "none"/, 'shop', 'none');
shows('too few arguments', 2, qr/use: actorctl call TYPE\/ID METHOD/, 'shop', 'call', 'cart/1');
shows('no id', 2, qr/written as TYPE\/ID/, 'shop', 'call', 'cart', 'add');
shows('a wrong number', 2, qr/whole number/, 'shop', '-n', 'x', 'list');
shows('no database', 2, qr/does not exist/, 'shop', '-d', $node->connstr('none') . ' user=shop', 'list');

is(shows('a call', 0, qr/^\["milk"\]$/, 'shop', 'call', 'cart/1/a', 'add', '{"item": "milk"}'), qq(["milk"]\n),
	'the id is what comes after the first slash, and the result is shown');
shows('a call that is refused', 2, qr/bad item/, 'shop', 'call', 'cart/1', 'poison', '{}');
shows('an explained call', 0, qr/"changes".*"new": \["milk", "tea"\]/, 'shop', 'explain', 'cart/1/a', 'add');
shows('types', 0, qr/^type +owner .*\ncart +shop +0 +0/, 'shop', 'list');
shows('actors', 0, qr/^id +active .*\n1\/a +yes /, 'shop', 'list', 'cart/1');
shows('no actors of that prefix', 1, qr/^$/, 'shop', 'list', 'cart/2');
shows('an actor', 0, qr/^Actor\n.*\nState\nkey .*\nitems +\["milk"\].*\nHistory\n.*call +add/s, 'shop', 'show', 'cart/1/a');
my $shown = shows('a monitor sees it', 0, qr/^Actor\n/, 'watcher', 'show', 'cart/1/a');
unlike($shown, qr/milk/, 'without what is in it');
shows('a stranger does not', 1, qr/nothing of this actor/, 'stranger', 'show', 'cart/1/a');
shows('nor is he let in', 2, qr/permission denied|must be owner/, 'stranger', 'pause', 'cart/1/a');

# The statements of the guide for whoever has SQL alone, of an actor: who has turns,
# what fails, where a reminder is.
my ($wrong) = slurp_file("$source/../doc/guide.md") =~ /^## When something is wrong\n(.*?)^## /ms;
my @guide = $wrong =~ /^```sql\n(.*?)^```/msg;
is(scalar @guide, 3, 'the guide has statements for three questions');

sub guided
{
	my ($name, $pattern, $role, $number, $id) = @_;
	my $sql = $guide[$number] =~ s/'room'/'cart'/gr =~ s/'blue'/'$id'/gr;

	like($node->safe_psql('postgres', qq{SET search_path = "The API"; $sql}, extra_params => [ '-U', $role ]), $pattern,
		"$name, with SQL alone as $role");
}

# what a terminal would obey is not written
ctl('shop', 'call', 'cart/x', 'add', '{"item": "\u001b[2J\u009b2J"}');
$node->safe_psql('postgres', q{SELECT "The API".actor_invoke('cart', E'\x1b[31mred', 'add')},
	extra_params => [ '-U', 'shop' ]);
my (undef, $bare) = ctl('shop', 'list', 'cart');
like($bare, qr/^\?\[31mred/m, 'a control character is shown as a question mark');
unlike($bare, qr/\x1b/, 'and nothing else');

# operating
shows('a pause', 0, qr/^done$/, 'shop', 'pause', 'cart/1');
shows('is shown', 0, qr/Paused\nwhat .*\nthe actor/, 'shop', 'show', 'cart/1');
shows('once only', 1, qr/nothing to do/, 'shop', 'pause', 'cart/1');
shows('a message to a paused actor', 0, qr/^\d+$/, 'shop', 'send', 'cart/1', 'add');
ok($node->poll_query_until('postgres', q{SELECT next_try_at = 'infinity' FROM actor.message}), 'is put aside');
shows('is held', 0, qr/message .* held/, 'shop', 'late');
guided('the pause', qr/^cart\|1\|.*\|shop$/m, $_, 0, '1') for 'shop', 'watcher';
$node->safe_psql('postgres', q{SELECT actor_set_reminder('cart', '1', 'soon', method => 'add')}, extra_params => [ '-U', 'shop' ]);
ok($node->poll_query_until('postgres', q{SELECT next_try_at = 'infinity' FROM actor.reminder WHERE name = 'soon'}), 'a reminder is put aside');
guided('a reminder that is held', qr/^soon\|.*\|infinity\|1\|/m, 'shop', 2, '1');
shows('the end of a pause', 0, qr/^done$/, 'shop', 'resume', 'cart/1');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.message'), 'then it comes');
shows('a message for later', 0, qr/^\d+$/, 'shop', '--due', '1h', 'send', 'cart/later', 'add');
shows('is to come', 0, qr/To come\n.*message +\d+ +add +shop .* in 00:59:/s, 'shop', 'show', 'cart/later');
shows('the end of an activation', 0, qr/^done$/, 'shop', 'deactivate', 'cart/1');

# what workers would send
shows('nothing to send', 1, qr/^$/, 'watcher', 'sending');
$node->append_conf('postgresql.conf', "actor.enabled = off\nactor.publish_limit = 0");
$node->reload;
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM actor.worker WHERE kind <> 'launcher'}), 'no workers');
$node->safe_psql('postgres', q{
	SELECT "The API".actor_subscribe('t', 'cart', i::text, 'add', 'cart', 'news') FROM generate_series(1, 2) i;
	SELECT "The API".actor_publish('t', '{"item": "secret"}', 'cart', 'news');
	SELECT "The API".actor_each('cart', 'add', '{"item": "secret"}')}, extra_params => [ '-U', 'shop' ]);
my $sending = shows('events and messages to each', 0,
	qr/^Events\nof .*\ncart\/news +t .* 2\n\nTo each actor\ntype .*\ncart +\S+ +add +shop .* 0 .*00:00/, 'watcher', 'sending');
unlike($sending, qr/secret/, 'without what is sent');
shows('of a type', 0, qr/^Events\n/, 'shop', 'sending', 'cart');
shows('of another one', 1, qr/^$/, 'shop', 'sending', 'none');
shows('strangers see nothing', 1, qr/^$/, 'stranger', 'sending');
$node->append_conf('postgresql.conf', 'actor.enabled = on');
$node->reload;
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM actor.fan_out)
	AND NOT EXISTS (SELECT FROM actor.message WHERE due_at <= now())
	AND NOT EXISTS (SELECT FROM actor.each WHERE finished_at IS NULL)}), 'all is sent and delivered');

# a stuck actor: who waits sees who has the turn, and that it is idle
my $session = $node->background_psql('postgres', extra_params => [ '-U', 'shop' ]);
$session->query_safe('BEGIN');
$session->query_safe(q{SELECT actor_invoke('cart', 'stuck', 'add')});
my $pid = $session->query_safe('SELECT pg_backend_pid()');
shows('a held turn', 0, qr/^cart\/stuck +holds +$pid .* shop +idle in transaction/m, 'shop', 'turns');
guided('a held turn', qr/^cart\|stuck\|holds\|$pid\|.*\|shop\|.*\|idle in transaction$/m, $_, 0, 'stuck') for 'shop', 'watcher';
guided('nothing for strangers', qr/^$/, 'stranger', $_, 'stuck') for 0 .. 2;
shows('is part of the actor', 0, qr/Turn\n.*cart\/stuck +holds +$pid /s, 'shop', 'show', 'cart/stuck');
$session->query_safe('COMMIT');
$session->quit;

# a poisoned message, and a reminder that is not there any more: both given up
$node->safe_psql('postgres', q{
	SELECT actor_send('cart', 'sick', 'poison', '{}', failure_policy => '{"drop": {}}');
	SELECT actor_set_reminder('cart', 'sick', 'wake', method => 'poison', data => '{}', failure_policy => '{"drop": {}}')},
	extra_params => [ '-U', 'shop' ]);
ok($node->poll_query_until('postgres', 'SELECT count(*) = 2 FROM actor.failure'), 'both are given up');
shows('the doctor finds them', 1, qr/^failures +NOT OK\n +\S.*cart/m, 'watcher', 'doctor');
shows('they are listed', 0, qr/message +cart\/sick .* poison .* P0001/, 'watcher', 'failures');
shows('with the reminder', 0, qr/reminder +cart\/sick +wake +poison /, 'watcher', 'failures', 'cart');
guided('what was given up', qr/\|message\|cart\|sick\|.*\|P0001$/m, $_, 1, 'sick') for 'shop', 'watcher';
guided('and why', qr/\|poison\|bad item\|/, 'shop', 1, 'sick');
shows('and why, for the owner', 0, qr/Failures\n.*P0001 +bad item/s, 'shop', 'show', 'cart/sick');
my $again = $node->safe_psql('postgres',
	q{SELECT actor_send('cart', 'again', 'poison', '{}', failure_policy => '{"constant": {"interval": "1h", "maxRetries": 9}}')},
	extra_params => [ '-U', 'shop' ]);
ok($node->poll_query_until('postgres', "SELECT attempt = 2 FROM actor.message WHERE actor_id = 'again'"), 'one that is tried again');
guided('what is tried again', qr/^message\|cart\|again\|$again\|poison\|2\|/m, $_, 1, 'again') for 'shop', 'watcher';
guided('and why', qr/^$again\|poison\|2\|bad item\|\{\}$/m, 'shop', 1, 'again');
shows('its error is part of the actor', 0, qr/message +$again .* bad item *$/m, 'shop', 'show', 'cart/again');
shows('is found without knowing whose it is', 0, qr/^cart\/again +message .* 2$/m, 'watcher', 'late');
$node->safe_psql('postgres', "SELECT actor_cancel_message('cart', 'again', $again)", extra_params => [ '-U', 'shop' ]);
$node->safe_psql('postgres', q{CREATE OR REPLACE FUNCTION cart.poison(data jsonb) RETURNS void LANGUAGE sql AS ''},
	extra_params => [ '-U', 'shop' ]);
shows('what is mended can be retried', 0, qr/^2 of 2 failures$/, 'shop', 'retry', 'cart');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 0 FROM actor.pending WHERE actor_id = \'sick\''),
	'and goes well');
shows('nothing is left to discard', 1, qr/^0 of 0 failures$/, 'shop', 'discard', 'cart');
shows('nor by number', 1, qr/^0 of 1 failures$/, 'shop', 'discard', '1');
shows('and the doctor is content', 0, qr/^failures +ok$/m, 'watcher', 'doctor');

# however much there is, only some of it is read
SKIP:
{
	my ($library) = split /\n/, `pg_config --pkglibdir`;

	skip 'auto_explain is not installed', 1 if !-e "$library/auto_explain.so";
	$node->safe_psql('postgres', q{SELECT "The API".actor_set_reminder('cart', 'model', 'r', '2h', method => 'add');
		SELECT "The API".actor_send('cart', 'model', 'add', due_time => '2h')}, extra_params => [ '-U', 'shop' ]);
	$node->safe_psql('postgres', q{
		INSERT INTO actor.state SELECT 'cart', 'many ' || i, 'n', '1', now() FROM generate_series(1, 30000) i;
		INSERT INTO actor.reminder SELECT n.* FROM actor.reminder r, generate_series(1, 30000) i,
			jsonb_populate_record(r, jsonb_build_object('actor_id', 'many ' || i)) n WHERE r.actor_id = 'model';
		INSERT INTO actor.timer (actor_type, actor_id, name, method, role_name, generation, registered_at, first_at, firings, time_zone,
				firing, scheduled_at, next_try_at, attempt, deferrals, hosted)
			SELECT 'cart', 'many ' || i, 't', 'add', 'shop', 1, now(), now(), 0, 'UTC', 0, now() + '2h', now() + '2h', 1, 0, false
			  FROM generate_series(1, 30000) i;
		INSERT INTO actor.message (actor_type, actor_id, method, due_at, next_try_at, queued, attempt, deferrals, role_name, sent_at, hosted)
			SELECT 'cart', CASE WHEN i % 3 = 0 THEN 'many 5' ELSE 'many ' || i END, 'add', m.due_at, m.due_at, false, 1, 0, 'shop', now(), false
			  FROM generate_series(1, 30000) i, actor.message m WHERE m.actor_id = 'model'});
	for my $role ('shop', 'watcher')
	{
		$node->safe_psql('postgres', "ALTER ROLE $role SET $_")
		  for q{session_preload_libraries = 'auto_explain'}, 'auto_explain.log_min_duration = 0', 'auto_explain.log_analyze = on',
		  'auto_explain.log_timing = off', 'auto_explain.log_buffers = on', 'auto_explain.log_nested_statements = on', 'jit_above_cost = 0';
		for my $command ([ 'list' ], [ 'list', 'cart' ], [ 'list', 'cart/many 2' ], [ 'show', 'cart/many 4' ], [ 'show', 'cart/many 5' ],
			[ 'late' ], [ 'failures' ], [ 'turns' ])
		{
			my $position = -s $node->logfile;

			ctl($role, @$command);
			my $log = substr(slurp_file($node->logfile), $position);
			my ($most) = sort { $b <=> $a } map { my $sum = 0; $sum += $_ for /(?:hit|read)=(\d+)/g; $sum }
			  $log =~ /^\s+Buffers: (shared.*)$/mg, 0;

			cmp_ok($most, '<', 10000, "@$command of $role reads $most blocks");
			cmp_ok($most, '>', 0, 'which is seen');
			unlike($log, qr/^\s*JIT:/m, 'and compiles nothing');
		}
		$node->safe_psql('postgres', "ALTER ROLE $role RESET ALL");
	}
	$node->safe_psql('postgres', 'ALTER ROLE shop SET search_path = "The API", cart');
	my $page = shows('a page', 0, qr/There may be more/, 'shop', '-n', '3', 'list', 'cart/many 1');
	is(join(' ', $page =~ /^(many \d+)/mg), 'many 1 many 10 many 100', 'in bytewise order');
	$page = shows('the next one', 0, qr/There may be more/, 'shop', '-n', '3', '--after', 'many 100', 'list', 'cart/many 1');
	is(join(' ', $page =~ /^(many \d+)/mg), 'many 1000 many 10000 many 10001', 'goes on behind it');
	shows('what is counted up to a limit', 0, qr/^cart +shop +\d+\+ /m, 'shop', 'list');
}

# following
my $followed = '';
my $tail = start([ "$build/actorctl", '-d', $node->connstr('postgres') . ' user=shop', 'tail', 'cart/new' ],
	'>', \$followed);
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity
	WHERE usename = 'shop' AND query LIKE 'WITH new%' AND state = 'idle'}), 'it follows');
ctl('shop', 'call', 'cart/new', 'add', '["cake"]');
ctl('shop', 'call', 'cart/other', 'add');
for (1 .. 1800)
{
	$tail->pump_nb;
	last if $followed =~ /\n/;
	select(undef, undef, undef, 0.1);
}
like($followed, qr/cart\/new call add [0-9.]+ ms\n/, 'what runs is shown');
$tail->signal('TERM');
$tail->finish;
unlike($followed, qr/other/, 'of the one actor only');

# the manual has every command and option
my $manual = slurp_file("$source/actorctl.1");
my (undef, $help) = ctl('shop', '--help');
for my $word ($help =~ /^  (\w+) /mg, $help =~ /^  (--?[a-z]+)/mg)
{
	my $quoted = $word =~ s/-/\\-/gr;
	like($manual, qr/^\.B[RI]* \Q$quoted\E\b/m, "$word is in the manual");
}
SKIP:
{
	skip 'groff is missing', 1 unless grep { -x "$_/groff" } split /:/, $ENV{PATH};
	is(`groff -man -Tutf8 -ww -z '$source/actorctl.1' 2>&1`, '', 'the manual is well formed');
}
$node->stop;
done_testing();
