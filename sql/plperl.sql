--
-- Methods in PL/Perl.  The second expected file is for servers without it.
--
SET client_min_messages = warning;
SELECT count(*) = 0 AS skip FROM pg_available_extensions WHERE name = 'plperl' \gset
\if :skip
\echo PL/Perl is not installed
\quit
\endif
CREATE EXTENSION plperl;
CREATE SCHEMA camel;
SELECT actor_register('camel');
CREATE FUNCTION camel.add(a int, b int DEFAULT 10) RETURNS int IMMUTABLE LANGUAGE plperl
AS $$ return $_[0] + $_[1]; $$;
CREATE FUNCTION camel.document(payload jsonb) RETURNS text IMMUTABLE LANGUAGE plperl
AS $$ return "got $_[0]"; $$;
CREATE FUNCTION camel.pair() RETURNS TABLE (a int, b text) IMMUTABLE LANGUAGE plperl
AS $$ return_next({a => 1, b => 'one'}); return_next({a => 2, b => undef}); return undef; $$;
CREATE FUNCTION camel.list(n int) RETURNS SETOF int IMMUTABLE LANGUAGE plperl
AS $$ return [1 .. $_[0]]; $$;
CREATE FUNCTION camel.count() RETURNS int LANGUAGE plperl
AS $$
    spi_exec_query("SELECT actor_set('count', actor_get('count', 0) + 1)");
    return spi_exec_query("SELECT actor_get('count', 0) AS n")->{rows}[0]{n};
$$;
CREATE FUNCTION camel.try(id text, method text) RETURNS text LANGUAGE plperl
AS $$
    my $call = spi_prepare('SELECT actor_invoke(actor_type(), $1, $2) AS r', 'text', 'text');
    my $answer = eval { spi_exec_prepared($call, @_)->{rows}[0]{r} };
    my $error = $@;
    $error =~ s/ at line .*//s;
    my $me = spi_exec_query('SELECT actor_id() AS id')->{rows}[0]{id};
    return defined $answer ? "$me: $answer" : "$me caught: $error";
$$;
CREATE FUNCTION camel.die() RETURNS void LANGUAGE plperl AS $$ die "no more\n"; $$;
CREATE FUNCTION camel.liar() RETURNS void STABLE LANGUAGE plperl AS $$ spi_exec_query("SELECT actor_set('count', 7)"); $$;
SELECT actor_invoke('camel', '1', 'add', '{"a": 1, "b": 2}'), actor_invoke('camel', '1', 'add', '[1]');
SELECT actor_invoke('camel', '1', 'add', '["x"]');
SELECT actor_invoke('camel', '1', 'document', '{"a": [1, 2]}');
SELECT actor_invoke('camel', '1', 'pair');
SELECT actor_invoke('camel', '1', 'list', '[3]'), actor_invoke('camel', '1', 'list', '[0]');
SELECT actor_invoke('camel', '1', 'count'), actor_invoke('camel', '1', 'count');
SELECT actor_invoke('camel', '1', 'try', '["2", "count"]');
SELECT actor_invoke('camel', '1', 'try', '["1", "count"]');
SELECT actor_invoke('camel', '1', 'try', '["2", "die"]');
SELECT state, message FROM refusal($$SELECT actor_invoke('camel', '1', 'die')$$);
SELECT state, message FROM refusal($$SELECT actor_invoke('camel', '1', 'liar')$$);
SELECT actor_invoke('camel', '1', 'count');
SELECT at_rest();
SELECT actor_unregister('camel', force => true);
DROP SCHEMA camel CASCADE;
DROP EXTENSION plperl;
