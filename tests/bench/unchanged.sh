#!/usr/bin/env bash
# unchanged.sh: what a backup costs when nothing changed: its processor time beside that of a bare walk, which makes one lstat of each
# file, in the same run; and the bytes that one changed file adds.
#
#   DATA           a data set of data.sh                                 (small)
#   RUNS           backups, and walks, of which the median counts        (7)
#   BENCH_SHARED   where gen.c of the shared data is, if anywhere        (../shared/bench)
#   BENCH_DIR      where everything happens, data is kept for the next run   (build/bench)
#
# Everything is in the page cache. One backup in seven makes an integrity_check of the database; the median leaves it out.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."

bench=unchanged
runs=${RUNS:-7}
. tests/bench/run.sh

bare_walk() { # leaves $walk_cpu
	rm -f "$work/cost"
	entries=$("$tools/measure" "$work/cost" "$tools/walk" "$data")
	read -r walk_cpu _ <"$work/cost"
}

nothing_changed() {
	[ "$(of_summary files_unmodified)" -ge "$files" ] && [ "$(of_summary files_new)" = 0 ] ||
		fail "a backup of unchanged files says that some changed"
}

fail() {
	echo "unchanged: $1" >&2
	exit 1
}

measure_unchanged() {
	local i cpus='' walks=''
	for ((i = 1; i <= runs; i++)); do
		run backup --json --host bench "$data"
		nothing_changed
		cpus+="$cpu " peaks+="$peak "
		bare_walk
		walks+="$walk_cpu "
	done
	printf 'unchanged backup, CPU seconds, median of %d: %s; bare walk %s; ratio %s; peak %d MiB\n' "$runs" "$(median "$cpus")" \
		"$(median "$walks")" "$(quotient "$(median "$cpus")" "$(median "$walks")")" $(($(median "$peaks") / 1024))
}

measure_one_file() {
	local before changed
	before=$(objects)
	changed=$(find "$data" -type f -name '*.*' ! -name 'app.db*' -size +0 | sort | awk 'NR == 1')
	printf 'changed' >>"$changed"
	run backup --json --host bench "$data"
	[ "$(of_summary files_changed)" = 1 ] || fail "one file changed, the backup says $(of_summary files_changed)"
	printf 'one changed file of %d: %d bytes stored\n' "$entries" $(($(objects) - before))
}

peaks=''
generator
make_data "${DATA:-small}"
files=$(find "$data" -type f ! -name 'app.db-*' | wc -l)
printf '%s: %s; %s\n' "${DATA:-small}" "$shape" "$("$nightjar" version -q)"
"$nightjar" -q -r "$repo" init --key-file "$work/key"
run backup --json --host bench "$data"
# What was written just now is believed only when it was two seconds old at the last look: once to note it, once to find it again.
sleep 3
run backup --json --host bench "$data"
run backup --json --host bench "$data"
measure_unchanged
measure_one_file
