# shellcheck shell=bash
# run.sh: commands of nightjar, measured, on the data of data.sh. Sourced in the top folder, by what measures nightjar alone; $bench is its
# name. Everything happens below $work, which is removed at the end; the repository is $repo, its key $work/key.
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
unset "${!NIGHTJAR_@}"
repo=$work/repo

run() { # COMMAND...: leaves its output in $work/log and its cost as $cpu, $wall, $peak (KiB)
	rm -f "$work/cost"
	if ! NIGHTJAR_CACHE_DIR=${cache:-$work/cache} NIGHTJAR_STATE_DIR=${state:-$work/state} "$tools/measure" "$work/cost" \
		"$nightjar" -r "$repo" --key-file "$work/key" "$@" >"$work/log" 2>"$work/errors"; then
		echo "$bench: nightjar $* failed:" >&2
		cat "$work/log" "$work/errors" >&2
		exit 1
	fi
	read -r cpu wall peak _ <"$work/cost"
}

of_summary() { # FIELD: of what the last backup printed
	jq -r --arg field "$1" 'select(.message_type == "summary")[$field]' "$work/log"
}

objects() { find "$repo" -type f -printf '%s\n' | awk '{sum += $1} END {printf "%d\n", sum}'; }
quotient() { awk -v a="$1" -v b="$2" 'BEGIN {if (b > 0) printf "%.2f\n", a / b; else print "-"}'; }
median() { tr ' ' '\n' <<<"$1" | grep . | sort -g | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
