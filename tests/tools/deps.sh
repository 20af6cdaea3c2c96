#!/bin/sh
# deps.sh demo|test|bench: installs the Debian packages that are missing, and says nothing when none is.
# The only place that names packages. "demo" is what building and showing needs, "test" adds the
# test tools, the second compiler and the fuzzer; "bench" is the peers alone, which a bench can do without.
# shellcheck disable=SC2086
set -eu

demo='build-essential pkg-config libsqlite3-dev libsodium-dev libzstd-dev libxxhash-dev libssl-dev
libinih-dev libcurl4-openssl-dev sqlite3 jq'
test="$demo libcmocka-dev bats perl attr acl python3 openssl rsync rclone clang libclang-rt-dev
clang-format openssh-client openssh-server"
bench='restic borgbackup'

case ${1:-} in
demo) wanted=$demo ;;
test) wanted=$test ;;
bench) wanted=$bench ;;
*)
	echo "usage: deps.sh demo|test|bench" >&2
	exit 2
	;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
	# Not Debian. When the tools and libraries are there under whatever name, that is enough.
	if command -v cc >/dev/null 2>&1 && command -v sqlite3 >/dev/null 2>&1 &&
		pkg-config --exists sqlite3 libsodium libzstd libxxhash inih 2>/dev/null &&
		{ [ "$1" = demo ] || { command -v bats && command -v jq; } >/dev/null 2>&1; }; then
		exit 0
	fi
	echo "nightjar: this is not Debian; please install what these Debian packages hold:" >&2
	echo $wanted >&2
	exit 1
fi

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
	# pkgconf stands in for pkg-config since trixie, as its Provides says.
	if [ "$package" = pkg-config ] && command -v pkg-config >/dev/null 2>&1; then
		continue
	fi
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "nightjar: as root, please run: apt-get install$missing" >&2
		exit 1
	fi
	as_root=sudo
fi

echo "installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# An index that cannot be refreshed is no reason to stop: the packages may be in it already.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null >"$log" 2>&1 || cat "$log" >&2
if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
	$missing </dev/null >"$log" 2>&1; then
	cat "$log" >&2
	echo "nightjar: apt-get could not install:$missing" >&2
	exit 1
fi
