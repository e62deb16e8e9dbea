# shellcheck shell=bash
#
# What script/demo, script/test, script/try and script/bench share.
#
# They leave the system's PostgreSQL as it is.  They copy its programs into a
# folder of their own, link its libraries and data files beside them, and
# install the extension there: PostgreSQL finds all its files relative to its
# programs.  So none of them needs root once the packages are there, no server that
# runs on this machine meets a library that is being tested, and nothing is
# left behind.
#
# PostgreSQL refuses to run as root.  Root therefore hands everything to the
# account "postgres", or "nobody" where there is none.
#
# PG_CONFIG=/path/to/pg_config picks the PostgreSQL.  Otherwise it is Debian's
# newest on this machine, and where there is none, the one Debian installs.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
debian_pg=/usr/lib/postgresql
pg_config=${PG_CONFIG:-}

die()
{
	echo "$(basename "$0"): $*" >&2
	exit 1
}

have()
{
	command -v "$1" >/dev/null 2>&1
}

is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# packages ------------------------------------------------------------------

# Whether Debian's PostgreSQL of that major has its headers here.
has_headers()
{
	[ -e "$debian_pg/$1/lib/pgxs/src/makefiles/pgxs.mk" ] &&
		[ -e "/usr/include/postgresql/$1/server/postgres.h" ]
}

