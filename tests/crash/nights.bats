# What nights of a database may cost, on a small one: sizes alone, since time says nothing on a busy machine.
load ../cli/helpers

setup() {
	common_setup
	export BENCH_DIR=$WORK/bench BENCH_SHARED=$WORK/none HISTORIES=$WORK/none
	bench=$BATS_TEST_DIRNAME/../bench/nights.sh
	[ -x "${TOOLS:-}/sizes" ] || skip "its tools are not built: make long builds them"
}

# About 0.55 MB here; a night without deltas comes to 3 MB.
@test "a night of a 12 MB database takes less than 1.1 MB" {
	BENCH_DB_MB=12 NIGHTS=8 RUNS=0 run "$bench"
	assert_status 0
	[[ $output =~ "average over 8 nights: "([0-9]+)" bytes" ]]
	[ "${BASH_REMATCH[1]}" -lt 1100000 ]
	[[ $output =~ "pieces "[0-9]+"; ratio "([0-9.]+) ]]
	awk -v ratio="${BASH_REMATCH[1]}" 'BEGIN {exit !(ratio < 1.03)}'
}

@test "every measure of a night runs, and what is restored is what was backed up" {
	DATA='tiny airports' NIGHTS=2 RUNS=1 run "$bench"
	assert_status 0
	assert_output "*average over 2 nights*restore, cpu*peak MiB*ratio to VACUUM INTO a file*airports: skipped*"
}

@test "a backup that fails, fails the bench" {
	printf '#!/bin/sh\ncase "$*" in *backup*) exit 20 ;; esac\nexec "%s" "$@"\n' "$NIGHTJAR" >"$WORK/broken"
	chmod +x "$WORK/broken"
	NIGHTJAR=$WORK/broken DATA=tiny NIGHTS=1 RUNS=0 run "$bench"
	assert_status 1
	assert_output "*backup*failed*"
}
