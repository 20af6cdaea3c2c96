#!/usr/bin/env bash
# nights.sh: what nights of a database cost: stored bytes a night, everything included; the first backup; the
# restore of the last night beside that of the first; peak memory; and the processor time of taking a
# database apart beside that of VACUUM INTO.
#
#   DATA           data sets, any of: dbs medium airports, and those of data.sh   (dbs)
#   NIGHTS         nights after the first backup                                  (14)
#   PARITY         off, 2 or 4: what init is told                                  (2)
#   RUNS           runs of each restore and of the encoder; 0: sizes alone        (3)
#   BENCH_SHARED   where gen.c of the shared data is, if anywhere                 (../shared/bench)
#   HISTORIES      where replay.py of the real daily history is, if anywhere      (../shared/histories)
#   BENCH_DIR      where everything happens, data is kept for the next run        (build/bench)
#
# "stored" is what all files of the repository grew by; "data", "trees", "lists" are the sealed records of
# chunks, folders and chunk lists before padding. Times are good for nothing but their ratio.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$0")/../.."

bench=nights
nights=${NIGHTS:-14}
runs=${RUNS:-3}
histories=${HISTORIES:-../shared/histories}
. tests/bench/run.sh

most() { echo $(($1 > $2 ? $1 : $2)); }

# ---- days ----

first_day() { # SET: $data and $shape
	case $1 in
	airports)
		data=$work/data
		rm -rf "$data"
		python3 "$histories/replay.py" --out "$data" --init >/dev/null
		shape="the daily history of $histories"
		;;
	*) make_data "$1" ;;
	esac
}

next_day() { # SET DAY: fails when there is no more
	case $1 in
	airports) python3 "$histories/replay.py" --out "$data" --next >/dev/null ;;
	*) "$gen" day "$data" "$2" >/dev/null ;;
	esac
}

# ---- nights ----

backup() { # leaves $manifest, $packed, $size, and what was added since the backup before
	local before_size=${size:-0} before_data=${all_data:-0} before_trees=${all_trees:-0} before_lists=${all_lists:-0}
	run backup --json --host bench "$data"
	manifest=$(of_summary manifest_id) packed=$(of_summary data_added_packed)
	backup_peak=$(most "$backup_peak" "$peak") size=$(objects)
	read -r all_data all_trees all_lists _ < <("$tools/sizes" records "$repo" "$work/key")
	stored=$((size - before_size)) new_data=$((all_data - before_data))
	new_trees=$((all_trees - before_trees)) new_lists=$((all_lists - before_lists))
}

row() { printf '%10s %12s %12s %12s %12s %12s %9s\n' "$@"; }
row_of() { row "$1" "$stored" "$packed" "$new_data" "$new_trees" "$new_lists" "$cpu"; }

average() { # NIGHTS: of the first so many
	awk -v n="$1" -v first="$first_size" -v now="$size" \
		'BEGIN {printf "average over %d nights: %.0f bytes stored a night\n", n, (now - first) / n}'
}

all_nights() { # SET
	local night
	row night stored packed data trees lists 'CPU s'
	backup
	row_of first
	first=$manifest first_size=$size first_packed=$packed first_cpu=$cpu over=0 data_most=0 cpu_sum=0
	for ((night = 1; night <= nights; night++)); do
		# What the encoder needs: the image of the night before the last.
		[ "$night" -lt "$nights" ] || [ "$runs" -eq 0 ] ||
			sqlite3 -readonly "$data/app.db" "VACUUM INTO '$work/last.db'"
		next_day "$1" "$night" || {
			echo "nights: no more than $((night - 1)) days in $1" >&2
			exit 1
		}
		backup
		row_of "$night"
		[ "$stored" -le 16384 ] || over=$((over + 1))
		data_most=$(most "$data_most" "$new_data")
		cpu_sum=$(awk -v a="$cpu_sum" -v b="$cpu" 'BEGIN {print a + b}')
		case $night in 14 | 60 | "$nights") averages+=$(average "$night")$'\n' ;; esac
	done
	last=$manifest
	# A state is believed only when it was two seconds old at the last look: once to note it, once to find it again.
	sleep 3
	backup
	backup
	row_of unchanged
}

first_backup() { # SET
	local pieces
	[ "$1" = airports ] || [ -z "$(ls -A "$data/files" 2>/dev/null)" ] || return 0
	pieces=$("$tools/sizes" pieces "$work/first.db")
	printf 'first backup: %d bytes packed, zstd -3 of its 1 MiB pieces %d; ratio %s\n' "$first_packed" "$pieces" \
		"$(awk -v a="$first_packed" -v b="$pieces" 'BEGIN {printf "%.3f", a / b}')"
}

# ---- the rest ----

restore() { # MANIFEST LABEL: without a cache; adds its cost to $LABEL_cpu, $LABEL_wall
	rm -rf "$work/restored" "$work/restore-cache"
	cache=$work/restore-cache run restore "$1" --target "$work/restored"
	restore_peak=$(most "$restore_peak" "$peak")
	costs[$2.cpu]="${costs[$2.cpu]:-}$cpu " costs[$2.wall]="${costs[$2.wall]:-}$wall "
}

restores() {
	local i what
	for ((i = 1; i <= runs; i++)); do
		restore "$first" first
		[ "$i" -gt 1 ] || same_rows "$work/first.db" "$work/restored$data/app.db" || differs first
		restore "$last" last
		[ "$i" -gt 1 ] || same_content "$work/restored$data" || differs last
	done
	rm -rf "$work/restored"
	for what in cpu wall; do
		printf 'restore, %s seconds, median of %d: first night %s, last night %s; ratio %s\n' "$what" "$runs" \
			"$(median "${costs[first.$what]}")" "$(median "${costs[last.$what]}")" \
			"$(quotient "$(median "${costs[last.$what]}")" "$(median "${costs[first.$what]}")")"
	done
}

differs() {
	echo "nights: what was restored of the $1 night is not what was backed up" >&2
	exit 1
}

memory() {
	run check --read-data
	printf 'peak MiB: backup %d, restore %d, check with data %d\n' $((backup_peak / 1024)) \
		$((restore_peak / 1024)) $((peak / 1024))
}

one_set() { # SET
	averages='' size=0 all_data=0 all_trees=0 all_lists=0 backup_peak=0 restore_peak=0 costs=()
	rm -rf "$repo" "$work/key" "$work/cache" "$work/state" "$work"/*.db
	first_day "$1"
	printf '\n%s: %s; %s\n' "$1" "$shape" "$("$nightjar" version -q)"
	"$nightjar" -q -r "$repo" init --parity "${PARITY:-2}" --key-file "$work/key"
	sqlite3 -readonly "$data/app.db" "VACUUM INTO '$work/first.db'"
	all_nights "$1"
	printf '%s' "$averages"
	printf 'nights over 16 KiB: %d of %d; most bytes of data records: %d; unchanged: %d stored\n' "$over" "$nights" \
		"$data_most" "$stored"
	first_backup "$1"
	[ "$runs" -gt 0 ] || return 0
	printf 'backup, CPU seconds: first %s, mean of a night %s\n' "$first_cpu" "$(quotient "$cpu_sum" "$nights")"
	restores
	memory
	"$tools/encode" "$data/app.db" "$work/last.db" "$((runs * 2 + 1))"
}

declare -A costs
generator
for set in ${DATA:-dbs}; do
	if [ "$set" = airports ] && [ ! -f "$histories/replay.py" ]; then
		printf '\nairports: skipped, there is no %s/replay.py\n' "$histories"
		continue
	fi
	one_set "$set"
done