# The major of Debian's PostgreSQL that is to be used.  Nothing if PG_CONFIG
# names one that is not Debian's, or if there is none and apt-get knows none.
debian_major()
{
	local majors major

	if [ -n "${PG_CONFIG:-}" ]; then
		case $PG_CONFIG in
			"$debian_pg"/*/bin/pg_config) basename "${PG_CONFIG%/bin/pg_config}" ;;
		esac
		return 0
	fi
	mapfile -t majors < <(find "$debian_pg" -mindepth 3 -maxdepth 3 -name postgres \
		-path '*/bin/*' 2>/dev/null | sed -nE 's!.*/([0-9]+)/bin/postgres$!\1!p' | sort -rn)
	for major in "${majors[@]}"; do
		! has_headers "$major" || { echo "$major"; return; }
	done
	[ ${#majors[@]} -eq 0 ] || { echo "${majors[0]}"; return; }
	! have apt-cache || apt-cache depends postgresql 2>/dev/null |
		sed -nE 's/^ *Depends: postgresql-([0-9]+)$/\1/p' | head -n 1
}

# Where pg_bsd_indent is: since 17 beside the server's programs.
indent_tool()
{
	command -v pg_bsd_indent && return
	find "$debian_pg" -mindepth 3 -maxdepth 3 -name pg_bsd_indent 2>/dev/null |
		sort -V | tail -n 1 | grep .
}

# The Debian packages that are missing, one a line; "test" and "bench" ask for
# those that only the test suites or the benchmark need, too.
missing_packages()
{
	local major

	major=$(debian_major)
	have make || echo make
	have gcc || echo gcc
	[ -e /usr/include/stdio.h ] || echo libc6-dev
	if [ -n "$major" ]; then
		[ -x "$debian_pg/$major/bin/postgres" ] || echo "postgresql-$major"
		has_headers "$major" || echo "postgresql-server-dev-$major"
	fi
	[ "${1:-}" != bench ] || perl -MJSON::PP -MFindBin -e 1 2>/dev/null || echo perl
	# actor-http
	[ -e /usr/include/microhttpd.h ] || echo libmicrohttpd-dev
	[ -e /usr/include/jansson.h ] || echo libjansson-dev
	compgen -G '/usr/include/*/curl/curl.h' > /dev/null || [ -e /usr/include/curl/curl.h ] ||
		echo libcurl4-openssl-dev
	[ -z "$major" ] || [ -e /usr/include/postgresql/libpq-fe.h ] || echo libpq-dev
	have curl || echo curl
	[ "${1:-}" = test ] || return 0
	have prove || echo perl
	perl -MIPC::Run -e 1 2>/dev/null || echo libipc-run-perl
	have pgbouncer || [ -x /usr/sbin/pgbouncer ] || echo pgbouncer
	[ -n "$major" ] || return 0
	[ "$major" -ge 17 ] || indent_tool > /dev/null || echo pg-bsd-indent
	have pg_autoctl || echo pg-auto-failover-cli
	[ -e "/usr/share/postgresql/$major/extension/pgautofailover.control" ] ||
		echo "postgresql-$major-auto-failover"
	[ -e "$debian_pg/$major/lib/plperl.so" ] || echo "postgresql-plperl-$major"
	# the packages are built, too
	have dh || echo debhelper
	[ -e /usr/share/perl5/Debian/Debhelper/Sequence/pgxs.pm ] || echo postgresql-server-dev-all
}

# Installs packages as root.  Debian would make and start a cluster "main"
# when it installs a server, and start pgbouncer: files say no while this runs.
# shellcheck disable=SC2016
apt_install='
	conf=/etc/postgresql-common/createcluster.d/actor-setup.conf
	policy=/usr/sbin/policy-rc.d
	[ ! -e $policy ] || policy=
	trap "rm -f $conf $policy" EXIT
	trap "exit 1" HUP INT TERM
	mkdir -p "${conf%/*}"
	echo "create_main_cluster = false" > $conf
	if [ -n "$policy" ]; then
		printf "#!/bin/sh\nexit 101\n" > $policy
		chmod 755 $policy
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 \
		install --no-install-recommends "$@"'

# as_root WHAT COMMAND...: runs it with the rights of root; its output is shown
# only if it fails.
as_root()
{
	local what=$1 output sudo=()

	shift
	is_root || sudo=(sudo)
	output=$(mktemp)
	if ! "${sudo[@]}" "$@" </dev/null > "$output" 2>&1; then
		cat "$output" >&2
		rm -f "$output"
		die "failed: $what"
	fi
	rm -f "$output"
}

install_missing()
{
	local missing

	mapfile -t missing < <(missing_packages "${1:-}")
	if [ ${#missing[@]} -gt 0 ] || [ -z "${PG_CONFIG:-}$(debian_major)" ]; then
		have apt-get ||
			die "please install what these Debian packages contain: ${missing[*]}" \
				"and a PostgreSQL server with its headers; PG_CONFIG may name one"
		is_root || have sudo ||
			die "please install as root: apt-get install ${missing[*]}"
		as_root "apt-get update" apt-get -qq -o DPkg::Lock::Timeout=300 update
		# only now it may be known which PostgreSQL this Debian has
		mapfile -t missing < <(missing_packages "${1:-}")
		if [ ${#missing[@]} -gt 0 ]; then
			echo "Installing ${missing[*]} (this may take some minutes)"
			as_root "apt-get install ${missing[*]}" sh -ec "$apt_install" sh "${missing[@]}"
			mapfile -t missing < <(missing_packages "${1:-}")
		fi
		[ ${#missing[@]} -eq 0 ] || die "still missing: ${missing[*]}"
	fi
	[ -n "$pg_config" ] || pg_config=$debian_pg/$(debian_major)/bin/pg_config
	[ -x "$pg_config" ] || die "there is no program \"$pg_config\"; set PG_CONFIG"
}

# accounts ------------------------------------------------------------------

# The account that servers run as.
if ! is_root; then
	account=$(id -un)
fi

choose_account()
{
	if is_root; then
		account=postgres
		id "$account" >/dev/null 2>&1 || account=nobody
	fi
}

# Runs a command as that account, in a folder that it may use as its home,
# with none of the caller's settings.
as_account()
{
	local home=$1 kept=() name

	shift
	for name in ROUNDS ACTOR_SEED ACTOR_ROUNDS ACTOR_ROWS ACTOR_EVENTS ACTOR_LISTENERS ACTOR_SCREENSHOTS PG_TEST_TIMEOUT_DEFAULT; do
		[ -z "${!name:-}" ] || kept+=("$name=${!name}")
	done
	(
		cd "$home" || exit
		set -- env -i PATH="$PATH" HOME="$home" LANG=C.UTF-8 \
			"${kept[@]}" "$@"
		if is_root; then
			exec runuser -u "$account" -- "$@"
		else
			exec "$@"
		fi
	)
}

# stop_servers DIR: stops what servers were left behind below DIR.
stop_servers()
{
	local pidfile

	find "$1" -name postmaster.pid 2>/dev/null | while read -r pidfile; do
		as_account "$1" "$server_bin/pg_ctl" -s -m immediate -D "${pidfile%/*}" stop ||
			true
	done
}

# a private PostgreSQL ------------------------------------------------------

# use_server DIR: where the programs of the PostgreSQL in DIR are.
use_server()
{
	server_bin=$1/server$("$pg_config" --bindir)
}

# copy_postgres DIR: makes a PostgreSQL below DIR/server.
copy_postgres()
{
	local root=$1/server bin lib share include include_server folder modules

	bin=$("$pg_config" --bindir)
	lib=$("$pg_config" --pkglibdir)
	share=$("$pg_config" --sharedir)
	include=$("$pg_config" --includedir)
	include_server=$("$pg_config" --includedir-server)

	mkdir -p "$root$bin" "$root$lib" "$root$share" "$root${include%/*}"
	# programs look for the real place of themselves, so these are no links
	cp -a "$bin/." "$root$bin"
	cp -as "$lib/." "$root$lib"
	cp -as "$share/." "$root$share"
	ln -s "$include" "$root$include"
	if [ ! -e "$root$include_server" ]; then
		mkdir -p "$root${include_server%/*}"
		ln -s "$include_server" "$root$include_server"
	fi

	# what programs look for relative to themselves, those of a Python wheel
	# for instance
	own_libraries "$bin" | while read -r folder; do
		mkdir -p "$root$folder"
		cp -asn "$folder/." "$root$folder"
	done

	# what TAP tests need may be there for another major only
	if [ ! -e "$root$lib/pgxs/src/test/perl" ] && modules=$(tap_modules); then
		cp -as "$modules" "$root$lib/pgxs/src/test/perl"
	fi

	drop_unknown_flags "$root$lib/pgxs/src/Makefile.global"

	# an installed actor is none of our business
	rm -rf "$root$lib"/actor.so "$root$lib"/bitcode/actor*
	rm -f "$root$share"/extension/actor.control "$root$share"/extension/actor--*.sql
}

# drop_unknown_flags FILE: takes warnings that this compiler does not know out of
# what a server was built with, which another compiler may have done.
drop_unknown_flags()
{
	local flag flags=()

	for flag in $("$pg_config" --cflags); do
		case $flag in
			-W*) gcc -Werror "$flag" -x c -fsyntax-only /dev/null 2>/dev/null || flags+=("$flag") ;;
		esac
	done
	for flag in "${flags[@]}"; do
		sed -E "/^CFLAGS = /s/(^| )$flag( |\$)/ /" "$1" > "$1.new"
		mv "$1.new" "$1"
	done
}

# own_libraries FOLDER: the folders of libraries that programs of FOLDER name
# relative to themselves.
own_libraries()
{
	local path

	# not all of them are binaries
	{ find "$1" -type f -perm -u+x -exec readelf -d {} + 2>/dev/null || true; } |
		sed -nE 's/.*\(R(UN)?PATH\).*\[(.*)\]/\2/p' | tr : '\n' | sort -u |
		while read -r path; do
			case $path in
				\$ORIGIN*) readlink -e "$1${path#\$ORIGIN}" || true ;;
			esac
		done
}

# The newest modules for TAP tests of Debian's packages that are here.
tap_modules()
{
	find "$debian_pg" -mindepth 6 -maxdepth 6 -path '*/lib/pgxs/src/test/perl' 2>/dev/null |
		sort -V | tail -n 1 | grep .
}

# copy_tree DIR: copies the sources to DIR/tree, without what builds and tests
# have made there.
copy_tree()
{
	mkdir -p "$1/tree"
	tar -C "$top" -cf - \
		--exclude='./.git' --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
		--exclude='./results' --exclude='./output_iso' --exclude='./tmp_*' \
		--exclude='./log' --exclude='./regression.*' --exclude='./build-*' \
		--exclude='./http/build' --exclude='./ctl/build' . |
		tar -C "$1/tree" --no-same-owner -xf -
}

# private_make DIR ARGUMENT...: runs make on the copy, as the account.
private_make()
{
	local dir=$1

	shift
	# not every server was built with TAP tests
	as_account "$dir" make -C "$dir/tree" --no-print-directory \
		PG_CONFIG="$server_bin/pg_config" with_llvm=no \
		enable_tap_tests=yes PROVE=prove "$@"
}

# build DIR ARGUMENT...: builds in DIR and installs into the private
# PostgreSQL there.  DIR belongs to the account afterwards.
build()
{
	local dir=$1

	shift
	copy_tree "$dir"
	copy_postgres "$dir"
	if is_root; then
		chown -R "$account:" "$dir"
	fi
	private_make "$dir" -s -j"$(nproc)" "$@"
	private_make "$dir" -s install "$@"
}
