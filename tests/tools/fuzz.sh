#!/usr/bin/env bash
# fuzz.sh SECONDS TARGET...: runs each libFuzzer target that long, as many at a time as there are processors. It starts from the
# committed fuzz/corpus/<name>/, puts new inputs into build/fuzz-corpus/<name>/ and what breaks into
# fuzz/found/<name>-*, where replay finds it.
set -u
seconds=$1
shift

fuzz_one() { # TARGET; SECONDS_EACH is exported
	local name=${1##*/fuzz_} new log
	new=build/fuzz-corpus/$name
	log=build/fuzz-corpus/$name.log
	mkdir -p "$new" fuzz/found
	set -- "$1" "$new"
	[ ! -d "fuzz/corpus/$name" ] || set -- "$@" "fuzz/corpus/$name"
	if "$@" -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="fuzz/found/$name-" >"$log" 2>&1 </dev/null; then
		echo "ok     fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs"
	else
		echo "FAILED fuzz $name"
		tail -40 "$log" | sed 's/^/    /'
	fi
}
export -f fuzz_one
export SECONDS_EACH=$seconds

mkdir -p build/fuzz-corpus
printf '%s\0' "$@" | xargs -0 -r -n 1 -P "$(nproc)" bash -c '[ -z "$0" ] || fuzz_one "$0"' |
	tee build/fuzz-corpus/summary
passed=$(grep -c '^ok' build/fuzz-corpus/summary)
failed=$(grep -c '^FAILED' build/fuzz-corpus/summary)
echo "tests: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
