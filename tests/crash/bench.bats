# The bench itself, on data so small that its numbers mean nothing: every step of it runs, and what was
# restored is what was backed up, or it fails.
load ../cli/helpers

setup() {
	common_setup
	export BENCH=tiny BENCH_NIGHTS=2 BENCH_DIR=$WORK/bench BENCH_SHARED=$WORK/none
	bench=$BATS_TEST_DIRNAME/../bench/bench.sh
	[ -x "${TOOLS:-}/measure" ] || skip "its tools are not built: make long builds them"
}

@test "a table of five steps and the primitives" {
	BENCH_PEERS='' run "$bench"
	assert_status 0
	assert_output "*tests/bench*first backup*CPU s*stored MB*nightly, mean of 2*unchanged*restore*check, all data*"
	assert_output "*SHA-256*gear chunker*"
	[ -z "$(find "$WORK/bench" -maxdepth 1 -name 'run.*')" ]
}

@test "a peer that is missing is named, and its column empty" {
	BENCH_PEERS='no-such-peer' run "$bench"
	assert_status 0
	assert_output "*no no-such-peer: it is not installed*"
}

@test "a command that fails, fails the bench" {
	printf '#!/bin/sh\n[ "$1" != version ] || exec "%s" "$@"\ncase "$*" in *check*) exit 20 ;; esac\nexec "%s" "$@"\n' \
		"$NIGHTJAR" "$NIGHTJAR" >"$WORK/broken"
	chmod +x "$WORK/broken"
	NIGHTJAR=$WORK/broken BENCH_PEERS='' run "$bench"
	assert_status 1
	assert_output "*nightjar: check failed*"
}

@test "an unchanged backup beside a bare walk, and one changed file" {
	DATA=tiny RUNS=1 run "$BATS_TEST_DIRNAME/../bench/unchanged.sh"
	assert_status 0
	assert_output "*unchanged backup, CPU seconds, median of 1: *; bare walk *; ratio *; peak *MiB*one changed file of 81: * bytes stored"
	[ -z "$(find "$WORK/bench" -maxdepth 1 -name 'run.*')" ]
}
