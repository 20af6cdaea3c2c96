#!/usr/bin/env bash
# bench.sh: what a backup costs, beside Debian's restic and borg in the same run on the same data, and how
# fast this machine does the primitives. One table a data set; ratios below 1 are in nightjar's favour.
#
#   BENCH          data sets, any of: tiny dbs app medium small     (dbs app)
#   BENCH_NIGHTS   nights after the first backup                     (3)
#   BENCH_DB_MB, BENCH_FILES, BENCH_MEAN_BYTES, BENCH_SEED           (those of the data set)
#   BENCH_SHARED   where gen.c of the shared data is, if anywhere    (../shared/bench)
#   BENCH_DIR      where everything happens, data is kept for the next run   (build/bench)
#   BENCH_PEERS    which peers to run                                (restic borg)
#
# nightjar reads the live database. The peers cannot, so each backup of theirs is of a VACUUM INTO snapshot,
# whose cost is a row of its own and is in the row "with snapshot" only. For the unchanged backup they keep
# the snapshot of the night before. restic is as it comes (zstd); borg runs with zstd,3, as nightjar does.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."

nights=${BENCH_NIGHTS:-3}
dir=$(realpath -m "${BENCH_DIR:-build/bench}")
shared=${BENCH_SHARED:-../shared/bench}
nightjar=${NIGHTJAR:-$PWD/build/nightjar}
tools=${TOOLS:-$PWD/build/release/tests/bench}
mkdir -p "$dir"
work=$(mktemp -d "$dir/run.XXXXXX")
trap 'rm -rf "$work"' EXIT

export HOME=$work/home
mkdir "$HOME"
. tests/bench/data.sh
unset "${!NIGHTJAR_@}" "${!RESTIC_@}" "${!BORG_@}"
export RESTIC_PASSWORD=bench BORG_PASSPHRASE=bench
export BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes

# ---- the tools ----
# Each has NAME_init, _backup, _restore TARGET and _check; $peer_source is what the peers back up.

nightjar_init() { "$nightjar" -q -r "$repo" init --key-file "$work/key"; }
nightjar_backup() { nightjar_run backup --host bench "$data"; }
nightjar_restore() { nightjar_run restore latest --target "$1"; }
nightjar_check() { nightjar_run check --read-data; }
nightjar_run() {
	NIGHTJAR_CACHE_DIR=$work/nightjar-cache NIGHTJAR_STATE_DIR=$work/nightjar-state \
		measured "$nightjar" -q -r "$repo" --key-file "$work/key" "$@"
}

restic_init() { restic_run init; }
restic_backup() { restic_run backup --host bench "$peer_source"; }
restic_restore() { restic_run restore latest --target "$1"; }
restic_check() { restic_run check --read-data; }
restic_run() { measured restic -q --cache-dir "$work/restic-cache" -r "$repo" "$@"; }

borg_init() { borg_run init -e repokey "$repo"; }
borg_backup() { borg_run create --compression zstd,3 "$repo::night-$step_number" "$peer_source"; }
borg_restore() {
	mkdir -p "$1"
	(cd "$1" && borg_run extract "$repo::night-$last_backup")
}
borg_check() { borg_run check --verify-data "$repo"; }
borg_run() { BORG_BASE_DIR=$work/borg-base measured borg "$@"; }

version_of() {
	case $1 in
	nightjar) "$nightjar" version -q ;;
	restic) restic version | cut -d' ' -f1-2 ;;
	borg) borg --version ;;
	esac
}

measured() { "$tools/measure" "$work/cost" "$@" >"$work/log" 2>&1; }

# ---- measuring ----

declare -A cost # TOOL.STEP.cpu|wall|peak|stored, summed over the nights

add() { cost[$1]=$(awk -v a="${cost[$1]:-0}" -v b="$2" 'BEGIN {printf "%.3f", a + b}'); }
most() { cost[$1]=$(awk -v a="${cost[$1]:-0}" -v b="$2" 'BEGIN {print (a > b ? a : b)}'); }

# do_step STEP COMMAND [ARGUMENT]: for every tool, in turn.
do_step() {
	local step=$1 command=$2 tool before cpu wall peak
	shift 2
	step_number=$((step_number + 1))
	for tool in "${tools_run[@]}"; do
		repo=$work/$tool-repo
		before=$(bytes_of "$repo")
		rm -f "$work/cost"
		if ! "${tool}_$command" "${@/#/$work/$tool-}"; then
			echo "bench: $tool: $step failed:" >&2
			cat "$work/log" >&2
			exit 1
		fi
		read -r cpu wall peak _ <"$work/cost"
		add "$tool.$step.cpu" "$cpu"
		add "$tool.$step.wall" "$wall"
		most "$tool.$step.peak" "$((peak / 1024))"
		add "$tool.$step.stored" "$(($(bytes_of "$repo") - before))"
	done
	[ "$command" != backup ] || last_backup=$step_number
}

