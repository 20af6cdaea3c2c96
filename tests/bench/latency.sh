#!/usr/bin/env bash
# latency.sh: what a far server costs: one night's backup into a local repository, and the same night over HTTP into a copy of
# it, where a proxy adds a delay to each request; how many requests that is, and what opening and restoring takes there.
#
#   DATA           a data set of data.sh                                     (medium)
#   DELAY_MS       added to each request                                     (50)
#   NIGHTS         nights of which the median counts                         (3)
#   BENCH_SHARED   where gen.c of the shared data is, if anywhere            (../shared/bench)
#   BENCH_DIR      where everything happens, data is kept for the next run   (build/bench)
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."

bench=latency
. tests/bench/run.sh
pids=()
trap 'kill "${pids[@]}" 2>/dev/null; rm -rf "$work"' EXIT

started() { # WORD...: in the background; leaves the port that it prints in $port
	"$@" >"$work/port" 2>"$work/server.log" &
	pids+=($!)
	for _ in $(seq 100); do
		[ ! -s "$work/port" ] || break
		sleep 0.1
	done
	port=$(cat "$work/port")
}

serve() { # FOLDER: leaves its URL in $far
	local real
	real=$(python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])')
	rclone serve restic --addr "127.0.0.1:$real" "$1" 2>"$work/rclone.log" &
	pids+=($!)
	sleep 1
	started python3 tests/tools/netfault.py --to "127.0.0.1:$real" --delay-ms "${DELAY_MS:-50}" --log "$work/requests"
	far=rest:http://127.0.0.1:$port/
}

near() { repo=$work/near cache=$work/near.cache state=$work/near.state run "$@"; }
away() {
	: >"$work/requests"
	repo=$far cache=$work/far.cache state=$work/far.state run "$@"
	requests=$(wc -l <"$work/requests")
}

generator
make_data "${DATA:-medium}"
printf '%s: %s; %s ms more a request; %s\n' "${DATA:-medium}" "$shape" "${DELAY_MS:-50}" "$("$nightjar" version -q)"
"$nightjar" -q -r "$work/near" init --key-file "$work/key"
near backup --json --host bench "$data"
for part in '' .cache .state; do cp -a "$work/near$part" "$work/far$part"; done
serve "$work/far"

near_walls='' far_walls=''
for ((night = 1; night <= ${NIGHTS:-3}; night++)); do
	"$gen" day "$data" "$night" >/dev/null
	near backup --json --host bench "$data"
	near_walls+="$wall "
	away backup --json --host bench "$data"
	far_walls+="$wall "
	printf 'night %d: here %s s, there %s s, %d requests\n' "$night" "$(tail -c 8 <<<"$near_walls")" "$wall" "$requests"
done
printf 'a night, wall: here %s s, there %s s, ratio %s\n' "$(median "$near_walls")" "$(median "$far_walls")" \
	"$(quotient "$(median "$far_walls")" "$(median "$near_walls")")"
away manifests
printf 'manifests: %s s, %d requests\n' "$wall" "$requests"
near restore latest --target "$work/out"
here=$wall
rm -rf "$work/out"
away restore latest --target "$work/out"
printf 'restore: here %s s, there %s s, %d requests\n' "$here" "$wall" "$requests"
