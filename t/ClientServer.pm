# What the tests of clients have in common: a server with an actor type, and
# pgbouncer before it where that is installed.
package ClientServer;

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use PgBouncer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A server with the types auction and flaky.
sub server
{
	my $node = PostgreSQL::Test::Cluster->new('clients');

	$node->init;
	$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'actor'
max_worker_processes = 16
});
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE EXTENSION actor;
		CREATE SCHEMA auction;
		CREATE FUNCTION auction.bid(amount int, bidder text DEFAULT 'nobody') RETURNS int LANGUAGE plpgsql AS $$
		BEGIN
			IF amount <= actor_get('top', 0) THEN
				RAISE '% is too little', amount USING ERRCODE = 'check_violation';
			END IF;
			PERFORM actor_set('top', amount);
			PERFORM actor_set('bidder', bidder);
			RETURN amount;
		END $$;
		COMMENT ON FUNCTION auction.bid IS 'bids, says "who"';
		CREATE FUNCTION auction.top() RETURNS int LANGUAGE sql STABLE AS $$ SELECT actor_get('top', 0) $$;
		CREATE FUNCTION auction.echo(document jsonb) RETURNS jsonb LANGUAGE sql STABLE AS $$ SELECT document $$;
		CREATE FUNCTION auction.bidders(pattern text DEFAULT '%') RETURNS SETOF text LANGUAGE sql STABLE
			AS $$ SELECT b FROM actor_get('bidder', '') b WHERE b LIKE pattern $$;
		CREATE FUNCTION auction.trace() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('actor.traceparent') $$;
		CREATE FUNCTION auction."class"(x int) RETURNS int LANGUAGE sql STABLE AS $$ SELECT x $$;
		CREATE FUNCTION auction."odd name"() RETURNS int LANGUAGE sql STABLE AS $$ SELECT 17 $$;
		CREATE FUNCTION auction.close() RETURNS void LANGUAGE sql AS $$ SELECT actor_set('closed', true) $$;
		SELECT actor_register('auction');

		-- what does not work the first time: the number of calls is not rolled back
		CREATE SCHEMA flaky;
		CREATE SEQUENCE flaky.calls;
		CREATE FUNCTION flaky.fail(code text) RETURNS int LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('flaky.calls') % 2 = 1 THEN
				RAISE 'on purpose' USING ERRCODE = code;
			END IF;
			PERFORM actor_set('effects', actor_get('effects', 0) + 1);
			RETURN actor_get('effects', 0);
		END $$;
		CREATE FUNCTION flaky.die() RETURNS int LANGUAGE plpgsql AS $$
		BEGIN
			IF nextval('flaky.calls') % 2 = 1 THEN
				PERFORM pg_terminate_backend(pg_backend_pid());
				PERFORM pg_sleep(600);
			END IF;
			PERFORM actor_set('effects', actor_get('effects', 0) + 1);
			RETURN actor_get('effects', 0);
		END $$;
		CREATE FUNCTION flaky.effects() RETURNS int LANGUAGE sql STABLE AS $$ SELECT actor_get('effects', 0) $$;
		SELECT actor_register('flaky');
	});
	return $node;
}

# The connection string of pgbouncer in transaction mode before the server; undef
# where it is not installed.
sub pooled
{
	my ($node) = @_;
	my $pgbouncer = PgBouncer::program() // return undef;

	# from 1.21 on it can follow prepared statements
	$ENV{FORGETFUL} = 1 if `$pgbouncer --version` =~ /^PgBouncer 1\.(\d+)/ && $1 < 21;
	return PgBouncer::start($node) // die 'pgbouncer does not start';
}

# A Python that has psycopg, from Debian or from pip; or undef, and why not.
sub python
{
	my $folder = abs_path(PostgreSQL::Test::Utils::tempdir);

	return (undef, 'python3 is not installed') if system('python3 --version >/dev/null 2>&1') != 0;
	return 'python3' if system(q{python3 -c 'import psycopg' 2>/dev/null}) == 0;
	local $ENV{HOME} = $folder;
	my $output = `cd '$folder' && python3 -m venv venv 2>&1 && timeout 300 venv/bin/pip install -q --retries 1 'psycopg[binary]' 2>&1`;

	return (undef, 'psycopg cannot be installed by pip: ' . ((split /\n/, $output)[-1] // '')) if $? != 0;
	return "$folder/venv/bin/python";
}

# Passes on what a program says: a line "ok NAME" for each test that has passed, and
# "all done" at the end.
sub passes
{
	my ($name, @command) = @_;
	my ($out, $err) = run_command(\@command);

	like($out, qr/^all done$/m, $name) or diag($err);
	ok(1, "$name: $_") for $out =~ /^ok (.*)$/mg;
	return;
}

1;