# Peers read the files where they are, and the database from here, in one folder: hard links cost nothing.
snapshot() { # STEP
	local cpu
	[ "${#peers[@]}" -gt 0 ] || return 0
	rm -rf "$peer_source"
	mkdir "$peer_source"
	[ ! -d "$data/files" ] || cp -al "$data/files" "$peer_source/files"
	[ -f "$data/app.db" ] || return 0
	rm -f "$work/cost"
	measured sqlite3 "$data/app.db" "VACUUM INTO '$peer_source/app.db'"
	read -r cpu _ <"$work/cost"
	add "snapshot.$1.cpu" "$cpu"
}

restored_well() {
	local tool found
	for tool in "${tools_run[@]}"; do
		found=$work/$tool-restored$peer_source
		[ "$tool" != nightjar ] || found=$work/$tool-restored$data
		same_content "$found" || {
			echo "bench: $tool: what it restored is not what was backed up" >&2
			exit 1
		}
		rm -rf "$work/$tool-restored"
	done
}

# ---- the table ----

ratio() { # TOOL STEP WHAT: nightjar's cost divided by this tool's
	local own=${cost[nightjar.$2.$3]} theirs=${cost[$1.$2.$3]:-}
	[ -n "$theirs" ] || {
		echo -
		return
	}
	awk -v a="$own" -v b="$theirs" 'BEGIN {if (b > 0) printf "%.3f", a / b; else print "-"}'
}

row() { # LABEL STEP WHAT DIVISOR FORMAT
	local tool
	printf '  %-18s' "$1"
	for tool in nightjar restic borg; do
		if [ -n "${cost[$tool.$2.$3]:-}" ]; then
			awk -v v="${cost[$tool.$2.$3]}" -v d="$4" -v f="%12$5" 'BEGIN {printf f, v / d}'
		else
			printf '%12s' -
		fi
	done
	printf '%14s%12s\n' "$(ratio restic "$2" "$3")" "$(ratio borg "$2" "$3")"
}

rows() { # TITLE STEP TIMES
	local tool
	printf '%s\n' "$1"
	row 'CPU s' "$2" cpu "$3" .2f
	if [ -n "${cost[snapshot.$2.cpu]:-}" ]; then
		for tool in "${tools_run[@]}"; do
			cost[$tool.$2.both]=${cost[$tool.$2.cpu]}
			[ "$tool" = nightjar ] || add "$tool.$2.both" "${cost[snapshot.$2.cpu]}"
		done
		row '  with snapshot' "$2" both "$3" .2f
	fi
	row 'wall s' "$2" wall "$3" .2f
	row 'peak MiB' "$2" peak 1 .0f
	case $2 in first | night | same) row 'stored MB' "$2" stored "$(($3 * 1000000))" .3f ;; esac
}

table() { # SET
	local tool
	printf '\n%s: %s\n' "$1" "$shape"
	printf '%s processors, load %s' "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
	for tool in "${tools_run[@]}"; do printf ', %s' "$(version_of "$tool")"; done
	printf '\n%s' "$absent"
	printf '\n%-20s%12s%12s%12s%14s%12s\n' '' nightjar restic borg 'to restic' 'to borg'
	rows 'first backup' first 1
	rows "nightly, mean of $nights" night "$nights"
	rows 'unchanged backup' same 1
	rows 'restore' restore 1
	rows 'check, all data' check 1
	if [ -n "${cost[snapshot.night.cpu]:-}" ]; then
		awk -v first="${cost[snapshot.first.cpu]}" -v night="${cost[snapshot.night.cpu]}" -v n="$nights" \
			'BEGIN {printf "VACUUM INTO for the peers: %.2f s CPU the first time, %.2f s a night\n", first, night / n}'
	fi
}

one_set() { # SET
	local night tool
	cost=() step_number=0 last_backup=0 peer_source=$work/snapshot
	make_data "$1"
	rm -rf "$work"/*-repo "$work"/*-cache "$work"/*-state "$work/borg-base" "$work/key"
	for tool in "${tools_run[@]}"; do
		repo=$work/$tool-repo
		"${tool}_init" || {
			echo "bench: $tool: init failed" >&2
			exit 1
		}
	done
	snapshot first
	do_step first backup
	for ((night = 1; night <= nights; night++)); do
		"$gen" day "$data" "$night" >/dev/null
		snapshot night
		do_step night backup
	done
	do_step same backup
	do_step restore restore restored
	restored_well
	do_step check check
	table "$1"
}

peers=() absent=
for peer in ${BENCH_PEERS-restic borg}; do
	if command -v "$peer" >/dev/null; then
		peers+=("$peer")
	else
		absent+="no $peer: it is not installed"$'\n'
	fi
done
tools_run=(nightjar "${peers[@]}")
generator
for set in ${BENCH:-dbs app}; do
	one_set "$set"
done
printf '\nprimitives, GB/s of processor time on one core\n'
[ -f "$data/app.db" ] && "$tools/primitives" "$data/app.db"
