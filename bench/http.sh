#!/usr/bin/env bash
#
# Compares a method over HTTP with the same method by SQL.
#
#	bench/http.sh ACTOR_HTTP [CLIENTS [SECONDS]]
#
# ACTOR_HTTP is the program.  The server is that of the variables of libpq
# (PGHOST, PGPORT, PGDATABASE, PGUSER); it must have the extension, and pgbench
# must be in the PATH.  Makes an actor type "http_bench", and removes it.  Prints
# a line of JSON for each way:
#
#	{"row": "writing method", "way": "sql", "per_second": ..., "p50_ms": ..., "p99_ms": ...}
#
# For reference, not measured here: Dapr has published 9,443 calls a second on
# distinct ids, and a median of 2.30 ms for activations at 500 a second.

set -euo pipefail

program=$1
clients=${2:-16}
seconds=${3:-10}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
http_pid=

clean_up()
{
	[ -z "$http_pid" ] || kill "$http_pid" 2>/dev/null || true
	psql -Xq -v ON_ERROR_STOP=1 > /dev/null 2>&1 <<-'END' || true
		SELECT actor_unregister('http_bench', force => true);
		DROP SCHEMA http_bench CASCADE;
	END
	rm -rf "$work"
}
trap clean_up EXIT

psql -Xq -v ON_ERROR_STOP=1 > /dev/null <<-'SQL'
	CREATE SCHEMA http_bench;
	CREATE FUNCTION http_bench.add(step int) RETURNS int LANGUAGE plpgsql AS $$
	DECLARE
	    total int := actor_get('total', 0) + step;
	BEGIN
	    PERFORM actor_set('total', total);
	    RETURN total;
	END $$;
	CREATE FUNCTION http_bench.total() RETURNS int STABLE
	LANGUAGE sql AS $$ SELECT actor_get('total', 0) $$;
	SELECT actor_register('http_bench');
SQL

cc -O2 -o "$work/http_load" "$here/http_load.c"
"$program" --port=0 --pool-size="$clients" > "$work/log" 2>&1 &
http_pid=$!
for _ in $(seq 100); do
	grep -q listening "$work/log" && break
	sleep 0.1
done
port=$(sed -nE 's/.*, port ([0-9]+)$/\1/p' "$work/log")
[ -n "$port" ] || { cat "$work/log" >&2; exit 1; }

# by_sql ROW METHOD PAYLOAD
by_sql()
{
	cat > "$work/script.sql" <<-END
		\\set id random(0, 99999)
		SELECT actor_invoke('http_bench', :id::text, '$2', '$3');
	END
	rm -f "$work"/times.*
	(cd "$work" && pgbench -n -M extended -c "$clients" -j 2 -T "$seconds" -f script.sql \
		-l --log-prefix=times > pgbench.out)
	sed -nE 's/^tps = ([0-9.]+).*/\1/p' "$work/pgbench.out" > "$work/tps"
	cat "$work"/times.* | awk '{ print $3 / 1000 }' | sort -n | awk -v row="$1" -v tps="$(cat "$work/tps")" '
		{ t[NR] = $1 }
		END { printf "{\"row\": \"%s\", \"way\": \"sql\", \"per_second\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n",
			row, tps, t[int(NR / 2) + 1], t[int(NR * 0.99) + 1] }'
}

# by_http ROW METHOD PAYLOAD
by_http()
{
	"$work/http_load" "$port" "/v1.0/actors/http_bench/%d/method/$2" "$3" "$clients" "$seconds" |
		sed -E "s/requests_per_second=([^ ]*) p50_ms=([^ ]*) p99_ms=([^ ]*).*/{\"row\": \"$1\", \"way\": \"http\", \"per_second\": \1, \"p50_ms\": \2, \"p99_ms\": \3}/"
}

for way in by_sql by_http; do
	$way "writing method" add '[1]'
	$way "read-only method" total '{}'
done
